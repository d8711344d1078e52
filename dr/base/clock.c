/*
 * clock.c - the two real clocks, behind a table that tests replace.
 *
 * Neither can fail on Linux, so a failure is an assertion and no caller has an error to carry.
 */
#include "dr/base/clock.h"

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    DR_ASSERT(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t real_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

static int64_t real_boot_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

struct timespec clock_real_deadline(int64_t ms)
{
    struct timespec end;
    DR_ASSERT(clock_gettime(CLOCK_MONOTONIC, &end) == 0);
    end.tv_sec += ms / 1000;
    end.tv_nsec += ms % 1000 * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    return end;
}

struct clock_ops dr_clock = { .wall_ns = real_wall_ns, .boot_ns = real_boot_ns };
