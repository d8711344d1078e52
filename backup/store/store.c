/*
 * The part that all buckets share: names are checked once here, so that no driver has to, and
 * the scheme of the URL picks the driver. Nothing here knows what the objects hold.
 */
#include "backup/store/store.h"

#include <string.h>

#include "backup/store/dir.h"
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

enum dr_rc store_open(const char *name, const char *region, const char *url, struct store **ret,
                      struct dr_err *err)
{
    DR_ASSERT(name != NULL && url != NULL && ret != NULL && err != NULL);
    if (text_starts(url, "file:///"))
        return dir_open(name, region, url + strlen("file://"), ret, err);
    dr_fail(err, DR_E_CONFIG, "bucket '%s': no driver for the url '%s'", name, url);
    return dr_hint(err, "Write a directory as file:///PATH (three slashes).");
}

void store_close(struct store *s)
{
    if (s != NULL)
        s->ops->close(s);
}

enum dr_rc store_get(struct store *s, const char *name, uint64_t offset, size_t len, void *out,
                     struct dr_err *err)
{
    DR_ASSERT(s != NULL && (out != NULL || len == 0));
    DR_TRY(check_name(s, name, err));
    return s->ops->get(s, name, offset, len, out, err);
}

enum dr_rc store_put(struct store *s, const char *name, const void *data, size_t len,
                     struct dr_err *err)
{
    DR_ASSERT(s != NULL && (data != NULL || len == 0));
    DR_TRY(check_name(s, name, err));
    return s->ops->put(s, name, data, len, err);
}

enum dr_rc store_head(struct store *s, const char *name, uint64_t *ret_size, struct dr_err *err)
{
    DR_ASSERT(s != NULL && ret_size != NULL);
    DR_TRY(check_name(s, name, err));
    return s->ops->head(s, name, ret_size, err);
}

enum dr_rc store_list(struct store *s, const char *prefix, struct text_list *ret,
                      struct dr_err *err)
{
    DR_ASSERT(s != NULL && prefix != NULL && ret != NULL);
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    DR_TRY(s->ops->list(s, prefix, &all, err));
    for (size_t i = 0; i < all.count; i++) {
        if (is_name(all.items[i])) /* what a person left in a bucket is no object */
            text_list_add(ret, all.items[i]);
    }
    return DR_OK;
}

enum dr_rc store_remove(struct store *s, const char *name, struct dr_err *err)
{
    DR_ASSERT(s != NULL);
    DR_TRY(check_name(s, name, err));
    return s->ops->remove(s, name, err);
}

enum dr_rc store_get_all(struct store *s, const char *name, size_t limit, struct buf *out,
                         struct dr_err *err)
{
    uint64_t size = 0;
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
