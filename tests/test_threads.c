/*
 * Threads: what the pipeline will share between its threads holds under them. Runs under TSan.
 *
 * The digest's algorithm is fetched by whoever comes first; a bucket takes puts of the same name from
 * many threads and lets exactly one of them win; log lines stay whole.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { THREADS = 8, OBJECTS = 40 };

static char dir[] = "/tmp/test_threads.XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

struct job {
    pthread_t thread;
    int number;
    struct store *store;
    int won, lost, wrong;
};

/* Asserting in a thread would leave cmocka in the wrong stack: jobs count, the test asserts. */
static void run_all(struct job jobs[THREADS], void *(*work)(void *), struct store *store)
{
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){ .number = i, .store = store };
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, work, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(jobs[i].thread, NULL), 0);
}

static void *hash_much(void *arg)
{
    struct job *job = arg;
    static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (int i = 0; i < 200; i++) {
        uint8_t digest[HASH_SIZE];
        char hex[HASH_HEX_SIZE];
        hash_bytes("abc", 3, digest);
        job->wrong += strcmp(hex_encode(digest, sizeof(digest), hex), abc) != 0;
    }
    return NULL;
}

static void digests_are_right_in_every_thread(void **state)
{
    (void)state;
    struct job jobs[THREADS];
    run_all(jobs, hash_much, NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].wrong, 0);
}

static void *put_all(void *arg)
{
    struct job *job = arg;
    for (int i = 0; i < OBJECTS; i++) {
        struct dr_err err = { 0 };
        DR_FREE char *name = dr_strf("packs/%02d/object", i);
        DR_FREE char *body = dr_strf("object %d", i);
        enum dr_rc rc = store_put(job->store, name, body, strlen(body), &err);
        job->won += rc == DR_OK;
        job->lost += rc == DR_E_EXISTS;
        job->wrong += rc != DR_OK && rc != DR_E_EXISTS;
        DR_CLEANUP(buf_fini) struct buf read = { 0 };
        rc = store_get_all(job->store, name, 100, &read, &err);
        job->wrong +=
            rc != DR_OK || read.len != strlen(body) || memcmp(read.data, body, read.len) != 0;
    }
    return NULL;
}

static void one_of_many_puts_of_a_name_wins(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_FREE char *url = dr_strf("file://%s", dir);
    DR_CLEANUP(store_close_ptr) struct store *store = NULL;
    assert_int_equal(store_open_url("b", "us-east-1", url, &store, &err), DR_OK);
    struct job jobs[THREADS];
    run_all(jobs, put_all, store);
    int won = 0;
    int lost = 0;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(jobs[i].wrong, 0);
        won += jobs[i].won;
        lost += jobs[i].lost;
    }
    assert_int_equal(won, OBJECTS);
    assert_int_equal(lost, OBJECTS * (THREADS - 1));
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_int_equal(store_list(store, "", &names, &err), DR_OK);
    assert_int_equal(names.count, OBJECTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_right_in_every_thread),
        cmocka_unit_test_setup_teardown(one_of_many_puts_of_a_name_wins, make_dir, drop_dir),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
