/*
 * Sets of digests. When the array is full its doubles are thrown out first, and it grows only if
 * more than half of it is still needed: so memory follows the set and not the adding.
 */
#include "backup/work/idset.h"

#include <string.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { CAP_FIRST = 256 };

void idset_fini(struct idset *s)
{
    free(s->items);
    *s = (struct idset){ 0 };
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_SIZE);
}

void idset_sort(struct idset *s)
{
    if (s->sorted == s->count)
        return;
    qsort(s->items, s->count, DIGEST_SIZE, compare);
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (kept > 0 && memcmp(s->items[kept - 1], s->items[i], DIGEST_SIZE) == 0)
            continue;
        if (kept != i)
            memcpy(s->items[kept], s->items[i], DIGEST_SIZE);
        kept++;
    }
    s->count = s->sorted = kept;
}

void idset_add(struct idset *s, const uint8_t id[DIGEST_SIZE])
{
    if (s->count == s->cap) {
        idset_sort(s);
        if (s->count >= s->cap / 2) {
            s->cap = s->cap == 0 ? CAP_FIRST : s->cap * 2;
            s->items = dr_realloc(s->items, s->cap, DIGEST_SIZE);
        }
    }
    memcpy(s->items[s->count++], id, DIGEST_SIZE);
}

bool idset_add_hex(struct idset *s, const char *hex)
{
    uint8_t id[DIGEST_SIZE];
    if (hex == NULL || !hex_decode(hex, strlen(hex), id, DIGEST_SIZE))
        return false;
    idset_add(s, id);
    return true;
}

bool idset_has(const struct idset *s, const uint8_t id[DIGEST_SIZE])
{
    DR_ASSERT(s->sorted == s->count);
    return s->count > 0 && bsearch(id, s->items, s->count, DIGEST_SIZE, compare) != NULL;
}
