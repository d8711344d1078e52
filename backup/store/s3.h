/*
 * s3.h - the driver for a bucket of an S3 store: "s3://BUCKET..." (dr/config/s3_url.h).
 *
 * Requests are signed (Signature Version 4) and carry the real SHA-256 of their body; answers come over
 * kept connections (dr/net/transfer.h), and what may be repeated is, with jitter and within
 * bounds (dr/net/retry.h). What store.h promises is kept so:
 *
 *   put     "If-None-Match: *" where the store honours it (found out once, see below), else HEAD
 *           before PUT. A repetition that is told "exists" reads what is there: if it is ours, it
 *           was our own first attempt, whose answer was lost.
 *   swap    ETags; only where the store was seen to compare them.
 *   lock    with lock_ms each lasting object is put with a retention. Whoever has the keys may still put
 *           another version or a delete marker on top, and then "newest" is theirs: so a
 *           locked bucket is read by its versions, and THE OLDEST VERSION IS THE OBJECT. Names
 *           below pending/, pins/, proofs/ and leases/ come and go: they are never locked, and
 *           their newest version counts.
 *
 * What a store can do is found out when it matters first, by puts of objects whose names begin with a
 * dot (no list shows them), and is remembered for a week in the store's memory directory.
 *
 * Opening asks nothing of the server, except whether it can lock where that is configured; a bucket
 * that is missing is told by the first call. Nothing is ever created but objects.
 */
#ifndef BACKUP_STORE_S3_H
#define BACKUP_STORE_S3_H

#include "backup/store/store.h"

/* The caller closes with store_close(). */
enum dr_rc s3_open(const struct store_options *o, struct store **ret, struct dr_err *err)
    DR_MUST_USE;

#endif
