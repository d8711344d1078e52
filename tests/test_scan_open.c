/*
 * Opening entries of a source again: no link is followed, nobody waited for, and what lies side by side
 * costs one call each.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/scan_open.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "tests/support/fault.h"
#include "tests/support/tree.h"

static char *top;

static int make_top(void **state)
{
    (void)state;
    top = tree_temp();
    return 0;
}

static int drop_top(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    enum dr_rc rc = fs_remove_tree(top, &err);
    free(top);
    return rc == DR_OK ? 0 : -1;
}

static char *below(const char *path)
{
    return dr_strf("%s/%s", top, path);
}

static void make_dir(const char *path)
{
    DR_FREE char *full = below(path);
    assert_int_equal(mkdir(full, 0755), 0);
}

static void make_file(const char *path, const char *text)
{
    DR_FREE char *full = below(path);
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void the_opener_follows_no_link_and_waits_for_nobody(void **state)
{
    (void)state;
    make_dir("d");
    make_file("d/f", "text");
    DR_FREE char *link = below("link"), *fifo = below("d/fifo"), *file = below("d/l");
    assert_int_equal(symlink("d", link), 0);
    assert_int_equal(symlink("f", file), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    DR_CLEANUP(dr_close_fd) int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DR_CLEANUP(scan_opener_free_ptr) struct scan_opener *o = scan_opener_new(root);
    make_dir("d/e");
    make_file("d/e/f", "");
    assert_int_equal(scan_opener_file(o, "link/e/f", false), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(scan_opener_file(o, "link/f", false), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(scan_opener_file(o, "d/l", false), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(scan_opener_file(o, "d/f", true), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(scan_opener_file(o, "none/f", false), -1);
    assert_int_equal(errno, ENOENT);
    DR_CLEANUP(dr_close_fd) int waits_not = scan_opener_file(o, "d/fifo", false);
    assert_true(waits_not >= 0);
    char text[8] = { 0 };
    DR_CLEANUP(dr_close_fd) int fd = scan_opener_file(o, "d/f", false);
    assert_int_equal(read(fd, text, sizeof text), 4);
    assert_string_equal(text, "text");
}

static void the_opener_keeps_the_last_directory(void **state)
{
    (void)state;
    const char *name;
    make_dir("d");
    make_dir("d/e");
    make_file("d/e/f", "");
    DR_CLEANUP(dr_close_fd) int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DR_CLEANUP(scan_opener_free_ptr) struct scan_opener *o = scan_opener_new(root);
    assert_int_equal(scan_opener_parent(o, "", &name), root);
    assert_string_equal(name, "");
    assert_int_equal(scan_opener_parent(o, "x", &name), root);
    assert_string_equal(name, "x");
    fault_arm(FAULT_NONE, 0);
    int dir = scan_opener_parent(o, "d/e/f", &name);
    bool good = dir >= 0 && strcmp(name, "f") == 0;
    good = good && scan_opener_parent(o, "d/e/g", &name) == dir && strcmp(name, "g") == 0;
    good = good && scan_opener_parent(o, "x", &name) == root;
    good = good && scan_opener_parent(o, "d/e/f", &name) == dir;
    unsigned calls = fault_calls();
    (void)fault_disarm(); /* none was armed */
    assert_true(good);
    assert_int_equal(calls, 1);
    DR_CLEANUP(dr_close_fd) int again = scan_opener_file(o, "", true);
    struct stat a, b;
    assert_int_equal(fstat(again, &a), 0);
    assert_int_equal(fstat(root, &b), 0);
    assert_true(a.st_ino == b.st_ino);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_opener_follows_no_link_and_waits_for_nobody, make_top,
                                        drop_top),
        cmocka_unit_test_setup_teardown(the_opener_keeps_the_last_directory, make_top, drop_top),
    };
    return cmocka_run_group_tests_name("scan_open", tests, NULL, NULL);
}
