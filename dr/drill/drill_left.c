/*
 * drill_left.c - what drills that are over had to leave behind: a site was away when they were cleaned up.
 *
 * The journal of such a drill has ended, and nothing is written into it any more. The next drill takes its things
 * over: they become things that it `made` (with the run that really did), so its own clean-up goes there as well,
 * its verdict tells them while they stand, and its record that they are gone ends the matter. Nothing is kept
 * beside the journals.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/drill/drill.h"
#include "dr/run/gather.h"

enum {
    LOOK_BACK = 32,
    LOOK_BACK_OUTSIDE = 4
}; /* drills; each one outside is read record by record */

static const char *text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t != NULL ? t : "";
}

static bool is_same(const json_t *a, const json_t *b)
{
    static const char *const keys[] = { "what", "at", "name" };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        if (strcmp(text(a, keys[i]), text(b, keys[i])) != 0)
            return false;
    return true;
}

static void forget(json_t *list, const json_t *thing)
{
    for (size_t i = json_array_size(list); i > 0; i--)
        if (is_same(json_array_get(list, i - 1), thing))
            (void)json_array_remove(list, i - 1); /* fails only beyond the end */
}

/* Which drill made it: one that took it over says so. The caller drops. */
static json_t *thing_of(const char *run, const json_t *made)
{
    json_t *o = json_object();
    json_put(o, "what", json_printable(text(made, "what")));
    json_put(o, "at", json_printable(text(made, "at")));
    json_put(o, "name", json_printable(text(made, "name")));
    json_put(o, "of", json_printable(text(made, "of")[0] != '\0' ? text(made, "of") : run));
    return o;
}

void drill_left_add(json_t *list, const char *run, const char *host,
                    const struct journal_records *all)
{
    const json_t *start = all->count > 0 ? all->items[0].body : NULL;
    bool here = strcmp(text(start, "host"), host) == 0;
    DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
    state_replay(&s, all);
    if (!s.drill || !run_is_final(s.phase))
        return; /* one that is open is cleaned by itself */
    for (size_t i = 0; i < all->count; i++) {
        const json_t *b = all->items[i].body;
        bool made = strcmp(all->items[i].type, "made") == 0;
        bool gone =
            strcmp(all->items[i].type, "cleaned") == 0 && json_is_true(json_object_get(b, "ok"));
        if (made || gone)
            forget(list, b);
        if (made && (here || text(b, "at")[0] != '\0'))
            json_array_append_new(list, thing_of(run, b));
    }
}

static void add_one(const struct config *c, const char *id, bool outside, json_t *list)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    const struct gather_wish peek = { .peek = true };
    struct dr_err err = { 0 };
    DR_FREE char *host = run_host();
    enum dr_rc rc = outside ? gather_run(c, id, &peek, &all, NULL, &err)
                            : journal_load(c->state_dir, id, &all, &err);
    if (rc == DR_OK) /* one that cannot be read says nothing; audit tells it */
        drill_left_add(list, id, host, &all);
}

/* The newest drills among these ids, oldest first. */
static void add_newest(const struct config *c, const struct text_list *ids, size_t most,
                       bool outside, json_t *list)
{
    size_t from = ids->count, found = 0;
    for (; from > 0 && found < most; from--)
        found += ids->items[from - 1][0] == 'D' ? 1 : 0;
    for (size_t i = from; i < ids->count; i++)
        if (ids->items[i][0] == 'D')
            add_one(c, ids->items[i], outside, list);
}

json_t *drill_left(const struct config *c)
{
    DR_CLEANUP(text_list_fini) struct text_list here = { 0 }, outside = { 0 };
    struct dr_err err = { 0 };
    json_t *list = json_array();
    run_list_outside(c, NULL, &outside);
    add_newest(c, &outside, LOOK_BACK_OUTSIDE, true, list);
    if (journal_runs(c->state_dir, &here, &err) == DR_OK)
        add_newest(c, &here, LOOK_BACK, false, list);
    return list;
}

enum dr_rc drill_adopt(struct run *r, struct dr_err *err)
{
    DR_JSON json_t *list = drill_left(r->config);
    for (size_t i = 0; i < json_array_size(list); i++)
        DR_TRY(engine_note(r->engine, "made", json_deep_copy(json_array_get(list, i)), err));
    return DR_OK;
}
