/*
 * repair.h - a snapshot of one bucket into another: missing packs first, the snapshot object last.
 *
 * Packs are copied under their own names, condemned or not: no pack of a visible snapshot is ever taken by a
 * prune that the snapshot's own expiry did not precede. Each pack is checked against its name on the way; one
 * that the first bucket lacks, or has damaged, comes from any other. Interrupted anywhere, it leaves packs that
 * the next repair uses or the next prune takes.
 */
#ifndef BACKUP_WORK_REPAIR_H
#define BACKUP_WORK_REPAIR_H

#include "backup/work/repo.h"

struct repair_result {
    size_t packs;   /* copied */
    uint64_t bytes; /* of them */
    bool expired;   /* nothing was done: the snapshot is expired in the second bucket */
};

/*
 * from and to: indexes of open buckets. The snapshot is visible in the first: DR_E_REFUSED when it is expired
 * there, or not to be believed. DR_E_CORRUPT: one of its packs is whole in no bucket.
 */
enum dr_rc repair_snapshot(struct repo *r, const char *id, size_t from, size_t to,
                           struct repair_result *ret, struct dr_err *err) DR_MUST_USE;

#endif
