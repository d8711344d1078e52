/*
 * restore_mark.h - the mark beside a target: "this tree is a restore of ours".
 *
 * The mark of DIR/NAME is the small file DIR/.NAME.drctl-restore: outside of what is restored,
 * so that the tree is exactly the snapshot. It holds the snapshot, the restored path, the state,
 * and which directory it speaks of (inode and birth time), so that another directory that takes
 * the name later is not believed to be ours.
 *
 *     (no mark) -> unfinished -> finished
 *
 * "unfinished" is durable before the first entry is made, "finished" is written after the whole
 * tree is on the medium.
 */
#ifndef BACKUP_WORK_RESTORE_MARK_H
#define BACKUP_WORK_RESTORE_MARK_H

#include "dr/base/buf.h"
#include "dr/base/err.h"

struct restore_target {
    char *path;   /* absolute, links resolved, no slash at the end; owned */
    char *parent; /* the directory above it; owned */
    char *name;   /* its last part; owned */
    bool exists;
    bool empty; /* exists, and holds nothing */
};

enum mark_state { MARK_NONE, MARK_UNFINISHED, MARK_FINISHED };

/* A whole snapshot, of which only what differs was written. */
#define HOW_DELTA "delta"

/* What was asked for, beside the snapshot. Another wish does not go on where this one was. */
struct restore_asked {
    const char *path; /* only this path; or NULL */
    const char *how;  /* "delta", or which patterns; or NULL */
};

struct restore_mark {
    enum mark_state state;
    char *snapshot;    /* owned; NULL without a mark */
    char *path, *how;  /* of what was asked for; owned, or NULL */
    bool same_boot;    /* written since the machine started: what a file's time says is true */
    bool of_this_dir;  /* the directory there now is the one it speaks of */
    bool before_birth; /* written before the directory was made */
};

/* What is at 'to' now. DR_E_REFUSED when it is something else than a directory, or "/". */
enum dr_rc restore_target_find(const char *to, struct restore_target *ret, struct dr_err *err)
    DR_MUST_USE;
void restore_target_fini(struct restore_target *t);

/* Two at once would write over each other: DR_E_BUSY while another process restores there. Held
 * until the descriptor is closed; -1 stays where there is nothing to hold on to. */
enum dr_rc restore_target_lock(const struct restore_target *t, int *ret_fd, struct dr_err *err)
    DR_MUST_USE;

/* Read the mark beside the target; none is MARK_NONE and DR_OK. */
enum dr_rc restore_mark_read(const struct restore_target *t, struct restore_mark *ret,
                             struct dr_err *err) DR_MUST_USE;
void restore_mark_fini(struct restore_mark *m);

/* Replace the mark, durably. The directory need not exist yet. */
enum dr_rc restore_mark_write(const struct restore_target *t, enum mark_state state,
                              const char *snapshot, const struct restore_asked *asked,
                              struct dr_err *err) DR_MUST_USE;

/* What this start of the machine is called; empty when the kernel does not say. */
void restore_boot_id(struct buf *out);

/* Remove the mark, durably. */
enum dr_rc restore_mark_remove(const struct restore_target *t, struct dr_err *err) DR_MUST_USE;

#endif
