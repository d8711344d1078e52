/*
 * Looking into a snapshot: compare tells each difference, cat gives the bytes, export is a tar
 * that stock tools read.
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

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/site.h"

static struct site site;
static struct snapshot_info snapshot;

static int set_up(void **state)
{
    (void)state;
    site_make(&site);
    site_fill(&site);
    site_backup(&site, &snapshot);
    struct dr_err err = { 0 };
    struct restore_result result;
    return site_restore(&site, &result, &err) == DR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_info_fini(&snapshot);
    site_drop(&site);
    return 0;
}

static struct compare_result compare(void)
{
    struct dr_err err = { 0 };
    struct compare_result result = { 0 };
    text_list_fini(&site.warnings);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    if (compare_run(r, &snapshot, &(struct compare_wish){ .dir = site.target }, &site.hooks,
                    &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return result;
}

static void assert_one_difference(const char *path, const char *how)
{
    const struct compare_result c = compare();
    if (c.differ != 1 || !site_warned(&site, path, how))
        fail_msg("%llu differences, not that '%s' %s: %s", (unsigned long long)c.differ, path, how,
                 site.warnings.count > 0 ? site.warnings.items[0] : "none told");
}

static char *target_path(const char *path)
{
    return dr_strf("%s/%s", site.target, path);
}

static void restored_tree_does_not_differ(void **state)
{
    (void)state;
    const struct compare_result c = compare();
    assert_int_equal(c.differ, 0);
    assert_int_equal(c.files, snapshot.files);
    assert_int_equal(c.bytes, snapshot.bytes);
}

static void write_byte(const char *path, off_t at)
{
    DR_FREE char *full = target_path(path);
    int fd = open(full, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "!", 1, at), 1);
    close(fd);
}

static void each_difference_is_found_and_named(void **state)
{
    (void)state;
    write_byte("d0/file06", 3);
    assert_one_difference("d0/file06", "has other content");
    site_clear_target(&site);
    struct dr_err err = { 0 };
    struct restore_result result;
    assert_int_equal(site_restore(&site, &result, &err), DR_OK);
    write_byte("large/big1", 200000);
    assert_one_difference("large/big1", "has other content");
    site_clear_target(&site);
    assert_int_equal(site_restore(&site, &result, &err), DR_OK);
    write_byte("sparse", 900000); /* in the hole */
    assert_one_difference("sparse", "has other content");
    site_clear_target(&site);
    assert_int_equal(site_restore(&site, &result, &err), DR_OK);
    DR_FREE char *gone = target_path("empty");
    assert_int_equal(unlink(gone), 0);
    assert_one_difference("empty", "is missing");
    assert_int_equal(mkdir(gone, 0700), 0);
    assert_one_difference("empty", "is of another type");
    assert_int_equal(rmdir(gone), 0);
    assert_int_equal(fs_replace(site.target, "empty", "", 0, &err), DR_OK);
    DR_FREE char *soft = target_path("soft");
    assert_int_equal(unlink(soft), 0);
    assert_int_equal(symlink("elsewhere", soft), 0);
    assert_one_difference("soft", "points elsewhere");
    assert_int_equal(unlink(soft), 0);
    assert_int_equal(symlink("d0/file00", soft), 0);
    assert_int_equal(fs_replace(site.target, "surplus", "x", 1, &err), DR_OK);
    assert_one_difference("surplus", "is not in the snapshot");
}

static void size_is_looked_at_first(void **state)
{
    (void)state;
    DR_FREE char *path = target_path("d1/file01");
    assert_int_equal(truncate(path, 5), 0);
    assert_one_difference("d1/file01", "has another size");
}

static enum dr_rc cat(const char *path, struct buf *out, struct dr_err *err)
{
    DR_FREE char *file = dr_strf("%s/cat", site.top);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    enum dr_rc rc = cat_run(r, &snapshot, path, fd, err);
    close(fd);
    if (rc == DR_OK)
        rc = fs_read_file(file, 64 << 20, out, err);
    return rc;
}

static void cat_gives_the_bytes(void **state)
{
    (void)state;
    static const char *const paths[] = { "d2/file02",  "/d2/file02", "hard", "large/big0",
                                         "large/same", "sparse",     "empty" };
    for (size_t i = 0; i < DR_ARRAY_LEN(paths); i++) {
        struct dr_err err = { 0 };
        DR_CLEANUP(buf_fini) struct buf is = { 0 };
        DR_CLEANUP(buf_fini) struct buf should = { 0 };
        DR_FREE char *full = dr_strf("%s/%s", site.src, paths[i]);
        if (cat(paths[i], &is, &err) != DR_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(fs_read_file(full, 64 << 20, &should, &err), DR_OK);
        assert_int_equal(is.len, should.len);
        if (is.len > 0)
            assert_memory_equal(is.data, should.data, is.len);
    }
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    assert_int_equal(cat("d2", &out, &err), DR_E_USAGE);
    assert_int_equal(cat("nothing", &out, &err), DR_E_NOTFOUND);
}

static void run(const char *script)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-ec", script, site.top, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("status %d: %s", status, script);
}

/* What list_run() prints for path goes to the file TOP/list. */
static void list(const char *path)
{
    struct dr_err err = { 0 };
    DR_FREE char *file = dr_strf("%s/list", site.top);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(fflush(stdout), 0);
    int before = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(fd >= 0 && before >= 0 && dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    enum dr_rc rc = list_run(r, &snapshot, path, false, &err);
    (void)fflush(stdout); /* a lost line is missed below */
    assert_int_equal(dup2(before, STDOUT_FILENO), STDOUT_FILENO);
    close(before);
    close(fd);
    if (rc != DR_OK)
        fail_msg("%s", err.msg);
}

static void list_shows_types_modes_and_sizes_as_find_does(void **state)
{
    (void)state;
    run("cd \"$0/src\"; mkdir m; cd m; "
        "for mode in 0400 0644 0751 4755 4644 2755 2644 1777 1666 6711 7777; do "
        "echo $mode >f$mode; chmod $mode f$mode; done; "
        "mkdir d1777 d2755; chmod 1777 d1777; chmod 2755 d2755; ln -s f0644 soft; mkfifo -m 600 fifo");
    snapshot_info_fini(&snapshot);
    site_backup(&site, &snapshot);
    list("m");
    run("cd \"$0\"; sed 's/ -> .*//' list | awk '{ print $1, $NF }' | sort >is; "
        "cd src; find m -printf '%M %p\\n' | sort >../should; cmp ../is ../should");
    list("m/f0644");
    run("cd \"$0\"; [ $(wc -l <list) = 1 ]; [ $(awk '{ print $4 }' list) = 5 ]");
}

static void export_is_a_tar_that_stock_tools_read(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_FREE char *file = dr_strf("%s/x.tar.zst", site.top);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        if (export_run(r, &snapshot, fd, &site.hooks, &err) != DR_OK)
            fail_msg("%s", err.msg);
    }
    close(fd);
    run("export LC_ALL=C.UTF-8; cd \"$0\"; zstd -tq x.tar.zst");
    /* Each path once, and not a word of warning. */
    run("export LC_ALL=C.UTF-8; cd \"$0\"; tar -tvf x.tar.zst >tar.list 2>tar.err; "
        "bsdtar -tvf x.tar.zst >bsd.list 2>bsd.err; "
        "[ ! -s tar.err ]; [ ! -s bsd.err ]; [ \"$(tar -tf x.tar.zst 2>/dev/null | sort | uniq -d)\" = '' ]; "
        "[ $(wc -l <tar.list) = $(find src | wc -l) ]; [ $(wc -l <bsd.list) = $(wc -l <tar.list) ]");
    site_clear_target(&site);
    run("cd \"$0\"; mkdir target; zstd -dcq x.tar.zst | tar -xp -C target --numeric-owner "
        "--delay-directory-restore --warning=no-unknown-keyword --warning=no-timestamp");
    site_assert_restored(&site);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(restored_tree_does_not_differ),
        FRESH(each_difference_is_found_and_named),
        FRESH(size_is_looked_at_first),
        FRESH(cat_gives_the_bytes),
        FRESH(list_shows_types_modes_and_sizes_as_find_does),
        FRESH(export_is_a_tar_that_stock_tools_read),
    };
    return cmocka_run_group_tests_name("look", tests, NULL, NULL);
}
