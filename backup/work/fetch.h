/*
 * fetch.h - reads pieces out of the buckets, right or not at all.
 *
 * A piece is asked for by pack, place and digest. It comes from the first open bucket whose
 * bytes unpack to that digest; a bucket that fails is told once for each object as a warning,
 * and the next one is asked. Neighbouring pieces that were announced (fetch_plan) are read
 * together, up to FETCH_WINDOW bytes at once; memory is one window and one piece. Each thread has
 * a fetch of its own: buckets may be read by many at once.
 */
#ifndef BACKUP_WORK_FETCH_H
#define BACKUP_WORK_FETCH_H

#include "backup/work/work.h"
#include "dr/base/hash.h"

enum { FETCH_WINDOW = 8 << 20 };

struct fetch;

struct fetch_piece {
    uint8_t pack[HASH_SIZE]; /* name of the pack */
    uint64_t offset;         /* of the frame in it */
    uint64_t stored;         /* length of the frame */
    uint64_t raw;            /* length of the piece */
    uint64_t raw_max;        /* PIECE_RAW_MAX or SEGMENT_RAW_MAX */
    uint8_t id[HASH_SIZE];   /* digest of the piece */
};

/* hooks: borrowed until fetch_free(). */
struct fetch *fetch_new(struct repo *r, const struct work_hooks *hooks) DR_MUST_USE;
void fetch_free(struct fetch *f);
DR_DEFINE_CLEANUP(struct fetch, fetch_free)

/* Buckets that are known to hold the snapshot are asked first; the others may lack its packs
 * without a word. names: copied as an order. */
void fetch_prefer(struct fetch *f, const struct text_list *names);

/* Pieces that will be asked for next, in this order; borrowed until the next plan. Those that lie
 * behind each other in one pack are read with one call. */
void fetch_plan(struct fetch *f, const struct fetch_piece *const *pieces, size_t count);

/* The raw bytes of a piece, borrowed until the next call; the same again costs nothing. DR_E_CORRUPT when no open bucket has it
 * right: the message names the pack and what each bucket said. */
enum dr_rc fetch_get(struct fetch *f, const struct fetch_piece *piece, const struct buf **ret,
                     struct dr_err *err) DR_MUST_USE;

/* Objects that another bucket had to replace so far. */
size_t fetch_healed(const struct fetch *f);

/* Bytes asked of buckets so far. */
uint64_t fetch_bytes(const struct fetch *f);

#endif
