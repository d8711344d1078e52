/*
 * test_lease.c - one writer: who may hold a lease, for how long, and who never again.
 *
 * Time is a fake clock that moves only when somebody waits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/lease/bucket.h"
#include "dr/lease/lease.h"
#include "tests/support/fault.h"
#include "tests/support/site.h"

static char dir[64];
static int64_t now_ms;
static struct clock_ops real_clock;
static struct lease *renewing; /* renewed each time somebody waits: a living holder */

static int64_t late_ms;     /* each look at the clock takes so long ... */
static unsigned late_looks; /* ... so often */

static int64_t fake_ns(void)
{
    if (late_looks > 0) {
        late_looks--;
        now_ms += late_ms;
    }
    return now_ms * 1000000;
}

static void fake_pause(int64_t ms)
{
    struct dr_err err = { 0 };
    now_ms += ms;
    if (renewing != NULL)
        assert_int_equal(lease_renew(renewing, &err), DR_OK);
}

static struct lease_place place;
static bool in_bucket; /* every fact holds in both places */

static int open_bucket(void)
{
    struct dr_err err = { 0 };
    struct store *s = NULL;
    DR_FREE char *url = dr_strf("file://%s", dir);
    if (store_open_url("eu", "eu-west-1", url, &s, &err) != DR_OK)
        return -1;
    lease_bucket_place(s, &place);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    (void)snprintf(dir, sizeof(dir), "%s/dr-lease-XXXXXX", tmp != NULL ? tmp : "/tmp");
    real_clock = dr_clock;
    dr_clock = (struct clock_ops){ .wall_ns = fake_ns, .boot_ns = fake_ns };
    now_ms = 1000000;
    renewing = NULL;
    place = (struct lease_place){
        .path = dir, .hold_ms = 20000, .take_ms = 30000, .pause = fake_pause
    };
    if (mkdtemp(dir) == NULL)
        return -1;
    return in_bucket ? open_bucket() : 0;
}

static int teardown(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    lease_place_fini(&place);
    dr_clock = real_clock;
    return fs_remove_tree(dir, &err) != DR_OK;
}

static struct lease *acquire(const char *who, const char *region)
{
    struct dr_err err = { 0 };
    struct lease_wish wish = { .key = "writer/app", .holder = who, .region = region };
    struct lease *l = NULL;
    assert_int_equal(lease_acquire(&place, &wish, &l, &err), DR_OK);
    return l;
}

static enum dr_rc try_acquire(const char *who, const char *region, struct dr_err *err)
{
    struct lease_wish wish = { .key = "writer/app", .holder = who, .region = region };
    DR_CLEANUP(lease_free_ptr) struct lease *l = NULL;
    *err = (struct dr_err){ 0 };
    return lease_acquire(&place, &wish, &l, err);
}

static struct lease_fence fence_of(const char *region)
{
    return (struct lease_fence){ .key = "writer/app",
                                 .region = region,
                                 .margin_ms = 15000,
                                 .by = "R-31",
                                 .deadline_ms = now_ms + 120000 };
}

static void a_free_lease_is_taken_and_epochs_only_grow(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    for (int64_t epoch = 1; epoch <= 3; epoch++) {
        DR_CLEANUP(lease_free_ptr) struct lease *l = acquire("a", "us");
        assert_int_equal(l->epoch, epoch);
        assert_int_equal(lease_left_ms(l), 20000);
        assert_int_equal(lease_release(l, &err), DR_OK);
        assert_true(lease_left_ms(l) <= 0);
    }
}

static void a_living_holder_is_left_alone(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *a = acquire("a", "us");
    renewing = a;
    assert_int_equal(try_acquire("b", "eu", &err), DR_E_BUSY);
    assert_non_null(strstr(err.msg, "held by a"));
    assert_true(lease_left_ms(a) > 0);
}

static void a_dead_holder_is_taken_after_take_and_then_refused(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *a = acquire("a", "us");
    int64_t begin = now_ms;
    DR_CLEANUP(lease_free_ptr) struct lease *b = acquire("b", "eu");
    assert_true(now_ms - begin >= 30000);
    assert_int_equal(b->epoch, a->epoch + 1);
    assert_true(lease_left_ms(a) <= 0); /* it stopped believing before b began */
    assert_int_equal(lease_renew(a, &err), DR_E_REFUSED);
    assert_int_equal(lease_release(a, &err), DR_OK); /* and harms nobody */
    assert_int_equal(lease_renew(b, &err), DR_OK);
}

static void a_holder_that_slept_past_hold_does_not_wake_into_its_lease(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *a = acquire("a", "us");
    now_ms += 20000 + 70;
    assert_int_equal(lease_renew(a, &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "could not be renewed for 20070 ms, 70 ms too long"));
    assert_non_null(strstr(err.msg, "nobody else"));
    assert_int_equal(lease_renew(a, &err), DR_E_REFUSED); /* for good */
}

static void two_processes_of_one_name_are_two(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *a = acquire("a", "us");
    DR_CLEANUP(lease_free_ptr) struct lease *b = acquire("a", "us");
    assert_int_equal(lease_renew(a, &err), DR_E_REFUSED);
    assert_int_equal(lease_renew(b, &err), DR_OK);
}

static void a_fenced_region_is_refused_for_good(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *old = acquire("old", "us");
    struct lease_fence f = fence_of("us");
    struct lease_record r = { 0 };
    int64_t begin = now_ms;
    assert_int_equal(lease_fence(&place, &f, &r, &err), DR_OK);
    assert_true(now_ms - begin >= 45000);
    assert_int_equal(r.epoch, 2);
    assert_string_equal(r.holder, "R-31");
    assert_int_equal(lease_holders(&r), 1);
    lease_record_fini(&r);

    assert_int_equal(lease_renew(old, &err), DR_E_REFUSED);
    assert_int_equal(try_acquire("old", "us", &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "'us' is fenced"));
    assert_non_null(strstr(err.msg, "R-31"));
    now_ms += 10000000;
    assert_int_equal(try_acquire("old", "us", &err), DR_E_REFUSED);
    assert_int_equal(try_acquire("eu", "eu", &err), DR_E_BUSY); /* not granted yet */

    begin = now_ms;
    f.deadline_ms = now_ms;
    assert_int_equal(lease_fence(&place, &f, &r, &err), DR_OK); /* again: nothing to do */
    assert_int_equal(now_ms, begin);
    lease_record_fini(&r);
}

static void a_writer_that_still_renews_cannot_be_fenced_by_waiting(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *old = acquire("old", "us");
    renewing = old;
    struct lease_fence f = fence_of("us");
    struct lease_record r = { 0 };
    assert_int_equal(lease_fence(&place, &f, &r, &err), DR_E_BUSY);
    assert_non_null(strstr(err.msg, "still renewed by old"));
    assert_int_equal(lease_renew(old, &err), DR_OK);
}

static void a_lease_that_nobody_held_proves_nothing(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct lease_fence f = fence_of("us");
    struct lease_record r = { 0 };
    assert_int_equal(lease_fence(&place, &f, &r, &err), DR_E_NOTFOUND);
}

static void a_grant_lets_the_target_in_at_once_and_nobody_else(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *old = acquire("old", "us");
    struct lease_fence f = fence_of("us");
    struct lease_record r = { 0 };
    int64_t granted = 0;
    assert_int_equal(lease_grant(&place, "writer/app", "eu", &granted, &err), DR_E_BUSY);
    assert_int_equal(lease_fence(&place, &f, &r, &err), DR_OK);
    lease_record_fini(&r);
    assert_int_equal(lease_grant(&place, "writer/app", "us", &granted, &err), DR_E_REFUSED);
    assert_int_equal(lease_grant(&place, "writer/app", "eu", &granted, &err), DR_OK);
    assert_int_equal(granted, 3);
    assert_int_equal(lease_grant(&place, "writer/app", "eu", &granted, &err), DR_OK);
    assert_int_equal(granted, 3);
    assert_int_equal(try_acquire("ap", "ap", &err), DR_E_BUSY);
    assert_int_equal(try_acquire("old", "us", &err), DR_E_REFUSED);
    int64_t begin = now_ms;
    DR_CLEANUP(lease_free_ptr) struct lease *eu = acquire("eu", "eu");
    assert_int_equal(now_ms, begin);
    assert_int_equal(eu->epoch, 4);
    assert_int_equal(lease_grant(&place, "writer/app", "eu", &granted, &err), DR_OK);
    assert_int_equal(lease_renew(eu, &err), DR_OK);
}

static void revoke_takes_a_grant_back_and_lift_lets_the_old_region_in(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *old = acquire("old", "us");
    struct lease_fence f = fence_of("us");
    struct lease_record r = { 0 };
    int64_t granted = 0;
    assert_int_equal(lease_fence(&place, &f, &r, &err), DR_OK);
    lease_record_fini(&r);
    assert_int_equal(lease_grant(&place, "writer/app", "eu", &granted, &err), DR_OK);
    DR_CLEANUP(lease_free_ptr) struct lease *eu = acquire("eu", "eu");
    struct lease_fence back = fence_of("eu");
    renewing = eu;
    assert_int_equal(lease_revoke(&place, &back, &err), DR_E_BUSY);
    renewing = NULL;
    back.deadline_ms = now_ms + 120000;
    assert_int_equal(lease_revoke(&place, &back, &err), DR_OK);
    assert_int_equal(lease_renew(eu, &err), DR_E_REFUSED);
    assert_int_equal(lease_lift(&place, "writer/app", "us", "R-31", &err), DR_OK);
    DR_CLEANUP(lease_free_ptr) struct lease *again = acquire("old", "us");
    assert_true(again->epoch > eu->epoch);
}

static void fencing_a_region_leaves_the_holder_of_another_alone(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *eu = acquire("eu", "eu");
    struct lease_fence f = fence_of("us");
    struct lease_record r = { 0 };
    int64_t begin = now_ms;
    assert_int_equal(lease_fence(&place, &f, &r, &err), DR_OK);
    lease_record_fini(&r);
    assert_int_equal(now_ms, begin);
    assert_int_equal(lease_renew(eu, &err), DR_OK);
    assert_int_equal(try_acquire("old", "us", &err), DR_E_REFUSED);
}

static void keys_keep_their_slashes_and_never_leave_the_directory(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    static const char *const keys[] = { "../../etc/x", "run", "writer/app" };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++) {
        struct lease_wish wish = { .key = keys[i], .holder = "a" };
        DR_CLEANUP(lease_free_ptr) struct lease *l = NULL;
        assert_int_equal(lease_acquire(&place, &wish, &l, &err), DR_OK);
    }
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    assert_int_equal(lease_keys(&place, &all, &err), DR_OK);
    DR_FREE char *joined = text_list_join(&all, " ");
    assert_string_equal(joined, "../../etc/x run writer/app");
}

static void a_damaged_record_is_never_a_free_lease(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *a = acquire("a", "us");
    DR_FREE char *folder = dr_strf("%s%s", dir, in_bucket ? "/leases" : "");
    const char *name = in_bucket ? "writer_2fapp" : "writer%2Fapp.lease";
    assert_int_equal(fs_replace(folder, name, "{", 1, &err), DR_OK);
    assert_int_equal(try_acquire("b", "eu", &err), DR_E_CORRUPT);
}

/* Deaths at any call: the record stays readable, its epoch never falls, and it can be taken. */
static void epochs_survive_every_fault_and_death(void **state)
{
    (void)state;
    int64_t epoch = 0;
    for (int kind = FAULT_ERRNO; kind <= FAULT_DIE_AFTER; kind++) {
        bool fired = true;
        for (unsigned n = 1; fired && n < 200; n++) {
            pid_t pid = fork();
            if (pid == 0) {
                struct dr_err err = { 0 };
                struct lease_wish wish = { .key = "writer/app", .holder = "child", .region = "eu" };
                DR_CLEANUP(lease_free_ptr) struct lease *l = NULL;
                fault_arm((enum fault_kind)kind, n);
                enum dr_rc rc = lease_acquire(&place, &wish, &l, &err);
                if (rc == DR_OK)
                    rc = lease_release(l, &err);
                _exit(fault_disarm() ? 1 : (rc == DR_OK ? 0 : 2));
            }
            int status = 0;
            assert_int_equal(waitpid(pid, &status, 0), pid);
            fired = WEXITSTATUS(status) != 0;
            DR_CLEANUP(lease_free_ptr) struct lease *l = acquire("after", "eu");
            struct dr_err err = { 0 };
            assert_true(l->epoch > epoch);
            epoch = l->epoch;
            assert_int_equal(lease_release(l, &err), DR_OK);
        }
        assert_false(fired);
    }
}

/* One operation on a lease that "old" in us holds, with a fake clock that any wait moves on. */
static enum dr_rc operate(int which, struct dr_err *err)
{
    struct lease_fence f = fence_of("us");
    struct lease_fence back = fence_of("eu");
    f.margin_ms = back.margin_ms = 0; /* fewer looks, so fewer calls to sweep */
    DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *l = NULL;
    struct lease_wish wish = { .key = "writer/app", .holder = "new", .region = "eu" };
    int64_t epoch = 0;
    switch (which) {
    case 0:
        return lease_fence(&place, &f, &r, err);
    case 1:
        return lease_grant(&place, "writer/app", "eu", &epoch, err);
    case 2:
        return lease_revoke(&place, &back, err);
    case 3:
        return lease_grant(&place, "writer/app", "eu", &epoch, err);
    case 4:
        DR_TRY(lease_acquire(&place, &wish, &l, err));
        return lease_renew(l, err);
    default:
        return lease_lift(&place, "writer/app", "us", "R-31", err);
    }
}

/*
 * A whole recovery, with each call of each operation failing, short, or the last before death.
 * Whatever happened: once fenced the old region stays out, at most one may write, the epoch
 * never falls, and the same operation done again succeeds.
 */
static void a_recovery_survives_every_fault_and_death_of_each_operation(void **state)
{
    enum { OPERATIONS = 6 };
    for (int kind = FAULT_ERRNO; kind <= FAULT_DIE_AFTER; kind++)
        for (int which = 0; which < OPERATIONS; which++) {
            int status = 99 << 8;
            for (unsigned n = 1; WEXITSTATUS(status) == 99 && n < 200; n++) {
                struct dr_err err = { 0 };
                assert_int_equal(teardown(state), 0);
                assert_int_equal(setup(state), 0);
                place.hold_ms = 2000;
                place.take_ms = 3000;
                DR_CLEANUP(lease_free_ptr) struct lease *old = acquire("old", "us");
                for (int done = 0; done < which; done++)
                    assert_int_equal(operate(done, &err), DR_OK);
                DR_CLEANUP(lease_record_fini) struct lease_record before = { 0 };
                assert_int_equal(lease_read(&place, "writer/app", &before, &err), DR_OK);
                pid_t pid = fork();
                if (pid == 0) {
                    fault_arm((enum fault_kind)kind, n);
                    enum dr_rc rc = operate(which, &err);
                    _exit(fault_disarm() ? 99 : (rc == DR_OK ? 0 : 1));
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFEXITED(status));
                DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
                assert_int_equal(lease_read(&place, "writer/app", &r, &err), DR_OK);
                assert_true(r.epoch >= before.epoch);
                assert_true(lease_holders(&r) <= 1);
                if (which > 0 && which < OPERATIONS - 1)
                    assert_int_equal(try_acquire("old", "us", &err), DR_E_REFUSED);
                err = (struct dr_err){ 0 };
                assert_int_equal(operate(which, &err), DR_OK);
            }
            assert_int_equal(WEXITSTATUS(status), 0);
        }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* -- a place that is slow --------------------------------------------------------------------------- */

/* It stands in the record, but nobody may believe in it; it is ours, so that nobody has to be waited for. */
static void a_grant_that_came_too_late_is_taken_again_at_once(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *l = NULL;
    const struct lease_wish wish = { .key = "slow", .holder = "a" };
    late_ms = place.hold_ms;
    late_looks = 3;
    int64_t from = now_ms;
    assert_int_equal(lease_acquire(&place, &wish, &l, &err), DR_OK);
    assert_true(l->epoch > 1);
    assert_true(lease_left_ms(l) > 0);
    assert_true(now_ms - from < 3 * place.hold_ms + place.take_ms);
    late_looks = 0;
}

static void a_place_that_is_always_too_slow_is_given_up(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct lease *l = NULL;
    const struct lease_wish wish = { .key = "slow", .holder = "a" };
    late_ms = place.hold_ms;
    late_looks = 1000;
    assert_int_equal(lease_acquire(&place, &wish, &l, &err), DR_E_TIMEOUT);
    late_looks = 0;
    assert_non_null(strstr(err.msg, "each time too late to believe in"));
    assert_null(l);
}

int main(void)
{
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        TEST(a_free_lease_is_taken_and_epochs_only_grow),
        TEST(a_living_holder_is_left_alone),
        TEST(a_dead_holder_is_taken_after_take_and_then_refused),
        TEST(a_holder_that_slept_past_hold_does_not_wake_into_its_lease),
        TEST(two_processes_of_one_name_are_two),
        TEST(a_fenced_region_is_refused_for_good),
        TEST(a_writer_that_still_renews_cannot_be_fenced_by_waiting),
        TEST(a_lease_that_nobody_held_proves_nothing),
        TEST(a_grant_lets_the_target_in_at_once_and_nobody_else),
        TEST(revoke_takes_a_grant_back_and_lift_lets_the_old_region_in),
        TEST(fencing_a_region_leaves_the_holder_of_another_alone),
        TEST(keys_keep_their_slashes_and_never_leave_the_directory),
        TEST(a_damaged_record_is_never_a_free_lease),
        TEST(a_grant_that_came_too_late_is_taken_again_at_once),
        TEST(a_place_that_is_always_too_slow_is_given_up),
        TEST(epochs_survive_every_fault_and_death),
        TEST(a_recovery_survives_every_fault_and_death_of_each_operation),
    };
    int failed = cmocka_run_group_tests_name("file", tests, NULL, NULL);
    in_bucket = true;
    return failed + cmocka_run_group_tests_name("bucket", tests, NULL, NULL);
}
