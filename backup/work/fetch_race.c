/*
 * Racing. A call belongs to its lane until it has ended; then to the caller, or, if he has gone on without it, to
 * nobody, and the lane frees it. The lock decides which.
 */
#include "backup/work/fetch_race.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backup/format/names.h"
#include "backup/work/backup_lane.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

struct call {
    struct race *race;
    size_t bucket;
    char name[NAMES_MAX];
    uint64_t offset;
    size_t len;
    struct buf bytes;
    enum dr_rc rc;
    struct dr_err err;
    bool done, left; /* guarded by the lock; left: nobody waits for it */
};

struct race {
    struct hedge *hedge;
    struct store **stores; /* owned array of borrowed stores */
    struct lane **lanes;   /* owned; NULL until the first use */
    size_t count;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned *busy; /* calls under way, by bucket; guarded by the lock */
};

struct race *race_new(struct hedge *h, struct store *const *stores, size_t count)
{
    struct race *r = dr_alloc(1, sizeof(*r));
    pthread_condattr_t attr;
    r->hedge = h;
    r->count = count;
    r->stores = dr_alloc(count + 1, sizeof(void *));
    r->lanes = dr_alloc(count + 1, sizeof(void *));
    r->busy = dr_alloc(count + 1, sizeof(*r->busy));
    for (size_t i = 0; i < count; i++)
        r->stores[i] = stores[i];
    DR_ASSERT(pthread_condattr_init(&attr) == 0);
    DR_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    DR_ASSERT(pthread_mutex_init(&r->lock, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&r->ended, &attr) == 0);
    (void)pthread_condattr_destroy(&attr); /* fails only when misused */
    return r;
}

bool race_is_idle(struct race *r)
{
    unsigned busy = 0;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->count; i++)
        busy += r->busy[i];
    pthread_mutex_unlock(&r->lock);
    return busy == 0;
}

void race_free(struct race *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->count; i++)
        lane_free(r->lanes[i]);
    pthread_cond_destroy(&r->ended);
    pthread_mutex_destroy(&r->lock);
    free(r->stores);
    free(r->lanes);
    free(r->busy);
    free(r);
}

/* -- one call ------------------------------------------------------------------------------ */

static void call_free(struct call *c)
{
    buf_fini(&c->bytes);
    free(c);
}

static void run(void *arg)
{
    struct call *c = arg;
    struct race *r = c->race;
    int64_t from = clock_boot_ms();
    char *at = buf_reserve(&c->bytes, c->len);
    c->rc = store_get(r->stores[c->bucket], c->name, c->offset, c->len, at, &c->err);
    int64_t now = clock_boot_ms();
    if (c->rc == DR_OK) {
        c->bytes.len = c->len;
        hedge_answered(r->hedge, c->bucket, c->len, now - from);
    } else {
        hedge_failed(r->hedge, c->bucket, c->rc, now);
    }
    pthread_mutex_lock(&r->lock);
    r->busy[c->bucket]--;
    c->done = true;
    bool left = c->left;
    pthread_cond_broadcast(&r->ended);
    pthread_mutex_unlock(&r->lock);
    if (left)
        call_free(c);
}

/* NULL: there is no thread for it. */
static struct call *start(struct race *r, const struct race_ask *ask, size_t bucket,
                          struct buf *memory)
{
    struct dr_err ignored = { .rc = DR_OK };
    if (r->lanes[bucket] == NULL && lane_new(1, &r->lanes[bucket], &ignored) != DR_OK)
        return NULL;
    struct call *c = dr_alloc(1, sizeof(*c));
    *c = (struct call){ .race = r, .bucket = bucket, .offset = ask->offset, .len = ask->len };
    int len = snprintf(c->name, sizeof(c->name), "%s", ask->name);
    DR_ASSERT(len > 0 && (size_t)len < sizeof(c->name));
    if (memory != NULL) {
        c->bytes = *memory;
        *memory = (struct buf){ 0 };
        buf_clear(&c->bytes);
    }
    pthread_mutex_lock(&r->lock);
    r->busy[bucket]++;
    pthread_mutex_unlock(&r->lock);
    lane_push(r->lanes[bucket], run, c);
    return c;
}

/* -- the race ------------------------------------------------------------------------------ */

struct field { /* of one race */
    struct race *race;
    const struct race_ask *ask;
    struct call **calls; /* under way; NULL where there is none */
    size_t *order;       /* those that are still to be asked: from next on */
    size_t next, under_way;
};

/* The first that ended, or NULL after so long (-1: for ever). The lock is held while looking. */
static struct call *wait_one(struct field *f, int64_t ms)
{
    struct timespec end;
    struct call *found = NULL;
    int rc = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &end); /* cannot fail for this clock */
    if (ms >= 0) {
        int64_t ns = end.tv_nsec + ms * NS_PER_MS;
        end.tv_sec += ns / NS_PER_S;
        end.tv_nsec = ns % NS_PER_S;
    }
    pthread_mutex_lock(&f->race->lock);
    while (found == NULL && rc == 0) {
        for (size_t i = 0; i < f->ask->count && found == NULL; i++)
            if (f->calls[i] != NULL && f->calls[i]->done) {
                found = f->calls[i];
                f->calls[i] = NULL;
            }
        if (found == NULL && ms < 0)
            rc = pthread_cond_wait(&f->race->ended, &f->race->lock);
        else if (found == NULL)
            rc = pthread_cond_timedwait(&f->race->ended, &f->race->lock, &end);
    }
    pthread_mutex_unlock(&f->race->lock);
    return found;
}

/* Buckets with a call of an earlier race come last. */
static void put_busy_last(struct field *f)
{
    size_t n = 0;
    DR_FREE size_t *busy = dr_alloc(f->ask->count + 1, sizeof(*busy));
    size_t busy_count = 0;
    pthread_mutex_lock(&f->race->lock);
    for (size_t i = 0; i < f->ask->count; i++) {
        size_t bucket = f->ask->order[i];
        if (f->race->busy[bucket] > 0)
            busy[busy_count++] = bucket;
        else
            f->order[n++] = bucket;
    }
    pthread_mutex_unlock(&f->race->lock);
    for (size_t i = 0; i < busy_count; i++)
        f->order[n++] = busy[i];
}

static void ask_next(struct field *f, struct buf *memory, uint64_t *bytes)
{
    size_t at = f->next++;
    f->calls[at] = start(f->race, f->ask, f->order[at], memory);
    f->under_way += f->calls[at] != NULL;
    *bytes += f->calls[at] != NULL ? f->ask->len : 0;
}

static bool is_right(struct field *f, struct call *c)
{
    enum dr_rc rc = c->rc;
    if (rc == DR_OK)
        rc = f->ask->right(f->ask->arg, c->bucket, c->bytes.data, &c->err);
    if (rc != DR_OK)
        f->ask->failed(f->ask->arg, c->bucket, &c->err);
    return rc == DR_OK;
}

static void leave_rest(struct field *f)
{
    for (size_t i = 0; i < f->ask->count; i++) {
        struct call *c = f->calls[i];
        if (c == NULL)
            continue;
        pthread_mutex_lock(&f->race->lock);
        bool done = c->done;
        c->left = true;
        pthread_mutex_unlock(&f->race->lock);
        if (done)
            call_free(c);
    }
}

bool race_get(struct race *r, const struct race_ask *ask, struct buf *ret, uint64_t *ret_bytes)
{
    DR_FREE size_t *order = dr_alloc(ask->count + 1, sizeof(*order));
    DR_CLEANUP(dr_free_ptr) struct call **calls = dr_alloc(ask->count + 1, sizeof(void *));
    struct field f = { .race = r, .ask = ask, .calls = calls, .order = order };
    bool won = false;
    put_busy_last(&f);
    hedge_asked(r->hedge, ask->len);
    while (!won && (f.next < ask->count || f.under_way > 0)) {
        bool more = f.next < ask->count;
        if (f.under_way == 0) {
            ask_next(&f, ret, ret_bytes);
            continue;
        }
        size_t last = f.order[f.next - 1];
        struct call *c = wait_one(&f, more ? hedge_delay_ms(r->hedge, last, ask->len) : -1);
        if (c == NULL && hedge_may(r->hedge, ask->len)) {
            ask_next(&f, NULL, ret_bytes);
            continue;
        }
        if (c == NULL)
            c = wait_one(&f, -1);
        f.under_way--;
        won = is_right(&f, c);
        if (won || ret->data == NULL) {
            struct buf before = *ret;
            *ret = c->bytes;
            c->bytes = before;
        }
        call_free(c);
    }
    leave_rest(&f);
    return won;
}
