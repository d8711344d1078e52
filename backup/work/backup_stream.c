/*
 * Planning. Where an entry goes is decided by the scan's metadata; the range's bundle gathers in an open item
 * while its large files are already on their way. The order of the tar stream is made by the places
 * of rows and the recipe, not by the order in the packs.
 */
#include <string.h>
#include <sys/stat.h>

#include "backup/format/cut.h"
#include "backup/work/backup_build.h"
#include "backup/work/merge_rule.h"
#include "backup/work/prev.h"
#include "dr/base/mem.h"

enum dr_rc stream_new(const struct stream_options *o, struct stream **ret, struct dr_err *err)
{
    DR_CLEANUP(stream_free_ptr) struct stream *s = dr_alloc(1, sizeof *s);
    s->o = *o;
    s->lists = lists_new(o->packs);
    lists_set_cache(s->lists, o->cache);
    DR_TRY(ring_start(s, err));
    packs_before_seal(o->packs, ring_before_seal, s);
    *ret = DR_TAKE(s);
    return DR_OK;
}

void stream_free(struct stream *s)
{
    if (s == NULL)
        return;
    ring_stop(s);
    draft_free(s->segment);
    lists_free(s->lists);
    buf_fini(&s->removed);
    buf_fini(&s->vanished);
    text_list_fini(&s->dropped);
    free(s);
}

const struct stream_totals *stream_totals(const struct stream *s)
{
    return &s->totals;
}

/* -- segments ------------------------------------------------------------------------------ */

struct draft *stream_segment(struct stream *s)
{
    if (s->segment == NULL)
        s->segment = draft_new();
    return s->segment;
}

static void drop_draft(void *arg)
{
    draft_free(arg);
}

/* All items of the segment are done. */
static enum dr_rc segment_done(struct stream *s, struct item *it, struct dr_err *err)
{
    struct draft *g = it->arg;
    struct waiting w = { .toc = draft_close(g, s->lists) };
    if (w.toc == NULL)
        return DR_OK;
    w.base = g->base;
    g->base = (struct segment_base){ .raw = { 0 } }; /* given away */
    w.entries = toc_writer_records(w.toc);
    w.first = dr_strdup(draft_first(g));
    if (s->o.cache != NULL)
        w.extras = dr_alloc(w.entries, sizeof *w.extras);
    size_t n = 0;
    for (size_t i = 0; i < g->record_count; i++) {
        const struct draft_record *r = &g->records[i];
        if (r->dropped && g->continued)
            stream_vanished(s, draft_record(g, i)->path);
        if (r->dropped)
            continue;
        owners_note(s->o.owners, r->record.uid, r->record.gid);
        if (w.extras != NULL)
            w.extras[n++] = r->extra;
    }
    return ring_wait_segment(s, &w, err);
}

enum dr_rc stream_end_segment(struct stream *s, struct dr_err *err)
{
    DR_TRY(stream_end_range(s, err));
    DR_TRY(stream_end_item(s, &s->overlay, err));
    DR_TRY(stream_end_item(s, &s->directories, err));
    if (s->segment == NULL)
        return DR_OK;
    struct item *mark = ring_item(s);
    mark->work = ring_nothing;
    mark->done = segment_done;
    mark->arg = DR_TAKE(s->segment);
    mark->drop_arg = drop_draft;
    s->segment_rows = 0;
    return ring_give(s, mark, err);
}

/* -- entries ------------------------------------------------------------------------------- */

uint32_t stream_record(struct stream *s, const struct stream_entry *e)
{
    char type = '1';
    if (e->link_to == NULL)
        type = merge_type(e->entry->st.mode);
    struct toc_record r = {
        .path = e->entry->path, .path_len = e->entry->path_len, .type = type, .link = e->link_to
    };
    return draft_add_record(stream_segment(s), &r);
}

struct item_entry *stream_read(struct stream *s, const struct stream_where *where,
                               const struct stream_entry *e, uint32_t record)
{
    struct item *it = *where->open;
    if (it == NULL) {
        it = *where->open = ring_item(s);
        it->work = worker_read;
        it->done = ring_entries_done;
        it->kind = where->kind;
        it->place = where->place;
        it->segment = s->segment;
    }
    DR_ASSERT(it->segment == s->segment && it->kind == where->kind);
    struct item_entry *entry = item_add_entry(it, e->entry, e->link_to);
    entry->record = record;
    entry->stored = e->stored;
    return entry;
}

enum dr_rc stream_end_item(struct stream *s, struct item **open, struct dr_err *err)
{
    return *open == NULL ? DR_OK : ring_give(s, DR_TAKE(*open), err);
}

enum dr_rc stream_end_range(struct stream *s, struct dr_err *err)
{
    DR_TRY(stream_end_item(s, &s->bundle, err));
    DR_TRY(stream_end_item(s, &s->links, err));
    s->range_open = false;
    s->filled = 0;
    s->range_records = s->range_paths = s->range_rows = 0;
    return DR_OK;
}

bool stream_range_ends(struct stream *s, const char *path, uint64_t size)
{
    s->filled += size;
    s->range_records++;
    s->range_paths += strlen(path) + 1;
    bool cut =
        s->filled > 0 && cut_bundle(s->o.seed, path, s->filled, size > 0 ? size : BLOCK_SIZE);
    return cut || s->range_records >= RANGE_ENTRIES || s->range_paths >= RANGE_PATHS ||
           s->range_rows >= RANGE_ROWS;
}

bool stream_segment_is_full(const struct stream *s)
{
    const struct draft *g = s->segment;
    return !g->continued && (g->record_count >= SEGMENT_ENTRIES ||
                             g->strings.len >= SEGMENT_PATHS || s->segment_rows >= SEGMENT_ROWS);
}

static enum dr_rc add_file(struct stream *s, const struct stream_entry *e, uint32_t record,
                           uint64_t *ret_size, struct dr_err *err)
{
    const struct scan_stat *st = &e->entry->st;
    struct item_map *map = NULL;
    uint64_t size = S_ISREG(st->mode) ? st->size : 0;
    if (size >= LARGE_SIZE) {
        DR_TRY(stream_large(s, draft_place(s->range, DRAFT_LARGE), e, record, &map, err));
        *ret_size = 0;
        if (map == NULL)
            return DR_OK;
        size = map->size < LARGE_SIZE ? map->size : LARGE_SIZE;
    }
    struct stream_where bundle = { &s->bundle, FRAME_BUNDLE, draft_place(s->range, DRAFT_BUNDLE) };
    stream_read(s, &bundle, e, record)->map = map;
    *ret_size = BLOCK_SIZE + head_padded(size);
    return DR_OK;
}

enum dr_rc stream_add(struct stream *s, const struct stream_entry *e, struct dr_err *err)
{
    struct draft *g = stream_segment(s);
    uint64_t size = 0;
    if (!s->range_open) {
        s->range = draft_add_range(g);
        s->range_open = true;
    }
    uint32_t record = stream_record(s, e);
    struct stream_where links = { &s->links, FRAME_LINKS, draft_place(s->range, DRAFT_LINKS) };
    struct stream_where directories = { &s->directories, FRAME_DIRECTORIES, DRAFT_DIRECTORIES };
    if (e->link_to != NULL)
        stream_read(s, &links, e, record);
    else if (S_ISDIR(e->entry->st.mode))
        stream_read(s, &directories, e, record);
    else
        DR_TRY(add_file(s, e, record, &size, err));
    if (s->directories != NULL && s->directories->entry_count >= TOGETHER_MAX)
        DR_TRY(stream_end_item(s, &s->directories, err));
    bool ends = stream_range_ends(s, e->entry->path, size) ||
                (s->links != NULL && s->links->entry_count >= TOGETHER_MAX);
    if (!ends)
        return DR_OK;
    DR_TRY(stream_end_range(s, err));
    return stream_segment_is_full(s) ? stream_end_segment(s, err) : DR_OK;
}

enum dr_rc stream_finish(struct stream *s, struct snapshot *ret, struct dr_err *err)
{
    DR_TRY(stream_end_segment(s, err));
    DR_TRY(ring_finish_all(s, err));
    stream_join_removed(s);
    DR_TRY(lists_add_removed(s->lists, &s->removed, err));
    prev_writer_removed(s->o.cache, &s->removed);
    DR_TRY(packs_flush(s->o.packs, err));
    DR_TRY(lists_finish(s->lists, ret, err));
    ret->stored = packs_stored(s->o.packs);
    return DR_OK;
}
