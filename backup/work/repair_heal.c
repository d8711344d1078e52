/*
 * Healing. Whoever is suspected is read again, whole; what was wrong only on its way is cleared of it. A damaged
 * pack is compared with a whole one of another bucket, frame by frame, so that the files are
 * named whose bytes are concerned and no others. The order at the end is what safety hangs on: the right bytes
 * are in our hands and checked, the bad object is removed and the removal answered, the right one is put.
 * Whoever dies between the two leaves a pack missing that was of no use, and the next repair copies it.
 */
#include <string.h>

#include "backup/work/reader.h"
#include "backup/work/repair_work.h"
#include "backup/work/suspects.h"
#include "dr/base/mem.h"

static struct repair_damage *add_damage(struct repair *r, size_t bucket, const char *object)
{
    struct repair_report *p = &r->report;
    p->damage = dr_realloc(p->damage, p->damage_count + 1, sizeof(p->damage[0]));
    struct repair_damage *d = &p->damage[p->damage_count++];
    *d = (struct repair_damage){ .bucket = p->buckets[bucket].name, .object = dr_strdup(object) };
    return d;
}

static void stays(struct repair *r, struct repair_damage *d, const char *why)
{
    d->why = dr_strdup(why);
    r->report.left++;
}

/* -- the files concerned ------------------------------------------------------------------- */

struct bytes { /* of a pack: as it is, and as it should be */
    const uint8_t *id;
    const struct spooled *bad; /* or NULL: nothing of it */
    const struct spooled *good;
};

static bool is_hurt(const struct bytes *b, const struct toc_piece *piece)
{
    uint64_t end = piece->offset + piece->stored;
    if (b->bad == NULL || end > b->bad->len || end > b->good->len || end < piece->offset)
        return true;
    return memcmp(b->bad->data + piece->offset, b->good->data + piece->offset,
                  (size_t)piece->stored) != 0;
}

static void add_file(struct repair_damage *d, const char *snapshot, const struct toc_record *rec)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    if (d->files.count >= REPAIR_FILES_MAX) {
        d->more++;
        return;
    }
    buf_addf(&line, "%s: ", snapshot);
    text_add_printable(&line, rec->path_len > 0 ? rec->path : ".",
                       rec->path_len > 0 ? rec->path_len : 1);
    text_list_add(&d->files, line.data);
}

static bool any_hurt(const struct toc_record *rec, const bool *hurt, size_t count)
{
    size_t pieces = (size_t)rec->nhead + rec->nchunk;
    for (size_t i = 0; i < (pieces > 0 ? pieces : 1); i++)
        if (rec->piece + i < count && hurt[rec->piece + i])
            return true;
    return false;
}

static enum dr_rc name_in(struct reader *reader, const struct bytes *b, struct repair_damage *d,
                          struct dr_err *err)
{
    for (size_t i = 0; i < reader_segment_count(reader); i++) {
        const struct segment *s = NULL;
        bool some = false;
        DR_TRY(reader_segment(reader, i, &s, err));
        DR_FREE bool *hurt = dr_alloc(s->toc.piece_count + 1, sizeof(*hurt));
        for (size_t k = 0; k < s->toc.piece_count; k++) {
            const struct toc_piece *p = &s->toc.pieces[k];
            hurt[k] = memcmp(s->toc.packs[p->pack], b->id, DIGEST_SIZE) == 0 && is_hurt(b, p);
            some |= hurt[k];
        }
        for (size_t k = 0; k < s->count && some; k++)
            if (any_hurt(&s->records[k], hurt, s->toc.piece_count))
                add_file(d, reader_snapshot(reader)->id, &s->records[k]);
    }
    return DR_OK;
}

/* In the newest snapshot where there are some: older ones mostly have the same. A snapshot that
 * cannot be read names nothing, and is told elsewhere. */
static void name_files(struct repair *r, const struct bytes *b, struct repair_damage *d)
{
    for (size_t i = r->list.count; i > 0 && d->files.count == 0; i--) {
        const struct snapshot_info *info = &r->list.items[i - 1];
        DR_CLEANUP(pack_names_fini) struct pack_names packs = { 0 };
        DR_CLEANUP(reader_close_ptr) struct reader *reader = NULL;
        struct work_hooks quiet = { 0 };
        struct dr_err why = { .rc = DR_OK };
        if (info->state == SNAPSHOT_REFUSED || repair_packs_of(r, info, &packs, &why) != DR_OK ||
            pack_names_find(&packs, b->id) == PACK_NAMES_NONE ||
            reader_open(r->repo, info, &quiet, &reader, &why) != DR_OK)
            continue;
        enum dr_rc rc = name_in(reader, b, d, &why);
        (void)rc; /* what could be named is */
    }
}

/* -- packs --------------------------------------------------------------------------------- */

static struct spooled *find_good(const struct repair *r, size_t except, const uint8_t *id)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct holding *h = &r->holds[i];
        struct spooled *pack = NULL;
        bool right = false;
        struct dr_err ignored = { .rc = DR_OK };
        if (i == except || !h->open || !h->reads || !holding_has(h, id))
            continue;
        if (repair_read(r, h->store, id, &pack, &right, &ignored) == DR_OK && right)
            return pack;
        spooled_drop(pack);
    }
    return NULL;
}

/* A removal that may still land must not meet what we put. */
static enum dr_rc replace(struct repair *r, size_t i, const char *name, const void *data,
                          size_t len, struct dr_err *err)
{
    struct store *s = r->holds[i].store;
    if (store_remove(s, name, err) != DR_OK)
        return dr_context(err, "the damaged object could not be removed, and stays");
    return repair_put(s, name, data, len, NULL, err);
}

static void mend(struct repair *r, size_t i, struct repair_damage *d, const void *data, size_t len)
{
    struct dr_err why = { .rc = DR_OK };
    if (!repair_writes(r, i))
        stays(r, d, "this bucket is not to be written");
    else if (r->wish->dry_run)
        d->healed = true;
    else if (replace(r, i, d->object, data, len, &why) != DR_OK)
        stays(r, d, why.msg);
    else {
        d->healed = true;
        r->report.buckets[i].healed++;
    }
}

static enum dr_rc heal_pack(struct repair *r, size_t i, const char *name, const uint8_t *id,
                            struct dr_err *err)
{
    struct dr_err why = { .rc = DR_OK };
    bool right = false;
    DR_CLEANUP(spooled_drop_ptr) struct spooled *bad = NULL;
    enum dr_rc rc = repair_read(r, r->holds[i].store, id, &bad, &right, &why);
    r->progress.bytes += bad != NULL ? bad->len : 0;
    if ((rc == DR_OK && right) || rc == DR_E_NOTFOUND)
        return repair_tell(r, err); /* it was the way, or there is nothing to heal */
    if (rc != DR_OK && rc != DR_E_CORRUPT) {
        repair_drop(r, i, &why);
        return DR_OK;
    }
    struct repair_damage *d = add_damage(r, i, name);
    DR_CLEANUP(spooled_drop_ptr) struct spooled *good = find_good(r, i, id);
    if (good == NULL) {
        stays(r, d, "no other bucket has it whole");
        if (pack_names_find(&r->lost, id) == PACK_NAMES_NONE) {
            (void)pack_names_add(&r->lost, id);
            r->report.lost++;
        }
        return repair_tell(r, err);
    }
    const struct bytes bytes = { id, bad, good };
    name_files(r, &bytes, d);
    mend(r, i, d, good->data, good->len);
    return repair_tell(r, err);
}

/* -- objects of snapshots ------------------------------------------------------------------ */

/* It is listed there, and whoever listed snapshots did not find it good there. */
static enum dr_rc heal_object(struct repair *r, size_t i, const struct snapshot_info *info,
                              struct dr_err *err)
{
    char name[NAMES_MAX];
    struct holding *h = &r->holds[i];
    struct snapshot s = { 0 };
    struct dr_err why = { .rc = DR_OK };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    names_of(NAMES_SNAPSHOTS, info->id, name);
    if (!h->open || !text_list_has_sorted(&h->snapshots, name) ||
        text_list_has(&info->buckets, h->store->name))
        return DR_OK;
    enum dr_rc rc = store_get_all(h->store, name, SNAPSHOT_SIZE_MAX, &object, &why);
    if (rc == DR_OK)
        rc = repo_judge(r->repo, name, &object, &s, &why);
    snapshot_fini(&s);
    if (rc != DR_E_CORRUPT && rc != DR_E_REFUSED)
        return DR_OK; /* right, gone, expired, or a bucket that does not answer */
    struct repair_damage *d = add_damage(r, i, name);
    buf_clear(&object);
    if (repair_object(r, info, &object, &why) != DR_OK)
        stays(r, d, why.msg);
    else
        mend(r, i, d, object.data, object.len);
    return repair_tell(r, err);
}

/* -- all ----------------------------------------------------------------------------------- */

static enum dr_rc heal_suspect(struct repair *r, const char *line, struct dr_err *err)
{
    uint8_t id[DIGEST_SIZE];
    const char *blank = strchr(line, ' ');
    for (size_t i = 0; i < r->count && blank != NULL; i++) {
        const char *bucket = r->report.buckets[i].name;
        size_t len = (size_t)(blank - line);
        if (strlen(bucket) != len || strncmp(bucket, line, len) != 0 || !r->holds[i].open)
            continue;
        text_list_add(&r->looked, line);
        if (names_parse_pack(blank + 1, id) && pack_names_find(&r->needed, id) != PACK_NAMES_NONE)
            return heal_pack(r, i, blank + 1, id, err);
    }
    return DR_OK;
}

enum dr_rc repair_heal(struct repair *r, struct dr_err *err)
{
    text_list_sort(&r->suspects);
    for (size_t i = 0; i < r->suspects.count; i++)
        if (i == 0 || strcmp(r->suspects.items[i], r->suspects.items[i - 1]) != 0)
            DR_TRY(heal_suspect(r, r->suspects.items[i], err));
    for (size_t k = 0; k < r->list.count; k++)
        for (size_t i = 0; i < r->count && r->list.items[k].state != SNAPSHOT_REFUSED; i++)
            DR_TRY(heal_object(r, i, &r->list.items[k], err));
    return DR_OK;
}
