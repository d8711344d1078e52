/*
 * Lists. Packs are remembered by number, 20 bytes a run, until their names are known. A list
 * that is too long for the snapshot object becomes text in frames of a pack that is sealed before
 * the next level names it.
 */
#include "backup/work/backup_lists.h"

#include <string.h>

#include "backup/format/codec.h"
#include "backup/work/prev.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { INLINE_LINES = 256, TEXT_SIZE = 1 << 20 };

struct run {
    uint32_t pack, offset;
    uint64_t len;
};

struct runs {
    struct run *items;
    size_t count, cap;
};

struct segment {
    struct packs_place place, base;
    bool patched; /* place has a patch of base */
    size_t entries;
    char *first; /* owned */
};

struct lists {
    struct packs *packs;
    bool *used; /* packs by number: what the snapshot needs */
    size_t used_cap;
    struct runs data, directories;
    struct segment *segments;
    size_t segment_count, segment_cap;
    struct packs_place *removed; /* frames of removed paths */
    size_t removed_count;
    struct prev_writer *cache; /* or NULL */
};

struct lists *lists_new(struct packs *packs)
{
    struct lists *l = dr_alloc(1, sizeof *l);
    l->packs = packs;
    return l;
}

void lists_free(struct lists *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->segment_count; i++)
        free(l->segments[i].first);
    free(l->segments);
    free(l->data.items);
    free(l->directories.items);
    free(l->used);
    free(l->removed);
    free(l);
}

void lists_set_cache(struct lists *l, struct prev_writer *cache)
{
    l->cache = cache;
}

void lists_use_pack(struct lists *l, uint32_t pack)
{
    while (pack >= l->used_cap) {
        size_t cap = l->used_cap == 0 ? 64 : l->used_cap * 2;
        l->used = dr_realloc(l->used, cap, sizeof *l->used);
        memset(l->used + l->used_cap, 0, (cap - l->used_cap) * sizeof *l->used);
        l->used_cap = cap;
    }
    l->used[pack] = true;
}

void lists_add_run(struct lists *l, const struct packs_place *place, bool directories)
{
    struct runs *r = directories ? &l->directories : &l->data;
    struct run *last = r->items != NULL && r->count > 0 ? &r->items[r->count - 1] : NULL;
    uint64_t len = (uint64_t)place->stored + place->behind;
    lists_use_pack(l, place->pack);
    if (last != NULL && last->pack == place->pack && last->offset + last->len == place->offset) {
        last->len += len;
        return;
    }
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 64 : r->cap * 2;
        r->items = dr_realloc(r->items, r->cap, sizeof *r->items);
    }
    DR_ASSERT(r->items != NULL);
    r->items[r->count++] = (struct run){ place->pack, place->offset, len };
}

void lists_add_segment(struct lists *l, const struct packs_place *place,
                       const struct packs_place *base, size_t entries, const char *first)
{
    if (l->segment_count == l->segment_cap) {
        l->segment_cap = l->segment_cap == 0 ? 16 : l->segment_cap * 2;
        l->segments = dr_realloc(l->segments, l->segment_cap, sizeof *l->segments);
    }
    lists_use_pack(l, place->pack);
    struct segment *s = &l->segments[l->segment_count++];
    *s = (struct segment){ .place = *place, .entries = entries, .first = dr_strdup(first) };
    if (base == NULL)
        return;
    lists_use_pack(l, base->pack);
    s->base = *base;
    s->patched = true;
}

static void add_line(struct text_list *lines, struct buf *line)
{
    text_list_add(lines, line->data);
    buf_clear(line);
}

static void run_lines(const struct lists *l, const struct runs *runs, struct text_list *ret)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    for (size_t i = 0; i < runs->count; i++) {
        struct list_run run = { .offset = runs->items[i].offset, .len = runs->items[i].len };
        memcpy(run.pack, packs_name(l->packs, runs->items[i].pack), DIGEST_SIZE);
        list_add_run_line(&line, &run);
        add_line(ret, &line);
    }
}

static void base_of(const struct lists *l, const struct packs_place *place, struct list_base *ret)
{
    *ret =
        (struct list_base){ .offset = place->offset, .stored = place->stored, .raw = place->raw };
    memcpy(ret->pack, packs_name(l->packs, place->pack), DIGEST_SIZE);
    memcpy(ret->id, place->id, DIGEST_SIZE);
}

static void frame_line(const struct lists *l, const struct packs_place *place,
                       const struct segment *segment, struct text_list *ret)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    struct list_frame f = { .offset = place->offset, .stored = place->stored, .raw = place->raw };
    memcpy(f.pack, packs_name(l->packs, place->pack), DIGEST_SIZE);
    memcpy(f.id, place->id, DIGEST_SIZE);
    if (segment != NULL) {
        f.entries = segment->entries;
        buf_adds(&f.first, segment->first);
        f.patched = segment->patched;
    }
    if (f.patched)
        base_of(l, &segment->base, &f.base);
    list_add_frame_line(&line, &f, segment != NULL);
    list_frame_fini(&f);
    add_line(ret, &line);
}

static enum dr_rc add_text(struct lists *l, const struct buf *text, struct packs_place **places,
                           size_t *count, struct dr_err *err)
{
    DR_CLEANUP(codec_free_ptr) struct codec *codec = codec_new(CODEC_LEVEL);
    DR_CLEANUP(buf_fini) struct buf frame = { 0 };
    codec_pack(codec, text->data, text->len, &frame);
    struct packs_frame f = {
        .kind = FRAME_LIST, .raw_len = text->len, .frame = frame.data, .frame_len = frame.len
    };
    hash_bytes(text->data, text->len, f.id);
    *places = dr_realloc(*places, *count + 1, sizeof **places);
    DR_TRY(packs_add(l->packs, &f, &(*places)[*count], err));
    lists_use_pack(l, (*places)[(*count)++].pack);
    return DR_OK;
}

/* Paths may hold any byte, so they are never lines: the list begins with frames. */
enum dr_rc lists_add_removed(struct lists *l, const struct buf *paths, struct dr_err *err)
{
    for (size_t at = 0; at < paths->len; at += TEXT_SIZE) {
        size_t left = paths->len - at;
        struct buf part = { .data = paths->data + at, .len = left < TEXT_SIZE ? left : TEXT_SIZE };
        DR_TRY(add_text(l, &part, &l->removed, &l->removed_count, err));
    }
    return DR_OK;
}

/* The lines as text in frames of sealed packs; the lines that name these frames take their place. */
static enum dr_rc sink(struct lists *l, struct text_list *lines, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct packs_place *places = NULL;
    size_t count = 0;
    enum dr_rc rc = DR_OK;
    for (size_t i = 0; i < lines->count && rc == DR_OK; i++) {
        buf_addf(&text, "%s\n", lines->items[i]);
        if (text.len >= TEXT_SIZE || i + 1 == lines->count) {
            rc = add_text(l, &text, &places, &count, err);
            buf_clear(&text);
        }
    }
    if (rc == DR_OK)
        rc = packs_flush(l->packs, err);
    text_list_fini(lines);
    for (size_t i = 0; i < count && rc == DR_OK; i++)
        frame_line(l, &places[i], NULL, lines);
    free(places);
    return rc;
}

static enum dr_rc settle(struct lists *l, struct list *list, struct dr_err *err)
{
    while (list->lines.count > INLINE_LINES) {
        if (list->depth == LIST_DEPTH_MAX)
            return dr_fail(err, DR_E_NOMEM, "the snapshot has more lines than its lists may hold");
        DR_TRY(sink(l, &list->lines, err));
        list->depth++;
    }
    return DR_OK;
}

enum dr_rc lists_finish(struct lists *l, struct snapshot *ret, struct dr_err *err)
{
    char hex[HASH_HEX_SIZE];
    for (size_t i = 0; i < l->segment_count; i++)
        frame_line(l, &l->segments[i].place, &l->segments[i], &ret->toc.lines);
    for (size_t i = 0; i < l->segment_count; i++)
        prev_writer_line(l->cache, ret->toc.lines.items[i]);
    run_lines(l, &l->data, &ret->recipe.lines);
    run_lines(l, &l->directories, &ret->recipe.lines);
    ret->directories = l->directories.count;
    DR_TRY(settle(l, &ret->toc, err));
    DR_TRY(settle(l, &ret->recipe, err));
    for (size_t i = 0; i < l->removed_count; i++)
        frame_line(l, &l->removed[i], NULL, &ret->removed.lines);
    ret->removed.depth = l->removed_count > 0 ? 1 : 0;
    DR_TRY(settle(l, &ret->removed, err));
    for (uint32_t i = 0; i < l->used_cap; i++) /* all are sealed */
        if (l->used[i])
            text_list_add(&ret->packs.lines, hex_encode(packs_name(l->packs, i), DIGEST_SIZE, hex));
    text_list_sort(&ret->packs.lines);
    return DR_OK;
}
