/*
 * round.c - one step forward: is it in place? intent, apply, verify, outcome (LANGUAGE chapter 6).
 *
 * Each function here ends with a record and, after it, at most one act. From the second attempt on,
 * and after any doubt, the own check comes before the next intent: an effect is never done
 * twice in a round without having asked. A step that cannot be asked stays unknown, and the run
 * waits for a person.
 */
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/run/guard.h"
#include "dr/run/inside.h"

enum { PAUSE_FIRST_MS = 1000, PAUSE_MAX_MS = 30000 };

static void apply_now(struct job *j);
static void own_check(struct job *j);
static void verify_next(struct job *j);
static void poll_now(struct job *j);

const struct script_step *step_of(const struct job *j)
{
    return &j->e->script->steps[j->i];
}

struct state_step *at_of(const struct job *j)
{
    return state_at(j->e, j->i);
}

/* Is the run still going forward, so that a new attempt may begin? */
static bool may_begin(const struct engine *e)
{
    return e->state.phase == RUN_RUNNING && !e->state.rewind.open && !is_decided(e);
}

/* The run has ended under a job (abort, loss): nothing more is written about it. */
bool is_over(struct job *j)
{
    if (!broken(j->e) && !run_is_past(j->e->state.phase))
        return false;
    job_end(j);
    return true;
}

static void remember(char **field, const char *text)
{
    char *copy = text != NULL ? dr_strdup(text) : NULL;
    free(*field);
    *field = copy;
}

/* -- outcomes ---------------------------------------------------------------------------------- */

json_t *outcome_body(struct job *j, enum step_at at, const char *verdict, const char *why)
{
    const struct state_step *st = at_of(j);
    json_t *b = body_of(j->e, st->id, at);
    json_put_int(b, "round", st->round);
    json_put_int(b, "attempt", st->attempt);
    json_put_text(b, "verdict", verdict);
    json_put_text(b, "why", why != NULL ? why : "");
    json_put_int(b, "dur_ms", clock_boot_ms() - j->began_ms);
    if (j->tries > 0)
        json_put_int(b, "tries", j->tries);
    if (j->refused > 0)
        json_put_int(b, "refused", j->refused);
    if (st->how == HOW_ISOLATED)
        json_put(b, "isolated", json_true());
    j->refused = 0;
    if (j->proof != NULL)
        json_put_text(b, "proof", j->proof);
    if (j->evidence != NULL)
        json_put(b, "evidence", json_incref(j->evidence));
    if (j->outputs != NULL)
        json_put(b, "outputs", json_incref(j->outputs));
    return b;
}

void finish_done(struct job *j, const char *why)
{
    struct engine *e = j->e;
    bool effect = step_is_effect(step_of(j)->type);
    json_t *b = outcome_body(j, AT_DONE, "pass", why);
    DR_FREE char *id = dr_strdup(at_of(j)->id);
    job_end(j);
    commit(e, "outcome", b);
    if (effect && !broken(e)) {
        remember(&e->near, id);
        if (e->state.phase == RUN_RUNNING)
            (void)invariants_after(e); /* asked now, acted on before the next effect or the end */
    }
}

static void finish_failed(struct job *j, const char *type, const char *verdict, const char *why,
                          enum step_at at)
{
    struct engine *e = j->e;
    size_t i = j->i;
    json_t *b = outcome_body(j, at, verdict, why);
    job_end(j);
    add_failure(e, i, b, at);
    commit(e, type, b);
}

static bool has_own_check(const struct job *j)
{
    const struct script_step *s = step_of(j);
    if (is_elsewhere_done(j->e, j->i))
        return s->type->has_check || s->repeatable;
    return s->check != NULL || s->repeatable || s->own_check;
}

/* Nobody can say, and doing it again does no harm. */
static bool is_repeatable(const struct job *j)
{
    const struct script_step *s = step_of(j);
    return s->repeatable && !(is_elsewhere_done(j->e, j->i) && s->type->has_check);
}

/* -- between attempts -------------------------------------------------------------------------- */

static void begin_attempt(struct job *j);

static void after_pause(void *arg)
{
    struct job *j = arg;
    j->timer = NULL;
    if (is_over(j))
        return;
    if (!may_begin(j->e)) {
        finish_failed(j, "outcome", "fail", j->why, AT_FAILED);
        return;
    }
    if (has_own_check(j))
        own_check(j);
    else
        begin_attempt(j);
}

/* Full jitter: anything up to the doubled pause, so that many do not knock at once. */
static void pause_then(struct job *j, int attempt, void (*then)(void *))
{
    int64_t most = PAUSE_FIRST_MS;
    for (int k = 1; k < attempt && most < PAUSE_MAX_MS; k++)
        most *= 2;
    if (most > PAUSE_MAX_MS)
        most = PAUSE_MAX_MS;
    struct world *w = j->e->world;
    j->doing = DO_PAUSE;
    j->timer = w->ops->after(w, (int64_t)(w->ops->random(w) * (double)most), then, j);
}

/* The step itself, or its verification, said no. */
static void attempt_failed(struct job *j, const char *why)
{
    struct engine *e = j->e;
    const struct script_step *s = step_of(j);
    const struct state_step *st = at_of(j);
    int left = s->retry + 1 - st->used;
    if (left > 0 && may_begin(e)) {
        json_t *b = outcome_body(j, AT_RUNNING, "fail", why);
        json_put_int(b, "left", left);
        commit(e, "outcome", b);
        remember(&j->why, why);
        pause_then(j, st->used, after_pause);
        return;
    }
    if (s->ponr && has_own_check(j) && !j->settle) {
        remember(&j->why, why);
        j->settle = true;
        own_check(j);
        return;
    }
    finish_failed(j, "outcome", "fail", why, AT_FAILED);
}

/* -- the own check ----------------------------------------------------------------------------- */

/* The state after the own check's answer. */
static enum step_at after_check(const struct job *j, enum step_verdict verdict)
{
    const struct state_step *st = at_of(j);
    const struct script_step *s = step_of(j);
    bool began = st->intent_n != 0; /* an effect of ours may be what it sees */
    if (verdict == STEP_UNKNOWN)
        return AT_UNKNOWN;
    if (verdict == STEP_PASS)
        return j->settle ? AT_FAILED : began ? AT_RUNNING : AT_DONE;
    if (began && (st->used > s->retry || !may_begin(j->e) || j->settle))
        return AT_FAILED; /* no attempt is left */
    return st->at == AT_PENDING || st->at == AT_UNDONE ? st->at : AT_RUNNING;
}

static void check_says(struct job *j, enum step_verdict verdict, const char *why, json_t *former)
{
    struct engine *e = j->e;
    enum step_at at = after_check(j, verdict);
    DR_FREE char *told =
        j->settle && j->why != NULL ? dr_strdup(j->why) : dr_strdup(why != NULL ? why : "");
    json_t *b = outcome_body(j, at, verdict_word(verdict), told);
    if (former != NULL)
        json_put(b, "former", json_incref(former));
    if (at == AT_DONE) {
        json_put(b, "already", json_true());
        put_title(e, j->i, b); /* no intent will say it */
    }
    size_t i = j->i;
    if (at == AT_DONE || at == AT_FAILED || at == AT_UNKNOWN)
        job_end(j);
    if (at == AT_FAILED || at == AT_UNKNOWN)
        add_failure(e, i, b, at);
    commit(e, "check", b);
    if (!is_active(j) || is_over(j))
        return;
    if (verdict == STEP_PASS) {
        j->verify_at = 0;
        j->deadline_ms = clock_boot_ms() + step_of(j)->timeout_ms;
        verify_next(j);
    } else {
        begin_attempt(j);
    }
}

/* A fence that says it is done and does not say how that is known is not done. */
static void want_proof(const struct job *j, struct step_outcome *out)
{
    if (step_of(j)->class != STEP_FENCE || out->verdict != STEP_PASS || guard_is_proof(out->proof))
        return;
    char *why = dr_strf("says that it is done, but gives no proof: %s", out->why);
    free(out->why);
    out->why = why;
    out->verdict = STEP_UNKNOWN;
}

static void on_own_check(void *arg, struct step_outcome *out)
{
    struct job *j = arg;
    j->process = NULL;
    if (is_over(j))
        return;
    j->refused += out->refused;
    want_proof(j, out);
    remember(&j->proof, out->proof);
    check_says(j, out->verdict, out->why, out->former);
}

/* Start a request for this job; a request that cannot even be made gives an outcome of its own. */
static void ask(struct job *j, const char *verb, const struct step_type *type, const json_t *with,
                int64_t timeout_ms, void (*done)(void *, struct step_outcome *));

static void own_check(struct job *j)
{
    const struct script_step *s = step_of(j);
    int64_t timeout = s->timeout_ms < ENGINE_OWN_CHECK_MS ? s->timeout_ms : ENGINE_OWN_CHECK_MS;
    struct dr_err err = { 0 };
    j->doing = DO_OWN_CHECK;
    if (is_repeatable(j)) {
        check_says(j, STEP_FAIL, "may be repeated", NULL);
        return;
    }
    if (s->check == NULL || is_elsewhere_done(j->e, j->i)) {
        ask(j, "check", s->type, j->with, timeout, on_own_check);
        return;
    }
    DR_JSON json_t *with = NULL;
    if (resolve(j->e, s->check->with, NULL, &with, &err) != DR_OK) {
        check_says(j, STEP_UNKNOWN, err.msg, NULL);
        return;
    }
    ask(j, "check", s->check->type, with, timeout, on_own_check);
}

/* -- one attempt ------------------------------------------------------------------------------- */

static void on_event(void *arg, const json_t *event)
{
    struct job *j = arg;
    struct engine *e = j->e;
    const char *kind = json_string_value(json_object_get(event, "event"));
    bool former = kind != NULL && strcmp(kind, "former") == 0;
    if (former && j->doing == DO_APPLY && !run_is_past(e->state.phase)) {
        json_t *b = json_object();
        json_put_text(b, "step", at_of(j)->id);
        json_put(b, "value", json_incref(json_object_get(event, "value")));
        commit(e, "former", b);
    }
    if (!former && e->o.view.event != NULL)
        e->o.view.event(e->o.view.arg, at_of(j)->id, event);
}

static void ask(struct job *j, const char *verb, const struct step_type *type, const json_t *with,
                int64_t timeout_ms, void (*done)(void *, struct step_outcome *))
{
    struct engine *e = j->e;
    struct dr_err err = { 0 };
    struct step_hooks hooks = { .event = on_event, .done = done, .arg = j };
    DR_JSON json_t *request = request_of(e, verb, type, at_of(j)->id, with);
    if (timeout_ms < 1)
        timeout_ms = 1;
    json_put_int(request, "timeout_ms", timeout_ms);
    if (e->world->ops->start(e->world, request, timeout_ms, &hooks, &j->process, &err) == DR_OK)
        return;
    struct step_outcome out = { .verdict = STEP_FAIL, .why = dr_strdup(err.msg) };
    done(j, &out);
    step_outcome_fini(&out);
}

static void take_outcome(struct job *j, struct step_outcome *out)
{
    remember(&j->why, out->why);
    remember(&j->proof, out->proof);
    j->refused += out->refused;
    json_decref(j->evidence);
    json_decref(j->outputs);
    j->evidence = json_incref(out->evidence);
    j->outputs = json_incref(out->outputs);
}

static void in_doubt(struct job *j, const struct step_outcome *out)
{
    if (!has_own_check(j)) {
        finish_failed(j, "outcome", "unknown", out->why, AT_UNKNOWN);
        return;
    }
    json_t *b = outcome_body(j, AT_CHECKING, "unknown", out->why);
    json_put(b, "doubt", json_boolean(out->doubt));
    commit(j->e, "outcome", b);
    if (!is_over(j))
        own_check(j);
}

static void on_applied(void *arg, struct step_outcome *out)
{
    struct job *j = arg;
    j->process = NULL;
    if (is_over(j))
        return;
    want_proof(j, out);
    take_outcome(j, out);
    if (out->verdict == STEP_PASS)
        verify_next(j);
    else if (out->verdict == STEP_UNKNOWN && step_is_effect(step_of(j)->type))
        in_doubt(j, out);
    else
        attempt_failed(j, out->why);
}

static void apply_now(struct job *j)
{
    const struct script_step *s = step_of(j);
    j->doing = DO_APPLY;
    j->began_ms = clock_boot_ms();
    j->deadline_ms = j->began_ms + s->timeout_ms;
    j->verify_at = 0;
    ask(j, "apply", s->type, j->with, s->timeout_ms, on_applied);
}

void put_title(const struct engine *e, size_t i, json_t *b)
{
    DR_JSON json_t *values = engine_facts(e);
    struct script_facts facts = { .values = values };
    DR_FREE char *title = e->script->ops->title(e->script, i, &facts);
    json_put_text(b, "title", title);
}

/* Still ours for long enough? If not, everything stops. */
static bool has_lease(struct job *j)
{
    struct engine *e = j->e;
    if (e->world->ops->lease_left_ms(e->world) >= ENGINE_LEASE_RESERVE_MS)
        return true;
    engine_lose(e);
    job_end(j);
    return false;
}

/* A rule of the house says no: the step has failed, and a person is needed whatever on_error says. */
static bool is_forbidden(struct job *j)
{
    struct engine *e = j->e;
    size_t i = j->i;
    DR_FREE char *why = guard_step(e, i);
    if (why == NULL)
        return false;
    json_t *b = outcome_body(j, AT_FAILED, "fail", why);
    job_end(j);
    json_put_text(b, "decision", on_error_name(ON_HOLD));
    json_put_text(b, "at", e->script->steps[i].id);
    body_run(b, RUN_HELD);
    commit(e, "outcome", b);
    return true;
}

static void intent(struct job *j)
{
    struct engine *e = j->e;
    const struct script_step *s = step_of(j);
    const struct state_step *st = at_of(j);
    json_t *b = body_of(e, st->id, AT_RUNNING);
    DR_FREE char *key = dr_strf("%s/%s/-/%d", e->state.id, st->id, st->round);
    json_put_int(b, "round", st->round);
    json_put_int(b, "attempt", st->attempt + 1);
    json_put_text(b, "key", key);
    json_put_text(b, "use", s->type->name);
    json_put_text(b, "class", st->class);
    put_title(j->e, j->i, b);
    json_put(b, "with", json_incref(j->with));
    json_put_int(b, "timeout_ms", s->timeout_ms);
    if (st->how == HOW_ISOLATED)
        json_put(b, "isolated", json_true());
    if (st->former != NULL)
        json_put(b, "former", json_incref(st->former));
    j->began_ms = clock_boot_ms();
    if (!step_is_effect(s->type)) {
        commit(e, "intent", b);
        if (!is_over(j))
            apply_now(j);
        return;
    }
    if (commit_intent(e, "intent", b)) {
        if (has_lease(j)) /* storing it may have taken long */
            apply_now(j);
        return;
    }
    if (is_over(j))
        return;
    j->settle = true; /* nothing was begun: say so, and hold */
    json_t *no = outcome_body(j, AT_FAILED, "fail",
                              "not begun: no bucket outside the failed region took the intent");
    size_t i = j->i;
    job_end(j);
    add_failure(e, i, no, AT_FAILED);
    json_put_text(no, "decision", on_error_name(ON_HOLD));
    body_run(no, RUN_HELD);
    commit(e, "check", no);
}

/* Everything that must be true right before an effect. */
static void begin_attempt(struct job *j)
{
    struct engine *e = j->e;
    const struct script_step *s = step_of(j);
    if (is_over(j))
        return;
    if (!step_is_effect(s->type)) {
        intent(j);
        return;
    }
    if (!has_lease(j) || is_forbidden(j))
        return;
    j->doing = DO_INVARIANTS;
    enum script_truth good = invariants_hold(e, at_of(j)->id);
    if (good == SCRIPT_YES && may_begin(e))
        intent(j);
    else if (good == SCRIPT_NO || !may_begin(e)) {
        if (at_of(j)->at == AT_RUNNING || at_of(j)->at == AT_CHECKING)
            commit(e, "pending", body_of(e, at_of(j)->id, AT_PENDING));
        job_end(j);
    }
}

void go_on_after_invariants(struct engine *e)
{
    for (size_t i = 0; i < e->script->step_count && !broken(e); i++)
        if (e->jobs[i].doing == DO_INVARIANTS)
            begin_attempt(&e->jobs[i]);
}

/* -- verify ------------------------------------------------------------------------------------ */

int64_t with_ms(const json_t *with, const char *name, int64_t fallback)
{
    const json_t *v = json_object_get(with, name);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

static void verify_again(void *arg)
{
    struct job *j = arg;
    j->timer = NULL;
    if (!is_over(j))
        verify_next(j);
}

static void on_verified(void *arg, struct step_outcome *out)
{
    struct job *j = arg;
    const struct script_step *s = step_of(j);
    j->process = NULL;
    if (is_over(j))
        return;
    j->refused += out->refused;
    if (out->verdict == STEP_PASS) {
        j->verify_at++;
        verify_next(j);
        return;
    }
    if (clock_boot_ms() + ENGINE_CHECK_EVERY_MS / 5 >= j->deadline_ms) {
        DR_FREE char *why =
            dr_strf("done, but not verified: %s: %s", s->verify[j->verify_at].type->name, out->why);
        attempt_failed(j, why);
        return;
    }
    struct world *w = j->e->world;
    j->timer = w->ops->after(w, ENGINE_CHECK_EVERY_MS / 5, verify_again, j);
}

static void verify_next(struct job *j)
{
    const struct script_step *s = step_of(j);
    DR_JSON json_t *with = NULL;
    struct dr_err err = { 0 };
    j->doing = DO_VERIFY;
    if (is_elsewhere_done(j->e, j->i) && s->verify_count > 0) {
        DR_FREE char *why = dr_strf("%s (not verified: that would look at production)",
                                    j->why != NULL ? j->why : "done");
        finish_done(j, why);
        return;
    }
    if (j->verify_at >= s->verify_count) {
        DR_FREE char *why = j->why != NULL ? dr_strdup(j->why) : NULL;
        finish_done(j, why);
        return;
    }
    const struct script_check *c = &s->verify[j->verify_at];
    if (resolve(j->e, c->with, NULL, &with, &err) != DR_OK) {
        attempt_failed(j, err.msg);
        return;
    }
    int64_t left = j->deadline_ms - clock_boot_ms();
    ask(j, "verify", c->type, with, left < c->timeout_ms ? left : c->timeout_ms, on_verified);
}

/* -- a check as a step ------------------------------------------------------------------------- */

static void poll_again(void *arg)
{
    struct job *j = arg;
    j->timer = NULL;
    if (!is_over(j))
        poll_now(j);
}

static void on_polled(void *arg, struct step_outcome *out)
{
    struct job *j = arg;
    j->process = NULL;
    if (is_over(j))
        return;
    take_outcome(j, out);
    /* What is unknown, as at a site from which no answer came in time, hides no answer that was given. */
    bool answered = !out->doubt && (out->verdict != STEP_UNKNOWN || j->answer == NULL);
    if (answered)
        remember(&j->answer, out->why);
    j->tries++;
    j->passes = out->verdict == STEP_PASS ? j->passes + 1 : 0;
    if (j->passes >= with_ms(j->with, "times", 1)) {
        finish_done(j, out->why);
        return;
    }
    int64_t every = with_ms(j->with, "every", ENGINE_CHECK_EVERY_MS);
    if (clock_boot_ms() + every >= j->deadline_ms && out->verdict != STEP_PASS) {
        /* An attempt that the deadline cut says nothing: what was answered before it is the reason. */
        const char *answer = answered || j->answer == NULL ? out->why : j->answer;
        DR_FREE char *why = strcmp(answer, out->why) != 0
                                ? dr_strf("%s (last attempt: %s)", answer, out->why)
                                : dr_strdup(answer);
        finish_failed(j, "outcome", verdict_word(out->verdict), why, AT_FAILED);
        return;
    }
    struct world *w = j->e->world;
    j->timer = w->ops->after(w, every, poll_again, j);
}

static void poll_now(struct job *j)
{
    const struct script_step *s = step_of(j);
    int64_t left = j->deadline_ms - clock_boot_ms();
    j->doing = DO_POLL;
    ask(j, "check", s->type, j->with, left > 1000 ? left : 1000, on_polled);
}

static void begin_poll(struct job *j)
{
    struct engine *e = j->e;
    const struct script_step *s = step_of(j);
    json_t *b = body_of(e, at_of(j)->id, AT_RUNNING);
    json_put_int(b, "round", at_of(j)->round);
    json_put_text(b, "use", s->type->name);
    put_title(j->e, j->i, b);
    json_put(b, "with", json_incref(j->with));
    json_put_int(b, "timeout_ms", s->timeout_ms);
    commit(e, "begin", b);
    if (is_over(j))
        return;
    j->began_ms = clock_boot_ms();
    j->deadline_ms = j->began_ms + s->timeout_ms;
    poll_now(j);
}

/* -- starting ---------------------------------------------------------------------------------- */

static void begin_effect(struct job *j)
{
    bool doubt = at_of(j)->at == AT_CHECKING;
    if (doubt && !has_own_check(j))
        finish_failed(j, "outcome", "unknown", "nobody can say whether it is in place", AT_UNKNOWN);
    else if (has_own_check(j) && (doubt || !is_repeatable(j)))
        own_check(j);
    else
        begin_attempt(j);
}

static void begin(struct job *j)
{
    const struct script_step *s = step_of(j);
    j->began_ms = clock_boot_ms();
    if (simulate(j))
        return;
    if (strcmp(s->type->name, "region.pick") == 0)
        pick_region(j);
    else if (strcmp(s->type->name, "wait") == 0)
        begin_wait(j);
    else if (s->type->class == STEP_PERSON)
        begin_approval(j);
    else if (s->type->class == STEP_CHECK)
        begin_poll(j);
    else if (step_is_effect(s->type))
        begin_effect(j);
    else
        begin_attempt(j);
}

static bool needs_settled(const struct engine *e, const struct script_step *s)
{
    for (size_t k = 0; k < s->need_count; k++)
        if (!state_settled(state_at(e, s->needs[k])))
            return false;
    return true;
}

/* `when` is not yes: true when that settled (or stopped) the step. */
static bool stopped_by_when(struct engine *e, size_t i)
{
    const struct script_step *s = &e->script->steps[i];
    const struct state_step *st = state_at(e, i);
    if (s->when == NULL || st->at == AT_CHECKING)
        return false;
    DR_JSON json_t *values = engine_facts(e);
    struct script_facts facts = { .values = values };
    enum script_truth t = e->script->ops->truth(e->script, s->when, &facts);
    if (t == SCRIPT_YES)
        return false;
    json_t *b = body_of(e, st->id, t == SCRIPT_NO ? AT_SKIPPED : AT_UNKNOWN);
    json_put(b, "by", json_null());
    json_put_text(b, "why", t == SCRIPT_NO ? "its when is false" : "its when cannot be told");
    if (t == SCRIPT_UNKNOWN) {
        json_put_text(b, "decision", on_error_name(ON_HOLD));
        body_run(b, RUN_HELD);
    }
    commit(e, "skip", b);
    return true;
}

static void start_one(struct engine *e, size_t i)
{
    struct job *j = &e->jobs[i];
    struct dr_err err = { 0 };
    const struct state_step *st = state_at(e, i);
    if (stopped_by_when(e, i) || leave_out(e, i))
        return;
    j->doing = DO_APPLY;
    j->began_ms = clock_boot_ms();
    if (st->with != NULL && st->at == AT_CHECKING)
        j->with = json_incref(st->with);
    else if (resolve_step(e, i, &j->with, &err) != DR_OK) {
        finish_failed(j, "outcome", "fail", err.msg, AT_FAILED);
        return;
    }
    begin(j);
}

bool start_steps(struct engine *e)
{
    bool changed = false;
    for (size_t i = 0; i < e->script->step_count; i++) {
        enum step_at at = state_at(e, i)->at;
        if (is_active(&e->jobs[i]) || (at != AT_PENDING && at != AT_UNDONE && at != AT_CHECKING) ||
            !needs_settled(e, &e->script->steps[i]))
            continue;
        if (active_jobs(e) >= ENGINE_PARALLEL_MAX || broken(e) || !may_begin(e))
            break;
        start_one(e, i);
        changed = true;
        if (act_on_failures(e))
            break;
    }
    return changed;
}
