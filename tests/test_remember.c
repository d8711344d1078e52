/*
 * Remembered addresses: kept whole on disk whatever fails, and enough to reach an endpoint when no
 * name service answers; the certificate still goes by the name, the gate is still asked. Runs under
 * TSan. The name service is ours: getaddrinfo() of this program is the one that libcurl finds.
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/net/remember.h"
#include "dr/net/transfer.h"
#include "tests/support/certificate.h"
#include "tests/support/fault.h"
#include "tests/support/loopserver.h"
#include "tests/support/servers.h"

#define HOST "bucket.example.invalid"

#define THREE "1.1.1.1\n1.1.1.1\n1.1.1.1\n"
#define NINE  "drctl addresses 1\n" THREE THREE THREE

static char dir[160], memory[200];
static struct dr_err err;

/* -- the name service ---------------------------------------------------------------------- */

enum service { ANSWERS, FAILS, SILENT };

static struct {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    enum service service;
    unsigned asked, waiting;
} names = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void say_service(enum service service)
{
    pthread_mutex_lock(&names.lock);
    names.service = service;
    names.asked = 0;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
}

static unsigned asked(void)
{
    pthread_mutex_lock(&names.lock);
    unsigned n = names.asked;
    pthread_mutex_unlock(&names.lock);
    return n;
}

/* Everybody who asked a silent service has left. */
static void end_silence(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    say_service(FAILS);
    pthread_mutex_lock(&names.lock);
    int rc = 0;
    while (names.waiting > 0 && rc == 0)
        rc = pthread_cond_timedwait(&names.changed, &names.lock, &until);
    pthread_mutex_unlock(&names.lock);
    assert_int_equal(rc, 0);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    pthread_mutex_lock(&names.lock);
    names.asked++;
    names.waiting++;
    while (names.service == SILENT)
        pthread_cond_wait(&names.changed, &names.lock);
    bool answers = names.service == ANSWERS && strcmp(node, HOST) == 0;
    names.waiting--;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
    if (!answers)
        return EAI_AGAIN;
    struct sockaddr_in *in = calloc(1, sizeof(*in));
    *in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    in->sin_port = htons((uint16_t)atoi(service)); /* NOLINT(cert-err34-c): curl wrote it */
    *ret = calloc(1, sizeof(**ret));
    **ret = (struct addrinfo){ .ai_family = AF_INET,
                               .ai_socktype = hints->ai_socktype,
                               .ai_addrlen = sizeof(*in),
                               .ai_addr = (struct sockaddr *)in };
    return 0;
}

void freeaddrinfo(struct addrinfo *a)
{
    free(a->ai_addr);
    free(a);
}

/* -- set-up -------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    snprintf(dir, sizeof(dir), "%s/test_remember.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    snprintf(memory, sizeof(memory), "%s/state/net", dir); /* made when it is needed */
    err = (struct dr_err){ 0 };
    say_service(FAILS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end_silence();
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

static void put_file(const char *name, const char *text)
{
    assert_int_equal(fs_make_dirs(memory, 0700, &err), DR_OK);
    assert_int_equal(fs_replace(memory, name, text, strlen(text), &err), DR_OK);
}

/* The file's content, or "" when there is none. */
static char *file_text(const char *name)
{
    struct buf out = { 0 };
    struct dr_err none = { 0 };
    DR_FREE char *path = dr_strf("%s/%s", memory, name);
    (void)!fs_read_file(path, 1 << 20, &out, &none);
    return buf_take(&out);
}

static void note(struct remember *r, const char *address)
{
    assert_int_equal(remember_note(r, HOST, "443", address, &err), DR_OK);
}

/* What a process that starts now knows: "a b c". */
static char *known_afresh(void)
{
    DR_CLEANUP(remember_free_ptr) struct remember *r = remember_new(memory);
    DR_CLEANUP(text_list_fini) struct text_list list = { 0 };
    remember_recall(r, HOST, "443", &list);
    return text_list_join(&list, " ");
}

static void assert_known(const char *want)
{
    DR_FREE char *is = known_afresh();
    assert_string_equal(is, want);
}

/* -- the file ------------------------------------------------------------------------------ */

static void what_answered_is_known_to_the_next_process_newest_first(void **state)
{
    (void)state;
    assert_known("");
    DR_CLEANUP(remember_free_ptr) struct remember *r = remember_new(memory);
    note(r, "192.0.2.7");
    DR_FREE char *text = file_text(HOST ",443");
    assert_string_equal(text, "drctl addresses 1\n192.0.2.7\n");
    assert_known("192.0.2.7");
    DR_CLEANUP(remember_free_ptr) struct remember *next = remember_new(memory);
    note(next, "2001:db8::7");
    assert_known("2001:db8::7 192.0.2.7");
    DR_CLEANUP(text_list_fini) struct text_list upper = { 0 }, other = { 0 };
    remember_recall(next, "BUCKET.example.INVALID", "443", &upper);
    remember_recall(next, HOST, "444", &other);
    assert_int_equal(upper.count, 2);
    assert_int_equal(other.count, 0);
}

static int64_t now_ns;

static int64_t fake_now(void)
{
    return now_ns;
}

static void a_service_of_thousands_of_addresses_is_written_now_and_then(void **state)
{
    (void)state;
    int64_t (*real)(void) = dr_clock.boot_ns;
    now_ns = real();
    dr_clock.boot_ns = fake_now;
    DR_CLEANUP(remember_free_ptr) struct remember *r = remember_new(memory);
    for (unsigned i = 0; i < 200; i++) {
        DR_FREE char *address = dr_strf("192.0.2.%u", i);
        note(r, address);
    }
    assert_known("192.0.2.0"); /* the first at once, then not for a while */
    now_ns += (int64_t)REMEMBER_WRITE_MS * 1000000;
    note(r, "192.0.2.199"); /* nothing new: still not */
    assert_known("192.0.2.0");
    note(r, "192.0.2.200");
    dr_clock.boot_ns = real;
    assert_known("192.0.2.200 192.0.2.199 192.0.2.198 192.0.2.197 192.0.2.196 192.0.2.195 "
                 "192.0.2.194 192.0.2.193");
}

static void what_needs_no_name_or_is_none_is_not_noted(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "127.0.0.1", "80", "127.0.0.1" },   { "::1", "80", "::1" },
        { "../../etc/x", "80", "127.0.0.1" }, { ".hidden", "80", "127.0.0.1" },
        { "a/b", "80", "127.0.0.1" },         { "", "80", "127.0.0.1" },
        { "h,1", "80", "127.0.0.1" },         { "h\n", "80", "127.0.0.1" },
        { "h", "80x", "127.0.0.1" },          { "h", "/../80", "127.0.0.1" },
        { "h", "80", "not an address" },      { "h", "80", "/run/x.sock" },
    };
    DR_CLEANUP(remember_free_ptr) struct remember *r = remember_new(memory);
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++)
        assert_int_equal(remember_note(r, rows[i][0], rows[i][1], rows[i][2], &err), DR_OK);
    struct stat st;
    assert_int_equal(stat(memory, &st), -1);
}

static void a_damaged_file_counts_as_absent_and_is_replaced(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "drctl addresses 1\n",
        "drctl addresses 2\n192.0.2.7\n",
        "drctl addresses 1\n192.0.2.7",
        "drctl addresses 1\n192.0.2.7\n192.0.2.",
        "drctl addresses 1\nexample.com\n",
        "drctl addresses 1\n192.0.2.7:443\n",
        "drctl addresses 1\n/run/x.sock\n",
        "drctl addresses 1\n192.0.2.7\n\n",
        NINE,
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        put_file(HOST ",443", bad[i]);
        assert_known("");
        DR_CLEANUP(remember_free_ptr) struct remember *r = remember_new(memory);
        note(r, "192.0.2.9");
        assert_known("192.0.2.9");
    }
}

static void of_two_that_write_at_once_one_does_not(void **state)
{
    (void)state;
    put_file(HOST ",443", "drctl addresses 1\n192.0.2.1\n");
    DR_FREE char *path = dr_strf("%s/lock", memory);
    DR_CLEANUP(dr_close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    DR_CLEANUP(remember_free_ptr) struct remember *r = remember_new(memory);
    note(r, "192.0.2.2");
    assert_known("192.0.2.1");
    assert_int_equal(flock(fd, LOCK_UN), 0);
    note(r, "192.0.2.3");
    assert_known("192.0.2.3 192.0.2.2 192.0.2.1");
}

static bool is_old_or_new(void)
{
    DR_FREE char *is = known_afresh();
    return strcmp(is, "192.0.2.1") == 0 || strcmp(is, "192.0.2.2 192.0.2.1") == 0;
}

static void every_failing_call_leaves_the_old_list_or_the_new_one(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool fired = true;
        unsigned n = 1;
        for (; fired; n++) {
            put_file(HOST ",443", "drctl addresses 1\n192.0.2.1\n");
            DR_CLEANUP(remember_free_ptr) struct remember *r = remember_new(memory);
            fault_arm(kinds[k], n);
            enum dr_rc rc = remember_note(r, HOST, "443", "192.0.2.2", &err);
            fired = fault_disarm();
            assert_int_equal(fault_open_fds(), 0);
            /* When reading failed, the new list is all that is known. */
            DR_FREE char *is = known_afresh();
            assert_true(is_old_or_new() || (rc == DR_OK && strcmp(is, "192.0.2.2") == 0));
            assert_true(kinds[k] != FAULT_SHORT || rc == DR_OK);
            note(r, "192.0.2.3"); /* the next answer writes it */
            DR_FREE char *then = known_afresh();
            assert_true(rc == DR_OK || text_starts(then, "192.0.2.3 192.0.2.2"));
        }
        assert_true(n > 8);
        print_message("  swept %u calls\n", n - 1);
    }
}

static void death_at_any_call_leaves_the_old_list_or_the_new_one(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_DIE_BEFORE, FAULT_DIE_AFTER };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        int status = 99 << 8;
        unsigned n = 1;
        for (; WEXITSTATUS(status) == 99; n++) {
            put_file(HOST ",443", "drctl addresses 1\n192.0.2.1\n");
            pid_t pid = fork();
            if (pid == 0) {
                struct remember *r = remember_new(memory);
                fault_arm(kinds[k], n);
                enum dr_rc rc = remember_note(r, HOST, "443", "192.0.2.2", &err);
                fault_disarm();
                remember_free(r);
                _exit(rc == DR_OK ? 0 : 1);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_true(WIFEXITED(status) && is_old_or_new());
            DR_CLEANUP(remember_free_ptr) struct remember *r = remember_new(memory);
            note(r, "192.0.2.4");
            DR_FREE char *then = known_afresh();
            assert_true(text_starts(then, "192.0.2.4 "));
        }
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_true(n > 8);
        print_message("  swept %u calls\n", n - 1);
    }
}

/* -- through an engine --------------------------------------------------------------------- */

static bool say_host(void *arg, const struct loopserver_request *q)
{
    char host[128];
    (void)arg;
    loopserver_header(q, "host", host, sizeof(host));
    return loopserver_say(q->fd, 200, "", host, strlen(host));
}

struct asked {
    enum dr_rc rc;
    bool remembered, sent;
    char body[128];
};

/* One request by an engine of its own, as a process that starts now makes it. */
static struct asked ask(const struct transfer_options *o, const char *scheme, int port)
{
    struct asked ret = { 0 };
    DR_CLEANUP(transfer_free_ptr) struct transfer *t = NULL;
    assert_int_equal(transfer_new(o, &t, &err), DR_OK);
    DR_FREE char *url = dr_strf("%s://" HOST ":%d/health", scheme, port);
    struct transfer_request q = { .url = url,
                                  .out = ret.body,
                                  .out_len = sizeof(ret.body) - 1,
                                  .deadline_ms = clock_boot_ms() + 60000 };
    struct transfer_reply reply = { 0 };
    err = (struct dr_err){ 0 };
    ret.rc = transfer_do(t, &q, &reply, &err);
    ret.remembered = reply.remembered;
    ret.sent = reply.sent;
    transfer_reply_fini(&reply);
    return ret;
}

static void an_endpoint_is_reached_when_no_name_service_answers(void **state)
{
    (void)state;
    struct loopserver *s = loopserver_start(say_host, NULL);
    int port = loopserver_port(s);
    struct transfer_options o = { .memory = memory, .lookup_ms = 100 };
    struct transfer_options without = { .lookup_ms = 100 };

    struct asked is = ask(&o, "http", port); /* never seen, no name service */
    assert_int_equal(is.rc, DR_E_TRANSIENT);
    assert_non_null(strstr(err.msg, "resolve"));
    assert_false(is.sent);

    say_service(ANSWERS);
    is = ask(&o, "http", port);
    assert_int_equal(is.rc, DR_OK);
    assert_false(is.remembered);

    const enum service dead[] = { FAILS, SILENT };
    DR_FREE char *host = dr_strf(HOST ":%d", port);
    for (size_t i = 0; i < DR_ARRAY_LEN(dead); i++) {
        say_service(dead[i]);
        is = ask(&o, "http", port);
        assert_int_equal(is.rc, DR_OK);
        assert_true(is.remembered);
        assert_string_equal(is.body, host);
        assert_int_equal(asked(), 1);
        end_silence();
    }
    is = ask(&without, "http", port); /* nothing is remembered there */
    assert_int_equal(is.rc, DR_E_TRANSIENT);
    loopserver_stop(s);
}

/* Nothing is remembered, and the look-up never returns: neither the call nor the engine waits for it. */
static void a_silent_name_service_outlasts_no_deadline(void **state)
{
    (void)state;
    say_service(SILENT);
    DR_CLEANUP(transfer_free_ptr) struct transfer *t = NULL;
    struct transfer_options o = { .memory = memory, .connect_ms = 100 };
    assert_int_equal(transfer_new(&o, &t, &err), DR_OK);
    struct transfer_request q = { .url = "http://" HOST "/" };
    struct transfer_reply reply = { 0 };
    assert_int_equal(transfer_do(t, &q, &reply, &err), DR_E_TIMEOUT);
    assert_non_null(strstr(err.msg, "no connection within 100 ms"));
    q.deadline_ms = clock_boot_ms() + 50;
    assert_int_equal(transfer_do(t, &q, &reply, &err), DR_E_TIMEOUT);
    assert_non_null(strstr(err.msg, "no connection before the deadline"));
    assert_false(reply.sent);
    transfer_reply_fini(&reply);
    transfer_free(DR_TAKE(t)); /* while both look-ups still wait */
}

/* Only the first of many requests waits for the dead service. */
static void a_dead_name_service_is_not_asked_for_each_request(void **state)
{
    (void)state;
    struct loopserver *s = loopserver_start(say_host, NULL);
    DR_FREE char *file = dr_strf(HOST ",%d", loopserver_port(s));
    put_file(file, "drctl addresses 1\n127.0.0.1\n");
    say_service(SILENT);
    DR_CLEANUP(transfer_free_ptr) struct transfer *t = NULL;
    struct transfer_options o = { .memory = memory, .lookup_ms = 100 };
    assert_int_equal(transfer_new(&o, &t, &err), DR_OK);
    DR_FREE char *url = dr_strf("http://" HOST ":%d/", loopserver_port(s));
    for (unsigned i = 0; i < 20; i++) {
        struct transfer_request q = { .url = url, .deadline_ms = clock_boot_ms() + 60000 };
        struct transfer_reply reply = { 0 };
        assert_int_equal(transfer_do(t, &q, &reply, &err), DR_OK);
        transfer_reply_fini(&reply);
    }
    assert_int_equal(asked(), 1);
    assert_int_equal(loopserver_connections(s), 1);
    end_silence();
    loopserver_stop(s);
}

static void a_remembered_address_that_is_gone_gives_way_to_the_next(void **state)
{
    (void)state;
    struct loopserver *s = loopserver_start(say_host, NULL);
    DR_FREE char *file = dr_strf(HOST ",%d", loopserver_port(s));
    put_file(file, "drctl addresses 1\n127.0.0.2\n::1\n127.0.0.1\n");
    struct asked is =
        ask(&(struct transfer_options){ .memory = memory }, "http", loopserver_port(s));
    assert_int_equal(is.rc, DR_OK);
    assert_true(is.remembered);
    put_file(file, "drctl addresses 1\n127.0.0.2\n");
    is = ask(&(struct transfer_options){ .memory = memory }, "http", loopserver_port(s));
    assert_int_equal(is.rc, DR_E_TRANSIENT);
    assert_non_null(strstr(err.hint, "No name service answered"));
    loopserver_stop(s);
}

static void a_dark_region_is_refused_by_its_remembered_address_too(void **state)
{
    (void)state;
    struct loopserver *s = loopserver_start(say_host, NULL);
    DR_FREE char *file = dr_strf(HOST ",%d", loopserver_port(s));
    put_file(file, "drctl addresses 1\n127.0.0.1\n");
    DR_CLEANUP(gate_free_ptr) struct gate *g = gate_new();
    gate_dark(g, "us-east-1", server_at(loopserver_port(s)));
    struct asked is =
        ask(&(struct transfer_options){ .memory = memory, .gate = g }, "http", loopserver_port(s));
    assert_int_equal(is.rc, DR_E_REFUSED);
    assert_int_equal(gate_refused(g), 1);
    assert_int_equal(loopserver_connections(s), 0);
    loopserver_stop(s);
}

static void the_certificate_of_a_remembered_address_goes_by_the_name(void **state)
{
    (void)state;
    DR_FREE char *cert = dr_strf("%s/cert.pem", dir), *key = dr_strf("%s/key.pem", dir);
    DR_FREE char *wrong = dr_strf("%s/wrong.pem", dir), *wrong_key = dr_strf("%s/wk.pem", dir);
    assert_true(certificate_make("DNS:" HOST, cert, key));
    assert_true(certificate_make("DNS:another.example.invalid,IP:127.0.0.1", wrong, wrong_key));
    int port = server_free_port(), wrong_port = server_free_port();
    DR_FREE char *conf = dr_strf(
        "listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s;", port, cert, key);
    DR_FREE char *wrong_conf =
        dr_strf("listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s;", wrong_port,
                wrong, wrong_key);
    struct server right_one = { 0 }, wrong_one = { 0 };
    assert_true(nginx_start(&right_one, dir, "right", 0, conf));
    assert_true(nginx_start(&wrong_one, dir, "wrong", 0, wrong_conf));
    DR_FREE char *file = dr_strf(HOST ",%d", port), *wrong_file = dr_strf(HOST ",%d", wrong_port);
    put_file(file, "drctl addresses 1\n127.0.0.1\n");
    put_file(wrong_file, "drctl addresses 1\n127.0.0.1\n");

    struct asked is =
        ask(&(struct transfer_options){ .memory = memory, .ca = cert }, "https", port);
    assert_int_equal(is.rc, DR_OK);
    assert_true(is.remembered);
    assert_string_equal(is.body, "ok right");
    is = ask(&(struct transfer_options){ .memory = memory, .ca = wrong }, "https", wrong_port);
    assert_int_equal(is.rc, DR_E_DENIED);
    assert_non_null(strstr(err.hint, HOST));
    is = ask(&(struct transfer_options){ .memory = memory }, "https", port);
    assert_int_equal(is.rc, DR_E_DENIED);
    assert_false(is.sent);
    server_stop(&right_one);
    server_stop(&wrong_one);
}

#define FACT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(what_answered_is_known_to_the_next_process_newest_first),
        FACT(a_service_of_thousands_of_addresses_is_written_now_and_then),
        FACT(what_needs_no_name_or_is_none_is_not_noted),
        FACT(a_damaged_file_counts_as_absent_and_is_replaced),
        FACT(of_two_that_write_at_once_one_does_not),
        FACT(every_failing_call_leaves_the_old_list_or_the_new_one),
        FACT(death_at_any_call_leaves_the_old_list_or_the_new_one),
        FACT(an_endpoint_is_reached_when_no_name_service_answers),
        FACT(a_silent_name_service_outlasts_no_deadline),
        FACT(a_dead_name_service_is_not_asked_for_each_request),
        FACT(a_remembered_address_that_is_gone_gives_way_to_the_next),
        FACT(a_dark_region_is_refused_by_its_remembered_address_too),
        FACT(the_certificate_of_a_remembered_address_goes_by_the_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
