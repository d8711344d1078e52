/*
 * deliver.c - notify_step(): letters go to children, answers come back.
 *
 * What is on disk is always ahead of what was told: a letter is written before it is sent, and is taken away
 * after its answer came. A channel has one child at a time, so its letters keep their order, and a server is
 * never asked by two of us at once.
 */
#include <errno.h>
#include <string.h>
#include <sys/file.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/notify/inside.h"

enum { CHILD_EXTRA_MS = 10000, GRACE_MS = 1000 };

static const int64_t MS = 1000000;
static const int64_t WHILE_SENDING_NS = INT64_C(250) * 1000000;
static const int64_t OTHER_SENDS_NS = INT64_C(5) * 1000 * 1000000;

static void sending_fini(struct sending *s)
{
    free(s->channel);
    free(s->id);
    free(s->why);
    json_decref(s->target);
    *s = (struct sending){ 0 };
}

static void on_done(void *arg, struct step_outcome *o)
{
    struct sending *s = arg;
    const json_t *e = o->evidence;
    s->child = NULL;
    s->delivered = o->verdict == STEP_PASS;
    s->refused = json_is_true(json_object_get(e, "refused"));
    const json_t *after = json_object_get(e, "retry_after_ms");
    s->retry_after_ms = json_is_integer(after) ? json_integer_value(after) : -1;
    s->why = DR_TAKE(o->why);
}

static bool is_sending(const struct notify *n, const char *channel)
{
    for (size_t i = 0; i < NOTIFY_AT_ONCE; i++)
        if (n->sendings[i].channel != NULL && strcmp(n->sendings[i].channel, channel) == 0)
            return true;
    return false;
}

static struct sending *free_place(struct notify *n)
{
    for (size_t i = 0; i < NOTIFY_AT_ONCE; i++)
        if (n->sendings[i].channel == NULL)
            return &n->sendings[i];
    return NULL;
}

static bool any_sending(const struct notify *n)
{
    for (size_t i = 0; i < NOTIFY_AT_ONCE; i++)
        if (n->sendings[i].channel != NULL)
            return true;
    return false;
}

static enum dr_rc bury(struct notify *n, const char *id, struct dr_err *err)
{
    const struct letter *l = alerts_letter(&n->keep.alerts, id);
    DR_ASSERT(l != NULL);
    DR_TRY(keep_bury(&n->keep, l, err)); /* not buried: it stays, and is tried again */
    DR_FREE char *name = dr_strdup(id);  /* the letter's own goes with it */
    alerts_drop(&n->keep.alerts, name, true);
    return DR_OK;
}

static enum dr_rc answered(struct notify *n, const char *id, const struct letter_answer *answer,
                           struct dr_err *err)
{
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    if (!alerts_answered(&n->keep.alerts, id, answer, seed))
        return DR_OK;
    return bury(n, id, err);
}

static enum dr_rc take_answers(struct notify *n, struct dr_err *err)
{
    enum dr_rc rc = DR_OK;
    for (size_t i = 0; i < NOTIFY_AT_ONCE; i++) {
        struct sending *s = &n->sendings[i];
        if (s->channel == NULL || s->child != NULL || s->target != NULL)
            continue;
        const struct letter_answer answer = { s->delivered, s->refused, s->retry_after_ms,
                                              s->why != NULL ? s->why : "" };
        enum dr_rc one = answered(n, s->id, &answer, err);
        rc = one != DR_OK ? one : rc;
        sending_fini(s);
    }
    return rc;
}

/* Letters for channels that the configuration does not have any more. */
static enum dr_rc bury_orphans(struct notify *n, struct dr_err *err)
{
    struct alerts *a = &n->keep.alerts;
    for (size_t i = a->letter_count; i-- > 0;)
        if (config_channel(n->setup.config, a->letters[i].channel) == NULL)
            DR_TRY(bury(n, a->letters[i].id, err));
    return DR_OK;
}

/* The letter of a channel that is due, if there is one, gets a place. A secret that cannot be read is the channel's
 * failure, and an answer like others. */
static enum dr_rc reserve(struct notify *n, const char *channel, struct dr_err *err)
{
    struct sending *s = free_place(n);
    const struct letter *l = alerts_due(&n->keep.alerts, channel);
    struct dr_err why = { 0 };
    if (l == NULL || s == NULL || is_sending(n, channel))
        return DR_OK;
    DR_FREE char *id = dr_strdup(l->id);
    if (setup_target(&n->setup, channel, &s->target, &why) != DR_OK) {
        const struct letter_answer answer = { .refused = true,
                                              .retry_after_ms = -1,
                                              .why = why.msg };
        return answered(n, id, &answer, err);
    }
    s->channel = dr_strdup(channel);
    s->id = DR_TAKE(id);
    return DR_OK;
}

static enum dr_rc start(struct notify *n, struct sending *s, struct dr_err *err)
{
    static const char *const argv[] = { "/proc/self/exe", "notify-send", NULL };
    const struct letter *l = alerts_letter(&n->keep.alerts, s->id);
    DR_ASSERT(l != NULL);
    DR_JSON json_t *request = json_object();
    json_put(request, "target", DR_TAKE(s->target));
    json_put(request, "letter", letter_json(l));
    const struct child_options options = { .argv = argv,
                                           .request = request,
                                           .timeout_ms = NOTIFY_ATTEMPT_MS + CHILD_EXTRA_MS,
                                           .grace_ms = GRACE_MS };
    const struct step_hooks hooks = { .done = on_done, .arg = s };
    enum dr_rc rc = child_start(&n->loop, &options, &hooks, &s->child, err);
    if (rc != DR_OK)
        sending_fini(s); /* nothing began: it is due at the next call */
    return rc;
}

/* First failures are told; the others go on. */
static void first(enum dr_rc rc, const struct dr_err *one, struct dr_err *err)
{
    if (rc != DR_OK && err->rc == DR_OK)
        *err = *one;
}

static void start_reserved(struct notify *n, struct dr_err *err)
{
    for (size_t i = 0; i < NOTIFY_AT_ONCE; i++) {
        struct dr_err one = { 0 };
        if (n->sendings[i].target != NULL)
            first(start(n, &n->sendings[i], &one), &one, err);
    }
}

static void work(struct notify *n, struct dr_err *err)
{
    const struct config *c = n->setup.config;
    struct dr_err one = { 0 };
    first(take_answers(n, &one), &one, err);
    first(bury_orphans(n, &one), &one, err);
    alerts_tick(&n->keep.alerts, &n->setup);
    for (size_t i = 0; i < c->channel_count; i++)
        first(reserve(n, c->channels[i].name, &one), &one, err);
    alerts_tick(&n->keep.alerts, &n->setup); /* a secret that cannot be read is told at once */
}

void deliver_stop(struct notify *n)
{
    struct dr_err err = { 0 };
    for (size_t i = 0; i < NOTIFY_AT_ONCE; i++)
        if (n->sendings[i].child != NULL)
            child_stop(n->sendings[i].child, "stopped", true);
    (void)uv_run(&n->loop, UV_RUN_DEFAULT); /* ends: every child was killed */
    bool any = false;
    for (size_t i = 0; i < NOTIFY_AT_ONCE; i++) {
        if (n->sendings[i].channel != NULL && !n->sendings[i].delivered)
            sending_fini(&n->sendings[i]); /* not its fault: it is sent again */
        any = any || n->sendings[i].channel != NULL;
    }
    /* What cannot be noted any more is sent twice: that is what at least once means. */
    if (any && keep_begin(&n->keep, &err) != DR_E_BUSY && take_answers(n, &err) == DR_OK &&
        keep_end(&n->keep, true, &err) != DR_OK)
        dr_close_fd(&n->keep.lock_fd);
    for (size_t i = 0; i < NOTIFY_AT_ONCE; i++)
        sending_fini(&n->sendings[i]);
}

static enum dr_rc become_sender(struct notify *n, struct dr_err *err)
{
    if (n->sender_fd >= 0)
        return DR_OK;
    DR_TRY(fs_make_dirs(n->keep.dir, 0700, err));
    DR_FREE char *path = dr_strf("%s/sender", n->keep.dir);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? dr_fail(err, DR_E_BUSY, "another process sends the letters of '%s'",
                             n->keep.dir)
                   : dr_fail_sys(err, errno, "cannot lock '%s'", path);
    n->sender_fd = dr_take_fd(&fd);
    return DR_OK;
}

static int64_t next_boot_ns(const struct notify *n)
{
    int64_t boot = clock_boot_ns();
    if (any_sending(n))
        return boot + WHILE_SENDING_NS;
    int64_t next = alerts_next(&n->keep.alerts, &n->setup);
    if (next == INT64_MAX)
        return INT64_MAX;
    int64_t wait = next - n->keep.alerts.now_ns;
    return boot + (wait > MS ? wait : MS);
}

enum dr_rc notify_step(struct notify *n, int64_t *ret_next_ns, struct dr_err *err)
{
    struct dr_err trouble = { 0 };
    *ret_next_ns = clock_boot_ns() + OTHER_SENDS_NS;
    if (become_sender(n, &trouble) == DR_E_BUSY || notify_begin(n, &trouble) == DR_E_BUSY) {
        *err = trouble;
        return DR_E_BUSY;
    }
    (void)uv_run(&n->loop, UV_RUN_NOWAIT); /* its result says only whether something is running */
    work(n, &trouble);
    struct dr_err late = { 0 };
    enum dr_rc rc = notify_end(n, &trouble, &late); /* written before it is sent */
    start_reserved(n, &late);
    *ret_next_ns = next_boot_ns(n);
    if (late.rc != DR_OK)
        *err = late;
    DR_ASSERT(rc == DR_OK || late.rc != DR_OK);
    return late.rc;
}
