/*
 * s3ask.h - one signed S3 request past all drivers: what tests prepare and look at servers with.
 *
 *     struct s3ask a = { .endpoint = "http://127.0.0.1:7480", .access_key = ..., .secret_key = ... };
 *     int status = s3ask(&a, "GET /backups?list-type=2&prefix=packs%2F", &reply);
 *
 * Nothing is repeated, nothing is followed, no proxy is asked.
 */
#ifndef TESTS_SUPPORT_S3ASK_H
#define TESTS_SUPPORT_S3ASK_H

#include "dr/base/buf.h"

struct s3ask {
    const char *endpoint;                /* without a slash at the end */
    const char *access_key, *secret_key; /* NULL: unsigned */
    const char *header;                  /* one more, or NULL */
    const char *body;                    /* text, or NULL */
};

/*
 * The status; -1 when no whole answer came within 30 s. what: method, blank, path from the bucket on; query
 * sorted and encoded, a parameter without a value as "versioning=". The answer's body is appended to reply,
 * which may be NULL.
 */
int s3ask(const struct s3ask *a, const char *what, struct buf *reply);

#endif
