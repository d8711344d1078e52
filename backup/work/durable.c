/*
 * Counting, and names of regions. A region that is required twice is required once.
 */
#include "backup/work/durable.h"

#include <string.h>

size_t durable_wanted(const struct config *c)
{
    return c->bucket_count >= 3 ? c->bucket_count / 2 + 1 : 1;
}

static bool is_reached(const struct config *c, const bool *has, const char *region)
{
    for (size_t i = 0; i < c->bucket_count; i++)
        if (has[i] && c->buckets[i].region != NULL && strcmp(c->buckets[i].region, region) == 0)
            return true;
    return false;
}

void durable_lacks(const struct config *c, const bool *has, struct text_list *ret)
{
    for (size_t i = 0; i < c->require.count; i++) {
        const char *region = c->require.items[i];
        if (!is_reached(c, has, region) && !text_list_has(ret, region))
            text_list_add(ret, region);
    }
}

bool durable_enough(const struct config *c, const bool *has)
{
    size_t copies = 0;
    for (size_t i = 0; i < c->bucket_count; i++)
        copies += has[i];
    for (size_t i = 0; i < c->require.count; i++)
        if (!is_reached(c, has, c->require.items[i]))
            return false;
    return copies >= durable_wanted(c);
}
