/*
 * progress.h - long work on a screen: bytes, rate, time left, and a way to stop it.
 *
 * An adapter between the jobs of backup/work and a person. On a terminal one line of stderr is drawn
 * again at most each 100 ms and is gone when the work ends. Elsewhere (a log, a mail from cron) the same
 * line is written once a minute, so that short work says nothing and long work is known to live. With -q
 * neither. SIGUSR1 writes the line at once, wherever stderr leads and also with -q: it was asked for.
 *
 * Warnings go to stderr as they come, the first hundred of them. Ctrl-C (or SIGTERM) makes the
 * next report answer "cancel", so that the job ends in order; a second one kills as usual.
 * Signal handlers set flags and nothing else: all words are written from within the job's own reports,
 * which come at least each 100 ms of work.
 *
 *     struct progress p;
 *     progress_start(&p, cli, "app");
 *     enum dr_rc rc = backup_run(repo, &wish, &p.hooks, &result, &err);
 *     progress_end(&p);
 *     if (rc == DR_OK)
 *         progress_summary(&p, cli, &(struct progress_done){ .bytes = result.bytes });
 *
 * One of them at a time.
 */
#ifndef DR_CLI_PROGRESS_H
#define DR_CLI_PROGRESS_H

#include "backup/work/work.h"
#include "dr/cli/cli.h"

struct progress {
    struct work_hooks hooks; /* give this to the job; its arg is the struct itself */
    const char *label;       /* borrowed: what is worked on */
    bool draw;               /* stderr is a terminal, and not -q */
    bool drawn;              /* a line stands there and must be cleared */
    bool quiet;              /* -q */
    int64_t start_ms, drawn_ms, written_ms;
    size_t warnings;
};

struct progress_done {
    uint64_t bytes;    /* that went through */
    uint64_t entries;  /* looked at, of a job that need not read them all; 0: it reads all */
    uint64_t requests; /* to buckets that are not here; 0: not told */
};

void progress_start(struct progress *p, const struct cli *cli, const char *label);

/* Was the job asked to stop, by Ctrl-C or SIGTERM? True until the next progress_start(). */
bool progress_stopped(void);

/* Clear the line, say how many warnings were not shown, take signals as before. */
void progress_end(struct progress *p);

/* progress_outcome() on stderr; nothing with -q. After progress_end(). */
void progress_summary(const struct progress *p, const struct cli *cli,
                      const struct progress_done *done);

/*
 * What was done, in one line; appended to out. A job that mostly looks and finds nothing to do has no rate
 * worth telling, but has looked at something:
 *
 *     app: 12.3 MiB in 1.2s, 10.1 MiB/s
 *     app: 78579 entries looked at, 1.2 MiB read in 0.6s
 *     app: 78579 entries looked at in 0.2s, nothing read
 *     app: 78579 entries looked at in 0.2s, nothing read; 12 requests
 */
void progress_outcome(const char *label, const struct progress_done *done, int64_t elapsed_ms,
                      struct buf *out);

/*
 * The line for a screen that is columns wide, without its cursor movements. Appended to out. The time left
 * is told by bytes; where only the number of entries is known beforehand (most of an incremental
 * backup is looked at and not read), by these.
 */
void progress_line(const char *label, const struct work_progress *at, int64_t elapsed_ms,
                   size_t columns, struct buf *out);

#endif
