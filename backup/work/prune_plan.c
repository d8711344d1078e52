/*
 * The plan of a prune: what expires (by retention, or because it stands in a gc list already), and
 * which packs nothing else names.
 */
#include <stdio.h>
#include <string.h>

#include "backup/work/lastrun.h"
#include "backup/work/pins.h"
#include "backup/work/prune_unnamed.h"
#include "backup/work/prune_work.h"
#include "dr/base/mem.h"

/* -- E ------------------------------------------------------------------------------------- */

static struct prune_snapshot *add_snapshot(struct prune *p, const struct snapshot_info *info)
{
    struct prune_snapshot *s = &p->result->snapshots[p->result->snapshot_count++];
    snprintf(s->id, sizeof(s->id), "%s", info->id);
    s->source = dr_strdup(info->source != NULL ? info->source : "");
    s->kind = dr_strdup(info->kind != NULL ? info->kind : "");
    s->end_ns = info->end_ns;
    return s;
}

static void add_hold(struct prune *p, const char *source, const char *why)
{
    struct prune_result *r = p->result;
    r->holds = dr_realloc(r->holds, r->hold_count + 1, sizeof(r->holds[0]));
    struct prune_hold *h = &r->holds[r->hold_count++];
    h->source = dr_strdup(source);
    snprintf(h->why, sizeof(h->why), "%s", why);
}

static struct retention_snapshot facts_of(const struct prune *p, const struct snapshot_info *info,
                                          const struct pins *pins)
{
    return (struct retention_snapshot){ .kind = info->kind,
                                        .state = info->state,
                                        .epoch = info->epoch,
                                        .start_ns = info->start_ns,
                                        .end_ns = info->end_ns,
                                        .proved_ns = info->proved_ns,
                                        .pinned = pins_find(pins, info->id) != NULL,
                                        .lags = info->buckets.count < p->view.count };
}

static struct retention_periods periods_of(const struct config *c)
{
    return (struct retention_periods){ .full_ms = c->full.retention_ms,
                                       .incremental_ms = c->incremental.retention_ms,
                                       .config_ms = c->snapshot.retention_ms };
}

/* Of those in the list: what stays, what goes. Indexes are into the list. */
static void judge_source(struct prune *p, const struct snapshot_list *list, const size_t *of,
                         size_t count, const struct pins *pins)
{
    const struct config *c = repo_config(p->repo);
    const char *source = list->items[of[0]].source;
    DR_FREE struct retention_snapshot *facts = dr_alloc(count, sizeof(*facts));
    DR_FREE struct retention_verdict *verdicts = dr_alloc(count, sizeof(*verdicts));
    DR_FREE char *failed = lastrun_failure(c->state_dir, source);
    struct retention_hold hold;
    for (size_t i = 0; i < count; i++)
        facts[i] = facts_of(p, &list->items[of[i]], pins);
    const struct retention_question q = { .snapshots = facts,
                                          .count = count,
                                          .periods = periods_of(c),
                                          .now_ns = p->options->now_ns,
                                          .failed = failed };
    retention_decide(&q, verdicts, &hold);
    if (hold.kind != RETENTION_FREE) {
        DR_FREE char *why = hold.newest < count
                                ? dr_strf("%s ('%s')", hold.why, list->items[of[hold.newest]].id)
                                : dr_strdup(hold.why);
        add_hold(p, source, why);
    }
    for (size_t i = 0; i < count; i++) {
        struct prune_snapshot *s = add_snapshot(p, &list->items[of[i]]);
        snprintf(s->why, sizeof(s->why), "%s", verdicts[i].why);
        s->expires = verdicts[i].expire && p->expire.count < GC_SNAPSHOTS_MAX;
        if (s->expires)
            text_list_add(&p->expire, s->id);
    }
}

/* Snapshots of one source after the other; 'done' marks those that had their turn. */
static void judge_all(struct prune *p, const struct snapshot_list *list, const struct pins *pins)
{
    DR_FREE bool *done = dr_alloc(list->count + 1, sizeof(*done));
    DR_FREE size_t *of = dr_alloc(list->count + 1, sizeof(*of));
    for (size_t i = 0; i < list->count; i++)
        done[i] = text_list_has_sorted(&p->gc.expired, list->items[i].id);
    for (size_t i = 0; i < list->count; i++) {
        size_t count = 0;
        for (size_t k = i; k < list->count && !done[i]; k++)
            if (!done[k] && strcmp(list->items[k].source, list->items[i].source) == 0)
                of[count++] = k;
        if (count > 0)
            judge_source(p, list, of, count, pins);
        for (size_t k = 0; k < count; k++)
            done[of[k]] = true;
    }
}

static int by_source_and_age(const void *left, const void *right)
{
    const struct prune_snapshot *a = left, *b = right;
    int by_source = strcmp(a->source, b->source);
    if (by_source != 0)
        return by_source;
    if (a->end_ns != b->end_ns)
        return a->end_ns < b->end_ns ? -1 : 1;
    return strcmp(a->id, b->id);
}

/* What another prune or a forget has begun: objects that still exist, expired somewhere. */
static void carry_on(struct prune *p)
{
    struct prune_result *r = p->result;
    for (size_t i = 0; i < p->gc.expired.count; i++) {
        const char *id = p->gc.expired.items[i];
        if (!view_has_snapshot(&p->view, id) || p->expire.count >= GC_SNAPSHOTS_MAX)
            continue;
        text_list_add(&p->expire, id);
        r->snapshots = dr_realloc(r->snapshots, r->snapshot_count + 1, sizeof(r->snapshots[0]));
        struct prune_snapshot *s = &r->snapshots[r->snapshot_count++];
        *s = (struct prune_snapshot){ .expires = true, .carried = true };
        snprintf(s->id, sizeof(s->id), "%s", id);
        snprintf(s->why, sizeof(s->why), "expired before");
        s->source = dr_strdup("");
        s->kind = dr_strdup("");
    }
}

enum dr_rc plan_expire(struct prune *p, struct dr_err *err)
{
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    DR_CLEANUP(pins_fini) struct pins pins = { 0 };
    DR_TRY(repo_snapshots(p->repo, p->options->source, &list, err));
    DR_TRY(prune_need_all(p->repo, err));
    DR_TRY(pins_read(p->repo, &pins, err));
    struct prune_result *r = p->result;
    r->snapshots = dr_alloc(list.count + 1, sizeof(r->snapshots[0]));
    judge_all(p, &list, &pins);
    carry_on(p);
    qsort(r->snapshots, r->snapshot_count, sizeof(r->snapshots[0]), by_source_and_age);
    text_list_sort(&p->expire);
    r->expired = p->expire.count;
    return DR_OK;
}

/* -- K ------------------------------------------------------------------------------------- */

static void all_packs(const struct view *v, struct idset *ret)
{
    for (size_t b = 0; b < v->count; b++)
        for (size_t i = 0; i < v->places[b].packs.count; i++)
            idset_add(ret, v->places[b].packs.items[i]);
    idset_sort(ret);
}

/* Packs of snapshots that expire need no grace: nobody is at work on them. Those that cannot be told
 * only have to wait. */
static void name_expiring(const struct prune *p, struct idset *ret)
{
    struct dr_err ignored = { 0 };
    for (size_t i = 0; i < p->expire.count; i++) {
        enum dr_rc rc = view_name_one(&p->view, p->expire.items[i], ret, &ignored);
        (void)rc;
    }
    view_name_pendings(&p->view, &(const struct text_list){ 0 }, ret);
}

enum dr_rc plan_condemn(struct prune *p, struct dr_err *err)
{
    DR_CLEANUP(idset_fini) struct idset all = { 0 };
    DR_CLEANUP(idset_fini) struct idset needed = { 0 };
    DR_CLEANUP(idset_fini) struct idset expiring = { 0 };
    DR_CLEANUP(idset_fini) struct idset unnamed = { 0 };
    DR_CLEANUP(idset_fini) struct idset k = { 0 };
    all_packs(&p->view, &all);
    view_name_pendings(&p->view, &p->gone, &needed);
    DR_TRY(view_name(&p->view, &p->expire, NULL, &needed, err));
    name_expiring(p, &expiring);
    for (size_t i = 0; i < all.count; i++) {
        if (idset_has(&needed, all.items[i]))
            continue;
        bool at_once =
            idset_has(&expiring, all.items[i]) || idset_has(&p->gc.condemned, all.items[i]);
        idset_add(at_once ? &k : &unnamed, all.items[i]);
    }
    idset_sort(&unnamed);
    const struct unnamed_question q = { .state_dir = repo_config(p->repo)->state_dir,
                                        .packs = &unnamed,
                                        .now_ns = p->options->now_ns,
                                        .grace_ms = p->options->grace_ms,
                                        .read_only = p->options->dry_run };
    size_t before = k.count;
    DR_TRY(unnamed_ripe(&q, &k, err));
    p->result->young = unnamed.count - (k.count - before);
    idset_sort(&k);
    for (size_t i = 0; i < k.count && i < GC_PACKS_MAX; i++)
        idset_add(&p->condemn, k.items[i]);
    idset_sort(&p->condemn);
    p->result->left = k.count - p->condemn.count;
    return DR_OK;
}
