/*
 * backup_pace.h - not faster than so many bytes a second, smoothly.
 *
 * Whoever sends asks before each slice: pace_take() returns when the slice may go. Slices are small
 * (a quarter of a second's bytes, between PACE_SLICE_MIN and PACE_SLICE_MAX), so a pack of 32 MiB is a
 * steady flow instead of a burst and a pause. Time that nobody used is not saved up: after an idle hour
 * the first slice goes at once, the second in its turn.
 *
 * The clock is that of clock.h; how to wait is the caller's, who may stop the waiting.
 */
#ifndef BACKUP_WORK_BACKUP_PACE_H
#define BACKUP_WORK_BACKUP_PACE_H

#include "dr/base/err.h"

enum { PACE_SLICE_MIN = 4 << 10, PACE_SLICE_MAX = 1 << 20 };

struct pace {
    uint64_t rate; /* bytes a second; 0: no limit */
    /* Wait about so long, or shorter. False: stop, nothing more is to be sent. */
    bool (*wait)(void *arg, int64_t ns);
    void *arg;
    int64_t next_ns; /* boot time from which on the next slice may go; 0 at first */
};

/* Bytes to send between two questions. */
size_t pace_slice(const struct pace *p);

/* DR_E_CANCELLED when wait() said so. One thread at a time. */
enum dr_rc pace_take(struct pace *p, size_t bytes, struct dr_err *err) DR_MUST_USE;

#endif
