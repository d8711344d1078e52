/*
 * holdings.h - which snapshots of a source there are, and in which buckets: the arithmetic of "if it died now".
 *
 *               us      eu      ap          A snapshot counts for some set of buckets when one of them
 *     app-3     whole   -       whole       has its signed object, and those of them that have it
 *     app-2     whole   whole   -           lack no pack together. The newest that counts for the
 *     app-1     whole   whole   whole       buckets outside a region is what is left when it dies.
 *
 * Newest is by (epoch, end); what was taken under an older epoch after a newer one had begun does not count
 * (a fenced writer). Pure: of the answers of look.h and of nothing else.
 */
#ifndef DR_STATUS_HOLDINGS_H
#define DR_STATUS_HOLDINGS_H

#include "dr/base/base.h"
#include "dr/data/json.h"

struct holding {
    const char *id, *kind, *class; /* borrowed from the answers */
    int64_t epoch, start_ns, end_ns, bytes, proved_ns;
    const json_t **in; /* by bucket: what its answer says of it, or NULL; owned */
};

struct holdings {
    struct holding *items; /* newest last */
    size_t count, buckets;
};
void holdings_fini(struct holdings *h);

/* ours: by bucket, whether its answer counts. */
void holdings_read(const json_t *looks, const bool *ours, const char *source, struct holdings *ret);

/* The newest that is complete in the union of these buckets; NULL: none is. */
const struct holding *holdings_newest(const struct holdings *h, const bool *allowed);

/* Has the bucket all of it? */
bool holding_is_whole_in(const struct holding *one, size_t bucket);

#endif
