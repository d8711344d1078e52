/*
 * The exchange is the commit. Whether it has happened is told by the mark of the new tree, which names
 * the directory it speaks of: before, that is the one beside; afterwards, the one in place.
 */
#include "backup/work/restore_swap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "backup/work/restore_mark.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { OLD_MAX = 100 };

struct swap {
    struct restore_target t;      /* in place */
    struct restore_target beside; /* the new tree, before the exchange */
    int lock;                     /* on what is in place at first */
};

static void swap_fini(struct swap *s)
{
    restore_target_fini(&s->t);
    restore_target_fini(&s->beside);
    dr_close_fd(&s->lock);
}

/* Does the mark of the new tree say that the directory at 'path' is it, and finished? */
static enum dr_rc is_new(const struct swap *s, const char *path, const char *id, bool *ret,
                         struct dr_err *err)
{
    DR_CLEANUP(restore_mark_fini) struct restore_mark m = { 0 };
    struct restore_target at = s->beside;
    DR_FREE char *copy = dr_strdup(path);
    at.path = copy;
    DR_TRY(restore_mark_read(&at, &m, err));
    *ret = m.state == MARK_FINISHED && m.of_this_dir && strcmp(m.snapshot, id) == 0;
    return DR_OK;
}

static enum dr_rc check_room(const struct swap *s, const struct snapshot_info *snapshot,
                             struct dr_err *err)
{
    struct statvfs v;
    if (statvfs(s->t.parent, &v) < 0)
        return dr_fail_sys(err, errno, "cannot ask for the free space of '%s'", s->t.parent);
    uint64_t free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    bool inodes = v.f_files == 0 || v.f_favail >= snapshot->entries; /* 0: it has no such limit */
    if (free_bytes >= snapshot->bytes && inodes)
        return DR_OK;
    char needs[32], has[32];
    if (inodes)
        dr_fail(err, DR_E_NOSPACE, "the new tree needs %s beside the old one, and '%s' has %s free",
                text_size(needs, sizeof(needs), snapshot->bytes), s->t.parent,
                text_size(has, sizeof(has), free_bytes));
    else
        dr_fail(err, DR_E_NOSPACE, "the new tree needs %llu inodes, and '%s' has %llu free",
                (unsigned long long)snapshot->entries, s->t.parent, (unsigned long long)v.f_favail);
    return dr_hint(err, "Free space there, or use --delta, which needs none beside.");
}

static enum dr_rc exchange(const struct swap *s, struct dr_err *err)
{
    if (sys.renameat2(AT_FDCWD, s->beside.path, AT_FDCWD, s->t.path, RENAME_EXCHANGE) < 0) {
        int why = errno;
        dr_fail_sys(err, why, "cannot exchange '%s' and '%s'", s->beside.path, s->t.path);
        if (why == EINVAL || why == ENOSYS)
            return dr_hint(err, "This file system cannot exchange two names; use --delta.");
        if (why == EBUSY || why == EXDEV)
            return dr_hint(err, "A mount point cannot be exchanged; use --delta.");
        return err->rc;
    }
    return fs_sync_dir(s->t.parent, err);
}

/* The old tree lies beside: give it the name under which it stays. */
static enum dr_rc keep_old(const struct swap *s, const char *id, char *ret, size_t size,
                           struct dr_err *err)
{
    for (int i = 1; i <= OLD_MAX; i++) {
        char more[16] = "";
        if (i > 1)
            snprintf(more, sizeof(more), "-%d", i);
        DR_FREE char *old = dr_strf("%s/.%s.old-%s%s", s->t.parent, s->t.name, id, more);
        if (sys.renameat2(AT_FDCWD, s->beside.path, AT_FDCWD, old, RENAME_NOREPLACE) == 0 ||
            errno == ENOENT) {
            snprintf(ret, size, "%s", old);
            return fs_sync_dir(s->t.parent, err);
        }
        if (errno != EEXIST)
            return dr_fail_sys(err, errno, "cannot rename '%s' to '%s'", s->beside.path, old);
    }
    return dr_fail(err, DR_E_REFUSED, "'%s' has too many old trees beside it", s->t.path);
}

static enum dr_rc find_both(struct swap *s, const char *to, struct dr_err *err)
{
    DR_TRY(restore_target_find(to, &s->t, err));
    DR_FREE char *beside = dr_strf("%s/.%s.drctl-new", s->t.parent, s->t.name);
    DR_TRY(restore_target_find(beside, &s->beside, err));
    return s->t.exists ? restore_target_lock(&s->t, &s->lock, err) : DR_OK;
}

/* Everything behind the restore. */
static enum dr_rc put_in_place(const struct swap *s, const char *id, bool exchanged,
                               struct restore_result *result, struct dr_err *err)
{
    const struct restore_asked all = { 0 };
    if (!exchanged)
        DR_TRY(exchange(s, err));
    DR_TRY(restore_mark_write(&s->t, MARK_FINISHED, id, &all, err));
    DR_TRY(keep_old(s, id, result->old, sizeof(result->old), err));
    return restore_mark_remove(&s->beside, err);
}

enum dr_rc restore_swap(struct repo *r, const struct snapshot_info *snapshot,
                        const struct restore_options *options, const struct work_hooks *hooks,
                        struct restore_result *ret, struct dr_err *err)
{
    DR_CLEANUP(swap_fini) struct swap s = { .lock = -1 };
    struct restore_options here = *options;
    struct restore_result result = { 0 };
    here.swap = false;
    DR_TRY(find_both(&s, options->to, err));
    if (!s.t.exists) /* nothing to exchange it with */
        return restore_run(r, snapshot, &here, hooks, ret, err);
    here.to = s.beside.path;
    here.verify = !options->dry_run;
    bool exchanged = false, made = false;
    DR_TRY(is_new(&s, s.t.path, snapshot->id, &exchanged, err));
    DR_TRY(is_new(&s, s.beside.path, snapshot->id, &made, err));
    made = made || exchanged;
    if (!made && (!s.beside.exists || s.beside.empty))
        DR_TRY(check_room(&s, snapshot, err));
    if (!made)
        DR_TRY(restore_run(r, snapshot, &here, hooks, &result, err));
    if (!options->dry_run)
        DR_TRY(put_in_place(&s, snapshot->id, exchanged, &result, err));
    *ret = result;
    return DR_OK;
}
