/*
 * Sets of packs are only known by what is missing, which is mostly nothing; a bucket that lacks more than it
 * may name counts as one that has none of the packs.
 */
#include "dr/status/holdings.h"

#include <stdlib.h>
#include <string.h>

#include "dr/base/mem.h"

void holdings_fini(struct holdings *h)
{
    for (size_t i = 0; i < h->count; i++)
        free(h->items[i].in);
    free(h->items);
    *h = (struct holdings){ 0 };
}

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
    const char *value = json_string_value(json_object_get(o, key));
    return value != NULL ? value : "";
}

static struct holding *find(struct holdings *h, const json_t *o)
{
    for (size_t i = 0; i < h->count; i++)
        if (strcmp(h->items[i].id, text(o, "id")) == 0)
            return &h->items[i];
    h->items = dr_realloc(h->items, h->count + 1, sizeof(h->items[0]));
    struct holding *one = &h->items[h->count++];
    *one = (struct holding){ .id = text(o, "id"),
                             .kind = text(o, "kind"),
                             .class = text(o, "class"),
                             .epoch = number(o, "epoch"),
                             .start_ns = number(o, "start_ns"),
                             .end_ns = number(o, "end_ns"),
                             .bytes = number(o, "bytes"),
                             .in = dr_alloc(h->buckets + 1, sizeof(const json_t *)) };
    return one;
}

static int by_age(const void *left, const void *right)
{
    const struct holding *a = left, *b = right;
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    if (a->end_ns != b->end_ns)
        return a->end_ns < b->end_ns ? -1 : 1;
    return strcmp(a->id, b->id);
}

/* Taken by a writer that had been fenced. */
static bool is_of_the_past(const struct holdings *h, const struct holding *one)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->items[i].epoch > one->epoch && one->start_ns > h->items[i].start_ns)
            return true;
    return false;
}

void holdings_read(const json_t *looks, const bool *ours, const char *source, struct holdings *ret)
{
    struct holdings h = { .buckets = json_array_size(looks) };
    for (size_t i = 0; i < h.buckets; i++) {
        const json_t *newest = json_object_get(json_array_get(looks, i), "newest");
        const json_t *list = json_object_get(newest, source);
        for (size_t k = 0; ours[i] && k < json_array_size(list); k++) {
            const json_t *o = json_array_get(list, k);
            struct holding *one = find(&h, o);
            int64_t proved_ns = number(o, "proved_ns");
            one->proved_ns = proved_ns > one->proved_ns ? proved_ns : one->proved_ns;
            one->in[i] = o;
        }
    }
    if (h.count > 1)
        qsort(h.items, h.count, sizeof(h.items[0]), by_age);
    *ret = h;
}

bool holding_is_whole_in(const struct holding *one, size_t bucket)
{
    const json_t *o = one->in[bucket];
    return o != NULL && json_array_size(json_object_get(o, "missing")) == 0 &&
           !json_is_true(json_object_get(o, "too_many"));
}

static bool lacks(const json_t *o, const char *pack)
{
    const json_t *missing = json_object_get(o, "missing");
    if (json_is_true(json_object_get(o, "too_many")))
        return true;
    for (size_t i = 0; i < json_array_size(missing); i++)
        if (strcmp(json_string_value(json_array_get(missing, i)), pack) == 0)
            return true;
    return false;
}

/* Is each pack that this bucket lacks in another of them? */
static bool is_filled_up(const struct holdings *h, const struct holding *one, const bool *allowed,
                         size_t bucket)
{
    const json_t *missing = json_object_get(one->in[bucket], "missing");
    if (json_is_true(json_object_get(one->in[bucket], "too_many")))
        return false;
    for (size_t i = 0; i < json_array_size(missing); i++) {
        const char *pack = json_string_value(json_array_get(missing, i));
        bool found = false;
        for (size_t k = 0; k < h->buckets && !found; k++)
            found = allowed[k] && one->in[k] != NULL && pack != NULL && !lacks(one->in[k], pack);
        if (!found)
            return false;
    }
    return true;
}

const struct holding *holdings_newest(const struct holdings *h, const bool *allowed)
{
    for (size_t i = h->count; i > 0; i--) {
        const struct holding *one = &h->items[i - 1];
        if (is_of_the_past(h, one))
            continue;
        for (size_t k = 0; k < h->buckets; k++)
            if (allowed[k] && one->in[k] != NULL && is_filled_up(h, one, allowed, k))
                return one;
    }
    return NULL;
}
