/*
 * The S3 driver, against a server of our own that misbehaves where it is told to, and against real
 * radosgw. What every store promises is asked of it by the conformance suite as well; here is what is
 * special to S3: conditions, lost answers, ranges, pages, ETags, versions and locks, hostile XML, and
 * the words of its errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/s3_xml.h"
#include "backup/store/store.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/net/gate.h"
#include "tests/support/httpfault.h"
#include "tests/support/radosgw.h"
#include "tests/support/storetest.h"
#include "tests/support/tree.h"

static char *top;
static struct httpfault *bad;
static struct radosgw eu;

static int set_up(void **state)
{
    (void)state;
    top = tree_temp();
    bad = httpfault_start();
    return radosgw_start(&eu, top, "eu") ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    radosgw_stop(&eu);
    httpfault_stop(bad);
    tree_remove(top);
    free(top);
    return 0;
}

/* -- opening ------------------------------------------------------------------------------------ */

static struct store_credentials owner_keys(void)
{
    return (struct store_credentials){ .kind = "keys",
                                       .access_key = radosgw_owner.access_key,
                                       .secret_key = radosgw_owner.secret_key };
}

/* A bucket somewhere, by the owner's keys; fields of o may be set before. */
static struct store *open_with(const char *endpoint, const char *place, struct store_options o)
{
    const struct store_credentials keys = owner_keys();
    struct dr_err err = { 0 };
    struct store *s = NULL;
    DR_FREE char *url =
        dr_strf("s3://%s%cendpoint=%s", place, strchr(place, '?') != NULL ? '&' : '?', endpoint);
    o.name = "eu";
    o.region = "eu-west-1";
    o.url = url;
    if (o.credentials == NULL)
        o.credentials = &keys;
    if (store_open(&o, &s, &err) != DR_OK)
        fail_msg("%s / %s", err.msg, err.hint);
    return s;
}

static struct store *open_bad(const char *place)
{
    return open_with(httpfault_url(bad), place, (struct store_options){ 0 });
}

static struct store *open_real(const char *place)
{
    return open_with(eu.http, place, (struct store_options){ 0 });
}

static void be(struct httpfault_kind kind)
{
    httpfault_be(bad, &kind);
}

/* A test leaves the server as it found it. */
static int calm(void **state)
{
    (void)state;
    httpfault_clear(bad);
    be((struct httpfault_kind){ 0 });
    httpfault_forget(bad);
    return 0;
}

/* -- what every store promises --------------------------------------------------------------------- */

static void conforms_at(const char *endpoint, const char *place, struct store_options o)
{
    DR_CLEANUP(store_close_ptr) struct store *s = open_with(endpoint, place, o);
    storetest_conforms(s);
}

/* The suite of test_store_suite.c has the other servers and styles. */
static void conforms_below_a_prefix_by_https_and_virtual_host_and_in_pages_of_two(void **state)
{
    (void)state;
    assert_true(radosgw_make_bucket(&eu, "plain", RADOSGW_PLAIN));
    conforms_at(eu.virtual_https, "plain/below/this?style=virtual",
                (struct store_options){ .ca = eu.ca });
    be((struct httpfault_kind){ .conditions_ignored = true, .page = 2 });
    (void)httpfault_bucket(bad, "ignoring");
    conforms_at(httpfault_url(bad), "ignoring/some/where", (struct store_options){ 0 });
}

/* -- puts ---------------------------------------------------------------------------------------- */

static void a_put_whose_answer_was_lost_is_a_success(void **state)
{
    (void)state;
    struct memory *m = httpfault_bucket(bad, "lost");
    DR_CLEANUP(store_close_ptr) struct store *s = open_bad("lost");
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(store_put(s, "packs/a", "before", 6, &err), DR_OK);
    httpfault_plan(bad, &(struct httpfault_plan){ .how = HTTPFAULT_LOST, .method = "PUT" });
    assert_int_equal(store_put(s, "packs/b", "bytes", 5, &err), DR_OK);
    assert_true(memory_get(m, "packs/b", &b, NULL));
    assert_string_equal(b.data, "bytes");
    /* not ours: same size, larger, smaller */
    static const char *const others[] = { "BYTES", "bytes and more", "b" };
    for (size_t i = 0; i < DR_ARRAY_LEN(others); i++) {
        DR_FREE char *name = dr_strf("packs/c%zu", i);
        assert_int_equal(memory_put(m, name, others[i], strlen(others[i]), MEMORY_ALWAYS, NULL),
                         DR_OK);
        httpfault_plan(bad, &(struct httpfault_plan){ .how = HTTPFAULT_RESET, .method = "PUT" });
        assert_int_equal(store_put(s, name, "bytes", 5, &err), DR_E_EXISTS);
    }
}

/* What it takes to put one object: found out once, then one request each. */
static void what_the_store_can_do_is_asked_once_and_remembered(void **state)
{
    (void)state;
    DR_FREE char *memory = dr_strf("%s/memory", top);
    (void)httpfault_bucket(bad, "once");
    const struct store_options o = { .memory = memory };
    struct dr_err err = { 0 };
    static const size_t puts[] = { 3, 1 }; /* the second process has it from the file */
    for (size_t i = 0; i < DR_ARRAY_LEN(puts); i++) {
        DR_CLEANUP(store_close_ptr) struct store *s = open_with(httpfault_url(bad), "once", o);
        DR_FREE char *name = dr_strf("packs/%zu", i);
        httpfault_forget(bad);
        assert_int_equal(store_put(s, name, "x", 1, &err), DR_OK);
        assert_int_equal(httpfault_count(bad, NULL, NULL), puts[i]);
        assert_int_equal(store_put(s, "packs/again", "x", 1, &err), i == 0 ? DR_OK : DR_E_EXISTS);
        assert_int_equal(httpfault_count(bad, NULL, NULL), puts[i] + 1);
    }
    DR_CLEANUP(store_close_ptr) struct store *s = open_bad("once");
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 3); /* the probe's own object is none */
}

static void a_store_without_conditions_is_looked_at_before_each_put(void **state)
{
    (void)state;
    be((struct httpfault_kind){ .conditions_ignored = true });
    struct memory *m = httpfault_bucket(bad, "blind");
    DR_CLEANUP(store_close_ptr) struct store *s = open_bad("blind");
    struct store_abilities can;
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(store_put(s, "a", "first", 5, &err), DR_OK);
    assert_int_equal(store_put(s, "a", "second", 6, &err), DR_E_EXISTS);
    assert_true(memory_get(m, "a", &b, NULL));
    assert_string_equal(b.data, "first");
    assert_int_equal(store_abilities(s, &can, &err), DR_OK);
    assert_false(can.conditional_put || can.conditional_swap || can.versioning || can.object_lock);
    assert_int_equal(store_swap(s, "leases/a", "", "x", 1, &err), DR_E_CONFIG);
    assert_non_null(strstr(err.msg, "no lease in it"));
}

static void what_passes_is_repeated_within_bounds(void **state)
{
    (void)state;
    (void)httpfault_bucket(bad, "busy");
    DR_CLEANUP(store_close_ptr) struct store *s = open_bad("busy");
    struct dr_err err = { 0 };
    struct store_counts c;
    char byte = 0;
    assert_int_equal(store_put(s, "a", "x", 1, &err), DR_OK);
    httpfault_plan(bad,
                   &(struct httpfault_plan){ .how = HTTPFAULT_STATUS, .status = 503, .times = 2 });
    assert_int_equal(store_get(s, "a", 0, 1, &byte, &err), DR_OK);
    httpfault_plan(bad, &(struct httpfault_plan){ .how = HTTPFAULT_CUT, .method = "GET", .at = 0 });
    assert_int_equal(store_get(s, "a", 0, 1, &byte, &err), DR_OK);
    assert_int_equal(byte, 'x');
    store_counts(s, &c);
    assert_int_equal(c.retries, 3);
    assert_int_equal(c.gets, 5);
    httpfault_plan(bad, &(struct httpfault_plan){
                            .how = HTTPFAULT_STATUS, .status = 500, .times = HTTPFAULT_ANY_TIMES });
    assert_int_equal(store_get(s, "a", 0, 1, &byte, &err), DR_E_TRANSIENT);
    assert_non_null(strstr(err.msg, "bucket 'eu': cannot get object 'a'"));
    assert_non_null(strstr(err.msg, "6 attempts"));
    store_counts(s, &c);
    assert_int_equal(c.gets, 5 + 6);
}

static void other_bytes_than_asked_for_are_never_taken(void **state)
{
    (void)state;
    struct memory *m = httpfault_bucket(bad, "ranges");
    DR_CLEANUP(store_close_ptr) struct store *s = open_bad("ranges");
    struct dr_err err = { 0 };
    char bytes[16];
    assert_int_equal(memory_put(m, "a", "0123456789", 10, MEMORY_ALWAYS, NULL), DR_OK);
    assert_int_equal(store_get(s, "a", 8, 4, bytes, &err), DR_E_CORRUPT);
    assert_non_null(strstr(err.msg, "truncated: it has 10 bytes, 12 are needed"));
    assert_int_equal(store_get(s, "a", 10, 1, bytes, &err), DR_E_CORRUPT); /* 416 */
    assert_non_null(strstr(err.msg, "truncated: it has 10 bytes, 11 are needed"));
    httpfault_plan(bad, &(struct httpfault_plan){
                            .how = HTTPFAULT_LONGER, .at = 3, .times = HTTPFAULT_ANY_TIMES });
    assert_int_not_equal(store_get(s, "a", 0, 4, bytes, &err), DR_OK);
}

/* -- requests as they go over the wire ---------------------------------------------------------- */

static void requests_have_these_forms(void **state)
{
    (void)state;
    (void)httpfault_bucket(bad, "forms");
    DR_CLEANUP(store_close_ptr) struct store *s = open_bad("forms/a/b");
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_CLEANUP(buf_fini) struct buf said = { 0 };
    struct dr_err err = { 0 };
    struct store_abilities can;
    char tag[STORE_TAG_MAX], got[4];
    uint64_t size;
    assert_int_equal(store_put(s, "packs/x", "0123456789", 10, &err), DR_OK);
    assert_int_equal(store_get(s, "packs/x", 3, 4, got, &err), DR_OK);
    assert_int_equal(store_get_all(s, "packs/x", 10, &b, &err), DR_OK);
    assert_int_equal(store_head(s, "packs/x", &size, &err), DR_OK);
    assert_int_equal(store_list(s, "packs/", &names, &err), DR_OK);
    assert_int_equal(store_remove_many(s, &names, &err), DR_OK);
    assert_int_equal(store_remove(s, "packs/x", &err), DR_OK);
    assert_int_equal(store_read_tagged(s, "leases/x", &b, tag, &err), DR_OK);
    assert_int_equal(store_abilities(s, &can, &err), DR_OK);
    struct httpfault_entry e;
    for (size_t i = 0; httpfault_entry(bad, i, &e); i++) {
        char *nonce = strstr(e.path, ".swap-");
        if (nonce != NULL)
            snprintf(nonce, sizeof(e.path) - (size_t)(nonce - e.path), ".swap-NONCE");
        buf_addf(&said, "%s %s%s%s %d\n", e.method, e.path, e.range[0] != '\0' ? " " : "", e.range,
                 e.status);
    }
    assert_string_equal(
        said.data,
        "PUT /forms/a/b/.probe 200\n"
        "PUT /forms/a/b/.probe 412\n"
        "PUT /forms/a/b/packs/x 200\n"
        "GET /forms/a/b/packs/x bytes=3-6 206\n"
        "GET /forms/a/b/packs/x 200\n"
        "HEAD /forms/a/b/packs/x 200\n"
        "GET /forms/?encoding-type=url&list-type=2&max-keys=1000&prefix=a%2Fb%2Fpacks%2F 200\n"
        "POST /forms/?delete= 200\n"
        "DELETE /forms/a/b/packs/x 204\n"
        "GET /forms/a/b/leases/x 404\n"
        "PUT /forms/a/b/.probe 412\n"
        "PUT /forms/a/b/.swap-NONCE 200\n"
        "PUT /forms/a/b/.swap-NONCE 412\n"
        "PUT /forms/a/b/.swap-NONCE 412\n"
        "PUT /forms/a/b/.swap-NONCE 412\n"
        "PUT /forms/a/b/.swap-NONCE 412\n"
        "PUT /forms/a/b/.swap-NONCE 200\n"
        "DELETE /forms/a/b/.swap-NONCE 204\n"
        "GET /forms/?versioning= 200\n"
        "GET /forms/?object-lock= 404\n");
}

/* AWS's hosts are of the region, the bucket in front of them unless its name has a dot. The door is shut
 * before any name is looked up. */
static void hosts_of_aws_are_of_the_region_and_pass_the_gate(void **state)
{
    (void)state;
    static const struct {
        const char *url, *region, *host;
    } cases[] = {
        { "s3://backup-eu/x", "eu-west-1", "backup-eu.s3.eu-west-1.amazonaws.com" },
        { "s3://backup.eu/x", "eu-west-1", "s3.eu-west-1.amazonaws.com" },
        { "s3://backup-eu?region=sa-east-1", "eu-west-1", "backup-eu.s3.sa-east-1.amazonaws.com" },
        { "s3://backup-eu?style=path", NULL, "s3.us-east-1.amazonaws.com" },
        { "s3://backup-cn", "cn-north-1", "backup-cn.s3.cn-north-1.amazonaws.com.cn" },
        { "s3://backup?style=virtual&endpoint=http://s3.example.net:81", "x",
          "backup.s3.example.net" },
    };
    const struct store_credentials keys = owner_keys();
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        DR_CLEANUP(gate_free_ptr) struct gate *gate = gate_new();
        gate_dark(gate, "lost", cases[i].host);
        const struct store_options o = { .name = "eu",
                                         .region = cases[i].region,
                                         .url = cases[i].url,
                                         .credentials = &keys,
                                         .gate = gate };
        DR_CLEANUP(store_close_ptr) struct store *s = NULL;
        DR_CLEANUP(buf_fini) struct buf b = { 0 };
        struct dr_err err = { 0 };
        assert_int_equal(store_open(&o, &s, &err), DR_OK);
        assert_int_equal(store_get_all(s, "repository", 10, &b, &err), DR_E_REFUSED);
        assert_non_null(strstr(err.msg, cases[i].host));
        assert_int_equal(gate_refused(gate), 1);
        store_close(DR_TAKE(s));
    }
}

static void a_session_token_goes_along_and_its_end_is_told(void **state)
{
    (void)state;
    struct store_credentials keys = owner_keys();
    const struct store_options o = { .credentials = &keys };
    (void)httpfault_bucket(bad, "tokens");
    be((struct httpfault_kind){ .token = "the-token" });
    keys.session_token = "the-token";
    DR_CLEANUP(store_close_ptr) struct store *good = open_with(httpfault_url(bad), "tokens", o);
    struct dr_err err = { 0 };
    assert_int_equal(store_put(good, "packs/a", "x", 1, &err), DR_OK);
    keys.session_token = "an-old-token";
    DR_CLEANUP(store_close_ptr) struct store *old = open_with(httpfault_url(bad), "tokens", o);
    assert_int_equal(store_put(old, "packs/b", "x", 1, &err), DR_E_DENIED);
    assert_non_null(strstr(err.msg, "the session token"));
    assert_non_null(strstr(err.hint, "Get new temporary keys"));
}

/* -- lists and removals ---------------------------------------------------------------------------- */

static void pages_make_one_sorted_list(void **state)
{
    (void)state;
    be((struct httpfault_kind){ .page = 7 });
    struct memory *m = httpfault_bucket(bad, "pages");
    DR_CLEANUP(store_close_ptr) struct store *s = open_bad("pages/below");
    DR_CLEANUP(store_entries_fini) struct store_entries e = { 0 };
    struct dr_err err = { 0 };
    for (int i = 0; i < 30; i++) {
        DR_FREE char *name = dr_strf("below/packs/%02d", i);
        assert_int_equal(memory_put(m, name, "xxxxx", (size_t)i % 5, MEMORY_ALWAYS, NULL), DR_OK);
    }
    assert_int_equal(memory_put(m, "below/packs/Not One of Ours", "x", 1, MEMORY_ALWAYS, NULL),
                     DR_OK);
    assert_int_equal(memory_put(m, "beside/packs/00", "x", 1, MEMORY_ALWAYS, NULL), DR_OK);
    assert_int_equal(store_list_sizes(s, "packs/", &e, &err), DR_OK);
    assert_int_equal(e.count, 30);
    for (size_t i = 0; i < e.count; i++) {
        DR_FREE char *name = dr_strf("packs/%02zu", i);
        assert_string_equal(e.items[i].name, name);
        assert_int_equal(e.items[i].size, i % 5);
    }
    assert_int_equal(httpfault_count(bad, "GET", "list-type=2"), 5);
}

/* Names of other programs may hold what XML cannot: they harm nothing. The real thing gives real tokens. */
static void real_pages_make_one_list(void **state)
{
    (void)state;
    assert_true(radosgw_make_bucket(&eu, "pages", RADOSGW_PLAIN));
    DR_CLEANUP(store_close_ptr) struct store *s = open_real("pages");
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(
        radosgw_request(&eu, &radosgw_owner, "PUT /pages/packs/%01%3C%26x", NULL, "x", NULL), 200);
    for (int i = 0; i < 1003; i++) {
        DR_FREE char *name = dr_strf("packs/%04d", i);
        assert_int_equal(store_put(s, name, "", 0, &err), DR_OK);
    }
    assert_int_equal(store_list(s, "packs/", &names, &err), DR_OK);
    assert_int_equal(names.count, 1003);
    assert_string_equal(names.items[0], "packs/0000");
    assert_string_equal(names.items[1002], "packs/1002");
    assert_int_equal(store_remove_many(s, &names, &err), DR_OK);
    text_list_fini(&names);
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 0);
}

static void a_thousand_removals_are_one_request(void **state)
{
    (void)state;
    struct memory *m = httpfault_bucket(bad, "many");
    DR_CLEANUP(store_close_ptr) struct store *s = open_bad("many/p");
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct dr_err err = { 0 };
    for (int i = 0; i < 1001; i++) {
        DR_FREE char *name = dr_strf("packs/%04d", i);
        DR_FREE char *key = dr_strf("p/%s", name);
        text_list_add(&names, name);
        assert_int_equal(memory_put(m, key, "x", 1, MEMORY_ALWAYS, NULL), DR_OK);
    }
    assert_int_equal(memory_put(m, "p/packs/stays", "x", 1, MEMORY_ALWAYS, NULL), DR_OK);
    assert_int_equal(store_remove_many(s, &names, &err), DR_OK);
    assert_int_equal(httpfault_count(bad, NULL, NULL), 2);
    text_list_fini(&names);
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 1);
}

/* -- swaps ------------------------------------------------------------------------------------------ */

static void assert_swaps(struct store *s)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    char none[STORE_TAG_MAX], first[STORE_TAG_MAX];
    assert_int_equal(store_read_tagged(s, "leases/a", &b, none, &err), DR_OK);
    assert_string_equal(none, "");
    assert_int_equal(store_swap(s, "leases/a", none, "one", 3, &err), DR_OK);
    assert_int_equal(store_swap(s, "leases/a", none, "two", 3, &err), DR_E_BUSY);
    assert_int_equal(store_read_tagged(s, "leases/a", &b, first, &err), DR_OK);
    assert_string_equal(b.data, "one");
    assert_int_equal(store_swap(s, "leases/a", first, "two", 3, &err), DR_OK);
    assert_int_equal(store_swap(s, "leases/a", first, "three", 5, &err), DR_E_BUSY);
    assert_int_equal(store_swap(s, "leases/b", first, "three", 5, &err), DR_E_BUSY);
    buf_clear(&b);
    assert_int_equal(store_read_tagged(s, "leases/a", &b, none, &err), DR_OK);
    assert_string_equal(b.data, "two");
}

static void swaps_in_whichever_form_the_store_wants_the_tag(void **state)
{
    (void)state;
    (void)httpfault_bucket(bad, "bare");
    DR_CLEANUP(store_close_ptr) struct store *bare = open_bad("bare");
    assert_swaps(bare);
    be((struct httpfault_kind){ .quoted_tags_only = true });
    (void)httpfault_bucket(bad, "quoted");
    DR_CLEANUP(store_close_ptr) struct store *quoted = open_bad("quoted");
    assert_swaps(quoted);
    assert_true(radosgw_make_bucket(&eu, "leases", RADOSGW_PLAIN));
    DR_CLEANUP(store_close_ptr) struct store *real = open_real("leases");
    assert_swaps(real);
}

static void a_swap_whose_answer_was_lost_is_unknown_and_sent_once(void **state)
{
    (void)state;
    (void)httpfault_bucket(bad, "unknown");
    DR_CLEANUP(store_close_ptr) struct store *s = open_bad("unknown");
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    char tag[STORE_TAG_MAX];
    assert_int_equal(store_swap(s, "leases/a", "", "one", 3, &err), DR_OK);
    assert_int_equal(store_read_tagged(s, "leases/a", &b, tag, &err), DR_OK);
    httpfault_forget(bad);
    httpfault_plan(bad, &(struct httpfault_plan){
                            .how = HTTPFAULT_LOST, .method = "PUT", .times = HTTPFAULT_ANY_TIMES });
    enum dr_rc rc = store_swap(s, "leases/a", tag, "two", 3, &err);
    assert_true(rc == DR_E_TRANSIENT || rc == DR_E_TIMEOUT);
    httpfault_clear(bad);
    httpfault_plan(
        bad, &(struct httpfault_plan){ .how = HTTPFAULT_STATUS, .method = "PUT", .status = 500 });
    httpfault_forget(bad);
    assert_int_equal(store_swap(s, "leases/a", tag, "three", 5, &err), DR_E_TRANSIENT);
    assert_int_equal(httpfault_count(bad, "PUT", "leases/a"), 1);
    buf_clear(&b);
    assert_int_equal(store_read_tagged(s, "leases/a", &b, tag, &err), DR_OK);
    assert_string_equal(b.data, "two");
}

/* -- words ------------------------------------------------------------------------------------------ */

/* The first call on a bucket says what is wrong, and what to do. */
static void assert_says(struct store *s, enum dr_rc rc, const char *words, const char *hint)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(store_get_all(s, "repository", 100, &b, &err), rc);
    if (strstr(err.msg, "bucket 'eu': cannot get object 'repository': ") == NULL ||
        strstr(err.msg, words) == NULL || strstr(err.hint, hint) == NULL)
        fail_msg("it says\n%s\n%s\nand not\n%s\n%s", err.msg, err.hint, words, hint);
    if (strstr(err.msg, radosgw_owner.secret_key) != NULL)
        fail_msg("%s", err.msg);
    uint64_t size = 0;
    assert_int_equal(store_head(s, "repository", &size, &err),
                     rc == DR_E_CONFIG && strstr(words, "bucket (404") != NULL ? DR_E_NOTFOUND
                                                                               : rc);
}

static void assert_kind_says(struct httpfault_kind kind, enum dr_rc rc, const char *words,
                             const char *hint)
{
    (void)httpfault_bucket(bad, "words");
    be(kind);
    DR_CLEANUP(store_close_ptr) struct store *s = open_bad("words");
    assert_says(s, rc, words, hint);
}

static void errors_say_what_to_do(void **state)
{
    (void)state;
    DR_FREE char *key = dr_strf("secret of access key %s", radosgw_owner.access_key);
    assert_kind_says((struct httpfault_kind){ .wrong_secret = true }, DR_E_DENIED,
                     "the secret key is wrong (403 SignatureDoesNotMatch)", key);
    assert_kind_says((struct httpfault_kind){ .access_key = "AKOTHER" }, DR_E_DENIED,
                     "the access key is not known there (403 InvalidAccessKeyId", "access key");
    assert_kind_says((struct httpfault_kind){ .clock_offset_s = 7200 }, DR_E_DENIED,
                     "the clocks differ too much (403 RequestTimeTooSkewed)",
                     "Set the clock of this host: it is 120 minutes behind");
    assert_kind_says((struct httpfault_kind){ .clock_offset_s = -3600 }, DR_E_DENIED,
                     "RequestTimeTooSkewed", "it is 60 minutes ahead of");
    assert_kind_says((struct httpfault_kind){ .region = "ap-south-9" }, DR_E_CONFIG,
                     "another region (400 AuthorizationHeaderMalformed)",
                     "Write region=ap-south-9 into the url of bucket 'eu' (it says eu-west-1)");
    be((struct httpfault_kind){ 0 });
    httpfault_plan(bad, &(struct httpfault_plan){ .how = HTTPFAULT_REDIRECT,
                                                  .region = "sa-east-7",
                                                  .times = HTTPFAULT_ANY_TIMES });
    assert_kind_says((struct httpfault_kind){ 0 }, DR_E_CONFIG, "another region (301",
                     "Write region=sa-east-7");
}

static void real_errors_say_what_to_do(void **state)
{
    (void)state;
    struct store_credentials keys = owner_keys();
    const struct store_options o = { .credentials = &keys };
    assert_true(radosgw_make_bucket(&eu, "words", RADOSGW_PLAIN));
    DR_CLEANUP(store_close_ptr) struct store *none = open_real("no-such-bucket-here");
    assert_says(none, DR_E_CONFIG, "there is no such bucket (404 NoSuchBucket)",
                "Create 'no-such-bucket-here' there, or correct its url: drctl never creates");
    keys.secret_key = "wrong";
    DR_CLEANUP(store_close_ptr) struct store *wrong = open_with(eu.http, "words", o);
    assert_says(wrong, DR_E_DENIED, "the secret key is wrong (403 SignatureDoesNotMatch)",
                "Correct the secret");
    keys.access_key = "AKUNKNOWN";
    DR_CLEANUP(store_close_ptr) struct store *unknown = open_with(eu.http, "words", o);
    assert_says(unknown, DR_E_DENIED, "not known there (403 InvalidAccessKeyId, 2 attempts)",
                "AKUNKNOWN");
    DR_CLEANUP(store_close_ptr)
    struct store *self = open_with(eu.https, "words", (struct store_options){ 0 });
    assert_says(self, DR_E_DENIED, "certificate", "ca: /PATH, at bucket 'eu'");
    const struct store_credentials source = { .kind = "keys",
                                              .access_key = radosgw_source.access_key,
                                              .secret_key = radosgw_source.secret_key };
    DR_CLEANUP(store_close_ptr)
    struct store *thief =
        open_with(eu.http, "words", (struct store_options){ .credentials = &source });
    struct dr_err err = { 0 };
    assert_int_equal(store_put(thief, "packs/a", "x", 1, &err), DR_OK);
    assert_int_equal(store_remove(thief, "packs/a", &err), DR_E_DENIED);
    assert_non_null(strstr(err.msg, "cannot remove object 'packs/a': access denied"));
    assert_non_null(strstr(err.hint, "s3:DeleteObject on 'words/*'"));
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    text_list_add(&names, "packs/a");
    text_list_add(&names, "packs/b");
    assert_int_equal(store_remove_many(thief, &names, &err), DR_E_DENIED);
    assert_non_null(strstr(err.msg, "access denied"));
}

static void an_endpoint_that_is_away_is_told_with_its_address(void **state)
{
    (void)state;
    DR_CLEANUP(store_close_ptr)
    struct store *s = open_with("http://127.0.0.1:1", "away", (struct store_options){ 0 });
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(store_get_all(s, "repository", 100, &b, &err), DR_E_TRANSIENT);
    assert_non_null(strstr(err.msg, "127.0.0.1:1"));
    assert_non_null(strstr(err.msg, "(3 attempts)")); /* nobody ever answered there */
    assert_non_null(strstr(err.hint, "http://127.0.0.1:1/away/ can be reached"));
    struct store_counts before, after;
    store_counts(s, &before); /* nobody was there: the calls that follow do not wait for them */
    assert_int_equal(store_get_all(s, "repository", 100, &b, &err), DR_E_TRANSIENT);
    store_counts(s, &after);
    assert_int_equal(after.gets, before.gets + 1);
}

/* -- locks ------------------------------------------------------------------------------------------- */

static const int64_t DAY_MS = 24LL * 3600 * 1000;

static void a_lock_needs_a_bucket_that_can(void **state)
{
    (void)state;
    const struct store_credentials keys = owner_keys();
    assert_true(radosgw_make_bucket(&eu, "lockless", RADOSGW_PLAIN));
    DR_FREE char *url = dr_strf("s3://lockless?endpoint=%s", eu.http);
    const struct store_options o = {
        .name = "eu", .url = url, .credentials = &keys, .lock_ms = DAY_MS
    };
    struct store *s = NULL;
    struct dr_err err = { 0 };
    assert_int_equal(store_open(&o, &s, &err), DR_E_CONFIG);
    assert_non_null(strstr(err.msg, "it has no object lock"));
    assert_non_null(strstr(err.hint, "when a bucket is created"));
}

static int ask(const struct radosgw_user *user, const char *what, const char *body)
{
    return radosgw_request(&eu, user, what, NULL, body, NULL);
}

/* A thief with the keys of the bucket's owner puts another version on each name, or a marker. */
static void the_oldest_version_is_the_object(void **state)
{
    (void)state;
    assert_true(radosgw_make_bucket(&eu, "vault", RADOSGW_LOCKED));
    const struct store_options o = { .lock_ms = DAY_MS };
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = open_with(eu.http, "vault", o);
    assert_int_equal(store_put(s, "packs/a", "good a", 6, &err), DR_OK);
    assert_int_equal(store_put(s, "packs/b", "good b", 6, &err), DR_OK);
    assert_int_equal(store_put(s, "packs/a", "other", 5, &err), DR_E_EXISTS);
    assert_int_equal(store_put(s, "repository", "good r", 6, &err), DR_OK);
    assert_int_equal(store_put(s, "pending/p", "p", 1, &err), DR_OK);
    assert_int_equal(store_put(s, "pending/q", "q", 1, &err), DR_OK);
    assert_int_equal(ask(&radosgw_owner, "PUT /vault/packs/a", "ransom"), 200);
    assert_int_equal(ask(&radosgw_owner, "DELETE /vault/packs/b", NULL), 204);
    assert_int_equal(ask(&radosgw_owner, "DELETE /vault/repository", NULL), 204);
    assert_int_equal(ask(&radosgw_owner, "DELETE /vault/pending/q", NULL), 204);
    /* one by one, and, when it is more, by their folder: many gets on two names are enough */
    for (int i = 0; i < 30; i++) {
        char got[6];
        assert_int_equal(store_get(s, i % 2 == 0 ? "packs/a" : "packs/b", 0, 6, got, &err), DR_OK);
        assert_memory_equal(got, i % 2 == 0 ? "good a" : "good b", 6);
    }
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(store_get_all(s, "repository", 100, &b, &err), DR_OK);
    assert_string_equal(b.data, "good r");
    uint64_t size = 0;
    assert_int_equal(store_head(s, "packs/b", &size, &err), DR_OK);
    assert_int_equal(size, 6);
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 4);
    assert_string_equal(names.items[0], "packs/a");
    assert_string_equal(names.items[2], "pending/p");
    assert_string_equal(names.items[3], "repository");
    struct store_counts before, after;
    store_counts(s, &before);
    char got[6];
    assert_int_equal(store_get(s, "packs/a", 0, 6, got, &err), DR_OK);
    store_counts(s, &after);
    assert_int_equal(after.lists, before.lists); /* the folder is known by now */
}

static void what_is_locked_stays_and_what_passes_goes(void **state)
{
    (void)state;
    assert_true(radosgw_make_bucket(&eu, "stays", RADOSGW_LOCKED));
    const struct store_options o = { .lock_ms = DAY_MS };
    struct dr_err err = { 0 };
    DR_CLEANUP(store_close_ptr) struct store *s = open_with(eu.http, "stays", o);
    assert_int_equal(store_put(s, "packs/a", "x", 1, &err), DR_OK);
    assert_int_equal(store_put(s, "pending/a", "x", 1, &err), DR_OK);
    assert_int_equal(store_remove(s, "packs/a", &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "its retention has not ended"));
    assert_int_equal(store_remove(s, "pending/a", &err), DR_OK);
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    text_list_add(&names, "packs/a");
    assert_int_equal(store_remove_many(s, &names, &err), DR_E_REFUSED);
    text_list_fini(&names);
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 1);
    int64_t now = clock_wall_ns();
    assert_int_equal(store_lock_until(s, "packs/a", now + 10 * DAY_MS * 1000000, &err), DR_OK);
    assert_int_equal(store_lock_until(s, "packs/a", now + 2 * DAY_MS * 1000000, &err), DR_OK);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(
        radosgw_request(&eu, &radosgw_owner, "GET /stays/packs/a?retention=", NULL, NULL, &b), 200);
    char wanted[40];
    time_print_s(now + 10 * DAY_MS * 1000000, wanted);
    wanted[19] = '\0'; /* its zone is written in more than one way */
    assert_non_null(strstr(b.data, wanted));
    assert_non_null(strstr(b.data, "COMPLIANCE"));
}

static void abilities_are_told_as_they_are(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct store_abilities can;
    assert_true(radosgw_make_bucket(&eu, "able", RADOSGW_PLAIN));
    assert_true(radosgw_make_bucket(&eu, "able-locked", RADOSGW_LOCKED));
    DR_CLEANUP(store_close_ptr) struct store *plain = open_real("able");
    assert_int_equal(store_abilities(plain, &can, &err), DR_OK);
    assert_true(can.conditional_put && can.conditional_swap);
    assert_false(can.versioning || can.object_lock);
    assert_in_range(can.clock_offset_ms + 60000, 0, 120000);
    DR_CLEANUP(store_close_ptr) struct store *locked = open_real("able-locked");
    assert_int_equal(store_abilities(locked, &can, &err), DR_OK);
    assert_true(can.versioning && can.object_lock);
    assert_false(can.conditional_put); /* of this server: a versioned bucket takes each put */
}

/* -- XML ----------------------------------------------------------------------------------------------- */

static enum dr_rc note_leaf(void *arg, const char *path, const char *text, struct dr_err *err)
{
    (void)err;
    buf_addf(arg, "%s=%s;", path, text);
    return DR_OK;
}

static void xml_is_read_as_leaves(void **state)
{
    (void)state;
    static const char xml[] =
        "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b>1 &lt;&amp;&#65;</b> <c><b/></c></a>";
    DR_CLEANUP(buf_fini) struct buf said = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(s3_xml_read(xml, strlen(xml), note_leaf, &said, &err), DR_OK);
    assert_string_equal(said.data, "a/b=1 <&A;a/c/b=;a/c=;a=;");
}

static void hostile_xml_is_refused(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf deep = { 0 };
    DR_CLEANUP(buf_fini) struct buf wide = { 0 };
    DR_CLEANUP(buf_fini) struct buf named = { 0 };
    for (int i = 0; i < 100000; i++)
        buf_adds(&deep, "<a>");
    buf_adds(&wide, "<a>");
    for (int i = 0; i < S3_XML_TEXT_MAX + 1; i++)
        buf_addc(&wide, 'x');
    buf_adds(&wide, "</a>");
    buf_addc(&named, '<');
    for (int i = 0; i < S3_XML_PATH_MAX; i++)
        buf_addc(&named, 'x');
    buf_adds(&named, "/>");
    const char *const xml[] = {
        "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>",
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        "<a>&b;</a>",
        "<a><b></a></b>",
        "<a>",
        "",
        "<a/><b/>",
        "hello",
        "<a>\x01</a>",
        "<a>\xff</a>",
        deep.data,
        wide.data,
        named.data,
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(xml); i++) {
        DR_CLEANUP(buf_fini) struct buf said = { 0 };
        struct dr_err err = { 0 };
        assert_int_equal(s3_xml_read(xml[i], strlen(xml[i]), note_leaf, &said, &err), DR_E_CORRUPT);
        assert_true(said.len < 1000);
    }
}

int main(void)
{
#define CALM(test) cmocka_unit_test_setup_teardown(test, calm, calm)
    const struct CMUnitTest tests[] = {
        CALM(conforms_below_a_prefix_by_https_and_virtual_host_and_in_pages_of_two),
        CALM(a_put_whose_answer_was_lost_is_a_success),
        CALM(what_the_store_can_do_is_asked_once_and_remembered),
        CALM(a_store_without_conditions_is_looked_at_before_each_put),
        CALM(what_passes_is_repeated_within_bounds),
        CALM(other_bytes_than_asked_for_are_never_taken),
        CALM(requests_have_these_forms),
        CALM(hosts_of_aws_are_of_the_region_and_pass_the_gate),
        CALM(a_session_token_goes_along_and_its_end_is_told),
        CALM(pages_make_one_sorted_list),
        CALM(real_pages_make_one_list),
        CALM(a_thousand_removals_are_one_request),
        CALM(swaps_in_whichever_form_the_store_wants_the_tag),
        CALM(a_swap_whose_answer_was_lost_is_unknown_and_sent_once),
        CALM(errors_say_what_to_do),
        CALM(real_errors_say_what_to_do),
        CALM(an_endpoint_that_is_away_is_told_with_its_address),
        CALM(a_lock_needs_a_bucket_that_can),
        CALM(the_oldest_version_is_the_object),
        CALM(what_is_locked_stays_and_what_passes_goes),
        CALM(abilities_are_told_as_they_are),
        CALM(xml_is_read_as_leaves),
        CALM(hostile_xml_is_refused),
    };
    return cmocka_run_group_tests_name("s3", tests, set_up, tear_down);
}
