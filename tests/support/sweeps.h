/*
 * sweeps.h - a site with a history, the four jobs that change buckets, and what must hold after each.
 *
 * For sweeps of requests, wherever the buckets are: a test says where, how they are kept and put
 * back, and spoils one request of one job. There are two snapshots in both buckets, and the source
 * has changed since; for each job the world is prepared so that it has something to do: the prune finds an
 * expired snapshot, the repair a bucket that lost all packs and snapshots.
 *
 *     sweeps_make(&place);
 *     sweeps_prepare(SWEEPS_PRUNE);
 *     for (n = 1; ...; n++) {
 *         sweeps_reset();
 *         ... spoil request n; rc = sweeps_work(SWEEPS_PRUNE, wrap) ...
 *         sweeps_assert_whole(false, when);
 *         sweeps_assert_goes_on(SWEEPS_PRUNE, n % 8 == 1, when);
 *     }
 *     sweeps_drop();
 */
#ifndef TESTS_SUPPORT_SWEEPS_H
#define TESTS_SUPPORT_SWEEPS_H

#include "tests/support/site.h"

enum sweeps_job { SWEEPS_FULL, SWEEPS_INCREMENTAL, SWEEPS_PRUNE, SWEEPS_REPAIR, SWEEPS_JOBS };

extern const char *const sweeps_names[SWEEPS_JOBS];

struct sweeps_place {
    const char *us, *eu, *more; /* of site_make_at(); NULL, NULL, "": directories */
    void (*keep)(void);         /* remember the buckets as they are now ... */
    void (*reset)(void);        /* ... and make them so again. NULL: directories */
};

extern struct sweeps {
    struct site site;
    struct dr_err err;
    size_t copies;                /* of the last backup that went well ... */
    char newest[SNAPSHOT_ID_MAX]; /* ... and its id; "" after a reset */
} sweeps;

void sweeps_make(const struct sweeps_place *place);
void sweeps_drop(void);

void sweeps_prepare(enum sweeps_job job);
void sweeps_reset(void);

/* The job as a process of its own would do it: a new repository, no threads. wrap (or NULL) may spoil it. */
enum dr_rc sweeps_work(enum sweeps_job job, void (*wrap)(struct repo *r));

/* Each bucket alone: whatever it shows has all its packs there, and restores if that is asked. As many show the last
 * backup as it said.
 * Returns how many they are. */
size_t sweeps_assert_whole(bool restored, const char *when);

/* Nothing is spoiled any more: the same job succeeds, then a repair, and both buckets show the same. All their data
 * are right; or, if that is asked, all is restored, and the newest is the source. */
void sweeps_assert_goes_on(enum sweeps_job job, bool restored, const char *when);

#endif
