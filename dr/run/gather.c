#include "dr/run/gather.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/store/bucket.h"
#include "dr/base/mem.h"

enum { RECORDS_MAX = 1000000, NUMBER_DIGITS_MAX = 7 };

struct slot {
    char hash[HASH_HEX_SIZE]; /* "" no bucket has this number */
    char *bucket;             /* the first that named it; owned */
    char *line;               /* verified; owned; NULL: no copy was good */
};

struct gather {
    const struct config *c;
    const struct gather_wish *wish;
    const char *run;
    char *failed; /* region whose buckets are left alone */
    struct slot *slots;
    size_t count, cap;
    struct text_list from;
};

static void gather_fini(struct gather *g)
{
    for (size_t i = 0; i < g->count; i++) {
        free(g->slots[i].bucket);
        free(g->slots[i].line);
    }
    free(g->slots);
    free(g->failed);
    text_list_fini(&g->from);
}

static bool is_in(const struct config_bucket *b, const char *region)
{
    return region != NULL && b->region != NULL && strcmp(b->region, region) == 0;
}

static char *prefix_of(const char *run)
{
    return dr_strf("runs/%c%s/", run[0] == 'R' ? 'r' : 'd', run + 1);
}

/* "runs/r-1/000007-<hash>" below its prefix: number and hash. */
static bool read_name(const char *tail, int64_t *ret_n, const char **ret_hash)
{
    size_t digits = strspn(tail, "0123456789");
    if (digits == 0 || digits > NUMBER_DIGITS_MAX || tail[digits] != '-' ||
        strlen(tail + digits + 1) != HASH_HEX_SIZE - 1)
        return false;
    *ret_n = strtoll(tail, NULL, 10);
    *ret_hash = tail + digits + 1;
    return *ret_n >= 1 && *ret_n <= RECORDS_MAX;
}

static struct slot *slot_of(struct gather *g, int64_t n)
{
    while (g->cap < (size_t)n) {
        size_t cap = g->cap == 0 ? 64 : g->cap * 2;
        g->slots = dr_realloc(g->slots, cap, sizeof(*g->slots));
        memset(g->slots + g->cap, 0, (cap - g->cap) * sizeof(*g->slots));
        g->cap = cap;
    }
    if (g->count < (size_t)n)
        g->count = (size_t)n;
    return &g->slots[n - 1];
}

/* The copy of one record in one bucket; NULL when it is damaged there. */
static char *good_line(struct store *s, const char *name, int64_t n, const char *hash)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err ignored = { 0 };
    struct journal_record r = { 0 };
    if (store_get_all(s, name, JOURNAL_RECORD_MAX, &b, &ignored) != DR_OK || b.len == 0 ||
        journal_read_one(b.data, b.len, &r, &ignored) != DR_OK)
        return NULL;
    bool good = r.n == n && strcmp(r.hash, hash) == 0;
    journal_record_fini(&r);
    return good ? dr_memdup(b.data, b.len) : NULL;
}

static enum dr_rc take_name(struct gather *g, struct store *s, const char *name, const char *tail,
                            struct dr_err *err)
{
    int64_t n = 0;
    const char *hash = NULL;
    if (!read_name(tail, &n, &hash))
        return DR_OK; /* not a record */
    struct slot *slot = slot_of(g, n);
    if (slot->hash[0] != '\0' && strcmp(slot->hash, hash) != 0)
        return dr_fail(err, DR_E_CORRUPT,
                       "there are two different records %" PRId64 " of %s, in bucket '%s' and '%s'",
                       n, g->run, slot->bucket, s->name);
    if (slot->hash[0] == '\0') {
        (void)snprintf(slot->hash, sizeof(slot->hash), "%s", hash);
        slot->bucket = dr_strdup(s->name);
    }
    if (slot->line == NULL)
        slot->line = good_line(s, name, n, hash);
    return DR_OK;
}

/* Which region was given up? By the first record that is read whole, wherever it lies. */
static void find_failed(struct gather *g)
{
    DR_FREE char *prefix = prefix_of(g->run);
    DR_FREE char *first = dr_strf("%s000001-", prefix);
    for (size_t i = 0; i < g->c->bucket_count; i++) {
        DR_CLEANUP(store_close_ptr) struct store *s = NULL;
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        struct dr_err ignored = { 0 };
        if (bucket_open(g->c, &g->c->buckets[i], NULL, &s, &ignored) != DR_OK ||
            store_list(s, first, &names, &ignored) != DR_OK || names.count == 0)
            continue;
        const char *hash = names.items[0] + strlen(first);
        DR_FREE char *line = good_line(s, names.items[0], 1, hash);
        DR_JSON json_t *o = line != NULL ? json_loads(line, 0, NULL) : NULL;
        if (o == NULL)
            continue;
        const char *failed =
            json_string_value(json_object_get(json_object_get(o, "body"), "failed"));
        g->failed = failed != NULL ? dr_strdup(failed) : NULL;
        return;
    }
}

static enum dr_rc without(const struct gather *g, const char *bucket, struct dr_err *err)
{
    struct dr_err why = *err;
    if (g->wish->peek ||
        (g->wish->accept_missing != NULL && text_list_has(g->wish->accept_missing, bucket)))
        return DR_OK;
    (void)dr_fail(err, DR_E_HELD,
                  "bucket '%s' cannot be read: what only it knows of %s may have begun (%s)",
                  bucket, g->run, why.msg);
    return dr_hint(
        err, "Bring it back, or go on without it at your own word: --accept-missing-bucket %s",
        bucket);
}

static enum dr_rc take_bucket(struct gather *g, const struct config_bucket *b, struct dr_err *err)
{
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_FREE char *prefix = prefix_of(g->run);
    if (is_in(b, g->failed))
        return DR_OK;
    if (bucket_open(g->c, b, NULL, &s, err) != DR_OK || store_list(s, prefix, &names, err) != DR_OK)
        return without(g, b->name, err);
    if (names.count > 0)
        text_list_add(&g->from, b->name);
    for (size_t i = 0; i < names.count; i++)
        DR_TRY(take_name(g, s, names.items[i], names.items[i] + strlen(prefix), err));
    return DR_OK;
}

enum dr_rc gather_run(const struct config *c, const char *run, const struct gather_wish *wish,
                      struct journal_records *ret, char **ret_from, struct dr_err *err)
{
    DR_CLEANUP(gather_fini) struct gather g = { .c = c, .wish = wish, .run = run };
    DR_CLEANUP(buf_fini) struct buf lines = { 0 };
    size_t whole = 0;
    find_failed(&g);
    for (size_t i = 0; i < c->bucket_count; i++)
        DR_TRY(take_bucket(&g, &c->buckets[i], err));
    if (g.count == 0)
        return dr_fail(err, DR_E_NOTFOUND, "there is no run '%s', here or in a bucket", run);
    for (size_t i = 0; i < g.count; i++) {
        if (g.slots[i].line == NULL)
            return dr_fail(err, DR_E_CORRUPT, "record %zu of %s %s", i + 1, run,
                           g.slots[i].hash[0] == '\0' ? "is in no bucket"
                                                      : "is damaged in every bucket that has it");
        buf_adds(&lines, g.slots[i].line);
    }
    DR_TRY(journal_parse(lines.data, lines.len, ret, &whole, err));
    if (ret_from != NULL) {
        DR_FREE char *names = text_list_join(&g.from, ", ");
        *ret_from = dr_strf("bucket%s %s", g.from.count == 1 ? "" : "s", names);
    }
    return DR_OK;
}

static int by_number(const void *a, const void *b)
{
    long long m = strtoll(*(char *const *)a + 2, NULL, 10);
    long long n = strtoll(*(char *const *)b + 2, NULL, 10);
    return m < n ? -1 : m > n;
}

void gather_ids(const struct config *c, const char *dark, struct text_list *ret)
{
    static const char prefix[] = "runs/";
    for (size_t i = 0; i < c->bucket_count; i++) {
        if (is_in(&c->buckets[i], dark))
            continue;
        DR_CLEANUP(store_close_ptr) struct store *s = NULL;
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        struct dr_err ignored = { 0 };
        if (bucket_open(c, &c->buckets[i], NULL, &s, &ignored) != DR_OK ||
            store_list(s, prefix, &names, &ignored) != DR_OK)
            continue;
        for (size_t k = 0; k < names.count; k++) {
            const char *kind = names.items[k] + strlen(prefix);
            const char *id = kind + strlen("r-");
            size_t digits =
                text_starts(kind, "r-") || text_starts(kind, "d-") ? strspn(id, "0123456789") : 0;
            if (digits == 0 || id[digits] != '/')
                continue;
            DR_FREE char *run = dr_strf("%c-%.*s", kind[0] == 'r' ? 'R' : 'D', (int)digits, id);
            if (!text_list_has(ret, run))
                text_list_add(ret, run);
        }
    }
    if (ret->count > 1)
        qsort(ret->items, ret->count, sizeof(*ret->items), by_number);
}
