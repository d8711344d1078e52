/*
 * Pieces out of buckets. The order of trust: a window that was read already; then each bucket
 * once with a whole window; then each bucket once more with this piece alone, since a pack that
 * is cut short or flipped in one place is still good in others, and two buckets that are damaged
 * in different places make one that is whole.
 */
#include "backup/work/fetch.h"

#include <stdio.h>
#include <string.h>

#include "backup/format/codec.h"
#include "backup/format/names.h"
#include "dr/base/mem.h"

enum { TOLD_MAX = 1000 };

struct source_bucket {
    struct store *store;
    bool preferred;                 /* it lists the snapshot: what it lacks is worth a word */
    bool failed;                    /* below is set */
    uint8_t failed_pack[HASH_SIZE]; /* the pack that was wrong here last */
};

struct fetch {
    const struct work_hooks *hooks;
    struct codec *codec;
    struct source_bucket *from; /* open buckets, the best first; owned */
    size_t from_count;
    struct text_list told; /* "BUCKET PACK" that were warned about */
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
    f->hooks = hooks;
    f->codec = codec_new(CODEC_LEVEL);
    f->from = dr_alloc(repo_bucket_count(r) + 1, sizeof(f->from[0]));
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        struct store *s = repo_bucket(r, i)->store;
        if (s != NULL)
            f->from[f->from_count++] = (struct source_bucket){ .store = s, .preferred = true };
    }
    return f;
}

void fetch_free(struct fetch *f)
{
    if (f == NULL)
        return;
    codec_free(f->codec);
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

static enum dr_rc get_window(struct fetch *f, const struct source_bucket *b,
                             const struct fetch_piece *p, struct dr_err *err)
{
    uint64_t len = run_length(f, p);
    char name[NAMES_MAX];
    buf_clear(&f->window.bytes);
    char *at = buf_reserve(&f->window.bytes, (size_t)len);
    f->bytes += len;
    DR_TRY(store_get(b->store, names_pack(p->pack, name), p->offset, (size_t)len, at, err));
    f->window.bytes.len = (size_t)len;
    f->window.offset = p->offset;
    memcpy(f->window.pack, p->pack, HASH_SIZE);
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

static enum dr_rc get_anywhere(struct fetch *f, const struct fetch_piece *p, struct dr_err *err)
{
    struct dr_err why = { 0 };
    for (size_t i = 0; i < f->from_count; i++) {
        struct source_bucket *b = &f->from[i];
        if (was_bad(b, p))
            continue;
        if (get_window(f, b, p, &why) == DR_OK)
            return DR_OK;
        buf_clear(&f->window.bytes);
        tell(f, b, p->pack, &why);
    }
    char name[NAMES_MAX];
    DR_CLEANUP(buf_fini) struct buf all = { 0 };
    for (size_t i = 0; i < f->from_count; i++) {
        if (get_alone(f, &f->from[i], p, &why) == DR_OK)
            return DR_OK;
        buf_addf(&all, "%s%s", i > 0 ? "; " : "", why.msg);
    }
    dr_fail(err, DR_E_CORRUPT, "object '%s' is right in no bucket that can be read: %s",
            names_pack(p->pack, name), all.len > 0 ? all.data : "no bucket is open");
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
