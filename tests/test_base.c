/*
 * Base: error messages read well; replaced files survive every fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/base/text.h"
#include "tests/support/fault.h"

static const char old_text[] = "old content";
static const char new_text[] = "the new content, longer than the old";
static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/test_base.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    struct dr_err err = { 0 };
    return fs_replace(dir, "file", old_text, strlen(old_text), &err) == DR_OK ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    char cmd[128];
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
    return system(cmd);
}

/* The promise of fs_replace(): whole old or whole new, nothing else. */
static void assert_old_or_new(bool must_be_new)
{
    char path[128], buf[256];
    snprintf(path, sizeof(path), "%s/file", dir);
    FILE *fp = fopen(path, "r");
    assert_non_null(fp);
    size_t n = fread(buf, 1, sizeof(buf) - 1, fp);
    fclose(fp);
    buf[n] = '\0';
    if (must_be_new || strcmp(buf, old_text) != 0)
        assert_string_equal(buf, new_text);
}

static void error_tells_scene_cause_and_hint(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_int_equal(fs_replace("/nonexistent", "x", "", 0, &err), DR_E_NOTFOUND);
    dr_context(&err, "saving catalogue of '%s'", "db1");
    dr_hint(&err, "create the repository with 'backupd init'");
    assert_string_equal(err.msg, "saving catalogue of 'db1': replacing '/nonexistent/x': "
                                 "cannot create '/nonexistent/.x.tmp': No such file or directory");
    assert_string_equal(dr_rc_name(err.rc), "not-found");
    assert_int_equal(err.sys, 2);
}

static void error_keeps_the_cause_when_scenes_overflow(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    dr_fail(&err, DR_E_CORRUPT, "THE CAUSE");
    for (int i = 0; i < 100; i++)
        dr_context(&err, "a rather long scene number %d that goes on and on", i);
    assert_true(strlen(err.msg) < sizeof(err.msg));
    assert_non_null(strstr(err.msg, "THE CAUSE"));
}

static void replace_syncs_before_it_renames(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    fault_arm(FAULT_NONE, 0);
    assert_int_equal(fs_replace(dir, "file", new_text, strlen(new_text), &err), DR_OK);
    fault_disarm();
    assert_string_equal(fault_trace(),
                        "unlinkat openat write fsync close renameat2 openat fsync close ");
}

static void replace_survives_every_failing_call(void **state)
{
    const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        unsigned n = 0;
        bool fired = true;
        while (fired) {
            drop_dir(state);
            make_dir(state);
            struct dr_err err = { 0 };
            fault_arm(kinds[k], ++n);
            enum dr_rc rc = fs_replace(dir, "file", new_text, strlen(new_text), &err);
            fired = fault_disarm();
            assert_old_or_new(rc == DR_OK);
            assert_int_equal(fault_open_fds(), 0);
            if (rc != DR_OK)
                assert_non_null(strstr(err.msg, "Input/output error"));
            assert_true(n < 100);
        }
        print_message("  swept %u calls\n", n - 1);
    }
}

static void replace_survives_death_at_every_call(void **state)
{
    const enum fault_kind kinds[] = { FAULT_DIE_BEFORE, FAULT_DIE_AFTER };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        int status = 99 << 8;
        unsigned n = 0;
        while (WEXITSTATUS(status) == 99) {
            drop_dir(state);
            make_dir(state);
            n++;
            pid_t pid = fork();
            if (pid == 0) {
                struct dr_err err = { 0 };
                fault_arm(kinds[k], n);
                enum dr_rc rc = fs_replace(dir, "file", new_text, strlen(new_text), &err);
                _exit(rc == DR_OK ? 0 : 1);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_old_or_new(false);
            /* And the next run, over whatever was left behind, succeeds. */
            struct dr_err err = { 0 };
            assert_int_equal(fs_replace(dir, "file", new_text, strlen(new_text), &err), DR_OK);
            assert_old_or_new(true);
        }
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static char *in_dir(const char *name)
{
    return dr_strf("%s/%s", dir, name);
}

static void read_file_refuses_more_than_its_limit(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_FREE char *path = in_dir("file");
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(fs_read_file(path, strlen(old_text), &b, &err), DR_OK);
    assert_string_equal(b.data, old_text);
    assert_int_equal(fs_read_file(path, strlen(old_text) - 1, &b, &err), DR_E_NOMEM);
}

static void directories_are_made_with_their_parents(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_FREE char *path = in_dir("a/b/c");
    assert_int_equal(fs_make_dirs(path, 0700, &err), DR_OK);
    assert_int_equal(fs_make_dirs(path, 0700, &err), DR_OK);
    DR_FREE char *under_file = in_dir("file/x");
    assert_int_equal(fs_make_dirs(under_file, 0700, &err), DR_E_EXISTS);
    assert_true(text_ends(err.msg, "/file': File exists"));
}

static void removing_a_tree_never_follows_a_link(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_FREE char *tree = in_dir("tree");
    DR_FREE char *deep = in_dir("tree/x/y/z");
    DR_FREE char *link = in_dir("tree/x/link");
    DR_FREE char *kept = in_dir("kept");
    DR_FREE char *kept_file = in_dir("kept/file");
    assert_int_equal(fs_make_dirs(deep, 0700, &err), DR_OK);
    assert_int_equal(fs_make_dirs(kept, 0700, &err), DR_OK);
    assert_int_equal(fs_replace(kept, "file", "x", 1, &err), DR_OK);
    assert_int_equal(symlink("../../kept", link), 0);
    assert_int_equal(fs_remove_tree(tree, &err), DR_OK);
    assert_int_equal(access(tree, F_OK), -1);
    assert_int_equal(access(kept_file, F_OK), 0);
    assert_int_equal(fs_remove_tree(tree, &err), DR_OK);
}

static void short_reads_are_completed(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_FREE char *path = in_dir("file");
    for (unsigned n = 1; n < 6; n++) {
        DR_CLEANUP(buf_fini) struct buf b = { 0 };
        fault_arm(FAULT_SHORT, n);
        enum dr_rc rc = fs_read_file(path, 1000, &b, &err);
        fault_disarm();
        assert_int_equal(rc, DR_OK);
        assert_string_equal(b.data, old_text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_tells_scene_cause_and_hint),
        cmocka_unit_test(error_keeps_the_cause_when_scenes_overflow),
        cmocka_unit_test_setup_teardown(replace_syncs_before_it_renames, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(replace_survives_every_failing_call, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(replace_survives_death_at_every_call, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(read_file_refuses_more_than_its_limit, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(directories_are_made_with_their_parents, make_dir,
                                        drop_dir),
        cmocka_unit_test_setup_teardown(removing_a_tree_never_follows_a_link, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(short_reads_are_completed, make_dir, drop_dir),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
