/*
 * Reading the table of contents of the snapshot before. Both sources give the same thing, the raw
 * bytes of a segment and the line that names its frame, so there is one decoder. All checksums of the cache
 * are looked at before the first segment is given away: a merge that has begun to trust what
 * only the cache knows cannot take that back.
 */
#include "backup/work/prev.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "backup/format/path.h"
#include "backup/work/prev_file.h"
#include "backup/work/reader.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

struct block {
    uint64_t offset, raw_len, base_len, extras, sum;
};

struct prev {
    struct prev_options o;
    struct fetch *fetch;   /* made when it is needed */
    struct reader *reader; /* without a cache */
    int fd;                /* of the cache, or -1 */
    struct block *blocks;
    struct list_frame *frames; /* one for each segment; without a cache the reader's are used */
    size_t count;
    struct buf removed;
    struct prev_segment segment;
    size_t extra_cap, record_cap;
    struct buf names;         /* paths and links of the segment */
    struct offsets *names_at; /* where in names */
    bool is_open;
};

struct offsets {
    size_t path, link;
};

static void close_segment(struct prev *p)
{
    if (p->is_open)
        toc_close(&p->segment.toc);
    p->is_open = false;
}

static void forget_cache(struct prev *p)
{
    for (size_t i = 0; i < p->count && p->frames != NULL; i++)
        list_frame_fini(&p->frames[i]);
    free(p->frames);
    free(p->blocks);
    p->frames = NULL;
    p->blocks = NULL;
    p->count = 0;
    buf_clear(&p->removed);
    dr_close_fd(&p->fd);
    p->fd = -1;
}

void prev_close(struct prev *p)
{
    if (p == NULL)
        return;
    close_segment(p);
    forget_cache(p);
    reader_close(p->reader);
    fetch_free(p->fetch);
    free(p->segment.records);
    free(p->segment.extras);
    free(p->names_at);
    buf_fini(&p->segment.raw);
    buf_fini(&p->segment.base);
    buf_fini(&p->removed);
    buf_fini(&p->names);
    free(p);
}

/* -- the cache ----------------------------------------------------------------------------- */

static uint64_t get_u64(const char *data)
{
    uint8_t b[8];
    memcpy(b, data, sizeof b);
    return (uint64_t)wire_get_u32(b) | (uint64_t)wire_get_u32(b + 4) << 32;
}

static enum dr_rc take_bytes(struct wire *w, uint64_t most, struct buf *out, struct dr_err *err)
{
    uint64_t len;
    const uint8_t *data;
    DR_TRY(wire_varint(w, most, &len, err));
    DR_TRY(wire_take(w, len, &data, err));
    buf_clear(out);
    buf_reserve(out, len + 1);
    buf_add(out, data, len);
    return DR_OK;
}

/* Is the next text of the trailer this one? */
static enum dr_rc expect_text(struct wire *w, const char *text, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf have = { 0 };
    DR_TRY(take_bytes(w, LIST_LINE_MAX, &have, err));
    if (have.len != strlen(text) || memcmp(have.data, text, have.len) != 0)
        return wire_bad(w, err, "of another snapshot");
    return DR_OK;
}

static enum dr_rc expect_number(struct wire *w, uint64_t number, struct dr_err *err)
{
    uint64_t have;
    DR_TRY(wire_varint(w, UINT64_MAX, &have, err));
    return have == number ? DR_OK : wire_bad(w, err, "of another scan");
}

static enum dr_rc read_block(struct wire *w, uint64_t end, struct block *b,
                             struct list_frame *frame, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    DR_TRY(wire_varint(w, end, &b->offset, err));
    DR_TRY(wire_varint(w, SEGMENT_RAW_MAX, &b->raw_len, err));
    DR_TRY(wire_varint(w, PATCH_RAW_MAX, &b->base_len, err));
    DR_TRY(wire_varint(w, SEGMENT_RECORDS_MAX, &b->extras, err));
    DR_TRY(wire_varint(w, UINT64_MAX, &b->sum, err));
    uint64_t bytes = b->raw_len + b->base_len + b->extras * sizeof(struct prev_extra);
    if (b->raw_len == 0 || bytes > end - b->offset)
        return wire_bad(w, err, "a segment outside of the file");
    DR_TRY(take_bytes(w, LIST_LINE_MAX, &line, err));
    DR_TRY(list_parse_frame(line.data, true, frame, err));
    bool fits = b->base_len == (frame->patched ? frame->base.raw : 0);
    return fits ? DR_OK : wire_bad(w, err, "a segment without its base");
}

static enum dr_rc read_identity(const struct prev_identity *id, struct wire *w, struct dr_err *err)
{
    DR_TRY(expect_text(w, id->repository, err));
    DR_TRY(expect_text(w, id->snapshot, err));
    DR_TRY(expect_number(w, id->excludes, err));
    DR_TRY(expect_number(w, id->root_dev, err));
    return expect_number(w, id->root_ino, err);
}

static enum dr_rc read_trailer(struct prev *p, struct wire *w, uint64_t end, struct dr_err *err)
{
    uint64_t count;
    DR_TRY(read_identity(p->o.identity, w, err));
    DR_TRY(wire_varint(w, LIST_LINES_MAX, &count, err));
    if (count > wire_left(w))
        return wire_bad(w, err, "more segments than bytes for them");
    p->blocks = dr_alloc(count + 1, sizeof *p->blocks);
    p->frames = dr_alloc(count + 1, sizeof *p->frames);
    while (p->count < count) {
        size_t i = p->count++;
        DR_TRY(read_block(w, end, &p->blocks[i], &p->frames[i], err));
    }
    DR_TRY(take_bytes(w, PREV_TRAILER_MAX, &p->removed, err));
    return wire_left(w) == 0 ? DR_OK : wire_bad(w, err, "bytes behind its end");
}

static enum dr_rc load_bytes(struct prev *p, uint64_t at, uint64_t len, struct buf *out,
                             struct dr_err *err)
{
    buf_clear(out);
    char *data = buf_reserve(out, len);
    if (len > 0)
        DR_TRY(fs_pread_all(p->fd, "the local cache", data, len, (off_t)at, err));
    out->len = len;
    return DR_OK;
}

/* Segment i and its extras into p->segment, checked. */
static enum dr_rc load_block(struct prev *p, size_t i, struct dr_err *err)
{
    const struct block *b = &p->blocks[i];
    struct prev_segment *s = &p->segment;
    size_t bytes = b->extras * sizeof *s->extras;
    if (b->extras > p->extra_cap) {
        p->extra_cap = b->extras * 2;
        s->extras = dr_realloc(s->extras, p->extra_cap, sizeof *s->extras);
    }
    uint64_t at = b->offset;
    DR_TRY(load_bytes(p, at, b->raw_len, &s->raw, err));
    DR_TRY(load_bytes(p, at += b->raw_len, b->base_len, &s->base, err));
    at += b->base_len;
    if (bytes > 0)
        DR_TRY(fs_pread_all(p->fd, "the local cache", s->extras, bytes, (off_t)at, err));
    uint64_t sum = XXH3_64bits(s->raw.data, s->raw.len);
    sum = XXH3_64bits_withSeed(s->base.data, s->base.len, sum);
    if (XXH3_64bits_withSeed(s->extras, bytes, sum) != b->sum)
        return dr_fail(err, DR_E_CORRUPT, "the local cache: a checksum is wrong");
    return DR_OK;
}

static enum dr_rc read_cache(struct prev *p, struct dr_err *err)
{
    struct stat st;
    char footer[PREV_FOOTER];
    DR_CLEANUP(buf_fini) struct buf trailer = { 0 };
    DR_FREE char *path = dr_strf("%s/" PREV_FOLDER "/%s", p->o.state_dir, p->o.source);
    p->fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (p->fd < 0 || fstat(p->fd, &st) != 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    if (st.st_size < PREV_FOOTER)
        return dr_fail(err, DR_E_CORRUPT, "'%s' is too short", path);
    uint64_t end = (uint64_t)st.st_size - PREV_FOOTER;
    DR_TRY(fs_pread_all(p->fd, path, footer, sizeof footer, (off_t)end, err));
    uint64_t at = get_u64(footer), len = get_u64(footer + 8);
    uint8_t version[4];
    memcpy(version, footer + 24, sizeof version);
    if (memcmp(footer + 28, PREV_MAGIC, 4) != 0 || wire_get_u32(version) != PREV_VERSION ||
        len > PREV_TRAILER_MAX || at > end || len != end - at)
        return dr_fail(err, DR_E_CORRUPT, "'%s' is no cache of this version", path);
    char *data = buf_reserve(&trailer, len + 1);
    DR_TRY(fs_pread_all(p->fd, path, data, len, (off_t)at, err));
    if (XXH3_64bits(data, len) != get_u64(footer + 16))
        return dr_fail(err, DR_E_CORRUPT, "'%s': a checksum is wrong", path);
    struct wire w = wire_of(path, data, len);
    DR_TRY(read_trailer(p, &w, at, err));
    for (size_t i = 0; i < p->count; i++)
        DR_TRY(load_block(p, i, err));
    return DR_OK;
}

/* -- the buckets --------------------------------------------------------------------------- */

static struct fetch *fetcher(struct prev *p)
{
    if (p->reader != NULL)
        return reader_fetch(p->reader);
    if (p->fetch == NULL) {
        p->fetch = fetch_new(p->o.repo, p->o.hooks);
        fetch_prefer(p->fetch, &p->o.parent->buckets);
    }
    return p->fetch;
}

static enum dr_rc fetch_list(void *arg, const struct list_frame *f, struct buf *out,
                             struct dr_err *err)
{
    struct prev *p = arg;
    struct fetch_piece piece = {
        .offset = f->offset, .stored = f->stored, .raw = f->raw, .raw_max = PIECE_RAW_MAX
    };
    const struct buf *bytes = NULL;
    memcpy(piece.pack, f->pack, DIGEST_SIZE);
    memcpy(piece.id, f->id, DIGEST_SIZE);
    fetch_plan(fetcher(p), NULL, 0);
    DR_TRY(fetch_get(fetcher(p), &piece, &bytes, err));
    buf_add(out, bytes->data, bytes->len);
    return DR_OK;
}

/* The innermost frames hold no lines but paths: the levels above are a list of their own. */
static enum dr_rc read_removed(struct prev *p, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    const struct list *removed = &reader_snapshot(p->reader)->removed;
    if (removed->depth == 0)
        return DR_OK;
    struct list upper = { .depth = removed->depth - 1, .lines = removed->lines };
    DR_TRY(list_expand(&upper, fetch_list, p, &lines, err));
    for (size_t i = 0; i < lines.count; i++) {
        struct list_frame f = { .raw = 0 };
        enum dr_rc rc = list_parse_frame(lines.items[i], false, &f, err);
        if (rc == DR_OK)
            rc = fetch_list(p, &f, &p->removed, err);
        list_frame_fini(&f);
        DR_TRY(rc);
    }
    if (p->removed.len > 0 && p->removed.data[p->removed.len - 1] != '\0')
        return dr_fail(err, DR_E_CORRUPT, "the list of removed paths is cut");
    return DR_OK;
}

static enum dr_rc read_buckets(struct prev *p, struct dr_err *err)
{
    DR_TRY(reader_open(p->o.repo, p->o.parent, p->o.hooks, &p->reader, err));
    p->count = reader_segment_count(p->reader);
    return read_removed(p, err);
}

enum dr_rc prev_open(const struct prev_options *o, struct prev **ret, struct dr_err *err)
{
    struct dr_err ignored; /* whatever is wrong with the cache: the buckets have it */
    DR_CLEANUP(prev_close_ptr) struct prev *p = dr_alloc(1, sizeof *p);
    p->o = *o;
    p->fd = -1;
    if (read_cache(p, &ignored) != DR_OK) {
        forget_cache(p);
        DR_TRY(read_buckets(p, err));
    }
    p->o.identity = NULL; /* not needed any more */
    *ret = DR_TAKE(p);
    return DR_OK;
}

bool prev_is_cached(const struct prev *p)
{
    return p->fd >= 0;
}

size_t prev_count(const struct prev *p)
{
    return p->count;
}

static const struct list_frame *frame_of(const struct prev *p, size_t i)
{
    DR_ASSERT(i < p->count);
    return p->reader != NULL ? reader_segment_frame(p->reader, i) : &p->frames[i];
}

const char *prev_first(const struct prev *p, size_t i)
{
    const struct buf *first = &frame_of(p, i)->first;
    return first->data != NULL ? first->data : "";
}

const struct buf *prev_removed(const struct prev *p)
{
    return &p->removed;
}

/* -- segments ------------------------------------------------------------------------------ */

static size_t keep_name(struct prev *p, const char *text, size_t len)
{
    size_t at = p->names.len;
    buf_add(&p->names, text, len + 1);
    return at;
}

/* All records; their texts are kept as offsets until the buffer has stopped moving. */
static enum dr_rc decode(struct prev *p, struct dr_err *err)
{
    struct prev_segment *s = &p->segment;
    bool more = true;
    size_t want = s->toc.record_count;
    if (want > p->record_cap) {
        p->record_cap = want * 2;
        s->records = dr_realloc(s->records, p->record_cap, sizeof *s->records);
        p->names_at = dr_realloc(p->names_at, p->record_cap, sizeof *p->names_at);
    }
    buf_clear(&p->names);
    for (s->count = 0;; s->count++) {
        struct toc_record r;
        DR_TRY(toc_next(&s->toc, &r, &more, err));
        if (!more)
            break;
        struct offsets *at = &p->names_at[s->count];
        at->path = keep_name(p, r.path, r.path_len);
        at->link = r.link != NULL ? keep_name(p, r.link, strlen(r.link)) : SIZE_MAX;
        s->records[s->count] = r;
    }
    for (size_t i = 0; i < s->count; i++) {
        s->records[i].path = p->names.data + p->names_at[i].path;
        s->records[i].link =
            p->names_at[i].link != SIZE_MAX ? p->names.data + p->names_at[i].link : NULL;
    }
    return DR_OK;
}

static enum dr_rc load(struct prev *p, size_t i, struct dr_err *err)
{
    struct prev_segment *s = &p->segment;
    if (p->reader == NULL)
        return load_block(p, i, err);
    return reader_fetch_segment(fetcher(p), s->frame, &s->raw, &s->base, err);
}

/* The merge leans on these; a segment of ours has them, whatever else is wrong. */
static enum dr_rc check(struct prev *p, size_t i, struct dr_err *err)
{
    struct prev_segment *s = &p->segment;
    if (s->count == 0 || s->count != s->frame->entries || s->toc.range_count == 0 ||
        s->toc.ranges[0].first != 0 || strcmp(s->records[0].path, prev_first(p, i)) != 0 ||
        (p->reader == NULL && p->blocks[i].extras != s->count))
        return dr_fail(err, DR_E_CORRUPT, "segment %zu of the snapshot before is not as listed", i);
    return DR_OK;
}

enum dr_rc prev_segment(struct prev *p, size_t i, const struct prev_segment **ret,
                        struct dr_err *err)
{
    struct prev_segment *s = &p->segment;
    close_segment(p);
    s->frame = frame_of(p, i);
    DR_TRY(load(p, i, err));
    DR_TRY(toc_open("a segment of the snapshot before", s->raw.data, s->raw.len, s->frame->pack,
                    &s->toc, err));
    p->is_open = true;
    DR_TRY(decode(p, err));
    DR_TRY(check(p, i, err));
    if (p->reader != NULL) {
        if (s->count > p->extra_cap) {
            p->extra_cap = s->count * 2;
            s->extras = dr_realloc(s->extras, p->extra_cap, sizeof *s->extras);
        }
        memset(s->extras, 0, s->count * sizeof *s->extras);
    }
    *ret = s;
    return DR_OK;
}

enum dr_rc prev_piece(struct prev *p, uint32_t piece, const struct buf **ret, struct dr_err *err)
{
    const struct toc_segment *toc = &p->segment.toc;
    DR_ASSERT(p->is_open && piece < toc->piece_count);
    const struct toc_piece *row = &toc->pieces[piece];
    struct fetch_piece f = {
        .offset = row->offset, .stored = row->stored, .raw = row->raw, .raw_max = PIECE_RAW_MAX
    };
    memcpy(f.pack, toc->packs[row->pack], DIGEST_SIZE);
    memcpy(f.id, row->id, DIGEST_SIZE);
    fetch_plan(fetcher(p), NULL, 0);
    return fetch_get(fetcher(p), &f, ret, err);
}
