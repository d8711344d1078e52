/*
 * Emission of what was planned. Everything goes through the ring in the order of paths, also a segment that is
 * only kept: the segment before it may still be waiting for its last pieces.
 */
#include "backup/work/backup_keep.h"

#include <string.h>

#include "backup/format/path.h"
#include "backup/work/backup_build.h"
#include "backup/work/prev.h"
#include "dr/base/mem.h"

enum { DIGEST_FRAME_HEAD = 8 };

/* -- rows ---------------------------------------------------------------------------------- */

/* Files in each bundle and overlay. With no dead copy in it that is the number of its digests, and so
 * tells how long the digest frame behind it is; else that is unknown, and the recipe leaves it out. */
static uint32_t *count_files(const struct prev_segment *p)
{
    uint32_t *files = dr_alloc(p->toc.piece_count + 1, sizeof *files);
    for (size_t i = 0; i < p->count; i++)
        if (p->records[i].type == '0' && p->records[i].nhead == 0)
            files[p->records[i].piece]++;
    return files;
}

static struct packs_place place_of(struct stream *s, const struct prev_segment *p, uint32_t row,
                                   uint32_t files)
{
    const struct toc_piece *piece = &p->toc.pieces[row];
    struct packs_place place = { .pack = packs_number(s->o.packs, p->toc.packs[piece->pack]),
                                 .offset = (uint32_t)piece->offset,
                                 .stored = (uint32_t)piece->stored,
                                 .raw = (uint32_t)piece->raw };
    memcpy(place.id, piece->id, DIGEST_SIZE);
    if (files > 0 && piece->superseded == 0)
        place.behind = DIGEST_FRAME_HEAD + files * DIGEST_SIZE;
    return place;
}

/* -- a whole segment ----------------------------------------------------------------------- */

struct kept {
    struct waiting w;
    struct packs_place *rows;
    bool *directories; /* for each row */
    size_t row_count;
    uint32_t (*owners)[2]; /* uid and gid, where they differ from the record before */
    size_t owner_count;
    struct stream_totals totals;
};

static void kept_free(void *arg)
{
    struct kept *k = arg;
    free(k->w.extras);
    free(k->w.first);
    buf_fini(&k->w.raw);
    segment_base_fini(&k->w.base);
    free(k->rows);
    free(k->directories);
    free(k->owners);
    free(k);
}

static enum dr_rc kept_done(struct stream *s, struct item *it, struct dr_err *err)
{
    struct kept *k = it->arg;
    for (size_t i = 0; i < k->row_count; i++)
        lists_add_run(s->lists, &k->rows[i], k->directories[i]);
    for (size_t i = 0; i < k->owner_count; i++)
        owners_note(s->o.owners, k->owners[i][0], k->owners[i][1]);
    s->totals.entries += k->totals.entries;
    s->totals.files += k->totals.files;
    s->totals.bytes += k->totals.bytes;
    struct waiting w = k->w;
    k->w = (struct waiting){ .toc = NULL }; /* what it owns is given away */
    return ring_wait_segment(s, &w, err);
}

static void count_records(struct kept *k, const struct prev_segment *p)
{
    k->owners = dr_alloc(p->count, sizeof *k->owners);
    for (size_t i = 0; i < p->count; i++) {
        const struct toc_record *r = &p->records[i];
        k->totals.files += r->type == '0';
        k->totals.bytes += r->type == '0' ? r->size : 0;
        if (i > 0 && r->uid == r[-1].uid && r->gid == r[-1].gid)
            continue;
        k->owners[k->owner_count][0] = r->uid;
        k->owners[k->owner_count++][1] = r->gid;
    }
    k->totals.entries = p->count;
}

static void keep_rows(struct stream *s, struct kept *k, const struct prev_segment *p)
{
    uint32_t *files = count_files(p);
    k->row_count = p->toc.piece_count;
    k->rows = dr_alloc(k->row_count + 1, sizeof *k->rows);
    k->directories = dr_alloc(k->row_count + 1, sizeof *k->directories);
    for (uint32_t i = 0; i < k->row_count; i++) {
        k->rows[i] = place_of(s, p, i, files[i]);
        k->directories[i] = p->toc.pieces[i].kind == FRAME_DIRECTORIES;
    }
    free(files);
}

enum dr_rc stream_keep(struct stream *s, const struct prev_segment *p, struct dr_err *err)
{
    DR_ASSERT(s->segment == NULL);
    struct kept *k = dr_alloc(1, sizeof *k);
    const struct list_frame *f = p->frame;
    k->w.place = (struct packs_place){ .pack = packs_number(s->o.packs, f->pack),
                                       .offset = (uint32_t)f->offset,
                                       .stored = (uint32_t)f->stored,
                                       .raw = (uint32_t)f->raw };
    memcpy(k->w.place.id, f->id, DIGEST_SIZE);
    k->w.entries = p->count;
    k->w.first = dr_strdup(p->records[0].path);
    segment_base_kept(s->o.packs, p, &k->w.base);
    k->w.patched = f->patched;
    if (s->o.cache != NULL) {
        k->w.extras = dr_alloc(p->count, sizeof *p->extras);
        memcpy(k->w.extras, p->extras, p->count * sizeof *p->extras);
        buf_add(&k->w.raw, p->raw.data, p->raw.len);
    }
    keep_rows(s, k, p);
    count_records(k, p);
    struct item *mark = ring_item(s);
    mark->work = ring_nothing;
    mark->done = kept_done;
    mark->arg = k;
    mark->drop_arg = kept_free;
    return ring_give(s, mark, err);
}

/* -- records that stay --------------------------------------------------------------------- */

static void keep_record(struct stream *s, const struct prev_segment *p, uint32_t old, uint32_t row)
{
    struct toc_record r = p->records[old];
    struct draft *g = stream_segment(s);
    r.piece = row;
    uint32_t record = draft_add_record(g, &r);
    g->records[record].extra = p->extras[old];
    s->totals.entries++;
    s->totals.files += r.type == '0';
    s->totals.bytes += r.type == '0' ? r.size : 0;
}

/* A large file that stays: its rows come to the range at hand. */
static void keep_large(struct stream *s, const struct prev_segment *p, uint32_t old, uint32_t range)
{
    const struct toc_record *r = &p->records[old];
    struct draft *g = stream_segment(s);
    uint32_t first = (uint32_t)g->row_count;
    for (uint32_t i = 0; i < r->nhead + r->nchunk; i++) {
        struct draft_row row = { .at = place_of(s, p, r->piece + i, 0),
                                 .kind = p->toc.pieces[r->piece + i].kind,
                                 .place = draft_place(range, DRAFT_KEPT) };
        draft_add_row(g, &row);
        s->range_rows++;
        s->segment_rows++;
    }
    keep_record(s, p, old, first);
}

static bool is_large(const struct prev_segment *p, const struct part *part)
{
    return part->verdict == PART_SAME && p->records[part->old].nhead > 0;
}

/* -- ranges that are cut afresh ------------------------------------------------------------ */

static void open_range(struct stream *s)
{
    if (s->range_open)
        return;
    s->range = draft_add_range(stream_segment(s));
    s->range_open = true;
}

static enum dr_rc stay_in_range(struct stream *s, const struct prev_segment *p,
                                const struct part *part, uint32_t row, struct dr_err *err)
{
    open_range(s);
    if (p->records[part->old].nhead > 0)
        keep_large(s, p, part->old, s->range);
    else
        keep_record(s, p, part->old, row);
    if (!stream_range_ends(s, part->now.path, 0))
        return DR_OK;
    DR_TRY(stream_end_range(s, err));
    return stream_segment_is_full(s) ? stream_end_segment(s, err) : DR_OK;
}

enum dr_rc stream_renew(struct stream *s, const struct prev_segment *p, const struct parts *parts,
                        bool stay, struct dr_err *err)
{
    for (size_t i = 0; i < parts->count; i++) {
        const struct part *part = &parts->items[i];
        struct stream_entry e = { &part->now, part->link_to, part->old != PART_NEW };
        if (!part_lives(part))
            continue;
        if (stay && is_large(p, part))
            DR_TRY(stay_in_range(s, p, part, 0, err));
        else
            DR_TRY(stream_add(s, &e, err));
    }
    return DR_OK;
}

/* -- a continued segment ------------------------------------------------------------------- */

struct going {
    struct stream *s;
    const struct prev_segment *p;
    const struct plan *plan;
    uint32_t *number; /* of each old row in the draft */
    uint32_t *files;
    uint64_t overlaid; /* bytes in the open overlay */
    uint32_t range;    /* in the draft, of the old range at hand */
};

static void add_row(struct going *g, uint32_t old, uint32_t place)
{
    const struct toc_piece *piece = &g->p->toc.pieces[old];
    struct draft_row row = { .at = place_of(g->s, g->p, old, g->files[old]),
                             .kind = piece->kind,
                             .place = place,
                             .superseded = g->plan->dead[old] };
    g->number[old] = draft_add_row(stream_segment(g->s), &row);
}

/* All that stay, but for links and large files, which come with their range. */
static void add_rows(struct going *g)
{
    for (uint32_t i = 0; i < g->p->toc.piece_count; i++) {
        enum frame_kind kind = g->p->toc.pieces[i].kind;
        g->number[i] = UINT32_MAX;
        if (!g->plan->keep[i] || kind == FRAME_LINKS)
            continue;
        add_row(g, i, kind == FRAME_DIRECTORIES ? DRAFT_DIRECTORIES : 0);
    }
}

static enum dr_rc read_into(struct going *g, const struct stream_where *where,
                            const struct stream_entry *e, struct item_map *map, struct dr_err *err)
{
    struct stream *s = g->s;
    bool overlay = where->kind == FRAME_OVERLAY;
    stream_read(s, where, e, (uint32_t)s->segment->record_count - 1)->map = map;
    if (overlay)
        g->overlaid += BLOCK_SIZE + head_padded(map != NULL ? map->size : e->entry->st.size);
    if (overlay ? g->overlaid < MERGE_OVERLAY_SIZE : (*where->open)->entry_count < TOGETHER_MAX)
        return DR_OK;
    g->overlaid = overlay ? 0 : g->overlaid;
    return stream_end_item(s, where->open, err);
}

/* In a range that stays: small ones to the overlay, large ones in place. */
static enum dr_rc read_beside(struct going *g, const struct stream_entry *e, struct dr_err *err)
{
    struct stream *s = g->s;
    struct item_map *map = NULL;
    bool directory = merge_type(e->entry->st.mode) == '5';
    struct stream_where directories = { &s->directories, FRAME_DIRECTORIES, DRAFT_DIRECTORIES };
    struct stream_where overlay = { &s->overlay, FRAME_OVERLAY, DRAFT_OVERLAYS };
    DR_ASSERT(e->link_to == NULL);
    uint32_t record = stream_record(s, e);
    if (merge_type(e->entry->st.mode) == '0' && e->entry->st.size >= LARGE_SIZE) {
        DR_TRY(stream_large(s, draft_place(g->range, DRAFT_LARGE), e, record, &map, err));
        if (map == NULL)
            return DR_OK;
    }
    return read_into(g, directory ? &directories : &overlay, e, map, err);
}

static bool stays(const struct going *g, const struct part *part)
{
    const struct toc_record *r = &g->p->records[part->old];
    if (part->verdict != PART_SAME)
        return false;
    return r->nhead > 0 || g->number[r->piece] != UINT32_MAX;
}

static enum dr_rc go_on(struct going *g, const struct part *part, struct dr_err *err)
{
    struct stream_entry e = { &part->now, part->link_to, part->old != PART_NEW };
    bool recut = g->plan->recut[part->range];
    bool directory = merge_type(part->now.st.mode) == '5';
    if (!part_lives(part))
        return DR_OK;
    if (recut && part->verdict == PART_SAME && (directory || is_large(g->p, part)) &&
        stays(g, part))
        return stay_in_range(g->s, g->p, part, g->number[g->p->records[part->old].piece], err);
    if (recut)
        return stream_add(g->s, &e, err);
    if (!stays(g, part))
        return read_beside(g, &e, err);
    if (is_large(g->p, part))
        keep_large(g->s, g->p, part->old, g->range);
    else
        keep_record(g->s, g->p, part->old, g->number[g->p->records[part->old].piece]);
    return DR_OK;
}

static bool has_links(const struct going *g, const struct part *part)
{
    return part->verdict == PART_SAME && g->p->records[part->old].type == '1' &&
           g->plan->keep[g->p->records[part->old].piece];
}

/* The old range begins: with the bundle that stays and its links, or by itself (stream_add). */
static enum dr_rc enter_range(struct going *g, const struct parts *parts, size_t first,
                              struct dr_err *err)
{
    struct draft *d = stream_segment(g->s);
    uint32_t range = parts->items[first].range;
    uint32_t bundle = g->p->toc.ranges[range].bundle;
    bool recut = g->plan->recut[range];
    if (recut && first > 0 && g->plan->recut[parts->items[first - 1].range])
        return DR_OK; /* neighbours are cut together */
    DR_TRY(stream_end_range(g->s, err));
    if (recut)
        return DR_OK;
    g->range = draft_add_range(d);
    if (bundle > 0 && g->plan->keep[bundle - 1])
        d->ranges[d->range_count - 1].bundle = g->number[bundle - 1] + 1;
    for (size_t i = first; i < parts->count && parts->items[i].range == range; i++) {
        const struct part *part = &parts->items[i];
        if (!has_links(g, part))
            continue;
        uint32_t row = g->p->records[part->old].piece;
        if (g->number[row] == UINT32_MAX)
            add_row(g, row, draft_place(g->range, DRAFT_LINKS));
    }
    return DR_OK;
}

static enum dr_rc go_through(struct going *g, const struct parts *parts, struct dr_err *err)
{
    for (size_t i = 0; i < parts->count; i++) {
        if (i == 0 || parts->items[i].range != parts->items[i - 1].range)
            DR_TRY(enter_range(g, parts, i, err));
        DR_TRY(go_on(g, &parts->items[i], err));
    }
    return stream_end_segment(g->s, err);
}

enum dr_rc stream_continue(struct stream *s, const struct prev_segment *p,
                           const struct parts *parts, const struct plan *plan, struct dr_err *err)
{
    DR_ASSERT(s->segment == NULL && plan->kind == PLAN_CONTINUED);
    struct draft *d = stream_segment(s);
    d->continued = true;
    segment_base_of(s->o.packs, p, &d->base);
    d->next_range = 1; /* place 0 is for what stays */
    struct going g = { .s = s, .p = p, .plan = plan };
    g.number = dr_alloc(p->toc.piece_count + 1, sizeof *g.number);
    g.files = count_files(p);
    add_rows(&g);
    enum dr_rc rc = go_through(&g, parts, err);
    free(g.number);
    free(g.files);
    return rc;
}

/* -- removed paths ------------------------------------------------------------------------- */

void stream_set_removed(struct stream *s, const struct buf *paths)
{
    if (paths->len > 0)
        buf_add(&s->removed, paths->data, paths->len);
}

void stream_vanished(struct stream *s, const char *path)
{
    buf_add(&s->vanished, path, strlen(path) + 1);
}

static int by_path(const void *a, const void *b)
{
    return path_compare(*(const char *const *)a, *(const char *const *)b);
}

/* Rarely any: both lists in one, sorted again, each path once. */
void stream_join_removed(struct stream *s)
{
    DR_CLEANUP(buf_fini) struct buf all = { 0 };
    size_t count = 0, i = 0;
    if (s->vanished.len == 0)
        return;
    if (s->removed.len > 0)
        buf_add(&all, s->removed.data, s->removed.len);
    buf_add(&all, s->vanished.data, s->vanished.len);
    for (size_t k = 0; k < all.len; k++)
        count += all.data[k] == '\0';
    const char **paths = dr_alloc(count, sizeof(char *)); /* NOLINT: pointers */
    for (const char *at = all.data; i < count; at += strlen(at) + 1)
        paths[i++] = at;
    qsort(paths, count, sizeof(char *), by_path); /* NOLINT: pointers */
    buf_clear(&s->removed);
    for (i = 0; i < count; i++)
        if (i == 0 || strcmp(paths[i - 1], paths[i]) != 0)
            buf_add(&s->removed, paths[i], strlen(paths[i]) + 1);
    free(paths);
}
