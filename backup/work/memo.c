/*
 * One write at the end of a file opened for appending: the kernel puts the lines of two processes behind each
 * other. Replacing is guarded by a lock that is tried and never waited for, since a process that was
 * stopped while it holds it must not hold up anybody's backup.
 */
#include "backup/work/memo.h"

#include <errno.h>
#include <sys/file.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

/* Only below a STATE_DIR that is there. The caller frees. */
static enum dr_rc directory(const char *state_dir, char **ret, struct dr_err *err)
{
    DR_FREE char *dir = dr_strf("%s/memo", state_dir);
    if (sys.mkdirat(AT_FDCWD, dir, 0700) == 0)
        DR_TRY(fs_sync_dir(state_dir, err));
    else if (errno != EEXIST)
        return dr_fail_sys(err, errno, "cannot make '%s'", dir);
    *ret = DR_TAKE(dir);
    return DR_OK;
}

enum dr_rc memo_read(const char *state_dir, const char *name, struct buf *ret, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/memo/%s", state_dir, name);
    return fs_read_file(path, MEMO_SIZE_MAX, ret, err);
}

enum dr_rc memo_replace(const char *state_dir, const char *name, const void *data, size_t len,
                        struct dr_err *err)
{
    DR_FREE char *dir = NULL;
    DR_ASSERT(len <= MEMO_SIZE_MAX);
    DR_TRY(directory(state_dir, &dir, err));
    DR_FREE char *path = dr_strf("%s/.lock", dir);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return dr_fail(err, DR_E_BUSY, "'%s' is held by another process", path);
    return fs_replace(dir, name, data, len, err);
}

/* Is there half a line at the end? */
static enum dr_rc is_torn(int fd, const char *what, uint64_t size, bool *ret, struct dr_err *err)
{
    char last = '\n';
    if (size > 0)
        DR_TRY(fs_pread_all(fd, what, &last, 1, (off_t)size - 1, err));
    *ret = last != '\n';
    return DR_OK;
}

enum dr_rc memo_append(const char *state_dir, const char *name, const struct buf *lines,
                       uint64_t *ret_size, struct dr_err *err)
{
    DR_FREE char *dir = NULL;
    struct stat st;
    bool torn = false;
    DR_ASSERT(lines->len > 0 && lines->data[lines->len - 1] == '\n');
    DR_TRY(directory(state_dir, &dir, err));
    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    if (fstat(fd, &st) != 0)
        return dr_fail_sys(err, errno, "cannot look at '%s'", path);
    uint64_t size = (uint64_t)st.st_size;
    if (size + lines->len > MEMO_SIZE_MAX)
        return dr_fail(err, DR_E_NOSPACE, "'%s' is full", path);
    DR_TRY(is_torn(fd, path, size, &torn, err));
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    if (torn)
        buf_addc(&text, '\n');
    buf_add(&text, lines->data, lines->len);
    DR_TRY(fs_write_all(fd, path, text.data, text.len, err));
    if (sys.fsync(fd) != 0)
        return dr_fail_sys(err, errno, "cannot sync '%s'", path);
    if (size == 0)
        DR_TRY(fs_sync_dir(dir, err));
    *ret_size = size + text.len;
    return DR_OK;
}
