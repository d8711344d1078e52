/*
 * known.h - what this host remembers of its buckets, so that it need not ask again.
 *
 *     STATE_DIR/known/bucket-NAME               which repository the bucket at that url holds
 *     STATE_DIR/known/REPOSITORY/source-SOURCE  the newest snapshot of ours that each bucket holds durably
 *     STATE_DIR/known/REPOSITORY/object-SOURCE  the object of the last one, as it was signed
 *     STATE_DIR/known/REPOSITORY/gc-NAME        gc lists that were read: they are write-once and stay true
 *
 * Nothing of it is believed alone. Whoever goes by the first line asks the bucket for something that only
 * our bucket has before he writes into it; the object is judged like one from a bucket; gc lists
 * count for a bucket only when it lists their names. What is lost, damaged or of another url costs
 * requests. The other way round it is a witness: a bucket that does not hold any more what it was seen
 * to hold, and no gc list says why, went back to an older state (PROTOCOLS.md, chapter 3).
 *
 * Files are replaced whole. Failures to write are nobody's business. state_dir may be NULL: nothing
 * is known, and nothing kept.
 */
#ifndef BACKUP_WORK_KNOWN_H
#define BACKUP_WORK_KNOWN_H

#include "backup/format/names.h"
#include "backup/format/sealed.h"
#include "dr/config/config.h"

enum { KNOWN_FILE_MAX = 1 << 20 };

/* -- which repository ---------------------------------------------------------------------- */

/* False: nothing is known of a bucket of that name and url. */
bool known_repository(const char *state_dir, const struct config_bucket *b, struct repository *ret)
    DR_MUST_USE;
void known_keep_repository(const char *state_dir, const struct config_bucket *b,
                           const struct repository *r);
void known_forget_repository(const char *state_dir, const struct config_bucket *b);

/* -- one source ---------------------------------------------------------------------------- */

struct known_bucket {
    char *name, *url;            /* owned */
    char snapshot[NAMES_ID_MAX]; /* the newest that it was seen to hold */
    uint64_t bytes;              /* of its object */
    int64_t epoch;               /* under which it was taken: it is announced there */
};

struct known {                    /* zeroed: nothing */
    struct known_bucket *buckets; /* owned */
    size_t count;
    char snapshot[NAMES_ID_MAX]; /* whose object it is; empty: none */
    struct buf object;
};
void known_fini(struct known *k);

struct known_place { /* all borrowed */
    const char *state_dir, *repository, *source;
};

/* Into a zeroed struct, which stays so when nothing (whole) is there. */
void known_read(const struct known_place *at, struct known *ret);
void known_write(const struct known_place *at, const struct known *k);

/* The row of that bucket; NULL: none, or one of another url. */
const struct known_bucket *known_bucket(const struct known *k, const struct config_bucket *b);

/* Its row becomes this; texts are copied. */
void known_set(struct known *k, const struct known_bucket *row);

/* -- gc lists ------------------------------------------------------------------------------ */

/* The directory of one repository's memory; NULL without a state_dir. The caller frees. */
char *known_folder(const char *state_dir, const char *repository) DR_MUST_USE;

/* name: "gc/NAME". Get: false when it is not there. */
bool known_gc_get(const char *folder, const char *name, struct buf *ret) DR_MUST_USE;
void known_gc_keep(const char *folder, const char *name, const struct buf *object);

/* All that are kept, as "gc/NAME", appended and sorted. */
void known_gc_names(const char *folder, struct text_list *ret);

/*
 * A person has seen to the bucket (a repair that ended well, an init that took it in): what it was seen
 * to hold is forgotten for all sources, and with it gc lists that are in none of listed.
 */
void known_readmit(const char *folder, const char *bucket);
void known_gc_forget(const char *folder, const struct text_list *listed);

#endif
