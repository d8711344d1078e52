/*
 * diff.h - what changed between two snapshots, without restoring either.
 *
 * Two tables of contents are merged in path order. A segment that both snapshots share is passed over by its
 * digest, neither fetched nor decoded, so the cost is that of what changed. Entries that lie at the same place of
 * the same piece are equal, attributes included. Only where that does not tell, because an entry
 * of the same size was written into another piece, its head and bytes are read and compared: so "content" is
 * never a guess from times.
 *
 * A directory whose modification time alone differs (something within it came or went, and that is told)
 * is counted and not told. Memory: one segment and a few pieces of each snapshot.
 */
#ifndef BACKUP_WORK_DIFF_H
#define BACKUP_WORK_DIFF_H

#include "backup/work/work.h"

enum diff_kind { DIFF_ADDED, DIFF_REMOVED, DIFF_CHANGED, DIFF_TYPE, DIFF_KINDS };

/* What differs of DIFF_CHANGED: bits. */
enum diff_what {
    DIFF_CONTENT = 1 << 0, /* bytes of a file, text of a link, number of a device */
    DIFF_MODE = 1 << 1,
    DIFF_OWNER = 1 << 2,
    DIFF_TIME = 1 << 3,
    DIFF_ATTRIBUTES = 1 << 4, /* extended attributes and ACLs */
};

struct diff_change {
    enum diff_kind kind;
    const char *path;                 /* borrowed */
    unsigned what;                    /* of DIFF_CHANGED */
    char type_before, type_after;     /* as in tar; 0: it is not there */
    uint64_t size_before, size_after; /* of files */
};

struct diff_totals {
    uint64_t of[DIFF_KINDS];
    uint64_t unchanged;
    uint64_t times;                      /* directories whose time alone changed */
    uint64_t bytes_added, bytes_removed; /* of the files told, by size */
    uint64_t segments_shared;            /* passed over; of the newer snapshot */
    uint64_t segments;
};

/* The change is borrowed for the call. */
typedef void diff_fn(void *arg, const struct diff_change *change);

struct diff_wish {
    const struct snapshot_info *before, *after;
    diff_fn *fn; /* for each change, in path order */
    void *arg;
};

enum dr_rc diff_run(struct repo *r, const struct diff_wish *wish, const struct work_hooks *hooks,
                    struct diff_totals *ret, struct dr_err *err) DR_MUST_USE;

#endif
