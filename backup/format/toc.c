/*
 * Reading segments. The tables are read whole, since restore asks for pieces by index; records
 * stay where they are and are decoded one by one, so that long paths cost no memory.
 */
#include "backup/format/toc.h"

#include <string.h>

#include "backup/format/path.h"
#include "dr/base/mem.h"

struct toc_owner {
    uint32_t mode, uid, gid;
};

enum { PIECE_BYTES_MIN = 38, MODE_MAX = 07777, NSEC_MAX = 999999999 };

void toc_close(struct toc_segment *s)
{
    free(s->packs);
    free(s->pieces);
    free(s->owners);
    free(s->ranges);
    buf_fini(&s->path);
    buf_fini(&s->link);
    *s = (struct toc_segment){ .packs = NULL };
}

static enum dr_rc read_packs(struct toc_segment *s, size_t count, const uint8_t self[DIGEST_SIZE],
                             struct dr_err *err)
{
    static const uint8_t zeros[DIGEST_SIZE];
    const uint8_t *p;
    DR_TRY(wire_take(&s->records, count * DIGEST_SIZE, &p, err));
    s->packs = dr_alloc(count + 1, DIGEST_SIZE);
    for (; s->pack_count < count; s->pack_count++, p += DIGEST_SIZE) {
        bool own = memcmp(p, zeros, DIGEST_SIZE) == 0;
        memcpy(s->packs[s->pack_count], own ? self : p, DIGEST_SIZE);
    }
    return DR_OK;
}

static enum dr_rc read_piece(struct toc_segment *s, struct toc_piece *piece, struct dr_err *err)
{
    struct wire *w = &s->records;
    uint8_t kind;
    uint64_t pack;
    const uint8_t *id;
    DR_TRY(wire_u8(w, &kind, err));
    DR_TRY(wire_take(w, DIGEST_SIZE, &id, err));
    DR_TRY(wire_varint(w, SEGMENT_PACKS_MAX, &pack, err));
    DR_TRY(wire_varint(w, PACK_SIZE_MAX, &piece->offset, err));
    DR_TRY(wire_varint(w, PIECE_RAW_MAX + FRAME_SLACK, &piece->stored, err));
    DR_TRY(wire_varint(w, PIECE_RAW_MAX, &piece->raw, err));
    DR_TRY(wire_varint(w, PIECE_RAW_MAX, &piece->superseded, err));
    if (kind >= FRAME_PIECE_KINDS)
        return wire_bad(w, err, "piece of an unknown kind");
    if (pack >= s->pack_count || piece->raw == 0 ||
        (kind != FRAME_CHUNK && piece->raw % BLOCK_SIZE != 0) || piece->stored == 0 ||
        piece->stored > piece->raw + FRAME_SLACK)
        return wire_bad(w, err, "piece with impossible numbers");
    piece->kind = (enum frame_kind)kind;
    piece->pack = (uint32_t)pack;
    memcpy(piece->id, id, DIGEST_SIZE);
    return DR_OK;
}

static enum dr_rc read_pieces(struct toc_segment *s, size_t count, struct dr_err *err)
{
    if (count > wire_left(&s->records) / PIECE_BYTES_MIN)
        return wire_bad(&s->records, err, "more pieces than bytes for them");
    s->pieces = dr_alloc(count + 1, sizeof *s->pieces);
    for (; s->piece_count < count; s->piece_count++)
        DR_TRY(read_piece(s, &s->pieces[s->piece_count], err));
    return DR_OK;
}

static enum dr_rc read_owners(struct toc_segment *s, size_t count, struct dr_err *err)
{
    struct wire *w = &s->records;
    s->owners = dr_alloc(count + 1, sizeof *s->owners);
    for (; s->owner_count < count; s->owner_count++) {
        uint64_t mode, uid, gid;
        DR_TRY(wire_varint(w, MODE_MAX, &mode, err));
        DR_TRY(wire_varint(w, UINT32_MAX, &uid, err));
        DR_TRY(wire_varint(w, UINT32_MAX, &gid, err));
        s->owners[s->owner_count] =
            (struct toc_owner){ (uint32_t)mode, (uint32_t)uid, (uint32_t)gid };
    }
    return DR_OK;
}

static enum dr_rc read_ranges(struct toc_segment *s, size_t count, struct dr_err *err)
{
    struct wire *w = &s->records;
    s->ranges = dr_alloc(count + 1, sizeof *s->ranges);
    for (; s->range_count < count; s->range_count++) {
        uint64_t first, bundle;
        DR_TRY(wire_varint(w, s->record_count, &first, err));
        DR_TRY(wire_varint(w, s->piece_count, &bundle, err));
        if (s->range_count > 0 && first < s->ranges[s->range_count - 1].first)
            return wire_bad(w, err, "ranges are not in order");
        if (bundle > 0 && s->pieces[bundle - 1].kind != FRAME_BUNDLE)
            return wire_bad(w, err, "a range whose bundle is none");
        s->ranges[s->range_count] = (struct toc_range){ (uint32_t)first, (uint32_t)bundle };
    }
    return DR_OK;
}

static enum dr_rc read_tables(struct toc_segment *s, const uint8_t self[DIGEST_SIZE],
                              struct dr_err *err)
{
    static const uint64_t limits[5] = { SEGMENT_PACKS_MAX, SEGMENT_PIECES_MAX, SEGMENT_RECORDS_MAX,
                                        SEGMENT_RECORDS_MAX, SEGMENT_RECORDS_MAX };
    uint64_t n[5]; /* packs, pieces, owners, ranges, records */
    DR_TRY(wire_magic(&s->records, "DTC1", err));
    for (size_t i = 0; i < DR_ARRAY_LEN(n); i++)
        DR_TRY(wire_varint(&s->records, limits[i], &n[i], err));
    s->record_count = n[4];
    DR_TRY(read_packs(s, n[0], self, err));
    DR_TRY(read_pieces(s, n[1], err));
    DR_TRY(read_owners(s, n[2], err));
    return read_ranges(s, n[3], err);
}

enum dr_rc toc_open(const char *what, const void *data, size_t len, const uint8_t self[DIGEST_SIZE],
                    struct toc_segment *ret, struct dr_err *err)
{
    struct toc_segment s = { .records = wire_of(what, data, len) };
    enum dr_rc rc = len > SEGMENT_RAW_MAX ? wire_bad(&s.records, err, "larger than its limit")
                                          : read_tables(&s, self, err);
    if (rc != DR_OK) {
        toc_close(&s);
        return rc;
    }
    *ret = s;
    return DR_OK;
}

/* The path: how much it shares with the one before, and the rest. It must come behind that one. */
static enum dr_rc read_path(struct toc_segment *s, struct toc_record *r, struct dr_err *err)
{
    struct wire *w = &s->records;
    uint64_t prefix, len;
    const uint8_t *suffix;
    DR_TRY(wire_varint(w, s->path.len, &prefix, err));
    DR_TRY(wire_varint(w, PATH_LEN_MAX - prefix, &len, err));
    DR_TRY(wire_take(w, len, &suffix, err));
    buf_reserve(&s->link, s->path.len);
    s->link.len = 0;
    buf_add(&s->link, s->path.len > 0 ? s->path.data : "", s->path.len); /* the path before */
    s->path.len = prefix;
    buf_add(&s->path, suffix, len);
    if (!path_is_valid(s->path.data, s->path.len))
        return wire_bad(w, err, "a path that must not be");
    if (s->done > 0 && path_compare(s->link.data, s->path.data) >= 0)
        return wire_bad(w, err, "paths are not in order");
    r->path = s->path.data;
    r->path_len = s->path.len;
    return DR_OK;
}

static enum dr_rc read_link(struct toc_segment *s, struct toc_record *r, struct dr_err *err)
{
    uint64_t len;
    const uint8_t *text;
    DR_TRY(wire_varint(&s->records, PATH_LEN_MAX, &len, err));
    DR_TRY(wire_take(&s->records, len, &text, err));
    buf_clear(&s->link);
    buf_add(&s->link, text, len);
    if (len == 0 || memchr(text, '\0', len) != NULL ||
        (r->type == '1' && !path_is_valid(s->link.data, len)))
        return wire_bad(&s->records, err, "a link that must not be");
    if (r->type == '1' && path_compare(s->link.data, r->path) >= 0)
        return wire_bad(&s->records, err, "a hard link before its target");
    r->link = s->link.data;
    return DR_OK;
}

static bool kinds_fit(const struct toc_segment *s, const struct toc_record *r)
{
    uint64_t pieces = r->nhead == 0 ? 1 : (uint64_t)r->nhead + r->nchunk;
    if (r->piece >= s->piece_count || pieces > s->piece_count - r->piece)
        return false;
    const struct toc_piece *p = &s->pieces[r->piece];
    if (r->offset >= p->raw)
        return false;
    if (r->nhead == 0)
        return r->type == '5'   ? p->kind == FRAME_DIRECTORIES
               : r->type == '1' ? p->kind == FRAME_LINKS
                                : p->kind == FRAME_BUNDLE || p->kind == FRAME_OVERLAY;
    for (uint64_t i = 0; i < pieces; i++)
        if (p[i].kind != (i < r->nhead ? FRAME_HEAD : FRAME_CHUNK))
            return false;
    return r->offset == 0;
}

static enum dr_rc read_file(struct toc_segment *s, struct toc_record *r, struct dr_err *err)
{
    struct wire *w = &s->records;
    uint64_t nhead, nchunk;
    const uint8_t *digest;
    DR_TRY(wire_varint(w, INT64_MAX, &r->size, err));
    DR_TRY(wire_varint(w, s->piece_count, &nhead, err));
    DR_TRY(wire_varint(w, nhead == 0 ? 0 : s->piece_count, &nchunk, err));
    r->nhead = (uint32_t)nhead;
    r->nchunk = (uint32_t)nchunk;
    if (nhead > 0) {
        DR_TRY(wire_take(w, DIGEST_SIZE, &digest, err));
        memcpy(r->digest, digest, DIGEST_SIZE);
    }
    return DR_OK;
}

static enum dr_rc read_rest(struct toc_segment *s, struct toc_record *r, struct dr_err *err)
{
    uint64_t major = 0, minor = 0;
    if (r->type == '0')
        DR_TRY(read_file(s, r, err));
    else if (r->type == '1' || r->type == '2')
        DR_TRY(read_link(s, r, err));
    else if (r->type == '3' || r->type == '4') {
        DR_TRY(wire_varint(&s->records, UINT32_MAX, &major, err));
        DR_TRY(wire_varint(&s->records, UINT32_MAX, &minor, err));
    }
    r->major = (uint32_t)major;
    r->minor = (uint32_t)minor;
    if (!kinds_fit(s, r))
        return wire_bad(&s->records, err, "a record that does not fit its piece");
    return DR_OK;
}

/* What all types have between type and the rest. */
static enum dr_rc read_common(struct toc_segment *s, struct toc_record *r, struct dr_err *err)
{
    struct wire *w = &s->records;
    uint64_t owner, nsec, piece, offset;
    int64_t delta;
    DR_TRY(wire_varint(w, UINT32_MAX, &owner, err));
    DR_TRY(wire_svarint(w, &delta, err));
    DR_TRY(wire_varint(w, NSEC_MAX, &nsec, err));
    DR_TRY(wire_varint(w, UINT32_MAX, &piece, err));
    DR_TRY(wire_varint(w, PIECE_RAW_MAX / BLOCK_SIZE, &offset, err));
    if (owner >= s->owner_count || __builtin_add_overflow(s->mtime_s, delta, &s->mtime_s))
        return wire_bad(w, err, "a record with impossible numbers");
    r->mode = s->owners[owner].mode;
    r->uid = s->owners[owner].uid;
    r->gid = s->owners[owner].gid;
    r->mtime_s = s->mtime_s;
    r->mtime_ns = (uint32_t)nsec;
    r->piece = (uint32_t)piece;
    r->offset = offset * BLOCK_SIZE;
    return DR_OK;
}

static enum dr_rc read_record(struct toc_segment *s, struct toc_record *r, struct dr_err *err)
{
    uint8_t type;
    DR_TRY(read_path(s, r, err));
    DR_TRY(wire_u8(&s->records, &type, err));
    if (type < '0' || type > '6' || (r->path_len == 0 && type != '5'))
        return wire_bad(&s->records, err, "a record of an unknown type");
    r->type = (char)type;
    DR_TRY(read_common(s, r, err));
    return read_rest(s, r, err);
}

enum dr_rc toc_next(struct toc_segment *s, struct toc_record *ret, bool *ret_more,
                    struct dr_err *err)
{
    struct toc_record r = { .path = NULL };
    if (s->done == s->record_count) {
        if (wire_left(&s->records) != 0)
            return wire_bad(&s->records, err, "bytes behind the last record");
        *ret_more = false;
        return DR_OK;
    }
    DR_TRY(read_record(s, &r, err));
    s->done++;
    *ret = r;
    *ret_more = true;
    return DR_OK;
}
