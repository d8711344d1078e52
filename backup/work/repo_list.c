/*
 * What lies in the open buckets: every snapshot with its state. One
 * good copy makes a snapshot good, however many bad ones lie elsewhere; one that is good nowhere
 * is listed as refused with the reason, and never chosen.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/format/codec.h"
#include "backup/work/gc.h"
#include "backup/work/repo_inside.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/data/json.h"

void snapshot_info_fini(struct snapshot_info *info)
{
    free(info->source);
    free(info->kind);
    free(info->why);
    free(info->parent);
    text_list_fini(&info->tags);
    text_list_fini(&info->buckets);
    *info = (struct snapshot_info){ 0 };
}

void snapshot_list_fini(struct snapshot_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        snapshot_info_fini(&list->items[i]);
    free(list->items);
    *list = (struct snapshot_list){ 0 };
}

static void sort_unique(struct text_list *l)
{
    size_t kept = 0;
    text_list_sort(l);
    for (size_t i = 0; i < l->count; i++) {
        if (kept > 0 && strcmp(l->items[kept - 1], l->items[i]) == 0)
            free(l->items[i]);
        else
            l->items[kept++] = l->items[i];
    }
    l->count = kept;
}

/* What one bucket holds, by name. */
struct holding {
    struct store *store;
    struct text_list snapshots; /* sorted object names */
    struct text_list expired;   /* ids */
};

struct lister {
    struct repo *repo;
    struct holding *from; /* owned */
    size_t from_count;
    struct text_list all;    /* names of snapshot objects in any bucket, sorted */
    struct text_list packs;  /* names of packs in any bucket, sorted */
    struct text_list proofs; /* likewise */
};

static void lister_fini(struct lister *l)
{
    for (size_t i = 0; i < l->from_count; i++) {
        text_list_fini(&l->from[i].snapshots);
        text_list_fini(&l->from[i].expired);
    }
    free(l->from);
    text_list_fini(&l->all);
    text_list_fini(&l->packs);
    text_list_fini(&l->proofs);
}

/* -- gathering ----------------------------------------------------------------------------- */

static enum dr_rc list_bucket(struct lister *l, struct holding *h, struct dr_err *err)
{
    DR_TRY(store_list(h->store, NAMES_SNAPSHOTS, &h->snapshots, err));
    DR_TRY(store_list(h->store, NAMES_PACKS, &l->packs, err));
    DR_TRY(store_list(h->store, NAMES_PROOFS, &l->proofs, err));
    for (size_t i = 0; i < h->snapshots.count; i++)
        text_list_add(&l->all, h->snapshots.items[i]);
    gc_expired(h->store, &h->expired);
    return DR_OK;
}

/* A bucket that cannot be listed says nothing about the others. */
static enum dr_rc gather(struct lister *l, struct dr_err *err)
{
    size_t count = repo_bucket_count(l->repo);
    l->from = dr_alloc(count + 1, sizeof(l->from[0]));
    for (size_t i = 0; i < count; i++) {
        struct repo_bucket *b = repo_bucket(l->repo, i);
        if (b->store == NULL)
            continue;
        struct holding *h = &l->from[l->from_count++];
        h->store = b->store;
        if (list_bucket(l, h, &b->error) == DR_OK)
            continue;
        *err = b->error;
        text_list_fini(&h->snapshots);
        text_list_fini(&h->expired);
        l->from_count--;
    }
    if (l->from_count == 0)
        return dr_context(err, "no bucket can be listed");
    sort_unique(&l->all);
    sort_unique(&l->packs);
    sort_unique(&l->proofs);
    return DR_OK;
}

/* -- one snapshot -------------------------------------------------------------------------- */

void snapshot_info_fill(struct snapshot_info *info, const struct snapshot *s)
{
    info->source = dr_strdup(s->source);
    info->kind = dr_strdup(s->kind);
    info->epoch = s->epoch;
    info->start_ns = s->start_ns;
    info->end_ns = s->end_ns;
    info->files = s->files;
    info->entries = s->entries;
    info->bytes = s->bytes;
    info->stored = s->stored;
    info->parent = s->parent != NULL ? dr_strdup(s->parent) : NULL;
    for (size_t i = 0; i < s->tags.count; i++)
        text_list_add(&info->tags, s->tags.items[i]);
}

enum dr_rc repo_list_frame(void *arg, const struct list_frame *frame, struct buf *out,
                           struct dr_err *err)
{
    struct repo *r = arg;
    char name[NAMES_MAX];
    names_pack(frame->pack, name);
    DR_CLEANUP(codec_free_ptr) struct codec *codec = codec_new(CODEC_LEVEL);
    DR_CLEANUP(buf_fini) struct buf stored = { 0 };
    if (frame->raw > PIECE_RAW_MAX || frame->stored > frame->raw + FRAME_SLACK)
        return dr_fail(err, DR_E_CORRUPT, "'%s': a frame of impossible size", name);
    dr_fail(err, DR_E_NOTFOUND, "object '%s' is in no open bucket", name);
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        struct store *s = repo_bucket(r, i)->store;
        const struct codec_frame f = { .data = buf_reserve(&stored, frame->stored),
                                       .len = frame->stored,
                                       .raw_len = frame->raw,
                                       .raw_max = PIECE_RAW_MAX,
                                       .id = frame->id };
        if (s != NULL &&
            store_get(s, name, frame->offset, frame->stored, stored.data, err) == DR_OK &&
            codec_open(codec, name, &f, out, err) == DR_OK)
            return DR_OK;
    }
    return err->rc;
}

/* Are all packs in some open bucket? Says in why which are not. */
static bool is_complete(const struct lister *l, const struct snapshot *s, char **why)
{
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    struct dr_err err = { 0 };
    if (list_expand(&s->packs, repo_list_frame, l->repo, &packs, &err) != DR_OK) {
        *why = dr_strf("its list of packs cannot be read: %s", err.msg);
        return false;
    }
    size_t missing = 0;
    const char *example = NULL;
    for (size_t i = 0; i < packs.count; i++) {
        DR_FREE char *name = dr_strf(NAMES_PACKS "%.2s/%s", packs.items[i], packs.items[i]);
        if (text_list_has_sorted(&l->packs, name))
            continue;
        missing++;
        example = packs.items[i];
    }
    if (missing > 0)
        *why = dr_strf("%zu of its %zu packs are in no bucket that can be read ('%s' ...)", missing,
                       packs.count, example);
    return missing == 0;
}

static int64_t newest_proof(const struct lister *l, const char *id)
{
    DR_FREE char *prefix = dr_strf(NAMES_PROOFS "%s/", id);
    int64_t newest = 0;
    for (size_t i = 0; i < l->proofs.count; i++) {
        if (!text_starts(l->proofs.items[i], prefix))
            continue;
        long long ns = strtoll(l->proofs.items[i] + strlen(prefix), NULL, 10);
        newest = ns > newest ? ns : newest;
    }
    return newest;
}

/* Where nothing in the object can be believed, its name at least tells whose it would be. */
static char *source_of_id(const char *id)
{
    size_t len = strlen(id);
    for (int dashes = 0; len > 0 && dashes < 2; len--)
        dashes += id[len - 1] == '-';
    return dr_memdup(id, len);
}

static void look_at(struct lister *l, const char *name, struct snapshot_info *info)
{
    *info = (struct snapshot_info){ .state = SNAPSHOT_REFUSED };
    const char *id = name + strlen(NAMES_SNAPSHOTS);
    snprintf(info->id, sizeof(info->id), "%s", id);
    struct snapshot good = { 0 };
    bool have = false, expired = false;
    DR_CLEANUP(buf_fini) struct buf reasons = { 0 };
    for (size_t i = 0; i < l->from_count; i++) {
        struct holding *h = &l->from[i];
        if (!text_list_has_sorted(&h->snapshots, name))
            continue;
        struct dr_err err = { 0 };
        struct snapshot s = { 0 };
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        if (store_get_all(h->store, name, SNAPSHOT_SIZE_MAX, &object, &err) != DR_OK ||
            repo_judge(l->repo, name, &object, &s, &err) != DR_OK) {
            buf_addf(&reasons, "%sbucket '%s': %s", reasons.len > 0 ? "; " : "", h->store->name,
                     err.msg);
        } else if (text_list_has(&h->expired, id)) {
            expired = true;
            snapshot_fini(&s);
        } else {
            text_list_add(&info->buckets, h->store->name);
            if (have)
                snapshot_fini(&good);
            good = s;
            have = true;
        }
    }
    if (have) {
        snapshot_info_fill(info, &good);
        info->state = is_complete(l, &good, &info->why) ? SNAPSHOT_GOOD : SNAPSHOT_INCOMPLETE;
        info->proved_ns = newest_proof(l, id);
        snapshot_fini(&good);
        return;
    }
    info->source = source_of_id(id);
    info->kind = dr_strdup("unknown");
    info->why =
        reasons.len > 0 ? buf_take(&reasons) : dr_strdup(expired ? "expired" : "unreadable");
}

/* A writer that was fenced goes on under its old epoch: what it took after the next one began is
 * not to be believed. */
static void refuse_old_epochs(struct snapshot_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct snapshot_info *a = &list->items[i];
        for (size_t k = 0; k < list->count && a->state != SNAPSHOT_REFUSED; k++) {
            const struct snapshot_info *b = &list->items[k];
            if (b->state == SNAPSHOT_REFUSED || b->epoch <= a->epoch ||
                a->start_ns <= b->start_ns || strcmp(a->source, b->source) != 0)
                continue;
            a->state = SNAPSHOT_REFUSED;
            free(a->why);
            a->why = dr_strf("taken under epoch %lld after epoch %lld had begun",
                             (long long)a->epoch, (long long)b->epoch);
        }
    }
}

static int by_age(const void *left, const void *right)
{
    const struct snapshot_info *a = left, *b = right;
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    if (a->end_ns != b->end_ns)
        return a->end_ns < b->end_ns ? -1 : 1;
    return strcmp(a->id, b->id);
}

enum dr_rc repo_snapshots(struct repo *r, const char *source, struct snapshot_list *ret,
                          struct dr_err *err)
{
    DR_CLEANUP(lister_fini) struct lister l = { .repo = r };
    DR_TRY(gather(&l, err));
    struct snapshot_list list = { .items = dr_alloc(l.all.count + 1, sizeof(list.items[0])) };
    for (size_t i = 0; i < l.all.count; i++) {
        struct snapshot_info *info = &list.items[list.count];
        look_at(&l, l.all.items[i], info);
        if (source != NULL && strcmp(source, info->source) != 0)
            snapshot_info_fini(info);
        else
            list.count++;
    }
    refuse_old_epochs(&list);
    if (list.count > 0)
        qsort(list.items, list.count, sizeof(list.items[0]), by_age);
    *ret = list;
    return DR_OK;
}

/* -- proofs -------------------------------------------------------------------------------- */

int64_t repo_proved_ns(struct repo *r, const char *id)
{
    DR_CLEANUP(lister_fini) struct lister l = { .repo = r };
    DR_FREE char *prefix = dr_strf(NAMES_PROOFS "%s/", id);
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        struct dr_err ignored = { 0 };
        struct store *s = repo_bucket(r, i)->store;
        enum dr_rc rc = s != NULL ? store_list(s, prefix, &l.proofs, &ignored) : DR_OK;
        (void)rc; /* who cannot be listed tells of no proof */
    }
    return newest_proof(&l, id);
}

enum dr_rc repo_mark_proved(struct repo *r, const char *id, struct dr_err *err)
{
    int64_t now = clock_wall_ns();
    uint8_t noise[4];
    char hex[2 * sizeof(noise) + 1];
    random_bytes(noise, sizeof(noise));
    DR_FREE char *name = dr_strf(NAMES_PROOFS "%s/%020lld-%s", id, (long long)now,
                                 hex_encode(noise, sizeof(noise), hex));
    char host[256] = "";
    (void)gethostname(host, sizeof(host) - 1); /* for people: without it the proof is as good */
    DR_JSON json_t *body = json_object();
    json_put(body, "host", json_printable(host));
    json_put_int(body, "proved_ns", now);
    json_put_text(body, "snapshot", id);
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    sealed_encode(body, "drctl-proof", &object);
    size_t kept = 0;
    dr_fail(err, DR_E_NOTFOUND, "no bucket is open");
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        struct store *s = repo_bucket(r, i)->store;
        if (s != NULL && store_put(s, name, object.data, object.len, err) == DR_OK)
            kept++;
    }
    return kept > 0 ? DR_OK : err->rc;
}
