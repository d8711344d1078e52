/*
 * The engine's heart: one look after another at what the journal says, until nothing is left to
 * start, to wait for or to decide. It writes records and asks the world (world.h) for effects; it
 * holds no truth of its own, so a dead engine is replaced by replaying the same records.
 */
#include "dr/run/engine.h"

#include <inttypes.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/run/guard.h"
#include "dr/run/inside.h"

enum { HEAR_MS = 500, HEALTH_MS = 250 };

/* -- records ----------------------------------------------------------------------------------- */

bool broken(const struct engine *e)
{
    return e->failure.rc != DR_OK || e->lost;
}

/* Whatever is not outside yet goes there, in order. False: something is still only here. */
static bool send_outside(struct engine *e)
{
    const struct journal_records *all = journal_all(e->journal);
    struct dr_err err = { 0 };
    for (; e->sent < all->count; e->sent++) {
        DR_CLEANUP(buf_fini) struct buf line = { 0 };
        struct journal_record copy = all->items[e->sent];
        DR_FREE char *name = journal_object(e->state.id, &copy);
        journal_print(&copy, &line);
        if (e->world->ops->put(e->world, name, line.data, line.len, &err) != DR_OK)
            return false;
    }
    return true;
}

static bool append(struct engine *e, const char *type, json_t *body)
{
    if (e->journal == NULL) {
        apply_unkept(e, type, body);
        return true;
    }
    if (broken(e)) {
        json_decref(body);
        return false;
    }
    if (journal_append(e->journal, type, body, &e->failure) != DR_OK)
        return false;
    const struct journal_records *all = journal_all(e->journal);
    const struct journal_record *r = &all->items[all->count - 1];
    enum run_phase before = e->state.phase;
    state_apply(&e->state, r);
    DR_ASSERT(run_may(before, e->state.phase));
    if (e->o.view.record != NULL)
        e->o.view.record(e->o.view.arg, r);
    return true;
}

void commit(struct engine *e, const char *type, json_t *body)
{
    if (append(e, type, body) && e->state.remote)
        (void)send_outside(e); /* what is missing goes with the next record */
}

bool commit_intent(struct engine *e, const char *type, json_t *body)
{
    return append(e, type, body) && (!e->state.remote || send_outside(e));
}

json_t *body_of(const struct engine *e, const char *step, enum step_at at)
{
    json_t *b = json_object();
    const struct state_step *st = state_step_of(&e->state, step);
    DR_ASSERT(st != NULL && step_may(st->at, at));
    json_put_text(b, "step", step);
    json_put_text(b, "state", step_at_name(at));
    return b;
}

void body_run(json_t *body, enum run_phase phase)
{
    json_put_text(body, "run", run_phase_name(phase));
}

void hold(struct engine *e, const char *at, const char *why)
{
    json_t *b = json_object();
    json_put(b, "at", at != NULL ? json_printable(at) : json_null());
    json_put_text(b, "why", why);
    body_run(b, RUN_HELD);
    commit(e, "held", b);
}

const char *verdict_word(enum step_verdict verdict)
{
    static const char *const words[] = { "pass", "fail", "unknown" };
    return words[verdict];
}

struct state_step *state_at(const struct engine *e, size_t i)
{
    DR_ASSERT(i < e->state.step_count);
    return &e->state.steps[i];
}

/* -- facts ------------------------------------------------------------------------------------- */

/* {"": name, "address": ..., FIELD: ...} */
static json_t *region_facts(const struct engine *e, const char *region)
{
    json_t *o = json_object();
    json_put_text(o, "", region);
    const struct config_site *site = e->o.config != NULL ? config_site(e->o.config, region) : NULL;
    if (site == NULL)
        return o;
    if (site->address != NULL)
        json_put_text(o, "address", site->address);
    if (site->host != NULL)
        json_put_text(o, "host", site->host);
    for (size_t i = 0; i < site->field_count; i++)
        json_put_text(o, site->fields[i].name, site->fields[i].value);
    return o;
}

static json_t *run_facts(const struct engine *e)
{
    char started[TIME_TEXT_MAX];
    const struct run_state *s = &e->state;
    json_t *o = json_object();
    json_put_text(o, "id", s->id);
    json_put_text(o, "mode", s->mode);
    json_put(o, "drill", json_boolean(s->drill));
    json_put_text(o, "by", "person");
    json_put_int(o, "epoch", s->epoch);
    json_put_text(o, "started", time_print(s->started_ns, started));
    json_put_text(o, "scratch", s->scratch != NULL ? s->scratch : "");
    return o;
}

static json_t *regions_facts(const struct engine *e)
{
    json_t *o = json_object();
    json_t *all = json_array();
    json_t *addresses = json_array();
    for (size_t i = 0; i < e->script->region_count; i++) {
        const char *region = e->script->regions[i];
        const struct config_site *site =
            e->o.config != NULL ? config_site(e->o.config, region) : NULL;
        json_array_append_new(all, json_printable(region));
        if (site != NULL && site->address != NULL)
            json_array_append_new(addresses, json_printable(site->address));
    }
    json_put(o, "all", all);
    json_put(o, "addresses", addresses);
    return o;
}

json_t *facts_for(const struct engine *e, const char *target)
{
    const struct run_state *s = &e->state;
    json_t *o = json_object();
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(s->start, "params"), name, value)
        json_put(o, name, json_incref(value));
    if (s->failed != NULL)
        json_put(o, "failed", region_facts(e, s->failed));
    if (s->active != NULL)
        json_put(o, "active", region_facts(e, s->active));
    const char *chosen = target != NULL ? target : s->target;
    if (chosen != NULL)
        json_put(o, "target", region_facts(e, chosen));
    json_put(o, "run", run_facts(e));
    json_put(o, "regions", regions_facts(e));
    json_t *plan = json_object();
    json_put_text(plan, "name", s->plan);
    json_put(o, "plan", plan);
    json_t *objectives = json_object();
    json_put_int(objectives, "rto", e->script->rto_ms);
    json_put_int(objectives, "rpo", e->script->rpo_ms);
    json_put(o, "objectives", objectives);
    for (size_t i = 0; i < s->step_count; i++)
        if (s->steps[i].outputs != NULL)
            json_put(o, s->steps[i].id, json_incref(s->steps[i].outputs));
    return o;
}

json_t *engine_facts(const struct engine *e)
{
    return facts_for(e, NULL);
}

enum dr_rc resolve(const struct engine *e, const void *with, const char *target, json_t **ret,
                   struct dr_err *err)
{
    DR_JSON json_t *values = facts_for(e, target);
    struct script_facts facts = { .values = values };
    return e->script->ops->resolve(e->script, with, NULL, &facts, ret, err);
}

enum dr_rc resolve_step(const struct engine *e, size_t i, json_t **ret, struct dr_err *err)
{
    DR_JSON json_t *values = engine_facts(e);
    struct script_facts facts = { .values = values };
    const struct script_step *s = &e->script->steps[i];
    enum step_how how = e->state.steps[i].how;
    const void *extra = how == HOW_WITH ? s->drill_with : NULL;
    DR_TRY(e->script->ops->resolve(e->script, s->with, extra, &facts, ret, err));
    if (how == HOW_ISOLATED)
        isolate(e, i, *ret);
    return DR_OK;
}

/* -- requests ---------------------------------------------------------------------------------- */

static void put_region(json_t *o, const char *key, const char *region)
{
    json_put(o, key, region != NULL ? json_printable(region) : json_null());
}

/* {"secret":"NAME"} in the journal is the secret itself on the child's descriptor. */
static json_t *with_secrets(const struct engine *e, const json_t *with)
{
    json_t *copy = json_deep_copy(with);
    const char *name = NULL;
    json_t *value = NULL;
    void *next = NULL;
    json_object_foreach_safe(copy, next, name, value)
    {
        const char *secret = json_string_value(json_object_get(value, "secret"));
        DR_FREE char *text = NULL;
        struct dr_err err = { 0 };
        if (secret != NULL && e->o.config != NULL &&
            config_secret(e->o.config, secret, &text, &err) == DR_OK)
            json_put_text(copy, name, text);
    }
    return copy;
}

json_t *request_of(const struct engine *e, const char *verb, const struct step_type *type,
                   const char *step, const json_t *with)
{
    const struct run_state *s = &e->state;
    json_t *o = json_object();
    json_t *run = run_facts(e);
    json_t *dark = json_array();
    const struct state_step *st = state_step_of(s, step);
    DR_FREE char *key = dr_strf("%s/%s/-/%d", s->id, step, st != NULL ? st->round : 1);
    put_region(run, "failed", s->failed);
    put_region(run, "active", s->active);
    put_region(run, "target", s->target);
    if (st != NULL) {
        put_isolated(e, (size_t)(st - s->steps), run);
        put_meant(e, (size_t)(st - s->steps), type, run);
    }
    bool gives_up = s->drill || (strcmp(s->mode, "failover") == 0 && type->class != STEP_FENCE);
    if (gives_up && s->failed != NULL)
        json_array_append_new(dark, json_printable(s->failed));
    json_put_int(o, "v", 1);
    json_put_text(o, "verb", verb);
    json_put_text(o, "type", type->name);
    json_put_text(o, "step", step);
    json_put_text(o, "key", key);
    json_put(o, "with", with_secrets(e, with));
    json_put(o, "former",
             st != NULL && st->former != NULL ? json_incref(st->former) : json_object());
    json_put(o, "run", run);
    json_put(o, "dark", dark);
    json_put_text(o, "config", e->o.config_path != NULL ? e->o.config_path : "");
    return o;
}

/* -- jobs -------------------------------------------------------------------------------------- */

bool is_active(const struct job *j)
{
    return j->doing != DO_NOTHING;
}

size_t active_jobs(const struct engine *e)
{
    size_t n = 0;
    for (size_t i = 0; i < e->script->step_count; i++)
        n += is_active(&e->jobs[i]);
    return n + active_asks(e);
}

void job_end(struct job *j)
{
    if (j->timer != NULL)
        j->e->world->ops->cancel(j->e->world, j->timer);
    json_decref(j->with);
    json_decref(j->evidence);
    json_decref(j->outputs);
    free(j->why);
    free(j->answer);
    free(j->proof);
    *j = (struct job){ .e = j->e, .i = j->i };
}

void stop_all(struct engine *e, const char *why, bool hard)
{
    for (size_t i = 0; i < e->script->step_count; i++)
        if (e->jobs[i].process != NULL)
            e->world->ops->stop(e->world, e->jobs[i].process, why, hard);
        else if (e->jobs[i].timer != NULL)
            job_end(&e->jobs[i]); /* it only waited: nothing is lost, a resume begins it again */
    for (size_t i = 0; i < e->preflight_count; i++)
        if (e->preflight[i].process != NULL)
            e->world->ops->stop(e->world, e->preflight[i].process, why, hard);
    for (size_t i = 0; i < e->script->invariant_count; i++)
        if (e->invariants[i].process != NULL)
            e->world->ops->stop(e->world, e->invariants[i].process, why, hard);
}

static bool says(const json_t *words, const char *key)
{
    return json_is_string(json_object_get(words, key));
}

void hear_words(struct engine *e)
{
    for (;;) {
        DR_JSON json_t *words = e->world->ops->hear(e->world);
        struct dr_err err = { 0 };
        if (words == NULL)
            break;
        if (!says(words, "verb") || !says(words, "by") || engine_hear(e, words, &err) != DR_OK) {
            json_t *b = json_object();
            json_put_text(b, "text", err.msg[0] != '\0' ? err.msg : "words that say nothing");
            commit(e, "note", b);
        }
    }
}

static void listen_on(void *arg)
{
    struct engine *e = arg;
    e->ear = NULL;
    hear_words(e);
    e->ear = e->world->ops->after(e->world, HEAR_MS, listen_on, e);
}

void engine_interrupt(struct engine *e)
{
    e->interrupts++;
    if (e->state.phase == RUN_HELD)
        e->leave = true;
    if (e->interrupts == 1 && (e->state.phase == RUN_RUNNING || e->state.phase == RUN_UNDOING ||
                               e->state.phase == RUN_PREFLIGHT))
        hold(e, NULL, "stopped at the terminal");
    if (e->interrupts > 1)
        stop_all(e, "stopped at the terminal", true);
    e->leave = true;
}

void engine_lose(struct engine *e)
{
    if (e->lost)
        return;
    e->lost = true;
    stop_all(e, "the run's lease is lost", true);
}

/* -- the end ----------------------------------------------------------------------------------- */

static void end_run(struct engine *e)
{
    const char *unproved = NULL;
    const char *warned = NULL;
    for (size_t i = 0; i < e->state.step_count; i++) {
        const struct state_step *st = &e->state.steps[i];
        bool check = strcmp(st->class, "check") == 0;
        if (check && (st->at == AT_TOLERATED || st->by_person))
            unproved = st->id;
        else if (st->at == AT_TOLERATED || st->by_person)
            warned = st->id;
    }
    json_t *b = json_object();
    DR_FREE char *why = e->state.dry       ? dr_strdup("dry run: nothing was changed")
                        : unproved != NULL ? dr_strf("finished, but NOT proved: %s %s", unproved,
                                                     state_step_of(&e->state, unproved)->by_person
                                                         ? "was skipped by a person"
                                                         : "failed")
                        : warned != NULL   ? dr_strf("recovered, but %s did not succeed", warned)
                                           : dr_strdup("all steps are done");
    enum run_phase then = unproved != NULL ? RUN_FAILED : RUN_RECOVERED;
    if (e->state.drill) {
        json_decref(b);
        drill_stops(e, then, why);
        return;
    }
    json_put_text(b, "why", why);
    body_run(b, then);
    commit(e, "end", b);
}

static void health_again(void *arg)
{
    ((struct engine *)arg)->health_timer = NULL;
}

/* The prober's word about the recovery; false: not yet. */
static bool seen_back(struct engine *e)
{
    bool back = false;
    if (e->state.has_recovered || e->state.dry || e->state.drill)
        return true; /* nothing was down that could be seen to come back */
    if (e->health_timer != NULL)
        return false;
    int64_t now = clock_boot_ms();
    if (e->health_until_ms == 0)
        e->health_until_ms = now + e->world->ops->health_wait_ms(e->world);
    DR_JSON json_t *health = e->world->ops->health(e->world, e->state.impact, &back);
    if (health != NULL && !back && now < e->health_until_ms) {
        e->health_timer = e->world->ops->after(e->world, HEALTH_MS, health_again, e);
        return false;
    }
    json_t *b = json_object();
    json_put_text(b, "method", health != NULL ? "probe" : "none");
    json_put(b, "health", health != NULL ? json_incref(health) : json_null());
    json_put_text(b, "why",
                  health == NULL ? "no probe is configured"
                  : back         ? "seen from outside"
                                 : "the probe has not seen enough passes in a row yet");
    commit(e, "recovered", b);
    return true;
}

static bool finish(struct engine *e)
{
    for (size_t i = 0; i < e->state.step_count; i++)
        if (!state_settled(&e->state.steps[i]))
            return false;
    if (active_jobs(e) > 0)
        return false;
    enum script_truth good = invariants_after(e);
    if (good != SCRIPT_YES)
        return good == SCRIPT_NO;
    if (!seen_back(e))
        return false;
    end_run(e);
    return true;
}

/* -- the loop ---------------------------------------------------------------------------------- */

/* One round of decisions; true: something changed, look again. */
static bool advance(struct engine *e)
{
    switch (e->state.phase) {
    case RUN_PREFLIGHT:
        return preflight_advance(e);
    case RUN_RUNNING:
        if (e->state.rewind.open)
            return rewind_advance(e);
        return act_on_failures(e) || start_steps(e) || finish(e);
    case RUN_UNDOING:
        return back_advance(e);
    case RUN_CLEANING:
        return e->cleans && clean_advance(e);
    default:
        return false;
    }
}

static void tell_waiting(struct engine *e)
{
    if (e->told_wait || e->o.view.waits == NULL)
        return;
    const char *step = NULL;
    for (size_t i = 0; i < e->state.step_count; i++)
        if (e->state.steps[i].at == AT_WAITING)
            step = e->state.steps[i].id;
    if (e->state.phase == RUN_RUNNING && step != NULL)
        e->o.view.waits(e->o.view.arg, step);
    else if (e->state.phase == RUN_HELD && active_jobs(e) == 0 && e->o.stay_when_held)
        e->o.view.waits(e->o.view.arg, NULL);
    else
        return;
    e->told_wait = true;
}

enum dr_rc engine_broken(const struct engine *e, struct dr_err *err)
{
    if (e->failure.rc != DR_OK) {
        *err = e->failure;
        return err->rc;
    }
    if (e->lost)
        return dr_fail(err, DR_E_REFUSED,
                       "the lease of run %s is lost: another runner has it, or it could not be "
                       "renewed in time",
                       e->state.id);
    return DR_OK;
}

enum dr_rc engine_go(struct engine *e, struct dr_err *err)
{
    e->went = true;
    if (e->ear == NULL)
        e->ear = e->world->ops->after(e->world, 0, listen_on, e);
    for (;;) {
        while (!broken(e) && advance(e))
            ;
        if (broken(e))
            break;
        bool idle = active_jobs(e) == 0;
        if (idle && run_is_past(e->state.phase))
            break;
        if (idle && e->state.phase == RUN_HELD && (!e->o.stay_when_held || e->leave))
            break;
        tell_waiting(e);
        if (e->world->ops->lease_left_ms(e->world) <= 0) {
            engine_lose(e);
            break;
        }
        bool more = e->world->ops->turn(e->world);
        DR_ASSERT(more);
    }
    if (broken(e))
        stop_all(e, "the runner stops", true);
    while (active_jobs(e) > 0 && broken(e) && e->world->ops->turn(e->world))
        ;
    return engine_broken(e, err);
}

/* -- life -------------------------------------------------------------------------------------- */

struct engine *engine_new(const struct script *script, struct journal *journal, struct world *world,
                          const struct engine_options *options)
{
    struct engine *e = dr_alloc(1, sizeof(*e));
    e->script = script;
    e->journal = journal;
    e->world = world;
    e->o = *options;
    if (journal != NULL)
        state_replay(&e->state, journal_all(journal));
    else
        apply_unkept(e, "start", json_incref(options->start));
    DR_ASSERT(e->state.step_count == script->step_count);
    e->jobs = dr_alloc(script->step_count + 1, sizeof(*e->jobs));
    for (size_t i = 0; i < script->step_count; i++)
        e->jobs[i] = (struct job){ .e = e, .i = i };
    e->invariants = dr_alloc(script->invariant_count + 1, sizeof(*e->invariants));
    for (size_t i = 0; i < script->invariant_count; i++)
        e->invariants[i] = (struct ask){ .e = e, .check = &script->invariants[i] };
    return e;
}

void engine_free(struct engine *e)
{
    if (e == NULL)
        return;
    if (e->ear != NULL)
        e->world->ops->cancel(e->world, e->ear);
    if (e->health_timer != NULL)
        e->world->ops->cancel(e->world, e->health_timer);
    for (size_t i = 0; i < e->script->step_count; i++)
        job_end(&e->jobs[i]);
    for (size_t i = 0; i < e->script->invariant_count; i++)
        ask_end(&e->invariants[i]);
    for (size_t i = 0; i < e->preflight_count; i++)
        ask_end(&e->preflight[i]);
    free(e->jobs);
    free(e->invariants);
    free(e->preflight);
    free(e->near);
    run_state_fini(&e->state);
    free(e);
}

const struct run_state *engine_state(const struct engine *e)
{
    return &e->state;
}

void engine_set_view(struct engine *e, const struct engine_view *view, bool stay)
{
    e->o.view = *view;
    e->o.stay_when_held = stay;
}
