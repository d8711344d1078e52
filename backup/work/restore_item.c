/*
 * The work on an item. First it is found out what is left to do (an earlier attempt may have
 * written a part), then the pieces that are still needed are announced, so that they are read with
 * few calls, and then the entries are written in the order of their pieces.
 */
#include "backup/work/restore_item.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "dr/base/mem.h"
#include "dr/base/sys.h"

struct restore_worker {
    struct fetch *fetch;
    struct place *place;
    struct buf head; /* of a large file */
    const struct fetch_piece **plan;
    size_t plan_cap;
    struct work_hooks hooks; /* of the fetch: its warnings go into the item */
    struct restore_item *item;
};

void restore_item_clear(struct restore_item *item)
{
    text_list_fini(&item->not_made);
    text_list_fini(&item->warnings);
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
    w->place = place_share(options->place);
    return w;
}

void restore_worker_free(struct restore_worker *w)
{
    if (w == NULL)
        return;
    fetch_free(w->fetch);
    place_free(w->place);
    buf_fini(&w->head);
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

static enum dr_rc write_at(int fd, const uint8_t *data, size_t len, uint64_t offset,
                           struct dr_err *err)
{
    while (len > 0) {
        ssize_t n = sys.pwrite(fd, data, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            dr_fail_sys(err, errno, "cannot write");
            return errno == ENOSPC || errno == EDQUOT
                       ? dr_hint(err,
                                 "Free space there and run the same command again: it goes on.")
                       : err->rc;
        }
        data += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return DR_OK;
}

struct spot { /* where the data of a file go on */
    const struct head *head;
    uint64_t at;   /* of a file without extents */
    size_t extent; /* of a sparse file ... */
    uint64_t done; /* ... bytes of it that are behind us */
};

static struct spot spot_of(const struct head *h, uint64_t data)
{
    struct spot s = { .head = h, .at = data };
    while (h->sparse && s.extent < h->extent_count && data >= h->extents[s.extent].len) {
        data -= h->extents[s.extent].len;
        s.extent++;
    }
    s.done = data;
    return s;
}

/* The next run of at most len bytes: where it lies and how long it is. */
static enum dr_rc spot_next(struct spot *s, size_t len, uint64_t *ret_at, size_t *ret_len,
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

static enum dr_rc write_data(struct restore_item *item, int fd, struct spot *s, const void *bytes,
                             size_t len, struct dr_err *err)
{
    const uint8_t *data = bytes;
    item->written += len;
    item->bytes += len;
    while (len > 0) {
        uint64_t at = 0;
        size_t part = 0;
        DR_TRY(spot_next(s, len, &at, &part, err));
        DR_TRY(write_at(fd, data, part, at, err));
        data += part;
        len -= part;
    }
    return DR_OK;
}

/* Chunks from piece 'from' on, whose data begin at 'at': what is behind the data is padding. */
static enum dr_rc write_chunks(struct restore_worker *w, const struct restore_large *l, size_t from,
                               size_t upto, uint64_t at, struct dr_err *err)
{
    struct spot s = spot_of(&l->head, at);
    for (size_t i = from; i < upto; i++) {
        const struct buf *bytes = NULL;
        DR_TRY(fetch_get(w->fetch, &w->item->pieces[i], &bytes, err));
        uint64_t left = l->head.data - at;
        size_t len = left < bytes->len ? (size_t)left : bytes->len;
        DR_TRY(write_data(w->item, l->fd, &s, bytes->data, len, err));
        at += len;
    }
    return DR_OK;
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
    struct restore_large file = { .head = *h, .fd = -1 };
    DR_TRY(place_file_begin(w->place, p, &file.fd, err));
    enum dr_rc rc = DR_OK;
    if (e->rec.nhead == 0) {
        struct spot s = spot_of(h, 0);
        rc = write_data(w->item, file.fd, &s, data, (size_t)h->data, err);
    } else {
        rc = write_chunks(w, &file, e->first + e->rec.nhead, e->first + piece_count_of(e), 0, err);
    }
    if (rc == DR_OK)
        rc = place_file_end(w->place, p, file.fd, h->sparse ? &h->size : NULL, err);
    if (rc == DR_OK && sys.close(dr_take_fd(&file.fd)) < 0)
        rc = dr_fail_sys(err, errno, "cannot close");
    dr_close_fd(&file.fd);
    return rc;
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

static enum dr_rc write_entry(struct restore_worker *w, const struct restore_entry *e,
                              struct dr_err *err)
{
    const struct buf *bytes = NULL;
    const uint8_t *data = NULL;
    DR_CLEANUP(head_fini) struct head h = { 0 };
    DR_FREE struct place_xattr *xattrs = NULL;
    DR_TRY(head_bytes(w, e, &bytes, err));
    DR_TRY(reader_head_in(&e->rec, bytes, &h, &data, err));
    const struct place_entry p = restore_attributes(e, &h, &xattrs);
    switch (e->rec.type) {
    case '0':
        return write_file(w, e, &p, &h, data, err);
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

/* -- items --------------------------------------------------------------------------------- */

/* What an earlier attempt wrote whole is left alone. */
static void find_done(struct restore_worker *w)
{
    struct restore_item *item = w->item;
    for (size_t i = 0; i < item->count; i++) {
        struct restore_entry *e = &item->entries[i];
        const struct place_entry p = restore_attributes(e, NULL, NULL);
        e->skip = e->rec.type == '0' && place_is_whole(w->place, &p, e->rec.size, item->trusted);
        item->kept += e->skip;
        item->bytes += e->skip ? e->rec.size : 0;
    }
}

static void announce(struct restore_worker *w)
{
    const struct restore_item *item = w->item;
    if (w->plan_cap < item->piece_count) {
        w->plan_cap = item->piece_count;
        w->plan = dr_realloc(w->plan, w->plan_cap, sizeof(w->plan[0]));
    }
    size_t planned = 0;
    if (item->large != NULL) {
        for (size_t i = 0; i < item->piece_count; i++)
            w->plan[planned++] = &item->pieces[i];
    }
    size_t next = 0; /* entries of one bundle name the same piece */
    for (size_t i = 0; i < item->count; i++) {
        const struct restore_entry *e = &item->entries[i];
        for (size_t k = 0; !e->skip && k < piece_count_of(e); k++) {
            if (e->first + k >= next)
                w->plan[planned++] = &item->pieces[e->first + k];
        }
        if (!e->skip)
            next = e->first + piece_count_of(e);
    }
    fetch_plan(w->fetch, w->plan, planned);
}

static enum dr_rc write_item(struct restore_worker *w, struct dr_err *err)
{
    const struct restore_item *item = w->item;
    if (item->large == NULL)
        find_done(w);
    announce(w);
    if (item->large != NULL) {
        enum dr_rc rc = write_chunks(w, item->large, 0, item->piece_count, item->at, err);
        return rc == DR_OK ? DR_OK : name_entry(&item->large->entry.rec, err);
    }
    for (size_t i = 0; i < item->count; i++) {
        const struct restore_entry *e = &item->entries[i];
        if (!e->skip && write_entry(w, e, err) != DR_OK)
            return name_entry(&e->rec, err);
    }
    return DR_OK;
}

void restore_item_work(struct restore_worker *w, struct restore_item *item)
{
    uint64_t before = fetch_bytes(w->fetch);
    w->item = item;
    item->rc = write_item(w, &item->err);
    fetch_plan(w->fetch, NULL, 0);
    place_take_lost(w->place, &item->lost);
    item->fetched = fetch_bytes(w->fetch) - before;
    w->item = NULL;
}
