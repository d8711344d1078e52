/*
 * fs.h - files that are either the old ones or the new ones, never between.
 *
 * Everything durable is written here or in a store. All calls go through sys.h and
 * repeat on EINTR and short transfers.
 */
#ifndef DR_BASE_FS_H
#define DR_BASE_FS_H

#include <sys/types.h>

#include "dr/base/buf.h"
#include "dr/base/err.h"

/*
 * Replace the file 'dir/name' by the given bytes.
 *
 * When it returns DR_OK the new content survives a power loss. When it fails, or
 * the machine dies at any point, 'dir/name' holds the whole old content or the
 * whole new one. A leftover 'dir/.name.tmp' of an earlier death is removed first;
 * a planted link is never followed. One writer at a time. The file is born with
 * mode 0600.
 */
enum dr_rc fs_replace(const char *dir, const char *name, const void *data, size_t len,
                      struct dr_err *err) DR_MUST_USE;

/* Write all bytes at the descriptor's position. what: named in the error ("'FILE'"). */
enum dr_rc fs_write_all(int fd, const char *what, const void *data, size_t len, struct dr_err *err)
    DR_MUST_USE;

/* Read exactly len bytes at offset; fewer (end of file) is DR_E_CORRUPT. */
enum dr_rc fs_pread_all(int fd, const char *what, void *data, size_t len, off_t offset,
                        struct dr_err *err) DR_MUST_USE;

/* Append the whole file to out. More than limit bytes is DR_E_NOMEM. */
enum dr_rc fs_read_file(const char *path, size_t limit, struct buf *out, struct dr_err *err)
    DR_MUST_USE;

/* fsync a directory, so that names made or removed in it survive a power loss. */
enum dr_rc fs_sync_dir(const char *dir, struct dr_err *err) DR_MUST_USE;

/* Create the directory and its missing parents, each synced into its parent. Existing is fine. */
enum dr_rc fs_make_dirs(const char *path, mode_t mode, struct dr_err *err) DR_MUST_USE;

/* Remove a tree without following links. What is not there is fine. */
enum dr_rc fs_remove_tree(const char *path, struct dr_err *err) DR_MUST_USE;

#endif
