/*
 * retry.c - exponential waits with full jitter, within bounds.
 *
 * The numbers come from splitmix64 (Steele, Lea, Flood 2014): one word of state, any seed is good.
 * A wait never takes more than half of what is left before the deadline, so that the attempt
 * behind it has as much time again.
 */
#include "dr/net/retry.h"

#include <string.h>

#include <curl/curl.h>

const struct retry_policy retry_usual = {
    .attempts = 6, .base_ms = 100, .cap_ms = 20000, .after_cap_ms = 120000
};

void retry_begin(struct retry *r, const struct retry_policy *policy, int64_t now_ms,
                 int64_t deadline_ms, uint64_t seed)
{
    *r = (struct retry){ .policy = policy != NULL ? *policy : retry_usual,
                         .deadline_ms = deadline_ms,
                         .random = seed,
                         .made = 1 };
    DR_ASSERT(r->policy.attempts >= 1 && r->policy.base_ms > 0 && now_ms >= 0);
    DR_ASSERT(r->policy.cap_ms >= r->policy.base_ms && r->policy.after_cap_ms >= 0);
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* base * 2^(n-1) behind the n-th attempt, at most the cap. */
static int64_t ceiling_ms(const struct retry *r)
{
    int64_t ceiling = r->policy.base_ms;
    for (unsigned n = 1; n < r->made && ceiling < r->policy.cap_ms; n++)
        ceiling = ceiling > r->policy.cap_ms / 2 ? r->policy.cap_ms : ceiling * 2;
    return ceiling;
}

int64_t retry_next(struct retry *r, int64_t now_ms, int64_t retry_after)
{
    if (r->made >= r->policy.attempts)
        return -1;
    int64_t floor = retry_after > 0 ? retry_after : 0;
    if (floor > r->policy.after_cap_ms)
        floor = r->policy.after_cap_ms;
    int64_t ceiling = ceiling_ms(r);
    if (r->deadline_ms != 0) {
        int64_t left = r->deadline_ms - now_ms;
        if (left <= 1 || floor >= left)
            return -1;
        if (ceiling > (left - floor) / 2)
            ceiling = (left - floor) / 2;
    }
    int64_t wait = floor + (int64_t)(next_random(&r->random) % ((uint64_t)ceiling + 1));
    DR_ASSERT(r->deadline_ms == 0 || now_ms + wait < r->deadline_ms);
    r->made++;
    return wait;
}

static bool status_passes(int status)
{
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

bool retry_may(enum dr_rc rc, int status, bool sent, bool idempotent)
{
    if (rc == DR_OK)
        return status_passes(status) && (idempotent || status == 429);
    return (rc == DR_E_TRANSIENT || rc == DR_E_TIMEOUT) && (idempotent || !sent);
}

int64_t retry_after_ms(const char *value, int64_t wall_ns)
{
    if (value == NULL)
        return -1;
    value += strspn(value, " \t");
    size_t digits = strspn(value, "0123456789");
    if (digits > 0) {
        if (value[digits + strspn(value + digits, " \t")] != '\0')
            return -1;
        return digits > 9 ? INT64_C(1000000000000) : strtoll(value, NULL, 10) * 1000;
    }
    time_t at = curl_getdate(value, NULL); /* all three forms of RFC 9110 */
    if (at < 0)
        return -1;
    int64_t ms = (int64_t)at * 1000 - wall_ns / 1000000;
    return ms > 0 ? ms : 0;
}
