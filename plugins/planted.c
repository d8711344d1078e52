/*
 * A write is below the directory when the name of its descriptor is: the kernel tells that in /proc, so it does
 * not matter how the file was opened. The table of calls is one for the process, hence what stands
 * behind it here is, too.
 */
#include "plugins/planted.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/sys.h"

static struct plant *full; /* NULL: the disk has room */
static struct sys_ops real;

static bool is_full(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    size_t len = strlen(full->name);
    if (n <= (ssize_t)len)
        return false;
    path[n] = '\0';
    if (strncmp(path, full->name, len) != 0 || path[len] != '/')
        return false;
    plant_meet(full);
    errno = ENOSPC;
    return true;
}

static ssize_t full_write(int fd, const void *buf, size_t len)
{
    return is_full(fd) ? -1 : real.write(fd, buf, len);
}

static ssize_t full_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    return is_full(fd) ? -1 : real.pwrite(fd, buf, len, offset);
}

static ssize_t full_pwrite_past(int fd, const void *buf, size_t len, off_t offset)
{
    return is_full(fd) ? -1 : real.pwrite_past(fd, buf, len, offset);
}

void planted_full_disk(struct plant *p)
{
    DR_ASSERT(full == NULL && p->name != NULL);
    real = sys;
    full = p;
    sys.write = full_write;
    sys.pwrite = full_pwrite;
    sys.pwrite_past = full_pwrite_past;
}

void planted_make_room(void)
{
    if (full != NULL)
        sys = real;
    full = NULL;
}

static enum dr_rc change_byte(const struct plant *p, int fd, const struct stat *st,
                              const char *tree, struct dr_err *err)
{
    uint8_t byte = 0;
    const struct timespec times[2] = { st->st_atim, st->st_mtim };
    if (!S_ISREG(st->st_mode) || st->st_size == 0)
        return dr_fail(err, DR_E_NOTFOUND, "'%s' in '%s' has no byte", p->only, tree);
    if (sys.pread(fd, &byte, 1, st->st_size / 2) != 1)
        return dr_fail_sys(err, errno, "cannot read '%s' in '%s'", p->only, tree);
    byte ^= PLANT_BITS;
    if (sys.pwrite(fd, &byte, 1, st->st_size / 2) != 1 || sys.futimens(fd, times) < 0)
        return dr_fail_sys(err, errno, "cannot change '%s' in '%s'", p->only, tree);
    return DR_OK;
}

enum dr_rc planted_tamper(struct plant *p, const char *tree, struct dr_err *err)
{
    struct open_how how = { .flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    struct stat st;
    DR_CLEANUP(dr_close_fd) int dir = sys_open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    DR_CLEANUP(dr_close_fd) int fd = dir < 0 ? -1 : sys.openat2(dir, p->only, &how);
    if (fd < 0 || fstat(fd, &st) < 0)
        return dr_fail_sys(err, errno, "cannot open '%s' in '%s'", p->only, tree);
    if (p->kind == PLANT_TAMPER)
        DR_TRY(change_byte(p, fd, &st, tree, err));
    else if (sys.unlinkat(dir, p->only, 0) < 0)
        return dr_fail_sys(err, errno, "cannot remove '%s' in '%s'", p->only, tree);
    plant_meet(p);
    return DR_OK;
}
