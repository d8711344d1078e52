/*
 * The pipeline: the same result with any number of threads, files of any length, two runs at once,
 * and runs with little memory. Runs under TSan. Sources that change under it are in
 * test_pipeline_change.c.
 */
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
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/solo.h"
#include "tests/support/tree.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

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
static void write_all(struct solo *w, unsigned threads, struct snapshot *ret)
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
    struct solo w;
    solo_init(&w);
    tree_make(w.source, TREE_ODD);
    DR_FREE char *many = dr_strf("%s/many", w.source);
    assert_int_equal(mkdir(many, 0755), 0);
    tree_make_many(many, SANITIZED ? 1500 : 6000, 700);
    solo_put_large(&w, "large", 9 << 20);
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
    solo_fini(&w);
}

static void threads_restore_what_one_wrote_and_the_other_way_round(void **state)
{
    (void)state;
    struct solo w;
    solo_init(&w);
    tree_make(w.source, TREE_DEEP);
    solo_put_large(&w, "large", 5 << 20);
    assert_int_equal(solo_backup(&w, (struct backup_wish){ .one_file_system = true }), DR_OK);
    assert_int_equal(w.result.warnings, 0);
    solo_expect_restored(&w);
    solo_fini(&w);
}

/* Heads of 1.5 KiB count as 512 in the cut: only the worker sees that the bundle becomes too large. */
static void a_bundle_that_grows_too_large_is_cut_by_the_worker(void **state)
{
    (void)state;
    struct solo w;
    solo_init(&w);
    char name[240];
    for (int i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "%0200d", i);
        solo_put(&w, name, i % 50 == 0 ? "text" : "");
    }
    solo_must_backup(&w);
    assert_int_equal(w.result.entries, 4001);
    solo_expect_restored(&w);
    solo_fini(&w);
}

/* -- runs ---------------------------------------------------------------------------------- */

static void run_in_child(struct solo *w, struct backup_wish wish, void (*before)(void))
{
    if (before != NULL)
        before();
    repo_close(w->repo); /* each process opens its own */
    solo_open(w);
    if (solo_backup(w, wish) == DR_OK)
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

static size_t good_snapshots(struct solo *w)
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
    struct solo w;
    solo_init(&w);
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
    assert_int_equal(
        verify_run(w.repo, NULL, &(struct verify_wish){ .data = true }, NULL, &v, &w.err), DR_OK);
    assert_int_equal(v.damaged + v.missing + v.lost, 0);
    solo_fini(&w);
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
    struct solo w;
    solo_init(&w);
    solo_put(&w, "a", "one");
    real_wall = dr_clock.wall_ns;
    dr_clock.wall_ns = shifted_wall;
    solo_must_backup(&w);
    solo_put(&w, "a", "two");
    offset_ns = -3600 * INT64_C(1000000000);
    solo_must_backup(&w);
    assert_true(w.result.end_ns >= w.result.start_ns);
    dr_clock.wall_ns = real_wall;
    offset_ns = 0;
    assert_int_equal(good_snapshots(&w), 2);
    solo_expect_restored(&w);
    solo_fini(&w);
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
static int backup_within(struct solo *w, size_t more, char line[200])
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
    struct solo w;
    solo_init(&w);
    tree_make_many(w.source, 300, 20000);
    solo_put_large(&w, "large", 20 << 20);
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
    solo_must_backup(&w);
    solo_expect_restored(&w);
    solo_fini(&w);
}

static void a_dry_run_counts_and_writes_no_object(void **state)
{
    (void)state;
    struct solo w;
    solo_init(&w);
    tree_make_many(w.source, 20, 3000);
    assert_int_equal(solo_backup(&w, (struct backup_wish){ .dry_run = true }), DR_OK);
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
    solo_fini(&w);
}

static void tags_are_kept_with_the_snapshot(void **state)
{
    (void)state;
    struct solo w;
    solo_init(&w);
    struct text_list tags = { 0 };
    struct snapshot s = { .epoch = 0 };
    text_list_add(&tags, "before upgrade");
    text_list_add(&tags, "r\xc3\xa9gime");
    assert_int_equal(solo_backup(&w, (struct backup_wish){ .tags = &tags }), DR_OK);
    assert_int_equal(repo_load(w.repo, w.result.id, NULL, NULL, &s, &w.err), DR_OK);
    assert_int_equal(s.tags.count, 2);
    assert_string_equal(s.tags.items[0], "before upgrade");
    assert_string_equal(s.tags.items[1], "r\xc3\xa9gime");
    snapshot_fini(&s);
    text_list_fini(&tags);
    solo_fini(&w);
}

/* Descriptor 0 of a child is a file of that size; what comes back must equal it. */
static void expect_stdin_stored(size_t size)
{
    struct solo w;
    solo_init(&w);
    DR_FREE char *path = dr_strf("%s/input", w.dir);
    int dir = open(w.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_write(dir, "input", 9, size);
    close(dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC), before = dup(STDIN_FILENO);
    assert_true(fd >= 0 && before >= 0);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    enum dr_rc rc = solo_backup(&w, (struct backup_wish){ .stdin_as = "dump.sql" });
    dup2(before, STDIN_FILENO);
    close(before);
    close(fd);
    if (rc != DR_OK)
        fail_msg("%s", w.err.msg);
    assert_int_equal(w.result.bytes, size);
    assert_int_equal(w.result.files, 1);
    solo_must_restore(&w);
    DR_FREE char *target = dr_strf("%s/dump.sql", w.target);
    DR_CLEANUP(buf_fini) struct buf in = { 0 }, out = { 0 };
    assert_int_equal(fs_read_file(path, 64 << 20, &in, &w.err), DR_OK);
    assert_int_equal(fs_read_file(target, 64 << 20, &out, &w.err), DR_OK);
    assert_int_equal(out.len, size);
    assert_memory_equal(in.len > 0 ? in.data : "", out.len > 0 ? out.data : "", size);
    solo_fini(&w);
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
    struct solo w;
    solo_init(&w);
    static const size_t sizes[] = { 256 << 10,         (256 << 10) + 1,  CUT_CHUNK_MAX,
                                    CUT_CHUNK_MAX + 1, (8 << 20) - 512,  (8 << 20) - 511,
                                    (8 << 20) + 513,   (16 << 20) - 1024 };
    char name[16];
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        snprintf(name, sizeof name, "f%zu", i);
        solo_put_large(&w, name, sizes[i]);
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
    solo_must_backup(&w);
    assert_int_equal(w.result.warnings, 0);
    solo_expect_restored(&w);
    solo_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_threads_writes_the_same_segments_and_recipe),
        cmocka_unit_test(threads_restore_what_one_wrote_and_the_other_way_round),
        cmocka_unit_test(a_bundle_that_grows_too_large_is_cut_by_the_worker),
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
