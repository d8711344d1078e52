/*
 * YAML as people write it: the tree keeps places, and whatever can be read in two ways is refused
 * with its place, all of it in one go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/mem.h"
#include "dr/data/yaml.h"

/* Everything that is said about a text; the caller frees. */
static char *said_len(const char *text, size_t len, bool *ret_tree)
{
    DR_CLEANUP(diag_fini) struct diag d = { .file = "f" };
    DR_CLEANUP(yaml_doc_free_ptr) struct yaml_doc *doc = yaml_parse(text, len, &d);
    struct buf out = { 0 };
    buf_adds(&out, "");
    diag_print(&d, &out);
    if (ret_tree != NULL)
        *ret_tree = doc != NULL;
    return buf_take(&out);
}

static void assert_said(const char *text, const char *want)
{
    DR_FREE char *got = said_len(text, strlen(text), NULL);
    assert_string_equal(got, want);
}

/* The codes of all findings, in file order: "tag no-value ". */
static void assert_codes(const char *text, const char *want)
{
    DR_CLEANUP(diag_fini) struct diag d = { .file = "f" };
    DR_CLEANUP(yaml_doc_free_ptr) struct yaml_doc *doc = yaml_parse(text, strlen(text), &d);
    (void)doc; /* only its findings are looked at */
    diag_sort(&d);
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    buf_adds(&out, "");
    for (size_t i = 0; i < d.count; i++)
        buf_addf(&out, "%s%s", i > 0 ? " " : "", d.items[i].code);
    assert_string_equal(out.data, want);
}

static void the_tree_keeps_places_and_letters(void **state)
{
    (void)state;
    static const char text[] =
        "a: 1.10\nb:\n  - \"x y\"\n  - {c: 'd', e: [f, g]}\nt: |\n  one\n  two\n";
    DR_CLEANUP(diag_fini) struct diag d = { .file = "f" };
    DR_CLEANUP(yaml_doc_free_ptr) struct yaml_doc *doc = yaml_parse(text, strlen(text), &d);
    assert_non_null(doc);
    assert_int_equal(d.count, 0);
    struct yaml_node *root = yaml_root(doc);
    assert_int_equal(root->kind, YAML_MAP);
    assert_int_equal(root->count, 3);
    struct yaml_node *key = NULL;
    struct yaml_node *a = yaml_get(root, "a", &key);
    assert_string_equal(a->text, "1.10");
    assert_true(a->plain);
    assert_int_equal(key->col, 1);
    assert_int_equal(a->col, 4);
    struct yaml_node *b = yaml_get(root, "b", NULL);
    assert_int_equal(b->kind, YAML_LIST);
    assert_int_equal(b->items[0]->line, 3);
    assert_int_equal(b->items[0]->col, 5);
    assert_false(b->items[0]->plain);
    assert_int_equal(yaml_col_at(b->items[0], 2), 8);
    struct yaml_node *e = yaml_get(b->items[1], "e", NULL);
    assert_int_equal(e->count, 2);
    assert_string_equal(e->items[1]->text, "g");
    assert_string_equal(yaml_get(root, "t", NULL)->text, "one\ntwo\n");
    assert_null(yaml_get(root, "none", NULL));
}

static void columns_count_letters_and_stop_at_escapes(void **state)
{
    (void)state;
    static const char text[] = "{\xc3\xa4: \"\xc3\xb6${x}\", e: \"\\t${x}\"}";
    DR_CLEANUP(diag_fini) struct diag d = { .file = "f" };
    DR_CLEANUP(yaml_doc_free_ptr) struct yaml_doc *doc = yaml_parse(text, strlen(text), &d);
    assert_non_null(doc);
    struct yaml_node *first = yaml_root(doc)->items[0];
    assert_int_equal(first->col, 5);
    assert_int_equal(yaml_col_at(first, 2), 7); /* behind the quote and one letter of two bytes */
    struct yaml_node *second = yaml_root(doc)->items[1];
    assert_int_equal(yaml_col_at(second, 1), second->col);
}

static void a_key_given_twice_keeps_its_first_value(void **state)
{
    (void)state;
    static const char text[] = "a: 1\nb: 2\na: [3, 4]\n";
    DR_CLEANUP(diag_fini) struct diag d = { .file = "f" };
    DR_CLEANUP(yaml_doc_free_ptr) struct yaml_doc *doc = yaml_parse(text, strlen(text), &d);
    assert_int_equal(d.errors, 1);
    assert_int_equal(yaml_root(doc)->count, 2);
    assert_string_equal(yaml_get(yaml_root(doc), "a", NULL)->text, "1");
    assert_said(text, "f:3:1: error: 'a' is given twice in this block [duplicate-key]\n"
                      "    hint: first given on line 1; keep one\n");
}

static void what_reads_in_two_ways_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "a: &x 1\nb: *x\n", "anchor alias" },
        { "a: {<<: {b: 1}, c: 2}\n", "merge" },
        { "a: !!int 3\n", "tag" },
        { "a: !x {b: c}\n", "tag" },
        { "{a: 1}: b\n", "key" },
        { "[a]: b\nc: d\n", "key" },
        { "a: null\nb: ~\nc:\nd: NULL\n", "no-value no-value no-value no-value" },
        { "a: [b, ~]\n", "no-value" },
        { "a: yes\nb: No\nc: on\nd: OFF\n", "yes-no yes-no yes-no yes-no" },
        { "a: \"yes\"\nb: 'off'\nc: true\n", "" },
        { "a: 12:30\nb: 1:2:3\n", "colon-number colon-number" },
        { "a: \"12:30\"\nb: 127.0.0.1:53\nc: ::1\n", "" },
        { "a: 1\n---\nb: 2\n", "second-document" },
        { "---\na: 1\n...\n", "" },
        { "%YAML 1.1\n---\na: 1\n", "directive" },
        { "\xef\xbb\xbf"
          "a: 1\n",
          "bom" },
        { "a:\n\tb: 1\n", "tab" },
        { "a: \"b\tc\"\n", "tab" },
        { "a: >\n  b\n  c\n", "folded" },
        { "a: |\n  b\n", "" },
        { "", "empty" },
        { "# nothing\n", "empty" },
        { "a: [b\n", "syntax" },
        { "a: b: c\n", "syntax" },
        { "a: {b: ${c}}\n", "syntax" },
        { "a: \"\\xff\"\n", "" },
        { "a: \xff\n", "utf-8" },
        { "a: \x01\n", "syntax" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++)
        assert_codes(cases[i][0], cases[i][1]);
}

static void an_empty_value_is_shown_where_it_is_missing(void **state)
{
    (void)state;
    assert_said("a:\n  b:\n", "f:2:5: error: a key without a value [no-value]\n"
                              "    hint: write a value, or leave the key out\n");
}

static void an_unquoted_reference_gets_the_hint_to_quote(void **state)
{
    (void)state;
    DR_FREE char *got = said_len("a: {b: ${c}}\n", 13, NULL);
    assert_non_null(strstr(got, "must be quoted"));
}

static void invalid_bytes_are_shown_at_their_place(void **state)
{
    (void)state;
    assert_said("a: b\nc: \xc3\xa4\xff\n", "f:2:5: error: this is not UTF-8 [utf-8]\n"
                                           "    hint: save the file as UTF-8\n");
}

static void depth_and_size_have_limits(void **state)
{
    (void)state;
    assert_codes("a: [[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]", "");
    assert_codes("a: [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]", "too-deep");

    size_t len = (1 << 20) + 1;
    DR_FREE char *big = dr_alloc(len, 1);
    memset(big, '#', len);
    bool tree = true;
    DR_FREE char *got = said_len(big, len, &tree);
    assert_false(tree);
    assert_non_null(strstr(got, "[too-big]"));
}

static void all_findings_come_in_file_order(void **state)
{
    (void)state;
    assert_codes("b: !x 1\na: no\nb: 2\nc: &y 3\n", "tag yes-no duplicate-key anchor");
    DR_CLEANUP(diag_fini) struct diag d = { .file = "one" };
    diag_warning(&d, 9, 1, "late", "late");
    diag_error(&d, 2, 5, "early", "bell \x07");
    diag_hint(&d, "do %d", 5);
    d.file = "two";
    diag_error(&d, 1, 1, "other", "other");
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    diag_print(&d, &out);
    assert_string_equal(out.data, "one:2:5: error: bell \\x07 [early]\n    hint: do 5\n"
                                  "one:9:1: warning: late [late]\n"
                                  "two:1:1: error: other [other]\n");
    assert_int_equal(d.errors, 2);
}

static void findings_have_a_limit_and_are_counted(void **state)
{
    (void)state;
    DR_CLEANUP(diag_fini) struct diag d = { .file = "f" };
    for (int i = 0; i < DIAG_MAX + 7; i++) {
        diag_error(&d, i + 1, 1, "x", "x");
        diag_hint(&d, "hint %d", i);
    }
    assert_int_equal(d.count, DIAG_MAX);
    assert_int_equal(d.errors, DIAG_MAX + 7);
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    diag_print(&d, &out);
    assert_non_null(strstr(out.data, "f: 7 more findings\n"));
    assert_non_null(strstr(out.data, "hint: hint 999\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_keeps_places_and_letters),
        cmocka_unit_test(columns_count_letters_and_stop_at_escapes),
        cmocka_unit_test(a_key_given_twice_keeps_its_first_value),
        cmocka_unit_test(what_reads_in_two_ways_is_refused),
        cmocka_unit_test(an_empty_value_is_shown_where_it_is_missing),
        cmocka_unit_test(an_unquoted_reference_gets_the_hint_to_quote),
        cmocka_unit_test(invalid_bytes_are_shown_at_their_place),
        cmocka_unit_test(depth_and_size_have_limits),
        cmocka_unit_test(all_findings_come_in_file_order),
        cmocka_unit_test(findings_have_a_limit_and_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
