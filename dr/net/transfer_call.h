/*
 * transfer_call.h - one request on its way, for transfer.c.
 *
 * A call lies on its caller's stack. The caller sets it up and ends it; in between it belongs to the engine's
 * thread, in which curl and with it all callbacks run. The two meet in struct call_shared, under the
 * engine's lock:
 *
 *     caller                                   engine's thread
 *     call_init, queued ──────────────────────> curl_multi_add_handle
 *     take(slice), paid += slice <──wanted────  on_read: nothing paid any more, pauses
 *                    ──────wake───────────────> unpauses
 *     done <────────────────────────────────── call_finish
 */
#ifndef DR_NET_TRANSFER_CALL_H
#define DR_NET_TRANSFER_CALL_H

#include <pthread.h>

#include "dr/net/easy.h"
#include "dr/net/quick.h"
#include "dr/net/transfer.h"

/* What all calls of an engine share; it outlives them. */
struct call_setting {
    char *ca;
    struct gate *gate;
    int64_t connect_ms, stall_ms, lookup_ms;
    struct quick quick;   /* the engine's thread's only */
    pthread_mutex_t lock; /* guards the engine's queue and each call's shared part */
};

/* Guarded by setting->lock. */
struct call_shared {
    size_t paid;    /* bytes of body that may be sent; all of it without a pace */
    bool wanted;    /* more is to be paid for */
    bool abandoned; /* the caller wants no answer any more */
    bool done;
};

struct call {
    struct call *next, *before; /* in the queue, then among those under way */
    const struct transfer_request *q;
    struct transfer_reply *reply;
    struct dr_err *err;
    struct call_setting *setting;
    pthread_cond_t changed;
    struct call_shared shared;

    /* The caller's before and after, the engine's thread's meanwhile. */
    struct easy easy;
    struct text_list known; /* addresses remembered */
    enum dr_rc rc;
    char address[NET_ADDR_TEXT_MAX]; /* that answered; "" when the connection was not new */
    int64_t began_ms, moved_ms;      /* left the queue; a byte went or came */
    int64_t wall_ns;                 /* the first header came */
    int fd;                          /* of the connection, or -1 */
    curl_off_t came, went;
    size_t body_at;
    unsigned ready;   /* how many times a connection was ready for the request */
    bool paused;      /* nothing paid */
    bool too_large;   /* more body than room */
    bool header_seen; /* of this answer */
};

/* Everything but to begin: DR_E_USAGE, DR_E_REFUSED, DR_E_NOMEM. Ends with call_fini() in any case. */
enum dr_rc call_init(struct call *c, struct call_setting *setting, const struct transfer_request *q,
                     struct transfer_reply *reply, struct dr_err *err) DR_MUST_USE;
void call_fini(struct call *c);

/* -- in the engine's thread ---------------------------------------------------------------- */

/* It leaves the queue now. */
void call_begin(struct call *c, int64_t now_ms);

/* Bytes were paid for, or not: go on when it paused and may. */
void call_resume(struct call *c, size_t paid, int64_t now_ms);

/* Is the name looked up for too long, or did that fail (code), and are there addresses remembered? Then
 * use them: true, and the handle is to be added once more. */
bool call_should_remember(const struct call *c, int64_t now_ms);
void call_use_memory(struct call *c, int64_t now_ms);

/* DR_E_TIMEOUT when a deadline has passed; else when to ask again. */
enum dr_rc call_check(struct call *c, int64_t now_ms, int64_t *ret_next_ms, struct dr_err *err)
    DR_MUST_USE;

/* What became of it: the reply is filled in, curl's verdict turned into ours. */
enum dr_rc call_judge(struct call *c, CURLcode code, struct dr_err *err) DR_MUST_USE;
void call_collect(struct call *c);

#endif
