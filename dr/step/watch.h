/*
 * watch.h - a step that works for somebody at the other end of a connection.
 *
 *     runner ──ssh──> sshd ──> drctl step --remote ── the watcher: reads the request, then watches
 *                                  └── the worker: leader of a group of its own, does the step
 *
 * The runner keeps our standard input open for as long as it lives and wants the step. When that
 * ends (the connection is lost, the runner was stopped or died) nobody is left who could write the
 * outcome down: the worker's whole group is killed at once. The request's time limit is enforced
 * here as well, because a network that swallows packets tells neither side anything.
 *
 * An attempt may find the one before it still dying: a step of a run has one worker on a host, held by
 * a lock that ends with the watcher.
 */
#ifndef DR_STEP_WATCH_H
#define DR_STEP_WATCH_H

#include "dr/base/err.h"

enum { WATCH_GRACE_MS = 5000, WATCH_LOCK_MS = 6000 };

/* Hold the lock of this key until this process ends. DR_E_BUSY: another worker still runs. */
enum dr_rc watch_lock(const char *key, struct dr_err *err) DR_MUST_USE;

/*
 * Start the worker. In it *ret_worker is true: it does the step and ends. In the watcher it is false,
 * and only when all is over: ret_code is the worker's exit code (1: it was killed).
 */
enum dr_rc watch_begin(int64_t timeout_ms, bool *ret_worker, int *ret_code, struct dr_err *err)
    DR_MUST_USE;

#endif
