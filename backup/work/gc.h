/*
 * gc.h - the lists of condemned packs and expired snapshots: reading, evening out, publishing.
 *
 * A gc object {packs K, snapshots E} is write-once and stays for ever: a PUT of an expired snapshot may
 * land arbitrarily late, and so may a DELETE of a condemned pack. Nothing is deleted before the object that
 * says so stands in all buckets.
 *
 *     gc_gather()    all lists of all buckets as one; a list that an interrupted prune left in some
 *                    buckets only is copied to the others, which completes it and harms nobody
 *     gc_publish()   one more, into every bucket
 *
 * A bucket that lacks a list of which it is known that it stood in every bucket ("seen", FORMAT.md) went
 * back to an older state: gc_gather() refuses, and names it, until gc_readmit() has copied them in.
 */
#ifndef BACKUP_WORK_GC_H
#define BACKUP_WORK_GC_H

#include "backup/work/idset.h"
#include "backup/work/repo.h"

struct gc_all {
    struct text_list names;   /* of the objects, sorted: they stand in every bucket */
    struct text_list expired; /* ids of snapshots, sorted */
    struct idset condemned;   /* packs, sorted */
    struct text_list seen;    /* names that some list knows to have been everywhere, sorted */
};
void gc_all_fini(struct gc_all *g);

struct gc_options {
    bool read_only;      /* copy nothing: what is not everywhere counts all the same */
    const char *readmit; /* name of a bucket into which all lists are copied; or NULL */
};

/* Every bucket of r is open. DR_E_REFUSED: a bucket went back. DR_E_CORRUPT: a list is whole nowhere. */
enum dr_rc gc_gather(struct repo *r, const struct gc_options *options, struct gc_all *ret,
                     struct dr_err *err) DR_MUST_USE;

/* More than this does not go into one list (an object has 16 MiB). */
enum { GC_PACKS_MAX = 150000, GC_SNAPSHOTS_MAX = 20000 };

/* PUT a new list into every bucket. DR_OK: it stands in all. packs sorted, or NULL. known: of the
 * gathering before, for "seen". */
enum dr_rc gc_publish(struct repo *r, const struct idset *packs, const struct text_list *snapshots,
                      const struct gc_all *known, struct dr_err *err) DR_MUST_USE;

/* Is the id in an E of this one bucket, now? For repair. */
enum dr_rc gc_is_expired(struct store *s, const char *id, bool *ret, struct dr_err *err)
    DR_MUST_USE;

/* Append the snapshots that the gc lists of this bucket expired. A list that cannot be read hides nothing: what it
 * expired is shown, and may be restored. */
void gc_expired(struct store *from, struct text_list *ret);

#endif
