/*
 * stats.h - where the bytes are: what the snapshots hold, and what lies in the buckets for it.
 *
 * One pass over the tables of contents, each shared segment once; then the packs of each bucket are listed and
 * measured. Memory: at most 32 bytes for each piece that some snapshot needs (a piece is a megabyte of
 * files, or a chunk of a large one), one segment, and the names of the packs.
 *
 * "Needed" are the frames that a snapshot reads: pieces, segments, and what names them. The rest of a pack is
 * dead: older copies, frames of snapshots that were pruned, and the pack's own tables (a percent or so).
 */
#ifndef BACKUP_WORK_STATS_H
#define BACKUP_WORK_STATS_H

#include "backup/work/work.h"

struct stats_bucket {
    const char *name; /* borrowed from the repo */
    bool open;        /* else all below is 0 */
    size_t objects;   /* of all kinds */
    uint64_t bytes;
    size_t packs; /* among them */
    uint64_t pack_bytes;
    size_t unused_packs; /* needed by no snapshot that was looked at */
    uint64_t needed;     /* bytes of frames in them that a snapshot needs */
};

struct stats {
    size_t snapshots;     /* looked at: refused ones are not */
    uint64_t bytes;       /* of files, over all snapshots: as if each were stored alone */
    uint64_t raw, stored; /* different pieces: before and after compression */
    size_t pieces;
    struct stats_bucket *buckets; /* owned */
    size_t bucket_count;
};
void stats_fini(struct stats *s);

/* ret is finished by the caller in every case. */
enum dr_rc stats_run(struct repo *r, const struct snapshot_list *list,
                     const struct work_hooks *hooks, struct stats *ret, struct dr_err *err)
    DR_MUST_USE;

#endif
