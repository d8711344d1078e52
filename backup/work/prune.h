/*
 * prune.h - what retention or a person expired goes, with the packs that nothing else needs.
 *
 *     look at all buckets ──> E expired, K packs named by nothing else ──approve──> stale pendings
 *       ──> gc/P {K, E} into every bucket ──> look again: D = K minus what is named by now
 *       ──> delete the snapshots E, then the packs D
 *
 * The order is that of a model-checked protocol: any number of prunes, backups and repairs may run at
 * once, on any hosts, and each may die or sleep between any two calls: every visible snapshot keeps
 * all its packs. A prune that dies leaves nothing to clear up: the next one finds what is expired or
 * unnamed by itself.
 *
 * Nothing is deleted unless every bucket of the repository answers: DR_E_REFUSED names the one that does
 * not, that went back to an older state, or that the configuration does not know. What is not understood
 * is never deleted: a snapshot that does not tell its packs stops the prune (DR_E_CORRUPT) until it is
 * forgotten by name.
 */
#ifndef BACKUP_WORK_PRUNE_H
#define BACKUP_WORK_PRUNE_H

#include "backup/work/retention.h"
#include "backup/work/work.h"

enum { PRUNE_GRACE_MS = 24 * 3600 * 1000 }; /* for packs that nothing at all names */

struct prune_snapshot {
    char id[SNAPSHOT_ID_MAX];
    char *source, *kind; /* owned */
    int64_t end_ns;
    bool expires;
    bool carried; /* it was expired before, by a prune or by forget */
    char why[RETENTION_WORDS_MAX];
};

struct prune_hold { /* a source of which nothing expires now */
    char *source;   /* owned */
    char why[RETENTION_WORDS_MAX];
};

struct prune_bucket {
    const char *name; /* borrowed from the configuration */
    size_t packs;     /* that go (or went) from it */
    uint64_t bytes;
    size_t extended; /* objects that were locked anew */
    bool locked;     /* it keeps some of that until their lock ends: a later prune takes them */
};

struct prune_result {
    struct prune_snapshot *snapshots; /* every one that was judged, oldest first */
    size_t snapshot_count;
    size_t expired; /* of them */
    struct prune_hold *holds;
    size_t hold_count;
    struct prune_bucket *buckets; /* one for each of the configuration */
    size_t bucket_count;
    size_t young;    /* packs that nothing names, left for the grace */
    size_t struck;   /* packs that are needed after all, seen at the second look */
    size_t pendings; /* of dead backups, removed */
    size_t left;     /* packs for the next prune: one list holds no more */
    bool refused;    /* approve() said no */
};
void prune_result_fini(struct prune_result *r);

struct prune_options {
    bool dry_run;
    const char *source; /* retention looks at this one only; NULL: at all */
    int64_t grace_ms;
    int64_t now_ns; /* the wall clock */
    const struct text_list
        *abandon;        /* ids of pendings whose backup is dead, says a person; or NULL */
    const char *readmit; /* a bucket that came back older, to be taken in again; or NULL */
    const char *retire;  /* a bucket that is given up for ever; or NULL */
    /* Asked before anything is changed, with what would be; false: stop. NULL: go on. */
    bool (*approve)(void *arg, const struct prune_result *so_far);
    void *arg;
};

/* ret is finished by the caller in every case. */
enum dr_rc prune_run(struct repo *r, const struct prune_options *options,
                     const struct work_hooks *hooks, struct prune_result *ret, struct dr_err *err)
    DR_MUST_USE;

/* -- forget -------------------------------------------------------------------------------- */

/*
 * Expire these snapshots in every bucket. Their space is freed by the next prune. Nothing happens unless
 * all may go: DR_E_REFUSED for one that is pinned; without force also for the newest complete or
 * newest proved one of its source and kind. DR_E_NOTFOUND: no bucket has it.
 */
enum dr_rc forget_run(struct repo *r, const struct text_list *ids, bool force, struct dr_err *err)
    DR_MUST_USE;

#endif
