/*
 * require.c - backup_policy.require: regions without whose copy no snapshot counts as durable.
 *
 * It is on top of the number of copies. A region in which there is no bucket could never be reached, and every
 * backup would be called degraded: that is an error of the file and not of the backup.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"

void config_read_require(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                         void *out)
{
    struct text_list *regions = out;
    if (!reader_list(r, value, key->text, regions))
        return;
    for (size_t i = 0; i < value->count; i++)
        if (!value->items[i]->reported)
            reader_ref(r, KEY_REGION, value->items[i]);
}

void config_fini_require(void *out)
{
    text_list_fini(out);
}

static bool has_bucket(const struct config *c, const char *region)
{
    for (size_t i = 0; i < c->bucket_count; i++)
        if (c->buckets[i].region != NULL && strcmp(c->buckets[i].region, region) == 0)
            return true;
    return false;
}

/* After the buckets of storage locations are made. What is no region at all was told. */
void config_check_require(struct reader *r, struct yaml_node *root, const struct config *c)
{
    static const char *const path[] = { "disaster_recovery", "backup_policy", "require" };
    struct yaml_node *node = root;
    for (size_t i = 0; i < DR_ARRAY_LEN(path) && node != NULL; i++)
        node = node->kind == YAML_MAP ? reader_value(node, path[i]) : NULL;
    if (node == NULL || node->kind != YAML_LIST || r->torn)
        return;
    for (size_t i = 0; i < node->count; i++) {
        struct yaml_node *region = node->items[i];
        if (region->reported || region->kind != YAML_SCALAR || has_bucket(c, region->text))
            continue;
        reader_error(r, region, "require",
                     "'require' names region '%s', in which there is no bucket: no backup could "
                     "be durable",
                     region->text);
        diag_hint(r->d, "buckets: [{name: NAME, url: URL, region: %s}]", region->text);
    }
}
