/*
 * Text, buffers, hashes: what they promise to every other room.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"

static void buffers_always_end_with_a_nul(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    for (int i = 0; i < 1000; i++) {
        buf_addf(&b, "%d,", i);
        assert_int_equal(b.data[b.len], '\0');
        assert_int_equal(strlen(b.data), b.len);
    }
    assert_true(b.cap > b.len);
    DR_FREE char *text = buf_take(&b);
    assert_true(text_starts(text, "0,1,2,"));
    assert_true(text_ends(text, "998,999,"));
    assert_int_equal(b.len, 0);
    DR_FREE char *empty = buf_take(&b);
    assert_string_equal(empty, "");
}

static void a_sorted_list_has_what_was_added_and_nothing_else(void **state)
{
    (void)state;
    static const char *const words[] = { "b", "", "a", "ab", "B", "\xc3\xa9", "a" };
    DR_CLEANUP(text_list_fini) struct text_list list = { 0 };
    text_list_sort(&list);
    assert_false(text_list_has_sorted(&list, ""));
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        text_list_add(&list, words[i]);
    text_list_sort(&list);
    DR_FREE char *joined = text_list_join(&list, ",");
    assert_string_equal(joined, ",B,a,a,ab,b,\xc3\xa9");
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        assert_true(text_list_has_sorted(&list, words[i]));
    assert_false(text_list_has_sorted(&list, "aa"));
    assert_false(text_list_has_sorted(&list, "c"));
}

static void distance_counts_edits_and_swaps(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned distance;
    } cases[] = {
        { "", "", 0 },
        { "", "abc", 3 },
        { "timeout", "time_out", 1 },
        { "url", "urll", 1 },
        { "adress", "address", 1 },
        { "ab", "ba", 1 },
        { "kitten", "sitting", 3 },
        { "eu-west-l", "eu-west-1", 1 },
        { "abcd", "badc", 2 },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        assert_int_equal(text_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(text_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
    char longer[80];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_true(text_distance(longer, "x") > 100);
}

static void nearest_offers_only_what_could_be_meant(void **state)
{
    (void)state;
    const char *const words[] = { "timeout", "retry", "verify", "undo", "use" };
    assert_string_equal(text_nearest("time_out", words, DR_ARRAY_LEN(words)), "timeout");
    assert_string_equal(text_nearest("verfiy", words, DR_ARRAY_LEN(words)), "verify");
    assert_string_equal(text_nearest("us", words, DR_ARRAY_LEN(words)), "use");
    assert_null(text_nearest("banana", words, DR_ARRAY_LEN(words)));
    assert_null(text_nearest("x", words, DR_ARRAY_LEN(words)));
}

static void utf8_is_judged_by_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool good;
    } cases[] = {
        { "plain", true },
        { "\xc3\xa9", true },
        { "\xe2\x82\xac", true },
        { "\xf0\x9f\x98\x80", true },
        { "\xc0\x80", false },
        { "\xc1\xbf", false },
        { "\xe0\x9f\xbf", false },
        { "\xed\xa0\x80", false },
        { "\xf0\x8f\xbf\xbf", false },
        { "\xf4\x90\x80\x80", false },
        { "\xf5\x80\x80\x80", false },
        { "\x80", false },
        { "\xe2\x82", false },
        { "a\xff", false },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++)
        assert_int_equal(text_is_utf8(cases[i].bytes, strlen(cases[i].bytes)), cases[i].good);
}

static void printable_text_cannot_move_the_cursor(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    const char hostile[] = "a\x1b[2Jb\nc\\d\x7f\xff\xc3\xa9\xc2\x9b";
    text_add_printable(&b, hostile, sizeof(hostile) - 1);
    assert_string_equal(b.data, "a\\x1b[2Jb\\x0ac\\\\d\\x7f\\xff\xc3\xa9\\xc2\\x9b");
}

/* What turns the direction of text, breaks its line or cannot be seen is written out. */
static void printable_text_does_not_turn_about_or_hide(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *shown;
    } cases[] = {
        { "\xd8\x9c", "\\u061c" },
        { "\xe2\x80\x8b", "\\u200b" },
        { "\xe2\x80\x8e", "\\u200e" },
        { "\xe2\x80\x8f", "\\u200f" },
        { "\xe2\x80\xa8", "\\u2028" },
        { "\xe2\x80\xaa", "\\u202a" },
        { "\xe2\x80\xae", "\\u202e" },
        { "\xe2\x81\xa6", "\\u2066" },
        { "\xe2\x81\xa9", "\\u2069" },
        { "\xef\xbb\xbf", "\\ufeff" },
        { "\xf3\xa0\x81\x81", "\\ue0041" },
        { "\xe2\x80\xaf", "\xe2\x80\xaf" }, /* a narrow blank is one that is seen */
        { "\xe2\x82\xac", "\xe2\x82\xac" },
        { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        DR_CLEANUP(buf_fini) struct buf b = { 0 };
        text_add_printable(&b, cases[i].bytes, strlen(cases[i].bytes));
        assert_string_equal(b.data, cases[i].shown);
    }
}

static void sizes_are_told_in_powers_of_1024(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(text_size(out, sizeof(out), 0), "0 B");
    assert_string_equal(text_size(out, sizeof(out), 1023), "1023 B");
    assert_string_equal(text_size(out, sizeof(out), 1536), "1.5 KiB");
    assert_string_equal(text_size(out, sizeof(out), UINT64_C(41) << 30), "41.0 GiB");
    assert_string_equal(text_size(out, sizeof(out), UINT64_MAX), "16.0 EiB");
}

static void lists_keep_order_and_copies(void **state)
{
    (void)state;
    struct text_list list = { 0 };
    char word[8] = "first";
    text_list_add(&list, word);
    strcpy(word, "other");
    text_list_addn(&list, "second half", 6);
    assert_true(text_list_has(&list, "first"));
    assert_false(text_list_has(&list, "other"));
    DR_FREE char *joined = text_list_join(&list, ", ");
    assert_string_equal(joined, "first, second");
    text_list_fini(&list);
    assert_int_equal(list.count, 0);
}

static void sha256_gives_the_published_digests(void **state)
{
    (void)state;
    static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    static const char none[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    uint8_t digest[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    hash_bytes("abc", 3, digest);
    assert_string_equal(hex_encode(digest, sizeof(digest), hex), abc);
    DR_CLEANUP(hash_free_ptr) struct hash *h = hash_new();
    hash_add(h, "a", 1);
    hash_add(h, "bc", 2);
    hash_end(h, digest);
    assert_string_equal(hex_encode(digest, sizeof(digest), hex), abc);
    hash_end(h, digest); /* it began afresh by itself */
    assert_string_equal(hex_encode(digest, sizeof(digest), hex), none);
}

static void hex_takes_exactly_its_length_in_lower_case(void **state)
{
    (void)state;
    uint8_t out[2] = { 7, 7 };
    assert_true(hex_decode("00ff", 4, out, 2));
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 255);
    assert_false(hex_decode("00f", 3, out, 2));
    assert_false(hex_decode("00FF", 4, out, 2));
    assert_false(hex_decode("00fg", 4, out, 2));
    assert_int_equal(out[1], 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_always_end_with_a_nul),
        cmocka_unit_test(a_sorted_list_has_what_was_added_and_nothing_else),
        cmocka_unit_test(distance_counts_edits_and_swaps),
        cmocka_unit_test(nearest_offers_only_what_could_be_meant),
        cmocka_unit_test(utf8_is_judged_by_the_rfc),
        cmocka_unit_test(printable_text_cannot_move_the_cursor),
        cmocka_unit_test(printable_text_does_not_turn_about_or_hide),
        cmocka_unit_test(sizes_are_told_in_powers_of_1024),
        cmocka_unit_test(lists_keep_order_and_copies),
        cmocka_unit_test(sha256_gives_the_published_digests),
        cmocka_unit_test(hex_takes_exactly_its_length_in_lower_case),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
