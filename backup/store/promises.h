/*
 * promises.h - does a store keep what store.h promises? Asked of an empty place, one by one.
 *
 * This is the kit for whoever writes a driver or a program (EXEC.md), and for whoever does not trust
 * the store that he rents: `drctl store test URL`. Each promise is put to the store and looked at from
 * outside, also with many callers at once. A broken one says what was seen; the others are asked all
 * the same. What the store does not claim to be able to do is not asked.
 */
#ifndef BACKUP_STORE_PROMISES_H
#define BACKUP_STORE_PROMISES_H

#include "backup/store/store.h"

enum promise_verdict { PROMISE_KEPT, PROMISE_BROKEN, PROMISE_NOT_CLAIMED };

struct promises_options {
    unsigned many; /* objects of a long list: over 1000 shows pages */
    /* Each promise as it was asked; why: borrowed, of a broken one; else NULL. */
    void (*told)(void *arg, const char *says, enum promise_verdict verdict,
                 const struct dr_err *why);
    void *arg;
};

/*
 * Ask s for all of it. DR_E_REFUSED: there are objects already, nothing was done. DR_OK: all were
 * asked and the place is empty again; ret_broken counts those that were not kept.
 */
enum dr_rc promises_ask(struct store *s, const struct promises_options *o, unsigned *ret_broken,
                        struct dr_err *err) DR_MUST_USE;

#endif
