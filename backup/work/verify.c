/*
 * Verify: is every object in every bucket, and (with data) is it right? Two questions are asked
 * apart. Of each bucket: has it each object, whole by its own name's digest? Of each snapshot: do
 * all pieces unpack to their digests, and is the recipe, the way without drctl, the same stream?
 * The first finds what repair has to copy, the second proves a restore; only it marks a snapshot
 * as proved. A piece that several snapshots share is read once: what was right stays right for
 * the rest of this run. Threads read (verify_crew.h); what came of it is told and counted here.
 */
#include <stdlib.h>
#include <string.h>

#include "backup/format/pack.h"
#include "backup/format/wire.h"
#include "backup/work/chunk_table.h"
#include "backup/work/reader.h"
#include "backup/work/suspects.h"
#include "backup/work/verify_crew.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { PROGRESS_MS = 100, THREADS_FAR = 8 };

struct verify {
    struct repo *repo;
    const struct work_hooks *hooks;
    bool data;
    unsigned threads;
    struct verify_crew
        *crew; /* at work on packs, or on the pieces of a snapshot; NULL: none. Owned */
    struct verify_result result;
    struct text_list packs;      /* names of the packs all snapshots need, sorted */
    struct text_list suspects;   /* damaged: for repair's second look */
    struct store_entries *lists; /* of packs, by bucket, sorted; NULL with data. Owned */
    struct chunk_table *right;   /* pieces that were read, by place and digest */
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
    verify_crew_free(v->crew);
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

/* What a look at an object in one bucket said. */
static void tell_look(struct verify *v, const char *name, const struct verify_look *look)
{
    v->result.objects++;
    if (look->rc == DR_OK)
        return;
    if (look->rc == DR_E_NOTFOUND) {
        v->result.missing++;
        DR_FREE char *line =
            dr_strf("bucket '%s': object '%s' is missing", look->store->name, name);
        warn(v, line);
        return;
    }
    DR_FREE char *suspect = suspects_line(look->store->name, name);
    text_list_add(&v->suspects, suspect);
    v->result.damaged++;
    warn(v, look->err.msg);
}

/* Of all buckets; an object that is right in none is lost. */
static void tell_looks(struct verify *v, const char *name, const struct verify_look *looks,
                       size_t count)
{
    size_t good = 0;
    for (size_t i = 0; i < count; i++) {
        tell_look(v, name, &looks[i]);
        good += looks[i].rc == DR_OK;
    }
    if (good > 0)
        return;
    v->result.lost++;
    DR_FREE char *line = dr_strf("object '%s' is right in no bucket", name);
    warn(v, line);
}

/* A look for each open bucket, not taken yet. The caller frees. */
static struct verify_look *open_buckets(const struct verify *v, size_t *ret_count)
{
    size_t n = 0;
    struct verify_look *looks = dr_alloc(repo_bucket_count(v->repo) + 1, sizeof(*looks));
    for (size_t i = 0; i < repo_bucket_count(v->repo); i++) {
        struct store *s = repo_bucket(v->repo, i)->store;
        if (s != NULL)
            looks[n++].store = s;
    }
    *ret_count = n;
    return looks;
}

static enum dr_rc look_at_snapshots(struct verify *v, const char *name, struct dr_err *err)
{
    size_t count = 0;
    DR_FREE struct verify_look *looks = open_buckets(v, &count);
    for (size_t i = 0; i < count; i++)
        looks[i].rc = look_at_snapshot(v, looks[i].store, name, &looks[i].err);
    tell_looks(v, name, looks, count);
    return tell_progress(v, err);
}

/* -- threads -------------------------------------------------------------------------------- */

/* A bucket behind a network is waited for, not worked for. */
static unsigned threads_for(struct repo *r, unsigned wish)
{
    for (size_t i = 0; wish > 0 && i < repo_bucket_count(r); i++) {
        const struct store *s = repo_bucket(r, i)->store;
        if (s != NULL && store_parallel(s) > 1)
            return THREADS_FAR;
    }
    return wish;
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

/* Count and tell what came of the oldest job. */
static enum dr_rc settle(struct verify *v, struct dr_err *err)
{
    DR_CLEANUP(verify_job_free_ptr) struct verify_job *j = verify_crew_take(v->crew);
    v->result.bytes += j->bytes;
    if (j->name != NULL) {
        tell_looks(v, j->name, j->looks, j->count);
        return tell_progress(v, err);
    }
    for (size_t i = 0; i < j->right; i++) {
        uint8_t key[DIGEST_SIZE];
        name_piece(&j->pieces[i], key);
        DR_TRY(chunk_table_add(v->right, key, &(struct chunk_place){ .offset = 0 }, err));
    }
    if (j->rc != DR_OK) {
        *err = j->err;
        return dr_not_ok(j->rc);
    }
    return tell_progress(v, err);
}

static enum dr_rc give(struct verify *v, struct verify_job *j, struct dr_err *err)
{
    if (verify_crew_full(v->crew)) {
        enum dr_rc rc = settle(v, err);
        if (rc != DR_OK) {
            verify_job_free(j);
            return rc;
        }
    }
    verify_crew_give(v->crew, j);
    return DR_OK;
}

static enum dr_rc settle_all(struct verify *v, struct dr_err *err)
{
    while (verify_crew_count(v->crew) > 0)
        DR_TRY(settle(v, err));
    return DR_OK;
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

static bool is_right(const struct verify *v, const struct fetch_piece *p)
{
    uint8_t key[DIGEST_SIZE];
    struct chunk_place place;
    name_piece(p, key);
    return chunk_table_find(v->right, key, &place);
}

/* Pieces that lie close together are one job. */
static enum dr_rc read_pieces(struct verify *v, const struct fetch_piece *pieces, size_t count,
                              struct dr_err *err)
{
    for (size_t from = 0, n; from < count; from += n) {
        uint64_t bytes = 0;
        for (n = 0; from + n < count && bytes < FETCH_WINDOW; n++)
            bytes += pieces[from + n].stored;
        struct verify_job *j = dr_alloc(1, sizeof(*j));
        j->pieces = dr_alloc(n, sizeof(*j->pieces));
        memcpy(j->pieces, &pieces[from], n * sizeof(*j->pieces));
        j->count = n;
        DR_TRY(give(v, j, err));
    }
    return DR_OK;
}

/* All pieces of a segment, directories or the others; read when data is asked for. */
static enum dr_rc verify_pieces(struct verify *v, struct reader *reader, size_t segment,
                                bool directories, struct recipe *recipe, struct dr_err *err)
{
    const struct segment *s = NULL;
    DR_TRY(reader_segment(reader, segment, &s, err));
    size_t count = s->toc.piece_count, planned = 0;
    DR_FREE struct fetch_piece *places = dr_alloc(count + 1, sizeof(*places));
    for (size_t i = 0; i < count; i++) {
        if ((s->toc.pieces[i].kind == FRAME_DIRECTORIES) != directories)
            continue;
        places[planned] = reader_place(s, (uint32_t)i);
        DR_TRY(follow(recipe, &places[planned], err));
        if (v->data && !is_right(v, &places[planned]))
            planned++;
    }
    return read_pieces(v, places, planned, err);
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
    return rc == DR_OK ? settle_all(v, err) : rc;
}

/* With the threads that its pieces need. */
static enum dr_rc verify_with_crew(struct verify *v, const struct snapshot_info *info,
                                   struct reader *reader, struct dr_err *err)
{
    DR_TRY(verify_crew_new(v->repo, v->data ? v->threads : 0, &info->buckets, &v->crew, err));
    enum dr_rc rc = verify_stream(v, reader, err);
    verify_crew_free(DR_TAKE(v->crew));
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
    DR_TRY(look_at_snapshots(v, names_of(NAMES_SNAPSHOTS, info->id, name), err));
    if (info->state == SNAPSHOT_REFUSED)
        return DR_OK; /* told by the look; nothing in it can be believed */
    DR_CLEANUP(reader_close_ptr) struct reader *reader = NULL;
    struct work_hooks quiet = { 0 }; /* the look at the packs tells each object, in each bucket */
    struct dr_err why = { 0 };
    enum dr_rc rc = reader_open(v->repo, info, &quiet, &reader, &why);
    if (rc == DR_OK)
        rc = need_packs(v, reader, &why);
    if (rc == DR_OK)
        rc = verify_with_crew(v, info, reader, &why);
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
    if (is_listed_alike(v, name, &copies)) {
        v->result.objects += copies;
        return tell_progress(v, err);
    }
    struct verify_job *j = dr_alloc(1, sizeof(*j));
    j->name = dr_strdup(name);
    j->whole = v->data;
    j->looks = open_buckets(v, &j->count);
    return give(v, j, err);
}

static enum dr_rc verify_packs(struct verify *v, struct dr_err *err)
{
    if (!v->data)
        list_packs(v);
    DR_TRY(verify_crew_new(v->repo, v->threads, NULL, &v->crew, err));
    text_list_sort(&v->packs);
    for (size_t i = 0; i < v->packs.count; i++) {
        if (i == 0 || strcmp(v->packs.items[i], v->packs.items[i - 1]) != 0)
            DR_TRY(verify_pack(v, v->packs.items[i], err));
    }
    return settle_all(v, err);
}

enum dr_rc verify_run(struct repo *r, const char *source, const struct verify_wish *wish,
                      const struct work_hooks *hooks, struct verify_result *ret, struct dr_err *err)
{
    DR_CLEANUP(verify_fini) struct verify v = { .repo = r, .hooks = hooks, .data = wish->data };
    v.threads = threads_for(r, wish->threads);
    v.right = chunk_table_new(repo_config(r)->state_dir);
    v.progress.doing = "verifying";
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    DR_TRY(repo_snapshots(r, source, &list, err));
    tell_closed(&v);
    for (size_t i = 0; i < list.count; i++)
        DR_TRY(verify_snapshot(&v, &list.items[i], err));
    DR_TRY(verify_packs(&v, err));
    suspects_add(repo_config(r)->state_dir, &v.suspects);
    *ret = v.result;
    return DR_OK;
}
