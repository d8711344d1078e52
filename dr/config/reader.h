/*
 * reader.h - from a YAML tree to a C struct, by a table of keys.
 *
 * A block of the file (a bucket, the strategy) is a struct config_block: its keys, the type of each,
 * and the offset at which the value goes into the C struct. block_read() fills the struct and tells
 * every mistake to the diag; block_fini() frees what the same table says is there. So a key is
 * written down once: what it is called, how it is checked, where it goes, that it is freed.
 *
 *     static const struct config_key bucket_keys[] = {
 *         { "name", KEY_NAME, .to = offsetof(struct config_bucket, name), .required = true },
 *         ...
 *         { .name = NULL },
 *     };
 *
 * Words that name something defined elsewhere in the file (a region, a site, a secret) are also put
 * on a list with their place, for the definition may stand below: check.c resolves them at the end.
 */
#ifndef DR_CONFIG_READER_H
#define DR_CONFIG_READER_H

#include "dr/config/config.h"
#include "dr/data/yaml.h"

enum key_type {
    KEY_TEXT,      /* char *: any scalar but the empty one */
    KEY_NAME,      /* char *: [a-z0-9][a-z0-9._-]*, at most 64 */
    KEY_REGION,    /* char *: a name, of a known region */
    KEY_SITE,      /* char *: a name, of a known site or region */
    KEY_SECRET,    /* char *: a name, of a known secret */
    KEY_CHANNEL,   /* char *: a name, of a known channel */
    KEY_PATH,      /* char *: absolute */
    KEY_CHOICE,    /* char *: one of choices */
    KEY_INTEGER,   /* int, from min to max */
    KEY_DURATION,  /* int64_t, ms, more than 0 */
    KEY_FREQUENCY, /* int64_t, ms: a duration, or hourly daily weekly monthly quarterly yearly;
                      the word itself (const char *, static) goes to count_to, when that is not 0 */
    KEY_SIZE,      /* uint64_t, bytes, more than 0 */
    KEY_TIME,      /* int: "03:30", the minute of the day */
    KEY_LIST,      /* struct text_list: a list of scalars */
    KEY_ARGV,      /* struct text_list: a command, not empty */
    KEY_BLOCK,     /* a map read by block, into the struct at 'to' */
    KEY_ROWS,      /* array of structs (pointer at 'to', size_t at 'count_to'), one for each item */
    KEY_FREE,      /* any tree: of a later version, or the user's own words */
    KEY_OWN,       /* read() does it, fini() frees it */
};

/* As 'to': the value is checked and then dropped. */
#define KEY_NOWHERE ((size_t)-1)

struct reader;
struct config_block;

struct config_key {
    const char *name; /* NULL ends a table */
    enum key_type type;
    bool required;
    size_t to;
    const char *const *choices; /* ends with NULL */
    const struct config_block
        *block;       /* of KEY_BLOCK and KEY_ROWS; of KEY_OWN: what it reads itself */
    const char *each; /* KEY_OWN: a map whose keys are the user's own words: "CHANNEL" */
    size_t count_to;
    int min, max;
    const char
        *later; /* not NULL: a warning says that this version does not use the key, and how */
    void (*read)(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out);
    void (*fini)(void *out); /* KEY_OWN: NULL: nothing to free */
};

struct config_block {
    const char *what; /* "a bucket", "'strategy'": begins a sentence */
    const struct config_key *keys;
    size_t size;    /* KEY_ROWS: of one struct */
    size_t at;      /* offset of a struct config_place, or KEY_NOWHERE */
    size_t name_to; /* KEY_ROWS: offset of the name that must be unique, or KEY_NOWHERE */
    /* After the keys were read: defaults and checks of one block. May be NULL. */
    void (*finish)(struct reader *r, struct yaml_node *map, void *out);
};

/* A word that must be defined somewhere. */
struct config_ref {
    enum key_type kind; /* KEY_REGION, KEY_SITE, KEY_SECRET, KEY_CHANNEL; KEY_LIST: a location */
    struct yaml_node *node;
};

struct reader {
    struct diag *d;
    struct config_ref *refs; /* owned */
    size_t ref_count;
    bool torn; /* the YAML itself was wrong: what seems to be absent may have been lost with it */
};

void reader_fini(struct reader *r);

/* Fill the struct at out (zeroed before); what was wrong stays zero. */
void block_read(struct reader *r, const struct config_block *block, struct yaml_node *map,
                void *out);
void block_fini(const struct config_block *block, void *out);

/* For read() and finish(): an error or a warning at a node; a hint may follow with diag_hint(). */
void reader_error(struct reader *r, struct yaml_node *node, const char *code, const char *fmt, ...)
    DR_PRINTF(4, 5);
void reader_warning(struct reader *r, const struct yaml_node *node, const char *code,
                    const char *fmt, ...) DR_PRINTF(4, 5);
void reader_ref(struct reader *r, enum key_type kind, struct yaml_node *node);

/* "did you mean 'X'?" when one of count words is near. Says whether it gave that hint. */
bool reader_hint_near(struct reader *r, const char *word, const char *const *words, size_t count);

/* Is the node what it has to be? If not, the mistake is told (once). key: named in the message. */
bool reader_is(struct reader *r, struct yaml_node *node, enum yaml_kind kind, const char *key);
bool reader_is_name(struct reader *r, struct yaml_node *node, const char *key);

/* Values of read(): false after a mistake was told. ret: the caller frees. */
bool reader_text(struct reader *r, struct yaml_node *node, const char *key, char **ret);
bool reader_duration(struct reader *r, struct yaml_node *node, int64_t *ret_ms);
bool reader_list(struct reader *r, struct yaml_node *node, const char *key, struct text_list *ret);

/* A list of names that must be defined somewhere: each is checked, and put on the list. */
void reader_refs(struct reader *r, struct yaml_node *node, const char *key, enum key_type kind,
                 struct text_list *ret);

/* "22:00": minutes from midnight, 24:00 included. False: it is no time of a day; nothing was told. */
bool reader_clock(const char *text, size_t len, int *ret_min);

/* Where a node stands. */
struct config_place reader_at(const struct yaml_node *node);

/* The value of key in map, when there is one that was not reported; else NULL. */
struct yaml_node *reader_value(const struct yaml_node *map, const char *key);

#endif
