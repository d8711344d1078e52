/*
 * What is known of each bucket: the last reads of four classes of size, and its failures in a row. The p95 of a
 * ring of samples needs no model of how latencies are distributed, and forgets by itself.
 */
#include "backup/work/hedge.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dr/base/mem.h"

enum { DOUBLINGS_MAX = 10, RANK_MS = 32 };

struct samples {
    uint32_t ms[HEDGE_SAMPLES];
    unsigned count, next;
};

struct known {
    bool is_near;
    struct samples classes[HEDGE_CLASSES];
    unsigned failures; /* in a row */
    int64_t closed_until_ms;
};

struct hedge {
    pthread_mutex_t lock;  /* guards all below */
    struct known *buckets; /* owned */
    size_t count;
    uint64_t asked, twice; /* bytes */
    bool news;             /* something was answered */
};

static void unlock(pthread_mutex_t **m)
{
    pthread_mutex_unlock(*m);
}
#define HOLD(h)                     \
    pthread_mutex_lock(&(h)->lock); \
    DR_CLEANUP(unlock) pthread_mutex_t *held_lock = &(h)->lock

struct hedge *hedge_new(size_t buckets)
{
    struct hedge *h = dr_alloc(1, sizeof(*h));
    h->buckets = dr_alloc(buckets + 1, sizeof(h->buckets[0]));
    h->count = buckets;
    DR_ASSERT(pthread_mutex_init(&h->lock, NULL) == 0);
    return h;
}

void hedge_free(struct hedge *h)
{
    if (h == NULL)
        return;
    pthread_mutex_destroy(&h->lock);
    free(h->buckets);
    free(h);
}

void hedge_set_near(struct hedge *h, size_t bucket)
{
    HOLD(h);
    DR_ASSERT(bucket < h->count);
    h->buckets[bucket].is_near = true;
}

/* -- what is known ------------------------------------------------------------------------- */

static unsigned class_of(uint64_t len)
{
    static const uint64_t below[HEDGE_CLASSES - 1] = { 64 << 10, 1 << 20, 8 << 20 };
    unsigned c = 0;
    while (c < HEDGE_CLASSES - 1 && len > below[c])
        c++;
    return c;
}

static int by_size(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* Of a hundred reads so many took no longer; -1: too few are known. */
static int64_t percentile(const struct samples *s, unsigned percent)
{
    uint32_t sorted[HEDGE_SAMPLES];
    if (s->count < HEDGE_KNOWN)
        return -1;
    memcpy(sorted, s->ms, s->count * sizeof(sorted[0]));
    qsort(sorted, s->count, sizeof(sorted[0]), by_size);
    return sorted[(s->count - 1) * percent / 100];
}

int64_t hedge_delay_ms(struct hedge *h, size_t bucket, uint64_t len)
{
    HOLD(h);
    DR_ASSERT(bucket < h->count);
    int64_t ms = percentile(&h->buckets[bucket].classes[class_of(len)], 95);
    if (ms < 0)
        return HEDGE_UNKNOWN_MS;
    if (ms < HEDGE_LEAST_MS)
        return HEDGE_LEAST_MS;
    return ms > HEDGE_MOST_MS ? HEDGE_MOST_MS : ms;
}

static void add_sample(struct samples *s, uint32_t ms)
{
    s->ms[s->next] = ms;
    s->next = (s->next + 1) % HEDGE_SAMPLES;
    s->count += s->count < HEDGE_SAMPLES;
}

void hedge_answered(struct hedge *h, size_t bucket, uint64_t len, int64_t took_ms)
{
    HOLD(h);
    DR_ASSERT(bucket < h->count);
    struct known *k = &h->buckets[bucket];
    uint32_t ms = took_ms < 0 ? 0 : took_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)took_ms;
    add_sample(&k->classes[class_of(len)], ms);
    h->news = true;
    k->failures = 0;
    k->closed_until_ms = 0;
}

/* An object that is missing or damaged says nothing about the bucket. */
static bool is_of_bucket(enum dr_rc rc)
{
    return rc != DR_OK && rc != DR_E_NOTFOUND && rc != DR_E_CORRUPT && rc != DR_E_CANCELLED;
}

void hedge_failed(struct hedge *h, size_t bucket, enum dr_rc rc, int64_t now_ms)
{
    HOLD(h);
    DR_ASSERT(bucket < h->count);
    struct known *k = &h->buckets[bucket];
    if (!is_of_bucket(rc))
        return;
    int64_t ms = HEDGE_CLOSED_MS;
    for (unsigned i = 0; i < k->failures && i < DOUBLINGS_MAX; i++)
        ms *= 2;
    k->failures++;
    k->closed_until_ms = now_ms + (ms < HEDGE_CLOSED_MOST_MS ? ms : HEDGE_CLOSED_MOST_MS);
}

bool hedge_is_closed(struct hedge *h, size_t bucket, int64_t now_ms)
{
    HOLD(h);
    DR_ASSERT(bucket < h->count);
    return h->buckets[bucket].closed_until_ms > now_ms;
}

/* -- order --------------------------------------------------------------------------------- */

struct rank {
    size_t bucket, place; /* place: as it was given */
    int64_t key;
};

/* Twice as slow is a rank behind; what is quick anyway is all one rank, and an unknown one is tried. */
static int64_t speed_rank(const struct known *k, unsigned class)
{
    int64_t ms = percentile(&k->classes[class], 50), rank = 0;
    for (int64_t at = RANK_MS; at < ms; at *= 2)
        rank++;
    return rank;
}

static int by_key(const void *left, const void *right)
{
    const struct rank *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

void hedge_order(struct hedge *h, uint64_t len, int64_t now_ms, size_t *buckets, size_t count)
{
    enum { CLOSED = 1000, FAR = 100 };
    HOLD(h);
    DR_FREE struct rank *ranks = dr_alloc(count + 1, sizeof(*ranks));
    for (size_t i = 0; i < count; i++) {
        DR_ASSERT(buckets[i] < h->count);
        const struct known *k = &h->buckets[buckets[i]];
        bool closed = k->closed_until_ms > now_ms;
        ranks[i] = (struct rank){ .bucket = buckets[i], .place = i };
        ranks[i].key =
            (closed ? CLOSED : 0) + (k->is_near ? 0 : FAR) + speed_rank(k, class_of(len));
    }
    if (count > 1)
        qsort(ranks, count, sizeof(ranks[0]), by_key);
    for (size_t i = 0; i < count; i++)
        buckets[i] = ranks[i].bucket;
}

/* -- budget -------------------------------------------------------------------------------- */

void hedge_asked(struct hedge *h, uint64_t len)
{
    HOLD(h);
    h->asked += len;
}

bool hedge_may(struct hedge *h, uint64_t len)
{
    HOLD(h);
    uint64_t room = h->asked / 100 * HEDGE_PERCENT;
    if (room < HEDGE_FREE)
        room = HEDGE_FREE;
    if (h->twice + len > room)
        return false;
    h->twice += len;
    return true;
}

/* -- from one process to the next ------------------------------------------------------------ */

unsigned hedge_samples(struct hedge *h, size_t bucket, unsigned class, uint32_t ret[HEDGE_SAMPLES])
{
    HOLD(h);
    DR_ASSERT(bucket < h->count && class < HEDGE_CLASSES);
    const struct samples *s = &h->buckets[bucket].classes[class];
    unsigned from = s->count < HEDGE_SAMPLES ? 0 : s->next;
    for (unsigned i = 0; i < s->count; i++)
        ret[i] = s->ms[(from + i) % HEDGE_SAMPLES];
    return s->count;
}

void hedge_learn(struct hedge *h, size_t bucket, unsigned class, uint32_t ms)
{
    HOLD(h);
    DR_ASSERT(bucket < h->count && class < HEDGE_CLASSES);
    add_sample(&h->buckets[bucket].classes[class], ms);
}

bool hedge_has_news(struct hedge *h)
{
    HOLD(h);
    return h->news;
}
