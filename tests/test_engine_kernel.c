/*
 * test_engine_kernel.c - the safety rules of the engine, each attacked: what no plan, no provider, no
 * lease and no bucket may bring about.
 *
 * Plans are JSON, steps are scripted (fakestep.h), time is a fake clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/run/begin.h"
#include "dr/run/engine.h"
#include "dr/run/guard.h"
#include "tests/support/fakestep.h"

static char dir[64];
static struct fake_world world;
static struct script *script;
static struct journal *journal;
static struct engine *engine;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/dr-kernel-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    fake_world_init(&world);
    return 0;
}

static void close_run(void)
{
    engine_free(engine);
    journal_close(journal);
    engine = NULL;
    journal = NULL;
}

static int teardown(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    close_run();
    script_free(script);
    script = NULL;
    fake_world_fini(&world);
    return fs_remove_tree(dir, &err) != DR_OK;
}

static struct run_begin beginning(const char *failed)
{
    return (struct run_begin){ .id = "R-1",
                               .mode = failed != NULL ? "failover" : "run",
                               .by = "ana",
                               .host = "op-1",
                               .failed = failed,
                               .active = "us",
                               .remote = true };
}

static void make(const char *plan)
{
    struct dr_err err = { 0 };
    struct run_begin b = beginning("us");
    struct engine_options o = { .operator= "ana" };
    script = fake_script(plan);
    assert_int_equal(journal_create(dir, "R-1", &journal, &err), DR_OK);
    assert_int_equal(journal_append(journal, "start", run_begin_body(script, &b), &err), DR_OK);
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
    make(plan);
    return go();
}

/* As another process would: a fresh engine on the journal. */
static const char *resume(void)
{
    struct dr_err err = { 0 };
    struct engine_options o = { .operator= "bo" };
    close_run();
    assert_int_equal(journal_open(dir, "R-1", &journal, &err), DR_OK);
    engine = engine_new(script, journal, &world.world, &o);
    assert_int_equal(engine_resume(engine, "bo", "op-2", false, &err), DR_OK);
    return go();
}

static enum dr_rc hear(const char *json)
{
    DR_JSON json_t *words = json_loads(json, 0, NULL);
    struct dr_err err = { 0 };
    assert_non_null(words);
    return engine_hear(engine, words, &err);
}

static const char *at(const char *step)
{
    return step_at_name(state_step_of(engine_state(engine), step)->at);
}

static bool stands(const char *step)
{
    return json_object_get(world.in_place, step) != NULL;
}

static size_t records_of(const char *type)
{
    size_t n = 0;
    const struct journal_records *all = journal_all(journal);
    for (size_t i = 0; i < all->count; i++)
        n += strcmp(all->items[i].type, type) == 0;
    return n;
}

#define FENCE "{\"id\":\"fence\",\"use\":\"fence\"}"
#define LIVE  "{\"id\":\"live\",\"use\":\"promote\",\"with\":{\"at\":\"eu\"}}"

/* -- fence before promote, with a typed proof ---------------------------------------------------- */

static enum dr_rc guard(const char *plan, const char *failed)
{
    struct dr_err err = { 0 };
    struct run_begin b = beginning(failed);
    script_free(script);
    script = fake_script(plan);
    return guard_plan(script, &b, &err);
}

static void a_promotion_elsewhere_without_a_fence_is_refused_at_the_start(void **state)
{
    (void)state;
    assert_int_equal(guard("{\"steps\":[" LIVE "]}", "us"), DR_E_REFUSED);
    assert_int_equal(guard("{\"steps\":[" LIVE "," FENCE "]}", "us"), DR_E_REFUSED);
    assert_int_equal(guard("{\"steps\":[" FENCE ",{\"id\":\"live\",\"use\":\"promote\","
                           "\"needs\":[],\"with\":{\"at\":\"eu\"}}]}",
                           "us"),
                     DR_E_REFUSED); /* side by side is not before */
    assert_int_equal(guard("{\"steps\":[" FENCE "," LIVE "]}", "us"), DR_OK);
}

static void without_a_lost_region_only_a_promotion_elsewhere_needs_a_fence(void **state)
{
    (void)state;
    assert_int_equal(guard("{\"steps\":[" LIVE "]}", NULL), DR_E_REFUSED);
    assert_int_equal(guard("{\"steps\":[{\"id\":\"live\",\"use\":\"promote\","
                           "\"with\":{\"at\":\"us\"}}]}",
                           NULL),
                     DR_OK);
}

static void a_fence_that_its_when_skipped_lets_nothing_be_promoted(void **state)
{
    (void)state;
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"fence\",\"use\":\"fence\","
                                 "\"when\":\"no\"}," LIVE "]}"),
                        "held");
    assert_false(stands("live"));
    assert_non_null(strstr(engine_state(engine)->why, "two regions may write"));
}

static void a_fence_that_failed_under_continue_lets_nothing_be_promoted(void **state)
{
    (void)state;
    fake_say(&world, "apply:fence", "fail");
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"fence\",\"use\":\"fence\","
                                 "\"on_error\":\"continue\"}," LIVE "]}"),
                        "held");
    assert_string_equal(at("fence"), "tolerated");
    assert_false(stands("live"));
}

static void the_fence_of_another_region_does_not_count(void **state)
{
    (void)state;
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"fence\",\"use\":\"fence\","
                                 "\"with\":{\"region\":\"ap\"}}," LIVE "]}"),
                        "held");
    assert_false(stands("live"));
}

static void a_fence_without_proof_is_not_done(void **state)
{
    (void)state;
    fake_say(&world, "apply:fence", "noproof");
    fake_say(&world, "check:fence", "fail noproof");
    assert_string_equal(run_plan("{\"steps\":[" FENCE "," LIVE "]}"), "held");
    assert_string_equal(at("fence"), "unknown");
    assert_non_null(strstr(engine_state(engine)->why, "no proof"));
    assert_false(stands("live"));
}

static void a_fence_that_seems_to_be_there_needs_its_proof_as_well(void **state)
{
    (void)state;
    fake_say(&world, "check:fence", "noproof");
    assert_string_equal(run_plan("{\"steps\":[" FENCE "," LIVE "]}"), "held");
    assert_false(stands("live"));
}

static void the_proof_stands_in_the_journal(void **state)
{
    (void)state;
    assert_string_equal(run_plan("{\"steps\":[" FENCE "," LIVE "]}"), "recovered");
    size_t found = 0;
    const struct journal_records *all = journal_all(journal);
    for (size_t i = 0; i < all->count; i++)
        found += json_object_get(all->items[i].body, "proof") != NULL;
    assert_int_equal(found, 1);
}

/* -- going on without a fence --------------------------------------------------------------------- */

#define SKIPPED_BY(by)                                                            \
    "{\"verb\":\"skip\",\"by\":\"" by "\",\"step\":\"fence\",\"confirm\":\"us\"," \
    "\"reason\":\"pulled the plug\"}"
#define TWO_MUST_SAY                                                                                \
    "{\"steps\":[{\"id\":\"go\",\"use\":\"approve\",\"when\":\"no\",\"with\":{\"count\":2}}," FENCE \
    "," LIVE "]}"

static void a_fence_is_skipped_by_as_many_people_as_the_largest_approval(void **state)
{
    (void)state;
    fake_say(&world, "apply:fence", "fail");
    assert_string_equal(run_plan(TWO_MUST_SAY), "held");
    assert_int_equal(hear(SKIPPED_BY("ana")), DR_OK);
    assert_string_equal(go(), "held");
    assert_non_null(strstr(engine_state(engine)->why, "takes 2 people"));
    assert_false(stands("live"));
    assert_int_equal(hear(SKIPPED_BY("ana")), DR_E_REFUSED); /* the same person again */
    assert_int_equal(hear(SKIPPED_BY("bo")), DR_OK);
    assert_string_equal(go(), "recovered");
    assert_true(stands("live"));
}

static void an_agreement_ends_with_the_next_attempt(void **state)
{
    (void)state;
    fake_say(&world, "apply:fence", "fail fail");
    assert_string_equal(run_plan(TWO_MUST_SAY), "held");
    assert_int_equal(hear(SKIPPED_BY("ana")), DR_OK);
    assert_string_equal(resume(), "held"); /* the fence was tried again, and failed again */
    assert_int_equal(hear(SKIPPED_BY("bo")), DR_OK);
    assert_string_equal(go(), "held");
    assert_false(stands("live"));
}

/* -- the lease ------------------------------------------------------------------------------------ */

static void a_lease_lost_while_the_intent_is_stored_stops_the_effect(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    make("{\"steps\":[{\"id\":\"a\",\"use\":\"own\"}]}");
    world.lose_at = 1;
    world.late_deaths = true; /* what was begun could not be called back */
    fake_say(&world, "check:a", "fail");
    assert_int_equal(engine_go(engine, &err), DR_E_REFUSED);
    assert_false(stands("a"));
    world.lose_at = 0;
    world.lease_ms = 60000;
    assert_string_equal(resume(), "recovered");
    assert_int_equal(world.twice, 0);
}

/* -- the intent outside ----------------------------------------------------------------------------- */

static void a_bucket_that_fails_at_any_moment_never_lets_an_effect_begin_unseen(void **state)
{
    (void)state;
    const char *plan =
        "{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},{\"id\":\"b\",\"use\":\"own\"}]}";
    for (int good = 0; good < 24; good++) {
        make(plan);
        world.fail_after = good + 1;
        (void)go();
        assert_true(world.log.count <= (size_t)world.intents_out);
        world.fail_after = 0;
        if (!run_is_final(engine_state(engine)->phase))
            assert_string_equal(resume(), "recovered");
        assert_int_equal(world.twice, 0);
        assert_int_equal(world.log.count, 2);
        void *none = NULL;
        assert_int_equal(teardown(&none), 0);
        assert_int_equal(setup(&none), 0);
    }
}

/* -- unknown is never a pass ------------------------------------------------------------------------ */

static void an_invariant_that_cannot_be_told_stops_the_next_effect(void **state)
{
    (void)state;
    fake_say(&world, "check:one", "unknown");
    assert_string_equal(run_plan("{\"invariants\":[{\"id\":\"one\"}],"
                                 "\"steps\":[{\"id\":\"a\",\"use\":\"own\"}]}"),
                        "held");
    assert_false(stands("a"));
}

static void a_verification_that_cannot_tell_is_a_failure(void **state)
{
    (void)state;
    fake_say(&world, "verify:a", "unknown!");
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"a\",\"use\":\"own\",\"verify\":[{}]}]}"),
                        "held");
    assert_string_equal(at("a"), "failed");
}

static void an_own_check_that_cannot_tell_lets_nothing_begin(void **state)
{
    (void)state;
    fake_say(&world, "check:a", "unknown");
    assert_string_equal(run_plan("{\"steps\":[{\"id\":\"a\",\"use\":\"own\"}]}"), "held");
    assert_string_equal(at("a"), "unknown");
    assert_false(stands("a"));
}

static void a_preflight_that_cannot_tell_holds_where_failing_would(void **state)
{
    (void)state;
    fake_say(&world, "check:room", "unknown");
    assert_string_equal(run_plan("{\"preflight\":[{\"id\":\"room\",\"on_error\":\"hold\"}],"
                                 "\"steps\":[{\"id\":\"a\",\"use\":\"own\"}]}"),
                        "held");
    assert_false(stands("a"));
}

/* -- one writer, also on the way back ---------------------------------------------------------------- */

static void a_fence_is_kept_while_a_promotion_is_left_behind(void **state)
{
    (void)state;
    fake_say(&world, "apply:last", "fail");
    fake_say(&world, "undo:live", "fail fail fail");
    assert_string_equal(run_plan("{\"steps\":[" FENCE "," LIVE
                                 ",{\"id\":\"last\",\"use\":\"own\",\"on_error\":\"rollback\"}]}"),
                        "held");
    assert_int_equal(
        hear("{\"verb\":\"skip\",\"by\":\"ana\",\"step\":\"live\",\"reason\":\"stuck\"}"), DR_OK);
    assert_string_equal(go(), "held");
    assert_true(stands("fence"));
    assert_string_equal(at("fence"), "done");
}

static void a_fence_is_kept_while_a_promotion_stands_that_was_there_before(void **state)
{
    (void)state;
    json_put_text(world.in_place, "live", "");
    fake_say(&world, "apply:last", "fail");
    assert_string_equal(run_plan("{\"steps\":[" FENCE "," LIVE
                                 ",{\"id\":\"last\",\"use\":\"own\",\"on_error\":\"rollback\"}]}"),
                        "held");
    assert_true(stands("fence"));
    assert_non_null(strstr(engine_state(engine)->why, "two write"));
}

/* -- preflight, again ---------------------------------------------------------------------------------- */

#define OLD(ponr)                                                          \
    "{\"preflight\":[{\"id\":\"room\",\"on_error\":\"hold\"}],\"steps\":[" \
    "{\"id\":\"a\",\"use\":\"own\"" ponr "},{\"id\":\"b\",\"use\":\"own\"}]}"

static void an_old_preflight_is_asked_again_and_is_not_decisive(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "fail");
    assert_string_equal(run_plan(OLD("")), "held");
    assert_int_equal(records_of("go"), 1);
    fake_pass(ENGINE_PREFLIGHT_FRESH_MS + 60000);
    fake_say(&world, "check:room", "fail");
    assert_string_equal(resume(), "recovered");
    assert_int_equal(records_of("go"), 2);
    assert_int_equal(records_of("preflight"), 2);
}

static void a_fresh_preflight_is_not_asked_again(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "fail");
    assert_string_equal(run_plan(OLD("")), "held");
    fake_pass(ENGINE_PREFLIGHT_FRESH_MS / 2);
    assert_string_equal(resume(), "recovered");
    assert_int_equal(records_of("go"), 1);
}

static void behind_the_point_of_no_return_no_preflight_is_asked(void **state)
{
    (void)state;
    fake_say(&world, "apply:b", "fail");
    assert_string_equal(run_plan(OLD(",\"ponr\":true")), "held");
    fake_pass(ENGINE_PREFLIGHT_FRESH_MS + 60000);
    assert_string_equal(resume(), "recovered");
    assert_int_equal(records_of("go"), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_promotion_elsewhere_without_a_fence_is_refused_at_the_start),
        TEST(without_a_lost_region_only_a_promotion_elsewhere_needs_a_fence),
        TEST(a_fence_that_its_when_skipped_lets_nothing_be_promoted),
        TEST(a_fence_that_failed_under_continue_lets_nothing_be_promoted),
        TEST(the_fence_of_another_region_does_not_count),
        TEST(a_fence_without_proof_is_not_done),
        TEST(a_fence_that_seems_to_be_there_needs_its_proof_as_well),
        TEST(the_proof_stands_in_the_journal),
        TEST(a_fence_is_skipped_by_as_many_people_as_the_largest_approval),
        TEST(an_agreement_ends_with_the_next_attempt),
        TEST(a_lease_lost_while_the_intent_is_stored_stops_the_effect),
        TEST(a_bucket_that_fails_at_any_moment_never_lets_an_effect_begin_unseen),
        TEST(an_invariant_that_cannot_be_told_stops_the_next_effect),
        TEST(a_verification_that_cannot_tell_is_a_failure),
        TEST(an_own_check_that_cannot_tell_lets_nothing_begin),
        TEST(a_preflight_that_cannot_tell_holds_where_failing_would),
        TEST(a_fence_is_kept_while_a_promotion_is_left_behind),
        TEST(a_fence_is_kept_while_a_promotion_stands_that_was_there_before),
        TEST(an_old_preflight_is_asked_again_and_is_not_decisive),
        TEST(a_fresh_preflight_is_not_asked_again),
        TEST(behind_the_point_of_no_return_no_preflight_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
