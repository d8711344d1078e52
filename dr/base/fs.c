/*
 * fs.c - files that are the old ones or the new ones.
 *
 * fs_replace() writes a sibling, syncs it, renames it over the name and syncs the directory; a death
 * at any of these calls leaves one whole file, and at most the sibling beside it. Loops for short transfers
 * and EINTR are here, once.
 */
#include "dr/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { READ_STEP = 64 << 10, REMOVE_DEPTH_MAX = 4096 };

enum dr_rc fs_write_all(int fd, const char *what, const void *data, size_t len, struct dr_err *err)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = sys.write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dr_fail_sys(err, errno, "cannot write '%s'", what);
        DR_ASSERT((size_t)n <= len);
        at += n;
        len -= (size_t)n;
    }
    return DR_OK;
}

enum dr_rc fs_pread_all(int fd, const char *what, void *data, size_t len, off_t offset,
                        struct dr_err *err)
{
    char *at = data;
    while (len > 0) {
        ssize_t n = sys.pread(fd, at, len, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dr_fail_sys(err, errno, "cannot read '%s'", what);
        if (n == 0)
            return dr_fail(err, DR_E_CORRUPT, "'%s' ends too early", what);
        at += n;
        offset += n;
        len -= (size_t)n;
    }
    return DR_OK;
}

enum dr_rc fs_read_file(const char *path, size_t limit, struct buf *out, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    size_t had = out->len;
    for (;;) {
        char *at = buf_reserve(out, READ_STEP);
        ssize_t n = sys.read(fd, at, READ_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dr_fail_sys(err, errno, "cannot read '%s'", path);
        out->len += (size_t)n;
        out->data[out->len] = '\0';
        if (n == 0)
            return DR_OK;
        if (out->len - had > limit)
            return dr_fail(err, DR_E_NOMEM, "'%s' is larger than %zu bytes", path, limit);
    }
}

static enum dr_rc write_durably(const char *path, const void *data, size_t len, struct dr_err *err)
{
    /* A leftover of an earlier death goes; O_EXCL then refuses whatever was planted in between. */
    (void)sys_unlink(path);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot create '%s'", path);
    DR_TRY(fs_write_all(fd, path, data, len, err));
    if (sys.fsync(fd) < 0)
        return dr_fail_sys(err, errno, "cannot sync '%s'", path);
    if (sys.close(dr_take_fd(&fd)) < 0) /* NFS and quotas report here */
        return dr_fail_sys(err, errno, "cannot close '%s'", path);
    return DR_OK;
}

enum dr_rc fs_sync_dir(const char *dir, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = sys_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open directory '%s'", dir);
    if (sys.fsync(fd) < 0)
        return dr_fail_sys(err, errno, "cannot sync directory '%s'", dir);
    return DR_OK;
}

enum dr_rc fs_replace(const char *dir, const char *name, const void *data, size_t len,
                      struct dr_err *err)
{
    DR_ASSERT(dir != NULL && name != NULL && err != NULL);
    DR_ASSERT(data != NULL || len == 0);

    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    DR_FREE char *temp = dr_strf("%s/.%s.tmp", dir, name);

    enum dr_rc rc = write_durably(temp, data, len, err);
    if (rc == DR_OK && sys_rename(temp, path) < 0)
        rc = dr_fail_sys(err, errno, "cannot rename '%s' to '%s'", temp, path);
    if (rc != DR_OK) {
        (void)sys_unlink(temp); /* the next writer removes it as well */
        return dr_context(err, "replacing '%s'", path);
    }
    return fs_sync_dir(dir, err);
}

/* One missing level; its parent exists. */
static enum dr_rc make_level(const char *path, mode_t mode, struct dr_err *err)
{
    if (sys.mkdirat(AT_FDCWD, path, mode) < 0) {
        int why = errno;
        struct stat st;
        if (why == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            return DR_OK;
        return dr_fail_sys(err, why, "cannot create directory '%s'", path);
    }
    DR_FREE char *parent = dr_strdup(path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        return fs_sync_dir(".", err);
    slash[slash == parent ? 1 : 0] = '\0';
    return fs_sync_dir(parent, err);
}

enum dr_rc fs_make_dirs(const char *path, mode_t mode, struct dr_err *err)
{
    DR_ASSERT(path[0] != '\0');
    DR_FREE char *part = dr_strdup(path);
    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        struct stat st;
        if (stat(part, &st) != 0 || !S_ISDIR(st.st_mode))
            DR_TRY(make_level(part, mode, err));
        if (end == '\0')
            return DR_OK;
        *at = '/';
    }
}

/* Descend by descriptors kept on a stack, so that no link is followed and no depth recurses. */
struct remover {
    DIR *open[REMOVE_DEPTH_MAX];
    char *name[REMOVE_DEPTH_MAX];
    size_t depth;
};

static void remover_free(struct remover *r)
{
    while (r->depth > 0) {
        r->depth--;
        closedir(r->open[r->depth]);
        free(r->name[r->depth]);
    }
    free(r);
}
DR_DEFINE_CLEANUP(struct remover, remover_free)

static enum dr_rc push(struct remover *r, int dirfd, const char *name, struct dr_err *err)
{
    if (r->depth == REMOVE_DEPTH_MAX)
        return dr_fail(err, DR_E_IO, "'%s' is nested too deeply to be removed", name);
    DR_CLEANUP(dr_close_fd)
    int fd = sys.openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open directory '%s'", name);
    DIR *dir = fdopendir(fd);
    if (dir == NULL)
        return dr_fail_sys(err, errno, "cannot list directory '%s'", name);
    (void)dr_take_fd(&fd); /* closedir() owns it now */
    r->open[r->depth] = dir;
    r->name[r->depth++] = dr_strdup(name);
    return DR_OK;
}

static enum dr_rc pop(struct remover *r, int topfd, struct dr_err *err)
{
    r->depth--;
    DR_FREE char *name = r->name[r->depth];
    closedir(r->open[r->depth]);
    int parent = r->depth > 0 ? dirfd(r->open[r->depth - 1]) : topfd;
    if (sys.unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return dr_fail_sys(err, errno, "cannot remove directory '%s'", name);
    return DR_OK;
}

static enum dr_rc remove_entry(struct remover *r, int dirfd, const char *name, struct dr_err *err)
{
    if (sys.unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return DR_OK;
    if (errno != EISDIR && errno != EPERM)
        return dr_fail_sys(err, errno, "cannot remove '%s'", name);
    return push(r, dirfd, name, err);
}

enum dr_rc fs_remove_tree(const char *path, struct dr_err *err)
{
    DR_CLEANUP(remover_free_ptr) struct remover *r = dr_alloc(1, sizeof(*r));
    DR_TRY(remove_entry(r, AT_FDCWD, path, err));
    while (r->depth > 0) {
        DIR *dir = r->open[r->depth - 1];
        errno = 0;
        const struct dirent *e = readdir(dir); /* NOLINT(concurrency-mt-unsafe): own stream */
        if (e == NULL && errno != 0)
            return dr_fail_sys(err, errno, "cannot list '%s'", path);
        if (e == NULL)
            DR_TRY(pop(r, AT_FDCWD, err));
        else if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            DR_TRY(remove_entry(r, dirfd(dir), e->d_name, err));
    }
    return DR_OK;
}
