/*
 * sys.c - the real calls behind the table of sys.h.
 */
#include "dr/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

/* open(2) is variadic; a table needs one fixed shape. */
static int real_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    return openat(dirfd, path, flags, mode);
}

/* glibc 2.36 has no wrapper. */
static int real_openat2(int dirfd, const char *path, const struct open_how *how)
{
    return (int)syscall(SYS_openat2, dirfd, path, how, sizeof(*how));
}

/* pwritev2() with a flag that is younger than many a header. */
static ssize_t real_pwrite_past(int fd, const void *buf, size_t len, off_t offset)
{
    enum { DONTCACHE = 0x80 };
    struct iovec part = { .iov_len = len };
    memcpy(&part.iov_base, &buf, sizeof(buf)); /* it is read only */
    return pwritev2(fd, &part, 1, offset, DONTCACHE);
}

struct sys_ops sys = {
    .openat = real_openat,
    .openat2 = real_openat2,
    .fstatat = fstatat,
    .getdents64 = getdents64,
    .read = read,
    .pread = pread,
    .write = write,
    .pwrite = pwrite,
    .pwrite_past = real_pwrite_past,
    .fsync = fsync,
    .syncfs = syncfs,
    .close = close,
    .ftruncate = ftruncate,
    .renameat2 = renameat2,
    .linkat = linkat,
    .unlinkat = unlinkat,
    .mkdirat = mkdirat,
    .symlinkat = symlinkat,
    .mknodat = mknodat,
    .fchmodat = fchmodat,
    .fchmod = fchmod,
    .fchownat = fchownat,
    .utimensat = utimensat,
    .futimens = futimens,
    .setxattr = setxattr,
    .lsetxattr = lsetxattr,
    .fremovexattr = fremovexattr,
};

void dr_close_fd(int *fd)
{
    if (*fd < 0)
        return;
    int saved = errno;
    sys.close(*fd);
    *fd = -1;
    errno = saved;
}
