/*
 * Pacing: each slice moves the time of the next by what it costs at the rate.
 */
#include "backup/work/backup_pace.h"

#include "dr/base/clock.h"

#define NS 1000000000

size_t pace_slice(const struct pace *p)
{
    uint64_t slice = p->rate / 4;
    if (p->rate == 0 || slice > PACE_SLICE_MAX)
        return PACE_SLICE_MAX;
    return slice < PACE_SLICE_MIN ? PACE_SLICE_MIN : (size_t)slice;
}

enum dr_rc pace_take(struct pace *p, size_t bytes, struct dr_err *err)
{
    DR_ASSERT(bytes <= PACE_SLICE_MAX);
    if (p->rate == 0)
        return DR_OK;
    int64_t now = clock_boot_ns();
    int64_t due = p->next_ns;
    while (now < due) {
        if (!p->wait(p->arg, due - now))
            return dr_fail(err, DR_E_CANCELLED, "the upload was cancelled");
        now = clock_boot_ns();
    }
    /* Being woken a little late must not lower the rate; a slice's time of arrears is made good. */
    int64_t cost = (int64_t)((double)bytes * NS / (double)p->rate);
    p->next_ns = (now - due > cost ? now : due) + cost;
    return DR_OK;
}
