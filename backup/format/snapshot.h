/*
 * snapshot.h - snapshot objects: the commit point of a backup (FORMAT.md, chapter 8).
 *
 * snapshot_parse() checks the form, every member, the name and the signature by the key that the
 * object itself names. Whether that key may write this source is the reader's question:
 * snapshot_is_by(). Without it a parsed snapshot proves only that it is whole.
 */
#ifndef BACKUP_FORMAT_SNAPSHOT_H
#define BACKUP_FORMAT_SNAPSHOT_H

#include "backup/format/keys.h"
#include "backup/format/list.h"
#include "backup/format/names.h"
#include "dr/data/json.h"

struct snapshot {
    char id[NAMES_ID_MAX];
    char *repository; /* owned, as all strings here */
    char *source, *class, *host, *kind;
    char *parent; /* or NULL */
    int64_t epoch, start_ns, end_ns;
    uint8_t nonce[NONCE_SIZE];
    uint64_t entries, files, bytes, stored, warnings;
    struct list toc, recipe, removed, packs;
    uint64_t directories;       /* lines at the end of the recipe: the pieces of directories */
    struct text_list tags;      /* words of whoever asked for it; mostly none */
    json_t *owners;             /* {"groups":{"0":"root"},"users":{...}} */
    char writer[KEYS_TEXT_MAX]; /* the key that signed */
};

void snapshot_fini(struct snapshot *s);

/* Append the signed object. */
void snapshot_encode(const struct snapshot *s, const struct keys *signer, struct buf *out);

/*
 * name: the object's name ("snapshots/ID" or just "ID"); the id within must be the same. DR_E_CORRUPT when
 * it is damaged or not signed by its key, DR_E_REFUSED when it needs a newer version or a key.
 */
enum dr_rc snapshot_parse(const char *name, const void *data, size_t len, struct snapshot *ret,
                          struct dr_err *err) DR_MUST_USE;

/* Was it signed by one of these keys? */
bool snapshot_is_by(const struct snapshot *s, const struct text_list *keys);

#endif
