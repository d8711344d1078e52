/*
 * back.c - what follows a failure, and the way back: undo in reverse, to the point of no return.
 *
 * The order is that of the intents on record, newest first. What was in place before us, and what a
 * person left behind, is not ours to take back. A fence stays as long as a promotion stands:
 * lifting it would let two regions write.
 */
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/run/inside.h"

enum { UNDO_PAUSE_MS = 1000 };

/* -- decisions --------------------------------------------------------------------------------- */

static enum on_error pending_word(const struct engine *e)
{
    enum on_error word = ON_NONE;
    for (size_t i = 0; i < e->state.step_count; i++) {
        const struct state_step *st = &e->state.steps[i];
        bool failed = st->at == AT_FAILED || st->at == AT_UNKNOWN;
        if (failed && st->decision > word)
            word = st->decision;
    }
    return word;
}

bool is_decided(const struct engine *e)
{
    return pending_word(e) != ON_NONE;
}

void add_failure(struct engine *e, size_t i, json_t *body, enum step_at at)
{
    const struct script_step *s = &e->script->steps[i];
    enum on_error word = s->on_error != ON_NONE ? s->on_error : ON_HOLD;
    if (at == AT_UNKNOWN && word == ON_CONTINUE && step_is_effect(s->type))
        word = ON_HOLD;
    json_put_text(body, "decision", on_error_name(word));
    if (word == ON_CONTINUE) {
        json_put_text(body, "state", step_at_name(AT_TOLERATED));
        return;
    }
    if (e->state.phase != RUN_RUNNING)
        return;
    enum on_error all = pending_word(e);
    if (all < word)
        all = word;
    if (all == ON_HOLD) {
        body_run(body, RUN_HELD);
        json_put_text(body, "at", s->id);
    } else if (all == ON_ROLLBACK && active_jobs(e) == 0) {
        body_run(body, RUN_UNDOING);
    }
}

/* run: the phase that comes with it, or RUN_NONE. */
static void begin_rewind(struct engine *e, const char *why, enum run_phase run)
{
    json_t *b = json_object();
    json_t *steps = json_array();
    json_put_text(b, "phase", "begin");
    json_put_text(b, "region", e->state.target != NULL ? e->state.target : "");
    json_put_text(b, "why", why);
    for (size_t i = e->state.step_count; i > 0; i--)
        if (e->state.steps[i - 1].target && e->state.steps[i - 1].ours)
            json_array_append_new(steps, json_printable(e->state.steps[i - 1].id));
    json_put(b, "steps", steps);
    if (run != RUN_NONE)
        body_run(b, run);
    commit(e, "rewind", b);
}

void give_up_target(struct engine *e, const char *by)
{
    DR_FREE char *why = dr_strf("%s is given up, at %s's word", e->state.target, by);
    begin_rewind(e, why, RUN_RUNNING);
}

bool act_on_failures(struct engine *e)
{
    enum on_error word = pending_word(e);
    if (word == ON_NONE || e->state.phase != RUN_RUNNING || broken(e))
        return false;
    const struct state_step *st = NULL;
    for (size_t i = 0; i < e->state.step_count && st == NULL; i++)
        if (e->state.steps[i].decision == word &&
            (e->state.steps[i].at == AT_FAILED || e->state.steps[i].at == AT_UNKNOWN))
            st = &e->state.steps[i];
    DR_ASSERT(st != NULL);
    DR_FREE char *why = dr_strf("%s: %s", st->id, st->why != NULL ? st->why : "");
    if (word == ON_HOLD) {
        hold(e, st->id, why);
        return true;
    }
    if (active_jobs(e) > 0)
        return false;
    if (word == ON_NEXT_STANDBY && e->state.target == NULL) {
        hold(e, st->id, why); /* there is no standby to give up */
        return true;
    }
    if (word == ON_NEXT_STANDBY) {
        begin_rewind(e, why, RUN_NONE);
        return true;
    }
    json_t *b = json_object();
    json_put_text(b, "by", "on_error");
    json_put(b, "to", json_null());
    json_put_text(b, "why", why);
    body_run(b, RUN_UNDOING);
    commit(e, "back", b);
    return true;
}

/* -- one undo ---------------------------------------------------------------------------------- */

static void undo_now(struct job *j);

static void record_undo(struct job *j, enum step_at at, const char *verdict, const char *why)
{
    struct engine *e = j->e;
    const struct state_step *st = state_at(e, j->i);
    json_t *b = body_of(e, st->id, at);
    json_put_int(b, "attempt", st->undo_attempt);
    json_put_text(b, "verdict", verdict);
    json_put_text(b, "why", why);
    json_put_int(b, "dur_ms", j->began_ms > 0 ? clock_boot_ms() - j->began_ms : 0);
    if (j->refused > 0)
        json_put_int(b, "refused", j->refused);
    j->refused = 0;
    if (at == AT_UNKNOWN && e->state.phase == RUN_CLEANING) {
        json_put(b, "left_behind", json_true()); /* nobody is asked: the drill has failed by it */
    } else if (at == AT_UNKNOWN) {
        json_put_text(b, "at", st->id);
        body_run(b, RUN_HELD);
    }
    commit(e, "undo", b);
}

static void undo_again(void *arg)
{
    struct job *j = arg;
    j->timer = NULL;
    if (broken(j->e) || run_is_final(j->e->state.phase) || j->e->yields)
        job_end(j);
    else
        undo_now(j);
}

static void on_undone(void *arg, struct step_outcome *out)
{
    struct job *j = arg;
    struct engine *e = j->e;
    j->process = NULL;
    if (broken(e) || run_is_final(e->state.phase) || e->yields) {
        job_end(j);
        return;
    }
    j->refused += out->refused;
    const struct state_step *st = state_at(e, j->i);
    if (out->verdict == STEP_PASS) {
        record_undo(j, AT_UNDONE, "pass", out->why);
        job_end(j);
        return;
    }
    if (st->undo_attempt >= ENGINE_UNDO_TRIES || e->state.phase == RUN_HELD) {
        DR_FREE char *why = dr_strf("undo failed %d times: %s", st->undo_attempt, out->why);
        record_undo(j, AT_UNKNOWN, verdict_word(out->verdict), why);
        job_end(j);
        return;
    }
    record_undo(j, AT_UNDOING, verdict_word(out->verdict), out->why);
    j->doing = DO_PAUSE;
    j->timer = e->world->ops->after(e->world, UNDO_PAUSE_MS, undo_again, j);
}

/* This step stays as it is. The run is held for that, unless it is a drill: that one has failed by it. */
static void cannot_undo(struct engine *e, size_t i, const char *why)
{
    const struct state_step *st = state_at(e, i);
    if (!e->state.drill) {
        hold(e, st->id, why);
        return;
    }
    if (st->at != AT_UNDOING) {
        json_t *b = body_of(e, st->id, AT_UNDOING);
        json_put_int(b, "attempt", 1);
        json_put_text(b, "use", "none");
        json_put(b, "with", json_object());
        commit(e, "undo_intent", b);
    }
    if (broken(e))
        return;
    json_t *b = body_of(e, st->id, AT_UNKNOWN);
    json_put_int(b, "attempt", st->undo_attempt);
    json_put_text(b, "verdict", "unknown");
    json_put(b, "left_behind", json_true());
    json_put_text(b, "why", why);
    commit(e, "undo", b);
}

static void start_undo(struct job *j)
{
    struct engine *e = j->e;
    const struct script_step *s = &e->script->steps[j->i];
    struct dr_err err = { 0 };
    bool given = undo_of(e, j->i) == UNDO_GIVEN;
    struct step_hooks hooks = { .done = on_undone, .arg = j };
    DR_JSON json_t *request =
        request_of(e, given ? "apply" : "undo", given ? s->undo_type : s->type, s->id, j->with);
    json_put_int(request, "timeout_ms", s->timeout_ms);
    j->doing = DO_UNDO;
    j->began_ms = clock_boot_ms();
    if (e->world->ops->start(e->world, request, s->timeout_ms, &hooks, &j->process, &err) == DR_OK)
        return;
    struct step_outcome out = { .verdict = STEP_FAIL, .why = dr_strdup(err.msg) };
    on_undone(j, &out);
    step_outcome_fini(&out);
}

static void undo_now(struct job *j)
{
    struct engine *e = j->e;
    const struct script_step *s = &e->script->steps[j->i];
    const struct state_step *st = state_at(e, j->i);
    struct dr_err err = { 0 };
    bool given = undo_of(e, j->i) == UNDO_GIVEN;
    if (e->world->ops->lease_left_ms(e->world) < ENGINE_LEASE_RESERVE_MS) {
        engine_lose(e);
        job_end(j);
        return;
    }
    json_t *b = body_of(e, st->id, AT_UNDOING);
    json_put_int(b, "attempt", st->undo_attempt + 1);
    json_put_text(b, "use", given ? s->undo_type->name : s->type->name);
    if (j->with == NULL && given && resolve(e, s->undo_with, NULL, &j->with, &err) != DR_OK) {
        json_decref(b);
        job_end(j);
        cannot_undo(e, j->i, err.msg);
        return;
    }
    if (j->with == NULL)
        j->with = st->with != NULL ? json_incref(st->with) : json_object();
    json_put(b, "with", json_incref(j->with));
    j->doing = DO_UNDO;
    if (!commit_intent(e, "undo_intent", b) && (broken(e) || e->state.phase != RUN_CLEANING)) {
        if (!broken(e))
            hold(e, st->id, "no bucket outside the failed region took the intent of an undo");
        job_end(j);
        return;
    }
    start_undo(j);
}

/* -- which one is next ------------------------------------------------------------------------- */

static bool promotion_stands(const struct engine *e)
{
    for (size_t i = 0; i < e->state.step_count; i++) {
        const struct state_step *st = &e->state.steps[i];
        if (strcmp(st->class, "promote") == 0 &&
            (st->ours || st->left || (st->at == AT_DONE && (st->already || st->by_hand))))
            return true;
    }
    return false;
}

/* The newest intent that is still ours; only_target: of the steps that belong to the target. */
static struct state_step *newest(const struct engine *e, bool only_target)
{
    struct state_step *best = NULL;
    for (size_t i = 0; i < e->state.step_count; i++) {
        struct state_step *st = &e->state.steps[i];
        if (!st->ours || (only_target && !st->target))
            continue;
        if (best == NULL || st->intent_n > best->intent_n)
            best = st;
    }
    return best;
}

static bool is_beyond(const struct engine *e, const struct state_step *st)
{
    const struct state_step *to = state_step_of(&e->state, e->state.back_to);
    if (to == NULL)
        return false;
    return to->intent_n != 0 && to->ours ? st->intent_n < to->intent_n : st < to;
}

/* Take st back, or say why that cannot be: then the run is held. */
static void take_back(struct engine *e, struct state_step *st)
{
    size_t i = (size_t)(st - e->state.steps);
    const struct script_step *s = &e->script->steps[i];
    DR_JSON json_t *values = engine_facts(e);
    struct script_facts facts = { .values = values };
    enum script_undo undo = undo_of(e, i);
    if (st->ponr && !is_elsewhere_done(e, i) && e->state.phase != RUN_CLEANING) {
        DR_FREE char *text = s->ponr_text != NULL
                                 ? e->script->ops->text(e->script, s->ponr_text, &facts)
                                 : dr_strdup("the point of no return is passed");
        DR_FREE char *why = dr_strf("cannot go back further: %s", text);
        hold(e, st->id, why);
        return;
    }
    if (strcmp(st->class, "fence") == 0 && promotion_stands(e)) {
        cannot_undo(e, i, "the fence stays: a promotion stands, lifting it would let two write");
        return;
    }
    if (undo == UNDO_IMPOSSIBLE) {
        cannot_undo(e, i,
                    undo != s->undo ? "its undo is written for what the plan names, not for a drill"
                                    : "this step has no undo");
        return;
    }
    struct job *j = &e->jobs[i];
    if (undo == UNDO_HARMLESS) {
        if (st->at != AT_UNDOING) {
            json_t *b = body_of(e, st->id, AT_UNDOING);
            json_put_int(b, "attempt", 1);
            json_put_text(b, "use", "none");
            json_put(b, "with", json_object());
            commit(e, "undo_intent", b);
        }
        if (!broken(e))
            record_undo(j, AT_UNDONE, "pass", "leaving it does no harm");
        return;
    }
    undo_now(j);
}

static void reset_step(struct engine *e, size_t i)
{
    const struct state_step *st = state_at(e, i);
    if (st->at == AT_PENDING || st->at == AT_UNDONE)
        return;
    json_t *b = body_of(e, st->id, AT_PENDING);
    json_put(b, "fresh", json_true());
    if (strcmp(st->use, "region.pick") == 0 && e->state.target != NULL)
        json_put_text(b, "exclude", e->state.target);
    commit(e, "pending", b);
}

static void arrived(struct engine *e)
{
    if (e->state.back_to != NULL) {
        const struct state_step *to = state_step_of(&e->state, e->state.back_to);
        size_t first = (size_t)(to - e->state.steps);
        DR_FREE char *why = dr_strf("went back to %s; resume goes on from there", to->id);
        for (size_t i = first; i < e->state.step_count && !broken(e); i++)
            reset_step(e, i);
        json_t *b = json_object();
        json_put(b, "at", json_null());
        json_put_text(b, "why", why);
        json_put(b, "arrived", json_true());
        body_run(b, RUN_HELD);
        commit(e, "held", b);
        return;
    }
    DR_CLEANUP(text_list_fini) struct text_list left = { 0 };
    for (size_t i = 0; i < e->state.step_count; i++)
        if (e->state.steps[i].left)
            text_list_add(&left, e->state.steps[i].id);
    DR_FREE char *names = text_list_join(&left, ", ");
    DR_FREE char *why =
        left.count > 0 ? dr_strf("undone, except %s", names) : dr_strdup("everything is as it was");
    if (e->state.drill) {
        drill_stops(e, RUN_UNDONE, why);
        return;
    }
    json_t *b = json_object();
    json_put_text(b, "why", why);
    body_run(b, RUN_UNDONE);
    commit(e, "end", b);
}

bool back_advance(struct engine *e)
{
    if (active_jobs(e) > 0 || broken(e))
        return false;
    struct state_step *st = newest(e, false);
    if (st == NULL || is_beyond(e, st))
        arrived(e);
    else
        take_back(e, st);
    return true;
}

bool take_back_newest(struct engine *e, bool only_target)
{
    struct state_step *st = newest(e, only_target);
    if (st != NULL)
        take_back(e, st);
    return st != NULL;
}

bool rewind_advance(struct engine *e)
{
    if (active_jobs(e) > 0 || broken(e))
        return false;
    if (take_back_newest(e, true))
        return true;
    json_t *b = json_object();
    json_t *steps = json_array();
    for (size_t i = 0; i < e->state.step_count; i++)
        if (e->state.steps[i].target)
            json_array_append_new(steps, json_printable(e->state.steps[i].id));
    json_put_text(b, "phase", "end");
    json_put_text(b, "region", e->state.rewind.region);
    json_put(b, "steps", steps);
    commit(e, "rewind", b);
    return true;
}
