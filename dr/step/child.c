/*
 * One step as a process of its own: its own group, the request on a descriptor, events read line by line
 * within limits, a deadline that ends the whole group, and exactly one outcome whatever the
 * child does.
 */
#include "dr/step/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/base/text.h"

enum { HANDLES = 4, READ_STEP = 16 << 10, DRAIN_STEP = 128 << 10, WHY_TAIL = 400 };

struct child {
    pid_t pid;
    int out, err, pidfd;
    uv_poll_t out_poll, err_poll, pid_poll;
    uv_timer_t timer;
    int open_handles;
    struct step_hooks hooks;
    struct step_outcome outcome;
    bool has_result, broken, stopped, killed, reaped;
    int status;
    int64_t began_ms, grace_ms;
    size_t output; /* bytes of standard output so far */
    struct buf line, tail;
};

void step_outcome_fini(struct step_outcome *o)
{
    free(o->why);
    free(o->proof);
    free(o->tail);
    json_decref(o->outputs);
    json_decref(o->former);
    json_decref(o->evidence);
    *o = (struct step_outcome){ 0 };
}

static void say(struct child *c, char *why)
{
    free(c->outcome.why);
    c->outcome.why = why;
}

/* -- ending ----------------------------------------------------------------------------------- */

static void kill_group(struct child *c, int signal)
{
    if (kill(-c->pid, signal) < 0 && !c->reaped)
        (void)kill(c->pid, signal); /* it has not made its group yet, or is gone: nothing to do */
}

static void on_closed(uv_handle_t *handle)
{
    struct child *c = handle->data;
    if (--c->open_handles > 0)
        return;
    dr_close_fd(&c->out);
    dr_close_fd(&c->err);
    dr_close_fd(&c->pidfd);
    buf_fini(&c->line);
    buf_fini(&c->tail);
    step_outcome_fini(&c->outcome);
    free(c);
}

static void tell_end(struct child *c)
{
    struct step_outcome *o = &c->outcome;
    o->dur_ms = clock_boot_ms() - c->began_ms;
    if (c->tail.len > 0) {
        struct buf clean = { 0 };
        text_add_printable(&clean, c->tail.data, c->tail.len);
        o->tail = buf_take(&clean);
    }
    if (c->has_result && !c->broken)
        return;
    o->verdict = STEP_UNKNOWN;
    o->doubt = true;
    if (o->why != NULL && (c->broken || c->stopped))
        return;
    const char *tail = o->tail != NULL ? o->tail : "";
    size_t len = strlen(tail);
    const char *words = len > WHY_TAIL ? tail + len - WHY_TAIL : tail;
    if (WIFSIGNALED(c->status))
        say(c, dr_strf("the step crashed (signal %d)%s%s", WTERMSIG(c->status), len > 0 ? ": " : "",
                       words));
    else
        say(c, dr_strf("the step ended without a result (exit code %d)%s%s", WEXITSTATUS(c->status),
                       len > 0 ? ": " : "", words));
}

static void close_all(struct child *c)
{
    uv_handle_t *handles[HANDLES] = { (uv_handle_t *)&c->out_poll, (uv_handle_t *)&c->err_poll,
                                      (uv_handle_t *)&c->pid_poll, (uv_handle_t *)&c->timer };
    for (size_t i = 0; i < HANDLES; i++)
        if (!uv_is_closing(handles[i]))
            uv_close(handles[i], on_closed);
}

/* -- the protocol ------------------------------------------------------------------------------ */

static void break_off(struct child *c, char *why)
{
    if (c->broken) {
        free(why);
        return;
    }
    c->broken = true;
    say(c, why);
    c->killed = true;
    kill_group(c, SIGKILL);
}

static bool read_verdict(const char *word, enum step_verdict *ret)
{
    static const char *const words[] = { "pass", "fail", "unknown" };
    for (size_t i = 0; word != NULL && i < DR_ARRAY_LEN(words); i++)
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum step_verdict)i;
            return true;
        }
    return false;
}

static void on_result(struct child *c, const json_t *event)
{
    const char *why = json_string_value(json_object_get(event, "why"));
    const char *proof = json_string_value(json_object_get(event, "proof"));
    if (!read_verdict(json_string_value(json_object_get(event, "verdict")), &c->outcome.verdict)) {
        break_off(c, dr_strf("the step broke the protocol: a result without a verdict"));
        return;
    }
    c->has_result = true;
    if (!c->stopped)
        say(c, dr_strdup(why != NULL ? why : ""));
    if (proof != NULL)
        c->outcome.proof = dr_strdup(proof);
    c->outcome.evidence = json_incref(json_object_get(event, "evidence"));
    json_int_t refused = json_integer_value(json_object_get(event, "refused"));
    c->outcome.refused = refused > 0 ? refused : 0;
}

static void on_output(struct child *c, const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "name"));
    json_t *value = json_object_get(event, "value");
    if (name == NULL || value == NULL) {
        break_off(c, dr_strf("the step broke the protocol: an output without name or value"));
        return;
    }
    if (c->outcome.outputs == NULL)
        c->outcome.outputs = json_object();
    json_put(c->outcome.outputs, name, json_incref(value));
}

static void on_event(struct child *c, const json_t *event)
{
    const char *kind = json_string_value(json_object_get(event, "event"));
    if (kind == NULL || c->has_result) {
        break_off(c, dr_strf("the step broke the protocol: %s",
                             kind == NULL ? "a line that is no event" : "words after its result"));
        return;
    }
    if (strcmp(kind, "result") == 0)
        on_result(c, event);
    else if (strcmp(kind, "output") == 0)
        on_output(c, event);
    else if (strcmp(kind, "former") == 0 && json_is_object(json_object_get(event, "value"))) {
        json_decref(c->outcome.former);
        c->outcome.former = json_incref(json_object_get(event, "value"));
    }
    if (c->hooks.event != NULL && !c->broken)
        c->hooks.event(c->hooks.arg, event);
}

static void on_line(struct child *c)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *event = NULL;
    if (json_read("line", c->line.data, c->line.len, &event, &err) != DR_OK ||
        !json_is_object(event))
        break_off(c, dr_strf("the step broke the protocol: it wrote a line that is no event"));
    else
        on_event(c, event);
    buf_clear(&c->line);
}

static void take_output(struct child *c, const char *bytes, size_t len)
{
    c->output += len;
    if (c->output > CHILD_OUTPUT_MAX) {
        break_off(c,
                  dr_strf("the step flooded its output: more than %d MiB", CHILD_OUTPUT_MAX >> 20));
        return;
    }
    for (size_t i = 0; i < len && !c->broken; i++) {
        if (bytes[i] == '\n')
            on_line(c);
        else
            buf_addc(&c->line, bytes[i]);
        if (c->line.len > CHILD_LINE_MAX)
            break_off(c, dr_strf("the step flooded its output: a line of more than %d KiB",
                                 CHILD_LINE_MAX >> 10));
    }
}

static void take_tail(struct child *c, const char *bytes, size_t len)
{
    buf_add(&c->tail, bytes, len);
    if (c->tail.len > 2 * (size_t)CHILD_TAIL_MAX) {
        memmove(c->tail.data, c->tail.data + c->tail.len - CHILD_TAIL_MAX, CHILD_TAIL_MAX);
        c->tail.len = CHILD_TAIL_MAX;
    }
}

/* -- descriptors ------------------------------------------------------------------------------- */

/* Returns false at the end of the stream. A flood must not keep the loop from its timers. */
static bool drain(struct child *c, int fd, size_t limit)
{
    char bytes[READ_STEP];
    for (size_t got = 0; got < limit;) {
        ssize_t n = read(fd, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return false;
        got += (size_t)n;
        if (fd == c->out && !c->broken)
            take_output(c, bytes, (size_t)n);
        else if (fd == c->err)
            take_tail(c, bytes, (size_t)n);
    }
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct child *c = poll->data;
    int fd = poll == &c->out_poll ? c->out : c->err;
    if (status < 0 || !drain(c, fd, DRAIN_STEP))
        uv_poll_stop(poll);
}

static void on_exit_fd(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct child *c = poll->data;
    if (waitpid(c->pid, &c->status, WNOHANG) != c->pid)
        return;
    bool late = WIFEXITED(c->status) && WEXITSTATUS(c->status) == STEP_EXIT_LATE;
    if (c->stopped || c->broken || late || !WIFEXITED(c->status))
        kill_group(c, SIGKILL); /* what it left behind in its group goes with it */
    c->reaped = true;
    /* What it wrote before its end lies in the pipe; a descendant may still hold the other side. */
    (void)drain(c, c->out, 2 * (size_t)CHILD_OUTPUT_MAX);
    (void)drain(c, c->err, 2 * (size_t)CHILD_OUTPUT_MAX);
    if (c->has_result && c->stopped && !c->broken)
        c->has_result = c->outcome.verdict == STEP_PASS; /* it made it before the signal */
    tell_end(c);
    uv_timer_stop(&c->timer);
    c->hooks.done(c->hooks.arg, &c->outcome);
    close_all(c);
}

static void on_timer(uv_timer_t *timer)
{
    struct child *c = timer->data;
    if (!c->stopped) {
        child_stop(c, "timed out", false);
        return;
    }
    c->killed = true;
    kill_group(c, SIGKILL);
    uv_timer_start(timer, on_timer, 1000, 0);
}

void child_stop(struct child *c, const char *why, bool hard)
{
    if (c->reaped)
        return;
    if (!c->stopped && !c->broken && !c->has_result)
        say(c, dr_strf("%s after %lld ms", why, (long long)(clock_boot_ms() - c->began_ms)));
    c->stopped = true;
    kill_group(c, hard ? SIGKILL : SIGTERM);
    uv_timer_start(&c->timer, on_timer, hard ? 1000 : (uint64_t)c->grace_ms, 0);
}

/* -- starting ---------------------------------------------------------------------------------- */

struct pipes {
    int in, out[2], err[2];
};

static void pipes_fini(struct pipes *p)
{
    dr_close_fd(&p->in);
    for (int i = 0; i < 2; i++) {
        dr_close_fd(&p->out[i]);
        dr_close_fd(&p->err[i]);
    }
}

static enum dr_rc open_pipes(const json_t *request, struct pipes *p, struct dr_err *err)
{
    DR_FREE char *text = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
    DR_ASSERT(text != NULL);
    size_t len = strlen(text);
    text[len] = '\n';
    p->in = memfd_create("request", MFD_CLOEXEC);
    if (p->in < 0)
        return dr_fail_sys(err, errno, "cannot make a request for a step");
    for (size_t at = 0; at < len + 1;) {
        ssize_t n = write(p->in, text + at, len + 1 - at);
        if (n < 0)
            return dr_fail_sys(err, errno, "cannot write the request of a step");
        at += (size_t)n;
    }
    if (lseek(p->in, 0, SEEK_SET) < 0 || pipe2(p->out, O_CLOEXEC) < 0 ||
        pipe2(p->err, O_CLOEXEC) < 0)
        return dr_fail_sys(err, errno, "cannot open pipes for a step");
    return DR_OK;
}

/* Between fork and exec: only what POSIX allows there.
 * NOLINTBEGIN(concurrency-mt-unsafe): signal() in a fresh child, and dispositions only */
_Noreturn static void become(const struct child_options *o, const struct pipes *p, pid_t parent)
{
    sigset_t none;
    char **argv = NULL;
    memcpy(&argv, &o->argv, sizeof(argv)); /* execv() changes nothing, but does not say so */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, o->speaks_for_group ? SIGHUP : SIGKILL) < 0 || getppid() != parent)
        _exit(125);
    if (dup2(p->in, 0) < 0 || dup2(p->out[1], 1) < 0 || dup2(p->err[1], 2) < 0)
        _exit(125);
    execv(argv[0], argv);
    dprintf(2, "cannot start '%s': %s", o->argv[0], strerrordesc_np(errno));
    _exit(126);
}
/* NOLINTEND(concurrency-mt-unsafe) */

static struct child *child_of(uv_loop_t *loop, pid_t pid, int pidfd, struct pipes *p)
{
    struct child *c = dr_alloc(1, sizeof(*c));
    c->pid = pid;
    c->pidfd = pidfd;
    c->out = dr_take_fd(&p->out[0]);
    c->err = dr_take_fd(&p->err[0]);
    c->open_handles = HANDLES;
    c->began_ms = clock_boot_ms();
    int rc = fcntl(c->out, F_SETFL, O_NONBLOCK) | fcntl(c->err, F_SETFL, O_NONBLOCK);
    rc |= uv_poll_init(loop, &c->out_poll, c->out);
    rc |= uv_poll_init(loop, &c->err_poll, c->err);
    rc |= uv_poll_init(loop, &c->pid_poll, pidfd);
    rc |= uv_timer_init(loop, &c->timer);
    DR_ASSERT(rc == 0);
    c->out_poll.data = c->err_poll.data = c->pid_poll.data = c->timer.data = c;
    rc |= uv_poll_start(&c->out_poll, UV_READABLE, on_readable);
    rc |= uv_poll_start(&c->err_poll, UV_READABLE, on_readable);
    rc |= uv_poll_start(&c->pid_poll, UV_READABLE, on_exit_fd);
    DR_ASSERT(rc == 0);
    return c;
}

enum dr_rc child_start(uv_loop_t *loop, const struct child_options *o,
                       const struct step_hooks *hooks, struct child **ret, struct dr_err *err)
{
    DR_ASSERT(o->timeout_ms > 0 && hooks->done != NULL && o->argv[0][0] == '/');
    DR_CLEANUP(pipes_fini) struct pipes p = { -1, { -1, -1 }, { -1, -1 } };
    DR_TRY(open_pipes(o->request, &p, err));
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return dr_fail_sys(err, errno, "cannot start a process");
    if (pid == 0)
        become(o, &p, parent);
    (void)setpgid(pid, pid); /* whoever is first; the other one's attempt fails harmlessly */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        int why = errno;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return dr_fail_sys(err, why, "cannot watch a process");
    }
    struct child *c = child_of(loop, pid, pidfd, &p);
    c->hooks = *hooks;
    c->grace_ms = o->grace_ms > 0 ? o->grace_ms : CHILD_GRACE_MS;
    uv_timer_start(&c->timer, on_timer, (uint64_t)o->timeout_ms, 0);
    *ret = c;
    return DR_OK;
}
