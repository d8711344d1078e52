/*
 * The report of a drill believes no verdict that the drill's own records speak against.
 *
 * A journal whose chain is good, and in which everything is well, is told as passed. Then one line of it is another one:
 * what a faulty drctl might write down. None of these may be told as passed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/mem.h"
#include "dr/proof/html.h"
#include "dr/proof/period.h"
#include "dr/proof/report.h"
#include "tests/support/recorded.h"

#define CONTROL(name, planted, caught)                                                            \
    "6 control {\"name\":\"" name "\",\"title\":\"t\",\"planted\":" planted ",\"caught\":" caught \
    ",\"why\":\"w\",\"expected\":\"e\",\"dur_ms\":1}"
#define LOOK(when, value, more)                                                                 \
    "{\"when\":\"" when "\",\"digest\":\"aa\",\"fields\":[{\"name\":\"lease\",\"value\":" value \
    "}]" more "}"

static const char *const good[] = {
    "0 start {\"id\":\"D-1\",\"drill\":true,\"dry\":false,\"mode\":\"failover\",\"run\":\"preflight\","
    "\"objectives\":{\"rto_ms\":-1,\"rpo_ms\":-1},\"plan\":{\"name\":\"p\",\"sha256\":\"00\"},"
    "\"steps\":[{\"id\":\"restore\",\"use\":\"backup.restore\",\"class\":\"data\","
    "\"drill\":\"isolated\"}]}",
    "1 production " LOOK("before", "\"5\"", ""),
    "1 planted {\"sentinels\":[{\"source\":\"app\",\"by\":\"backupd\",\"nonce\":\"8c\"}],"
    "\"controls\":[{\"name\":\"one\"},{\"name\":\"two\"}],\"seed\":\"1\"}",
    "2 made {\"what\":\"directory\",\"at\":\"\",\"name\":\"/s\"}",
    "3 outcome {\"step\":\"restore\",\"state\":\"done\",\"verdict\":\"pass\",\"isolated\":true}",
    "4 cleaning {\"then\":\"recovered\",\"run\":\"cleaning\"}",
    "5 sentinel {\"source\":\"app\",\"of\":\"restore\",\"wanted\":\"8c\",\"found\":\"8c\",\"ok\":true}",
    CONTROL("one", "true", "true"),
    CONTROL("two", "true", "true"),
    "7 cleaned {\"what\":\"directory\",\"at\":\"\",\"name\":\"/s\",\"ok\":true}",
    "8 production " LOOK("after", "\"5\"", ",\"equal\":true,\"differs\":[],\"unread\":[]"),
    "9 verdict {\"passed\":true,\"whys\":[],\"planted\":2,\"caught\":2}",
    "9 end {\"why\":\"\",\"run\":\"recovered\"}",
};

enum { BEFORE = 1, MADE = 3, OUTCOME, CLEANING, SENTINEL, ONE, TWO, CLEANED, AFTER, VERDICT, END };

static const struct {
    const char *lie;
    size_t line;
    const char *instead; /* NULL: the line is not there. It may hold more lines. */
} lies[] = {
    { "a fault that was not caught", ONE, CONTROL("one", "true", "false") },
    { "a fault of which nothing is on record", TWO, NULL },
    { "one fault told twice, and another not at all", TWO, CONTROL("one", "true", "true") },
    { "a sentinel that nobody looked for", SENTINEL, NULL },
    { "credentials of drills that can write, and a later word that they cannot", CLEANING,
      "4 cleaning {\"then\":\"recovered\",\"run\":\"cleaning\"}\n"
      "5 credentials {\"items\":[{\"what\":\"bucket\",\"name\":\"eu\",\"own\":true,"
      "\"writes\":\"accepted\"}]}\n"
      "5 credentials {\"items\":[{\"what\":\"bucket\",\"name\":\"eu\",\"own\":true,"
      "\"writes\":\"refused\"}]}" },
    { "a sentinel that is another one", SENTINEL,
      "5 sentinel {\"source\":\"app\",\"wanted\":\"8c\",\"found\":\"77\",\"ok\":false}" },
    { "found, without a word on what was wanted", SENTINEL,
      "5 sentinel {\"source\":\"app\",\"found\":\"8c\",\"ok\":true}" },
    { "found in one of two trees", SENTINEL,
      "5 sentinel {\"source\":\"app\",\"of\":\"a\",\"wanted\":\"8c\",\"found\":null,\"ok\":false}\n"
      "5 sentinel {\"source\":\"app\",\"of\":\"b\",\"wanted\":\"8c\",\"found\":\"8c\",\"ok\":true}" },
    { "something was left behind", CLEANED,
      "7 cleaned {\"what\":\"directory\",\"at\":\"\",\"name\":\"/s\",\"ok\":false}" },
    { "something was left behind that no record of its making tells", CLEANED,
      "7 cleaned {\"what\":\"directory\",\"at\":\"\",\"name\":\"/s\",\"ok\":true}\n"
      "7 cleaned {\"what\":\"directory\",\"at\":\"ap\",\"name\":\"/s\",\"ok\":false}" },
    { "another thing was cleaned", CLEANED,
      "7 cleaned {\"what\":\"directory\",\"at\":\"\",\"name\":\"/t\",\"ok\":true}" },
    { "nobody looked at production before", BEFORE, NULL },
    { "nobody looked at production after", AFTER, NULL },
    { "equal, and the fields differ", AFTER,
      "8 production " LOOK("after", "\"6\"", ",\"equal\":true,\"differs\":[]") },
    { "equal, and a field was not read", AFTER,
      "8 production " LOOK("after", "null", ",\"equal\":true,\"differs\":[]") },
    { "equal, and a field is not there any more", AFTER,
      "8 production {\"when\":\"after\",\"fields\":[],\"equal\":true,\"differs\":[]}" },
    { "a step that failed", OUTCOME,
      "3 outcome {\"step\":\"restore\",\"state\":\"failed\",\"verdict\":\"fail\"}" },
    { "steps that did not come to their end", CLEANING,
      "4 cleaning {\"then\":\"aborted\",\"run\":\"cleaning\"}" },
    { "reasons against it", VERDICT, "9 verdict {\"passed\":true,\"whys\":[\"no\"]}" },
    { "a second opinion", VERDICT,
      "9 verdict {\"passed\":false,\"whys\":[\"no\"]}\n9 verdict {\"passed\":true,\"whys\":[]}" },
    { "no verdict", VERDICT, NULL },
    { "an end that says otherwise", END, "9 end {\"why\":\"\",\"run\":\"failed\"}" },
};

static json_t *drill_with(size_t line, const char *instead)
{
    DR_CLEANUP(buf_fini) struct buf script = { 0 };
    struct journal_records records = { 0 };
    struct dr_err err = { 0 };
    json_t *report = NULL;
    for (size_t i = 0; i < DR_ARRAY_LEN(good); i++)
        if (i != line || instead != NULL)
            buf_addf(&script, "%s\n", i == line ? instead : good[i]);
    recorded_run(script.data, &records);
    assert_int_equal(report_make(&records, 0, &report, &err), DR_OK);
    journal_records_fini(&records);
    return report;
}

/* In the report of the run, on its page, and in the month. */
static bool is_told_as_passed(json_t *report)
{
    DR_CLEANUP(buf_fini) struct buf page = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_JSON json_t *period = NULL;
    DR_JSON json_t *runs = json_pack("[O]", report);
    const struct period_facts facts = { .to_ns = INT64_MAX, .as_of_ns = INT64_MAX, .runs = runs };
    struct dr_err err = { 0 };
    report_html(report, &page);
    report_text(report, &text);
    assert_int_equal(period_make(&facts, &period, &err), DR_OK);
    int told = strstr(page.data, "DRILL PASSED") != NULL;
    told += strstr(text.data, "PASSED") != NULL;
    told += json_is_true(json_object_get(json_object_get(report, "drill"), "passed"));
    told += body_int(json_object_get(period, "drills"), "passed", -1) == 1;
    assert_true(told == 0 || told == 4); /* they say the same */
    return told == 4;
}

static void a_good_drill_is_told_as_passed(void **state)
{
    (void)state;
    DR_JSON json_t *report = drill_with(SIZE_MAX, NULL);
    assert_true(is_told_as_passed(report));
}

static void no_lie_of_a_drill_is_told_as_passed(void **state)
{
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(lies); i++) {
        DR_JSON json_t *report = drill_with(lies[i].line, lies[i].instead);
        if (is_told_as_passed(report))
            fail_msg("%s was told as passed", lies[i].lie);
    }
}

/* A reader must not have to guess which record it was. */
static void what_speaks_against_a_drill_is_told(void **state)
{
    (void)state;
    DR_JSON json_t *report = drill_with(ONE, CONTROL("one", "true", "false"));
    const json_t *why = json_object_get(json_object_get(report, "drill"), "why");
    assert_int_equal(json_array_size(why), 2);
    assert_string_equal(json_string_value(json_array_get(why, 0)),
                        "its verdict says passed, and its records do not");
    assert_string_equal(json_string_value(json_array_get(why, 1)),
                        "1 of 2 planted faults were caught");
}

/* The member is called `whys` in the journal. */
static void a_drills_own_reasons_stand_in_its_report(void **state)
{
    (void)state;
    DR_JSON json_t *report =
        drill_with(VERDICT, "9 verdict {\"passed\":false,\"whys\":[\"left behind: /s\"]}");
    const json_t *why = json_object_get(json_object_get(report, "drill"), "why");
    assert_int_equal(json_array_size(why), 1);
    assert_string_equal(json_string_value(json_array_get(why, 0)), "left behind: /s");
}

/* A step's name is a plan's, and a plan's names are plain; a journal is a file, and anybody's. */
static void no_name_of_a_journal_reaches_a_terminal_as_it_is(void **state)
{
    (void)state;
    DR_JSON json_t *report = drill_with(
        ONE, "6 preflight {\"check\":\"\\u001b[2J\\nDRILL PASSED \\u202e\",\"verdict\":\"fail\"}");
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    report_text(report, &text);
    assert_null(strchr(text.data, 0x1b));
    assert_null(strstr(text.data, "\nDRILL PASSED"));
    assert_non_null(strstr(text.data, "\\x1b[2J\\x0aDRILL PASSED \\u202e"));
}

/* They are there to be copied into a shell. */
static void what_is_to_be_typed_is_one_word(void **state)
{
    (void)state;
    struct journal_records records = { 0 };
    struct dr_err err = { 0 };
    DR_JSON json_t *report = NULL;
    recorded_run("0 start {\"id\":\"D-1\",\"plan\":{\"file\":\"a'b; touch x.yaml\"}}\n", &records);
    assert_int_equal(report_make(&records, 0, &report, &err), DR_OK);
    journal_records_fini(&records);
    const json_t *list = json_object_get(report, "verify");
    assert_string_equal(json_string_value(json_array_get(list, 0)),
                        "drctl report --run D-1 --format json");
    assert_string_equal(json_string_value(json_array_get(list, 2)),
                        "sha256sum 'a'\\''b; touch x.yaml'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_drill_is_told_as_passed),
        cmocka_unit_test(no_lie_of_a_drill_is_told_as_passed),
        cmocka_unit_test(what_speaks_against_a_drill_is_told),
        cmocka_unit_test(a_drills_own_reasons_stand_in_its_report),
        cmocka_unit_test(no_name_of_a_journal_reaches_a_terminal_as_it_is),
        cmocka_unit_test(what_is_to_be_typed_is_one_word),
    };
    return cmocka_run_group_tests_name("report_drill", tests, NULL, NULL);
}
