/*
 * json.c - jansson, seen through our errors.
 *
 * The canonical form (sorted keys, no spaces, no real numbers) is what is hashed and signed; it is
 * written here and nowhere else.
 */
#include "dr/data/json.h"

#include <string.h>

#include "dr/base/text.h"

enum dr_rc json_read(const char *what, const char *bytes, size_t len, json_t **ret,
                     struct dr_err *err)
{
    json_error_t at;
    json_t *value = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &at);
    if (value == NULL)
        return dr_fail(err, DR_E_CORRUPT, "%s:%d:%d: %s", what, at.line, at.column, at.text);
    *ret = value;
    return DR_OK;
}

/* jansson's own depth limit (2048) bounds the recursion of its parser and dumper. */
static int add_bytes(const char *bytes, size_t len, void *out)
{
    buf_add(out, bytes, len);
    return 0;
}

void json_add_canonical(struct buf *out, const json_t *value)
{
    int rc =
        json_dump_callback(value, add_bytes, out, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    DR_ASSERT(rc == 0);
}

static enum dr_rc member(const json_t *object, const char *key, json_type type, const json_t **ret,
                         struct dr_err *err)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    const json_t *value = json_object_get(object, key);
    if (value == NULL)
        return dr_fail(err, DR_E_CORRUPT, "'%s' is missing", key);
    if (json_typeof(value) != type)
        return dr_fail(err, DR_E_CORRUPT, "'%s' is not %s", key, names[type]);
    *ret = value;
    return DR_OK;
}

enum dr_rc json_get_text(const json_t *object, const char *key, const char **ret,
                         struct dr_err *err)
{
    const json_t *value = NULL;
    DR_TRY(member(object, key, JSON_STRING, &value, err));
    *ret = json_string_value(value);
    return DR_OK;
}

enum dr_rc json_get_int(const json_t *object, const char *key, int64_t *ret, struct dr_err *err)
{
    const json_t *value = NULL;
    DR_TRY(member(object, key, JSON_INTEGER, &value, err));
    *ret = json_integer_value(value);
    return DR_OK;
}

enum dr_rc json_get_list(const json_t *object, const char *key, const json_t **ret,
                         struct dr_err *err)
{
    return member(object, key, JSON_ARRAY, ret, err);
}

enum dr_rc json_get_object(const json_t *object, const char *key, const json_t **ret,
                           struct dr_err *err)
{
    return member(object, key, JSON_OBJECT, ret, err);
}

json_t *json_printable(const char *text)
{
    json_t *value = json_string(text);
    if (value == NULL) {
        DR_CLEANUP(buf_fini) struct buf b = { 0 };
        text_add_printable(&b, text, strlen(text));
        value = json_string(b.data);
    }
    DR_ASSERT(value != NULL);
    return value;
}

void json_put(json_t *object, const char *key, json_t *value)
{
    DR_ASSERT(value != NULL);
    int rc = json_object_set_new(object, key, value);
    DR_ASSERT(rc == 0);
}

void json_put_text(json_t *object, const char *key, const char *text)
{
    json_put(object, key, json_printable(text));
}

void json_put_int(json_t *object, const char *key, int64_t number)
{
    json_put(object, key, json_integer(number));
}
