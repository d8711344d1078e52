/*
 * test_plan_drill.c - the table of a drill, of all nine runbooks, as it is shown before anything begins.
 *
 * The expected lines lie in tests/golden/plan/drill-table.txt and are reviewed like code: each says what of production
 * a drill touches. GOLDEN_WRITE=1 makes them anew.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/plan/plan.h"
#include "dr/run/drill.h"
#include "dr/run/plan.h"

static const char GOLDEN[] = "tests/golden/plan";
static const char TABLE[] = "drill-table.txt";
static const char RUNBOOKS[] = "runbooks";

static struct script *script_of(const char *file, const char *text)
{
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    struct plan *p = plan_read(file, text, strlen(text), NULL, &d);
    if (p == NULL) {
        DR_CLEANUP(buf_fini) struct buf out = { 0 };
        diag_print(&d, &out);
        fail_msg("%s", out.data);
    }
    return script_of_plan(p, text, NULL);
}

static void add_table(struct buf *out, const struct script *s, bool dry)
{
    DR_CLEANUP(drill_table_fini) struct drill_table t = { 0 };
    script_drill_table(s, dry, &t);
    assert_int_equal(t.count, s->step_count);
    buf_addf(out, "%s%s\n", s->name, dry ? ", dry run" : "");
    for (size_t i = 0; i < t.count; i++)
        buf_addf(out, "  %-20s %-13s %s\n", t.rows[i].step, step_how_word(t.rows[i].how),
                 t.rows[i].why);
}

static char *slurp(const char *path)
{
    struct buf b = { 0 };
    struct dr_err err;
    if (fs_read_file(path, 4 << 20, &b, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return buf_take(&b);
}

static void the_nine_runbooks_say_what_a_drill_does_with_each_step(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    struct dirent **entries = NULL;
    int count = scandir(RUNBOOKS, &entries, NULL, alphasort);
    assert_true(count > 0);
    int read = 0;
    for (int i = 0; i < count; i++) {
        if (text_ends(entries[i]->d_name, ".yaml")) {
            DR_FREE char *path = dr_strf("%s/%s", RUNBOOKS, entries[i]->d_name);
            DR_FREE char *text = slurp(path);
            DR_CLEANUP(script_free_ptr) struct script *s = script_of(path, text);
            add_table(&out, s, false);
            if (strcmp(s->name, "primary_region_failure") == 0)
                add_table(&out, s, true);
            read++;
        }
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(read, 9);
    const char *write = getenv("GOLDEN_WRITE"); /* NOLINT(concurrency-mt-unsafe): one thread */
    struct dr_err err = { 0 };
    if (write != NULL)
        assert_int_equal(fs_replace(GOLDEN, TABLE, out.data, out.len, &err), DR_OK);
    DR_FREE char *path = dr_strf("%s/%s", GOLDEN, TABLE);
    DR_FREE char *expected = slurp(path);
    assert_string_equal(out.data, expected);
}

#define PLAN(drill)                                                                                                \
    "plan: t\nregions: [us-east-1, eu-west-1]\nsteps:\n"                                                           \
    "  - {id: dns, use: powerdns, with: {zone: a.example, name: www.a.example, ttl: 60s, to: [\"1.2.3.4\"]}" drill \
    "}\n  - {id: moved, use: dns.check, with: {name: www.a.example, want: [\"1.2.3.4\"]}}\n"

static void arguments_of_its_own_are_named_and_what_is_below_is_measured(void **state)
{
    (void)state;
    static const char text[] = PLAN(", drill: {with: {name: drill.a.example, ttl: 5s}}");
    DR_CLEANUP(script_free_ptr) struct script *s = script_of("t.yaml", text);
    DR_CLEANUP(drill_table_fini) struct drill_table t = { 0 };
    script_drill_table(s, false, &t);
    assert_string_equal(step_how_word(t.rows[0].how), "with");
    assert_non_null(strstr(t.rows[0].why, "name"));
    assert_non_null(strstr(t.rows[0].why, "ttl"));
    assert_string_equal(step_how_word(t.rows[1].how), "run");
    assert_string_equal(t.rows[1].step, "moved");
}

static void arguments_of_its_own_take_the_place_of_the_named_ones_and_the_others_stay(void **state)
{
    (void)state;
    static const char text[] = PLAN(", drill: {with: {name: drill.a.example}}");
    DR_CLEANUP(script_free_ptr) struct script *s = script_of("t.yaml", text);
    DR_JSON json_t *nothing = json_object();
    DR_JSON json_t *with = NULL;
    struct script_facts facts = { .values = nothing };
    struct dr_err err = { 0 };
    assert_int_equal(
        s->ops->resolve(s, s->steps[0].with, s->steps[0].drill_with, &facts, &with, &err), DR_OK);
    assert_string_equal(json_string_value(json_object_get(with, "name")), "drill.a.example");
    assert_string_equal(json_string_value(json_object_get(with, "zone")), "a.example");
}

static void a_check_is_measured_only_when_no_switch_above_it_is_told_only(void **state)
{
    (void)state;
    static const char *const drills[] = { "", ", drill: simulate", ", drill: skip",
                                          ", drill: run" };
    static const enum step_how hows[] = { HOW_NOT_MEASURED, HOW_NOT_MEASURED, HOW_NOT_MEASURED,
                                          HOW_RUN };
    for (size_t i = 0; i < DR_ARRAY_LEN(drills); i++) {
        DR_FREE char *text = dr_strf(PLAN("%s"), drills[i]);
        DR_CLEANUP(script_free_ptr) struct script *s = script_of("t.yaml", text);
        assert_int_equal(script_step_how(s, 1, false), hows[i]);
        assert_int_equal(script_step_how(s, 1, true), HOW_NOT_MEASURED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nine_runbooks_say_what_a_drill_does_with_each_step),
        cmocka_unit_test(arguments_of_its_own_are_named_and_what_is_below_is_measured),
        cmocka_unit_test(arguments_of_its_own_take_the_place_of_the_named_ones_and_the_others_stay),
        cmocka_unit_test(a_check_is_measured_only_when_no_switch_above_it_is_told_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
