/*
 * What a drill reads by: the balancer's and the name server's own credentials for drills are the ones that are used,
 * and whether they can write is found out without writing. Against a real HAProxy with a socket of each
 * level, and a real PowerDNS behind an nginx that lets one key read only. Buckets are in tests/s3.sh.
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
#include "plugins/providers.h"
#include "tests/support/servers.h"
#include "tests/support/steps.h"

#define READ_KEY "only-reads"

static char dir[160], config[200];
static struct server web, pdns, front, haproxy;

/* The file of one case: lines below haproxy and powerdns. */
static void configure(const char *balancer, const char *names)
{
    struct buf text = { 0 };
    struct dr_err err = { 0 };
    buf_addf(&text,
             "sources: [{name: app, path: %s/app}]\n"
             "buckets: [{name: eu, url: \"file://%s/bucket\", region: eu-west-1}]\n"
             "providers:\n"
             "  haproxy: {socket: %s/admin.sock%s%s}\n"
             "  powerdns: {url: \"http://127.0.0.1:%d/\", key: full%s}\n"
             "secrets:\n  full: {file: %s/full}\n  reads: {file: %s/reads}\n"
             "  wrong: {file: %s/wrong}\n"
             "state_dir: %s/state\n",
             dir, dir, haproxy.dir, balancer[0] != '\0' ? ", drill_socket: " : "", balancer,
             front.port, names, dir, dir, dir, dir);
    assert_int_equal(fs_replace(dir, "dr.yaml", text.data, text.len, &err), DR_OK);
    buf_fini(&text);
}

static char *socket_of(const char *level)
{
    return dr_strf("%s/%s.sock", haproxy.dir, level);
}

/* PowerDNS itself has one key, which may everything. */
static bool start_front(void)
{
    DR_FREE char *proxy =
        dr_strf("location /api/ {\n set $key $http_x_api_key; set $as all;\n"
                " if ($http_x_api_key = \"" READ_KEY "\") { set $key \"" PDNS_KEY "\"; set $as "
                "$request_method; }\n"
                " if ($as ~ \"^(POST|PUT|PATCH|DELETE)$\") { return 403; }\n"
                " proxy_set_header X-API-Key $key; proxy_pass http://127.0.0.1:%d;\n}\n",
                pdns.admin);
    return nginx_start(&front, dir, "front", 0, proxy);
}

static int start(void **state)
{
    (void)state;
    static const char *const names[] = { "us-east-1", "eu-west-1" };
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    struct dr_err err = { 0 };
    snprintf(dir, sizeof(dir), "%s/test_rights.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir) || !nginx_start(&web, dir, "web", 0, NULL) || !pdns_start(&pdns, dir) ||
        !start_front())
        return -1;
    const int ports[] = { web.port, web.port };
    snprintf(config, sizeof(config), "%s/dr.yaml", dir);
    return haproxy_start(&haproxy, dir, names, ports, 2) &&
                   fs_replace(dir, "full", PDNS_KEY, strlen(PDNS_KEY), &err) == DR_OK &&
                   fs_replace(dir, "reads", READ_KEY, strlen(READ_KEY), &err) == DR_OK &&
                   fs_replace(dir, "wrong", "nobody", 6, &err) == DR_OK
               ? 0
               : -1;
}

static int stop(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    server_stop(&web);
    server_stop(&front);
    server_stop(&pdns);
    server_stop(&haproxy);
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

/* -- asking ------------------------------------------------------------------------------------ */

static struct tried lb(const char *verb, bool drill)
{
    const struct step_ask ask = { .config = config, .drill = drill };
    return step_try(&provider_haproxy, verb,
                    json_pack("{s:s,s:s}", "backend", "web", "to", "eu-west-1"), &ask);
}

static struct tried dns(const char *verb, bool drill)
{
    const struct step_ask ask = { .config = config, .drill = drill };
    json_t *with = json_pack("{s:s,s:s,s:i,s:[s]}", "zone", "example.test", "name",
                             "app.example.test", "ttl", 5000, "to", "127.0.0.9");
    return step_try(&provider_powerdns, verb, with, &ask);
}

static void assert_says(struct tried t, enum step_verdict verdict, const char *why)
{
    if (t.verdict != verdict || strstr(t.why, why) == NULL)
        fail_msg("verdict %d, wanted %d: '%s' is not in '%s'", (int)t.verdict, (int)verdict, why,
                 t.why);
    tried_fini(&t);
}

static struct tried ask_rights(void)
{
    const struct step_ask ask = { .config = config, .drill = true };
    struct tried t = step_try(&provider_drill_rights, "apply",
                              json_pack("{s:s,s:[]}", "object", "rehearsal-1", "buckets"), &ask);
    assert_int_equal(t.verdict, STEP_PASS);
    return t;
}

static const json_t *item_of(const struct tried *t, const char *what)
{
    const json_t *items = json_object_get(t->outputs, "items");
    for (size_t i = 0; i < json_array_size(items); i++)
        if (strcmp(tried_text(json_array_get(items, i), "what"), what) == 0)
            return json_array_get(items, i);
    fail_msg("no item says what became of %s", what);
    return NULL;
}

static void assert_right(const char *what, bool own, const char *writes, const char *why)
{
    struct tried t = ask_rights();
    const json_t *item = item_of(&t, what);
    assert_int_equal(json_is_true(json_object_get(item, "own")), own);
    assert_string_equal(tried_text(item, "writes"), writes);
    if (strstr(tried_text(item, "why"), why) == NULL)
        fail_msg("'%s' is not in '%s'", why, tried_text(item, "why"));
    tried_fini(&t);
}

/* -- facts ------------------------------------------------------------------------------------- */

static void a_drill_switches_nothing_by_a_socket_that_only_shows(void **state)
{
    (void)state;
    DR_FREE char *user = socket_of("user");
    configure(user, "");
    assert_says(lb("check", true), STEP_FAIL, "us-east-1 ready, eu-west-1 maint");
    assert_says(lb("apply", true), STEP_UNKNOWN, "ermission denied");
    assert_says(lb("check", false), STEP_FAIL, "us-east-1 ready, eu-west-1 maint");
    assert_right("haproxy", true, "refused", "ermission denied");
}

static void a_socket_that_can_set_states_is_found_out_without_setting_one(void **state)
{
    (void)state;
    DR_FREE char *admin = socket_of("admin");
    configure(admin, "");
    assert_right("haproxy", true, "accepted", "is let through");
    assert_says(lb("check", false), STEP_FAIL, "us-east-1 ready, eu-west-1 maint");
}

static void a_socket_that_nobody_answers_proves_nothing(void **state)
{
    (void)state;
    DR_FREE char *none = socket_of("none");
    configure(none, "");
    assert_right("haproxy", true, "unknown", "none.sock");
}

static void a_drill_changes_no_name_by_a_key_that_only_reads(void **state)
{
    (void)state;
    configure("", ", drill_key: reads");
    assert_says(dns("check", true), STEP_FAIL, "is 127.0.0.1, TTL 60s");
    assert_says(dns("apply", true), STEP_FAIL, "403");
    assert_says(dns("check", false), STEP_FAIL, "is 127.0.0.1, TTL 60s");
    assert_right("powerdns", true, "refused", "HTTP 403");
}

static void a_key_that_can_change_names_is_found_out_without_changing_one(void **state)
{
    (void)state;
    configure("", ", drill_key: full");
    assert_right("powerdns", true, "accepted", "HTTP 4");
    assert_says(dns("check", false), STEP_FAIL, "is 127.0.0.1, TTL 60s");
}

static void a_key_that_is_wrong_is_not_taken_for_one_that_only_reads(void **state)
{
    (void)state;
    configure("", ", drill_key: wrong");
    assert_says(dns("check", true), STEP_UNKNOWN, "refuses the key");
    assert_right("powerdns", true, "unknown", "cannot be read by the key: HTTP 401");
}

static void what_has_no_credentials_for_drills_is_read_by_the_usual_ones_and_not_tried(void **state)
{
    (void)state;
    configure("", "");
    assert_says(lb("check", true), STEP_FAIL, "us-east-1 ready, eu-west-1 maint");
    assert_says(dns("check", true), STEP_FAIL, "is 127.0.0.1, TTL 60s");
    assert_right("haproxy", false, "not tried", "the usual one");
    assert_right("powerdns", false, "not tried", "the usual one");
    assert_right("bucket", false, "not tried", "a directory has no credentials");
}

static void only_a_drill_is_told_and_nothing_else_is_taken_away(void **state)
{
    (void)state;
    configure("", "");
    const struct step_ask earnest = { .config = config },
                          drill = { .config = config, .drill = true };
    assert_says(step_try(&provider_drill_rights, "apply", json_object(), &earnest), STEP_FAIL,
                "only a drill");
    assert_says(step_try(&provider_drill_rights, "undo",
                         json_pack("{s:s,s:s}", "bucket", "eu", "object", "repository"), &drill),
                STEP_FAIL, "is no object that a drill puts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drill_switches_nothing_by_a_socket_that_only_shows),
        cmocka_unit_test(a_socket_that_can_set_states_is_found_out_without_setting_one),
        cmocka_unit_test(a_socket_that_nobody_answers_proves_nothing),
        cmocka_unit_test(a_drill_changes_no_name_by_a_key_that_only_reads),
        cmocka_unit_test(a_key_that_can_change_names_is_found_out_without_changing_one),
        cmocka_unit_test(a_key_that_is_wrong_is_not_taken_for_one_that_only_reads),
        cmocka_unit_test(
            what_has_no_credentials_for_drills_is_read_by_the_usual_ones_and_not_tried),
        cmocka_unit_test(only_a_drill_is_told_and_nothing_else_is_taken_away),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
