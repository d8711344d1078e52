/*
 * stopstore.c - counts the calls of all wrapped stores, and sends the own process a signal at one.
 */
#include "tests/support/stopstore.h"

#include <signal.h>
#include <unistd.h>

#include "dr/base/mem.h"

struct stopstore {
    struct store base;
    struct store *inner;
    struct stopper *stopper;
};

static void hit(struct stopper *s)
{
    if (atomic_exchange(&s->done, true))
        return;
    (void)kill(getpid(), s->signal); /* it cannot fail for the own process */
    s->put_of = s->put_again;
    s->at = s->again;
    s->put_again = NULL;
    s->again = 0;
    atomic_store(&s->calls, 0);
    atomic_store(&s->done, s->at == 0 && s->put_of == NULL);
}

/* Is this call the one? Sends the signal when it is due before it. */
static bool turn(struct store *store, const char *put_name)
{
    struct stopper *s = ((struct stopstore *)store)->stopper;
    unsigned n = atomic_fetch_add(&s->calls, 1) + 1;
    bool mine = (s->at != 0 && n == s->at) ||
                (s->put_of != NULL && put_name != NULL && text_starts(put_name, s->put_of));
    if (mine && !s->behind)
        hit(s);
    return mine && s->behind;
}

static enum dr_rc end(struct store *store, bool due, enum dr_rc rc)
{
    if (due)
        hit(((struct stopstore *)store)->stopper);
    return rc;
}

static struct store *inner_of(struct store *s)
{
    return ((struct stopstore *)s)->inner;
}

static enum dr_rc stop_get(struct store *s, const char *name, uint64_t offset, size_t len,
                           void *out, struct dr_err *err)
{
    bool due = turn(s, NULL);
    return end(s, due, inner_of(s)->ops->get(inner_of(s), name, offset, len, out, err));
}

static enum dr_rc stop_put(struct store *s, const char *name, const void *data, size_t len,
                           struct dr_err *err)
{
    bool due = turn(s, name);
    return end(s, due, inner_of(s)->ops->put(inner_of(s), name, data, len, err));
}

static enum dr_rc stop_head(struct store *s, const char *name, uint64_t *ret_size,
                            struct dr_err *err)
{
    bool due = turn(s, NULL);
    return end(s, due, inner_of(s)->ops->head(inner_of(s), name, ret_size, err));
}

static enum dr_rc stop_list(struct store *s, const char *prefix, struct text_list *ret,
                            struct dr_err *err)
{
    bool due = turn(s, NULL);
    return end(s, due, inner_of(s)->ops->list(inner_of(s), prefix, ret, err));
}

static enum dr_rc stop_remove(struct store *s, const char *name, struct dr_err *err)
{
    bool due = turn(s, NULL);
    return end(s, due, inner_of(s)->ops->remove(inner_of(s), name, err));
}

static void stop_close(struct store *s)
{
    store_close(inner_of(s));
    store_fini(s);
    free(s);
}

static const struct store_ops stop_ops = {
    .get = stop_get,
    .put = stop_put,
    .head = stop_head,
    .list = stop_list,
    .remove = stop_remove,
    .close = stop_close,
};

void stopstore_wrap(struct repo *r, struct stopper *stopper)
{
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        struct repo_bucket *b = repo_bucket(r, i);
        if (b->store == NULL)
            continue;
        struct stopstore *s = dr_alloc(1, sizeof(*s));
        s->base.ops = &stop_ops;
        s->base.name = dr_strdup(b->store->name);
        s->base.region = dr_strdup(b->store->region);
        s->base.url = dr_strdup(b->store->url);
        s->inner = b->store;
        s->stopper = stopper;
        b->store = &s->base;
    }
}
