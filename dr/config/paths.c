/*
 * paths.c - the list of all keys, drawn from the tables that read them.
 *
 * The manual page and the complete example are held against it, so neither can lack a key or invent one.
 */
#include "dr/base/mem.h"
#include "dr/config/load.h"
#include "dr/config/review.h"

enum { DEPTH_MAX = 8 };

/* The tables are ours and end: the depth is that of the deepest block. */
static void add_block(const struct config_block *block, const char *before, int depth,
                      struct text_list *ret)
{
    DR_ASSERT(depth < DEPTH_MAX);
    for (const struct config_key *key = block->keys; key->name != NULL; key++) {
        const char *rows = key->type == KEY_ROWS ? "[]" : "";
        DR_FREE char *path = dr_strf("%s%s%s", before, key->name, rows);
        text_list_add(ret, path);
        DR_FREE char *each = key->each != NULL ? dr_strf("%s.%s", path, key->each) : NULL;
        if (each != NULL)
            text_list_add(ret, each);
        if (key->block == NULL)
            continue;
        DR_FREE char *inner = dr_strf("%s.", each != NULL ? each : path);
        add_block(key->block, inner, depth + 1, ret); /* NOLINT(misc-no-recursion): see above */
    }
}

void config_key_paths(struct text_list *ret)
{
    add_block(&config_file, "", 0, ret);
}
