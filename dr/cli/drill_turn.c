/*
 * drill_turn.c - "drctl drill-turn": whose turn is it to carry out the drill that is due? backupd starts it.
 *
 * Each site's backupd has the same row. Whoever gets the lease `drill/PLAN` looks whether a drill of this plan was
 * held since the time it is due, by anybody, as far as the journals here and in the buckets tell; if not, it
 * is held now, by `drctl drill`, in a process of its own under the lease. All others have nothing to do: exit 0, and
 * why. So one is held, and not three; and where a site is away, another one has its turn.
 *
 * The drill tells people that it begins and how it ended (tell.h); that it could not even begin is told here.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/tell.h"
#include "dr/cli/verbs.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"
#include "dr/lease/keeper.h"
#include "dr/run/run.h"

enum {
    LOOK_BACK = 64,
    STEP_MS = 100
}; /* runs that are looked at; between two looks at the child */

/* As a plan is looked for: by its path from the root, else by its name. The caller frees. */
static char *word_of(const char *word)
{
    const char *slash = strrchr(word, '/');
    const char *base = slash != NULL ? slash + 1 : word;
    return word[0] == '/' ? dr_strdup(word) : dr_memdup(base, strcspn(base, "."));
}

/* "runbooks/node-failure.yaml" is the plan node_failure, on every host. The caller frees. */
static char *name_of(const char *word)
{
    const char *slash = strrchr(word, '/');
    const char *base = slash != NULL ? slash + 1 : word;
    char *name = dr_memdup(base, strcspn(base, "."));
    for (char *p = name; *p != '\0'; p++)
        if (*p == '-')
            *p = '_';
    return name;
}

/* ---- was it held? ---------------------------------------------------------------------------------- */

/* One that was aborted proved nothing: it gave way to a recovery, or its runner died; nor did one that another had to
 * clean up, though it has an end since. One that is at work refuses another one by itself. */
enum counts { WHAT_BEGAN, WHAT_WAS_HELD };

static bool is_drill_of(const struct run_state *s, const char *plan, enum counts counts)
{
    DR_FREE char *name = name_of(s->plan != NULL ? s->plan : "");
    bool held = run_is_final(s->phase) && s->phase != RUN_ABORTED && !s->died;
    return !s->dry && (held || counts == WHAT_BEGAN) &&
           json_is_true(json_object_get(s->start, "drill")) && strcmp(name, plan) == 0;
}

/* Among these, of which the last is the newest. The caller frees. */
static char *find_among(const struct config *c, const struct text_list *ids, const char *plan,
                        int64_t since_ns, enum counts counts)
{
    int looked = 0;
    for (size_t i = ids->count; i > 0 && looked < LOOK_BACK; i--) {
        const char *id = ids->items[i - 1];
        DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
        if (id[0] != 'D')
            continue;
        looked++;
        if (!run_peek(c, id, &s))
            continue;
        if (s.started_ns < since_ns)
            return NULL;
        if (is_drill_of(&s, plan, counts))
            return dr_strdup(id);
    }
    return NULL;
}

/* The drill of this plan that was begun since then; NULL: none that is known. The caller frees. */
static char *drill_since(const struct config *c, const char *plan, int64_t since_ns,
                         enum counts counts)
{
    DR_CLEANUP(text_list_fini) struct text_list here = { 0 }, outside = { 0 };
    struct dr_err err = { 0 };
    if (journal_runs(c->state_dir, &here, &err) != DR_OK)
        log_warning("the runs of this host cannot be listed: %s", err.msg);
    char *found = find_among(c, &here, plan, since_ns, counts);
    if (found != NULL)
        return found;
    run_list_outside(c, NULL, &outside);
    return find_among(c, &outside, plan, since_ns, counts);
}

/* ---- the drill ------------------------------------------------------------------------------------- */

struct drill {
    const struct cli *cli;
    const char *config, *plan;
    struct tell *tell;
    struct keeper *keeper; /* of the turn: without it another site may hold the same drill */
};

static _Noreturn void become_drill(const struct drill *d, const sigset_t *signals, pid_t parent)
{
    const char *argv[10];
    size_t n = 0;
    argv[n++] = "drctl";
    argv[n++] = "-c";
    argv[n++] = d->config;
    argv[n++] = "--yes";
    if (d->cli->quiet)
        argv[n++] = "-q";
    if (d->cli->json)
        argv[n++] = "--json";
    argv[n++] = "drill";
    argv[n++] = d->plan;
    argv[n] = NULL;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(EXIT_FAILED);
    (void)pthread_sigmask(SIG_SETMASK, signals, NULL);
    /* execv() changes no word, but its type does not say so. */
    (void)execv("/proc/self/exe",
                (char *const *)(uintptr_t)argv); /* NOLINT(performance-no-int-to-ptr) */
    _exit(EXIT_FAILED);
}

/* The turn is lost: the drill is told once, and waited for. What it leaves is cleaned up by the next one. */
static void stop_if_lost(const struct drill *d, pid_t pid, bool *told)
{
    struct dr_err why = { 0 };
    if (*told || !keeper_is_lost(d->keeper, &why))
        return;
    *told = true;
    log_warning("the turn to drill is lost, and the drill is stopped: %s", why.msg);
    (void)kill(pid, SIGTERM); /* it may have ended by itself */
}

/* SIGTERM goes to our group: the drill ends in order, and we wait for it. */
static int hold_drill(const struct drill *d)
{
    sigset_t taken, before;
    int status = 0;
    sigemptyset(&taken);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGCHLD);
    (void)pthread_sigmask(SIG_BLOCK, &taken, &before);
    pid_t self = getpid();
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        become_drill(d, &before, self);
    if (pid < 0)
        return EXIT_FAILED;
    const struct timespec wait = { .tv_nsec = STEP_MS * 1000000L };
    bool told = false;
    while (waitpid(pid, &status, WNOHANG) != pid) {
        stop_if_lost(d, pid, &told);
        tell_step(d->tell);
        (void)sigtimedwait(&taken, NULL, &wait);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_UNKNOWN;
}

/* The drill tells people by itself; not so one that never began. */
static int hold_and_tell(const struct cli *cli, const struct config *c, const char *word,
                         const char *since, struct keeper *keeper)
{
    DR_CLEANUP(tell_close_ptr) struct tell *tell = tell_open(c);
    DR_FREE char *plan = name_of(word);
    DR_FREE char *meant = word_of(word);
    DR_FREE char *host = run_host();
    const struct drill drill = {
        .cli = cli, .config = c->path, .plan = meant, .tell = tell, .keeper = keeper
    };
    int64_t since_ns = 0;
    (void)time_parse(since, &since_ns); /* it was one before */
    DR_FREE char *before = drill_since(c, plan, since_ns, WHAT_BEGAN);
    int exit = hold_drill(&drill);
    DR_FREE char *newest = drill_since(c, plan, since_ns, WHAT_BEGAN);
    bool begun = newest != NULL && (before == NULL || strcmp(before, newest) != 0);
    if (begun || exit == EXIT_DONE)
        return exit;
    if (exit == EXIT_BUSY) { /* it comes again within the hour: a letter each time would be many */
        log_notice("the drill of plan %s is put off: a run is at work", plan);
        return exit;
    }
    DR_FREE char *key = dr_strf("%s/%s/not-begun", plan, since);
    DR_FREE char *title = dr_strf("the drill of plan %s could not begin on %s", plan, host);
    DR_FREE char *text = dr_strf(
        "It ended with exit code %d before it was a run. Try it: drctl drill %s", exit, meant);
    tell_drill(tell, key, false, title, text);
    return exit;
}

/* ---- the verb -------------------------------------------------------------------------------------- */

static int not_ours(const struct cli *cli, const char *why)
{
    if (cli->json)
        return cli_result_json(json_object(), EXIT_DONE, why);
    printf("%s\n", why);
    return EXIT_DONE;
}

static int take_turn(const struct cli *cli, const struct config *c, const char *word,
                     const char *since)
{
    int64_t since_ns = 0;
    struct dr_err err = { 0 };
    struct lease *lease = NULL;
    DR_CLEANUP(lease_place_fini) struct lease_place place = { 0 };
    DR_CLEANUP(keeper_free_ptr) struct keeper *keeper = NULL;
    DR_FREE char *plan = name_of(word);
    DR_FREE char *key = dr_strf("drill/%s", plan);
    DR_FREE char *host = run_host();
    DR_FREE char *who = dr_strf("backupd@%s:%d", host, (int)getpid());
    const struct lease_wish wish = { .key = key, .holder = who };
    if (!time_parse(since, &since_ns))
        return cli_usage(cli, "--since: '%s' is no time", since);
    if (lease_place_of(c, NULL, &place, &err) != DR_OK)
        return cli_fail(cli, &err);
    enum dr_rc rc = lease_acquire(&place, &wish, &lease, &err);
    if (rc == DR_E_BUSY)
        return not_ours(cli, "another site holds the drill of this plan just now");
    if (rc != DR_OK || keeper_new(lease, &keeper, &err) != DR_OK)
        return cli_fail(cli, &err);
    DR_FREE char *held = drill_since(c, plan, since_ns, WHAT_WAS_HELD);
    if (held != NULL) {
        DR_FREE char *why = dr_strf("it was held: %s", held);
        return not_ours(cli, why);
    }
    return hold_and_tell(cli, c, word, since, keeper);
}

static int run_drill_turn(struct cli *cli)
{
    const char *since = NULL;
    const struct cli_option options[] = { { .name = "since", .value = &since } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 1, 1))
        return EXIT_USAGE;
    if (since == NULL)
        return cli_usage(cli, "--since: when was it due?");
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    return c != NULL ? take_turn(cli, c, cli->argv[1], since) : EXIT_USAGE;
}

const struct cli_verb verb_drill_turn = {
    .name = "drill-turn",
    .usage =
        "drctl drill-turn PLAN --since TIME      Hold the drill that was due then, unless another\n"
        "                                        site does, or did; backupd calls this\n",
    .run = run_drill_turn,
};
