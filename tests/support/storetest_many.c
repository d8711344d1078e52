/*
 * storetest_many.c - what every store promises when there is much of something: objects, bytes, callers.
 *
 * Threads only count, for an assertion in one would end in the wrong stack. What nobody knows after a swap without an
 * answer is found out as a lease does it: read, and look for the own nonce.
 */
#include "tests/support/storetest.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/mem.h"

enum { MANY = 1100, LARGE = 32 << 20, CALLERS = 8, ROUNDS = 10 };

/* -- much of everything ---------------------------------------------------------------------- */

static void assert_count(struct store *s, const char *prefix, size_t expected)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_CLEANUP(store_entries_fini) struct store_entries sizes = { 0 };
    assert_int_equal(store_list(s, prefix, &names, &err), DR_OK);
    assert_int_equal(names.count, expected);
    for (size_t i = 1; i < names.count; i++)
        assert_true(strcmp(names.items[i - 1], names.items[i]) < 0);
    assert_int_equal(store_list_sizes(s, prefix, &sizes, &err), DR_OK);
    assert_int_equal(sizes.count, expected);
    for (size_t i = 0; i < sizes.count; i++) {
        assert_string_equal(sizes.items[i].name, names.items[i]);
        assert_int_equal(sizes.items[i].size, 2);
    }
}

struct fill {
    struct store *store;
    pthread_t thread;
    unsigned number, failed;
};

static void *fill_share(void *arg)
{
    struct fill *f = arg;
    for (unsigned i = f->number; i < MANY; i += CALLERS) {
        char name[64];
        struct dr_err err = { 0 };
        snprintf(name, sizeof(name), "many/%02x/%04u", i % 256, i);
        f->failed += store_put(f->store, name, "xy", 2, &err) != DR_OK;
    }
    return NULL;
}

static void more_names_than_a_page(struct store *s)
{
    struct dr_err err = { 0 };
    struct fill f[CALLERS];
    for (unsigned i = 0; i < CALLERS; i++) {
        f[i] = (struct fill){ .store = s, .number = i };
        assert_int_equal(pthread_create(&f[i].thread, NULL, fill_share, &f[i]), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(f[i].thread, NULL), 0);
        assert_int_equal(f[i].failed, 0);
    }
    assert_count(s, "many/", MANY);
    assert_count(s, "many/00/", (MANY + 255) / 256);
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    assert_int_equal(store_list(s, "many/", &names, &err), DR_OK);
    text_list_add(&names, "many/never/was");
    assert_int_equal(store_remove_many(s, &names, &err), DR_OK);
    assert_count(s, "many/", 0);
}

static void large_objects(struct store *s)
{
    struct dr_err err = { 0 };
    DR_FREE char *data = dr_alloc(LARGE, 1);
    DR_FREE char *back = dr_alloc(LARGE, 1);
    uint64_t x = 88172645463325252U, size = 0;
    for (size_t i = 0; i + 8 <= LARGE; i += 8) {
        x ^= x << 13; /* xorshift64 (Marsaglia 2003) */
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(data + i, &x, 8);
    }
    assert_int_equal(store_put(s, "large", data, LARGE, &err), DR_OK);
    assert_int_equal(store_head(s, "large", &size, &err), DR_OK);
    assert_int_equal(size, LARGE);
    assert_int_equal(store_get(s, "large", 0, LARGE, back, &err), DR_OK);
    assert_memory_equal(back, data, LARGE);
    assert_int_equal(store_get(s, "large", LARGE - 70000, 70000, back, &err), DR_OK);
    assert_memory_equal(back, data + LARGE - 70000, 70000);
    assert_int_equal(store_get(s, "large", 1, LARGE, back, &err), DR_E_CORRUPT);
    assert_int_equal(store_remove(s, "large", &err), DR_OK);
}

void storetest_bears(struct store *s)
{
    more_names_than_a_page(s);
    large_objects(s);
    storetest_empties(s);
}

/* -- many at once ---------------------------------------------------------------------------- */

struct racer {
    struct store *store;
    pthread_t thread;
    pthread_barrier_t *barrier;
    unsigned number, wrong;
    bool won[ROUNDS], lost[ROUNDS];
};

static void run(struct racer r[CALLERS], struct store *s, void *(*work)(void *))
{
    pthread_barrier_t barrier;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, CALLERS), 0);
    for (unsigned i = 0; i < CALLERS; i++) {
        r[i] = (struct racer){ .store = s, .barrier = &barrier, .number = i };
        assert_int_equal(pthread_create(&r[i].thread, NULL, work, &r[i]), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(r[i].thread, NULL), 0);
        assert_int_equal(r[i].wrong, 0);
    }
    pthread_barrier_destroy(&barrier);
}

static void *mind_own_business(void *arg)
{
    struct racer *r = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct dr_err err = { 0 };
        char name[32], text[64], back[64] = "";
        uint64_t size = 0;
        snprintf(name, sizeof(name), "own/%u-%u", r->number, i);
        snprintf(text, sizeof(text), "content of %s", name);
        size_t len = strlen(text);
        r->wrong += store_put(r->store, name, text, len, &err) != DR_OK;
        r->wrong += store_head(r->store, name, &size, &err) != DR_OK || size != len;
        r->wrong += store_get(r->store, name, 0, len, back, &err) != DR_OK;
        r->wrong += strcmp(back, text) != 0;
        if (i % 2 == 0)
            r->wrong += store_remove(r->store, name, &err) != DR_OK;
    }
    return NULL;
}

static void *put_the_same_name(void *arg)
{
    struct racer *r = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct dr_err err = { 0 };
        char name[32], text[16];
        snprintf(name, sizeof(name), "race/%u", i);
        snprintf(text, sizeof(text), "racer %u", r->number);
        (void)pthread_barrier_wait(r->barrier); /* one of them is told that it is the last: fine */
        enum dr_rc rc = store_put(r->store, name, text, strlen(text), &err);
        r->won[i] = rc == DR_OK;
        r->lost[i] = rc == DR_E_EXISTS;
        r->wrong += rc != DR_OK && rc != DR_E_EXISTS;
    }
    return NULL;
}

static void *swap_the_same_name(void *arg)
{
    struct racer *r = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct dr_err err = { 0 };
        char tag[STORE_TAG_MAX] = "", text[32];
        DR_CLEANUP(buf_fini) struct buf b = { 0 };
        snprintf(text, sizeof(text), "round %02u racer %u", i, r->number);
        r->wrong += store_read_tagged(r->store, "swapped", &b, tag, &err) != DR_OK;
        (void)pthread_barrier_wait(r->barrier); /* as above: all have seen the same */
        enum dr_rc rc = store_swap(r->store, "swapped", tag, text, strlen(text), &err);
        (void)pthread_barrier_wait(r->barrier); /* all have tried */
        r->won[i] = rc == DR_OK;
        r->lost[i] = rc == DR_E_BUSY;
        r->wrong += rc != DR_OK && rc != DR_E_BUSY && rc != DR_E_TRANSIENT && rc != DR_E_TIMEOUT;
        buf_clear(&b);
        r->wrong += store_read_tagged(r->store, "swapped", &b, tag, &err) != DR_OK;
        bool mine = b.len > 0 && strcmp(b.data, text) == 0;
        r->wrong += (r->won[i] && !mine) || (r->lost[i] && mine); /* what it was told is true */
        r->won[i] = mine;
        r->wrong += b.len < 8 || strncmp(b.data, text, 8) != 0; /* one of this round it is */
        (void)pthread_barrier_wait(r->barrier);
    }
    return NULL;
}

static void assert_one_winner_each(const struct racer r[CALLERS])
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned winners = 0;
        for (unsigned n = 0; n < CALLERS; n++)
            winners += r[n].won[i];
        if (winners != 1)
            fail_msg("round %u has %u winners", i, winners);
    }
}

static void assert_content_is_the_winners(struct store *s, const struct racer r[CALLERS])
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        char name[32], text[16] = "";
        struct dr_err err = { 0 };
        snprintf(name, sizeof(name), "race/%u", i);
        assert_int_equal(store_get(s, name, 0, strlen("racer 0"), text, &err), DR_OK);
        unsigned long n = strtoul(text + strlen("racer "), NULL, 10);
        assert_true(n < CALLERS && r[n].won[i]);
    }
}

void storetest_races(struct store *s)
{
    struct store_abilities can;
    struct dr_err err = { 0 };
    struct racer r[CALLERS];
    if (store_abilities(s, &can, &err) != DR_OK)
        fail_msg("%s", err.msg);
    run(r, s, mind_own_business);
    run(r, s, put_the_same_name);
    if (can.conditional_put) {
        assert_one_winner_each(r);
        assert_content_is_the_winners(s, r);
    }
    if (can.conditional_swap) {
        run(r, s, swap_the_same_name);
        assert_one_winner_each(r);
    }
    storetest_empties(s);
}
