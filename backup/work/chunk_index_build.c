/*
 * The index out of the buckets: the tables at the ends of all packs that own snapshots name. Only
 * the ends are read; rows gather in a mapped table, so memory does not grow with the repository.
 */
#include <string.h>

#include "backup/format/names.h"
#include "backup/format/pack.h"
#include "backup/work/chunk_index.h"
#include "backup/work/repo.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { TAIL_STEP = 32 << 10 };

struct builder {
    struct repo *repo;
    const char *writer;
    struct pack_names packs; /* newest snapshot's first */
    struct chunk_table *table;
};

static void builder_fini(struct builder *b)
{
    pack_names_fini(&b->packs);
    chunk_table_free(b->table);
}

/* Packs of one snapshot, if it is ours. One that cannot be read costs sharing with it, no more. */
static void take_snapshot(struct builder *b, const struct snapshot_info *info)
{
    struct snapshot s = { .epoch = 0 };
    struct dr_err ignored = { .rc = DR_OK };
    if (info->state == SNAPSHOT_REFUSED ||
        repo_load(b->repo, info->id, NULL, NULL, &s, &ignored) != DR_OK)
        return;
    for (size_t i = 0; i < s.packs.lines.count && strcmp(s.writer, b->writer) == 0; i++) {
        uint8_t id[DIGEST_SIZE];
        const char *hex = s.packs.lines.items[i];
        if (hex_decode(hex, strlen(hex), id, sizeof id))
            pack_names_add(&b->packs, id);
    }
    snapshot_fini(&s);
}

/* The last bytes of a pack, from which its table can be taken: tail is set to the table alone. */
static enum dr_rc read_tail(struct store *s, const char *name, uint64_t *ret_size, struct buf *tail,
                            struct dr_err *err)
{
    uint64_t size = 0, table = 0;
    DR_TRY(store_head(s, name, &size, err));
    if (size < PACK_TAIL_SIZE || size > PACK_SIZE_MAX)
        return dr_fail(err, DR_E_CORRUPT, "'%s' has an impossible size", name);
    size_t step = size < TAIL_STEP ? (size_t)size : TAIL_STEP;
    DR_TRY(store_get(s, name, size - step, step, buf_reserve(tail, step), err));
    tail->len = step;
    const uint8_t *end = (const uint8_t *)tail->data + step - PACK_TAIL_SIZE;
    DR_TRY(pack_table_size(name, end, size, &table, err));
    if (table > step) {
        tail->len = 0;
        DR_TRY(
            store_get(s, name, size - table, (size_t)table, buf_reserve(tail, (size_t)table), err));
    } else {
        memmove(tail->data, tail->data + step - table, (size_t)table);
    }
    tail->len = (size_t)table;
    *ret_size = size;
    return DR_OK;
}

static enum dr_rc read_table(const struct builder *b, const uint8_t *id, uint64_t *ret_size,
                             struct pack_table *ret, struct dr_err *err)
{
    char name[NAMES_MAX];
    enum dr_rc rc = DR_E_NOTFOUND;
    names_pack(id, name);
    for (size_t i = 0; i < repo_bucket_count(b->repo) && rc != DR_OK; i++) {
        struct store *s = repo_bucket(b->repo, i)->store;
        DR_CLEANUP(buf_fini) struct buf tail = { 0 };
        uint64_t size = 0;
        if (s == NULL)
            continue;
        rc = read_tail(s, name, &size, &tail, err);
        if (rc == DR_OK)
            rc = pack_table_parse(name, tail.data, tail.len, size, ret, err);
        if (rc == DR_OK)
            *ret_size = size - tail.len; /* where the frames end */
    }
    return rc;
}

/* What lies between a frame and the next is its digest frame. */
static uint32_t gap_behind(const struct pack_table *t, size_t i, uint64_t end)
{
    uint64_t next = i + 1 < t->count ? t->rows[i + 1].offset : end;
    return (uint32_t)(next - t->rows[i].offset - t->rows[i].stored);
}

static enum dr_rc take_rows(struct builder *b, uint32_t pack, const struct pack_table *t,
                            uint64_t end, struct dr_err *err)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct pack_row *row = &t->rows[i];
        struct chunk_place have, place = { .pack = pack,
                                           .offset = row->offset,
                                           .stored = row->stored,
                                           .raw = row->raw,
                                           .behind = gap_behind(t, i, end) };
        if (row->kind >= FRAME_PIECE_KINDS)
            continue;
        /* Newer packs came first; but digests behind a piece make it good for more. */
        if (chunk_table_find(b->table, row->id, &have) && (have.behind > 0 || place.behind == 0))
            continue;
        DR_TRY(chunk_table_add(b->table, row->id, &place, err));
    }
    return DR_OK;
}

static enum dr_rc take_packs(struct builder *b, struct dr_err *err)
{
    for (uint32_t i = 0; i < b->packs.count; i++) {
        struct pack_table table = { .rows = NULL };
        struct dr_err ignored = { .rc = DR_OK };
        uint64_t end = 0;
        if (read_table(b, pack_names_of(&b->packs, i), &end, &table, &ignored) != DR_OK)
            continue;
        enum dr_rc rc = take_rows(b, i, &table, end, err);
        pack_table_fini(&table);
        DR_TRY(rc);
    }
    return DR_OK;
}

static enum dr_rc build(struct builder *b, const struct chunk_index *empty, struct dr_err *err)
{
    struct snapshot_list list = { .items = NULL };
    DR_TRY(repo_snapshots(b->repo, NULL, &list, err));
    for (size_t i = list.count; i > 0; i--)
        take_snapshot(b, &list.items[i - 1]);
    snapshot_list_fini(&list);
    DR_TRY(take_packs(b, err));
    return chunk_index_merge(
        empty, &(struct chunk_index_news){ .table = b->table, .names = &b->packs }, err);
}

enum dr_rc chunk_index_get(struct repo *repo, const char *writer, struct chunk_index **ret,
                           struct dr_err *err)
{
    const char *state_dir = repo_config(repo)->state_dir;
    const char *repository = repo_repository(repo)->id;
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *empty = NULL;
    struct dr_err why = { .rc = DR_OK };
    if (chunk_index_open(state_dir, repository, ret, &why) == DR_OK)
        return DR_OK;
    DR_CLEANUP(builder_fini)
    struct builder b = { .repo = repo, .writer = writer, .table = chunk_table_new(state_dir) };
    empty = chunk_index_new(state_dir, repository);
    DR_TRY(build(&b, empty, err));
    if (b.packs.count == 0 || chunk_index_open(state_dir, repository, ret, &why) != DR_OK)
        *ret = DR_TAKE(empty);
    return DR_OK;
}
