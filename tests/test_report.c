/*
 * The report: golden files over recorded runs, and what must hold of any of them.
 *
 * tests/golden/report/NAME.run is a run (tests/support/recorded.h), beside it what its report has to
 * be: NAME.json, NAME.txt, NAME.screen. GOLDEN_WRITE=1 writes them afresh, for a person to review.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/proof/report.h"
#include "tests/support/recorded.h"

static const char GOLDEN[] = "tests/golden/report";

static char *load(const char *name, const char *ext)
{
    DR_FREE char *path = dr_strf("%s/%s.%s", GOLDEN, name, ext);
    struct buf b = { 0 };
    struct dr_err err = { 0 };
    if (fs_read_file(path, 1 << 20, &b, &err) != DR_OK)
        fail_msg("%s (run the test in the project's root)", err.msg);
    return buf_take(&b);
}

static void compare(const char *name, const char *ext, const struct buf *got)
{
    const char *write = getenv("GOLDEN_WRITE"); /* NOLINT(concurrency-mt-unsafe) */
    if (write != NULL && strcmp(write, "1") == 0) {
        DR_FREE char *file = dr_strf("%s.%s", name, ext);
        struct dr_err err = { 0 };
        assert_int_equal(fs_replace(GOLDEN, file, got->data, got->len, &err), DR_OK);
        DR_FREE char *path = dr_strf("%s/%s", GOLDEN, file);
        assert_int_equal(chmod(path, 0644), 0);
    }
    DR_FREE char *want = load(name, ext);
    assert_string_equal(got->data, want);
}

static json_t *make(const char *script, size_t torn_bytes)
{
    struct journal_records records = { 0 };
    struct dr_err err = { 0 };
    json_t *report = NULL;
    recorded_run(script, &records);
    assert_int_equal(report_make(&records, torn_bytes, &report, &err), DR_OK);
    journal_records_fini(&records);
    return report;
}

static void compare_all(const char *name, size_t torn_bytes)
{
    DR_FREE char *script = load(name, "run");
    DR_JSON json_t *report = make(script, torn_bytes);
    DR_CLEANUP(buf_fini) struct buf json = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_CLEANUP(buf_fini) struct buf screen = { 0 };
    char *pretty = json_dumps(report, JSON_INDENT(1) | JSON_SORT_KEYS);
    buf_adds(&json, pretty);
    buf_addc(&json, '\n');
    free(pretty);
    report_text(report, &text);
    report_recovered_block(report, &screen);
    compare(name, "json", &json);
    compare(name, "txt", &text);
    compare(name, "screen", &screen);
}

static void a_recovery_is_told_as_it_was(void **state)
{
    (void)state;
    compare_all("recovered", 0);
}

static void a_run_that_was_aborted_says_what_is_left(void **state)
{
    (void)state;
    compare_all("held", 17);
}

static void a_dry_run_proves_nothing(void **state)
{
    (void)state;
    compare_all("dry", 0);
}

static void the_same_journal_gives_the_same_bytes(void **state)
{
    (void)state;
    DR_FREE char *script = load("recovered", "run");
    DR_JSON json_t *one = make(script, 0);
    DR_JSON json_t *two = make(script, 0);
    DR_CLEANUP(buf_fini) struct buf a = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    json_add_canonical(&a, one); /* which also says that no real number is in it */
    json_add_canonical(&b, two);
    assert_string_equal(a.data, b.data);
}

/* A torn end: every cut through the last line gives the report of the records before it. */
static void a_torn_journal_is_reported_up_to_the_tear(void **state)
{
    (void)state;
    DR_FREE char *script = load("recovered", "run");
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    recorded_bytes(script, &bytes);
    size_t last = bytes.len - 1;
    while (bytes.data[last - 1] != '\n')
        last--;
    for (size_t cut = last + 1; cut < bytes.len; cut += 13) {
        struct journal_records records = { 0 };
        struct dr_err err = { 0 };
        size_t whole = 0;
        assert_int_equal(journal_parse(bytes.data, cut, &records, &whole, &err), DR_OK);
        assert_int_equal(whole, last);
        DR_JSON json_t *report = NULL;
        assert_int_equal(report_make(&records, cut - whole, &report, &err), DR_OK);
        const json_t *evidence = json_object_get(report, "evidence");
        assert_int_equal(body_int(evidence, "torn_bytes", 0), cut - last);
        assert_string_equal(body_text(evidence, "head"), records.items[records.count - 1].hash);
        assert_true(json_is_null(json_object_get(report, "ended")));
        assert_string_equal(body_text(report, "state"), "running");
        journal_records_fini(&records);
    }
}

/* Whatever a death leaves behind has a report, in both forms, and never more proof than facts. */
static void every_prefix_of_a_run_has_a_report(void **state)
{
    (void)state;
    static const char *const names[] = { "recovered", "held", "dry" };
    for (size_t k = 0; k < DR_ARRAY_LEN(names); k++) {
        DR_FREE char *script = load(names[k], "run");
        struct journal_records all = { 0 };
        recorded_run(script, &all);
        for (size_t n = 1; n <= all.count; n++) {
            struct journal_records some = all;
            struct dr_err err = { 0 };
            some.count = n;
            DR_JSON json_t *report = NULL;
            assert_int_equal(report_make(&some, 0, &report, &err), DR_OK);
            DR_CLEANUP(buf_fini) struct buf text = { 0 };
            report_text(report, &text);
            report_recovered_block(report, &text);
            assert_non_null(strstr(text.data, "RECOVERY"));
            assert_true(text_is_utf8(text.data, text.len));
            const char *verdict = body_text(json_object_get(report, "recovery_time"), "verdict");
            if (n + 1 < all.count)
                assert_string_not_equal(verdict, "met");
        }
        journal_records_fini(&all);
    }
}

/* A report of records that may make no sense: in both forms, and nothing printed that is not there. */
static size_t report_what_can_be(const struct journal_records *records)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *report = NULL;
    if (report_make(records, 0, &report, &err) != DR_OK)
        return 0;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    report_text(report, &text);
    report_recovered_block(report, &text);
    assert_null(strstr(text.data, "(null)"));
    return 1;
}

/* Each member of one record in turn is left out, made a number, made a list. */
static size_t spoil_members(const struct journal_records *records, json_t *body)
{
    DR_JSON json_t *kept = json_deep_copy(body);
    const char *key;
    json_t *value;
    size_t reports = 0;
    json_object_foreach(kept, key, value)
    {
        json_object_del(body, key);
        reports += report_what_can_be(records);
        json_put_int(body, key, 7);
        reports += report_what_can_be(records);
        json_put(body, key, json_array());
        reports += report_what_can_be(records);
        json_put(body, key, json_deep_copy(value));
    }
    return reports;
}

/* Records that another version, or a bug, wrote otherwise: less is reported, nothing breaks. */
static void any_member_may_be_missing_or_of_another_type(void **state)
{
    (void)state;
    static const char *const names[] = { "recovered", "held", "dry" };
    for (size_t k = 0; k < DR_ARRAY_LEN(names); k++) {
        DR_FREE char *script = load(names[k], "run");
        struct journal_records all = { 0 };
        size_t reports = 0;
        recorded_run(script, &all);
        for (size_t n = 0; n < all.count; n++)
            reports += spoil_members(&all, all.items[n].body);
        assert_true(reports > 3 * all.count);
        journal_records_fini(&all);
    }
}

static void a_journal_without_a_start_has_no_report(void **state)
{
    (void)state;
    struct journal_records records = { 0 };
    struct dr_err err = { 0 };
    json_t *report = NULL;
    assert_int_equal(report_make(&records, 0, &report, &err), DR_E_CORRUPT);
    recorded_run("0 note {\"text\":\"hello\"}\n", &records);
    assert_int_equal(report_make(&records, 0, &report, &err), DR_E_CORRUPT);
    assert_null(report);
    journal_records_fini(&records);
}

static void nothing_on_record_is_said_and_not_filled_in(void **state)
{
    (void)state;
    DR_JSON json_t *report = make("0 start {\"id\":\"R-1\"}\n", 0);
    static const char *const null_keys[] = { "by",    "host",  "failed", "target",
                                             "state", "ended", "epoch" };
    for (size_t i = 0; i < DR_ARRAY_LEN(null_keys); i++)
        assert_true(json_is_null(json_object_get(report, null_keys[i])));
    const json_t *recovery = json_object_get(report, "recovery_time");
    assert_true(json_is_null(json_object_get(recovery, "lo_ms")));
    assert_true(json_is_null(json_object_get(recovery, "objective_ms")));
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    report_text(report, &text);
    assert_non_null(strstr(text.data, "not measured   objective none"));
    assert_non_null(strstr(text.data, "not on record"));
    assert_false(report_falls_short(report)); /* without objectives there is nothing to miss */
}

/* Exit code 4 hangs on it: only "met", or no objective at all, is not short. */
static void an_objective_that_is_not_proved_met_falls_short(void **state)
{
    (void)state;
    static const char *const figures[] = { "recovery_time", "data_loss" };
    static const struct {
        const char *verdict;
        bool is_short;
    } rows[] = { { "met", false },
                 { "none", false },
                 { "missed", true },
                 { "not determinable", true },
                 { "not measured", true } };
    DR_FREE char *script = load("recovered", "run");
    DR_JSON json_t *report = make(script, 0);
    assert_false(report_falls_short(report));
    for (size_t f = 0; f < DR_ARRAY_LEN(figures); f++) {
        json_t *figure = json_object_get(report, figures[f]);
        for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
            json_put_text(figure, "verdict", rows[i].verdict);
            assert_int_equal(report_falls_short(report), rows[i].is_short);
        }
        json_put_text(figure, "verdict", "met");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recovery_is_told_as_it_was),
        cmocka_unit_test(a_run_that_was_aborted_says_what_is_left),
        cmocka_unit_test(a_dry_run_proves_nothing),
        cmocka_unit_test(the_same_journal_gives_the_same_bytes),
        cmocka_unit_test(a_torn_journal_is_reported_up_to_the_tear),
        cmocka_unit_test(every_prefix_of_a_run_has_a_report),
        cmocka_unit_test(any_member_may_be_missing_or_of_another_type),
        cmocka_unit_test(a_journal_without_a_start_has_no_report),
        cmocka_unit_test(nothing_on_record_is_said_and_not_filled_in),
        cmocka_unit_test(an_objective_that_is_not_proved_met_falls_short),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
