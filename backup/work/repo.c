/*
 * The buckets of a configuration, opened together. What one bucket lacks is remembered with it
 * and never stops the others: in an outage one of them is always away.
 */
#include "backup/work/repo.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "backup/store/bucket.h"
#include "backup/work/hedge.h"
#include "backup/work/members.h"
#include "dr/base/mem.h"

struct leaving { /* what must end before the stores are closed */
    void (*fn)(void *arg);
    void *arg;
    struct leaving *next;
};

struct repo {
    const struct config *config;
    bool guard;
    struct repo_bucket *buckets; /* owned; one for each of the configuration */
    struct repository repository;
    char own_key[KEYS_TEXT_MAX]; /* public; empty: none yet */
    struct text_list inherited;  /* public keys that count as our own */
    struct hedge *hedge;         /* owned */
    pthread_mutex_t lock;        /* guards what is below */
    struct leaving *leaving;
};

static bool is_dark(const struct repo_options *o, const char *region)
{
    for (size_t i = 0; region != NULL && i < o->dark_count; i++) {
        if (strcmp(o->dark[i], region) == 0)
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
    while (r->leaving != NULL) {
        struct leaving *l = r->leaving;
        r->leaving = l->next;
        l->fn(l->arg);
        free(l);
    }
    pthread_mutex_destroy(&r->lock);
    hedge_free(r->hedge);
    for (size_t i = 0; i < r->config->bucket_count; i++)
        store_close(r->buckets[i].store);
    free(r->buckets);
    text_list_fini(&r->inherited);
    free(r);
}

/* -- the repository object ----------------------------------------------------------------- */

static enum dr_rc read_repository(struct store *s, struct repository *ret, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_TRY(store_get_all(s, NAMES_REPOSITORY, SEALED_SIZE_MAX, &object, err));
    DR_FREE char *what = dr_strf("bucket '%s': object '" NAMES_REPOSITORY "'", s->name);
    enum dr_rc rc = repository_parse(what, object.data, object.len, ret, err);
    if (rc == DR_E_CORRUPT)
        dr_hint(err, "Copy '" NAMES_REPOSITORY "' from another bucket: it is the same in all.");
    return rc;
}

/* Open one bucket and see that it belongs to the others. */
static enum dr_rc open_bucket(const struct config_bucket *c, struct repo *r, bool first,
                              struct store **ret, struct dr_err *err)
{
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    struct repository found;
    const struct bucket_access access = { .guard = r->guard };
    DR_TRY(bucket_open(r->config, c, &access, &s, err));
    enum dr_rc rc = read_repository(s, &found, err);
    if (rc == DR_E_NOTFOUND) {
        dr_fail(err, rc,
                "bucket '%s' holds no repository: object '" NAMES_REPOSITORY "' is missing",
                c->name);
        return dr_hint(err, "If it is new or was replaced, run 'drctl init'.");
    }
    DR_TRY(rc);
    if (!first && strcmp(found.id, r->repository.id) != 0) {
        dr_fail(err, DR_E_REFUSED, "bucket '%s' holds another repository (%s, not %s)", c->name,
                found.id, r->repository.id);
        return dr_hint(err, "Correct its url in '%s'.", r->config->path);
    }
    r->repository = found;
    *ret = DR_TAKE(s);
    return DR_OK;
}

enum dr_rc repo_open(const struct config *c, const struct repo_options *options, struct repo **ret,
                     struct dr_err *err)
{
    DR_ASSERT(c != NULL && options != NULL && ret != NULL);
    DR_CLEANUP(repo_close_ptr) struct repo *r = dr_alloc(1, sizeof(*r));
    r->config = c;
    r->guard = options->guard;
    r->buckets = dr_alloc(c->bucket_count + 1, sizeof(r->buckets[0]));
    DR_ASSERT(pthread_mutex_init(&r->lock, NULL) == 0);
    r->hedge = hedge_new(c->bucket_count);
    size_t open = 0, dark = 0;
    const struct dr_err *why = NULL;
    for (size_t i = 0; i < c->bucket_count; i++) {
        struct repo_bucket *b = &r->buckets[i];
        b->config = &c->buckets[i];
        b->dark = is_dark(options, b->config->region);
        if (options->near != NULL && b->config->region != NULL &&
            strcmp(options->near, b->config->region) == 0)
            hedge_set_near(r->hedge, i);
        if (b->dark)
            dark++;
        else if (open_bucket(b->config, r, open == 0, &b->store, &b->error) == DR_OK)
            open++;
        else if (why == NULL)
            why = &b->error;
    }
    if (open == 0 && why != NULL) {
        *err = *why;
        return c->bucket_count > 1 ? dr_context(err, "no bucket can be used") : err->rc;
    }
    if (open == 0)
        return dr_fail(err, dark > 0 ? DR_E_REFUSED : DR_E_CONFIG, "%s",
                       dark > 0 ? "every bucket is in a region that must not be touched"
                                : "the configuration names no bucket");
    struct dr_err none = { 0 };
    if (keys_read_public(c->state_dir, r->own_key, &none) != DR_OK)
        r->own_key[0] = '\0';
    DR_TRY(keys_inherited(c->state_dir, &r->inherited, err));
    *ret = DR_TAKE(r);
    return DR_OK;
}

/* Lists of members and gc lists come first: an init that died may have left them. */
static bool is_of_init(const char *name)
{
    return text_starts(name, NAMES_MEMBERS) || text_starts(name, NAMES_GC);
}

/* The buckets that an init is about, all open. */
struct founding {
    const struct config *config;
    struct store **stores; /* owned, each too */
    bool *fresh;           /* owned: has no repository object yet */
    struct repository repository;
    bool found;
};

static void founding_fini(struct founding *f)
{
    for (size_t i = 0; i < f->config->bucket_count; i++)
        store_close(f->stores[i]);
    free(f->stores);
    free(f->fresh);
}

/* What stands in a bucket that is to become ours: nothing, or a repository. */
static enum dr_rc survey(struct founding *f, size_t at, struct dr_err *err)
{
    const struct config_bucket *c = &f->config->buckets[at];
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct repository found;
    DR_TRY(bucket_open(f->config, c, NULL, &f->stores[at], err));
    struct store *s = f->stores[at];
    enum dr_rc rc = read_repository(s, &found, err);
    if (rc == DR_E_NOTFOUND) {
        DR_TRY(store_list(s, "", &names, err));
        for (size_t i = 0; i < names.count; i++) {
            if (is_of_init(names.items[i]))
                continue;
            dr_fail(err, DR_E_REFUSED,
                    "bucket '%s' is not empty and holds no repository ('%s' ...)", c->name,
                    names.items[i]);
            return dr_hint(err, "Choose an empty directory, or restore its object 'repository'.");
        }
        f->fresh[at] = true;
        return DR_OK;
    }
    DR_TRY(rc);
    if (f->found && strcmp(found.id, f->repository.id) != 0)
        return dr_fail(err, DR_E_REFUSED, "bucket '%s' holds another repository (%s, not %s)",
                       c->name, found.id, f->repository.id);
    f->found = true;
    f->repository = found;
    return DR_OK;
}

/* All gc lists of the others, before anything can be written here: what was expired stays so. */
static enum dr_rc copy_gc(const struct founding *f, struct store *to, struct dr_err *err)
{
    for (size_t i = 0; i < f->config->bucket_count; i++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        if (f->fresh[i])
            continue;
        DR_TRY(store_list(f->stores[i], NAMES_GC, &names, err));
        for (size_t k = 0; k < names.count; k++) {
            DR_CLEANUP(buf_fini) struct buf object = { 0 };
            DR_TRY(store_get_all(f->stores[i], names.items[k], SEALED_SIZE_MAX, &object, err));
            enum dr_rc rc = store_put(to, names.items[k], object.data, object.len, err);
            if (rc != DR_OK && rc != DR_E_EXISTS)
                return rc;
        }
    }
    return DR_OK;
}

/* gc lists, then the list of members (new buckets first), then the object that opens the bucket. */
static enum dr_rc take_in(struct founding *f, struct dr_err *err)
{
    const struct members_change change = { .config = f->config,
                                           .stores = f->stores,
                                           .fresh = f->fresh };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    if (!f->found)
        repository_make(&f->repository);
    repository_encode(&f->repository, &object);
    for (size_t i = 0; i < f->config->bucket_count; i++)
        if (f->fresh[i])
            DR_TRY(copy_gc(f, f->stores[i], err));
    DR_TRY(members_settle(&change, err));
    for (size_t i = 0; i < f->config->bucket_count; i++) {
        if (!f->fresh[i])
            continue;
        enum dr_rc rc = store_put(f->stores[i], NAMES_REPOSITORY, object.data, object.len, err);
        if (rc == DR_E_EXISTS)
            dr_hint(err, "Another init was faster: run 'drctl init' again.");
        DR_TRY(rc);
    }
    return DR_OK;
}

enum dr_rc repo_init(const struct config *c, struct dr_err *err)
{
    if (c->bucket_count == 0)
        return dr_fail(err, DR_E_CONFIG, "the configuration names no bucket");
    DR_CLEANUP(founding_fini)
    struct founding f = { .config = c,
                          .stores = dr_alloc(c->bucket_count, sizeof(void *)),
                          .fresh = dr_alloc(c->bucket_count, sizeof(bool)) };
    for (size_t i = 0; i < c->bucket_count; i++)
        DR_TRY(survey(&f, i, err));
    DR_CLEANUP(keys_free_ptr) struct keys *signer = NULL;
    DR_TRY(keys_open(c->state_dir, true, &signer, err));
    return take_in(&f, err);
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

enum dr_rc repo_load(struct repo *r, const char *id, void (*tell)(void *arg, const char *line),
                     void *arg, struct snapshot *ret, struct dr_err *err)
{
    char name[NAMES_MAX];
    if (!names_is_id(id))
        return dr_fail(err, DR_E_NOTFOUND, "'%.100s' is not the id of a snapshot", id);
    names_of(NAMES_SNAPSHOTS, id, name);
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
