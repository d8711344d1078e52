/*
 * html_work.c - sections, tables and values of the page.
 */
#include "dr/proof/html_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/data/time.h"
#include "dr/proof/report_work.h"
#include "dr/proof/svg.h"

/* ---- sections ---------------------------------------------------------------------------------- */

void html_section(struct html *h, const char *id, const char *title)
{
    html_section_end(h);
    h->sections++;
    buf_addf(&h->contents, "<li><a href=\"#%s\">%s</a></li>\n", id, title);
    buf_addf(h->out, "<section id=\"%s\">\n<h2>%d. %s</h2>\n", id, h->sections, title);
}

void html_section_end(struct html *h)
{
    if (h->sections > 0)
        buf_adds(h->out, "</section>\n");
}

void html_part(struct html *h, const char *title)
{
    buf_addf(h->out, "<h3>%s</h3>\n", title);
}

void html_nothing(struct html *h, const char *words)
{
    buf_addf(h->out, "<p class=\"soft\">%s</p>\n", words);
}

/* ---- tables ------------------------------------------------------------------------------------ */

/* What a column does on a narrow screen: by the first letter of its name, which is no part of it. */
static const char *column_name(const char *column)
{
    return column + (column[0] != '\0' && strchr("~=+", column[0]) != NULL);
}

static const char *column_class(const char *column)
{
    return column[0] == '~'   ? " class=\"flows bare\""
           : column[0] == '+' ? " class=\"flows\""
           : column[0] == '=' ? " class=\"bare\""
                              : "";
}

struct html_table html_table(struct html *h, const char *caption, const char *const *columns)
{
    buf_addf(h->out, "<table>\n<caption>%s</caption>\n<thead><tr>", caption);
    for (size_t i = 0; columns[i] != NULL; i++)
        buf_addf(h->out, "<th scope=\"col\">%s</th>", column_name(columns[i]));
    buf_adds(h->out, "</tr></thead>\n<tbody>\n");
    return (struct html_table){ .h = h, .columns = columns };
}

static void end_cell(struct html_table *t)
{
    if (t->at > 0)
        buf_adds(t->h->out, t->at == 1 ? "</th>" : "</div></td>");
}

static void end_row(struct html_table *t)
{
    if (!t->in_row)
        return;
    DR_ASSERT(t->columns[t->at] == NULL); /* every cell was written */
    end_cell(t);
    buf_adds(t->h->out, "</tr>\n");
}

void html_row(struct html_table *t)
{
    end_row(t);
    t->at = 0;
    t->in_row = true;
    buf_adds(t->h->out, "<tr>");
}

void html_cell(struct html_table *t)
{
    DR_ASSERT(t->in_row && t->columns[t->at] != NULL);
    end_cell(t);
    if (t->at == 0)
        buf_adds(t->h->out, "<th scope=\"row\">");
    else
        buf_addf(t->h->out, "<td%s data-of=\"%s\"><div>", column_class(t->columns[t->at]),
                 column_name(t->columns[t->at]));
    t->at++;
}

void html_table_end(struct html_table *t)
{
    end_row(t);
    buf_adds(t->h->out, "</tbody>\n</table>\n");
}

/* ---- folds ------------------------------------------------------------------------------------- */

void html_fold(struct html *h, const char *words, bool open)
{
    buf_addf(h->out, "<details%s><summary>%s</summary>\n", open ? " open" : "", words);
}

void html_fold_end(struct html *h)
{
    buf_adds(h->out, "</details>\n");
}

void html_add_long(struct html *h, const char *text, bool open)
{
    enum { SHORT = 110, SHOWN = 48 };
    DR_CLEANUP(buf_fini) struct buf first = { 0 };
    report_add_gist(&first, text, SHOWN);
    if (open || strlen(text) <= SHORT) {
        html_add_name(h->out, text);
        return;
    }
    buf_adds(h->out, "<details><summary>");
    html_add_text(h->out, first.data);
    buf_adds(h->out, "</summary><div>");
    html_add_name(h->out, text);
    buf_adds(h->out, "</div></details>");
}

void html_facts(struct html *h)
{
    h->in_fact = false;
    buf_adds(h->out, "<dl>\n");
}

void html_fact(struct html *h, const char *name)
{
    if (h->in_fact)
        buf_adds(h->out, "</dd></div>\n");
    h->in_fact = true;
    buf_addf(h->out, "<div><dt>%s</dt><dd>", name);
}

void html_facts_end(struct html *h)
{
    buf_adds(h->out, "</dd></div>\n</dl>\n");
}

/* ---- values ------------------------------------------------------------------------------------ */

void html_add_word_or(struct html *h, const json_t *object, const char *key, const char *missing)
{
    const char *text = report_word(object, key);
    if (text[0] != '\0')
        html_add_name(h->out, text);
    else
        buf_addf(h->out, "<span class=\"soft\">%s</span>", missing);
}

void html_add_word(struct html *h, const json_t *object, const char *key)
{
    html_add_word_or(h, object, key, "not on record");
}

void html_add_number(struct html *h, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value))
        buf_addf(h->out, "%" PRId64, (int64_t)json_integer_value(value));
    else
        buf_adds(h->out, "<span class=\"soft\">not on record</span>");
}

void html_add_bytes(struct html *h, const json_t *object, const char *key)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        html_add_number(h, NULL, key);
        return;
    }
    int64_t whole = json_integer_value(value), rest = 0;
    size_t unit = 0;
    for (; whole >= 1024 && unit + 1 < DR_ARRAY_LEN(units); unit++) {
        rest = whole % 1024;
        whole /= 1024;
    }
    buf_addf(h->out, "%" PRId64, whole);
    if (unit > 0)
        buf_addf(h->out, ".%" PRId64, rest * 10 / 1024);
    buf_addf(h->out, " %s", units[unit]);
}

void html_add_bool(struct html *h, const json_t *value, const char *yes, const char *no)
{
    if (json_is_true(value))
        buf_addf(h->out, "<b class=\"good\">%s</b>", yes);
    else if (json_is_false(value))
        buf_addf(h->out, "<b class=\"bad\">%s</b>", no);
    else
        buf_adds(h->out, "<b class=\"open\">not measured</b>");
}

/* digits: how much of "2026-11-21T03:11:40.123456789Z" is told. */
static void add_time(struct html *h, const json_t *object, const char *key, int digits)
{
    int64_t ns = 0;
    char text[TIME_TEXT_MAX];
    if (!time_parse(report_word(object, key), &ns)) {
        buf_adds(h->out, "<span class=\"soft\">not on record</span>");
        return;
    }
    time_print(ns, text);
    buf_addf(h->out,
             "<time datetime=\"%.23sZ\"><span class=\"one\">%.10s</span> %.*s\xc2\xa0UTC</time>",
             text, text, digits - 11, text + 11);
}

void html_add_time(struct html *h, const json_t *object, const char *key)
{
    static const int TO_MILLISECONDS = 23;
    add_time(h, object, key, TO_MILLISECONDS);
}

void html_add_minute(struct html *h, const json_t *object, const char *key)
{
    static const int TO_MINUTES = 16;
    add_time(h, object, key, TO_MINUTES);
}

void html_tell_ms(struct buf *out, int64_t ms, bool up)
{
    char text[DURATION_TEXT_MAX];
    if (ms > PLOT_LIMIT_MS || ms < -PLOT_LIMIT_MS) {
        buf_adds(out, "out of all reason");
        return;
    }
    if (ms < 0) { /* away from zero is down */
        buf_addc(out, '-');
        up = !up;
    }
    ms = ms < 0 ? -ms : ms;
    if (ms < 1000)
        buf_adds(out, duration_print(ms, text)); /* exactly */
    else
        buf_adds(out, report_tell_ms(ms, up, text));
}

void html_add_objective(struct buf *out, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    char text[DURATION_TEXT_MAX];
    int64_t ms = 0;
    if (plot_int(object, key, &ms) && ms >= 0)
        buf_adds(out, duration_print(ms, text));
    else
        buf_adds(out, json_is_integer(value) ? "out of all reason" : "none");
}

void html_add_ms(struct html *h, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value))
        html_tell_ms(h->out, json_integer_value(value), false);
    else
        buf_adds(h->out, "<span class=\"soft\">not measured</span>");
}

void html_add_interval(struct html *h, const json_t *figure)
{
    const json_t *lo = json_object_get(figure, "lo_ms");
    const json_t *hi = json_object_get(figure, "hi_ms");
    DR_CLEANUP(buf_fini) struct buf low = { 0 };
    DR_CLEANUP(buf_fini) struct buf high = { 0 };
    html_tell_ms(&low, json_integer_value(lo), false);
    html_tell_ms(&high, json_integer_value(hi), true);
    if (json_is_integer(lo) && json_is_integer(hi) && strcmp(low.data, high.data) == 0)
        buf_adds(h->out, low.data);
    else if (json_is_integer(lo) && json_is_integer(hi))
        buf_addf(h->out, "%s to %s", low.data, high.data);
    else if (json_is_integer(lo))
        buf_addf(h->out, "at least %s", low.data);
    else if (json_is_integer(hi))
        buf_addf(h->out, "at most %s", high.data);
    else
        buf_adds(h->out, "<span class=\"soft\">not measured</span>");
}

void html_add_code(struct html *h, const json_t *object, const char *key)
{
    const char *text = report_word(object, key);
    if (text[0] == '\0') {
        buf_adds(h->out, "<span class=\"soft\">not on record</span>");
        return;
    }
    buf_adds(h->out, "<code>");
    html_add_text(h->out, text);
    buf_adds(h->out, "</code>");
}

const char *html_looks(const char *word)
{
    static const char *const good[] = { "met",    "pass",  "passed", "done",    "recovered",
                                        "caught", "equal", "taken",  "approve", "unchanged" };
    static const char *const bad[] = { "missed",   "fail",           "failed",   "not caught",
                                       "critical", "broken journal", "aborted",  "undone",
                                       "changed",  "overdue",        "given up", "not ready" };
    for (size_t i = 0; i < DR_ARRAY_LEN(good); i++)
        if (strcmp(word, good[i]) == 0)
            return "good";
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++)
        if (strcmp(word, bad[i]) == 0)
            return "bad";
    return "open";
}

void html_add_badge(struct html *h, const char *word, const char *missing)
{
    const char *told = word != NULL && word[0] != '\0' ? word : missing;
    buf_addf(h->out, "<b class=\"badge %s\">", html_looks(told));
    html_add_text(h->out, told);
    buf_adds(h->out, "</b>");
}

static void add_canonical(struct html *h, const json_t *value)
{
    static const size_t EVIDENCE_MAX = 2000; /* of one guard, in a page; the report has it whole */
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    json_add_canonical(&text, value);
    size_t len = text.len < EVIDENCE_MAX ? text.len : EVIDENCE_MAX;
    while (len < text.len && ((unsigned char)text.data[len] & 0xc0) == 0x80)
        len--;
    bool cut = len < text.len;
    text.data[len] = '\0';
    buf_adds(h->out, "<code class=\"block\">");
    html_add_text(h->out, text.data);
    buf_adds(h->out, cut ? "</code> (cut: the report's JSON has all of it)" : "</code>");
}

void html_add_params(struct html *h, const json_t *value)
{
    if (json_object_size(value) > 0)
        add_canonical(h, value);
}

void html_add_evidence(struct html *h, const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return;
    html_fold(h, "evidence", false);
    add_canonical(h, value);
    html_fold_end(h);
}

void html_add_list(struct html *h, const json_t *list)
{
    size_t i, told = 0;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        if (!json_is_string(one))
            continue;
        buf_adds(h->out, told++ > 0 ? ", " : "");
        html_add_name(h->out, json_string_value(one));
    }
    if (told == 0)
        buf_addc(h->out, '-');
}

/* ---- figures and tiles ------------------------------------------------------------------------- */

void html_figure(struct html *h, const char *title)
{
    buf_addf(h->out, "<figure>\n<figcaption>%s</figcaption>\n", title);
}

void html_figure_end(struct html *h)
{
    buf_adds(h->out, "</figure>\n");
}

void html_figure_none(struct html *h, const char *title, const char *why)
{
    html_figure(h, title);
    buf_addf(h->out, "<p class=\"none\">%s</p>\n", why);
    html_figure_end(h);
}

void html_tile(struct html *h, const char *name)
{
    buf_addf(h->out, "<div class=\"tile\"><p class=\"name\">%s</p><p class=\"value\">", name);
}

void html_tile_end(struct html *h, const char *badge)
{
    buf_adds(h->out, "</p>");
    if (badge != NULL) {
        buf_adds(h->out, "<p class=\"say\">");
        html_add_badge(h, badge, "not measured");
        buf_adds(h->out, "</p>");
    }
    buf_adds(h->out, "</div>\n");
}

/* ---- what both kinds have ---------------------------------------------------------------------- */

void html_texts(struct html *h, const json_t *list, const char *none)
{
    size_t i;
    const json_t *one;
    if (json_array_size(list) == 0) {
        html_nothing(h, none);
        return;
    }
    buf_adds(h->out, "<ul>\n");
    json_array_foreach(list, i, one)
    {
        const char *text = json_string_value(one);
        buf_adds(h->out, "<li>");
        html_add_name(h->out, text != NULL ? text : "(no text)");
        buf_adds(h->out, "</li>\n");
    }
    buf_adds(h->out, "</ul>\n");
}
