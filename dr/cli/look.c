/*
 * look.c - `drctl ls` and `drctl cat`: into a snapshot without restoring it.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "backup/work/work.h"
#include "dr/cli/data.h"
#include "dr/cli/verbs.h"

/* A reader that had enough ("| head") needs no message. */
static int fail(const struct cli *cli, const struct dr_err *err)
{
    return err->sys == EPIPE ? EXIT_FAILED : cli_fail(cli, err);
}

static int list_entries(struct cli *cli, struct data *d, const struct snapshot_info *snapshot,
                        void *arg)
{
    (void)arg;
    struct dr_err err;
    const char *path = cli->argc > 2 ? cli->argv[2] : NULL;
    if (list_run(d->repo, snapshot, path, cli->json, &err) != DR_OK)
        return fail(cli, &err);
    return EXIT_DONE;
}

static int print_file(struct cli *cli, struct data *d, const struct snapshot_info *snapshot,
                      void *arg)
{
    (void)arg;
    struct dr_err err;
    if (cat_run(d->repo, snapshot, cli->argv[2], STDOUT_FILENO, &err) != DR_OK)
        return fail(cli, &err);
    return EXIT_DONE;
}

static int look(struct cli *cli, int least, data_fn *fn)
{
    const char *source = NULL;
    const struct cli_option options[] = { { "source", .value = &source } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), least, 2))
        return EXIT_USAGE;
    return data_with_snapshot(cli, source, fn, NULL);
}

static int run_ls(struct cli *cli)
{
    return look(cli, 1, list_entries);
}

static int run_cat(struct cli *cli)
{
    cli->json = false; /* stdout carries the file and nothing else */
    return look(cli, 2, print_file);
}

const struct cli_verb verb_ls = {
    .name = "ls",
    .summary = "What a snapshot holds",
    .usage = "drctl ls SNAPSHOT|latest [PATH] [--source S]      What a snapshot holds\n"
             "\n"
             "  PATH         only what lies at or below it, as seen from the source's root\n"
             "  --source S   whose latest, when there are several sources\n",
    .run = run_ls,
};

const struct cli_verb verb_cat = {
    .name = "cat",
    .summary = "One file of a snapshot, to standard output",
    .usage =
        "drctl cat SNAPSHOT|latest PATH [--source S]      One file of a snapshot, to standard output\n"
        "\n"
        "  --source S   whose latest, when there are several sources\n",
    .run = run_cat,
};
