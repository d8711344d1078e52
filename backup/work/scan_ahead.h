/*
 * scan_ahead.h - directories are read ahead of the one who walks, in order (inside scan).
 *
 * All that is to be read, or is being read, stands in one list in path order:
 *
 *     [c: taken] [d, entries 1024-2047: taken] [d: from 2048 on] [e] [k]
 *
 * What a directory holds goes into the list where that directory stands, so the order holds whoever is
 * quicker. A helper takes the first that nobody took, unless SCAN_WINDOW entries lie ready. The walker
 * needs the first of all: when nobody has taken it, he reads it himself, so he waits only for one who
 * works.
 */
#ifndef BACKUP_WORK_SCAN_AHEAD_H
#define BACKUP_WORK_SCAN_AHEAD_H

#include "backup/work/scan_dir.h"

struct scan_ahead;

/* options and root are borrowed; first: the root directory, borrowed. The caller frees *ret. */
enum dr_rc scan_ahead_new(const struct scan_options *options, int root, struct scan_dir *first,
                          struct scan_ahead **ret, struct dr_err *err) DR_MUST_USE;

/* Waits for the helpers. Directories stay as they are. */
void scan_ahead_free(struct scan_ahead *a);
DR_DEFINE_CLEANUP(struct scan_ahead, scan_ahead_free)

/*
 * The first batch of d, which is the directory where the walk is: taken out of d, the caller frees it.
 * NULL: d is at its end. given: entries that were given out since the last call.
 */
struct scan_batch *scan_ahead_next(struct scan_ahead *a, struct scan_dir *d, size_t given);

#endif
