/*
 * test_sentinel.c - the line that says how old a tree is: written whole or not at all, never over what is not ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/sentinel.h"
#include "backup/work/source_lock.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/data/time.h"
#include "tests/support/fault.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/dr-sentinel-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

static enum dr_rc put(const char *nonce, struct sentinel *ret, struct dr_err *err)
{
    const struct sentinel_wish wish = {
        .root = dir, .file = "time", .site = "us-east-1", .nonce = nonce
    };
    return sentinel_write(&wish, ret, err);
}

static struct sentinel put_well(const char *nonce)
{
    struct dr_err err = { 0 };
    struct sentinel s = { .seq = 0 };
    if (put(nonce, &s, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return s;
}

static struct sentinel get(void)
{
    struct dr_err err = { 0 };
    struct sentinel s = { .seq = 0 };
    if (sentinel_read(dir, "time", &s, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return s;
}

static char *path_of(const char *name)
{
    return dr_strf("%s/%s", dir, name);
}

static void fill(const char *name, const char *text)
{
    struct dr_err err = { 0 };
    assert_int_equal(fs_replace(dir, name, text, strlen(text), &err), DR_OK);
}

/* ---- the line -------------------------------------------------------------------------------------- */

static void a_line_has_the_time_first_and_its_words(void **state)
{
    (void)state;
    static const char *const good[] = {
        "2026-11-21T03:07:51.250Z seq=1 site=us-east-1\n",
        "2026-11-21T03:07:51.250Z seq=9223372036854775806 site=-",
        "2026-11-21T03:07:51Z seq=7 site=eu nonce=7c2f-9\n",
    };
    static const char *const bad[] = {
        "",
        "\n",
        "hello\n",
        "2026-11-21T03:07:51.250Z\n",
        "2026-11-21T03:07:51.250Z seq=5 manifest=abc\n",
        "2026-11-21T03:07:51.250Z seq=0 site=us\n",
        "2026-11-21T03:07:51.250Z seq=x site=us\n",
        "2026-11-21T03:07:51.250Z seq=1 site=\n",
        "2026-11-21T03:07:51.250Z seq=1 site=us nonce=\n",
        "2026-11-21T03:07:51.250Z seq=1 site=us more=1\n",
        "2026-11-21T03:07:51.250Z seq=1 site=us\nsecond\n",
        "yesterday seq=1 site=us\n",
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(good); i++) {
        struct sentinel s;
        if (!sentinel_parse(good[i], &s))
            fail_msg("%s", good[i]);
    }
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        struct sentinel s;
        if (sentinel_parse(bad[i], &s))
            fail_msg("%s", bad[i]);
    }
}

static void each_one_is_the_next_of_the_one_before(void **state)
{
    (void)state;
    int64_t before_ns = clock_wall_ns();
    struct sentinel first = put_well(NULL), second = put_well(NULL), there = get();
    assert_int_equal(first.seq, 1);
    assert_int_equal(second.seq, 2);
    assert_int_equal(there.seq, 2);
    assert_string_equal(there.site, "us-east-1");
    assert_string_equal(there.nonce, "");
    assert_int_equal(there.time_ns, second.time_ns);
    assert_true(first.time_ns > before_ns - 1000000 && first.time_ns <= clock_wall_ns());
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_FREE char *path = path_of("time");
    struct dr_err err = { 0 };
    assert_int_equal(fs_read_file(path, 4096, &text, &err), DR_OK);
    assert_int_equal(text.data[23], 'Z'); /* with milliseconds */
}

/* ---- what is in the way ---------------------------------------------------------------------------- */

static void refused(const char *why)
{
    struct dr_err err = { 0 };
    struct sentinel s;
    assert_int_equal(put(NULL, &s, &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, why));
    assert_int_equal(put("abc", &s, &err), DR_E_REFUSED);
}

static void what_is_none_of_ours_is_left_as_it_is(void **state)
{
    (void)state;
    DR_FREE char *path = path_of("time");
    struct stat st;
    assert_int_equal(symlink("elsewhere", path), 0);
    refused("a link");
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    refused("a directory");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused("no file");
    assert_int_equal(unlink(path), 0);
    fill("time", "the only copy of something\n");
    refused("no sentinel of ours");
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(fs_read_file(path, 4096, &text, &err), DR_OK);
    assert_string_equal(text.data, "the only copy of something\n");
}

static void no_link_is_followed_on_the_way(void **state)
{
    (void)state;
    DR_FREE char *inner = path_of("inner"), *outer = path_of("outer"), *link = path_of("inner/up");
    struct dr_err err = { 0 };
    struct sentinel s;
    assert_int_equal(mkdir(inner, 0755), 0);
    assert_int_equal(mkdir(outer, 0755), 0);
    assert_int_equal(symlink("../outer", link), 0);
    static const char *const files[] = { "up/time", "../time", "nowhere/time" };
    for (size_t i = 0; i < DR_ARRAY_LEN(files); i++) {
        const struct sentinel_wish wish = { .root = inner, .file = files[i] };
        assert_int_not_equal(sentinel_write(&wish, &s, &err), DR_OK);
    }
    DR_FREE char *there = path_of("outer/time"), *beside = path_of("time");
    assert_int_not_equal(access(there, F_OK), 0);
    assert_int_not_equal(access(beside, F_OK), 0);
}

/* ---- those that stay ------------------------------------------------------------------------------- */

static void what_a_drill_planted_stays_until_another_is_planted(void **state)
{
    (void)state;
    (void)put_well(NULL);
    struct sentinel planted = put_well("7c2f9e01");
    assert_string_equal(planted.nonce, "7c2f9e01");
    struct sentinel after = put_well(NULL);
    assert_true(after.left_alone);
    assert_string_equal(get().nonce, "7c2f9e01");
    assert_int_equal(put_well("0b1c").seq, 3);
    char when[TIME_TEXT_MAX]; /* one that is older than a drill takes */
    DR_FREE char *line =
        dr_strf("%s seq=9 site=us nonce=old\n",
                time_print_s(clock_wall_ns() - (SENTINEL_PLANTED_MS + 60000) * 1000000LL, when));
    fill("time", line);
    assert_int_equal(put_well(NULL).seq, 10);
}

/* A restore gives a file its old time back. */
static void what_a_restore_brought_stays_for_whoever_compares_it(void **state)
{
    (void)state;
    DR_FREE char *path = path_of("time");
    struct sentinel before = put_well(NULL);
    assert_false(put_well(NULL).left_alone);
    struct timespec old[2] = { { .tv_sec = 1700000000 }, { .tv_sec = 1700000000 } };
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    struct sentinel after = put_well(NULL);
    assert_true(after.left_alone);
    assert_int_equal(get().seq, before.seq + 1);
    assert_int_equal(put_well("abc").seq, before.seq + 2);
}

/* ---- faults ---------------------------------------------------------------------------------------- */

static bool is_left(const char *name)
{
    DR_FREE char *path = path_of(name);
    return access(path, F_OK) == 0;
}

static void a_full_disk_leaves_the_old_line_and_nothing_beside_it(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct sentinel s;
    (void)put_well(NULL);
    fault_errno = ENOSPC;
    for (unsigned call = 1;; call++) {
        int64_t seq = get().seq;
        fault_arm(FAULT_ERRNO, call);
        enum dr_rc rc = put(NULL, &s, &err);
        if (!fault_disarm())
            break;
        assert_true(rc == DR_OK ? get().seq == seq + 1 : get().seq >= seq);
        assert_int_equal(fault_open_fds(), 0);
        assert_true(call < 100);
    }
    fault_errno = EIO;
    assert_false(is_left(".time.drctl"));
}

static void death_at_every_call_leaves_the_old_line_or_the_new(void **state)
{
    (void)state;
    static const enum fault_kind kinds[] = { FAULT_DIE_BEFORE, FAULT_DIE_AFTER };
    (void)put_well(NULL);
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++)
        for (unsigned call = 1;; call++) {
            int64_t seq = get().seq;
            int status;
            pid_t pid = fork();
            if (pid == 0) {
                struct dr_err err = { 0 };
                struct sentinel s;
                fault_arm(kinds[k], call);
                _exit(put(NULL, &s, &err) == DR_OK ? 0 : 1);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            int64_t now = get().seq;
            assert_true(now == seq || now == seq + 1);
            assert_int_equal(put_well(NULL).seq, now + 1);
            assert_false(is_left(".time.drctl"));
            assert_true(call < 100);
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                break;
        }
}

/* ---- the lock -------------------------------------------------------------------------------------- */

static void a_source_is_locked_by_one_process_and_let_go_by_its_death(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    int ends[2], fd = -1;
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int held = -1;
        char done = source_lock(dir, "app", &held, &err) == DR_OK ? 'y' : 'n';
        (void)!write(ends[1], &done, 1);
        (void)alarm(120);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    DR_FREE char *who = dr_strf("process %d", (int)pid);
    assert_int_equal(source_lock(dir, "app", &fd, &err), DR_E_BUSY);
    assert_non_null(strstr(err.msg, who));
    assert_int_equal(source_lock(dir, "other", &fd, &err), DR_OK);
    dr_close_fd(&fd);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(source_lock(dir, "app", &fd, &err), DR_OK);
    dr_close_fd(&fd);
    close(ends[0]);
    close(ends[1]);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_the_time_first_and_its_words),
        IN_DIR(each_one_is_the_next_of_the_one_before),
        IN_DIR(what_is_none_of_ours_is_left_as_it_is),
        IN_DIR(no_link_is_followed_on_the_way),
        IN_DIR(what_a_drill_planted_stays_until_another_is_planted),
        IN_DIR(what_a_restore_brought_stays_for_whoever_compares_it),
        IN_DIR(a_full_disk_leaves_the_old_line_and_nothing_beside_it),
        IN_DIR(death_at_every_call_leaves_the_old_line_or_the_new),
        IN_DIR(a_source_is_locked_by_one_process_and_let_go_by_its_death),
    };
    return cmocka_run_group_tests_name("sentinel", tests, NULL, NULL);
}
