/*
 * Repair, one snapshot and one bucket at a time: set union, no look at the source.
 */
#include "backup/work/repair.h"

#include <string.h>

#include "backup/work/fetch.h"
#include "backup/work/gc.h"
#include "dr/base/mem.h"

/* Whole and right, or not at all. */
static enum dr_rc get_pack(struct store *s, const char *name, const uint8_t id[DIGEST_SIZE],
                           struct buf *out, struct dr_err *err)
{
    uint8_t digest[HASH_SIZE];
    buf_clear(out);
    DR_TRY(store_get_all(s, name, PACK_SIZE_MAX, out, err));
    hash_bytes(out->data, out->len, digest);
    if (memcmp(digest, id, DIGEST_SIZE) != 0)
        return dr_fail(err, DR_E_CORRUPT, "bucket '%s': object '%s' is damaged", s->name, name);
    return DR_OK;
}

static enum dr_rc copy_pack(struct repo *r, const char *hex, size_t from, struct store *to,
                            struct repair_result *result, struct dr_err *err)
{
    char name[NAMES_MAX];
    uint8_t id[DIGEST_SIZE];
    uint64_t size;
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    if (!hex_decode(hex, strlen(hex), id, DIGEST_SIZE))
        return dr_fail(err, DR_E_CORRUPT, "a list of packs holds what is no pack");
    names_pack(id, name);
    enum dr_rc rc = store_head(to, name, &size, err);
    if (rc != DR_E_NOTFOUND)
        return rc;
    rc = get_pack(repo_bucket(r, from)->store, name, id, &bytes, err);
    for (size_t i = 0; i < repo_bucket_count(r) && rc != DR_OK; i++) {
        struct store *s = repo_bucket(r, i)->store;
        if (s != NULL && i != from && s != to)
            rc = get_pack(s, name, id, &bytes, err);
    }
    if (rc == DR_E_NOTFOUND)
        return dr_fail(err, DR_E_CORRUPT, "object '%s' is in no bucket", name);
    DR_TRY(rc);
    rc = store_put(to, name, bytes.data, bytes.len, err);
    if (rc != DR_OK && rc != DR_E_EXISTS)
        return rc;
    result->packs++;
    result->bytes += bytes.len;
    return DR_OK;
}

struct need {
    struct fetch *fetch;
    struct text_list packs;
};

/* Frames of the list lie in packs that its text need not name. */
static enum dr_rc get_frame(void *arg, const struct list_frame *frame, struct buf *out,
                            struct dr_err *err)
{
    struct need *need = arg;
    struct fetch_piece p = { .offset = frame->offset,
                             .stored = frame->stored,
                             .raw = frame->raw,
                             .raw_max = PIECE_RAW_MAX };
    memcpy(p.pack, frame->pack, DIGEST_SIZE);
    memcpy(p.id, frame->id, DIGEST_SIZE);
    const struct buf *bytes = NULL;
    char hex[HASH_HEX_SIZE];
    text_list_add(&need->packs, hex_encode(frame->pack, DIGEST_SIZE, hex));
    DR_TRY(fetch_get(need->fetch, &p, &bytes, err));
    buf_add(out, bytes->data, bytes->len);
    return DR_OK;
}

static enum dr_rc copy_all(struct repo *r, const struct snapshot *s, size_t from, struct store *to,
                           struct repair_result *result, struct dr_err *err)
{
    DR_CLEANUP(fetch_free_ptr) struct fetch *fetch = fetch_new(r, NULL);
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    struct need frames = { .fetch = fetch };
    enum dr_rc rc = list_expand(&s->packs, get_frame, &frames, &packs, err);
    for (size_t i = 0; i < frames.packs.count && rc == DR_OK; i++)
        rc = copy_pack(r, frames.packs.items[i], from, to, result, err);
    text_list_fini(&frames.packs);
    for (size_t i = 0; i < packs.count && rc == DR_OK; i++)
        rc = copy_pack(r, packs.items[i], from, to, result, err);
    return rc;
}

/* The object of a snapshot that is visible in the bucket. */
static enum dr_rc get_visible(struct repo *r, struct store *s, const char *id, struct buf *object,
                              struct snapshot *ret, struct dr_err *err)
{
    char name[NAMES_MAX];
    bool expired = false;
    names_of(NAMES_SNAPSHOTS, id, name);
    DR_TRY(store_get_all(s, name, SNAPSHOT_SIZE_MAX, object, err));
    DR_TRY(gc_is_expired(s, id, &expired, err));
    if (expired)
        return dr_fail(err, DR_E_REFUSED, "snapshot '%s' is expired in bucket '%s'", id, s->name);
    return repo_judge(r, name, object, ret, err);
}

enum dr_rc repair_snapshot(struct repo *r, const char *id, size_t from, size_t to,
                           struct repair_result *ret, struct dr_err *err)
{
    struct store *a = repo_bucket(r, from)->store, *b = repo_bucket(r, to)->store;
    DR_ASSERT(from != to && a != NULL && b != NULL && names_is_id(id));
    struct repair_result result = { 0 };
    char name[NAMES_MAX];
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_CLEANUP(snapshot_fini) struct snapshot s = { 0 };
    DR_TRY(get_visible(r, a, id, &object, &s, err));
    DR_TRY(gc_is_expired(b, id, &result.expired, err));
    if (!result.expired) {
        DR_TRY(copy_all(r, &s, from, b, &result, err));
        enum dr_rc rc =
            store_put(b, names_of(NAMES_SNAPSHOTS, id, name), object.data, object.len, err);
        if (rc != DR_OK && rc != DR_E_EXISTS)
            return rc;
    }
    *ret = result;
    return DR_OK;
}
