/*
 * backup_read.h - the worker: entries become the bytes of pieces, pieces become frames.
 *
 * A worker belongs to one thread and keeps all that is dear to make: the opener with its directory,
 * the zstd context, the digest, the buffers. worker_entry() appends one entry (head, data, padding) to
 * raw; worker_end_piece() gives these bytes an id, compresses them unless they are known, and begins
 * anew. worker_read() does both for all entries of an item and cuts a piece that grows beyond PIECE_SIZE.
 *
 * What the scan said is compared with what is there: an entry that vanished or became something
 * else is dropped with a warning; one that changed is stored as it was read, with a warning.
 */
#ifndef BACKUP_WORK_BACKUP_READ_H
#define BACKUP_WORK_BACKUP_READ_H

#include "backup/format/codec.h"
#include "backup/work/backup_entry.h"
#include "backup/work/backup_item.h"
#include "backup/work/scan_open.h"
#include "dr/base/hash.h"

enum { PIECE_SIZE = 4 << 20 }; /* a piece of small entries is cut from here on */

struct worker_options {
    int root; /* of the source, borrowed; -1: no entries are read */
    struct packs *packs;
    int64_t start_ns; /* of the run: what changed since then, or just before, is racy */
};

struct worker {
    struct worker_options o;
    struct scan_opener *opener;
    struct codec *codec;
    struct hash *hash;
    struct backup_entry entry;
    struct buf raw; /* of the piece at hand */
    size_t digests; /* of the piece at hand: where they begin in the item's */
    uint32_t first; /* entry of the piece at hand */
    unsigned items; /* read so far, up to a few */
};

struct worker *worker_new(const struct worker_options *o) DR_MUST_USE;
void worker_free(struct worker *w);
DR_DEFINE_CLEANUP(struct worker, worker_free)

/* Entry number i of the item to the end of raw; found, extra and drop are set. */
void worker_entry(struct worker *w, struct item *it, uint32_t i);

/* raw becomes a piece of the item (nothing in it: none). */
void worker_end_piece(struct worker *w, struct item *it);

/* work() of an item: all entries, in order. Those marked ITEM_SKIPPED are passed over. */
void worker_read(struct worker *w, struct item *it);

/* work() of an item: data[data_len] is one piece. */
void worker_pack(struct worker *w, struct item *it);

/* Why an entry could not be opened, from errno; and what to say when it is another one. */
const char *worker_open_fault(void);
extern const char worker_replaced[];

/* The same inode of the same type? And with the same size and times? */
bool worker_same_file(const struct scan_stat *a, const struct scan_stat *b);
bool worker_same_stat(const struct scan_stat *a, const struct scan_stat *b);

/* Known by this stat from now on. Other flags of ret stay. */
void worker_set_extra(const struct worker *w, const struct scan_stat *st, struct prev_extra *ret);

#endif
