/*
 * storetest_many.c - what every store promises when there is much of something: objects, bytes, callers.
 *
 * Threads only count, for an assertion in one would end in the wrong stack.
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
    storetest_keeps_promises(s, MANY);
    large_objects(s);
    storetest_empties(s);
}

/* -- many at once ---------------------------------------------------------------------------- */

struct caller {
    struct store *store;
    pthread_t thread;
    unsigned number, wrong;
};

static void *mind_own_business(void *arg)
{
    struct caller *r = arg;
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

void storetest_races(struct store *s)
{
    struct caller callers[CALLERS];
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){ .store = s, .number = i };
        assert_int_equal(pthread_create(&callers[i].thread, NULL, mind_own_business, &callers[i]),
                         0);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].wrong, 0);
    }
    storetest_empties(s);
}
