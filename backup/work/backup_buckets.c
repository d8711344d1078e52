/*
 * Writing packs to many buckets: a lane for each, and a count of the bytes that some lane still has.
 * How a snapshot becomes visible is in backup_commit.c.
 */
#include "backup/work/backup_buckets.h"

#include <string.h>
#include <time.h>

#include "backup/format/names.h"
#include "backup/work/backup_targets.h"
#include "backup/work/durable.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { PUT_TRIES = 3, MISSED_MAX = 3, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

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

void target_wait_asked(struct target *t)
{
    struct buckets *b = t->all;
    HOLD(b->lock);
    while (t->asking && t->good && !b->cancelled)
        buckets_wait_change(b, (int64_t)WAIT_MS * NS_PER_MS);
}

bool target_has_gaps(struct target *t)
{
    HOLD(t->all->lock);
    return t->has_gaps;
}

void target_drop(struct target *t, const struct dr_err *why)
{
    HOLD(t->all->lock);
    if (t->good)
        t->why = *why;
    t->good = false;
    pthread_cond_broadcast(&t->all->changed);
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

void buckets_wait_change(struct buckets *b, int64_t ns)
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

bool buckets_are_cancelled(struct buckets *b)
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
    if (b->o.inline_work && buckets_are_cancelled(b))
        return false;
    HOLD(b->lock);
    if (!b->cancelled)
        buckets_wait_change(b,
                            ns < (int64_t)WAIT_MS * NS_PER_MS ? ns : (int64_t)WAIT_MS * NS_PER_MS);
    return !b->cancelled;
}

/* A put into a bucket that dropped out ends between two slices. */
static enum dr_rc take_pace(void *arg, size_t bytes, struct dr_err *err)
{
    struct target *t = arg;
    if (!target_is_good(t))
        return dr_fail(err, DR_E_CANCELLED, "it has dropped out");
    return pace_take(&t->pace, bytes, err);
}

/* -- lag ----------------------------------------------------------------------------------- */

/* The lock is held. */
static bool is_enough(const struct buckets *b, bool (*is)(const struct target *t))
{
    DR_FREE bool *has = dr_alloc(b->count + 1, sizeof *has);
    for (size_t i = 0; i < b->count; i++)
        has[i] = is(&b->targets[i]);
    return durable_enough(repo_config(b->repo), has);
}

bool buckets_enough(struct buckets *b, bool (*is)(const struct target *t))
{
    HOLD(b->lock);
    return is_enough(b, is);
}

/* The lock is held. */
static bool drop_as_lagging(struct target *t, const char *how)
{
    if (!t->good)
        return false;
    dr_fail(&t->why, DR_E_TIMEOUT, "it lags behind the others: %s", how);
    dr_hint(&t->why, "When it is well again: drctl repair");
    t->good = false;
    pthread_cond_broadcast(&t->all->changed);
    return true;
}

static uint64_t bound_of(const struct buckets *b)
{
    return b->o.spool_bytes > 0 ? b->o.spool_bytes : BUCKETS_SPOOL_BYTES;
}

static bool is_on_time(const struct target *t)
{
    return t->good && t->queued <= bound_of(t->all) / 4;
}

/* The spool is full. Whom do enough others wait for? The lock is held. */
static bool drop_laggards(struct buckets *b)
{
    bool dropped = false;
    uint64_t bound = bound_of(b);
    uint64_t least = UINT64_MAX; /* that one of these took */
    int64_t now = clock_boot_ms();
    for (size_t i = 0; i < b->count; i++) {
        const struct target *t = &b->targets[i];
        if (is_on_time(t) && t->delivered < least)
            least = t->delivered;
    }
    if (!is_enough(b, is_on_time))
        return false;
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        if (!t->good || t->queued <= bound / 2)
            continue;
        int64_t since = t->moved_ms > 0 ? t->moved_ms : b->began_ms;
        if (t->delivered / LAG_PERCENT < least / 100)
            dropped |= drop_as_lagging(t, "the spool is full of what it has not taken");
        else if (now - since >= LAG_STILL_MS)
            dropped |= drop_as_lagging(t, "it takes nothing any more");
    }
    return dropped;
}

bool target_drop_late(struct target *t, int64_t through_ms)
{
    struct buckets *b = t->all;
    int64_t now = clock_boot_ms();
    HOLD(b->lock);
    bool any = t->delivered > 0;
    int64_t least = any ? LAG_LEAST_MS : LAG_NOTHING_MS;
    int64_t share = (through_ms - b->began_ms) * (100 - LAG_PERCENT) / 100 / (any ? 1 : 3);
    if (now - through_ms < (share > least ? share : least))
        return false;
    return drop_as_lagging(t, "the others have waited long enough");
}

static bool is_through(const struct target *t)
{
    return t->good && t->queued == 0;
}

enum dr_rc buckets_wait(struct buckets *b, struct dr_err *err)
{
    int64_t through_ms = 0;
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        while (t->lane != NULL && target_is_good(t) && !lane_wait(t->lane, WAIT_MS)) {
            if (buckets_are_cancelled(b))
                return fail_cancelled(err);
            if (through_ms == 0 && buckets_enough(b, is_through))
                through_ms = clock_boot_ms();
            if (through_ms != 0)
                (void)target_drop_late(t, through_ms); /* the loop asks whether it is good */
        }
    }
    return DR_OK;
}

/* -- life ---------------------------------------------------------------------------------- */

static enum dr_rc open_target(struct buckets *b, struct target *t, struct dr_err *err)
{
    t->all = b;
    t->gc.memory = &b->gc_memory;
    t->known = known_bucket(&b->known, t->bucket->config);
    t->good = t->bucket->store != NULL;
    if (!t->good && t->bucket->error.rc != DR_OK)
        t->why = t->bucket->error;
    else if (!t->good)
        dr_fail(&t->why, DR_E_REFUSED, "its region must not be touched");
    if (!t->good)
        return DR_OK;
    unsigned threads = store_parallel(t->bucket->store);
    if (b->o.upload_limit > 0) /* one of them keeps the pace */
        threads = 1;
    DR_TRY(lane_new(b->o.inline_work ? 0 : threads, &t->lane, err));
    t->pace = (struct pace){ .rate = b->o.upload_limit, .wait = wait_for_pace, .arg = t };
    t->store_pace = (struct store_pace){ pace_slice(&t->pace), take_pace, t };
    if (b->o.upload_limit > 0 || threads > 1) /* a directory needs no way to end a put */
        t->bucket->store->pace = &t->store_pace;
    return DR_OK;
}

/* What earlier runs of the source have learnt. */
static void recall(struct buckets *b)
{
    const char *state_dir = b->o.source != NULL ? repo_config(b->repo)->state_dir : NULL;
    const char *repository = repo_repository(b->repo)->id;
    b->known_at = (struct known_place){ state_dir, repository, b->o.source };
    b->gc_memory.folder = known_folder(state_dir, repository);
    b->gc_memory.read_only = b->o.dry_run;
    b->remembered.memory = &b->gc_memory;
    known_read(&b->known_at, &b->known);
    gc_view_recall(&b->remembered);
}

enum dr_rc buckets_new(struct repo *repo, const struct buckets_options *options,
                       struct buckets **ret, struct dr_err *err)
{
    DR_CLEANUP(buckets_free_ptr) struct buckets *b = dr_alloc(1, sizeof *b);
    pthread_condattr_t attr;
    b->repo = repo;
    b->o = *options;
    b->began_ms = clock_boot_ms();
    b->count = repo_bucket_count(repo);
    b->targets = dr_alloc(b->count + 1, sizeof *b->targets);
    DR_ASSERT(pthread_condattr_init(&attr) == 0);
    DR_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    DR_ASSERT(pthread_mutex_init(&b->lock, NULL) == 0);
    DR_ASSERT(pthread_mutex_init(&b->gc_memory.lock, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&b->changed, &attr) == 0);
    (void)pthread_condattr_destroy(&attr); /* fails only when misused */
    recall(b);
    for (size_t i = 0; i < b->count; i++) {
        b->targets[i].bucket = repo_bucket(repo, i);
        DR_TRY(open_target(b, &b->targets[i], err));
    }
    if (!is_any_good(b))
        return buckets_fail_all(b, err);
    *ret = DR_TAKE(b);
    return DR_OK;
}

static void end(void *arg)
{
    struct buckets *b = arg;
    for (size_t i = 0; i < b->count; i++)
        lane_free(b->targets[i].lane);
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        if (t->bucket != NULL && t->bucket->store != NULL)
            t->bucket->store->pace = NULL;
        gc_view_fini(&t->gc);
    }
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    pthread_mutex_destroy(&b->gc_memory.lock);
    free(b->gc_memory.folder);
    gc_view_fini(&b->remembered);
    known_fini(&b->known);
    pack_names_fini(&b->trusted);
    free(b->targets);
    free(b);
}

/* A call that hangs in a bucket that dropped out does not hold up the end of the run. */
void buckets_free(struct buckets *b)
{
    bool idle = true;
    if (b == NULL)
        return;
    cancel(b);
    for (size_t i = 0; i < b->count; i++) {
        struct target *t = &b->targets[i];
        while (t->lane != NULL && target_is_good(t) && !lane_wait(t->lane, WAIT_MS))
            continue;
        idle = idle && (t->lane == NULL || lane_wait(t->lane, 0));
    }
    buckets_release(b);
    if (idle)
        end(b);
    else
        repo_at_close(b->repo, end, b);
}

/* -- packs --------------------------------------------------------------------------------- */

/* A pack has left the spool. */
static void give_room(struct buckets *b, size_t bytes)
{
    HOLD(b->lock);
    b->outstanding -= bytes;
    pthread_cond_broadcast(&b->changed);
}

/* A target is through with a parcel; the last one drops it. */
static void finish(struct target *t, struct parcel *p)
{
    struct buckets *b = p->all;
    size_t len = p->pack->len;
    pthread_mutex_lock(&b->lock);
    t->queued -= len;
    bool last = --p->left == 0;
    pthread_mutex_unlock(&b->lock);
    if (!last)
        return;
    spooled_drop(p->pack);
    free(p);
    give_room(b, len);
}

static void note_delivery(struct target *t, size_t len)
{
    HOLD(t->all->lock);
    t->delivered += len;
    t->moved_ms = clock_boot_ms();
    t->missed = 0;
}

/* Is it out for a moment only? Then the commit fills the gap. */
static bool is_forgiven(struct target *t, enum dr_rc rc)
{
    HOLD(t->all->lock);
    if (rc != DR_E_TRANSIENT && rc != DR_E_BUSY)
        return false;
    t->has_gaps = true;
    return ++t->missed < MISSED_MAX;
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
    target_wait_asked(t);
    if (target_is_good(t)) {
        const struct store_file file = file_of(e->parcel);
        enum dr_rc rc = target_put_file(t, names_pack(e->parcel->pack->name, name), &file, &why);
        if (rc == DR_OK)
            note_delivery(t, file.len);
        else if (!is_forgiven(t, rc))
            target_drop(t, &why);
    }
    finish(t, e->parcel);
    free(e);
}

/* What waits for buckets that have dropped out leaves the spool at once, whatever their lanes are held by. */
static void flush_dropped(struct buckets *b)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->targets[i].lane != NULL && !target_is_good(&b->targets[i]))
            lane_flush(b->targets[i].lane);
}

static bool try_room(struct buckets *b, size_t bytes, uint64_t bound)
{
    HOLD(b->lock);
    if (b->outstanding > 0 && b->outstanding + bytes > bound)
        return false;
    b->outstanding += bytes;
    return true;
}

/* Until the spool has room for one more; it is taken. */
static enum dr_rc take_room(struct buckets *b, size_t bytes, struct dr_err *err)
{
    for (;;) {
        if (buckets_are_cancelled(b))
            return fail_cancelled(err);
        flush_dropped(b);
        if (try_room(b, bytes, bound_of(b)))
            return DR_OK;
        HOLD(b->lock);
        if (!drop_laggards(b))
            buckets_wait_change(b, (int64_t)WAIT_MS * NS_PER_MS);
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
        give_room(b, pack->len);
        return;
    }
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < count; i++)
        to[i]->queued += pack->len;
    pthread_mutex_unlock(&b->lock);
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
    DR_TRY(take_room(b, pack->len, err));
    hand_out(b, pack);
    if (b->o.inline_work && buckets_are_cancelled(b))
        return fail_cancelled(err);
    return is_any_good(b) ? DR_OK : buckets_fail_all(b, err);
}

void buckets_report(struct buckets *b, struct backup_result *ret)
{
    const struct config *c = repo_config(b->repo);
    HOLD(b->lock);
    DR_FREE bool *has = dr_alloc(b->count + 1, sizeof *has);
    ret->copies = 0;
    ret->wanted = durable_wanted(c);
    for (size_t i = 0; i < b->count; i++) {
        const struct target *t = &b->targets[i];
        has[i] = t->durable;
        if (t->durable) {
            ret->copies++;
            continue;
        }
        DR_FREE char *line = dr_strf("%s: %s", t->bucket->config->name, t->why.msg);
        text_list_add(&ret->missing, line);
    }
    durable_lacks(c, has, &ret->lacking);
}
