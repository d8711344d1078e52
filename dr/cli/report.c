/*
 * report.c - `drctl report`: what one run took and lost, from its journal.
 *
 * The journal is read through its whole chain first; a broken one gives no report at all.
 */
#include <stdio.h>
#include <string.h>

#include "dr/base/fs.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/verbs.h"
#include "dr/proof/report.h"

/* R-1, D-12: never a path. */
static bool is_run_id(const char *text)
{
    size_t len = strlen(text);
    return len > 2 && len < RUN_ID_MAX && text[0] >= 'A' && text[0] <= 'Z' && text[1] == '-' &&
           strspn(text + 2, "0123456789") == len - 2;
}

static enum dr_rc read_run(const struct config *c, const char *run, json_t **ret,
                           struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/runs/%s/journal.jsonl", c->state_dir, run);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    enum dr_rc rc = fs_read_file(path, JOURNAL_FILE_MAX, &bytes, err);
    if (rc == DR_E_NOTFOUND) {
        dr_fail(err, rc, "there is no run %s in '%s'", run, c->state_dir);
        return dr_hint(err, "See which there are: drctl runs");
    }
    if (rc != DR_OK)
        return rc;
    DR_CLEANUP(journal_records_fini) struct journal_records records = { 0 };
    size_t whole = 0;
    if (journal_parse(bytes.data, bytes.len, &records, &whole, err) != DR_OK ||
        report_make(&records, bytes.len - whole, ret, err) != DR_OK)
        return dr_context(err, "run %s", run);
    return DR_OK;
}

/* The newest run. */
static enum dr_rc newest_run(const struct config *c, char **ret, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    DR_TRY(journal_runs(c->state_dir, &runs, err));
    if (runs.count == 0)
        return dr_fail(err, DR_E_NOTFOUND, "there is no run in '%s'", c->state_dir);
    *ret = dr_strdup(runs.items[runs.count - 1]);
    return DR_OK;
}

static int print(const struct config *c, struct cli *cli, const char *run, bool as_json)
{
    struct dr_err err = { 0 };
    DR_FREE char *newest = NULL;
    DR_JSON json_t *report = NULL;
    if (run == NULL && newest_run(c, &newest, &err) != DR_OK)
        return cli_fail(cli, &err);
    enum dr_rc rc = read_run(c, run != NULL ? run : newest, &report, &err);
    if (rc == DR_E_CORRUPT) /* what happened cannot be told from it */
        err.rc = DR_E_UNKNOWN;
    if (rc != DR_OK)
        return cli_fail(cli, &err);
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    if (as_json) {
        json_add_canonical(&out, report);
        buf_addc(&out, '\n');
    } else {
        report_text(report, &out);
    }
    if (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0) {
        dr_fail(&err, DR_E_IO, "cannot write the report");
        return cli_fail(cli, &err);
    }
    return EXIT_DONE;
}

static int run_report(struct cli *cli)
{
    const char *run = NULL, *format = NULL, *month = NULL;
    const struct cli_option options[] = { { .name = "run", .value = &run },
                                          { .name = "format", .value = &format },
                                          { .name = "month", .value = &month } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 1))
        return EXIT_USAGE;
    if (cli->argc > 1 && run != NULL)
        return cli_usage(cli, "the run is given twice: '%s' and '%s'", run, cli->argv[1]);
    run = cli->argc > 1 ? cli->argv[1] : run;
    if (month != NULL)
        return cli_usage(cli, "this version reports on single runs: use --run, not --month");
    if (run != NULL && !is_run_id(run))
        return cli_usage(cli, "'%s' is not the name of a run, such as R-31", run);
    bool json = format != NULL && strcmp(format, "json") == 0;
    if (format != NULL && !json && strcmp(format, "text") != 0)
        return cli_usage(cli, "this version has the formats text and json, not '%s'", format);
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    return print(c, cli, run, json || (cli->json && format == NULL));
}

const struct cli_verb verb_report = {
    .name = "report",
    .summary = "how long recovery took and how much was lost, with the evidence",
    .usage =
        "drctl report [--run RUN] [--format text|json]      RUN: the newest if left out\n"
        "\n"
        "Recovery time and data loss as intervals, by phase, against the objectives that were\n"
        "fixed before the start; each step and what deviated, approvals, the fence's proof,\n"
        "checks of the data, what was undone and what is left. All of it is computed from the\n"
        "run's journal, whose chain is verified first; the same journal gives the same bytes.\n"
        "A figure that no fact supports is \"not measured\".\n"
        "\n"
        " --json   the same as --format json\n"
        "\n"
        "exit 0 printed, 1 no such run, 7 its chain is broken: what happened cannot be told\n",
    .run = run_report,
};
