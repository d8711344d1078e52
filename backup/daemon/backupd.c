/*
 * backupd.c - start a process for each probe, start it again when it dies, stop them all.
 *
 * The parent opens (and locks) every log before it forks, so that "another daemon is running" is
 * told once and at once. A child waits on CLOCK_BOOTTIME: probes keep their distance through
 * suspend and through jumps of the wall clock. It dies with its parent (PR_SET_PDEATHSIG), and by
 * SIGTERM at any line: each answer is one write.
 */
#include "backup/daemon/backupd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"

enum { RESTART_PAUSE_MS = 1000 };

static const int64_t MS = 1000000;

struct prober {
    const struct config_probe *probe;
    struct health_log *log; /* owned */
    pid_t pid;              /* 0: not running */
    int64_t start_ms;       /* not before this, on clock_boot_ms() */
};

struct daemon {
    struct prober *probers;
    size_t count;
};

static void daemon_fini(struct daemon *d)
{
    for (size_t i = 0; i < d->count; i++)
        health_log_close(d->probers[i].log);
    free(d->probers);
}

/* --- the child --- */

static void wait_until(int64_t boot_ns)
{
    struct timespec until = { .tv_sec = boot_ns / 1000000000, .tv_nsec = boot_ns % 1000000000 };
    while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

static void tell_change(const struct prober *p, enum health_result result, const char *why)
{
    const char *name = p->probe->name;
    if (result == HEALTH_PASS)
        log_notice("probe '%s' passes: %s", name, why);
    else if (result == HEALTH_FAIL)
        log_warning("probe '%s' fails: %s; probing goes on every %d ms", name, why,
                    (int)p->probe->interval_ms);
    else
        log_warning("probe '%s' cannot be asked: %s; this counts neither as good nor as bad", name,
                    why);
}

/* A command that is asked just now goes with us, and what it started. */
static void on_term(int signal)
{
    (void)signal;
    health_ask_stop();
    _exit(0);
}

static _Noreturn void probe_for_ever(const struct prober *p)
{
    int last = -1;
    bool kept = true;
    int64_t next_ns = clock_boot_ns();
    for (;;) {
        enum health_result result;
        const char *why;
        struct dr_err err = { 0 };
        enum dr_rc rc = health_log_ask(p->log, p->probe, &result, &why, &err);
        if (rc != DR_OK && kept)
            log_err(&err);
        else if (rc == DR_OK && !kept)
            log_notice("answers of probe '%s' are written down again", p->probe->name);
        kept = rc == DR_OK;
        if ((int)result != last)
            tell_change(p, result, why);
        last = (int)result;
        next_ns += p->probe->interval_ms * MS;
        int64_t now_ns = clock_boot_ns();
        next_ns = next_ns > now_ns ? next_ns : now_ns; /* a slow answer: no burst to catch up */
        wait_until(next_ns);
    }
}

/* --- the parent --- */

static void start(struct prober *p, const sigset_t *blocked, pid_t parent)
{
    p->pid = fork();
    if (p->pid == 0) {
        const struct sigaction term = { .sa_handler = on_term };
        sigaction(SIGTERM, &term, NULL);
        sigaction(SIGINT, &term, NULL); /* Ctrl-C goes to the whole group of the terminal */
        sigaction(SIGHUP, &term, NULL);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(0); /* the parent died before we asked to be told */
        pthread_sigmask(SIG_UNBLOCK, blocked, NULL);
        probe_for_ever(p);
    }
    if (p->pid < 0) {
        log_warning("cannot start a prober for '%s': %s; trying again", p->probe->name,
                    strerrordesc_np(errno));
        p->pid = 0;
    }
    p->start_ms = clock_boot_ms() + RESTART_PAUSE_MS;
}

static void reap(struct daemon *d)
{
    for (size_t i = 0; i < d->count; i++) {
        struct prober *p = &d->probers[i];
        int status;
        if (p->pid == 0 || waitpid(p->pid, &status, WNOHANG) != p->pid)
            continue;
        log_warning("the prober of '%s' died (%s %d); it is started again", p->probe->name,
                    WIFSIGNALED(status) ? "signal" : "exit code",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        p->pid = 0;
    }
}

/* Start what is not running; returns how long to wait before looking again. */
static int64_t start_missing(struct daemon *d, const sigset_t *blocked, pid_t parent)
{
    int64_t wait_ms = 60000;
    for (size_t i = 0; i < d->count; i++) {
        struct prober *p = &d->probers[i];
        int64_t left_ms = p->start_ms - clock_boot_ms();
        if (p->pid == 0 && left_ms <= 0)
            start(p, blocked, parent);
        if (p->pid == 0 && left_ms > 0 && left_ms < wait_ms)
            wait_ms = left_ms;
    }
    return wait_ms;
}

static void stop_all(struct daemon *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->probers[i].pid > 0)
            kill(d->probers[i].pid, SIGTERM);
    for (size_t i = 0; i < d->count; i++)
        while (d->probers[i].pid > 0 && waitpid(d->probers[i].pid, NULL, 0) < 0 && errno == EINTR)
            continue;
}

static enum dr_rc open_all(struct daemon *d, const struct config *c, struct dr_err *err)
{
    if (c->probe_count == 0) {
        dr_fail(err, DR_E_CONFIG, "'%s' has no probe in 'health:', so there is nothing to do",
                c->path);
        return dr_hint(err, "Name the address that users use: health: [{name: front, kind: http, "
                            "url: ...}]");
    }
    d->probers = dr_alloc(c->probe_count, sizeof(*d->probers));
    for (size_t i = 0; i < c->probe_count; i++, d->count++) {
        d->probers[i].probe = &c->probes[i];
        DR_TRY(health_log_open(c->state_dir, c->probes[i].name, &d->probers[i].log, err));
    }
    return DR_OK;
}

enum dr_rc backupd_run(const struct config *c, struct dr_err *err)
{
    DR_CLEANUP(daemon_fini) struct daemon d = { 0 };
    DR_TRY(open_all(&d, c, err));
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGHUP);
    sigaddset(&blocked, SIGCHLD);
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    signal(SIGCHLD, SIG_DFL);
    pid_t parent = getpid();
    log_notice("probing %zu of 'health:' from '%s'", d.count, c->path);
    for (;;) {
        int64_t wait_ms = start_missing(&d, &blocked, parent);
        struct timespec wait = { .tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * MS };
        int got = sigtimedwait(&blocked, NULL, &wait);
        if (got == SIGCHLD)
            reap(&d);
        else if (got > 0)
            break;
    }
    stop_all(&d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    log_notice("stopped");
    return DR_OK;
}

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
