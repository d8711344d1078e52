/*
 * lease.c - the record of a lease: its bytes, and what holder, fence and grant mean.
 *
 * The places differ only in how one record is read and exchanged for another atomically (file.h);
 * everything about time and about who may write is here. The protocol is that of the
 * model-checked one: belief from before the write, a new nonce with each change, TAKE > HOLD.
 */
#include "dr/lease/lease.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "backup/store/bucket.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/data/duration.h"
#include "dr/lease/bucket.h"
#include "dr/lease/file.h"

enum { WATCH_MS = 200, WATCH_PARTS = 8, LATE_MAX = 5 };

/* -- the place ---------------------------------------------------------------------------------- */

static enum dr_rc open_bucket(const struct config *c, struct gate *gate, struct lease_place *ret,
                              struct dr_err *err)
{
    const struct config_bucket *b = config_bucket(c, c->lease.bucket);
    const struct bucket_access access = { .gate = gate };
    struct store *store = NULL;
    DR_ASSERT(b != NULL); /* the configuration was checked */
    if (bucket_open(c, b, &access, &store, err) != DR_OK)
        return dr_context(err, "the lease cannot be used");
    lease_bucket_place(store, ret);
    return DR_OK;
}

enum dr_rc lease_place_of(const struct config *c, struct gate *gate, struct lease_place *ret,
                          struct dr_err *err)
{
    if (c->lease.take_ms < c->lease.hold_ms + LEASE_CLOCK_MARGIN_MS) {
        (void)dr_fail(err, DR_E_CONFIG,
                      "coordination.lease: take must be longer than hold by %d ms at least",
                      LEASE_CLOCK_MARGIN_MS);
        return dr_hint(err, "For example hold: 20s, take: 30s.");
    }
    struct lease_place place = {
        .driver = &lease_file,
        .path = c->lease.path,
        .hold_ms = c->lease.hold_ms,
        .take_ms = c->lease.take_ms,
    };
    if (c->lease.bucket != NULL)
        DR_TRY(open_bucket(c, gate, &place, err));
    *ret = place;
    return DR_OK;
}

void lease_place_fini(struct lease_place *p)
{
    lease_shared_drop(p->bucket);
    p->bucket = NULL;
}

char *lease_place_tell(const struct lease_place *p)
{
    if (p->bucket != NULL)
        return lease_bucket_tell(p);
    return dr_strf("'%s'", p->path);
}

/* The same place for somebody who may live longer. */
static struct lease_place share(const struct lease_place *p)
{
    struct lease_place copy = *p;
    copy.bucket = lease_shared_take(p->bucket);
    return copy;
}

static const struct lease_driver *driver(const struct lease_place *p)
{
    return p->driver != NULL ? p->driver : &lease_file;
}

void lease_record_fini(struct lease_record *r)
{
    free(r->key);
    free(r->holder);
    free(r->region);
    free(r->instance);
    free(r->granted);
    text_list_fini(&r->fenced);
    *r = (struct lease_record){ 0 };
}

static void set(char **field, const char *text)
{
    char *copy = dr_strdup(text);
    free(*field);
    *field = copy;
}

static void new_nonce(char out[LEASE_NONCE_MAX])
{
    uint8_t raw[16];
    random_bytes(raw, sizeof(raw));
    hex_encode(raw, sizeof(raw), out);
}

int lease_holders(const struct lease_record *r)
{
    return r->holder[0] != '\0' || r->granted[0] != '\0';
}

/* -- waiting ---------------------------------------------------------------------------------- */

static enum dr_rc wait_a_little(const struct lease_place *p, struct dr_err *err)
{
    int64_t ms = p->take_ms / WATCH_PARTS;
    if (ms > WATCH_MS)
        ms = WATCH_MS;
    if (ms < 1)
        ms = 1;
    if (p->stop != NULL && p->stop(p->stop_arg))
        return dr_fail(err, DR_E_CANCELLED, "stopped while waiting for a lease");
    if (p->pause != NULL) {
        p->pause(ms);
        return DR_OK;
    }
    struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000 };
    (void)nanosleep(&ts, NULL); /* a signal ends it early: the loop asks stop() again */
    return DR_OK;
}

/* How long a record was seen unchanged, on our own clock. */
struct watch {
    char nonce[LEASE_NONCE_MAX];
    int64_t since_ms;
};

static int64_t watch_ms(struct watch *w, const struct lease_record *r)
{
    int64_t now = clock_boot_ms();
    if (strcmp(w->nonce, r->nonce) != 0 || w->since_ms == 0) {
        memcpy(w->nonce, r->nonce, LEASE_NONCE_MAX);
        w->since_ms = now;
    }
    return now - w->since_ms;
}

/* -- holding ---------------------------------------------------------------------------------- */

static enum dr_rc refuse_fenced(const struct lease_record *r, const char *region,
                                struct dr_err *err)
{
    (void)dr_fail(
        err, DR_E_REFUSED, "lease '%s': region '%s' is fenced (epoch %" PRId64 ", %s%s%s)", r->key,
        region, r->epoch, r->holder[0] != '\0' ? "held by " : "",
        r->holder[0] != '\0' ? r->holder : (r->granted[0] != '\0' ? "granted to " : "no holder"),
        r->holder[0] != '\0' ? "" : r->granted);
    return dr_hint(err, "A recovery shut '%s' out; writing there again needs a failback.", region);
}

static enum dr_rc busy(const struct lease_record *r, struct dr_err *err)
{
    if (r->holder[0] == '\0')
        return dr_fail(err, DR_E_BUSY, "lease '%s' is kept for region '%s' (epoch %" PRId64 ")",
                       r->key, r->granted, r->epoch);
    return dr_fail(err, DR_E_BUSY, "lease '%s' is held by %s (epoch %" PRId64 ")%s", r->key,
                   r->holder, r->epoch, r->keeper ? ", kept by a recovery" : "");
}

/* May region take the record as it is, after having seen it unchanged for so long? */
static enum dr_rc may_take(const struct lease_place *p, const struct lease_record *r,
                           const char *region, int64_t unchanged_ms, struct dr_err *err)
{
    if (region[0] != '\0' && text_list_has(&r->fenced, region))
        return refuse_fenced(r, region, err);
    if (r->granted[0] != '\0')
        return strcmp(r->granted, region) == 0 ? DR_OK : busy(r, err);
    if (r->holder[0] == '\0')
        return DR_OK;
    if (r->keeper)
        return busy(r, err);
    return unchanged_ms >= p->take_ms ? DR_OK : dr_fail(err, DR_E_TRANSIENT, "watching");
}

static struct lease *lease_new(const struct lease_place *p, const struct lease_wish *wish)
{
    struct lease *l = dr_alloc(1, sizeof(*l));
    char instance[LEASE_NONCE_MAX];
    new_nonce(instance);
    l->place = share(p);
    l->key = dr_strdup(wish->key);
    l->holder = dr_strdup(wish->holder);
    l->region = dr_strdup(wish->region != NULL ? wish->region : "");
    l->instance = dr_strdup(instance);
    return l;
}

void lease_free(struct lease *l)
{
    if (l == NULL)
        return;
    lease_place_fini(&l->place);
    free(l->key);
    free(l->holder);
    free(l->region);
    free(l->instance);
    free(l);
}

/* Is it the one that we were granted last? */
static bool is_ours(const struct lease *l, const struct lease_record *r)
{
    return r->epoch == l->epoch && strcmp(r->instance, l->instance) == 0;
}

/* Put us into the record. DR_E_TRANSIENT: somebody was faster. */
static enum dr_rc take(struct lease *l, struct lease_record *r, struct dr_err *err)
{
    char seen[LEASE_NONCE_MAX];
    int64_t before_ms = clock_boot_ms();
    memcpy(seen, r->nonce, sizeof(seen));
    set(&r->holder, l->holder);
    set(&r->region, l->region);
    set(&r->instance, l->instance);
    set(&r->granted, "");
    r->keeper = false;
    r->epoch++;
    new_nonce(r->nonce);
    DR_TRY(driver(&l->place)->swap(&l->place, seen, r, err));
    l->epoch = r->epoch;
    l->believed_ms = before_ms + l->place.hold_ms;
    if (lease_left_ms(l) <= 0) /* too late to believe in: somebody may have it by now */
        return dr_fail(err, DR_E_TRANSIENT, "lease '%s' was granted too late", l->key);
    return DR_OK;
}

/* One look at the record. DR_E_TRANSIENT: look again. */
static enum dr_rc try_acquire(struct lease *l, const char *over, struct watch *w, bool *ret_alive,
                              struct dr_err *err)
{
    DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
    char before[LEASE_NONCE_MAX];
    memcpy(before, w->nonce, sizeof(before));
    bool looked = w->since_ms != 0;
    DR_TRY(driver(&l->place)->read(&l->place, l->key, &r, err));
    int64_t unchanged = watch_ms(w, &r);
    *ret_alive = looked && strcmp(before, r.nonce) != 0 && r.holder[0] != '\0';
    enum dr_rc rc = may_take(&l->place, &r, l->region, unchanged, err);
    bool passed = is_ours(l, &r) || (over != NULL && text_starts(r.holder, over));
    if (rc == DR_E_TRANSIENT && passed)
        return take(l, &r, err);
    if (rc == DR_E_TRANSIENT && *ret_alive)
        return busy(&r, err);
    return rc == DR_OK ? take(l, &r, err) : rc;
}

enum dr_rc lease_acquire(const struct lease_place *p, const struct lease_wish *wish,
                         struct lease **ret, struct dr_err *err)
{
    DR_ASSERT(wish->key != NULL && wish->holder != NULL && wish->holder[0] != '\0');
    DR_CLEANUP(lease_free_ptr) struct lease *l = lease_new(p, wish);
    struct watch w = { 0 };
    for (int late = 0;;) {
        bool alive = false;
        int64_t epoch = l->epoch;
        enum dr_rc rc = try_acquire(l, wish->over, &w, &alive, err);
        if (rc == DR_OK)
            break;
        late += l->epoch != epoch;
        if (late == LATE_MAX) {
            (void)dr_fail(err, DR_E_TIMEOUT,
                          "lease '%s' was granted %d times, each time too late to believe in",
                          l->key, late);
            return dr_hint(err, "Its place is too slow for 'coordination.lease.hold'.");
        }
        if (rc != DR_E_TRANSIENT && !(rc == DR_E_BUSY && wish->wait))
            return rc;
        DR_TRY(wait_a_little(p, err));
    }
    *err = (struct dr_err){ 0 };
    *ret = DR_TAKE(l);
    return DR_OK;
}

enum dr_rc lease_renew(struct lease *l, struct dr_err *err)
{
    for (;;) {
        DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
        char seen[LEASE_NONCE_MAX];
        int64_t before_ms = clock_boot_ms();
        DR_TRY(driver(&l->place)->read(&l->place, l->key, &r, err));
        int64_t late_ms = -lease_left_ms(l);
        if (!is_ours(l, &r)) {
            l->believed_ms = 0;
            return dr_fail(err, DR_E_REFUSED,
                           "lease '%s' is lost: %s has it (epoch %" PRId64 ", ours was %" PRId64
                           ")",
                           l->key, r.holder[0] != '\0' ? r.holder : "nobody", r.epoch, l->epoch);
        }
        if (late_ms >= 0) {
            (void)dr_fail(err, DR_E_REFUSED,
                          "lease '%s' is lost: it could not be renewed for %" PRId64 " ms, %" PRId64
                          " ms too long; nobody else has taken it yet",
                          l->key, late_ms + l->place.hold_ms, late_ms);
            return dr_hint(err, "a disk or a host that stands still that long needs a longer "
                                "'coordination.lease.hold' (and 'take')");
        }
        memcpy(seen, r.nonce, sizeof(seen));
        new_nonce(r.nonce);
        enum dr_rc rc = driver(&l->place)->swap(&l->place, seen, &r, err);
        if (rc == DR_E_TRANSIENT)
            continue; /* a fence of another region was set meanwhile: look again */
        DR_TRY(rc);
        l->believed_ms = before_ms + l->place.hold_ms;
        if (lease_left_ms(l) > 0)
            return DR_OK; /* else the answer came too late to believe in: look who has it */
    }
}

int64_t lease_left_ms(const struct lease *l)
{
    return l->believed_ms - clock_boot_ms();
}

enum dr_rc lease_release(struct lease *l, struct dr_err *err)
{
    if (l == NULL)
        return DR_OK;
    for (;;) {
        DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
        char seen[LEASE_NONCE_MAX];
        l->believed_ms = 0;
        DR_TRY(driver(&l->place)->read(&l->place, l->key, &r, err));
        if (!is_ours(l, &r))
            return DR_OK;
        memcpy(seen, r.nonce, sizeof(seen));
        set(&r.holder, "");
        set(&r.region, "");
        set(&r.instance, "");
        new_nonce(r.nonce);
        enum dr_rc rc = driver(&l->place)->swap(&l->place, seen, &r, err);
        if (rc != DR_E_TRANSIENT)
            return rc;
    }
}

enum dr_rc lease_read(const struct lease_place *p, const char *key, struct lease_record *ret,
                      struct dr_err *err)
{
    return driver(p)->read(p, key, ret, err);
}

enum dr_rc lease_keys(const struct lease_place *p, struct text_list *ret, struct dr_err *err)
{
    return driver(p)->keys(p, ret, err);
}

/* -- fencing, granting ------------------------------------------------------------------------- */

/* Write 'by' into the record as the one who keeps the place. */
static void keep_for(struct lease_record *r, const char *by)
{
    set(&r->holder, by);
    set(&r->region, "");
    set(&r->instance, "");
    set(&r->granted, "");
    r->keeper = true;
    r->epoch++;
}

static enum dr_rc swap_new(const struct lease_place *p, struct lease_record *r, struct dr_err *err)
{
    char seen[LEASE_NONCE_MAX];
    memcpy(seen, r->nonce, sizeof(seen));
    new_nonce(r->nonce);
    return driver(p)->swap(p, seen, r, err);
}

/* Must the holder of this record be waited for before its region can be shut out? */
static bool must_wait(const struct lease_record *r, const char *region)
{
    if (r->holder[0] == '\0' || r->keeper)
        return false;
    return r->region[0] == '\0' || strcmp(r->region, region) == 0;
}

static bool held_elsewhere(const struct lease_record *r, const char *region)
{
    return (r->holder[0] != '\0' && (r->keeper || strcmp(r->region, region) != 0) &&
            !must_wait(r, region)) ||
           (r->granted[0] != '\0' && strcmp(r->granted, region) != 0);
}

/* One look. DR_E_TRANSIENT: not yet. */
static enum dr_rc try_fence(const struct lease_place *p, const struct lease_fence *f,
                            struct watch *w, struct lease_record *r, struct dr_err *err)
{
    DR_TRY(driver(p)->read(p, f->key, r, err));
    if (text_list_has(&r->fenced, f->region))
        return DR_OK;
    if (r->epoch == 0)
        return dr_fail(err, DR_E_NOTFOUND, "nobody ever held lease '%s': taking it proves nothing",
                       f->key);
    int64_t unchanged = watch_ms(w, r);
    if (must_wait(r, f->region) && unchanged < p->take_ms + f->margin_ms)
        return dr_fail(err, DR_E_TRANSIENT, "watching");
    if (!held_elsewhere(r, f->region))
        keep_for(r, f->by);
    text_list_add(&r->fenced, f->region);
    return swap_new(p, r, err);
}

static enum dr_rc too_late(const struct lease_record *r, const struct lease_fence *f,
                           struct dr_err *err)
{
    return dr_fail(err, DR_E_BUSY,
                   "lease '%s' is still renewed by %s in '%s' (epoch %" PRId64
                   "): it cannot be fenced by waiting",
                   f->key, r->holder, r->region, r->epoch);
}

enum dr_rc lease_fence(const struct lease_place *p, const struct lease_fence *f,
                       struct lease_record *ret, struct dr_err *err)
{
    DR_ASSERT(f->region[0] != '\0' && f->by[0] != '\0');
    struct watch w = { 0 };
    for (;;) {
        struct lease_record r = { 0 };
        enum dr_rc rc = try_fence(p, f, &w, &r, err);
        if (rc == DR_OK) {
            *err = (struct dr_err){ 0 };
            *ret = r;
            return DR_OK;
        }
        if (rc == DR_E_TRANSIENT && clock_boot_ms() >= f->deadline_ms)
            rc = too_late(&r, f, err);
        else if (rc == DR_E_TRANSIENT)
            rc = wait_a_little(p, err);
        lease_record_fini(&r);
        DR_TRY(rc);
    }
}

static void remove_text(struct text_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], text) != 0)
            continue;
        free(list->items[i]);
        memmove(&list->items[i], &list->items[i + 1], (list->count - i - 1) * sizeof(char *));
        list->count--;
        return;
    }
}

enum dr_rc lease_lift(const struct lease_place *p, const char *key, const char *region,
                      const char *by, struct dr_err *err)
{
    for (;;) {
        DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
        DR_TRY(driver(p)->read(p, key, &r, err));
        bool ours = r.keeper && strcmp(r.holder, by) == 0;
        if (!text_list_has(&r.fenced, region) && !ours)
            return DR_OK;
        remove_text(&r.fenced, region);
        if (ours) {
            set(&r.holder, "");
            r.keeper = false;
        }
        enum dr_rc rc = swap_new(p, &r, err);
        if (rc != DR_E_TRANSIENT)
            return rc;
    }
}

enum dr_rc lease_grant(const struct lease_place *p, const char *key, const char *region,
                       int64_t *ret_epoch, struct dr_err *err)
{
    DR_ASSERT(region[0] != '\0');
    for (;;) {
        DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
        DR_TRY(driver(p)->read(p, key, &r, err));
        if (text_list_has(&r.fenced, region))
            return refuse_fenced(&r, region, err);
        bool has = strcmp(r.granted, region) == 0 ||
                   (r.holder[0] != '\0' && !r.keeper && strcmp(r.region, region) == 0);
        enum dr_rc rc = DR_OK;
        if (!has && ((r.holder[0] != '\0' && !r.keeper) || r.granted[0] != '\0'))
            return busy(&r, err);
        if (!has) {
            keep_for(&r, "");
            r.keeper = false;
            set(&r.granted, region);
            rc = swap_new(p, &r, err);
        }
        if (rc == DR_E_TRANSIENT)
            continue;
        DR_TRY(rc);
        *ret_epoch = r.epoch;
        return DR_OK;
    }
}

enum dr_rc lease_revoke(const struct lease_place *p, const struct lease_fence *f,
                        struct dr_err *err)
{
    struct watch w = { 0 };
    for (;;) {
        DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
        DR_TRY(driver(p)->read(p, f->key, &r, err));
        int64_t unchanged = watch_ms(&w, &r);
        bool theirs = r.holder[0] != '\0' && !r.keeper && strcmp(r.region, f->region) == 0;
        if (!theirs && strcmp(r.granted, f->region) != 0)
            return DR_OK;
        enum dr_rc rc = DR_E_TRANSIENT;
        if (!theirs || unchanged >= p->take_ms + f->margin_ms) {
            keep_for(&r, f->by);
            rc = swap_new(p, &r, err);
        }
        if (rc == DR_E_TRANSIENT && clock_boot_ms() >= f->deadline_ms)
            return too_late(&r, f, err);
        if (rc != DR_E_TRANSIENT)
            return rc;
        DR_TRY(wait_a_little(p, err));
    }
}
