/*
 * prune_unnamed.h - since when is a pack named by nothing?
 *
 * A pack that no snapshot and no pending names is garbage of a dead run, or belongs to a backup that is
 * under way and has not come to its pending yet. Taking it from the latter costs that backup its work (never
 * a snapshot: it notices), so such packs are left alone for a while after they were first seen.
 * That moment is remembered in STATE_DIR/prune/unnamed. Losing the file only delays.
 */
#ifndef BACKUP_WORK_PRUNE_UNNAMED_H
#define BACKUP_WORK_PRUNE_UNNAMED_H

#include "backup/work/idset.h"
#include "dr/base/err.h"

struct unnamed_question {
    const char *state_dir;
    const struct idset *packs; /* named by nothing now; sorted */
    int64_t now_ns, grace_ms;
    bool read_only; /* remember nothing */
};

/* Add those to ret that have been so for longer than the grace. */
enum dr_rc unnamed_ripe(const struct unnamed_question *q, struct idset *ret, struct dr_err *err)
    DR_MUST_USE;

#endif
