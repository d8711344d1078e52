/*
 * storetest.c - what every store promises, asked of any store: the promises of `drctl store test`, then what
 * our own drivers and the room around them do besides.
 */
#include "tests/support/storetest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "backup/store/promises.h"
#include "dr/base/mem.h"

static void refuses_bad_names(struct store *s)
{
    static const char *const bad[] = { "",    "/a",   ".a",         "a/.b",  "a//b",
                                       "a/",  "../a", "a/../b",     "a/./b", "A",
                                       "a b", "a\n",  "caf\xc3\xa9" };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        struct dr_err err = { 0 };
        uint64_t size = 0;
        assert_int_equal(store_put(s, bad[i], "x", 1, &err), DR_E_CORRUPT);
        assert_int_equal(store_head(s, bad[i], &size, &err), DR_E_CORRUPT);
        assert_int_equal(store_remove(s, bad[i], &err), DR_E_CORRUPT);
    }
    char longest[202];
    memset(longest, 'a', sizeof(longest));
    longest[201] = '\0';
    struct dr_err err = { 0 };
    assert_int_equal(store_put(s, longest, "x", 1, &err), DR_E_CORRUPT);
}

/* The words of failures; that they are failures is a promise. */
static void names_bucket_and_object(struct store *s)
{
    struct dr_err err = { 0 };
    char byte, back[8];
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(store_get(s, "packs/none", 0, 1, &byte, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "packs/none"));
    assert_non_null(strstr(err.msg, s->name));
    assert_int_equal(store_put(s, "packs/few", "12345", 5, &err), DR_OK);
    assert_int_equal(store_get(s, "packs/few", 3, 4, back, &err), DR_E_CORRUPT);
    assert_non_null(strstr(err.msg, "truncated"));
    assert_int_equal(store_get(s, "packs/few", UINT64_MAX, 2, back, &err), DR_E_CORRUPT);
    assert_int_equal(store_get_all(s, "packs/few", 5, &b, &err), DR_OK);
    assert_int_equal(store_get_all(s, "packs/few", 4, &b, &err), DR_E_CORRUPT); /* too large */
}

static void assert_lists(struct store *s, const char *prefix, const char *expected)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_int_equal(store_list(s, prefix, &names, &err), DR_OK);
    DR_FREE char *joined = text_list_join(&names, " ");
    assert_string_equal(joined, expected);
}

/* Each byte that a name may have, at each place where it may stand; and the longest name. */
static void takes_every_allowed_name(struct store *s)
{
    static const char bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    char longest[201];
    memset(longest, 'z', 200);
    memcpy(longest, "n/", 2);
    longest[200] = '\0';
    text_list_add(&names, longest);
    text_list_add(&names, "n/all/abcdefghijklmnopqrstuvwxyz0123456789-_.");
    text_list_add(&names, "n/a..b/c--d/e__f/--/__");
    for (size_t i = 0; bytes[i] != '\0'; i++) {
        DR_FREE char *name = dr_strf("n/x%c/%c", bytes[i], bytes[i] == '.' ? 'y' : bytes[i]);
        text_list_add(&names, name);
    }
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        char back[256] = "";
        assert_int_equal(store_put(s, name, name, strlen(name), &err), DR_OK);
        assert_int_equal(store_get(s, name, 0, strlen(name), back, &err), DR_OK);
        assert_string_equal(back, name);
    }
    text_list_sort(&names);
    DR_FREE char *expected = text_list_join(&names, " ");
    assert_lists(s, "n/", expected);
    assert_int_equal(store_remove_many(s, &names, &err), DR_OK);
    assert_lists(s, "n/", "");
}

/* What a lease needs beside the promises: a tag is of this content, and a whole record fits. */
static void swaps_what_was_seen(struct store *s)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    char first[STORE_TAG_MAX], again[STORE_TAG_MAX];
    DR_FREE char *large = dr_alloc(STORE_SWAP_MAX, 1);
    assert_int_equal(store_swap(s, "lease/a", "nobody-saw-this", "one", 3, &err), DR_E_BUSY);
    assert_non_null(strstr(err.msg, "lease/a"));
    assert_int_equal(store_swap(s, "lease/a", "", "one", 3, &err), DR_OK);
    assert_int_equal(store_read_tagged(s, "lease/a", &b, first, &err), DR_OK);
    assert_int_equal(store_read_tagged(s, "lease/a", &b, again, &err), DR_OK);
    assert_string_equal(first, again); /* reading changes nothing */
    assert_string_equal(b.data, "oneone");
    assert_int_equal(store_swap(s, "lease/a", first, large, STORE_SWAP_MAX, &err), DR_OK);
    buf_clear(&b);
    assert_int_equal(store_read_tagged(s, "lease/a", &b, again, &err), DR_OK);
    assert_int_equal(b.len, STORE_SWAP_MAX);
    assert_string_not_equal(first, again);
    assert_int_equal(store_put(s, "lease/a", "put", 3, &err), DR_E_EXISTS);
}

static void counts_what_is_asked(struct store *s)
{
    struct dr_err err = { 0 };
    struct store_counts a, b;
    char back[8];
    uint64_t size;
    store_counts(s, &a);
    assert_int_equal(store_put(s, "counted", "12345", 5, &err), DR_OK);
    assert_int_equal(store_get(s, "counted", 1, 3, back, &err), DR_OK);
    assert_int_equal(store_head(s, "counted", &size, &err), DR_OK);
    assert_lists(s, "counted", "counted");
    assert_int_equal(store_remove(s, "counted", &err), DR_OK);
    store_counts(s, &b);
    assert_true(b.puts > a.puts && b.gets > a.gets && b.lists > a.lists && b.removes > a.removes);
    assert_int_equal(b.bytes_out - a.bytes_out, 5);
    assert_int_equal(b.bytes_in - a.bytes_in, 3);
}

void storetest_empties(struct store *s)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    assert_int_equal(store_list(s, "", &all, &err), DR_OK);
    assert_int_equal(store_remove_many(s, &all, &err), DR_OK);
    assert_lists(s, "", "");
}

/* Collected, as a failure must not jump out of the middle of it. */
static void collect(void *arg, const char *says, enum promise_verdict verdict,
                    const struct dr_err *why)
{
    if (verdict == PROMISE_BROKEN)
        buf_addf(arg, "\n  not: %s\n  %s", says, why->msg);
}

void storetest_keeps_promises(struct store *s, unsigned many)
{
    unsigned broken = 0;
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf told = { 0 };
    const struct promises_options o = { .many = many, .told = collect, .arg = &told };
    if (promises_ask(s, &o, &broken, &err) != DR_OK)
        fail_msg("%s", err.msg);
    if (broken > 0)
        fail_msg("%u promises broken:%s", broken, told.data);
}

void storetest_conforms(struct store *s)
{
    enum { FEW = 10 };
    struct store_abilities can;
    struct dr_err err = { 0 };
    if (store_abilities(s, &can, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_in_range(store_parallel(s), 1, 64);
    storetest_keeps_promises(s, FEW);
    refuses_bad_names(s);
    names_bucket_and_object(s);
    takes_every_allowed_name(s);
    counts_what_is_asked(s);
    if (can.conditional_swap)
        swaps_what_was_seen(s);
    storetest_empties(s);
}
