/*
 * Patches. Base and result have the same rows in the same order but for a few, so most runs go on
 * where the one before ended, or the same number of bytes behind it: these two places are tried
 * first. What was inserted or left out is found by a table of the base: each fourth position, by the
 * hash of the bytes there. A run that is found is stretched to both sides.
 */
#include "backup/format/patch.h"

#include <string.h>
#include <xxhash.h>

#include "backup/format/wire.h"
#include "dr/base/mem.h"

enum { SEED = 12, STRIDE = 4 }; /* bytes that must agree; distance of positions in the table */
#define NOWHERE SIZE_MAX

/* -- making -------------------------------------------------------------------------------- */

struct making {
    const uint8_t *base, *now;
    size_t base_len, now_len;
    uint32_t *table; /* position + 1, 0: none */
    size_t mask;
    struct buf *out;
    size_t copied; /* where the last copy ended, in base */
    size_t told;   /* bytes of now that are in out */
};

static size_t slot(const struct making *m, const uint8_t *at)
{
    return XXH3_64bits(at, SEED) & m->mask;
}

static void make_table(struct making *m)
{
    size_t size = 64;
    while (size < m->base_len / STRIDE * 2)
        size *= 2;
    m->mask = size - 1;
    m->table = dr_alloc(size, sizeof *m->table);
    for (size_t i = 0; i + SEED <= m->base_len; i += STRIDE)
        m->table[slot(m, m->base + i)] = (uint32_t)i + 1;
}

static bool agrees(const struct making *m, size_t from, size_t at)
{
    return from + SEED <= m->base_len && memcmp(m->base + from, m->now + at, SEED) == 0;
}

/* Where in the base are the bytes at this position of now? */
static size_t find(const struct making *m, size_t at)
{
    size_t beside = m->copied + (at - m->told);
    if (agrees(m, beside, at))
        return beside;
    if (agrees(m, m->copied, at))
        return m->copied;
    uint32_t known = m->table[slot(m, m->now + at)];
    return known > 0 && agrees(m, known - 1, at) ? known - 1 : NOWHERE;
}

/* New bytes up to `until`, then len bytes of the base. */
static void add_step(struct making *m, size_t until, size_t from, size_t len)
{
    wire_add_varint(m->out, until - m->told);
    buf_add(m->out, m->now + m->told, until - m->told);
    wire_add_varint(m->out, len);
    wire_add_svarint(m->out, (int64_t)from - (int64_t)m->copied);
    m->told = until + len;
    m->copied = from + len;
}

static void add_steps(struct making *m)
{
    for (size_t at = 0; at + SEED <= m->now_len;) {
        size_t from = find(m, at), begin = at;
        if (from == NOWHERE) {
            at++;
            continue;
        }
        while (begin > m->told && from > 0 && m->base[from - 1] == m->now[begin - 1])
            begin--, from--;
        size_t len = at - begin + SEED;
        while (from + len < m->base_len && begin + len < m->now_len &&
               m->base[from + len] == m->now[begin + len])
            len++;
        add_step(m, begin, from, len);
        at = m->told;
    }
    if (m->told < m->now_len)
        add_step(m, m->now_len, m->copied, 0);
}

void patch_make(const struct buf *base, const uint8_t base_id[DIGEST_SIZE], const struct buf *now,
                struct buf *out)
{
    DR_ASSERT(base->len > 0 && base->len <= PATCH_RAW_MAX);
    DR_ASSERT(now->len > 0 && now->len <= PATCH_RAW_MAX);
    struct making m = { .base = (const uint8_t *)base->data,
                        .now = (const uint8_t *)now->data,
                        .base_len = base->len,
                        .now_len = now->len,
                        .out = out };
    make_table(&m);
    buf_adds(out, "DTD1");
    buf_add(out, base_id, DIGEST_SIZE);
    wire_add_varint(out, now->len);
    add_steps(&m);
    free(m.table);
}

/* -- applying ------------------------------------------------------------------------------ */

struct applying {
    struct wire w;
    const struct buf *base;
    size_t copied; /* where the last copy ended, in base */
    uint64_t left; /* bytes that are still to come */
};

static enum dr_rc copy(struct applying *a, uint64_t len, int64_t distance, struct buf *out,
                       struct dr_err *err)
{
    int64_t from = 0;
    if (__builtin_add_overflow((int64_t)a->copied, distance, &from) || from < 0 ||
        (uint64_t)from > a->base->len || len > a->base->len - (uint64_t)from)
        return wire_bad(&a->w, err, "a copy of what the base does not have");
    if (len > 0)
        buf_add(out, a->base->data + from, len);
    a->copied = (size_t)from + len;
    return DR_OK;
}

static enum dr_rc take_step(struct applying *a, struct buf *out, struct dr_err *err)
{
    uint64_t fresh, len;
    int64_t distance;
    const uint8_t *bytes;
    DR_TRY(wire_varint(&a->w, a->left, &fresh, err));
    DR_TRY(wire_take(&a->w, fresh, &bytes, err));
    if (fresh > 0)
        buf_add(out, bytes, fresh);
    a->left -= fresh;
    DR_TRY(wire_varint(&a->w, a->left, &len, err));
    DR_TRY(wire_svarint(&a->w, &distance, err));
    if (fresh + len == 0)
        return wire_bad(&a->w, err, "a step that gives nothing");
    a->left -= len;
    return copy(a, len, distance, out, err);
}

static enum dr_rc take_head(struct applying *a, const uint8_t *base_id, struct dr_err *err)
{
    const uint8_t *id;
    DR_TRY(wire_magic(&a->w, "DTD1", err));
    DR_TRY(wire_take(&a->w, DIGEST_SIZE, &id, err));
    if (memcmp(id, base_id, DIGEST_SIZE) != 0)
        return wire_bad(&a->w, err, "of another base");
    return wire_varint(&a->w, PATCH_RAW_MAX, &a->left, err);
}

enum dr_rc patch_apply(const char *what, const struct patch *p, struct buf *out, struct dr_err *err)
{
    struct applying a = { .w = wire_of(what, p->patch->data, p->patch->len), .base = p->base };
    size_t before = out->len;
    if (p->patch->len > PATCH_RAW_MAX || p->base->len > PATCH_RAW_MAX)
        return wire_bad(&a.w, err, "larger than its limit");
    DR_TRY(take_head(&a, p->base_id, err));
    buf_reserve(out, a.left);
    enum dr_rc rc = DR_OK;
    while (rc == DR_OK && wire_left(&a.w) > 0)
        rc = take_step(&a, out, err);
    if (rc == DR_OK && a.left > 0)
        rc = wire_bad(&a.w, err, "it ends too early");
    if (rc != DR_OK)
        out->len = before;
    return rc;
}
