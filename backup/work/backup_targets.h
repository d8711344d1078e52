/*
 * backup_targets.h - what backup_buckets.c and backup_commit.c share: the state of each bucket.
 *
 * A target is worked on by one job at a time: those of its lane, or the caller while the lane is
 * idle. What several look at (good, durable, why) is guarded by the lock of struct buckets.
 */
#ifndef BACKUP_WORK_BACKUP_TARGETS_H
#define BACKUP_WORK_BACKUP_TARGETS_H

#include <pthread.h>

#include "backup/work/backup_buckets.h"
#include "backup/work/backup_lane.h"
#include "backup/work/backup_pace.h"
#include "backup/work/gc_view.h"
#include "backup/work/known.h"

enum { WAIT_MS = 100 };

struct target {
    struct buckets *all;
    const struct repo_bucket *bucket;
    struct lane *lane;
    struct pace pace;
    struct store_pace store_pace;
    struct gc_view gc;
    const struct known_bucket *known; /* what it was seen to hold; NULL: nothing */
    bool good, durable;               /* guarded by the lock, with all below */
    bool asking;                      /* what it holds is being found out: it gets nothing yet */
    bool lists_trusted;               /* the snapshot before is there */
    struct dr_err why;                /* of one that is not */
    uint64_t queued;                  /* bytes handed to its lane and not through */
    uint64_t delivered;               /* bytes it has taken */
    int64_t moved_ms;                 /* when it last took something */
    unsigned missed;                  /* packs it did not get, in a row */
    bool has_gaps;                    /* some pack of this run is not there: no home */
};

struct buckets {
    struct repo *repo;
    struct buckets_options o;
    struct target *targets;
    size_t count;
    struct target *held; /* has the pending of an attempt that failed its check, or NULL */
    char held_name[NAMES_MAX];
    char trusted_id[NAMES_ID_MAX]; /* of the snapshot before; empty: none */
    struct pack_names trusted;     /* its packs */
    bool trusts;                   /* where it is, they are */
    struct known_place known_at;   /* state_dir NULL: there is no memory */
    struct known known;            /* as it was: nothing changes it */
    struct gc_memory gc_memory;
    struct gc_view remembered; /* all gc lists that this host has read */
    pthread_mutex_t lock;      /* guards what is below and what is said above */
    pthread_cond_t changed;
    uint64_t outstanding; /* bytes in the spool */
    int64_t began_ms;
    bool cancelled;
};

bool target_is_good(struct target *t);

/* Until it is known what the bucket holds, or nothing is put into it any more. */
void target_wait_asked(struct target *t);
bool target_has_gaps(struct target *t);
void target_drop(struct target *t, const struct dr_err *why);

/* Put an object; an outcome that is not known is found out by putting the same bytes again. What is
 * there already has the same bytes: its name is their digest, or its run's own. */
enum dr_rc target_put(struct target *t, const char *name, const void *data, size_t len,
                      struct dr_err *err) DR_MUST_USE;

/* Likewise; fd is -1 when someone else still reads the file. */
enum dr_rc target_put_file(struct target *t, const char *name, const struct store_file *file,
                           struct dr_err *err) DR_MUST_USE;

/* No bucket is left: the reason of the first tells most. */
enum dr_rc buckets_fail_all(struct buckets *b, struct dr_err *err) DR_MUST_USE;

/* Enough buckets that are so would make a snapshot durable (durable.h). is() is asked with the lock held. */
bool buckets_enough(struct buckets *b, bool (*is)(const struct target *t));

/* Enough others are through since through_ms, and this one is not, for longer than it may: it drops out. False:
 * wait on. */
bool target_drop_late(struct target *t, int64_t through_ms);

/* Was the run cancelled? Asks the caller's hook, in the caller's thread. */
bool buckets_are_cancelled(struct buckets *b);

/* Until something changes, or so long. The lock is held. */
void buckets_wait_change(struct buckets *b, int64_t ns);

/* All lanes of good buckets are idle, or the run was cancelled. */
enum dr_rc buckets_wait(struct buckets *b, struct dr_err *err) DR_MUST_USE;

/* Take away the pending that is held, if any. */
void buckets_release(struct buckets *b);

#endif
