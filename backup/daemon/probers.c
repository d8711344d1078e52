/*
 * probers.c - start a process for each probe, start it again when it dies, stop them all.
 */
#include "backup/daemon/probers.h"

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
#include "dr/run/health.h"

enum { RESTART_PAUSE_MS = 1000, LOOK_AGAIN_MS = 60000 };

static const int64_t MS = 1000000;

struct prober {
    const struct config_probe *probe;
    struct health_log *log; /* owned; NULL: given to who comes after us */
    pid_t pid;              /* 0: not running */
    int64_t start_ms;       /* not before this, on clock_boot_ms() */
};

struct probers {
    struct prober *items;
    size_t count;
};

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

static void fill_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, SIGCHLD);
}

static void start(struct prober *p, pid_t parent)
{
    p->pid = fork();
    if (p->pid == 0) {
        const struct sigaction term = { .sa_handler = on_term };
        sigset_t blocked;
        fill_signals(&blocked);
        sigaction(SIGTERM, &term, NULL);
        sigaction(SIGINT, &term, NULL); /* Ctrl-C goes to the whole group of the terminal */
        sigaction(SIGHUP, &term, NULL);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(0); /* the parent died before we asked to be told */
        pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
        probe_for_ever(p);
    }
    if (p->pid < 0) {
        log_warning("cannot start a prober for '%s': %s; trying again", p->probe->name,
                    strerrordesc_np(errno));
        p->pid = 0;
    }
    p->start_ms = clock_boot_ms() + RESTART_PAUSE_MS;
}

void probers_reap(struct probers *all)
{
    for (size_t i = 0; all != NULL && i < all->count; i++) {
        struct prober *p = &all->items[i];
        int status;
        if (p->pid == 0 || waitpid(p->pid, &status, WNOHANG) != p->pid)
            continue;
        log_warning("the prober of '%s' died (%s %d); it is started again", p->probe->name,
                    WIFSIGNALED(status) ? "signal" : "exit code",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        p->pid = 0;
    }
}

int64_t probers_start_missing(struct probers *all)
{
    int64_t wait_ms = LOOK_AGAIN_MS;
    pid_t parent = getpid();
    for (size_t i = 0; all != NULL && i < all->count; i++) {
        struct prober *p = &all->items[i];
        int64_t left_ms = p->start_ms - clock_boot_ms();
        if (p->pid == 0 && left_ms <= 0)
            start(p, parent);
        if (p->pid == 0 && left_ms > 0 && left_ms < wait_ms)
            wait_ms = left_ms;
    }
    return wait_ms;
}

static void stop_all(struct probers *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].pid > 0)
            kill(all->items[i].pid, SIGTERM);
    for (size_t i = 0; i < all->count; i++)
        while (all->items[i].pid > 0 && waitpid(all->items[i].pid, NULL, 0) < 0 && errno == EINTR)
            continue;
}

void probers_free(struct probers *all)
{
    if (all == NULL)
        return;
    stop_all(all);
    for (size_t i = 0; i < all->count; i++)
        health_log_close(all->items[i].log);
    free(all->items);
    free(all);
}

static struct prober *find(struct probers *all, const char *name)
{
    for (size_t i = 0; all != NULL && i < all->count; i++)
        if (strcmp(all->items[i].probe->name, name) == 0)
            return &all->items[i];
    return NULL;
}

/* Those of this host that are new. What they get from before is taken when nothing can fail any more. */
static enum dr_rc open_new(struct probers *all, const struct config *c, struct probers *before,
                           struct dr_err *err)
{
    char name[256] = "";
    const struct config_site *here =
        config_here(c, gethostname(name, sizeof(name) - 1) == 0 ? name : "");
    all->items = dr_alloc(c->probe_count + 1, sizeof(*all->items));
    for (size_t i = 0; i < c->probe_count; i++) {
        if (!config_is_asked_here(here, &c->probes[i]))
            continue;
        struct prober *p = &all->items[all->count++];
        p->probe = &c->probes[i];
        if (find(before, p->probe->name) == NULL)
            DR_TRY(health_log_open(c->state_dir, p->probe->name, &p->log, err));
    }
    return DR_OK;
}

enum dr_rc probers_new(const struct config *c, struct probers *before, struct probers **ret,
                       struct dr_err *err)
{
    DR_CLEANUP(probers_free_ptr) struct probers *all = dr_alloc(1, sizeof(*all));
    DR_TRY(open_new(all, c, before, err));
    if (before != NULL)
        stop_all(before);
    for (size_t i = 0; before != NULL && i < before->count; i++)
        before->items[i].pid = 0;
    for (size_t i = 0; i < all->count; i++) {
        struct prober *old = find(before, all->items[i].probe->name);
        if (old != NULL)
            all->items[i].log = DR_TAKE(old->log);
    }
    *ret = DR_TAKE(all);
    return DR_OK;
}
