/*
 * hedge.h - which bucket is asked for a range, in which order, and when a second one is asked as well.
 *
 * Pure: times are handed in, nothing waits, nothing is asked. All fetches of a repository share one,
 * so that what one thread learns of a bucket all know; a lock guards it.
 *
 *     hedge_order()      buckets that answer before dead ones, near before far, fast before slow, and
 *                        else as in the configuration
 *     hedge_delay_ms()   how long to wait for this bucket before the next one is asked the same: what 19 of 20
 *                        of its last reads of that size took, within HEDGE_LEAST_MS and HEDGE_MOST_MS
 *     hedge_may()        is there room for a second request? All of them together stay below
 *                        HEDGE_PERCENT of what is asked for, and a first few windows
 *     hedge_answered()   it took so long
 *     hedge_failed()     it did not: after a failure of the bucket (not of one object) it is closed for
 *                        a while, which doubles each time; then one read tries it again
 *
 * Until a bucket has answered HEDGE_KNOWN reads of a size, the delay is HEDGE_UNKNOWN_MS and nobody
 * claims to know how fast it is.
 */
#ifndef BACKUP_WORK_HEDGE_H
#define BACKUP_WORK_HEDGE_H

#include "dr/base/err.h"

enum {
    HEDGE_LEAST_MS = 50,
    HEDGE_MOST_MS = 10000,
    HEDGE_UNKNOWN_MS = 1000,
    HEDGE_KNOWN = 8,
    HEDGE_SAMPLES = 64, /* of each bucket and size class */
    HEDGE_CLASSES = 4,  /* of sizes */
    HEDGE_PERCENT = 5,
    HEDGE_FREE = 16 << 20,         /* bytes that may be asked twice before there is a percentage */
    HEDGE_CLOSED_MS = 5000,        /* after a first failure ... */
    HEDGE_CLOSED_MOST_MS = 300000, /* ... and at most */
};

struct hedge;

struct hedge *hedge_new(size_t buckets) DR_MUST_USE;
void hedge_free(struct hedge *h); /* NULL is fine */

/* The bucket is in the region where we are. */
void hedge_set_near(struct hedge *h, size_t bucket);

/* Put count bucket numbers into the order in which they should be asked for so many bytes. Those that are closed
 * now come last. */
void hedge_order(struct hedge *h, uint64_t len, int64_t now_ms, size_t *buckets, size_t count);

bool hedge_is_closed(struct hedge *h, size_t bucket, int64_t now_ms);
int64_t hedge_delay_ms(struct hedge *h, size_t bucket, uint64_t len);

/* True: it is taken from the budget. */
bool hedge_may(struct hedge *h, uint64_t len);

/* So much is asked for, the first time. */
void hedge_asked(struct hedge *h, uint64_t len);
void hedge_answered(struct hedge *h, size_t bucket, uint64_t len, int64_t took_ms);
void hedge_failed(struct hedge *h, size_t bucket, enum dr_rc rc, int64_t now_ms);

/* For hedge_keep.h: the samples of a class, the oldest first (returns how many), and one more of an earlier
 * process. Has this one learnt anything itself? */
unsigned hedge_samples(struct hedge *h, size_t bucket, unsigned class, uint32_t ret[HEDGE_SAMPLES]);
void hedge_learn(struct hedge *h, size_t bucket, unsigned class, uint32_t ms);
bool hedge_has_news(struct hedge *h);

#endif
