/*
 * The ring of items, and what becomes of results. All of it runs in the planning thread; workers see
 * an item between ring_give() and ring_finish_one() only.
 */
#include <string.h>
#include <sys/stat.h>

#include "backup/work/backup_build.h"
#include "backup/work/prev.h"
#include "dr/base/mem.h"

static void *start_worker(void *arg)
{
    const struct stream *s = arg;
    return worker_new(&s->worker->o);
}

static void stop_worker(void *state)
{
    worker_free(state);
}

void ring_nothing(struct worker *w, struct item *it)
{
    (void)w;
    (void)it;
}

static void work(void *state, void *item)
{
    struct item *it = item;
    it->work(state, it);
}

enum dr_rc ring_start(struct stream *s, struct dr_err *err)
{
    struct pool_options po = { .threads = s->o.threads,
                               .slots = s->o.threads + RING_SPARE,
                               .start = start_worker,
                               .work = work,
                               .stop = stop_worker,
                               .arg = s };
    spill_init(&s->frames);
    struct worker_options wo = { s->o.root, s->o.packs, s->o.start_ns };
    s->worker = worker_new(&wo);
    s->reader = worker_new(&wo);
    return pool_new(&po, &s->pool, err);
}

void ring_stop(struct stream *s)
{
    pool_free(s->pool);
    for (size_t i = 0; i < s->item_count; i++)
        item_free(s->items[i]);
    free(s->items);
    worker_free(s->worker);
    worker_free(s->reader);
    for (size_t i = 0; i < WINDOWS; i++)
        free(s->windows[i].data);
    for (size_t i = 0; i < s->waiting_count; i++)
        waiting_fini(&s->waiting[i]);
    free(s->waiting);
    spill_fini(&s->frames);
    buf_fini(&s->frame);
}

struct item *ring_item(struct stream *s)
{
    struct item *it = s->free_items;
    if (it != NULL) {
        s->free_items = it->next;
        return it;
    }
    it = dr_alloc(1, sizeof *it);
    if (s->item_count == s->item_cap) {
        s->item_cap = s->item_cap == 0 ? 16 : s->item_cap * 2;
        s->items = dr_realloc(s->items, s->item_cap, sizeof(struct item *)); /* NOLINT: pointers */
    }
    s->items[s->item_count++] = it;
    return it;
}

static void recycle(struct stream *s, struct item *it)
{
    if (it->window != NULL)
        it->window->users--;
    item_clear(it);
    it->next = s->free_items;
    s->free_items = it;
}

enum dr_rc ring_finish_one(struct stream *s, struct dr_err *err)
{
    struct item *it = pool_take(s->pool);
    DR_ASSERT(it != NULL);
    uint64_t bytes = it->bytes;
    enum dr_rc rc = it->done(s, it, err);
    recycle(s, it);
    if (rc == DR_OK && s->o.progress != NULL && !s->o.progress(s->o.arg, bytes))
        return dr_fail(err, DR_E_CANCELLED, "the backup was cancelled");
    return rc;
}

enum dr_rc ring_finish_all(struct stream *s, struct dr_err *err)
{
    while (pool_count(s->pool) > 0)
        DR_TRY(ring_finish_one(s, err));
    return DR_OK;
}

enum dr_rc ring_give(struct stream *s, struct item *it, struct dr_err *err)
{
    DR_ASSERT(it->work != NULL && it->done != NULL);
    while (pool_full(s->pool) || pool_ready(s->pool))
        DR_TRY(ring_finish_one(s, err));
    pool_give(s->pool, it);
    return DR_OK;
}

/* -- results ------------------------------------------------------------------------------- */

void ring_tell_warnings(struct stream *s, const struct item *it)
{
    const char *at = it->warnings.data, *end = at + it->warnings.len;
    while (at != NULL && at < end) {
        const char *what = at + strlen(at) + 1;
        s->o.warning(s->o.arg, at[0] == '\0' ? "." : at, what);
        at = what + strlen(what) + 1;
    }
}

static enum dr_rc warned(struct stream *s, struct item *it, struct dr_err *err)
{
    (void)err;
    ring_tell_warnings(s, it);
    return DR_OK;
}

enum dr_rc ring_warn(struct stream *s, const char *path, const char *what, struct dr_err *err)
{
    struct item *it = ring_item(s);
    it->work = ring_nothing;
    it->done = warned;
    item_warn(it, path, what);
    return ring_give(s, it, err);
}

enum dr_rc ring_add_pieces(struct stream *s, struct item *it, uint32_t *ret_row, struct dr_err *err)
{
    *ret_row = (uint32_t)it->segment->row_count;
    for (size_t i = 0; i < it->piece_count; i++) {
        const struct item_piece *p = &it->pieces[i];
        struct packs_frame f = { .kind = it->kind,
                                 .raw_len = p->raw_len,
                                 .reserve = s->waiting_bytes };
        memcpy(f.id, p->id, DIGEST_SIZE);
        if (p->frame_len > 0) {
            f.frame = it->frames.data + p->frame;
            f.frame_len = p->frame_len;
        }
        if (p->digest_count > 0) {
            f.digests = it->digests.data + p->digests;
            f.digest_count = p->digest_count;
        }
        struct draft_row row = { .kind = it->kind, .place = it->place };
        DR_TRY(packs_add(s->o.packs, &f, &row.at, err));
        draft_add_row(it->segment, &row);
    }
    return DR_OK;
}

static bool is_dropped(const struct stream *s, const struct item *it, const struct item_entry *e)
{
    return e->drop != ITEM_KEPT ||
           (e->link > 0 && s->dropped.count > 0 && text_list_has(&s->dropped, item_link(it, e)));
}

/* Links to a name that went away go with it: what they have now comes with the next snapshot. */
static void skip_orphans(struct stream *s, struct item *it)
{
    size_t orphans = 0;
    for (size_t i = 0; i < it->entry_count; i++) {
        struct item_entry *e = &it->entries[i];
        if (e->drop != ITEM_KEPT || !is_dropped(s, it, e))
            continue;
        e->drop = ITEM_SKIPPED;
        orphans++;
    }
    if (orphans == 0)
        return;
    item_clear_result(it);
    for (size_t i = 0; i < it->entry_count; i++) {
        struct item_entry *e = &it->entries[i];
        if (e->drop == ITEM_SKIPPED)
            item_warn(it, item_path(it, e),
                      "left out: the name it is linked to was replaced while it was read");
    }
    it->work(s->worker, it);
}

/* Links read by this run are passed over with it (skip_orphans); of those that stay as they are in the
 * snapshot before nobody knows here, so the whole attempt is made again, from a new scan. */
enum dr_rc ring_note_dropped(struct stream *s, const char *path, const struct scan_stat *st,
                             bool stored, struct dr_err *err)
{
    s->totals.dropped++;
    if (st->nlink < 2 || S_ISDIR(st->mode))
        return DR_OK;
    if (stored) {
        s->totals.lost_names++;
        return dr_fail(err, DR_E_BUSY, "a file with several names went away while it was read");
    }
    if (s->dropped.count == DROPPED_MAX)
        return dr_fail(err, DR_E_TRANSIENT,
                       "too many files with several names went away while they were read");
    text_list_add(&s->dropped, path);
    return DR_OK;
}

void ring_fill_record(struct stream *s, struct item *it, const struct item_entry *e, uint32_t row)
{
    struct draft_record *to = &it->segment->records[e->record];
    to->record = e->found;
    to->record.path_len = strlen(item_path(it, e));
    to->record.piece = row + e->found.piece;
    to->extra = e->extra;
    if (e->text > 0)
        draft_set_link(it->segment, e->record, it->strings.data + e->text);
    s->totals.entries++;
    s->totals.files += e->found.type == '0';
    s->totals.bytes += e->found.size;
}

enum dr_rc ring_entries_done(struct stream *s, struct item *it, struct dr_err *err)
{
    uint32_t row = 0;
    if (it->kind == FRAME_LINKS && s->dropped.count > 0)
        skip_orphans(s, it);
    ring_tell_warnings(s, it);
    DR_TRY(ring_add_pieces(s, it, &row, err));
    for (size_t i = 0; i < it->piece_count && it->kind == FRAME_BUNDLE; i++)
        draft_set_bundle(it->segment, it->entries[it->pieces[i].first].record, row + (uint32_t)i);
    for (size_t i = 0; i < it->entry_count; i++) {
        const struct item_entry *e = &it->entries[i];
        if (e->drop == ITEM_KEPT) {
            ring_fill_record(s, it, e, row);
            continue;
        }
        it->segment->records[e->record].dropped = true;
        DR_TRY(ring_note_dropped(s, item_path(it, e), &e->st, e->stored, err));
    }
    s->totals.read += it->bytes;
    return DR_OK;
}

enum dr_rc ring_bytes_done(struct stream *s, struct item *it, struct dr_err *err)
{
    uint32_t row = 0;
    DR_TRY(ring_add_pieces(s, it, &row, err));
    DR_ASSERT(it->piece_count == 1);
    struct toc_record *r = &it->segment->records[it->record].record;
    if (it->kind == FRAME_CHUNK) {
        r->nchunk++;
    } else {
        if (it->kind != FRAME_HEAD || r->nhead == 0)
            r->piece = row;
        r->nhead += it->kind == FRAME_HEAD;
    }
    if (it->kind == FRAME_BUNDLE)
        draft_set_bundle(it->segment, it->record, row);
    s->totals.read += it->bytes;
    return DR_OK;
}

/* -- closed segments ----------------------------------------------------------------------- */

void waiting_fini(struct waiting *w)
{
    toc_writer_free(w->toc);
    free(w->extras);
    free(w->first);
    buf_fini(&w->raw);
    segment_base_fini(&w->base);
    *w = (struct waiting){ .toc = NULL };
}

static const uint8_t *name_of_pack(void *arg, uint32_t pack)
{
    return packs_name(((struct stream *)arg)->o.packs, pack);
}

/*
 * All packs of its pieces have names by now, but the one at hand, in which the segment will lie: so
 * its bytes are final, and only the frame has to wait.
 */
static enum dr_rc encode(struct stream *s, struct waiting *w, struct dr_err *err)
{
    buf_clear(&s->frame);
    toc_encode(w->toc, name_of_pack, s, &w->raw);
    DR_ASSERT(w->raw.len <= SEGMENT_RAW_MAX);
    w->patched = segment_base_pack(&w->base, s->worker->codec, &w->raw, &s->frame, &w->place);
    if (!w->patched) {
        segment_base_fini(&w->base);
        hash_bytes(w->raw.data, w->raw.len, w->place.id);
        codec_pack(s->worker->codec, w->raw.data, w->raw.len, &s->frame);
        w->place.raw = (uint32_t)w->raw.len;
    }
    w->frame = s->waiting_bytes;
    w->frame_len = s->frame.len;
    DR_TRY(spill_grow(&s->frames, s->o.state_dir, w->frame + w->frame_len, err));
    memcpy(s->frames.data + w->frame, s->frame.data, w->frame_len);
    s->waiting_bytes += w->frame_len;
    return DR_OK;
}

static void tell_cache(struct stream *s, struct waiting *w)
{
    prev_writer_segment(s->o.cache, &w->raw, &w->base.raw, w->extras, w->entries);
    toc_writer_free(w->toc);
    free(w->extras);
    buf_fini(&w->raw);
    buf_fini(&w->base.raw);
    w->toc = NULL;
    w->extras = NULL;
}

static void list_segment(struct stream *s, const struct waiting *w)
{
    lists_add_segment(s->lists, &w->place, w->patched ? &w->base.place : NULL, w->entries,
                      w->first);
}

enum dr_rc ring_wait_segment(struct stream *s, struct waiting *w, struct dr_err *err)
{
    enum dr_rc rc = w->toc != NULL ? encode(s, w, err) : DR_OK;
    if (rc != DR_OK) {
        waiting_fini(w);
        return rc;
    }
    tell_cache(s, w);
    if (w->frame_len == 0 && s->waiting_count == 0) { /* it stays where it is */
        list_segment(s, w);
        waiting_fini(w);
        return DR_OK;
    }
    if (s->waiting_count == s->waiting_cap) {
        s->waiting_cap = s->waiting_cap == 0 ? 16 : s->waiting_cap * 2;
        s->waiting = dr_realloc(s->waiting, s->waiting_cap, sizeof *s->waiting);
    }
    s->waiting[s->waiting_count++] = *w;
    bool full = s->waiting_bytes > WAITING_MAX || s->waiting_count >= WAITING_SEGMENTS;
    return full ? packs_flush(s->o.packs, err) : DR_OK;
}

void ring_before_seal(void *arg)
{
    struct stream *s = arg;
    for (size_t i = 0; i < s->waiting_count; i++) {
        struct waiting *w = &s->waiting[i];
        if (w->frame_len > 0) {
            struct packs_frame f = { .kind = w->patched ? FRAME_PATCH : FRAME_SEGMENT,
                                     .raw_len = w->place.raw,
                                     .frame = s->frames.data + w->frame,
                                     .frame_len = w->frame_len };
            memcpy(f.id, w->place.id, DIGEST_SIZE);
            packs_add_here(s->o.packs, &f, &w->place);
        }
        list_segment(s, w);
        waiting_fini(w);
    }
    s->waiting_count = s->waiting_bytes = 0;
}
