/* The threads of a verification: each reads what a job asks for, and judges it by its digest. */
#include "backup/work/verify_crew.h"

#include <stdlib.h>
#include <string.h>

#include "backup/format/names.h"
#include "backup/format/pack.h"
#include "dr/base/mem.h"
#include "dr/base/pool.h"

enum { READ_PART = 8 << 20 };

struct verify_crew {
    struct repo *repo;
    struct text_list prefer;
    struct pool *pool;
};

struct reading { /* a thread's own */
    struct fetch *fetch;
    struct hash *hash;
    struct buf part;
};

void verify_job_free(struct verify_job *j)
{
    if (j == NULL)
        return;
    free(j->name);
    free(j->looks);
    free(j->pieces);
    free(j);
}

/* -- in a thread --------------------------------------------------------------------------- */

static enum dr_rc hash_object(struct reading *r, struct verify_job *j, struct store *s,
                              uint64_t size, struct dr_err *err)
{
    uint8_t digest[HASH_SIZE], expected[HASH_SIZE];
    hash_start(r->hash);
    for (uint64_t at = 0; at < size;) {
        size_t len = size - at < READ_PART ? (size_t)(size - at) : READ_PART;
        buf_clear(&r->part);
        DR_TRY(store_get(s, j->name, at, len, buf_reserve(&r->part, len), err));
        hash_add(r->hash, r->part.data, len);
        at += len;
        j->bytes += len;
    }
    hash_end(r->hash, digest);
    if (!names_parse_pack(j->name, expected) || memcmp(digest, expected, HASH_SIZE) != 0)
        return dr_fail(err, DR_E_CORRUPT,
                       "bucket '%s': object '%s' is damaged: its digest is not "
                       "its name",
                       s->name, j->name);
    return DR_OK;
}

static enum dr_rc look_at_pack(struct reading *r, struct verify_job *j, struct store *s,
                               struct dr_err *err)
{
    uint64_t size = 0, table = 0;
    uint8_t tail[PACK_TAIL_SIZE];
    DR_TRY(store_head(s, j->name, &size, err));
    DR_FREE char *what = dr_strf("bucket '%s': object '%s'", s->name, j->name);
    if (size < PACK_TAIL_SIZE || size > PACK_SIZE_MAX)
        return dr_fail(err, DR_E_CORRUPT, "%s is damaged: it has %llu bytes", what,
                       (unsigned long long)size);
    if (j->whole)
        return hash_object(r, j, s, size, err);
    DR_TRY(store_get(s, j->name, size - PACK_TAIL_SIZE, PACK_TAIL_SIZE, tail, err));
    j->bytes += PACK_TAIL_SIZE;
    if (pack_table_size(what, tail, size, &table, err) != DR_OK)
        return dr_fail(err, DR_E_CORRUPT, "%s is damaged or truncated: it does not end as a pack",
                       what);
    return DR_OK;
}

static void read_pieces(struct reading *r, struct verify_job *j)
{
    DR_CLEANUP(dr_free_ptr)
    const struct fetch_piece **plan = dr_alloc(j->count + 1, sizeof(void *));
    for (size_t i = 0; i < j->count; i++)
        plan[i] = &j->pieces[i];
    fetch_plan(r->fetch, plan, j->count);
    while (j->right < j->count && j->rc == DR_OK) {
        const struct fetch_piece *p = &j->pieces[j->right];
        const struct buf *bytes = NULL;
        j->rc = fetch_get(r->fetch, p, &bytes, &j->err);
        if (j->rc != DR_OK)
            break;
        j->bytes += p->stored;
        j->right++;
    }
    fetch_plan(r->fetch, NULL, 0);
}

static void work(void *state, void *item)
{
    struct verify_job *j = item;
    if (j->name == NULL) {
        read_pieces(state, j);
        return;
    }
    for (size_t i = 0; i < j->count; i++)
        j->looks[i].rc = look_at_pack(state, j, j->looks[i].store, &j->looks[i].err);
}

/* -- around the threads -------------------------------------------------------------------- */

static void *start(void *arg)
{
    struct verify_crew *c = arg;
    struct reading *r = dr_alloc(1, sizeof(*r));
    r->fetch = fetch_new(c->repo,
                         NULL); /* quiet: the look at the packs tells each object, in each bucket */
    fetch_prefer(r->fetch, &c->prefer);
    r->hash = hash_new();
    return r;
}

static void stop(void *state)
{
    struct reading *r = state;
    fetch_free(r->fetch);
    hash_free(r->hash);
    buf_fini(&r->part);
    free(r);
}

enum dr_rc verify_crew_new(struct repo *r, unsigned threads, const struct text_list *prefer,
                           struct verify_crew **ret, struct dr_err *err)
{
    DR_CLEANUP(verify_crew_free_ptr) struct verify_crew *c = dr_alloc(1, sizeof(*c));
    c->repo = r;
    for (size_t i = 0; prefer != NULL && i < prefer->count; i++)
        text_list_add(&c->prefer, prefer->items[i]);
    const struct pool_options o = { .threads = threads,
                                    .slots = 2 * (size_t)threads + 1,
                                    .start = start,
                                    .work = work,
                                    .stop = stop,
                                    .arg = c };
    DR_TRY(pool_new(&o, &c->pool, err));
    *ret = DR_TAKE(c);
    return DR_OK;
}

void verify_crew_free(struct verify_crew *c)
{
    if (c == NULL)
        return;
    while (c->pool != NULL && pool_count(c->pool) > 0)
        verify_job_free(pool_take(c->pool));
    pool_free(c->pool);
    text_list_fini(&c->prefer);
    free(c);
}

bool verify_crew_full(const struct verify_crew *c)
{
    return pool_full(c->pool);
}

size_t verify_crew_count(const struct verify_crew *c)
{
    return pool_count(c->pool);
}

void verify_crew_give(struct verify_crew *c, struct verify_job *j)
{
    pool_give(c->pool, j);
}

struct verify_job *verify_crew_take(struct verify_crew *c)
{
    return pool_take(c->pool);
}
