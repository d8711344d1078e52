/*
 * work.h - the jobs of the backup engine: backup, restore, verify, compare, list, export.
 *
 * Each is one call that runs to its end. Progress goes to a callback, called at least each
 * 100 ms of work and at the end; it returns false to cancel (DR_E_CANCELLED). Things that went
 * wrong without stopping the job (a file that vanished, an attribute that could not be set, a
 * damaged object that another bucket replaced) are warnings: one line each, made for people.
 */
#ifndef BACKUP_WORK_WORK_H
#define BACKUP_WORK_WORK_H

#include "backup/work/repo.h"

struct work_progress {
    const char *doing;           /* "reading", "restoring", "verifying" */
    uint64_t bytes, bytes_total; /* total 0: not known yet */
    uint64_t entries, entries_total;
};

struct work_hooks {
    bool (*progress)(void *arg, const struct work_progress *p); /* or NULL */
    void (*warning)(void *arg, const char *line);               /* or NULL */
    void *arg;
};

/* -- backup -------------------------------------------------------------------------------- */

struct backup_result {
    char id[SNAPSHOT_ID_MAX];     /* empty after a dry run */
    const char *kind;             /* as taken: "full" when there was nothing to build on; static */
    char parent[SNAPSHOT_ID_MAX]; /* the snapshot it was made from, or empty */
    uint64_t files, entries, bytes;
    uint64_t added, changed, removed, unchanged; /* entries, against the parent */
    uint64_t read;                               /* bytes of file data that were read */
    uint64_t stored;          /* bytes put into each bucket (dry run: that would be) */
    size_t warnings;          /* files skipped or changed while read: exit 8 */
    size_t copies;            /* buckets that hold it durably */
    size_t wanted;            /* W: with fewer copies the exit is 9, with 0 it is a failure */
    struct text_list missing; /* buckets that do not hold it: "us: no space left on device" */
    struct text_list lacking; /* regions that must hold it and do not (require): the exit is 9 */
    int64_t start_ns, end_ns;
};
void backup_result_fini(struct backup_result *r);

struct exclude;

/* What to take, and how. Zero means the default everywhere; all pointers are borrowed. */
struct backup_wish {
    const struct config_source *source;
    const char
        *kind;     /* "full", "incremental", "config", or NULL: incremental, full the first time */
    int64_t epoch; /* of the writer (writer_epoch.h) */
    const struct text_list *tags;  /* words kept with the snapshot, or NULL */
    const struct exclude *exclude; /* instead of the source's own patterns, or NULL */
    bool one_file_system, exclude_caches;
    bool dry_run;          /* everything but writing to buckets and state_dir */
    const char *stdin_as;  /* not the source's tree but descriptor 0, as one file of this name */
    uint64_t upload_limit; /* bytes a second and bucket, 0: none */
    bool inline_work;      /* no threads at all: each call in one fixed order (for sweeps) */
    bool is_locked;        /* hooks_backup(): the caller has source_lock() already */
    int64_t patience_ms; /* hooks_backup(): wait so long for another backup of the source; 0: not */
};

/* One snapshot of one source into every bucket. */
enum dr_rc backup_run(struct repo *r, const struct backup_wish *wish,
                      const struct work_hooks *hooks, struct backup_result *ret, struct dr_err *err)
    DR_MUST_USE;

/* -- restore ------------------------------------------------------------------------------- */

/* More write no faster into one file system, and each holds a window of a pack. From behind a network
 * each also waits, so that there are FAR of them, however few processors. */
enum { RESTORE_THREADS_MAX = 4, RESTORE_THREADS_FAR = 8 };

struct exclude;

struct restore_options {
    const char *to;   /* the source's root becomes this directory: absent or empty, or our own
                         unfinished restore of the same snapshot */
    const char *path; /* only this path below the source's root, or NULL */
    const struct exclude *include; /* only what matches, or lies below what does; or NULL */
    const struct exclude *exclude; /* and not what matches this; or NULL */
    bool delta;  /* 'to' may hold anything: it becomes exactly the snapshot; what differs is fetched
                    and written, what is not in the snapshot is removed. Not with a part only */
    bool swap;   /* restored beside 'to', verified, exchanged; the old one stays beside */
    bool verify; /* read back from the medium and compared, before the mark says finished */
    bool dry_run;     /* nothing is changed; the result says what would be */
    unsigned threads; /* 0: everything in the caller's thread, in one order */
    /* Asked before a delta changes a directory that carries no mark of ours; NULL: no. */
    bool (*confirm)(void *arg, const struct text_list *surplus);
    /* Names behind the numbers of a result, the first 20 of each: what is "remove", "write" (dry run) or
     * "differs" (verify). Or NULL. */
    void (*name)(void *arg, const char *what, const char *path);
    void *arg; /* of both */
};

struct restore_result {
    uint64_t files, entries, bytes;
    uint64_t written; /* bytes of files, by this attempt */
    uint64_t fetched; /* bytes of pieces asked of buckets */
    uint64_t changed; /* entries made or changed (but for directories and links) */
    uint64_t kept;    /* entries that were there already */
    uint64_t removed; /* entries that the snapshot does not have; of a tree the topmost counts */
    uint64_t differ;  /* found by verify */
    char old[1024];   /* swap: where the tree that was there is now; else empty */
    size_t warnings;  /* attributes not kept (not root), objects healed by another bucket: exit 8 */
};

enum dr_rc restore_run(struct repo *r, const struct snapshot_info *snapshot,
                       const struct restore_options *options, const struct work_hooks *hooks,
                       struct restore_result *ret, struct dr_err *err) DR_MUST_USE;

/* Is 'to' a finished restore of this whole snapshot? 1 yes, 0 no, -1 cannot tell (err set). */
int restore_is_done(const char *to, const char *snapshot_id, struct dr_err *err);

/* Remove an unfinished or finished restore at 'to' (and nothing that is not one): refuses when
 * the directory carries no mark of ours. */
enum dr_rc restore_undo(const char *to, const char *snapshot_id, struct dr_err *err) DR_MUST_USE;

/* -- verify -------------------------------------------------------------------------------- */

struct verify_result {
    size_t objects; /* looked at, in all buckets */
    size_t damaged; /* named by warnings */
    size_t missing; /* likewise */
    size_t lost;    /* good in no bucket: a snapshot cannot be restored */
    uint64_t bytes; /* read */
};

/* Every object of every good snapshot is in every bucket (head), and with data: is right (read,
 * digest of the object and of each piece). With data the snapshots found whole are marked as
 * proved. */
struct verify_wish {
    bool data;
    unsigned threads; /* that read; 0: none beside the caller, all calls in one order */
};

enum dr_rc verify_run(struct repo *r, const char *source, const struct verify_wish *wish,
                      const struct work_hooks *hooks, struct verify_result *ret, struct dr_err *err)
    DR_MUST_USE;

/* -- compare: data.check ------------------------------------------------------------------- */

struct compare_result {
    uint64_t files, bytes; /* compared */
    uint64_t differ;       /* changed, missing or surplus; the first 20 are told as warnings */
};

struct compare_wish {
    const char *dir; /* the tree */
    const char
        *path; /* only what is at or below this path of both, and nothing is surplus; or NULL */
};

/* Is the tree at dir what the snapshot holds (names, types, sizes, contents by SHA-256)? */
enum dr_rc compare_run(struct repo *r, const struct snapshot_info *snapshot,
                       const struct compare_wish *wish, const struct work_hooks *hooks,
                       struct compare_result *ret, struct dr_err *err) DR_MUST_USE;

/* -- look ---------------------------------------------------------------------------------- */

/* "ls": one line an entry (mode, owner, size, time, path; made printable unless json) below
 * path (NULL: all), to standard output. */
enum dr_rc list_run(struct repo *r, const struct snapshot_info *snapshot, const char *path,
                    bool json, struct dr_err *err) DR_MUST_USE;

/* "cat": the content of one file to fd. */
enum dr_rc cat_run(struct repo *r, const struct snapshot_info *snapshot, const char *path, int fd,
                   struct dr_err *err) DR_MUST_USE;

/* "export": one tar.zst to fd; each path once, as restored. */
enum dr_rc export_run(struct repo *r, const struct snapshot_info *snapshot, int fd,
                      const struct work_hooks *hooks, struct dr_err *err) DR_MUST_USE;

#endif
