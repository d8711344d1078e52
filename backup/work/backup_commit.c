/*
 * The commit: the order of the model-checked protocol.
 *
 *     pending/S at home ──> gc lists there ──> packs there ──┬──> snapshots/S at home ──> gc lists ──> durable
 *                                                            └──> each other bucket: missing packs, snapshots/S,
 *                                                                 gc lists ──> durable
 *     ... and pending/S goes away once the home has answered.
 *
 * A writer puts its pending, then reads gc; a pruner puts its gc list, then reads pendings: at least one sees
 * the other. From the moment the check has passed S is fixed: what is condemned after that matters
 * to nobody, since the pruner sees the pending. Before it, no further bucket may get anything
 * of S but packs.
 */
#include <stdio.h>
#include <string.h>

#include "backup/format/names.h"
#include "backup/work/backup_targets.h"
#include "backup/work/process.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { HEADS_MAX = 16, COPY_STEP = 8 << 20 };

struct commit {
    struct buckets *all;
    const struct snapshot *s;
    const struct buf *object;
    char name[NAMES_MAX], pending_name[NAMES_MAX];
    struct buf pending;
    struct pack_names needed; /* packs of s */
    struct target *home;
    bool home_answered;
};

struct fill { /* one bucket gets the snapshot */
    struct commit *commit;
    struct target *target;
};

static void commit_fini(struct commit *c)
{
    buf_fini(&c->pending);
    pack_names_fini(&c->needed);
}

static struct store *store_of(const struct target *t)
{
    return t->bucket->store;
}

/* -- pendings ------------------------------------------------------------------------------ */

/* One that stays only keeps packs from being pruned: its failure is nobody's business. */
static void remove_pending(const struct target *t, const char *name)
{
    struct dr_err ignored = { .rc = DR_OK };
    enum dr_rc rc = store_remove(store_of(t), name, &ignored);
    (void)rc;
}

void buckets_release(struct buckets *b)
{
    if (b->held != NULL)
        remove_pending(b->held, b->held_name);
    b->held = NULL;
}

static void encode_pending(struct commit *c)
{
    DR_JSON json_t *body = json_object();
    json_t *packs = json_array();
    for (size_t i = 0; i < c->s->packs.lines.count; i++)
        DR_ASSERT(json_array_append_new(packs, json_string(c->s->packs.lines.items[i])) == 0);
    json_put_text(body, "snapshot", c->s->id);
    json_put(body, "packs", packs);
    json_put(body, "owner", process_mark()); /* so that this host knows when we died */
    sealed_encode(body, "drctl-pending", &c->pending);
}

/* -- which packs a bucket has -------------------------------------------------------------- */

/* Of the snapshot before, which is visible here: its gc lists were read just now. */
static void trust_parent(const struct commit *c, const struct target *t, bool *there)
{
    if (!c->all->trusts || !t->lists_trusted || text_list_has(&t->gc.expired, c->all->trusted_id))
        return;
    for (uint32_t i = 0; i < c->needed.count; i++)
        there[i] =
            pack_names_find(&c->all->trusted, pack_names_of(&c->needed, i)) != PACK_NAMES_NONE;
}

static enum dr_rc head_packs(const struct commit *c, const struct target *t, bool *there,
                             struct dr_err *err)
{
    for (uint32_t i = 0; i < c->needed.count; i++) {
        char name[NAMES_MAX];
        uint64_t size;
        if (there[i])
            continue;
        enum dr_rc rc =
            store_head(store_of(t), names_pack(pack_names_of(&c->needed, i), name), &size, err);
        if (rc != DR_OK && rc != DR_E_NOTFOUND)
            return rc;
        there[i] = rc == DR_OK;
    }
    return DR_OK;
}

static enum dr_rc list_packs(const struct commit *c, const struct target *t, bool *there,
                             struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(store_of(t), NAMES_PACKS, &names, err));
    for (size_t i = 0; i < names.count; i++) {
        uint8_t id[DIGEST_SIZE];
        uint32_t at = names_parse_pack(names.items[i], id) ? pack_names_find(&c->needed, id)
                                                           : PACK_NAMES_NONE;
        if (at != PACK_NAMES_NONE)
            there[at] = true;
    }
    return DR_OK;
}

/* For each pack that is needed: is it in this bucket? The caller frees. */
static enum dr_rc find_packs(const struct commit *c, const struct target *t, bool **ret,
                             struct dr_err *err)
{
    DR_FREE bool *there = dr_alloc(c->needed.count + 1, sizeof *there);
    uint32_t unknown = 0;
    trust_parent(c, t, there);
    for (uint32_t i = 0; i < c->needed.count; i++)
        unknown += !there[i];
    if (unknown <= HEADS_MAX)
        DR_TRY(head_packs(c, t, there, err));
    else
        DR_TRY(list_packs(c, t, there, err));
    *ret = DR_TAKE(there);
    return DR_OK;
}

/* -- the home ------------------------------------------------------------------------------ */

static enum dr_rc fail_check(struct pack_names *bad, const struct commit *c, struct dr_err *err)
{
    if (bad->count == 0)
        dr_fail(err, DR_E_BUSY, "snapshot '%s' was expired before it was visible", c->s->id);
    else
        dr_fail(err, DR_E_BUSY, "%u packs of this run were condemned or lost meanwhile",
                bad->count);
    return dr_hint(err, "Run the backup again.");
}

/* A bucket whose lists went back to an older state is neither home nor copy. */
static enum dr_rc read_gc(struct target *t, struct dr_err *err)
{
    DR_TRY(gc_view_read(&t->gc, store_of(t), err));
    return gc_view_check_age(&t->gc, &t->all->remembered, err);
}

/* gc lists first, then the packs: the other way a pack could be deleted between the two looks. */
static enum dr_rc check_home(const struct commit *c, struct target *t, struct pack_names *bad,
                             struct dr_err *err)
{
    DR_FREE bool *there = NULL;
    DR_TRY(read_gc(t, err));
    DR_TRY(find_packs(c, t, &there, err));
    for (uint32_t i = 0; i < c->needed.count; i++) {
        const uint8_t *id = pack_names_of(&c->needed, i);
        if (!there[i] || pack_names_find(&t->gc.condemned, id) != PACK_NAMES_NONE)
            pack_names_add(bad, id);
    }
    if (bad->count > 0 || text_list_has(&t->gc.expired, c->s->id))
        return fail_check(bad, c, err);
    return DR_OK;
}

/*
 * The first bucket where the check passes. A bucket that fails drops out; one where packs are
 * condemned or missing stays good, since as a further bucket it can be filled. Only when none passes
 * are its packs the caller's business (avoid), and its pending stands until the next attempt's does.
 */
static enum dr_rc find_home(struct commit *c, struct pack_names *avoid, struct dr_err *err)
{
    struct buckets *b = c->all;
    bool held = false;
    enum dr_rc verdict = DR_OK;
    for (size_t i = 0; i < 2 * b->count; i++) {
        struct target *t = &b->targets[i < b->count ? i : i - b->count];
        DR_CLEANUP(pack_names_fini) struct pack_names bad = { 0 };
        struct dr_err why = { .rc = DR_OK };
        if (!target_is_good(t) || target_has_gaps(t) != (i >= b->count)) /* those come last */
            continue;
        enum dr_rc rc = target_put(t, c->pending_name, c->pending.data, c->pending.len, &why);
        if (rc != DR_OK) {
            target_drop(t, &why);
            continue;
        }
        if (!held)
            buckets_release(b); /* of the attempt before: this one's stands now */
        rc = check_home(c, t, &bad, &why);
        if (rc == DR_OK) {
            buckets_release(b);
            c->home = t;
            return DR_OK;
        }
        if (why.rc != DR_E_BUSY || held)
            remove_pending(t, c->pending_name);
        if (why.rc != DR_E_BUSY) {
            target_drop(t, &why);
        } else if (!held) {
            held = true;
            b->held = t;
            memcpy(b->held_name, c->pending_name, sizeof b->held_name);
            for (uint32_t k = 0; k < bad.count; k++)
                pack_names_add(avoid, pack_names_of(&bad, k));
            *err = why;
            verdict = DR_E_BUSY;
        }
    }
    return verdict != DR_OK ? verdict : buckets_fail_all(b, err);
}

/* -- further buckets ----------------------------------------------------------------------- */

/* The pack out of one bucket, through the spool. */
static enum dr_rc read_pack(const struct commit *c, struct store *from, const uint8_t *id,
                            struct spooled **ret, struct dr_err *err)
{
    char name[NAMES_MAX];
    uint64_t size = 0;
    DR_CLEANUP(spool_free_ptr) struct spool *spool = NULL;
    DR_CLEANUP(spooled_drop_ptr) struct spooled *pack = NULL;
    DR_FREE uint8_t *step = dr_alloc(COPY_STEP, 1);
    names_pack(id, name);
    DR_TRY(store_head(from, name, &size, err));
    if (size == 0 || size > PACK_SIZE_MAX)
        return dr_fail(err, DR_E_CORRUPT, "bucket '%s': '%s' has an impossible size", from->name,
                       name);
    DR_TRY(spool_open(repo_config(c->all->repo)->state_dir, &spool, err));
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < COPY_STEP ? (size_t)(size - at) : COPY_STEP;
        DR_TRY(store_get(from, name, at, n, step, err));
        spool_append(spool, step, n);
        at += n;
    }
    DR_TRY(spool_seal(spool, &pack, err));
    if (memcmp(pack->name, id, DIGEST_SIZE) != 0)
        return dr_fail(err, DR_E_CORRUPT, "bucket '%s': '%s' is damaged", from->name, name);
    *ret = DR_TAKE(pack);
    return DR_OK;
}

/* From home, or from whichever other bucket has it right. Under its own name, condemned or not. */
static enum dr_rc copy_pack(const struct commit *c, struct target *t, const uint8_t *id,
                            struct dr_err *err)
{
    char name[NAMES_MAX];
    DR_CLEANUP(spooled_drop_ptr) struct spooled *pack = NULL;
    enum dr_rc rc = read_pack(c, store_of(c->home), id, &pack, err);
    for (size_t i = 0; i < c->all->count && rc != DR_OK; i++) {
        const struct target *from = &c->all->targets[i];
        struct dr_err why = { .rc = DR_OK };
        if (from != c->home && from != t && store_of(from) != NULL)
            rc = read_pack(c, store_of(from), id, &pack, &why);
    }
    if (rc != DR_OK)
        return dr_context(err, "a pack that it lacks cannot be copied");
    DR_ASSERT(pack != NULL);
    return target_put(t, names_pack(id, name), pack->data, pack->len, err);
}

static enum dr_rc copy_missing(const struct commit *c, struct target *t, struct dr_err *err)
{
    DR_FREE bool *there = NULL;
    DR_TRY(find_packs(c, t, &there, err));
    for (uint32_t i = 0; i < c->needed.count; i++) {
        if (there[i])
            continue;
        if (!target_is_good(t)) /* dropped as late: why is told already */
            return dr_fail(err, DR_E_TIMEOUT, "it lags behind the others");
        DR_TRY(copy_pack(c, t, pack_names_of(&c->needed, i), err));
    }
    return DR_OK;
}

/* Is S in no E of this bucket, by a look at its lists now? */
static enum dr_rc check_expiry(const struct commit *c, struct target *t, struct dr_err *err)
{
    DR_TRY(read_gc(t, err));
    if (text_list_has(&t->gc.expired, c->s->id))
        return dr_fail(err, DR_E_REFUSED, "the snapshot was expired there meanwhile");
    return DR_OK;
}

/* The epoch stands there before the first snapshot that was taken under it: readers count on that. */
static enum dr_rc announce(const struct commit *c, struct target *t, struct dr_err *err)
{
    char name[NAMES_MAX];
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    if (c->s->epoch <= 0 || (t->known != NULL && t->known->epoch == c->s->epoch))
        return DR_OK;
    epoch_encode(c->s->source, c->s->epoch, &object);
    return target_put(t, names_epoch(c->s->source, c->s->epoch, name), object.data, object.len,
                      err);
}

static enum dr_rc show(const struct fill *f, struct dr_err *err)
{
    struct commit *c = f->commit;
    struct target *t = f->target;
    if (t != c->home) {
        DR_TRY(check_expiry(c, t, err));
        DR_TRY(copy_missing(c, t, err));
    }
    DR_TRY(announce(c, t, err));
    DR_TRY(target_put(t, c->name, c->object->data, c->object->len, err));
    if (t == c->home)
        c->home_answered = true; /* read when the lanes are idle */
    return check_expiry(c, t, err);
}

static void fill(void *arg)
{
    const struct fill *f = arg;
    struct buckets *b = f->commit->all;
    struct dr_err why = { .rc = DR_OK };
    if (show(f, &why) != DR_OK) {
        target_drop(f->target, &why);
        return;
    }
    pthread_mutex_lock(&b->lock);
    f->target->durable = true;
    pthread_mutex_unlock(&b->lock);
}

static bool is_durable(const struct target *t)
{
    return t->durable;
}

/* The jobs use what is ours, so not even a cancel ends this; but one that is late ends its copying. */
static void wait_filled(struct buckets *b, const struct fill *fills, size_t count)
{
    int64_t through_ms = 0;
    for (size_t i = 0; i < count; i++) {
        struct target *t = fills[i].target;
        while (!lane_wait(t->lane, WAIT_MS)) {
            if (through_ms == 0 && buckets_enough(b, is_durable))
                through_ms = clock_boot_ms();
            if (through_ms != 0)
                (void)target_drop_late(t, through_ms); /* its job notices */
        }
    }
}

/* Home first, the others beside it; returns when all are through. */
static void fill_all(struct commit *c)
{
    struct buckets *b = c->all;
    DR_FREE struct fill *fills = dr_alloc(b->count, sizeof *fills);
    fills[0] = (struct fill){ c, c->home };
    lane_push(c->home->lane, fill, &fills[0]);
    size_t n = 1;
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        if (t == c->home || !target_is_good(t))
            continue;
        fills[n] = (struct fill){ c, t };
        lane_push(t->lane, fill, &fills[n++]);
    }
    wait_filled(b, fills, n);
}

enum dr_rc buckets_commit(struct buckets *b, const struct snapshot *s, const struct buf *object,
                          struct pack_names *avoid, struct dr_err *err)
{
    DR_ASSERT(s->packs.depth == 0 && object->len > 0);
    DR_CLEANUP(commit_fini) struct commit c = { .all = b, .s = s, .object = object };
    names_of(NAMES_SNAPSHOTS, s->id, c.name);
    names_of(NAMES_PENDING, s->id, c.pending_name);
    for (size_t i = 0; i < s->packs.lines.count; i++) {
        uint8_t id[DIGEST_SIZE];
        const char *hex = s->packs.lines.items[i];
        DR_ASSERT(hex_decode(hex, strlen(hex), id, sizeof id));
        pack_names_add(&c.needed, id);
    }
    encode_pending(&c);
    DR_TRY(buckets_wait(b, err));
    DR_TRY(find_home(&c, avoid, err));
    fill_all(&c);
    if (c.home_answered) /* unknown at home: the pending stays and protects the packs there */
        remove_pending(c.home, c.pending_name);
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].durable)
            return DR_OK;
    return buckets_fail_all(b, err);
}
