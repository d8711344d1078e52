/*
 * transfer.c - the engine: a queue, a window, and one thread around curl_multi.
 *
 * The thread sleeps in curl_multi_poll(); whoever queues a request, pays for more of its body or
 * ends the engine wakes it. It alone touches the multi handle and the list of what is under way, so
 * these need no lock. Files (addresses that are remembered) are read and written by the callers'
 * threads: the engine's never waits for a disk.
 */
#include "dr/net/transfer.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/net/remember.h"
#include "dr/net/transfer_call.h"
#include "dr/net/window.h"

enum {
    PARALLEL = 32,
    CONNECT_MS = 10000,
    STALL_MS = 30000,
    LOOKUP_MS = 3000,
    CANCEL_EVERY_MS = 50,
    IDLE_MS = 60 * 60 * 1000,
};

struct list {
    struct call *first, *last;
};

struct transfer {
    struct transfer_options o; /* strings are in setting and memory */
    struct call_setting setting;
    struct remember *memory;
    pthread_mutex_t pace_lock; /* held around take(): one thread at a time, in turn */
    CURLM *multi;
    pthread_t thread;
    bool running;

    struct list queue; /* guarded by setting.lock, as are the next two */
    struct transfer_counts counts;
    bool ending;

    struct list active; /* the engine's thread's only, as all below */
    unsigned in_flight;
    struct window window;
    int64_t asked_ms; /* when cancelled() was asked last */
};

static pthread_mutex_t *lock(struct transfer *t)
{
    DR_ASSERT(pthread_mutex_lock(&t->setting.lock) == 0);
    return &t->setting.lock;
}

static void unlock(pthread_mutex_t **held)
{
    DR_ASSERT(pthread_mutex_unlock(*held) == 0);
}
#define HOLD(t) DR_CLEANUP(unlock) pthread_mutex_t *held = lock(t)

static void append(struct list *l, struct call *c)
{
    c->next = NULL;
    c->before = l->last;
    *(l->last != NULL ? &l->last->next : &l->first) = c;
    l->last = c;
}

static void take_out(struct list *l, struct call *c)
{
    *(c->before != NULL ? &c->before->next : &l->first) = c->next;
    *(c->next != NULL ? &c->next->before : &l->last) = c->before;
}

static void wake(struct transfer *t)
{
    DR_ASSERT(curl_multi_wakeup(t->multi) == CURLM_OK);
}

/* -- the engine's thread ------------------------------------------------------------------- */

/* The caller may go on: nothing of c may be touched afterwards. */
static void tell_done(struct transfer *t, struct call *c, enum dr_rc rc)
{
    HOLD(t);
    t->counts.window = t->window.size;
    c->rc = rc;
    c->shared.done = true;
    (void)pthread_cond_signal(&c->changed);
}

static void learn(struct transfer *t, const struct call *c, enum dr_rc rc, int64_t now_ms)
{
    if (rc == DR_E_TIMEOUT || (rc == DR_OK && window_is_overload(c->reply->status)))
        window_bad(&t->window, c->began_ms, now_ms);
    else if (rc == DR_OK)
        window_good(&t->window, t->in_flight);
}

static void finish(struct transfer *t, struct call *c, enum dr_rc rc)
{
    call_collect(c);
    (void)curl_multi_remove_handle(t->multi, c->easy.curl); /* it was added */
    learn(t, c, rc, clock_boot_ms());
    take_out(&t->active, c);
    t->in_flight--;
    tell_done(t, c, rc);
}

static void begin(struct transfer *t, struct call *c)
{
    call_begin(c, clock_boot_ms()); /* not before the last halving of the window */
    append(&t->active, c);
    t->in_flight++;
    if (curl_multi_add_handle(t->multi, c->easy.curl) != CURLM_OK)
        finish(t, c, dr_fail(c->err, DR_E_NOMEM, "cannot begin a request"));
}

/* The name is not known, but where it was is: begin anew with that. Nothing was sent. */
static void fall_back(struct transfer *t, struct call *c, int64_t now_ms)
{
    (void)curl_multi_remove_handle(t->multi, c->easy.curl); /* it was added */
    call_use_memory(c, now_ms);
    if (curl_multi_add_handle(t->multi, c->easy.curl) != CURLM_OK)
        finish(t, c, dr_fail(c->err, DR_E_NOMEM, "cannot begin a request"));
}

/* The first in the queue, if there is room; NULL: nothing to begin now. */
static struct call *next_queued(struct transfer *t)
{
    HOLD(t);
    struct call *c = t->in_flight < t->window.size ? t->queue.first : NULL;
    if (c != NULL) {
        take_out(&t->queue, c);
        t->counts.requests++;
    }
    return c;
}

/* One of the queue whose deadline has passed, or any when all end. */
static struct call *next_dropped(struct transfer *t, bool all, int64_t now_ms)
{
    HOLD(t);
    for (struct call *c = t->queue.first; c != NULL; c = c->next) {
        bool late = c->q->deadline_ms != 0 && now_ms >= c->q->deadline_ms;
        if (late || all || c->shared.abandoned) {
            take_out(&t->queue, c);
            return c;
        }
    }
    return NULL;
}

static enum dr_rc cancelled(struct call *c)
{
    return dr_fail(c->err, DR_E_CANCELLED, "%s:%s: cancelled", c->easy.host, c->easy.port);
}

static void admit(struct transfer *t, bool all_end, int64_t now_ms)
{
    struct call *c;
    while ((c = next_dropped(t, all_end, now_ms)) != NULL) {
        enum dr_rc rc = cancelled(c);
        if (!all_end && !c->shared.abandoned)
            rc = dr_fail(c->err, DR_E_TIMEOUT, "%s:%s: the deadline passed before its turn came",
                         c->easy.host, c->easy.port);
        tell_done(t, c, rc);
    }
    while ((c = next_queued(t)) != NULL)
        begin(t, c);
}

static struct call_shared look(struct transfer *t, const struct call *c)
{
    HOLD(t);
    return c->shared;
}

/* What time and the caller did to one under way. Returns when to look again. */
static int64_t watch(struct transfer *t, struct call *c, bool all_end, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    struct call_shared shared = look(t, c);
    if (all_end || shared.abandoned) {
        finish(t, c, cancelled(c));
        return next;
    }
    call_resume(c, shared.paid, now_ms);
    enum dr_rc rc = call_check(c, now_ms, &next, c->err);
    if (rc != DR_OK)
        finish(t, c, rc);
    else if (call_should_remember(c, now_ms))
        fall_back(t, c, now_ms);
    return next;
}

static void hear(struct transfer *t)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(t->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        char *private = NULL;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private); /* it was set */
        struct call *c = (struct call *)(void *)private;
        if (code == CURLE_COULDNT_RESOLVE_HOST && c->known.count > 0 && !c->reply->remembered)
            fall_back(t, c, clock_boot_ms());
        else
            finish(t, c, call_judge(c, code, c->err));
    }
}

/* waiting: something was in the queue, which is not looked at here: callers change it. */
static bool ask_cancelled(struct transfer *t, bool waiting, int64_t now_ms)
{
    if (t->o.cancelled == NULL || (t->active.first == NULL && !waiting))
        return false;
    if (now_ms >= t->asked_ms && now_ms < t->asked_ms + CANCEL_EVERY_MS)
        return false;
    t->asked_ms = now_ms;
    return t->o.cancelled(t->o.arg);
}

/* The earliest end of what waits; whether to go on. */
static bool look_at_queue(struct transfer *t, int64_t *next_ms, bool *waiting)
{
    HOLD(t);
    *waiting = t->queue.first != NULL;
    for (const struct call *c = t->queue.first; c != NULL; c = c->next)
        if (c->q->deadline_ms != 0 && c->q->deadline_ms < *next_ms)
            *next_ms = c->q->deadline_ms;
    return !t->ending;
}

static void *run(void *arg)
{
    struct transfer *t = arg;
    bool waiting = false;
    int64_t next_ms = INT64_MAX;
    while (look_at_queue(t, &next_ms, &waiting)) {
        int64_t now_ms = clock_boot_ms(), wait_ms = next_ms - now_ms;
        int64_t most_ms = t->active.first == NULL && !waiting ? IDLE_MS
                          : t->o.cancelled != NULL            ? CANCEL_EVERY_MS
                                                              : 1000;
        wait_ms = wait_ms > most_ms ? most_ms : wait_ms < 0 ? 0 : wait_ms;
        DR_ASSERT(curl_multi_poll(t->multi, NULL, 0, (int)wait_ms, NULL) == CURLM_OK);
        int running;
        DR_ASSERT(curl_multi_perform(t->multi, &running) == CURLM_OK);
        hear(t);
        now_ms = clock_boot_ms();
        bool all_end = ask_cancelled(t, waiting, now_ms);
        next_ms = INT64_MAX;
        for (struct call *c = t->active.first, *after; c != NULL; c = after) {
            after = c->next;
            int64_t at = watch(t, c, all_end, now_ms);
            next_ms = at < next_ms ? at : next_ms;
        }
        admit(t, all_end, now_ms);
    }
    DR_ASSERT(t->active.first == NULL);
    return NULL;
}

/* -- callers ------------------------------------------------------------------------------- */

static enum dr_rc start_thread(struct transfer *t, struct dr_err *err)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the thread inherits it; never fails */
    int rc = pthread_create(&t->thread, NULL, run, t);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        (void)dr_fail_sys(err, rc, "cannot start a thread for transfers");
        err->rc = DR_E_TRANSIENT;
        return dr_not_ok(err->rc);
    }
    t->running = true;
    return DR_OK;
}

static int64_t or_usual(int64_t given, int64_t usual)
{
    DR_ASSERT(given >= 0);
    return given != 0 ? given : usual;
}

enum dr_rc transfer_new(const struct transfer_options *o, struct transfer **ret, struct dr_err *err)
{
    unsigned parallel = o->max_parallel != 0 ? o->max_parallel : PARALLEL;
    DR_ASSERT(parallel <= TRANSFER_PARALLEL_MAX);
    if (o->ca != NULL && access(o->ca, R_OK) != 0) {
        (void)dr_fail_sys(err, errno, "cannot read the trusted certificates '%s'", o->ca);
        err->rc = DR_E_CONFIG;
        return dr_not_ok(err->rc);
    }
    DR_CLEANUP(transfer_free_ptr) struct transfer *t = dr_alloc(1, sizeof(*t));
    t->o = *o;
    t->setting.ca = o->ca != NULL ? dr_strdup(o->ca) : NULL;
    t->setting.gate = o->gate;
    t->setting.connect_ms = or_usual(o->connect_ms, CONNECT_MS);
    t->setting.stall_ms = or_usual(o->stall_ms, STALL_MS);
    t->setting.lookup_ms = or_usual(o->lookup_ms, LOOKUP_MS);
    t->o.ca = t->o.memory = NULL;
    t->memory = o->memory != NULL ? remember_new(o->memory) : NULL;
    DR_ASSERT(pthread_mutex_init(&t->setting.lock, NULL) == 0);
    DR_ASSERT(pthread_mutex_init(&t->pace_lock, NULL) == 0);
    window_init(&t->window, parallel);
    t->counts.window = t->window.size;
    t->asked_ms = INT64_MIN / 2;
    t->multi = curl_multi_init();
    if (t->multi == NULL ||
        curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)parallel) != CURLM_OK ||
        curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) != CURLM_OK)
        return dr_fail(err, DR_E_NOMEM, "cannot set up transfers");
    DR_TRY(start_thread(t, err));
    *ret = DR_TAKE(t);
    return DR_OK;
}

static void tell_end(struct transfer *t)
{
    HOLD(t);
    DR_ASSERT(t->queue.first == NULL);
    t->ending = true;
}

void transfer_free(struct transfer *t)
{
    if (t == NULL)
        return;
    if (t->running) {
        tell_end(t);
        wake(t);
        DR_ASSERT(pthread_join(t->thread, NULL) == 0);
    }
    if (t->multi != NULL)
        (void)curl_multi_cleanup(t->multi); /* nothing is in it */
    remember_free(t->memory);
    (void)pthread_mutex_destroy(&t->pace_lock); /* nobody waits any more */
    (void)pthread_mutex_destroy(&t->setting.lock);
    free(t->setting.ca);
    free(t);
}

static enum dr_rc pay(struct transfer *t, const struct transfer_pace *pace, size_t bytes,
                      struct dr_err *err)
{
    DR_ASSERT(pthread_mutex_lock(&t->pace_lock) == 0);
    DR_CLEANUP(unlock) pthread_mutex_t *held = &t->pace_lock;
    return pace->take(pace->arg, bytes, err);
}

/* How many bytes are to be paid for before going on; 0: it is done. */
static size_t wait_for(struct transfer *t, struct call *c)
{
    HOLD(t);
    /* More may have been wanted while the last of it was being paid for. */
    while (!c->shared.done && !(c->shared.wanted && c->shared.paid < c->q->body_len))
        (void)pthread_cond_wait(&c->changed, held); /* fails only when misused */
    if (c->shared.done)
        return 0;
    c->shared.wanted = false;
    size_t left = c->q->body_len - c->shared.paid, slice = c->q->pace->slice;
    DR_ASSERT(slice > 0);
    return left < slice ? left : slice;
}

static void tell_paid(struct transfer *t, struct call *c, size_t bytes)
{
    HOLD(t);
    c->shared.paid += bytes;
    c->shared.abandoned = bytes == 0;
}

static void enqueue(struct transfer *t, struct call *c)
{
    HOLD(t);
    DR_ASSERT(!t->ending);
    append(&t->queue, c);
}

static enum dr_rc perform(struct transfer *t, struct call *c, struct dr_err *err)
{
    struct dr_err pace_err = { 0 };
    enqueue(t, c);
    wake(t);
    size_t bytes;
    while ((bytes = wait_for(t, c)) != 0) {
        bool paid = pay(t, c->q->pace, bytes, &pace_err) == DR_OK;
        tell_paid(t, c, paid ? bytes : 0);
        wake(t);
    }
    if (pace_err.rc != DR_OK) {
        *err = pace_err;
        return dr_not_ok(err->rc);
    }
    return c->rc;
}

static void count(struct transfer *t, const struct call *c)
{
    HOLD(t);
    t->counts.connections += c->address[0] != '\0';
    t->counts.bytes_in += c->reply->got;
    t->counts.bytes_out += (uint64_t)c->went;
}

enum dr_rc transfer_do(struct transfer *t, const struct transfer_request *q,
                       struct transfer_reply *ret, struct dr_err *err)
{
    DR_ASSERT(ret->status == 0 && ret->body.len == 0 && ret->headers.count == 0);
    if (t->o.cancelled != NULL && t->o.cancelled(t->o.arg))
        return dr_fail(err, DR_E_CANCELLED, "cancelled");
    struct call c;
    size_t before = q->grow != NULL ? q->grow->len : 0;
    enum dr_rc rc = call_init(&c, &t->setting, q, ret, err);
    struct net_addr numeric;
    bool named = rc == DR_OK && t->memory != NULL && !net_addr_parse(c.easy.host, 0, &numeric);
    if (named)
        remember_recall(t->memory, c.easy.host, c.easy.port, &c.known);
    if (rc == DR_OK)
        rc = perform(t, &c, err);
    count(t, &c);
    if (named && rc == DR_OK && c.address[0] != '\0') {
        struct dr_err ignored = {
            0
        }; /* a hint that could not be kept: the next answer tries again */
        (void)!remember_note(t->memory, c.easy.host, c.easy.port, c.address, &ignored);
    }
    call_fini(&c);
    if (rc != DR_OK && q->grow != NULL && q->grow->len > before) {
        q->grow->len = before; /* half an answer is none: the next attempt appends a whole one */
        q->grow->data[before] = '\0';
    }
    return rc;
}

void transfer_reply_fini(struct transfer_reply *r)
{
    buf_fini(&r->body);
    text_list_fini(&r->headers);
}

const char *transfer_header(const struct transfer_reply *r, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < r->headers.count; i++) {
        const char *line = r->headers.items[i];
        if (strncmp(line, name, len) == 0 && line[len] == ':' && line[len + 1] == ' ')
            return line + len + 2;
    }
    return NULL;
}

enum dr_rc transfer_pause(struct transfer *t, int64_t ms, struct dr_err *err)
{
    for (int64_t left = ms > 0 ? ms : 0;;) {
        if (t->o.cancelled != NULL && t->o.cancelled(t->o.arg))
            return dr_fail(err, DR_E_CANCELLED, "cancelled while waiting to try again");
        if (left == 0)
            return DR_OK;
        int64_t part = t->o.cancelled != NULL && left > CANCEL_EVERY_MS ? CANCEL_EVERY_MS : left;
        struct timespec span = { .tv_sec = part / 1000, .tv_nsec = part % 1000 * 1000000 };
        if (t->o.pause != NULL)
            t->o.pause(part);
        else
            while (clock_nanosleep(CLOCK_MONOTONIC, 0, &span, &span) == EINTR)
                ;
        left -= part;
    }
}

void transfer_count(struct transfer *t, struct transfer_counts *ret)
{
    HOLD(t);
    *ret = t->counts;
}
