/*
 * Many threads, one S3 bucket: puts, gets, lists and swaps of one store at once. Runs under TSan.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/mem.h"
#include "tests/support/httpfault.h"
#include "tests/support/site.h"

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
    struct httpfault *server;
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

/* -- who is silent ------------------------------------------------------------------------- */

enum { WAIT_S = 60 };

/* Until so many requests with that part have come; false after a minute. */
static bool wait_requests(struct httpfault *h, const char *part, size_t count)
{
    const struct timespec step = { .tv_nsec = 5000000 };
    for (int i = 0; i < WAIT_S * 200; i++) {
        if (httpfault_count(h, NULL, part) >= count)
            return true;
        (void)nanosleep(&step, NULL); /* shorter is as good */
    }
    return false;
}

static void *get_one(void *arg)
{
    struct worker *w = arg;
    char byte;
    struct dr_err err = { 0 };
    w->won = store_get(w->store, "packs/a", 0, 1, &byte, &err) == DR_E_CANCELLED;
    return NULL;
}

static void call_that_hangs_ends_when_it_is_cancelled(void **state)
{
    (void)state;
    struct httpfault *h = httpfault_start();
    (void)httpfault_bucket(h, "silent");
    httpfault_plan(
        h, &(struct httpfault_plan){ .how = HTTPFAULT_STALL, .times = HTTPFAULT_ANY_TIMES });
    DR_CLEANUP(store_close_ptr) struct store *s = open_at(h, "silent");
    struct worker w = { .store = s };
    assert_int_equal(pthread_create(&w.thread, NULL, get_one, &w), 0);
    assert_true(wait_requests(h, "packs/a", 1));
    store_cancel(s);
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    assert_int_equal(w.won, 1);
    assert_int_equal(httpfault_count(h, NULL, "packs/a"), 1);
    store_close(DR_TAKE(s));
    httpfault_stop(h);
}

/* The servers of both buckets say nothing until both were asked. */
static void *end_silence(void *arg)
{
    struct worker *w = arg;
    w->won = wait_requests(w->server, "repository", 2);
    httpfault_clear(w->server);
    return NULL;
}

static void buckets_are_opened_at_once(void **state)
{
    (void)state;
    struct site site;
    struct dr_err err = { 0 };
    struct repo *r = NULL;
    const struct repo_options none = { 0 };
    struct httpfault *h = httpfault_start();
    (void)httpfault_bucket(h, "backup-us");
    (void)httpfault_bucket(h, "backup-eu");
    DR_FREE char *us = dr_strf("s3://backup-us?endpoint=%s", httpfault_url(h));
    DR_FREE char *eu = dr_strf("s3://backup-eu?endpoint=%s", httpfault_url(h));
    site_make_at(&site, us, eu, ", credentials: environment");
    assert_int_equal(repo_init(site.config, &err), DR_OK);
    httpfault_forget(h);
    httpfault_plan(h, &(struct httpfault_plan){ .how = HTTPFAULT_STALL, .times = 2 });
    struct worker w = { .server = h };
    assert_int_equal(pthread_create(&w.thread, NULL, end_silence, &w), 0);
    assert_int_equal(repo_open(site.config, &none, &r, &err), DR_OK);
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    assert_int_equal(w.won, 1);
    assert_true(httpfault_most_at_once(h) >= 2);
    assert_non_null(repo_bucket(r, 0)->store);
    assert_non_null(repo_bucket(r, 1)->store);
    repo_close(r);
    site_drop(&site);
    httpfault_stop(h);
}

static void an_endpoint_that_answered_before_is_tried_longer(void **state)
{
    (void)state;
    struct httpfault *h = httpfault_start();
    (void)httpfault_bucket(h, "back-soon");
    DR_CLEANUP(store_close_ptr) struct store *s = open_at(h, "back-soon");
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(store_get_all(s, "repository", 100, &b, &err), DR_E_NOTFOUND);
    httpfault_stop(h);
    assert_int_equal(store_get_all(s, "repository", 100, &b, &err), DR_E_TRANSIENT);
    assert_non_null(strstr(err.msg, "(6 attempts)"));
}

int main(void)
{
    setenv("AWS_ACCESS_KEY_ID", "key", 1);        /* NOLINT(concurrency-mt-unsafe): one thread */
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1); /* NOLINT(concurrency-mt-unsafe) */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_put_of_a_name_wins),
        cmocka_unit_test(one_of_many_wins_each_swap),
        cmocka_unit_test(call_that_hangs_ends_when_it_is_cancelled),
        cmocka_unit_test(buckets_are_opened_at_once),
        cmocka_unit_test(an_endpoint_that_answered_before_is_tried_longer),
    };
    return cmocka_run_group_tests_name("s3_threads", tests, NULL, NULL);
}
