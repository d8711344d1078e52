/*
 * test_cli.c - what all verbs stand on: options from a table, exit codes, the progress line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/cli/progress.h"

static const struct cli_verb verb = { .name = "try", .usage = "drctl try\n" };

struct parsed {
    bool dry;
    const char *to;
    struct text_list set;
    char line[128];
    char *argv[16];
    struct cli cli;
    bool good;
};

/* Reads the words of line (the verb first) with one option of each sort. */
static void parse(struct parsed *p, int least, int most, const char *line)
{
    *p = (struct parsed){ 0 };
    snprintf(p->line, sizeof(p->line), "%s", line);
    int argc = 0;
    char *rest = NULL;
    for (char *w = strtok_r(p->line, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest))
        p->argv[argc++] = w;
    p->cli = (struct cli){ .program = "drctl", .verb = &verb, .argc = argc, .argv = p->argv };
    const struct cli_option options[] = { { "dry-run", .flag = &p->dry },
                                          { "to", .value = &p->to },
                                          { "set", .many = &p->set } };
    p->good = cli_options(&p->cli, options, DR_ARRAY_LEN(options), least, most);
}

static void options_are_taken_from_among_the_words(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, 1, 2, "try --to eu one --set=a=b --dry-run two --set c=d");
    assert_true(p.good);
    assert_true(p.dry);
    assert_string_equal(p.to, "eu");
    assert_int_equal(p.set.count, 2);
    assert_string_equal(p.set.items[0], "a=b");
    assert_string_equal(p.set.items[1], "c=d");
    assert_int_equal(p.cli.argc, 3);
    assert_string_equal(p.cli.argv[1], "one");
    assert_string_equal(p.cli.argv[2], "two");
    assert_null(p.cli.argv[3]);
    text_list_fini(&p.set);
}

static void after_two_dashes_everything_is_a_word(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, 0, 3, "try -- --to -x");
    assert_true(p.good);
    assert_null(p.to);
    assert_int_equal(p.cli.argc, 3);
    assert_string_equal(p.cli.argv[2], "-x");
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct parsed p;
    const char *const cases[] = {
        "try --to",          /* no value */
        "try --to a --to b", /* twice */
        "try --dry-run=yes", /* a value for a flag */
        "try --tu a",        /* unknown */
        "try -x",            /* unknown */
        "try one two",       /* too many words */
        "try --too one",     /* not a mere beginning */
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        parse(&p, 0, 1, cases[i]);
        assert_false(p.good);
        text_list_fini(&p.set);
    }
    parse(&p, 1, 1, "try");
    assert_false(p.good);
}

static void the_gravest_exit_code_wins(void **state)
{
    (void)state;
    static const int order[] = { 7, 1, 5, 2, 6, 3, 9, 4, 8, 0 };
    for (size_t a = 0; a < DR_ARRAY_LEN(order); a++)
        for (size_t b = 0; b < DR_ARRAY_LEN(order); b++)
            assert_int_equal(cli_gravest(order[a], order[b]), order[a < b ? a : b]);
}

static void every_code_of_failure_has_an_exit_code(void **state)
{
    (void)state;
    for (int rc = DR_OK + 1; rc < DR_RC_COUNT; rc++)
        assert_true(cli_exit_of((enum dr_rc)rc) != EXIT_DONE);
    assert_int_equal(cli_exit_of(DR_E_CONFIG), EXIT_USAGE);
    assert_int_equal(cli_exit_of(DR_E_BUSY), EXIT_BUSY);
    assert_int_equal(cli_exit_of(DR_E_REFUSED), EXIT_REFUSED);
    assert_int_equal(cli_exit_of(DR_E_HELD), EXIT_HELD);
    assert_int_equal(cli_exit_of(DR_E_UNKNOWN), EXIT_UNKNOWN);
    assert_int_equal(cli_exit_of(DR_E_NOSPACE), EXIT_FAILED);
}

static void the_progress_line_tells_bytes_rate_and_time_left(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    const struct work_progress half = {
        .doing = "restoring", .bytes = 50 << 20, .bytes_total = 100 << 20, .entries = 7
    };
    progress_line("app", &half, 5000, 200, &line);
    assert_string_equal(line.data,
                        "app  restoring  50.0 MiB of 100.0 MiB  [##########----------] 50%"
                        "  7 entries  10.0 MiB/s, 5.0s left");
}

static void the_progress_line_promises_nothing_it_does_not_know(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    const struct work_progress start = { .doing = "reading", .bytes = 0, .entries = 0 };
    progress_line("a\033[2Jb", &start, 0, 200, &line);
    assert_string_equal(line.data, "a\\x1b[2Jb  reading  0 B");
}

static void what_was_done_is_told_by_what_was_looked_at_where_little_is_read(void **state)
{
    (void)state;
    static const struct {
        struct progress_done done;
        const char *line;
    } cases[] = {
        { { .bytes = 12 << 20 }, "app: 12.0 MiB in 2.0s, 6.0 MiB/s" },
        { { .bytes = 3 << 20, .entries = 78579 },
          "app: 78579 entries looked at, 3.0 MiB read in 2.0s" },
        { { .entries = 78579 }, "app: 78579 entries looked at in 2.0s, nothing read" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        DR_CLEANUP(buf_fini) struct buf line = { 0 };
        progress_outcome("app", &cases[i].done, 2000, &line);
        assert_string_equal(line.data, cases[i].line);
    }
}

static void the_progress_line_never_wraps(void **state)
{
    (void)state;
    const struct work_progress at = { .doing = "reading",
                                      .bytes = 1 << 20,
                                      .bytes_total = 2 << 20 };
    for (size_t width = 20; width < 90; width++) {
        DR_CLEANUP(buf_fini) struct buf line = { 0 };
        progress_line("app", &at, 1000, width, &line);
        assert_true(line.len < width);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_taken_from_among_the_words),
        cmocka_unit_test(after_two_dashes_everything_is_a_word),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(the_gravest_exit_code_wins),
        cmocka_unit_test(every_code_of_failure_has_an_exit_code),
        cmocka_unit_test(the_progress_line_tells_bytes_rate_and_time_left),
        cmocka_unit_test(the_progress_line_promises_nothing_it_does_not_know),
        cmocka_unit_test(the_progress_line_never_wraps),
        cmocka_unit_test(what_was_done_is_told_by_what_was_looked_at_where_little_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
