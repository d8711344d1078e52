/*
 * ask.c - checks that are asked once and aside from the steps: preflight, readiness, invariants.
 *
 * They are asked side by side. `times` passes in a row are asked for; a first answer that is no pass is
 * the answer: in an outage nobody waits half a minute for a standby that is not there.
 */
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/run/inside.h"

static void ask_begin(struct ask *a);

void ask_end(struct ask *a)
{
    DR_ASSERT(a != NULL);
    free(a->why);
    a->why = NULL;
}

size_t active_asks(const struct engine *e)
{
    size_t n = 0;
    for (size_t i = 0; i < e->preflight_count; i++)
        n += e->preflight[i].process != NULL;
    for (size_t i = 0; i < e->script->invariant_count; i++)
        n += e->invariants[i].process != NULL;
    return n;
}

static void ask_settle(struct ask *a, enum step_verdict verdict, const char *why)
{
    free(a->why);
    a->why = dr_strdup(why != NULL ? why : "");
    a->verdict = verdict;
    a->answered = true;
    a->answered_ms = clock_boot_ms();
}

static int64_t times_of(const json_t *with)
{
    const json_t *times = json_object_get(with, "times");
    return json_is_integer(times) ? json_integer_value(times) : 1;
}

static void on_answer(void *arg, struct step_outcome *out)
{
    struct ask *a = arg;
    DR_ASSERT(a != NULL);
    struct engine *e = a->e;
    a->process = NULL;
    DR_JSON json_t *with = NULL;
    struct dr_err err = { 0 };
    a->passes++;
    a->refused += out->refused;
    if (out->verdict == STEP_PASS && resolve(e, a->check->with, a->region, &with, &err) == DR_OK &&
        a->passes < times_of(with)) {
        ask_begin(a);
        return;
    }
    ask_settle(a, out->verdict, out->why);
    go_on_after_invariants(e);
}

static void ask_begin(struct ask *a)
{
    struct engine *e = a->e;
    struct dr_err err = { 0 };
    DR_JSON json_t *with = NULL;
    struct step_hooks hooks = { .done = on_answer, .arg = a };
    a->asked = true;
    a->answered = false;
    if (resolve(e, a->check->with, a->region, &with, &err) != DR_OK) {
        ask_settle(a, STEP_UNKNOWN, err.msg);
        return;
    }
    DR_FREE char *name = dr_strdup(a->check->id != NULL ? a->check->id : a->check->type->name);
    DR_JSON json_t *request = request_of(e, "check", a->check->type, name, with);
    if (a->region != NULL)
        json_put_text(json_object_get(request, "run"), "target", a->region);
    json_put_int(request, "timeout_ms", a->check->timeout_ms);
    if (e->world->ops->start(e->world, request, a->check->timeout_ms, &hooks, &a->process, &err) !=
        DR_OK)
        ask_settle(a, STEP_UNKNOWN, err.msg);
}

static enum script_truth wanted(const struct engine *e, const struct script_check *c,
                                const char *region)
{
    if (c->when == NULL)
        return SCRIPT_YES;
    DR_JSON json_t *values = facts_for(e, region);
    struct script_facts facts = { .values = values };
    return e->script->ops->truth(e->script, c->when, &facts);
}

/* -- preflight --------------------------------------------------------------------------------- */

bool is_candidate(const struct engine *e, const char *region)
{
    const struct run_state *s = &e->state;
    if (s->failed != NULL && strcmp(region, s->failed) == 0)
        return false;
    if (s->active != NULL && strcmp(region, s->active) == 0)
        return false;
    return s->to == NULL || strcmp(region, s->to) == 0;
}

static void add_ask(struct engine *e, const struct script_check *c, const char *region)
{
    if (wanted(e, c, region) == SCRIPT_NO)
        return;
    e->preflight[e->preflight_count++] = (struct ask){ .e = e, .check = c, .region = region };
}

void preflight_begin(struct engine *e)
{
    for (size_t i = 0; i < e->preflight_count; i++)
        ask_end(&e->preflight[i]);
    free(e->preflight);
    e->preflight_count = 0;
    e->preflight = dr_alloc(e->script->preflight_count * (e->script->region_count + 1) + 1,
                            sizeof(*e->preflight));
    for (size_t i = 0; i < e->script->preflight_count; i++) {
        const struct script_check *c = &e->script->preflight[i];
        if (!c->target)
            add_ask(e, c, NULL);
        for (size_t k = 0; c->target && k < e->script->region_count; k++)
            if (is_candidate(e, e->script->regions[k]))
                add_ask(e, c, e->script->regions[k]);
    }
    for (size_t i = 0; i < e->preflight_count; i++)
        ask_begin(&e->preflight[i]);
}

static bool is_decisive(const struct engine *e, const struct ask *a)
{
    if (a->region != NULL)
        return true;
    if (a->check->on_error != ON_NONE)
        return a->check->on_error == ON_HOLD;
    return strcmp(e->state.mode, "failover") != 0;
}

static void record_answers(struct engine *e)
{
    for (size_t i = 0; i < e->preflight_count; i++) {
        const struct ask *a = &e->preflight[i];
        json_t *b = json_object();
        json_put_text(b, "check", a->check->id != NULL ? a->check->id : a->check->type->name);
        json_put(b, "region", a->region != NULL ? json_printable(a->region) : json_null());
        json_put_text(b, "verdict", verdict_word(a->verdict));
        json_put_text(b, "why", a->why);
        bool again = e->state.preflight_ns != 0;
        json_put(b, "decisive", json_boolean(is_decisive(e, a) && (!again || a->region != NULL)));
        if (a->refused > 0)
            json_put_int(b, "refused", a->refused);
        commit(e, "preflight", b);
    }
}

/*
 * The region that is given up has nothing behind it: each other one of the plan is fenced, as it was given up itself
 * and has not come back. That is known before the first step, so nothing is begun for it. The caller frees; NULL: a
 * standby is there, or the plan wants none.
 */
static char *no_standby(const struct engine *e)
{
    DR_CLEANUP(buf_fini) struct buf fenced = { 0 };
    const struct script *s = e->script;
    bool picks = false;
    for (size_t i = 0; i < s->step_count; i++)
        picks = picks || strcmp(s->steps[i].type->name, "region.pick") == 0;
    for (size_t k = 0; k < s->region_count; k++) {
        if (!is_candidate(e, s->regions[k]))
            continue;
        if (!e->world->ops->is_fenced(e->world, s->regions[k]))
            return NULL;
        buf_addf(&fenced, "%s%s", fenced.len > 0 ? ", " : "", s->regions[k]);
    }
    if (!picks || e->state.failed == NULL || fenced.len == 0)
        return NULL;
    return dr_strf(
        "%s has no standby: fenced since it was given up: %s; the failback is due (a plan "
        "with fence.lift, as runbooks/failback.yaml), and until then nothing can take over from %s",
        e->state.failed, fenced.data, e->state.failed);
}

/* As an answer like those of the plan's own checks. */
static void record_no_standby(struct engine *e, const char *why)
{
    json_t *b = json_object();
    json_put_text(b, "check", "standby");
    json_put(b, "region", json_null());
    json_put_text(b, "verdict", "fail");
    json_put_text(b, "why", why);
    json_put(b, "decisive", json_true());
    commit(e, "preflight", b);
}

static void record_standby(struct engine *e, const char *region)
{
    DR_CLEANUP(buf_fini) struct buf why = { 0 };
    if (e->world->ops->is_fenced(e->world, region))
        buf_adds(&why, "fenced, until the failback lets it in");
    for (size_t i = 0; i < e->preflight_count; i++) {
        const struct ask *a = &e->preflight[i];
        if (a->region == NULL || strcmp(a->region, region) != 0 || a->verdict == STEP_PASS)
            continue;
        buf_addf(&why, "%s%s%s: %s", why.len > 0 ? "; " : "", a->check->id,
                 a->verdict == STEP_UNKNOWN ? " cannot tell" : "", a->why);
    }
    json_t *b = json_object();
    json_put_text(b, "region", region);
    json_put(b, "ready", json_boolean(why.len == 0));
    json_put_text(b, "why", why.len > 0 ? why.data : "ready");
    commit(e, "standby", b);
}

/* none: why there is no standby, or NULL. */
static void record_go(struct engine *e, const char *none)
{
    const struct ask *stop = NULL;
    int64_t passed = 0;
    int64_t asked = 0;
    for (size_t i = 0; i < e->preflight_count; i++) {
        const struct ask *a = &e->preflight[i];
        asked++;
        passed += a->verdict == STEP_PASS;
        if (a->verdict != STEP_PASS && a->region == NULL && is_decisive(e, a))
            stop = a;
    }
    bool again = e->state.preflight_ns != 0; /* of a resume: shown, not decisive */
    if (again)
        stop = NULL;
    json_t *b = json_object();
    json_put(b, "again", json_boolean(again));
    json_put_int(b, "passed", passed);
    json_put_int(b, "asked", asked);
    DR_FREE char *why =
        none != NULL ? dr_strf("not started: %s; nothing was changed", none)
        : stop != NULL
            ? dr_strf("not started: %s: %s; nothing was changed", stop->check->id, stop->why)
        : passed < asked
            ? dr_strf("%lld of %lld passed; going on", (long long)passed, (long long)asked)
            : dr_strdup("all passed");
    json_put_text(b, "why", why);
    body_run(b, stop != NULL || none != NULL ? RUN_HELD : RUN_RUNNING);
    commit(e, "go", b);
}

bool preflight_advance(struct engine *e)
{
    if (e->preflight == NULL)
        preflight_begin(e);
    for (size_t i = 0; i < e->preflight_count; i++)
        if (!e->preflight[i].answered)
            return false;
    DR_FREE char *none = e->state.preflight_ns == 0 ? no_standby(e) : NULL;
    record_answers(e);
    if (none != NULL)
        record_no_standby(e, none);
    for (size_t k = 0; k < e->script->region_count; k++)
        if (is_candidate(e, e->script->regions[k]))
            record_standby(e, e->script->regions[k]);
    record_go(e, none);
    for (size_t i = 0; i < e->preflight_count; i++)
        ask_end(&e->preflight[i]);
    free(e->preflight);
    e->preflight = NULL;
    e->preflight_count = 0;
    return true;
}

/* -- invariants -------------------------------------------------------------------------------- */

static bool is_fresh(const struct ask *a)
{
    return a->answered && clock_boot_ms() - a->answered_ms < ENGINE_INVARIANT_FRESH_MS;
}

static void record_invariant(struct engine *e, struct ask *a, const char *when, const char *near)
{
    json_t *b = json_object();
    json_put_text(b, "check", a->check->id != NULL ? a->check->id : a->check->type->name);
    json_put_text(b, "when", when);
    json_put_text(b, "step_near", near);
    json_put_text(b, "verdict", verdict_word(a->verdict));
    if (a->refused > 0)
        json_put_int(b, "refused", a->refused);
    a->refused = 0;
    DR_FREE char *why =
        dr_strf("%s %s: %s", a->check->id,
                a->verdict == STEP_UNKNOWN ? "cannot be told" : "does not hold", a->why);
    json_put_text(b, "why", a->verdict == STEP_PASS ? a->why : why);
    if (a->verdict != STEP_PASS) {
        json_put_text(b, "at", near);
        body_run(b, RUN_HELD);
    }
    commit(e, "invariant", b);
}

static enum script_truth look(struct engine *e, const char *near, const char *when)
{
    bool waiting = false;
    if (e->state.dry)
        return SCRIPT_YES;
    for (size_t i = 0; i < e->script->invariant_count && !broken(e); i++) {
        struct ask *a = &e->invariants[i];
        if (wanted(e, a->check, NULL) == SCRIPT_NO)
            continue;
        if (!a->asked || (a->answered && !is_fresh(a)))
            ask_begin(a);
        if (!a->answered) {
            waiting = true;
            continue;
        }
        if (a->verdict != STEP_PASS) {
            record_invariant(e, a, when, near);
            a->asked = false; /* a person looks: the next time it is asked anew */
            a->answered = false;
            return SCRIPT_NO;
        }
    }
    return waiting ? SCRIPT_UNKNOWN : SCRIPT_YES;
}

enum script_truth invariants_hold(struct engine *e, const char *near)
{
    return look(e, near, "before");
}

enum script_truth invariants_after(struct engine *e)
{
    return e->near != NULL ? look(e, e->near, "after") : SCRIPT_YES;
}
