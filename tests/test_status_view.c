/*
 * The view of status: recorded cases, and the arithmetic of what would be left.
 *
 * tests/golden/status/NAME.in is what the buckets answered and the rows said (times as text, and converted);
 * beside it what the view has to be: NAME.json, NAME.screen. GOLDEN_WRITE=1 writes them afresh, for a
 * person to review.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/status/finding.h"
#include "dr/status/holdings.h"
#include "dr/status/look.h"
#include "dr/status/status.h"
#include "dr/status/view.h"

static const char GOLDEN[] = "tests/golden/status";

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

static struct config *config_of(void)
{
    DR_FREE char *path = dr_strf("%s/dr.yaml", GOLDEN);
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    struct config *c = NULL;
    struct dr_err err = { 0 };
    if (config_load(path, &d, &c, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return c;
}

static json_t *ns_of(const json_t *text)
{
    int64_t ns = 0;
    assert_true(time_parse(json_string_value(text), &ns));
    return json_integer(ns);
}

/* All texts of members whose name ends in _ns, and of those below oldest and proofs, become nanoseconds. */
static json_t *with_times(json_t *value, bool below)
{
    if (json_is_object(value)) {
        json_t *o = json_object();
        const char *key;
        json_t *member;
        json_object_foreach(value, key, member)
        {
            bool time = below || text_ends(key, "_ns");
            bool deeper = strcmp(key, "oldest") == 0 || strcmp(key, "proofs") == 0;
            json_put(o, key,
                     time && json_is_string(member) ? ns_of(member) : with_times(member, deeper));
        }
        return o;
    }
    if (!json_is_array(value))
        return json_deep_copy(value);
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(value); i++)
        json_array_append_new(list, with_times(json_array_get(value, i), false));
    return list;
}

static void read_rows(const json_t *bodies, struct rows *ret)
{
    ret->findings = json_array();
    ret->items = dr_alloc(json_array_size(bodies) + 1, sizeof(ret->items[0]));
    for (size_t i = 0; i < json_array_size(bodies); i++) {
        struct row *r = &ret->items[ret->count++];
        r->body = json_incref(json_array_get(bodies, i));
        r->site = json_string_value(json_object_get(r->body, "site"));
        assert_true(
            time_parse(json_string_value(json_object_get(r->body, "written_at")), &r->written_ns));
    }
}

static json_t *view_of(const json_t *in)
{
    DR_CLEANUP(config_free_ptr) struct config *c = config_of();
    DR_CLEANUP(rows_fini) struct rows rows = { 0 };
    DR_JSON json_t *now = ns_of(json_object_get(in, "now"));
    read_rows(json_object_get(in, "rows"), &rows);
    const struct view_input input = { .config = c,
                                      .by = json_string_value(json_object_get(in, "by")),
                                      .now_ns = json_integer_value(now),
                                      .asked_ms = 10000,
                                      .looks = json_object_get(in, "looks"),
                                      .rows = &rows };
    return view_make(&input);
}

static json_t *read_case(const char *name)
{
    DR_FREE char *text = load(name, "in");
    DR_JSON json_t *raw = NULL;
    struct dr_err err = { 0 };
    if (json_read(name, text, strlen(text), &raw, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return with_times(raw, false);
}

static void compare_all(const char *name, int want_exit)
{
    DR_JSON json_t *in = read_case(name);
    DR_JSON json_t *view = view_of(in);
    DR_CLEANUP(buf_fini) struct buf json = { 0 };
    DR_CLEANUP(buf_fini) struct buf screen = { 0 };
    char *pretty = json_dumps(view, JSON_INDENT(1) | JSON_SORT_KEYS);
    buf_adds(&json, pretty);
    buf_addc(&json, '\n');
    free(pretty);
    status_screen(view, &screen);
    for (const char *at = screen.data; *at != '\0'; at += strcspn(at, "\n") + 1)
        assert_in_range(strcspn(at, "\n"), 0, 80);
    compare(name, "json", &json);
    compare(name, "screen", &screen);
    assert_int_equal(status_exit(view), want_exit);
}

static void all_is_well(void **state)
{
    (void)state;
    compare_all("well", 0);
}

static void a_lost_region_is_told_by_the_others(void **state)
{
    (void)state;
    compare_all("lost", 3);
}

static void no_bucket_is_no_knowledge(void **state)
{
    (void)state;
    compare_all("blind", 7);
}

static void buckets_that_do_not_do_their_part_are_named(void **state)
{
    (void)state;
    compare_all("odd", 9);
}

/* -- what would be left ----------------------------------------------------------------------- */

/* As an answer has it: when it ended, in seconds, and the pack that this bucket lacks, or NULL. */
static json_t *snapshot(const char *id, int64_t epoch, int64_t end_s, const char *missing)
{
    json_t *o = json_object(), *list = json_array();
    json_put_text(o, "id", id);
    json_put_int(o, "epoch", epoch);
    json_put_int(o, "start_ns", (end_s - 1) * 1000000000);
    json_put_int(o, "end_ns", end_s * 1000000000);
    if (missing != NULL)
        json_array_append_new(list, json_string(missing));
    json_put(o, "missing", list);
    return o;
}

static json_t *look_with(json_t *a, json_t *b)
{
    json_t *look = json_object(), *newest = json_object(), *list = json_array();
    json_array_append_new(list, a);
    if (b != NULL)
        json_array_append_new(list, b);
    json_put(newest, "app", list);
    json_put(look, "newest", newest);
    return look;
}

static const char *newest_of(const json_t *looks, bool first, bool second)
{
    const bool allowed[] = { first, second };
    static char id[64];
    DR_CLEANUP(holdings_fini) struct holdings h = { 0 };
    holdings_read(looks, (const bool[]){ true, true }, "app", &h);
    const struct holding *one = holdings_newest(&h, allowed);
    snprintf(id, sizeof(id), "%s", one != NULL ? one->id : "none");
    return id;
}

static void two_buckets_together_may_hold_what_each_lacks(void **state)
{
    (void)state;
    DR_JSON json_t *looks = json_array();
    json_array_append_new(looks,
                          look_with(snapshot("new", 1, 20, "p1"), snapshot("old", 1, 10, NULL)));
    json_array_append_new(looks, look_with(snapshot("new", 1, 20, "p2"), NULL));
    assert_string_equal(newest_of(looks, true, true), "new");
    assert_string_equal(newest_of(looks, true, false), "old");
    assert_string_equal(newest_of(looks, false, true), "none");
}

static void what_both_lack_is_lacking(void **state)
{
    (void)state;
    DR_JSON json_t *looks = json_array();
    json_array_append_new(looks, look_with(snapshot("new", 1, 20, "p1"), NULL));
    json_array_append_new(looks,
                          look_with(snapshot("new", 1, 20, "p1"), snapshot("old", 1, 10, NULL)));
    assert_string_equal(newest_of(looks, true, true), "old");
}

static void a_fenced_writer_makes_nothing_newer(void **state)
{
    (void)state;
    DR_JSON json_t *looks = json_array();
    json_array_append_new(looks,
                          look_with(snapshot("late", 1, 30, NULL), snapshot("right", 2, 20, NULL)));
    json_array_append_new(
        looks, look_with(snapshot("late", 1, 30, NULL), snapshot("before", 1, 10, NULL)));
    assert_string_equal(newest_of(looks, true, true), "right");
    assert_string_equal(newest_of(looks, false, true), "before"); /* though "late" is there */
}

static void an_id_tells_source_and_time(void **state)
{
    (void)state;
    size_t len = 0;
    int64_t ns = 0;
    char text[TIME_TEXT_MAX];
    assert_true(look_read_id("a-b-20261121t031140z-1f3a9c", &len, &ns));
    assert_int_equal(len, 3);
    assert_string_equal(time_print_s(ns, text), "2026-11-21T03:11:40Z");
    assert_false(look_read_id("a-20261121x031140z-1f3a9c", &len, &ns));
    assert_false(look_read_id("20261121t031140z-1f3a9c", &len, &ns));
    assert_false(look_read_id("", &len, &ns));
}

/* -- the forecast ----------------------------------------------------------------------------- */

/* The well case, with these restores measured; what is said of config-db. */
static json_t *forecast_with(const char *measures)
{
    DR_JSON json_t *in = read_case("well");
    json_t *row = json_array_get(json_object_get(in, "rows"), 0);
    json_error_t at;
    json_put(row, "measures", json_loads(measures, 0, &at));
    DR_JSON json_t *view = view_of(in);
    return json_incref(json_array_get(json_object_get(view, "forecast"), 0));
}

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void a_forecast_is_in_proportion_to_what_was_measured(void **state)
{
    (void)state;
    /* config-db has 44238471987 bytes: twice the first, as much as the second. */
    DR_JSON json_t *f =
        forecast_with("[{\"source\":\"config-db\",\"bytes\":22119235994,\"ms\":100500},"
                      "{\"source\":\"config-db\",\"bytes\":44238471987,\"ms\":300500},"
                      "{\"source\":\"mail\",\"bytes\":44238471987,\"ms\":1}]");
    assert_int_equal(number(f, "n"), 2);
    assert_int_equal(number(f, "min_s"), 201);
    assert_int_equal(number(f, "median_s"), 251);
    assert_int_equal(number(f, "max_s"), 301);
    assert_true(json_is_string(json_object_get(f, "note")));
}

static void what_was_not_measured_is_not_forecast(void **state)
{
    (void)state;
    DR_JSON json_t *none = forecast_with("[]");
    DR_JSON json_t *small =
        forecast_with("[{\"source\":\"config-db\",\"bytes\":1048576,\"ms\":10}]");
    assert_int_equal(number(none, "n"), 0);
    assert_true(json_is_null(json_object_get(none, "median_s")));
    assert_int_equal(number(small, "n"), 0);
    assert_string_not_equal(json_string_value(json_object_get(none, "note")),
                            json_string_value(json_object_get(small, "note")));
}

/* -- findings and exit ------------------------------------------------------------------------ */

static int exit_with(const char *const *keys, enum finding_severity severity)
{
    DR_JSON json_t *view = json_object();
    json_t *list = json_array();
    for (size_t i = 0; keys[i] != NULL; i++) {
        const struct finding f = { .severity = severity, .key = { keys[i], NULL } };
        finding_add(list, &f, "x");
    }
    json_put(view, "findings", list);
    return status_exit(view);
}

static void the_gravest_finding_is_the_exit_code(void **state)
{
    (void)state;
    assert_int_equal(exit_with((const char *const[]){ NULL }, FINDING_CRITICAL), 0);
    assert_int_equal(exit_with((const char *const[]){ "unproved/a", NULL }, FINDING_WARNING), 8);
    assert_int_equal(
        exit_with((const char *const[]){ "overdue/a", "silent/b", NULL }, FINDING_CRITICAL), 4);
    assert_int_equal(
        exit_with((const char *const[]){ "overdue/a", "behind/b", NULL }, FINDING_WARNING), 9);
    assert_int_equal(
        exit_with((const char *const[]){ "copies/a", "run/R-1", NULL }, FINDING_CRITICAL), 3);
    assert_int_equal(
        exit_with((const char *const[]){ "run/R-1", "buckets", NULL }, FINDING_CRITICAL), 7);
}

static void a_finding_stands_once_and_the_critical_ones_first(void **state)
{
    (void)state;
    json_t *list = json_array();
    const struct finding a = { FINDING_WARNING, { "never", "eu", NULL }, NULL };
    const struct finding b = { FINDING_CRITICAL, { "silent", "us", NULL }, "Look." };
    finding_add(list, &a, "one");
    finding_add(list, &a, "again");
    finding_add(list, &b, "two");
    list = finding_sort(list);
    assert_int_equal(json_array_size(list), 2);
    assert_true(finding_is(json_array_get(list, 0), "silent/us"));
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "text")), "one");
    json_decref(list);
}

static void the_screen_lets_nothing_move_the_cursor(void **state)
{
    (void)state;
    DR_JSON json_t *in = read_case("well");
    json_t *row = json_array_get(json_object_get(in, "rows"), 1);
    json_put_text(json_array_get(json_object_get(row, "probes"), 0), "name", "x\033[2J\ny");
    DR_JSON json_t *view = view_of(in);
    DR_CLEANUP(buf_fini) struct buf screen = { 0 };
    status_screen(view, &screen);
    assert_null(strchr(screen.data, '\033'));
    assert_non_null(strstr(screen.data, "x\\x1b[2J\\x0ay"));
}

/* The first row of this case is 12 s old. */
static const char *state_at(int interval_s)
{
    DR_JSON json_t *in = read_case("well");
    json_put_int(json_array_get(json_object_get(in, "rows"), 0), "interval_s", interval_s);
    DR_JSON json_t *view = view_of(in);
    const json_t *site = json_array_get(json_object_get(view, "sites"), 0);
    const char *state = json_string_value(json_object_get(site, "state"));
    return strcmp(state, "alive") == 0 ? "alive" : strcmp(state, "silent") == 0 ? "silent" : "";
}

static void a_site_is_silent_after_five_of_its_own_intervals(void **state)
{
    (void)state;
    assert_string_equal(state_at(2), "silent");
    assert_string_equal(state_at(3), "alive");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(a_lost_region_is_told_by_the_others),
        cmocka_unit_test(no_bucket_is_no_knowledge),
        cmocka_unit_test(buckets_that_do_not_do_their_part_are_named),
        cmocka_unit_test(two_buckets_together_may_hold_what_each_lacks),
        cmocka_unit_test(what_both_lack_is_lacking),
        cmocka_unit_test(a_fenced_writer_makes_nothing_newer),
        cmocka_unit_test(an_id_tells_source_and_time),
        cmocka_unit_test(a_forecast_is_in_proportion_to_what_was_measured),
        cmocka_unit_test(what_was_not_measured_is_not_forecast),
        cmocka_unit_test(the_gravest_finding_is_the_exit_code),
        cmocka_unit_test(a_finding_stands_once_and_the_critical_ones_first),
        cmocka_unit_test(the_screen_lets_nothing_move_the_cursor),
        cmocka_unit_test(a_site_is_silent_after_five_of_its_own_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
