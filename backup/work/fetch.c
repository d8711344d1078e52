/*
 * Pieces out of buckets. The order of trust: a window that was read already; then each bucket
 * once with a whole window; then each bucket once more with this piece alone, since a pack that
 * is cut short or flipped in one place is still good in others, and two buckets that are damaged
 * in different places make one that is whole.
 *
 * Where buckets are behind a network, the order is that of hedge.h, and one that takes longer than it mostly
 * does is raced by the next. Directories are asked one after another, in the order of the
 * configuration.
 */
#include "backup/work/fetch.h"

#include <stdio.h>
#include <string.h>

#include "backup/format/codec.h"
#include "backup/format/names.h"
#include "backup/work/fetch_race.h"
#include "backup/work/suspects.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { TOLD_MAX = 1000 };

struct source_bucket {
    struct store *store;
    size_t number;                  /* of the repository */
    bool preferred;                 /* it lists the snapshot: what it lacks is worth a word */
    bool failed;                    /* below is set */
    uint8_t failed_pack[HASH_SIZE]; /* the pack that was wrong here last */
};

struct fetch {
    struct repo *repo;
    const struct work_hooks *hooks;
    struct hedge *hedge; /* of the repository */
    struct race *race;   /* owned; NULL when all buckets are directories, or there is but one */
    struct codec *codec;
    struct source_bucket *from; /* open buckets, the best first; owned */
    size_t from_count;
    struct text_list told;     /* "BUCKET PACK" that were warned about */
    struct text_list suspects; /* of suspects.h: noted at the end, for repair */
    const struct fetch_piece *const *plan;
    size_t plan_count, plan_at;
    struct {
        uint8_t pack[HASH_SIZE];
        uint64_t offset;
        struct buf bytes; /* empty: no window */
    } window;
    struct buf frame;
    struct buf raw;              /* the last piece ... */
    uint8_t raw_id[DIGEST_SIZE]; /* ... and its digest */
    size_t healed;
    uint64_t bytes;
};

struct fetch *fetch_new(struct repo *r, const struct work_hooks *hooks)
{
    struct fetch *f = dr_alloc(1, sizeof(*f));
    size_t count = repo_bucket_count(r);
    bool far = false;
    f->repo = r;
    f->hooks = hooks;
    f->hedge = repo_hedge(r);
    f->codec = codec_new(CODEC_LEVEL);
    f->from = dr_alloc(count + 1, sizeof(f->from[0]));
    DR_CLEANUP(dr_free_ptr) struct store **stores = dr_alloc(count + 1, sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        struct store *s = stores[i] = repo_bucket(r, i)->store;
        if (s == NULL)
            continue;
        far |= store_parallel(s) > 1;
        f->from[f->from_count++] =
            (struct source_bucket){ .store = s, .number = i, .preferred = true };
    }
    if (far && f->from_count > 1)
        f->race = race_new(f->hedge, stores, count);
    return f;
}

static void free_race(void *arg)
{
    race_free(arg);
}

void fetch_free(struct fetch *f)
{
    if (f == NULL)
        return;
    if (f->race != NULL && !race_is_idle(f->race)) /* a call that hangs must not hold up the end */
        repo_at_close(f->repo, free_race, f->race);
    else
        race_free(f->race);
    codec_free(f->codec);
    if (f->suspects.count > 0 && !repo_is_planted(f->repo))
        suspects_add(repo_config(f->repo)->state_dir, &f->suspects);
    text_list_fini(&f->suspects);
    text_list_fini(&f->told);
    buf_fini(&f->window.bytes);
    buf_fini(&f->frame);
    buf_fini(&f->raw);
    free(f->from);
    free(f);
}

void fetch_prefer(struct fetch *f, const struct text_list *names)
{
    size_t front = 0;
    for (size_t i = 0; i < f->from_count; i++) {
        struct source_bucket b = f->from[i];
        b.preferred = text_list_has(names, b.store->name);
        f->from[i] = b;
        if (!b.preferred)
            continue;
        memmove(&f->from[front + 1], &f->from[front], (i - front) * sizeof(b));
        f->from[front++] = b;
    }
}

size_t fetch_healed(const struct fetch *f)
{
    return f->healed;
}

uint64_t fetch_bytes(const struct fetch *f)
{
    return f->bytes;
}

void fetch_plan(struct fetch *f, const struct fetch_piece *const *pieces, size_t count)
{
    f->plan = pieces;
    f->plan_count = count;
    f->plan_at = 0;
}

static bool same_pack(const uint8_t a[HASH_SIZE], const uint8_t b[HASH_SIZE])
{
    return memcmp(a, b, HASH_SIZE) == 0;
}

/* Said once for each bucket and pack, however many pieces suffer. */
static void tell(struct fetch *f, struct source_bucket *b, const uint8_t pack[HASH_SIZE],
                 const struct dr_err *err)
{
    b->failed = true;
    memcpy(b->failed_pack, pack, HASH_SIZE);
    bool lacks = err->rc == DR_E_NOTFOUND && !b->preferred;
    char hex[HASH_HEX_SIZE];
    DR_FREE char *key = dr_strf("%s %s", b->store->name, hex_encode(pack, HASH_SIZE, hex));
    if (lacks || f->told.count >= TOLD_MAX || text_list_has(&f->told, key))
        return;
    text_list_add(&f->told, key);
    if (err->rc == DR_E_CORRUPT) {
        char name[NAMES_MAX];
        DR_FREE char *line = suspects_line(b->store->name, names_pack(pack, name));
        text_list_add(&f->suspects, line);
    }
    f->healed++;
    if (f->hooks == NULL || f->hooks->warning == NULL)
        return;
    DR_FREE char *line = dr_strf("%s; another bucket is asked", err->msg);
    f->hooks->warning(f->hooks->arg, line);
}

/* -- one piece ----------------------------------------------------------------------------- */

static enum dr_rc unpack(struct fetch *f, const struct fetch_piece *p, const void *frame,
                         const char *where, struct dr_err *err)
{
    char name[NAMES_MAX];
    const struct codec_frame in = { .data = frame,
                                    .len = (size_t)p->stored,
                                    .raw_len = p->raw,
                                    .raw_max = p->raw_max,
                                    .id = p->id };
    buf_clear(&f->raw);
    if (codec_open(f->codec, names_pack(p->pack, name), &in, &f->raw, err) == DR_OK)
        return DR_OK;
    return dr_fail(err, DR_E_CORRUPT, "bucket '%s': object '%s' is damaged at byte %llu", where,
                   name, (unsigned long long)p->offset);
}

static enum dr_rc get_alone(struct fetch *f, const struct source_bucket *b,
                            const struct fetch_piece *p, struct dr_err *err)
{
    char name[NAMES_MAX];
    buf_clear(&f->frame);
    char *at = buf_reserve(&f->frame, (size_t)p->stored);
    f->bytes += p->stored;
    DR_TRY(store_get(b->store, names_pack(p->pack, name), p->offset, (size_t)p->stored, at, err));
    return unpack(f, p, at, b->store->name, err);
}

/* -- windows ------------------------------------------------------------------------------- */

static bool in_window(const struct fetch *f, const struct fetch_piece *p)
{
    return f->window.bytes.len > 0 && same_pack(f->window.pack, p->pack) &&
           p->offset >= f->window.offset &&
           p->offset + p->stored <= f->window.offset + f->window.bytes.len;
}

/* How far the plan goes on in this pack without a gap worth a call of its own. */
static uint64_t run_length(const struct fetch *f, const struct fetch_piece *p)
{
    enum { GAP_MAX = 256 << 10 };
    uint64_t end = p->offset + p->stored;
    for (size_t i = f->plan_at; i < f->plan_count; i++) {
        const struct fetch_piece *next = f->plan[i];
        if (!same_pack(next->pack, p->pack) || next->offset < p->offset)
            break;
        uint64_t next_end = next->offset + next->stored;
        if (next->offset > end + GAP_MAX || next_end - p->offset > FETCH_WINDOW)
            break;
        end = next_end > end ? next_end : end;
    }
    return end - p->offset;
}

static void set_window(struct fetch *f, const struct fetch_piece *p, uint64_t len)
{
    f->window.bytes.len = (size_t)len;
    f->window.offset = p->offset;
    memcpy(f->window.pack, p->pack, HASH_SIZE);
}

static enum dr_rc get_window(struct fetch *f, const struct source_bucket *b,
                             const struct fetch_piece *p, struct dr_err *err)
{
    uint64_t len = run_length(f, p);
    char name[NAMES_MAX];
    buf_clear(&f->window.bytes);
    char *at = buf_reserve(&f->window.bytes, (size_t)len);
    f->bytes += len;
    DR_TRY(store_get(b->store, names_pack(p->pack, name), p->offset, (size_t)len, at, err));
    set_window(f, p, len);
    return unpack(f, p, at, b->store->name, err);
}

/* The piece stands at the front of what is still planned. */
static void advance(struct fetch *f, const struct fetch_piece *p)
{
    for (size_t i = f->plan_at; i < f->plan_count; i++) {
        if (f->plan[i] == p) {
            f->plan_at = i + 1;
            return;
        }
    }
}

static bool was_bad(const struct source_bucket *b, const struct fetch_piece *p)
{
    return b->failed && same_pack(b->failed_pack, p->pack);
}

/* -- races --------------------------------------------------------------------------------- */

struct entrant { /* what a race is about */
    struct fetch *fetch;
    const struct fetch_piece *piece;
};

static struct source_bucket *by_number(struct fetch *f, size_t number)
{
    for (size_t i = 0; i < f->from_count; i++)
        if (f->from[i].number == number)
            return &f->from[i];
    DR_ASSERT(false);
    return NULL;
}

static enum dr_rc race_right(void *arg, size_t bucket, const void *bytes, struct dr_err *err)
{
    struct entrant *e = arg;
    return unpack(e->fetch, e->piece, bytes, by_number(e->fetch, bucket)->store->name, err);
}

static void race_failed(void *arg, size_t bucket, const struct dr_err *why)
{
    struct entrant *e = arg;
    tell(e->fetch, by_number(e->fetch, bucket), e->piece->pack, why);
}

/* Buckets that list the snapshot first; of these, and of the others, those that answer soonest. */
static size_t order_of(struct fetch *f, const struct fetch_piece *p, uint64_t len, size_t *ret)
{
    size_t count = 0, front = 0;
    int64_t now = clock_boot_ms();
    for (int preferred = 1; preferred >= 0; preferred--) {
        for (size_t i = 0; i < f->from_count; i++)
            if (f->from[i].preferred == (preferred == 1) && !was_bad(&f->from[i], p))
                ret[count++] = f->from[i].number;
        hedge_order(f->hedge, len, now, ret + front, count - front);
        front = count;
    }
    return count;
}

static bool race_window(struct fetch *f, const struct fetch_piece *p)
{
    struct entrant e = { f, p };
    char name[NAMES_MAX];
    uint64_t len = run_length(f, p);
    DR_FREE size_t *order = dr_alloc(f->from_count + 1, sizeof(*order));
    const struct race_ask ask = { .name = names_pack(p->pack, name),
                                  .offset = p->offset,
                                  .len = (size_t)len,
                                  .order = order,
                                  .count = order_of(f, p, len, order),
                                  .right = race_right,
                                  .failed = race_failed,
                                  .arg = &e };
    if (!race_get(f->race, &ask, &f->window.bytes, &f->bytes)) {
        buf_clear(&f->window.bytes);
        return false;
    }
    set_window(f, p, len);
    return true;
}

static bool try_each(struct fetch *f, const struct fetch_piece *p)
{
    struct dr_err why = { 0 };
    for (size_t i = 0; i < f->from_count; i++) {
        struct source_bucket *b = &f->from[i];
        if (was_bad(b, p))
            continue;
        if (get_window(f, b, p, &why) == DR_OK)
            return true;
        buf_clear(&f->window.bytes);
        tell(f, b, p->pack, &why);
    }
    return false;
}

/* A bucket that only did not answer in time may have it right: that is no damage, and no older snapshot helps. */
static bool may_come_yet(enum dr_rc rc)
{
    return rc == DR_E_TIMEOUT || rc == DR_E_TRANSIENT || rc == DR_E_BUSY;
}

static enum dr_rc get_anywhere(struct fetch *f, const struct fetch_piece *p, struct dr_err *err)
{
    struct dr_err why = { 0 };
    if (f->race != NULL ? race_window(f, p) : try_each(f, p))
        return DR_OK;
    char name[NAMES_MAX];
    DR_CLEANUP(buf_fini) struct buf all = { 0 };
    enum dr_rc rc = DR_E_CORRUPT;
    for (size_t i = 0; i < f->from_count; i++) {
        if (get_alone(f, &f->from[i], p, &why) == DR_OK)
            return DR_OK;
        rc = may_come_yet(why.rc) ? why.rc : rc;
        buf_addf(&all, "%s%s", i > 0 ? "; " : "", why.msg);
    }
    dr_fail(err, rc, "object '%s' is right in no bucket that can be read: %s",
            names_pack(p->pack, name), all.len > 0 ? all.data : "no bucket is open");
    if (rc != DR_E_CORRUPT)
        return dr_hint(err, "Try again when the bucket that did not answer in time does.");
    return dr_hint(err, "Restore an older snapshot, or bring back a bucket that has the object.");
}

enum dr_rc fetch_get(struct fetch *f, const struct fetch_piece *p, const struct buf **ret,
                     struct dr_err *err)
{
    *ret = &f->raw;
    if (f->raw.len == p->raw && memcmp(f->raw_id, p->id, DIGEST_SIZE) == 0)
        return DR_OK;
    if (p->raw > p->raw_max || p->stored > p->raw + FRAME_SLACK || p->offset > PACK_SIZE_MAX)
        return dr_fail(err, DR_E_CORRUPT, "a piece of the snapshot has an impossible size");
    advance(f, p);
    struct dr_err why = { 0 };
    bool done = false;
    if (in_window(f, p)) {
        const char *frame = f->window.bytes.data + (p->offset - f->window.offset);
        done = unpack(f, p, frame, "", &why) == DR_OK;
    }
    if (!done)
        DR_TRY(get_anywhere(f, p, err));
    memcpy(f->raw_id, p->id, DIGEST_SIZE);
    return DR_OK;
}
