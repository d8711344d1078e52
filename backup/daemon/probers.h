/*
 * probers.h - one process for each probe of `health:` that this host asks, kept alive.
 *
 * A prober that hangs (a name server that swallows packets, a command that never ends) must not stop the others,
 * nor the schedule. The parent opens (and locks) every log before it forks, so that "another daemon is running"
 * is told once and at once. A prober waits on CLOCK_BOOTTIME: probes keep their distance through suspend and
 * through jumps of the wall clock. It dies with its parent, and by SIGTERM at any line: each answer is one write.
 */
#ifndef BACKUP_DAEMON_PROBERS_H
#define BACKUP_DAEMON_PROBERS_H

#include "dr/config/config.h"

struct probers;

/*
 * Open the logs of all probes that are asked here (config_is_asked_here()). before: whose logs go over where the probe has the same name (it stays usable when
 * this fails, and is to be freed when it does not); or NULL. The configuration must outlive ret.
 */
enum dr_rc probers_new(const struct config *c, struct probers *before, struct probers **ret,
                       struct dr_err *err) DR_MUST_USE;

/* Stops what still runs. */
void probers_free(struct probers *p);
DR_DEFINE_CLEANUP(struct probers, probers_free)

/* Start what is not running; returns how long to wait before looking again, in ms. p may be NULL. SIGTERM, SIGINT, SIGHUP and SIGCHLD
 * must be blocked. */
int64_t probers_start_missing(struct probers *p);

/* After SIGCHLD. */
void probers_reap(struct probers *p);

#endif
