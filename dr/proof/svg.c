/*
 * svg.c - marks and scales.
 */
#include "dr/proof/svg.h"

#include <string.h>

#include "dr/data/time.h"
#include "dr/proof/html_text.h"

/* ---- marks ------------------------------------------------------------------------------------- */

void svg_add_length(struct buf *out, int tenths)
{
    if (tenths < 0) {
        buf_addc(out, '-');
        tenths = -tenths;
    }
    if (tenths % 10 == 0)
        buf_addf(out, "%d", tenths / 10);
    else
        buf_addf(out, "%d.%d", tenths / 10, tenths % 10);
}

static void attribute(struct buf *out, const char *name, int tenths)
{
    buf_addf(out, " %s=\"", name);
    svg_add_length(out, tenths);
    buf_addc(out, '"');
}

void svg_begin(struct buf *out, const struct svg_about *about)
{
    buf_addf(out, "<svg class=\"%s\" role=\"img\" viewBox=\"0 0 ", about->class);
    svg_add_length(out, about->width);
    buf_addc(out, ' ');
    svg_add_length(out, about->height);
    buf_adds(out, "\"><title>");
    html_add_text(out, about->title);
    buf_adds(out, "</title><desc>");
    html_add_text(out, about->desc);
    buf_adds(out, "</desc>\n");
}

void svg_end(struct buf *out)
{
    buf_adds(out, "</svg>\n");
}

void svg_line(struct buf *out, const char *class, int x1, int y1, int x2, int y2)
{
    buf_addf(out, "<line class=\"%s\"", class);
    attribute(out, "x1", x1);
    attribute(out, "y1", y1);
    attribute(out, "x2", x2);
    attribute(out, "y2", y2);
    buf_adds(out, "/>\n");
}

void svg_rect(struct buf *out, const char *class, int x, int y, int width, int height)
{
    buf_addf(out, "<rect class=\"%s\"", class);
    attribute(out, "x", x);
    attribute(out, "y", y);
    attribute(out, "width", width);
    attribute(out, "height", height);
    buf_adds(out, "/>\n");
}

void svg_text(struct buf *out, const char *class, int x, int y, const char *text)
{
    buf_addf(out, "<text class=\"%s\"", class);
    attribute(out, "x", x);
    attribute(out, "y", y);
    buf_addc(out, '>');
    html_add_text(out, text);
    buf_adds(out, "</text>\n");
}

/* The middle of a label of so many letters, moved inwards so that nothing of it is cut off. */
static int inside(int x, size_t letters)
{
    int half = (int)letters * PLOT_LETTER / 2;
    return x + half > PLOT_WIDTH ? PLOT_WIDTH - half : x < half ? half : x;
}

void svg_name(struct buf *out, const char *class, int x, int y, const char *text)
{
    DR_FREE char *name = html_short(text, SVG_NAME_LETTERS);
    svg_text(out, class, class[0] == 'm' ? inside(x, strlen(name)) : x, y, name);
}

/* ---- scales ------------------------------------------------------------------------------------ */

/* from + (value - lo) / (hi - lo) * (to - from); the product stays below 2^56 by PLOT_LIMIT_MS. */
static int place(int64_t value, int64_t lo, int64_t hi, int from, int to)
{
    DR_ASSERT(lo >= -PLOT_LIMIT_MS && hi <= 2 * PLOT_LIMIT_MS);
    if (hi <= lo)
        return from + (to - from) / 2;
    value = value < lo ? lo : value > hi ? hi : value;
    return from + (int)((value - lo) * (to - from) / (hi - lo));
}

int plot_x(const struct plot *p, int64_t value)
{
    return place(value, p->x_lo, p->x_hi, p->left, p->right);
}

int plot_y(const struct plot *p, int64_t value)
{
    return place(value, p->y_lo, p->y_hi, p->bottom, p->top);
}

bool plot_int(const json_t *object, const char *key, int64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) > PLOT_LIMIT_MS ||
        json_integer_value(value) < -PLOT_LIMIT_MS)
        return false;
    *ret = json_integer_value(value);
    return true;
}

bool plot_time(const json_t *object, const char *key, int64_t *ret_ms)
{
    int64_t ns = 0;
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL || !time_parse(text, &ns) || ns < 0)
        return false;
    *ret_ms = ns / 1000000;
    return *ret_ms <= PLOT_LIMIT_MS;
}

/* ---- frames ------------------------------------------------------------------------------------ */

void plot_y_axis(const struct plot *p)
{
    struct ticks ticks;
    ticks_durations(p->y_lo, p->y_hi, 5, &ticks);
    for (size_t i = 0; i < ticks.count; i++) {
        int y = plot_y(p, ticks.items[i].at);
        svg_line(p->out, "gr", p->left, y, p->right, y);
        svg_text(p->out, "e", p->left - 40, y + 35, ticks.items[i].label);
    }
    svg_line(p->out, "ax", p->left, p->top, p->left, p->bottom);
    svg_line(p->out, "ax", p->left, p->bottom, p->right, p->bottom);
}

void plot_x_axis(const struct plot *p, const struct ticks *ticks)
{
    svg_line(p->out, "ax", p->left, p->bottom, p->right, p->bottom);
    for (size_t i = 0; i < ticks->count; i++) {
        int x = plot_x(p, ticks->items[i].at);
        svg_line(p->out, "ax", x, p->bottom, x, p->bottom + 40);
        svg_text(p->out, "m", inside(x, strlen(ticks->items[i].label)), p->bottom + 150,
                 ticks->items[i].label);
    }
}

void plot_objective(const struct plot *p, int64_t value)
{
    char text[DURATION_TEXT_MAX];
    DR_CLEANUP(buf_fini) struct buf label = { 0 };
    int y = plot_y(p, value);
    buf_addf(&label, "objective %s", duration_print(value > 0 ? value : 0, text));
    svg_line(p->out, "ob", p->left, y, p->right, y);
    svg_text(p->out, "e obt", p->right, y - 30, label.data);
}

size_t plot_every(size_t count, size_t letters, int width)
{
    DR_ASSERT(width > 0);
    size_t room = (letters + 1) * PLOT_LETTER * count;
    return room == 0 ? 1 : (room + (size_t)width - 1) / (size_t)width;
}
