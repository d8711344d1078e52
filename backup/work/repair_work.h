/*
 * repair_work.h - what the parts of repair share: what each bucket holds, and what was found.
 *
 *     repair.c         the order of the work; repair_snapshot()
 *     repair_look.c    listing buckets; evening out lists; which packs are needed
 *     repair_copy.c    packs that are missing, several at once
 *     repair_heal.c    objects that are damaged, and the files concerned
 *
 * All of it is the caller's thread's, but for struct copy, which goes through a pool and is owned by
 * whoever has it. A set of buckets is a mask: bit i is bucket i of the configuration.
 */
#ifndef BACKUP_WORK_REPAIR_WORK_H
#define BACKUP_WORK_REPAIR_WORK_H

#include "backup/format/names.h"
#include "backup/work/pack_names.h"
#include "backup/work/repair.h"
#include "backup/work/spool.h"

struct holding { /* what one bucket has */
    struct store *store;
    bool open;               /* it could be opened and listed */
    bool reads, writes;      /* as the wish allows */
    struct pack_names packs; /* also those that were copied into it meanwhile */
    uint64_t *sizes;         /* of them, by number; owned */
    uint32_t size_cap;
    struct text_list snapshots; /* names of objects, sorted */
    struct text_list lists;     /* gc/ members/ pins/ proofs/, sorted */
};

struct repair {
    struct repo *repo;
    const struct repair_wish *wish;
    const struct work_hooks *hooks;
    struct holding *holds; /* owned; one for each bucket of the configuration */
    size_t count;
    struct text_list expired;  /* ids in gc lists that stand in some buckets only */
    struct snapshot_list list; /* newest last */
    struct pack_names needed;  /* packs of all, those of the newest first */
    uint32_t *ends;            /* needed.count after each snapshot; owned, as list.items */
    struct pack_names lost;    /* whole in no bucket */
    struct text_list suspects; /* "BUCKET NAME" */
    struct text_list looked;   /* those that got their second look */
    bool incomplete;           /* some pack could not be brought where it belongs */
    struct repair_report report;
    struct work_progress progress;
    int64_t told_ms;
};

/* -- repair.c ------------------------------------------------------------------------------ */

void repair_warn(const struct repair *r, const char *line);
enum dr_rc repair_tell(struct repair *r, struct dr_err *err) DR_MUST_USE;

/* Bucket i failed a call: nothing more is written into it. */
void repair_drop(struct repair *r, size_t i, const struct dr_err *why);
bool repair_writes(const struct repair *r, size_t i);

/* Put; an outcome that is not known is found out by putting the same bytes again. ret_new (or NULL): it
 * was not there. */
enum dr_rc repair_put(struct store *s, const char *name, const void *data, size_t len,
                      bool *ret_new, struct dr_err *err) DR_MUST_USE;

/* Remember that an object of this bucket should be looked at a second time. */
void repair_suspect(struct repair *r, size_t i, const char *name);

/* -- repair_look.c ------------------------------------------------------------------------- */

void holding_fini(struct holding *h);
void holding_add(struct holding *h, const uint8_t id[DIGEST_SIZE], uint64_t size);
bool holding_has(const struct holding *h, const uint8_t id[DIGEST_SIZE]);
uint64_t holding_size(const struct holding *h, const uint8_t id[DIGEST_SIZE]);

/* List every bucket, and copy gc lists, members, pins and proofs to where they lack. */
enum dr_rc repair_even_lists(struct repair *r, struct dr_err *err) DR_MUST_USE;

/* Fill holds, needed and ends. */
enum dr_rc repair_look(struct repair *r, struct dr_err *err) DR_MUST_USE;

/* All packs of a snapshot, appended. */
enum dr_rc repair_packs_of(struct repair *r, const struct snapshot_info *info,
                           struct pack_names *ret, struct dr_err *err) DR_MUST_USE;

/* -- repair_copy.c ------------------------------------------------------------------------- */

/* A pack out of one bucket, all of it; *ret_right: its digest is its name. The caller drops it. */
enum dr_rc repair_read(const struct repair *r, struct store *s, const uint8_t id[DIGEST_SIZE],
                       struct spooled **ret, bool *ret_right, struct dr_err *err) DR_MUST_USE;

/* All that is missing, snapshot by snapshot, each one's object behind its packs. */
enum dr_rc repair_copy(struct repair *r, struct dr_err *err) DR_MUST_USE;

/* The object of a snapshot out of a bucket where it is visible. */
enum dr_rc repair_object(struct repair *r, const struct snapshot_info *info, struct buf *ret,
                         struct dr_err *err) DR_MUST_USE;

/* -- repair_heal.c ------------------------------------------------------------------------- */

/* A second look at all suspects. */
enum dr_rc repair_heal(struct repair *r, struct dr_err *err) DR_MUST_USE;

#endif
