/*
 * The walk itself: a stack of directories from the root to where it is, no recursion. Directories
 * come read from scan_ahead; here their entries are given out one by one, and what went wrong is told at
 * its place in the order.
 */
#include "backup/work/scan.h"

#include <errno.h>
#include <string.h>

#include "backup/work/scan_ahead.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

struct level { /* a directory that the walk is in */
    struct scan_dir *dir;
    struct scan_batch *batch; /* at hand; or NULL */
    size_t at;                /* next entry of it */
    const char *name;         /* of that */
};

struct scan {
    struct scan_options o;
    int root;
    struct scan_ahead *ahead;
    struct scan_dir *enter; /* the entry given out last, when its content comes next; owned */
    struct level *levels;
    size_t depth, cap;
    size_t given; /* entries since scan_ahead was told */
    struct buf path;
    struct scan_entry entry;
    bool started;
};

static void warn(struct scan *s, const char *what)
{
    if (s->o.warning != NULL)
        s->o.warning(s->o.arg, s->path.len > 0 ? s->path.data : ".", what);
}

static void warn_errno(struct scan *s, int errnum)
{
    const char *what = strerrordesc_np(errnum);
    if (errnum == ENAMETOOLONG)
        what = "its path is beyond the limits";
    warn(s, what != NULL ? what : "it cannot be read");
}

static void batch_free(struct scan_batch *b)
{
    if (b == NULL)
        return;
    scan_dir_free(b->first_sub); /* with its siblings */
    free(b);
}

void scan_free(struct scan *s)
{
    if (s == NULL)
        return;
    scan_ahead_free(s->ahead);
    if (s->enter != NULL)
        scan_dir_free(s->enter);
    while (s->depth > 0) {
        struct level *l = &s->levels[--s->depth];
        batch_free(l->batch);
        scan_dir_free(l->dir);
    }
    dr_close_fd(&s->root);
    buf_fini(&s->path);
    free(s->levels);
    free(s);
}

enum dr_rc scan_new(const struct scan_options *options, struct scan **ret, struct dr_err *err)
{
    struct stat st;
    DR_CLEANUP(scan_free_ptr) struct scan *s = dr_alloc(1, sizeof *s);
    s->o = *options;
    buf_add(&s->path, "", 0);
    s->root = sys_open(options->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (s->root < 0 || fstat(s->root, &st) != 0)
        return dr_fail_sys(err, errno, "cannot read the directory '%s'", options->root);
    scan_stat_set(&s->entry.st, &st);
    s->enter = scan_dir_new(NULL, "", &s->entry.st);
    DR_TRY(scan_ahead_new(&s->o, s->root, s->enter, &s->ahead, err));
    *ret = DR_TAKE(s);
    return DR_OK;
}

int scan_root(const struct scan *s)
{
    return s->root;
}

static void set_path(struct scan *s, size_t dir_len, const char *name)
{
    s->path.len = dir_len;
    if (dir_len > 0)
        buf_addc(&s->path, '/');
    buf_adds(&s->path, name);
}

static void push(struct scan *s, struct scan_dir *d)
{
    if (s->depth == s->cap) {
        s->cap = s->cap == 0 ? 64 : s->cap * 2;
        s->levels = dr_realloc(s->levels, s->cap, sizeof *s->levels);
    }
    s->levels[s->depth++] = (struct level){ .dir = d };
}

/* Get the next batch of the directory at hand, or leave it. */
static enum dr_rc next_batch(struct scan *s, struct dr_err *err)
{
    struct level *l = &s->levels[s->depth - 1];
    bool first = l->batch == NULL;
    free(l->batch); /* its directories were entered */
    l->batch = scan_ahead_next(s->ahead, l->dir, s->given);
    s->given = 0;
    s->path.len = l->dir->path_len;
    s->path.data[s->path.len] = '\0';
    if (first && l->dir->problem != NULL)
        warn(s, l->dir->problem);
    if (l->dir->failed != NULL) {
        *err = *l->dir->failed;
        return dr_context(err, "sorting the names of '%s'", s->path.data);
    }
    if (l->batch == NULL) {
        scan_dir_free(l->dir);
        s->depth--;
        return DR_OK;
    }
    if (l->batch->problem != NULL)
        warn(s, l->batch->problem);
    l->at = 0;
    l->name = l->batch->names;
    return DR_OK;
}

/* The next entry of the batch at hand. False: it is passed over. */
static bool next_entry(struct scan *s)
{
    struct level *l = &s->levels[s->depth - 1];
    const struct scan_stat *st = &l->batch->st[l->at++];
    const char *name = l->name;
    set_path(s, l->dir->path_len, name);
    l->name += strlen(name) + 1;
    s->given++;
    if (st->mode == 0) {
        if (st->nlink != 0)
            warn_errno(s, (int)st->nlink);
        return false;
    }
    s->entry.st = *st;
    struct scan_dir *sub = l->batch->first_sub;
    if (sub != NULL && sub->name == name) {
        l->batch->first_sub = sub->sibling;
        sub->sibling = NULL;
        s->enter = sub;
    }
    return true;
}

enum dr_rc scan_next(struct scan *s, const struct scan_entry **ret, struct dr_err *err)
{
    bool found = !s->started;
    if (!found && s->enter != NULL)
        push(s, DR_TAKE(s->enter));
    s->started = true;
    while (!found && s->depth > 0) {
        const struct level *l = &s->levels[s->depth - 1];
        if (l->batch == NULL || l->at == l->batch->count)
            DR_TRY(next_batch(s, err));
        else
            found = next_entry(s);
    }
    s->entry.path = s->path.data;
    s->entry.path_len = s->path.len;
    *ret = found ? &s->entry : NULL;
    return DR_OK;
}
