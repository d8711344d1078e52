/*
 * repair.h - every bucket gets what the others have: set union, and no look at any source.
 *
 *     repair_run()         all visible snapshots, all buckets; damaged objects are healed
 *     repair_snapshot()    one snapshot of one bucket into another: the step that prune needs
 *
 * The order is that of the protocol. What condemns and expires comes first (gc lists, members), so that a
 * bucket that came back empty or older shows nothing that the others have given up. Then for each snapshot,
 * the newest first, the packs that a bucket lacks, and when all are there its object. Packs
 * keep their names, condemned or not: no pack of a visible snapshot is ever taken by a prune that the
 * snapshot's own expiry did not precede. There is no journal: whatever dies leaves packs that the next
 * repair uses or the next prune takes, and the next repair copies what is still missing and no byte more.
 *
 * Damage is what verify and earlier reads noted (suspects.h), copies of different lengths, and what turns up
 * while copying. It is looked at a second time, whole; then the right bytes are fetched from another
 * bucket and checked, and only then the bad object is removed and put anew. If the removal is not
 * answered nothing is put: it might land later. A damaged gc list is told and left, since a
 * bucket must not be without it for a moment.
 *
 * A bucket that fails drops out, like in a backup. Memory: one list of names a bucket; packs pass through the
 * spool, a few at once.
 */
#ifndef BACKUP_WORK_REPAIR_H
#define BACKUP_WORK_REPAIR_H

#include "backup/work/work.h"

struct repair_result {
    size_t packs;   /* copied */
    uint64_t bytes; /* of them */
    bool expired;   /* nothing was done: the snapshot is expired in the second bucket */
};

/*
 * from and to: indexes of open buckets. The snapshot is visible in the first: DR_E_REFUSED when it is expired
 * there, or not to be believed. DR_E_CORRUPT: one of its packs is whole in no bucket.
 */
enum dr_rc repair_snapshot(struct repo *r, const char *id, size_t from, size_t to,
                           struct repair_result *ret, struct dr_err *err) DR_MUST_USE;

/* -- all of it ----------------------------------------------------------------------------- */

enum { REPAIR_BUCKETS_MAX = 64, REPAIR_FILES_MAX = 20 };

struct repair_wish { /* zero: everything everywhere, in the caller's thread */
    const char *from,
        *to; /* names of open buckets: only out of this one, only into that one; or NULL */
    const char *snapshot; /* the id of one, or NULL: all */
    bool data;            /* read every pack first: all damage is found */
    bool dry_run;         /* nothing is written; the result says what would be */
    unsigned threads;     /* copies at once; 0: none beside the caller, all calls in one order */
};

struct repair_bucket {
    const char *name; /* borrowed from the configuration */
    size_t packs;     /* copied into it */
    uint64_t bytes;   /* of them: exactly what it lacked */
    size_t snapshots; /* objects put there that it lacked */
    size_t lists;     /* gc lists, members, pins, proofs, anchors of the ledger: likewise */
    size_t healed;    /* damaged objects that are right now */
    bool came_back;   /* it lacked gc lists that all others have: it was empty, or older */
    bool failed;      /* why says how; it is not as it should be */
    struct dr_err why;
};

struct repair_damage { /* one object that is not right in one bucket */
    const char *bucket;
    char *object; /* owned */
    bool healed;  /* or, in a dry run, could be */
    struct text_list
        files;   /* "SNAPSHOT: path" of what lies in the damaged bytes, the first of them ... */
    size_t more; /* ... and how many else */
    char *why;   /* of one that stays; owned, or NULL */
};

struct repair_report {
    struct repair_bucket *buckets; /* owned; one for each of the configuration */
    size_t bucket_count;
    struct repair_damage *damage; /* owned */
    size_t damage_count;
    size_t snapshots; /* looked at */
    size_t lost;      /* objects that are whole in no bucket; each was a warning */
    size_t left;      /* objects that are not where they should be, for any other reason */
};
void repair_report_fini(struct repair_report *r);

/* DR_E_NOTFOUND, DR_E_USAGE: no such bucket or snapshot. DR_E_CANCELLED by the hooks. What one bucket
 * refuses is in the report and no failure. */
enum dr_rc repair_run(struct repo *r, const struct repair_wish *wish,
                      const struct work_hooks *hooks, struct repair_report *ret, struct dr_err *err)
    DR_MUST_USE;

#endif
