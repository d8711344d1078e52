/*
 * html_tables.c - the tables of a period: plans and sources with the age of their last proof, runs, buckets, forecasts,
 * and the clauses that all this is evidence for.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"

static void add_age(struct html *h, const json_t *object)
{
    int64_t days = body_int(object, "age_days", 0);
    if (json_is_integer(json_object_get(object, "age_days")))
        buf_addf(h->out, ", %" PRId64 " day%s old", days, days == 1 ? "" : "s");
}

/* {run, at, age_days, verdict, power}, or null */
static void add_last(struct html *h, const json_t *last, const char *none)
{
    if (!json_is_object(last)) {
        buf_addf(h->out, "<b class=\"open\">%s</b>", none);
        return;
    }
    html_add_word(h, last, "run");
    buf_addc(h->out, ' ');
    html_add_badge(h, report_word(last, "verdict"), "not on record");
    buf_adds(h->out, " <br>");
    html_add_minute(h, last, "at");
    add_age(h, last);
    if (json_is_integer(json_object_get(last, "power")))
        buf_addf(h->out, " <br>drill power %" PRId64 "\xc2\xa0%%", body_int(last, "power", 0));
}

static void plan_row(struct html_table *t, const json_t *plan)
{
    struct html *h = t->h;
    html_row(t);
    html_cell(t);
    html_add_word(h, plan, "name");
    html_cell(t);
    buf_adds(h->out, "recovery ");
    html_add_objective(h->out, plan, "rto_ms");
    buf_adds(h->out, ", loss ");
    html_add_objective(h->out, plan, "rpo_ms");
    html_cell(t);
    add_last(h, json_object_get(plan, "last_drill"), "never held");
    html_cell(t);
    add_last(h, json_object_get(plan, "last_run"), "none");
    html_cell(t);
    if (json_is_true(json_object_get(plan, "overdue")))
        html_add_badge(h, "overdue", "");
    if (report_has(plan, "due")) {
        buf_adds(h->out, json_is_true(json_object_get(plan, "overdue")) ? " since " : "due ");
        html_add_minute(h, plan, "due");
    } else if (!json_is_true(json_object_get(plan, "overdue"))) {
        buf_adds(h->out, "<span class=\"soft\">no date</span>");
    }
    html_cell(t);
    html_spark(h, plan);
}

static void add_plans(struct html *h, const json_t *r)
{
    static const char *const columns[] = {
        "Plan", "=Objectives", "Last drill", "Last real run", "Next drill", "Recovery times", NULL
    };
    size_t i;
    const json_t *one;
    html_section(h, "plans", "Plans");
    if (json_array_size(json_object_get(r, "plans")) == 0) {
        html_nothing(h, "No plan is on record.");
        return;
    }
    struct html_table t =
        html_table(h, "Each plan, its last proof, and the trend against its objective", columns);
    json_array_foreach(json_object_get(r, "plans"), i, one) plan_row(&t, one);
    html_table_end(&t);
}

static void source_row(struct html_table *t, const json_t *source)
{
    struct html *h = t->h;
    const json_t *proof = json_object_get(source, "last_proof");
    const json_t *backups = json_object_get(source, "backups");
    html_row(t);
    html_cell(t);
    html_add_word(h, source, "name");
    html_cell(t);
    html_add_word(h, source, "class");
    html_cell(t);
    html_add_minute(h, source, "last_snapshot");
    html_cell(t);
    if (json_is_object(proof)) {
        html_add_badge(h, report_word(proof, "result"), "not on record");
        buf_addc(h->out, ' ');
        html_add_word(h, proof, "kind");
        if (report_has(proof, "by") &&
            strcmp(report_word(proof, "by"), report_word(proof, "kind")) != 0) {
            buf_adds(h->out, " in ");
            html_add_word(h, proof, "by");
        }
        buf_adds(h->out, " <br>");
        html_add_minute(h, proof, "at");
        add_age(h, proof);
    } else {
        buf_adds(h->out, "<b class=\"open\">never proved</b>");
    }
    html_cell(t);
    html_add_number(h, backups, "done");
    buf_adds(h->out, " of ");
    if (report_has(backups, "wanted"))
        html_add_number(h, backups, "wanted");
    else
        buf_adds(h->out, "<span class=\"soft\">a number not set</span>");
    html_cell(t);
    html_add_number(h, backups, "degraded");
    html_cell(t);
    html_add_number(h, backups, "failed");
}

static void add_sources(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Source",          "+Class",
                                           "Newest snapshot", "Last proof",
                                           "+Backups done",   "+Degraded",
                                           "+Failed",         NULL };
    size_t i;
    const json_t *one;
    html_section(h, "sources", "Sources and their backups");
    if (json_array_size(json_object_get(r, "sources")) == 0) {
        html_nothing(h, "No source is on record.");
        return;
    }
    struct html_table t = html_table(
        h,
        "A proof is a restore in a run or drill, or a verification; degraded: fewer copies than wanted",
        columns);
    json_array_foreach(json_object_get(r, "sources"), i, one) source_row(&t, one);
    html_table_end(&t);
}

static void run_row(struct html_table *t, const json_t *run)
{
    static const char *const figures[] = { "recovery", "loss" };
    struct html *h = t->h;
    html_row(t);
    html_cell(t);
    html_add_word(h, run, "id");
    html_cell(t);
    html_add_word(h, run, "plan");
    buf_adds(h->out, json_is_true(json_object_get(run, "drill")) ? " <br>drill" : " <br>real");
    html_cell(t);
    html_add_minute(h, run, "began");
    html_cell(t);
    html_add_word(h, run, "state");
    for (size_t i = 0; i < DR_ARRAY_LEN(figures); i++) {
        const json_t *figure = json_object_get(run, figures[i]);
        html_cell(t);
        html_add_interval(h, figure);
        if (report_has(figure, "verdict") && strcmp(report_word(figure, "verdict"), "none") != 0 &&
            strcmp(report_word(figure, "verdict"), "not measured") != 0) {
            buf_adds(h->out, " <br>");
            html_add_badge(h, report_word(figure, "verdict"), "");
        }
    }
    html_cell(t);
    html_add_badge(h, report_word(run, "verdict"), "not on record");
    if (report_has(run, "why")) {
        buf_adds(h->out, " <br>");
        html_add_word(h, run, "why");
    }
}

static void add_runs(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Run",           "~Plan",     "~Began",   "~State",
                                           "Recovery time", "Data loss", "=Verdict", NULL };
    size_t i;
    const json_t *one;
    html_section(h, "runs", "Runs and drills");
    if (json_array_size(json_object_get(r, "runs")) == 0) {
        html_nothing(h, "None began in this period.");
        return;
    }
    struct html_table t = html_table(h, "Runs and drills that began in the period", columns);
    json_array_foreach(json_object_get(r, "runs"), i, one) run_row(&t, one);
    html_table_end(&t);
}

static void forecast_row(struct html_table *t, const json_t *one)
{
    struct html *h = t->h;
    int64_t forecast = 0, measured = 0;
    html_row(t);
    html_cell(t);
    html_add_word(h, one, "run");
    html_cell(t);
    html_add_ms(h, one, "forecast_ms");
    html_cell(t);
    html_add_ms(h, one, "measured_ms");
    html_cell(t);
    if (!plot_int(one, "forecast_ms", &forecast) || !plot_int(one, "measured_ms", &measured)) {
        buf_adds(h->out, "<span class=\"soft\">not measured</span>");
        return;
    }
    html_tell_ms(h->out, measured > forecast ? measured - forecast : forecast - measured, false);
    buf_adds(h->out, measured > forecast   ? " longer than forecast"
                     : measured < forecast ? " shorter than forecast"
                                           : ", as forecast");
}

static void add_forecast(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Run", "+Forecast", "+Measured", "~Difference", NULL };
    size_t i;
    const json_t *one;
    html_section(h, "forecast", "Forecast against reality");
    if (json_array_size(json_object_get(r, "forecast")) == 0) {
        html_nothing(h, "Not measured: no run of this period had a forecast.");
        return;
    }
    struct html_table t = html_table(h, "Recovery time", columns);
    json_array_foreach(json_object_get(r, "forecast"), i, one) forecast_row(&t, one);
    html_table_end(&t);
}

void html_period_tables(struct html *h, const json_t *report)
{
    add_plans(h, report);
    add_sources(h, report);
    add_runs(h, report);
    add_forecast(h, report);
}

/* ---- clauses ----------------------------------------------------------------------------------- */

void html_period_clauses(struct html *h, const json_t *report)
{
    static const char *const columns[] = { "Clause", "=Asks for", "=Evidence of this period",
                                           NULL };
    const json_t *list = json_object_get(report, "clauses");
    size_t i, k;
    const json_t *one, *item;
    html_section(h, "clauses", "Clauses that this is evidence for");
    buf_adds(h->out,
             "<p>What stands here is evidence for whoever judges, not a certification.</p>\n");
    if (json_array_size(list) == 0) {
        html_nothing(h, "No clause is mapped.");
        return;
    }
    struct html_table t = html_table(h, "Clause map", columns);
    json_array_foreach(list, i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "clause");
        html_cell(&t);
        html_add_word(h, one, "title");
        if (report_has(one, "words")) {
            buf_adds(h->out, " <br><span class=\"soft\">");
            html_add_word(h, one, "words");
            buf_adds(h->out, "</span>");
        }
        html_cell(&t);
        size_t pieces = json_array_size(json_object_get(one, "evidence"));
        DR_FREE char *words = dr_strf("%zu piece%s of evidence", pieces, pieces == 1 ? "" : "s");
        if (pieces == 0) {
            buf_adds(h->out, "<b class=\"open\">no evidence in this period</b>");
            continue;
        }
        html_fold(h, words, false);
        json_array_foreach(json_object_get(one, "evidence"), k, item)
        {
            buf_adds(h->out, "<div><b>");
            html_add_word(h, item, report_has(item, "row") ? "row" : "run");
            buf_adds(h->out, "</b> ");
            html_add_word(h, item, "text");
            buf_adds(h->out, "</div>");
        }
        html_fold_end(h);
    }
    html_table_end(&t);
}
