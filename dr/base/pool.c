/*
 * pool.c - a ring of slots, one lock, two conditions.
 *
 * Slots are counted by three numbers that only grow: taken <= begun <= given. What lies between
 * begun and given waits for a thread; each slot says whether its work is done. Items are large (a
 * megabyte of work), so one lock for all is not felt.
 */
#include "dr/base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "dr/base/mem.h"

enum { STACK_SIZE = 1 << 20 };

struct slot {
    void *item;
    bool done;
};

struct thread {
    struct pool *pool;
    pthread_t id;
    void *state;
};

struct pool {
    struct pool_options o;
    struct thread *threads; /* one without a thread when o.threads is 0 */
    unsigned running;       /* threads that were made */
    unsigned states;        /* states that were made */
    size_t given, taken;    /* written by the owner only */
    pthread_mutex_t lock;   /* guards all below, and 'given' against the threads */
    pthread_cond_t work, done;
    struct slot *slots;
    size_t begun;
    bool ending;
};

static pthread_mutex_t *lock(struct pool *p)
{
    DR_ASSERT(pthread_mutex_lock(&p->lock) == 0);
    return &p->lock;
}

static void unlock(pthread_mutex_t **held)
{
    DR_ASSERT(pthread_mutex_unlock(*held) == 0);
}
#define HOLD(p) DR_CLEANUP(unlock) pthread_mutex_t *held = lock(p)

static struct slot *slot_of(struct pool *p, size_t number)
{
    return &p->slots[number % p->o.slots];
}

/* The next item that nobody began; NULL when the pool ends. */
static struct slot *begin(struct pool *p)
{
    HOLD(p);
    while (p->begun == p->given && !p->ending)
        (void)pthread_cond_wait(&p->work, &p->lock); /* fails only when misused */
    return p->ending ? NULL : slot_of(p, p->begun++);
}

static void end(struct pool *p, struct slot *s)
{
    HOLD(p);
    s->done = true;
    (void)pthread_cond_signal(&p->done);
}

static void *run(void *arg)
{
    struct thread *t = arg;
    struct slot *s;
    while ((s = begin(t->pool)) != NULL) {
        t->pool->o.work(t->state, s->item);
        end(t->pool, s);
    }
    return NULL;
}

static int make_thread(struct thread *t)
{
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);
    if (rc != 0)
        return rc;
    rc = pthread_attr_setstacksize(&attr, STACK_SIZE);
    if (rc == 0)
        rc = pthread_create(&t->id, &attr, run, t);
    (void)pthread_attr_destroy(&attr); /* fails only when misused */
    return rc;
}

static void start(struct pool *p, struct thread *t)
{
    t->pool = p;
    t->state = p->o.start != NULL ? p->o.start(p->o.arg) : NULL;
    p->states++;
}

enum dr_rc pool_new(const struct pool_options *options, struct pool **ret, struct dr_err *err)
{
    DR_ASSERT(options->threads <= POOL_THREADS_MAX && options->work != NULL);
    DR_ASSERT(options->slots > 0 && options->slots <= POOL_SLOTS_MAX);
    DR_CLEANUP(pool_free_ptr) struct pool *p = dr_alloc(1, sizeof *p);
    sigset_t all, before;
    int rc = 0;
    p->o = *options;
    p->slots = dr_alloc(p->o.slots, sizeof *p->slots);
    p->threads = dr_alloc(p->o.threads + 1, sizeof *p->threads);
    DR_ASSERT(pthread_mutex_init(&p->lock, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&p->work, NULL) == 0 && pthread_cond_init(&p->done, NULL) == 0);
    if (p->o.threads == 0)
        start(p, &p->threads[0]);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* threads inherit it; never fails */
    for (unsigned i = 0; i < p->o.threads && rc == 0; i++) {
        start(p, &p->threads[i]);
        rc = make_thread(&p->threads[i]);
        p->running += rc == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        (void)dr_fail_sys(err, rc, "cannot start thread %u of %u", p->running + 1, p->o.threads);
        err->rc = DR_E_TRANSIENT;
        return err->rc;
    }
    *ret = DR_TAKE(p);
    return DR_OK;
}

static void tell_end(struct pool *p)
{
    HOLD(p);
    p->ending = true;
    (void)pthread_cond_broadcast(&p->work);
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    tell_end(p);
    for (unsigned i = 0; i < p->running; i++)
        DR_ASSERT(pthread_join(p->threads[i].id, NULL) == 0);
    for (unsigned i = 0; i < p->states && p->o.stop != NULL; i++)
        p->o.stop(p->threads[i].state);
    (void)pthread_cond_destroy(&p->work); /* nobody waits any more */
    (void)pthread_cond_destroy(&p->done);
    (void)pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p->slots);
    free(p);
}

size_t pool_count(const struct pool *p)
{
    return p->given - p->taken;
}

bool pool_full(const struct pool *p)
{
    return pool_count(p) == p->o.slots;
}

void pool_give(struct pool *p, void *item)
{
    DR_ASSERT(!pool_full(p) && item != NULL);
    bool here = p->o.threads == 0;
    if (here)
        p->o.work(p->threads[0].state, item);
    HOLD(p);
    *slot_of(p, p->given++) = (struct slot){ .item = item, .done = here };
    if (here)
        p->begun = p->given;
    else
        (void)pthread_cond_signal(&p->work);
}

bool pool_ready(struct pool *p)
{
    HOLD(p);
    return pool_count(p) > 0 && slot_of(p, p->taken)->done;
}

void *pool_take(struct pool *p)
{
    HOLD(p);
    if (pool_count(p) == 0)
        return NULL;
    struct slot *s = slot_of(p, p->taken);
    while (!s->done)
        (void)pthread_cond_wait(&p->done, &p->lock);
    p->taken++;
    return s->item;
}

unsigned pool_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    unsigned n = (unsigned)CPU_COUNT(&set);
    return n > POOL_THREADS_MAX ? POOL_THREADS_MAX : n;
}
