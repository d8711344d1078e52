/*
 * The outside eye: what is drawn from the lines, and what never is; a prober against real servers.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/daemon/backupd.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/data/time.h"
#include "tests/support/fault.h"

static const int64_t S = 1000000000;
static const int64_t WALL0 = 1795230000LL * 1000000000; /* 2026-11-21T03:00:00Z */
static const int64_t BOOT0 = 500LL * 1000000000;

static char dir[64];
static struct clock_ops real_clock;
static int64_t fake_s;

static int64_t fake_wall(void)
{
    return WALL0 + fake_s * S;
}

static int64_t fake_boot(void)
{
    return BOOT0 + fake_s * S;
}

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/test_health.XXXXXX");
    real_clock = dr_clock;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    dr_clock = real_clock;
    struct dr_err err = { 0 };
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

static void use_fake_clock(int64_t now_s)
{
    fake_s = now_s;
    dr_clock = (struct clock_ops){ .wall_ns = fake_wall, .boot_ns = fake_boot };
}

static char probe_name[] = "front";

/* The configuration owns its texts; ours are literals that nobody frees. */
static char *as_owned(const char *text)
{
    char *owned;
    memcpy(&owned, &text, sizeof(owned));
    return owned;
}

static struct config_probe probe_of(const char *kind, const char *url)
{
    return (struct config_probe){ .name = probe_name,
                                  .kind = as_owned(kind),
                                  .url = as_owned(url),
                                  .expect = 200,
                                  .interval_ms = 1000,
                                  .timeout_ms = 2000,
                                  .times = 3 };
}

static void write_text(const char *name, const char *mode, const char *text)
{
    DR_FREE char *sub = dr_strf("%s/health", dir);
    mkdir(sub, 0755);
    DR_FREE char *path = dr_strf("%s/%s", sub, name);
    FILE *fp = fopen(path, mode);
    assert_non_null(fp);
    fputs(text, fp);
    fclose(fp);
}

static char *read_text(const char *name)
{
    DR_FREE char *path = dr_strf("%s/health/%s", dir, name);
    struct buf b = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(fs_read_file(path, 64 << 20, &b, &err), DR_OK);
    return buf_take(&b);
}

static void add_line(struct buf *out, int64_t at_s, int64_t wall_jump_s, const char *boot,
                     const char *result)
{
    char time[TIME_TEXT_MAX];
    buf_addf(
        out,
        "{\"boot_id\":\"%s\",\"boot_ns\":%" PRId64 ",\"ms\":10,\"result\":\"%s\",\"time\":\"%s\","
        "\"why\":\"words at %" PRId64 "\"}\n",
        boot, BOOT0 + at_s * S, result, time_print(WALL0 + (at_s + wall_jump_s) * S, time), at_s);
}

/* One letter a second: p pass, f fail, u unknown, '.' silence, 't' a torn line. */
static void write_letters(const char *letters, int64_t wall_jump_at, int64_t wall_jump_s)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    for (int64_t i = 0; letters[i] != '\0'; i++) {
        int64_t jump_s = i >= wall_jump_at ? wall_jump_s : 0;
        const char *result = letters[i] == 'p'   ? "pass"
                             : letters[i] == 'f' ? "fail"
                             : letters[i] == 'u' ? "unknown"
                                                 : NULL;
        if (result != NULL)
            add_line(&b, i, jump_s, health_boot_id(), result);
        else if (letters[i] == 't')
            buf_adds(&b, "{\"boot_id\":\"x\",\"boot_ns\":12\n");
    }
    if (b.len > 0)
        write_text("front.jsonl", "w", b.data);
}

static void assert_mark(const char *what, const struct health_mark *m, int want_s)
{
    int64_t got_s = m->known ? (m->boot_ns - BOOT0) / S : -1;
    if (got_s != want_s)
        print_message("  %s: got %lld, want %d\n", what, (long long)got_s, want_s);
    assert_int_equal(got_s, want_s);
}

/* --- samples --- */

static json_t *samples_since(int since_s)
{
    struct config_probe probe = probe_of("tcp", "tcp://127.0.0.1:1");
    struct health_mark mark = { .known = true,
                                .wall_ns = WALL0 + since_s * S,
                                .boot_ns = BOOT0 + since_s * S };
    snprintf(mark.boot_id, sizeof(mark.boot_id), "%s", health_boot_id());
    struct dr_err err = { 0 };
    json_t *samples = NULL;
    assert_int_equal(health_samples(dir, &probe, &mark, &samples, &err), DR_OK);
    return samples;
}

static int64_t point(const json_t *samples, size_t at, size_t member)
{
    const json_t *points = json_object_get(samples, "points");
    return json_integer_value(json_array_get(json_array_get(points, at), member));
}

static void samples_are_the_lines_round_the_mark(void **state)
{
    (void)state;
    write_letters("pptfu.p", 7, 0);
    DR_JSON json_t *samples = samples_since(3);
    static const int64_t want[][2] = {
        { -3000, 1 }, { -2000, 1 }, { 0, 0 }, { 1000, -1 }, { 3000, 1 }
    };
    assert_int_equal(json_array_size(json_object_get(samples, "points")), DR_ARRAY_LEN(want));
    for (size_t i = 0; i < DR_ARRAY_LEN(want); i++) {
        assert_int_equal(point(samples, i, 0), want[i][0]);
        assert_int_equal(point(samples, i, 1), want[i][1]);
        assert_int_equal(point(samples, i, 2), 10);
    }
    write_text("front.jsonl", "w", "");
    assert_null(samples_since(3));
}

/* Of 2,100 lines those from a minute before the mark on: at most 600 points, and the one fail among them. */
static void many_lines_are_few_samples_and_no_fail_is_lost(void **state)
{
    (void)state;
    char letters[2101];
    memset(letters, 'p', sizeof(letters) - 1);
    letters[sizeof(letters) - 1] = '\0';
    letters[1501] = 'f';
    write_letters(letters, INT64_MAX, 0);
    DR_JSON json_t *samples = samples_since(160);
    size_t count = json_array_size(json_object_get(samples, "points"));
    assert_in_range(count, 450, HEALTH_SAMPLES);
    assert_int_equal(point(samples, 0, 0), -HEALTH_SAMPLES_BEFORE_MS);
    size_t fails = 0;
    for (size_t i = 0; i < count; i++) {
        if (point(samples, i, 1) != 0)
            continue;
        fails++;
        assert_int_equal(point(samples, i, 0), 1341000);
    }
    assert_int_equal(fails, 1);
}

struct facts_case {
    const char *letters;
    int since; /* second of the mark; -1: none */
    int last_good, first_bad, last_bad, first_good, passes;
};

static void facts_are_the_edges_of_the_outage(void **state)
{
    (void)state;
    static const struct facts_case cases[] = {
        /* going on now */
        { "ppp", -1, 2, -1, -1, -1, 3 },
        { "pppff", -1, 2, 3, 4, -1, 0 },
        { "fff", -1, -1, 0, 2, -1, 0 },
        /* an unknown is no edge: the interval grows */
        { "ppuff", -1, 1, 3, 4, -1, 0 },
        { "ppffuu", -1, 1, 2, 3, -1, 0 },
        { "uuu", -1, -1, -1, -1, -1, 0 },
        /* a single pass in between does not end it */
        { "ppfpfppf", -1, 1, 2, 7, -1, 0 },
        { "ppffpp", -1, 1, 2, 3, -1, 2 },
        /* over: not asked about without since */
        { "ppffppp", -1, 6, -1, -1, -1, 3 },
        { "ppffpppfp", -1, 6, 7, 7, -1, 1 },
        /* the same with the mark of the start */
        { "ppffppp", 1, 1, 2, 3, 4, 3 },
        { "ppffppppp", 1, 1, 2, 3, 4, 5 },
        { "ppffpupp", 1, 1, 2, 3, -1, 2 },
        { "ppffpuppp", 1, 1, 2, 3, 6, 3 },
        /* back, lost again, back: the whole of it counts */
        { "ppffpppffppp", 1, 1, 2, 8, 9, 3 },
        { "ppffpppff", 1, 1, 2, 8, -1, 0 },
        /* the start saw nothing bad yet */
        { "ppppffppp", 1, 3, 4, 5, 6, 3 },
        /* an outage before the mark is another one */
        { "pffpppppffppp", 6, 7, 8, 9, 10, 3 },
        { "pffppppp", 4, 7, -1, -1, -1, 4 },
        /* silence: passes around it are not in a row (3 intervals and the timeout are 5 s) */
        { "ppffpp......p", 1, 1, 2, 3, -1, 1 },
        { "ppffpp....p", 1, 1, 2, 3, 4, 3 },
        { "pp......ff", -1, 1, 8, 9, -1, 0 },
        /* torn lines are as if nobody had looked */
        { "pptffptpp", 1, 1, 3, 4, 5, 3 },
        { "", -1, -1, -1, -1, -1, 0 },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        const struct facts_case *c = &cases[i];
        drop_dir(state);
        make_dir(state);
        use_fake_clock((int64_t)strlen(c->letters));
        write_letters(c->letters, 0, 0);
        struct health_mark since = { .known = true,
                                     .wall_ns = WALL0 + c->since * S,
                                     .boot_ns = BOOT0 + c->since * S };
        snprintf(since.boot_id, sizeof(since.boot_id), "%s", health_boot_id());
        struct config_probe probe = probe_of("http", "");
        struct health_facts f;
        struct dr_err err = { 0 };
        print_message("  '%s' since %d\n", c->letters, c->since);
        assert_int_equal(health_facts(dir, &probe, c->since < 0 ? NULL : &since, &f, &err), DR_OK);
        assert_mark("last_good", &f.last_good, c->last_good);
        assert_mark("first_bad", &f.first_bad, c->first_bad);
        if (c->first_bad >= 0)
            assert_mark("last_bad", &f.last_bad, c->last_bad);
        assert_mark("first_good", &f.first_good, c->first_good);
        assert_int_equal(f.passes, c->passes);
        assert_int_equal(f.times, 3);
    }
}

static void facts_tell_the_words_of_the_first_fail(void **state)
{
    (void)state;
    use_fake_clock(5);
    write_letters("ppfff", 0, 0);
    struct config_probe probe = probe_of("http", "");
    struct health_facts f;
    struct dr_err err = { 0 };
    assert_int_equal(health_facts(dir, &probe, NULL, &f, &err), DR_OK);
    assert_string_equal(f.bad_why, "words at 2");
    assert_true(health_is_down(&f));
    assert_false(f.stale);
}

static void fails_are_counted_in_a_row_since_the_outage_began(void **state)
{
    (void)state;
    static const struct {
        const char *letters;
        int fails;
    } cases[] = { { "ppp", 0 },    { "pf", 1 },      { "pff", 2 },
                  { "pffpf", 2 },  { "pfufuf", 3 },  { "pfpff", 2 },
                  { "pffppp", 0 }, { "pffpppf", 1 }, { "pfffpuf", 3 } };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        struct health_facts f;
        struct dr_err err = { 0 };
        const struct config_probe probe = probe_of("http", "http://127.0.0.1/");
        use_fake_clock((int64_t)strlen(cases[i].letters));
        write_letters(cases[i].letters, 1000, 0);
        assert_int_equal(health_facts(dir, &probe, NULL, &f, &err), DR_OK);
        if (f.fails != cases[i].fails)
            fail_msg("'%s': %d fails, not %d", cases[i].letters, f.fails, cases[i].fails);
    }
}

static void silence_is_stale_and_no_fact(void **state)
{
    (void)state;
    struct config_probe probe = probe_of("http", "");
    struct health_facts f;
    struct dr_err err = { 0 };
    use_fake_clock(5);
    assert_int_equal(health_facts(dir, &probe, NULL, &f, &err), DR_OK);
    assert_true(f.stale);
    assert_false(f.newest.known);
    write_letters("ppp", 0, 0);
    use_fake_clock(7); /* the newest is 5 s old: 3 intervals and the timeout */
    assert_int_equal(health_facts(dir, &probe, NULL, &f, &err), DR_OK);
    assert_false(f.stale);
    use_fake_clock(8);
    assert_int_equal(health_facts(dir, &probe, NULL, &f, &err), DR_OK);
    assert_true(f.stale);
    assert_false(health_is_down(&f)); /* nobody saw it down */
    assert_mark("last_good", &f.last_good, 2);
}

static void facts_go_by_boot_time_when_the_wall_clock_jumps(void **state)
{
    (void)state;
    use_fake_clock(8);
    write_letters("ppffpppp", 3, -3600);
    struct health_mark since = { .known = true, .wall_ns = WALL0 + S, .boot_ns = BOOT0 + S };
    snprintf(since.boot_id, sizeof(since.boot_id), "%s", health_boot_id());
    struct config_probe probe = probe_of("http", "");
    struct health_facts f;
    struct dr_err err = { 0 };
    assert_int_equal(health_facts(dir, &probe, &since, &f, &err), DR_OK);
    assert_mark("last_good", &f.last_good, 1);
    assert_mark("last_bad", &f.last_bad, 3);
    assert_mark("first_good", &f.first_good, 4);
    assert_false(f.stale);
}

static void since_may_be_a_time_on_the_wall(void **state)
{
    (void)state;
    use_fake_clock(9);
    write_letters("pfpppffpp", 0, 0);
    struct health_mark since = { .known = true, .wall_ns = WALL0 + 3 * S };
    struct config_probe probe = probe_of("http", "");
    struct health_facts f;
    struct dr_err err = { 0 };
    assert_int_equal(health_facts(dir, &probe, &since, &f, &err), DR_OK);
    assert_mark("last_good", &f.last_good, 4);
    assert_mark("first_bad", &f.first_bad, 5);
}

static void facts_survive_the_journal(void **state)
{
    (void)state;
    use_fake_clock(7);
    write_letters("ppffppp", 0, 0);
    struct health_mark since = { .known = true, .wall_ns = WALL0 };
    struct config_probe probe = probe_of("http", "");
    struct health_facts f, back;
    struct dr_err err = { 0 };
    assert_int_equal(health_facts(dir, &probe, &since, &f, &err), DR_OK);
    DR_JSON json_t *value = health_facts_json(&f);
    assert_true(health_facts_read(value, &back));
    DR_JSON json_t *again = health_facts_json(&back);
    assert_true(json_equal(value, again));
    assert_mark("first_good", &back.first_good, 4);
    json_object_del(value, "times");
    assert_false(health_facts_read(value, &back));
    assert_false(health_facts_read(NULL, &back));
}

/* --- a server of our own: an HTTP status, or a name server, in a child --- */

static int listen_on(int type, char address[32])
{
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(sa);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 16), 0);
    snprintf(address, 32, "127.0.0.1:%d", ntohs(sa.sin_port));
    return fd;
}

static _Noreturn void serve_http(int fd, int status)
{
    for (;;) {
        int peer = accept(fd, NULL, NULL);
        char ask[2048];
        ssize_t got = read(peer, ask, sizeof(ask) - 1);
        ask[got > 0 ? got : 0] = '\0';
        dprintf(peer, "HTTP/1.1 %d Word\r\nContent-Length: 0\r\nX-Host: ok\r\n\r\n", status);
        close(peer);
    }
}

/* Every name is 127.0.0.1: the question is sent back with one A record behind it. */
static _Noreturn void serve_dns(int fd)
{
    for (;;) {
        uint8_t packet[1024];
        struct sockaddr_in peer;
        socklen_t len = sizeof(peer);
        ssize_t got = recvfrom(fd, packet, 512, 0, (struct sockaddr *)&peer, &len);
        if (got < 17)
            continue;
        size_t at = 12;
        while (at < (size_t)got && packet[at] != 0)
            at += packet[at] + 1u;
        at += 5; /* the root's zero, type, class */
        static const uint8_t answer[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1 };
        packet[2] = 0x84;
        packet[3] = 0;
        packet[7] = 1;            /* one answer */
        memset(packet + 8, 0, 4); /* no authority, nothing additional */
        memcpy(packet + at, answer, sizeof(answer));
        sendto(fd, packet, at + sizeof(answer), 0, (struct sockaddr *)&peer, len);
    }
}

static pid_t start_server(int fd, int status)
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        if (status > 0)
            serve_http(fd, status);
        serve_dns(fd);
    }
    close(fd);
    return pid;
}

static void stop_server(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void http_probe_judges_the_status(void **state)
{
    (void)state;
    char good[32], bad[32], why[HEALTH_WHY_MAX];
    pid_t one = start_server(listen_on(SOCK_STREAM, good), 200);
    pid_t two = start_server(listen_on(SOCK_STREAM, bad), 503);
    DR_FREE char *good_url = dr_strf("http://%s/health", good);
    DR_FREE char *bad_url = dr_strf("http://%s/health", bad);
    struct config_probe probe = probe_of("http", good_url);
    assert_int_equal(health_ask(&probe, why), HEALTH_PASS);
    probe.url = bad_url;
    assert_int_equal(health_ask(&probe, why), HEALTH_FAIL);
    assert_string_equal(why, "HTTP/1.1 503 Word");
    probe.expect = 503;
    assert_int_equal(health_ask(&probe, why), HEALTH_PASS);
    stop_server(one);
    stop_server(two);
    probe.url = good_url;
    assert_int_equal(health_ask(&probe, why), HEALTH_FAIL); /* nobody is there */
    probe.url = probe_name;
    assert_int_equal(health_ask(&probe, why), HEALTH_UNKNOWN); /* it could not be asked */
}

static void a_server_that_takes_the_call_and_says_nothing_fails(void **state)
{
    (void)state;
    char address[32], why[HEALTH_WHY_MAX];
    int fd = listen_on(SOCK_STREAM, address);
    DR_FREE char *url = dr_strf("http://%s/health", address);
    struct config_probe probe = probe_of("http", url);
    probe.timeout_ms = 200;
    assert_int_equal(health_ask(&probe, why), HEALTH_FAIL);
    close(fd);
}

static void probe_goes_where_its_name_server_says(void **state)
{
    (void)state;
    char web[32], dns[32], why[HEALTH_WHY_MAX];
    pid_t one = start_server(listen_on(SOCK_STREAM, web), 200);
    pid_t two = start_server(listen_on(SOCK_DGRAM, dns), 0);
    DR_FREE char *url = dr_strf("http://www.example.invalid:%s/", strchr(web, ':') + 1);
    struct config_probe probe = probe_of("http", url);
    probe.resolver = dns;
    assert_int_equal(health_ask(&probe, why), HEALTH_PASS);
    DR_FREE char *place = dr_strf("tcp://www.example.invalid:%s", strchr(web, ':') + 1);
    probe = probe_of("tcp", place);
    probe.resolver = dns;
    assert_int_equal(health_ask(&probe, why), HEALTH_PASS);
    stop_server(two);
    assert_int_equal(health_ask(&probe, why), HEALTH_FAIL); /* the users' name leads nowhere */
    stop_server(one);
}

static void tcp_probe_connects(void **state)
{
    (void)state;
    char address[32], why[HEALTH_WHY_MAX];
    int fd = listen_on(SOCK_STREAM, address);
    struct config_probe probe = probe_of("tcp", address);
    assert_int_equal(health_ask(&probe, why), HEALTH_PASS);
    close(fd);
    assert_int_equal(health_ask(&probe, why), HEALTH_FAIL);
    probe.url = probe_name;
    assert_int_equal(health_ask(&probe, why), HEALTH_UNKNOWN);
}

static char *write_script(const char *body)
{
    char *path = dr_strf("%s/probe.sh", dir);
    FILE *fp = fopen(path, "w");
    assert_non_null(fp);
    fprintf(fp, "#!/bin/sh\n%s\n", body);
    fclose(fp);
    chmod(path, 0755);
    return path;
}

static void exec_probe_has_three_answers(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum health_result result;
        const char *why;
    } cases[] = {
        { "echo fine; echo more", HEALTH_PASS, "fine" },
        { "echo replica lags >&2; exit 1", HEALTH_FAIL, "replica lags" },
        { "exit 2", HEALTH_UNKNOWN, "exit code 2" },
        { "kill -9 $$", HEALTH_UNKNOWN, "killed by signal 9" },
        { "printf 'a\\033[2Jb'", HEALTH_PASS, "a\\x1b[2Jb" },
        { "sleep 600 & exec sleep 600", HEALTH_UNKNOWN, "no answer in time" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        DR_FREE char *path = write_script(cases[i].body);
        char why[HEALTH_WHY_MAX];
        struct config_probe probe = probe_of("exec", path);
        probe.timeout_ms = strstr(cases[i].body, "sleep") != NULL ? 200 : 30000;
        assert_int_equal(health_ask(&probe, why), cases[i].result);
        assert_string_equal(why, cases[i].why);
    }
    struct config_probe probe = probe_of("exec", "/nonexistent");
    char why[HEALTH_WHY_MAX];
    assert_int_equal(health_ask(&probe, why), HEALTH_UNKNOWN);
}

/* --- the lines of a prober --- */

static void ask_and_append(struct health_log *log, const struct config_probe *probe)
{
    enum health_result result;
    const char *why;
    struct dr_err err = { 0 };
    assert_int_equal(health_log_ask(log, probe, &result, &why, &err), DR_OK);
}

static void an_answer_is_a_line_and_a_torn_one_is_closed(void **state)
{
    (void)state;
    DR_FREE char *path = write_script("echo fine");
    struct config_probe probe = probe_of("exec", path);
    probe.timeout_ms = 30000;
    write_text("front.jsonl", "w", "{\"boot_id\":\"to");
    struct health_log *log;
    struct dr_err err = { 0 };
    assert_int_equal(health_log_open(dir, "front", &log, &err), DR_OK);
    ask_and_append(log, &probe);
    health_log_close(log);
    DR_FREE char *text = read_text("front.jsonl");
    assert_non_null(strstr(text, "{\"boot_id\":\"to\n{\"boot_id\":\""));
    assert_non_null(strstr(text, "\"result\":\"pass\""));
    assert_int_equal(text[strlen(text) - 1], '\n');
    struct health_facts f;
    assert_int_equal(health_facts(dir, &probe, NULL, &f, &err), DR_OK);
    assert_true(f.last_good.known);
    assert_int_equal(f.passes, 1);
    assert_false(f.stale);
}

static void one_writer_for_a_probe(void **state)
{
    (void)state;
    struct health_log *log, *other;
    struct dr_err err = { 0 };
    assert_int_equal(health_log_open(dir, "front", &log, &err), DR_OK);
    assert_int_equal(health_log_open(dir, "front", &other, &err), DR_E_BUSY);
    health_log_close(log);
    assert_int_equal(health_log_open(dir, "front", &other, &err), DR_OK);
    health_log_close(other);
}

static void files_are_bounded_and_facts_reach_over_both(void **state)
{
    (void)state;
    DR_FREE char *path = write_script("exit 0");
    struct config_probe probe = probe_of("exec", path);
    probe.timeout_ms = 30000;
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    while (b.len < HEALTH_FILE_MAX - 300)
        add_line(&b, 0, 0, "another-boot", "pass");
    add_line(&b, 1, 0, "another-boot", "fail");
    write_text("front.jsonl", "w", b.data);
    struct health_log *log;
    struct dr_err err = { 0 };
    assert_int_equal(health_log_open(dir, "front", &log, &err), DR_OK);
    ask_and_append(log, &probe);
    ask_and_append(log, &probe);
    health_log_close(log);
    DR_FREE char *text = read_text("front.jsonl");
    assert_true(strlen(text) < 1000);
    struct health_facts f;
    assert_int_equal(health_facts(dir, &probe, NULL, &f, &err), DR_OK);
    assert_mark("first_bad", &f.first_bad, 1);
    assert_int_equal(f.passes, 2);
}

/* Whatever call fails, what was whole stays whole, and the next answer is written. */
static void a_log_survives_every_failing_call(void **state)
{
    static const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT };
    struct config_probe probe = probe_of("http", "no url");
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool fired = true;
        for (unsigned n = 1; fired; n++) {
            drop_dir(state);
            make_dir(state);
            struct dr_err err = { 0 };
            enum health_result result;
            const char *why;
            struct health_log *log = NULL;
            fault_arm(kinds[k], n);
            if (health_log_open(dir, "front", &log, &err) == DR_OK)
                (void)!health_log_ask(log, &probe, &result, &why, &err);
            fired = fault_disarm();
            if (log == NULL)
                assert_int_equal(health_log_open(dir, "front", &log, &err), DR_OK);
            ask_and_append(log, &probe);
            health_log_close(log);
            struct health_facts f;
            assert_int_equal(health_facts(dir, &probe, NULL, &f, &err), DR_OK);
            assert_true(f.newest.known);
            assert_true(n < 100);
        }
    }
}

/* --- the daemon --- */

static int count_lines(const char *text)
{
    int count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

/* Until the file has that many lines, at most 60 s. */
static void await_lines(const char *name, int want)
{
    DR_FREE char *path = dr_strf("%s/health/%s", dir, name);
    int64_t deadline_ms = clock_boot_ms() + 60000;
    int have = 0;
    while (have < want) {
        assert_true(clock_boot_ms() < deadline_ms);
        if (access(path, R_OK) == 0) {
            DR_FREE char *text = read_text(name);
            have = count_lines(text);
        }
        (void)poll(NULL, 0, 5);
    }
}

static void daemon_probes_until_sigterm_and_leaves_no_child(void **state)
{
    (void)state;
    char web[32];
    pid_t server = start_server(listen_on(SOCK_STREAM, web), 200);
    DR_FREE char *url = dr_strf("http://%s/", web);
    DR_FREE char *hang = write_script("sleep 600");
    struct config_probe probes[] = { probe_of("http", url), probe_of("exec", hang) };
    char other_name[] = "hangs";
    probes[1].name = other_name;
    probes[1].timeout_ms = 600000;
    probes[0].interval_ms = 20;
    char file[] = "dr.yaml";
    struct config c = { .path = file, .state_dir = dir, .probes = probes, .probe_count = 2 };
    int gone[2];
    assert_int_equal(pipe(gone), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(gone[0]);
        log_setup("backupd", LOG_WARNING, true);
        struct dr_err err = { 0 };
        _exit(backupd_run(&c, NULL, &err) == DR_OK ? 0 : 1);
    }
    close(gone[1]);
    await_lines("front.jsonl", 3); /* though the other probe hangs */
    struct health_facts f;
    struct dr_err err = { 0 };
    assert_int_equal(health_facts(dir, &probes[0], NULL, &f, &err), DR_OK);
    assert_true(f.passes >= 3);
    /* A second one is told who is in the way. */
    assert_int_equal(backupd_run(&c, NULL, &err), DR_E_BUSY);
    bool kept = true;
    enum health_result result;
    char why[HEALTH_WHY_MAX];
    assert_int_equal(backupd_ask(&c, &probes[0], &result, why, &kept, &err), DR_OK);
    assert_int_equal(result, HEALTH_PASS);
    assert_false(kept);
    kill(pid, SIGTERM);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* The pipe's other end was inherited by every child: it closes when the last one is gone. */
    struct pollfd pfd = { .fd = gone[0], .events = POLLIN };
    assert_int_equal(poll(&pfd, 1, 60000), 1);
    assert_true(pfd.revents & POLLHUP);
    close(gone[0]);
    stop_server(server);
}

static void daemon_without_probes_says_what_to_write(void **state)
{
    (void)state;
    char file[] = "dr.yaml";
    struct config c = { .path = file, .state_dir = dir };
    struct dr_err err = { 0 };
    assert_int_equal(backupd_run(&c, NULL, &err), DR_E_CONFIG);
    assert_non_null(strstr(err.msg, "no probe"));
    assert_non_null(strstr(err.hint, "health:"));
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(facts_are_the_edges_of_the_outage),
        IN_DIR(samples_are_the_lines_round_the_mark),
        IN_DIR(many_lines_are_few_samples_and_no_fail_is_lost),
        IN_DIR(facts_tell_the_words_of_the_first_fail),
        IN_DIR(fails_are_counted_in_a_row_since_the_outage_began),
        IN_DIR(silence_is_stale_and_no_fact),
        IN_DIR(facts_go_by_boot_time_when_the_wall_clock_jumps),
        IN_DIR(since_may_be_a_time_on_the_wall),
        IN_DIR(facts_survive_the_journal),
        IN_DIR(http_probe_judges_the_status),
        IN_DIR(a_server_that_takes_the_call_and_says_nothing_fails),
        IN_DIR(probe_goes_where_its_name_server_says),
        IN_DIR(tcp_probe_connects),
        IN_DIR(exec_probe_has_three_answers),
        IN_DIR(an_answer_is_a_line_and_a_torn_one_is_closed),
        IN_DIR(one_writer_for_a_probe),
        IN_DIR(files_are_bounded_and_facts_reach_over_both),
        IN_DIR(a_log_survives_every_failing_call),
        IN_DIR(daemon_probes_until_sigterm_and_leaves_no_child),
        IN_DIR(daemon_without_probes_says_what_to_write),
    };
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
