/*
 * storetest.c - what every store promises, asked of any store.
 */
#include "tests/support/storetest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

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

static void says_what_is_missing(struct store *s)
{
    struct dr_err err = { 0 };
    uint64_t size = 0;
    char byte;
    assert_int_equal(store_get(s, "packs/none", 0, 1, &byte, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "packs/none"));
    assert_non_null(strstr(err.msg, s->name));
    assert_int_equal(store_head(s, "none", &size, &err), DR_E_NOTFOUND);
    assert_int_equal(store_remove(s, "packs/none", &err), DR_OK);
}

static void gives_back_exact_ranges(struct store *s)
{
    struct dr_err err = { 0 };
    char data[5000], back[5000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 256);
    assert_int_equal(store_put(s, "packs/ab/range", data, sizeof(data), &err), DR_OK);
    static const struct {
        uint64_t offset;
        size_t len;
    } good[] = { { 0, 5000 }, { 0, 1 }, { 4999, 1 }, { 17, 3000 }, { 5000, 0 }, { 0, 0 } };
    for (size_t i = 0; i < DR_ARRAY_LEN(good); i++) {
        assert_int_equal(store_get(s, "packs/ab/range", good[i].offset, good[i].len, back, &err),
                         DR_OK);
        assert_memory_equal(back, data + good[i].offset, good[i].len);
    }
    assert_int_equal(store_get(s, "packs/ab/range", 4999, 2, back, &err), DR_E_CORRUPT);
    assert_non_null(strstr(err.msg, "truncated"));
    assert_int_equal(store_get(s, "packs/ab/range", 6000, 1, back, &err), DR_E_CORRUPT);
    assert_int_equal(store_get(s, "packs/ab/range", UINT64_MAX, 2, back, &err), DR_E_CORRUPT);
    uint64_t size = 0;
    assert_int_equal(store_head(s, "packs/ab/range", &size, &err), DR_OK);
    assert_int_equal(size, 5000);
}

static void never_changes_an_object(struct store *s)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(store_put(s, "once", "first", 5, &err), DR_OK);
    assert_int_equal(store_put(s, "once", "second", 6, &err), DR_E_EXISTS);
    assert_int_equal(store_get_all(s, "once", 5, &b, &err), DR_OK);
    assert_string_equal(b.data, "first");
    assert_int_equal(store_get_all(s, "once", 4, &b, &err), DR_E_CORRUPT);
    assert_int_equal(store_put(s, "empty", "", 0, &err), DR_OK);
    buf_clear(&b);
    assert_int_equal(store_get_all(s, "empty", 0, &b, &err), DR_OK);
    assert_int_equal(b.len, 0);
}

static void assert_lists(struct store *s, const char *prefix, const char *expected)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_int_equal(store_list(s, prefix, &names, &err), DR_OK);
    DR_FREE char *joined = text_list_join(&names, " ");
    assert_string_equal(joined, expected);
}

static void lists_in_bytewise_order(struct store *s)
{
    struct dr_err err = { 0 };
    static const char *const names[] = { "l/b", "l/a/z", "l/a", "l/a.b", "l/a-b", "lz", "l/a0" };
    /* "l/a" cannot be an object and a folder in every driver: leave it out. */
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        if (strcmp(names[i], "l/a") != 0)
            assert_int_equal(store_put(s, names[i], "x", 1, &err), DR_OK);
    }
    assert_lists(s, "l", "l/a-b l/a.b l/a/z l/a0 l/b lz");
    assert_lists(s, "l/", "l/a-b l/a.b l/a/z l/a0 l/b");
    assert_lists(s, "l/a", "l/a-b l/a.b l/a/z l/a0");
    assert_lists(s, "l/a/", "l/a/z");
    assert_lists(s, "nothing/", "");
    assert_int_equal(store_remove(s, "l/a/z", &err), DR_OK);
    assert_int_equal(store_remove(s, "l/a/z", &err), DR_OK);
    assert_lists(s, "l/a/", "");
    assert_int_equal(store_put(s, "l/a/z", "again", 5, &err), DR_OK);
}

void storetest_conforms(struct store *s)
{
    refuses_bad_names(s);
    says_what_is_missing(s);
    gives_back_exact_ranges(s);
    never_changes_an_object(s);
    lists_in_bytewise_order(s);

    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    assert_int_equal(store_list(s, "", &all, &err), DR_OK);
    for (size_t i = 0; i < all.count; i++)
        assert_int_equal(store_remove(s, all.items[i], &err), DR_OK);
    assert_lists(s, "", "");
}
