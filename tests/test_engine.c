/*
 * test_engine.c - what a run does, case by case: words of on_error, standbys, doubt, undo, people.
 *
 * Plans are JSON, steps are scripted (fakestep.h), time is a fake clock. What counts is the order of
 * effects, what stands at the end, and the state of the run.
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
#include "dr/run/engine.h"
#include "tests/support/fakestep.h"

static char dir[64];
static struct fake_world world;
static const char *answers[8]; /* what people say each time the run waits */
static size_t answer_at;
static struct script *script;
static struct journal *journal;
static struct engine *engine;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/dr-engine-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    memset(answers, 0, sizeof(answers));
    answer_at = 0;
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

static void on_waits(void *arg, const char *step)
{
    (void)arg;
    if (step != NULL && answer_at < DR_ARRAY_LEN(answers) && answers[answer_at] != NULL)
        fake_hear(&world, answers[answer_at++]);
}

static struct engine_options options(void)
{
    return (struct engine_options){ .operator= "ana", .view.waits = on_waits };
}

static void make(const char *plan, bool dry)
{
    struct dr_err err = { 0 };
    script = fake_script(plan);
    struct run_begin b = { .id = "R-1",
                           .mode = "failover",
                           .by = "ana",
                           .host = "op-1",
                           .failed = "us",
                           .active = "us",
                           .remote = true,
                           .dry = dry };
    assert_int_equal(journal_create(dir, "R-1", &journal, &err), DR_OK);
    assert_int_equal(journal_append(journal, "start", run_begin_body(script, &b), &err), DR_OK);
    struct engine_options o = options();
    engine = engine_new(script, journal, &world.world, &o);
}

static const char *go(void)
{
    struct dr_err err = { 0 };
    assert_int_equal(engine_go(engine, &err), DR_OK);
    return run_phase_name(engine_state(engine)->phase);
}

static const char *run_plan(const char *plan)
{
    make(plan, false);
    return go();
}

/* As another process would: a fresh engine on the journal. */
static const char *resume(bool forward)
{
    struct dr_err err = { 0 };
    engine_free(engine);
    journal_close(journal);
    engine = NULL;
    journal = NULL;
    assert_int_equal(journal_open(dir, "R-1", &journal, &err), DR_OK);
    struct engine_options o = options();
    engine = engine_new(script, journal, &world.world, &o);
    assert_int_equal(engine_resume(engine, "bo", "op-2", forward, &err), DR_OK);
    return go();
}

static enum dr_rc hear(const char *json, struct dr_err *err)
{
    DR_JSON json_t *words = json_loads(json, 0, NULL);
    assert_non_null(words);
    *err = (struct dr_err){ 0 };
    return engine_hear(engine, words, err);
}

static const char *at(const char *step)
{
    return step_at_name(state_step_of(engine_state(engine), step)->at);
}

static void assert_log(const char *expected)
{
    DR_FREE char *log = text_list_join(&world.log, ", ");
    assert_string_equal(log, expected);
    assert_int_equal(world.twice, 0);
}

#define THREE(second)                                                                  \
    "{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},{\"id\":\"b\",\"use\":\"own\"," second \
    "},{\"id\":\"c\",\"use\":\"own\"}]}"

/* -- going forward ------------------------------------------------------------------------------ */

static void steps_run_in_the_order_of_the_file(void **state)
{
    (void)state;
    assert_string_equal(run_plan(THREE("\"retry\":0")), "recovered");
    assert_log("apply a, apply b, apply c");
    assert_true(world.puts > 0);
}

static void steps_side_by_side_run_at_once_up_to_eight(void **state)
{
    (void)state;
    struct buf plan = { 0 };
    buf_adds(&plan, "{\"steps\":[");
    for (int i = 0; i < 10; i++)
        buf_addf(&plan, "%s{\"id\":\"s%d\",\"use\":\"effect\",\"needs\":[]}", i > 0 ? "," : "", i);
    buf_adds(&plan, "]}");
    assert_string_equal(run_plan(plan.data), "recovered");
    assert_int_equal(world.most_running, 8);
    buf_fini(&plan);
}

static void a_step_waits_for_what_it_needs_only(void **state)
{
    (void)state;
    assert_string_equal(
        run_plan("{\"steps\":[{\"id\":\"a\",\"use\":\"effect\"},{\"id\":\"slow\",\"use\":\"wait\"},"
                 "{\"id\":\"b\",\"use\":\"effect\",\"needs\":[\"a\"]},"
                 "{\"id\":\"c\",\"use\":\"effect\"}]}"),
        "recovered");
    assert_log("apply a, apply b, apply c");
}

static void what_is_in_place_is_left_alone_and_not_undone(void **state)
{
    (void)state;
    json_put_text(world.in_place, "a", "");
    fake_say(&world, "apply:b", "fail");
    assert_string_equal(run_plan(THREE("\"on_error\":\"rollback\"")), "undone");
    assert_log("undo b");
    assert_non_null(json_object_get(world.in_place, "a"));
}

static void when_decides_whether_a_step_runs(void **state)
{
    (void)state;
    assert_string_equal(run_plan(THREE("\"when\":\"no\"")), "recovered");
    assert_log("apply a, apply c");
    assert_string_equal(at("b"), "skipped");
}

static void a_when_that_cannot_be_told_holds(void **state)
{
    (void)state;
    assert_string_equal(run_plan(THREE("\"when\":\"unknown\"")), "held");
    assert_log("apply a");
}

static void a_retry_asks_first_and_repeats_what_is_not_done(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "fail fail pass");
    assert_string_equal(run_plan(THREE("\"retry\":2")), "recovered");
    assert_log("apply a, apply b, apply c");
}

static void an_effect_that_is_not_verified_has_failed(void **state)
{
    (void)state;
    fake_say(&world, "verify:b",
             "fail fail fail fail fail fail fail fail fail fail fail fail fail "
             "fail fail fail fail fail fail fail fail fail fail fail fail fail "
             "fail fail fail fail fail fail fail fail fail fail fail fail fail "
             "fail fail fail fail fail fail fail fail fail fail fail fail fail "
             "fail fail fail fail fail fail fail fail fail fail fail fail fail");
    assert_string_equal(run_plan(THREE("\"verify\":[{}],\"on_error\":\"rollback\"")), "undone");
    assert_log("apply a, apply b, undo b, undo a");
}

static void a_check_polls_until_it_passes(void **state)
{
    (void)state;
    fake_say(&world, "check:ok", "fail unknown fail pass");
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"ok\",\"use\":\"check\"}]}"), "recovered");
}

static void unknown_at_the_end_of_its_time_is_a_failed_check(void **state)
{
    (void)state;
    fake_say(&world, "check:ok",
             "unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown");
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"ok\",\"use\":\"check\"}]}"), "held");
    assert_string_equal(at("ok"), "failed");
}

static void a_check_that_its_deadline_cuts_keeps_its_last_real_answer(void **state)
{
    (void)state;
    fake_say(&world, "check:ok", "fail fail hang!");
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"ok\",\"use\":\"check\"}]}"), "held");
    assert_string_equal(state_step_of(engine_state(engine), "ok")->why,
                        "ok says fail (last attempt: ok says hang)");
}

/* A site that is late says unknown by itself: that hides no answer either. */
static void a_check_that_ends_unknown_keeps_its_last_real_answer(void **state)
{
    (void)state;
    fake_say(
        &world, "check:ok",
        "fail unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown");
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"ok\",\"use\":\"check\"}]}"), "held");
    assert_string_equal(state_step_of(engine_state(engine), "ok")->why,
                        "ok says fail (last attempt: ok says unknown)");
}

/* -- a step fails ------------------------------------------------------------------------------- */

static void hold_keeps_everything_and_a_resume_tries_again(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "fail");
    assert_string_equal(run_plan(THREE("\"on_error\":\"hold\"")), "held");
    assert_log("apply a");
    assert_string_equal(resume(false), "recovered");
    assert_log("apply a, apply b, apply c");
}

static void continue_goes_on_and_says_so(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "fail");
    assert_string_equal(run_plan(THREE("\"on_error\":\"continue\"")), "recovered");
    assert_string_equal(at("b"), "tolerated");
    assert_log("apply a, apply c");
}

static void a_check_that_failed_under_continue_fails_the_run(void **state)
{
    (void)state;
    fake_say(&world, "check:b", "fail fail fail fail fail fail fail fail");
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},"
                                 "{\"id\":\"b\",\"use\":\"check\",\"on_error\":\"continue\"},"
                                 "{\"id\":\"c\",\"use\":\"own\"}]}"),
                        "failed");
    assert_log("apply a, apply c");
}

static void rollback_undoes_in_reverse(void **state)
{
    (void)state;
    fake_say(&world, "apply:c", "fail");
    assert_string_equal(
        run_plan("{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},{\"id\":\"b\",\"use\":\"effect\"},"
                 "{\"id\":\"c\",\"use\":\"own\",\"on_error\":\"rollback\"}]}"),
        "undone");
    assert_log("apply a, apply b, undo c, undo b, undo a");
    assert_int_equal(json_object_size(world.in_place), 0);
}

static void the_more_careful_word_wins(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "fail");
    fake_say(&world, "apply:c", "fail");
    assert_string_equal(
        run_plan("{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},"
                 "{\"id\":\"b\",\"use\":\"own\",\"needs\":[\"a\"],\"on_error\":\"rollback\"},"
                 "{\"id\":\"c\",\"use\":\"own\",\"needs\":[\"a\"],\"on_error\":\"hold\"}]}"),
        "held");
    assert_log("apply a");
}

static void running_steps_end_before_anything_is_undone(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "fail");
    fake_say(&world, "apply:c", "late");
    assert_string_equal(
        run_plan("{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},"
                 "{\"id\":\"b\",\"use\":\"own\",\"needs\":[\"a\"],\"on_error\":\"rollback\"},"
                 "{\"id\":\"c\",\"use\":\"own\",\"needs\":[\"a\"],\"on_error\":\"rollback\"}]}"),
        "undone");
    assert_log("apply a, apply c, undo c, undo b, undo a");
}

/* -- doubt -------------------------------------------------------------------------------------- */

static void in_doubt_the_own_check_decides(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "late");
    assert_string_equal(run_plan(THREE("\"retry\":0")), "recovered");
    assert_log("apply a, apply b, apply c");
}

static void in_doubt_and_not_done_it_is_repeated(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "hang crash");
    assert_string_equal(run_plan(THREE("\"retry\":2")), "recovered");
    assert_log("apply a, apply b, apply c");
}

static void in_doubt_with_none_left_it_has_failed(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "hang");
    assert_string_equal(run_plan(THREE("\"retry\":0")), "held");
    assert_string_equal(at("b"), "failed");
}

static void nobody_can_tell_is_unknown_even_under_continue(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "late");
    assert_string_equal(
        run_plan("{\"steps\":[{\"id\":\"b\",\"use\":\"effect\",\"on_error\":\"continue\"}]}"),
        "held");
    assert_string_equal(at("b"), "unknown");
}

static void unknown_is_undone_by_rollback(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "late");
    assert_string_equal(
        run_plan("{\"steps\":[{\"id\":\"b\",\"use\":\"effect\",\"on_error\":\"rollback\"}]}"),
        "undone");
    assert_int_equal(json_object_size(world.in_place), 0);
}

/* -- standbys ------------------------------------------------------------------------------------ */

#define STANDBYS(rest)                                                                    \
    "{\"regions\":[\"us\",\"eu\",\"ap\"],"                                                \
    "\"preflight\":[{\"id\":\"up\",\"target\":true}],"                                    \
    "\"steps\":[{\"id\":\"pick\",\"use\":\"region.pick\",\"target\":true},"               \
    "{\"id\":\"fence\",\"use\":\"fence\"},"                                               \
    "{\"id\":\"start\",\"use\":\"own\",\"target\":true,\"on_error\":\"next_standby\"},"   \
    "{\"id\":\"restore\",\"use\":\"own\",\"target\":true,\"on_error\":\"next_standby\"}," \
    "{\"id\":\"live\",\"use\":\"promote\",\"target\":true,\"ponr\":true" rest "},"        \
    "{\"id\":\"lb\",\"use\":\"own\",\"target\":true,\"needs\":[\"live\"]},"               \
    "{\"id\":\"dns\",\"use\":\"own\",\"target\":true,\"needs\":[\"live\"]},"              \
    "{\"id\":\"ok\",\"use\":\"check\",\"target\":true}]}"

static void the_first_ready_standby_is_taken(void **state)
{
    (void)state;
    assert_string_equal(run_plan(STANDBYS("")), "recovered");
    assert_string_equal(engine_state(engine)->target, "eu");
}

static void a_standby_that_is_not_ready_is_passed_over_and_the_journal_says_why(void **state)
{
    (void)state;
    fake_say(&world, "check:up@eu", "fail");
    assert_string_equal(run_plan(STANDBYS("")), "recovered");
    assert_string_equal(engine_state(engine)->target, "ap");
    const struct state_standby *sb = &engine_state(engine)->standbys[0];
    assert_string_equal(sb->region, "eu");
    assert_false(sb->ready);
    assert_string_equal(sb->why, "up: up says fail");
    assert_non_null(strstr(state_step_of(engine_state(engine), "pick")->why, "up says fail"));
}

static void unknown_readiness_is_not_ready(void **state)
{
    (void)state;
    fake_say(&world, "check:up@eu", "unknown");
    assert_string_equal(run_plan(STANDBYS("")), "recovered");
    assert_string_equal(engine_state(engine)->target, "ap");
}

static void nobody_ready_holds_with_the_table(void **state)
{
    (void)state;
    fake_say(&world, "check:up", "fail fail");
    assert_string_equal(run_plan(STANDBYS("")), "held");
    assert_non_null(strstr(engine_state(engine)->why, "eu is not ready"));
    assert_non_null(strstr(engine_state(engine)->why, "ap is not ready"));
    assert_log("");
}

static void a_fenced_region_is_no_standby(void **state)
{
    (void)state;
    text_list_add(&world.fenced, "eu");
    assert_string_equal(run_plan(STANDBYS("")), "recovered");
    assert_string_equal(engine_state(engine)->target, "ap");
}

static void where_all_others_are_fenced_nothing_is_begun_and_it_is_said_why(void **state)
{
    (void)state;
    text_list_add(&world.fenced, "eu");
    text_list_add(&world.fenced, "ap");
    assert_string_equal(run_plan(STANDBYS("")), "held");
    assert_non_null(strstr(engine_state(engine)->why, "us has no standby: "));
    assert_non_null(strstr(engine_state(engine)->why, "eu, ap; the failback is due"));
    assert_int_equal(state_step_of(engine_state(engine), "pick")->at, AT_PENDING);
    assert_log("");
}

static void a_standby_that_fails_is_put_back_and_the_next_is_tried(void **state)
{
    (void)state;
    fake_say(&world, "apply:restore@eu", "fail");
    assert_string_equal(run_plan(STANDBYS("")), "recovered");
    assert_string_equal(engine_state(engine)->target, "ap");
    assert_log("apply fence, apply start, undo restore, undo start, apply start, apply restore, "
               "apply live, apply lb, apply dns");
    assert_string_equal(json_string_value(json_object_get(world.in_place, "start")), "ap");
    assert_int_equal(engine_state(engine)->rounds, 1);
}

static void when_no_standby_is_left_the_run_is_held(void **state)
{
    (void)state;
    fake_say(&world, "apply:restore", "fail fail");
    assert_string_equal(run_plan(STANDBYS("")), "held");
    assert_int_equal(json_object_size(world.in_place), 1); /* the fence stays */
    assert_non_null(strstr(engine_state(engine)->why, "no standby is left"));
}

/* -- the point of no return ----------------------------------------------------------------------- */

static void nothing_goes_back_over_the_point_of_no_return(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "check:ok", "fail fail fail fail fail fail fail fail fail fail");
    assert_string_equal(run_plan(STANDBYS("")), "held");
    assert_int_equal(hear("{\"verb\":\"undo\",\"by\":\"ana\"}", &err), DR_OK);
    assert_string_equal(go(), "held");
    assert_non_null(strstr(engine_state(engine)->why, "cannot go back further"));
    assert_non_null(json_object_get(world.in_place, "live"));
    assert_non_null(json_object_get(world.in_place, "fence"));
    assert_null(json_object_get(world.in_place, "dns"));
}

static void a_point_that_was_proved_not_passed_lets_go_back(void **state)
{
    (void)state;
    fake_say(&world, "apply:live", "fail");
    assert_string_equal(run_plan(STANDBYS(",\"on_error\":\"rollback\"")), "undone");
    assert_int_equal(json_object_size(world.in_place), 0);
}

static void an_undo_that_fails_three_times_holds_and_resume_tries_again(void **state)
{
    (void)state;
    fake_say(&world, "apply:c", "fail");
    fake_say(&world, "undo:b", "fail fail fail");
    const char *plan = "{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},{\"id\":\"b\",\"use\":\"own\"},"
                       "{\"id\":\"c\",\"use\":\"own\",\"on_error\":\"rollback\"}]}";
    assert_string_equal(run_plan(plan), "held");
    assert_string_equal(at("b"), "unknown");
    assert_non_null(json_object_get(world.in_place, "a"));
    assert_string_equal(resume(false), "undone");
    assert_log("apply a, apply b, undo c, undo b, undo a");
}

static void skip_leaves_an_effect_behind_and_the_end_says_so(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "apply:c", "fail");
    fake_say(&world, "undo:b", "fail fail fail");
    const char *plan = "{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},{\"id\":\"b\",\"use\":\"own\"},"
                       "{\"id\":\"c\",\"use\":\"own\",\"on_error\":\"rollback\"}]}";
    assert_string_equal(run_plan(plan), "held");
    assert_int_equal(
        hear("{\"verb\":\"skip\",\"by\":\"ana\",\"step\":\"b\",\"reason\":\"x\"}", &err), DR_OK);
    assert_string_equal(go(), "undone");
    assert_string_equal(engine_state(engine)->why, "undone, except b");
    assert_null(json_object_get(world.in_place, "a"));
}

static void undo_to_a_step_gives_the_standby_up(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "check:up@ap", "pass");
    fake_say(&world, "apply:start@eu", "unknown");
    fake_say(&world, "check:start@eu", "fail unknown");
    const char *plan = "{\"regions\":[\"us\",\"eu\",\"ap\"],\"steps\":["
                       "{\"id\":\"fence\",\"use\":\"fence\"},"
                       "{\"id\":\"pick\",\"use\":\"region.pick\",\"target\":true},"
                       "{\"id\":\"start\",\"use\":\"own\",\"target\":true}]}";
    assert_string_equal(run_plan(plan), "held");
    assert_string_equal(at("start"), "unknown");
    assert_int_equal(hear("{\"verb\":\"undo\",\"by\":\"ana\",\"to\":\"pick\"}", &err), DR_OK);
    assert_string_equal(go(), "held");
    assert_non_null(json_object_get(world.in_place, "fence"));
    assert_string_equal(resume(false), "recovered");
    assert_string_equal(engine_state(engine)->target, "ap");
}

/* -- people --------------------------------------------------------------------------------------- */

#define ASKS                                                                         \
    "{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},{\"id\":\"go\",\"use\":\"approve\"," \
    "\"with\":{\"question\":\"Go?\",\"count\":2}},{\"id\":\"c\",\"use\":\"own\"}]}"

static void an_approval_waits_for_as_many_people_as_asked(void **state)
{
    (void)state;
    answers[0] = "{\"verb\":\"approve\",\"by\":\"bo\"}";
    answers[1] = "{\"verb\":\"approve\",\"by\":\"bo\"}"; /* once more: does not count */
    answers[2] = "{\"verb\":\"approve\",\"by\":\"cem\"}";
    make(ASKS, false);
    assert_string_equal(go(), "recovered");
    assert_int_equal(state_step_of(engine_state(engine), "go")->approvals, 2);
}

static void a_rejected_approval_undoes_the_run(void **state)
{
    (void)state;
    answers[0] = "{\"verb\":\"reject\",\"by\":\"bo\",\"reason\":\"no\"}";
    make("{\"steps\":[{\"id\":\"go\",\"use\":\"approve\"}]}", false);
    assert_string_equal(go(), "undone");
    assert_log("");
}

static void yes_answers_for_the_operator(void **state)
{
    (void)state;
    make("{\"steps\":[{\"id\":\"go\",\"use\":\"approve\"},{\"id\":\"c\",\"use\":\"own\"}]}", false);
    engine_free(engine);
    struct engine_options o = options();
    o.approve_as_operator = true;
    engine = engine_new(script, journal, &world.world, &o);
    assert_string_equal(go(), "recovered");
}

static void skipping_a_check_leaves_the_run_unproved(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "check:ok", "fail fail fail fail fail fail fail fail");
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"ok\",\"use\":\"check\"}]}"), "held");
    assert_int_equal(
        hear("{\"verb\":\"skip\",\"by\":\"ana\",\"step\":\"ok\",\"reason\":\"x\"}", &err), DR_OK);
    assert_string_equal(go(), "failed");
    assert_non_null(strstr(engine_state(engine)->why, "NOT proved"));
}

static void by_hand_counts_as_done_and_goes_on(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "apply:b", "fail");
    assert_string_equal(run_plan(THREE("\"retry\":0")), "held");
    assert_int_equal(
        hear("{\"verb\":\"skip\",\"by\":\"ana\",\"step\":\"b\",\"by_hand\":true}", &err), DR_OK);
    assert_string_equal(go(), "recovered");
    assert_string_equal(at("b"), "done");
}

static void a_fence_is_not_skipped_without_the_regions_name(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "apply:fence", "fail");
    assert_string_equal(run_plan(STANDBYS("")), "held");
    assert_int_equal(hear("{\"verb\":\"skip\",\"by\":\"ana\",\"step\":\"fence\"}", &err),
                     DR_E_REFUSED);
    assert_int_equal(
        hear("{\"verb\":\"skip\",\"by\":\"ana\",\"step\":\"fence\",\"confirm\":\"us\"}", &err),
        DR_E_REFUSED); /* no reason */
    assert_int_equal(hear("{\"verb\":\"skip\",\"by\":\"ana\",\"step\":\"fence\",\"confirm\":\"eu\","
                          "\"reason\":\"x\"}",
                          &err),
                     DR_E_REFUSED);
    assert_int_equal(hear("{\"verb\":\"skip\",\"by\":\"ana\",\"step\":\"fence\",\"confirm\":\"us\","
                          "\"reason\":\"x\"}",
                          &err),
                     DR_OK);
    assert_string_equal(go(), "recovered");
}

static void abort_leaves_everything_and_is_final(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fake_say(&world, "apply:b", "fail");
    assert_string_equal(run_plan(THREE("\"retry\":0")), "held");
    assert_int_equal(hear("{\"verb\":\"abort\",\"by\":\"ana\",\"reason\":\"x\"}", &err), DR_OK);
    assert_string_equal(go(), "aborted");
    assert_log("apply a");
    assert_int_equal(engine_resume(engine, "bo", "x", false, &err), DR_E_REFUSED);
}

static void an_interrupt_holds_after_the_running_steps(void **state)
{
    (void)state;
    make(THREE("\"retry\":0"), false);
    engine_interrupt(engine);
    assert_string_equal(go(), "held");
    assert_string_equal(resume(false), "recovered");
    assert_log("apply a, apply b, apply c");
}

/* -- what guards the run ---------------------------------------------------------------------------- */

static void an_invariant_that_does_not_hold_stops_the_next_effect(void **state)
{
    (void)state;
    fake_say(&world, "check:one", "fail");
    const char *plan =
        "{\"invariants\":[{\"id\":\"one\"}],\"steps\":[{\"id\":\"a\",\"use\":\"own\"}]}";
    assert_string_equal(run_plan(plan), "held");
    assert_log("");
    assert_non_null(strstr(engine_state(engine)->why, "one does not hold"));
    assert_string_equal(resume(false), "recovered");
}

static void without_a_bucket_outside_no_effect_begins(void **state)
{
    (void)state;
    world.put_fails = -1;
    assert_string_equal(run_plan(THREE("\"retry\":0")), "held");
    assert_log("");
    world.put_fails = 0;
    assert_string_equal(resume(false), "recovered");
    assert_log("apply a, apply b, apply c");
}

static void without_the_lease_no_effect_begins(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    make(THREE("\"retry\":0"), false);
    world.lease_ms = ENGINE_LEASE_RESERVE_MS - 1;
    assert_int_equal(engine_go(engine, &err), DR_E_REFUSED);
    assert_log("");
}

static void a_failed_preflight_goes_on_in_a_failover_and_holds_if_told(void **state)
{
    (void)state;
    fake_say(&world, "check:ttl", "fail");
    fake_say(&world, "check:room", "fail");
    assert_string_equal(run_plan("{\"preflight\":[{\"id\":\"ttl\"},"
                                 "{\"id\":\"room\",\"on_error\":\"hold\"}],"
                                 "\"steps\":[{\"id\":\"a\",\"use\":\"own\"}]}"),
                        "held");
    assert_non_null(strstr(engine_state(engine)->why, "room"));
    assert_log("");
    fake_say(&world, "check:ttl", "fail");
    assert_string_equal(resume(false), "recovered");
}

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    make(STANDBYS(""), true);
    assert_string_equal(go(), "recovered");
    assert_log("");
    assert_string_equal(at("ok"), "skipped");
    assert_true(state_step_of(engine_state(engine), "ok")->not_measured);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(steps_run_in_the_order_of_the_file),
        TEST(steps_side_by_side_run_at_once_up_to_eight),
        TEST(a_step_waits_for_what_it_needs_only),
        TEST(what_is_in_place_is_left_alone_and_not_undone),
        TEST(when_decides_whether_a_step_runs),
        TEST(a_when_that_cannot_be_told_holds),
        TEST(a_retry_asks_first_and_repeats_what_is_not_done),
        TEST(an_effect_that_is_not_verified_has_failed),
        TEST(a_check_polls_until_it_passes),
        TEST(unknown_at_the_end_of_its_time_is_a_failed_check),
        TEST(a_check_that_its_deadline_cuts_keeps_its_last_real_answer),
        TEST(a_check_that_ends_unknown_keeps_its_last_real_answer),
        TEST(hold_keeps_everything_and_a_resume_tries_again),
        TEST(continue_goes_on_and_says_so),
        TEST(a_check_that_failed_under_continue_fails_the_run),
        TEST(rollback_undoes_in_reverse),
        TEST(the_more_careful_word_wins),
        TEST(running_steps_end_before_anything_is_undone),
        TEST(in_doubt_the_own_check_decides),
        TEST(in_doubt_and_not_done_it_is_repeated),
        TEST(in_doubt_with_none_left_it_has_failed),
        TEST(nobody_can_tell_is_unknown_even_under_continue),
        TEST(unknown_is_undone_by_rollback),
        TEST(the_first_ready_standby_is_taken),
        TEST(a_standby_that_is_not_ready_is_passed_over_and_the_journal_says_why),
        TEST(unknown_readiness_is_not_ready),
        TEST(nobody_ready_holds_with_the_table),
        TEST(a_fenced_region_is_no_standby),
        TEST(where_all_others_are_fenced_nothing_is_begun_and_it_is_said_why),
        TEST(a_standby_that_fails_is_put_back_and_the_next_is_tried),
        TEST(when_no_standby_is_left_the_run_is_held),
        TEST(nothing_goes_back_over_the_point_of_no_return),
        TEST(a_point_that_was_proved_not_passed_lets_go_back),
        TEST(an_undo_that_fails_three_times_holds_and_resume_tries_again),
        TEST(skip_leaves_an_effect_behind_and_the_end_says_so),
        TEST(undo_to_a_step_gives_the_standby_up),
        TEST(an_approval_waits_for_as_many_people_as_asked),
        TEST(a_rejected_approval_undoes_the_run),
        TEST(yes_answers_for_the_operator),
        TEST(skipping_a_check_leaves_the_run_unproved),
        TEST(by_hand_counts_as_done_and_goes_on),
        TEST(a_fence_is_not_skipped_without_the_regions_name),
        TEST(abort_leaves_everything_and_is_final),
        TEST(an_interrupt_holds_after_the_running_steps),
        TEST(an_invariant_that_does_not_hold_stops_the_next_effect),
        TEST(without_a_bucket_outside_no_effect_begins),
        TEST(without_the_lease_no_effect_begins),
        TEST(a_failed_preflight_goes_on_in_a_failover_and_holds_if_told),
        TEST(a_dry_run_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
