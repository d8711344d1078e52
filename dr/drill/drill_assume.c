/*
 * drill_assume.c - what a drill cannot measure, from the last time that it was done in earnest.
 *
 * A drill does not fence, switch or wait for the world to follow, so its own clock stops too early. The steps
 * that it only simulates, and the checks that it could not ask, took their time in the newest
 * recovered run of the same plan; that sum is put beside the drill's own time as the upper end, with
 * its source. Waiting for people is not in it: that is no property of the plan.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/drill/drill.h"

/* The newest run of this plan that brought the service back; false: none is known here. */
static bool find_run(const struct run *r, const char *plan, struct run_state *ret)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    struct dr_err err = { 0 };
    if (journal_runs(r->config->state_dir, &runs, &err) != DR_OK)
        return false; /* nothing is assumed, then */
    for (size_t i = runs.count; i > 0; i--) {
        struct run_state s = { 0 };
        if (runs.items[i - 1][0] == 'R' && run_peek(r->config, runs.items[i - 1], &s) && !s.dry &&
            s.phase == RUN_RECOVERED && s.plan != NULL && strcmp(s.plan, plan) == 0) {
            *ret = s;
            return true;
        }
        run_state_fini(&s);
    }
    return false;
}

static bool is_pretended(const struct state_step *st)
{
    return (st->how == HOW_SIMULATE || st->how == HOW_SKIP || st->how == HOW_NOT_MEASURED) &&
           strcmp(st->class, "person") != 0;
}

enum dr_rc drill_assume(struct run *r, struct dr_err *err)
{
    DR_CLEANUP(run_state_fini) struct run_state last = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list steps = { 0 };
    const struct run_state *s = engine_state(r->engine);
    int64_t ms = 0;
    if (s->plan == NULL || !find_run(r, s->plan, &last))
        return DR_OK;
    for (size_t i = 0; i < s->step_count; i++) {
        const struct state_step *then = state_step_of(&last, s->steps[i].id);
        if (!is_pretended(&s->steps[i]) || then == NULL || then->at != AT_DONE)
            continue;
        ms += then->dur_ms;
        text_list_add(&steps, then->id);
    }
    if (steps.count == 0)
        return DR_OK;
    DR_FREE char *what = text_list_join(&steps, ", ");
    json_t *b = json_object();
    json_put_int(b, "ms", ms);
    json_put_text(b, "from", last.id); /* `run` would be a state */
    json_put(b, "what", json_printable(what));
    return engine_note(r->engine, "assumed", b, err);
}
