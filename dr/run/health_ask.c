/*
 * health_ask.c - one question of a prober, by HTTP, TCP or a command.
 *
 * What decides between fail and unknown is who is to blame: a service that does not answer, or
 * answers wrongly, fails, since its users had the same; what stopped us before anything left
 * this machine is unknown. With a resolver the name is looked up there, so that the probe goes
 * where the users of that name server go.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/net/http.h"
#include "dr/net/resolve.h"
#include "dr/run/health.h"

enum { ASK_WORDS_MAX = 4096 }; /* kept of a command's output */

static volatile sig_atomic_t running_group; /* of the command being asked; 0: none */

void health_ask_stop(void)
{
    pid_t group = running_group;
    if (group > 0)
        kill(-group, SIGKILL);
}

static void say(char *why, const char *words)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    size_t len = strlen(words);
    text_add_printable(&b, words, len > HEALTH_WHY_MAX / 2 ? HEALTH_WHY_MAX / 2 : len);
    snprintf(why, HEALTH_WHY_MAX, "%s", b.data != NULL ? b.data : "");
}

static enum health_result judge_err(const struct dr_err *err, char *why)
{
    say(why, err->msg);
    switch (err->rc) {
    case DR_E_TRANSIENT:
    case DR_E_TIMEOUT:
    case DR_E_NOTFOUND: /* the name server says that there is no such name */
    case DR_E_DENIED:   /* a certificate that users refuse too */
        return HEALTH_FAIL;
    default:
        return HEALTH_UNKNOWN;
    }
}

static enum health_result ask_http(const struct config_probe *probe, char *why)
{
    struct http_request request = { .url = probe->url,
                                    .resolver = probe->resolver,
                                    .deadline_ms = clock_boot_ms() + probe->timeout_ms };
    DR_CLEANUP(http_reply_fini) struct http_reply reply = { 0 };
    struct dr_err err = { 0 };
    if (http_do(&request, &reply, &err) != DR_OK)
        return judge_err(&err, why);
    int expect = probe->expect != 0 ? probe->expect : 200;
    say(why, reply.line);
    return reply.status == expect ? HEALTH_PASS : HEALTH_FAIL;
}

/* --- TCP --- */

/* "tcp://HOST:PORT" or "HOST:PORT", "[v6]:PORT". */
static bool split_host(const char *url, char **ret_host, const char **ret_port)
{
    const char *at = text_starts(url, "tcp://") ? url + strlen("tcp://") : url;
    const char *colon = strrchr(at, ':');
    if (colon == NULL || colon == at || colon[1] == '\0' ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    bool bracketed = at[0] == '[' && colon[-1] == ']';
    *ret_host = bracketed ? dr_memdup(at + 1, (size_t)(colon - at) - 2)
                          : dr_memdup(at, (size_t)(colon - at));
    *ret_port = colon + 1;
    return true;
}

/* The addresses of a name, at the probe's name server or the system's. */
static enum dr_rc look_up(const struct config_probe *probe, const char *host, int64_t deadline_ms,
                          struct text_list *ret, struct dr_err *err)
{
    struct net_addr numeric;
    if (net_addr_parse(host, 0, &numeric)) {
        text_list_add(ret, host);
        return DR_OK;
    }
    struct resolve_options options = { .server = probe->resolver, .deadline_ms = deadline_ms };
    static const char *const types[] = { "A", "AAAA" };
    enum dr_rc rc = DR_OK;
    for (size_t i = 0; i < DR_ARRAY_LEN(types) && ret->count == 0; i++) {
        DR_CLEANUP(resolve_answer_fini) struct resolve_answer answer = { 0 };
        rc = resolve_query(host, types[i], &options, &answer, err);
        for (size_t k = 0; rc == DR_OK && k < answer.values.count; k++)
            text_list_add(ret, answer.values.items[k]);
    }
    return ret->count > 0 ? DR_OK : rc;
}

static enum health_result ask_tcp(const struct config_probe *probe, char *why)
{
    int64_t deadline_ms = clock_boot_ms() + probe->timeout_ms;
    DR_FREE char *host = NULL;
    const char *port;
    if (!split_host(probe->url, &host, &port)) {
        say(why, "the url is not HOST:PORT");
        return HEALTH_UNKNOWN;
    }
    DR_CLEANUP(text_list_fini) struct text_list addresses = { 0 };
    struct dr_err err = { 0 };
    if (look_up(probe, host, deadline_ms, &addresses, &err) != DR_OK)
        return judge_err(&err, why);
    for (size_t i = 0; i < addresses.count; i++) {
        bool v6 = strchr(addresses.items[i], ':') != NULL;
        DR_FREE char *address = dr_strf(v6 ? "[%s]:%s" : "%s:%s", addresses.items[i], port);
        DR_CLEANUP(dr_close_fd) int fd = -1;
        if (gate_connect(NULL, address, deadline_ms, &fd, &err) == DR_OK) {
            DR_FREE char *words = dr_strf("connected to %s", address);
            say(why, words);
            return HEALTH_PASS;
        }
    }
    return judge_err(&err, why);
}

/* --- a command --- */

static _Noreturn void become(char *path, int out_fd)
{
    char *const argv[] = { path, NULL };
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a prober that is killed leaves nothing running */
    int null_fd = open("/dev/null", O_RDWR);
    dup2(null_fd, STDIN_FILENO);
    dup2(out_fd, STDOUT_FILENO);
    dup2(out_fd, STDERR_FILENO);
    execv(path, argv);
    _exit(127);
}

/* Keep what it says until it closes its output or the deadline comes; false at the deadline. */
static bool listen_to(int fd, int64_t deadline_ms, struct buf *words)
{
    for (;;) {
        int64_t left_ms = deadline_ms - clock_boot_ms();
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        if (left_ms <= 0)
            return false;
        int n = poll(&pfd, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (n <= 0)
            continue;
        char piece[512];
        ssize_t len = read(fd, piece, sizeof(piece));
        if (len == 0 || (len < 0 && errno != EINTR))
            return true;
        if (len > 0 && words->len < ASK_WORDS_MAX)
            buf_add(words, piece, (size_t)len);
    }
}

/* Exit status, or -1 when it had to be killed. Its output is closed, so it ends soon or not at all. */
static int wait_for(pid_t pid, int64_t deadline_ms)
{
    int status = 0;
    for (;;) {
        pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid)
            return status;
        if (clock_boot_ms() >= deadline_ms || (done < 0 && errno != EINTR))
            break;
        (void)poll(NULL, 0, 5); /* a pause: what it returns does not matter */
    }
    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return -1;
}

static enum health_result ask_exec(const struct config_probe *probe, char *why)
{
    int64_t deadline_ms = clock_boot_ms() + probe->timeout_ms;
    DR_CLEANUP(buf_fini) struct buf words = { 0 };
    DR_CLEANUP(dr_close_fd) int from = -1;
    DR_CLEANUP(dr_close_fd) int to = -1;
    int ends[2];
    if (access(probe->url, X_OK) != 0 || pipe2(ends, O_CLOEXEC) != 0) {
        DR_FREE char *text = dr_strf("cannot run '%s': %s", probe->url, strerrordesc_np(errno));
        say(why, text);
        return HEALTH_UNKNOWN;
    }
    from = ends[0];
    to = ends[1];
    pid_t pid = fork();
    if (pid == 0)
        become(probe->url, to);
    if (pid < 0) {
        say(why, "cannot start a process");
        return HEALTH_UNKNOWN;
    }
    setpgid(pid, pid); /* here too: whoever is first */
    running_group = pid;
    dr_close_fd(&to);
    bool ended = listen_to(from, deadline_ms, &words);
    int status = wait_for(pid, ended ? deadline_ms : 0);
    kill(-pid, SIGKILL); /* what it may have left behind in its group */
    running_group = 0;
    if (status == -1) {
        say(why, "no answer in time");
        return HEALTH_UNKNOWN;
    }
    size_t line = words.len > 0 ? strcspn(words.data, "\n") : 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    DR_FREE char *text = code < 0   ? dr_strf("killed by signal %d", WTERMSIG(status))
                         : line > 0 ? dr_memdup(words.data, line)
                                    : dr_strf("exit code %d", code);
    say(why, text);
    return code == 0 ? HEALTH_PASS : code == 1 ? HEALTH_FAIL : HEALTH_UNKNOWN;
}

enum health_result health_ask(const struct config_probe *probe, char *why)
{
    why[0] = '\0';
    if (strcmp(probe->kind, "tcp") == 0)
        return ask_tcp(probe, why);
    if (strcmp(probe->kind, "exec") == 0)
        return ask_exec(probe, why);
    DR_ASSERT(strcmp(probe->kind, "http") == 0);
    return ask_http(probe, why);
}
