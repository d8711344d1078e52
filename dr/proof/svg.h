/*
 * svg.h - pictures as inline SVG: marks, one scale an axis, and ticks that people can read.
 *
 * All lengths are tenths of a unit, as integers, and a picture is PLOT_WIDTH wide; the page scales it.
 * Nothing here computes with fractions: a locale or a processor cannot change a byte, and a picture
 * never holds a NaN. Values are milliseconds (durations, or since 1970) within PLOT_LIMIT_MS;
 * the reader (plot_int) refuses all others, so that no scale overflows.
 *
 * Classes name looks, which the page's style has (html_style.c). A class "m" on a text is centred on its
 * place, "e" ends there.
 *
 *     struct plot p = { .out = out, .left = 400, .right = 3300, .top = 100, .bottom = 900, ... };
 *     svg_begin(out, &about);
 *     svg_line(out, "ob", p.left, plot_y(&p, objective), p.right, plot_y(&p, objective));
 *     svg_end(out);
 */
#ifndef DR_PROOF_SVG_H
#define DR_PROOF_SVG_H

#include "dr/data/duration.h"
#include "dr/data/json.h"

enum {
    PLOT_WIDTH = 3400,
    PLOT_LETTER = 67, /* the width of a letter of a label: a digit's, in the widest common font */
};

#define PLOT_LIMIT_MS (INT64_C(200) * 366 * 86400 * 1000)

/* -- marks -------------------------------------------------------------------------------------- */

struct svg_about {
    const char *class; /* of the picture */
    int width, height;
    const char *title; /* escaped here, as the next */
    const char *desc;  /* says in words what the picture shows */
};

void svg_begin(struct buf *out, const struct svg_about *about);
void svg_end(struct buf *out);

/* Between svg_begin() and svg_end(); what is drawn later covers what was drawn before. */
void svg_line(struct buf *out, const char *class, int x1, int y1, int x2, int y2);
void svg_rect(struct buf *out, const char *class, int x, int y, int width, int height);

/* text is escaped here. */
void svg_text(struct buf *out, const char *class, int x, int y, const char *text);

/* The same, cut to so many letters at most: a name from outside has no limit. */
void svg_name(struct buf *out, const char *class, int x, int y, const char *text);
enum { SVG_NAME_LETTERS = 9 };

/* "12.3": a length for an attribute. */
void svg_add_length(struct buf *out, int tenths);

/* -- scales ------------------------------------------------------------------------------------- */

/*
 * Zeroed members are fine for an axis that is not used. Both ends of an axis must lie within twice PLOT_LIMIT_MS; what
 * plot_int() and plot_time() give does.
 */
struct plot {
    struct buf *out;
    int left, right, top, bottom; /* where the data lie; top is the smaller number */
    int64_t x_lo, x_hi, y_lo, y_hi;
};

/* Where a value lies; values outside are moved to the edge. An empty range is the middle. */
int plot_x(const struct plot *p, int64_t value);
int plot_y(const struct plot *p, int64_t value);

/* A member as a value; false: absent, null, no integer, or out of all reason. */
bool plot_int(const json_t *object, const char *key, int64_t *ret);

/* A member that is a time, in milliseconds since 1970. */
bool plot_time(const json_t *object, const char *key, int64_t *ret_ms);

/* -- ticks -------------------------------------------------------------------------------------- */

enum { TICKS_MAX = 12, TICK_TEXT_MAX = DURATION_TEXT_MAX + 4 };

/* Places on an axis, rising, each with its label. None when the axis is too long for any step of the table. */
struct ticks {
    size_t count;
    struct {
        int64_t at;
        char label[TICK_TEXT_MAX];
    } items[TICKS_MAX];
};

/* Round durations in [lo, hi], at most `most` (<= TICKS_MAX) of them: "0" "5m" "10m". */
void ticks_durations(int64_t lo_ms, int64_t hi_ms, size_t most, struct ticks *ret);

/* Round points in time: "03:00", "Nov 7", "Nov 2026", "2026"; UTC. */
void ticks_dates(int64_t lo_ms, int64_t hi_ms, size_t most, struct ticks *ret);

/* A frame with labels: durations upwards; below, whatever ticks there are. NULL: none. */
void plot_y_axis(const struct plot *p);
void plot_x_axis(const struct plot *p, const struct ticks *ticks);

/* The dashed line of an objective, with its name above it. */
void plot_objective(const struct plot *p, int64_t value);

/*
 * Of `count` labels of at most `letters` letters side by side in `width`, every how many can stand
 * without touching its neighbour: 1 or more.
 */
size_t plot_every(size_t count, size_t letters, int width);

#endif
