/*
 * Forget: an E list and nothing else. It is harmless to data until the next prune, and visible at once.
 */
#include <string.h>

#include "backup/work/gc.h"
#include "backup/work/pins.h"
#include "backup/work/prune_work.h"
#include "dr/base/mem.h"

static bool is_listed(const struct snapshot_info *s, const char *source, const char *kind,
                      const struct text_list *except)
{
    return s->state == SNAPSHOT_GOOD && strcmp(s->source, source) == 0 &&
           strcmp(s->kind, kind) == 0 && !text_list_has(except, s->id);
}

/* Would one be left that is complete, and one that is proved where this one is? */
static enum dr_rc check_last(const struct snapshot_list *all, const struct snapshot_info *s,
                             const struct text_list *ids, struct dr_err *err)
{
    bool complete = false, proved = false;
    for (size_t i = 0; i < all->count; i++) {
        if (!is_listed(&all->items[i], s->source, s->kind, ids))
            continue;
        complete = true;
        proved |= all->items[i].proved_ns != 0;
    }
    const char *what = !complete ? "complete" : "proved";
    if (s->state != SNAPSHOT_GOOD || (complete && (proved || s->proved_ns == 0)))
        return DR_OK;
    dr_fail(err, DR_E_REFUSED, "no %s %s snapshot of '%s' would be left without '%s'", what,
            s->kind, s->source, s->id);
    return dr_hint(err, "Take a new one first, or add --force.");
}

static enum dr_rc check_one(const struct snapshot_list *all, const struct pins *pins,
                            const char *id, const struct text_list *ids, struct dr_err *err)
{
    const struct pin *pin = pins_find(pins, id);
    if (pin != NULL) {
        dr_fail(err, DR_E_REFUSED, "snapshot '%s' is pinned%s%.200s", id,
                pin->reason[0] != '\0' ? ": " : "", pin->reason);
        return dr_hint(err, "drctl unpin %.150s", id);
    }
    for (size_t i = 0; ids != NULL && i < all->count; i++)
        if (strcmp(all->items[i].id, id) == 0)
            return check_last(all, &all->items[i], ids, err);
    return DR_OK;
}

static enum dr_rc check_all(struct repo *r, const struct text_list *ids, bool force,
                            struct dr_err *err)
{
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list all = { 0 };
    DR_CLEANUP(pins_fini) struct pins pins = { 0 };
    DR_TRY(repo_snapshots(r, NULL, &all, err));
    DR_TRY(prune_need_all(r, err));
    DR_TRY(pins_read(r, &pins, err));
    for (size_t i = 0; i < ids->count; i++) {
        bool found = false;
        for (size_t k = 0; k < all.count && !found; k++)
            found = strcmp(all.items[k].id, ids->items[i]) == 0;
        if (!found)
            return dr_fail(err, DR_E_NOTFOUND, "snapshot '%.120s' is in no bucket", ids->items[i]);
        DR_TRY(check_one(&all, &pins, ids->items[i], force ? NULL : ids, err));
    }
    return DR_OK;
}

enum dr_rc forget_run(struct repo *r, const struct text_list *ids, bool force, struct dr_err *err)
{
    DR_ASSERT(r != NULL && ids != NULL);
    DR_CLEANUP(gc_all_fini) struct gc_all gc = { 0 };
    const struct gc_options gather = { .read_only = false };
    if (ids->count > GC_SNAPSHOTS_MAX)
        return dr_fail(err, DR_E_USAGE, "more than %d snapshots at once", (int)GC_SNAPSHOTS_MAX);
    DR_TRY(prune_need_all(r, err));
    DR_TRY(check_all(r, ids, force, err));
    DR_TRY(gc_gather(r, &gather, &gc, err));
    return ids->count == 0 ? DR_OK : gc_publish(r, NULL, ids, &gc, err);
}
