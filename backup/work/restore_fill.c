/*
 * Cutting and driving. The jobs of a segment are sorted by where their pieces lie, so that an item is
 * one run of a pack; large files come behind the small ones, since their chunks would tear the
 * run apart. A piece is never split between items: it would be unpacked twice.
 *
 * Syncing: a thread of its own brings to the medium what was taken back before it began, again and
 * again while the others write on: the disk works from the first second, the journal can say how
 * far it came, and the last sync of all finds little left.
 */
#include "backup/work/restore_fill.h"

#include <errno.h>
#include <string.h>

#include "backup/format/path.h"
#include "backup/work/restore_local.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/pool.h"
#include "dr/base/sys.h"

enum { SYNC_MS = 10000, SYNC_BYTES = 256 << 20 }; /* whichever comes first, since the last one */

struct sync {     /* the item of the thread that syncs */
    size_t items; /* those before it are on the medium when it is done */
    enum dr_rc rc;
    struct dr_err err;
};

struct job { /* an entry and where its first piece lies */
    const struct toc_record *rec;
    const char *to;
    struct fetch_piece place;
    uint64_t stored; /* of all its pieces */
};

struct fill {
    struct fill_options options;
    struct restore_worker_options worker;
    struct pool *pool;
    struct restore_item *items; /* owned; as many as the pool has slots, and the one being cut */
    struct restore_item **idle; /* those that are nobody's */
    size_t item_count, idle_count;
    struct restore_large **large; /* files that are open, owned; in order */
    size_t large_count, large_cap;
    struct job *jobs; /* of the segment at hand */
    size_t job_cap;
    struct local *local; /* of the caller's thread; NULL: nothing is compared */
    size_t next;         /* number of the next item */
    struct pool *syncer; /* NULL: nothing is written */
    struct sync sync;    /* the syncer's while it has it */
    uint64_t unsynced;   /* bytes written since it was given away */
    int64_t synced_ms;   /* when that was */
};

static void *start_worker(void *arg)
{
    const struct fill *f = arg;
    return restore_worker_new(&f->worker);
}

static void stop_worker(void *state)
{
    restore_worker_free(state);
}

static void do_work(void *state, void *item)
{
    restore_item_work(state, item);
}

static void *start_sync(void *arg)
{
    const struct fill *f = arg;
    return place_share(f->options.place);
}

static void stop_sync(void *state)
{
    place_free(state);
}

static void do_sync(void *state, void *item)
{
    struct sync *s = item;
    s->rc = place_sync(state, &s->err);
}

static enum dr_rc new_syncer(struct fill *f, struct dr_err *err)
{
    const struct pool_options options = { .threads = f->options.threads > 0,
                                          .slots = 1,
                                          .start = start_sync,
                                          .work = do_sync,
                                          .stop = stop_sync,
                                          .arg = f };
    return pool_new(&options, &f->syncer, err);
}

enum dr_rc fill_new(const struct fill_options *options, struct fill **ret, struct dr_err *err)
{
    DR_CLEANUP(fill_free_ptr) struct fill *f = dr_alloc(1, sizeof(*f));
    f->options = *options;
    f->worker = (struct restore_worker_options){ .repo = options->repo,
                                                 .buckets = &options->snapshot->buckets,
                                                 .place = options->place,
                                                 .doing = options->doing,
                                                 .compare = options->compare,
                                                 .contents = options->contents };
    f->local = options->compare ? local_new(options->doing == RESTORE_CHECK) : NULL;
    f->synced_ms = clock_boot_ms();
    const struct pool_options pool = { .threads = options->threads,
                                       .slots = 2 * (size_t)options->threads + 2,
                                       .start = start_worker,
                                       .work = do_work,
                                       .stop = stop_worker,
                                       .arg = f };
    f->item_count = pool.slots + 1;
    f->items = dr_alloc(f->item_count, sizeof(f->items[0]));
    f->idle = dr_alloc(f->item_count, sizeof(struct restore_item *));
    for (size_t i = 0; i < f->item_count; i++)
        f->idle[f->idle_count++] = &f->items[i];
    DR_TRY(pool_new(&pool, &f->pool, err));
    if (options->doing == RESTORE_WRITE)
        DR_TRY(new_syncer(f, err));
    *ret = DR_TAKE(f);
    return DR_OK;
}

void fill_free(struct fill *f)
{
    if (f == NULL)
        return;
    pool_free(f->pool);
    pool_free(f->syncer);
    for (size_t i = 0; i < f->item_count; i++)
        restore_item_fini(&f->items[i]);
    for (size_t i = 0; i < f->large_count; i++)
        restore_large_free(f->large[i]);
    free(f->items);
    free(f->idle);
    free(f->large);
    free(f->jobs);
    local_free(f->local);
    free(f);
}

/* -- taking back --------------------------------------------------------------------------- */

/* All its bytes are there. The item gets the outcome of the whole file. */
static enum dr_rc end_large(struct fill *f, struct restore_item *item, struct dr_err *err)
{
    struct restore_large *l = item->large;
    DR_ASSERT(l != NULL);
    DR_FREE struct place_xattr *xattrs = NULL;
    const struct place_entry p = restore_attributes(&l->entry, &l->head, &xattrs);
    bool kept = l->compare && (l->same_head || f->options.contents) && l->changed == 0;
    if (!kept)
        text_list_add(&item->changed_names, l->entry.rec.path);
    item->changed = !kept;
    item->kept = kept;
    if (!kept && f->options.doing == RESTORE_WRITE)
        DR_TRY(place_file_end(f->options.place, &p, l->fd, &l->head.size, err));
    if (l->fd >= 0 && sys.close(dr_take_fd(&l->fd)) < 0)
        return dr_fail_sys(err, errno, "cannot close '%s'", l->entry.to);
    DR_ASSERT(f->large_count > 0 && f->large[0] == l);
    restore_large_free(l);
    f->large_count--;
    memmove(f->large, f->large + 1, f->large_count * sizeof(struct restore_large *));
    return DR_OK;
}

/* Waits for a sync that was begun. */
static enum dr_rc end_sync(struct fill *f, struct dr_err *err)
{
    const struct sync *s = f->syncer != NULL ? pool_take(f->syncer) : NULL;
    if (s == NULL)
        return DR_OK;
    if (s->rc != DR_OK) {
        *err = s->err;
        return s->rc;
    }
    return f->options.journal != NULL ? restore_journal_synced(f->options.journal, s->items, err)
                                      : DR_OK;
}

static enum dr_rc begin_sync(struct fill *f, size_t items, struct dr_err *err)
{
    if (pool_ready(f->syncer))
        DR_TRY(end_sync(f, err));
    bool due = f->unsynced >= SYNC_BYTES || clock_boot_ms() - f->synced_ms >= SYNC_MS;
    if (!due || pool_full(f->syncer))
        return DR_OK;
    f->sync = (struct sync){ .items = items };
    f->unsynced = 0;
    f->synced_ms = clock_boot_ms();
    pool_give(f->syncer, &f->sync);
    return DR_OK;
}

/* The item and all before it are written. */
static enum dr_rc note_done(struct fill *f, const struct restore_item *item, struct dr_err *err)
{
    if (f->options.journal != NULL)
        DR_TRY(restore_journal_done(f->options.journal, item->number + 1, err));
    f->unsynced += item->written;
    return begin_sync(f, item->number + 1, err);
}

static enum dr_rc take_one(struct fill *f, struct dr_err *err)
{
    struct restore_item *item = pool_take(f->pool);
    DR_ASSERT(item != NULL);
    enum dr_rc rc = item->rc;
    place_add_lost(f->options.lost, &item->lost);
    if (rc != DR_OK)
        *err = item->err;
    if (item->large != NULL) {
        item->large->changed += item->changed;
        item->changed = 0;
    }
    if (rc == DR_OK && item->last)
        rc = end_large(f, item, err);
    if (rc == DR_OK && f->syncer != NULL)
        rc = note_done(f, item, err);
    if (rc == DR_OK)
        rc = f->options.done(f->options.arg, item, err);
    f->idle[f->idle_count++] = item;
    return rc;
}

static enum dr_rc give(struct fill *f, struct restore_item *item, struct dr_err *err)
{
    enum dr_rc rc = DR_OK;
    while (rc == DR_OK && (pool_full(f->pool) || pool_ready(f->pool)))
        rc = take_one(f, err);
    if (rc != DR_OK) {
        f->idle[f->idle_count++] = item;
        return rc;
    }
    pool_give(f->pool, item);
    return DR_OK;
}

enum dr_rc fill_finish(struct fill *f, struct dr_err *err)
{
    while (pool_count(f->pool) > 0)
        DR_TRY(take_one(f, err));
    return end_sync(f, err);
}

/* -- cutting ------------------------------------------------------------------------------- */

static struct restore_item *new_item(struct fill *f)
{
    DR_ASSERT(f->idle_count > 0);
    struct restore_item *item = f->idle[--f->idle_count];
    restore_item_clear(item);
    item->number = f->next++;
    item->trusted = f->options.journal != NULL && item->number < f->options.journal->synced;
    return item;
}

static void add_piece(struct restore_item *item, const struct fetch_piece *p)
{
    if (item->piece_count == item->piece_cap) {
        item->piece_cap = item->piece_cap == 0 ? 64 : 2 * item->piece_cap;
        item->pieces = dr_realloc(item->pieces, item->piece_cap, sizeof(item->pieces[0]));
    }
    item->pieces[item->piece_count++] = *p;
}

/* Its texts go to the end of 'text', which has room for them. */
static struct restore_entry copy_entry(const struct fill *f, const struct job *job,
                                       struct buf *text)
{
    struct restore_entry e = { .rec = *job->rec };
    e.uid = owners_user(f->options.owners, e.rec.uid);
    e.gid = owners_group(f->options.owners, e.rec.gid);
    e.alone = !wanted_is_linked(f->options.wanted, e.rec.path);
    e.rec.path = text->data + text->len;
    buf_add(text, job->rec->path, job->rec->path_len + 1);
    e.to = e.rec.path;
    if (job->to != job->rec->path) {
        e.to = text->data + text->len;
        buf_add(text, job->to, strlen(job->to) + 1);
    }
    if (job->rec->link != NULL) {
        e.rec.link = text->data + text->len;
        buf_add(text, job->rec->link, strlen(job->rec->link) + 1);
    }
    return e;
}

static size_t text_size_of(const struct job *job)
{
    return job->rec->path_len + 1 + (job->to != job->rec->path ? strlen(job->to) + 1 : 0) +
           (job->rec->link != NULL ? strlen(job->rec->link) + 1 : 0);
}

static enum dr_rc give_entries(struct fill *f, const struct segment *s, const struct job *jobs,
                               size_t count, struct dr_err *err)
{
    struct restore_item *item = new_item(f);
    size_t room = 0;
    for (size_t i = 0; i < count; i++)
        room += text_size_of(&jobs[i]);
    buf_reserve(&item->text, room);
    if (item->cap < count) {
        item->cap = count;
        item->entries = dr_realloc(item->entries, count, sizeof(item->entries[0]));
    }
    for (size_t i = 0; i < count; i++) {
        const struct toc_record *rec = jobs[i].rec;
        struct restore_entry e = copy_entry(f, &jobs[i], &item->text);
        bool again = i > 0 && rec->nhead == 0 && jobs[i - 1].rec->piece == rec->piece;
        e.first = again ? item->piece_count - 1 : item->piece_count;
        uint32_t pieces = rec->nhead > 0 ? rec->nhead + rec->nchunk : 1;
        for (uint32_t k = 0; !again && k < pieces; k++) {
            const struct fetch_piece p = reader_place(s, rec->piece + k);
            add_piece(item, &p);
        }
        item->entries[item->count++] = e;
    }
    return give(f, item, err);
}

/* -- files of many items ------------------------------------------------------------------- */

struct chunks { /* of a large file: one item of them */
    uint32_t from, count;
    uint64_t at, bytes; /* in the data */
};

/* The next run of chunks of at most FETCH_WINDOW stored bytes. */
static bool next_chunks(const struct segment *s, const struct toc_record *rec, struct chunks *c)
{
    c->from += c->count;
    c->at += c->bytes;
    c->count = 0;
    c->bytes = 0;
    uint64_t stored = 0;
    for (uint32_t i = c->from; i < rec->nchunk; i++) {
        const struct toc_piece *p = &s->toc.pieces[rec->piece + rec->nhead + i];
        if (c->count > 0 && stored + p->stored > FETCH_WINDOW)
            break;
        stored += p->stored;
        c->bytes += p->raw;
        c->count++;
    }
    return c->count > 0;
}

/* What is there is held against the snapshot. Without the map of a sparse file nobody knows where
 * its chunks are. */
static bool open_compared(struct fill *f, struct restore_large *l, const struct fetch_piece *head)
{
    struct stat st = { 0 };
    bool writing = f->options.doing == RESTORE_WRITE;
    l->same_head = restore_same_head(f->local, f->options.place, &l->entry, head);
    l->fd = place_reopen(f->options.place, l->entry.to, writing, &st);
    bool strange = l->entry.alone && st.st_nlink > 1;
    if (l->fd >= 0 && ((!l->same_head && l->head.sparse) || strange))
        dr_close_fd(&l->fd);
    l->compare = l->fd >= 0 || !writing;
    return l->compare;
}

/* Open it: that of an earlier attempt, when the journal knows of a part of it, or a new one. */
static enum dr_rc open_large(struct fill *f, struct restore_large *l, bool *ret_again,
                             struct dr_err *err)
{
    DR_FREE struct place_xattr *xattrs = NULL;
    const struct place_entry p = restore_attributes(&l->entry, &l->head, &xattrs);
    struct restore_journal *journal = f->options.journal;
    struct stat st;
    if (journal != NULL && journal->done > f->next) {
        l->fd = place_reopen(f->options.place, p.path, true, &st);
        *ret_again = l->fd >= 0 && (uint64_t)st.st_size == l->head.size && st.st_nlink == 1;
        if (*ret_again)
            return DR_OK;
        dr_close_fd(&l->fd);
        DR_TRY(restore_journal_back(journal, f->next, err));
    }
    DR_TRY(place_file_begin(f->options.place, &p, &l->fd, err));
    if (sys.ftruncate(l->fd, (off_t)l->head.size) < 0)
        return dr_fail_sys(err, errno, "cannot set the size of '%s'", l->entry.to);
    return DR_OK;
}

static enum dr_rc begin_large(struct fill *f, const struct segment *s, const struct job *job,
                              struct restore_large **ret, struct dr_err *err)
{
    if (f->large_count == f->large_cap) {
        f->large_cap = f->large_cap == 0 ? 8 : 2 * f->large_cap;
        f->large = dr_realloc(f->large, f->large_cap, sizeof(struct restore_large *));
    }
    struct restore_large *l = dr_alloc(1, sizeof(*l));
    l->fd = -1;
    f->large[f->large_count++] = l;
    buf_reserve(&l->text, text_size_of(job));
    l->entry = copy_entry(f, job, &l->text);
    const uint8_t *data = NULL;
    fetch_plan(reader_fetch(f->options.reader), NULL, 0);
    DR_TRY(reader_head(f->options.reader, s, job->rec, &l->head, &data, err));
    uint64_t raw = 0;
    for (uint32_t i = 0; i < job->rec->nchunk; i++)
        raw += s->toc.pieces[job->rec->piece + job->rec->nhead + i].raw;
    if (raw < l->head.data)
        return dr_fail(err, DR_E_CORRUPT, "the chunks of a file hold less than the file");
    *ret = l;
    return DR_OK;
}

static enum dr_rc give_chunks(struct fill *f, const struct segment *s, const struct chunks *c,
                              struct restore_large *l, struct dr_err *err)
{
    struct restore_item *item = new_item(f);
    item->large = l;
    item->at = c->at;
    item->last = c->from + c->count == l->entry.rec.nchunk;
    item->size = l->head.size;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct fetch_piece p =
            reader_place(s, l->entry.rec.piece + l->entry.rec.nhead + c->from + i);
        add_piece(item, &p);
    }
    return give(f, item, err);
}

static enum dr_rc skip_large(struct fill *f, const struct job *job, size_t items,
                             struct dr_err *err)
{
    const struct restore_item whole = {
        .last = true, .size = job->rec->size, .bytes = job->rec->size, .kept = 1
    };
    f->next += items;
    return f->options.done(f->options.arg, &whole, err);
}

static bool is_whole(struct fill *f, const struct job *job, size_t items)
{
    const struct restore_journal *journal = f->options.journal;
    if (f->options.compare || f->options.place == NULL)
        return false;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    buf_reserve(&text, text_size_of(job));
    const struct restore_entry e = copy_entry(f, job, &text);
    const struct place_entry p = restore_attributes(&e, NULL, NULL);
    bool synced = journal != NULL && f->next + items <= journal->synced;
    return place_is_whole(f->options.place, &p, job->rec->size, synced);
}

/* Items before 'before' are done, but for the last one, which also ends the file. */
static enum dr_rc give_all_chunks(struct fill *f, const struct segment *s, struct restore_large *l,
                                  size_t before, struct dr_err *err)
{
    const struct toc_record *rec = &l->entry.rec;
    for (struct chunks c = { 0 }; next_chunks(s, rec, &c);) {
        if (f->next >= before || c.from + c.count == rec->nchunk) {
            DR_TRY(give_chunks(f, s, &c, l, err));
            continue;
        }
        const struct restore_item kept = { .bytes = c.bytes };
        f->next++;
        DR_TRY(f->options.done(f->options.arg, &kept, err));
    }
    return DR_OK;
}

static enum dr_rc give_large(struct fill *f, const struct segment *s, const struct job *job,
                             struct dr_err *err)
{
    size_t items = 0;
    for (struct chunks c = { 0 }; next_chunks(s, job->rec, &c);)
        items++;
    if (is_whole(f, job, items))
        return skip_large(f, job, items, err);

    struct restore_large *l = NULL;
    bool again = false;
    DR_TRY(begin_large(f, s, job, &l, err));
    bool compared = f->options.compare && open_compared(f, l, &job->place);
    if (!compared && f->options.doing == RESTORE_WRITE)
        DR_TRY(open_large(f, l, &again, err));
    return give_all_chunks(f, s, l, again ? f->options.journal->done : 0, err);
}

/* -- segments ------------------------------------------------------------------------------ */

/* Large files behind small ones; each in the order of packs, places, and offsets in a piece. */
static int by_place(const void *left, const void *right)
{
    const struct job *a = left, *b = right;
    if ((a->rec->nhead > 0) != (b->rec->nhead > 0))
        return a->rec->nhead > 0 ? 1 : -1;
    int order = memcmp(a->place.pack, b->place.pack, HASH_SIZE);
    if (order != 0)
        return order;
    if (a->place.offset != b->place.offset)
        return a->place.offset < b->place.offset ? -1 : 1;
    if (a->rec->piece != b->rec->piece)
        return a->rec->piece < b->rec->piece ? -1 : 1;
    if (a->rec->offset != b->rec->offset)
        return a->rec->offset < b->rec->offset ? -1 : 1;
    return path_compare(a->rec->path, b->rec->path);
}

static size_t gather_jobs(struct fill *f, const struct segment *s, size_t base)
{
    if (f->job_cap < s->count) {
        f->job_cap = s->count;
        f->jobs = dr_realloc(f->jobs, f->job_cap, sizeof(f->jobs[0]));
    }
    size_t count = 0;
    for (size_t k = 0; k < s->count; k++) {
        const struct toc_record *rec = &s->records[k];
        const char *to = rec->type == '5' || rec->type == '1'
                             ? NULL
                             : wanted_place(f->options.wanted, base + k, rec);
        if (to == NULL)
            continue;
        struct job job = { .rec = rec, .to = to, .place = reader_place(s, rec->piece) };
        job.stored = job.place.stored;
        for (uint32_t i = 1; rec->nhead > 0 && i < rec->nhead + rec->nchunk; i++)
            job.stored += s->toc.pieces[rec->piece + i].stored;
        f->jobs[count++] = job;
    }
    if (count > 0)
        qsort(f->jobs, count, sizeof(f->jobs[0]), by_place);
    return count;
}

/* How many jobs from the first on make an item. */
static size_t cut(const struct job *jobs, size_t count)
{
    uint64_t stored = 0;
    for (size_t i = 0; i < count; i++) {
        bool same =
            i > 0 && jobs[i].rec->nhead == 0 && jobs[i].rec->piece == jobs[i - 1].rec->piece;
        if (same)
            continue;
        if (i > 0 && (i >= RESTORE_ITEM_ENTRIES || stored + jobs[i].stored > FETCH_WINDOW))
            return i;
        stored += jobs[i].stored;
    }
    return count;
}

enum dr_rc fill_segment(struct fill *f, const struct segment *s, size_t base, struct dr_err *err)
{
    size_t count = gather_jobs(f, s, base);
    for (size_t at = 0; at < count;) {
        const struct job *job = &f->jobs[at];
        if (job->rec->nhead > 0 && job->rec->nchunk > 0 && job->stored > FETCH_WINDOW) {
            DR_TRY(give_large(f, s, job, err));
            at++;
            continue;
        }
        size_t some = cut(job, count - at);
        DR_TRY(give_entries(f, s, job, some, err));
        at += some;
    }
    return DR_OK;
}
