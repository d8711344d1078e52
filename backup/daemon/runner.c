/*
 * runner.c - rows to processes and back.
 *
 * The history is saved before a job starts and after it ended. That it cannot be saved is told once and stops
 * nothing: a backup is worth more than the note that it was begun.
 */
#include "backup/daemon/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "backup/daemon/state.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/cli/cli.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"

static const char copy_name[] = "backupd.yaml";

enum { COPY_MAX = 16 * 1024 * 1024, LOCK_AGAIN_MS = 100, NAME_MAX_BYTES = 160 };

char *runner_name(enum schedule_what what, const char *subject, char *out, size_t size)
{
    const char *word = what == SCHEDULE_CONFIG ? "config snapshot" : schedule_word(what);
    if (subject == NULL)
        (void)snprintf(out, size, "%s", word);
    else
        (void)snprintf(out, size, "%s of '%s'", word, subject);
    return out;
}

/* ---- opening ----------------------------------------------------------------------------------- */

/* A record lock: our children do not inherit it, so that nothing but our own life holds it. */
static enum dr_rc lock_daemon(const struct config *c, int *ret_fd, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/backupd.lock", c->state_dir);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return dr_fail_sys(err, errno, "cannot lock '%s'", path);
        struct flock other = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        bool known = fcntl(fd, F_GETLK, &other) == 0 && other.l_type != F_UNLCK && other.l_pid > 0;
        dr_fail(err, DR_E_BUSY, "another backupd works in '%s' (process %d)", c->state_dir,
                known ? (int)other.l_pid : 0);
        return dr_hint(err, "One serves all sources of this host: stop it first, or reload it "
                            "with SIGHUP.");
    }
    *ret_fd = dr_take_fd(&fd);
    return DR_OK;
}

static enum dr_rc open_jobs_lock(const struct config *c, int *ret_fd, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/backupd.jobs", c->state_dir);
    *ret_fd = sys_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*ret_fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    return DR_OK;
}

static uint64_t hash_of_host(void)
{
    char name[256] = "";
    uint8_t digest[HASH_SIZE];
    uint64_t number;
    if (gethostname(name, sizeof(name) - 1) != 0)
        name[0] = '\0';
    hash_bytes(name, strlen(name), digest);
    memcpy(&number, digest, sizeof(number));
    return number;
}

static void load_history(struct runner *r)
{
    struct dr_err err = { 0 };
    enum dr_rc rc = state_load(r->config->state_dir, &r->schedule, &err);
    if (rc == DR_OK || rc == DR_E_NOTFOUND)
        return;
    log_warning("what ran before is not known: %s; the buckets are asked, and the schedule begins "
                "anew",
                err.msg);
}

/* For the jobs: the configuration in force. */
static enum dr_rc write_copy(const struct config *c, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_TRY(fs_read_file(c->path, COPY_MAX, &text, err));
    return fs_replace(c->state_dir, copy_name, text.data != NULL ? text.data : "", text.len, err);
}

enum dr_rc runner_open(const struct config *c, const struct rows_here *here, bool rows,
                       struct runner *ret, struct dr_err *err)
{
    *ret = (struct runner){
        .config = c, .here = *here, .lock_fd = -1, .jobs_fd = -1, .grace_ms = JOB_GRACE_MS
    };
    DR_TRY(fs_make_dirs(c->state_dir, 0700, err));
    DR_TRY(lock_daemon(c, &ret->lock_fd, err));
    DR_TRY(open_jobs_lock(c, &ret->jobs_fd, err));
    ret->schedule.host = hash_of_host();
    if (rows)
        rows_make(c, here, &ret->schedule);
    else
        rows_watch(c, &ret->schedule);
    if (ret->schedule.count == 0)
        return DR_OK;
    DR_TRY(write_copy(c, err));
    load_history(ret);
    return DR_OK;
}

enum dr_rc runner_reconfigure(struct runner *r, const struct config *c, bool rows,
                              struct dr_err *err)
{
    DR_CLEANUP(schedule_fini) struct schedule next = { .host = r->schedule.host };
    if (rows)
        rows_make(c, &r->here, &next);
    else
        rows_watch(c, &next);
    if (next.count > 0)
        DR_TRY(write_copy(c, err));
    rows_carry(&next, &r->schedule);
    for (size_t i = 0; i < RUNNER_JOBS; i++) {
        const struct runner_job *job = &r->jobs[i];
        struct schedule_row *row =
            job->job.guard > 0 ? schedule_find(&next, job->what, job->subject) : NULL;
        if (row != NULL)
            row->running = true;
    }
    const struct schedule before = r->schedule;
    r->schedule = next;
    next = before;
    r->config = c;
    return DR_OK;
}

void runner_fini(struct runner *r)
{
    for (size_t i = 0; i < RUNNER_JOBS; i++)
        free(r->jobs[i].subject);
    schedule_fini(&r->schedule);
    dr_close_fd(&r->lock_fd);
    dr_close_fd(&r->jobs_fd);
}

static void save(struct runner *r)
{
    struct dr_err err = { 0 };
    enum dr_rc rc = state_save(r->config->state_dir, &r->schedule, &err);
    if (rc != DR_OK && !r->told_unsaved)
        log_warning("what ran cannot be written down: %s; the schedule goes on from memory",
                    err.msg);
    else if (rc == DR_OK && r->told_unsaved)
        log_notice("what ran is written down again");
    r->told_unsaved = rc != DR_OK;
}

/* ---- ends ---------------------------------------------------------------------------------------- */

size_t runner_running(const struct runner *r)
{
    size_t count = 0;
    for (size_t i = 0; i < RUNNER_JOBS; i++)
        count += r->jobs[i].job.guard > 0;
    return count;
}

static void add_next(struct buf *line, int64_t next_ns, int64_t now_ns)
{
    char text[TIME_TEXT_MAX];
    if (next_ns == INT64_MAX)
        return;
    buf_addf(line, "; next %s", next_ns <= now_ns ? "now" : time_print_s(next_ns, text));
}

/* "full of 'app': done in 3.2s; next 2026-11-22T00:41:07Z" */
static void log_news(const struct runner *r, const struct runner_news *news, bool stopped,
                     bool again)
{
    char name[NAME_MAX_BYTES], took[DURATION_TEXT_MAX];
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    bool well = news->exit == EXIT_DONE || news->exit == EXIT_WARNINGS;
    buf_addf(&line, "%s: ", runner_name(news->what, news->subject, name, sizeof(name)));
    if (stopped && !well)
        buf_adds(&line, "stopped");
    else if (news->exit == EXIT_DONE)
        buf_adds(&line, "done");
    else if (news->exit == EXIT_WARNINGS)
        buf_adds(&line, "done with warnings");
    else if (news->exit == EXIT_DEGRADED)
        buf_adds(&line, "done, but degraded");
    else if (news->exit == EXIT_HELD)
        buf_adds(&line, "held");
    else
        buf_addf(&line, "failed (exit %d)", news->exit);
    buf_addf(&line, " in %s", duration_tell(news->took_ms, took));
    if (news->why != NULL)
        buf_addf(&line, ": %s", news->why);
    add_next(&line, news->next_ns, r->schedule.wall_ns);
    /* What is asked again and again is worth a line when it changes. */
    bool routine = schedule_is_inner(news->what) || news->what == SCHEDULE_PREFLIGHT ||
                   news->what == SCHEDULE_SENTINEL;
    bool sees = news->what == SCHEDULE_STATUS && news->exit > EXIT_USAGE; /* and says so itself */
    if (!well && !stopped && !sees && !again)
        log_warning("%s", line.data);
    else
        log_line(routine ? LOG_INFO : LOG_NOTICE, "%s", line.data);
}

static const char *why_of(const struct job_result *result, const struct runner_job *job, char *out,
                          size_t size)
{
    char text[DURATION_TEXT_MAX];
    switch (result->how) {
    case JOB_LATE:
        (void)snprintf(out, size, "it passed its deadline of %s and was ended",
                       duration_tell(job->deadline_ms, text));
        return out;
    case JOB_KILLED:
        return "it was killed, or could not be started";
    default:
        return json_string_value(json_object_get(result->said, "why"));
    }
}

/* A backup that failed says nothing about the buckets. */
static void note_left(struct runner *r, const struct job_result *result)
{
    bool left = rows_left(result->exit, result->said);
    const struct schedule_row *row = schedule_find(&r->schedule, SCHEDULE_REPAIR, NULL);
    bool wanted = row != NULL && row->wanted_ns != 0;
    if (left || result->exit == EXIT_DONE || result->exit == EXIT_WARNINGS)
        schedule_left(&r->schedule, left);
    if (left && row != NULL && !wanted)
        log_notice("a bucket lacks what the others have: a repair follows");
}

static void finish(struct runner *r, struct runner_job *job, const struct job_result *result)
{
    char why[DR_ERR_MSG_MAX];
    struct schedule *s = &r->schedule;
    struct schedule_row *row = schedule_find(s, job->what, job->subject);
    bool stopped = result->how == JOB_STOPPED && result->exit != 0;
    bool again = job->what == SCHEDULE_SENTINEL && row != NULL && row->exit == result->exit;
    if (row != NULL && stopped)
        schedule_interrupted(s, row);
    else if (row != NULL)
        schedule_ended(s, row, result->exit);
    if (job->what == SCHEDULE_LOOK && result->exit == 0 && result->said != NULL)
        rows_seen(r->config, result->said, s);
    if (schedule_is_backup(job->what) && result->how == JOB_EXITED)
        note_left(r, result);
    if (job->what != SCHEDULE_SENTINEL)
        save(r);
    const struct runner_news news = {
        .row = row,
        .what = job->what,
        .subject = job->subject,
        .exit = result->exit,
        .start_ns = job->start_ns,
        .took_ms = clock_boot_ms() - job->begun_boot_ms,
        .next_ns = row != NULL ? schedule_due_ns(s, row) : INT64_MAX,
        .said = result->said,
        .why = why_of(result, job, why, sizeof(why)),
    };
    log_news(r, &news, stopped, again);
    if (r->tell != NULL)
        r->tell(r->arg, &news);
}

static void reap(struct runner *r)
{
    for (size_t i = 0; i < RUNNER_JOBS; i++) {
        struct runner_job *job = &r->jobs[i];
        struct job_result result;
        if (!job_ended(&job->job, &result))
            continue;
        finish(r, job, &result);
        job_result_fini(&result);
        free(job->subject);
        job->subject = NULL;
    }
}

/* ---- beginnings ------------------------------------------------------------------------------------ */

static struct runner_job *free_slot(struct runner *r)
{
    for (size_t i = 0; i < RUNNER_JOBS; i++)
        if (r->jobs[i].job.guard == 0)
            return &r->jobs[i];
    return NULL;
}

static void start(struct runner *r, struct runner_job *job, struct schedule_row *row)
{
    struct dr_err err = { 0 };
    struct rows_argv argv;
    DR_FREE char *copy = dr_strf("%s/%s", r->config->state_dir, copy_name);
    rows_argv(r->config, &r->schedule, row, copy, &argv);
    *job = (struct runner_job){
        .what = row->what,
        .start_ns = r->schedule.wall_ns,
        .begun_boot_ms = clock_boot_ms(),
        .deadline_ms = schedule_deadline_ms(row),
    };
    const struct job_order order = {
        .program = "/proc/self/exe",
        .argv = argv.words,
        .deadline_ms = job->deadline_ms,
        .grace_ms = r->grace_ms,
        .hold = r->jobs_fd,
    };
    schedule_started(&r->schedule, row);
    if (row->what != SCHEDULE_SENTINEL)
        save(r);
    if (job_start(&order, &job->job, &err) != DR_OK) {
        char name[NAME_MAX_BYTES];
        schedule_ended(&r->schedule, row, EXIT_FAILED);
        log_warning("%s: %s; it is tried again",
                    runner_name(row->what, row->subject, name, sizeof(name)), err.msg);
        return;
    }
    job->subject = row->subject != NULL ? dr_strdup(row->subject) : NULL;
}

/* False while jobs of a backupd that was killed are still ending. */
static bool have_jobs_lock(struct runner *r)
{
    if (!r->may_start)
        r->may_start = flock(r->jobs_fd, LOCK_EX | LOCK_NB) == 0;
    if (!r->may_start && !r->told_waiting)
        log_notice("jobs of the backupd before are still ending; nothing is started before that");
    r->told_waiting = !r->may_start;
    return r->may_start;
}

static void start_due(struct runner *r)
{
    struct schedule_row *row = schedule_next(&r->schedule);
    r->wait_ms = LOCK_AGAIN_MS;
    if (row != NULL && !have_jobs_lock(r))
        return;
    for (; row != NULL; row = schedule_next(&r->schedule)) {
        struct runner_job *job = free_slot(r);
        if (job == NULL)
            break;
        start(r, job, row);
    }
    r->wait_ms = row != NULL ? SCHEDULE_WAIT_MS : schedule_wait_ms(&r->schedule);
}

static void tell_overdue(struct runner *r)
{
    char name[NAME_MAX_BYTES];
    r->overdue = 0;
    for (size_t i = 0; i < r->schedule.count; i++) {
        struct schedule_row *row = &r->schedule.rows[i];
        bool overdue = schedule_overdue(&r->schedule, row);
        r->overdue += overdue;
        if (overdue == row->told)
            continue;
        row->told = overdue;
        (void)runner_name(row->what, row->subject, name, sizeof(name));
        if (overdue && row->running)
            log_warning("%s is overdue; one is at work", name);
        else if (overdue)
            log_warning("%s is overdue; it is tried when it can be", name);
        else
            log_notice("%s is no longer overdue", name);
    }
}

void runner_step(struct runner *r)
{
    schedule_tick(&r->schedule, clock_wall_ns(), clock_boot_ns());
    rows_hold(r->config, r->schedule.wall_ns, &r->schedule);
    reap(r);
    if (r->stopping)
        return;
    start_due(r);
    tell_overdue(r);
}

void runner_stop(struct runner *r, bool hurry)
{
    r->stopping = true;
    for (size_t i = 0; i < RUNNER_JOBS; i++)
        job_stop(&r->jobs[i].job, hurry);
}
