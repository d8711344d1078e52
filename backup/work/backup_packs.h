/*
 * backup_packs.h - frames in, packs out; the same piece once.
 *
 *      workers                          the caller's thread
 *      packs_know(id)? ── no ──> compress ──> packs_add() ──> spool file ──full──> put(): queues of buckets
 *                      └─ yes ─> no frame ──> packs_add() ──> the known place
 *
 * One pack is open at a time; its bytes go straight into an unnamed file in STATE_DIR/spool, never
 * into anonymous memory. A full pack is sealed: it gets its name (the digest was computed while
 * appending) and is handed to put(), which takes references of it (spool.h). So memory holds 48
 * bytes for each frame of the pack at hand and 44 bytes for each pack, whatever the source.
 *
 * Packs have numbers: those of this run from their first frame on, older ones when they are first
 * spoken of (packs_number(), or a place out of the index). Names exist once a pack is sealed.
 *
 * packs_know() may be called by any thread. Everything else is for the one thread that adds; calls come in
 * the order of the pieces, so that the packs do not depend on the number of workers.
 */
#ifndef BACKUP_WORK_BACKUP_PACKS_H
#define BACKUP_WORK_BACKUP_PACKS_H

#include "backup/format/limits.h"
#include "backup/work/spool.h"
#include "dr/base/buf.h"
#include "dr/base/err.h"

struct chunk_index;
struct packs;

struct packs_options {
    uint8_t nonce[NONCE_SIZE];
    uint64_t target;       /* bytes of a pack */
    const char *state_dir; /* borrowed until packs_free() */
    struct chunk_index
        *index; /* of earlier runs, borrowed; or NULL: nothing is known from before */
    /* Store a sealed pack in every bucket; borrowed for the call: take a reference to keep it. */
    enum dr_rc (*put)(void *arg, struct spooled *pack, struct dr_err *err);
    void *arg;
};

struct packs_place { /* where a frame lies */
    uint8_t id[DIGEST_SIZE];
    uint32_t pack; /* number */
    uint32_t offset, stored, raw;
    uint32_t behind; /* bytes of the digest frame behind it */
};

struct packs_frame {
    enum frame_kind kind;
    uint8_t id[DIGEST_SIZE]; /* SHA-256 of the raw bytes */
    size_t raw_len;
    const void *frame; /* one zstd frame; may be NULL when packs_know() said yes */
    size_t frame_len;
    const void *digests; /* of the files in it, or NULL */
    size_t digest_count;
    size_t reserve; /* bytes that before_seal() will want: the pack is sealed that much earlier */
};

struct packs *packs_new(const struct packs_options *options) DR_MUST_USE;
void packs_free(struct packs *p);
DR_DEFINE_CLEANUP(struct packs, packs_free)

/*
 * fn is called when a pack is about to be sealed: what must lie in the same pack as what it names
 * (TOC segments) is added there with packs_add_here().
 */
void packs_before_seal(struct packs *p, void (*fn)(void *arg), void *arg);

/*
 * Is a piece of this id stored already, by this run or in a pack of the index that is not avoided?
 * Any thread. Once true it stays true in this run. with_digests: it counts only with a digest
 * frame behind it, as bundles need it: a file may hold the very bytes of a bundle, and its chunk has none.
 */
bool packs_know(struct packs *p, const uint8_t id[DIGEST_SIZE], bool with_digests);

/* A piece that is known by now gives the known place and drops the frame. */
enum dr_rc packs_add(struct packs *p, const struct packs_frame *frame, struct packs_place *ret,
                     struct dr_err *err) DR_MUST_USE;

/* Into the pack at hand, without looking whether it is full or the piece known: from before_seal(). A full disk
 * is reported when the pack is sealed. */
void packs_add_here(struct packs *p, const struct packs_frame *frame, struct packs_place *ret);

/* Seal and store the pack at hand, if anything is in it or before_seal() puts something. */
enum dr_rc packs_flush(struct packs *p, struct dr_err *err) DR_MUST_USE;

/* The name of a pack, or NULL for the one at hand. Borrowed until the next call. */
const uint8_t *packs_name(const struct packs *p, uint32_t pack);

/* The number of an older pack (of pieces that are kept); the same name gives the same number. */
uint32_t packs_number(struct packs *p, const uint8_t name[DIGEST_SIZE]);

/* A pack that is condemned, or to be copied forward: nothing in it is known. Before the first piece. */
void packs_avoid(struct packs *p, const uint8_t name[DIGEST_SIZE]);
bool packs_avoided(const struct packs *p, const uint8_t name[DIGEST_SIZE]);

uint32_t packs_count(const struct packs *p);  /* numbers given so far */
uint64_t packs_stored(const struct packs *p); /* bytes sealed by this run */

/* The snapshot is visible: the places of this run go into the index. Its failure costs the next run
 * some sharing, nothing else. */
enum dr_rc packs_commit(struct packs *p, struct dr_err *err) DR_MUST_USE;

#endif
