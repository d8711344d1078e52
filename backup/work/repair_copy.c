/*
 * Copying what is missing. A pack is read once, through the spool, from the first bucket that has it
 * whole, and put into all that lack it; some packs are under way at once. The objects of
 * snapshots wait until every pack before them is where it belongs.
 */
#include <string.h>

#include "backup/work/repair_work.h"
#include "dr/base/mem.h"
#include "dr/base/pool.h"

enum { READ_STEP = 8 << 20, SLOTS = 8 };

struct copy { /* one pack; the worker's until it is taken back */
    const struct repair *repair;
    uint8_t id[DIGEST_SIZE];
    uint64_t from, to; /* masks */
    bool have;         /* a whole copy was found */
    uint64_t size;
    uint64_t done, there, bad,
        failed;        /* masks: put; was there meanwhile; damaged source; failed target */
    struct dr_err why; /* of the first that failed, or why there is no copy */
};

/* -- in a worker --------------------------------------------------------------------------- */

enum dr_rc repair_read(const struct repair *r, struct store *s, const uint8_t id[DIGEST_SIZE],
                       struct spooled **ret, bool *ret_right, struct dr_err *err)
{
    char name[NAMES_MAX];
    uint64_t size = 0;
    DR_CLEANUP(spool_free_ptr) struct spool *spool = NULL;
    DR_CLEANUP(spooled_drop_ptr) struct spooled *pack = NULL;
    DR_TRY(store_head(s, names_pack(id, name), &size, err));
    if (size == 0 || size > PACK_SIZE_MAX)
        return dr_fail(err, DR_E_CORRUPT, "bucket '%s': object '%s' is damaged: it has %llu bytes",
                       s->name, name, (unsigned long long)size);
    DR_FREE uint8_t *step = dr_alloc(size < READ_STEP ? (size_t)size : READ_STEP, 1);
    DR_TRY(spool_open(repo_config(r->repo)->state_dir, &spool, err));
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < READ_STEP ? (size_t)(size - at) : READ_STEP;
        DR_TRY(store_get(s, name, at, n, step, err));
        spool_append(spool, step, n);
        at += n;
    }
    DR_TRY(spool_seal(spool, &pack, err));
    *ret_right = memcmp(pack->name, id, DIGEST_SIZE) == 0;
    *ret = DR_TAKE(pack);
    return DR_OK;
}

static struct spooled *find_whole(struct copy *c)
{
    char name[NAMES_MAX];
    for (size_t i = 0; i < c->repair->count; i++) {
        struct spooled *pack = NULL;
        bool right = false;
        if ((c->from >> i & 1) == 0)
            continue;
        struct store *s = c->repair->holds[i].store;
        enum dr_rc rc = repair_read(c->repair, s, c->id, &pack, &right, &c->why);
        if (rc == DR_OK && right)
            return pack;
        spooled_drop(pack);
        if (rc == DR_OK || rc == DR_E_CORRUPT) {
            c->bad |= UINT64_C(1) << i;
            dr_fail(&c->why, DR_E_CORRUPT, "bucket '%s': object '%s' is damaged", s->name,
                    names_pack(c->id, name));
        }
    }
    return NULL;
}

static void copy_work(void *state, void *item)
{
    struct copy *c = item;
    char name[NAMES_MAX];
    (void)state;
    DR_CLEANUP(spooled_drop_ptr) struct spooled *pack = find_whole(c);
    c->have = pack != NULL;
    if (pack == NULL)
        return;
    c->size = pack->len;
    names_pack(c->id, name);
    for (size_t i = 0; i < c->repair->count; i++) {
        uint64_t bit = UINT64_C(1) << i;
        bool fresh = false;
        struct dr_err why = { .rc = DR_OK };
        if ((c->to & bit) == 0)
            continue;
        struct store *s = c->repair->holds[i].store;
        if (repair_put(s, name, pack->data, pack->len, &fresh, &why) == DR_OK)
            *(fresh ? &c->done : &c->there) |= bit;
        else {
            c->why = c->failed == 0 ? why : c->why;
            c->failed |= bit;
        }
    }
}

/* -- in the caller's thread ---------------------------------------------------------------- */

static void lose(struct repair *r, const uint8_t id[DIGEST_SIZE], const char *why)
{
    char name[NAMES_MAX];
    r->incomplete = true;
    if (pack_names_find(&r->lost, id) != PACK_NAMES_NONE)
        return;
    (void)pack_names_add(&r->lost, id);
    r->report.lost++;
    DR_FREE char *line = dr_strf("object '%s' is whole in no bucket%s%s", names_pack(id, name),
                                 why != NULL ? ": " : "", why != NULL ? why : "");
    repair_warn(r, line);
}

static void account(struct repair *r, const struct copy *c)
{
    char name[NAMES_MAX];
    names_pack(c->id, name);
    for (size_t i = 0; i < r->count; i++) {
        uint64_t bit = UINT64_C(1) << i;
        if ((c->bad & bit) != 0)
            repair_suspect(r, i, name);
        if ((c->failed & bit) != 0)
            repair_drop(r, i, &c->why);
        if (((c->done | c->there) & bit) != 0)
            holding_add(&r->holds[i], c->id, c->size);
        if ((c->done & bit) != 0) {
            r->report.buckets[i].packs++;
            r->report.buckets[i].bytes += c->size;
            r->progress.bytes += c->size;
        }
    }
    r->incomplete |= c->failed != 0;
    if (!c->have && (c->why.rc == DR_E_CORRUPT || c->why.rc == DR_E_NOTFOUND))
        lose(r, c->id, c->why.msg);
    else if (!c->have) { /* no bucket could be read just now */
        r->incomplete = true;
        r->report.left++;
        repair_warn(r, c->why.msg);
    }
}

static enum dr_rc take_one(struct repair *r, struct pool *pool, struct dr_err *err)
{
    struct copy *c = pool_take(pool);
    account(r, c);
    free(c);
    return repair_tell(r, err);
}

static enum dr_rc drain(struct repair *r, struct pool *pool, struct dr_err *err)
{
    while (pool_count(pool) > 0)
        DR_TRY(take_one(r, pool, err));
    return DR_OK;
}

static void end_pool(struct pool **pool)
{
    while (*pool != NULL && pool_count(*pool) > 0)
        free(pool_take(*pool)); /* what is under way ends; nobody counts it */
    pool_free(*pool);
}

/* Who has it and may be read, and who lacks it and may be written. */
static void masks_of(const struct repair *r, const uint8_t id[DIGEST_SIZE], uint64_t *ret_from,
                     uint64_t *ret_to, bool *ret_anywhere)
{
    *ret_from = *ret_to = 0;
    *ret_anywhere = false;
    for (size_t i = 0; i < r->count; i++) {
        const struct holding *h = &r->holds[i];
        if (!h->open)
            continue;
        bool has = holding_has(h, id);
        *ret_anywhere |= has;
        if (has && h->reads)
            *ret_from |= UINT64_C(1) << i;
        else if (!has && repair_writes(r, i))
            *ret_to |= UINT64_C(1) << i;
    }
}

static uint64_t size_of(const struct repair *r, const uint8_t id[DIGEST_SIZE])
{
    uint64_t most = 0;
    for (size_t i = 0; i < r->count; i++) {
        uint64_t size = holding_size(&r->holds[i], id);
        most = size > most ? size : most;
    }
    return most;
}

/* A dry run believes the listing. */
static void pretend(struct repair *r, const uint8_t id[DIGEST_SIZE], uint64_t to)
{
    for (size_t i = 0; i < r->count; i++) {
        if ((to >> i & 1) == 0)
            continue;
        r->report.buckets[i].packs++;
        r->report.buckets[i].bytes += size_of(r, id);
        holding_add(&r->holds[i], id, size_of(r, id));
    }
}

static enum dr_rc copy_pack(struct repair *r, struct pool *pool, const uint8_t id[DIGEST_SIZE],
                            struct dr_err *err)
{
    uint64_t from, to;
    bool anywhere;
    masks_of(r, id, &from, &to, &anywhere);
    if (!anywhere)
        lose(r, id, NULL);
    if (to == 0 || !anywhere)
        return DR_OK;
    if (from == 0) { /* where it lies nobody may read */
        r->incomplete = true;
        r->report.left++;
        return DR_OK;
    }
    if (r->wish->dry_run) {
        pretend(r, id, to);
        return DR_OK;
    }
    if (pool_full(pool))
        DR_TRY(take_one(r, pool, err));
    struct copy *c = dr_alloc(1, sizeof(*c));
    *c = (struct copy){ .repair = r, .from = from, .to = to };
    memcpy(c->id, id, DIGEST_SIZE);
    pool_give(pool, c);
    return DR_OK;
}

/* -- the objects of snapshots -------------------------------------------------------------- */

enum dr_rc repair_object(struct repair *r, const struct snapshot_info *info, struct buf *ret,
                         struct dr_err *err)
{
    char name[NAMES_MAX];
    names_of(NAMES_SNAPSHOTS, info->id, name);
    dr_fail(err, DR_E_NOTFOUND, "object '%s' is in no bucket that may be read", name);
    for (size_t i = 0; i < r->count; i++) {
        const struct holding *h = &r->holds[i];
        struct snapshot s = { 0 };
        if (!h->open || !h->reads || !text_list_has(&info->buckets, h->store->name))
            continue;
        buf_clear(ret);
        if (store_get_all(h->store, name, SNAPSHOT_SIZE_MAX, ret, err) == DR_OK &&
            repo_judge(r->repo, name, ret, &s, err) == DR_OK) {
            snapshot_fini(&s);
            return DR_OK;
        }
    }
    return err->rc;
}

/* Without any trouble so far every needed pack is in every bucket that is still written. */
static bool has_all(const struct repair *r, size_t bucket, const struct pack_names *packs)
{
    for (uint32_t i = 0; i < packs->count; i++)
        if (!holding_has(&r->holds[bucket], pack_names_of(packs, i)))
            return false;
    return true;
}

static enum dr_rc show(struct repair *r, const struct snapshot_info *info, struct dr_err *err)
{
    char name[NAMES_MAX];
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_CLEANUP(pack_names_fini) struct pack_names packs = { 0 };
    struct dr_err why = { .rc = DR_OK };
    bool known = !r->incomplete;
    names_of(NAMES_SNAPSHOTS, info->id, name);
    for (size_t i = 0; i < r->count; i++) {
        struct repair_bucket *b = &r->report.buckets[i];
        if (!r->holds[i].open || !repair_writes(r, i) ||
            text_list_has_sorted(&r->holds[i].snapshots, name))
            continue;
        if (!known && repair_packs_of(r, info, &packs, &why) != DR_OK)
            return DR_OK; /* told when it was looked at */
        known = true;
        if (r->incomplete && !has_all(r, i, &packs)) {
            r->report.left++;
            continue;
        }
        enum dr_rc rc = object.len > 0 ? DR_OK : repair_object(r, info, &object, &why);
        if (rc != DR_OK) { /* it went away, or may not be read */
            r->report.left++;
            repair_warn(r, why.msg);
            return DR_OK;
        }
        if (!r->wish->dry_run)
            rc = repair_put(r->holds[i].store, name, object.data, object.len, NULL, &why);
        if (rc != DR_OK)
            repair_drop(r, i, &why);
        else
            b->snapshots++;
    }
    return repair_tell(r, err);
}

/* -- all ----------------------------------------------------------------------------------- */

static uint64_t count_missing(const struct repair *r)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < r->needed.count; i++) {
        const uint8_t *id = pack_names_of(&r->needed, i);
        uint64_t from, to;
        bool anywhere;
        masks_of(r, id, &from, &to, &anywhere);
        if (from != 0)
            total += size_of(r, id) * (uint64_t)__builtin_popcountll(to);
    }
    return total;
}

enum dr_rc repair_copy(struct repair *r, struct dr_err *err)
{
    const struct pool_options o = { .threads = r->wish->threads,
                                    .slots = r->wish->threads > 0 ? SLOTS : 1,
                                    .work = copy_work };
    DR_CLEANUP(end_pool) struct pool *pool = NULL;
    DR_TRY(pool_new(&o, &pool, err));
    r->progress.bytes_total = count_missing(r);
    uint32_t next = 0;
    for (size_t i = r->list.count; i > 0; i--) {
        const struct snapshot_info *info = &r->list.items[i - 1];
        for (; next < r->ends[i - 1]; next++)
            DR_TRY(copy_pack(r, pool, pack_names_of(&r->needed, next), err));
        DR_TRY(drain(r, pool, err));
        if (info->state != SNAPSHOT_REFUSED)
            DR_TRY(show(r, info, err));
    }
    return DR_OK;
}
