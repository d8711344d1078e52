/*
 * chunk_index.h - which pieces lie in the buckets already, as this host remembers it.
 *
 *     STATE_DIR/index/chunks  =  header | names of packs | rows, ascending by id
 *
 *     header (128 bytes)   8 bytes "DTCI1" and NULs | 40 bytes repository id and NULs | u64 rows
 *                          u32 packs | u32 0 | u64 XXH3 of all behind the header | zeros
 *                          u64 XXH3 of the header so far
 *     name of a pack       32 bytes
 *     row (40 bytes)       first 24 bytes of the id | u32 pack | u32 offset (30 bits), count
 *                          u64 raw (26 bits), stored (26 bits), count (14 bits with the 2 above)
 *
 * count is the number of digests behind the piece. All numbers little-endian. A row takes 40
 * bytes, its pack's name 32 shared by all in the pack: 41 bytes a piece in packs of 32 MiB, below 48
 * from four pieces a pack on. The file is mapped, never read into memory, and looked up by
 * interpolation, since ids are spread evenly. 192 bits of a SHA-256 are enough: nobody finds two
 * pieces that share them (2^96), and who could write both would harm their own snapshots only.
 *
 * Trust: a row says "this frame holds these bytes", and a snapshot that uses it stands for that with
 * its signature. So only packs of snapshots signed by this host's own key are in here; what others
 * wrote to the same buckets we have not verified and do not share. Of our own packs the run that
 * wrote them computed the ids.
 *
 * The index may lack packs (it costs uploads, nothing else), and may name packs that are gone (the commit
 * looks for each pack before anything is visible). So its loss, or death at any moment, harms nobody; when it is
 * missing, damaged, or of another repository it is made anew from the tables at the ends of the packs.
 */
#ifndef BACKUP_WORK_CHUNK_INDEX_H
#define BACKUP_WORK_CHUNK_INDEX_H

#include "backup/work/chunk_table.h"
#include "backup/work/pack_names.h"
#include "backup/work/work.h"

struct chunk_index;

/* An empty one, of nothing on disk: what a first run has. Strings are copied. */
struct chunk_index *chunk_index_new(const char *state_dir, const char *repository) DR_MUST_USE;

/*
 * The index of a repository. DR_E_NOTFOUND: there is none; DR_E_CORRUPT: damaged, or of another
 * repository. state_dir is copied.
 */
enum dr_rc chunk_index_open(const char *state_dir, const char *repository, struct chunk_index **ret,
                            struct dr_err *err) DR_MUST_USE;
void chunk_index_close(struct chunk_index *x);
DR_DEFINE_CLEANUP(struct chunk_index, chunk_index_close)

/* The same, and where that is no good a new one from the buckets. writer: our public key. Packs
 * that cannot be read are left out. */
enum dr_rc chunk_index_get(struct repo *repo, const char *writer, struct chunk_index **ret,
                           struct dr_err *err) DR_MUST_USE;

/* Where is it? ret->pack is a number of this index. Any thread. */
bool chunk_index_find(const struct chunk_index *x, const uint8_t id[DIGEST_SIZE],
                      struct chunk_place *ret);

const uint8_t *chunk_index_pack(const struct chunk_index *x, uint32_t pack); /* its name */
uint32_t chunk_index_packs(const struct chunk_index *x);
size_t chunk_index_count(const struct chunk_index *x);
size_t chunk_index_bytes(const struct chunk_index *x); /* mapped */

struct chunk_index_news {
    struct chunk_table *table;        /* used up: it is sorted */
    const struct pack_names *names;   /* of its pack numbers */
    const struct pack_names *without; /* packs whose rows are dropped, or NULL */
};

/*
 * The index as it is on disk now (another run may have added to it since x was opened) with these
 * rows replaces it, in one rename. Without news nothing is written. x stays what it was.
 */
enum dr_rc chunk_index_merge(const struct chunk_index *x, const struct chunk_index_news *news,
                             struct dr_err *err) DR_MUST_USE;

#endif
