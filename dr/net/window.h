/*
 * window.h - how many requests may be on their way at once: learnt, not configured. Pure.
 *
 * As TCP finds the width of a path (additive increase, multiplicative decrease; Jacobson 1988):
 * a window's worth of good answers while it was full makes it one wider; "slow down", "too many
 * requests" and timeouts halve it. What was sent before the last halving says nothing about the
 * narrower window, so a burst of refusals halves once a round trip and not once a request.
 */
#ifndef DR_NET_WINDOW_H
#define DR_NET_WINDOW_H

#include "dr/base/base.h"

enum { WINDOW_START = 4 };

struct window {
    unsigned size; /* now: 1..max */
    unsigned max;
    unsigned good;     /* answers since it last changed */
    int64_t halved_at; /* when: requests that began before do not count */
};

/* max >= 1. Starts at WINDOW_START, or max when that is less. */
void window_init(struct window *w, unsigned max);

/* An answer came that is no sign of overload. in_flight: how many were on their way, this one
 * included: only a window that was full is known to be too narrow. */
void window_good(struct window *w, unsigned in_flight);

/* A sign of overload, for a request that began at began; both times on one clock. */
void window_bad(struct window *w, int64_t began, int64_t now);

/* Is this outcome of a request a sign of overload: status 429 or 503? */
bool window_is_overload(int status);

#endif
