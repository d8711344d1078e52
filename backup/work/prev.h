/*
 * prev.h - the table of contents of the snapshot before, segment by segment, with what only this
 * host knows of its entries.
 *
 *     prev_open()       from the local cache, else from the buckets
 *     prev_segment()    one segment, decoded, in turn
 *     prev_piece()      the raw bytes of one of its pieces, from a bucket
 *     prev_close()
 *
 *     prev_writer_new()       while the next snapshot is made: a file beside the cache
 *     prev_writer_segment()   each segment in order, as it is encoded or kept
 *     prev_writer_line()      each line of the list of segments, in order
 *     prev_writer_commit()    after the snapshot is visible: it takes the place of the cache
 *     prev_writer_free()
 *
 *     STATE_DIR/toc/SOURCE
 *     | segment | base | extras | segment | base | extras | ... | trailer | footer |
 *
 * A segment lies there whole; one that is stored as a patch has its base behind it, else there is none; extras are one struct prev_extra for each record. The trailer
 * has place and checksum (XXH3) of each block, the lines that name the segments' frames, the list of
 * removed paths, and whose cache this is: repository, snapshot, patterns of exclusion, root. The
 * footer has place and checksum of the trailer.
 *
 * The cache is believed whole or not at all: another snapshot, other exclusions, another root, a
 * checksum that is wrong, and the segments come from a bucket and their extras are unknown. Losing
 * it costs that every file is read once, and nothing else: it is never synced, and a file that a
 * power loss left half-written does not pass its checksums. Death at any call leaves the old one
 * or the new one. Memory: one segment, a line for each, the removed paths.
 */
#ifndef BACKUP_WORK_PREV_H
#define BACKUP_WORK_PREV_H

#include "backup/format/toc.h"
#include "backup/work/prev_extra.h"
#include "backup/work/repo.h"
#include "backup/work/work.h"

struct prev_segment {
    struct toc_segment toc;     /* its tables */
    struct toc_record *records; /* path order; paths and links live as long as the segment */
    struct prev_extra *extras;  /* one for each record; flags 0: nothing is known */
    size_t count;
    const struct list_frame *frame; /* where it lies */
    struct buf raw;                 /* its encoded bytes */
    struct buf base;                /* when the frame is a patch: those of its base */
};

/* Whose cache it is. All must be equal for it to be believed. */
struct prev_identity {
    const char *repository, *snapshot; /* ids */
    uint64_t excludes;                 /* hash of the patterns and options that leave out entries */
    uint64_t root_dev, root_ino;
};

struct prev;

struct prev_options {
    const char *state_dir, *source;
    const struct prev_identity *identity; /* of the snapshot before and of the scan at hand */
    struct repo *repo;                    /* for what the cache does not have */
    const struct snapshot_info *parent;
    const struct work_hooks *hooks; /* or NULL; borrowed until prev_close() */
};

/* Fails only when neither the cache nor a bucket has the segments. The caller closes. */
enum dr_rc prev_open(const struct prev_options *o, struct prev **ret, struct dr_err *err)
    DR_MUST_USE;
void prev_close(struct prev *p);
DR_DEFINE_CLEANUP(struct prev, prev_close)

/* Are extras known: did the cache serve? */
bool prev_is_cached(const struct prev *p);

size_t prev_count(const struct prev *p);

/* The path of the first record of segment i. Borrowed. */
const char *prev_first(const struct prev *p, size_t i);

/* Segment i. Borrowed until the next call. */
enum dr_rc prev_segment(struct prev *p, size_t i, const struct prev_segment **ret,
                        struct dr_err *err) DR_MUST_USE;

/* The removed paths of that snapshot, in path order, each ended by NUL. Borrowed. */
const struct buf *prev_removed(const struct prev *p);

/* The raw bytes of a piece of the segment at hand, from a bucket. Borrowed until the next call. */
enum dr_rc prev_piece(struct prev *p, uint32_t piece, const struct buf **ret, struct dr_err *err)
    DR_MUST_USE;

/* -- writing ------------------------------------------------------------------------------- */

struct prev_writer;

/* NULL when no file can be made, or another run of this source is writing one: then the next run
 * reads everything once. The caller frees. */
struct prev_writer *prev_writer_new(const char *state_dir, const char *source) DR_MUST_USE;
void prev_writer_free(struct prev_writer *w);
DR_DEFINE_CLEANUP(struct prev_writer, prev_writer_free)

/* w may be NULL in all of these: then nothing is done. A failure to write is remembered, and told
 * by prev_writer_commit(). base: of a segment that is stored as a patch; else it is empty. */
void prev_writer_segment(struct prev_writer *w, const struct buf *raw, const struct buf *base,
                         const struct prev_extra *extras, size_t count);
void prev_writer_line(struct prev_writer *w, const char *line);
void prev_writer_removed(struct prev_writer *w, const struct buf *paths);

/* The file becomes the cache of that snapshot. On failure the old one stays. */
enum dr_rc prev_writer_commit(struct prev_writer *w, const struct prev_identity *identity,
                              struct dr_err *err) DR_MUST_USE;

#endif
