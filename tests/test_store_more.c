/*
 * What a store can do beyond put, get, head, list and remove: compare-and-set, sizes, many removals,
 * counts. Runs under TSan, for the race of those who swap.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/fault.h"
#include "tests/support/faultstore.h"
#include "tests/support/tree.h"

static char *top; /* fresh for each test */

static int make_top(void **state)
{
    (void)state;
    top = tree_temp();
    return 0;
}

static int drop_top(void **state)
{
    (void)state;
    tree_remove(top);
    free(top);
    return 0;
}

static struct store *open_top(void)
{
    struct dr_err err = { 0 };
    struct store *s = NULL;
    DR_FREE char *url = dr_strf("file://%s", top);
    assert_int_equal(store_open_url("eu", "eu-west-1", url, &s, &err), DR_OK);
    return s;
}

#define LEASE "leases/run"

static void swaps_only_what_was_seen(void **state)
{
    (void)state;
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    char none[STORE_TAG_MAX] = "x", first[STORE_TAG_MAX], second[STORE_TAG_MAX];
    assert_int_equal(store_read_tagged(s, LEASE, &b, none, &err), DR_OK);
    assert_string_equal(none, "");
    assert_int_equal(b.len, 0);
    assert_int_equal(store_swap(s, LEASE, "seen", "one", 3, &err), DR_E_BUSY);
    assert_int_equal(store_swap(s, LEASE, none, "one", 3, &err), DR_OK);
    assert_int_equal(store_swap(s, LEASE, none, "two", 3, &err), DR_E_BUSY);
    assert_non_null(strstr(err.msg, LEASE));
    assert_int_equal(store_read_tagged(s, LEASE, &b, first, &err), DR_OK);
    assert_string_equal(b.data, "one");
    assert_int_equal(store_swap(s, LEASE, first, "two", 3, &err), DR_OK);
    assert_int_equal(store_swap(s, LEASE, first, "three", 5, &err), DR_E_BUSY);
    buf_clear(&b);
    assert_int_equal(store_read_tagged(s, LEASE, &b, second, &err), DR_OK);
    assert_string_equal(b.data, "two");
    assert_string_not_equal(first, second);
    assert_int_equal(store_put(s, LEASE, "four", 4, &err), DR_E_EXISTS);
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 1);
}

/* -- every call fails, or is the last one ---------------------------------------------------- */

static enum dr_rc swap_it(struct store *s, const char *data)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    char tag[STORE_TAG_MAX];
    enum dr_rc rc = store_read_tagged(s, LEASE, &b, tag, &err);
    return rc == DR_OK ? store_swap(s, LEASE, tag, data, strlen(data), &err) : rc;
}

/* The old record or the new one, whole; and the next swap succeeds. */
static void assert_old_or_new(bool done)
{
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    char tag[STORE_TAG_MAX];
    assert_int_equal(store_read_tagged(s, LEASE, &b, tag, &err), DR_OK);
    bool new = b.len > 0 && strcmp(b.data, "the new record") == 0;
    bool old = b.len > 0 && strcmp(b.data, "the old record") == 0;
    assert_true(done ? new : new || old);
    assert_int_equal(swap_it(s, "a later record"), DR_OK);
}

static void set_old(void)
{
    struct dr_err err = { 0 };
    assert_int_equal(fs_remove_tree(top, &err), DR_OK);
    assert_int_equal(fs_make_dirs(top, 0700, &err), DR_OK);
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    assert_int_equal(swap_it(s, "the old record"), DR_OK);
}

static void swap_survives_every_failing_call(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool fired = true;
        for (unsigned n = 1; fired; n++) {
            assert_true(n < 100);
            set_old();
            DR_CLEANUP(store_close_ptr) struct store *s = open_top();
            fault_arm(kinds[k], n);
            enum dr_rc rc = swap_it(s, "the new record");
            fired = fault_disarm();
            assert_int_equal(fault_open_fds(), 0);
            assert_old_or_new(rc == DR_OK);
        }
    }
}

static void swap_survives_death_at_every_call(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_DIE_BEFORE, FAULT_DIE_AFTER };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        int status = 99 << 8;
        for (unsigned n = 1; WEXITSTATUS(status) == 99; n++) {
            assert_true(n < 100);
            set_old();
            pid_t pid = fork();
            if (pid == 0) {
                fault_arm(kinds[k], n);
                _exit(swap_it(open_top(), "the new record") == DR_OK ? 0 : 1);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_old_or_new(WEXITSTATUS(status) == 0);
        }
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

/* -- many at once ------------------------------------------------------------------------------ */

enum { RACERS = 4, ROUNDS = 25 };

/* Adds one to the number in the record, until ROUNDS of them were its own. */
static void *count_up(void *arg)
{
    struct store *s = arg;
    uintptr_t lost = 0;
    for (int mine = 0; mine < ROUNDS;) {
        DR_CLEANUP(buf_fini) struct buf b = { 0 };
        struct dr_err err = { 0 };
        char tag[STORE_TAG_MAX];
        if (store_read_tagged(s, LEASE, &b, tag, &err) != DR_OK)
            return NULL;
        long now = b.len > 0 ? strtol(b.data, NULL, 10) : 0;
        DR_FREE char *next = dr_strf("%ld", now + 1);
        enum dr_rc rc = store_swap(s, LEASE, tag, next, strlen(next), &err);
        if (rc != DR_OK && rc != DR_E_BUSY)
            return NULL;
        mine += rc == DR_OK;
        lost += rc == DR_E_BUSY;
    }
    return (void *)(lost + 1);
}

static void one_of_many_wins_each_swap(void **state)
{
    (void)state;
    struct store *s[RACERS];
    pthread_t threads[RACERS];
    for (size_t i = 0; i < RACERS; i++) {
        s[i] = open_top();
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, s[i]), 0);
    }
    for (size_t i = 0; i < RACERS; i++) {
        void *went_well = NULL;
        assert_int_equal(pthread_join(threads[i], &went_well), 0);
        assert_non_null(went_well);
        store_close(s[i]);
    }
    DR_CLEANUP(store_close_ptr) struct store *again = open_top();
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(store_get_all(again, LEASE, 100, &b, &err), DR_OK);
    assert_int_equal(strtol(b.data, NULL, 10), RACERS * ROUNDS);
}

/* -- without the driver's help ----------------------------------------------------------------- */

static void sizes_and_many_removals_need_no_driver(void **state)
{
    (void)state;
    DR_CLEANUP(store_close_ptr) struct store *s = faultstore_new(open_top());
    DR_CLEANUP(store_entries_fini) struct store_entries sizes = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(store_put(s, "packs/b", "four", 4, &err), DR_OK);
    assert_int_equal(store_put(s, "packs/a", "", 0, &err), DR_OK);
    assert_int_equal(store_put(s, "other", "x", 1, &err), DR_OK);
    assert_int_equal(store_list_sizes(s, "packs/", &sizes, &err), DR_OK);
    assert_int_equal(sizes.count, 2);
    assert_string_equal(sizes.items[0].name, "packs/a");
    assert_int_equal(sizes.items[0].size, 0);
    assert_string_equal(sizes.items[1].name, "packs/b");
    assert_int_equal(sizes.items[1].size, 4);
    text_list_add(&names, "packs/a");
    text_list_add(&names, "never/was");
    text_list_add(&names, "other");
    assert_int_equal(store_remove_many(s, &names, &err), DR_OK);
    text_list_add(&names, "../outside");
    assert_int_equal(store_remove_many(s, &names, &err), DR_E_CORRUPT);
    text_list_fini(&names);
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.items[0], "packs/b");
}

static void what_a_store_cannot_do_is_refused_in_words(void **state)
{
    (void)state;
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    struct dr_err err = { 0 };
    struct store_abilities can;
    assert_int_equal(store_lock_until(s, "packs/a", 1, &err), DR_E_CONFIG);
    assert_non_null(strstr(err.msg, "bucket 'eu'"));
    assert_non_null(strstr(err.msg, "cannot lock objects"));
    assert_non_null(strstr(err.hint, "doctor"));
    assert_int_equal(store_abilities(s, &can, &err), DR_OK);
    assert_true(can.conditional_put && can.conditional_swap);
    assert_false(can.object_lock || can.versioning);
    assert_int_equal(store_parallel(s), 1);
}

static void calls_and_bytes_are_counted(void **state)
{
    (void)state;
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct store_counts c;
    struct dr_err err = { 0 };
    char byte;
    uint64_t size;
    assert_int_equal(store_put(s, "a", "four", 4, &err), DR_OK);
    assert_int_equal(store_put(s, "a", "again", 5, &err), DR_E_EXISTS);
    assert_int_equal(store_get(s, "a", 1, 1, &byte, &err), DR_OK);
    assert_int_equal(store_get(s, "b", 0, 1, &byte, &err), DR_E_NOTFOUND);
    assert_int_equal(store_head(s, "a", &size, &err), DR_OK);
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(store_remove(s, "a", &err), DR_OK);
    assert_int_equal(store_remove(s, "/bad", &err), DR_E_CORRUPT);
    store_counts(s, &c);
    assert_int_equal(c.puts, 2);
    assert_int_equal(c.gets, 2);
    assert_int_equal(c.heads, 1);
    assert_int_equal(c.lists, 1);
    assert_int_equal(c.removes, 1);
    assert_int_equal(c.bytes_out, 4);
    assert_int_equal(c.bytes_in, 1);
    assert_int_equal(c.retries, 0);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, make_top, drop_top)
    const struct CMUnitTest tests[] = {
        FRESH(swaps_only_what_was_seen),
        FRESH(swap_survives_every_failing_call),
        FRESH(swap_survives_death_at_every_call),
        FRESH(one_of_many_wins_each_swap),
        FRESH(sizes_and_many_removals_need_no_driver),
        FRESH(what_a_store_cannot_do_is_refused_in_words),
        FRESH(calls_and_bytes_are_counted),
    };
    return cmocka_run_group_tests_name("store_more", tests, NULL, NULL);
}
