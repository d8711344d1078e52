/*
 * Repair: one snapshot and one bucket at a time for prune, and the order of a whole run.
 */
#include "backup/work/repair.h"

#include <string.h>

#include "backup/work/fetch.h"
#include "backup/work/gc.h"
#include "backup/work/known.h"
#include "backup/work/repair_work.h"
#include "backup/work/suspects.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { PUT_TRIES = 3, PROGRESS_MS = 100 };

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

/* The epoch before the first snapshot under it, as a writer does it. */
static enum dr_rc announce(struct store *to, const struct snapshot *s, struct dr_err *err)
{
    char name[NAMES_MAX];
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    if (s->epoch <= 0)
        return DR_OK;
    epoch_encode(s->source, s->epoch, &object);
    enum dr_rc rc =
        store_put(to, names_epoch(s->source, s->epoch, name), object.data, object.len, err);
    return rc == DR_E_EXISTS ? DR_OK : rc;
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
        DR_TRY(announce(b, &s, err));
        enum dr_rc rc =
            store_put(b, names_of(NAMES_SNAPSHOTS, id, name), object.data, object.len, err);
        if (rc != DR_OK && rc != DR_E_EXISTS)
            return rc;
    }
    *ret = result;
    return DR_OK;
}

/* -- a whole run --------------------------------------------------------------------------- */

void repair_report_fini(struct repair_report *r)
{
    for (size_t i = 0; i < r->damage_count; i++) {
        free(r->damage[i].object);
        free(r->damage[i].why);
        text_list_fini(&r->damage[i].files);
    }
    free(r->damage);
    free(r->buckets);
    *r = (struct repair_report){ 0 };
}

static void repair_fini(struct repair *r)
{
    for (size_t i = 0; i < r->count && r->holds != NULL; i++)
        holding_fini(&r->holds[i]);
    free(r->holds);
    free(r->ends);
    text_list_fini(&r->expired);
    text_list_fini(&r->suspects);
    text_list_fini(&r->looked);
    snapshot_list_fini(&r->list);
    pack_names_fini(&r->needed);
    pack_names_fini(&r->lost);
    repair_report_fini(&r->report);
}

void repair_warn(const struct repair *r, const char *line)
{
    if (r->hooks != NULL && r->hooks->warning != NULL)
        r->hooks->warning(r->hooks->arg, line);
}

enum dr_rc repair_tell(struct repair *r, struct dr_err *err)
{
    int64_t now = clock_boot_ms();
    if (r->hooks == NULL || r->hooks->progress == NULL || now - r->told_ms < PROGRESS_MS)
        return DR_OK;
    r->told_ms = now;
    if (!r->hooks->progress(r->hooks->arg, &r->progress))
        return dr_fail(err, DR_E_CANCELLED, "the repair was stopped; the next one goes on");
    return DR_OK;
}

bool repair_writes(const struct repair *r, size_t i)
{
    return r->holds[i].writes && !r->report.buckets[i].failed;
}

void repair_drop(struct repair *r, size_t i, const struct dr_err *why)
{
    struct repair_bucket *b = &r->report.buckets[i];
    if (!b->failed)
        b->why = *why;
    b->failed = true;
    r->incomplete = true;
}

static bool may_repeat(enum dr_rc rc)
{
    return rc == DR_E_TRANSIENT || rc == DR_E_TIMEOUT || rc == DR_E_UNKNOWN || rc == DR_E_BUSY;
}

enum dr_rc repair_put(struct store *s, const char *name, const void *data, size_t len,
                      bool *ret_new, struct dr_err *err)
{
    enum dr_rc rc = DR_E_UNKNOWN;
    bool sent = false; /* an earlier try may have landed: then it exists by our doing */
    for (int i = 0; i < PUT_TRIES && may_repeat(rc); i++) {
        sent = i > 0;
        rc = store_put(s, name, data, len, err);
    }
    if (ret_new != NULL)
        *ret_new = rc == DR_OK || (rc == DR_E_EXISTS && sent);
    return rc == DR_E_EXISTS ? DR_OK : rc;
}

void repair_suspect(struct repair *r, size_t i, const char *name)
{
    DR_FREE char *line = suspects_line(r->report.buckets[i].name, name);
    text_list_add(&r->suspects, line);
}

static enum dr_rc check_bucket(struct repair *r, const char *name, struct dr_err *err)
{
    for (size_t i = 0; name != NULL && i < r->count; i++) {
        const struct repo_bucket *b = repo_bucket(r->repo, i);
        if (strcmp(b->config->name, name) != 0)
            continue;
        if (b->store != NULL)
            return DR_OK;
        *err = b->error;
        return b->dark ? dr_fail(err, DR_E_REFUSED, "bucket '%s' is in a dark region", name)
                       : err->rc;
    }
    if (name == NULL)
        return DR_OK;
    return dr_fail(err, DR_E_USAGE, "no bucket '%s' in the configuration", name);
}

static enum dr_rc begin(struct repair *r, struct dr_err *err)
{
    const struct repair_wish *w = r->wish;
    if (r->count > REPAIR_BUCKETS_MAX)
        return dr_fail(err, DR_E_CONFIG, "more than %d buckets", REPAIR_BUCKETS_MAX);
    r->holds = dr_alloc(r->count + 1, sizeof(r->holds[0]));
    r->report.buckets = dr_alloc(r->count + 1, sizeof(r->report.buckets[0]));
    r->report.bucket_count = r->count;
    for (size_t i = 0; i < r->count; i++) {
        const struct repo_bucket *b = repo_bucket(r->repo, i);
        const char *name = b->config->name;
        r->report.buckets[i].name = name;
        r->holds[i].store = b->store;
        r->holds[i].reads = w->from == NULL || strcmp(w->from, name) == 0;
        r->holds[i].writes = w->to == NULL || strcmp(w->to, name) == 0;
        if (b->store == NULL && !b->dark)
            repair_drop(r, i, &b->error);
    }
    DR_TRY(check_bucket(r, w->from, err));
    return check_bucket(r, w->to, err);
}

/* All buckets have what any of them has: what this host saw in one and is in none is lost, and was told. */
static void readmit(const struct repair *r)
{
    const struct repair_wish *w = r->wish;
    if (w->dry_run || w->from != NULL || w->to != NULL || w->snapshot != NULL || r->report.left > 0)
        return;
    DR_FREE char *folder =
        known_folder(repo_config(r->repo)->state_dir, repo_repository(r->repo)->id);
    DR_CLEANUP(text_list_fini) struct text_list listed = { 0 };
    bool all = true;
    for (size_t i = 0; i < r->count; i++) {
        const struct holding *h = &r->holds[i];
        if (h->open && !r->report.buckets[i].failed)
            known_readmit(folder, r->report.buckets[i].name);
        all = all && h->open && !r->report.buckets[i].failed;
        for (size_t k = 0; k < h->lists.count; k++)
            text_list_add(&listed, h->lists.items[k]);
    }
    if (all)
        known_gc_forget(folder, &listed);
}

enum dr_rc repair_run(struct repo *repo, const struct repair_wish *wish,
                      const struct work_hooks *hooks, struct repair_report *ret, struct dr_err *err)
{
    DR_CLEANUP(repair_fini)
    struct repair r = {
        .repo = repo, .wish = wish, .hooks = hooks, .count = repo_bucket_count(repo)
    };
    r.progress.doing = "repairing";
    DR_TRY(begin(&r, err));
    r.incomplete = false; /* a bucket that is closed lacks nothing that we would put */
    DR_TRY(repair_even_lists(&r, err));
    DR_TRY(repair_look(&r, err));
    DR_TRY(repair_copy(&r, err));
    DR_TRY(repair_heal(&r, err));
    if (!wish->dry_run)
        suspects_drop(repo_config(repo)->state_dir, &r.looked);
    readmit(&r);
    *ret = r.report;
    r.report = (struct repair_report){ 0 };
    return DR_OK;
}
