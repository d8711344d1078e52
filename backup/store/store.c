/*
 * The part that all buckets share: names are checked once here, so that no driver has to, and
 * the scheme of the URL picks the driver. Nothing here knows what the objects hold.
 */
#include "backup/store/store.h"

#include <string.h>

#include "backup/store/dir.h"
#include "backup/store/exec.h"
#include "backup/store/s3.h"
#include "dr/base/mem.h"

enum { NAME_LEN_MAX = 200 };

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
           c == '/';
}

/* A part must have a first character, and that is no dot: this refuses "", ".", ".." and hidden
 * names in one rule. */
static bool is_name(const char *name)
{
    size_t len = strnlen(name, NAME_LEN_MAX + 1);
    if (len == 0 || len > NAME_LEN_MAX || name[len - 1] == '/')
        return false;
    for (size_t i = 0; i < len; i++) {
        bool first = i == 0 || name[i - 1] == '/';
        if (!is_name_char(name[i]) || (first && (name[i] == '.' || name[i] == '/')))
            return false;
    }
    return true;
}

static enum dr_rc check_name(const struct store *s, const char *name, struct dr_err *err)
{
    if (is_name(name))
        return DR_OK;
    return dr_fail(err, DR_E_CORRUPT, "bucket '%s': '%.220s' is not the name of an object", s->name,
                   name);
}

/* The scheme of a url picks its row. */
static const struct driver {
    const char *scheme;
    enum dr_rc (*open)(const struct store_options *o, struct store **ret, struct dr_err *err);
} drivers[] = {
    { "file:///", dir_open },
    { "exec:///", exec_open },
    { "s3://", s3_open },
};

enum dr_rc store_open(const struct store_options *o, struct store **ret, struct dr_err *err)
{
    DR_ASSERT(o != NULL && o->name != NULL && o->url != NULL && ret != NULL && err != NULL);
    for (size_t i = 0; i < DR_ARRAY_LEN(drivers); i++) {
        if (text_starts(o->url, drivers[i].scheme))
            return drivers[i].open(o, ret, err);
    }
    dr_fail(err, DR_E_CONFIG, "bucket '%s': no driver for the url '%s'", o->name, o->url);
    return dr_hint(err, "Write s3://BUCKET, or a directory as file:///PATH (three slashes).");
}

enum dr_rc store_open_url(const char *name, const char *region, const char *url, struct store **ret,
                          struct dr_err *err)
{
    const struct store_options o = { .name = name, .region = region, .url = url };
    return store_open(&o, ret, err);
}

void store_init(struct store *s, const struct store_ops *ops, const struct store_options *o)
{
    s->ops = ops;
    s->name = dr_strdup(o->name);
    s->region = dr_strdup(o->region != NULL ? o->region : "");
    s->url = dr_strdup(o->url);
}

void store_fini(struct store *s)
{
    free(s->name);
    free(s->region);
    free(s->url);
}

void store_close(struct store *s)
{
    if (s != NULL)
        s->ops->close(s);
}

void store_cancel(struct store *s)
{
    for (; s != NULL; s = s->inner)
        atomic_store(&s->cancelled, true);
}

/* -- counting ------------------------------------------------------------------------------ */

void store_count(struct store *s, enum store_counter what, uint64_t n)
{
    DR_ASSERT(what < STORE_COUNTERS);
    atomic_fetch_add_explicit(&s->counters[what], n, memory_order_relaxed);
}

static void moved(struct store *s, enum store_counter what, uint64_t bytes)
{
    if (!s->counts_itself)
        store_count(s, what, bytes);
}

static void call(struct store *s, enum store_counter what)
{
    moved(s, what, 1);
}

static uint64_t count_of(const struct store *s, enum store_counter what)
{
    return atomic_load_explicit(&s->counters[what], memory_order_relaxed);
}

void store_counts(const struct store *s, struct store_counts *ret)
{
    DR_ASSERT(s != NULL && ret != NULL);
    *ret = (struct store_counts){
        .gets = count_of(s, STORE_GETS),
        .puts = count_of(s, STORE_PUTS),
        .heads = count_of(s, STORE_HEADS),
        .lists = count_of(s, STORE_LISTS),
        .removes = count_of(s, STORE_REMOVES),
        .bytes_in = count_of(s, STORE_BYTES_IN),
        .bytes_out = count_of(s, STORE_BYTES_OUT),
        .retries = count_of(s, STORE_RETRIES),
    };
}

unsigned store_parallel(const struct store *s)
{
    return s->parallel > 0 ? s->parallel : 1;
}

/* -- what every driver can do --------------------------------------------------------------- */

enum dr_rc store_get(struct store *s, const char *name, uint64_t offset, size_t len, void *out,
                     struct dr_err *err)
{
    DR_ASSERT(s != NULL && (out != NULL || len == 0));
    DR_TRY(check_name(s, name, err));
    call(s, STORE_GETS);
    DR_TRY(s->ops->get(s, name, offset, len, out, err));
    moved(s, STORE_BYTES_IN, len);
    return DR_OK;
}

enum dr_rc store_put(struct store *s, const char *name, const void *data, size_t len,
                     struct dr_err *err)
{
    DR_ASSERT(s != NULL && (data != NULL || len == 0));
    DR_TRY(check_name(s, name, err));
    call(s, STORE_PUTS);
    DR_TRY(s->ops->put(s, name, data, len, err));
    moved(s, STORE_BYTES_OUT, len);
    return DR_OK;
}

enum dr_rc store_put_file(struct store *s, const char *name, const struct store_file *file,
                          struct dr_err *err)
{
    DR_ASSERT(s != NULL && file != NULL && file->data != NULL);
    if (s->ops->put_file == NULL || file->fd < 0)
        return store_put(s, name, file->data, file->len, err);
    DR_TRY(check_name(s, name, err));
    call(s, STORE_PUTS);
    DR_TRY(s->ops->put_file(s, name, file, err));
    moved(s, STORE_BYTES_OUT, file->len);
    return DR_OK;
}

enum dr_rc store_head(struct store *s, const char *name, uint64_t *ret_size, struct dr_err *err)
{
    DR_ASSERT(s != NULL && ret_size != NULL);
    DR_TRY(check_name(s, name, err));
    call(s, STORE_HEADS);
    return s->ops->head(s, name, ret_size, err);
}

enum dr_rc store_list(struct store *s, const char *prefix, struct text_list *ret,
                      struct dr_err *err)
{
    DR_ASSERT(s != NULL && prefix != NULL && ret != NULL);
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    call(s, STORE_LISTS);
    DR_TRY(s->ops->list(s, prefix, &all, err));
    for (size_t i = 0; i < all.count; i++) {
        if (is_name(all.items[i])) /* what a person left in a bucket is no object */
            text_list_add(ret, all.items[i]);
    }
    return DR_OK;
}

enum dr_rc store_list_some(struct store *s, const char *prefix, struct text_list *ret,
                           bool *ret_more, struct dr_err *err)
{
    DR_ASSERT(s != NULL && prefix != NULL && ret != NULL && ret_more != NULL);
    *ret_more = false;
    if (s->ops->list_some == NULL)
        return store_list(s, prefix, ret, err);
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    call(s, STORE_LISTS);
    DR_TRY(s->ops->list_some(s, prefix, &all, ret_more, err));
    for (size_t i = 0; i < all.count; i++)
        if (is_name(all.items[i]))
            text_list_add(ret, all.items[i]);
    return DR_OK;
}

enum dr_rc store_remove(struct store *s, const char *name, struct dr_err *err)
{
    DR_ASSERT(s != NULL);
    DR_TRY(check_name(s, name, err));
    call(s, STORE_REMOVES);
    return s->ops->remove(s, name, err);
}

enum dr_rc store_get_all(struct store *s, const char *name, size_t limit, struct buf *out,
                         struct dr_err *err)
{
    uint64_t size = 0;
    if (s->ops->get_all != NULL) {
        size_t before = out->len;
        DR_TRY(check_name(s, name, err));
        call(s, STORE_GETS);
        DR_TRY(s->ops->get_all(s, name, limit, out, err));
        moved(s, STORE_BYTES_IN, out->len - before);
        return DR_OK;
    }
    DR_TRY(store_head(s, name, &size, err));
    if (size > limit)
        return dr_fail(err, DR_E_CORRUPT,
                       "bucket '%s': object '%s' is larger than any of its kind (%llu bytes)",
                       s->name, name, (unsigned long long)size);
    char *at = buf_reserve(out, (size_t)size);
    DR_TRY(store_get(s, name, 0, (size_t)size, at, err));
    out->len += (size_t)size;
    out->data[out->len] = '\0';
    return DR_OK;
}

/* -- what some can do ----------------------------------------------------------------------- */

void store_entries_add(struct store_entries *e, const char *name, uint64_t size)
{
    if (e->count == e->cap) {
        e->cap = e->cap == 0 ? 64 : e->cap * 2;
        e->items = dr_realloc(e->items, e->cap, sizeof(*e->items));
    }
    e->items[e->count++] = (struct store_entry){ .name = dr_strdup(name), .size = size };
}

void store_entries_fini(struct store_entries *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->items[i].name);
    free(e->items);
    *e = (struct store_entries){ 0 };
}

static enum dr_rc cannot(const struct store *s, const char *what, struct dr_err *err)
{
    dr_fail(err, DR_E_CONFIG, "bucket '%s': %s cannot %s", s->name, s->url, what);
    return dr_hint(err, "drctl doctor says what each bucket can do.");
}

enum dr_rc store_remove_many(struct store *s, const struct text_list *names, struct dr_err *err)
{
    DR_ASSERT(s != NULL && names != NULL);
    for (size_t i = 0; i < names->count; i++)
        DR_TRY(check_name(s, names->items[i], err));
    if (s->ops->remove_many != NULL && names->count > 0) {
        call(s, STORE_REMOVES);
        return s->ops->remove_many(s, names, err);
    }
    for (size_t i = 0; i < names->count; i++)
        DR_TRY(store_remove(s, names->items[i], err));
    return DR_OK;
}

/* What is removed between the list and its head was not there. */
static enum dr_rc list_and_head(struct store *s, const char *prefix, struct store_entries *ret,
                                struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(s, prefix, &names, err));
    for (size_t i = 0; i < names.count; i++) {
        uint64_t size = 0;
        enum dr_rc rc = store_head(s, names.items[i], &size, err);
        if (rc != DR_OK && rc != DR_E_NOTFOUND)
            return rc;
        if (rc == DR_OK)
            store_entries_add(ret, names.items[i], size);
    }
    return DR_OK;
}

enum dr_rc store_list_sizes(struct store *s, const char *prefix, struct store_entries *ret,
                            struct dr_err *err)
{
    DR_ASSERT(s != NULL && prefix != NULL && ret != NULL);
    if (s->ops->list_sizes == NULL)
        return list_and_head(s, prefix, ret, err);
    DR_CLEANUP(store_entries_fini) struct store_entries all = { 0 };
    call(s, STORE_LISTS);
    DR_TRY(s->ops->list_sizes(s, prefix, &all, err));
    for (size_t i = 0; i < all.count; i++) {
        if (is_name(all.items[i].name))
            store_entries_add(ret, all.items[i].name, all.items[i].size);
    }
    return DR_OK;
}

enum dr_rc store_read_tagged(struct store *s, const char *name, struct buf *out,
                             char tag[STORE_TAG_MAX], struct dr_err *err)
{
    DR_ASSERT(s != NULL && out != NULL && tag != NULL);
    DR_TRY(check_name(s, name, err));
    if (s->ops->read_tagged == NULL)
        return cannot(s, "hold an object that changes", err);
    call(s, STORE_GETS);
    size_t before = out->len;
    DR_TRY(s->ops->read_tagged(s, name, out, tag, err));
    moved(s, STORE_BYTES_IN, out->len - before);
    return DR_OK;
}

enum dr_rc store_swap(struct store *s, const char *name, const char *seen_tag, const void *data,
                      size_t len, struct dr_err *err)
{
    DR_ASSERT(s != NULL && seen_tag != NULL && len <= STORE_SWAP_MAX);
    DR_TRY(check_name(s, name, err));
    if (s->ops->swap == NULL)
        return cannot(s, "hold an object that changes", err);
    call(s, STORE_PUTS);
    DR_TRY(s->ops->swap(s, name, seen_tag, data, len, err));
    moved(s, STORE_BYTES_OUT, len);
    return DR_OK;
}

enum dr_rc store_lock_until(struct store *s, const char *name, int64_t until_ns, struct dr_err *err)
{
    DR_ASSERT(s != NULL && until_ns > 0);
    DR_TRY(check_name(s, name, err));
    if (s->ops->lock_until == NULL)
        return cannot(s, "lock objects", err);
    call(s, STORE_PUTS);
    return s->ops->lock_until(s, name, until_ns, err);
}

/* A driver that is silent has what every store promises, and what its table shows. */
enum dr_rc store_abilities(struct store *s, struct store_abilities *ret, struct dr_err *err)
{
    DR_ASSERT(s != NULL && ret != NULL);
    *ret = (struct store_abilities){
        .conditional_put = true,
        .conditional_swap = s->ops->read_tagged != NULL && s->ops->swap != NULL,
        .object_lock = s->ops->lock_until != NULL,
    };
    return s->ops->abilities != NULL ? s->ops->abilities(s, ret, err) : DR_OK;
}
