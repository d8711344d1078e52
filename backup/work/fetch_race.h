/*
 * fetch_race.h - one range, asked of one bucket and after a while of the next: the first right answer wins.
 *
 *     race_get()   ──ask──> bucket 1 ............ (slow) ......... thrown away when it comes
 *                     └─ after its usual time ──ask──> bucket 2 ──right──> done
 *
 * When to ask twice, and whom, is decided in hedge.h; what is right is the caller's to say, in his own
 * thread. A call to a bucket cannot be recalled: one that lost goes on in its lane, its bytes are
 * dropped, and until it has ended that bucket comes last. There is a lane a bucket, made at its first use;
 * memory is a range for each call under way. One caller at a time.
 */
#ifndef BACKUP_WORK_FETCH_RACE_H
#define BACKUP_WORK_FETCH_RACE_H

#include "backup/store/store.h"
#include "backup/work/hedge.h"

struct race;

/* stores: by bucket number, as hedge knows them; NULL ones are never asked. Both borrowed; copied. */
struct race *race_new(struct hedge *h, struct store *const *stores, size_t count) DR_MUST_USE;

/* Waits for the calls that are under way: is there one? */
bool race_is_idle(struct race *r);
void race_free(struct race *r); /* NULL is fine */

struct race_ask {
    const char *name;
    uint64_t offset;
    size_t len;
    const size_t *order; /* bucket numbers, the first to ask first */
    size_t count;
    /* Is that what was wanted? Fails with a reason. */
    enum dr_rc (*right)(void *arg, size_t bucket, const void *bytes, struct dr_err *err);
    void (*failed)(void *arg, size_t bucket,
                   const struct dr_err *why); /* that one did not have it */
    void *arg;
};

/* The bytes are in ret (its memory is used). *ret_bytes grows by what was asked for. False: no bucket had it
 * right, and each was told by failed(). */
bool race_get(struct race *r, const struct race_ask *ask, struct buf *ret, uint64_t *ret_bytes)
    DR_MUST_USE;

#endif
