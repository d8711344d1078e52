/*
 * storetest.c - what every store promises, asked of any store.
 */
#include "tests/support/storetest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

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

static void sizes_are_those_of_the_objects(struct store *s)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(store_entries_fini) struct store_entries e = { 0 };
    assert_int_equal(store_put(s, "sizes/b", "1234", 4, &err), DR_OK);
    assert_int_equal(store_put(s, "sizes/a", "", 0, &err), DR_OK);
    assert_int_equal(store_put(s, "sizesof", "1", 1, &err), DR_OK);
    assert_int_equal(store_list_sizes(s, "sizes/", &e, &err), DR_OK);
    assert_int_equal(e.count, 2);
    assert_string_equal(e.items[0].name, "sizes/a");
    assert_int_equal(e.items[0].size, 0);
    assert_string_equal(e.items[1].name, "sizes/b");
    assert_int_equal(e.items[1].size, 4);
}

static void assert_holds(struct store *s, const char *name, const char *text, const char *tag)
{
    struct dr_err err = { 0 };
    char now[STORE_TAG_MAX];
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(store_read_tagged(s, name, &b, now, &err), DR_OK);
    assert_string_equal(b.len > 0 ? b.data : "", text);
    if (tag != NULL)
        assert_string_equal(now, tag);
}

static void swaps_what_was_seen(struct store *s)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    char none[STORE_TAG_MAX] = "x", first[STORE_TAG_MAX], second[STORE_TAG_MAX];
    assert_int_equal(store_read_tagged(s, "lease/a", &b, none, &err), DR_OK);
    assert_string_equal(none, "");
    assert_int_equal(store_swap(s, "lease/a", "nobody-saw-this", "one", 3, &err), DR_E_BUSY);
    assert_holds(s, "lease/a", "", "");
    assert_int_equal(store_swap(s, "lease/a", "", "one", 3, &err), DR_OK);
    assert_int_equal(store_swap(s, "lease/a", "", "two", 3, &err), DR_E_BUSY);
    assert_non_null(strstr(err.msg, "lease/a"));
    assert_int_equal(store_read_tagged(s, "lease/a", &b, first, &err), DR_OK);
    assert_string_equal(b.data, "one");
    assert_string_not_equal(first, "");
    assert_holds(s, "lease/a", "one", first); /* reading changes nothing */
    assert_int_equal(store_swap(s, "lease/a", first, "two", 3, &err), DR_OK);
    assert_int_equal(store_swap(s, "lease/a", first, "three", 5, &err), DR_E_BUSY);
    buf_clear(&b);
    assert_int_equal(store_read_tagged(s, "lease/a", &b, second, &err), DR_OK);
    assert_string_equal(b.data, "two");
    assert_string_not_equal(first, second);
    DR_FREE char *large = dr_alloc(STORE_SWAP_MAX, 1);
    assert_int_equal(store_swap(s, "lease/a", second, large, STORE_SWAP_MAX, &err), DR_OK);
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

void storetest_conforms(struct store *s)
{
    struct store_abilities can;
    struct dr_err err = { 0 };
    if (store_abilities(s, &can, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_in_range(store_parallel(s), 1, 64);
    refuses_bad_names(s);
    says_what_is_missing(s);
    gives_back_exact_ranges(s);
    never_changes_an_object(s);
    lists_in_bytewise_order(s);
    takes_every_allowed_name(s);
    sizes_are_those_of_the_objects(s);
    counts_what_is_asked(s);
    if (can.conditional_swap)
        swaps_what_was_seen(s);
    storetest_empties(s);
}
