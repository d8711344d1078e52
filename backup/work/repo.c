/*
 * The buckets of a configuration, opened together. What one bucket lacks is remembered with it
 * and never stops the others: in an outage one of them is always away.
 */
#include "backup/work/repo.h"

#include <stdio.h>
#include <string.h>

#include "backup/store/bucket.h"
#include "backup/work/hedge.h"
#include "backup/work/known.h"
#include "backup/work/repo_inside.h"
#include "dr/base/mem.h"
#include "dr/base/pool.h"

static bool is_dark(const struct repo_options *o, const struct config_bucket *b)
{
    bool pointed = o->plant != NULL && o->plant->kind == PLANT_BUCKET;
    if (pointed && strcmp(o->plant->bucket, b->name) != 0)
        return true;
    for (size_t i = 0; b->region != NULL && i < o->dark_count; i++) {
        if (strcmp(o->dark[i], b->region) == 0)
            return true;
    }
    return false;
}

size_t repo_bucket_count(const struct repo *r)
{
    return r->config->bucket_count;
}

struct repo_bucket *repo_bucket(struct repo *r, size_t index)
{
    DR_ASSERT(index < r->config->bucket_count);
    return &r->buckets[index];
}

const struct config *repo_config(const struct repo *r)
{
    return r->config;
}

const struct repository *repo_repository(const struct repo *r)
{
    return &r->repository;
}

struct hedge *repo_hedge(struct repo *r)
{
    return r->hedge;
}

bool repo_is_planted(const struct repo *r)
{
    return r->planted;
}

void repo_at_close(struct repo *r, void (*fn)(void *arg), void *arg)
{
    struct leaving *l = dr_alloc(1, sizeof(*l));
    pthread_mutex_lock(&r->lock);
    *l = (struct leaving){ fn, arg, r->leaving };
    r->leaving = l;
    pthread_mutex_unlock(&r->lock);
}

void repo_close(struct repo *r)
{
    if (r == NULL)
        return;
    /* Whoever still uses a store hangs in it, and nobody waits for what he asked. */
    for (size_t i = 0; i < r->config->bucket_count && r->leaving != NULL; i++)
        if (r->buckets[i].store != NULL)
            store_cancel(r->buckets[i].store);
    while (r->leaving != NULL) {
        struct leaving *l = r->leaving;
        r->leaving = l->next;
        l->fn(l->arg);
        free(l);
    }
    pthread_mutex_destroy(&r->lock);
    hedge_free(r->hedge);
    buf_fini(&r->kept.object);
    text_list_fini(&r->kept.told);
    for (size_t i = 0; i < r->config->bucket_count; i++)
        store_close(r->buckets[i].store);
    free(r->buckets);
    text_list_fini(&r->inherited);
    free(r);
}

/* -- opening ------------------------------------------------------------------------------- */

enum dr_rc repo_read_object(struct store *s, struct repository *ret, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_TRY(store_get_all(s, NAMES_REPOSITORY, SEALED_SIZE_MAX, &object, err));
    DR_FREE char *what = dr_strf("bucket '%s': object '" NAMES_REPOSITORY "'", s->name);
    enum dr_rc rc = repository_parse(what, object.data, object.len, ret, err);
    if (rc == DR_E_CORRUPT)
        dr_hint(err, "Copy '" NAMES_REPOSITORY "' from another bucket: it is the same in all.");
    return rc;
}

static enum dr_rc read_found(struct store *s, struct repository *ret, struct dr_err *err)
{
    enum dr_rc rc = repo_read_object(s, ret, err);
    if (rc != DR_E_NOTFOUND)
        return rc;
    dr_fail(err, rc, "bucket '%s' holds no repository: object '" NAMES_REPOSITORY "' is missing",
            s->name);
    return dr_hint(err, "If it is new or was replaced, run 'drctl init'.");
}

struct opening { /* one bucket, while it is opened; a worker's, then the caller's again */
    struct repo *repo;
    struct repo_bucket *bucket;
    const struct repo_options *options;
    struct store *store; /* owned */
    struct repository found;
    bool from_memory;
    struct dr_err why;
};

static enum dr_rc open_one(struct opening *o, struct dr_err *err)
{
    const struct config *c = o->repo->config;
    const struct bucket_access access = { .guard = o->repo->guard, .plant = o->options->plant };
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    DR_TRY(bucket_open(c, o->bucket->config, &access, &s, err));
    o->from_memory =
        o->options->remembered && known_repository(c->state_dir, o->bucket->config, &o->found);
    if (!o->from_memory)
        DR_TRY(read_found(s, &o->found, err));
    o->store = DR_TAKE(s);
    return DR_OK;
}

static void open_work(void *state, void *item)
{
    struct opening *o = item;
    (void)state;
    enum dr_rc rc = open_one(o, &o->why);
    (void)rc; /* it is in why */
}

static enum dr_rc fail_foreign(const struct repo *r, const struct config_bucket *c,
                               const struct repository *found, struct dr_err *err)
{
    dr_fail(err, DR_E_REFUSED, "bucket '%s' holds another repository (%s, not %s)", c->name,
            found->id, r->repository.id);
    return dr_hint(err, "Correct its url in '%s'.", r->config->path);
}

/* In the order of the configuration: the first that is open says which repository it is. */
static void admit(struct repo *r, struct opening *o)
{
    struct repo_bucket *b = o->bucket;
    bool ours = r->open == 0 || strcmp(o->found.id, r->repository.id) == 0;
    if (o->store != NULL && !ours && o->from_memory) { /* memory may be of another day */
        known_forget_repository(r->config->state_dir, b->config);
        o->from_memory = false;
        if (read_found(o->store, &o->found, &o->why) == DR_OK)
            ours = strcmp(o->found.id, r->repository.id) == 0;
        else
            store_close(DR_TAKE(o->store));
    }
    if (o->store != NULL && !ours) {
        enum dr_rc rc = fail_foreign(r, b->config, &o->found, &o->why);
        (void)rc; /* it is in why */
        store_close(DR_TAKE(o->store));
    }
    if (o->store == NULL) {
        b->error = o->why;
        return;
    }
    if (r->open++ == 0)
        r->repository = o->found;
    b->unproved = o->from_memory;
    b->store = DR_TAKE(o->store);
}

/* A server that says nothing holds up nobody but whoever needs it: all are asked at once. Directories
 * answer at once, and programs are better not started by a thread. */
static enum dr_rc open_all(struct opening *all, size_t count, struct dr_err *err)
{
    enum { AT_ONCE = 16 };
    size_t far = 0;
    for (size_t i = 0; i < count; i++)
        far += text_starts(all[i].bucket->config->url, "s3://");
    const struct pool_options o = { .threads = far < 2         ? 0
                                               : far < AT_ONCE ? (unsigned)far
                                                               : AT_ONCE,
                                    .slots = count + 1,
                                    .work = open_work };
    DR_CLEANUP(pool_free_ptr) struct pool *pool = NULL;
    DR_TRY(pool_new(&o, &pool, err));
    for (size_t i = 0; i < count; i++)
        if (far >= 2 && text_starts(all[i].bucket->config->url, "s3://"))
            pool_give(pool, &all[i]);
    for (size_t i = 0; i < count; i++)
        if (far < 2 || !text_starts(all[i].bucket->config->url, "s3://"))
            open_work(NULL, &all[i]);
    while (pool_take(pool) != NULL)
        continue;
    return DR_OK;
}

/* Of buckets that cannot be used for several reasons the one that says what to do: wait, if one of them may answer later;
 * else mend a right, since no other bucket will. */
static size_t rank_of(enum dr_rc rc)
{
    return rc == DR_E_TRANSIENT || rc == DR_E_TIMEOUT ? 3 : rc == DR_E_DENIED ? 2 : rc != DR_OK;
}

static enum dr_rc fail_none(const struct repo *r, size_t dark, struct dr_err *err)
{
    const struct dr_err *told = NULL;
    DR_CLEANUP(text_list_fini) struct text_list reasons = { 0 };
    for (size_t i = 0; i < r->config->bucket_count; i++) {
        const struct dr_err *one = &r->buckets[i].error;
        if (one->rc == DR_OK)
            continue;
        text_list_add(&reasons, one->msg);
        if (told == NULL || rank_of(one->rc) > rank_of(told->rc))
            told = one;
    }
    if (told == NULL)
        return dr_fail(err, dark > 0 ? DR_E_REFUSED : DR_E_CONFIG, "%s",
                       dark > 0 ? "every bucket is in a region that must not be touched"
                                : "the configuration names no bucket");
    *err = *told;
    if (r->config->bucket_count == 1)
        return err->rc;
    DR_FREE char *all = text_list_join(&reasons, "; ");
    (void)snprintf(err->msg, sizeof(err->msg), "no bucket can be used: %s", all);
    return err->rc;
}

enum dr_rc repo_open(const struct config *c, const struct repo_options *options, struct repo **ret,
                     struct dr_err *err)
{
    DR_ASSERT(c != NULL && options != NULL && ret != NULL);
    DR_CLEANUP(repo_close_ptr) struct repo *r = dr_alloc(1, sizeof(*r));
    r->config = c;
    r->guard = options->guard;
    r->planted = options->plant != NULL && options->plant->kind != PLANT_NONE;
    r->buckets = dr_alloc(c->bucket_count + 1, sizeof(r->buckets[0]));
    DR_ASSERT(pthread_mutex_init(&r->lock, NULL) == 0);
    r->hedge = hedge_new(c->bucket_count);
    DR_FREE struct opening *all = dr_alloc(c->bucket_count + 1, sizeof(*all));
    size_t count = 0, dark = 0;
    for (size_t i = 0; i < c->bucket_count; i++) {
        struct repo_bucket *b = &r->buckets[i];
        b->config = &c->buckets[i];
        b->dark = is_dark(options, b->config);
        if (options->near != NULL && b->config->region != NULL &&
            strcmp(options->near, b->config->region) == 0)
            hedge_set_near(r->hedge, i);
        if (b->dark)
            dark++;
        else
            all[count++] = (struct opening){ .repo = r, .bucket = b, .options = options };
    }
    DR_TRY(open_all(all, count, err));
    for (size_t i = 0; i < count; i++)
        admit(r, &all[i]);
    if (r->open == 0)
        return fail_none(r, dark, err);
    struct dr_err none = { 0 };
    if (keys_read_public(c->state_dir, r->own_key, &none) != DR_OK)
        r->own_key[0] = '\0';
    DR_TRY(keys_inherited(c->state_dir, &r->inherited, err));
    *ret = DR_TAKE(r);
    return DR_OK;
}

enum dr_rc repo_prove(struct repo *r, size_t index, struct dr_err *err)
{
    struct repo_bucket *b = repo_bucket(r, index);
    struct repository found;
    DR_ASSERT(b->store != NULL);
    if (!b->unproved)
        return DR_OK;
    enum dr_rc rc = read_found(b->store, &found, err);
    if (rc == DR_OK && strcmp(found.id, r->repository.id) != 0)
        rc = fail_foreign(r, b->config, &found, err);
    if (rc == DR_OK)
        b->unproved = false;
    if (rc == DR_E_NOTFOUND || rc == DR_E_REFUSED)
        known_forget_repository(r->config->state_dir, b->config);
    return rc;
}

void repo_take_as_proved(struct repo *r, size_t index)
{
    repo_bucket(r, index)->unproved = false;
}

/* -- trust --------------------------------------------------------------------------------- */

static bool is_trusted(const struct repo *r, const struct snapshot *s)
{
    for (size_t i = 0; i < r->config->trust_count; i++) {
        if (strcmp(r->config->trusts[i].source, s->source) == 0)
            return snapshot_is_by(s, &r->config->trusts[i].keys);
    }
    return (r->own_key[0] != '\0' && strcmp(r->own_key, s->writer) == 0) ||
           snapshot_is_by(s, &r->inherited);
}

enum dr_rc repo_judge(struct repo *r, const char *name, const struct buf *object,
                      struct snapshot *ret, struct dr_err *err)
{
    DR_TRY(snapshot_parse(name, object->data, object->len, ret, err));
    if (strcmp(ret->repository, r->repository.id) != 0)
        dr_fail(err, DR_E_REFUSED, "'%s' belongs to another repository (%s)", name,
                ret->repository);
    else if (!is_trusted(r, ret))
        dr_fail(err, DR_E_REFUSED, "'%s' is signed by an unknown writer (%s)", name, ret->writer);
    else
        return DR_OK;
    dr_hint(err, "If you know this key, name it in trusted_writers of source '%.80s'.",
            ret->source);
    snapshot_fini(ret);
    return err->rc;
}

void repo_keep(struct repo *r, const char *id, struct buf *object, struct text_list *told)
{
    pthread_mutex_lock(&r->lock);
    buf_fini(&r->kept.object);
    text_list_fini(&r->kept.told);
    snprintf(r->kept.id, sizeof(r->kept.id), "%s", id);
    r->kept.object = *object;
    r->kept.told = *told;
    pthread_mutex_unlock(&r->lock);
    *object = (struct buf){ 0 };
    *told = (struct text_list){ 0 };
}

/* What was found a moment ago, once: whoever loads it again looks again. */
static bool load_kept(struct repo *r, const char *name, void (*tell)(void *arg, const char *line),
                      void *arg, struct snapshot *ret)
{
    struct dr_err ignored = { 0 };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list told = { 0 };
    pthread_mutex_lock(&r->lock);
    if (strcmp(r->kept.id, name + strlen(NAMES_SNAPSHOTS)) == 0) {
        object = r->kept.object;
        told = r->kept.told;
        r->kept.object = (struct buf){ 0 };
        r->kept.told = (struct text_list){ 0 };
        r->kept.id[0] = '\0';
    }
    pthread_mutex_unlock(&r->lock);
    if (object.len == 0 || repo_judge(r, name, &object, ret, &ignored) != DR_OK)
        return false;
    for (size_t i = 0; i < told.count && tell != NULL; i++)
        tell(arg, told.items[i]);
    return true;
}

enum dr_rc repo_load(struct repo *r, const char *id, void (*tell)(void *arg, const char *line),
                     void *arg, struct snapshot *ret, struct dr_err *err)
{
    char name[NAMES_MAX];
    if (!names_is_id(id))
        return dr_fail(err, DR_E_NOTFOUND, "'%.100s' is not the id of a snapshot", id);
    names_of(NAMES_SNAPSHOTS, id, name);
    if (load_kept(r, name, tell, arg, ret))
        return DR_OK;
    bool have = false;
    struct dr_err why = { 0 }, worst = { 0 };
    dr_fail(&worst, DR_E_NOTFOUND, "snapshot '%s' is in no open bucket", id);
    for (size_t i = 0; i < r->config->bucket_count; i++) {
        struct store *s = r->buckets[i].store;
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        struct snapshot found = { 0 };
        if (s == NULL)
            continue;
        enum dr_rc rc = store_get_all(s, name, SNAPSHOT_SIZE_MAX, &object, &why);
        if (rc == DR_OK) {
            rc = repo_judge(r, name, &object, &found, &why);
            if (rc != DR_OK)
                dr_context(&why, "bucket '%s'", s->name);
        }
        if (rc == DR_OK && !have) {
            *ret = found;
            have = true;
        } else if (rc == DR_OK) {
            snapshot_fini(&found);
        } else if (tell != NULL) {
            tell(arg, why.msg);
        }
        if (rc != DR_OK && rc != DR_E_NOTFOUND)
            worst = why;
    }
    if (!have)
        *err = worst;
    return have ? DR_OK : err->rc;
}
