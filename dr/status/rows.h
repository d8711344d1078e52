/*
 * rows.h - of all rows that lie in the buckets, the one of each site that counts; and what was seen before.
 *
 * A row is valid by itself (row.h). Of several valid ones of a site the greatest sequence wins: a bucket that lags
 * costs nothing. Is even that one older than one that was seen here before, all buckets show what was put back:
 * it is shown, and told. What was seen is remembered by site and key, so a host with a new key begins anew.
 *
 *     STATE_DIR/status/seen    {"us ed25519:...": SEQ, ...}
 *     STATE_DIR/status/row     the last row of this host itself, for itself: what it knows when no bucket answers
 */
#ifndef DR_STATUS_ROWS_H
#define DR_STATUS_ROWS_H

#include "dr/status/row.h"

struct rows {
    struct row *items; /* owned; one a site, sorted by its name */
    size_t count;
    json_t *findings; /* owned: refused/SITE and replay/SITE, as in the view */
};
void rows_fini(struct rows *r);

struct rows_from {
    const struct config *config;
    const char *own_key;   /* or "" */
    const json_t *looks;   /* the answers of look.h, by bucket; null where there is none */
    const struct buf *own; /* content of STATE_DIR/status/row, or empty */
};

/* Pure. seen is raised to what was found. */
void rows_choose(const struct rows_from *from, json_t *seen, struct rows *ret);

/* Files of this host. A memory that is not there, or cannot be read as ours, is an empty one. */
json_t *rows_read_seen(const struct config *c) DR_MUST_USE;
enum dr_rc rows_keep_seen(const struct config *c, const json_t *seen, struct dr_err *err)
    DR_MUST_USE;
void rows_read_own(const struct config *c, struct buf *out);
enum dr_rc rows_keep_own(const struct config *c, const json_t *body, const struct keys *signer,
                         struct dr_err *err) DR_MUST_USE;

/* For the next row of this host: greater than that of its last one, and not behind the clock. */
int64_t rows_next_seq(const struct config *c, const char *site);

#endif
