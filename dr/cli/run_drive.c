/*
 * run_drive.c - a run at a terminal: signals, keys, the questions of the engine, and the last words.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/book.h"
#include "dr/cli/run_screen.h"
#include "dr/cli/tell.h"
#include "dr/proof/report.h"

enum { LINE_MAX_BYTES = 1000, TICK_EVERY_MS = 250 };

enum asked { ASKED_NOTHING, ASKED_APPROVAL, ASKED_CHOICE, ASKED_REASON, ASKED_REGION };

struct drive {
    struct cli *cli;
    struct run *run;
    struct run_screen *screen;
    uv_signal_t interrupt, terminate;
    uv_timer_t tick;
    uv_poll_t keys;
    bool has_keys;
    int tty; /* the terminal, opened again: reading without waiting must not make writing so */
    struct termios before;
    char *operator;
    struct tell *tell;    /* or NULL */
    enum run_phase phase; /* that was told */
    char *step;           /* the approval that is asked for */
    char *reason;         /* of a skip whose region is asked for */
    enum asked asked;
    int interrupts;
    struct buf line;
};

static void ask(struct drive *d, enum asked what);

/* -- words from the keyboard ----------------------------------------------------------------------- */

static void hear(struct drive *d, json_t *words)
{
    DR_JSON json_t *owned = words;
    struct dr_err err = { 0 };
    enum asked asked = d->asked;
    d->asked = ASKED_NOTHING;
    run_screen_ask(d->screen, NULL);
    json_put_text(owned, "by", d->operator);
    json_put_text(owned, "via", "terminal");
    if (engine_hear(d->run->engine, owned, &err) == DR_OK)
        return;
    run_screen_rest(d->screen);
    run_screen_say(d->screen, "! %s", err.msg);
    ask(d, asked > ASKED_CHOICE ? ASKED_CHOICE : asked);
}

static json_t *verb(const char *name)
{
    json_t *o = json_object();
    json_put_text(o, "verb", name);
    return o;
}

static void on_answer(struct drive *d, char key)
{
    if ((key != 'a' && key != 'x') || d->step == NULL)
        return;
    json_t *words = verb(key == 'a' ? "approve" : "reject");
    json_put_text(words, "step", d->step);
    json_put_text(words, "reason", "at the terminal");
    hear(d, words);
}

static const struct state_step *held_step(const struct drive *d)
{
    const struct run_state *st = engine_state(d->run->engine);
    return state_step_of(st, st->held_at);
}

static void on_choice(struct drive *d, char key)
{
    if (key == 'r')
        hear(d, verb("resume"));
    else if (key == 'u')
        hear(d, verb("undo"));
    else if (key == 'n' && run_screen_has_next(engine_state(d->run->engine)))
        hear(d, verb("next"));
    else if (key == 's' && held_step(d) != NULL)
        ask(d, ASKED_REASON);
}

/* A skip needs a reason; that of a fence the name of the region as well. */
static void on_skip(struct drive *d, const char *confirm)
{
    const struct state_step *st = held_step(d);
    bool back = engine_state(d->run->engine)->back;
    if (confirm == NULL && strcmp(st->class, "fence") == 0 && !back) {
        ask(d, ASKED_REGION);
        return;
    }
    json_t *words = verb("skip");
    json_put_text(words, "step", st->id);
    json_put_text(words, "reason", d->reason);
    json_put(words, "by_hand", json_boolean(st->at == AT_UNKNOWN && !back));
    if (confirm != NULL)
        json_put_text(words, "confirm", confirm);
    hear(d, words);
}

static void on_line(struct drive *d, const char *line)
{
    if (d->asked == ASKED_CHOICE)
        on_choice(d, line[0]);
    else if (d->asked == ASKED_REGION)
        on_skip(d, line);
    else if (d->asked == ASKED_REASON && line[0] != '\0') {
        free(d->reason);
        d->reason = dr_strdup(line);
        on_skip(d, NULL);
    }
}

static void type(struct drive *d)
{
    if (!d->screen->live)
        return;
    free(d->screen->typed);
    d->screen->typed = dr_strdup(d->line.data != NULL ? d->line.data : "");
    run_screen_draw(d->screen);
}

static void on_byte(struct drive *d, char byte)
{
    enum { DELETE = 0x7f, BACKSPACE = 0x08 };
    if (d->asked == ASKED_NOTHING)
        return;
    if (d->asked == ASKED_APPROVAL) {
        on_answer(d, byte);
    } else if (byte == '\n' || byte == '\r') {
        DR_FREE char *line = dr_strdup(d->line.data != NULL ? d->line.data : "");
        buf_clear(&d->line);
        on_line(d, line);
    } else {
        if (byte != DELETE && byte != BACKSPACE && d->line.len < LINE_MAX_BYTES)
            buf_addc(&d->line, byte);
        else
            while (d->line.len > 0 && ((unsigned char)d->line.data[--d->line.len] & 0xc0) == 0x80)
                ;
        if (d->line.data != NULL)
            d->line.data[d->line.len] = '\0';
        type(d);
    }
}

static void on_keys(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct drive *d = poll->data;
    char bytes[256];
    ssize_t n = status < 0 ? 0 : read(d->tty, bytes, sizeof(bytes));
    if (n <= 0)
        uv_poll_stop(poll);
    for (ssize_t i = 0; i < n; i++)
        on_byte(d, bytes[i]);
}

/* -- the engine waits ------------------------------------------------------------------------------- */

static void ask(struct drive *d, enum asked what)
{
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    const struct run_state *st = engine_state(d->run->engine);
    d->asked = what;
    buf_clear(&d->line);
    if (what == ASKED_APPROVAL) {
        const struct state_step *step = state_step_of(st, d->step);
        DR_FREE char *question =
            dr_strf("  %s", json_string_value(json_object_get(step->with, "question")));
        text_list_add(&lines, question);
        text_list_add(&lines, "  Press a to approve, x to reject, if you have the role: ");
    } else if (what == ASKED_CHOICE) {
        run_screen_choices(d->screen, &lines);
        DR_FREE char *keys =
            dr_strf("Choose [r%s%s/u] and Enter, Ctrl-C leaves it held (exit 3): ",
                    held_step(d) != NULL ? "/s" : "", run_screen_has_next(st) ? "/n" : "");
        text_list_add(&lines, keys);
    } else if (what == ASKED_REASON) {
        text_list_add(&lines, "Why? One line, for the journal: ");
    } else if (what == ASKED_REGION) {
        text_list_add(&lines, "! Without this fence two regions may write.");
        DR_FREE char *region = dr_strf("Type the region whose writer is surely off [%s]: ",
                                       st->failed != NULL ? st->failed : "");
        text_list_add(&lines, region);
    }
    run_screen_ask(d->screen, &lines);
}

static void on_waits(void *arg, const char *step)
{
    struct drive *d = arg;
    if (d->cli->json || !d->has_keys)
        return;
    char *copy = step != NULL ? dr_strdup(step) : NULL;
    free(d->step);
    d->step = copy;
    ask(d, step != NULL ? ASKED_APPROVAL : ASKED_CHOICE);
}

static void on_tick(uv_timer_t *timer)
{
    struct drive *d = timer->data;
    run_screen_tick(d->screen);
    tell_step(d->tell);
}

/* A drill is over when it has been cleaned up: whoever does that tells. */
static void tell_people(struct drive *d)
{
    const struct run_state *st = engine_state(d->run->engine);
    enum run_phase before = d->phase;
    bool drill = json_is_true(json_object_get(st->start, "drill"));
    d->phase = st->phase;
    if (st->phase == before)
        return;
    if (st->phase == RUN_HELD)
        tell_run(d->tell, st, TELL_HELD);
    else if (run_is_final(st->phase) && !drill)
        tell_run(d->tell, st, TELL_ENDED);
}

/* A question that somebody answered from elsewhere, or that is no question any more. */
static void forget_question(struct drive *d)
{
    const struct run_state *st = engine_state(d->run->engine);
    const struct state_step *step = d->asked == ASKED_APPROVAL ? state_step_of(st, d->step) : NULL;
    bool stale = d->asked == ASKED_APPROVAL
                     ? step == NULL || step->at != AT_WAITING || st->phase != RUN_RUNNING
                     : st->phase != RUN_HELD;
    if (d->asked == ASKED_NOTHING || !stale)
        return;
    d->asked = ASKED_NOTHING;
    run_screen_ask(d->screen, NULL);
}

static void on_record(void *arg, const struct journal_record *r)
{
    struct drive *d = arg;
    forget_question(d);
    run_screen_record(d->screen, r);
    tell_people(d);
}

static void on_event(void *arg, const char *step, const json_t *event)
{
    run_screen_event(((struct drive *)arg)->screen, step, event);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct drive *d = handle->data;
    bool held = engine_state(d->run->engine)->phase == RUN_HELD;
    engine_interrupt(d->run->engine);
    if (++d->interrupts > 1 || held || d->cli->json)
        return;
    run_screen_rest(d->screen);
    run_screen_say(d->screen,
                   "  Ctrl-C again kills the running steps; then each is asked about at resume.");
    (void)fflush(stdout);
    run_screen_draw(d->screen);
}

/* Keys come one by one and are shown by the screen; Ctrl-C stays a signal. */
static bool open_keys(struct drive *d)
{
    struct termios raw;
    if (d->cli->json || isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1 ||
        tcgetattr(STDIN_FILENO, &d->before) != 0)
        return false;
    d->tty = open("/proc/self/fd/0", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (d->tty < 0)
        return false;
    if (uv_poll_init(real_world_loop(d->run->world), &d->keys, d->tty) != 0) {
        (void)close(d->tty);
        return false;
    }
    raw = d->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | (d->screen->live ? ECHO : 0));
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    uv_poll_start(&d->keys, UV_READABLE, on_keys);
    return true;
}

static void open_drive(struct drive *d)
{
    uv_loop_t *loop = real_world_loop(d->run->world);
    uv_signal_init(loop, &d->interrupt);
    uv_signal_init(loop, &d->terminate);
    uv_timer_init(loop, &d->tick);
    d->interrupt.data = d->terminate.data = d->keys.data = d->tick.data = d;
    uv_signal_start(&d->interrupt, on_signal, SIGINT);
    uv_signal_start(&d->terminate, on_signal, SIGTERM);
    uv_timer_start(&d->tick, on_tick, TICK_EVERY_MS, TICK_EVERY_MS);
    d->has_keys = open_keys(d);
    d->keys.data = d;
    struct engine_view view = {
        .record = on_record, .event = on_event, .waits = on_waits, .arg = d
    };
    engine_set_view(d->run->engine, &view, d->has_keys);
}

static void close_drive(struct drive *d)
{
    uv_close((uv_handle_t *)&d->interrupt, NULL);
    uv_close((uv_handle_t *)&d->terminate, NULL);
    uv_close((uv_handle_t *)&d->tick, NULL);
    if (d->has_keys)
        uv_close((uv_handle_t *)&d->keys, NULL);
    struct engine_view none = { 0 };
    engine_set_view(d->run->engine, &none, false);
    (void)uv_run(real_world_loop(d->run->world), UV_RUN_NOWAIT);
    if (d->has_keys) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &d->before);
        (void)close(d->tty);
    }
    run_screen_ask(d->screen, NULL);
    free(d->step);
    free(d->reason);
    free(d->operator);
    buf_fini(&d->line);
}

/* -- the end ---------------------------------------------------------------------------------------- */

static int exit_of(const struct run_state *st, const json_t *report)
{
    switch (st->phase) {
    case RUN_RECOVERED:
        return !st->dry && report != NULL && report_falls_short(report) ? EXIT_MISSED : EXIT_DONE;
    case RUN_HELD:
        return EXIT_HELD;
    default:
        return EXIT_FAILED;
    }
}

/* What the region that was given up leaves to be done: its buckets stop every prune, and it is no standby. */
static void tell_next(const struct config *c, const struct run_screen *s)
{
    const struct run_state *st = &s->state;
    const json_t *regions = json_object_get(st->start, "regions");
    if (st->failed == NULL || st->dry || st->drill)
        return;
    for (size_t i = 0; i < c->bucket_count; i++) {
        const struct config_bucket *bucket = &c->buckets[i];
        if (bucket->region == NULL || strcmp(bucket->region, st->failed) != 0)
            continue;
        run_screen_say(s, "  next: nothing is pruned until bucket %s (%s) answers; if it is gone",
                       bucket->name, st->failed);
        run_screen_say(s,
                       "        for ever, take it out of the configuration of every host, then:");
        run_screen_say(s, "        drctl prune --retire %s", bucket->name);
    }
    if (json_array_size(regions) == 2 && st->target != NULL)
        run_screen_say(s,
                       "  next: %s has no standby until %s is well again and let in: a plan "
                       "with fence.lift",
                       st->target, st->failed);
}

static void tell_end(const struct run_screen *s, const json_t *report)
{
    const struct run_state *st = &s->state;
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    if (st->phase == RUN_HELD) {
        run_screen_tell_choices(s);
        return;
    }
    if (st->phase == RUN_RECOVERED && !st->dry && report != NULL) {
        report_recovered_block(report, &out);
        run_screen_say_block(s, out.data);
        return;
    }
    run_screen_say(s, "%s  %s: %s",
                   st->phase == RUN_RECOVERED ? "DONE"
                   : st->phase == RUN_UNDONE  ? "UNDONE"
                   : st->phase == RUN_ABORTED ? "ABORTED"
                                              : "FAILED",
                   st->id, st->why != NULL ? st->why : "");
    if (!st->dry)
        run_screen_say(s, "  report: drctl report --run %s", st->id);
}

static int finish(struct cli *cli, struct run *r, struct run_screen *s)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *report = NULL;
    const struct run_state *st = engine_state(r->engine);
    if (run_is_final(st->phase) && report_make(journal_all(r->journal), 0, &report, &err) != DR_OK)
        log_err(&err);
    int exit = exit_of(st, report);
    if (!cli->json) {
        run_screen_rest(s);
        tell_end(s, report);
        if (st->phase == RUN_RECOVERED)
            tell_next(r->config, s);
        return exit;
    }
    json_t *o = json_object();
    json_put_text(o, "run", r->id);
    json_put_text(o, "state", run_phase_name(st->phase));
    return cli_result_json(o, exit, st->why != NULL ? st->why : "");
}

/* tell: people who hear of it, or NULL. */
static enum dr_rc drive(struct cli *cli, struct run *r, struct run_screen *s, struct tell *tell,
                        struct dr_err *err)
{
    struct drive d = { .cli = cli, .run = r, .screen = s, .tell = tell, .operator= run_operator() };
    open_drive(&d);
    d.phase = engine_state(r->engine)->phase;
    enum dr_rc rc = engine_go(r->engine, err);
    close_drive(&d);
    run_screen_rest(s);
    return rc;
}

enum dr_rc run_drive_on(struct cli *cli, struct run *r, struct run_screen *s, struct dr_err *err)
{
    return drive(cli, r, s, NULL, err);
}

int run_drive(struct cli *cli, struct run *r, struct run_screen *s)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(tell_close_ptr) struct tell *tell = tell_open(r->config);
    tell_run(tell, engine_state(r->engine), TELL_BEGUN);
    int exit = EXIT_DONE;
    if (drive(cli, r, s, tell, &err) == DR_OK) {
        exit = finish(cli, r, s);
    } else {
        (void)dr_context(&err, "run %s stops here", r->id);
        (void)dr_hint(&err, "Go on with: drctl runs resume %s", r->id);
        exit = cli_fail(cli, &err);
    }
    (void)fflush(stdout);           /* letters may take a moment */
    cli_book_run(r->config, r->id); /* while they are on their way */
    return exit;
}
