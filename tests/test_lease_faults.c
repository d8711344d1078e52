/*
 * The lease in a bucket, over HTTP that misbehaves: whatever becomes of one request or its answer, nobody
 * believes in a lease while another does, nobody who was told "yes" is surprised, and a lease that was taken
 * without its taker knowing is free again after TAKE. Runs under TSan.
 *
 * The clock of durations is the real one plus what the fake waiting has slept, so that TAKE costs no time.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/lease/bucket.h"
#include "dr/lease/lease.h"
#include "tests/support/httpfault.h"

enum { HOLD_MS = 20000, TAKE_MS = 30000, TAKERS = 6, REQUESTS_MAX = 24, WAIT_MS = 60000 };

static const char key[] = "writer/app";
static struct httpfault *server;
static struct clock_ops real_clock;
static atomic_int_fast64_t slept_ms;
static struct lease_place places[2]; /* of a and of b: each with connections of its own */

static int64_t shifted_boot(void)
{
    return real_clock.boot_ns() + atomic_load(&slept_ms) * 1000000;
}

static void sleep_fast(int64_t ms)
{
    (void)atomic_fetch_add(&slept_ms, ms);
}

static struct store *open_store(void)
{
    struct dr_err err = { 0 };
    struct store *s = NULL;
    DR_FREE char *url = dr_strf("s3://leases?endpoint=%s", httpfault_url(server));
    const struct store_credentials by = { .kind = "keys",
                                          .access_key = "key",
                                          .secret_key = "secret" };
    const struct store_options o = {
        .name = "eu", .region = "eu-west-1", .url = url, .credentials = &by
    };
    if (store_open(&o, &s, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return s;
}

/* A new bucket; what it can do is found out before anything is spoiled. */
static int set_up(void **state)
{
    (void)state;
    real_clock = dr_clock;
    dr_clock = (struct clock_ops){ .wall_ns = real_clock.wall_ns, .boot_ns = shifted_boot };
    atomic_store(&slept_ms, 0);
    server = httpfault_start();
    (void)httpfault_bucket(server, "leases");
    for (int i = 0; i < 2; i++) {
        struct store_abilities can;
        struct dr_err err = { 0 };
        struct store *s = open_store();
        assert_int_equal(store_abilities(s, &can, &err), DR_OK);
        assert_true(can.conditional_swap);
        places[i] =
            (struct lease_place){ .hold_ms = HOLD_MS, .take_ms = TAKE_MS, .pause = sleep_fast };
        lease_bucket_place(s, &places[i]);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    httpfault_clear(server);
    for (int i = 0; i < 2; i++)
        lease_place_fini(&places[i]);
    httpfault_stop(server);
    dr_clock = real_clock;
    return 0;
}

static enum dr_rc acquire(int who, struct lease **ret, struct dr_err *err)
{
    const struct lease_wish wish = { .key = key, .holder = who == 0 ? "a" : "b", .region = "eu" };
    return lease_acquire(&places[who], &wish, ret, err);
}

static char *holder(void)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
    if (lease_read(&places[1], key, &r, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return dr_strdup(r.holder);
}

/* -- one request is spoiled ------------------------------------------------------------------------ */

static const struct httpfault_plan spoils[] = {
    { .how = HTTPFAULT_STATUS, .status = 500 },
    { .how = HTTPFAULT_STATUS, .status = 503 },
    { .how = HTTPFAULT_STATUS, .status = 412 }, /* said by somebody in between; nothing was done */
    { .how = HTTPFAULT_RESET },
    { .how = HTTPFAULT_LOST },
    { .how = HTTPFAULT_TWICE },
    { .how = HTTPFAULT_CUT, .at = 3 },
    { .how = HTTPFAULT_GARBAGE },
};

static const char *const words[] = { "500",  "503",   "412",       "reset",
                                     "lost", "twice", "cut short", "garbage" };

enum job { JOB_CREATE, JOB_TAKE_FREE, JOB_RENEW, JOB_RELEASE, JOBS };

static const char *const jobs[JOBS] = { "create", "take", "renew", "release" };

/* The world in which the job begins; a's lease, where it has one. */
static struct lease *prepare(enum job job)
{
    struct dr_err err = { 0 };
    struct lease *l = NULL;
    memory_empty(httpfault_bucket(server, "leases"));
    if (job == JOB_CREATE)
        return NULL;
    assert_int_equal(acquire(0, &l, &err), DR_OK);
    if (job == JOB_TAKE_FREE) {
        assert_int_equal(lease_release(l, &err), DR_OK);
        lease_free(DR_TAKE(l));
    }
    return l;
}

static enum dr_rc work(enum job job, struct lease **a, struct dr_err *err)
{
    switch (job) {
    case JOB_CREATE:
    case JOB_TAKE_FREE:
        return acquire(0, a, err);
    case JOB_RENEW:
        return lease_renew(*a, err);
    default:
        return lease_release(*a, err);
    }
}

/*
 * a has done its job, in whatever way it ended, and believes or not. b wants the lease: as long as a believes it must
 * not get it, and then it must. When b has it, a's renewal is refused.
 */
static void assert_no_two_holders(struct lease *a, bool released, const char *when)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *b = NULL;
    DR_FREE char *held_by = holder();
    int64_t from = clock_boot_ms();
    bool believes = a != NULL && !released && lease_left_ms(a) > 0;
    if (believes && strcmp(held_by, "a") != 0)
        fail_msg("%s: a believes, and the record says '%s'", when, held_by);
    if (acquire(1, &b, &err) != DR_OK)
        fail_msg("%s: b: %s", when, err.msg);
    if (strcmp(held_by, "a") == 0 && clock_boot_ms() - from < TAKE_MS)
        fail_msg("%s: b took what a had after %d ms", when, (int)(clock_boot_ms() - from));
    if (a != NULL && !released && lease_left_ms(a) > 0)
        fail_msg("%s: both believe", when);
    if (a != NULL && !released && lease_renew(a, &err) == DR_OK)
        fail_msg("%s: a renews what b has", when);
    assert_true(lease_left_ms(b) > 0);
    DR_FREE char *now = holder();
    assert_string_equal(now, "b");
}

/* True: the plan acted. */
static bool spoil(enum job job, size_t how, unsigned nth)
{
    struct dr_err err = { 0 };
    DR_FREE char *when = dr_strf("%s, request %u %s", jobs[job], nth, words[how]);
    DR_CLEANUP(lease_free_ptr) struct lease *a = prepare(job);
    struct httpfault_plan plan = spoils[how];
    unsigned hits = httpfault_hits(server);
    plan.part = "/leases/leases/";
    plan.nth = nth;
    httpfault_plan(server, &plan);
    enum dr_rc rc = work(job, &a, &err);
    bool acted = httpfault_hits(server) > hits;
    httpfault_clear(server);
    bool released = job == JOB_RELEASE; /* tried to: it does not believe any more */
    if (rc == DR_OK && job != JOB_RELEASE) {
        DR_FREE char *now = holder();
        if (strcmp(now, "a") != 0 || lease_left_ms(a) <= 0)
            fail_msg("%s: told yes, and '%s' has it", when, now);
    }
    if (!acted && rc != DR_OK)
        fail_msg("%s: %s", when, err.msg);
    assert_no_two_holders(a, released, when);
    return acted;
}

static void one_spoiled_request_makes_no_two_holders(void **state)
{
    (void)state;
    unsigned spoiled = 0;
    for (enum job job = 0; job < JOBS; job++)
        for (size_t how = 0; how < DR_ARRAY_LEN(spoils); how++) {
            unsigned n = 1;
            while (spoil(job, how, n))
                assert_true(n++ < REQUESTS_MAX);
            assert_true(n > 2); /* a look and a change at least */
            spoiled += n - 1;
        }
    print_message("  %u requests spoiled\n", spoiled);
}

/* A conditional put that is done, and then done again by the network: the second one is refused. */
static void a_put_whose_answer_is_lost_is_still_ours(void **state)
{
    (void)state;
    static const enum httpfault_how hows[] = { HTTPFAULT_LOST, HTTPFAULT_TWICE };
    for (size_t i = 0; i < DR_ARRAY_LEN(hows); i++) {
        struct dr_err err = { 0 };
        int64_t from = clock_boot_ms();
        memory_empty(httpfault_bucket(server, "leases"));
        DR_CLEANUP(lease_free_ptr) struct lease *a = NULL;
        httpfault_plan(server, &(struct httpfault_plan){ .how = hows[i], .method = "PUT" });
        if (acquire(0, &a, &err) != DR_OK)
            fail_msg("%s", err.msg);
        httpfault_plan(server, &(struct httpfault_plan){ .how = hows[i], .method = "PUT" });
        if (lease_renew(a, &err) != DR_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(a->epoch, 1);
        assert_true(clock_boot_ms() - from < TAKE_MS); /* it was not waited for as a stranger's */
        httpfault_clear(server);
    }
}

/* -- an answer that does not come -------------------------------------------------------------------- */

struct stalled {
    pthread_t thread;
    struct lease *lease; /* NULL: it acquires */
    enum dr_rc rc;
    struct dr_err err;
};

static void *stall(void *arg)
{
    struct stalled *s = arg;
    s->rc = s->lease != NULL ? lease_renew(s->lease, &s->err) : acquire(0, &s->lease, &s->err);
    return NULL;
}

/* The put stands and a waits for its answer, for longer than TAKE: b may take it, and a hears of that. */
static void a_holder_that_hears_nothing_is_succeeded_and_told(void **state)
{
    (void)state;
    for (int renews = 0; renews < 2; renews++) {
        struct dr_err err = { 0 };
        struct stalled s = { .rc = DR_OK };
        DR_CLEANUP(lease_free_ptr) struct lease *b = NULL;
        memory_empty(httpfault_bucket(server, "leases"));
        if (renews)
            assert_int_equal(acquire(0, &s.lease, &err), DR_OK);
        size_t puts = httpfault_count(server, "PUT", NULL); /* each is counted once it stands */
        httpfault_plan(server, &(struct httpfault_plan){ .how = HTTPFAULT_STALL, .method = "PUT" });
        assert_int_equal(pthread_create(&s.thread, NULL, stall, &s), 0);
        int64_t end_ms = clock_boot_ms() + WAIT_MS;
        while (httpfault_count(server, "PUT", NULL) == puts) {
            assert_true(clock_boot_ms() < end_ms);
            poll(NULL, 0, 1);
        }
        int64_t from = clock_boot_ms();
        if (acquire(1, &b, &err) != DR_OK)
            fail_msg("%s", err.msg);
        assert_true(clock_boot_ms() - from >= TAKE_MS);
        httpfault_clear(server); /* a's connection ends */
        assert_int_equal(pthread_join(s.thread, NULL), 0);
        assert_int_not_equal(s.rc, DR_OK);
        assert_true(s.lease == NULL || lease_left_ms(s.lease) <= 0);
        DR_FREE char *now = holder();
        assert_string_equal(now, "b");
        lease_free(s.lease);
    }
}

/* -- many at once -------------------------------------------------------------------------------------- */

struct taker {
    pthread_t thread;
    struct lease_place place;
    const struct lease_record *seen;
    enum dr_rc rc;
    char nonce[LEASE_NONCE_MAX];
};

static void *take(void *arg)
{
    struct taker *t = arg;
    struct dr_err err = { 0 };
    struct lease_record r = *t->seen; /* its texts are only read */
    memcpy(r.nonce, t->nonce, sizeof(r.nonce));
    r.epoch++;
    t->rc = lease_bucket.swap(&t->place, t->seen->nonce, &r, &err);
    return NULL;
}

/* Two of the puts are spoiled. Of all takers at most one is told that it won, and that is true. */
static void race(struct taker takers[TAKERS], unsigned round)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_record_fini) struct lease_record seen = { 0 };
    DR_CLEANUP(lease_record_fini) struct lease_record now = { 0 };
    int winner = -1;
    assert_int_equal(lease_read(&places[0], "race", &seen, &err), DR_OK);
    struct httpfault_plan plan = spoils[round % DR_ARRAY_LEN(spoils)];
    plan.method = "PUT";
    plan.nth = 1 + round / DR_ARRAY_LEN(spoils);
    plan.times = 2;
    httpfault_plan(server, &plan);
    for (unsigned i = 0; i < TAKERS; i++) {
        takers[i].seen = &seen;
        (void)snprintf(takers[i].nonce, LEASE_NONCE_MAX, "%032u", round * TAKERS + i);
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take, &takers[i]), 0);
    }
    for (int i = 0; i < TAKERS; i++) {
        assert_int_equal(pthread_join(takers[i].thread, NULL), 0);
        if (takers[i].rc == DR_OK && winner >= 0)
            fail_msg("round %u, %s: two winners", round, words[round % DR_ARRAY_LEN(spoils)]);
        winner = takers[i].rc == DR_OK ? i : winner;
    }
    httpfault_clear(server);
    assert_int_equal(lease_read(&places[0], "race", &now, &err), DR_OK);
    if (winner >= 0)
        assert_string_equal(now.nonce, takers[winner].nonce);
    assert_true(now.epoch == seen.epoch || now.epoch == seen.epoch + 1);
}

static void of_many_takers_on_a_bad_line_at_most_one_believes(void **state)
{
    (void)state;
    struct taker takers[TAKERS];
    for (int i = 0; i < TAKERS; i++) {
        struct store_abilities can;
        struct dr_err err = { 0 };
        struct store *s = open_store();
        takers[i] = (struct taker){
            .place = { .hold_ms = HOLD_MS, .take_ms = TAKE_MS, .pause = sleep_fast }
        };
        assert_int_equal(store_abilities(s, &can, &err), DR_OK);
        lease_bucket_place(s, &takers[i].place);
    }
    for (unsigned round = 0; round < 2 * DR_ARRAY_LEN(spoils); round++)
        race(takers, round);
    for (int i = 0; i < TAKERS; i++)
        lease_place_fini(&takers[i].place);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FRESH(one_spoiled_request_makes_no_two_holders),
        FRESH(a_put_whose_answer_is_lost_is_still_ours),
        FRESH(a_holder_that_hears_nothing_is_succeeded_and_told),
        FRESH(of_many_takers_on_a_bad_line_at_most_one_believes),
    };
    return cmocka_run_group_tests_name("lease_faults", tests, NULL, NULL);
}
