/*
 * reader.c - the engine of the configuration's tables of keys.
 *
 * Wording and places are those of plans: the wrong word itself is pointed at, what is wrong is said in
 * the user's words, and the hint is something to type. A node that was reported stays quiet from then
 * on, so that one mistake gives one message.
 */
#include "dr/config/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/duration.h"

enum { NAME_MAX_BYTES = 64, WORDS_MAX = 32 };

void reader_fini(struct reader *r)
{
    free(r->refs);
}

void reader_error(struct reader *r, struct yaml_node *node, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char text[512];
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    diag_error(r->d, node->line, node->col, code, "%s", text);
    node->reported = true;
}

void reader_warning(struct reader *r, const struct yaml_node *node, const char *code,
                    const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char text[512];
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    diag_warning(r->d, node->line, node->col, code, "%s", text);
}

void reader_ref(struct reader *r, enum key_type kind, struct yaml_node *node)
{
    r->refs = dr_realloc(r->refs, r->ref_count + 1, sizeof(*r->refs));
    r->refs[r->ref_count++] = (struct config_ref){ .kind = kind, .node = node };
}

bool reader_hint_near(struct reader *r, const char *word, const char *const *words, size_t count)
{
    const char *near = text_nearest(word, words, count);
    if (near != NULL)
        diag_hint(r->d, "did you mean '%s'?", near);
    return near != NULL;
}

struct yaml_node *reader_value(const struct yaml_node *map, const char *key)
{
    struct yaml_node *value = yaml_get(map, key, NULL);
    return value != NULL && !value->reported ? value : NULL;
}

/* ---- values -------------------------------------------------------------------------------- */

/* May it stand in a hint without quotes? */
static bool is_word(const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    return text[0] != '\0' && strspn(text, plain) == strlen(text);
}

bool reader_is(struct reader *r, struct yaml_node *node, enum yaml_kind kind, const char *key)
{
    if (node->reported)
        return false;
    if (node->kind == kind)
        return true;
    static const char *const wants[] = { [YAML_SCALAR] = "takes a single value",
                                         [YAML_LIST] = "takes a list",
                                         [YAML_MAP] = "takes a block of keys" };
    static const char *const got[] = {
        [YAML_SCALAR] = "a single value", [YAML_LIST] = "a list", [YAML_MAP] = "a block"
    };
    reader_error(r, node, "type", "'%s' %s, not %s", key, wants[kind], got[node->kind]);
    if (kind == YAML_LIST && node->kind == YAML_SCALAR) {
        bool word = is_word(node->text);
        diag_hint(r->d, word ? "write [%s]" : "write [\"%s\"]", node->text);
    }
    return false;
}

static bool is_scalar(struct reader *r, struct yaml_node *node, const char *key)
{
    if (!reader_is(r, node, YAML_SCALAR, key))
        return false;
    if (node->len == 0)
        reader_error(r, node, "empty", "'%s' is empty", key);
    else if (strlen(node->text) != node->len)
        reader_error(r, node, "text", "'%s' holds a zero byte", key);
    else if (node->plain && (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0)) {
        reader_error(r, node, "yes-no", "'%s' takes a text, and %s is a truth value", key,
                     node->text);
        diag_hint(r->d, "quote it: \"%s\"", node->text);
    } else
        return true;
    return false;
}

bool reader_text(struct reader *r, struct yaml_node *node, const char *key, char **ret)
{
    if (!is_scalar(r, node, key))
        return false;
    *ret = dr_strdup(node->text);
    return true;
}

bool reader_is_name(struct reader *r, struct yaml_node *node, const char *key)
{
    if (!is_scalar(r, node, key))
        return false;
    const char *t = node->text;
    bool first = (t[0] >= 'a' && t[0] <= 'z') || (t[0] >= '0' && t[0] <= '9');
    if (first && node->len <= NAME_MAX_BYTES &&
        strspn(t, "abcdefghijklmnopqrstuvwxyz0123456789._-") == node->len)
        return true;
    reader_error(r, node, "name", "'%s' cannot be a name", t);
    diag_hint(r->d, "a to z, 0 to 9, '.', '_' and '-', at most %d, a letter or digit first",
              NAME_MAX_BYTES);
    return false;
}

static void no_unit(struct reader *r, struct yaml_node *node, const char *units)
{
    reader_error(r, node, "no-unit", "%s what?", node->text);
    diag_hint(r->d, "write a unit: %s%c, %s%c, %s%c", node->text, units[0], node->text, units[1],
              node->text, units[2]);
}

static bool more_than_zero(struct reader *r, struct yaml_node *node, int64_t ms)
{
    if (ms <= 0)
        reader_error(r, node, "duration", "'%s' is no time at all", node->text);
    return ms > 0;
}

bool reader_duration(struct reader *r, struct yaml_node *node, int64_t *ret_ms)
{
    int64_t ms = 0;
    switch (duration_parse(node->text, &ms)) {
    case QUANTITY_OK:
        if (!more_than_zero(r, node, ms))
            return false;
        *ret_ms = ms;
        return true;
    case QUANTITY_NO_UNIT:
        no_unit(r, node, "smh");
        return false;
    default:
        reader_error(r, node, "duration", "'%s' is not a duration", node->text);
        diag_hint(r->d, "examples: 30s, 15m, 1h30m, 7d");
        return false;
    }
}

static void read_frequency(struct reader *r, struct yaml_node *node, int64_t *ret_ms,
                           const char **ret_word)
{
    static const char *const words[] = { "hourly",  "daily",     "weekly",
                                         "monthly", "quarterly", "yearly" };
    static const int hours[] = { 1, 24, 168, 720, 2184, 8760 };
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        if (strcmp(node->text, words[i]) == 0) {
            *ret_ms = (int64_t)hours[i] * 3600 * 1000;
            *ret_word = words[i];
            return;
        }
    int64_t ms = 0;
    switch (duration_parse(node->text, &ms)) {
    case QUANTITY_OK:
        if (more_than_zero(r, node, ms))
            *ret_ms = ms;
        break;
    case QUANTITY_NO_UNIT:
        no_unit(r, node, "mhd");
        break;
    default:
        reader_error(r, node, "frequency", "'%s' does not say how often", node->text);
        if (!reader_hint_near(r, node->text, words, DR_ARRAY_LEN(words)))
            diag_hint(r->d, "hourly, daily, weekly, monthly, or a duration: 15m");
    }
}

bool reader_list(struct reader *r, struct yaml_node *node, const char *key, struct text_list *ret)
{
    if (!reader_is(r, node, YAML_LIST, key))
        return false;
    for (size_t i = 0; i < node->count; i++)
        if (is_scalar(r, node->items[i], key))
            text_list_add(ret, node->items[i]->text);
    return true;
}

static void read_integer(struct reader *r, const struct config_key *key, struct yaml_node *node,
                         int *ret)
{
    const char *t = node->text;
    bool digits = strspn(t, "0123456789") == node->len && node->len <= 9;
    if (!digits || (t[0] == '0' && node->len > 1)) {
        reader_error(r, node, "integer", "'%s' is not a whole number", t);
        return;
    }
    int value = 0;
    for (; *t != '\0'; t++)
        value = value * 10 + (*t - '0');
    if (value < key->min || value > key->max)
        reader_error(r, node, "integer", "'%s' goes from %d to %d, not %d", key->name, key->min,
                     key->max, value);
    else
        *ret = value;
}

static void read_size(struct reader *r, struct yaml_node *node, uint64_t *ret)
{
    uint64_t bytes = 0;
    enum quantity q = size_parse(node->text, &bytes);
    if (q == QUANTITY_OK && bytes > 0) {
        *ret = bytes;
        return;
    }
    reader_error(r, node, "size",
                 q == QUANTITY_OK ? "'%s' is nothing at all" : "'%s' is not a size", node->text);
    diag_hint(r->d, "examples: 512MiB, 10GiB, 1TB");
}

bool reader_clock(const char *text, size_t len, int *ret_min)
{
    enum { LENGTH = 5 }; /* 22:00 */
    if (len != LENGTH || text[2] != ':')
        return false;
    for (int i = 0; i < LENGTH; i++)
        if (i != 2 && (text[i] < '0' || text[i] > '9'))
            return false;
    int hour = (text[0] - '0') * 10 + text[1] - '0', min = (text[3] - '0') * 10 + text[4] - '0';
    if (min > 59 || hour * 60 + min > 24 * 60)
        return false;
    *ret_min = hour * 60 + min;
    return true;
}

static void read_time(struct reader *r, struct yaml_node *node, int *ret)
{
    int min = 0;
    if (reader_clock(node->text, node->len, &min) && min < 24 * 60) {
        *ret = min;
        return;
    }
    reader_error(r, node, "time", "'%s' is not a time of day", node->text);
    diag_hint(r->d, "write hours and minutes, with quotes: \"03:30\"");
}

void reader_refs(struct reader *r, struct yaml_node *node, const char *key, enum key_type kind,
                 struct text_list *ret)
{
    if (!reader_is(r, node, YAML_LIST, key))
        return;
    for (size_t i = 0; i < node->count; i++)
        if (reader_is_name(r, node->items[i], key)) {
            text_list_add(ret, node->items[i]->text);
            reader_ref(r, kind, node->items[i]);
        }
}

struct config_place reader_at(const struct yaml_node *node)
{
    return (struct config_place){ node->line, node->col };
}

static size_t count_words(const char *const *words)
{
    size_t count = 0;
    while (words[count] != NULL)
        count++;
    return count;
}

static bool is_choice(struct reader *r, const struct config_key *key, struct yaml_node *node)
{
    size_t count = count_words(key->choices);
    for (size_t i = 0; i < count; i++)
        if (strcmp(key->choices[i], node->text) == 0)
            return true;
    reader_error(r, node, "choice", "%s '%s' is not known", key->name, node->text);
    if (reader_hint_near(r, node->text, key->choices, count))
        return false;
    DR_CLEANUP(text_list_fini) struct text_list list = { 0 };
    for (size_t i = 0; i < count; i++)
        text_list_add(&list, key->choices[i]);
    DR_FREE char *all = text_list_join(&list, ", ");
    diag_hint(r->d, "known: %s", all);
    return false;
}

static bool is_path(struct reader *r, const struct config_key *key, struct yaml_node *node)
{
    if (node->text[0] == '/')
        return true;
    reader_error(r, node, "relative-path", "'%s' is a relative path, and '%s' has to be absolute",
                 node->text, key->name);
    diag_hint(r->d, "write it from the root: /...");
    return false;
}

/* ---- blocks -------------------------------------------------------------------------------- */

static void *member(void *out, size_t to)
{
    return (char *)out + to;
}

static void set_text(char **slot, const char *text)
{
    free(*slot);
    *slot = dr_strdup(text);
}

/* Is it one of the types that own no memory? */
static bool is_number(enum key_type type)
{
    return type == KEY_INTEGER || type == KEY_DURATION || type == KEY_FREQUENCY ||
           type == KEY_SIZE || type == KEY_TIME;
}

static void read_number(struct reader *r, const struct config_key *key, struct yaml_node *node,
                        void *slot, const char **word)
{
    switch (key->type) {
    case KEY_INTEGER:
        read_integer(r, key, node, slot);
        return;
    case KEY_DURATION:
        (void)reader_duration(r, node, slot); /* a mistake was told there */
        return;
    case KEY_FREQUENCY:
        read_frequency(r, node, slot, word);
        return;
    case KEY_SIZE:
        read_size(r, node, slot);
        return;
    default:
        DR_ASSERT(key->type == KEY_TIME);
        read_time(r, node, slot);
    }
}

static void read_word(struct reader *r, const struct config_key *key, struct yaml_node *node,
                      void *slot)
{
    switch (key->type) {
    case KEY_NAME:
    case KEY_REGION:
    case KEY_SITE:
    case KEY_CHANNEL:
        if (!reader_is_name(r, node, key->name))
            return;
        break;
    case KEY_PATH:
        if (!is_path(r, key, node))
            return;
        break;
    case KEY_CHOICE:
        if (!is_choice(r, key, node))
            return;
        break;
    default:
        break;
    }
    if (key->type == KEY_REGION || key->type == KEY_SITE || key->type == KEY_SECRET ||
        key->type == KEY_CHANNEL)
        reader_ref(r, key->type, node);
    set_text(slot, node->text);
}

static const char *row_name(const struct config_block *block, void *row)
{
    return block->name_to == KEY_NOWHERE ? NULL : *(char **)member(row, block->name_to);
}

static void check_unique(struct reader *r, const struct config_block *block, struct yaml_node *list,
                         char *rows, size_t last)
{
    const char *name = row_name(block, rows + last * block->size);
    for (size_t i = 0; name != NULL && i < last; i++) {
        const char *other = row_name(block, rows + i * block->size);
        if (other == NULL || strcmp(name, other) != 0)
            continue;
        struct yaml_node *node = yaml_get(list->items[last], "name", NULL);
        const char *what = block->what + (text_starts(block->what, "a ") ? 2 : 0);
        reader_error(r, node != NULL ? node : list->items[last], "duplicate-name",
                     "%s '%s' is already defined", what, name);
        diag_hint(r->d, "first on line %d", list->items[i]->line);
        return;
    }
}

static void read_rows(struct reader *r, const struct config_key *key, struct yaml_node *list,
                      void *out)
{
    const struct config_block *block = key->block;
    if (!reader_is(r, list, YAML_LIST, key->name) || list->count == 0)
        return;
    char *rows = dr_alloc(list->count, block->size);
    *(void **)member(out, key->to) = rows;
    *(size_t *)member(out, key->count_to) = list->count;
    for (size_t i = 0; i < list->count; i++) {
        block_read(r, block, list->items[i], rows + i * block->size);
        check_unique(r, block, list, rows, i);
    }
}

static void read_value(struct reader *r, const struct config_key *key, struct yaml_node *name,
                       struct yaml_node *value, void *out)
{
    union {
        char *text;
        int number;
        int64_t ms;
        uint64_t bytes;
    } dropped = { 0 };
    const char *no_word = NULL;
    void *slot = key->to == KEY_NOWHERE ? (void *)&dropped : member(out, key->to);
    struct text_list none = { 0 };
    switch (key->type) {
    case KEY_LIST:
    case KEY_ARGV:
        if (reader_list(r, value, key->name, key->to == KEY_NOWHERE ? &none : slot) &&
            key->type == KEY_ARGV && value->count == 0)
            reader_error(r, value, "empty", "'%s' is a command without a word", key->name);
        text_list_fini(&none);
        break;
    case KEY_BLOCK:
        block_read(r, key->block, value, key->to == KEY_NOWHERE ? out : slot);
        break;
    case KEY_ROWS:
        read_rows(r, key, value, out);
        break;
    case KEY_OWN:
        key->read(r, name, value, slot);
        break;
    case KEY_FREE:
        break;
    default:
        if (!is_scalar(r, value, key->name))
            break;
        if (is_number(key->type)) {
            bool wanted = key->type == KEY_FREQUENCY && key->count_to != 0;
            read_number(r, key, value, slot, wanted ? member(out, key->count_to) : &no_word);
            break;
        }
        read_word(r, key, value, slot);
        if (key->to == KEY_NOWHERE)
            free(dropped.text);
    }
}

static size_t key_names(const struct config_block *block, const char **ret)
{
    size_t count = 0;
    for (; block->keys[count].name != NULL; count++) {
        DR_ASSERT(count < WORDS_MAX);
        ret[count] = block->keys[count].name;
    }
    return count;
}

/* The block, somewhere below this one, that knows the key: a value at the wrong depth. */
static const char *knows_key(const struct config_block *block, const char *name)
{
    for (const struct config_key *key = block->keys; key->name != NULL; key++) {
        if (key->type != KEY_BLOCK)
            continue;
        for (const struct config_key *inner = key->block->keys; inner->name != NULL; inner++)
            if (strcmp(inner->name, name) == 0)
                return key->name;
    }
    return NULL;
}

static void unknown_key(struct reader *r, const struct config_block *block, struct yaml_node *name,
                        const char **ret_meant)
{
    const char *names[WORDS_MAX];
    size_t count = key_names(block, names);
    reader_error(r, name, "unknown-key", "%s has no key '%s'", block->what, name->text);
    *ret_meant = text_nearest(name->text, names, count);
    const char *below = knows_key(block, name->text);
    if (below != NULL)
        diag_hint(r->d, "put it under '%s'", below);
    else if (*ret_meant != NULL)
        diag_hint(r->d, "did you mean '%s'?", *ret_meant);
    else {
        DR_CLEANUP(text_list_fini) struct text_list list = { 0 };
        for (size_t i = 0; i < count; i++)
            text_list_add(&list, names[i]);
        DR_FREE char *all = text_list_join(&list, ", ");
        diag_hint(r->d, "keys: %s", all);
    }
}

static const struct config_key *find_key(const struct config_block *block, const char *name)
{
    for (const struct config_key *key = block->keys; key->name != NULL; key++)
        if (strcmp(key->name, name) == 0)
            return key;
    return NULL;
}

void block_read(struct reader *r, const struct config_block *block, struct yaml_node *map,
                void *out)
{
    if (map->reported)
        return;
    if (map->kind != YAML_MAP) {
        reader_error(r, map, "type", "%s is a block of keys, not %s", block->what,
                     map->kind == YAML_LIST ? "a list" : "a single value");
        diag_hint(r->d, "write {%s: ...}", block->keys[0].name);
        return;
    }
    if (block->at != KEY_NOWHERE)
        *(struct config_place *)member(out, block->at) =
            (struct config_place){ map->line, map->col };
    DR_CLEANUP(text_list_fini) struct text_list meant = { 0 };
    for (size_t i = 0; i < map->count; i++) {
        struct yaml_node *name = map->keys[i];
        if (name->reported)
            continue;
        const struct config_key *key = find_key(block, name->text);
        if (key == NULL) {
            const char *near = NULL;
            unknown_key(r, block, name, &near);
            if (near != NULL)
                text_list_add(&meant, near);
            continue;
        }
        if (key->later != NULL)
            reader_warning(r, name, "not-available", "'%s' %s", key->name, key->later);
        read_value(r, key, name, map->items[i], out);
    }
    for (const struct config_key *key = block->keys; key->name != NULL; key++)
        if (key->required && yaml_get(map, key->name, NULL) == NULL &&
            !text_list_has(&meant, key->name))
            diag_error(r->d, map->line, map->col, "missing-key", "%s needs '%s'", block->what,
                       key->name);
    if (block->finish != NULL)
        block->finish(r, map, out);
}

static void rows_fini(const struct config_key *key, void *out)
{
    char *rows = *(char **)member(out, key->to);
    size_t count = *(size_t *)member(out, key->count_to);
    for (size_t i = 0; i < count; i++)
        block_fini(key->block, rows + i * key->block->size);
    free(rows);
}

void block_fini(const struct config_block *block, void *out)
{
    for (const struct config_key *key = block->keys; key->name != NULL; key++) {
        if (key->type == KEY_BLOCK) {
            block_fini(key->block, key->to == KEY_NOWHERE ? out : member(out, key->to));
            continue;
        }
        if (key->to == KEY_NOWHERE || key->type == KEY_FREE || is_number(key->type))
            continue;
        void *slot = member(out, key->to);
        switch (key->type) {
        case KEY_LIST:
        case KEY_ARGV:
            text_list_fini(slot);
            break;
        case KEY_ROWS:
            rows_fini(key, out);
            break;
        case KEY_OWN:
            if (key->fini != NULL)
                key->fini(slot);
            break;
        default:
            free(*(char **)slot);
        }
    }
}
