/*
 * retry.h - whether to try once more, and after how long. Pure: the clock is an argument.
 *
 *     struct retry r;
 *     retry_begin(&r, NULL, clock_boot_ms(), deadline_ms, seed);
 *     for (;;) {
 *         rc = transfer_do(...);
 *         if (!retry_may(rc, reply.status, reply.sent, idempotent))
 *             break;
 *         int64_t wait_ms = retry_next(&r, clock_boot_ms(), retry_after_ms(header, clock_wall_ns()));
 *         if (wait_ms < 0)
 *             break;                  the last error stands; r.made attempts were spent
 *         pause(wait_ms);
 *     }
 *
 * Waits are exponential with full jitter (any time between nothing and base * 2^n, at most the cap), so that
 * many clients which failed together do not come back together. A server's Retry-After is
 * a lower bound, itself bounded. No wait ends at or behind the deadline.
 */
#ifndef DR_NET_RETRY_H
#define DR_NET_RETRY_H

#include "dr/base/err.h"

struct retry_policy {
    unsigned attempts;    /* the first one counts; at least 1 */
    int64_t base_ms;      /* the ceiling of the first wait */
    int64_t cap_ms;       /* the ceiling of all waits */
    int64_t after_cap_ms; /* a server cannot make us wait longer than that */
};

/* 6 attempts, 100 ms, 20 s, 120 s. */
extern const struct retry_policy retry_usual;

struct retry {
    struct retry_policy policy;
    int64_t deadline_ms;
    uint64_t random;
    unsigned made; /* attempts so far */
};

/* The first attempt is about to be made. policy: NULL is retry_usual. deadline_ms: 0 is none. Equal seeds
 * give equal waits: take random_bytes() for it. */
void retry_begin(struct retry *r, const struct retry_policy *policy, int64_t now_ms,
                 int64_t deadline_ms, uint64_t seed);

/*
 * An attempt failed and may be repeated: how long to wait before the next one, which counts as
 * made; or -1: give up, no attempt is left or the deadline would pass. retry_after: of the server, -1
 * for none.
 */
int64_t retry_next(struct retry *r, int64_t now_ms, int64_t retry_after) DR_MUST_USE;

/*
 * May this outcome be repeated? rc and status as transfer_do() gave them (status counts only with
 * DR_OK). Of idempotent calls: no answer or not all of it, timeouts, 408, 429, 500, 502, 503,
 * 504. Of others only what certainly did nothing: not sent, or 429. Never: other statuses, a bad
 * certificate, a dark region, cancelled.
 */
bool retry_may(enum dr_rc rc, int status, bool sent, bool idempotent);

/* The value of Retry-After, seconds or an HTTP date, as milliseconds from now; -1 when it is
 * absent (NULL) or unreadable. A date that has passed is 0. */
int64_t retry_after_ms(const char *value, int64_t wall_ns);

#endif
