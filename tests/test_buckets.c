/*
 * Many buckets, one run: one that fails or lags costs itself only; uploads keep their pace; and
 * what a full backup copies forward. Runs under TSan. How a snapshot becomes visible is in
 * test_commit.c.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "backup/work/backup_forward.h"
#include "backup/work/backup_pace.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "tests/support/site.h"
#include "tests/support/spied.h"

enum { WAIT_S = 60, SPOOL = 16 }; /* packs in a full spool */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* between a fact and its spies */

/* -- failures ------------------------------------------------------------------------------ */

static const char *fail_op, *fail_prefix;
static int fail_bucket;
static unsigned fail_times; /* guarded by lock */
static enum dr_rc fail_rc;

static enum dr_rc fail_some(struct spy *s, const char *op, const char *name, struct dr_err *err)
{
    bool hit =
        s->number == fail_bucket && strcmp(op, fail_op) == 0 && text_starts(name, fail_prefix);
    pthread_mutex_lock(&lock);
    hit = hit && fail_times > 0;
    fail_times -= hit;
    pthread_mutex_unlock(&lock);
    return hit ? dr_fail(err, fail_rc, "failed on purpose") : DR_OK;
}

static void plan(int bucket, const char *op, const char *prefix, unsigned times, enum dr_rc rc)
{
    fail_bucket = bucket;
    fail_op = op;
    fail_prefix = prefix;
    fail_times = times;
    fail_rc = rc;
    spied.before = fail_some;
}

static void bucket_that_fails_anywhere_costs_itself_only(void **state)
{
    static const struct {
        const char *op, *prefix;
    } rows[] = {
        { "put", "packs/" },  { "put", "pending/" },   { "list", "gc/" },
        { "head", "packs/" }, { "put", "snapshots/" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++)
        for (int bucket = 0; bucket < SPIED_BUCKETS; bucket++) {
            bool not_home = strcmp(rows[i].prefix, "pending/") == 0 && bucket > 0;
            assert_int_equal(spied_tear_down(state), 0);
            assert_int_equal(spied_set_up(state), 0);
            plan(bucket, rows[i].op, rows[i].prefix, UINT32_MAX, DR_E_IO);
            spied_begin(&(struct buckets_options){ .inline_work = (i + (size_t)bucket) % 2 == 0 });
            assert_int_equal(spied_put_pack(0), DR_OK);
            assert_int_equal(spied_put_pack(1), DR_OK);
            assert_int_equal(spied_commit("s1", 0, 2), DR_OK);
            assert_int_equal(spied_copies(), not_home ? SPIED_BUCKETS : SPIED_BUCKETS - 1);
            assert_true(not_home || spied_is_missing(spied_names[bucket], "on purpose"));
            spied.before = NULL;
            for (int b = 0; b < SPIED_BUCKETS; b++) /* a visible snapshot has its packs */
                if (spied_has(b, NAMES_SNAPSHOTS, "s1"))
                    spied_assert_holds(b, "s1", 0, 2);
        }
}

static enum dr_rc no_answer(struct spy *s, const char *name, struct dr_err *err)
{
    bool hit = s->number == 0 && text_starts(name, NAMES_SNAPSHOTS) && fail_times > 0;
    fail_times -= hit;
    return hit ? dr_fail(err, DR_E_TIMEOUT, "no answer") : DR_OK;
}

static void put_without_an_answer_is_repeated(void **state)
{
    (void)state;
    spied.after_put = no_answer;
    fail_times = 1;
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
    assert_false(spied_has(0, NAMES_PENDING, "s1"));
}

static void pending_stays_where_the_home_never_answers(void **state)
{
    (void)state;
    plan(0, "put", NAMES_SNAPSHOTS, UINT32_MAX, DR_E_TIMEOUT);
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS - 1);
    assert_true(spied_has(0, NAMES_PENDING, "s1"));
}

static void run_without_any_bucket_fails_with_the_first_reason(void **state)
{
    (void)state;
    spied_begin_inline();
    plan(0, "put", "packs/", 1, DR_E_NOSPACE);
    assert_int_equal(spied_put_pack(0), DR_OK);
    plan(1, "put", "packs/", 1, DR_E_IO);
    assert_int_equal(spied_put_pack(1), DR_OK);
    plan(2, "put", "packs/", 1, DR_E_IO);
    assert_int_equal(spied_put_pack(2), DR_E_NOSPACE);
}

/* -- a bucket that lags -------------------------------------------------------------------- */

static pthread_cond_t opened = PTHREAD_COND_INITIALIZER, passed = PTHREAD_COND_INITIALIZER;
static bool gate_open;       /* guarded by lock */
static unsigned packs_in_us; /* likewise */

static void deadline(struct timespec *end)
{
    (void)clock_gettime(CLOCK_REALTIME, end);
    end->tv_sec += WAIT_S;
}

/* Puts into eu wait for the gate. */
static enum dr_rc hold_back(struct spy *s, const char *op, const char *name, struct dr_err *err)
{
    int rc = 0;
    struct timespec end;
    if (s->number != 1 || strcmp(op, "put") != 0)
        return DR_OK;
    deadline(&end);
    pthread_mutex_lock(&lock);
    while (!gate_open && rc == 0)
        rc = pthread_cond_timedwait(&opened, &lock, &end);
    pthread_mutex_unlock(&lock);
    return rc == 0 ? DR_OK : dr_fail(err, DR_E_TIMEOUT, "the gate stayed shut for '%s'", name);
}

static enum dr_rc count_us(struct spy *s, const char *name, struct dr_err *err)
{
    (void)name;
    (void)err;
    pthread_mutex_lock(&lock);
    packs_in_us += s->number == 0;
    pthread_cond_broadcast(&passed);
    pthread_mutex_unlock(&lock);
    return DR_OK;
}

static bool wait_for_us(unsigned count)
{
    int rc = 0;
    struct timespec end;
    deadline(&end);
    pthread_mutex_lock(&lock);
    while (packs_in_us < count && rc == 0)
        rc = pthread_cond_timedwait(&passed, &lock, &end);
    pthread_mutex_unlock(&lock);
    return rc == 0;
}

static void open_gate(bool open)
{
    pthread_mutex_lock(&lock);
    gate_open = open;
    packs_in_us = open ? packs_in_us : 0;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&lock);
}

static unsigned asked; /* how often; the run is cancelled from cancel_at on */
static unsigned cancel_at;

static bool is_cancelled(void *arg)
{
    (void)arg;
    return ++asked >= cancel_at;
}

static const struct buckets_options small_spool = { .spool_bytes = SPOOL * SPIED_PACK_BYTES,
                                                    .cancelled = is_cancelled };

static void begin_held(enum dr_rc (*before)(struct spy *s, const char *op, const char *name,
                                            struct dr_err *err))
{
    open_gate(false);
    spied.before = before;
    spied.after_put = count_us;
    asked = 0;
    cancel_at = UINT32_MAX;
    spied_begin(&small_spool);
}

static void lagging_bucket_drops_out_when_the_spool_is_full(void **state)
{
    (void)state;
    begin_held(hold_back);
    for (unsigned n = 0; n < SPOOL; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    assert_true(wait_for_us(SPOOL)); /* eu has none yet */
    assert_false(spied_has(1, "", spied_pack_name(0)));
    assert_false(spied_is_missing("eu", "lags"));
    for (unsigned n = SPOOL; n < 3 * SPOOL; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 3 * SPOOL), DR_OK); /* the gate is still shut */
    assert_int_equal(spied_copies(), SPIED_BUCKETS - 1);
    assert_true(spied_is_missing("eu", "lags"));
    assert_false(spied_has(1, NAMES_SNAPSHOTS, "s1"));
    open_gate(true);
}

/* Puts into all but us wait for the gate. */
static enum dr_rc hold_two(struct spy *s, const char *op, const char *name, struct dr_err *err)
{
    struct spy as_eu = { .number = s->number == 0 ? 0 : 1 };
    return hold_back(&as_eu, op, name, err);
}

static void nobody_drops_out_while_too_few_are_on_time(void **state)
{
    (void)state;
    begin_held(hold_two);
    for (unsigned n = 0; n < SPOOL; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    assert_true(wait_for_us(SPOOL));
    cancel_at = asked + 3; /* the next one waits for two of three; somebody presses a key */
    assert_int_equal(spied_put_pack(SPOOL), DR_E_CANCELLED);
    assert_false(spied_is_missing("eu", "lags"));
    open_gate(true);
}

static void lagging_buckets_that_are_needed_are_waited_for(void **state)
{
    (void)state;
    begin_held(hold_two);
    for (unsigned n = 0; n < SPOOL; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    assert_true(wait_for_us(SPOOL));
    open_gate(true);
    for (unsigned n = SPOOL; n < 2 * SPOOL; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 2 * SPOOL), DR_OK);
    /* Which of the two is abreast first, and whether the other still is in time, is up to the machine. */
    assert_true(spied_copies() >= SPIED_BUCKETS - 1);
}

static int64_t still_ns;

static int64_t jumping_ns(void)
{
    return __atomic_load_n(&still_ns, __ATOMIC_RELAXED);
}

/* Each look at the cancel flag is ten seconds later. */
static bool jump(void *arg)
{
    (void)arg;
    (void)__atomic_add_fetch(&still_ns, 10000000000LL, __ATOMIC_RELAXED);
    return false;
}

/* Each bucket counts, so that a fact can keep them abreast. */
static enum dr_rc count_all(struct spy *s, const char *name, struct dr_err *err)
{
    struct spy as_us = *s;
    as_us.number = 0;
    return count_us(&as_us, name, err);
}

static void nearly_as_fast_is_waited_for_until_it_stands_still(void **state)
{
    (void)state;
    const struct clock_ops real = dr_clock;
    open_gate(true);
    spied.before = hold_back;
    spied.after_put = count_all;
    packs_in_us = 0;
    still_ns = 1000000000;
    dr_clock.boot_ns = jumping_ns;
    spied_begin(
        &(struct buckets_options){ .spool_bytes = SPOOL * SPIED_PACK_BYTES, .cancelled = jump });
    for (unsigned n = 0; n < 20 * SPOOL; n++) {
        assert_int_equal(spied_put_pack(n), DR_OK);
        assert_true(wait_for_us(SPIED_BUCKETS * (n + 1)));
    }
    assert_false(spied_is_missing("eu", "lags"));
    open_gate(false); /* by now it has all but a few: no lag of 15 percent fits into the spool */
    for (unsigned n = 20 * SPOOL; n < 22 * SPOOL; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    assert_true(spied_is_missing("eu", "nothing any more"));
    open_gate(true);
    buckets_free(spied.buckets); /* lanes look at the clock until they have ended */
    spied.buckets = NULL;
    repo_close(spied.repo);
    spied.repo = NULL;
    dr_clock = real;
}

static void bucket_that_fails_for_a_moment_is_filled_by_the_commit(void **state)
{
    (void)state;
    for (int bucket = 0; bucket < 2; bucket++) {
        assert_int_equal(spied_tear_down(state), 0);
        assert_int_equal(spied_set_up(state), 0);
        plan(bucket, "put", "packs/", 4,
             DR_E_TRANSIENT); /* three tries of one pack, one of the next */
        spied_begin_inline();
        for (unsigned n = 0; n < 4; n++)
            assert_int_equal(spied_put_pack(n), DR_OK);
        assert_false(spied_has(bucket, "", spied_pack_name(0)));
        assert_int_equal(spied_commit("s1", 0, 4), DR_OK);
        assert_int_equal(spied_copies(), SPIED_BUCKETS);
        for (int i = 0; i < SPIED_BUCKETS; i++)
            spied_assert_holds(i, "s1", 0, 4);
    }
}

static unsigned at_once; /* puts that wait in eu; guarded by lock */

static enum dr_rc hold_and_count(struct spy *s, const char *op, const char *name,
                                 struct dr_err *err)
{
    bool mine = s->number == 1 && strcmp(op, "put") == 0;
    pthread_mutex_lock(&lock);
    at_once += mine;
    if (at_once >= 4)
        gate_open = true;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&lock);
    return hold_back(s, op, name, err);
}

static void bucket_behind_a_network_gets_some_packs_at_once(void **state)
{
    (void)state;
    at_once = 0;
    repo_bucket(spied.repo, 1)->store->parallel = 4;
    begin_held(hold_and_count);
    for (unsigned n = 0; n < 8; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 8), DR_OK); /* the fourth opened the gate for all */
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
    spied_assert_holds(1, "s1", 0, 8);
}

/* -- pace ---------------------------------------------------------------------------------- */

static int64_t fake_now;
static int64_t longest_wait;
static unsigned waits_left;

static int64_t fake_ns(void)
{
    return fake_now;
}

static bool fake_wait(void *arg, int64_t ns)
{
    (void)arg;
    longest_wait = ns > longest_wait ? ns : longest_wait;
    fake_now += ns;
    return waits_left-- > 0;
}

static void upload_is_paced_in_slices(void **state)
{
    (void)state;
    static const uint64_t rates[] = { 5000, 100 << 10, 3 << 20, 100 << 20 };
    const struct clock_ops real = dr_clock;
    for (size_t i = 0; i < DR_ARRAY_LEN(rates); i++) {
        struct pace p = { .rate = rates[i], .wait = fake_wait };
        struct dr_err err = { 0 };
        size_t slice = pace_slice(&p);
        uint64_t sent = 0;
        fake_now = 1000;
        longest_wait = 0;
        waits_left = UINT32_MAX;
        dr_clock.boot_ns = fake_ns;
        for (unsigned n = 0; n < 200; n++) {
            assert_int_equal(pace_take(&p, slice, &err), DR_OK);
            sent += slice;
            /* Never ahead of the rate by more than one slice, at no moment. */
            double allowed = (double)rates[i] * (double)(fake_now - 1000) / 1e9 + (double)slice;
            assert_true((double)sent <= allowed * 1.001);
        }
        /* And not behind it. */
        double seconds = (double)(fake_now - 1000) / 1e9;
        assert_true((double)sent >= (double)rates[i] * seconds);
        assert_true(longest_wait <= 1000000000LL * (int64_t)slice / (int64_t)rates[i] + 1);
        assert_true(slice <= PACE_SLICE_MAX);
        /* An idle hour is not saved up. */
        fake_now += 3600LL * 1000000000;
        int64_t then = fake_now;
        for (unsigned n = 0; n < 5; n++)
            assert_int_equal(pace_take(&p, slice, &err), DR_OK);
        assert_true(fake_now - then >= 3 * (1000000000LL * (int64_t)slice / (int64_t)rates[i]));
        /* Whoever stops waiting stops at once. */
        waits_left = 0;
        assert_int_equal(pace_take(&p, slice, &err), DR_E_CANCELLED);
        dr_clock = real;
    }
}

static void no_limit_asks_nobody(void **state)
{
    (void)state;
    struct pace p = { .rate = 0 };
    struct dr_err err = { 0 };
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(pace_take(&p, PACE_SLICE_MAX, &err), DR_OK);
}

/* A byte a second: the second pack would take an hour. */
static void cancel_ends_the_waiting_for_a_paced_upload(void **state)
{
    for (int inline_work = 0; inline_work < 2; inline_work++) {
        asked = 0;
        cancel_at = 6;
        spied_begin(&(struct buckets_options){
            .inline_work = inline_work != 0, .upload_limit = 1, .cancelled = is_cancelled });
        enum dr_rc rc = DR_OK;
        for (unsigned n = 0; n < 3 && rc == DR_OK; n++)
            rc = spied_put_pack(n);
        if (rc == DR_OK)
            rc = spied_commit("s1", 0, 3);
        assert_int_equal(rc, DR_E_CANCELLED);
        for (int i = 0; i < SPIED_BUCKETS; i++)
            assert_false(spied_has(i, NAMES_SNAPSHOTS, "s1"));
        assert_int_equal(spied_tear_down(state), 0);
        assert_int_equal(spied_set_up(state), 0);
    }
}

static void paced_upload_arrives_whole(void **state)
{
    (void)state;
    spied_begin(&(struct buckets_options){ .upload_limit = 1 << 30 });
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 4), DR_OK);
    for (int i = 0; i < SPIED_BUCKETS; i++)
        spied_assert_holds(i, "s1", 0, 4);
}

/* -- copy forward -------------------------------------------------------------------------- */

enum { MAX_PACKS = 8, TARGET = 3200 };

static const struct forward_row {
    const char *what;
    uint64_t size[MAX_PACKS], live[MAX_PACKS];
    const char *avoid; /* one character a pack: '1' is copied forward */
} forward_rows[] = {
    { "nothing", { 0 }, { 0 }, "" },
    { "full packs that live", { 3200, 3100, 3000 }, { 3200, 3000, 1600 }, "000" },
    { "more than half dead", { 3200, 3200, 3200 }, { 1599, 1600, 0 }, "101" },
    { "one small pack stays for ever", { 400 }, { 400 }, "0" },
    { "one small pack beside full ones", { 3200, 400 }, { 3200, 400 }, "00" },
    { "two crumbs become one", { 10, 12 }, { 10, 12 }, "11" },
    { "a month of crumbs leaves the base alone",
      { 700, 10, 12, 9, 11, 10 },
      { 700, 10, 12, 9, 11, 10 },
      "011111" },
    { "crumbs half as large as the base take it along",
      { 100, 20, 20, 20 },
      { 100, 20, 20, 20 },
      "1111" },
    { "each three times the other: they stay",
      { 2, 7, 22, 70, 220 },
      { 2, 7, 22, 70, 220 },
      "00000" },
    { "a quarter of the target is not small",
      { 800, 800, 799, 799 },
      { 800, 800, 799, 799 },
      "0011" },
    { "what is copied anyway takes small ones along", { 3200, 700 }, { 1500, 700 }, "11" },
    { "a small one half dead, another whole", { 100, 10 }, { 40, 10 }, "11" },
};

static void forward_takes_what_is_worth_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(forward_rows); i++) {
        const struct forward_row *row = &forward_rows[i];
        struct forward_pack packs[MAX_PACKS];
        size_t count = strlen(row->avoid);
        uint64_t bytes = 0;
        for (size_t k = 0; k < count; k++) {
            packs[k] = (struct forward_pack){ .size = row->size[k], .live = row->live[k] };
            packs[k].name[0] = (uint8_t)k;
        }
        uint64_t told = forward_choose(packs, count, TARGET);
        for (size_t k = 0; k < count; k++) {
            if (packs[k].avoid != (row->avoid[k] == '1'))
                fail_msg("%s: pack %zu", row->what, k);
            bytes += packs[k].avoid ? packs[k].live : 0;
        }
        assert_int_equal(told, bytes);
    }
}

/* Ten years of daily crumbs and monthly fulls: few packs, and little is written twice. */
static void forward_over_years_writes_each_byte_few_times(void **state)
{
    (void)state;
    enum { DAYS = 3650, MONTH = 30, DAY_BYTES = 7, MOST = 200 };
    struct forward_pack packs[MOST];
    size_t count = 1, most = 0;
    uint64_t written = 0, total = 500;
    packs[0] = (struct forward_pack){ .size = total, .live = total };
    for (unsigned day = 1; day <= DAYS; day++) {
        assert_true(count < MOST);
        packs[count] = (struct forward_pack){ .size = DAY_BYTES, .live = DAY_BYTES };
        memcpy(packs[count++].name, &day, sizeof(day));
        total += DAY_BYTES;
        if (day % MONTH != 0)
            continue;
        uint64_t bytes = forward_choose(packs, count, 32 << 10);
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
            if (!packs[i].avoid)
                packs[kept++] = packs[i];
        if (bytes > 0) {
            packs[kept] = (struct forward_pack){ .size = bytes, .live = bytes };
            memcpy(packs[kept++].name, &day, sizeof(day));
        }
        count = kept;
        written += bytes;
        most = count > most ? count : most;
    }
    assert_true(most <= 12);
    assert_true(written <= 8 * total);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, spied_set_up, spied_tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(bucket_that_fails_anywhere_costs_itself_only),
        FRESH(put_without_an_answer_is_repeated),
        FRESH(pending_stays_where_the_home_never_answers),
        FRESH(run_without_any_bucket_fails_with_the_first_reason),
        FRESH(lagging_bucket_drops_out_when_the_spool_is_full),
        FRESH(nobody_drops_out_while_too_few_are_on_time),
        FRESH(nearly_as_fast_is_waited_for_until_it_stands_still),
        FRESH(bucket_that_fails_for_a_moment_is_filled_by_the_commit),
        FRESH(bucket_behind_a_network_gets_some_packs_at_once),
        FRESH(lagging_buckets_that_are_needed_are_waited_for),
        cmocka_unit_test(upload_is_paced_in_slices),
        cmocka_unit_test(no_limit_asks_nobody),
        FRESH(cancel_ends_the_waiting_for_a_paced_upload),
        FRESH(paced_upload_arrives_whole),
        cmocka_unit_test(forward_takes_what_is_worth_it),
        cmocka_unit_test(forward_over_years_writes_each_byte_few_times),
    };
    return cmocka_run_group_tests_name("buckets", tests, NULL, NULL);
}
