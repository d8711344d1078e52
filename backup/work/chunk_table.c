/*
 * Places of pieces in mapped files. The rows are sorted where they lie, by quicksort with a stack of
 * its own: qsort() would copy them to the heap, which is what this table is there to avoid.
 */
#include "backup/work/chunk_table.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "backup/work/spool.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum {
    ROWS_START = 256,
    SLOTS_START = 1024,
    ZERO_STEP = 64 << 10,
    SIZE_BITS = 26,
    OFFSET_BITS = 30,
    LOW_BITS = 12, /* of the count */
    COUNT_MAX = (1 << 14) - 1,
    SKIP_SIZE = 8,
    SORT_SMALL = 16,
    SORT_DEPTH = 64,
};

struct mapped { /* zeroed pages of an unnamed file */
    void *data;
    size_t size;
    int fd;
};

struct chunk_table {
    const char *state_dir;
    struct mapped rows, slots;
    size_t count, slot_cap; /* cap: a power of two, or 0 at first */
    bool sorted;
};

/* -- rows ---------------------------------------------------------------------------------- */

bool chunk_row_make(const uint8_t id[DIGEST_SIZE], const struct chunk_place *place,
                    struct chunk_row *ret)
{
    uint32_t count = place->behind > 0 ? (place->behind - SKIP_SIZE) / DIGEST_SIZE : 0;
    if (count > COUNT_MAX || place->raw >> SIZE_BITS != 0 || place->stored >> SIZE_BITS != 0 ||
        place->offset >> OFFSET_BITS != 0)
        return false;
    memcpy(ret->key, id, CHUNK_KEY_SIZE);
    ret->pack = htole32(place->pack);
    ret->at = htole32(place->offset | count >> LOW_BITS << OFFSET_BITS);
    ret->sizes = htole64((uint64_t)place->raw | (uint64_t)place->stored << SIZE_BITS |
                         (uint64_t)count << (2 * SIZE_BITS));
    return true;
}

struct chunk_place chunk_row_place(const struct chunk_row *row)
{
    const uint32_t size_mask = (1u << SIZE_BITS) - 1, offset_mask = (1u << OFFSET_BITS) - 1;
    uint64_t sizes = le64toh(row->sizes);
    uint32_t at = le32toh(row->at);
    uint32_t count = (uint32_t)(sizes >> (2 * SIZE_BITS)) | at >> OFFSET_BITS << LOW_BITS;
    return (struct chunk_place){
        .pack = le32toh(row->pack),
        .offset = at & offset_mask,
        .stored = (uint32_t)(sizes >> SIZE_BITS) & size_mask,
        .raw = (uint32_t)sizes & size_mask,
        .behind = count > 0 ? SKIP_SIZE + count * DIGEST_SIZE : 0,
    };
}

/* -- mapped files -------------------------------------------------------------------------- */

static void unmap(struct mapped *m)
{
    if (m->data != NULL)
        (void)munmap(m->data, m->size); /* of our own mapping: cannot fail */
    if (m->size > 0)
        dr_close_fd(&m->fd);
    *m = (struct mapped){ .data = NULL };
}

static enum dr_rc fail_table(const char *state_dir, int errnum, struct dr_err *err)
{
    dr_fail_sys(err, errnum, "cannot make room for the table of pieces in '%s/spool'", state_dir);
    if (errnum == ENOSPC || errnum == EDQUOT)
        return dr_hint(err, "Free space there, or move state_dir to a larger file system.");
    return err->rc;
}

/* 0, or an errno. */
static int write_zeros(int fd, size_t from, size_t to)
{
    static const uint8_t zeros[ZERO_STEP];
    while (from < to) {
        size_t n = to - from < ZERO_STEP ? to - from : ZERO_STEP;
        ssize_t done = sys.pwrite(fd, zeros, n, (off_t)from);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return errno;
        from += (size_t)done;
    }
    return 0;
}

/* Now of that size, which is larger than before; what is new is zero. */
static enum dr_rc enlarge(struct mapped *m, const char *state_dir, size_t size, struct dr_err *err)
{
    if (m->size == 0)
        DR_TRY(spool_file(state_dir, &m->fd, err));
    int failed = write_zeros(m->fd, m->size, size);
    void *data = MAP_FAILED;
    if (failed == 0) {
        data = m->size == 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0)
                            : mremap(m->data, m->size, size, MREMAP_MAYMOVE);
        failed = data == MAP_FAILED ? errno : 0;
    }
    if (failed != 0 && m->size == 0)
        dr_close_fd(&m->fd);
    if (failed != 0)
        return fail_table(state_dir, failed, err);
    m->data = data;
    m->size = size;
    return DR_OK;
}

/* -- the table ----------------------------------------------------------------------------- */

struct chunk_table *chunk_table_new(const char *state_dir)
{
    struct chunk_table *t = dr_alloc(1, sizeof *t);
    t->state_dir = state_dir;
    return t;
}

void chunk_table_free(struct chunk_table *t)
{
    if (t == NULL)
        return;
    unmap(&t->rows);
    unmap(&t->slots);
    free(t);
}

size_t chunk_table_count(const struct chunk_table *t)
{
    return t->count;
}

static struct chunk_row *row_at(const struct chunk_table *t, size_t i)
{
    return (struct chunk_row *)t->rows.data + i;
}

/* The slot of that key, or the free one where it belongs: 0 is free, else a row's number + 1. */
static uint32_t *slot_of(const struct chunk_table *t, const uint8_t *key)
{
    uint32_t *slots = t->slots.data;
    uint64_t h;
    memcpy(&h, key, sizeof h);
    size_t i = h & (t->slot_cap - 1);
    while (slots[i] != 0 && memcmp(row_at(t, slots[i] - 1)->key, key, CHUNK_KEY_SIZE) != 0)
        i = (i + 1) & (t->slot_cap - 1);
    return &slots[i];
}

static enum dr_rc widen(struct chunk_table *t, struct dr_err *err)
{
    struct mapped wider = { .data = NULL };
    size_t cap = t->slot_cap == 0 ? SLOTS_START : t->slot_cap * 2;
    DR_TRY(enlarge(&wider, t->state_dir, cap * sizeof(uint32_t), err));
    unmap(&t->slots);
    t->slots = wider;
    t->slot_cap = cap;
    for (size_t i = 0; i < t->count; i++)
        *slot_of(t, row_at(t, i)->key) = (uint32_t)i + 1;
    return DR_OK;
}

/* Room for one more row and its slot. */
static enum dr_rc make_room(struct chunk_table *t, struct dr_err *err)
{
    size_t rows = t->rows.size / sizeof(struct chunk_row);
    if (t->count == UINT32_MAX - 1)
        return dr_fail(err, DR_E_NOMEM, "more pieces than a table holds");
    if (t->count == rows) {
        rows = rows == 0 ? ROWS_START : rows + rows / 2;
        DR_TRY(enlarge(&t->rows, t->state_dir, rows * sizeof(struct chunk_row), err));
    }
    if ((t->count + 1) * 4 > t->slot_cap * 3)
        return widen(t, err);
    return DR_OK;
}

enum dr_rc chunk_table_add(struct chunk_table *t, const uint8_t id[DIGEST_SIZE],
                           const struct chunk_place *place, struct dr_err *err)
{
    struct chunk_row row;
    DR_ASSERT(!t->sorted);
    if (!chunk_row_make(id, place, &row))
        return DR_OK;
    DR_TRY(make_room(t, err));
    uint32_t *slot = slot_of(t, id);
    if (*slot == 0)
        *slot = (uint32_t)++t->count;
    *row_at(t, *slot - 1) = row;
    return DR_OK;
}

bool chunk_table_find(const struct chunk_table *t, const uint8_t id[DIGEST_SIZE],
                      struct chunk_place *ret)
{
    DR_ASSERT(!t->sorted);
    uint32_t slot = t->slot_cap > 0 ? *slot_of(t, id) : 0;
    if (slot == 0)
        return false;
    *ret = chunk_row_place(row_at(t, slot - 1));
    return true;
}

/* -- sorting ------------------------------------------------------------------------------- */

static int compare(const struct chunk_row *a, const struct chunk_row *b)
{
    return memcmp(a->key, b->key, CHUNK_KEY_SIZE);
}

static void swap(struct chunk_row *a, struct chunk_row *b)
{
    struct chunk_row c = *a;
    *a = *b;
    *b = c;
}

static void sort_small(struct chunk_row *rows, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && compare(&rows[k - 1], &rows[k]) > 0; k--)
            swap(&rows[k - 1], &rows[k]);
}

/* Hoare's partition about the middle one: [0, ret) <= [ret, count). 0 < ret < count. */
static size_t partition(struct chunk_row *rows, size_t count)
{
    const struct chunk_row pivot = rows[(count - 1) / 2];
    size_t i = 0, k = count - 1;
    for (;;) {
        while (compare(&rows[i], &pivot) < 0)
            i++;
        while (compare(&rows[k], &pivot) > 0)
            k--;
        if (i >= k)
            return k + 1;
        swap(&rows[i++], &rows[k--]);
    }
}

const struct chunk_row *chunk_table_sort(struct chunk_table *t)
{
    struct span {
        size_t from, count;
    } stack[SORT_DEPTH];
    size_t depth = 0;
    struct chunk_row *rows = t->rows.data;
    t->sorted = true;
    if (t->count == 0)
        return rows;
    stack[depth++] = (struct span){ 0, t->count };
    while (depth > 0) {
        struct span s = stack[--depth];
        if (s.count <= SORT_SMALL) {
            sort_small(rows + s.from, s.count);
            continue;
        }
        size_t cut = partition(rows + s.from, s.count);
        struct span left = { s.from, cut }, right = { s.from + cut, s.count - cut };
        /* The larger half waits: so the stack is no deeper than the logarithm. */
        DR_ASSERT(depth + 2 <= SORT_DEPTH);
        stack[depth++] = left.count > right.count ? left : right;
        stack[depth++] = left.count > right.count ? right : left;
    }
    return rows;
}
