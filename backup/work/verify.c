/*
 * Verify: is every object in every bucket, and (with data) is it right? Two questions are asked
 * apart. Of each bucket: has it each object, whole by its own name's digest? Of each snapshot: do
 * all pieces unpack to their digests, and is the recipe, the way without drctl, the same stream?
 * The first finds what repair has to copy, the second proves a restore; only it marks a snapshot
 * as proved. A piece that several snapshots share is read once: what was right stays right for
 * the rest of this run.
 */
#include <stdlib.h>
#include <string.h>

#include "backup/format/pack.h"
#include "backup/format/wire.h"
#include "backup/work/chunk_table.h"
#include "backup/work/reader.h"
#include "backup/work/suspects.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { READ_PART = 8 << 20, PROGRESS_MS = 100 };

struct verify {
    struct repo *repo;
    const struct work_hooks *hooks;
    bool data;
    struct verify_result result;
    struct text_list packs;      /* names of the packs all snapshots need, sorted */
    struct text_list suspects;   /* damaged: for repair's second look */
    struct store_entries *lists; /* of packs, by bucket, sorted; NULL with data. Owned */
    struct chunk_table *right;   /* pieces that were read, by place and digest */
    struct hash *hash;
    struct buf part;
    struct work_progress progress;
    int64_t told_ms;
};

static void verify_fini(struct verify *v)
{
    text_list_fini(&v->packs);
    text_list_fini(&v->suspects);
    for (size_t i = 0; v->lists != NULL && i < repo_bucket_count(v->repo); i++)
        store_entries_fini(&v->lists[i]);
    free(v->lists);
    chunk_table_free(v->right);
    hash_free(v->hash);
    buf_fini(&v->part);
}

static void warn(struct verify *v, const char *line)
{
    if (v->hooks != NULL && v->hooks->warning != NULL)
        v->hooks->warning(v->hooks->arg, line);
}

static enum dr_rc tell_progress(struct verify *v, struct dr_err *err)
{
    int64_t now = clock_boot_ms();
    v->progress.bytes = v->result.bytes;
    if (v->hooks == NULL || v->hooks->progress == NULL || now - v->told_ms < PROGRESS_MS)
        return DR_OK;
    v->told_ms = now;
    if (!v->hooks->progress(v->hooks->arg, &v->progress))
        return dr_fail(err, DR_E_CANCELLED, "the verification was stopped");
    return DR_OK;
}

/* -- one object in one bucket -------------------------------------------------------------- */

static enum dr_rc hash_object(struct verify *v, struct store *s, const char *name, uint64_t size,
                              struct dr_err *err)
{
    uint8_t digest[HASH_SIZE], expected[HASH_SIZE];
    hash_start(v->hash);
    for (uint64_t at = 0; at < size;) {
        size_t len = size - at < READ_PART ? (size_t)(size - at) : READ_PART;
        buf_clear(&v->part);
        DR_TRY(store_get(s, name, at, len, buf_reserve(&v->part, len), err));
        hash_add(v->hash, v->part.data, len);
        at += len;
        v->result.bytes += len;
        DR_TRY(tell_progress(v, err));
    }
    hash_end(v->hash, digest);
    if (!names_parse_pack(name, expected) || memcmp(digest, expected, HASH_SIZE) != 0)
        return dr_fail(err, DR_E_CORRUPT,
                       "bucket '%s': object '%s' is damaged: its digest is not "
                       "its name",
                       s->name, name);
    return DR_OK;
}

/* Without reading all: it is there, and ends as a pack ends (so it was not cut short). */
static enum dr_rc look_at_pack(struct verify *v, struct store *s, const char *name,
                               struct dr_err *err)
{
    uint64_t size = 0, table = 0;
    uint8_t tail[PACK_TAIL_SIZE];
    DR_TRY(store_head(s, name, &size, err));
    DR_FREE char *what = dr_strf("bucket '%s': object '%s'", s->name, name);
    if (size < PACK_TAIL_SIZE || size > PACK_SIZE_MAX)
        return dr_fail(err, DR_E_CORRUPT, "%s is damaged: it has %llu bytes", what,
                       (unsigned long long)size);
    if (v->data)
        return hash_object(v, s, name, size, err);
    DR_TRY(store_get(s, name, size - PACK_TAIL_SIZE, PACK_TAIL_SIZE, tail, err));
    v->result.bytes += PACK_TAIL_SIZE;
    if (pack_table_size(what, tail, size, &table, err) != DR_OK)
        return dr_fail(err, DR_E_CORRUPT, "%s is damaged or truncated: it does not end as a pack",
                       what);
    return DR_OK;
}

static enum dr_rc look_at_snapshot(struct verify *v, struct store *s, const char *name,
                                   struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct snapshot found = { 0 };
    DR_TRY(store_get_all(s, name, SNAPSHOT_SIZE_MAX, &object, err));
    v->result.bytes += object.len;
    enum dr_rc rc = repo_judge(v->repo, name, &object, &found, err);
    if (rc != DR_OK)
        return dr_context(err, "bucket '%s'", s->name);
    snapshot_fini(&found);
    return DR_OK;
}

typedef enum dr_rc look_fn(struct verify *v, struct store *s, const char *name, struct dr_err *err);

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct store_entry *)left)->name,
                  ((const struct store_entry *)right)->name);
}

/* One list a bucket instead of a question for each pack; a bucket that cannot be listed is asked. */
static void list_packs(struct verify *v)
{
    size_t count = repo_bucket_count(v->repo);
    v->lists = dr_alloc(count + 1, sizeof(v->lists[0]));
    for (size_t i = 0; i < count; i++) {
        struct store *s = repo_bucket(v->repo, i)->store;
        struct dr_err ignored = { .rc = DR_OK };
        if (s == NULL || store_list_sizes(s, NAMES_PACKS, &v->lists[i], &ignored) != DR_OK)
            continue;
        if (v->lists[i].count > 1)
            qsort(v->lists[i].items, v->lists[i].count, sizeof(v->lists[i].items[0]), by_name);
    }
}

/* Is it in every open bucket, in two at least, and of the same length in all? A single copy, or one that
 * differs, is looked at more closely. */
static bool is_listed_alike(const struct verify *v, const char *name, size_t *ret_copies)
{
    struct store_entry wanted = { .name = dr_strdup(name) };
    uint64_t size = 0;
    bool alike = v->lists != NULL;
    *ret_copies = 0;
    for (size_t i = 0; i < repo_bucket_count(v->repo) && alike; i++) {
        const struct store_entries *l = v->lists != NULL ? &v->lists[i] : NULL;
        if (repo_bucket(v->repo, i)->store == NULL)
            continue;
        const struct store_entry *e =
            l == NULL || l->count == 0
                ? NULL
                : bsearch(&wanted, l->items, l->count, sizeof(l->items[0]), by_name);
        alike = e != NULL && e->size >= PACK_TAIL_SIZE && (size == 0 || size == e->size);
        size = e != NULL ? e->size : 0;
        *ret_copies += alike;
    }
    free(wanted.name);
    return alike && *ret_copies >= 2;
}

/* In all buckets; an object that is right in none is lost. */
static enum dr_rc look_everywhere(struct verify *v, const char *name, look_fn *look,
                                  struct dr_err *err)
{
    size_t good = 0;
    for (size_t i = 0; i < repo_bucket_count(v->repo); i++) {
        struct store *s = repo_bucket(v->repo, i)->store;
        if (s == NULL)
            continue;
        v->result.objects++;
        struct dr_err why = { 0 };
        enum dr_rc rc = look(v, s, name, &why);
        if (rc == DR_E_CANCELLED) {
            *err = why;
            return rc;
        }
        if (rc == DR_OK) {
            good++;
        } else if (rc == DR_E_NOTFOUND) {
            v->result.missing++;
            DR_FREE char *line = dr_strf("bucket '%s': object '%s' is missing", s->name, name);
            warn(v, line);
        } else {
            DR_FREE char *suspect = suspects_line(s->name, name);
            text_list_add(&v->suspects, suspect);
            v->result.damaged++;
            warn(v, why.msg);
        }
    }
    if (good == 0) {
        v->result.lost++;
        DR_FREE char *line = dr_strf("object '%s' is right in no bucket", name);
        warn(v, line);
    }
    return tell_progress(v, err);
}

/* -- one snapshot -------------------------------------------------------------------------- */

/* The recipe is read beside the pieces: each must be the next bytes of its runs. Between two
 * pieces of a run lie digest frames only, which have no row. */
struct recipe {
    struct text_list lines;
    size_t next;
    struct list_run run;
    uint64_t at; /* in the pack */
};

static enum dr_rc follow(struct recipe *c, const struct fetch_piece *p, struct dr_err *err)
{
    bool in_run = c->next > 0 && memcmp(c->run.pack, p->pack, DIGEST_SIZE) == 0 &&
                  p->offset >= c->at && p->offset + p->stored <= c->run.offset + c->run.len;
    if (!in_run) {
        if (c->next == c->lines.count)
            return dr_fail(err, DR_E_CORRUPT, "the recipe ends before the table of contents");
        DR_TRY(list_parse_run(c->lines.items[c->next], &c->run, err));
        c->next++;
        bool fits = memcmp(c->run.pack, p->pack, DIGEST_SIZE) == 0 && c->run.offset == p->offset &&
                    c->run.len >= p->stored;
        if (!fits)
            return dr_fail(err, DR_E_CORRUPT,
                           "line %zu of the recipe is not what the table of contents says",
                           c->next);
    }
    c->at = p->offset + p->stored;
    return DR_OK;
}

static enum dr_rc get_list_frame(void *arg, const struct list_frame *frame, struct buf *out,
                                 struct dr_err *err)
{
    struct fetch_piece p = { .offset = frame->offset,
                             .stored = frame->stored,
                             .raw = frame->raw,
                             .raw_max = PIECE_RAW_MAX };
    memcpy(p.pack, frame->pack, DIGEST_SIZE);
    memcpy(p.id, frame->id, DIGEST_SIZE);
    const struct buf *bytes = NULL;
    DR_TRY(fetch_get(arg, &p, &bytes, err));
    buf_add(out, bytes->data, bytes->len);
    return DR_OK;
}

/* Place and digest of a piece in one digest. */
static void name_piece(const struct fetch_piece *p, uint8_t ret[DIGEST_SIZE])
{
    DR_CLEANUP(buf_fini) struct buf key = { 0 };
    buf_add(&key, p->pack, DIGEST_SIZE);
    buf_add(&key, p->id, DIGEST_SIZE);
    wire_add_varint(&key, p->offset);
    wire_add_varint(&key, p->stored);
    wire_add_varint(&key, p->raw);
    hash_bytes(key.data, key.len, ret);
}

static bool is_right(const struct verify *v, const struct fetch_piece *p)
{
    uint8_t key[DIGEST_SIZE];
    struct chunk_place place;
    name_piece(p, key);
    return chunk_table_find(v->right, key, &place);
}

static enum dr_rc read_piece(struct verify *v, struct fetch *f, const struct fetch_piece *p,
                             struct dr_err *err)
{
    const struct buf *bytes = NULL;
    uint8_t key[DIGEST_SIZE];
    DR_TRY(fetch_get(f, p, &bytes, err));
    name_piece(p, key);
    v->result.bytes += p->stored;
    DR_TRY(chunk_table_add(v->right, key, &(struct chunk_place){ .offset = 0 }, err));
    return tell_progress(v, err);
}

/* All pieces of a segment, directories or the others; read when data is asked for. */
static enum dr_rc verify_pieces(struct verify *v, struct reader *reader, size_t segment,
                                bool directories, struct recipe *recipe, struct dr_err *err)
{
    const struct segment *s = NULL;
    DR_TRY(reader_segment(reader, segment, &s, err));
    size_t count = s->toc.piece_count, planned = 0;
    DR_FREE struct fetch_piece *places = dr_alloc(count + 1, sizeof(*places));
    DR_CLEANUP(dr_free_ptr)
    const struct fetch_piece **plan = dr_alloc(count + 1, sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        if ((s->toc.pieces[i].kind == FRAME_DIRECTORIES) != directories)
            continue;
        places[planned] = reader_place(s, (uint32_t)i);
        plan[planned] = &places[planned];
        DR_TRY(follow(recipe, &places[planned], err));
        if (v->data && !is_right(v, &places[planned]))
            planned++;
    }
    fetch_plan(reader_fetch(reader), plan, planned);
    enum dr_rc rc = DR_OK;
    for (size_t i = 0; i < planned && rc == DR_OK; i++)
        rc = read_piece(v, reader_fetch(reader), plan[i], err);
    fetch_plan(reader_fetch(reader), NULL, 0);
    return rc;
}

static enum dr_rc verify_stream(struct verify *v, struct reader *reader, struct dr_err *err)
{
    struct recipe recipe = { 0 };
    enum dr_rc rc = list_expand(&reader_snapshot(reader)->recipe, get_list_frame,
                                reader_fetch(reader), &recipe.lines, err);
    for (int directories = 0; directories < 2; directories++) {
        for (size_t i = 0; i < reader_segment_count(reader) && rc == DR_OK; i++)
            rc = verify_pieces(v, reader, i, directories == 1, &recipe, err);
    }
    if (rc == DR_OK && recipe.next != recipe.lines.count)
        rc = dr_fail(err, DR_E_CORRUPT, "the recipe goes on behind the table of contents");
    text_list_fini(&recipe.lines);
    return rc;
}

static enum dr_rc need_packs(struct verify *v, struct reader *reader, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    DR_TRY(list_expand(&reader_snapshot(reader)->packs, get_list_frame, reader_fetch(reader),
                       &packs, err));
    for (size_t i = 0; i < packs.count; i++) {
        uint8_t id[DIGEST_SIZE];
        char name[NAMES_MAX];
        if (!hex_decode(packs.items[i], strlen(packs.items[i]), id, DIGEST_SIZE))
            return dr_fail(err, DR_E_CORRUPT, "its list of packs holds what is no pack");
        text_list_add(&v->packs, names_pack(id, name));
    }
    return DR_OK;
}

/* What makes it impossible to restore is told and counted, and the next snapshot is looked at. */
static enum dr_rc verify_snapshot(struct verify *v, const struct snapshot_info *info,
                                  struct dr_err *err)
{
    char name[NAMES_MAX];
    DR_TRY(look_everywhere(v, names_of(NAMES_SNAPSHOTS, info->id, name), look_at_snapshot, err));
    if (info->state == SNAPSHOT_REFUSED)
        return DR_OK; /* told by the look; nothing in it can be believed */
    DR_CLEANUP(reader_close_ptr) struct reader *reader = NULL;
    struct work_hooks quiet = { 0 }; /* the look at the packs tells each object, in each bucket */
    struct dr_err why = { 0 };
    enum dr_rc rc = reader_open(v->repo, info, &quiet, &reader, &why);
    if (rc == DR_OK)
        rc = need_packs(v, reader, &why);
    if (rc == DR_OK)
        rc = verify_stream(v, reader, &why);
    if (rc == DR_E_CANCELLED) {
        *err = why;
        return rc;
    }
    if (rc == DR_OK && v->data)
        return repo_mark_proved(v->repo, info->id, err);
    if (rc != DR_OK) {
        v->result.lost++;
        DR_FREE char *line = dr_strf("snapshot '%s' cannot be restored: %s", info->id, why.msg);
        warn(v, line);
    }
    return DR_OK;
}

/* -- all ----------------------------------------------------------------------------------- */

static void tell_closed(struct verify *v)
{
    for (size_t i = 0; i < repo_bucket_count(v->repo); i++) {
        const struct repo_bucket *b = repo_bucket(v->repo, i);
        v->result.objects += b->store != NULL; /* its repository object was read */
        if (b->store != NULL || b->dark)
            continue;
        v->result.objects++;
        if (b->error.rc == DR_E_NOTFOUND)
            v->result.missing++;
        else
            v->result.damaged++;
        DR_FREE char *line =
            dr_strf("%s%s%s", b->error.msg, b->error.hint[0] != '\0' ? ". " : "", b->error.hint);
        warn(v, line);
    }
}

static enum dr_rc verify_pack(struct verify *v, const char *name, struct dr_err *err)
{
    size_t copies = 0;
    if (!is_listed_alike(v, name, &copies))
        return look_everywhere(v, name, look_at_pack, err);
    v->result.objects += copies;
    return tell_progress(v, err);
}

enum dr_rc verify_run(struct repo *r, const char *source, bool data, const struct work_hooks *hooks,
                      struct verify_result *ret, struct dr_err *err)
{
    DR_CLEANUP(verify_fini) struct verify v = { .repo = r, .hooks = hooks, .data = data };
    v.hash = hash_new();
    v.right = chunk_table_new(repo_config(r)->state_dir);
    v.progress.doing = "verifying";
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    DR_TRY(repo_snapshots(r, source, &list, err));
    tell_closed(&v);
    if (!data)
        list_packs(&v);
    for (size_t i = 0; i < list.count; i++)
        DR_TRY(verify_snapshot(&v, &list.items[i], err));
    text_list_sort(&v.packs);
    for (size_t i = 0; i < v.packs.count; i++) {
        if (i == 0 || strcmp(v.packs.items[i], v.packs.items[i - 1]) != 0)
            DR_TRY(verify_pack(&v, v.packs.items[i], err));
    }
    suspects_add(repo_config(r)->state_dir, &v.suspects);
    *ret = v.result;
    return DR_OK;
}
