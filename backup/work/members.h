/*
 * members.h - which buckets belong together: every prune must reach all of them.
 *
 * A host whose configuration lacks a bucket cannot see the snapshots and pendings there, and would take packs
 * that they need. So the list of buckets stands in every bucket, as members/NNNNNNNN; the highest number in any
 * of them counts, and nothing is ever removed. `drctl init` extends it before a new bucket is used; a
 * repository from before there were such lists gets its first one by the first prune.
 */
#ifndef BACKUP_WORK_MEMBERS_H
#define BACKUP_WORK_MEMBERS_H

#include "backup/store/store.h"
#include "dr/config/config.h"

struct members_change {
    const struct config *config;
    struct store *const
        *stores;        /* of its buckets, all open, in its order; new ones are told by fresh */
    const bool *fresh;  /* those get the list first; NULL: none is new */
    const char *retire; /* leave this name out of the list; or NULL */
};

/* Is every member in the configuration? DR_E_REFUSED names the one that is not. A bucket of the
 * configuration that is no member yet: DR_OK, and so is no list at all. */
enum dr_rc members_check(const struct members_change *m, struct dr_err *err) DR_MUST_USE;

/* The same, and then the list is what the configuration says, in every bucket. */
enum dr_rc members_settle(const struct members_change *m, struct dr_err *err) DR_MUST_USE;

#endif
