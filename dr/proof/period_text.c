/*
 * period_text.c - the report over a time as text, from its JSON form alone.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/period_work.h"

static void add_ms(struct buf *out, const json_t *object, const char *key)
{
    char text[DURATION_TEXT_MAX];
    if (report_has(object, key))
        buf_adds(out, duration_tell(body_int(object, key, 0), text));
    else
        buf_adds(out, "not measured");
}

static void add_day(struct buf *out, const char *text)
{
    if (text[0] == '\0')
        buf_adds(out, "not on record");
    else
        buf_addf(out, "%.10s", text);
}

static void text_head(struct buf *out, const json_t *period)
{
    const json_t *bounds = json_object_get(period, "period");
    const json_t *made = json_object_get(period, "made_of");
    report_add_title(out, "PERIOD");
    report_add(out, report_word(bounds, "name"));
    buf_adds(out, "  ");
    report_add_time(out, report_word(bounds, "from"));
    buf_adds(out, " to ");
    report_add_time(out, report_word(bounds, "to"));
    buf_adds(out, ", as of ");
    report_add_time(out, report_word(bounds, "as_of"));
    buf_addc(out, '\n');
    report_add_title(out, "MADE OF");
    buf_addf(out, "%" PRId64 " records", body_int(made, "records", 0));
    size_t i;
    const json_t *host;
    json_array_foreach(report_list(made, "hosts"), i, host) if (json_is_string(host))
    {
        buf_adds(out, i == 0 ? " of " : ", ");
        report_add(out, json_string_value(host));
    }
    buf_adds(out, "\n\n");
}

static void text_drills(struct buf *out, const json_t *period)
{
    const json_t *drills = json_object_get(period, "drills");
    report_add_title(out, "DRILLS");
    buf_addf(out, "%" PRId64 " held, %" PRId64 " passed, %" PRId64 " failed, %" PRId64 " overdue\n",
             body_int(drills, "held", 0), body_int(drills, "passed", 0),
             body_int(drills, "failed", 0), body_int(drills, "overdue", 0));
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(drills, "power"), i, one)
    {
        report_add_title(out, i == 0 ? "POWER" : "");
        buf_addf(out, "%s  ", report_word(one, "month"));
        int64_t planted = body_int(one, "planted", 0);
        if (planted > 0)
            buf_addf(out, "%" PRId64 " of %" PRId64 " planted faults caught\n",
                     body_int(one, "caught", 0), planted);
        else
            buf_adds(out, "not measured: nothing was planted\n");
    }
    report_add_title(out, "MEAN");
    buf_adds(out, "to detect ");
    add_ms(out, period, "mttd_ms");
    buf_adds(out, ", to recover ");
    add_ms(out, period, "mttr_ms");
    buf_adds(out, ": of failovers in earnest\n\n");
}

static void text_last(struct buf *out, const char *what, const json_t *last)
{
    report_add_title(out, "");
    buf_addf(out, "  last %-6s ", what);
    if (!json_is_object(last)) {
        buf_adds(out, "none on record\n");
        return;
    }
    report_add(out, report_word(last, "run"));
    buf_adds(out, " on ");
    add_day(out, report_word(last, "at"));
    buf_addf(out, ", %" PRId64 " days ago: %s", body_int(last, "age_days", 0),
             report_word(last, "verdict"));
    if (report_has(last, "power"))
        buf_addf(out, ", power %" PRId64 " %%", body_int(last, "power", 0));
    buf_addc(out, '\n');
}

static void text_trend(struct buf *out, const json_t *plan)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(plan, "trend"), i, one)
    {
        report_add_title(out, "");
        buf_addf(out, "  %-9s %-7s ", i == 0 ? "trend" : "", report_word(one, "run"));
        add_day(out, report_word(one, "at"));
        buf_addf(out, "  %-16s recovery ", report_word(one, "verdict"));
        report_add_interval(out, json_object_get(one, "recovery"));
        buf_adds(out, " ");
        report_add_verdict(out, json_object_get(one, "recovery"));
        buf_adds(out, ", loss ");
        report_add_interval(out, json_object_get(one, "loss"));
        buf_adds(out, " ");
        report_add_verdict(out, json_object_get(one, "loss"));
        report_end_line(out);
    }
}

static void text_plans(struct buf *out, const json_t *period)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(period, "plans"), i, one)
    {
        report_add_title(out, i == 0 ? "PLANS" : "");
        report_add(out, report_word(one, "name"));
        buf_adds(out, ": recovery time ");
        report_add_objective(out, one, "rto_ms");
        buf_adds(out, ", data loss ");
        report_add_objective(out, one, "rpo_ms");
        if (json_is_true(json_object_get(one, "overdue")))
            buf_adds(out, "   DRILL OVERDUE");
        if (report_has(one, "due")) {
            buf_adds(out, ", due ");
            add_day(out, report_word(one, "due"));
        }
        buf_addc(out, '\n');
        text_last(out, "drill", json_object_get(one, "last_drill"));
        text_last(out, "run", json_object_get(one, "last_run"));
        text_trend(out, one);
    }
    report_add_blank(out);
}

static void text_runs(struct buf *out, const json_t *period)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(period, "runs"), i, one)
    {
        report_add_title(out, i == 0 ? "RUNS" : "");
        buf_addf(out, "%-7s ", report_word(one, "id"));
        add_day(out, report_word(one, "began"));
        buf_addf(out, "  %-16s ", report_word(one, "verdict"));
        report_add(out, report_has(one, "plan") ? report_word(one, "plan") : "plan not on record");
        buf_adds(out, json_is_true(json_object_get(one, "drill")) ? " (drill)" : "");
        buf_adds(out, "  recovery ");
        report_add_interval(out, json_object_get(one, "recovery"));
        buf_adds(out, ", loss ");
        report_add_interval(out, json_object_get(one, "loss"));
        buf_addc(out, '\n');
        if (report_has(one, "why")) {
            report_add_title(out, "");
            buf_adds(out, "        ");
            report_add(out, report_word(one, "why"));
            buf_addc(out, '\n');
        }
    }
    json_array_foreach(report_list(period, "forecast"), i, one)
    {
        report_add_title(out, i == 0 ? "FORECAST" : "");
        buf_addf(out, "%-7s as long as before: ", report_word(one, "run"));
        add_ms(out, one, "forecast_ms");
        buf_adds(out, ", measured ");
        add_ms(out, one, "measured_ms");
        buf_addc(out, '\n');
    }
    report_add_blank(out);
}

static void text_backups(struct buf *out, const json_t *backups)
{
    if (!report_has(backups, "done")) {
        buf_adds(out, "backups not counted: no ledger that was read speaks of them");
        return;
    }
    buf_addf(out, "%" PRId64 " backups", body_int(backups, "done", 0));
    if (report_has(backups, "wanted"))
        buf_addf(out, " of %" PRId64 " wanted", body_int(backups, "wanted", 0));
    buf_addf(out, ", %" PRId64 " of them not in every bucket, %" PRId64 " failed",
             body_int(backups, "degraded", 0), body_int(backups, "failed", 0));
}

static void text_sources(struct buf *out, const json_t *period)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(period, "sources"), i, one)
    {
        const json_t *backups = json_object_get(one, "backups");
        const json_t *proof = json_object_get(one, "last_proof");
        report_add_title(out, i == 0 ? "SOURCES" : "");
        buf_addf(out, "%-18s ", report_word(one, "name"));
        text_backups(out, backups);
        buf_adds(out, "; newest ");
        report_add_time(out, report_word(one, "last_snapshot"));
        buf_addc(out, '\n');
        report_add_title(out, "");
        if (json_is_object(proof)) {
            buf_addf(out, "  last proof: %s on %.10s by ", report_word(proof, "kind"),
                     report_word(proof, "at"));
            report_add(out, report_word(proof, "by"));
            buf_addf(out, ", %" PRId64 " days ago: %s\n", body_int(proof, "age_days", 0),
                     report_word(proof, "result"));
        } else {
            buf_adds(out, "  last proof: none on record\n");
        }
    }
}

/* The worst, and the last; a picture has the rest. */
static void text_buckets(struct buf *out, const json_t *period)
{
    size_t i, k;
    const json_t *one, *point;
    json_array_foreach(report_list(period, "buckets"), i, one)
    {
        const json_t *series = report_list(one, "series");
        int64_t worst_ms = -1;
        size_t gaps = 0;
        json_array_foreach(series, k, point)
        {
            int64_t loss_ms = body_int(point, "loss_ms", -1);
            gaps += loss_ms < 0;
            worst_ms = loss_ms > worst_ms ? loss_ms : worst_ms;
        }
        report_add_title(out, i == 0 ? "BUCKETS" : "");
        buf_addf(out, "%-18s %-14s ", report_word(one, "name"), report_word(one, "region"));
        char text[DURATION_TEXT_MAX];
        if (worst_ms < 0) {
            buf_adds(out, "data loss not measured\n");
            continue;
        }
        buf_addf(out, "data loss at worst %s, at the end ", duration_tell(worst_ms, text));
        add_ms(out, json_array_get(series, json_array_size(series) - 1), "loss_ms");
        buf_adds(out, gaps > 0 ? ", and at times it is not known\n" : "\n");
    }
    report_add_blank(out);
}

static void text_clauses(struct buf *out, const json_t *period)
{
    size_t i, k;
    const json_t *one, *evidence;
    json_array_foreach(report_list(period, "clauses"), i, one)
    {
        report_add_title(out, i == 0 ? "CLAUSES" : "");
        report_add(out, report_word(one, "clause"));
        buf_adds(out, "  ");
        report_add(out, report_word(one, "title"));
        buf_addc(out, '\n');
        if (report_has(one, "words")) {
            report_add_title(out, "");
            buf_addc(out, '(');
            report_add(out, report_word(one, "words"));
            buf_adds(out, ")\n");
        }
        json_array_foreach(report_list(one, "evidence"), k, evidence)
        {
            report_add_title(out, "");
            buf_adds(out, "  ");
            report_add(out, report_word(evidence, "row"));
            buf_adds(out, ": ");
            report_add(out, report_word(evidence, "text"));
            buf_addc(out, '\n');
        }
        if (k == 0) {
            report_add_title(out, "");
            buf_adds(out, "  no evidence in this period\n");
        }
    }
    if (i > 0) {
        report_add_title(out, "");
        buf_adds(out, "what was seen, for whoever judges it: no certificate\n\n");
    }
}

static void text_rest(struct buf *out, const json_t *period)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(period, "notes"), i, one) if (json_is_string(one))
    {
        report_add_title(out, i == 0 ? "NOTES" : "");
        report_add(out, json_string_value(one));
        buf_addc(out, '\n');
    }
    json_array_foreach(report_list(json_object_get(period, "made_of"), "heads"), i, one)
    {
        report_add_title(out, i == 0 ? "EVIDENCE" : "");
        report_add(out, report_word(one, "of"));
        buf_addf(out, ": %" PRId64 " records, head %s\n", body_int(one, "records", 0),
                 report_has(one, "head") ? report_word(one, "head") : "not on record");
    }
}

void period_text(const json_t *told, struct buf *out)
{
    DR_JSON json_t *period = report_shown(told);
    text_head(out, period);
    text_drills(out, period);
    text_plans(out, period);
    text_runs(out, period);
    text_sources(out, period);
    text_buckets(out, period);
    report_text_findings(out, report_list(period, "findings"));
    if (json_array_size(report_list(period, "findings")) == 0) {
        report_add_title(out, "FINDINGS");
        buf_adds(out, "none open\n");
    }
    report_text_closed(out, report_list(period, "findings_closed"));
    report_add_blank(out);
    text_clauses(out, period);
    text_rest(out, period);
}
