/*
 * Stale pendings. Removing one is safe at any time once its snapshot stands in a gc list of every bucket:
 * whatever its writer does later, that snapshot never becomes visible. So the question when a pending is
 * stale is only one of courtesy, and may lean on process ids and on the clock.
 */
#include <string.h>

#include "backup/work/process.h"
#include "backup/work/prune_work.h"
#include "backup/work/repair.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"

#define STALE_NS (INT64_C(14) * 86400 * 1000000000)

/* When the run began, by the id: SOURCE-20261121t031140z-HASH. INT64_MAX when it does not say. */
static int64_t begin_of(const char *id)
{
    enum { STAMP_LEN = 16, HASH_LEN = 6 };
    size_t len = strlen(id);
    int64_t ns;
    if (len < STAMP_LEN + HASH_LEN + 2)
        return INT64_MAX;
    const char *s = id + len - HASH_LEN - 1 - STAMP_LEN;
    DR_FREE char *text =
        dr_strf("%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", s, s + 4, s + 6, s + 9, s + 11, s + 13);
    return time_parse(text, &ns) ? ns : INT64_MAX;
}

static bool is_stale(const struct prune *p, const struct view_pending *pending)
{
    const struct text_list *abandon = p->options->abandon;
    int64_t begin = begin_of(pending->id);
    return (abandon != NULL && text_list_has(abandon, pending->id)) ||
           process_is_dead(pending->owner) ||
           (begin < p->options->now_ns && p->options->now_ns - begin > STALE_NS);
}

static bool is_good_in(const struct prune *p, size_t bucket, const char *id)
{
    const struct view_place *place = &p->view.places[bucket];
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_CLEANUP(snapshot_fini) struct snapshot s = { 0 };
    struct dr_err ignored = { 0 };
    char name[NAMES_MAX];
    names_of(NAMES_SNAPSHOTS, id, name);
    return text_list_has_sorted(&place->snapshots, id) &&
           store_get_all(place->store, name, SNAPSHOT_SIZE_MAX, &object, &ignored) == DR_OK &&
           repo_judge(p->repo, name, &object, &s, &ignored) == DR_OK;
}

/* The bucket in which it is visible, or the number of buckets. */
static size_t visible_in(const struct prune *p, const char *id)
{
    size_t b = 0;
    while (b < p->view.count && !is_good_in(p, b, id))
        b++;
    return b;
}

static enum pending_fate fate_of(const struct prune *p, size_t bucket,
                                 const struct view_pending *pending)
{
    if (text_list_has_sorted(&p->gc.expired, pending->id))
        return PENDING_EXPIRED;
    if (is_good_in(p, bucket, pending->id))
        return PENDING_DONE;
    if (!is_stale(p, pending))
        return PENDING_LIVE;
    return visible_in(p, pending->id) < p->view.count ? PENDING_ELSEWHERE : PENDING_STALE;
}

static enum dr_rc check_abandoned(const struct prune *p, struct dr_err *err)
{
    const struct text_list *abandon = p->options->abandon;
    for (size_t i = 0; abandon != NULL && i < abandon->count; i++) {
        bool found = false;
        for (size_t b = 0; b < p->view.count; b++)
            for (size_t k = 0; k < p->view.places[b].pending_count; k++)
                found |= strcmp(p->view.places[b].pendings[k].id, abandon->items[i]) == 0;
        if (!found)
            return dr_fail(err, DR_E_NOTFOUND, "no backup '%.120s' is under way",
                           abandon->items[i]);
    }
    return DR_OK;
}

enum dr_rc pending_judge(struct prune *p, struct dr_err *err)
{
    DR_TRY(check_abandoned(p, err));
    for (size_t b = 0; b < p->view.count; b++) {
        const struct view_place *place = &p->view.places[b];
        for (size_t i = 0; i < place->pending_count; i++) {
            const struct view_pending *pending = &place->pendings[i];
            if (fate_of(p, b, pending) != PENDING_LIVE && !text_list_has(&p->gone, pending->id))
                text_list_add(&p->gone, pending->id);
        }
    }
    text_list_sort(&p->gone);
    return DR_OK;
}

/* -- away with them ------------------------------------------------------------------------ */

/* Has its writer come to its end since the first look? Then it is none of ours. */
static enum dr_rc appeared(const struct prune *p, const char *id, bool *ret, struct dr_err *err)
{
    char name[NAMES_MAX];
    uint64_t size;
    names_of(NAMES_SNAPSHOTS, id, name);
    *ret = false;
    for (size_t b = 0; b < p->view.count && !*ret; b++) {
        enum dr_rc rc = store_head(p->view.places[b].store, name, &size, err);
        *ret = rc == DR_OK;
        if (rc != DR_OK && rc != DR_E_NOTFOUND)
            return rc;
    }
    return DR_OK;
}

static enum dr_rc remove_from(struct prune *p, size_t bucket, const char *id, struct dr_err *err)
{
    char name[NAMES_MAX];
    names_of(NAMES_PENDING, id, name);
    DR_TRY(store_remove(p->view.places[bucket].store, name, err));
    p->result->pendings++;
    return DR_OK;
}

/* Tombstones for all stale ones in one list without packs; those that stay alive leave 'gone'. */
static enum dr_rc entomb(struct prune *p, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list stale = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list gone = { 0 };
    for (size_t b = 0; b < p->view.count; b++) {
        for (size_t i = 0; i < p->view.places[b].pending_count; i++) {
            const struct view_pending *pending = &p->view.places[b].pendings[i];
            enum pending_fate fate = fate_of(p, b, pending);
            bool alive = fate == PENDING_LIVE;
            if (fate == PENDING_STALE)
                DR_TRY(appeared(p, pending->id, &alive, err));
            if (fate == PENDING_STALE && !alive && !text_list_has(&stale, pending->id) &&
                stale.count < GC_SNAPSHOTS_MAX)
                text_list_add(&stale, pending->id);
            if (!alive && (fate != PENDING_STALE || text_list_has(&stale, pending->id)))
                text_list_add(&gone, pending->id);
        }
    }
    text_list_sort(&gone);
    struct text_list before = p->gone;
    p->gone = gone;
    gone = before;
    return stale.count == 0 ? DR_OK : gc_publish(p->repo, NULL, &stale, &p->gc, err);
}

enum dr_rc pending_clear(struct prune *p, struct dr_err *err)
{
    if (p->gone.count == 0)
        return DR_OK;
    DR_TRY(entomb(p, err));
    for (size_t b = 0; b < p->view.count; b++) {
        for (size_t i = 0; i < p->view.places[b].pending_count; i++) {
            const struct view_pending *pending = &p->view.places[b].pendings[i];
            enum pending_fate fate = fate_of(p, b, pending);
            struct repair_result copied;
            if (!text_list_has_sorted(&p->gone, pending->id) || fate == PENDING_LIVE)
                continue;
            if (fate == PENDING_ELSEWHERE)
                DR_TRY(repair_snapshot(p->repo, pending->id, visible_in(p, pending->id), b, &copied,
                                       err));
            DR_TRY(remove_from(p, b, pending->id, err));
        }
    }
    return DR_OK;
}
