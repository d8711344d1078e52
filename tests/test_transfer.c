/*
 * Transfer: many requests over kept connections, whole bodies, and each failure by its own name. Runs
 * under TSan, against a server that answers as each fact needs it.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/net/transfer.h"
#include "tests/support/loopserver.h"
#include "tests/support/servers.h"

enum { BIG = 3 << 20, WAIT_MS = 60000 };

/* Made anew for each fact. The lock guards what is not atomic. */
static struct world {
    struct loopserver *server;
    struct transfer *t;
    struct dr_err err;
    struct transfer_reply reply;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open; /* "/hold" is answered */
    unsigned held, most_held;
    struct buf head, body; /* of the last request */
    atomic_bool cancel;
} w;

static char *noise; /* BIG bytes */

static int64_t soon(void)
{
    return clock_boot_ms() + WAIT_MS;
}

/* -- the server ---------------------------------------------------------------------------- */

static bool hold(const struct loopserver_request *q)
{
    pthread_mutex_lock(&w.lock);
    w.held++;
    if (w.held > w.most_held)
        w.most_held = w.held;
    pthread_cond_broadcast(&w.changed);
    while (!w.open)
        pthread_cond_wait(&w.changed, &w.lock);
    w.held--;
    pthread_mutex_unlock(&w.lock);
    return loopserver_say(q->fd, 200, "", "held", 4);
}

#define TEN  "0123456789"
#define HALF "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" TEN

/* Answers byte by byte, and what becomes of the connection. */
static const struct {
    const char *target, *bytes;
    enum { KEPT, ENDED, HELD } then;
} written[] = {
    { "/one-piece", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", KEPT },
    { "/redirect", "HTTP/1.1 301 M\r\nLocation: /bytes/5\r\nContent-Length: 0\r\n\r\n", KEPT },
    { "/old", "HTTP/1.1 403 No\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
      KEPT },
    { "/once", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" TEN, ENDED }, /* without a word */
    { "/short", HALF, ENDED },
    { "/half", HALF, HELD },
    { "/nothing", "", ENDED },
    { "/hold", "", HELD },
    { "/babble", "220 mail.example.test ESMTP\r\n", ENDED },
};

static bool answer(void *arg, const struct loopserver_request *q)
{
    (void)arg;
    pthread_mutex_lock(&w.lock);
    buf_clear(&w.head);
    buf_clear(&w.body);
    buf_adds(&w.head, q->head);
    buf_add(&w.body, q->body_len > 0 ? q->body : "", q->body_len);
    pthread_mutex_unlock(&w.lock);
    unsigned size;
    if (strcmp(q->method, "HEAD") == 0)
        return loopserver_write(q->fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 38);
    if (sscanf(q->target, "/bytes/%u", &size) == 1)
        return loopserver_say(q->fd, 200, "ETag: \"x\"\r\n", noise, size);
    if (sscanf(q->target, "/status/%u", &size) == 1)
        return loopserver_say(q->fd, (int)size, "Retry-After: 7\r\n", "<Code>No</Code>", 15);
    if (strcmp(q->target, "/large-error") == 0)
        return loopserver_say(q->fd, 500, "", noise, 200000);
    if (strcmp(q->target, "/reset") == 0)
        return loopserver_reset(q->fd);
    if (strcmp(q->target, "/dead-when-kept") == 0) /* the effect happened, its answer did not */
        return q->nth == 1 && loopserver_say(q->fd, 200, "", "new", 3);
    for (size_t i = 0; i < DR_ARRAY_LEN(written); i++)
        if (strcmp(q->target, written[i].target) == 0) {
            loopserver_write(q->fd, written[i].bytes, strlen(written[i].bytes));
            return written[i].then == HELD ? hold(q) : written[i].then == KEPT;
        }
    return loopserver_say(q->fd, 200, "", "ok", 2);
}

static void open_hold(void)
{
    pthread_mutex_lock(&w.lock);
    w.open = true;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
}

/* The server holds so many requests, or the fact fails. */
static void wait_held(unsigned n)
{
    struct timespec until = { .tv_sec = time(NULL) + WAIT_MS / 1000 };
    pthread_mutex_lock(&w.lock);
    while (w.held < n)
        if (pthread_cond_timedwait(&w.changed, &w.lock, &until) != 0)
            break;
    unsigned held = w.held;
    pthread_mutex_unlock(&w.lock);
    assert_true(held >= n);
}

/* -- helpers ------------------------------------------------------------------------------- */

static bool is_cancelled(void *arg)
{
    (void)arg;
    return w.cancel;
}

static void make_engine(const struct transfer_options *o)
{
    transfer_free(DR_TAKE(w.t));
    assert_int_equal(transfer_new(o, &w.t, &w.err), DR_OK);
}

static const char *url_of(const char *path)
{
    static _Thread_local char url[1100];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", loopserver_port(w.server), path);
    return url;
}

static void forget_reply(void)
{
    transfer_reply_fini(&w.reply);
    w.reply = (struct transfer_reply){ 0 };
    w.err = (struct dr_err){ 0 };
}

static enum dr_rc send_out(struct transfer_request q)
{
    forget_reply();
    if (q.deadline_ms == 0)
        q.deadline_ms = soon();
    enum dr_rc rc = transfer_do(w.t, &q, &w.reply, &w.err);
    return rc;
}

static enum dr_rc get(const char *path)
{
    return send_out((struct transfer_request){ .url = url_of(path) });
}

static enum dr_rc get_into(const char *path, void *out, size_t len)
{
    return send_out((struct transfer_request){ .url = url_of(path), .out = out, .out_len = len });
}

static enum dr_rc get_grown(const char *path, struct buf *grow)
{
    return send_out(
        (struct transfer_request){ .url = url_of(path), .grow = grow, .grow_limit = 1000 });
}

static struct transfer_counts counts(void)
{
    struct transfer_counts c;
    return transfer_count(w.t, &c), c;
}

static int set_up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.changed, NULL);
    w.server = loopserver_start(answer, NULL);
    make_engine(&(struct transfer_options){ .max_parallel = 16 });
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    open_hold();
    forget_reply();
    transfer_free(w.t);
    loopserver_stop(w.server);
    buf_fini(&w.head);
    buf_fini(&w.body);
    pthread_cond_destroy(&w.changed);
    pthread_mutex_destroy(&w.lock);
    return 0;
}

static int make_noise(void **state)
{
    (void)state;
    noise = dr_alloc(1, BIG);
    uint32_t x = 1;
    for (size_t i = 0; i < BIG; i++)
        noise[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
    return 0;
}

static int drop_noise(void **state)
{
    (void)state;
    free(noise);
    return 0;
}

/* -- whole answers ------------------------------------------------------------------------- */

static void answer_lands_in_the_callers_memory(void **state)
{
    (void)state;
    DR_FREE char *out = dr_alloc(1, BIG);
    assert_int_equal(get_into("/bytes/3145728", out, BIG), DR_OK);
    assert_int_equal(w.reply.status, 200);
    assert_int_equal(w.reply.got, BIG);
    assert_memory_equal(out, noise, BIG);
    assert_string_equal(transfer_header(&w.reply, "etag"), "\"x\"");
    assert_string_equal(transfer_header(&w.reply, "content-length"), "3145728");
    assert_null(transfer_header(&w.reply, "eta"));
    assert_true(w.reply.sent && !w.reply.resent && !w.reply.remembered);

    DR_CLEANUP(buf_fini) struct buf grow = { 0 };
    buf_adds(&grow, "before");
    assert_int_equal(get_grown("/bytes/1000", &grow), DR_OK);
    assert_int_equal(grow.len, 1006);
    assert_memory_equal(grow.data, "before", 6);
    assert_memory_equal(grow.data + 6, noise, 1000);
}

static void an_answer_larger_than_the_room_is_corrupt_and_writes_nothing_behind_it(void **state)
{
    (void)state;
    char out[101];
    memset(out, 'z', sizeof(out));
    assert_int_equal(get_into("/bytes/101", out, 100), DR_E_CORRUPT);
    assert_int_equal(out[100], 'z');
    DR_CLEANUP(buf_fini) struct buf grow = { 0 };
    assert_int_equal(get_grown("/bytes/1001", &grow), DR_E_CORRUPT);
    assert_int_equal(get_into("/bytes/99", out, 100), DR_OK);
    assert_int_equal(w.reply.got, 99); /* fewer: the caller sees it */
}

static void other_answers_never_touch_the_callers_memory(void **state)
{
    (void)state;
    char out[4] = "abc";
    assert_int_equal(get_into("/status/404", out, 4), DR_OK);
    assert_int_equal(w.reply.status, 404);
    assert_string_equal(w.reply.body.data, "<Code>No</Code>");
    assert_string_equal(transfer_header(&w.reply, "retry-after"), "7");
    assert_string_equal(out, "abc");
    assert_int_equal(get("/large-error"), DR_OK);
    assert_int_equal(w.reply.body.len, TRANSFER_OTHER_BODY_MAX);
    assert_int_equal(w.reply.got, 200000);
    assert_memory_equal(w.reply.body.data, noise, TRANSFER_OTHER_BODY_MAX);
    assert_int_equal(get("/redirect"), DR_OK);
    assert_int_equal(w.reply.status, 301);
    assert_int_equal(counts().connections, 1); /* none of these cost the connection */
}

static void bodies_are_sent_as_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        size_t len;
    } rows[] = { { "PUT", 0 },
                 { "PUT", 1 },
                 { "PUT", BIG }, /* more than 1 MiB: with Expect */
                 { "POST", 0 },
                 { "POST", 70000 } };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        assert_int_equal(send_out((struct transfer_request){ .method = rows[i].method,
                                                             .url = url_of("/put"),
                                                             .body = noise,
                                                             .body_len = rows[i].len }),
                         DR_OK);
        char length[64], line[64];
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", rows[i].len);
        snprintf(line, sizeof(line), "%s /put HTTP/1.1\r\n", rows[i].method);
        assert_int_equal(w.reply.status, 200);
        assert_int_equal(w.body.len, rows[i].len);
        assert_memory_equal(w.body.data, noise, rows[i].len);
        assert_true(text_starts(w.head.data, line));
        assert_non_null(strstr(w.head.data, length));
        assert_int_equal(strstr(w.head.data, "Expect:") != NULL, rows[i].len == BIG);
        assert_non_null(strstr(w.head.data, "\r\nContent-Type: application/octet-stream\r\n"));
        assert_null(strstr(w.head.data, "urlencoded"));
    }
    assert_int_equal(counts().bytes_out, 1 + BIG + 70000);
}

static void a_large_body_is_not_sent_to_a_server_that_refuses_it(void **state)
{
    (void)state;
    const char *const headers[] = { "x-early: 1", NULL };
    assert_int_equal(send_out((struct transfer_request){ .method = "PUT",
                                                         .url = url_of("/status/503"),
                                                         .headers = headers,
                                                         .body = noise,
                                                         .body_len = BIG }),
                     DR_OK);
    assert_int_equal(w.reply.status, 503);
    assert_int_equal(counts().bytes_out, 0);
}

static void paths_and_headers_are_sent_as_they_are(void **state)
{
    (void)state;
    const char *const headers[] = { "Range: bytes=5-9", "x-odd: A  b", NULL };
    assert_int_equal(send_out((struct transfer_request){
                         .url = url_of("/a//b/../c/./%C3%BC?x=&y=%2F"), .headers = headers }),
                     DR_OK);
    assert_true(text_starts(w.head.data, "GET /a//b/../c/./%C3%BC?x=&y=%2F HTTP/1.1\r\n"));
    assert_non_null(strstr(w.head.data, "\r\nRange: bytes=5-9\r\n"));
    assert_non_null(strstr(w.head.data, "\r\nx-odd: A  b\r\n"));
    assert_int_equal(send_out((struct transfer_request){ .method = "HEAD", .url = url_of("/h") }),
                     DR_OK);
    assert_true(text_starts(w.head.data, "HEAD /h HTTP/1.1\r\n"));
    assert_int_equal(send_out((struct transfer_request){ .method = "DELETE", .url = url_of("/d") }),
                     DR_OK);
    assert_true(text_starts(w.head.data, "DELETE /d HTTP/1.1\r\n"));
}

static void signature_covers_hash_date_and_token(void **state)
{
    (void)state;
    const char *const headers[] = { "x-amz-content-sha256: UNSIGNED-PAYLOAD", "If-None-Match: *",
                                    NULL };
    struct transfer_sign sign = { .access_key = "AK:ID",
                                  .secret_key = "very secret",
                                  .session_token = "to/ken+==",
                                  .region = "eu-west-9",
                                  .service = "s3" };
    assert_int_equal(send_out((struct transfer_request){ .method = "PUT",
                                                         .url = url_of("/b/k?versionId="),
                                                         .headers = headers,
                                                         .body = "x",
                                                         .body_len = 1,
                                                         .sign = &sign }),
                     DR_OK);
    const char *auth = strstr(w.head.data, "Authorization: AWS4-HMAC-SHA256 Credential=AK:ID/");
    assert_non_null(auth);
    assert_non_null(strstr(auth, "/eu-west-9/s3/aws4_request, "));
    assert_non_null(
        strstr(auth, "x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature="));
    assert_non_null(strstr(auth, "if-none-match"));
    assert_non_null(strstr(w.head.data, "\r\nx-amz-security-token: to/ken+==\r\n"));
    assert_null(strstr(w.head.data, "very secret"));
}

static void servers_clock_is_compared_with_ours(void **state)
{
    (void)state;
    assert_int_equal(get("/old"), DR_OK);
    int64_t want = INT64_C(784111777500) - clock_wall_ns() / 1000000;
    assert_true(w.reply.dated);
    assert_in_range(w.reply.date_offset_ms - want + WAIT_MS, 0, 2 * WAIT_MS);
    assert_int_equal(get("/bytes/1"), DR_OK);
    assert_false(w.reply.dated);
}

/* -- connections --------------------------------------------------------------------------- */

static void one_connection_serves_request_after_request(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(get(i % 2 == 0 ? "/bytes/10000" : "/status/404"), DR_OK);
    assert_int_equal(loopserver_connections(w.server), 1);
    assert_int_equal(loopserver_requests(w.server), 50);
    struct transfer_counts c = counts();
    assert_int_equal(c.requests, 50);
    assert_int_equal(c.connections, 1);
    assert_int_equal(c.bytes_in, 25 * 10000 + 25 * 15);
}

struct caller {
    pthread_t thread;
    const char *path;                 /* NULL: of another length each time */
    const struct transfer_pace *pace; /* a PUT of 200000 bytes */
    unsigned rounds, good;
};

static bool call_once(const struct caller *c, unsigned len, char *out)
{
    DR_FREE char *path = c->path != NULL ? dr_strdup(c->path) : dr_strf("/bytes/%u", len);
    struct transfer_request q = {
        .url = url_of(path), .out = out, .out_len = 100000, .deadline_ms = soon(), .pace = c->pace
    };
    if (c->pace != NULL) {
        q.method = "PUT";
        q.body = noise;
        q.body_len = 200000;
    }
    struct transfer_reply reply = { 0 };
    struct dr_err err = { 0 };
    bool good = transfer_do(w.t, &q, &reply, &err) == DR_OK && reply.status == 200;
    if (c->path == NULL)
        good = good && reply.got == len && memcmp(out, noise, len) == 0;
    transfer_reply_fini(&reply);
    return good;
}

static void *call_many(void *arg)
{
    struct caller *c = arg;
    DR_FREE char *out = dr_alloc(1, 100000);
    for (unsigned i = 0; i < c->rounds; i++)
        c->good += call_once(c, 1 + i * 7919 % 100000, out);
    return NULL;
}

static void begin_caller(struct caller *c, const char *path, unsigned rounds,
                         const struct transfer_pace *pace)
{
    *c = (struct caller){ .path = path, .rounds = rounds, .pace = pace };
    assert_int_equal(pthread_create(&c->thread, NULL, call_many, c), 0);
}

static void begin_callers(struct caller *callers, unsigned count, const char *path, unsigned rounds)
{
    for (unsigned i = 0; i < count; i++)
        begin_caller(&callers[i], path, rounds, NULL);
}

static unsigned end_callers(struct caller *callers, unsigned count)
{
    unsigned good = 0;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        good += callers[i].good;
    }
    return good;
}

static void many_threads_share_few_connections_and_get_their_own_answers(void **state)
{
    (void)state;
    struct caller callers[12];
    begin_callers(callers, 12, NULL, 40);
    assert_int_equal(end_callers(callers, 12), 12 * 40);
    assert_in_range(loopserver_connections(w.server), 1, 16);
    assert_int_equal(counts().requests, 12 * 40);
}

static void window_bounds_what_is_under_way(void **state)
{
    (void)state;
    make_engine(&(struct transfer_options){ .max_parallel = 2 });
    struct caller callers[6];
    begin_callers(callers, 6, "/hold", 1);
    wait_held(2);
    open_hold();
    assert_int_equal(end_callers(callers, 6), 6);
    assert_int_equal(w.most_held, 2);
}

static void window_widens_while_answers_are_good_and_halves_when_told_to_slow_down(void **state)
{
    (void)state;
    assert_int_equal(counts().window, 4);
    struct caller callers[16];
    begin_callers(callers, 16, NULL, 30);
    assert_int_equal(end_callers(callers, 16), 16 * 30);
    unsigned wide = counts().window;
    assert_in_range(wide, 8, 16);
    assert_int_equal(get("/status/503"), DR_OK);
    assert_int_equal(counts().window, wide / 2);
    assert_int_equal(get("/status/429"), DR_OK);
    assert_int_equal(counts().window, wide / 4);
    assert_int_equal(get("/status/500"), DR_OK);
    assert_int_equal(counts().window, wide / 4);
}

static void a_kept_connection_that_ended_is_replaced_without_a_failure(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(get("/once"), DR_OK);
    assert_int_equal(counts().requests, 10);
}

/* The kept connection ends after the request was read: the body goes out once more, from its
 * beginning, and the caller learns that the first one may have had its effect. */
static void what_was_sent_twice_is_told(void **state)
{
    (void)state;
    struct transfer_request q = {
        .method = "PUT", .url = url_of("/dead-when-kept"), .body = noise, .body_len = 300000
    };
    assert_int_equal(send_out(q), DR_OK);
    assert_false(w.reply.resent);
    assert_int_equal(send_out(q), DR_OK);
    assert_true(w.reply.resent);
    assert_int_equal(w.reply.status, 200);
    assert_int_equal(w.body.len, 300000);
    assert_memory_equal(w.body.data, noise, 300000);
    assert_int_equal(loopserver_requests(w.server), 3);
}

/* -- failures ------------------------------------------------------------------------------ */

static void a_broken_answer_is_transient_and_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *path, *words;
        int status;
    } rows[] = { { "/short", "10 bytes remaining", 200 },
                 { "/reset", "reset", 0 },
                 { "/nothing", "Empty reply", 0 },
                 { "/babble", "HTTP/0.9", 0 } };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        char out[1000];
        assert_int_equal(get_into(rows[i].path, out, sizeof(out)), DR_E_TRANSIENT);
        assert_non_null(strstr(w.err.msg, rows[i].words));
        assert_true(text_starts(w.err.msg, "127.0.0.1:"));
        assert_int_equal(w.reply.status, rows[i].status);
        assert_true(w.reply.sent);
    }
    DR_CLEANUP(buf_fini) struct buf grow = { 0 };
    buf_adds(&grow, "before");
    assert_int_equal(get_grown("/short", &grow), DR_E_TRANSIENT);
    assert_int_equal(grow.len, 6); /* half an answer is none */
    assert_string_equal(grow.data, "before");
}

static void a_closed_port_is_transient_and_nothing_was_sent(void **state)
{
    (void)state;
    DR_FREE char *url = dr_strf("http://127.0.0.1:%d/", server_free_port());
    assert_int_equal(send_out((struct transfer_request){ .url = url }), DR_E_TRANSIENT);
    assert_non_null(strstr(w.err.msg, "Couldn't connect"));
    assert_false(w.reply.sent);
}

static void a_stall_is_ended_by_its_own_deadline(void **state)
{
    (void)state;
    make_engine(&(struct transfer_options){ .stall_ms = 150 });
    int64_t before = clock_boot_ms();
    assert_int_equal(get("/half"), DR_E_TIMEOUT);
    assert_non_null(strstr(w.err.msg, "stalled: no byte for"));
    assert_non_null(strstr(w.err.msg, "(10 came)"));
    assert_int_equal(get("/hold"), DR_E_TIMEOUT);
    assert_non_null(strstr(w.err.msg, "(0 came)"));
    assert_true(w.reply.sent && w.reply.status == 0);
    assert_true(clock_boot_ms() - before >= 300);
    assert_int_equal(counts().window, 1); /* 4, 2, 1: a stall is a sign of overload */
}

static void a_request_ends_at_its_deadline_wherever_it_is(void **state)
{
    (void)state;
    make_engine(&(struct transfer_options){ .max_parallel = 1 });
    struct caller first;
    begin_callers(&first, 1, "/hold", 1);
    wait_held(1);
    struct transfer_request q = { .url = url_of("/ok"), .deadline_ms = clock_boot_ms() + 100 };
    assert_int_equal(send_out(q), DR_E_TIMEOUT); /* in the queue */
    assert_non_null(strstr(w.err.msg, "before its turn"));
    assert_false(w.reply.sent);
    open_hold();
    assert_int_equal(end_callers(&first, 1), 1);
    w.open = false; /* nobody is held */
    q = (struct transfer_request){ .url = url_of("/hold"), .deadline_ms = clock_boot_ms() + 100 };
    assert_int_equal(send_out(q), DR_E_TIMEOUT); /* under way */
    assert_non_null(strstr(w.err.msg, "not done before the deadline"));
    assert_true(w.reply.sent);
}

static void a_silent_host_costs_the_connect_deadline(void **state)
{
    (void)state;
    /* Listens, accepts nothing, and its backlog is full: further handshakes are not answered. */
    DR_CLEANUP(dr_close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    int fill[4];
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    for (size_t i = 0; i < DR_ARRAY_LEN(fill); i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (struct sockaddr *)&in, len); /* the last ones are left waiting */
    }
    make_engine(&(struct transfer_options){ .connect_ms = 200 });
    DR_FREE char *url = dr_strf("http://127.0.0.1:%d/", ntohs(in.sin_port));
    assert_int_equal(send_out((struct transfer_request){ .url = url }), DR_E_TIMEOUT);
    assert_non_null(strstr(w.err.msg, "no connection within 200 ms"));
    assert_false(w.reply.sent);
    for (size_t i = 0; i < DR_ARRAY_LEN(fill); i++)
        close(fill[i]);
}

static void a_dark_region_is_refused_and_counted(void **state)
{
    (void)state;
    DR_CLEANUP(gate_free_ptr) struct gate *g = gate_new();
    gate_dark(g, "us-east-1", server_at(loopserver_port(w.server)));
    gate_dark(g, "us-east-1", "us.example.test");
    make_engine(&(struct transfer_options){ .gate = g });
    assert_int_equal(get("/ok"), DR_E_REFUSED);
    assert_non_null(strstr(w.err.msg, "refused: us-east-1 is dark (127.0.0.1:"));
    assert_int_equal(send_out((struct transfer_request){ .url = "http://US.example.test:1/x" }),
                     DR_E_REFUSED);
    assert_false(w.reply.sent);
    assert_int_equal(gate_refused(g), 2);
    assert_int_equal(loopserver_connections(w.server), 0);
    transfer_free(DR_TAKE(w.t)); /* before its gate */
}

static int64_t time_of(const char *path, unsigned count)
{
    int64_t before = clock_boot_ms();
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(get(path), DR_OK);
    return clock_boot_ms() - before;
}

/* The server keeps the body back until the head is acknowledged: 40 ms each where that is left to
 * the kernel, 4 s for 100. */
static void an_answer_in_two_pieces_does_not_wait_between_them(void **state)
{
    (void)state;
    int64_t one = time_of("/one-piece", 100), two = time_of("/two-pieces", 100);
    print_message("100 answers: %d ms in one piece, %d ms in two\n", (int)one, (int)two);
    assert_true(two < one + 2000);
}

static void what_is_no_web_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "file:///etc/passwd", "ftp://127.0.0.1/", "", "http://" };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++)
        assert_int_equal(send_out((struct transfer_request){ .url = bad[i] }), DR_E_USAGE);
    struct transfer *none = NULL;
    struct transfer_options o = { .ca = "/nowhere/ca.pem" };
    assert_int_equal(transfer_new(&o, &none, &w.err), DR_E_CONFIG);
    assert_null(none);
}

static void cancel_ends_all_calls_and_pauses(void **state)
{
    (void)state;
    make_engine(&(struct transfer_options){ .max_parallel = 1, .cancelled = is_cancelled });
    struct caller callers[3]; /* one under way, two in the queue */
    begin_callers(callers, 3, "/hold", 1);
    wait_held(1);
    w.cancel = true;
    assert_int_equal(end_callers(callers, 3), 0);
    assert_int_equal(transfer_pause(w.t, INT64_C(3600) * 1000, &w.err), DR_E_CANCELLED);
    assert_int_equal(get("/ok"), DR_E_CANCELLED);
    assert_int_equal(loopserver_requests(w.server), 1);
}

static int64_t paused_ms;

static void fake_pause(int64_t ms)
{
    paused_ms += ms;
}

static void pauses_are_as_long_as_was_said(void **state)
{
    (void)state;
    paused_ms = 0;
    make_engine(&(struct transfer_options){
        .pause = fake_pause, .cancelled = is_cancelled, .max_parallel = 1 });
    assert_int_equal(transfer_pause(w.t, 12345, &w.err), DR_OK);
    assert_int_equal(transfer_pause(w.t, 0, &w.err), DR_OK);
    assert_int_equal(paused_ms, 12345);
    make_engine(&(struct transfer_options){ .max_parallel = 1 });
    int64_t till = clock_boot_ms() + 29;
    assert_int_equal(transfer_pause(w.t, 30, &w.err), DR_OK);
    assert_true(clock_boot_ms() >= till);
}

struct payer { /* of a pace */
    unsigned calls, fail_at;
    size_t taken, largest;
    pthread_t by;
    atomic_int inside;
    bool overlapped;
};

static enum dr_rc take(void *arg, size_t bytes, struct dr_err *err)
{
    struct payer *p = arg;
    for (int i = 0; i < 50; i++) /* meanwhile what was paid before leaves, and more is wanted */
        sched_yield();
    p->overlapped |= atomic_fetch_add(&p->inside, 1) != 0;
    p->taken += bytes;
    p->largest = bytes > p->largest ? bytes : p->largest;
    p->by = pthread_self();
    bool fails = ++p->calls == p->fail_at;
    atomic_fetch_sub(&p->inside, 1);
    return fails ? dr_fail(err, DR_E_CANCELLED, "the pace says no") : DR_OK;
}

static void a_paced_body_is_paid_for_in_slices_by_its_caller(void **state)
{
    (void)state;
    struct payer payer = { 0 };
    struct transfer_pace pace = { .slice = 50000, .take = take, .arg = &payer };
    struct transfer_request q = {
        .method = "PUT", .url = url_of("/put"), .body = noise, .body_len = BIG, .pace = &pace
    };
    assert_int_equal(send_out(q), DR_OK);
    assert_int_equal(w.body.len, BIG);
    assert_memory_equal(w.body.data, noise, BIG);
    assert_int_equal(payer.taken, BIG);
    assert_int_equal(payer.largest, 50000);
    assert_int_equal(payer.calls, (BIG + 49999) / 50000);
    assert_true(pthread_equal(payer.by, pthread_self()));

    payer = (struct payer){ .fail_at = 5 };
    assert_int_equal(send_out(q), DR_E_CANCELLED);
    assert_string_equal(w.err.msg, "the pace says no");
    assert_int_equal(get("/ok"), DR_OK);
}

static void one_pace_serves_many_callers_one_at_a_time(void **state)
{
    (void)state;
    struct payer payer = { 0 };
    struct transfer_pace pace = { .slice = 100000, .take = take, .arg = &payer };
    struct caller callers[6];
    for (size_t i = 0; i < DR_ARRAY_LEN(callers); i++)
        begin_caller(&callers[i], "/put", 20, &pace);
    assert_int_equal(end_callers(callers, 6), 6 * 20);
    assert_false(payer.overlapped);
    assert_int_equal(payer.taken, 6 * 20 * 200000);
}

#define FACT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(answer_lands_in_the_callers_memory),
        FACT(an_answer_larger_than_the_room_is_corrupt_and_writes_nothing_behind_it),
        FACT(other_answers_never_touch_the_callers_memory),
        FACT(bodies_are_sent_as_they_are),
        FACT(a_large_body_is_not_sent_to_a_server_that_refuses_it),
        FACT(paths_and_headers_are_sent_as_they_are),
        FACT(signature_covers_hash_date_and_token),
        FACT(servers_clock_is_compared_with_ours),
        FACT(one_connection_serves_request_after_request),
        FACT(many_threads_share_few_connections_and_get_their_own_answers),
        FACT(window_bounds_what_is_under_way),
        FACT(window_widens_while_answers_are_good_and_halves_when_told_to_slow_down),
        FACT(an_answer_in_two_pieces_does_not_wait_between_them),
        FACT(a_kept_connection_that_ended_is_replaced_without_a_failure),
        FACT(what_was_sent_twice_is_told),
        FACT(a_broken_answer_is_transient_and_says_so),
        FACT(a_closed_port_is_transient_and_nothing_was_sent),
        FACT(a_stall_is_ended_by_its_own_deadline),
        FACT(a_request_ends_at_its_deadline_wherever_it_is),
        FACT(a_silent_host_costs_the_connect_deadline),
        FACT(a_dark_region_is_refused_and_counted),
        FACT(what_is_no_web_address_is_refused),
        FACT(cancel_ends_all_calls_and_pauses),
        FACT(pauses_are_as_long_as_was_said),
        FACT(a_paced_body_is_paid_for_in_slices_by_its_caller),
        FACT(one_pace_serves_many_callers_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, make_noise, drop_noise);
}
