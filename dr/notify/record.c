/*
 * record.c - alerts, letters and channels as JSON, and back, by tables of their fields.
 *
 * A field that is absent is NULL or 0, one that is unknown is left unread: an older and a newer
 * drctl may follow each other on one state directory.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/notify/inside.h"

enum { VERSION = 1 };

struct field {
    const char *name;
    size_t to;
    bool text;   /* char *, else int64_t */
    bool needed; /* never NULL */
};

#define TEXT(type, f)                            \
    {                                            \
#        f, offsetof(struct type, f), true, true \
    }
#define MAYBE(type, f)                            \
    {                                             \
#        f, offsetof(struct type, f), true, false \
    }
#define NUMBER(type, f)                            \
    {                                              \
#        f, offsetof(struct type, f), false, false \
    }

static const struct field alert_fields[] = {
    TEXT(alert, key),          TEXT(alert, severity),     TEXT(alert, title),
    TEXT(alert, text),         TEXT(alert, hint),         TEXT(alert, incident),
    MAYBE(alert, acked_by),    NUMBER(alert, state),      NUMBER(alert, own),
    NUMBER(alert, since_wall), NUMBER(alert, acked_wall), NUMBER(alert, window_ns),
    NUMBER(alert, raises),     NUMBER(alert, until_ns),   NUMBER(alert, escalate_ns),
    NUMBER(alert, level),
};

static const struct field letter_fields[] = {
    TEXT(letter, id),           TEXT(letter, key),       TEXT(letter, incident),
    TEXT(letter, channel),      MAYBE(letter, to),       TEXT(letter, kind),
    TEXT(letter, severity),     TEXT(letter, title),     TEXT(letter, text),
    TEXT(letter, hint),         MAYBE(letter, by),       MAYBE(letter, contact),
    MAYBE(letter, phone),       MAYBE(letter, why),      NUMBER(letter, wall),
    NUMBER(letter, created_ns), NUMBER(letter, next_ns), NUMBER(letter, attempts),
};

static const struct field channel_fields[] = {
    TEXT(channel_state, name),           MAYBE(channel_state, why),
    NUMBER(channel_state, failures),     NUMBER(channel_state, failing_ns),
    NUMBER(channel_state, failing_wall), NUMBER(channel_state, not_before_ns),
    NUMBER(channel_state, refused),      NUMBER(channel_state, dead),
};

struct record { /* one kind of it */
    const char *list;
    const struct field *fields;
    size_t field_count, size;
};

static const struct record alert_record = { "alerts", alert_fields, DR_ARRAY_LEN(alert_fields),
                                            sizeof(struct alert) };
static const struct record letter_record = { "letters", letter_fields, DR_ARRAY_LEN(letter_fields),
                                             sizeof(struct letter) };
static const struct record channel_record = { "channels", channel_fields,
                                              DR_ARRAY_LEN(channel_fields),
                                              sizeof(struct channel_state) };

static void fini(const struct record *r, void *object)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (r->fields[i].text)
            free(*(char **)(void *)((char *)object + r->fields[i].to));
    memset(object, 0, r->size);
}

void alert_fini(struct alert *al)
{
    fini(&alert_record, al);
}

void letter_fini(struct letter *l)
{
    fini(&letter_record, l);
}

void channel_state_fini(struct channel_state *c)
{
    fini(&channel_record, c);
}

void alerts_fini(struct alerts *a)
{
    for (size_t i = 0; i < a->alert_count; i++)
        alert_fini(&a->alerts[i]);
    for (size_t i = 0; i < a->letter_count; i++)
        letter_fini(&a->letters[i]);
    for (size_t i = 0; i < a->channel_count; i++)
        channel_state_fini(&a->channels[i]);
    free(a->alerts);
    free(a->letters);
    free(a->channels);
    *a = (struct alerts){ 0 };
}

/* ---- writing ----------------------------------------------------------------------------------- */

static json_t *write_one(const struct record *r, const void *object)
{
    json_t *o = json_object();
    for (size_t i = 0; i < r->field_count; i++) {
        const struct field *f = &r->fields[i];
        const char *at = (const char *)object + f->to;
        const char *text;
        int64_t number;
        if (!f->text) {
            memcpy(&number, at, sizeof(number));
            json_put_int(o, f->name, number);
            continue;
        }
        memcpy(&text, at, sizeof(text));
        if (text != NULL)
            json_put(o, f->name, json_printable(text));
    }
    return o;
}

static json_t *write_all(const struct record *r, const void *objects, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, write_one(r, (const char *)objects + i * r->size)) != 0)
            dr_out_of_memory();
    return list;
}

json_t *letter_json(const struct letter *l)
{
    return write_one(&letter_record, l);
}

json_t *alerts_json(const struct alerts *a)
{
    json_t *o = json_object();
    json_put_int(o, "v", VERSION);
    json_put(o, "alerts", write_all(&alert_record, a->alerts, a->alert_count));
    json_put(o, "letters", write_all(&letter_record, a->letters, a->letter_count));
    json_put(o, "channels", write_all(&channel_record, a->channels, a->channel_count));
    json_put_int(o, "left_out", a->left_out);
    json_put_int(o, "left_out_findings", a->left_out_findings);
    return o;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static enum dr_rc read_one(const struct record *r, const json_t *o, void *object,
                           struct dr_err *err)
{
    for (size_t i = 0; i < r->field_count; i++) {
        const struct field *f = &r->fields[i];
        const json_t *value = json_object_get(o, f->name);
        char *at = (char *)object + f->to;
        if (f->text ? value == NULL && !f->needed : value == NULL)
            continue;
        if (f->text ? !json_is_string(value) : !json_is_integer(value))
            return dr_fail(err, DR_E_CORRUPT, "'%s' of one of the '%s' is not what we write",
                           f->name, r->list);
        if (f->text) {
            char *text = dr_strdup(json_string_value(value));
            memcpy(at, &text, sizeof(text));
        } else {
            int64_t number = json_integer_value(value);
            memcpy(at, &number, sizeof(number));
        }
    }
    return DR_OK;
}

enum dr_rc letter_read(const json_t *root, struct letter *ret, struct dr_err *err)
{
    struct letter l = { 0 };
    enum dr_rc rc = read_one(&letter_record, root, &l, err);
    if (rc != DR_OK)
        letter_fini(&l);
    else
        *ret = l;
    return rc;
}

static enum dr_rc read_all(const struct record *r, const json_t *root, void **ret,
                           size_t *ret_count, struct dr_err *err)
{
    const json_t *list = NULL;
    DR_TRY(json_get_list(root, r->list, &list, err));
    char *objects = dr_alloc(json_array_size(list) + 1, r->size);
    *ret = objects; /* half-read objects are the caller's to end */
    *ret_count = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        *ret_count = i + 1;
        DR_TRY(read_one(r, json_array_get(list, i), objects + i * r->size, err));
    }
    return DR_OK;
}

enum dr_rc alerts_read(const json_t *root, struct alerts *ret, struct dr_err *err)
{
    struct alerts a = { 0 };
    void *lists[3] = { NULL, NULL, NULL };
    int64_t version = 0;
    enum dr_rc rc = json_get_int(root, "v", &version, err);
    if (rc == DR_OK && version != VERSION)
        rc = dr_fail(err, DR_E_CORRUPT, "a state of version %lld", (long long)version);
    if (rc == DR_OK)
        rc = read_all(&alert_record, root, &lists[0], &a.alert_count, err);
    if (rc == DR_OK)
        rc = read_all(&letter_record, root, &lists[1], &a.letter_count, err);
    if (rc == DR_OK)
        rc = read_all(&channel_record, root, &lists[2], &a.channel_count, err);
    a.alerts = lists[0];
    a.letters = lists[1];
    a.channels = lists[2];
    if (rc == DR_OK)
        rc = json_get_int(root, "left_out", &a.left_out, err);
    if (rc == DR_OK)
        rc = json_get_int(root, "left_out_findings", &a.left_out_findings, err);
    if (rc != DR_OK)
        alerts_fini(&a);
    else
        *ret = a;
    return rc;
}
