/*
 * Find: each segment once. What a segment gave is remembered beside its digest, so that a snapshot that
 * shares it needs only to be noted. Two sorted arrays carry this: segments by digest and versions by
 * path and form; both grow at their ends during a snapshot and are put in order before the next.
 */
#include "backup/work/find.h"

#include <stdlib.h>
#include <string.h>

#include "backup/format/path.h"
#include "backup/work/exclude.h"
#include "backup/work/reader.h"
#include "dr/base/mem.h"

struct seen { /* a segment */
    uint8_t id[DIGEST_SIZE];
    struct find_match **matches; /* owned array of borrowed ones */
    size_t count;
};

struct finder {
    const struct find_wish *wish;
    const struct work_hooks *hooks;
    struct exclude *pattern;
    struct seen *seen; /* owned */
    size_t seen_count, seen_cap, seen_sorted;
    struct find_result *ret;
    size_t cap, sorted; /* of ret->matches */
    const struct snapshot_info *at;
    struct work_progress progress;
};

static void finder_fini(struct finder *f)
{
    exclude_free(f->pattern);
    for (size_t i = 0; i < f->seen_count; i++)
        free(f->seen[i].matches);
    free(f->seen);
}

void find_result_fini(struct find_result *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->matches[i]->path);
        free(r->matches[i]->link);
        free(r->matches[i]);
    }
    free(r->matches);
    *r = (struct find_result){ 0 };
}

/* -- order --------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    return memcmp(((const struct seen *)a)->id, ((const struct seen *)b)->id, DIGEST_SIZE);
}

static int by_number(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_form(const struct find_match *a, const struct find_match *b)
{
    const uint64_t numbers[][2] = {
        { (uint64_t)a->type, (uint64_t)b->type },
        { a->mode, b->mode },
        { a->uid, b->uid },
        { a->gid, b->gid },
        { a->size, b->size },
        { (uint64_t)a->mtime_s, (uint64_t)b->mtime_s },
        { a->mtime_ns, b->mtime_ns },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(numbers); i++) {
        int order = by_number(numbers[i][0], numbers[i][1]);
        if (order != 0)
            return order;
    }
    int order = strcmp(a->link != NULL ? a->link : "", b->link != NULL ? b->link : "");
    return order != 0 ? order : memcmp(a->digest, b->digest, sizeof(a->digest));
}

static int by_path_and_form(const void *x, const void *y)
{
    const struct find_match *a = *(struct find_match *const *)x;
    const struct find_match *b = *(struct find_match *const *)y;
    int order = path_compare(a->path, b->path);
    return order != 0 ? order : by_form(a, b);
}

static int by_path_and_time(const void *x, const void *y)
{
    const struct find_match *a = *(struct find_match *const *)x;
    const struct find_match *b = *(struct find_match *const *)y;
    int order = path_compare(a->path, b->path);
    if (order == 0) /* snapshots stand oldest first */
        order = by_number((uint64_t)(uintptr_t)a->first, (uint64_t)(uintptr_t)b->first);
    return order != 0 ? order : by_form(a, b);
}

static void put_in_order(struct finder *f)
{
    if (f->seen_sorted < f->seen_count)
        qsort(f->seen, f->seen_count, sizeof(f->seen[0]), by_id);
    f->seen_sorted = f->seen_count;
    if (f->sorted < f->ret->count)
        qsort(f->ret->matches, f->ret->count, sizeof(void *), by_path_and_form);
    f->sorted = f->ret->count;
}

/* -- one segment --------------------------------------------------------------------------- */

static void note(struct finder *f, struct find_match *m)
{
    m->last = f->at;
    m->count++;
}

static struct find_match *known(const struct finder *f, struct find_match *like)
{
    if (f->sorted == 0)
        return NULL;
    struct find_match **at =
        bsearch(&like, f->ret->matches, f->sorted, sizeof(void *), by_path_and_form);
    return at != NULL ? *at : NULL;
}

static bool wanted(const struct finder *f, const struct toc_record *rec)
{
    char type = rec->type, file = '0';
    if (type == '1')
        type = file;
    if (f->wish->type != '\0' && f->wish->type != type)
        return false;
    return rec->path_len > 0 && exclude_match(f->pattern, rec->path, rec->type == '5');
}

static enum dr_rc take(struct finder *f, struct seen *s, const struct toc_record *rec,
                       struct dr_err *err)
{
    struct find_match like = {
        .path = dr_strdup(rec->path),
        .link = rec->link != NULL ? dr_strdup(rec->link) : NULL,
        .type = rec->type,
        .mode = rec->mode,
        .uid = rec->uid,
        .gid = rec->gid,
        .size = rec->type == '0' ? rec->size : 0,
        .mtime_s = rec->mtime_s,
        .mtime_ns = rec->mtime_ns,
        .first = f->at,
    };
    memcpy(like.digest, rec->digest, sizeof(like.digest));
    struct find_match *m = known(f, &like);
    if (m != NULL) {
        free(like.path);
        free(like.link);
    } else {
        m = dr_alloc(1, sizeof(*m));
        *m = like;
        if (f->ret->count == f->cap) {
            f->cap = f->cap == 0 ? 64 : 2 * f->cap;
            f->ret->matches = dr_realloc(f->ret->matches, f->cap, sizeof(void *));
        }
        f->ret->matches[f->ret->count++] = m;
    }
    note(f, m);
    s->matches = dr_realloc(s->matches, s->count + 1, sizeof(void *));
    s->matches[s->count++] = m;
    if (f->ret->count <= FIND_MATCHES_MAX)
        return DR_OK;
    dr_fail(err, DR_E_NOMEM, "more than %d versions match", FIND_MATCHES_MAX);
    return dr_hint(err, "Write more of the name, or --snapshot.");
}

static struct seen *seen_before(const struct finder *f, const uint8_t id[DIGEST_SIZE])
{
    struct seen like;
    if (f->seen_sorted == 0)
        return NULL;
    memcpy(like.id, id, DIGEST_SIZE);
    return bsearch(&like, f->seen, f->seen_sorted, sizeof(like), by_id);
}

static enum dr_rc look_at_segment(struct finder *f, struct reader *r, size_t i, struct dr_err *err)
{
    const struct list_frame *frame = reader_segment_frame(r, i);
    struct seen *s = seen_before(f, frame->id);
    f->progress.entries += frame->entries;
    if (s != NULL) {
        f->ret->shared++;
        for (size_t k = 0; k < s->count; k++)
            note(f, s->matches[k]);
        return DR_OK;
    }
    const struct segment *segment = NULL;
    DR_TRY(reader_segment(r, i, &segment, err));
    f->ret->decoded++;
    if (f->seen_count == f->seen_cap) {
        f->seen_cap = f->seen_cap == 0 ? 64 : 2 * f->seen_cap;
        f->seen = dr_realloc(f->seen, f->seen_cap, sizeof(f->seen[0]));
    }
    s = &f->seen[f->seen_count++];
    *s = (struct seen){ .count = 0 };
    memcpy(s->id, frame->id, DIGEST_SIZE);
    for (size_t k = 0; k < segment->count; k++)
        if (wanted(f, &segment->records[k]))
            DR_TRY(take(f, s, &segment->records[k], err));
    return DR_OK;
}

/* -- all ----------------------------------------------------------------------------------- */

static enum dr_rc look_at_snapshot(struct finder *f, struct repo *repo, struct dr_err *err)
{
    DR_CLEANUP(reader_close_ptr) struct reader *r = NULL;
    DR_TRY(reader_open(repo, f->at, f->hooks, &r, err));
    put_in_order(f);
    for (size_t i = 0; i < reader_segment_count(r); i++) {
        DR_TRY(look_at_segment(f, r, i, err));
        if (f->hooks != NULL && f->hooks->progress != NULL &&
            !f->hooks->progress(f->hooks->arg, &f->progress))
            return dr_fail(err, DR_E_CANCELLED, "the search was stopped");
    }
    return DR_OK;
}

static enum dr_rc compile(struct finder *f, struct dr_err *err)
{
    const char *p = f->wish->pattern;
    if (p[0] == '\0' || p[0] == '!' || p[0] == '#') {
        dr_fail(err, DR_E_USAGE, "'%s' is no pattern", p);
        return dr_hint(err, "A name that begins with ! or # is written with a \\ in front.");
    }
    f->pattern = exclude_new();
    return exclude_add(f->pattern, p, err);
}

enum dr_rc find_run(struct repo *repo, const struct find_wish *wish, const struct work_hooks *hooks,
                    struct find_result *ret, struct dr_err *err)
{
    DR_CLEANUP(finder_fini) struct finder f = { .wish = wish, .hooks = hooks, .ret = ret };
    *ret = (struct find_result){ 0 };
    DR_TRY(compile(&f, err));
    f.progress.doing = "searching";
    for (size_t i = 0; i < wish->count; i++)
        f.progress.entries_total += wish->snapshots[i].entries;
    for (size_t i = 0; i < wish->count; i++) {
        f.at = &wish->snapshots[i];
        if (f.at->state == SNAPSHOT_REFUSED)
            continue;
        DR_TRY(look_at_snapshot(&f, repo, err));
    }
    if (ret->count > 0)
        qsort(ret->matches, ret->count, sizeof(void *), by_path_and_time);
    return DR_OK;
}
