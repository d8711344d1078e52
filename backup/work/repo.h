/*
 * repo.h - the buckets of one configuration, opened together, and the snapshots in them.
 *
 * A snapshot is visible in a bucket when its object there is whole, signed by a trusted writer
 * of its source, and stands in no gc list of that bucket. It may be restored when each of its
 * objects is in at least one bucket that is open here (the union). Buckets in dark regions are
 * not opened at all. A bucket that cannot be opened or listed is remembered with its error
 * and told to the operator; it never makes the others unusable for reading.
 */
#ifndef BACKUP_WORK_REPO_H
#define BACKUP_WORK_REPO_H

#include "backup/format/keys.h"
#include "backup/format/sealed.h"
#include "backup/format/snapshot.h"
#include "backup/store/store.h"
#include "dr/config/config.h"

struct hedge;
struct plant;
struct repo;

struct repo_options {
    const char *const *dark; /* regions that must not be touched; borrowed */
    size_t dark_count;
    const char *near; /* the region where we are: its buckets are read first; or NULL */
    bool guard;       /* by the right of who may delete and extend locks, where a bucket has one */
    bool
        remembered; /* a bucket of which this host knows what it holds (known.h) is not asked: it is
                         unproved until repo_prove(), and nothing may be put into it before */
    struct plant *plant; /* of a drill (plant.h): its buckets lie, and of its kind "bucket" all
                            others are as dark ones; must outlive the repo; or NULL */
};

/* What one bucket of the configuration looks like from here. Borrowed from the repo. */
struct repo_bucket {
    const struct config_bucket *config;
    struct store *store; /* NULL: dark, or see error */
    bool dark;
    atomic_bool unproved; /* that it holds our repository is known from memory only */
    struct dr_err error;  /* why it is not open; rc DR_OK otherwise */
};

/* Create the repository object in every bucket (each must be empty, or be ours already), and
 * the writer's key at first use. */
enum dr_rc repo_init(const struct config *c, struct dr_err *err) DR_MUST_USE;

/* At least one bucket must open; those behind a network are opened at once. The configuration must outlive the repo. The caller closes. */
enum dr_rc repo_open(const struct config *c, const struct repo_options *options, struct repo **ret,
                     struct dr_err *err) DR_MUST_USE;
void repo_close(struct repo *r);
DR_DEFINE_CLEANUP(struct repo, repo_close)

/* Ask the bucket what it holds, if nobody has yet. What it fails with is that of an open. */
enum dr_rc repo_prove(struct repo *r, size_t index, struct dr_err *err) DR_MUST_USE;

/* The caller has seen in that bucket what only ours has. */
void repo_take_as_proved(struct repo *r, size_t index);

size_t repo_bucket_count(const struct repo *r);
struct repo_bucket *repo_bucket(struct repo *r, size_t index);
const struct config *repo_config(const struct repo *r);

/* What is known of its buckets, by index: how fast they answer, and which are dead. Borrowed. */
struct hedge *repo_hedge(struct repo *r);

/* Is a fault planted? Then nothing that is seen here is worth remembering on this host. */
bool repo_is_planted(const struct repo *r);

/* Call fn(arg) when the repo is closed, before its stores are: for what still uses one of them. */
void repo_at_close(struct repo *r, void (*fn)(void *arg), void *arg);

/* The repository object, the same in all open buckets. Borrowed. */
const struct repository *repo_repository(const struct repo *r);

enum { SNAPSHOT_ID_MAX = 160 };

enum snapshot_state {
    SNAPSHOT_GOOD,       /* visible, and complete in the union of the open buckets */
    SNAPSHOT_INCOMPLETE, /* visible, but an object is in no open bucket */
    SNAPSHOT_REFUSED,    /* unsigned, forged, damaged, or of an implausible epoch: why says it */
};

struct snapshot_info {
    char id[SNAPSHOT_ID_MAX];
    char *source; /* owned */
    char *kind;   /* "full" "incremental" "config"; owned */
    enum snapshot_state state;
    char *why; /* of REFUSED and INCOMPLETE, one sentence; owned, or NULL */
    int64_t epoch;
    int64_t start_ns;  /* wall clock: when reading began (the recovery point's lower end) */
    int64_t end_ns;    /* when reading ended: "taken_at" */
    int64_t proved_ns; /* newest trial restore or data verification on record, 0: never */
    uint64_t files;    /* regular files */
    uint64_t entries;
    uint64_t bytes;           /* of their content */
    uint64_t stored;          /* bytes this snapshot added to each bucket */
    char *parent;             /* the snapshot it was made from; owned, or NULL */
    struct text_list tags;    /* words of whoever asked for it */
    struct text_list buckets; /* names of the buckets it is visible in */
};

struct snapshot_list {
    struct snapshot_info *items; /* owned; newest (epoch, end_ns) last */
    size_t count;
};

void snapshot_info_fini(struct snapshot_info *info);

/* What the object says, into a zeroed info: all but id, state and buckets. */
void snapshot_info_fill(struct snapshot_info *info, const struct snapshot *s);
void snapshot_list_fini(struct snapshot_list *list);

/* Everything that lies in the open buckets; source NULL: of all sources. Refused ones are
 * listed as well. */
enum dr_rc repo_snapshots(struct repo *r, const char *source, struct snapshot_list *ret,
                          struct dr_err *err) DR_MUST_USE;

/*
 * What a person wrote as SNAPSHOT: an id, a unique beginning of one, or "latest" (then source
 * is needed when the configuration has more than one): the newest GOOD one. DR_E_NOTFOUND says
 * what there is.
 *
 * The newest is mostly found by names, which sort by the time when reading began, and its object alone is read: a
 * handful of requests a bucket, however many snapshots and packs there are (repo_find.c says when everything
 * is read after all). Of a run that overlaps with another, the one that began later is chosen then,
 * unless the two are neighbours. proved_ns is not asked for: see repo_proved_ns().
 */
enum dr_rc repo_find(struct repo *r, const char *what, const char *source,
                     struct snapshot_info *ret, struct dr_err *err) DR_MUST_USE;

/*
 * The snapshot object of that id: whole, of this repository and by a trusted writer, from the
 * first bucket that has it so. tell (or NULL) gets one line for each bucket whose copy is not.
 */
enum dr_rc repo_load(struct repo *r, const char *id, void (*tell)(void *arg, const char *line),
                     void *arg, struct snapshot *ret, struct dr_err *err) DR_MUST_USE;

/* Is the object good, of this repository, and by a writer that may write its source? The caller
 * finishes ret. name: "snapshots/ID". DR_E_CORRUPT or DR_E_REFUSED say why not. */
enum dr_rc repo_judge(struct repo *r, const char *name, const struct buf *object,
                      struct snapshot *ret, struct dr_err *err) DR_MUST_USE;

/* The newest trial restore or data verification of it on record in the open buckets; 0: never. */
int64_t repo_proved_ns(struct repo *r, const char *id);

/* Remember in every open bucket that all data of the snapshot was read and was right, now. */
enum dr_rc repo_mark_proved(struct repo *r, const char *id, struct dr_err *err) DR_MUST_USE;

#endif
