/*
 * remote.c - send a request over ssh, pass the events on, and say how far it came.
 *
 * One poll() over the process and its three pipes. Standard input is kept open until ssh has ended:
 * its end is how the far side learns that nobody waits any more.
 */
#include "dr/step/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/step/ssh.h"

enum { READ_STEP = 16 << 10, STOP_MS = 250, NO_PROGRAM = 127, SHOWN_MAX = 200 };

struct relay {
    struct step_call *call;
    const struct remote *r;
    pid_t pid;
    int pidfd, in, out, err; /* in: to ssh */
    struct buf line, tail, request;
    size_t sent; /* of request */
    char *host;  /* that said it is ready; owned */
    bool ready, late, stopped;
    char *broken;   /* how it broke the protocol; owned */
    json_t *result; /* its last event; owned */
    int64_t end_ms;
    int status;
};

static void relay_fini(struct relay *x)
{
    dr_close_fd(&x->pidfd);
    dr_close_fd(&x->in);
    dr_close_fd(&x->out);
    dr_close_fd(&x->err);
    buf_fini(&x->line);
    buf_fini(&x->tail);
    buf_fini(&x->request);
    json_decref(x->result);
    free(x->host);
    free(x->broken);
}

static void stop(struct relay *x)
{
    if (!x->stopped)
        kill(x->pid, SIGTERM);
    x->stopped = true;
    x->end_ms = clock_boot_ms() + STOP_MS;
}

static void break_off(struct relay *x, char *why)
{
    if (x->broken == NULL)
        x->broken = why;
    else
        free(why);
    stop(x);
}

/* -- what comes -------------------------------------------------------------------------------- */

/* The request as the far end gets it: with the time that is left. */
static void make_request(struct relay *x)
{
    DR_JSON json_t *copy = json_deep_copy(step_request(x->call));
    int64_t left_ms = x->end_ms - clock_boot_ms();
    json_put_text(copy, "config", "");
    json_put_int(copy, "timeout_ms", left_ms > 1 ? left_ms : 1);
    DR_FREE char *text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    DR_ASSERT(text != NULL);
    buf_adds(&x->request, text);
    buf_addc(&x->request, '\n');
}

static void on_ready(struct relay *x, const json_t *event)
{
    const char *host = json_string_value(json_object_get(event, "host"));
    int64_t version = json_integer_value(json_object_get(event, "v"));
    if (version != 1) {
        break_off(x, dr_strf("speaks version %lld of the protocol, not 1", (long long)version));
        return;
    }
    x->ready = true;
    x->host = dr_strdup(host != NULL ? host : "");
    make_request(x);
}

static void on_event(struct relay *x, const json_t *event)
{
    const char *kind = json_string_value(json_object_get(event, "event"));
    if (kind == NULL || x->result != NULL)
        break_off(x, dr_strf("broke the protocol: %s",
                             kind == NULL ? "a line that is no event" : "words after its result"));
    else if (!x->ready && strcmp(kind, "ready") == 0)
        on_ready(x, event);
    else if (!x->ready)
        break_off(x, dr_strf("broke the protocol: an event before it was ready"));
    else if (strcmp(kind, "result") == 0)
        x->result = json_deep_copy(event);
    else
        step_pass_on(x->call, event);
}

static void on_line(struct relay *x)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *event = NULL;
    if (json_read("line", x->line.data != NULL ? x->line.data : "", x->line.len, &event, &err) ==
            DR_OK &&
        json_is_object(event)) {
        on_event(x, event);
    } else {
        DR_CLEANUP(buf_fini) struct buf shown = { 0 };
        size_t len = x->line.len < SHOWN_MAX ? x->line.len : SHOWN_MAX;
        text_add_printable(&shown, x->line.data != NULL ? x->line.data : "", len);
        break_off(x, dr_strf("said '%s', which is no event; a login there must print nothing",
                             shown.data != NULL ? shown.data : ""));
    }
    buf_clear(&x->line);
}

static void take_output(struct relay *x, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len && x->broken == NULL; i++) {
        if (bytes[i] == '\n')
            on_line(x);
        else
            buf_addc(&x->line, bytes[i]);
        if (x->line.len > REMOTE_LINE_MAX)
            break_off(x, dr_strf("wrote a line of more than %d KiB", REMOTE_LINE_MAX >> 10));
    }
}

static void take_tail(struct relay *x, const char *bytes, size_t len)
{
    buf_add(&x->tail, bytes, len);
    if (x->tail.len > 2 * (size_t)REMOTE_TAIL_MAX) {
        memmove(x->tail.data, x->tail.data + x->tail.len - REMOTE_TAIL_MAX, REMOTE_TAIL_MAX);
        x->tail.len = REMOTE_TAIL_MAX;
        x->tail.data[x->tail.len] = '\0';
    }
}

/* Take what is there now; a stream that ended is closed. */
static void drain(struct relay *x, int *fd, size_t limit)
{
    char bytes[READ_STEP];
    for (size_t got = 0; *fd >= 0 && got < limit;) {
        ssize_t n = read(*fd, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            dr_close_fd(fd);
            return;
        }
        got += (size_t)n;
        if (fd == &x->out)
            take_output(x, bytes, (size_t)n);
        else
            take_tail(x, bytes, (size_t)n);
    }
}

static void send_more(struct relay *x)
{
    ssize_t n = write(x->in, x->request.data + x->sent, x->request.len - x->sent);
    if (n > 0)
        x->sent += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        dr_close_fd(&x->in); /* ssh does not read any more: it is about to end, and says why */
}

static bool is_sending(const struct relay *x)
{
    return x->ready && x->broken == NULL && x->sent < x->request.len;
}

/* Until ssh has ended. */
static void talk(struct relay *x)
{
    for (;;) {
        struct pollfd fds[] = { { .fd = x->pidfd, .events = POLLIN },
                                { .fd = x->out, .events = POLLIN },
                                { .fd = x->err, .events = POLLIN },
                                { .fd = is_sending(x) ? x->in : -1, .events = POLLOUT } };
        int64_t left_ms = x->end_ms - clock_boot_ms();
        if (left_ms <= 0 && x->stopped) {
            kill(x->pid, SIGKILL);
            x->end_ms = clock_boot_ms() + STOP_MS;
        } else if (left_ms <= 0) {
            x->late = true;
            stop(x);
        }
        left_ms = left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : left_ms;
        if (poll(fds, DR_ARRAY_LEN(fds), (int)left_ms) < 0)
            continue;
        if (fds[3].revents & (POLLOUT | POLLERR))
            send_more(x);
        bool over = fds[0].revents != 0;
        drain(x, &x->out, over ? 64 * REMOTE_LINE_MAX : REMOTE_LINE_MAX);
        drain(x, &x->err, REMOTE_LINE_MAX);
        if (over)
            break;
    }
    while (waitpid(x->pid, &x->status, 0) < 0 && errno == EINTR)
        ;
}

/* -- starting ---------------------------------------------------------------------------------- */

struct pipes {
    int in[2], out[2], err[2];
};

static void pipes_fini(struct pipes *p)
{
    for (int i = 0; i < 2; i++) {
        dr_close_fd(&p->in[i]);
        dr_close_fd(&p->out[i]);
        dr_close_fd(&p->err[i]);
    }
}

static _Noreturn void become_ssh(char **argv, const struct pipes *p, pid_t parent)
{
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent ||
        dup2(p->in[0], STDIN_FILENO) < 0 || dup2(p->out[1], STDOUT_FILENO) < 0 ||
        dup2(p->err[1], STDERR_FILENO) < 0)
        _exit(NO_PROGRAM);
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "cannot start '%s' here: %s\n", argv[0], strerrordesc_np(errno));
    _exit(NO_PROGRAM);
}

static enum dr_rc start(struct relay *x, struct dr_err *err)
{
    DR_CLEANUP(pipes_fini) struct pipes p = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
    DR_FREE char **argv = dr_alloc(x->r->argv->count + 1, sizeof(*argv));
    for (size_t i = 0; i < x->r->argv->count; i++)
        argv[i] = x->r->argv->items[i];
    if (pipe2(p.in, O_CLOEXEC) != 0 || pipe2(p.out, O_CLOEXEC) != 0 || pipe2(p.err, O_CLOEXEC) != 0)
        return dr_fail_sys(err, errno, "cannot make a pipe");
    pid_t parent = getpid();
    x->pid = fork();
    if (x->pid < 0)
        return dr_fail_sys(err, errno, "cannot start a process");
    if (x->pid == 0)
        become_ssh(argv, &p, parent);
    x->in = dr_take_fd(&p.in[1]);
    x->out = dr_take_fd(&p.out[0]);
    x->err = dr_take_fd(&p.err[0]);
    x->pidfd = pidfd_open(x->pid, 0);
    if (x->pidfd < 0 || fcntl(x->in, F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(x->out, F_SETFL, O_NONBLOCK) != 0 || fcntl(x->err, F_SETFL, O_NONBLOCK) != 0) {
        int why = errno;
        kill(x->pid, SIGKILL);
        (void)waitpid(x->pid, NULL, 0);
        return dr_fail_sys(err, why, "cannot watch ssh");
    }
    return DR_OK;
}

/* -- what it means ----------------------------------------------------------------------------- */

/* ssh's own last line, printable. The caller frees. */
static char *last_words(const struct relay *x)
{
    struct buf out = { 0 };
    size_t end = x->tail.len;
    while (end > 0 && strchr("\r\n ", x->tail.data[end - 1]) != NULL)
        end--;
    size_t begin = end;
    while (begin > 0 && x->tail.data[begin - 1] != '\n')
        begin--;
    if (end > begin)
        text_add_printable(&out, x->tail.data + begin, end - begin);
    return buf_take(&out);
}

/* What was not begun has failed; what was not asked is unknown. */
static enum step_verdict nothing_done(const struct step_call *call)
{
    const char *verb = step_verb(call);
    return strcmp(verb, "apply") == 0 || strcmp(verb, "undo") == 0 ? STEP_FAIL : STEP_UNKNOWN;
}

/* Nothing was begun, and that is sure. */
static enum step_verdict not_begun(struct relay *x)
{
    DR_FREE char *words = last_words(x);
    const char *hint = ssh_hint(x->tail.len > 0 ? x->tail.data : NULL);
    int code = WIFEXITED(x->status) ? WEXITSTATUS(x->status) : -1;
    DR_CLEANUP(buf_fini) struct buf why = { 0 };
    buf_addf(&why, "not begun: site '%s' ", x->r->site);
    if (x->broken != NULL)
        buf_adds(&why, x->broken);
    else if (x->late)
        buf_adds(&why, "did not answer in time");
    else if (code == SSH_FAILED)
        buf_adds(&why, "cannot be reached");
    else
        buf_addf(&why, "has no drctl that answers (exit code %d)", code);
    if (words[0] != '\0')
        buf_addf(&why, " (%s)", words);
    if (hint != NULL)
        buf_addf(&why, "; %s", hint);
    json_put(x->r->evidence, "begun", json_false());
    return step_says(x->call, nothing_done(x->call), "%s", why.data);
}

static enum step_verdict in_doubt(struct relay *x)
{
    DR_FREE char *words = last_words(x);
    int code = WIFEXITED(x->status) ? WEXITSTATUS(x->status) : -1;
    json_put(x->r->evidence, "begun", json_true());
    if (x->broken != NULL)
        return step_says(x->call, STEP_UNKNOWN, "the step at site '%s' %s", x->r->site, x->broken);
    if (x->late)
        return step_says(x->call, STEP_UNKNOWN, "the step at site '%s' was not done in time",
                         x->r->site);
    return step_says(x->call, STEP_UNKNOWN, "%s site '%s' %s, and the step had begun%s%s",
                     code == SSH_FAILED ? "the connection to" : "the step at", x->r->site,
                     code == SSH_FAILED ? "was lost" : "ended without a result",
                     words[0] != '\0' ? ": " : "", words);
}

static enum step_verdict given(struct relay *x)
{
    static const char *const verdicts[] = { "pass", "fail" };
    const char *word = json_string_value(json_object_get(x->result, "verdict"));
    const char *why = json_string_value(json_object_get(x->result, "why"));
    const char *proof = json_string_value(json_object_get(x->result, "proof"));
    json_t *evidence = json_object_get(x->result, "evidence");
    enum step_verdict verdict = STEP_UNKNOWN;
    for (size_t i = 0; word != NULL && i < DR_ARRAY_LEN(verdicts); i++)
        if (strcmp(word, verdicts[i]) == 0)
            verdict = (enum step_verdict)i;
    if (proof != NULL)
        step_proof(x->call, proof);
    if (json_is_object(evidence))
        (void)json_object_update(x->r->evidence, evidence);
    return step_says(x->call, verdict, "%s", why != NULL ? why : "");
}

enum step_verdict remote_step(struct step_call *call, const struct remote *r)
{
    DR_CLEANUP(relay_fini)
    struct relay x = { .call = call, .r = r, .pidfd = -1, .in = -1, .out = -1, .err = -1 };
    struct dr_err err = { 0 };
    x.end_ms = step_deadline_ms(call) - REMOTE_MARGIN_MS;
    json_put_text(r->evidence, "site", r->site);
    if (start(&x, &err) != DR_OK)
        return step_says(call, nothing_done(call), "not begun: %s", err.msg);
    talk(&x);
    if (x.host != NULL)
        json_put_text(r->evidence, "host", x.host);
    if (x.result != NULL && x.broken == NULL)
        return given(&x);
    /* The far end begins when it has the whole line, and not before. */
    return x.sent < x.request.len || !x.ready ? not_begun(&x) : in_doubt(&x);
}
