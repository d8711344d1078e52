/*
 * Stores: a directory keeps every promise of store.h, through every fault of the kernel.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "tests/support/fault.h"
#include "tests/support/faultstore.h"
#include "tests/support/storetest.h"

static char *top; /* fresh for each test */

static int make_top(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    top = dr_strf("%s/test_store.XXXXXX", tmp != NULL ? tmp : "/tmp");
    return mkdtemp(top) != NULL ? 0 : -1;
}

static int drop_top(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    enum dr_rc rc = fs_remove_tree(top, &err);
    free(top);
    return rc == DR_OK ? 0 : -1;
}

static struct store *open_top(void)
{
    struct dr_err err = { 0 };
    struct store *s = NULL;
    DR_FREE char *url = dr_strf("file://%s", top);
    assert_int_equal(store_open_url("eu", "eu-west-1", url, &s, &err), DR_OK);
    return s;
}

static void empty_top(void)
{
    struct dr_err err = { 0 };
    assert_int_equal(fs_remove_tree(top, &err), DR_OK);
    assert_int_equal(mkdir(top, 0700), 0);
}

static int unfinished_puts(void)
{
    int count = 0;
    DIR *d = opendir(top);
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe): own stream */
        count += strncmp(e->d_name, ".put-", 5) == 0;
    closedir(d);
    return count;
}

static void directory_conforms(void **state)
{
    (void)state;
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    assert_string_equal(s->name, "eu");
    assert_string_equal(s->region, "eu-west-1");
    storetest_conforms(s);
    assert_int_equal(unfinished_puts(), 0);
}

static void wrapper_counts_and_fails(void **state)
{
    (void)state;
    DR_CLEANUP(store_close_ptr) struct store *s = faultstore_new(open_top());
    unsigned puts = faultstore_calls(s, FAULTSTORE_PUT);
    struct dr_err err = { 0 };
    faultstore_fail(s, FAULTSTORE_PUT, 2, DR_E_NOSPACE);
    assert_int_equal(store_put(s, "a", "x", 1, &err), DR_OK);
    assert_int_equal(store_put(s, "b", "x", 1, &err), DR_E_NOSPACE);
    assert_int_equal(store_put(s, "b", "x", 1, &err), DR_OK);
    assert_int_equal(faultstore_calls(s, FAULTSTORE_PUT), puts + 3);
    faultstore_fail_from(s, FAULTSTORE_ANY, 1, DR_E_TRANSIENT);
    uint64_t size;
    assert_int_equal(store_head(s, "a", &size, &err), DR_E_TRANSIENT);
    assert_int_equal(store_remove(s, "a", &err), DR_E_TRANSIENT);
    faultstore_fail(s, FAULTSTORE_ANY, 0, DR_OK);
    faultstore_flip(s, "a", 0);
    char byte = 0;
    assert_int_equal(store_get(s, "a", 0, 1, &byte, &err), DR_OK);
    assert_int_not_equal(byte, 'x');
}

static void missing_directory_is_told_with_a_hint(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct store *s = NULL;
    DR_FREE char *url = dr_strf("file://%s/absent", top);
    assert_int_equal(store_open_url("us", NULL, url, &s, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "bucket 'us'"));
    assert_non_null(strstr(err.hint, "absent"));
    assert_int_equal(store_open_url("us", NULL, "ftp://x/y", &s, &err), DR_E_CONFIG);
    assert_int_equal(store_open_url("us", NULL, "file://x/y", &s, &err), DR_E_CONFIG);
    assert_non_null(strstr(err.hint, "three slashes"));
    assert_null(s);
}

/* The errno of the kernel's own refusal, on each call that a put makes. */
static void assert_put_refused(int errnum, enum dr_rc expected, const char *hint)
{
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    fault_errno = errnum;
    unsigned seen = 0;
    for (unsigned n = 1; n < 100; n++) {
        struct dr_err err = { 0 };
        fault_arm(FAULT_ERRNO, n);
        enum dr_rc rc = store_put(s, "packs/full", "some bytes", 10, &err);
        bool fired = fault_disarm();
        if (rc == expected) {
            seen++;
            assert_non_null(strstr(err.msg, "bucket 'eu'"));
            assert_non_null(strstr(err.msg, "packs/full"));
            assert_non_null(strstr(err.hint, hint));
        }
        assert_int_equal(store_remove(s, "packs/full", &err), DR_OK);
        if (!fired)
            break;
    }
    fault_errno = EIO;
    assert_in_range(seen, 4, 100);
}

static void full_and_read_only_buckets_are_told_with_a_hint(void **state)
{
    (void)state;
    assert_put_refused(ENOSPC, DR_E_NOSPACE, "Free space");
    assert_put_refused(EROFS, DR_E_DENIED, "read-write");
}

static void read_only_directory_refuses(void **state)
{
    (void)state;
    if (geteuid() == 0) /* root writes wherever it wants: EROFS above stands for it */
        return;
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    assert_int_equal(chmod(top, 0500), 0);
    struct dr_err err = { 0 };
    assert_int_equal(store_put(s, "a", "x", 1, &err), DR_E_DENIED);
    assert_non_null(strstr(err.hint, "read-write"));
    assert_int_equal(chmod(top, 0700), 0);
}

static const char bytes[] = "the bytes of one object, all or none of them";

/* What was put is whole or not there. */
static void assert_whole_or_absent(bool must_be_there)
{
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_true(names.count <= 1);
    if (must_be_there)
        assert_int_equal(names.count, 1);
    if (names.count == 0)
        return;
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(store_get_all(s, "packs/aa/bb", 1000, &b, &err), DR_OK);
    assert_string_equal(b.data, bytes);
}

/* A file without a name that holds the bytes; where the file system has none, one that lost its name. */
static int unnamed(bool *ret_linkable)
{
    DR_FREE char *path = dr_strf("%s/.unnamed", top);
    int fd = open(top, O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);
    *ret_linkable = fd >= 0;
    if (fd < 0) {
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
    return fd;
}

/* fd: the file, too; or -1 */
static enum dr_rc put_it(struct store *s, int fd)
{
    struct dr_err err = { 0 };
    const struct store_file file = { .fd = fd, .data = bytes, .len = strlen(bytes) };
    return store_put_file(s, "packs/aa/bb", &file, &err);
}

static enum dr_rc open_and_put(int fd)
{
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    return put_it(s, fd);
}

static void second_put_succeeds(void)
{
    enum dr_rc rc = open_and_put(-1);
    assert_true(rc == DR_OK || rc == DR_E_EXISTS);
    assert_whole_or_absent(true);
    if (rc == DR_OK)
        assert_int_equal(unfinished_puts(), 0);
}

static void assert_survives_every_failing_call(bool by_file)
{
    const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool fired = true;
        for (unsigned n = 1; fired; n++) {
            assert_true(n < 100);
            empty_top();
            bool linkable;
            DR_CLEANUP(store_close_ptr) struct store *s = open_top();
            DR_CLEANUP(dr_close_fd) int fd = by_file ? unnamed(&linkable) : -1;
            fault_arm(kinds[k], n);
            enum dr_rc rc = put_it(s, fd);
            fired = fault_disarm();
            assert_int_equal(fault_open_fds(), 0);
            assert_whole_or_absent(rc == DR_OK);
            second_put_succeeds();
        }
    }
}

static void put_survives_every_failing_call(void **state)
{
    (void)state;
    assert_survives_every_failing_call(false);
    assert_survives_every_failing_call(true);
}

static void assert_survives_death_at_every_call(bool by_file)
{
    const enum fault_kind kinds[] = { FAULT_DIE_BEFORE, FAULT_DIE_AFTER };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        int status = 99 << 8;
        for (unsigned n = 1; WEXITSTATUS(status) == 99; n++) {
            assert_true(n < 100);
            empty_top();
            bool linkable;
            DR_CLEANUP(dr_close_fd) int fd = by_file ? unnamed(&linkable) : -1;
            pid_t pid = fork();
            if (pid == 0) {
                fault_arm(kinds[k], n);
                _exit(open_and_put(fd) == DR_OK ? 0 : 1);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_whole_or_absent(false);
            second_put_succeeds();
        }
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void put_survives_death_at_every_call(void **state)
{
    (void)state;
    assert_survives_death_at_every_call(false);
    assert_survives_death_at_every_call(true);
}

static struct stat stat_of(const char *name)
{
    struct stat st;
    DR_FREE char *path = dr_strf("%s/%s", top, name);
    assert_int_equal(stat(path, &st), 0);
    return st;
}

static enum dr_rc take_nothing(void *arg, size_t n, struct dr_err *err)
{
    (void)arg;
    (void)n;
    (void)err;
    return DR_OK;
}

/* In a bucket of another kind, or at a pace, the object is a copy: the same bytes, mode and owner. */
static void a_file_without_a_name_becomes_the_object_where_it_is_one_of_its_own(void **state)
{
    (void)state;
    static const struct store_pace pace = { .slice = 4096, .take = take_nothing };
    bool linkable;
    for (int kind = 0; kind < 3; kind++) {
        empty_top();
        DR_CLEANUP(store_close_ptr) struct store *s = open_top();
        DR_CLEANUP(dr_close_fd) int fd = unnamed(&linkable);
        DR_FREE char *folder = dr_strf("%s/packs/aa", top);
        struct stat before, copy;
        struct dr_err err = { 0 };
        assert_int_equal(fs_make_dirs(folder, 0750, &err), DR_OK);
        assert_int_equal(chmod(folder, kind == 1 ? 02750 : 0750), 0);
        s->pace = kind == 2 ? &pace : NULL;
        assert_int_equal(fstat(fd, &before), 0);
        assert_int_equal(put_it(s, fd), DR_OK);
        struct stat after = stat_of("packs/aa/bb");
        assert_int_equal(after.st_ino == before.st_ino, linkable && kind == 0);
        assert_int_equal(after.st_nlink, 1);
        assert_whole_or_absent(true);
        assert_int_equal(put_it(s, fd), DR_E_EXISTS);
        assert_int_equal(store_put(s, "copy", "x", 1, &err), DR_OK);
        copy = stat_of("copy");
        assert_int_equal(after.st_mode, copy.st_mode);
        assert_int_equal(after.st_uid, copy.st_uid);
    }
}

static void a_file_is_synced_before_and_after_it_has_its_name(void **state)
{
    (void)state;
    bool linkable;
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    DR_CLEANUP(dr_close_fd) int fd = unnamed(&linkable);
    struct dr_err err = { 0 };
    assert_int_equal(store_put(s, "packs/aa/first", "x", 1, &err), DR_OK); /* sweeps leftovers */
    fault_arm(FAULT_NONE, 0);
    assert_int_equal(put_it(s, fd), DR_OK);
    fault_disarm();
    if (linkable)
        assert_string_equal(fault_trace(), "mkdirat mkdirat openat2 close fsync linkat fsync "
                                           "openat2 fsync close openat2 fsync close "
                                           "openat2 fsync close ");
    else
        assert_non_null(strstr(fault_trace(), "write fsync renameat2"));
}

static void put_syncs_bytes_before_and_folders_after_the_rename(void **state)
{
    (void)state;
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    struct dr_err err = { 0 };
    assert_int_equal(store_put(s, "first", "x", 1, &err), DR_OK); /* sweeps leftovers */
    fault_arm(FAULT_NONE, 0);
    assert_int_equal(store_put(s, "packs/x", "x", 1, &err), DR_OK);
    fault_disarm();
    assert_string_equal(fault_trace(), "mkdirat openat write fsync renameat2 close "
                                       "openat2 fsync close openat2 fsync close ");
}

static void leftovers_are_invisible_and_only_dead_ones_go(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_int_equal(fs_replace(top, ".put-dead", "half", 4, &err), DR_OK);
    assert_int_equal(fs_replace(top, ".put-alive", "half", 4, &err), DR_OK);
    DR_FREE char *alive = dr_strf("%s/.put-alive", top);
    DR_CLEANUP(dr_close_fd) int fd = sys_open(alive, O_RDONLY | O_CLOEXEC, 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);

    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 0);
    assert_int_equal(store_put(s, "a", "x", 1, &err), DR_OK);
    assert_int_equal(unfinished_puts(), 1);
    assert_int_equal(access(alive, F_OK), 0);
}

static void links_and_strangers_are_no_objects(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_FREE char *link = dr_strf("%s/link", top);
    DR_FREE char *outside = dr_strf("%s/out", top);
    assert_int_equal(symlink("/etc/hostname", link), 0);
    assert_int_equal(symlink("/", outside), 0);
    assert_int_equal(fs_replace(top, "README.TXT", "hello", 5, &err), DR_OK);
    DR_CLEANUP(store_close_ptr) struct store *s = open_top();
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_int_equal(store_list(s, "", &names, &err), DR_OK);
    assert_int_equal(names.count, 0);
    char byte;
    assert_int_not_equal(store_get(s, "link", 0, 1, &byte, &err), DR_OK);
    assert_int_not_equal(store_get(s, "out/etc/hostname", 0, 1, &byte, &err), DR_OK);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, make_top, drop_top)
    const struct CMUnitTest tests[] = {
        FRESH(directory_conforms),
        FRESH(wrapper_counts_and_fails),
        FRESH(missing_directory_is_told_with_a_hint),
        FRESH(full_and_read_only_buckets_are_told_with_a_hint),
        FRESH(read_only_directory_refuses),
        FRESH(put_survives_every_failing_call),
        FRESH(put_survives_death_at_every_call),
        FRESH(a_file_without_a_name_becomes_the_object_where_it_is_one_of_its_own),
        FRESH(a_file_is_synced_before_and_after_it_has_its_name),
        FRESH(put_syncs_bytes_before_and_folders_after_the_rename),
        FRESH(leftovers_are_invisible_and_only_dead_ones_go),
        FRESH(links_and_strangers_are_no_objects),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
