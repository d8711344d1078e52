/*
 * drill_rights.c - announce, ask, record; and take away what should never have been possible.
 */
#include "dr/drill/drill_rights.h"

#include <string.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/config/rights.h"
#include "dr/drill/drill_ask.h"

enum { TRY_MS = 60 * 1000, REMOVE_MS = 60 * 1000, NONCE_BYTES = 8 };

/* One host at which it is tried. */
struct trial {
    struct run *r;
    const char *at;           /* name of its site, or "" */
    char *object;             /* owned */
    struct text_list buckets; /* those that were announced */
    json_t *items;            /* of all hosts; borrowed */
};

static void trial_fini(struct trial *t)
{
    free(t->object);
    text_list_fini(&t->buckets);
}

static const char *text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t != NULL ? t : "";
}

static json_t *thing_of(const struct trial *t, const char *bucket)
{
    DR_FREE char *name = dr_strf("%s/%s", bucket, t->object);
    json_t *o = json_object();
    json_put_text(o, "what", "object");
    json_put(o, "at", json_printable(t->at));
    json_put(o, "name", json_printable(name));
    return o;
}

/* A bucket has a right to try only when it is declared, and is not asked in the dark. */
static bool is_tried(const struct run *r, const struct config_bucket *b)
{
    const char *failed = engine_state(r->engine)->failed;
    bool dark = failed != NULL && b->region != NULL && strcmp(failed, b->region) == 0;
    return config_bucket_drills(b) && !text_starts(b->url, "file:") && !dark;
}

static enum dr_rc announce(struct trial *t, struct dr_err *err)
{
    const struct config *c = t->r->config;
    for (size_t i = 0; i < c->bucket_count; i++) {
        if (!is_tried(t->r, &c->buckets[i]))
            continue;
        text_list_add(&t->buckets, c->buckets[i].name);
        DR_TRY(engine_note(t->r->engine, "made", thing_of(t, c->buckets[i].name), err));
    }
    return DR_OK;
}

/* What was announced, and of which nobody can say what became of it. */
static void put_unknown(struct trial *t, const char *why)
{
    for (size_t i = 0; i < t->buckets.count; i++) {
        json_t *o = json_object();
        json_put_text(o, "what", "bucket");
        json_put(o, "name", json_printable(t->buckets.items[i]));
        json_put(o, "own", json_true());
        json_put_text(o, "writes", "unknown");
        json_put(o, "why", json_printable(why));
        json_put(o, "at", json_printable(t->at));
        json_array_append_new(t->items, o);
    }
}

static void ask(struct trial *t)
{
    struct step_outcome o = { 0 };
    struct dr_err err = { 0 };
    DR_JSON json_t *with = json_object();
    json_t *buckets = json_array();
    for (size_t i = 0; i < t->buckets.count; i++)
        json_array_append_new(buckets, json_printable(t->buckets.items[i]));
    if (t->at[0] != '\0')
        json_put_text(with, "at", t->at);
    json_put_text(with, "object", t->object);
    json_put(with, "buckets", buckets);
    const struct drill_ask a = { .config = t->r->config,
                                 .run = t->r->id,
                                 .type = "drill.rights",
                                 .verb = "apply",
                                 .with = with,
                                 .dark = engine_state(t->r->engine)->failed,
                                 .timeout_ms = TRY_MS };
    bool told = drill_ask(&a, &o, &err) == DR_OK && o.verdict == STEP_PASS;
    const json_t *items = json_object_get(o.outputs, "items");
    for (size_t i = 0; told && i < json_array_size(items); i++) {
        json_t *item = json_deep_copy(json_array_get(items, i));
        json_put(item, "at", json_printable(t->at));
        json_array_append_new(t->items, item);
    }
    if (!told)
        put_unknown(t, o.why != NULL ? o.why : err.msg);
    step_outcome_fini(&o);
}

/* What was refused, or not even tried, never was there. */
static enum dr_rc note_refused(const struct trial *t, struct dr_err *err)
{
    for (size_t i = 0; i < json_array_size(t->items); i++) {
        const json_t *item = json_array_get(t->items, i);
        const char *writes = text(item, "writes");
        bool never = strcmp(writes, "refused") == 0 || strcmp(writes, "not tried") == 0;
        if (!never || strcmp(text(item, "what"), "bucket") != 0 ||
            strcmp(text(item, "at"), t->at) != 0 || !text_list_has(&t->buckets, text(item, "name")))
            continue;
        json_t *b = thing_of(t, text(item, "name"));
        json_put(b, "ok", json_true());
        json_put(b, "why",
                 json_printable(strcmp(writes, "refused") == 0 ? "never made: the bucket refused it"
                                                               : "never made: it was not tried"));
        DR_TRY(engine_note(t->r->engine, "cleaned", b, err));
    }
    return DR_OK;
}

enum dr_rc drill_rights(struct run *r, struct dr_err *err)
{
    DR_FREE char *here = drill_host_site(r->config, NULL);
    DR_FREE char *there = drill_host_site(r->config, engine_state(r->engine)->target);
    const char *const hosts[] = { here, there };
    struct trial trials[DR_ARRAY_LEN(hosts)] = { 0 };
    size_t count = strcmp(here, there) == 0 ? 1 : 2;
    enum dr_rc rc = DR_OK;
    json_t *items = json_array();
    for (size_t i = 0; rc == DR_OK && i < count; i++) {
        uint8_t nonce[NONCE_BYTES];
        char hex[2 * NONCE_BYTES + 1];
        random_bytes(nonce, sizeof(nonce));
        trials[i] = (struct trial){ .r = r, .at = hosts[i], .items = items };
        trials[i].object = dr_strf("rehearsal-%s", hex_encode(nonce, sizeof(nonce), hex));
        rc = announce(&trials[i], err);
        if (rc == DR_OK)
            ask(&trials[i]);
    }
    json_t *body = json_object();
    json_put(body, "items", items);
    json_incref(body);
    if (rc == DR_OK)
        rc = engine_note(r->engine, "credentials", body, err);
    else
        json_decref(body);
    for (size_t i = 0; i < count; i++) {
        if (rc == DR_OK)
            rc = note_refused(&trials[i], err);
        trial_fini(&trials[i]);
    }
    json_decref(body);
    return rc;
}

bool drill_rights_remove(const struct config *c, const char *run, const json_t *thing,
                         char **ret_why)
{
    struct step_outcome o = { 0 };
    struct dr_err err = { 0 };
    DR_JSON json_t *with = json_object();
    const char *name = text(thing, "name"), *at = text(thing, "at");
    size_t len = strcspn(name, "/");
    DR_FREE char *bucket = dr_memdup(name, len);
    if (at[0] != '\0')
        json_put_text(with, "at", at);
    json_put_text(with, "bucket", bucket);
    json_put_text(with, "object", name[len] == '/' ? name + len + 1 : "");
    const struct drill_ask a = { .config = c,
                                 .run = run,
                                 .type = "drill.rights",
                                 .verb = "undo",
                                 .with = with,
                                 .timeout_ms = REMOVE_MS };
    bool gone = drill_ask(&a, &o, &err) == DR_OK && o.verdict == STEP_PASS;
    *ret_why = dr_strdup(o.why != NULL ? o.why : err.msg);
    step_outcome_fini(&o);
    return gone;
}
