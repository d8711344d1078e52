/*
 * clock.h - the only clock of the house, replaceable by a fake one.
 *
 * Wall time is for people and for records; it may jump. Durations and deadlines use
 * boot time, which never goes back and goes on during suspend (CLOCK_BOOTTIME).
 */
#ifndef DR_BASE_CLOCK_H
#define DR_BASE_CLOCK_H

#include <time.h>

#include "dr/base/base.h"

struct clock_ops {
    int64_t (*wall_ns)(void); /* nanoseconds since 1970-01-01T00:00:00Z */
    int64_t (*boot_ns)(void); /* nanoseconds since boot */
};

extern struct clock_ops dr_clock;

static inline int64_t clock_wall_ns(void)
{
    return dr_clock.wall_ns();
}

static inline int64_t clock_boot_ns(void)
{
    return dr_clock.boot_ns();
}

static inline int64_t clock_boot_ms(void)
{
    return dr_clock.boot_ns() / 1000000;
}

/* ms from now by CLOCK_MONOTONIC, for pthread_cond_timedwait() on a condition of that clock. The real
 * one: a fake clock wakes nobody. */
struct timespec clock_real_deadline(int64_t ms);

#endif
