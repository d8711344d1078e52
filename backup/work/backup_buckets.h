/*
 * backup_buckets.h - one run writes all buckets; a bucket that fails costs itself only.
 *
 *     buckets_new()       every open bucket takes part
 *     buckets_put()       a pack into each that is still good
 *     buckets_commit()    the protocol that makes a snapshot visible, home first
 *     buckets_report()    who holds it, and why the others do not
 *     buckets_free()
 *
 * A bucket drops out at its first failure and gets no further object of this run, so that it never
 * shows a snapshot without its packs. When the last one drops out the run fails with the reason of
 * the first.
 */
#ifndef BACKUP_WORK_BACKUP_BUCKETS_H
#define BACKUP_WORK_BACKUP_BUCKETS_H

#include "backup/format/sealed.h"
#include "backup/format/snapshot.h"
#include "backup/work/spool.h"
#include "backup/work/work.h"

struct buckets;

/* repo is borrowed. DR_E_IO or the like when no bucket is open. */
enum dr_rc buckets_new(struct repo *repo, struct buckets **ret, struct dr_err *err) DR_MUST_USE;
void buckets_free(struct buckets *b);
DR_DEFINE_CLEANUP(struct buckets, buckets_free)

/* The repository object of the first good bucket that has a whole one. */
enum dr_rc buckets_repository(struct buckets *b, struct repository *ret, struct dr_err *err)
    DR_MUST_USE;

/* A sealed pack, borrowed for the call. */
enum dr_rc buckets_put(struct buckets *b, struct spooled *pack, struct dr_err *err) DR_MUST_USE;

/*
 * Make the snapshot visible: pending in the home, gc lists, packs, the object at home, then in the
 * others, pending away. object: the signed bytes. All its packs were put before.
 */
enum dr_rc buckets_commit(struct buckets *b, const struct snapshot *s, const struct buf *object,
                          struct dr_err *err) DR_MUST_USE;

/* Copies, wanted and missing of ret. */
void buckets_report(const struct buckets *b, struct backup_result *ret);

#endif
