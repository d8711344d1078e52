/*
 * memory.c - one sorted array of named bytes under one lock.
 */
#include "tests/support/memory.h"

#include <pthread.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

struct object {
    char *name; /* owned */
    char *data; /* owned */
    size_t len;
    int64_t locked_ns;
    char tag[MEMORY_TAG_SIZE];
};

struct memory {
    pthread_mutex_t lock; /* guards the rest */
    struct object *objects;
    size_t count, cap;
};

struct memory *memory_new(void)
{
    struct memory *m = dr_alloc(1, sizeof(*m));
    DR_ASSERT(pthread_mutex_init(&m->lock, NULL) == 0);
    return m;
}

static void drop_all(struct memory *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free(m->objects[i].name);
        free(m->objects[i].data);
    }
    m->count = 0;
}

void memory_free(struct memory *m)
{
    if (m == NULL)
        return;
    drop_all(m);
    free(m->objects);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* The first whose name is not below that one. Caller holds the lock, here and below. */
static size_t place_of(const struct memory *m, const char *name)
{
    size_t from = 0, to = m->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (strcmp(m->objects[middle].name, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct object *find(struct memory *m, const char *name)
{
    size_t at = place_of(m, name);
    return at < m->count && strcmp(m->objects[at].name, name) == 0 ? &m->objects[at] : NULL;
}

static struct object *add(struct memory *m, const char *name)
{
    size_t at = place_of(m, name);
    if (m->count == m->cap) {
        m->cap = m->cap == 0 ? 64 : m->cap * 2;
        m->objects = dr_realloc(m->objects, m->cap, sizeof(*m->objects));
    }
    memmove(&m->objects[at + 1], &m->objects[at], (m->count - at) * sizeof(*m->objects));
    m->count++;
    m->objects[at] = (struct object){ .name = dr_strdup(name) };
    return &m->objects[at];
}

static void tag_of(const void *data, size_t len, char tag[MEMORY_TAG_SIZE])
{
    uint8_t digest[HASH_SIZE];
    hash_bytes(data, len, digest);
    hex_encode(digest, MEMORY_TAG_SIZE / 2, tag);
}

static enum dr_rc may_put(const struct object *o, enum memory_if when, const char *tag,
                          const char *new_tag)
{
    if (when == MEMORY_ABSENT && o != NULL)
        return DR_E_EXISTS;
    if (when == MEMORY_TAGGED && strcmp(o != NULL ? o->tag : "", tag) != 0)
        return DR_E_BUSY;
    bool locked = o != NULL && o->locked_ns > clock_wall_ns();
    return locked && strcmp(o->tag, new_tag) != 0 ? DR_E_DENIED : DR_OK;
}

enum dr_rc memory_put(struct memory *m, const char *name, const void *data, size_t len,
                      enum memory_if when, const char *tag)
{
    char new_tag[MEMORY_TAG_SIZE];
    char *bytes = dr_memdup(data, len); /* both before the lock: they take their time */
    tag_of(data, len, new_tag);
    pthread_mutex_lock(&m->lock);
    struct object *o = find(m, name);
    enum dr_rc rc = may_put(o, when, tag, new_tag);
    if (rc == DR_OK) {
        o = o != NULL ? o : add(m, name);
        char *old = o->data;
        o->data = bytes;
        o->len = len;
        memcpy(o->tag, new_tag, sizeof(new_tag));
        bytes = old;
    }
    pthread_mutex_unlock(&m->lock);
    free(bytes);
    return rc;
}

bool memory_get_part(struct memory *m, const char *name, uint64_t from, uint64_t to,
                     struct buf *out, char tag[MEMORY_TAG_SIZE], uint64_t *ret_size)
{
    pthread_mutex_lock(&m->lock);
    const struct object *o = find(m, name);
    uint64_t size = o != NULL ? o->len : 0;
    to = to < size ? to : size;
    if (from < to)
        buf_add(out, (const char *)o->data + from, (size_t)(to - from));
    if (o != NULL && tag != NULL)
        memcpy(tag, o->tag, sizeof(o->tag));
    if (ret_size != NULL)
        *ret_size = size;
    pthread_mutex_unlock(&m->lock);
    return o != NULL;
}

bool memory_get(struct memory *m, const char *name, struct buf *out, char tag[MEMORY_TAG_SIZE])
{
    return memory_get_part(m, name, 0, UINT64_MAX, out, tag, NULL);
}

bool memory_head(struct memory *m, const char *name, uint64_t *ret_size, char tag[MEMORY_TAG_SIZE])
{
    pthread_mutex_lock(&m->lock);
    const struct object *o = find(m, name);
    if (o != NULL)
        *ret_size = o->len;
    if (o != NULL && tag != NULL)
        memcpy(tag, o->tag, sizeof(o->tag));
    pthread_mutex_unlock(&m->lock);
    return o != NULL;
}

enum dr_rc memory_remove(struct memory *m, const char *name)
{
    pthread_mutex_lock(&m->lock);
    struct object *o = find(m, name);
    bool locked = o != NULL && o->locked_ns > clock_wall_ns();
    if (o != NULL && !locked) {
        size_t at = (size_t)(o - m->objects);
        free(o->name);
        free(o->data);
        m->count--;
        memmove(o, o + 1, (m->count - at) * sizeof(*o));
    }
    pthread_mutex_unlock(&m->lock);
    return locked ? DR_E_DENIED : DR_OK;
}

bool memory_lock(struct memory *m, const char *name, int64_t until_ns)
{
    pthread_mutex_lock(&m->lock);
    struct object *o = find(m, name);
    if (o != NULL && o->locked_ns < until_ns)
        o->locked_ns = until_ns;
    pthread_mutex_unlock(&m->lock);
    return o != NULL;
}

bool memory_list(struct memory *m, const char *prefix, const char *after, size_t limit,
                 struct store_entries *ret)
{
    pthread_mutex_lock(&m->lock);
    size_t at = place_of(m, strcmp(after, prefix) > 0 ? after : prefix);
    bool more = false;
    for (; at < m->count && text_starts(m->objects[at].name, prefix) && !more; at++) {
        const struct object *o = &m->objects[at];
        if (strcmp(o->name, after) <= 0)
            continue;
        more = limit-- == 0;
        if (!more)
            store_entries_add(ret, o->name, o->len);
    }
    pthread_mutex_unlock(&m->lock);
    return more;
}

void memory_flip(struct memory *m, const char *name, size_t at)
{
    pthread_mutex_lock(&m->lock);
    struct object *o = find(m, name);
    DR_ASSERT(o != NULL && at < o->len);
    o->data[at] ^= 0x20;
    pthread_mutex_unlock(&m->lock);
}

struct memory *memory_copy(struct memory *m)
{
    struct memory *copy = memory_new();
    pthread_mutex_lock(&m->lock);
    copy->cap = copy->count = m->count;
    copy->objects = dr_alloc(m->count + 1, sizeof(*m->objects));
    for (size_t i = 0; i < m->count; i++) {
        copy->objects[i] = m->objects[i];
        copy->objects[i].name = dr_strdup(m->objects[i].name);
        copy->objects[i].data = dr_memdup(m->objects[i].data, m->objects[i].len);
    }
    pthread_mutex_unlock(&m->lock);
    return copy;
}

void memory_become(struct memory *m, struct memory *other)
{
    struct memory *copy = memory_copy(other);
    pthread_mutex_lock(&m->lock);
    drop_all(m);
    free(m->objects);
    m->objects = DR_TAKE(copy->objects);
    m->count = copy->count;
    m->cap = copy->cap;
    pthread_mutex_unlock(&m->lock);
    copy->count = 0;
    memory_free(copy);
}

void memory_empty(struct memory *m)
{
    pthread_mutex_lock(&m->lock);
    drop_all(m);
    pthread_mutex_unlock(&m->lock);
}
