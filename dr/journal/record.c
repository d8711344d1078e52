/*
 * record.c - the bytes of a journal: lines, their chain, and what makes them broken.
 *
 * A line must be exactly the canonical form of what it says. So each flipped byte is noticed: it
 * changes the value (the hash differs), or the form (the line is not what we would have
 * written), or the line's end (the next line cannot be parsed).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"

static const char no_hash[] = "0000000000000000000000000000000000000000000000000000000000000000";

void journal_record_fini(struct journal_record *r)
{
    free(r->type);
    json_decref(r->body);
    *r = (struct journal_record){ 0 };
}

void journal_records_fini(struct journal_records *r)
{
    for (size_t i = 0; i < r->count; i++)
        journal_record_fini(&r->items[i]);
    free(r->items);
    *r = (struct journal_records){ 0 };
}

static json_t *record_json(const struct journal_record *r)
{
    char time[TIME_TEXT_MAX];
    json_t *o = json_object();
    json_put_int(o, "n", r->n);
    json_put_text(o, "time", time_print(r->wall_ns, time));
    json_put_int(o, "boot", r->boot_ns);
    json_put_text(o, "type", r->type);
    json_put_text(o, "prev", r->prev);
    json_put(o, "body", json_incref(r->body));
    return o;
}

static void digest(const json_t *unsigned_record, char out[HASH_HEX_SIZE])
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    uint8_t raw[HASH_SIZE];
    json_add_canonical(&b, unsigned_record);
    hash_bytes(b.data, b.len, raw);
    hex_encode(raw, sizeof(raw), out);
}

void journal_print(struct journal_record *r, struct buf *out)
{
    DR_ASSERT(r->n > 0 && r->type != NULL && r->body != NULL);
    DR_JSON json_t *o = record_json(r);
    digest(o, r->hash);
    json_put_text(o, "hash", r->hash);
    json_add_canonical(out, o);
    buf_addc(out, '\n');
}

static enum dr_rc read_fields(const json_t *o, struct journal_record *r, struct dr_err *err)
{
    const char *text = NULL;
    const json_t *body = NULL;
    DR_TRY(json_get_int(o, "n", &r->n, err));
    DR_TRY(json_get_int(o, "boot", &r->boot_ns, err));
    DR_TRY(json_get_text(o, "time", &text, err));
    if (!time_parse(text, &r->wall_ns))
        return dr_fail(err, DR_E_CORRUPT, "the time '%s' is none", text);
    DR_TRY(json_get_text(o, "prev", &text, err));
    if (strlen(text) != HASH_HEX_SIZE - 1)
        return dr_fail(err, DR_E_CORRUPT, "'prev' is not a digest");
    memcpy(r->prev, text, HASH_HEX_SIZE);
    DR_TRY(json_get_object(o, "body", &body, err));
    DR_TRY(json_get_text(o, "type", &text, err));
    r->type = dr_strdup(text);
    r->body = json_incref(json_object_get(o, "body"));
    return DR_OK;
}

static enum dr_rc read_alone(const char *line, size_t len, struct journal_record *r,
                             struct dr_err *err)
{
    DR_JSON json_t *o = NULL;
    DR_CLEANUP(buf_fini) struct buf again = { 0 };

    if (len > JOURNAL_RECORD_MAX)
        return dr_fail(err, DR_E_CORRUPT, "the line is longer than %d bytes", JOURNAL_RECORD_MAX);
    DR_TRY(json_read("the line", line, len - 1, &o, err));
    if (!json_is_object(o))
        return dr_fail(err, DR_E_CORRUPT, "the line is no object");
    DR_TRY(read_fields(o, r, err));
    if (r->n < 1)
        return dr_fail(err, DR_E_CORRUPT, "it carries number %" PRId64, r->n);
    journal_print(r, &again);
    if (again.len != len || memcmp(again.data, line, len) != 0)
        return dr_fail(err, DR_E_CORRUPT, "its digest does not fit its content");
    return DR_OK;
}

enum dr_rc journal_read_one(const char *line, size_t len, struct journal_record *ret,
                            struct dr_err *err)
{
    struct journal_record r = { 0 };
    if (len == 0 || read_alone(line, len, &r, err) != DR_OK) {
        journal_record_fini(&r);
        err->rc = DR_E_CORRUPT;
        return DR_E_CORRUPT;
    }
    *ret = r;
    return DR_OK;
}

/* len: with the newline. */
static enum dr_rc read_line(const char *line, size_t len, const struct journal_records *before,
                            struct journal_record *r, struct dr_err *err)
{
    const struct journal_record *last =
        before->count > 0 ? &before->items[before->count - 1] : NULL;
    DR_TRY(read_alone(line, len, r, err));
    if (r->n != (last != NULL ? last->n + 1 : 1))
        return dr_fail(err, DR_E_CORRUPT, "it carries number %" PRId64, r->n);
    if (strcmp(r->prev, last != NULL ? last->hash : no_hash) != 0)
        return dr_fail(err, DR_E_CORRUPT, "it does not follow the record before it");
    return DR_OK;
}

void journal_records_add(struct journal_records *all, struct journal_record *r)
{
    if (all->count == all->cap) {
        all->cap = all->cap == 0 ? 64 : all->cap * 2;
        all->items = dr_realloc(all->items, all->cap, sizeof(*all->items));
    }
    DR_ASSERT(all->items != NULL);
    all->items[all->count++] = *r;
    *r = (struct journal_record){ 0 };
}

/*
 * The tail has no newline. A death while writing leaves the beginning of a line; a whole record
 * followed by something else than a newline is damage of a record that was acknowledged.
 */
static enum dr_rc check_tail(const char *tail, size_t len, const struct journal_records *before,
                             struct dr_err *err)
{
    if (len < 2 || len > JOURNAL_RECORD_MAX)
        return DR_OK;
    struct dr_err why = { 0 };
    struct journal_record r = { 0 };
    DR_FREE char *line = dr_memdup(tail, len);
    line[len - 1] = '\n';
    enum dr_rc rc = read_line(line, len, before, &r, &why);
    journal_record_fini(&r);
    if (rc == DR_OK)
        return dr_fail(err, DR_E_CORRUPT, "record %zu of the journal is broken: its end is damaged",
                       before->count + 1);
    return DR_OK;
}

enum dr_rc journal_parse(const char *bytes, size_t len, struct journal_records *ret,
                         size_t *ret_whole, struct dr_err *err)
{
    DR_ASSERT(ret->count == 0);
    struct journal_records all = { 0 };
    size_t at = 0;
    while (at < len) {
        const char *end = memchr(bytes + at, '\n', len - at);
        if (end == NULL)
            break;
        struct journal_record r = { 0 };
        size_t line = (size_t)(end - bytes) + 1 - at;
        if (read_line(bytes + at, line, &all, &r, err) != DR_OK) {
            err->rc = DR_E_CORRUPT;
            size_t broken = all.count + 1;
            journal_record_fini(&r);
            journal_records_fini(&all);
            return dr_context(err, "record %zu of the journal is broken", broken);
        }
        journal_records_add(&all, &r);
        at += line;
    }
    enum dr_rc rc = check_tail(bytes + at, len - at, &all, err);
    if (rc != DR_OK) {
        journal_records_fini(&all);
        return rc;
    }
    *ret = all;
    *ret_whole = at;
    return DR_OK;
}

/* These two go as deep as the value, which jansson's parser has bounded (2048 levels). */
json_t *journal_pack(const json_t *value)
{
    if (json_is_real(value)) {
        char text[40];
        (void)snprintf(text, sizeof(text), "%.17g", json_real_value(value));
        json_t *o = json_object();
        json_put_text(o, "$real", text);
        return o;
    }
    if (json_is_array(value)) {
        json_t *list = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(list, journal_pack(json_array_get(value, i)));
        return list;
    }
    if (json_is_object(value)) {
        DR_JSON json_t *copy = json_deep_copy(value); /* jansson iterates over no const object */
        json_t *o = json_object();
        const char *key = NULL;
        json_t *member = NULL;
        json_object_foreach(copy, key, member) json_put(o, key, journal_pack(member));
        return o;
    }
    return json_deep_copy(value);
}

json_t *journal_unpack(const json_t *value)
{
    if (json_is_array(value)) {
        json_t *list = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(list, journal_unpack(json_array_get(value, i)));
        return list;
    }
    if (!json_is_object(value))
        return json_deep_copy(value);
    const char *real = json_string_value(json_object_get(value, "$real"));
    if (real != NULL && json_object_size(value) == 1)
        return json_real(strtod(real, NULL));
    DR_JSON json_t *copy = json_deep_copy(value); /* jansson iterates over no const object */
    json_t *o = json_object();
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach(copy, key, member) json_put(o, key, journal_unpack(member));
    return o;
}
