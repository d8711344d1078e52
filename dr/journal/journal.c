/*
 * journal.c - one run's directory: its journal file and its inbox.
 *
 * STATE_DIR/runs/R-1/journal.jsonl is locked by its writer with an open file description lock, which the
 * kernel takes off when the process dies in whatever way. A failed append leaves the end of
 * the file in doubt; the struct then refuses everything, and the next open decides by the bytes.
 */
#include "dr/journal/journal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

struct journal {
    int fd;
    char *path;
    bool in_doubt;
    struct journal_records all;
};

static char *run_dir(const char *state_dir, const char *run)
{
    return dr_strf("%s/runs/%s", state_dir, run);
}

static enum dr_rc check_run(const char *run, struct dr_err *err)
{
    bool good = run[0] != '\0' && strchr("RDT", run[0]) != NULL && run[1] == '-' &&
                run[2] != '\0' && strlen(run) < RUN_ID_MAX &&
                strspn(run + 2, "0123456789") == strlen(run + 2);
    if (good)
        return DR_OK;
    (void)dr_fail(err, DR_E_USAGE, "'%s' is not the id of a run", run);
    return dr_hint(err, "Runs are called R-1, R-2 ..., drills D-3; see drctl runs.");
}

static enum dr_rc lock(int fd, const char *path, struct dr_err *err)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
        return DR_OK;
    if (errno == EAGAIN || errno == EACCES)
        return dr_fail(err, DR_E_BUSY, "another process is writing '%s'", path);
    return dr_fail_sys(err, errno, "cannot lock '%s'", path);
}

static struct journal *journal_of(char *path, int fd)
{
    struct journal *j = dr_alloc(1, sizeof(*j));
    j->path = path;
    j->fd = fd;
    return j;
}

enum dr_rc journal_create(const char *state_dir, const char *run, struct journal **ret,
                          struct dr_err *err)
{
    DR_TRY(check_run(run, err));
    DR_FREE char *runs = dr_strf("%s/runs", state_dir);
    DR_FREE char *dir = run_dir(state_dir, run);
    DR_TRY(fs_make_dirs(runs, 0700, err));
    if (sys.mkdirat(AT_FDCWD, dir, 0700) < 0) {
        if (errno == EEXIST)
            return dr_fail(err, DR_E_EXISTS, "run '%s' exists already", run);
        return dr_fail_sys(err, errno, "cannot create directory '%s'", dir);
    }
    DR_TRY(fs_sync_dir(runs, err));
    DR_FREE char *path = dr_strf("%s/journal.jsonl", dir);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot create '%s'", path);
    DR_TRY(lock(fd, path, err));
    DR_TRY(fs_sync_dir(dir, err));
    *ret = journal_of(DR_TAKE(path), dr_take_fd(&fd));
    return DR_OK;
}

enum dr_rc journal_open(const char *state_dir, const char *run, struct journal **ret,
                        struct dr_err *err)
{
    DR_TRY(check_run(run, err));
    DR_FREE char *path = dr_strf("%s/runs/%s/journal.jsonl", state_dir, run);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0 && errno == ENOENT)
        return dr_fail(err, DR_E_NOTFOUND, "there is no run '%s'", run);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    DR_TRY(lock(fd, path, err));

    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    size_t whole = 0;
    DR_TRY(fs_read_file(path, JOURNAL_FILE_MAX, &bytes, err));
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    if (journal_parse(bytes.data, bytes.len, &all, &whole, err) != DR_OK)
        return dr_context(err, "'%s'", path);
    if (whole < bytes.len) {
        if (sys.ftruncate(fd, (off_t)whole) < 0)
            return dr_fail_sys(err, errno, "cannot cut the incomplete last line of '%s'", path);
        if (sys.fsync(fd) < 0)
            return dr_fail_sys(err, errno, "cannot sync '%s'", path);
    }
    *ret = journal_of(DR_TAKE(path), dr_take_fd(&fd));
    (*ret)->all = all;
    all = (struct journal_records){ 0 };
    return DR_OK;
}

void journal_close(struct journal *j)
{
    if (j == NULL)
        return;
    dr_close_fd(&j->fd);
    free(j->path);
    journal_records_fini(&j->all);
    free(j);
}

enum dr_rc journal_append(struct journal *j, const char *type, json_t *body, struct dr_err *err)
{
    DR_JSON json_t *owned = body;
    const struct journal_record *last = j->all.count > 0 ? &j->all.items[j->all.count - 1] : NULL;
    if (j->in_doubt)
        return dr_fail(err, DR_E_UNKNOWN, "'%s' failed before: its end is in doubt", j->path);

    struct journal_record r = {
        .n = last != NULL ? last->n + 1 : 1,
        .wall_ns = clock_wall_ns(),
        .boot_ns = clock_boot_ns(),
    };
    if (last != NULL)
        memcpy(r.prev, last->hash, HASH_HEX_SIZE);
    else
        memset(r.prev, '0', HASH_HEX_SIZE - 1);
    r.type = dr_strdup(type);
    r.body = journal_pack(owned);

    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    journal_print(&r, &line);
    enum dr_rc rc = line.len > JOURNAL_RECORD_MAX
                        ? dr_fail(err, DR_E_NOMEM, "a record of %zu bytes is too long", line.len)
                        : fs_write_all(j->fd, j->path, line.data, line.len, err);
    if (rc == DR_OK && sys.fsync(j->fd) < 0)
        rc = dr_fail_sys(err, errno, "cannot sync '%s'", j->path);
    if (rc != DR_OK) {
        j->in_doubt = true;
        free(r.type);
        json_decref(r.body);
        return rc;
    }
    journal_records_add(&j->all, &r);
    return DR_OK;
}

enum dr_rc journal_extend(struct journal *j, const struct journal_records *all, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf lines = { 0 };
    size_t have = j->all.count;
    if (j->in_doubt)
        return dr_fail(err, DR_E_UNKNOWN, "'%s' failed before: its end is in doubt", j->path);
    for (size_t i = 0; i < all->count && i < have; i++)
        if (strcmp(j->all.items[i].hash, all->items[i].hash) != 0) {
            (void)dr_fail(err, DR_E_CORRUPT,
                          "record %zu of '%s' differs from the one in the buckets", i + 1, j->path);
            return dr_hint(err, "Another host went on. To follow it, move '%s' away.", j->path);
        }
    for (size_t i = have; i < all->count; i++) {
        struct journal_record r = all->items[i];
        r.type = dr_strdup(r.type);
        r.body = json_incref(r.body);
        journal_print(&r, &lines);
        journal_records_add(&j->all, &r);
    }
    if (all->count <= have)
        return DR_OK;
    enum dr_rc rc = fs_write_all(j->fd, j->path, lines.data, lines.len, err);
    if (rc == DR_OK && sys.fsync(j->fd) < 0)
        rc = dr_fail_sys(err, errno, "cannot sync '%s'", j->path);
    j->in_doubt = rc != DR_OK;
    return rc;
}

const struct journal_records *journal_all(const struct journal *j)
{
    return &j->all;
}

enum dr_rc journal_load(const char *state_dir, const char *run, struct journal_records *ret,
                        struct dr_err *err)
{
    DR_TRY(check_run(run, err));
    DR_FREE char *path = dr_strf("%s/runs/%s/journal.jsonl", state_dir, run);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    size_t whole = 0;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return dr_fail(err, DR_E_NOTFOUND, "there is no run '%s'", run);
    DR_TRY(fs_read_file(path, JOURNAL_FILE_MAX, &bytes, err));
    if (journal_parse(bytes.data, bytes.len, ret, &whole, err) != DR_OK)
        return dr_context(err, "'%s'", path);
    return DR_OK;
}

bool journal_is_live(const char *state_dir, const char *run)
{
    DR_FREE char *path = dr_strf("%s/runs/%s/journal.jsonl", state_dir, run);
    DR_CLEANUP(dr_close_fd) int fd = sys_open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}

static int by_number(const void *a, const void *b)
{
    const char *x = *(char *const *)a;
    const char *y = *(char *const *)b;
    long long m = strtoll(x + 2, NULL, 10);
    long long n = strtoll(y + 2, NULL, 10);
    if ((x[0] == 'T') != (y[0] == 'T'))
        return x[0] == 'T' ? -1 : 1; /* they have numbers of their own */
    if (m != n)
        return m < n ? -1 : 1;
    return x[0] < y[0] ? 1 : x[0] > y[0] ? -1 : 0;
}

static enum dr_rc list_dir(const char *path, struct text_list *ret, struct dr_err *err)
{
    DIR *dir = opendir(path);
    if (dir == NULL && errno == ENOENT)
        return DR_OK;
    if (dir == NULL)
        return dr_fail_sys(err, errno, "cannot open directory '%s'", path);
    const struct dirent *e = NULL;
    while ((e = readdir(dir)) != NULL) /* NOLINT(concurrency-mt-unsafe): own stream */
        if (e->d_name[0] != '.')
            text_list_add(ret, e->d_name);
    closedir(dir);
    return DR_OK;
}

enum dr_rc journal_runs(const char *state_dir, struct text_list *ret, struct dr_err *err)
{
    DR_FREE char *runs = dr_strf("%s/runs", state_dir);
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct dr_err ignored = { 0 };
    DR_TRY(list_dir(runs, &names, err));
    for (size_t i = 0; i < names.count; i++)
        if (check_run(names.items[i], &ignored) == DR_OK)
            text_list_add(ret, names.items[i]);
    if (ret->count > 1)
        qsort(ret->items, ret->count, sizeof(*ret->items), by_number);
    return DR_OK;
}

char *journal_object(const char *run, const struct journal_record *r)
{
    char *name = dr_strf("runs/%s/%06" PRId64 "-%s", run, r->n, r->hash);
    for (char *c = name; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return name;
}

/* -- the inbox -------------------------------------------------------------------------------- */

enum dr_rc journal_tell(const char *state_dir, const char *run, json_t *words, struct dr_err *err)
{
    DR_JSON json_t *owned = words;
    DR_TRY(check_run(run, err));
    uint8_t nonce[8];
    char hex[2 * sizeof(nonce) + 1];
    random_bytes(nonce, sizeof(nonce));
    DR_FREE char *inbox = dr_strf("%s/runs/%s/inbox", state_dir, run);
    DR_FREE char *name =
        dr_strf("%020" PRId64 "-%s", clock_boot_ns(), hex_encode(nonce, sizeof(nonce), hex));
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    json_add_canonical(&b, owned);
    DR_TRY(fs_make_dirs(inbox, 0700, err));
    return fs_replace(inbox, name, b.data, b.len, err);
}

enum dr_rc journal_hear(const char *state_dir, const char *run, json_t **ret, struct dr_err *err)
{
    *ret = NULL;
    DR_FREE char *inbox = dr_strf("%s/runs/%s/inbox", state_dir, run);
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(list_dir(inbox, &names, err));
    if (names.count == 0)
        return DR_OK;
    text_list_sort(&names);
    DR_FREE char *path = dr_strf("%s/%s", inbox, names.items[0]);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    enum dr_rc rc = fs_read_file(path, JOURNAL_RECORD_MAX, &b, err);
    if (rc == DR_OK)
        rc = json_read(path, b.data, b.len, ret, err);
    if (sys_unlink(path) < 0 && rc == DR_OK) {
        json_decref(*ret);
        *ret = NULL;
        return dr_fail_sys(err, errno, "cannot remove '%s'", path);
    }
    return rc;
}
