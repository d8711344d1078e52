/*
 * hear.c - words of people, and what they may say when: answers, skip, undo, the next standby, abort, resume.
 *
 * Words come from the terminal, from the inbox of the run, or from whoever opened it without a runner. What cannot
 * be followed is refused with the reason, and changes nothing.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/run/guard.h"
#include "dr/run/inside.h"

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
    bool yields = e->state.drill && json_is_true(json_object_get(words, "give_way"));
    if (run_is_final(e->state.phase))
        return dr_fail(err, DR_E_REFUSED, "the run is over: %s", run_phase_name(e->state.phase));
    if (e->state.phase == RUN_CLEANING && !yields)
        return dr_fail(err, DR_E_REFUSED,
                       "the drill goes no further already: it is being cleaned up");
    e->yields = e->yields || yields;
    stop_all(e, "aborted", true);
    if (e->state.phase == RUN_CLEANING)
        return DR_OK;
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
    if (!e->state.drill)
        body_run(b, RUN_ABORTED);
    commit(e, "abort", b);
    if (e->state.drill)
        drill_stops(e, RUN_ABORTED, word(words, "reason") != NULL ? word(words, "reason") : why);
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
