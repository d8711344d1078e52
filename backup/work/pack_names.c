/*
 * Names of packs by number, and numbers by name in an open hash table. Names are digests, so their
 * first bytes are the hash.
 */
#include "backup/work/pack_names.h"

#include <string.h>

#include "dr/base/mem.h"

enum { START = 16 };

void pack_names_fini(struct pack_names *n)
{
    free(n->ids);
    free(n->named);
    free(n->slots);
    *n = (struct pack_names){ .count = 0 };
}

/* The slot that holds the name, or the free one where it belongs. */
static size_t slot_of(const struct pack_names *n, const uint8_t id[DIGEST_SIZE])
{
    uint64_t h;
    memcpy(&h, id, sizeof h);
    size_t i = h & (n->slot_cap - 1);
    while (n->slots[i] != 0 && memcmp(n->ids[n->slots[i] - 1], id, DIGEST_SIZE) != 0)
        i = (i + 1) & (n->slot_cap - 1);
    return i;
}

uint32_t pack_names_reserve(struct pack_names *n)
{
    DR_ASSERT(n->count < PACK_NAMES_NONE);
    if (n->count == n->cap) {
        n->cap = n->cap == 0 ? START : n->cap * 2;
        n->ids = dr_realloc(n->ids, n->cap, sizeof *n->ids);
        n->named = dr_realloc(n->named, n->cap, sizeof *n->named);
    }
    n->named[n->count] = false;
    return n->count++;
}

/* Before a number gets its name: room for one more in a table that is at most half full. */
static void widen(struct pack_names *n)
{
    if (n->slot_cap >= 2 * (size_t)n->count)
        return;
    while (n->slot_cap < 2 * (size_t)n->count)
        n->slot_cap = n->slot_cap == 0 ? (size_t)2 * START : n->slot_cap * 2;
    free(n->slots);
    n->slots = dr_alloc(n->slot_cap, sizeof *n->slots);
    for (uint32_t i = 0; i < n->count; i++)
        if (n->named[i])
            n->slots[slot_of(n, n->ids[i])] = i + 1;
}

void pack_names_set(struct pack_names *n, uint32_t number, const uint8_t id[DIGEST_SIZE])
{
    DR_ASSERT(number < n->count && !n->named[number]);
    widen(n);
    memcpy(n->ids[number], id, DIGEST_SIZE);
    size_t slot = slot_of(n, id);
    DR_ASSERT(n->slots[slot] == 0);
    n->slots[slot] = number + 1;
    n->named[number] = true;
}

uint32_t pack_names_find(const struct pack_names *n, const uint8_t id[DIGEST_SIZE])
{
    uint32_t slot = n->slot_cap > 0 ? n->slots[slot_of(n, id)] : 0;
    return slot > 0 ? slot - 1 : PACK_NAMES_NONE;
}

uint32_t pack_names_add(struct pack_names *n, const uint8_t id[DIGEST_SIZE])
{
    uint32_t number = pack_names_find(n, id);
    if (number != PACK_NAMES_NONE)
        return number;
    number = pack_names_reserve(n);
    pack_names_set(n, number, id);
    return number;
}

const uint8_t *pack_names_of(const struct pack_names *n, uint32_t number)
{
    DR_ASSERT(number < n->count);
    return n->named[number] ? n->ids[number] : NULL;
}
