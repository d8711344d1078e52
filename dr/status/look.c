/*
 * The bucket is opened as a repository of its own (repo.h), so that the judgement of a snapshot object is the same
 * as everywhere. What was condemned (gc lists) does not count, though it lies there still.
 */
#include "dr/status/look.h"

#include <stdio.h>
#include <string.h>

#include "backup/format/codec.h"
#include "backup/store/bucket.h"
#include "backup/work/gc.h"
#include "backup/work/repo.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/status/look_run.h"
#include "dr/status/row.h"

enum { STAMP_LEN = 17, TAIL_LEN = 6 }; /* "20261121t031140z-" "1f3a9c" */

struct look {
    struct repo *repo;
    struct store *store;
    struct text_list snapshots; /* ids, sorted, without the condemned */
    struct store_entries packs; /* sorted by name */
    struct text_list proofs;
    struct text_list expired;
    json_t *answer;
};

static void look_fini(struct look *l)
{
    text_list_fini(&l->snapshots);
    store_entries_fini(&l->packs);
    text_list_fini(&l->proofs);
    text_list_fini(&l->expired);
    repo_close(l->repo);
}

bool look_read_id(const char *id, size_t *ret_source_len, int64_t *ret_start_ns)
{
    size_t len = strlen(id);
    if (len < STAMP_LEN + TAIL_LEN + 2)
        return false;
    const char *at = id + len - STAMP_LEN - TAIL_LEN;
    char text[TIME_TEXT_MAX];
    if (at[-1] != '-' || at[8] != 't' || at[15] != 'z' || at[16] != '-' ||
        strspn(at, "0123456789") != 8 || strspn(at + 9, "0123456789") != 6)
        return false;
    snprintf(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", at, at + 4, at + 6, at + 9,
             at + 11, at + 13);
    *ret_source_len = len - STAMP_LEN - TAIL_LEN - 1;
    return time_parse(text, ret_start_ns);
}

/* -- lists ---------------------------------------------------------------------------------- */

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct store_entry *)left)->name,
                  ((const struct store_entry *)right)->name);
}

static enum dr_rc list_all(struct look *l, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(l->store, NAMES_SNAPSHOTS, &names, err));
    DR_TRY(store_list_sizes(l->store, NAMES_PACKS, &l->packs, err));
    DR_TRY(store_list(l->store, NAMES_PROOFS, &l->proofs, err));
    gc_expired(l->store, &l->expired);
    text_list_sort(&l->expired);
    for (size_t i = 0; i < names.count; i++) {
        const char *id = names.items[i] + strlen(NAMES_SNAPSHOTS);
        if (!text_list_has_sorted(&l->expired, id))
            text_list_add(&l->snapshots, id);
    }
    if (l->packs.count > 1)
        qsort(l->packs.items, l->packs.count, sizeof(l->packs.items[0]), by_name);
    return DR_OK;
}

/* -- counting by name ----------------------------------------------------------------------- */

static json_t *object_of(json_t *o, const char *key)
{
    json_t *value = json_object_get(o, key);
    if (value == NULL) {
        value = json_object();
        json_put(o, key, value);
    }
    return value;
}

static void count_days(const struct look *l)
{
    json_t *days = object_of(l->answer, "days"), *oldest = object_of(l->answer, "oldest");
    for (size_t i = 0; i < l->snapshots.count; i++) {
        size_t len = 0;
        int64_t start_ns = 0;
        char day[TIME_TEXT_MAX];
        if (!look_read_id(l->snapshots.items[i], &len, &start_ns))
            continue;
        DR_FREE char *source = dr_memdup(l->snapshots.items[i], len);
        time_print_s(start_ns, day)[strlen("2026-11-21")] = '\0';
        json_t *of = object_of(days, source);
        json_put_int(of, day, json_integer_value(json_object_get(of, day)) + 1);
        const json_t *first = json_object_get(oldest, source);
        if (first == NULL || json_integer_value(first) > start_ns)
            json_put_int(oldest, source, start_ns);
    }
}

/* "proofs/ID/NS-RANDOM": the newest of one snapshot, or of all of a source. */
static void note_proofs(const struct look *l)
{
    json_t *proofs = object_of(l->answer, "proofs");
    for (size_t i = 0; i < l->proofs.count; i++) {
        const char *id = l->proofs.items[i] + strlen(NAMES_PROOFS);
        const char *slash = strchr(id, '/');
        size_t len = 0;
        int64_t start_ns = 0;
        if (slash == NULL)
            continue;
        DR_FREE char *name = dr_memdup(id, (size_t)(slash - id));
        if (!look_read_id(name, &len, &start_ns))
            continue;
        int64_t ns = strtoll(slash + 1, NULL, 10);
        name[len] = '\0';
        if (ns > json_integer_value(json_object_get(proofs, name)))
            json_put_int(proofs, name, ns);
    }
}

static int64_t proof_of(const struct look *l, const char *id)
{
    DR_FREE char *prefix = dr_strf(NAMES_PROOFS "%s/", id);
    int64_t newest = 0;
    for (size_t i = 0; i < l->proofs.count; i++) {
        int64_t ns = text_starts(l->proofs.items[i], prefix)
                         ? strtoll(l->proofs.items[i] + strlen(prefix), NULL, 10)
                         : 0;
        newest = ns > newest ? ns : newest;
    }
    return newest;
}

/* -- the newest objects --------------------------------------------------------------------- */

static enum dr_rc fetch_frame(void *arg, const struct list_frame *frame, struct buf *out,
                              struct dr_err *err)
{
    const struct look *l = arg;
    char name[NAMES_MAX];
    names_pack(frame->pack, name);
    DR_CLEANUP(codec_free_ptr) struct codec *codec = codec_new(CODEC_LEVEL);
    DR_CLEANUP(buf_fini) struct buf stored = { 0 };
    if (frame->raw > PIECE_RAW_MAX || frame->stored > frame->raw + FRAME_SLACK)
        return dr_fail(err, DR_E_CORRUPT, "'%s': a frame of impossible size", name);
    const struct codec_frame f = { .data = buf_reserve(&stored, frame->stored),
                                   .len = frame->stored,
                                   .raw_len = frame->raw,
                                   .raw_max = PIECE_RAW_MAX,
                                   .id = frame->id };
    DR_TRY(store_get(l->store, name, frame->offset, frame->stored, stored.data, err));
    return codec_open(codec, name, &f, out, err);
}

static bool has_pack(const struct look *l, const char *digest)
{
    DR_FREE char *name = dr_strf(NAMES_PACKS "%.2s/%s", digest, digest);
    const struct store_entry wanted = { .name = name };
    return l->packs.count > 0 && bsearch(&wanted, l->packs.items, l->packs.count,
                                         sizeof(l->packs.items[0]), by_name) != NULL;
}

/* Which of its packs this bucket lacks. True: none. */
static bool list_missing(struct look *l, const struct snapshot *s, json_t *o)
{
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    struct dr_err err = { 0 };
    json_t *missing = json_array();
    bool readable = list_expand(&s->packs, fetch_frame, l, &packs, &err) == DR_OK;
    size_t count = 0;
    for (size_t i = 0; readable && i < packs.count; i++) {
        if (has_pack(l, packs.items[i]))
            continue;
        if (count++ < LOOK_MISSING)
            json_array_append_new(missing, json_string(packs.items[i]));
    }
    json_put(o, "missing", missing);
    json_put(o, "too_many", json_boolean(!readable || count > LOOK_MISSING));
    return readable && count == 0;
}

static json_t *snapshot_json(const struct look *l, const struct snapshot *s)
{
    json_t *o = json_object();
    json_put_text(o, "id", s->id);
    json_put_text(o, "kind", s->kind);
    json_put_text(o, "class", s->class);
    json_put_int(o, "epoch", s->epoch);
    json_put_int(o, "start_ns", s->start_ns);
    json_put_int(o, "end_ns", s->end_ns);
    json_put_int(o, "bytes", (int64_t)s->bytes);
    json_put_int(o, "files", (int64_t)s->files);
    json_put_int(o, "proved_ns", proof_of(l, s->id));
    return o;
}

/* One object; 1 when it is whole and complete here, 0 when not. */
static int look_at(struct look *l, const char *source, const char *id)
{
    char name[NAMES_MAX];
    struct dr_err err = { 0 };
    struct snapshot s = { 0 };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    names_of(NAMES_SNAPSHOTS, id, name);
    if (store_get_all(l->store, name, SNAPSHOT_SIZE_MAX, &object, &err) != DR_OK ||
        repo_judge(l->repo, name, &object, &s, &err) != DR_OK) {
        json_t *refused = object_of(l->answer, "refused");
        if (json_object_get(refused, source) == NULL)
            json_put_text(refused, source, err.msg);
        return 0;
    }
    json_t *list = json_object_get(object_of(l->answer, "newest"), source);
    if (list == NULL) {
        list = json_array();
        json_put(object_of(l->answer, "newest"), source, list);
    }
    json_t *o = snapshot_json(l, &s);
    bool complete = list_missing(l, &s, o);
    DR_ASSERT(json_array_append_new(list, o) == 0);
    snapshot_fini(&s);
    return complete;
}

/* ids of one source, newest last: all of them begin with its name, so their order is that of time. */
static void look_at_newest(struct look *l, const char *source, const struct text_list *ids)
{
    int complete = 0;
    for (size_t i = 0; i < ids->count && i < LOOK_MOST; i++) {
        if (i >= LOOK_LEAST && complete > 0)
            break;
        complete += look_at(l, source, ids->items[ids->count - 1 - i]);
    }
}

static void look_at_sources(struct look *l)
{
    const char *source;
    json_t *ignored;
    json_object_foreach(json_object_get(l->answer, "days"), source, ignored)
    {
        DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
        for (size_t i = 0; i < l->snapshots.count; i++) {
            size_t len = 0;
            int64_t start_ns = 0;
            if (look_read_id(l->snapshots.items[i], &len, &start_ns) && len == strlen(source) &&
                strncmp(l->snapshots.items[i], source, len) == 0)
                text_list_add(&ids, l->snapshots.items[i]);
        }
        look_at_newest(l, source, &ids);
    }
}

/* -- rows ----------------------------------------------------------------------------------- */

static void read_rows(const struct look *l)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct dr_err ignored = { 0 };
    json_t *rows = object_of(l->answer, "rows");
    if (store_list(l->store, ROW_PREFIX, &names, &ignored) != DR_OK)
        return;
    for (size_t i = 0; i < names.count && i < LOOK_ROWS; i++) {
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        if (store_get_all(l->store, names.items[i], STORE_SWAP_MAX, &object, &ignored) == DR_OK &&
            object.len > 0)
            json_put_text(rows, names.items[i], object.data);
    }
}

/* -- all of it ------------------------------------------------------------------------------ */

static enum dr_rc open_one(const struct config *c, struct look *l, struct dr_err *err)
{
    const struct repo_options o = { .dark_count = 0 };
    DR_TRY(repo_open(c, &o, &l->repo, err));
    l->store = repo_bucket(l->repo, 0)->store;
    json_put_text(l->answer, "repository", repo_repository(l->repo)->id);
    return list_all(l, err);
}

/* It could be opened, so it is only the repository that is not in it. */
static bool is_open(const struct config *c, const struct config_bucket *b)
{
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    struct dr_err ignored = { 0 };
    return bucket_open(c, b, NULL, &s, &ignored) == DR_OK;
}

json_t *look_bucket(const struct config *c, size_t index)
{
    DR_ASSERT(index < c->bucket_count);
    DR_CLEANUP(look_fini) struct look l = { .answer = json_object() };
    struct config one = *c;
    struct dr_err err = { 0 };
    one.buckets = &c->buckets[index];
    one.bucket_count = 1;
    if (open_one(&one, &l, &err) != DR_OK) {
        bool empty = err.rc == DR_E_NOTFOUND && is_open(c, one.buckets);
        json_put(l.answer, "empty", json_boolean(empty));
        json_put_text(l.answer, "why", err.msg);
        json_put_text(l.answer, "hint", err.hint);
        return l.answer;
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < l.packs.count; i++)
        bytes += l.packs.items[i].size;
    json_put_int(l.answer, "snapshots", (int64_t)l.snapshots.count);
    json_put_int(l.answer, "bytes", (int64_t)bytes);
    count_days(&l);
    note_proofs(&l);
    look_at_sources(&l);
    read_rows(&l);
    json_t *run = look_run(l.store);
    if (run != NULL)
        json_put(l.answer, "run", run);
    return l.answer;
}
