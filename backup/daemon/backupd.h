/*
 * backupd.h - the daemon: it takes the backups when they are due, and watches the services.
 *
 * It listens on nothing. What it does is done by children: a job is a drctl of its own (runner.h), a probe has a
 * process of its own (probers.h); the loop only waits for a signal or for the next thing that is due, so
 * nothing that hangs can stop it. Killed in any way it leaves nothing running, and what it was doing is known to
 * the next one (state.h).
 *
 *     SIGTERM, SIGINT   all jobs end by SIGTERM and a grace (a second signal: at once); then DR_OK
 *     SIGHUP            the configuration is read again. A bad one is told and changes nothing
 *
 * To systemd it says READY, RELOADING, STOPPING, STATUS and, where it is asked to, WATCHDOG (sdnotify.h).
 */
#ifndef BACKUP_DAEMON_BACKUPD_H
#define BACKUP_DAEMON_BACKUPD_H

#include "backup/daemon/runner.h"
#include "dr/config/config.h"
#include "dr/run/health.h"

struct backupd_wish {
    bool watch; /* probe only: no schedule */
    struct rows_here here;
    struct config *(*load)(
        void *arg); /* for SIGHUP: NULL after what is wrong was told; or NULL: no reload */
    void *arg;
};

/*
 * Work in the foreground until SIGTERM; then DR_OK, with no child left. DR_E_CONFIG when there is nothing to do,
 * DR_E_BUSY when another process does it for this state directory. Takes over the signals and the children of the
 * process. wish may be NULL: probes, and the schedule of all sources.
 */
enum dr_rc backupd_run(const struct config *c, const struct backupd_wish *wish, struct dr_err *err)
    DR_MUST_USE;

/*
 * Run what is due now, each row once, and wait for it. tell gets each end. *ret_stopped: a signal came between.
 */
enum dr_rc backupd_once(const struct config *c, const struct backupd_wish *wish,
                        void (*tell)(void *arg, const struct runner_news *news), void *arg,
                        bool *ret_stopped, struct dr_err *err) DR_MUST_USE;

/*
 * Ask one probe once. The answer is written down, unless another process does that for this probe:
 * ret_kept says so. why: HEALTH_WHY_MAX bytes.
 */
enum dr_rc backupd_ask(const struct config *c, const struct config_probe *probe,
                       enum health_result *ret_result, char *why, bool *ret_kept,
                       struct dr_err *err) DR_MUST_USE;

#endif
