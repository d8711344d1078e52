/*
 * The row goes out in a process of its own (the leader), which has one child a bucket: so the caller's loop
 * never waits, has no threads, and a bucket that hangs holds up nobody. A child that cannot be ended keeps the
 * lock of its bucket, and no other is set on that bucket meanwhile.
 */
#include "dr/status/status.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backup/format/names.h"
#include "backup/format/sealed.h"
#include "backup/store/bucket.h"
#include "backup/work/costs.h"
#include "dr/base/clock.h"
#include "dr/base/crew.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/status/rows.h"

static const int64_t SECOND_NS = 1000000000;

enum { SWAPS = 3, POLL_S = 2 };

struct status_writer {
    const struct config *config;
    struct keys *keys;
    char *site, *version;
    json_t *jobs;    /* as of the last row; owned */
    int64_t last_ns; /* when a row last went to all buckets; 0: never */
    pid_t leader;    /* 0: none at work */
};

enum dr_rc status_writer_open(const struct config *c, const struct status_writer_options *o,
                              struct status_writer **ret, struct dr_err *err)
{
    DR_CLEANUP(status_writer_close_ptr) struct status_writer *w = dr_alloc(1, sizeof(*w));
    w->config = c;
    w->site = o->site != NULL ? dr_strdup(o->site) : status_own_site(c);
    w->version = dr_strdup(o->version);
    w->jobs = json_array();
    DR_TRY(keys_open(c->state_dir, true, &w->keys, err));
    *ret = DR_TAKE(w);
    return DR_OK;
}

void status_writer_close(struct status_writer *w)
{
    if (w == NULL)
        return;
    if (w->leader > 0) {
        kill(w->leader, SIGKILL); /* its children go with it */
        while (waitpid(w->leader, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    keys_free(w->keys);
    json_decref(w->jobs);
    free(w->site);
    free(w->version);
    free(w);
}

/* -- one bucket ----------------------------------------------------------------------------- */

struct putting {
    struct status_writer *w;
    const json_t *body;
    bool near_only; /* directories alone */
};

/* A store that cannot compare and set has only this; between the two calls the row is missing there. */
static enum dr_rc put_again(struct store *s, const char *name, const struct buf *object,
                            struct dr_err *err)
{
    DR_TRY(store_remove(s, name, err));
    return store_put(s, name, object->data, object->len, err);
}

/* Nobody else writes this object, but for another process of the same site. */
static enum dr_rc replace(struct store *s, const char *name, const struct buf *object,
                          struct dr_err *err)
{
    for (int i = 0; i < SWAPS; i++) {
        char tag[STORE_TAG_MAX];
        DR_CLEANUP(buf_fini) struct buf before = { 0 };
        enum dr_rc rc = store_read_tagged(s, name, &before, tag, err);
        if (rc == DR_OK)
            rc = store_swap(s, name, tag, object->data, object->len, err);
        if (rc == DR_E_CONFIG)
            return put_again(s, name, object, err);
        if (rc != DR_E_BUSY)
            return rc;
    }
    return err->rc;
}

/* A bucket that is not of a repository yet stays empty: init asks for that. */
static enum dr_rc put_into(const struct putting *p, const struct config_bucket *b,
                           struct dr_err *err)
{
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    DR_CLEANUP(buf_fini) struct buf repository = { 0 };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct repository of;
    DR_FREE char *name = row_name(p->w->site);
    DR_TRY(bucket_open(p->w->config, b, NULL, &s, err));
    DR_TRY(store_get_all(s, NAMES_REPOSITORY, SEALED_SIZE_MAX, &repository, err));
    DR_TRY(repository_parse(b->name, repository.data, repository.len, &of, err));
    row_encode(p->body, of.id, p->w->keys, &object);
    enum dr_rc rc = replace(s, name, &object, err);
    costs_note(p->w->config, "status", s); /* once a minute, for ever: it is on the bill */
    return rc;
}

/* One at a time in each bucket, over all processes of this host; closing gives it back. */
static int lock_bucket(const struct putting *p, const struct config_bucket *b)
{
    DR_FREE char *path = dr_strf("%s/status/%s.lock", p->w->config->state_dir, b->name);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return dr_take_fd(&fd);
    return -1;
}

static void put_one(void *arg, size_t index, int fd)
{
    const struct putting *p = arg;
    const struct config_bucket *b = &p->w->config->buckets[index];
    struct dr_err err = { 0 };
    if (p->near_only && !text_starts(b->url, "file://")) {
        (void)!write(fd, "+", 1); /* nothing was due there */
        return;
    }
    DR_CLEANUP(dr_close_fd) int lock = lock_bucket(p, b);
    if (lock >= 0 && put_into(p, b, &err) == DR_OK)
        (void)!write(fd, "+", 1); /* who reads it may be gone */
}

/* -- the leader ----------------------------------------------------------------------------- */

/* What is slow is no reason for the next row to be late. */
static int64_t put_ms(const struct config *c)
{
    int64_t ms = status_interval_s(c) * 750;
    ms = ms > STATUS_PUT_LEAST_MS ? ms : STATUS_PUT_LEAST_MS;
    return ms < STATUS_PUT_MS ? ms : STATUS_PUT_MS;
}

/* All of a row, here and now. True: each bucket has it. */
static bool put_all(struct status_writer *w, const json_t *jobs, bool near_only)
{
    const struct config *c = w->config;
    const struct row_wish wish = { .config = c,
                                   .site = w->site,
                                   .version = w->version,
                                   .jobs = jobs,
                                   .seq = rows_next_seq(c, w->site) };
    DR_JSON json_t *body = row_gather(&wish);
    struct putting p = { .w = w, .body = body, .near_only = near_only };
    struct dr_err err = { 0 };
    if (rows_keep_own(c, body, w->keys, &err) != DR_OK)
        return false; /* the next one must not have the same number */
    DR_CLEANUP(crew_free_ptr) struct crew *crew = crew_new(c->bucket_count);
    DR_FREE struct buf *answers = dr_alloc(c->bucket_count + 1, sizeof(answers[0]));
    crew_run(crew, put_one, &p, clock_boot_ms() + put_ms(c), answers);
    bool all = true;
    for (size_t i = 0; i < c->bucket_count; i++) {
        all = all && answers[i].len > 0;
        buf_fini(&answers[i]);
    }
    return all;
}

/* Only what is a job's state counts: a time that moves on by itself is no news. */
static bool has_news(const struct status_writer *w, const json_t *jobs)
{
    return jobs != NULL && !json_equal(jobs, w->jobs);
}

static void remember(struct status_writer *w, const json_t *jobs, bool all)
{
    json_decref(w->jobs);
    w->jobs = jobs != NULL ? json_deep_copy(jobs) : json_array();
    if (all)
        w->last_ns = clock_boot_ns();
}

static void start(struct status_writer *w, const json_t *jobs, bool near_only)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1); /* it died before we asked to be told */
        crew_forget(-1);
        _exit(put_all(w, jobs, near_only) ? 0 : 1);
    }
    w->leader = pid > 0 ? pid : 0; /* no process: the next turn tries again */
}

/* Is the last one done? */
static bool is_free(struct status_writer *w)
{
    if (w->leader == 0)
        return true;
    pid_t done = waitpid(w->leader, NULL, WNOHANG);
    if (done == w->leader || (done < 0 && errno == ECHILD))
        w->leader = 0;
    return w->leader == 0;
}

void status_write(struct status_writer *w, const json_t *jobs, int64_t *ret_next_ns)
{
    int64_t now_ns = clock_boot_ns();
    int64_t due_ns =
        w->last_ns == 0 ? now_ns : w->last_ns + status_interval_s(w->config) * SECOND_NS;
    bool due = now_ns >= due_ns, news = has_news(w, jobs);
    if ((due || news) && !is_free(w)) {
        *ret_next_ns = now_ns + POLL_S * SECOND_NS;
        return;
    }
    if (due || news) {
        start(w, jobs, !due);
        remember(w, jobs, due);
        if (due)
            due_ns = now_ns + status_interval_s(w->config) * SECOND_NS;
    }
    *ret_next_ns = due_ns;
}

bool status_write_now(struct status_writer *w, const json_t *jobs)
{
    remember(w, jobs, true);
    return put_all(w, jobs, false);
}
