/*
 * Sweep of a backup: each call of the syscall table fails, transfers short, or is the last before
 * death. Afterwards every visible snapshot restores, and a second backup succeeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/fault.h"
#include "tests/support/site.h"

static struct site site;

static int set_up(void **state)
{
    (void)state;
    site_make(&site);
    site_fill(&site);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    site_drop(&site);
    return 0;
}

static void empty_buckets(void)
{
    struct dr_err err = { 0 };
    for (int i = 0; i < SITE_BUCKETS; i++) {
        assert_int_equal(fs_remove_tree(site.bucket[i], &err), DR_OK);
        assert_int_equal(mkdir(site.bucket[i], 0755), 0);
    }
    DR_FREE char *state = dr_strf("%s/state", site.top);
    assert_int_equal(fs_remove_tree(state, &err), DR_OK);
    assert_int_equal(repo_init(site.config, &err), DR_OK);
}

static enum dr_rc backup(struct repo *r, struct backup_result *ret, struct dr_err *err)
{
    return backup_run(r,
                      &(struct backup_wish){
                          .source = &site.config->sources[0], .kind = "full", .inline_work = true },
                      &site.hooks, ret, err);
}

/* Whatever is listed as good restores to what the source is, out of each bucket that lists it. */
static void assert_visible_ones_restore(size_t at_least)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    assert_int_equal(repo_snapshots(r, NULL, &list, &err), DR_OK);
    size_t good = 0;
    for (size_t i = 0; i < list.count; i++) {
        const struct snapshot_info *info = &list.items[i];
        if (info->state != SNAPSHOT_GOOD)
            fail_msg("a visible snapshot is not good: %s", info->why);
        good++;
        const char *dark[SITE_BUCKETS] = { "us-east-1", "eu-west-1" };
        for (size_t b = 0; b < SITE_BUCKETS; b++) {
            if (!text_list_has(&info->buckets, site_bucket_names[b]))
                continue;
            const struct repo_options one = { .dark = &dark[1 - b], .dark_count = 1 };
            const struct restore_options to = { .to = site.target };
            struct restore_result result;
            DR_CLEANUP(repo_close_ptr) struct repo *alone = NULL;
            site_clear_target(&site);
            if (repo_open(site.config, &one, &alone, &err) != DR_OK ||
                restore_run(alone, info, &to, &site.hooks, &result, &err) != DR_OK)
                fail_msg("from bucket '%s' alone: %s", site_bucket_names[b], err.msg);
            site_assert_restored(&site);
        }
    }
    assert_true(good >= at_least);
}

static void second_backup_succeeds(void)
{
    struct dr_err err = { 0 };
    struct backup_result result = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    if (backup(r, &result, &err) != DR_OK)
        fail_msg("the second backup failed: %s", err.msg);
    assert_int_equal(result.copies, SITE_BUCKETS);
    backup_result_fini(&result);
}

static void backup_survives_every_failing_call(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool fired = true;
        unsigned n = 1;
        for (; fired; n++) {
            empty_buckets();
            struct dr_err err = { 0 };
            struct backup_result result = { 0 };
            DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
            fault_arm(kinds[k], n);
            enum dr_rc rc = backup(r, &result, &err);
            fired = fault_disarm();
            /* A file that could not be read is skipped with a warning: that snapshot is visible,
             * and says itself that it is not the whole source. */
            if (rc != DR_OK || result.warnings == 0)
                assert_visible_ones_restore(rc == DR_OK);
            if (rc == DR_OK)
                backup_result_fini(&result);
            second_backup_succeeds();
        }
        print_message("  swept %u calls\n", n - 1);
    }
}

static void backup_survives_death_at_every_call(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_DIE_BEFORE, FAULT_DIE_AFTER };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        int status = 99 << 8;
        for (unsigned n = 1; WEXITSTATUS(status) == 99; n++) {
            empty_buckets();
            pid_t pid = fork();
            if (pid == 0) {
                struct dr_err err = { 0 };
                struct backup_result result = { 0 };
                struct repo *r = site_open(&site);
                fault_arm(kinds[k], n);
                _exit(backup(r, &result, &err) == DR_OK ? 0 : 1);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_visible_ones_restore(0);
            second_backup_succeeds();
            assert_visible_ones_restore(1);
        }
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(backup_survives_every_failing_call),
        FRESH(backup_survives_death_at_every_call),
    };
    return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
