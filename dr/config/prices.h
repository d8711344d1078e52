/*
 * prices.h - what the stores charge, as a person wrote it down: the block `prices:`.
 *
 *     prices:
 *       currency: USD
 *       tariffs:
 *         - {region: us-east-1, put_per_1000: 0.005, list_per_1000: 0.005, get_per_1000: 0.0004,
 *            storage_per_gb_month: 0.023, egress_per_gb: 0.09}
 *         - {host: s3.ap.example.net, storage_per_gb_month: 0.006, egress_per_gb: 0}
 *         - {bucket: eu, storage_per_gb_month: 0.0245}
 *
 * A tariff is of one bucket, of one host (that of the url's endpoint, or a name above it; a bucket of AWS
 * itself is at amazonaws.com), or of one region. Of those that fit a bucket the first kind in this order
 * counts, whole. What a tariff does not say is not known, which is another thing than 0. A GB is 2^30
 * bytes, as on most bills; HEAD costs what GET costs, and deleting nothing. Included by config.h: callers
 * need only that.
 */
#ifndef DR_CONFIG_PRICES_H
#define DR_CONFIG_PRICES_H

#include "dr/base/base.h"

/* Of the currency's unit so many billionths. */
struct config_amount {
    bool known;
    int64_t nano;
};

struct config_tariff {
    char *bucket, *host, *region;         /* exactly one of them */
    struct config_amount put, get, list;  /* 1,000 requests */
    struct config_amount storage, egress; /* a GB for a month; a GB read */
};

struct config_prices {
    char *currency; /* as it is printed; NULL: there is no such block */
    struct config_tariff *tariffs;
    size_t tariff_count;
};

struct config_bucket;

/* The tariff of a bucket, borrowed; NULL: nothing is known. */
const struct config_tariff *config_tariff(const struct config_prices *p,
                                          const struct config_bucket *b);

#endif
