/*
 * Trees that change at random, a snapshot after each round, and each snapshot restored: it must equal the tree
 * as it was, however the tree came to be so. Small trees with few names, so that paths die, live
 * again and change their type all the time; larger ones for several segments and ranges. The local
 * cache is lost or of another time now and then, and a full one comes in between. Some rounds are also read
 * by tests/reader.py and by the shell recipe of FORMAT.md with GNU tar, which see dead copies too.
 *
 * DRCTL_ROUNDS=N multiplies the rounds, DRCTL_SEED=N begins with that seed.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#include "backup/work/work.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "tests/support/site.h"
#include "tests/support/tree.h"

enum { PATHS_MAX = 20000, LARGE = 300 * 1024 };

struct world {
    char *dir, *source;
    struct config *config;
    struct repo *repo;
    uint64_t seed, state;
    struct text_list paths; /* of the source, as they were when the round began */
    struct backup_result result;
    uint64_t entries; /* of the snapshot before */
    char last_warning[256];
};

static struct world *walking; /* nftw() has no argument */

static uint64_t next(struct world *w)
{
    w->state ^= w->state << 13;
    w->state ^= w->state >> 7;
    w->state ^= w->state << 17;
    return w->state;
}

static unsigned below(struct world *w, unsigned n)
{
    return (unsigned)((next(w) >> 16) % n);
}

static void on_warning(void *arg, const char *line)
{
    struct world *w = arg;
    (void)snprintf(w->last_warning, sizeof w->last_warning, "%s", line);
}

static char *in(const struct world *w, const char *name)
{
    return dr_strf("%s/%s", w->dir, name);
}

static void load_config(struct world *w)
{
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    DR_FREE char *file = in(w, "dr.yaml");
    struct dr_err err;
    assert_int_equal(config_load(file, &d, &w->config, &err), DR_OK);
    assert_int_equal(repo_init(w->config, &err), DR_OK);
    assert_int_equal(repo_open(w->config, &(struct repo_options){ 0 }, &w->repo, &err), DR_OK);
}

static void world_init(struct world *w, uint64_t seed)
{
    struct dr_err err;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    *w = (struct world){ .dir = tree_temp(), .seed = seed };
    w->state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    w->source = in(w, "source");
    DR_FREE char *bucket = in(w, "us");
    assert_int_equal(mkdir(w->source, 0755), 0);
    assert_int_equal(mkdir(bucket, 0755), 0);
    buf_addf(&text,
             "disaster_recovery:\n  backup_policy:\n"
             "    full_backup: {frequency: daily, retention: 30d}\n"
             "sources:\n  - {name: app, path: %s, class: data}\n"
             "state_dir: %s/state\n"
             "buckets:\n  - {name: us, url: \"file://%s\", region: r}\n",
             w->source, w->dir, bucket);
    assert_int_equal(fs_replace(w->dir, "dr.yaml", text.data, text.len, &err), DR_OK);
    load_config(w);
}

static void world_fini(struct world *w)
{
    repo_close(w->repo);
    config_free(w->config);
    backup_result_fini(&w->result);
    text_list_fini(&w->paths);
    tree_remove(w->dir);
    free(w->source);
    free(w->dir);
}

/* -- changes ------------------------------------------------------------------------------- */

static int add_path(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    if (at->level > 0 && walking->paths.count < PATHS_MAX)
        text_list_add(&walking->paths, path);
    return 0;
}

static void look(struct world *w)
{
    text_list_fini(&w->paths);
    walking = w;
    (void)nftw(w->source, add_path, 16, FTW_PHYS);
}

static const char *some(struct world *w)
{
    return w->paths.count > 0 ? w->paths.items[below(w, (unsigned)w->paths.count)] : "nowhere";
}

/* A path that may exist already: names are few. */
static char *some_name(struct world *w)
{
    static const char *const names[] = { "a", "b", "c", "a.b", "a-", "d" };
    struct buf path = { 0 };
    buf_adds(&path, w->source);
    for (unsigned depth = 1 + below(w, 3); depth > 0; depth--)
        buf_addf(&path, "/%s", names[below(w, DR_ARRAY_LEN(names))]);
    return buf_take(&path);
}

/* Whatever is not possible just now (no such directory, another type) is no change. */
static void write_file(struct world *w, const char *path, size_t size, int flags)
{
    DR_CLEANUP(dr_close_fd)
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | flags, 0644);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    DR_FREE char *data = dr_alloc(size + 1, 1);
    uint64_t word = next(w);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i % 4096 == 0 ? (word = next(w)) : word >> i % 57);
    assert_int_equal(write(fd, data, size), size);
}

static size_t some_size(struct world *w)
{
    unsigned kind = below(w, 20);
    return kind == 0 ? LARGE + below(w, 3000) : kind < 4 ? 0 : below(w, 3000);
}

static void remove_path(const char *path)
{
    struct dr_err err;
    if (fs_remove_tree(path, &err) != DR_OK)
        return; /* below a file there is nothing to remove */
}

static void make_thing(struct world *w, const char *path)
{
    switch (below(w, 6)) {
    case 0:
        (void)mkdir(path, 0755);
        break;
    case 1:
        (void)!symlink(some(w), path);
        break;
    case 2:
        (void)mkfifo(path, 0600);
        break;
    case 3:
        (void)!link(some(w), path);
        break;
    default:
        write_file(w, path, some_size(w), O_TRUNC);
    }
}

/* Another content of the same size under the old time: only the change time tells. */
static void change_in_secret(struct world *w, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > LARGE)
        return;
    write_file(w, path, (size_t)st.st_size, 0);
    struct timespec times[2] = { st.st_mtim, st.st_mtim };
    (void)utimensat(AT_FDCWD, path, times, 0);
}

static void set_time(struct world *w, const char *path)
{
    struct timespec times[2] = { { .tv_sec = 1000000000 + below(w, 3) }, { .tv_sec = 0 } };
    times[1] = times[0];
    (void)utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static void change(struct world *w)
{
    const char *old = some(w);
    DR_FREE char *name = some_name(w);
    char value = (char)('a' + below(w, 26));
    switch (below(w, 14)) {
    case 0:
    case 1:
        make_thing(w, name);
        break;
    case 2: /* whatever it was */
        remove_path(name);
        make_thing(w, name);
        break;
    case 3:
        remove_path(old);
        make_thing(w, old);
        break;
    case 4:
        remove_path(old);
        break;
    case 5:
        (void)!rename(old, name);
        break;
    case 6:
        (void)!link(old, name);
        break;
    case 7: {
        struct stat st;
        if (lstat(old, &st) == 0 && !S_ISLNK(st.st_mode))
            (void)chmod(old, 0700 | below(w, 64));
        break;
    }
    case 8:
        (void)lsetxattr(old, "user.k", &value, 1, 0); /* not on every file system */
        break;
    case 9:
        change_in_secret(w, old);
        break;
    case 10:
        set_time(w, old);
        break;
    case 11:
        write_file(w, old, some_size(w), O_TRUNC);
        break;
    default:
        write_file(w, old, 1 + below(w, 500), O_APPEND);
    }
}

static void change_round(struct world *w, unsigned changes)
{
    look(w);
    for (unsigned i = 0; i < changes; i++) {
        DR_FREE char *name = some_name(w);
        if (w->paths.count > 0)
            change(w);
        else
            make_thing(w, name);
    }
    if (below(w, 12) > 0)
        return;
    for (size_t i = 0; i < w->paths.count; i++) /* a third of everything */
        if (below(w, 3) == 0)
            write_file(w, w->paths.items[i], 1 + below(w, 3000), O_TRUNC);
}

/* -- the cache ----------------------------------------------------------------------------- */

static void spoil_cache(struct world *w)
{
    DR_FREE char *cache = in(w, "state/toc/app");
    DR_FREE char *kept = in(w, "kept");
    struct stat st;
    switch (below(w, 10)) {
    case 0:
        (void)unlink(cache);
        break;
    case 1: /* of an earlier snapshot */
        if (rename(kept, cache) != 0)
            (void)!link(cache, kept);
        break;
    case 2: /* one bit */
        if (stat(cache, &st) == 0) {
            DR_CLEANUP(dr_close_fd) int fd = open(cache, O_RDWR | O_CLOEXEC);
            off_t at = (off_t)below(w, (unsigned)st.st_size);
            char c = 0;
            assert_int_equal(pread(fd, &c, 1, at), 1);
            c ^= 4;
            assert_int_equal(pwrite(fd, &c, 1, at), 1);
        }
        break;
    default:
        break;
    }
}

/* -- rounds -------------------------------------------------------------------------------- */

static void fail_at(const struct world *w, unsigned round, const char *what, const char *detail)
{
    fail_msg("seed %" PRIu64 ", round %u: %s: %s", w->seed, round, what, detail);
}

static void take(struct world *w, unsigned round, const char *kind, bool threads)
{
    struct work_hooks hooks = { .warning = on_warning, .arg = w };
    struct backup_wish wish = { .source = &w->config->sources[0],
                                .kind = kind,
                                .inline_work = !threads };
    struct dr_err err;
    backup_result_fini(&w->result);
    if (backup_run(w->repo, &wish, &hooks, &w->result, &err) != DR_OK)
        fail_at(w, round, "backup", err.msg);
    if (w->result.warnings > 0)
        fail_at(w, round, "a warning", w->last_warning);
    if (w->result.entries != w->entries + w->result.added - w->result.removed)
        fail_at(w, round, "counts", "entries are not those of before, with added, without removed");
    w->entries = w->result.entries;
}

static void compare(struct world *w, unsigned round, const char *what, const char *target)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    if (tree_diff(w->source, target, &out) > 0)
        fail_at(w, round, what, out.data);
    tree_remove(target);
}

static void restore(struct world *w, unsigned round)
{
    DR_FREE char *target = in(w, "by-drctl");
    struct work_hooks hooks = { .warning = on_warning, .arg = w };
    struct restore_options ro = { .to = target };
    struct restore_result result;
    struct snapshot_info info;
    struct dr_err err;
    if (repo_find(w->repo, w->result.id, "app", &info, &err) != DR_OK ||
        restore_run(w->repo, &info, &ro, &hooks, &result, &err) != DR_OK)
        fail_at(w, round, "restore", err.msg);
    snapshot_info_fini(&info);
    compare(w, round, "drctl", target);
}

/* Two strangers: a program of the page alone, and the page's own lines for GNU tar. */
static void restore_by_strangers(struct world *w, unsigned round)
{
    DR_FREE char *command = dr_strf(
        "exec 2>&1; cd tests && python3 reader.py verify %s/us %s >%s/log || { cat %s/log; exit 1; }; "
        "python3 reader.py restore %s/us %s %s/by-reader >%s/log || { cat %s/log; exit 1; }; "
        "awk '/^## .*Restoring by hand/ { here = 1 } here && /^```sh$/ { inside = 1; next } "
        "inside && /^```$/ { exit } inside' ../backup/FORMAT.md >%s/recipe.sh; mkdir %s/by-tar; "
        "BUCKET=%s/us SNAPSHOT=%s TARGET=%s/by-tar bash %s/recipe.sh >%s/log 2>&1 && "
        "! [ -s %s/log ] || { cat %s/log; exit 1; }",
        w->dir, w->result.id, w->dir, w->dir, w->dir, w->result.id, w->dir, w->dir, w->dir, w->dir,
        w->dir, w->dir, w->result.id, w->dir, w->dir, w->dir, w->dir, w->dir);
    FILE *f = popen(command, "re"); /* NOLINT: a shell is what is tested */
    char text[400] = "";
    size_t len = fread(text, 1, sizeof text - 1, f);
    text[len] = '\0';
    if (pclose(f) != 0)
        fail_at(w, round, "strangers", text);
    DR_FREE char *reader = in(w, "by-reader");
    DR_FREE char *tar = in(w, "by-tar");
    compare(w, round, "reader.py", reader);
    compare(w, round, "tar", tar);
}

static const char *some_kind(struct world *w)
{
    static const char *const kinds[] = { "full", "incremental", "incremental", NULL, NULL, NULL };
    return kinds[below(w, DR_ARRAY_LEN(kinds))];
}

static void run_world(uint64_t seed, unsigned rounds, unsigned files, unsigned strangers)
{
    struct world w;
    world_init(&w, seed);
    if (files > 0)
        tree_make_many(w.source, files, 400);
    for (unsigned round = 0; round < rounds; round++) {
        change_round(&w, files > 0 ? 60 : 1 + below(&w, 25));
        spoil_cache(&w);
        take(&w, round, some_kind(&w), below(&w, 4) == 0);
        restore(&w, round);
        if (strangers > 0 && round % strangers == strangers - 1)
            restore_by_strangers(&w, round);
    }
    world_fini(&w);
}

static unsigned scale(void)
{
    const char *text = getenv("DRCTL_ROUNDS");
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : 1;
}

static uint64_t first_seed(void)
{
    const char *text = getenv("DRCTL_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 1;
}

static void small_trees_restore_after_every_round(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20 * scale(); i++)
        run_world(first_seed() + i, 15, 0, 0);
    print_message("  seeds %" PRIu64 " to %" PRIu64 "\n", first_seed(),
                  first_seed() + 20 * scale() - 1);
}

static void strangers_restore_the_same(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 6 * scale(); i++)
        run_world(1000 + first_seed() + i, 9, 0, 3);
}

static void trees_of_several_segments_restore_after_every_round(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2 * scale(); i++)
        run_world(2000 + first_seed() + i, 5, 5000, 5);
}

int main(void)
{
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_trees_restore_after_every_round),
        cmocka_unit_test(strangers_restore_the_same),
        cmocka_unit_test(trees_of_several_segments_restore_after_every_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
