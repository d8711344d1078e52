/*
 * Packs of one run: the pack at hand in its spool file with the rows of its table, names of the
 * others, and of each piece its place: of this run's in a table of its own, of earlier ones in the index.
 */
#include "backup/work/backup_packs.h"

#include <pthread.h>
#include <string.h>

#include "backup/format/pack.h"
#include "backup/work/chunk_index.h"
#include "backup/work/chunk_table.h"
#include "backup/work/pack_names.h"
#include "dr/base/mem.h"

enum { SKIP_SIZE = 8 };

struct packs {
    struct packs_options o;
    void (*before_seal)(void *arg);
    void *seal_arg;
    struct spool *spool;  /* of the pack at hand, or NULL */
    uint32_t number;      /* its */
    struct dr_err failed; /* of packs_add_here() */
    struct buf rows, extra;
    uint32_t row_count;
    struct pack_names names;
    uint64_t stored;
    pthread_mutex_t lock; /* guards what is below */
    struct pack_names avoided;
    struct chunk_table *table; /* pieces of this run */
};

struct packs *packs_new(const struct packs_options *options)
{
    DR_ASSERT(options->state_dir != NULL && options->put != NULL);
    struct packs *p = dr_alloc(1, sizeof *p);
    p->o = *options;
    DR_ASSERT(pthread_mutex_init(&p->lock, NULL) == 0);
    p->table = chunk_table_new(options->state_dir);
    return p;
}

void packs_free(struct packs *p)
{
    if (p == NULL)
        return;
    spool_free(p->spool);
    buf_fini(&p->rows);
    buf_fini(&p->extra);
    pack_names_fini(&p->names);
    pack_names_fini(&p->avoided);
    pthread_mutex_destroy(&p->lock);
    chunk_table_free(p->table);
    free(p);
}

void packs_before_seal(struct packs *p, void (*fn)(void *arg), void *arg)
{
    p->before_seal = fn;
    p->seal_arg = arg;
}

const uint8_t *packs_name(const struct packs *p, uint32_t pack)
{
    return pack_names_of(&p->names, pack);
}

uint32_t packs_number(struct packs *p, const uint8_t name[DIGEST_SIZE])
{
    return pack_names_add(&p->names, name);
}

uint32_t packs_count(const struct packs *p)
{
    return p->names.count;
}

uint64_t packs_stored(const struct packs *p)
{
    return p->stored;
}

/* -- what is known ------------------------------------------------------------------------- */

static void unlock(pthread_mutex_t **m)
{
    pthread_mutex_unlock(*m);
}
#define HOLD(m)               \
    pthread_mutex_lock(&(m)); \
    DR_CLEANUP(unlock) pthread_mutex_t *held_lock = &(m)

void packs_avoid(struct packs *p, const uint8_t name[DIGEST_SIZE])
{
    HOLD(p->lock);
    pack_names_add(&p->avoided, name);
}

bool packs_avoided(const struct packs *p, const uint8_t name[DIGEST_SIZE])
{
    return pack_names_find(&p->avoided, name) != PACK_NAMES_NONE;
}

struct found {
    struct chunk_place place;
    const uint8_t *old; /* the pack's name, of one in the index */
};

/* Where a piece lies already, in a shape that serves. */
static bool look_up(struct packs *p, const uint8_t id[DIGEST_SIZE], bool with_digests,
                    struct found *ret)
{
    HOLD(p->lock);
    *ret = (struct found){ .old = NULL };
    if (chunk_table_find(p->table, id, &ret->place))
        return !with_digests || ret->place.behind > 0;
    if (p->o.index == NULL || !chunk_index_find(p->o.index, id, &ret->place) ||
        (with_digests && ret->place.behind == 0))
        return false;
    ret->old = chunk_index_pack(p->o.index, ret->place.pack);
    return pack_names_find(&p->avoided, ret->old) == PACK_NAMES_NONE;
}

bool packs_know(struct packs *p, const uint8_t id[DIGEST_SIZE], bool with_digests)
{
    struct found found;
    return look_up(p, id, with_digests, &found);
}

/* -- the pack at hand ---------------------------------------------------------------------- */

static enum dr_rc begin(struct packs *p, struct dr_err *err)
{
    if (p->spool != NULL)
        return DR_OK;
    DR_TRY(spool_open(p->o.state_dir, &p->spool, err));
    p->number = pack_names_reserve(&p->names);
    buf_clear(&p->rows);
    p->row_count = 0;
    return DR_OK;
}

static void append(struct packs *p, const struct packs_frame *f, struct packs_place *ret)
{
    struct pack_row row = { .offset = (uint32_t)spool_size(p->spool),
                            .stored = (uint32_t)f->frame_len,
                            .raw = (uint32_t)f->raw_len,
                            .kind = f->kind };
    DR_ASSERT(f->frame != NULL && f->frame_len > 0 && p->row_count < PACK_ROWS_MAX);
    memcpy(row.id, f->id, DIGEST_SIZE);
    pack_rows_add(&p->rows, &row);
    p->row_count++;
    spool_append(p->spool, f->frame, f->frame_len);
    if (f->digest_count > 0) {
        buf_clear(&p->extra);
        pack_digests_add(&p->extra, f->digests, f->digest_count);
        spool_append(p->spool, p->extra.data, p->extra.len);
    }
    *ret = (struct packs_place){
        .pack = p->number, .offset = row.offset, .stored = row.stored, .raw = row.raw
    };
    memcpy(ret->id, f->id, DIGEST_SIZE);
    if (f->digest_count > 0)
        ret->behind = (uint32_t)(SKIP_SIZE + f->digest_count * DIGEST_SIZE);
}

static struct packs_place place_of(struct packs *p, const uint8_t id[DIGEST_SIZE],
                                   const struct found *found)
{
    struct packs_place place = {
        .pack = found->old != NULL ? packs_number(p, found->old) : found->place.pack,
        .offset = found->place.offset,
        .stored = found->place.stored,
        .raw = found->place.raw,
        .behind = found->place.behind,
    };
    memcpy(place.id, id, DIGEST_SIZE);
    return place;
}

static enum dr_rc remember(struct packs *p, const struct packs_place *place, struct dr_err *err)
{
    struct chunk_place row = { place->pack, place->offset, place->stored, place->raw,
                               place->behind };
    HOLD(p->lock);
    return chunk_table_add(p->table, place->id, &row, err);
}

enum dr_rc packs_add(struct packs *p, const struct packs_frame *f, struct packs_place *ret,
                     struct dr_err *err)
{
    struct packs_place place;
    struct found found;
    if (look_up(p, f->id, f->digest_count > 0, &found)) {
        *ret = place_of(p, f->id, &found);
        return DR_OK;
    }
    uint64_t filled = p->spool != NULL ? spool_size(p->spool) : 0;
    bool full = filled + f->frame_len + f->reserve > p->o.target;
    if (p->spool != NULL && (full || p->row_count >= PACK_ROWS_MAX / 2))
        DR_TRY(packs_flush(p, err));
    DR_TRY(begin(p, err));
    append(p, f, &place);
    DR_TRY(spool_error(p->spool, err));
    DR_TRY(remember(p, &place, err));
    *ret = place;
    return DR_OK;
}

void packs_add_here(struct packs *p, const struct packs_frame *f, struct packs_place *ret)
{
    *ret = (struct packs_place){ .pack = 0 };
    if (p->failed.rc == DR_OK && begin(p, &p->failed) == DR_OK)
        append(p, f, ret);
}

static enum dr_rc seal(struct packs *p, struct dr_err *err)
{
    DR_CLEANUP(spool_free_ptr) struct spool *spool = DR_TAKE(p->spool);
    DR_CLEANUP(spooled_drop_ptr) struct spooled *pack = NULL;
    buf_clear(&p->extra);
    pack_table_add(&p->extra, p->o.nonce, &p->rows, p->row_count);
    spool_append(spool, p->extra.data, p->extra.len);
    DR_TRY(spool_seal(spool, &pack, err));
    pack_names_set(&p->names, p->number, pack->name);
    p->stored += pack->len;
    return p->o.put(p->o.arg, pack, err);
}

enum dr_rc packs_flush(struct packs *p, struct dr_err *err)
{
    if (p->before_seal != NULL)
        p->before_seal(p->seal_arg);
    if (p->failed.rc != DR_OK) {
        *err = p->failed;
        return err->rc;
    }
    return p->spool != NULL ? seal(p, err) : DR_OK;
}

enum dr_rc packs_commit(struct packs *p, struct dr_err *err)
{
    DR_ASSERT(p->spool == NULL);
    if (p->o.index == NULL)
        return DR_OK;
    struct chunk_index_news news = { .table = p->table,
                                     .names = &p->names,
                                     .without = &p->avoided };
    return chunk_index_merge(p->o.index, &news, err);
}
