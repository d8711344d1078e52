/*
 * runner.h - the schedule at work: what is due becomes a job, what ended becomes history.
 *
 *     runner_open(config, &here, &r, &err);
 *     for (;;) { runner_step(&r); wait for a signal, at most r.wait_ms }
 *     runner_stop(&r, false);  runner_step(&r) until runner_running(&r) is 0;  runner_fini(&r);
 *
 * Two locks in the state directory. `backupd.lock` is the daemon's alone: a second one is refused (DR_E_BUSY).
 * `backupd.jobs` is shared with the guards of the jobs (job.h): where a backupd was killed, the next one waits until its
 * jobs have ended before it starts any, so that no source is worked on twice.
 *
 * Jobs read STATE_DIR/backupd.yaml, a copy of the configuration in force: a file that is being edited, or
 * was refused, harms no backup.
 *
 * One line of the log a job: what, source, how it ended, how long it took, when it is next.
 */
#ifndef BACKUP_DAEMON_RUNNER_H
#define BACKUP_DAEMON_RUNNER_H

#include "backup/daemon/job.h"
#include "backup/daemon/rows.h"

enum { RUNNER_JOBS = 16 };

/* What a job came to. why is borrowed for the call; NULL: nothing to say. */
struct runner_news {
    const struct schedule_row *row; /* NULL: the configuration has it no more */
    enum schedule_what what;
    const char *subject; /* or NULL */
    int exit;
    int64_t start_ns, took_ms;
    int64_t next_ns; /* INT64_MAX: not foreseeable */
    const char *why;
    const json_t *said; /* what it printed last, or NULL */
};

struct runner_job {
    struct job job; /* guard 0: free */
    enum schedule_what what;
    char *subject; /* owned */
    int64_t start_ns, begun_boot_ms;
    int64_t deadline_ms;
};

struct runner {
    const struct config *config;
    struct rows_here here;
    struct schedule schedule;
    struct runner_job jobs[RUNNER_JOBS];
    int lock_fd, jobs_fd;
    bool may_start; /* the jobs of another backupd have ended */
    bool stopping;  /* runner_stop(): nothing is started any more */
    bool told_waiting, told_unsaved;
    int64_t wait_ms;  /* after runner_step(): nothing to do for so long */
    int64_t grace_ms; /* of jobs; JOB_GRACE_MS */
    size_t overdue;   /* rows */
    void (*tell)(void *arg, const struct runner_news *news); /* beside the log; or NULL */
    void *arg;
};

/* DR_E_BUSY: another backupd works in this state directory. With `rows` false no backups are. The configuration
 * must outlive the runner. Finish it also when this fails. */
enum dr_rc runner_open(const struct config *c, const struct rows_here *here, bool rows,
                       struct runner *ret, struct dr_err *err) DR_MUST_USE;

/* Another configuration of the same state directory. When it fails, all is as it was. */
enum dr_rc runner_reconfigure(struct runner *r, const struct config *c, bool rows,
                              struct dr_err *err) DR_MUST_USE;

/* Reap, start what is due, tell what became overdue. */
void runner_step(struct runner *r);

size_t runner_running(const struct runner *r);

/* End all jobs; hurry: at once. From now on runner_step() only sees them go. */
void runner_stop(struct runner *r, bool hurry);

void runner_fini(struct runner *r);

/* "full of 'app'", "prune". Returns out. */
char *runner_name(enum schedule_what what, const char *subject, char *out, size_t size);

#endif
