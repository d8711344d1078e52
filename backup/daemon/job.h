/*
 * job.h - one drctl at work for backupd, with somebody who sees to it that it ends.
 *
 *     backupd ──fork──> guard ──fork, exec──> drctl backup ...        (a process group of its own)
 *
 * The guard is a process that only waits. At the deadline, when it is told to stop (SIGTERM), or when backupd
 * dies in whatever way, the job gets SIGTERM, so that it can thaw what it froze, and after a grace its whole
 * group gets SIGKILL. When the guard itself is killed, the job gets SIGTERM from the kernel. So nothing goes on
 * without a backupd. What the job started in groups of their own (hooks) is ended by the job, or dies with it.
 *
 * The guard holds `hold` open: a lock there tells the next backupd that something is still ending.
 *
 *     job_start(&order, &job, &err);
 *     ... SIGCHLD: if (job_ended(&job, &result)) ... job_result_fini(&result)
 *
 * Standard output of the job (its --json) is kept in memory; standard error is ours.
 */
#ifndef BACKUP_DAEMON_JOB_H
#define BACKUP_DAEMON_JOB_H

#include <sys/types.h>

#include "dr/data/json.h"

enum {
    JOB_GRACE_MS = 60 * 1000,          /* from SIGTERM to SIGKILL: time for a hook that thaws */
    JOB_OUTPUT_MAX = 64 * 1024 * 1024, /* of its standard output; what is more is not read */
};

struct job_order {
    const char *program;     /* "/proc/self/exe" */
    const char *const *argv; /* NULL behind the last */
    int64_t deadline_ms, grace_ms;
    int hold; /* a descriptor for the guard, or -1 */
};

struct job {
    pid_t guard; /* 0: none */
    int out;     /* a file in memory */
};

enum job_how { JOB_EXITED, JOB_LATE, JOB_STOPPED, JOB_KILLED };

struct job_result {
    enum job_how how;
    int exit; /* of the job; of the others 1 (a job that was stopped may still have ended well: 0) */
    json_t *said; /* the last value of its output, or NULL; owned */
};

/* Threads other than the caller's may hold locks: the child only makes system calls before exec. SIGTERM, SIGINT,
 * SIGHUP and SIGCHLD must be blocked. */
enum dr_rc job_start(const struct job_order *order, struct job *ret, struct dr_err *err)
    DR_MUST_USE;

/* Has it ended? Then the job is none any more. */
bool job_ended(struct job *job, struct job_result *ret);
void job_result_fini(struct job_result *result);

/* End it: by SIGTERM and its grace; hurry: at once, by SIGKILL of its group. job_ended() tells when. */
void job_stop(const struct job *job, bool hurry);

#endif
