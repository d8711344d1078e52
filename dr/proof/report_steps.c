/*
 * report_steps.c - what became of each step, and the people and guards beside them.
 *
 * A deviation is whatever a reader of the plan would not expect: in place already, skipped and by
 * whom, more than one attempt, done again for the next standby, in doubt, gone on without.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/ledger_work.h"
#include "dr/proof/report_work.h"

static const int64_t MS = 1000000;

struct digest { /* of the records that speak of one step */
    int64_t attempts, rounds;
    bool has_began;
    int64_t began_ns, worked_ns;
    const json_t *outcome; /* the newest body with a verdict or an answer */
    const struct journal_record *skip;
    bool already, doubt, undone, simulated;
    int64_t refused; /* connects to a dark region */
};

static bool at_work(const char *state)
{
    return strcmp(state, "running") == 0 || strcmp(state, "waiting") == 0 ||
           strcmp(state, "checking") == 0;
}

static void take_record(struct digest *d, const struct journal_record *r)
{
    int64_t round = body_int(r->body, "round", d->rounds);
    bool tries = report_is(r, "intent") || report_is(r, "begin");
    d->rounds = round > d->rounds ? round : d->rounds;
    d->attempts += tries;
    if (report_is(r, "outcome") || report_is(r, "check") || report_is(r, "answer"))
        d->outcome = r->body;
    if (report_is(r, "skip"))
        d->skip = r;
    if (report_is(r, "pending")) { /* a new round: what was before is told by its own records */
        d->skip = NULL;
        d->already = false;
    }
    d->already = d->already || body_is(r->body, "already");
    d->doubt = d->doubt || body_is(r->body, "doubt");
    d->simulated = d->simulated || body_is(r->body, "simulated");
    d->undone = d->undone || report_is(r, "undo");
    d->refused += body_int(r->body, "refused",
                           body_int(json_object_get(r->body, "evidence"), "refused_connects", 0));
}

static struct digest digest_of(const struct timeline *t, const char *id)
{
    struct digest d = { 0 };
    bool working = false;
    int64_t since_ns = 0;
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        if (!report_of(r, id))
            continue;
        take_record(&d, r);
        const char *state = body_text(r->body, "state");
        if (state == NULL)
            continue;
        if (working)
            d.worked_ns += t->at_ns[i] - since_ns;
        working = at_work(state);
        since_ns = t->at_ns[i];
        if (working && !d.has_began) {
            d.has_began = true;
            d.began_ns = r->wall_ns;
        }
    }
    return d;
}

static void deviate(json_t *list, char *text)
{
    json_array_append_new(list, json_printable(text));
    free(text);
}

static char *skip_text(const struct journal_record *r)
{
    const char *by = body_text(r->body, "by");
    const char *reason = body_text(r->body, "reason");
    const char *why = body_text(r->body, "why");
    if (by == NULL && body_is(r->body, "not_measured") && why != NULL)
        return dr_strdup(why);
    if (by == NULL)
        return dr_strf("skipped: %s", why != NULL ? why : "no reason on record");
    return dr_strf("%s %s: %s",
                   body_is(r->body, "by_hand") ? "done by hand, in the word of" : "skipped by", by,
                   reason != NULL ? reason : "no reason on record");
}

static json_t *deviations_of(const struct digest *d, const char *state)
{
    json_t *list = json_array();
    if (d->skip != NULL)
        deviate(list, skip_text(d->skip));
    if (d->simulated)
        deviate(list, dr_strdup("simulated: nothing was changed"));
    if (d->already)
        deviate(list, dr_strdup("already in place: not done by this run"));
    if (d->rounds > 1)
        deviate(list, dr_strf("done in %d rounds", (int)d->rounds));
    else if (d->attempts > 1)
        deviate(list, dr_strf("took %d attempts", (int)d->attempts));
    if (d->doubt)
        deviate(list, dr_strdup("its outcome was in doubt, and its check was asked"));
    if (d->refused > 0)
        deviate(list, dr_strf("%d connects to the dark region were refused", (int)d->refused));
    if (strcmp(state, "tolerated") == 0)
        deviate(list, dr_strdup("failed, and the run went on"));
    if (d->undone && strcmp(state, "undone") == 0)
        deviate(list, dr_strdup("undone"));
    if (strcmp(state, "pending") == 0)
        deviate(list, dr_strdup(d->attempts > 0 ? "was to be done again when the journal ends"
                                                : "not reached"));
    return list;
}

/* The newest title on record, into which names were put as they became known; else that of the plan. */
static const char *title_of(const struct timeline *t, const char *id, const json_t *planned)
{
    for (size_t i = t->records->count; i-- > 0;) {
        const struct journal_record *r = &t->records->items[i];
        const char *title = body_text(r->body, "title");
        if (report_of(r, id) && title != NULL)
            return title;
    }
    return body_text(planned, "title");
}

json_t *report_steps(const struct timeline *t)
{
    json_t *list = json_array();
    const json_t *plan = json_object_get(t->records->items[0].body, "steps");
    for (size_t i = 0; i < t->step_count; i++) {
        const struct timeline_step *step = &t->steps[i];
        const char *state = ledger_state(t, step->id);
        struct digest d = digest_of(t, step->id);
        json_t *one = json_object();
        json_put_text(one, "id", step->id);
        json_put_text(one, "use", step->use);
        json_put_text(one, "class", step->class);
        report_put_text(one, "title", title_of(t, step->id, json_array_get(plan, i)));
        json_put_text(one, "phase", phase_name(step->phase));
        json_put_text(one, "state", state);
        json_put_int(one, "attempts", d.attempts);
        report_put_time(one, "began", d.has_began, d.began_ns);
        json_put(one, "ms", d.has_began ? json_integer(d.worked_ns / MS) : json_null());
        report_copy(one, "verdict", d.outcome, "verdict");
        report_copy(one, "why", d.outcome, "why");
        json_put(one, "deviations", deviations_of(&d, state));
        report_copy(one, "drill", json_array_get(plan, i), "drill");
        bool person = d.skip != NULL && body_text(d.skip->body, "by") != NULL;
        report_put_text(one, "skipped_by", person ? body_text(d.skip->body, "by") : NULL);
        json_put(one, "not_measured",
                 json_boolean(d.skip != NULL && body_is(d.skip->body, "not_measured")));
        json_put_int(one, "refused", d.refused);
        json_array_append_new(list, one);
    }
    return list;
}

/* --- people --- */

static void put_answers(json_t *to, const struct timeline *t, const char *step)
{
    static const char *const keys[] = { "by", "role", "answer", "choice", "reason", "via" };
    json_t *list = json_array();
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        bool person =
            report_is(r, "answer") || (report_is(r, "skip") && body_text(r->body, "by") != NULL);
        if (!person || !report_of(r, step))
            continue;
        json_t *one = json_object();
        report_put_time(one, "time", true, r->wall_ns);
        for (size_t k = 0; k < DR_ARRAY_LEN(keys); k++)
            report_copy(one, keys[k], r->body, keys[k]);
        if (report_is(r, "skip"))
            json_put_text(one, "answer", "skipped");
        json_array_append_new(list, one);
    }
    json_put(to, "answers", list);
}

json_t *report_approvals(const struct timeline *t)
{
    static const char *const keys[] = { "question", "role", "count", "shown" };
    json_t *list = json_array();
    for (size_t i = 0; i < t->step_count; i++) {
        const char *id = t->steps[i].id;
        const struct journal_record *ask = NULL;
        for (size_t k = 0; k < t->records->count; k++)
            if (report_is(&t->records->items[k], "ask") && report_of(&t->records->items[k], id))
                ask = &t->records->items[k];
        if (ask == NULL)
            continue;
        json_t *one = json_object();
        json_put_text(one, "step", id);
        report_put_time(one, "asked", true, ask->wall_ns);
        for (size_t k = 0; k < DR_ARRAY_LEN(keys); k++)
            report_copy(one, keys[k], ask->body, keys[k]);
        put_answers(one, t, id);
        json_array_append_new(list, one);
    }
    return list;
}

/* --- guards --- */

/* The resolved arguments of the newest intent of a step before record `end`. */
static const json_t *with_before(const struct timeline *t, const char *step, size_t end)
{
    for (size_t i = end; i-- > 0;) {
        const struct journal_record *r = &t->records->items[i];
        const json_t *with = json_object_get(r->body, "with");
        if (report_of(r, step) && with != NULL && !report_is(r, "undo_intent"))
            return with;
    }
    return NULL;
}

json_t *report_fencing(const struct timeline *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const struct timeline_step *step = timeline_step(t, body_text(r->body, "step"));
        bool settles = report_is(r, "outcome") || report_is(r, "skip") ||
                       (report_is(r, "check") && body_is(r->body, "already"));
        if (step == NULL || !settles || strcmp(step->class, "fence") != 0)
            continue;
        json_t *one = json_object();
        json_put_text(one, "step", step->id);
        report_put_time(one, "time", true, r->wall_ns);
        report_copy(one, "region", with_before(t, step->id, i + 1), "region");
        report_copy(one, "proof", r->body, "proof");
        report_copy(one, "verdict", r->body, "verdict");
        report_copy(one, "why", r->body, report_is(r, "skip") ? "reason" : "why");
        report_put_text(one, "skipped_by", report_is(r, "skip") ? body_text(r->body, "by") : NULL);
        report_copy(one, "evidence", r->body, "evidence");
        json_put(one, "simulated", json_boolean(body_is(r->body, "simulated")));
        json_array_append_new(list, one);
    }
    return list;
}

json_t *report_restored(const struct timeline *t)
{
    static const char *const keys[] = { "source", "host", "source_host", "bytes", "taken_at" };
    json_t *list = json_array();
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const struct timeline_step *step = timeline_step(t, body_text(r->body, "step"));
        const char *verdict = body_text(r->body, "verdict");
        bool settles =
            report_is(r, "outcome") || (report_is(r, "check") && body_is(r->body, "already"));
        if (step == NULL || !settles || strcmp(step->use, "backup.restore") != 0 ||
            verdict == NULL || body_is(r->body, "simulated"))
            continue;
        const json_t *evidence = json_object_get(r->body, "evidence");
        json_t *one = json_object();
        json_put_text(one, "step", step->id);
        report_put_time(one, "time", true, r->wall_ns);
        report_copy(one, "verdict", r->body, "verdict");
        report_copy(one, "snapshot", with_before(t, step->id, i), "snapshot");
        report_copy(one, "at", with_before(t, step->id, i), "at");
        for (size_t k = 0; k < DR_ARRAY_LEN(keys); k++)
            report_copy(one, keys[k], evidence, keys[k]);
        report_copy(one, "ms", r->body, "dur_ms");
        json_array_append_new(list, one);
    }
    return list;
}

json_t *report_integrity(const struct timeline *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const struct timeline_step *step = timeline_step(t, body_text(r->body, "step"));
        if (step == NULL || !report_is(r, "outcome") || strcmp(step->use, "data.check") != 0)
            continue;
        const json_t *with = with_before(t, step->id, i);
        json_t *one = json_object();
        json_put_text(one, "step", step->id);
        report_put_time(one, "time", true, r->wall_ns);
        report_copy(one, "path", with, "path");
        report_copy(one, "against", with, "against");
        report_copy(one, "verdict", r->body, "verdict");
        report_copy(one, "why", r->body, "why");
        report_copy(one, "evidence", r->body, "evidence");
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *invariant_of(json_t *list, const char *check)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one) if (strcmp(body_text(one, "check"), check) == 0) return one;
    one = json_object();
    json_put_text(one, "check", check);
    json_put_int(one, "asked", 0);
    json_put_int(one, "passed", 0);
    json_put(one, "others", json_array());
    json_array_append_new(list, one);
    return one;
}

json_t *report_invariants(const struct timeline *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const char *check = body_text(r->body, "check");
        const char *verdict = body_text(r->body, "verdict");
        if (!report_is(r, "invariant") || check == NULL || verdict == NULL)
            continue;
        json_t *one = invariant_of(list, check);
        bool pass = strcmp(verdict, "pass") == 0;
        json_put_int(one, "asked", body_int(one, "asked", 0) + 1);
        json_put_int(one, "passed", body_int(one, "passed", 0) + pass);
        if (pass)
            continue;
        json_t *other = json_object();
        report_put_time(other, "time", true, r->wall_ns);
        report_copy(other, "verdict", r->body, "verdict");
        report_copy(other, "why", r->body, "why");
        report_copy(other, "step_near", r->body, "step_near");
        json_array_append_new(json_object_get(one, "others"), other);
    }
    return list;
}
