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
#include "dr/base/sys.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_tells_scene_cause_and_hint),
        cmocka_unit_test(error_keeps_the_cause_when_scenes_overflow),
        cmocka_unit_test_setup_teardown(replace_syncs_before_it_renames, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(replace_survives_every_failing_call, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(replace_survives_death_at_every_call, make_dir, drop_dir),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
