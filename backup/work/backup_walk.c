/*
 * The walk. A stack of directories, no recursion: each level holds its sorted names. Descriptors of
 * far ancestors are closed and come back through "..", checked by device and inode, so that a
 * tree deeper than the descriptor limit can be read. A name is looked at first (fstatat), opened without
 * following links or waiting for writers, and looked at again; the second look counts.
 */
#include "backup/work/backup_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#include "backup/format/limits.h"
#include "backup/format/path.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { OPEN_LEVELS = 64 };

struct level {
    int fd; /* -1: closed for now */
    dev_t dev;
    ino_t ino;
    struct buf names; /* one behind another, each with its NUL */
    char **sorted;
    size_t count, next;
    size_t path_len; /* of the directory */
};

struct walk {
    struct walk_options o;
    struct level *levels;
    size_t depth, cap;
    struct buf path;
    struct backup_entry entry;
    struct stat st; /* of the entry */
    int file;       /* open file of the entry, or -1 */
    bool started;
};

static void warn(struct walk *w, const char *what)
{
    w->o.warning(w->o.arg, w->path.len > 0 ? w->path.data : ".", what);
}

static void level_fini(struct level *l)
{
    dr_close_fd(&l->fd);
    buf_fini(&l->names);
    free(l->sorted);
}

void walk_free(struct walk *w)
{
    if (w == NULL)
        return;
    while (w->depth > 0)
        level_fini(&w->levels[--w->depth]);
    dr_close_fd(&w->file);
    free(w->levels);
    buf_fini(&w->path);
    entry_fini(&w->entry);
    free(w);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the directory, sorted. False (errno set) when it cannot be read to its end. */
static bool list_names(struct level *l)
{
    int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 3);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        dr_close_fd(&fd);
        return false;
    }
    const struct dirent *d;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is our own */
    while (errno = 0, (d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        buf_add(&l->names, d->d_name, strlen(d->d_name) + 1);
        l->count++;
    }
    int failed = errno;
    (void)closedir(dir); /* only read from */
    l->sorted = dr_alloc(l->count + 1, sizeof *l->sorted);
    char *at = l->names.data;
    for (size_t i = 0; i < l->count; i++, at += strlen(at) + 1)
        l->sorted[i] = at;
    qsort(l->sorted, l->count, sizeof *l->sorted, by_bytes);
    errno = failed;
    return failed == 0;
}

/* Make the directory the top of the stack. Takes fd over. */
static void push(struct walk *w, int fd, const struct stat *st)
{
    if (w->depth == w->cap) {
        w->cap = w->cap == 0 ? 16 : w->cap * 2;
        w->levels = dr_realloc(w->levels, w->cap, sizeof *w->levels);
    }
    if (w->depth >= OPEN_LEVELS)
        dr_close_fd(&w->levels[w->depth - OPEN_LEVELS].fd);
    struct level *l = &w->levels[w->depth++];
    *l = (struct level){ .fd = fd, .dev = st->st_dev, .ino = st->st_ino, .path_len = w->path.len };
    if (!list_names(l))
        warn(w, strerrordesc_np(errno));
}

/* Leave the top directory; its parent's descriptor comes back through "..". */
static enum dr_rc pop(struct walk *w, struct dr_err *err)
{
    struct level *l = &w->levels[w->depth - 1];
    DR_CLEANUP(dr_close_fd) int child = dr_take_fd(&l->fd);
    level_fini(l);
    w->depth--;
    struct level *up = w->depth > 0 ? &w->levels[w->depth - 1] : NULL;
    if (up == NULL || up->fd >= 0)
        return DR_OK;
    struct stat st;
    up->fd = sys.openat(child, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (up->fd < 0 || fstat(up->fd, &st) != 0)
        return dr_fail_sys(err, errno, "cannot go back to the directory above '%s'", w->path.data);
    if (st.st_dev != up->dev || st.st_ino != up->ino)
        return dr_fail(err, DR_E_TRANSIENT, "a directory above '%s' was moved while it was read",
                       w->path.data);
    return DR_OK;
}

enum dr_rc walk_new(const struct walk_options *o, struct walk **ret, struct dr_err *err)
{
    DR_CLEANUP(walk_free_ptr) struct walk *w = dr_alloc(1, sizeof *w);
    w->o = *o;
    w->file = -1;
    w->entry.fd = -1;
    buf_add(&w->path, "", 0);
    DR_CLEANUP(dr_close_fd) int fd = sys_open(o->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0 || fstat(fd, &w->st) != 0)
        return dr_fail_sys(err, errno, "cannot read the directory '%s'", o->root);
    push(w, dr_take_fd(&fd), &w->st);
    *ret = DR_TAKE(w);
    return DR_OK;
}

static bool is_excluded(const struct walk *w, const char *name)
{
    for (size_t i = 0; w->o.exclude != NULL && i < w->o.exclude->count; i++) {
        const char *pattern = w->o.exclude->items[i];
        bool whole = strchr(pattern, '/') != NULL;
        pattern += pattern[0] == '/';
        if (fnmatch(pattern, whole ? w->path.data : name, 0) == 0)
            return true;
    }
    return false;
}

static int open_entry(int dir, const char *name, bool directory)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (directory ? O_DIRECTORY : 0);
    int fd = sys.openat(dir, name, flags | O_NOATIME, 0);
    if (fd < 0 && errno == EPERM) /* only owners may leave the access time alone */
        fd = sys.openat(dir, name, flags, 0);
    return fd;
}

/* Set the path to the next name of the top level. False: it has none left. */
static bool next_name(struct walk *w, const char **ret)
{
    struct level *l = &w->levels[w->depth - 1];
    if (l->next == l->count)
        return false;
    const char *name = l->sorted[l->next++];
    w->path.len = l->path_len;
    if (w->path.len > 0)
        buf_addc(&w->path, '/');
    buf_adds(&w->path, name);
    *ret = name;
    return true;
}

/* Open and look again. False: it is to be passed over, with a warning. */
static bool open_again(struct walk *w, int dir, const char *name, int *ret_fd)
{
    struct stat again;
    DR_CLEANUP(dr_close_fd) int fd = open_entry(dir, name, S_ISDIR(w->st.st_mode));
    if (fd < 0) {
        bool denied = errno == EACCES;
        warn(w, strerrordesc_np(errno));
        return S_ISDIR(w->st.st_mode) && denied;
    }
    if (fstat(fd, &again) != 0 || (again.st_mode & S_IFMT) != (w->st.st_mode & S_IFMT)) {
        warn(w, "was replaced while it was read");
        return false;
    }
    w->st = again;
    *ret_fd = dr_take_fd(&fd);
    return true;
}

/* The entry at w->path. False: passed over. */
static bool take_entry(struct walk *w, const char *name)
{
    int dir = w->levels[w->depth - 1].fd;
    DR_CLEANUP(dr_close_fd) int fd = -1;
    if (is_excluded(w, name))
        return false;
    if (!path_is_valid(w->path.data, w->path.len))
        return warn(w, "its path is beyond the limits"), false;
    if (fstatat(dir, name, &w->st, AT_SYMLINK_NOFOLLOW) != 0)
        return warn(w, strerrordesc_np(errno)), false;
    if (S_ISSOCK(w->st.st_mode))
        return false;
    bool directory = S_ISDIR(w->st.st_mode), file = S_ISREG(w->st.st_mode);
    if ((directory || file) && !open_again(w, dir, name, &fd))
        return false;
    struct backup_place at = { .dir = dir, .name = name, .path = w->path.data, .fd = fd };
    if (!entry_read(&w->entry, &at, &w->st))
        return warn(w, strerrordesc_np(errno)), false;
    if (w->entry.lost)
        warn(w, w->entry.why);
    if (directory && fd >= 0)
        push(w, dr_take_fd(&fd), &w->st);
    else if (file)
        w->file = dr_take_fd(&fd);
    return true;
}

static void take_root(struct walk *w)
{
    int fd = w->levels[0].fd;
    struct backup_place at = { .dir = fd, .name = "", .path = w->path.data, .fd = fd };
    w->started = entry_read(&w->entry, &at, &w->st);
    DR_ASSERT(w->started); /* only links can fail */
    if (w->entry.lost)
        warn(w, w->entry.why);
}

enum dr_rc walk_next(struct walk *w, struct backup_entry **ret, bool *ret_more, struct dr_err *err)
{
    const char *name;
    dr_close_fd(&w->file);
    bool found = false;
    if (!w->started) {
        take_root(w);
        found = true;
    }
    while (!found && w->depth > 0) {
        if (next_name(w, &name))
            found = take_entry(w, name);
        else
            DR_TRY(pop(w, err));
    }
    *ret = found ? &w->entry : NULL;
    *ret_more = found;
    return DR_OK;
}

bool walk_has_changed(const struct walk *w, const struct backup_entry *e)
{
    struct stat now;
    if (e->fd < 0)
        return false;
    return fstat(e->fd, &now) != 0 || now.st_size != w->st.st_size ||
           now.st_mtim.tv_sec != w->st.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != w->st.st_mtim.tv_nsec ||
           now.st_ctim.tv_sec != w->st.st_ctim.tv_sec ||
           now.st_ctim.tv_nsec != w->st.st_ctim.tv_nsec;
}
