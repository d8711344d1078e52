/*
 * The register of findings: what runs and people of all hosts say, put into one order; and what the end of a run adds to the ledger.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/time.h"
#include "dr/proof/findings.h"
#include "dr/proof/report_work.h"

/* Texts with ' for ". */
static json_t *json_of(const char *text)
{
    struct dr_err err = { 0 };
    json_t *value = NULL;
    DR_FREE char *copy = dr_strdup(text);
    for (char *at = copy; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    if (json_read("the facts", copy, strlen(copy), &value, &err) != DR_OK)
        fail_msg("%s in %s", err.msg, copy);
    return value;
}

static int64_t ns_of(const char *text)
{
    int64_t ns = 0;
    assert_true(time_parse(text, &ns));
    return ns;
}

/* runs and book: the inner of a list. */
static json_t *register_of(const char *runs, const char *book)
{
    DR_FREE char *all_runs = dr_strf("[%s]", runs);
    DR_FREE char *all_book = dr_strf("[%s]", book);
    DR_JSON json_t *r = json_of(all_runs);
    DR_JSON json_t *b = json_of(all_book);
    const struct findings_facts f = { .runs = r,
                                      .book = b,
                                      .end_ns = ns_of("2026-12-01T00:00:00Z") };
    return findings_register(&f);
}

#define AT(day)  "'2026-11-" day "T03:00:00.000000000Z'"
#define DUE(day) "'2026-11-" day "T03:00:00.000000000Z'"
#define F(id, kind, subject, owner, due)                   \
    "{'id':'" id "','kind':'" kind "','subject':'" subject \
    "','severity':'warning','text':'t','owner':" owner ",'due':" due "}"
#define RUN(id, day, state, more)                                           \
    "{'run':'" id "','plan':{'name':'my-plan'},'dry':false,'state':'" state \
    "','started':" AT(day) ",'ended':" AT(day) "," more "}"
#define DRILL(id, day, controls, findings) \
    RUN(id, day, "failed", "'drill':{'controls':[" controls "]},'findings':[" findings "]")
#define CAUGHT(name)          "{'name':'" name "','planted':true,'caught':true}"
#define LINE(type, day, body) "{'type':'" type "','time':" AT(day) ",'body':{" body "}}"

#define FLIP F("F-1", "control", "flip", "'ana'", DUE("20"))

static const json_t *the(const json_t *list, const char *id)
{
    const json_t *one = findings_get(list, id);
    assert_non_null(one);
    return one;
}

static void what_is_found_again_is_the_same_finding_with_its_first_date(void **state)
{
    (void)state;
    DR_JSON json_t *all =
        register_of(DRILL("D-1", "03", "", FLIP) "," DRILL(
                        "D-2", "10", "", F("F-1", "control", "flip", "'bo'", DUE("27"))),
                    "");
    assert_int_equal(json_array_size(all), 1);
    const json_t *one = the(all, "F-1");
    assert_true(findings_is_open(one));
    assert_int_equal(body_int(one, "seen", 0), 2);
    assert_string_equal(body_text(one, "run"), "D-1");
    assert_string_equal(body_text(one, "last_run"), "D-2");
    assert_string_equal(body_text(one, "owner"), "ana");
    assert_true(text_starts(body_text(one, "due"), "2026-11-20"));
    assert_true(text_starts(body_text(one, "opened"), "2026-11-03"));
}

static void a_run_that_looked_and_no_longer_has_it_closes_it_by_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *next;
        bool open;
    } rows[] = {
        { DRILL("D-2", "10", CAUGHT("flip"), ""), false },
        { DRILL("D-2", "10", CAUGHT("other"), ""), true }, /* another fault was drawn */
        { DRILL("D-2", "10", "{'name':'flip','planted':false}", ""), true },
        { RUN("R-2", "10", "recovered", "'findings':[]"), true }, /* no drill */
        { RUN("D-2", "10", "aborted", "'drill':{'controls':[" CAUGHT("flip") "]},'findings':[]"),
          true },
        { "{'run':'D-2','plan':{'name':'other'},'dry':false,'state':'failed','started':" AT(
              "10") ",'ended':" AT("10") ",'drill':{'controls':[" CAUGHT("flip") "]},'findings':[]}",
          true },
        { "{'run':'D-2','broken':'bad'}", true },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_FREE char *runs = dr_strf("%s,%s", DRILL("D-1", "03", "", FLIP), rows[i].next);
        DR_JSON json_t *all = register_of(runs, "");
        const json_t *one = the(all, "F-1");
        assert_int_equal(findings_is_open(one), rows[i].open);
        if (rows[i].open)
            continue;
        const json_t *closed = json_object_get(one, "closed");
        assert_string_equal(body_text(closed, "by"), "D-2");
        assert_int_equal(body_int(closed, "after_ms", 0), 7 * 86400000);
    }
}

static void each_kind_has_its_own_way_to_have_looked(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *subject, *report;
        bool looked;
    } rows[] = {
        { "step", "go", "{'steps':[{'id':'go','state':'done'}]}", true },
        { "step", "go", "{'steps':[{'id':'go','state':'pending'}]}", false },
        { "skipped", "go", "{'steps':[{'id':'go','state':'skipped'}]}", false },
        { "step", "go", "{'steps':[]}", true }, /* the plan has it no more */
        { "sentinel", "app", "{'drill':{'sentinels':[{'source':'app','ok':true}]}}", true },
        { "sentinel", "app", "{'drill':{'sentinels':[{'source':'app','ok':null}]}}", false },
        { "production", "dns", "{'drill':{'production':{'equal':true}}}", true },
        { "production", "dns", "{'drill':{'production':{'equal':null}}}", false },
        { "objective", "data_loss", "{'data_loss':{'verdict':'met'}}", true },
        { "objective", "data_loss", "{'data_loss':{'verdict':'not measured'}}", false },
        { "fence", "us", "{'fencing':[{'region':'us','proof':'lease'}]}", true },
        { "fence", "us", "{'fencing':[{'region':'eu','proof':'lease'}]}", false },
        { "preflight", "ttl eu", "{'preflight':[{'check':'ttl','region':'eu','verdict':'pass'}]}",
          true },
        { "preflight", "ttl eu", "{'preflight':[{'check':'ttl','region':'ap','verdict':'pass'}]}",
          false },
        { "leftover", "/s", "{'drill':{'cleaned':[]}}", false },
        { "leftover", "/s", "{'drill':{'cleaned':[{'name':'/s','ok':true}]}}", true },
        { "refused", "us", "{'failed':'us'}", true },
        { "refused", "us", "{'failed':'eu'}", false },
        { "segregation", "restore", "{'drill':{'segregated':{'segregated':false}}}", false },
        { "segregation", "restore", "{'drill':{'segregated':{'segregated':true}}}", true },
        { "credentials", "bucket us", "{'drill':{'credentials':[{'what':'bucket','name':'us'}]}}",
          true },
        { "credentials", "bucket us", "{'drill':{'credentials':[]}}", false },
        { "control", "none", "{'drill':{'power':{'planted':1}}}", true },
        { "control", "none", "{'drill':{'power':null}}", false },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_JSON json_t *report = json_of(rows[i].report);
        DR_JSON json_t *one = json_object();
        json_put_text(one, "kind", rows[i].kind);
        json_put_text(one, "subject", rows[i].subject);
        if (findings_looked(report, one) != rows[i].looked)
            fail_msg("row %zu: %s %s", i, rows[i].kind, rows[i].report);
    }
}

static void the_last_word_of_people_holds_whatever_the_order_of_the_lines(void **state)
{
    (void)state;
    static const char a[] =
        LINE("finding_owned", "05", "'id':'F-1','owner':'cem','due':" DUE("25"));
    static const char b[] = LINE("finding_owned", "07", "'id':'F-1','owner':'dana','due':null");
    DR_FREE char *ab = dr_strf("%s,%s", a, b);
    DR_FREE char *ba = dr_strf("%s,%s", b, a);
    const char *const orders[] = { ab, ba };
    for (size_t i = 0; i < DR_ARRAY_LEN(orders); i++) {
        DR_JSON json_t *all = register_of(DRILL("D-1", "03", "", FLIP), orders[i]);
        const json_t *one = the(all, "F-1");
        assert_string_equal(body_text(one, "owner"), "dana");
        assert_true(text_starts(body_text(one, "due"), "2026-11-25")); /* it stays */
    }
}

static void who_closes_what_is_closed_is_not_heard(void **state)
{
    (void)state;
    DR_JSON json_t *all =
        register_of(DRILL("D-1", "03", "", FLIP),
                    LINE("finding_closed", "06", "'id':'F-1','by':'bo','reason':'later'") "," LINE(
                        "finding_closed", "05", "'id':'F-1','by':'ana','reason':'first'"));
    assert_string_equal(body_text(json_object_get(the(all, "F-1"), "closed"), "by"), "ana");
}

static void what_is_found_after_it_was_closed_is_open_anew(void **state)
{
    (void)state;
    DR_JSON json_t *all =
        register_of(DRILL("D-1", "03", "", FLIP) "," DRILL(
                        "D-2", "10", "", F("F-1", "control", "flip", "'bo'", DUE("27"))),
                    LINE("finding_closed", "05", "'id':'F-1','by':'ana','reason':'r'"));
    const json_t *one = the(all, "F-1");
    assert_true(findings_is_open(one));
    assert_string_equal(body_text(one, "run"), "D-2");
    assert_string_equal(body_text(one, "owner"), "bo");
    assert_true(text_starts(body_text(one, "due"), "2026-11-27"));
    assert_int_equal(body_int(one, "seen", 0), 1);
}

/* The line of a run that ended before was written late: what a person said in between holds. */
static void a_run_counts_from_its_end_and_not_from_its_line(void **state)
{
    (void)state;
    DR_JSON json_t *all =
        register_of("", LINE("finding_closed", "05", "'id':'F-1','by':'ana','reason':'r'") "," LINE(
                            "finding", "08",
                            "'id':'F-1','run':'D-1','plan':'p','drill':true,'opened':" AT("03")));
    assert_false(findings_is_open(the(all, "F-1")));
}

static void a_word_about_what_no_run_told_is_kept_and_opens_nothing(void **state)
{
    (void)state;
    DR_JSON json_t *all =
        register_of("", LINE("finding_owned", "05", "'id':'F-9','owner':'ana','due':null"));
    assert_true(body_is(the(all, "F-9"), "said"));
    assert_string_equal(body_text(the(all, "F-9"), "owner"), "ana");
}

/* --- what a run adds --- */

static json_t *lines_of(const char *known_runs, const char *report, const char *told)
{
    DR_JSON json_t *known = register_of(known_runs, "");
    DR_JSON json_t *book = json_of(told);
    DR_JSON json_t *r = json_of(report);
    return findings_lines(known, book, r);
}

static const char *type_of(const json_t *lines, size_t i)
{
    return report_word(json_array_get(lines, i), "type");
}

static void the_end_of_a_run_adds_what_is_new_what_it_settled_and_that_it_is_told(void **state)
{
    (void)state;
    DR_JSON json_t *lines =
        lines_of(DRILL("D-1", "03", "", FLIP "," F("F-2", "control", "old", "null", "null")),
                 DRILL("D-2", "10", CAUGHT("flip"),
                       F("F-2", "control", "old", "null", "null") "," F("F-3", "control", "new",
                                                                        "null", "null")),
                 "[]");
    assert_int_equal(json_array_size(lines), 3);
    assert_string_equal(type_of(lines, 0), "finding");
    assert_string_equal(body_text(json_object_get(json_array_get(lines, 0), "body"), "id"), "F-3");
    assert_string_equal(type_of(lines, 1), "finding_closed");
    const json_t *closed = json_object_get(json_array_get(lines, 1), "body");
    assert_string_equal(body_text(closed, "id"), "F-1");
    assert_string_equal(body_text(closed, "by"), "D-2");
    assert_string_equal(type_of(lines, 2), "findings");
    DR_JSON json_t *again =
        lines_of(DRILL("D-1", "03", "", FLIP), DRILL("D-2", "10", CAUGHT("flip"), ""),
                 "[{'type':'findings','time':" AT("10") ",'body':{'run':'D-2','ids':[]}}]");
    assert_int_equal(json_array_size(again), 0);
}

static void a_run_that_is_not_over_or_dry_adds_nothing(void **state)
{
    (void)state;
    DR_JSON json_t *live = lines_of(
        "", "{'run':'R-1','plan':{'name':'p'},'dry':false,'ended':null,'findings':[" FLIP "]}",
        "[]");
    DR_JSON json_t *dry = lines_of(
        "", "{'run':'T-1','plan':{'name':'p'},'dry':true,'ended':" AT("03") ",'findings':[]}",
        "[]");
    assert_int_equal(json_array_size(live), 0);
    assert_int_equal(json_array_size(dry), 0);
}

static void what_others_said_is_heard_once(void **state)
{
    (void)state;
    static const char found[] =
        LINE("finding", "03", "'id':'F-1','run':'D-1','plan':'p','drill':true,'opened':" AT("03"));
    static const char closed[] = LINE("finding_closed", "05", "'id':'F-1','by':'ana','reason':'r'");
    DR_FREE char *both = dr_strf("%s,%s", found, closed);
    DR_JSON json_t *own = register_of("", found);
    DR_JSON json_t *all = register_of("", both);
    DR_JSON json_t *lines = findings_heard(own, all);
    assert_int_equal(json_array_size(lines), 1);
    const json_t *body = json_object_get(json_array_get(lines, 0), "body");
    assert_string_equal(body_text(body, "by"), "ana");
    assert_true(text_starts(body_text(body, "at"), "2026-11-05"));
    DR_JSON json_t *nothing = findings_heard(all, all);
    assert_int_equal(json_array_size(nothing), 0);
}

/* --- for people --- */

static void overdue_counts_from_the_date_and_only_while_it_is_open(void **state)
{
    (void)state;
    static const struct {
        const char *as_of;
        bool overdue;
        int64_t days;
    } rows[] = {
        { "2026-11-20T03:00:00Z", false, 0 }, /* the very moment */
        { "2026-11-20T03:00:01Z", true, 0 },
        { "2026-11-23T03:00:00Z", true, 3 },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_JSON json_t *all = register_of(DRILL("D-1", "03", "", FLIP), "");
        json_t *one = findings_get(all, "F-1");
        findings_judge(one, ns_of(rows[i].as_of));
        assert_int_equal(body_is(one, "overdue"), rows[i].overdue);
        assert_int_equal(body_int(one, "overdue_days", -1), rows[i].days);
    }
    DR_JSON json_t *closed = register_of(DRILL("D-1", "03", "", FLIP),
                                         LINE("finding_closed", "05", "'id':'F-1','by':'ana'"));
    json_t *one = findings_get(closed, "F-1");
    findings_judge(one, ns_of("2026-11-30T00:00:00Z"));
    assert_true(json_is_null(json_object_get(one, "overdue")));
    assert_string_equal(body_text(one, "state"), "closed");
}

static void overdue_ones_stand_first_then_critical_ones_then_by_date(void **state)
{
    (void)state;
    DR_JSON json_t *list =
        json_of("[{'id':'F-a','severity':'warning','overdue':false,'due':'2026-11-09'},"
                "{'id':'F-b','severity':'critical','overdue':null,'due':null},"
                "{'id':'F-c','severity':'critical','overdue':false,'due':'2026-11-08'},"
                "{'id':'F-d','severity':'warning','overdue':true,'due':'2026-11-01'}]");
    DR_JSON json_t *sorted = findings_sorted(list);
    static const char *const wanted[] = { "F-d", "F-c", "F-b", "F-a" };
    for (size_t i = 0; i < DR_ARRAY_LEN(wanted); i++)
        assert_string_equal(report_word(json_array_get(sorted, i), "id"), wanted[i]);
}

static void an_id_is_found_by_its_beginning_when_no_other_begins_so(void **state)
{
    (void)state;
    static const struct {
        const char *word, *found;
        size_t near;
    } rows[] = {
        { "F-1a2b3c4d", "F-1a2b3c4d", 0 },
        { "f-1A2B3C4D", "F-1a2b3c4d", 0 },
        { "1a2b", "F-1a2b3c4d", 1 },
        { "F-1a2", NULL, 2 },
        { "1", NULL, 2 },
        { "1a2b3c4e", NULL, 1 },
        { "ffffffff", NULL, 0 },
        { "", NULL, 2 },
    };
    DR_JSON json_t *list = json_of("[{'id':'F-1a2b3c4d'},{'id':'F-1a2f0000'}]");
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_CLEANUP(text_list_fini) struct text_list near = { 0 };
        const json_t *one = findings_find(list, rows[i].word, &near);
        assert_int_equal(one != NULL, rows[i].found != NULL);
        if (one != NULL)
            assert_string_equal(report_word(one, "id"), rows[i].found);
        assert_int_equal(near.count, rows[i].near);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_found_again_is_the_same_finding_with_its_first_date),
        cmocka_unit_test(a_run_that_looked_and_no_longer_has_it_closes_it_by_its_name),
        cmocka_unit_test(each_kind_has_its_own_way_to_have_looked),
        cmocka_unit_test(the_last_word_of_people_holds_whatever_the_order_of_the_lines),
        cmocka_unit_test(who_closes_what_is_closed_is_not_heard),
        cmocka_unit_test(what_is_found_after_it_was_closed_is_open_anew),
        cmocka_unit_test(a_run_counts_from_its_end_and_not_from_its_line),
        cmocka_unit_test(a_word_about_what_no_run_told_is_kept_and_opens_nothing),
        cmocka_unit_test(the_end_of_a_run_adds_what_is_new_what_it_settled_and_that_it_is_told),
        cmocka_unit_test(a_run_that_is_not_over_or_dry_adds_nothing),
        cmocka_unit_test(what_others_said_is_heard_once),
        cmocka_unit_test(overdue_counts_from_the_date_and_only_while_it_is_open),
        cmocka_unit_test(overdue_ones_stand_first_then_critical_ones_then_by_date),
        cmocka_unit_test(an_id_is_found_by_its_beginning_when_no_other_begins_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
