/*
 * s3_url.h - the url of an S3 bucket, taken apart.
 *
 *     s3://BUCKET[/PREFIX][?endpoint=URL][&style=path|virtual][&region=NAME]
 *
 *     s3://backup-eu                                           AWS, in the bucket's region
 *     s3://backup/drctl?endpoint=https://s3.example.net        a store of one's own
 *     s3://backup?endpoint=http://127.0.0.1:7480&region=default
 *
 * Without an endpoint it is AWS's own of the region, by https, and the bucket's name stands in front
 * of the host (style virtual) unless it has a dot, which no certificate covers. With an
 * endpoint the bucket is the first part of the path, unless style says otherwise. region is the name
 * that signatures carry; it need not be the name of the failure domain in the configuration.
 * Strict: what is not written above is an error, so that a typing error never becomes
 * another place.
 */
#ifndef DR_CONFIG_S3_URL_H
#define DR_CONFIG_S3_URL_H

#include "dr/base/err.h"

struct s3_url {
    char *bucket;
    char *prefix;   /* "" or "some/where/" */
    char *endpoint; /* "https://HOST[:PORT]", or NULL: AWS's */
    char *region;   /* as written, or NULL */
    bool virtual_host;
};

/* DR_E_CONFIG: "'URL' ..." with a hint. The caller finishes ret. */
enum dr_rc s3_url_parse(const char *url, struct s3_url *ret, struct dr_err *err) DR_MUST_USE;
void s3_url_fini(struct s3_url *u);

/* The host of the endpoint, without scheme and port. The caller frees. */
char *s3_url_host(const char *endpoint) DR_MUST_USE;

/* Is this an address (192.0.2.1, [2001:db8::1]) and no name? */
bool s3_url_is_address(const char *host);

/* Do two buckets share objects: the same bucket of the same endpoint, one prefix within the
 * other? */
bool s3_url_overlap(const struct s3_url *a, const struct s3_url *b);

#endif
