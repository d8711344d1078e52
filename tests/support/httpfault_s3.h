/*
 * httpfault_s3.h - what an S3 server answers to one request: a function of the request and the memory.
 *
 * Knows no sockets and no faults; httpfault.c has them.
 */
#ifndef TESTS_SUPPORT_HTTPFAULT_S3_H
#define TESTS_SUPPORT_HTTPFAULT_S3_H

#include "tests/support/httpfault.h"

struct s3_request {
    const char *method;
    const char *path;  /* undecoded, without query, with the bucket in front: "/backups/packs/a" */
    const char *query; /* undecoded, "" when there is none */
    const char *headers; /* "\r\nname: value\r\n..." with names in lower case */
    struct buf body;
};

struct s3_reply {
    int status;
    struct buf headers; /* "Name: value\r\n" each */
    struct buf body;
    bool head; /* the body is for its length only */
};

/* The value of a header, copied; false (and "") when there is none. name: in lower case. */
bool s3_header(const struct s3_request *r, const char *name, char *ret, size_t size);

void s3_error(struct s3_reply *reply, int status, const char *code, const char *more);

/* bucket finds the memory of a name, or NULL. */
void s3_answer(const struct httpfault_kind *kind, const struct s3_request *r,
               struct memory *(*bucket)(void *arg, const char *name), void *arg,
               struct s3_reply *reply);

void s3_reply_fini(struct s3_reply *reply);

#endif
