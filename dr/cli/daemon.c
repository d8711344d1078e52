/*
 * daemon.c - `drctl daemon`, which is what `backupd` runs.
 *
 * With --once it is for a timer of the system: it does what is due, tells a line for each thing it did, and its exit
 * code is the gravest of them.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/daemon/backupd.h"
#include "dr/base/log.h"
#include "dr/cli/data.h"
#include "dr/cli/verbs.h"
#include "dr/data/duration.h"

/* ---- --once -------------------------------------------------------------------------------------- */

static int exit_of(enum health_result result)
{
    return result == HEALTH_PASS ? EXIT_DONE : result == HEALTH_FAIL ? EXIT_FAILED : EXIT_UNKNOWN;
}

static int ask_once(struct cli *cli, const struct config *c, const struct config_site *here)
{
    int exit = EXIT_DONE;
    for (size_t i = 0; i < c->probe_count; i++) {
        const struct config_probe *probe = &c->probes[i];
        enum health_result result;
        char why[HEALTH_WHY_MAX];
        bool kept;
        struct dr_err err = { 0 };
        if (!config_is_asked_here(here, probe))
            continue;
        if (backupd_ask(c, probe, &result, why, &kept, &err) != DR_OK)
            return cli_fail(cli, &err);
        exit = cli_gravest(exit, exit_of(result));
        if (cli->json) {
            json_t *line = json_object();
            json_put_text(line, "probe", probe->name);
            json_put_text(line, "result", health_result_name(result));
            json_put_text(line, "why", why);
            json_put(line, "kept", json_boolean(kept));
            cli_result_json(line, exit_of(result), NULL);
        } else {
            printf("%-16s %-8s %s%s\n", probe->name, health_result_name(result), why,
                   kept ? "" : "   (not written down: a daemon does that)");
        }
    }
    return exit;
}

struct once {
    const struct cli *cli;
    int exit; /* the gravest so far */
};

static void tell_json(const struct runner_news *news)
{
    json_t *o = json_object();
    bool plan = news->what == SCHEDULE_PREFLIGHT || news->what == SCHEDULE_DRILL;
    json_t *subject = news->subject != NULL ? json_printable(news->subject) : json_null();
    json_put_text(o, "what", schedule_word(news->what));
    json_put(o, "source", plan ? json_null() : json_incref(subject));
    json_put(o, "plan", plan ? json_incref(subject) : json_null());
    json_decref(subject);
    json_put(o, "started_at", data_time_json(news->start_ns));
    json_put_int(o, "took_ms", news->took_ms);
    json_put(o, "next", news->next_ns == INT64_MAX ? json_null() : data_time_json(news->next_ns));
    cli_result_json(o, news->exit, news->why);
}

static void tell(void *arg, const struct runner_news *news)
{
    struct once *once = arg;
    once->exit = cli_gravest(once->exit, news->exit);
    if (news->what == SCHEDULE_LOOK && news->exit == EXIT_DONE)
        return;
    if (once->cli->json) {
        tell_json(news);
        return;
    }
    char name[200], took[DURATION_TEXT_MAX];
    DR_FREE char *why = cli_printable(news->why != NULL ? news->why : "");
    printf("%-32s exit %d in %s%s%s\n", runner_name(news->what, news->subject, name, sizeof(name)),
           news->exit, duration_tell(news->took_ms, took), why[0] != '\0' ? ": " : "", why);
    (void)fflush(stdout); /* hours may lie between two */
}

static int run_once(struct cli *cli, const struct config *c, const struct backupd_wish *wish)
{
    struct once once = { .cli = cli, .exit = ask_once(cli, c, wish->here.site) };
    struct dr_err err = { 0 };
    bool stopped = false;
    if (wish->watch)
        return once.exit;
    log_setup(cli->program, LOG_WARNING, false);
    if (backupd_once(c, wish, tell, &once, &stopped, &err) != DR_OK)
        return cli_gravest(once.exit, cli_fail(cli, &err));
    if (stopped)
        once.exit = cli_gravest(once.exit, EXIT_FAILED);
    if (!cli->json)
        return once.exit;
    return cli_result_json(json_object(), once.exit,
                           stopped                  ? "a signal came before all was done"
                           : once.exit == EXIT_DONE ? NULL
                                                    : "see the lines before");
}

/* ---- the daemon ------------------------------------------------------------------------------------ */

static struct config *load_again(void *arg)
{
    return cli_config(arg);
}

static void find_here(const struct config *c, struct rows_here *ret)
{
    char name[256] = "";
    if (gethostname(name, sizeof(name) - 1) != 0)
        name[0] = '\0';
    ret->site = config_here(c, name);
    ret->can_drill = cli_find_verb("drill") != NULL;
}

static int run_daemon(struct cli *cli)
{
    bool once = false;
    struct backupd_wish wish = { .load = load_again, .arg = cli };
    const struct cli_option options[] = { { .name = "once", .flag = &once },
                                          { .name = "watch", .flag = &wish.watch } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
        return EXIT_USAGE;
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    find_here(c, &wish.here);
    if (once)
        return run_once(cli, c, &wish);
    log_setup("backupd", cli->quiet ? LOG_WARNING : LOG_NOTICE, true);
    struct dr_err err = { 0 };
    if (backupd_run(c, &wish, &err) != DR_OK)
        return cli_fail(cli, &err);
    return EXIT_DONE;
}

const struct cli_verb verb_daemon = {
    .name = "daemon",
    .summary = "take the backups when they are due, and watch the services (backupd)",
    .usage =
        "drctl daemon [--once] [--watch]      The same as: backupd [--once] [--watch]\n"
        "\n"
        "Until SIGTERM: takes the backups of this host's sources as backup_policy says, prunes,\n"
        "verifies, looks at the plans; each a drctl of its own. Asks every probe of 'health:' at\n"
        "its interval and writes the answers to STATE_DIR/health: recovery time is measured from\n"
        "them. What was missed is caught up, once. SIGHUP reads the configuration again; a bad\n"
        "one changes nothing.\n"
        "\n"
        "  --once   do what is due now, ask each probe once, and end: the exit code is the\n"
        "           gravest of all. For a timer of the system\n"
        "  --watch  only the probes, and the row of the status that tells what they saw: for a\n"
        "           host outside of the regions, beside other backupd\n"
        "\n"
        "Exit 6: another backupd works in this state directory.\n",
    .run = run_daemon,
};
