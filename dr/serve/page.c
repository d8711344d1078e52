/*
 * page.c - one function a section, each a table over a list of the view.
 */
#include "dr/serve/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/text.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"

enum { STALE_S = 15 * 60, DAY_WIDTH = 7, DAYS_HEIGHT = 22 };

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"refresh\" content=\"30\">\n<title>drctl status</title>\n<style>\n"
    ":root{color-scheme:light dark;--ink:#1a1c20;--soft:#5a6069;--line:#d5d9e0;--back:#fff;"
    "--good:#17663a;--bad:#a3161a;--warn:#7a4b00;--bar:#3a6ea5}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a3a9b3;--line:#3a3f47;"
    "--back:#15171a;--good:#6fcf97;--bad:#ff8a80;--warn:#f2c14e;--bar:#7fb0e6}}\n"
    "body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--back);"
    "max-width:62rem;margin:0 auto;padding:1rem}\n"
    "h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}\n"
    "p{margin:.2rem 0}.soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}"
    ".warn{color:var(--warn)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);"
    "vertical-align:top}\nth{font-weight:600;color:var(--soft);white-space:nowrap}"
    "td.n{white-space:nowrap}svg{display:block}rect.d{fill:var(--bar)}rect.o{fill:var(--line)}\n"
    "ul{padding-left:1.1rem;margin:.3rem 0}li{margin:.3rem 0}\n"
    "@media print{:root{--back:#fff;--ink:#000}}\n</style>\n</head>\n<body>\n";

/* ---- words ------------------------------------------------------------------------------------- */

static void add_escaped(struct buf *out, const char *text)
{
    DR_CLEANUP(buf_fini) struct buf clean = { 0 };
    text_add_printable(&clean, text, strlen(text));
    for (const char *c = clean.data != NULL ? clean.data : ""; *c != '\0'; c++) {
        switch (*c) {
        case '&':
            buf_adds(out, "&amp;");
            break;
        case '<':
            buf_adds(out, "&lt;");
            break;
        case '>':
            buf_adds(out, "&gt;");
            break;
        case '"':
            buf_adds(out, "&quot;");
            break;
        default:
            buf_addc(out, *c);
        }
    }
}

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
    add_escaped(out, text != NULL ? text : "-");
}

static void add_cell(struct buf *out, const json_t *o, const char *key)
{
    buf_adds(out, "<td>");
    add_word(out, o, key);
    buf_adds(out, "</td>");
}

static void add_cell_s(struct buf *out, const json_t *seconds, const char *unknown)
{
    char text[DURATION_TEXT_MAX];
    buf_adds(out, "<td class=\"n\">");
    if (!json_is_integer(seconds))
        buf_adds(out, unknown);
    else if (json_integer_value(seconds) < 1)
        buf_adds(out, "0s");
    else
        buf_adds(out, duration_tell(json_integer_value(seconds) * 1000, text));
    buf_adds(out, "</td>");
}

/* How long ago a time of the view was, now. */
static void add_cell_ago(struct buf *out, const json_t *o, const char *key, int64_t now_ns)
{
    int64_t ns = 0;
    char age[DURATION_TEXT_MAX];
    const char *text = text_of(o, key);
    if (text == NULL || !time_parse(text, &ns))
        buf_adds(out, "<td class=\"n\">never</td>");
    else
        buf_addf(out, "<td class=\"n\">%s ago</td>",
                 now_ns - ns < 1000000000 ? "0s" : duration_tell((now_ns - ns) / 1000000, age));
}

/* A word with its colour: the word alone says it, too. */
static void add_cell_state(struct buf *out, const json_t *o, const char *key, const char *good)
{
    const char *text = text_of(o, key);
    bool well = text != NULL && strcmp(text, good) == 0;
    buf_addf(out, "<td class=\"%s\">", well ? "good" : "bad");
    add_escaped(out, text != NULL ? text : "not known");
    buf_adds(out, "</td>");
}

static void begin_table(struct buf *out, const char *title, const char *const *columns)
{
    buf_addf(out, "<h2>%s</h2>\n<div class=\"wide\"><table>\n<tr>", title);
    for (; *columns != NULL; columns++)
        buf_addf(out, "<th>%s</th>", *columns);
    buf_adds(out, "</tr>\n");
}

static void end_table(struct buf *out)
{
    buf_adds(out, "</table></div>\n");
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

static void add_sites(struct buf *out, const json_t *view, int64_t now_ns)
{
    static const char *const columns[] = {
        "site", "region", "backupd", "last word", "probes", NULL
    };
    const json_t *sites = json_object_get(view, "sites");
    begin_table(out, "Sites", columns);
    for (size_t i = 0; i < json_array_size(sites); i++) {
        const json_t *site = json_array_get(sites, i);
        buf_adds(out, "<tr>");
        add_cell(out, site, "name");
        add_cell(out, site, "region");
        add_cell_state(out, site, "state", "alive");
        add_cell_ago(out, site, "written_at", now_ns);
        buf_adds(out, "<td>");
        const json_t *probes = json_object_get(site, "probes");
        for (size_t k = 0; k < json_array_size(probes); k++) {
            const json_t *probe = json_array_get(probes, k);
            buf_addf(out, "%s<span class=\"%s\">", k > 0 ? ", " : "",
                     is(probe, "state", "up") ? "good" : "bad");
            add_word(out, probe, "name");
            buf_addc(out, ' ');
            add_word(out, probe, "state");
            buf_adds(out, "</span>");
        }
        buf_adds(out, json_array_size(probes) == 0 ? "-</td></tr>\n" : "</td></tr>\n");
    }
    end_table(out);
}

/* A bar a day, the newest at the right: as high as there were snapshots, an outline where there was none. */
static void add_days(struct buf *out, const json_t *days)
{
    size_t count = json_array_size(days);
    int64_t most = 1;
    for (size_t i = 0; i < count; i++) {
        int64_t n = json_integer_value(json_object_get(json_array_get(days, i), "snapshots"));
        most = n > most ? n : most;
    }
    if (count == 0) {
        buf_adds(out, "<td>-</td>");
        return;
    }
    buf_addf(out,
             "<td><svg width=\"%zu\" height=\"%d\" role=\"img\" aria-label=\"snapshots by day\">",
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
    buf_adds(out, "</svg></td>");
}

static void add_sources(struct buf *out, const json_t *view, int64_t now_ns)
{
    static const char *const columns[] = { "source",     "newest snapshot",  "age", "copies",
                                           "last proof", "snapshots by day", NULL };
    const json_t *sources = json_object_get(view, "sources");
    begin_table(out, "Sources", columns);
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *source = json_array_get(sources, i);
        const json_t *newest = json_object_get(source, "newest");
        bool overdue = json_is_true(json_object_get(source, "overdue"));
        int64_t copies = json_integer_value(json_object_get(source, "copies"));
        int64_t needed = json_integer_value(json_object_get(source, "needed"));
        buf_adds(out, "<tr>");
        add_cell(out, source, "name");
        buf_adds(out, "<td>");
        add_word(out, newest, "id");
        buf_adds(out, overdue ? " <strong class=\"bad\">OVERDUE</strong></td>" : "</td>");
        add_cell_ago(out, newest, "taken_at", now_ns);
        buf_addf(out, "<td class=\"%s\">%" PRId64 " of %" PRId64 "</td>",
                 copies >= needed ? "good" : "bad", copies, needed);
        add_cell_ago(out, source, "proved_at", now_ns);
        add_days(out, json_object_get(source, "days"));
        buf_adds(out, "</tr>\n");
    }
    end_table(out);
}

static void add_buckets(struct buf *out, const json_t *view)
{
    static const char *const columns[] = { "bucket",    "region", "state",
                                           "snapshots", "stored", "lost if its region died now",
                                           NULL };
    const json_t *buckets = json_object_get(view, "buckets");
    begin_table(out, "Buckets", columns);
    for (size_t i = 0; i < json_array_size(buckets); i++) {
        const json_t *bucket = json_array_get(buckets, i);
        const json_t *count = json_object_get(bucket, "snapshots");
        const json_t *bytes = json_object_get(bucket, "bytes");
        const json_t *losses = json_object_get(bucket, "if_region_died");
        char text[DURATION_TEXT_MAX];
        buf_adds(out, "<tr>");
        add_cell(out, bucket, "name");
        add_cell(out, bucket, "region");
        add_cell_state(out, bucket, "state", "ok");
        if (json_is_integer(count))
            buf_addf(out, "<td>%" PRId64 "</td>", (int64_t)json_integer_value(count));
        else
            buf_adds(out, "<td>-</td>");
        buf_addf(out, "<td class=\"n\">%s</td><td>",
                 json_is_integer(bytes)
                     ? text_size(text, sizeof(text), (uint64_t)json_integer_value(bytes))
                     : "-");
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
        buf_adds(out, "</td></tr>\n");
    }
    end_table(out);
}

static void add_forecast(struct buf *out, const json_t *view)
{
    static const char *const columns[] = { "source", "measured", "shortest",
                                           "median", "longest",  NULL };
    const json_t *rows = json_object_get(view, "forecast");
    begin_table(out, "How long a restore would take", columns);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        buf_adds(out, "<tr>");
        add_cell(out, row, "source");
        buf_addf(out, "<td>%" PRId64 " times</td>",
                 (int64_t)json_integer_value(json_object_get(row, "n")));
        add_cell_s(out, json_object_get(row, "min_s"), "not measured");
        add_cell_s(out, json_object_get(row, "median_s"), "not measured");
        add_cell_s(out, json_object_get(row, "max_s"), "not measured");
        buf_adds(out, "</tr>\n");
    }
    end_table(out);
}

static void add_runs(struct buf *out, const json_t *view, int64_t now_ns)
{
    static const char *const columns[] = { "run", "plan", "mode", "state", "began", NULL };
    const json_t *runs = json_object_get(view, "runs");
    if (json_array_size(runs) == 0)
        return;
    begin_table(out, "Runs that are not over", columns);
    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run = json_array_get(runs, i);
        buf_adds(out, "<tr>");
        add_cell(out, run, "id");
        add_cell(out, run, "plan");
        add_cell(out, run, "mode");
        add_cell(out, run, "state");
        add_cell_ago(out, run, "started_at", now_ns);
        buf_adds(out, "</tr>\n");
    }
    end_table(out);
}

void page_add(struct buf *out, const json_t *view, int64_t now_ns)
{
    buf_adds(out, head);
    if (view == NULL) {
        buf_adds(
            out,
            "<h1 class=\"bad\">CANNOT TELL</h1>\n<p>backupd has not published a status that can be "
            "read. Is it running?</p>\n");
    } else {
        add_verdict(out, view, now_ns);
        add_findings(out, view);
        add_runs(out, view, now_ns);
        add_sites(out, view, now_ns);
        add_sources(out, view, now_ns);
        add_buckets(out, view);
        add_forecast(out, view);
    }
    buf_adds(out, "</body>\n</html>\n");
}
