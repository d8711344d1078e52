/*
 * http.h - one HTTP request and its whole answer, by libcurl.
 *
 * Made for health checks, HTTP APIs and probes: a deadline over everything, no redirects followed,
 * no proxy of the environment, an answer of bounded size kept in memory. Each connect passes
 * the gate. With a resolver given, the host name is looked up there and nowhere else, so
 * that a check sees what the users of that name server see; the certificate and the
 * Host header still go by the name.
 */
#ifndef DR_NET_HTTP_H
#define DR_NET_HTTP_H

#include "dr/base/buf.h"
#include "dr/net/gate.h"

enum { HTTP_BODY_MAX = 4 << 20 };

struct http_request {
    const char *method;         /* NULL: GET */
    const char *url;            /* http:// or https:// */
    const char *const *headers; /* "Name: value", ends with NULL; or NULL */
    const char *body;           /* or NULL */
    size_t body_len;
    const char *resolver; /* "ADDRESS:PORT" of the name server; NULL: the system's */
    const char *ca;       /* file of trusted certificates; NULL: the system's */
    struct gate *gate;    /* or NULL */
    int64_t connect_ms;   /* longest wait for one connection; 0: up to the deadline */
    int64_t deadline_ms;  /* of everything, on clock_boot_ms() */
};

struct http_reply {
    int status;
    char line[96];        /* "HTTP/1.1 503 Service Unavailable" */
    char retry_after[64]; /* the header as it came (retry.h reads it); "" when there was none */
    struct buf body;      /* at most HTTP_BODY_MAX bytes */
    bool cut;             /* there was more: the rest was not read */
    int64_t took_ms;
    bool sent; /* also after a failure: bytes of the request left; else it certainly did nothing */
};

void http_reply_fini(struct http_reply *r);

/*
 * Any status is DR_OK: the caller judges it. DR_E_TRANSIENT when there is no answer (refused, reset,
 * name not found), DR_E_TIMEOUT at the deadline, DR_E_DENIED for a bad certificate,
 * DR_E_REFUSED for a dark region, DR_E_USAGE for what is no such URL, DR_E_NOMEM when not
 * even a socket could be made. The message is "HOST:PORT: " and curl's words.
 * ret->sent is valid in every case; ret must be zeroed before.
 */
enum dr_rc http_do(const struct http_request *request, struct http_reply *ret, struct dr_err *err)
    DR_MUST_USE;

#endif
