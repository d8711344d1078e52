/*
 * One pipe a child. Its end of file says that the child is done, or dead; which of both, its exit status says.
 */
#include "dr/base/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { END_MS = 500, STEP_MS = 5, PART = 64 << 10 };

struct member {
    pid_t pid; /* 0: none */
    int fd;    /* -1: closed */
};

struct crew {
    struct member *members;
    size_t count;
};

struct crew *crew_new(size_t count)
{
    struct crew *c = dr_alloc(1, sizeof(*c));
    c->members = dr_alloc(count + 1, sizeof(c->members[0]));
    c->count = count;
    for (size_t i = 0; i < count; i++)
        c->members[i].fd = -1;
    return c;
}

void crew_free(struct crew *c)
{
    if (c == NULL)
        return;
    free(c->members);
    free(c);
}

void crew_forget(int keep)
{
    enum { FIRST = 3 };
    if (keep > FIRST)
        (void)close_range(FIRST, (unsigned)keep - 1,
                          0); /* an older kernel: they stay open, as before */
    (void)close_range(keep < FIRST ? FIRST : (unsigned)keep + 1, ~0U, 0);
}

static _Noreturn void work(crew_fn *fn, void *arg, size_t index, int fd)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD };
    sigset_t none;
    sigemptyset(&none);
    (void)setpgid(0,
                  0); /* the group is what is killed: with it goes what a store may have started */
    for (size_t i = 0; i < DR_ARRAY_LEN(signals); i++)
        (void)signal(signals[i], SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    crew_forget(fd);
    fn(arg, index, fd);
    _exit(0);
}

static void start(struct crew *c, size_t index, crew_fn *fn, void *arg)
{
    struct member *m = &c->members[index];
    pid_t parent = getpid();
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1); /* it died before we asked to be told */
        close(ends[0]);
        work(fn, arg, index, ends[1]);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return;
    }
    (void)setpgid(pid, pid); /* here too: whoever is first */
    m->pid = pid;
    m->fd = ends[0];
}

/* Is it gone? Its answer stays only when it ended by itself. */
static bool reap(struct member *m, struct buf *answer)
{
    int status = 0;
    pid_t done = waitpid(m->pid, &status, WNOHANG);
    if (done == 0)
        return false;
    if (done == m->pid && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        buf_clear(answer);
    m->pid = 0; /* or somebody else waited for it */
    return true;
}

static void take_part(struct member *m, struct buf *answer)
{
    char *at = buf_reserve(answer, PART);
    ssize_t got = read(m->fd, at, PART);
    if (got < 0 && errno == EINTR)
        return;
    if (got > 0) {
        answer->len += (size_t)got;
        answer->data[answer->len] = '\0';
    }
    if (got <= 0 || answer->len > CREW_ANSWER_MAX)
        dr_close_fd(&m->fd);
}

/* Read what comes until all have ended their say, or the time is over. */
static void listen_to(struct crew *c, int64_t deadline_ms, struct buf *answers)
{
    DR_FREE struct pollfd *fds = dr_alloc(c->count + 1, sizeof(*fds));
    for (;;) {
        size_t open = 0;
        int64_t left_ms = deadline_ms - clock_boot_ms();
        for (size_t i = 0; i < c->count; i++) {
            fds[i] = (struct pollfd){ .fd = c->members[i].fd, .events = POLLIN };
            open += c->members[i].fd >= 0;
        }
        if (open == 0 || left_ms <= 0)
            return;
        if (poll(fds, c->count, left_ms > 60000 ? 60000 : (int)left_ms) <= 0)
            continue;
        for (size_t i = 0; i < c->count; i++)
            if (fds[i].fd >= 0 && fds[i].revents != 0)
                take_part(&c->members[i], &answers[i]);
    }
}

/* Those that are late are killed; what cannot be killed is left for the next time. */
static void end_all(struct crew *c, struct buf *answers)
{
    for (size_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        if (m->fd < 0)
            continue;
        dr_close_fd(&m->fd);
        buf_clear(&answers[i]);
        kill(-m->pid, SIGKILL);
    }
    int64_t end_ms = clock_boot_ms() + END_MS;
    for (size_t i = 0; i < c->count; i++)
        while (c->members[i].pid != 0 && !reap(&c->members[i], &answers[i]) &&
               clock_boot_ms() < end_ms)
            (void)poll(NULL, 0, STEP_MS); /* a pause: what it returns does not matter */
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i].pid != 0)
            buf_clear(&answers[i]);
}

void crew_run(struct crew *c, crew_fn *fn, void *arg, int64_t deadline_ms, struct buf *answers)
{
    for (size_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        if (m->pid != 0)
            (void)kill(-m->pid, SIGKILL); /* of the last time; gone already: fine */
        if (m->pid == 0 || reap(m, &answers[i]))
            start(c, i, fn, arg);
    }
    listen_to(c, deadline_ms, answers);
    end_all(c, answers);
}
