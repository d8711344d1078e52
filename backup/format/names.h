/*
 * names.h - how objects of a bucket are called (FORMAT.md, chapter 2).
 */
#ifndef BACKUP_FORMAT_NAMES_H
#define BACKUP_FORMAT_NAMES_H

#include "backup/format/limits.h"

/* Longest: "snapshots/" and an id. */
enum { NAMES_MAX = 200, NAMES_ID_MAX = 160 };

#define NAMES_REPOSITORY "repository"
#define NAMES_PACKS      "packs/"
#define NAMES_SNAPSHOTS  "snapshots/"
#define NAMES_PENDING    "pending/"
#define NAMES_GC         "gc/"
#define NAMES_MEMBERS    "members/"
#define NAMES_PROOFS     "proofs/"
#define NAMES_PINS       "pins/"
#define NAMES_EPOCHS     "epochs/"
#define NAMES_LEDGER     "ledger/"

/* "packs/AB/PACK". Returns out. */
char *names_pack(const uint8_t id[DIGEST_SIZE], char out[NAMES_MAX]);

/* The digest of "packs/AB/PACK"; false when it is not such a name. */
bool names_parse_pack(const char *name, uint8_t ret[DIGEST_SIZE]);

/* prefix (one of the above) and an id. Returns out. */
char *names_of(const char *prefix, const char *id, char out[NAMES_MAX]);

struct names_id { /* what makes a snapshot's id */
    const char *source;
    int64_t epoch, start_ns;
    const uint8_t *nonce; /* NONCE_SIZE bytes */
};

/* "app-20261121t031140z-1f3a9c". Returns out. */
char *names_make_id(const struct names_id *of, char out[NAMES_ID_MAX]);

/* "snapshots/app-", as the name of every snapshot of the source begins; "epochs/app/". Both return out. */
char *names_snapshots_of(const char *source, char out[NAMES_MAX]);
char *names_epochs_of(const char *source, char out[NAMES_MAX]);

/* "epochs/app/00000000000000000005", and the number of such a name; -1: it is none. */
char *names_epoch(const char *source, int64_t epoch, char out[NAMES_MAX]);
int64_t names_parse_epoch(const char *name);

/* The time in an id, as it sorts: "20261121t031140z-1f3a9c"; NULL when there is none. Borrowed. */
const char *names_time_of(const char *id);

/* May this text be an id at all? */
bool names_is_id(const char *text);

#endif
