/*
 * Restore: what comes back is what went in; a target is empty, or ours; a restore that was
 * stopped anywhere goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/restore_mark.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/fault.h"
#include "tests/support/site.h"

static struct site site;
static struct snapshot_info snapshot;

static int set_up(void **state)
{
    (void)state;
    site_make(&site);
    site_fill(&site);
    site_backup(&site, &snapshot);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_info_fini(&snapshot);
    site_drop(&site);
    return 0;
}

static enum dr_rc restore(const char *to, const char *path, struct restore_result *ret,
                          struct dr_err *err)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    const struct restore_options options = { .to = to, .path = path };
    return restore_run(r, &snapshot, &options, &site.hooks, ret, err);
}

static void must_restore(const char *path)
{
    struct dr_err err = { 0 };
    struct restore_result result;
    if (restore(site.target, path, &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
}

static void tree_comes_back_as_it_was(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct restore_result result;
    assert_int_equal(restore(site.target, NULL, &result, &err), DR_OK);
    site_assert_restored(&site);
    assert_int_equal(result.warnings, 0);
    assert_int_equal(result.files, snapshot.files);
    assert_int_equal(result.entries, snapshot.entries);
    assert_int_equal(result.bytes, snapshot.bytes);
    assert_int_equal(restore_is_done(site.target, snapshot.id, &err), 1);
}

static void holes_stay_holes(void **state)
{
    (void)state;
    must_restore(NULL);
    struct stat st;
    DR_FREE char *path = dr_strf("%s/sparse", site.target);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 1 << 20);
    assert_true(st.st_blocks * 512 < 256 << 10);
}

static void empty_directory_is_a_target_and_missing_parents_are_made(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct restore_result result;
    assert_int_equal(mkdir(site.target, 0755), 0);
    must_restore(NULL);
    site_assert_restored(&site);
    DR_FREE char *deep = dr_strf("%s/not/there/yet", site.top);
    assert_int_equal(restore(deep, NULL, &result, &err), DR_OK);
    assert_int_equal(restore_is_done(deep, snapshot.id, &err), 1);
}

static void assert_target_refused(const char *why)
{
    struct dr_err err = { 0 };
    struct restore_result result;
    assert_int_equal(restore(site.target, NULL, &result, &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, site.target));
    assert_non_null(strstr(err.msg, why));
    assert_true(err.hint[0] != '\0');
}

static void target_that_is_not_empty_is_refused(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_int_equal(mkdir(site.target, 0755), 0);
    assert_int_equal(fs_replace(site.target, "precious", "x", 1, &err), DR_OK);
    assert_target_refused("not empty");
    DR_FREE char *file = dr_strf("%s/precious", site.target);
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(unlink(file), 0);
    must_restore(NULL);
    assert_target_refused("finished restore of this snapshot");
}

static void two_restores_into_one_target_are_kept_apart(void **state)
{
    (void)state;
    struct dr_err err;
    struct restore_result result;
    DR_CLEANUP(restore_target_fini) struct restore_target t = { 0 };
    int other = -1;
    assert_int_equal(mkdir(site.target, 0755), 0);
    assert_int_equal(restore_target_find(site.target, &t, &err), DR_OK);
    assert_int_equal(restore_target_lock(&t, &other, &err), DR_OK);
    assert_int_equal(restore(site.target, NULL, &result, &err), DR_E_BUSY);
    assert_non_null(strstr(err.msg, "by another process"));
    close(other);
    must_restore(NULL);
}

static void target_that_is_a_file_or_a_link_to_one_is_refused(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_int_equal(fs_replace(site.top, "target", "x", 1, &err), DR_OK);
    assert_target_refused("not a directory");
}

static bool stop_at_once(void *arg, const struct work_progress *p)
{
    (void)arg;
    return p->entries == 0;
}

static void cancelled_restore_goes_on_but_only_with_the_same_snapshot(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct restore_result result;
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    const struct restore_options to = { .to = site.target };
    struct work_hooks hooks = { .progress = stop_at_once };
    assert_int_equal(restore_run(r, &snapshot, &to, &hooks, &result, &err), DR_E_CANCELLED);
    assert_int_equal(restore_is_done(site.target, snapshot.id, &err), 0);

    struct snapshot_info newer = { 0 };
    site_backup(&site, &newer);
    struct restore_options other = to;
    assert_int_equal(restore_run(r, &newer, &other, &site.hooks, &result, &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, snapshot.id));
    other.path = "d0";
    assert_int_equal(restore_run(r, &snapshot, &other, &site.hooks, &result, &err), DR_E_REFUSED);
    snapshot_info_fini(&newer);
    must_restore(NULL);
    site_assert_restored(&site);
}

static void undo_takes_back_a_restore_and_nothing_else(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_int_equal(restore_undo(site.src, snapshot.id, &err), DR_E_REFUSED);
    must_restore(NULL);
    enum dr_rc rc = restore_undo(site.target, snapshot.id, &err);
    if (rc != DR_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(access(site.target, F_OK), -1);
    assert_int_equal(access(site.src, F_OK), 0);
    must_restore(NULL);
    site_assert_restored(&site);
}

static bool there(const char *path)
{
    struct stat st;
    DR_FREE char *full = dr_strf("%s/%s", site.target, path);
    return lstat(full, &st) == 0;
}

static void path_restores_what_is_below_it(void **state)
{
    (void)state;
    must_restore("/deep/er/");
    assert_true(there("deep/er/and/deeper/leaf"));
    assert_false(there("d0"));
    assert_false(there("empty"));
}

static void path_may_be_a_file_or_a_link_to_one_elsewhere(void **state)
{
    (void)state;
    must_restore("d1/file04");
    assert_true(there("d1/file04"));
    assert_false(there("d1/file01"));
    site_clear_target(&site);
    must_restore("hard"); /* d0/file00 is its first name */
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_FREE char *full = dr_strf("%s/hard", site.target);
    assert_int_equal(fs_read_file(full, 1000, &b, &err), DR_OK);
    assert_string_equal(b.data, "file 0 says hello, 0 times\n");
    assert_false(there("d0"));
    site_clear_target(&site);
    must_restore("large");
    assert_true(there("large/same"));
}

static void path_that_is_not_there_touches_nothing(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct restore_result result;
    assert_int_equal(restore(site.target, "no/such", &result, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "no/such"));
    assert_int_equal(access(site.target, F_OK), -1);
}

/* -- faults -------------------------------------------------------------------------------- */

/* A restore that says "finished" is whole, whatever the run that made it returned. */
static void second_run_succeeds(void)
{
    struct dr_err err = { 0 };
    if (restore_is_done(site.target, snapshot.id, &err) != 1)
        must_restore(NULL);
    site_assert_restored(&site);
}

static void restore_survives_every_failing_call(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool fired = true;
        unsigned n = 1;
        for (; fired; n++) {
            struct dr_err err = { 0 };
            struct restore_result result;
            site_clear_target(&site);
            DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
            const struct restore_options to = { .to = site.target };
            fault_arm(kinds[k], n);
            enum dr_rc rc = restore_run(r, &snapshot, &to, &site.hooks, &result, &err);
            fired = fault_disarm();
            if (fault_open_fds() != 0)
                fail_msg("call %u: a descriptor was left open: %s", n, fault_trace());
            if (rc == DR_OK)
                assert_int_equal(restore_is_done(site.target, snapshot.id, &err), 1);
            second_run_succeeds();
        }
        print_message("  swept %u calls\n", n - 1);
    }
}

static void restore_survives_death_at_every_call(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_DIE_BEFORE, FAULT_DIE_AFTER };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        int status = 99 << 8;
        for (unsigned n = 1; WEXITSTATUS(status) == 99; n++) {
            site_clear_target(&site);
            pid_t pid = fork();
            if (pid == 0) {
                struct dr_err err = { 0 };
                struct restore_result result;
                fault_arm(kinds[k], n);
                _exit(restore(site.target, NULL, &result, &err) == DR_OK ? 0 : 1);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            second_run_succeeds();
        }
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void full_disk_is_told_with_a_hint(void **state)
{
    (void)state;
    fault_errno = ENOSPC;
    unsigned seen = 0;
    bool fired = true;
    for (unsigned n = 20; fired; n += 7) {
        struct dr_err err = { 0 };
        struct restore_result result;
        site_clear_target(&site);
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        const struct restore_options to = { .to = site.target };
        fault_arm(FAULT_ERRNO, n);
        enum dr_rc rc = restore_run(r, &snapshot, &to, &site.hooks, &result, &err);
        fired = fault_disarm();
        seen += rc == DR_E_NOSPACE && strstr(err.hint, "Free space") != NULL;
    }
    fault_errno = EIO;
    assert_in_range(seen, 3, 1000);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(tree_comes_back_as_it_was),
        FRESH(holes_stay_holes),
        FRESH(empty_directory_is_a_target_and_missing_parents_are_made),
        FRESH(target_that_is_not_empty_is_refused),
        FRESH(two_restores_into_one_target_are_kept_apart),
        FRESH(target_that_is_a_file_or_a_link_to_one_is_refused),
        FRESH(cancelled_restore_goes_on_but_only_with_the_same_snapshot),
        FRESH(undo_takes_back_a_restore_and_nothing_else),
        FRESH(path_restores_what_is_below_it),
        FRESH(path_may_be_a_file_or_a_link_to_one_elsewhere),
        FRESH(path_that_is_not_there_touches_nothing),
        FRESH(restore_survives_every_failing_call),
        FRESH(restore_survives_death_at_every_call),
        FRESH(full_disk_is_told_with_a_hint),
    };
    return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}
