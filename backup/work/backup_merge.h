/*
 * backup_merge.h - the next snapshot of a source, made from the one before and a scan.
 *
 *     scan ─────────────┐
 *                       ├─ merge_parts ─ backup_check ─ merge_plan ─┬─ kept       backup_keep
 *     prev, segment ────┘                merge_removed              ├─ continued
 *     by segment                                                    └─ fresh
 *
 * One old segment at a time, in path order; memory does not grow with the tree, but for the list of removed
 * paths. All kinds of snapshots go this way: a full one believes nothing unread, and leaves packs that
 * hold little. What is unchanged is neither read nor stored.
 */
#ifndef BACKUP_WORK_BACKUP_MERGE_H
#define BACKUP_WORK_BACKUP_MERGE_H

#include "backup/work/backup_links.h"
#include "backup/work/backup_stream.h"
#include "backup/work/prev.h"
#include "backup/work/scan.h"

struct merge_options {
    struct scan *scan;
    struct links *links;
    struct stream *stream;
    struct packs *packs; /* asked which old packs are to be left */
    struct prev *prev;
    bool full;
    bool (*seen)(void *arg, uint64_t entries); /* so many more; false cancels. Or NULL */
    void *arg;
};

struct merge_counts { /* of entries, against the snapshot before */
    uint64_t added, changed, removed, unchanged;
};

/* The whole scan goes into the stream; the caller calls stream_finish(). */
enum dr_rc merge_run(const struct merge_options *o, struct merge_counts *ret, struct dr_err *err)
    DR_MUST_USE;

#endif
