/*
 * Bases. What a whole frame would cost is not measured but taken from the base's own frame: the
 * segment has about as many rows as the base, or it would have been cut.
 */
#include "backup/work/backup_base.h"

#include <string.h>

#include "backup/format/patch.h"
#include "dr/base/hash.h"

void segment_base_fini(struct segment_base *b)
{
    buf_fini(&b->raw);
    *b = (struct segment_base){ .raw = { 0 } };
}

static void take(struct packs *packs, const struct list_base *at, const struct buf *raw,
                 struct segment_base *ret)
{
    ret->place = (struct packs_place){ .pack = packs_number(packs, at->pack),
                                       .offset = (uint32_t)at->offset,
                                       .stored = (uint32_t)at->stored,
                                       .raw = (uint32_t)at->raw };
    memcpy(ret->place.id, at->id, DIGEST_SIZE);
    buf_add(&ret->raw, raw->data, raw->len);
}

void segment_base_of(struct packs *packs, const struct prev_segment *p, struct segment_base *ret)
{
    const struct list_frame *f = p->frame;
    struct list_base itself = { .offset = f->offset, .stored = f->stored, .raw = f->raw };
    memcpy(itself.pack, f->pack, DIGEST_SIZE);
    memcpy(itself.id, f->id, DIGEST_SIZE);
    const struct list_base *at = f->patched ? &f->base : &itself;
    *ret = (struct segment_base){ .raw = { 0 } };
    if (at->raw <= PATCH_RAW_MAX && !packs_avoided(packs, at->pack))
        take(packs, at, f->patched ? &p->base : &p->raw, ret);
}

void segment_base_kept(struct packs *packs, const struct prev_segment *p, struct segment_base *ret)
{
    *ret = (struct segment_base){ .raw = { 0 } };
    if (p->frame->patched)
        take(packs, &p->frame->base, &p->base, ret);
}

bool segment_base_pack(const struct segment_base *b, struct codec *codec, const struct buf *raw,
                       struct buf *frame, struct packs_place *place)
{
    DR_CLEANUP(buf_fini) struct buf patch = { 0 };
    size_t before = frame->len;
    if (b->raw.len == 0 || raw->len > PATCH_RAW_MAX)
        return false;
    patch_make(&b->raw, b->place.id, raw, &patch);
    if (patch.len > PATCH_RAW_MAX)
        return false;
    codec_pack(codec, patch.data, patch.len, frame);
    if ((frame->len - before) * 2 > b->place.stored) {
        frame->len = before;
        return false;
    }
    hash_bytes(patch.data, patch.len, place->id);
    place->raw = (uint32_t)patch.len;
    return true;
}
