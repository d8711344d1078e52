/*
 * scan_open.h - entries of a source are opened again by their path, from any thread.
 *
 * Each thread has an opener of its own. It keeps the directory of the last path open, so that files that lie
 * side by side cost one openat() each. No link is followed, in no part of a path; nothing waits for
 * the other end of a FIFO; paths longer than PATH_MAX are opened in steps. What comes may be another
 * thing than the scan saw at that path: the caller compares fstat().
 *
 *     struct scan_opener *o = scan_opener_new(scan_root(s));
 *     int fd = scan_opener_file(o, entry->path, false);
 */
#ifndef BACKUP_WORK_SCAN_OPEN_H
#define BACKUP_WORK_SCAN_OPEN_H

#include "dr/base/base.h"

struct scan_opener;

/* root: borrowed, must stay open. The caller frees. */
struct scan_opener *scan_opener_new(int root) DR_MUST_USE;
void scan_opener_free(struct scan_opener *o);
DR_DEFINE_CLEANUP(struct scan_opener, scan_opener_free)

/*
 * The open directory that holds path, and the name in it; for the root ("") the root and "".
 * Descriptor and name are borrowed until the next call. -1 and errno on failure.
 */
int scan_opener_parent(struct scan_opener *o, const char *path, const char **ret_name);

/*
 * The entry open for reading, without changing its access time where that is allowed. directory:
 * must it be one? The caller closes. -1 and errno on failure (ELOOP, ENOTDIR: a symbolic link).
 */
int scan_opener_file(struct scan_opener *o, const char *path, bool directory);

/*
 * A directory by its path. Long paths are opened from one of the directories above, seen before, so
 * that the cost does not grow with the depth of the tree. The caller closes; -1 and errno on failure.
 */
int scan_opener_directory(struct scan_opener *o, const char *path, size_t path_len);

#endif
