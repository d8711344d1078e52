/*
 * sweepstore.h - all buckets of a repository behind one counter: the nth call of all is special.
 *
 * Whoever sweeps goes n = 1, 2, 3 ... until sweepstore_end() says that the nth call never came:
 *
 *     sweepstore_begin(SWEEP_LOST, n);
 *     sweepstore_wrap(repo);            every open bucket, until the repo is closed
 *     ... the job ...
 *     if (!sweepstore_end()) break;
 *
 * A call is what a job asks of a store: a driver that repeats has given up when it fails here. SWEEP_FAIL counts all
 * calls, the others those that change something.
 */
#ifndef TESTS_SUPPORT_SWEEPSTORE_H
#define TESTS_SUPPORT_SWEEPSTORE_H

#include "backup/work/repo.h"

enum sweep_how {
    SWEEP_FAIL,  /* nothing is done, DR_E_TRANSIENT */
    SWEEP_LOST,  /* it is done, and DR_E_TRANSIENT comes back */
    SWEEP_TWICE, /* it is done two times, and the second answer comes back */
    SWEEP_DEAD,  /* from here on every call of that bucket fails like SWEEP_FAIL */
};

void sweepstore_begin(enum sweep_how how, unsigned nth);
bool sweepstore_end(void); /* did the nth call come? */
void sweepstore_wrap(struct repo *r);

#endif
