/*
 * row.h - what one site says about itself: made, signed, read, believed or not.
 *
 * The object status/SITE.json has two lines (backup/format/signed.h). Its body:
 *
 *     format "drctl-status-row", version 1, needs []
 *     site region host drctl     whose row it is, from which host and version
 *     repository                 of the bucket it lies in: a row does not count in another
 *     seq                        grows with each row of a site: milliseconds of its wall clock, or one more
 *     written_at interval_s
 *     jobs[]                     as the scheduler says
 *     probes[]                   name state last_good first_bad why
 *     measures[]                 of restores (backup/work/measure.h), the newest
 *     runs[]                     not over, whose journals lie there
 *     cut                        true when something was left out, since the object had become too large
 *
 * Everything but row_gather() is pure.
 */
#ifndef DR_STATUS_ROW_H
#define DR_STATUS_ROW_H

#include "backup/format/keys.h"
#include "dr/config/config.h"
#include "dr/data/json.h"

#define ROW_PREFIX "status/"

enum { ROW_SIZE_MAX = 60 << 10, ROW_SITE_MAX = 100 };

struct row_wish {
    const struct config *config;
    const char *site, *version;
    const json_t *jobs; /* or NULL */
    int64_t seq;
};

/* The body without `repository`, from the files of this host. A new reference. */
json_t *row_gather(const struct row_wish *wish) DR_MUST_USE;

/* The runs of this host that are not over, as in the view. A new reference. */
json_t *row_runs(const struct config *c) DR_MUST_USE;

/* Append the signed object. repository may be NULL: a copy that is for this host alone. Leaves out what makes it
 * larger than ROW_SIZE_MAX. */
void row_encode(const json_t *body, const char *repository, const struct keys *signer,
                struct buf *out);

/* "status/SITE.json". The caller frees. */
char *row_name(const char *site) DR_MUST_USE;

struct row {
    json_t *body; /* owned */
    char writer[KEYS_TEXT_MAX];
    const char *site; /* of the body */
    int64_t seq, written_ns;
};
void row_fini(struct row *r);

struct row_reading {
    const struct config *config; /* trusted_writers */
    const char *own_key;         /* of this host, or "" */
    const char *repository;      /* NULL: not looked at */
};

/* name: of the object; NULL: of no bucket, so it may be of any site. DR_E_CORRUPT: damaged, or not signed. DR_E_REFUSED: by a key that nobody trusts, or of another
 * repository, or under another site's name. */
enum dr_rc row_read(const char *name, const struct buf *object, const struct row_reading *how,
                    struct row *ret, struct dr_err *err) DR_MUST_USE;

#endif
