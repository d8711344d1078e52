/*
 * Stats: every piece that some snapshot needs, once. Rows are gathered in an array that is put in order and
 * rid of doubles each time it is full, so that it grows with what differs and not with the number
 * of snapshots.
 */
#include "backup/work/stats.h"

#include <stdlib.h>
#include <string.h>

#include "backup/format/names.h"
#include "backup/work/idset.h"
#include "backup/work/reader.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { ROWS_MIN = 1 << 16, PROGRESS_MS = 100 };

struct row {       /* a frame that is needed */
    uint32_t pack; /* index of packs */
    uint32_t offset, stored, raw;
};

struct needed_pack {
    uint8_t id[DIGEST_SIZE];
    uint32_t number; /* in the order in which they came: what rows name */
    uint64_t bytes;
};

struct counting {
    struct repo *repo;
    const struct work_hooks *hooks;
    struct stats *ret;
    struct row *rows; /* owned */
    size_t count, cap;
    struct needed_pack *packs; /* owned; sorted by id up to pack_sorted */
    size_t pack_count, pack_cap, pack_sorted;
    struct idset segments; /* that were read */
    struct work_progress progress;
    int64_t told_ms;
};

static void counting_fini(struct counting *c)
{
    free(c->rows);
    free(c->packs);
    idset_fini(&c->segments);
}

void stats_fini(struct stats *s)
{
    free(s->buckets);
    *s = (struct stats){ 0 };
}

static enum dr_rc go_on(struct counting *c, struct dr_err *err)
{
    int64_t now = clock_boot_ms();
    if (c->hooks == NULL || c->hooks->progress == NULL || now - c->told_ms < PROGRESS_MS)
        return DR_OK;
    c->told_ms = now;
    if (c->hooks->progress(c->hooks->arg, &c->progress))
        return DR_OK;
    return dr_fail(err, DR_E_CANCELLED, "the counting was stopped");
}

/* -- packs --------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    return memcmp(((const struct needed_pack *)a)->id, ((const struct needed_pack *)b)->id,
                  DIGEST_SIZE);
}

static int by_number(const void *a, const void *b)
{
    const struct needed_pack *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static struct needed_pack *find_pack(const struct counting *c, const uint8_t id[DIGEST_SIZE])
{
    struct needed_pack like;
    if (c->pack_sorted == 0)
        return NULL;
    memcpy(like.id, id, DIGEST_SIZE);
    return bsearch(&like, c->packs, c->pack_sorted, sizeof(like), by_id);
}

/* The packs of one segment (few), sorted in between: a new one is looked for in the tail as well. */
static uint32_t number_of(struct counting *c, const uint8_t id[DIGEST_SIZE])
{
    const struct needed_pack *p = find_pack(c, id);
    for (size_t i = c->pack_sorted; p == NULL && i < c->pack_count; i++)
        if (memcmp(c->packs[i].id, id, DIGEST_SIZE) == 0)
            p = &c->packs[i];
    if (p != NULL)
        return p->number;
    if (c->pack_count == c->pack_cap) {
        c->pack_cap = c->pack_cap == 0 ? 64 : 2 * c->pack_cap;
        c->packs = dr_realloc(c->packs, c->pack_cap, sizeof(c->packs[0]));
    }
    struct needed_pack *new = &c->packs[c->pack_count];
    *new = (struct needed_pack){ .number = (uint32_t)c->pack_count };
    memcpy(new->id, id, DIGEST_SIZE);
    c->pack_count++;
    return new->number;
}

static void sort_packs(struct counting *c)
{
    if (c->pack_sorted < c->pack_count)
        qsort(c->packs, c->pack_count, sizeof(c->packs[0]), by_id);
    c->pack_sorted = c->pack_count;
}

/* -- rows ---------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->pack != y->pack)
        return x->pack < y->pack ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static void throw_out_doubles(struct counting *c)
{
    size_t kept = 0;
    if (c->count > 0)
        qsort(c->rows, c->count, sizeof(c->rows[0]), by_place);
    for (size_t i = 0; i < c->count; i++)
        if (kept == 0 || by_place(&c->rows[kept - 1], &c->rows[i]) != 0)
            c->rows[kept++] = c->rows[i];
    c->count = kept;
}

static void add_row(struct counting *c, const struct row *row)
{
    if (c->count == c->cap) {
        throw_out_doubles(c);
        if (c->count >= c->cap / 2) {
            c->cap = c->cap == 0 ? ROWS_MIN : 2 * c->cap;
            c->rows = dr_realloc(c->rows, c->cap, sizeof(c->rows[0]));
        }
    }
    c->rows[c->count++] = *row;
}

/* -- one pass ------------------------------------------------------------------------------ */

/* Equal segments may lie in different packs, and what they call "this pack" differs with it. */
static void key_of(const struct list_frame *f, uint8_t ret[DIGEST_SIZE])
{
    for (size_t i = 0; i < DIGEST_SIZE; i++)
        ret[i] = f->id[i] ^ f->pack[i];
}

static enum dr_rc count_segment(struct counting *c, struct reader *r, size_t i, struct dr_err *err)
{
    const struct list_frame *f = reader_segment_frame(r, i);
    const struct segment *s = NULL;
    uint8_t key[DIGEST_SIZE];
    key_of(f, key);
    if (idset_has(&c->segments, key))
        return DR_OK;
    DR_TRY(reader_segment(r, i, &s, err));
    DR_FREE uint32_t *numbers = dr_alloc(s->toc.pack_count + 1, sizeof(*numbers));
    for (size_t k = 0; k < s->toc.pack_count; k++)
        numbers[k] = number_of(c, s->toc.packs[k]);
    for (size_t k = 0; k < s->toc.piece_count; k++) {
        const struct toc_piece *p = &s->toc.pieces[k];
        add_row(c, &(struct row){ numbers[p->pack], (uint32_t)p->offset, (uint32_t)p->stored,
                                  (uint32_t)p->raw });
    }
    add_row(c, &(struct row){ number_of(c, f->pack), (uint32_t)f->offset, (uint32_t)f->stored, 0 });
    if (f->patched)
        add_row(c, &(struct row){ number_of(c, f->base.pack), (uint32_t)f->base.offset,
                                  (uint32_t)f->base.stored, 0 });
    sort_packs(c);
    return DR_OK;
}

static enum dr_rc get_list_frame(void *arg, const struct list_frame *frame, struct buf *out,
                                 struct dr_err *err)
{
    struct fetch_piece p = { .offset = frame->offset,
                             .stored = frame->stored,
                             .raw = frame->raw,
                             .raw_max = PIECE_RAW_MAX };
    const struct buf *bytes = NULL;
    memcpy(p.pack, frame->pack, DIGEST_SIZE);
    memcpy(p.id, frame->id, DIGEST_SIZE);
    DR_TRY(fetch_get(arg, &p, &bytes, err));
    buf_add(out, bytes->data, bytes->len);
    return DR_OK;
}

/* Packs that only hold text of lists are needed as well. */
static enum dr_rc count_packs(struct counting *c, struct reader *r, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    DR_TRY(list_expand(&reader_snapshot(r)->packs, get_list_frame, reader_fetch(r), &packs, err));
    for (size_t i = 0; i < packs.count; i++) {
        uint8_t id[DIGEST_SIZE];
        if (!hex_decode(packs.items[i], strlen(packs.items[i]), id, DIGEST_SIZE))
            return dr_fail(err, DR_E_CORRUPT, "its list of packs holds what is no pack");
        (void)number_of(c, id); /* noted, that is all */
    }
    sort_packs(c);
    return DR_OK;
}

static enum dr_rc count_snapshot(struct counting *c, const struct snapshot_info *info,
                                 struct dr_err *err)
{
    DR_CLEANUP(reader_close_ptr) struct reader *r = NULL;
    DR_TRY(reader_open(c->repo, info, c->hooks, &r, err));
    DR_TRY(count_packs(c, r, err));
    for (size_t i = 0; i < reader_segment_count(r); i++) {
        DR_TRY(count_segment(c, r, i, err));
        c->progress.entries += reader_segment_frame(r, i)->entries;
        DR_TRY(go_on(c, err));
    }
    for (size_t i = 0; i < reader_segment_count(r); i++) {
        uint8_t key[DIGEST_SIZE];
        key_of(reader_segment_frame(r, i), key);
        idset_add(&c->segments, key);
    }
    idset_sort(&c->segments);
    c->ret->snapshots++;
    c->ret->bytes += info->bytes;
    return DR_OK;
}

static void sum_up(struct counting *c)
{
    throw_out_doubles(c);
    if (c->pack_count > 0)
        qsort(c->packs, c->pack_count, sizeof(c->packs[0]), by_number);
    for (size_t i = 0; i < c->count; i++) {
        c->packs[c->rows[i].pack].bytes += c->rows[i].stored;
        c->ret->stored += c->rows[i].stored;
        c->ret->raw += c->rows[i].raw;
        c->ret->pieces += c->rows[i].raw > 0;
    }
    c->pack_sorted = 0;
    sort_packs(c);
}

/* -- buckets ------------------------------------------------------------------------------- */

static enum dr_rc measure(struct counting *c, struct store *s, struct stats_bucket *b,
                          struct dr_err *err)
{
    DR_CLEANUP(store_entries_fini) struct store_entries all = { 0 };
    DR_TRY(store_list_sizes(s, "", &all, err));
    for (size_t i = 0; i < all.count; i++) {
        uint64_t size = all.items[i].size;
        uint8_t id[DIGEST_SIZE];
        b->objects++;
        b->bytes += size;
        if (names_parse_pack(all.items[i].name, id)) {
            const struct needed_pack *p = find_pack(c, id);
            b->packs++;
            b->pack_bytes += size;
            b->unused_packs += p == NULL;
            b->needed += p != NULL ? p->bytes : 0;
        }
        DR_TRY(go_on(c, err));
    }
    return DR_OK;
}

static enum dr_rc measure_all(struct counting *c, struct dr_err *err)
{
    size_t count = repo_bucket_count(c->repo);
    c->ret->buckets = dr_alloc(count + 1, sizeof(c->ret->buckets[0]));
    c->ret->bucket_count = count;
    for (size_t i = 0; i < count; i++) {
        struct repo_bucket *b = repo_bucket(c->repo, i);
        struct stats_bucket *to = &c->ret->buckets[i];
        to->name = b->config->name;
        if (b->store == NULL)
            continue;
        to->open = true;
        DR_TRY(measure(c, b->store, to, err));
    }
    return DR_OK;
}

enum dr_rc stats_run(struct repo *r, const struct snapshot_list *list,
                     const struct work_hooks *hooks, struct stats *ret, struct dr_err *err)
{
    *ret = (struct stats){ 0 };
    DR_CLEANUP(counting_fini) struct counting c = { .repo = r, .hooks = hooks, .ret = ret };
    c.progress.doing = "counting";
    for (size_t i = 0; i < list->count; i++)
        c.progress.entries_total += list->items[i].entries;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].state != SNAPSHOT_REFUSED)
            DR_TRY(count_snapshot(&c, &list->items[i], err));
    sum_up(&c);
    return measure_all(&c, err);
}
