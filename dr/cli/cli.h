/*
 * cli.h - one shape for every verb: an entry in a table.
 *
 * main() finds the verb, reads the options that all verbs share (-c FILE, --json, --yes, -q,
 * --help) wherever they stand, and hands the rest to the verb. Result on stdout, talk on stderr.
 */
#ifndef DR_CLI_CLI_H
#define DR_CLI_CLI_H

#include "dr/base/err.h"
#include "dr/config/config.h"

/* Exit codes (DESIGN 7). When several fit, the gravest wins: 7, 1, 5, 2, 6, 3, 9, 4, 8. */
enum cli_exit {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_HELD = 3,
    EXIT_MISSED = 4,
    EXIT_REFUSED = 5,
    EXIT_BUSY = 6,
    EXIT_UNKNOWN = 7,
    EXIT_WARNINGS = 8,
    EXIT_DEGRADED = 9,
};

struct cli {
    const char *program;     /* "drctl" or "backupd" */
    const char *config_path; /* -c, $DRCTL_CONFIG, ./dr.yaml, /etc/drctl/dr.yaml; NULL: none */
    bool json, yes, quiet;
    int argc; /* of the verb: argv[0] is its name */
    char **argv;
};

struct cli_verb {
    const char *name;    /* "backup" */
    const char *summary; /* one line of drctl --help; NULL: hidden */
    const char *usage;   /* whole text of drctl VERB --help */
    int (*run)(struct cli *cli);
};

/* Read the configuration, print its findings on stderr; NULL after an error was told: return
 * EXIT_USAGE. The caller frees. */
struct config *cli_config(struct cli *cli);

/* Tell the error on stderr (with --json also as {"exit":N,"why":...} on stdout); returns the
 * exit code for its rc. */
int cli_fail(const struct cli *cli, const struct dr_err *err);
int cli_exit_of(enum dr_rc rc);
int cli_gravest(int a, int b);

/* The verb was called wrongly: say how on stderr; returns EXIT_USAGE. */
int cli_usage(const struct cli *cli, const char *fmt, ...) DR_PRINTF(2, 3);

extern const struct cli_verb *const cli_verbs[]; /* ends with NULL; dr/cli/verbs.c */

#endif
