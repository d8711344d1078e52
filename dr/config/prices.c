/*
 * prices.c - the keys of `prices:`, and which tariff is a bucket's.
 *
 * Amounts are decimal text, read exactly: 0.0004 for a thousand requests has no good binary form, and
 * a bill is compared digit by digit.
 */
#include "dr/config/prices.h"

#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"
#include "dr/config/s3_url.h"

enum { CURRENCY_MAX = 8, DIGITS_MAX = 9 };

/* ---- amounts ----------------------------------------------------------------------------------- */

/* "12", "0.0004": at most nine digits on either side of the point. */
static bool parse_amount(const char *text, int64_t *ret_nano)
{
    static const char digits[] = "0123456789";
    size_t whole = strspn(text, digits), part = 0;
    int64_t nano = 0;
    if (whole == 0 || whole > DIGITS_MAX)
        return false;
    if (text[whole] == '.') {
        part = strspn(text + whole + 1, digits);
        if (part == 0 || part > DIGITS_MAX || text[whole + 1 + part] != '\0')
            return false;
    } else if (text[whole] != '\0') {
        return false;
    }
    for (size_t i = 0; i < whole; i++)
        nano = nano * 10 + (text[i] - '0');
    for (size_t i = 0; i < DIGITS_MAX; i++)
        nano = nano * 10 + (i < part ? text[whole + 1 + i] - '0' : 0);
    *ret_nano = nano;
    return true;
}

static void read_amount(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config_amount *a = out;
    char *text = NULL;
    if (!reader_text(r, value, key->text, &text))
        return;
    a->known = parse_amount(text, &a->nano);
    if (!a->known) {
        reader_error(r, value, "amount", "'%s' is no amount of money", text);
        diag_hint(r->d, "write a number such as 0.005; the currency stands once, in 'currency'");
    }
    free(text);
}

#define AMOUNT(key, field)                                                             \
    {                                                                                  \
        key, KEY_OWN, .to = offsetof(struct config_tariff, field), .read = read_amount \
    }

/* ---- the block ----------------------------------------------------------------------------------- */

static void finish_tariff(struct reader *r, struct yaml_node *map, void *out)
{
    (void)out;
    int owners = (yaml_get(map, "bucket", NULL) != NULL) + (yaml_get(map, "host", NULL) != NULL) +
                 (yaml_get(map, "region", NULL) != NULL);
    if (owners != 1) {
        reader_error(r, map, "tariff",
                     owners == 0 ? "a tariff says not whose it is" : "a tariff is of one thing");
        diag_hint(r->d, "one of bucket: NAME, host: NAME, region: NAME");
    }
    if (map->reported || map->count > 1)
        return;
    reader_error(r, map, "tariff", "a tariff without a price");
    diag_hint(r->d, "put_per_1000, get_per_1000, list_per_1000, storage_per_gb_month, "
                    "egress_per_gb");
}

static const struct config_key tariff_keys[] = {
    { "bucket", KEY_NAME, .to = offsetof(struct config_tariff, bucket) },
    { "host", KEY_NAME, .to = offsetof(struct config_tariff, host) },
    { "region", KEY_REGION, .to = offsetof(struct config_tariff, region) },
    AMOUNT("put_per_1000", put),
    AMOUNT("get_per_1000", get),
    AMOUNT("list_per_1000", list),
    AMOUNT("storage_per_gb_month", storage),
    AMOUNT("egress_per_gb", egress),
    { .name = NULL },
};
static const struct config_block tariff = {
    "a tariff",
    tariff_keys,
    sizeof(struct config_tariff),
    KEY_NOWHERE,
    .name_to = KEY_NOWHERE,
    .finish = finish_tariff,
};

/* One word, that stands behind each sum. */
static void finish_prices(struct reader *r, struct yaml_node *map, void *out)
{
    const struct config_prices *p = out;
    struct yaml_node *node = reader_value(map, "currency");
    if (node == NULL || p->currency == NULL)
        return;
    size_t len = strlen(p->currency);
    if (len <= CURRENCY_MAX && text_is_utf8(p->currency, len) &&
        strpbrk(p->currency, " \t\n\r\x1b") == NULL)
        return;
    reader_error(r, node, "currency", "'%s' is no currency", node->text);
    diag_hint(r->d, "one short word: EUR");
}

static const struct config_key prices_keys[] = {
    { "currency", KEY_TEXT, .required = true, .to = offsetof(struct config_prices, currency) },
    { "tariffs", KEY_ROWS, .required = true, .to = offsetof(struct config_prices, tariffs),
      .count_to = offsetof(struct config_prices, tariff_count), .block = &tariff },
    { .name = NULL },
};
const struct config_block config_prices_block = { "'prices'", prices_keys,
                                                  sizeof(struct config_prices), .at = KEY_NOWHERE,
                                                  .finish = finish_prices };

/* ---- against the rest of the file ------------------------------------------------------------------ */

static bool same_word(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static bool same_owner(const struct config_tariff *a, const struct config_tariff *b)
{
    return same_word(a->bucket, b->bucket) || same_word(a->host, b->host) ||
           same_word(a->region, b->region);
}

static void check_tariff(struct reader *r, struct yaml_node *node, const struct config *c,
                         size_t at)
{
    const struct config_tariff *t = &c->prices.tariffs[at];
    struct yaml_node *name = reader_value(node, "bucket");
    for (size_t i = 0; i < at; i++)
        if (same_owner(t, &c->prices.tariffs[i])) {
            reader_error(r, node, "same-tariff", "a second tariff of '%s'",
                         t->bucket != NULL ? t->bucket
                         : t->host != NULL ? t->host
                                           : t->region);
            return;
        }
    if (t->bucket == NULL || name == NULL || config_bucket(c, t->bucket) != NULL)
        return;
    DR_FREE const char **names = dr_alloc(c->bucket_count + 1, sizeof(*names));
    size_t count = 0;
    for (size_t i = 0; i < c->bucket_count; i++)
        if (c->buckets[i].name != NULL)
            names[count++] = c->buckets[i].name;
    reader_error(r, name, "unknown-bucket", "no bucket '%s'", t->bucket);
    if (!reader_hint_near(r, t->bucket, names, count))
        diag_hint(r->d, "one of those under 'buckets'");
}

void config_check_prices(struct reader *r, struct yaml_node *root, const struct config *c)
{
    struct yaml_node *node = reader_value(root, "prices");
    struct yaml_node *list =
        node != NULL && node->kind == YAML_MAP ? reader_value(node, "tariffs") : NULL;
    if (list == NULL || list->kind != YAML_LIST)
        return;
    for (size_t i = 0; i < list->count && i < c->prices.tariff_count; i++)
        if (list->items[i]->kind == YAML_MAP && !list->items[i]->reported)
            check_tariff(r, list->items[i], c, i);
}

/* ---- whose ----------------------------------------------------------------------------------------- */

/* The host of its endpoint; NULL: it has none. The caller frees. */
static char *host_of(const char *url)
{
    struct s3_url u;
    struct dr_err ignored = { 0 };
    if (!text_starts(url, "s3:") || s3_url_parse(url, &u, &ignored) != DR_OK)
        return NULL;
    char *host = u.endpoint != NULL ? s3_url_host(u.endpoint) : dr_strdup("amazonaws.com");
    s3_url_fini(&u);
    return host;
}

/* "s3.eu.example.net" is at "example.net". */
static bool is_at(const char *host, const char *name)
{
    size_t len = strlen(host), tail = strlen(name);
    if (len < tail || strcmp(host + len - tail, name) != 0)
        return false;
    return len == tail || host[len - tail - 1] == '.';
}

const struct config_tariff *config_tariff(const struct config_prices *p,
                                          const struct config_bucket *b)
{
    const struct config_tariff *by_host = NULL, *by_region = NULL;
    DR_FREE char *host = host_of(b->url);
    for (size_t i = 0; i < p->tariff_count; i++) {
        const struct config_tariff *t = &p->tariffs[i];
        if (same_word(t->bucket, b->name))
            return t;
        bool longer = t->host != NULL && by_host != NULL && strlen(t->host) > strlen(by_host->host);
        if (t->host != NULL && host != NULL && is_at(host, t->host) && (by_host == NULL || longer))
            by_host = t;
        if (same_word(t->region, b->region))
            by_region = t;
    }
    return by_host != NULL ? by_host : by_region;
}
