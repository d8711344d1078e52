/*
 * costs.h - requests and money, as verbs tell them.
 *
 * Each run tells what it asked (--json: "requests", a row a bucket; else one number in its last line), and
 * `drctl stats` what the last 30 days were and what a month costs. A directory takes requests as well, but
 * nobody charges for them: in text they are not mentioned, unless there is a price.
 */
#ifndef DR_CLI_COSTS_H
#define DR_CLI_COSTS_H

#include "backup/work/stats.h"
#include "dr/cli/data.h"

/* [{"bucket", "put", "get", "list", "head", "delete", "retries", "bytes_up", "bytes_down"}]. A new reference. */
json_t *costs_json(const struct costs *c);

/* All requests of buckets that are not directories. */
uint64_t costs_far(const struct data *d, const struct costs *c);

/* Both of what data_costs() gives; the number beforehand, and it stays to be told. */
uint64_t data_costs_far(const struct data *d);
json_t *data_costs_json(struct data *d);

/* What `drctl stats` knows of money: what was written down, and what lies in the buckets. */
struct costs_view {
    const struct data *data;
    const struct stats *stats;
    const struct costs *seen; /* of the last 30 days */
    int64_t now_s;
};

/* {"known_s", "currency", "buckets": [...]}: what is not known is null. A new reference. */
json_t *costs_month_json(const struct costs_view *v);

/* The same on stdout; nothing when nothing is known and no price is given. */
void costs_month_tell(const struct costs_view *v);

#endif
