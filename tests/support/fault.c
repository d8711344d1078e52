/*
 * fault.c - the table of sys.h with a counter in front, which fails, cuts short or dies at call n.
 */
#include "tests/support/fault.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/sys.h"

int fault_errno = EIO;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards f, but for f.real */
static struct {
    enum fault_kind kind;
    unsigned countdown;
    unsigned calls;
    bool fired;
    int open_fds;
    size_t trace_len;
    char trace[4096];
    struct sys_ops real;
} f;

static void die_if(bool due)
{
    if (due)
        _exit(99);
}

/* Returns true when this very call is the chosen one. */
static bool turn(const char *name, int fds)
{
    pthread_mutex_lock(&lock);
    size_t len = strlen(name);
    if (f.trace_len + len + 2 < sizeof(f.trace)) {
        memcpy(f.trace + f.trace_len, name, len);
        f.trace_len += len;
        f.trace[f.trace_len++] = ' ';
    }
    f.calls++;
    f.open_fds += fds;
    bool hit = f.countdown > 0 && --f.countdown == 0;
    f.fired |= hit;
    pthread_mutex_unlock(&lock);
    die_if(hit && f.kind == FAULT_DIE_BEFORE);
    if (hit && f.kind == FAULT_ERRNO)
        errno = fault_errno;
    return hit;
}

static void opened(void)
{
    pthread_mutex_lock(&lock);
    f.open_fds++;
    pthread_mutex_unlock(&lock);
}

/* Linux releases the descriptor even when close() reports an error. */
static int fake_close(int fd)
{
    bool hit = turn("close", -1);
    int r = f.real.close(fd);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    if (hit && f.kind == FAULT_ERRNO) {
        errno = fault_errno;
        return -1;
    }
    return r;
}

static int fake_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    bool hit = turn("openat", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.openat(dirfd, path, flags, mode);
    if (r >= 0)
        opened();
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_openat2(int dirfd, const char *path, const struct open_how *how)
{
    bool hit = turn("openat2", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.openat2(dirfd, path, how);
    if (r >= 0)
        opened();
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
    bool hit = turn("fstatat", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.fstatat(dirfd, path, st, flags);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static ssize_t fake_getdents64(int fd, void *buf, size_t len)
{
    bool hit = turn("getdents64", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    ssize_t r = f.real.getdents64(fd, buf, len);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static ssize_t fake_read(int fd, void *buf, size_t len)
{
    bool hit = turn("read", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    if (hit && f.kind == FAULT_SHORT && len > 1)
        len = 1;
    ssize_t r = f.real.read(fd, buf, len);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static ssize_t fake_pread(int fd, void *buf, size_t len, off_t offset)
{
    bool hit = turn("pread", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    if (hit && f.kind == FAULT_SHORT && len > 1)
        len = 1;
    ssize_t r = f.real.pread(fd, buf, len, offset);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static ssize_t fake_write(int fd, const void *buf, size_t len)
{
    bool hit = turn("write", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    if (hit && f.kind == FAULT_SHORT && len > 1)
        len = 1;
    ssize_t r = f.real.write(fd, buf, len);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static ssize_t fake_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    bool hit = turn("pwrite", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    if (hit && f.kind == FAULT_SHORT && len > 1)
        len = 1;
    ssize_t r = f.real.pwrite(fd, buf, len, offset);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static ssize_t fake_pwrite_past(int fd, const void *buf, size_t len, off_t offset)
{
    bool hit = turn("pwrite_past", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    if (hit && f.kind == FAULT_SHORT && len > 1)
        len = 1;
    ssize_t r = f.real.pwrite_past(fd, buf, len, offset);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_fsync(int fd)
{
    bool hit = turn("fsync", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.fsync(fd);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_syncfs(int fd)
{
    bool hit = turn("syncfs", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.syncfs(fd);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_ftruncate(int fd, off_t size)
{
    bool hit = turn("ftruncate", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.ftruncate(fd, size);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_renameat2(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
    bool hit = turn("renameat2", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.renameat2(fromfd, from, tofd, to, flags);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_linkat(int fromfd, const char *from, int tofd, const char *to, int flags)
{
    bool hit = turn("linkat", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.linkat(fromfd, from, tofd, to, flags);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_unlinkat(int dirfd, const char *path, int flags)
{
    bool hit = turn("unlinkat", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.unlinkat(dirfd, path, flags);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_mkdirat(int dirfd, const char *path, mode_t mode)
{
    bool hit = turn("mkdirat", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.mkdirat(dirfd, path, mode);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_symlinkat(const char *target, int dirfd, const char *path)
{
    bool hit = turn("symlinkat", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.symlinkat(target, dirfd, path);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)
{
    bool hit = turn("mknodat", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.mknodat(dirfd, path, mode, dev);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
    bool hit = turn("fchmodat", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.fchmodat(dirfd, path, mode, flags);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
    bool hit = turn("fchownat", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.fchownat(dirfd, path, uid, gid, flags);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{
    bool hit = turn("utimensat", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.utimensat(dirfd, path, times, flags);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_setxattr(const char *path, const char *name, const void *value, size_t size,
                         int flags)
{
    bool hit = turn("setxattr", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.setxattr(path, name, value, size, flags);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_lsetxattr(const char *path, const char *name, const void *value, size_t size,
                          int flags)
{
    bool hit = turn("lsetxattr", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.lsetxattr(path, name, value, size, flags);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_fchmod(int fd, mode_t mode)
{
    bool hit = turn("fchmod", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.fchmod(fd, mode);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_futimens(int fd, const struct timespec times[2])
{
    bool hit = turn("futimens", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.futimens(fd, times);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

static int fake_fremovexattr(int fd, const char *name)
{
    bool hit = turn("fremovexattr", 0);
    if (hit && f.kind == FAULT_ERRNO)
        return -1;
    int r = f.real.fremovexattr(fd, name);
    die_if(hit && f.kind == FAULT_DIE_AFTER);
    return r;
}

void fault_arm(enum fault_kind kind, unsigned n)
{
    memset(&f, 0, sizeof(f));
    f.kind = kind;
    f.countdown = kind == FAULT_NONE ? 0 : n;
    f.real = sys;
    sys = (struct sys_ops){
        .close = fake_close,
        .openat = fake_openat,
        .openat2 = fake_openat2,
        .fstatat = fake_fstatat,
        .getdents64 = fake_getdents64,
        .read = fake_read,
        .pread = fake_pread,
        .write = fake_write,
        .pwrite = fake_pwrite,
        .pwrite_past = fake_pwrite_past,
        .fsync = fake_fsync,
        .syncfs = fake_syncfs,
        .ftruncate = fake_ftruncate,
        .renameat2 = fake_renameat2,
        .linkat = fake_linkat,
        .unlinkat = fake_unlinkat,
        .mkdirat = fake_mkdirat,
        .symlinkat = fake_symlinkat,
        .mknodat = fake_mknodat,
        .fchmodat = fake_fchmodat,
        .fchmod = fake_fchmod,
        .fchownat = fake_fchownat,
        .utimensat = fake_utimensat,
        .futimens = fake_futimens,
        .setxattr = fake_setxattr,
        .lsetxattr = fake_lsetxattr,
        .fremovexattr = fake_fremovexattr,
    };
}

bool fault_disarm(void)
{
    sys = f.real;
    return f.fired;
}

unsigned fault_calls(void)
{
    return f.calls;
}

int fault_open_fds(void)
{
    return f.open_fds;
}

const char *fault_trace(void)
{
    return f.trace;
}
