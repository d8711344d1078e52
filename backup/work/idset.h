/*
 * idset.h - a set of pack names as a sorted array of digests.
 *
 * Add in any order, idset_sort() once, then ask. 32 bytes a pack: a repository of 100,000 packs (3 TB)
 * takes 3 MB a set. Adding far more names than there are different ones (a thousand snapshots of the same
 * packs) stays within about twice the different ones, since doubles are thrown out on the way.
 */
#ifndef BACKUP_WORK_IDSET_H
#define BACKUP_WORK_IDSET_H

#include "backup/format/limits.h"

struct idset {                     /* zeroed: empty */
    uint8_t (*items)[DIGEST_SIZE]; /* owned */
    size_t count, cap;
    size_t sorted; /* so many from the beginning are in order and different */
};

void idset_fini(struct idset *s);
void idset_add(struct idset *s, const uint8_t id[DIGEST_SIZE]);

/* Put it in order: before idset_has() and before items are walked. */
void idset_sort(struct idset *s);

/* The set is sorted. */
bool idset_has(const struct idset *s, const uint8_t id[DIGEST_SIZE]);

/* "64 hexadecimal digits" in; false when it is not that. */
bool idset_add_hex(struct idset *s, const char *hex);

#endif
