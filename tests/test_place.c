/*
 * Placing entries: what a hostile snapshot could name never touches anything outside the target;
 * the mark beside a target speaks of one directory only.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/restore_mark.h"
#include "backup/work/restore_place.h"
#include "backup/work/work.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

static char *top, *target, *outside;

static int make_top(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    top = dr_strf("%s/test_place.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(top) == NULL)
        return -1;
    target = dr_strf("%s/target", top);
    outside = dr_strf("%s/outside", top);
    return mkdir(target, 0700) != 0 || mkdir(outside, 0700) != 0 ? -1 : 0;
}

static int drop_top(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    enum dr_rc rc = fs_remove_tree(top, &err);
    free(top);
    free(target);
    free(outside);
    return rc == DR_OK ? 0 : -1;
}

static struct place *open_place(bool resuming)
{
    struct dr_err err = { 0 };
    struct place *p = NULL;
    assert_int_equal(place_new(target, resuming, resuming, &p, &err), DR_OK);
    return p;
}

static struct place_entry entry(const char *path, mode_t mode)
{
    return (struct place_entry){ .path = path,
                                 .mode = mode,
                                 .uid = geteuid(),
                                 .gid = getegid(),
                                 .mtime = { .tv_sec = 1000000000, .tv_nsec = 123456789 } };
}

static void put_file(struct place *p, const struct place_entry *e, const char *text)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(dr_close_fd) int fd = -1;
    assert_int_equal(place_file_begin(p, e, &fd, &err), DR_OK);
    assert_int_equal(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
    assert_int_equal(place_file_end(p, e, fd, NULL, &err), DR_OK);
}

static struct stat look(const char *path)
{
    struct stat st = { 0 };
    DR_FREE char *full = dr_strf("%s/%s", target, path);
    if (lstat(full, &st) < 0)
        st.st_nlink = 0;
    return st;
}

static void paths_that_lead_out_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "/",   "/etc", "..",   "../x", "a/../b", "a/..",
                                       "./a", ".",    "a//b", "a/",   "a/./b" };
    static const char *const good[] = { "", "a", "a/b", "...", "a/..b", "-", " ", "\n", "\xff" };
    struct dr_err err = { 0 };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++)
        assert_int_equal(place_check_path(bad[i], strlen(bad[i]), &err), DR_E_REFUSED);
    for (size_t i = 0; i < DR_ARRAY_LEN(good); i++)
        assert_int_equal(place_check_path(good[i], strlen(good[i]), &err), DR_OK);
    assert_int_equal(place_check_path("a\0b", 3, &err), DR_E_REFUSED);
    char part[300];
    memset(part, 'a', sizeof(part));
    assert_int_equal(place_check_path(part, 256, &err), DR_E_REFUSED);
    assert_int_equal(place_check_path(part, 255, &err), DR_OK);
}

static void nothing_goes_through_a_symlink(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(place_free_ptr) struct place *p = open_place(false);
    struct place_entry link = entry("link", 0777), below = entry("link/file", 0600);
    assert_int_equal(place_symlink(p, &link, outside, &err), DR_OK);
    int fd = -1;
    assert_int_not_equal(place_file_begin(p, &below, &fd, &err), DR_OK);
    assert_int_not_equal(place_dir(p, "link/dir", &err), DR_OK);
    assert_int_not_equal(place_dir(p, "link", &err), DR_OK);
    assert_int_not_equal(place_symlink(p, &below, "x", &err), DR_OK);
    assert_int_not_equal(place_special(p, &below, S_IFIFO, 0, &err), DR_OK);
    assert_int_not_equal(place_hardlink(p, "taken", "link/file", &err), DR_OK);
    assert_int_not_equal(place_dir_end(p, &link, &err), DR_OK);
    assert_int_equal(rmdir(outside), 0); /* it is still empty */
    assert_int_equal(mkdir(outside, 0700), 0);
}

static void what_is_there_is_never_followed_nor_written_over(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(place_free_ptr) struct place *p = open_place(false);
    struct place_entry link = entry("link", 0777);
    DR_FREE char *victim = dr_strf("%s/victim", outside);
    assert_int_equal(fs_replace(outside, "victim", "safe", 4, &err), DR_OK);
    assert_int_equal(place_symlink(p, &link, victim, &err), DR_OK);
    int fd = -1;
    assert_int_not_equal(place_file_begin(p, &link, &fd, &err), DR_OK);
    DR_CLEANUP(place_free_ptr) struct place *again = open_place(true);
    put_file(again, &link, "other"); /* an unfinished restore is done over: the link goes */
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(fs_read_file(victim, 100, &b, &err), DR_OK);
    assert_string_equal(b.data, "safe");
    assert_true(S_ISREG(look("link").st_mode));
}

static void attributes_come_after_the_bytes(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(place_free_ptr) struct place *p = open_place(false);
    struct place_entry dir = entry("d", 0500), file = entry("d/f", 0400), fifo = entry("d/p", 0640);
    struct place_xattr x = { .name = "user.k", .value = "v", .len = 1 };
    file.xattrs = &x;
    file.xattr_count = 1;
    assert_int_equal(place_dir(p, "d", &err), DR_OK);
    put_file(p, &file, "hello");
    assert_int_equal(place_special(p, &fifo, S_IFIFO, 0, &err), DR_OK);
    assert_int_equal(place_hardlink(p, "d/h", "d/f", &err), DR_OK);
    assert_int_equal(place_dir_end(p, &dir, &err), DR_OK);
    assert_int_equal(look("d").st_mode & 07777, 0500);
    assert_int_equal(look("d").st_mtim.tv_nsec, 123456789);
    assert_int_equal(look("d/f").st_mode & 07777, 0400);
    assert_int_equal(look("d/f").st_nlink, 2);
    assert_int_equal(look("d/f").st_mtim.tv_sec, 1000000000);
    assert_true(S_ISFIFO(look("d/p").st_mode));
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    DR_CLEANUP(place_lost_fini) struct place_lost lost = { 0 };
    place_take_lost(p, &lost);
    place_tell(&lost, &lines);
    assert_int_equal(lines.count, 0);
    DR_CLEANUP(place_free_ptr) struct place *again = open_place(true);
    assert_int_equal(place_dir(again, "d", &err), DR_OK); /* so that drop_top can empty it */
    assert_true(place_is_whole(again, &file, 5, false));
    assert_false(place_is_whole(again, &file, 6, false));
    file.mtime.tv_nsec--;
    assert_false(place_is_whole(again, &file, 5, false));
}

static void what_only_root_may_is_counted_not_fatal(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(place_free_ptr) struct place *p = open_place(false);
    struct place_entry file = entry("f", 04755), dev = entry("null", 0666);
    struct place_xattr x = { .name = "trusted.k", .value = "v", .len = 1 };
    file.xattrs = &x;
    file.xattr_count = 1;
    file.uid = 12345;
    put_file(p, &file, "x");
    assert_int_equal(place_special(p, &dev, S_IFCHR, 0x103, &err), DR_OK);
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    DR_CLEANUP(place_lost_fini) struct place_lost lost = { 0 };
    place_take_lost(p, &lost);
    place_tell(&lost, &lines);
    if (geteuid() == 0) {
        assert_int_equal(look("f").st_mode & 07777, 04755);
        assert_int_equal(look("f").st_uid, 12345);
    } else {
        assert_int_equal(look("f").st_mode & 07777, 0755);
        assert_int_equal(look("null").st_nlink, 0);
        assert_int_equal(lines.count, 4);
        assert_non_null(strstr(lines.items[0], "'f': owner or group not kept"));
    }
}

static void tree_deeper_than_a_path_may_be(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf path = { 0 };
    DR_CLEANUP(place_free_ptr) struct place *p = open_place(false);
    for (int i = 0; i < 30; i++) {
        buf_addf(&path, "%s%0200d", i > 0 ? "/" : "", i);
        assert_int_equal(place_dir(p, path.data, &err), DR_OK);
    }
    assert_int_equal(place_dir(p, "elsewhere", &err), DR_OK);
    buf_adds(&path, "/leaf");
    struct place_entry leaf = entry(path.data, 0600);
    put_file(p, &leaf, "deep");
    assert_int_equal(place_hardlink(p, "elsewhere/link", path.data, &err), DR_OK);
    assert_int_equal(look("elsewhere/link").st_nlink, 2);
}

static void write_mark(enum mark_state s)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(restore_target_fini) struct restore_target t = { 0 };
    assert_int_equal(restore_target_find(target, &t, &err), DR_OK);
    assert_int_equal(restore_mark_write(&t, s, "snap-1", &(struct restore_asked){ 0 }, &err),
                     DR_OK);
}

static void mark_speaks_of_one_directory_and_one_snapshot(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_int_equal(restore_is_done(target, "snap-1", &err), 0);
    write_mark(MARK_UNFINISHED);
    assert_int_equal(restore_is_done(target, "snap-1", &err), 0);
    write_mark(MARK_FINISHED);
    assert_int_equal(restore_is_done(target, "snap-1", &err), 1);
    assert_int_equal(restore_is_done(target, "snap-2", &err), 0);
    static const struct restore_asked parts[] = { { .path = "etc" }, { .how = "patterns 1 2" } };
    for (size_t i = 0; i <= DR_ARRAY_LEN(parts); i++) { /* a part is not the snapshot; a delta is */
        DR_CLEANUP(restore_target_fini) struct restore_target t = { 0 };
        const struct restore_asked delta = { .how = HOW_DELTA };
        bool part = i < DR_ARRAY_LEN(parts);
        assert_int_equal(restore_target_find(target, &t, &err), DR_OK);
        assert_int_equal(
            restore_mark_write(&t, MARK_FINISHED, "snap-1", part ? &parts[i] : &delta, &err),
            DR_OK);
        assert_int_equal(restore_is_done(target, "snap-1", &err), part ? 0 : 1);
    }
    DR_FREE char *moved = dr_strf("%s/moved", top);
    assert_int_equal(rename(target, moved), 0);
    assert_int_equal(restore_is_done(target, "snap-1", &err), 0);
    assert_int_equal(mkdir(target, 0700), 0);
    assert_int_equal(restore_is_done(target, "snap-1", &err), 0);
}

static void undo_removes_only_what_carries_our_mark(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_int_equal(fs_replace(target, "precious", "x", 1, &err), DR_OK);
    assert_int_equal(restore_undo(target, "snap-1", &err), DR_E_REFUSED);
    write_mark(MARK_FINISHED);
    assert_int_equal(restore_undo(target, "snap-2", &err), DR_E_REFUSED);
    assert_int_equal(look("precious").st_nlink, 1);
    assert_int_equal(restore_undo(target, "snap-1", &err), DR_OK);
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(restore_undo(target, "snap-1", &err), DR_OK);
    assert_int_equal(mkdir(target, 0700), 0);
}

static void strange_targets_are_refused(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(restore_target_fini) struct restore_target t = { 0 };
    assert_int_equal(restore_target_find("/", &t, &err), DR_E_REFUSED);
    assert_int_equal(restore_target_find("/nonexistent/..", &t, &err), DR_E_REFUSED);
    assert_int_equal(fs_replace(top, "file", "x", 1, &err), DR_OK);
    DR_FREE char *file = dr_strf("%s/file", top);
    assert_int_equal(restore_target_find(file, &t, &err), DR_E_REFUSED);
    DR_FREE char *slashes = dr_strf("%s///", target);
    assert_int_equal(restore_target_find(slashes, &t, &err), DR_OK);
    assert_true(t.exists && t.empty);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, make_top, drop_top)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_that_lead_out_are_refused),
        FRESH(nothing_goes_through_a_symlink),
        FRESH(what_is_there_is_never_followed_nor_written_over),
        FRESH(attributes_come_after_the_bytes),
        FRESH(what_only_root_may_is_counted_not_fatal),
        FRESH(tree_deeper_than_a_path_may_be),
        FRESH(mark_speaks_of_one_directory_and_one_snapshot),
        FRESH(undo_removes_only_what_carries_our_mark),
        FRESH(strange_targets_are_refused),
    };
    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
