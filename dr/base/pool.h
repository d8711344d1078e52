/*
 * pool.h - work for a fixed number of threads, taken back in the order in which it was given.
 *
 *                 pool_give()                                     pool_take()
 *     caller ──item──> [ 7 | 6 | 5 | 4 | 3 ] ──item, when done──> caller
 *                        wait  being done  done                   the oldest only
 *
 * One thread, the owner, gives items and takes them back; which thread did the work, and when, cannot
 * be seen from the order. The ring has a fixed number of slots: the owner asks pool_full(), and takes before it
 * gives. An item belongs to the pool from pool_give() until pool_take() returns it; nobody else touches
 * it meanwhile, so what is in it needs no lock.
 *
 * Each thread has a state of its own (buffers, contexts of libraries), made by start() and ended by
 * stop(), both in the owner's thread. With threads = 0 there is one state, and pool_give() does the work
 * itself before it returns: every call in one order, for tests that count calls.
 *
 * Threads block all signals: those of the process reach the owner's thread.
 */
#ifndef DR_BASE_POOL_H
#define DR_BASE_POOL_H

#include "dr/base/base.h"
#include "dr/base/err.h"

struct pool;

enum { POOL_THREADS_MAX = 64, POOL_SLOTS_MAX = 4096 };

struct pool_options {
    unsigned threads;          /* 0: the work is done in pool_give() */
    size_t slots;              /* items given and not taken back, at most */
    void *(*start)(void *arg); /* makes a thread's state (NULL is fine); or NULL */
    void (*work)(void *state, void *item);
    void (*stop)(void *state); /* or NULL */
    void *arg;                 /* of start() */
};

/* Fails (DR_E_TRANSIENT) when a thread cannot be made; those that were are ended. */
enum dr_rc pool_new(const struct pool_options *options, struct pool **ret, struct dr_err *err)
    DR_MUST_USE;

/* Waits for the work at hand and ends the threads. Items that nobody began are left as they are;
 * all items still in the ring are the caller's again. */
void pool_free(struct pool *p);
DR_DEFINE_CLEANUP(struct pool, pool_free)

bool pool_full(const struct pool *p);
size_t pool_count(const struct pool *p); /* given and not taken back */

/* Hand an item over; the ring must not be full. */
void pool_give(struct pool *p, void *item);

/* The oldest item, when its work is done (waits for it). NULL when there is none. */
void *pool_take(struct pool *p);

/* Would pool_take() return an item without waiting? */
bool pool_ready(struct pool *p);

/* How many threads this process should use for work that keeps a processor busy. */
unsigned pool_processors(void);

#endif
