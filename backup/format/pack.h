/*
 * pack.h - packs: frames one behind another, then a table of them (FORMAT.md, chapter 5).
 *
 * Writing: pack_start(), pack_add() for each frame, pack_seal(); then bytes and name are those of
 * the object, and pack_start() begins the next. Reading needs no table: segments say where frames
 * lie. The table is for looking into a pack when only the pack is left, and for verifying.
 */
#ifndef BACKUP_FORMAT_PACK_H
#define BACKUP_FORMAT_PACK_H

#include "backup/format/limits.h"
#include "dr/base/buf.h"
#include "dr/base/err.h"
#include "dr/base/hash.h"

struct pack_row {
    uint8_t id[DIGEST_SIZE];
    uint32_t offset, stored, raw, kind;
};

struct pack {
    struct buf bytes;
    struct buf rows; /* encoded */
    uint32_t row_count;
    uint8_t nonce[NONCE_SIZE];
    uint8_t name[DIGEST_SIZE]; /* set by pack_seal() */
};

/* p: zeroed, or used before (its memory is kept). */
void pack_start(struct pack *p, const uint8_t nonce[NONCE_SIZE]);

/* Append a frame; row->offset is set. The caller keeps the pack far below PACK_SIZE_MAX. */
void pack_add(struct pack *p, struct pack_row *row, const void *frame);

/* Append a digest frame of count digests, behind the frame they belong to. count > 0. */
void pack_add_digests(struct pack *p, const void *digests, size_t count);

/* Append the table; bytes and name are final. */
void pack_seal(struct pack *p);
void pack_fini(struct pack *p);

/* -- the same in parts, for a writer that keeps no pack in memory ------------------------------ */

/* Append one row of a table to rows. */
void pack_rows_add(struct buf *rows, const struct pack_row *row);

/* Append a digest frame of count digests. count > 0. */
void pack_digests_add(struct buf *out, const void *digests, size_t count);

/* Append the table of count encoded rows: the last bytes of a pack. */
void pack_table_add(struct buf *out, const uint8_t nonce[NONCE_SIZE], const struct buf *rows,
                    uint32_t count);

/* How many bytes that will be. */
uint64_t pack_table_len(uint32_t count);

/* -- reading ------------------------------------------------------------------------------- */

struct pack_table {
    uint8_t nonce[NONCE_SIZE];
    struct pack_row *rows; /* owned; ascending by offset */
    size_t count;
};

enum { PACK_TAIL_SIZE = 8 };

/* How many bytes at the end of a pack of pack_size bytes are its table, from its last 8 bytes. */
enum dr_rc pack_table_size(const char *what, const uint8_t tail[PACK_TAIL_SIZE], uint64_t pack_size,
                           uint64_t *ret, struct dr_err *err) DR_MUST_USE;

/* Parse these last bytes. */
enum dr_rc pack_table_parse(const char *what, const void *data, size_t len, uint64_t pack_size,
                            struct pack_table *ret, struct dr_err *err) DR_MUST_USE;
void pack_table_fini(struct pack_table *t);

/* The row of that id, or NULL. */
const struct pack_row *pack_table_find(const struct pack_table *t, const uint8_t id[DIGEST_SIZE]);

/*
 * The digests in the digest frame at the start of data: ret is borrowed from data, count digests.
 * No digest frame there: count 0.
 */
enum dr_rc pack_digests(const char *what, const void *data, size_t len, const uint8_t **ret,
                        size_t *ret_count, struct dr_err *err) DR_MUST_USE;

#endif
