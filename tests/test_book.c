/*
 * test_book.c - what the ledger promises: acknowledged lines stay, the chain goes on over months and deaths, and whatever is
 * changed, dropped, moved, cut or signed by a stranger is found and named.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/audit/audit.h"
#include "dr/audit/query.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"
#include "tests/support/fault.h"

static char dir[64];
static struct dr_err err;
static const int64_t DAY_NS = (int64_t)86400 * 1000000000;
static int64_t now_ns; /* 0: the real clock */
static struct clock_ops real_clock;

static int64_t fake_wall(void)
{
    return now_ns++;
}

static void set_time(const char *text)
{
    assert_true(time_parse(text, &now_ns));
    dr_clock.wall_ns = fake_wall;
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/dr-book-XXXXXX");
    real_clock = dr_clock;
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    dr_clock = real_clock;
    return fs_remove_tree(dir, &err) != DR_OK;
}

static struct book_place place(void)
{
    return (
        struct book_place){ .state_dir = dir, .site = "us", .version = "0.1.0", .make_key = true };
}

static json_t *body(int i)
{
    json_t *o = json_object();
    json_put_int(o, "i", i);
    json_put_text(o, "source", i % 2 == 0 ? "app" : "etc");
    json_put_text(o, "why", "a \"quoted\" word, and a\nbreak");
    json_put_int(o, "exit", 0);
    return o;
}

static void append(int count)
{
    struct book_place p = place();
    for (int i = 1; i <= count; i++)
        assert_int_equal(book_append(&p, "backup", body(i), &err), DR_OK);
}

struct seen {
    int64_t last;
    size_t count, is_signed;
    char types[256];
};

static bool see(void *arg, const struct book_record *r)
{
    struct seen *s = arg;
    s->last = r->n;
    s->count++;
    s->is_signed += r->key[0] != '\0';
    if (strlen(s->types) + strlen(r->type) + 2 < sizeof(s->types)) {
        strcat(s->types, r->type);
        strcat(s->types, " ");
    }
    return true;
}

static struct seen read_all(void)
{
    struct seen s = { 0 };
    assert_int_equal(book_each(dir, 0, INT64_MAX, see, &s, &err), DR_OK);
    return s;
}

static char *month_path(void)
{
    DR_CLEANUP(text_list_fini) struct text_list months = { 0 };
    assert_int_equal(book_months(dir, &months, &err), DR_OK);
    assert_true(months.count > 0);
    return dr_strf("%s/ledger/%s", dir, months.items[months.count - 1]);
}

static void get(const char *path, struct buf *out)
{
    buf_clear(out);
    assert_int_equal(fs_read_file(path, 64 << 20, out, &err), DR_OK);
}

static void put(const char *path, const char *bytes, size_t len)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* -- appending and reading ---------------------------------------------------------------------------- */

static void lines_come_back_in_order_and_signed(void **state)
{
    (void)state;
    append(3);
    struct seen s = read_all();
    assert_int_equal(s.count, 4);
    assert_int_equal(s.last, 4);
    assert_int_equal(s.is_signed, 4);
    assert_string_equal(s.types, "open backup backup backup ");
}

static void a_host_without_a_key_writes_unsigned_lines(void **state)
{
    (void)state;
    const struct book_place p = { .state_dir = dir };
    assert_int_equal(book_append(&p, "prune", body(1), &err), DR_OK);
    struct seen s = read_all();
    assert_int_equal(s.count, 2);
    assert_int_equal(s.is_signed, 0);
}

static void the_chain_goes_on_over_months_and_a_clock_that_goes_back(void **state)
{
    (void)state;
    set_time("2026-11-30T23:59:59Z");
    append(1);
    set_time("2026-12-01T00:00:01Z");
    append(1);
    set_time("2026-10-15T00:00:00Z"); /* set back: the line still follows in the newest month */
    append(1);
    set_time("2027-02-01T00:00:00Z");
    append(1);
    DR_CLEANUP(text_list_fini) struct text_list months = { 0 };
    assert_int_equal(book_months(dir, &months, &err), DR_OK);
    DR_FREE char *joined = text_list_join(&months, " ");
    assert_string_equal(joined, "2026-11.jsonl 2026-12.jsonl 2027-02.jsonl");
    assert_int_equal(read_all().count, 5);
}

static void a_time_asks_for_the_lines_of_that_time_alone(void **state)
{
    (void)state;
    for (int month = 9; month <= 12; month++) {
        DR_FREE char *text = dr_strf("2026-%02d-10T00:00:00Z", month);
        set_time(text);
        append(2);
    }
    struct seen s = { 0 };
    int64_t from = 0, to = 0;
    assert_true(time_parse("2026-10-01T00:00:00Z", &from) &&
                time_parse("2026-12-01T00:00:00Z", &to));
    assert_int_equal(book_each(dir, from, to, see, &s, &err), DR_OK);
    assert_int_equal(s.count, 4);
}

static void no_book_is_no_failure(void **state)
{
    (void)state;
    assert_int_equal(read_all().count, 0);
}

static void a_line_that_is_too_long_is_refused_and_the_next_one_goes_on(void **state)
{
    (void)state;
    struct book_place p = place();
    append(1);
    json_t *o = json_object();
    DR_FREE char *text = dr_alloc(1, BOOK_LINE_MAX + 1);
    memset(text, 'x', BOOK_LINE_MAX);
    json_put_text(o, "why", text);
    assert_int_equal(book_append(&p, "backup", o, &err), DR_E_NOMEM);
    append(1);
    assert_int_equal(read_all().count, 3);
}

static void every_torn_tail_is_cut_and_the_book_goes_on(void **state)
{
    (void)state;
    append(3);
    DR_FREE char *path = month_path();
    DR_CLEANUP(buf_fini) struct buf good = { 0 };
    get(path, &good);
    const char *last = memrchr(good.data, '\n', good.len - 1);
    size_t third = (size_t)(last - good.data) + 1;
    for (size_t len = third; len < good.len; len += 11) {
        put(path, good.data, len);
        assert_int_equal(read_all().count, 3);
        append(1);
        assert_int_equal(read_all().count, 4);
    }
}

static void a_damaged_last_line_is_never_written_behind(void **state)
{
    (void)state;
    append(3);
    DR_FREE char *path = month_path();
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_CLEANUP(buf_fini) struct buf after = { 0 };
    struct book_place p = place();
    for (size_t back = 1; back < 200; back += 17) {
        get(path, &bytes);
        bytes.data[bytes.len - back] ^= 1;
        put(path, bytes.data, bytes.len);
        assert_int_equal(book_append(&p, "backup", body(9), &err), DR_E_CORRUPT);
        get(path, &after);
        assert_int_equal(after.len, bytes.len);
        assert_memory_equal(after.data, bytes.data, after.len);
        bytes.data[bytes.len - back] ^= 1;
        put(path, bytes.data, bytes.len);
    }
}

static void several_processes_make_one_chain(void **state)
{
    (void)state;
    enum { WRITERS = 4, EACH = 12 };
    append(1);
    pid_t pids[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        pids[w] = fork();
        if (pids[w] != 0)
            continue;
        struct book_place p = place();
        int failed = 0;
        for (int i = 0; i < EACH; i++)
            failed += book_append(&p, "backup", body(i), &err) != DR_OK;
        _exit(failed);
    }
    for (int w = 0; w < WRITERS; w++) {
        int status = 0;
        assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(read_all().count, 2 + WRITERS * EACH);
}

/* Three lines into a fresh book, over a month's end; a byte to ack for each as soon as it was acknowledged. */
static void append_three(int ack)
{
    struct book_place p = place();
    enum dr_rc rc = DR_OK;
    for (int i = 0; rc == DR_OK && i < 3; i++) {
        now_ns += i == 1 ? 40 * DAY_NS : 0;
        rc = book_append(&p, "backup", body(i), &err);
        if (rc == DR_OK && write(ack, "+", 1) != 1) /* not through the table: no fault hits it */
            _exit(1);
    }
}

static int run_with_fault(enum fault_kind kind, unsigned n, bool *ret_fired)
{
    int ack[2];
    assert_int_equal(pipe(ack), 0);
    pid_t pid = fork();
    if (pid == 0) {
        fault_arm(kind, n);
        append_three(ack[1]);
        _exit(fault_disarm() ? 99 : 0);
    }
    (void)close(ack[1]); /* ours; the child's is closed by its end */
    int status = 0, done = 0;
    char plus = 0;
    while (read(ack[0], &plus, 1) == 1)
        done++;
    (void)close(ack[0]); /* only read from */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 99 || WEXITSTATUS(status) == 0));
    *ret_fired = WEXITSTATUS(status) == 99;
    return done;
}

static void acknowledged_lines_survive_every_fault_and_death(void **state)
{
    (void)state;
    struct book_place p = place();
    set_time("2026-11-20T00:00:00Z");
    for (int kind = FAULT_ERRNO; kind <= FAULT_DIE_AFTER; kind++) {
        bool fired = true;
        int most = 0;
        for (unsigned n = 1; fired && n < 300; n++) {
            assert_int_equal(fs_remove_tree(dir, &err), DR_OK);
            assert_int_equal(mkdir(dir, 0700), 0);
            int done = run_with_fault((enum fault_kind)kind, n, &fired);
            most = done > most ? done : most;
            size_t have = read_all().count;
            have -= have > 0; /* the title */
            assert_in_range(have, done, done + 1);
            assert_int_equal(book_append(&p, "backup", body(7), &err), DR_OK);
            assert_int_equal(read_all().count, have + 2);
        }
        assert_false(fired);
        assert_int_equal(most, 3);
    }
}

int main(void)
{
#define FACT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        FACT(lines_come_back_in_order_and_signed),
        FACT(a_host_without_a_key_writes_unsigned_lines),
        FACT(the_chain_goes_on_over_months_and_a_clock_that_goes_back),
        FACT(a_time_asks_for_the_lines_of_that_time_alone),
        FACT(no_book_is_no_failure),
        FACT(a_line_that_is_too_long_is_refused_and_the_next_one_goes_on),
        FACT(every_torn_tail_is_cut_and_the_book_goes_on),
        FACT(a_damaged_last_line_is_never_written_behind),
        FACT(several_processes_make_one_chain),
        FACT(acknowledged_lines_survive_every_fault_and_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
