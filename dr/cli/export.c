/*
 * export.c - `drctl export`: a snapshot as one tar.zst, for those who have no drctl.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "backup/work/work.h"
#include "dr/cli/data.h"
#include "dr/cli/progress.h"
#include "dr/cli/verbs.h"

static int export_snapshot(struct cli *cli, struct data *d, const struct snapshot_info *snapshot,
                           void *arg)
{
    (void)arg;
    struct dr_err err;
    struct progress p;
    progress_start(&p, cli, snapshot->source);
    enum dr_rc rc = export_run(d->repo, snapshot, STDOUT_FILENO, &p.hooks, &err);
    progress_end(&p);
    if (rc != DR_OK) /* a reader that had enough ("| head") needs no message */
        return err.sys == EPIPE ? EXIT_FAILED : cli_fail(cli, &err);
    progress_summary(&p, cli, &(struct progress_done){ .bytes = snapshot->bytes });
    return p.warnings > 0 ? EXIT_WARNINGS : EXIT_DONE;
}

static int run_export(struct cli *cli)
{
    const char *source = NULL;
    const struct cli_option options[] = { { "source", .value = &source } };
    cli->json = false; /* stdout carries the archive and nothing else */
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 1, 1))
        return EXIT_USAGE;
    if (isatty(STDOUT_FILENO) == 1)
        return cli_usage(cli,
                         "an archive does not belong on a terminal: drctl export %s >x.tar.zst",
                         cli->argv[1]);
    return data_with_snapshot(cli, source, export_snapshot, NULL);
}

const struct cli_verb verb_export = {
    .name = "export",
    .summary = "A snapshot as one tar.zst, to standard output",
    .usage = "drctl export SNAPSHOT|latest [--source S] >x.tar.zst      A snapshot as one archive\n"
             "\n"
             "  --source S   whose latest, when there are several sources\n"
             "\n"
             "List it with: zstd -dc x.tar.zst | tar -tv\n",
    .run = run_export,
};
