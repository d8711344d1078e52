/*
 * html_plots_run.c - pictures of one run: where the time went, against the objective; and what the probes saw
 * round the impact.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"
#include "dr/proof/svg.h"

size_t html_phase(const char *name)
{
    size_t p = 0;
    while (p < PHASE_PUT_BACK && strcmp(phase_name((enum phase)p), name) != 0)
        p++;
    return p;
}

/* ---- phases ------------------------------------------------------------------------------------ */

enum {
    FRAME_WIDTH = 20,  /* a thinner segment would vanish behind its frame */
    NUMBER_WIDTH = 90, /* a segment that has room for its number */
};

/* One bar: a segment a phase, numbered; returns where it ends. */
int html_bar(const struct plot *p, const json_t *list, int y, int height)
{
    size_t i;
    const json_t *one;
    int64_t sum = 0;
    int x = plot_x(p, 0);
    json_array_foreach(list, i, one)
    {
        int64_t ms = 0;
        if (!plot_int(one, "ms", &ms) || ms <= 0 || sum > PLOT_LIMIT_MS - ms)
            continue;
        sum += ms;
        size_t phase = html_phase(report_word(one, "phase"));
        int end = plot_x(p, sum);
        char class[16], number[16];
        snprintf(class, sizeof(class), "%sc%zu", end - x >= FRAME_WIDTH ? "f " : "", phase);
        snprintf(number, sizeof(number), "%zu", phase + 1);
        svg_rect(p->out, class, x, y, end - x, height);
        if (end - x >= NUMBER_WIDTH && height >= 100)
            svg_text(p->out, "m on", x + (end - x) / 2, y + height / 2 + 38, number);
        x = end;
    }
    return x;
}

static void phases_legend(struct html *h, const json_t *list)
{
    size_t i;
    const json_t *one;
    buf_adds(h->out, "<ul class=\"legend\">\n");
    json_array_foreach(list, i, one)
    {
        size_t phase = html_phase(report_word(one, "phase"));
        buf_addf(h->out, "<li><span class=\"key c%zu\">%zu</span> ", phase, phase + 1);
        html_add_word(h, one, "phase");
        buf_addc(h->out, ' ');
        html_add_ms(h, one, "ms");
        buf_adds(h->out, "</li>\n");
    }
    buf_adds(h->out, "</ul>\n");
}

/* The interval of the recovery time below the bar: from lo to hi, or open towards the right. */
static void add_interval(const struct plot *p, const json_t *figure, int y)
{
    int64_t lo = 0, hi = 0;
    bool has_lo = plot_int(figure, "lo_ms", &lo), has_hi = plot_int(figure, "hi_ms", &hi);
    if (!has_lo && !has_hi)
        return;
    int from = plot_x(p, has_lo ? lo : 0), to = has_hi ? plot_x(p, hi) : p->right;
    svg_line(p->out, has_hi ? "ax" : "wl", from, y, to, y);
    svg_line(p->out, "ax", from, y - 30, from, y + 30);
    if (has_hi)
        svg_line(p->out, "ax", to, y - 30, to, y + 30);
    else
        svg_text(p->out, "e", to, y - 35, "or more");
}

static void describe_phases(struct buf *desc, const json_t *phases, const json_t *figure)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(phases, "list"), i, one)
    {
        buf_addf(desc, "%s%s ", i > 0 ? ", " : "", report_word(one, "phase"));
        html_tell_ms(desc, body_int(one, "ms", 0), false);
    }
    buf_adds(desc, "; together ");
    html_tell_ms(desc, body_int(phases, "whole_ms", 0), true);
    buf_adds(desc, "; objective ");
    html_add_objective(desc, figure, "objective_ms");
}

void html_plot_phases(struct html *h, const json_t *report)
{
    static const char title[] = "Where the time went, against the objective";
    const json_t *phases = json_object_get(report, "phases");
    const json_t *figure = json_object_get(report, "recovery_time");
    const json_t *list = json_object_get(phases, "list");
    int64_t whole = 0, objective = 0, hi = 0;
    if (!plot_int(phases, "whole_ms", &whole) || whole <= 0 || json_array_size(list) == 0) {
        html_figure_none(h, title, "Not measured: no phases are on record.");
        return;
    }
    bool wanted = plot_int(figure, "objective_ms", &objective) && objective > 0;
    hi = plot_int(figure, "hi_ms", &hi) && hi > whole ? hi : whole;
    hi = objective > hi ? objective : hi;
    struct plot p = { .out = h->out, .left = 60, .right = 3300, .top = 180, .bottom = 700 };
    p.x_hi = hi + hi / 20 + 1;
    DR_CLEANUP(buf_fini) struct buf desc = { 0 };
    describe_phases(&desc, phases, figure);
    html_figure(h, title);
    svg_begin(h->out, &(struct svg_about){ "wide", PLOT_WIDTH, 880, title, desc.data });
    html_bar(&p, list, 230, 260);
    add_interval(&p, figure, 590);
    struct ticks ticks;
    ticks_durations(0, p.x_hi, 7, &ticks);
    plot_x_axis(&p, &ticks);
    if (wanted) {
        int x = plot_x(&p, objective);
        char text[DURATION_TEXT_MAX];
        DR_CLEANUP(buf_fini) struct buf label = { 0 };
        buf_addf(&label, "objective %s", duration_print(objective, text));
        svg_line(p.out, "ob", x, p.top, x, p.bottom);
        svg_text(p.out, "e obt", x < 1000 ? 1000 : x + 30, 140, label.data);
    }
    svg_end(h->out);
    phases_legend(h, list);
    buf_adds(h->out, json_is_true(json_object_get(phases, "ends_recovered"))
                         ? "<p>From the earliest that it broke to the latest that it was back: "
                         : "<p>To the end of the journal, since it is not known to be back: ");
    html_tell_ms(h->out, whole, true);
    buf_adds(h->out, ". The thin line is the interval of the recovery time.</p>\n");
    html_figure_end(h);
}

/* ---- samples ----------------------------------------------------------------------------------- */

enum { LANES = 3, LANE_HEIGHT = 200, LANE_STEP = 260, COLUMN = 8 };

static const char *const lane_names[LANES] = { "good", "bad", "unknown" };

struct samples {
    int64_t count[LANES];
    int64_t first, last;         /* of all */
    int64_t bad_first, bad_last; /* when count[1] > 0 */
};

static int lane_of(const json_t *sample)
{
    const json_t *ok = json_object_get(sample, "ok");
    return json_is_true(ok) ? 0 : json_is_false(ok) ? 1 : 2;
}

static bool count_samples(const json_t *list, struct samples *s)
{
    size_t i;
    const json_t *one;
    bool any = false;
    *s = (struct samples){ 0 };
    json_array_foreach(list, i, one)
    {
        int64_t at = 0;
        if (!plot_int(one, "at_ms", &at))
            continue;
        int lane = lane_of(one);
        s->first = !any || at < s->first ? at : s->first;
        s->last = !any || at > s->last ? at : s->last;
        if (lane == 1) {
            s->bad_first = s->count[1] == 0 || at < s->bad_first ? at : s->bad_first;
            s->bad_last = s->count[1] == 0 || at > s->bad_last ? at : s->bad_last;
        }
        s->count[lane]++;
        any = true;
    }
    return any;
}

/* A tick for each answer; several in one column of the picture are one. */
static void add_lanes(const struct plot *p, const json_t *list)
{
    static const char *const classes[LANES] = { "kg", "kb", "ku" };
    bool drawn[LANES][PLOT_WIDTH / COLUMN + 1] = { { false } };
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        int64_t at = 0;
        if (!plot_int(one, "at_ms", &at))
            continue;
        int lane = lane_of(one), column = plot_x(p, at) / COLUMN;
        int y = p->top + lane * LANE_STEP;
        if (!drawn[lane][column])
            svg_line(p->out, classes[lane], column * COLUMN, y, column * COLUMN, y + LANE_HEIGHT);
        drawn[lane][column] = true;
    }
    for (int lane = 0; lane < LANES; lane++)
        svg_text(p->out, "e", p->left - 60, p->top + lane * LANE_STEP + 135, lane_names[lane]);
}

static void tell_samples(struct buf *out, const struct samples *s)
{
    buf_addf(out, "%" PRId64 " good, %" PRId64 " bad, %" PRId64 " unknown answers", s->count[0],
             s->count[1], s->count[2]);
    if (s->count[1] > 0) {
        buf_adds(out, "; bad ones from ");
        html_tell_ms(out, s->bad_first, false);
        buf_adds(out, " to ");
        html_tell_ms(out, s->bad_last, false);
        buf_adds(out, " after the impact");
    } else {
        buf_adds(out, "; no bad one");
    }
}

void html_plot_samples(struct html *h, const json_t *report)
{
    static const char title[] = "Errors that the probes saw, round the impact";
    const json_t *list = json_object_get(report, "samples");
    struct samples s;
    if (!count_samples(list, &s)) {
        html_figure_none(h, title, "Not measured: no probe watched the service round the impact.");
        return;
    }
    struct plot p = { .out = h->out, .left = 560, .right = 3300, .top = 200, .bottom = 1000 };
    p.x_lo = s.first < 0 ? s.first : 0;
    p.x_hi = s.last > 0 ? s.last : 0;
    DR_CLEANUP(buf_fini) struct buf words = { 0 };
    tell_samples(&words, &s);
    html_figure(h, title);
    svg_begin(h->out, &(struct svg_about){ "wide", PLOT_WIDTH, 1180, title, words.data });
    if (s.count[1] > 0) {
        int from = plot_x(&p, s.bad_first), to = plot_x(&p, s.bad_last);
        svg_rect(p.out, "win", from - 10, p.top - 20, to - from + 20, p.bottom - p.top + 20);
    }
    add_lanes(&p, list);
    int x = plot_x(&p, 0);
    svg_line(p.out, "ob", x, p.top - 40, x, p.bottom);
    svg_text(p.out, "m obt", x < 800 ? 800 : x > 3100 ? 3100 : x, p.top - 70, "impact");
    struct ticks ticks;
    ticks_durations(p.x_lo, p.x_hi, 6, &ticks);
    plot_x_axis(&p, &ticks);
    svg_end(h->out);
    buf_addf(h->out, "<p>%s.%s</p>\n", words.data,
             s.count[1] > 0 ? " The shaded part is the window of errors." : "");
    html_figure_end(h);
}
