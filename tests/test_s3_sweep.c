/*
 * Every HTTP request of a backup, a prune and a repair on S3: answered with an error, carried out and not
 * answered, carried out twice, or the last before the process is killed. Afterwards each bucket alone has
 * what it shows, and the next run works.
 *
 * Two buckets lie in one server of ours, so that one counter sees all requests. The server stays in this process; a
 * process that is to die is a child.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "tests/support/httpfault.h"
#include "tests/support/sweeps.h"

enum { RESTORE_EACH = 8, CHILD_WAIT_MS = 60000 };

static struct httpfault *server;
static struct memory *buckets[SITE_BUCKETS], *kept[SITE_BUCKETS];

static void keep_buckets(void)
{
    for (int b = 0; b < SITE_BUCKETS; b++) {
        memory_free(kept[b]);
        kept[b] = memory_copy(buckets[b]);
    }
}

static void reset_buckets(void)
{
    for (int b = 0; b < SITE_BUCKETS; b++)
        memory_become(buckets[b], kept[b]);
}

static int set_up(void **state)
{
    (void)state;
    server = httpfault_start();
    DR_FREE char *us = dr_strf("s3://backup-us?endpoint=%s", httpfault_url(server));
    DR_FREE char *eu = dr_strf("s3://backup-eu?endpoint=%s", httpfault_url(server));
    for (int b = 0; b < SITE_BUCKETS; b++)
        buckets[b] = httpfault_bucket(server, b == 0 ? "backup-us" : "backup-eu");
    sweeps_make(&(struct sweeps_place){ .us = us,
                                        .eu = eu,
                                        .more = ", credentials: environment",
                                        .keep = keep_buckets,
                                        .reset = reset_buckets });
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sweeps_drop();
    httpfault_stop(server);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        memory_free(kept[b]);
        kept[b] = NULL;
    }
    return 0;
}

/* -- what is done to one request --------------------------------------------------------------- */

struct spoil {
    const char *word;
    enum httpfault_how how;
    int status;
    bool changes_only; /* reading has no effect that could come twice or without its answer */
    bool kill;
};

static const struct spoil spoils[] = {
    { "is answered with 500, and then cut short", HTTPFAULT_STATUS, 500, false, false },
    { "is done and the connection reset", HTTPFAULT_LOST, 0, true, false },
    { "is done twice", HTTPFAULT_TWICE, 0, true, false },
    { "is the last before death", HTTPFAULT_STALL, 0, true, true },
};

/* The nth request that matters. After a 500 it comes again, and the plan of that counts what the first
 * did not take. */
static void plan(const struct spoil *s, unsigned n)
{
    httpfault_clear(server);
    httpfault_plan(server,
                   &(struct httpfault_plan){
                       .how = s->how, .status = s->status, .changes = s->changes_only, .nth = n });
    if (s->how == HTTPFAULT_STATUS)
        httpfault_plan(server,
                       &(struct httpfault_plan){ .how = HTTPFAULT_CUT, .at = 3, .nth = n + 1 });
}

/* Work in a child, and kill it as soon as the request was seen. */
static enum dr_rc work_and_die(enum sweeps_job job, unsigned hits)
{
    int status = 0;
    fflush(stdout);
    fflush(stderr);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(sweeps_work(job, NULL) == DR_OK ? 0 : 1);
    int64_t end_ms = clock_boot_ms() + CHILD_WAIT_MS;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        assert_true(clock_boot_ms() < end_ms);
        if (httpfault_hits(server) > hits)
            assert_int_equal(kill(pid, SIGKILL), 0);
        poll(NULL, 0, 1);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? DR_OK : DR_E_TRANSIENT;
}

static void sweep(enum sweeps_job job)
{
    sweeps_prepare(job);
    for (size_t i = 0; i < DR_ARRAY_LEN(spoils); i++) {
        const struct spoil *s = &spoils[i];
        bool came = true;
        unsigned n = 1;
        for (; came; n++) {
            char when[96];
            snprintf(when, sizeof(when), "%s, request %u %s", sweeps_names[job], n, s->word);
            sweeps_reset();
            unsigned hits = httpfault_hits(server);
            plan(s, n);
            enum dr_rc rc = s->kill ? work_and_die(job, hits) : sweeps_work(job, NULL);
            came = httpfault_hits(server) > hits;
            httpfault_clear(server);
            if (rc != DR_OK && !s->kill) /* one bad answer is what a driver repeats for */
                fail_msg("%s: %s", when, sweeps.err.msg);
            bool restored = n % RESTORE_EACH == 1;
            if (s->changes_only || restored)
                (void)sweeps_assert_whole(restored, when); /* how many there are is told below */
            if (s->changes_only)
                sweeps_assert_goes_on(job, restored, when);
        }
        print_message("  %s: %u requests, each %s\n", sweeps_names[job], n - 2, s->word);
    }
}

static void full_backup_survives_every_spoiled_request(void **state)
{
    (void)state;
    sweep(SWEEPS_FULL);
}

static void incremental_backup_survives_every_spoiled_request(void **state)
{
    (void)state;
    sweep(SWEEPS_INCREMENTAL);
}

static void prune_survives_every_spoiled_request(void **state)
{
    (void)state;
    sweep(SWEEPS_PRUNE);
}

static void repair_survives_every_spoiled_request(void **state)
{
    (void)state;
    sweep(SWEEPS_REPAIR);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    setenv("AWS_ACCESS_KEY_ID", "key", 1);        /* NOLINT(concurrency-mt-unsafe): one thread */
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1); /* NOLINT(concurrency-mt-unsafe) */
    const struct CMUnitTest tests[] = {
        FRESH(full_backup_survives_every_spoiled_request),
        FRESH(incremental_backup_survives_every_spoiled_request),
        FRESH(prune_survives_every_spoiled_request),
        FRESH(repair_survives_every_spoiled_request),
    };
    return cmocka_run_group_tests_name("s3_sweep", tests, NULL, NULL);
}
