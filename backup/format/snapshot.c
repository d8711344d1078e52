/*
 * Snapshot objects. What is signed are the bytes of the first line with its newline, so a stock
 * `openssl pkeyutl` checks them. The signature is looked at before any member is.
 */
#include "backup/format/snapshot.h"

#include <string.h>

#include "backup/format/signed.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

static const char format[] = "drctl-snapshot";

void snapshot_fini(struct snapshot *s)
{
    free(s->repository);
    free(s->source);
    free(s->class);
    free(s->host);
    free(s->kind);
    free(s->parent);
    list_fini(&s->toc);
    list_fini(&s->recipe);
    list_fini(&s->removed);
    text_list_fini(&s->tags);
    list_fini(&s->packs);
    json_decref(s->owners);
    *s = (struct snapshot){ .owners = NULL };
}

/* -- writing ------------------------------------------------------------------------------- */

static void put_list(json_t *body, const char *key, const struct list *l)
{
    json_t *list = json_object(), *lines = json_array();
    for (size_t i = 0; i < l->lines.count; i++)
        DR_ASSERT(json_array_append_new(lines, json_string(l->lines.items[i])) == 0);
    json_put_int(list, "depth", l->depth);
    json_put(list, "lines", lines);
    json_put(body, key, list);
}

static void put_count(json_t *body, const char *key, uint64_t n)
{
    DR_ASSERT(n <= INT64_MAX);
    json_put_int(body, key, (int64_t)n);
}

static void put_tags(json_t *body, const struct text_list *tags)
{
    json_t *list = json_array();
    for (size_t i = 0; i < tags->count; i++)
        json_array_append_new(list, json_printable(tags->items[i]));
    json_put(body, "tags", list);
}

static json_t *make_body(const struct snapshot *s)
{
    json_t *body = json_object();
    char nonce[2 * NONCE_SIZE + 1];
    json_put_text(body, "format", format);
    json_put_int(body, "version", FORMAT_VERSION);
    json_put(body, "needs", json_array());
    json_put_text(body, "id", s->id);
    json_put_text(body, "repository", s->repository);
    json_put_text(body, "source", s->source);
    json_put_text(body, "class", s->class);
    json_put_text(body, "host", s->host);
    json_put_text(body, "kind", s->kind);
    json_put(body, "parent", s->parent != NULL ? json_string(s->parent) : json_null());
    json_put_int(body, "epoch", s->epoch);
    json_put_int(body, "start_ns", s->start_ns);
    json_put_int(body, "end_ns", s->end_ns);
    json_put_text(body, "nonce", hex_encode(s->nonce, NONCE_SIZE, nonce));
    put_count(body, "entries", s->entries);
    put_count(body, "files", s->files);
    put_count(body, "bytes", s->bytes);
    put_count(body, "stored", s->stored);
    put_count(body, "warnings", s->warnings);
    put_count(body, "directories", s->directories);
    put_list(body, "toc", &s->toc);
    put_list(body, "recipe", &s->recipe);
    put_list(body, "removed", &s->removed);
    put_list(body, "packs", &s->packs);
    json_put(body, "owners", json_incref(s->owners));
    if (s->tags.count > 0)
        put_tags(body, &s->tags);
    json_put_text(body, "encryption", "none");
    json_put(body, "index", json_null());
    json_put(body, "recipients", json_null());
    return body;
}

void snapshot_encode(const struct snapshot *s, const struct keys *signer, struct buf *out)
{
    DR_ASSERT(names_is_id(s->id) && s->owners != NULL);
    DR_JSON json_t *body = make_body(s);
    signed_encode(body, signer, out);
}

/* -- reading ------------------------------------------------------------------------------- */

static enum dr_rc read_list(const json_t *body, const char *key, struct list *ret,
                            struct dr_err *err)
{
    const json_t *object = NULL, *lines = NULL;
    int64_t depth = 0;
    DR_TRY(json_get_object(body, key, &object, err));
    DR_TRY(json_get_int(object, "depth", &depth, err));
    DR_TRY(json_get_list(object, "lines", &lines, err));
    if (depth < 0 || depth > LIST_DEPTH_MAX)
        return dr_fail(err, DR_E_CORRUPT, "'%s' has an impossible depth", key);
    ret->depth = (unsigned)depth;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const char *line = json_string_value(json_array_get(lines, i));
        if (line == NULL || strlen(line) > LIST_LINE_MAX)
            return dr_fail(err, DR_E_CORRUPT, "'%s' has a line that is none", key);
        text_list_add(&ret->lines, line);
    }
    return DR_OK;
}

static enum dr_rc read_text(const json_t *body, const char *key, char **ret, struct dr_err *err)
{
    const char *text = NULL;
    DR_TRY(json_get_text(body, key, &text, err));
    *ret = dr_strdup(text);
    return DR_OK;
}

static enum dr_rc read_count(const json_t *body, const char *key, uint64_t *ret, struct dr_err *err)
{
    int64_t n = 0;
    DR_TRY(json_get_int(body, key, &n, err));
    if (n < 0)
        return dr_fail(err, DR_E_CORRUPT, "'%s' is negative", key);
    *ret = (uint64_t)n;
    return DR_OK;
}

static enum dr_rc read_numbers(const json_t *body, struct snapshot *s, struct dr_err *err)
{
    const char *nonce = NULL;
    DR_TRY(json_get_int(body, "epoch", &s->epoch, err));
    DR_TRY(json_get_int(body, "start_ns", &s->start_ns, err));
    DR_TRY(json_get_int(body, "end_ns", &s->end_ns, err));
    DR_TRY(json_get_text(body, "nonce", &nonce, err));
    if (!hex_decode(nonce, strlen(nonce), s->nonce, NONCE_SIZE))
        return dr_fail(err, DR_E_CORRUPT, "'nonce' is not 32 hexadecimal digits");
    if (s->start_ns < 0 || s->end_ns < s->start_ns)
        return dr_fail(err, DR_E_CORRUPT, "it ends before it begins");
    return DR_OK;
}

static enum dr_rc read_counts(const json_t *body, struct snapshot *s, struct dr_err *err)
{
    static const char *const keys[] = { "entries", "files", "bytes", "stored", "warnings" };
    uint64_t *const counts[] = { &s->entries, &s->files, &s->bytes, &s->stored, &s->warnings };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        DR_TRY(read_count(body, keys[i], counts[i], err));
    if (json_object_get(body, "directories") == NULL) /* for shells only */
        return DR_OK;
    return read_count(body, "directories", &s->directories, err);
}

static enum dr_rc read_texts(const json_t *body, struct snapshot *s, struct dr_err *err)
{
    static const char *const keys[] = { "repository", "source", "class", "host", "kind" };
    char **const texts[] = { &s->repository, &s->source, &s->class, &s->host, &s->kind };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        DR_TRY(read_text(body, keys[i], texts[i], err));
    if (json_is_null(json_object_get(body, "parent")))
        return DR_OK;
    return read_text(body, "parent", &s->parent, err);
}

static enum dr_rc read_lists(const json_t *body, struct snapshot *s, struct dr_err *err)
{
    static const char *const keys[] = { "toc", "recipe", "removed", "packs" };
    struct list *const lists[] = { &s->toc, &s->recipe, &s->removed, &s->packs };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        DR_TRY(read_list(body, keys[i], lists[i], err));
    return DR_OK;
}

/* The member is absent when there are none. */
static enum dr_rc read_tags(const json_t *body, struct text_list *ret, struct dr_err *err)
{
    const json_t *list = NULL;
    if (json_object_get(body, "tags") == NULL)
        return DR_OK;
    DR_TRY(json_get_list(body, "tags", &list, err));
    if (json_array_size(list) > SNAPSHOT_TAGS_MAX)
        return dr_fail(err, DR_E_CORRUPT, "more tags than the limit");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *tag = json_string_value(json_array_get(list, i));
        if (tag == NULL)
            return dr_fail(err, DR_E_CORRUPT, "a tag is no text");
        text_list_add(ret, tag);
    }
    return DR_OK;
}

static enum dr_rc read_members(const json_t *body, struct snapshot *s, struct dr_err *err)
{
    const json_t *owners = NULL;
    DR_TRY(read_texts(body, s, err));
    DR_TRY(read_numbers(body, s, err));
    DR_TRY(read_counts(body, s, err));
    DR_TRY(read_lists(body, s, err));
    DR_TRY(read_tags(body, &s->tags, err));
    DR_TRY(json_get_object(body, "owners", &owners, err));
    s->owners = json_deep_copy(owners);
    if (!json_is_null(json_object_get(body, "index")) ||
        !json_is_null(json_object_get(body, "recipients")) ||
        json_object_get(body, "encryption") == NULL)
        return dr_fail(err, DR_E_REFUSED, "encrypted: needs a newer version of drctl");
    return DR_OK;
}

static enum dr_rc read_id(const char *name, const json_t *body, struct snapshot *s,
                          struct dr_err *err)
{
    const char *id = NULL;
    const char *last = strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name;
    char made[NAMES_ID_MAX];
    DR_TRY(json_get_text(body, "id", &id, err));
    if (!names_is_id(id) || strcmp(id, last) != 0)
        return dr_fail(err, DR_E_CORRUPT, "it lies under another name than its own");
    memcpy(s->id, id, strlen(id) + 1);
    struct names_id of = { s->source, s->epoch, s->start_ns, s->nonce };
    if (strcmp(names_make_id(&of, made), id) != 0)
        return dr_fail(err, DR_E_CORRUPT, "its id is not made of its own members");
    return DR_OK;
}

enum dr_rc snapshot_parse(const char *name, const void *data, size_t len, struct snapshot *ret,
                          struct dr_err *err)
{
    DR_JSON json_t *body = NULL;
    DR_CLEANUP(snapshot_fini) struct snapshot s = { .owners = NULL };
    struct sealed_lines lines;
    if (len > SNAPSHOT_SIZE_MAX)
        return dr_fail(err, DR_E_CORRUPT, "%s: larger than its limit", name);
    DR_TRY(sealed_split(name, data, len, &lines, err));
    DR_TRY(signed_check(name, &lines, s.writer, err));
    DR_TRY(sealed_body(name, format, &lines, &body, err));
    if (read_members(body, &s, err) != DR_OK || read_id(name, body, &s, err) != DR_OK)
        return dr_context(err, "%s", name);
    *ret = s;
    s = (struct snapshot){ .owners = NULL };
    return DR_OK;
}

bool snapshot_is_by(const struct snapshot *s, const struct text_list *keys)
{
    return text_list_has(keys, s->writer);
}
