/*
 * Sources that change under the pipeline: backups in one thread, and what comes back. Runs under TSan.
 *
 * Files grow, shrink, vanish and turn into something else at the very moment at which they are opened
 * or read: calls of the syscall table do it just before they go to the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "tests/support/solo.h"

/* What the restored tree has under that name; NULL: nothing. */
static char *restored(const struct solo *w, const char *name)
{
    DR_FREE char *path = dr_strf("%s/%s", w->target, name);
    DR_CLEANUP(buf_fini) struct buf content = { 0 };
    struct dr_err err = { 0 };
    if (access(path, F_OK) != 0)
        return NULL;
    assert_int_equal(fs_read_file(path, 64 << 20, &content, &err), DR_OK);
    return buf_take(&content);
}

static struct { /* what happens to source/victim, and when: calls in one thread only */
    struct sys_ops real;
    char *path, *moved;
    void (*change)(void);
    int reads; /* pread() calls of this file until it strikes; -1: at the open */
    int fd, error;
    bool fired;
} victim;

static void strike(void)
{
    if (victim.fired)
        return;
    victim.fired = true;
    if (victim.change != NULL)
        victim.change();
}

static int victim_openat(int dir, const char *path, int flags, mode_t mode)
{
    bool hit = strcmp(path, "victim") == 0;
    if (hit && victim.reads < 0)
        strike();
    int fd = victim.real.openat(dir, path, flags, mode);
    if (hit)
        victim.fd = fd;
    return fd;
}

static ssize_t victim_pread(int fd, void *to, size_t len, off_t offset)
{
    if (fd != victim.fd || victim.reads < 0)
        return victim.real.pread(fd, to, len, offset);
    if (victim.reads-- == 0)
        strike();
    if (victim.fired && victim.error != 0) {
        errno = victim.error;
        return -1;
    }
    if (victim.error != 0 && len > 1000)
        len = 1000; /* the first bytes are still there */
    return victim.real.pread(fd, to, len, offset);
}

static void aim(const struct solo *w, void (*change)(void), int reads, int error)
{
    victim.path = dr_strf("%s/victim", w->source);
    victim.moved = dr_strf("%s/victim.moved", w->dir);
    victim.change = change;
    victim.reads = reads;
    victim.error = error;
    victim.fd = -1;
    victim.fired = false;
    victim.real = sys;
    sys.openat = victim_openat;
    sys.pread = victim_pread;
}

static void rest(void)
{
    sys = victim.real;
    free(victim.path);
    free(victim.moved);
}

static void grow(void)
{
    int fd = open(victim.path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "and more", 8), 8);
    close(fd);
}

static void shrink(void)
{
    assert_int_equal(truncate(victim.path, 3), 0);
}

static void vanish(void)
{
    assert_int_equal(unlink(victim.path), 0);
}

static void become_directory(void)
{
    vanish();
    assert_int_equal(mkdir(victim.path, 0755), 0);
}

static void become_fifo(void)
{
    vanish();
    assert_int_equal(mkfifo(victim.path, 0644), 0);
}

static void become_link(void)
{
    vanish();
    assert_int_equal(symlink("/etc/passwd", victim.path), 0);
}

static void become_another(void)
{
    int fd = open(victim.moved, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "another", 7), 7);
    close(fd);
    assert_int_equal(rename(victim.moved, victim.path), 0);
}

/* One backup while that happens. Its one warning; files of the size of the victim. */
static void backup_while(struct solo *w, void (*change)(void), int reads, int error)
{
    aim(w, change, reads, error);
    solo_must_backup(w);
    assert_true(victim.fired);
    rest();
}

static void expect_left_out(void (*change)(void), const char *why, size_t size)
{
    struct solo w;
    solo_init(&w);
    solo_put(&w, "a", "first");
    if (size == 0)
        solo_put(&w, "victim", "some text");
    else
        solo_put_large(&w, "victim", size);
    solo_put(&w, "z", "last");
    backup_while(&w, change, -1, 0);
    assert_int_equal(w.result.warnings, 1);
    assert_string_equal(w.warnings.items[0], why);
    assert_int_equal(w.result.entries, 3);
    solo_must_restore(&w);
    DR_FREE char *a = restored(&w, "a"), *z = restored(&w, "z"), *gone = restored(&w, "victim");
    assert_string_equal(a, "first");
    assert_string_equal(z, "last");
    assert_null(gone);
    solo_fini(&w);
}

static void what_vanishes_or_turns_into_something_else_is_left_out(void **state)
{
    (void)state;
    static const char replaced[] = "'victim': was replaced while it was read";
    static const size_t sizes[] = { 0, 400 << 10 }; /* by a worker, by the planning thread */
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        expect_left_out(vanish, "'victim': No such file or directory", sizes[i]);
        expect_left_out(become_directory, replaced, sizes[i]);
        expect_left_out(become_fifo, replaced, sizes[i]);
        expect_left_out(become_link, replaced, sizes[i]);
        expect_left_out(become_another, replaced, sizes[i]);
    }
}

static void expect_stored(void (*change)(void), int reads, const char *why, const char *content)
{
    struct solo w;
    solo_init(&w);
    solo_put(&w, "victim", "some text");
    backup_while(&w, change, reads, 0);
    assert_int_equal(w.result.warnings, 1);
    assert_string_equal(w.warnings.items[0], why);
    solo_must_restore(&w);
    DR_FREE char *path = dr_strf("%s/victim", w.target);
    DR_FREE char *got = restored(&w, "victim");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, strlen(why) > 60 ? 9 : strlen(content));
    assert_string_equal(got, content);
    solo_fini(&w);
}

static void what_grows_or_shrinks_is_stored_with_a_warning(void **state)
{
    (void)state;
    static const char changed[] = "'victim': changed while it was read";
    expect_stored(grow, -1, changed, "some text"); /* what came since comes next time */
    expect_stored(grow, 0, changed, "some text");
    expect_stored(shrink, -1, changed, "som");
    expect_stored(shrink, 0, "'victim': became shorter while it was read, zeros stand for 6 bytes",
                  "som");
}

static void a_large_file_that_became_small_is_stored_as_a_small_one(void **state)
{
    (void)state;
    struct solo w;
    solo_init(&w);
    solo_put_large(&w, "victim", 400 << 10);
    backup_while(&w, shrink, -1, 0);
    assert_int_equal(w.result.warnings, 1);
    assert_string_equal(w.warnings.items[0], "'victim': changed while it was read");
    solo_expect_restored(&w);
    solo_fini(&w);
}

static void what_cannot_be_read_becomes_zeros_and_the_rest_is_kept(void **state)
{
    (void)state;
    static const size_t sizes[] = { 5000, 600 << 10 };
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        struct solo w;
        solo_init(&w);
        solo_put_large(&w, "victim", sizes[i]);
        solo_put(&w, "z", "last");
        backup_while(&w, NULL, 1, EIO);
        assert_int_equal(w.result.warnings, 1);
        DR_FREE char *why = dr_strf("'victim': %zu bytes could not be read (Input/output error), "
                                    "zeros stand for them",
                                    sizes[i] - 1000);
        assert_string_equal(w.warnings.items[0], why);
        solo_must_restore(&w);
        DR_FREE char *source = dr_strf("%s/victim", w.source);
        DR_FREE char *target = dr_strf("%s/victim", w.target);
        DR_CLEANUP(buf_fini) struct buf before = { 0 }, after = { 0 };
        assert_int_equal(fs_read_file(source, 1 << 20, &before, &w.err), DR_OK);
        assert_int_equal(fs_read_file(target, 1 << 20, &after, &w.err), DR_OK);
        assert_int_equal(after.len, sizes[i]);
        assert_memory_equal(after.data, before.data, 1000);
        for (size_t k = 1000; k < after.len; k++)
            assert_int_equal(after.data[k], 0);
        solo_fini(&w);
    }
}

/* The first name goes while it is read; a link to nothing would not restore. */
static void links_to_a_name_that_vanished_are_left_out_too(void **state)
{
    (void)state;
    static const size_t sizes[] = { 10, 400 << 10 };
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        struct solo w;
        solo_init(&w);
        solo_put_large(&w, "victim", sizes[i]);
        solo_put(&w, "other", "other");
        DR_FREE char *first = dr_strf("%s/victim", w.source), *second = dr_strf("%s/w", w.source);
        DR_FREE char *kept = dr_strf("%s/other", w.source), *link2 = dr_strf("%s/x", w.source);
        assert_int_equal(link(first, second), 0);
        assert_int_equal(link(kept, link2), 0);
        backup_while(&w, vanish, -1, 0);
        assert_int_equal(w.result.warnings, 2);
        assert_non_null(strstr(w.warnings.items[0], "'victim': No such file"));
        assert_non_null(strstr(w.warnings.items[1], "'w': left out"));
        assert_int_equal(w.result.entries, 3);
        solo_must_restore(&w);
        DR_FREE char *x = restored(&w, "x"), *gone = restored(&w, "w");
        assert_string_equal(x, "other");
        assert_null(gone);
        solo_must_backup(&w); /* and comes with the next one */
        assert_int_equal(w.result.warnings, 0);
        assert_int_equal(w.result.entries, 4);
        solo_fini(&w);
    }
}

/* The snapshot before has both names: a link that stays must not lead to a name that went. The run
 * begins again, from a new scan. */
static void a_stored_name_of_several_that_vanished_begins_the_run_again(void **state)
{
    (void)state;
    static const size_t sizes[] = { 10, 400 << 10 };
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        struct solo w;
        solo_init(&w);
        solo_put_large(&w, "victim", sizes[i]);
        solo_put(&w, "other", "other");
        DR_FREE char *first = dr_strf("%s/victim", w.source), *second = dr_strf("%s/w", w.source);
        assert_int_equal(link(first, second), 0);
        solo_must_backup(&w);
        backup_while(&w, vanish, -1, 0);
        assert_int_equal(w.result.entries, 3);
        solo_expect_restored(&w);
        solo_fini(&w);
    }
}

static int move_directory_openat(int dir, const char *path, int flags, mode_t mode)
{
    if (strcmp(path, "inner") == 0 && !victim.fired) {
        victim.fired = true;
        assert_int_equal(rename(victim.path, victim.moved), 0);
    }
    return victim.real.openat(dir, path, flags, mode);
}

/* Its content was scanned and is gone; the directory itself stays, so that nothing hangs in the air. */
static void a_directory_that_is_moved_away_leaves_a_whole_snapshot(void **state)
{
    (void)state;
    struct solo w;
    solo_init(&w);
    DR_FREE char *dir = dr_strf("%s/victim", w.source);
    assert_int_equal(mkdir(dir, 0755), 0);
    solo_put(&w, "victim/inner", "inner");
    solo_put(&w, "victim/other", "other");
    solo_put(&w, "z", "last");
    aim(&w, NULL, -1, 0);
    sys.openat = move_directory_openat;
    solo_must_backup(&w);
    assert_true(victim.fired);
    rest();
    assert_true(w.result.warnings >= 1);
    solo_must_restore(&w);
    DR_FREE char *z = restored(&w, "z");
    assert_string_equal(z, "last");
    solo_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_vanishes_or_turns_into_something_else_is_left_out),
        cmocka_unit_test(what_grows_or_shrinks_is_stored_with_a_warning),
        cmocka_unit_test(a_large_file_that_became_small_is_stored_as_a_small_one),
        cmocka_unit_test(what_cannot_be_read_becomes_zeros_and_the_rest_is_kept),
        cmocka_unit_test(links_to_a_name_that_vanished_are_left_out_too),
        cmocka_unit_test(a_stored_name_of_several_that_vanished_begins_the_run_again),
        cmocka_unit_test(a_directory_that_is_moved_away_leaves_a_whole_snapshot),
    };
    return cmocka_run_group_tests_name("pipeline_change", tests, NULL, NULL);
}
