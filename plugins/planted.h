/*
 * planted.h - planted faults that no bucket can make: a full disk, and a disk that forgets.
 *
 * They are of a drill's negative controls (backup/store/plant.h) and only ever happen in the process of one
 * step, below a directory that this very step restores into:
 *
 *     full-disk    no byte is written below the plant's directory: ENOSPC, by the table of
 *                  system calls that every durable write goes through (dr/base/sys.h)
 *     tamper       one byte in the middle of a restored file is another one; its times stay as they were,
 *                  so that only whoever reads it can tell
 *
 *     lose         the restored file is gone again
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

/* Is it one that changes a tree after it was restored? */
static inline bool planted_spoils(const struct plant *p)
{
    return p->kind == PLANT_TAMPER || p->kind == PLANT_LOSE;
}

/* What the kind does to the file p->only of the tree: its middle byte is another one (DR_E_NOTFOUND when it is
 * empty), or it is gone. */
enum dr_rc planted_tamper(struct plant *p, const char *tree, struct dr_err *err) DR_MUST_USE;

#endif
