/*
 * report_drill.c - what a drill adds to the report of a run: what was rehearsed otherwise than in earnest,
 * what was planted and caught, what was made and cleaned away, and what production was like around it.
 *
 * A record that is not there leaves null or an empty list behind: a drill that planted nothing has no
 * power, and one that compared nothing has no production.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/ledger_work.h"
#include "dr/proof/report_work.h"

static bool is(const char *text, const char *word)
{
    return text != NULL && strcmp(text, word) == 0;
}

static json_t *copy_of(const json_t *from, const char *const *keys, size_t count)
{
    json_t *one = json_object();
    for (size_t i = 0; i < count; i++)
        report_copy(one, keys[i], from, keys[i]);
    return one;
}

/* --- what differs --- */

static char *why_differs(const char *how, const char *scratch)
{
    if (is(how, "simulate"))
        return dr_strdup("it would change production: what it would do was said, and nothing done");
    if (is(how, "isolated"))
        return scratch != NULL ? dr_strf("done below %s, and not where production looks", scratch)
                               : dr_strdup("done where production does not look");
    if (is(how, "not measured"))
        return dr_strdup("it comes after a simulated switch and would look at production");
    if (is(how, "skip"))
        return dr_strdup("the plan says so");
    if (is(how, "with"))
        return dr_strdup("done in earnest, on arguments of the drill");
    return NULL;
}

static json_t *differs_of(const json_t *start)
{
    json_t *list = json_array();
    size_t i;
    const json_t *step;
    json_array_foreach(json_object_get(start, "steps"), i, step)
    {
        const char *how = body_text(step, "drill");
        if (how == NULL || is(how, "run"))
            continue;
        DR_FREE char *why = why_differs(how, body_text(start, "scratch"));
        json_t *one = json_object();
        report_copy(one, "step", step, "id");
        report_copy(one, "how", step, "drill");
        report_put_text(one, "why", why);
        json_array_append_new(list, one);
    }
    return list;
}

/* --- what was planted --- */

static json_t *controls_of(const struct timeline *t)
{
    static const char *const keys[] = { "name", "title",    "planted", "caught",
                                        "why",  "expected", "dur_ms" };
    json_t *list = json_array();
    for (size_t i = 0; i < t->records->count; i++)
        if (report_is(&t->records->items[i], "control"))
            json_array_append_new(list,
                                  copy_of(t->records->items[i].body, keys, DR_ARRAY_LEN(keys)));
    return list;
}

static bool has_name(const json_t *list, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i,
                       one) if (name != NULL && is(body_text(one, "name"), name)) return true;
    return false;
}

/* Faults that were announced and of which no record speaks were not caught either. */
static int64_t count_unanswered(const struct timeline *t, const json_t *controls)
{
    int64_t count = 0;
    size_t k;
    const json_t *one;
    for (size_t i = 0; i < t->records->count; i++)
        if (report_is(&t->records->items[i], "planted"))
            json_array_foreach(json_object_get(t->records->items[i].body, "controls"), k, one)
                count += !has_name(controls, body_text(one, "name"));
    return count;
}

static json_t *power_of(const struct timeline *t, const json_t *controls)
{
    int64_t planted = count_unanswered(t, controls), caught = 0;
    size_t i;
    const json_t *one;
    json_array_foreach(controls, i, one)
    {
        planted += body_is(one, "planted");
        caught += body_is(one, "planted") && body_is(one, "caught");
    }
    if (planted == 0)
        return json_null();
    json_t *power = json_object();
    json_put_int(power, "planted", planted);
    json_put_int(power, "caught", caught);
    json_put_int(power, "percent", caught * 100 / planted);
    return power;
}

/* Found, by a record that says what was looked for, and what was there. */
static bool is_found(const json_t *look)
{
    return body_is(look, "ok") && body_text(look, "wanted") != NULL &&
           body_text(look, "found") != NULL;
}

/* What was planted in a source, and what was found of it: the newest look at a restored tree, unless another one, at
 * what a second step restored, found something else. */
static json_t *sentinel_of(const struct timeline *t, const json_t *planted)
{
    static const char *const keys[] = { "source", "nonce", "time", "snapshot", "by" };
    static const char *const found[] = { "wanted", "found", "ok" };
    json_t *one = copy_of(planted, keys, DR_ARRAY_LEN(keys));
    const char *source = body_text(planted, "source");
    const json_t *look = NULL;
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        if (report_is(r, "sentinel") && source != NULL &&
            is(body_text(r->body, "source"), source) && (look == NULL || is_found(look)))
            look = r->body;
    }
    for (size_t i = 0; i < DR_ARRAY_LEN(found); i++)
        report_copy(one, found[i], look, found[i]);
    if (body_is(look, "ok"))
        json_put(one, "ok", json_boolean(is_found(look)));
    return one;
}

static json_t *sentinels_of(const struct timeline *t)
{
    json_t *list = json_array();
    size_t k;
    const json_t *planted;
    for (size_t i = 0; i < t->records->count; i++)
        if (report_is(&t->records->items[i], "planted"))
            json_array_foreach(json_object_get(t->records->items[i].body, "sentinels"), k, planted)
                json_array_append_new(list, sentinel_of(t, planted));
    return list;
}

/* --- production, and what is left --- */

/* Names of the fields that could not be read, and why. */
static json_t *unread_of(const json_t *before, const json_t *after)
{
    const json_t *const looks[] = { before, after };
    static const char *const keys[] = { "name", "note" };
    json_t *list = json_array();
    size_t i;
    const json_t *field;
    for (size_t k = 0; k < DR_ARRAY_LEN(looks); k++)
        json_array_foreach(json_object_get(looks[k], "fields"), i,
                           field) if (!report_has(field, "value") &&
                                      !has_name(list, body_text(field, "name")))
            json_array_append_new(list, copy_of(field, keys, DR_ARRAY_LEN(keys)));
    return list;
}

static const json_t *field_of(const json_t *look, const char *name)
{
    size_t i;
    const json_t *field;
    json_array_foreach(json_object_get(look, "fields"), i,
                       field) if (name != NULL && is(body_text(field, "name"), name)) return field;
    return NULL;
}

static void add_difference(json_t *list, const char *name, const json_t *before,
                           const json_t *after)
{
    if (has_name(list, name) ||
        json_equal(json_object_get(before, "value"), json_object_get(after, "value")))
        return;
    json_t *one = json_object();
    report_put_text(one, "name", name);
    report_copy(one, "before", before, "value");
    report_copy(one, "after", after, "value");
    json_array_append_new(list, one);
}

/* What the later look itself found, and what the fields say that were read in both. */
static json_t *differs_between(const json_t *before, const json_t *after)
{
    const json_t *const looks[] = { before, after };
    const json_t *told = json_object_get(after, "differs");
    json_t *list = json_is_array(told) ? json_deep_copy(told) : json_array();
    size_t i;
    const json_t *field;
    if (json_object_get(before, "fields") == NULL || json_object_get(after, "fields") == NULL)
        return list;
    for (size_t k = 0; k < DR_ARRAY_LEN(looks); k++)
        json_array_foreach(json_object_get(looks[k], "fields"), i, field)
        {
            const char *name = body_text(field, "name");
            const json_t *b = field_of(before, name), *a = field_of(after, name);
            bool read =
                (b == NULL || report_has(b, "value")) && (a == NULL || report_has(a, "value"));
            if (read && name != NULL)
                add_difference(list, name, b, a);
        }
    return list;
}

/* Whoever says "equal" has to have read everything, twice. */
static json_t *equal_of(const json_t *before, const json_t *after, const json_t *differs,
                        const json_t *unread)
{
    const json_t *told = json_object_get(after, "equal");
    if (json_is_false(told) || json_array_size(differs) > 0)
        return json_false();
    bool all = before != NULL && json_array_size(unread) == 0;
    return all && json_is_true(told) ? json_true() : json_null();
}

static json_t *production_of(const struct timeline *t)
{
    const json_t *before = NULL, *after = NULL;
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        if (!report_is(r, "production"))
            continue;
        if (is(body_text(r->body, "when"), "before"))
            before = before != NULL ? before : r->body;
        else
            after = r->body;
    }
    if (before == NULL && after == NULL)
        return json_null();
    json_t *one = json_object();
    json_t *differs = differs_between(before, after);
    json_t *unread = unread_of(before, after);
    json_put(one, "equal", equal_of(before, after, differs, unread));
    json_put(one, "differs", differs);
    json_put_int(one, "fields", (int64_t)json_array_size(json_object_get(before, "fields")));
    json_put(one, "unread", unread);
    report_copy(one, "digest_before", before, "digest");
    report_copy(one, "digest_after", after, "digest");
    return one;
}

static bool same_thing(const json_t *a, const json_t *b)
{
    static const char *const keys[] = { "what", "at", "name" };
    bool same = true;
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        same = same && json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i]));
    return same;
}

/* The newest word on the clean-up of what record `made` announces; NULL: there is none. */
static const json_t *cleaned_body(const struct timeline *t, size_t made)
{
    const struct journal_record *records = t->records->items;
    for (size_t i = t->records->count; i-- > made + 1;)
        if (report_is(&records[i], "cleaned") && same_thing(records[i].body, records[made].body))
            return records[i].body;
    return NULL;
}

static bool was_made(const struct timeline *t, size_t cleaned)
{
    const struct journal_record *records = t->records->items;
    for (size_t i = 0; i < cleaned; i++)
        if (report_is(&records[i], "made") && same_thing(records[i].body, records[cleaned].body))
            return true;
    return false;
}

static void add_thing(json_t *list, const json_t *thing, const json_t *said)
{
    static const char *const keys[] = { "what", "at", "name" };
    json_t *one = copy_of(thing, keys, DR_ARRAY_LEN(keys));
    if (said != NULL && body_is(said, "ok"))
        report_copy(one, "ok", said, "ok");
    if (said != NULL)
        report_copy(one, "why", said, "why");
    else
        json_put_text(one, "why", "no record says that it was removed");
    json_array_append_new(list, one);
}

/* What was made has to have gone; what was found besides, and could not go, is left, too. */
static void put_things(json_t *to, const struct timeline *t)
{
    json_t *cleaned = json_array();
    json_t *left = json_array();
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const json_t *said = cleaned_body(t, i);
        if (report_is(r, "made"))
            add_thing(body_is(said, "ok") ? cleaned : left, r->body, said);
        else if (report_is(r, "cleaned") && !body_is(r->body, "ok") && said == NULL &&
                 !was_made(t, i))
            add_thing(left, r->body, r->body);
    }
    json_put(to, "cleaned", cleaned);
    json_put(to, "leftovers", left);
}

/* What the drill read by. Without a record the list is empty: nobody tried. A later word takes none back. */
static json_t *credentials_of(const struct timeline *t)
{
    static const char *const keys[] = { "what", "name", "store", "at", "own", "writes", "why" };
    json_t *list = json_array();
    size_t i;
    const json_t *item;
    for (size_t k = 0; k < t->records->count; k++)
        if (report_is(&t->records->items[k], "credentials"))
            json_array_foreach(json_object_get(t->records->items[k].body, "items"), i, item)
                json_array_append_new(list, copy_of(item, keys, DR_ARRAY_LEN(keys)));
    return list;
}

static json_t *refused_of(const struct timeline *t)
{
    static const char *const keys[] = { "region", "count", "by" };
    json_t *list = json_array();
    for (size_t i = 0; i < t->records->count; i++)
        if (report_is(&t->records->items[i], "refused"))
            json_array_append_new(list,
                                  copy_of(t->records->items[i].body, keys, DR_ARRAY_LEN(keys)));
    return list;
}

/* --- where the data came to --- */

/* One machine that holds both the source and what was restored from it proves nothing about its loss. */
json_t *report_segregated(const json_t *restored)
{
    size_t i, apart = 0, together = 0;
    const json_t *one;
    const char *host = NULL, *source_host = NULL;
    json_array_foreach(restored, i, one)
    {
        const char *to = body_text(one, "host"), *from = body_text(one, "source_host");
        if (to == NULL || from == NULL)
            continue;
        apart += strcmp(to, from) != 0;
        together += strcmp(to, from) == 0;
        host = to;
        source_host = from;
    }
    DR_FREE char *text = NULL;
    size_t all = json_array_size(restored);
    if (all == 0)
        text = dr_strdup("no evidence for segregated restore: nothing was restored");
    else if (together > 0)
        text = dr_strf("no evidence for segregated restore: %s holds the source, too", host);
    else if (apart < all)
        text = dr_strdup("no evidence for segregated restore: no record says on which hosts the "
                         "source and the restored data lie");
    else
        text = dr_strf("restored on %s, apart from the source on %s", host, source_host);
    json_t *value = json_object();
    json_put(value, "known", json_boolean(all > 0 && apart + together == all));
    json_put(value, "segregated", json_boolean(all > 0 && apart == all));
    report_put_text(value, "text", text);
    return value;
}

/* How long the steps that were not done in earnest took in a real run; null: none is known. */
static json_t *assumed_of(const struct timeline *t)
{
    static const char *const keys[] = { "from", "ms", "what" };
    const struct journal_record *r = ledger_record(t, "assumed");
    return r != NULL ? copy_of(r->body, keys, DR_ARRAY_LEN(keys)) : json_null();
}

json_t *report_drill(const struct timeline *t, const json_t *restored)
{
    const json_t *start = t->records->items[0].body;
    if (!body_is(start, "drill"))
        return json_null();
    json_t *drill = json_object();
    json_t *controls = controls_of(t);
    report_copy(drill, "seed", start, "seed");
    report_copy(drill, "scratch", start, "scratch");
    json_put(drill, "differs", differs_of(start));
    json_put(drill, "assumed", assumed_of(t));
    json_put(drill, "power", power_of(t, controls));
    json_put(drill, "controls", controls);
    json_put(drill, "sentinels", sentinels_of(t));
    json_put(drill, "production", production_of(t));
    put_things(drill, t);
    json_put(drill, "credentials", credentials_of(t));
    json_put(drill, "refused", refused_of(t));
    json_put(drill, "segregated", report_segregated(restored));
    report_drill_verdict(drill, t);
    return drill;
}
