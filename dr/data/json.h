/*
 * json.h - JSON by jansson, with our limits and one canonical form.
 *
 * Everything read from disk, network or a child goes through json_read(): duplicate
 * keys are refused, depth and size are bounded, and errors carry the place. The
 * canonical form (sorted keys, no spaces, no escapes but the needed ones) is what
 * digests and signatures are taken of: equal values, equal bytes.
 */
#ifndef DR_DATA_JSON_H
#define DR_DATA_JSON_H

#include <jansson.h>

#include "dr/base/buf.h"
#include "dr/base/err.h"

static inline void json_drop_ptr(json_t **value)
{
    json_decref(*value);
}

/* DR_JSON json_t *root = NULL;  the reference is dropped when it leaves scope. */
#define DR_JSON DR_CLEANUP(json_drop_ptr)

/* Parse one value; what names it in the error. The caller drops ret. DR_E_CORRUPT when it is bad. */
enum dr_rc json_read(const char *what, const char *bytes, size_t len, json_t **ret,
                     struct dr_err *err) DR_MUST_USE;

/* Append the canonical form. Real numbers are not allowed in it (DR_ASSERT): write integers. */
void json_add_canonical(struct buf *out, const json_t *value);

/* Readers of a member: DR_E_CORRUPT when it is absent or of another type. Strings are borrowed. */
enum dr_rc json_get_text(const json_t *object, const char *key, const char **ret,
                         struct dr_err *err) DR_MUST_USE;
enum dr_rc json_get_int(const json_t *object, const char *key, int64_t *ret, struct dr_err *err)
    DR_MUST_USE;
enum dr_rc json_get_list(const json_t *object, const char *key, const json_t **ret,
                         struct dr_err *err) DR_MUST_USE;
enum dr_rc json_get_object(const json_t *object, const char *key, const json_t **ret,
                           struct dr_err *err) DR_MUST_USE;

/* A string value of any bytes: valid UTF-8 as it is; a new reference. Invalid bytes become \xNN. */
json_t *json_printable(const char *text) DR_MUST_USE;

/* Set key to value (the reference is taken over). Ends the process when memory ends. */
void json_put(json_t *object, const char *key, json_t *value);
void json_put_text(json_t *object, const char *key, const char *text);
void json_put_int(json_t *object, const char *key, int64_t number);

#endif
