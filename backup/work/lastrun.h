/*
 * lastrun.h - how the last backup of a source went, on this host.
 *
 *     lastrun_begin(state_dir, "app");
 *     rc = backup_run(...);
 *     lastrun_end(state_dir, "app", rc == DR_OK ? NULL : err.msg);
 *
 * One small file a source, STATE_DIR/backup/SOURCE. A run that began, has no end and whose process is gone
 * failed, too. Retention asks: after a run that failed nothing expires. Not being able to write it
 * is no failure of a backup, and nothing known is no failure either.
 */
#ifndef BACKUP_WORK_LASTRUN_H
#define BACKUP_WORK_LASTRUN_H

#include "dr/base/err.h"

void lastrun_begin(const char *state_dir, const char *source);

/* why: of the failure; NULL: it succeeded. */
void lastrun_end(const char *state_dir, const char *source, const char *why);

/* Why the last run is known to have failed, or NULL. The caller frees. */
char *lastrun_failure(const char *state_dir, const char *source) DR_MUST_USE;

#endif
