/*
 * Items and their memory, which grows to what the largest needed and stays.
 */
#include "backup/work/backup_item.h"

#include <string.h>

#include "dr/base/mem.h"

enum {
    START = 64,
    SETTLED_ENTRIES = 2048, /* of a bundle of small files */
    SETTLED_STRINGS = 128 << 10,
    SETTLED_FRAMES = 1 << 20,
    SETTLED_DIGESTS = 64 << 10,
};

static size_t keep_text(struct item *it, const char *text, size_t len)
{
    if (it->strings.len == 0)
        buf_addc(&it->strings, '\0'); /* no text begins at 0 */
    size_t at = it->strings.len;
    buf_add(&it->strings, text, len);
    buf_addc(&it->strings, '\0');
    return at;
}

struct item_entry *item_add_entry(struct item *it, const struct scan_entry *e, const char *link_to)
{
    if (it->entry_count == it->entry_cap) {
        it->entry_cap = it->entry_cap == 0 ? START : it->entry_cap * 2;
        it->entries = dr_realloc(it->entries, it->entry_cap, sizeof *it->entries);
    }
    struct item_entry *entry = &it->entries[it->entry_count++];
    *entry = (struct item_entry){ .st = e->st };
    entry->path = keep_text(it, e->path, e->path_len);
    if (link_to != NULL)
        entry->link = keep_text(it, link_to, strlen(link_to));
    return entry;
}

size_t item_add_text(struct item *it, const char *text)
{
    return keep_text(it, text, strlen(text));
}

struct item_piece *item_add_piece(struct item *it)
{
    if (it->piece_count == it->piece_cap) {
        it->piece_cap = it->piece_cap == 0 ? 2 : it->piece_cap * 2;
        it->pieces = dr_realloc(it->pieces, it->piece_cap, sizeof *it->pieces);
    }
    struct item_piece *piece = &it->pieces[it->piece_count++];
    *piece = (struct item_piece){ .frame = it->frames.len };
    return piece;
}

void item_warn(struct item *it, const char *path, const char *what)
{
    buf_add(&it->warnings, path, strlen(path) + 1);
    buf_add(&it->warnings, what, strlen(what) + 1);
}

static void touch(struct buf *b, size_t size)
{
    if (b->len < size)
        memset(buf_reserve(b, size - b->len), 0, size - b->len);
}

void item_settle(struct item *it)
{
    if (it->entry_cap < SETTLED_ENTRIES) {
        it->entries = dr_realloc(it->entries, SETTLED_ENTRIES, sizeof *it->entries);
        it->entry_cap = SETTLED_ENTRIES;
        memset(it->entries + it->entry_count, 0,
               (SETTLED_ENTRIES - it->entry_count) * sizeof *it->entries);
    }
    touch(&it->strings, SETTLED_STRINGS);
    touch(&it->frames, SETTLED_FRAMES);
    touch(&it->digests, SETTLED_DIGESTS);
    it->settled = true;
}

void item_map_free(struct item_map *map)
{
    if (map == NULL)
        return;
    free(map->extents);
    free(map);
}

void item_clear_result(struct item *it)
{
    buf_clear(&it->frames);
    buf_clear(&it->digests);
    buf_clear(&it->warnings);
    it->piece_count = 0;
    it->bytes = 0;
}

void item_clear(struct item *it)
{
    for (size_t i = 0; i < it->entry_count; i++)
        item_map_free(it->entries[i].map);
    if (it->drop_arg != NULL)
        it->drop_arg(it->arg);
    item_clear_result(it);
    buf_clear(&it->strings);
    it->entry_count = 0;
    it->work = NULL;
    it->done = NULL;
    it->segment = NULL;
    it->data = NULL;
    it->data_len = 0;
    it->window = NULL;
    it->arg = NULL;
    it->drop_arg = NULL;
}

void item_free(struct item *it)
{
    if (it == NULL)
        return;
    item_clear(it);
    free(it->entries);
    free(it->pieces);
    buf_fini(&it->strings);
    buf_fini(&it->frames);
    buf_fini(&it->digests);
    buf_fini(&it->warnings);
    free(it);
}
