/*
 * print.c - a plan on paper: a checklist that a person can follow with drctl gone.
 *
 * Nothing is looked up: references stay as "${name}", to be written in by hand.
 */
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/duration.h"
#include "dr/plan/reading.h"

/* used: a first print without outputs; an output is to be written down when that mentions it. */
struct paper {
    struct buf *out;
    const char *used; /* NULL in the first print */
};

static const char BAR[] =
    "----------------------------------------------------------------------------";

/* What a person does where the program would have done it. */
static const char *const by_hand[][2] = {
    { "backup.now", "drctl backup --source SOURCE --kind full" },
    { "backup.pick", "drctl snapshots: the newest, not from the bucket of the failed region" },
    { "backup.restore",
      "drctl restore SNAPSHOT --to DIR; without drctl: the shell recipe of the README" },
    { "backup.sync", "rsync -aHAX --delete, then once more while nothing writes" },
    { "config.apply", "put the old file back, reload the unit, look at it before the next host" },
    { "data.check", "drctl verify --data; compare file counts; read the sentinel" },
    { "dns.check", "dig +short NAME @RESOLVER for several resolvers" },
    { "dns.ttl", "dig NAME: the number before IN" },
    { "fence", "power off, cut the network, or wait out the lease; silence proves nothing" },
    { "fence.lift", "only after somebody has looked at what it has alone" },
    { "haproxy",
      "echo 'show servers state BACKEND' | socat - SOCKET; then set server B/S weight N" },
    { "http.check", "curl -fsS --max-time 5 URL" },
    { "lease.check", "read the lease file or key: one holder, epoch not falling" },
    { "powerdns", "pdnsutil replace-rrset ZONE NAME A TTL ADDRESS" },
    { "region.pick", "the first region of the list for which all preflight checks pass" },
    { "service.promote", "take the lease, ln -sfn DATA LIVE, start the unit; only behind a fence" },
    { "writes.freeze", "switch the service to read-only; look that no write gets through" },
    { "writes.thaw", "switch the service back to writing" },
};

static void add_line(struct buf *out, const char *label, const char *text)
{
    buf_addf(out, "        %-9s ", label);
    text_add_printable(out, text, strlen(text));
    buf_addc(out, '\n');
}

/* "http.check  url=https://...  times=3" */
static void add_call(struct buf *out, const struct plan_call *c)
{
    buf_adds(out, c->type->name);
    for (size_t i = 0; i < c->arg_count; i++) {
        const struct plan_value *v = c->values[i];
        if (v->kind == PLAN_METHODS)
            continue;
        if (v->kind == PLAN_CALL) { /* a check inside: it has no check inside itself */
            buf_addf(out, "  %s=(", c->args[i]->name);
            add_call(out, &v->calls[0]);
            buf_addc(out, ')');
            continue;
        }
        DR_FREE char *text = plan_value_tell(v, NULL);
        if (v->type == ARG_ARGV)
            buf_addf(out, "  %s", text);
        else
            buf_addf(out, "  %s=%s", c->args[i]->name, text);
    }
}

static void add_call_line(struct buf *out, const char *label, const struct plan_call *c)
{
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    add_call(&text, c);
    add_line(out, label, text.data);
}

static void add_methods(struct buf *out, const struct plan_call *c)
{
    for (size_t i = 0; i < c->arg_count; i++) {
        const struct plan_value *v = c->values[i];
        for (size_t k = 0; v->kind == PLAN_METHODS && k < v->count; k++)
            add_call_line(out, k == 0 ? "first" : "or", &v->calls[k]);
    }
}

static void add_check_line(struct buf *out, const char *label, const struct plan_check *c)
{
    char time[DURATION_TEXT_MAX];
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    add_call(&text, &c->call);
    if (c->when != NULL)
        buf_addf(&text, "  (when %s)", expr_text(c->when));
    if (c->timeout_given)
        buf_addf(&text, "  (within %s)", duration_print(c->timeout_ms, time));
    add_line(out, label, text.data);
}

/* ---- head ------------------------------------------------------------------------------------- */

static void add_names(struct buf *out, const char *label, char *const *names, size_t count)
{
    if (count == 0)
        return;
    buf_addf(out, "%-11s", label);
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "%s%s", i > 0 ? ", " : "", names[i]);
    buf_addc(out, '\n');
}

static void add_params(struct buf *out, const struct plan *p)
{
    if (p->param_count == 0)
        return;
    buf_adds(out, "\nFILL IN\n");
    for (size_t i = 0; i < p->param_count; i++) {
        const struct plan_param *param = &p->params[i];
        buf_addf(out, "  %-12s ______________________  ", param->name);
        if (param->about != NULL) {
            text_add_printable(out, param->about, strlen(param->about));
            buf_adds(out, "; ");
        }
        buf_adds(out, step_arg_word(param->type));
        if (param->match != NULL)
            buf_addf(out, " like %s", param->match);
        for (size_t k = 0; k < param->value_count; k++)
            buf_addf(out, "%s%s", k == 0 ? ", one of " : " ", param->values[k]);
        if (param->fallback != NULL) {
            DR_FREE char *text = plan_json_tell(param->fallback, param->type);
            buf_addf(out, ", usually %s", text);
        }
        buf_addc(out, '\n');
    }
}

static void add_head(struct buf *out, const struct plan *p)
{
    char a[DURATION_TEXT_MAX], b[DURATION_TEXT_MAX];
    buf_addf(out, "PLAN       %s", p->name);
    if (p->title != NULL) {
        buf_adds(out, ": ");
        text_add_printable(out, p->title, strlen(p->title));
    }
    buf_addc(out, '\n');
    buf_addf(out, "VERSION    %.6s (%zu steps)\n", p->hash, p->step_count);
    add_names(out, "REGIONS", p->regions, p->region_count);
    if (p->rto_ms >= 0)
        buf_addf(out, "RTO        %s: the service is back within this time\n",
                 duration_print(p->rto_ms, a));
    if (p->rpo_ms >= 0)
        buf_addf(out, "RPO        %s: at most this much of the newest data is lost\n",
                 duration_print(p->rpo_ms, b));
    if (p->no_return != PLAN_NO_STEP)
        buf_addf(out, "NO RETURN  after step %zu, %s: until then everything can be taken back\n",
                 p->no_return + 1, p->steps[p->no_return].id);
    buf_adds(out,
             "STARTED    ____-__-__ __:__   BROKEN SINCE ____-__-__ __:__   BY ________________\n");
    if (p->uses_failed)
        buf_adds(out, "GIVES UP   ${failed} = ________________\n");
    if (p->uses_target)
        buf_adds(out, "STANDBY    ${target} = ________________   then ________________\n");
    add_params(out, p);
}

static void add_checks(struct buf *out, const char *title, const struct plan_check *checks,
                       size_t count)
{
    if (count == 0)
        return;
    buf_addf(out, "\n%s\n", title);
    for (size_t i = 0; i < count; i++) {
        buf_addf(out, "  [ ] %s%s\n", checks[i].id == NULL ? "" : checks[i].id,
                 checks[i].uses_target ? "   (of each standby: is it ready?)" : "");
        add_check_line(out, "ask", &checks[i]);
        if (checks[i].on_error_given)
            add_line(out, "if not",
                     checks[i].on_error == PLAN_HOLD ? "do not start" : "write it down and go on");
    }
}

/* ---- steps ------------------------------------------------------------------------------------ */

static void add_needs(struct buf *out, const struct plan *p, const struct plan_step *s)
{
    if (!s->needs_given)
        return;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    for (size_t i = 0; i < s->need_count; i++)
        buf_addf(&text, "%s%zu %s", i > 0 ? ", " : "", s->needs[i] + 1, p->steps[s->needs[i]].id);
    add_line(out, "after", s->need_count == 0 ? "nothing: at once" : text.data);
}

static void add_each(struct buf *out, const struct plan_step *s)
{
    if (s->for_each == NULL)
        return;
    DR_FREE char *list = plan_value_tell(s->for_each, NULL);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_FREE char *size = s->batch_size == NULL ? NULL : plan_value_tell(s->batch_size, NULL);
    DR_FREE char *delay = s->batch_delay == NULL ? NULL : plan_value_tell(s->batch_delay, NULL);
    DR_FREE char *healthy =
        s->batch_healthy == NULL ? NULL : plan_value_tell(s->batch_healthy, NULL);
    buf_addf(&text, "${item} of %s; %s at a time, wait %s, go on if %s are good", list,
             size == NULL ? "1" : size, delay == NULL ? "0s" : delay,
             healthy == NULL ? "100%" : healthy);
    add_line(out, "for each", text.data);
}

/* Does text mention name as a whole? */
static bool mentions(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name))
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789_", at[len]) == NULL || at[len] == '\0')
            return true;
    return false;
}

static void add_outputs(const struct paper *paper, const struct plan_step *s)
{
    bool first = true;
    for (const struct step_output *o = s->call.type->outputs; o->name != NULL; o++) {
        DR_FREE char *name = dr_strf("%s.%s", s->id, o->name);
        DR_FREE char *line = dr_strf("${%s} = ________________", name);
        if (paper->used == NULL || !mentions(paper->used, name))
            continue;
        add_line(paper->out, first ? "write" : "", line);
        first = false;
    }
}

static void add_expect(const struct paper *paper, const struct plan_step *s)
{
    struct buf *out = paper->out;
    char time[DURATION_TEXT_MAX], text[96];
    if (s->check_source == PLAN_CHECK_GIVEN)
        add_check_line(out, "done if", s->check);
    for (size_t i = 0; i < s->verify_count; i++)
        add_check_line(out, "expect", &s->verify[i]);
    add_outputs(paper, s);
    if (s->timeout_ms > 0) {
        snprintf(text, sizeof(text), "%s%s", duration_print(s->timeout_ms, time),
                 s->retry > 0 ? ", then try again" : "");
        add_line(out, "at most", text);
    }
}

static const char *if_it_fails(const struct plan_step *s)
{
    switch (s->on_error) {
    case PLAN_CONTINUE:
        return "write it down and go on";
    case PLAN_ROLLBACK:
        return "take everything back, newest first, to the point of no return";
    case PLAN_NEXT_STANDBY:
        return "take back what is marked *, then begin there with the next standby";
    default:
        return "stop, leave everything as it is, call a person";
    }
}

static void add_undo(struct buf *out, const struct plan_step *s, bool past)
{
    if (!step_changes(s))
        return;
    if (past)
        add_line(out, "undo", "not any more: it lies behind the point of no return");
    else if (s->undo_source == PLAN_UNDO_GIVEN)
        add_call_line(out, "undo", s->undo);
    else if (s->undo_source == PLAN_UNDO_NONE)
        add_line(out, "undo", "not needed: leaving it does no harm");
    else if (s->undo_source == PLAN_UNDO_OWN)
        add_line(out, "undo", "put back what was there before: ________________________");
    else
        add_line(out, "undo", "there is none");
}

static void add_hand(struct buf *out, const char *type)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(by_hand); i++)
        if (strcmp(by_hand[i][0], type) == 0)
            add_line(out, "by hand", by_hand[i][1]);
}

static void add_step(const struct paper *paper, const struct plan *p, size_t i)
{
    struct buf *out = paper->out;
    const struct plan_step *s = &p->steps[i];
    DR_FREE char *title = plan_step_title(s, NULL);
    buf_addf(out, "\n%3zu [ ]%c __:__  %s: ", i + 1, s->belongs_to_target ? '*' : ' ', s->id);
    text_add_printable(out, title, strlen(title));
    buf_addc(out, '\n');
    add_needs(out, p, s);
    if (s->when != NULL)
        add_line(out, "only if", expr_text(s->when));
    add_each(out, s);
    add_call_line(out, "do", &s->call);
    add_methods(out, &s->call);
    add_expect(paper, s);
    add_line(out, "if not", if_it_fails(s));
    add_undo(out, s, p->no_return != PLAN_NO_STEP && plan_is_after(p, p->no_return, i));
    add_hand(out, s->call.type->name);
    if (i == p->no_return) {
        DR_FREE char *why = plan_value_tell(s->point_of_no_return, NULL);
        buf_addf(out, "%s\n  POINT OF NO RETURN: ", BAR);
        text_add_printable(out, why, strlen(why));
        buf_addf(out, "\n%s\n", BAR);
    }
}

static bool add_steps(const struct paper *paper, const struct plan *p)
{
    bool marked = false;
    for (size_t i = 0; i < p->step_count; i++) {
        add_step(paper, p, i);
        marked |= p->steps[i].belongs_to_target;
    }
    return marked;
}

void plan_print(const struct plan *p, struct buf *out)
{
    DR_CLEANUP(buf_fini) struct buf first = { 0 };
    struct paper paper = { .out = &first };
    (void)add_steps(&paper, p); /* only to see which outputs are used */
    paper = (struct paper){ .out = out, .used = first.data == NULL ? "" : first.data };
    add_head(out, p);
    add_checks(out, "BEFORE ANYTHING IS CHANGED", p->preflight, p->preflight_count);
    add_checks(out, "BEFORE AND AFTER EACH CHANGE: ELSE STOP", p->invariants, p->invariant_count);
    buf_adds(out, "\nSTEPS, in this order unless a line says otherwise\n");
    if (add_steps(&paper, p))
        buf_adds(
            out,
            "\n* belongs to the standby: taken back and done again when the next one is tried\n");
    buf_adds(
        out,
        "\nRECOVERED  ____-__-__ __:__   NEWEST DATA ____-__-__ __:__   SIGNED ________________\n");
}
