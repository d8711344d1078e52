/*
 * The work on an item. First it is found out what is left to do: an earlier attempt may have written a
 * part, and when comparing, what is there is written down again and held against the digests of
 * the pieces (restore_local.h). Then the pieces that are still needed are announced, so that they
 * are read with few calls, and then the entries are done in the order of their pieces.
 *
 * A piece of small entries is needed as a whole as soon as one of them is another; then each is held
 * against its bytes, and only those that differ are written. Of a large file that is there, the chunks
 * that differ are written into it, unless it has further names that the snapshot does not know.
 */
#include "backup/work/restore_item.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "backup/work/restore_local.h"
#include "backup/work/restore_write.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

struct restore_worker {
    struct fetch *fetch;
    struct place *place; /* or NULL */
    enum restore_doing doing;
    bool contents;
    struct local *local; /* NULL: nothing is compared */
    struct writer writer;
    struct buf head;  /* of a large file */
    struct buf there; /* entries that are there, written down */
    bool *need;       /* of each piece of the item */
    const struct fetch_piece **plan;
    size_t plan_cap;
    struct work_hooks hooks; /* of the fetch: its warnings go into the item */
    struct restore_item *item;
};

void restore_item_clear(struct restore_item *item)
{
    text_list_fini(&item->not_made);
    text_list_fini(&item->warnings);
    text_list_fini(&item->changed_names);
    place_lost_fini(&item->lost);
    buf_clear(&item->text);
    const struct restore_item kept = *item;
    *item = (struct restore_item){ .entries = kept.entries,
                                   .cap = kept.cap,
                                   .pieces = kept.pieces,
                                   .piece_cap = kept.piece_cap,
                                   .text = kept.text };
}

void restore_item_fini(struct restore_item *item)
{
    restore_item_clear(item);
    free(item->entries);
    free(item->pieces);
    buf_fini(&item->text);
    *item = (struct restore_item){ 0 };
}

void restore_large_free(struct restore_large *l)
{
    if (l == NULL)
        return;
    dr_close_fd(&l->fd);
    head_fini(&l->head);
    buf_fini(&l->text);
    free(l);
}

static void keep_warning(void *arg, const char *line)
{
    struct restore_worker *w = arg;
    if (w->item != NULL)
        text_list_add(&w->item->warnings, line);
}

struct restore_worker *restore_worker_new(const struct restore_worker_options *options)
{
    struct restore_worker *w = dr_alloc(1, sizeof(*w));
    w->hooks = (struct work_hooks){ .warning = keep_warning, .arg = w };
    w->fetch = fetch_new(options->repo, &w->hooks);
    fetch_prefer(w->fetch, options->buckets);
    w->place = options->place != NULL ? place_share(options->place) : NULL;
    w->doing = options->doing;
    w->contents = options->contents;
    w->local = options->compare ? local_new(options->doing == RESTORE_CHECK) : NULL;
    return w;
}

void restore_worker_free(struct restore_worker *w)
{
    if (w == NULL)
        return;
    fetch_free(w->fetch);
    place_free(w->place);
    local_free(w->local);
    buf_fini(&w->head);
    buf_fini(&w->there);
    free(w->need);
    free(w->plan);
    free(w);
}

struct place_entry restore_attributes(const struct restore_entry *e, const struct head *h,
                                      struct place_xattr **ret_xattrs)
{
    struct place_entry p = {
        .path = e->to,
        .mode = e->rec.mode,
        .uid = e->uid,
        .gid = e->gid,
        .mtime = { .tv_sec = e->rec.mtime_s, .tv_nsec = (long)e->rec.mtime_ns },
    };
    if (h == NULL)
        return p;
    p.acl_access = h->acl_access;
    p.acl_default = h->acl_default;
    if (h->xattr_count == 0)
        return p;
    struct place_xattr *x = dr_alloc(h->xattr_count, sizeof(*x));
    for (size_t i = 0; i < h->xattr_count; i++)
        x[i] = (struct place_xattr){ h->xattrs[i].name, h->xattrs[i].value, h->xattrs[i].len };
    p.xattrs = *ret_xattrs = x;
    p.xattr_count = h->xattr_count;
    return p;
}

/* -- bytes --------------------------------------------------------------------------------- */

struct restore_spot restore_spot_of(const struct head *h, uint64_t data)
{
    struct restore_spot s = { .head = h, .at = data };
    while (h->sparse && s.extent < h->extent_count && data >= h->extents[s.extent].len) {
        data -= h->extents[s.extent].len;
        s.extent++;
    }
    s.done = data;
    return s;
}

enum dr_rc restore_spot_next(struct restore_spot *s, size_t len, uint64_t *ret_at, size_t *ret_len,
                             struct dr_err *err)
{
    if (!s->head->sparse) {
        *ret_at = s->at;
        *ret_len = len;
        s->at += len;
        return DR_OK;
    }
    while (s->extent < s->head->extent_count && s->done == s->head->extents[s->extent].len) {
        s->extent++;
        s->done = 0;
    }
    if (s->extent == s->head->extent_count)
        return dr_fail(err, DR_E_CORRUPT, "a sparse file has more data than its map");
    const struct head_extent *e = &s->head->extents[s->extent];
    *ret_at = e->offset + s->done;
    *ret_len = e->len - s->done < len ? (size_t)(e->len - s->done) : len;
    s->done += *ret_len;
    return DR_OK;
}

static enum dr_rc write_data(struct restore_worker *w, int fd, struct restore_spot *s,
                             const void *bytes, size_t len, struct dr_err *err)
{
    const uint8_t *data = bytes;
    w->item->written += len;
    w->item->bytes += len;
    while (len > 0) {
        uint64_t at = 0;
        size_t part = 0;
        DR_TRY(restore_spot_next(s, len, &at, &part, err));
        DR_TRY(writer_put(&w->writer, fd, data, part, at, err));
        data += part;
        len -= part;
    }
    return DR_OK;
}

/* A run of chunks of a file that is open. */
struct run {
    const struct head *head;
    int fd;
    size_t from, upto; /* pieces of the item */
    uint64_t at;       /* of the first one, in the data */
};

/* A sparse file's run lies nobody knows where: all of it. */
static void begin_writeback(const struct writer *w, const struct run *r, uint64_t end)
{
    bool sparse = r->head->sparse;
    if (end > r->at)
        writer_begin(w, r->fd, sparse ? 0 : r->at, sparse ? 0 : end - r->at);
}

/* Those that are needed: what is behind the data is padding. */
static enum dr_rc write_chunks(struct restore_worker *w, const struct run *r, struct dr_err *err)
{
    uint64_t at = r->at;
    for (size_t i = r->from; i < r->upto; i++) {
        const struct fetch_piece *p = &w->item->pieces[i];
        uint64_t left = at < r->head->data ? r->head->data - at : 0;
        size_t len = left < p->raw ? (size_t)left : (size_t)p->raw;
        if (w->need[i]) {
            const struct buf *bytes = NULL;
            struct restore_spot s = restore_spot_of(r->head, at);
            DR_TRY(fetch_get(w->fetch, p, &bytes, err));
            DR_TRY(write_data(w, r->fd, &s, bytes->data, len, err));
        } else {
            w->item->bytes += len;
        }
        at += len;
    }
    begin_writeback(&w->writer, r, at);
    return DR_OK;
}

/* Which chunks are not there? Returns how many. */
static size_t find_chunks(struct restore_worker *w, const struct run *r)
{
    size_t count = 0;
    uint64_t at = r->at;
    for (size_t i = r->from; i < r->upto; i++) {
        const struct fetch_piece *p = &w->item->pieces[i];
        const struct local_range range = { r->head, at, p->raw, p->id };
        w->need[i] = r->fd < 0 || !local_has_range(w->local, r->fd, &range);
        count += w->need[i];
        at += p->raw;
    }
    return count;
}

/* -- entries ------------------------------------------------------------------------------- */

static size_t piece_count_of(const struct restore_entry *e)
{
    return e->rec.nhead > 0 ? (size_t)e->rec.nhead + e->rec.nchunk : 1;
}

/* The head's bytes: the piece that has it, or the pieces of a large file's head in a row. */
static enum dr_rc head_bytes(struct restore_worker *w, const struct restore_entry *e,
                             const struct buf **ret, struct dr_err *err)
{
    const struct fetch_piece *pieces = &w->item->pieces[e->first];
    if (e->rec.nhead == 0)
        return fetch_get(w->fetch, pieces, ret, err);
    buf_clear(&w->head);
    for (uint32_t i = 0; i < e->rec.nhead; i++) {
        const struct buf *part = NULL;
        DR_TRY(fetch_get(w->fetch, &pieces[i], &part, err));
        if (w->head.len + part->len > HEAD_RECORDS_MAX + PIECE_RAW_MAX)
            return dr_fail(err, DR_E_CORRUPT, "a head is too long");
        buf_add(&w->head, part->data, part->len);
    }
    *ret = &w->head;
    return DR_OK;
}

static enum dr_rc write_file(struct restore_worker *w, const struct restore_entry *e,
                             const struct place_entry *p, const struct head *h, const uint8_t *data,
                             struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = -1;
    DR_TRY(place_file_begin(w->place, p, &fd, err));
    enum dr_rc rc = DR_OK;
    if (e->rec.nhead == 0) {
        struct restore_spot s = restore_spot_of(h, 0);
        rc = write_data(w, fd, &s, data, (size_t)h->data, err);
    } else {
        const struct run run = { h, fd, e->first + e->rec.nhead, e->first + piece_count_of(e), 0 };
        rc = write_chunks(w, &run, err);
    }
    if (rc == DR_OK)
        rc = place_file_end(w->place, p, fd, h->sparse ? &h->size : NULL, err);
    if (rc == DR_OK && sys.close(dr_take_fd(&fd)) < 0)
        rc = dr_fail_sys(err, errno, "cannot close");
    return rc;
}

/* Into the file that is there. */
static enum dr_rc mend_file(struct restore_worker *w, const struct restore_entry *e,
                            const struct place_entry *p, const struct head *h, struct dr_err *err)
{
    struct stat st;
    DR_CLEANUP(dr_close_fd) int fd = place_reopen(w->place, e->to, true, &st);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open");
    const struct run run = { h, fd, e->first + e->rec.nhead, e->first + piece_count_of(e), 0 };
    DR_TRY(write_chunks(w, &run, err));
    DR_TRY(place_file_end(w->place, p, fd, &h->size, err));
    return sys.close(dr_take_fd(&fd)) < 0 ? dr_fail_sys(err, errno, "cannot close") : DR_OK;
}

static enum dr_rc write_device(struct restore_worker *w, const struct restore_entry *e,
                               const struct place_entry *p, const struct head *h,
                               struct dr_err *err)
{
    uint64_t lost = place_lost_devices(w->place);
    mode_t type = e->rec.type == '3' ? S_IFCHR : S_IFBLK;
    DR_TRY(place_special(w->place, p, type, makedev(h->major, h->minor), err));
    if (place_lost_devices(w->place) > lost)
        text_list_add(&w->item->not_made, e->rec.path);
    return DR_OK;
}

static void note_changed(struct restore_item *item, const struct toc_record *rec)
{
    item->changed++;
    if (item->changed_names.count < RESTORE_NAMES_MAX)
        text_list_add(&item->changed_names, rec->path);
}

/* Is the entry that is there the one in the piece? h: its head in the piece, data: behind that. */
static bool is_there(struct restore_worker *w, const struct restore_entry *e, const struct head *h,
                     const struct buf *bytes, const uint8_t *data)
{
    const uint8_t *from = (const uint8_t *)bytes->data + e->rec.offset;
    uint64_t len = (uint64_t)(data - from) + (e->rec.type == '0' ? head_padded(h->data) : 0);
    buf_clear(&w->there);
    return e->rec.nhead == 0 && local_entry(w->local, w->place, e, &w->there) &&
           w->there.len == len && memcmp(w->there.data, from, w->there.len) == 0;
}

/* Names of one file that the snapshot knows as two files. */
static bool has_strange_names(const struct restore_entry *e, const struct stat *st)
{
    return e->alone && st->st_nlink > 1;
}

/* The bytes are there, and only what else is known of the file is another. Returns it open, or -1. */
static int find_data(struct restore_worker *w, const struct restore_entry *e, const struct head *h,
                     const uint8_t *data)
{
    struct stat st;
    if (w->local == NULL || e->rec.type != '0' || e->rec.nhead > 0 || h->sparse)
        return -1;
    DR_CLEANUP(dr_close_fd) int fd = place_reopen(w->place, e->to, false, &st);
    if (fd < 0 || (uint64_t)st.st_size != h->size || has_strange_names(e, &st))
        return -1;
    buf_clear(&w->there);
    char *at = buf_reserve(&w->there, (size_t)h->data + 1);
    ssize_t n = sys.pread(fd, at, (size_t)h->data + 1, 0);
    bool same = n >= 0 && (uint64_t)n == h->data && memcmp(at, data, h->data) == 0;
    return same ? dr_take_fd(&fd) : -1;
}

/* fd: of find_data(). Only files have content. */
static bool has_content(const struct restore_worker *w, const struct restore_entry *e, int fd)
{
    bool same = e->rec.type != '0' || fd >= 0;
    for (uint32_t i = 0; i < e->rec.nchunk; i++)
        same = (i > 0 ? same : true) && !w->need[e->first + e->rec.nhead + i];
    return same;
}

static bool is_kept(struct restore_worker *w, const struct restore_entry *e, const struct head *h,
                    const struct buf *bytes, const uint8_t *data)
{
    struct stat st;
    int dir = -1;
    const char *name = NULL;
    return w->local != NULL && place_find(w->place, e->to, &dir, &name) &&
           fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !has_strange_names(e, &st) &&
           is_there(w, e, h, bytes, data);
}

static enum dr_rc do_entry(struct restore_worker *w, const struct restore_entry *e,
                           struct dr_err *err)
{
    const struct buf *bytes = NULL;
    const uint8_t *data = NULL;
    DR_CLEANUP(head_fini) struct head h = { 0 };
    DR_FREE struct place_xattr *xattrs = NULL;
    DR_TRY(head_bytes(w, e, &bytes, err));
    DR_TRY(reader_head_in(&e->rec, bytes, &h, &data, err));
    if (is_kept(w, e, &h, bytes, data)) {
        w->item->kept++;
        w->item->bytes += h.data;
        return DR_OK;
    }
    DR_CLEANUP(dr_close_fd) int fd = find_data(w, e, &h, data);
    if (w->doing == RESTORE_CHECK && w->contents && has_content(w, e, fd))
        return DR_OK;
    note_changed(w->item, &e->rec);
    if (w->doing == RESTORE_CHECK)
        return DR_OK;
    const struct place_entry p = restore_attributes(e, &h, &xattrs);
    if (fd >= 0) {
        w->item->bytes += h.data;
        return place_file_end(w->place, &p, fd, NULL, err);
    }
    switch (e->rec.type) {
    case '0':
        return w->local != NULL && e->rec.nhead > 0 && !e->anew
                   ? mend_file(w, e, &p, &h, err)
                   : write_file(w, e, &p, &h, data, err);
    case '2':
        return place_symlink(w->place, &p, h.link, err);
    case '6':
        return place_special(w->place, &p, S_IFIFO, 0, err);
    default:
        return write_device(w, e, &p, &h, err);
    }
}

static enum dr_rc name_entry(const struct toc_record *rec, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf name = { 0 };
    text_add_printable(&name, rec->path, rec->path_len);
    return dr_context(err, "restoring '%s'", name.data != NULL ? name.data : "");
}

/* -- what is left to do -------------------------------------------------------------------- */

static void keep(struct restore_item *item, struct restore_entry *e)
{
    e->skip = true;
    item->kept++;
    item->bytes += e->rec.type == '0' ? e->rec.size : 0;
}

/* What an earlier attempt wrote whole is left alone. */
static void find_done(struct restore_worker *w)
{
    struct restore_item *item = w->item;
    for (size_t i = 0; i < item->count && w->place != NULL; i++) {
        struct restore_entry *e = &item->entries[i];
        const struct place_entry p = restore_attributes(e, NULL, NULL);
        if (e->rec.type == '0' && place_is_whole(w->place, &p, e->rec.size, item->trusted))
            keep(item, e);
    }
}

/* Entries from .. upto-1 are those of one piece: are all of it there? */
static bool has_piece(struct restore_worker *w, size_t from, size_t upto)
{
    const struct restore_item *item = w->item;
    const struct fetch_piece *p = &item->pieces[item->entries[from].first];
    uint8_t digest[HASH_SIZE];
    struct stat st;
    int dir = -1;
    const char *name = NULL;
    buf_clear(&w->there);
    for (size_t i = from; i < upto; i++) {
        const struct restore_entry *e = &item->entries[i];
        if (w->there.len != e->rec.offset || w->there.len > p->raw ||
            !local_entry(w->local, w->place, e, &w->there))
            return false;
        if (!place_find(w->place, e->to, &dir, &name) ||
            fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || has_strange_names(e, &st))
            return false;
    }
    if (w->there.len != p->raw)
        return false;
    hash_bytes(w->there.data, w->there.len, digest);
    return memcmp(digest, p->id, HASH_SIZE) == 0;
}

bool restore_same_head(struct local *l, struct place *p, const struct restore_entry *e,
                       const struct fetch_piece *head)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    uint8_t digest[HASH_SIZE];
    if (e->rec.nhead != 1 || !local_entry(l, p, e, &bytes) || bytes.len != head->raw)
        return false;
    hash_bytes(bytes.data, bytes.len, digest);
    return memcmp(digest, head->id, HASH_SIZE) == 0;
}

/* A large file. Its head is fetched only when it is another; without the map of a sparse file
 * nobody knows where its chunks are. */
static enum dr_rc find_parts(struct restore_worker *w, struct restore_entry *e, struct dr_err *err)
{
    struct stat st = { 0 };
    DR_CLEANUP(head_fini) struct head fetched = { 0 };
    DR_CLEANUP(dr_close_fd) int fd = place_reopen(w->place, e->to, w->doing == RESTORE_WRITE, &st);
    bool same = fd >= 0 && restore_same_head(w->local, w->place, e, &w->item->pieces[e->first]);
    const struct head *h = local_head(w->local);
    if (!same) {
        const struct buf *bytes = NULL;
        const uint8_t *data = NULL;
        DR_TRY(head_bytes(w, e, &bytes, err));
        DR_TRY(reader_head_in(&e->rec, bytes, &fetched, &data, err));
        h = &fetched;
    }
    e->anew = fd < 0 || (!same && h->sparse) || has_strange_names(e, &st);
    const struct run run = { h, e->anew ? -1 : fd, e->first + e->rec.nhead,
                             e->first + piece_count_of(e), 0 };
    size_t changed = find_chunks(w, &run);
    if (same && !e->anew && changed == 0)
        keep(w->item, e);
    else
        for (uint32_t i = 0; i < e->rec.nhead; i++)
            w->need[e->first + i] = true;
    return DR_OK;
}

static enum dr_rc compare_entries(struct restore_worker *w, struct dr_err *err)
{
    struct restore_item *item = w->item;
    memset(w->need, 0, item->piece_count * sizeof(w->need[0]));
    size_t upto = 0;
    for (size_t i = 0; i < item->count; i = upto) {
        struct restore_entry *e = &item->entries[i];
        upto = i + 1;
        if (e->rec.nhead > 0) {
            if (find_parts(w, e, err) != DR_OK)
                return name_entry(&e->rec, err);
            continue;
        }
        while (upto < item->count && item->entries[upto].first == e->first)
            upto++;
        bool there = has_piece(w, i, upto);
        w->need[e->first] = !there;
        for (size_t k = i; there && k < upto; k++)
            keep(item, &item->entries[k]);
    }
    return DR_OK;
}

/* Pieces that entries still want, when nothing is compared. */
static void find_needed(struct restore_worker *w)
{
    const struct restore_item *item = w->item;
    memset(w->need, item->large != NULL, item->piece_count * sizeof(w->need[0]));
    for (size_t i = 0; i < item->count; i++) {
        const struct restore_entry *e = &item->entries[i];
        for (size_t k = 0; !e->skip && k < piece_count_of(e); k++)
            w->need[e->first + k] = true;
    }
}

static uint64_t announce(struct restore_worker *w)
{
    const struct restore_item *item = w->item;
    size_t planned = 0;
    uint64_t stored = 0;
    for (size_t i = 0; i < item->piece_count; i++) {
        if (!w->need[i])
            continue;
        w->plan[planned++] = &item->pieces[i];
        stored += item->pieces[i].stored;
    }
    fetch_plan(w->fetch, w->plan, planned);
    return stored;
}

/* -- items --------------------------------------------------------------------------------- */

static uint64_t raw_of_needed(const struct restore_worker *w, size_t from, size_t count)
{
    uint64_t raw = 0;
    for (size_t i = from; i < from + count; i++)
        raw += w->need[i] ? w->item->pieces[i].raw : 0;
    return raw;
}

static enum dr_rc do_chunks(struct restore_worker *w, struct dr_err *err)
{
    struct restore_item *item = w->item;
    const struct restore_large *l = item->large;
    const struct run run = { &l->head, l->fd, 0, item->piece_count, item->at };
    if (l->compare)
        item->changed = find_chunks(w, &run);
    else
        find_needed(w);
    uint64_t stored = announce(w);
    if (w->doing == RESTORE_COUNT) {
        item->fetched = stored;
        item->written = raw_of_needed(w, 0, item->piece_count);
    }
    if (w->doing != RESTORE_WRITE || write_chunks(w, &run, err) == DR_OK)
        return DR_OK;
    return name_entry(&l->entry.rec, err);
}

/* What writing would do, as far as it can be told without fetching. */
static void count_entries(struct restore_worker *w, uint64_t stored)
{
    struct restore_item *item = w->item;
    item->fetched = stored;
    for (size_t i = 0; i < item->count; i++) {
        const struct restore_entry *e = &item->entries[i];
        buf_clear(&w->there);
        bool same =
            w->local != NULL && e->rec.nhead == 0 && local_entry(w->local, w->place, e, &w->there);
        if (e->skip)
            continue;
        if (same)
            item->kept++;
        else
            note_changed(item, &e->rec);
        if (e->rec.nhead > 0)
            item->written +=
                raw_of_needed(w, e->first + e->rec.nhead, piece_count_of(e) - e->rec.nhead);
        else if (!same && e->rec.type == '0')
            item->written += e->rec.size;
    }
}

static enum dr_rc do_entries(struct restore_worker *w, struct dr_err *err)
{
    const struct restore_item *item = w->item;
    if (w->local != NULL) {
        DR_TRY(compare_entries(w, err));
    } else {
        find_done(w);
        find_needed(w);
    }
    uint64_t stored = announce(w);
    if (w->doing == RESTORE_COUNT) {
        count_entries(w, stored);
        return DR_OK;
    }
    for (size_t i = 0; i < item->count; i++) {
        const struct restore_entry *e = &item->entries[i];
        if (!e->skip && do_entry(w, e, err) != DR_OK)
            return name_entry(&e->rec, err);
    }
    return DR_OK;
}

static void make_room(struct restore_worker *w)
{
    if (w->plan_cap >= w->item->piece_count)
        return;
    w->plan_cap = w->item->piece_count;
    w->plan = dr_realloc(w->plan, w->plan_cap, sizeof(const void *));
    w->need = dr_realloc(w->need, w->plan_cap, sizeof(w->need[0]));
}

void restore_item_work(struct restore_worker *w, struct restore_item *item)
{
    uint64_t before = fetch_bytes(w->fetch);
    w->item = item;
    make_room(w);
    item->rc = item->large != NULL ? do_chunks(w, &item->err) : do_entries(w, &item->err);
    fetch_plan(w->fetch, NULL, 0);
    if (w->place != NULL)
        place_take_lost(w->place, &item->lost);
    if (w->doing != RESTORE_COUNT)
        item->fetched = fetch_bytes(w->fetch) - before;
    w->item = NULL;
}
