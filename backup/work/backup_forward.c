/*
 * Copy forward: the choice. See the header for the rule and why it ends.
 */
#include "backup/work/backup_forward.h"

#include <string.h>

#include "dr/base/mem.h"

enum { SMALL_PART = 4 }; /* of the target: a smaller pack is small */

static bool is_half_dead(const struct forward_pack *p)
{
    return p->live < p->size - p->live;
}

static int compare(const void *a, const void *b)
{
    const struct forward_pack *x = *(struct forward_pack *const *)a;
    const struct forward_pack *y = *(struct forward_pack *const *)b;
    if (x->live != y->live)
        return x->live < y->live ? -1 : 1;
    return memcmp(x->name, y->name, DIGEST_SIZE);
}

uint64_t forward_choose(struct forward_pack *packs, size_t count, uint64_t target)
{
    uint64_t bytes = 0; /* written afresh for sure */
    size_t small = 0, merged = 0;
    DR_FREE struct forward_pack **order =
        dr_alloc(count + 1, sizeof(struct forward_pack *)); /* NOLINT: pointers */
    for (size_t i = 0; i < count; i++) {
        struct forward_pack *p = &packs[i];
        DR_ASSERT(p->live <= p->size);
        p->avoid = is_half_dead(p);
        if (p->avoid)
            bytes += p->live;
        else if (p->size < target / SMALL_PART)
            order[small++] = p;
    }
    qsort(order, small, sizeof(struct forward_pack *), compare); /* NOLINT: pointers */
    uint64_t before = bytes, sum = bytes;
    for (size_t i = 0; i < small; i++) {
        sum += order[i]->live;
        if (order[i]->live / 2 <= before && before > 0) { /* this one and all smaller ones */
            merged = i + 1;
            bytes = sum;
        }
        before = sum;
    }
    for (size_t i = 0; i < merged; i++)
        order[i]->avoid = true;
    return bytes;
}
