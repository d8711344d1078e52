/*
 * Providers that speak to servers: http.check, dns.check, dns.ttl, haproxy, powerdns, against a real
 * nginx, HAProxy and PowerDNS. What they change is looked at from outside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/net/http.h"
#include "dr/net/resolve.h"
#include "plugins/providers.h"
#include "tests/support/servers.h"
#include "tests/support/steps.h"

static char dir[160], config[200], resolver[32], dead[32];
static struct server us, eu, pdns, haproxy;
static const char *const regions[] = { "us-east-1", "eu-west-1" };

static int write_config(void)
{
    char text[4096], socket_path[256];
    struct dr_err err = { 0 };
    snprintf(socket_path, sizeof(socket_path), "%s/admin.sock", haproxy.dir);
    int n = snprintf(
        text, sizeof(text),
        "disaster_recovery:\n"
        "  strategy: {type: pilot_light, primary_region: us-east-1,\n"
        "    secondary_regions: [{name: eu-west-1, role: standby, priority: 1}]}\n"
        "  backup_policy:\n    full_backup: {frequency: daily, retention: 30d}\n"
        "sites:\n"
        "  - {name: us-1, region: us-east-1, reach: local, address: \"127.0.0.1:%d\"}\n"
        "  - {name: eu-west-1, region: eu-west-1, reach: local, address: \"127.0.0.1:%d\"}\n"
        "sources:\n  - {name: app, path: %s/app, class: data}\n"
        "buckets:\n  - {name: eu, url: \"file://%s/bucket\", region: eu-west-1}\n"
        "providers:\n"
        "  haproxy: {socket: %s}\n"
        "  powerdns: {url: \"http://127.0.0.1:%d/\", key: pdns}\n"
        "  dns: {resolvers: [\"%s\"]}\n"
        "secrets:\n  pdns: {file: %s/key}\n"
        "state_dir: %s/state\n",
        us.port, eu.port, dir, dir, socket_path, pdns.admin, resolver, dir, dir);
    if (fs_replace(dir, "key", PDNS_KEY "\n", strlen(PDNS_KEY) + 1, &err) != DR_OK ||
        fs_replace(dir, "dr.yaml", text, (size_t)n, &err) != DR_OK)
        return -1;
    snprintf(config, sizeof(config), "%s/dr.yaml", dir);
    return 0;
}

static int start(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    snprintf(dir, sizeof(dir), "%s/test_plugins.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir) || !nginx_start(&us, dir, "us", 0, NULL) ||
        !nginx_start(&eu, dir, "eu", 0, NULL) || !pdns_start(&pdns, dir))
        return -1;
    const int ports[] = { us.port, eu.port };
    if (!haproxy_start(&haproxy, dir, regions, ports, 2))
        return -1;
    snprintf(resolver, sizeof(resolver), "127.0.0.1:%d", pdns.port);
    snprintf(dead, sizeof(dead), "127.0.0.1:%d", server_free_port());
    return write_config();
}

static int stop(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    server_stop(&us);
    server_stop(&eu);
    server_stop(&pdns);
    server_stop(&haproxy);
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

/* -- http.check ------------------------------------------------------------------------------- */

static struct tried http(const char *path, int port, const char *more, const char *dark)
{
    char url[128];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
    json_t *with = more ? json_loads(more, 0, NULL) : json_object();
    json_put_text(with, "url", url);
    struct step_ask ask = { .config = config, .dark = dark };
    return step_try(&provider_http_check, "check", with, &ask);
}

static void http_check_tells_the_status_line_and_what_was_wanted(void **state)
{
    (void)state;
    const struct {
        const char *path, *more;
        enum step_verdict verdict;
        const char *why;
    } rows[] = {
        { "/health", NULL, STEP_PASS, ": HTTP/1.1 200 OK" },
        { "/health", "{\"contains\":\"ok us\"}", STEP_PASS, ": HTTP/1.1 200 OK" },
        { "/health", "{\"contains\":\"ok eu\"}", STEP_FAIL, "does not contain 'ok eu'" },
        { "/status/503", NULL, STEP_FAIL, "503 Service Temporarily Unavailable, wanted 200" },
        { "/status/503", "{\"status\":503}", STEP_PASS, "503 Service Temporarily Unavailable" },
        { "/moved", NULL, STEP_FAIL, "301 Moved Permanently, wanted 200" },
        { "/nothing", NULL, STEP_FAIL, "404 Not Found, wanted 200" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct tried t = http(rows[i].path, us.port, rows[i].more, NULL);
        assert_int_equal(t.verdict, rows[i].verdict);
        assert_non_null(strstr(t.why, rows[i].why));
        tried_fini(&t);
    }
}

static void http_check_of_what_cannot_be_reached_fails(void **state)
{
    (void)state;
    struct tried t = http("/", server_free_port(), NULL, NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "Couldn't connect to server"));
    tried_fini(&t);
    t = http("/health", us.port, NULL, "us-east-1");
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "refused: us-east-1 is dark"));
    assert_int_equal(tried_int(t.evidence, "refused_connects"), 1);
    assert_int_equal(t.refused, 1);
    tried_fini(&t);
    t = http("/health", eu.port, NULL, "us-east-1");
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
}

static void http_check_of_no_url_is_unknown(void **state)
{
    (void)state;
    struct step_ask ask = { 0 };
    json_t *with = json_pack("{s:s}", "url", "gopher://example.com/");
    struct tried t = step_try(&provider_http_check, "check", with, &ask);
    assert_int_equal(t.verdict, STEP_UNKNOWN);
    tried_fini(&t);
    ask.config = "/nonexistent/dr.yaml";
    with = json_pack("{s:s}", "url", "http://127.0.0.1:1/");
    t = step_try(&provider_http_check, "check", with, &ask);
    assert_int_equal(t.verdict, STEP_UNKNOWN);
    tried_fini(&t);
}

static void http_check_asks_the_given_name_server(void **state)
{
    (void)state;
    struct step_ask ask = { .config = config };
    char url[96];
    snprintf(url, sizeof(url), "http://app.example.test:%d/health", us.port);
    json_t *with = json_pack("{s:s,s:s}", "url", url, "resolver", resolver);
    struct tried t = step_try(&provider_http_check, "check", with, &ask);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
    with = json_pack("{s:s,s:s}", "url", url, "resolver", dead);
    t = step_try(&provider_http_check, "check", with, &ask);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "does not answer"));
    tried_fini(&t);
}

/* -- dns.check, dns.ttl ------------------------------------------------------------------------ */

static void dns_check_counts_the_resolvers_that_agree(void **state)
{
    (void)state;
    const struct {
        const char *want, *other; /* other: a second resolver */
        double share;
        enum step_verdict verdict;
        const char *why;
    } rows[] = {
        { "127.0.0.1", NULL, 1.0, STEP_PASS, "is 127.0.0.1 at 1 of 1 resolvers" },
        { "127.0.0.9", NULL, 1.0, STEP_FAIL, " says 127.0.0.1" },
        { "127.0.0.1", dead, 1.0, STEP_FAIL, "at 1 of 2 resolvers, wanted 100%" },
        { "127.0.0.1", dead, 0.5, STEP_PASS, "at 1 of 2 resolvers" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        json_t *with = json_pack("{s:s,s:[s],s:f}", "name", "app.example.test", "want",
                                 rows[i].want, "share", rows[i].share);
        if (rows[i].other)
            json_put(with, "resolvers", json_pack("[s,s]", resolver, rows[i].other));
        struct step_ask ask = { .config = config };
        struct tried t = step_try(&provider_dns_check, "check", with, &ask);
        assert_int_equal(t.verdict, rows[i].verdict);
        assert_non_null(strstr(t.why, rows[i].why));
        tried_fini(&t);
    }
}

static void dns_check_that_nobody_answers_is_unknown(void **state)
{
    (void)state;
    struct step_ask ask = { .config = config };
    json_t *with = json_pack("{s:s,s:[s],s:[s]}", "name", "app.example.test", "want", "127.0.0.1",
                             "resolvers", dead);
    struct tried t = step_try(&provider_dns_check, "check", with, &ask);
    assert_int_equal(t.verdict, STEP_UNKNOWN);
    assert_non_null(strstr(t.why, "no resolver answers"));
    tried_fini(&t);
}

static void dns_check_does_not_ask_resolvers_in_the_dark(void **state)
{
    (void)state;
    char us_address[32];
    snprintf(us_address, sizeof(us_address), "127.0.0.1:%d", us.port);
    const struct {
        const char *first;
        enum step_verdict verdict;
        int64_t asked;
    } rows[] = { { resolver, STEP_PASS, 1 }, { us_address, STEP_FAIL, 0 } };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct step_ask ask = { .config = config, .dark = "us-east-1" };
        json_t *with = json_pack("{s:s,s:[s],s:[s,s]}", "name", "app.example.test", "want",
                                 "127.0.0.1", "resolvers", rows[i].first, us_address);
        struct tried t = step_try(&provider_dns_check, "check", with, &ask);
        assert_int_equal(t.verdict, rows[i].verdict);
        assert_int_equal(tried_int(t.evidence, "asked"), rows[i].asked);
        assert_true(tried_int(t.evidence, "refused_connects") > 0);
        tried_fini(&t);
    }
}

static void dns_ttl_compares_with_the_most_that_is_wanted(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum step_verdict verdict;
        const char *why;
    } rows[] = {
        { "app.example.test", STEP_PASS, "app.example.test has TTL 1m" },
        { "www.example.test", STEP_FAIL, "www.example.test has TTL 5m, wanted at most 1m" },
        { "nobody.example.test", STEP_FAIL, "there is no name" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct step_ask ask = { .config = config };
        json_t *with = json_pack("{s:s,s:i}", "name", rows[i].name, "max", 60000);
        struct tried t = step_try(&provider_dns_ttl, "check", with, &ask);
        assert_int_equal(t.verdict, rows[i].verdict);
        assert_non_null(strstr(t.why, rows[i].why));
        tried_fini(&t);
    }
}

/* -- haproxy ---------------------------------------------------------------------------------- */

static struct tried lb(const char *verb, const char *to, const json_t *former)
{
    struct step_ask ask = { .config = config, .former = former };
    return step_try(&provider_haproxy, verb, json_pack("{s:s,s:s}", "backend", "web", "to", to),
                    &ask);
}

/* Who answers at the front, until it is 'name' (a switch is seen at once, a drain is not). */
static void assert_front_is(const char *name)
{
    char want[32], body[64] = "";
    snprintf(want, sizeof(want), "ok %s", name);
    assert_int_equal(server_get(haproxy.port, "/health", body, sizeof(body)), 200);
    assert_string_equal(body, want);
}

/* One command to HAProxy, past our provider. */
static void admin(const char *line)
{
    int fd = -1;
    struct dr_err err = { 0 };
    struct buf answer = { 0 };
    assert_int_equal(
        gate_connect(NULL, server_at(haproxy.admin), clock_boot_ms() + 5000, &fd, &err), DR_OK);
    assert_int_equal(gate_ask(fd, line, 65536, clock_boot_ms() + 5000, &answer, &err), DR_OK);
    close(fd);
    buf_fini(&answer);
}

static void haproxy_switch_is_seen_through_the_front_and_undone(void **state)
{
    (void)state;
    assert_front_is("us");
    struct tried before = lb("check", "eu-west-1", NULL);
    assert_int_equal(before.verdict, STEP_FAIL);
    assert_string_equal(before.why, "backend web: us-east-1 ready, eu-west-1 maint");
    assert_non_null(before.former);

    struct tried t = lb("apply", "eu-west-1", before.former);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(t.why, "backend web: us-east-1 maint, eu-west-1 ready");
    assert_null(t.former); /* kept already */
    tried_fini(&t);
    assert_front_is("eu");

    t = lb("apply", "eu-west-1", before.former); /* again: the same */
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
    t = lb("check", "eu-west-1", NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);

    t = lb("undo", "eu-west-1", before.former);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(t.why, "backend web as before: us-east-1 ready, eu-west-1 maint");
    tried_fini(&t);
    assert_front_is("us");
    tried_fini(&before);
}

static void haproxy_undo_restores_each_state_by_its_name(void **state)
{
    (void)state;
    admin("set server web/us-east-1 state drain\n");
    struct tried t = lb("apply", "us-1", NULL); /* by the site's name */
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(t.why, "backend web: us-east-1 ready, eu-west-1 maint");
    assert_string_equal(tried_text(json_object_get(t.former, "servers"), "us-east-1"), "drain");
    struct tried back = lb("undo", "us-1", t.former);
    assert_int_equal(back.verdict, STEP_PASS);
    assert_string_equal(back.why, "backend web as before: us-east-1 drain, eu-west-1 maint");
    tried_fini(&back);
    tried_fini(&t);
    admin("set server web/us-east-1 state ready\n");
    t = lb("undo", "us-1", NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(t.why, "nothing was changed");
    tried_fini(&t);
}

static void haproxy_says_what_is_not_there(void **state)
{
    (void)state;
    struct step_ask ask = { .config = config };
    struct tried t = lb("apply", "ap-southeast-1", NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "backend 'web' has no server 'ap-southeast-1': it has us-east-1, "
                               "eu-west-1");
    tried_fini(&t);
    t = step_try(&provider_haproxy, "apply",
                 json_pack("{s:s,s:s}", "backend", "shop", "to", "eu-west-1"), &ask);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "backend 'shop': Can't find backend."));
    tried_fini(&t);
    t = step_try(&provider_haproxy, "apply",
                 json_pack("{s:s,s:s,s:s}", "backend", "web", "to", "eu-west-1", "socket", dead),
                 &ask);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "Connection refused"));
    tried_fini(&t);
    t = step_try(&provider_haproxy, "check",
                 json_pack("{s:s,s:s,s:s}", "backend", "web", "to", "eu-west-1", "socket", dead),
                 &ask);
    assert_int_equal(t.verdict, STEP_UNKNOWN);
    tried_fini(&t);
    t = step_try(&provider_haproxy, "apply",
                 json_pack("{s:s,s:s}", "backend", "web; shutdown sessions server web/us-east-1",
                           "to", "eu-west-1"),
                 &ask);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "is no name of HAProxy"));
    tried_fini(&t);
    assert_front_is("us");
}

static void haproxy_does_not_send_traffic_into_the_dark(void **state)
{
    (void)state;
    for (int by_site = 0; by_site < 2; by_site++) {
        struct step_ask ask = { .config = config, .dark = "us-east-1" };
        struct tried t = step_try(
            &provider_haproxy, "apply",
            json_pack("{s:s,s:s}", "backend", "web", "to", by_site ? "us-1" : "us-east-1"), &ask);
        assert_int_equal(t.verdict, STEP_FAIL);
        assert_string_equal(t.why, "refused: us-east-1 is dark");
        tried_fini(&t);
    }
}

static void haproxy_answers_by_tcp_as_well(void **state)
{
    (void)state;
    struct step_ask ask = { .config = config };
    json_t *with = json_pack("{s:s,s:s,s:s}", "backend", "web", "to", "us-east-1", "socket",
                             server_at(haproxy.admin));
    struct tried t = step_try(&provider_haproxy, "check", with, &ask);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
}

/* -- powerdns --------------------------------------------------------------------------------- */

static struct tried dns(const char *verb, const char *name, const char *to, const json_t *former)
{
    struct step_ask ask = { .config = config, .former = former };
    json_t *with = json_pack("{s:s,s:s,s:i,s:[s]}", "zone", "example.test", "name", name, "ttl",
                             5000, "to", to);
    return step_try(&provider_powerdns, verb, with, &ask);
}

static void assert_world_sees(const char *name, const char *value, int64_t ttl_s)
{
    struct resolve_options options = { .server = resolver, .deadline_ms = clock_boot_ms() + 5000 };
    struct resolve_answer answer = { 0 };
    struct dr_err err = { 0 };
    enum dr_rc rc = resolve_query(name, "A", &options, &answer, &err);
    if (!value) {
        assert_int_equal(rc, DR_E_NOTFOUND);
        return;
    }
    assert_int_equal(rc, DR_OK);
    assert_int_equal(answer.values.count, 1);
    assert_string_equal(answer.values.items[0], value);
    assert_int_equal(answer.ttl_s, ttl_s);
    resolve_answer_fini(&answer);
}

static void powerdns_change_is_seen_by_a_query_and_undone(void **state)
{
    (void)state;
    struct tried before = dns("check", "app.example.test", "127.0.0.2", NULL);
    assert_int_equal(before.verdict, STEP_FAIL);
    assert_string_equal(before.why, "app.example.test. is 127.0.0.1, TTL 60s");
    assert_int_equal(tried_int(before.former, "ttl_s"), 60);

    struct tried t = dns("apply", "app.example.test", "127.0.0.2", before.former);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(t.why, "app.example.test. is 127.0.0.2, TTL 5s");
    tried_fini(&t);
    assert_world_sees("app.example.test", "127.0.0.2", 5);
    t = dns("check", "app.example.test", "127.0.0.2", NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);

    t = dns("undo", "app.example.test", "127.0.0.2", before.former);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(t.why, "app.example.test. as before: is 127.0.0.1, TTL 60s");
    tried_fini(&t);
    assert_world_sees("app.example.test", "127.0.0.1", 60);
    tried_fini(&before);
}

static void powerdns_undo_deletes_a_name_that_was_not_there(void **state)
{
    (void)state;
    struct tried made = dns("apply", "new.example.test", "127.0.0.3", NULL);
    assert_int_equal(made.verdict, STEP_PASS);
    assert_world_sees("new.example.test", "127.0.0.3", 5);
    struct tried t = dns("undo", "new.example.test", "127.0.0.3", made.former);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_world_sees("new.example.test", NULL, 0);
    tried_fini(&t);
    tried_fini(&made);
}

static void powerdns_leaves_alone_what_somebody_else_changed(void **state)
{
    (void)state;
    struct tried before = dns("check", "app.example.test", "127.0.0.2", NULL);
    struct tried other = dns("apply", "app.example.test", "127.0.0.7", NULL);
    assert_int_equal(other.verdict, STEP_PASS);
    static const char *const verbs[] = { "apply", "undo" };
    for (size_t i = 0; i < 2; i++) {
        struct tried t = dns(verbs[i], "app.example.test", "127.0.0.2", before.former);
        assert_int_equal(t.verdict, STEP_FAIL);
        assert_non_null(strstr(t.why, "is neither the former (127.0.0.1, TTL 60s) nor ours"));
        tried_fini(&t);
        assert_world_sees("app.example.test", "127.0.0.7", 5);
    }
    struct tried t = dns("undo", "app.example.test", "127.0.0.7", other.former);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
    tried_fini(&other);
    tried_fini(&before);
}

static void powerdns_says_what_is_wrong(void **state)
{
    (void)state;
    char api[64], closed[64];
    snprintf(api, sizeof(api), "http://127.0.0.1:%d", pdns.admin);
    snprintf(closed, sizeof(closed), "http://%s", dead);
    const struct {
        const char *zone, *name, *to, *url, *key, *why;
    } rows[] = {
        { "example.test", "app.example.test", "127.0.0.2", api, "wrong", "refuses the key" },
        { "other.test", "app.other.test", "127.0.0.2", api, PDNS_KEY, "zone 'other.test.'" },
        { "example.test", "app.other.test", "127.0.0.2", api, PDNS_KEY, "out of zone" },
        { "example.test", "app.example.test", "no address", api, PDNS_KEY, "422" },
        { "example.test", "app.example.test", "127.0.0.2", closed, PDNS_KEY, "connect" },
        { "example.test/../..", "app.example.test", "127.0.0.2", api, PDNS_KEY, "no DNS name" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct step_ask ask = { .config = config };
        json_t *with =
            json_pack("{s:s,s:s,s:i,s:[s],s:s,s:s}", "zone", rows[i].zone, "name", rows[i].name,
                      "ttl", 5000, "to", rows[i].to, "url", rows[i].url, "key", rows[i].key);
        struct tried t = step_try(&provider_powerdns, "apply", with, &ask);
        assert_int_equal(t.verdict, STEP_FAIL);
        assert_non_null(strstr(t.why, rows[i].why));
        tried_fini(&t);
    }
    assert_world_sees("app.example.test", "127.0.0.1", 60);
}

static void powerdns_in_the_dark_is_not_asked(void **state)
{
    (void)state;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", us.port);
    static const char *const verbs[] = { "check", "apply" };
    for (size_t i = 0; i < DR_ARRAY_LEN(verbs); i++) {
        struct step_ask ask = { .config = config, .dark = "us-east-1" };
        json_t *with = json_pack("{s:s,s:s,s:[s],s:s}", "zone", "example.test", "name",
                                 "app.example.test", "to", "127.0.0.2", "url", url);
        struct tried t = step_try(&provider_powerdns, verbs[i], with, &ask);
        assert_int_equal(t.verdict, STEP_FAIL);
        assert_non_null(strstr(t.why, "refused: us-east-1 is dark"));
        tried_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_check_tells_the_status_line_and_what_was_wanted),
        cmocka_unit_test(http_check_of_what_cannot_be_reached_fails),
        cmocka_unit_test(http_check_of_no_url_is_unknown),
        cmocka_unit_test(http_check_asks_the_given_name_server),
        cmocka_unit_test(dns_check_counts_the_resolvers_that_agree),
        cmocka_unit_test(dns_check_that_nobody_answers_is_unknown),
        cmocka_unit_test(dns_check_does_not_ask_resolvers_in_the_dark),
        cmocka_unit_test(dns_ttl_compares_with_the_most_that_is_wanted),
        cmocka_unit_test(haproxy_switch_is_seen_through_the_front_and_undone),
        cmocka_unit_test(haproxy_undo_restores_each_state_by_its_name),
        cmocka_unit_test(haproxy_says_what_is_not_there),
        cmocka_unit_test(haproxy_does_not_send_traffic_into_the_dark),
        cmocka_unit_test(haproxy_answers_by_tcp_as_well),
        cmocka_unit_test(powerdns_change_is_seen_by_a_query_and_undone),
        cmocka_unit_test(powerdns_undo_deletes_a_name_that_was_not_there),
        cmocka_unit_test(powerdns_leaves_alone_what_somebody_else_changed),
        cmocka_unit_test(powerdns_says_what_is_wrong),
        cmocka_unit_test(powerdns_in_the_dark_is_not_asked),
    };
    return cmocka_run_group_tests_name("plugins_net", tests, start, stop);
}
