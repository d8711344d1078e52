/*
 * The pipeline: the same result with any number of threads, and sources that change under it. Runs
 * under TSan.
 *
 * Files grow, shrink, vanish and turn into something else at the very moment at which they are opened or read:
 * calls of the syscall table do it just before they go to the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/format/cut.h"
#include "backup/work/backup_links.h"
#include "backup/work/backup_stream.h"
#include "backup/work/work.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "tests/support/tree.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

struct world { /* a source, a bucket, a configuration */
    char *dir, *source, *target;
    struct config *config;
    struct repo *repo;
    struct dr_err err;
    struct text_list warnings;
    struct backup_result result;
};

static void on_warning(void *arg, const char *line)
{
    text_list_add(&((struct world *)arg)->warnings, line);
}

static void world_open(struct world *w)
{
    DR_FREE char *path = dr_strf("%s/dr.yaml", w->dir);
    struct diag d = { 0 };
    assert_int_equal(config_load(path, &d, &w->config, &w->err), DR_OK);
    diag_fini(&d);
    assert_int_equal(
        repo_open(w->config, &(struct repo_options){ .dark_count = 0 }, &w->repo, &w->err), DR_OK);
}

static void world_init(struct world *w)
{
    *w = (struct world){ .dir = tree_temp() };
    w->source = dr_strf("%s/source", w->dir);
    w->target = dr_strf("%s/target", w->dir);
    DR_FREE char *bucket = dr_strf("%s/us", w->dir);
    DR_FREE char *path = dr_strf("%s/dr.yaml", w->dir);
    assert_int_equal(mkdir(w->source, 0755), 0);
    assert_int_equal(mkdir(bucket, 0755), 0);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    buf_addf(&text,
             "disaster_recovery:\n  backup_policy:\n"
             "    full_backup: {frequency: daily, retention: 30d}\n"
             "sources:\n  - {name: app, path: %s, class: data}\nstate_dir: %s/state\n"
             "buckets:\n  - {name: us, url: \"file://%s\", region: r}\n",
             w->source, w->dir, bucket);
    assert_int_equal(fs_replace(w->dir, "dr.yaml", text.data, text.len, &w->err), DR_OK);
    struct diag d = { 0 };
    assert_int_equal(config_load(path, &d, &w->config, &w->err), DR_OK);
    diag_fini(&d);
    assert_int_equal(repo_init(w->config, &w->err), DR_OK);
    assert_int_equal(
        repo_open(w->config, &(struct repo_options){ .dark_count = 0 }, &w->repo, &w->err), DR_OK);
}

static void world_fini(struct world *w)
{
    repo_close(w->repo);
    config_free(w->config);
    text_list_fini(&w->warnings);
    backup_result_fini(&w->result);
    tree_remove(w->dir);
    free(w->source);
    free(w->target);
    free(w->dir);
}

static enum dr_rc backup_as(struct world *w, struct backup_wish wish)
{
    struct work_hooks hooks = { .warning = on_warning, .arg = w };
    wish.source = &w->config->sources[0];
    wish.kind = "full";
    backup_result_fini(&w->result);
    text_list_fini(&w->warnings);
    return backup_run(w->repo, &wish, &hooks, &w->result, &w->err);
}

static void must_backup(struct world *w)
{
    if (backup_as(w, (struct backup_wish){ .inline_work = true }) != DR_OK)
        fail_msg("%s", w->err.msg);
}

/* The newest snapshot comes back at target. */
static void must_restore(struct world *w)
{
    struct snapshot_info info;
    struct restore_result r = { 0 };
    if (repo_find(w->repo, w->result.id, "app", &info, &w->err) != DR_OK)
        fail_msg("%s", w->err.msg);
    if (restore_run(w->repo, &info, &(struct restore_options){ .to = w->target }, NULL, &r,
                    &w->err) != DR_OK)
        fail_msg("%s", w->err.msg);
    snapshot_info_fini(&info);
}

static void expect_restored_equal(struct world *w)
{
    DR_CLEANUP(buf_fini) struct buf differences = { 0 };
    must_restore(w);
    if (tree_diff(w->source, w->target, &differences) != 0)
        fail_msg("%s", differences.data);
}

static void put(const struct world *w, const char *name, const char *text)
{
    DR_FREE char *path = dr_strf("%s/%s", w->source, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void put_large(const struct world *w, const char *name, size_t size)
{
    int fd = open(w->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_write(fd, name, 7, size);
    close(fd);
}

/* What the restored tree has under that name; NULL: nothing. */
static char *restored(const struct world *w, const char *name)
{
    DR_FREE char *path = dr_strf("%s/%s", w->target, name);
    DR_CLEANUP(buf_fini) struct buf content = { 0 };
    struct dr_err err = { 0 };
    if (access(path, F_OK) != 0)
        return NULL;
    assert_int_equal(fs_read_file(path, 64 << 20, &content, &err), DR_OK);
    return buf_take(&content);
}

/* -- any number of threads ----------------------------------------------------------------- */

static enum dr_rc forget(void *arg, struct spooled *pack, struct dr_err *err)
{
    (void)arg;
    (void)pack;
    (void)err;
    return DR_OK;
}

static void no_warning(void *arg, const char *path, const char *what)
{
    (void)arg;
    fail_msg("%s: %s", path, what);
}

/* Toc and recipe of the source with so many threads. The nonce is fixed, so packs have equal names. */
static void write_all(struct world *w, unsigned threads, struct snapshot *ret)
{
    struct packs_options po = { .target = 300 << 10, .state_dir = w->dir, .put = forget };
    DR_CLEANUP(packs_free_ptr) struct packs *packs = packs_new(&po);
    DR_CLEANUP(owners_free_ptr) struct owners *owners = owners_new();
    DR_CLEANUP(links_free_ptr) struct links *links = links_new(w->dir);
    DR_CLEANUP(scan_free_ptr) struct scan *scan = NULL;
    struct scan_options so = { .root = w->source, .threads = threads, .warning = no_warning };
    assert_int_equal(scan_new(&so, &scan, &w->err), DR_OK);
    struct stream_options o = { .seed = 42,
                                .packs = packs,
                                .state_dir = w->dir,
                                .root = scan_root(scan),
                                .threads = threads,
                                .owners = owners,
                                .warning = no_warning };
    struct stream *s = NULL;
    assert_int_equal(stream_new(&o, &s, &w->err), DR_OK);
    struct stream_entry e = { .stored = false };
    for (;;) {
        assert_int_equal(scan_next(scan, &e.entry, &w->err), DR_OK);
        if (e.entry == NULL)
            break;
        assert_int_equal(links_first(links, e.entry, &e.link_to, &w->err), DR_OK);
        assert_int_equal(stream_add(s, &e, &w->err), DR_OK);
    }
    assert_int_equal(stream_finish(s, ret, &w->err), DR_OK);
    stream_free(s);
}

static void expect_same_lines(const struct list *a, const struct list *b)
{
    assert_int_equal(a->depth, b->depth);
    assert_int_equal(a->lines.count, b->lines.count);
    for (size_t i = 0; i < a->lines.count; i++)
        assert_string_equal(a->lines.items[i], b->lines.items[i]);
}

static void any_number_of_threads_writes_the_same_segments_and_recipe(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    tree_make(w.source, TREE_ODD);
    DR_FREE char *many = dr_strf("%s/many", w.source);
    assert_int_equal(mkdir(many, 0755), 0);
    tree_make_many(many, SANITIZED ? 1500 : 6000, 700);
    put_large(&w, "large", 9 << 20);
    struct snapshot alone = { .epoch = 0 };
    write_all(&w, 0, &alone);
    assert_true(alone.toc.lines.count >= (SANITIZED ? 1 : 3));
    static const unsigned counts[] = { 1, 2, 8 };
    for (size_t i = 0; i < DR_ARRAY_LEN(counts); i++) {
        struct snapshot s = { .epoch = 0 };
        write_all(&w, counts[i], &s);
        expect_same_lines(&s.toc, &alone.toc);
        expect_same_lines(&s.recipe, &alone.recipe);
        assert_true(s.stored == alone.stored);
        snapshot_fini(&s);
    }
    snapshot_fini(&alone);
    world_fini(&w);
}

static void threads_restore_what_one_wrote_and_the_other_way_round(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    tree_make(w.source, TREE_DEEP);
    put_large(&w, "large", 5 << 20);
    assert_int_equal(backup_as(&w, (struct backup_wish){ .one_file_system = true }), DR_OK);
    assert_int_equal(w.result.warnings, 0);
    expect_restored_equal(&w);
    world_fini(&w);
}

/* Heads of 1.5 KiB count as 512 in the cut: only the worker sees that the bundle becomes too large. */
static void a_bundle_that_grows_too_large_is_cut_by_the_worker(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    char name[240];
    for (int i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "%0200d", i);
        put(&w, name, i % 50 == 0 ? "text" : "");
    }
    must_backup(&w);
    assert_int_equal(w.result.entries, 4001);
    expect_restored_equal(&w);
    world_fini(&w);
}

/* -- sources that change ------------------------------------------------------------------- */

static struct { /* what happens to source/victim, and when: calls in one thread only */
    struct sys_ops real;
    char *path, *moved;
    void (*change)(void);
    int reads; /* pread() calls of this file until it strikes; -1: at the open */
    int fd, error;
    bool fired;
} victim;

static void strike(void)
{
    if (victim.fired)
        return;
    victim.fired = true;
    if (victim.change != NULL)
        victim.change();
}

static int victim_openat(int dir, const char *path, int flags, mode_t mode)
{
    bool hit = strcmp(path, "victim") == 0;
    if (hit && victim.reads < 0)
        strike();
    int fd = victim.real.openat(dir, path, flags, mode);
    if (hit)
        victim.fd = fd;
    return fd;
}

static ssize_t victim_pread(int fd, void *to, size_t len, off_t offset)
{
    if (fd != victim.fd || victim.reads < 0)
        return victim.real.pread(fd, to, len, offset);
    if (victim.reads-- == 0)
        strike();
    if (victim.fired && victim.error != 0) {
        errno = victim.error;
        return -1;
    }
    if (victim.error != 0 && len > 1000)
        len = 1000; /* the first bytes are still there */
    return victim.real.pread(fd, to, len, offset);
}

static void aim(const struct world *w, void (*change)(void), int reads, int error)
{
    victim.path = dr_strf("%s/victim", w->source);
    victim.moved = dr_strf("%s/victim.moved", w->dir);
    victim.change = change;
    victim.reads = reads;
    victim.error = error;
    victim.fd = -1;
    victim.fired = false;
    victim.real = sys;
    sys.openat = victim_openat;
    sys.pread = victim_pread;
}

static void rest(void)
{
    sys = victim.real;
    free(victim.path);
    free(victim.moved);
}

static void grow(void)
{
    int fd = open(victim.path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "and more", 8), 8);
    close(fd);
}

static void shrink(void)
{
    assert_int_equal(truncate(victim.path, 3), 0);
}

static void vanish(void)
{
    assert_int_equal(unlink(victim.path), 0);
}

static void become_directory(void)
{
    vanish();
    assert_int_equal(mkdir(victim.path, 0755), 0);
}

static void become_fifo(void)
{
    vanish();
    assert_int_equal(mkfifo(victim.path, 0644), 0);
}

static void become_link(void)
{
    vanish();
    assert_int_equal(symlink("/etc/passwd", victim.path), 0);
}

static void become_another(void)
{
    int fd = open(victim.moved, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "another", 7), 7);
    close(fd);
    assert_int_equal(rename(victim.moved, victim.path), 0);
}

/* One backup while that happens. Its one warning; files of the size of the victim. */
static void backup_while(struct world *w, void (*change)(void), int reads, int error)
{
    aim(w, change, reads, error);
    must_backup(w);
    assert_true(victim.fired);
    rest();
}

static void expect_left_out(void (*change)(void), const char *why, size_t size)
{
    struct world w;
    world_init(&w);
    put(&w, "a", "first");
    if (size == 0)
        put(&w, "victim", "some text");
    else
        put_large(&w, "victim", size);
    put(&w, "z", "last");
    backup_while(&w, change, -1, 0);
    assert_int_equal(w.result.warnings, 1);
    assert_string_equal(w.warnings.items[0], why);
    assert_int_equal(w.result.entries, 3);
    must_restore(&w);
    DR_FREE char *a = restored(&w, "a"), *z = restored(&w, "z"), *gone = restored(&w, "victim");
    assert_string_equal(a, "first");
    assert_string_equal(z, "last");
    assert_null(gone);
    world_fini(&w);
}

static void what_vanishes_or_turns_into_something_else_is_left_out(void **state)
{
    (void)state;
    static const char replaced[] = "'victim': was replaced while it was read";
    static const size_t sizes[] = { 0, 400 << 10 }; /* by a worker, by the planning thread */
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        expect_left_out(vanish, "'victim': No such file or directory", sizes[i]);
        expect_left_out(become_directory, replaced, sizes[i]);
        expect_left_out(become_fifo, replaced, sizes[i]);
        expect_left_out(become_link, replaced, sizes[i]);
        expect_left_out(become_another, replaced, sizes[i]);
    }
}

static void expect_stored(void (*change)(void), int reads, const char *why, const char *content)
{
    struct world w;
    world_init(&w);
    put(&w, "victim", "some text");
    backup_while(&w, change, reads, 0);
    assert_int_equal(w.result.warnings, 1);
    assert_string_equal(w.warnings.items[0], why);
    must_restore(&w);
    DR_FREE char *path = dr_strf("%s/victim", w.target);
    DR_FREE char *got = restored(&w, "victim");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, strlen(why) > 60 ? 9 : strlen(content));
    assert_string_equal(got, content);
    world_fini(&w);
}

static void what_grows_or_shrinks_is_stored_with_a_warning(void **state)
{
    (void)state;
    static const char changed[] = "'victim': changed while it was read";
    expect_stored(grow, -1, changed, "some text"); /* what came since comes next time */
    expect_stored(grow, 0, changed, "some text");
    expect_stored(shrink, -1, changed, "som");
    expect_stored(shrink, 0, "'victim': became shorter while it was read, zeros stand for 6 bytes",
                  "som");
}

static void a_large_file_that_became_small_is_stored_as_a_small_one(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    put_large(&w, "victim", 400 << 10);
    backup_while(&w, shrink, -1, 0);
    assert_int_equal(w.result.warnings, 1);
    assert_string_equal(w.warnings.items[0], "'victim': changed while it was read");
    expect_restored_equal(&w);
    world_fini(&w);
}

static void what_cannot_be_read_becomes_zeros_and_the_rest_is_kept(void **state)
{
    (void)state;
    static const size_t sizes[] = { 5000, 600 << 10 };
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        struct world w;
        world_init(&w);
        put_large(&w, "victim", sizes[i]);
        put(&w, "z", "last");
        backup_while(&w, NULL, 1, EIO);
        assert_int_equal(w.result.warnings, 1);
        DR_FREE char *why = dr_strf("'victim': %zu bytes could not be read (Input/output error), "
                                    "zeros stand for them",
                                    sizes[i] - 1000);
        assert_string_equal(w.warnings.items[0], why);
        must_restore(&w);
        DR_FREE char *source = dr_strf("%s/victim", w.source);
        DR_FREE char *target = dr_strf("%s/victim", w.target);
        DR_CLEANUP(buf_fini) struct buf before = { 0 }, after = { 0 };
        assert_int_equal(fs_read_file(source, 1 << 20, &before, &w.err), DR_OK);
        assert_int_equal(fs_read_file(target, 1 << 20, &after, &w.err), DR_OK);
        assert_int_equal(after.len, sizes[i]);
        assert_memory_equal(after.data, before.data, 1000);
        for (size_t k = 1000; k < after.len; k++)
            assert_int_equal(after.data[k], 0);
        world_fini(&w);
    }
}

/* The first name goes while it is read; a link to nothing would not restore. */
static void links_to_a_name_that_vanished_are_left_out_too(void **state)
{
    (void)state;
    static const size_t sizes[] = { 10, 400 << 10 };
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        struct world w;
        world_init(&w);
        put_large(&w, "victim", sizes[i]);
        put(&w, "other", "other");
        DR_FREE char *first = dr_strf("%s/victim", w.source), *second = dr_strf("%s/w", w.source);
        DR_FREE char *kept = dr_strf("%s/other", w.source), *link2 = dr_strf("%s/x", w.source);
        assert_int_equal(link(first, second), 0);
        assert_int_equal(link(kept, link2), 0);
        backup_while(&w, vanish, -1, 0);
        assert_int_equal(w.result.warnings, 2);
        assert_non_null(strstr(w.warnings.items[0], "'victim': No such file"));
        assert_non_null(strstr(w.warnings.items[1], "'w': left out"));
        assert_int_equal(w.result.entries, 3);
        must_restore(&w);
        DR_FREE char *x = restored(&w, "x"), *gone = restored(&w, "w");
        assert_string_equal(x, "other");
        assert_null(gone);
        must_backup(&w); /* and comes with the next one */
        assert_int_equal(w.result.warnings, 0);
        assert_int_equal(w.result.entries, 4);
        world_fini(&w);
    }
}

/* The snapshot before has both names: a link that stays must not lead to a name that went. The run
 * begins again, from a new scan. */
static void a_stored_name_of_several_that_vanished_begins_the_run_again(void **state)
{
    (void)state;
    static const size_t sizes[] = { 10, 400 << 10 };
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        struct world w;
        world_init(&w);
        put_large(&w, "victim", sizes[i]);
        put(&w, "other", "other");
        DR_FREE char *first = dr_strf("%s/victim", w.source), *second = dr_strf("%s/w", w.source);
        assert_int_equal(link(first, second), 0);
        must_backup(&w);
        backup_while(&w, vanish, -1, 0);
        assert_int_equal(w.result.entries, 3);
        expect_restored_equal(&w);
        world_fini(&w);
    }
}

static int move_directory_openat(int dir, const char *path, int flags, mode_t mode)
{
    if (strcmp(path, "inner") == 0 && !victim.fired) {
        victim.fired = true;
        assert_int_equal(rename(victim.path, victim.moved), 0);
    }
    return victim.real.openat(dir, path, flags, mode);
}

/* Its content was scanned and is gone; the directory itself stays, so that nothing hangs in the air. */
static void a_directory_that_is_moved_away_leaves_a_whole_snapshot(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    DR_FREE char *dir = dr_strf("%s/victim", w.source);
    assert_int_equal(mkdir(dir, 0755), 0);
    put(&w, "victim/inner", "inner");
    put(&w, "victim/other", "other");
    put(&w, "z", "last");
    aim(&w, NULL, -1, 0);
    sys.openat = move_directory_openat;
    must_backup(&w);
    assert_true(victim.fired);
    rest();
    assert_true(w.result.warnings >= 1);
    must_restore(&w);
    DR_FREE char *z = restored(&w, "z");
    assert_string_equal(z, "last");
    world_fini(&w);
}

/* -- runs ---------------------------------------------------------------------------------- */

static void run_in_child(struct world *w, struct backup_wish wish, void (*before)(void))
{
    if (before != NULL)
        before();
    repo_close(w->repo); /* each process opens its own */
    world_open(w);
    if (backup_as(w, wish) == DR_OK)
        _exit(0);
    fprintf(stderr, "%s\n", w->err.msg);
    _exit(1);
}

static int status_of(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static size_t good_snapshots(struct world *w)
{
    struct snapshot_list list = { 0 };
    size_t good = 0;
    assert_int_equal(repo_snapshots(w->repo, "app", &list, &w->err), DR_OK);
    for (size_t i = 0; i < list.count; i++)
        good += list.items[i].state == SNAPSHOT_GOOD;
    snapshot_list_fini(&list);
    return good;
}

static void two_backups_of_one_source_at_once_both_stand(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    tree_make_many(w.source, 300, 4000);
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            run_in_child(&w, (struct backup_wish){ .dry_run = false }, NULL);
    }
    assert_int_equal(status_of(pids[0]), 0);
    assert_int_equal(status_of(pids[1]), 0);
    assert_int_equal(good_snapshots(&w), 2);
    struct verify_result v = { 0 };
    assert_int_equal(verify_run(w.repo, NULL, true, NULL, &v, &w.err), DR_OK);
    assert_int_equal(v.damaged + v.missing + v.lost, 0);
    world_fini(&w);
}

static int64_t offset_ns;
static int64_t (*real_wall)(void);

static int64_t shifted_wall(void)
{
    return real_wall() + offset_ns;
}

static void a_clock_set_back_an_hour_costs_no_snapshot(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    put(&w, "a", "one");
    real_wall = dr_clock.wall_ns;
    dr_clock.wall_ns = shifted_wall;
    must_backup(&w);
    put(&w, "a", "two");
    offset_ns = -3600 * INT64_C(1000000000);
    must_backup(&w);
    assert_true(w.result.end_ns >= w.result.start_ns);
    dr_clock.wall_ns = real_wall;
    offset_ns = 0;
    assert_int_equal(good_snapshots(&w), 2);
    expect_restored_equal(&w);
    world_fini(&w);
}

static size_t more_memory;

/* No more than what the process has by now and so many bytes. */
static void limit_memory(void)
{
    DR_CLEANUP(buf_fini) struct buf statm = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(fs_read_file("/proc/self/statm", 4096, &statm, &err), DR_OK);
    size_t now = strtoul(statm.data, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
    struct rlimit little = { now + more_memory, now + more_memory };
    assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
}

/* Ends with one line and 1, or is done; anything else is a signal. What it said is in *ret_line. */
static int backup_within(struct world *w, size_t more, char line[200])
{
    int out[2];
    more_memory = more;
    memset(line, 0, 200);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(out[1], STDERR_FILENO);
        run_in_child(w, (struct backup_wish){ .dry_run = false }, limit_memory);
    }
    close(out[1]);
    ssize_t len = read(out[0], line, 199);
    assert_true(len >= 0);
    close(out[0]);
    return status_of(pid);
}

/* From nothing to plenty: each run says one line and ends with 1, or is done; none leaves harm. */
static void a_run_without_memory_says_so_and_the_next_one_works(void **state)
{
    (void)state;
    if (SANITIZED) /* a shadow of memory has no room below any limit */
        return;
    struct world w;
    world_init(&w);
    tree_make_many(w.source, 300, 20000);
    put_large(&w, "large", 20 << 20);
    char line[200];
    unsigned ended = 0, done = 0;
    for (size_t more = 0; more < (size_t)1 << 30 && done == 0; more += 12 << 20) {
        int status = backup_within(&w, more, line);
        assert_true(status == 0 || status == 1);
        if (status == 1 && strstr(line, "ut of memory") == NULL &&
            strstr(line, "Cannot allocate memory") == NULL &&
            strstr(line, "cannot start thread") == NULL)
            fail_msg("%zu bytes more: '%s'", more, line);
        ended += status == 1;
        done += status == 0;
    }
    assert_true(ended > 0 && done > 0);
    must_backup(&w);
    expect_restored_equal(&w);
    world_fini(&w);
}

static void a_dry_run_counts_and_writes_no_object(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    tree_make_many(w.source, 20, 3000);
    assert_int_equal(backup_as(&w, (struct backup_wish){ .dry_run = true }), DR_OK);
    assert_int_equal(w.result.files, 20);
    assert_true(w.result.stored > 20000);
    assert_string_equal(w.result.id, "");
    struct text_list names = { 0 };
    struct store *store = repo_bucket(w.repo, 0)->store;
    assert_int_equal(store_list(store, "packs/", &names, &w.err), DR_OK);
    assert_int_equal(store_list(store, "snapshots/", &names, &w.err), DR_OK);
    assert_int_equal(store_list(store, "pending/", &names, &w.err), DR_OK);
    assert_int_equal(names.count, 0);
    text_list_fini(&names);
    world_fini(&w);
}

static void tags_are_kept_with_the_snapshot(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct text_list tags = { 0 };
    struct snapshot s = { .epoch = 0 };
    text_list_add(&tags, "before upgrade");
    text_list_add(&tags, "r\xc3\xa9gime");
    assert_int_equal(backup_as(&w, (struct backup_wish){ .tags = &tags }), DR_OK);
    assert_int_equal(repo_load(w.repo, w.result.id, NULL, NULL, &s, &w.err), DR_OK);
    assert_int_equal(s.tags.count, 2);
    assert_string_equal(s.tags.items[0], "before upgrade");
    assert_string_equal(s.tags.items[1], "r\xc3\xa9gime");
    snapshot_fini(&s);
    text_list_fini(&tags);
    world_fini(&w);
}

/* Descriptor 0 of a child is a file of that size; what comes back must equal it. */
static void expect_stdin_stored(size_t size)
{
    struct world w;
    world_init(&w);
    DR_FREE char *path = dr_strf("%s/input", w.dir);
    int dir = open(w.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_write(dir, "input", 9, size);
    close(dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC), before = dup(STDIN_FILENO);
    assert_true(fd >= 0 && before >= 0);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    enum dr_rc rc = backup_as(&w, (struct backup_wish){ .stdin_as = "dump.sql" });
    dup2(before, STDIN_FILENO);
    close(before);
    close(fd);
    if (rc != DR_OK)
        fail_msg("%s", w.err.msg);
    assert_int_equal(w.result.bytes, size);
    assert_int_equal(w.result.files, 1);
    must_restore(&w);
    DR_FREE char *target = dr_strf("%s/dump.sql", w.target);
    DR_CLEANUP(buf_fini) struct buf in = { 0 }, out = { 0 };
    assert_int_equal(fs_read_file(path, 64 << 20, &in, &w.err), DR_OK);
    assert_int_equal(fs_read_file(target, 64 << 20, &out, &w.err), DR_OK);
    assert_int_equal(out.len, size);
    assert_memory_equal(in.len > 0 ? in.data : "", out.len > 0 ? out.data : "", size);
    world_fini(&w);
}

static void standard_input_becomes_one_file(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0,         1,       (256 << 10) - 1,
                                    256 << 10, 8 << 20, (8 << 20) - 512,
                                    20000001 };
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++)
        expect_stdin_stored(sizes[i]);
}

/* Sizes around the window and the cut: nothing is lost, padding is right. */
static void large_files_of_any_length_come_back(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    static const size_t sizes[] = { 256 << 10,         (256 << 10) + 1,  CUT_CHUNK_MAX,
                                    CUT_CHUNK_MAX + 1, (8 << 20) - 512,  (8 << 20) - 511,
                                    (8 << 20) + 513,   (16 << 20) - 1024 };
    char name[16];
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        snprintf(name, sizeof name, "f%zu", i);
        put_large(&w, name, sizes[i]);
        snprintf(name, sizeof name, "z%zu", i); /* zeros: chunks of the greatest length */
        DR_FREE char *path = dr_strf("%s/%s", w.source, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        static const char zeros[64 << 10];
        for (size_t done = 0; done < sizes[i];) {
            size_t n = sizes[i] - done < sizeof zeros ? sizes[i] - done : sizeof zeros;
            assert_int_equal(write(fd, zeros, n), n);
            done += n;
        }
        close(fd);
    }
    must_backup(&w);
    assert_int_equal(w.result.warnings, 0);
    expect_restored_equal(&w);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_threads_writes_the_same_segments_and_recipe),
        cmocka_unit_test(threads_restore_what_one_wrote_and_the_other_way_round),
        cmocka_unit_test(a_bundle_that_grows_too_large_is_cut_by_the_worker),
        cmocka_unit_test(what_vanishes_or_turns_into_something_else_is_left_out),
        cmocka_unit_test(what_grows_or_shrinks_is_stored_with_a_warning),
        cmocka_unit_test(a_large_file_that_became_small_is_stored_as_a_small_one),
        cmocka_unit_test(what_cannot_be_read_becomes_zeros_and_the_rest_is_kept),
        cmocka_unit_test(links_to_a_name_that_vanished_are_left_out_too),
        cmocka_unit_test(a_stored_name_of_several_that_vanished_begins_the_run_again),
        cmocka_unit_test(a_directory_that_is_moved_away_leaves_a_whole_snapshot),
        cmocka_unit_test(two_backups_of_one_source_at_once_both_stand),
        cmocka_unit_test(a_clock_set_back_an_hour_costs_no_snapshot),
        cmocka_unit_test(a_run_without_memory_says_so_and_the_next_one_works),
        cmocka_unit_test(a_dry_run_counts_and_writes_no_object),
        cmocka_unit_test(tags_are_kept_with_the_snapshot),
        cmocka_unit_test(standard_input_becomes_one_file),
        cmocka_unit_test(large_files_of_any_length_come_back),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
