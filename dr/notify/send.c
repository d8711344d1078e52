/*
 * send.c - one attempt to bring one letter to its server, in a process of its own.
 *
 * backupd starts "drctl notify-send" (dr/step/child.h has the protocol) and writes it the target and the
 * letter; whatever hangs, hangs here, and is ended from outside. Delivered is what the server said
 * yes to, and nothing else. Refused is what it would say no to again: the operator must know at once.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/net/http.h"
#include "dr/net/retry.h"
#include "dr/notify/inside.h"

enum {
    WORDS_MAX = 300,
    READ_MAX = 4096,
    ARGV_MAX = 100,
    REQUEST_MAX = 1 << 20,
    OUTPUT_STEP = 1024
};

static const char pagerduty_url[] = "https://events.pagerduty.com/v2/enqueue";

void sent_fini(struct sent *s)
{
    free(s->why);
    *s = (struct sent){ 0 };
}

static const char *field(const json_t *target, const char *name)
{
    return json_string_value(json_object_get(target, name));
}

static void blot(char *text, const char *secret)
{
    char *at;
    while (secret != NULL && secret[0] != '\0' && (at = strstr(text, secret)) != NULL)
        memset(at, '*', strlen(secret));
}

/* Words of a server on one line, at most so many bytes, without our secrets: a server may repeat what it got,
 * the path of a url too. */
static char *clean(const json_t *target, const char *words, size_t len)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    while (len > 0 && (unsigned char)words[len - 1] <= ' ')
        len--;
    text_add_printable(&b, words, len < READ_MAX ? len : READ_MAX);
    char *text = buf_take(&b);
    const char *url = field(target, "url");
    const char *host = url != NULL ? strstr(url, "://") : NULL;
    const char *path = host != NULL ? strchr(host + 3, '/') : NULL;
    blot(text, url);
    blot(text, field(target, "secret"));
    blot(text, path != NULL && strlen(path) > 1 ? path : NULL);
    if (strlen(text) > WORDS_MAX)
        text[WORDS_MAX] = '\0';
    return text;
}

static void say(struct sent *s, char *why)
{
    free(s->why);
    s->why = why;
}

/* ---- HTTP: Slack, PagerDuty, webhook --------------------------------------------------------------- */

static bool status_passes_by(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

static void post(const json_t *target, const char *url, const char *const *headers,
                 const struct buf *body, struct sent *ret)
{
    struct http_request q = { .method = "POST",
                              .url = url,
                              .headers = headers,
                              .body = body->data,
                              .body_len = body->len,
                              .ca = field(target, "ca"),
                              .deadline_ms = clock_boot_ms() + NOTIFY_ATTEMPT_MS };
    DR_CLEANUP(http_reply_fini) struct http_reply reply = { 0 };
    struct dr_err err = { 0 };
    enum dr_rc rc = http_do(&q, &reply, &err);
    if (rc == DR_E_USAGE) { /* its message has the url, which may be a secret */
        ret->refused = true;
        say(ret, dr_strdup("the channel's url is no http:// or https:// URL"));
        return;
    }
    if (rc != DR_OK) {
        ret->refused = rc == DR_E_DENIED;
        say(ret, clean(target, err.msg, strlen(err.msg)));
        return;
    }
    ret->delivered = reply.status >= 200 && reply.status < 300;
    ret->refused = !ret->delivered && !status_passes_by(reply.status);
    if (reply.retry_after[0] != '\0')
        ret->retry_after_ms = retry_after_ms(reply.retry_after, clock_wall_ns());
    DR_FREE char *words = clean(target, reply.body.len > 0 ? reply.body.data : "", reply.body.len);
    say(ret, dr_strf("%s%s%s", reply.line, words[0] != '\0' ? ": " : "", words));
}

static void send_slack(const json_t *target, const struct letter *l, struct sent *ret)
{
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    const char *const headers[] = { "Content-Type: application/json", NULL };
    wire_slack(l, field(target, "host"), &body);
    post(target, field(target, "url"), headers, &body, ret);
}

static void send_pagerduty(const json_t *target, const struct letter *l, struct sent *ret)
{
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    const char *const headers[] = { "Content-Type: application/json", NULL };
    const char *url = field(target, "url");
    const char *key = field(target, "secret");
    wire_pagerduty(l, key != NULL ? key : "", field(target, "host"), &body);
    post(target, url != NULL ? url : pagerduty_url, headers, &body, ret);
}

static void send_webhook(const json_t *target, const struct letter *l, struct sent *ret)
{
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    int64_t seconds = clock_wall_ns() / 1000000000;
    const char *secret = field(target, "secret");
    wire_webhook(l, field(target, "host"), &body);
    DR_FREE char *id = dr_strf("Idempotency-Key: %s", l->id);
    DR_FREE char *time = dr_strf("Drctl-Timestamp: %lld", (long long)seconds);
    DR_FREE char *mac = secret != NULL ? wire_signature(secret, seconds, &body) : NULL;
    DR_FREE char *signature = dr_strf("Drctl-Signature: %s", mac != NULL ? mac : "");
    const char *const headers[] = { "Content-Type: application/json", id, time,
                                    mac != NULL ? signature : NULL, NULL };
    post(target, field(target, "url"), headers, &body, ret);
}

/* ---- a command ------------------------------------------------------------------------------------- */

static void set_variable(const char *name, const char *value)
{
    if (setenv(name, value, 1) != 0) /* NOLINT(concurrency-mt-unsafe): one thread */
        dr_out_of_memory();
}

/* Between fork and exec. */
_Noreturn static void become(char *const argv[], int in, int out, pid_t parent)
{
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || dup2(in, 0) < 0 ||
        dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(126);
    execvp(argv[0], argv);
    dprintf(2, "cannot start '%s': %s", argv[0], strerrordesc_np(errno));
    _exit(126);
}

/* Its output until it ended or the deadline passed, when its group is killed. Returns wait's status. */
static int watch(pid_t pid, int pidfd, int out, struct buf *said)
{
    int64_t deadline_ms = clock_boot_ms() + NOTIFY_ATTEMPT_MS;
    int status = 0;
    bool ended = false;
    while (!ended) {
        int64_t left = deadline_ms - clock_boot_ms();
        struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN },
                                { .fd = out, .events = POLLIN } };
        int got = left > 0 ? poll(fds, 2, (int)left) : 0;
        if (got == 0)
            kill(-pid, SIGKILL);
        ended = got == 0 || (fds[0].revents & POLLIN) != 0;
        char part[OUTPUT_STEP];
        ssize_t n = got > 0 && fds[1].revents != 0 ? read(out, part, sizeof(part)) : 0;
        if (n > 0 && said->len < WORDS_MAX)
            buf_add(said, part, (size_t)n);
        if (n <= 0 && got > 0 && (fds[1].revents & POLLHUP) != 0)
            out = -1;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    kill(-pid, SIGKILL); /* what it left in its group */
    return status;
}

static void run_command(const json_t *target, char *const argv[], int in, struct sent *ret)
{
    DR_CLEANUP(buf_fini) struct buf said = { 0 };
    DR_CLEANUP(dr_close_fd) int from = -1;
    DR_CLEANUP(dr_close_fd) int to = -1;
    DR_CLEANUP(dr_close_fd) int pidfd = -1;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        say(ret, dr_strdup("no pipe for the command"));
        return;
    }
    from = ends[0];
    to = ends[1];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(argv, in, to, parent);
    if (pid < 0) {
        say(ret, dr_strf("cannot start '%s': %s", argv[0], strerrordesc_np(errno)));
        return;
    }
    (void)setpgid(pid, pid); /* the child does it, too: one of the two is first */
    pidfd = pidfd_open(pid, 0);
    dr_close_fd(&to);
    int status = watch(pid, pidfd, from, &said);
    DR_FREE char *words = clean(target, said.data != NULL ? said.data : "", said.len);
    const char *colon = words[0] != '\0' ? ": " : "";
    ret->delivered = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFSIGNALED(status))
        say(ret, dr_strf("the command was ended by signal %d%s%s", WTERMSIG(status), colon, words));
    else
        say(ret, dr_strf("exit code %d%s%s", WEXITSTATUS(status), colon, words));
}

static void send_command(const json_t *target, const struct letter *l, struct sent *ret)
{
    const json_t *words = json_object_get(target, "command");
    size_t count = json_array_size(words);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    wire_text(l, field(target, "host"), &text);
    DR_CLEANUP(dr_close_fd) int in = memfd_create("letter", MFD_CLOEXEC);
    struct dr_err err = { 0 };
    if (count == 0 || count > ARGV_MAX || in < 0 ||
        fs_write_all(in, "the letter", text.data, text.len, &err) != DR_OK ||
        lseek(in, 0, SEEK_SET) < 0) {
        say(ret, dr_strdup("the command cannot be prepared"));
        return;
    }
    set_variable("DRCTL_LETTER", l->id);
    set_variable("DRCTL_KEY", l->key);
    set_variable("DRCTL_KIND", l->kind);
    set_variable("DRCTL_SEVERITY", l->severity);
    set_variable("DRCTL_TITLE", l->title);
    set_variable("DRCTL_CONTACT", l->contact != NULL ? l->contact : "");
    set_variable("DRCTL_PHONE", l->phone != NULL ? l->phone : "");
    char *copy[ARGV_MAX + 1] = { NULL };
    for (size_t i = 0; i < count; i++)
        copy[i] = dr_strdup(json_string_value(json_array_get(words, i)));
    run_command(target, copy, in, ret);
    for (size_t i = 0; i < count; i++)
        free(copy[i]);
}

/* ---- one of them ------------------------------------------------------------------------------------- */

static const struct {
    const char *kind;
    void (*send)(const json_t *target, const struct letter *l, struct sent *ret);
} kinds[] = {
    { "slack", send_slack }, { "pagerduty", send_pagerduty }, { "webhook", send_webhook },
    { "smtp", send_mail },   { "command", send_command },
};

void send_letter(const json_t *target, const struct letter *l, struct sent *ret)
{
    const char *kind = field(target, "kind");
    *ret = (struct sent){ .retry_after_ms = -1 };
    (void)signal(SIGPIPE, SIG_IGN); /* a server that hangs up is an error of write(), not our end */
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds); i++)
        if (kind != NULL && strcmp(kinds[i].kind, kind) == 0)
            kinds[i].send(target, l, ret);
    if (ret->why == NULL)
        say(ret, dr_strdup("nothing is known of this kind of channel"));
}

/* ---- the child ----------------------------------------------------------------------------------------- */

static enum dr_rc read_request(json_t **ret, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    for (;;) {
        ssize_t n = read(0, buf_reserve(&bytes, OUTPUT_STEP), OUTPUT_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dr_fail_sys(err, errno, "cannot read the request");
        if (n == 0)
            break;
        bytes.len += (size_t)n;
        if (bytes.len > REQUEST_MAX)
            return dr_fail(err, DR_E_CORRUPT, "the request is too long");
    }
    buf_addc(&bytes, '\n');
    enum dr_rc rc = json_read("the request", bytes.data, bytes.len, ret, err);
    explicit_bzero(bytes.data, bytes.len);
    return rc;
}

int notify_child(void)
{
    DR_JSON json_t *request = NULL;
    struct letter l = { 0 };
    struct sent s = { .retry_after_ms = -1 };
    struct dr_err err = { 0 };
    const json_t *target = NULL, *letter = NULL;
    enum dr_rc rc = read_request(&request, &err);
    if (rc == DR_OK)
        rc = json_get_object(request, "target", &target, &err);
    if (rc == DR_OK)
        rc = json_get_object(request, "letter", &letter, &err);
    if (rc == DR_OK)
        rc = letter_read(letter, &l, &err);
    if (rc == DR_OK)
        send_letter(target, &l, &s);
    else
        s.why = dr_strdup(err.msg);
    DR_JSON json_t *evidence = json_object();
    json_put(evidence, "refused", json_boolean(s.refused));
    json_put_int(evidence, "retry_after_ms", s.retry_after_ms);
    DR_JSON json_t *result = json_object();
    json_put_text(result, "event", "result");
    json_put_text(result, "verdict", s.delivered ? "pass" : "fail");
    json_put(result, "why", json_printable(s.why));
    json_put(result, "evidence", DR_TAKE(evidence));
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    json_add_canonical(&out, result);
    buf_addc(&out, '\n');
    rc = fs_write_all(1, "the result", out.data, out.len, &err);
    sent_fini(&s);
    letter_fini(&l);
    return rc == DR_OK ? 0 : 1;
}
