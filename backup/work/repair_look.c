/*
 * The look before the work: what lies in which bucket, and what belongs into all.
 *
 * Small lists are evened out first, since they decide what is visible. They are write-once under their
 * names, so one whole copy is as good as another, and a set union is all there is to do.
 */
#include <string.h>

#include "backup/format/sealed.h"
#include "backup/format/signed.h"
#include "backup/work/fetch.h"
#include "backup/work/repair_work.h"
#include "backup/work/suspects.h"
#include "dr/base/mem.h"

/* -- what a bucket holds ------------------------------------------------------------------- */

void holding_fini(struct holding *h)
{
    pack_names_fini(&h->packs);
    free(h->sizes);
    text_list_fini(&h->snapshots);
    text_list_fini(&h->lists);
}

void holding_add(struct holding *h, const uint8_t id[DIGEST_SIZE], uint64_t size)
{
    uint32_t at = pack_names_add(&h->packs, id);
    if (at >= h->size_cap) {
        h->size_cap = at < 64 ? 128 : at * 2;
        h->sizes = dr_realloc(h->sizes, h->size_cap, sizeof(h->sizes[0]));
    }
    h->sizes[at] = size;
}

bool holding_has(const struct holding *h, const uint8_t id[DIGEST_SIZE])
{
    return pack_names_find(&h->packs, id) != PACK_NAMES_NONE;
}

uint64_t holding_size(const struct holding *h, const uint8_t id[DIGEST_SIZE])
{
    uint32_t at = pack_names_find(&h->packs, id);
    return at == PACK_NAMES_NONE ? 0 : h->sizes[at];
}

static enum dr_rc list_packs(struct holding *h, struct dr_err *err)
{
    DR_CLEANUP(store_entries_fini) struct store_entries all = { 0 };
    DR_TRY(store_list_sizes(h->store, NAMES_PACKS, &all, err));
    for (size_t i = 0; i < all.count; i++) {
        uint8_t id[DIGEST_SIZE];
        if (names_parse_pack(all.items[i].name, id))
            holding_add(h, id, all.items[i].size);
    }
    return DR_OK;
}

/* -- lists --------------------------------------------------------------------------------- */

static const struct kind {
    const char *prefix, *seal; /* seal NULL: signed by its last line */
} kinds[] = { { NAMES_GC, "drctl-gc" },        { NAMES_MEMBERS, "drctl-members" },
              { NAMES_PINS, "drctl-pin" },     { NAMES_PROOFS, "drctl-proof" },
              { NAMES_EPOCHS, "drctl-epoch" }, { NAMES_LEDGER, NULL } };

static enum dr_rc list_small(struct holding *h, struct dr_err *err)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds); i++)
        DR_TRY(store_list(h->store, kinds[i].prefix, &h->lists, err));
    text_list_sort(&h->lists);
    return DR_OK;
}

static const struct kind *kind_of(const char *name)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds); i++)
        if (text_starts(name, kinds[i].prefix))
            return &kinds[i];
    return NULL;
}

static void note_expired(struct repair *r, const json_t *body)
{
    const json_t *ids = json_object_get(body, "snapshots");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        if (id != NULL)
            text_list_add(&r->expired, id);
    }
}

/* The first whole copy. Gone everywhere is fine: it was merged into a later one. */
static enum dr_rc read_small(struct repair *r, const char *name, struct buf *ret,
                             struct dr_err *err)
{
    const struct kind *kind = kind_of(name);
    enum dr_rc rc = dr_fail(err, DR_E_NOTFOUND, "object '%s' is in no bucket", name);
    for (size_t i = 0; i < r->count && rc != DR_OK; i++) {
        DR_JSON json_t *body = NULL;
        char writer[KEYS_TEXT_MAX];
        size_t len = 0;
        struct holding *h = &r->holds[i];
        if (!h->open || !h->reads || !text_list_has_sorted(&h->lists, name))
            continue;
        buf_clear(ret);
        rc = store_get_all(h->store, name, SEALED_SIZE_MAX, ret, err);
        if (rc == DR_OK && kind->seal != NULL)
            rc = sealed_parse(name, kind->seal, ret->data, ret->len, &body, err);
        else if (rc == DR_OK)
            rc = signed_check_last(name, ret, writer, &len, err);
        if (rc == DR_OK && strcmp(kind->prefix, NAMES_GC) == 0)
            note_expired(r, body);
    }
    return rc;
}

static bool lacks(const struct repair *r, size_t i, const char *name)
{
    return r->holds[i].open && !text_list_has_sorted(&r->holds[i].lists, name);
}

static void put_small(struct repair *r, const char *name, const struct buf *object)
{
    for (size_t i = 0; i < r->count; i++) {
        struct repair_bucket *b = &r->report.buckets[i];
        struct dr_err why = { .rc = DR_OK };
        if (!lacks(r, i, name) || !repair_writes(r, i))
            continue;
        if (!r->wish->dry_run &&
            repair_put(r->holds[i].store, name, object->data, object->len, NULL, &why) != DR_OK) {
            repair_drop(r, i, &why);
            continue;
        }
        b->lists++;
        b->came_back |= text_starts(name, NAMES_GC) || text_starts(name, NAMES_MEMBERS);
    }
}

static enum dr_rc even_out(struct repair *r, const char *name, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct dr_err why = { .rc = DR_OK };
    bool missing = false;
    for (size_t i = 0; i < r->count; i++)
        missing |= lacks(r, i, name);
    if (!missing)
        return DR_OK;
    enum dr_rc rc = read_small(r, name, &object, &why);
    if (rc == DR_OK)
        put_small(r, name, &object);
    else if (rc != DR_E_NOTFOUND) {
        r->report.left++;
        repair_warn(r, why.msg);
        /* Without what it condemns and expires the bucket that lacks it must take nothing. */
        for (size_t i = 0; i < r->count; i++)
            if (lacks(r, i, name) && text_starts(name, NAMES_GC))
                repair_drop(r, i, &why);
    }
    return repair_tell(r, err);
}

/* A bucket that cannot be listed takes no part. */
static void list_all(struct repair *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct holding *h = &r->holds[i];
        struct dr_err why = { .rc = DR_OK };
        h->open = h->store != NULL && list_small(h, &why) == DR_OK;
        if (h->store != NULL && !h->open)
            repair_drop(r, i, &why);
    }
}

enum dr_rc repair_even_lists(struct repair *r, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    list_all(r);
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < r->holds[i].lists.count && r->holds[i].open; k++)
            text_list_add(&all, r->holds[i].lists.items[k]);
    text_list_sort(&all); /* "gc/" is in front of all others */
    for (size_t i = 0; i < all.count; i++)
        if (i == 0 || strcmp(all.items[i], all.items[i - 1]) != 0)
            DR_TRY(even_out(r, all.items[i], err));
    text_list_sort(&r->expired);
    return DR_OK;
}

/* -- which packs --------------------------------------------------------------------------- */

struct naming {
    struct fetch *fetch;
    struct pack_names *packs;
};

/* Frames of the list lie in packs that its text need not name. */
static enum dr_rc get_frame(void *arg, const struct list_frame *frame, struct buf *out,
                            struct dr_err *err)
{
    struct naming *n = arg;
    struct fetch_piece p = { .offset = frame->offset,
                             .stored = frame->stored,
                             .raw = frame->raw,
                             .raw_max = PIECE_RAW_MAX };
    const struct buf *bytes = NULL;
    memcpy(p.pack, frame->pack, DIGEST_SIZE);
    memcpy(p.id, frame->id, DIGEST_SIZE);
    (void)pack_names_add(n->packs, frame->pack); /* its number does not matter */
    DR_TRY(fetch_get(n->fetch, &p, &bytes, err));
    buf_add(out, bytes->data, bytes->len);
    return DR_OK;
}

enum dr_rc repair_packs_of(struct repair *r, const struct snapshot_info *info,
                           struct pack_names *ret, struct dr_err *err)
{
    DR_CLEANUP(fetch_free_ptr) struct fetch *fetch = fetch_new(r->repo, NULL);
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    DR_CLEANUP(snapshot_fini) struct snapshot s = { 0 };
    struct naming n = { fetch, ret };
    fetch_prefer(fetch, &info->buckets);
    DR_TRY(repo_load(r->repo, info->id, NULL, NULL, &s, err));
    DR_TRY(list_expand(&s.packs, get_frame, &n, &lines, err));
    for (size_t i = 0; i < lines.count; i++) {
        uint8_t id[DIGEST_SIZE];
        if (!hex_decode(lines.items[i], strlen(lines.items[i]), id, DIGEST_SIZE))
            return dr_fail(err, DR_E_CORRUPT,
                           "snapshot '%s': a list of packs holds what is no pack", info->id);
        (void)pack_names_add(ret, id);
    }
    return DR_OK;
}

static bool is_wanted(const struct repair *r, const struct snapshot_info *info)
{
    return info->state != SNAPSHOT_REFUSED && !text_list_has_sorted(&r->expired, info->id) &&
           (r->wish->snapshot == NULL || strcmp(r->wish->snapshot, info->id) == 0);
}

static enum dr_rc gather_needed(struct repair *r, struct dr_err *err)
{
    struct snapshot_list *l = &r->list;
    r->ends = dr_alloc(l->count + 1, sizeof(r->ends[0]));
    for (size_t i = l->count; i > 0; i--) {
        const struct snapshot_info *info = &l->items[i - 1];
        struct dr_err why = { .rc = DR_OK };
        if (is_wanted(r, info)) {
            r->report.snapshots++;
            if (repair_packs_of(r, info, &r->needed, &why) != DR_OK) {
                r->report.lost++;
                r->incomplete = true;
                repair_warn(r, why.msg);
            }
            DR_TRY(repair_tell(r, err));
        } else {
            l->items[i - 1].state = SNAPSHOT_REFUSED; /* for us: nothing is done for it */
        }
        r->ends[i - 1] = r->needed.count;
    }
    if (r->wish->snapshot != NULL && r->report.snapshots == 0)
        return dr_fail(err, DR_E_NOTFOUND, "snapshot '%s' is not there, refused, or expired",
                       r->wish->snapshot);
    return DR_OK;
}

/* Copies of different lengths cannot all be right. */
static void suspect_sizes(struct repair *r, const uint8_t id[DIGEST_SIZE])
{
    char name[NAMES_MAX];
    uint64_t size = UINT64_MAX;
    bool differ = false;
    for (size_t i = 0; i < r->count; i++) {
        if (!r->holds[i].open || !holding_has(&r->holds[i], id))
            continue;
        uint64_t one = holding_size(&r->holds[i], id);
        differ |= one == 0 || (size != UINT64_MAX && size != one);
        size = one;
    }
    for (size_t i = 0; i < r->count; i++)
        if ((differ || r->wish->data) && r->holds[i].open && holding_has(&r->holds[i], id))
            repair_suspect(r, i, names_pack(id, name));
}

enum dr_rc repair_look(struct repair *r, struct dr_err *err)
{
    DR_TRY(repo_snapshots(r->repo, NULL, &r->list, err));
    for (size_t i = 0; i < r->count; i++) {
        struct holding *h = &r->holds[i];
        struct dr_err why = { .rc = DR_OK };
        if (!h->open)
            continue;
        enum dr_rc rc = store_list(h->store, NAMES_SNAPSHOTS, &h->snapshots, &why);
        if (rc == DR_OK)
            rc = list_packs(h, &why);
        h->open = rc == DR_OK;
        if (!h->open)
            repair_drop(r, i, &why);
        text_list_sort(&h->snapshots);
    }
    DR_TRY(gather_needed(r, err));
    for (uint32_t i = 0; i < r->needed.count; i++)
        suspect_sizes(r, pack_names_of(&r->needed, i));
    suspects_read(repo_config(r->repo)->state_dir, &r->suspects);
    return DR_OK;
}
