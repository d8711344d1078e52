/*
 * Retention by recorded cases: each is a line of snapshots as a person would draw it, the clock, and
 * what may go. Times are days; "now" is day 100 unless a case says otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backup/work/retention.h"
#include "dr/base/mem.h"

#define DAY_NS (INT64_C(86400) * 1000000000)
#define DAY_MS (INT64_C(86400) * 1000)

enum { ROWS_MAX = 12 };

/* kind f, i or c; then flags: p proved, P pinned, x incomplete, r refused, l lags. */
struct row {
    double day;
    const char *what;
    int epoch;
    const char *why; /* part of the reason; NULL: not looked at */
    bool goes;
};

struct drawing {
    const char *fact;
    double now; /* 0: day 100 */
    const char *failed;
    const char *holds; /* part of the hold's words, or NULL: free */
    enum retention_hold_kind hold;
    struct row rows[ROWS_MAX];
};

/* full 30 days, incremental 10 days, config 2 days. */
static const struct retention_periods periods = { .full_ms = 30 * DAY_MS,
                                                  .incremental_ms = 10 * DAY_MS,
                                                  .config_ms = 2 * DAY_MS };

#define BEHIND .hold = RETENTION_CLOCK_BEHIND, .holds = "clock is"
#define AHEAD  .hold = RETENTION_CLOCK_AHEAD, .holds = "more than a retention of"
#define FAILED .hold = RETENTION_RUN_FAILED

/* clang-format off */
static const struct drawing drawings[] = {
    { "nothing is judged where nothing is", .rows = { { .day = 0 } } },
    { "one young snapshot stays", .rows = { { .day = 99, .what = "f", .why = "not older than 30d" } } },
    { "the only one stays whatever its age, and the clock is doubted",
      AHEAD, .rows = { { .day = 10, .what = "f", .why = "the newest complete full" } } },
    { "older than its retention goes",
      .rows = { { .day = 60, .what = "f", .goes = true, .why = "40d 0h old, kept for 30d" }, { .day = 99, .what = "f" } } },
    { "as old as its retention stays", .rows = { { .day = 70, .what = "f" }, { .day = 99, .what = "f" } } },
    { "a moment older goes", .rows = { { .day = 69.99, .what = "f", .goes = true }, { .day = 99, .what = "f" } } },
    { "all the old ones go",
      .rows = { { .day = 10, .what = "f", .goes = true }, { .day = 20, .what = "f", .goes = true }, { .day = 69, .what = "f", .goes = true },
                { .day = 90, .what = "f" }, { .day = 99, .what = "f" } } },
    { "each kind has its own period",
      .rows = { { .day = 80, .what = "f" }, { .day = 80, .what = "i", .goes = true }, { .day = 80, .what = "c", .goes = true }, { .day = 97, .what = "c", .goes = true },
                { .day = 99, .what = "i" }, { .day = 99, .what = "c" } } },
    { "of each kind the newest complete one stays",
      .rows = { { .day = 10, .what = "f", .goes = true }, { .day = 20, .what = "f", .why = "the newest complete full" },
                { .day = 30, .what = "i", .goes = true }, { .day = 40, .what = "i", .why = "the newest complete incremental" },
                { .day = 50, .what = "c", .goes = true }, { .day = 99, .what = "c" } } },
    { "an incremental does not keep its full",
      .rows = { { .day = 60, .what = "f", .goes = true }, { .day = 65, .what = "f", .why = "newest complete" }, { .day = 99, .what = "i" } } },
    { "the newest proved one stays though newer ones are there",
      .rows = { { .day = 20, .what = "fp", .goes = true }, { .day = 40, .what = "fp", .why = "the newest proved full" },
                { .day = 60, .what = "f", .goes = true }, { .day = 99, .what = "f" } } },
    { "a young proved one frees the old proved one",
      .rows = { { .day = 20, .what = "fp", .goes = true }, { .day = 80, .what = "fp" }, { .day = 99, .what = "f" } } },
    { "proved is asked of each kind",
      .rows = { { .day = 20, .what = "fp", .why = "proved full" }, { .day = 20, .what = "ip", .why = "proved incremental" },
                { .day = 50, .what = "f", .goes = true }, { .day = 50, .what = "i", .goes = true }, { .day = 99, .what = "f" }, { .day = 99, .what = "i" } } },
    { "a pinned one stays", .rows = { { .day = 20, .what = "fP", .why = "pinned" }, { .day = 50, .what = "f", .goes = true }, { .day = 99, .what = "f" } } },
    { "a pinned one that is young is called pinned", .rows = { { .day = 99, .what = "fP", .why = "pinned" } } },
    { "a refused one is not judged", .rows = { { .day = 20, .what = "fr", .why = "refused" }, { .day = 99, .what = "f" } } },
    { "a refused one protects nobody and is no newest one",
      .rows = { { .day = 60, .what = "f", .goes = true }, { .day = 65, .what = "f", .why = "newest complete" }, { .day = 95, .what = "i" }, { .day = 99, .what = "fr" } } },
    { "an incomplete one goes by age like others",
      .rows = { { .day = 60, .what = "fx", .goes = true }, { .day = 99, .what = "f" } } },
    { "an incomplete one is not the newest complete one",
      .rows = { { .day = 50, .what = "f", .goes = true }, { .day = 60, .what = "f", .why = "the newest complete" }, { .day = 99, .what = "fx" } } },
    { "an incomplete one that was proved once protects nothing",
      .rows = { { .day = 40, .what = "fxp", .goes = true }, { .day = 60, .what = "f", .goes = true }, { .day = 99, .what = "f" } } },
    { "where none is complete the newest stays",
      .rows = { { .day = 50, .what = "fx", .goes = true }, { .day = 60, .what = "fx", .why = "not complete, but the newest" }, { .day = 99, .what = "i" } } },
    { "where one is complete an incomplete newest may go",
      .rows = { { .day = 50, .what = "f", .why = "the newest complete" }, { .day = 60, .what = "fx", .goes = true }, { .day = 99, .what = "i" } } },
    { "only incomplete ones, and all young", .rows = { { .day = 98, .what = "fx" }, { .day = 99, .what = "fx" } } },
    { "a kind of a later version stays",
      .rows = { { .day = 10, .what = "z", .why = "no retention is configured for kind" }, { .day = 99, .what = "f" } } },

    /* the clock */
    { "a clock behind the newest holds everything", BEHIND, .now = 95,
      .rows = { { .day = 20, .what = "f", .why = "nothing expires now" }, { .day = 99, .what = "f" } } },
    { "a nanosecond behind is behind", BEHIND, .now = 98.999999,
      .rows = { { .day = 20, .what = "f" }, { .day = 99, .what = "f" } } },
    { "the same moment is not behind", .now = 99, .rows = { { .day = 20, .what = "f", .goes = true }, { .day = 99, .what = "f" } } },
    { "a snapshot from the future holds, whatever its kind", BEHIND,
      .rows = { { .day = 20, .what = "f" }, { .day = 99, .what = "f" }, { .day = 5000, .what = "c" } } },
    { "a refused one from the future holds nobody",
      .rows = { { .day = 20, .what = "f", .goes = true }, { .day = 99, .what = "f" }, { .day = 5000, .what = "fr" } } },
    { "an incomplete one from the future holds", BEHIND, .rows = { { .day = 20, .what = "f" }, { .day = 99, .what = "f" }, { .day = 5000, .what = "fx" } } },
    { "a clock far ahead holds everything", AHEAD, .now = 1000,
      .rows = { { .day = 20, .what = "f", .why = "nothing expires now" }, { .day = 98, .what = "f", .why = "nothing expires now" },
                { .day = 99, .what = "f" } } },
    { "exactly one period ahead is not too far", .now = 129, .rows = { { .day = 20, .what = "f", .goes = true }, { .day = 99, .what = "f" } } },
    { "a moment more than one period ahead is", AHEAD, .now = 129.001, .rows = { { .day = 20, .what = "f" }, { .day = 99, .what = "f" } } },
    { "the shortest period of the kinds that are there counts", AHEAD, .now = 111,
      .rows = { { .day = 20, .what = "f" }, { .day = 99, .what = "f" }, { .day = 98, .what = "i" } } },
    { "kinds that are not there do not count", .now = 120, .rows = { { .day = 20, .what = "f", .goes = true }, { .day = 99, .what = "f" } } },
    { "a young snapshot of any kind shows that backups go on", .now = 200,
      .rows = { { .day = 20, .what = "f", .goes = true }, { .day = 99, .what = "f" }, { .day = 199, .what = "i" } } },
    { "all expired, clock ahead or backups stopped: nothing goes", AHEAD, .now = 400,
      .rows = { { .day = 10, .what = "f" }, { .day = 20, .what = "f" }, { .day = 30, .what = "i" }, { .day = 40, .what = "c" } } },

    /* runs that failed */
    { "after a run that failed nothing goes", FAILED, .holds = "disk on fire", .failed = "disk on fire",
      .rows = { { .day = 20, .what = "f", .why = "nothing expires now" }, { .day = 99, .what = "f" } } },
    { "a newest one that is not in every bucket holds", FAILED, .holds = "not in every bucket",
      .rows = { { .day = 20, .what = "f" }, { .day = 99, .what = "fl" } } },
    { "an older one that lags holds nobody", .rows = { { .day = 20, .what = "f", .goes = true }, { .day = 90, .what = "fl" }, { .day = 99, .what = "f" } } },
    { "the clock is told before the run", BEHIND, .now = 50, .failed = "x", .rows = { { .day = 10, .what = "f" }, { .day = 99, .what = "f" } } },

    /* epochs */
    { "the newest of the greatest epoch and the newest by time both stay",
      .rows = { { .day = 40, .what = "f", .epoch = 2, .why = "newest complete" }, { .day = 60, .what = "f", .epoch = 1, .why = "newest complete" },
                { .day = 50, .what = "f", .epoch = 1, .goes = true }, { .day = 30, .what = "f", .epoch = 2, .goes = true }, { .day = 99, .what = "i", .epoch = 2 } } },
    { "the newest proved likewise",
      .rows = { { .day = 40, .what = "fp", .epoch = 2, .why = "newest proved" }, { .day = 60, .what = "fp", .epoch = 1, .why = "newest proved" },
                { .day = 50, .what = "fp", .epoch = 1, .goes = true }, { .day = 99, .what = "f", .epoch = 3 } } },
    { "a greater epoch does not keep the older ones of it",
      .rows = { { .day = 20, .what = "f", .epoch = 5, .goes = true }, { .day = 40, .what = "f", .epoch = 5, .goes = true }, { .day = 99, .what = "f", .epoch = 5 } } },
    { "snapshots before 1970 have an age, too", .rows = { { .day = -100, .what = "f", .goes = true }, { .day = 99, .what = "f" } } },
};
/* clang-format on */

static int64_t day_ns(double day)
{
    return (int64_t)(day * 1000000) * (DAY_NS / 1000000);
}

static struct retention_snapshot snapshot_of(const struct row *r)
{
    const char *kind = r->what[0] == 'f'   ? "full"
                       : r->what[0] == 'i' ? "incremental"
                       : r->what[0] == 'c' ? "config"
                                           : "holographic";
    bool incomplete = strchr(r->what, 'x') != NULL, refused = strchr(r->what, 'r') != NULL;
    return (struct retention_snapshot){ .kind = kind,
                                        .state = refused      ? SNAPSHOT_REFUSED
                                                 : incomplete ? SNAPSHOT_INCOMPLETE
                                                              : SNAPSHOT_GOOD,
                                        .epoch = r->epoch,
                                        .start_ns = day_ns(r->day) - 1000,
                                        .end_ns = day_ns(r->day),
                                        .proved_ns = strchr(r->what, 'p') != NULL,
                                        .pinned = strchr(r->what, 'P') != NULL,
                                        .lags = strchr(r->what, 'l') != NULL };
}

/* Rows in the given order, or backwards: the verdicts must not depend on it. */
static void check(const struct drawing *d, bool backwards)
{
    struct retention_snapshot snapshots[ROWS_MAX];
    struct retention_verdict verdicts[ROWS_MAX];
    const struct row *rows[ROWS_MAX];
    size_t count = 0;
    while (count < ROWS_MAX && d->rows[count].what != NULL)
        count++;
    for (size_t i = 0; i < count; i++) {
        rows[i] = &d->rows[backwards ? count - 1 - i : i];
        snapshots[i] = snapshot_of(rows[i]);
    }
    const struct retention_question q = { .snapshots = snapshots,
                                          .count = count,
                                          .periods = periods,
                                          .now_ns = day_ns(d->now != 0 ? d->now : 100),
                                          .failed = d->failed };
    struct retention_hold hold;
    retention_decide(&q, verdicts, &hold);
    if (hold.kind != d->hold || (d->holds != NULL && strstr(hold.why, d->holds) == NULL))
        fail_msg("%s: held %d '%s'", d->fact, (int)hold.kind, hold.why);
    for (size_t i = 0; i < count; i++) {
        bool words = rows[i]->why == NULL || strstr(verdicts[i].why, rows[i]->why) != NULL;
        if (verdicts[i].expire != rows[i]->goes || !words || verdicts[i].why[0] == '\0')
            fail_msg("%s: the one of day %g %s: %s", d->fact, rows[i]->day,
                     verdicts[i].expire ? "goes" : "stays", verdicts[i].why);
    }
}

static void every_drawing_is_decided_as_drawn(void **state)
{
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(drawings); i++) {
        check(&drawings[i], false);
        check(&drawings[i], true);
    }
    print_message("  %zu drawings\n", DR_ARRAY_LEN(drawings));
}

static void nothing_expires_without_a_configured_retention(void **state)
{
    (void)state;
    const struct retention_snapshot s[] = {
        { .kind = "full", .end_ns = day_ns(1) },
        { .kind = "full", .end_ns = day_ns(99) },
    };
    const struct retention_question q = { .snapshots = s, .count = 2, .now_ns = day_ns(5000) };
    struct retention_verdict v[2];
    struct retention_hold hold;
    retention_decide(&q, v, &hold);
    assert_int_equal(hold.kind, RETENTION_FREE);
    assert_false(v[0].expire || v[1].expire);
}

/* Whatever the clock says, a source never loses its last complete or its last proved snapshot. */
static void the_last_good_ones_survive_any_clock(void **state)
{
    (void)state;
    const struct row rows[] = { { .day = 10, .what = "fp" },
                                { .day = 20, .what = "f" },
                                { .day = 30, .what = "ip" },
                                { .day = 40, .what = "i" },
                                { .day = 50, .what = "c" } };
    struct retention_snapshot s[DR_ARRAY_LEN(rows)];
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++)
        s[i] = snapshot_of(&rows[i]);
    for (double now = -1000; now < 5000; now += 0.5) {
        const struct retention_question q = {
            .snapshots = s, .count = DR_ARRAY_LEN(s), .periods = periods, .now_ns = day_ns(now)
        };
        struct retention_verdict v[DR_ARRAY_LEN(rows)];
        struct retention_hold hold;
        retention_decide(&q, v, &hold);
        for (size_t i = 0; i < DR_ARRAY_LEN(s); i++)
            assert_false(v[i].expire);
    }
}

/* The extremes of the type are times like others. */
static void impossible_times_overflow_nothing(void **state)
{
    (void)state;
    const struct retention_snapshot s[] = {
        { .kind = "full", .end_ns = INT64_MIN },
        { .kind = "full", .end_ns = 0 },
    };
    const struct retention_question q = {
        .snapshots = s, .count = 2, .periods = periods, .now_ns = INT64_MAX
    };
    struct retention_verdict v[2];
    struct retention_hold hold;
    retention_decide(&q, v, &hold);
    assert_int_equal(hold.kind, RETENTION_CLOCK_AHEAD);
    assert_false(v[0].expire || v[1].expire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_drawing_is_decided_as_drawn),
        cmocka_unit_test(nothing_expires_without_a_configured_retention),
        cmocka_unit_test(the_last_good_ones_survive_any_clock),
        cmocka_unit_test(impossible_times_overflow_nothing),
    };
    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
