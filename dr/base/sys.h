/*
 * sys.h - the one door to the kernel for everything that must survive a crash.
 *
 * Each call goes through a table that tests may replace, so that every single
 * call can be made to fail, to transfer short, or to be the last one before death.
 * Only these calls are here: add one when durable state depends on it.
 *
 * The entries keep the kernel's own contract: -1 and errno on failure. Callers
 * repeat on EINTR and go on after short transfers (fs.h has the loops).
 */
#ifndef DR_BASE_SYS_H
#define DR_BASE_SYS_H

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "dr/base/base.h"

struct sys_ops {
    int (*openat)(int dirfd, const char *path, int flags, mode_t mode);
    int (*openat2)(int dirfd, const char *path, const struct open_how *how);
    int (*fstatat)(int dirfd, const char *path, struct stat *st, int flags);
    ssize_t (*getdents64)(int fd, void *buf, size_t len);
    ssize_t (*read)(int fd, void *buf, size_t len);
    ssize_t (*pread)(int fd, void *buf, size_t len, off_t offset);
    ssize_t (*write)(int fd, const void *buf, size_t len);
    ssize_t (*pwrite)(int fd, const void *buf, size_t len, off_t offset);
    ssize_t (*pwrite_past)(int fd, const void *buf, size_t len, off_t offset); /* the page cache */
    int (*fsync)(int fd);
    int (*syncfs)(int fd);
    int (*close)(int fd);
    int (*ftruncate)(int fd, off_t size);
    int (*renameat2)(int fromfd, const char *from, int tofd, const char *to, unsigned flags);
    int (*linkat)(int fromfd, const char *from, int tofd, const char *to, int flags);
    int (*unlinkat)(int dirfd, const char *path, int flags);
    int (*mkdirat)(int dirfd, const char *path, mode_t mode);
    int (*symlinkat)(const char *target, int dirfd, const char *path);
    int (*mknodat)(int dirfd, const char *path, mode_t mode, dev_t dev);
    int (*fchmodat)(int dirfd, const char *path, mode_t mode, int flags);
    int (*fchmod)(int fd, mode_t mode);
    int (*fchownat)(int dirfd, const char *path, uid_t uid, gid_t gid, int flags);
    int (*utimensat)(int dirfd, const char *path, const struct timespec times[2], int flags);
    int (*futimens)(int fd, const struct timespec times[2]);
    int (*setxattr)(const char *path, const char *name, const void *value, size_t size, int flags);
    int (*lsetxattr)(const char *path, const char *name, const void *value, size_t size, int flags);
    int (*fremovexattr)(int fd, const char *name);
};

extern struct sys_ops sys;

/* Plain open(2) through the table. */
static inline int sys_open(const char *path, int flags, mode_t mode)
{
    return sys.openat(AT_FDCWD, path, flags, mode);
}

static inline int sys_unlink(const char *path)
{
    return sys.unlinkat(AT_FDCWD, path, 0);
}

static inline int sys_rename(const char *from, const char *to)
{
    return sys.renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* For DR_CLEANUP: closes the descriptor unless it is negative; keeps errno. */
void dr_close_fd(int *fd);

#endif
