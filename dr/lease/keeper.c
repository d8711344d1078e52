/*
 * One thread, one condition to end it early. The thread alone touches the lease; what others may know of it
 * (until when to believe, lost or not) is copied out under the lock after each renewal.
 */
#include "dr/lease/keeper.h"

#include <pthread.h>
#include <signal.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"

struct keeper {
    struct lease *lease; /* of the thread, while it runs */
    pthread_t thread;
    bool threaded;
    pthread_mutex_t lock; /* guards what is below */
    pthread_cond_t changed;
    int64_t believed_ms;
    bool lost, ends;
    struct dr_err why; /* of lost */
    void (*tell)(void *arg);
    void *arg;
};

/* Sleep so long, or until the end is asked for. */
static bool rest(struct keeper *k, int64_t ms)
{
    const struct timespec end = clock_real_deadline(ms);
    int rc = 0;
    pthread_mutex_lock(&k->lock);
    while (!k->ends && rc == 0)
        rc = pthread_cond_timedwait(&k->changed, &k->lock, &end);
    bool ends = k->ends;
    pthread_mutex_unlock(&k->lock);
    return !ends;
}

/* Renew once. False: it is lost, for good. */
static bool renew(struct keeper *k)
{
    struct dr_err err = { 0 };
    enum dr_rc rc = lease_renew(k->lease, &err);
    bool lost = rc == DR_E_REFUSED || lease_left_ms(k->lease) <= 0;
    pthread_mutex_lock(&k->lock);
    k->believed_ms = k->lease->believed_ms;
    k->lost = lost;
    k->why = err;
    pthread_mutex_unlock(&k->lock);
    return !lost;
}

static void *keep(void *arg)
{
    struct keeper *k = arg;
    int64_t every = k->lease->place.hold_ms / KEEPER_PARTS;
    int64_t due = clock_boot_ms() + every;
    for (;;) {
        int64_t wait = due - clock_boot_ms();
        if (!rest(k, wait > 0 ? wait : 0))
            return NULL;
        int64_t before = clock_boot_ms();
        if (!renew(k))
            break;
        /* A renewal that failed is tried again sooner: there is less time left. */
        bool fresh = k->lease->believed_ms >= before + k->lease->place.hold_ms;
        due = before + (fresh ? every : every / 4 + 1);
    }
    pthread_mutex_lock(&k->lock);
    void (*told)(void *arg) = k->tell;
    pthread_mutex_unlock(&k->lock);
    if (told != NULL)
        told(k->arg);
    return NULL;
}

enum dr_rc keeper_new(struct lease *lease, struct keeper **ret, struct dr_err *err)
{
    DR_CLEANUP(keeper_free_ptr) struct keeper *k = dr_alloc(1, sizeof(*k));
    pthread_condattr_t attr;
    k->lease = lease;
    k->believed_ms = lease->believed_ms;
    DR_ASSERT(pthread_condattr_init(&attr) == 0);
    DR_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    DR_ASSERT(pthread_mutex_init(&k->lock, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&k->changed, &attr) == 0);
    (void)pthread_condattr_destroy(&attr); /* fails only when misused */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited; never fails */
    int rc = pthread_create(&k->thread, NULL, keep, k);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        (void)dr_fail_sys(err, rc, "cannot start the thread that renews the lease");
        err->rc = DR_E_TRANSIENT;
        return DR_E_TRANSIENT;
    }
    k->threaded = true;
    *ret = DR_TAKE(k);
    return DR_OK;
}

void keeper_on_loss(struct keeper *k, void (*tell)(void *arg), void *arg)
{
    pthread_mutex_lock(&k->lock);
    bool late = k->lost;
    k->tell = late ? NULL : tell;
    k->arg = arg;
    pthread_mutex_unlock(&k->lock);
    if (late)
        tell(arg);
}

const struct lease *keeper_lease(const struct keeper *k)
{
    return k != NULL ? k->lease : NULL;
}

int64_t keeper_left_ms(struct keeper *k)
{
    pthread_mutex_lock(&k->lock);
    int64_t left = k->lost ? 0 : k->believed_ms - clock_boot_ms();
    pthread_mutex_unlock(&k->lock);
    return left;
}

bool keeper_is_lost(struct keeper *k, struct dr_err *ret_why)
{
    pthread_mutex_lock(&k->lock);
    bool lost = k->lost;
    if (lost && ret_why != NULL)
        *ret_why = k->why;
    pthread_mutex_unlock(&k->lock);
    return lost;
}

void keeper_free(struct keeper *k)
{
    if (k == NULL)
        return;
    struct dr_err err = { 0 };
    if (k->threaded) {
        pthread_mutex_lock(&k->lock);
        k->ends = true;
        pthread_cond_signal(&k->changed);
        pthread_mutex_unlock(&k->lock);
        DR_ASSERT(pthread_join(k->thread, NULL) == 0);
    }
    if (!k->lost && lease_release(k->lease, &err) != DR_OK)
        err.rc = DR_OK; /* it runs out by itself */
    lease_free(k->lease);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    free(k);
}
