/*
 * Restore by many threads, over an older tree, and after a death in the middle. Runs under TSan.
 *
 * What one thread makes, four make too; what was written is not written again, also inside of a
 * large file; a delta fetches and writes what differs, and is finished or says that it is not.
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

#include "backup/work/measure.h"
#include "backup/work/restore_journal.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "tests/support/fault.h"
#include "tests/support/forge.h"
#include "tests/support/site.h"

enum { LARGE = 40 << 20, THREADS = 4 };

static struct site site;
static struct snapshot_info snapshot;

static void write_noise(const char *path, size_t len, uint64_t seed)
{
    DR_FREE char *bytes = dr_alloc(len, 1);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        bytes[i] = (char)(seed >> 56);
    }
    site_write(&site, path, bytes, len);
}

static int set_up(void **state)
{
    (void)state;
    site_make(&site);
    site_fill(&site);
    for (int i = 0; i < 1300; i++) {
        DR_FREE char *path = dr_strf("many/%02d/%04d", i % 40, i);
        DR_FREE char *text = dr_strf("%0*d", i % 50 + 1, i);
        site_write(&site, path, text, strlen(text));
    }
    site_backup(&site, &snapshot);
    return 0;
}

static int set_up_large(void **state)
{
    (void)state;
    site_make(&site);
    site_fill(&site);
    write_noise("huge", LARGE, 7);
    site_backup(&site, &snapshot);
    return 0;
}

static int set_up_few(void **state)
{
    (void)state;
    site_make(&site);
    site_fill(&site);
    site_backup(&site, &snapshot);
    return 0;
}

static int set_up_empty(void **state)
{
    (void)state;
    struct dr_err err;
    site_make(&site);
    return repo_init(site.config, &err) == DR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_info_fini(&snapshot);
    snapshot = (struct snapshot_info){ 0 };
    site_drop(&site);
    return 0;
}

static bool agree(void *arg, const struct text_list *surplus)
{
    (void)arg;
    (void)surplus;
    return true;
}

static enum dr_rc restore(struct restore_options how, struct restore_result *ret,
                          struct dr_err *err)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    how.to = site.target;
    how.confirm = agree;
    return restore_run(r, &snapshot, &how, &site.hooks, ret, err);
}

static struct restore_result must_restore(struct restore_options how)
{
    struct dr_err err = { 0 };
    struct restore_result result;
    if (restore(how, &result, &err) != DR_OK)
        fail_msg("%s (%s)", err.msg, err.hint);
    site_assert_restored(&site);
    return result;
}

static void edit(const char *path, const char *text, off_t at)
{
    DR_FREE char *full = dr_strf("%s/%s", site.target, path);
    DR_CLEANUP(dr_close_fd) int fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), at), (ssize_t)strlen(text));
}

/* -- many ---------------------------------------------------------------------------------- */

static void many_threads_make_what_one_makes(void **state)
{
    (void)state;
    struct restore_result one = must_restore((struct restore_options){ .threads = 0 });
    site_clear_target(&site);
    struct restore_result many = must_restore((struct restore_options){ .threads = THREADS });
    assert_int_equal(one.files, many.files);
    assert_int_equal(one.entries, snapshot.entries);
    assert_int_equal(many.entries, snapshot.entries);
    assert_int_equal(one.bytes, many.bytes);
    assert_int_equal(one.written, many.written);
    assert_int_equal(many.warnings, 0);
}

/* In threads nobody knows which call is the n-th: all the better. */
static void many_threads_die_anywhere_and_it_goes_on(void **state)
{
    (void)state;
    unsigned n = 3;
    for (int status = 99 << 8; WEXITSTATUS(status) == 99; n += 2 * n) {
        site_clear_target(&site);
        pid_t pid = fork();
        if (pid == 0) {
            struct dr_err err = { 0 };
            struct restore_result result;
            fault_arm(FAULT_DIE_BEFORE, n);
            _exit(restore((struct restore_options){ .threads = 2 }, &result, &err) == DR_OK ? 0
                                                                                            : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        struct dr_err err = { 0 };
        if (restore_is_done(site.target, snapshot.id, &err) == 1)
            site_assert_restored(&site);
        else
            must_restore((struct restore_options){ .threads = 2 });
    }
    assert_true(n > 500);
}

static void a_failure_of_one_thread_ends_the_restore(void **state)
{
    (void)state;
    for (unsigned n = 100; n < 5000; n += 1997) {
        struct dr_err err = { 0 };
        struct restore_result result;
        site_clear_target(&site);
        fault_arm(FAULT_ERRNO, n);
        enum dr_rc rc = restore((struct restore_options){ .threads = THREADS }, &result, &err);
        assert_true(fault_disarm());
        assert_int_equal(fault_open_fds(), 0);
        if (rc != DR_OK)
            assert_int_equal(restore_is_done(site.target, snapshot.id, &err), 0);
        if (rc != DR_OK)
            must_restore((struct restore_options){ .threads = THREADS });
    }
}

/* -- going on ------------------------------------------------------------------------------ */

static unsigned calls_of_a_restore(void)
{
    struct dr_err err = { 0 };
    struct restore_result result;
    fault_arm(FAULT_NONE, 0);
    assert_int_equal(restore((struct restore_options){ 0 }, &result, &err), DR_OK);
    fault_disarm();
    unsigned calls = fault_calls();
    site_clear_target(&site);
    return calls;
}

/* What comes behind a restore: the note of how long it took. */
static unsigned calls_of_a_note(void)
{
    const struct measure m = { "app", snapshot.id, LARGE, 1 };
    fault_arm(FAULT_NONE, 0);
    measure_add(site.config->state_dir, &m);
    fault_disarm();
    return fault_calls();
}

static void what_is_written_of_a_large_file_is_not_written_again(void **state)
{
    (void)state;
    unsigned calls = calls_of_a_restore() - calls_of_a_note();
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct dr_err err = { 0 };
        struct restore_result result;
        fault_arm(FAULT_DIE_BEFORE, calls - 85); /* behind the large file only directories */
        (void)!restore((struct restore_options){ 0 }, &result, &err);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 99);
    struct restore_result result = must_restore((struct restore_options){ 0 });
    assert_in_range(result.written, 1, LARGE * 4 / 5);
    assert_in_range(result.fetched, 1, LARGE * 4 / 5);
    assert_true(result.kept > 10);
}

static void journal_tells_what_is_done_and_what_is_on_the_medium(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct restore_journal j;
    DR_CLEANUP(restore_target_fini) struct restore_target t = { 0 };
    assert_int_equal(restore_target_find(site.target, &t, &err), DR_OK);
    assert_int_equal(restore_journal_open(&t, true, &j, &err), DR_OK);
    assert_int_equal(j.done, 0);
    assert_int_equal(restore_journal_done(&j, 3, &err), DR_OK);
    assert_int_equal(restore_journal_synced(&j, 3, &err), DR_OK);
    assert_int_equal(restore_journal_done(&j, 17, &err), DR_OK);
    assert_int_equal(write(j.fd, "done 1", 6), 6); /* cut short */
    restore_journal_close(&j);
    assert_int_equal(restore_journal_open(&t, false, &j, &err), DR_OK);
    assert_int_equal(j.done, 17);
    assert_int_equal(j.synced, 3);
    restore_journal_close(&j);

    /* Another boot. */
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_FREE char *path = dr_strf("%s/.target.drctl-restore.journal", site.top);
    assert_int_equal(fs_read_file(path, 1 << 20, &text, &err), DR_OK);
    for (char *at = text.data; (at = strstr(at, "boot ")) != NULL; at += 5)
        memcpy(at + 5, "another", 7);
    assert_int_equal(
        fs_replace(site.top, ".target.drctl-restore.journal", text.data, text.len, &err), DR_OK);
    assert_int_equal(restore_journal_open(&t, false, &j, &err), DR_OK);
    assert_int_equal(j.done, 3);
    assert_int_equal(restore_journal_back(&j, 2, &err), DR_OK);
    restore_journal_close(&j);
    assert_int_equal(restore_journal_open(&t, false, &j, &err), DR_OK);
    assert_int_equal(j.done, 2);
    assert_int_equal(j.synced, 2);
    restore_journal_close(&j);
    assert_int_equal(restore_journal_open(&t, true, &j, &err), DR_OK);
    assert_int_equal(j.done, 0);
    restore_journal_close(&j);
}

/* -- delta --------------------------------------------------------------------------------- */

static const struct restore_options delta = { .delta = true };

static void delta_fetches_and_writes_what_differs(void **state)
{
    (void)state;
    must_restore((struct restore_options){ .threads = 2 });
    struct restore_result same = must_restore(delta);
    assert_int_equal(same.written, 0);
    assert_int_equal(same.fetched, 0);
    assert_in_range(same.changed, 0, 1); /* a shut directory, which not everybody can look into */
    edit("huge", "changed", LARGE / 2);
    edit("huge", "behind the end", LARGE);
    edit("d1/file01", "other bytes", 0);
    struct restore_result result =
        must_restore((struct restore_options){ .delta = true, .threads = 3 });
    assert_in_range(result.written, 1, 5 << 20);
    assert_in_range(result.fetched, 1, 6 << 20);
    assert_int_equal(result.removed, 0);
    assert_in_range(result.changed, 2, 4); /* and the directory of the small one, if at all */
}

static void delta_takes_names_of_one_file_apart(void **state)
{
    (void)state;
    must_restore((struct restore_options){ 0 });
    DR_FREE char *a = dr_strf("%s/d0/file03", site.target);
    DR_FREE char *b = dr_strf("%s/outside", site.top);
    assert_int_equal(link(a, b), 0);
    DR_FREE char *c = dr_strf("%s/large/same", site.target);
    assert_int_equal(unlink(c), 0);
    edit("large/same", "no link any more", 0);
    must_restore(delta);
    struct stat st;
    assert_int_equal(stat(a, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(stat(c, &st), 0);
    assert_int_equal(st.st_nlink, 2);
}

static void spoil_target(void)
{
    DR_FREE char *dir = dr_strf("%s/d1/file04", site.target);
    DR_FREE char *file = dr_strf("%s/empty", site.target);
    assert_int_equal(unlink(dir), 0);
    assert_int_equal(mkdir(dir, 0755), 0);
    edit("d1/file04/inside", "x", 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("/etc", file), 0);
    edit("surplus", "x", 0);
    edit("large/big1", "changed", 270000);
}

static void delta_that_dies_is_not_finished_and_goes_on(void **state)
{
    (void)state;
    unsigned n = 2, died = 0;
    for (int status = 99 << 8; WEXITSTATUS(status) == 99; n += 41) {
        site_clear_target(&site);
        must_restore((struct restore_options){ 0 });
        spoil_target();
        pid_t pid = fork();
        if (pid == 0) {
            struct dr_err err = { 0 };
            struct restore_result result;
            fault_arm(n % 2 != 0 ? FAULT_DIE_BEFORE : FAULT_DIE_AFTER, n);
            _exit(restore(delta, &result, &err) == DR_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        died += WEXITSTATUS(status) == 99;
        must_restore(delta);
    }
    assert_in_range(died, 3, 1000);
}

static void delta_left_in_the_middle_is_no_target_of_a_plain_restore(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct restore_result result;
    must_restore((struct restore_options){ 0 });
    spoil_target();
    enum dr_rc rc = DR_OK;
    /* Before the mark says so nothing has begun; and some calls may fail: it reads again. */
    for (unsigned n = 60; restore_is_done(site.target, snapshot.id, &err) == 1 && n < 400; n += 9) {
        fault_arm(FAULT_ERRNO, n);
        rc = restore(delta, &result, &err);
        assert_true(fault_disarm());
    }
    assert_int_not_equal(rc, DR_OK);
    assert_int_equal(restore_is_done(site.target, snapshot.id, &err), 0);
    assert_int_equal(restore((struct restore_options){ 0 }, &result, &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "delta"));
    must_restore(delta);
}

/* -- verify -------------------------------------------------------------------------------- */

static ssize_t lying_pwrite(int fd, const void *data, size_t len, off_t at)
{
    DR_FREE char *other = dr_memdup(data, len);
    if (len > 100000)
        other[len / 2] ^= 1;
    return pwrite(fd, other, len, at);
}

static void verify_finds_what_the_disk_made_of_it(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct restore_result result;
    ssize_t (*kept)(int, const void *, size_t, off_t) = sys.pwrite;
    ssize_t (*past)(int, const void *, size_t, off_t) = sys.pwrite_past;
    sys.pwrite = sys.pwrite_past = lying_pwrite;
    enum dr_rc rc =
        restore((struct restore_options){ .verify = true, .threads = 2 }, &result, &err);
    sys.pwrite = kept;
    sys.pwrite_past = past;
    assert_int_equal(rc, DR_E_CORRUPT);
    assert_int_equal(restore_is_done(site.target, snapshot.id, &err), 0);
    site_clear_target(&site);
    must_restore((struct restore_options){ .verify = true, .threads = 2 });
}

/* -- what others write --------------------------------------------------------------------- */

static void file_is(const char *path, const char *text)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_FREE char *full = dr_strf("%s/%s", site.target, path);
    assert_int_equal(fs_read_file(full, 1000, &b, &err), DR_OK);
    assert_string_equal(b.data, text);
}

static void newest_copy_of_an_entry_counts(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    char id[SNAPSHOT_ID_MAX];
    const struct forge_entry entries[] = {
        { .type = '0', .path = "a", .data = "the same" },
        { .type = '0', .path = "b", .data = "newest", .old = "an older and longer copy" },
        { .type = '0', .path = "c", .data = "same as well" },
        { .type = '0', .path = "d", .data = "new", .old = "old" },
    };
    const struct forge f = { .entries = entries, .count = DR_ARRAY_LEN(entries) };
    forge_snapshot(&site, &f, id);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    assert_int_equal(repo_find(r, id, NULL, &snapshot, &err), DR_OK);
    struct restore_options how = { .to = site.target, .confirm = agree };
    struct restore_result result;
    for (int round = 0; round < 3; round++) {
        if (restore_run(r, &snapshot, &how, &site.hooks, &result, &err) != DR_OK)
            fail_msg("%s", err.msg);
        file_is("a", "the same");
        file_is("b", "newest");
        file_is("c", "same as well");
        file_is("d", "new");
        assert_int_equal(result.bytes, 8 + 6 + 12 + 3);
        how.delta = true;
        edit("b", "an older and longer copy", 0);
    }
    struct compare_result same;
    if (restore_run(r, &snapshot, &how, &site.hooks, &result, &err) != DR_OK ||
        compare_run(r, &snapshot, &(struct compare_wish){ .dir = site.target }, &site.hooks, &same,
                    &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(same.differ, 0);
    struct verify_result whole;
    assert_int_equal(
        verify_run(r, NULL, &(struct verify_wish){ .data = true }, &site.hooks, &whole, &err),
        DR_OK);
    assert_int_equal(whole.lost + whole.damaged + whole.missing, 0);
}

int main(void)
{
#define FRESH(test)     cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define LARGE_ONE(test) cmocka_unit_test_setup_teardown(test, set_up_large, tear_down)
#define FEW(test)       cmocka_unit_test_setup_teardown(test, set_up_few, tear_down)
#define EMPTY(test)     cmocka_unit_test_setup_teardown(test, set_up_empty, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(many_threads_make_what_one_makes),
        FRESH(many_threads_die_anywhere_and_it_goes_on),
        FRESH(a_failure_of_one_thread_ends_the_restore),
        LARGE_ONE(what_is_written_of_a_large_file_is_not_written_again),
        EMPTY(journal_tells_what_is_done_and_what_is_on_the_medium),
        LARGE_ONE(delta_fetches_and_writes_what_differs),
        FEW(delta_takes_names_of_one_file_apart),
        FEW(delta_that_dies_is_not_finished_and_goes_on),
        FEW(delta_left_in_the_middle_is_no_target_of_a_plain_restore),
        FEW(verify_finds_what_the_disk_made_of_it),
        EMPTY(newest_copy_of_an_entry_counts),
    };
    return cmocka_run_group_tests_name("restore_many", tests, NULL, NULL);
}
