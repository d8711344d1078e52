/*
 * backup_lists.h - the lists of a snapshot object, gathered while packs are still without names.
 *
 * Runs of the recipe join when one frame lies right behind the other. Directories are kept apart
 * and come last. Short lists go into the snapshot object itself, long ones into packs.
 */
#ifndef BACKUP_WORK_BACKUP_LISTS_H
#define BACKUP_WORK_BACKUP_LISTS_H

#include "backup/format/snapshot.h"
#include "backup/work/backup_packs.h"

struct lists;

/* packs: borrowed; gives names and takes frames of long lists. */
struct lists *lists_new(struct packs *packs) DR_MUST_USE;
void lists_free(struct lists *l);

/* The next piece of the stream; of its last part when directories is set. */
void lists_add_run(struct lists *l, const struct packs_place *place, bool directories);

/* The next segment; base: NULL, or that of the patch which lies at place; first: the path of its
 * first record (copied). */
void lists_add_segment(struct lists *l, const struct packs_place *place,
                       const struct packs_place *base, size_t entries, const char *first);

/* A pack that the snapshot needs. Those of runs, segments and lists are noted by themselves. */
void lists_use_pack(struct lists *l, uint32_t pack);

/* All removed paths, each ended by NUL, go into the pack at hand. */
enum dr_rc lists_add_removed(struct lists *l, const struct buf *paths, struct dr_err *err)
    DR_MUST_USE;

/* Told each line of the list of segments, in order; or NULL. Borrowed. */
struct prev_writer;
void lists_set_cache(struct lists *l, struct prev_writer *cache);

/* All packs but those of lists are sealed: fill toc, recipe, removed and packs of ret. */
enum dr_rc lists_finish(struct lists *l, struct snapshot *ret, struct dr_err *err) DR_MUST_USE;

#endif
