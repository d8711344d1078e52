/*
 * job.c - the guard, and what comes back from it.
 *
 * The guard speaks by its exit code: the job's own, or one of the three beyond a byte's lower half. It tells the
 * job's group to go before it reaps the leader, so that the number of the group cannot be another's.
 */
#include "backup/daemon/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/sys.h"

enum { CODE_LATE = 200, CODE_STOPPED, CODE_STOPPED_WELL, CODE_KILLED, CODE_NOT_STARTED };

/* ---- the guard --------------------------------------------------------------------------------- */

struct guard {
    pid_t job;
    int64_t until_ns; /* what is done next is done then */
    bool told, late;
    int64_t grace_ns;
    sigset_t signals;
};

static _Noreturn void become_job(const struct job_order *order, const sigset_t *signals,
                                 pid_t guard)
{
    (void)setpgid(0, 0); /* both sides do: whoever comes first */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != guard)
        _exit(CODE_NOT_STARTED);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        _exit(CODE_NOT_STARTED);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    /* execv() changes no word, but its type does not say so. */
    char *const *argv =
        (char *const *)(uintptr_t)order->argv; /* NOLINT(performance-no-int-to-ptr) */
    execv(order->program, argv);
    _exit(CODE_NOT_STARTED);
}

/* Ask it to go; or make it, when it was asked. */
static void tell(struct guard *g)
{
    (void)kill(-g->job, g->told ? SIGKILL : SIGTERM);
    g->until_ns = clock_boot_ns() + g->grace_ns;
    g->told = true;
}

/* -1 while it runs. */
static int code_of(struct guard *g)
{
    siginfo_t info = { .si_pid = 0 };
    if (waitid(P_PID, (id_t)g->job, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return CODE_KILLED;
    if (info.si_pid == 0)
        return -1;
    (void)kill(-g->job, SIGKILL); /* what it left behind in its group */
    int status = 0;
    while (waitpid(g->job, &status, 0) < 0 && errno == EINTR)
        continue;
    bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (g->late)
        return CODE_LATE;
    if (g->told)
        return well ? CODE_STOPPED_WELL : CODE_STOPPED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : CODE_KILLED;
}

static void wait_for_news(struct guard *g)
{
    int64_t left_ns = g->until_ns - clock_boot_ns();
    if (left_ns <= 0) {
        g->late = g->late || !g->told;
        tell(g);
        return;
    }
    const struct timespec wait = { .tv_sec = left_ns / 1000000000,
                                   .tv_nsec = left_ns % 1000000000 };
    int got = sigtimedwait(&g->signals, NULL, &wait);
    if (got == SIGTERM && !g->told)
        tell(g);
    else if (got == SIGINT) { /* in a hurry */
        g->told = true;
        tell(g);
    }
}

static _Noreturn void guard(const struct job_order *order, int out, pid_t parent)
{
    struct guard g = { .grace_ns = order->grace_ms * 1000000 };
    sigemptyset(&g.signals);
    const int taken[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
    for (size_t i = 0; i < DR_ARRAY_LEN(taken); i++)
        sigaddset(&g.signals, taken[i]);
    (void)setpgid(0, 0); /* Ctrl-C in a terminal is backupd's */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(CODE_NOT_STARTED);
    /* Of what backupd has open we keep the output, what is to be held, and the words. */
    if (dup2(out, STDOUT_FILENO) < 0)
        _exit(CODE_NOT_STARTED);
    if (order->hold >= 0 && dup2(order->hold, STDIN_FILENO) < 0)
        _exit(CODE_NOT_STARTED);
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    g.until_ns = clock_boot_ns() + order->deadline_ms * 1000000;
    pid_t self = getpid();
    g.job = fork();
    if (g.job == 0)
        become_job(order, &g.signals, self);
    if (g.job < 0)
        _exit(CODE_NOT_STARTED);
    (void)setpgid(g.job, g.job);
    int code = code_of(&g);
    while (code < 0) {
        wait_for_news(&g);
        code = code_of(&g);
    }
    _exit(code);
}

/* ---- backupd's side ------------------------------------------------------------------------------ */

enum dr_rc job_start(const struct job_order *order, struct job *ret, struct dr_err *err)
{
    DR_ASSERT(order->deadline_ms > 0 && order->grace_ms > 0);
    DR_CLEANUP(dr_close_fd) int out = memfd_create("drctl-job", MFD_CLOEXEC);
    if (out < 0)
        return dr_fail_sys(err, errno, "cannot keep the output of a job");
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        guard(order, out, parent);
    if (pid < 0)
        return dr_fail_sys(err, errno, "cannot start a process");
    ret->guard = pid;
    ret->out = dr_take_fd(&out);
    return DR_OK;
}

/* The last line that is a value, for a verb may have more than one. NULL: there is none. */
static json_t *last_value(int fd)
{
    struct stat st;
    struct dr_err ignored;
    json_t *value = NULL;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > JOB_OUTPUT_MAX)
        return NULL;
    size_t len = (size_t)st.st_size;
    (void)buf_reserve(&text, len + 1);
    if (fs_pread_all(fd, "the output of a job", text.data, len, 0, &ignored) != DR_OK)
        return NULL;
    while (len > 0 && text.data[len - 1] == '\n')
        len--;
    const char *line = len > 0 ? memrchr(text.data, '\n', len) : NULL;
    size_t from = line != NULL ? (size_t)(line - text.data) + 1 : 0;
    if (json_read("the output of a job", text.data + from, len - from, &value, &ignored) != DR_OK)
        return NULL;
    return value;
}

bool job_ended(struct job *job, struct job_result *ret)
{
    int status = 0;
    if (job->guard == 0 || waitpid(job->guard, &status, WNOHANG) != job->guard)
        return false;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : CODE_KILLED;
    *ret = (struct job_result){ .how = JOB_EXITED, .exit = 1, .said = last_value(job->out) };
    if (code == CODE_LATE)
        ret->how = JOB_LATE;
    else if (code == CODE_STOPPED || code == CODE_STOPPED_WELL)
        ret->how = JOB_STOPPED;
    else if (code >= CODE_KILLED)
        ret->how = JOB_KILLED;
    if (code == CODE_STOPPED_WELL)
        ret->exit = 0;
    else if (ret->how == JOB_EXITED)
        ret->exit = code;
    job->guard = 0;
    dr_close_fd(&job->out);
    return true;
}

void job_result_fini(struct job_result *result)
{
    json_decref(result->said);
    result->said = NULL;
}

void job_stop(const struct job *job, bool hurry)
{
    if (job->guard > 0)
        (void)kill(job->guard, hurry ? SIGINT : SIGTERM);
}
