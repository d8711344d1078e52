/*
 * run_screen.c - records and events become lines; what is known of the steps that run.
 */
#include "dr/cli/run_screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/run/health.h"

enum { REDRAW_MS = 150, TICK_MS = 500 };

void run_screen_init(struct run_screen *s, struct cli *cli)
{
    const char *term = getenv("TERM"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    *s = (struct run_screen){ .cli = cli, .rto_ms = -1 };
    s->tty = !cli->json && isatty(STDOUT_FILENO) == 1;
    s->live = s->tty && !cli->quiet && term != NULL && strcmp(term, "dumb") != 0;
}

void run_screen_fini(struct run_screen *s)
{
    for (size_t i = 0; i < s->step_count; i++)
        free(s->steps[i].words);
    free(s->steps);
    text_list_fini(&s->failed);
    text_list_fini(&s->prompt);
    free(s->typed);
    free(s->data);
    free(s->no_way_back);
    run_state_fini(&s->state);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : "";
}

static char *took(int64_t ms, char out[DURATION_TEXT_MAX])
{
    return duration_tell(ms, out);
}

/* -- steps that run --------------------------------------------------------------------------------- */

static struct screen_step *live_step(struct run_screen *s, const char *id)
{
    const struct state_step *st = state_step_of(&s->state, id);
    if (s->step_count < s->state.step_count) {
        free(s->steps);
        s->steps = dr_alloc(s->state.step_count, sizeof(*s->steps));
        s->step_count = s->state.step_count;
    }
    return st != NULL ? &s->steps[st - s->state.steps] : NULL;
}

/* A record of a step: what its process said before is old. */
static void step_moves(struct run_screen *s, const json_t *b)
{
    struct screen_step *p = live_step(s, text_of(b, "step"));
    if (p == NULL)
        return;
    int64_t timeout = json_integer_value(json_object_get(b, "timeout_ms"));
    free(p->words);
    *p = (struct screen_step){ .heard_ms = clock_boot_ms(),
                               .timeout_ms = timeout > 0 ? timeout : p->timeout_ms };
}

char *run_screen_pick(const struct run_state *st)
{
    struct buf out = { 0 };
    for (size_t i = 0; i < st->standby_count; i++) {
        const char *region = st->standbys[i].region;
        if (text_list_has(&st->excluded, region))
            buf_addf(&out, "%s was tried; ", region);
        else if (!st->standbys[i].ready)
            buf_addf(&out, "%s is not ready; ", region);
    }
    buf_adds(&out, st->target != NULL ? st->target : "no standby is left");
    return buf_take(&out);
}

/* -- one line an event ------------------------------------------------------------------------------ */

static void tell_outcome(const struct run_screen *s, const json_t *b)
{
    char text[DURATION_TEXT_MAX];
    const struct state_step *st = state_step_of(&s->state, text_of(b, "step"));
    const char *why = text_of(b, "why");
    int64_t ms = json_integer_value(json_object_get(b, "dur_ms"));
    const char *state = text_of(b, "state");
    if (strcmp(state, "done") == 0) {
        DR_FREE char *picked =
            strcmp(st->use, "region.pick") == 0 ? run_screen_pick(&s->state) : NULL;
        run_screen_say(s, "  %-12s %-44s done      %s   %s", st->id, st->title, took(ms, text),
                       picked != NULL ? picked : why);
        if (st->ponr)
            run_screen_say(s, "  %-12s point of no return passed", st->id);
    } else if (strcmp(state, "running") == 0 || strcmp(state, "checking") == 0)
        run_screen_say(s, "! %-12s %s: %s", st->id,
                       strcmp(state, "checking") == 0 ? "in doubt, asking whether it is in place"
                                                      : "failed, is tried again",
                       why);
    else
        run_screen_say(s, "! %-12s %s%s%s: %s", st->id,
                       strcmp(state, "unknown") == 0 ? "UNKNOWN" : "FAILED",
                       s->state.target != NULL ? " in " : "",
                       s->state.target != NULL ? s->state.target : "", why);
}

static void tell_ask(const struct run_screen *s, const json_t *b)
{
    const char *step = text_of(b, "step");
    run_screen_say(s, "> %-12s \"%s\"   WAITS for %" PRId64 " %s", step, text_of(b, "question"),
                   json_is_integer(json_object_get(b, "count"))
                       ? (int64_t)json_integer_value(json_object_get(b, "count"))
                       : 1,
                   text_of(b, "role")[0] != '\0' ? text_of(b, "role") : "person");
    run_screen_say(
        s, "  answer: drctl runs approve %s %s     or: drctl runs reject %s %s --reason TEXT",
        s->state.id, step, s->state.id, step);
}

static void tell_step(const struct run_screen *s, const char *type, const json_t *b)
{
    char text[DURATION_TEXT_MAX];
    const char *step = text_of(b, "step");
    const char *why = text_of(b, "why");
    const char *state = text_of(b, "state");
    bool check = strcmp(type, "check") == 0;
    bool bad = strcmp(state, "failed") == 0 || strcmp(state, "unknown") == 0;
    if (strcmp(type, "outcome") == 0 || (check && bad))
        tell_outcome(s, b);
    else if (check && json_is_true(json_object_get(b, "already")))
        run_screen_say(s, "  %-12s already in place: %s", step, why);
    else if (strcmp(type, "doubt") == 0)
        run_screen_say(s, "  IN DOUBT %s: %s", step, why);
    else if (strcmp(type, "ask") == 0)
        tell_ask(s, b);
    else if (strcmp(type, "answer") == 0 || strcmp(type, "skip") == 0)
        run_screen_say(s, "  %-12s %s", step, why);
    else if (strcmp(type, "undo") == 0)
        run_screen_say(s, "    %-10s %-12s %s   %s", text_of(b, "state"), step, why,
                       took(json_integer_value(json_object_get(b, "dur_ms")), text));
}

static void tell_start(const struct run_screen *s)
{
    const struct run_state *st = &s->state;
    if (s->started) {
        run_screen_say(s, "RUN      %s, plan %.6s", st->id, st->sha);
        return;
    }
    DR_FREE char *title = dr_strdup(st->title != NULL ? st->title : "");
    run_screen_say(s, "PLAN     %s%s%s%s, %zu steps, plan %.6s, run %s%s", st->plan,
                   title[0] != '\0' ? " (" : "", title, title[0] != '\0' ? ")" : "", st->step_count,
                   st->sha, st->id, st->dry ? "   DRY RUN: nothing is changed" : "");
    if (st->failed != NULL)
        run_screen_say(s, "GIVES UP %s", st->failed);
}

static void tell_failed_check(const json_t *b, struct text_list *later)
{
    const char *region = text_of(b, "region");
    if (region[0] != '\0') /* STANDBY has its words */
        return;
    DR_FREE char *line = dr_strf(
        "         %s %s: %s", text_of(b, "check"),
        strcmp(text_of(b, "verdict"), "fail") == 0 ? "FAILED" : "CANNOT TELL", text_of(b, "why"));
    text_list_add(later, line);
}

static void tell_go(struct run_screen *s, const json_t *b)
{
    if (json_integer_value(json_object_get(b, "asked")) > 0)
        run_screen_say(s, "PREFLIGHT %" PRId64 " of %" PRId64 " passed",
                       (int64_t)json_integer_value(json_object_get(b, "passed")),
                       (int64_t)json_integer_value(json_object_get(b, "asked")));
    for (size_t i = 0; i < s->failed.count; i++)
        run_screen_say(s, "%s", s->failed.items[i]);
    text_list_fini(&s->failed);
    s->failed = (struct text_list){ 0 };
    if (!s->started)
        run_screen_tell_stakes(s);
}

static void tell_rewind(const struct run_screen *s, const json_t *b)
{
    if (strcmp(text_of(b, "phase"), "begin") != 0)
        return;
    run_screen_say(s, "! %s", text_of(b, "why"));
    run_screen_say(s, "  next standby: %s is put back as it was, then the next is tried",
                   text_of(b, "region"));
}

static void tell_run(struct run_screen *s, const char *type, const json_t *b)
{
    const char *why = text_of(b, "why");
    if (strcmp(type, "start") == 0)
        tell_start(s);
    else if (strcmp(type, "impact") == 0 && !s->started)
        run_screen_tell_broke(s, text_of(b, "since"), text_of(b, "by"),
                              json_object_get(b, "health"));
    else if (strcmp(type, "standby") == 0)
        run_screen_say(s, "STANDBY  %-14s %s%s", text_of(b, "region"),
                       json_is_true(json_object_get(b, "ready")) ? "" : "NOT READY: ", why);
    else if (strcmp(type, "preflight") == 0 && strcmp(text_of(b, "verdict"), "pass") != 0)
        tell_failed_check(b, &s->failed);
    else if (strcmp(type, "go") == 0)
        tell_go(s, b);
    else if (strcmp(type, "rewind") == 0)
        tell_rewind(s, b);
    else if (strcmp(type, "held") == 0 && s->state.held_at == NULL)
        run_screen_say(s, "! %s: no new step begins; running ones finish", why);
    else if (strcmp(type, "back") == 0)
        run_screen_say(s, "Going back%s%s.", why[0] != '\0' ? ": " : "", why);
    else if (strcmp(type, "resume") == 0)
        run_screen_say(s,
                       "RESUMED  by %s on %s, %" PRId64 " records, chain whole, epoch %" PRId64 "",
                       text_of(b, "by"), text_of(b, "host"),
                       (int64_t)json_integer_value(json_object_get(b, "records")), s->state.epoch);
    else if (strcmp(type, "invariant") == 0 && strcmp(text_of(b, "verdict"), "pass") != 0)
        run_screen_say(s, "! %s", why);
    else if (strcmp(type, "note") == 0)
        run_screen_say(s, "  note: %s", text_of(b, "text"));
}

static void tell_json(const struct journal_record *r)
{
    char time[TIME_TEXT_MAX];
    json_t *o = json_deep_copy(r->body);
    json_t *plan = json_object_get(o, "plan");
    if (json_is_object(plan))
        (void)json_object_del(plan, "text"); /* as long as the file, and known to whoever reads */
    json_put_int(o, "n", r->n);
    json_put_text(o, "type", r->type);
    json_put_text(o, "time", time_print(r->wall_ns, time));
    cli_print_json(o);
    (void)fflush(stdout);
}

static void know_impact(struct run_screen *s, const struct journal_record *r)
{
    struct health_facts facts;
    const char *since = json_string_value(json_object_get(r->body, "since"));
    s->impact_ns = s->state.started_ns;
    if (since != NULL && time_parse(since, &s->impact_ns))
        return;
    if (health_facts_read(json_object_get(r->body, "health"), &facts) && facts.last_good.known)
        s->impact_ns = facts.last_good.wall_ns;
}

void run_screen_know(struct run_screen *s, const struct journal_record *r)
{
    if (strcmp(r->type, "start") == 0)
        s->rto_ms =
            json_integer_value(json_object_get(json_object_get(r->body, "objectives"), "rto_ms"));
    if (strcmp(r->type, "impact") == 0)
        know_impact(s, r);
}

void run_screen_record(void *arg, const struct journal_record *r)
{
    struct run_screen *s = arg;
    state_apply(&s->state, r);
    run_screen_know(s, r);
    step_moves(s, r->body);
    if (s->cli->json) {
        tell_json(r);
        return;
    }
    run_screen_rest(s);
    if (json_object_get(r->body, "step") != NULL)
        tell_step(s, r->type, r->body);
    else
        tell_run(s, r->type, r->body);
    (void)fflush(stdout);
    run_screen_draw(s);
}

void run_screen_event(void *arg, const char *step, const json_t *event)
{
    struct run_screen *s = arg;
    const char *kind = text_of(event, "event");
    struct screen_step *p = live_step(s, step);
    if (p == NULL || (strcmp(kind, "progress") != 0 && strcmp(kind, "log") != 0))
        return;
    int64_t now = clock_boot_ms();
    p->heard_ms = now;
    p->told = false;
    if (strcmp(kind, "log") == 0) {
        free(p->words);
        p->words = dr_strdup(text_of(event, "text"));
    } else {
        p->done = json_integer_value(json_object_get(event, "done"));
        p->total = json_integer_value(json_object_get(event, "total"));
        if (p->unit[0] == '\0') {
            p->first_ms = now;
            p->first_done = p->done;
        }
        (void)snprintf(p->unit, sizeof(p->unit), "%s", text_of(event, "unit"));
    }
    if (now - s->drawn_ms >= REDRAW_MS)
        run_screen_draw(s);
}

/* Without a live screen the silence of a step is one line, once. */
static void tell_silence(struct run_screen *s)
{
    char text[DURATION_TEXT_MAX];
    for (size_t i = 0; i < s->step_count; i++) {
        struct screen_step *p = &s->steps[i];
        const struct state_step *st = &s->state.steps[i];
        bool runs = st->at == AT_RUNNING || st->at == AT_CHECKING || st->at == AT_UNDOING;
        if (!runs || p->told || p->heard_ms == 0 || clock_boot_ms() - p->heard_ms < STALLED_MS)
            continue;
        p->told = true;
        run_screen_say(s, "  %-12s no progress for 30s: waits for %s%s%s", st->id, st->use,
                       p->timeout_ms > 0 ? ", at most " : "",
                       p->timeout_ms > 0 ? duration_print(p->timeout_ms, text) : "");
        (void)fflush(stdout);
    }
}

void run_screen_tick(struct run_screen *s)
{
    if (s->cli->json)
        return;
    if (!s->live)
        tell_silence(s);
    else if (clock_boot_ms() - s->drawn_ms >= TICK_MS)
        run_screen_draw(s);
}

/* -- held -------------------------------------------------------------------------------------------- */

bool run_screen_has_next(const struct run_state *st)
{
    const struct state_step *at = state_step_of(st, st->held_at);
    return st->target != NULL && !st->back && !st->rewind.open && !state_past_ponr(st) &&
           at != NULL && at->target && strcmp(at->use, "region.pick") != 0;
}

static void add_choice(struct text_list *lines, const char *key, const char *what, const char *how)
{
    DR_FREE char *line = dr_strf("    %s  %-48s %s", key, what, how);
    text_list_add(lines, line);
}

void run_screen_choices(const struct run_screen *s, struct text_list *lines)
{
    const struct run_state *st = &s->state;
    const struct state_step *at = state_step_of(st, st->held_at);
    bool doubt = at != NULL && at->at == AT_UNKNOWN;
    DR_FREE char *head =
        dr_strf("HELD%s%s: %s", st->held_at != NULL ? " at " : "",
                st->held_at != NULL ? st->held_at : "", st->why != NULL ? st->why : "");
    DR_FREE char *resume = dr_strf("drctl runs resume %s", st->id);
    DR_FREE char *skip = dr_strf("drctl runs skip %s %s %s--reason TEXT", st->id,
                                 at != NULL ? at->id : "", doubt ? "--by-hand " : "");
    DR_FREE char *next = dr_strf("drctl runs next %s", st->id);
    DR_FREE char *undo = dr_strf("drctl runs undo %s", st->id);
    DR_FREE char *give_up =
        dr_strf("give %s up, try the next standby", st->target != NULL ? st->target : "");
    DR_FREE char *words = dr_strf("  Its last words: drctl runs show %s%s%s", st->id,
                                  at != NULL ? " " : "", at != NULL ? at->id : "");
    text_list_add(lines, head);
    text_list_add(lines, "  Nothing more will happen by itself. You can:");
    add_choice(lines, "r",
               doubt      ? "ask again whether it is in place"
               : st->back ? "go on taking back"
                          : "go on from here (what failed is tried again)",
               resume);
    if (at != NULL)
        add_choice(lines, "s",
                   st->back ? "leave this one behind, go on"
                   : doubt  ? "it is in place, I looked: go on"
                            : "go on without it",
                   skip);
    if (run_screen_has_next(st))
        add_choice(lines, "n", give_up, next);
    add_choice(lines, "u", "take everything back", undo);
    text_list_add(lines, words);
}

void run_screen_tell_choices(const struct run_screen *s)
{
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    run_screen_choices(s, &lines);
    for (size_t i = 0; i < lines.count; i++)
        run_screen_say(s, "%s", lines.items[i]);
}
