/*
 * simulate.c - where a drill or a dry run does otherwise than a run in earnest (LANGUAGE chapter 9).
 *
 * What becomes of a step stands in the first record (drill.h), so that a resume does the same. Here it is
 * followed: steps that are left out, told or not measured are settled by one record; isolated ones get arguments that
 * point below the scratch directory before anybody sees them, so the plan's own target never leaves the engine.
 */
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/run/drill.h"
#include "dr/run/inside.h"

/* -- told only --------------------------------------------------------------------------------- */

/* A value of the type, so that what uses it can be validated; the record says that it is none. */
static json_t *stand_in(enum arg_type type)
{
    char now[TIME_TEXT_MAX];
    switch (type) {
    case ARG_INTEGER:
    case ARG_NUMBER:
    case ARG_PERCENT:
    case ARG_DURATION:
    case ARG_SIZE:
        return json_integer(0);
    case ARG_BOOLEAN:
        return json_false();
    case ARG_LIST:
    case ARG_ARGV:
        return json_array();
    case ARG_TIME:
        return json_string(time_print(clock_wall_ns(), now));
    default:
        return json_string("simulated");
    }
}

/* Outputs of a step that was only simulated: what it was told, else something of their type. */
static json_t *simulated_outputs(const struct step_type *type, const json_t *with)
{
    json_t *o = json_object();
    const json_t *choices = json_object_get(with, "choices");
    for (const struct step_output *out = type->outputs; out != NULL && out->name != NULL; out++) {
        json_t *v = json_object_get(with, out->name);
        if (v == NULL && strcmp(out->name, "path") == 0)
            v = json_object_get(with, "to");
        if (v == NULL && strcmp(out->name, "answer") == 0)
            v = json_array_get(choices, 0);
        json_put(o, out->name, v != NULL ? json_incref(v) : stand_in(out->type));
    }
    return o;
}

bool simulate(struct job *j)
{
    struct engine *e = j->e;
    if (at_of(j)->how != HOW_SIMULATE)
        return false;
    json_t *b = outcome_body(j, AT_DONE, "pass", "simulated");
    json_put(b, "outputs", simulated_outputs(step_of(j)->type, j->with));
    json_put(b, "simulated", json_true());
    json_put(b, "with", json_incref(j->with));
    put_title(e, j->i, b); /* no intent says it */
    job_end(j);
    commit(e, "outcome", b);
    return true;
}

/* -- left out ---------------------------------------------------------------------------------- */

/* The step above whose absence this check would see; one that its own `when` skipped is no such. NULL: none. */
static const char *pretended_above(const struct engine *e, size_t i)
{
    for (size_t k = i; k > 0; k--) {
        const struct state_step *st = &e->state.steps[k - 1];
        bool absent = st->at != AT_SKIPPED || st->how == HOW_SKIP;
        if (absent && script_is_pretended(e->script, k - 1, e->state.dry) &&
            script_is_above(e->script, k - 1, i))
            return st->id;
    }
    return NULL;
}

bool leave_out(struct engine *e, size_t i)
{
    const struct state_step *st = state_at(e, i);
    const char *above = st->how == HOW_NOT_MEASURED ? pretended_above(e, i) : NULL;
    if (st->how != HOW_SKIP && above == NULL)
        return false;
    json_t *b = body_of(e, st->id, AT_SKIPPED);
    DR_FREE char *why = above != NULL
                            ? dr_strf("not measured: it comes after '%s', a simulated step", above)
                            : dr_strdup("left out of a drill");
    json_put(b, "by", json_null());
    if (above != NULL)
        json_put(b, "not_measured", json_true());
    json_put_text(b, "why", why);
    put_title(e, i, b);
    commit(e, "skip", b);
    return true;
}

/* -- for real, elsewhere ------------------------------------------------------------------------- */

bool is_elsewhere_done(const struct engine *e, size_t i)
{
    enum step_how how = e->state.steps[i].how;
    return how == HOW_ISOLATED || how == HOW_WITH;
}

enum script_undo undo_of(const struct engine *e, size_t i)
{
    const struct script_step *s = &e->script->steps[i];
    if (!is_elsewhere_done(e, i) || s->undo == UNDO_HARMLESS)
        return s->undo;
    return s->type->has_undo ? UNDO_OF_TYPE : UNDO_IMPOSSIBLE;
}

void isolate(const struct engine *e, size_t i, json_t *with)
{
    const struct state_step *st = &e->state.steps[i];
    if (strcmp(st->use, "backup.restore") != 0)
        return; /* the others keep their arguments, and their work is sent elsewhere by `run` */
    DR_ASSERT(e->state.scratch != NULL);
    DR_FREE char *name = dr_strdup(st->id);
    for (char *at = name; *at != '\0'; at++)
        if (*at == '/')
            *at = '-';
    DR_FREE char *to = st->round <= 1 ? dr_strf("%s/%s", e->state.scratch, name)
                                      : dr_strf("%s/%s-%d", e->state.scratch, name, st->round);
    json_put_text(with, "to", to);
}

/* The tree that the nearest isolated restore above made; NULL: none. */
static const char *restored_above(const struct engine *e, size_t i)
{
    for (size_t k = i; k > 0; k--) {
        const struct state_step *st = &e->state.steps[k - 1];
        if (st->at == AT_DONE && st->isolated && strcmp(st->use, "backup.restore") == 0)
            return json_string_value(json_object_get(st->outputs, "path"));
    }
    return NULL;
}

void put_meant(const struct engine *e, size_t i, const struct step_type *type, json_t *run)
{
    enum step_how how = e->state.steps[i].how;
    bool reads = !step_is_effect(type) || strcmp(type->name, "backup.restore") == 0;
    if (e->state.drill && (how == HOW_RUN || how == HOW_WITH) && !reads)
        json_put(run, "meant", json_true());
}

void put_isolated(const struct engine *e, size_t i, json_t *run)
{
    if (e->state.steps[i].how != HOW_ISOLATED)
        return;
    const char *restored = restored_above(e, i);
    json_put(run, "isolated", json_true());
    if (restored != NULL)
        json_put_text(run, "restored", restored);
}
