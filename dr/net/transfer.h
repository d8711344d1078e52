/*
 * transfer.h - many HTTP requests at once over kept connections, for callers that block.
 *
 *     caller ──request──┐                       ┌──> connection, kept
 *     caller ──request──┼──> queue ──window──> I/O thread ──> connection, kept
 *     caller <──reply───┘     (adapts)          └──> connection, kept
 *
 * One engine has one thread around curl_multi. Any number of threads call transfer_do(), which makes
 * one attempt and returns with the whole answer; repeating is the caller's, by the policy of
 * retry.h. How many are on their way at once is decided by an adaptive window (window.h): a server
 * that says "slow down" is asked less. Redirects are not followed, proxies of the environment not used, TLS is
 * 1.2 or newer and always verified by name. Each connect passes the gate.
 *
 * Names: when no name service answers, or not within lookup_ms, the addresses from which answers
 * came before are used (remember.h); certificate and Host header still go by the name.
 *
 * Bodies are not copied by us: a request's is read from the caller's memory, an answer's is written
 * into it. Nothing durable is kept here but those addresses, so a process may die at any time.
 * An engine does not survive fork().
 */
#ifndef DR_NET_TRANSFER_H
#define DR_NET_TRANSFER_H

#include "dr/base/buf.h"
#include "dr/base/text.h"
#include "dr/net/gate.h"

struct transfer;

enum {
    TRANSFER_PARALLEL_MAX = 256,
    TRANSFER_OTHER_BODY_MAX = 64 << 10, /* kept of an answer that is not 2xx */
};

struct transfer_options {
    const char *ca;        /* file of trusted certificates; NULL: the system's */
    struct gate *gate;     /* borrowed, for the engine's life; or NULL */
    const char *memory;    /* directory of remembered addresses, made when missing; NULL: none */
    unsigned max_parallel; /* upper bound of the window; 0: 32 */
    int64_t connect_ms;    /* name, connection and TLS together; 0: 10 s */
    int64_t stall_ms;      /* longest time without a byte in either direction; 0: 30 s */
    int64_t lookup_ms;     /* for the name service, where addresses are remembered; 0: 3 s */
    /* How transfer_pause() waits, for tests; NULL: it really waits. */
    void (*pause)(int64_t ms);
    /* Asked every now and then while callers wait, by the engine's thread or by any of theirs: true ends
     * all calls under way. Or NULL. */
    bool (*cancelled)(void *arg);
    void *arg;
};

/* Strings are copied. Fails (DR_E_TRANSIENT) when the thread cannot be made, DR_E_CONFIG when ca
 * cannot be read. */
enum dr_rc transfer_new(const struct transfer_options *o, struct transfer **ret, struct dr_err *err)
    DR_MUST_USE;

/* Closes all connections. No call may be under way. */
void transfer_free(struct transfer *t);
DR_DEFINE_CLEANUP(struct transfer, transfer_free)

/* Signature Version 4 (by libcurl). The caller adds the header x-amz-content-sha256 and sends only
 * what curl signs rightly: strictly encoded paths, sorted queries in which each name has a '=', no header twice,
 * no header removed. x-amz-date and, of a session_token, x-amz-security-token are added here. */
struct transfer_sign {
    const char *access_key, *secret_key;
    const char *session_token; /* or NULL */
    const char *region, *service;
};

/* How fast bodies may be sent: take() waits until so many more bytes may go. It is called by the
 * caller's thread, by one thread of an engine at a time. What it fails with ends the request. */
struct transfer_pace {
    size_t slice;
    enum dr_rc (*take)(void *arg, size_t bytes, struct dr_err *err);
    void *arg;
};

/* All is borrowed for the call. */
struct transfer_request {
    const char *method;         /* NULL: GET */
    const char *url;            /* http:// or https://, sent as it is written */
    const char *const *headers; /* "name: value", ends with NULL; or NULL. PUT and POST without a
                                   content-type get application/octet-stream */
    const void *body;           /* of PUT and POST */
    size_t body_len;
    void *out; /* the body of a 2xx goes here: at most out_len bytes, more is DR_E_CORRUPT ... */
    size_t out_len;   /* ... and how many came is reply.got; or */
    struct buf *grow; /* it is appended here: at most grow_limit bytes, more is DR_E_CORRUPT; all of
                          it or, after a failure, nothing */
    size_t grow_limit;                /* with neither it is dropped (and counted) */
    const struct transfer_sign *sign; /* or NULL */
    const struct transfer_pace *pace; /* or NULL: as fast as it goes */
    int64_t deadline_ms; /* of everything, waiting for a place too, on clock_boot_ms(); 0: none */
};

struct transfer_reply {
    int status;               /* 0: there was none */
    uint64_t got;             /* bytes of body that arrived */
    struct buf body;          /* of a status other than 2xx, cut at TRANSFER_OTHER_BODY_MAX */
    struct text_list headers; /* "name: value", the name in lower case */
    int64_t date_offset_ms;   /* the server's clock minus ours, when dated (to a second) */
    bool dated;
    bool sent; /* also after a failure: bytes of the request left; else it certainly did nothing */
    bool resent; /* a kept connection had ended and the request was sent once more on a new one: a
                    "412" or "404" may then be an effect of its own */
    bool remembered;                /* the address came from memory: no name service answered */
    int64_t took_ms, first_byte_ms; /* since it left the queue */
};

void transfer_reply_fini(struct transfer_reply *r);

/*
 * ONE attempt. Any complete answer is DR_OK, whatever its status: the caller judges it. Else:
 *
 *   DR_E_TRANSIENT  no answer, or not all of it: refused, reset, truncated, name not found
 *   DR_E_TIMEOUT    connect, stall or deadline; the message says which
 *   DR_E_CANCELLED  cancelled() said so
 *   DR_E_CORRUPT    a body larger than the caller's room
 *   DR_E_DENIED     the certificate is not good (with a hint)
 *   DR_E_REFUSED    a dark region
 *   DR_E_USAGE      no such URL
 *   DR_E_NOMEM      not even a socket could be made
 *
 * The message is "HOST:PORT: " and the reason. ret must be zeroed before, and is valid in every
 * case; the caller ends it with transfer_reply_fini().
 */
enum dr_rc transfer_do(struct transfer *t, const struct transfer_request *q,
                       struct transfer_reply *ret, struct dr_err *err) DR_MUST_USE;

/* The value of a header (its name in lower case), or NULL. Borrowed from r. */
const char *transfer_header(const struct transfer_reply *r, const char *name);

/* Wait so long, for what retry.h says; DR_E_CANCELLED as soon as cancelled() says so. */
enum dr_rc transfer_pause(struct transfer *t, int64_t ms, struct dr_err *err) DR_MUST_USE;

/* Since the engine was made. */
struct transfer_counts {
    uint64_t requests;            /* attempts that left the queue */
    uint64_t connections;         /* new ones */
    uint64_t bytes_in, bytes_out; /* of bodies */
    unsigned window;              /* now */
};

void transfer_count(struct transfer *t, struct transfer_counts *ret);

#endif
