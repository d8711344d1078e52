/*
 * svg_ticks.c - round places on an axis: the smallest step of a table that needs no more ticks than there is room for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/data/time.h"
#include "dr/proof/svg.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

static const int64_t duration_steps[] = {
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND_MS,
    2 * SECOND_MS,
    5 * SECOND_MS,
    10 * SECOND_MS,
    20 * SECOND_MS,
    30 * SECOND_MS,
    MINUTE_MS,
    2 * MINUTE_MS,
    5 * MINUTE_MS,
    10 * MINUTE_MS,
    20 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    2 * HOUR_MS,
    4 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    5 * DAY_MS,
    10 * DAY_MS,
    30 * DAY_MS,
    90 * DAY_MS,
    365 * DAY_MS,
    3650 * DAY_MS,
    36500 * DAY_MS,
};

static const int64_t date_steps[] = {
    MINUTE_MS, 2 * MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS,
    HOUR_MS,   2 * HOUR_MS,   4 * HOUR_MS,   6 * HOUR_MS,    12 * HOUR_MS,
    DAY_MS,    2 * DAY_MS,    5 * DAY_MS,    7 * DAY_MS,     10 * DAY_MS,
};

static const int month_steps[] = { 1, 2, 3, 6, 12, 24, 60, 120, 600, 1200, 2400 };

/* The first multiple of step at or after lo; the step is the smallest with at most `most` in [lo, hi]. */
static int64_t first_of(int64_t lo, int64_t step)
{
    int64_t first = lo / step * step;
    return first < lo ? first + step : first;
}

static int64_t pick_step(const int64_t *steps, size_t count, int64_t span, size_t most)
{
    for (size_t i = 0; i < count; i++)
        if (span / steps[i] + 1 <= (int64_t)most)
            return steps[i];
    return 0;
}

static void add(struct ticks *ret, int64_t at, const char *label)
{
    if (ret->count == TICKS_MAX)
        return;
    ret->items[ret->count].at = at;
    snprintf(ret->items[ret->count].label, TICK_TEXT_MAX, "%s", label);
    ret->count++;
}

void ticks_durations(int64_t lo_ms, int64_t hi_ms, size_t most, struct ticks *ret)
{
    DR_ASSERT(most >= 2 && most <= TICKS_MAX && lo_ms <= hi_ms);
    ret->count = 0;
    int64_t step = pick_step(duration_steps, DR_ARRAY_LEN(duration_steps), hi_ms - lo_ms, most);
    if (step == 0)
        return;
    for (int64_t at = first_of(lo_ms, step); at <= hi_ms; at += step) {
        char text[DURATION_TEXT_MAX], signed_text[DURATION_TEXT_MAX + 1];
        duration_print(at < 0 ? -at : at, text);
        snprintf(signed_text, sizeof(signed_text), "%s%s", at < 0 ? "-" : "", text);
        add(ret, at, at == 0 ? "0" : signed_text);
    }
}

struct date {
    int year, month, day; /* month: 1 to 12 */
    char clock[6];        /* "03:00" */
};

static struct date date_of(int64_t ms)
{
    char text[TIME_TEXT_MAX];
    struct date d = { 0 };
    time_print_s(ms * 1000000, text); /* "2026-11-21T03:11:40Z" */
    d.year = (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + text[3] - '0';
    d.month = (text[5] - '0') * 10 + text[6] - '0';
    d.day = (text[8] - '0') * 10 + text[9] - '0';
    memcpy(d.clock, text + 11, 5);
    return d;
}

static const char *month_name(int month)
{
    static const char *const names[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    DR_ASSERT(month >= 1 && month <= 12);
    return names[month - 1];
}

static void ticks_months(int64_t lo_ms, int64_t hi_ms, size_t most, struct ticks *ret)
{
    size_t i = 0;
    while (i + 1 < DR_ARRAY_LEN(month_steps) &&
           (hi_ms - lo_ms) / (month_steps[i] * (28 * DAY_MS)) + 1 > (int64_t)most)
        i++;
    int step = month_steps[i];
    int64_t at = first_of(lo_ms, DAY_MS);
    while (at <= hi_ms) {
        char label[TICK_TEXT_MAX];
        struct date d = date_of(at);
        if (d.day != 1) { /* no month is shorter than what is left of the shortest */
            at += d.day < 28 ? (int64_t)(28 - d.day) * DAY_MS : DAY_MS;
            continue;
        }
        if (step >= 12)
            snprintf(label, sizeof(label), "%d", d.year);
        else
            snprintf(label, sizeof(label), "%s %d", month_name(d.month), d.year);
        if ((d.year * 12 + d.month - 1) % step == 0)
            add(ret, at, label);
        at += DAY_MS;
    }
}

void ticks_dates(int64_t lo_ms, int64_t hi_ms, size_t most, struct ticks *ret)
{
    DR_ASSERT(most >= 2 && most <= TICKS_MAX && lo_ms >= 0 && lo_ms <= hi_ms);
    ret->count = 0;
    int64_t step = pick_step(date_steps, DR_ARRAY_LEN(date_steps), hi_ms - lo_ms, most);
    if (step == 0) {
        ticks_months(lo_ms, hi_ms, most, ret);
        return;
    }
    /* Days are counted from the first of the axis: a month has 1, 8, 15 ... and not whatever the epoch gives. */
    int64_t at = first_of(lo_ms, step < DAY_MS ? step : DAY_MS);
    for (; at <= hi_ms; at += step) {
        char label[TICK_TEXT_MAX];
        struct date d = date_of(at);
        if (step < DAY_MS && strcmp(d.clock, "00:00") != 0)
            snprintf(label, sizeof(label), "%s", d.clock);
        else
            snprintf(label, sizeof(label), "%s %d", month_name(d.month), d.day);
        add(ret, at, label);
    }
}
