/*
 * backup_parent.h - the snapshot that the next one is made from: the newest of this source by this writer.
 *
 * What this host remembers of its last one (known.h) is enough, where the buckets say that they have it. Else it is
 * found by names: one list a bucket, and the object of the newest. Only when a few of the newest are
 * of no use are all objects of all buckets read (repo.h). That it is complete is not asked here: what
 * it lacks is found when it is read or when the new one is committed, and then everything is read and stored
 * anew.
 */
#ifndef BACKUP_WORK_BACKUP_PARENT_H
#define BACKUP_WORK_BACKUP_PARENT_H

#include "backup/work/backup_buckets.h"
#include "backup/work/known.h"

struct parent {
    struct snapshot_info info; /* buckets: those that list it */
    struct text_list packs;    /* all that it needs, as hexadecimal digits */
    bool found;
};
void parent_fini(struct parent *p);

/* The one that is remembered, judged like one from a bucket; in no bucket yet. False: none that is of use. */
bool parent_recall(struct repo *repo, const struct known *known, const char *source,
                   const char *writer, struct parent *ret) DR_MUST_USE;

/* writer: our public key. b: knows what is expired. found is false: there is none. */
enum dr_rc parent_find(struct repo *repo, struct buckets *b, const char *source, const char *writer,
                       struct parent *ret, struct dr_err *err) DR_MUST_USE;

#endif
