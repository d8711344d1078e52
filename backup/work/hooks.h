/*
 * hooks.h - a backup with the commands of its source around it: freeze, read, thaw.
 *
 *     pre ──ok──> the backup ──> post ──> (failed: on_error)
 *      └──fails, too late, Ctrl-C──────> post ──> on_error
 *
 * `pre` runs before anything is read; when it fails or passes its deadline, nothing is read. `post` undoes
 * `pre`, so it runs whenever the backup was begun: after a `pre` that failed half way, after a failed backup,
 * after Ctrl-C. Its own failure is one of the backup (the application may still be frozen), though
 * the snapshot stays. `on_error` runs last and only when something failed; its failure is a warning.
 *
 * Each is a child in a process group of its own, with /dev/null as standard input and a deadline; at the deadline
 * its group gets SIGTERM, and SIGKILL after a grace. It ends when its first process ends: what that left
 * running in the background (the holder of a lock, for `post` to stop) stays. Of what it prints the last words are
 * kept, for the error. When we are killed ourselves (SIGKILL), the running hook gets SIGTERM and nothing else
 * runs: the next backup starts with `pre` again, which should therefore bear being repeated.
 *
 * Its environment is ours and
 *
 *     DRCTL_SOURCE, DRCTL_PATH   the source's name and path
 *     DRCTL_KIND                 as asked for; behind the backup: as taken
 *     DRCTL_SNAPSHOT             behind a backup that made one: its id; else empty
 *     DRCTL_OUTCOME              done, warnings, degraded, failed, cancelled; empty in `pre`
 *     DRCTL_ERROR                in `on_error` and `post`: what failed, one line; else empty
 *
 * A dry run and --stdin run no hooks: nothing of the source is read.
 */
#ifndef BACKUP_WORK_HOOKS_H
#define BACKUP_WORK_HOOKS_H

#include "backup/work/work.h"

enum {
    HOOK_GRACE_MS = 5000,   /* between SIGTERM and SIGKILL; never longer than the deadline */
    HOOK_OUTPUT_MAX = 4096, /* last bytes of its output that are kept */
};

/*
 * backup_run(), with the hooks of wish->source, alone on this host (source_lock.h), and with a fresh sentinel where
 * backupd is to write one (sentinel.h; that it cannot be written is a warning). DR_E_BUSY: another backup of the
 * source is at work; nothing was begun. DR_E_STEP and DR_E_TIMEOUT: a hook failed.
 */
enum dr_rc hooks_backup(struct repo *r, const struct backup_wish *wish,
                        const struct work_hooks *hooks, struct backup_result *ret,
                        struct dr_err *err) DR_MUST_USE;

#endif
