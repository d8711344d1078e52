/*
 * test_remote.c - wherever a connection ends, what is said about the step is true.
 *
 * The far end is a shell that speaks the protocol, or stops speaking it, at each place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/mem.h"
#include "dr/step/remote.h"
#include "tests/support/steps.h"

#define READY "echo '{\"event\":\"ready\",\"v\":1,\"host\":\"far\"}'; "
#define RESULT                                                                 \
    "echo '{\"event\":\"result\",\"verdict\":\"pass\",\"why\":\"done there\"," \
    "\"proof\":\"power_off\",\"evidence\":{\"n\":3}}'; "

/* The provider under test: sends itself to "sh -c SCRIPT". */
static enum step_verdict send_it(struct step_call *call)
{
    DR_CLEANUP(text_list_fini) struct text_list argv = { 0 };
    DR_JSON json_t *evidence = json_object();
    text_list_add(&argv, "/bin/sh");
    text_list_add(&argv, "-c");
    text_list_add(&argv, step_text(call, "script", ""));
    const struct remote r = { .site = "eu", .argv = &argv, .evidence = evidence };
    enum step_verdict verdict = remote_step(call, &r);
    step_evidence(call, json_incref(evidence));
    return verdict;
}

static const struct provider sent = {
    .type = "exec", .check = send_it, .apply = send_it, .undo = send_it
};

static struct tried try_within(const char *verb, const char *script, int64_t timeout_ms)
{
    json_t *with = json_object();
    const struct step_ask ask = { .config = "/here/dr.yaml", .timeout_ms = timeout_ms };
    json_put_text(with, "script", script);
    return step_try(&sent, verb, with, &ask);
}

static struct tried try(const char *verb, const char *script)
{
    return try_within(verb, script, 0);
}

static bool is_begun(const struct tried *t)
{
    return json_is_true(json_object_get(t->evidence, "begun"));
}

static void a_result_comes_back_whole_with_its_events(void **state)
{
    (void)state;
    struct tried t = try("apply", READY
                         "read request; case $request in *'\"config\":\"\"'*) ;; *) exit 9;; esac; "
                         "echo '{\"event\":\"log\",\"text\":\"working\"}'; "
                         "echo '{\"event\":\"output\",\"name\":\"id\",\"value\":\"x7\"}'; "
                         "echo '{\"event\":\"former\",\"value\":{\"was\":1}}'; " RESULT);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(t.why, "done there");
    assert_string_equal(t.proof, "power_off");
    assert_string_equal(t.log, "working\n");
    assert_string_equal(tried_text(t.outputs, "id"), "x7");
    assert_int_equal(tried_int(t.former, "was"), 1);
    assert_int_equal(tried_int(t.evidence, "n"), 3);
    assert_string_equal(tried_text(t.evidence, "host"), "far");
    assert_string_equal(tried_text(t.evidence, "site"), "eu");
    tried_fini(&t);
}

static void a_connection_that_fails_before_the_request_began_nothing(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "echo 'ssh: connect to host eu port 22: Connection refused' >&2; exit 255",
        "echo 'Host key verification failed.' >&2; exit 255",
        "echo 'sh: drctl: not found' >&2; exit 127",
        "echo 'Welcome to eu!'; exec sleep 50",
        "echo '{\"event\":\"ready\",\"v\":2}'; exec sleep 50",
        "echo '{\"event\":\"log\",\"text\":\"early\"}'; exec sleep 50",
        "exit 0",
        "kill -KILL $$",
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(scripts); i++) {
        static const struct {
            const char *verb;
            enum step_verdict verdict;
        } rows[] = { { "apply", STEP_FAIL }, { "undo", STEP_FAIL }, { "check", STEP_UNKNOWN } };
        for (size_t k = 0; k < DR_ARRAY_LEN(rows); k++) {
            struct tried t = try(rows[k].verb, scripts[i]);
            assert_int_equal(t.verdict, rows[k].verdict);
            assert_non_null(strstr(t.why, "not begun: site 'eu'"));
            assert_true(json_is_false(json_object_get(t.evidence, "begun")));
            tried_fini(&t);
        }
    }
}

static void what_can_be_done_about_it_is_said(void **state)
{
    (void)state;
    struct tried t = try("apply", "echo 'Host key verification failed.' >&2; exit 255");
    assert_non_null(strstr(t.why, "Host key verification failed."));
    assert_non_null(strstr(t.why, "ssh-keygen -lf"));
    tried_fini(&t);
}

static void a_connection_that_is_lost_behind_the_request_is_unknown(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        READY "read request; echo 'Connection to eu closed by remote host.' >&2; exit 255",
        READY "read request; exit 0",
        READY "read request; kill -KILL $$",
        READY "read request; echo '{\"event\":\"result\",\"verdict\":\"pa'; exit 255",
        READY "read request; echo noise; exec sleep 50",
        READY "read request; " RESULT RESULT "exec sleep 50",
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(scripts); i++) {
        struct tried t = try("apply", scripts[i]);
        assert_int_equal(t.verdict, STEP_UNKNOWN);
        assert_null(strstr(t.why, "not begun"));
        assert_true(is_begun(&t));
        tried_fini(&t);
    }
}

static void a_result_counts_whatever_becomes_of_the_connection(void **state)
{
    (void)state;
    struct tried t = try("apply", READY "read request; " RESULT "exit 255");
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
}

static void the_time_limit_says_whether_it_had_begun(void **state)
{
    (void)state;
    struct tried t = try_within("apply", "exec sleep 50", REMOTE_MARGIN_MS + 100);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "did not answer in time"));
    tried_fini(&t);
    t = try_within("apply", READY "read request; exec sleep 50", REMOTE_MARGIN_MS + 2000);
    assert_int_equal(t.verdict, STEP_UNKNOWN);
    assert_non_null(strstr(t.why, "was not done in time"));
    tried_fini(&t);
}

static void a_large_request_arrives_whole(void **state)
{
    (void)state;
    enum { LARGE = 1 << 20 };
    char *pad = dr_alloc(LARGE + 1, 1);
    memset(pad, 'x', LARGE);
    json_t *with = json_object();
    const struct step_ask ask = { .config = NULL };
    json_put_text(with, "pad", pad);
    json_put_text(with, "script",
                  READY
                  "n=$(head -n 1 | wc -c); echo \"{\\\"event\\\":\\\"result\\\",\\\"verdict\\\":"
                  "\\\"pass\\\",\\\"why\\\":\\\"$n\\\"}\"");
    struct tried t = step_try(&sent, "apply", with, &ask);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_true(strtol(t.why, NULL, 10) > LARGE);
    tried_fini(&t);
    free(pad);
}

static void a_far_end_that_reads_nothing_has_begun_nothing(void **state)
{
    (void)state;
    enum { LARGE = 1 << 20 }; /* more than a pipe holds */
    char *pad = dr_alloc(LARGE + 1, 1);
    memset(pad, 'x', LARGE);
    json_t *with = json_object();
    const struct step_ask ask = { .config = NULL };
    json_put_text(with, "pad", pad);
    json_put_text(with, "script", READY "exec 0</dev/null; exit 255");
    struct tried t = step_try(&sent, "apply", with, &ask);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "not begun"));
    tried_fini(&t);
    free(pad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_comes_back_whole_with_its_events),
        cmocka_unit_test(a_connection_that_fails_before_the_request_began_nothing),
        cmocka_unit_test(what_can_be_done_about_it_is_said),
        cmocka_unit_test(a_connection_that_is_lost_behind_the_request_is_unknown),
        cmocka_unit_test(a_result_counts_whatever_becomes_of_the_connection),
        cmocka_unit_test(the_time_limit_says_whether_it_had_begun),
        cmocka_unit_test(a_large_request_arrives_whole),
        cmocka_unit_test(a_far_end_that_reads_nothing_has_begun_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
