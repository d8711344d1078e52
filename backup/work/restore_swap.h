/*
 * restore_swap.h - a restore that replaces a whole directory at once.
 *
 *     DIR/.NAME.drctl-new     restored, verified                  DIR/NAME    the old tree
 *                    <------------ exchanged by one rename ------------>
 *     DIR/.NAME.old-ID        the old tree                        DIR/NAME    the snapshot
 *
 * Whoever opens DIR/NAME sees the old tree or the new one, whole, at any time. It needs room for both.
 * A swap that died at any point is carried on by the next one.
 */
#ifndef BACKUP_WORK_RESTORE_SWAP_H
#define BACKUP_WORK_RESTORE_SWAP_H

#include "backup/work/work.h"

enum dr_rc restore_swap(struct repo *r, const struct snapshot_info *snapshot,
                        const struct restore_options *options, const struct work_hooks *hooks,
                        struct restore_result *ret, struct dr_err *err) DR_MUST_USE;

#endif
