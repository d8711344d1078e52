/*
 * lint.c - what must go together in a plan that could be read (chapter 12). One function, one rule.
 */
#include <string.h>

#include "dr/base/text.h"
#include "dr/plan/reading.h"

static bool is_type(const struct plan_step *s, const char *name)
{
    return strcmp(s->call.type->name, name) == 0;
}

static bool past_no_return(const struct plan *p, size_t i)
{
    return p->no_return != PLAN_NO_STEP && (i == p->no_return || plan_is_after(p, p->no_return, i));
}

static void at_step(struct reading *r, const struct plan_step *s, const char *code,
                    const char *what, const char *more)
{
    diag_error(r->d, s->at.line, s->at.col, code, "'%s' %s%s", s->id, what, more);
}

/* ---- undo, retry ------------------------------------------------------------------------------- */

static void undo_before_no_return(struct reading *r, size_t i)
{
    const struct plan_step *s = &r->p->steps[i];
    if (!step_changes(s) || past_no_return(r->p, i) || s->undo_source != PLAN_UNDO_NOT)
        return;
    at_step(r, s, "no-undo",
            r->p->no_return == PLAN_NO_STEP ? "changes something and cannot be undone"
                                            : "changes something before the point of no return and "
                                              "cannot be undone",
            "");
    diag_hint(r->d, "add undo: {use: ..., with: ...}, or undo: none if leaving it does no harm");
}

static void retry_needs_check(struct reading *r, size_t i)
{
    const struct plan_step *s = &r->p->steps[i];
    struct plan_place at = r->places[i].retry_key;
    if (s->retry == 0 || !step_changes(s) || s->check_source != PLAN_CHECK_NONE)
        return;
    diag_error(r->d, at.line, at.col, "retry-blind",
               "retry on '%s' without a check: a second try could do it twice", s->call.type->name);
    diag_hint(r->d,
              "add check: {use: exec.check, ...}, or check: repeatable if twice does no harm");
}

/* ---- fences ------------------------------------------------------------------------------------ */

static bool after_class(const struct plan *p, size_t i, enum step_class class, const char *but)
{
    for (size_t k = 0; k < i; k++)
        if (plan_is_after(p, k, i) && plan_class(&p->steps[k].call) == class &&
            (but == NULL || !is_type(&p->steps[k], but)))
            return true;
    return false;
}

/* A promotion elsewhere than where the service runs: at something that is not ${active}, or in
 * a plan that gives a region up. A literal at in a plan without failed may be the same place. */
static bool makes_new_writer(const struct reading *r, size_t i)
{
    bool elsewhere = r->p->uses_failed;
    for (size_t k = 0; k < r->ref_count; k++) {
        const struct ref *ref = &r->refs[k];
        if (ref->scope.step == i && ref->scope.where == REF_WITH && ref->scope.arg != NULL &&
            strcmp(ref->scope.arg, "at") == 0 && !ref_is(ref->name, "active"))
            elsewhere = true;
    }
    return elsewhere;
}

static void writer_needs_fence(struct reading *r, size_t i)
{
    const struct plan_step *s = &r->p->steps[i];
    enum step_class class = plan_class(&s->call);
    bool promote = class == STEP_PROMOTE && makes_new_writer(r, i);
    bool traffic = class == STEP_TRAFFIC && after_class(r->p, i, STEP_DATA, "backup.now");
    if ((!promote && !traffic) || after_class(r->p, i, STEP_FENCE, NULL))
        return;
    at_step(r, s, "no-fence",
            promote ? "makes a new writer, but no fence above it stops the old one"
                    : "sends traffic to restored data, but no fence above it stops the old writer",
            "");
    diag_hint(r->d,
              "add a fence step above: use: fence, with: {region: ${failed}, methods: [...]}");
}

static bool falls_through(const struct plan *p)
{
    for (size_t i = 0; i < p->step_count; i++)
        if (p->steps[i].on_error == PLAN_NEXT_STANDBY)
            return true;
    return false;
}

static void fence_outside_of_target(struct reading *r, size_t i)
{
    const struct plan *p = r->p;
    const struct plan_step *s = &p->steps[i];
    if (plan_class(&s->call) != STEP_FENCE || !s->belongs_to_target || !falls_through(p))
        return;
    if (s->uses_target) {
        diag_error(r->d, s->at.line, s->at.col, "fence-scope",
                   "the fence depends on the target: trying the next standby would lift it");
        diag_hint(r->d, "fence the region that is given up: region: ${failed}");
        return;
    }
    size_t first = 0;
    while (!p->steps[first].belongs_to_target || !plan_is_after(p, first, i))
        first++;
    diag_error(r->d, s->at.line, s->at.col, "fence-scope",
               "the fence comes after '%s', which depends on the target: trying the next standby "
               "would lift it",
               p->steps[first].id);
    diag_hint(r->d, "move the fence up, or keep target out of the steps before it");
}

/* ---- standbys, the point of no return ---------------------------------------------------------- */

static void next_standby_in_time(struct reading *r, size_t i)
{
    const struct plan *p = r->p;
    const struct plan_step *s = &p->steps[i];
    struct plan_place at = r->places[i].on_error;
    if (s->on_error != PLAN_NEXT_STANDBY)
        return;
    if (p->no_return != PLAN_NO_STEP && plan_is_after(p, p->no_return, i)) {
        diag_error(r->d, at.line, at.col, "standby-late",
                   "after the point of no return ('%s') no other standby can be tried",
                   p->steps[p->no_return].id);
        diag_hint(r->d, "on_error: hold");
    } else if (!s->belongs_to_target) {
        diag_error(r->d, at.line, at.col, "standby-scope",
                   "'%s' does not depend on the target: another standby would change nothing",
                   s->id);
        diag_hint(r->d, "on_error: hold");
    }
}

static void no_return_is_ordered(struct reading *r, size_t i)
{
    const struct plan *p = r->p;
    const struct plan_step *s = &p->steps[i];
    size_t n = p->no_return;
    if (n == PLAN_NO_STEP || i == n || !step_changes(s) || plan_is_after(p, n, i) ||
        plan_is_after(p, i, n))
        return;
    diag_error(
        r->d, s->at.line, s->at.col, "ponr-order",
        "'%s' runs beside the point of no return '%s': nobody can say whether it may still be "
        "undone",
        s->id, p->steps[n].id);
    if (n < i)
        diag_hint(r->d, "add %s to its needs, or %s to the needs of %s", p->steps[n].id, s->id,
                  p->steps[n].id);
    else
        diag_hint(r->d, "add %s to the needs of %s", s->id, p->steps[n].id);
}

/* ---- the failed region, shells ----------------------------------------------------------------- */

static void nobody_talks_to_failed(struct reading *r)
{
    for (size_t k = 0; k < r->ref_count; k++) {
        const struct ref *ref = &r->refs[k];
        const char *arg = ref->scope.arg;
        bool place = arg != NULL &&
                     (strcmp(arg, "at") == 0 || strcmp(arg, "to") == 0 || strcmp(arg, "from") == 0);
        if (!place || ref->scope.fence || !ref_is(ref->name, "failed"))
            continue;
        if (ref->scope.step != PLAN_NO_STEP)
            diag_error(r->d, ref->at.line, ref->at.col, "talks-to-failed",
                       "'%s' would talk to the failed region", r->p->steps[ref->scope.step].id);
        else
            diag_error(r->d, ref->at.line, ref->at.col, "talks-to-failed",
                       "a check would talk to the failed region");
        diag_hint(r->d, "only a fence may; the region that serves is ${active}");
    }
}

static bool is_shell(const char *command)
{
    static const char *const shells[] = { "sh", "bash", "dash", "ash", "ksh", "zsh", "busybox" };
    const char *name = strrchr(command, '/');
    name = name == NULL ? command : name + 1;
    for (size_t i = 0; i < DR_ARRAY_LEN(shells); i++)
        if (strcmp(name, shells[i]) == 0)
            return true;
    return false;
}

static const char *fixed_text(const struct plan_value *v)
{
    const char *text = v->fixed == NULL ? NULL : json_string_value(v->fixed);
    return text == NULL ? "" : text;
}

static void no_value_in_shell(struct reading *r, const struct plan_value *argv)
{
    if (argv->kind != PLAN_ITEMS || argv->count < 3 || !is_shell(fixed_text(argv->items[0])))
        return;
    bool command = false, reference = false;
    for (size_t i = 1; i < argv->count && !reference; i++) {
        const char *text = fixed_text(argv->items[i]);
        if (command)
            reference = argv->items[i]->fixed == NULL;
        if (command && !reference) /* what follows the command are its arguments, not shell text */
            break;
        command = command || (text[0] == '-' && strchr(text, 'c') != NULL);
    }
    if (!reference)
        return;
    diag_error(r->d, argv->at.line, argv->at.col, "shell-ref",
               "a value is put into a shell command");
    diag_hint(r->d, "pass it as an argument to a script of its own");
}

static void check_call_shell(struct reading *r, const struct plan_call *call)
{
    for (size_t i = 0; call != NULL && i < call->arg_count; i++) {
        if (call->args[i]->type == ARG_ARGV)
            no_value_in_shell(r, call->values[i]);
        if (call->args[i]->type == ARG_CHECK)
            check_call_shell(r, call->values[i]->calls);
    }
}

static void check_checks_shell(struct reading *r, const struct plan_check *checks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_call_shell(r, &checks[i].call);
}

static void no_shells(struct reading *r)
{
    const struct plan *p = r->p;
    check_checks_shell(r, p->preflight, p->preflight_count);
    check_checks_shell(r, p->invariants, p->invariant_count);
    check_checks_shell(r, p->trigger.failing, p->trigger.failing_count);
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];
        check_call_shell(r, &s->call);
        check_call_shell(r, s->undo);
        check_call_shell(r, s->drill_with);
        check_checks_shell(r, s->check, s->check == NULL ? 0 : 1);
        check_checks_shell(r, s->verify, s->verify_count);
    }
}

/* ---- objectives, drills ------------------------------------------------------------------------ */

/* What may fail without the run failing (on_error: continue) need not be proved. */
static void objectives_are_proved(struct reading *r)
{
    const struct plan *p = r->p;
    size_t last = PLAN_NO_STEP;
    if (p->rto_ms < 0 && p->rpo_ms < 0)
        return;
    for (size_t i = 0; i < p->step_count; i++)
        if (step_changes(&p->steps[i]) && p->steps[i].on_error != PLAN_CONTINUE)
            last = i;
    if (last == PLAN_NO_STEP)
        return;
    for (size_t i = last + 1; i < p->step_count; i++)
        if (plan_class(&p->steps[i].call) == STEP_CHECK && plan_is_after(p, last, i))
            return;
    diag_error(r->d, r->objective_at.line, r->objective_at.col, "no-proof",
               "objectives, but no check after the last change: recovery would never be proved");
    diag_hint(r->d, "end with a check: {id: works, use: http.check, with: {...}}");
}

/* In a drill a step that runs cannot use what a skipped step, or a simulated command, would give. */
static void drills_have_their_values(struct reading *r)
{
    const struct plan *p = r->p;
    for (size_t k = 0; k < r->ref_count; k++) {
        const struct ref *ref = &r->refs[k];
        size_t from = ref_step(p, ref->name), step = ref->scope.step;
        if (step == PLAN_NO_STEP || from == PLAN_NO_STEP || ref->scope.where != REF_WITH ||
            p->steps[step].drill >= DRILL_SIMULATE || p->steps[step].drill_with != NULL)
            continue;
        const struct plan_step *giver = &p->steps[from];
        bool simulated = giver->drill == DRILL_SIMULATE && is_type(giver, "exec");
        if (giver->drill != DRILL_SKIP && !simulated)
            continue;
        diag_error(r->d, ref->at.line, ref->at.col, "drill-value",
                   "in a drill '%s' runs, but '%s' is %s and has no output", p->steps[step].id,
                   giver->id, simulated ? "simulated" : "skipped");
        diag_hint(r->d, "drill: simulate, or drill: {with: {%s: ...}}",
                  ref->scope.arg == NULL ? "..." : ref->scope.arg);
    }
}

static void sub_plan_stands_alone(struct reading *r, size_t i)
{
    const struct plan_step *s = &r->p->steps[i];
    if (!is_type(s, "plan") || s->for_each == NULL)
        return;
    diag_error(r->d, s->for_each->at.line, s->for_each->at.col, "plan-each",
               "a plan inside a plan cannot be gone through with for_each");
    diag_hint(r->d, "write a step for each, or put for_each into the other plan");
}

static void ids_do_not_hide_values(struct reading *r)
{
    for (size_t i = 0; i < r->p->preflight_count; i++) {
        const struct plan_check *c = &r->p->preflight[i];
        if (c->id == NULL || plan_find_step(r->p, c->id) == PLAN_NO_STEP)
            continue;
        diag_error(r->d, c->at.line, c->at.col, "duplicate-id", "'%s' is also the id of a step",
                   c->id);
        diag_hint(r->d, "give the check another word");
    }
}

void lint_plan(struct reading *r)
{
    for (size_t i = 0; i < r->p->step_count; i++) {
        undo_before_no_return(r, i);
        retry_needs_check(r, i);
        writer_needs_fence(r, i);
        fence_outside_of_target(r, i);
        next_standby_in_time(r, i);
        no_return_is_ordered(r, i);
        sub_plan_stands_alone(r, i);
    }
    nobody_talks_to_failed(r);
    no_shells(r);
    objectives_are_proved(r);
    drills_have_their_values(r);
    ids_do_not_hide_values(r);
}
