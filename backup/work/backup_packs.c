/*
 * Packs of one run. One pack is held in memory; of the sealed ones only names stay, and of each
 * piece its place, in an open hash table keyed by the first bytes of its digest.
 */
#include "backup/work/backup_packs.h"

#include <string.h>

#include "backup/format/codec.h"
#include "backup/format/names.h"
#include "backup/format/pack.h"
#include "dr/base/mem.h"

enum { TABLE_START = 1024, SKIP_SIZE = 8 };

struct slot {
    bool used;
    struct packs_place place;
};

struct packs {
    struct packs_options o;
    struct codec *codec;
    struct pack pack;
    struct buf frame;
    uint8_t (*names)[DIGEST_SIZE];
    uint32_t count;
    size_t name_cap;
    uint64_t stored;
    struct slot *slots;
    size_t slot_count, slot_cap; /* cap: a power of two */
};

struct packs *packs_new(const struct packs_options *options)
{
    struct packs *p = dr_alloc(1, sizeof *p);
    p->o = *options;
    p->codec = codec_new(CODEC_LEVEL);
    p->slot_cap = TABLE_START;
    p->slots = dr_alloc(p->slot_cap, sizeof *p->slots);
    pack_start(&p->pack, p->o.nonce);
    return p;
}

void packs_free(struct packs *p)
{
    if (p == NULL)
        return;
    codec_free(p->codec);
    pack_fini(&p->pack);
    buf_fini(&p->frame);
    free(p->names);
    free(p->slots);
    free(p);
}

const uint8_t *packs_name(const struct packs *p, uint32_t pack)
{
    DR_ASSERT(pack <= p->count);
    return pack < p->count ? p->names[pack] : NULL;
}

uint32_t packs_count(const struct packs *p)
{
    return p->count;
}

uint64_t packs_stored(const struct packs *p)
{
    return p->stored;
}

/* The slot of that id, or the free one where it belongs. */
static struct slot *find(struct slot *slots, size_t cap, const uint8_t id[DIGEST_SIZE])
{
    uint64_t h;
    memcpy(&h, id, sizeof h);
    size_t i = h & (cap - 1);
    while (slots[i].used && memcmp(slots[i].place.id, id, DIGEST_SIZE) != 0)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static void remember(struct packs *p, const struct packs_place *place)
{
    if (p->slot_count * 2 >= p->slot_cap) {
        size_t cap = p->slot_cap * 2;
        struct slot *wider = dr_alloc(cap, sizeof *wider);
        for (size_t i = 0; i < p->slot_cap; i++)
            if (p->slots[i].used)
                *find(wider, cap, p->slots[i].place.id) = p->slots[i];
        free(p->slots);
        p->slots = wider;
        p->slot_cap = cap;
    }
    struct slot *slot = find(p->slots, p->slot_cap, place->id);
    p->slot_count += !slot->used;
    *slot = (struct slot){ true, *place };
}

/* The frame in p->frame goes into the pack at hand. */
static void place_frame(struct packs *p, const struct packs_frame *f, struct packs_place *place)
{
    struct pack_row row = { .stored = (uint32_t)p->frame.len,
                            .raw = (uint32_t)f->len,
                            .kind = f->kind };
    memcpy(row.id, place->id, DIGEST_SIZE);
    pack_add(&p->pack, &row, p->frame.data);
    if (f->digest_count > 0)
        pack_add_digests(&p->pack, f->digests, f->digest_count);
    place->pack = p->count;
    place->offset = row.offset;
    place->stored = row.stored;
    place->raw = row.raw;
    place->behind = f->digest_count > 0 ? (uint32_t)(SKIP_SIZE + f->digest_count * DIGEST_SIZE) : 0;
}

enum dr_rc packs_add(struct packs *p, const struct packs_frame *f, struct packs_place *ret,
                     struct dr_err *err)
{
    struct packs_place place = { .pack = 0 };
    hash_bytes(f->raw, f->len, place.id);
    const struct slot *have = find(p->slots, p->slot_cap, place.id);
    /* A file may hold the very bytes of a bundle: its chunk has no digests behind it, and readers
     * want them behind a bundle. */
    if (have->used && (f->digest_count == 0 || have->place.behind > 0)) {
        *ret = have->place;
        return DR_OK;
    }
    buf_clear(&p->frame);
    codec_pack(p->codec, f->raw, f->len, &p->frame);
    uint64_t filled = p->pack.bytes.len + p->frame.len + f->reserve;
    if (p->pack.bytes.len > 0 && filled > p->o.target) {
        struct buf kept = p->frame; /* before_seal() uses the buffer for its own frames */
        p->frame = (struct buf){ 0 };
        enum dr_rc rc = packs_flush(p, err);
        buf_fini(&p->frame);
        p->frame = kept;
        DR_TRY(rc);
    }
    place_frame(p, f, &place);
    remember(p, &place);
    *ret = place;
    return DR_OK;
}

void packs_add_here(struct packs *p, const struct packs_frame *f, struct packs_place *ret)
{
    struct packs_place place = { .pack = 0 };
    hash_bytes(f->raw, f->len, place.id);
    buf_clear(&p->frame);
    codec_pack(p->codec, f->raw, f->len, &p->frame);
    place_frame(p, f, &place);
    *ret = place;
}

enum dr_rc packs_flush(struct packs *p, struct dr_err *err)
{
    char name[NAMES_MAX];
    if (p->o.before_seal != NULL)
        p->o.before_seal(p->o.arg);
    if (p->pack.bytes.len == 0)
        return DR_OK;
    pack_seal(&p->pack);
    DR_TRY(p->o.put(p->o.arg, names_pack(p->pack.name, name), p->pack.bytes.data, p->pack.bytes.len,
                    err));
    if (p->count == p->name_cap) {
        p->name_cap = p->name_cap == 0 ? 16 : p->name_cap * 2;
        p->names = dr_realloc(p->names, p->name_cap, DIGEST_SIZE);
    }
    memcpy(p->names[p->count++], p->pack.name, DIGEST_SIZE);
    p->stored += p->pack.bytes.len;
    pack_start(&p->pack, p->o.nonce);
    return DR_OK;
}
