/*
 * The middle of the writer. Frames of large files go into the pack while the bundle of their range
 * is still growing; the order of the tar stream is made by the piece table and the recipe, not by
 * the order in the packs.
 */
#include "backup/work/backup_stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backup/format/codec.h"
#include "backup/format/cut.h"
#include "backup/format/pack.h"
#include "backup/format/toc.h"
#include "backup/work/backup_lists.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum {
    RANGE_ENTRIES = 4096,       /* a range ends here at the latest */
    RANGE_PATHS = 4 << 20,      /* likewise: bytes of its paths */
    RANGE_ROWS = 4096,          /* likewise: pieces of its large files */
    SEGMENT_ENTRIES = 2048,     /* a segment is closed at the first range end from here on */
    SEGMENT_BYTES = 8 << 20,    /* likewise */
    BUNDLE_SIZE = 4 << 20,      /* likewise: bytes with heads, which the cut does not count */
    DIRECTORIES_SIZE = 1 << 20, /* a piece of directories is cut here */
    WINDOW_SIZE = 16 << 20,     /* of a large file, while it is cut */
};

enum where { IN_BUNDLE, IN_LARGE, IN_LINKS, IN_DIRECTORIES };

struct waiting { /* an entry of the range: its record without the piece */
    struct toc_record record;
    enum where where;
    size_t path, link; /* offsets in strings */
};

struct stream {
    struct stream_options o;
    struct packs *packs;
    struct codec *codec;
    struct buf frame;
    struct lists *lists;
    struct hash *hash;
    /* the range */
    struct buf bundle, digests, links, strings, head;
    uint64_t filled; /* what the bundle has by metadata */
    struct waiting *entries;
    size_t entry_count, entry_cap;
    struct packs_place *large; /* rows of its large files, and their kinds */
    enum frame_kind *large_kinds;
    size_t large_count, large_cap;
    /* the segment */
    struct toc_writer *toc;
    struct buf directories, first;
    uint32_t directory_row; /* of the open piece of directories */
    /* closed segments that wait for their pack */
    struct toc_writer **closed;
    struct buf *closed_first;
    size_t closed_count, closed_cap, closed_bytes;
    uint8_t *window;
};

static void before_seal(void *arg);

struct stream *stream_new(const struct stream_options *o)
{
    struct stream *s = dr_alloc(1, sizeof *s);
    s->o = *o;
    s->packs = o->packs;
    s->codec = codec_new(CODEC_LEVEL);
    packs_before_seal(s->packs, before_seal, s);
    s->lists = lists_new(s->packs);
    s->hash = hash_new();
    s->toc = toc_writer_new();
    return s;
}

void stream_free(struct stream *s)
{
    if (s == NULL)
        return;
    lists_free(s->lists);
    codec_free(s->codec);
    buf_fini(&s->frame);
    hash_free(s->hash);
    toc_writer_free(s->toc);
    for (size_t i = 0; i < s->closed_count; i++) {
        toc_writer_free(s->closed[i]);
        buf_fini(&s->closed_first[i]);
    }
    free(s->closed);
    free(s->closed_first);
    free(s->entries);
    free(s->large);
    free(s->large_kinds);
    free(s->window);
    buf_fini(&s->bundle);
    buf_fini(&s->digests);
    buf_fini(&s->links);
    buf_fini(&s->strings);
    buf_fini(&s->head);
    buf_fini(&s->directories);
    buf_fini(&s->first);
    free(s);
}

/* -- pieces -------------------------------------------------------------------------------- */

static enum dr_rc add_piece(struct stream *s, enum frame_kind kind, const struct buf *raw,
                            struct packs_place *ret, struct dr_err *err)
{
    struct packs_frame f = { .kind = kind, .raw_len = raw->len, .reserve = s->closed_bytes / 2 };
    hash_bytes(raw->data, raw->len, f.id);
    if (!packs_know(s->packs, f.id, kind == FRAME_BUNDLE && s->digests.len > 0)) {
        buf_clear(&s->frame);
        codec_pack(s->codec, raw->data, raw->len, &s->frame);
        f.frame = s->frame.data;
        f.frame_len = s->frame.len;
    }
    if (kind == FRAME_BUNDLE) {
        f.digests = s->digests.data;
        f.digest_count = s->digests.len / DIGEST_SIZE;
    }
    return packs_add(s->packs, &f, ret, err);
}

static struct toc_piece row_of(enum frame_kind kind, const struct packs_place *place)
{
    struct toc_piece row = { .kind = kind,
                             .pack = place->pack,
                             .offset = place->offset,
                             .stored = place->stored,
                             .raw = place->raw };
    memcpy(row.id, place->id, DIGEST_SIZE);
    return row;
}

static uint32_t add_row(struct stream *s, enum frame_kind kind, const struct packs_place *place)
{
    struct toc_piece row = row_of(kind, place);
    lists_add_run(s->lists, place, kind == FRAME_DIRECTORIES);
    return toc_add_piece(s->toc, &row);
}

static void add_large_row(struct stream *s, enum frame_kind kind, const struct packs_place *place)
{
    if (s->large_count == s->large_cap) {
        s->large_cap = s->large_cap == 0 ? 64 : s->large_cap * 2;
        s->large = dr_realloc(s->large, s->large_cap, sizeof *s->large);
        s->large_kinds = dr_realloc(s->large_kinds, s->large_cap, sizeof *s->large_kinds);
    }
    s->large[s->large_count] = *place;
    s->large_kinds[s->large_count++] = kind;
}

/* -- segments ------------------------------------------------------------------------------ */

static const uint8_t *name_of_pack(void *arg, uint32_t pack)
{
    return packs_name(((struct stream *)arg)->packs, pack);
}

/* All closed segments go into the pack that is about to be sealed. */
static void before_seal(void *arg)
{
    struct stream *s = arg;
    DR_CLEANUP(buf_fini) struct buf raw = { 0 };
    DR_CLEANUP(buf_fini) struct buf frame = { 0 }; /* s->frame waits for this very pack's end */
    for (size_t i = 0; i < s->closed_count; i++) {
        struct packs_place place;
        buf_clear(&raw);
        toc_encode(s->closed[i], name_of_pack, s, &raw);
        DR_ASSERT(raw.len <= SEGMENT_RAW_MAX);
        buf_clear(&frame);
        codec_pack(s->codec, raw.data, raw.len, &frame);
        struct packs_frame f = {
            .kind = FRAME_SEGMENT, .raw_len = raw.len, .frame = frame.data, .frame_len = frame.len
        };
        hash_bytes(raw.data, raw.len, f.id);
        packs_add_here(s->packs, &f, &place);
        lists_add_segment(s->lists, &place, toc_writer_records(s->closed[i]),
                          s->closed_first[i].data);
        toc_writer_free(s->closed[i]);
        buf_fini(&s->closed_first[i]);
    }
    s->closed_count = s->closed_bytes = 0;
}

/* The piece of directories at hand is stored, and its reserved row filled in. */
static enum dr_rc end_directories(struct stream *s, struct dr_err *err)
{
    struct packs_place place;
    if (s->directories.len == 0)
        return DR_OK;
    DR_TRY(add_piece(s, FRAME_DIRECTORIES, &s->directories, &place, err));
    struct toc_piece row = row_of(FRAME_DIRECTORIES, &place);
    toc_set_piece(s->toc, s->directory_row, &row);
    lists_add_run(s->lists, &place, true);
    buf_clear(&s->directories);
    return DR_OK;
}

static enum dr_rc end_segment(struct stream *s, struct dr_err *err)
{
    if (toc_writer_records(s->toc) == 0)
        return DR_OK;
    DR_TRY(end_directories(s, err));
    if (s->closed_count == s->closed_cap) {
        s->closed_cap = s->closed_cap == 0 ? 16 : s->closed_cap * 2;
        s->closed = dr_realloc(s->closed, s->closed_cap,
                               sizeof(struct toc_writer *)); /* NOLINT: pointers */
        s->closed_first = dr_realloc(s->closed_first, s->closed_cap, sizeof *s->closed_first);
    }
    s->closed_bytes += toc_writer_bytes(s->toc);
    s->closed[s->closed_count] = s->toc;
    s->closed_first[s->closed_count++] = s->first;
    s->toc = toc_writer_new();
    s->first = (struct buf){ 0 };
    return DR_OK;
}

/* -- ranges -------------------------------------------------------------------------------- */

static void add_records(struct stream *s, const uint32_t base[4])
{
    for (size_t i = 0; i < s->entry_count; i++) {
        struct waiting *e = &s->entries[i];
        e->record.path = s->strings.data + e->path;
        e->record.link =
            e->record.type == '1' || e->record.type == '2' ? s->strings.data + e->link : NULL;
        e->record.piece += base[e->where];
        if (toc_writer_records(s->toc) == 0) {
            buf_clear(&s->first);
            buf_adds(&s->first, e->record.path);
        }
        toc_add_record(s->toc, &e->record);
    }
}

/* Its pieces in stream order: bundle, large files, links; then its records. */
static enum dr_rc end_range(struct stream *s, struct dr_err *err)
{
    struct packs_place place;
    uint32_t base[4] = { 0 };
    bool bundle = s->bundle.len > 0;
    if (s->entry_count == 0)
        return DR_OK;
    if (bundle) {
        DR_TRY(add_piece(s, FRAME_BUNDLE, &s->bundle, &place, err));
        base[IN_BUNDLE] = add_row(s, FRAME_BUNDLE, &place);
    }
    for (size_t i = 0; i < s->large_count; i++) {
        uint32_t row = add_row(s, s->large_kinds[i], &s->large[i]);
        if (i == 0)
            base[IN_LARGE] = row;
    }
    if (s->links.len > 0) {
        DR_TRY(add_piece(s, FRAME_LINKS, &s->links, &place, err));
        base[IN_LINKS] = add_row(s, FRAME_LINKS, &place);
    }
    toc_add_range(s->toc, bundle ? base[IN_BUNDLE] + 1 : 0);
    add_records(s, base);
    buf_clear(&s->bundle);
    buf_clear(&s->digests);
    buf_clear(&s->links);
    buf_clear(&s->strings);
    s->filled = 0;
    s->entry_count = s->large_count = 0;
    if (toc_writer_records(s->toc) >= SEGMENT_ENTRIES || toc_writer_bytes(s->toc) >= SEGMENT_BYTES)
        return end_segment(s, err);
    return DR_OK;
}

static size_t keep_string(struct stream *s, const char *text)
{
    size_t at = s->strings.len;
    buf_add(&s->strings, text, strlen(text) + 1);
    return at;
}

static struct waiting *add_waiting(struct stream *s, const struct head *h, enum where where)
{
    if (s->entry_count == s->entry_cap) {
        s->entry_cap = s->entry_cap == 0 ? 256 : s->entry_cap * 2;
        s->entries = dr_realloc(s->entries, s->entry_cap, sizeof *s->entries);
    }
    struct waiting *e = &s->entries[s->entry_count++];
    *e = (struct waiting){ .where = where,
                           .record = { .path_len = strlen(h->path),
                                       .type = h->type,
                                       .mode = h->mode,
                                       .uid = h->uid,
                                       .gid = h->gid,
                                       .mtime_s = h->mtime_s,
                                       .mtime_ns = h->mtime_ns,
                                       .major = h->major,
                                       .minor = h->minor,
                                       .size = h->type == '0' ? h->size : 0 } };
    e->path = keep_string(s, h->path);
    if (h->link != NULL)
        e->link = keep_string(s, h->link);
    return e;
}

/* -- data ---------------------------------------------------------------------------------- */

struct reader { /* the data of one file, extents one behind another */
    const struct backup_entry *e;
    uint64_t at;      /* of the data */
    size_t extent;    /* the one at hand */
    uint64_t skipped; /* data before it */
    struct stream_fed *fed;
};

/* So many bytes from that offset; what cannot be read becomes zeros. */
static void read_at(struct reader *r, uint8_t *out, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = sys.pread(r->e->fd, out + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r->fed->error = n < 0 ? errno : r->fed->error;
            r->fed->missing += len - done;
            memset(out + done, 0, len - done);
            return;
        }
        done += (size_t)n;
    }
}

static void read_data(struct reader *r, uint8_t *out, size_t len)
{
    const struct head *h = &r->e->head;
    if (!h->sparse) {
        read_at(r, out, len, r->at);
        r->at += len;
        return;
    }
    while (len > 0) {
        const struct head_extent *x = &h->extents[r->extent];
        uint64_t in = r->at - r->skipped, left = x->len - in;
        size_t n = left < len ? (size_t)left : len;
        read_at(r, out, n, x->offset + in);
        out += n;
        len -= n;
        r->at += n;
        if (n == left) {
            r->skipped += x->len;
            r->extent++;
        }
    }
}

static enum dr_rc count_bytes(struct stream *s, uint64_t bytes, struct dr_err *err)
{
    if (s->o.progress == NULL || s->o.progress(s->o.arg, bytes))
        return DR_OK;
    return dr_fail(err, DR_E_CANCELLED, "the backup was cancelled");
}

static enum dr_rc feed_small(struct stream *s, const struct backup_entry *e, struct stream_fed *fed,
                             struct dr_err *err)
{
    const struct head *h = &e->head;
    uint64_t offset = s->bundle.len;
    head_write(&s->bundle, h);
    if (h->type == '0') {
        struct reader r = { .e = e, .fed = fed };
        uint8_t digest[DIGEST_SIZE];
        uint8_t *data = (uint8_t *)buf_reserve(&s->bundle, (size_t)h->data);
        read_data(&r, data, (size_t)h->data);
        s->bundle.len += (size_t)h->data;
        hash_start(s->hash);
        hash_add(s->hash, data, (size_t)h->data);
        hash_end(s->hash, digest);
        buf_add(&s->digests, digest, DIGEST_SIZE);
        head_pad(&s->bundle);
    }
    add_waiting(s, h, IN_BUNDLE)->record.offset = offset;
    return count_bytes(s, h->data, err);
}

static enum dr_rc add_heads(struct stream *s, const struct head *h, uint32_t *ret_count,
                            struct dr_err *err)
{
    buf_clear(&s->head);
    head_write(&s->head, h);
    for (size_t at = 0; at < s->head.len; at += HEAD_PIECE_SIZE) {
        size_t left = s->head.len - at;
        struct buf part = { .data = s->head.data + at,
                            .len = left < HEAD_PIECE_SIZE ? left : HEAD_PIECE_SIZE };
        struct packs_place place;
        DR_TRY(add_piece(s, FRAME_HEAD, &part, &place, err));
        add_large_row(s, FRAME_HEAD, &place);
        ++*ret_count;
    }
    return DR_OK;
}

/* Cut the data; the window is moved down only when its end is reached. */
static enum dr_rc add_chunks(struct stream *s, struct reader *r, struct toc_record *record,
                             struct dr_err *err)
{
    uint64_t left = r->e->head.data; /* not yet cut */
    size_t from = 0, have = 0;
    if (s->window == NULL)
        s->window = dr_alloc(WINDOW_SIZE, 1);
    hash_start(s->hash);
    while (left > 0) {
        if (have < CUT_CHUNK_MAX && have < left) {
            memmove(s->window, s->window + from, have);
            from = 0;
            uint64_t more = left - have;
            size_t room = WINDOW_SIZE - BLOCK_SIZE - have;
            size_t n = more < room ? (size_t)more : room;
            read_data(r, s->window + have, n);
            have += n;
        }
        size_t len = cut_chunk(s->window + from, have);
        hash_add(s->hash, s->window + from, len);
        size_t padded = len;
        if (len == left) { /* the last: nothing lies behind it in the window */
            padded = head_padded(r->e->head.data) - (r->e->head.data - len);
            memset(s->window + from + len, 0, padded - len);
        }
        struct buf raw = { .data = (char *)s->window + from, .len = padded };
        struct packs_place place;
        DR_TRY(add_piece(s, FRAME_CHUNK, &raw, &place, err));
        add_large_row(s, FRAME_CHUNK, &place);
        record->nchunk++;
        from += len;
        have -= len;
        left -= len;
        DR_TRY(count_bytes(s, len, err));
    }
    hash_end(s->hash, record->digest);
    return DR_OK;
}

static enum dr_rc feed_large(struct stream *s, const struct backup_entry *e, struct stream_fed *fed,
                             struct dr_err *err)
{
    struct reader r = { .e = e, .fed = fed };
    struct toc_record made = { .piece = (uint32_t)s->large_count };
    DR_TRY(add_heads(s, &e->head, &made.nhead, err));
    DR_TRY(add_chunks(s, &r, &made, err));
    struct toc_record *record = &add_waiting(s, &e->head, IN_LARGE)->record;
    record->piece = made.piece;
    record->nhead = made.nhead;
    record->nchunk = made.nchunk;
    memcpy(record->digest, made.digest, DIGEST_SIZE);
    return DR_OK;
}

static enum dr_rc feed_directory(struct stream *s, const struct head *h, struct dr_err *err)
{
    if (s->directories.len >= DIRECTORIES_SIZE)
        DR_TRY(end_directories(s, err));
    if (s->directories.len == 0)
        s->directory_row = toc_add_piece(s->toc, &(struct toc_piece){ .kind = FRAME_DIRECTORIES });
    struct waiting *e = add_waiting(s, h, IN_DIRECTORIES);
    e->record.piece = s->directory_row;
    e->record.offset = s->directories.len;
    head_write(&s->directories, h);
    return DR_OK;
}

static void feed_link(struct stream *s, const struct backup_entry *e, const char *link_to)
{
    struct head h = e->head;
    h.type = '1';
    h.link = link_to;
    h.size = h.data = 0;
    h.sparse = false;
    h.extent_count = 0;
    h.major = h.minor = 0;
    struct waiting *w = add_waiting(s, &h, IN_LINKS);
    w->record.offset = s->links.len;
    head_write(&s->links, &h);
}

enum dr_rc stream_feed(struct stream *s, const struct stream_entry *in, struct stream_fed *ret,
                       struct dr_err *err)
{
    const struct head *h = &in->entry->head;
    uint64_t size = BLOCK_SIZE;
    *ret = (struct stream_fed){ .missing = 0 };
    bool large = h->type == '0' && (h->data >= LARGE_SIZE || h->extent_count > LARGE_EXTENTS);
    DR_ASSERT(s->bundle.len < PIECE_RAW_MAX / 2);
    if (in->link_to != NULL)
        feed_link(s, in->entry, in->link_to);
    else if (h->type == '5')
        DR_TRY(feed_directory(s, h, err));
    else if (large)
        DR_TRY(feed_large(s, in->entry, ret, err));
    else {
        DR_TRY(feed_small(s, in->entry, ret, err));
        size += head_padded(h->data);
        s->filled += size;
    }
    bool cut = s->filled > 0 && cut_bundle(s->o.seed, h->path, s->filled, size);
    if (cut || s->entry_count >= RANGE_ENTRIES || s->strings.len >= RANGE_PATHS ||
        s->large_count >= RANGE_ROWS || s->bundle.len >= BUNDLE_SIZE ||
        s->links.len >= CUT_BUNDLE_MAX)
        return end_range(s, err);
    return DR_OK;
}

enum dr_rc stream_finish(struct stream *s, struct snapshot *ret, struct dr_err *err)
{
    DR_TRY(end_range(s, err));
    DR_TRY(end_segment(s, err));
    DR_TRY(packs_flush(s->packs, err));
    DR_TRY(lists_finish(s->lists, ret, err));
    ret->stored = packs_stored(s->packs);
    return DR_OK;
}
