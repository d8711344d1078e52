/*
 * daemon.c - `drctl daemon`, which is what `backupd` runs.
 */
#include <stdio.h>

#include "backup/daemon/backupd.h"
#include "dr/base/log.h"
#include "dr/cli/verbs.h"

static int exit_of(enum health_result result)
{
    return result == HEALTH_PASS ? EXIT_DONE : result == HEALTH_FAIL ? EXIT_FAILED : EXIT_UNKNOWN;
}

static int ask_once(struct cli *cli, const struct config *c)
{
    int exit = EXIT_DONE;
    for (size_t i = 0; i < c->probe_count; i++) {
        const struct config_probe *probe = &c->probes[i];
        enum health_result result;
        char why[HEALTH_WHY_MAX];
        bool kept;
        struct dr_err err = { 0 };
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

/* What the configuration asks for and this version does not do is said, not passed over. */
static void tell_what_is_not_done(const struct config *c)
{
    if (c->full.given || c->incremental.given || c->snapshot.given)
        log_warning("backup_policy: this version makes no backups by schedule; start 'drctl backup "
                    "--kind full' from a timer of the system");
}

static int run_daemon(struct cli *cli)
{
    bool once = false;
    const struct cli_option options[] = { { .name = "once", .flag = &once } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
        return EXIT_USAGE;
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    if (once && c->probe_count > 0)
        return ask_once(cli, c);
    log_setup("backupd", cli->quiet ? LOG_WARNING : LOG_NOTICE, true);
    tell_what_is_not_done(c);
    struct dr_err err = { 0 };
    if (backupd_run(c, &err) != DR_OK)
        return cli_fail(cli, &err);
    return EXIT_DONE;
}

const struct cli_verb verb_daemon = {
    .name = "daemon",
    .summary = "watch the services (health:), so that an outage has a beginning and an end",
    .usage = "drctl daemon [--once]      The same as: backupd [--once]\n"
             "\n"
             "Asks every probe of 'health:' at its interval and writes the answers to\n"
             "STATE_DIR/health, until SIGTERM. Recovery time is measured from these answers: let\n"
             "it run outside of the regions that it watches. It logs changes only.\n"
             "\n"
             " --once   ask each probe once, print the answers and end: 0 all pass, 1 one fails,\n"
             "          7 one cannot be asked\n"
             "\n"
             "This version makes no backups by schedule (backup_policy): start\n"
             "'drctl backup --kind full' from a timer of the system.\n",
    .run = run_daemon,
};
