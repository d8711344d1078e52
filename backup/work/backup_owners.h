/*
 * backup_owners.h - the names on this host of the numbers that own entries.
 *
 * Looked up once for each number, and kept in the snapshot object for people; restores go by number.
 */
#ifndef BACKUP_WORK_BACKUP_OWNERS_H
#define BACKUP_WORK_BACKUP_OWNERS_H

#include "dr/data/json.h"

struct owners;

struct owners *owners_new(void) DR_MUST_USE;
void owners_free(struct owners *o);
DR_DEFINE_CLEANUP(struct owners, owners_free)

void owners_note(struct owners *o, uint32_t uid, uint32_t gid);

/* {"groups":{...},"users":{...}}; the caller drops the reference. */
json_t *owners_json(const struct owners *o) DR_MUST_USE;

#endif
