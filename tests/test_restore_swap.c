/*
 * A swap whatever happens. At each call that fails, transfers short or is the last before death,
 * the name holds either the old tree or the whole new one, and the old one is somewhere beside it,
 * untouched; and the same command again ends with the new one in place and the old one kept.
 */
#include <dirent.h>
#include <fcntl.h>
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
#include "dr/base/sys.h"
#include "tests/support/fault.h"
#include "tests/support/site.h"

static struct site site;
static struct snapshot_info snapshot;
static ino_t old_inode;

static int set_up(void **state)
{
    (void)state;
    site_make(&site);
    site_write(&site, "generation", "new", 3);
    site_write(&site, "d/file", "a file of the new one", 21);
    site_write(&site, "d/two", "and another", 11);
    site_backup(&site, &snapshot);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_info_fini(&snapshot);
    snapshot = (struct snapshot_info){ 0 };
    site_drop(&site);
    return 0;
}

static void write_text(const char *dir, const char *name, const char *text)
{
    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    DR_CLEANUP(dr_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Is there this text, and nothing else? */
static bool has_text(const char *dir, const char *name, const char *text)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf found = { 0 };
    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    return fs_read_file(path, 1000, &found, &err) == DR_OK && found.len == strlen(text) &&
           memcmp(found.data, text, found.len) == 0;
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? st.st_ino : 0;
}

/* All that a swap leaves goes, and the old tree is in place. */
static void begin_with_the_old_one(void)
{
    struct dr_err err = { 0 };
    DIR *d = opendir(site.top);
    assert_non_null(d);
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        if (strstr(e->d_name, "target") == NULL)
            continue;
        DR_FREE char *path = dr_strf("%s/%s", site.top, e->d_name);
        if (unlink(path) != 0)
            assert_int_equal(fs_remove_tree(path, &err), DR_OK);
    }
    closedir(d);
    DR_FREE char *below = dr_strf("%s/d", site.target);
    assert_int_equal(mkdir(site.target, 0755), 0);
    assert_int_equal(mkdir(below, 0755), 0);
    write_text(site.target, "generation", "old");
    write_text(below, "only here", "precious");
    old_inode = inode_of(site.target);
}

static bool is_whole_old(const char *dir)
{
    return inode_of(dir) == old_inode && has_text(dir, "generation", "old") &&
           has_text(dir, "d/only here", "precious");
}

/* Where the old tree is now; the caller frees. */
static char *find_old(void)
{
    char *found = NULL;
    DIR *d = opendir(site.top);
    assert_non_null(d);
    const struct dirent *e;
    while (found == NULL && (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own */
        DR_FREE char *path = dr_strf("%s/%s", site.top, e->d_name);
        if (strstr(e->d_name, "target") != NULL && is_whole_old(path))
            found = dr_strdup(path);
    }
    closedir(d);
    return found;
}

static enum dr_rc swap_with(const struct snapshot_info *what, struct restore_result *ret,
                            struct dr_err *err)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    const struct restore_options how = { .to = site.target, .swap = true };
    return restore_run(r, what, &how, &site.hooks, ret, err);
}

/* Whatever just happened. */
static void assert_one_whole_tree_in_place(unsigned n)
{
    struct dr_err err = { 0 };
    DR_FREE char *old = find_old();
    if (old == NULL)
        fail_msg("call %u: the old tree is lost", n);
    bool in_place = old != NULL && strcmp(old, site.target) == 0;
    if (!in_place)
        site_assert_restored(&site);
    if (in_place && restore_is_done(site.target, snapshot.id, &err) == 1)
        fail_msg("call %u: the old tree is called a restore", n);
}

static void assert_swapped(const struct restore_result *result)
{
    struct dr_err err = { 0 };
    DR_FREE char *beside = dr_strf("%s/.target.drctl-new", site.top);
    DR_FREE char *mark = dr_strf("%s/..target.drctl-new.drctl-restore", site.top);
    DR_FREE char *old = find_old();
    site_assert_restored(&site);
    assert_non_null(old);
    assert_string_equal(result->old, old);
    assert_int_equal(inode_of(beside), 0);
    assert_int_equal(inode_of(mark), 0);
    assert_int_equal(restore_is_done(site.target, snapshot.id, &err), 1);
}

/* One that ended after the last word is told of is a swap like any other: the one before it was
 * done, so its tree is the old one now. */
static void the_same_command_again_succeeds(void)
{
    struct dr_err err = { 0 };
    struct restore_result result;
    bool was_done = restore_is_done(site.target, snapshot.id, &err) == 1;
    if (swap_with(&snapshot, &result, &err) != DR_OK)
        fail_msg("the second run failed: %s", err.msg);
    site_assert_restored(&site);
    DR_FREE char *old = find_old();
    assert_non_null(old);
    assert_string_not_equal(old, site.target);
    if (!was_done)
        assert_swapped(&result);
}

static void swap_survives_every_failing_call(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool fired = true;
        unsigned n = 1;
        for (; fired; n++) {
            struct dr_err err = { 0 };
            struct restore_result result;
            begin_with_the_old_one();
            DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
            const struct restore_options how = { .to = site.target, .swap = true };
            fault_arm(kinds[k], n);
            enum dr_rc rc = restore_run(r, &snapshot, &how, &site.hooks, &result, &err);
            fired = fault_disarm();
            if (fault_open_fds() != 0)
                fail_msg("call %u: a descriptor was left open: %s", n, fault_trace());
            assert_one_whole_tree_in_place(n);
            if (rc == DR_OK)
                assert_swapped(&result);
            else
                the_same_command_again_succeeds();
        }
        assert_true(n > 100);
        print_message("  swept %u calls\n", n - 1);
    }
}

static void swap_survives_death_at_every_call(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_DIE_BEFORE, FAULT_DIE_AFTER };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        int status = 99 << 8;
        for (unsigned n = 1; WEXITSTATUS(status) == 99; n++) {
            begin_with_the_old_one();
            pid_t pid = fork();
            if (pid == 0) {
                struct dr_err err = { 0 };
                struct restore_result result;
                fault_arm(kinds[k], n);
                _exit(swap_with(&snapshot, &result, &err) == DR_OK ? 0 : 1);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_true(WIFEXITED(status));
            assert_one_whole_tree_in_place(n);
            the_same_command_again_succeeds();
        }
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void two_swaps_keep_both_old_trees(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct restore_result first, second;
    begin_with_the_old_one();
    assert_int_equal(swap_with(&snapshot, &first, &err), DR_OK);
    ino_t new_inode = inode_of(site.target);
    assert_int_equal(swap_with(&snapshot, &second, &err), DR_OK);
    site_assert_restored(&site);
    assert_true(is_whole_old(first.old));
    assert_string_not_equal(first.old, second.old);
    assert_int_equal(inode_of(second.old), new_inode);
}

/* Refused before anything is made, and what is there stays. */
static void swap_without_room_is_refused(void **state)
{
    (void)state;
    const struct snapshot_info too_large[] = { { .bytes = UINT64_MAX / 2 },
                                               { .entries = UINT64_MAX / 2 } };
    const char *const why[] = { "free", "inodes" };
    for (size_t i = 0; i < DR_ARRAY_LEN(too_large); i++) {
        struct dr_err err = { 0 };
        struct restore_result result;
        struct snapshot_info larger = snapshot;
        larger.bytes = too_large[i].bytes > 0 ? too_large[i].bytes : snapshot.bytes;
        larger.entries = too_large[i].entries > 0 ? too_large[i].entries : snapshot.entries;
        begin_with_the_old_one();
        enum dr_rc rc = swap_with(&larger, &result, &err);
        if (rc == DR_OK && i == 1)
            continue; /* a file system that counts no inodes has always room for them */
        assert_int_equal(rc, DR_E_NOSPACE);
        assert_non_null(strstr(err.msg, why[i]));
        assert_non_null(strstr(err.hint, "--delta"));
        assert_true(is_whole_old(site.target));
        DR_FREE char *beside = dr_strf("%s/.target.drctl-new", site.top);
        assert_int_equal(inode_of(beside), 0);
    }
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(swap_survives_every_failing_call),
        FRESH(swap_survives_death_at_every_call),
        FRESH(two_swaps_keep_both_old_trees),
        FRESH(swap_without_room_is_refused),
    };
    return cmocka_run_group_tests_name("restore_swap", tests, NULL, NULL);
}
