/*
 * faultstore.c - a store around a store, which counts, and fails where it is told to.
 */
#include "tests/support/faultstore.h"

#include <pthread.h>
#include <string.h>

#include "dr/base/mem.h"

struct faultstore {
    struct store base;
    struct store_ops ops; /* a row that inner has not is not here either */
    struct store *inner;
    pthread_mutex_t lock; /* guards what is below */
    unsigned calls[FAULTSTORE_OPS];
    uint64_t got, put;
    enum faultstore_op op; /* of the planned failure */
    unsigned countdown;    /* 0: none is planned */
    bool on;               /* every call after the planned one fails too */
    bool failing;
    enum dr_rc rc;
    const char *flip_prefix;
    uint64_t flip_offset;
};

/* Is this the call that was picked? What it fails with is *ret_rc. */
static bool is_hit(struct faultstore *f, enum faultstore_op op, enum dr_rc *ret_rc)
{
    pthread_mutex_lock(&f->lock);
    f->calls[op]++;
    bool picked = f->op == op || f->op == FAULTSTORE_ANY;
    bool hit = picked && f->failing;
    if (picked && f->countdown > 0 && --f->countdown == 0) {
        hit = true;
        f->failing = f->on;
    }
    *ret_rc = f->rc;
    pthread_mutex_unlock(&f->lock);
    return hit;
}

static enum dr_rc turn(struct faultstore *f, enum faultstore_op op, const char *name,
                       struct dr_err *err)
{
    enum dr_rc rc;
    if (!is_hit(f, op, &rc))
        return DR_OK;
    return dr_fail(err, rc, "bucket '%s': '%s': failed on purpose", f->base.name, name);
}

static void count(struct faultstore *f, uint64_t *bytes, size_t len)
{
    pthread_mutex_lock(&f->lock);
    *bytes += len;
    pthread_mutex_unlock(&f->lock);
}

static enum dr_rc fault_get(struct store *s, const char *name, uint64_t offset, size_t len,
                            void *out, struct dr_err *err)
{
    struct faultstore *f = (struct faultstore *)s;
    DR_TRY(turn(f, FAULTSTORE_GET, name, err));
    DR_TRY(f->inner->ops->get(f->inner, name, offset, len, out, err));
    count(f, &f->got, len);
    bool inside = f->flip_offset >= offset && f->flip_offset - offset < len;
    if (f->flip_prefix != NULL && text_starts(name, f->flip_prefix) && inside)
        ((uint8_t *)out)[f->flip_offset - offset] ^= 0x5A;
    return DR_OK;
}

static enum dr_rc fault_put(struct store *s, const char *name, const void *data, size_t len,
                            struct dr_err *err)
{
    struct faultstore *f = (struct faultstore *)s;
    DR_TRY(turn(f, FAULTSTORE_PUT, name, err));
    DR_TRY(f->inner->ops->put(f->inner, name, data, len, err));
    count(f, &f->put, len);
    return DR_OK;
}

static enum dr_rc fault_head(struct store *s, const char *name, uint64_t *ret_size,
                             struct dr_err *err)
{
    struct faultstore *f = (struct faultstore *)s;
    DR_TRY(turn(f, FAULTSTORE_HEAD, name, err));
    return f->inner->ops->head(f->inner, name, ret_size, err);
}

static enum dr_rc fault_list(struct store *s, const char *prefix, struct text_list *ret,
                             struct dr_err *err)
{
    struct faultstore *f = (struct faultstore *)s;
    DR_TRY(turn(f, FAULTSTORE_LIST, prefix, err));
    return f->inner->ops->list(f->inner, prefix, ret, err);
}

static enum dr_rc fault_remove(struct store *s, const char *name, struct dr_err *err)
{
    struct faultstore *f = (struct faultstore *)s;
    DR_TRY(turn(f, FAULTSTORE_REMOVE, name, err));
    return f->inner->ops->remove(f->inner, name, err);
}

static enum dr_rc fault_remove_many(struct store *s, const struct text_list *names,
                                    struct dr_err *err)
{
    struct faultstore *f = (struct faultstore *)s;
    DR_TRY(turn(f, FAULTSTORE_REMOVE, names->items[0], err));
    return f->inner->ops->remove_many(f->inner, names, err);
}

static enum dr_rc fault_list_sizes(struct store *s, const char *prefix, struct store_entries *ret,
                                   struct dr_err *err)
{
    struct faultstore *f = (struct faultstore *)s;
    DR_TRY(turn(f, FAULTSTORE_LIST, prefix, err));
    return f->inner->ops->list_sizes(f->inner, prefix, ret, err);
}

static enum dr_rc fault_read_tagged(struct store *s, const char *name, struct buf *out,
                                    char tag[STORE_TAG_MAX], struct dr_err *err)
{
    struct faultstore *f = (struct faultstore *)s;
    DR_TRY(turn(f, FAULTSTORE_GET, name, err));
    return f->inner->ops->read_tagged(f->inner, name, out, tag, err);
}

static enum dr_rc fault_swap(struct store *s, const char *name, const char *seen_tag,
                             const void *data, size_t len, struct dr_err *err)
{
    struct faultstore *f = (struct faultstore *)s;
    DR_TRY(turn(f, FAULTSTORE_PUT, name, err));
    return f->inner->ops->swap(f->inner, name, seen_tag, data, len, err);
}

static enum dr_rc fault_lock_until(struct store *s, const char *name, int64_t until_ns,
                                   struct dr_err *err)
{
    struct faultstore *f = (struct faultstore *)s;
    DR_TRY(turn(f, FAULTSTORE_PUT, name, err));
    return f->inner->ops->lock_until(f->inner, name, until_ns, err);
}

static enum dr_rc fault_abilities(struct store *s, struct store_abilities *ret, struct dr_err *err)
{
    return store_abilities(((struct faultstore *)s)->inner, ret, err);
}

static void fault_close(struct store *s)
{
    struct faultstore *f = (struct faultstore *)s;
    store_close(f->inner);
    pthread_mutex_destroy(&f->lock);
    store_fini(s);
    free(f);
}

static const struct store_ops fault_ops = {
    .get = fault_get,
    .put = fault_put,
    .head = fault_head,
    .list = fault_list,
    .remove = fault_remove,
    .close = fault_close,
    .remove_many = fault_remove_many,
    .list_sizes = fault_list_sizes,
    .read_tagged = fault_read_tagged,
    .swap = fault_swap,
    .lock_until = fault_lock_until,
    .abilities = fault_abilities,
};

struct store *faultstore_new(struct store *inner)
{
    struct faultstore *f = dr_alloc(1, sizeof(*f));
    const struct store_options o = { .name = inner->name,
                                     .region = inner->region,
                                     .url = inner->url };
    f->ops = fault_ops;
    if (inner->ops->remove_many == NULL)
        f->ops.remove_many = NULL;
    if (inner->ops->list_sizes == NULL)
        f->ops.list_sizes = NULL;
    if (inner->ops->read_tagged == NULL)
        f->ops.read_tagged = NULL;
    if (inner->ops->swap == NULL)
        f->ops.swap = NULL;
    if (inner->ops->lock_until == NULL)
        f->ops.lock_until = NULL;
    store_init(&f->base, &f->ops, &o);
    f->base.parallel = inner->parallel;
    f->inner = inner;
    DR_ASSERT(pthread_mutex_init(&f->lock, NULL) == 0);
    return &f->base;
}

static void plan(struct store *s, enum faultstore_op op, unsigned nth, enum dr_rc rc)
{
    struct faultstore *f = (struct faultstore *)s;
    pthread_mutex_lock(&f->lock);
    f->op = op;
    f->countdown = nth;
    f->failing = false;
    f->on = false;
    f->rc = rc;
    pthread_mutex_unlock(&f->lock);
}

void faultstore_fail(struct store *s, enum faultstore_op op, unsigned nth, enum dr_rc rc)
{
    plan(s, op, nth, rc);
}

void faultstore_fail_from(struct store *s, enum faultstore_op op, unsigned nth, enum dr_rc rc)
{
    plan(s, op, nth, rc);
    ((struct faultstore *)s)->on = true;
}

void faultstore_flip(struct store *s, const char *prefix, uint64_t offset)
{
    struct faultstore *f = (struct faultstore *)s;
    f->flip_prefix = prefix;
    f->flip_offset = offset;
}

unsigned faultstore_calls(const struct store *s, enum faultstore_op op)
{
    DR_ASSERT(op < FAULTSTORE_OPS);
    return ((const struct faultstore *)s)->calls[op];
}

uint64_t faultstore_bytes_got(const struct store *s)
{
    return ((const struct faultstore *)s)->got;
}

uint64_t faultstore_bytes_put(const struct store *s)
{
    return ((const struct faultstore *)s)->put;
}
