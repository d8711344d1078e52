/*
 * Programs as stores: the example keeps every promise of store.h, and a program that breaks one
 * of the protocol is ended, told, and replaced. Runs under TSan.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/exec.h"
#include "backup/store/store.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/storetest.h"

enum { LOG_MAX = 1 << 16, LONGEST_WAIT_MS = 60000, CALLERS = 8 };

static char *top, *log_path, *fifo, *bad, *example; /* fresh for each test */

/* Tests may run from any directory: what they need is copied beside what they make. */
static char *copy_of(const char *from, const char *name)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    char *to = dr_strf("%s/%s", top, name);
    if (fs_read_file(from, LOG_MAX, &b, &err) != DR_OK ||
        fs_replace(top, name, b.data, b.len, &err) != DR_OK || chmod(to, 0700) != 0)
        return NULL;
    return to;
}

static int make_top(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    top = dr_strf("%s/test_exec.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(top) == NULL)
        return -1;
    log_path = dr_strf("%s/log", top);
    fifo = dr_strf("%s/fifo", top);
    bad = copy_of("tests/support/badstore.sh", "bad");
    example = copy_of("backup/store/exec-example.sh", "example");
    return bad != NULL && example != NULL && mkfifo(fifo, 0600) == 0 ? 0 : -1;
}

static int drop_top(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    enum dr_rc rc = fs_remove_tree(top, &err);
    free(top);
    free(log_path);
    free(fifo);
    free(bad);
    free(example);
    return rc == DR_OK ? 0 : -1;
}

/* The program that does 'how'; more: further words of the url. */
static enum dr_rc open_bad(const char *how, const char *more, struct store **ret,
                           struct dr_err *err)
{
    DR_FREE char *url =
        dr_strf("exec://%s?how=%s&log=%s&fifo=%s%s", bad, how, log_path, fifo, more);
    return store_open_url("tape", "eu-west-1", url, ret, err);
}

static size_t starts(void)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    size_t lines = 0;
    assert_int_equal(fs_read_file(log_path, LOG_MAX, &b, &err), DR_OK);
    for (size_t i = 0; i < b.len; i++)
        lines += b.data[i] == '\n';
    return lines;
}

static void example_conforms(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    DR_FREE char *dir = dr_strf("%s/bucket", top);
    assert_int_equal(mkdir(dir, 0700), 0);
    DR_FREE char *url = dr_strf("exec://%s?dir=%s", example, dir);
    assert_int_equal(store_open_url("eu", "eu-west-1", url, &s, &err), DR_OK);
    storetest_conforms(s);
    assert_int_equal(store_parallel(s), 4);
}

/* -- pages ------------------------------------------------------------------------------------- */

static void lists_of_many_pages_are_whole_and_sized(void **state)
{
    (void)state;
    enum { COUNT = 2 * EXEC_PAGE_MAX + 1 };
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    DR_CLEANUP(store_entries_fini) struct store_entries all = { 0 };
    DR_FREE char *dir = dr_strf("%s/bucket", top);
    assert_int_equal(mkdir(dir, 0700), 0);
    for (int i = 0; i < COUNT; i++) { /* by hand: two thousand calls of the shell are slow */
        DR_FREE char *path = dr_strf("%s/n%05d", dir, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0 && write(fd, "abc", (size_t)(i % 3)) == i % 3 && close(fd) == 0);
    }
    DR_FREE char *url = dr_strf("exec://%s?dir=%s", example, dir);
    assert_int_equal(store_open_url("eu", NULL, url, &s, &err), DR_OK);
    assert_int_equal(store_list_sizes(s, "n", &all, &err), DR_OK);
    assert_int_equal(all.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        DR_FREE char *name = dr_strf("n%05d", i);
        assert_string_equal(all.items[i].name, name);
        assert_int_equal(all.items[i].size, i % 3);
    }
    struct store_counts counts;
    store_counts(s, &counts);
    assert_int_equal(counts.lists, 3);
}

/* -- breaches ---------------------------------------------------------------------------------- */

enum call { GET, PUT, LIST, REMOVE };

static enum dr_rc do_call(struct store *s, enum call call, struct dr_err *err)
{
    char five[6] = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    enum dr_rc rc = DR_OK;
    switch (call) {
    case GET:
        rc = store_get(s, "packs/ab", 0, 5, five, err);
        if (rc == DR_OK)
            assert_string_equal(five, "hello");
        return rc;
    case PUT:
        return store_put(s, "packs/ab", "hello", 5, err);
    case LIST:
        return store_list(s, "", &names, err);
    case REMOVE:
        return store_remove(s, "packs/ab", err);
    }
    return DR_OK;
}

static const struct breach {
    const char *how;
    enum call call;
    enum dr_rc rc;
    const char *says;
    size_t starts; /* of the program, until the call came back */
} breaches[] = {
    { "good", GET, DR_OK, "", 1 },
    { "talkative", GET, DR_OK, "", 1 },
    { "hang", GET, DR_E_TIMEOUT, "hangs answering", 1 },
    { "hang", PUT, DR_E_TIMEOUT, "hangs answering", 1 },
    { "trickle", GET, DR_E_TIMEOUT, "hangs sending the bytes", 1 },
    { "crash", GET, DR_E_TRANSIENT, "signal 9", 2 },
    { "crash", LIST, DR_E_TRANSIENT, "signal 9", 2 },
    { "leave", REMOVE, DR_E_TRANSIENT, "status 3 before it answered (last words: the tape is torn)",
      2 },
    { "half", GET, DR_E_TRANSIENT, "status 0", 2 },
    { "once", GET, DR_OK, "", 2 },
    { "once", PUT, DR_OK, "", 2 }, /* exists by then, with our bytes */
    { "flood", GET, DR_E_IO, "longer than 65536 bytes", 1 },
    { "garbage", GET, DR_E_IO, "breaks the protocol", 1 },
    { "list", GET, DR_E_IO, "has not the id 2", 1 },
    { "twice", GET, DR_E_IO, "breaks the protocol", 1 },
    { "otherid", GET, DR_E_IO, "has not the id 2", 1 },
    { "nothing", GET, DR_E_IO, "no 'ok'", 1 },
    { "nobody", GET, DR_E_IO, "no 'body'", 1 },
    { "badbody", GET, DR_E_IO, "no length", 1 },
    { "long", GET, DR_E_IO, "600 bytes, at most 5", 1 },
    { "short", GET, DR_E_CORRUPT, "truncated", 1 },
    { "behind", GET, DR_E_IO, "bytes behind", 1 },
    { "chatty", GET, DR_E_IO, "breaks the protocol", 1 },
    { "disorder", LIST, DR_E_IO, "'5 a', which is out of order", 1 },
    { "foreign", LIST, DR_E_IO, "'5 A/b'", 1 },
    { "nosize", LIST, DR_E_IO, "no SIZE NAME", 1 },
    { "endless", LIST, DR_E_IO, "gives nothing", 1 },
    { "torn", LIST, DR_E_IO, "within a line", 1 },
    { "error:notfound", GET, DR_E_NOTFOUND, "packs/ab': told \\x1b[2J so", 1 },
    { "error:notfound", REMOVE, DR_OK, "", 1 },
    { "error:exists", PUT, DR_E_EXISTS, "packs/ab", 1 },
    { "error:denied", GET, DR_E_DENIED, "told", 1 },
    { "error:nospace", PUT, DR_E_NOSPACE, "told", 1 },
    { "error:transient", GET, DR_E_TRANSIENT, "told", 1 },
    { "error:timeout", GET, DR_E_TIMEOUT, "told", 1 },
    { "error:corrupt", GET, DR_E_CORRUPT, "told", 1 },
    { "error:unsupported", PUT, DR_E_CONFIG, "told", 1 },
    { "error:meltdown", GET, DR_E_IO, "told", 1 },
};

static void each_breach_is_ended_told_and_replaced(void **state)
{
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(breaches); i++) {
        const struct breach *b = &breaches[i];
        struct dr_err err = { 0 };
        DR_CLEANUP(store_close_ptr) struct store *s = NULL;
        (void)unlink(log_path);
        print_message("%s\n", b->how);
        bool slow = b->rc == DR_E_TIMEOUT && b->how[0] != 'e';
        enum dr_rc rc = open_bad(b->how, slow ? "&timeout=2s" : "", &s, &err);
        if (strcmp(b->how, "chatty") != 0) /* its second line may come with the first */
            assert_int_equal(rc, DR_OK);
        if (rc == DR_OK)
            rc = do_call(s, b->call, &err);
        if (rc != b->rc || (rc != DR_OK && strstr(err.msg, b->says) == NULL))
            fail_msg("%s: %s, '%s'", b->how, dr_rc_name(rc), err.msg);
        if (rc != DR_OK)
            assert_non_null(strstr(err.msg, "bucket 'tape'"));
        if (strncmp(b->how, "error:", 6) == 0 && rc != DR_OK)
            assert_string_equal(err.hint, "Do this.");
        assert_int_equal(starts(), b->starts);
    }
}

static void a_put_that_finds_other_bytes_after_a_lost_answer_exists(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    assert_int_equal(open_bad("once", "", &s, &err), DR_OK);
    assert_int_equal(store_put(s, "packs/ab", "jello", 5, &err), DR_E_EXISTS);
}

static void after_a_failure_the_next_call_has_a_fresh_program(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    assert_int_equal(open_bad("garbage", "", &s, &err), DR_OK);
    assert_int_equal(do_call(s, GET, &err), DR_E_IO);
    assert_int_equal(starts(), 1);
    assert_int_equal(do_call(s, GET, &err), DR_E_IO); /* it starts with a garbage answer, too */
    assert_int_equal(starts(), 2);
}

/* Nobody of the group is left: the last writer of the fifo is gone. */
static void a_program_that_hangs_is_killed_with_its_children(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(open_bad("hang", "&timeout=2s", &s, &err), DR_OK);
    assert_int_equal(do_call(s, GET, &err), DR_E_TIMEOUT);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&p, 1, LONGEST_WAIT_MS), 1);
    assert_true((p.revents & POLLHUP) != 0);
    close(fd);
}

static void a_program_that_does_not_end_is_killed_at_close(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct store *s = NULL;
    assert_int_equal(open_bad("good", "", &s, &err), DR_OK);
    int64_t before = clock_boot_ms();
    store_close(s); /* sees the end of its input */
    assert_in_range(clock_boot_ms() - before, 0, LONGEST_WAIT_MS);
    DR_FREE char *path = dr_strf("%s/stubborn", top);
    static const char stubborn[] = "#!/bin/sh\nread -r l\n"
                                   "echo '{\"id\":1,\"ok\":true,\"version\":1}'\nexec sleep 1000\n";
    assert_int_equal(fs_replace(top, "stubborn", stubborn, strlen(stubborn), &err), DR_OK);
    assert_int_equal(chmod(path, 0700), 0);
    DR_FREE char *url = dr_strf("exec://%s", path);
    assert_int_equal(store_open_url("tape", NULL, url, &s, &err), DR_OK);
    before = clock_boot_ms();
    store_close(s);
    assert_in_range(clock_boot_ms() - before, 0, LONGEST_WAIT_MS);
}

/* -- opening ------------------------------------------------------------------------------------ */

static void assert_no_open(const char *url, enum dr_rc expected, const char *says)
{
    struct dr_err err = { 0 };
    struct store *s = NULL;
    enum dr_rc rc = store_open_url("tape", NULL, url, &s, &err);
    if (rc != expected || strstr(err.msg, says) == NULL)
        fail_msg("%s: %s, '%s'", url, dr_rc_name(rc), err.msg);
    assert_null(s);
}

static void wrong_urls_and_programs_are_refused(void **state)
{
    (void)state;
    DR_FREE char *absent = dr_strf("exec://%s/absent", top);
    DR_FREE char *folder = dr_strf("exec://%s", top);
    DR_FREE char *no_word = dr_strf("exec://%s?how", bad);
    DR_FREE char *no_key = dr_strf("exec://%s?=x", bad);
    DR_FREE char *no_hex = dr_strf("exec://%s?a=%%4", bad);
    DR_FREE char *no_time = dr_strf("exec://%s?timeout=5", bad);
    DR_FREE char *newer = dr_strf("exec://%s?version=2", bad);
    DR_FREE char *stillborn = dr_strf("exec://%s?how=stillborn&log=%s", bad, log_path);
    DR_FREE char *mute = dr_strf("exec://%s?how=mute&timeout=300ms", bad);
    assert_no_open(absent, DR_E_NOTFOUND, "cannot find the program");
    assert_no_open(folder, DR_E_CONFIG, "is no program");
    assert_no_open(no_word, DR_E_CONFIG, "no KEY=VALUE");
    assert_no_open(no_key, DR_E_CONFIG, "no KEY=VALUE");
    assert_no_open(no_hex, DR_E_CONFIG, "no KEY=VALUE");
    assert_no_open(no_time, DR_E_CONFIG, "timeout");
    assert_no_open(newer, DR_E_CONFIG, "speaks version 2, this drctl 1");
    assert_no_open(stillborn, DR_E_TRANSIENT, "status 4 before it answered (last words: no drive)");
    assert_int_equal(starts(), 2);
    assert_no_open(mute, DR_E_TIMEOUT, "hangs answering");
}

static void a_program_that_others_may_write_is_refused(void **state)
{
    (void)state;
    DR_FREE char *url = dr_strf("exec://%s", bad);
    assert_int_equal(chmod(bad, 0720), 0);
    assert_no_open(url, DR_E_REFUSED, "somebody else may write");
    assert_int_equal(chmod(bad, 0700), 0);
    assert_int_equal(chmod(top, 0702), 0);
    assert_no_open(url, DR_E_REFUSED, "somebody else may write");
    assert_int_equal(chmod(top, 0700), 0);
}

static void words_and_credentials_reach_the_program(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct store *s = NULL;
    static const char teller[] =
        "#!/bin/sh\nread -r l\necho '{\"id\":1,\"ok\":true,\"version\":1}'\n"
        "printf '%s|%s|%s|%s|%s|%s' \"$1\" \"$#\" \"$DRCTL_STORE_BUCKET\" \"$DRCTL_STORE_REGION\" "
        "\"$DRCTL_STORE_SECRET_KEY\" \"$(pwd)\" >\"${2#to=}\"\n";
    assert_int_equal(fs_replace(top, "teller", teller, strlen(teller), &err), DR_OK);
    DR_FREE char *path = dr_strf("%s/teller", top);
    assert_int_equal(chmod(path, 0700), 0);
    DR_FREE char *url =
        dr_strf("exec://%s?pool=blue%%20%%26tapes&timeout=1m&to=%s", path, log_path);
    const struct store_credentials by = { .kind = "keys",
                                          .access_key = "a",
                                          .secret_key = "s3cret" };
    const struct store_options o = {
        .name = "tape", .region = "eu-west-1", .url = url, .credentials = &by
    };
    assert_int_equal(store_open(&o, &s, &err), DR_OK);
    store_close(s); /* waits for its end */
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(fs_read_file(log_path, LOG_MAX, &b, &err), DR_OK);
    assert_string_equal(b.data, "pool=blue &tapes|2|tape|eu-west-1|s3cret|/");
}

/* -- many at once -------------------------------------------------------------------------------- */

static void *call_often(void *arg)
{
    for (int i = 0; i < 20; i++) {
        struct dr_err err = { 0 };
        char five[5];
        if (store_get(arg, "a", 0, 5, five, &err) != DR_OK || memcmp(five, "hello", 5) != 0)
            return arg;
    }
    return NULL;
}

static void callers_at_once_share_as_many_programs_as_hello_says(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    assert_int_equal(open_bad("good", "&parallel=3", &s, &err), DR_OK);
    assert_int_equal(store_parallel(s), 3);
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, s), 0);
    for (int i = 0; i < CALLERS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_in_range(starts(), 1, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_top, drop_top)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(example_conforms),
        TEST(lists_of_many_pages_are_whole_and_sized),
        TEST(each_breach_is_ended_told_and_replaced),
        TEST(a_put_that_finds_other_bytes_after_a_lost_answer_exists),
        TEST(after_a_failure_the_next_call_has_a_fresh_program),
        TEST(a_program_that_hangs_is_killed_with_its_children),
        TEST(a_program_that_does_not_end_is_killed_at_close),
        TEST(wrong_urls_and_programs_are_refused),
        TEST(a_program_that_others_may_write_is_refused),
        TEST(words_and_credentials_reach_the_program),
        TEST(callers_at_once_share_as_many_programs_as_hello_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
