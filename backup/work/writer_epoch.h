/*
 * writer_epoch.h - under which epoch this host writes a source.
 *
 * A snapshot is stamped with an epoch so that a writer who was fenced, and does not know it, harms nobody: what he
 * takes under an older epoch after a newer one began is never chosen (repo.h). So a host has to know its own:
 *
 *     who                                       what it writes under from then on
 *     nobody ever failed over                   0
 *     backup.now of a run                       the run's epoch, or its own if that is higher
 *     restored by a run, for real               the run's epoch, and more than the restored snapshot has
 *     restored by hand in the source's place    more than the restored snapshot has
 *     `drctl backup --take-over`                more than any snapshot has: a person says who the writer is
 *
 * It is one number a source in STATE_DIR/epochs, which only grows; each backup is stamped with it. The host that was
 * left behind keeps its old number. Epochs of a source come from different leases and from people, so they are made
 * to grow over what was restored, whatever the lease counted.
 */
#ifndef BACKUP_WORK_WRITER_EPOCH_H
#define BACKUP_WORK_WRITER_EPOCH_H

#include "backup/work/repo.h"

/* 0 when nothing is noted, or it cannot be read: then writer_epoch_check() refuses where it matters. */
int64_t writer_epoch(const struct config *c, const char *source);

/* Write under this epoch from now on, durably; one that is not higher changes nothing. */
enum dr_rc writer_epoch_raise(const struct config *c, const char *source, int64_t epoch,
                              struct dr_err *err) DR_MUST_USE;

/* More than any snapshot of the source has that is believed. */
enum dr_rc writer_epoch_take_over(struct repo *r, const char *source, struct dr_err *err)
    DR_MUST_USE;

/*
 * DR_E_REFUSED when snapshots of a higher epoch stand in the buckets: this writer was fenced, and what it took would
 * never be restored. One list of the bucket of that name, or of each (NULL), and all snapshots only where
 * such a list says that there may be one.
 */
enum dr_rc writer_epoch_check(struct repo *r, const char *source, const char *bucket, int64_t epoch,
                              struct dr_err *err) DR_MUST_USE;

#endif
