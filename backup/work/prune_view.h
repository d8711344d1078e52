/*
 * prune_view.h - what lies in all buckets at one time, and which packs it names.
 *
 * The order of listing is what makes pruning safe: in each bucket **pendings before snapshots**. A writer
 * puts its snapshot before it takes its pending away, so whoever looks in this order meets one of them.
 * A pending that was listed and is gone when it is read makes the bucket's listing begin anew.
 *
 * Nothing is left out: a bucket that cannot be listed, a pending or a snapshot whose packs cannot be told,
 * fails the whole view. What is not understood is never deleted.
 */
#ifndef BACKUP_WORK_PRUNE_VIEW_H
#define BACKUP_WORK_PRUNE_VIEW_H

#include "backup/work/idset.h"
#include "backup/work/repo.h"
#include "dr/data/json.h"

struct view_pending {
    char *id;           /* owned */
    json_t *owner;      /* owned; NULL: it names none */
    struct idset packs; /* sorted */
};

struct view_place { /* one bucket */
    struct store *store;
    struct view_pending *pendings; /* owned */
    size_t pending_count;
    struct text_list snapshots; /* ids, sorted */
    struct idset packs;         /* sorted; only when asked for */
};

struct view {
    struct repo *repo;
    struct view_place *places; /* one for each bucket of the configuration; owned */
    size_t count;
};

/* abandoned (sorted, or NULL): ids of pendings that need not be readable, and name nothing. */
struct view_options {
    bool packs;
    const struct text_list *abandoned;
};

/* Every bucket is open. The caller finishes it, in every case. */
enum dr_rc view_take(struct repo *r, const struct view_options *options, struct view *ret,
                     struct dr_err *err) DR_MUST_USE;
void view_fini(struct view *v);

/* Does any bucket hold an object of this snapshot? */
bool view_has_snapshot(const struct view *v, const char *id);

/* Add the packs of all pendings to ret, but for the ids in except (sorted). */
void view_name_pendings(const struct view *v, const struct text_list *except, struct idset *ret);

/*
 * Add the packs of every snapshot object in any bucket to ret, but for the ids in expired (sorted), and
 * for those that before (or NULL) had in the same bucket already.
 */
enum dr_rc view_name(const struct view *v, const struct text_list *expired,
                     const struct view *before, struct idset *ret, struct dr_err *err) DR_MUST_USE;

/* Add the packs of this one snapshot as far as they can be told; no object of it: nothing. */
enum dr_rc view_name_one(const struct view *v, const char *id, struct idset *ret,
                         struct dr_err *err) DR_MUST_USE;

#endif
