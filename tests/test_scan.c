/*
 * The scan: every entry once, in path order, whatever the number of threads; what changes or fails
 * under it is told at its place and nothing else is lost. Runs under TSan.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/format/limits.h"
#include "backup/format/path.h"
#include "backup/work/scan.h"
#include "backup/work/scan_open.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/base/text.h"
#include "tests/support/fault.h"
#include "tests/support/tree.h"

static char *top, *other;

static int make_top(void **state)
{
    (void)state;
    top = tree_temp();
    other = tree_temp();
    return 0;
}

static struct sys_ops real_sys;

static int drop_top(void **state)
{
    (void)state;
    if (real_sys.openat != NULL) /* a test that failed may have left its own */
        sys = real_sys;
    struct dr_err err = { 0 };
    bool done = fs_remove_tree(top, &err) == DR_OK && fs_remove_tree(other, &err) == DR_OK;
    free(top);
    free(other);
    return done ? 0 : -1;
}

/* -- what a scan says, as text --------------------------------------------------------------- */

static void note_warning(void *arg, const char *path, const char *what)
{
    buf_addf(arg, "! %s: %s\n", path, what);
}

static void note_entry(struct buf *log, const struct scan_entry *e)
{
    const struct scan_stat *s = &e->st;
    assert_int_equal(strlen(e->path), e->path_len);
    buf_addf(log, "%s %o %ju %ju %u %u %u %jd.%u %jd.%u %ju %ju %ju\n", e->path, s->mode,
             (uintmax_t)s->size, (uintmax_t)s->blocks, s->uid, s->gid, s->nlink,
             (intmax_t)s->mtime_s, s->mtime_ns, (intmax_t)s->ctime_s, s->ctime_ns,
             (uintmax_t)s->dev, (uintmax_t)s->ino, (uintmax_t)s->rdev);
}

/* Entries, in log if not NULL; warnings too. */
static size_t run(struct scan_options o, struct buf *log)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(scan_free_ptr) struct scan *s = NULL;
    const struct scan_entry *e;
    size_t count = 0;
    o.root = o.root == NULL ? top : o.root;
    o.warning = note_warning;
    o.arg = log;
    assert_int_equal(scan_new(&o, &s, &err), DR_OK);
    for (;; count++) {
        assert_int_equal(scan_next(s, &e, &err), DR_OK);
        if (e == NULL)
            return count;
        note_entry(log, e);
    }
}

/* Paths and warnings alone, each in brackets: short enough to be written down. */
static char *run_paths(struct scan_options o)
{
    DR_CLEANUP(buf_fini) struct buf log = { 0 };
    struct buf out = { 0 };
    run(o, &log);
    for (const char *at = log.data; *at != '\0'; at = strchr(at, '\n') + 1) {
        int len = (int)(*at == '!' ? strcspn(at, "\n") : strcspn(at, " "));
        buf_addf(&out, "[%.*s]", len, at);
    }
    return buf_take(&out);
}

static void assert_paths(struct scan_options o, const char *expected)
{
    for (o.threads = 0; o.threads < 4; o.threads++) {
        DR_FREE char *got = run_paths(o);
        assert_string_equal(got, expected);
    }
}

/* Nor does the spool, where the names of long directories are sorted. */
static size_t assert_threads_change_nothing(void)
{
    DR_CLEANUP(buf_fini) struct buf one = { 0 };
    size_t count = run((struct scan_options){ .threads = 0 }, &one);
    for (unsigned threads = 1; threads < 4; threads++) {
        DR_CLEANUP(buf_fini) struct buf many = { 0 };
        struct scan_options o = { .threads = threads, .state_dir = threads == 1 ? NULL : other };
        assert_int_equal(run(o, &many), count);
        assert_int_equal(many.len, one.len);
        assert_memory_equal(many.data, one.data, one.len);
    }
    return count;
}

/* -- trees ----------------------------------------------------------------------------------- */

static char *below(const char *path)
{
    return dr_strf("%s/%s", top, path);
}

static void make_dir(const char *path)
{
    DR_FREE char *full = below(path);
    assert_int_equal(mkdir(full, 0755), 0);
}

static void make_file(const char *path, const char *text)
{
    DR_FREE char *full = below(path);
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* A chain of directories below top, each with a file; names have len bytes. */
static void make_chain(unsigned depth, size_t len)
{
    char name[256];
    memset(name, 'd', len);
    name[len] = '\0';
    DR_CLEANUP(dr_close_fd) int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < depth; i++) {
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        assert_int_equal(mknodat(fd, "e", S_IFREG | 0644, 0), 0);
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
}

/* Takes the second link to the top, and the first away, again and again. */
static void remove_chain(void)
{
    DR_CLEANUP(dr_close_fd) int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (renameat(fd, "d/d", fd, "next") == 0) {
        assert_int_equal(unlinkat(fd, "d/e", 0), 0);
        assert_int_equal(unlinkat(fd, "d", AT_REMOVEDIR), 0);
        assert_int_equal(renameat(fd, "next", fd, "d"), 0);
    }
}

static unsigned below_limit(uint64_t *state, unsigned limit)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(*state >> 33) % limit;
}

/* Directories in directories, names of odd bytes, some links and FIFOs. */
static void make_random(uint64_t seed, unsigned count)
{
    static const char bytes[] = ".-/ab\x01\xff !~";
    DR_CLEANUP(text_list_fini) struct text_list dirs = { 0 };
    text_list_add(&dirs, top);
    for (unsigned i = 0; i < count; i++) {
        const char *dir = dirs.items[below_limit(&seed, (unsigned)dirs.count)];
        char name[4] = { 0 };
        for (unsigned k = 0, len = 1 + below_limit(&seed, 3); k < len; k++)
            name[k] = bytes[below_limit(&seed, sizeof bytes - 1)];
        DR_FREE char *path = dr_strf("%s/%s", dir, name);
        unsigned kind = below_limit(&seed, 10);
        if (strchr(name, '/') != NULL || strlen(path) > 3000)
            continue;
        if (kind < 4 && mkdir(path, 0755) == 0)
            text_list_add(&dirs, path);
        else if (kind < 8)
            (void)mknod(path, S_IFREG | 0600, 0); /* it may be there already: no matter */
        else if (kind == 8 ? symlink("/etc", path) < 0 : mkfifo(path, 0600) < 0)
            assert_int_equal(errno, EEXIST);
    }
}

/* -- order, completeness --------------------------------------------------------------------- */

static void entries_come_once_in_path_order_with_their_stat(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    tree_make(top, TREE_ODD);
    struct scan_options o = { .root = top, .threads = 2, .warning = note_warning };
    DR_CLEANUP(buf_fini) struct buf warnings = { 0 };
    o.arg = &warnings;
    DR_CLEANUP(scan_free_ptr) struct scan *s = NULL;
    assert_int_equal(scan_new(&o, &s, &err), DR_OK);
    DR_FREE char *before = NULL;
    const struct scan_entry *e;
    while (assert_int_equal(scan_next(s, &e, &err), DR_OK), e != NULL) {
        struct stat st;
        struct scan_stat want;
        if (before != NULL)
            assert_true(path_compare(before, e->path) < 0);
        free(before);
        before = dr_strdup(e->path);
        if (e->path_len > PATH_LEN_MAX / 32)
            continue; /* beyond PATH_MAX: another test */
        DR_FREE char *full = below(e->path);
        assert_int_equal(lstat(full, &st), 0);
        scan_stat_set(&want, &st);
        assert_memory_equal(&want, &e->st, sizeof want);
    }
    assert_int_equal(warnings.len, 0);
    tree_remove(top); /* whatever the modes in it */
}

static void a_directory_is_followed_by_what_it_holds(void **state)
{
    (void)state;
    make_dir("a");
    make_dir("a/c");
    make_file("a/c/x", "");
    make_file("a.b", "");
    make_file("a/b", "");
    make_dir("a-");
    make_file("\xff", "");
    make_dir("empty");
    assert_paths((struct scan_options){ 0 }, "[][a][a/b][a/c][a/c/x][a-][a.b][empty][\xff]");
}

static void sockets_are_passed_over_in_silence(void **state)
{
    (void)state;
    DR_FREE char *path = below("s");
    assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
    make_file("t", "");
    assert_paths((struct scan_options){ 0 }, "[][t]");
}

static void threads_change_nothing_in_random_trees(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        make_random(seed * 77, 300 * (unsigned)seed);
        print_message("seed %ju: %zu entries\n", (uintmax_t)seed, assert_threads_change_nothing());
    }
}

/* Links are made quickly. dirs: so many of the entries are directories with one file. */
static void make_long(unsigned count, unsigned dirs)
{
    enum { FILES = 16 };
    char name[32], file[32];
    DR_CLEANUP(dr_close_fd) int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "common%05u", i * 7919 % count); /* cannot be cut */
        (void)snprintf(file, sizeof file, "file%u", i % FILES);
        if (i < FILES)
            assert_int_equal(mknodat(fd, file, S_IFREG | 0644, 0), 0);
        if (i >= dirs) {
            assert_int_equal(linkat(fd, file, fd, name, 0), 0);
            continue;
        }
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        strcat(name, "/x");
        assert_int_equal(mknodat(fd, name, S_IFREG | 0644, 0), 0);
    }
}

/* More than the window: helpers have to wait, batches of one directory are shared, the spool is used. */
static void threads_change_nothing_in_a_directory_of_100000(void **state)
{
    (void)state;
    make_long(100000, 20);
    assert_int_equal(assert_threads_change_nothing(), 1 + 16 + 100000 + 20);
}

static __thread bool listed_again;

/* At its end the directory begins once more. */
static ssize_t twice_getdents64(int fd, void *data, size_t len)
{
    ssize_t got = real_sys.getdents64(fd, data, len);
    if (got != 0)
        return got;
    listed_again = !listed_again;
    if (!listed_again)
        return 0;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return real_sys.getdents64(fd, data, len);
}

static void a_name_that_is_listed_twice_comes_once(void **state)
{
    (void)state;
    make_dir("d");
    make_file("d/a", "");
    make_file("d/b", "");
    make_long(30000, 0);
    DR_CLEANUP(buf_fini) struct buf once = { 0 };
    size_t count = run((struct scan_options){ 0 }, &once);
    real_sys = sys;
    sys.getdents64 = twice_getdents64;
    for (unsigned i = 0; i < 4; i++) {
        DR_CLEANUP(buf_fini) struct buf twice = { 0 };
        struct scan_options o = { .threads = i & 1, .state_dir = i < 2 ? NULL : other };
        assert_int_equal(run(o, &twice), count);
        assert_string_equal(once.data, twice.data);
    }
    sys = real_sys;
}

static ssize_t full_write(int fd, const void *data, size_t len)
{
    (void)fd, (void)data, (void)len;
    errno = ENOSPC;
    return -1;
}

static void no_room_in_the_spool_is_an_error(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    make_long(60000, 1);
    real_sys = sys;
    sys.write = full_write;
    for (unsigned threads = 0; threads < 3; threads++) {
        struct scan_options o = { .root = top, .state_dir = other, .threads = threads };
        DR_CLEANUP(scan_free_ptr) struct scan *s = NULL;
        const struct scan_entry *e;
        assert_int_equal(scan_new(&o, &s, &err), DR_OK);
        assert_int_equal(scan_next(s, &e, &err), DR_OK);
        assert_int_equal(scan_next(s, &e, &err), DR_E_NOSPACE);
    }
    sys = real_sys;
}

/* 8 KiB of path; the walk may hold no descriptor for a level. */
static void depth_ends_at_the_limit_of_the_format_only(void **state)
{
    (void)state;
    struct rlimit before, few;
    make_chain(PATH_DEPTH_MAX + 2, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){ .rlim_cur = 40, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (unsigned threads = 0; threads < 3; threads++) {
        DR_CLEANUP(buf_fini) struct buf log = { 0 };
        assert_int_equal(run((struct scan_options){ .threads = threads }, &log),
                         1 + 2 * PATH_DEPTH_MAX);
        const char *warning = strstr(log.data, "! ");
        assert_non_null(warning); /* two names, d and e, below the last directory */
        warning = strstr(warning, "e: its path is beyond the limits\n");
        assert_non_null(warning);
        assert_null(strstr(warning + 1, "! "));
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    remove_chain();
}

static void paths_longer_than_path_max_are_walked_and_opened(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    make_chain(60, 255);
    assert_int_equal(assert_threads_change_nothing(), 1 + 2 * 60);
    struct scan_options o = { .root = top };
    DR_CLEANUP(scan_free_ptr) struct scan *s = NULL;
    const struct scan_entry *e;
    assert_int_equal(scan_new(&o, &s, &err), DR_OK);
    DR_CLEANUP(scan_opener_free_ptr) struct scan_opener *opener = scan_opener_new(scan_root(s));
    while (assert_int_equal(scan_next(s, &e, &err), DR_OK), e != NULL) {
        struct stat st;
        DR_CLEANUP(dr_close_fd) int fd = scan_opener_file(opener, e->path, S_ISDIR(e->st.mode));
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(st.st_ino == e->st.ino);
    }
}

static void a_scan_may_be_left_at_any_entry(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct scan_options o = { .root = top };
    make_random(5, 800);
    for (unsigned leave = 0; leave < 120; leave++) {
        DR_CLEANUP(scan_free_ptr) struct scan *s = NULL;
        const struct scan_entry *e;
        o.threads = leave % 4;
        assert_int_equal(scan_new(&o, &s, &err), DR_OK);
        for (unsigned i = 0; i < leave; i++)
            assert_int_equal(scan_next(s, &e, &err), DR_OK);
    }
}

static void a_root_that_is_no_directory_is_an_error(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct scan *s = NULL;
    make_file("f", "");
    DR_FREE char *file = below("f"), *none = below("none");
    struct scan_options o = { .root = file };
    assert_int_not_equal(scan_new(&o, &s, &err), DR_OK);
    assert_non_null(strstr(err.msg, "cannot read the directory"));
    o.root = none;
    assert_int_equal(scan_new(&o, &s, &err), DR_E_NOTFOUND);
    assert_null(s);
}

/* -- what is left out ------------------------------------------------------------------------ */

static atomic_uint looked_at_out; /* stat or open of something named "out" */

static bool is_named(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash == NULL ? path : slash + 1, name) == 0;
}

static int count_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    looked_at_out += is_named(path, "out");
    return real_sys.fstatat(dir, path, st, flags);
}

static int count_openat2(int dir, const char *path, const struct open_how *how)
{
    looked_at_out += is_named(path, "out");
    return real_sys.openat2(dir, path, how);
}

static void what_is_excluded_is_neither_entered_nor_looked_at(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(exclude_free_ptr) struct exclude *x = exclude_new();
    assert_int_equal(exclude_add(x, "out/", &err), DR_OK);
    assert_int_equal(exclude_add(x, "/a/*.o", &err), DR_OK);
    make_dir("a");
    make_dir("a/out");
    make_file("a/out/x", "");
    make_file("a/x.o", "");
    make_dir("a/b");
    make_file("a/b/x.o", "");
    real_sys = sys;
    sys.fstatat = count_fstatat;
    sys.openat2 = count_openat2;
    looked_at_out = 0;
    assert_paths((struct scan_options){ .exclude = x }, "[][a][a/b][a/b/x.o]");
    assert_int_equal(looked_at_out, 0);
    sys = real_sys;
}

static void of_a_cache_its_tag_is_kept(void **state)
{
    (void)state;
    static const char tag[] = "Signature: 8a477f597d28d172789f06886806bc55\nwhy\n";
    static const char *const dirs[] = { "cache", "short", "wrong", "link", "none" };
    for (size_t i = 0; i < DR_ARRAY_LEN(dirs); i++) {
        DR_FREE char *file = dr_strf("%s/x", dirs[i]);
        make_dir(dirs[i]);
        make_file(file, "");
    }
    make_file("cache/CACHEDIR.TAG", tag);
    make_dir("cache/sub");
    make_file("short/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc5");
    make_file("wrong/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc56");
    DR_FREE char *link = below("link/CACHEDIR.TAG");
    assert_int_equal(symlink("../cache/CACHEDIR.TAG", link), 0);
    struct scan_options o = { .exclude_caches = true };
    assert_paths(o, "[][cache][cache/CACHEDIR.TAG][link][link/CACHEDIR.TAG][link/x][none][none/x]"
                    "[short][short/CACHEDIR.TAG][short/x][wrong][wrong/CACHEDIR.TAG][wrong/x]");
    DR_FREE char *cache = below("cache");
    o.root = cache;
    assert_paths(o, "[][CACHEDIR.TAG]");
    o.exclude_caches = false;
    assert_paths(o, "[][CACHEDIR.TAG][sub][x]");
}

static int other_device_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    int r = real_sys.fstatat(dir, path, st, flags);
    if (r == 0 && is_named(path, "mnt"))
        st->st_dev++;
    return r;
}

static void another_file_system_comes_as_an_empty_directory(void **state)
{
    (void)state;
    make_dir("mnt");
    make_file("mnt/x", "");
    make_dir("n");
    make_file("n/mnt", "");
    make_file("n/x", "");
    real_sys = sys;
    sys.fstatat = other_device_fstatat;
    assert_paths((struct scan_options){ .one_file_system = true }, "[][mnt][n][n/mnt][n/x]");
    sys = real_sys;
    assert_paths((struct scan_options){ .one_file_system = true }, "[][mnt][mnt/x][n][n/mnt][n/x]");
}

/* -- misfortune ------------------------------------------------------------------------------ */

static int failing; /* errno */

static int bad_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    if (strncmp(path, "bad", 3) != 0)
        return real_sys.fstatat(dir, path, st, flags);
    errno = failing;
    return -1;
}

static int bad_openat2(int dir, const char *path, const struct open_how *how)
{
    if (!is_named(path, "bad"))
        return real_sys.openat2(dir, path, how);
    errno = failing;
    return -1;
}

static void what_vanished_or_cannot_be_read_is_told_in_its_place(void **state)
{
    (void)state;
    make_dir("a");
    make_file("a/bad1", "");
    make_file("a/c", "");
    make_file("a/bad2", "");
    make_dir("bad3");
    make_file("z", "");
    real_sys = sys;
    sys.fstatat = bad_fstatat;
    failing = ENOENT;
    assert_paths((struct scan_options){ 0 },
                 "[][a][! a/bad1: No such file or directory][! a/bad2: No such file or directory]"
                 "[a/c][! bad3: No such file or directory][z]");
    failing = EIO;
    assert_paths((struct scan_options){ 0 },
                 "[][a][! a/bad1: Input/output error][! a/bad2: Input/output error]"
                 "[a/c][! bad3: Input/output error][z]");
    sys = real_sys;
}

static void a_directory_that_cannot_be_opened_still_comes(void **state)
{
    (void)state;
    make_dir("bad");
    make_file("bad/x", "");
    make_file("z", "");
    real_sys = sys;
    sys.openat2 = bad_openat2;
    failing = EACCES;
    assert_paths((struct scan_options){ 0 }, "[][bad][! bad: Permission denied][z]");
    failing = EIO;
    assert_paths((struct scan_options){ 0 }, "[][bad][! bad: Input/output error][z]");
    sys = real_sys;
}

static void who_may_not_read_is_told_so(void **state)
{
    (void)state;
    bool root = geteuid() == 0;
    make_dir("d");
    make_file("d/x", "");
    DR_FREE char *path = below("d");
    assert_int_equal(chmod(path, 0), 0);
    assert_paths((struct scan_options){ 0 }, root ? "[][d][d/x]" : "[][d][! d: Permission denied]");
    assert_int_equal(chmod(path, 0755), 0);
}

static atomic_uint listings;

static ssize_t second_getdents64(int fd, void *data, size_t len)
{
    if (++listings != 2) /* the root is listed by 1 and 2 */
        return real_sys.getdents64(fd, data, len);
    errno = EIO;
    return -1;
}

static void a_listing_that_breaks_off_keeps_what_was_listed(void **state)
{
    (void)state;
    make_file("a", "");
    make_file("b", "");
    real_sys = sys;
    sys.getdents64 = second_getdents64;
    for (unsigned threads = 0; threads < 3; threads++) {
        listings = 0;
        DR_FREE char *got = run_paths((struct scan_options){ .threads = threads });
        assert_string_equal(got, "[][! .: Input/output error][a][b]");
    }
    sys = real_sys;
}

/* -- a tree that changes under the scan ------------------------------------------------------ */

static const char *replacement; /* what stands in the place of "victim" when that is opened */

static void replace_victim(void)
{
    DR_FREE char *victim = below("victim"), *moved = below("moved");
    assert_int_equal(rename(victim, moved), 0);
    if (strcmp(replacement, "fifo") == 0)
        assert_int_equal(mkfifo(victim, 0600), 0);
    else if (strcmp(replacement, "directory") == 0)
        assert_int_equal(mkdir(victim, 0700), 0);
    else if (strcmp(replacement, "nothing") != 0)
        assert_int_equal(symlink(replacement, victim), 0);
}

static void restore_victim(void)
{
    DR_FREE char *victim = below("victim"), *moved = below("moved");
    (void)unlink(victim); /* one of the two does it */
    (void)rmdir(victim);
    assert_int_equal(rename(moved, victim), 0);
}

/* The path of openat2() holds all parts: the victim is changed when it, or what is below, comes. */
static const char *trigger;

static int replacing_openat2(int dir, const char *path, const struct open_how *how)
{
    if (strcmp(path, trigger) == 0)
        replace_victim();
    return real_sys.openat2(dir, path, how);
}

static void a_directory_that_is_replaced_gives_a_warning_never_a_wrong_path(void **state)
{
    (void)state;
    static const struct {
        const char *by, *when, *expected;
    } cases[] = {
        { "fifo", "victim", "[][victim][! victim: was replaced while it was read][z]" },
        { "..", "victim", "[][victim][! victim: was replaced while it was read][z]" },
        { "/etc", "victim", "[][victim][! victim: was replaced while it was read][z]" },
        { "directory", "victim", "[][victim][! victim: was replaced while it was read][z]" },
        { "nothing", "victim", "[][victim][! victim: No such file or directory][z]" },
        { "/", "victim/etc",
          "[][victim][victim/etc][! victim/etc: was replaced while it was read][victim/y][z]" },
        { "nothing", "victim/etc",
          "[][victim][victim/etc][! victim/etc: No such file or directory][victim/y][z]" },
    };
    make_dir("victim");
    make_dir("victim/etc");
    make_file("victim/etc/x", "");
    make_file("victim/y", "");
    make_file("z", "");
    real_sys = sys;
    sys.openat2 = replacing_openat2;
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++)
        for (unsigned threads = 0; threads < 3; threads++) {
            replacement = cases[i].by;
            trigger = cases[i].when;
            DR_FREE char *got = run_paths((struct scan_options){ .threads = threads });
            restore_victim();
            assert_string_equal(got, cases[i].expected);
        }
    sys = real_sys;
}

static atomic_uint opened_roots;

static int once_openat2(int dir, const char *path, const struct open_how *how)
{
    if (strcmp(path, "victim") == 0 && ++opened_roots == 2) /* for its second batch */
        replace_victim();
    return real_sys.openat2(dir, path, how);
}

static void a_long_directory_that_is_moved_loses_the_rest_with_a_warning(void **state)
{
    (void)state;
    enum { COUNT = SCAN_BATCH + 10 };
    char name[32];
    make_dir("victim");
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "victim/%05u", i); /* cannot be cut */
        make_file(name, "");
    }
    real_sys = sys;
    sys.openat2 = once_openat2;
    replacement = "directory";
    for (unsigned threads = 0; threads < 3; threads++) {
        DR_CLEANUP(buf_fini) struct buf log = { 0 };
        opened_roots = 0;
        assert_int_equal(run((struct scan_options){ .threads = threads }, &log), 2 + SCAN_BATCH);
        restore_victim();
        assert_true(strcmp(strstr(log.data, "! "), "! victim: was replaced while it was read\n") ==
                    0);
    }
    sys = real_sys;
}

/* Each call of the kernel fails once: the scan ends, holds nothing open, and says that something is missing. */
static void any_call_may_fail(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf whole = { 0 };
    make_dir("a");
    make_file("a/b", "");
    make_file("a/CACHEDIR.TAG", "no");
    make_dir("a/c");
    make_file("d", "");
    struct scan_options o = { .root = top, .exclude_caches = true, .warning = note_warning };
    run(o, &whole);
    bool fired = true;
    for (unsigned n = 1; fired; n++) {
        DR_CLEANUP(buf_fini) struct buf log = { 0 };
        const struct scan_entry *e = NULL;
        struct scan *s = NULL;
        o.arg = &log;
        fault_arm(FAULT_ERRNO, n);
        enum dr_rc rc = scan_new(&o, &s, &err);
        while (rc == DR_OK && scan_next(s, &e, &err) == DR_OK && e != NULL)
            note_entry(&log, e);
        scan_free(s);
        assert_int_equal(fault_open_fds(), 0);
        fired = fault_disarm();
        if (rc == DR_OK && (log.len != whole.len || memcmp(log.data, whole.data, log.len) != 0))
            assert_non_null(strstr(log.data, "! "));
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_top, drop_top)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(entries_come_once_in_path_order_with_their_stat),
        TEST(a_directory_is_followed_by_what_it_holds),
        TEST(sockets_are_passed_over_in_silence),
        TEST(threads_change_nothing_in_random_trees),
        TEST(threads_change_nothing_in_a_directory_of_100000),
        TEST(a_name_that_is_listed_twice_comes_once),
        TEST(no_room_in_the_spool_is_an_error),
        TEST(depth_ends_at_the_limit_of_the_format_only),
        TEST(paths_longer_than_path_max_are_walked_and_opened),
        TEST(a_scan_may_be_left_at_any_entry),
        TEST(a_root_that_is_no_directory_is_an_error),
        TEST(what_is_excluded_is_neither_entered_nor_looked_at),
        TEST(of_a_cache_its_tag_is_kept),
        TEST(another_file_system_comes_as_an_empty_directory),
        TEST(what_vanished_or_cannot_be_read_is_told_in_its_place),
        TEST(a_directory_that_cannot_be_opened_still_comes),
        TEST(who_may_not_read_is_told_so),
        TEST(a_listing_that_breaks_off_keeps_what_was_listed),
        TEST(a_directory_that_is_replaced_gives_a_warning_never_a_wrong_path),
        TEST(a_long_directory_that_is_moved_loses_the_rest_with_a_warning),
        TEST(any_call_may_fail),
    };
    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
