/*
 * names.c - what a name in ${ } or in a condition stands for, and whether its value is certain there.
 */
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/plan/reading.h"

static const struct {
    const char *name;
    enum arg_type type;
} builtins[] = {
    { "failed", ARG_REGION },
    { "active", ARG_REGION },
    { "target", ARG_REGION },
    { "item", ARG_TEXT },
    { "run.id", ARG_TEXT },
    { "run.mode", ARG_TEXT },
    { "run.drill", ARG_BOOLEAN },
    { "run.by", ARG_TEXT },
    { "run.epoch", ARG_INTEGER },
    { "run.started", ARG_TIME },
    { "run.scratch", ARG_TEXT },
    { "plan.name", ARG_TEXT },
    { "regions.all", ARG_LIST },
    { "regions.addresses", ARG_LIST },
    { "objectives.rto", ARG_DURATION },
    { "objectives.rpo", ARG_DURATION },
};

bool is_name(const char *text)
{
    return text[0] >= 'a' && text[0] <= 'z' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(text);
}

bool ref_is(const char *name, const char *first)
{
    size_t len = strlen(first);
    return strncmp(name, first, len) == 0 && (name[len] == '\0' || name[len] == '.');
}

size_t ref_step(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->step_count; i++)
        if (p->steps[i].id != NULL && ref_is(name, p->steps[i].id))
            return i;
    return PLAN_NO_STEP;
}

enum expr_kind expr_kind_of(enum arg_type type)
{
    switch (type) {
    case ARG_INTEGER:
    case ARG_NUMBER:
    case ARG_PERCENT:
        return EXPR_NUMBER;
    case ARG_BOOLEAN:
        return EXPR_TRUTH;
    case ARG_DURATION:
        return EXPR_DURATION;
    case ARG_SIZE:
        return EXPR_SIZE;
    case ARG_TIME:
        return EXPR_TIME;
    case ARG_LIST:
    case ARG_ARGV:
        return EXPR_LIST;
    default:
        return EXPR_TEXT;
    }
}

/* Behind a region, host or snapshot stands one field; ret: its type. */
static bool field_type(enum arg_type type, const char *rest, enum arg_type *ret)
{
    bool field = rest[0] == '.' && is_name(rest + 1);
    if (rest[0] != '\0' && (!field || (type != ARG_REGION && type != ARG_SNAPSHOT)))
        return false;
    *ret = rest[0] == '\0' ? type : ARG_TEXT;
    return true;
}

static bool builtin_type(const char *name, enum arg_type *ret)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(builtins); i++) {
        const char *word = builtins[i].name;
        if (strcmp(word, name) == 0 || (strchr(word, '.') == NULL && ref_is(name, word))) {
            enum arg_type type =
                strcmp(word, "item") == 0 && name[4] != '\0' ? ARG_REGION : builtins[i].type;
            return field_type(type, name + strlen(word), ret);
        }
    }
    return false;
}

static bool output_type(const struct plan_step *s, const char *rest, enum arg_type *ret)
{
    if (rest[0] != '.' || s->call.type == NULL)
        return false;
    size_t len = strcspn(rest + 1, ".");
    for (const struct step_output *o = s->call.type->outputs; o->name != NULL; o++)
        if (strlen(o->name) == len && memcmp(o->name, rest + 1, len) == 0)
            return field_type(o->type, rest + 1 + len, ret);
    return false;
}

bool plan_name_type(const struct plan *p, const char *name, enum arg_type *ret)
{
    if (text_starts(name, "secret.") && name[7] != '\0') {
        *ret = ARG_SECRET;
        return true;
    }
    for (size_t i = 0; i < p->param_count; i++)
        if (p->params[i].name != NULL && ref_is(name, p->params[i].name))
            return field_type(p->params[i].type, name + strlen(p->params[i].name), ret);
    if (builtin_type(name, ret))
        return true;
    size_t step = ref_step(p, name);
    return step != PLAN_NO_STEP &&
           output_type(&p->steps[step], name + strlen(p->steps[step].id), ret);
}

/* ---- reports ----------------------------------------------------------------------------------- */

static void no_output(struct reading *r, const char *name, struct plan_place at, size_t step)
{
    const struct plan_step *s = &r->p->steps[step];
    const char *rest = name + strlen(s->id);
    if (s->call.type == NULL) /* its type was reported */
        return;
    if (rest[0] == '\0')
        diag_error(r->d, at.line, at.col, "reference", "'%s' is a step, not a value", name);
    else
        diag_error(r->d, at.line, at.col, "reference", "step '%s' (%s) has no output '%s'", s->id,
                   s->call.type->name, rest + 1);
    DR_CLEANUP(buf_fini) struct buf all = { 0 };
    for (const struct step_output *o = s->call.type->outputs; o->name != NULL; o++)
        buf_addf(&all, "%s%s", all.len > 0 ? ", " : "", o->name);
    if (all.len > 0)
        diag_hint(r->d, "outputs: %s", all.data);
    else
        diag_hint(r->d, "%s has no outputs", s->call.type->name);
}

static void no_name(struct reading *r, const char *name, struct plan_place at)
{
    const struct plan *p = r->p;
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    for (size_t i = 0; i < DR_ARRAY_LEN(builtins); i++)
        text_list_add(&known, builtins[i].name);
    for (size_t i = 0; i < p->param_count; i++)
        if (p->params[i].name != NULL)
            text_list_add(&known, p->params[i].name);
    size_t len = strcspn(name, ".");
    DR_FREE char *first = dr_memdup(name, len);
    for (size_t i = 0; i < p->step_count; i++)
        if (p->steps[i].id != NULL && text_distance(p->steps[i].id, first) <= 2 && name[len] == '.')
            text_list_addn(&known, p->steps[i].id, strlen(p->steps[i].id));
    const char *near = text_nearest(name, (const char *const *)known.items, known.count);
    const char *near_first =
        near != NULL ? NULL : text_nearest(first, (const char *const *)known.items, known.count);
    diag_error(r->d, at.line, at.col, "reference", "nothing here is called '%s'", name);
    if (near != NULL)
        diag_hint(r->d, "did you mean '%s'?", near);
    else if (near_first != NULL)
        diag_hint(r->d, "did you mean '%s%s'?", near_first, name + len);
    else
        diag_hint(r->d, "known are params, STEP.OUTPUT, failed, active, target, run.id and others");
}

bool name_type(struct reading *r, const char *name, struct plan_place at, const struct scope *scope,
               enum arg_type *ret)
{
    size_t step = ref_step(r->p, name);
    if (strcmp(name, "item") == 0 && scope->item) {
        *ret = scope->item_type;
        return true;
    }
    if (ref_is(name, "item") && !scope->item) {
        diag_error(r->d, at.line, at.col, "reference",
                   "'item' is known only in a step with for_each");
        diag_hint(r->d, "say what to go through: for_each: ${hosts.list}");
        return false;
    }
    if (plan_name_type(r->p, name, ret))
        return true;
    if (step != PLAN_NO_STEP)
        no_output(r, name, at, step);
    else
        no_name(r, name, at);
    return false;
}

void remember_ref(struct reading *r, const char *name, struct plan_place at,
                  const struct scope *scope)
{
    if (r->ref_count == r->ref_cap) {
        r->ref_cap = r->ref_cap == 0 ? 64 : r->ref_cap * 2;
        r->refs = dr_realloc(r->refs, r->ref_cap, sizeof(*r->refs));
    }
    r->refs[r->ref_count++] = (struct ref){ .name = dr_strdup(name), .at = at, .scope = *scope };
}

bool ref_is_target(const struct reading *r, const struct ref *ref)
{
    if (ref_is(ref->name, "target"))
        return true;
    size_t step = ref_step(r->p, ref->name);
    return step != PLAN_NO_STEP && step == r->p->pick;
}

/* ---- conditions -------------------------------------------------------------------------------- */

struct condition {
    struct reading *r;
    const struct scope *scope;
    struct plan_place at;
};

static bool condition_kind(void *arg, const char *name, enum expr_kind *ret, struct expr_mistake *m)
{
    const struct condition *c = arg;
    enum arg_type type;
    bool item = ref_is(name, "item") && !c->scope->item;
    if (!item && plan_name_type(c->r->p, name, &type) && type != ARG_SECRET) {
        *ret = expr_kind_of(type);
        return true;
    }
    size_t step = ref_step(c->r->p, name);
    if (step != PLAN_NO_STEP)
        snprintf(
            m->what, sizeof(m->what), "step '%s' (%s) has no output '%s'", c->r->p->steps[step].id,
            c->r->p->steps[step].call.type == NULL ? "?" : c->r->p->steps[step].call.type->name,
            strchr(name, '.') == NULL ? "" : strchr(name, '.') + 1);
    else
        snprintf(m->what, sizeof(m->what), "nothing here is called '%s'", name);
    if (step == PLAN_NO_STEP && strchr(name, '.') == NULL)
        snprintf(m->hint, sizeof(m->hint), "a text stands in quotes: '%.100s'", name);
    return false;
}

struct expr *read_condition(struct reading *r, struct yaml_node *node, const char *key,
                            const struct scope *scope)
{
    if (!is_kind(r, node, YAML_SCALAR, key))
        return NULL;
    struct condition c = { r, scope, place_of(node) };
    struct expr_mistake m;
    struct expr *e = expr_compile(node->text, condition_kind, &c, &m);
    if (e == NULL) {
        diag_error(r->d, node->line, yaml_col_at(node, m.offset), "expression", "%s", m.what);
        if (m.hint[0] != '\0')
            diag_hint(r->d, "%s", m.hint);
        node->reported = true;
        return NULL;
    }
    for (const char *const *name = expr_names(e); *name != NULL; name++)
        remember_ref(r, *name, place_of(node), scope);
    return e;
}

/* ---- certainty --------------------------------------------------------------------------------- */

static bool same_condition(const struct expr *a, const struct expr *b)
{
    return a != NULL && b != NULL && strcmp(expr_text(a), expr_text(b)) == 0;
}

static const char *asked_when(enum ref_where where)
{
    return where == REF_PREFLIGHT   ? "preflight is asked before any step"
           : where == REF_INVARIANT ? "invariants are asked all along"
                                    : "a trigger is asked before any run";
}

/* Outside of steps: no outputs; target only in preflight. */
static void check_outer_ref(struct reading *r, const struct ref *ref)
{
    bool target = ref_is(ref->name, "target");
    if (target && ref->scope.where == REF_PREFLIGHT && r->p->pick == PLAN_NO_STEP) {
        diag_error(r->d, ref->at.line, ref->at.col, "no-target",
                   "preflight uses target, but nothing picks one");
        diag_hint(r->d, "add a step {id: pick, use: region.pick}");
    } else if (ref_step(r->p, ref->name) != PLAN_NO_STEP ||
               (target && ref->scope.where != REF_PREFLIGHT)) {
        diag_error(r->d, ref->at.line, ref->at.col, "reference", "'%s' is not known here: %s",
                   ref->name, asked_when(ref->scope.where));
    }
}

/* One message for a step that has no target, at the step. */
static bool check_target_ref(struct reading *r, const struct ref *ref, bool *told)
{
    size_t step = ref->scope.step;
    const struct plan_step *s = &r->p->steps[step];
    if (!ref_is(ref->name, "target"))
        return false;
    if (r->p->pick == PLAN_NO_STEP || r->p->pick > step) {
        if (!told[step])
            diag_error(r->d, s->at.line, s->at.col, "no-target",
                       "'%s' uses target, but nothing picks one", s->id);
        if (!told[step])
            diag_hint(r->d, "add a step {id: pick, use: region.pick} above");
        told[step] = true;
        return true;
    }
    if (r->p->pick == step || plan_is_after(r->p, r->p->pick, step))
        return true;
    const char *pick = r->p->steps[r->p->pick].id;
    if (!told[step]) {
        diag_error(r->d, ref->at.line, ref->at.col, "reference",
                   "'%s' may run before '%s' has finished", s->id, pick);
        diag_hint(r->d, "add %s to its needs", pick);
    }
    told[step] = true;
    return true;
}

static void check_output_ref(struct reading *r, const struct ref *ref)
{
    size_t from = ref_step(r->p, ref->name), step = ref->scope.step;
    if (from == PLAN_NO_STEP || plan_find_param(r->p, r->p->steps[from].id) != NULL)
        return;
    const struct plan_step *s = &r->p->steps[step], *giver = &r->p->steps[from];
    bool late = ref->scope.where == REF_VERIFY || ref->scope.where == REF_UNDO;
    if (from == step && late)
        return;
    if (from == step) {
        diag_error(r->d, ref->at.line, ref->at.col, "reference", "'%s' uses its own output", s->id);
        diag_hint(r->d, "outputs are known when a step is done: in verify, in undo, and below");
    } else if (!plan_is_after(r->p, from, step)) {
        diag_error(r->d, ref->at.line, ref->at.col, "reference",
                   "'%s' may run before '%s' has finished", s->id, giver->id);
        if (from < step)
            diag_hint(r->d, "add %s to its needs", giver->id);
        else
            diag_hint(r->d, "move %s above it", giver->id);
    } else if (giver->when != NULL && !same_condition(giver->when, s->when)) {
        diag_error(r->d, ref->at.line, ref->at.col, "reference",
                   "'%s' may be skipped (when: %s), and then has no output", giver->id,
                   expr_text(giver->when));
        diag_hint(r->d, "give this step the same when");
    }
}

void check_refs(struct reading *r)
{
    DR_FREE bool *told = dr_alloc(r->p->step_count + 1, sizeof(bool));
    for (size_t i = 0; i < r->ref_count; i++) {
        const struct ref *ref = &r->refs[i];
        if (ref->scope.step == PLAN_NO_STEP)
            check_outer_ref(r, ref);
        else if (!check_target_ref(r, ref, told))
            check_output_ref(r, ref);
    }
}
