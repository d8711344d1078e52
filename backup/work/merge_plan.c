/*
 * Decisions in the order in which they depend on each other: dead bytes of rows, ranges, overlays (into
 * which more comes when others are folded), directories, and then which rows are still named.
 */
#include "backup/work/merge_plan.h"

#include <string.h>

#include "backup/format/head.h"
#include "dr/base/mem.h"

struct making {
    const struct prev_segment *s;
    struct parts *parts;
    const struct plan_options *o;
    struct plan *plan;
};

void plan_fini(struct plan *p)
{
    free(p->recut);
    free(p->keep);
    free(p->dead);
    *p = (struct plan){ .recut = NULL };
}

static bool is_avoided(const struct making *m, uint32_t row)
{
    return m->o->avoided[m->s->toc.pieces[row].pack];
}

static const struct toc_record *record_of(const struct making *m, const struct part *part)
{
    return part->old != PART_NEW ? &m->s->records[part->old] : NULL;
}

/* The record of one that is the same: it has one. */
static const struct toc_record *same_record(const struct making *m, const struct part *part)
{
    DR_ASSERT(part->old < m->s->count);
    return &m->s->records[part->old];
}

static bool is_written(const struct part *part)
{
    return part->verdict == PART_READ || part->verdict == PART_NEW_ENTRY;
}

static bool is_small_now(const struct part *part)
{
    char type = part_type(part);
    return type != '1' && type != '5' && (type != '0' || part->now.st.size < LARGE_SIZE);
}

static uint64_t bytes_now(const struct part *part)
{
    return BLOCK_SIZE + (part_type(part) == '0' ? head_padded(part->now.st.size) : 0);
}

/* -- the segment --------------------------------------------------------------------------- */

static bool large_is_avoided(const struct making *m, const struct toc_record *r)
{
    for (uint32_t i = 0; i < r->nhead + r->nchunk; i++)
        if (is_avoided(m, r->piece + i))
            return true;
    return false;
}

/* Large files stay or go row by row; everything else by its piece. */
static void leave_avoided_large(struct making *m)
{
    for (size_t i = 0; i < m->parts->count; i++) {
        struct part *part = &m->parts->items[i];
        if (part->verdict != PART_SAME)
            continue;
        const struct toc_record *r = same_record(m, part);
        if (r->nhead > 0 && large_is_avoided(m, r))
            part->verdict = PART_READ;
    }
}

static struct merge_segment facts_of(const struct making *m)
{
    struct merge_segment ret = *m->o->at;
    ret.before = m->s->count;
    ret.rows = m->s->toc.piece_count;
    ret.entries = ret.names = 0;
    for (size_t i = 0; i < m->parts->count; i++) {
        const struct part *part = &m->parts->items[i];
        if (!part_lives(part)) {
            ret.first_gone = ret.first_gone || part->old == 0;
            continue;
        }
        ret.entries++;
        ret.names += part->now.path_len + 1;
        const struct toc_record *r = record_of(m, part);
        if (r != NULL && r->type != part_type(part))
            ret.type_changed = true;
    }
    return ret;
}

static bool differs(const struct making *m)
{
    for (size_t i = 0; i < m->parts->count; i++)
        if (m->parts->items[i].verdict != PART_SAME)
            return true;
    for (size_t i = 0; i < m->s->toc.pack_count; i++)
        if (m->o->avoided[i])
            return true;
    return m->o->frame_avoided;
}

/* -- rows and ranges ----------------------------------------------------------------------- */

static void die(struct making *m, const struct toc_record *r)
{
    uint64_t *dead = &m->plan->dead[r->piece];
    uint64_t raw = m->s->toc.pieces[r->piece].raw;
    *dead += merge_entry_bytes(r);
    *dead = *dead < raw ? *dead : raw;
}

static void count_dead(struct making *m)
{
    for (size_t i = 0; i < m->s->toc.piece_count; i++)
        m->plan->dead[i] = m->s->toc.pieces[i].superseded;
    for (size_t i = 0; i < m->parts->count; i++) {
        const struct part *part = &m->parts->items[i];
        const struct toc_record *r = record_of(m, part);
        if (r != NULL && part->verdict != PART_SAME && plan_is_small(r))
            die(m, r);
    }
}

/* A link that is no longer what it was, or an entry with several names that is written. Symbolic links count:
 * GNU tar makes them last, from placeholders that it knows by inode, so of two copies of one path it
 * may take the older; with its bundle cut afresh there is one copy only. */
static bool touches_links(const struct making *m, const struct part *part)
{
    const struct toc_record *r = record_of(m, part);
    if (part->verdict == PART_SAME) {
        r = same_record(m, part);
        return r->type == '1' && is_avoided(m, r->piece);
    }
    if (r != NULL && r->type == '1')
        return true;
    if (!part_lives(part))
        return false;
    char type = part_type(part);
    return type == '1' || type == '2' || (type != '5' && part->now.st.nlink > 1);
}

/* What would be read again of the range, though nothing happened to it. */
static uint64_t bytes_that_stay(const struct making *m, uint32_t range)
{
    uint64_t ret = 0;
    for (size_t i = 0; i < m->parts->count; i++) {
        const struct part *part = &m->parts->items[i];
        if (part->range == range && part->verdict == PART_SAME && is_small_now(part) &&
            part_type(part) == '0')
            ret += part->now.st.size;
    }
    return ret;
}

static void judge_ranges(struct making *m, struct merge_range *ranges)
{
    const struct toc_segment *toc = &m->s->toc;
    for (size_t i = 0; i < toc->range_count; i++) {
        uint32_t bundle = toc->ranges[i].bundle;
        ranges[i].full = m->o->full;
        if (bundle == 0)
            continue;
        ranges[i].raw = toc->pieces[bundle - 1].raw;
        ranges[i].dead = m->plan->dead[bundle - 1];
        ranges[i].avoided = is_avoided(m, bundle - 1);
    }
    for (size_t i = 0; i < m->parts->count; i++) {
        const struct part *part = &m->parts->items[i];
        struct merge_range *r = &ranges[part->range];
        r->entries += part_lives(part);
        r->links = r->links || touches_links(m, part);
        if (is_written(part) && is_small_now(part))
            r->new_bytes += bytes_now(part);
    }
    for (size_t i = 0; i < toc->range_count; i++) {
        enum merge_recut how = merge_recuts(&ranges[i]);
        m->plan->recut[i] =
            how == MERGE_MUST ||
            (how == MERGE_MAY && merge_affords(m->o->purse, bytes_that_stay(m, (uint32_t)i)));
    }
}

static void count_changed(struct making *m)
{
    for (size_t i = 0; i < m->parts->count; i++) {
        const struct part *part = &m->parts->items[i];
        if (is_written(part) && part_type(part) == '0')
            m->o->purse->changed += part->now.st.size;
    }
}

/* In a full one: a bundle far below its target is cut together with its neighbour. */
static void recut_small(struct making *m, const struct merge_range *ranges)
{
    size_t count = m->s->toc.range_count;
    for (size_t i = 0; i < count && m->o->full && count > 1; i++) {
        if (ranges[i].raw == 0 || ranges[i].raw - ranges[i].dead >= MERGE_BUNDLE_SMALL)
            continue;
        m->plan->recut[i] = true;
        m->plan->recut[i + 1 < count ? i + 1 : i - 1] = true;
    }
}

/* -- overlays ------------------------------------------------------------------------------ */

static bool is_overlaid(const struct making *m, const struct part *part)
{
    if (part->verdict != PART_SAME)
        return false;
    const struct toc_record *r = same_record(m, part);
    return plan_is_small(r) && m->s->toc.pieces[r->piece].kind == FRAME_OVERLAY;
}

/* Bytes that go into new overlays, when those that stay are as in keep. */
static uint64_t overlay_bytes(const struct making *m)
{
    uint64_t ret = 0;
    for (size_t i = 0; i < m->parts->count; i++) {
        const struct part *part = &m->parts->items[i];
        if (!part_lives(part) || m->plan->recut[part->range] || !is_small_now(part))
            continue;
        bool folded = is_overlaid(m, part) && !m->plan->keep[same_record(m, part)->piece];
        if (is_written(part) || folded)
            ret += bytes_now(part);
    }
    return ret;
}

struct overlay {
    uint64_t live;
    uint32_t row;
};

static int by_live(const void *a, const void *b)
{
    const struct overlay *x = a, *y = b;
    if (x->live != y->live)
        return x->live < y->live ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

/* All in a full one; else the smallest: down to three quarters when there are too many, and on while it is
 * within the purse. */
static void fold_some(struct making *m, size_t kept, size_t made)
{
    struct overlay *all = dr_alloc(kept + 1, sizeof *all);
    size_t count = 0, most = SIZE_MAX;
    for (uint32_t i = 0; i < m->s->toc.piece_count; i++) {
        const struct toc_piece *row = &m->s->toc.pieces[i];
        if (row->kind == FRAME_OVERLAY && m->plan->keep[i])
            all[count++] = (struct overlay){ row->raw - m->plan->dead[i], i };
    }
    if (m->o->full)
        most = 0;
    else if (kept + made > MERGE_OVERLAYS_MAX)
        most = (size_t)MERGE_OVERLAYS_MAX / 4 * 3;
    qsort(all, count, sizeof *all, by_live);
    for (size_t i = 0; i < count; i++) {
        bool few = count - i + made <= MERGE_OVERLAYS;
        if (count - i <= most && (few || !merge_affords(m->o->purse, all[i].live)))
            break;
        m->plan->keep[all[i].row] = false;
    }
    free(all);
}

static void judge_overlays(struct making *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->parts->count; i++) {
        const struct part *part = &m->parts->items[i];
        if (part_lives(part) && m->plan->recut[part->range] && is_overlaid(m, part))
            die(m, same_record(m, part)); /* goes into the range's new bundle */
    }
    for (uint32_t i = 0; i < m->s->toc.piece_count; i++) {
        const struct toc_piece *row = &m->s->toc.pieces[i];
        if (row->kind != FRAME_OVERLAY)
            continue;
        m->plan->keep[i] =
            !is_avoided(m, i) && !merge_folds(row->raw, m->plan->dead[i], m->o->full);
        kept += m->plan->keep[i];
    }
    uint64_t made = (overlay_bytes(m) + MERGE_OVERLAY_SIZE - 1) / MERGE_OVERLAY_SIZE;
    if (kept + made > MERGE_OVERLAYS)
        fold_some(m, kept, made);
}

/* -- what stays ---------------------------------------------------------------------------- */

static void judge_directories(struct making *m)
{
    for (size_t i = 0; i < m->parts->count; i++) {
        const struct part *part = &m->parts->items[i];
        const struct toc_record *r = record_of(m, part);
        bool was = r != NULL && r->type == '5';
        bool is = part_lives(part) && part_type(part) == '5';
        bool stays = part->verdict == PART_SAME && was && !is_avoided(m, r->piece);
        if ((was || is) && !stays)
            m->plan->directories = true;
    }
}

/* Rows that a record names which stays; an overlay moreover must not be folded. */
static void mark_rows(struct making *m)
{
    bool *named = dr_alloc(m->s->toc.piece_count + 1, sizeof *named);
    for (size_t i = 0; i < m->parts->count; i++) {
        const struct part *part = &m->parts->items[i];
        const struct toc_record *r = record_of(m, part);
        if (part->verdict != PART_SAME ||
            r->nhead > 0) /* rows of large files come with the record */
            continue;
        if (r->type == '5' ? !m->plan->directories : !m->plan->recut[part->range])
            named[r->piece] = true;
    }
    for (size_t i = 0; i < m->s->toc.piece_count; i++) {
        bool overlay = m->s->toc.pieces[i].kind == FRAME_OVERLAY;
        m->plan->keep[i] = named[i] && (!overlay || m->plan->keep[i]);
    }
    free(named);
}

static void plan_rows(struct making *m)
{
    const struct toc_segment *toc = &m->s->toc;
    struct merge_range *ranges = dr_alloc(toc->range_count + 1, sizeof *ranges);
    m->plan->recut = dr_alloc(toc->range_count + 1, sizeof *m->plan->recut);
    m->plan->keep = dr_alloc(toc->piece_count + 1, sizeof *m->plan->keep);
    m->plan->dead = dr_alloc(toc->piece_count + 1, sizeof *m->plan->dead);
    count_dead(m);
    judge_ranges(m, ranges);
    recut_small(m, ranges);
    judge_overlays(m);
    judge_directories(m);
    mark_rows(m);
    free(ranges);
}

void plan_make(const struct prev_segment *s, struct parts *parts, const struct plan_options *o,
               struct plan *ret)
{
    *ret = (struct plan){ .kind = PLAN_CONTINUED };
    struct making m = { s, parts, o, ret };
    leave_avoided_large(&m);
    count_changed(&m);
    struct merge_segment facts = facts_of(&m);
    ret->joins = merge_joins(&facts);
    if (o->joined || merge_rewrites(&facts))
        ret->kind = PLAN_FRESH;
    else if (!differs(&m))
        ret->kind = PLAN_KEPT;
    else
        plan_rows(&m);
}
