/*
 * Pool: items come back in order, whatever the threads do. Runs under TSan.
 *
 * Work of uneven length is done by 1, 2 and 8 threads, by none, and stopped in the middle.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/pool.h"

enum { SLOTS = 5, ITEMS = 2000 };

struct state { /* of one thread: nobody else writes it */
    uint64_t done;
};

struct item {
    unsigned number, rounds;
    uint64_t sum;
    pthread_t by;
};

struct seen {
    unsigned made, ended;
    uint64_t done;
};

static struct seen seen; /* written by start and stop: the owner's thread */

static void *start(void *arg)
{
    ((struct seen *)arg)->made++;
    return calloc(1, sizeof(struct state));
}

static void stop(void *state)
{
    seen.ended++;
    seen.done += ((struct state *)state)->done;
    free(state);
}

static void work(void *state, void *item)
{
    struct item *it = item;
    for (unsigned i = 0; i < it->rounds; i++)
        it->sum = it->sum * 31 + i + it->number;
    it->by = pthread_self();
    ((struct state *)state)->done++;
}

static struct pool *make(unsigned threads)
{
    struct dr_err err = { 0 };
    struct pool *p = NULL;
    seen = (struct seen){ 0 };
    struct pool_options o = {
        .threads = threads, .slots = SLOTS, .start = start, .work = work, .stop = stop, .arg = &seen
    };
    assert_int_equal(pool_new(&o, &p, &err), DR_OK);
    return p;
}

/* Uneven: each seventh item is a thousand times longer than its neighbours. */
static struct item item_of(unsigned number)
{
    return (struct item){ .number = number, .rounds = number % 7 == 0 ? 20000 : 20 };
}

static uint64_t pass_all(unsigned threads)
{
    struct pool *p = make(threads);
    struct item items[SLOTS];
    uint64_t hash = 0;
    unsigned given = 0, taken = 0;
    while (taken < ITEMS) {
        while (given < ITEMS && !pool_full(p)) {
            items[given % SLOTS] = item_of(given);
            pool_give(p, &items[given++ % SLOTS]);
        }
        const struct item *back = pool_take(p);
        assert_non_null(back);
        assert_int_equal(back->number, taken);
        hash = hash * 1000003 + back->sum;
        taken++;
    }
    assert_null(pool_take(p));
    pool_free(p);
    assert_int_equal(seen.made, threads == 0 ? 1 : threads);
    assert_int_equal(seen.ended, seen.made);
    assert_int_equal(seen.done, ITEMS);
    return hash;
}

static void items_come_back_in_order_with_any_number_of_threads(void **state)
{
    (void)state;
    uint64_t alone = pass_all(0);
    assert_true(pass_all(1) == alone);
    assert_true(pass_all(2) == alone);
    assert_true(pass_all(8) == alone);
}

static void without_threads_the_work_is_done_when_it_is_given(void **state)
{
    (void)state;
    struct pool *p = make(0);
    struct item it = item_of(1);
    assert_false(pool_ready(p));
    pool_give(p, &it);
    assert_true(it.sum != 0);
    assert_true(pthread_equal(it.by, pthread_self()));
    assert_true(pool_ready(p));
    assert_ptr_equal(pool_take(p), &it);
    pool_free(p);
}

static void the_ring_holds_what_it_says_and_no_more(void **state)
{
    (void)state;
    struct pool *p = make(2);
    struct item items[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++) {
        assert_false(pool_full(p));
        assert_int_equal(pool_count(p), i);
        items[i] = item_of(i);
        pool_give(p, &items[i]);
    }
    assert_true(pool_full(p));
    assert_ptr_equal(pool_take(p), &items[0]);
    assert_false(pool_full(p));
    pool_free(p);
}

static void ending_in_the_middle_joins_all_threads(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        struct pool *p = make(4);
        struct item items[SLOTS];
        for (unsigned k = 0; k < i % (SLOTS + 1); k++) {
            items[k] = item_of(k);
            pool_give(p, &items[k]);
        }
        pool_free(p);
        assert_int_equal(seen.ended, 4);
        assert_true(seen.done <= i % (SLOTS + 1));
    }
}

static sigset_t mask_seen;

static void look_at_mask(void *state, void *item)
{
    (void)state;
    (void)item;
    pthread_sigmask(SIG_SETMASK, NULL, &mask_seen);
}

static void threads_leave_signals_to_the_owner(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct pool *p = NULL;
    struct pool_options o = { .threads = 1, .slots = 1, .work = look_at_mask };
    sigset_t mine;
    int item;
    assert_int_equal(pool_new(&o, &p, &err), DR_OK);
    pool_give(p, &item);
    assert_ptr_equal(pool_take(p), &item);
    assert_int_equal(sigismember(&mask_seen, SIGTERM), 1);
    assert_int_equal(sigismember(&mask_seen, SIGUSR1), 1);
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_int_equal(sigismember(&mine, SIGTERM), 0);
    pool_free(p);
}

/* In a child, since the limit cannot be given back. No memory for a stack: no thread. */
static void threads_that_cannot_be_made_are_an_error(void **state)
{
    (void)state;
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct dr_err err = { 0 };
        struct pool *p = NULL;
        struct rlimit little = { 40 << 20, 40 << 20 };
        struct pool_options o = { .threads = 64, .slots = 1, .work = look_at_mask };
        if (setrlimit(RLIMIT_AS, &little) != 0)
            _exit(9);
        enum dr_rc rc = pool_new(&o, &p, &err);
        _exit(rc == DR_E_TRANSIENT && strstr(err.msg, "cannot start thread") != NULL ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_back_in_order_with_any_number_of_threads),
        cmocka_unit_test(without_threads_the_work_is_done_when_it_is_given),
        cmocka_unit_test(the_ring_holds_what_it_says_and_no_more),
        cmocka_unit_test(ending_in_the_middle_joins_all_threads),
        cmocka_unit_test(threads_leave_signals_to_the_owner),
        cmocka_unit_test(threads_that_cannot_be_made_are_an_error),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
