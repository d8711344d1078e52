/*
 * measure.h - how long restores took on this host: what a forecast is made of.
 *
 * restore_run() notes each restore that went to its end: how many bytes it wrote in how much time. The notes
 * are lines of canonical JSON in STATE_DIR/restores, the newest MEASURE_KEPT of them:
 *
 *     {"at":"2026-11-21T03:11:40Z","bytes":4123168604,"ms":41230,"snapshot":"app-...","source":"app"}
 *
 * Dry runs, deltas (which mostly compare) and restores that wrote nothing are not noted. What cannot be
 * noted costs a forecast, never a restore; a line that cannot be read is passed over.
 */
#ifndef BACKUP_WORK_MEASURE_H
#define BACKUP_WORK_MEASURE_H

#include "dr/data/json.h"

enum { MEASURE_KEPT = 64 };

struct measure {
    const char *source, *snapshot; /* borrowed */
    uint64_t bytes;                /* written */
    int64_t ms;                    /* 0 counts as 1 */
};

/* Note it, now; the oldest go. */
void measure_add(const char *state_dir, const struct measure *m);

/* All that is known, oldest first, as a list of the objects above. A new reference; empty when nothing is. */
json_t *measure_read(const char *state_dir) DR_MUST_USE;

#endif
