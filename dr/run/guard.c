/*
 * The safety kernel's questions before an effect: is there a fence with a proof, for the region that
 * is given up; is a promotion standing; may the lease still be believed. Each answer is computed
 * from the records.
 */
#include "dr/run/guard.h"

#include <string.h>

#include "dr/base/mem.h"
#include "dr/run/drill.h"
#include "dr/run/inside.h"

/* Does a promotion with these arguments make a writer where none was? with NULL: not known yet. */
static bool is_elsewhere(const json_t *with, bool failover, const char *active)
{
    const char *at = json_string_value(json_object_get(with, "at"));
    if (failover || with == NULL)
        return true;
    return at != NULL && active != NULL && strcmp(at, active) != 0;
}

bool guard_is_proof(const char *proof)
{
    static const char *const kinds[] = { "lease_expired", "write_refused", "power_off",
                                         "network_isolated", "operator" };
    for (size_t i = 0; proof != NULL && i < DR_ARRAY_LEN(kinds); i++)
        if (strcmp(proof, kinds[i]) == 0)
            return true;
    return false;
}

/* -- before the first record -------------------------------------------------------------------- */

static json_t *first_facts(const struct run_begin *b)
{
    json_t *o = json_object();
    const char *name = NULL;
    json_t *value = NULL;
    DR_JSON json_t *params = b->params != NULL ? json_deep_copy(b->params) : json_object();
    json_object_foreach(params, name, value) json_put(o, name, json_incref(value));
    if (b->failed != NULL)
        json_put_text(o, "failed", b->failed);
    if (b->active != NULL)
        json_put_text(o, "active", b->active);
    return o;
}

static bool has_fence_before(const struct script *s, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (s->steps[k].class == STEP_FENCE && script_is_above(s, k, i))
            return true;
    return false;
}

enum dr_rc guard_plan(const struct script *s, const struct run_begin *b, struct dr_err *err)
{
    DR_JSON json_t *values = first_facts(b);
    struct script_facts facts = { .values = values };
    for (size_t i = 0; i < s->step_count; i++) {
        DR_JSON json_t *with = NULL;
        struct dr_err unknown = { 0 };
        if (s->steps[i].class != STEP_PROMOTE || has_fence_before(s, i))
            continue;
        if (s->ops->resolve(s, s->steps[i].with, NULL, &facts, &with, &unknown) != DR_OK)
            with = NULL; /* it needs what the run finds out, so it may be anywhere */
        if (!is_elsewhere(with, b->failed != NULL, b->active))
            continue;
        (void)dr_fail(
            err, DR_E_REFUSED,
            "step '%s' makes a new writer, but no fence before it stops the old one in %s",
            s->steps[i].id,
            b->failed != NULL   ? b->failed
            : b->active != NULL ? b->active
                                : "the region that serves");
        return dr_hint(err,
                       "Add a step before it: use: fence, with: {region: ..., methods: [...]}.");
    }
    return DR_OK;
}

/* -- before an effect --------------------------------------------------------------------------- */

const char *guard_fenced_region(const struct engine *e, const json_t *with)
{
    const char *host = json_string_value(json_object_get(with, "host"));
    const char *region = json_string_value(json_object_get(with, "region"));
    const char *name = region != NULL ? region : host;
    const struct config_site *site =
        e->o.config != NULL && name != NULL ? config_site(e->o.config, name) : NULL;
    return site != NULL ? site->region : name;
}

/* Does fence k stand, and for the writer that matters? */
static bool stands_for(const struct engine *e, size_t k, const char *writer)
{
    const struct state_step *st = &e->state.steps[k];
    DR_JSON json_t *with = NULL;
    struct dr_err err = { 0 };
    bool by_person = st->at == AT_SKIPPED && st->by_person;
    if ((st->at != AT_DONE && !by_person) || st->simulated)
        return false;
    if (resolve(e, e->script->steps[k].with, NULL, &with, &err) != DR_OK)
        return false;
    const char *region = guard_fenced_region(e, with);
    return region == NULL || writer == NULL || strcmp(region, writer) == 0;
}

char *guard_step(const struct engine *e, size_t i)
{
    const struct run_state *s = &e->state;
    const char *writer = s->failed != NULL ? s->failed : s->active;
    if (e->script->steps[i].class != STEP_PROMOTE || s->dry || s->steps[i].how == HOW_WITH ||
        !is_elsewhere(e->jobs[i].with, s->failed != NULL, s->active))
        return NULL;
    for (size_t k = 0; k < e->script->step_count; k++)
        if (e->script->steps[k].class == STEP_FENCE && stands_for(e, k, writer))
            return NULL;
    return dr_strf("not begun: no fence of %s is done, and two regions may write",
                   writer != NULL ? writer : "the old writer");
}

int64_t guard_people(const struct engine *e)
{
    int64_t most = 1;
    for (size_t i = 0; i < e->script->step_count; i++) {
        DR_JSON json_t *with = NULL;
        struct dr_err err = { 0 };
        if (e->script->steps[i].class != STEP_PERSON)
            continue;
        if (e->state.steps[i].with != NULL)
            with = json_incref(e->state.steps[i].with);
        else if (resolve(e, e->script->steps[i].with, NULL, &with, &err) != DR_OK)
            continue; /* its question needs a step that is still ahead: it was never asked */
        int64_t count = json_integer_value(json_object_get(with, "count"));
        if (count > most)
            most = count;
    }
    return most;
}
