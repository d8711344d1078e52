/*
 * Writing segments. Records are encoded as they come; pieces keep the caller's own numbers of
 * packs until the end, because a pack has its name only when it is sealed.
 */
#include <string.h>

#include "backup/format/path.h"
#include "backup/format/toc.h"
#include "dr/base/mem.h"

struct owner {
    uint32_t mode, uid, gid;
};

struct toc_writer {
    struct toc_piece *pieces;
    size_t piece_count, piece_cap;
    struct owner *owners; /* few: searched from the newest */
    size_t owner_count, owner_cap;
    struct buf records, ranges, path;
    size_t record_count, range_count;
    int64_t mtime_s;
};

struct toc_writer *toc_writer_new(void)
{
    return dr_alloc(1, sizeof(struct toc_writer));
}

void toc_writer_free(struct toc_writer *w)
{
    if (w == NULL)
        return;
    free(w->pieces);
    free(w->owners);
    buf_fini(&w->records);
    buf_fini(&w->ranges);
    buf_fini(&w->path);
    free(w);
}

uint32_t toc_add_piece(struct toc_writer *w, const struct toc_piece *piece)
{
    DR_ASSERT(w->piece_count < SEGMENT_PIECES_MAX);
    if (w->piece_count == w->piece_cap) {
        w->piece_cap = w->piece_cap == 0 ? 64 : w->piece_cap * 2;
        w->pieces = dr_realloc(w->pieces, w->piece_cap, sizeof *w->pieces);
    }
    w->pieces[w->piece_count] = *piece;
    return (uint32_t)w->piece_count++;
}

void toc_set_piece(struct toc_writer *w, uint32_t index, const struct toc_piece *piece)
{
    DR_ASSERT(index < w->piece_count);
    w->pieces[index] = *piece;
}

size_t toc_writer_records(const struct toc_writer *w)
{
    return w->record_count;
}

size_t toc_writer_bytes(const struct toc_writer *w)
{
    return w->records.len + w->piece_count * (DIGEST_SIZE + 16);
}

void toc_add_range(struct toc_writer *w, uint32_t bundle)
{
    wire_add_varint(&w->ranges, w->record_count);
    wire_add_varint(&w->ranges, bundle);
    w->range_count++;
}

static size_t owner_index(struct toc_writer *w, const struct toc_record *r)
{
    for (size_t i = w->owner_count; i > 0; i--) {
        const struct owner *o = &w->owners[i - 1];
        if (o->mode == r->mode && o->uid == r->uid && o->gid == r->gid)
            return i - 1;
    }
    if (w->owner_count == w->owner_cap) {
        w->owner_cap = w->owner_cap == 0 ? 16 : w->owner_cap * 2;
        w->owners = dr_realloc(w->owners, w->owner_cap, sizeof *w->owners);
    }
    w->owners[w->owner_count] = (struct owner){ r->mode, r->uid, r->gid };
    return w->owner_count++;
}

static void add_path(struct toc_writer *w, const struct toc_record *r)
{
    size_t shared = 0;
    while (shared < w->path.len && shared < r->path_len && w->path.data[shared] == r->path[shared])
        shared++;
    wire_add_varint(&w->records, shared);
    wire_add_varint(&w->records, r->path_len - shared);
    buf_add(&w->records, r->path + shared, r->path_len - shared);
    w->path.len = shared;
    buf_add(&w->path, r->path + shared, r->path_len - shared);
}

void toc_add_record(struct toc_writer *w, const struct toc_record *r)
{
    DR_ASSERT(w->record_count < SEGMENT_RECORDS_MAX && r->offset % BLOCK_SIZE == 0);
    DR_ASSERT(w->record_count == 0 || path_compare(w->path.data, r->path) < 0);
    struct buf *out = &w->records;
    add_path(w, r);
    buf_addc(out, r->type);
    wire_add_varint(out, owner_index(w, r));
    int64_t delta = (int64_t)((uint64_t)r->mtime_s - (uint64_t)w->mtime_s);
    wire_add_svarint(out, delta);
    w->mtime_s = r->mtime_s;
    wire_add_varint(out, r->mtime_ns);
    wire_add_varint(out, r->piece);
    wire_add_varint(out, r->offset / BLOCK_SIZE);
    if (r->type == '0') {
        wire_add_varint(out, r->size);
        wire_add_varint(out, r->nhead);
        wire_add_varint(out, r->nchunk);
        if (r->nhead > 0)
            buf_add(out, r->digest, DIGEST_SIZE);
    } else if (r->type == '1' || r->type == '2') {
        wire_add_varint(out, strlen(r->link));
        buf_adds(out, r->link);
    } else if (r->type == '3' || r->type == '4') {
        wire_add_varint(out, r->major);
        wire_add_varint(out, r->minor);
    }
    w->record_count++;
}

/* The caller's pack numbers in the order of their first use; few, and mostly the last one. */
struct pack_map {
    uint32_t *packs;
    size_t count, cap;
};

static size_t pack_index(struct pack_map *m, uint32_t pack)
{
    for (size_t i = m->count; i > 0; i--)
        if (m->packs[i - 1] == pack)
            return i - 1;
    if (m->count == m->cap) {
        m->cap = m->cap == 0 ? 16 : m->cap * 2;
        m->packs = dr_realloc(m->packs, m->cap, sizeof *m->packs);
    }
    m->packs[m->count] = pack;
    return m->count++;
}

static void add_piece(struct buf *out, const struct toc_piece *p, size_t pack)
{
    /* Content decides where a chunk ends; the last one ends with the padding of all. */
    DR_ASSERT(p->kind == FRAME_CHUNK || p->raw % BLOCK_SIZE == 0);
    DR_ASSERT(p->raw > 0 && p->raw <= PIECE_RAW_MAX);
    buf_addc(out, (char)p->kind);
    buf_add(out, p->id, DIGEST_SIZE);
    wire_add_varint(out, pack);
    wire_add_varint(out, p->offset);
    wire_add_varint(out, p->stored);
    wire_add_varint(out, p->raw);
    wire_add_varint(out, p->superseded);
}

void toc_encode(const struct toc_writer *w, const uint8_t *(*name)(void *arg, uint32_t pack),
                void *arg, struct buf *out)
{
    static const uint8_t self[DIGEST_SIZE];
    DR_CLEANUP(buf_fini) struct buf pieces = { 0 };
    struct pack_map map = { .packs = NULL };
    for (size_t i = 0; i < w->piece_count; i++)
        add_piece(&pieces, &w->pieces[i], pack_index(&map, w->pieces[i].pack));
    buf_adds(out, "DTC1");
    wire_add_varint(out, map.count);
    wire_add_varint(out, w->piece_count);
    wire_add_varint(out, w->owner_count);
    wire_add_varint(out, w->range_count);
    wire_add_varint(out, w->record_count);
    for (size_t i = 0; i < map.count; i++) {
        const uint8_t *id = name(arg, map.packs[i]);
        buf_add(out, id != NULL ? id : self, DIGEST_SIZE);
    }
    buf_add(out, pieces.len > 0 ? pieces.data : "", pieces.len);
    for (size_t i = 0; i < w->owner_count; i++) {
        wire_add_varint(out, w->owners[i].mode);
        wire_add_varint(out, w->owners[i].uid);
        wire_add_varint(out, w->owners[i].gid);
    }
    buf_add(out, w->ranges.len > 0 ? w->ranges.data : "", w->ranges.len);
    buf_add(out, w->records.len > 0 ? w->records.data : "", w->records.len);
    free(map.packs);
}
