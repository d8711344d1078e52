/*
 * file.c - the record as a file: names, the lock, the exchange.
 *
 * The lock lies in a file of its own, because the record is replaced: a lock on it would be a lock on
 * something that is gone.
 */
#include "dr/lease/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

static const char suffix[] = ".lease";

/* Letters, digits, '-', '_', '.' stand for themselves, all else as %XX. NULL: the key is not one. */
static char *file_name(const char *key)
{
    size_t len = strlen(key);
    if (len == 0 || len > LEASE_KEY_MAX)
        return NULL;
    struct buf b = { 0 };
    for (const char *c = key; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '-' || *c == '_' || (*c == '.' && c != key);
        if (plain)
            buf_addc(&b, *c);
        else
            buf_addf(&b, "%%%02X", (unsigned char)*c);
    }
    buf_adds(&b, suffix);
    return buf_take(&b);
}

static enum dr_rc name_of(const char *key, char **ret, struct dr_err *err)
{
    *ret = file_name(key);
    if (*ret == NULL)
        return dr_fail(err, DR_E_USAGE, "'%s' is not the key of a lease", key);
    return DR_OK;
}

static enum dr_rc file_read(const struct lease_place *p, const char *key, struct lease_record *ret,
                            struct dr_err *err)
{
    DR_FREE char *name = NULL;
    DR_TRY(name_of(key, &name, err));
    DR_FREE char *path = dr_strf("%s/%s", p->path, name);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        lease_record_empty(key, ret);
        return DR_OK;
    }
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_TRY(fs_read_file(path, LEASE_RECORD_MAX, &b, err));
    return lease_record_parse(key, path, &b, ret, err);
}

static enum dr_rc lock_key(const char *dir, const char *name, int *ret, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/.%s.lock", dir, name);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return dr_fail_sys(err, errno, "cannot lock '%s'", path);
    *ret = dr_take_fd(&fd);
    return DR_OK;
}

static enum dr_rc file_swap(const struct lease_place *p, const char *seen,
                            const struct lease_record *r, struct dr_err *err)
{
    const char *dir = p->path;
    DR_ASSERT(strcmp(seen, r->nonce) != 0 && r->epoch > 0);
    DR_FREE char *name = NULL;
    DR_TRY(name_of(r->key, &name, err));
    DR_TRY(fs_make_dirs(dir, 0700, err));
    DR_CLEANUP(dr_close_fd) int lock = -1;
    DR_TRY(lock_key(dir, name, &lock, err));

    DR_CLEANUP(lease_record_fini) struct lease_record now = { 0 };
    DR_TRY(file_read(p, r->key, &now, err));
    if (strcmp(now.nonce, seen) != 0)
        return lease_record_changed(&now, err);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    lease_record_print(r, &b);
    return fs_replace(dir, name, b.data, b.len, err);
}

/* "writer%2Fapp.lease" back to "writer/app". */
static char *key_of(const char *name)
{
    struct buf b = { 0 };
    size_t len = strlen(name) - strlen(suffix);
    for (size_t i = 0; i < len; i++) {
        char c = 0;
        if (name[i] == '%' && i + 2 < len) {
            char hex[3] = { name[i + 1], name[i + 2], '\0' };
            c = (char)strtol(hex, NULL, 16);
            i += 2;
        } else {
            c = name[i];
        }
        buf_addc(&b, c);
    }
    return buf_take(&b);
}

static enum dr_rc file_keys(const struct lease_place *p, struct text_list *ret, struct dr_err *err)
{
    DIR *d = opendir(p->path);
    if (d == NULL && errno == ENOENT)
        return DR_OK;
    if (d == NULL)
        return dr_fail_sys(err, errno, "cannot open directory '%s'", p->path);
    const struct dirent *e = NULL;
    while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        if (e->d_name[0] == '.' || !text_ends(e->d_name, suffix))
            continue;
        DR_FREE char *key = key_of(e->d_name);
        text_list_add(ret, key);
    }
    closedir(d);
    text_list_sort(ret);
    return DR_OK;
}

const struct lease_driver lease_file = { .read = file_read, .swap = file_swap, .keys = file_keys };
