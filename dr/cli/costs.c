/*
 * costs.c - counts into JSON, and counts times prices.
 *
 * An amount is a number of billionths of the currency, and one that is not known makes the sum "at least".
 */
#include "dr/cli/costs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/duration.h"

enum { PER_REQUESTS = 1000, AMOUNT_TEXT_MAX = 40 };

static const int64_t nano = 1000000000;

/* -- of one run -------------------------------------------------------------------------------- */

static void put_counts(json_t *o, const struct store_counts *n)
{
    json_put_int(o, "put", (int64_t)n->puts);
    json_put_int(o, "get", (int64_t)n->gets);
    json_put_int(o, "list", (int64_t)n->lists);
    json_put_int(o, "head", (int64_t)n->heads);
    json_put_int(o, "delete", (int64_t)n->removes);
    json_put_int(o, "retries", (int64_t)n->retries);
    json_put_int(o, "bytes_up", (int64_t)n->bytes_out);
    json_put_int(o, "bytes_down", (int64_t)n->bytes_in);
}

json_t *costs_json(const struct costs *c)
{
    json_t *array = json_array();
    for (size_t i = 0; i < c->count; i++) {
        json_t *o = json_object();
        json_put_text(o, "bucket", c->rows[i].bucket);
        put_counts(o, &c->rows[i].n);
        cli_json_add(array, o);
    }
    return array;
}

static bool is_far(const struct config_bucket *b)
{
    return !text_starts(b->url, "file:");
}

uint64_t costs_far(const struct data *d, const struct costs *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->count; i++)
        if (is_far(&d->config->buckets[i])) /* in their order */
            sum += costs_requests(&c->rows[i].n);
    return sum;
}

json_t *data_costs_json(struct data *d)
{
    DR_CLEANUP(costs_fini) struct costs c = { 0 };
    data_costs(d, &c);
    return costs_json(&c);
}

uint64_t data_costs_far(const struct data *d)
{
    DR_CLEANUP(costs_fini) struct costs c = { 0 };
    costs_now(d->repo, &c);
    costs_less(&c, &d->told);
    return costs_far(d, &c);
}

/* -- money --------------------------------------------------------------------------------------- */

struct bill { /* of one bucket, for a month */
    const struct config_bucket *bucket;
    bool priced; /* there is a tariff */
    struct costs_month requests;
    struct config_amount put, get, list, storage, egress;
    int64_t sum;
    bool whole, some; /* every part of it is known; one at least */
};

static struct config_amount times(const struct config_amount *price, bool known, uint64_t n,
                                  double unit)
{
    double cost = (double)n / unit * (double)price->nano;
    bool fits = cost < 9e18;
    return (struct config_amount){ .known = price->known && known && fits,
                                   .nano = fits ? (int64_t)(cost + 0.5) : 0 };
}

static void add_up(struct bill *b)
{
    const struct config_amount *parts[] = { &b->put, &b->get, &b->list, &b->storage, &b->egress };
    b->whole = true;
    for (size_t i = 0; i < DR_ARRAY_LEN(parts); i++) {
        b->whole &= parts[i]->known;
        b->some |= parts[i]->known;
        if (parts[i]->known && parts[i]->nano <= INT64_MAX - b->sum)
            b->sum += parts[i]->nano;
    }
}

static struct bill bill_of(const struct costs_view *v, size_t at)
{
    const double gb = 1024.0 * 1024 * 1024;
    const struct config *c = v->data->config;
    const struct stats_bucket *lies = at < v->stats->bucket_count ? &v->stats->buckets[at] : NULL;
    struct bill b = { .bucket = &c->buckets[at] };
    const struct config_tariff *t = config_tariff(&c->prices, b.bucket);
    costs_month(v->seen, b.bucket->name, v->now_s, &b.requests);
    b.priced = t != NULL;
    if (t == NULL)
        return b;
    const struct store_counts *n = &b.requests.month;
    bool known = b.requests.projected;
    b.put = times(&t->put, known, n->puts, PER_REQUESTS);
    b.get = times(&t->get, known, n->gets + n->heads, PER_REQUESTS);
    b.list = times(&t->list, known, n->lists, PER_REQUESTS);
    b.storage = times(&t->storage, lies != NULL && lies->open, lies != NULL ? lies->bytes : 0, gb);
    b.egress = times(&t->egress, known, n->bytes_in, gb);
    add_up(&b);
    return b;
}

/* -- for programs ---------------------------------------------------------------------------------- */

/* All digits: "0.005625000". */
static json_t *amount_json(const struct config_amount *a)
{
    char text[AMOUNT_TEXT_MAX];
    if (!a->known)
        return json_null();
    snprintf(text, sizeof(text), "%" PRId64 ".%09" PRId64, a->nano / nano, a->nano % nano);
    return json_string(text);
}

static json_t *verbs_json(const struct costs *c, const char *bucket)
{
    json_t *array = json_array();
    for (size_t i = 0; i < c->count; i++) {
        const struct costs_row *row = &c->rows[i];
        if (strcmp(row->bucket, bucket) != 0)
            continue;
        json_t *o = json_object();
        json_put_text(o, "verb", row->verb);
        put_counts(o, &row->n);
        cli_json_add(array, o);
    }
    return array;
}

static json_t *bill_json(const struct costs_view *v, const struct bill *b)
{
    json_t *o = json_object(), *seen = json_object(), *month = json_object();
    const struct config_amount sum = { .known = b->priced && b->whole, .nano = b->sum };
    json_put_text(o, "bucket", b->bucket->name);
    put_counts(seen, &b->requests.seen);
    json_put(o, "seen", seen);
    json_put(o, "by_verb", verbs_json(v->seen, b->bucket->name));
    put_counts(month, &b->requests.month);
    json_put(o, "month", b->requests.projected ? month : json_null());
    if (!b->requests.projected)
        json_decref(month);
    json_t *cost = json_object();
    json_put(cost, "put", amount_json(&b->put));
    json_put(cost, "get", amount_json(&b->get));
    json_put(cost, "list", amount_json(&b->list));
    json_put(cost, "storage", amount_json(&b->storage));
    json_put(cost, "egress", amount_json(&b->egress));
    json_put(cost, "sum", amount_json(&sum));
    json_put(o, "month_cost", cost);
    return o;
}

json_t *costs_month_json(const struct costs_view *v)
{
    const struct config *c = v->data->config;
    json_t *o = json_object(), *buckets = json_array();
    struct costs_month any;
    costs_month(v->seen, "", v->now_s, &any);
    json_put_int(o, "known_s", any.known_s);
    json_put(o, "currency",
             c->prices.currency != NULL ? json_printable(c->prices.currency) : json_null());
    for (size_t i = 0; i < c->bucket_count; i++) {
        struct bill b = bill_of(v, i);
        cli_json_add(buckets, bill_json(v, &b));
    }
    json_put(o, "buckets", buckets);
    return o;
}

/* -- for people -------------------------------------------------------------------------------------- */

/* Cents; what is less and not nothing is said so. Returns out. */
static const char *amount(char out[AMOUNT_TEXT_MAX], int64_t a)
{
    int64_t cents = (a + nano / 200) / (nano / 100);
    if (a > 0 && cents == 0)
        snprintf(out, AMOUNT_TEXT_MAX, "< 0.01");
    else
        snprintf(out, AMOUNT_TEXT_MAX, "%" PRId64 ".%02" PRId64, cents / 100, cents % 100);
    return out;
}

static void tell_seen(const struct bill *b, const char *within)
{
    const struct store_counts *n = &b->requests.seen;
    char up[32], down[32];
    printf("bucket %s: %s: %" PRIu64 " PUT, %" PRIu64 " GET, %" PRIu64 " LIST, %" PRIu64
           " HEAD, %" PRIu64 " DELETE",
           b->bucket->name, within, n->puts, n->gets, n->lists, n->heads, n->removes);
    if (n->retries > 0)
        printf(" (%" PRIu64 " of them repetitions)", n->retries);
    printf("; %s up, %s down\n", text_size(up, sizeof(up), n->bytes_out),
           text_size(down, sizeof(down), n->bytes_in));
}

static void tell_part(const char *what, const struct config_amount *a)
{
    char text[AMOUNT_TEXT_MAX];
    printf(", %s %s", what, a->known ? amount(text, a->nano) : "not known");
}

static void tell_bill(const struct costs_view *v, const struct bill *b)
{
    const struct store_counts *n = &b->requests.month;
    char text[AMOUNT_TEXT_MAX];
    printf("bucket %s: a month", b->bucket->name);
    if (b->requests.projected)
        printf(" at this rate: %" PRIu64 " PUT, %" PRIu64 " GET and HEAD, %" PRIu64 " LIST",
               n->puts, n->gets + n->heads, n->lists);
    else
        printf(": requests not known yet");
    if (!b->some) {
        printf("; its cost is not known%s\n",
               b->priced ? " yet" : ": no price in the configuration");
        return;
    }
    printf("; %s%s %s", b->whole ? "" : "at least ", amount(text, b->sum),
           v->data->config->prices.currency);
    tell_part("PUT", &b->put);
    tell_part("GET", &b->get);
    tell_part("LIST", &b->list);
    tell_part("storage", &b->storage);
    tell_part("egress", &b->egress);
    putchar('\n');
}

void costs_month_tell(const struct costs_view *v)
{
    const struct config *c = v->data->config;
    struct costs_month any;
    char known[DURATION_TEXT_MAX], within[DURATION_TEXT_MAX + 64];
    costs_month(v->seen, "", v->now_s, &any);
    duration_tell(any.known_s / 60 * 60 * 1000, known);
    snprintf(within, sizeof(within), "in %d days", COSTS_MONTH_DAYS);
    if (any.known_s < (int64_t)COSTS_MONTH_DAYS * 24 * 60 * 60)
        snprintf(within, sizeof(within), "in %d days, of which %s are known", COSTS_MONTH_DAYS,
                 known);
    for (size_t i = 0; i < c->bucket_count; i++) {
        struct bill b = bill_of(v, i);
        if (!b.priced && !is_far(b.bucket))
            continue;
        tell_seen(&b, within);
        tell_bill(v, &b);
    }
}
