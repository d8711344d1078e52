/*
 * Listing all buckets, and telling which packs snapshots and pendings name. A snapshot counts here
 * even when its signature is bad or its writer unknown: refusing it is a matter of reading, and its
 * packs may be all that somebody has. Only an object that does not say at all what it needs stops us.
 */
#include "backup/work/prune_view.h"

#include <string.h>

#include "backup/work/fetch.h"
#include "dr/base/mem.h"

enum { LIST_TRIES = 8 };

static void clear_pendings(struct view_place *p)
{
    for (size_t i = 0; i < p->pending_count; i++) {
        free(p->pendings[i].id);
        json_decref(p->pendings[i].owner);
        idset_fini(&p->pendings[i].packs);
    }
    free(p->pendings);
    p->pendings = NULL;
    p->pending_count = 0;
}

void view_fini(struct view *v)
{
    for (size_t i = 0; i < v->count; i++) {
        clear_pendings(&v->places[i]);
        text_list_fini(&v->places[i].snapshots);
        idset_fini(&v->places[i].packs);
    }
    free(v->places);
    *v = (struct view){ 0 };
}

/* -- pendings ------------------------------------------------------------------------------ */

static enum dr_rc add_packs(const json_t *body, struct idset *ret, struct dr_err *err)
{
    const json_t *packs = NULL;
    DR_TRY(json_get_list(body, "packs", &packs, err));
    for (size_t i = 0; i < json_array_size(packs); i++)
        if (!idset_add_hex(ret, json_string_value(json_array_get(packs, i))))
            return dr_fail(err, DR_E_CORRUPT, "member 'packs' holds what is no pack");
    return DR_OK;
}

static enum dr_rc read_pending(struct store *s, const char *name, struct view_pending *ret,
                               struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_JSON json_t *body = NULL;
    DR_TRY(store_get_all(s, name, SEALED_SIZE_MAX, &object, err));
    DR_FREE char *what = dr_strf("bucket '%s': object '%s'", s->name, name);
    enum dr_rc rc = sealed_parse(what, "drctl-pending", object.data, object.len, &body, err);
    if (rc == DR_OK)
        rc = add_packs(body, &ret->packs, err);
    if (rc != DR_OK)
        return dr_hint(err, "If its backup does not run any more: drctl prune --abandon %.110s",
                       name + strlen(NAMES_PENDING));
    idset_sort(&ret->packs);
    ret->owner = json_incref(json_object_get(body, "owner"));
    return DR_OK;
}

/* All of one listing, or DR_E_NOTFOUND when one of it is gone meanwhile. */
static enum dr_rc list_pendings(struct view_place *p, const struct text_list *abandoned,
                                struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(p->store, NAMES_PENDING, &names, err));
    clear_pendings(p);
    p->pendings = dr_alloc(names.count + 1, sizeof(p->pendings[0]));
    for (size_t i = 0; i < names.count; i++) {
        const char *id = names.items[i] + strlen(NAMES_PENDING);
        struct view_pending *pending = &p->pendings[p->pending_count++];
        pending->id = dr_strdup(id);
        if (abandoned == NULL || !text_list_has_sorted(abandoned, id))
            DR_TRY(read_pending(p->store, names.items[i], pending, err));
    }
    return DR_OK;
}

static enum dr_rc take_place(struct view_place *p, const struct view_options *options,
                             struct dr_err *err)
{
    enum dr_rc rc = DR_E_NOTFOUND;
    for (int i = 0; i < LIST_TRIES && rc == DR_E_NOTFOUND; i++)
        rc = list_pendings(p, options->abandoned, err);
    DR_TRY(rc);
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(p->store, NAMES_SNAPSHOTS, &names, err));
    for (size_t i = 0; i < names.count; i++)
        text_list_add(&p->snapshots, names.items[i] + strlen(NAMES_SNAPSHOTS));
    text_list_sort(&p->snapshots);
    if (!options->packs)
        return DR_OK;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    DR_TRY(store_list(p->store, NAMES_PACKS, &packs, err));
    for (size_t i = 0; i < packs.count; i++) {
        uint8_t id[DIGEST_SIZE];
        if (names_parse_pack(packs.items[i], id))
            idset_add(&p->packs, id);
    }
    idset_sort(&p->packs);
    return DR_OK;
}

enum dr_rc view_take(struct repo *r, const struct view_options *options, struct view *ret,
                     struct dr_err *err)
{
    *ret = (struct view){ .repo = r, .count = repo_bucket_count(r) };
    ret->places = dr_alloc(ret->count + 1, sizeof(ret->places[0]));
    for (size_t i = 0; i < ret->count; i++) {
        ret->places[i].store = repo_bucket(r, i)->store;
        DR_ASSERT(ret->places[i].store != NULL);
        DR_TRY(take_place(&ret->places[i], options, err));
    }
    return DR_OK;
}

bool view_has_snapshot(const struct view *v, const char *id)
{
    for (size_t i = 0; i < v->count; i++)
        if (text_list_has_sorted(&v->places[i].snapshots, id))
            return true;
    return false;
}

void view_name_pendings(const struct view *v, const struct text_list *except, struct idset *ret)
{
    for (size_t b = 0; b < v->count; b++) {
        for (size_t i = 0; i < v->places[b].pending_count; i++) {
            const struct view_pending *p = &v->places[b].pendings[i];
            for (size_t k = 0; k < p->packs.count && !text_list_has_sorted(except, p->id); k++)
                idset_add(ret, p->packs.items[k]);
        }
    }
    idset_sort(ret);
}

/* -- the packs of a snapshot --------------------------------------------------------------- */

struct naming {
    struct fetch *fetch;
    struct idset *packs;
};

/* Frames of the list lie in packs that its text need not name. */
static enum dr_rc get_frame(void *arg, const struct list_frame *frame, struct buf *out,
                            struct dr_err *err)
{
    const struct naming *n = arg;
    struct fetch_piece p = { .offset = frame->offset,
                             .stored = frame->stored,
                             .raw = frame->raw,
                             .raw_max = PIECE_RAW_MAX };
    memcpy(p.pack, frame->pack, DIGEST_SIZE);
    memcpy(p.id, frame->id, DIGEST_SIZE);
    const struct buf *bytes = NULL;
    idset_add(n->packs, frame->pack);
    DR_TRY(fetch_get(n->fetch, &p, &bytes, err));
    buf_add(out, bytes->data, bytes->len);
    return DR_OK;
}

static bool is_text(const json_t *body, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(body, key));
    return value != NULL && strcmp(value, text) == 0;
}

/* The list of packs of the body, or DR_E_CORRUPT: a newer version may mean something else by it. */
static enum dr_rc read_list(const json_t *body, struct list *ret, struct dr_err *err)
{
    const json_t *needs = json_object_get(body, "needs"), *packs = NULL, *lines = NULL;
    int64_t version, depth;
    DR_TRY(json_get_int(body, "version", &version, err));
    if (!is_text(body, "format", "drctl-snapshot") || version != FORMAT_VERSION ||
        !json_is_array(needs) || json_array_size(needs) != 0 ||
        !is_text(body, "encryption", "none"))
        return dr_fail(err, DR_E_CORRUPT, "it is of another version");
    DR_TRY(json_get_object(body, "packs", &packs, err));
    DR_TRY(json_get_int(packs, "depth", &depth, err));
    DR_TRY(json_get_list(packs, "lines", &lines, err));
    if (depth < 0 || depth > LIST_DEPTH_MAX)
        return dr_fail(err, DR_E_CORRUPT, "its list of packs is too deep");
    ret->depth = (unsigned)depth;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const char *line = json_string_value(json_array_get(lines, i));
        if (line == NULL)
            return dr_fail(err, DR_E_CORRUPT, "its list of packs holds what is no text");
        text_list_add(&ret->lines, line);
    }
    return DR_OK;
}

static enum dr_rc name_object(struct naming *n, struct store *s, const char *id, struct dr_err *err)
{
    char name[NAMES_MAX];
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_CLEANUP(list_fini) struct list list = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    DR_JSON json_t *body = NULL;
    names_of(NAMES_SNAPSHOTS, id, name);
    DR_TRY(store_get_all(s, name, SNAPSHOT_SIZE_MAX, &object, err));
    const char *end = object.len > 0 ? memchr(object.data, '\n', object.len) : NULL;
    if (end == NULL)
        return dr_fail(err, DR_E_CORRUPT, "it has no line");
    DR_TRY(json_read(name, object.data, (size_t)(end - object.data), &body, err));
    DR_TRY(read_list(body, &list, err));
    enum dr_rc rc = list_expand(&list, get_frame, n, &packs, err);
    if (rc != DR_OK)
        return dr_fail(err, DR_E_CORRUPT, "its list of packs cannot be read");
    for (size_t i = 0; i < packs.count; i++)
        if (!idset_add_hex(n->packs, packs.items[i]))
            return dr_fail(err, DR_E_CORRUPT, "its list of packs holds what is no pack");
    return DR_OK;
}

/* From every bucket that has it: copies that differ count all. One that can be read is needed. */
static enum dr_rc name_snapshot(struct naming *n, const struct view *v, const char *id,
                                struct dr_err *err)
{
    bool told = false, gone = true;
    struct dr_err why = { 0 };
    for (size_t i = 0; i < v->count; i++) {
        struct dr_err one = { 0 };
        if (!text_list_has_sorted(&v->places[i].snapshots, id))
            continue;
        enum dr_rc rc = name_object(n, v->places[i].store, id, &one);
        told = told || rc == DR_OK;
        gone = gone && rc == DR_E_NOTFOUND;
        if (rc == DR_OK || rc == DR_E_NOTFOUND)
            continue; /* gone: another prune took it, after it had expired everywhere */
        if (rc != DR_E_CORRUPT) {
            *err = one;
            return rc; /* the bucket failed: its copy may be the one that says more */
        }
        dr_context(&one, "bucket '%s': snapshot '%s'", v->places[i].store->name, id);
        why = one;
    }
    if (told || gone)
        return DR_OK;
    *err = why;
    dr_context(err, "nobody knows which packs are needed");
    return dr_hint(err, "See 'drctl verify'. To give it up: drctl forget --force %.110s", id);
}

enum dr_rc view_name(const struct view *v, const struct text_list *expired,
                     const struct view *before, struct idset *ret, struct dr_err *err)
{
    DR_CLEANUP(fetch_free_ptr) struct fetch *fetch = fetch_new(v->repo, NULL);
    struct naming n = { .fetch = fetch, .packs = ret };
    DR_ASSERT(before == NULL || before->count == v->count);
    for (size_t b = 0; b < v->count; b++) {
        const struct text_list *ids = &v->places[b].snapshots;
        for (size_t i = 0; i < ids->count; i++) {
            const char *id = ids->items[i];
            bool known = before != NULL && text_list_has_sorted(&before->places[b].snapshots, id);
            bool earlier = false; /* named when an earlier bucket was looked at */
            for (size_t k = 0; k < b && !earlier && before == NULL; k++)
                earlier = text_list_has_sorted(&v->places[k].snapshots, id);
            if (known || earlier || text_list_has_sorted(expired, id))
                continue;
            DR_TRY(name_snapshot(&n, v, id, err));
        }
    }
    idset_sort(ret);
    return DR_OK;
}

enum dr_rc view_name_one(const struct view *v, const char *id, struct idset *ret,
                         struct dr_err *err)
{
    DR_CLEANUP(fetch_free_ptr) struct fetch *fetch = fetch_new(v->repo, NULL);
    struct naming n = { .fetch = fetch, .packs = ret };
    DR_TRY(name_snapshot(&n, v, id, err));
    idset_sort(ret);
    return DR_OK;
}
