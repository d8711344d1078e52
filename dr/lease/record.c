/*
 * record.c - a lease's record as JSON.
 */
#include "dr/lease/record.h"

#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/json.h"

static enum dr_rc read_json(const json_t *o, struct lease_record *r, struct dr_err *err)
{
    const char *text = NULL;
    const json_t *fenced = NULL;
    static const struct {
        const char *name;
        size_t at;
    } fields[] = {
        { "holder", offsetof(struct lease_record, holder) },
        { "region", offsetof(struct lease_record, region) },
        { "instance", offsetof(struct lease_record, instance) },
        { "granted", offsetof(struct lease_record, granted) },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(fields); i++) {
        DR_TRY(json_get_text(o, fields[i].name, &text, err));
        *(char **)((char *)r + fields[i].at) = dr_strdup(text);
    }
    DR_TRY(json_get_int(o, "epoch", &r->epoch, err));
    DR_TRY(json_get_text(o, "nonce", &text, err));
    if (strlen(text) != LEASE_NONCE_MAX - 1 || r->epoch < 1)
        return dr_fail(err, DR_E_CORRUPT, "nonce or epoch is none");
    memcpy(r->nonce, text, LEASE_NONCE_MAX);
    r->keeper = json_is_true(json_object_get(o, "keeper"));
    DR_TRY(json_get_list(o, "fenced", &fenced, err));
    for (size_t i = 0; i < json_array_size(fenced); i++) {
        const char *region = json_string_value(json_array_get(fenced, i));
        if (region == NULL)
            return dr_fail(err, DR_E_CORRUPT, "'fenced' holds something else than names");
        text_list_add(&r->fenced, region);
    }
    return DR_OK;
}

void lease_record_empty(const char *key, struct lease_record *ret)
{
    *ret = (struct lease_record){
        .key = dr_strdup(key),
        .holder = dr_strdup(""),
        .region = dr_strdup(""),
        .instance = dr_strdup(""),
        .granted = dr_strdup(""),
    };
}

enum dr_rc lease_record_parse(const char *key, const char *where, const struct buf *bytes,
                              struct lease_record *ret, struct dr_err *err)
{
    DR_JSON json_t *o = NULL;
    struct lease_record r = { .key = dr_strdup(key) };
    enum dr_rc rc = json_read("the record", bytes->data, bytes->len, &o, err);
    if (rc == DR_OK)
        rc = read_json(o, &r, err);
    if (rc != DR_OK) {
        lease_record_fini(&r);
        (void)dr_context(err, "lease '%s' in '%s'", key, where);
        return dr_hint(err, "A person has to restore it, with an epoch above any seen before.");
    }
    *ret = r;
    return DR_OK;
}

void lease_record_print(const struct lease_record *r, struct buf *out)
{
    DR_JSON json_t *o = json_object();
    json_t *fenced = json_array();
    for (size_t i = 0; i < r->fenced.count; i++)
        json_array_append_new(fenced, json_printable(r->fenced.items[i]));
    json_put_int(o, "v", 1);
    json_put_text(o, "holder", r->holder);
    json_put_text(o, "region", r->region);
    json_put_text(o, "instance", r->instance);
    json_put_text(o, "granted", r->granted);
    json_put_text(o, "nonce", r->nonce);
    json_put_int(o, "epoch", r->epoch);
    json_put(o, "keeper", json_boolean(r->keeper));
    json_put(o, "fenced", fenced);
    json_add_canonical(out, o);
    buf_addc(out, '\n');
}

enum dr_rc lease_record_changed(const struct lease_record *now, struct dr_err *err)
{
    return dr_fail(err, DR_E_TRANSIENT, "lease '%s' was changed by %s", now->key,
                   now->holder[0] != '\0' ? now->holder : "somebody");
}
