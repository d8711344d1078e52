/*
 * memstore.c - struct store on struct memory.
 */
#include "tests/support/memstore.h"

#include <string.h>

#include "dr/base/mem.h"

struct memstore {
    struct store base;
    struct memory *memory;
};

static struct memory *memory_of(struct store *s)
{
    return ((struct memstore *)s)->memory;
}

static enum dr_rc fail(const struct store *s, enum dr_rc rc, const char *name, const char *why,
                       struct dr_err *err)
{
    return dr_fail(err, rc, "bucket '%s': object '%s' %s", s->name, name, why);
}

static enum dr_rc mem_get(struct store *s, const char *name, uint64_t offset, size_t len, void *out,
                          struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf all = { 0 };
    uint64_t size = 0;
    if (!memory_get_part(memory_of(s), name, offset, offset + len, &all, NULL, &size))
        return fail(s, DR_E_NOTFOUND, name, "is not there", err);
    if (offset > size || len != all.len)
        return fail(s, DR_E_CORRUPT, name, "is truncated", err);
    if (len > 0)
        memcpy(out, all.data, len);
    return DR_OK;
}

/* Of a put: what the memory said. */
static enum dr_rc answer(const struct store *s, enum dr_rc rc, const char *name, struct dr_err *err)
{
    return rc == DR_OK ? DR_OK : fail(s, rc, name, "is there, and is another or locked", err);
}

static enum dr_rc pace(const struct store *s, size_t len, struct dr_err *err)
{
    for (size_t done = 0; s->pace != NULL && done < len;) {
        size_t slice = len - done < s->pace->slice ? len - done : s->pace->slice;
        DR_TRY(s->pace->take(s->pace->arg, slice, err));
        done += slice;
    }
    return DR_OK;
}

static enum dr_rc mem_put(struct store *s, const char *name, const void *data, size_t len,
                          struct dr_err *err)
{
    DR_TRY(pace(s, len, err));
    return answer(s, memory_put(memory_of(s), name, data, len, MEMORY_ABSENT, ""), name, err);
}

static enum dr_rc mem_head(struct store *s, const char *name, uint64_t *ret_size,
                           struct dr_err *err)
{
    if (!memory_head(memory_of(s), name, ret_size, NULL))
        return fail(s, DR_E_NOTFOUND, name, "is not there", err);
    return DR_OK;
}

static enum dr_rc mem_list_sizes(struct store *s, const char *prefix, struct store_entries *ret,
                                 struct dr_err *err)
{
    (void)err;
    (void)memory_list(memory_of(s), prefix, "", SIZE_MAX, ret); /* there is no more than that */
    return DR_OK;
}

static enum dr_rc mem_list(struct store *s, const char *prefix, struct text_list *ret,
                           struct dr_err *err)
{
    DR_CLEANUP(store_entries_fini) struct store_entries all = { 0 };
    DR_TRY(mem_list_sizes(s, prefix, &all, err));
    for (size_t i = 0; i < all.count; i++)
        text_list_add(ret, all.items[i].name);
    return DR_OK;
}

static enum dr_rc mem_remove(struct store *s, const char *name, struct dr_err *err)
{
    if (memory_remove(memory_of(s), name) != DR_OK)
        return fail(s, DR_E_DENIED, name, "is locked", err);
    return DR_OK;
}

static enum dr_rc mem_read_tagged(struct store *s, const char *name, struct buf *out,
                                  char tag[STORE_TAG_MAX], struct dr_err *err)
{
    (void)err;
    if (!memory_get(memory_of(s), name, out, tag))
        tag[0] = '\0';
    return DR_OK;
}

static enum dr_rc mem_swap(struct store *s, const char *name, const char *seen_tag,
                           const void *data, size_t len, struct dr_err *err)
{
    return answer(s, memory_put(memory_of(s), name, data, len, MEMORY_TAGGED, seen_tag), name, err);
}

static enum dr_rc mem_lock_until(struct store *s, const char *name, int64_t until_ns,
                                 struct dr_err *err)
{
    if (!memory_lock(memory_of(s), name, until_ns))
        return fail(s, DR_E_NOTFOUND, name, "is not there", err);
    return DR_OK;
}

static void mem_close(struct store *s)
{
    store_fini(s);
    free(s);
}

static const struct store_ops mem_ops = {
    .get = mem_get,
    .put = mem_put,
    .head = mem_head,
    .list = mem_list,
    .remove = mem_remove,
    .close = mem_close,
    .list_sizes = mem_list_sizes,
    .read_tagged = mem_read_tagged,
    .swap = mem_swap,
    .lock_until = mem_lock_until,
};

struct store *memstore_new(struct memory *m, const char *name, const char *region)
{
    struct memstore *s = dr_alloc(1, sizeof(*s));
    const struct store_options o = { .name = name, .region = region, .url = "mem:" };
    store_init(&s->base, &mem_ops, &o);
    s->base.parallel = 4;
    s->memory = m;
    return &s->base;
}
