/*
 * The store that lies. Each call asks first whether the plant is about this bucket and this object; what is
 * not spoiled goes through untouched, so that a control meets the fault that was planted and no other.
 */
#include "backup/store/plant.h"

#include <string.h>

#include "dr/base/mem.h"

struct planted {
    struct store base;
    struct store_ops ops; /* a row that inner has not is not here either */
    struct store *inner;  /* owned */
    struct plant *plant;
};

static const char *const kinds[PLANT_KINDS] = {
    [PLANT_NONE] = "",
    [PLANT_PART] = "part",
    [PLANT_FLIP] = "flip",
    [PLANT_FLIP_ONE] = "flip-one",
    [PLANT_MISSING] = "missing",
    [PLANT_TRUNCATE] = "truncate",
    [PLANT_HIDE] = "hide",
    [PLANT_OBJECT] = "object",
    [PLANT_EXPIRED] = "expired",
    [PLANT_BUCKET] = "bucket",
    [PLANT_FULL_DISK] = "full-disk",
    [PLANT_TAMPER] = "tamper",
    [PLANT_STALL] = "stall",
    [PLANT_LOSE] = "lose",
};

/* What a kind cannot do without. */
static const struct needs {
    bool name, text, bucket, only;
} needs[PLANT_KINDS] = {
    [PLANT_PART] = { .only = true },
    [PLANT_FLIP] = { .name = true },
    [PLANT_FLIP_ONE] = { .name = true },
    [PLANT_MISSING] = { .name = true },
    [PLANT_TRUNCATE] = { .name = true },
    [PLANT_HIDE] = { .name = true },
    [PLANT_OBJECT] = { .name = true, .text = true },
    [PLANT_BUCKET] = { .bucket = true },
    [PLANT_FULL_DISK] = { .name = true },
    [PLANT_TAMPER] = { .only = true },
    [PLANT_STALL] = { .name = true },
    [PLANT_LOSE] = { .only = true },
};

/* -- on its way ---------------------------------------------------------------------------- */

void plant_fini(struct plant *p)
{
    free(p->bucket);
    free(p->name);
    free(p->text);
    free(p->only);
    p->kind = PLANT_NONE;
    p->bucket = p->name = p->text = p->only = NULL;
    p->at = 0;
}

static char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? dr_strdup(text) : NULL;
}

static enum plant_kind kind_of(const char *word)
{
    for (size_t i = PLANT_NONE + 1; word != NULL && i < PLANT_KINDS; i++)
        if (strcmp(kinds[i], word) == 0)
            return (enum plant_kind)i;
    return PLANT_NONE;
}

enum dr_rc plant_read(const json_t *run, struct plant *ret, struct dr_err *err)
{
    DR_ASSERT(ret != NULL && ret->kind == PLANT_NONE);
    const json_t *o = json_object_get(run, "plant");
    if (o == NULL || json_is_null(o))
        return DR_OK;
    if (!json_is_true(json_object_get(run, "drill")))
        return dr_fail(err, DR_E_REFUSED, "a fault is planted outside of a drill");
    enum plant_kind kind = kind_of(json_string_value(json_object_get(o, "kind")));
    int64_t at = json_integer_value(json_object_get(o, "at"));
    if (kind == PLANT_NONE || at < 0)
        return dr_fail(err, DR_E_USAGE, "the planted fault is of no kind that is known here");
    ret->kind = kind;
    ret->bucket = text_of(o, "bucket");
    ret->name = text_of(o, "name");
    ret->text = text_of(o, "text");
    ret->only = text_of(o, "only");
    ret->at = (uint64_t)at;
    const struct needs *n = &needs[kind];
    if ((n->name && ret->name == NULL) || (n->text && ret->text == NULL) ||
        (n->bucket && ret->bucket == NULL) || (n->only && ret->only == NULL)) {
        plant_fini(ret);
        return dr_fail(err, DR_E_USAGE, "the planted fault '%s' does not say what it is about",
                       kinds[kind]);
    }
    return DR_OK;
}

json_t *plant_json(const struct plant *p)
{
    DR_ASSERT(p->kind > PLANT_NONE && p->kind < PLANT_KINDS);
    json_t *o = json_object();
    json_put_text(o, "kind", kinds[p->kind]);
    json_put(o, "bucket", p->bucket != NULL ? json_string(p->bucket) : json_null());
    if (p->name != NULL)
        json_put_text(o, "name", p->name);
    if (p->text != NULL)
        json_put_text(o, "text", p->text);
    if (p->only != NULL)
        json_put_text(o, "only", p->only);
    if (p->at > 0)
        json_put_int(o, "at", (int64_t)p->at);
    return o;
}

void plant_meet(struct plant *p)
{
    atomic_fetch_add_explicit(&p->met, 1, memory_order_relaxed);
}

/* -- what is spoiled ----------------------------------------------------------------------- */

static struct planted *planted_of(struct store *s)
{
    return (struct planted *)s;
}

static bool is_about_bucket(const struct planted *s)
{
    const char *bucket = s->plant->bucket;
    return bucket == NULL || strcmp(bucket, s->base.name) == 0;
}

static bool is_about(const struct planted *s, enum plant_kind kind, const char *name)
{
    const struct plant *p = s->plant;
    return p->kind == kind && is_about_bucket(s) && strcmp(p->name, name) == 0;
}

static bool is_gone(const struct planted *s, const char *name)
{
    const struct plant *p = s->plant;
    bool hidden = p->kind == PLANT_HIDE && is_about_bucket(s) &&
                  strncmp(p->name, name, (size_t)p->at) == 0 && strcmp(name, p->name) >= 0;
    return hidden || is_about(s, PLANT_MISSING, name);
}

/* Before anything is asked of the bucket. */
static enum dr_rc look(struct planted *s, const char *name, struct dr_err *err)
{
    if (s->plant->kind == PLANT_EXPIRED && is_about_bucket(s)) {
        plant_meet(s->plant);
        dr_fail(
            err, DR_E_DENIED,
            "bucket '%s': cannot get object '%s': the session token has expired (403 ExpiredToken)",
            s->base.name, name);
        return dr_hint(err, "Get new temporary keys for bucket '%s'.", s->base.name);
    }
    if (!is_gone(s, name))
        return DR_OK;
    plant_meet(s->plant);
    return dr_fail(err, DR_E_NOTFOUND, "bucket '%s': there is no object '%s'", s->base.name, name);
}

static enum dr_rc fail_short(const struct planted *s, const char *name, uint64_t has,
                             uint64_t wanted, struct dr_err *err)
{
    plant_meet(s->plant);
    return dr_fail(err, DR_E_CORRUPT,
                   "bucket '%s': object '%s' is truncated: it has %llu bytes, %llu are needed",
                   s->base.name, name, (unsigned long long)has, (unsigned long long)wanted);
}

/* What a driver says when the body stops coming, and its time has run out. */
static enum dr_rc fail_stalled(const struct planted *s, const char *name, struct dr_err *err)
{
    plant_meet(s->plant);
    return dr_fail(err, DR_E_TIMEOUT,
                   "bucket '%s': object '%s': nothing more came in the middle of it, and the time "
                   "ran out",
                   s->base.name, name);
}

/* Is it this store that flips the byte? Of flip-one it is the first that is asked for it. */
static bool flips(struct planted *s, const char *name)
{
    struct plant *p = s->plant;
    struct store *first = NULL;
    if (is_about(s, PLANT_FLIP, name))
        return true;
    if (!is_about(s, PLANT_FLIP_ONE, name))
        return false;
    return atomic_compare_exchange_strong(&p->first, &first, &s->base) || first == &s->base;
}

/* len bytes of the object from offset on are in out. */
static void flip(struct planted *s, const char *name, uint64_t offset, size_t len, void *out)
{
    struct plant *p = s->plant;
    if (p->at < offset || p->at - offset >= len || !flips(s, name))
        return;
    ((uint8_t *)out)[p->at - offset] ^= PLANT_BITS;
    plant_meet(p);
}

/* -- reading ------------------------------------------------------------------------------- */

static enum dr_rc planted_get(struct store *store, const char *name, uint64_t offset, size_t len,
                              void *out, struct dr_err *err)
{
    struct planted *s = planted_of(store);
    const struct plant *p = s->plant;
    DR_TRY(look(s, name, err));
    if (is_about(s, PLANT_OBJECT, name)) {
        size_t has = strlen(p->text);
        if (offset > has || len > has - offset)
            return fail_short(s, name, has, offset + len, err);
        memcpy(out, p->text + offset, len);
        plant_meet(s->plant);
        return DR_OK;
    }
    if (is_about(s, PLANT_TRUNCATE, name) && offset + len > p->at)
        return fail_short(s, name, p->at, offset + len, err);
    if (is_about(s, PLANT_STALL, name))
        return fail_stalled(s, name, err);
    DR_TRY(s->inner->ops->get(s->inner, name, offset, len, out, err));
    flip(s, name, offset, len, out);
    return DR_OK;
}

static enum dr_rc planted_head(struct store *store, const char *name, uint64_t *ret_size,
                               struct dr_err *err)
{
    struct planted *s = planted_of(store);
    const struct plant *p = s->plant;
    DR_TRY(look(s, name, err));
    if (is_about(s, PLANT_OBJECT, name)) {
        plant_meet(s->plant);
        *ret_size = strlen(p->text);
        return DR_OK;
    }
    uint64_t size = 0;
    DR_TRY(s->inner->ops->head(s->inner, name, &size, err));
    bool cut = is_about(s, PLANT_TRUNCATE, name) && size > p->at;
    if (cut)
        plant_meet(s->plant);
    *ret_size = cut ? p->at : size;
    return DR_OK;
}

static enum dr_rc planted_get_all(struct store *store, const char *name, size_t limit,
                                  struct buf *out, struct dr_err *err)
{
    struct planted *s = planted_of(store);
    const struct plant *p = s->plant;
    size_t before = out->len;
    DR_TRY(look(s, name, err));
    if (is_about(s, PLANT_OBJECT, name)) {
        plant_meet(s->plant);
        buf_adds(out, p->text);
        return DR_OK;
    }
    if (is_about(s, PLANT_STALL, name))
        return fail_stalled(s, name, err);
    DR_TRY(s->inner->ops->get_all(s->inner, name, limit, out, err));
    size_t len = out->len - before;
    if (is_about(s, PLANT_TRUNCATE, name) && len > p->at) {
        plant_meet(s->plant);
        out->len = before + (size_t)p->at;
        out->data[out->len] = '\0';
    }
    if (len > 0)
        flip(s, name, 0, out->len - before, out->data + before);
    return DR_OK;
}

/* What a list shows: without what is gone, with what was put there. behind: a name after which it may go on; "": the list is whole. */
static void spoil_list(struct planted *s, const char *prefix, const char *behind,
                       struct text_list *l)
{
    const struct plant *p = s->plant;
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (is_gone(s, l->items[i])) {
            plant_meet(s->plant);
            free(l->items[i]);
        } else {
            l->items[kept++] = l->items[i];
        }
    }
    l->count = kept;
    bool here = p->kind == PLANT_OBJECT && is_about_bucket(s) && text_starts(p->name, prefix) &&
                (behind[0] == '\0' || strcmp(p->name, behind) < 0);
    if (here && !text_list_has(l, p->name)) {
        plant_meet(s->plant);
        text_list_add(l, p->name);
        text_list_sort(l);
    }
}

static enum dr_rc planted_list(struct store *store, const char *prefix, struct text_list *ret,
                               struct dr_err *err)
{
    struct planted *s = planted_of(store);
    if (s->plant->kind == PLANT_EXPIRED)
        DR_TRY(look(s, prefix, err));
    DR_TRY(s->inner->ops->list(s->inner, prefix, ret, err));
    spoil_list(s, prefix, "", ret);
    return DR_OK;
}

static enum dr_rc planted_list_some(struct store *store, const char *prefix, struct text_list *ret,
                                    bool *ret_more, struct dr_err *err)
{
    struct planted *s = planted_of(store);
    if (s->plant->kind == PLANT_EXPIRED)
        DR_TRY(look(s, prefix, err));
    DR_TRY(s->inner->ops->list_some(s->inner, prefix, ret, ret_more, err));
    DR_FREE char *last = dr_strdup(*ret_more && ret->count > 0 ? ret->items[ret->count - 1] : "");
    spoil_list(s, prefix, last, ret);
    return DR_OK;
}

static enum dr_rc planted_abilities(struct store *store, struct store_abilities *ret,
                                    struct dr_err *err)
{
    struct planted *s = planted_of(store);
    if (s->plant->kind == PLANT_EXPIRED)
        DR_TRY(look(s, "", err));
    return store_abilities(s->inner, ret, err);
}

/* -- not writing --------------------------------------------------------------------------- */

static enum dr_rc refuse(const struct store *s, const char *name, struct dr_err *err)
{
    return dr_fail(err, DR_E_REFUSED,
                   "bucket '%s': object '%s': nothing is written where a fault is planted", s->name,
                   name);
}

static enum dr_rc planted_put(struct store *s, const char *name, const void *data, size_t len,
                              struct dr_err *err)
{
    (void)data;
    (void)len;
    return refuse(s, name, err);
}

static enum dr_rc planted_remove(struct store *s, const char *name, struct dr_err *err)
{
    return refuse(s, name, err);
}

static void planted_close(struct store *store)
{
    struct planted *s = planted_of(store);
    store_close(s->inner);
    store_fini(store);
    free(s);
}

static const struct store_ops planted_ops = {
    .get = planted_get,
    .put = planted_put,
    .head = planted_head,
    .list = planted_list,
    .remove = planted_remove,
    .close = planted_close,
    .get_all = planted_get_all,
    .list_some = planted_list_some,
    .abilities = planted_abilities,
};

struct store *plant_store(struct plant *p, struct store *inner)
{
    DR_ASSERT(p->kind != PLANT_NONE && inner != NULL);
    struct planted *s = dr_alloc(1, sizeof(*s));
    const struct store_options o = { .name = inner->name,
                                     .region = inner->region,
                                     .url = inner->url };
    s->ops = planted_ops;
    if (inner->ops->get_all == NULL)
        s->ops.get_all = NULL;
    if (inner->ops->list_some == NULL)
        s->ops.list_some = NULL;
    store_init(&s->base, &s->ops, &o);
    s->base.parallel = inner->parallel;
    s->base.inner = inner;
    s->inner = inner;
    s->plant = p;
    return &s->base;
}
