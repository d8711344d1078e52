/*
 * drill_clean.c - what a drill made is taken away: first by each step's own undo, then the places themselves.
 *
 * The steps' undo knows what it made (a marked restore, a repository of its own), removes only that, and says
 * so. What lies around it in the scratch directory (the controls' own, the marks, the directory) goes
 * afterwards, at every site where something isolated was begun, by a step that can remove nothing
 * but a drill's scratch directory.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/drill/drill.h"
#include "dr/drill/drill_ask.h"
#include "dr/drill/drill_rights.h"

static const char *text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t != NULL ? t : "";
}

static bool is_listed(const json_t *list, const json_t *thing)
{
    static const char *const keys[] = { "what", "at", "name" };
    for (size_t i = 0; i < json_array_size(list); i++) {
        bool same = true;
        for (size_t k = 0; k < DR_ARRAY_LEN(keys); k++)
            same =
                same && strcmp(text(json_array_get(list, i), keys[k]), text(thing, keys[k])) == 0;
        if (same)
            return true;
    }
    return false;
}

/* thing: taken over. */
static void list_once(json_t *list, json_t *thing)
{
    if (is_listed(list, thing))
        json_decref(thing);
    else
        json_array_append_new(list, thing);
}

static json_t *thing_of(const char *what, const char *at, const char *name)
{
    json_t *o = json_object();
    json_put(o, "what", json_printable(what));
    json_put(o, "at", json_printable(at));
    json_put(o, "name", json_printable(name));
    return o;
}

/* Did the plan say, before it began, that this step works in the scratch place? */
static bool is_isolated(const json_t *start, const char *step)
{
    const json_t *steps = json_object_get(start, "steps");
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *s = json_array_get(steps, i);
        if (strcmp(text(s, "id"), step) == 0)
            return strcmp(text(s, "drill"), "isolated") == 0;
    }
    return false;
}

/* An object that is on record as gone is not looked for again: a directory may have been made anew. */
static bool is_gone(const struct journal_records *all, size_t made)
{
    const json_t *b = all->items[made].body;
    bool gone = false;
    for (size_t i = made + 1; i < all->count && strcmp(text(b, "what"), "object") == 0; i++)
        gone = gone || (strcmp(all->items[i].type, "cleaned") == 0 &&
                        json_is_true(json_object_get(all->items[i].body, "ok")) &&
                        strcmp(text(all->items[i].body, "what"), "object") == 0 &&
                        strcmp(text(all->items[i].body, "at"), text(b, "at")) == 0 &&
                        strcmp(text(all->items[i].body, "name"), text(b, "name")) == 0);
    return gone;
}

json_t *drill_manifest(const struct config *c, const struct journal_records *all)
{
    json_t *list = json_array();
    const json_t *start = all->count > 0 ? all->items[0].body : NULL;
    const char *scratch = text(start, "scratch");
    for (size_t i = 0; i < all->count; i++) {
        const struct journal_record *r = &all->items[i];
        if (strcmp(r->type, "made") == 0 && is_gone(all, i))
            continue;
        if (strcmp(r->type, "made") == 0) {
            json_t *thing =
                thing_of(text(r->body, "what"), text(r->body, "at"), text(r->body, "name"));
            if (json_object_get(r->body, "of") != NULL) /* a drill before this one */
                json_put(thing, "of", json_incref(json_object_get(r->body, "of")));
            list_once(list, thing);
        } else if (strcmp(r->type, "intent") == 0 && scratch[0] != '\0' &&
                   is_isolated(start, text(r->body, "step"))) {
            DR_FREE char *site = drill_host_site(c, text(json_object_get(r->body, "with"), "at"));
            list_once(list, thing_of("directory", site, scratch));
        }
    }
    return list;
}

/* A place on the host where the drill began, which no name of a site leads to from here. */
static bool is_of_another_host(const struct run *r, const json_t *thing, char **ret_why)
{
    const char *began = text(engine_state(r->engine)->start, "host");
    DR_FREE char *host = run_host();
    if (text(thing, "at")[0] != '\0' || strcmp(began, host) == 0 || text(thing, "of")[0] != '\0')
        return false; /* those of an earlier drill were taken over where they lie */
    *ret_why = dr_strf("it lies on host %s, which is no site of the configuration", began);
    return true;
}

bool drill_remove(const struct config *c, const char *run, const json_t *thing, char **ret_why)
{
    struct step_outcome o = { 0 };
    struct dr_err err = { 0 };
    DR_JSON json_t *with = json_object();
    const char *of = text(thing, "of")[0] != '\0' ? text(thing, "of") : run;
    if (strcmp(text(thing, "what"), "object") == 0)
        return drill_rights_remove(c, run, thing, ret_why);
    if (strcmp(text(thing, "what"), "directory") != 0) {
        *ret_why = dr_strf("nobody here knows how to remove a %s", text(thing, "what"));
        return false;
    }
    if (text(thing, "at")[0] != '\0')
        json_put(with, "at", json_incref(json_object_get(thing, "at")));
    json_put(with, "scratch", json_incref(json_object_get(thing, "name")));
    json_put_text(with, "run", of);
    const struct drill_ask ask = { .config = c,
                                   .run = of,
                                   .type = "drill.clean",
                                   .verb = "apply",
                                   .with = with,
                                   .timeout_ms = DRILL_CLEAN_MS };
    bool gone = drill_ask(&ask, &o, &err) == DR_OK && o.verdict == STEP_PASS;
    *ret_why = dr_strdup(o.why != NULL ? o.why : err.msg);
    step_outcome_fini(&o);
    return gone;
}

/* Gone, or why not. The caller frees ret_why. */
static bool remove_thing(struct run *r, const json_t *thing, char **ret_why)
{
    return !is_of_another_host(r, thing, ret_why) && drill_remove(r->config, r->id, thing, ret_why);
}

static bool is_on_record(const struct run *r, const json_t *thing)
{
    const struct journal_records *all = journal_all(r->journal);
    DR_JSON json_t *made = json_array();
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->items[i].type, "made") == 0)
            json_array_append(made, all->items[i].body);
    return is_listed(made, thing);
}

static enum dr_rc clean_thing(struct run *r, json_t *thing, struct dr_err *err)
{
    DR_FREE char *why = NULL;
    if (!is_on_record(r,
                      thing)) /* known from an intent: from now on it is listed with the others */
        DR_TRY(engine_note(r->engine, "made", json_deep_copy(thing), err));
    bool gone = remove_thing(r, thing, &why);
    json_t *b = json_deep_copy(thing);
    json_put(b, "ok", json_boolean(gone));
    json_put(b, "why", json_printable(why));
    return engine_note(r->engine, "cleaned", b, err);
}

enum dr_rc drill_clean(struct run *r, struct dr_err *err)
{
    DR_TRY(engine_clean(r->engine, err));
    DR_JSON json_t *list = drill_manifest(r->config, journal_all(r->journal));
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (engine_yields(r->engine))
            return dr_fail(err, DR_E_BUSY, "%s gives way to a run in earnest", r->id);
        DR_TRY(clean_thing(r, json_array_get(list, i), err));
    }
    return DR_OK;
}
