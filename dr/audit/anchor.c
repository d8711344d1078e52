/*
 * anchor.c - one object: its name, its three parts (head, lines, signature), and what makes it broken. Pure.
 */
#include "dr/audit/anchor.h"

#include <inttypes.h>
#include <string.h>

#include "backup/format/limits.h"
#include "backup/format/signed.h"
#include "dr/base/mem.h"

enum { DIGITS = 9, HEAD_DIGITS = 32, NAME_LEN = DIGITS + 1 + DIGITS + 1 + HEAD_DIGITS };

static const char format[] = "drctl-ledger";

char *anchor_name(int64_t from, int64_t to, const char *head)
{
    return dr_strf("%09" PRId64 "-%09" PRId64 "-%.32s", from, to, head);
}

static bool number_of(const char *text, int64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *ret = *ret * 10 + (text[i] - '0');
    }
    return *ret > 0;
}

bool anchor_is_name(const char *name, int64_t *ret_from, int64_t *ret_to)
{
    const char *to = name + DIGITS + 1, *head = to + DIGITS + 1;
    return strlen(name) == NAME_LEN && number_of(name, ret_from) && name[DIGITS] == '-' &&
           number_of(to, ret_to) && to[DIGITS] == '-' &&
           strspn(head, "0123456789abcdef") == HEAD_DIGITS;
}

void anchor_print(const struct anchor *a, const char *site, const struct keys *signer,
                  struct buf *out)
{
    size_t start = out->len;
    DR_JSON json_t *o = json_object();
    json_put_text(o, "format", format);
    json_put_int(o, "version", FORMAT_VERSION);
    json_put(o, "needs", json_array());
    json_put(o, "site", json_printable(site));
    json_put_text(o, "book", a->book);
    json_put_int(o, "from", a->from);
    json_put_int(o, "to", a->to);
    json_put_text(o, "head", a->head);
    json_add_canonical(out, o);
    buf_addc(out, '\n');
    buf_add(out, a->lines, a->len);
    signed_add_last(out, start, signer);
}

static enum dr_rc copy_text(const json_t *o, const char *key, char *ret, size_t size,
                            struct dr_err *err)
{
    const char *text = NULL;
    DR_TRY(json_get_text(o, key, &text, err));
    if (strlen(text) != size - 1)
        return dr_fail(err, DR_E_CORRUPT, "'%s' has another length", key);
    memcpy(ret, text, size);
    return DR_OK;
}

static enum dr_rc read_head(const char *what, const char *data, size_t len, struct anchor *ret,
                            struct dr_err *err)
{
    DR_JSON json_t *o = NULL;
    const char *end = memchr(data, '\n', len);
    if (end == NULL)
        return dr_fail(err, DR_E_CORRUPT, "%s: it has no head", what);
    const struct sealed_lines lines = { .body = data, .body_len = (size_t)(end - data) };
    DR_TRY(sealed_body(what, format, &lines, &o, err));
    DR_TRY(json_get_int(o, "from", &ret->from, err));
    DR_TRY(json_get_int(o, "to", &ret->to, err));
    DR_TRY(copy_text(o, "book", ret->book, sizeof(ret->book), err));
    DR_TRY(copy_text(o, "head", ret->head, sizeof(ret->head), err));
    if (ret->from < 1 || ret->to < ret->from)
        return dr_fail(err, DR_E_CORRUPT, "%s: from %" PRId64 " to %" PRId64, what, ret->from,
                       ret->to);
    ret->lines = end + 1;
    ret->len = len - (size_t)(end + 1 - data);
    return DR_OK;
}

enum dr_rc anchor_read(const char *name, const struct buf *object, struct anchor *ret,
                       struct dr_err *err)
{
    struct anchor a = { 0 };
    const char *slash = strrchr(name, '/'), *last = slash != NULL ? slash + 1 : name;
    size_t len = 0;
    if (object->len > ANCHOR_OBJECT_MAX)
        return dr_fail(err, DR_E_CORRUPT, "%s: larger than its limit", name);
    DR_TRY(signed_check_last(name, object, a.writer, &len, err));
    if (read_head(name, object->data, len, &a, err) != DR_OK) {
        err->rc = DR_E_CORRUPT;
        return DR_E_CORRUPT;
    }
    DR_FREE char *own = anchor_name(a.from, a.to, a.head);
    if (strcmp(own, last) != 0)
        return dr_fail(err, DR_E_CORRUPT, "%s: it is '%s'", name, own);
    *ret = a;
    return DR_OK;
}
