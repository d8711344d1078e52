/*
 * restore_fill.h - the records of a snapshot become items, the items files.
 *
 *     segment ──cut──> [ items ] ──pool──> threads: read, unpack, check, write ──> taken in order
 *
 *     fill_new()         threads are started
 *     fill_segment()     for each segment in order; returns while items are still being done
 *     fill_finish()      all are done
 *     fill_free()
 *
 * Items are numbered in an order that depends on the snapshot and the filter alone; when one is done
 * and all before it, the journal notes it. A file of more than FETCH_WINDOW stored bytes is made by
 * the caller's thread, written by many, and gets its attributes when its last item came back.
 */
#ifndef BACKUP_WORK_RESTORE_FILL_H
#define BACKUP_WORK_RESTORE_FILL_H

#include "backup/work/restore_item.h"
#include "backup/work/restore_journal.h"
#include "backup/work/restore_owner.h"
#include "backup/work/restore_wanted.h"

struct fill_options { /* all borrowed until fill_free() */
    struct repo *repo;
    const struct snapshot_info *snapshot;
    struct reader *reader;
    enum restore_doing doing;
    bool compare;        /* with what is there already */
    bool contents;       /* checking: of contents only */
    struct place *place; /* NULL: counting, and there is nothing yet */
    struct owners *owners;
    const struct wanted *wanted;
    struct restore_journal *journal;
    unsigned threads;        /* 0: all is done in the caller's */
    struct place_lost *lost; /* gathers what the threads could not keep, in order */
    /* Told in order, in the caller's thread: what came of an item. */
    enum dr_rc (*done)(void *arg, const struct restore_item *item, struct dr_err *err);
    void *arg;
};

struct fill;

enum dr_rc fill_new(const struct fill_options *options, struct fill **ret, struct dr_err *err)
    DR_MUST_USE;
void fill_free(struct fill *f); /* waits for the work at hand */
DR_DEFINE_CLEANUP(struct fill, fill_free)

/* base: number of the segment's first record. The segment may be closed afterwards. */
enum dr_rc fill_segment(struct fill *f, const struct segment *s, size_t base, struct dr_err *err)
    DR_MUST_USE;
enum dr_rc fill_finish(struct fill *f, struct dr_err *err) DR_MUST_USE;

#endif
