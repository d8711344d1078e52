/*
 * report_samples.c - the window in which the service failed, as the prober saw it, for a picture.
 *
 * The `recovered` record keeps the prober's lines round the impact (health.h, health_samples). Here their
 * times become distances from the moment it broke; where nobody knows that moment there is no window.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/proof/ledger_work.h"
#include "dr/proof/report_work.h"

static const int64_t MS = 1000000;

/* [ms after the base, 1 pass 0 fail -1 unknown, ms that the answer took] */
static json_t *sample_of(const json_t *point, int64_t shift_ms)
{
    const json_t *ms = json_array_get(point, 0);
    const json_t *result = json_array_get(point, 1);
    const json_t *took = json_array_get(point, 2);
    if (!json_is_integer(ms) || !json_is_integer(result) || !json_is_integer(took))
        return NULL;
    int64_t told = json_integer_value(result);
    json_t *one = json_object();
    json_put_int(one, "at_ms", json_integer_value(ms) + shift_ms);
    json_put(one, "ok", told < 0 ? json_null() : json_boolean(told > 0));
    json_put_int(one, "ms", json_integer_value(took));
    return one;
}

json_t *report_samples(const struct timeline *t, const struct ledger *ledger)
{
    const struct journal_record *r = ledger_record(t, "recovered");
    const json_t *body = r != NULL ? r->body : NULL;
    const json_t *samples = json_object_get(json_object_get(body, "health"), "samples");
    const struct ledger_point *broke = &ledger->broke;
    const char *base = body_text(samples, "base");
    int64_t base_ns;
    if (base == NULL || !time_parse(base, &base_ns) || (!broke->has_to && !broke->has_from))
        return json_null();
    int64_t impact_ns = broke->has_to ? broke->to_ns : broke->from_ns;
    json_t *list = json_array();
    size_t i;
    const json_t *point;
    json_array_foreach(json_object_get(samples, "points"), i, point)
    {
        json_t *one = sample_of(point, (base_ns - impact_ns) / MS);
        if (one != NULL)
            json_array_append_new(list, one);
    }
    if (json_array_size(list) == 0) {
        json_decref(list);
        return json_null();
    }
    return list;
}
