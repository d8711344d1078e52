/*
 * cli.h - one shape for every verb: an entry in a table.
 *
 * cli_main() finds the verb, reads the options that all verbs share (-c FILE, --json, --yes, -q,
 * --help) wherever they stand, and hands the rest to the verb. Result on stdout, talk on stderr.
 *
 * To add a verb: write dr/cli/NAME.c with a `const struct cli_verb verb_NAME`, name it in
 * dr/cli/verbs.h and in the table of dr/cli/verbs.c, and describe it in drctl.1 (a test compares
 * the page with --help, both ways). A verb looks like this:
 *
 *     static int run_prune(struct cli *cli)
 *     {
 *         bool dry = false;
 *         const struct cli_option options[] = { { .name = "dry-run", .flag = &dry } };
 *         if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
 *             return EXIT_USAGE;
 *         DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
 *         if (c == NULL)
 *             return EXIT_USAGE;
 *         struct dr_err err;
 *         if (prune_run(c, dry, &err) != DR_OK)
 *             return cli_fail(cli, &err);
 *         ...
 *
 * Failures are told once, by cli_fail(). cli_main() flushes stdout and notices when the result
 * could not be written, so verbs may use printf() without looking.
 */
#ifndef DR_CLI_CLI_H
#define DR_CLI_CLI_H

#include "dr/base/err.h"
#include "dr/config/config.h"
#include "dr/data/json.h"

#define DRCTL_VERSION "0.1.0"

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
    int argc; /* of the verb: argv[0] is its name; NULL stands behind the last */
    char **argv;
    const struct cli_verb *verb; /* the one that runs */
};

struct cli_verb {
    const char *name;    /* "backup" */
    const char *summary; /* one line of drctl --help; NULL: hidden */
    const char *usage;   /* whole text of drctl VERB --help; ends with a newline */
    int (*run)(struct cli *cli);
};

/* One option of a verb: exactly one of flag, value and many is set. */
struct cli_option {
    const char *name;       /* without the dashes: "source" */
    bool *flag;             /* --dry-run */
    const char **value;     /* --to REGION or --to=REGION; given twice is an error */
    struct text_list *many; /* --set a=b --set c=d */
};

/*
 * Take the options out of cli->argv (they may stand anywhere before "--"), leaving argv[0] and
 * between least and most words. False after the mistake was told: return EXIT_USAGE.
 */
bool cli_options(struct cli *cli, const struct cli_option *options, size_t count, int least,
                 int most) DR_MUST_USE;

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

/* "1 file", "2 files": printf("%zu file%s", n, CLI_S(n)). */
#define CLI_S(n) ((n) == 1 ? "" : "s")

/* One JSON value on one line of stdout; the reference is taken over. */
void cli_print_json(json_t *value);

/* The same for the result of a verb: "exit" and "why" (NULL: left out) are added. Returns exit. */
int cli_result_json(json_t *object, int exit, const char *why);

/* Append to a list; the reference is taken over. Ends the process when memory ends. */
void cli_json_add(json_t *list, json_t *value);

/* A mistake in a configuration or plan, as --json tells it. A new reference. */
json_t *cli_finding_json(const struct diag_item *item) DR_MUST_USE;

/* Text from outside made printable, for printf; the caller frees. */
char *cli_printable(const char *text) DR_MUST_USE;

/* Colours and redrawn lines: only on a terminal, and without NO_COLOR. */
bool cli_colour(int fd);

/* dr/main.c calls this; returns the exit code. */
int cli_main(int argc, char **argv);

/* drctl --help, dr/cli/help.c. NULL: none of that name. */
void cli_help(void);
const struct cli_verb *cli_find_verb(const char *name);

extern const struct cli_verb *const cli_verbs[]; /* ends with NULL; dr/cli/verbs.c */

#endif
