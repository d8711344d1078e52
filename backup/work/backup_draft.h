/*
 * backup_draft.h - one segment of the table of contents while it is being built.
 *
 * Records are added in path order, when an entry is planned; what reading finds (offsets, sizes,
 * digests) is filled in later. Rows of pieces come in the order in which pieces get done; draft_close()
 * sorts them into the order of the stream by their place:
 *
 *     range 0: bundle(s) | large files (heads, chunks) | links      range 1: ...      overlays | directories
 *
 * Within one place the order is that of draft_add_row(). Until draft_close() a record names
 * its row by the number that draft_add_row() gave (of a large file: its first head; heads and chunks
 * of one file are added one behind another). Records that were dropped leave no trace. What the
 * local cache keeps beside a record is its extra (prev_extra.h).
 *
 * All of it belongs to the thread that plans.
 */
#ifndef BACKUP_WORK_BACKUP_DRAFT_H
#define BACKUP_WORK_BACKUP_DRAFT_H

#include "backup/format/toc.h"
#include "backup/work/backup_base.h"
#include "backup/work/backup_lists.h"
#include "backup/work/prev_extra.h"

/* KEPT: large files that stay. Their rows are added at once, those of files that are read as their chunks
 * are done: in one place they would mix, and the rows of a file are a run. */
enum draft_part { DRAFT_BUNDLE, DRAFT_KEPT, DRAFT_LARGE, DRAFT_LINKS, DRAFT_PARTS };

/* Places of rows, ascending as in the stream. */
#define DRAFT_OVERLAYS    UINT32_C(0xfffffffe)
#define DRAFT_DIRECTORIES UINT32_C(0xffffffff)
static inline uint32_t draft_place(uint32_t range, enum draft_part part)
{
    return range * DRAFT_PARTS + part;
}

struct draft_record {
    struct toc_record record; /* piece: a row's number; path and link: set by draft_record() */
    struct prev_extra extra;
    size_t path, link; /* offsets in strings; link 0: none (no link begins at 0) */
    bool dropped;
};

struct draft_row {
    struct packs_place at;
    enum frame_kind kind;
    uint32_t place;
    uint64_t superseded;
};

struct draft_range {
    uint32_t first;  /* record */
    uint32_t bundle; /* row + 1, or 0 */
};

struct draft {
    struct draft_record *records;
    struct draft_row *rows;
    struct draft_range *ranges; /* by draft_add_range(): not sorted once a bundle was split */
    size_t record_count, row_count, range_count;
    struct buf strings;
    struct segment_base base; /* of a continued one, or none */
    bool continued;           /* the successor of an old segment: ends at twice the entries only */
    size_t record_cap, row_cap, range_cap; /* private */
    uint32_t next_range;                   /* likewise */
};

struct draft *draft_new(void) DR_MUST_USE;
void draft_free(struct draft *g);
DR_DEFINE_CLEANUP(struct draft, draft_free)

/* Append; path (and link) are copied. The number of the record. */
uint32_t draft_add_record(struct draft *g, const struct toc_record *r);

/* A row, its kind and place in the stream. Its number. */
uint32_t draft_add_row(struct draft *g, const struct draft_row *row);

/* A range that begins with the record added next. Its number. */
uint32_t draft_add_range(struct draft *g);

/* The bundle of the range that holds this record: that row. A range that has one already is cut
 * before the record, and the rest of it has the new one. */
void draft_set_bundle(struct draft *g, uint32_t first_record, uint32_t row);

/* The text of a link that was read only after the record was added. */
void draft_set_link(struct draft *g, uint32_t record, const char *link);

/* Record i with its path and link, valid until the next draft_add_record(). */
struct toc_record *draft_record(struct draft *g, size_t i);

/* All records but the dropped ones in a writer, rows in stream order, their runs in the lists. NULL when no
 * record is left. */
struct toc_writer *draft_close(struct draft *g, struct lists *lists) DR_MUST_USE;

/* The path of the first record that was not dropped; after draft_close(). */
const char *draft_first(struct draft *g);

#endif
