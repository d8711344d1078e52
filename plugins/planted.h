/*
 * planted.h - planted faults that no bucket can make: a full disk, and a disk that forgets.
 *
 * Both are of a drill's negative controls (backup/store/plant.h) and only ever happen in the process of one
 * step, below a directory that this very step restores into:
 *
 *     full-disk    no byte is written below the plant's directory: ENOSPC, by the table of
 *                  system calls that every durable write goes through (dr/base/sys.h)
 *     tamper       one byte in the middle of a restored file is another one; its times stay as they were,
 *                  so that only whoever reads it can tell
 *
 * What notices them is not here: the restore, its mark, and data.check.
 */
#ifndef PLUGINS_PLANTED_H
#define PLUGINS_PLANTED_H

#include "backup/store/plant.h"

/* For this process, all its threads: before they begin, until they have ended and room is made again, for which
 * the disk need not be full. p must live as long. */
void planted_full_disk(struct plant *p);
void planted_make_room(void);

/* Change the middle byte of the file p->only of the tree. DR_E_NOTFOUND when there is none, or it is empty. */
enum dr_rc planted_tamper(struct plant *p, const char *tree, struct dr_err *err) DR_MUST_USE;

#endif
