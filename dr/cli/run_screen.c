#include "dr/cli/run_screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/run/health.h"

enum { BAR_CELLS = 30, REDRAW_MS = 150, WIDTH_MAX = 400 };

void run_screen_init(struct run_screen *s, struct cli *cli)
{
    *s = (struct run_screen){ .cli = cli, .rto_ms = -1 };
    s->live = !cli->json && !cli->quiet && cli_colour(STDOUT_FILENO);
}

void run_screen_fini(struct run_screen *s)
{
    run_state_fini(&s->state);
    free(s->progress);
    free(s->progress_step);
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

/* -- the first line ------------------------------------------------------------------------------ */

/* "RTO [#####------] 5m 20s of 30m" */
static void add_clock(const struct run_screen *s, struct buf *out)
{
    char gone[DURATION_TEXT_MAX];
    char most[DURATION_TEXT_MAX];
    int64_t ms = (clock_wall_ns() - s->impact_ns) / 1000000;
    if (s->impact_ns == 0)
        return;
    if (s->rto_ms <= 0) {
        buf_addf(out, "   %s since it broke", took(ms, gone));
        return;
    }
    int64_t cells = ms >= s->rto_ms ? BAR_CELLS : ms * BAR_CELLS / s->rto_ms;
    buf_adds(out, "   RTO [");
    for (int64_t i = 0; i < BAR_CELLS; i++)
        buf_addc(out, i < cells ? '#' : '-');
    if (ms > s->rto_ms)
        buf_addf(out, "] OVER by %s", took(ms - s->rto_ms, gone));
    else
        buf_addf(out, "] %s of %s", took(ms, gone), duration_print(s->rto_ms, most));
}

static void add_head(const struct run_screen *s, struct buf *out)
{
    const struct run_state *st = &s->state;
    buf_addf(out, "%s %s%s", st->id, st->dry ? "dry run " : "", st->mode);
    if (st->failed != NULL)
        buf_addf(out, " %s -> %s", st->failed, st->target != NULL ? st->target : "...");
    buf_addf(out, "   epoch %" PRId64, st->epoch);
    add_clock(s, out);
}

/* -- the live part --------------------------------------------------------------------------------- */

static int width(void)
{
    struct winsize ws;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0 || ws.ws_col < 20)
        return 80;
    return ws.ws_col < WIDTH_MAX ? ws.ws_col : WIDTH_MAX;
}

void run_screen_rest(struct run_screen *s)
{
    if (s->asking)
        putchar('\n');
    s->asking = false;
    if (s->drawn > 0)
        printf("\x1b[%dA\x1b[J", s->drawn);
    s->drawn = 0;
    (void)fflush(stdout);
}

static void print_line(struct run_screen *s, const char *line)
{
    printf("%.*s\n", width() - 1, line);
    s->drawn++;
}

static void add_step(const struct run_screen *s, const struct state_step *st, struct buf *out)
{
    char text[DURATION_TEXT_MAX];
    int64_t ms = (clock_boot_ns() - st->since_boot_ns) / 1000000;
    bool now = st->at == AT_RUNNING || st->at == AT_CHECKING || st->at == AT_UNDOING ||
               st->at == AT_WAITING;
    buf_addf(
        out, "%s %-12s %-44.60s %-8s", now ? ">" : " ", st->id, st->title != NULL ? st->title : "",
        st->at == AT_PENDING ? (st->ponr ? "NO WAY BACK after it" : "") : step_at_name(st->at));
    if (now)
        buf_addf(out, " %s", took(ms, text));
    else if (st->dur_ms > 0)
        buf_addf(out, " %s", took(st->dur_ms, text));
    if (now && s->progress != NULL && strcmp(s->progress_step, st->id) == 0)
        buf_addf(out, "  %s", s->progress);
}

static void draw(struct run_screen *s)
{
    if (!s->live || run_is_final(s->state.phase))
        return;
    run_screen_rest(s);
    struct buf line = { 0 };
    add_head(s, &line);
    print_line(s, line.data);
    for (size_t i = 0; i < s->state.step_count; i++) {
        buf_clear(&line);
        add_step(s, &s->state.steps[i], &line);
        print_line(s, line.data);
    }
    buf_fini(&line);
    s->drawn_ms = clock_boot_ms();
    (void)fflush(stdout);
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
        printf("  %-12s %-44s done      %s   %s\n", st->id, st->title, took(ms, text), why);
        if (st->ponr)
            printf("  %-12s point of no return passed\n", st->id);
    } else if (strcmp(state, "running") == 0 || strcmp(state, "checking") == 0)
        printf("! %-12s %s: %s\n", st->id,
               strcmp(state, "checking") == 0 ? "in doubt, asking whether it is in place"
                                              : "failed, is tried again",
               why);
    else
        printf("! %-12s %s%s%s: %s\n", st->id, strcmp(state, "unknown") == 0 ? "UNKNOWN" : "FAILED",
               s->state.target != NULL ? " in " : "",
               s->state.target != NULL ? s->state.target : "", why);
}

static void tell_ask(const struct run_screen *s, const json_t *b)
{
    const char *step = text_of(b, "step");
    printf("> %-12s \"%s\"   WAITS for %" PRId64 " %s\n", step, text_of(b, "question"),
           json_is_integer(json_object_get(b, "count"))
               ? (int64_t)json_integer_value(json_object_get(b, "count"))
               : 1,
           text_of(b, "role")[0] != '\0' ? text_of(b, "role") : "person");
    printf("  answer: drctl runs approve %s %s     or: drctl runs reject %s %s --reason TEXT\n",
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
        printf("  %-12s already in place: %s\n", step, why);
    else if (strcmp(type, "doubt") == 0)
        printf("  IN DOUBT %s: %s\n", step, why);
    else if (strcmp(type, "ask") == 0)
        tell_ask(s, b);
    else if (strcmp(type, "answer") == 0 || strcmp(type, "skip") == 0)
        printf("  %-12s %s\n", step, why);
    else if (strcmp(type, "undo") == 0)
        printf("    %-10s %-12s %s   %s\n", text_of(b, "state"), step, why,
               took(json_integer_value(json_object_get(b, "dur_ms")), text));
}

static void tell_start(const struct run_state *st)
{
    DR_FREE char *title = dr_strdup(st->title != NULL ? st->title : "");
    printf("PLAN     %s%s%s%s, %zu steps, plan %.6s, run %s%s\n", st->plan,
           title[0] != '\0' ? " (" : "", title, title[0] != '\0' ? ")" : "", st->step_count,
           st->sha, st->id, st->dry ? "   DRY RUN: nothing is changed" : "");
    if (st->failed != NULL)
        printf("GIVES UP %s\n", st->failed);
}

static void tell_impact(const json_t *b)
{
    struct health_facts facts;
    char at[TIME_TEXT_MAX];
    char ago[DURATION_TEXT_MAX];
    const char *since = text_of(b, "since");
    if (since[0] != '\0')
        printf("BROKE    %s, says %s\n", since, text_of(b, "by"));
    else if (health_facts_read(json_object_get(b, "health"), &facts) && facts.last_good.known)
        printf("BROKE    last good answer %s (%s ago), by probe %s\n",
               time_tell(facts.last_good.wall_ns, at),
               took((clock_wall_ns() - facts.last_good.wall_ns) / 1000000, ago), facts.probe);
    else
        printf("BROKE    not known: no probe looked; the clock counts from this command\n");
}

static void tell_run(const struct run_screen *s, const char *type, const json_t *b)
{
    const char *why = text_of(b, "why");
    const char *phase = text_of(b, "phase");
    if (strcmp(type, "start") == 0)
        tell_start(&s->state);
    else if (strcmp(type, "impact") == 0)
        tell_impact(b);
    else if (strcmp(type, "standby") == 0)
        printf("STANDBY  %-14s %s%s\n", text_of(b, "region"),
               json_is_true(json_object_get(b, "ready")) ? "" : "NOT READY: ", why);
    else if (strcmp(type, "preflight") == 0 && strcmp(text_of(b, "verdict"), "pass") != 0)
        printf("         %s%s%s %s: %s\n", text_of(b, "check"),
               text_of(b, "region")[0] != '\0' ? " in " : "", text_of(b, "region"),
               strcmp(text_of(b, "verdict"), "fail") == 0 ? "FAILED" : "CANNOT TELL", why);
    else if (strcmp(type, "go") == 0)
        printf("PREFLIGHT %" PRId64 " of %" PRId64 " passed\n",
               (int64_t)json_integer_value(json_object_get(b, "passed")),
               (int64_t)json_integer_value(json_object_get(b, "asked")));
    else if (strcmp(type, "rewind") == 0 && strcmp(phase, "begin") == 0)
        printf("! %s\n  next standby: %s is put back as it was, then the next is tried\n", why,
               text_of(b, "region"));
    else if (strcmp(type, "back") == 0)
        printf("Going back%s%s.\n", why[0] != '\0' ? ": " : "", why);
    else if (strcmp(type, "resume") == 0)
        printf("RESUMED  by %s on %s, %" PRId64 " records, chain whole, epoch %" PRId64 "\n",
               text_of(b, "by"), text_of(b, "host"),
               (int64_t)json_integer_value(json_object_get(b, "records")), s->state.epoch);
    else if (strcmp(type, "invariant") == 0 && strcmp(text_of(b, "verdict"), "pass") != 0)
        printf("! %s\n", why);
    else if (strcmp(type, "note") == 0)
        printf("  note: %s\n", text_of(b, "text"));
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
    draw(s);
}

void run_screen_event(void *arg, const char *step, const json_t *event)
{
    struct run_screen *s = arg;
    const char *kind = text_of(event, "event");
    if (strcmp(kind, "progress") != 0 && strcmp(kind, "log") != 0)
        return;
    int64_t done = json_integer_value(json_object_get(event, "done"));
    int64_t total = json_integer_value(json_object_get(event, "total"));
    const char *unit = text_of(event, "unit");
    char a[32];
    char b[32];
    free(s->progress);
    free(s->progress_step);
    s->progress_step = dr_strdup(step);
    if (strcmp(kind, "log") == 0)
        s->progress = cli_printable(text_of(event, "text"));
    else if (strcmp(unit, "bytes") == 0)
        s->progress = dr_strf("%s of %s", text_size(a, sizeof(a), (uint64_t)done),
                              text_size(b, sizeof(b), (uint64_t)total));
    else
        s->progress = dr_strf("%" PRId64 " of %" PRId64 " %s", done, total, unit);
    if (s->live && clock_boot_ms() - s->drawn_ms >= REDRAW_MS)
        draw(s);
}

void run_screen_choices(const struct run_screen *s)
{
    const struct run_state *st = &s->state;
    const char *at = st->held_at != NULL ? st->held_at : "STEP";
    printf("HELD%s%s: %s\n", st->held_at != NULL ? " at " : "",
           st->held_at != NULL ? st->held_at : "", st->why != NULL ? st->why : "");
    printf("  Nothing more will happen by itself. You can:\n");
    printf("    r  go on from here (what failed is tried again)   drctl runs resume %s\n", st->id);
    if (st->held_at != NULL)
        printf("    s  go on without it                               drctl runs skip %s %s "
               "--reason TEXT [--by-hand]\n",
               st->id, at);
    printf("    u  take everything back                           drctl runs undo %s\n", st->id);
    printf("  Its last words: drctl runs show %s\n", st->id);
}
