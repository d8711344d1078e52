/*
 * report_shown.c - a report whose every text may stand in a line of a terminal.
 *
 * Names of a journal come from plans, and plans allow few characters in them; but a journal is a file, and whoever wrote
 * it may have meant to move the cursor of whoever reads it. It is done once and for all texts, so that no line of
 * the report can forget it.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/report_work.h"

static json_t *shown_text(const json_t *value)
{
    DR_CLEANUP(buf_fini) struct buf shown = { 0 };
    text_add_printable(&shown, json_string_value(value), json_string_length(value));
    return json_string(shown.len > 0 ? shown.data : "");
}

/* A container waits for its turn in `all`; no depth of the input leads anywhere. */
static json_t *shown_value(json_t *value, json_t *all)
{
    if (json_is_array(value) || json_is_object(value))
        json_array_append(all, value);
    return json_is_string(value) ? shown_text(value) : NULL;
}

static void clean_object(json_t *object, json_t *all)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        json_t *shown = shown_value(value, all);
        if (shown != NULL)
            json_object_set_new(object, key, shown); /* the key is there: the order stays */
    }
}

static void clean_list(json_t *list, json_t *all)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *shown = shown_value(json_array_get(list, i), all);
        if (shown != NULL)
            json_array_set_new(list, i, shown);
    }
}

json_t *report_shown(const json_t *report)
{
    json_t *own = json_deep_copy(report);
    DR_JSON json_t *all = json_array();
    DR_ASSERT(own != NULL);
    json_array_append(all, own);
    for (size_t i = 0; i < json_array_size(all); i++) {
        json_t *one = json_array_get(all, i);
        if (json_is_object(one))
            clean_object(one, all);
        else
            clean_list(one, all);
    }
    return own;
}
