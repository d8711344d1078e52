/*
 * backupd.h - the daemon: in this version the probers of `health:`, one process each.
 *
 * A prober that hangs (a name server that swallows packets, a command that never ends) must
 * not stop the others, so each probe has a process of its own, and the parent only keeps
 * them alive. It listens on nothing. It logs changes, not answers: the answers are in
 * STATE_DIR/health (dr/run/health.h). Killed in any way it leaves nothing running and no
 * half-written line that a reader would believe.
 */
#ifndef BACKUP_DAEMON_BACKUPD_H
#define BACKUP_DAEMON_BACKUPD_H

#include "dr/config/config.h"
#include "dr/run/health.h"

/*
 * Probe in the foreground until SIGTERM, SIGINT or SIGHUP; then DR_OK, with no child left.
 * DR_E_CONFIG when there is nothing to probe, DR_E_BUSY when another process probes for
 * this state directory. Takes over the signals and the children of the process.
 */
enum dr_rc backupd_run(const struct config *c, struct dr_err *err) DR_MUST_USE;

/*
 * Ask one probe once. The answer is written down, unless another process does that for this probe:
 * ret_kept says so. why: HEALTH_WHY_MAX bytes.
 */
enum dr_rc backupd_ask(const struct config *c, const struct config_probe *probe,
                       enum health_result *ret_result, char *why, bool *ret_kept,
                       struct dr_err *err) DR_MUST_USE;

#endif
