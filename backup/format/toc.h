/*
 * toc.h - segments of the table of contents (FORMAT.md, chapter 6).
 *
 * Reading: toc_open() checks the tables of a segment, toc_next() gives one record after another
 * in path order, each checked: valid and ascending paths, piece and owner within their tables,
 * known type, links within limits. Writing: gather pieces and records as they come; the packs of
 * the pieces may get their names later, toc_encode() asks for them at the end.
 *
 * Records have all that planning a restore needs (names, types, links, modes, owners, times,
 * sizes). Extended attributes, ACLs and sparse maps are in the heads, in the pieces (head.h).
 */
#ifndef BACKUP_FORMAT_TOC_H
#define BACKUP_FORMAT_TOC_H

#include "backup/format/limits.h"
#include "backup/format/wire.h"

struct toc_piece {
    uint8_t id[DIGEST_SIZE];
    enum frame_kind kind;
    uint32_t pack; /* index of the pack table */
    uint64_t offset, stored, raw, superseded;
};

struct toc_record {
    const char *path; /* ended by NUL; valid until the next toc_next() */
    const char *link; /* types '1' (a path) and '2' (text), else NULL; likewise */
    size_t path_len;
    char type; /* '0' to '6', as in tar */
    uint32_t mode, uid, gid;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t major, minor;
    uint32_t piece;  /* index of the piece table: where the head begins */
    uint64_t offset; /* in the raw piece, in bytes */
    uint64_t size;   /* type '0' */
    uint32_t nhead,
        nchunk; /* large file: pieces piece .. +nhead-1 are its head, the next nchunk its data */
    uint8_t digest[DIGEST_SIZE]; /* of the ids of a large file's chunks */
};

/* -- reading ------------------------------------------------------------------------------- */

struct toc_range { /* records from first to the first of the next range */
    uint32_t first;
    uint32_t bundle; /* index of the piece of its bundle + 1, 0: it has none */
};

struct toc_segment {
    uint8_t (*packs)[DIGEST_SIZE]; /* owned; the segment's own pack is filled in */
    size_t pack_count;
    struct toc_piece *pieces; /* owned; in stream order */
    size_t piece_count;
    struct toc_range *ranges; /* owned; firsts never descend, bundles are pieces of that kind */
    size_t range_count;
    size_t record_count;
    /* private */
    struct toc_owner *owners;
    size_t owner_count;
    struct wire records; /* at the next record */
    size_t done;
    int64_t mtime_s;
    struct buf path, link;
};

/*
 * data is borrowed until toc_close(). self: the name of the pack in which the segment lies.
 * what: named in errors (borrowed, too); all are DR_E_CORRUPT. Nothing to close on failure.
 */
enum dr_rc toc_open(const char *what, const void *data, size_t len, const uint8_t self[DIGEST_SIZE],
                    struct toc_segment *ret, struct dr_err *err) DR_MUST_USE;
void toc_close(struct toc_segment *s);

/* The next record; *ret_more false (and no record) at the end. */
enum dr_rc toc_next(struct toc_segment *s, struct toc_record *ret, bool *ret_more,
                    struct dr_err *err) DR_MUST_USE;

/* -- writing ------------------------------------------------------------------------------- */

struct toc_writer;

struct toc_writer *toc_writer_new(void) DR_MUST_USE;
void toc_writer_free(struct toc_writer *w);
DR_DEFINE_CLEANUP(struct toc_writer, toc_writer_free)

/* Append a piece; piece->pack is any number of the caller's, given to name() later. Its index. */
uint32_t toc_add_piece(struct toc_writer *w, const struct toc_piece *piece);

/* Set a row anew: one that was added before its frame was known. */
void toc_set_piece(struct toc_writer *w, uint32_t index, const struct toc_piece *piece);

/* Begin a range at the next record; bundle: index of its piece + 1, or 0. */
void toc_add_range(struct toc_writer *w, uint32_t bundle);

/* Append a record (copied). Paths ascend. */
void toc_add_record(struct toc_writer *w, const struct toc_record *r);

size_t toc_writer_records(const struct toc_writer *w);
size_t toc_writer_bytes(const struct toc_writer *w); /* about the encoded size */

/* Append the segment's raw bytes. name(arg, pack): the name of that pack, DIGEST_SIZE bytes, or
 * NULL for the pack into which this segment goes. */
void toc_encode(const struct toc_writer *w, const uint8_t *(*name)(void *arg, uint32_t pack),
                void *arg, struct buf *out);

#endif
