/*
 * backup_keep.h - the half of a stream that has a snapshot before: what stays, and what goes beside it.
 *
 *     stream_keep()       a whole segment, the same frame
 *     stream_continue()   a segment some of whose ranges stay
 *     stream_renew()      a segment's entries as if they were new; large files stay where they are
 *
 * Rows of a continued segment, by their place in the stream (backup_draft.h):
 *
 *     0                bundles and overlays that stay, in their old order
 *     3, 6, 9 ...      for each range: its new bundle, its large files, its links
 *     DRAFT_OVERLAYS   new overlays
 *     DRAFT_DIRECTORIES
 *
 * Links that stay have the place of their range: they must not come before a target whose bundle is new.
 */
#ifndef BACKUP_WORK_BACKUP_KEEP_H
#define BACKUP_WORK_BACKUP_KEEP_H

#include "backup/work/backup_stream.h"
#include "backup/work/merge_plan.h"

enum dr_rc stream_keep(struct stream *s, const struct prev_segment *p, struct dr_err *err)
    DR_MUST_USE;

enum dr_rc stream_continue(struct stream *s, const struct prev_segment *p,
                           const struct parts *parts, const struct plan *plan, struct dr_err *err)
    DR_MUST_USE;

/* stay: so large files that are the same keep their rows; false: everything is read. The segment stays
 * open. */
enum dr_rc stream_renew(struct stream *s, const struct prev_segment *p, const struct parts *parts,
                        bool stay, struct dr_err *err) DR_MUST_USE;

/* Paths that this snapshot does not have and its stream still holds, in path order, each ended by
 * NUL (copied). Before stream_finish(), which adds entries that went away while they were read. */
void stream_set_removed(struct stream *s, const struct buf *paths);

#endif
