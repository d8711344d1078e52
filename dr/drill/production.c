/*
 * production.c - the fields of production: where each is read, and how two readings are compared.
 *
 * A reading is a list sorted by name. A name that is in one reading only is a difference, too: the lease
 * that appeared, the backend that is gone.
 */
#include "dr/drill/production.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/config/rights.h"
#include "dr/drill/drill_ask.h"
#include "dr/drill/drill_facts.h"
#include "dr/lease/lease.h"

enum { LOOK_MS = 30 * 1000 };

static const char run_key[] = "run";     /* the drill itself holds it */
static const char turn_key[] = "drill/"; /* whose turn it is to drill: none of production's */

struct reading {
    const struct production_place *p;
    json_t *fields;
};

/* value NULL: unread. */
static void put_field_of(struct reading *r, json_t *o, const char *name, const char *value,
                         const char *note)
{
    json_put(o, "name", json_printable(name));
    json_put(o, "value", value != NULL ? json_printable(value) : json_null());
    if (value == NULL)
        json_put(o, "note", json_printable(note != NULL ? note : "it could not be read"));
    json_array_append_new(r->fields, o);
}

/* None of the fields whose names begin like this could be read: they are unread, and not gone. */
static void put_unread(struct reading *r, const char *name, const char *covers, const char *note)
{
    json_t *o = json_object();
    json_put(o, "covers", json_printable(covers));
    put_field_of(r, o, name, NULL, note);
}

static void put_field(struct reading *r, const char *name, const char *value, const char *note)
{
    put_field_of(r, json_object(), name, value, note);
}

/* -- leases ------------------------------------------------------------------------------------ */

static void put_lease(struct reading *r, const char *key, const char *what, const char *value)
{
    DR_FREE char *name = dr_strf("lease %s %s", key, what);
    put_field(r, name, value != NULL ? value : "", NULL);
}

static void read_lease(struct reading *r, const struct lease_place *place, const char *key)
{
    DR_CLEANUP(lease_record_fini) struct lease_record record = { 0 };
    struct dr_err err = { 0 };
    if (lease_read(place, key, &record, &err) != DR_OK) {
        DR_FREE char *name = dr_strf("lease %s", key);
        DR_FREE char *covers = dr_strf("lease %s ", key);
        put_unread(r, name, covers, err.msg);
        return;
    }
    text_list_sort(&record.fenced);
    DR_FREE char *fenced = text_list_join(&record.fenced, ", ");
    DR_FREE char *epoch = dr_strf("%" PRId64, record.epoch);
    put_lease(r, key, "holder", record.holder);
    put_lease(r, key, "region", record.region);
    put_lease(r, key, "epoch", epoch);
    put_lease(r, key, "granted", record.granted);
    put_lease(r, key, "fenced", fenced);
}

static void read_leases(struct reading *r)
{
    DR_CLEANUP(lease_place_fini) struct lease_place place = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    struct dr_err err = { 0 };
    const struct config reading = config_rehearsing(r->p->config);
    if (lease_place_of(&reading, NULL, &place, &err) != DR_OK ||
        lease_keys(&place, &keys, &err) != DR_OK) {
        put_unread(r, "leases", "lease ", err.msg);
        return;
    }
    for (size_t i = 0; i < keys.count; i++)
        if (strcmp(keys.items[i], run_key) != 0 && !text_starts(keys.items[i], turn_key))
            read_lease(r, &place, keys.items[i]);
}

/* -- traffic ----------------------------------------------------------------------------------- */

/* What a provider tells of the state, and nothing that it tells about itself or about its failure. NULL: it
 * tells nothing. The caller frees. */
static char *state_of(const json_t *evidence)
{
    static const char *const members[] = { "servers", "values", "ttl_s" };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    DR_JSON json_t *state = json_object();
    for (size_t i = 0; i < DR_ARRAY_LEN(members); i++)
        if (json_object_get(evidence, members[i]) != NULL)
            json_put(state, members[i], json_incref(json_object_get(evidence, members[i])));
    if (json_object_size(state) == 0)
        return NULL;
    json_add_canonical(&out, state);
    return buf_take(&out);
}

static void read_traffic(struct reading *r, size_t step, const char *label)
{
    const struct script *s = r->p->script;
    struct step_outcome o = { 0 };
    struct dr_err err = { 0 };
    DR_JSON json_t *with = NULL;
    DR_FREE char *name = dr_strf("%s of step %s", label, s->steps[step].id);
    if (drill_resolve(r->p, s->steps[step].with, NULL, &with, &err) != DR_OK) {
        put_field(r, name, NULL, err.msg);
        return;
    }
    if (drill_is_later(with)) {
        put_field(r, name, NULL, "its arguments are known only in the run");
        return;
    }
    const struct drill_ask ask = { .config = r->p->config,
                                   .run = r->p->run,
                                   .type = s->steps[step].type->name,
                                   .verb = "check",
                                   .with = with,
                                   .timeout_ms = LOOK_MS };
    if (drill_ask(&ask, &o, &err) != DR_OK) {
        put_field(r, name, NULL, err.msg);
        return;
    }
    DR_FREE char *state = o.verdict != STEP_UNKNOWN ? state_of(o.evidence) : NULL;
    put_field(r, name, state, o.why);
    step_outcome_fini(&o);
}

/* -- paths and units --------------------------------------------------------------------------- */

/* What is to be looked at at one site. */
struct look {
    const char *site; /* "": here */
    json_t *paths, *units;
};

static void look_fini(struct look *l)
{
    json_decref(l->paths);
    json_decref(l->units);
}

static void add_once(json_t *list, const char *text)
{
    for (size_t i = 0; text != NULL && i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return;
    if (text != NULL && text[0] != '\0')
        json_array_append_new(list, json_printable(text));
}

/* A promotion might be at this site: what would change there. */
static void add_promotion(struct reading *r, size_t step, struct look *l)
{
    DR_JSON json_t *with = NULL;
    struct dr_err err = { 0 };
    const struct config_site *site = config_site(r->p->config, l->site);
    const char *target = site != NULL ? site->region : NULL;
    if (drill_resolve(r->p, r->p->script->steps[step].with, target, &with, &err) != DR_OK) {
        DR_FREE char *name = dr_strf("promotion %s at %s", r->p->script->steps[step].id, l->site);
        put_field(r, name, NULL, err.msg);
        return;
    }
    DR_FREE char *there = drill_site(r->p->config, json_string_value(json_object_get(with, "at")));
    if (strcmp(there, l->site) != 0)
        return;
    if (!drill_is_later(json_object_get(with, "live")))
        add_once(l->paths, json_string_value(json_object_get(with, "live")));
    if (!drill_is_later(json_object_get(with, "unit")))
        add_once(l->units, json_string_value(json_object_get(with, "unit")));
}

static bool is_of_type(const struct reading *r, size_t step, const char *type)
{
    return strcmp(r->p->script->steps[step].type->name, type) == 0;
}

/* What is to be looked at at this site. */
static void fill(struct reading *r, struct look *l)
{
    const struct config *c = r->p->config;
    for (size_t i = 0; i < c->source_count; i++) {
        DR_FREE char *site = drill_site(c, c->sources[i].site);
        if (strcmp(site, l->site) == 0)
            add_once(l->paths, c->sources[i].path);
    }
    for (size_t i = 0; i < r->p->script->step_count; i++)
        if (is_of_type(r, i, "service.promote"))
            add_promotion(r, i, l);
}

/* The fields as the site told them, each with the site's name before it. */
static void take_fields(struct reading *r, const char *site, const json_t *fields)
{
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *f = json_array_get(fields, i);
        const char *name = json_string_value(json_object_get(f, "name"));
        DR_FREE char *full =
            dr_strf("%s%s%s", site, site[0] != '\0' ? ": " : "", name != NULL ? name : "?");
        put_field(r, full, json_string_value(json_object_get(f, "value")),
                  json_string_value(json_object_get(f, "note")));
    }
}

static void read_site(struct reading *r, const char *site)
{
    DR_CLEANUP(look_fini)
    struct look l = { .site = site, .paths = json_array(), .units = json_array() };
    struct step_outcome o = { 0 };
    struct dr_err err = { 0 };
    fill(r, &l);
    if (json_array_size(l.paths) == 0 && json_array_size(l.units) == 0)
        return;
    DR_JSON json_t *with = json_object();
    if (site[0] != '\0')
        json_put_text(with, "at", site);
    json_put(with, "paths", json_incref(l.paths));
    json_put(with, "units", json_incref(l.units));
    const struct drill_ask ask = { .config = r->p->config,
                                   .run = r->p->run,
                                   .type = "drill.look",
                                   .verb = "check",
                                   .with = with,
                                   .timeout_ms = LOOK_MS };
    DR_FREE char *name = dr_strf("%s: paths and units", site);
    DR_FREE char *covers = dr_strf("%s: ", site);
    if (drill_ask(&ask, &o, &err) != DR_OK)
        put_unread(r, name, covers, err.msg);
    else if (o.verdict != STEP_PASS)
        put_unread(r, name, covers, o.why);
    else
        take_fields(r, site, json_object_get(o.outputs, "fields"));
    step_outcome_fini(&o);
}

static void read_sites(struct reading *r)
{
    const struct config *c = r->p->config;
    DR_CLEANUP(text_list_fini) struct text_list done = { 0 };
    DR_FREE char *here = drill_site(c, NULL);
    text_list_add(&done, here);
    for (size_t i = 0; i < c->site_count; i++)
        if (!text_list_has(&done, c->sites[i].name))
            text_list_add(&done, c->sites[i].name);
    for (size_t i = 0; i < done.count; i++)
        read_site(r, done.items[i]);
}

/* -- all of it --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    return strcmp(json_string_value(json_object_get(*x, "name")),
                  json_string_value(json_object_get(*y, "name")));
}

static json_t *sorted(const json_t *fields)
{
    size_t count = json_array_size(fields);
    json_t *out = json_array();
    DR_FREE json_t **items = dr_alloc(count > 0 ? count : 1, sizeof(json_t *));
    for (size_t i = 0; i < count; i++)
        items[i] = json_array_get(fields, i);
    qsort(items, count, sizeof(json_t *), by_name);
    for (size_t i = 0; i < count; i++)
        json_array_append(out, items[i]);
    return out;
}

json_t *production_read(const struct production_place *p)
{
    struct reading r = { .p = p, .fields = json_array() };
    read_leases(&r);
    for (size_t i = 0; i < p->script->step_count; i++) {
        if (is_of_type(&r, i, "haproxy"))
            read_traffic(&r, i, "haproxy");
        if (is_of_type(&r, i, "powerdns"))
            read_traffic(&r, i, "dns");
    }
    read_sites(&r);
    json_t *out = sorted(r.fields);
    json_decref(r.fields);
    return out;
}

/* -- comparing: pure --------------------------------------------------------------------------- */

char *production_digest(const json_t *fields)
{
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    uint8_t digest[HASH_SIZE];
    char *hex = dr_alloc(1, HASH_HEX_SIZE);
    json_add_canonical(&text, fields);
    hash_bytes(text.data, text.len, digest);
    return hex_encode(digest, sizeof(digest), hex);
}

static json_t *body_of(const char *when, const json_t *fields)
{
    json_t *b = json_object();
    DR_FREE char *digest = production_digest(fields);
    json_put_text(b, "when", when);
    json_put(b, "fields", json_deep_copy(fields));
    json_put_text(b, "digest", digest);
    return b;
}

json_t *production_before(const json_t *fields)
{
    return body_of("before", fields);
}

static const json_t *find(const json_t *fields, const char *name)
{
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *f = json_array_get(fields, i);
        if (strcmp(json_string_value(json_object_get(f, "name")), name) == 0)
            return f;
    }
    return NULL;
}

struct comparison {
    json_t *differs, *unread;
};

/* Not in this reading because what it is one of could not be read; that one is told as unread. */
static bool is_covered(const json_t *fields, const char *name)
{
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const char *covers =
            json_string_value(json_object_get(json_array_get(fields, i), "covers"));
        if (covers != NULL && text_starts(name, covers))
            return true;
    }
    return false;
}

/* One field of either reading; b or a is NULL where it is missing. */
static void compare(struct comparison *c, const char *name, const json_t *b, const json_t *a)
{
    const char *before = json_string_value(json_object_get(b, "value"));
    const char *after = json_string_value(json_object_get(a, "value"));
    bool unread = (b != NULL && before == NULL) || (a != NULL && after == NULL);
    if (unread) {
        json_array_append_new(c->unread, json_printable(name));
        return;
    }
    if (before != NULL && after != NULL && strcmp(before, after) == 0)
        return;
    json_t *o = json_object();
    json_put(o, "name", json_printable(name));
    json_put(o, "before", before != NULL ? json_printable(before) : json_null());
    json_put(o, "after", after != NULL ? json_printable(after) : json_null());
    json_array_append_new(c->differs, o);
}

json_t *production_after(const json_t *before, const json_t *after, enum production_proof *ret)
{
    struct comparison c = { .differs = json_array(), .unread = json_array() };
    for (size_t i = 0; i < json_array_size(before); i++) {
        const json_t *f = json_array_get(before, i);
        const char *name = json_string_value(json_object_get(f, "name"));
        const json_t *then = find(after, name);
        if (then != NULL || json_object_get(f, "covers") != NULL || !is_covered(after, name))
            compare(&c, name, f, then);
    }
    for (size_t i = 0; i < json_array_size(after); i++) {
        const json_t *f = json_array_get(after, i);
        const char *name = json_string_value(json_object_get(f, "name"));
        if (find(before, name) == NULL &&
            (json_object_get(f, "covers") != NULL || !is_covered(before, name)))
            compare(&c, name, NULL, f);
    }
    bool differs = json_array_size(c.differs) > 0;
    bool unread = json_array_size(c.unread) > 0 || before == NULL;
    *ret = differs ? PRODUCTION_DIFFERS : unread ? PRODUCTION_NOT_MEASURED : PRODUCTION_EQUAL;
    json_t *b = body_of("after", after);
    json_put(b, "equal", differs ? json_false() : unread ? json_null() : json_true());
    json_put(b, "differs", c.differs);
    json_put(b, "unread", c.unread);
    return b;
}
