/*
 * Large files, and standard input. The planning thread opens, reads and cuts; workers digest and
 * compress the chunks. A window is read once and shared by the chunks in it; what is left at its end moves
 * to the next one. Cutting needs no more than has been read, unless the cut would be the end of it.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "backup/format/cut.h"
#include "backup/work/backup_build.h"
#include "backup/work/backup_data.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

struct large { /* one file on its way */
    struct stream *s;
    struct draft *segment;
    uint32_t place, record;
    size_t (*fill)(struct large *l, uint8_t *to, size_t room); /* next bytes; fewer: the end */
    struct data data;
    struct window *window;
    size_t from, have; /* in the window: not yet cut */
    uint64_t total;    /* cut so far */
    int error;         /* errno of standard input */
};

/* -- items --------------------------------------------------------------------------------- */

static struct item *bytes_item(struct large *l, enum frame_kind kind, uint32_t place)
{
    struct item *it = ring_item(l->s);
    it->work = worker_pack;
    it->done = ring_bytes_done;
    it->kind = kind;
    it->place = place;
    it->segment = l->segment;
    it->record = l->record;
    return it;
}

/* Bytes that the item keeps itself. */
static enum dr_rc give_copy(struct large *l, enum frame_kind kind, uint32_t place,
                            const struct buf *bytes, struct dr_err *err)
{
    struct item *it = bytes_item(l, kind, place);
    buf_add(&it->strings, bytes->data, bytes->len);
    it->data = it->strings.data;
    it->data_len = it->strings.len;
    return ring_give(l->s, it, err);
}

static enum dr_rc give_heads(struct large *l, uint32_t place, const struct head *h,
                             struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf head = { 0 };
    struct prev_extra *extra = &l->segment->records[l->record].extra;
    head_write(&head, h);
    extra->head = XXH3_64bits(head.data, head.len);
    extra->flags |= EXTRA_HEAD;
    for (size_t at = 0; at < head.len; at += HEAD_PIECE_SIZE) {
        size_t left = head.len - at;
        struct buf part = { .data = head.data + at,
                            .len = left < HEAD_PIECE_SIZE ? left : HEAD_PIECE_SIZE };
        DR_TRY(give_copy(l, FRAME_HEAD, place, &part, err));
        l->s->range_rows++;
        l->s->segment_rows++;
    }
    return DR_OK;
}

/* -- windows ------------------------------------------------------------------------------- */

static enum dr_rc free_window(struct stream *s, struct window **ret, struct dr_err *err)
{
    for (;;) {
        for (size_t i = 0; i < WINDOWS; i++) {
            if (s->windows[i].users > 0)
                continue;
            if (s->windows[i].data == NULL)
                s->windows[i].data = dr_alloc(WINDOW_SIZE, 1);
            *ret = &s->windows[i];
            return DR_OK;
        }
        DR_TRY(ring_finish_one(s, err)); /* users are items in the ring */
    }
}

/* The rest of the window moves to the start of a free one, and as much as there is room for behind. */
static enum dr_rc refill(struct large *l, bool *ret_end, struct dr_err *err)
{
    struct window *next = NULL, *old = l->window;
    DR_TRY(free_window(l->s, &next, err));
    if (l->have > 0)
        memcpy(next->data, old->data + l->from, l->have);
    next->users = 1; /* the reader itself */
    if (old != NULL)
        old->users--;
    l->window = next;
    l->from = 0;
    size_t room = WINDOW_SIZE - BLOCK_SIZE - l->have; /* space for the padding of the last chunk */
    size_t n = l->fill(l, next->data + l->have, room);
    l->have += n;
    *ret_end = n < room;
    return DR_OK;
}

static void release(struct large *l)
{
    if (l->window != NULL)
        l->window->users--;
    l->window = NULL;
}

/* -- chunks -------------------------------------------------------------------------------- */

static enum dr_rc give_chunk(struct large *l, size_t len, bool last, struct dr_err *err)
{
    uint8_t *data = l->window->data + l->from;
    struct item *it = bytes_item(l, FRAME_CHUNK, l->place);
    l->total += len;
    it->data = data;
    it->data_len = len;
    it->bytes = len;
    if (last) { /* nothing lies behind it in the window */
        size_t pad = (size_t)(head_padded(l->total) - l->total);
        memset(data + len, 0, pad);
        it->data_len += pad;
    }
    it->window = l->window;
    l->window->users++;
    l->from += len;
    l->have -= len;
    l->s->range_rows++;
    l->s->segment_rows++;
    return ring_give(l->s, it, err);
}

/* All chunks to the end of the data. */
static enum dr_rc give_chunks(struct large *l, bool end, struct dr_err *err)
{
    while (!end || l->have > 0) {
        size_t len = l->have > 0 ? cut_chunk(l->window->data + l->from, l->have) : 0;
        bool sure = len < l->have || end; /* more bytes could not move this cut */
        if (!sure)
            DR_TRY(refill(l, &end, err));
        else
            DR_TRY(give_chunk(l, len, end && len == l->have, err));
    }
    return DR_OK;
}

/* -- files --------------------------------------------------------------------------------- */

static size_t fill_from_file(struct large *l, uint8_t *to, size_t room)
{
    uint64_t left = l->data.head->data - l->data.at;
    size_t n = left < room ? (size_t)left : room;
    data_read(&l->data, to, n);
    return n;
}

static struct toc_record record_of(const struct head *h, const struct toc_record *old)
{
    struct toc_record r = { .path_len = old->path_len,
                            .type = '0',
                            .mode = h->mode,
                            .uid = h->uid,
                            .gid = h->gid,
                            .mtime_s = h->mtime_s,
                            .mtime_ns = h->mtime_ns,
                            .size = h->size };
    return r;
}

/* After the last byte: was it torn? */
static enum dr_rc look_again(struct large *l, const char *path, const struct scan_stat *before,
                             struct dr_err *err)
{
    struct stat st;
    struct scan_stat now;
    bool same = fstat(l->data.fd, &st) == 0;
    if (same) {
        scan_stat_set(&now, &st);
        same = worker_same_stat(&now, before);
    }
    if (l->data.missing > 0) {
        DR_FREE char *what = data_fault(&l->data);
        return ring_warn(l->s, path, what, err);
    }
    if (!same)
        return ring_warn(l->s, path, "changed while it was read", err);
    worker_set_extra(l->s->reader, &now, &l->segment->records[l->record].extra);
    return DR_OK;
}

static enum dr_rc add_large(struct large *l, const struct stream_entry *e, struct dr_err *err)
{
    struct stream *s = l->s;
    const struct head *h = l->data.head;
    struct draft_record *r = &l->segment->records[l->record];
    r->record = record_of(h, &r->record);
    DR_TRY(give_heads(l, l->place, h, err));
    enum dr_rc rc = give_chunks(l, h->data == 0, err);
    release(l);
    DR_TRY(rc);
    s->totals.entries++;
    s->totals.files++;
    s->totals.bytes += h->size;
    return look_again(l, e->entry->path, &e->entry->st, err);
}

/* Gone, or another file. */
static enum dr_rc drop_large(struct stream *s, const struct stream_entry *e, uint32_t record,
                             const char *why, struct dr_err *err)
{
    s->segment->records[record].dropped = true;
    DR_TRY(ring_warn(s, e->entry->path, why, err));
    return ring_note_dropped(s, e->entry->path, &e->entry->st, e->stored, err);
}

/* What reading found is small: what to read of it. */
static struct item_map *small_map(const struct head *h)
{
    struct item_map *map = dr_alloc(1, sizeof *map);
    map->size = h->size;
    if (h->sparse) {
        map->count = h->extent_count;
        map->extents = dr_alloc(h->extent_count, sizeof *h->extents);
        memcpy(map->extents, h->extents, h->extent_count * sizeof *h->extents);
    }
    return map;
}

enum dr_rc stream_large(struct stream *s, uint32_t place, const struct stream_entry *e,
                        uint32_t record, struct item_map **ret_small, struct dr_err *err)
{
    const char *path = e->entry->path;
    struct stat st;
    struct scan_stat now;
    *ret_small = NULL;
    DR_CLEANUP(dr_close_fd) int fd = scan_opener_file(s->reader->opener, path, false);
    if (fd < 0 || fstat(fd, &st) != 0)
        return drop_large(s, e, record, worker_open_fault(), err);
    scan_stat_set(&now, &st);
    if (!worker_same_file(&now, &e->entry->st))
        return drop_large(s, e, record, worker_replaced, err);
    struct backup_entry *entry = &s->reader->entry;
    struct backup_place at = { .dir = -1, .name = "", .path = path, .fd = fd };
    bool read = entry_read(entry, &at, &now);
    DR_ASSERT(read); /* only links can fail */
    const struct head *h = &entry->head;
    if (h->data < LARGE_SIZE && h->extent_count <= LARGE_EXTENTS) {
        *ret_small = small_map(h);
        return DR_OK;
    }
    if (entry->lost)
        DR_TRY(ring_warn(s, path, entry->why, err));
    struct large l = { .s = s,
                       .segment = s->segment,
                       .place = place,
                       .record = record,
                       .fill = fill_from_file,
                       .data = { .fd = fd, .head = h } };
    return add_large(&l, e, err);
}

/* -- standard input ------------------------------------------------------------------------ */

static size_t fill_from_stdin(struct large *l, uint8_t *to, size_t room)
{
    size_t done = 0;
    while (done < room) {
        ssize_t n = sys.read(STDIN_FILENO, to + done, room - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            l->error = errno;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

static struct head made_head(char type, const char *path, int64_t now_ns)
{
    return (struct head){ .type = type,
                          .path = path,
                          .mode = type == '5' ? 0755 : 0644,
                          .uid = geteuid(),
                          .gid = getegid(),
                          .mtime_s = now_ns / 1000000000,
                          .mtime_ns = (uint32_t)(now_ns % 1000000000) };
}

static uint32_t made_record(struct draft *g, const struct head *h)
{
    struct toc_record r = { .path = h->path,
                            .path_len = strlen(h->path),
                            .type = h->type,
                            .mode = h->mode,
                            .uid = h->uid,
                            .gid = h->gid,
                            .mtime_s = h->mtime_s,
                            .mtime_ns = h->mtime_ns };
    return draft_add_record(g, &r);
}

/* Head and data in one bundle. */
static enum dr_rc give_small(struct large *l, struct head *h, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf raw = { 0 };
    uint8_t digest[DIGEST_SIZE];
    h->size = h->data = l->have;
    head_write(&raw, h);
    buf_add(&raw, l->window->data + l->from, l->have);
    head_pad(&raw);
    hash_bytes(l->window->data + l->from, l->have, digest);
    struct item *it = bytes_item(l, FRAME_BUNDLE, draft_place(l->s->range, DRAFT_BUNDLE));
    buf_add(&it->strings, raw.data, raw.len);
    buf_add(&it->digests, digest, DIGEST_SIZE);
    it->data = it->strings.data;
    it->data_len = it->strings.len;
    it->bytes = l->have;
    return ring_give(l->s, it, err);
}

/* Data first: only then the size, and with it the head, is known. The places bring them in order. */
static enum dr_rc give_unknown(struct large *l, struct head *h, struct dr_err *err)
{
    bool end = false;
    DR_TRY(refill(l, &end, err));
    if (end && l->have < LARGE_SIZE) {
        DR_TRY(give_small(l, h, err));
    } else {
        DR_TRY(give_chunks(l, end, err));
        h->size = h->data = l->total;
        DR_TRY(give_heads(l, draft_place(l->s->range, DRAFT_BUNDLE), h, err));
    }
    if (l->error != 0)
        return dr_fail_sys(err, l->error, "cannot read standard input");
    l->segment->records[l->record].record.size = h->size;
    return DR_OK;
}

enum dr_rc stream_add_stdin(struct stream *s, const char *name, struct dr_err *err)
{
    struct draft *g = stream_segment(s);
    int64_t now = clock_wall_ns();
    struct head root = made_head('5', "", now), file = made_head('0', name, now);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    s->range = draft_add_range(g);
    s->range_open = true;
    struct large l = { .s = s,
                       .segment = g,
                       .place = draft_place(s->range, DRAFT_LARGE),
                       .record = made_record(g, &root),
                       .fill = fill_from_stdin };
    head_write(&bytes, &root);
    DR_TRY(give_copy(&l, FRAME_DIRECTORIES, DRAFT_DIRECTORIES, &bytes, err));
    l.record = made_record(g, &file);
    enum dr_rc rc = give_unknown(&l, &file, err);
    release(&l);
    DR_TRY(rc);
    s->totals.entries += 2;
    s->totals.files++;
    s->totals.bytes += file.size;
    return DR_OK;
}
