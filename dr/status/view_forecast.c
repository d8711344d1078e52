/*
 * How long would a restore of the newest snapshot take? As long as those that were measured, in proportion to
 * their bytes. Few measurements are no distribution: then it is told what they were, and how many. A restore of
 * less than a tenth of the bytes says nothing about the throughput of this one and does not count.
 */
#include <stdlib.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/status/status.h"
#include "dr/status/view.h"

enum { SMALL = 10 };

/* Measurements of this host are in its row as well: each counts once. */
static void add_measures(json_t *all, const json_t *more, const char *source)
{
    for (size_t i = 0; i < json_array_size(more); i++) {
        json_t *one = json_array_get(more, i);
        const char *of = json_string_value(json_object_get(one, "source"));
        bool known = of == NULL || strcmp(of, source) != 0;
        for (size_t k = 0; k < json_array_size(all) && !known; k++)
            known = json_equal(json_array_get(all, k), one);
        if (!known)
            DR_ASSERT(json_array_append(all, one) == 0);
    }
}

static int by_number(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* In seconds, sorted; returns how many. */
static size_t predict(const json_t *all, int64_t bytes, double *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        int64_t had = json_integer_value(json_object_get(one, "bytes"));
        int64_t ms = json_integer_value(json_object_get(one, "ms"));
        if (had <= 0 || ms <= 0 || had < bytes / SMALL)
            continue;
        ret[n++] = (double)ms / 1000 * ((double)bytes / (double)had);
    }
    if (n > 1)
        qsort(ret, n, sizeof(ret[0]), by_number);
    return n;
}

/* Rounded up: a forecast of 0 s is none. */
static json_t *seconds(double s)
{
    return json_integer((json_int_t)s + 1);
}

static json_t *forecast_json(const struct view *v, const char *source, int64_t bytes)
{
    DR_JSON json_t *all = json_array();
    json_t *o = json_object();
    add_measures(all, v->in->measures, source);
    for (size_t i = 0; i < v->in->rows->count; i++)
        add_measures(all, json_object_get(v->in->rows->items[i].body, "measures"), source);
    DR_FREE double *s = dr_alloc(json_array_size(all) + 1, sizeof(s[0]));
    size_t n = predict(all, bytes, s);
    json_put_text(o, "source", source);
    json_put_int(o, "n", (int64_t)n);
    json_put(o, "min_s", n > 0 ? seconds(s[0]) : json_null());
    json_put(o, "median_s", n > 0 ? seconds((s[(n - 1) / 2] + s[n / 2]) / 2) : json_null());
    json_put(o, "max_s", n > 0 ? seconds(s[n - 1]) : json_null());
    const char *note = NULL;
    if (n == 0)
        note = json_array_size(all) > 0 ? "only much smaller restores were measured"
                                        : "no restore of it was measured";
    else if (n < STATUS_MEASURES)
        note = "few measurements: their range is no promise";
    json_put(o, "note", view_text(note));
    return o;
}

json_t *view_forecast(const struct view *v, const json_t *sources)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *source = json_array_get(sources, i);
        const json_t *newest = json_object_get(source, "newest");
        const char *name = json_string_value(json_object_get(source, "name"));
        if (json_is_object(newest))
            DR_ASSERT(json_array_append_new(list, forecast_json(v, name,
                                                                json_integer_value(json_object_get(
                                                                    newest, "bytes")))) == 0);
    }
    return list;
}
