/*
 * Many threads, one S3 bucket: puts, gets, lists and swaps of one store at once. Runs under TSan.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/mem.h"
#include "tests/support/httpfault.h"

enum { THREADS = 6, OBJECTS = 20, ROUNDS = 10 };

static struct store *open_at(const struct httpfault *h, const char *bucket)
{
    const struct store_credentials keys = { .kind = "keys", .access_key = "A", .secret_key = "S" };
    DR_FREE char *url = dr_strf("s3://%s?endpoint=%s", bucket, httpfault_url(h));
    const struct store_options o = { .name = "eu", .url = url, .credentials = &keys };
    struct store *s = NULL;
    struct dr_err err = { 0 };
    assert_int_equal(store_open(&o, &s, &err), DR_OK);
    return s;
}

struct worker {
    pthread_t thread;
    struct store *store;
    int number;
    int failed; /* calls that gave what they should not */
    int won;
};

static void start(struct worker *w, struct store *s, void *(*run)(void *))
{
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){ .store = s, .number = i };
        assert_int_equal(pthread_create(&w[i].thread, NULL, run, &w[i]), 0);
    }
}

static void join(struct worker *w, int *ret_won)
{
    *ret_won = 0;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
        assert_int_equal(w[i].failed, 0);
        *ret_won += w[i].won;
    }
}

/* The same names by all: of each one put wins, and everybody reads whole objects. */
static void *put_and_get(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < OBJECTS; i++) {
        struct dr_err err = { 0 };
        char got[8] = "";
        DR_FREE char *name = dr_strf("packs/%02d", i);
        DR_FREE char *data = dr_strf("%02d by %d", i, w->number);
        enum dr_rc rc = store_put(w->store, name, data, 7, &err);
        w->won += rc == DR_OK;
        w->failed += rc != DR_OK && rc != DR_E_EXISTS;
        w->failed += store_get(w->store, name, 0, 7, got, &err) != DR_OK;
        w->failed += strncmp(got, data, 2) != 0;
    }
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct dr_err err = { 0 };
    w->failed += store_list(w->store, "packs/", &names, &err) != DR_OK;
    w->failed += names.count != OBJECTS;
    return NULL;
}

static void one_put_of_a_name_wins(void **state)
{
    (void)state;
    struct httpfault *h = httpfault_start();
    (void)httpfault_bucket(h, "many");
    DR_CLEANUP(store_close_ptr) struct store *s = open_at(h, "many");
    struct worker w[THREADS];
    int won = 0;
    start(w, s, put_and_get);
    join(w, &won);
    assert_int_equal(won, OBJECTS);
    struct store_counts c;
    store_counts(s, &c);
    assert_int_equal(c.gets, THREADS * OBJECTS);
    assert_int_equal(c.bytes_in, THREADS * OBJECTS * 7);
    assert_in_range(c.puts, THREADS * OBJECTS + 1, THREADS * OBJECTS + 2 * THREADS);
    store_close(DR_TAKE(s));
    httpfault_stop(h);
}

static void *count_up(void *arg)
{
    struct worker *w = arg;
    while (w->won < ROUNDS && w->failed == 0) {
        DR_CLEANUP(buf_fini) struct buf b = { 0 };
        struct dr_err err = { 0 };
        char tag[STORE_TAG_MAX];
        w->failed += store_read_tagged(w->store, "leases/a", &b, tag, &err) != DR_OK;
        long now = b.len > 0 ? strtol(b.data, NULL, 10) : 0;
        DR_FREE char *next = dr_strf("%ld", now + 1);
        enum dr_rc rc = store_swap(w->store, "leases/a", tag, next, strlen(next), &err);
        w->won += rc == DR_OK;
        w->failed += rc != DR_OK && rc != DR_E_BUSY;
    }
    return NULL;
}

static void one_of_many_wins_each_swap(void **state)
{
    (void)state;
    struct httpfault *h = httpfault_start();
    (void)httpfault_bucket(h, "lease");
    DR_CLEANUP(store_close_ptr) struct store *s = open_at(h, "lease");
    struct worker w[THREADS];
    int won = 0;
    start(w, s, count_up);
    join(w, &won);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(store_get_all(s, "leases/a", 100, &b, &err), DR_OK);
    assert_int_equal(strtol(b.data, NULL, 10), THREADS * ROUNDS);
    store_close(DR_TAKE(s));
    httpfault_stop(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_put_of_a_name_wins),
        cmocka_unit_test(one_of_many_wins_each_swap),
    };
    return cmocka_run_group_tests_name("s3_threads", tests, NULL, NULL);
}
