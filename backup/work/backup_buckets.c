/*
 * Writing packs to many buckets: a lane for each, and a count of the packs that some lane still has.
 * How a snapshot becomes visible is in backup_commit.c.
 */
#include "backup/work/backup_buckets.h"

#include <string.h>
#include <time.h>

#include "backup/format/names.h"
#include "backup/work/backup_targets.h"
#include "dr/base/mem.h"

enum { PUT_TRIES = 3, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

struct parcel { /* a pack on its way */
    struct buckets *all;
    struct spooled *pack;
    size_t left; /* targets that are not through with it; guarded by the lock of all */
};

struct errand {
    struct target *target;
    struct parcel *parcel;
};

/* -- targets ------------------------------------------------------------------------------- */

static void unlock(pthread_mutex_t **m)
{
    pthread_mutex_unlock(*m);
}
#define HOLD(m)               \
    pthread_mutex_lock(&(m)); \
    DR_CLEANUP(unlock) pthread_mutex_t *held_lock = &(m)

bool target_is_good(struct target *t)
{
    HOLD(t->all->lock);
    return t->good;
}

void target_drop(struct target *t, const struct dr_err *why)
{
    HOLD(t->all->lock);
    if (t->good)
        t->why = *why;
    t->good = false;
}

static bool is_any_good(struct buckets *b)
{
    HOLD(b->lock);
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].good)
            return true;
    return false;
}

enum dr_rc buckets_fail_all(struct buckets *b, struct dr_err *err)
{
    HOLD(b->lock);
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].why.rc != DR_OK) {
            *err = b->targets[i].why;
            return dr_context(err, "no bucket takes the snapshot");
        }
    return dr_fail(err, DR_E_CONFIG, "no bucket to write to");
}

static bool may_repeat(enum dr_rc rc)
{
    return rc == DR_E_TRANSIENT || rc == DR_E_TIMEOUT || rc == DR_E_UNKNOWN || rc == DR_E_BUSY;
}

/* The file itself once only: after a failed sync its pages may count as written and be lost. */
enum dr_rc target_put_file(struct target *t, const char *name, const struct store_file *file,
                           struct dr_err *err)
{
    struct store_file bytes = { .fd = -1, .data = file->data, .len = file->len };
    enum dr_rc rc = store_put_file(t->bucket->store, name, file, err);
    for (int i = 1; i < PUT_TRIES && may_repeat(rc); i++)
        rc = store_put_file(t->bucket->store, name, &bytes, err);
    return rc == DR_E_EXISTS ? DR_OK : rc;
}

enum dr_rc target_put(struct target *t, const char *name, const void *data, size_t len,
                      struct dr_err *err)
{
    return target_put_file(t, name, &(struct store_file){ .fd = -1, .data = data, .len = len },
                           err);
}

/* -- waiting ------------------------------------------------------------------------------- */

/* Until something changes, or so long. The lock is held. */
static void wait_change(struct buckets *b, int64_t ns)
{
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &end); /* cannot fail for this clock */
    int64_t nsec = end.tv_nsec + ns;
    end.tv_sec += nsec / NS_PER_S;
    end.tv_nsec = nsec % NS_PER_S;
    (void)pthread_cond_timedwait(&b->changed, &b->lock, &end); /* the caller looks again */
}

static void cancel(struct buckets *b)
{
    HOLD(b->lock);
    b->cancelled = true;
    pthread_cond_broadcast(&b->changed);
}

/* Asks the caller's hook, in the caller's thread. */
static bool is_cancelled(struct buckets *b)
{
    if (b->o.cancelled != NULL && b->o.cancelled(b->o.arg))
        cancel(b);
    HOLD(b->lock);
    return b->cancelled;
}

static enum dr_rc fail_cancelled(struct dr_err *err)
{
    return dr_fail(err, DR_E_CANCELLED, "the backup was cancelled");
}

/* Of a pace: in a lane the flag tells of the end, without lanes the hook has to be asked. */
static bool wait_for_pace(void *arg, int64_t ns)
{
    struct target *t = arg;
    struct buckets *b = t->all;
    if (b->o.inline_work && is_cancelled(b))
        return false;
    HOLD(b->lock);
    if (!b->cancelled)
        wait_change(b, ns < (int64_t)WAIT_MS * NS_PER_MS ? ns : (int64_t)WAIT_MS * NS_PER_MS);
    return !b->cancelled;
}

static enum dr_rc take_pace(void *arg, size_t bytes, struct dr_err *err)
{
    return pace_take(&((struct target *)arg)->pace, bytes, err);
}

enum dr_rc buckets_wait(struct buckets *b, struct dr_err *err)
{
    for (size_t i = 0; i < b->count; i++)
        while (b->targets[i].lane != NULL && !lane_wait(b->targets[i].lane, WAIT_MS))
            if (is_cancelled(b))
                return fail_cancelled(err);
    return DR_OK;
}

/* -- life ---------------------------------------------------------------------------------- */

static enum dr_rc open_target(struct buckets *b, struct target *t, struct dr_err *err)
{
    t->all = b;
    t->good = t->bucket->store != NULL;
    if (!t->good && t->bucket->error.rc != DR_OK)
        t->why = t->bucket->error;
    else if (!t->good)
        dr_fail(&t->why, DR_E_REFUSED, "its region must not be touched");
    if (!t->good)
        return DR_OK;
    DR_TRY(lane_new(!b->o.inline_work, &t->lane, err));
    t->pace = (struct pace){ .rate = b->o.upload_limit, .wait = wait_for_pace, .arg = t };
    t->store_pace = (struct store_pace){ pace_slice(&t->pace), take_pace, t };
    if (b->o.upload_limit > 0)
        t->bucket->store->pace = &t->store_pace;
    return DR_OK;
}

enum dr_rc buckets_new(struct repo *repo, const struct buckets_options *options,
                       struct buckets **ret, struct dr_err *err)
{
    DR_CLEANUP(buckets_free_ptr) struct buckets *b = dr_alloc(1, sizeof *b);
    pthread_condattr_t attr;
    b->repo = repo;
    b->o = *options;
    b->count = repo_bucket_count(repo);
    b->targets = dr_alloc(b->count + 1, sizeof *b->targets);
    DR_ASSERT(pthread_condattr_init(&attr) == 0);
    DR_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    DR_ASSERT(pthread_mutex_init(&b->lock, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&b->changed, &attr) == 0);
    (void)pthread_condattr_destroy(&attr); /* fails only when misused */
    for (size_t i = 0; i < b->count; i++) {
        b->targets[i].bucket = repo_bucket(repo, i);
        DR_TRY(open_target(b, &b->targets[i], err));
    }
    if (!is_any_good(b))
        return buckets_fail_all(b, err);
    *ret = DR_TAKE(b);
    return DR_OK;
}

void buckets_free(struct buckets *b)
{
    if (b == NULL)
        return;
    cancel(b);
    for (size_t i = 0; i < b->count; i++)
        lane_free(b->targets[i].lane);
    buckets_release(b);
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        if (t->bucket != NULL && t->bucket->store != NULL)
            t->bucket->store->pace = NULL;
        gc_view_fini(&t->gc);
    }
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b->targets);
    free(b);
}

enum dr_rc buckets_repository(struct buckets *b, struct repository *ret, struct dr_err *err)
{
    struct repository first = { .seed = 0 };
    bool found = false;
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        struct repository r;
        struct dr_err why = { .rc = DR_OK };
        if (!target_is_good(t))
            continue;
        if (store_get_all(t->bucket->store, NAMES_REPOSITORY, SEALED_SIZE_MAX, &object, &why) !=
                DR_OK ||
            repository_parse(NAMES_REPOSITORY, object.data, object.len, &r, &why) != DR_OK)
            target_drop(t, &why);
        else if (found && strcmp(first.id, r.id) != 0) {
            dr_fail(&why, DR_E_CONFIG, "it belongs to another repository");
            target_drop(t, &why);
        } else if (!found) {
            first = r;
            found = true;
        }
    }
    if (!found)
        return buckets_fail_all(b, err);
    *ret = first;
    return DR_OK;
}

/* -- packs --------------------------------------------------------------------------------- */

/* A pack has left the spool. */
static void give_room(struct buckets *b)
{
    HOLD(b->lock);
    b->outstanding--;
    pthread_cond_broadcast(&b->changed);
}

/* A target is through with a parcel; the last one drops it. */
static void finish(struct parcel *p)
{
    struct buckets *b = p->all;
    pthread_mutex_lock(&b->lock);
    bool last = --p->left == 0;
    pthread_mutex_unlock(&b->lock);
    if (!last)
        return;
    spooled_drop(p->pack);
    free(p);
    give_room(b);
}

/* The last target may keep the file itself: nobody reads it from the spool after that. */
static struct store_file file_of(struct parcel *p)
{
    const struct spooled *pack = p->pack;
    HOLD(p->all->lock);
    return (struct store_file){ .fd = p->left == 1 ? pack->fd : -1,
                                .data = pack->data,
                                .len = pack->len };
}

static void deliver(void *arg)
{
    struct errand *e = arg;
    struct target *t = e->target;
    char name[NAMES_MAX];
    struct dr_err why = { .rc = DR_OK };
    const struct store_file file = file_of(e->parcel);
    if (target_is_good(t) &&
        target_put_file(t, names_pack(e->parcel->pack->name, name), &file, &why) != DR_OK)
        target_drop(t, &why);
    finish(e->parcel);
    free(e);
}

/* Until the spool has room for one more; it is taken. */
static enum dr_rc take_room(struct buckets *b, struct dr_err *err)
{
    for (;;) {
        if (is_cancelled(b))
            return fail_cancelled(err);
        HOLD(b->lock);
        if (b->outstanding < BUCKETS_SPOOL_MAX) {
            b->outstanding++;
            return DR_OK;
        }
        wait_change(b, (int64_t)WAIT_MS * NS_PER_MS);
    }
}

/* Hand the pack to all lanes that are still good; how many there are must be known before the first. */
static void hand_out(struct buckets *b, struct spooled *pack)
{
    size_t count = 0;
    DR_FREE struct target **to =
        dr_alloc(b->count, sizeof(struct target *)); /* NOLINT(bugprone-sizeof-expression) */
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].lane != NULL && target_is_good(&b->targets[i]))
            to[count++] = &b->targets[i];
    if (count == 0) {
        give_room(b);
        return;
    }
    struct parcel *p = dr_alloc(1, sizeof *p);
    *p = (struct parcel){ .all = b, .pack = spooled_ref(pack), .left = count };
    for (size_t i = 0; i < count; i++) {
        struct errand *e = dr_alloc(1, sizeof *e);
        *e = (struct errand){ .target = to[i], .parcel = p };
        lane_push(to[i]->lane, deliver, e);
    }
}

enum dr_rc buckets_put(struct buckets *b, struct spooled *pack, struct dr_err *err)
{
    if (!is_any_good(b))
        return buckets_fail_all(b, err);
    DR_TRY(take_room(b, err));
    hand_out(b, pack);
    if (b->o.inline_work && is_cancelled(b))
        return fail_cancelled(err);
    return is_any_good(b) ? DR_OK : buckets_fail_all(b, err);
}

void buckets_report(struct buckets *b, struct backup_result *ret)
{
    HOLD(b->lock);
    ret->copies = 0;
    ret->wanted = b->count >= 3 ? b->count / 2 + 1 : 1;
    for (size_t i = 0; i < b->count; i++) {
        const struct target *t = &b->targets[i];
        if (t->durable) {
            ret->copies++;
            continue;
        }
        DR_FREE char *line = dr_strf("%s: %s", t->bucket->config->name, t->why.msg);
        text_list_add(&ret->missing, line);
    }
}
