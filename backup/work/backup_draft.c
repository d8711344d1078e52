/*
 * Segments in the making. Rows are sorted by their place only when all are there, because the bundle of
 * a range is done after the large files in it, and directories after everything.
 */
#include "backup/work/backup_draft.h"

#include <string.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { START = 64, NO_ROW = -1 };

struct draft *draft_new(void)
{
    struct draft *g = dr_alloc(1, sizeof *g);
    buf_addc(&g->strings, '\0'); /* no text begins at 0 */
    return g;
}

void draft_free(struct draft *g)
{
    if (g == NULL)
        return;
    free(g->records);
    free(g->rows);
    free(g->ranges);
    buf_fini(&g->strings);
    segment_base_fini(&g->base);
    free(g);
}

static size_t keep_text(struct draft *g, const char *text, size_t len)
{
    size_t at = g->strings.len;
    buf_add(&g->strings, text, len);
    buf_addc(&g->strings, '\0');
    return at;
}

uint32_t draft_add_record(struct draft *g, const struct toc_record *r)
{
    DR_ASSERT(g->record_count < SEGMENT_RECORDS_MAX);
    if (g->record_count == g->record_cap) {
        g->record_cap = g->record_cap == 0 ? START : g->record_cap * 2;
        g->records = dr_realloc(g->records, g->record_cap, sizeof *g->records);
    }
    struct draft_record *d = &g->records[g->record_count];
    *d = (struct draft_record){ .record = *r };
    d->path = keep_text(g, r->path, r->path_len);
    if (r->link != NULL)
        d->link = keep_text(g, r->link, strlen(r->link));
    return (uint32_t)g->record_count++;
}

void draft_set_link(struct draft *g, uint32_t record, const char *link)
{
    DR_ASSERT(record < g->record_count);
    g->records[record].link = keep_text(g, link, strlen(link));
}

uint32_t draft_add_row(struct draft *g, const struct draft_row *row)
{
    DR_ASSERT(g->row_count < SEGMENT_PIECES_MAX);
    if (g->row_count == g->row_cap) {
        g->row_cap = g->row_cap == 0 ? START : g->row_cap * 2;
        g->rows = dr_realloc(g->rows, g->row_cap, sizeof *g->rows);
    }
    g->rows[g->row_count] = *row;
    return (uint32_t)g->row_count++;
}

static void add_range(struct draft *g, uint32_t first, uint32_t bundle)
{
    if (g->range_count == g->range_cap) {
        g->range_cap = g->range_cap == 0 ? START : g->range_cap * 2;
        g->ranges = dr_realloc(g->ranges, g->range_cap, sizeof *g->ranges);
    }
    g->ranges[g->range_count++] = (struct draft_range){ .first = first, .bundle = bundle };
}

uint32_t draft_add_range(struct draft *g)
{
    add_range(g, (uint32_t)g->record_count, 0);
    return g->next_range++;
}

void draft_set_bundle(struct draft *g, uint32_t first_record, uint32_t row)
{
    struct draft_range *best = NULL;
    for (size_t i = 0; i < g->range_count; i++)
        if (g->ranges[i].first <= first_record &&
            (best == NULL || g->ranges[i].first >= best->first))
            best = &g->ranges[i];
    DR_ASSERT(best != NULL);
    if (best->bundle == 0)
        best->bundle = row + 1;
    else
        add_range(g, first_record, row + 1);
}

struct toc_record *draft_record(struct draft *g, size_t i)
{
    DR_ASSERT(i < g->record_count);
    struct draft_record *d = &g->records[i];
    d->record.path = g->strings.data + d->path;
    d->record.link = d->link > 0 ? g->strings.data + d->link : NULL;
    return &d->record;
}

const char *draft_first(struct draft *g)
{
    for (size_t i = 0; i < g->record_count; i++)
        if (!g->records[i].dropped)
            return draft_record(g, i)->path;
    return NULL;
}

/* -- closing ------------------------------------------------------------------------------- */

struct sorted {
    uint32_t place, row;
};

static int by_place(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

static int by_first(const void *a, const void *b)
{
    const struct draft_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Rows in stream order. */
static struct sorted *sort_rows(const struct draft *g)
{
    struct sorted *order = dr_alloc(g->row_count + 1, sizeof *order);
    for (size_t i = 0; i < g->row_count; i++)
        order[i] = (struct sorted){ g->rows[i].place, (uint32_t)i };
    if (g->row_count > 1)
        qsort(order, g->row_count, sizeof *order, by_place);
    return order;
}

/* They go to the writer and the lists; the new number of each. */
static uint32_t *write_rows(const struct draft *g, const struct sorted *order, struct toc_writer *w,
                            struct lists *lists)
{
    uint32_t *number = dr_alloc(g->row_count + 1, sizeof *number);
    for (size_t i = 0; i < g->row_count; i++) {
        const struct draft_row *row = &g->rows[order[i].row];
        struct toc_piece piece = { .kind = row->kind,
                                   .pack = row->at.pack,
                                   .offset = row->at.offset,
                                   .stored = row->at.stored,
                                   .raw = row->at.raw,
                                   .superseded = row->superseded };
        memcpy(piece.id, row->at.id, DIGEST_SIZE);
        lists_add_run(lists, &row->at, row->kind == FRAME_DIRECTORIES);
        number[order[i].row] = toc_add_piece(w, &piece);
    }
    return number;
}

/* The digest of a large file: of the ids of its chunks. Its data were read for these once already. */
static void digest_large(const struct draft *g, const struct sorted *order, struct hash *hash,
                         struct toc_record *r)
{
    size_t first = (size_t)r->piece + r->nhead;
    DR_ASSERT(first + r->nchunk <= g->row_count);
    hash_start(hash);
    for (size_t i = first; i < first + r->nchunk; i++) {
        const struct draft_row *row = &g->rows[order[i].row];
        DR_ASSERT(row->kind == FRAME_CHUNK);
        hash_add(hash, row->at.id, DIGEST_SIZE);
    }
    hash_end(hash, r->digest);
}

/* The last of the ranges that begin at or before record i, from range at on; its successor. */
static size_t skip_ranges(const struct draft *g, size_t at, size_t i, uint32_t *ret_bundle)
{
    for (; at < g->range_count && g->ranges[at].first <= i; at++)
        *ret_bundle = g->ranges[at].bundle;
    return at;
}

struct toc_writer *draft_close(struct draft *g, struct lists *lists)
{
    if (draft_first(g) == NULL) {
        DR_ASSERT(g->row_count == 0); /* a piece holds an entry that was read */
        return NULL;
    }
    struct toc_writer *w = toc_writer_new();
    struct sorted *order = sort_rows(g);
    uint32_t *number = write_rows(g, order, w, lists);
    DR_CLEANUP(hash_free_ptr) struct hash *hash = hash_new();
    if (g->range_count > 1)
        qsort(g->ranges, g->range_count, sizeof *g->ranges, by_first);
    size_t range = 0;
    for (size_t i = 0; i < g->record_count; i++) {
        if (g->records[i].dropped)
            continue;
        uint32_t bundle = 0;
        size_t next = skip_ranges(g, range, i, &bundle);
        if (next > range)
            toc_add_range(w, bundle > 0 ? number[bundle - 1] + 1 : 0);
        range = next;
        struct toc_record r = *draft_record(g, i);
        DR_ASSERT(r.piece < g->row_count);
        r.piece = number[r.piece];
        if (r.nhead > 0)
            digest_large(g, order, hash, &r);
        toc_add_record(w, &r);
    }
    free(number);
    free(order);
    return w;
}
