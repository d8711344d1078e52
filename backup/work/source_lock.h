/*
 * source_lock.h - one process at a time takes snapshots of a source on this host.
 *
 * backupd's jobs, `drctl backup` by hand and a run's backup.now all go through hooks_backup(), which holds
 * this lock from before the first hook until after the last one. So no two of them freeze and thaw
 * one application against each other, and nobody writes a sentinel while a tree is being read.
 *
 * It is an flock of STATE_DIR/sources/SOURCE: whoever dies, in whatever way, lets go of it. The file says who has
 * it, for the message alone. A host with two state directories has two of them.
 *
 *     DR_CLEANUP(dr_close_fd) int lock = -1;
 *     DR_TRY(source_lock(state_dir, "app", &lock, err));
 */
#ifndef BACKUP_WORK_SOURCE_LOCK_H
#define BACKUP_WORK_SOURCE_LOCK_H

#include "dr/base/err.h"

enum { SOURCE_LOCK_AGAIN_MS = 100 }; /* how often whoever waits for it looks */

/* DR_E_BUSY at once when another process has it, and which. The caller closes ret_fd. */
enum dr_rc source_lock(const char *state_dir, const char *source, int *ret_fd, struct dr_err *err)
    DR_MUST_USE;

#endif
