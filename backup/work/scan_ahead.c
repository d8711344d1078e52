/*
 * The list, its lock and the threads. A turn of a helper is: take under the lock, read without it, put
 * what came of it into the list under the lock. Waking the walker for each small directory would
 * cost more than reading it, so he sleeps until a lot of entries is ready or nobody has anything to do.
 */
#include "backup/work/scan_ahead.h"

#include <pthread.h>
#include <signal.h>

#include "dr/base/mem.h"

enum {
    READY_LOT = 512,                  /* entries that are worth waking the walker */
    WINDOW_LOW = SCAN_WINDOW / 4 * 3, /* helpers go on below */
};

struct scan_ahead {
    struct scan_reader own; /* of the walker */
    struct helper {
        pthread_t thread;
        struct scan_ahead *ahead;
        struct scan_reader reader;
    } * helpers;
    unsigned count;
    pthread_mutex_t
        lock;            /* guards what follows, and tasks, listed, rest, left, first, last, done */
    pthread_cond_t work; /* for helpers */
    pthread_cond_t ready;    /* for the walker */
    struct scan_task tasks;  /* ends of the list */
    struct scan_dir *wanted; /* the walker sleeps until this has a batch or its end; or NULL */
    size_t held;             /* entries that were read and not given out */
    unsigned idle;           /* helpers that sleep */
    bool stop;
};

static void insert_before(struct scan_task *place, struct scan_task *task)
{
    task->prev = place->prev;
    task->next = place;
    place->prev->next = task;
    place->prev = task;
}

static void remove_task(struct scan_task *task)
{
    task->prev->next = task->next;
    task->next->prev = task->prev;
    task->prev = task->next = NULL;
}

static struct scan_task *first_free(struct scan_ahead *a)
{
    struct scan_task *task = a->tasks.next;
    while (task != &a->tasks && task->taken)
        task = task->next;
    return task == &a->tasks ? NULL : task;
}

/* Make it the caller's: a directory that is not listed, or the next batch of one that is. */
static struct scan_task *take(struct scan_task *task)
{
    struct scan_dir *d = task->dir;
    DR_ASSERT(!task->taken);
    if (!d->listed) {
        task->taken = true;
        return task;
    }
    struct scan_batch *b = scan_dir_cut(d);
    b->task.taken = true;
    insert_before(task, &b->task);
    if (d->left == 0)
        remove_task(task);
    return &b->task;
}

/* What was taken is read: directories in it take its place. */
static void complete(struct scan_ahead *a, struct scan_task *task)
{
    struct scan_dir *d = task->dir;
    struct scan_batch *b = task->batch != NULL ? task->batch : d->first;
    if (b != NULL) {
        for (struct scan_dir *sub = b->first_sub; sub != NULL; sub = sub->sibling)
            insert_before(task, &sub->task);
        a->held += b->count;
        b->done = true;
    }
    task->taken = false;
    d->listed = true;
    if (task->batch != NULL || d->left == 0)
        remove_task(task);
}

static void run(struct scan_reader *r, struct scan_task *task)
{
    if (task->batch != NULL)
        scan_reader_stat(r, task->batch);
    else
        scan_reader_list(r, task->dir);
}

static bool is_ready(const struct scan_dir *d)
{
    return d->listed && (d->first != NULL ? d->first->done : d->left == 0);
}

static void wake_walker(struct scan_ahead *a)
{
    if (a->wanted != NULL && is_ready(a->wanted))
        pthread_cond_signal(&a->ready);
}

/* Helpers that slept because the window was full, or because there was nothing to do. */
static void wake_helpers(struct scan_ahead *a)
{
    if (a->idle > 0 && a->held < WINDOW_LOW && first_free(a) != NULL)
        pthread_cond_signal(&a->work);
}

/* The next task for a helper; NULL: all is over. Sleeps while there is none or the window is full. */
static struct scan_task *next_task(struct scan_ahead *a)
{
    while (!a->stop) {
        struct scan_task *task = a->held < SCAN_WINDOW ? first_free(a) : NULL;
        if (task != NULL)
            return task;
        wake_walker(a);
        a->idle++;
        pthread_cond_wait(&a->work, &a->lock);
        a->idle--;
    }
    return NULL;
}

static void *help(void *arg)
{
    struct helper *h = arg;
    struct scan_ahead *a = h->ahead;
    struct scan_task *task;
    pthread_mutex_lock(&a->lock);
    while ((task = next_task(a)) != NULL) {
        task = take(task);
        wake_helpers(a);
        pthread_mutex_unlock(&a->lock);
        run(&h->reader, task);
        pthread_mutex_lock(&a->lock);
        complete(a, task);
        if (a->held >= READY_LOT)
            wake_walker(a);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void stop_helpers(struct scan_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->work);
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < a->count; i++) {
        (void)pthread_join(a->helpers[i].thread, NULL); /* fails for what is no thread only */
        scan_reader_fini(&a->helpers[i].reader);
    }
}

void scan_ahead_free(struct scan_ahead *a)
{
    if (a == NULL)
        return;
    stop_helpers(a);
    scan_reader_fini(&a->own);
    pthread_cond_destroy(&a->work);
    pthread_cond_destroy(&a->ready);
    pthread_mutex_destroy(&a->lock);
    free(a->helpers);
    free(a);
}

enum dr_rc scan_ahead_new(const struct scan_options *options, int root, struct scan_dir *first,
                          struct scan_ahead **ret, struct dr_err *err)
{
    DR_ASSERT(options->threads <= SCAN_THREADS_MAX);
    DR_CLEANUP(scan_ahead_free_ptr) struct scan_ahead *a = dr_alloc(1, sizeof *a);
    scan_reader_init(&a->own, options, root, first->dev);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->work, NULL);
    pthread_cond_init(&a->ready, NULL);
    a->tasks.prev = a->tasks.next = &a->tasks;
    insert_before(&a->tasks, &first->task);
    a->helpers = dr_alloc(options->threads + 1, sizeof *a->helpers);
    sigset_t all, before; /* signals are the main thread's business */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    while (a->count < options->threads && failed == 0) {
        struct helper *h = &a->helpers[a->count];
        h->ahead = a;
        scan_reader_init(&h->reader, options, root, first->dev);
        failed = pthread_create(&h->thread, NULL, help, h);
        if (failed == 0)
            a->count++;
        else
            scan_reader_fini(&h->reader);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return dr_fail_sys(err, failed, "cannot start a thread that reads directories");
    *ret = DR_TAKE(a);
    return DR_OK;
}

static void work_or_wait(struct scan_ahead *a, struct scan_dir *d)
{
    struct scan_task *task = a->tasks.next;
    DR_ASSERT(task->dir == d); /* all before it was given out */
    if (task->taken) {
        a->wanted = d;
        pthread_cond_wait(&a->ready, &a->lock);
        a->wanted = NULL;
        return;
    }
    task = take(task);
    wake_helpers(a);
    pthread_mutex_unlock(&a->lock);
    run(&a->own, task);
    pthread_mutex_lock(&a->lock);
    complete(a, task);
    wake_helpers(a);
}

struct scan_batch *scan_ahead_next(struct scan_ahead *a, struct scan_dir *d, size_t given)
{
    pthread_mutex_lock(&a->lock);
    DR_ASSERT(a->held >= given);
    a->held -= given;
    wake_helpers(a);
    while (!is_ready(d))
        work_or_wait(a, d);
    struct scan_batch *b = d->first;
    if (b != NULL) {
        d->first = b->next;
        if (d->first == NULL)
            d->last = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    return b;
}
