/*
 * help.c - `drctl --help`: which verb for which need, on one screen.
 *
 * The words in front are what somebody has in mind who does not know the verbs. Only verbs that are
 * in the table are shown, so the help can never promise what the program lacks; one that stands in
 * no group is shown under "more".
 */
#include <stdio.h>
#include <string.h>

#include "dr/cli/verbs.h"

enum { GROUP_MAX = 20 };

static const struct {
    const char *need;
    const char *verbs[GROUP_MAX];
} groups[] = {
    { "something is down", { "failover", "runs", "bootstrap" } },
    { "look", { "status", "alerts", "watch", "doctor" } },
    { "before the day", { "config", "check", "plan", "drill" } },
    { "data",
      { "init", "backup", "snapshots", "ls", "cat", "find", "diff", "restore", "verify", "export",
        "repair", "prune", "forget", "pin", "unpin", "stats" } },
    { "evidence", { "report", "findings", "audit" } },
    { "the machine", { "key", "lease", "store", "daemon", "completion" } },
};

static bool in_group(size_t group, const char *name)
{
    for (size_t i = 0; i < GROUP_MAX && groups[group].verbs[i] != NULL; i++)
        if (strcmp(groups[group].verbs[i], name) == 0)
            return true;
    return false;
}

static bool in_any_group(const char *name)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(groups); i++)
        if (in_group(i, name))
            return true;
    return false;
}

/* Returns what stands in front of the next line of the group. */
static const char *show(const char *need, const struct cli_verb *verb)
{
    const char *text = verb->summary;
    int first = text[0] >= 'a' && text[0] <= 'z' ? text[0] - 'a' + 'A' : text[0];
    printf(" %-18s  %-10s %c%s\n", need, verb->name, first, text + 1);
    return "";
}

void cli_help(void)
{
    printf("%-60s%s\n\n", "drctl: disaster recovery you can prove",
           "drctl VERB --help   man drctl");
    for (size_t i = 0; i < DR_ARRAY_LEN(groups); i++) {
        const char *need = groups[i].need;
        for (size_t k = 0; k < GROUP_MAX && groups[i].verbs[k] != NULL; k++) {
            const struct cli_verb *verb = cli_find_verb(groups[i].verbs[k]);
            if (verb != NULL && verb->summary != NULL)
                need = show(need, verb);
        }
    }
    const char *need = "more";
    for (size_t i = 0; cli_verbs[i] != NULL; i++)
        if (cli_verbs[i]->summary != NULL && !in_any_group(cli_verbs[i]->name))
            need = show(need, cli_verbs[i]);
    printf(
        "\n -c, --config FILE   configuration (default $DRCTL_CONFIG, ./dr.yaml,"
        " /etc/drctl/dr.yaml)\n"
        " --json              results as JSON, one value a line\n"
        " --yes               ask nothing that only repeats a command\n"
        " -q, --quiet         no progress\n"
        " --help, --version\n"
        " exit   0 done  1 failed  2 usage  3 waits for a person  4 objective missed  5 refused\n"
        "        6 busy  7 cannot tell  8 done with warnings  9 done, fewer copies than wanted\n");
}

static int run_help(struct cli *cli)
{
    if (!cli_options(cli, NULL, 0, 0, 1))
        return EXIT_USAGE;
    if (cli->argc == 1) {
        cli_help();
        return EXIT_DONE;
    }
    const struct cli_verb *verb = cli_find_verb(cli->argv[1]);
    if (verb == NULL)
        return cli_usage(cli, "no verb '%s'", cli->argv[1]);
    fputs(verb->usage, stdout);
    return EXIT_DONE;
}

const struct cli_verb verb_help = {
    .name = "help",
    .usage = "drctl help [VERB]      The verbs, or how to use one of them\n",
    .run = run_help,
};
