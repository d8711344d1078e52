/*
 * Findings are made in the order in which a person looks at things; sorting keeps it.
 */
#include "dr/status/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"

static char *join_key(const struct finding *f)
{
    struct buf b = { 0 };
    for (size_t i = 0; i < FINDING_KEY_PARTS && f->key[i] != NULL; i++)
        buf_addf(&b, "%s%s", i > 0 ? "/" : "", f->key[i]);
    return buf_take(&b);
}

static bool has_key(const json_t *list, const char *key)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *other = json_string_value(json_object_get(json_array_get(list, i), "key"));
        if (other != NULL && strcmp(other, key) == 0)
            return true;
    }
    return false;
}

void finding_add(json_t *list, const struct finding *f, const char *fmt, ...)
{
    char text[DR_ERR_MSG_MAX + DR_ERR_HINT_MAX];
    DR_FREE char *key = join_key(f);
    va_list ap;
    if (has_key(list, key))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* cut where it is longer than any message */
    va_end(ap);
    json_t *o = json_object();
    json_put_text(o, "severity", f->severity == FINDING_CRITICAL ? "critical" : "warning");
    json_put_text(o, "key", key);
    json_put_text(o, "text", text);
    json_put(o, "hint",
             f->hint != NULL && f->hint[0] != '\0' ? json_printable(f->hint) : json_null());
    DR_ASSERT(json_array_append_new(list, o) == 0);
}

bool finding_is_critical(const json_t *finding)
{
    const char *word = json_string_value(json_object_get(finding, "severity"));
    return word != NULL && strcmp(word, "critical") == 0;
}

bool finding_is(const json_t *finding, const char *prefix)
{
    const char *key = json_string_value(json_object_get(finding, "key"));
    return key != NULL && text_starts(key, prefix);
}

json_t *finding_sort(json_t *list)
{
    json_t *sorted = json_array();
    for (int critical = 1; critical >= 0; critical--)
        for (size_t i = 0; i < json_array_size(list); i++)
            if (finding_is_critical(json_array_get(list, i)) == (critical == 1))
                DR_ASSERT(json_array_append(sorted, json_array_get(list, i)) == 0);
    json_decref(list);
    return sorted;
}
