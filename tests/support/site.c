/*
 * site.c - a small world for tests of work: sources, two buckets, a configuration, a target.
 */
#include "tests/support/site.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

const char *const site_bucket_names[SITE_BUCKETS] = { "us", "eu" };

static void note(void *arg, const char *line)
{
    struct site *s = arg;
    text_list_add(&s->warnings, line);
}

static const char config_text[] = "disaster_recovery:\n"
                                  "  backup_policy:\n"
                                  "    full_backup: {frequency: daily, retention: 30d}\n"
                                  "sources:\n"
                                  "  - {name: app, path: %s, class: data}\n"
                                  "state_dir: %s/state\n"
                                  "buckets:\n"
                                  "  - {name: us, url: \"%s\", region: us-east-1%s}\n"
                                  "  - {name: eu, url: \"%s\", region: eu-west-1%s}\n";

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

void site_without_waiting(void)
{
    sys.fsync = no_sync;
    sys.syncfs = no_sync;
}

void site_make(struct site *s)
{
    site_make_at(s, NULL, NULL, "");
}

void site_make_at(struct site *s, const char *us, const char *eu, const char *more)
{
    *s = (struct site){ 0 };
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    s->top = dr_strf("%s/drsite.XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->top));
    s->src = dr_strf("%s/src", s->top);
    s->target = dr_strf("%s/target", s->top);
    assert_int_equal(mkdir(s->src, 0755), 0);
    for (int i = 0; i < SITE_BUCKETS; i++) {
        s->bucket[i] = dr_strf("%s/%s", s->top, site_bucket_names[i]);
        assert_int_equal(mkdir(s->bucket[i], 0755), 0);
    }
    DR_FREE char *first = us != NULL ? dr_strdup(us) : dr_strf("file://%s", s->bucket[0]);
    DR_FREE char *second = eu != NULL ? dr_strdup(eu) : dr_strf("file://%s", s->bucket[1]);
    DR_FREE char *text = dr_strf(config_text, s->src, s->top, first, more, second, more);
    DR_FREE char *path = dr_strf("%s/dr.yaml", s->top);
    struct dr_err err = { 0 };
    assert_int_equal(fs_replace(s->top, "dr.yaml", text, strlen(text), &err), DR_OK);
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    enum dr_rc rc = config_load(path, &d, &s->config, &err);
    if (rc != DR_OK) {
        DR_CLEANUP(buf_fini) struct buf out = { 0 };
        diag_print(&d, &out);
        fail_msg("%s", out.len > 0 ? out.data : err.msg);
    }
    s->hooks = (struct work_hooks){ .warning = note, .arg = s };
}

/* Directories first become writable: an ordinary user cannot empty what was restored read-only. */
static int open_up(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)at;
    return type == FTW_D || type == FTW_DNR ? chmod(path, (st->st_mode & 07777) | 0700) : 0;
}

static void remove_path(const char *path)
{
    struct dr_err err = { 0 };
    enum { OPEN_MAX_DIRS = 16, TRIES = 40 };
    /* A directory that could not be read is walked in the next round. */
    for (int i = 0; i < TRIES && geteuid() != 0; i++)
        (void)nftw(path, open_up, OPEN_MAX_DIRS, FTW_PHYS); /* NOLINT(concurrency-mt-unsafe) */
    if (fs_remove_tree(path, &err) != DR_OK)
        fail_msg("%s", err.msg);
}

void site_drop(struct site *s)
{
    remove_path(s->top);
    config_free(s->config);
    text_list_fini(&s->warnings);
    for (int i = 0; i < SITE_BUCKETS; i++)
        free(s->bucket[i]);
    free(s->top);
    free(s->src);
    free(s->target);
}

void site_write(const struct site *s, const char *path, const void *data, size_t len)
{
    struct dr_err err = { 0 };
    DR_FREE char *full = dr_strf("%s/%s", s->src, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    assert_int_equal(fs_make_dirs(full, 0755, &err), DR_OK);
    *slash = '/';
    DR_CLEANUP(dr_close_fd) int fd = sys_open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(fd, full, data, len, &err), DR_OK);
}

/* Bytes that do not compress and never repeat, the same in each run. */
static char *noise(size_t len, uint64_t seed)
{
    char *bytes = dr_alloc(len + 8, 1);
    for (size_t i = 0; i < len; i += 8) {
        seed ^= seed << 13; /* xorshift64 (Marsaglia 2003) */
        seed ^= seed >> 7;
        seed ^= seed << 17;
        memcpy(bytes + i, &seed, 8);
    }
    return bytes;
}

static void make_sparse(const struct site *s)
{
    DR_FREE char *path = dr_strf("%s/sparse", s->src);
    DR_CLEANUP(dr_close_fd) int fd = sys_open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "in the middle", 13, 512 << 10), 13);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
}

void site_fill(const struct site *s)
{
    for (int i = 0; i < 12; i++) {
        DR_FREE char *path = dr_strf("d%d/file%02d", i % 3, i);
        DR_FREE char *text = dr_strf("file %d says hello, %d times\n", i, i * 1000);
        site_write(s, path, text, strlen(text));
    }
    for (unsigned i = 0; i < 2; i++) {
        DR_FREE char *path = dr_strf("large/big%u", i);
        DR_FREE char *bytes = noise((260u << 10) + i * 77777, 42 + i);
        site_write(s, path, bytes, (260u << 10) + i * 77777);
    }
    site_write(s, "empty", "", 0);
    site_write(s, "deep/er/and/deeper/leaf", "leaf", 4);
    site_write(s, "name with \xc3\xbc and space", "u", 1);
    make_sparse(s);
    int failed = 0;
    DR_CLEANUP(dr_close_fd) int dir = sys_open(s->src, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    failed |= linkat(dir, "d0/file00", dir, "hard", 0);
    failed |= linkat(dir, "large/big0", dir, "large/same", 0);
    failed |= symlinkat("d0/file00", dir, "soft");
    failed |= symlinkat("/nowhere/at/all", dir, "d1/dangling");
    failed |= mkfifoat(dir, "fifo", 0640);
    failed |= fchmodat(dir, "d0/file03", 0400, 0);
    failed |= mkdirat(dir, "shut", 0700);
    failed |= symlinkat("x", dir, "shut/inside");
    failed |= fchmodat(dir, "shut", 0500, 0);
    const struct timespec times[2] = { { .tv_sec = 1000000001, .tv_nsec = 1 },
                                       { .tv_sec = 1000000000, .tv_nsec = 987654321 } };
    failed |= utimensat(dir, "d2", times, 0);
    failed |= utimensat(dir, "d0/file03", times, 0);
    assert_int_equal(failed, 0);
}

struct repo *site_open(const struct site *s)
{
    struct dr_err err = { 0 };
    struct repo *r = NULL;
    const struct repo_options none = { 0 };
    if (repo_open(s->config, &none, &r, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return r;
}

void site_backup(struct site *s, struct snapshot_info *ret)
{
    struct dr_err err = { 0 };
    if (repo_init(s->config, &err) != DR_OK)
        fail_msg("%s", err.msg);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(s);
    struct backup_result result = { 0 };
    if (backup_run(r, &(struct backup_wish){ .source = &s->config->sources[0], .kind = "full" },
                   &s->hooks, &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(result.copies, SITE_BUCKETS);
    if (repo_find(r, result.id, NULL, ret, &err) != DR_OK)
        fail_msg("%s", err.msg);
    backup_result_fini(&result);
}

enum dr_rc site_restore(struct site *s, struct restore_result *ret, struct dr_err *err)
{
    const struct repo_options none = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
    DR_TRY(repo_open(s->config, &none, &r, err));
    DR_CLEANUP(snapshot_info_fini) struct snapshot_info info = { 0 };
    DR_TRY(repo_find(r, "latest", "app", &info, err));
    const struct restore_options to = { .to = s->target };
    return restore_run(r, &info, &to, &s->hooks, ret, err);
}

void site_clear_target(const struct site *s)
{
    remove_path(s->target);
    DR_FREE char *mark = dr_strf("%s/.target.drctl-restore", s->top);
    (void)unlink(mark);
}

bool site_warned(const struct site *s, const char *a, const char *b)
{
    for (size_t i = 0; i < s->warnings.count; i++) {
        if (strstr(s->warnings.items[i], a) != NULL && strstr(s->warnings.items[i], b) != NULL)
            return true;
    }
    return false;
}

/* -- comparison ---------------------------------------------------------------------------- */

static char *link_text(const char *path)
{
    char *text = dr_alloc(4096, 1);
    assert_true(readlink(path, text, 4095) >= 0);
    return text;
}

static void assert_same_bytes(const char *a, const char *b)
{
    static char x[256 << 10], y[sizeof(x)];
    if (geteuid() != 0 && access(a, R_OK) != 0)
        return;
    DR_CLEANUP(dr_close_fd) int from = open(a, O_RDONLY | O_CLOEXEC);
    DR_CLEANUP(dr_close_fd) int to = open(b, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;
    while (n > 0) {
        n = read(from, x, sizeof(x));
        if (n < 0 || read(to, y, sizeof(y)) != n || memcmp(x, y, (size_t)n) != 0)
            fail_msg("'%s' has other content", b);
    }
}

static void assert_same_entry(const char *a, const char *b)
{
    struct stat x = { 0 }, y = { 0 };
    if (lstat(a, &x) < 0 || lstat(b, &y) < 0)
        fail_msg("'%s' or '%s' is missing", a, b);
    bool size = S_ISDIR(x.st_mode) || x.st_size == y.st_size;
    bool links = S_ISDIR(x.st_mode) || x.st_nlink == y.st_nlink;
    if (x.st_mode != y.st_mode || x.st_uid != y.st_uid || x.st_gid != y.st_gid || !size || !links)
        fail_msg("'%s': mode %o, owner %u.%u, size %lld, links %lu are not those of the source", b,
                 y.st_mode, y.st_uid, y.st_gid, (long long)y.st_size, (unsigned long)y.st_nlink);
    if (x.st_mtim.tv_sec != y.st_mtim.tv_sec || x.st_mtim.tv_nsec != y.st_mtim.tv_nsec)
        fail_msg("'%s' has another time", b);
    if (S_ISREG(x.st_mode))
        assert_same_bytes(a, b);
    if (!S_ISLNK(x.st_mode))
        return;
    DR_FREE char *p = link_text(a);
    DR_FREE char *q = link_text(b);
    assert_string_equal(p, q);
}

/* Each entry below 'from' is in 'to', and is the same; their number comes back. */
static size_t walk_both(const char *from, const char *to)
{
    DR_FREE char *top = dr_strdup(from);
    char *const roots[] = { top, NULL };
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    assert_non_null(walk);
    size_t count = 0;
    const FTSENT *e;
    while ((e = fts_read(walk)) != NULL) {
        if (e->fts_info == FTS_DP)
            continue;
        DR_FREE char *other = dr_strf("%s%s", to, e->fts_path + strlen(from));
        assert_same_entry(e->fts_path, other);
        count++;
    }
    fts_close(walk);
    return count;
}

void site_assert_restored(const struct site *s)
{
    assert_int_equal(walk_both(s->src, s->target), walk_both(s->target, s->src));
}

/* -- damage -------------------------------------------------------------------------------- */

void site_damage_at(const struct site *s, int bucket, const char *name, enum site_damage how,
                    uint64_t offset)
{
    DR_FREE char *path = dr_strf("%s/%s", s->bucket[bucket], name);
    if (how == SITE_DELETE) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    assert_int_equal(chmod(path, 0600), 0);
    DR_CLEANUP(dr_close_fd) int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    if (how == SITE_TRUNCATE) {
        assert_int_equal(ftruncate(fd, (off_t)offset), 0);
        return;
    }
    char byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
}

void site_damage(const struct site *s, int bucket, const char *name, enum site_damage how,
                 int percent)
{
    struct stat st;
    DR_FREE char *path = dr_strf("%s/%s", s->bucket[bucket], name);
    assert_int_equal(stat(path, &st), 0);
    site_damage_at(s, bucket, name, how, (uint64_t)st.st_size * (unsigned)percent / 100);
}

void site_objects(const struct site *s, int bucket, const char *prefix, struct text_list *ret)
{
    struct dr_err err = { 0 };
    DR_FREE char *url = dr_strf("file://%s", s->bucket[bucket]);
    DR_CLEANUP(store_close_ptr) struct store *store = NULL;
    assert_int_equal(store_open_url(site_bucket_names[bucket], NULL, url, &store, &err), DR_OK);
    assert_int_equal(store_list(store, prefix, ret, &err), DR_OK);
}
