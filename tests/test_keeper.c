/*
 * A lease is renewed whatever its holder does, its loss is told once; records of a run reach every bucket
 * that answers, and one that does not answer holds up nobody. Runs under TSan.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/lease/file.h"
#include "dr/lease/keeper.h"
#include "dr/run/mirror.h"
#include "tests/support/tree.h"

enum { HOLD_MS = 1500, BOUND_MS = 60000, RECORDS = 60 };

static char *top;
static struct lease_place place;
static atomic_int losses;

static int set_up(void **state)
{
    (void)state;
    top = tree_temp();
    place = (struct lease_place){ .path = top, .hold_ms = HOLD_MS, .take_ms = HOLD_MS + 600 };
    atomic_store(&losses, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tree_remove(top);
    free(top);
    return 0;
}

static void count_loss(void *arg)
{
    (void)arg;
    atomic_fetch_add(&losses, 1);
}

static struct keeper *keep(void)
{
    struct dr_err err = { 0 };
    struct lease *l = NULL;
    struct keeper *k = NULL;
    struct lease_wish wish = { .key = "run", .holder = "us" };
    assert_int_equal(lease_acquire(&place, &wish, &l, &err), DR_OK);
    assert_int_equal(keeper_new(l, &k, &err), DR_OK);
    assert_int_equal(keeper_lease(k)->epoch, l->epoch);
    keeper_on_loss(k, count_loss, NULL);
    return k;
}

static void nonce_now(char out[LEASE_NONCE_MAX])
{
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
    assert_int_equal(lease_read(&place, "run", &r, &err), DR_OK);
    memcpy(out, r.nonce, LEASE_NONCE_MAX);
}

static void a_lease_is_renewed_while_its_holder_is_busy(void **state)
{
    (void)state;
    DR_CLEANUP(keeper_free_ptr) struct keeper *k = keep();
    int64_t began = clock_boot_ms();
    char last[LEASE_NONCE_MAX];
    nonce_now(last);
    int renewals = 0;
    while (clock_boot_ms() - began < 2 * (int64_t)HOLD_MS || renewals < 4) {
        char now[LEASE_NONCE_MAX];
        nonce_now(now); /* this thread is busy: it never renews */
        renewals += strcmp(now, last) != 0;
        memcpy(last, now, sizeof(last));
        assert_true(clock_boot_ms() - began < BOUND_MS);
    }
    assert_true(keeper_left_ms(k) > 0);
    assert_false(keeper_is_lost(k, NULL));
    assert_int_equal(atomic_load(&losses), 0);
}

static void the_end_gives_the_lease_back(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    keeper_free(keep());
    DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
    assert_int_equal(lease_read(&place, "run", &r, &err), DR_OK);
    assert_int_equal(lease_holders(&r), 0);
}

static void a_lease_that_another_one_took_is_lost_once_and_in_words(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(keeper_free_ptr) struct keeper *k = keep();
    int64_t began = clock_boot_ms();
    enum dr_rc rc = DR_E_TRANSIENT;
    while (rc != DR_OK) { /* between two renewals somebody else writes */
        DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
        char seen[LEASE_NONCE_MAX];
        assert_int_equal(lease_read(&place, "run", &r, &err), DR_OK);
        memcpy(seen, r.nonce, sizeof(seen));
        r.nonce[0] = r.nonce[0] == 'a' ? 'b' : 'a';
        r.epoch = 7;
        rc = lease_file.swap(&place, seen, &r, &err);
        assert_true(clock_boot_ms() - began < BOUND_MS);
    }
    while (!keeper_is_lost(k, &err))
        assert_true(clock_boot_ms() - began < BOUND_MS);
    assert_non_null(strstr(err.msg, "is lost: us has it (epoch 7, ours was 1)"));
    assert_true(keeper_left_ms(k) <= 0);
    while (atomic_load(&losses) == 0)
        assert_true(clock_boot_ms() - began < BOUND_MS);
    assert_int_equal(atomic_load(&losses), 1);
    keeper_on_loss(k, count_loss, NULL); /* who comes late is told at once */
    assert_int_equal(atomic_load(&losses), 2);
}

static void a_place_that_went_away_is_a_loss_when_the_belief_ends(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(keeper_free_ptr) struct keeper *k = keep();
    DR_FREE char *away = dr_strf("%s.away", top);
    assert_int_equal(rename(top, away), 0);
    FILE *f = fopen(top, "we"); /* a file where the directory was: nothing can be made there */
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    int64_t began = clock_boot_ms();
    while (!keeper_is_lost(k, &err))
        assert_true(clock_boot_ms() - began < BOUND_MS);
    assert_true(keeper_left_ms(k) <= 0);
    assert_int_equal(unlink(top), 0);
    assert_int_equal(rename(away, top), 0);
}

/* -- records ---------------------------------------------------------------------------------------- */

static struct config *configure(int hanging_port)
{
    struct dr_err err = { 0 };
    struct config *c = NULL;
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_FREE char *path = dr_strf("%s/dr.yaml", top);
    for (int i = 0; i < 2; i++) {
        DR_FREE char *dir = dr_strf("%s/%s", top, i == 0 ? "us" : "eu");
        assert_int_equal(mkdir(dir, 0700), 0);
    }
    buf_addf(&text, "sources:\n  - {name: a, path: /srv/a}\nstate_dir: %s/state\nbuckets:\n", top);
    buf_addf(&text, "  - {name: us, url: \"file://%s/us\", region: us-east-1}\n", top);
    buf_addf(&text, "  - {name: eu, url: \"file://%s/eu\", region: eu-west-1}\n", top);
    if (hanging_port > 0)
        buf_addf(
            &text,
            "  - {name: ap, url: \"s3://bucket-ap?endpoint=http://127.0.0.1:%d\", region: ap-1,"
            " credentials: {access_key: k, secret_key: k}}\n"
            "secrets: {k: {env: HOME}}\n",
            hanging_port);
    assert_int_equal(fs_replace(top, "dr.yaml", text.data, text.len, &err), DR_OK);
    assert_int_equal(config_load(path, &d, &c, &err), DR_OK);
    return c;
}

static bool there(const char *bucket, const char *name)
{
    DR_FREE char *path = dr_strf("%s/%s/%s", top, bucket, name);
    return access(path, F_OK) == 0;
}

static void a_record_is_in_every_bucket_but_those_of_the_failed_region(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(config_free_ptr) struct config *c = configure(0);
    const struct mirror_options o = { .config = c, .failed = "us-east-1" };
    struct mirror *m = NULL;
    assert_int_equal(mirror_new(&o, &m, &err), DR_OK);
    for (int i = 0; i < 20; i++) {
        DR_FREE char *name = dr_strf("runs/r-1/%06d-x", i);
        assert_int_equal(mirror_put(m, name, name, strlen(name), &err), DR_OK);
        assert_true(there("eu", name));
        assert_false(there("us", name));
        assert_int_equal(mirror_put(m, name, name, strlen(name), &err),
                         DR_OK); /* it is there: fine */
    }
    mirror_free(m);
}

static void when_no_bucket_takes_the_record_that_is_said_with_the_reason(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(config_free_ptr) struct config *c = configure(0);
    DR_FREE char *eu = dr_strf("%s/eu", top);
    assert_int_equal(rmdir(eu), 0);
    const struct mirror_options o = { .config = c, .failed = "us-east-1" };
    struct mirror *m = NULL;
    assert_int_equal(mirror_new(&o, &m, &err), DR_OK);
    assert_int_not_equal(mirror_put(m, "runs/r-1/1-x", "x", 1, &err), DR_OK);
    assert_non_null(strstr(err.msg, "eu"));
    DR_CLEANUP(text_list_fini) struct text_list lagging = { 0 };
    mirror_end(m, &lagging);
    assert_true(text_list_has(&lagging, "eu"));
}

static void a_bucket_that_does_not_answer_holds_up_no_record(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    /* It takes connections and says nothing. */
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(at);
    int deaf = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(deaf, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(deaf, 64), 0);
    assert_int_equal(getsockname(deaf, (struct sockaddr *)&at, &size), 0);
    DR_CLEANUP(config_free_ptr) struct config *c = configure(ntohs(at.sin_port));
    const struct mirror_options o = { .config = c, .failed = "us-east-1" };
    struct mirror *m = NULL;
    assert_int_equal(mirror_new(&o, &m, &err), DR_OK);
    int64_t began = clock_boot_ms();
    for (int i = 0; i < RECORDS; i++) {
        DR_FREE char *name = dr_strf("runs/r-1/%06d-x", i);
        assert_int_equal(mirror_put(m, name, "x", 1, &err), DR_OK);
        assert_true(there("eu", name));
    }
    /* The grace is given once, not for each record. */
    assert_true(clock_boot_ms() - began < (int64_t)RECORDS * MIRROR_GRACE_MS / 2);
    assert_int_equal(close(deaf), 0); /* now it refuses: the lane ends */
    DR_CLEANUP(text_list_fini) struct text_list lagging = { 0 };
    mirror_end(m, &lagging);
    assert_int_equal(lagging.count, 1);
    assert_string_equal(lagging.items[0], "ap");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_lease_is_renewed_while_its_holder_is_busy),
        TEST(the_end_gives_the_lease_back),
        TEST(a_lease_that_another_one_took_is_lost_once_and_in_words),
        TEST(a_place_that_went_away_is_a_loss_when_the_belief_ends),
        TEST(a_record_is_in_every_bucket_but_those_of_the_failed_region),
        TEST(when_no_bucket_takes_the_record_that_is_said_with_the_reason),
        TEST(a_bucket_that_does_not_answer_holds_up_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
