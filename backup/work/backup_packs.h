/*
 * backup_packs.h - raw pieces in, packs out; the same piece once.
 *
 * packs_add() names a piece by its SHA-256, compresses it unless this run stored it already, and puts
 * it into the pack that is being built. A full pack is sealed and handed to put(). Packs have
 * numbers (0, 1, ...) from the start, and names once they are sealed.
 *
 * before_seal() is called when a pack is about to be sealed: what must lie in the same pack as
 * what it names (TOC segments) is added there with packs_add_here().
 */
#ifndef BACKUP_WORK_BACKUP_PACKS_H
#define BACKUP_WORK_BACKUP_PACKS_H

#include "backup/format/limits.h"
#include "dr/base/buf.h"
#include "dr/base/err.h"

struct packs;

struct packs_options {
    uint8_t nonce[NONCE_SIZE];
    uint64_t target; /* bytes of a pack */
    /* Store the object; data is borrowed for the call. */
    enum dr_rc (*put)(void *arg, const char *name, const void *data, size_t len,
                      struct dr_err *err);
    void (*before_seal)(void *arg); /* or NULL */
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
    const void *raw;
    size_t len;
    const void *digests; /* of the files in it, or NULL */
    size_t digest_count;
    size_t reserve; /* bytes that before_seal() will want: the pack is sealed that much earlier */
};

struct packs *packs_new(const struct packs_options *options) DR_MUST_USE;
void packs_free(struct packs *p);
DR_DEFINE_CLEANUP(struct packs, packs_free)

enum dr_rc packs_add(struct packs *p, const struct packs_frame *frame, struct packs_place *ret,
                     struct dr_err *err) DR_MUST_USE;

/* Into the pack at hand, without looking whether it is full: from before_seal(). */
void packs_add_here(struct packs *p, const struct packs_frame *frame, struct packs_place *ret);

/* Seal and store the pack at hand, if anything is in it or before_seal() puts something. */
enum dr_rc packs_flush(struct packs *p, struct dr_err *err) DR_MUST_USE;

/* The name of a sealed pack, or NULL for the one at hand. */
const uint8_t *packs_name(const struct packs *p, uint32_t pack);

uint32_t packs_count(const struct packs *p);  /* sealed ones */
uint64_t packs_stored(const struct packs *p); /* their bytes */

#endif
