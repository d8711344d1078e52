/*
 * watch.c - whoever asked for the step is gone: so is the step.
 *
 * sshd gives us a socket or a pipe as standard input, by its build: the end of the one is POLLRDHUP,
 * of the other POLLHUP. Neither needs a read, so the watcher never takes what is not its own.
 */
#include "dr/step/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { LOCK_TRY_MS = 50, WAIT_MAX_MS = 60000 };

/* A name in the abstract namespace: it has no file, and goes with the process. */
enum dr_rc watch_lock(const char *key, struct dr_err *err)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    DR_FREE char *words = dr_strf("%u/%s", getuid(), key);
    uint8_t digest[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    hash_bytes(words, strlen(words), digest);
    (void)snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "drctl-step/%s",
                   hex_encode(digest, sizeof(digest), hex));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot make a lock");
    int64_t end_ms = clock_boot_ms() + WATCH_LOCK_MS;
    while (bind(fd, (const struct sockaddr *)&name, sizeof(name)) != 0) {
        const struct timespec pause = { .tv_nsec = LOCK_TRY_MS * 1000000L };
        if (errno == EADDRINUSE && clock_boot_ms() < end_ms) {
            (void)clock_nanosleep(CLOCK_BOOTTIME, 0, &pause, NULL); /* early: asked again */
            continue;
        }
        int why = errno;
        close(fd);
        if (why == EADDRINUSE)
            return dr_fail(err, DR_E_BUSY, "an earlier attempt of this step still runs here");
        return dr_fail_sys(err, why, "cannot take a lock");
    }
    return DR_OK; /* fd stays open: it is the lock */
}

/* -- the watcher ------------------------------------------------------------------------------- */

struct watched {
    pid_t pid;
    int64_t end_ms; /* of the time limit; then of the grace */
    bool pressed;   /* SIGTERM was sent */
    bool left;      /* killed: there is nobody to work for */
};

static void on_time(struct watched *w)
{
    kill(-w->pid, w->pressed ? SIGKILL : SIGTERM);
    w->end_ms = clock_boot_ms() + WATCH_GRACE_MS;
    w->pressed = true;
}

static void on_left(struct watched *w)
{
    kill(-w->pid, SIGKILL);
    w->left = true;
}

/* Until the worker has ended. */
static void watch(struct watched *w, int pidfd, int signals)
{
    struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN },
                            { .fd = signals, .events = POLLIN },
                            { .fd = STDIN_FILENO, .events = POLLRDHUP } };
    for (;;) {
        int64_t left_ms = w->end_ms - clock_boot_ms();
        left_ms = left_ms < 0 ? 0 : left_ms > WAIT_MAX_MS ? WAIT_MAX_MS : left_ms;
        int n = poll(fds, w->left ? 1 : DR_ARRAY_LEN(fds), (int)left_ms);
        if (n > 0 && fds[0].revents != 0)
            return;
        if (n > 0 && !w->left)
            on_left(w);
        else if (clock_boot_ms() >= w->end_ms)
            on_time(w);
    }
}

static int wait_for(struct watched *w, int pidfd, int signals)
{
    int status = 0;
    watch(w, pidfd, signals);
    /* Not reaped yet: the group is still ours. Whoever was killed or came too late
     * leaves nobody behind. */
    siginfo_t ended = { .si_pid = 0 };
    (void)waitid(P_PID, (id_t)w->pid, &ended, WEXITED | WNOHANG | WNOWAIT);
    bool clean = ended.si_code == CLD_EXITED && ended.si_status == 0;
    if (w->pressed || w->left || !clean)
        kill(-w->pid, SIGKILL);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

enum dr_rc watch_begin(int64_t timeout_ms, bool *ret_worker, int *ret_code, struct dr_err *err)
{
    sigset_t ends, before;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &ends, &before); /* fails only when misused */
    DR_CLEANUP(dr_close_fd) int signals = signalfd(-1, &ends, SFD_CLOEXEC);
    pid_t watcher = getpid();
    pid_t pid = signals < 0 ? -1 : fork();
    if (pid < 0)
        return dr_fail_sys(err, errno, "cannot start a process");
    if (pid == 0) {
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGHUP) != 0 || getppid() != watcher)
            _exit(1); /* nothing was begun, and nobody would watch */
        *ret_worker = true;
        return DR_OK;
    }
    (void)setpgid(pid, pid); /* whoever is first */
    DR_CLEANUP(dr_close_fd) int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        int why = errno;
        kill(-pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return dr_fail_sys(err, why, "cannot watch a process");
    }
    struct watched w = { .pid = pid, .end_ms = clock_boot_ms() + timeout_ms };
    *ret_worker = false;
    *ret_code = wait_for(&w, pidfd, signals);
    return DR_OK;
}
