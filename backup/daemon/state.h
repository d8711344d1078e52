/*
 * state.h - what the schedule remembers over its own death: STATE_DIR/schedule.json.
 *
 *     {"schema":"drctl-schedule-1","boot_id":"...","boot_ns":N,"wall_ns":N,
 *      "rows":[{"what":"full","subject":"app"|null,"since_ns":N,"start_ns":N,"end_ns":N,"good_ns":N,
 *               "took_ms":N,"exit":N,"failures":N,"wanted_ns":N,"running":bool,"interrupted":bool}]}
 *
 * The file is replaced whole (fs.h) before each job starts and after it ends. So whoever comes next knows what
 * was begun: a row that is still "running" in the file died with its backupd, which counts as a failure of it,
 * so that a job which kills the machine is not started again in a loop. Within one boot the ages
 * stay true over a restart: the two clocks are remembered together.
 *
 * "wanted_ns" may be missing, for an older backupd did not know it.
 *
 * A file that is lost or spoilt costs nothing but knowledge: the schedule asks the buckets, and begins anew.
 */
#ifndef BACKUP_DAEMON_STATE_H
#define BACKUP_DAEMON_STATE_H

#include "backup/daemon/schedule.h"
#include "dr/base/err.h"

enum { STATE_FILE_MAX = 16 * 1024 * 1024, STATE_FAILURES_MAX = 1000 };

/* Rows of the file that the schedule does not have are left out. DR_E_NOTFOUND: there is no file. DR_E_CORRUPT: it
 * is none of ours. In both cases the schedule is as it was. */
enum dr_rc state_load(const char *state_dir, struct schedule *s, struct dr_err *err) DR_MUST_USE;

enum dr_rc state_save(const char *state_dir, const struct schedule *s, struct dr_err *err)
    DR_MUST_USE;

#endif
