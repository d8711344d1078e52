/*
 * Copy forward: how much of each pack a snapshot uses. Pieces that several entries share are counted once, by
 * a mapped table of their ids.
 */
#include <string.h>

#include "backup/format/names.h"
#include "backup/work/backup_forward.h"
#include "backup/work/chunk_table.h"
#include "backup/work/reader.h"
#include "dr/base/mem.h"

struct survey {
    struct repo *repo;
    struct pack_names names;
    uint64_t *live; /* by number; owned */
    uint32_t live_cap;
    struct chunk_table *counted;
};

static void survey_fini(struct survey *s)
{
    pack_names_fini(&s->names);
    chunk_table_free(s->counted);
    free(s->live);
}

static enum dr_rc count_frame(struct survey *s, const uint8_t pack[DIGEST_SIZE],
                              const struct toc_piece *piece, struct dr_err *err)
{
    uint32_t number = pack_names_add(&s->names, pack), had = s->live_cap;
    struct chunk_place place = { .pack = number, .offset = (uint32_t)piece->offset }, seen;
    if (number >= s->live_cap) {
        s->live_cap = 2 * (number + 1);
        s->live = dr_realloc(s->live, s->live_cap, sizeof *s->live);
        for (uint32_t i = had; i < s->live_cap; i++)
            s->live[i] = 0;
    }
    if (chunk_table_find(s->counted, piece->id, &seen) && seen.pack == place.pack &&
        seen.offset == place.offset)
        return DR_OK;
    double share = piece->raw == 0 ? 1 : 1 - (double)piece->superseded / (double)piece->raw;
    s->live[number] += (uint64_t)((double)piece->stored * (share > 0 ? share : 0));
    return chunk_table_add(s->counted, piece->id, &place, err);
}

static enum dr_rc count_segment(struct survey *s, struct reader *r, size_t at, struct dr_err *err)
{
    const struct segment *seg = NULL;
    const struct list_frame *frame = reader_segment_frame(r, at);
    struct toc_piece itself = { .offset = frame->offset, .stored = frame->stored };
    memcpy(itself.id, frame->id, DIGEST_SIZE);
    DR_TRY(count_frame(s, frame->pack, &itself, err));
    if (frame->patched) {
        struct toc_piece base = { .offset = frame->base.offset, .stored = frame->base.stored };
        memcpy(base.id, frame->base.id, DIGEST_SIZE);
        DR_TRY(count_frame(s, frame->base.pack, &base, err));
    }
    DR_TRY(reader_segment(r, at, &seg, err));
    for (size_t i = 0; i < seg->toc.piece_count; i++) {
        const struct toc_piece *piece = &seg->toc.pieces[i];
        DR_TRY(count_frame(s, seg->toc.packs[piece->pack], piece, err));
    }
    return DR_OK;
}

/* 0: it is in no open bucket. */
static uint64_t size_of_pack(struct repo *repo, const uint8_t id[DIGEST_SIZE])
{
    char name[NAMES_MAX];
    names_pack(id, name);
    for (size_t i = 0; i < repo_bucket_count(repo); i++) {
        struct store *s = repo_bucket(repo, i)->store;
        struct dr_err ignored = { .rc = DR_OK };
        uint64_t size = 0;
        if (s != NULL && store_head(s, name, &size, &ignored) == DR_OK)
            return size;
    }
    return 0;
}

static void choose(const struct survey *s, uint64_t target, struct pack_names *avoid)
{
    size_t count = 0;
    DR_FREE struct forward_pack *packs = dr_alloc((size_t)s->names.count + 1, sizeof *packs);
    for (uint32_t i = 0; i < s->names.count; i++) {
        const uint8_t *id = pack_names_of(&s->names, i);
        uint64_t size = size_of_pack(s->repo, id);
        if (size == 0)
            continue;
        struct forward_pack *p = &packs[count++];
        memcpy(p->name, id, DIGEST_SIZE);
        p->size = size;
        p->live = s->live[i] < size ? s->live[i] : size;
    }
    (void)forward_choose(packs, count, target); /* how much that is tells the upload */
    for (size_t i = 0; i < count; i++)
        if (packs[i].avoid)
            pack_names_add(avoid, packs[i].name);
}

enum dr_rc forward_find(struct repo *repo, const struct snapshot_info *newest, uint64_t target,
                        struct pack_names *avoid, struct dr_err *err)
{
    DR_CLEANUP(reader_close_ptr) struct reader *r = NULL;
    DR_CLEANUP(survey_fini)
    struct survey s = { .repo = repo, .counted = chunk_table_new(repo_config(repo)->state_dir) };
    DR_TRY(reader_open(repo, newest, NULL, &r, err));
    for (size_t i = 0; i < reader_segment_count(r); i++)
        DR_TRY(count_segment(&s, r, i, err));
    choose(&s, target, avoid);
    return DR_OK;
}
