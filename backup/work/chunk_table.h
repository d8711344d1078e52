/*
 * chunk_table.h - places of pieces by their ids, in a mapped unnamed file: memory that grows with the data but
 * not on the heap.
 *
 * Rows lie one behind another in the order in which they came; beside them an open hash table of row
 * numbers, at most three quarters full. 40 bytes a row and 5 to 11 for its slot; room for rows
 * grows by half. Both are pages of a file in STATE_DIR/spool (RssFile, not RssAnon), reserved by writing
 * them, so that a full disk is an error of chunk_table_add() and no signal later.
 *
 * Not for several threads at once: the owner locks.
 */
#ifndef BACKUP_WORK_CHUNK_TABLE_H
#define BACKUP_WORK_CHUNK_TABLE_H

#include "backup/format/limits.h"
#include "dr/base/err.h"

enum { CHUNK_KEY_SIZE = 24 };

struct chunk_place {
    uint32_t pack; /* number, of whoever keeps the names */
    uint32_t offset, stored, raw;
    uint32_t behind; /* bytes of the digest frame behind it */
};

struct chunk_row {               /* as on disk, little-endian */
    uint8_t key[CHUNK_KEY_SIZE]; /* of the id */
    uint32_t pack;
    uint32_t at;    /* offset, and the upper bits of the count of digests */
    uint64_t sizes; /* raw, stored, the lower bits */
};

/* False when it does not fit into a row (more than 16383 digests): it is not remembered, then. */
bool chunk_row_make(const uint8_t id[DIGEST_SIZE], const struct chunk_place *place,
                    struct chunk_row *ret);
struct chunk_place chunk_row_place(const struct chunk_row *row);

struct chunk_table;

/* state_dir: borrowed until chunk_table_free(). */
struct chunk_table *chunk_table_new(const char *state_dir) DR_MUST_USE;
void chunk_table_free(struct chunk_table *t);
DR_DEFINE_CLEANUP(struct chunk_table, chunk_table_free)

/* Remember; what was known of this id before is replaced. */
enum dr_rc chunk_table_add(struct chunk_table *t, const uint8_t id[DIGEST_SIZE],
                           const struct chunk_place *place, struct dr_err *err) DR_MUST_USE;
bool chunk_table_find(const struct chunk_table *t, const uint8_t id[DIGEST_SIZE],
                      struct chunk_place *ret);
size_t chunk_table_count(const struct chunk_table *t);

/* All rows, ascending by key; nothing can be found or added from now on. Borrowed. */
const struct chunk_row *chunk_table_sort(struct chunk_table *t);

#endif
