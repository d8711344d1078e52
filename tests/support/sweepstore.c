/*
 * sweepstore.c - wraps stores, counts their calls together, and spoils one.
 */
#include "tests/support/sweepstore.h"

#include <stdatomic.h>

#include "dr/base/mem.h"

struct sweepstore {
    struct store base;
    struct store_ops ops; /* a row that inner has not is not here either */
    struct store *inner;
    atomic_bool dead;
};

static atomic_uint calls; /* of all wrapped stores */
static unsigned nth;
static enum sweep_how how;

void sweepstore_begin(enum sweep_how h, unsigned n)
{
    atomic_store(&calls, 0);
    how = h;
    nth = n;
}

bool sweepstore_end(void)
{
    unsigned seen = atomic_load(&calls);
    unsigned wanted = nth;
    nth = 0; /* what is called from now on is left alone */
    return seen >= wanted;
}

enum act { ACT_DO, ACT_FAIL, ACT_LOSE, ACT_TWICE };

/* Reading has no effect that could come without its answer, or twice. */
static enum act turn(struct store *base, bool changes)
{
    struct sweepstore *s = (struct sweepstore *)base;
    bool counts = nth != 0 && (changes || how == SWEEP_FAIL);
    bool hit = counts && atomic_fetch_add(&calls, 1) + 1 == nth;
    if (hit && how == SWEEP_DEAD)
        atomic_store(&s->dead, true);
    if (nth != 0 && atomic_load(&s->dead))
        return ACT_FAIL;
    if (!hit)
        return ACT_DO;
    return how == SWEEP_FAIL ? ACT_FAIL : how == SWEEP_LOST ? ACT_LOSE : ACT_TWICE;
}

static enum dr_rc spoil(const struct store *s, const char *name, struct dr_err *err)
{
    return dr_fail(err, DR_E_TRANSIENT, "bucket '%s': '%s': no answer, on purpose", s->name, name);
}

/* do_it is one call of the inner store; it may be made not at all, once or twice. */
#define SWEEP(base, name, changes, do_it)                        \
    do {                                                         \
        struct store *in = ((struct sweepstore *)(base))->inner; \
        enum act act = turn(base, changes);                      \
        if (act == ACT_FAIL)                                     \
            return spoil(base, name, err);                       \
        enum dr_rc rc = do_it;                                   \
        if (act == ACT_TWICE)                                    \
            rc = do_it;                                          \
        return act == ACT_LOSE ? spoil(base, name, err) : rc;    \
    } while (0)

static enum dr_rc sweep_get(struct store *s, const char *name, uint64_t offset, size_t len,
                            void *out, struct dr_err *err)
{
    SWEEP(s, name, false, in->ops->get(in, name, offset, len, out, err));
}

static enum dr_rc sweep_put(struct store *s, const char *name, const void *data, size_t len,
                            struct dr_err *err)
{
    SWEEP(s, name, true, in->ops->put(in, name, data, len, err));
}

static enum dr_rc sweep_head(struct store *s, const char *name, uint64_t *ret_size,
                             struct dr_err *err)
{
    SWEEP(s, name, false, in->ops->head(in, name, ret_size, err));
}

/* Twice would list all names two times. */
static enum dr_rc sweep_list(struct store *s, const char *prefix, struct text_list *ret,
                             struct dr_err *err)
{
    struct store *in = ((struct sweepstore *)s)->inner;
    enum act act = turn(s, false);
    if (act == ACT_FAIL || act == ACT_LOSE)
        return spoil(s, prefix, err);
    return in->ops->list(in, prefix, ret, err);
}

static enum dr_rc sweep_list_sizes(struct store *s, const char *prefix, struct store_entries *ret,
                                   struct dr_err *err)
{
    struct store *in = ((struct sweepstore *)s)->inner;
    enum act act = turn(s, false);
    if (act == ACT_FAIL || act == ACT_LOSE)
        return spoil(s, prefix, err);
    return in->ops->list_sizes(in, prefix, ret, err);
}

static enum dr_rc sweep_remove(struct store *s, const char *name, struct dr_err *err)
{
    SWEEP(s, name, true, in->ops->remove(in, name, err));
}

static enum dr_rc sweep_remove_many(struct store *s, const struct text_list *names,
                                    struct dr_err *err)
{
    SWEEP(s, names->items[0], true, in->ops->remove_many(in, names, err));
}

static enum dr_rc sweep_abilities(struct store *s, struct store_abilities *ret, struct dr_err *err)
{
    return store_abilities(((struct sweepstore *)s)->inner, ret, err);
}

static void sweep_close(struct store *s)
{
    store_close(((struct sweepstore *)s)->inner);
    store_fini(s);
    free(s);
}

static const struct store_ops sweep_ops = {
    .get = sweep_get,
    .put = sweep_put,
    .head = sweep_head,
    .list = sweep_list,
    .remove = sweep_remove,
    .close = sweep_close,
    .remove_many = sweep_remove_many,
    .list_sizes = sweep_list_sizes,
    .abilities = sweep_abilities,
};

void sweepstore_wrap(struct repo *r)
{
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        struct repo_bucket *b = repo_bucket(r, i);
        if (b->store == NULL)
            continue;
        const struct store_options o = { .name = b->store->name,
                                         .region = b->store->region,
                                         .url = b->store->url };
        struct sweepstore *s = dr_alloc(1, sizeof(*s));
        s->ops = sweep_ops;
        if (b->store->ops->remove_many == NULL)
            s->ops.remove_many = NULL;
        if (b->store->ops->list_sizes == NULL)
            s->ops.list_sizes = NULL;
        store_init(&s->base, &s->ops, &o);
        s->base.parallel = b->store->parallel;
        s->inner = b->store;
        b->store = &s->base;
    }
}
