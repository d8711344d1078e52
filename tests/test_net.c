/*
 * Net: addresses read well, dark regions are refused and counted, HTTP and DNS say what they saw.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/sys.h"
#include "dr/net/http.h"
#include "dr/net/resolve.h"
#include "tests/support/certificate.h"
#include "tests/support/servers.h"

static char dir[160], cert[200], key[200];
static struct server nginx, pdns;
static int tls_port;

static int start(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    snprintf(dir, sizeof(dir), "%s/test_net.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    char conf[640];
    tls_port = server_free_port();
    snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
    snprintf(key, sizeof(key), "%s/key.pem", dir);
    if (!certificate_make("IP:127.0.0.1", cert, key))
        return -1;
    snprintf(conf, sizeof(conf),
             "listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s;", tls_port, cert,
             key);
    bool up = nginx_start(&nginx, dir, "us", 0, conf) && pdns_start(&pdns, dir);
    return up ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    server_stop(&nginx);
    server_stop(&pdns);
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

static int64_t soon(void)
{
    return clock_boot_ms() + 10000;
}

static void addresses_are_read_and_printed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed;
    } good[] = {
        { "127.0.0.1:5300", "127.0.0.1:5300" },
        { "10.0.0.9", "10.0.0.9:53" },
        { "[::1]:54", "[::1]:54" },
        { "[::1]", "[::1]:53" },
        { "2001:db8::5", "[2001:db8::5]:53" },
        { "/run/haproxy.sock", "/run/haproxy.sock" },
    };
    static const char *const bad[] = { "",           "example.com",  "1.2.3.4:",      "1.2.3.4:x",
                                       "[::1",       "[::1]53",      "1.2.3.4:65536", "1.2.3",
                                       "1.2.3.4:5x", "[127.0.0.1]x", "localhost:53" };
    for (size_t i = 0; i < DR_ARRAY_LEN(good); i++) {
        struct net_addr addr;
        char text[NET_ADDR_TEXT_MAX];
        assert_true(net_addr_parse(good[i].text, 53, &addr));
        assert_string_equal(net_addr_print((struct sockaddr *)&addr.sa, text), good[i].printed);
    }
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        struct net_addr addr;
        assert_false(net_addr_parse(bad[i], 53, &addr));
    }
}

/* The host part is copied into a buffer of fixed size: nothing that long is an address. */
static void no_length_of_an_address_is_too_long_to_be_refused(void **state)
{
    (void)state;
    char text[2 * INET6_ADDRSTRLEN];
    for (size_t len = 20; len < sizeof(text); len++) {
        struct net_addr addr;
        memset(text, '1', len);
        text[len] = '\0';
        assert_false(net_addr_parse(text, 53, &addr));
        memset(text, ':', len);
        assert_false(net_addr_parse(text, 53, &addr));
        text[0] = '[';
        text[len - 1] = ']';
        assert_false(net_addr_parse(text, 53, &addr));
    }
    struct net_addr addr;
    char path[200];
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[sizeof(((struct sockaddr_un *)0)->sun_path) - 1] = '\0';
    assert_true(net_addr_parse(path, 0, &addr));
    path[sizeof(((struct sockaddr_un *)0)->sun_path) - 1] = 'x';
    path[sizeof(((struct sockaddr_un *)0)->sun_path)] = '\0';
    assert_false(net_addr_parse(path, 0, &addr));
}

static void gate_refuses_a_dark_host_on_every_port_and_a_dark_port_on_its_own(void **state)
{
    (void)state;
    DR_CLEANUP(gate_free_ptr) struct gate *g = gate_new();
    gate_dark(g, "us-east-1", "10.1.0.5");
    gate_dark(g, "us-east-1", "127.0.0.1:8081");
    gate_dark(g, "us-east-1", "us.example.com");
    static const struct {
        const char *to;
        enum dr_rc rc;
    } rows[] = {
        { "10.1.0.5:80", DR_E_REFUSED },
        { "10.1.0.5:22", DR_E_REFUSED },
        { "[::ffff:10.1.0.5]:80", DR_E_REFUSED },
        { "127.0.0.1:8081", DR_E_REFUSED },
        { "127.0.0.1:8082", DR_OK },
        { "10.1.0.6:80", DR_OK },
        { "[::1]:8081", DR_OK },
        { "/run/x.sock", DR_OK },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct net_addr addr;
        struct dr_err err = { 0 };
        assert_true(net_addr_parse(rows[i].to, 0, &addr));
        assert_int_equal(gate_pass(g, (struct sockaddr *)&addr.sa, &err), rows[i].rc);
    }
    struct dr_err err = { 0 };
    assert_int_equal(gate_pass_name(g, "US.example.com.", &err), DR_E_REFUSED);
    assert_string_equal(err.msg, "refused: us-east-1 is dark (US.example.com.)");
    assert_int_equal(gate_pass_name(g, "eu.example.com", &err), DR_OK);
    assert_int_equal(gate_refused(g), 5);
    assert_int_equal(gate_refused(NULL), 0);
}

static enum dr_rc ask(const char *path, struct gate *g, struct http_reply *reply,
                      struct dr_err *err)
{
    char url[128];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", nginx.port, path);
    struct http_request request = { .url = url, .gate = g, .deadline_ms = soon() };
    return http_do(&request, reply, err);
}

static void http_gives_status_line_and_body(void **state)
{
    (void)state;
    struct http_reply reply = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(ask("/health", NULL, &reply, &err), DR_OK);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.line, "HTTP/1.1 200 OK");
    assert_string_equal(reply.body.data, "ok us");
    assert_true(reply.sent);
    http_reply_fini(&reply);
    reply = (struct http_reply){ 0 };
    assert_int_equal(ask("/status/503", NULL, &reply, &err), DR_OK);
    assert_string_equal(reply.line, "HTTP/1.1 503 Service Temporarily Unavailable");
    http_reply_fini(&reply);
    reply = (struct http_reply){ 0 };
    assert_int_equal(ask("/moved", NULL, &reply, &err), DR_OK);
    assert_int_equal(reply.status, 301);
    http_reply_fini(&reply);
}

static void http_to_a_dark_region_is_refused_before_any_byte(void **state)
{
    (void)state;
    DR_CLEANUP(gate_free_ptr) struct gate *g = gate_new();
    gate_dark(g, "us-east-1", server_at(nginx.port));
    struct http_reply reply = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(ask("/health", g, &reply, &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "refused: us-east-1 is dark (127.0.0.1:"));
    assert_false(reply.sent);
    assert_int_equal(gate_refused(g), 1);
    http_reply_fini(&reply);
}

static void http_refuses_what_is_no_web_address(void **state)
{
    (void)state;
    static const char *const bad[] = { "file:///etc/passwd", "ftp://127.0.0.1/", "", "http://" };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        struct http_request request = { .url = bad[i], .deadline_ms = soon() };
        struct http_reply reply = { 0 };
        struct dr_err err = { 0 };
        assert_int_equal(http_do(&request, &reply, &err), DR_E_USAGE);
        http_reply_fini(&reply);
    }
}

static void http_tells_a_closed_port_from_a_silent_server(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", server_free_port());
    struct http_request closed = { .url = url, .deadline_ms = soon() };
    struct http_reply reply = { 0 };
    assert_int_equal(http_do(&closed, &reply, &err), DR_E_TRANSIENT);
    assert_non_null(strstr(err.msg, "Couldn't connect"));
    assert_false(reply.sent);
    http_reply_fini(&reply);

    /* Listens, never accepts: the kernel completes the handshake, and nothing answers. */
    DR_CLEANUP(dr_close_fd) int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(in.sin_port));
    struct http_request silent = { .url = url, .deadline_ms = clock_boot_ms() + 200 };
    reply = (struct http_reply){ 0 };
    assert_int_equal(http_do(&silent, &reply, &err), DR_E_TIMEOUT);
    assert_true(reply.sent);
    http_reply_fini(&reply);
}

static void http_trusts_only_a_signed_certificate(void **state)
{
    (void)state;
    char url[64];
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/health", tls_port);
    struct http_request request = { .url = url, .deadline_ms = soon() };
    struct http_reply reply = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(http_do(&request, &reply, &err), DR_E_DENIED);
    assert_non_null(strstr(err.msg, "certificate"));
    http_reply_fini(&reply);
    reply = (struct http_reply){ 0 };
    request.ca = cert;
    assert_int_equal(http_do(&request, &reply, &err), DR_OK);
    assert_string_equal(reply.body.data, "ok us");
    http_reply_fini(&reply);
}

static void http_keeps_no_more_of_an_answer_than_its_limit(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof(path), "%s/us/www/big", dir);
    FILE *fp = fopen(path, "we");
    assert_non_null(fp);
    assert_int_equal(ftruncate(fileno(fp), HTTP_BODY_MAX + 1), 0);
    fclose(fp);
    struct http_reply reply = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(ask("/big", NULL, &reply, &err), DR_OK);
    assert_int_equal(reply.status, 200);
    assert_true(reply.cut);
    assert_int_equal(reply.body.len, HTTP_BODY_MAX);
    http_reply_fini(&reply);
}

static void http_looks_a_name_up_at_the_given_server(void **state)
{
    (void)state;
    char url[96], resolver[32];
    snprintf(url, sizeof(url), "http://www.example.test:%d/health", nginx.port);
    snprintf(resolver, sizeof(resolver), "127.0.0.1:%d", pdns.port);
    struct http_request request = { .url = url, .resolver = resolver, .deadline_ms = soon() };
    struct http_reply reply = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(http_do(&request, &reply, &err), DR_OK);
    assert_int_equal(reply.status, 200);
    http_reply_fini(&reply);

    reply = (struct http_reply){ 0 };
    snprintf(url, sizeof(url), "http://nobody.example.test:%d/", nginx.port);
    assert_int_equal(http_do(&request, &reply, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "there is no name 'nobody.example.test'"));
    http_reply_fini(&reply);
}

static enum dr_rc query(const char *name, const char *type, struct gate *g,
                        struct resolve_answer *answer, struct dr_err *err)
{
    struct resolve_options options = { .server = server_at(pdns.port),
                                       .gate = g,
                                       .deadline_ms = soon() };
    return resolve_query(name, type, &options, answer, err);
}

static void dns_gives_values_and_the_longest_ttl(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type, *value;
        int64_t ttl_s;
    } rows[] = {
        { "app.example.test", "A", "127.0.0.1", 60 },
        { "www.example.test", "A", "127.0.0.1", 300 },
        { "www.example.test", "CNAME", "app.example.test.", 300 },
        { "text.example.test", "TXT", "hello there", 60 },
        { "example.test", "NS", "ns.example.test.", 60 },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct resolve_answer answer = { 0 };
        struct dr_err err = { 0 };
        assert_int_equal(query(rows[i].name, rows[i].type, NULL, &answer, &err), DR_OK);
        assert_int_equal(answer.values.count, 1);
        assert_string_equal(answer.values.items[0], rows[i].value);
        assert_int_equal(answer.ttl_s, rows[i].ttl_s);
        resolve_answer_fini(&answer);
    }
}

static void dns_tells_no_name_from_no_record_from_no_server(void **state)
{
    (void)state;
    struct resolve_answer answer = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(query("nobody.example.test", "A", NULL, &answer, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "there is no name 'nobody.example.test'"));
    assert_int_equal(query("app.example.test", "AAAA", NULL, &answer, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "'app.example.test' has no AAAA record"));
    assert_int_equal(query("app.other.test", "A", NULL, &answer, &err), DR_E_TRANSIENT);
    assert_int_equal(query("app.example.test", "HINFO", NULL, &answer, &err), DR_E_CONFIG);

    struct resolve_options nobody = { .server = server_at(server_free_port()),
                                      .deadline_ms = soon() };
    assert_int_equal(resolve_query("app.example.test", "A", &nobody, &answer, &err),
                     DR_E_TRANSIENT);
    assert_non_null(strstr(err.msg, "does not answer: Connection refused"));
    struct resolve_options bad = { .server = "ns.example.test", .deadline_ms = soon() };
    assert_int_equal(resolve_query("a.b", "A", &bad, &answer, &err), DR_E_CONFIG);
}

static void dns_server_in_a_dark_region_is_not_asked(void **state)
{
    (void)state;
    DR_CLEANUP(gate_free_ptr) struct gate *g = gate_new();
    gate_dark(g, "us-east-1", "127.0.0.1");
    struct resolve_answer answer = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(query("app.example.test", "A", g, &answer, &err), DR_E_REFUSED);
    assert_int_equal(gate_refused(g), 1);
}

static void a_stream_is_refused_when_dark_and_tells_why_when_closed(void **state)
{
    (void)state;
    DR_CLEANUP(gate_free_ptr) struct gate *g = gate_new();
    gate_dark(g, "us-east-1", server_at(nginx.port));
    struct dr_err err = { 0 };
    DR_CLEANUP(dr_close_fd) int fd = -1;
    assert_int_equal(gate_connect(g, server_at(nginx.port), soon(), &fd, &err), DR_E_REFUSED);
    assert_int_equal(gate_refused(g), 1);
    assert_int_equal(gate_connect(g, server_at(server_free_port()), soon(), &fd, &err),
                     DR_E_TRANSIENT);
    assert_non_null(strstr(err.msg, ": Connection refused"));
    assert_int_equal(gate_connect(g, "/nonexistent/admin.sock", soon(), &fd, &err), DR_E_TRANSIENT);
    assert_int_equal(gate_connect(g, "localhost:80", soon(), &fd, &err), DR_E_CONFIG);
    assert_int_equal(gate_connect(g, "127.0.0.1", soon(), &fd, &err), DR_E_CONFIG);
    assert_int_equal(fd, -1);
}

static void a_question_is_answered_to_the_end_of_the_stream_within_a_limit(void **state)
{
    (void)state;
    static const char question[] = "GET /health HTTP/1.0\r\n\r\n";
    size_t whole = 65536; /* then the exact length of the answer, then one byte less */
    for (int round = 0; round < 3; round++) {
        DR_CLEANUP(dr_close_fd) int fd = -1;
        DR_CLEANUP(buf_fini) struct buf answer = { 0 };
        struct dr_err err = { 0 };
        size_t limit = round < 2 ? whole : whole - 1;
        assert_int_equal(gate_connect(NULL, server_at(nginx.port), soon(), &fd, &err), DR_OK);
        assert_int_equal(gate_ask(fd, question, limit, soon(), &answer, &err),
                         round < 2 ? DR_OK : DR_E_CORRUPT);
        assert_true(round == 2 || strstr(answer.data, "ok us") != NULL);
        if (round == 0)
            whole = answer.len;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_printed),
        cmocka_unit_test(no_length_of_an_address_is_too_long_to_be_refused),
        cmocka_unit_test(gate_refuses_a_dark_host_on_every_port_and_a_dark_port_on_its_own),
        cmocka_unit_test(http_gives_status_line_and_body),
        cmocka_unit_test(http_to_a_dark_region_is_refused_before_any_byte),
        cmocka_unit_test(http_refuses_what_is_no_web_address),
        cmocka_unit_test(http_tells_a_closed_port_from_a_silent_server),
        cmocka_unit_test(http_trusts_only_a_signed_certificate),
        cmocka_unit_test(http_keeps_no_more_of_an_answer_than_its_limit),
        cmocka_unit_test(http_looks_a_name_up_at_the_given_server),
        cmocka_unit_test(dns_gives_values_and_the_longest_ttl),
        cmocka_unit_test(dns_tells_no_name_from_no_record_from_no_server),
        cmocka_unit_test(dns_server_in_a_dark_region_is_not_asked),
        cmocka_unit_test(a_stream_is_refused_when_dark_and_tells_why_when_closed),
        cmocka_unit_test(a_question_is_answered_to_the_end_of_the_stream_within_a_limit),
    };
    return cmocka_run_group_tests_name("net", tests, start, stop);
}
