/*
 * Writing to many buckets. The order of the commit is that of the model-checked protocol: a
 * pending object names the packs, then all gc lists are read, then the packs are looked for, and only
 * then the snapshot object is written; so no prune can take a pack of a visible snapshot.
 */
#include "backup/work/backup_buckets.h"

#include <string.h>

#include "backup/format/names.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

struct target {
    const struct repo_bucket *bucket;
    bool good;
    bool durable;
    struct dr_err why; /* of one that is not */
};

struct buckets {
    struct target *targets;
    size_t count;
};

static bool is_any_good(const struct buckets *b)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].good)
            return true;
    return false;
}

/* No bucket is left: the reason of the first tells most. */
static enum dr_rc fail_all(const struct buckets *b, struct dr_err *err)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].why.rc != DR_OK) {
            *err = b->targets[i].why;
            return dr_context(err, "no bucket takes the snapshot");
        }
    return dr_fail(err, DR_E_CONFIG, "no bucket to write to");
}

enum dr_rc buckets_new(struct repo *repo, struct buckets **ret, struct dr_err *err)
{
    DR_CLEANUP(buckets_free_ptr) struct buckets *b = dr_alloc(1, sizeof *b);
    b->count = repo_bucket_count(repo);
    b->targets = dr_alloc(b->count + 1, sizeof *b->targets);
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        t->bucket = repo_bucket(repo, i);
        t->good = t->bucket->store != NULL;
        if (!t->good && t->bucket->error.rc != DR_OK)
            t->why = t->bucket->error;
        else if (!t->good)
            dr_fail(&t->why, DR_E_REFUSED, "its region must not be touched");
    }
    if (!is_any_good(b))
        return fail_all(b, err);
    *ret = DR_TAKE(b);
    return DR_OK;
}

void buckets_free(struct buckets *b)
{
    if (b == NULL)
        return;
    free(b->targets);
    free(b);
}

static void drop(struct target *t, const struct dr_err *why)
{
    t->good = false;
    t->why = *why;
}

enum dr_rc buckets_repository(struct buckets *b, struct repository *ret, struct dr_err *err)
{
    struct repository first = { .seed = 0 };
    bool found = false;
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        struct repository r;
        struct dr_err why = { .rc = DR_OK };
        if (!t->good)
            continue;
        if (store_get_all(t->bucket->store, NAMES_REPOSITORY, SEALED_SIZE_MAX, &object, &why) !=
                DR_OK ||
            repository_parse(NAMES_REPOSITORY, object.data, object.len, &r, &why) != DR_OK)
            drop(t, &why);
        else if (found && strcmp(first.id, r.id) != 0) {
            dr_fail(&why, DR_E_CONFIG, "it belongs to another repository");
            drop(t, &why);
        } else if (!found) {
            first = r;
            found = true;
        }
    }
    if (!found)
        return fail_all(b, err);
    *ret = first;
    return DR_OK;
}

/* An object that is there already has the same bytes: its name is their digest, or its run's own. */
static enum dr_rc put_one(struct target *t, const char *name, const void *data, size_t len)
{
    struct dr_err why = { .rc = DR_OK };
    enum dr_rc rc = store_put(t->bucket->store, name, data, len, &why);
    if (rc == DR_OK || rc == DR_E_EXISTS)
        return DR_OK;
    drop(t, &why);
    return rc;
}

enum dr_rc buckets_put(struct buckets *b, struct spooled *pack, struct dr_err *err)
{
    char name[NAMES_MAX];
    names_pack(pack->name, name);
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].good)
            (void)put_one(&b->targets[i], name, pack->data,
                          pack->len); /* it dropped out, with its reason */
    return is_any_good(b) ? DR_OK : fail_all(b, err);
}

/* -- commit -------------------------------------------------------------------------------- */

static json_t *text_array(const struct text_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        DR_ASSERT(json_array_append_new(array, json_string(list->items[i])) == 0);
    return array;
}

static bool holds(const json_t *array, const char *text)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *item = json_string_value(json_array_get(array, i));
        if (item != NULL && strcmp(item, text) == 0)
            return true;
    }
    return false;
}

/* Does this gc list condemn a pack of s, or expire s itself? */
static bool is_condemned(const json_t *gc, const struct snapshot *s)
{
    const json_t *packs = json_object_get(gc, "packs");
    for (size_t i = 0; json_array_size(packs) > 0 && i < s->packs.lines.count; i++)
        if (holds(packs, s->packs.lines.items[i]))
            return true;
    return holds(json_object_get(gc, "snapshots"), s->id);
}

/* Read all gc lists of the bucket. */
static enum dr_rc check_gc(struct store *store, const struct snapshot *s, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(store, NAMES_GC, &names, err));
    for (size_t i = 0; i < names.count; i++) {
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        DR_JSON json_t *gc = NULL;
        DR_TRY(store_get_all(store, names.items[i], SEALED_SIZE_MAX, &object, err));
        DR_TRY(sealed_parse(names.items[i], "drctl-gc", object.data, object.len, &gc, err));
        if (!is_condemned(gc, s))
            continue;
        dr_fail(err, DR_E_BUSY, "a prune condemned packs of this run ('%s')", names.items[i]);
        return dr_hint(err, "Run the backup again.");
    }
    return DR_OK;
}

/* Is every pack there? It was put by this run; who knows what happened since. */
static enum dr_rc check_packs(struct store *store, const struct snapshot *s, struct dr_err *err)
{
    for (size_t i = 0; i < s->packs.lines.count; i++) {
        uint8_t id[DIGEST_SIZE];
        char name[NAMES_MAX];
        uint64_t size;
        const char *hex = s->packs.lines.items[i];
        DR_ASSERT(hex_decode(hex, strlen(hex), id, sizeof id));
        DR_TRY(store_head(store, names_pack(id, name), &size, err));
    }
    return DR_OK;
}

/* One that stays only keeps packs from being pruned: its failure is nobody's business. */
static void remove_pending(struct store *store, const char *name)
{
    struct dr_err ignored = { .rc = DR_OK };
    enum dr_rc rc = store_remove(store, name, &ignored);
    (void)rc;
}

/* Steps 2 to 4 in one bucket: pending, gc, packs. The pending is taken away again on failure. */
static enum dr_rc prepare_home(struct target *home, const struct snapshot *s,
                               const struct buf *pending, struct dr_err *err)
{
    char name[NAMES_MAX];
    struct store *store = home->bucket->store;
    names_of(NAMES_PENDING, s->id, name);
    enum dr_rc rc = store_put(store, name, pending->data, pending->len, err);
    if (rc != DR_OK)
        return rc;
    rc = check_gc(store, s, err);
    if (rc == DR_OK)
        rc = check_packs(store, s, err);
    if (rc != DR_OK)
        remove_pending(store, name);
    return rc;
}

static struct target *find_home(struct buckets *b, const struct snapshot *s)
{
    DR_JSON json_t *body = json_object();
    DR_CLEANUP(buf_fini) struct buf pending = { 0 };
    json_put_text(body, "snapshot", s->id);
    json_put(body, "packs", text_array(&s->packs.lines));
    sealed_encode(body, "drctl-pending", &pending);
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        struct dr_err why = { .rc = DR_OK };
        if (!t->good)
            continue;
        if (prepare_home(t, s, &pending, &why) == DR_OK)
            return t;
        drop(t, &why);
    }
    return NULL;
}

/* After the PUT was answered: is it there, and expired by nobody? */
static void confirm(struct target *t, const struct snapshot *s)
{
    struct dr_err why = { .rc = DR_OK };
    if (check_gc(t->bucket->store, s, &why) == DR_OK)
        t->durable = true;
    else
        drop(t, &why);
}

enum dr_rc buckets_commit(struct buckets *b, const struct snapshot *s, const struct buf *object,
                          struct dr_err *err)
{
    char name[NAMES_MAX], pending[NAMES_MAX];
    struct target *home = find_home(b, s);
    names_of(NAMES_SNAPSHOTS, s->id, name);
    names_of(NAMES_PENDING, s->id, pending);
    if (home == NULL)
        return fail_all(b, err);
    enum dr_rc at_home = put_one(home, name, object->data, object->len);
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        if (t != home && t->good)
            (void)put_one(t, name, object->data, object->len); /* dropped out, with its reason */
        if (t->good)
            confirm(t, s);
    }
    if (at_home == DR_OK) /* unknown at home: the pending stays and protects the packs there */
        remove_pending(home->bucket->store, pending);
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].durable)
            return DR_OK;
    return fail_all(b, err);
}

void buckets_report(const struct buckets *b, struct backup_result *ret)
{
    ret->copies = 0;
    ret->wanted = b->count >= 3 ? b->count / 2 + 1 : 1;
    for (size_t i = 0; i < b->count; i++) {
        const struct target *t = &b->targets[i];
        if (t->durable) {
            ret->copies++;
            continue;
        }
        DR_FREE char *line = dr_strf("%s: %s", t->bucket->config->name, t->why.msg);
        text_list_add(&ret->missing, line);
    }
}
