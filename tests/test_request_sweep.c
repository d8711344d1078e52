/*
 * Every request of a backup, a prune and a repair fails once, loses its answer, or is carried out
 * twice; or a bucket dies at it. Afterwards each bucket alone restores all that it shows, and the
 * next run works. The buckets are directories here, and the requests are calls of a store; what S3
 * does with its requests is in test_s3_sweep.c, and death of the process in test_storm.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/support/sweeps.h"
#include "tests/support/sweepstore.h"

enum { RESTORE_EACH = 8 }; /* the others are verified: all bytes are read, and none written */

static int set_up(void **state)
{
    (void)state;
    sweeps_make(&(struct sweeps_place){ .more = "" });
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sweeps_drop();
    return 0;
}

static void sweep(enum sweeps_job job)
{
    static const char *const words[] = { "fails", "answer is lost", "is made twice", "dies" };
    sweeps_prepare(job);
    for (size_t h = 0; h < DR_ARRAY_LEN(words); h++) {
        bool came = true;
        unsigned n = 1;
        for (; came; n++) {
            char when[80];
            snprintf(when, sizeof(when), "%s, call %u %s", sweeps_names[job], n, words[h]);
            sweeps_reset();
            sweepstore_begin((enum sweep_how)h, n);
            enum dr_rc rc = sweeps_work(job, sweepstore_wrap);
            came = sweepstore_end();
            if (rc != DR_OK && (!came || (enum sweep_how)h == SWEEP_TWICE))
                fail_msg("%s: %s", when, sweeps.err.msg);
            bool restored = n % RESTORE_EACH == 1;
            (void)sweeps_assert_whole(restored, when); /* how many there are is told below */
            sweeps_assert_goes_on(job, restored, when);
        }
        print_message("  %s, %s: %u calls\n", sweeps_names[job], words[h], n - 2);
    }
}

static void full_backup_survives_every_spoiled_call(void **state)
{
    (void)state;
    sweep(SWEEPS_FULL);
}

static void incremental_backup_survives_every_spoiled_call(void **state)
{
    (void)state;
    sweep(SWEEPS_INCREMENTAL);
}

static void prune_survives_every_spoiled_call(void **state)
{
    (void)state;
    sweep(SWEEPS_PRUNE);
}

static void repair_survives_every_spoiled_call(void **state)
{
    (void)state;
    sweep(SWEEPS_REPAIR);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(full_backup_survives_every_spoiled_call),
        FRESH(incremental_backup_survives_every_spoiled_call),
        FRESH(prune_survives_every_spoiled_call),
        FRESH(repair_survives_every_spoiled_call),
    };
    return cmocka_run_group_tests_name("request_sweep", tests, NULL, NULL);
}
