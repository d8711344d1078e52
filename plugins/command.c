/*
 * command.c - run a command of the operator's: no shell, a small environment, bounded output.
 *
 * fork and exec, with a close-on-exec pipe that carries errno back when exec fails: so "there is
 * no such command" is told apart from "the command failed", and is certain to have done nothing.
 */
#include "plugins/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

#define COMMAND_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { GRACE_MS = 500, LAST_MAX = 4096, LAST_TURNS = 64 };

void command_result_fini(struct command_result *r)
{
    buf_fini(&r->output);
}

/* The three pipes, and the process. */
struct child {
    pid_t pid;
    int pidfd;
    int out[2], err[2], exec[2]; /* read end, write end */
    struct buf last;             /* end of standard error */
};

static void close_pair(int pair[2])
{
    dr_close_fd(&pair[0]);
    dr_close_fd(&pair[1]);
    pair[0] = pair[1] = -1;
}

static void child_fini(struct child *c)
{
    close_pair(c->out);
    close_pair(c->err);
    close_pair(c->exec);
    dr_close_fd(&c->pidfd);
    buf_fini(&c->last);
}

static void make_env(const struct stage *p, const struct config_site *at,
                     const struct text_list *more, struct text_list *ret)
{
    const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe): one thread here */
    const struct {
        const char *name, *value;
    } rows[] = {
        { "PATH", COMMAND_PATH },
        { "HOME", home ? home : "/" },
        { "LANG", "C.UTF-8" },
        { "DRCTL_RUN", stage_run_text(p, "id") },
        { "DRCTL_STEP_KEY", step_key(p->call) },
        { "DRCTL_REGION", at ? at->region : stage_run_text(p, "target") },
        { "DRCTL_CONFIG", step_config(p->call) },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        DR_FREE char *line = dr_strf("%s=%s", rows[i].name, rows[i].value ? rows[i].value : "");
        text_list_add(ret, line);
    }
    for (size_t i = 0; more && i < more->count; i++)
        text_list_add(ret, more->items[i]);
}

/* argv and envp as execve() wants them: the same strings, a NULL behind. The caller frees. */
static char **with_null(const struct text_list *list)
{
    char **out = dr_alloc(list->count + 1, sizeof(char *));
    for (size_t i = 0; i < list->count; i++)
        out[i] = list->items[i];
    return out;
}

static _Noreturn void be_the_child(struct child *c, char **argv, char **envp)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(c->out[1], 1) < 0 || dup2(c->err[1], 2) < 0)
        _exit(127);
    signal(SIGPIPE, SIG_DFL);
    environ = envp;
    execvp(argv[0], argv);
    int why = errno;
    (void)!write(c->exec[1], &why, sizeof(why)); /* the parent sees the end of the pipe anyway */
    _exit(127);
}

static int reap(struct child *c, bool late)
{
    int status = 0;
    if (late)
        kill(c->pid, SIGKILL);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static enum dr_rc start(struct child *c, char **argv, char **envp, struct dr_err *err)
{
    if (pipe2(c->out, O_CLOEXEC) != 0 || pipe2(c->err, O_CLOEXEC) != 0 ||
        pipe2(c->exec, O_CLOEXEC) != 0)
        return dr_fail_sys(err, errno, "cannot make a pipe");
    c->pid = fork();
    if (c->pid < 0)
        return dr_fail_sys(err, errno, "cannot start a process");
    if (c->pid == 0)
        be_the_child(c, argv, envp);
    dr_close_fd(&c->out[1]);
    dr_close_fd(&c->err[1]);
    dr_close_fd(&c->exec[1]);
    c->out[1] = c->err[1] = c->exec[1] = -1;
    int why = 0;
    ssize_t n;
    do
        n = read(c->exec[0], &why, sizeof(why));
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(why)) {
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        return dr_fail_sys(err, why, "cannot start '%s'", argv[0]);
    }
    c->pidfd = pidfd_open(c->pid, 0);
    if (c->pidfd < 0 || fcntl(c->out[0], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(c->err[0], F_SETFL, O_NONBLOCK) != 0) {
        int failed = errno;
        (void)reap(c, true); /* it must not go on unwatched */
        return dr_fail(err, DR_E_UNKNOWN, "cannot watch '%s': %s", argv[0],
                       strerrordesc_np(failed));
    }
    return DR_OK;
}

/* Take what is there; false at the end of the stream, or when there is nothing now. */
static bool drain(int fd, struct buf *into, size_t limit, bool *ret_cut)
{
    char piece[16384];
    ssize_t n = read(fd, piece, sizeof(piece));
    if (n < 0)
        return errno == EINTR;
    size_t room = limit - into->len;
    if ((size_t)n > room)
        *ret_cut = true;
    buf_add(into, piece, (size_t)n < room ? (size_t)n : room);
    return n > 0;
}

/* Standard error: keep the end, not the beginning. */
static bool drain_last(struct child *c)
{
    bool cut = false;
    if (c->last.len > LAST_MAX) {
        memmove(c->last.data, c->last.data + c->last.len - LAST_MAX / 2, LAST_MAX / 2);
        c->last.len = LAST_MAX / 2;
    }
    return drain(c->err[0], &c->last, SIZE_MAX / 4, &cut);
}

/* What both streams hold now, at most 'turns' pieces of each; a stream that ended is left out of
 * the next poll(). */
static void take(struct child *c, struct pollfd fds[2], int turns, struct command_result *ret)
{
    for (int i = 0; i < turns; i++) {
        if (fds[0].fd >= 0 && fds[0].revents != 0 &&
            !drain(fds[0].fd, &ret->output, COMMAND_OUTPUT_MAX, &ret->cut))
            fds[0].fd = -1;
        if (fds[1].fd >= 0 && fds[1].revents != 0 && !drain_last(c))
            fds[1].fd = -1;
    }
}

/*
 * Read both streams until the command ends, or until the time is over. Its end is what counts, not
 * the end of its streams: a command that starts a server leaves them open in there.
 */
static void listen_to(struct child *c, int64_t end_ms, struct command_result *ret)
{
    struct pollfd fds[] = { { .fd = c->out[0], .events = POLLIN },
                            { .fd = c->err[0], .events = POLLIN },
                            { .fd = c->pidfd, .events = POLLIN } };
    for (;;) {
        int64_t left_ms = end_ms - clock_boot_ms();
        if (left_ms <= 0) {
            ret->late = true;
            return;
        }
        if (poll(fds, 3, left_ms > 60000 ? 60000 : (int)left_ms) < 0)
            continue;
        if (fds[2].revents != 0) {
            fds[0].revents = fds[1].revents = POLLIN;
            take(c, fds, LAST_TURNS, ret);
            return;
        }
        take(c, fds, 1, ret);
    }
}

static void keep_last_line(const struct child *c, struct command_result *ret)
{
    if (c->last.len == 0)
        return;
    size_t end = c->last.len;
    while (end > 0 && (c->last.data[end - 1] == '\n' || c->last.data[end - 1] == ' '))
        end--;
    size_t begin = end;
    while (begin > 0 && c->last.data[begin - 1] != '\n')
        begin--;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    text_add_printable(&text, c->last.data + begin, end - begin);
    snprintf(ret->last, sizeof(ret->last), "%s", text.data ? text.data : "");
}

enum dr_rc command_run(struct stage *p, const struct config_site *at, const struct text_list *argv,
                       const struct text_list *env, struct command_result *ret, struct dr_err *err)
{
    if (argv->count == 0 || argv->items[0][0] == '\0')
        return dr_fail(err, DR_E_CONFIG, "the command is empty");
    if (argv->count > COMMAND_ARGS_MAX)
        return dr_fail(err, DR_E_CONFIG, "the command has more than %d words", COMMAND_ARGS_MAX);
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    make_env(p, at, env, &lines);
    DR_FREE char **args = with_null(argv);
    DR_FREE char **envp = with_null(&lines);
    DR_CLEANUP(child_fini)
    struct child c = { .pidfd = -1, .out = { -1, -1 }, .err = { -1, -1 }, .exec = { -1, -1 } };
    DR_TRY(start(&c, args, envp, err));

    int64_t end_ms = step_deadline_ms(p->call) - GRACE_MS;
    struct command_result result = { .code = -1 };
    listen_to(&c, end_ms, &result);
    int status = reap(&c, result.late);
    if (WIFEXITED(status))
        result.code = WEXITSTATUS(status);
    else if (WIFSIGNALED(status))
        result.signal = WTERMSIG(status);
    keep_last_line(&c, &result);
    *ret = result;
    return DR_OK;
}

char *command_tell(const struct command_result *r, const char *command, char out[DR_ERR_MSG_MAX])
{
    const char *colon = r->last[0] ? ": " : "";
    if (r->late)
        snprintf(out, DR_ERR_MSG_MAX, "'%s' was not done in time%s%s", command, colon, r->last);
    else if (r->signal)
        snprintf(out, DR_ERR_MSG_MAX, "'%s' was killed by signal %d%s%s", command, r->signal, colon,
                 r->last);
    else
        snprintf(out, DR_ERR_MSG_MAX, "'%s' ended with exit code %d%s%s", command, r->code, colon,
                 r->last);
    return out;
}
