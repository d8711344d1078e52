/*
 * The commands around a backup. One child at a time; we wait for it with a pidfd and a pipe in one poll(), so
 * that its deadline, its words and Ctrl-C are all seen within a tenth of a second. The child is the leader of a
 * group, because what hangs is mostly not the shell but what the shell started.
 */
#include "backup/work/hooks.h"

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

#include "backup/work/sentinel.h"
#include "backup/work/source_lock.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/data/duration.h"

enum { TICK_MS = 100, WORDS_MAX = 300, NOT_STARTED = 127 };

struct around { /* one backup and what is known of it so far */
    const struct backup_wish *wish;
    const struct work_hooks *hooks;
    const char *kind, *snapshot, *outcome;
    const char *error;
};

struct hook {                     /* one child */
    const char *name;             /* "pre" */
    const struct text_list *argv; /* not empty */
    int64_t timeout_ms;
    bool may_stop; /* Ctrl-C ends it */
    const struct around *around;
    pid_t pid;
    int fd, out; /* pidfd; its output */
    struct buf said;
    bool late, stopped;
    int64_t kill_ms; /* SIGKILL at this boot time; 0: SIGTERM was not sent yet */
};

static void hook_fini(struct hook *h)
{
    dr_close_fd(&h->fd);
    dr_close_fd(&h->out);
    buf_fini(&h->said);
}

/* -- the child ----------------------------------------------------------------------------- */

/* Its environment: ours without our words from outside, and our words. Made before the fork. */
static char **make_environment(const struct around *a, struct text_list *ours)
{
    const char *const words[][2] = {
        { "SOURCE", a->wish->source->name },
        { "PATH", a->wish->source->path },
        { "KIND", a->kind },
        { "SNAPSHOT", a->snapshot },
        { "OUTCOME", a->outcome },
        { "ERROR", a->error },
    };
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++) {
        DR_FREE char *word = dr_strf("DRCTL_%s=%s", words[i][0], words[i][1]);
        text_list_add(ours, word);
    }
    while (environ[count] != NULL)
        count++;
    char **all = dr_alloc(count + ours->count + 1, sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        bool is_ours = false;
        for (size_t k = 0; k < ours->count; k++) {
            size_t name = (size_t)(strchr(ours->items[k], '=') - ours->items[k]) + 1;
            is_ours = is_ours || strncmp(environ[i], ours->items[k], name) == 0;
        }
        if (!is_ours)
            all[kept++] = environ[i];
    }
    for (size_t k = 0; k < ours->count; k++)
        all[kept++] = ours->items[k];
    return all;
}

/* Between fork and exec: calls that are safe there. Does not come back. */
static void be_the_hook(char *const argv[], char *const env[], int out)
{
    static const int reset[] = { SIGINT, SIGTERM, SIGUSR1, SIGPIPE, SIGHUP };
    sigset_t none;
    sigemptyset(&none);
    for (size_t i = 0; i < DR_ARRAY_LEN(reset); i++)
        signal(reset[i], SIG_DFL);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL); /* fails only when misused */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(out, STDERR_FILENO) < 0)
        _exit(NOT_STARTED);
    if (null > STDERR_FILENO)
        close(null);
    execvpe(argv[0], argv, env);
    dprintf(STDERR_FILENO, "cannot start '%s': %s\n", argv[0], strerrordesc_np(errno));
    _exit(NOT_STARTED);
}

static enum dr_rc start(struct hook *h, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list ours = { 0 };
    char **env = make_environment(h->around, &ours);
    char **argv = dr_alloc(h->argv->count + 1, sizeof(*argv));
    for (size_t i = 0; i < h->argv->count; i++)
        argv[i] = h->argv->items[i];
    DR_CLEANUP(dr_close_fd) int to = -1;
    int ends[2], why = 0;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
        h->out = ends[0];
        to = ends[1];
        (void)fcntl(to, F_SETFL, 0); /* the child may block: it is we who must not */
        h->pid = fork();
        if (h->pid == 0)
            be_the_hook(argv, env, to);
        why = errno;
    } else {
        h->pid = -1;
        why = errno;
    }
    free(env);
    free(argv);
    if (h->pid < 0)
        return dr_fail_sys(err, why, "cannot start hook '%s'", h->name);
    (void)setpgid(h->pid, h->pid); /* the child does it too: whoever is first */
    h->fd = pidfd_open(h->pid, 0);
    return DR_OK;
}

/* -- waiting ------------------------------------------------------------------------------- */

static void take_words(struct hook *h)
{
    char part[1024];
    ssize_t n;
    while ((n = read(h->out, part, sizeof(part))) > 0) {
        buf_add(&h->said, part, (size_t)n);
        if (h->said.len <= HOOK_OUTPUT_MAX)
            continue;
        size_t surplus = h->said.len - HOOK_OUTPUT_MAX;
        memmove(h->said.data, h->said.data + surplus, HOOK_OUTPUT_MAX + 1);
        h->said.len = HOOK_OUTPUT_MAX;
    }
    if (n == 0)
        dr_close_fd(&h->out);
}

static bool go_on(const struct hook *h)
{
    const struct work_hooks *w = h->around->hooks;
    char doing[32];
    if (w == NULL || w->progress == NULL)
        return true;
    snprintf(doing, sizeof(doing), "hook '%s'", h->name);
    const struct work_progress p = { .doing = doing };
    return w->progress(w->arg, &p) || !h->may_stop;
}

static void press(struct hook *h, int64_t deadline_ms)
{
    int64_t now = clock_boot_ms();
    if (h->kill_ms != 0) {
        if (now >= h->kill_ms)
            kill(-h->pid, SIGKILL);
        return;
    }
    h->late = now >= deadline_ms;
    h->stopped = !h->late && !go_on(h);
    if (!h->late && !h->stopped)
        return;
    kill(-h->pid, SIGTERM);
    h->kill_ms = now + (h->timeout_ms < HOOK_GRACE_MS ? h->timeout_ms : HOOK_GRACE_MS);
}

/* Until its first process has ended. Returns its status as wait(2) gives it. */
static int wait_for(struct hook *h)
{
    int64_t deadline_ms = clock_boot_ms() + h->timeout_ms;
    siginfo_t ended = { .si_pid = 0 };
    while (waitid(P_PID, (id_t)h->pid, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           ended.si_pid == 0) {
        struct pollfd fds[] = { { .fd = h->fd, .events = POLLIN },
                                { .fd = h->out, .events = POLLIN } };
        (void)poll(fds, DR_ARRAY_LEN(fds), TICK_MS); /* early or late: all is looked at anew */
        if (h->out >= 0)
            take_words(h);
        press(h, deadline_ms);
    }
    if (h->kill_ms !=
        0) /* what ignored SIGTERM while its leader went; not reaped: it is our group */
        kill(-h->pid, SIGKILL);
    if (h->out >= 0)
        take_words(h);
    int status = 0;
    while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* The end of what it printed, in one line. */
static void add_words(const struct hook *h, struct buf *out)
{
    const char *from = h->said.data;
    size_t len = h->said.len;
    while (len > 0 && (from[len - 1] == '\n' || from[len - 1] == ' '))
        len--;
    if (len == 0)
        return;
    if (len > WORDS_MAX) {
        from += len - WORDS_MAX;
        len = WORDS_MAX;
    }
    buf_adds(out, ": ");
    while (len > 0) {
        const char *end = memchr(from, '\n', len);
        size_t line = end != NULL ? (size_t)(end - from) : len;
        text_add_printable(out, from, line);
        if (end != NULL)
            buf_adds(out, "; ");
        from += line + (end != NULL);
        len -= line + (end != NULL);
    }
}

static enum dr_rc tell_end(const struct hook *h, int status, struct dr_err *err)
{
    if (!h->late && !h->stopped && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return DR_OK;
    DR_CLEANUP(buf_fini) struct buf words = { 0 };
    char limit[DURATION_TEXT_MAX];
    buf_addf(&words, "hook '%s' of source '%s' ", h->name, h->around->wish->source->name);
    enum dr_rc rc = DR_E_STEP;
    if (h->stopped) {
        rc = DR_E_CANCELLED;
        buf_adds(&words, "was stopped");
    } else if (h->late) {
        rc = DR_E_TIMEOUT;
        buf_addf(&words, "did not end within %s", duration_print(h->timeout_ms, limit));
    } else if (WIFSIGNALED(status)) {
        buf_addf(&words, "was killed by signal %d", WTERMSIG(status));
    } else {
        buf_addf(&words, "ended with %d", WEXITSTATUS(status));
    }
    add_words(h, &words);
    return dr_fail(err, rc, "%s", words.data);
}

/* A hook that is not there is done. */
static enum dr_rc run(const struct around *a, const char *name, const struct text_list *argv,
                      struct dr_err *err)
{
    if (argv->count == 0)
        return DR_OK;
    DR_CLEANUP(hook_fini)
    struct hook h = { .name = name,
                      .argv = argv,
                      .timeout_ms = a->wish->source->hooks.timeout_ms,
                      .may_stop = strcmp(name, "pre") == 0,
                      .around = a,
                      .fd = -1,
                      .out = -1 };
    DR_ASSERT(h.timeout_ms > 0);
    DR_TRY(start(&h, err));
    return tell_end(&h, wait_for(&h), err);
}

/* -- around a backup ----------------------------------------------------------------------- */

static void warn(const struct around *a, const struct dr_err *err)
{
    if (a->hooks != NULL && a->hooks->warning != NULL)
        a->hooks->warning(a->hooks->arg, err->msg);
}

static const char *outcome_of(enum dr_rc rc, const struct backup_result *r)
{
    if (rc == DR_E_CANCELLED)
        return "cancelled";
    if (rc != DR_OK || r->copies == 0)
        return "failed";
    if (r->copies < r->wanted || r->lacking.count > 0)
        return "degraded";
    return r->warnings > 0 || r->missing.count > 0 ? "warnings" : "done";
}

/* What the hooks behind the backup are told. */
static void tell_outcome(struct around *a, enum dr_rc rc, const struct backup_result *r,
                         const struct dr_err *err)
{
    a->outcome = outcome_of(rc, r);
    if (rc != DR_OK) {
        a->error = err->msg;
        return;
    }
    a->kind = r->kind;
    a->snapshot = r->copies > 0 ? r->id : "";
    if (r->copies == 0)
        a->error = r->missing.count > 0 ? r->missing.items[0] : "no bucket holds it";
}

static enum dr_rc backup_within(struct repo *r, const struct backup_wish *wish,
                                const struct work_hooks *hooks, struct backup_result *ret,
                                struct dr_err *err)
{
    const struct config_hooks *h = &wish->source->hooks;
    struct backup_result result = { 0 };
    struct dr_err later = { 0 };
    struct around a = { .wish = wish,
                        .hooks = hooks,
                        .kind = wish->kind != NULL ? wish->kind : "incremental",
                        .snapshot = "",
                        .outcome = "",
                        .error = "" };
    enum dr_rc rc = run(&a, "pre", &h->pre, err);
    if (rc == DR_OK)
        rc = backup_run(r, wish, hooks, &result, err);
    tell_outcome(&a, rc, &result, err);
    bool failed = rc != DR_OK || result.copies == 0;
    if (run(&a, "post", &h->post, &later) != DR_OK) {
        if (failed)
            warn(&a, &later);
        else
            rc = dr_fail(err, later.rc, "snapshot '%s' was taken, but %s", result.id, later.msg);
        failed = true;
    }
    if (rc != DR_OK) {
        a.error = err->msg;
        a.outcome = rc == DR_E_CANCELLED ? "cancelled" : "failed";
    }
    if (failed && run(&a, "on_error", &h->on_error, &later) != DR_OK)
        warn(&a, &later);
    if (rc == DR_OK)
        *ret = result;
    else
        backup_result_fini(&result);
    return rc;
}

/* -- alone --------------------------------------------------------------------------------- */

/* Another backup of the source is waited for as long as the wish says, unless we are told to stop. */
static enum dr_rc wait_for_lock(struct repo *r, const struct backup_wish *wish,
                                const struct work_hooks *hooks, int *ret_fd, struct dr_err *err)
{
    const struct work_progress waiting = { .doing = "waiting" };
    const char *state_dir = repo_config(r)->state_dir;
    int64_t until_ms = clock_boot_ms() + wish->patience_ms;
    for (;;) {
        enum dr_rc rc = source_lock(state_dir, wish->source->name, ret_fd, err);
        if (rc != DR_E_BUSY || clock_boot_ms() >= until_ms)
            return rc;
        if (hooks != NULL && hooks->progress != NULL && !hooks->progress(hooks->arg, &waiting))
            return dr_fail(err, DR_E_CANCELLED, "the backup was cancelled");
        (void)poll(NULL, 0, SOURCE_LOCK_AGAIN_MS);
    }
}

/* What fails here makes the data loss of a recovery harder to tell, and nothing else. */
static void write_sentinel(struct repo *r, const struct config_source *source,
                           const struct work_hooks *hooks)
{
    struct dr_err err = { 0 };
    struct sentinel ignored;
    if (source->sentinel == NULL || source->sentinel_is_theirs ||
        sentinel_write_of(repo_config(r), source, &ignored, &err) == DR_OK)
        return;
    (void)dr_context(&err, "source '%s' has no fresh sentinel", source->name);
    if (hooks != NULL && hooks->warning != NULL)
        hooks->warning(hooks->arg, err.msg);
}

enum dr_rc hooks_backup(struct repo *r, const struct backup_wish *wish,
                        const struct work_hooks *hooks, struct backup_result *ret,
                        struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int lock = -1;
    if (wish->dry_run) /* it writes nothing */
        return backup_run(r, wish, hooks, ret, err);
    if (!wish->is_locked)
        DR_TRY(wait_for_lock(r, wish, hooks, &lock, err));
    if (wish->stdin_as != NULL)
        return backup_run(r, wish, hooks, ret, err);
    write_sentinel(r, wish->source, hooks);
    if (wish->source->hooks.timeout_ms == 0)
        return backup_run(r, wish, hooks, ret, err);
    return backup_within(r, wish, hooks, ret, err);
}
