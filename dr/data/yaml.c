/*
 * yaml.c - libyaml's events, made a tree without recursion, and everything refused that a person
 * could read in two ways.
 *
 * The bytes are looked at first (UTF-8, tabs, mark), then the events. An open list or block stands
 * on a small stack; nodes are owned by the document alone, so a dropped subtree needs no care.
 */
#include "dr/data/yaml.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"

enum { YAML_BYTES_MAX = 1 << 20, YAML_LEVELS_MAX = 16, YAML_KEYS_MAX = 1000 };

struct yaml_doc {
    struct yaml_node **nodes; /* owned: all of them */
    size_t count, cap;
    struct yaml_node *root; /* borrowed from nodes */
};

struct level {
    struct yaml_node *node;
    struct yaml_node *key; /* block: read, its value is awaited */
    bool drop;             /* that key was refused: its value goes nowhere */
};

struct builder {
    struct yaml_doc *doc;
    struct diag *d;
    struct level stack[YAML_LEVELS_MAX];
    size_t depth;
    bool tabs; /* were told: a syntax error is likely their doing */
    bool stop; /* what follows cannot be read any more */
};

void yaml_doc_free(struct yaml_doc *doc)
{
    if (doc == NULL)
        return;
    for (size_t i = 0; i < doc->count; i++) {
        free(doc->nodes[i]->text);
        free(doc->nodes[i]->keys);
        free(doc->nodes[i]->items);
        free(doc->nodes[i]);
    }
    free(doc->nodes);
    free(doc);
}

struct yaml_node *yaml_root(struct yaml_doc *doc)
{
    return doc->root;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key, struct yaml_node **ret_key)
{
    if (map->kind != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i]->text, key) != 0)
            continue;
        if (ret_key != NULL)
            *ret_key = map->keys[i];
        return map->items[i];
    }
    return NULL;
}

static size_t letters(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

int yaml_col_at(const struct yaml_node *scalar, size_t offset)
{
    if (!scalar->straight || offset > scalar->len)
        return scalar->col;
    return scalar->col + (scalar->plain ? 0 : 1) + (int)letters(scalar->text, offset);
}

/* ---- nodes --------------------------------------------------------------------------------- */

static struct yaml_node *new_node(struct yaml_doc *doc, enum yaml_kind kind, const yaml_mark_t *at)
{
    if (doc->count == doc->cap) {
        doc->cap = doc->cap == 0 ? 64 : doc->cap * 2;
        doc->nodes = dr_realloc(doc->nodes, doc->cap, sizeof(struct yaml_node *));
    }
    struct yaml_node *node = dr_alloc(1, sizeof(*node));
    node->kind = kind;
    node->line = (int)at->line + 1;
    node->col = (int)at->column + 1;
    doc->nodes[doc->count++] = node;
    return node;
}

/* Room for one more in an array that grows at each power of two. */
static struct yaml_node **grown(struct yaml_node **array, size_t count)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    return dr_realloc(array, count == 0 ? 1 : count * 2, sizeof(struct yaml_node *));
}

static void refuse(struct builder *b, struct yaml_node *node, const char *code, const char *what,
                   const char *hint)
{
    diag_error(b->d, node->line, node->col, code, "%s", what);
    if (hint != NULL)
        diag_hint(b->d, "%s", hint);
    node->reported = true;
}

/* ---- what is refused in a value ------------------------------------------------------------ */

static bool is_any(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcasecmp(text, *words) == 0)
            return true;
    return false;
}

static bool is_colon_number(const char *text)
{
    size_t colons = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (!digit && (text[i] != ':' || i == 0 || text[i - 1] == ':'))
            return false;
        colons += !digit;
    }
    return colons > 0;
}

/* A bare word that a YAML reader somewhere takes for something else. */
static void check_plain_value(struct builder *b, struct yaml_node *node, bool in_list)
{
    static const char *const truths[] = { "yes", "no", "on", "off", NULL };
    static const char *const nothings[] = { "null", "~", "", NULL };
    if (node->reported || !node->plain)
        return;
    if (is_any(node->text, nothings)) {
        refuse(b, node, "no-value",
               in_list ? "a list item without a value" : "a key without a value",
               in_list ? "write a value, or leave the item out"
                       : "write a value, or leave the key out");
    } else if (is_any(node->text, truths)) {
        diag_error(b->d, node->line, node->col, "yes-no", "'%s' could be a word or a truth value",
                   node->text);
        diag_hint(b->d, "write true or false, or quote it: \"%s\"", node->text);
        node->reported = true;
    } else if (is_colon_number(node->text)) {
        diag_error(b->d, node->line, node->col, "colon-number",
                   "'%s' could be a time of day or a number", node->text);
        diag_hint(b->d, "quote it: \"%s\"", node->text);
        node->reported = true;
    }
}

/* ---- building ------------------------------------------------------------------------------ */

static void add_key(struct builder *b, struct level *at, struct yaml_node *node)
{
    at->key = node;
    at->drop = true;
    if (node->kind != YAML_SCALAR) {
        if (!node->reported)
            refuse(b, node, "key", "a key must be a word", "write the key as plain text");
        return;
    }
    if (node->reported)
        return;
    struct yaml_node *first;
    if (node->plain && strcmp(node->text, "<<") == 0) {
        refuse(b, node, "merge", "merge keys (<<) are not used here",
               "write the value out; a plan must read from top to bottom");
    } else if (strlen(node->text) != node->len) {
        refuse(b, node, "key", "a key holds a zero byte", NULL);
    } else if (yaml_get(at->node, node->text, &first) != NULL) {
        diag_error(b->d, node->line, node->col, "duplicate-key",
                   "'%s' is given twice in this block", node->text);
        diag_hint(b->d, "first given on line %d; keep one", first->line);
    } else if (at->node->count == YAML_KEYS_MAX) {
        refuse(b, node, "too-many", "more than 1000 keys in one block", NULL);
        b->stop = true;
    } else {
        at->drop = false;
    }
}

/* A finished scalar, or a list or block that begins, takes its place in what is open. */
static void place(struct builder *b, struct yaml_node *node)
{
    if (b->depth == 0) {
        b->doc->root = node;
        return;
    }
    struct level *at = &b->stack[b->depth - 1];
    bool list = at->node->kind == YAML_LIST;
    if (!list && at->key == NULL) {
        add_key(b, at, node);
        return;
    }
    if (node->kind == YAML_SCALAR)
        check_plain_value(b, node, list);
    if (list || !at->drop) {
        at->node->items = grown(at->node->items, at->node->count);
        if (!list) {
            at->node->keys = grown(at->node->keys, at->node->count);
            at->node->keys[at->node->count] = at->key;
        }
        at->node->items[at->node->count++] = node;
    }
    at->key = NULL;
}

static void check_properties(struct builder *b, struct yaml_node *node, const yaml_char_t *anchor,
                             const yaml_char_t *tag)
{
    if (anchor != NULL) {
        diag_error(b->d, node->line, node->col, "anchor", "anchors (&%s) are not used here",
                   (const char *)anchor);
        diag_hint(b->d, "write the value out; a plan must read from top to bottom");
    }
    if (tag != NULL) {
        diag_error(b->d, node->line, node->col, "tag", "tags (%s) are not used here",
                   (const char *)tag);
        diag_hint(b->d, "leave it out: each key knows the type of its value");
        node->reported = true;
    }
}

static void on_scalar(struct builder *b, const yaml_event_t *e)
{
    struct yaml_node *node = new_node(b->doc, YAML_SCALAR, &e->start_mark);
    const char *text = (const char *)e->data.scalar.value;
    yaml_scalar_style_t style = e->data.scalar.style;
    node->text = dr_memdup(text, e->data.scalar.length);
    node->len = e->data.scalar.length;
    node->plain = style == YAML_PLAIN_SCALAR_STYLE;
    bool quoted =
        style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    node->straight = (node->plain || quoted) && e->start_mark.line == e->end_mark.line &&
                     e->end_mark.index - e->start_mark.index ==
                         letters(node->text, node->len) + (quoted ? 2 : 0);
    check_properties(b, node, e->data.scalar.anchor, e->data.scalar.tag);
    if (style == YAML_FOLDED_SCALAR_STYLE)
        refuse(b, node, "folded", "folded text (>) is not used here",
               "write | to keep the lines as they are, or one quoted line");
    place(b, node);
}

static void on_begin(struct builder *b, const yaml_event_t *e, enum yaml_kind kind)
{
    struct yaml_node *node = new_node(b->doc, kind, &e->start_mark);
    if (kind == YAML_MAP)
        check_properties(b, node, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    else
        check_properties(b, node, e->data.sequence_start.anchor, e->data.sequence_start.tag);
    if (b->depth == YAML_LEVELS_MAX) {
        refuse(b, node, "too-deep", "more than 16 levels", NULL);
        b->stop = true;
        return;
    }
    place(b, node);
    b->stack[b->depth++] = (struct level){ .node = node };
}

static void on_alias(struct builder *b, const yaml_event_t *e)
{
    struct yaml_node *node = new_node(b->doc, YAML_SCALAR, &e->start_mark);
    node->text = dr_strdup("");
    diag_error(b->d, node->line, node->col, "alias", "aliases (*%s) are not used here",
               (const char *)e->data.alias.anchor);
    diag_hint(b->d, "write the value out; a plan must read from top to bottom");
    node->reported = true;
    place(b, node);
}

static void on_document(struct builder *b, const yaml_event_t *e)
{
    int line = (int)e->start_mark.line + 1, col = (int)e->start_mark.column + 1;
    if (b->doc->root != NULL) {
        diag_error(b->d, line, col, "second-document", "a second document begins here");
        diag_hint(b->d, "one file holds one document: move it to a file of its own");
        b->stop = true;
    } else if (e->data.document_start.version_directive != NULL ||
               e->data.document_start.tag_directives.start !=
                   e->data.document_start.tag_directives.end) {
        diag_error(b->d, line, col, "directive", "directives (%%) are not used here");
        diag_hint(b->d, "leave the line out");
    }
}

static void on_event(struct builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        on_document(b, e);
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(b, e);
        break;
    case YAML_MAPPING_START_EVENT:
        on_begin(b, e, YAML_MAP);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_begin(b, e, YAML_LIST);
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        DR_ASSERT(b->depth > 0);
        b->depth--;
        break;
    case YAML_ALIAS_EVENT:
        on_alias(b, e);
        break;
    default:
        break;
    }
}

/* ---- the bytes ----------------------------------------------------------------------------- */

/* The line, counted from 1, of the byte at offset, and its column in letters. */
static void place_of(const char *bytes, size_t offset, int *ret_line, int *ret_col)
{
    size_t start = 0;
    int line = 1;
    for (size_t i = 0; i < offset; i++) {
        if (bytes[i] != '\n')
            continue;
        line++;
        start = i + 1;
    }
    *ret_line = line;
    *ret_col = (int)letters(bytes + start, offset - start) + 1;
}

static size_t first_invalid(const char *bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t step = 1;
        while (step <= 4 && step <= len - at && !text_is_utf8(bytes + at, step))
            step++;
        if (step > 4 || step > len - at)
            return at;
        at += step;
    }
    return len;
}

static bool check_bytes(const char *bytes, size_t len, struct diag *d)
{
    int line, col;
    if (len > YAML_BYTES_MAX) {
        diag_error(d, 1, 1, "too-big", "the file has %zu bytes, at most 1 MiB is read", len);
        return false;
    }
    if (!text_is_utf8(bytes, len)) {
        place_of(bytes, first_invalid(bytes, len), &line, &col);
        diag_error(d, line, col, "utf-8", "this is not UTF-8");
        diag_hint(d, "save the file as UTF-8");
        return false;
    }
    const char *tab = len == 0 ? NULL : memchr(bytes, '\t', len);
    if (tab != NULL) {
        place_of(bytes, (size_t)(tab - bytes), &line, &col);
        diag_error(d, line, col, "tab", "a tab: nobody sees how far it indents");
        diag_hint(d, "write spaces");
    }
    return true;
}

static void on_syntax(struct builder *b, const yaml_parser_t *p, const char *bytes, size_t len)
{
    const char *what = p->problem != NULL ? p->problem : "cannot be read";
    int line = (int)p->problem_mark.line + 1, col = (int)p->problem_mark.column + 1;
    if (p->error == YAML_READER_ERROR)
        place_of(bytes, p->problem_offset < len ? p->problem_offset : len, &line, &col);
    if (strcmp(what, "mapping values are not allowed in this context") == 0)
        what = "a second ':' in one value";
    diag_error(b->d, line, col, "syntax", "%s", what);
    const char *at = bytes;
    for (int i = 1; i < line && at != NULL; i++) {
        at = memchr(at, '\n', len - (size_t)(at - bytes));
        at = at == NULL ? NULL : at + 1;
    }
    size_t rest = at == NULL ? 0 : len - (size_t)(at - bytes);
    const char *end = rest == 0 ? NULL : memchr(at, '\n', rest);
    size_t line_len = end == NULL ? rest : (size_t)(end - at);
    if (line_len > 0 && memmem(at, line_len, "${", 2) != NULL)
        diag_hint(b->d, "a value with ${ } must be quoted: \"${name}\"");
    else
        diag_hint(b->d, "look at indentation, brackets and quotes here and on the line above");
}

static void read_events(struct builder *b, yaml_parser_t *parser, const char *bytes, size_t len)
{
    bool end = false;
    while (!end && !b->stop) {
        yaml_event_t e;
        if (!yaml_parser_parse(parser, &e)) {
            b->stop = true;
            if (!b->tabs)
                on_syntax(b, parser, bytes, len);
            return;
        }
        end = e.type == YAML_STREAM_END_EVENT;
        on_event(b, &e);
        yaml_event_delete(&e);
    }
}

struct yaml_doc *yaml_parse(const char *bytes, size_t len, struct diag *d)
{
    if (len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        diag_error(d, 1, 1, "bom", "the file begins with a byte-order mark");
        diag_hint(d, "save it as UTF-8 without one");
        bytes += 3;
        len -= 3;
    }
    if (!check_bytes(bytes, len, d))
        return NULL;
    DR_FREE char *copy = dr_memdup(bytes, len);
    for (size_t i = 0; i < len; i++) /* tabs were told: go on as if they were spaces */
        if (copy[i] == '\t')
            copy[i] = ' ';
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        diag_error(d, 1, 1, "memory", "no memory to read the file");
        return NULL;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)copy, len);
    struct builder b = { .doc = dr_alloc(1, sizeof(*b.doc)), .d = d };
    b.tabs = len > 0 && memchr(bytes, '\t', len) != NULL;
    read_events(&b, &parser, copy, len);
    yaml_parser_delete(&parser);
    struct yaml_doc *doc = b.doc;
    if (b.stop || doc->root == NULL) {
        if (!b.stop)
            diag_error(d, 1, 1, "empty", "the file is empty");
        yaml_doc_free(doc);
        return NULL;
    }
    return doc;
}
