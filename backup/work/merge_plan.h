/*
 * merge_plan.h - what becomes of one segment of the snapshot before.
 *
 *     plan_make()       verdicts of all parts in, decisions out; nothing is read or written
 *
 *                          ┌ nothing differs, no pack to be left ──> kept: the same frame
 *     one segment ─────────┤ merge_rewrites() ─────────────────────> fresh: as if it were new
 *                          └ else ─────────────────────────────────> continued, range by range
 *
 *     a range of a continued one ┌ merge_recuts() ──> (it must, or may and the purse allows it) its small entries are read and cut afresh
 *                                └ else ────────────> its bundle stays, with some more dead bytes;
 *                                                     what changed or is new goes to overlays
 *
 * Rows that stay keep their order and come first, so that of two copies of a path the newer one
 * comes later in the stream: rows of bundles and overlays that this run writes lie behind all that stay.
 */
#ifndef BACKUP_WORK_MERGE_PLAN_H
#define BACKUP_WORK_MERGE_PLAN_H

#include "backup/work/merge_parts.h"

enum plan_kind { PLAN_KEPT, PLAN_CONTINUED, PLAN_FRESH };

struct plan_options {
    bool full;                      /* the kind of this snapshot */
    const bool *avoided;            /* for each pack of the segment's table: is it to be left? */
    bool frame_avoided;             /* the pack in which the segment itself lies */
    struct merge_purse *purse;      /* of the run */
    const struct merge_segment *at; /* with type_changed, reborn, blocked and removed set */
    bool joined;                    /* the segment before is still open: this one goes on in it */
};

struct plan {
    enum plan_kind kind;
    bool *recut;      /* for each range of the old segment */
    bool *keep;       /* for each row: it stays in the stream */
    uint64_t *dead;   /* for each row: dead bytes, those of before included */
    bool directories; /* their heads are all written afresh */
    bool joins;       /* the next segment goes on in this one */
};

/* parts: all of the segment, without PART_CHECK. What is the same but lies in a pack to be left
 * becomes PART_READ. The caller finishes ret. */
void plan_make(const struct prev_segment *s, struct parts *parts, const struct plan_options *o,
               struct plan *ret);
void plan_fini(struct plan *p);

/* Is it a small entry, by its record: one that lies whole in a bundle or an overlay? */
static inline bool plan_is_small(const struct toc_record *r)
{
    return r->nhead == 0 && r->type != '1' && r->type != '5';
}

#endif
