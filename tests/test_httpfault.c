/*
 * The HTTP server that misbehaves: what it does well is what S3 does, and each fault is what its name
 * says, with or without the effect. Runs under TSan.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/mem.h"
#include "tests/support/httpfault.h"
#include "tests/support/s3ask.h"

static struct httpfault *server;
static struct memory *bucket;
static struct buf reply;

static int set_up(void **state)
{
    (void)state;
    server = httpfault_start();
    bucket = httpfault_bucket(server, "bbb");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    httpfault_stop(server);
    buf_fini(&reply);
    return 0;
}

static int ask(const char *what, const char *header, const char *body)
{
    const struct s3ask a = { .endpoint = httpfault_url(server),
                             .access_key = "key",
                             .secret_key = "secret",
                             .header = header,
                             .body = body };
    buf_clear(&reply);
    return s3ask(&a, what, &reply);
}

static bool has(const char *name)
{
    uint64_t size;
    return memory_head(bucket, name, &size, NULL);
}

static void objects_are_kept_listed_and_removed(void **state)
{
    (void)state;
    assert_int_equal(ask("PUT /bbb/packs/a", NULL, "hello"), 200);
    assert_int_equal(ask("PUT /bbb/packs/a", "If-None-Match: *", "other"), 412);
    assert_int_equal(ask("GET /bbb/packs/a", NULL, NULL), 200);
    assert_string_equal(reply.data, "hello");
    assert_int_equal(ask("GET /bbb/packs/a", "Range: bytes=1-3", NULL), 206);
    assert_string_equal(reply.data, "ell");
    assert_int_equal(ask("GET /bbb/packs/a", "Range: bytes=5-6", NULL), 416);
    assert_int_equal(ask("HEAD /bbb/packs/a", NULL, NULL), 200);
    assert_int_equal(ask("GET /bbb/none", NULL, NULL), 404);
    assert_int_equal(ask("GET /other/none", NULL, NULL), 404);
    assert_non_null(strstr(reply.data, "NoSuchBucket"));
    assert_int_equal(ask("PUT /bbb/packs/b", NULL, ""), 200);
    assert_int_equal(ask("PUT /bbb/packs/c", NULL, "x"), 200);
    httpfault_be(server, &(struct httpfault_kind){ .page = 2 });
    assert_int_equal(ask("GET /bbb?list-type=2&prefix=packs%2F", NULL, NULL), 200);
    assert_non_null(strstr(reply.data, "<Key>packs/b</Key>"));
    assert_null(strstr(reply.data, "<Key>packs/c</Key>"));
    assert_non_null(strstr(reply.data, "<IsTruncated>true"));
    assert_non_null(strstr(reply.data, "<NextContinuationToken>packs/b<"));
    assert_int_equal(
        ask("GET /bbb?continuation-token=packs%2Fb&list-type=2&prefix=packs%2F", NULL, NULL), 200);
    assert_non_null(strstr(reply.data, "<Key>packs/c</Key>"));
    assert_non_null(strstr(reply.data, "<IsTruncated>false"));
    assert_int_equal(ask("POST /bbb?delete=", NULL,
                         "<Delete><Object><Key>packs/a</Key></Object>"
                         "<Object><Key>packs/c</Key></Object></Delete>"),
                     200);
    assert_int_equal(ask("DELETE /bbb/packs/b", NULL, NULL), 204);
    assert_false(has("packs/a") || has("packs/b") || has("packs/c"));
}

static void what_a_client_may_get_wrong_is_refused(void **state)
{
    (void)state;
    const struct s3ask unsigned_one = { .endpoint = httpfault_url(server) };
    assert_int_equal(s3ask(&unsigned_one, "GET /bbb/a", NULL), 403);
    static const struct {
        struct httpfault_kind kind;
        int status;
        const char *code;
    } rows[] = {
        { { .clock_offset_s = 1000 }, 403, "RequestTimeTooSkewed" },
        { { .clock_offset_s = -1000 }, 403, "RequestTimeTooSkewed" },
        { { .access_key = "another" }, 403, "InvalidAccessKeyId" },
        { { .wrong_secret = true }, 403, "SignatureDoesNotMatch" },
        { { .region = "eu-west-1" }, 400, "<Region>eu-west-1</Region>" },
        { { .token = "a" }, 403, "InvalidToken" },
        { { .clock_offset_s = 800 }, 404, "NoSuchKey" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        httpfault_be(server, &rows[i].kind);
        assert_int_equal(ask("GET /bbb/a", NULL, NULL), rows[i].status);
        assert_non_null(strstr(reply.data, rows[i].code));
    }
    httpfault_be(server, &(struct httpfault_kind){ .no_conditions = true });
    assert_int_equal(ask("PUT /bbb/a", "If-None-Match: *", "x"), 501);
    httpfault_be(server, &(struct httpfault_kind){ .conditions_ignored = true });
    assert_int_equal(ask("PUT /bbb/a", "If-None-Match: *", "x"), 200);
    assert_int_equal(ask("PUT /bbb/a", "If-None-Match: *", "y"), 200);
}

static void each_fault_is_what_it_is_called(void **state)
{
    (void)state;
    static const struct {
        enum httpfault_how how;
        const char *what;
        int status;
        bool effect;
    } rows[] = {
        { HTTPFAULT_STATUS, "PUT /bbb/new", 503, false },
        { HTTPFAULT_RESET, "PUT /bbb/new", -1, false },
        { HTTPFAULT_LOST, "PUT /bbb/new", -1, true },
        { HTTPFAULT_GARBAGE, "PUT /bbb/new", -1, false },
        { HTTPFAULT_TWICE, "PUT /bbb/new", 412, true },
        { HTTPFAULT_REDIRECT, "PUT /bbb/new", 301, false },
        { HTTPFAULT_CUT, "GET /bbb/old", -1, false },
        { HTTPFAULT_LONGER, "GET /bbb/old", -1, false },
        { HTTPFAULT_SHORTER, "GET /bbb/old", 200, false },
        { HTTPFAULT_FLIP, "GET /bbb/old", 200, false },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        bool get = rows[i].what[0] == 'G';
        memory_empty(bucket);
        assert_int_equal(ask("PUT /bbb/old", NULL, "0123456789"), 200);
        unsigned before = httpfault_hits(server);
        httpfault_plan(server, &(struct httpfault_plan){ .how = rows[i].how,
                                                         .method = get ? "GET" : "PUT",
                                                         .status = 503,
                                                         .at = 4,
                                                         .region = "eu-west-1" });
        const char *once = get ? NULL : "If-None-Match: *";
        assert_int_equal(ask(rows[i].what, once, get ? NULL : "x"), rows[i].status);
        assert_int_equal(has("new"), rows[i].effect);
        assert_int_equal(httpfault_hits(server), before + 1);
        if (rows[i].how == HTTPFAULT_FLIP)
            assert_int_equal(reply.data[4], '4' ^ 0x20);
        if (get && rows[i].status == -1)
            assert_true(reply.len == 4 || reply.len == 10);
        if (rows[i].how == HTTPFAULT_SHORTER)
            assert_int_equal(reply.len, 6);
        assert_int_equal(ask("GET /bbb/old", NULL, NULL), 200); /* only once */
        httpfault_clear(server);
    }
}

static void plans_count_what_they_match(void **state)
{
    (void)state;
    httpfault_plan(server, &(struct httpfault_plan){ .how = HTTPFAULT_STATUS,
                                                     .status = 500,
                                                     .method = "PUT",
                                                     .part = "/packs/",
                                                     .nth = 2,
                                                     .times = 2 });
    static const int expected[] = { 200, 500, 500, 200 };
    for (size_t i = 0; i < DR_ARRAY_LEN(expected); i++) {
        assert_int_equal(ask("PUT /bbb/packs/a", NULL, "x"), expected[i]);
        assert_int_equal(ask("PUT /bbb/gc/a", NULL, "x"), 200);
        assert_int_equal(ask("GET /bbb/gc/a", NULL, NULL), 200);
    }
    struct httpfault_entry e;
    assert_int_equal(httpfault_count(server, NULL, NULL), 12);
    assert_int_equal(httpfault_count(server, "PUT", "/packs/"), 4);
    assert_true(httpfault_entry(server, 3, &e));
    assert_string_equal(e.path, "/bbb/packs/a");
    assert_int_equal(e.status, 500);
    assert_int_equal(e.in, 1);
    httpfault_forget(server);
    assert_int_equal(httpfault_count(server, NULL, NULL), 0);
}

static void *ask_and_wait(void *arg)
{
    const struct s3ask a = { .endpoint = httpfault_url(server),
                             .access_key = "key",
                             .secret_key = "secret" };
    *(int *)arg = s3ask(&a, "GET /bbb/a", NULL);
    return NULL;
}

static void stalled_answer_comes_never(void **state)
{
    (void)state;
    int status = 0;
    pthread_t thread;
    httpfault_plan(server, &(struct httpfault_plan){ .how = HTTPFAULT_STALL });
    assert_int_equal(pthread_create(&thread, NULL, ask_and_wait, &status), 0);
    while (httpfault_count(server, NULL, NULL) == 0) {
    }
    httpfault_clear(server);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(status, -1);
}

static void virtual_host_names_the_bucket(void **state)
{
    (void)state;
    DR_FREE char *url = dr_strf("http://bbb.s3.localhost%s", strrchr(httpfault_url(server), ':'));
    const struct s3ask a = {
        .endpoint = url, .access_key = "key", .secret_key = "secret", .body = "x"
    };
    assert_int_equal(s3ask(&a, "PUT /packs/a", NULL), 200);
    assert_true(has("packs/a"));
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FRESH(objects_are_kept_listed_and_removed), FRESH(what_a_client_may_get_wrong_is_refused),
        FRESH(each_fault_is_what_it_is_called),     FRESH(plans_count_what_they_match),
        FRESH(stalled_answer_comes_never),          FRESH(virtual_host_names_the_bucket),
    };
    return cmocka_run_group_tests_name("httpfault", tests, NULL, NULL);
}
