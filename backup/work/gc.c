/*
 * gc lists of all buckets. They are write-once, so one reading of a name is as good as another: each is
 * read once, from the first bucket that has it whole. A name that was listed and is gone was merged into
 * a later one: the buckets are listed anew.
 */
#include "backup/work/gc.h"

#include <stdio.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/data/json.h"

enum { LIST_TRIES = 8 };

void gc_all_fini(struct gc_all *g)
{
    text_list_fini(&g->names);
    text_list_fini(&g->expired);
    text_list_fini(&g->seen);
    idset_fini(&g->condemned);
}

static void sort_unique(struct text_list *l)
{
    size_t kept = 0;
    text_list_sort(l);
    for (size_t i = 0; i < l->count; i++) {
        if (kept > 0 && strcmp(l->items[kept - 1], l->items[i]) == 0)
            free(l->items[i]);
        else
            l->items[kept++] = l->items[i];
    }
    l->count = kept;
}

/* -- one list ------------------------------------------------------------------------------ */

static enum dr_rc add_texts(const json_t *body, const char *key, struct text_list *ret,
                            struct dr_err *err)
{
    const json_t *list = NULL;
    DR_TRY(json_get_list(body, key, &list, err));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL)
            return dr_fail(err, DR_E_CORRUPT, "member '%s' holds what is no text", key);
        text_list_add(ret, text);
    }
    return DR_OK;
}

static enum dr_rc add_list(const json_t *body, struct gc_all *ret, struct dr_err *err)
{
    const json_t *packs = NULL;
    DR_TRY(json_get_list(body, "packs", &packs, err));
    for (size_t i = 0; i < json_array_size(packs); i++)
        if (!idset_add_hex(&ret->condemned, json_string_value(json_array_get(packs, i))))
            return dr_fail(err, DR_E_CORRUPT, "member 'packs' holds what is no pack");
    DR_TRY(add_texts(body, "snapshots", &ret->expired, err));
    if (json_object_get(body, "seen") == NULL)
        return DR_OK;
    return add_texts(body, "seen", &ret->seen, err);
}

static enum dr_rc get_list(struct store *s, const char *name, struct buf *object, json_t **ret,
                           struct dr_err *err)
{
    buf_clear(object);
    DR_TRY(store_get_all(s, name, SEALED_SIZE_MAX, object, err));
    DR_FREE char *what = dr_strf("bucket '%s': object '%s'", s->name, name);
    return sealed_parse(what, "drctl-gc", object->data, object->len, ret, err);
}

/* -- all lists ----------------------------------------------------------------------------- */

struct gathering {
    struct repo *repo;
    const struct gc_options *options;
    struct text_list *lists; /* of each bucket, sorted */
    struct gc_all all;
    bool again; /* a name vanished: list anew */
};

static void gathering_clear(struct gathering *g)
{
    for (size_t i = 0; g->lists != NULL && i < repo_bucket_count(g->repo); i++)
        text_list_fini(&g->lists[i]);
    gc_all_fini(&g->all);
    g->all = (struct gc_all){ 0 };
    g->again = false;
}

static void gathering_fini(struct gathering *g)
{
    gathering_clear(g);
    free(g->lists);
}

static bool has(const struct gathering *g, size_t bucket, const char *name)
{
    return text_list_has_sorted(&g->lists[bucket], name);
}

/* From the first bucket that has it whole; its bytes stay in object for those that lack it. */
static enum dr_rc read_one(struct gathering *g, const char *name, struct buf *object,
                           struct dr_err *err)
{
    bool gone = true;
    dr_fail(err, DR_E_NOTFOUND, "object '%s' is in no bucket", name);
    for (size_t i = 0; i < repo_bucket_count(g->repo); i++) {
        DR_JSON json_t *body = NULL;
        if (!has(g, i, name))
            continue;
        enum dr_rc rc = get_list(repo_bucket(g->repo, i)->store, name, object, &body, err);
        if (rc == DR_OK) {
            rc = add_list(body, &g->all, err);
            return rc == DR_OK ? DR_OK : dr_context(err, "'%s'", name);
        }
        gone = gone && rc == DR_E_NOTFOUND;
    }
    g->again = gone;
    return err->rc;
}

static bool is_readmitted(const struct gathering *g, size_t bucket)
{
    const char *name = g->options->readmit;
    return name != NULL && strcmp(name, repo_bucket(g->repo, bucket)->config->name) == 0;
}

/* How many lists does the bucket lack that it must have had? It was listed before others were, so what
 * its listing lacks is looked for once more: a list that names it as seen came later than it did. */
static enum dr_rc count_lost(const struct gathering *g, size_t bucket, size_t *ret,
                             struct dr_err *err)
{
    *ret = 0;
    for (size_t i = 0; i < g->all.seen.count; i++) {
        char name[NAMES_MAX];
        uint64_t size;
        snprintf(name, sizeof(name), NAMES_GC "%.150s", g->all.seen.items[i]);
        if (!text_list_has_sorted(&g->all.names, name) || has(g, bucket, name))
            continue;
        enum dr_rc rc = store_head(repo_bucket(g->repo, bucket)->store, name, &size, err);
        if (rc != DR_OK && rc != DR_E_NOTFOUND)
            return rc;
        *ret += rc == DR_E_NOTFOUND;
    }
    return DR_OK;
}

static enum dr_rc check_seen(const struct gathering *g, struct dr_err *err)
{
    for (size_t b = 0; b < repo_bucket_count(g->repo); b++) {
        const char *bucket = repo_bucket(g->repo, b)->config->name;
        size_t lost = 0;
        DR_TRY(count_lost(g, b, &lost, err));
        if (lost == 0 || is_readmitted(g, b))
            continue;
        dr_fail(err, DR_E_REFUSED,
                "bucket '%s' came back older than the others: it lacks %zu gc list%s that it had",
                bucket, lost, lost == 1 ? "" : "s");
        return dr_hint(err,
                       "Nothing is pruned until 'drctl prune --readmit %.60s' has copied them "
                       "into it.",
                       bucket);
    }
    return DR_OK;
}

static enum dr_rc copy_one(struct gathering *g, const char *name, const struct buf *object,
                           struct dr_err *err)
{
    for (size_t i = 0; i < repo_bucket_count(g->repo); i++) {
        if (has(g, i, name))
            continue;
        enum dr_rc rc =
            store_put(repo_bucket(g->repo, i)->store, name, object->data, object->len, err);
        if (rc != DR_OK && rc != DR_E_EXISTS)
            return rc;
    }
    return DR_OK;
}

static bool is_everywhere(const struct gathering *g, const char *name)
{
    for (size_t i = 0; i < repo_bucket_count(g->repo); i++)
        if (!has(g, i, name))
            return false;
    return true;
}

/* What an interrupted prune has put into some buckets goes into all. */
static enum dr_rc complete_one(struct gathering *g, const char *name, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    enum dr_rc rc = DR_E_NOTFOUND;
    for (size_t i = 0; i < repo_bucket_count(g->repo) && rc != DR_OK; i++) {
        DR_JSON json_t *body = NULL;
        if (has(g, i, name))
            rc = get_list(repo_bucket(g->repo, i)->store, name, &object, &body, err);
    }
    DR_TRY(rc);
    return copy_one(g, name, &object, err);
}

static enum dr_rc list_all(struct gathering *g, struct dr_err *err)
{
    for (size_t i = 0; i < repo_bucket_count(g->repo); i++) {
        DR_TRY(store_list(repo_bucket(g->repo, i)->store, NAMES_GC, &g->lists[i], err));
        text_list_sort(&g->lists[i]);
        for (size_t k = 0; k < g->lists[i].count; k++)
            text_list_add(&g->all.names, g->lists[i].items[k]);
    }
    sort_unique(&g->all.names);
    return DR_OK;
}

static enum dr_rc gather_once(struct gathering *g, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_TRY(list_all(g, err));
    for (size_t i = 0; i < g->all.names.count; i++)
        DR_TRY(read_one(g, g->all.names.items[i], &object, err));
    sort_unique(&g->all.expired);
    sort_unique(&g->all.seen);
    idset_sort(&g->all.condemned);
    DR_TRY(check_seen(g, err));
    for (size_t i = 0; i < g->all.names.count && !g->options->read_only; i++)
        if (!is_everywhere(g, g->all.names.items[i]))
            DR_TRY(complete_one(g, g->all.names.items[i], err));
    return DR_OK;
}

enum dr_rc gc_gather(struct repo *r, const struct gc_options *options, struct gc_all *ret,
                     struct dr_err *err)
{
    DR_CLEANUP(gathering_fini) struct gathering g = { .repo = r, .options = options };
    g.lists = dr_alloc(repo_bucket_count(r) + 1, sizeof(g.lists[0]));
    for (int try = 0; try < LIST_TRIES; try++) {
        gathering_clear(&g);
        enum dr_rc rc = gather_once(&g, err);
        if (rc != DR_OK && g.again)
            continue;
        DR_TRY(rc);
        *ret = g.all;
        g.all = (struct gc_all){ 0 };
        return DR_OK;
    }
    return dr_context(err, "gc lists vanish while they are read (%d tries)", LIST_TRIES);
}

/* -- one more ------------------------------------------------------------------------------ */

static void add_text(json_t *array, const char *text)
{
    int rc = json_array_append_new(array, json_string(text));
    DR_ASSERT(rc == 0);
}

/* The names that stand everywhere and are in nobody's "seen" yet. */
static json_t *newly_seen(const struct gc_all *known)
{
    json_t *array = json_array();
    for (size_t i = 0; i < known->names.count; i++) {
        const char *last = known->names.items[i] + strlen(NAMES_GC);
        if (!text_list_has_sorted(&known->seen, last))
            add_text(array, last);
    }
    return array;
}

/* Sorts by time, for people; the random half makes it unique. */
static void make_name(char ret[NAMES_MAX])
{
    uint8_t noise[8];
    char hex[2 * sizeof(noise) + 1];
    random_bytes(noise, sizeof(noise));
    snprintf(ret, NAMES_MAX, NAMES_GC "%020lld-%s", (long long)clock_wall_ns(),
             hex_encode(noise, sizeof(noise), hex));
}

enum dr_rc gc_publish(struct repo *r, const struct idset *packs, const struct text_list *snapshots,
                      const struct gc_all *known, struct dr_err *err)
{
    DR_ASSERT(packs == NULL || packs->count <= GC_PACKS_MAX);
    DR_ASSERT(snapshots->count <= GC_SNAPSHOTS_MAX);
    DR_JSON json_t *body = json_object();
    json_t *names = json_array(), *ids = json_array();
    for (size_t i = 0; packs != NULL && i < packs->count; i++) {
        char hex[HASH_HEX_SIZE];
        add_text(names, hex_encode(packs->items[i], DIGEST_SIZE, hex));
    }
    for (size_t i = 0; i < snapshots->count; i++)
        add_text(ids, snapshots->items[i]);
    json_put(body, "packs", names);
    json_put(body, "snapshots", ids);
    json_put(body, "seen", newly_seen(known));
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    char name[NAMES_MAX];
    sealed_encode(body, "drctl-gc", &object);
    make_name(name);
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        enum dr_rc rc = store_put(repo_bucket(r, i)->store, name, object.data, object.len, err);
        if (rc != DR_OK && rc != DR_E_EXISTS) /* there: another prune has completed ours */
            return rc;
    }
    return DR_OK;
}

enum dr_rc gc_is_expired(struct store *s, const char *id, bool *ret, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_TRY(store_list(s, NAMES_GC, &names, err));
    *ret = false;
    for (size_t i = 0; i < names.count && !*ret; i++) {
        DR_JSON json_t *body = NULL;
        DR_CLEANUP(gc_all_fini) struct gc_all one = { 0 };
        DR_TRY(get_list(s, names.items[i], &object, &body, err));
        DR_TRY(add_list(body, &one, err));
        *ret = text_list_has(&one.expired, id);
    }
    return DR_OK;
}

void gc_expired(struct store *from, struct text_list *ret)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct dr_err ignored = { 0 };
    if (store_list(from, NAMES_GC, &names, &ignored) != DR_OK)
        return;
    for (size_t i = 0; i < names.count; i++) {
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        DR_JSON json_t *body = NULL;
        const json_t *ids = NULL;
        if (store_get_all(from, names.items[i], SEALED_SIZE_MAX, &object, &ignored) != DR_OK ||
            sealed_parse(names.items[i], "drctl-gc", object.data, object.len, &body, &ignored) !=
                DR_OK ||
            json_get_list(body, "snapshots", &ids, &ignored) != DR_OK)
            continue;
        for (size_t k = 0; k < json_array_size(ids); k++) {
            const char *id = json_string_value(json_array_get(ids, k));
            if (id != NULL)
                text_list_add(ret, id);
        }
    }
}
