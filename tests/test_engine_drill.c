/*
 * test_engine_drill.c - a drill: what is done for real and where, what is only told, and how it ends.
 *
 * The plans are JSON and the steps scripted (fakestep.h), as in test_engine.c; the drill's own place is
 * /scratch/D-1, which nobody makes here: what counts is which requests were made, and what stands at the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/run/begin.h"
#include "dr/run/drill.h"
#include "dr/run/engine.h"
#include "tests/support/fakestep.h"

static char dir[64];
static struct fake_world world;
static struct script *script;
static struct journal *journal;
static struct engine *engine;
static const char *mode;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/dr-drill-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    mode = "failover";
    fake_world_init(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    engine_free(engine);
    journal_close(journal);
    script_free(script);
    engine = NULL;
    journal = NULL;
    script = NULL;
    fake_world_fini(&world);
    return fs_remove_tree(dir, &err) != DR_OK;
}

static void make(const char *plan)
{
    struct dr_err err = { 0 };
    script = fake_script(plan);
    struct run_begin b = { .id = "D-1",
                           .mode = mode,
                           .by = "ana",
                           .host = "op-1",
                           .failed = strcmp(mode, "failover") == 0 ? "us" : NULL,
                           .active = "us",
                           .scratch = "/scratch/D-1",
                           .seed = "42",
                           .remote = true,
                           .drill = true };
    assert_int_equal(journal_create(dir, "D-1", &journal, &err), DR_OK);
    assert_int_equal(journal_append(journal, "start", run_begin_body(script, &b), &err), DR_OK);
    struct engine_options o = { .operator= "ana" };
    engine = engine_new(script, journal, &world.world, &o);
}

static const char *phase(void)
{
    return run_phase_name(engine_state(engine)->phase);
}

static const char *go(void)
{
    struct dr_err err = { 0 };
    assert_int_equal(engine_go(engine, &err), DR_OK);
    return phase();
}

static const char *hold_drill(const char *plan)
{
    make(plan);
    return go();
}

/* As another process would: a fresh engine on the journal. */
static void take_up(void)
{
    struct dr_err err = { 0 };
    engine_free(engine);
    journal_close(journal);
    engine = NULL;
    journal = NULL;
    assert_int_equal(journal_open(dir, "D-1", &journal, &err), DR_OK);
    struct engine_options o = { .operator= "bo" };
    engine = engine_new(script, journal, &world.world, &o);
}

static enum dr_rc hear(const char *json)
{
    DR_JSON json_t *words = json_loads(json, 0, NULL);
    struct dr_err err = { 0 };
    assert_non_null(words);
    return engine_hear(engine, words, &err);
}

static const struct state_step *at(const char *step)
{
    const struct state_step *st = state_step_of(engine_state(engine), step);
    assert_non_null(st);
    return st;
}

static const char *state_of(const char *step)
{
    return step_at_name(at(step)->at);
}

static void assert_log(const char *expected)
{
    DR_FREE char *log = text_list_join(&world.log, ", ");
    assert_string_equal(log, expected);
    assert_int_equal(world.twice, 0);
}

/* The newest record of a type (and of a step, or NULL). */
static const json_t *record_of(const char *type, const char *step)
{
    const struct journal_records *all = journal_all(journal);
    for (size_t i = all->count; i > 0; i--) {
        const struct journal_record *r = &all->items[i - 1];
        const char *id = json_string_value(json_object_get(r->body, "step"));
        if (strcmp(r->type, type) == 0 && (step == NULL || (id != NULL && strcmp(id, step) == 0)))
            return r->body;
    }
    return NULL;
}

static const char *text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t != NULL ? t : "";
}

#define FENCE   "{\"id\":\"fence\",\"use\":\"fence\"}"
#define RESTORE "{\"id\":\"restore\",\"use\":\"backup.restore\",\"with\":{\"to\":\"/srv/data\"}}"
#define WHOLE                                                                                      \
    "{\"steps\":[{\"id\":\"go\",\"use\":\"approve\"}," FENCE "," RESTORE                           \
    ",{\"id\":\"data_ok\",\"use\":\"check\"},{\"id\":\"live\",\"use\":\"promote\",\"ponr\":true}," \
    "{\"id\":\"healthy\",\"use\":\"check\"},{\"id\":\"protect\",\"use\":\"backup.now\"}]}"

/* -- what becomes of a step ---------------------------------------------------------------------- */

static void only_what_is_isolated_is_done_and_a_check_behind_the_switch_is_not_measured(
    void **state)
{
    (void)state;
    fake_say(&world, "check:healthy", "fail!"); /* it would fail: it is not asked */
    assert_string_equal(hold_drill(WHOLE), "cleaning");
    assert_string_equal(engine_state(engine)->then, "recovered");
    assert_log("apply restore, apply protect");
    assert_string_equal(state_of("fence"), "done");
    assert_true(at("fence")->simulated && at("live")->simulated && at("go")->simulated);
    assert_true(at("restore")->isolated && !at("restore")->simulated);
    assert_string_equal(state_of("data_ok"), "done");
    assert_string_equal(state_of("healthy"), "skipped");
    assert_true(at("healthy")->not_measured);
    assert_true(json_is_true(json_object_get(record_of("skip", "healthy"), "not_measured")));
}

static void what_is_only_told_is_told_with_its_names_put_in(void **state)
{
    (void)state;
    assert_string_equal(hold_drill(WHOLE), "cleaning");
    assert_string_equal(text(record_of("outcome", "fence"), "title"), "fence");
    assert_string_equal(text(record_of("outcome", "go"), "title"), "go");
    assert_string_equal(text(record_of("skip", "healthy"), "title"), "healthy");
}

static void an_isolated_restore_never_hears_of_the_plans_target(void **state)
{
    (void)state;
    assert_string_equal(hold_drill(WHOLE), "cleaning");
    const json_t *with = json_object_get(record_of("intent", "restore"), "with");
    assert_string_equal(text(with, "to"), "/scratch/D-1/restore");
    assert_string_equal(text(at("restore")->outputs, "path"), "/scratch/D-1/restore");
    const json_t *run = json_object_get(world.last, "run"); /* of protect */
    assert_string_equal(text(world.last, "step"), "protect");
    assert_true(json_is_true(json_object_get(run, "isolated")));
    assert_true(json_is_true(json_object_get(run, "drill")));
    assert_string_equal(text(run, "scratch"), "/scratch/D-1");
    assert_string_equal(text(run, "restored"), "/scratch/D-1/restore");
    assert_string_equal(text(run, "mode"), "failover"); /* so that the plan takes the real path */
}

static void what_the_plan_says_about_production_is_not_asked_of_an_isolated_step(void **state)
{
    (void)state;
    fake_say(&world, "verify:restore", "fail!");
    assert_string_equal(hold_drill("{\"steps\":[{\"id\":\"restore\",\"use\":\"backup.restore\","
                                   "\"verify\":[{}],\"undo\":\"given\"}]}"),
                        "cleaning");
    assert_string_equal(state_of("restore"), "done");
    assert_non_null(strstr(at("restore")->why, "not verified"));
    struct dr_err err = { 0 };
    assert_int_equal(engine_clean(engine, &err), DR_OK);
    assert_string_equal(text(world.last, "type"), "backup.restore"); /* not the plan's own undo */
    assert_log("apply restore, undo restore");
}

static void a_step_with_arguments_of_its_own_is_done_for_real_on_these(void **state)
{
    (void)state;
    assert_string_equal(hold_drill("{\"steps\":[{\"id\":\"dns\",\"use\":\"traffic\","
                                   "\"with\":{\"name\":\"www\",\"zone\":\"z\"},"
                                   "\"drill\":{\"with\":{\"name\":\"drill\"}}},"
                                   "{\"id\":\"moved\",\"use\":\"check\"}]}"),
                        "cleaning");
    const json_t *with = json_object_get(record_of("intent", "dns"), "with");
    assert_string_equal(text(with, "name"), "drill");
    assert_string_equal(text(with, "zone"), "z");
    assert_string_equal(state_of("moved"),
                        "done"); /* the switch was real: what is below is measured */
    assert_log("apply dns");
}

static bool is_meant(void)
{
    return json_is_true(json_object_get(json_object_get(world.last, "run"), "meant"));
}

static void only_what_the_plan_has_change_things_is_told_so(void **state)
{
    (void)state;
    (void)hold_drill("{\"steps\":[" RESTORE "]}");
    assert_false(is_meant()); /* it reads, and writes below the scratch directory */
    teardown(NULL);
    assert_int_equal(setup(NULL), 0);
    (void)hold_drill("{\"steps\":[{\"id\":\"dns\",\"use\":\"traffic\",\"drill\":{\"with\":{"
                     "\"name\":\"drill\"}}}]}");
    assert_true(is_meant());
    teardown(NULL);
    assert_int_equal(setup(NULL), 0);
    (void)hold_drill("{\"steps\":[{\"id\":\"dns\",\"use\":\"traffic\",\"drill\":{\"with\":{"
                     "\"name\":\"drill\"}}},{\"id\":\"moved\",\"use\":\"check\"}]}");
    assert_string_equal(text(world.last, "step"), "moved");
    assert_false(is_meant()); /* a check reads */
}

static void a_check_below_a_simulated_switch_is_asked_when_it_has_arguments_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(
        hold_drill("{\"steps\":[{\"id\":\"dns\",\"use\":\"traffic\"},"
                   "{\"id\":\"moved\",\"use\":\"check\",\"with\":{\"name\":\"www\"},"
                   "\"drill\":{\"with\":{\"name\":\"drill\"}}},"
                   "{\"id\":\"beside\",\"use\":\"check\",\"needs\":[]}]}"),
        "cleaning");
    assert_string_equal(state_of("moved"), "done");
    assert_string_equal(text(json_object_get(record_of("begin", "moved"), "with"), "name"),
                        "drill");
    assert_string_equal(state_of("beside"), "done"); /* not below it */
    assert_log("");
}

static void a_switch_that_its_when_leaves_out_hides_nothing(void **state)
{
    (void)state;
    assert_string_equal(
        hold_drill("{\"steps\":[{\"id\":\"dns\",\"use\":\"traffic\",\"when\":\"no\"},"
                   "{\"id\":\"ok\",\"use\":\"check\"}]}"),
        "cleaning");
    assert_string_equal(state_of("ok"), "done");
}

static void a_step_that_is_skipped_hides_what_is_below_it_as_well(void **state)
{
    (void)state;
    assert_string_equal(
        hold_drill("{\"steps\":[{\"id\":\"dns\",\"use\":\"traffic\",\"drill\":\"skip\"},"
                   "{\"id\":\"ok\",\"use\":\"check\"}]}"),
        "cleaning");
    assert_string_equal(state_of("dns"), "skipped");
    assert_string_equal(state_of("ok"), "skipped");
    assert_true(at("ok")->not_measured && !at("dns")->not_measured);
    assert_log("");
}

static void a_real_promotion_in_a_drill_is_not_covered_by_a_simulated_fence(void **state)
{
    (void)state;
    assert_string_equal(hold_drill("{\"steps\":[" FENCE
                                   ",{\"id\":\"live\",\"use\":\"promote\",\"drill\":\"run\"}]}"),
                        "held");
    assert_non_null(strstr(engine_state(engine)->why, "two regions may write"));
    assert_log("");
}

/* -- the dark region ------------------------------------------------------------------------------- */

static void the_failed_region_is_dark_for_every_step_also_for_a_fence(void **state)
{
    (void)state;
    assert_string_equal(hold_drill("{\"steps\":[{\"id\":\"fence\",\"use\":\"fence\","
                                   "\"drill\":{\"with\":{\"key\":\"drill\"}}}]}"),
                        "cleaning");
    const json_t *dark = json_object_get(world.last, "dark");
    assert_int_equal(json_array_size(dark), 1);
    assert_string_equal(json_string_value(json_array_get(dark, 0)), "us");
}

static void refused_connects_are_added_up_before_the_cleaning(void **state)
{
    (void)state;
    fake_say(&world, "check:time", "dark dark pass");
    fake_say(&world, "check:up", "dark");
    assert_string_equal(hold_drill("{\"preflight\":[{\"id\":\"up\"}],"
                                   "\"steps\":[{\"id\":\"time\",\"use\":\"check\"}]}"),
                        "cleaning");
    const json_t *b = record_of("refused", NULL);
    assert_string_equal(text(b, "region"), "us");
    assert_int_equal(json_integer_value(json_object_get(b, "count")), 3);
    const json_t *by = json_object_get(b, "by");
    assert_int_equal(json_array_size(by), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *one = json_array_get(by, i);
        int count = strcmp(text(one, "who"), "time") == 0 ? 2 : 1;
        assert_int_equal(json_integer_value(json_object_get(one, "count")), count);
    }
    const struct journal_records *all = journal_all(journal);
    assert_string_equal(all->items[all->count - 1].type, "cleaning");
    assert_string_equal(all->items[all->count - 2].type, "refused");
}

static void a_planned_drill_has_no_dark_region(void **state)
{
    (void)state;
    mode = "switchover";
    assert_string_equal(hold_drill("{\"steps\":[" RESTORE "]}"), "cleaning");
    assert_int_equal(json_array_size(json_object_get(world.last, "dark")), 0);
    assert_null(record_of("refused", NULL));
}

/* -- the end ------------------------------------------------------------------------------------------ */

static void everything_real_is_taken_back_newest_first_and_then_the_drill_ends(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_string_equal(hold_drill(WHOLE), "cleaning");
    assert_int_equal(engine_clean(engine, &err), DR_OK);
    assert_log("apply restore, apply protect, undo protect, undo restore");
    assert_int_equal(json_object_size(world.in_place), 0);
    assert_int_equal(engine_clean(engine, &err), DR_OK); /* again: nothing is left to do */
    assert_int_equal(engine_end_drill(engine, true, "nothing left", &err), DR_OK);
    assert_string_equal(phase(), "recovered");
    assert_int_equal(engine_end_drill(engine, true, "again", &err), DR_E_REFUSED);
}

static void what_cannot_be_taken_back_is_left_on_record_and_nobody_is_asked(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "undo:restore", "fail!");
    assert_string_equal(hold_drill("{\"steps\":[" RESTORE
                                   ",{\"id\":\"dns\",\"use\":\"undoer\",\"undo\":\"given\","
                                   "\"drill\":{\"with\":{\"name\":\"drill\"}}}]}"),
                        "cleaning");
    assert_int_equal(engine_clean(engine, &err), DR_OK);
    assert_string_equal(phase(), "cleaning");
    assert_true(at("restore")->left && at("dns")->left);
    assert_non_null(strstr(at("dns")->why, "not for a drill"));
    assert_int_equal(engine_end_drill(engine, false, "left: restore, dns", &err), DR_OK);
    assert_string_equal(phase(), "failed");
}

static void a_failed_step_with_rollback_ends_in_cleaning_too(void **state)
{
    (void)state;
    fake_say(&world, "check:data_ok", "fail!");
    assert_string_equal(
        hold_drill("{\"steps\":[" RESTORE
                   ",{\"id\":\"data_ok\",\"use\":\"check\",\"on_error\":\"rollback\"}]}"),
        "cleaning");
    assert_string_equal(engine_state(engine)->then, "undone");
    assert_log("apply restore, undo restore");
}

static void a_tolerated_check_lets_the_drill_fail(void **state)
{
    (void)state;
    fake_say(&world, "check:ok", "fail!");
    assert_string_equal(hold_drill("{\"steps\":[{\"id\":\"ok\",\"use\":\"check\","
                                   "\"on_error\":\"continue\"}]}"),
                        "cleaning");
    assert_string_equal(engine_state(engine)->then, "failed");
}

static void a_held_drill_goes_on_at_a_persons_word_or_is_aborted(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "apply:restore", "fail");
    assert_string_equal(hold_drill("{\"steps\":[" RESTORE "]}"), "held");
    take_up();
    assert_int_equal(engine_resume(engine, "bo", "op-2", false, &err), DR_OK);
    assert_string_equal(go(), "cleaning");
    assert_log("apply restore");
    assert_int_equal(engine_resume(engine, "bo", "op-2", false, &err), DR_E_REFUSED);
    assert_int_equal(hear("{\"verb\":\"abort\",\"by\":\"bo\"}"), DR_E_REFUSED);
}

static void an_aborted_drill_is_cleaned_up_and_ends_so(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "check:data_ok", "fail!");
    assert_string_equal(
        hold_drill("{\"steps\":[" RESTORE ",{\"id\":\"data_ok\",\"use\":\"check\"}]}"), "held");
    assert_int_equal(hear("{\"verb\":\"abort\",\"by\":\"bo\",\"reason\":\"enough\"}"), DR_OK);
    assert_string_equal(phase(), "cleaning");
    assert_string_equal(engine_state(engine)->then, "aborted");
    assert_string_equal(text(record_of("abort", NULL), "by"), "bo");
    assert_false(engine_yields(engine));
    assert_int_equal(engine_clean(engine, &err), DR_OK);
    assert_log("apply restore, undo restore");
}

static void nothing_of_production_is_said_to_have_come_back(void **state)
{
    (void)state;
    assert_string_equal(hold_drill(WHOLE), "cleaning");
    assert_null(record_of("recovered", NULL));
}

/* -- notes ---------------------------------------------------------------------------------------------- */

static void notes_stand_before_the_first_step_and_in_the_cleaning_only(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "apply:restore", "fail");
    make("{\"steps\":[" RESTORE "]}");
    int puts = world.puts;
    assert_int_equal(engine_note(engine, "planted", json_pack("{s:s}", "seed", "42"), &err), DR_OK);
    assert_true(world.puts > puts); /* it is outside as well */
    assert_string_equal(go(), "held");
    assert_int_equal(engine_note(engine, "made", json_object(), &err), DR_E_REFUSED);
    assert_int_equal(hear("{\"verb\":\"abort\",\"by\":\"bo\"}"), DR_OK);
    assert_int_equal(engine_note(engine, "control", json_pack("{s:b}", "caught", 1), &err), DR_OK);
    assert_string_equal(text(record_of("planted", NULL), "seed"), "42");
    take_up(); /* records that the engine does not know change nothing */
    assert_string_equal(phase(), "cleaning");
    world.lease_ms = 0;
    assert_int_equal(engine_note(engine, "control", json_object(), &err), DR_E_REFUSED);
    assert_true(engine_yields(engine));
}

/* -- giving way ------------------------------------------------------------------------------------------ */

#define GIVE_WAY \
    "{\"verb\":\"abort\",\"by\":\"ana@op-1:7\",\"reason\":\"in earnest\",\"give_way\":true}"

static void a_drill_at_work_gives_way_at_once(void **state)
{
    (void)state;
    make("{\"steps\":[" RESTORE "]}");
    fake_say(&world, "apply:restore", "hang!");
    fake_hear(&world, GIVE_WAY);
    assert_string_equal(go(), "cleaning");
    assert_true(engine_yields(engine));
    assert_string_equal(engine_state(engine)->then, "aborted");
}

static void a_clean_up_gives_way_and_the_next_one_finishes_it(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_string_equal(hold_drill(WHOLE), "cleaning");
    fake_say(&world, "undo:restore", "hang");
    fake_hear(&world, GIVE_WAY);
    assert_int_equal(engine_clean(engine, &err), DR_OK);
    assert_true(engine_yields(engine));
    assert_non_null(json_object_get(world.in_place, "restore"));
    take_up();
    assert_false(engine_yields(engine));
    assert_int_equal(engine_clean(engine, &err), DR_OK);
    assert_int_equal(json_object_size(world.in_place), 0);
}

static void a_dead_drill_that_is_taken_up_does_no_further_step(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    make(WHOLE);
    world.lose_at = 1; /* the lease ends while the intent of the restore is stored */
    assert_int_equal(engine_go(engine, &err), DR_E_REFUSED);
    world.lose_at = 0;
    world.lease_ms = 60000;
    take_up();
    assert_string_equal(phase(), "running");
    assert_int_equal(engine_drop_drill(engine, "bo", "its runner is gone", &err), DR_OK);
    assert_string_equal(phase(), "cleaning");
    assert_string_equal(go(), "cleaning");
    assert_int_equal(engine_clean(engine, &err), DR_OK);
    assert_log("undo restore"); /* it may have begun: its undo settles that */
    assert_int_equal(engine_end_drill(engine, false, "its runner died", &err), DR_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_what_is_isolated_is_done_and_a_check_behind_the_switch_is_not_measured),
        TEST(what_is_only_told_is_told_with_its_names_put_in),
        TEST(an_isolated_restore_never_hears_of_the_plans_target),
        TEST(what_the_plan_says_about_production_is_not_asked_of_an_isolated_step),
        TEST(a_step_with_arguments_of_its_own_is_done_for_real_on_these),
        TEST(only_what_the_plan_has_change_things_is_told_so),
        TEST(a_check_below_a_simulated_switch_is_asked_when_it_has_arguments_of_its_own),
        TEST(a_switch_that_its_when_leaves_out_hides_nothing),
        TEST(a_step_that_is_skipped_hides_what_is_below_it_as_well),
        TEST(a_real_promotion_in_a_drill_is_not_covered_by_a_simulated_fence),
        TEST(the_failed_region_is_dark_for_every_step_also_for_a_fence),
        TEST(refused_connects_are_added_up_before_the_cleaning),
        TEST(a_planned_drill_has_no_dark_region),
        TEST(everything_real_is_taken_back_newest_first_and_then_the_drill_ends),
        TEST(what_cannot_be_taken_back_is_left_on_record_and_nobody_is_asked),
        TEST(a_failed_step_with_rollback_ends_in_cleaning_too),
        TEST(a_tolerated_check_lets_the_drill_fail),
        TEST(a_held_drill_goes_on_at_a_persons_word_or_is_aborted),
        TEST(an_aborted_drill_is_cleaned_up_and_ends_so),
        TEST(nothing_of_production_is_said_to_have_come_back),
        TEST(notes_stand_before_the_first_step_and_in_the_cleaning_only),
        TEST(a_drill_at_work_gives_way_at_once),
        TEST(a_clean_up_gives_way_and_the_next_one_finishes_it),
        TEST(a_dead_drill_that_is_taken_up_does_no_further_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
