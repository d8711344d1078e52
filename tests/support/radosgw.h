/*
 * radosgw.h - a real S3 store for tests: Ceph's monitor, one OSD in memory, and radosgw.
 *
 *     struct radosgw eu;
 *     assert_true(radosgw_start(&eu, dir, "eu"));              under a second
 *     assert_true(radosgw_make_bucket(&eu, "backups", RADOSGW_PLAIN));
 *     ... s3://backups?endpoint=http://127.0.0.1:PORT, keys of radosgw_owner ...
 *     radosgw_kill(&eu); ... radosgw_again(&eu);               the objects are still there
 *     radosgw_stop(&eu);
 *
 * Each is a region of its own: three processes, free loopback ports, a directory below the test's,
 * no root, no service manager. Any number of them run side by side. They die with the process that
 * started them. A test program starts one and shares it between its facts: a fresh bucket is
 * a request, a fresh region a second.
 *
 * It listens on http and on https; the certificate is its own authority (file ca). Both take path style at
 * 127.0.0.1 and virtual-host style at BUCKET.s3.localhost: libcurl itself takes every name below
 * "localhost" for the loopback address, so no name service and no hosts file is needed.
 *
 * Four users exist from the start. The owner owns every bucket made here. The source is a host
 * that is backed up: it lists, reads, writes, and deletes pendings only. The guard may do everything
 * in the bucket. The drill lists and reads. What they may is the bucket's policy, which radosgw_make_bucket() puts.
 */
#ifndef TESTS_SUPPORT_RADOSGW_H
#define TESTS_SUPPORT_RADOSGW_H

#include <sys/types.h>

#include "dr/base/buf.h"

struct radosgw_user {
    const char *name, *access_key, *secret_key;
};

extern const struct radosgw_user radosgw_owner, radosgw_source, radosgw_guard, radosgw_drill;

struct radosgw {
    char dir[160];
    pid_t mon, osd, rgw; /* 0: not running */
    int mon_port, port, tls_port;
    int64_t deadline_ms;   /* of what is being started */
    char http[48];         /* "http://127.0.0.1:PORT" */
    char https[48];        /* "https://127.0.0.1:PORT" */
    char virtual_http[48]; /* "http://s3.localhost:PORT": buckets are names below it */
    char virtual_https[48];
    char ca[176]; /* file of the certificate to trust */
};

/* Up when it returns: the first signed request was answered, within 60 s. False: the logs were
 * printed, and nothing runs. name: of the directory made below parent. */
bool radosgw_start(struct radosgw *r, const char *parent, const char *name);
void radosgw_stop(struct radosgw *r); /* also after a failure; twice is fine */

/* SIGKILL to the front only: what was answered stays, what was under way may or may not be
 * there. Then the same on the same ports. */
void radosgw_kill(struct radosgw *r);
bool radosgw_again(struct radosgw *r);

enum radosgw_bucket {
    RADOSGW_PLAIN,
    RADOSGW_VERSIONED,
    RADOSGW_LOCKED, /* object lock can be used, hence versioned; no retention of its own */
};

/* A new bucket of the owner, with the policy above; names have three characters or more. False: the
 * server's words were printed. */
bool radosgw_make_bucket(const struct radosgw *r, const char *bucket, enum radosgw_bucket kind)
    DR_MUST_USE;

/* One signed request past all drivers, as s3ask.h says. header, body and reply may be NULL. */
int radosgw_request(const struct radosgw *r, const struct radosgw_user *user, const char *what,
                    const char *header, const char *body, struct buf *reply);

#endif
