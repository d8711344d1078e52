/*
 * A snapshot open for reading. Whatever comes out of here was vouched for: the signature reaches
 * the lists, these the segments, these the pieces, each by digest. What digests cannot tell (that
 * a trusted writer means no harm) is checked as well, record by record.
 */
#include "backup/work/reader.h"

#include <stdio.h>
#include <string.h>

#include "backup/format/patch.h"
#include "backup/format/path.h"
#include "backup/work/restore_place.h"
#include "dr/base/mem.h"

struct reader {
    struct repo *repo;
    const struct work_hooks *hooks;
    struct snapshot snapshot;
    struct fetch *fetch;
    struct list_frame *frames; /* owned; of the segments */
    size_t frame_count;
    struct buf *kept; /* owned; raw segments, as long as they fit */
    size_t kept_bytes;
    struct buf raw, base; /* of the open segment, when it is not kept; of a patched one */
    struct segment segment;
    bool is_open;
    size_t next;       /* the segment behind the open one */
    struct buf names;  /* paths and links of the open segment */
    struct buf above;  /* the directory that the next record may be in */
    struct buf before; /* the last path of the segment before */
    struct buf head;   /* of a large file, when it is in several pieces */
    size_t bad_objects;
};

static void tell_bad_object(void *arg, const char *line)
{
    struct reader *r = arg;
    r->bad_objects++;
    if (r->hooks != NULL && r->hooks->warning != NULL)
        r->hooks->warning(r->hooks->arg, line);
}

static void close_segment(struct reader *r)
{
    if (!r->is_open)
        return;
    toc_close(&r->segment.toc);
    free(r->segment.records);
    r->segment = (struct segment){ 0 };
    r->is_open = false;
}

void reader_close(struct reader *r)
{
    if (r == NULL)
        return;
    close_segment(r);
    for (size_t i = 0; i < r->frame_count; i++) {
        list_frame_fini(&r->frames[i]);
        buf_fini(&r->kept[i]);
    }
    free(r->frames);
    free(r->kept);
    snapshot_fini(&r->snapshot);
    fetch_free(r->fetch);
    buf_fini(&r->raw);
    buf_fini(&r->base);
    buf_fini(&r->names);
    buf_fini(&r->above);
    buf_fini(&r->before);
    buf_fini(&r->head);
    free(r);
}

static struct fetch_piece piece_of(const struct list_base *f, uint64_t raw_max)
{
    struct fetch_piece p = {
        .offset = f->offset, .stored = f->stored, .raw = f->raw, .raw_max = raw_max
    };
    memcpy(p.pack, f->pack, DIGEST_SIZE);
    memcpy(p.id, f->id, DIGEST_SIZE);
    return p;
}

static enum dr_rc get_frame(struct fetch *fetch, const struct list_base *f, uint64_t raw_max,
                            struct buf *out, struct dr_err *err)
{
    const struct fetch_piece p = piece_of(f, raw_max);
    const struct buf *bytes = NULL;
    DR_TRY(fetch_get(fetch, &p, &bytes, err));
    buf_add(out, bytes->data, bytes->len);
    return DR_OK;
}

static struct list_base place_of(const struct list_frame *f)
{
    struct list_base ret = { .offset = f->offset, .stored = f->stored, .raw = f->raw };
    memcpy(ret.pack, f->pack, DIGEST_SIZE);
    memcpy(ret.id, f->id, DIGEST_SIZE);
    return ret;
}

static enum dr_rc fetch_segment(struct fetch *fetch, const struct list_frame *frame,
                                struct buf *ret_raw, struct buf *ret_base, struct dr_err *err)
{
    const struct list_base place = place_of(frame);
    buf_clear(ret_raw);
    buf_clear(ret_base);
    if (!frame->patched)
        return get_frame(fetch, &place, SEGMENT_RAW_MAX, ret_raw, err);
    DR_CLEANUP(buf_fini) struct buf patch = { 0 };
    DR_TRY(get_frame(fetch, &frame->base, PATCH_RAW_MAX, ret_base, err));
    DR_TRY(get_frame(fetch, &place, PATCH_RAW_MAX, &patch, err));
    const struct patch p = { .base = ret_base, .patch = &patch, .base_id = frame->base.id };
    return patch_apply("a patch of a segment", &p, ret_raw, err);
}

enum dr_rc reader_fetch_segment(struct fetch *fetch, const struct list_frame *frame,
                                struct buf *ret_raw, struct buf *ret_base, struct dr_err *err)
{
    fetch_plan(fetch, NULL, 0);
    return fetch_segment(fetch, frame, ret_raw, ret_base, err);
}

static enum dr_rc get_list_frame(void *arg, const struct list_frame *frame, struct buf *out,
                                 struct dr_err *err)
{
    const struct reader *r = arg;
    const struct list_base place = place_of(frame);
    fetch_plan(r->fetch, NULL, 0);
    return get_frame(r->fetch, &place, PIECE_RAW_MAX, out, err);
}

static enum dr_rc read_segment_list(struct reader *r, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    DR_TRY(list_expand(&r->snapshot.toc, get_list_frame, r, &lines, err));
    r->frames = dr_alloc(lines.count + 1, sizeof(r->frames[0]));
    r->kept = dr_alloc(lines.count + 1, sizeof(r->kept[0]));
    for (size_t i = 0; i < lines.count; i++) {
        r->frame_count++;
        DR_TRY(list_parse_frame(lines.items[i], true, &r->frames[i], err));
    }
    return DR_OK;
}

enum dr_rc reader_open(struct repo *repo, const struct snapshot_info *info,
                       const struct work_hooks *hooks, struct reader **ret, struct dr_err *err)
{
    if (info->state == SNAPSHOT_REFUSED) {
        dr_fail(err, DR_E_REFUSED, "snapshot '%s' is refused: %s", info->id,
                info->why != NULL ? info->why : "nothing vouches for it");
        return dr_hint(err, "See 'drctl snapshots' for others.");
    }
    DR_CLEANUP(reader_close_ptr) struct reader *r = dr_alloc(1, sizeof(*r));
    r->repo = repo;
    r->hooks = hooks;
    r->fetch = fetch_new(repo, hooks);
    fetch_prefer(r->fetch, &info->buckets);
    DR_TRY(repo_load(repo, info->id, tell_bad_object, r, &r->snapshot, err));
    enum dr_rc rc = read_segment_list(r, err);
    if (rc != DR_OK)
        return dr_context(err, "snapshot '%s': its table of contents", info->id);
    *ret = DR_TAKE(r);
    return DR_OK;
}

const struct snapshot *reader_snapshot(const struct reader *r)
{
    return &r->snapshot;
}

struct fetch *reader_fetch(struct reader *r)
{
    return r->fetch;
}

size_t reader_segment_count(const struct reader *r)
{
    return r->frame_count;
}

const struct list_frame *reader_segment_frame(const struct reader *r, size_t i)
{
    DR_ASSERT(i < r->frame_count);
    return &r->frames[i];
}

size_t reader_healed(const struct reader *r)
{
    return fetch_healed(r->fetch) + r->bad_objects;
}

static const char *text_of(const struct buf *b)
{
    return b->data != NULL ? b->data : "";
}

bool reader_segment_has(const struct reader *r, size_t i, const char *path)
{
    DR_ASSERT(i < r->frame_count);
    const char *first = text_of(&r->frames[i].first);
    bool begins_behind = path_compare(first, path) > 0 && !path_is_within(first, path);
    if (begins_behind)
        return false;
    if (i + 1 == r->frame_count)
        return true;
    return path_compare(text_of(&r->frames[i + 1].first), path) > 0;
}

/* -- segments ------------------------------------------------------------------------------ */

static enum dr_rc refuse(const char *path, const char *why, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf name = { 0 };
    size_t len = strlen(path);
    text_add_printable(&name, path, len < 256 ? len : 256);
    return dr_fail(err, DR_E_REFUSED, "the snapshot holds '%s', which %s", text_of(&name), why);
}

/* The parent of each entry is a directory of the snapshot, seen just before. */
static enum dr_rc check_place(struct reader *r, const struct toc_record *rec, struct dr_err *err)
{
    DR_TRY(place_check_path(rec->path, rec->path_len, err));
    if (rec->path_len > 0) {
        const char *slash = strrchr(rec->path, '/');
        size_t len = slash != NULL ? (size_t)(slash - rec->path) : 0;
        /* above: the last directory; the parent is that or one above it. */
        bool below = r->above.len >= len && memcmp(text_of(&r->above), rec->path, len) == 0 &&
                     (len == 0 || r->above.len == len || r->above.data[len] == '/');
        if (!below)
            return refuse(rec->path, "lies below something that is no directory", err);
        r->above.len = len;
    } else if (rec->type != '5') {
        return refuse("", "is its root and no directory", err);
    }
    if (rec->type == '5') {
        buf_clear(&r->above);
        buf_add(&r->above, rec->path, rec->path_len);
    }
    if (rec->type != '1')
        return DR_OK;
    DR_TRY(place_check_path(rec->link, strlen(rec->link), err));
    if (rec->link[0] == '\0' || path_compare(rec->link, rec->path) >= 0)
        return refuse(rec->path, "is a link to no earlier entry", err);
    return DR_OK;
}

/* Copy the records out of the cursor; names go to one buffer, whose address settles at the end. */
static enum dr_rc read_records(struct reader *r, struct dr_err *err)
{
    struct segment *s = &r->segment;
    s->records = dr_alloc(s->toc.record_count + 1, sizeof(s->records[0]));
    buf_clear(&r->names);
    bool more = true;
    while (more) {
        struct toc_record rec;
        DR_TRY(toc_next(&s->toc, &rec, &more, err));
        if (!more)
            break;
        DR_ASSERT(s->count < s->toc.record_count);
        DR_TRY(check_place(r, &rec, err));
        /* its pieces are a run of the table */
        uint64_t pieces = (uint64_t)rec.piece + rec.nhead + rec.nchunk;
        if (rec.piece >= s->toc.piece_count || pieces > s->toc.piece_count)
            return refuse(rec.path, "names a piece that is not there", err);
        s->records[s->count++] = rec;
        buf_add(&r->names, rec.path, rec.path_len + 1);
        if (rec.link != NULL)
            buf_add(&r->names, rec.link, strlen(rec.link) + 1);
    }
    const char *at = r->names.data;
    for (size_t i = 0; i < s->count; i++) {
        s->records[i].path = at;
        at += s->records[i].path_len + 1;
        if (s->records[i].link == NULL)
            continue;
        s->records[i].link = at;
        at += strlen(at) + 1;
    }
    return DR_OK;
}

/* Raw bytes of segment i, kept or fetched. */
/* Segments lie behind each other in their pack, and are mostly read in a row: those that follow come
 * with the first of them. */
static enum dr_rc fetch_ahead(struct reader *r, size_t i, struct dr_err *err)
{
    enum { AHEAD = 32 };
    struct fetch_piece next[AHEAD];
    const struct fetch_piece *plan[AHEAD];
    size_t count = 0;
    for (size_t k = i + 1; k < r->frame_count && count < AHEAD; k++) {
        if (r->frames[k].patched)
            break;
        const struct list_base place = place_of(&r->frames[k]);
        next[count] = piece_of(&place, SEGMENT_RAW_MAX);
        plan[count] = &next[count];
        count++;
    }
    fetch_plan(r->fetch, plan, r->frames[i].patched ? 0 : count);
    enum dr_rc rc = fetch_segment(r->fetch, &r->frames[i], &r->raw, &r->base, err);
    fetch_plan(r->fetch, NULL, 0);
    return rc;
}

static enum dr_rc segment_bytes(struct reader *r, size_t i, const struct buf **ret,
                                struct dr_err *err)
{
    *ret = &r->kept[i];
    if (r->kept[i].len > 0)
        return DR_OK;
    DR_TRY(fetch_ahead(r, i, err));
    *ret = &r->raw;
    if (r->kept_bytes + r->raw.len > READER_KEEP)
        return DR_OK;
    buf_add(&r->kept[i], r->raw.data, r->raw.len);
    r->kept_bytes += r->raw.len;
    *ret = &r->kept[i];
    return DR_OK;
}

/*
 * Read in a row, a segment is checked against the one before. Read alone, the directories above
 * its first record are taken from its path: who writes to a disk reads them all in a row first.
 */
static void begin_segment(struct reader *r, size_t i)
{
    if (i > 0 && r->next == i)
        return;
    buf_clear(&r->above);
    buf_clear(&r->before);
    const char *first = text_of(&r->frames[i].first);
    const char *slash = strrchr(first, '/');
    if (i > 0)
        buf_add(&r->above, first, slash != NULL ? (size_t)(slash - first) : 0);
}

/* The list told the first path; and paths ascend from segment to segment. */
static enum dr_rc check_first(struct reader *r, size_t i, const struct toc_record *rec,
                              struct dr_err *err)
{
    bool as_listed = strcmp(rec->path, text_of(&r->frames[i].first)) == 0;
    bool root_first = i > 0 || rec->path_len == 0;
    bool in_row = i > 0 && r->next == i;
    if (!as_listed || !root_first || (in_row && path_compare(rec->path, text_of(&r->before)) <= 0))
        return refuse(rec->path, "is not where its table of contents says", err);
    return DR_OK;
}

enum dr_rc reader_segment(struct reader *r, size_t i, const struct segment **ret,
                          struct dr_err *err)
{
    DR_ASSERT(i < r->frame_count);
    close_segment(r);
    const struct buf *bytes = NULL;
    enum dr_rc rc = segment_bytes(r, i, &bytes, err);
    if (rc == DR_OK)
        rc = toc_open("segment", bytes->data, bytes->len, r->frames[i].pack, &r->segment.toc, err);
    if (rc == DR_OK) {
        r->is_open = true;
        begin_segment(r, i);
        rc = read_records(r, err);
        if (rc == DR_OK && r->segment.count > 0)
            rc = check_first(r, i, &r->segment.records[0], err);
    }
    if (rc != DR_OK)
        r->next = 0;
    if (rc != DR_OK)
        return dr_context(err, "snapshot '%s': segment %zu of its table of contents",
                          r->snapshot.id, i + 1);
    r->next = i + 1;
    if (r->segment.count > 0) {
        buf_clear(&r->before);
        buf_adds(&r->before, r->segment.records[r->segment.count - 1].path);
    }
    *ret = &r->segment;
    return DR_OK;
}

enum dr_rc reader_each(struct reader *r, const char *path, reader_fn *fn, void *arg,
                       struct dr_err *err)
{
    for (size_t i = 0; i < r->frame_count; i++) {
        const struct segment *s = NULL;
        if (path != NULL && !reader_segment_has(r, i, path))
            continue;
        DR_TRY(reader_segment(r, i, &s, err));
        for (size_t k = 0; k < s->count; k++) {
            if (path == NULL || path_is_within(s->records[k].path, path))
                DR_TRY(fn(arg, s, &s->records[k], err));
        }
    }
    return DR_OK;
}

/* -- pieces -------------------------------------------------------------------------------- */

struct fetch_piece reader_place(const struct segment *s, uint32_t piece)
{
    DR_ASSERT(piece < s->toc.piece_count);
    const struct toc_piece *t = &s->toc.pieces[piece];
    struct fetch_piece p = {
        .offset = t->offset, .stored = t->stored, .raw = t->raw, .raw_max = PIECE_RAW_MAX
    };
    memcpy(p.pack, s->toc.packs[t->pack], DIGEST_SIZE);
    memcpy(p.id, t->id, DIGEST_SIZE);
    return p;
}

enum dr_rc reader_piece(struct reader *r, const struct segment *s, uint32_t piece,
                        const struct buf **ret, struct dr_err *err)
{
    const struct fetch_piece p = reader_place(s, piece);
    return fetch_get(r->fetch, &p, ret, err);
}

/* -- heads --------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool agrees(const struct head *h, const struct toc_record *rec)
{
    bool meta = h->type == rec->type && h->mode == rec->mode && h->uid == rec->uid &&
                h->gid == rec->gid && h->mtime_s == rec->mtime_s && h->mtime_ns == rec->mtime_ns;
    bool device =
        (h->type != '3' && h->type != '4') || (h->major == rec->major && h->minor == rec->minor);
    bool size = h->type != '0' || h->size == rec->size;
    return meta && device && size && same_text(h->path, rec->path) && same_text(h->link, rec->link);
}

static enum dr_rc large_head(struct reader *r, const struct segment *s,
                             const struct toc_record *rec, struct dr_err *err)
{
    buf_clear(&r->head);
    for (uint32_t i = 0; i < rec->nhead; i++) {
        const struct buf *part = NULL;
        DR_TRY(reader_piece(r, s, rec->piece + i, &part, err));
        if (r->head.len + part->len > HEAD_RECORDS_MAX + PIECE_RAW_MAX)
            return dr_fail(err, DR_E_CORRUPT, "a head is too long");
        buf_add(&r->head, part->data, part->len);
    }
    return DR_OK;
}

enum dr_rc reader_head_in(const struct toc_record *rec, const struct buf *bytes, struct head *ret,
                          const uint8_t **ret_data, struct dr_err *err)
{
    size_t at = rec->nhead > 0 ? 0 : (size_t)rec->offset, used = 0;
    if (rec->offset >= bytes->len)
        return refuse(rec->path, "lies behind the end of its piece", err);
    struct head h = { 0 };
    DR_TRY(head_parse("the head of an entry", bytes->data + at, bytes->len - at, &h, &used, err));
    uint64_t data = h.type == '0' ? h.data : 0;
    enum dr_rc rc = DR_OK;
    if (!agrees(&h, rec))
        rc = dr_fail(err, DR_E_CORRUPT, "the table of contents and the head of an entry differ");
    else if (rec->nhead == 0 && data > bytes->len - at - used)
        rc = dr_fail(err, DR_E_CORRUPT, "the data of an entry end behind its piece");
    if (rc != DR_OK) {
        head_fini(&h);
        return rc;
    }
    *ret = h;
    *ret_data = rec->nhead > 0 ? NULL : (const uint8_t *)bytes->data + at + used;
    return DR_OK;
}

enum dr_rc reader_head(struct reader *r, const struct segment *s, const struct toc_record *rec,
                       struct head *ret, const uint8_t **ret_data, struct dr_err *err)
{
    const struct buf *bytes = &r->head;
    if (rec->nhead > 0)
        DR_TRY(large_head(r, s, rec, err));
    else
        DR_TRY(reader_piece(r, s, rec->piece, &bytes, err));
    return reader_head_in(rec, bytes, ret, ret_data, err);
}

enum dr_rc reader_data(struct reader *r, const struct reader_file *file, reader_sink *sink,
                       void *arg, struct dr_err *err)
{
    const struct toc_record *rec = file->record;
    uint64_t left = file->head->data;
    if (rec->nhead == 0)
        return left > 0 ? sink(arg, file->data, (size_t)left, err) : DR_OK;
    struct fetch_piece *places = dr_alloc((size_t)rec->nchunk + 1, sizeof(*places));
    DR_CLEANUP(dr_free_ptr)
    const struct fetch_piece **plan = dr_alloc((size_t)rec->nchunk + 1, sizeof(void *));
    for (uint32_t i = 0; i < rec->nchunk; i++) {
        places[i] = reader_place(file->segment, rec->piece + rec->nhead + i);
        plan[i] = &places[i];
    }
    fetch_plan(r->fetch, plan, rec->nchunk);
    enum dr_rc rc = DR_OK;
    for (uint32_t i = 0; i < rec->nchunk && rc == DR_OK; i++) {
        const struct buf *bytes = NULL;
        rc = fetch_get(r->fetch, &places[i], &bytes, err);
        if (rc != DR_OK)
            break;
        size_t len = left < bytes->len ? (size_t)left : bytes->len;
        left -= len;
        if (len > 0)
            rc = sink(arg, (const uint8_t *)bytes->data, len, err);
    }
    fetch_plan(r->fetch, NULL, 0);
    free(places);
    if (rc == DR_OK && left > 0)
        rc = dr_fail(err, DR_E_CORRUPT, "the chunks of a file hold less than the file");
    return rc;
}
