/*
 * Retries and the window: how long to wait and how many at once, by tables and a seeded generator.
 *
 * Both are pure: time is the fake clock's, and a second run draws the same numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/net/retry.h"
#include "dr/net/window.h"

enum { SEEDS = 2000 };

static int64_t now_ns;

static int64_t fake_now(void)
{
    return now_ns;
}

static int fake_clock(void **state)
{
    (void)state;
    now_ns = INT64_C(1000) * 1000000000;
    dr_clock.boot_ns = fake_now;
    return 0;
}

/* -- retry --------------------------------------------------------------------------------- */

static void waits_are_spread_over_a_ceiling_that_doubles_up_to_its_cap(void **state)
{
    (void)state;
    struct retry_policy policy = {
        .attempts = 12, .base_ms = 100, .cap_ms = 20000, .after_cap_ms = 1000
    };
    for (unsigned n = 1; n < policy.attempts; n++) {
        int64_t ceiling = n > 8 ? 20000 : INT64_C(100) << (n - 1);
        if (ceiling > 20000)
            ceiling = 20000;
        int64_t sum = 0, least = INT64_MAX, most = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct retry r;
            int64_t wait = 0;
            retry_begin(&r, &policy, clock_boot_ms(), 0, seed);
            for (unsigned i = 0; i < n; i++)
                wait = retry_next(&r, clock_boot_ms(), -1);
            assert_in_range(wait, 0, ceiling);
            sum += wait;
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
        }
        /* Uniform over 0..ceiling: the mean of 2000 is within 4 % of the middle (6 sigma). */
        assert_in_range(sum / SEEDS, ceiling * 46 / 100, ceiling * 54 / 100);
        assert_true(least <= ceiling / 50 && most >= ceiling * 98 / 100);
    }
}

static void attempts_are_bounded(void **state)
{
    (void)state;
    struct retry r;
    retry_begin(&r, NULL, clock_boot_ms(), 0, 7);
    unsigned waits = 0;
    while (retry_next(&r, clock_boot_ms(), -1) >= 0)
        waits++;
    assert_int_equal(waits, 5);
    assert_int_equal(r.made, 6);
    assert_int_equal(retry_next(&r, clock_boot_ms(), 0), -1);
    struct retry_policy once = { .attempts = 1, .base_ms = 1, .cap_ms = 1 };
    retry_begin(&r, &once, clock_boot_ms(), 0, 7);
    assert_int_equal(retry_next(&r, clock_boot_ms(), -1), -1);
}

/* Attempts of many lengths, deadlines of many lengths: whatever is drawn, no wait ends at or
 * behind the deadline, and giving up comes only with no time or no attempt left. */
static void no_wait_reaches_the_deadline(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int64_t deadline = clock_boot_ms() + (int64_t)(seed * 7 % 3000);
        int64_t after = seed % 3 == 0 ? (int64_t)(seed % 900) : -1;
        struct retry r;
        retry_begin(&r, NULL, clock_boot_ms(), deadline, seed);
        for (;;) {
            now_ns += (int64_t)(seed % 40) * 1000000; /* the attempt */
            int64_t left = deadline - clock_boot_ms();
            int64_t wait = retry_next(&r, clock_boot_ms(), after);
            if (wait < 0) {
                assert_true(r.made == 6 || left <= 1 || after >= left);
                break;
            }
            now_ns += wait * 1000000;
            assert_true(clock_boot_ms() < deadline);
        }
    }
}

static void retry_after_is_waited_for_up_to_its_cap(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct retry r;
        retry_begin(&r, NULL, clock_boot_ms(), 0, seed);
        assert_in_range(retry_next(&r, clock_boot_ms(), 3000), 3000, 3100);
        assert_in_range(retry_next(&r, clock_boot_ms(), INT64_C(3600) * 1000), 120000, 120200);
        assert_in_range(retry_next(&r, clock_boot_ms(), 0), 0, 400);
    }
    struct retry r;
    retry_begin(&r, NULL, clock_boot_ms(), clock_boot_ms() + 3000, 1);
    assert_int_equal(retry_next(&r, clock_boot_ms(), 3000), -1); /* it would pass the deadline */
}

static void equal_seeds_wait_equally_and_others_do_not(void **state)
{
    (void)state;
    struct retry a, b, c;
    unsigned differ = 0;
    retry_begin(&a, NULL, clock_boot_ms(), 0, 1);
    retry_begin(&b, NULL, clock_boot_ms(), 0, 1);
    retry_begin(&c, NULL, clock_boot_ms(), 0, 2);
    for (int i = 0; i < 5; i++) {
        int64_t wait = retry_next(&a, clock_boot_ms(), -1);
        assert_int_equal(wait, retry_next(&b, clock_boot_ms(), -1));
        differ += wait != retry_next(&c, clock_boot_ms(), -1);
    }
    assert_true(differ >= 3);
}

static void only_what_may_be_repeated_is(void **state)
{
    (void)state;
    static const struct {
        enum dr_rc rc;
        int status;
        bool sent, idempotent, other; /* other: not idempotent */
    } rows[] = {
        { DR_OK, 200, true, false, false },         { DR_OK, 400, true, false, false },
        { DR_OK, 401, true, false, false },         { DR_OK, 403, true, false, false },
        { DR_OK, 404, true, false, false },         { DR_OK, 409, true, false, false },
        { DR_OK, 412, true, false, false },         { DR_OK, 501, true, false, false },
        { DR_OK, 301, true, false, false },         { DR_OK, 408, true, true, false },
        { DR_OK, 429, true, true, true },           { DR_OK, 500, true, true, false },
        { DR_OK, 502, true, true, false },          { DR_OK, 503, true, true, false },
        { DR_OK, 504, true, true, false },          { DR_E_TRANSIENT, 0, false, true, true },
        { DR_E_TRANSIENT, 0, true, true, false },   { DR_E_TIMEOUT, 0, false, true, true },
        { DR_E_TIMEOUT, 200, true, true, false },   { DR_E_TRANSIENT, 200, true, true, false },
        { DR_E_DENIED, 0, false, false, false },    { DR_E_REFUSED, 0, false, false, false },
        { DR_E_CORRUPT, 200, true, false, false },  { DR_E_USAGE, 0, false, false, false },
        { DR_E_CANCELLED, 0, false, false, false }, { DR_E_NOMEM, 0, false, false, false },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        assert_int_equal(retry_may(rows[i].rc, rows[i].status, rows[i].sent, true),
                         rows[i].idempotent);
        assert_int_equal(retry_may(rows[i].rc, rows[i].status, rows[i].sent, false), rows[i].other);
    }
}

static void retry_after_is_read_as_seconds_or_as_a_date(void **state)
{
    (void)state;
    int64_t wall_ns = INT64_C(784111777) * 1000000000; /* 1994-11-06T08:49:37Z */
    static const struct {
        const char *value;
        int64_t ms;
    } rows[] = {
        { NULL, -1 },
        { "", -1 },
        { "soon", -1 },
        { "12 s", -1 },
        { "-3", -1 },
        { "0", 0 },
        { "7", 7000 },
        { " 120 ", 120000 },
        { "99999999999999999999", INT64_C(1000000000000) },
        { "Sun, 06 Nov 1994 08:49:47 GMT", 10000 },
        { "Sunday, 06-Nov-94 08:49:47 GMT", 10000 },
        { "Sun Nov  6 08:49:47 1994", 10000 },
        { "Sun, 06 Nov 1994 08:00:00 GMT", 0 },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++)
        assert_int_equal(retry_after_ms(rows[i].value, wall_ns), rows[i].ms);
}

/* -- window -------------------------------------------------------------------------------- */

/* g: a good answer of a full window; i: a good answer of a window with room; b: a bad one of a
 * request that began now; o: a bad one of a request that began before the last halving. */
static void window_follows_its_table(void **state)
{
    (void)state;
    static const struct {
        unsigned max;
        const char *answers;
        unsigned size;
    } rows[] = {
        { 32, "", 4 },
        { 32, "ggg", 4 },
        { 32, "gggg", 5 },
        { 32, "ggggggggg", 6 },
        { 32, "iiiiiiiiiiiiiiii", 4 },     /* never full: nothing learnt */
        { 5, "ggggggggggggggggggggg", 5 }, /* its bound */
        { 2, "", 2 },
        { 1, "gggg", 1 },
        { 32, "b", 2 },
        { 32, "bb", 1 },
        { 32, "bbbbb", 1 }, /* one request is always allowed */
        { 32, "boooo", 2 }, /* one burst halves once */
        { 32, "gggb", 2 },
        { 32, "gggbg", 2 }, /* counting begins anew */
        { 32, "gggbgg", 3 },
        { 32, "bgogg", 3 },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct window w;
        int64_t now = 1000;
        window_init(&w, rows[i].max);
        for (const char *a = rows[i].answers; *a != '\0'; a++) {
            now += 10;
            if (*a == 'g')
                window_good(&w, w.size);
            else if (*a == 'i')
                window_good(&w, w.size - 1);
            else
                window_bad(&w, *a == 'o' ? w.halved_at - 1 : now - 1, now);
        }
        if (w.size != rows[i].size)
            fail_msg("'%s' up to %u: %u, not %u", rows[i].answers, rows[i].max, w.size,
                     rows[i].size);
    }
}

static void window_finds_what_a_server_bears(void **state)
{
    (void)state;
    struct window w;
    window_init(&w, 64);
    unsigned low = 64, high = 0;
    for (int64_t round = 1; round < 400; round++) { /* all of a window at once, a round trip each */
        unsigned sent = w.size;
        for (unsigned i = 0; i < sent; i++) {
            if (i < 20)
                window_good(&w, sent);
            else
                window_bad(&w, round * 100, round * 100 + 99);
        }
        if (round > 50) {
            low = w.size < low ? w.size : low;
            high = w.size > high ? w.size : high;
        }
    }
    assert_in_range(low, 10, 20);
    assert_in_range(high, 20, 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_are_spread_over_a_ceiling_that_doubles_up_to_its_cap),
        cmocka_unit_test(attempts_are_bounded),
        cmocka_unit_test(no_wait_reaches_the_deadline),
        cmocka_unit_test(retry_after_is_waited_for_up_to_its_cap),
        cmocka_unit_test(equal_seeds_wait_equally_and_others_do_not),
        cmocka_unit_test(only_what_may_be_repeated_is),
        cmocka_unit_test(retry_after_is_read_as_seconds_or_as_a_date),
        cmocka_unit_test(window_follows_its_table),
        cmocka_unit_test(window_finds_what_a_server_bears),
    };
    return cmocka_run_group_tests(tests, fake_clock, NULL);
}
