/*
 * run_drive.c - a run at a terminal: signals, keys, the questions of the engine, and the last words.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/run_screen.h"
#include "dr/proof/report.h"

enum { LINE_MAX_BYTES = 1000 };

struct drive {
    struct cli *cli;
    struct run *run;
    struct run_screen *screen;
    uv_signal_t interrupt, terminate;
    uv_poll_t keys;
    bool has_keys;
    char *operator;
    char *step; /* the approval that is asked for; NULL: the run is held */
    struct buf line;
};

/* -- words from the keyboard ----------------------------------------------------------------------- */

static void hear(struct drive *d, json_t *words)
{
    DR_JSON json_t *owned = words;
    struct dr_err err = { 0 };
    json_put_text(owned, "by", d->operator);
    json_put_text(owned, "via", "terminal");
    if (engine_hear(d->run->engine, owned, &err) != DR_OK)
        log_err(&err);
}

static json_t *verb(const char *name)
{
    json_t *o = json_object();
    json_put_text(o, "verb", name);
    return o;
}

static void on_answer(struct drive *d, char key)
{
    if (key != 'a' && key != 'x')
        return;
    json_t *words = verb(key == 'a' ? "approve" : "reject");
    json_put_text(words, "step", d->step);
    json_put_text(words, "reason", "at the terminal");
    hear(d, words);
}

static void on_choice(struct drive *d, char key)
{
    const char *at = engine_state(d->run->engine)->held_at;
    if (key == 'r')
        hear(d, verb("resume"));
    else if (key == 'u')
        hear(d, verb("undo"));
    else if (key == 's' && at != NULL) {
        json_t *words = verb("skip");
        json_put_text(words, "step", at);
        json_put_text(words, "reason", "at the terminal");
        hear(d, words);
    }
}

static void on_keys(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct drive *d = poll->data;
    char bytes[256];
    ssize_t n = status < 0 ? 0 : read(STDIN_FILENO, bytes, sizeof(bytes));
    if (n <= 0) {
        uv_poll_stop(poll);
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] != '\n') {
            if (d->line.len < LINE_MAX_BYTES)
                buf_addc(&d->line, bytes[i]);
            continue;
        }
        char key = '\0';
        if (d->line.len > 0)
            key = d->line.data[0];
        buf_clear(&d->line);
        if (d->step != NULL)
            on_answer(d, key);
        else if (engine_state(d->run->engine)->phase == RUN_HELD)
            on_choice(d, key);
    }
}

/* -- the engine waits ------------------------------------------------------------------------------- */

static void on_waits(void *arg, const char *step)
{
    struct drive *d = arg;
    free(d->step);
    d->step = step != NULL ? dr_strdup(step) : NULL;
    if (d->cli->json || !d->has_keys)
        return;
    run_screen_rest(d->screen);
    if (step == NULL) {
        run_screen_choices(d->screen);
        printf("Choose [r/s/u], Ctrl-C leaves it held (exit 3): ");
    } else {
        printf("  you may answer here: a approves, x rejects, if you have the role: ");
    }
    d->screen->asking = true;
    (void)fflush(stdout);
}

static void on_record(void *arg, const struct journal_record *r)
{
    run_screen_record(((struct drive *)arg)->screen, r);
}

static void on_event(void *arg, const char *step, const json_t *event)
{
    run_screen_event(((struct drive *)arg)->screen, step, event);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct drive *d = handle->data;
    engine_interrupt(d->run->engine);
}

static void open_drive(struct drive *d)
{
    uv_loop_t *loop = real_world_loop(d->run->world);
    uv_signal_init(loop, &d->interrupt);
    uv_signal_init(loop, &d->terminate);
    d->interrupt.data = d->terminate.data = d->keys.data = d;
    uv_signal_start(&d->interrupt, on_signal, SIGINT);
    uv_signal_start(&d->terminate, on_signal, SIGTERM);
    d->has_keys = !d->cli->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
                  uv_poll_init(loop, &d->keys, STDIN_FILENO) == 0;
    if (d->has_keys) {
        d->keys.data = d;
        uv_poll_start(&d->keys, UV_READABLE, on_keys);
    }
    struct engine_view view = {
        .record = on_record, .event = on_event, .waits = on_waits, .arg = d
    };
    engine_set_view(d->run->engine, &view, d->has_keys);
}

static void close_drive(struct drive *d)
{
    uv_close((uv_handle_t *)&d->interrupt, NULL);
    uv_close((uv_handle_t *)&d->terminate, NULL);
    if (d->has_keys)
        uv_close((uv_handle_t *)&d->keys, NULL);
    struct engine_view none = { 0 };
    engine_set_view(d->run->engine, &none, false);
    (void)uv_run(real_world_loop(d->run->world), UV_RUN_NOWAIT);
    free(d->step);
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

static void tell_end(const struct run_screen *s, const json_t *report)
{
    const struct run_state *st = &s->state;
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    if (st->phase == RUN_HELD) {
        run_screen_choices(s);
        return;
    }
    if (st->phase == RUN_RECOVERED && !st->dry && report != NULL) {
        report_recovered_block(report, &out);
        (void)fputs(out.data, stdout);
        return;
    }
    printf("%s  %s: %s\n",
           st->phase == RUN_RECOVERED ? "DONE"
           : st->phase == RUN_UNDONE  ? "UNDONE"
           : st->phase == RUN_ABORTED ? "ABORTED"
                                      : "FAILED",
           st->id, st->why != NULL ? st->why : "");
    if (!st->dry)
        printf("  report: drctl report --run %s\n", st->id);
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
        return exit;
    }
    json_t *o = json_object();
    json_put_text(o, "run", r->id);
    json_put_text(o, "state", run_phase_name(st->phase));
    return cli_result_json(o, exit, st->why != NULL ? st->why : "");
}

int run_drive(struct cli *cli, struct run *r, struct run_screen *s)
{
    struct dr_err err = { 0 };
    struct drive d = { .cli = cli, .run = r, .screen = s, .operator= run_operator() };
    open_drive(&d);
    enum dr_rc rc = engine_go(r->engine, &err);
    close_drive(&d);
    run_screen_rest(s);
    if (rc == DR_OK)
        return finish(cli, r, s);
    (void)dr_context(&err, "run %s stops here", r->id);
    (void)dr_hint(&err, "Go on with: drctl runs resume %s", r->id);
    return cli_fail(cli, &err);
}
