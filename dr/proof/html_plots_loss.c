/*
 * html_plots_loss.c - what would have been lost if the region of a bucket had died, over the period: a line a bucket.
 *
 * A line may have a point a minute for a year. Of all points within one column of the picture the
 * highest and the lowest stay, with the first and the last, so that no tooth is lost and the page stays
 * small.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"
#include "dr/proof/svg.h"

enum { LOOKS = 6, COLUMN = 10 };

/* Between begin and flush: points of one column. */
struct pen {
    struct buf path;
    bool any; /* a point waits */
    bool down;
    int column, first, low, high, last; /* y; low is the smaller number */
    int end_x, end_y;                   /* of the line so far */
};

static void pen_to(struct pen *pen, int x, int y)
{
    buf_addc(&pen->path, pen->down ? 'L' : 'M');
    svg_add_length(&pen->path, x);
    buf_addc(&pen->path, ' ');
    svg_add_length(&pen->path, y);
    pen->down = true;
    pen->end_x = x;
    pen->end_y = y;
}

static void pen_flush(struct pen *pen)
{
    if (!pen->any)
        return;
    int x = pen->column * COLUMN;
    pen_to(pen, x, pen->first);
    if (pen->low != pen->first)
        pen_to(pen, x, pen->low);
    if (pen->high != pen->low && pen->high != pen->last)
        pen_to(pen, x, pen->high);
    if (pen->last != pen->end_y)
        pen_to(pen, x, pen->last);
    pen->any = false;
}

static void pen_point(struct pen *pen, int x, int y)
{
    if (pen->any && pen->column != x / COLUMN)
        pen_flush(pen);
    if (!pen->any) {
        pen->any = true;
        pen->column = x / COLUMN;
        pen->first = pen->low = pen->high = y;
    }
    pen->low = y < pen->low ? y : pen->low;
    pen->high = y > pen->high ? y : pen->high;
    pen->last = y;
}

static void pen_up(struct pen *pen)
{
    pen_flush(pen);
    pen->down = false;
}

/* A point within the period; false: none, or unknown. */
static bool point_of(const struct plot *p, const json_t *one, int64_t *ret_at, int64_t *ret_loss)
{
    return plot_time(one, "at", ret_at) && *ret_at >= p->x_lo && *ret_at <= p->x_hi &&
           plot_int(one, "loss_ms", ret_loss) && *ret_loss >= 0;
}

static bool worst_of(const struct plot *p, const json_t *series, int64_t *ret)
{
    size_t i;
    const json_t *one;
    bool any = false;
    json_array_foreach(series, i, one)
    {
        int64_t at = 0, loss = 0;
        if (!point_of(p, one, &at, &loss))
            continue;
        *ret = !any || loss > *ret ? loss : *ret;
        any = true;
    }
    return any;
}

static void add_series(const struct plot *p, const json_t *series, size_t look)
{
    struct pen pen = { 0 };
    size_t i;
    const json_t *one;
    json_array_foreach(series, i, one)
    {
        int64_t at = 0, loss = 0;
        if (point_of(p, one, &at, &loss))
            pen_point(&pen, plot_x(p, at), plot_y(p, loss));
        else
            pen_up(&pen);
    }
    pen_up(&pen);
    if (pen.path.len > 0) {
        char class[16];
        snprintf(class, sizeof(class), "s s%zu", look % LOOKS);
        buf_addf(p->out, "<path class=\"%s\" d=\"%s\"/>\n", class, pen.path.data);
        svg_rect(p->out, class, pen.end_x - 20, pen.end_y - 20, 40, 40); /* a line of one point */
    }
    buf_fini(&pen.path);
}

/* The tightest objective: of the buckets, else of the plans; false: there is none. */
static bool objective_of(const json_t *report, int64_t *ret)
{
    static const char *const lists[] = { "buckets", "plans" };
    bool any = false;
    for (size_t k = 0; k < DR_ARRAY_LEN(lists) && !any; k++) {
        size_t i;
        const json_t *one;
        json_array_foreach(json_object_get(report, lists[k]), i, one)
        {
            int64_t ms = 0;
            if (!plot_int(one, "rpo_ms", &ms) || ms <= 0)
                continue;
            *ret = !any || ms < *ret ? ms : *ret;
            any = true;
        }
    }
    return any;
}

/* Also the words of the picture, as they go into desc. */
static void legend(struct html *h, const struct plot *p, const json_t *buckets, struct buf *desc)
{
    size_t i;
    const json_t *one;
    buf_adds(h->out, "<ul class=\"legend\">\n");
    json_array_foreach(buckets, i, one)
    {
        int64_t worst = 0;
        bool any = worst_of(p, json_object_get(one, "series"), &worst);
        buf_addf(
            h->out,
            "<li><svg viewBox=\"0 0 35 10\" aria-hidden=\"true\"><line class=\"s s%zu\" x1=\"0\" "
            "y1=\"5\" x2=\"35\" y2=\"5\"/></svg> ",
            i % LOOKS);
        html_add_word(h, one, "name");
        buf_adds(h->out, " (");
        html_add_word_or(h, one, "region", "region not on record");
        buf_adds(h->out, any ? "), at most " : "), not measured");
        buf_addf(desc, "%sbucket %s: ", i > 0 ? "; " : "", report_word(one, "name"));
        if (any) {
            html_tell_ms(h->out, worst, true);
            buf_adds(desc, "at most ");
            html_tell_ms(desc, worst, true);
        } else {
            buf_adds(desc, "not measured");
        }
        buf_adds(h->out, "</li>\n");
    }
    buf_adds(h->out, "</ul>\n");
}

void html_plot_loss(struct html *h, const json_t *report)
{
    static const char title[] = "Data loss if the region of a bucket had died";
    const json_t *buckets = json_object_get(report, "buckets");
    const json_t *period = json_object_get(report, "period");
    struct plot p = { .out = h->out, .left = 440, .right = 3300, .top = 240, .bottom = 1350 };
    size_t i;
    const json_t *one;
    int64_t most = 0, worst = 0, objective = 0;
    bool any = false;
    bool dated =
        plot_time(period, "from", &p.x_lo) && plot_time(period, "to", &p.x_hi) && p.x_lo <= p.x_hi;
    json_array_foreach(buckets, i, one)
    {
        if (!dated || !worst_of(&p, json_object_get(one, "series"), &worst))
            continue;
        most = worst > most ? worst : most;
        any = true;
    }
    if (!any) {
        html_figure_none(h, title,
                         "Not measured: no bucket has a snapshot on record in this period.");
        return;
    }
    bool wanted = objective_of(report, &objective);
    most = wanted && objective > most ? objective : most;
    p.y_hi = most > 0 ? most : 1000;

    /* The legend is written below the picture, but its words stand inside it, too. */
    DR_CLEANUP(buf_fini) struct buf below = { 0 };
    DR_CLEANUP(buf_fini) struct buf desc = { 0 };
    struct html side = { .out = &below };
    legend(&side, &p, buckets, &desc);
    html_figure(h, title);
    svg_begin(h->out, &(struct svg_about){ "wide", PLOT_WIDTH, 1530, title, desc.data });
    plot_y_axis(&p);
    struct ticks ticks;
    ticks_dates(p.x_lo, p.x_hi, 6, &ticks);
    plot_x_axis(&p, &ticks);
    json_array_foreach(buckets, i, one) add_series(&p, json_object_get(one, "series"), i);
    if (wanted)
        plot_objective(&p, objective);
    svg_end(h->out);
    buf_add(h->out, below.data, below.len);
    buf_addf(h->out, "<p>A line falls when a newer snapshot is in the bucket.%s</p>\n",
             wanted ? " The objective is the tightest one." : " There is no objective.");
    html_figure_end(h);
}
