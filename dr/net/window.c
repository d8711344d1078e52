/*
 * window.c - additive increase, multiplicative decrease, over counts of requests.
 */
#include "dr/net/window.h"

void window_init(struct window *w, unsigned max)
{
    DR_ASSERT(max >= 1);
    *w = (struct window){ .size = max < WINDOW_START ? max : WINDOW_START, .max = max };
    w->halved_at = INT64_MIN;
}

void window_good(struct window *w, unsigned in_flight)
{
    DR_ASSERT(w->size >= 1 && w->size <= w->max);
    if (in_flight < w->size || w->size == w->max)
        return;
    if (++w->good < w->size)
        return;
    w->size++;
    w->good = 0;
}

void window_bad(struct window *w, int64_t began, int64_t now)
{
    DR_ASSERT(w->size >= 1 && w->size <= w->max && began <= now);
    w->good = 0;
    if (began < w->halved_at)
        return;
    w->size = w->size > 1 ? w->size / 2 : 1;
    w->halved_at = now;
}

bool window_is_overload(int status)
{
    return status == 429 || status == 503;
}
