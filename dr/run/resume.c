/*
 * resume.c - from a journal to a running engine (LANGUAGE chapter 6).
 *
 * A death leaves steps that were under way. What was not an effect is simply begun again; an
 * effect with an intent and no outcome is in doubt, and its own check decides; that attempt does not
 * count. What failed and was held is tried again at a person's word; what failed without a
 * decision keeps it, and the engine acts on it as the dead runner would have done.
 */
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/run/health.h"
#include "dr/run/inside.h"

static void again(struct engine *e, const struct state_step *st)
{
    json_t *b = body_of(e, st->id, AT_PENDING);
    commit(e, "pending", b);
}

static void doubt(struct engine *e, const struct state_step *st, bool lost)
{
    json_t *b = body_of(e, st->id, AT_CHECKING);
    json_put(b, "lost", json_boolean(lost));
    json_put_text(b, "why", lost ? "its runner died before its outcome" : "to be asked again");
    commit(e, "doubt", b);
}

static void revive(struct engine *e, struct state_step *st, bool was_held)
{
    switch (st->at) {
    case AT_RUNNING:
        if (st->effect && st->open)
            doubt(e, st, true);
        else
            again(e, st);
        break;
    case AT_FAILED:
        if (was_held)
            again(e, st);
        break;
    case AT_UNKNOWN:
        if (was_held && st->effect && st->ours)
            doubt(e, st, false);
        else if (was_held)
            again(e, st);
        break;
    case AT_WAITING:
        approve_by_operator(e, st);
        break;
    default:
        break; /* checking, undoing: the engine takes them up as they are */
    }
}

/* Older than half an hour, and what it would warn of can still be avoided. */
static bool is_preflight_old(const struct run_state *s)
{
    int64_t age_ms = (clock_wall_ns() - s->preflight_ns) / 1000000;
    return !s->dry && !s->rewind.open && !state_past_ponr(s) && age_ms > ENGINE_PREFLIGHT_FRESH_MS;
}

enum dr_rc engine_resume(struct engine *e, const char *by, const char *host, bool forward,
                         struct dr_err *err)
{
    const struct run_state *s = &e->state;
    if (run_is_final(s->phase)) {
        (void)dr_fail(err, DR_E_REFUSED, "run %s is over: %s", s->id, run_phase_name(s->phase));
        return dr_hint(err, "A run that ended is followed by another one.");
    }
    if (s->phase == RUN_CLEANING) {
        (void)dr_fail(err, DR_E_REFUSED, "drill %s goes no further: it has to be cleaned up",
                      s->id);
        return dr_hint(err, "Clean up after it: drctl drill --clean %s", s->id);
    }
    bool was_held = s->phase == RUN_HELD;
    bool back = s->back && !forward;
    bool before = s->preflight_ns == 0 || (!back && is_preflight_old(s));
    json_t *b = json_object();
    json_put_text(b, "by", by);
    json_put_text(b, "host", host);
    json_put_text(b, "boot_id", health_boot_id());
    if (health_clock_error_ms() >= 0)
        json_put_int(b, "clock_error_ms", health_clock_error_ms());
    json_put_int(b, "records", s->last_n);
    json_put(b, "forward", json_boolean(forward));
    body_run(b, before ? RUN_PREFLIGHT : back ? RUN_UNDOING : RUN_RUNNING);
    e->told_wait = false;
    e->leave = false;
    e->interrupts = 0;
    commit(e, "resume", b);
    bool rewinding = s->rewind.open;
    for (size_t i = 0; i < s->step_count && !broken(e) && !back && !rewinding; i++)
        revive(e, &e->state.steps[i], was_held);
    if (e->failure.rc != DR_OK) {
        *err = e->failure;
        return err->rc;
    }
    return DR_OK;
}
