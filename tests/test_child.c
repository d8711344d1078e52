/*
 * test_child.c - however a step ends, one outcome comes, in bounded time and memory.
 *
 * Real processes: shells that speak the protocol well, badly, too much or not at all.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/mem.h"
#include "dr/step/child.h"

static struct step_outcome got;
static int done_calls;
static int events;

static void on_event(void *arg, const json_t *event)
{
    (void)arg;
    (void)event;
    events++;
}

static void on_done(void *arg, struct step_outcome *outcome)
{
    (void)arg;
    step_outcome_fini(&got);
    got = *outcome;
    *outcome = (struct step_outcome){ 0 };
    done_calls++;
}

struct deed { /* what the test does to the child while it runs */
    int64_t timeout_ms, grace_ms;
    bool stop, hard;
};

static void run_with(const char *script, struct deed deed)
{
    uv_loop_t loop;
    struct dr_err err = { 0 };
    DR_JSON json_t *request = json_object();
    json_put_text(request, "verb", "apply");
    const char *const argv[] = { "/bin/sh", "-c", script, NULL };
    struct child_options o = {
        .argv = argv,
        .request = request,
        .timeout_ms = deed.timeout_ms > 0 ? deed.timeout_ms : 30000,
        .grace_ms = deed.grace_ms > 0 ? deed.grace_ms : 30000,
    };
    struct step_hooks hooks = { .event = on_event, .done = on_done };
    struct child *c = NULL;
    done_calls = 0;
    events = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(child_start(&loop, &o, &hooks, &c, &err), DR_OK);
    if (deed.stop)
        child_stop(c, "stopped", deed.hard);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0); /* no handle was forgotten */
    assert_int_equal(done_calls, 1);
    assert_non_null(got.why);
}

static void run(const char *script)
{
    run_with(script, (struct deed){ 0 });
}

static int teardown(void **state)
{
    (void)state;
    step_outcome_fini(&got);
    return 0;
}

#define PASS "echo '{\"event\":\"result\",\"verdict\":\"pass\",\"why\":\"all is well\"}'"

static void a_good_step_tells_all_it_has_to(void **state)
{
    (void)state;
    run("read r; echo \"$r\" >&2; echo '{\"event\":\"progress\",\"done\":1,\"total\":2}';"
        "echo '{\"event\":\"output\",\"name\":\"id\",\"value\":\"x7\"}';"
        "echo '{\"event\":\"former\",\"value\":{\"was\":1}}';"
        "echo '{\"event\":\"result\",\"verdict\":\"fail\",\"why\":\"no\",\"proof\":\"power_off\","
        "\"refused\":2,\"evidence\":{\"n\":3}}'");
    assert_int_equal(got.verdict, STEP_FAIL);
    assert_false(got.doubt);
    assert_string_equal(got.why, "no");
    assert_string_equal(got.proof, "power_off");
    assert_string_equal(json_string_value(json_object_get(got.outputs, "id")), "x7");
    assert_int_equal(json_integer_value(json_object_get(got.former, "was")), 1);
    assert_int_equal(json_integer_value(json_object_get(got.evidence, "n")), 3);
    assert_string_equal(got.tail, "{\"verb\":\"apply\"}\\x0a");
    assert_int_equal(got.refused, 2);
    assert_int_equal(events, 4);
}

static void a_step_that_hangs_is_ended_at_its_deadline(void **state)
{
    (void)state;
    run_with("sleep 1000", (struct deed){ .timeout_ms = 50 });
    assert_int_equal(got.verdict, STEP_UNKNOWN);
    assert_true(got.doubt);
    assert_non_null(strstr(got.why, "timed out"));
}

static void a_step_that_ignores_sigterm_is_killed_with_its_children(void **state)
{
    (void)state;
    run_with("trap '' TERM; sleep 1000 & while :; do sleep 1000; done",
             (struct deed){ .timeout_ms = 50, .grace_ms = 50 });
    assert_int_equal(got.verdict, STEP_UNKNOWN);
    assert_true(got.doubt);
}

static void a_step_that_crashes_is_in_doubt(void **state)
{
    (void)state;
    run("echo last words >&2; kill -SEGV $$");
    assert_int_equal(got.verdict, STEP_UNKNOWN);
    assert_true(got.doubt);
    assert_non_null(strstr(got.why, "crashed (signal 11): last words"));
}

static void an_end_without_a_result_is_in_doubt(void **state)
{
    (void)state;
    run("echo no space >&2; exit 3");
    assert_true(got.doubt);
    assert_non_null(strstr(got.why, "exit code 3"));
    assert_non_null(strstr(got.why, "no space"));
}

static void a_command_that_does_not_exist_is_in_doubt_and_named(void **state)
{
    (void)state;
    run("exec /nonexistent/tool");
    assert_true(got.doubt);
    assert_non_null(strstr(got.why, "/nonexistent/tool"));
}

static void a_flood_is_cut(void **state)
{
    (void)state;
    run("exec yes '{\"event\":\"log\",\"text\":\"again and again and again and again\"}'");
    assert_true(got.doubt);
    assert_non_null(strstr(got.why, "flooded"));
    run("exec tr '\\0' x </dev/zero"); /* one line without end */
    assert_non_null(strstr(got.why, "flooded"));
}

static void a_flood_of_last_words_keeps_the_last_of_them(void **state)
{
    (void)state;
    run("yes noise | head -c 3000000 >&2; echo the end >&2;" PASS);
    assert_int_equal(got.verdict, STEP_PASS);
    assert_true(strlen(got.tail) < 6 * (size_t)CHILD_TAIL_MAX);
    assert_non_null(strstr(got.tail, "the end"));
}

static void words_that_are_no_protocol_are_in_doubt(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "echo hello;" PASS,
        "echo '[1]';" PASS,
        "echo '{\"event\":\"result\",\"verdict\":\"maybe\"}'",
        "echo '{\"event\":\"output\",\"name\":\"x\"}';" PASS,
        PASS ";" PASS,
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(scripts); i++) {
        run(scripts[i]);
        assert_int_equal(got.verdict, STEP_UNKNOWN);
        assert_true(got.doubt);
        assert_non_null(strstr(got.why, "broke the protocol"));
    }
}

static void a_service_left_running_does_not_hold_the_step(void **state)
{
    (void)state;
    run("sleep 2 & " PASS); /* it still has our pipe open */
    assert_int_equal(got.verdict, STEP_PASS);
}

static void a_stop_comes_before_the_deadline(void **state)
{
    (void)state;
    run_with("sleep 1000", (struct deed){ .stop = true, .hard = true });
    assert_true(got.doubt);
    assert_non_null(strstr(got.why, "stopped"));
}

/* The runner is killed: its step and what the step started end with it. */
static void a_step_dies_with_its_runner(void **state)
{
    (void)state;
    int alive[2];
    assert_int_equal(pipe(alive), 0);
    pid_t runner = fork();
    if (runner == 0) {
        uv_loop_t loop;
        struct dr_err err = { 0 };
        struct step_hooks hooks = { .done = on_done };
        struct child *c = NULL;
        DR_JSON json_t *request = json_object();
        DR_FREE char *script = dr_strf("printf x >&%d; exec sleep 1000", alive[1]);
        const char *const argv[] = { "/bin/sh", "-c", script, NULL };
        struct child_options o = { .argv = argv, .request = request, .timeout_ms = 60000 };
        (void)uv_loop_init(&loop);
        if (child_start(&loop, &o, &hooks, &c, &err) == DR_OK)
            (void)uv_run(&loop, UV_RUN_DEFAULT);
        _exit(0);
    }
    (void)close(alive[1]);
    char byte = 0;
    assert_int_equal(read(alive[0], &byte, 1), 1);
    assert_int_equal(kill(runner, SIGKILL), 0);
    assert_int_equal(waitpid(runner, NULL, 0), runner);
    assert_int_equal(read(alive[0], &byte, 1), 0); /* the last writer is gone: the child died */
    (void)close(alive[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_good_step_tells_all_it_has_to, teardown),
        cmocka_unit_test_teardown(a_step_that_hangs_is_ended_at_its_deadline, teardown),
        cmocka_unit_test_teardown(a_step_that_ignores_sigterm_is_killed_with_its_children,
                                  teardown),
        cmocka_unit_test_teardown(a_step_that_crashes_is_in_doubt, teardown),
        cmocka_unit_test_teardown(an_end_without_a_result_is_in_doubt, teardown),
        cmocka_unit_test_teardown(a_command_that_does_not_exist_is_in_doubt_and_named, teardown),
        cmocka_unit_test_teardown(a_flood_is_cut, teardown),
        cmocka_unit_test_teardown(a_flood_of_last_words_keeps_the_last_of_them, teardown),
        cmocka_unit_test_teardown(words_that_are_no_protocol_are_in_doubt, teardown),
        cmocka_unit_test_teardown(a_service_left_running_does_not_hold_the_step, teardown),
        cmocka_unit_test_teardown(a_stop_comes_before_the_deadline, teardown),
        cmocka_unit_test_teardown(a_step_dies_with_its_runner, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
