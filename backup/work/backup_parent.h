/*
 * backup_parent.h - which snapshot the next one is made from.
 *
 * The newest visible and complete one of the source that our own key signed: what another writer stored we
 * have not verified, so nothing of it is shared, however much it is trusted for restores.
 */
#ifndef BACKUP_WORK_BACKUP_PARENT_H
#define BACKUP_WORK_BACKUP_PARENT_H

#include "backup/work/repo.h"

/* writer: our public key. *ret_found false: there is none. The caller finishes ret. */
enum dr_rc parent_find(struct repo *repo, const char *source, const char *writer,
                       struct snapshot_info *ret, bool *ret_found, struct dr_err *err) DR_MUST_USE;

#endif
