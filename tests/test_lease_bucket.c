/*
 * A lease in a bucket: of many takers one wins, and an answer that is lost makes neither two
 * holders nor none. Runs under TSan.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/lease/bucket.h"
#include "dr/lease/lease.h"
#include "tests/support/memstore.h"
#include "tests/support/radosgw.h"
#include "tests/support/tree.h"

enum { TAKERS = 8, ROUNDS = 12, HOLD_MS = 20000, TAKE_MS = 30000 };

static char *top;
static struct radosgw ceph;

/* -- a store that loses answers ---------------------------------------------------------------------- */

enum fate {
    FATE_GOOD,
    FATE_LOST,    /* the effect, no answer */
    FATE_REFUSED, /* the effect; the repetition by somebody on the way is told that it lost */
    FATE_NEVER,   /* no effect, no answer */
    FATE_LATE,    /* no answer; the effect comes with the next swap, just before it */
    FATE_BLIND,   /* like LOST, and nothing can be read for a while */
};

struct lossy {
    struct store base;
    struct store *inner;
    enum fate fate; /* of the next swap only */
    unsigned blind; /* reads that fail */
    char *late_name, *late_tag;
    struct buf late;
};

static enum dr_rc no_answer(struct dr_err *err)
{
    return dr_fail(err, DR_E_TRANSIENT, "no answer");
}

static enum dr_rc lossy_swap(struct store *s, const char *name, const char *tag, const void *data,
                             size_t len, struct dr_err *err)
{
    struct lossy *l = (struct lossy *)s;
    enum fate fate = l->fate;
    l->fate = FATE_GOOD;
    if (l->late_name != NULL) {
        struct dr_err ignored = { 0 };
        enum dr_rc landed =
            store_swap(l->inner, l->late_name, l->late_tag, l->late.data, l->late.len, &ignored);
        assert_true(landed == DR_OK || landed == DR_E_BUSY);
        free(DR_TAKE(l->late_name));
        free(DR_TAKE(l->late_tag));
        buf_clear(&l->late);
    }
    if (fate == FATE_NEVER)
        return no_answer(err);
    if (fate == FATE_LATE) {
        l->late_name = dr_strdup(name);
        l->late_tag = dr_strdup(tag);
        buf_add(&l->late, data, len);
        return no_answer(err);
    }
    DR_TRY(store_swap(l->inner, name, tag, data, len, err));
    if (fate == FATE_BLIND)
        l->blind = 10;
    if (fate == FATE_REFUSED)
        return dr_fail(err, DR_E_BUSY, "412");
    return fate == FATE_GOOD ? DR_OK : no_answer(err);
}

static enum dr_rc lossy_read(struct store *s, const char *name, struct buf *out,
                             char tag[STORE_TAG_MAX], struct dr_err *err)
{
    struct lossy *l = (struct lossy *)s;
    if (l->blind > 0) {
        l->blind--;
        return no_answer(err);
    }
    return store_read_tagged(l->inner, name, out, tag, err);
}

static void lossy_close(struct store *s)
{
    struct lossy *l = (struct lossy *)s;
    store_close(l->inner);
    free(l->late_name);
    free(l->late_tag);
    buf_fini(&l->late);
    store_fini(s);
    free(l);
}

static const struct store_ops lossy_ops = { .swap = lossy_swap,
                                            .read_tagged = lossy_read,
                                            .close = lossy_close };

static struct lossy *lossy_new(struct memory *m)
{
    struct lossy *l = dr_alloc(1, sizeof(*l));
    const struct store_options o = { .name = "eu", .region = "eu-west-1", .url = "mem:" };
    store_init(&l->base, &lossy_ops, &o);
    l->inner = memstore_new(m, "eu", "eu-west-1");
    return l;
}

/* -- with it --------------------------------------------------------------------------------------- */

static int64_t now_ms;
static struct clock_ops real_clock;
static struct memory *memory;
static struct lossy *lossy;
static struct lease_place place;

static int64_t fake_ns(void)
{
    return now_ms * 1000000;
}

static void fake_pause(int64_t ms)
{
    now_ms += ms;
}

static int setup(void **state)
{
    (void)state;
    real_clock = dr_clock;
    dr_clock = (struct clock_ops){ .wall_ns = fake_ns, .boot_ns = fake_ns };
    now_ms = 1000000;
    memory = memory_new();
    lossy = lossy_new(memory);
    place = (struct lease_place){ .hold_ms = HOLD_MS, .take_ms = TAKE_MS, .pause = fake_pause };
    lease_bucket_place(&lossy->base, &place);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lease_place_fini(&place);
    memory_free(memory);
    dr_clock = real_clock;
    return 0;
}

static enum dr_rc acquire(const char *who, struct lease **ret, struct dr_err *err)
{
    const struct lease_wish wish = { .key = "writer/app", .holder = who, .region = "eu" };
    return lease_acquire(&place, &wish, ret, err);
}

/* Who the record says, and that nobody can take it before TAKE. */
static void assert_held_by(const char *who, int64_t epoch)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
    lossy->blind = 0;
    assert_int_equal(lease_read(&place, "writer/app", &r, &err), DR_OK);
    assert_string_equal(r.holder, who);
    assert_int_equal(r.epoch, epoch);
}

static void an_answer_lost_after_the_effect_loses_no_lease(void **state)
{
    (void)state;
    static const enum fate fates[] = { FATE_LOST, FATE_REFUSED };
    for (size_t i = 0; i < DR_ARRAY_LEN(fates); i++) {
        struct dr_err err = { 0 };
        DR_CLEANUP(lease_free_ptr) struct lease *a = NULL;
        int64_t begin = now_ms;
        lossy->fate = fates[i];
        assert_int_equal(acquire("a", &a, &err), DR_OK);
        assert_int_equal(now_ms, begin); /* at once: it is no stranger's record */
        assert_held_by("a", (int64_t)i + 1);
        now_ms += 5000;
        lossy->fate = fates[i];
        assert_int_equal(lease_renew(a, &err), DR_OK);
        assert_int_equal(lease_left_ms(a), HOLD_MS);
        lossy->fate = fates[i];
        assert_int_equal(lease_release(a, &err), DR_OK);
        assert_held_by("", (int64_t)i + 1);
    }
}

static void without_effect_nothing_is_believed(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *a = NULL;
    lossy->fate = FATE_NEVER;
    assert_int_equal(acquire("a", &a, &err), DR_E_TIMEOUT);
    assert_null(a);
    assert_non_null(strstr(err.hint, "bucket 'eu' (eu-west-1)"));
    assert_int_equal(acquire("a", &a, &err), DR_OK);
    now_ms += 5000;
    lossy->fate = FATE_NEVER;
    assert_int_equal(lease_renew(a, &err), DR_E_TIMEOUT);
    assert_int_equal(lease_left_ms(a),
                     HOLD_MS - 5000); /* as before: from before the last good one */
    assert_int_equal(lease_renew(a, &err), DR_OK);
    assert_int_equal(lease_left_ms(a), HOLD_MS);
}

static void an_effect_that_lands_late_harms_nobody(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *a = NULL;
    DR_CLEANUP(lease_free_ptr) struct lease *b = NULL;
    assert_int_equal(acquire("a", &a, &err), DR_OK);
    now_ms += 5000;
    lossy->fate = FATE_LATE;
    assert_int_equal(lease_renew(a, &err), DR_E_TIMEOUT);
    assert_int_equal(lease_left_ms(a), HOLD_MS - 5000);
    assert_int_equal(lease_renew(a, &err), DR_OK); /* the late one lands in between: ours as well */
    assert_held_by("a", 1);
    lossy->fate = FATE_LATE;
    assert_int_equal(lease_renew(a, &err), DR_E_TIMEOUT);
    assert_int_equal(acquire("b", &b, &err), DR_E_BUSY); /* b waits, and sees a change come */
    assert_held_by("a", 1);
}

static void a_taker_that_is_late_is_waited_for_like_a_holder(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *a = NULL;
    DR_CLEANUP(lease_free_ptr) struct lease *b = NULL;
    lossy->fate = FATE_BLIND;
    assert_int_equal(acquire("a", &a, &err), DR_E_TIMEOUT); /* it has it, and does not know */
    assert_null(a);
    assert_held_by("a", 1);
    int64_t begin = now_ms;
    assert_int_equal(acquire("b", &b, &err), DR_OK);
    assert_true(now_ms - begin >= TAKE_MS);
    assert_held_by("b", 2);
}

static void a_bucket_that_is_away_is_an_error_and_no_free_lease(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *a = NULL;
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    lossy->blind = 1000;
    assert_int_equal(acquire("a", &a, &err), DR_E_TIMEOUT);
    assert_non_null(strstr(err.hint, "without it nobody takes or keeps it"));
}

/* -- races ------------------------------------------------------------------------------------------ */

struct taker {
    pthread_t thread;
    const struct lease_place *place;
    const struct lease_record *seen;
    enum dr_rc rc;
    char nonce[LEASE_NONCE_MAX];
};

/* All exchange the same seen record for their own at once. */
static void *take(void *arg)
{
    struct taker *t = arg;
    struct dr_err err = { 0 };
    struct lease_record r = *t->seen; /* its texts are only read */
    memcpy(r.nonce, t->nonce, sizeof(r.nonce));
    r.epoch++;
    t->rc = lease_bucket.swap(t->place, t->seen->nonce, &r, &err);
    return NULL;
}

static void assert_one_of_many_wins(const struct lease_place *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct dr_err err = { 0 };
        struct taker takers[TAKERS];
        int winner = -1;
        DR_CLEANUP(lease_record_fini) struct lease_record seen = { 0 }, now = { 0 };
        assert_int_equal(lease_read(p, "race", &seen, &err), DR_OK);
        for (int i = 0; i < TAKERS; i++) {
            takers[i] = (struct taker){ .place = p, .seen = &seen };
            (void)snprintf(takers[i].nonce, LEASE_NONCE_MAX, "%032d", round * TAKERS + i);
            assert_int_equal(pthread_create(&takers[i].thread, NULL, take, &takers[i]), 0);
        }
        for (int i = 0; i < TAKERS; i++) {
            assert_int_equal(pthread_join(takers[i].thread, NULL), 0);
            assert_true(takers[i].rc != DR_OK || winner < 0);
            winner = takers[i].rc == DR_OK ? i : winner;
            assert_true(takers[i].rc == DR_OK || takers[i].rc == DR_E_TRANSIENT);
        }
        assert_true(winner >= 0);
        assert_int_equal(lease_read(p, "race", &now, &err), DR_OK);
        assert_string_equal(now.nonce, takers[winner].nonce);
        assert_int_equal(now.epoch, round + 1);
    }
}

static void of_eight_takers_one_wins_in_a_directory(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct store *s = NULL;
    DR_CLEANUP(lease_place_fini) struct lease_place p = { 0 };
    DR_FREE char *url = dr_strf("file://%s", top);
    assert_int_equal(store_open_url("eu", "eu-west-1", url, &s, &err), DR_OK);
    lease_bucket_place(s, &p);
    assert_one_of_many_wins(&p);
}

static void of_eight_takers_one_wins_on_a_real_store(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct store *s = NULL;
    DR_CLEANUP(lease_place_fini) struct lease_place p = { 0 };
    assert_true(radosgw_make_bucket(&ceph, "leases", RADOSGW_PLAIN));
    DR_FREE char *url = dr_strf("s3://leases?endpoint=%s", ceph.http);
    const struct store_credentials by = { .kind = "keys",
                                          .access_key = radosgw_owner.access_key,
                                          .secret_key = radosgw_owner.secret_key };
    const struct store_options o = {
        .name = "eu", .region = "eu-west-1", .url = url, .credentials = &by
    };
    assert_int_equal(store_open(&o, &s, &err), DR_OK);
    lease_bucket_place(s, &p);
    p.hold_ms = HOLD_MS;
    p.take_ms = TAKE_MS;
    assert_one_of_many_wins(&p);

    DR_CLEANUP(lease_free_ptr) struct lease *a = NULL;
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    const struct lease_wish wish = { .key = "writer/app", .holder = "a" };
    assert_int_equal(lease_acquire(&p, &wish, &a, &err), DR_OK);
    radosgw_kill(&ceph);
    assert_true(radosgw_again(&ceph));
    assert_int_equal(lease_renew(a, &err), DR_OK);
    assert_int_equal(lease_release(a, &err), DR_OK);
    assert_int_equal(lease_keys(&p, &keys, &err), DR_OK);
    DR_FREE char *all = text_list_join(&keys, " ");
    assert_string_equal(all, "race writer/app");
}

static int begin(void **state)
{
    (void)state;
    top = tree_temp();
    return radosgw_start(&ceph, top, "eu") ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    radosgw_stop(&ceph);
    tree_remove(top);
    free(top);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(an_answer_lost_after_the_effect_loses_no_lease),
        TEST(without_effect_nothing_is_believed),
        TEST(an_effect_that_lands_late_harms_nobody),
        TEST(a_taker_that_is_late_is_waited_for_like_a_holder),
        TEST(a_bucket_that_is_away_is_an_error_and_no_free_lease),
        cmocka_unit_test(of_eight_takers_one_wins_in_a_directory),
        cmocka_unit_test(of_eight_takers_one_wins_on_a_real_store),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
