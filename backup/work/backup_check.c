/*
 * Comparing. An item gathers entries of one way of comparing, up to CHECK_BYTES; what to expect is copied
 * into it, so that workers see their item only. The ring is emptied before the verdicts are used:
 * what is decided about a segment depends on all of them.
 */
#include "backup/work/backup_check.h"

#include <string.h>
#include <sys/stat.h>

#include "backup/work/backup_build.h"
#include "backup/work/backup_data.h"
#include "backup/work/backup_read.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { CHECK_ENTRIES = 128, CHECK_BYTES = 2 << 20 };

enum way { BY_DIGEST, BY_PIECE, BY_BYTES, BY_LARGE };

struct expected {
    uint32_t part;
    uint64_t head;
    uint64_t offset; /* in bytes */
    uint8_t digest[DIGEST_SIZE];
    bool is_file, same;
};

struct check {
    enum way way;
    struct job *job;
    struct expected *items;
    size_t count, cap;
    uint8_t (
        *ids)[DIGEST_SIZE]; /* of the piece, or of the heads of a large file, then of its chunks */
    size_t head_count;
    uint32_t *chunks; /* raw lengths of the chunks */
    size_t chunk_count;
    struct buf bytes; /* of the piece */
};

struct job {
    struct stream *stream;
    struct prev *prev;
    const struct prev_segment *s;
    struct parts *parts;
    struct item *open; /* of BY_DIGEST */
    uint64_t open_bytes;
    size_t left; /* items given and not done */
};

static void check_free(void *arg)
{
    struct check *c = arg;
    free(c->items);
    free(c->ids);
    free(c->chunks);
    buf_fini(&c->bytes);
    free(c);
}

/* -- in a worker --------------------------------------------------------------------------- */

static bool entry_is(const struct item_entry *e, const struct expected *x)
{
    return e->extra.head == x->head &&
           (!x->is_file || memcmp(e->extra.digest, x->digest, DIGEST_SIZE) == 0);
}

static bool bytes_are(const struct buf *raw, const struct buf *bytes, uint64_t offset)
{
    return offset <= bytes->len && raw->len <= bytes->len - offset &&
           memcmp(raw->data, bytes->data + offset, raw->len) == 0;
}

static void compare_each(struct worker *w, struct item *it)
{
    struct check *c = it->arg;
    for (uint32_t i = 0; i < it->entry_count; i++) {
        struct expected *x = &c->items[i];
        buf_clear(&w->raw);
        worker_entry(w, it, i);
        if (it->entries[i].drop == ITEM_KEPT)
            x->same = c->way == BY_DIGEST ? entry_is(&it->entries[i], x)
                                          : bytes_are(&w->raw, &c->bytes, x->offset);
    }
    buf_clear(&w->raw);
}

static void compare_piece(struct worker *w, struct item *it)
{
    struct check *c = it->arg;
    uint8_t id[DIGEST_SIZE];
    bool whole = true;
    buf_clear(&w->raw);
    for (uint32_t i = 0; i < it->entry_count && w->raw.len < PIECE_RAW_MAX; i++) {
        worker_entry(w, it, i);
        whole = whole && it->entries[i].drop == ITEM_KEPT;
    }
    hash_bytes(w->raw.data, w->raw.len, id);
    buf_clear(&w->raw);
    whole = whole && memcmp(id, c->ids[0], DIGEST_SIZE) == 0;
    for (size_t i = 0; i < c->count; i++)
        c->items[i].same = whole;
}

static bool head_is(const struct buf *raw, const struct check *c)
{
    uint8_t id[DIGEST_SIZE];
    for (size_t i = 0; i < c->head_count; i++) {
        size_t at = i * HEAD_PIECE_SIZE;
        size_t left = at < raw->len ? raw->len - at : 0;
        size_t len = i + 1 < c->head_count && left > HEAD_PIECE_SIZE ? HEAD_PIECE_SIZE : left;
        hash_bytes(raw->data + at, len, id);
        if (len == 0 || memcmp(id, c->ids[i], DIGEST_SIZE) != 0)
            return false;
    }
    return true;
}

/* The next chunk of the file, of which so many data are left: the last one ends with padding. */
static bool chunk_is(struct worker *w, struct data *d, uint64_t left, size_t raw, const uint8_t *id)
{
    uint8_t have[DIGEST_SIZE];
    size_t len = left < raw ? (size_t)left : raw;
    buf_clear(&w->raw);
    char *bytes = buf_reserve(&w->raw, raw);
    data_read(d, bytes, len);
    memset(bytes + len, 0, raw - len);
    hash_bytes(bytes, raw, have);
    return d->missing == 0 && memcmp(have, id, DIGEST_SIZE) == 0;
}

/* Chunk by chunk, as it is cut in the snapshot before: the first that differs ends it. */
static bool data_is(struct worker *w, struct item *it, struct data *d)
{
    const struct check *c = it->arg;
    uint64_t at = 0, end = d->head->data, total = 0;
    bool same = true;
    for (size_t i = 0; i < c->chunk_count; i++)
        total += c->chunks[i];
    if (total != head_padded(end))
        return false;
    for (size_t i = 0; i < c->chunk_count && same; i++) {
        same = at < end && chunk_is(w, d, end - at, c->chunks[i], c->ids[c->head_count + i]);
        at += c->chunks[i];
    }
    it->bytes += at < end ? at : end;
    return same;
}

static bool stat_is(int fd, const struct scan_stat *expected)
{
    struct stat st;
    struct scan_stat now;
    if (fstat(fd, &st) != 0)
        return false;
    scan_stat_set(&now, &st);
    return worker_same_file(&now, expected) && worker_same_stat(&now, expected);
}

static void compare_large(struct worker *w, struct item *it)
{
    struct check *c = it->arg;
    struct item_entry *e = &it->entries[0];
    const char *path = item_path(it, e);
    DR_CLEANUP(dr_close_fd) int fd = scan_opener_file(w->opener, path, false);
    struct backup_place at = { .dir = -1, .name = "", .path = path, .fd = fd };
    if (fd < 0 || !stat_is(fd, &e->st) || !entry_read(&w->entry, &at, &e->st) || w->entry.lost)
        return;
    buf_clear(&w->raw);
    head_write(&w->raw, &w->entry.head);
    struct data d = { .fd = fd, .head = &w->entry.head };
    if (!head_is(&w->raw, c) || !data_is(w, it, &d) || !stat_is(fd, &e->st))
        return;
    worker_set_extra(w, &e->st, &e->extra);
    c->items[0].same = true;
    buf_clear(&w->raw);
}

/* -- in the planning thread ---------------------------------------------------------------- */

/* Equal ones are as known as if they had been stored now. The others are read again. */
static enum dr_rc take_verdicts(struct stream *s, struct item *it, struct dr_err *err)
{
    struct check *c = it->arg;
    struct job *j = c->job;
    for (size_t i = 0; i < c->count; i++) {
        const struct expected *x = &c->items[i];
        const struct item_entry *e = &it->entries[i];
        struct part *part = &j->parts->items[x->part];
        bool known = x->same && (e->extra.flags & EXTRA_KNOWN) != 0;
        part->verdict = known ? PART_SAME : PART_READ;
        if (known)
            j->s->extras[part->old] = e->extra;
    }
    DR_ASSERT(j->left > 0);
    j->left--;
    s->totals.read += it->bytes;
    (void)err;
    return DR_OK;
}

static struct check *check_of(struct job *j, enum way way, struct item **ret)
{
    static void (*const work[])(struct worker *, struct item *) = { [BY_DIGEST] = compare_each,
                                                                    [BY_PIECE] = compare_piece,
                                                                    [BY_BYTES] = compare_each,
                                                                    [BY_LARGE] = compare_large };
    struct item *it = ring_item(j->stream);
    struct check *c = dr_alloc(1, sizeof *c);
    c->way = way;
    c->job = j;
    it->work = work[way];
    it->done = take_verdicts;
    it->arg = c;
    it->drop_arg = check_free;
    *ret = it;
    return c;
}

static enum dr_rc give(struct job *j, struct item *it, struct dr_err *err)
{
    j->left++;
    enum dr_rc rc = ring_give(j->stream, it, err);
    if (rc != DR_OK) /* it was not given */
        j->left--;
    return rc;
}

static void add_entry(struct job *j, struct item *it, uint32_t index)
{
    struct check *c = it->arg;
    const struct part *part = &j->parts->items[index];
    const struct toc_record *r = &j->s->records[part->old];
    const struct prev_extra *extra = &j->s->extras[part->old];
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 16 : c->cap * 2;
        c->items = dr_realloc(c->items, c->cap, sizeof *c->items);
    }
    struct expected *x = &c->items[c->count++];
    *x = (struct expected){
        .part = index, .head = extra->head, .offset = r->offset, .is_file = r->type == '0'
    };
    memcpy(x->digest, extra->digest, DIGEST_SIZE); /* not of a large one */
    item_add_entry(it, &part->now, part->link_to);
}

static enum dr_rc end_open(struct job *j, struct dr_err *err)
{
    struct item *it = j->open;
    j->open = NULL;
    j->open_bytes = 0;
    return it != NULL ? give(j, it, err) : DR_OK;
}

static enum dr_rc check_digest(struct job *j, uint32_t index, struct dr_err *err)
{
    if (j->open == NULL)
        check_of(j, BY_DIGEST, &j->open);
    add_entry(j, j->open, index);
    j->open_bytes += j->parts->items[index].now.st.size;
    if (j->open->entry_count >= CHECK_ENTRIES || j->open_bytes >= CHECK_BYTES)
        return end_open(j, err);
    return DR_OK;
}

static enum dr_rc check_large(struct job *j, uint32_t index, struct dr_err *err)
{
    struct item *it;
    struct check *c = check_of(j, BY_LARGE, &it);
    const struct toc_record *r = &j->s->records[j->parts->items[index].old];
    add_entry(j, it, index);
    c->head_count = r->nhead;
    c->chunk_count = r->nchunk;
    c->ids = dr_alloc((size_t)r->nhead + r->nchunk, DIGEST_SIZE);
    c->chunks = dr_alloc((size_t)r->nchunk + 1, sizeof *c->chunks);
    for (size_t i = 0; i < (size_t)r->nhead + r->nchunk; i++) {
        const struct toc_piece *row = &j->s->toc.pieces[r->piece + i];
        memcpy(c->ids[i], row->id, DIGEST_SIZE);
        if (i >= r->nhead)
            c->chunks[i - r->nhead] = (uint32_t)row->raw;
    }
    return give(j, it, err);
}

/* All entries of a piece, in the order in which they lie there: that of paths. */
static enum dr_rc check_piece(struct job *j, uint32_t piece, bool whole, struct dr_err *err)
{
    struct item *it;
    struct check *c = check_of(j, whole ? BY_PIECE : BY_BYTES, &it);
    for (uint32_t i = 0; i < j->parts->count; i++) {
        const struct part *part = &j->parts->items[i];
        if (part->old != PART_NEW && j->s->records[part->old].piece == piece &&
            (whole || part->verdict == PART_CHECK))
            add_entry(j, it, i);
    }
    if (whole) {
        c->ids = dr_alloc(1, DIGEST_SIZE);
        memcpy(c->ids[0], j->s->toc.pieces[piece].id, DIGEST_SIZE);
        return give(j, it, err);
    }
    const struct buf *bytes = NULL;
    enum dr_rc rc = prev_piece(j->prev, piece, &bytes, err);
    if (rc == DR_OK)
        buf_add(&c->bytes, bytes->data, bytes->len);
    enum dr_rc given = give(j, it, err); /* without bytes nothing is equal */
    return rc != DR_OK ? rc : given;
}

struct pieces { /* what each row of the segment needs */
    uint8_t *unsure, *broken;
};

static void look_at_pieces(const struct job *j, struct pieces *ret)
{
    for (size_t i = 0; i < j->parts->count; i++) {
        const struct part *part = &j->parts->items[i];
        if (part->old == PART_NEW)
            continue;
        uint32_t piece = j->s->records[part->old].piece;
        if (part->verdict == PART_READ || part->verdict == PART_GONE)
            ret->broken[piece] = 1;
    }
    for (size_t i = 0; i < j->s->toc.piece_count; i++)
        if (j->s->toc.pieces[i].superseded > 0)
            ret->broken[i] = 1;
}

static bool knows_digest(const struct job *j, const struct part *part)
{
    uint32_t flags = j->s->extras[part->old].flags;
    bool file = j->s->records[part->old].type == '0';
    return (flags & EXTRA_HEAD) != 0 && (!file || (flags & EXTRA_DIGEST) != 0);
}

static enum dr_rc check_all(struct job *j, struct pieces *pieces, struct dr_err *err)
{
    for (uint32_t i = 0; i < j->parts->count; i++) {
        const struct part *part = &j->parts->items[i];
        if (part->verdict != PART_CHECK)
            continue;
        const struct toc_record *r = &j->s->records[part->old];
        if (r->nhead > 0)
            DR_TRY(check_large(j, i, err));
        else if (knows_digest(j, part))
            DR_TRY(check_digest(j, i, err));
        else
            pieces->unsure[r->piece] = 1;
    }
    DR_TRY(end_open(j, err));
    for (uint32_t i = 0; i < j->s->toc.piece_count; i++)
        if (pieces->unsure[i] != 0)
            DR_TRY(check_piece(j, i, pieces->broken[i] == 0, err));
    return DR_OK;
}

enum dr_rc stream_check(struct stream *stream, struct prev *prev, const struct prev_segment *s,
                        struct parts *parts, struct dr_err *err)
{
    struct job j = { .stream = stream, .prev = prev, .s = s, .parts = parts };
    bool any = false;
    for (size_t i = 0; i < parts->count && !any; i++)
        any = parts->items[i].verdict == PART_CHECK;
    if (!any)
        return DR_OK;
    struct pieces pieces = { dr_alloc(s->toc.piece_count + 1, 1),
                             dr_alloc(s->toc.piece_count + 1, 1) };
    look_at_pieces(&j, &pieces);
    enum dr_rc rc = check_all(&j, &pieces, err);
    /* After a failure, too: items in the ring point at j. */
    while (j.left > 0) {
        struct dr_err other;
        enum dr_rc done = ring_finish_one(stream, rc == DR_OK ? err : &other);
        rc = rc == DR_OK ? done : rc;
    }
    free(pieces.unsure);
    free(pieces.broken);
    return rc;
}
