/*
 * From a row of the configuration to a store.
 */
#include "backup/store/bucket.h"

#include "dr/base/mem.h"

enum dr_rc bucket_open(const struct config *c, const struct config_bucket *b,
                       const struct bucket_access *access, struct store **ret, struct dr_err *err)
{
    DR_ASSERT(c != NULL && b != NULL && ret != NULL && err != NULL);
    DR_FREE char *memory = c->state_dir != NULL ? dr_strf("%s/net", c->state_dir) : NULL;
    const struct store_options o = {
        .name = b->name,
        .region = b->region,
        .url = b->url,
        .gate = access != NULL ? access->gate : NULL,
        .memory = memory,
    };
    return store_open(&o, ret, err);
}
