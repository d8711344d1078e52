/*
 * merge_removed.h - the paths that the stream still holds and the snapshot does not.
 *
 * Frames of older snapshots keep copies of entries that were removed since. After a stock tar has
 * extracted them, the list `removed` says what to delete again. A path in the list must not
 * live, nor anything below it.
 *
 *     list of the snapshot before     .......b........x.y.....    each path belongs to the segment that
 *     segments                        |  0  |    1    |  2  |     answers for it
 *     gone in this run                ...a.......m.........z..
 *     the new list                    ...a...b...m....x.y..z..    without those of segments written afresh
 *
 * An extracting tar makes the directories above a dead copy, too. So what is listed is the highest
 * directory above that does not live; and the path itself as well when that directory belongs to
 * an earlier segment, which may be written afresh while this one is not.
 *
 * Memory: the two lists.
 */
#ifndef BACKUP_WORK_MERGE_REMOVED_H
#define BACKUP_WORK_MERGE_REMOVED_H

#include "backup/work/merge_parts.h"

struct removed {
    struct buf paths; /* the new list, in path order, each ended by NUL */
    /* private: the list before, what of it is left; and what lived before the segment at hand */
    const char *at, *end;
    struct buf directory, last, top;
    bool last_is_directory;
};

/* before: the list of the snapshot before; borrowed. */
void removed_init(struct removed *r, const struct buf *before);
void removed_fini(struct removed *r);

/* What the removed paths mean for the segment of these parts, which ends before end (NULL: never):
 * reborn, blocked and removed of ret. */
void removed_look(const struct removed *r, const struct parts *parts, const char *end,
                  struct merge_segment *ret);

struct removed_scope {
    const char *first;     /* path of the segment */
    const char *end;       /* first path of the next, or NULL */
    const char *keep_from; /* only paths behind this one are listed; NULL: all */
};

/* List those of this segment, and go on behind it. */
void removed_pass(struct removed *r, const struct parts *parts, const struct removed_scope *scope);

#endif
