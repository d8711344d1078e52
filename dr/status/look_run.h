/*
 * look_run.h - the newest run whose records lie in a bucket, where it stood by the last of them.
 *
 * Records are written there before each effect and after it (dr/journal/JOURNAL.md), so a run whose runner and host are
 * gone is still seen. Only the newest one in earnest is looked at, and at most LOOK_RECORDS of its records.
 */
#ifndef DR_STATUS_LOOK_RUN_H
#define DR_STATUS_LOOK_RUN_H

#include "backup/store/store.h"
#include "dr/data/json.h"

/* NULL: there is none, it is over, or it cannot be told. A new reference. */
json_t *look_run(struct store *s) DR_MUST_USE;

#endif
