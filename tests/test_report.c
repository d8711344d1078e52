/*
 * The report: golden files over recorded runs, and what must hold of any of them.
 *
 * tests/golden/report/NAME.run is a run (tests/support/recorded.h), beside it what its report has to
 * be: NAME.json, NAME.txt, NAME.csv, NAME.screen. GOLDEN_WRITE=1 writes them afresh, for a person to review.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/drill/verdict.h"
#include "dr/proof/csv.h"
#include "dr/proof/html.h"
#include "dr/proof/report.h"
#include "dr/proof/report_work.h"
#include "dr/run/state.h"
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
    DR_CLEANUP(buf_fini) struct buf csv = { 0 };
    char *pretty = json_dumps(report, JSON_INDENT(1) | JSON_SORT_KEYS);
    buf_adds(&json, pretty);
    buf_addc(&json, '\n');
    free(pretty);
    report_text(report, &text);
    report_recovered_block(report, &screen);
    report_csv(report, &csv);
    compare(name, "csv", &csv);
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

static bool is_before(const struct journal_records *records, const char *type)
{
    for (size_t i = 0; i < records->count; i++)
        if (strcmp(records->items[i].type, type) == 0)
            return false;
    return true;
}

/* Whatever a death leaves behind has a report, in both forms, and never more proof than facts. */
static void every_prefix_of_a_run_has_a_report(void **state)
{
    (void)state;
    static const char *const names[] = { "recovered", "held", "dry", "drill" };
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
            bool steps_left = is_before(&some, k == 3 ? "cleaning" : "end");
            if (steps_left && n + 1 < all.count)
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
    DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
    DR_CLEANUP(drill_verdict_fini) struct drill_verdict v = { 0 };
    state_replay(&s, records);
    drill_judge(records, &v);
    if (report_make(records, 0, &report, &err) != DR_OK)
        return 0;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    report_text(report, &text);
    report_recovered_block(report, &text);
    report_csv(report, &text);
    report_html(report, &text);
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
        json_put(body, key, json_pack("[{}]"));
        reports += report_what_can_be(records);
        json_put_int(body, key, INT64_MIN);
        reports += report_what_can_be(records);
        json_put(body, key, json_deep_copy(value));
    }
    return reports;
}

/* Records that another version, or a bug, wrote otherwise: less is reported, nothing breaks. */
static void any_member_may_be_missing_or_of_another_type(void **state)
{
    (void)state;
    static const char *const names[] = { "recovered", "held", "dry", "drill" };
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

/* A clock that was set, a machine that was not: any two times may stand behind one another. */
static void times_may_lie_anywhere(void **state)
{
    (void)state;
    static const int64_t times[] = { INT64_MIN, -1, 0, INT64_MAX };
    DR_FREE char *script = load("recovered", "run");
    struct journal_records all = { 0 };
    recorded_run(script, &all);
    for (size_t n = 0; n < all.count; n++)
        for (size_t k = 0; k < DR_ARRAY_LEN(times); k++) {
            struct journal_record *r = &all.items[n];
            int64_t wall = r->wall_ns, boot = r->boot_ns;
            r->wall_ns = times[k];
            assert_int_equal(report_what_can_be(&all), 1);
            r->boot_ns = times[DR_ARRAY_LEN(times) - 1 - k];
            assert_int_equal(report_what_can_be(&all), 1);
            r->wall_ns = wall;
            r->boot_ns = boot;
        }
    journal_records_fini(&all);
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

/* --- drills --- */

static const char DRILL[] =
    "0 start {\"id\":\"D-1\",\"mode\":\"failover\",\"drill\":true,\"dry\":false,\"boot_id\":\"boot-1\","
    "\"failed\":\"us\",\"objectives\":{\"rto_ms\":60000,\"rpo_ms\":-1},\"run\":\"preflight\",\"steps\":["
    "{\"id\":\"restore\",\"use\":\"backup.restore\",\"class\":\"data\",\"drill\":\"isolated\"},"
    "{\"id\":\"live\",\"use\":\"service.promote\",\"class\":\"promote\",\"drill\":\"%s\"}]}\n"
    "1 impact {\"method\":\"command\"}\n"
    "1.1 intent {\"step\":\"restore\",\"state\":\"running\"}\n"
    "11 outcome {\"step\":\"restore\",\"state\":\"done\",\"verdict\":\"pass\"%s}\n"
    "11.1 outcome {\"step\":\"live\",\"state\":\"done\",\"verdict\":\"pass\"}\n";

/* live: how the last step was done; evidence: of the restore; more: what follows. */
static json_t *drill(const char *live, const char *evidence, const char *more)
{
    DR_CLEANUP(buf_fini) struct buf script = { 0 };
    for (const char *at = DRILL; *at != '\0'; at++) {
        if (at[0] != '%') {
            buf_addc(&script, *at);
            continue;
        }
        buf_adds(&script, live != NULL ? live : evidence);
        live = NULL;
        at++;
    }
    buf_adds(&script, more);
    return make(script.data, 0);
}

#define CLEANING "12 cleaning {\"then\":\"recovered\",\"run\":\"cleaning\"}\n"
#define ENDED    "20 end {\"why\":\"\",\"run\":\"recovered\"}\n"

static const json_t *finding(const json_t *report, const char *kind, const char *subject)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(report, "findings"), i,
                       one) if (strcmp(body_text(one, "kind"), kind) == 0 &&
                                strcmp(body_text(one, "subject"), subject) == 0) return one;
    return NULL;
}

static void assert_gist(const char *why, size_t letters, const char *wanted)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    buf_adds(&out, "");
    report_add_gist(&out, why, letters);
    assert_string_equal(out.data, wanted);
}

static void a_cause_is_told_in_few_letters(void **state)
{
    (void)state;
    assert_gist("'/var/lib/drctl/scratch/D-1/full-disk': No space left", 0,
                "'full-disk': No space left");
    assert_gist("'/var/lib/' is gone", 0, "'lib/' is gone");
    assert_gist("bucket 'eu': there is no object "
                "'packs/85/85f9413d0068fec7b31c1dd100f47ffe01cd9748770b85248d353dbd6e5b898b'",
                0, "bucket 'eu': there is no object 'packs/85/85f9413d..'");
    assert_gist("its sentinel is not the one of the drill", 20, "its .. one of the drill");
    assert_gist("snapshot 'app-1' is refused: bucket 'eu': its signature does not match", 40,
                "snapshot 'app-1' is .. does not match");
    assert_gist("it's '/open", 0, "it's '/open");
    assert_gist("", 10, "");
}

static void a_drill_is_told_as_it_was(void **state)
{
    (void)state;
    compare_all("drill", 0);
}

static void what_was_not_done_in_earnest_leaves_the_upper_end_open(void **state)
{
    (void)state;
    DR_JSON json_t *open = drill("simulate", "", CLEANING);
    const json_t *figure = json_object_get(open, "recovery_time");
    assert_int_equal(body_int(figure, "lo_ms", -1), 11000);
    assert_true(json_is_null(json_object_get(figure, "hi_ms")));
    assert_string_equal(body_text(figure, "verdict"), "not determinable");

    DR_JSON json_t *told =
        drill("simulate", "", "11.5 assumed {\"ms\":30000,\"from\":\"R-3\"}\n" CLEANING);
    figure = json_object_get(told, "recovery_time");
    assert_int_equal(body_int(figure, "hi_ms", -1), 41000);
    assert_string_equal(body_text(figure, "verdict"), "met");
    assert_non_null(strstr(body_text(figure, "method"), "R-3"));

    DR_JSON json_t *late = drill("simulate", "", "11.5 assumed {\"ms\":60000}\n" CLEANING);
    assert_string_equal(body_text(json_object_get(late, "recovery_time"), "verdict"),
                        "not determinable");

    DR_JSON json_t *whole = drill("run", "", CLEANING);
    figure = json_object_get(whole, "recovery_time");
    assert_int_equal(body_int(figure, "hi_ms", -1), 11000);
}

static void a_drill_whose_steps_did_not_pass_has_no_recovery_time(void **state)
{
    (void)state;
    DR_JSON json_t *report =
        drill("run", "", "12 cleaning {\"then\":\"undone\",\"run\":\"cleaning\"}\n");
    const json_t *figure = json_object_get(report, "recovery_time");
    assert_true(json_is_null(json_object_get(figure, "lo_ms")));
    assert_string_equal(body_text(figure, "verdict"), "not measured");
}

static void a_fault_that_was_announced_and_never_answered_counts_as_not_caught(void **state)
{
    (void)state;
    DR_JSON json_t *report =
        drill("run", "",
              "11.5 planted {\"sentinels\":[],\"controls\":[{\"name\":\"a\"},{\"name\":\"b\"}]}\n"
              "12.5 control {\"name\":\"a\",\"planted\":true,\"caught\":true}\n" ENDED);
    const json_t *power = json_object_get(json_object_get(report, "drill"), "power");
    assert_int_equal(body_int(power, "planted", 0), 2);
    assert_int_equal(body_int(power, "percent", 0), 50);
    assert_non_null(finding(report, "control", "unanswered"));
}

static void what_was_made_and_not_removed_is_a_leftover(void **state)
{
    (void)state;
    DR_JSON json_t *report = drill(
        "run", "",
        "11.5 made {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/a\"}\n"
        "11.6 made {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/b\"}\n"
        "11.7 made {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/c\"}\n"
        "12 cleaned {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/a\",\"ok\":true}\n"
        "12 cleaned {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/b\",\"ok\":false,\"why\":\"busy\"}\n");
    const json_t *told = json_object_get(report, "drill");
    assert_int_equal(json_array_size(json_object_get(told, "cleaned")), 1);
    assert_int_equal(json_array_size(json_object_get(told, "leftovers")), 2);
    assert_null(finding(report, "leftover", "/a"));
    DR_JSON json_t *again =
        drill("run", "",
              "11.5 made {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/a\"}\n"
              "11.6 cleaned {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/a\",\"ok\":true}\n"
              "11.7 made {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/a\"}\n");
    assert_non_null(finding(again, "leftover", "/a"));
    assert_non_null(strstr(body_text(finding(report, "leftover", "/b"), "text"), "busy"));
    assert_string_equal(body_text(finding(report, "leftover", "/c"), "severity"), "critical");
}

static void production_that_differs_or_was_not_compared_is_a_finding(void **state)
{
    (void)state;
    DR_JSON json_t *differs = drill(
        "run", "",
        "0.5 production {\"when\":\"before\",\"digest\":\"a\",\"fields\":[]}\n"
        "12 production {\"when\":\"after\",\"digest\":\"b\",\"equal\":false,\"differs\":[{\"name\":\"dns\","
        "\"before\":\"1\",\"after\":\"2\"}]}\n" ENDED);
    assert_non_null(strstr(body_text(finding(differs, "production", "dns"), "text"), "was '1'"));
    DR_JSON json_t *silent = drill("run", "", ENDED);
    assert_non_null(finding(silent, "production", "not compared"));
    assert_non_null(finding(silent, "control", "none"));
}

/* A drill whose record says that this was found of bucket eu. */
static json_t *drill_by(const char *own, const char *writes)
{
    DR_FREE char *line = dr_strf(
        "13 credentials {\"items\":[{\"what\":\"bucket\",\"name\":\"us\",\"store\":\"file\","
        "\"own\":false,\"writes\":\"not tried\"},{\"what\":\"bucket\",\"name\":\"eu\","
        "\"store\":\"s3\",\"own\":%s,\"writes\":\"%s\",\"why\":\"so\"}]}\n" ENDED,
        own, writes);
    return drill("run", "", line);
}

static void what_a_drill_reads_by_is_a_finding_unless_it_cannot_write(void **state)
{
    (void)state;
    DR_JSON json_t *good = drill_by("true", "refused");
    assert_null(finding(good, "credentials", "bucket eu"));
    assert_null(finding(good, "credentials", "bucket us")); /* a directory has none */
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(good, "drill"), "credentials")), 2);
    DR_JSON json_t *bad = drill_by("true", "accepted");
    const json_t *found = finding(bad, "credentials", "bucket eu");
    assert_string_equal(body_text(found, "severity"), "critical");
    assert_string_equal(body_text(found, "text"), "the drill credentials of bucket eu can write");
    DR_JSON json_t *doubt = drill_by("true", "unknown");
    assert_string_equal(body_text(finding(doubt, "credentials", "bucket eu"), "severity"),
                        "warning");
    DR_JSON json_t *usual = drill_by("false", "not tried");
    assert_string_equal(body_text(finding(usual, "credentials", "bucket eu"), "severity"),
                        "warning");
    DR_JSON json_t *dark = drill_by("true", "not tried");
    assert_null(finding(dark, "credentials", "bucket eu"));
}

static void a_restore_where_the_source_lies_is_no_evidence(void **state)
{
    (void)state;
    static const struct {
        const char *evidence;
        bool apart;
    } rows[] = {
        { "", false },
        { ",\"evidence\":{\"host\":\"h1\",\"source_host\":\"h1\"}", false },
        { ",\"evidence\":{\"host\":\"h1\"}", false },
        { ",\"evidence\":{\"host\":\"h1\",\"source_host\":\"h2\"}", true },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_JSON json_t *report = drill("run", rows[i].evidence, ENDED);
        const json_t *apart = json_object_get(json_object_get(report, "drill"), "segregated");
        assert_int_equal(body_is(apart, "segregated"), rows[i].apart);
        bool said = strstr(body_text(apart, "text"), "no evidence for segregated restore") != NULL;
        assert_int_equal(said, !rows[i].apart);
        assert_int_equal(finding(report, "segregation", "restore") == NULL, rows[i].apart);
    }
}

/* --- findings --- */

static void a_finding_has_the_same_id_wherever_it_is_computed(void **state)
{
    (void)state;
    DR_FREE char *script = load("drill", "run");
    DR_JSON json_t *one = make(script, 0);
    DR_JSON json_t *torn = make(script, 5);
    assert_true(json_equal(json_object_get(one, "findings"), json_object_get(torn, "findings")));
    size_t i, k;
    const json_t *a, *b;
    json_array_foreach(json_object_get(one, "findings"), i, a)
        json_array_foreach(json_object_get(one, "findings"), k, b)
            assert_int_equal(strcmp(body_text(a, "id"), body_text(b, "id")) == 0, i == k);
}

static void a_word_in_place_of_a_proof_is_a_finding(void **state)
{
    (void)state;
    static const char START[] = "0 start {\"id\":\"R-1\",\"mode\":\"failover\",\"steps\":["
                                "{\"id\":\"fence\",\"use\":\"fence\",\"class\":\"fence\"},"
                                "{\"id\":\"look\",\"use\":\"http.check\",\"class\":\"check\"}]}\n"
                                "1 intent {\"step\":\"fence\",\"with\":{\"region\":\"us\"}}\n";
    static const struct {
        const char *record, *kind, *subject;
    } rows[] = {
        { "2 outcome {\"step\":\"fence\",\"state\":\"done\",\"verdict\":\"pass\",\"proof\":\"operator\"}\n",
          "fence", "us" },
        { "2 skip {\"step\":\"fence\",\"state\":\"skipped\",\"by\":\"bo\",\"reason\":\"x\"}\n",
          "fence", "us" },
        { "2 skip {\"step\":\"look\",\"state\":\"skipped\",\"by\":\"bo\",\"reason\":\"x\"}\n",
          "skipped", "look" },
        { "2 outcome {\"step\":\"look\",\"state\":\"failed\",\"verdict\":\"fail\",\"why\":\"503\"}\n",
          "step", "look" },
        { "2 outcome {\"step\":\"look\",\"state\":\"done\",\"verdict\":\"pass\",\"refused\":3}\n",
          "refused", "look" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_FREE char *script = dr_strf("%s%s%s", START, rows[i].record, ENDED);
        DR_JSON json_t *report = make(script, 0);
        assert_non_null(finding(report, rows[i].kind, rows[i].subject));
        assert_int_equal(json_array_size(json_object_get(report, "findings")), 1);
    }
}

static void a_window_of_samples_counts_from_the_impact(void **state)
{
    (void)state;
    DR_FREE char *script = load("recovered", "run");
    DR_JSON json_t *report = make(script, 0);
    const json_t *samples = json_object_get(report, "samples");
    assert_int_equal(json_array_size(samples), 7);
    const json_t *first = json_array_get(samples, 0);
    assert_int_equal(body_int(first, "at_ms", 0), -1520); /* it broke not later than 03:15:56.520 */
    assert_true(json_is_true(json_object_get(first, "ok")));
    assert_true(json_is_null(json_object_get(json_array_get(samples, 3), "ok")));
}

/* --- rows for a spreadsheet --- */

static void a_field_is_quoted_and_is_never_a_formula(void **state)
{
    (void)state;
    DR_JSON json_t *report = json_pack("{s:s, s:s, s:s, s:i, s:n}", "a", "=1+1", "b",
                                       "say \"hi\", you", "c", "x\ny", "d", -5, "e");
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    report_csv(report, &out);
    assert_string_equal(out.data, "section,item,member,value\r\n"
                                  "report,,a,'=1+1\r\n"
                                  "report,,b,\"say \"\"hi\"\", you\"\r\n"
                                  "report,,c,x\\x0ay\r\n"
                                  "report,,d,-5\r\n"
                                  "report,,e,\r\n");
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
        cmocka_unit_test(times_may_lie_anywhere),
        cmocka_unit_test(a_journal_without_a_start_has_no_report),
        cmocka_unit_test(nothing_on_record_is_said_and_not_filled_in),
        cmocka_unit_test(an_objective_that_is_not_proved_met_falls_short),
        cmocka_unit_test(a_cause_is_told_in_few_letters),
        cmocka_unit_test(a_drill_is_told_as_it_was),
        cmocka_unit_test(what_was_not_done_in_earnest_leaves_the_upper_end_open),
        cmocka_unit_test(a_drill_whose_steps_did_not_pass_has_no_recovery_time),
        cmocka_unit_test(a_fault_that_was_announced_and_never_answered_counts_as_not_caught),
        cmocka_unit_test(what_was_made_and_not_removed_is_a_leftover),
        cmocka_unit_test(production_that_differs_or_was_not_compared_is_a_finding),
        cmocka_unit_test(what_a_drill_reads_by_is_a_finding_unless_it_cannot_write),
        cmocka_unit_test(a_restore_where_the_source_lies_is_no_evidence),
        cmocka_unit_test(a_finding_has_the_same_id_wherever_it_is_computed),
        cmocka_unit_test(a_word_in_place_of_a_proof_is_a_finding),
        cmocka_unit_test(a_window_of_samples_counts_from_the_impact),
        cmocka_unit_test(a_field_is_quoted_and_is_never_a_formula),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
