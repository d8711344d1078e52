/*
 * exec_talk.c - the pipes, the clock and the end of a store program.
 *
 *              in  ──> line, body      (never blocks: a program that does not read cannot stop us)
 *     drctl    out <── line, body
 *              err <── last words      (taken all the while, or a talkative program would block)
 *
 * All three are polled in one loop until the answer is whole. It is started by posix_spawn(), because
 * threads may be running: between a fork and an exec nearly nothing is allowed then. No death signal is
 * set: it would come when the thread ends that happened to start the program. The end of its input
 * tells it instead.
 *
 * A group is killed before its leader is waited for; until then the kernel cannot give its number
 * to strangers.
 */
#include "backup/store/exec_talk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/data/json.h"

enum {
    PIPE_BYTES = 1 << 20,
    PART_BYTES = 256 << 10,
    PUT_BYTES_S = 64 << 10,   /* a program may be silent a second longer for each of these */
    TOTAL_BYTES_S = 16 << 10, /* and the whole question may take one longer for each of these */
    TOTAL_TIMES = 4,
    EXIT_WAIT_MS = 500, /* a closed output comes a moment before the exit status */
};

struct talk {
    pid_t pid;
    int pidfd, in, out, err;
    int64_t timeout_ms, id;
    char *program;
    struct buf words; /* last ones on standard error */
};

/* One question under way. */
struct turn {
    struct talk *t;
    const struct talk_question *q;
    struct buf line;   /* of the request */
    size_t sent;       /* of line and body */
    size_t may_send;   /* by the pace */
    struct buf came;   /* of the answer's line */
    json_t *answer;    /* once the line is whole */
    uint64_t body_len; /* that it announces */
    size_t got;        /* of the body */
    int64_t moved_ms;  /* when a byte moved last */
    int64_t began_ms;  /* later by what the pace took */
};

static void turn_fini(struct turn *u)
{
    buf_fini(&u->line);
    buf_fini(&u->came);
    json_decref(u->answer);
}

static size_t request_len(const struct turn *u)
{
    return u->line.len + u->q->body_len;
}

/* -- last words ------------------------------------------------------------------------------- */

static void take_words(struct talk *t)
{
    char part[4096];
    ssize_t n;
    while (t->err >= 0 && (n = read(t->err, part, sizeof(part))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return;
        buf_add(&t->words, part, (size_t)n);
        if (t->words.len <= TALK_WORDS_MAX)
            continue;
        size_t surplus = t->words.len - TALK_WORDS_MAX;
        memmove(t->words.data, t->words.data + surplus, TALK_WORDS_MAX + 1);
        t->words.len = TALK_WORDS_MAX;
    }
    dr_close_fd(&t->err);
}

/* " (last words: ...)", the last line only; "" when there are none. The caller frees. */
static char *last_words(struct talk *t)
{
    enum { SHOWN = 240 };
    take_words(t);
    while (t->words.len > 0 && strchr("\n\r ", t->words.data[t->words.len - 1]) != NULL)
        t->words.data[--t->words.len] = '\0';
    if (t->words.len == 0)
        return dr_strdup("");
    const char *line = memrchr(t->words.data, '\n', t->words.len);
    line = line != NULL ? line + 1 : t->words.data;
    size_t len = strlen(line);
    struct buf out = { 0 };
    buf_adds(&out, " (last words: ");
    text_add_printable(&out, line, len > SHOWN ? SHOWN : len);
    buf_adds(&out, ")");
    return buf_take(&out);
}

enum dr_rc(talk_breach)(struct talk *t, struct dr_err *err, const char *fmt, ...)
{
    char what[DR_ERR_MSG_MAX / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap); /* too long: cut */
    va_end(ap);
    DR_FREE char *words = last_words(t);
    (void)dr_fail(err, DR_E_IO, "the program '%s' breaks the protocol: %s%s", t->program, what,
                  words);
    return dr_hint(err, "drctl store test URL asks the program for each rule of EXEC.md.");
}

/* How it ended, in words; waits a moment for it. */
static void ending(const struct talk *t, char *out, size_t size)
{
    siginfo_t info = { 0 };
    struct pollfd p = { .fd = t->pidfd, .events = POLLIN };
    (void)poll(&p, 1, EXIT_WAIT_MS); /* it may live on: then it only closed its output */
    if (waitid(P_PID, (id_t)t->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        (void)snprintf(out, size, "closed its output");
    else if (info.si_code == CLD_EXITED)
        (void)snprintf(out, size, "ended with status %d", info.si_status);
    else
        (void)snprintf(out, size, "was ended by signal %d", info.si_status);
}

static enum dr_rc ended(struct talk *t, struct dr_err *err)
{
    char how[64];
    ending(t, how, sizeof(how));
    DR_FREE char *words = last_words(t);
    return dr_fail(err, DR_E_TRANSIENT, "the program '%s' %s before it answered%s", t->program, how,
                   words);
}

/* -- time ------------------------------------------------------------------------------------ */

/* Until when a byte must have moved. */
static int64_t due_ms(const struct turn *u)
{
    int64_t silence = u->t->timeout_ms;
    if (u->sent == request_len(u) && u->came.len == 0)
        silence += (int64_t)(u->q->body_len / PUT_BYTES_S) * 1000;
    int64_t total = u->t->timeout_ms * TOTAL_TIMES +
                    (int64_t)((u->q->body_len + u->q->out_max) / TOTAL_BYTES_S) * 1000;
    int64_t due = u->moved_ms + silence, end = u->began_ms + total;
    return due < end ? due : end;
}

static enum dr_rc too_late(const struct turn *u, struct dr_err *err)
{
    int64_t now = clock_boot_ms();
    const char *where = u->sent < request_len(u) ? "taking the request"
                        : u->answer == NULL      ? "answering"
                                                 : "sending the bytes of its answer";
    DR_FREE char *words = last_words(u->t);
    (void)dr_fail(err, DR_E_TIMEOUT,
                  "the program '%s' hangs %s: nothing for %" PRId64 " s, %" PRId64 " s in all%s",
                  u->t->program, where, (now - u->moved_ms) / 1000, (now - u->began_ms) / 1000,
                  words);
    return dr_hint(err, "timeout=TIME in the bucket's url gives a slow program longer.");
}

/* -- sending ------------------------------------------------------------------------------------ */

/* How many bytes may go now, by the pace: waits for it. */
static enum dr_rc may_send(struct turn *u, struct dr_err *err)
{
    const struct store_pace *pace = u->q->pace;
    if (u->may_send > u->sent)
        return DR_OK;
    size_t left = request_len(u) - u->sent, slice = left;
    if (pace != NULL && u->sent >= u->line.len) {
        int64_t before = clock_boot_ms();
        slice = left < pace->slice ? left : pace->slice;
        DR_TRY(pace->take(pace->arg, slice, err));
        u->moved_ms = clock_boot_ms();
        u->began_ms += u->moved_ms - before;
    } else if (pace != NULL) {
        slice = u->line.len - u->sent; /* the line goes at once */
    }
    u->may_send = u->sent + slice;
    return DR_OK;
}

static enum dr_rc send_some(struct turn *u, struct dr_err *err)
{
    DR_TRY(may_send(u, err));
    bool line = u->sent < u->line.len;
    const char *from =
        line ? u->line.data + u->sent : (const char *)u->q->body + (u->sent - u->line.len);
    size_t n = (line ? u->line.len : u->may_send) - u->sent;
    ssize_t done = write(u->t->in, from, n < PART_BYTES ? n : PART_BYTES);
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        return DR_OK;
    if (done < 0 && errno == EPIPE)
        return ended(u->t, err);
    if (done < 0)
        return dr_fail_sys(err, errno, "cannot write to the program '%s'", u->t->program);
    u->sent += (size_t)done;
    u->moved_ms = clock_boot_ms();
    return DR_OK;
}

/* -- receiving --------------------------------------------------------------------------------- */

/* The line of the answer is whole: what does it announce? */
static enum dr_rc read_line(struct turn *u, size_t len, struct dr_err *err)
{
    struct dr_err bad = { 0 };
    DR_JSON json_t *o = NULL;
    if (json_read("the answer", u->came.data, len, &o, &bad) != DR_OK)
        return talk_breach(u->t, err, "%s", bad.msg);
    const json_t *id = json_object_get(o, "id"), *body = json_object_get(o, "body");
    if (!json_is_object(o) || !json_is_integer(id) || json_integer_value(id) != u->t->id)
        return talk_breach(u->t, err, "its answer has not the id %" PRId64, u->t->id);
    if (body != NULL && (!json_is_integer(body) || json_integer_value(body) < 0))
        return talk_breach(u->t, err, "'body' of its answer is no length");
    u->body_len = (uint64_t)json_integer_value(body);
    if (u->body_len > u->q->out_max)
        return talk_breach(u->t, err,
                           "its answer has %" PRIu64 " bytes, at most %zu were asked for",
                           u->body_len, u->q->out_max);
    u->answer = DR_TAKE(o);
    return DR_OK;
}

/* More of the line; what is behind it belongs to the body. */
static enum dr_rc take_line(struct turn *u, const char *part, size_t n, struct dr_err *err)
{
    const char *end = memchr(part, '\n', n);
    size_t take = end != NULL ? (size_t)(end - part) : n;
    if (u->came.len + take > TALK_LINE_MAX)
        return talk_breach(u->t, err, "the line of its answer is longer than %d bytes",
                           TALK_LINE_MAX);
    buf_add(&u->came, part, take);
    if (end == NULL)
        return DR_OK;
    DR_TRY(read_line(u, u->came.len, err));
    size_t behind = n - take - 1;
    if (behind > u->body_len)
        return talk_breach(u->t, err, "there are bytes behind its answer");
    if (behind > 0)
        memcpy(u->q->out, end + 1, behind);
    u->got = behind;
    return DR_OK;
}

static enum dr_rc receive_some(struct turn *u, struct dr_err *err)
{
    char part[TALK_LINE_MAX / 4];
    bool line = u->answer == NULL;
    void *to = line ? part : (char *)u->q->out + u->got;
    size_t room = line ? sizeof(part) : (size_t)u->body_len - u->got;
    ssize_t n = read(u->t->out, to, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return DR_OK;
    if (n < 0)
        return dr_fail_sys(err, errno, "cannot read from the program '%s'", u->t->program);
    if (n == 0)
        return ended(u->t, err);
    u->moved_ms = clock_boot_ms();
    if (line)
        return take_line(u, part, (size_t)n, err);
    u->got += (size_t)n;
    return DR_OK;
}

/* -- asking -------------------------------------------------------------------------------------- */

static bool is_whole(const struct turn *u)
{
    return u->answer != NULL && u->got == u->body_len;
}

/* Wait for one of the three, and do what can be done. */
static enum dr_rc step(struct turn *u, struct dr_err *err)
{
    struct talk *t = u->t;
    bool more = u->sent < request_len(u);
    struct pollfd p[] = {
        { .fd = t->out, .events = POLLIN },
        { .fd = more ? t->in : -1, .events = POLLOUT },
        { .fd = t->err, .events = POLLIN },
    };
    int64_t left = due_ms(u) - clock_boot_ms();
    if (left <= 0)
        return too_late(u, err);
    int n = poll(p, DR_ARRAY_LEN(p), left > 60000 ? 60000 : (int)left);
    if (n < 0 && errno != EINTR)
        return dr_fail_sys(err, errno, "cannot wait for the program '%s'", t->program);
    if (n <= 0)
        return DR_OK;
    if (p[2].revents != 0)
        take_words(t);
    if (p[0].revents != 0)
        return receive_some(u, err);
    return p[1].revents != 0 ? send_some(u, err) : DR_OK;
}

/* Between questions it says nothing. */
static enum dr_rc check_quiet(struct talk *t, struct dr_err *err)
{
    char byte;
    take_words(t);
    ssize_t n = read(t->out, &byte, 1);
    if (n > 0)
        return talk_breach(t, err, "it speaks without being asked");
    return n == 0 ? ended(t, err) : DR_OK;
}

static void print_line(struct turn *u)
{
    buf_addf(&u->line, "{\"id\":%" PRId64 ",\"op\":\"%s\"%s", u->t->id, u->q->op, u->q->rest);
    if (u->q->body != NULL)
        buf_addf(&u->line, ",\"body\":%zu", u->q->body_len);
    buf_adds(&u->line, "}\n");
}

enum dr_rc talk_ask(struct talk *t, const struct talk_question *q, struct talk_answer *ret,
                    struct dr_err *err)
{
    DR_ASSERT(q->body != NULL || q->body_len == 0);
    DR_TRY(check_quiet(t, err));
    int64_t now = clock_boot_ms();
    DR_CLEANUP(turn_fini) struct turn u = { .t = t, .q = q, .moved_ms = now, .began_ms = now };
    t->id++;
    print_line(&u);
    while (!is_whole(&u))
        DR_TRY(step(&u, err));
    if (u.sent < request_len(&u))
        return talk_breach(t, err, "it answered before it had read the request");
    *ret = (struct talk_answer){ .line = DR_TAKE(u.answer), .body_len = u.got };
    return DR_OK;
}

/* -- life ---------------------------------------------------------------------------------------- */

static enum dr_rc open_pipes(struct talk *t, int theirs[3], struct dr_err *err)
{
    int *const ours[] = { &t->in, &t->out, &t->err };
    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return dr_fail_sys(err, errno, "cannot open pipes for '%s'", t->program);
        bool to_it = i == 0;
        *ours[i] = ends[to_it ? 1 : 0];
        theirs[i] = ends[to_it ? 0 : 1];
        if (fcntl(*ours[i], F_SETFL, O_NONBLOCK) < 0)
            return dr_fail_sys(err, errno, "cannot open pipes for '%s'", t->program);
        if (i < 2)
            (void)fcntl(*ours[i], F_SETPIPE_SZ,
                        PIPE_BYTES); /* only faster: over a limit it may not */
    }
    return DR_OK;
}

static int spawn(struct talk *t, const struct talk_options *o, const int theirs[3])
{
    static const int reset[] = { SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE, SIGHUP, SIGCHLD };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (size_t i = 0; i < DR_ARRAY_LEN(reset); i++)
        sigaddset(&defaults, reset[i]);
    if (posix_spawn_file_actions_init(&files) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return ENOMEM;
    }
    int why = posix_spawn_file_actions_addchdir_np(&files, "/");
    for (int i = 0; i < 3 && why == 0; i++)
        why = posix_spawn_file_actions_adddup2(&files, theirs[i], i);
    if (why == 0) {
        posix_spawnattr_setpgroup(&attr, 0);
        posix_spawnattr_setsigmask(&attr, &none);
        posix_spawnattr_setsigdefault(&attr, &defaults);
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                            POSIX_SPAWN_SETSIGDEF);
        why = posix_spawn(&t->pid, o->program, &files, &attr, o->argv, o->env);
    }
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return why;
}

/* After its input ended, it has a moment to end; its output is thrown away meanwhile. */
static void wait_for_end(struct talk *t)
{
    int64_t end_ms = clock_boot_ms() + TALK_END_MS;
    char part[4096];
    for (int64_t left = TALK_END_MS; left > 0; left = end_ms - clock_boot_ms()) {
        struct pollfd p[] = { { .fd = t->pidfd, .events = POLLIN },
                              { .fd = t->out, .events = POLLIN },
                              { .fd = t->err, .events = POLLIN } };
        (void)poll(p, DR_ARRAY_LEN(p), (int)left); /* interrupted: the clock decides */
        if (p[0].revents != 0)
            return;
        if (p[1].revents != 0 && read(t->out, part, sizeof(part)) == 0)
            dr_close_fd(&t->out);
        if (p[2].revents != 0)
            take_words(t);
    }
}

static void finish(struct talk *t, bool patient)
{
    if (t == NULL)
        return;
    dr_close_fd(&t->in);
    if (t->pid > 0) {
        if (patient)
            wait_for_end(t);
        (void)kill(-t->pid, SIGKILL); /* nobody left: fine */
        while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    dr_close_fd(&t->pidfd);
    dr_close_fd(&t->out);
    dr_close_fd(&t->err);
    free(t->program);
    buf_fini(&t->words);
    free(t);
}

void talk_end(struct talk *t)
{
    finish(t, true);
}

void talk_kill(struct talk *t)
{
    finish(t, false);
}

enum dr_rc talk_start(const struct talk_options *o, struct talk **ret, struct dr_err *err)
{
    DR_ASSERT(o->program[0] == '/' && o->timeout_ms > 0);
    int theirs[3] = { -1, -1, -1 };
    struct talk *t = dr_alloc(1, sizeof(*t));
    *t = (struct talk){ .pid = -1, .pidfd = -1, .in = -1, .out = -1, .err = -1 };
    t->timeout_ms = o->timeout_ms;
    t->program = dr_strdup(o->program);
    enum dr_rc rc = open_pipes(t, theirs, err);
    if (rc == DR_OK) {
        int why = spawn(t, o, theirs);
        if (why != 0) {
            t->pid = -1;
            rc = dr_fail_sys(err, why, "cannot start the program '%s'", o->program);
        }
    }
    for (int i = 0; i < 3; i++)
        dr_close_fd(&theirs[i]);
    if (rc == DR_OK) {
        t->pidfd = pidfd_open(t->pid, 0);
        if (t->pidfd < 0)
            rc = dr_fail_sys(err, errno, "cannot watch the program '%s'", o->program);
    }
    if (rc != DR_OK) {
        talk_kill(t);
        return rc;
    }
    *ret = t;
    return DR_OK;
}
