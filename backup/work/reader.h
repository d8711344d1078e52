/*
 * reader.h - one snapshot, open for reading: its segments and pieces, from whichever bucket is right.
 *
 *     reader_open(repo, info, hooks, &r, err);
 *     for (size_t i = 0; i < reader_segment_count(r); i++) {
 *         const struct segment *s;
 *         DR_TRY(reader_segment(r, i, &s, err));      borrowed until the next call
 *         for (size_t k = 0; k < s->count; k++) ... s->records[k] ...
 *     }
 *
 * Records are in path order over all segments, each with its parent directory before it; what a
 * snapshot made to harm could hold instead (paths that lead out, entries below a symbolic link)
 * is refused here, before any caller sees it. Memory: one segment decoded, and up to
 * READER_KEEP bytes of segments so that a second pass reads no bucket.
 */
#ifndef BACKUP_WORK_READER_H
#define BACKUP_WORK_READER_H

#include "backup/format/head.h"
#include "backup/format/toc.h"
#include "backup/work/fetch.h"

enum { READER_KEEP = 12 << 20 };

struct reader;

struct segment {
    struct toc_segment toc;     /* its tables; the records are below */
    struct toc_record *records; /* owned by the reader */
    size_t count;
};

/* Damaged copies of the snapshot object are told as warnings. The caller closes. */
enum dr_rc reader_open(struct repo *r, const struct snapshot_info *info,
                       const struct work_hooks *hooks, struct reader **ret, struct dr_err *err)
    DR_MUST_USE;
void reader_close(struct reader *r);
DR_DEFINE_CLEANUP(struct reader, reader_close)

const struct snapshot *reader_snapshot(const struct reader *r);
struct fetch *reader_fetch(struct reader *r);
size_t reader_segment_count(const struct reader *r);

/* The frame that holds segment i. Borrowed. */
const struct list_frame *reader_segment_frame(const struct reader *r, size_t i);

/*
 * The raw bytes of the segment that a line of the table of contents names: of its frame, or made of
 * its base by the patch that the frame holds. They replace ret_raw; ret_base is empty, or gets the base.
 */
enum dr_rc reader_fetch_segment(struct fetch *fetch, const struct list_frame *frame,
                                struct buf *ret_raw, struct buf *ret_base, struct dr_err *err)
    DR_MUST_USE;

/* Could segment i hold an entry at or below path? By the list alone. */
bool reader_segment_has(const struct reader *r, size_t i, const char *path);

enum dr_rc reader_segment(struct reader *r, size_t i, const struct segment **ret,
                          struct dr_err *err) DR_MUST_USE;

/* fn for each record at or below path (NULL: for all), in path order. */
typedef enum dr_rc reader_fn(void *arg, const struct segment *s, const struct toc_record *rec,
                             struct dr_err *err);
enum dr_rc reader_each(struct reader *r, const char *path, reader_fn *fn, void *arg,
                       struct dr_err *err) DR_MUST_USE;

/* Objects replaced by another bucket, and damaged copies of the snapshot object. */
size_t reader_healed(const struct reader *r);

/* The place of a piece, for fetch_plan() and fetch_get(). */
struct fetch_piece reader_place(const struct segment *s, uint32_t piece);

/* The raw bytes of a piece; borrowed until the next. On failure the paths that suffer are not known
 * here: the caller adds them. */
enum dr_rc reader_piece(struct reader *r, const struct segment *s, uint32_t piece,
                        const struct buf **ret, struct dr_err *err) DR_MUST_USE;

/*
 * The head of a record, compared with the record (DR_E_CORRUPT when they differ). For an entry
 * inside a piece *ret_data points at its data there (borrowed until the next piece); for a large
 * file it is NULL and the data are in the chunks. The caller finishes ret.
 */
enum dr_rc reader_head(struct reader *r, const struct segment *s, const struct toc_record *rec,
                       struct head *ret, const uint8_t **ret_data, struct dr_err *err) DR_MUST_USE;

/* The same out of bytes that the caller got by itself: a piece, or all heads of a large file one
 * behind another. data: as above. */
enum dr_rc reader_head_in(const struct toc_record *rec, const struct buf *bytes, struct head *ret,
                          const uint8_t **ret_data, struct dr_err *err) DR_MUST_USE;

/*
 * All data bytes of a file (extents one behind another, without padding), in parts, to sink. h is
 * of reader_head(); data as it gave it.
 */
typedef enum dr_rc reader_sink(void *arg, const uint8_t *data, size_t len, struct dr_err *err);
struct reader_file {
    const struct segment *segment;
    const struct toc_record *record;
    const struct head *head;
    const uint8_t *data;
};
enum dr_rc reader_data(struct reader *r, const struct reader_file *file, reader_sink *sink,
                       void *arg, struct dr_err *err) DR_MUST_USE;

#endif
