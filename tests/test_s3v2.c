/*
 * drctl-store-s3v2 on a real store: every promise, by Signature V2; and what it refuses.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/radosgw.h"
#include "tests/support/storetest.h"
#include "tests/support/tree.h"

static char *top;
static struct radosgw ceph;

static enum dr_rc open_at(const char *endpoint, const char *bucket, const char *secret,
                          struct store **ret, struct dr_err *err)
{
    char here[4096];
    assert_non_null(getcwd(here, sizeof(here)));
    DR_FREE char *url =
        dr_strf("exec://%s/build/drctl-store-s3v2?endpoint=%s&bucket=%s", here, endpoint, bucket);
    const struct store_credentials by = { .kind = "keys",
                                          .access_key = radosgw_owner.access_key,
                                          .secret_key = secret };
    const struct store_options o = {
        .name = "old", .region = "eu-west-1", .url = url, .credentials = &by
    };
    return store_open(&o, ret, err);
}

static void keeps_every_promise_on_a_real_store(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    struct store_abilities can;
    assert_true(radosgw_make_bucket(&ceph, "promises", RADOSGW_PLAIN));
    if (open_at(ceph.http, "promises", radosgw_owner.secret_key, &s, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(store_abilities(s, &can, &err), DR_OK);
    assert_false(can.conditional_put); /* it only looks first, and says so */
    assert_false(can.conditional_swap);
    storetest_conforms(s);
}

static void keys_of_others_are_passed_over(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_true(radosgw_make_bucket(&ceph, "foreign", RADOSGW_PLAIN));
    assert_int_equal(
        radosgw_request(&ceph, &radosgw_owner, "PUT /foreign/READ%20ME", NULL, "x", NULL), 200);
    assert_int_equal(open_at(ceph.http, "foreign", radosgw_owner.secret_key, &s, &err), DR_OK);
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 0);
    assert_int_equal(store_put(s, "a/b", "x", 1, &err), DR_OK);
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 1);
}

static void what_is_wrong_is_told_at_open(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct store *s = NULL;
    assert_true(radosgw_make_bucket(&ceph, "wrong", RADOSGW_PLAIN));
    assert_int_equal(open_at(ceph.https, "wrong", radosgw_owner.secret_key, &s, &err), DR_E_CONFIG);
    assert_non_null(strstr(err.msg, "https is refused: libs3 checks no certificate"));
    assert_int_equal(open_at(ceph.http, "wrong", "another", &s, &err), DR_E_DENIED);
    assert_non_null(strstr(err.msg, "SignatureDoesNotMatch"));
    assert_int_equal(open_at(ceph.http, "absent", radosgw_owner.secret_key, &s, &err), DR_E_IO);
    assert_non_null(strstr(err.msg, "NoSuchBucket"));
    assert_int_equal(open_at("http://127.0.0.1:1", "wrong", "x", &s, &err), DR_E_TRANSIENT);
    assert_null(s);
}

static void a_store_that_goes_away_is_told_and_found_again(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    char byte = 0;
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    assert_true(radosgw_make_bucket(&ceph, "away", RADOSGW_PLAIN));
    assert_int_equal(open_at(ceph.http, "away", radosgw_owner.secret_key, &s, &err), DR_OK);
    assert_int_equal(store_put(s, "a", "x", 1, &err), DR_OK);
    radosgw_kill(&ceph);
    assert_int_equal(store_get(s, "a", 0, 1, &byte, &err), DR_E_TRANSIENT);
    assert_true(radosgw_again(&ceph));
    assert_int_equal(store_get(s, "a", 0, 1, &byte, &err), DR_OK);
    assert_int_equal(byte, 'x');
}

static int begin(void **state)
{
    (void)state;
    top = tree_temp();
    return radosgw_start(&ceph, top, "eu") ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    radosgw_stop(&ceph);
    tree_remove(top);
    free(top);
    return 0;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_every_promise_on_a_real_store),
        cmocka_unit_test(keys_of_others_are_passed_over),
        cmocka_unit_test(what_is_wrong_is_told_at_open),
        cmocka_unit_test(a_store_that_goes_away_is_told_and_found_again),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
