/*
 * What restoring asks of the kernel: no change of an inode that is right already, and the medium is
 * kept busy while the threads still write. Runs under TSan.
 *
 * The clock here runs ten seconds with each look at it, so that a sync is always due.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/restore_write.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "tests/support/site.h"

enum { FILES = 1100, FOLDERS = 5 };

static struct site site;
static struct snapshot_info snapshot;
static struct sys_ops kept;
static struct clock_ops kept_clock;
static atomic_uint syncs, modes, owners, failing, asked;
static atomic_llong ticks;

static int counting_syncfs(int fd)
{
    (void)fd;
    if (atomic_fetch_add(&syncs, 1) + 1 != atomic_load(&failing))
        return 0;
    errno = EIO;
    return -1;
}

static int counting_fchmod(int fd, mode_t mode)
{
    atomic_fetch_add(&modes, 1);
    return kept.fchmod(fd, mode);
}

static int counting_fchownat(int fd, const char *path, uid_t uid, gid_t gid, int flags)
{
    atomic_fetch_add(&owners, 1);
    return kept.fchownat(fd, path, uid, gid, flags);
}

/* As a kernel before 6.14, or a file system without it. */
static ssize_t refusing_pwrite_past(int fd, const void *buf, size_t len, off_t offset)
{
    (void)fd;
    (void)buf;
    (void)offset;
    assert_true(len >= WRITER_PAST_CACHE);
    atomic_fetch_add(&asked, 1);
    errno = EOPNOTSUPP;
    return -1;
}

static ssize_t counting_pwrite_past(int fd, const void *buf, size_t len, off_t offset)
{
    atomic_fetch_add(&asked, 1);
    return kept.pwrite(fd, buf, len, offset);
}

static int64_t fast_clock(void)
{
    return atomic_fetch_add(&ticks, 1) * 10000000000;
}

static int set_up(void **state)
{
    (void)state;
    site_make(&site);
    for (int i = 0; i < FILES; i++) {
        DR_FREE char *path = dr_strf("d%02d/%04d", i % FOLDERS, i);
        DR_FREE char *text = dr_strf("%0*d", i % 50 + 1, i);
        site_write(&site, path, text, strlen(text));
    }
    site_backup(&site, &snapshot);
    kept = sys;
    kept_clock = dr_clock;
    syncs = modes = owners = failing = asked = 0;
    sys.syncfs = counting_syncfs;
    sys.fchmod = counting_fchmod;
    sys.fchownat = counting_fchownat;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sys = kept;
    dr_clock = kept_clock;
    snapshot_info_fini(&snapshot);
    snapshot = (struct snapshot_info){ 0 };
    site_drop(&site);
    return 0;
}

static enum dr_rc restore(unsigned threads, struct dr_err *err)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    struct restore_result result;
    return restore_run(r, &snapshot,
                       &(struct restore_options){ .to = site.target, .threads = threads },
                       &site.hooks, &result, err);
}

static void what_a_file_is_born_with_is_not_set_again(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    for (unsigned threads = 0; threads <= 4; threads += 2) {
        atomic_store(&modes, 0);
        site_clear_target(&site);
        assert_int_equal(restore(threads, &err), DR_OK);
        assert_in_range(modes, FOLDERS, FOLDERS + 5); /* directories get theirs last */
        assert_int_equal(owners, 0);
        site_assert_restored(&site);
    }
}

static void add_large_files(void)
{
    DR_FREE char *bytes = dr_alloc(1, 300 << 10);
    for (size_t i = 0; i < 300 << 10; i++)
        bytes[i] = (char)(i * i >> 7);
    site_write(&site, "large/a", bytes, 300 << 10);
    site_write(&site, "large/b", bytes + 1, 200 << 10);
    site_write(&site, "large/c", bytes + 2, 100 << 10);
    struct dr_err err = { 0 };
    struct backup_result result = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    const struct backup_wish wish = { .source = &site.config->sources[0], .kind = "full" };
    assert_int_equal(backup_run(r, &wish, &site.hooks, &result, &err), DR_OK);
    snapshot_info_fini(&snapshot);
    assert_int_equal(repo_find(r, result.id, NULL, &snapshot, &err), DR_OK);
    backup_result_fini(&result);
}

static void large_runs_are_written_past_the_cache_where_that_is_known(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    add_large_files();
    sys.pwrite_past = counting_pwrite_past;
    assert_int_equal(restore(2, &err), DR_OK);
    assert_in_range(asked, 3, 20);
    site_assert_restored(&site);
    site_clear_target(&site);
    sys.pwrite_past = refusing_pwrite_past;
    atomic_store(&asked, 0);
    assert_int_equal(restore(2, &err), DR_OK);
    assert_in_range(asked, 1, 2); /* once for each thread */
    site_assert_restored(&site);
}

/* The last word of this journal line by line: how far it came. */
static size_t synced_in_the_journal(void)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_FREE char *path = dr_strf("%s/.target.drctl-restore.journal", site.top);
    assert_int_equal(fs_read_file(path, 1 << 20, &text, &err), DR_OK);
    size_t last = 0;
    for (const char *at = text.data; (at = strstr(at, "\nsynced ")) != NULL; at++)
        last = (size_t)strtoull(at + strlen("\nsynced "), NULL, 10);
    return last;
}

static void the_medium_is_kept_busy_and_the_journal_knows_how_far(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads <= 2; threads += 2) {
        struct dr_err err = { 0 };
        site_clear_target(&site);
        atomic_store(&syncs, 0);
        dr_clock.boot_ns = kept_clock.boot_ns;
        assert_int_equal(restore(threads, &err), DR_OK);
        assert_int_equal(syncs, 1); /* too small and too quick for more than the last one */
        site_clear_target(&site);
        dr_clock.boot_ns = fast_clock;
        atomic_store(&syncs, 0);
        assert_int_equal(restore(threads, &err), DR_OK);
        unsigned all = syncs;
        assert_in_range(all, 2, 10);
        site_assert_restored(&site);
        site_clear_target(&site);
        atomic_store(&syncs, 0);
        atomic_store(&failing, all); /* the one at the end: its journal stays to be read */
        if (threads == 0) {
            assert_int_not_equal(restore(threads, &err), DR_OK);
            assert_true(synced_in_the_journal() >= 1);
        }
        atomic_store(&failing, 0);
    }
}

static void a_medium_that_fails_in_the_middle_fails_the_restore(void **state)
{
    (void)state;
    dr_clock.boot_ns = fast_clock;
    for (unsigned threads = 0; threads <= 4; threads += 2) {
        struct dr_err err = { 0 };
        site_clear_target(&site);
        atomic_store(&syncs, 0);
        atomic_store(&failing, 1);
        assert_int_not_equal(restore(threads, &err), DR_OK);
        assert_non_null(strstr(err.msg, "to the medium"));
        assert_int_equal(restore_is_done(site.target, snapshot.id, &err), 0);
        atomic_store(&failing, 0);
        assert_int_equal(restore(threads, &err), DR_OK);
        site_assert_restored(&site);
    }
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(what_a_file_is_born_with_is_not_set_again),
        FRESH(large_runs_are_written_past_the_cache_where_that_is_known),
        FRESH(the_medium_is_kept_busy_and_the_journal_knows_how_far),
        FRESH(a_medium_that_fails_in_the_middle_fails_the_restore),
    };
    return cmocka_run_group_tests_name("restore_sync", tests, NULL, NULL);
}
