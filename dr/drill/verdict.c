/*
 * verdict.c - the rules by which a drill fails, each a look at the records.
 */
#include "dr/drill/verdict.h"

#include <stdlib.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/run/state.h"

void drill_verdict_fini(struct drill_verdict *v)
{
    text_list_fini(&v->whys);
    text_list_fini(&v->missed);
    text_list_fini(&v->leftovers);
    *v = (struct drill_verdict){ 0 };
}

int drill_power(const struct drill_verdict *v)
{
    return v->planted == 0 ? -1 : (int)(v->caught * 100 / v->planted);
}

static const char *text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t != NULL ? t : "";
}

/* line: taken over. */
static void against(struct drill_verdict *v, char *line)
{
    text_list_add(&v->whys, line);
    free(line);
}

/* The newest record of a type; NULL: none. */
static const json_t *newest(const struct journal_records *all, const char *type, const char *key,
                            const char *value)
{
    for (size_t i = all->count; i > 0; i--) {
        const struct journal_record *r = &all->items[i - 1];
        if (strcmp(r->type, type) == 0 && (key == NULL || strcmp(text(r->body, key), value) == 0))
            return r->body;
    }
    return NULL;
}

/* -- steps ------------------------------------------------------------------------------------- */

static void judge_steps(const struct run_state *s, struct drill_verdict *v)
{
    if (s->then == NULL)
        against(v, dr_strf("it did not come to its end"));
    else if (strcmp(s->then, "recovered") != 0)
        against(v, dr_strf("%s: %s", s->then, s->why != NULL ? s->why : "no reason is on record"));
    for (size_t i = 0; i < s->step_count; i++) {
        const struct state_step *st = &s->steps[i];
        if (st->at == AT_TOLERATED || st->at == AT_FAILED || st->at == AT_UNKNOWN)
            against(v, dr_strf("step %s %s: %s", st->id,
                               st->at == AT_UNKNOWN ? "is unknown" : "failed",
                               st->why != NULL ? st->why : "no reason is on record"));
        if (st->left) {
            DR_FREE char *what = dr_strf("what step %s did", st->id);
            text_list_add(&v->leftovers, what);
        }
    }
}

/* -- faults ------------------------------------------------------------------------------------ */

static void judge_controls(const struct journal_records *all, struct drill_verdict *v)
{
    const json_t *drawn = json_object_get(newest(all, "planted", NULL, NULL), "controls");
    for (size_t i = 0; i < json_array_size(drawn); i++) {
        const char *name = text(json_array_get(drawn, i), "name");
        const json_t *b = newest(all, "control", "name", name);
        const char *title = text(json_array_get(drawn, i), "title");
        if (b == NULL)
            against(v, dr_strf("the fault '%s' was not tried", title));
        if (b == NULL || !json_is_true(json_object_get(b, "planted")))
            continue;
        v->planted++;
        if (json_is_true(json_object_get(b, "caught")))
            v->caught++;
        else
            text_list_add(&v->missed, title);
    }
    if (v->caught < v->planted)
        against(v, dr_strf("drill power %d %%, wanted 100 %%", drill_power(v)));
}

/* The newest look at what was restored of a source, unless another one, at what a second step restored, failed. */
static const json_t *worst_look(const struct journal_records *all, const char *source)
{
    const json_t *worst = NULL;
    for (size_t i = 0; i < all->count; i++) {
        const struct journal_record *r = &all->items[i];
        if (strcmp(r->type, "sentinel") == 0 && strcmp(text(r->body, "source"), source) == 0 &&
            (worst == NULL || json_is_true(json_object_get(worst, "ok"))))
            worst = r->body;
    }
    return worst;
}

static void judge_sentinels(const struct journal_records *all, struct drill_verdict *v)
{
    const json_t *planted = json_object_get(newest(all, "planted", NULL, NULL), "sentinels");
    for (size_t i = 0; i < json_array_size(planted); i++) {
        const char *source = text(json_array_get(planted, i), "source");
        const json_t *b = worst_look(all, source);
        if (b == NULL)
            against(v, dr_strf("no restored data of '%s' was looked at", source));
        else if (!json_is_true(json_object_get(b, "ok")))
            against(v, dr_strf("the restored data of '%s' do not hold what was planted: wanted %s, "
                               "found %s",
                               source, text(b, "wanted"),
                               json_is_string(json_object_get(b, "found")) ? text(b, "found")
                                                                           : "nothing"));
    }
}

/* -- what is left ------------------------------------------------------------------------------ */

static bool is_same_thing(const json_t *a, const json_t *b)
{
    static const char *const keys[] = { "what", "at", "name" };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        if (strcmp(text(a, keys[i]), text(b, keys[i])) != 0)
            return false;
    return true;
}

/* The newest word about a thing that was made, behind its making. */
static const json_t *cleaned(const struct journal_records *all, size_t made)
{
    for (size_t i = all->count; i > made + 1; i--)
        if (strcmp(all->items[i - 1].type, "cleaned") == 0 &&
            is_same_thing(all->items[i - 1].body, all->items[made].body))
            return all->items[i - 1].body;
    return NULL;
}

static void add_leftover(const json_t *thing, const char *why, struct drill_verdict *v)
{
    const char *at = text(thing, "at");
    DR_FREE char *line = dr_strf("%s %s%s%s%s%s", text(thing, "what"), text(thing, "name"),
                                 at[0] != '\0' ? " at " : "", at, why[0] != '\0' ? ": " : "", why);
    if (!text_list_has(&v->leftovers, line))
        text_list_add(&v->leftovers, line);
}

/* Each thing that was made has a later word that it is gone; and each that was found and could not go is told. */
static void judge_leftovers(const struct journal_records *all, struct drill_verdict *v)
{
    for (size_t i = 0; i < all->count; i++) {
        const json_t *b = all->items[i].body;
        if (strcmp(all->items[i].type, "made") == 0) {
            const json_t *gone = cleaned(all, i);
            if (gone == NULL)
                add_leftover(b, "not cleaned", v);
            else if (!json_is_true(json_object_get(gone, "ok")))
                add_leftover(b, text(gone, "why"), v);
        } else if (strcmp(all->items[i].type, "cleaned") == 0 &&
                   !json_is_true(json_object_get(b, "ok")) && cleaned(all, i) == NULL) {
            add_leftover(b, text(b, "why"), v);
        }
    }
    if (v->leftovers.count > 0) {
        DR_FREE char *list = text_list_join(&v->leftovers, "; ");
        against(v, dr_strf("left behind: %s", list));
    }
}

static void judge_production(const struct journal_records *all, struct drill_verdict *v)
{
    const json_t *after = newest(all, "production", "when", "after");
    const json_t *differs = json_object_get(after, "differs");
    const json_t *equal = json_object_get(after, "equal");
    if (after == NULL) {
        against(v, dr_strf("whether production is as before was not looked at"));
    } else if (json_is_false(equal)) {
        const json_t *first = json_array_get(differs, 0);
        against(v, dr_strf("production is not as before: %s (%zu field%s differ%s)",
                           text(first, "name"), json_array_size(differs),
                           json_array_size(differs) == 1 ? "" : "s",
                           json_array_size(differs) == 1 ? "s" : ""));
    } else if (!json_is_true(equal)) {
        const json_t *unread = json_object_get(after, "unread");
        const char *name = json_string_value(json_array_get(unread, 0));
        against(v, dr_strf("whether production is as before is not measured: %s could not be read",
                           name != NULL ? name : "what it was"));
    }
}

/* A drill that could write had no bounds but its own good will. Where nothing was declared nothing was promised. */
static void judge_rights(const struct journal_records *all, struct drill_verdict *v)
{
    for (size_t k = 0; k < all->count; k++) {
        if (strcmp(all->items[k].type, "credentials") != 0)
            continue;
        const json_t *items = json_object_get(all->items[k].body, "items");
        for (size_t i = 0; i < json_array_size(items); i++) {
            const json_t *item = json_array_get(items, i);
            if (strcmp(text(item, "writes"), "accepted") == 0)
                against(v, dr_strf("the drill credentials of %s %s can write", text(item, "what"),
                                   text(item, "name")));
        }
    }
}

void drill_judge(const struct journal_records *all, struct drill_verdict *ret)
{
    DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
    *ret = (struct drill_verdict){ 0 };
    state_replay(&s, all);
    judge_steps(&s, ret);
    judge_controls(all, ret);
    judge_sentinels(all, ret);
    judge_leftovers(all, ret);
    judge_production(all, ret);
    judge_rights(all, ret);
    ret->passed = ret->whys.count == 0;
}
