/*
 * bucket.h - a bucket as the configuration describes it, opened.
 *
 * The one place where a row of `buckets:` becomes a store: its secrets are read (and forgotten
 * again), its certificates, retention and region go along, and the addresses of its endpoint are
 * remembered in STATE_DIR/net. By whose right it is opened says dr/config/rights.h. Whoever has a configuration opens buckets here; store_open()
 * is for those who have only a url.
 */
#ifndef BACKUP_STORE_BUCKET_H
#define BACKUP_STORE_BUCKET_H

#include "backup/store/plant.h"
#include "dr/config/config.h"

/* By whose right, and through which door. A zeroed struct is the usual: as source, no door. */
struct bucket_access {
    struct gate *gate;   /* must outlive the store; or NULL */
    bool guard;          /* as the one who may delete and extend locks, where the bucket has one */
    struct plant *plant; /* of a drill: the store lies; must outlive it; or NULL */
};

/* access may be NULL. The caller closes. */
enum dr_rc bucket_open(const struct config *c, const struct config_bucket *b,
                       const struct bucket_access *access, struct store **ret, struct dr_err *err)
    DR_MUST_USE;

#endif
