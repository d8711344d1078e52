/*
 * wait.c - wait: let a stated time pass, once.
 *
 * Waiting is by boot time and to the step's deadline at most; a wait that does not fit is refused
 * at once rather than cut short in silence.
 */
#include <errno.h>
#include <time.h>

#include "dr/base/clock.h"
#include "dr/data/duration.h"
#include "plugins/providers.h"

static enum step_verdict wait_apply(struct step_call *call)
{
    char text[DURATION_TEXT_MAX];
    int64_t total_ms = step_int(call, "for", 0), start_ms = clock_boot_ms();
    duration_print(total_ms, text);
    if (start_ms + total_ms > step_deadline_ms(call))
        return step_says(call, STEP_FAIL, "cannot wait %s: the step's timeout is shorter", text);
    for (;;) {
        int64_t passed_ms = clock_boot_ms() - start_ms, left_ms = total_ms - passed_ms;
        step_progress(call, passed_ms < total_ms ? passed_ms : total_ms, total_ms, "ms");
        if (left_ms <= 0)
            return step_says(call, STEP_PASS, "waited %s", text);
        int64_t slice_ms = left_ms < 200 ? left_ms : 200;
        struct timespec slice = { .tv_nsec = slice_ms * 1000000 };
        (void)clock_nanosleep(CLOCK_BOOTTIME, 0, &slice, NULL); /* woken early: asked again */
    }
}

const struct provider provider_wait = { .type = "wait", .apply = wait_apply };
