/*
 * Remove a drill's scratch directory: a walk by descriptors that cannot be led out of it.
 *
 * A stack of open directories stands in place of recursion; each directory is read through once, the topmost
 * once more for each time that something too deep was brought up to it. What could not be removed is
 * kept as the first failure, and the walk goes on.
 */
#include "plugins/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/base/text.h"

struct level {
    DIR *dir;
    char *name; /* in the level above; owned */
};

struct walk {
    struct level levels[SCRATCH_DEPTH_MAX];
    size_t depth;
    int parent; /* holds the scratch directory */
    unsigned moved,
        seen; /* directories brought up to the top, and how many of them were looked for */
    struct dr_err first; /* what could not be removed; rc DR_OK: nothing so far */
};

static void walk_free(struct walk *w)
{
    while (w->depth > 0) {
        w->depth--;
        (void)closedir(w->levels[w->depth].dir); /* nothing was written through it */
        free(w->levels[w->depth].name);
    }
    free(w);
}
DR_DEFINE_CLEANUP(struct walk, walk_free)

bool scratch_is_run(const char *run)
{
    size_t digits = text_starts(run, "D-") ? strspn(run + 2, "0123456789") : 0;
    return digits > 0 && digits < 19 && run[2 + digits] == '\0';
}

/* The path inside the scratch directory, for the message. The caller frees. */
static char *path_of(const struct walk *w, const char *name)
{
    struct buf b = { 0 };
    for (size_t i = 0; i < w->depth; i++)
        buf_addf(&b, "%s%s", i > 0 ? "/" : "", w->levels[i].name);
    buf_addf(&b, "%s%s", w->depth > 0 ? "/" : "", name);
    return buf_take(&b);
}

/* Noted, not given up: the others shall go all the same. */
static void cannot(struct walk *w, int why, const char *name)
{
    if (w->first.rc != DR_OK)
        return;
    DR_FREE char *path = path_of(w, name);
    if (why == EXDEV || why == EBUSY)
        (void)dr_fail(&w->first, DR_E_REFUSED, "something is mounted at '%s'", path);
    else
        (void)dr_fail_sys(&w->first, why, "cannot remove '%s'", path);
}

static int open_beneath(int at, const char *name, uint64_t flags)
{
    struct open_how how = {
        .flags = flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    return sys.openat2(at, name, &how);
}

/* A directory that was restored with a mode that keeps its owner out. */
static void let_in(int at, const char *name)
{
    DR_CLEANUP(dr_close_fd) int fd = open_beneath(at, name, O_PATH);
    if (fd < 0)
        return;
    DR_FREE char *self = dr_strf("/proc/self/fd/%d", fd);
    (void)sys.fchmodat(AT_FDCWD, self, 0700, 0); /* when it is refused, the opening says so */
}

/* Too deep for one stack of descriptors: the directory goes on as one of the topmost. Errno, or 0. */
static int bring_up(struct walk *w, int at, const char *name)
{
    DR_FREE char *fresh = dr_strf(".drctl-deep-%u", ++w->moved);
    int top = dirfd(w->levels[0].dir);
    return sys.renameat2(at, name, top, fresh, RENAME_NOREPLACE) == 0 ? 0 : errno;
}

/* Errno, or 0. */
static int enter(struct walk *w, int at, const char *name)
{
    let_in(at, name);
    if (w->depth == SCRATCH_DEPTH_MAX)
        return bring_up(w, at, name);
    DR_CLEANUP(dr_close_fd) int fd = open_beneath(at, name, O_RDONLY);
    if (fd < 0)
        return errno;
    DIR *dir = fdopendir(fd);
    if (dir == NULL)
        return errno;
    (void)dr_take_fd(&fd); /* closedir() owns it now */
    w->levels[w->depth++] = (struct level){ .dir = dir, .name = dr_strdup(name) };
    return 0;
}

static void leave(struct walk *w)
{
    struct level *l = &w->levels[--w->depth];
    DR_FREE char *name = l->name;
    (void)closedir(l->dir); /* nothing was written through it */
    int above = w->depth > 0 ? dirfd(w->levels[w->depth - 1].dir) : w->parent;
    if (sys.unlinkat(above, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        cannot(w, errno, name);
}

/* One entry of the innermost directory. */
static void take_entry(struct walk *w, int at, const char *name)
{
    if (sys.unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return;
    int why = errno;
    if (why == EISDIR || why == EPERM)
        why = enter(w, at, name);
    if (why != 0)
        cannot(w, why == ENOTDIR ? EPERM : why, name);
}

/* Names that come to be meanwhile make rmdir fail, and are told so. */
static void empty(struct walk *w)
{
    while (w->depth > 0) {
        DIR *dir = w->levels[w->depth - 1].dir;
        errno = 0;
        const struct dirent *e = readdir(dir); /* NOLINT(concurrency-mt-unsafe): own stream */
        if (e == NULL && errno != 0)
            cannot(w, errno, ".");
        if (e == NULL && w->depth == 1 && w->seen != w->moved) {
            w->seen = w->moved;
            rewinddir(dir);
        } else if (e == NULL) {
            leave(w);
        }
        if (e != NULL && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            take_entry(w, dirfd(dir), e->d_name);
    }
}

static enum dr_rc open_parent(const char *dir, const char *run, int *ret, struct dr_err *err)
{
    const char *slash = strrchr(dir, '/');
    if (dir[0] != '/' || slash == dir || strcmp(slash + 1, run) != 0 || !scratch_is_run(run))
        return dr_fail(err, DR_E_REFUSED, "'%s' is not the scratch directory of a drill '%s'", dir,
                       run);
    DR_FREE char *parent = dr_memdup(dir, (size_t)(slash - dir));
    *ret = sys_open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (*ret < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", parent);
    return DR_OK;
}

enum dr_rc scratch_remove(const char *dir, const char *run, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int parent = -1;
    DR_CLEANUP(walk_free_ptr) struct walk *w = dr_alloc(1, sizeof(*w));
    struct stat st;
    enum dr_rc rc = open_parent(dir, run, &parent, err);
    if (rc == DR_E_NOTFOUND)
        return DR_OK;
    DR_TRY(rc);
    w->parent = parent;
    if (sys.fstatat(parent, run, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? DR_OK : dr_fail_sys(err, errno, "cannot look at '%s'", dir);
    if (!S_ISDIR(st.st_mode))
        return dr_fail(err, DR_E_REFUSED, "'%s' is not a directory: it is left alone", dir);
    int why = enter(w, parent, run);
    if (why != 0)
        cannot(w, why, run);
    empty(w);
    if (w->first.rc != DR_OK) {
        *err = w->first;
        return err->rc;
    }
    if (sys.fsync(parent) != 0)
        return dr_fail_sys(err, errno, "cannot sync the directory above '%s'", dir);
    return DR_OK;
}
