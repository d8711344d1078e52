/*
 * A lane: a list of jobs under a lock, and threads that take the first until they are told to end.
 */
#include "backup/work/backup_lane.h"

#include <pthread.h>
#include <signal.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"

struct job {
    void (*fn)(void *arg);
    void *arg;
    struct job *next;
};

struct lane {
    pthread_t threads[LANE_THREADS_MAX];
    unsigned count;       /* of them; 0: a push does its job */
    pthread_mutex_t lock; /* guards what is below */
    pthread_cond_t pushed, idle;
    struct job *first, **last;
    unsigned busy; /* jobs being done */
    bool ends;
};

static void *run(void *arg)
{
    struct lane *l = arg;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (l->first == NULL && !l->ends)
            pthread_cond_wait(&l->pushed, &l->lock);
        struct job *job = l->first;
        if (job == NULL)
            break;
        l->first = job->next;
        if (l->first == NULL)
            l->last = &l->first;
        l->busy++;
        pthread_mutex_unlock(&l->lock);
        job->fn(job->arg);
        free(job);
        pthread_mutex_lock(&l->lock);
        l->busy--;
        if (l->first == NULL && l->busy == 0)
            pthread_cond_broadcast(&l->idle);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static int start(struct lane *l)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited; never fails */
    int rc = pthread_create(&l->threads[l->count], NULL, run, l);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    l->count += rc == 0;
    return rc;
}

enum dr_rc lane_new(unsigned threads, struct lane **ret, struct dr_err *err)
{
    DR_CLEANUP(lane_free_ptr) struct lane *l = dr_alloc(1, sizeof *l);
    pthread_condattr_t attr;
    l->last = &l->first;
    DR_ASSERT(pthread_condattr_init(&attr) == 0);
    DR_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    DR_ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&l->pushed, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&l->idle, &attr) == 0);
    (void)pthread_condattr_destroy(&attr); /* fails only when misused */
    for (unsigned i = 0; i < threads && i < LANE_THREADS_MAX; i++) {
        int rc = start(l);
        if (rc == 0)
            continue;
        if (i > 0) /* fewer are as good, and slower */
            break;
        dr_fail_sys(err, rc, "cannot start a thread for a bucket");
        err->rc = DR_E_TRANSIENT;
        return DR_E_TRANSIENT;
    }
    *ret = DR_TAKE(l);
    return DR_OK;
}

void lane_free(struct lane *l)
{
    if (l == NULL)
        return;
    pthread_mutex_lock(&l->lock);
    l->ends = true;
    pthread_cond_broadcast(&l->pushed);
    pthread_mutex_unlock(&l->lock);
    for (unsigned i = 0; i < l->count; i++)
        DR_ASSERT(pthread_join(l->threads[i], NULL) == 0);
    pthread_cond_destroy(&l->pushed);
    pthread_cond_destroy(&l->idle);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void lane_push(struct lane *l, void (*fn)(void *arg), void *arg)
{
    if (l->count == 0) {
        fn(arg);
        return;
    }
    struct job *job = dr_alloc(1, sizeof *job);
    *job = (struct job){ .fn = fn, .arg = arg };
    pthread_mutex_lock(&l->lock);
    *l->last = job;
    l->last = &job->next;
    pthread_cond_signal(&l->pushed);
    pthread_mutex_unlock(&l->lock);
}

void lane_flush(struct lane *l)
{
    pthread_mutex_lock(&l->lock);
    struct job *job = l->first;
    l->first = NULL;
    l->last = &l->first;
    if (l->busy == 0)
        pthread_cond_broadcast(&l->idle);
    pthread_mutex_unlock(&l->lock);
    while (job != NULL) {
        struct job *next = job->next;
        job->fn(job->arg);
        free(job);
        job = next;
    }
}

bool lane_wait(struct lane *l, unsigned timeout_ms)
{
    const struct timespec end = clock_real_deadline(timeout_ms);
    int rc = 0;
    pthread_mutex_lock(&l->lock);
    while ((l->first != NULL || l->busy > 0) && rc == 0)
        rc = pthread_cond_timedwait(&l->idle, &l->lock, &end);
    bool idle = l->first == NULL && l->busy == 0;
    pthread_mutex_unlock(&l->lock);
    return idle;
}
