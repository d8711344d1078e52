/*
 * Diff: two cursors over two tables of contents, always at the smaller path. The cursors stand on segments
 * that are not decoded until an entry is needed, since the list names the first path of each.
 */
#include "backup/work/diff.h"

#include <string.h>

#include "backup/format/path.h"
#include "backup/work/reader.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

/* Bundles, directories and links of a segment alternate in path order: so many pieces are kept a side. */
enum { PIECES_KEPT = 4, PROGRESS_MS = 100 };

struct kept_piece {
    struct buf bytes;
    uint8_t id[DIGEST_SIZE];
    uint64_t used; /* when last; 0: empty */
};

struct side {
    struct reader *reader;
    size_t segment, record;     /* the cursor */
    const struct segment *open; /* decoded; NULL: not yet */
    struct kept_piece kept[PIECES_KEPT];
    uint64_t clock;
};

struct diff {
    struct side before, after;
    const struct work_hooks *hooks;
    struct work_progress progress;
    int64_t told_ms;
    diff_fn *fn;
    void *arg;
    struct diff_totals totals;
};

static void side_fini(struct side *s)
{
    reader_close(s->reader);
    for (size_t i = 0; i < PIECES_KEPT; i++)
        buf_fini(&s->kept[i].bytes);
}

static void diff_fini(struct diff *d)
{
    side_fini(&d->before);
    side_fini(&d->after);
}

/* -- cursors ------------------------------------------------------------------------------- */

static bool at_end(const struct side *s)
{
    return s->segment == reader_segment_count(s->reader);
}

/* The path under the cursor; NULL at the end. Decodes nothing at the first record of a segment. */
static const char *path_at(const struct side *s)
{
    if (at_end(s))
        return NULL;
    if (s->open != NULL)
        return s->open->records[s->record].path;
    const struct buf *first = &reader_segment_frame(s->reader, s->segment)->first;
    return first->data != NULL ? first->data : "";
}

static enum dr_rc record_at(struct side *s, const struct toc_record **ret, struct dr_err *err)
{
    if (s->open == NULL)
        DR_TRY(reader_segment(s->reader, s->segment, &s->open, err));
    if (s->open->count == 0)
        return dr_fail(err, DR_E_CORRUPT, "a segment of the table of contents is empty");
    *ret = &s->open->records[s->record];
    return DR_OK;
}

static void next_segment(struct side *s)
{
    s->segment++;
    s->record = 0;
    s->open = NULL;
}

static void next_record(struct side *s)
{
    if (++s->record == s->open->count)
        next_segment(s);
}

/* Both stand at the beginning of one and the same segment: all of it is unchanged. */
static bool pass_shared(struct diff *d)
{
    struct side *a = &d->before, *b = &d->after;
    if (at_end(a) || at_end(b) || a->record > 0 || b->record > 0)
        return false;
    const struct list_frame *f = reader_segment_frame(a->reader, a->segment);
    const struct list_frame *g = reader_segment_frame(b->reader, b->segment);
    if (memcmp(f->id, g->id, DIGEST_SIZE) != 0)
        return false;
    d->totals.segments_shared++;
    d->totals.unchanged += g->entries;
    d->progress.entries += g->entries;
    next_segment(a);
    next_segment(b);
    return true;
}

/* -- heads and bytes ----------------------------------------------------------------------- */

static enum dr_rc piece_of(struct side *s, uint32_t number, const struct buf **ret,
                           struct dr_err *err)
{
    const uint8_t *id = s->open->toc.pieces[number].id;
    struct kept_piece *oldest = &s->kept[0];
    for (size_t i = 0; i < PIECES_KEPT; i++) {
        struct kept_piece *k = &s->kept[i];
        if (k->used != 0 && memcmp(k->id, id, DIGEST_SIZE) == 0) {
            k->used = ++s->clock;
            *ret = &k->bytes;
            return DR_OK;
        }
        if (k->used < oldest->used)
            oldest = k;
    }
    const struct buf *bytes = NULL;
    DR_TRY(reader_piece(s->reader, s->open, number, &bytes, err));
    buf_clear(&oldest->bytes);
    buf_add(&oldest->bytes, bytes->data, bytes->len);
    memcpy(oldest->id, id, DIGEST_SIZE);
    oldest->used = ++s->clock;
    *ret = &oldest->bytes;
    return DR_OK;
}

/* The head of an entry, and the data of a small one behind it (else NULL). */
static enum dr_rc head_of(struct side *s, const struct toc_record *rec, struct head *ret,
                          const uint8_t **ret_data, struct dr_err *err)
{
    if (rec->nhead > 0)
        return reader_head(s->reader, s->open, rec, ret, ret_data, err);
    const struct buf *bytes = NULL;
    size_t used = 0, at = (size_t)rec->offset;
    DR_TRY(piece_of(s, rec->piece, &bytes, err));
    if (rec->offset >= bytes->len)
        return dr_fail(err, DR_E_CORRUPT, "an entry lies behind the end of its piece");
    struct head h = { 0 };
    DR_TRY(head_parse("the head of an entry", bytes->data + at, bytes->len - at, &h, &used, err));
    if (h.type == '0' && h.data > bytes->len - at - used) {
        head_fini(&h);
        return dr_fail(err, DR_E_CORRUPT, "the data of an entry end behind its piece");
    }
    *ret = h;
    *ret_data = (const uint8_t *)bytes->data + at + used;
    return DR_OK;
}

static bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool same_attributes(const struct head *a, const struct head *b)
{
    if (!same_text(a->acl_access, b->acl_access) || !same_text(a->acl_default, b->acl_default) ||
        a->xattr_count != b->xattr_count)
        return false;
    for (size_t i = 0; i < a->xattr_count; i++) {
        const struct head_xattr *x = &a->xattrs[i], *y = &b->xattrs[i];
        if (strcmp(x->name, y->name) != 0 || x->len != y->len ||
            (x->len > 0 && memcmp(x->value, y->value, x->len) != 0))
            return false;
    }
    return true;
}

/* Where the data of a file lie in it. */
static bool same_extents(const struct head *a, const struct head *b)
{
    if (a->data != b->data || a->extent_count != b->extent_count)
        return false;
    for (size_t i = 0; i < a->extent_count; i++) {
        if (a->extents[i].offset != b->extents[i].offset || a->extents[i].len != b->extents[i].len)
            return false;
    }
    return true;
}

/* Entries of one path, type and size in different pieces: what the heads and the bytes tell. */
static enum dr_rc look_inside(struct diff *d, const struct toc_record *a,
                              const struct toc_record *b, unsigned *what, struct dr_err *err)
{
    DR_CLEANUP(head_fini) struct head ha = { 0 };
    DR_CLEANUP(head_fini) struct head hb = { 0 };
    const uint8_t *da = NULL, *db = NULL;
    enum dr_rc rc = head_of(&d->before, a, &ha, &da, err);
    if (rc == DR_OK)
        rc = head_of(&d->after, b, &hb, &db, err);
    if (rc != DR_OK)
        return dr_context(err, "'%s'", a->path);
    if (!same_attributes(&ha, &hb))
        *what |= DIFF_ATTRIBUTES;
    if (a->type != '0')
        return DR_OK;
    bool same = same_extents(&ha, &hb);
    if (a->nhead > 0 && b->nhead > 0)
        same = same && memcmp(a->digest, b->digest, DIGEST_SIZE) == 0;
    else if (a->nhead == 0 && b->nhead == 0)
        same = same &&
               (ha.data == 0 || (da != NULL && db != NULL && memcmp(da, db, (size_t)ha.data) == 0));
    else
        same = false; /* other holes: the number of extents makes a file a large one */
    if (!same)
        *what |= DIFF_CONTENT;
    return DR_OK;
}

/* -- entries ------------------------------------------------------------------------------- */

static bool same_place(const struct side *x, const struct toc_record *a, const struct side *y,
                       const struct toc_record *b)
{
    return a->offset == b->offset && a->nhead == b->nhead && a->nchunk == b->nchunk &&
           memcmp(a->digest, b->digest, DIGEST_SIZE) == 0 &&
           memcmp(x->open->toc.pieces[a->piece].id, y->open->toc.pieces[b->piece].id,
                  DIGEST_SIZE) == 0;
}

static unsigned by_record(const struct toc_record *a, const struct toc_record *b)
{
    unsigned what = 0;
    if (a->mode != b->mode)
        what |= DIFF_MODE;
    if (a->uid != b->uid || a->gid != b->gid)
        what |= DIFF_OWNER;
    if (a->mtime_s != b->mtime_s || a->mtime_ns != b->mtime_ns)
        what |= DIFF_TIME;
    if (a->size != b->size || !same_text(a->link, b->link) || a->major != b->major ||
        a->minor != b->minor)
        what |= DIFF_CONTENT;
    return what;
}

static uint64_t size_of(const struct toc_record *rec)
{
    return rec != NULL && rec->type == '0' ? rec->size : 0;
}

static char type_of(const struct toc_record *rec)
{
    if (rec == NULL)
        return '\0';
    return rec->type;
}

static void give(struct diff *d, enum diff_kind kind, const struct toc_record *a,
                 const struct toc_record *b, unsigned what)
{
    DR_ASSERT(a != NULL || b != NULL);
    const struct diff_change change = {
        .kind = kind,
        .path = b != NULL ? b->path : a->path,
        .what = what,
        .type_before = type_of(a),
        .type_after = type_of(b),
        .size_before = size_of(a),
        .size_after = size_of(b),
    };
    d->totals.of[kind]++;
    if (kind != DIFF_CHANGED || (what & DIFF_CONTENT) != 0) {
        d->totals.bytes_removed += change.size_before;
        d->totals.bytes_added += change.size_after;
    }
    if (d->fn != NULL)
        d->fn(d->arg, &change);
}

static enum dr_rc compare(struct diff *d, const struct toc_record *a, const struct toc_record *b,
                          struct dr_err *err)
{
    unsigned what = 0;
    if (a->type != b->type) {
        give(d, DIFF_TYPE, a, b, 0);
        return DR_OK;
    }
    if (!same_place(&d->before, a, &d->after, b)) {
        what = by_record(a, b);
        if (a->type != '1' && (what & DIFF_CONTENT) == 0)
            DR_TRY(look_inside(d, a, b, &what, err));
    }
    if (what == DIFF_TIME && a->type == '5')
        d->totals.times++;
    else if (what != 0)
        give(d, DIFF_CHANGED, a, b, what);
    else
        d->totals.unchanged++;
    return DR_OK;
}

static enum dr_rc tell_progress(struct diff *d, struct dr_err *err)
{
    int64_t now = clock_boot_ms();
    d->progress.entries++;
    if (d->hooks == NULL || d->hooks->progress == NULL || now - d->told_ms < PROGRESS_MS)
        return DR_OK;
    d->told_ms = now;
    if (d->hooks->progress(d->hooks->arg, &d->progress))
        return DR_OK;
    return dr_fail(err, DR_E_CANCELLED, "the comparison was stopped");
}

/* One step: the entry with the smaller path, or both. */
static enum dr_rc step(struct diff *d, struct dr_err *err)
{
    struct side *x = &d->before, *y = &d->after;
    const char *p = path_at(x), *q = path_at(y);
    int order = p == NULL ? 1 : q == NULL ? -1 : path_compare(p, q);
    const struct toc_record *a = NULL, *b = NULL;
    if (order <= 0)
        DR_TRY(record_at(x, &a, err));
    if (order >= 0)
        DR_TRY(record_at(y, &b, err));
    if (order < 0)
        give(d, DIFF_REMOVED, a, NULL, 0);
    else if (order > 0)
        give(d, DIFF_ADDED, NULL, b, 0);
    else
        DR_TRY(compare(d, a, b, err));
    if (a != NULL)
        next_record(x);
    if (b != NULL)
        next_record(y);
    return tell_progress(d, err);
}

enum dr_rc diff_run(struct repo *r, const struct diff_wish *wish, const struct work_hooks *hooks,
                    struct diff_totals *ret, struct dr_err *err)
{
    DR_CLEANUP(diff_fini) struct diff d = { .hooks = hooks, .fn = wish->fn, .arg = wish->arg };
    d.progress =
        (struct work_progress){ .doing = "comparing", .entries_total = wish->after->entries };
    DR_TRY(reader_open(r, wish->before, hooks, &d.before.reader, err));
    DR_TRY(reader_open(r, wish->after, hooks, &d.after.reader, err));
    d.totals.segments = reader_segment_count(d.after.reader);
    while (!at_end(&d.before) || !at_end(&d.after)) {
        if (!pass_shared(&d))
            DR_TRY(step(&d, err));
    }
    *ret = d.totals;
    return DR_OK;
}
