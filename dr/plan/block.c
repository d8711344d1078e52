/*
 * block.c - keys and plain scalars of a plan, and the words in which their mistakes are told.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/duration.h"
#include "dr/plan/reading.h"

enum { NAME_BYTES_MAX = 64 };

struct plan_place place_of(const struct yaml_node *node)
{
    return (struct plan_place){ node->line, node->col };
}

void say(struct reading *r, struct yaml_node *node, const char *code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    diag_error(r->d, node->line, node->col, code, "%s", text);
    node->reported = true;
}

bool hint_near(struct reading *r, const char *word, const char *const *words)
{
    size_t count = 0;
    while (words[count] != NULL)
        count++;
    const char *near = text_nearest(word, words, count);
    if (near != NULL)
        diag_hint(r->d, "did you mean '%s'?", near);
    return near != NULL;
}

bool is_kind(struct reading *r, struct yaml_node *node, enum yaml_kind kind, const char *key)
{
    static const char *const words[] = { "a single value", "a list", "a block of keys" };
    if (node->reported)
        return false;
    if (node->kind == kind)
        return true;
    say(r, node, "type", "'%s' takes %s, not %s", key, words[kind], words[node->kind]);
    if (kind == YAML_LIST && node->kind == YAML_SCALAR)
        diag_hint(r->d, "write [%s]", node->text);
    else if (kind == YAML_LIST)
        diag_hint(r->d, "write [{...}]");
    return false;
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* Words of other tools and of older drafts, and what says the same here. */
static const char *const foreign[][2] = {
    { "only", "write when: run.mode == 'switchover'" },
    { "if", "write when: EXPRESSION" },
    { "depends_on", "write needs: [STEP]" },
    { "after", "write needs: [STEP]" },
    { "requires", "write needs: [STEP]" },
    { "args", "write with: {...}" },
    { "params_from", "write with: {...}" },
    { "type", "write use: TYPE" },
    { "uses", "write use: TYPE" },
    { "action", "write use: TYPE" },
    { "retries", "write retry: 2" },
    { "on_failure", "write on_error: hold, continue, rollback or next_standby" },
    { "rollback", "write undo: {use: ..., with: {...}}" },
    { "foreach", "write for_each: [...]" },
    { "loop", "write for_each: [...]" },
    { "with_items", "write for_each: [...]" },
    { "outputs", "outputs are declared by the step type: drctl plan types TYPE" },
    { "parallel", "steps with the same needs run side by side" },
    { "gates", "write verify: {use: prometheus.check, ...}" },
    { "approve", "write a step {id: go, use: approve, with: {question: ...}}" },
    { "version", "a plan has no version of its file" },
};

void known_keys(struct reading *r, const struct yaml_node *map, const char *what,
                const char *const *known)
{
    for (size_t i = 0; i < map->count; i++) {
        struct yaml_node *key = map->keys[i];
        bool found = key->reported;
        for (size_t k = 0; known[k] != NULL; k++)
            found |= strcmp(key->text, known[k]) == 0;
        if (found)
            continue;
        say(r, key, "unknown-key", "%s has no key '%s'", what, key->text);
        map->items[i]->reported = true;
        const char *hint = NULL;
        for (size_t f = 0; f < DR_ARRAY_LEN(foreign); f++)
            if (strcmp(key->text, foreign[f][0]) == 0)
                hint = foreign[f][1];
        if (hint != NULL && text_starts(what, "a "))
            diag_hint(r->d, "%s", hint);
        else
            (void)hint_near(r, key->text, known); /* whether there is one does not matter */
    }
}

struct yaml_node *value_of(const struct yaml_node *map, const char *key)
{
    struct yaml_node *value = yaml_get(map, key, NULL);
    return value != NULL && !value->reported ? value : NULL;
}

bool need_key(struct reading *r, struct yaml_node *map, const char *what, const char *key)
{
    if (yaml_get(map, key, NULL) != NULL)
        return true;
    diag_error(r->d, map->line, map->col, "missing-key", "%s needs '%s'", what, key);
    return false;
}

/* ---- scalars --------------------------------------------------------------------------------- */

bool read_word(struct reading *r, struct yaml_node *node, const char *key, char **ret)
{
    if (!is_kind(r, node, YAML_SCALAR, key))
        return false;
    if (strlen(node->text) != node->len) {
        say(r, node, "text", "'%s' holds a zero byte", key);
    } else if (node->plain &&
               (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0)) {
        say(r, node, "yes-no", "'%s' takes a text, and %s is a truth value", key, node->text);
        diag_hint(r->d, "quote it: \"%s\"", node->text);
    } else {
        *ret = dr_strdup(node->text);
        return true;
    }
    return false;
}

bool read_name(struct reading *r, struct yaml_node *node, const char *key, char **ret)
{
    DR_FREE char *text = NULL;
    if (!read_word(r, node, key, &text))
        return false;
    if (strlen(text) <= NAME_BYTES_MAX && is_name(text)) {
        *ret = DR_TAKE(text);
        return true;
    }
    say(r, node, "name", "'%s' cannot be a name", text);
    for (char *c = text; *c != '\0'; c++)
        if (strchr("-. ", *c) != NULL)
            *c = '_';
    if (strlen(text) <= NAME_BYTES_MAX && is_name(text))
        diag_hint(r->d, "write %s", text);
    else
        diag_hint(r->d, "a to z, 0 to 9 and _, a letter first, at most 64");
    return false;
}

/* Keys outside of with are known before the run. */
static bool no_reference(struct reading *r, struct yaml_node *node)
{
    if (strstr(node->text, "${") == NULL)
        return true;
    say(r, node, "no-ref", "no ${ } here: this must be known before the run");
    return false;
}

bool read_duration(struct reading *r, struct yaml_node *node, int64_t *ret_ms)
{
    if (!is_kind(r, node, YAML_SCALAR, "a duration") || !no_reference(r, node))
        return false;
    switch (duration_parse(node->text, ret_ms)) {
    case QUANTITY_OK:
        return true;
    case QUANTITY_NO_UNIT:
        say(r, node, "no-unit", "%s what?", node->text);
        diag_hint(r->d, "write a unit: %ss, %sm, %sh", node->text, node->text, node->text);
        return false;
    default:
        say(r, node, "duration", "'%s' is not a duration", node->text);
        diag_hint(r->d, "examples: 30s, 15m, 1h30m, 7d");
        return false;
    }
}

bool read_count(struct reading *r, struct yaml_node *node, const char *key, int64_t *ret)
{
    if (!is_kind(r, node, YAML_SCALAR, key) || !no_reference(r, node))
        return false;
    const char *t = node->text;
    bool digits = node->len > 0 && node->len <= 9 && strspn(t, "0123456789") == node->len;
    if (!node->plain || !digits || (t[0] == '0' && node->len > 1)) {
        say(r, node, "integer", "'%s' takes a whole number, not '%s'", key, t);
        return false;
    }
    *ret = strtol(t, NULL, 10);
    return true;
}

bool read_choice(struct reading *r, struct yaml_node *node, const char *key,
                 const char *const *words, size_t *ret)
{
    if (!is_kind(r, node, YAML_SCALAR, key))
        return false;
    DR_CLEANUP(buf_fini) struct buf all = { 0 };
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], node->text) == 0) {
            *ret = i;
            return true;
        }
        buf_addf(&all, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    say(r, node, "choice", "%s '%s' is not known", key, node->text);
    if (strcmp(key, "on_error") == 0 && strcmp(node->text, "ask") == 0)
        diag_hint(r->d, "hold asks a person");
    else if (!hint_near(r, node->text, words))
        diag_hint(r->d, "one of: %s", all.data);
    return false;
}
