/*
 * html_findings.c - the tables of findings: what is open, whose, until when; and who closed what, why and after how long.
 *
 * What nobody fixed is told as such ("no owner", "no date"), for an empty cell looks like an oversight of the page.
 */
#include <inttypes.h>

#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"

static void add_what(struct html *h, struct html_table *t, const json_t *one)
{
    html_row(t);
    html_cell(t);
    html_add_word(h, one, "id");
    html_cell(t);
    html_add_badge(h, report_word(one, "severity"), "severity not on record");
    html_cell(t);
    html_add_word(h, one, "text");
}

static void add_of(struct html *h, const json_t *one)
{
    const char *key = report_has(one, "run") ? "run" : report_has(one, "plan") ? "plan" : "subject";
    html_add_word_or(h, one, key, "-");
    if (body_int(one, "seen", 0) > 1)
        buf_addf(h->out, "<br><span class=\"soft\">seen by %" PRId64 " runs</span>",
                 body_int(one, "seen", 0));
}

static void add_due(struct html *h, const json_t *one)
{
    int64_t days = body_int(one, "overdue_days", 0);
    if (!report_has(one, "due")) {
        buf_adds(h->out, "<span class=\"soft\">no date</span>");
        return;
    }
    html_add_minute(h, one, "due");
    if (!body_is(one, "overdue"))
        return;
    buf_adds(h->out, "<br>");
    html_add_badge(h, "overdue", "overdue");
    if (days > 0)
        buf_addf(h->out, " by %" PRId64 " day%s", days, days == 1 ? "" : "s");
}

void html_findings(struct html *h, const json_t *list)
{
    static const char *const columns[] = { "Finding", "~Severity", "=What", "+Of",
                                           "+Owner",  "+Due",      NULL };
    if (json_array_size(list) == 0) {
        html_nothing(h, "No finding is on record.");
        return;
    }
    struct html_table t = html_table(h, "Findings", columns);
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        add_what(h, &t, one);
        html_cell(&t);
        add_of(h, one);
        html_cell(&t);
        html_add_word_or(h, one, "owner", "no owner");
        html_cell(&t);
        add_due(h, one);
    }
    html_table_end(&t);
}

static void add_end(struct html *h, const json_t *closed)
{
    char took[DURATION_TEXT_MAX];
    int64_t after_ms = body_int(closed, "after_ms", -1);
    html_add_minute(h, closed, "at");
    if (after_ms >= 0)
        buf_addf(h->out, "<br><span class=\"soft\">after %s</span>", duration_tell(after_ms, took));
}

void html_findings_closed(struct html *h, const json_t *list)
{
    static const char *const columns[] = { "Finding",    "~Severity", "=What", "+Of",
                                           "+Closed by", "+Why",      "+When", NULL };
    if (json_array_size(list) == 0) {
        html_nothing(h, "No finding was closed in this period.");
        return;
    }
    struct html_table t = html_table(h, "Findings that were closed", columns);
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        const json_t *closed = json_object_get(one, "closed");
        add_what(h, &t, one);
        html_cell(&t);
        add_of(h, one);
        html_cell(&t);
        html_add_word_or(h, closed, "by", "not on record");
        html_cell(&t);
        html_add_word_or(h, closed, "reason", "not on record");
        html_cell(&t);
        add_end(h, closed);
    }
    html_table_end(&t);
}
