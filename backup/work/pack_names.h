/*
 * pack_names.h - names of packs and their numbers, both ways.
 *
 * Numbers count from 0 in the order in which names (or reservations) came, so that a place needs
 * four bytes for its pack instead of 32. A number may be reserved for a pack that has no name yet.
 * 44 bytes a pack at most; a zeroed struct is an empty set. Not for several threads at once.
 */
#ifndef BACKUP_WORK_PACK_NAMES_H
#define BACKUP_WORK_PACK_NAMES_H

#include "backup/format/limits.h"

#define PACK_NAMES_NONE UINT32_MAX /* no number */

struct pack_names {
    uint8_t (*ids)[DIGEST_SIZE]; /* by number; owned */
    bool *named;                 /* likewise */
    uint32_t count, cap;
    uint32_t *slots; /* numbers + 1, by hash of the name; owned */
    size_t slot_cap; /* a power of two */
};

void pack_names_fini(struct pack_names *n);

/* The number of that name: the one it has, or the next. */
uint32_t pack_names_add(struct pack_names *n, const uint8_t id[DIGEST_SIZE]);

/* The number of that name, or PACK_NAMES_NONE. */
uint32_t pack_names_find(const struct pack_names *n, const uint8_t id[DIGEST_SIZE]);

/* The next number, for a pack that gets its name later, once. */
uint32_t pack_names_reserve(struct pack_names *n);
void pack_names_set(struct pack_names *n, uint32_t number, const uint8_t id[DIGEST_SIZE]);

/* The name of a number, or NULL while it has none. Borrowed until the next change. */
const uint8_t *pack_names_of(const struct pack_names *n, uint32_t number);

#endif
