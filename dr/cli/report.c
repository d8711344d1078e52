/*
 * report.c - `drctl report`: what one run took and lost, or what all of a month, a quarter, a year proved.
 *
 * Of one run the journal is read through its whole chain first; a broken one gives no report at all. Over a time a
 * broken journal is a row that says so: what the others prove stands.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/cli/report_facts.h"
#include "dr/cli/verbs.h"
#include "dr/data/time.h"
#include "dr/proof/csv.h"
#include "dr/proof/html.h"
#include "dr/proof/report.h"
#include "dr/run/gather.h"

/* R-1, D-12: never a path. */
static bool is_run_id(const char *text)
{
    size_t len = strlen(text);
    return len > 2 && len < RUN_ID_MAX && text[0] >= 'A' && text[0] <= 'Z' && text[1] == '-' &&
           strspn(text + 2, "0123456789") == len - 2;
}

/* A run that only the buckets know. */
static enum dr_rc read_outside(const struct config *c, const char *run, json_t **ret,
                               struct dr_err *err)
{
    DR_CLEANUP(journal_records_fini) struct journal_records records = { 0 };
    const struct gather_wish peek = { .peek = true };
    enum dr_rc rc = gather_run(c, run, &peek, &records, NULL, err);
    if (rc == DR_OK)
        return report_make(&records, 0, ret, err);
    if (rc != DR_E_NOTFOUND)
        return rc;
    dr_fail(err, rc, "there is no run %s in '%s', nor in a readable bucket", run, c->state_dir);
    return dr_hint(err, "See which there are: drctl runs");
}

static enum dr_rc read_run(const struct config *c, const char *run, json_t **ret,
                           struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/runs/%s/journal.jsonl", c->state_dir, run);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    enum dr_rc rc = fs_read_file(path, JOURNAL_FILE_MAX, &bytes, err);
    if (rc == DR_E_NOTFOUND)
        return read_outside(c, run, ret, err);
    if (rc != DR_OK)
        return rc;
    DR_CLEANUP(journal_records_fini) struct journal_records records = { 0 };
    size_t whole = 0;
    if (journal_parse(bytes.data, bytes.len, &records, &whole, err) != DR_OK ||
        report_make(&records, bytes.len - whole, ret, err) != DR_OK)
        return dr_context(err, "run %s", run);
    return DR_OK;
}

/* --- the form --- */

enum form { FORM_TEXT, FORM_JSON, FORM_HTML, FORM_CSV, FORM_COUNT };

static bool form_of(const char *word, enum form *ret)
{
    static const char *const names[FORM_COUNT] = { "text", "json", "html", "csv" };
    for (int i = 0; i < FORM_COUNT; i++) {
        if (strcmp(word, names[i]) != 0)
            continue;
        *ret = (enum form)i;
        return true;
    }
    return false;
}

static void render(const json_t *report, enum form form, struct buf *out)
{
    const char *kind = json_string_value(json_object_get(report, "kind"));
    if (form == FORM_JSON) {
        json_add_canonical(out, report);
        buf_addc(out, '\n');
    } else if (form == FORM_HTML) {
        report_html(report, out);
    } else if (form == FORM_CSV) {
        report_csv(report, out);
    } else if (kind != NULL && strcmp(kind, "period") == 0) {
        period_text(report, out);
    } else {
        report_text(report, out);
    }
}

/* A device, a pipe or a socket that somebody named is written to: a file in its place would take it from everybody. */
static bool is_written_to(const char *file)
{
    struct stat st;
    return stat(file, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static enum dr_rc write_to(const char *file, const struct buf *out, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = sys_open(file, O_WRONLY | O_CLOEXEC | O_NOCTTY, 0);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", file);
    return fs_write_all(fd, file, out->data, out->len, err);
}

/* A file is replaced whole or not at all; without one it goes to the terminal. */
static enum dr_rc put(const struct buf *out, const char *file, struct dr_err *err)
{
    if (file == NULL) {
        if (fwrite(out->data, 1, out->len, stdout) != out->len || fflush(stdout) != 0)
            return dr_fail_sys(err, errno, "cannot write the report");
        return DR_OK;
    }
    if (is_written_to(file))
        return write_to(file, out, err);
    const char *slash = strrchr(file, '/');
    DR_FREE char *dir =
        slash == NULL ? dr_strdup(".") : dr_memdup(file, (size_t)(slash - file) + (slash == file));
    return fs_replace(dir, slash == NULL ? file : slash + 1, out->data, out->len, err);
}

/* --- what is asked for --- */

struct wish {
    const char *run, *format, *output;
    const char *month, *quarter, *year, *from, *to;
    enum form form;
};

static int tell_run(struct cli *cli, const struct config *c, const struct wish *w)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *report = NULL;
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    enum dr_rc rc = read_run(c, w->run, &report, &err);
    if (rc == DR_E_CORRUPT) /* what happened cannot be told from it */
        err.rc = DR_E_UNKNOWN;
    if (rc != DR_OK)
        return cli_fail(cli, &err);
    render(report, w->form, &out);
    return put(&out, w->output, &err) == DR_OK ? EXIT_DONE : cli_fail(cli, &err);
}

/* The time that is asked for: this month, when nothing is said. name: PERIOD_TEXT_MAX bytes. */
enum { PERIOD_TEXT_MAX = 2 * TIME_TEXT_MAX + 8 };

static bool find_time(const struct wish *w, struct report_when *when, char *name)
{
    char now[PERIOD_NAME_MAX];
    const char *month = w->month != NULL ? w->month : period_month_of(when->as_of_ns, now);
    bool known;
    if (w->from != NULL) {
        when->to_ns = when->as_of_ns;
        known = period_moment(w->from, &when->from_ns) &&
                (w->to == NULL || period_moment(w->to, &when->to_ns));
        snprintf(name, PERIOD_TEXT_MAX, "%.40s to %.40s", w->from, w->to != NULL ? w->to : "now");
    } else if (w->quarter != NULL) {
        known = period_quarter(w->quarter, &when->from_ns, &when->to_ns);
        snprintf(name, PERIOD_TEXT_MAX, "%.40s", w->quarter);
    } else if (w->year != NULL) {
        known = period_year(w->year, &when->from_ns, &when->to_ns);
        snprintf(name, PERIOD_TEXT_MAX, "%.40s", w->year);
    } else {
        known = period_month(month, &when->from_ns, &when->to_ns);
        snprintf(name, PERIOD_TEXT_MAX, "%.40s", month);
    }
    when->name = name;
    return known;
}

static int tell_time(struct cli *cli, const struct config *c, const struct wish *w)
{
    char name[PERIOD_TEXT_MAX];
    struct report_when when = { .as_of_ns = clock_wall_ns() };
    struct report_facts facts = { 0 };
    struct dr_err err = { 0 };
    DR_JSON json_t *report = NULL;
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    if (!find_time(w, &when, name))
        return cli_usage(cli,
                         "'%s' is no such time: --month 2026-11, --quarter 2026-Q4, --year "
                         "2026, or --from 2026-11-01 --to 2026-11-08",
                         name);
    if (when.to_ns <= when.from_ns)
        return cli_usage(cli, "'%s' ends before it begins", name);
    if (when.from_ns > when.as_of_ns)
        return cli_usage(cli, "'%s' has not begun: there is nothing to tell of it", name);
    if (report_facts_gather(c, &when, &facts, &err) != DR_OK)
        return cli_fail(cli, &err);
    const struct period_facts made = report_facts_of(&facts, c, &when);
    enum dr_rc rc = period_make(&made, &report, &err);
    size_t broken = facts.broken;
    report_facts_fini(&facts);
    if (rc != DR_OK)
        return cli_fail(cli, &err);
    render(report, w->form, &out);
    if (put(&out, w->output, &err) != DR_OK)
        return cli_fail(cli, &err);
    return broken > 0 ? EXIT_WARNINGS : EXIT_DONE;
}

/* One time, or one run: not both, and not two of them. EXIT_DONE: it makes sense. */
static int check_wish(struct cli *cli, struct wish *w)
{
    int times = (w->month != NULL) + (w->quarter != NULL) + (w->year != NULL) + (w->from != NULL);
    if (cli->argc > 1 && w->run != NULL)
        return cli_usage(cli, "the run is given twice: '%s' and '%s'", w->run, cli->argv[1]);
    w->run = cli->argc > 1 ? cli->argv[1] : w->run;
    if (w->run != NULL && !is_run_id(w->run))
        return cli_usage(cli, "'%s' is not the name of a run, such as R-31", w->run);
    if (w->to != NULL && w->from == NULL)
        return cli_usage(cli, "--to needs --from");
    if (times > 1 || (w->run != NULL && times > 0))
        return cli_usage(cli, "a report is of one run, or of one time: --run, --month, --quarter, "
                              "--year, or --from");
    if (w->format != NULL && !form_of(w->format, &w->form))
        return cli_usage(cli, "the formats are text, json, html and csv, not '%s'", w->format);
    if (w->format == NULL && cli->json)
        w->form = FORM_JSON;
    return EXIT_DONE;
}

static int run_report(struct cli *cli)
{
    struct wish w = { .form = FORM_TEXT };
    const struct cli_option options[] = {
        { .name = "run", .value = &w.run },     { .name = "format", .value = &w.format },
        { .name = "month", .value = &w.month }, { .name = "quarter", .value = &w.quarter },
        { .name = "year", .value = &w.year },   { .name = "from", .value = &w.from },
        { .name = "to", .value = &w.to },       { .name = "output", .value = &w.output },
    };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 1))
        return EXIT_USAGE;
    int exit = check_wish(cli, &w);
    if (exit != EXIT_DONE)
        return exit;
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    return w.run != NULL ? tell_run(cli, c, &w) : tell_time(cli, c, &w);
}

const struct cli_verb verb_report = {
    .name = "report",
    .summary = "what a run took and lost, or what a month proved, with the evidence",
    .usage =
        "drctl report --run RUN [--format text|json|html|csv] [--output FILE]\n"
        "drctl report [--month YYYY-MM | --quarter YYYY-QN | --year YYYY | --from T [--to T]]\n"
        "             [--format text|json|html|csv] [--output FILE]       this month if left out\n"
        "\n"
        "Of one run: recovery time and data loss as intervals, by phase, against the objectives\n"
        "that were fixed before the start; each step and what deviated, approvals, the fence's\n"
        "proof, checks of the data, what was left, and findings; of a drill also what it did not\n"
        "do as in earnest, what was planted and caught, and production before and after. All of\n"
        "it is computed from the run's journal, whose chain is verified first; the same journal\n"
        "gives the same bytes. A figure that no fact supports is \"not measured\".\n"
        "\n"
        "Of a time, in UTC: each plan and source with the age and result of its last proof, the\n"
        "trend against the objectives, overdue drills, open findings, backups, data loss of each\n"
        "bucket, and what the period holds of evidence under the clauses of clauses.json. A\n"
        "journal that cannot be read is a row that says so.\n"
        "\n"
        "  --run RUN         this run (R-31, D-7)\n"
        "  --month YYYY-MM   this month, from its first to its last day\n"
        "  --quarter YYYY-QN, --year YYYY\n"
        "  --from T --to T   from a date or a time to another; --to: now if left out\n"
        "  --format text|json|html|csv   json has all, by conf/report.schema.json; html is one file\n"
        "  --output FILE     replace this file, whole or not at all; a device or a pipe is written to\n"
        "  --json            the same as --format json\n"
        "\n"
        "exit 0 printed, 1 no such run, 7 its chain is broken: what happened cannot be told,\n"
        "8 printed, and some journal or the ledger could not be read to its end\n",
    .run = run_report,
};
