/*
 * memo.h - small files of STATE_DIR that make things better and may be lost at any time.
 *
 *     STATE_DIR/memo/NAME        replaced whole (memo_replace) or grown at its end (memo_append)
 *     STATE_DIR/memo/.lock       held while a file is replaced; nobody ever waits for it
 *
 * What lies here is known again after a while, or was only told to a person: so a directory that cannot be
 * written, a full disk and another process in the way are no reason for anything to fail, and callers
 * drop the error. Files are durable all the same when DR_OK came back. STATE_DIR itself is not made: where
 * there is none, nobody wants to be remembered.
 *
 * Two processes at once: lines that both append stand both there; while one replaces a file, the
 * other's line may be lost, and the other's replacement is DR_E_BUSY.
 */
#ifndef BACKUP_WORK_MEMO_H
#define BACKUP_WORK_MEMO_H

#include "dr/base/buf.h"
#include "dr/base/err.h"

enum { MEMO_SIZE_MAX = 4 << 20 }; /* of a file: it grows no further, and a larger one is not read */

/* Append the whole file to ret; DR_E_NOTFOUND when there is none. */
enum dr_rc memo_read(const char *state_dir, const char *name, struct buf *ret, struct dr_err *err)
    DR_MUST_USE;

/* The old content or the new one, never between. */
enum dr_rc memo_replace(const char *state_dir, const char *name, const void *data, size_t len,
                        struct dr_err *err) DR_MUST_USE;

/*
 * Whole lines, each with its newline, behind what is there; made when it is not. Half a line that a death
 * left before stays alone on its line. ret_size: of the file now.
 */
enum dr_rc memo_append(const char *state_dir, const char *name, const struct buf *lines,
                       uint64_t *ret_size, struct dr_err *err) DR_MUST_USE;

#endif
