/*
 * promises.c - the promises, as a table of one line and one function each.
 *
 * A promise fails with DR_E_CORRUPT and what was seen, or with what the store itself said. Objects of
 * one never serve another, so that a broken promise breaks no second one.
 */
#include "backup/store/promises.h"

#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/pool.h"

enum {
    BIG = (1 << 20) + 3,
    RACERS = 8,
    RACES = 4,
    CALLERS_MAX = 8,
    LONGEST_NAME = 200,
};

struct kit {
    struct store *s;
    struct store_abilities can;
    unsigned many;
};

/* What was expected, and did not come. */
static enum dr_rc wrong(struct dr_err *err, enum dr_rc rc, const char *expected)
{
    char seen[DR_ERR_MSG_MAX / 2] = "";
    if (rc != DR_OK)
        memcpy(seen, err->msg, sizeof(seen) - 1);
    return dr_fail(err, DR_E_CORRUPT, "%s was expected, not '%s'%s%s", expected, dr_rc_name(rc),
                   seen[0] != '\0' ? ": " : "", seen);
}

static enum dr_rc expect(enum dr_rc seen, enum dr_rc expected, struct dr_err *err)
{
    return seen == expected ? DR_OK : wrong(err, seen, dr_rc_name(expected));
}

/* The object is exactly these bytes. */
static enum dr_rc expect_bytes(struct kit *k, const char *name, const void *data, size_t len,
                               struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_TRY(store_get_all(k->s, name, len + 1, &b, err));
    if (b.len == len && (len == 0 || memcmp(b.data, data, len) == 0))
        return DR_OK;
    return dr_fail(err, DR_E_CORRUPT, "'%s' came back with other bytes (%zu, %zu were put)", name,
                   b.len, len);
}

/* -- one caller ---------------------------------------------------------------------------------- */

static enum dr_rc tells_what_is_missing(struct kit *k, struct dr_err *err)
{
    char byte;
    uint64_t size = 0;
    DR_TRY(expect(store_get(k->s, "missing/get", 0, 1, &byte, err), DR_E_NOTFOUND, err));
    DR_TRY(expect(store_head(k->s, "missing/head", &size, err), DR_E_NOTFOUND, err));
    return expect(store_remove(k->s, "missing/remove", err), DR_OK, err);
}

static enum dr_rc gives_back_what_was_put(struct kit *k, struct dr_err *err)
{
    DR_FREE unsigned char *data = dr_alloc(BIG, 1);
    for (size_t i = 0; i < BIG; i++)
        data[i] = (unsigned char)(i * 31 + i / 256);
    char name[LONGEST_NAME + 1];
    memset(name, 'n', LONGEST_NAME);
    name[LONGEST_NAME] = '\0';
    DR_TRY(store_put(k->s, "put/big", data, BIG, err));
    DR_TRY(expect_bytes(k, "put/big", data, BIG, err));
    DR_TRY(store_put(k->s, "put/empty", "", 0, err));
    DR_TRY(expect_bytes(k, "put/empty", "", 0, err));
    DR_TRY(store_put(k->s, name, data, 256, err));
    DR_TRY(expect_bytes(k, name, data, 256, err));
    uint64_t size = 0;
    DR_TRY(store_head(k->s, "put/big", &size, err));
    if (size != BIG)
        return dr_fail(err, DR_E_CORRUPT, "head says %llu bytes of an object of %d",
                       (unsigned long long)size, BIG);
    return DR_OK;
}

static enum dr_rc gives_exact_ranges(struct kit *k, struct dr_err *err)
{
    static const struct {
        uint64_t offset;
        size_t len;
        enum dr_rc rc;
    } ranges[] = {
        { 0, 10, DR_OK },       { 0, 1, DR_OK },         { 9, 1, DR_OK },
        { 3, 5, DR_OK },        { 4, 0, DR_OK },         { 10, 0, DR_OK },
        { 9, 2, DR_E_CORRUPT }, { 10, 1, DR_E_CORRUPT }, { 5000, 1, DR_E_CORRUPT },
    };
    static const char data[] = "0123456789";
    DR_TRY(store_put(k->s, "range", data, 10, err));
    for (size_t i = 0; i < DR_ARRAY_LEN(ranges); i++) {
        char out[10];
        enum dr_rc rc = store_get(k->s, "range", ranges[i].offset, ranges[i].len, out, err);
        if (rc == DR_OK && ranges[i].rc == DR_OK &&
            memcmp(out, data + ranges[i].offset, ranges[i].len) != 0)
            rc = dr_fail(err, DR_E_CORRUPT, "other bytes came");
        if (expect(rc, ranges[i].rc, err) != DR_OK)
            return dr_context(err, "%zu bytes from %llu of 10", ranges[i].len,
                              (unsigned long long)ranges[i].offset);
    }
    return DR_OK;
}

static enum dr_rc never_changes_an_object(struct kit *k, struct dr_err *err)
{
    DR_TRY(store_put(k->s, "once/a", "first", 5, err));
    DR_TRY(expect(store_put(k->s, "once/a", "again", 5, err), DR_E_EXISTS, err));
    DR_TRY(expect(store_put(k->s, "once/a", "longer than that", 16, err), DR_E_EXISTS, err));
    return expect_bytes(k, "once/a", "first", 5, err);
}

static enum dr_rc expect_list(struct kit *k, const char *prefix, const char *expected,
                              struct dr_err *err)
{
    DR_CLEANUP(store_entries_fini) struct store_entries all = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    buf_adds(&b, "");
    DR_TRY(store_list_sizes(k->s, prefix, &all, err));
    for (size_t i = 0; i < all.count; i++)
        buf_addf(&b, "%s%s:%llu", i > 0 ? " " : "", all.items[i].name,
                 (unsigned long long)all.items[i].size);
    if (strcmp(b.data, expected) == 0)
        return DR_OK;
    return dr_fail(err, DR_E_CORRUPT, "the list of '%s' is '%.200s', not '%s'", prefix, b.data,
                   expected);
}

static enum dr_rc lists_in_order(struct kit *k, struct dr_err *err)
{
    static const char *const names[] = { "l/b", "l/a/z", "l/a.b", "l/a-b", "lz", "l/a0" };
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++)
        DR_TRY(store_put(k->s, names[i], "12345", i, err));
    DR_TRY(expect_list(k, "l", "l/a-b:3 l/a.b:2 l/a/z:1 l/a0:5 l/b:0 lz:4", err));
    DR_TRY(expect_list(k, "l/", "l/a-b:3 l/a.b:2 l/a/z:1 l/a0:5 l/b:0", err));
    DR_TRY(expect_list(k, "l/a", "l/a-b:3 l/a.b:2 l/a/z:1 l/a0:5", err));
    DR_TRY(expect_list(k, "l/a/", "l/a/z:1", err));
    return expect_list(k, "l/none", "", err);
}

static enum dr_rc forgets_what_is_removed(struct kit *k, struct dr_err *err)
{
    uint64_t size = 0;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    static const char *const put[] = { "gone/a", "gone/b", "gone/c" };
    for (size_t i = 0; i < DR_ARRAY_LEN(put); i++)
        DR_TRY(store_put(k->s, put[i], "x", 1, err));
    DR_TRY(store_remove(k->s, "gone/a", err));
    DR_TRY(expect(store_head(k->s, "gone/a", &size, err), DR_E_NOTFOUND, err));
    DR_TRY(expect_list(k, "gone/", "gone/b:1 gone/c:1", err));
    text_list_add(&names, "gone/a");
    text_list_add(&names, "gone/c");
    DR_TRY(store_remove_many(k->s, &names, err));
    DR_TRY(expect_list(k, "gone/", "gone/b:1", err));
    DR_TRY(store_put(k->s, "gone/a", "other", 5, err));
    return expect_bytes(k, "gone/a", "other", 5, err);
}

/* -- many at once ----------------------------------------------------------------------------------- */

enum deed { DEED_PUT, DEED_PUT_AND_GET, DEED_SWAP };

struct job {
    struct kit *k;
    enum deed deed;
    char name[32], bytes[32], tag[STORE_TAG_MAX];
    enum dr_rc rc;
    struct dr_err err;
};

static void do_job(void *state, void *item)
{
    (void)state;
    struct job *j = item;
    struct store *s = j->k->s;
    size_t len = strlen(j->bytes);
    if (j->deed == DEED_SWAP) {
        j->rc = store_swap(s, j->name, j->tag, j->bytes, len, &j->err);
        return;
    }
    j->rc = store_put(s, j->name, j->bytes, len, &j->err);
    if (j->rc == DR_OK && j->deed == DEED_PUT_AND_GET)
        j->rc = expect_bytes(j->k, j->name, j->bytes, len, &j->err);
}

/* All jobs, by so many callers at once. */
static enum dr_rc do_jobs(struct job *jobs, unsigned count, unsigned callers, struct dr_err *err)
{
    const struct pool_options o = { .threads = callers, .slots = count, .work = do_job };
    DR_CLEANUP(pool_free_ptr) struct pool *pool = NULL;
    DR_TRY(pool_new(&o, &pool, err));
    for (unsigned i = 0; i < count; i++)
        pool_give(pool, &jobs[i]);
    while (pool_take(pool) != NULL)
        continue;
    return DR_OK;
}

static enum dr_rc keeps_a_long_list(struct kit *k, struct dr_err *err)
{
    enum { AT_ONCE = 64 };
    unsigned callers = store_parallel(k->s) < CALLERS_MAX ? store_parallel(k->s) : CALLERS_MAX;
    DR_FREE struct job *jobs = dr_alloc(AT_ONCE, sizeof(*jobs));
    for (unsigned from = 0; from < k->many; from += AT_ONCE) {
        unsigned count = k->many - from < AT_ONCE ? k->many - from : AT_ONCE;
        for (unsigned i = 0; i < count; i++) {
            jobs[i] = (struct job){ .k = k, .deed = DEED_PUT_AND_GET };
            (void)snprintf(jobs[i].name, sizeof(jobs[i].name), "many/%07u", from + i); /* fits */
            (void)snprintf(jobs[i].bytes, sizeof(jobs[i].bytes), "%u", from + i);
        }
        DR_TRY(do_jobs(jobs, count, callers, err));
        for (unsigned i = 0; i < count; i++) {
            if (jobs[i].rc != DR_OK) {
                *err = jobs[i].err;
                return jobs[i].rc;
            }
        }
    }
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(k->s, "many/", &names, err));
    for (unsigned i = 0; i < k->many; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "many/%07u", i);
        if (i >= names.count || strcmp(names.items[i], name) != 0)
            return dr_fail(err, DR_E_CORRUPT, "'%s' is missing from a list of %zu, %u were put",
                           name, names.count, k->many);
    }
    return names.count == k->many
               ? DR_OK
               : dr_fail(err, DR_E_CORRUPT, "%zu are listed, %u were put", names.count, k->many);
}

/*
 * RACERS do the same thing at once; exactly one may succeed, the others hear that they lost. No bytes
 * come twice: the same ones may have the same tag.
 */
static enum dr_rc race(struct kit *k, enum deed deed, int round, const char *tag,
                       struct dr_err *err)
{
    enum dr_rc loser = deed == DEED_SWAP ? DR_E_BUSY : DR_E_EXISTS;
    char name[32];
    (void)snprintf(name, sizeof(name), deed == DEED_SWAP ? "race/swap" : "race/put%d", round);

    DR_FREE struct job *jobs = dr_alloc(RACERS, sizeof(*jobs));
    int winner = -1;
    for (int i = 0; i < RACERS; i++) {
        jobs[i] = (struct job){ .k = k, .deed = deed };
        (void)snprintf(jobs[i].name, sizeof(jobs[i].name), "%s", name);
        (void)snprintf(jobs[i].bytes, sizeof(jobs[i].bytes), "racer %d of round %d", i, round);
        memcpy(jobs[i].tag, tag, strlen(tag) + 1);
    }
    DR_TRY(do_jobs(jobs, RACERS, RACERS, err));
    for (int i = 0; i < RACERS; i++) {
        *err = jobs[i].err;
        if (jobs[i].rc == DR_OK && winner >= 0)
            return dr_fail(err, DR_E_CORRUPT, "two of %d callers at once succeeded", RACERS);
        if (jobs[i].rc == DR_OK)
            winner = i;
        else if (jobs[i].rc != DR_E_TRANSIENT) /* unknown: the bytes tell who won */
            DR_TRY(expect(jobs[i].rc, loser, err));
    }
    if (winner < 0)
        return dr_fail(err, DR_E_CORRUPT, "none of %d callers at once succeeded", RACERS);
    return expect_bytes(k, name, jobs[winner].bytes, strlen(jobs[winner].bytes), err);
}

static enum dr_rc one_put_of_many_wins(struct kit *k, struct dr_err *err)
{
    for (int i = 0; i < RACES; i++)
        DR_TRY(race(k, DEED_PUT, i, "", err));
    return DR_OK;
}

static enum dr_rc compares_before_a_swap(struct kit *k, struct dr_err *err)
{
    char tag[STORE_TAG_MAX] = "";
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_TRY(store_swap(k->s, "swap/a", "", "one", 3, err));
    DR_TRY(expect(store_swap(k->s, "swap/a", "", "two", 3, err), DR_E_BUSY, err));
    DR_TRY(store_read_tagged(k->s, "swap/a", &b, tag, err));
    DR_TRY(store_swap(k->s, "swap/a", tag, "three", 5, err));
    DR_TRY(expect(store_swap(k->s, "swap/a", tag, "four", 4, err), DR_E_BUSY, err));
    DR_TRY(expect(store_swap(k->s, "swap/b", tag, "five", 4, err), DR_E_BUSY, err));
    return expect_bytes(k, "swap/a", "three", 5, err);
}

static enum dr_rc one_swap_of_many_wins(struct kit *k, struct dr_err *err)
{
    for (int i = 0; i < RACES; i++) {
        char tag[STORE_TAG_MAX] = "";
        DR_CLEANUP(buf_fini) struct buf b = { 0 };
        DR_TRY(store_read_tagged(k->s, "race/swap", &b, tag, err));
        if ((i == 0) != (tag[0] == '\0'))
            return dr_fail(err, DR_E_CORRUPT, "the tag says that it is %s there",
                           i == 0 ? "already" : "not");
        DR_TRY(race(k, DEED_SWAP, i, tag, err));
    }
    return DR_OK;
}

/* -- all of them ------------------------------------------------------------------------------------ */

static const struct promise {
    const char *says;
    enum dr_rc (*ask)(struct kit *k, struct dr_err *err);
    size_t needs; /* offset of the ability in struct store_abilities + 1; 0: none */
} promises[] = {
    { "what is missing is not found, and removing it is fine", tells_what_is_missing, 0 },
    { "what was put comes back, byte by byte", gives_back_what_was_put, 0 },
    { "ranges are exact, and nothing is behind the end", gives_exact_ranges, 0 },
    { "an object is never changed by a second put", never_changes_an_object, 0 },
    { "lists are complete and in bytewise order, with sizes", lists_in_order, 0 },
    { "what is removed is gone, and may be put again", forgets_what_is_removed, 0 },
    { "a long list is complete, put by many callers", keeps_a_long_list, 0 },
    { "of many puts of one name at once, one succeeds (conditional_put)", one_put_of_many_wins,
      offsetof(struct store_abilities, conditional_put) + 1 },
    { "a swap compares first (conditional_swap)", compares_before_a_swap,
      offsetof(struct store_abilities, conditional_swap) + 1 },
    { "of many swaps of one tag at once, one succeeds (conditional_swap)", one_swap_of_many_wins,
      offsetof(struct store_abilities, conditional_swap) + 1 },
};

static enum dr_rc remove_all(struct store *s, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(s, "", &names, err));
    return store_remove_many(s, &names, err);
}

static enum dr_rc check_empty(struct store *s, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(s, "", &names, err));
    if (names.count == 0)
        return DR_OK;
    dr_fail(err, DR_E_REFUSED, "bucket '%s': there are %zu objects, '%s' is one", s->name,
            names.count, names.items[0]);
    return dr_hint(err, "The test puts and removes objects: give it an empty place.");
}

enum dr_rc promises_ask(struct store *s, const struct promises_options *o, unsigned *ret_broken,
                        struct dr_err *err)
{
    struct kit k = { .s = s, .many = o->many };
    unsigned broken = 0;
    DR_TRY(check_empty(s, err));
    DR_TRY(store_abilities(s, &k.can, err));
    for (size_t i = 0; i < DR_ARRAY_LEN(promises); i++) {
        const struct promise *p = &promises[i];
        struct dr_err why = { 0 };
        enum promise_verdict verdict = PROMISE_NOT_CLAIMED;
        if (p->needs == 0 || *((const bool *)((const char *)&k.can + p->needs - 1)))
            verdict = p->ask(&k, &why) == DR_OK ? PROMISE_KEPT : PROMISE_BROKEN;
        broken += verdict == PROMISE_BROKEN;
        o->told(o->arg, p->says, verdict, verdict == PROMISE_BROKEN ? &why : NULL);
    }
    DR_TRY(remove_all(s, err));
    *ret_broken = broken;
    return DR_OK;
}
