/*
 * test_schedule.c - years of a schedule in a second: what runs when, whatever the clocks do.
 *
 * Each case is a story of phases. A simulator plays backupd: it ticks, starts what schedule_next() gives, ends it
 * after its time, and sleeps as schedule_wait_ms() says, on two clocks of its own. In every phase it counts the
 * starts, and it asserts throughout what must hold always: no source is worked on twice at once, and a
 * loop without progress ends the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "backup/daemon/schedule.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, ROWS = 3, ANY = 100000 };

static const int64_t S_NS = 1000000000;

static const struct schedule_every daily = { .ms = 86400000, .word = "daily" };
static const struct schedule_every hourly = { .ms = 3600000, .word = "hourly" };
static const struct schedule_every every_15m = { .ms = 900000 };

/* ---- the simulator ----------------------------------------------------------------------------- */

static struct world {
    struct schedule s;
    int64_t wall_ns, boot_ns;
    int64_t ends_ns[ROWS]; /* on the boot clock; of what runs */
    int64_t began_ns[ROWS];
    int64_t least_gap_s[ROWS], most_gap_s[ROWS]; /* between two starts, on the boot clock */
    int starts[ROWS];
    int exit[ROWS];
    int64_t takes_s[ROWS];
} w;

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static void begin(const char *zone, const char *at)
{
    schedule_fini(&w.s);
    memset(&w, 0, sizeof(w));
    set_zone(zone);
    assert_true(time_parse(at, &w.wall_ns));
    w.boot_ns = 1000 * S_NS;
    w.s.host = 42;
    for (size_t i = 0; i < ROWS; i++)
        w.takes_s[i] = 30;
}

static void tick(void)
{
    schedule_tick(&w.s, w.wall_ns, w.boot_ns);
}

static void note_start(size_t i)
{
    int64_t gap_s = (w.boot_ns - w.began_ns[i]) / S_NS;
    if (w.began_ns[i] != 0 && (w.least_gap_s[i] == 0 || gap_s < w.least_gap_s[i]))
        w.least_gap_s[i] = gap_s;
    if (w.began_ns[i] != 0 && gap_s > w.most_gap_s[i])
        w.most_gap_s[i] = gap_s;
    w.began_ns[i] = w.boot_ns;
    w.ends_ns[i] = w.boot_ns + w.takes_s[i] * S_NS;
    w.starts[i]++;
}

static void start_due(void)
{
    struct schedule_row *row;
    for (int n = 0; (row = schedule_next(&w.s)) != NULL; n++) {
        assert_true(n < 10);
        for (size_t i = 0; i < w.s.count; i++)
            if (w.s.rows[i].running && schedule_is_backup(row->what) &&
                schedule_is_backup(w.s.rows[i].what))
                assert_string_not_equal(w.s.rows[i].subject, row->subject);
        schedule_started(&w.s, row);
        note_start((size_t)(row - w.s.rows));
    }
}

static void end_done(void)
{
    for (size_t i = 0; i < w.s.count; i++)
        if (w.s.rows[i].running && w.ends_ns[i] <= w.boot_ns)
            schedule_ended(&w.s, &w.s.rows[i], w.exit[i]);
}

static int64_t sleep_ns(int64_t until_ns)
{
    int64_t ns = schedule_wait_ms(&w.s) * 1000000;
    for (size_t i = 0; i < w.s.count; i++)
        if (w.s.rows[i].running && w.ends_ns[i] - w.boot_ns < ns)
            ns = w.ends_ns[i] - w.boot_ns;
    if (until_ns - w.boot_ns < ns)
        ns = until_ns - w.boot_ns;
    return ns > 0 ? ns : 1000000;
}

static void go(int64_t seconds)
{
    int64_t until_ns = w.boot_ns + seconds * S_NS;
    memset(w.starts, 0, sizeof(w.starts));
    memset(w.least_gap_s, 0, sizeof(w.least_gap_s));
    memset(w.most_gap_s, 0, sizeof(w.most_gap_s));
    while (w.boot_ns < until_ns) {
        tick();
        end_done();
        start_due();
        int64_t ns = sleep_ns(until_ns);
        w.boot_ns += ns;
        w.wall_ns += ns;
    }
    tick();
    end_done();
}

/* ---- the cases ----------------------------------------------------------------------------------- */

enum how {
    GO,      /* time passes */
    JUMP,    /* the wall clock is put forward, or back */
    SUSPEND, /* nobody is there, and both clocks go on */
    OFF,     /* the machine is off: another boot; the history was on disk */
    END,
};

struct phase {
    enum how how;
    int64_t seconds;
    int exit_full, exit_often;
    int full_least, full_most, often_least, often_most; /* starts, in a GO */
};

#define PHASES 8

/* A full each day and an incremental each hour, of one source. */
static const struct {
    const char *name, *zone, *at;
    struct phase phases[PHASES];
} cases[] = {
    { "the first day begins with one full, which stands for the incremental",
      "UTC",
      "2026-11-21T12:34:56Z",
      { { GO, 20 * MINUTE, 0, 0, 1, 1, 0, 1 }, { GO, DAY, 0, 0, 1, 1, 22, 25 }, { .how = END } } },
    { "a week has seven fulls",
      "UTC",
      "2026-11-21T12:00:00Z",
      { { GO, HOUR, 0, 0, 1, 1, 0, 2 }, { GO, 7 * DAY, 0, 0, 7, 7, 160, 169 }, { .how = END } } },
    { "an hour lost to a clock put back is no hour without backups",
      "UTC",
      "2026-11-21T12:00:00Z",
      { { GO, DAY, 0, 0, 1, 2, 20, 26 },
        { .how = JUMP, .seconds = -HOUR },
        { GO, HOUR + MINUTE, 0, 0, 0, 1, 1, 2 },
        { GO, DAY, 0, 0, 1, 1, 22, 25 },
        { .how = END } } },
    { "a clock put forward by a month starts no storm",
      "UTC",
      "2026-11-21T12:00:00Z",
      { { GO, DAY, 0, 0, 1, 2, 20, 26 },
        { .how = JUMP, .seconds = 30 * DAY },
        { GO, 10 * MINUTE, 0, 0, 0, 1, 0, 1 },
        { GO, DAY, 0, 0, 0, 2, 22, 26 },
        { .how = END } } },
    { "after a week of suspend there is one full and nothing else is caught up",
      "UTC",
      "2026-11-21T12:00:00Z",
      { { GO, DAY, 0, 0, 1, 2, 20, 26 },
        { .how = SUSPEND, .seconds = 7 * DAY },
        { GO, 10 * MINUTE, 0, 0, 1, 1, 0, 1 },
        { GO, DAY, 0, 0, 1, 1, 22, 26 },
        { .how = END } } },
    { "after a week without power there is one full and nothing else is caught up",
      "UTC",
      "2026-11-21T12:00:00Z",
      { { GO, DAY, 0, 0, 1, 2, 20, 26 },
        { .how = OFF, .seconds = 7 * DAY },
        { GO, 10 * MINUTE, 0, 0, 1, 1, 0, 1 },
        { GO, DAY, 0, 0, 1, 1, 22, 26 },
        { .how = END } } },
    { "a restart runs nothing that ran already",
      "UTC",
      "2026-11-21T12:20:00Z",
      { { GO, 12 * HOUR, 0, 0, 1, 2, 8, 14 },
        { .how = OFF, .seconds = 2 },
        { GO, 1, 0, 0, 0, 0, 0, 0 },
        { .how = OFF, .seconds = 2 },
        { GO, 1, 0, 0, 0, 0, 0, 0 },
        { GO, HOUR, 0, 0, 0, 1, 1, 2 },
        { .how = END } } },
    { "the day of 23 hours has one full",
      "Europe/Amsterdam",
      "2026-03-27T12:00:00Z",
      { { GO, 12 * HOUR, 0, 0, 1, 2, 9, 14 },
        { GO, 4 * DAY, 0, 0, 4, 4, 90, 98 },
        { .how = END } } },
    { "the day of 25 hours has one full",
      "Europe/Amsterdam",
      "2026-10-23T12:00:00Z",
      { { GO, 12 * HOUR, 0, 0, 1, 2, 9, 14 },
        { GO, 4 * DAY, 0, 0, 4, 4, 90, 98 },
        { .how = END } } },
    { "where the clocks change at midnight, too",
      "America/Santiago",
      "2026-09-03T12:00:00Z",
      { { GO, 18 * HOUR, 0, 0, 1, 2, 9, 20 },
        { GO, 5 * DAY, 0, 0, 5, 5, 112, 122 },
        { .how = END } } },
    { "a full that fails is tried again, ever later, and incrementals go on",
      "UTC",
      "2026-11-21T12:00:00Z",
      { { GO, 2 * HOUR, 0, 0, 1, 2, 1, 3 },
        { GO, 2 * DAY, 1, 0, 40, 70, 44, 50 },
        { GO, 2 * HOUR, 0, 0, 1, 1, 1, 3 },
        { GO, DAY, 0, 0, 1, 1, 22, 26 },
        { .how = END } } },
    { "a bucket that is away for a day is no loop",
      "UTC",
      "2026-11-21T12:00:00Z",
      { { GO, 2 * HOUR, 0, 0, 1, 2, 1, 3 },
        { GO, DAY, 1, 1, 1, 36, 24, 40 },
        { GO, 2 * HOUR, 0, 0, 1, 1, 1, 3 },
        { .how = END } } },
    { "a history from the future is one run, not silence",
      "UTC",
      "2026-11-21T12:00:00Z",
      { { GO, DAY, 0, 0, 1, 2, 20, 26 },
        { .how = OFF, .seconds = -300 * DAY },
        { GO, 10 * MINUTE, 0, 0, 1, 1, 0, 1 },
        { GO, DAY, 0, 0, 1, 1, 22, 26 },
        { .how = END } } },
};

static void between(const char *name, size_t phase, const char *what, int got, int least, int most)
{
    if (got < least || got > most)
        fail_msg("%s: phase %zu: %d starts of %s, wanted %d to %d", name, phase, got, what, least,
                 most);
}

static void play(size_t n)
{
    begin(cases[n].zone, cases[n].at);
    (void)schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
    (void)schedule_add(&w.s, SCHEDULE_INCREMENTAL, "app", &hourly);
    for (size_t i = 0; i < PHASES && cases[n].phases[i].how != END; i++) {
        const struct phase *p = &cases[n].phases[i];
        w.exit[0] = p->exit_full;
        w.exit[1] = p->exit_often;
        if (p->how != GO)
            w.wall_ns += p->seconds * S_NS;
        if (p->how == SUSPEND)
            w.boot_ns += p->seconds * S_NS;
        if (p->how == OFF) {
            w.s.wall_ns = w.s.boot_ns = w.s.awake_ns = 0;
            w.boot_ns = 7 * S_NS;
            memset(w.began_ns, 0, sizeof(w.began_ns));
        }
        if (p->how != GO)
            continue;
        go(p->seconds);
        between(cases[n].name, i, "the full", w.starts[0], p->full_least, p->full_most);
        between(cases[n].name, i, "the incremental", w.starts[1], p->often_least, p->often_most);
    }
}

static void the_stories_of_the_table(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++)
        play(n);
}

/* ---- facts of their own ---------------------------------------------------------------------------- */

static void jumps_raise_no_false_alarm(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    (void)schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
    go(DAY);
    w.wall_ns += 30 * DAY * S_NS;
    tick();
    assert_false(schedule_overdue(&w.s, &w.s.rows[0]));
    w.wall_ns -= 90 * DAY * S_NS;
    tick();
    assert_false(schedule_overdue(&w.s, &w.s.rows[0]));
}

static void no_gap_is_longer_than_the_interval_though_the_clock_jumps(void **state)
{
    (void)state;
    for (int64_t jump = -5 * HOUR; jump <= 5 * HOUR; jump += 1000) {
        begin("UTC", "2026-11-21T12:00:00Z");
        (void)schedule_add(&w.s, SCHEDULE_INCREMENTAL, "app", &every_15m);
        go(HOUR);
        w.wall_ns += jump * S_NS;
        go(HOUR);
        assert_true(w.most_gap_s[0] > 0 && w.most_gap_s[0] <= 15 * MINUTE);
    }
}

static void slow_jobs_of_one_source_never_overlap(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    (void)schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
    (void)schedule_add(&w.s, SCHEDULE_INCREMENTAL, "app", &hourly);
    w.takes_s[0] = 7 * HOUR;
    w.takes_s[1] = 150 * MINUTE;
    go(5 * DAY); /* start_due() asserts it at each start */
    assert_in_range(w.starts[0], 5, 6);
    assert_in_range(w.starts[1], 20, 60);
}

static void other_sources_do_not_wait_for_one_that_hangs(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    (void)schedule_add(&w.s, SCHEDULE_INCREMENTAL, "hangs", &hourly);
    (void)schedule_add(&w.s, SCHEDULE_INCREMENTAL, "app", &hourly);
    w.takes_s[0] = 1000 * DAY;
    go(DAY);
    assert_int_equal(w.starts[0], 1);
    assert_in_range(w.starts[1], 23, 26);
}

static void a_job_that_hangs_is_overdue_and_has_a_deadline(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    struct schedule_row *row = schedule_add(&w.s, SCHEDULE_INCREMENTAL, "app", &hourly);
    go(3 * HOUR);
    assert_false(schedule_overdue(&w.s, row));
    w.takes_s[0] = 1000 * DAY;
    for (int minutes = 0; !row->running; minutes++) {
        assert_true(minutes <= 60);
        go(MINUTE);
    }
    go(20 * MINUTE);
    assert_false(schedule_overdue(&w.s, row));
    go(20 * MINUTE);
    assert_true(row->running);
    assert_true(schedule_overdue(&w.s, row));
    assert_in_range(schedule_deadline_ms(row), 60000, 7 * 86400000LL);
    row->deadline_ms = 5000;
    assert_int_equal(schedule_deadline_ms(row), 5000);
}

static void a_degraded_snapshot_is_not_durable_and_no_reason_to_hurry(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    struct schedule_row *row = schedule_add(&w.s, SCHEDULE_INCREMENTAL, "app", &hourly);
    go(2 * HOUR);
    w.exit[0] = 9;
    go(6 * HOUR);
    assert_in_range(w.starts[0], 5, 7);
    assert_true(schedule_overdue(&w.s, row));
    w.exit[0] = 8; /* warnings: it is there */
    go(HOUR + MINUTE);
    assert_false(schedule_overdue(&w.s, row));
}

static void failures_come_ever_later_and_never_close_together(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    (void)schedule_add(&w.s, SCHEDULE_INCREMENTAL, "app", &daily);
    w.exit[0] = 1;
    w.takes_s[0] = 1;
    go(10 * MINUTE);
    assert_in_range(w.starts[0], 2, 4); /* about 0, 1, 3, 7 minutes */
    assert_true(w.least_gap_s[0] >= 45);
    go(2 * DAY);
    go(DAY);
    assert_in_range(w.starts[0], 24, 33); /* each hour at most, or a little more often */
    assert_true(w.least_gap_s[0] >= 40 * MINUTE);
}

static void a_drill_that_failed_waits_for_its_day(void **state)
{
    (void)state;
    const struct schedule_every monthly = {
        .ms = 720 * 3600000LL, .word = "monthly", .at = true, .minute = 9 * 60
    };
    begin("Europe/Amsterdam", "2026-11-21T12:00:00Z");
    struct schedule_row *row = schedule_add(&w.s, SCHEDULE_DRILL, "fire", &monthly);
    w.exit[0] = 1;
    row->good_ns = row->start_ns = w.wall_ns - 5 * DAY * S_NS;
    go(9 * DAY);
    assert_int_equal(w.starts[0], 0);
    go(2 * DAY); /* the first of December, at nine in Amsterdam */
    assert_int_equal(w.starts[0], 1);
    char text[TIME_TEXT_MAX];
    assert_string_equal(time_print_s(row->start_ns, text), "2026-12-01T08:00:00Z");
    go(5 * DAY);
    assert_int_equal(w.starts[0], 0);
}

/* A real run was in its way: that is no drill that failed. */
static void a_drill_that_found_a_run_at_work_comes_again(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    struct schedule_row *row = schedule_add(&w.s, SCHEDULE_DRILL, "fire", &daily);
    w.exit[0] = 6;
    w.takes_s[0] = 1;
    go(30 * MINUTE + 6 * HOUR);
    assert_in_range(w.starts[0], 4, 12);
    w.exit[0] = 0;
    go(DAY);
    assert_in_range(w.starts[0], 1, 2);
    assert_int_equal(row->failures, 0);
}

static void a_drill_is_overdue_a_week_after_its_month(void **state)
{
    (void)state;
    const struct schedule_every monthly = { .ms = 720 * 3600000LL, .word = "monthly" };
    begin("UTC", "2026-11-21T12:00:00Z");
    struct schedule_row *row = schedule_add(&w.s, SCHEDULE_DRILL, "fire", &monthly);
    row->good_ns = row->start_ns = w.wall_ns;
    row->held = true;
    go(36 * DAY);
    assert_false(schedule_overdue(&w.s, row));
    go(2 * DAY);
    assert_true(schedule_overdue(&w.s, row));
}

/* ---- what a backup left behind ------------------------------------------------------------------- */

static struct schedule_row *a_repair(void)
{
    begin("UTC", "2026-11-21T12:00:00Z");
    struct schedule_row *row = schedule_add(&w.s, SCHEDULE_REPAIR, NULL, &hourly);
    w.takes_s[0] = 1;
    tick();
    return row;
}

static void a_repair_is_due_once_and_only_when_it_is_wanted(void **state)
{
    (void)state;
    struct schedule_row *row = a_repair();
    go(3 * DAY);
    assert_int_equal(w.starts[0], 0);
    assert_false(schedule_overdue(&w.s, row));
    schedule_left(&w.s, false);
    go(DAY);
    assert_int_equal(w.starts[0], 0);
    schedule_left(&w.s, true);
    go(30);
    assert_int_equal(w.starts[0], 0); /* not at once */
    schedule_left(&w.s, true);        /* the next backup says the same */
    go(45);
    assert_int_equal(w.starts[0], 1);
    assert_int_equal(row->wanted_ns, 0);
    go(3 * DAY);
    assert_int_equal(w.starts[0], 0);
}

static void a_repair_that_fails_comes_ever_later_and_is_overdue(void **state)
{
    (void)state;
    struct schedule_row *row = a_repair();
    w.exit[0] = 9;
    schedule_left(&w.s, true);
    go(10 * MINUTE);
    assert_in_range(w.starts[0], 2, 4);
    assert_false(schedule_overdue(&w.s, row));
    go(DAY);
    assert_in_range(w.starts[0], 20, 40);
    assert_true(w.least_gap_s[0] >= 45);
    assert_true(schedule_overdue(&w.s, row));
    w.exit[0] = 0;
    go(HOUR + 15 * MINUTE);
    assert_false(schedule_overdue(&w.s, row));
    assert_int_equal(row->wanted_ns, 0);
}

/* The bucket was away for a day; the first backup that reaches it again says so. */
static void a_backup_that_reaches_every_bucket_makes_a_repair_due(void **state)
{
    (void)state;
    struct schedule_row *row = a_repair();
    w.exit[0] = 9;
    schedule_left(&w.s, true);
    go(DAY);
    while (row->running || w.wall_ns - row->end_ns < 2 * MINUTE * S_NS)
        go(10);
    int64_t due_ns = schedule_due_ns(&w.s, row);
    assert_true(due_ns > w.wall_ns + 10 * MINUTE * S_NS);
    schedule_left(&w.s, false);
    w.exit[0] = 0;
    go(5);
    assert_int_equal(w.starts[0], 1);
    assert_int_equal(row->wanted_ns, 0);
}

static void a_sentinel_is_written_each_minute_beside_whatever_runs(void **state)
{
    (void)state;
    static const struct schedule_every minute = { .ms = 60000 };
    begin("UTC", "2026-11-21T12:00:00Z");
    (void)schedule_add(&w.s, SCHEDULE_SENTINEL, NULL, &minute);
    (void)schedule_add(&w.s, SCHEDULE_VERIFY, NULL, &hourly);
    w.takes_s[0] = 1;
    w.takes_s[1] = 50 * MINUTE;
    go(HOUR);
    assert_in_range(w.starts[0], 59, 61);
    assert_in_range(w.starts[1], 1, 2);
    w.exit[0] = 1; /* that it cannot be written is no reason to come more often */
    go(HOUR);
    assert_in_range(w.starts[0], 59, 61);
    assert_true(schedule_overdue(&w.s, &w.s.rows[0]));
}

static void what_is_held_is_not_started_until_it_is_let_go(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    struct schedule_row *row = schedule_add(&w.s, SCHEDULE_DRILL, "fire", &daily);
    row->held = true;
    go(3 * DAY);
    assert_int_equal(w.starts[0], 0);
    row->held = false;
    go(HOUR);
    assert_int_equal(w.starts[0], 1);
}

static void prune_runs_daily_and_after_a_full_but_never_beside_one(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    (void)schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
    (void)schedule_add(&w.s, SCHEDULE_PRUNE, NULL, &daily);
    w.takes_s[0] = 3 * HOUR;
    go(2 * HOUR);
    assert_true(w.s.rows[0].running);
    assert_int_equal(w.starts[1], 0);
    go(2 * HOUR);
    assert_int_equal(w.starts[1], 1);
    go(10 * DAY);
    assert_in_range(w.starts[1], 9, 20);
    assert_true(w.least_gap_s[1] >= 11 * HOUR);
    w.exit[1] = 3; /* retention holds a source: it may be a backup that was just at work */
    go(DAY);
    assert_in_range(w.starts[1], 8, 20);
}

static void a_hundred_hosts_do_not_come_together(void **state)
{
    (void)state;
    int in_window[36] = { 0 };
    begin("UTC", "2026-11-21T12:00:00Z");
    struct schedule_row *row = schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
    tick();
    for (uint64_t host = 1; host <= 100; host++) {
        int64_t slot_ns, next_ns;
        w.s.host = host;
        schedule_slot_ns(&w.s, row, &slot_ns, &next_ns);
        int64_t into_s = slot_ns / S_NS % DAY;
        assert_in_range(into_s, 0, 6 * HOUR);
        assert_int_equal(next_ns - slot_ns, DAY * S_NS);
        in_window[into_s / 600 % 36]++;
    }
    for (size_t i = 0; i < 36; i++)
        assert_true(in_window[i] <= 12); /* 2.8 of them on the average */
}

static void a_hundred_hosts_that_come_back_together_do_not_begin_together(void **state)
{
    (void)state;
    int64_t least = INT64_MAX, most = 0;
    for (uint64_t host = 1; host <= 100; host++) {
        begin("UTC", "2026-11-21T12:00:00Z");
        w.s.host = host;
        struct schedule_row *row = schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
        tick();
        int64_t late_s = (schedule_due_ns(&w.s, row) - w.wall_ns) / S_NS;
        least = late_s < least ? late_s : least;
        most = late_s > most ? late_s : most;
    }
    assert_in_range(least, 0, 30);
    assert_in_range(most, 240, 300);
}

static void jitter_is_a_quarter_and_six_hours_at_most(void **state)
{
    (void)state;
    assert_int_equal(schedule_jitter_max_ms(900000), 225000);
    assert_int_equal(schedule_jitter_max_ms(86400000), 6 * 3600000);
    assert_int_equal(schedule_jitter_max_ms(30 * 86400000LL), 6 * 3600000);
}

static void rows_without_a_memory_wait_for_what_the_buckets_say(void **state)
{
    (void)state;
    const struct schedule_every look = { .ms = 3600000 };
    begin("UTC", "2026-11-21T12:00:00Z");
    (void)schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
    (void)schedule_add(&w.s, SCHEDULE_INCREMENTAL, "app", &hourly);
    (void)schedule_add(&w.s, SCHEDULE_LOOK, NULL, &look);
    w.s.look_first = true;
    w.takes_s[2] = 10;
    tick();
    struct schedule_row *row = schedule_next(&w.s);
    assert_int_equal(row->what, SCHEDULE_LOOK);
    schedule_started(&w.s, row);
    assert_null(schedule_next(&w.s));
    schedule_ended(&w.s, row, 0);
    schedule_seen(&w.s, "app", SCHEDULE_FULL, w.wall_ns - 60 * S_NS);
    schedule_seen(&w.s, "app", SCHEDULE_INCREMENTAL, w.wall_ns + DAY * S_NS); /* not believed */
    go(10 * MINUTE);
    assert_int_equal(w.starts[0], 0);
    assert_in_range(w.starts[1], 0, 1);
    assert_true(w.s.rows[1].good_ns <= w.wall_ns);
}

static void what_our_own_end_interrupted_is_due_at_once_and_no_failure(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    struct schedule_row *row = schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
    w.takes_s[0] = HOUR;
    go(10 * MINUTE);
    assert_true(row->running);
    schedule_interrupted(&w.s, row);
    assert_int_equal(row->failures, 0);
    w.s.wall_ns = w.s.boot_ns = 0; /* the next process */
    go(6 * MINUTE);
    assert_int_equal(w.starts[0], 1);
}

static void once_runs_each_row_once_and_waits_for_nothing(void **state)
{
    (void)state;
    const struct schedule_every often = { .ms = 1000 };
    begin("UTC", "2026-11-21T12:00:00Z");
    struct schedule_row *row = schedule_add(&w.s, SCHEDULE_INCREMENTAL, "app", &often);
    row->failures = 9;
    row->end_ns = row->start_ns = w.wall_ns - S_NS;
    w.s.at_once = true;
    w.takes_s[0] = 5;
    go(HOUR);
    assert_int_equal(w.starts[0], 1);
}

static void a_full_stands_for_the_lesser_rows_of_its_source(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    (void)schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
    (void)schedule_add(&w.s, SCHEDULE_INCREMENTAL, "app", &daily);
    (void)schedule_add(&w.s, SCHEDULE_CONFIG, "app", &daily);
    (void)schedule_add(&w.s, SCHEDULE_INCREMENTAL, "other", &daily);
    struct schedule_row *full = &w.s.rows[0];
    tick();
    schedule_started(&w.s, full);
    w.wall_ns += 90 * S_NS;
    w.boot_ns += 90 * S_NS;
    tick();
    schedule_ended(&w.s, full, 0);
    assert_int_equal(full->good_ns, w.wall_ns - 90 * S_NS);
    assert_int_equal(w.s.rows[1].good_ns, full->good_ns);
    assert_int_equal(w.s.rows[2].good_ns, full->good_ns);
    assert_int_equal(w.s.rows[3].good_ns, 0);
}

static void days_begin_at_local_midnight_also_when_clocks_are_changed(void **state)
{
    (void)state;
    static const struct {
        const char *now, *midnight, *next;
    } days[] = {
        { "2026-03-29T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z" }, /* 23 h */
        { "2026-07-01T10:00:00Z", "2026-06-30T22:00:00Z", "2026-07-01T22:00:00Z" },
        { "2026-10-25T11:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z" }, /* 25 h */
        { "2026-12-01T11:00:00Z", "2026-11-30T23:00:00Z", "2026-12-01T23:00:00Z" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(days); i++) {
        int64_t midnight = 0, next = 0, slot = 0, slot_next = 0;
        begin("CET-1CEST,M3.5.0,M10.5.0/3", days[i].now);
        struct schedule_row *row = schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
        tick();
        assert_true(time_parse(days[i].midnight, &midnight) && time_parse(days[i].next, &next));
        schedule_slot_ns(&w.s, row, &slot, &slot_next);
        int64_t shift = schedule_jitter_ms(&w.s, row) * 1000000;
        assert_int_equal(slot, midnight + shift);
        assert_int_equal(slot_next, next + shift);
    }
}

static void status_has_the_words_of_each_row(void **state)
{
    (void)state;
    begin("UTC", "2026-11-21T12:00:00Z");
    (void)schedule_add(&w.s, SCHEDULE_FULL, "app", &daily);
    (void)schedule_add(&w.s, SCHEDULE_PREFLIGHT, "fire", &daily);
    (void)schedule_add(&w.s, SCHEDULE_LOOK, NULL, &daily);
    tick();
    DR_JSON json_t *list = schedule_json(&w.s);
    assert_int_equal(json_array_size(list), 2);
    const json_t *full = json_array_get(list, 0), *plan = json_array_get(list, 1);
    assert_string_equal(json_string_value(json_object_get(full, "what")), "full");
    assert_string_equal(json_string_value(json_object_get(full, "source")), "app");
    assert_true(json_is_null(json_object_get(full, "last_start")));
    assert_true(json_is_null(json_object_get(full, "exit")));
    assert_true(json_is_string(json_object_get(full, "next")));
    assert_true(json_is_false(json_object_get(full, "overdue")));
    assert_true(json_is_null(json_object_get(plan, "source")));
    assert_string_equal(json_string_value(json_object_get(plan, "plan")), "fire");
}

static int end_world(void **state)
{
    (void)state;
    schedule_fini(&w.s);
    unsetenv("TZ");
    tzset();
    return 0;
}

#define FACT(name) cmocka_unit_test_teardown(name, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(the_stories_of_the_table),
        FACT(jumps_raise_no_false_alarm),
        FACT(no_gap_is_longer_than_the_interval_though_the_clock_jumps),
        FACT(slow_jobs_of_one_source_never_overlap),
        FACT(other_sources_do_not_wait_for_one_that_hangs),
        FACT(a_job_that_hangs_is_overdue_and_has_a_deadline),
        FACT(a_degraded_snapshot_is_not_durable_and_no_reason_to_hurry),
        FACT(failures_come_ever_later_and_never_close_together),
        FACT(a_drill_that_failed_waits_for_its_day),
        FACT(a_drill_that_found_a_run_at_work_comes_again),
        FACT(a_drill_is_overdue_a_week_after_its_month),
        FACT(a_repair_is_due_once_and_only_when_it_is_wanted),
        FACT(a_repair_that_fails_comes_ever_later_and_is_overdue),
        FACT(a_backup_that_reaches_every_bucket_makes_a_repair_due),
        FACT(a_sentinel_is_written_each_minute_beside_whatever_runs),
        FACT(what_is_held_is_not_started_until_it_is_let_go),
        FACT(prune_runs_daily_and_after_a_full_but_never_beside_one),
        FACT(a_hundred_hosts_do_not_come_together),
        FACT(a_hundred_hosts_that_come_back_together_do_not_begin_together),
        FACT(jitter_is_a_quarter_and_six_hours_at_most),
        FACT(rows_without_a_memory_wait_for_what_the_buckets_say),
        FACT(what_our_own_end_interrupted_is_due_at_once_and_no_failure),
        FACT(once_runs_each_row_once_and_waits_for_nothing),
        FACT(a_full_stands_for_the_lesser_rows_of_its_source),
        FACT(days_begin_at_local_midnight_also_when_clocks_are_changed),
        FACT(status_has_the_words_of_each_row),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
