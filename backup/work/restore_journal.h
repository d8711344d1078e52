/*
 * restore_journal.h - how far a restore came, so that the next attempt goes on there.
 *
 * The work of a restore is cut into items, numbered in an order that depends on the snapshot and
 * on what was asked for alone. The journal of DIR/NAME is the file DIR/.NAME.drctl-restore.journal,
 * lines of text behind each other:
 *
 *     plan 1 8388608 1024      how items were cut; another cut, and the rest means nothing
 *     boot 6f0c...             from here on: written since this start of the machine
 *     done 17                  items 0 to 16 are written
 *     synced 12                items 0 to 11 are on the medium
 *     back 9                   item 9 and all behind it are made anew
 *
 * "done" is believed by the same boot only: what was written and not synced outlives the death of the
 * process, not that of the machine. A last line that is cut short was never written.
 */
#ifndef BACKUP_WORK_RESTORE_JOURNAL_H
#define BACKUP_WORK_RESTORE_JOURNAL_H

#include "backup/work/restore_mark.h"

struct restore_journal {
    int fd;        /* -1: not open */
    size_t done;   /* of earlier attempts: items before it need not be written again ... */
    size_t synced; /* ... and these not even after another boot */
};

/* fresh: what is there is of another restore. The caller closes. */
enum dr_rc restore_journal_open(const struct restore_target *t, bool fresh,
                                struct restore_journal *ret, struct dr_err *err) DR_MUST_USE;
void restore_journal_close(struct restore_journal *j);

enum dr_rc restore_journal_done(struct restore_journal *j, size_t items, struct dr_err *err)
    DR_MUST_USE;
enum dr_rc restore_journal_synced(struct restore_journal *j, size_t items, struct dr_err *err)
    DR_MUST_USE;
/* Also takes done and synced back. */
enum dr_rc restore_journal_back(struct restore_journal *j, size_t item, struct dr_err *err)
    DR_MUST_USE;

/* None is fine; and one that stays is of no unfinished restore, so nobody reads it. */
void restore_journal_remove(const struct restore_target *t);

#endif
