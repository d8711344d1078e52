/*
 * verify_budget.h - every pack of every bucket is read in the course of days, so many bytes a run.
 *
 * What was read when stands in STATE_DIR/verified, one line a pack and bucket. Those that were never read
 * come first, then the one read longest ago: each is read once before any is read twice. A file
 * that is damaged or gone begins the round anew. A pack that is damaged is told, and noted for
 * repair (suspects.h). Reads whole packs: at least one a run, and none that the rest of the budget does not hold.
 */
#ifndef BACKUP_WORK_VERIFY_BUDGET_H
#define BACKUP_WORK_VERIFY_BUDGET_H

#include "backup/work/work.h"

struct verify_round {
    struct verify_result result; /* objects and bytes: of this run */
    size_t packs;                /* in all open buckets together */
    size_t unread;               /* of them: not read in this round yet */
    int64_t oldest_ns;           /* the read that lies longest back; 0: some were never read */
};

enum dr_rc verify_budget(struct repo *r, uint64_t budget, const struct work_hooks *hooks,
                         struct verify_round *ret, struct dr_err *err) DR_MUST_USE;

#endif
