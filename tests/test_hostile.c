/*
 * Hostile snapshots: correctly signed, every digest right, and made to write outside the target.
 * Each is refused, and nothing outside the target is touched.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/forge.h"

static struct site site;
static char *outside; /* TOP/out: what must stay as it is */

static int set_up(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    site_make(&site);
    outside = dr_strf("%s/out", site.top);
    assert_int_equal(mkdir(outside, 0700), 0);
    assert_int_equal(fs_replace(outside, "secret", "keep", 4, &err), DR_OK);
    assert_int_equal(repo_init(site.config, &err), DR_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    site_drop(&site);
    free(outside);
    return 0;
}

/* One file, one name for it, nothing beside it; and nothing new beside the target. */
static void assert_untouched(void)
{
    struct dr_err err = { 0 };
    struct stat st;
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_FREE char *secret = dr_strf("%s/secret", outside);
    DR_FREE char *evil = dr_strf("%s/evil", site.top);
    assert_int_equal(fs_read_file(secret, 100, &b, &err), DR_OK);
    assert_string_equal(b.data, "keep");
    assert_int_equal(stat(secret, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(stat(outside, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(access(evil, F_OK), -1);
    assert_int_equal(access("/evil", F_OK), -1);
    assert_int_equal(unlink(secret), 0);
    assert_int_equal(rmdir(outside), 0); /* it held nothing else */
    assert_int_equal(mkdir(outside, 0700), 0);
    assert_int_equal(fs_replace(outside, "secret", "keep", 4, &err), DR_OK);
}

static void assert_refused(const struct forge *f)
{
    struct dr_err err = { 0 };
    struct restore_result result;
    char id[SNAPSHOT_ID_MAX];
    forge_snapshot(&site, f, id);
    enum dr_rc rc = site_restore(&site, &result, &err);
    if (rc == DR_OK)
        fail_msg("a hostile snapshot was restored");
    print_message("  %s\n", err.msg);
    assert_true(rc == DR_E_REFUSED || rc == DR_E_CORRUPT);
    assert_non_null(strstr(err.msg, id));
    assert_untouched();
    site_clear_target(&site);
}

static void honest_snapshot_made_by_hand_restores(void **state)
{
    (void)state;
    const struct forge_entry entries[] = {
        { .type = '0', .path = "a", .data = "hello" },
        { .type = '5', .path = "d" },
        { .type = '0', .path = "d/b", .data = "world" },
        { .type = '1', .path = "d/c", .link = "a" },
        { .type = '2', .path = "e", .link = "/nowhere" },
    };
    const struct forge f = { .entries = entries, .count = DR_ARRAY_LEN(entries) };
    char id[SNAPSHOT_ID_MAX];
    struct dr_err err = { 0 };
    struct restore_result result;
    forge_snapshot(&site, &f, id);
    if (site_restore(&site, &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(result.files, 2);
    assert_int_equal(result.entries, 6);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_FREE char *path = dr_strf("%s/d/c", site.target);
    assert_int_equal(fs_read_file(path, 100, &b, &err), DR_OK);
    assert_string_equal(b.data, "hello");
}

static void paths_that_lead_out_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *first, *path, *from, *to;
        size_t len;
    } bad[] = {
        { "xx", "xx/evil", "xx/evil", "../evil", 7 },
        { "xx", "xx/evil", "xx", "..", 2 },
        { NULL, "xevil", "xevil", "/evil", 5 },
        { "a", "a/xx", "a/xx", "a/..", 4 },
        { "a", "a/x", "a/x", "a/.", 3 },
        { NULL, "axevil", "axevil", "a\0evil", 6 },
        { "a", "a/xevil", "a/xevil", "a//evil", 7 },
        { NULL, "evilx", "evilx", "evil/", 5 },
        { NULL, "xevil/y", "never", "never", 5 },
        { "a", "a/xx", "/xx", "/..", 3 },
        { "a", "a/xevil", "/xe", "//e", 3 },
        { "a", "a/x", "/x", "/.", 2 },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        struct forge_entry entries[2];
        size_t count = 0;
        if (bad[i].first != NULL)
            entries[count++] = (struct forge_entry){ .type = '5', .path = bad[i].first };
        entries[count++] = (struct forge_entry){ .type = '0', .path = bad[i].path, .data = "x" };
        const struct forge_patch patch = { bad[i].from, bad[i].to, bad[i].len };
        const struct forge f = { .entries = entries, .count = count, .patch = &patch };
        assert_refused(&f);
    }
}

static void nothing_is_written_through_a_symbolic_link(void **state)
{
    (void)state;
    const struct forge_entry inside[] = {
        { .type = '2', .path = "link", .link = outside },
        { .type = '0', .path = "link/evil", .data = "x" },
    };
    assert_refused(&(struct forge){ .entries = inside, .count = 2 });
    const struct forge_entry over[] = {
        { .type = '2', .path = "link", .link = outside },
        { .type = '0', .path = "link/secret", .data = "x" },
    };
    assert_refused(&(struct forge){ .entries = over, .count = 2 });
    const struct forge_entry directory[] = {
        { .type = '2', .path = "link", .link = outside },
        { .type = '5', .path = "link/evil" },
    };
    assert_refused(&(struct forge){ .entries = directory, .count = 2 });
    /* A directory of that name afterwards would change the mode of what the link points to. */
    const struct forge_entry twice[] = {
        { .type = '2', .path = "kink", .link = outside },
        { .type = '5', .path = "link", .mode = 0777 },
    };
    const struct forge_patch same = { "link", "kink", 4 };
    assert_refused(&(struct forge){ .entries = twice, .count = 2, .patch = &same });
}

static void hard_links_reach_entries_of_this_snapshot_only(void **state)
{
    (void)state;
    DR_FREE char *absolute = dr_strf("%s/secret", outside);
    const struct forge_entry out[] = { { .type = '1', .path = "stolen", .link = "xx/out/secret" } };
    const struct forge_patch up = { "xx/out/secret", "../out/secret", 13 };
    assert_refused(&(struct forge){ .entries = out, .count = 1, .patch = &up });
    const struct forge_entry whole[] = { { .type = '1', .path = "stolen", .link = absolute } };
    assert_refused(&(struct forge){ .entries = whole, .count = 1 });
    const struct forge_entry none[] = { { .type = '1', .path = "stolen", .link = "absent" } };
    assert_refused(&(struct forge){ .entries = none, .count = 1 });
    const struct forge_entry through[] = {
        { .type = '2', .path = "link", .link = outside },
        { .type = '1', .path = "stolen", .link = "link/secret" },
    };
    assert_refused(&(struct forge){ .entries = through, .count = 2 });
    const struct forge_entry below[] = {
        { .type = '2', .path = "link", .link = outside },
        { .type = '1', .path = "name", .link = "link" },
        { .type = '0', .path = "name/evil", .data = "x" },
    };
    assert_refused(&(struct forge){ .entries = below, .count = 3 });
    const struct forge_entry dir[] = {
        { .type = '5', .path = "d" },
        { .type = '1', .path = "name", .link = "d" },
    };
    assert_refused(&(struct forge){ .entries = dir, .count = 2 });
}

static void heads_that_say_something_else_are_refused(void **state)
{
    (void)state;
    /* Only the record is patched: 'from' is the path as it stands in the table, with its lengths. */
    const struct forge_entry entries[] = { { .type = '0', .path = "abcdef", .data = "x" } };
    const struct forge_patch record = { "\0\006abcdef0", "\0\006abcdeg0", 9 };
    assert_refused(&(struct forge){ .entries = entries, .count = 1, .patch = &record });
}

static void what_belongs_to_root_is_not_made_by_others(void **state)
{
    (void)state;
    const struct forge_entry entries[] = {
        { .type = '3', .path = "null" },
        { .type = '0', .path = "suid", .data = "#!", .mode = 06755 },
    };
    char id[SNAPSHOT_ID_MAX];
    struct dr_err err = { 0 };
    struct restore_result result;
    struct stat st;
    forge_snapshot(&site, &(struct forge){ .entries = entries, .count = 2 }, id);
    if (site_restore(&site, &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    DR_FREE char *suid = dr_strf("%s/suid", site.target);
    DR_FREE char *null = dr_strf("%s/null", site.target);
    assert_int_equal(lstat(suid, &st), 0);
    if (geteuid() == 0) {
        assert_int_equal(st.st_mode & 07777, 06755);
        return;
    }
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(lstat(null, &st), -1);
    assert_int_equal(result.warnings, 2);
    assert_true(site_warned(&site, "suid", "set-user-id"));
    assert_true(site_warned(&site, "null", "device not made"));
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FRESH(honest_snapshot_made_by_hand_restores),
        FRESH(paths_that_lead_out_are_refused),
        FRESH(nothing_is_written_through_a_symbolic_link),
        FRESH(hard_links_reach_entries_of_this_snapshot_only),
        FRESH(heads_that_say_something_else_are_refused),
        FRESH(what_belongs_to_root_is_not_made_by_others),
    };
    return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
