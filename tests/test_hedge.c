/*
 * Reads that mix buckets: whom to ask first, when to ask a second one, and what comes out of it. The policy
 * gets its times from the test; races wait for what a test holds back. Runs under TSan.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "backup/work/fetch_race.h"
#include "dr/base/mem.h"
#include "tests/support/faultstore.h"
#include "tests/support/site.h"

enum { MIB = 1 << 20, WAIT_S = 60 };

/* -- policy -------------------------------------------------------------------------------- */

static void answer(struct hedge *h, size_t bucket, uint64_t len, int64_t ms, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        hedge_answered(h, bucket, len, ms);
}

static void delay_is_what_nineteen_of_twenty_reads_took(void **state)
{
    (void)state;
    struct hedge *h = hedge_new(1);
    assert_int_equal(hedge_delay_ms(h, 0, MIB), HEDGE_UNKNOWN_MS);
    for (int64_t ms = 1; ms <= 60; ms++)
        hedge_answered(h, 0, MIB, ms * 10);
    assert_int_equal(hedge_delay_ms(h, 0, MIB), 570);
    assert_int_equal(hedge_delay_ms(h, 0, UINT64_C(8) * MIB), HEDGE_UNKNOWN_MS); /* another size */
    answer(h, 0, MIB, 1, HEDGE_SAMPLES);
    assert_int_equal(hedge_delay_ms(h, 0, MIB), HEDGE_LEAST_MS);
    answer(h, 0, MIB, 3600000, HEDGE_SAMPLES);
    assert_int_equal(hedge_delay_ms(h, 0, MIB), HEDGE_MOST_MS);
    hedge_free(h);
}

static void assert_order(struct hedge *h, int64_t now, const char *want)
{
    size_t order[4] = { 0, 1, 2, 3 };
    char text[5] = "";
    hedge_order(h, MIB, now, order, 4);
    for (size_t i = 0; i < 4; i++)
        text[i] = (char)('0' + order[i]);
    assert_string_equal(text, want);
}

static void near_before_fast_before_slow_before_dead(void **state)
{
    (void)state;
    struct hedge *h = hedge_new(4);
    assert_order(h, 0, "0123");
    answer(h, 0, MIB, 300, HEDGE_KNOWN);
    answer(h, 1, MIB, 40, HEDGE_KNOWN);
    answer(h, 2, MIB, 45, HEDGE_KNOWN);
    answer(h, 3, MIB, 900, HEDGE_KNOWN);
    assert_order(h, 0, "1203"); /* five milliseconds are no reason to turn the order round */
    hedge_set_near(h, 3);
    assert_order(h, 0, "3120");
    hedge_failed(h, 3, DR_E_TIMEOUT, 1000);
    assert_order(h, 1000, "1203");
    hedge_free(h);
}

static void dead_bucket_is_asked_again_after_a_while_that_doubles(void **state)
{
    (void)state;
    struct hedge *h = hedge_new(1);
    int64_t now = 0, closed = HEDGE_CLOSED_MS;
    for (int i = 0; i < 12; i++) {
        hedge_failed(h, 0, DR_E_TRANSIENT, now);
        int64_t end = now + (closed < HEDGE_CLOSED_MOST_MS ? closed : HEDGE_CLOSED_MOST_MS);
        assert_true(hedge_is_closed(h, 0, end - 1));
        assert_false(hedge_is_closed(h, 0, end));
        now = end;
        closed *= 2;
    }
    hedge_answered(h, 0, MIB, 5);
    hedge_failed(h, 0, DR_E_IO, now);
    assert_false(hedge_is_closed(h, 0, now + HEDGE_CLOSED_MS)); /* an answer begins it anew */
    hedge_answered(h, 0, MIB, 5);
    hedge_failed(h, 0, DR_E_NOTFOUND, now);
    hedge_failed(h, 0, DR_E_CORRUPT, now);
    assert_false(hedge_is_closed(h, 0, now)); /* objects, not the bucket */
    hedge_free(h);
}

static void second_requests_stay_below_five_percent(void **state)
{
    (void)state;
    struct hedge *h = hedge_new(2);
    uint64_t asked = 0, twice = 0;
    for (int i = 0; i < 10000; i++) {
        hedge_asked(h, MIB);
        asked += MIB;
        twice += hedge_may(h, MIB) ? MIB : 0; /* every single one would like to */
    }
    assert_true(twice <= asked / 100 * HEDGE_PERCENT);
    assert_true(twice >= asked / 100 * (HEDGE_PERCENT - 1));
    hedge_free(h);
}

/* -- races --------------------------------------------------------------------------------- */

static struct { /* gets of one store wait here */
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
    const struct store *held;
    unsigned waited;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER };

static enum dr_rc (*real_get)(struct store *s, const char *name, uint64_t offset, size_t len,
                              void *out, struct dr_err *err);
static struct store_ops held_ops;

static enum dr_rc held_get(struct store *s, const char *name, uint64_t offset, size_t len,
                           void *out, struct dr_err *err)
{
    struct timespec end;
    int rc = 0;
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_S;
    pthread_mutex_lock(&gate.lock);
    bool held = gate.held == s && text_starts(name, "packs/");
    gate.waited += held && !gate.open;
    while (held && !gate.open && rc == 0)
        rc = pthread_cond_timedwait(&gate.opened, &gate.lock, &end);
    pthread_mutex_unlock(&gate.lock);
    return rc == 0 ? real_get(s, name, offset, len, out, err)
                   : dr_fail(err, DR_E_TIMEOUT, "the gate stayed shut");
}

static void hold(struct store *s)
{
    real_get = s->ops->get;
    held_ops = *s->ops;
    held_ops.get = held_get;
    s->ops = &held_ops;
    gate.held = s;
    gate.open = false;
    gate.waited = 0;
}

static unsigned held_reads(void)
{
    pthread_mutex_lock(&gate.lock);
    unsigned n = gate.waited;
    pthread_mutex_unlock(&gate.lock);
    return n;
}

static void let_go(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
}

static struct site site;

static int set_up(void **state)
{
    (void)state;
    struct snapshot_info info = { 0 };
    site_make(&site);
    site_fill(&site);
    site_backup(&site, &info);
    snapshot_info_fini(&info);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    site_drop(&site);
    return 0;
}

/* As if a network lay before every bucket. */
static struct repo *open_far(void)
{
    struct repo *r = site_open(&site);
    for (size_t i = 0; i < repo_bucket_count(r); i++)
        repo_bucket(r, i)->store->parallel = 4;
    return r;
}

static void restore_all(struct repo *r, struct restore_result *ret)
{
    struct snapshot_info info = { 0 };
    struct dr_err err;
    const struct restore_options o = { .to = site.target };
    assert_int_equal(repo_find(r, "latest", NULL, &info, &err), DR_OK);
    if (restore_run(r, &info, &o, &site.hooks, ret, &err) != DR_OK)
        fail_msg("%s", err.msg);
    snapshot_info_fini(&info);
    site_assert_restored(&site);
}

static void slow_bucket_is_overtaken(void **state)
{
    (void)state;
    struct restore_result result;
    struct repo *r = open_far();
    for (uint64_t len = 1; len <= UINT64_C(32) * MIB; len *= 2)
        answer(repo_hedge(r), 0, len, 1, HEDGE_KNOWN); /* it used to be quick */
    hold(repo_bucket(r, 0)->store);
    restore_all(r, &result); /* while not one read of us is answered */
    assert_true(held_reads() >= 1);
    assert_int_equal(result.warnings, 0);
    let_go();
    repo_close(r);
}

static void dead_bucket_is_not_asked_for_each_piece(void **state)
{
    (void)state;
    struct restore_result result;
    struct repo *r = open_far();
    struct repo_bucket *b = repo_bucket(r, 0);
    struct snapshot_info info = { 0 };
    struct dr_err err;
    assert_int_equal(repo_find(r, "latest", NULL, &info, &err), DR_OK);
    b->store = faultstore_new(b->store);
    b->store->parallel = 4;
    faultstore_fail_from(b->store, FAULTSTORE_ANY, 1, DR_E_TIMEOUT);
    const struct restore_options o = { .to = site.target };
    assert_int_equal(restore_run(r, &info, &o, &site.hooks, &result, &err), DR_OK);
    site_assert_restored(&site);
    assert_int_equal(faultstore_calls(b->store, FAULTSTORE_GET), 1);
    snapshot_info_fini(&info);
    repo_close(r);
}

static void restore_needs_each_object_in_one_bucket_only(void **state)
{
    (void)state;
    static const enum site_damage ways[] = { SITE_FLIP, SITE_DELETE, SITE_TRUNCATE };
    for (int far = 0; far < 2; far++) {
        DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
        struct restore_result result;
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
        for (int more = 0; more < 3; more++) { /* several snapshots: several packs */
            struct backup_result b = { 0 };
            struct dr_err err;
            DR_FREE char *name = dr_strf("more%d", more);
            site_write(&site, name, name, strlen(name));
            struct repo *r = site_open(&site);
            const struct backup_wish wish = { .source = &site.config->sources[0] };
            assert_int_equal(backup_run(r, &wish, &site.hooks, &b, &err), DR_OK);
            backup_result_fini(&b);
            repo_close(r);
        }
        site_objects(&site, 0, "packs/", &packs);
        assert_true(packs.count >= 4);
        for (size_t i = 0; i < packs.count; i++) /* no bucket is whole */
            site_damage(&site, (int)(i % SITE_BUCKETS), packs.items[i], ways[i % 3], 50);
        struct repo *r = far ? open_far() : site_open(&site);
        restore_all(r, &result);
        repo_close(r);
    }
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delay_is_what_nineteen_of_twenty_reads_took),
        cmocka_unit_test(near_before_fast_before_slow_before_dead),
        cmocka_unit_test(dead_bucket_is_asked_again_after_a_while_that_doubles),
        cmocka_unit_test(second_requests_stay_below_five_percent),
        FRESH(slow_bucket_is_overtaken),
        FRESH(dead_bucket_is_not_asked_for_each_piece),
        FRESH(restore_needs_each_object_in_one_bucket_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
