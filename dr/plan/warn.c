/*
 * warn.c - what a sound plan may still regret. Asked only when there is no error.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/data/duration.h"
#include "dr/plan/reading.h"

/* "1h", "1h 6m": the exact form, with spaces between the units. */
static const char *tell(int64_t ms, char out[DURATION_TEXT_MAX * 2])
{
    char exact[DURATION_TEXT_MAX];
    duration_print(ms, exact);
    size_t at = 0;
    for (size_t i = 0; exact[i] != '\0'; i++) {
        bool digit = exact[i] >= '0' && exact[i] <= '9';
        if (i > 0 && digit && (exact[i - 1] < '0' || exact[i - 1] > '9'))
            out[at++] = ' ';
        out[at++] = exact[i];
    }
    out[at] = '\0';
    return out;
}

/* Service is interrupted from here on: in a failover from the start, else from the first step
 * that stops writes, promotes or moves traffic. */
static size_t impact_start(const struct plan *p)
{
    if (p->uses_failed)
        return 0;
    for (size_t i = 0; i < p->step_count; i++) {
        enum step_class class = plan_class(&p->steps[i].call);
        if (class == STEP_PROMOTE || class == STEP_TRAFFIC ||
            strcmp(p->steps[i].call.type->name, "writes.freeze") == 0)
            return i;
    }
    return 0;
}

static void timeouts_fit(struct reading *r)
{
    const struct plan *p = r->p;
    char rto[DURATION_TEXT_MAX];
    for (size_t i = impact_start(p); p->rto_ms >= 0 && i < p->step_count; i++) {
        struct plan_place at = r->places[i].timeout;
        if (at.line == 0 || p->steps[i].timeout_ms <= p->rto_ms ||
            p->steps[i].on_error == PLAN_CONTINUE)
            continue;
        diag_warning(r->d, at.line, at.col, "timeout-rto",
                     "this step alone may take longer than the RTO of %s",
                     duration_print(p->rto_ms, rto));
    }
}

static void effect_is_checked(struct reading *r, size_t i)
{
    const struct plan *p = r->p;
    const struct plan_step *s = &p->steps[i];
    if (!step_changes(s) || s->verify_count > 0 || s->check_source == PLAN_CHECK_OWN ||
        s->check_source == PLAN_CHECK_GIVEN)
        return;
    for (size_t k = i + 1; k < p->step_count; k++)
        if (plan_class(&p->steps[k].call) == STEP_CHECK && plan_is_after(p, i, k))
            return;
    diag_warning(r->d, s->at.line, s->at.col, "unchecked", "nothing checks what '%s' has done",
                 s->id);
    diag_hint(r->d, "add verify: {use: ..., with: {...}}, or a check step below");
}

static void warn_step(struct reading *r, size_t i)
{
    const struct plan *p = r->p;
    const struct plan_step *s = &p->steps[i];
    struct plan_place at = r->places[i].on_error;
    if (at.line > 0 && s->on_error == PLAN_ROLLBACK && p->no_return != PLAN_NO_STEP &&
        plan_is_after(p, p->no_return, i)) {
        diag_warning(r->d, at.line, at.col, "rollback-late",
                     "after the point of no return ('%s') rollback only holds",
                     p->steps[p->no_return].id);
        diag_hint(r->d, "on_error: hold");
    }
    bool falls = false;
    for (size_t k = 0; k < p->step_count; k++)
        falls |= p->steps[k].on_error == PLAN_NEXT_STANDBY;
    if (plan_class(&s->call) == STEP_PERSON && s->belongs_to_target && falls) {
        diag_warning(r->d, s->at.line, s->at.col, "approval-again",
                     "'%s' would be asked again for each standby", s->id);
        diag_hint(r->d, "ask before the first step that depends on the target");
    }
    if (plan_class(&s->call) == STEP_PERSON && p->trigger.mode == PLAN_TRIGGER_AUTO) {
        diag_warning(r->d, s->at.line, s->at.col, "auto-approval",
                     "started automatically, and then '%s' waits for a person", s->id);
        diag_hint(r->d, "trigger: {mode: ask, ...} says so honestly");
    }
    effect_is_checked(r, i);
}

static void objective_differs(struct reading *r, struct plan_place at, const char *name,
                              int64_t here, int64_t there)
{
    char a[DURATION_TEXT_MAX], b[DURATION_TEXT_MAX];
    if (at.line == 0 || here < 0 || there < 0 || here == there)
        return;
    diag_warning(r->d, at.line, at.col, "objective-differs", "%s is %s here and %s in %s", name,
                 duration_print(here, a), duration_print(there, b), r->world->file);
}

static void rpo_can_hold(struct reading *r)
{
    const struct plan_world *w = r->world;
    int64_t rpo = r->p->rpo_ms >= 0 ? r->p->rpo_ms : w->rpo_ms;
    int64_t worst = w->backup_every_ms + w->backup_run_ms + w->backup_upload_ms;
    if (r->rpo_at.line == 0 || rpo <= 0 || w->backup_every_ms == 0 || worst <= rpo)
        return;
    char a[DURATION_TEXT_MAX], b[DURATION_TEXT_MAX], c[DURATION_TEXT_MAX], d[DURATION_TEXT_MAX];
    char sum[DURATION_TEXT_MAX * 2], how[200] = "", kind[64];
    const char *key = w->backup_key == NULL ? "full_backup" : w->backup_key;
    snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(key, "_"), key);
    if (w->backup_run_ms > 0 || w->backup_upload_ms > 0)
        snprintf(how, sizeof(how), " + run %s + upload %s", duration_print(w->backup_run_ms, b),
                 duration_print(w->backup_upload_ms, c));
    diag_warning(r->d, r->rpo_at.line, r->rpo_at.col, "rpo-arithmetic",
                 "RPO %s cannot hold: %s %s%s = %s worst", duration_print(rpo, a), kind,
                 duration_print(w->backup_every_ms, d), how, tell(worst, sum));
    diag_hint(r->d, "set %s.frequency: %s", key, duration_print(rpo / 2, a));
}

void warn_plan(struct reading *r)
{
    timeouts_fit(r);
    for (size_t i = 0; i < r->p->step_count; i++)
        warn_step(r, i);
    if (r->world == NULL)
        return;
    objective_differs(r, r->rto_at, "RTO", r->p->rto_ms, r->world->rto_ms);
    objective_differs(r, r->rpo_at, "RPO", r->p->rpo_ms, r->world->rpo_ms);
    rpo_can_hold(r);
}
