/*
 * Conditions: three answers, kinds checked before the run, mistakes shown at the wrong word.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/buf.h"
#include "dr/data/expr.h"

/* The names of the test: what they are, and whether they are known. */
static bool kind_of(void *arg, const char *name, enum expr_kind *ret, struct expr_mistake *m)
{
    (void)arg;
    static const struct {
        const char *name;
        enum expr_kind kind;
    } names[] = { { "n", EXPR_NUMBER },  { "nan", EXPR_NUMBER },  { "no", EXPR_TRUTH },
                  { "yes", EXPR_TRUTH }, { "maybe", EXPR_TRUTH }, { "d", EXPR_DURATION },
                  { "size", EXPR_SIZE }, { "t", EXPR_TIME },      { "mode", EXPR_TEXT },
                  { "list", EXPR_LIST }, { "gone", EXPR_NUMBER }, { "a.b", EXPR_TEXT } };
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        if (strcmp(names[i].name, name) != 0)
            continue;
        *ret = names[i].kind;
        return true;
    }
    snprintf(m->what, sizeof(m->what), "no '%s'", name);
    return false;
}

static void value_of(void *arg, const char *name, struct expr_value *ret)
{
    (void)arg;
    static const char *const items[] = { "x", "y", NULL };
    ret->known = strcmp(name, "maybe") != 0 && strcmp(name, "gone") != 0;
    ret->truth = strcmp(name, "yes") == 0;
    ret->number = strcmp(name, "n") == 0     ? 4
                  : strcmp(name, "d") == 0   ? 300000
                  : strcmp(name, "nan") == 0 ? (double)NAN
                  : strcmp(name, "t") == 0   ? 1000
                                             : 1048576;
    ret->text = "x";
    ret->list = items;
    ret->count = 2;
}

static const int64_t NOW_NS = INT64_C(1060) * 1000000000;

static void assert_truth(const char *text, enum expr_truth want)
{
    struct expr_mistake m;
    DR_CLEANUP(expr_free_ptr) struct expr *e = expr_compile(text, kind_of, NULL, &m);
    if (e == NULL)
        fail_msg("%s: %s", text, m.what);
    enum expr_truth got = expr_eval(e, value_of, NULL, NOW_NS);
    if (got != want)
        fail_msg("%s: %d, not %d", text, (int)got, (int)want);
}

static void conditions_say_yes_no_or_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum expr_truth want;
    } cases[] = {
        { "n == 4", EXPR_TRUE },
        { "n != 4", EXPR_FALSE },
        { "n < 5 and n > 3", EXPR_TRUE },
        { "n <= 3 or n >= 5", EXPR_FALSE },
        { "n == 400%", EXPR_TRUE },
        { "0.05 == 5%", EXPR_TRUE },
        { "d > 90s", EXPR_TRUE },
        { "d == 5m", EXPR_TRUE },
        { "d / 1m == 5", EXPR_TRUE },
        { "d + 1m < 2 * d", EXPR_TRUE },
        { "size == 1MiB", EXPR_TRUE },
        { "age(t) == 1m", EXPR_TRUE },
        { "t + 1m - t == 60s", EXPR_TRUE },
        { "count(list) == 2", EXPR_TRUE },
        { "mode == 'x'", EXPR_TRUE },
        { "mode in list", EXPR_TRUE },
        { "'z' in list", EXPR_FALSE },
        { "a.b == 'x'", EXPR_TRUE },
        { "not yes", EXPR_FALSE },
        { "not not yes", EXPR_TRUE },
        { "yes", EXPR_TRUE },
        { "yes == true", EXPR_TRUE },
        { "-n + 5 == 1", EXPR_TRUE },
        { "2 + 3 * 4 == 14", EXPR_TRUE },
        { "(2 + 3) * 4 == 20", EXPR_TRUE },
        { "no or yes and no", EXPR_FALSE },
        /* unknown is neither */
        { "maybe", EXPR_UNKNOWN },
        { "not maybe", EXPR_UNKNOWN },
        { "maybe and no", EXPR_FALSE },
        { "no and maybe", EXPR_FALSE },
        { "maybe and yes", EXPR_UNKNOWN },
        { "maybe or yes", EXPR_TRUE },
        { "maybe or no", EXPR_UNKNOWN },
        { "nan < 5", EXPR_UNKNOWN },
        { "nan == nan", EXPR_UNKNOWN },
        { "gone > 5", EXPR_UNKNOWN },
        { "n / 0 > 1", EXPR_UNKNOWN },
        { "n / (n - 4) == 1", EXPR_UNKNOWN },
        { "gone > 5 or n == 4", EXPR_TRUE },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++)
        assert_truth(cases[i].text, cases[i].want);
}

static void an_overflow_is_unknown(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    buf_adds(&b, "0 < 1000000000000000");
    for (int i = 0; i < 30; i++)
        buf_adds(&b, " * 1000000000000000");
    assert_truth(b.data, EXPR_UNKNOWN);
}

static void mistakes_are_shown_at_the_wrong_word(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
        const char *what, *hint;
    } cases[] = {
        { "n = 4", 2, "'=' is out of place here", "write == to compare" },
        { "yes && no", 4, "'&&' is out of place here", "write and" },
        { "${n} > 1", 0, "no ${ } in an expression", "names stand bare: n" },
        { "d > 90", 2, "cannot compare a duration with a number",
          "a duration is written with its unit: 90s" },
        { "90 < d", 3, "cannot compare a number with a duration",
          "a duration is written with its unit: 90s" },
        { "mode == 4", 5, "cannot compare a text with a number", "" },
        { "mode < 'a'", 5, "a text is neither more nor less", "only == and != compare them" },
        { "n", 0, "a yes or no is wanted here, not a number", "compare it with something" },
        { "not n", 4, "a yes or no is wanted here, not a number", "compare it with something" },
        { "yes and n", 8, "a yes or no is wanted here, not a number", "compare it with something" },
        { "n > ", 4, "the expression ends too early", "" },
        { "(n > 1", 6, "the expression ends too early", "" },
        { "n > 1 > 0", 8, "two comparisons in a row", "write a < b and b < c" },
        { "other > 1", 0, "no 'other'", "" },
        { "sum(list) > 1", 0, "no function 'sum'", "there are count(LIST) and age(TIME)" },
        { "count(n) > 1", 0, "count takes a list, not a number", "" },
        { "mode == 'x", 8, "a text without its second quote", "write 'text'" },
        { "mode == \"x\"", 8, "'\"' is out of place here", "write 'text'" },
        { "d + n > 1m", 2, "cannot add a duration and a number", "" },
        { "d * d > 1m", 2, "cannot multiply a duration with a duration", "" },
        { "n > 1.2.3", 4, "'1.2.3' is not a number", "" },
        { "n > 5x", 4, "'5x' is not a quantity", "examples: 42, 1.5, 5%, 30s, 100MiB" },
        { "n > 1 n", 6, "'n' is out of place here", "" },
        { "list == list", 5, "lists cannot be compared", "write in, or count(LIST)" },
        { "", 0, "the expression ends too early", "" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        struct expr_mistake m;
        DR_CLEANUP(expr_free_ptr) struct expr *e = expr_compile(cases[i].text, kind_of, NULL, &m);
        if (e != NULL)
            fail_msg("%s was taken", cases[i].text);
        assert_string_equal(m.what, cases[i].what);
        assert_string_equal(m.hint, cases[i].hint);
        if (m.offset != cases[i].offset)
            fail_msg("%s: at %zu", cases[i].text, m.offset);
    }
}

static void length_and_depth_have_limits(void **state)
{
    (void)state;
    struct expr_mistake m;
    DR_CLEANUP(buf_fini) struct buf brackets = { 0 }, signs = { 0 }, spaces = { 0 };
    buf_addf(&brackets, "%s%s%s", "((((((((((((((((((((((((((((((((((((((((", "yes",
             "))))))))))))))))))))))))))))))))))))))))");
    assert_null(expr_compile(brackets.data, kind_of, NULL, &m));
    assert_string_equal(m.what, "more than 32 levels");
    buf_adds(&signs, "----------------------------------------n == 4");
    assert_null(expr_compile(signs.data, kind_of, NULL, &m));
    buf_addf(&spaces, "%*s", EXPR_BYTES_MAX + 5, "yes");
    assert_null(expr_compile(spaces.data, kind_of, NULL, &m));
    assert_string_equal(m.what, "more than 1000 bytes in one expression");
}

static void the_names_in_it_are_listed_once(void **state)
{
    (void)state;
    struct expr_mistake m;
    DR_CLEANUP(expr_free_ptr)
    struct expr *e = expr_compile("n > 1 and mode == 'n' and n < 9", kind_of, NULL, &m);
    assert_non_null(e);
    const char *const *names = expr_names(e);
    assert_string_equal(names[0], "n");
    assert_string_equal(names[1], "mode");
    assert_null(names[2]);
    assert_string_equal(expr_text(e), "n > 1 and mode == 'n' and n < 9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_say_yes_no_or_unknown),
        cmocka_unit_test(an_overflow_is_unknown),
        cmocka_unit_test(mistakes_are_shown_at_the_wrong_word),
        cmocka_unit_test(length_and_depth_have_limits),
        cmocka_unit_test(the_names_in_it_are_listed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
