/*
 * The report over a time: a golden month, and what must hold of any facts.
 *
 * tests/golden/report/period.facts is a month with a drill that failed, a failover, a broken journal and a torn one;
 * period.json, period.txt and period.csv beside it are its report. GOLDEN_WRITE=1 writes them afresh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/time.h"
#include "dr/proof/csv.h"
#include "dr/proof/period.h"
#include "dr/proof/report.h"
#include "tests/support/recorded.h"

static const char GOLDEN[] = "tests/golden/report";
static const int64_t SECOND = 1000000000;
static const int64_t HOUR = 3600 * 1000000000LL;

static char *load(const char *name)
{
    DR_FREE char *path = dr_strf("%s/%s", GOLDEN, name);
    struct buf b = { 0 };
    struct dr_err err = { 0 };
    if (fs_read_file(path, 1 << 20, &b, &err) != DR_OK)
        fail_msg("%s (run the test in the project's root)", err.msg);
    return buf_take(&b);
}

static void compare(const char *file, const struct buf *got)
{
    const char *write = getenv("GOLDEN_WRITE"); /* NOLINT(concurrency-mt-unsafe) */
    if (write != NULL && strcmp(write, "1") == 0) {
        struct dr_err err = { 0 };
        assert_int_equal(fs_replace(GOLDEN, file, got->data, got->len, &err), DR_OK);
        DR_FREE char *path = dr_strf("%s/%s", GOLDEN, file);
        assert_int_equal(chmod(path, 0644), 0);
    }
    DR_FREE char *want = load(file);
    assert_string_equal(got->data, want);
}

static json_t *json_of(const char *text)
{
    struct dr_err err = { 0 };
    json_t *value = NULL;
    if (json_read("facts", text, strlen(text), &value, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return value;
}

static int64_t ns_of(const char *text)
{
    int64_t ns = 0;
    assert_true(time_parse(text, &ns));
    return ns;
}

/* "recovered.run" is the report of that recorded run; an object stands for itself. */
static json_t *runs_of(const json_t *list)
{
    json_t *runs = json_array();
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (!json_is_string(one)) {
            json_array_append(runs, one);
            continue;
        }
        DR_FREE char *script = load(json_string_value(one));
        struct journal_records records = { 0 };
        struct dr_err err = { 0 };
        json_t *report = NULL;
        recorded_run(script, &records);
        assert_int_equal(report_make(&records, 0, &report, &err), DR_OK);
        journal_records_fini(&records);
        json_array_append_new(runs, report);
    }
    return runs;
}

/* The report of facts as a test writes them; runs that are names are recorded runs. */
static json_t *make(const json_t *facts)
{
    DR_JSON json_t *runs = runs_of(json_object_get(facts, "runs"));
    struct dr_err err = { 0 };
    json_t *period = NULL;
    const struct period_facts f = {
        .from_ns = ns_of(body_text(facts, "from")),
        .to_ns = ns_of(body_text(facts, "to")),
        .as_of_ns = ns_of(body_text(facts, "as_of")),
        .name = body_text(facts, "name"),
        .owner = body_text(facts, "owner"),
        .due_critical_ms = body_int(facts, "due_critical_ms", 0),
        .due_warning_ms = body_int(facts, "due_warning_ms", 0),
        .plans = json_object_get(facts, "plans"),
        .sources = json_object_get(facts, "sources"),
        .buckets = json_object_get(facts, "buckets"),
        .runs = runs,
        .book = json_object_get(facts, "book"),
        .heads = json_object_get(facts, "heads"),
        .clauses = json_object_get(facts, "clauses"),
        .hosts = json_object_get(facts, "hosts"),
        .notes = json_object_get(facts, "notes"),
    };
    assert_int_equal(period_make(&f, &period, &err), DR_OK);
    return period;
}

static void add_pretty(struct buf *out, const json_t *value)
{
    char *pretty = json_dumps(value, JSON_INDENT(1) | JSON_SORT_KEYS);
    buf_adds(out, pretty);
    buf_addc(out, '\n');
    free(pretty);
}

static void a_month_is_told_as_it_was(void **state)
{
    (void)state;
    DR_FREE char *text = load("period.facts");
    DR_JSON json_t *facts = json_of(text);
    DR_JSON json_t *period = make(facts);
    DR_CLEANUP(buf_fini) struct buf json = { 0 };
    DR_CLEANUP(buf_fini) struct buf plain = { 0 };
    DR_CLEANUP(buf_fini) struct buf csv = { 0 };
    add_pretty(&json, period);
    period_text(period, &plain);
    report_csv(period, &csv);
    compare("period.json", &json);
    compare("period.txt", &plain);
    compare("period.csv", &csv);
}

static void the_same_facts_give_the_same_bytes(void **state)
{
    (void)state;
    DR_FREE char *text = load("period.facts");
    DR_JSON json_t *facts = json_of(text);
    DR_JSON json_t *one = make(facts);
    DR_JSON json_t *two = make(facts);
    DR_CLEANUP(buf_fini) struct buf a = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    json_add_canonical(&a, one);
    json_add_canonical(&b, two);
    assert_string_equal(a.data, b.data);
}

/* --- facts, put together --- */

static const char MONTH[] = "{'from':'2026-11-01T00:00:00Z','to':'2026-12-01T00:00:00Z',"
                            "'as_of':'2026-12-01T00:00:00Z','name':'2026-11',%s}";

/* more: members, with ' for ". */
static json_t *month(const char *more)
{
    DR_FREE char *text = dr_strf(MONTH, more); /* NOLINT(clang-diagnostic-format-nonliteral) */
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    DR_JSON json_t *facts = json_of(text);
    return make(facts);
}

#define AT(day)    "'2026-" day "T03:00:00.000000000Z'"
#define BEGAN(day) "'started':" AT(day) ",'ended':" AT(day)
#define PLAN       "'plan':{'name':'p'}"
#define HELD(id, day, state, more) \
    "{'run':'" id "'," PLAN ",'dry':false,'state':'" state "'," BEGAN(day) more "}"
#define POWER(planted, caught) \
    ",'drill':{'passed':true,'power':{'planted':" #planted ",'caught':" #caught ",'percent':0}}"
#define FINDING(id, kind)                       \
    ",'findings':[{'id':'" id "','kind':'" kind \
    "','subject':'s','severity':'critical','text':'t " id "','owner':null,'due':null}]"

static const json_t *item(const json_t *list, const char *key, const char *value)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *text = body_text(one, key);
        if (text != NULL && strcmp(text, value) == 0)
            return one;
    }
    return NULL;
}

static const json_t *list_of(const json_t *object, const char *key)
{
    return json_object_get(object, key);
}

static void a_month_without_runs_says_so(void **state)
{
    (void)state;
    DR_JSON json_t *period = month("'plans':[{'name':'p','rto_ms':60000,'rpo_ms':null,"
                                   "'drill_every_ms':2592000000}]");
    assert_int_equal(json_array_size(list_of(period, "runs")), 0);
    assert_true(json_is_null(json_object_get(period, "mttr_ms")));
    assert_true(json_is_null(json_object_get(period, "mttd_ms")));
    assert_int_equal(body_int(json_object_get(period, "drills"), "overdue", 0), 1);
    assert_non_null(item(list_of(period, "findings"), "kind", "overdue"));
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    period_text(period, &text);
    assert_non_null(strstr(text.data, "no run and no drill began in this period"));
    assert_non_null(strstr(text.data, "to recover not measured"));
    assert_null(strstr(text.data, "(null)"));
}

static void drills_alone_have_no_mean_time_to_recover(void **state)
{
    (void)state;
    DR_JSON json_t *period = month("'runs':[" HELD(
        "D-1", "11-03", "recovered",
        POWER(5, 5) ",'mode':'failover','impact':{'to':" AT(
            "11-03") "},'phases':{'whole_ms':9,"
                     "'ends_recovered':true,'list':[{'phase':'detect','ms':5}]}") "]");
    assert_true(json_is_null(json_object_get(period, "mttr_ms")));
    assert_true(json_is_null(json_object_get(period, "mttd_ms")));
    assert_int_equal(body_int(json_object_get(period, "drills"), "passed", 0), 1);
}

static void mean_times_are_of_failovers_that_were_measured(void **state)
{
    (void)state;
#define FAILOVER(id, detect, whole)                    \
    HELD(id, "11-03", "recovered",                     \
         ",'mode':'failover','impact':{'to':" AT(      \
             "11-03") "},'phases':{'whole_ms':" #whole \
                      ",'ends_recovered':true,'list':[{'phase':'detect','ms':" #detect "}]}")
    DR_JSON json_t *period = month("'runs':[" FAILOVER("R-1", 100, 1000) "," FAILOVER(
        "R-2", 300, 3000) "," HELD("R-3", "11-04", "recovered",
                                   ",'mode':'failover'") "," HELD("R-4", "11-05", "recovered",
                                                                  ",'mode':'switchover'") "]");
    assert_int_equal(body_int(period, "mttd_ms", 0), 200);
    assert_int_equal(body_int(period, "mttr_ms", 0), 2000);
}

static void a_broken_journal_is_a_row_and_a_finding(void **state)
{
    (void)state;
    DR_JSON json_t *period = month(
        "'runs':[{'run':'R-9','broken':'record 3: bad'},{'run':'R-8','broken':'bad','started':" AT(
            "10-03") "}," HELD("R-10", "11-05", "recovered", "") "]");
    const json_t *row = item(list_of(period, "runs"), "id", "R-9");
    assert_string_equal(body_text(row, "verdict"), "broken journal");
    assert_null(item(list_of(period, "runs"), "id", "R-8")); /* it began before */
    assert_non_null(item(list_of(period, "runs"), "id", "R-10"));
    assert_non_null(item(list_of(period, "findings"), "subject", "R-9"));
}

static void a_torn_journal_is_noted_and_counted(void **state)
{
    (void)state;
    DR_JSON json_t *period =
        month("'runs':[" HELD("R-1", "11-05", "recovered", ",'evidence':{'torn_bytes':17}") "]");
    const char *note = json_string_value(json_array_get(list_of(period, "notes"), 0));
    assert_non_null(strstr(note, "incomplete record of 17 bytes"));
    assert_non_null(item(list_of(period, "runs"), "id", "R-1"));
}

static void a_drill_that_is_late_is_overdue(void **state)
{
    (void)state;
    static const struct {
        const char *runs;
        bool overdue;
    } rows[] = {
        { "", true },
        { HELD("D-1", "10-03", "recovered", ",'drill':{}"), true },
        { HELD("D-1", "10-31", "recovered", ",'drill':{}"),
          false }, /* a day late: a tenth is none */
        { HELD("D-1", "11-03", "recovered", ",'drill':{}"), false },
        { HELD("D-1", "11-03", "failed", ",'drill':{}"), false },           /* it was held */
        { HELD("D-1", "11-03", "aborted", ",'drill':{}"), true },           /* it was not */
        { HELD("D-1", "11-03", "failed", ",'drill':{'died':true}"), true }, /* nobody ended it */
        { HELD("R-1", "11-03", "recovered", ""), true },                    /* no drill */
        { HELD("D-1", "12-03", "recovered", ",'drill':{}"), true },         /* after the period */
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_FREE char *more =
            dr_strf("'plans':[{'name':'p','drill_every_ms':2592000000}],'runs':[%s]", rows[i].runs);
        DR_JSON json_t *period = month(more);
        const json_t *plan = json_array_get(list_of(period, "plans"), 0);
        assert_int_equal(body_is(plan, "overdue"), rows[i].overdue);
    }
}

static void power_stands_by_months_and_empty_months_are_not_left_out(void **state)
{
    (void)state;
    DR_JSON json_t *period =
        month("'runs':[" HELD("D-1", "08-03", "recovered", POWER(5, 5)) "," HELD(
            "D-2", "11-03", "failed", POWER(5, 3)) "," HELD("D-3", "11-04", "failed",
                                                            POWER(4, 4)) "]");
    const json_t *power = list_of(json_object_get(period, "drills"), "power");
    assert_int_equal(json_array_size(power), 4);
    assert_int_equal(body_int(item(power, "month", "2026-09"), "planted", -1), 0);
    assert_int_equal(body_int(item(power, "month", "2026-11"), "planted", -1), 9);
    assert_int_equal(body_int(item(power, "month", "2026-11"), "caught", -1), 7);
}

static void a_finding_is_settled_by_the_next_run_of_its_kind_or_by_a_person(void **state)
{
    (void)state;
#define CLOSE "{'type':'finding_closed','time':" AT("11-20") ",'body':{'id':'F-a','by':'bo'}}"
    static const struct {
        const char *runs, *book;
        bool open;
    } rows[] = {
        { HELD("D-1", "11-03", "failed", ",'drill':{}" FINDING("F-a", "control")), "", true },
        { HELD("D-1", "11-03", "failed", ",'drill':{}" FINDING("F-a", "control")), CLOSE, false },
        { HELD("D-1", "11-03", "failed", ",'drill':{}" FINDING("F-a", "control")) "," HELD(
              "D-2", "11-04", "recovered",
              ",'drill':{'controls':[{'name':'s','planted':true,'caught':true}]}"),
          "", false },
        { HELD("D-1", "11-03", "failed", ",'drill':{}" FINDING("F-a", "control")) "," HELD(
              "D-2", "11-04", "recovered",
              ",'drill':{'controls':[{'name':'t','planted':true,'caught':true}]}"),
          "", true }, /* another fault was drawn */
        { HELD("D-1", "11-03", "failed",
               ",'drill':{}" FINDING("F-a", "control")) "," HELD("R-2", "11-04", "recovered", ""),
          "", true }, /* a run is no drill */
        { HELD("D-1", "11-03", "failed", ",'drill':{}" FINDING("F-a", "control")) "," HELD(
              "D-2", "11-04", "aborted",
              ",'drill':{'controls':[{'name':'s','planted':true,'caught':true}]}"),
          "", true }, /* it was not held */
        { HELD("D-1", "12-03", "failed", ",'drill':{}" FINDING("F-a", "control")), "", false },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_FREE char *more =
            dr_strf("'runs':[%s],'book':[%s],'owner':'ana'", rows[i].runs, rows[i].book);
        DR_JSON json_t *period = month(more);
        const json_t *found = item(list_of(period, "findings"), "id", "F-a");
        assert_int_equal(found != NULL, rows[i].open);
    }
}

static void a_finding_of_the_ledger_is_open_until_it_is_closed(void **state)
{
    (void)state;
    DR_JSON json_t *period = month("'owner':'ana','book':[{'type':'finding','time':" AT(
        "11-02") ",'body':{'id':'F-1',"
                 "'severity':'warning','text':'late','owner':'bo'}},{'type':'finding','time':" AT(
                     "11-02") ",'body':{'id':'F-2','severity':'warning','text':'x'}},"
                              "{'type':'finding_closed','time':" AT(
                                  "12-02") ",'body':{'id':'F-1'}},"
                                           "{'type':'finding','time':" AT(
                                               "12-02") ",'body':{'id':'F-3','text':'y'}}]");
    const json_t *one = item(list_of(period, "findings"), "id", "F-1");
    assert_non_null(one); /* it was closed after the period */
    assert_string_equal(body_text(one, "owner"), "bo");
    assert_null(
        body_text(item(list_of(period, "findings"), "id", "F-2"), "owner")); /* no default */
    assert_null(item(list_of(period, "findings"), "id", "F-3"));
}

static void a_lack_that_began_after_somebody_closed_it_is_open_again(void **state)
{
    (void)state;
    static const struct {
        const char *closed;
        bool open;
    } rows[] = { { "11-15", true }, { "11-25", false } }; /* due on the 20th */
    DR_JSON json_t *first =
        month("'plans':[{'name':'p','drill_every_ms':1468800000}],'runs':[" HELD(
            "D-1", "11-03", "recovered", ",'drill':{}") "]");
    const char *id = body_text(item(list_of(first, "findings"), "kind", "overdue"), "id");
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_FREE char *more = dr_strf(
            "'owner':'ana','due_warning_ms':86400000,"
            "'plans':[{'name':'p','drill_every_ms':1468800000}],'runs':[%s],'book':[{'type':"
            "'finding_closed','time':'2026-%sT03:00:00Z','body':{'id':'%s','by':'bo'}}]",
            HELD("D-1", "11-03", "recovered", ",'drill':{}"), rows[i].closed, id);
        DR_JSON json_t *period = month(more);
        const json_t *one = item(list_of(period, "findings"), "id", id);
        assert_int_equal(one != NULL, rows[i].open);
        if (one == NULL)
            continue;
        assert_string_equal(body_text(one, "owner"), "ana");
        assert_true(text_starts(body_text(one, "due"), "2026-11-21")); /* a day after it began */
        assert_true(body_is(one, "overdue"));
        assert_int_equal(body_int(one, "overdue_days", 0), 9);
    }
}

static void those_that_were_closed_in_the_period_are_told_with_whom_why_and_when(void **state)
{
    (void)state;
    DR_JSON json_t *period = month("'book':[{'type':'finding','time':" AT(
        "10-02") ",'body':{'id':'F-1','text':'old'}},"
                 "{'type':'finding_closed','time':" AT(
                     "10-05") ",'body':{'id':'F-1','by':'bo'}},"
                              "{'type':'finding','time':" AT(
                                  "10-02") ",'body':{'id':'F-2','text':'x'}},"
                                           "{'type':'finding_closed','time':" AT(
                                               "11-05") ",'body':{'id':'F-2','by':'bo',"
                                                        "'reason':'mended'}}]");
    const json_t *closed = list_of(period, "findings_closed");
    assert_int_equal(json_array_size(closed), 1);
    const json_t *end = json_object_get(json_array_get(closed, 0), "closed");
    assert_string_equal(body_text(end, "reason"), "mended");
    assert_int_equal(body_int(end, "after_ms", 0), 34LL * 86400000);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    period_text(period, &text);
    assert_non_null(strstr(text.data, "by bo on 2026-11-05, after 34d 0h: mended"));
}

/* --- backups --- */

/* Hours after 2026-11-01; state: in bucket eu. */
static void add_backup(json_t *book, int from_h, int to_h, const char *state)
{
    int64_t zero = ns_of("2026-11-01T00:00:00Z");
    char began[TIME_TEXT_MAX], ended[TIME_TEXT_MAX];
    time_print(zero + from_h * HOUR, began);
    time_print(zero + to_h * HOUR, ended);
    bool done = strcmp(state, "none") != 0;
    json_array_append_new(book, json_pack("{s:s, s:s, s:{s:s, s:o, s:s, s:s, s:i, s:[{s:s, s:s}]}}",
                                          "type", "backup", "time", ended, "body", "source", "app",
                                          "snapshot", done ? json_string("app-1") : json_null(),
                                          "began", began, "ended", ended, "exit", done ? 0 : 1,
                                          "buckets", "name", "eu", "state", state));
}

static json_t *backups(json_t *book /* taken */, const char *sources)
{
    DR_FREE char *text =
        dr_strdup("{\"from\":\"2026-11-01T00:00:00Z\",\"to\":\"2026-12-01T00:00:00Z\","
                  "\"as_of\":\"2026-12-01T00:00:00Z\",\"name\":\"n\","
                  "\"buckets\":[{\"name\":\"eu\",\"region\":\"eu-west-1\"}]}");
    DR_JSON json_t *facts = json_of(text);
    json_put(facts, "book", book);
    json_put(facts, "sources", json_of(sources));
    return make(facts);
}

static const char APP[] =
    "[{\"name\":\"app\",\"class\":\"data\",\"mine\":true,\"every_ms\":36000000}]";

static int64_t loss_h(const json_t *period, size_t at)
{
    const json_t *series = list_of(json_array_get(list_of(period, "buckets"), 0), "series");
    int64_t ms = body_int(json_array_get(series, at), "loss_ms", -1);
    return ms < 0 ? -1 : ms / 3600000;
}

static void loss_rises_with_time_and_falls_with_each_durable_backup(void **state)
{
    (void)state;
    json_t *book = json_array();
    add_backup(book, -10, -9, "durable");
    add_backup(book, 2, 3, "durable");
    add_backup(book, 10, 12, "lagging");
    add_backup(book, 20, 21, "none");
    DR_JSON json_t *period = backups(book, APP);
    static const int64_t want[] = { 10, 13, 1, 10, 19, 718 }; /* at 0, 3, 3, 12, 21, 720 h */
    for (size_t i = 0; i < DR_ARRAY_LEN(want); i++)
        assert_int_equal(loss_h(period, i), want[i]);
    const json_t *source = json_array_get(list_of(period, "sources"), 0);
    const json_t *counts = json_object_get(source, "backups");
    assert_int_equal(body_int(counts, "wanted", 0), 72);
    assert_int_equal(body_int(counts, "done", 0), 2);
    assert_int_equal(body_int(counts, "degraded", 0), 1);
    assert_int_equal(body_int(counts, "failed", 0), 1);
}

static void what_was_never_in_a_bucket_makes_its_loss_unknown(void **state)
{
    (void)state;
    static const char TWO[] = "[{\"name\":\"app\",\"mine\":true},{\"name\":\"db\",\"mine\":true}]";
    static const char OTHERS[] =
        "[{\"name\":\"app\",\"mine\":true},{\"name\":\"db\",\"mine\":false}]";
    json_t *book = json_array();
    add_backup(book, 2, 3, "durable");
    DR_JSON json_t *again = json_deep_copy(book);
    DR_JSON json_t *two = backups(book, TWO);
    assert_int_equal(loss_h(two, 2), -1);
    DR_JSON json_t *others = backups(json_incref(again), OTHERS);
    assert_int_equal(loss_h(others, 2), 1);
    DR_JSON json_t *none = backups(json_array(), TWO);
    assert_int_equal(
        json_array_size(list_of(json_array_get(list_of(none, "buckets"), 0), "series")), 0);
}

static void many_points_are_thinned_and_keep_their_peaks(void **state)
{
    (void)state;
    json_t *book = json_array();
    for (int i = 0; i < 2400; i++)
        add_backup(book, i / 4, i / 4, i >= 1000 && i < 1100 ? "failed" : "durable");
    DR_JSON json_t *period = backups(book, APP);
    const json_t *series = list_of(json_array_get(list_of(period, "buckets"), 0), "series");
    size_t count = json_array_size(series);
    int64_t peak_ms = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t loss_ms = body_int(json_array_get(series, i), "loss_ms", -1);
        bool during = i < count - 1; /* the last point is the end of the month */
        peak_ms = during && loss_ms > peak_ms ? loss_ms : peak_ms;
        if (i > 0)
            assert_true(strcmp(body_text(json_array_get(series, i - 1), "at"),
                               body_text(json_array_get(series, i), "at")) <= 0);
    }
    assert_in_range(count, 100, PERIOD_POINTS + 2);
    assert_int_equal(peak_ms / 3600000, 26); /* from 249 h, the last one durable, to 275 h */
}

static void the_newest_proof_counts_whatever_it_says(void **state)
{
    (void)state;
    DR_JSON json_t *period = month("'sources':[{'name':'app'},{'name':'db'}],'runs':[" HELD(
        "D-1", "11-03", "failed",
        ",'drill':{},'restored':[{'source':'app','verdict':'pass','time':" AT(
            "11-03") "}]") "],'book':[{'type':'verify','time':" AT("11-07") ",'body':{'source':null,"
                                                                            "'exit':7}}]");
    const json_t *app =
        json_object_get(item(list_of(period, "sources"), "name", "app"), "last_proof");
    assert_string_equal(body_text(app, "result"), "fail");
    assert_string_equal(body_text(app, "kind"), "verify");
    assert_int_equal(body_int(app, "age_days", 0), 23);
    const json_t *finding = item(list_of(period, "findings"), "subject", "app");
    assert_string_equal(body_text(finding, "severity"), "critical");
}

static void a_look_at_names_is_no_proof(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *result; /* NULL: none */
    } rows[] = {
        { "'source':'app','exit':0,'depth':'data'", "pass" },
        { "'source':null,'snapshot':null,'exit':0,'depth':'data'", "pass" },
        { "'source':null,'snapshot':'db-1','exit':0,'depth':'data'", NULL }, /* of another one */
        { "'source':'db','exit':0,'depth':'data'", NULL },
        { "'source':'app','exit':0,'depth':'look'", NULL },
        { "'source':'app','exit':1,'depth':'look'", "fail" },
        { "'source':'app','exit':6,'depth':'data'", NULL }, /* busy: nothing was done */
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_FREE char *more =
            dr_strf("'sources':[{'name':'app'}],'book':[{'type':'verify','time':" AT(
                        "11-07") ",'body':{%s}}]",
                    rows[i].body);
        DR_JSON json_t *period = month(more);
        const json_t *proof =
            json_object_get(json_array_get(list_of(period, "sources"), 0), "last_proof");
        assert_int_equal(json_is_object(proof), rows[i].result != NULL);
        if (rows[i].result != NULL)
            assert_string_equal(body_text(proof, "result"), rows[i].result);
    }
}

/* --- the rest --- */

static void a_forecast_is_what_the_run_before_took(void **state)
{
    (void)state;
#define TOOK(id, day, ms) HELD(id, day, "recovered", ",'recovery_time':{'lo_ms':1,'hi_ms':" #ms "}")
    DR_JSON json_t *period = month("'runs':[" TOOK("R-1", "08-03", 500) "," TOOK(
        "R-2", "11-03", 700) "," TOOK("R-3", "11-04", 600) "]");
    const json_t *list = list_of(period, "forecast");
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(body_int(item(list, "run", "R-2"), "forecast_ms", 0), 500);
    assert_int_equal(body_int(item(list, "run", "R-3"), "forecast_ms", 0), 700);
    assert_int_equal(body_int(item(list, "run", "R-3"), "measured_ms", 0), 600);
}

static void a_clause_without_evidence_has_an_empty_list(void **state)
{
    (void)state;
    DR_JSON json_t *period = month("'runs':[" HELD(
        "D-1", "11-03", "failed",
        ",'drill':{'segregated':{'text':'no evidence for segregated restore'}}") "],'clauses':[{'clause':'A','title':'t','words':'w','from':['failovers']},"
                                                                                 "{'clause':'B','title':'t','words':'w','from':['drills','segregated']}]");
    const json_t *clauses = list_of(period, "clauses");
    assert_int_equal(json_array_size(list_of(item(clauses, "clause", "A"), "evidence")), 0);
    const json_t *evidence = list_of(item(clauses, "clause", "B"), "evidence");
    assert_int_equal(json_array_size(evidence), 2);
    assert_non_null(strstr(body_text(json_array_get(evidence, 1), "text"), "no evidence"));
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    period_text(period, &text);
    assert_null(strstr(text.data, "certified"));
    assert_null(strstr(text.data, "compliant"));
}

static const char *guards_of(const char *more, char *out, size_t size)
{
    DR_FREE char *facts = dr_strf(
        "'runs':[" HELD(
            "R-1", "11-03", "recovered",
            ",'restored':[{'host':'a','source_host':'b'}]%s") "],"
                                                              "'clauses':[{'clause':'G','title':'t','words':'w',"
                                                              "'from':['guards','segregated']}]",
        more);
    DR_JSON json_t *period = month(facts);
    const json_t *evidence = list_of(item(list_of(period, "clauses"), "clause", "G"), "evidence");
    assert_int_equal(json_array_size(evidence), 2);
    assert_string_equal(body_text(json_array_get(evidence, 1), "text"),
                        "restored on a, apart from the source on b");
    snprintf(out, size, "%s", body_text(json_array_get(evidence, 0), "text"));
    return out;
}

static void what_guarded_a_real_run_is_evidence_also_when_nothing_did(void **state)
{
    (void)state;
    char text[400];
    assert_string_equal(
        guards_of(",'fencing':[{'region':'us','verdict':'pass','proof':'lease_expired'}],"
                  "'approvals':[{'answers':[{'answer':'approve','by':'ana'}]}]",
                  text, sizeof(text)),
        "us was fenced, proof: lease_expired; approved by ana");
    assert_string_equal(
        guards_of(",'fencing':[{'region':'us','skipped_by':'bo'}]", text, sizeof(text)),
        "nothing proves that us could not write: the fence was skipped by bo; no "
        "answer of a person on record");
    assert_string_equal(guards_of("", text, sizeof(text)),
                        "no fence on record; no answer of a person on record");
}

static void the_map_of_clauses_names_only_kinds_that_there_are(void **state)
{
    (void)state;
    static const char *const kinds[] = { "drills",     "failovers",  "guards",  "backups", "proofs",
                                         "segregated", "objectives", "buckets", "findings" };
    struct buf bytes = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(fs_read_file("conf/clauses.json", 1 << 20, &bytes, &err), DR_OK);
    DR_FREE char *text = buf_take(&bytes);
    DR_JSON json_t *map = json_of(text);
    size_t i, k;
    const json_t *clause, *kind;
    json_array_foreach(list_of(map, "clauses"), i, clause)
    {
        assert_non_null(body_text(clause, "clause"));
        assert_non_null(body_text(clause, "words"));
        json_array_foreach(list_of(clause, "from"), k, kind)
        {
            bool known = false;
            for (size_t n = 0; n < DR_ARRAY_LEN(kinds); n++)
                known = known || strcmp(kinds[n], json_string_value(kind)) == 0;
            assert_true(known);
        }
    }
    assert_true(i >= 8);
}

static void times_that_people_name_have_bounds(void **state)
{
    (void)state;
    int64_t from = 0, to = 0;
    assert_true(period_month("2026-02", &from, &to));
    assert_int_equal(to - from, 28 * (24 * HOUR));
    assert_true(period_month("2026-12", &from, &to));
    assert_int_equal(to, ns_of("2027-01-01T00:00:00Z"));
    assert_true(period_quarter("2026-Q4", &from, &to));
    assert_int_equal(from, ns_of("2026-10-01T00:00:00Z"));
    assert_int_equal(to, ns_of("2027-01-01T00:00:00Z"));
    assert_true(period_year("2026", &from, &to));
    assert_int_equal(to - from, 365 * (24 * HOUR));
    assert_true(period_moment("2026-11-21", &from));
    assert_int_equal(from, ns_of("2026-11-21T00:00:00Z"));
    static const char *const bad[] = { "",        "2026",    "2026-13", "2026-00",    "2026-1",
                                       "2026-Q5", "2026-Q0", "26-11",   "2026-11-21x" };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        assert_false(period_month(bad[i], &from, &to));
        assert_false(period_quarter(bad[i], &from, &to));
        assert_false(period_moment(bad[i], &from));
    }
    assert_false(period_year("2026-11", &from, &to));
    assert_int_equal(from, ns_of("2026-11-21T00:00:00Z")); /* untouched since */
    char name[PERIOD_NAME_MAX];
    assert_string_equal(period_month_of(ns_of("2026-12-31T23:59:59Z") + SECOND - 1, name),
                        "2026-12");
}

static void facts_of_any_shape_have_a_report(void **state)
{
    (void)state;
    static const char *const shapes[] = {
        "'runs':[{}],'book':[{}],'plans':[{}],'sources':[{}],'buckets':[{}],'clauses':[{}]",
        "'runs':[7],'book':[7],'plans':[7],'sources':[7],'buckets':[7],'clauses':[7],'heads':[7],"
        "'hosts':[7],'notes':[7]",
        "'runs':7,'book':7,'plans':7,'sources':7,'buckets':7,'clauses':7,'heads':7,'hosts':7",
        "'runs':[{'run':7,'started':" AT(
            "11-02") ",'drill':{'power':7},'findings':[7],'restored':[7]}],"
                     "'book':[{'type':'backup','time':" AT(
                         "11-02") ",'body':7},{'type':'finding','time':7,'body':{}}]",
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(shapes); i++) {
        DR_JSON json_t *period = month(shapes[i]);
        DR_CLEANUP(buf_fini) struct buf text = { 0 };
        period_text(period, &text);
        report_csv(period, &text);
        assert_null(strstr(text.data, "(null)"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_month_is_told_as_it_was),
        cmocka_unit_test(the_same_facts_give_the_same_bytes),
        cmocka_unit_test(a_month_without_runs_says_so),
        cmocka_unit_test(drills_alone_have_no_mean_time_to_recover),
        cmocka_unit_test(mean_times_are_of_failovers_that_were_measured),
        cmocka_unit_test(a_broken_journal_is_a_row_and_a_finding),
        cmocka_unit_test(a_torn_journal_is_noted_and_counted),
        cmocka_unit_test(a_drill_that_is_late_is_overdue),
        cmocka_unit_test(power_stands_by_months_and_empty_months_are_not_left_out),
        cmocka_unit_test(a_finding_is_settled_by_the_next_run_of_its_kind_or_by_a_person),
        cmocka_unit_test(a_finding_of_the_ledger_is_open_until_it_is_closed),
        cmocka_unit_test(a_lack_that_began_after_somebody_closed_it_is_open_again),
        cmocka_unit_test(those_that_were_closed_in_the_period_are_told_with_whom_why_and_when),
        cmocka_unit_test(loss_rises_with_time_and_falls_with_each_durable_backup),
        cmocka_unit_test(what_was_never_in_a_bucket_makes_its_loss_unknown),
        cmocka_unit_test(many_points_are_thinned_and_keep_their_peaks),
        cmocka_unit_test(the_newest_proof_counts_whatever_it_says),
        cmocka_unit_test(a_look_at_names_is_no_proof),
        cmocka_unit_test(a_forecast_is_what_the_run_before_took),
        cmocka_unit_test(a_clause_without_evidence_has_an_empty_list),
        cmocka_unit_test(what_guarded_a_real_run_is_evidence_also_when_nothing_did),
        cmocka_unit_test(the_map_of_clauses_names_only_kinds_that_there_are),
        cmocka_unit_test(times_that_people_name_have_bounds),
        cmocka_unit_test(facts_of_any_shape_have_a_report),
    };
    return cmocka_run_group_tests_name("period", tests, NULL, NULL);
}
