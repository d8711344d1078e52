/*
 * prune_work.h - the parts of a prune among themselves: plan, stale pendings, deletion.
 */
#ifndef BACKUP_WORK_PRUNE_WORK_H
#define BACKUP_WORK_PRUNE_WORK_H

#include "backup/work/gc.h"
#include "backup/work/prune.h"
#include "backup/work/prune_view.h"

/* What happens to a pending whose packs are named by nobody alive. */
enum pending_fate {
    PENDING_LIVE,      /* it stays */
    PENDING_DONE,      /* its snapshot is visible in its bucket: it only goes */
    PENDING_EXPIRED,   /* its snapshot stands in a gc list: it only goes */
    PENDING_STALE,     /* first a tombstone in every bucket, then it goes */
    PENDING_ELSEWHERE, /* stale, but its snapshot is visible in another bucket: copied here first */
};

struct prune {
    struct repo *repo;
    const struct prune_options *options;
    const struct work_hooks *hooks;
    struct prune_result *result;
    struct gc_all gc;
    struct view view;        /* the first look */
    struct text_list gone;   /* ids of pendings that need not be heeded, sorted */
    struct text_list expire; /* E, sorted */
    struct idset condemn;    /* K, sorted */
};

void prune_warn(const struct prune *p, const char *line);

/* Every bucket is open and listed without an error. DR_E_REFUSED names the one that is not. */
enum dr_rc prune_need_all(struct repo *r, struct dr_err *err) DR_MUST_USE;

/* prune_pending.c: which pendings need not be heeded; and away with them. */
enum dr_rc pending_judge(struct prune *p, struct dr_err *err) DR_MUST_USE;
enum dr_rc pending_clear(struct prune *p, struct dr_err *err) DR_MUST_USE;

/* prune_locks.c: what stays in buckets with 'lock' is locked anew, where it is due. */
enum dr_rc locks_extend(struct prune *p, struct dr_err *err) DR_MUST_USE;

/* prune_plan.c: retention and forgetting fill result and expire; then condemn. */
enum dr_rc plan_expire(struct prune *p, struct dr_err *err) DR_MUST_USE;
enum dr_rc plan_condemn(struct prune *p, struct dr_err *err) DR_MUST_USE;

#endif
