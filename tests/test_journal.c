/*
 * test_journal.c - what a journal promises: whole records, one chain, nothing silently lost.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/journal/journal.h"
#include "tests/support/fault.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/dr-journal-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    return fs_remove_tree(dir, &err) != DR_OK;
}

static json_t *body(int i)
{
    json_t *o = json_object();
    json_put_int(o, "i", i);
    json_put_text(o, "why", "a \"quoted\" line\nwith a break");
    json_put(o, "share", json_real(0.95));
    return o;
}

static void write_three(void)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    assert_int_equal(journal_create(dir, "R-1", &j, &err), DR_OK);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(journal_append(j, "note", body(i), &err), DR_OK);
}

static char *journal_path(void)
{
    return dr_strf("%s/runs/R-1/journal.jsonl", dir);
}

static void put_file(const char *bytes, size_t len)
{
    DR_FREE char *path = journal_path();
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void get_file(struct buf *out)
{
    struct dr_err err = { 0 };
    DR_FREE char *path = journal_path();
    assert_int_equal(fs_read_file(path, 1 << 20, out, &err), DR_OK);
}

static void records_come_back_as_written(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    write_three();
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    assert_int_equal(journal_load(dir, "R-1", &all, &err), DR_OK);
    assert_int_equal(all.count, 3);
    for (size_t i = 0; i < 3; i++) {
        DR_JSON json_t *back = journal_unpack(all.items[i].body);
        DR_JSON json_t *wrote = body((int)i + 1);
        assert_true(json_equal(back, wrote));
        assert_int_equal(all.items[i].n, i + 1);
    }
    DR_FREE char *object = journal_object("R-1", &all.items[1]);
    assert_true(text_starts(object, "runs/r-1/000002-"));
    assert_true(text_ends(object, all.items[1].hash));
}

static void a_flip_of_any_byte_is_a_broken_chain(void **state)
{
    (void)state;
    write_three();
    DR_CLEANUP(buf_fini) struct buf good = { 0 };
    get_file(&good);
    for (size_t at = 0; at < good.len; at++)
        for (unsigned bit = 0; bit < 8; bit += 3) {
            struct dr_err err = { 0 };
            struct journal_records all = { 0 };
            size_t whole = 0;
            good.data[at] = (char)(good.data[at] ^ (1 << bit));
            assert_int_equal(journal_parse(good.data, good.len, &all, &whole, &err), DR_E_CORRUPT);
            assert_int_equal(all.count, 0);
            good.data[at] = (char)(good.data[at] ^ (1 << bit));
        }
}

static void a_broken_chain_is_not_opened_and_not_touched(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    write_three();
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_CLEANUP(buf_fini) struct buf after = { 0 };
    get_file(&bytes);
    bytes.data[20] ^= 1;
    put_file(bytes.data, bytes.len - 5); /* an incomplete tail on top */
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    assert_int_equal(journal_open(dir, "R-1", &j, &err), DR_E_CORRUPT);
    assert_non_null(strstr(err.msg, "record 1"));
    get_file(&after);
    assert_int_equal(after.len, bytes.len - 5);
    assert_memory_equal(after.data, bytes.data, after.len);
}

static void a_missing_or_swapped_record_is_a_broken_chain(void **state)
{
    (void)state;
    write_three();
    DR_CLEANUP(buf_fini) struct buf good = { 0 };
    get_file(&good);
    size_t first = (size_t)(strchr(good.data, '\n') - good.data) + 1;
    struct dr_err err = { 0 };
    struct journal_records all = { 0 };
    size_t whole = 0;
    assert_int_equal(journal_parse(good.data + first, good.len - first, &all, &whole, &err),
                     DR_E_CORRUPT);
    DR_FREE char *twice = dr_alloc(1, good.len + first);
    memcpy(twice, good.data, first);
    memcpy(twice + first, good.data, good.len);
    assert_int_equal(journal_parse(twice, good.len + first, &all, &whole, &err), DR_E_CORRUPT);
}

static void every_torn_tail_is_cut_and_the_run_goes_on(void **state)
{
    (void)state;
    write_three();
    DR_CLEANUP(buf_fini) struct buf good = { 0 };
    get_file(&good);
    size_t second = 0;
    for (int i = 0; i < 2; i++)
        second = (size_t)(strchr(good.data + second, '\n') - good.data) + 1;
    for (size_t len = second; len < good.len; len += 7) {
        struct dr_err err = { 0 };
        put_file(good.data, len);
        DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
        assert_int_equal(journal_open(dir, "R-1", &j, &err), DR_OK);
        assert_int_equal(journal_all(j)->count, 2);
        assert_int_equal(journal_append(j, "note", body(9), &err), DR_OK);
        DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
        assert_int_equal(journal_load(dir, "R-1", &all, &err), DR_OK);
        assert_int_equal(all.count, 3);
    }
}

static void one_writer_at_a_time(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    write_three();
    assert_false(journal_is_live(dir, "R-1"));
    DR_CLEANUP(journal_close_ptr) struct journal *a = NULL;
    DR_CLEANUP(journal_close_ptr) struct journal *b = NULL;
    assert_int_equal(journal_open(dir, "R-1", &a, &err), DR_OK);
    assert_true(journal_is_live(dir, "R-1"));
    assert_int_equal(journal_open(dir, "R-1", &b, &err), DR_E_BUSY);
    assert_int_equal(journal_create(dir, "R-1", &b, &err), DR_E_EXISTS);
}

static void runs_are_listed_by_number(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    static const char *const ids[] = { "R-10", "D-3", "T-12", "R-2", "T-4", "R-1" };
    for (size_t i = 0; i < DR_ARRAY_LEN(ids); i++) {
        DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
        assert_int_equal(journal_create(dir, ids[i], &j, &err), DR_OK);
    }
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    assert_int_equal(journal_runs(dir, &runs, &err), DR_OK);
    DR_FREE char *joined = text_list_join(&runs, " ");
    assert_string_equal(joined, "T-4 T-12 R-1 R-2 D-3 R-10");
}

/* The three records as another host has them; here only the first `keep`. */
static void part(size_t keep, struct journal_records *ret)
{
    struct dr_err err = { 0 };
    write_three();
    assert_int_equal(journal_load(dir, "R-1", ret, &err), DR_OK);
    DR_CLEANUP(buf_fini) struct buf lines = { 0 };
    for (size_t i = 0; i < keep; i++)
        journal_print(&ret->items[i], &lines);
    put_file(lines.data != NULL ? lines.data : "", lines.len);
}

static void a_journal_is_completed_from_elsewhere(void **state)
{
    (void)state;
    for (size_t keep = 0; keep <= 3; keep++) {
        struct dr_err err = { 0 };
        DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
        DR_CLEANUP(journal_records_fini) struct journal_records back = { 0 };
        part(keep, &all);
        DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
        assert_int_equal(journal_open(dir, "R-1", &j, &err), DR_OK);
        assert_int_equal(journal_extend(j, &all, &err), DR_OK);
        assert_int_equal(journal_append(j, "note", body(4), &err), DR_OK);
        assert_int_equal(journal_load(dir, "R-1", &back, &err), DR_OK);
        assert_int_equal(back.count, 4);
        assert_string_equal(back.items[2].hash, all.items[2].hash);
        assert_int_equal(fs_remove_tree(dir, &err), DR_OK);
        assert_int_equal(fs_make_dirs(dir, 0700, &err), DR_OK);
    }
}

static void a_journal_that_went_another_way_is_left_alone(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    DR_CLEANUP(journal_records_fini) struct journal_records back = { 0 };
    part(2, &all);
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    assert_int_equal(journal_open(dir, "R-1", &j, &err), DR_OK);
    assert_int_equal(journal_append(j, "note", body(9), &err), DR_OK);
    assert_int_equal(journal_extend(j, &all, &err), DR_E_CORRUPT);
    assert_int_equal(journal_load(dir, "R-1", &back, &err), DR_OK);
    assert_int_equal(back.count, 3);
    assert_string_not_equal(back.items[2].hash, all.items[2].hash);
}

static void names_that_are_no_run_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "..", "R-", "R-1/../../x", "r-1", "R-1x", "" };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        struct dr_err err = { 0 };
        DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
        assert_int_equal(journal_create(dir, bad[i], &j, &err), DR_E_USAGE);
    }
}

static void words_for_a_runner_arrive_once_and_in_order(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    write_three();
    for (int i = 0; i < 3; i++) {
        json_t *o = json_object();
        json_put_int(o, "i", i);
        assert_int_equal(journal_tell(dir, "R-1", o, &err), DR_OK);
    }
    for (int i = 0; i < 3; i++) {
        DR_JSON json_t *o = NULL;
        assert_int_equal(journal_hear(dir, "R-1", &o, &err), DR_OK);
        assert_int_equal(json_integer_value(json_object_get(o, "i")), i);
    }
    DR_JSON json_t *none = NULL;
    assert_int_equal(journal_hear(dir, "R-1", &none, &err), DR_OK);
    assert_null(none);
}

/* Create a run and write three records; a byte to ack for each, as soon as it was acknowledged. */
static void append_three(int ack)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    enum dr_rc rc = journal_create(dir, "R-1", &j, &err);
    for (int i = 1; rc == DR_OK && i <= 3; i++) {
        rc = journal_append(j, "note", body(i), &err);
        if (rc == DR_OK && write(ack, "+", 1) != 1) /* not through the table: no fault hits it */
            _exit(1);
    }
}

/* How many records were acknowledged before the end of a process that meets this fault. */
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

static void acknowledged_records_survive_every_fault_and_death(void **state)
{
    (void)state;
    for (int kind = FAULT_ERRNO; kind <= FAULT_DIE_AFTER; kind++) {
        bool fired = true;
        int most = 0;
        for (unsigned n = 1; fired && n < 200; n++) {
            struct dr_err err = { 0 };
            assert_int_equal(fs_remove_tree(dir, &err), DR_OK);
            assert_int_equal(mkdir(dir, 0700), 0);
            int done = run_with_fault((enum fault_kind)kind, n, &fired);
            DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
            enum dr_rc rc = journal_open(dir, "R-1", &j, &err);
            if (rc == DR_E_NOTFOUND) {
                assert_int_equal(done, 0);
                continue;
            }
            assert_int_equal(rc, DR_OK);
            assert_in_range(journal_all(j)->count, done, done + 1);
            most = done > most ? done : most;
            assert_int_equal(journal_append(j, "note", body(7), &err), DR_OK);
        }
        assert_false(fired);
        assert_int_equal(most, 3);
    }
}

/* Cutting a torn tail is itself swept: whatever happens to it, the whole records stay. */
static void cutting_a_torn_tail_survives_every_fault_and_death(void **state)
{
    (void)state;
    write_three();
    DR_CLEANUP(buf_fini) struct buf good = { 0 };
    get_file(&good);
    for (int kind = FAULT_ERRNO; kind <= FAULT_DIE_AFTER; kind++) {
        int status = 99 << 8;
        for (unsigned n = 1; WEXITSTATUS(status) == 99 && n < 200; n++) {
            struct dr_err err = { 0 };
            put_file(good.data, good.len - 9);
            pid_t pid = fork();
            if (pid == 0) {
                DR_CLEANUP(journal_close_ptr) struct journal *torn = NULL;
                fault_arm((enum fault_kind)kind, n);
                enum dr_rc rc = journal_open(dir, "R-1", &torn, &err);
                bool fired = fault_disarm();
                _exit(fired ? 99 : (rc == DR_OK ? 0 : 1));
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
            assert_int_equal(journal_open(dir, "R-1", &j, &err), DR_OK);
            assert_int_equal(journal_all(j)->count, 2);
            assert_int_equal(journal_append(j, "note", body(7), &err), DR_OK);
        }
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

/* Words for a runner: heard once or not yet; never in halves, and never lost when told of as put. */
static void words_survive_every_fault_and_death(void **state)
{
    (void)state;
    write_three();
    for (int kind = FAULT_ERRNO; kind <= FAULT_DIE_AFTER; kind++) {
        int status = 99 << 8;
        for (unsigned n = 1; WEXITSTATUS(status) == 99 && n < 200; n++) {
            struct dr_err err = { 0 };
            int put[2];
            assert_int_equal(pipe(put), 0);
            pid_t pid = fork();
            if (pid == 0) {
                json_t *o = json_object();
                json_put_text(o, "verb", "approve");
                fault_arm((enum fault_kind)kind, n);
                enum dr_rc rc = journal_tell(dir, "R-1", o, &err);
                bool fired = fault_disarm();
                if (rc == DR_OK && write(put[1], "+", 1) != 1)
                    _exit(1);
                _exit(fired ? 99 : (rc == DR_OK ? 0 : 1));
            }
            (void)close(put[1]); /* ours; the child's is closed by its end */
            char plus = 0;
            bool told = read(put[0], &plus, 1) == 1;
            (void)close(put[0]); /* only read from */
            assert_int_equal(waitpid(pid, &status, 0), pid);
            DR_JSON json_t *heard = NULL;
            assert_int_equal(journal_hear(dir, "R-1", &heard, &err), DR_OK);
            assert_true(heard != NULL || !told);
            if (heard != NULL)
                assert_string_equal(json_string_value(json_object_get(heard, "verb")), "approve");
            DR_JSON json_t *again = NULL;
            assert_int_equal(journal_hear(dir, "R-1", &again, &err), DR_OK);
            assert_null(again);
        }
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_come_back_as_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flip_of_any_byte_is_a_broken_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_chain_is_not_opened_and_not_touched, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_missing_or_swapped_record_is_a_broken_chain, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_torn_tail_is_cut_and_the_run_goes_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_writer_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(runs_are_listed_by_number, setup, teardown),
        cmocka_unit_test_setup_teardown(a_journal_is_completed_from_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(a_journal_that_went_another_way_is_left_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(names_that_are_no_run_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(words_for_a_runner_arrive_once_and_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(acknowledged_records_survive_every_fault_and_death, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(cutting_a_torn_tail_survives_every_fault_and_death, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(words_survive_every_fault_and_death, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
