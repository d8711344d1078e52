/*
 * backupd.c - the loop: look what is due, wait for a signal, and once more.
 */
#include "backup/daemon/backupd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backup/daemon/probers.h"
#include "backup/daemon/sdnotify.h"
#include "backup/daemon/teller.h"
#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/cli.h"
#include "dr/data/time.h"

enum {
    BUSY_MS = 5000, /* children of a backupd that was killed just now let go of their logs */
    BUSY_AGAIN_MS = 50,
};

static const struct backupd_wish no_wish = { .watch = false };

struct daemon {
    const struct backupd_wish *wish;
    const struct config *config;
    struct config *loaded; /* owned; NULL: still the one that we began with */
    struct runner runner;
    struct probers *probers;
    struct teller *teller;
    struct sdnotify sd;
    sigset_t signals, before;
    char status[300]; /* as it was said last */
};

static void daemon_fini(struct daemon *d)
{
    teller_close(d->teller);
    probers_free(d->probers);
    runner_fini(&d->runner);
    config_free(d->loaded);
}

/* ---- signals ------------------------------------------------------------------------------------- */

static void take_signals(struct daemon *d)
{
    const int taken[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
    sigemptyset(&d->signals);
    for (size_t i = 0; i < DR_ARRAY_LEN(taken); i++)
        sigaddset(&d->signals, taken[i]);
    pthread_sigmask(SIG_BLOCK, &d->signals, &d->before);
    signal(SIGCHLD, SIG_DFL);
}

/* A signal, or 0 after so long. */
static int wait_signal(const struct daemon *d, int64_t wait_ms)
{
    if (d->sd.watchdog_ms > 0 && wait_ms > d->sd.watchdog_ms / 3)
        wait_ms = d->sd.watchdog_ms / 3;
    const struct timespec wait = { .tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000 };
    int got = sigtimedwait(&d->signals, NULL, &wait);
    return got > 0 ? got : 0;
}

/* ---- opening --------------------------------------------------------------------------------------- */

static enum dr_rc nothing_to_do(const struct config *c, struct dr_err *err)
{
    dr_fail(err, DR_E_CONFIG,
            "'%s' has no probe in 'health:' and no source of this host with a backup policy, so "
            "there is nothing to do",
            c->path);
    return dr_hint(err, "Name what is to be saved (sources:, buckets:, backup_policy:), or an "
                        "address to watch (health:).");
}

/* The lock of the daemon is ours, so whoever holds a log is a child of one that was killed, and about to go. */
static enum dr_rc open_probers(struct daemon *d, struct dr_err *err)
{
    int64_t until_ms = clock_boot_ms() + BUSY_MS;
    enum dr_rc rc;
    while ((rc = probers_new(d->config, NULL, &d->probers, err)) == DR_E_BUSY &&
           clock_boot_ms() < until_ms)
        (void)wait_signal(d, BUSY_AGAIN_MS);
    return rc;
}

static void tell_others(const struct config *c, const struct backupd_wish *wish)
{
    for (size_t i = 0; i < c->source_count; i++)
        if (!config_is_mine(c, wish->here.site, &c->sources[i]))
            log_notice("source '%s' belongs to site '%s': the backupd there takes it",
                       c->sources[i].name, c->sources[i].site);
    if (c->drill.given && !wish->here.can_drill)
        log_warning("drill_schedule: this version has no drills; run 'drctl plan lint' and "
                    "'drctl failover --dry-run' by hand");
}

static enum dr_rc open_daemon(struct daemon *d, const struct config *c, bool probes,
                              struct dr_err *err)
{
    d->config = c;
    DR_TRY(runner_open(c, &d->wish->here, !d->wish->watch, &d->runner, err));
    if (probes)
        DR_TRY(open_probers(d, err));
    if (d->runner.schedule.count == 0 && c->probe_count == 0)
        return nothing_to_do(c, err);
    return DR_OK;
}

/* ---- reloading ------------------------------------------------------------------------------------- */

static enum dr_rc use_config(struct daemon *d, struct config *next, struct dr_err *err)
{
    struct probers *probers = NULL;
    if (strcmp(next->state_dir, d->config->state_dir) != 0)
        return dr_fail(err, DR_E_CONFIG, "state_dir is another: that needs a restart");
    DR_TRY(probers_new(next, d->probers, &probers, err));
    struct rows_here before = d->runner.here;
    char name[256] = "";
    if (gethostname(name, sizeof(name) - 1) == 0)
        d->runner.here.site = config_here(next, name);
    enum dr_rc rc = runner_reconfigure(&d->runner, next, !d->wish->watch, err);
    if (rc != DR_OK) {
        struct probers *back = NULL;
        struct dr_err worse = { 0 };
        d->runner.here = before;
        if (probers_new(d->config, probers, &back, &worse) != DR_OK) {
            log_err(&worse);
            back = NULL;
        }
        probers_free(probers);
        probers = back;
    }
    probers_free(d->probers);
    d->probers = probers;
    return rc;
}

static void reload(struct daemon *d)
{
    struct dr_err err = { 0 };
    sdnotify_say_reloading(&d->sd);
    struct config *next = d->wish->load != NULL ? d->wish->load(d->wish->arg) : NULL;
    enum dr_rc rc = DR_E_CONFIG;
    if (next != NULL) {
        rc = use_config(d, next, &err);
        if (rc != DR_OK)
            log_err(&err);
    }
    if (rc == DR_OK) {
        teller_close(d->teller);
        d->teller = teller_open(next, DRCTL_VERSION);
        config_free(d->loaded);
        d->config = d->loaded = next;
        log_notice("'%s' is in force", d->config->path);
        tell_others(d->config, d->wish);
    } else {
        config_free(next);
        log_warning("the configuration is not taken over: the one before stays in force");
    }
    sdnotify_say(&d->sd, "READY=1");
}

/* ---- the loop --------------------------------------------------------------------------------------- */

/* "2 jobs at work; next: full of 'app' at 2026-11-22T00:41:07Z; 1 overdue" */
static void say_status(struct daemon *d)
{
    const struct schedule *s = &d->runner.schedule;
    const struct schedule_row *next = NULL;
    int64_t next_ns = INT64_MAX;
    char text[sizeof(d->status)], name[100], at[TIME_TEXT_MAX];
    size_t running = runner_running(&d->runner);
    for (size_t i = 0; i < s->count; i++) {
        int64_t due_ns = schedule_due_ns(s, &s->rows[i]);
        bool routine = schedule_is_inner(s->rows[i].what) || s->rows[i].what == SCHEDULE_SENTINEL;
        if (routine || due_ns >= next_ns)
            continue;
        next = &s->rows[i];
        next_ns = due_ns;
    }
    int len =
        snprintf(text, sizeof(text), "STATUS=%zu job%s at work", running, running == 1 ? "" : "s");
    if (next != NULL)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "; next: %s at %s",
                        runner_name(next->what, next->subject, name, sizeof(name)),
                        time_print_s(next_ns, at));
    if (d->runner.overdue > 0)
        (void)snprintf(text + len, sizeof(text) - (size_t)len, "; %zu overdue", d->runner.overdue);
    if (strcmp(text, d->status) != 0)
        sdnotify_say(&d->sd, text);
    memcpy(d->status, text, sizeof(text));
}

/* Until every job has ended. A second signal is somebody who does not want to wait. */
static void stop(struct daemon *d)
{
    sdnotify_say(&d->sd, "STOPPING=1");
    if (runner_running(&d->runner) > 0)
        log_notice("stopping: %zu job%s at work end%s first", runner_running(&d->runner),
                   runner_running(&d->runner) == 1 ? "" : "s",
                   runner_running(&d->runner) == 1 ? "s" : "");
    runner_stop(&d->runner, false);
    while (runner_running(&d->runner) > 0) {
        int got = wait_signal(d, SCHEDULE_WAIT_MS);
        if (got == SIGTERM || got == SIGINT)
            runner_stop(&d->runner, true);
        sdnotify_say(&d->sd, "WATCHDOG=1");
        runner_step(&d->runner);
    }
    probers_free(d->probers);
    d->probers = NULL;
}

static void on_news(void *arg, const struct runner_news *news)
{
    struct daemon *d = arg;
    if (news->what == SCHEDULE_STATUS && news->said != NULL)
        teller_view(d->teller, news->said);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void loop(struct daemon *d)
{
    for (;;) {
        runner_step(&d->runner);
        DR_JSON json_t *jobs = schedule_json(&d->runner.schedule);
        int64_t wait_ms = least(probers_start_missing(d->probers), d->runner.wait_ms);
        wait_ms = least(wait_ms, teller_step(d->teller, jobs));
        say_status(d);
        sdnotify_say(&d->sd, "WATCHDOG=1");
        int got = wait_signal(d, wait_ms);
        if (got == SIGCHLD)
            probers_reap(d->probers);
        else if (got == SIGHUP)
            reload(d);
        else if (got > 0)
            return;
    }
}

enum dr_rc backupd_run(const struct config *c, const struct backupd_wish *wish, struct dr_err *err)
{
    DR_CLEANUP(daemon_fini)
    struct daemon d = { .wish = wish != NULL ? wish : &no_wish,
                        .runner = { .lock_fd = -1, .jobs_fd = -1 } };
    sdnotify_init(&d.sd);
    take_signals(&d);
    enum dr_rc rc = open_daemon(&d, c, true, err);
    if (rc == DR_OK) {
        log_notice("%zu row%s of the schedule and %zu probe%s of '%s'", d.runner.schedule.count,
                   d.runner.schedule.count == 1 ? "" : "s", c->probe_count,
                   c->probe_count == 1 ? "" : "s", c->path);
        tell_others(c, d.wish);
        d.teller = teller_open(c, DRCTL_VERSION);
        d.runner.tell = on_news;
        d.runner.arg = &d;
        sdnotify_say(&d.sd, "READY=1");
        loop(&d);
        stop(&d);
        log_notice("stopped");
    }
    pthread_sigmask(SIG_SETMASK, &d.before, NULL);
    return rc;
}

enum dr_rc backupd_once(const struct config *c, const struct backupd_wish *wish,
                        void (*tell)(void *arg, const struct runner_news *news), void *arg,
                        bool *ret_stopped, struct dr_err *err)
{
    DR_CLEANUP(daemon_fini)
    struct daemon d = { .wish = wish != NULL ? wish : &no_wish,
                        .runner = { .lock_fd = -1, .jobs_fd = -1 } };
    take_signals(&d);
    enum dr_rc rc = open_daemon(&d, c, false, err);
    d.runner.schedule.at_once = true;
    struct schedule_row *status = schedule_find(&d.runner.schedule, SCHEDULE_STATUS, NULL);
    if (status != NULL)
        status->ran = true; /* who tells people lives longer */
    d.runner.tell = tell;
    d.runner.arg = arg;
    *ret_stopped = false;
    while (rc == DR_OK) {
        runner_step(&d.runner);
        if (runner_running(&d.runner) == 0 && schedule_next(&d.runner.schedule) == NULL)
            break;
        int got = wait_signal(&d, d.runner.wait_ms);
        if (got != SIGTERM && got != SIGINT)
            continue;
        *ret_stopped = true;
        stop(&d);
        break;
    }
    if (rc == DR_OK && !*ret_stopped && d.runner.schedule.count > 0) {
        DR_JSON json_t *jobs = schedule_json(&d.runner.schedule);
        d.teller = teller_open(c, DRCTL_VERSION);
        teller_write_now(d.teller, jobs);
    }
    pthread_sigmask(SIG_SETMASK, &d.before, NULL);
    return rc;
}

/* ---- one question ----------------------------------------------------------------------------------- */

enum dr_rc backupd_ask(const struct config *c, const struct config_probe *probe,
                       enum health_result *ret_result, char *why, bool *ret_kept,
                       struct dr_err *err)
{
    DR_CLEANUP(health_log_close_ptr) struct health_log *log = NULL;
    enum dr_rc rc = health_log_open(c->state_dir, probe->name, &log, err);
    if (rc == DR_E_BUSY) {
        *ret_result = health_ask(probe, why);
        *ret_kept = false;
        return DR_OK;
    }
    if (rc != DR_OK)
        return rc;
    const char *words;
    DR_TRY(health_log_ask(log, probe, ret_result, &words, err));
    snprintf(why, HEALTH_WHY_MAX, "%s", words);
    *ret_kept = true;
    return DR_OK;
}
