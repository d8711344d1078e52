/*
 * A lane a bucket. A record belongs to all lanes that have not put it yet and to the caller that waits for the
 * first; the last one frees it. What is shared is guarded by one lock.
 */
#include "dr/run/mirror.h"

#include <pthread.h>
#include <string.h>

#include "backup/store/bucket.h"
#include "backup/work/backup_lane.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

struct side {
    struct mirror *m;
    const struct config_bucket *bucket;
    struct lane *lane;
    struct store *store; /* of the lane's thread; NULL until it was opened */
    size_t pending;      /* records that wait for it; guarded by the lock, as is what follows */
    size_t lacks;        /* records that were not put */
};

struct mirror {
    struct mirror_options o;
    struct side *sides;
    size_t count;
    pthread_mutex_t lock;
    pthread_cond_t answered;
};

struct record {
    size_t owners; /* guarded by the lock, as all but name and data is */
    size_t stored, refused;
    size_t
        abreast; /* buckets that had all earlier records when it came, and have not answered yet */
    struct dr_err why;
    char *name;
    size_t len;
    char data[];
};

struct job {
    struct side *side;
    struct record *record;
    bool abreast;
};

/* With the lock held. */
static void let_go(struct record *r)
{
    if (--r->owners > 0)
        return;
    free(r->name);
    free(r);
}

static enum dr_rc store_of(struct side *s, struct dr_err *err)
{
    if (s->store != NULL)
        return DR_OK;
    return bucket_open(s->m->o.config, s->bucket, NULL, &s->store, err);
}

static void put(void *arg)
{
    struct job *job = arg;
    struct side *s = job->side;
    struct record *r = job->record;
    struct dr_err err = { 0 };
    enum dr_rc rc = store_of(s, &err);
    if (rc == DR_OK)
        rc = store_put(s->store, r->name, r->data, r->len, &err);
    bool stored = rc == DR_OK || rc == DR_E_EXISTS;
    pthread_mutex_lock(&s->m->lock);
    r->stored += stored;
    r->refused += !stored;
    if (!stored)
        r->why = err;
    r->abreast -= job->abreast;
    s->lacks += !stored;
    s->pending--;
    let_go(r);
    pthread_cond_broadcast(&s->m->answered);
    pthread_mutex_unlock(&s->m->lock);
    free(job);
}

static bool is_dark(const struct mirror_options *o, const struct config_bucket *b)
{
    return o->failed != NULL && b->region != NULL && strcmp(b->region, o->failed) == 0;
}

enum dr_rc mirror_new(const struct mirror_options *options, struct mirror **ret, struct dr_err *err)
{
    DR_CLEANUP(mirror_free_ptr) struct mirror *m = dr_alloc(1, sizeof(*m));
    pthread_condattr_t attr;
    m->o = *options;
    m->sides = dr_alloc(options->config->bucket_count + 1, sizeof(m->sides[0]));
    DR_ASSERT(pthread_condattr_init(&attr) == 0);
    DR_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    DR_ASSERT(pthread_mutex_init(&m->lock, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&m->answered, &attr) == 0);
    (void)pthread_condattr_destroy(&attr); /* fails only when misused */
    for (size_t i = 0; i < options->config->bucket_count; i++) {
        const struct config_bucket *b = &options->config->buckets[i];
        if (is_dark(options, b))
            continue;
        struct side *s = &m->sides[m->count];
        *s = (struct side){ .m = m, .bucket = b };
        DR_TRY(lane_new(1, &s->lane, err));
        m->count++;
    }
    *ret = DR_TAKE(m);
    return DR_OK;
}

/* With the lock held: until one bucket has it, or all said no; then a little longer for those of the others
 * that were not behind before it came. */
static void wait_for(struct mirror *m, const struct record *r)
{
    while (r->stored == 0 && r->refused < m->count)
        pthread_cond_wait(&m->answered, &m->lock);
    const struct timespec end = clock_real_deadline(MIRROR_GRACE_MS);
    int rc = 0;
    while (r->abreast > 0 && rc == 0)
        rc = pthread_cond_timedwait(&m->answered, &m->lock, &end);
}

enum dr_rc mirror_put(struct mirror *m, const char *name, const void *data, size_t len,
                      struct dr_err *err)
{
    if (m->count == 0)
        return dr_fail(err, DR_E_TRANSIENT, "no bucket outside the failed region is configured");
    struct record *r = dr_alloc(1, sizeof(*r) + len);
    r->name = dr_strdup(name);
    r->len = len;
    memcpy(r->data, data, len);
    r->owners = m->count + 1;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->count; i++) {
        struct side *s = &m->sides[i];
        struct job *job = dr_alloc(1, sizeof(*job));
        *job = (struct job){ .side = s, .record = r, .abreast = s->pending++ == 0 };
        r->abreast += job->abreast;
        lane_push(s->lane, put, job);
    }
    wait_for(m, r);
    bool stored = r->stored > 0;
    if (!stored)
        *err = r->why;
    let_go(r);
    pthread_mutex_unlock(&m->lock);
    return stored ? DR_OK : err->rc;
}

void mirror_end(struct mirror *m, struct text_list *ret_lagging)
{
    bool hangs = false;
    if (m == NULL)
        return;
    const int64_t deadline = clock_boot_ms() + MIRROR_END_MS;
    for (size_t i = 0; i < m->count; i++) {
        struct side *s = &m->sides[i];
        int64_t left = deadline - clock_boot_ms();
        bool idle = lane_wait(s->lane, left > 0 ? (unsigned)left : 0);
        pthread_mutex_lock(&m->lock);
        if ((!idle || s->lacks > 0) && ret_lagging != NULL)
            text_list_add(ret_lagging, s->bucket->name);
        pthread_mutex_unlock(&m->lock);
        hangs |= !idle;
    }
    if (hangs)
        return; /* in a call: the process ends soon, and with it all this */
    for (size_t i = 0; i < m->count; i++) {
        lane_free(m->sides[i].lane);
        store_close(m->sides[i].store);
    }
    pthread_cond_destroy(&m->answered);
    pthread_mutex_destroy(&m->lock);
    free(m->sides);
    free(m);
}

void mirror_free(struct mirror *m)
{
    mirror_end(m, NULL);
}
