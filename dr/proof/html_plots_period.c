/*
 * html_plots_period.c - pictures of a period: recovery time of each plan against its objective, the same as a spark line,
 * phases of each run, and drill power by month.
 *
 * Runs stand side by side in their order, not at their dates: two drills of one day must not cover each other.
 * Of very many the newest are drawn, and the caption says so.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"
#include "dr/proof/svg.h"

enum { RUNS_MAX = 60, SPARK_WIDTH = 700, SPARK_HEIGHT = 200 };

/* Of `count` things the newest RUNS_MAX are drawn: the first that is. */
static size_t first_drawn(size_t count)
{
    return count > RUNS_MAX ? count - RUNS_MAX : 0;
}

static void say_cut(struct html *h, size_t count)
{
    if (count > RUNS_MAX)
        buf_addf(h->out, "<p>The newest %d of %zu are drawn.</p>\n", RUNS_MAX, count);
}

/* Letters of the longest of these names, as svg_name() writes them. */
static size_t longest(const json_t *list, const char *key)
{
    size_t i, most = 0;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        DR_FREE char *name = html_short(report_word(one, key), SVG_NAME_LETTERS);
        most = strlen(name) > most ? strlen(name) : most;
    }
    return most;
}

/* ---- the trend of recovery times ---------------------------------------------------------------- */

static int64_t trend_most(const json_t *plan, size_t from, bool *ret_any)
{
    const json_t *trend = json_object_get(plan, "trend");
    int64_t most = 0, ms = 0;
    *ret_any = false;
    for (size_t i = from; i < json_array_size(trend); i++) {
        const json_t *figure = json_object_get(json_array_get(trend, i), "recovery");
        static const char *const ends[] = { "lo_ms", "hi_ms" };
        for (size_t k = 0; k < DR_ARRAY_LEN(ends); k++)
            if (plot_int(figure, ends[k], &ms)) {
                *ret_any = true;
                most = ms > most ? ms : most;
            }
    }
    if (plot_int(plan, "rto_ms", &ms) && ms > most)
        most = ms;
    return most > 0 ? most : 1000;
}

/* The mark of one interval, centred at x: closed, or open towards the side that nothing is known of. */
static void add_mark(const struct plot *p, const json_t *figure, int x, int width)
{
    int64_t lo = 0, hi = 0;
    bool has_lo = plot_int(figure, "lo_ms", &lo), has_hi = plot_int(figure, "hi_ms", &hi);
    const char *verdict = report_word(figure, "verdict");
    const char *class = strcmp(verdict, "met") == 0 || strcmp(verdict, "none") == 0 ? "wm"
                        : strcmp(verdict, "missed") == 0                            ? "wx"
                                                                                    : "wo";
    if (has_lo && has_hi) {
        int top = plot_y(p, hi), bottom = plot_y(p, lo);
        if (bottom - top < 30) { /* an exact figure is seen, too */
            top -= 15;
            bottom = top + 30;
        }
        svg_rect(p->out, class, x - width / 2, top, width, bottom - top);
    } else if (has_lo || has_hi) {
        int y = plot_y(p, has_lo ? lo : hi);
        int end = has_lo ? p->top : p->bottom;
        svg_line(p->out, "wl", x - width / 2, y, x + width / 2, y);
        svg_line(p->out, "wl", x, y, x, end);
        svg_line(p->out, "wl", x, end, x - 25, end + (has_lo ? 40 : -40));
        svg_line(p->out, "wl", x, end, x + 25, end + (has_lo ? 40 : -40));
    }
}

static void describe_trend(struct buf *desc, const json_t *plan, size_t from)
{
    const json_t *trend = json_object_get(plan, "trend");
    struct html side = { .out = desc };
    for (size_t i = from; i < json_array_size(trend); i++) {
        const json_t *one = json_array_get(trend, i);
        const json_t *figure = json_object_get(one, "recovery");
        buf_addf(desc, "%s%s ", i > from ? "; " : "", report_word(one, "run"));
        if (report_has(figure, "lo_ms") || report_has(figure, "hi_ms"))
            html_add_interval(&side, figure);
        else
            buf_adds(desc, "not measured");
    }
}

/* Marks of the trend at p; returns the width of a slot. */
static int add_marks(const struct plot *p, const json_t *trend, size_t from)
{
    size_t count = json_array_size(trend) - from;
    int slot = (p->right - p->left) / (int)count;
    int width = slot * 6 / 10 > 120 ? 120 : slot * 6 / 10 < 12 ? 12 : slot * 6 / 10;
    for (size_t i = 0; i < count; i++)
        add_mark(p, json_object_get(json_array_get(trend, from + i), "recovery"),
                 p->left + slot * (int)i + slot / 2, width);
    return slot;
}

static void trend_legend(struct html *h)
{
    static const struct {
        const char *mark, *words;
    } keys[] = {
        { "<rect class=\"wm\" x=\"12\" y=\"1\" width=\"9\" height=\"8\"/>",
          "met, or no objective" },
        { "<rect class=\"wx\" x=\"12\" y=\"1\" width=\"9\" height=\"8\"/>", "missed" },
        { "<rect class=\"wo\" x=\"12\" y=\"1\" width=\"9\" height=\"8\"/>", "not determinable" },
        { "<path class=\"wl\" d=\"M16 9.5V.5M13 3.5L16 .5L19 3.5\"/>", "or more" },
    };
    buf_adds(h->out, "<ul class=\"legend\">\n");
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        buf_addf(h->out, "<li><svg viewBox=\"0 0 32 10\" aria-hidden=\"true\">%s</svg> %s</li>\n",
                 keys[i].mark, keys[i].words);
    buf_adds(h->out, "</ul>\n");
}

void html_plot_trend(struct html *h, const json_t *plan)
{
    const json_t *trend = json_object_get(plan, "trend");
    size_t count = json_array_size(trend), from = first_drawn(count);
    bool any = false;
    int64_t objective = 0;
    struct plot p = { .out = h->out, .left = 440, .right = 3300, .top = 240, .bottom = 1150 };
    p.y_hi = trend_most(plan, from, &any);
    DR_CLEANUP(buf_fini) struct buf title = { 0 };
    buf_adds(&title, "Recovery time: ");
    html_add_text(&title,
                  report_has(plan, "name") ? report_word(plan, "name") : "plan not on record");
    if (!any) {
        html_figure_none(h, title.data, "Not measured: no run with a recovery time is on record.");
        return;
    }
    DR_CLEANUP(buf_fini) struct buf desc = { 0 };
    describe_trend(&desc, plan, from);
    html_figure(h, title.data);
    svg_begin(h->out, &(struct svg_about){ "wide", PLOT_WIDTH, 1330, "Recovery time of each run",
                                           desc.data });
    plot_y_axis(&p);
    int slot = add_marks(&p, trend, from);
    size_t every = plot_every(count - from, longest(trend, "run"), p.right - p.left);
    for (size_t i = from; i < count; i++) {
        int x = p.left + slot * (int)(i - from) + slot / 2;
        if ((count - 1 - i) % every == 0)
            svg_name(h->out, "m", x, p.bottom + 150, report_word(json_array_get(trend, i), "run"));
    }
    if (plot_int(plan, "rto_ms", &objective) && objective > 0)
        plot_objective(&p, objective);
    svg_end(h->out);
    trend_legend(h);
    say_cut(h, count);
    html_figure_end(h);
}

void html_spark(struct html *h, const json_t *plan)
{
    const json_t *trend = json_object_get(plan, "trend");
    size_t from = first_drawn(json_array_size(trend));
    bool any = false;
    int64_t objective = 0;
    struct plot p = { .out = h->out, .left = 20, .right = SPARK_WIDTH - 20, .top = 20 };
    p.bottom = SPARK_HEIGHT - 20;
    p.y_hi = trend_most(plan, from, &any);
    if (!any) {
        buf_adds(h->out, "<span class=\"soft\">not measured</span>");
        return;
    }
    DR_CLEANUP(buf_fini) struct buf desc = { 0 };
    describe_trend(&desc, plan, from);
    svg_begin(h->out, &(struct svg_about){ "spark", SPARK_WIDTH, SPARK_HEIGHT,
                                           "Recovery time of each run, oldest first", desc.data });
    if (plot_int(plan, "rto_ms", &objective) && objective > 0)
        svg_line(p.out, "ob", 0, plot_y(&p, objective), SPARK_WIDTH, plot_y(&p, objective));
    add_marks(&p, trend, from);
    svg_end(h->out);
}

/* ---- phases of each run ------------------------------------------------------------------------- */

static bool phases_of(const json_t *run, int64_t *ret_whole)
{
    const json_t *phases = json_object_get(run, "phases");
    return plot_int(phases, "whole_ms", ret_whole) && *ret_whole > 0 &&
           json_array_size(json_object_get(phases, "list")) > 0;
}

static void run_bar(const struct plot *p, const json_t *run, int y)
{
    const json_t *phases = json_object_get(run, "phases");
    int64_t objective = 0;
    DR_CLEANUP(buf_fini) struct buf whole = { 0 };
    html_tell_ms(&whole, body_int(phases, "whole_ms", 0), true);
    svg_name(p->out, "e", p->left - 50, y + 85, report_word(run, "id"));
    svg_line(p->out, "ax", p->left, y, p->left, y + 110); /* where even a short one begins */
    int end = html_bar(p, json_object_get(phases, "list"), y, 110);
    svg_text(p->out, "halo", end + 60, y + 85, whole.data);
    if (plot_int(run, "rto_ms", &objective) && objective > 0)
        svg_line(p->out, "ob", plot_x(p, objective), y - 15, plot_x(p, objective), y + 125);
}

static void phases_key(struct html *h)
{
    buf_adds(h->out, "<ul class=\"legend\">\n");
    for (int i = 0; i < PHASE_COUNT; i++)
        buf_addf(h->out, "<li><span class=\"key c%d\">%d</span> %s</li>\n", i, i + 1,
                 phase_name((enum phase)i));
    buf_adds(h->out, "</ul>\n");
}

void html_plot_runs(struct html *h, const json_t *report)
{
    static const char title[] = "Where the time went in each run, against its objective";
    const json_t *runs = json_object_get(report, "runs");
    const json_t *drawn[RUNS_MAX]; /* newest first, then turned round by the loop below */
    size_t count = 0, all = 0;
    struct plot p = { .out = h->out, .left = 640, .right = 2720, .top = 40, .x_hi = 1000 };
    DR_CLEANUP(buf_fini) struct buf desc = { 0 };
    for (size_t i = json_array_size(runs); i-- > 0;) {
        const json_t *run = json_array_get(runs, i);
        int64_t whole = 0, objective = 0;
        if (!phases_of(run, &whole) || all++ >= RUNS_MAX)
            continue;
        drawn[count++] = run;
        p.x_hi = whole > p.x_hi ? whole : p.x_hi;
        p.x_hi = plot_int(run, "rto_ms", &objective) && objective > p.x_hi ? objective : p.x_hi;
        buf_addf(&desc, "%s%s together ", count > 1 ? "; " : "", report_word(run, "id"));
        html_tell_ms(&desc, whole, true);
    }
    if (count == 0) {
        html_figure_none(h, title, "Not measured: no run of this period has phases on record.");
        return;
    }
    p.bottom = p.top + 160 * (int)count;
    html_figure(h, title);
    svg_begin(h->out, &(struct svg_about){ "wide", PLOT_WIDTH, p.bottom + 180, title, desc.data });
    for (size_t i = 0; i < count; i++)
        run_bar(&p, drawn[count - 1 - i], p.top + 25 + 160 * (int)i);
    struct ticks ticks;
    ticks_durations(0, p.x_hi, 6, &ticks);
    plot_x_axis(&p, &ticks);
    svg_end(h->out);
    phases_key(h);
    buf_adds(h->out, "<p>The dashed mark of a run is its objective.</p>\n");
    say_cut(h, all);
    html_figure_end(h);
}

/* ---- drill power by month ----------------------------------------------------------------------- */

/* "2026-11: 4 of 5; ..." of the months that fell short, or that planted nothing. */
static void describe_power(struct buf *desc, const json_t *months, size_t from)
{
    size_t full = 0, told = 0;
    for (size_t i = from; i < json_array_size(months); i++) {
        const json_t *m = json_array_get(months, i);
        int64_t planted = body_int(m, "planted", 0), caught = body_int(m, "caught", 0);
        if (planted > 0 && caught >= planted) {
            full++;
            continue;
        }
        buf_addf(desc, "%s%s ", told++ > 0 ? "; " : "", report_word(m, "month"));
        if (planted > 0)
            buf_addf(desc, "%" PRId64 " of %" PRId64 " caught", caught, planted);
        else
            buf_adds(desc, "nothing planted");
    }
    buf_addf(desc, "%s%zu month%s with every planted fault caught", told > 0 ? "; " : "", full,
             full == 1 ? "" : "s");
}

/* A label stands where its slot has room for it; what fell short is told in the caption, too. */
static void power_bar(const struct plot *p, const json_t *month, int x, int slot)
{
    enum { PLANTED_MAX = 1000000 };
    int64_t planted = body_int(month, "planted", 0), caught = body_int(month, "caught", 0);
    int width = slot * 7 / 10 > 400 ? 400 : slot * 7 / 10;
    char label[48] = "none";
    bool any = planted > 0 && planted <= PLANTED_MAX;
    caught = caught < 0 ? 0 : caught > planted ? planted : caught;
    if (any) {
        int y = plot_y(p, caught * 100 / planted);
        svg_rect(p->out, "pc", x - width / 2, y, width, p->bottom - y);
        if (caught < planted)
            svg_rect(p->out, "pm", x - width / 2, p->top, width, y - p->top);
        snprintf(label, sizeof(label), "%" PRId64 " of %" PRId64, caught, planted);
    }
    if (((int)strlen(label) + 1) * PLOT_LETTER <= slot)
        svg_text(p->out, any ? "m" : "m soft", x, any ? p->top - 40 : p->bottom - 40, label);
}

void html_plot_power(struct html *h, const json_t *report)
{
    static const char title[] = "Drill power: planted faults that were caught, by month";
    static const char *const shares[] = { "0 %", "50 %", "100 %" };
    const json_t *months = json_object_get(json_object_get(report, "drills"), "power");
    size_t from = first_drawn(json_array_size(months));
    size_t count = json_array_size(months) - from;
    if (count == 0) {
        html_figure_none(h, title, "Not measured: no fault was planted in any drill on record.");
        return;
    }
    struct plot p = { .out = h->out, .left = 480, .right = 3300, .top = 220, .bottom = 1050 };
    p.y_hi = 100;
    DR_CLEANUP(buf_fini) struct buf desc = { 0 };
    describe_power(&desc, months, from);
    html_figure(h, title);
    svg_begin(h->out, &(struct svg_about){ "wide", PLOT_WIDTH, 1230, title, desc.data });
    for (int i = 0; i < 3; i++) {
        int y = plot_y(&p, 50 * (int64_t)i);
        svg_line(p.out, i == 2 ? "ax" : "gr", p.left, y, p.right, y);
        svg_text(p.out, "e", p.left - 40, y + 35, shares[i]);
    }
    int slot = (p.right - p.left) / (int)count;
    size_t every = plot_every(count, longest(months, "month"), p.right - p.left);
    for (size_t i = 0; i < count; i++) {
        const json_t *month = json_array_get(months, from + i);
        int x = p.left + slot * (int)i + slot / 2;
        power_bar(&p, month, x, slot);
        if ((count - 1 - i) % every == 0)
            svg_name(p.out, "m", x, p.bottom + 150, report_word(month, "month"));
    }
    svg_line(p.out, "ax", p.left, p.bottom, p.right, p.bottom);
    svg_end(h->out);
    buf_adds(h->out, "<p>");
    html_add_text(h->out, desc.data);
    buf_adds(h->out, ".</p>\n");
    say_cut(h, json_array_size(months));
    html_figure_end(h);
}
