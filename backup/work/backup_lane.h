/*
 * backup_lane.h - the jobs of one bucket, in threads of its own: as many as do it good.
 *
 *     lane_push()     appended; begun in the order of the pushes, some at once
 *     lane_wait()     until all are done, or the time is over
 *     lane_free()     waits for all, ends the threads
 *
 * A lane has no bound: whoever pushes bounds what the jobs hold (backup_buckets.h does so by counting
 * bytes). Without a thread each push does its job before it returns, so that sweeps see every call in one
 * order. Threads block all signals; those of the process reach the main thread.
 */
#ifndef BACKUP_WORK_BACKUP_LANE_H
#define BACKUP_WORK_BACKUP_LANE_H

#include "dr/base/err.h"

struct lane;

enum { LANE_THREADS_MAX = 32 };

/* More than LANE_THREADS_MAX are that many. Fails with DR_E_TRANSIENT when no thread can be made. */
enum dr_rc lane_new(unsigned threads, struct lane **ret, struct dr_err *err) DR_MUST_USE;
void lane_free(struct lane *l);
DR_DEFINE_CLEANUP(struct lane, lane_free)

void lane_push(struct lane *l, void (*fn)(void *arg), void *arg);

/* Do those that nobody has begun in the caller's thread: of a bucket that is given up they are quick. */
void lane_flush(struct lane *l);

/* Are all jobs done? Waits for that up to so many milliseconds. */
bool lane_wait(struct lane *l, unsigned timeout_ms) DR_MUST_USE;

#endif
