/*
 * Recovery time and data loss: every end of an interval has a fact behind it or is absent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/proof/ledger.h"
#include "tests/support/recorded.h"

/* --- a run, put together from parts --- */

static const char START[] =
    "0 start {\"id\":\"R-1\",\"mode\":\"failover\",\"drill\":false,\"dry\":false,\"by\":\"ana\","
    "\"boot_id\":\"boot-1\",\"objectives\":{\"rto_ms\":30000,\"rpo_ms\":60000},\"run\":\"preflight\","
    "\"steps\":[{\"id\":\"pick\",\"use\":\"region.pick\",\"class\":\"none\"},"
    "{\"id\":\"go\",\"use\":\"approve\",\"class\":\"person\"},"
    "{\"id\":\"fence\",\"use\":\"fence\",\"class\":\"fence\"},"
    "{\"id\":\"snap\",\"use\":\"backup.pick\",\"class\":\"none\"},"
    "{\"id\":\"up\",\"use\":\"exec\",\"class\":\"change\"},"
    "{\"id\":\"restore\",\"use\":\"backup.restore\",\"class\":\"data\"},"
    "{\"id\":\"data_ok\",\"use\":\"data.check\",\"class\":\"check\"},"
    "{\"id\":\"live\",\"use\":\"service.promote\",\"class\":\"promote\"},"
    "{\"id\":\"dns\",\"use\":\"powerdns\",\"class\":\"traffic\"},"
    "{\"id\":\"moved\",\"use\":\"dns.check\",\"class\":\"check\"},"
    "{\"id\":\"healthy\",\"use\":\"http.check\",\"class\":\"check\"}]}\n";

#define IMPACT(health)    "0.1 impact {\"health\":" health "}\n"
#define SINCE(time)       "0.1 impact {\"since\":\"" time "\",\"by\":\"ana\",\"health\":null}\n"
#define RECOVERED(health) "30 recovered {\"health\":" health "}\n"
#define MARKS(a, b, c, d) "{\"at\":[" #a "," #b "," #c "," #d "]}"
#define OUT(at, step, more) \
    at " outcome {\"step\":\"" step "\",\"state\":\"done\",\"verdict\":\"pass\"" more "}\n"
#define GO(at, step, more) at " intent {\"step\":\"" step "\",\"state\":\"running\"" more "}\n"
#define RESTORED(more)     GO("5", "restore", "") OUT("9", "restore", more)
#define SENTINEL           ",\"outputs\":{\"sentinel\":\"2026-11-21T03:15:50Z 4711\"}"
#define BY_SNAPSHOT \
    ",\"evidence\":{\"started_at\":\"2026-11-21T03:15:20Z\",\"taken_at\":\"2026-11-21T03:15:30Z\"}"
#define SWITCHED         \
    GO("10", "live", "") \
    OUT("11", "live", "") GO("11", "dns", ",\"with\":{\"ttl\":60000}") OUT("12", "dns", "")
#define OBSERVED OUT("13", "moved", "")
#define FULL     MARKS(-4, -3, 11, 12)

struct run_case {
    const char *fact;
    const char *records; /* behind START */
    int64_t lo, hi;      /* recovery, ms; -1: absent */
    const char *verdict;
    const char *why; /* part of it, or NULL: none */
    int64_t loss_lo, loss_hi;
    const char *loss_verdict;
    const char *loss_why;
};

static const struct run_case cases[] = {
    /* The arithmetic. A probe takes 20 ms: -4 begins, -3 + 0.02 ends, 11 begins, 12 + 0.02 ends. */
    { "between the edges of the probe",
      IMPACT(MARKS(-4, -3, -3, null)) RESTORED(SENTINEL) SWITCHED OBSERVED RECOVERED(FULL), 13980,
      16020, "met", NULL, 6000, 7020, "met", NULL },
    { "lo is never negative",
      IMPACT(MARKS(-4, -3, -3, null)) RESTORED(SENTINEL) RECOVERED(MARKS(-4, -3, -3, -2)), 0, 2020,
      "met", NULL, 6000, 7020, "met", NULL },
    { "the objective between the ends",
      IMPACT(MARKS(-4, -3, -3, null)) RECOVERED(MARKS(-4, -3, 26, 29)), 28980, 33020,
      "not determinable", "the objective of 30s lies between", -1, -1, "not measured",
      "no data were restored" },
    { "missed only when lo is beyond",
      IMPACT(MARKS(-4, -3, -3, null)) RECOVERED(MARKS(-4, -3, 28, 29)), 30980, 33020, "missed",
      NULL, -1, -1, "not measured", "no data were restored" },
    { "the start knew only the last pass",
      IMPACT(MARKS(-4, null, null, null)) RESTORED(SENTINEL) RECOVERED(MARKS(-2, -1, 11, 12)),
      11980, 14020, "met", NULL, 8000, 9020, "met", NULL },

    /* Missing facts. */
    { "no prober, no word", RESTORED(SENTINEL) SWITCHED, -1, -1, "not measured",
      "no probe saw when it broke", -1, -1, "not measured", "no probe saw when it broke" },
    { "never seen good before",
      IMPACT(MARKS(null, -3, -3, null)) RESTORED(SENTINEL) RECOVERED(MARKS(null, -3, 11, 12)),
      13980, -1, "not determinable", "no pass on record before", -1, 7020, "met", NULL },
    { "never seen good before, and too long",
      IMPACT(MARKS(null, -3, -3, null)) RECOVERED(MARKS(null, -3, 40, 41)), 42980, -1, "missed",
      NULL, -1, -1, "not measured", "no data" },
    { "not back when the run ended",
      IMPACT(MARKS(-4, -3, -3, null)) RECOVERED(MARKS(-4, -3, 11, null)), 13980, -1,
      "not determinable", "did not pass 3 times in a row", -1, -1, "not measured", "no data" },
    { "the prober fell silent",
      IMPACT(MARKS(-4, -3, -3, null)) RECOVERED("{\"at\":[-4,-3,11,null],\"stale\":true}"), 13980,
      -1, "not determinable", "fell silent before", -1, -1, "not measured", "no data" },
    { "the run never came to its end", IMPACT(MARKS(-4, -3, -2, null)), 980, -1, "not determinable",
      "did not pass 3 times", -1, -1, "not measured", "no data" },
    { "no probe failed",
      IMPACT(MARKS(-4, null, null, null)) RESTORED(SENTINEL)
          RECOVERED("{\"at\":[20,null,null,null],\"gap_ms\":1500}"),
      0, 1500, "met", NULL, -1, -1, "not measured", "never failed" },
    { "no probe failed, but it is silent",
      IMPACT(MARKS(-4, null, null, null))
          RECOVERED("{\"at\":[20,null,null,null],\"gap_ms\":1500,\"stale\":true}"),
      -1, -1, "not measured", "never failed", -1, -1, "not measured", "no data" },

    /* A person's word. */
    { "--since with a prober",
      "0.1 impact {\"since\":\"2026-11-21T03:15:55Z\",\"by\":\"ana\",\"health\":" MARKS(
          null, -3, -3, null) "}\n" RESTORED(SENTINEL)
          SWITCHED OBSERVED RECOVERED(MARKS(null, -3, 11, 12)),
      16000, 17020, "met", NULL, 5000, 5000, "met", NULL },
    { "--since without a prober: a check of the plan",
      SINCE("2026-11-21T03:15:55Z") RESTORED(SENTINEL) SWITCHED OBSERVED OUT("14", "healthy", ""),
      15000, 19000, "met", NULL, 5000, 5000, "met", NULL },
    { "--since without anything after it", SINCE("2026-11-21T03:15:55Z") RESTORED(SENTINEL), -1, -1,
      "not measured", "no http.check of the plan passed", 5000, 5000, "met", NULL },
    { "--since, and the probe never failed",
      "0.1 impact {\"since\":\"2026-11-21T03:15:55Z\",\"by\":\"ana\",\"health\":" MARKS(
          -1, null, null, null) "}\n" RECOVERED("{\"at\":[20,null,null,null],\"gap_ms\":1500}"),
      -1, -1, "not measured", "never failed", -1, -1, "not measured", "no data" },

    /* The sentinel, and what stands in for it. */
    { "no sentinel: the snapshot's start and end",
      IMPACT(MARKS(-4, -3, -3, null)) RESTORED(BY_SNAPSHOT) RECOVERED(FULL), 13980, 16020, "met",
      NULL, 26000, 37020, "met", NULL },
    { "no sentinel: the times of the snapshot that was picked",
      IMPACT(MARKS(-4, -3, -3, null)) OUT("1", "snap", BY_SNAPSHOT) RESTORED("") RECOVERED(FULL),
      13980, 16020, "met", NULL, 26000, 37020, "met", NULL },
    { "a recovery point alone",
      IMPACT(MARKS(-4, -3, -3, null))
          RESTORED(",\"outputs\":{\"recovery_point\":\"2026-11-21T03:15:20Z\"}") RECOVERED(FULL),
      13980, 16020, "met", NULL, -1, 37020, "met", NULL },
    { "the sentinel that data.check read",
      IMPACT(MARKS(-4, -3, -3, null)) RESTORED(BY_SNAPSHOT) OUT("9.5", "data_ok", SENTINEL)
          RECOVERED(FULL),
      13980, 16020, "met", NULL, 6000, 7020, "met", NULL },
    { "a sentinel after the promotion is the new writer's",
      IMPACT(MARKS(-4, -3, -3, null)) RESTORED(BY_SNAPSHOT)
          SWITCHED OBSERVED OUT("13", "data_ok", SENTINEL) RECOVERED(FULL),
      13980, 16020, "met", NULL, 26000, 37020, "met", NULL },
    { "nothing says how old the data are",
      IMPACT(MARKS(-4, -3, -3, null)) RESTORED("") RECOVERED(FULL), 13980, 16020, "met", NULL, -1,
      -1, "not measured", "how old the restored data" },
    { "a sentinel that is no time",
      IMPACT(MARKS(-4, -3, -3, null)) RESTORED(",\"outputs\":{\"sentinel\":\"yesterday\"}")
          RECOVERED(FULL),
      13980, 16020, "met", NULL, -1, -1, "not measured", "how old the restored data" },
    { "written on after it broke: nothing was lost",
      IMPACT(MARKS(-4, -3, -3, null))
          RESTORED(",\"outputs\":{\"sentinel\":\"2026-11-21T03:15:58Z\"}") RECOVERED(FULL),
      13980, 16020, "met", NULL, 0, 0, "met", NULL },
    { "of two restores the one that stood",
      IMPACT(MARKS(-4, -3, -3, null)) GO(
          "2", "restore",
          "") "3 outcome {\"step\":\"restore\",\"state\":\"failed\",\"verdict\":\"fail\"}\n" GO("5",
                                                                                                "restore",
                                                                                                "")
          OUT("6", "restore", ",\"outputs\":{\"sentinel\":\"2026-11-21T03:14:00Z\"}") "7 pending {\"step\":\"restore\",\"state\":\"pending\"}\n" GO(
              "8", "restore", "") OUT("9", "restore", SENTINEL) RECOVERED(FULL),
      13980, 16020, "met", NULL, 6000, 7020, "met", NULL },
    { "a restore that was undone restored nothing",
      IMPACT(MARKS(-4, -3, -3, null))
          RESTORED(SENTINEL) "10 undo {\"step\":\"restore\",\"state\":\"undone\",\"verdict\":\"pass\"}\n" RECOVERED(
              FULL),
      13980, 16020, "met", NULL, -1, -1, "not measured", "no data" },

    /* DNS that nobody looked at. */
    { "unobserved DNS adds the TTL that was set",
      IMPACT(MARKS(-4, -3, -3, null)) SWITCHED RECOVERED(FULL), 13980, 76020, "not determinable",
      "lies between", -1, -1, "not measured", "no data" },
    { "the TTL that the old record had comes first",
      IMPACT(MARKS(-4, -3, -3,
                   null)) "10.5 former {\"step\":\"dns\",\"value\":{\"ttl_s\":5}}\n" SWITCHED
          RECOVERED(FULL),
      13980, 21020, "met", NULL, -1, -1, "not measured", "no data" },
    { "in place already: nothing was changed",
      IMPACT(MARKS(-4, -3, -3, null)) GO("11", "dns", ",\"with\":{\"ttl\":60000}")
          OUT("12", "dns", ",\"already\":true") RECOVERED(FULL),
      13980, 16020, "met", NULL, -1, -1, "not measured", "no data" },
    { "a dns.check before the change saw nothing",
      IMPACT(MARKS(-4, -3, -3, null)) OUT("9", "moved", "") SWITCHED RECOVERED(FULL), 13980, 76020,
      "not determinable", "lies between", -1, -1, "not measured", "no data" },
};

static void assert_figure(const struct ledger_figure *f, int64_t lo, int64_t hi,
                          const char *verdict, const char *why)
{
    assert_int_equal(f->has_lo ? f->lo_ms : -1, lo);
    assert_int_equal(f->has_hi ? f->hi_ms : -1, hi);
    assert_string_equal(verdict_name(f->verdict), verdict);
    if (why == NULL)
        assert_null(f->why);
    else if (f->why == NULL || strstr(f->why, why) == NULL)
        fail_msg("why is '%s', not '%s'", f->why != NULL ? f->why : "", why);
    assert_int_equal(f->method != NULL, lo >= 0 || hi >= 0);
}

static void assert_adds_up(const struct ledger *l)
{
    int64_t sum_ms = 0;
    for (int p = 0; p < PHASE_COUNT; p++) {
        assert_true(l->phase_ms[p] >= 0);
        sum_ms += l->phase_ms[p];
    }
    assert_int_equal(sum_ms, l->whole_ms);
}

struct book {
    struct journal_records records;
    struct timeline t;
    struct ledger l;
};

static void book_open(struct book *b, const char *script)
{
    *b = (struct book){ 0 };
    recorded_run(script, &b->records);
    timeline_init(&b->t, &b->records);
    ledger_init(&b->l, &b->t);
}

/* Both of one length. */
static void overwrite(char *script, const char *old_words, const char *new_words)
{
    char *at = strstr(script, old_words);
    assert_non_null(at);
    for (size_t i = 0; new_words[i] != '\0'; i++)
        at[i] = new_words[i];
}

static void book_close(struct book *b)
{
    ledger_fini(&b->l);
    timeline_fini(&b->t);
    journal_records_fini(&b->records);
}

static void figures_have_a_fact_at_each_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        const struct run_case *c = &cases[i];
        print_message("  %s\n", c->fact);
        DR_FREE char *script = dr_strf("%s%s", START, c->records);
        struct book b;
        book_open(&b, script);
        assert_figure(&b.l.recovery, c->lo, c->hi, c->verdict, c->why);
        assert_figure(&b.l.loss, c->loss_lo, c->loss_hi, c->loss_verdict, c->loss_why);
        assert_adds_up(&b.l);
        if (c->lo >= 0 && c->hi >= 0 && b.l.whole_ends && c->lo > 0)
            assert_int_equal(b.l.whole_ms, c->hi);
        book_close(&b);
    }
}

static void verdicts_are_strict(void **state)
{
    (void)state;
    static const struct {
        struct ledger_figure figure;
        enum verdict verdict;
    } rows[] = {
        { { .has_lo = true, .lo_ms = 1, .has_hi = true, .hi_ms = 2, .objective_ms = -1 },
          VERDICT_NONE },
        { { .has_lo = true, .lo_ms = 1, .has_hi = true, .hi_ms = 2, .objective_ms = 2 },
          VERDICT_MET },
        { { .has_lo = true, .lo_ms = 1, .has_hi = true, .hi_ms = 2, .objective_ms = 1 },
          VERDICT_OPEN },
        { { .has_lo = true, .lo_ms = 1, .has_hi = true, .hi_ms = 2, .objective_ms = 0 },
          VERDICT_MISSED },
        { { .has_lo = true, .lo_ms = 1, .objective_ms = 5 }, VERDICT_OPEN },
        { { .has_lo = true, .lo_ms = 9, .objective_ms = 5 }, VERDICT_MISSED },
        { { .has_hi = true, .hi_ms = 1, .objective_ms = 5 }, VERDICT_MET },
        { { .has_hi = true, .hi_ms = 9, .objective_ms = 5 }, VERDICT_OPEN },
        { { .objective_ms = 5 }, VERDICT_NOT_MEASURED },
        { { .objective_ms = -1 }, VERDICT_NONE },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++)
        assert_int_equal(ledger_judge(&rows[i].figure), rows[i].verdict);
}

static void a_jump_of_the_wall_clock_changes_no_duration(void **state)
{
    (void)state;
    DR_FREE char *script =
        dr_strf("%s%s!wall 3600\n%s!wall -7200\n%s", START, IMPACT(MARKS(-4, -3, -3, null)),
                RESTORED(SENTINEL) SWITCHED, OBSERVED RECOVERED(FULL));
    struct book b;
    book_open(&b, script);
    assert_figure(&b.l.recovery, 13980, 16020, "met", NULL);
    assert_adds_up(&b.l);
    assert_int_equal(b.t.joins, 0);
    DR_FREE char *notes = text_list_join(&b.l.notes, "\n");
    assert_non_null(strstr(notes, "the wall clock was set back by 2h 00m during the run"));
    book_close(&b);
}

static void another_boot_is_joined_by_wall_time_and_said(void **state)
{
    (void)state;
    DR_FREE char *script = dr_strf(
        "%s%s!boot boot-2 50\n8 resume {\"by\":\"bo\",\"boot_id\":\"boot-2\",\"run\":\"running\"}\n%s",
        START, IMPACT(MARKS(-4, -3, -3, null)), SWITCHED OBSERVED RECOVERED(FULL));
    struct book b;
    book_open(&b, script);
    assert_int_equal(b.t.joins, 1);
    assert_figure(&b.l.recovery, 13980, 16020, "met", NULL);
    DR_FREE char *notes = text_list_join(&b.l.notes, "\n");
    assert_non_null(strstr(notes, "another machine"));
    book_close(&b);
}

static void a_planned_run_breaks_with_the_first_interruption(void **state)
{
    (void)state;
    static const char records[] = IMPACT(MARKS(-4, null, null, null)) RESTORED(SENTINEL)
        SWITCHED OBSERVED RECOVERED(MARKS(9, 10.5, 11, 12));
    DR_FREE char *script = dr_strf("%s%s", START, records);
    overwrite(script, "failover", "run     ");
    struct book b;
    book_open(&b, script);
    assert_figure(&b.l.recovery, 1000, 2020, "met", NULL); /* from the intent of 'live' at 10 */
    assert_figure(&b.l.loss, 20000, 20000, "met", NULL);
    assert_non_null(strstr(b.l.broke_method, "the intent of step 'live'"));
    book_close(&b);
}

static void a_dry_run_measures_nothing(void **state)
{
    (void)state;
    DR_FREE char *script = dr_strf("%s%s", START, IMPACT(MARKS(-4, -3, -3, null)) RECOVERED(FULL));
    overwrite(script, "\"dry\":false", "\"dry\":true ");
    struct book b;
    book_open(&b, script);
    assert_figure(&b.l.recovery, -1, -1, "not measured", "dry run");
    assert_figure(&b.l.loss, -1, -1, "not measured", "dry run");
    book_close(&b);
}

static void worst_of_several_sources_counts(void **state)
{
    (void)state;
    static const char script[] =
        "0 start {\"id\":\"R-1\",\"mode\":\"failover\",\"boot_id\":\"boot-1\","
        "\"objectives\":{\"rto_ms\":-1,\"rpo_ms\":5000},\"steps\":["
        "{\"id\":\"a\",\"use\":\"backup.restore\",\"class\":\"data\"},"
        "{\"id\":\"b\",\"use\":\"backup.restore\",\"class\":\"data\"}]}\n" IMPACT(MARKS(
            -4, -3, -3, null)) OUT("2", "a", SENTINEL) OUT("3", "b", BY_SNAPSHOT) RECOVERED(FULL);
    struct book b;
    book_open(&b, script);
    assert_figure(&b.l.loss, 26000, 37020, "missed", NULL);
    assert_string_equal(verdict_name(b.l.recovery.verdict), "none");
    book_close(&b);
}

/* --- phases --- */

static void phases_go_to_the_step_at_work_and_gaps_to_the_one_that_waited(void **state)
{
    (void)state;
    static const char records[] = IMPACT(MARKS(
        -4, -3, -3, null)) "1 outcome {\"step\":\"pick\",\"state\":\"done\",\"verdict\":\"pass\"}\n"
                           "1 ask {\"step\":\"go\",\"state\":\"waiting\"}\n" GO("1", "snap", "")
                               OUT("2", "snap", "") /* beside the person: decide */
        "3 answer {\"step\":\"go\",\"state\":\"done\",\"by\":\"bo\"}\n" GO("3.5", "fence", "")
            OUT("5", "fence", "")            /* 0.5 s of gap: fence waited */
        GO("5", "up", "") OUT("6", "up", "") /* a change: activate */
        GO("6", "restore",
           "") "7 outcome {\"step\":\"restore\",\"state\":\"failed\",\"verdict\":\"fail\"}\n"
               "7 undo_intent {\"step\":\"up\",\"state\":\"undoing\"}\n"
               "8 undo {\"step\":\"up\",\"state\":\"undone\"}\n" GO("8.5", "up", "")
                   OUT("9", "up", "") /* 0.5 s of gap: activate waited */
        GO("9", "restore", "")
            OUT("12", "restore", "") "12 begin {\"step\":\"data_ok\",\"state\":\"running\"}\n" OUT(
                "13", "data_ok", "") GO("13", "live", "") OUT("14", "live", "") GO("14", "dns", "")
                OUT("14.5", "dns", "") "14.5 begin {\"step\":\"moved\",\"state\":\"running\"}\n" OUT(
                    "16", "moved",
                    "") "16 begin {\"step\":\"healthy\",\"state\":\"running\"}\n" OUT("18",
                                                                                      "healthy", "")
                    RECOVERED(MARKS(-4, -3, 16, 17));
    static const int64_t want_ms[PHASE_COUNT] = {
        [PHASE_DETECT] = 4000,    [PHASE_DECIDE] = 3000,  [PHASE_FENCE] = 2000,
        [PHASE_ACTIVATE] = 2000,  [PHASE_RESTORE] = 5000, [PHASE_SWITCH] = 1500,
        [PHASE_EFFECTIVE] = 1500, [PHASE_VERIFY] = 1020,  [PHASE_PUT_BACK] = 1000,
    };
    DR_FREE char *script = dr_strf("%s%s", START, records);
    struct book b;
    book_open(&b, script);
    for (int p = 0; p < PHASE_COUNT; p++) {
        print_message("  %s %lld\n", phase_name((enum phase)p), (long long)b.l.phase_ms[p]);
        assert_int_equal(b.l.phase_ms[p], want_ms[p]);
    }
    assert_adds_up(&b.l);
    assert_true(b.l.whole_ends);
    assert_int_equal(b.l.whole_ms, b.l.recovery.hi_ms);
    book_close(&b);
}

static void an_exec_says_its_phase(void **state)
{
    (void)state;
    DR_FREE char *script = dr_strf(
        "%s%s", START, GO("5", "up", ",\"with\":{\"phase\":\"switch\"}") OUT("6", "up", ""));
    struct book b;
    book_open(&b, script);
    assert_int_equal(timeline_step(&b.t, "up")->phase, PHASE_SWITCH);
    assert_int_equal(timeline_step(&b.t, "data_ok")->phase, PHASE_RESTORE);
    assert_int_equal(timeline_step(&b.t, "healthy")->phase, PHASE_VERIFY);
    assert_null(timeline_step(&b.t, "nobody"));
    book_close(&b);
}

static void the_ttl_nobody_saw_is_spent_on_becoming_effective(void **state)
{
    (void)state;
    DR_FREE char *script =
        dr_strf("%s%s", START, IMPACT(MARKS(-4, -3, -3, null)) SWITCHED RECOVERED(FULL));
    struct book b;
    book_open(&b, script);
    assert_true(b.l.phase_ms[PHASE_EFFECTIVE] >= 60000);
    assert_adds_up(&b.l);
    assert_int_equal(b.l.whole_ms, b.l.recovery.hi_ms);
    DR_FREE char *notes = text_list_join(&b.l.notes, "\n");
    assert_non_null(strstr(notes, "step 'dns': its TTL of 1m is added"));
    book_close(&b);
}

/* Every prefix of a journal is one that a death may leave behind. */
static void every_prefix_of_a_run_has_a_ledger(void **state)
{
    (void)state;
    DR_FREE char *script = dr_strf("%s%s", START,
                                   IMPACT(MARKS(-4, -3, -3, null)) RESTORED(SENTINEL)
                                       SWITCHED OBSERVED RECOVERED(FULL));
    struct journal_records all = { 0 };
    recorded_run(script, &all);
    for (size_t n = 1; n <= all.count; n++) {
        struct journal_records some = all;
        some.count = n;
        struct timeline t;
        struct ledger l;
        timeline_init(&t, &some);
        ledger_init(&l, &t);
        assert_adds_up(&l);
        assert_true(n == all.count || l.recovery.verdict != VERDICT_MET);
        ledger_fini(&l);
        timeline_fini(&t);
    }
    journal_records_fini(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_have_a_fact_at_each_end),
        cmocka_unit_test(verdicts_are_strict),
        cmocka_unit_test(a_jump_of_the_wall_clock_changes_no_duration),
        cmocka_unit_test(another_boot_is_joined_by_wall_time_and_said),
        cmocka_unit_test(a_planned_run_breaks_with_the_first_interruption),
        cmocka_unit_test(a_dry_run_measures_nothing),
        cmocka_unit_test(worst_of_several_sources_counts),
        cmocka_unit_test(phases_go_to_the_step_at_work_and_gaps_to_the_one_that_waited),
        cmocka_unit_test(an_exec_says_its_phase),
        cmocka_unit_test(the_ttl_nobody_saw_is_spent_on_becoming_effective),
        cmocka_unit_test(every_prefix_of_a_run_has_a_ledger),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
