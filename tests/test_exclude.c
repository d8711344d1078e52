/*
 * Patterns: what is left out is what `git check-ignore` (2.39) leaves out. The table was written down from
 * its answers; thousands of random patterns over a tree of odd names gave the same ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/exclude.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"

static const struct row {
    const char *patterns; /* lines */
    const char *path;     /* with '/' at the end: a directory */
    bool out;
} table[] = {
    /* names, in any directory */
    { "a", "a", true },
    { "a", "x/y/a", true },
    { "a", "a/x", true }, /* below what is left out */
    { "a", "ab", false },
    { "a", "x/a/y/z", true },
    { "*.tmp", "b/c.tmp", true },
    { "*.tmp", ".tmp", true },
    { "*.tmp", "c.tmp.x", false },
    { "a*b*c", "axxbc", true },
    { "a*b*c", "axxbcx", false },
    { "a?c", "abc", true },
    { "a?c", "ac", false },
    { "**", "x/y", true },
    { "a**b", "x/axxb", true },
    /* directories only */
    { "a/", "a/", true },
    { "a/", "a", false },
    { "a/", "x/a/", true },
    { "a/", "x/a/y", true },
    { "a//", "a/", false },
    /* from the root */
    { "/a", "a", true },
    { "/a", "x/a", false },
    { "x/a", "x/a", true },
    { "x/a", "y/x/a", false },
    { "/x/a/", "x/a/", true },
    { "/x/a/", "x/a", false },
    { "/", "a", false },
    { "//a", "a", false },
    { "a//b", "a/b", false },
    { "x/*", "x/a", true },
    { "x/*", "x/y/a", true }, /* x/y is left out */
    { "x/*.c", "x/y/a.c", false },
    { "x/*/a", "x/y/a", true },
    { "x/*/a", "x/a", false },
    { "x/*/a", "x/y/z/a", false },
    { "x/?/a", "x/y/a", true },
    { "x?a", "x/a", false },
    { "x[/]a", "x/a", false },
    { "x[!q]a", "x/a", false },
    { "*/a", "x/a", true },
    { "*/a", "a", false },
    /* any number of directories */
    { "**/a", "a", true },
    { "**/a", "x/y/a", true },
    { "**/a/b", "x/a/b", true },
    { "**/a/b", "x/a/y/b", false },
    { "/**/a", "x/a", true },
    { "x/**", "x/a", true },
    { "x/**", "x/y/a", true },
    { "x/**", "x/", false },
    { "x/**/a", "x/a", true },
    { "x/**/a", "x/y/z/a", true },
    { "x/**/a", "y/x/a", false },
    { "x/**/y/**/a", "x/1/y/2/y/3/a", true },
    { "x/**/y/**/a", "x/1/2/3/a", false },
    { "x/***/a", "x/y/z/a", true },
    { "x/**\\/a", "x/a", false },
    { "x/**\\/a", "x/y/a", true },
    { "x/**a", "x/ya", true },
    { "x/**a", "x/y/a", false },
    { "**/", "a/", true },
    { "**/", "a", false },
    { "a/**/**", "a/b", true },
    { "a/**/**", "a/", false },
    { "**/*.o", "x/y.o", true },
    /* brackets */
    { "[abc]", "b", true },
    { "[abc]", "d", false },
    { "[!abc]", "d", true },
    { "[^abc]", "b", false },
    { "[a-c]x", "bx", true },
    { "[a-c]x", "dx", false },
    { "[c-a]x", "bx", false },
    { "[]a]", "]", true },
    { "[]a]", "a", true },
    { "[!]a]", "]", false },
    { "[!]a]", "b", true },
    { "[a-]", "-", true },
    { "[-a]", "-", true },
    { "[--0]", "0", true },
    { "[a\\]b]", "]", true },
    { "[\\a-\\c]", "b", true },
    { "[[:digit:]]x", "7x", true },
    { "[[:digit:]]x", "ax", false },
    { "[![:digit:]]x", "ax", true },
    { "[[:alpha:]_]", "_", true },
    { "[[:alpha:]-z]", "-", true },
    { "[[:alpha:]-z]", "5", false },
    { "[[:nothing:]]", "n", false },
    { "[[:x]", ":", true },
    { "[[:x]", "[", true },
    { "[ab", "[ab", false },
    { "[", "[", false },
    { "[[:alpha:", "a", false },
    { "[\x80-\xff]", "\xc3", true },
    { "[!a]", "\xff", true },
    /* escapes, comments, blanks */
    { "\\*", "*", true },
    { "\\*", "a", false },
    { "\\a", "a", true },
    { "a\\", "a", false },
    { "a\\", "a\\", false },
    { "a\\\\", "a\\", true },
    { "a\\/b", "a/b", true },
    { "#a", "#a", false },
    { "\\#a", "#a", true },
    { "\\!a", "!a", true },
    { "a ", "a", true },
    { "a   ", "a ", false },
    { "a\\ ", "a ", true },
    { "a\\  ", "a ", true },
    { "a b", "a b", true },
    { " a", " a", true },
    { "a\t", "a", false },
    { "", "a", false },
    { "!", "a", false },
    { "   ", " ", false },
    /* the last one decides */
    { "*.c\n!a.c", "x/a.c", false },
    { "*.c\n!a.c", "x/b.c", true },
    { "!a.c\n*.c", "a.c", true },
    { "*\n!a", "a", false },
    { "x\n!x/a", "x/a", true }, /* nothing below comes back */
    { "x/*\n!x/a", "x/a", false },
    { "/*\n!/x\n/x/*\n!/x/a", "x/a", false },
    { "/*\n!/x\n/x/*\n!/x/a", "x/b", true },
    { "a\n!a/", "a", true },
    { "a\n!a/", "a/", false },
    { "!!a", "!a", false },
};

static struct exclude *compile(const char *patterns)
{
    struct dr_err err = { 0 };
    struct exclude *x = exclude_new();
    while (true) {
        size_t len = strcspn(patterns, "\n");
        DR_FREE char *line = dr_memdup(patterns, len);
        assert_int_equal(exclude_add(x, line, &err), DR_OK);
        if (patterns[len] == '\0')
            return x;
        patterns += len + 1;
    }
}

/* As a walk asks: about the directories above first. */
static bool is_out(const struct exclude *x, const char *asked)
{
    DR_FREE char *path = dr_strdup(asked);
    for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (exclude_match(x, path, true))
            return true;
        if (slash[1] == '\0')
            return false;
        *slash = '/';
    }
    return exclude_match(x, path, false);
}

static void patterns_mean_what_they_mean_to_git(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < DR_ARRAY_LEN(table); i++) {
        DR_CLEANUP(exclude_free_ptr) struct exclude *x = compile(table[i].patterns);
        if (is_out(x, table[i].path) != table[i].out) {
            print_error("'%s' of '%s': should be %d\n", table[i].patterns, table[i].path,
                        table[i].out);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* With a matcher that tries all ways these take longer than the sun lasts. */
static void no_pattern_takes_exponential_time(void **state)
{
    (void)state;
    struct buf stars = { 0 }, name = { 0 }, deep = { 0 }, path = { 0 };
    for (int i = 0; i < 100; i++) {
        buf_adds(&stars, "a*");
        buf_adds(&deep, "**/*a*/");
    }
    for (int i = 0; i < 250; i++)
        buf_adds(&name, "a");
    for (int i = 0; i < 2000; i++)
        buf_adds(&path, "aaa/");
    buf_adds(&stars, "b");
    buf_adds(&deep, "b");
    buf_adds(&path, "a");
    alarm(60);
    DR_CLEANUP(exclude_free_ptr) struct exclude *x = compile(stars.data);
    assert_false(exclude_match(x, name.data, false));
    DR_CLEANUP(exclude_free_ptr) struct exclude *y = compile(deep.data);
    assert_false(exclude_match(y, path.data, false));
    buf_adds(&name, "b");
    buf_adds(&path, "/b");
    assert_true(exclude_match(x, name.data, false));
    assert_true(exclude_match(y, path.data, false));
    alarm(0);
    buf_fini(&stars);
    buf_fini(&name);
    buf_fini(&deep);
    buf_fini(&path);
}

/* -- files --------------------------------------------------------------------------------- */

static char *dir;

static int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    dir = dr_strf("%s/test_exclude.XXXXXX", tmp != NULL ? tmp : "/tmp");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    enum dr_rc rc = fs_remove_tree(dir, &err);
    free(dir);
    return rc == DR_OK ? 0 : -1;
}

static enum dr_rc add_file(struct exclude *x, const void *data, size_t len, struct dr_err *err)
{
    DR_FREE char *file = dr_strf("%s/patterns", dir);
    assert_int_equal(fs_replace(dir, "patterns", data, len, err), DR_OK);
    return exclude_add_file(x, file, err);
}

static void a_file_has_a_pattern_a_line(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf*.o\r\n\n# no\r\n!keep.o\nlast\r";
    struct dr_err err = { 0 };
    DR_CLEANUP(exclude_free_ptr) struct exclude *x = exclude_new();
    assert_int_equal(add_file(x, text, sizeof text - 1, &err), DR_OK);
    assert_true(exclude_match(x, "a/b.o", false));
    assert_false(exclude_match(x, "a/keep.o", false));
    assert_false(exclude_match(x, "# no", false));
    assert_true(exclude_match(x, "last\r", false)); /* no line feed: the return belongs to it */
    assert_false(exclude_match(x, "last", false));
    assert_int_equal(add_file(x, "", 0, &err), DR_OK);
}

static void what_is_wrong_in_a_file_is_named_with_its_line(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(exclude_free_ptr) struct exclude *x = exclude_new();
    assert_int_equal(add_file(x, "a\nb\0c\n", 6, &err), DR_E_CONFIG);
    assert_non_null(strstr(err.msg, "/patterns:2: a pattern is one line of text"));
    DR_FREE char *text = dr_alloc(1, EXCLUDE_PATTERN_SIZE_MAX + 3);
    memset(text, 'x', EXCLUDE_PATTERN_SIZE_MAX + 2);
    text[0] = '\n';
    assert_int_equal(add_file(x, text, EXCLUDE_PATTERN_SIZE_MAX + 1, &err), DR_OK);
    assert_int_equal(add_file(x, text, EXCLUDE_PATTERN_SIZE_MAX + 2, &err), DR_E_CONFIG);
    assert_non_null(strstr(err.msg, "/patterns:2: a pattern of 4097 bytes"));
    assert_int_equal(exclude_add_file(x, "/nonexistent/file", &err), DR_E_NOTFOUND);
    assert_int_equal(exclude_add(x, "a\nb", &err), DR_E_CONFIG);
}

static void more_patterns_than_the_limit_are_refused(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(exclude_free_ptr) struct exclude *x = exclude_new();
    for (int i = 0; i < EXCLUDE_PATTERNS_MAX; i++)
        assert_int_equal(exclude_add(x, "a", &err), DR_OK);
    assert_int_equal(exclude_add(x, "# a comment is none", &err), DR_OK);
    assert_int_equal(exclude_add(x, "a", &err), DR_E_CONFIG);
}

/* -- the hash ------------------------------------------------------------------------------ */

static uint64_t hash_of(const char *patterns)
{
    DR_CLEANUP(exclude_free_ptr) struct exclude *x = compile(patterns);
    return exclude_hash(x);
}

static void a_changed_set_has_another_hash(void **state)
{
    (void)state;
    assert_true(hash_of("a\nb") == hash_of("a\n# why\n\nb  "));
    assert_true(hash_of("a\nb") != hash_of("b\na"));
    assert_true(hash_of("a\nb") != hash_of("ab"));
    assert_true(hash_of("a") != hash_of("!a"));
    assert_true(hash_of("a") != hash_of("a/"));
    assert_true(hash_of("") != hash_of("a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_mean_what_they_mean_to_git),
        cmocka_unit_test(no_pattern_takes_exponential_time),
        cmocka_unit_test_setup_teardown(a_file_has_a_pattern_a_line, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(what_is_wrong_in_a_file_is_named_with_its_line, make_dir,
                                        drop_dir),
        cmocka_unit_test(more_patterns_than_the_limit_are_refused),
        cmocka_unit_test(a_changed_set_has_another_hash),
    };
    return cmocka_run_group_tests_name("exclude", tests, NULL, NULL);
}
