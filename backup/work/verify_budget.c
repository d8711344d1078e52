/*
 * A round of reading. The state is a text file that is replaced whole, each few packs and at the end, so that a
 * run that dies has lost little; a line that is no line counts as never written.
 */
#include "backup/work/verify_budget.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/format/names.h"
#include "backup/work/suspects.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { STATE_MAX = 1 << 30, READ_STEP = 8 << 20, KEEP_EACH = 64 };

#define STATE_FILE "verified"

struct row {
    size_t bucket;
    char *name; /* owned */
    uint64_t size;
    int64_t read_ns; /* 0: never */
};

struct round {
    struct repo *repo;
    const struct work_hooks *hooks;
    struct row *rows; /* owned; the one to read first in front */
    size_t count, cap;
    struct text_list suspects;
    struct hash *hash;
    uint8_t *step; /* owned */
    struct verify_round out;
    struct work_progress progress;
};

static void round_fini(struct round *v)
{
    for (size_t i = 0; i < v->count; i++)
        free(v->rows[i].name);
    free(v->rows);
    free(v->step);
    hash_free(v->hash);
    text_list_fini(&v->suspects);
}

/* -- what there is, and when it was read --------------------------------------------------- */

static void add_row(struct round *v, size_t bucket, const struct store_entry *e)
{
    if (v->count == v->cap) {
        v->cap = v->cap == 0 ? 256 : v->cap * 2;
        v->rows = dr_realloc(v->rows, v->cap, sizeof(v->rows[0]));
    }
    v->rows[v->count++] =
        (struct row){ .bucket = bucket, .name = dr_strdup(e->name), .size = e->size };
}

/* A bucket that cannot be listed is remembered with its error, and the others are read. */
static void list_packs(struct round *v)
{
    for (size_t i = 0; i < repo_bucket_count(v->repo); i++) {
        struct repo_bucket *b = repo_bucket(v->repo, i);
        DR_CLEANUP(store_entries_fini) struct store_entries all = { 0 };
        uint8_t id[DIGEST_SIZE];
        if (b->store == NULL || store_list_sizes(b->store, NAMES_PACKS, &all, &b->error) != DR_OK)
            continue;
        for (size_t k = 0; k < all.count; k++)
            if (names_parse_pack(all.items[k].name, id))
                add_row(v, i, &all.items[k]);
    }
}

static int by_place(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    if (a->bucket != b->bucket)
        return a->bucket < b->bucket ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int by_age(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    if (a->read_ns != b->read_ns)
        return a->read_ns < b->read_ns ? -1 : 1;
    int order = strcmp(a->name, b->name); /* the copies of one pack in a row */
    return order != 0 ? order : by_place(a, b);
}

/* "BUCKET NAME NANOSECONDS" */
static void take_line(struct round *v, char *line)
{
    char *rest = NULL;
    const char *bucket = strtok_r(line, " ", &rest);
    char *name = strtok_r(NULL, " ", &rest);
    const char *time = strtok_r(NULL, " ", &rest);
    char *end = NULL;
    if (bucket == NULL || name == NULL || time == NULL)
        return;
    long long ns = strtoll(time, &end, 10);
    if (*end != '\0' || ns <= 0 || ns > clock_wall_ns()) /* a clock that was ahead: read it again */
        return;
    for (size_t i = 0; i < repo_bucket_count(v->repo); i++) {
        const struct row wanted = { .bucket = i, .name = name };
        if (strcmp(repo_bucket(v->repo, i)->config->name, bucket) != 0 || v->count == 0)
            continue;
        struct row *row = bsearch(&wanted, v->rows, v->count, sizeof(v->rows[0]), by_place);
        if (row != NULL)
            row->read_ns = ns;
    }
}

static void read_state(struct round *v)
{
    DR_FREE char *path = dr_strf("%s/" STATE_FILE, repo_config(v->repo)->state_dir);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err ignored = { .rc = DR_OK };
    if (v->count > 0)
        qsort(v->rows, v->count, sizeof(v->rows[0]), by_place);
    if (fs_read_file(path, STATE_MAX, &text, &ignored) == DR_OK && text.len > 0) {
        char *rest = NULL;
        for (char *l = strtok_r(text.data, "\n", &rest); l != NULL; l = strtok_r(NULL, "\n", &rest))
            take_line(v, l);
    }
    if (v->count > 0)
        qsort(v->rows, v->count, sizeof(v->rows[0]), by_age);
}

static void keep_state(const struct round *v)
{
    const char *dir = repo_config(v->repo)->state_dir;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err ignored = { .rc = DR_OK };
    for (size_t i = 0; i < v->count; i++)
        if (v->rows[i].read_ns != 0)
            buf_addf(&text, "%s %s %" PRId64 "\n",
                     repo_bucket(v->repo, v->rows[i].bucket)->config->name, v->rows[i].name,
                     v->rows[i].read_ns);
    if (text.len == 0 || fs_make_dirs(dir, 0700, &ignored) != DR_OK)
        return;
    enum dr_rc rc = fs_replace(dir, STATE_FILE, text.data, text.len, &ignored);
    (void)rc; /* the next run reads some of it again */
}

/* -- reading ------------------------------------------------------------------------------- */

static enum dr_rc tell_progress(struct round *v, struct dr_err *err)
{
    v->progress.bytes = v->out.result.bytes;
    if (v->hooks == NULL || v->hooks->progress == NULL ||
        v->hooks->progress(v->hooks->arg, &v->progress))
        return DR_OK;
    return dr_fail(err, DR_E_CANCELLED, "the verification was stopped; the next one goes on");
}

static enum dr_rc hash_pack(struct round *v, struct store *s, const struct row *row,
                            struct dr_err *err)
{
    uint8_t digest[HASH_SIZE], id[DIGEST_SIZE];
    DR_ASSERT(names_parse_pack(row->name, id));
    hash_start(v->hash);
    for (uint64_t at = 0; at < row->size;) {
        size_t len = row->size - at < READ_STEP ? (size_t)(row->size - at) : READ_STEP;
        DR_TRY(store_get(s, row->name, at, len, v->step, err));
        hash_add(v->hash, v->step, len);
        at += len;
        v->out.result.bytes += len;
    }
    hash_end(v->hash, digest);
    if (memcmp(digest, id, DIGEST_SIZE) == 0)
        return DR_OK;
    return dr_fail(err, DR_E_CORRUPT,
                   "bucket '%s': object '%s' is damaged: its digest is not its "
                   "name",
                   s->name, row->name);
}

static void read_row(struct round *v, struct row *row)
{
    struct store *s = repo_bucket(v->repo, row->bucket)->store;
    struct dr_err why = { .rc = DR_OK };
    enum dr_rc rc = hash_pack(v, s, row, &why);
    v->out.result.objects++;
    if (rc == DR_OK || rc == DR_E_NOTFOUND || rc == DR_E_CORRUPT) /* gone: a prune was here */
        row->read_ns = clock_wall_ns();
    if (rc == DR_OK || rc == DR_E_NOTFOUND)
        return;
    v->out.result.damaged++;
    if (rc == DR_E_CORRUPT) {
        DR_FREE char *line = suspects_line(s->name, row->name);
        text_list_add(&v->suspects, line);
    }
    if (v->hooks != NULL && v->hooks->warning != NULL)
        v->hooks->warning(v->hooks->arg, why.msg);
}

static enum dr_rc read_rows(struct round *v, uint64_t budget, struct dr_err *err)
{
    uint64_t left = budget;
    for (size_t i = 0; i < v->count; i++) {
        struct row *row = &v->rows[i];
        if (i > 0 && row->size > left)
            break;
        left -= row->size < left ? row->size : left;
        read_row(v, row);
        if (i % KEEP_EACH == KEEP_EACH - 1)
            keep_state(v);
        DR_TRY(tell_progress(v, err));
    }
    return DR_OK;
}

enum dr_rc verify_budget(struct repo *r, uint64_t budget, const struct work_hooks *hooks,
                         struct verify_round *ret, struct dr_err *err)
{
    DR_CLEANUP(round_fini) struct round v = { .repo = r, .hooks = hooks };
    int64_t began = clock_wall_ns();
    v.hash = hash_new();
    v.step = dr_alloc(READ_STEP, 1);
    v.progress.doing = "verifying";
    list_packs(&v);
    read_state(&v);
    for (size_t i = 0; i < v.count; i++)
        v.progress.bytes_total += v.rows[i].size;
    if (v.progress.bytes_total > budget)
        v.progress.bytes_total = budget;
    enum dr_rc rc = read_rows(&v, budget, err);
    keep_state(&v);
    suspects_add(repo_config(r)->state_dir, &v.suspects);
    DR_TRY(rc);
    v.out.packs = v.count;
    v.out.oldest_ns = v.count > 0 ? began : 0;
    for (size_t i = 0; i < v.count; i++) {
        v.out.unread += v.rows[i].read_ns == 0;
        if (v.rows[i].read_ns < v.out.oldest_ns)
            v.out.oldest_ns = v.rows[i].read_ns;
    }
    *ret = v.out;
    return DR_OK;
}
