/*
 * yaml.h - the YAML that people write for us, as a tree that knows its places.
 *
 * libyaml reads the bytes; this file refuses what a recovery plan must not hold
 * (LANGUAGE chapter 1): tabs, byte-order mark, second document, anchors, aliases, merge keys,
 * tags, non-scalar keys, duplicate keys, keys without a value, bare yes/no/on/off, bare
 * 12:30, more than 1 MiB, more than 16 levels. All findings go to a diag; the tree that
 * comes back holds what was good (a duplicate key keeps its first value), so that a
 * reader can go on and find the other mistakes.
 */
#ifndef DR_DATA_YAML_H
#define DR_DATA_YAML_H

#include "dr/data/diag.h"

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    int line, col; /* of its first character, 1-based */
    bool plain;    /* scalar: not quoted, not a block */
    bool straight; /* scalar: on one line, each letter stands as it is written */
    bool reported; /* a finding about it was given: readers stay quiet */
    char *text;    /* scalar: its letters, NUL at the end; owned by the tree */
    size_t len;
    size_t count;             /* list: items; map: pairs */
    struct yaml_node **keys;  /* map */
    struct yaml_node **items; /* list items, map values */
};

struct yaml_doc; /* owns a tree */

/* (yaml_free is a name of libyaml itself.) */
void yaml_doc_free(struct yaml_doc *doc);
DR_DEFINE_CLEANUP(struct yaml_doc, yaml_doc_free)

/* NULL when nothing could be read; findings are in d in every case. The caller frees the tree. */
struct yaml_doc *yaml_parse(const char *bytes, size_t len, struct diag *d) DR_MUST_USE;

/* Borrowed from doc. */
struct yaml_node *yaml_root(struct yaml_doc *doc);

/* The value of key in a map, or NULL. If ret_key is not NULL it gets the key's node. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key,
                           struct yaml_node **ret_key);

/* The column of the letter at offset of a scalar's text; the scalar's own when it cannot be told
 * (escapes before it, more than one line). */
int yaml_col_at(const struct yaml_node *scalar, size_t offset);

#endif
