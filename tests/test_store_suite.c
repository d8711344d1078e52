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

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "tests/support/faultstore.h"
#include "tests/support/httpfault.h"
#include "tests/support/memstore.h"
#include "tests/support/radosgw.h"
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

/* -- S3 ---------------------------------------------------------------------------------------- */

static struct httpfault *fake;
static struct radosgw real;
static char *real_top;
static unsigned buckets; /* so many were made: each fact has its own */

static struct store *open_s3(const char *endpoint, const char *style, const char *ca)
{
    DR_FREE char *url = dr_strf("s3://suite%u?endpoint=%s&style=%s", buckets, endpoint, style);
    const struct store_credentials keys = { .kind = "keys",
                                            .access_key = radosgw_owner.access_key,
                                            .secret_key = radosgw_owner.secret_key };
    const struct store_options o = {
        .name = "eu", .region = "eu-west-1", .url = url, .credentials = &keys, .ca = ca
    };
    struct dr_err err = { 0 };
    struct store *s = NULL;
    if (store_open(&o, &s, &err) != DR_OK)
        fail_msg("%s %s", err.msg, err.hint);
    return s;
}

static void make_real_bucket(enum radosgw_bucket kind)
{
    DR_FREE char *name = dr_strf("suite%u", ++buckets);
    assert_true(radosgw_make_bucket(&real, name, kind));
}

static struct store *open_fake(const struct httpfault_kind *kind, const char *endpoint,
                               const char *style)
{
    DR_FREE char *name = dr_strf("suite%u", ++buckets);
    (void)httpfault_bucket(fake, name); /* made, and looked into by nobody */
    httpfault_be(fake, kind);
    return open_s3(endpoint, style, NULL);
}

static struct store *open_fake_path(void)
{
    return open_fake(&(struct httpfault_kind){ .page = 300 }, httpfault_url(fake), "path");
}

static struct store *open_fake_virtual(void)
{
    return open_fake(&(struct httpfault_kind){ .quoted_tags_only = true },
                     httpfault_virtual_url(fake), "virtual");
}

static struct store *open_fake_without_conditions(void)
{
    return open_fake(&(struct httpfault_kind){ .no_conditions = true }, httpfault_url(fake),
                     "path");
}

static struct store *open_fake_that_ignores_conditions(void)
{
    return open_fake(&(struct httpfault_kind){ .conditions_ignored = true }, httpfault_url(fake),
                     "path");
}

static struct store *open_real_http(void)
{
    make_real_bucket(RADOSGW_PLAIN);
    return open_s3(real.http, "path", NULL);
}

static struct store *open_real_https(void)
{
    make_real_bucket(RADOSGW_PLAIN);
    return open_s3(real.https, "path", real.ca);
}

static struct store *open_real_virtual(void)
{
    make_real_bucket(RADOSGW_PLAIN);
    return open_s3(real.virtual_https, "virtual", real.ca);
}

static struct store *open_real_versioned(void)
{
    make_real_bucket(RADOSGW_VERSIONED);
    return open_s3(real.http, "path", NULL);
}

static int start_servers(void **state)
{
    (void)state;
    real_top = tree_temp();
    fake = httpfault_start();
    return radosgw_start(&real, real_top, "eu") ? 0 : -1;
}

static int stop_servers(void **state)
{
    (void)state;
    radosgw_stop(&real);
    httpfault_stop(fake);
    tree_remove(real_top);
    free(real_top);
    return 0;
}

/* -- the suite on each of them ----------------------------------------------------------------- */

static const struct driver {
    struct store *(*open)(void);
    bool slow; /* the same driver has a row of its own for what takes long */
} drivers[] = {
    { open_dir, false },
    { open_memory, false },
    { open_wrapped_dir, true },
    { open_wrapped_memory, false },
    { open_fake_path, false },
    { open_fake_virtual, false },
    { open_fake_without_conditions, false },
    { open_fake_that_ignores_conditions, false },
    { open_real_http, true },
    { open_real_https, false },
    { open_real_virtual, true },
    { open_real_versioned, true },
};

static void each(void (*suite)(struct store *s), bool slow_too)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(drivers); i++) {
        if (drivers[i].slow && !slow_too)
            continue;
        DR_CLEANUP(store_close_ptr) struct store *s = drivers[i].open();
        int64_t from = clock_boot_ms();
        suite(s);
        print_message("  %s: %d ms\n", s->url, (int)(clock_boot_ms() - from));
    }
}

static void every_store_conforms(void **state)
{
    (void)state;
    each(storetest_conforms, true);
}

static void every_store_bears_much(void **state)
{
    (void)state;
    each(storetest_bears, false);
}

static void every_store_takes_many_callers(void **state)
{
    (void)state;
    each(storetest_races, true);
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
    return cmocka_run_group_tests_name("store_suite", tests, start_servers, stop_servers);
}
