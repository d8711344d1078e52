/*
 * restore_owner.h - whose number on this host is the number of a snapshot?
 *
 * As root: that of the same name, when the snapshot has a name for the number and this host knows
 * the name; else the same number. An ordinary user cannot give files away: the same number.
 */
#ifndef BACKUP_WORK_RESTORE_OWNER_H
#define BACKUP_WORK_RESTORE_OWNER_H

#include <sys/types.h>

#include "dr/data/json.h"

struct owner_row { /* number of the snapshot, number here */
    uint32_t from, to;
};

struct owners {          /* zeroed, but for the first two */
    const json_t *names; /* of the snapshot; borrowed */
    bool is_root;
    struct owner_row *users, *groups; /* owned */
    size_t user_count, group_count;
};

void owners_fini(struct owners *o);
uid_t owners_user(struct owners *o, uint32_t number);
gid_t owners_group(struct owners *o, uint32_t number);

#endif
