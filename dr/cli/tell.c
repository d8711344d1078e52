/*
 * tell.c - a run's states as letters.
 */
#include "dr/cli/tell.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/notify/notify.h"

enum { LOOK_MS = 50 };

struct tell {
    const struct config *config; /* borrowed */
    struct notify *notify;
    int64_t next_ns; /* not before, on clock_boot_ns() */
    bool deaf;       /* that was told */
};

static void hear(struct tell *t, enum dr_rc rc, const struct dr_err *err)
{
    bool deaf = rc != DR_OK && rc != DR_E_BUSY;
    if (deaf && !t->deaf)
        log_warning("people cannot be told: %s; the run goes on", err->msg);
    t->deaf = deaf;
}

struct tell *tell_open(const struct config *c)
{
    struct dr_err err = { 0 };
    if (c->channel_count == 0)
        return NULL;
    struct tell *t = dr_alloc(1, sizeof(*t));
    t->config = c;
    enum dr_rc rc = notify_open(c, &t->notify, &err);
    hear(t, rc, &err);
    if (rc == DR_OK)
        return t;
    free(t);
    return NULL;
}

void tell_step(struct tell *t)
{
    struct dr_err err = { 0 };
    if (t == NULL || clock_boot_ns() < t->next_ns)
        return;
    t->next_ns = INT64_MAX;
    hear(t, notify_step(t->notify, &t->next_ns, &err), &err);
    /* What a child answered comes without a word to us: look again soon. */
    int64_t soon_ns = clock_boot_ns() + LOOK_MS * INT64_C(1000000);
    t->next_ns = t->next_ns < soon_ns ? t->next_ns : soon_ns;
}

/* Letters that wait for a channel which works, as far as is known. */
static bool any_waits(const struct tell *t)
{
    DR_JSON json_t *channels = notify_channels(t->notify);
    size_t i;
    const json_t *o;
    json_array_foreach(channels, i, o)
    {
        if (json_integer_value(json_object_get(o, "waiting")) > 0 &&
            !json_is_string(json_object_get(o, "failing_since")))
            return true;
    }
    return false;
}

void tell_close(struct tell *t)
{
    if (t == NULL)
        return;
    int64_t until_ms = clock_boot_ms() + TELL_CLOSE_MS;
    while (!t->deaf && any_waits(t) && clock_boot_ms() < until_ms) {
        struct pollfd p = { .fd = notify_fd(t->notify), .events = POLLIN };
        tell_step(t);
        (void)poll(&p, 1, LOOK_MS);
    }
    notify_close(t->notify);
    free(t);
}

/* ---- runs ------------------------------------------------------------------------------------------ */

static const char *or_none(const char *text)
{
    return text != NULL ? text : "";
}

static char *title_of(const struct run_state *s, enum tell_what what)
{
    const char *plan = or_none(s->plan), *to = s->target;
    if (what == TELL_BEGUN)
        return dr_strf("%s %s of plan %s has begun%s%s", s->mode, s->id, plan,
                       s->failed != NULL ? ": it gives up " : "", or_none(s->failed));
    if (what == TELL_HELD)
        return dr_strf("run %s of plan %s is held: a person has to decide", s->id, plan);
    return dr_strf("run %s of plan %s ended: %s%s%s", s->id, plan, run_phase_name(s->phase),
                   s->phase == RUN_RECOVERED && to != NULL ? " in " : "",
                   s->phase == RUN_RECOVERED ? or_none(to) : "");
}

static char *text_of(const struct run_state *s, enum tell_what what)
{
    if (what == TELL_BEGUN)
        return dr_strf("By %s on %s. Follow it: drctl runs watch %s", or_none(s->by),
                       or_none(s->host), s->id);
    if (what == TELL_HELD)
        return dr_strf("%s. Look: drctl runs show %s; then resume, undo, skip or abort it",
                       or_none(s->why), s->id);
    return dr_strf("%s. The report: drctl report --run %s", or_none(s->why), s->id);
}

void tell_run(struct tell *t, const struct run_state *state, enum tell_what what)
{
    static const char *const words[] = { "begun", "held", "ended" };
    struct dr_err err = { 0 };
    if (t == NULL || state->dry || state->id == NULL)
        return;
    bool drill = json_is_true(json_object_get(state->start, "drill"));
    DR_FREE char *title = title_of(state, what);
    DR_FREE char *text = text_of(state, what);
    DR_FREE char *key = what == TELL_HELD
                            ? dr_strf("%s/%s/%" PRId64, state->id, words[what], state->last_n)
                            : dr_strf("%s/%s", state->id, words[what]);
    if (drill) {
        tell_drill(t, key, what == TELL_BEGUN || state->phase == RUN_RECOVERED, title, text);
        return;
    }
    DR_FREE char *run_key = dr_strf("run/%s", key);
    t->next_ns = 0;
    hear(t, notify_event(t->notify, "critical", run_key, title, text, &err), &err);
    tell_step(t);
}

/* ---- drills ---------------------------------------------------------------------------------------- */

void tell_drill_channels(const struct config *c, struct text_list *ret)
{
    for (size_t i = 0; i < c->drill.channels.count; i++)
        if (!text_list_has(ret, c->drill.channels.items[i]))
            text_list_add(ret, c->drill.channels.items[i]);
    for (size_t i = 0; i < c->person_count; i++) {
        const struct config_person *p = &c->people[i];
        bool takes_part = text_list_has(&c->drill.participants, p->name) ||
                          text_list_has(&c->drill.participants, p->role);
        if (takes_part && p->channel != NULL && !text_list_has(ret, p->channel))
            text_list_add(ret, p->channel);
    }
}

void tell_drill(struct tell *t, const char *key, bool passed, const char *title, const char *text)
{
    DR_CLEANUP(text_list_fini) struct text_list channels = { 0 };
    struct dr_err err = { 0 };
    if (t == NULL)
        return;
    DR_FREE char *full = dr_strf("drill/%s", key);
    DR_FREE char *who = text_list_join(&t->config->drill.participants, ", ");
    DR_FREE char *all = who[0] != '\0' ? dr_strf("%s\nTakes part: %s", text, who) : dr_strdup(text);
    tell_drill_channels(t->config, &channels);
    const struct notify_event_of event = { .severity = passed ? "info" : "warning",
                                           .key = full,
                                           .title = title,
                                           .text = all,
                                           .channels = channels.count > 0 ? &channels : NULL };
    t->next_ns = 0;
    hear(t, notify_event_to(t->notify, &event, &err), &err);
    tell_step(t);
}
