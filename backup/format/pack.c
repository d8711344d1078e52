/*
 * Packs. A pack is built in memory and becomes one object; its table is for those who have only
 * the pack. All numbers of a table that was read are checked against each other and the size.
 */
#include "backup/format/pack.h"

#include <string.h>

#include "backup/format/wire.h"
#include "dr/base/mem.h"

enum {
    DIGEST_MAGIC = 0x184D2A5E,
    TABLE_MAGIC = 0x184D2A5D,
    SKIP_SIZE = 8, /* magic and length of a skippable frame */
    ROW_SIZE = 48,
    TABLE_FIXED = SKIP_SIZE + 4 + NONCE_SIZE + 4 + PACK_TAIL_SIZE,
};
static const char table_magic[] = "DTP1", tail_magic[] = "1PTD";

void pack_start(struct pack *p, const uint8_t nonce[NONCE_SIZE])
{
    buf_clear(&p->bytes);
    buf_clear(&p->rows);
    p->row_count = 0;
    memcpy(p->nonce, nonce, NONCE_SIZE);
    memset(p->name, 0, sizeof p->name);
}

void pack_rows_add(struct buf *rows, const struct pack_row *row)
{
    buf_add(rows, row->id, DIGEST_SIZE);
    wire_add_u32(rows, row->offset);
    wire_add_u32(rows, row->stored);
    wire_add_u32(rows, row->raw);
    wire_add_u32(rows, row->kind);
}

void pack_digests_add(struct buf *out, const void *digests, size_t count)
{
    DR_ASSERT(count > 0 && count < PACK_ROWS_MAX);
    wire_add_u32(out, DIGEST_MAGIC);
    wire_add_u32(out, (uint32_t)(count * DIGEST_SIZE));
    buf_add(out, digests, count * DIGEST_SIZE);
}

uint64_t pack_table_len(uint32_t count)
{
    return TABLE_FIXED + (uint64_t)count * ROW_SIZE;
}

void pack_table_add(struct buf *out, const uint8_t nonce[NONCE_SIZE], const struct buf *rows,
                    uint32_t count)
{
    DR_ASSERT(count <= PACK_ROWS_MAX && rows->len == (size_t)count * ROW_SIZE);
    uint32_t total = (uint32_t)pack_table_len(count);
    wire_add_u32(out, TABLE_MAGIC);
    wire_add_u32(out, total - SKIP_SIZE);
    buf_add(out, table_magic, 4);
    buf_add(out, nonce, NONCE_SIZE);
    wire_add_u32(out, count);
    buf_add(out, rows->len > 0 ? rows->data : "", rows->len);
    wire_add_u32(out, total);
    buf_add(out, tail_magic, 4);
}

void pack_add(struct pack *p, struct pack_row *row, const void *frame)
{
    DR_ASSERT(p->bytes.len + row->stored < PACK_SIZE_MAX && p->row_count < PACK_ROWS_MAX);
    row->offset = (uint32_t)p->bytes.len;
    buf_add(&p->bytes, frame, row->stored);
    pack_rows_add(&p->rows, row);
    p->row_count++;
}

void pack_add_digests(struct pack *p, const void *digests, size_t count)
{
    pack_digests_add(&p->bytes, digests, count);
}

void pack_seal(struct pack *p)
{
    pack_table_add(&p->bytes, p->nonce, &p->rows, p->row_count);
    hash_bytes(p->bytes.data, p->bytes.len, p->name);
}

void pack_fini(struct pack *p)
{
    buf_fini(&p->bytes);
    buf_fini(&p->rows);
}

enum dr_rc pack_table_size(const char *what, const uint8_t tail[PACK_TAIL_SIZE], uint64_t pack_size,
                           uint64_t *ret, struct dr_err *err)
{
    uint64_t total = wire_get_u32(tail);
    if (memcmp(tail + 4, tail_magic, 4) != 0)
        return dr_fail(err, DR_E_CORRUPT, "%s: no table at its end", what);
    if (pack_size > PACK_SIZE_MAX || total > pack_size || total < TABLE_FIXED ||
        (total - TABLE_FIXED) % ROW_SIZE != 0 || (total - TABLE_FIXED) / ROW_SIZE > PACK_ROWS_MAX)
        return dr_fail(err, DR_E_CORRUPT, "%s: its table has an impossible size", what);
    *ret = total;
    return DR_OK;
}

static enum dr_rc read_row(struct wire *w, uint64_t *at, uint64_t end, struct pack_row *row,
                           struct dr_err *err)
{
    const uint8_t *id;
    DR_TRY(wire_take(w, DIGEST_SIZE, &id, err));
    memcpy(row->id, id, DIGEST_SIZE);
    DR_TRY(wire_u32(w, &row->offset, err));
    DR_TRY(wire_u32(w, &row->stored, err));
    DR_TRY(wire_u32(w, &row->raw, err));
    DR_TRY(wire_u32(w, &row->kind, err));
    if (row->offset < *at || row->stored == 0 || (uint64_t)row->offset + row->stored > end)
        return wire_bad(w, err, "row outside of the pack");
    if (row->kind >= FRAME_PIECE_KINDS && row->kind != FRAME_SEGMENT && row->kind != FRAME_LIST &&
        row->kind != FRAME_PATCH)
        return wire_bad(w, err, "row of an unknown kind");
    *at = (uint64_t)row->offset + row->stored;
    return DR_OK;
}

static enum dr_rc read_rows(struct wire *w, uint64_t pack_size, size_t count, struct pack_table *t,
                            struct dr_err *err)
{
    uint64_t at = 0;
    if (TABLE_FIXED + (uint64_t)count * ROW_SIZE != w->len || w->len > pack_size)
        return wire_bad(w, err, "wrong number of rows");
    t->rows = dr_alloc(count + 1, sizeof *t->rows);
    for (; t->count < count; t->count++)
        DR_TRY(read_row(w, &at, pack_size - w->len, &t->rows[t->count], err));
    return DR_OK;
}

static enum dr_rc read_table(struct wire *w, uint64_t pack_size, struct pack_table *t,
                             struct dr_err *err)
{
    uint32_t magic, length, count;
    const uint8_t *nonce;
    DR_TRY(wire_u32(w, &magic, err));
    DR_TRY(wire_u32(w, &length, err));
    if (magic != TABLE_MAGIC || length + (uint64_t)SKIP_SIZE != w->len)
        return wire_bad(w, err, "no table frame");
    DR_TRY(wire_magic(w, table_magic, err));
    DR_TRY(wire_take(w, NONCE_SIZE, &nonce, err));
    memcpy(t->nonce, nonce, NONCE_SIZE);
    DR_TRY(wire_u32(w, &count, err));
    DR_TRY(read_rows(w, pack_size, count, t, err));
    DR_TRY(wire_u32(w, &length, err));
    if (length != w->len)
        return wire_bad(w, err, "wrong size");
    return wire_magic(w, tail_magic, err);
}

enum dr_rc pack_table_parse(const char *what, const void *data, size_t len, uint64_t pack_size,
                            struct pack_table *ret, struct dr_err *err)
{
    struct wire w = wire_of(what, data, len);
    struct pack_table t = { .rows = NULL };
    enum dr_rc rc = read_table(&w, pack_size, &t, err);
    if (rc != DR_OK)
        pack_table_fini(&t);
    else
        *ret = t;
    return rc;
}

void pack_table_fini(struct pack_table *t)
{
    free(t->rows);
    *t = (struct pack_table){ .rows = NULL };
}

const struct pack_row *pack_table_find(const struct pack_table *t, const uint8_t id[DIGEST_SIZE])
{
    for (size_t i = 0; i < t->count; i++)
        if (memcmp(t->rows[i].id, id, DIGEST_SIZE) == 0)
            return &t->rows[i];
    return NULL;
}

enum dr_rc pack_digests(const char *what, const void *data, size_t len, const uint8_t **ret,
                        size_t *ret_count, struct dr_err *err)
{
    struct wire w = wire_of(what, data, len);
    uint32_t magic = 0, size = 0;
    const uint8_t *digests = NULL;
    if (len >= SKIP_SIZE) {
        DR_TRY(wire_u32(&w, &magic, err));
        DR_TRY(wire_u32(&w, &size, err));
    }
    if (magic != DIGEST_MAGIC)
        size = 0;
    if (size % DIGEST_SIZE != 0)
        return wire_bad(&w, err, "digest frame of an odd size");
    DR_TRY(wire_take(&w, size, &digests, err));
    *ret = digests;
    *ret_count = size / DIGEST_SIZE;
    return DR_OK;
}
