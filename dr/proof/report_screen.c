/*
 * report_screen.c - the last screen of a run: what a tired person has to know, in ten lines.
 *
 * Figures stand as middle and half width, since the person compares them with one number in mind;
 * both ends are in the report.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/data/time.h"
#include "dr/proof/report_work.h"

enum { LINE_MAX_COLUMNS = 100 };

/* "4m12", "0m23" of the long ones, "3.2s" below a minute. */
static void add_short(struct buf *out, int64_t ms)
{
    if (ms < 60000)
        buf_addf(out, "%" PRId64 ".%" PRId64 "s", ms / 1000, ms % 1000 / 100);
    else if (ms < 3600000)
        buf_addf(out, "%" PRId64 "m%02" PRId64, ms / 60000, ms % 60000 / 1000);
    else
        buf_addf(out, "%" PRId64 "h%02" PRId64, ms / 3600000, ms % 3600000 / 60000);
}

/* "29m 40s +-1s": the middle and half of the width, rounded up. */
static void add_middle(struct buf *out, const json_t *figure)
{
    if (!report_has(figure, "lo_ms") || !report_has(figure, "hi_ms")) {
        report_add_interval(out, figure);
        return;
    }
    int64_t lo_ms = body_int(figure, "lo_ms", 0), hi_ms = body_int(figure, "hi_ms", 0);
    char middle[DURATION_TEXT_MAX], half[DURATION_TEXT_MAX];
    report_tell_ms((lo_ms + hi_ms) / 2, false, middle);
    report_tell_ms((hi_ms - lo_ms + 1) / 2, true, half);
    buf_addf(out, "%s +-%s", middle, half);
}

static void block_figure(struct buf *out, const char *name, const json_t *figure)
{
    DR_CLEANUP(buf_fini) struct buf value = { 0 };
    DR_CLEANUP(buf_fini) struct buf objective = { 0 };
    DR_CLEANUP(buf_fini) struct buf verdict = { 0 };
    add_middle(&value, figure);
    report_add_objective(&objective, figure, "objective_ms");
    buf_adds(&verdict, "");
    report_add_verdict(&verdict, figure);
    buf_addf(out, "  %-4s %-18s objective %-6s %-8s", name, value.data, objective.data,
             verdict.len > 0 ? verdict.data : "");
}

/* The phases that took time, in lines of at most 100 columns. */
static void block_phases(struct buf *out, const json_t *r)
{
    static const int INDENT = 7;
    size_t i;
    const json_t *one;
    int column = LINE_MAX_COLUMNS;
    json_array_foreach(report_list(json_object_get(r, "phases"), "list"), i, one)
    {
        DR_CLEANUP(buf_fini) struct buf word = { 0 };
        int64_t ms = body_int(one, "ms", 0);
        if (ms < 50)
            continue;
        buf_addf(&word, "%s ", report_word(one, "phase"));
        add_short(&word, ms);
        if (column + 2 + (int)word.len > LINE_MAX_COLUMNS) {
            report_end_line(out);
            buf_addf(out, "%*s", INDENT, "");
            column = INDENT;
        } else {
            buf_adds(out, "  ");
            column += 2;
        }
        buf_adds(out, word.data);
        column += (int)word.len;
    }
}

static size_t tried_in_vain(const json_t *r)
{
    size_t i, count = 0;
    const json_t *one;
    json_array_foreach(report_list(r, "standbys"), i, one)
    {
        const char *result = report_word(one, "result");
        count += strcmp(result, "given up") == 0 || strcmp(result, "not ready") == 0;
    }
    return count;
}

void report_recovered_block(const json_t *told, struct buf *out)
{
    DR_JSON json_t *report = report_shown(told);
    const json_t *recovery = json_object_get(report, "recovery_time");
    const json_t *loss = json_object_get(report, "data_loss");
    const json_t *evidence = json_object_get(report, "evidence");
    size_t vain = tried_in_vain(report);
    size_t from = out->len;
    report_add_state(out, report);
    buf_adds(out, "  ");
    report_add_way(out, report);
    int used = (int)(out->len - from);
    buf_addf(out, "%*srun %s, %zu steps", used < 50 ? 50 - used : 2, "", report_word(report, "run"),
             json_array_size(report_list(report, "steps")));
    if (vain > 0)
        buf_addf(out, ", %zu standby%s tried in vain", vain, vain == 1 ? "" : "s");
    buf_addc(out, '\n');

    block_figure(out, "RTO", recovery);
    report_add(out, report_word(recovery, "why"));
    block_phases(out, report);
    report_end_line(out);
    block_figure(out, "RPO", loss);
    if (report_has(loss, "sentinel")) {
        int64_t ns = 0;
        char time[TIME_TEXT_MAX];
        if (time_parse(report_word(loss, "sentinel"), &ns))
            buf_addf(out, "last write kept: sentinel %s", time_tell(ns, time));
    } else {
        report_add(out, report_word(loss, report_has(loss, "why") ? "why" : "method"));
    }
    report_end_line(out);

    size_t i;
    const json_t *one;
    json_array_foreach(report_list(report, "to_do"), i, one)
    {
        buf_adds(out, i == 0 ? "  TO DO  " : "         ");
        report_add(out, json_string_value(one));
        buf_addc(out, '\n');
    }
    if (i == 0)
        buf_adds(out, "  nothing left to do\n");
    buf_addf(out,
             "  report: drctl report --run %s        evidence head %.6s, %" PRId64 " records\n",
             report_word(report, "run"), report_word(evidence, "head"),
             body_int(evidence, "records", 0));
}
