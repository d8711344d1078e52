/*
 * page.c - one function a section, each a table over a list of the view. Tables, the escaper and the style are
 * those of the reports (dr/proof/html_work.h), so that both look alike, by night and on a phone.
 */
#include "dr/serve/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/text.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/proof/html_work.h"

enum { STALE_S = 15 * 60, DAY_WIDTH = 7, DAYS_HEIGHT = 22 };

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"refresh\" content=\"30\">\n<title>drctl status</title>\n<style>\n";

static const char style[] =
    ".warn{color:var(--open)}svg.days{height:22px;max-width:100%}rect.d{fill:var(--s0)}"
    "rect.o{fill:var(--line)}\n";

/* ---- words ------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool is(const json_t *o, const char *key, const char *text)
{
    const char *value = text_of(o, key);
    return value != NULL && strcmp(value, text) == 0;
}

static void add_word(struct buf *out, const json_t *o, const char *key)
{
    const char *text = text_of(o, key);
    html_add_text(out, text != NULL ? text : "-");
}

/* ---- cells: each opens the next cell of its table ------------------------------------------------- */

static void cell_word(struct html_table *t, const json_t *o, const char *key)
{
    html_cell(t);
    add_word(t->h->out, o, key);
}

static void cell_s(struct html_table *t, const json_t *seconds, const char *unknown)
{
    char text[DURATION_TEXT_MAX];
    html_cell(t);
    if (!json_is_integer(seconds))
        buf_adds(t->h->out, unknown);
    else if (json_integer_value(seconds) < 1)
        buf_adds(t->h->out, "0s");
    else
        buf_adds(t->h->out, duration_tell(json_integer_value(seconds) * 1000, text));
}

/* How long ago a time of the view was, now. */
static void cell_ago(struct html_table *t, const json_t *o, const char *key, int64_t now_ns)
{
    int64_t ns = 0;
    char age[DURATION_TEXT_MAX];
    const char *text = text_of(o, key);
    html_cell(t);
    if (text == NULL || !time_parse(text, &ns))
        buf_adds(t->h->out, "never");
    else
        buf_addf(t->h->out, "%s ago",
                 now_ns - ns < 1000000000 ? "0s" : duration_tell((now_ns - ns) / 1000000, age));
}

/* A word with its colour: the word alone says it, too. */
static void cell_state(struct html_table *t, const json_t *o, const char *key, const char *good)
{
    const char *text = text_of(o, key);
    bool well = text != NULL && strcmp(text, good) == 0;
    html_cell(t);
    buf_addf(t->h->out, "<b class=\"%s\">", well ? "good" : "bad");
    html_add_text(t->h->out, text != NULL ? text : "not known");
    buf_adds(t->h->out, "</b>");
}

static struct html_table begin_table(struct html *h, const char *title, const char *caption,
                                     const char *const *columns)
{
    buf_addf(h->out, "<h2>%s</h2>\n", title);
    return html_table(h, caption, columns);
}

/* ---- the sections ------------------------------------------------------------------------------ */

static void add_verdict(struct buf *out, const json_t *view, int64_t now_ns)
{
    int64_t made_ns = 0;
    const char *made_at = text_of(view, "made_at");
    bool known = made_at != NULL && time_parse(made_at, &made_ns);
    bool stale = !known || now_ns - made_ns > STALE_S * INT64_C(1000000000);
    bool well = is(view, "verdict", "ok") && !stale;
    buf_addf(out, "<h1 class=\"%s\">%s</h1>\n", well ? "good" : "bad",
             stale                              ? "STALE"
             : is(view, "verdict", "ok")        ? "OK"
             : is(view, "verdict", "attention") ? "ATTENTION"
                                                : "CANNOT TELL");
    buf_adds(out, "<p class=\"soft\">seen from ");
    add_word(out, view, "by");
    buf_adds(out, " at ");
    add_word(out, view, "made_at");
    buf_adds(out, "</p>\n");
    if (stale)
        buf_adds(
            out,
            "<p class=\"bad\">backupd has not looked for more than 15 minutes: nothing below is "
            "about now.</p>\n");
}

static void add_findings(struct buf *out, const json_t *view)
{
    const json_t *findings = json_object_get(view, "findings");
    buf_adds(out, "<h2>Findings</h2>\n");
    if (json_array_size(findings) == 0)
        buf_adds(out, "<p>none</p>\n");
    else
        buf_adds(out, "<ul>\n");
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *f = json_array_get(findings, i);
        buf_addf(out, "<li><strong class=\"%s\">", is(f, "severity", "critical") ? "bad" : "warn");
        add_word(out, f, "severity");
        buf_adds(out, "</strong> ");
        add_word(out, f, "text");
        if (text_of(f, "hint") != NULL) {
            buf_adds(out, "<br><span class=\"soft\">");
            add_word(out, f, "hint");
            buf_adds(out, "</span>");
        }
        buf_adds(out, "</li>\n");
    }
    if (json_array_size(findings) > 0)
        buf_adds(out, "</ul>\n");
}

static void add_sites(struct html *h, const json_t *view, int64_t now_ns)
{
    static const char *const columns[] = {
        "Site", "Region", "backupd", "Last word", "Probes", NULL
    };
    const json_t *sites = json_object_get(view, "sites");
    struct html_table t = begin_table(h, "Sites", "Sites, and what they last said", columns);
    for (size_t i = 0; i < json_array_size(sites); i++) {
        const json_t *site = json_array_get(sites, i);
        html_row(&t);
        cell_word(&t, site, "name");
        cell_word(&t, site, "region");
        cell_state(&t, site, "state", "alive");
        cell_ago(&t, site, "written_at", now_ns);
        html_cell(&t);
        const json_t *probes = json_object_get(site, "probes");
        for (size_t k = 0; k < json_array_size(probes); k++) {
            const json_t *probe = json_array_get(probes, k);
            buf_addf(h->out, "%s<b class=\"%s\">", k > 0 ? ", " : "",
                     is(probe, "state", "up") ? "good" : "bad");
            add_word(h->out, probe, "name");
            buf_addc(h->out, ' ');
            add_word(h->out, probe, "state");
            buf_adds(h->out, "</b>");
        }
        buf_adds(h->out, json_array_size(probes) == 0 ? "-" : "");
    }
    html_table_end(&t);
}

/* A bar a day, the newest at the right: as high as there were snapshots, an outline where there was none. */
static void cell_days(struct html_table *t, const json_t *days)
{
    struct buf *out = t->h->out;
    size_t count = json_array_size(days);
    int64_t most = 1;
    for (size_t i = 0; i < count; i++) {
        int64_t n = json_integer_value(json_object_get(json_array_get(days, i), "snapshots"));
        most = n > most ? n : most;
    }
    html_cell(t);
    if (count == 0) {
        buf_addc(out, '-');
        return;
    }
    buf_addf(
        out,
        "<svg class=\"days\" viewBox=\"0 0 %zu %d\" role=\"img\"><title>snapshots by day</title>",
        count * DAY_WIDTH, DAYS_HEIGHT);
    for (size_t i = 0; i < count; i++) {
        const json_t *day = json_array_get(days, i);
        int64_t n = json_integer_value(json_object_get(day, "snapshots"));
        int64_t high = n > 0 ? 2 + n * (DAYS_HEIGHT - 2) / most : 1;
        buf_addf(out,
                 "<rect class=\"%c\" x=\"%zu\" y=\"%" PRId64 "\" width=\"%d\" height=\"%" PRId64
                 "\"><title>",
                 n > 0 ? 'd' : 'o', i * DAY_WIDTH, DAYS_HEIGHT - high, DAY_WIDTH - 2, high);
        add_word(out, day, "day");
        buf_addf(out, ": %" PRId64 "</title></rect>", n);
    }
    buf_adds(out, "</svg>");
}

static void add_sources(struct html *h, const json_t *view, int64_t now_ns)
{
    static const char *const columns[] = { "Source",     "Newest snapshot",  "Age", "Copies",
                                           "Last proof", "Snapshots by day", NULL };
    const json_t *sources = json_object_get(view, "sources");
    struct html_table t = begin_table(h, "Sources", "What is backed up", columns);
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *source = json_array_get(sources, i);
        const json_t *newest = json_object_get(source, "newest");
        bool overdue = json_is_true(json_object_get(source, "overdue"));
        int64_t copies = json_integer_value(json_object_get(source, "copies"));
        int64_t needed = json_integer_value(json_object_get(source, "needed"));
        html_row(&t);
        cell_word(&t, source, "name");
        cell_word(&t, newest, "id");
        buf_adds(h->out, overdue ? " <strong class=\"bad\">OVERDUE</strong>" : "");
        cell_ago(&t, newest, "taken_at", now_ns);
        html_cell(&t);
        buf_addf(h->out, "<b class=\"%s\">%" PRId64 " of %" PRId64 "</b>",
                 copies >= needed ? "good" : "bad", copies, needed);
        cell_ago(&t, source, "proved_at", now_ns);
        cell_days(&t, json_object_get(source, "days"));
    }
    html_table_end(&t);
}

static void cell_losses(struct html_table *t, const json_t *losses)
{
    struct buf *out = t->h->out;
    char text[DURATION_TEXT_MAX];
    html_cell(t);
    for (size_t k = 0; k < json_array_size(losses); k++) {
        const json_t *loss = json_array_get(losses, k);
        const json_t *s = json_object_get(loss, "loss_s");
        buf_adds(out, k > 0 ? ", " : "");
        add_word(out, loss, "source");
        buf_adds(out, json_is_integer(s) ? " " : " <strong class=\"bad\">");
        buf_adds(out, !json_is_integer(s) ? "everything</strong>"
                      : json_integer_value(s) < 1
                          ? "0s"
                          : duration_tell(json_integer_value(s) * 1000, text));
    }
}

static void add_buckets(struct html *h, const json_t *view)
{
    static const char *const columns[] = { "Bucket",    "Region", "State",
                                           "Snapshots", "Stored", "Lost if its region died now",
                                           NULL };
    const json_t *buckets = json_object_get(view, "buckets");
    struct html_table t = begin_table(h, "Buckets", "Where it lies", columns);
    for (size_t i = 0; i < json_array_size(buckets); i++) {
        const json_t *bucket = json_array_get(buckets, i);
        const json_t *count = json_object_get(bucket, "snapshots");
        const json_t *bytes = json_object_get(bucket, "bytes");
        char text[DURATION_TEXT_MAX];
        html_row(&t);
        cell_word(&t, bucket, "name");
        cell_word(&t, bucket, "region");
        cell_state(&t, bucket, "state", "ok");
        html_cell(&t);
        if (json_is_integer(count))
            buf_addf(h->out, "%" PRId64, (int64_t)json_integer_value(count));
        else
            buf_addc(h->out, '-');
        html_cell(&t);
        buf_adds(h->out, json_is_integer(bytes)
                             ? text_size(text, sizeof(text), (uint64_t)json_integer_value(bytes))
                             : "-");
        cell_losses(&t, json_object_get(bucket, "if_region_died"));
    }
    html_table_end(&t);
}

static void add_forecast(struct html *h, const json_t *view)
{
    static const char *const columns[] = { "Source", "Measured", "Shortest",
                                           "Median", "Longest",  NULL };
    const json_t *rows = json_object_get(view, "forecast");
    struct html_table t =
        begin_table(h, "How long a restore would take", "From our own measured restores", columns);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        html_row(&t);
        cell_word(&t, row, "source");
        html_cell(&t);
        buf_addf(h->out, "%" PRId64 " times",
                 (int64_t)json_integer_value(json_object_get(row, "n")));
        cell_s(&t, json_object_get(row, "min_s"), "not measured");
        cell_s(&t, json_object_get(row, "median_s"), "not measured");
        cell_s(&t, json_object_get(row, "max_s"), "not measured");
    }
    html_table_end(&t);
}

static void add_runs(struct html *h, const json_t *view, int64_t now_ns)
{
    static const char *const columns[] = { "Run", "Plan", "Mode", "State", "Began", NULL };
    const json_t *runs = json_object_get(view, "runs");
    if (json_array_size(runs) == 0)
        return;
    struct html_table t = begin_table(h, "Runs that are not over", "Open runs", columns);
    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run = json_array_get(runs, i);
        html_row(&t);
        cell_word(&t, run, "id");
        cell_word(&t, run, "plan");
        cell_word(&t, run, "mode");
        cell_word(&t, run, "state");
        cell_ago(&t, run, "started_at", now_ns);
    }
    html_table_end(&t);
}

void page_add(struct buf *out, const json_t *view, int64_t now_ns)
{
    struct html h = { .out = out };
    buf_adds(out, head);
    html_add_style(out);
    buf_adds(out, style);
    buf_adds(out, "</style>\n</head>\n<body>\n");
    if (view == NULL) {
        buf_adds(
            out,
            "<h1 class=\"bad\">CANNOT TELL</h1>\n<p>backupd has not published a status that can be "
            "read. Is it running?</p>\n");
    } else {
        add_verdict(out, view, now_ns);
        add_findings(out, view);
        add_runs(&h, view, now_ns);
        add_sites(&h, view, now_ns);
        add_sources(&h, view, now_ns);
        add_buckets(&h, view);
        add_forecast(&h, view);
    }
    buf_adds(out, "</body>\n</html>\n");
}
