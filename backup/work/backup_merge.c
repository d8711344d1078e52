/*
 * The loop of the merge. A segment is decided when all that is known of it is there; more new entries than
 * fit into one view (PARTS_MAX) cannot change what is decided: the segment is written afresh, view by view.
 */
#include "backup/work/backup_merge.h"

#include <string.h>

#include "backup/work/backup_check.h"
#include "backup/work/backup_keep.h"
#include "backup/work/merge_plan.h"
#include "backup/work/merge_removed.h"
#include "dr/base/mem.h"

struct merge {
    const struct merge_options *o;
    struct parts parts;
    struct removed removed;
    struct merge_counts counts;
    struct merge_purse purse;
    bool joined; /* the segment before was left open for the next one */
};

static enum dr_rc count(struct merge *m, struct dr_err *err)
{
    uint64_t *of[] = { [PART_SAME] = &m->counts.unchanged,
                       [PART_READ] = &m->counts.changed,
                       [PART_NEW_ENTRY] = &m->counts.added,
                       [PART_GONE] = &m->counts.removed };
    for (size_t i = 0; i < m->parts.count; i++)
        ++*of[m->parts.items[i].verdict];
    if (m->o->seen == NULL || m->o->seen(m->o->arg, m->parts.live))
        return DR_OK;
    return dr_fail(err, DR_E_CANCELLED, "the backup was cancelled");
}

static bool *avoided_packs(const struct merge *m, const struct prev_segment *s)
{
    bool *ret = dr_alloc(s->toc.pack_count + 1, sizeof *ret);
    for (size_t i = 0; i < s->toc.pack_count; i++)
        ret[i] = packs_avoided(m->o->packs, s->toc.packs[i]);
    return ret;
}

/* Its dead copies go with it. One that went away while it was read as the first of the next segment may have its
 * dead copy there, though its path counts to this one: such paths are behind the last record. */
static const char *last_path(const struct prev_segment *s)
{
    return s->records[s->count - 1].path;
}

static enum dr_rc renew(struct merge *m, const struct prev_segment *s, bool joins,
                        struct dr_err *err)
{
    if (!m->joined)
        DR_TRY(stream_end_segment(m->o->stream, err));
    DR_TRY(stream_renew(m->o->stream, s, &m->parts, true, err));
    m->joined = joins;
    return joins ? DR_OK : stream_end_segment(m->o->stream, err);
}

static enum dr_rc emit(struct merge *m, const struct prev_segment *s, const struct plan *plan,
                       struct dr_err *err)
{
    switch (plan->kind) {
    case PLAN_KEPT:
        return stream_keep(m->o->stream, s, err);
    case PLAN_CONTINUED:
        return stream_continue(m->o->stream, s, &m->parts, plan, err);
    default:
        return renew(m, s, plan->joins, err);
    }
}

static enum dr_rc merge_segment(struct merge *m, const struct prev_segment *s, const char *end,
                                struct dr_err *err)
{
    struct merge_segment facts = { .removed = 0 };
    struct removed_scope scope = { .first = s->records[0].path, .end = end };
    struct plan plan;
    DR_TRY(stream_check(m->o->stream, m->o->prev, s, &m->parts, err));
    DR_TRY(count(m, err));
    removed_look(&m->removed, &m->parts, end, &facts);
    bool *avoided = avoided_packs(m, s);
    bool base_avoided = s->frame->patched && packs_avoided(m->o->packs, s->frame->base.pack);
    struct plan_options po = { .full = m->o->full,
                               .avoided = avoided,
                               .frame_avoided =
                                   base_avoided || packs_avoided(m->o->packs, s->frame->pack),
                               .purse = &m->purse,
                               .at = &facts,
                               .joined = m->joined };
    plan_make(s, &m->parts, &po, &plan);
    if (plan.kind == PLAN_FRESH)
        scope.keep_from = last_path(s);
    removed_pass(&m->removed, &m->parts, &scope);
    enum dr_rc rc = emit(m, s, &plan, err);
    plan_fini(&plan);
    free(avoided);
    return rc;
}

/* A path that sorts behind the last part, and before everything behind that but what is below it: such
 * a thing can be no removed path of this view, since the last part lives or its segment is fresh. */
static const char *end_of_view(const struct merge *m, struct buf *out)
{
    const struct part *last = &m->parts.items[m->parts.count - 1];
    buf_clear(out);
    buf_add(out, last->now.path, last->now.path_len);
    buf_addc(out, '/');
    return out->data;
}

static enum dr_rc merge_view(struct merge *m, const struct prev_segment *s,
                             const struct removed_scope *scope, struct dr_err *err)
{
    DR_TRY(stream_check(m->o->stream, m->o->prev, s, &m->parts, err));
    DR_TRY(count(m, err));
    removed_pass(&m->removed, &m->parts, scope);
    return stream_renew(m->o->stream, s, &m->parts, true, err);
}

static enum dr_rc merge_flood(struct merge *m, const struct prev_segment *s, const char *end,
                              struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf view = { 0 };
    struct removed_scope scope = { .first = s->records[0].path, .keep_from = last_path(s) };
    if (!m->joined)
        DR_TRY(stream_end_segment(m->o->stream, err));
    m->joined = false;
    for (bool more = true; more;) {
        scope.end = end_of_view(m, &view);
        DR_TRY(merge_view(m, s, &scope, err));
        DR_TRY(parts_fill(&m->parts, s, end, &more, err));
    }
    scope.end = end;
    DR_TRY(merge_view(m, s, &scope, err));
    return stream_end_segment(m->o->stream, err);
}

static enum dr_rc merge_all(struct merge *m, struct dr_err *err)
{
    size_t segments = prev_count(m->o->prev);
    for (size_t i = 0; i < segments; i++) {
        const struct prev_segment *s = NULL;
        const char *end = i + 1 < segments ? prev_first(m->o->prev, i + 1) : NULL;
        bool more = false;
        DR_TRY(prev_segment(m->o->prev, i, &s, err));
        parts_start(&m->parts);
        DR_TRY(parts_fill(&m->parts, s, end, &more, err));
        DR_TRY(more ? merge_flood(m, s, end, err) : merge_segment(m, s, end, err));
    }
    return DR_OK;
}

enum dr_rc merge_run(const struct merge_options *o, struct merge_counts *ret, struct dr_err *err)
{
    struct merge m = { .o = o };
    m.parts.o = (struct parts_options){ .scan = o->scan, .links = o->links, .read_all = o->full };
    DR_ASSERT(prev_count(o->prev) > 0);
    removed_init(&m.removed, prev_removed(o->prev));
    enum dr_rc rc = merge_all(&m, err);
    if (rc == DR_OK) {
        stream_set_removed(o->stream, &m.removed.paths);
        *ret = m.counts;
    }
    parts_fini(&m.parts);
    removed_fini(&m.removed);
    return rc;
}
