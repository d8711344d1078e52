/*
 * plan.h - from the bytes of a plan's file to a struct plan, or to all of its mistakes.
 *
 * Pure: nothing is opened, no clock is read. What is known of the world outside of the
 * file (the configuration's regions, roles, buckets, objectives) comes in as a struct plan_world;
 * without one, names of regions and secrets are taken as they are.
 *
 * plan_read() reports through a diag, everything in one go. A plan comes back only when there was no
 * error; warnings are looked for only in a plan without errors.
 */
#ifndef DR_PLAN_PLAN_H
#define DR_PLAN_PLAN_H

#include "dr/data/diag.h"
#include "dr/plan/model.h"

/* ---- the world outside of the file: borrowed from the caller in all its parts ---------------- */

struct plan_world_site { /* a region or a host */
    const char *name;    /* as written in plans */
    const char *region;  /* the region it lies in */
    const char *const
        *fields; /* names of its fields ("address", "host", "bmc"); NULL behind the last */
    int line;    /* in the configuration */
};

struct plan_world_role {
    const char *name;
    int people;
};

struct plan_world_bucket {
    const char *name, *region;
};

struct plan_world {
    const char *file;           /* the configuration, as shown to people */
    const char *const *regions; /* best first, the primary in front; NULL behind the last */
    const struct plan_world_site *sites;
    size_t site_count;
    const struct plan_world_role *roles;
    size_t role_count;
    int roles_line; /* where the contacts are */
    const struct plan_world_bucket *buckets;
    size_t bucket_count;
    const char *const *sources; /* NULL behind the last; NULL: not known */
    const char *const *secrets; /* NULL behind the last; NULL: not known */
    int64_t rto_ms, rpo_ms;     /* the configuration's objectives for this plan's name; -1: none */
    int64_t backup_every_ms;    /* the shortest declared backup frequency; 0: not known */
    int64_t backup_run_ms, backup_upload_ms; /* measured; 0: not known */
    const char *backup_key;                  /* "incremental_backup": what to change */
};

/* NULL after any error. world may be NULL. The caller frees. */
struct plan *plan_read(const char *file, const char *bytes, size_t len,
                       const struct plan_world *world, struct diag *d) DR_MUST_USE;
void plan_free(struct plan *p);
DR_DEFINE_CLEANUP(struct plan, plan_free)

/*
 * The first thing in the plan for which runs() answers false, as one sentence ("step 'shift' uses
 * for_each"); NULL: the engine can run it all. for_each and `use: plan` are asked as types
 * "for_each" and "plan". The caller frees.
 */
char *plan_unsupported(const struct plan *p, bool (*runs)(void *arg, const char *type), void *arg);

/* On paper: numbered steps with boxes, commands, expected results. Appends to out. */
void plan_print(const struct plan *p, struct buf *out);

/* `drctl plan types`: the table, or one type with arguments and outputs. */
void plan_print_types(struct buf *out);
void plan_print_type(const struct step_type *type, struct buf *out);
json_t *plan_type_json(const struct step_type *type) DR_MUST_USE;

#endif
