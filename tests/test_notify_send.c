/*
 * test_notify_send.c - letters that really go out: by HTTP to a server that fails on purpose, by commands, in
 * children of their own; what is told then is asserted byte by byte.
 *
 * This program is its own child: with the word "notify-send" it is what drctl would be. Time is a fake clock in
 * the parent, so that no retry is waited for.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/notify/inside.h"
#include "tests/support/fault.h"
#include "tests/support/loopserver.h"

enum { REQUESTS_MAX = 64, BOUND_MS = 60000, TICK_MS = 20, DEATH = 99 };
enum behaviour { GOOD, STATUS_500, STATUS_429, STATUS_400, HANG, LOST };

static const int64_t SECOND = 1000000000;

/* ---- the server: /WORD behaves as told, and remembers what it got ------------------------------------- */

struct got {
    char path[1024], id[64], time[32], signature[80], type[64];
    char *body;
};

static struct {
    pthread_mutex_t mutex; /* over all below */
    pthread_cond_t change;
    struct got got[REQUESTS_MAX];
    size_t count;
    enum behaviour behaviour;
    const char *only; /* for this path; NULL: for all */
    bool released;    /* what hangs goes on */
    struct loopserver *server;
} w = { .mutex = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

static enum behaviour take(const struct loopserver_request *q)
{
    pthread_mutex_lock(&w.mutex);
    assert_true(w.count < REQUESTS_MAX);
    struct got *g = &w.got[w.count++];
    (void)snprintf(g->path, sizeof(g->path), "%s", q->target);
    loopserver_header(q, "Idempotency-Key", g->id, sizeof(g->id));
    loopserver_header(q, "Drctl-Timestamp", g->time, sizeof(g->time));
    loopserver_header(q, "Drctl-Signature", g->signature, sizeof(g->signature));
    loopserver_header(q, "Content-Type", g->type, sizeof(g->type));
    g->body = dr_memdup(q->body, q->body_len);
    enum behaviour b = w.only == NULL || strcmp(w.only, q->target) == 0 ? w.behaviour : GOOD;
    while (b == HANG && !w.released)
        pthread_cond_wait(&w.change, &w.mutex);
    pthread_mutex_unlock(&w.mutex);
    return b;
}

static bool answer(void *arg, const struct loopserver_request *q)
{
    static const char secret_back[] = "no: key-of-the-pager at /hook is not known";
    (void)arg;
    switch (take(q)) {
    case STATUS_500:
        return loopserver_say(q->fd, 500, "", "broken", 6);
    case STATUS_429:
        return loopserver_say(q->fd, 429, "Retry-After: 70\r\n", "", 0);
    case STATUS_400:
        return loopserver_say(q->fd, 400, "", secret_back, sizeof(secret_back) - 1);
    case HANG:
    case LOST:
        return loopserver_reset(q->fd);
    default:
        return loopserver_say(q->fd, 200, "", "ok", 2);
    }
}

static void behave(enum behaviour b, const char *only)
{
    pthread_mutex_lock(&w.mutex);
    w.behaviour = b;
    w.only = only;
    w.released = false;
    pthread_mutex_unlock(&w.mutex);
}

static void release(void)
{
    pthread_mutex_lock(&w.mutex);
    w.released = true;
    pthread_cond_broadcast(&w.change);
    pthread_mutex_unlock(&w.mutex);
}

static size_t requests(const char *path)
{
    size_t count = 0;
    pthread_mutex_lock(&w.mutex);
    for (size_t i = 0; i < w.count; i++)
        count += path == NULL || strcmp(w.got[i].path, path) == 0;
    pthread_mutex_unlock(&w.mutex);
    return count;
}

/* The nth request (1 is the first) of that path. */
static const struct got *request(const char *path, size_t nth)
{
    for (size_t i = 0; i < w.count; i++)
        if (strcmp(w.got[i].path, path) == 0 && --nth == 0)
            return &w.got[i];
    fail_msg("no such request");
    return NULL;
}

/* ---- the world ------------------------------------------------------------------------------------------ */

enum { CHAT, PAGER, HOOK, DESK, CHANNELS };

static char dir[64], chat_url[96], pager_url[96], hook_url[96], said[192];
static char *desk_words[] = { (char[]){ "/bin/sh" }, (char[]){ "-c" }, said };
static char *all[] = { (char[]){ "chat" }, (char[]){ "pager" }, (char[]){ "hook" } };
static char *one[] = { (char[]){ "desk" } };
static struct config_channel channels[CHANNELS] = {
    [CHAT] = { .name = (char[]){ "chat" }, .kind = (char[]){ "slack" }, .url = chat_url },
    [PAGER] = { .name = (char[]){ "pager" },
                .kind = (char[]){ "pagerduty" },
                .url = pager_url,
                .secret = (char[]){ "pager" } },
    [HOOK] = { .name = (char[]){ "hook" },
               .kind = (char[]){ "webhook" },
               .url = hook_url,
               .secret = (char[]){ "hook" } },
    [DESK] = { .name = (char[]){ "desk" },
               .kind = (char[]){ "command" },
               .command = { desk_words, 3, 3 } },
};
static struct config_secret secrets[] = {
    { .name = (char[]){ "pager" }, .env = (char[]){ "TEST_PAGER_KEY" } },
    { .name = (char[]){ "hook" }, .env = (char[]){ "TEST_HOOK_KEY" } },
};
static struct config config;
static struct clock_ops real_clock;
static int64_t fake_ns;

static int64_t fake_boot(void)
{
    return fake_ns;
}

static int64_t fake_wall(void)
{
    return INT64_C(1795230700) * SECOND + fake_ns;
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/dr-notify-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    w.server = loopserver_start(answer, NULL);
    int port = loopserver_port(w.server);
    (void)snprintf(chat_url, sizeof(chat_url), "http://127.0.0.1:%d/chat", port);
    (void)snprintf(pager_url, sizeof(pager_url), "http://127.0.0.1:%d/pager", port);
    (void)snprintf(hook_url, sizeof(hook_url), "http://127.0.0.1:%d/hook", port);
    (void)snprintf(said, sizeof(said), "cat >>%s/desk; echo \"$DRCTL_KIND\" >>%s/kinds", dir, dir);
    setenv("TEST_PAGER_KEY", "key-of-the-pager", 1);
    setenv("TEST_HOOK_KEY", "key-of-the-hook", 1);
    config = (struct config){ .state_dir = dir,
                              .channels = channels,
                              .channel_count = CHANNELS,
                              .secrets = secrets,
                              .secret_count = 2,
                              .critical = { .channels = { all, 3, 3 } },
                              .warning = { .channels = { one, 1, 1 } } };
    behave(GOOD, NULL);
    real_clock = dr_clock;
    fake_ns = 1000 * SECOND;
    dr_clock = (struct clock_ops){ .wall_ns = fake_wall, .boot_ns = fake_boot };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    dr_clock = real_clock;
    release();
    loopserver_stop(w.server);
    for (size_t i = 0; i < w.count; i++)
        free(w.got[i].body);
    w.count = 0;
    return fs_remove_tree(dir, &err) != DR_OK;
}

static struct notify *open_it(void)
{
    struct dr_err err = { 0 };
    struct notify *n = NULL;
    assert_int_equal(notify_open(&config, &n, &err), DR_OK);
    return n;
}

static void tell(struct notify *n, const char *severity, const char *key)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *list = json_array();
    if (key != NULL) {
        json_t *f = json_object();
        json_put_text(f, "severity", severity);
        json_put_text(f, "key", key);
        json_put_text(f, "text", "site 'eu' is silent <5m>");
        json_put_text(f, "hint", "Look at it & act.");
        assert_int_equal(json_array_append_new(list, f), 0);
    }
    assert_int_equal(notify_findings(n, list, &err), DR_OK);
}

static int64_t step(struct notify *n)
{
    struct dr_err err = { 0 };
    int64_t next = 0;
    enum dr_rc rc = notify_step(n, &next, &err);
    if (rc != DR_E_BUSY) /* what a dead sender was just starting may have its lock for a moment */
        assert_int_equal(rc, DR_OK);
    return next;
}

static bool is_quiet(const struct notify *n)
{
    for (size_t i = 0; i < NOTIFY_AT_ONCE; i++)
        if (n->sendings[i].channel != NULL)
            return false;
    return true;
}

/* Step until so many letters wait and nothing is being sent. */
static void until_waiting(struct notify *n, size_t count)
{
    int64_t end = real_clock.boot_ns() + (int64_t)BOUND_MS * 1000000;
    for (step(n); n->keep.alerts.letter_count != count || !is_quiet(n); step(n)) {
        struct pollfd p = { .fd = notify_fd(n), .events = POLLIN };
        (void)poll(&p, 1, TICK_MS);
        assert_true(real_clock.boot_ns() < end);
    }
}

/* ---- what arrives ------------------------------------------------------------------------------------------ */

static void each_kind_gets_its_own_bytes(void **state)
{
    (void)state;
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    tell(n, "critical", "silent/eu");
    const char *host = setup_host();
    const struct alerts *a = &n->keep.alerts;
    DR_FREE char *incident = dr_strdup(a->alerts[0].incident);
    DR_FREE char *pager_id = dr_strdup(a->letters[1].id);
    DR_FREE char *hook_id = dr_strdup(a->letters[2].id);
    until_waiting(n, 0);
    assert_int_equal(requests(NULL), 3);

    DR_FREE char *chat = dr_strf(
        "{\"text\":\"*CRITICAL: site 'eu' is silent &lt;5m&gt;*\\nNext: Look at it &amp; act.\\n"
        "At: 2026-11-21T03:28:20Z, from %s\\nTo take it: drctl alerts ack silent/eu\\n\"}",
        host);
    assert_string_equal(request("/chat", 1)->body, chat);
    assert_string_equal(request("/chat", 1)->type, "application/json");

    DR_FREE char *pager = dr_strf(
        "{\"client\":\"drctl\",\"dedup_key\":\"drctl/silent/eu\",\"event_action\":\"trigger\","
        "\"payload\":{\"custom_details\":{\"hint\":\"Look at it & act.\",\"letter\":\"%s\","
        "\"text\":\"site 'eu' is silent <5m>\"},\"severity\":\"critical\",\"source\":\"%s\","
        "\"summary\":\"CRITICAL: site 'eu' is silent <5m>\","
        "\"timestamp\":\"2026-11-21T03:28:20Z\"},\"routing_key\":\"key-of-the-pager\"}",
        pager_id, host);
    assert_string_equal(request("/pager", 1)->body, pager);

    DR_FREE char *hook = dr_strf(
        "{\"acknowledged_by\":null,\"at\":\"2026-11-21T03:28:20Z\",\"contact\":null,"
        "\"hint\":\"Look at it & act.\",\"host\":\"%s\",\"id\":\"%s\",\"incident\":\"%s\","
        "\"key\":\"silent/eu\",\"kind\":\"raised\",\"phone\":null,\"schema\":\"drctl-letter-1\","
        "\"severity\":\"critical\",\"text\":\"site 'eu' is silent <5m>\","
        "\"title\":\"site 'eu' is silent <5m>\"}",
        host, hook_id, incident);
    const struct got *g = request("/hook", 1);
    assert_string_equal(g->body, hook);
    assert_string_equal(g->id, hook_id);
    const struct buf body = { .data = g->body, .len = strlen(g->body) };
    DR_FREE char *signature = wire_signature("key-of-the-hook", strtoll(g->time, NULL, 10), &body);
    assert_string_equal(g->signature, signature);
    int64_t apart = strtoll(g->time, NULL, 10) - real_clock.wall_ns() / SECOND;
    assert_in_range(apart + 60, 0, 60); /* its time is that of the attempt */
}

/* The second line of: printf '1795230700.{"a":1}' | openssl dgst -sha256 -hmac k */
static void the_signature_is_what_openssl_makes_of_it(void **state)
{
    (void)state;
    const struct buf body = { .data = (char[]){ "{\"a\":1}" }, .len = 7 };
    DR_FREE char *signature = wire_signature("k", 1795230700, &body);
    assert_string_equal(signature,
                        "v1=b187c719d62879b34e8fe8503ef29efcfe9f14a60918d96be26578eadcb42601");
}

static void pagerduty_is_told_of_acknowledgement_and_end_under_one_key(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    tell(n, "critical", "silent/eu");
    assert_int_equal(notify_acknowledge(n, "silent/eu", "ana", &err), DR_OK);
    tell(n, "critical", NULL);
    until_waiting(n, 0);
    assert_int_equal(requests("/pager"), 3); /* in their order, though all three waited */
    assert_non_null(strstr(request("/pager", 1)->body, "\"event_action\":\"trigger\""));
    assert_string_equal(request("/pager", 2)->body,
                        "{\"dedup_key\":\"drctl/silent/eu\",\"event_action\":\"acknowledge\","
                        "\"routing_key\":\"key-of-the-pager\"}");
    assert_string_equal(request("/pager", 3)->body,
                        "{\"dedup_key\":\"drctl/silent/eu\",\"event_action\":\"resolve\","
                        "\"routing_key\":\"key-of-the-pager\"}");
}

static void a_command_gets_the_text_on_its_standard_input(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    tell(n, "warning", "overdue/app");
    until_waiting(n, 0);
    DR_CLEANUP(buf_fini) struct buf got = { 0 };
    DR_FREE char *path = dr_strf("%s/desk", dir);
    assert_int_equal(fs_read_file(path, 10000, &got, &err), DR_OK);
    DR_FREE char *wanted = dr_strf("WARNING: site 'eu' is silent <5m>\n\nNext: Look at it & act.\n"
                                   "At: 2026-11-21T03:28:20Z, from %s\n"
                                   "To take it: drctl alerts ack overdue/app\n",
                                   setup_host());
    assert_string_equal(got.data, wanted);
}

static void a_command_that_fails_is_tried_again_with_its_words_kept(void **state)
{
    (void)state;
    (void)snprintf(said, sizeof(said), "echo 'no line'; exit 3");
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    tell(n, "warning", "overdue/app");
    until_waiting(n, 1);
    assert_string_equal(n->keep.alerts.letters[0].why, "exit code 3: no line");
    (void)snprintf(said, sizeof(said), "cat >/dev/null");
    fake_ns += 10 * SECOND;
    until_waiting(n, 0);
}

/* ---- at least once ---------------------------------------------------------------------------------------- */

static void what_a_server_fails_is_sent_again_with_the_same_id(void **state)
{
    (void)state;
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    behave(STATUS_500, "/hook");
    tell(n, "critical", "silent/eu");
    until_waiting(n, 1);
    assert_int_equal(requests("/hook"), 1);
    assert_string_equal(n->keep.alerts.letters[0].why, "HTTP/1.1 500 Said: broken");
    behave(GOOD, NULL);
    fake_ns += 3 * SECOND; /* more than the first wait can be */
    until_waiting(n, 0);
    assert_int_equal(requests("/hook"), 2);
    assert_string_equal(request("/hook", 1)->id, request("/hook", 2)->id);
    assert_string_equal(request("/hook", 1)->body, request("/hook", 2)->body);
}

static void an_answer_that_was_lost_behind_the_effect_is_a_second_letter(void **state)
{
    (void)state;
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    behave(LOST, "/chat");
    tell(n, "critical", "silent/eu");
    until_waiting(n, 1);
    behave(GOOD, NULL);
    fake_ns += 3 * SECOND;
    until_waiting(n, 0);
    assert_int_equal(requests("/chat"), 2);
    assert_string_equal(request("/chat", 1)->body, request("/chat", 2)->body);
}

static void a_server_that_asks_for_time_gets_it(void **state)
{
    (void)state;
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    behave(STATUS_429, "/pager");
    tell(n, "critical", "silent/eu");
    until_waiting(n, 1);
    behave(GOOD, NULL);
    assert_true(step(n) >= fake_ns + 70 * SECOND); /* when to call again */
    fake_ns += 69 * SECOND;
    until_waiting(n, 1);
    assert_int_equal(requests("/pager"), 1);
    fake_ns += 4 * SECOND;
    until_waiting(n, 0);
    assert_int_equal(requests("/pager"), 2);
}

static void a_server_that_hangs_holds_up_neither_the_caller_nor_the_others(void **state)
{
    (void)state;
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    behave(HANG, "/pager");
    tell(n, "critical", "silent/eu");
    int64_t end = real_clock.boot_ns() + (int64_t)BOUND_MS * 1000000;
    for (step(n); n->keep.alerts.letter_count != 1 || requests("/pager") != 1; step(n)) {
        struct pollfd p = { .fd = notify_fd(n), .events = POLLIN };
        (void)poll(&p, 1, TICK_MS);
        assert_true(real_clock.boot_ns() < end);
    }
    assert_false(is_quiet(n));
    assert_int_equal(requests("/chat") + requests("/hook"), 2);
    notify_close(DR_TAKE(n)); /* ends what hangs */
    release();
    behave(GOOD, NULL);
    n = open_it();
    assert_int_equal(n->keep.alerts.letter_count, 1);
    until_waiting(n, 0);
    assert_int_equal(requests("/pager"), 2);
}

static int64_t late_boot(void)
{
    return fake_ns +=
           19900 * (SECOND / 1000); /* each look at the clock is almost the deadline later */
}

static void a_server_that_hangs_is_left_at_the_deadline_and_asked_again(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_JSON json_t *target = NULL;
    const struct setup s = { .config = &config };
    assert_int_equal(setup_target(&s, "chat", &target, &err), DR_OK);
    behave(HANG, NULL);
    dr_clock.boot_ns = late_boot;
    char word[] = "x", none[] = "";
    const struct letter l = { .id = word,
                              .key = word,
                              .incident = word,
                              .kind = word,
                              .severity = word,
                              .title = word,
                              .text = none,
                              .hint = none };
    struct sent sent;
    send_letter(target, &l, &sent);
    assert_false(sent.delivered);
    assert_false(sent.refused);
    assert_non_null(strstr(sent.why, "timed out"));
    sent_fini(&sent);
}

/* The process that sends dies when the server has the letter and nobody noted it. */
static void killed_between_effect_and_note_the_letter_comes_twice(void **state)
{
    (void)state;
    {
        DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
        tell(n, "critical", "silent/eu");
    }
    pid_t pid = fork();
    if (pid == 0) {
        struct notify *n = open_it();
        step(n); /* the letters go out ... */
        for (;;)
            pause(); /* ... and their answers are never read */
    }
    int64_t end = real_clock.boot_ns() + (int64_t)BOUND_MS * 1000000;
    while (requests(NULL) < 3 && real_clock.boot_ns() < end)
        (void)poll(NULL, 0, TICK_MS);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(requests(NULL), 3);
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    assert_int_equal(n->keep.alerts.letter_count, 3);
    until_waiting(n, 0);
    assert_int_equal(requests(NULL), 6);
    assert_string_equal(request("/hook", 1)->id, request("/hook", 2)->id);
}

/* A child that sends, and dies at the given call; DEATH, or 0 when there were fewer calls. */
static int send_and_die(unsigned call)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct dr_err err = { 0 };
        struct notify *n = NULL;
        int64_t next = 0;
        if (notify_open(&config, &n, &err) != DR_OK)
            _exit(1);
        fault_arm(FAULT_DIE_AFTER, call);
        for (int i = 0; i < BOUND_MS / TICK_MS; i++) {
            if (notify_step(n, &next, &err) != DR_OK)
                _exit(1);
            if (n->keep.alerts.letter_count == 0)
                _exit(fault_disarm() ? 1 : 0);
            struct pollfd p = { .fd = notify_fd(n), .events = POLLIN };
            (void)poll(&p, 1, TICK_MS * 10);
        }
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void dead_at_any_call_the_letter_arrives_all_the_same(void **state)
{
    (void)state;
    for (unsigned call = 1;; call++) {
        struct dr_err err = { 0 };
        DR_FREE char *alerts_dir = dr_strf("%s/alerts", dir);
        DR_FREE char *kinds = dr_strf("%s/kinds", dir);
        (void)unlink(kinds);
        assert_int_equal(fs_remove_tree(alerts_dir, &err), DR_OK);
        DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
        tell(n, "warning", "overdue/app");
        int code = send_and_die(call);
        until_waiting(n, 0);
        DR_CLEANUP(buf_fini) struct buf got = { 0 };
        assert_int_equal(fs_read_file(kinds, 1000, &got, &err), DR_OK);
        assert_true(strcmp(got.data, "raised\n") == 0 ||
                    (code != 0 && strcmp(got.data, "raised\nraised\n") == 0));
        if (code == 0) {
            assert_true(call > 20); /* that many calls there are, at least */
            break;
        }
        assert_int_equal(code, DEATH);
        assert_true(call < 300);
    }
}

static void one_process_sends_and_others_may_look_and_acknowledge(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    int64_t next = 0;
    DR_CLEANUP(notify_close_ptr) struct notify *first = open_it();
    tell(first, "critical", "silent/eu");
    until_waiting(first, 0);
    DR_CLEANUP(notify_close_ptr) struct notify *second = open_it();
    assert_int_equal(notify_acknowledge(second, "silent/eu", "bo", &err), DR_OK);
    assert_int_equal(notify_step(second, &next, &err), DR_E_BUSY);
    assert_int_equal(requests(NULL), 3);
    until_waiting(first, 0);
    assert_int_equal(requests(NULL), 6);
    notify_close(DR_TAKE(first));
    assert_int_equal(notify_step(second, &next, &err), DR_OK);
}

/* ---- what does not arrive ------------------------------------------------------------------------------------ */

static void what_is_refused_for_a_day_is_kept_and_told_by_another_channel(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    config.warning.channels = (struct text_list){ &all[2], 1, 1 }; /* hook alone */
    config.critical.channels = (struct text_list){ one, 1, 1 };    /* desk */
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    behave(STATUS_500, "/hook");
    tell(n, "warning", "overdue/app");
    DR_FREE char *id = dr_strdup(n->keep.alerts.letters[0].id);
    for (int i = 0; i < 19; i++) {
        until_waiting(n, 1);
        fake_ns += 5000 * SECOND;
    }
    until_waiting(n, 0); /* the twentieth, and more than a day */
    assert_int_equal(requests("/hook"), 20);
    DR_CLEANUP(buf_fini) struct buf dead = { 0 };
    DR_FREE char *path = dr_strf("%s/alerts/dead/%s.json", dir, id);
    assert_int_equal(fs_read_file(path, 10000, &dead, &err), DR_OK);
    assert_non_null(strstr(dead.data, "\"why\":\"HTTP/1.1 500 Said: broken\""));
    DR_CLEANUP(buf_fini) struct buf told = { 0 };
    DR_FREE char *desk = dr_strf("%s/desk", dir);
    assert_int_equal(fs_read_file(desk, 10000, &told, &err), DR_OK);
    assert_non_null(strstr(told.data, "CRITICAL: channel 'hook' does not deliver"));
    DR_JSON json_t *rows = notify_channels(n);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, HOOK), "dead")), 1);
}

static void a_secret_is_in_no_file_and_no_word_of_ours(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    behave(STATUS_400, "/pager");
    tell(n, "critical", "silent/eu");
    until_waiting(n, 1);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_FREE char *path = dr_strf("%s/alerts/state.json", dir);
    assert_int_equal(fs_read_file(path, 1 << 20, &bytes, &err), DR_OK);
    assert_non_null(strstr(bytes.data, "no: **************** at ")); /* the server repeated it */
    assert_null(strstr(bytes.data, "key-of-the-pager"));
    assert_null(strstr(bytes.data, "key-of-the-hook"));
    assert_null(strstr(bytes.data, "127.0.0.1"));
}

static void a_secret_that_is_missing_is_told_by_the_other_channels(void **state)
{
    (void)state;
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it();
    unsetenv("TEST_PAGER_KEY");
    tell(n, "critical", "silent/eu");
    until_waiting(n, 1);
    assert_int_equal(requests("/pager"), 0);
    assert_int_equal(requests("/chat"), 2);
    assert_non_null(strstr(request("/chat", 2)->body, "channel 'pager' does not deliver"));
    assert_non_null(strstr(request("/chat", 2)->body, "TEST_PAGER_KEY"));
}

/* ---- a test of a channel --------------------------------------------------------------------------------------- */

static void a_test_letter_tells_what_the_server_answered(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_FREE char *answer_of_it = NULL;
    dr_clock = real_clock;
    assert_int_equal(notify_test(&config, "chat", &answer_of_it, &err), DR_OK);
    assert_string_equal(answer_of_it, "HTTP/1.1 200 Said: ok");
    assert_non_null(strstr(request("/chat", 1)->body, "INFO: a test of this channel"));
    behave(STATUS_500, NULL);
    char *none = NULL;
    assert_int_equal(notify_test(&config, "hook", &none, &err), DR_E_TRANSIENT);
    assert_non_null(strstr(err.msg, "500 Said: broken"));
    assert_int_equal(notify_test(&config, "nobody", &none, &err), DR_E_NOTFOUND);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "notify-send") == 0)
        return notify_child();
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_kind_gets_its_own_bytes),
        TEST(the_signature_is_what_openssl_makes_of_it),
        TEST(pagerduty_is_told_of_acknowledgement_and_end_under_one_key),
        TEST(a_command_gets_the_text_on_its_standard_input),
        TEST(a_command_that_fails_is_tried_again_with_its_words_kept),
        TEST(what_a_server_fails_is_sent_again_with_the_same_id),
        TEST(an_answer_that_was_lost_behind_the_effect_is_a_second_letter),
        TEST(a_server_that_asks_for_time_gets_it),
        TEST(a_server_that_hangs_holds_up_neither_the_caller_nor_the_others),
        TEST(a_server_that_hangs_is_left_at_the_deadline_and_asked_again),
        TEST(killed_between_effect_and_note_the_letter_comes_twice),
        TEST(dead_at_any_call_the_letter_arrives_all_the_same),
        TEST(one_process_sends_and_others_may_look_and_acknowledge),
        TEST(what_is_refused_for_a_day_is_kept_and_told_by_another_channel),
        TEST(a_secret_is_in_no_file_and_no_word_of_ours),
        TEST(a_secret_that_is_missing_is_told_by_the_other_channels),
        TEST(a_test_letter_tells_what_the_server_answered),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
