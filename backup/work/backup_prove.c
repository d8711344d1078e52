/*
 * What the buckets hold before a run begins, from memory as far as one request can prove it.
 *
 * The name of a snapshot is its writer's alone, so a bucket that has the object that we put last, in
 * its length, is ours, and as far as it was. Where it is not there the reason matters: a gc list that
 * expires it (then all is well), another repository, or a bucket that went back.
 */
#include <stdio.h>
#include <string.h>

#include "backup/work/backup_targets.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { HEAD_TRIES = 3, NS_PER_MS = 1000000 };

static void unlock(pthread_mutex_t **m)
{
    pthread_mutex_unlock(*m);
}
#define HOLD(m)               \
    pthread_mutex_lock(&(m)); \
    DR_CLEANUP(unlock) pthread_mutex_t *held_lock = &(m)

const struct known *buckets_known(const struct buckets *b)
{
    return &b->known;
}

/* -- one bucket ---------------------------------------------------------------------------- */

enum presence { ABSENT, PRESENT, ANOTHER, UNKNOWN };

static enum presence look_for(const struct target *t, const char *id, uint64_t bytes)
{
    char name[NAMES_MAX];
    uint64_t size = 0;
    struct dr_err ignored = { .rc = DR_OK };
    enum dr_rc rc = DR_E_TRANSIENT;
    names_of(NAMES_SNAPSHOTS, id, name);
    for (int i = 0; i < HEAD_TRIES && (rc == DR_E_TRANSIENT || rc == DR_E_BUSY); i++)
        rc = store_head(t->bucket->store, name, &size, &ignored);
    if (rc == DR_OK)
        return size == bytes ? PRESENT : ANOTHER;
    return rc == DR_E_NOTFOUND ? ABSENT : UNKNOWN;
}

/* What it held is gone: is there a gc list that says why? */
static enum dr_rc check_gone(struct target *t, struct dr_err *err)
{
    DR_TRY(gc_view_read(&t->gc, t->bucket->store, err));
    if (text_list_has(&t->gc.expired, t->known->snapshot))
        return DR_OK;
    return dr_fail(err, DR_E_REFUSED,
                   "it came back older than it was: '" NAMES_SNAPSHOTS "%s' is gone, and no gc "
                   "list of it says why; 'drctl repair' copies into it what it lacks",
                   t->known->snapshot);
}

/* Is it ours, is it as new as it was, and has it the snapshot before? */
static enum dr_rc look_at(struct target *t, bool *ret_has, struct dr_err *err)
{
    struct buckets *b = t->all;
    enum presence last = UNKNOWN;
    bool same = false;
    size_t index = (size_t)(t - b->targets);
    if (b->trusted_id[0] != '\0') {
        enum presence p = look_for(t, b->trusted_id, b->known.object.len);
        *ret_has = p == PRESENT;
        same = t->known != NULL && strcmp(t->known->snapshot, b->trusted_id) == 0;
        last = same ? p : last;
        if (p == PRESENT) {
            repo_take_as_proved(b->repo, index);
            return DR_OK;
        }
    }
    if (t->known != NULL && !same)
        last = look_for(t, t->known->snapshot, t->known->bytes);
    if (last == PRESENT) {
        repo_take_as_proved(b->repo, index);
        return DR_OK;
    }
    DR_TRY(repo_prove(b->repo, index, err));
    return t->known != NULL && last == ABSENT ? check_gone(t, err) : DR_OK;
}

static void ask(void *arg)
{
    struct target *t = arg;
    struct buckets *b = t->all;
    struct dr_err why = { .rc = DR_OK };
    bool has = false;
    if (target_is_good(t) && look_at(t, &has, &why) != DR_OK)
        target_drop(t, &why);
    HOLD(b->lock);
    t->lists_trusted = has && t->good;
    t->asking = false;
    pthread_cond_broadcast(&b->changed);
}

/* -- all ----------------------------------------------------------------------------------- */

static bool has_it(const struct target *t)
{
    return t->good && t->lists_trusted;
}

/* The lock is held. */
static void count(const struct buckets *b, size_t *ret_asking, size_t *ret_good)
{
    *ret_asking = *ret_good = 0;
    for (size_t i = 0; i < b->count; i++) {
        const struct target *t = &b->targets[i];
        *ret_asking += t->asking && t->good;
        *ret_good += t->good;
    }
}

/* True: enough have answered. */
static bool wait_answers(struct buckets *b, int64_t began_ms, size_t *ret_good)
{
    size_t asking;
    bool enough = clock_boot_ms() - began_ms >= PROVE_MS && buckets_enough(b, has_it);
    HOLD(b->lock);
    count(b, &asking, ret_good);
    if (asking == 0 || enough)
        return true;
    buckets_wait_change(b, (int64_t)WAIT_MS * NS_PER_MS);
    return false;
}

static void ask_all(struct buckets *b)
{
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->count; i++)
        b->targets[i].asking = b->targets[i].good;
    pthread_mutex_unlock(&b->lock);
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].lane != NULL && target_is_good(&b->targets[i]))
            lane_push(b->targets[i].lane, ask, &b->targets[i]);
}

static void set_trusted_id(struct buckets *b, const char *id)
{
    int len = snprintf(b->trusted_id, sizeof b->trusted_id, "%s", id);
    DR_ASSERT(len >= 0 && (size_t)len < sizeof b->trusted_id);
}

enum dr_rc buckets_prove(struct buckets *b, const char *id, struct text_list *ret,
                         struct dr_err *err)
{
    int64_t began_ms = clock_boot_ms();
    size_t good = 0;
    set_trusted_id(b, id != NULL ? id : "");
    ask_all(b);
    while (!wait_answers(b, began_ms, &good))
        if (buckets_are_cancelled(b))
            return dr_fail(err, DR_E_CANCELLED, "the backup was cancelled");
    if (good == 0)
        return buckets_fail_all(b, err);
    HOLD(b->lock);
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].lists_trusted)
            text_list_add(ret, b->targets[i].bucket->config->name);
    return DR_OK;
}

/* -- what is condemned, and what may be trusted ---------------------------------------------- */

static void add_names(const struct pack_names *from, struct pack_names *ret)
{
    for (uint32_t i = 0; i < from->count; i++)
        pack_names_add(ret, pack_names_of(from, i));
}

static bool is_asking(struct target *t)
{
    HOLD(t->all->lock);
    return t->asking;
}

bool buckets_knows_expired(struct buckets *b, const char *id)
{
    for (size_t i = 0; i < b->count; i++)
        if (!is_asking(&b->targets[i]) && text_list_has(&b->targets[i].gc.expired, id))
            return true;
    return text_list_has(&b->remembered.expired, id);
}

void buckets_condemned(struct buckets *b, bool look, struct pack_names *ret)
{
    add_names(&b->remembered.condemned, ret);
    for (size_t i = 0; i < b->count && look; i++) {
        struct target *t = &b->targets[i];
        struct dr_err ignored = { .rc = DR_OK };
        if (!target_is_good(t) || is_asking(t) ||
            gc_view_read(&t->gc, t->bucket->store, &ignored) != DR_OK)
            continue;
        add_names(&t->gc.condemned, ret);
        return;
    }
}

/* Without names the id is the one that was asked for: lanes may still read it. */
void buckets_trust(struct buckets *b, const char *id, const struct text_list *packs,
                   const struct text_list *names)
{
    DR_ASSERT(names != NULL || strcmp(b->trusted_id, id) == 0);
    for (size_t i = 0; i < packs->count; i++) {
        uint8_t name[DIGEST_SIZE];
        if (hex_decode(packs->items[i], strlen(packs->items[i]), name, sizeof name))
            (void)pack_names_add(&b->trusted, name);
    }
    b->trusts = true;
    if (names == NULL)
        return;
    set_trusted_id(b, id);
    for (size_t i = 0; i < b->count; i++)
        b->targets[i].lists_trusted = text_list_has(names, b->targets[i].bucket->config->name);
}

/* -- for the next run ------------------------------------------------------------------------ */

/* What was known before stays in its place: a lane of a bucket that hangs may still look at it. */
void buckets_remember(struct buckets *b, const struct snapshot *s, const struct buf *object)
{
    const char *state_dir = b->known_at.state_dir;
    DR_CLEANUP(known_fini) struct known after = { .count = 0 };
    if (state_dir == NULL || b->o.dry_run)
        return;
    for (size_t i = 0; i < b->known.count; i++)
        known_set(&after, &b->known.buckets[i]);
    for (size_t i = 0; i < b->count; i++) {
        const struct config_bucket *c = b->targets[i].bucket->config;
        struct known_bucket row = {
            .name = c->name, .url = c->url, .bytes = object->len, .epoch = s->epoch
        };
        if (!b->targets[i].durable) /* no job that could change it is under way any more */
            continue;
        memcpy(row.snapshot, s->id, sizeof row.snapshot);
        known_set(&after, &row);
        known_keep_repository(state_dir, c, repo_repository(b->repo));
    }
    memcpy(after.snapshot, s->id, sizeof after.snapshot);
    buf_add(&after.object, object->data, object->len);
    known_write(&b->known_at, &after);
}
