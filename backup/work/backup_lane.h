/*
 * backup_lane.h - the jobs of one bucket, one after another, in a thread of its own.
 *
 *     lane_push()     appended; done in the order of the pushes
 *     lane_wait()     until all are done, or the time is over
 *     lane_free()     waits for all, ends the thread
 *
 * A lane has no bound: whoever pushes bounds what the jobs hold (backup_buckets.h does so by counting
 * packs). Without a thread each push does its job before it returns, so that sweeps see every call in one
 * order. The thread blocks all signals; those of the process reach the main thread.
 */
#ifndef BACKUP_WORK_BACKUP_LANE_H
#define BACKUP_WORK_BACKUP_LANE_H

#include "dr/base/err.h"

struct lane;

/* Fails with DR_E_TRANSIENT when no thread can be made. */
enum dr_rc lane_new(bool thread, struct lane **ret, struct dr_err *err) DR_MUST_USE;
void lane_free(struct lane *l);
DR_DEFINE_CLEANUP(struct lane, lane_free)

void lane_push(struct lane *l, void (*fn)(void *arg), void *arg);

/* Are all jobs done? Waits for that up to so many milliseconds. */
bool lane_wait(struct lane *l, unsigned timeout_ms) DR_MUST_USE;

#endif
