/*
 * bucket.h - the place "bucket": one small object per key in one declared bucket.
 *
 * "leases/KEY" is changed by compare-and-set only (store_swap), and never removed: epochs would begin
 * again. In a name '_' and two hex digits stand for what an object may not be called.
 *
 * An answer may be lost after the effect, and some stores tell a loser of a race 500 instead of
 * 412. So whatever comes back that is not a plain yes, the record is read, and the own nonce in it
 * is a yes. HOLD was counted from before the first byte was sent; what is settled late is only
 * believed shorter.
 *
 * The place is gone while its bucket or its region is: nobody renews or takes, the holder stops at HOLD, and
 * a person moves the place.
 */
#ifndef DR_LEASE_BUCKET_H
#define DR_LEASE_BUCKET_H

#include "backup/store/store.h"
#include "dr/lease/record.h"

extern const struct lease_driver lease_bucket;

/* The place that store is, which belongs to it from now on (lease_place_fini() closes it). */
void lease_bucket_place(struct store *store, struct lease_place *ret);

/* "bucket 'eu' in region 'eu-west-1'". The caller frees. */
char *lease_bucket_tell(const struct lease_place *p) DR_MUST_USE;

/* A bucket that several places share; the last one closes it. */
struct lease_shared *lease_shared_take(struct lease_shared *s); /* NULL stays NULL */
void lease_shared_drop(struct lease_shared *s);                 /* NULL is fine */

#endif
