/*
 * restore_delta.h - what is in a directory and not in the snapshot.
 *
 * The tree and the table of contents are read side by side, in path order. Of what the snapshot does
 * not have, and of what is a directory in one and something else in the other, the topmost name is
 * found. Sockets are in no snapshot and stay.
 */
#ifndef BACKUP_WORK_RESTORE_DELTA_H
#define BACKUP_WORK_RESTORE_DELTA_H

#include "backup/work/reader.h"

enum { DELTA_SURPLUS_MAX = 1 << 20 };

/* ret: paths below dir, sorted; more than DELTA_SURPLUS_MAX are refused. */
enum dr_rc delta_surplus(struct reader *r, const char *dir, struct text_list *ret,
                         struct dr_err *err) DR_MUST_USE;

#endif
