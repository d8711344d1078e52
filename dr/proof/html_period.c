/*
 * html_period.c - a month, a quarter or a year: what is open comes first, then how it went over time.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"

/* ---- the head ---------------------------------------------------------------------------------- */

struct sums {
    size_t runs, critical, not_met, overdue_plans, unproved;
    int64_t failed, backups_failed, backups_done, planted, caught;
};

static bool is(const json_t *object, const char *key, const char *word)
{
    return strcmp(report_word(object, key), word) == 0;
}

/* A count is never negative, and so many of them never overflow. */
static int64_t count_of(const json_t *object, const char *key)
{
    int64_t n = body_int(object, key, 0);
    return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : n;
}

static struct sums sum_up(const json_t *r)
{
    struct sums s = { .runs = json_array_size(json_object_get(r, "runs")) };
    const json_t *drills = json_object_get(r, "drills");
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(r, "findings"), i, one) s.critical +=
        is(one, "severity", "critical");
    json_array_foreach(json_object_get(r, "runs"), i, one) s.not_met +=
        !json_is_true(json_object_get(one, "drill")) && !is(one, "verdict", "met") &&
        !is(one, "verdict", "none");
    json_array_foreach(json_object_get(r, "plans"), i, one) s.overdue_plans +=
        json_is_true(json_object_get(one, "overdue"));
    json_array_foreach(json_object_get(r, "sources"), i, one)
    {
        const json_t *backups = json_object_get(one, "backups");
        s.unproved += !report_has(one, "last_proof");
        s.backups_failed += count_of(backups, "failed");
        s.backups_done += count_of(backups, "done");
    }
    json_array_foreach(json_object_get(r, "runs"), i, one)
    {
        const json_t *power = json_object_get(one, "power");
        s.planted += count_of(power, "planted");
        s.caught += count_of(power, "caught");
    }
    s.failed = count_of(drills, "failed");
    return s;
}

static void exception(struct html *h, int64_t count, const char *one, const char *more)
{
    if (count > 0)
        buf_addf(h->out, "<li>%" PRId64 " %s</li>\n", count, count == 1 ? one : more);
}

/* Everything that an auditor would ask about, or the sentence that there is nothing. */
static void add_exceptions(struct html *h, const json_t *r, const struct sums *s)
{
    buf_adds(h->out, "<ul class=\"why\">\n");
    exception(h, s->failed, "drill failed", "drills failed");
    exception(h, (int64_t)s->overdue_plans, "plan has an overdue drill",
              "plans have overdue drills");
    exception(h, (int64_t)s->not_met, "real run is not proved to have met its objectives",
              "real runs are not proved to have met their objectives");
    exception(h, (int64_t)s->critical, "critical finding is open", "critical findings are open");
    exception(h, (int64_t)s->unproved, "source was never proved to come back",
              "sources were never proved to come back");
    exception(h, s->backups_failed, "backup failed", "backups failed");
    if (s->runs == 0)
        buf_adds(h->out, "<li>no run and no drill in this period: it proves no recovery</li>\n");
    else if (json_array_size(json_object_get(r, "findings")) == 0)
        buf_adds(h->out, "<li>no finding is open</li>\n");
    else
        buf_addf(h->out, "<li>findings that are open: %zu</li>\n",
                 json_array_size(json_object_get(r, "findings")));
    buf_adds(h->out, "</ul>\n");
}

static bool any_exception(const struct sums *s)
{
    return s->failed > 0 || s->overdue_plans > 0 || s->not_met > 0 || s->critical > 0 ||
           s->unproved > 0 || s->backups_failed > 0;
}

static void number_tile(struct html *h, const char *name, int64_t number, const char *words)
{
    html_tile(h, name);
    buf_addf(h->out, "%" PRId64 "<small>%s</small>", number, words);
    html_tile_end(h, NULL);
}

static void add_tiles(struct html *h, const json_t *r, const struct sums *s)
{
    const json_t *drills = json_object_get(r, "drills");
    buf_adds(h->out, "<div class=\"tiles\">\n");
    html_tile(h, "Drills held");
    html_add_number(h, drills, "held");
    buf_adds(h->out, "<small>");
    html_add_number(h, drills, "passed");
    buf_adds(h->out, " passed, ");
    html_add_number(h, drills, "failed");
    buf_adds(h->out, " failed, ");
    html_add_number(h, drills, "overdue");
    buf_adds(h->out, " overdue</small>");
    html_tile_end(h, NULL);
    html_tile(h, "Drill power");
    if (s->planted > 0)
        buf_addf(h->out, "%" PRId64 " of %" PRId64 "<small>planted faults caught</small>",
                 s->caught, s->planted);
    else
        buf_adds(h->out,
                 "<span class=\"soft\">not measured</span><small>no fault was planted</small>");
    html_tile_end(h, NULL);
    number_tile(h, "Runs and drills", (int64_t)s->runs, "begun in the period");
    html_tile(h, "Mean time to detect");
    html_add_ms(h, r, "mttd_ms");
    html_tile_end(h, NULL);
    html_tile(h, "Mean time to recover");
    html_add_ms(h, r, "mttr_ms");
    html_tile_end(h, NULL);
    html_tile(h, "Backups done");
    buf_addf(h->out, "%" PRId64 "<small>%" PRId64 " failed</small>", s->backups_done,
             s->backups_failed);
    html_tile_end(h, NULL);
    number_tile(h, "Open findings", (int64_t)json_array_size(json_object_get(r, "findings")),
                s->critical > 0 ? "some are critical" : "none is critical");
    buf_adds(h->out, "</div>\n");
}

static void add_head(struct html *h, const json_t *r)
{
    const json_t *period = json_object_get(r, "period");
    struct sums s = sum_up(r);
    bool open = any_exception(&s);
    html_head(h, "Report of disaster recovery over a period",
              report_has(period, "name") ? report_word(period, "name") : "Period not on record",
              open          ? "ATTENTION"
              : s.runs == 0 ? "NO RUN ON RECORD"
                            : "NO EXCEPTION ON RECORD",
              open          ? "bad"
              : s.runs == 0 ? "open"
                            : "good");
    buf_adds(h->out, "<p>");
    html_add_minute(h, period, "from");
    buf_adds(h->out, " to ");
    html_add_minute(h, period, "to");
    if (report_has(period, "as_of") && !is(period, "as_of", report_word(period, "to"))) {
        buf_adds(h->out, "; as of ");
        html_add_minute(h, period, "as_of");
    }
    buf_adds(h->out, "</p>\n");
    add_exceptions(h, r, &s);
    add_tiles(h, r, &s);
    html_head_end(h);
}

/* ---- plots ------------------------------------------------------------------------------------- */

static void add_plots(struct html *h, const json_t *r)
{
    static const size_t PLANS_MAX = 12;
    const json_t *plans = json_object_get(r, "plans");
    size_t drawn = 0;
    html_section(h, "plots", "Over time");
    buf_adds(h->out, "<div class=\"plots\">\n");
    for (size_t i = 0; i < json_array_size(plans) && drawn < PLANS_MAX; i++) {
        const json_t *plan = json_array_get(plans, i);
        if (json_array_size(json_object_get(plan, "trend")) == 0)
            continue;
        html_plot_trend(h, plan);
        drawn++;
    }
    if (drawn == 0)
        html_figure_none(h, "Recovery time", "Not measured: no plan has a run on record.");
    html_plot_loss(h, r);
    html_plot_power(h, r);
    html_plot_runs(h, r);
    buf_adds(h->out, "</div>\n");
}

/* ---- evidence ---------------------------------------------------------------------------------- */

static void add_evidence(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Of", "+Records", "=Head of the chain", NULL };
    const json_t *made = json_object_get(r, "made_of");
    const json_t *heads = json_object_get(made, "heads");
    size_t i;
    const json_t *one;
    html_section(h, "evidence", "Evidence, and how to verify it");
    buf_adds(
        h->out,
        "<p>On a host that has the files (STATE_DIR, or a copy of it), without a network:</p>\n"
        "<pre>drctl audit verify STATE_DIR</pre>\n"
        "<p>It reads every chain, and compares the heads with those that were laid into the "
        "buckets.</p>\n");
    html_facts(h);
    html_fact(h, "Hosts");
    html_add_list(h, json_object_get(made, "hosts"));
    html_fact(h, "Records read");
    html_add_number(h, made, "records");
    html_facts_end(h);
    if (json_array_size(heads) == 0) {
        html_nothing(h, "This report was made of no record.");
        return;
    }
    struct html_table t = html_table(h, "Chains that this report was made of", columns);
    json_array_foreach(heads, i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "of");
        html_cell(&t);
        html_add_number(h, one, "records");
        html_cell(&t);
        html_add_code(h, one, "head");
    }
    html_table_end(&t);
}

void html_period(struct html *h, const json_t *report)
{
    add_head(h, report);
    add_plots(h, report);
    html_period_tables(h, report);
    html_section(h, "findings", "Open findings");
    html_findings(h, json_object_get(report, "findings"));
    html_part(h, "Closed in this period");
    html_findings_closed(h, json_object_get(report, "findings_closed"));
    html_period_clauses(h, report);
    html_section(h, "notes", "Notes");
    html_texts(h, json_object_get(report, "notes"), "No note.");
    add_evidence(h, report);
}
