/*
 * backup_base.h - what a segment is a patch of, while the next snapshot is made.
 *
 * A segment that goes on from the one before it (stream_continue) is stored as a patch as long as that
 * is worth it. Its base is the last one that was stored whole: patches do not build on patches. The
 * further a segment goes from its base the longer its patch gets; one that is longer than half of the
 * base's frame is not made, the segment is stored whole and is the next base. So a change of a hundredth
 * costs its own rows in each of the next dozens of snapshots, and any segment is read from two frames.
 */
#ifndef BACKUP_WORK_BACKUP_BASE_H
#define BACKUP_WORK_BACKUP_BASE_H

#include "backup/format/codec.h"
#include "backup/work/backup_packs.h"
#include "backup/work/prev.h"

struct segment_base {
    struct buf raw;           /* its bytes; empty: there is no base */
    struct packs_place place; /* of its frame */
};
void segment_base_fini(struct segment_base *b);

/*
 * The base for the successor of that segment: its own base, or itself. None when it is too large, or its
 * pack is to be left. The bytes are copied.
 */
void segment_base_of(struct packs *packs, const struct prev_segment *p, struct segment_base *ret);

/* The same for a segment that is kept as it is: none when it is stored whole. */
void segment_base_kept(struct packs *packs, const struct prev_segment *p, struct segment_base *ret);

/* Append the frame of a patch that makes raw, and set raw and id of place. False, and nothing
 * done: a whole frame is better. */
bool segment_base_pack(const struct segment_base *b, struct codec *codec, const struct buf *raw,
                       struct buf *frame, struct packs_place *place) DR_MUST_USE;

#endif
