/*
 * clean.c - the end of a drill: it stops, somebody looks at what it made, it is taken back, the last record.
 *
 * Between its last step and its last record a drill is `cleaning`, so that whoever finds it after a death knows that no
 * step goes on, and that something may be left. Nothing holds here: what cannot be taken back is left
 * behind on record, and the drill has failed by that.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/run/inside.h"

/* What the gate kept from the dark region; written also when that was nothing. */
static void record_refused(struct engine *e)
{
    if (e->state.failed == NULL)
        return;
    json_t *b = json_object();
    json_t *by = json_array();
    int64_t count = 0;
    const char *who = NULL;
    json_t *value = NULL;
    json_object_foreach(e->state.refused, who, value)
    {
        json_t *one = json_object();
        json_put_text(one, "who", who);
        json_put_int(one, "count", json_integer_value(value));
        count += json_integer_value(value);
        json_array_append_new(by, one);
    }
    json_put_text(b, "region", e->state.failed);
    json_put_int(b, "count", count);
    json_put(b, "by", by);
    commit(e, "refused", b);
}

void drill_stops(struct engine *e, enum run_phase then, const char *why)
{
    DR_ASSERT(e->state.drill && run_is_final(then));
    record_refused(e);
    json_t *b = json_object();
    json_put_text(b, "then", run_phase_name(then));
    json_put_text(b, "why", why);
    body_run(b, RUN_CLEANING);
    commit(e, "cleaning", b);
}

bool clean_advance(struct engine *e)
{
    if (active_jobs(e) > 0 || broken(e) || e->yields)
        return false;
    return take_back_newest(e, false);
}

/* -- for the owner of the drill ------------------------------------------------------------------ */

static enum dr_rc want_cleaning(const struct engine *e, struct dr_err *err)
{
    DR_TRY(engine_broken(e, err));
    if (e->state.drill && e->state.phase == RUN_CLEANING)
        return DR_OK;
    return dr_fail(err, DR_E_REFUSED, "run %s is %s: only a drill that is cleaning is cleaned up",
                   e->state.id, run_phase_name(e->state.phase));
}

/* Is the lease still ours? Only what happens under it may be written. */
static enum dr_rc want_lease(struct engine *e, struct dr_err *err)
{
    if (e->world->ops->lease_left_ms(e->world) <= 0)
        engine_lose(e);
    return engine_broken(e, err);
}

enum dr_rc engine_note(struct engine *e, const char *type, json_t *body, struct dr_err *err)
{
    bool before = e->state.drill && e->state.phase == RUN_PREFLIGHT && !e->went;
    DR_ASSERT(json_object_get(body, "state") == NULL && json_object_get(body, "run") == NULL);
    enum dr_rc rc = before ? DR_OK : want_cleaning(e, err);
    if (rc == DR_OK)
        rc = want_lease(e, err);
    if (rc != DR_OK) {
        json_decref(body);
        return rc;
    }
    commit(e, type, body);
    return engine_broken(e, err);
}

enum dr_rc engine_clean(struct engine *e, struct dr_err *err)
{
    DR_TRY(want_cleaning(e, err));
    e->cleans = true;
    enum dr_rc rc = engine_go(e, err);
    e->cleans = false;
    return rc;
}

enum dr_rc engine_end_drill(struct engine *e, bool passed, const char *why, struct dr_err *err)
{
    DR_TRY(want_cleaning(e, err));
    DR_TRY(want_lease(e, err));
    json_t *b = json_object();
    json_put_text(b, "why", why);
    body_run(b, passed ? RUN_RECOVERED : RUN_FAILED);
    commit(e, "end", b);
    return engine_broken(e, err);
}

enum dr_rc engine_drop_drill(struct engine *e, const char *by, const char *why, struct dr_err *err)
{
    if (!e->state.drill || run_is_past(e->state.phase))
        return dr_fail(err, DR_E_REFUSED, "run %s is %s: there is no drill to be dropped",
                       e->state.id, run_phase_name(e->state.phase));
    json_t *b = json_object();
    json_put_text(b, "by", by);
    json_put(b, "reason", json_null());
    json_put_text(b, "why", why);
    commit(e, "abort", b);
    drill_stops(e, RUN_ABORTED, why);
    return engine_broken(e, err);
}

bool engine_yields(struct engine *e)
{
    if (e->world->ops->lease_left_ms(e->world) <= 0)
        engine_lose(e);
    if (!broken(e))
        hear_words(e);
    return e->yields || e->lost;
}
