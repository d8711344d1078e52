/*
 * status.c - `drctl status`, and what plain `drctl` shows where there is a configuration.
 *
 * What it says needs no daemon and no host but this one: keys and buckets are enough (dr/status/status.h).
 */
#include "dr/status/status.h"

#include <stdio.h>

#include "dr/cli/verbs.h"

/* In words, for --json; NULL: all is well. */
static const char *why_of(int exit)
{
    switch (exit) {
    case EXIT_UNKNOWN:
        return "no bucket answered";
    case EXIT_HELD:
        return "a run waits for a person";
    case EXIT_DEGRADED:
        return "there are fewer copies than wanted, or a bucket does not do its part";
    case EXIT_MISSED:
        return "what was promised is not kept, or not seen";
    case EXIT_WARNINGS:
        return "there are warnings";
    default:
        return NULL;
    }
}

static int run_status(struct cli *cli)
{
    if (!cli_options(cli, NULL, 0, 0, 0))
        return EXIT_USAGE;
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    DR_CLEANUP(status_close_ptr) struct status *s = NULL;
    const struct status_options options = { .by = NULL };
    struct dr_err err = { 0 };
    if (status_open(c, &options, &s, &err) != DR_OK)
        return cli_fail(cli, &err);
    DR_JSON json_t *view = status_view(s);
    int exit = status_exit(view);
    if (cli->json)
        return cli_result_json(json_incref(view), exit, why_of(exit));
    DR_CLEANUP(buf_fini) struct buf screen = { 0 };
    status_screen(view, &screen);
    fputs(screen.data, stdout);
    return exit;
}

const struct cli_verb verb_status = {
    .name = "status",
    .summary = "If a region were lost now: what is missing, how long, last proof",
    .usage =
        "drctl status      If a region were lost now: what is missing, how long, last proof\n"
        "\n"
        "Asks every bucket, 10 seconds at most, and shows what all hosts know: sites and probes, the age of\n"
        "snapshots, copies and proofs, what would be lost with each region, how long a restore would\n"
        "take, and what to do next. Plain 'drctl' shows the same where there is a configuration.\n"
        "\n"
        "Exit 0: all is well. 3: a run waits for a person. 4: what was promised is not kept, or not\n"
        "seen: a snapshot overdue, a site silent, a probe down. 7: no bucket answered. 8: warnings\n"
        "only. 9: fewer copies than wanted, or a bucket unreachable, behind or foreign.\n",
    .run = run_status,
};
