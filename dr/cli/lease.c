/*
 * lease.c - `drctl lease`: run a command only while a lease is ours, or show who has one.
 *
 *     drctl lease hold writer/app --region eu-west-1 -- /usr/local/bin/writer
 *
 * The command runs in a process group of its own, with DRCTL_LEASE_EPOCH in its environment. The
 * lease is kept by a thread (keeper.h), as its place may stand still; when it is lost, or was not
 * renewed until the belief ends, the whole group gets SIGKILL before the belief ends, so that nobody writes without it. When
 * this process is killed the command is killed as well (PDEATHSIG).
 */
#include "dr/lease/keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/cli/verbs.h"

enum { WORDS_MAX = 1000, STOP_BEFORE_MS = 300, EXIT_NOT_STARTED = 126 };

/* -- hold --------------------------------------------------------------------------------------- */

struct holding {
    struct keeper *keeper;
    const char *key;
    pid_t pid;
    int signals; /* signalfd */
    int wake;    /* eventfd: the lease is lost */
    int status;
    bool ended, lost;
};

/* Between fork and exec. The calls whose results are dropped cannot fail with these arguments. */
_Noreturn static void become(char **argv, const sigset_t *mask, pid_t parent)
{
    (void)sigprocmask(SIG_SETMASK, mask, NULL); /* NOLINT(concurrency-mt-unsafe): one thread */
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGXFSZ, SIG_DFL);
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(EXIT_NOT_STARTED);
    execvp(argv[0], argv);
    dprintf(2, "drctl: error: cannot start '%s': %s\n", argv[0], strerrordesc_np(errno));
    _exit(EXIT_NOT_STARTED);
}

/* Signal sets and masks cannot fail with numbers that exist. */
static enum dr_rc start_command(struct holding *h, int64_t held, char **argv, struct dr_err *err)
{
    sigset_t ours;
    sigset_t before;
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGCHLD);
    (void)sigaddset(&ours, SIGTERM);
    (void)sigaddset(&ours, SIGINT);
    (void)sigaddset(&ours, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &ours, &before); /* NOLINT(concurrency-mt-unsafe): one thread */
    h->signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    if (h->signals < 0)
        return dr_fail_sys(err, errno, "cannot watch signals");
    char epoch[32];
    (void)snprintf(epoch, sizeof(epoch), "%" PRId64, held);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    if (setenv("DRCTL_LEASE_EPOCH", epoch, 1) != 0)
        return dr_fail_sys(err, errno, "cannot set DRCTL_LEASE_EPOCH");
    pid_t parent = getpid();
    h->pid = fork();
    if (h->pid < 0)
        return dr_fail_sys(err, errno, "cannot start '%s'", argv[0]);
    if (h->pid == 0)
        become(argv, &before, parent);
    (void)setpgid(h->pid, h->pid); /* the child does it, too: one of the two is first */
    return DR_OK;
}

static void kill_command(const struct holding *h, int signal)
{
    if (kill(-h->pid, signal) < 0)
        (void)kill(h->pid, signal); /* no group any more: the process alone, if it is there */
}

static void take_signals(struct holding *h)
{
    struct signalfd_siginfo info;
    while (read(h->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        if (info.ssi_signo != SIGCHLD)
            kill_command(h, (int)info.ssi_signo);
    h->ended = waitpid(h->pid, &h->status, WNOHANG) == h->pid;
}

/* In the keeper's thread. */
static void wake(void *arg)
{
    static const uint64_t one = 1;
    const struct holding *h = arg;
    if (write(h->wake, &one, sizeof(one)) < 0)
        errno = 0; /* the clock tells it as well, a little later */
}

/* Until the command ended. Dying comes before the belief ends. */
static void watch(struct holding *h)
{
    while (!h->ended) {
        int64_t left = keeper_left_ms(h->keeper) - STOP_BEFORE_MS;
        h->lost = h->lost || left <= 0;
        if (h->lost)
            kill_command(h, SIGKILL);
        struct pollfd p[] = { { .fd = h->signals, .events = POLLIN },
                              { .fd = h->lost ? -1 : h->wake, .events = POLLIN } };
        (void)poll(p, 2, h->lost ? 100 : (int)left); /* whatever woke us is asked for below */
        take_signals(h);
    }
    kill_command(h, SIGKILL); /* what it left in its group would write without a lease */
}

static int hold_exit(const struct cli *cli, struct holding *h)
{
    struct dr_err err = { 0 };
    if (h->lost) {
        if (keeper_is_lost(h->keeper, &err))
            log_err(&err);
        (void)dr_fail(&err, DR_E_REFUSED, "lease '%s' was lost: the command was ended", h->key);
        return cli_fail(cli, &err);
    }
    return WIFEXITED(h->status) ? WEXITSTATUS(h->status) : 128 + WTERMSIG(h->status);
}

static int run_hold(struct cli *cli, const struct lease_place *place, const char *as,
                    const char *region, bool wait)
{
    struct dr_err err = { 0 };
    char host[256] = "localhost";
    (void)gethostname(host, sizeof(host) - 1); /* a name for people; "localhost" will do */
    DR_FREE char *name = as != NULL ? dr_strdup(as) : dr_strf("%s:%d", host, (int)getpid());
    struct lease_wish wish = {
        .key = cli->argv[2], .holder = name, .region = region, .wait = wait
    };
    DR_CLEANUP(lease_free_ptr) struct lease *lease = NULL;
    DR_CLEANUP(dr_close_fd) int lost = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lost < 0)
        (void)dr_fail_sys(&err, errno, "cannot make an eventfd");
    if (lost < 0 || lease_acquire(place, &wish, &lease, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (!cli->quiet)
        log_info("lease '%s' is ours, epoch %" PRId64, wish.key, lease->epoch);
    int64_t epoch = lease->epoch;
    struct holding h = { .signals = -1, .wake = lost, .key = wish.key };
    if (keeper_new(DR_TAKE(lease), &h.keeper, &err) != DR_OK)
        return cli_fail(cli, &err);
    keeper_on_loss(h.keeper, wake, &h);
    DR_CLEANUP(keeper_free_ptr) struct keeper *keeper = h.keeper; /* gives the lease back */
    if (start_command(&h, epoch, cli->argv + 3, &err) != DR_OK)
        return cli_fail(cli, &err);
    watch(&h);
    dr_close_fd(&h.signals);
    return hold_exit(cli, &h);
}

/* -- show --------------------------------------------------------------------------------------- */

static json_t *record_json(const struct lease_record *r)
{
    json_t *o = json_object();
    json_t *fenced = json_array();
    for (size_t i = 0; i < r->fenced.count; i++)
        json_array_append_new(fenced, json_printable(r->fenced.items[i]));
    json_put_text(o, "key", r->key);
    json_put_text(o, "holder", r->holder);
    json_put_text(o, "region", r->region);
    json_put_text(o, "granted", r->granted);
    json_put(o, "keeper", json_boolean(r->keeper));
    json_put_int(o, "epoch", r->epoch);
    json_put(o, "fenced", fenced);
    return o;
}

static void print_record(const struct lease_record *r)
{
    DR_FREE char *fenced = text_list_join(&r->fenced, ", ");
    DR_FREE char *key = cli_printable(r->key);
    DR_FREE char *holder = cli_printable(r->holder);
    printf("%-24s epoch %-6" PRId64, key, r->epoch);
    if (r->granted[0] != '\0')
        printf(" kept for %s", r->granted);
    else if (r->holder[0] == '\0')
        printf(" free");
    else
        printf(" %s%s%s%s", holder, r->keeper ? " (a recovery keeps it)" : "",
               r->region[0] != '\0' ? " in " : "", r->region);
    if (r->fenced.count > 0)
        printf("   fenced: %s", fenced);
    putchar('\n');
}

static int run_show(struct cli *cli, const struct lease_place *place)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    if (cli->argc > 2)
        text_list_add(&keys, cli->argv[2]);
    else if (lease_keys(place, &keys, &err) != DR_OK)
        return cli_fail(cli, &err);
    for (size_t i = 0; i < keys.count; i++) {
        DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
        if (lease_read(place, keys.items[i], &r, &err) != DR_OK)
            return cli_fail(cli, &err);
        if (cli->json)
            cli_print_json(record_json(&r));
        else
            print_record(&r);
    }
    if (keys.count == 0 && !cli->json) {
        DR_FREE char *where = lease_place_tell(place);
        printf("no lease was ever taken in %s\n", where);
    }
    return EXIT_DONE;
}

/* -- the verb ----------------------------------------------------------------------------------- */

static int run_lease(struct cli *cli)
{
    const char *as = NULL;
    const char *region = NULL;
    bool wait = false;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_place_fini) struct lease_place place = { 0 };
    const struct cli_option options[] = {
        { .name = "as", .value = &as },
        { .name = "region", .value = &region },
        { .name = "wait", .flag = &wait },
    };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 1, WORDS_MAX))
        return EXIT_USAGE;
    bool hold = strcmp(cli->argv[1], "hold") == 0;
    if (!hold && strcmp(cli->argv[1], "show") != 0)
        return cli_usage(cli, "'%s' is neither 'hold' nor 'show'", cli->argv[1]);
    if (hold && cli->argc < 4)
        return cli_usage(cli, "lease hold needs a key and a command");
    if (!hold && cli->argc > 3)
        return cli_usage(cli, "lease show takes one key at most");
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    if (lease_place_of(c, NULL, &place, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (hold && region != NULL && !config_is_region(c, region))
        return cli_usage(cli, "'%s' is no region of the configuration", region);
    return hold ? run_hold(cli, &place, as, region, wait) : run_show(cli, &place);
}

const struct cli_verb verb_lease = {
    .name = "lease",
    .summary = "who may write; run a command only while a lease is held",
    .usage =
        "drctl lease hold KEY [--as NAME] [--region REGION] [--wait] -- COMMAND [ARGUMENT]...\n"
        "      Run COMMAND while the lease KEY is ours (DRCTL_LEASE_EPOCH in its environment);\n"
        "      it is killed when the lease is lost. Exit 5: REGION is fenced, or the lease was\n"
        "      lost; 6: another holds it (--wait: wait for it); else the command's own.\n"
        "drctl lease show [KEY] [--json]\n"
        "      Who holds what, under which epoch, and which regions are fenced.\n",
    .run = run_lease,
};
