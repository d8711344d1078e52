/*
 * Opening by path below a root that somebody else may be changing. openat2() with RESOLVE_BENEATH
 * and RESOLVE_NO_SYMLINKS refuses every link on the way; the kernel takes PATH_MAX bytes at once, so
 * a longer path is walked in steps that end at a slash. The opener compares the text of the
 * directory with that of the last one: the same text, the same descriptor. Of a long path a directory on
 * the way is kept open as an anchor, or the walk of a deep tree would take time by the square of its depth.
 */
#include "backup/work/scan_open.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "dr/base/buf.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { ANCHOR_LEN = 512 }; /* bytes of path from the anchor: from here on a new one is worth it */

struct known { /* an open directory and its path */
    int fd;    /* or -1 */
    struct buf path;
};

struct scan_opener {
    int root;
    struct known parent; /* the last one */
    struct known anchor;
};

/* One step: len bytes of path, less than PATH_MAX. */
static int open_step(int from, const char *path, size_t len)
{
    char step[PATH_MAX];
    struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    memcpy(step, path, len);
    step[len] = '\0';
    int fd = sys.openat2(from, step, &how);
    if (fd < 0 && errno == EPERM) { /* only owners may leave the access time alone */
        how.flags &= ~(uint64_t)O_NOATIME;
        fd = sys.openat2(from, step, &how);
    }
    return fd;
}

/* The part of path that one step can take: up to a slash, or all of it. */
static size_t step_length(const char *path, size_t len)
{
    if (len < PATH_MAX)
        return len;
    const char *slash = memrchr(path, '/', PATH_MAX);
    return slash == NULL ? 0 : (size_t)(slash - path);
}

/* path_len: not 0 */
static int open_in_steps(int from, const char *path, size_t path_len)
{
    DR_CLEANUP(dr_close_fd) int fd = -1;
    while (path_len > 0) {
        size_t len = step_length(path, path_len);
        if (len == 0) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int next = open_step(fd < 0 ? from : fd, path, len);
        dr_close_fd(&fd);
        if (next < 0)
            return -1;
        fd = next;
        len += len < path_len; /* the slash */
        path += len;
        path_len -= len;
    }
    return dr_take_fd(&fd);
}

static bool is_path(const struct known *k, const char *path, size_t len)
{
    return k->fd >= 0 && k->path.len == len && memcmp(k->path.data, path, len) == 0;
}

/* Takes fd over. */
static void know(struct known *k, int fd, const char *path, size_t len)
{
    dr_close_fd(&k->fd);
    k->fd = fd;
    buf_clear(&k->path);
    buf_add(&k->path, path, len);
}

struct scan_opener *scan_opener_new(int root)
{
    struct scan_opener *o = dr_alloc(1, sizeof *o);
    o->root = root;
    o->parent.fd = o->anchor.fd = -1;
    return o;
}

void scan_opener_free(struct scan_opener *o)
{
    if (o == NULL)
        return;
    dr_close_fd(&o->parent.fd);
    dr_close_fd(&o->anchor.fd);
    buf_fini(&o->parent.path);
    buf_fini(&o->anchor.path);
    free(o);
}

int scan_opener_directory(struct scan_opener *o, const char *path, size_t path_len)
{
    size_t above = o->anchor.path.len; /* as much of the path as the anchor has */
    if (path_len == 0)
        return open_step(o->root, ".", 1);
    if (above >= path_len || path[above] != '/' || !is_path(&o->anchor, path, above))
        above = 0;
    size_t skip = above == 0 ? 0 : above + 1;
    int fd = open_in_steps(above == 0 ? o->root : o->anchor.fd, path + skip, path_len - skip);
    if (fd >= 0 && path_len - skip >= ANCHOR_LEN) {
        int kept = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (kept >= 0)
            know(&o->anchor, kept, path, path_len);
    }
    return fd;
}

int scan_opener_parent(struct scan_opener *o, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        *ret_name = path;
        return o->root;
    }
    size_t len = (size_t)(slash - path);
    if (!is_path(&o->parent, path, len)) {
        int fd = scan_opener_directory(o, path, len);
        if (fd < 0)
            return -1;
        know(&o->parent, fd, path, len);
    }
    *ret_name = slash + 1;
    return o->parent.fd;
}

int scan_opener_file(struct scan_opener *o, const char *path, bool directory)
{
    const char *name;
    int dir = scan_opener_parent(o, path, &name);
    if (dir < 0)
        return -1;
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (directory ? O_DIRECTORY : 0);
    name = name[0] == '\0' ? "." : name;
    int fd = sys.openat(dir, name, flags | O_NOATIME, 0);
    if (fd < 0 && errno == EPERM)
        fd = sys.openat(dir, name, flags, 0);
    return fd;
}
