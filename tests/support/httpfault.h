/*
 * httpfault.h - an S3 server of our own, which misbehaves where it is told to.
 *
 *     struct httpfault *h = httpfault_start();
 *     struct memory *b = httpfault_bucket(h, "backups");        look into it as memory.h says
 *     ... s3://backups?endpoint=<httpfault_url(h)>, any access key, any secret ...
 *     httpfault_plan(h, &(struct httpfault_plan){
 *         .how = HTTPFAULT_STATUS, .status = 503, .retry_after_s = 7, .method = "PUT", .nth = 3 });
 *     httpfault_count(h, "PUT", "/packs/");                      requests seen, faults included
 *     httpfault_stop(h);
 *
 * Good behaviour is a small S3 in memory: path style, or virtual-host style below s3.localhost; get with
 * ranges, put with If-None-Match and If-Match, head, delete, list v2 in pages, multi-object delete, versioning
 * and object lock (both off). A request without a signature of version 4, its date and its digest is
 * refused; the signature itself is believed. HTTP/1.1, connections are kept.
 *
 * It runs in threads of the test's process, a connection each, on a loopback port; one server at a time. A
 * child that the test forks is served like anybody else.
 */
#ifndef TESTS_SUPPORT_HTTPFAULT_H
#define TESTS_SUPPORT_HTTPFAULT_H

#include "tests/support/memory.h"

enum httpfault_how {
    HTTPFAULT_STATUS, /* answer with .status and an S3 error, and do nothing */
    HTTPFAULT_RESET,  /* reset the connection, and do nothing */
    HTTPFAULT_LOST,   /* do it, and reset the connection instead of answering */
    HTTPFAULT_TWICE,  /* do it two times; the second answer is sent */
    HTTPFAULT_STALL,  /* send .at bytes of the answer's body (none: not even its head), then nothing
                           more until the client goes away */
    HTTPFAULT_CUT,    /* the whole length is announced, .at bytes of the body come, then the end */
    HTTPFAULT_FLIP,   /* byte .at of the body is another */
    HTTPFAULT_LONGER, /* the length announced is .at bytes too large */
    HTTPFAULT_SHORTER,  /* ... too small; the connection ends behind it */
    HTTPFAULT_REDIRECT, /* 301 to .region, as S3 answers when a bucket lies elsewhere */
    HTTPFAULT_GARBAGE,  /* bytes that are no HTTP */
};

struct httpfault_plan {
    enum httpfault_how how;
    const char *method; /* "GET" ...; NULL: any */
    const char *part;   /* a part of path and query, undecoded; NULL: any */
    bool changes;       /* only PUT, POST and DELETE */
    unsigned nth;       /* of those that match, from now on; 0 is 1 */
    unsigned times;     /* so many in a row; 0 is 1 */
    int status;
    const char *code; /* of the S3 error; NULL: one that fits the status */
    unsigned retry_after_s;
    size_t at;
    const char *region;
};

enum { HTTPFAULT_PLANS = 16, HTTPFAULT_ANY_TIMES = 1 << 30 };

struct httpfault *httpfault_start(void) DR_MUST_USE; /* never NULL */
void httpfault_stop(struct httpfault *h);            /* with its buckets; NULL is fine */

const char *httpfault_url(const struct httpfault *h);         /* "http://127.0.0.1:PORT" */
const char *httpfault_virtual_url(const struct httpfault *h); /* "http://s3.localhost:PORT" */

/* The content of a bucket, which is made when it is not there. Valid until the server is stopped. */
struct memory *httpfault_bucket(struct httpfault *h, const char *name);

/* Add a plan; strings are borrowed. Plans are asked in their order, and one of them acts. */
void httpfault_plan(struct httpfault *h, const struct httpfault_plan *plan);
void httpfault_clear(struct httpfault *h);    /* no plans, and what stalls ends */
unsigned httpfault_hits(struct httpfault *h); /* how often a plan acted, since the start */

/* What kind of server it is. Zeroed: a good one. */
struct httpfault_kind {
    int64_t clock_offset_s; /* its clock minus ours; more than 15 minutes are refused, as S3 does */
    size_t page;            /* names in a page of a list; 0: 1000 */
    bool no_conditions;     /* If-None-Match and If-Match are answered with 501 */
    bool conditions_ignored; /* ... are not looked at */
    bool quoted_tags_only;  /* If-Match wants its tag in quotes (unquoted ones are asked by Ceph) */
    const char *access_key; /* any other is InvalidAccessKeyId; NULL: any */
    const char *region;     /* any other in the signature is refused as S3 does; NULL: any */
    bool wrong_secret;      /* every signature is called wrong */
    const char *token;      /* any other session token is refused; NULL: any */
};
void httpfault_be(struct httpfault *h, const struct httpfault_kind *kind); /* strings borrowed */

/* -- what was asked -------------------------------------------------------------------------- */

struct httpfault_entry {
    char method[8];
    char path[512];      /* with its query, as it came */
    char range[64];      /* its Range header */
    int status;          /* of the answer; 0: none was sent */
    size_t in, out;      /* bytes of the bodies */
    unsigned connection; /* 1, 2 ... */
};

/* How many requests of that method (NULL: any) have that part in path and query (NULL: any). */
size_t httpfault_count(struct httpfault *h, const char *method, const char *part);

/* The index-th request of all; false: there were fewer. */
bool httpfault_entry(struct httpfault *h, size_t index, struct httpfault_entry *ret);

unsigned httpfault_connections(struct httpfault *h);
unsigned httpfault_most_at_once(struct httpfault *h); /* requests that were being answered */
void httpfault_forget(struct httpfault *h);           /* all of these begin anew */

#endif
