/*
 * csv.c - the long form: one line a value. Three levels are told apart (section, item, member); what lies deeper, such as
 * the evidence of a step, stands as canonical JSON in one field, so that no depth of the input leads anywhere.
 */
#include "dr/proof/csv.h"

#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/proof/report_work.h"

static void add_field(struct buf *out, const char *text, bool formula)
{
    DR_CLEANUP(buf_fini) struct buf safe = { 0 };
    if (formula && text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL)
        buf_addc(&safe, '\'');
    text_add_printable(&safe, text, strlen(text));
    const char *bytes = safe.len > 0 ? safe.data : "";
    if (strpbrk(bytes, ",\"\r\n") == NULL) {
        buf_adds(out, bytes);
        return;
    }
    buf_addc(out, '"');
    for (const char *at = bytes; *at != '\0'; at++) {
        if (*at == '"')
            buf_addc(out, '"');
        buf_addc(out, *at);
    }
    buf_addc(out, '"');
}

static void add_value(struct buf *out, const json_t *value)
{
    if (json_is_string(value)) {
        add_field(out, json_string_value(value), true);
    } else if (json_is_integer(value)) {
        buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_boolean(value)) {
        buf_adds(out, json_is_true(value) ? "true" : "false");
    } else if (!json_is_null(value)) {
        DR_CLEANUP(buf_fini) struct buf deep = { 0 };
        json_add_canonical(&deep, value);
        add_field(out, deep.data, false);
    }
}

struct place {
    const char *section, *item, *outer; /* outer: the member that this one lies in, or "" */
};

static void add_row(struct buf *out, const struct place *p, const char *member, const json_t *value)
{
    add_field(out, p->section, true);
    buf_addc(out, ',');
    add_field(out, p->item, true);
    buf_addc(out, ',');
    DR_FREE char *whole = dr_strf("%s%s%s", p->outer, p->outer[0] != '\0' ? "." : "", member);
    add_field(out, whole, true);
    buf_addc(out, ',');
    add_value(out, value);
    buf_adds(out, "\r\n");
}

static void sorted_keys(json_t *object, struct text_list *ret)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) text_list_add(ret, key);
    text_list_sort(ret);
}

/* Members of an object; objects in it one level deeper, all else as one field. */
static void add_members(struct buf *out, const struct place *p, json_t *object)
{
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    sorted_keys(object, &keys);
    for (size_t i = 0; i < keys.count; i++) {
        json_t *value = json_object_get(object, keys.items[i]);
        if (!json_is_object(value) || json_object_size(value) == 0) {
            add_row(out, p, keys.items[i], value);
            continue;
        }
        DR_CLEANUP(text_list_fini) struct text_list inner = { 0 };
        const struct place below = { p->section, p->item, keys.items[i] };
        sorted_keys(value, &inner);
        for (size_t k = 0; k < inner.count; k++)
            add_row(out, &below, inner.items[k], json_object_get(value, inner.items[k]));
    }
}

/* What an item is called: by the first of these that it has. */
static const char *item_name(const json_t *one)
{
    static const char *const keys[] = { "id",    "name",   "run",   "step",   "check", "clause",
                                        "phase", "region", "month", "source", "of" };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        if (body_text(one, keys[i]) != NULL)
            return body_text(one, keys[i]);
    return NULL;
}

static void add_list(struct buf *out, const char *section, const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        DR_FREE char *number = dr_strf("%zu", i + 1);
        const char *name = item_name(one);
        const struct place p = { section, name != NULL ? name : number, "" };
        if (json_is_object(one))
            add_members(out, &p, one);
        else
            add_row(out, &p, "text", one);
    }
}

/* A section that is an object: its values, and each list in it as a section of its own. */
static void add_section(struct buf *out, const char *section, json_t *object)
{
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    const struct place p = { section, "", "" };
    sorted_keys(object, &keys);
    for (size_t i = 0; i < keys.count; i++) {
        json_t *value = json_object_get(object, keys.items[i]);
        DR_FREE char *below = dr_strf("%s.%s", section, keys.items[i]);
        const struct place inner = { below, "", "" };
        if (json_is_array(value))
            add_list(out, below, value);
        else if (json_is_object(value))
            add_members(out, &inner, value);
        else
            add_row(out, &p, keys.items[i], value);
    }
}

void report_csv(const json_t *report, struct buf *out)
{
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    DR_JSON json_t *own = json_deep_copy(report);
    const struct place top = { "report", "", "" };
    sorted_keys(own, &keys);
    buf_adds(out, "section,item,member,value\r\n");
    for (size_t i = 0; i < keys.count; i++) {
        const json_t *value = json_object_get(own, keys.items[i]);
        if (!json_is_array(value) && !json_is_object(value))
            add_row(out, &top, keys.items[i], value);
    }
    for (size_t i = 0; i < keys.count; i++) {
        json_t *value = json_object_get(own, keys.items[i]);
        if (json_is_array(value))
            add_list(out, keys.items[i], value);
        else if (json_is_object(value))
            add_section(out, keys.items[i], value);
    }
}
