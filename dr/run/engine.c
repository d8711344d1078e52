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
    json_put(o, "drill", json_false());
    json_put_text(o, "by", "person");
    json_put_int(o, "epoch", s->epoch);
    json_put_text(o, "started", time_print(s->started_ns, started));
    json_put_text(o, "scratch", "");
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
    return e->script->ops->resolve(e->script, with, &facts, ret, err);
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
    if (strcmp(s->mode, "failover") == 0 && s->failed != NULL && type->class != STEP_FENCE)
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
    free(j->proof);
    *j = (struct job){ .e = j->e, .i = j->i };
}

static void stop_all(struct engine *e, const char *why, bool hard)
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

/* -- people ------------------------------------------------------------------------------------ */

bool has_role(const struct engine *e, const char *who, const char *role)
{
    const struct config *c = e->o.config;
    for (size_t i = 0; c != NULL && i < c->person_count; i++)
        if (strcmp(c->people[i].name, who) == 0 && strcmp(c->people[i].role, role) == 0)
            return true;
    return c == NULL;
}

static const char *word(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void put_word(json_t *b, const json_t *words, const char *key)
{
    const char *text = word(words, key);
    json_put(b, key, text != NULL ? json_printable(text) : json_null());
}

static enum dr_rc hear_answer(struct engine *e, const json_t *words, struct dr_err *err)
{
    const char *by = word(words, "by");
    const struct state_step *st = state_step_of(&e->state, word(words, "step"));
    for (size_t i = 0; word(words, "step") == NULL && i < e->state.step_count; i++)
        if (e->state.steps[i].at == AT_WAITING)
            st = &e->state.steps[i];
    if (st == NULL || st->at != AT_WAITING)
        return dr_fail(err, DR_E_REFUSED, "no approval is waited for%s%s", st != NULL ? " at " : "",
                       st != NULL ? st->id : "");
    const char *role = json_string_value(json_object_get(st->with, "role"));
    if (role != NULL && !has_role(e, by, role)) {
        (void)dr_fail(err, DR_E_REFUSED, "'%s' does not have the role '%s'", by, role);
        return dr_hint(err, "Roles are given in incident_response.contact_information.");
    }
    DR_FREE char *who = dr_strf("%s/%s", st->id, by);
    if (text_list_has(&e->state.approvers, who))
        return dr_fail(err, DR_E_REFUSED, "'%s' has answered already", by);
    DR_JSON json_t *copy = json_deep_copy(words);
    json_put_text(copy, "step", st->id);
    step_answered(e, copy);
    return DR_OK;
}

/*
 * Without a fence two regions may write. It takes a reason, the region's name, and as many people as
 * the plan's largest approval asks for; ret_enough is false while others have to agree.
 */
static enum dr_rc agree_without_fence(struct engine *e, const struct state_step *st,
                                      const json_t *words, bool *ret_enough, struct dr_err *err)
{
    const char *confirm = word(words, "confirm");
    const char *reason = word(words, "reason");
    const char *by = word(words, "by");
    DR_JSON json_t *with = NULL;
    struct dr_err unknown = { 0 };
    size_t i = (size_t)(st - e->state.steps);
    const char *region = e->state.failed;
    if (resolve(e, e->script->steps[i].with, NULL, &with, &unknown) == DR_OK &&
        guard_fenced_region(e, with) != NULL)
        region = guard_fenced_region(e, with);
    if (reason == NULL || reason[0] == '\0' || confirm == NULL || region == NULL ||
        strcmp(confirm, region) != 0) {
        (void)dr_fail(err, DR_E_REFUSED, "'%s' is a fence: without it two regions may write",
                      st->id);
        return dr_hint(err,
                       "Only if the old writer is surely off: drctl runs skip %s --reason TEXT "
                       "--confirm REGION, with the name of the region.",
                       st->id);
    }
    if (text_list_has(&st->agreed, by))
        return dr_fail(err, DR_E_REFUSED, "'%s' has agreed already: another person has to", by);
    int64_t people = guard_people(e);
    int64_t have = (int64_t)st->agreed.count + 1;
    *ret_enough = have >= people;
    if (*ret_enough)
        return DR_OK;
    json_t *b = json_object();
    DR_FREE char *why =
        dr_strf("going on without the fence '%s' takes %d people: %s has agreed, %d "
                "more must (drctl runs skip %s)",
                st->id, (int)people, by, (int)(people - have), st->id);
    json_put_text(b, "step", st->id);
    put_word(b, words, "by");
    put_word(b, words, "reason");
    json_put_int(b, "people", people);
    json_put_text(b, "why", why);
    json_put_text(b, "at", st->id);
    body_run(b, RUN_HELD);
    commit(e, "agree", b);
    return DR_OK;
}

static enum dr_rc hear_skip(struct engine *e, const json_t *words, struct dr_err *err)
{
    struct state_step *st = state_step_of(&e->state, word(words, "step"));
    bool by_hand = json_is_true(json_object_get(words, "by_hand"));
    if (st == NULL)
        return dr_fail(err, DR_E_USAGE, "the run has no step '%s'", word(words, "step"));
    if (e->state.phase != RUN_HELD || active_jobs(e) > 0)
        return dr_fail(err, DR_E_REFUSED, "a step can be skipped only while the run is held");
    if (st->at != AT_FAILED && st->at != AT_UNKNOWN && st->at != AT_PENDING)
        return dr_fail(err, DR_E_REFUSED, "step '%s' is %s: nothing to skip", st->id,
                       step_at_name(st->at));
    bool undo = e->state.back || e->state.rewind.open;
    bool enough = true;
    if (strcmp(st->class, "fence") == 0 && !undo)
        DR_TRY(agree_without_fence(e, st, words, &enough, err));
    if (!enough)
        return DR_OK;
    enum step_at at = by_hand && !undo ? AT_DONE : AT_SKIPPED;
    json_t *b = body_of(e, st->id, at);
    put_word(b, words, "by");
    put_word(b, words, "reason");
    DR_FREE char *others = text_list_join(&st->agreed, ", ");
    DR_FREE char *why = dr_strf("%s by %s%s%s: %s",
                                undo      ? "left behind"
                                : by_hand ? "done by hand"
                                          : "skipped",
                                word(words, "by"), st->agreed.count > 0 ? ", " : "",
                                st->agreed.count > 0 ? others : "",
                                word(words, "reason") != NULL ? word(words, "reason") : "");
    json_put_text(b, "why", why);
    body_run(b, e->state.back ? RUN_UNDOING : RUN_RUNNING);
    if (undo) {
        json_put(b, "left_behind", json_true());
        json_put_int(b, "attempt", st->undo_attempt);
        json_put_text(b, "verdict", "unknown");
        commit(e, "undo", b);
        return DR_OK;
    }
    json_put(b, "by_hand", json_boolean(by_hand));
    commit(e, "skip", b);
    return DR_OK;
}

static enum dr_rc hear_undo(struct engine *e, const json_t *words, struct dr_err *err)
{
    const char *to = word(words, "to");
    if (e->state.phase != RUN_HELD && e->state.phase != RUN_RUNNING &&
        e->state.phase != RUN_PREFLIGHT)
        return dr_fail(err, DR_E_REFUSED, "the run is %s: nothing to take back",
                       run_phase_name(e->state.phase));
    if (to != NULL && state_step_of(&e->state, to) == NULL)
        return dr_fail(err, DR_E_USAGE, "the run has no step '%s'", to);
    if (e->state.rewind.open) {
        json_t *end = json_object();
        json_put_text(end, "phase", "end");
        json_put_text(end, "region", e->state.rewind.region);
        json_put(end, "steps", json_array());
        json_put(end, "cut", json_true());
        commit(e, "rewind", end);
    }
    json_t *b = json_object();
    put_word(b, words, "by");
    put_word(b, words, "to");
    put_word(b, words, "reason");
    DR_FREE char *why = dr_strf("at %s's word", word(words, "by"));
    json_put_text(b, "why", why);
    body_run(b, RUN_UNDOING);
    commit(e, "back", b);
    return DR_OK;
}

/* The standby is given up as by on_error: next_standby; what does not belong to it (the fence) stays. */
static enum dr_rc hear_next(struct engine *e, const json_t *words, struct dr_err *err)
{
    const struct state_step *st = state_step_of(&e->state, e->state.held_at);
    if (e->state.phase != RUN_HELD || e->state.back || e->state.rewind.open || active_jobs(e) > 0)
        return dr_fail(err, DR_E_REFUSED,
                       "a standby is given up only while the run is held, and "
                       "not going back");
    if (state_past_ponr(&e->state))
        return dr_fail(err, DR_E_REFUSED, "the point of no return is passed");
    if (e->state.target == NULL || st == NULL || !st->target || strcmp(st->use, "region.pick") == 0)
        return dr_fail(err, DR_E_REFUSED, "what holds the run does not belong to a standby");
    give_up_target(e, word(words, "by"));
    return DR_OK;
}

static enum dr_rc hear_abort(struct engine *e, const json_t *words, struct dr_err *err)
{
    if (run_is_final(e->state.phase))
        return dr_fail(err, DR_E_REFUSED, "the run is over: %s", run_phase_name(e->state.phase));
    stop_all(e, "aborted", true);
    json_t *b = json_object();
    DR_CLEANUP(text_list_fini) struct text_list left = { 0 };
    for (size_t i = 0; i < e->state.step_count; i++)
        if (e->state.steps[i].ours)
            text_list_add(&left, e->state.steps[i].id);
    DR_FREE char *names = text_list_join(&left, ", ");
    DR_FREE char *why = left.count > 0 ? dr_strf("left as it is: %s; nothing was undone", names)
                                       : dr_strdup("nothing was changed");
    put_word(b, words, "by");
    put_word(b, words, "reason");
    json_put_text(b, "why", why);
    body_run(b, RUN_ABORTED);
    commit(e, "abort", b);
    return DR_OK;
}

enum dr_rc engine_hear(struct engine *e, const json_t *words, struct dr_err *err)
{
    const char *verb = word(words, "verb");
    static const char *const answers[] = { "approve", "reject" };
    DR_ASSERT(verb != NULL);
    e->told_wait = false;
    if (strcmp(verb, answers[0]) == 0 || strcmp(verb, answers[1]) == 0)
        return hear_answer(e, words, err);
    if (strcmp(verb, "skip") == 0)
        return hear_skip(e, words, err);
    if (strcmp(verb, "undo") == 0)
        return hear_undo(e, words, err);
    if (strcmp(verb, "next") == 0)
        return hear_next(e, words, err);
    if (strcmp(verb, "abort") == 0)
        return hear_abort(e, words, err);
    if (strcmp(verb, "resume") == 0 && e->state.phase == RUN_HELD)
        return engine_resume(e, word(words, "by"), e->state.host,
                             json_is_true(json_object_get(words, "forward")), err);
    return dr_fail(err, DR_E_REFUSED, "the run is %s: '%s' has no meaning now",
                   run_phase_name(e->state.phase), verb);
}

static void listen_on(void *arg)
{
    struct engine *e = arg;
    e->ear = NULL;
    for (;;) {
        DR_JSON json_t *words = e->world->ops->hear(e->world);
        struct dr_err err = { 0 };
        if (words == NULL)
            break;
        if (word(words, "verb") == NULL || word(words, "by") == NULL ||
            engine_hear(e, words, &err) != DR_OK) {
            json_t *b = json_object();
            json_put_text(b, "text", err.msg[0] != '\0' ? err.msg : "words that say nothing");
            commit(e, "note", b);
        }
    }
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
    json_put_text(b, "why", why);
    body_run(b, unproved != NULL ? RUN_FAILED : RUN_RECOVERED);
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
    if (e->state.has_recovered || e->state.dry)
        return true;
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

enum dr_rc engine_go(struct engine *e, struct dr_err *err)
{
    e->ear = e->world->ops->after(e->world, 0, listen_on, e);
    for (;;) {
        while (!broken(e) && advance(e))
            ;
        if (broken(e))
            break;
        bool idle = active_jobs(e) == 0;
        if (idle && run_is_final(e->state.phase))
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

/* -- life -------------------------------------------------------------------------------------- */

struct engine *engine_new(const struct script *script, struct journal *journal, struct world *world,
                          const struct engine_options *options)
{
    struct engine *e = dr_alloc(1, sizeof(*e));
    e->script = script;
    e->journal = journal;
    e->world = world;
    e->o = *options;
    state_replay(&e->state, journal_all(journal));
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
