/*
 * anchor_run.c - what is new becomes objects, and each bucket gets what it lacks, in a lane of its own.
 *
 * A bucket that hangs may not hold up the end of a failover: who has not answered when the time is over is told as lacking, and
 * what its thread uses is left to the end of the process. The local copy of an object, and the book's line about
 * it, are written only after a bucket took it: both say that it cannot be taken back.
 */
#include "dr/audit/anchor.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "backup/store/bucket.h"
#include "backup/work/backup_lane.h"
#include "backup/work/costs.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

struct object {
    char *name;       /* owned */
    struct buf bytes; /* of a fresh one; others lie in anchors/ */
};

struct work;

struct side { /* one bucket; its lane's until that is idle */
    const struct work *work;
    const struct config_bucket *bucket;
    struct lane *lane;
    struct store *store;
    struct dr_err err; /* why it is not */
    size_t put;
    bool whole; /* it has all of them */
};

struct work {
    struct anchor_wish wish;
    char id[BOOK_ID_SIZE];
    char *dir;    /* STATE_DIR/anchors/BOOK; owned */
    char *prefix; /* "ledger/us/3f9c.../"; owned */
    struct object *objects;
    size_t count, fresh; /* the last `fresh` of them are new */
    struct side *sides;
    size_t side_count;
};

static void work_free(struct work *w)
{
    for (size_t i = 0; i < w->side_count; i++) {
        lane_free(w->sides[i].lane);
        store_close(w->sides[i].store);
    }
    for (size_t i = 0; i < w->count; i++) {
        free(w->objects[i].name);
        buf_fini(&w->objects[i].bytes);
    }
    free(w->sides);
    free(w->objects);
    free(w->dir);
    free(w->prefix);
    free(w);
}

void anchor_report_fini(struct anchor_report *r)
{
    text_list_fini(&r->took);
    text_list_fini(&r->lacking);
}

static void closedir_ptr(DIR **d)
{
    if (*d != NULL)
        (void)closedir(*d); /* only read from */
}

static struct object *add_object(struct work *w, char *name)
{
    w->objects = dr_realloc(w->objects, w->count + 1, sizeof(w->objects[0]));
    w->objects[w->count] = (struct object){ .name = name };
    return &w->objects[w->count++];
}

/* -- what there is to put --------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct object *)a)->name, ((const struct object *)b)->name);
}

/* The objects that some bucket took already. ret_to: the last line in them; ret_last: in which one it is, borrowed, or NULL. */
static enum dr_rc list_kept(struct work *w, int64_t *ret_to, const char **ret_last,
                            struct dr_err *err)
{
    DR_CLEANUP(closedir_ptr) DIR *d = opendir(w->dir);
    if (d == NULL && errno == ENOENT)
        return DR_OK;
    if (d == NULL)
        return dr_fail_sys(err, errno, "cannot open directory '%s'", w->dir);
    const struct dirent *e = NULL;
    while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        int64_t from = 0, to = 0;
        if (!anchor_is_name(e->d_name, &from, &to))
            continue;
        const struct object *o = add_object(w, dr_strdup(e->d_name));
        if (to > *ret_to) {
            *ret_to = to;
            *ret_last = o->name;
        }
    }
    if (w->count > 1)
        qsort(w->objects, w->count, sizeof(w->objects[0]), by_name);
    return DR_OK;
}

struct gathering {
    struct work *work;
    const struct keys *key;
    int64_t after; /* lines up to here are in some bucket */
    bool news;     /* some line behind it is no anchor's */
    bool untold; /* no line behind it at all: whoever put the newest anchor died before its line */
    struct buf lines;
    size_t count;
    struct anchor now; /* of these lines */
};

static void finish_object(struct gathering *g)
{
    struct work *w = g->work;
    struct anchor *a = &g->now;
    if (g->count == 0)
        return;
    struct object *o = add_object(w, anchor_name(a->from, a->to, a->head));
    memcpy(a->book, w->id, sizeof(a->book));
    a->lines = g->lines.data;
    a->len = g->lines.len;
    anchor_print(a, w->wish.site, g->key, &o->bytes);
    w->fresh++;
    buf_clear(&g->lines);
    g->count = 0;
}

static bool gather(void *arg, const struct book_record *r)
{
    struct gathering *g = arg;
    g->now.to = r->n;
    memcpy(g->now.head, r->hash, sizeof(r->hash));
    if (g->count == 0)
        g->now.from = r->n;
    g->news = g->news || strcmp(r->type, "anchor") != 0;
    buf_add(&g->lines, r->text, r->text_len);
    if (++g->count == ANCHOR_LINES_MAX || g->lines.len > ANCHOR_BYTES_MAX)
        finish_object(g);
    return true;
}

/* What the missing line about the newest anchor has to say. */
static enum dr_rc find_untold(const struct work *w, struct gathering *g, const char *last,
                              struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_FREE char *path = dr_strf("%s/%s", w->dir, last);
    struct anchor newest = { 0 };
    DR_TRY(fs_read_file(path, ANCHOR_OBJECT_MAX, &object, err));
    DR_TRY(anchor_read(last, &object, &newest, err));
    memcpy(g->now.head, newest.head, sizeof(g->now.head));
    g->now.to = newest.to;
    g->untold = true;
    return DR_OK;
}

/* What is in some bucket is not read again: the newest anchor's name has the hash that the new lines must follow. */
static enum dr_rc gather_all(struct work *w, struct gathering *g, struct dr_err *err)
{
    const char *state_dir = w->wish.config->state_dir, *last = NULL;
    if (book_own(state_dir, w->id)[0] == '\0')
        return book_each(state_dir, 0, INT64_MAX, gather, g,
                         err); /* none, or it tells what is broken */
    w->dir = dr_strf("%s/anchors/%s", state_dir, w->id);
    w->prefix = dr_strf(NAMES_LEDGER "%s/%s/", w->wish.site, w->id);
    DR_TRY(list_kept(w, &g->after, &last, err));
    const char *head = last != NULL ? strrchr(last, '-') + 1 : "";
    if (book_after(state_dir, g->after, head, gather, g, err) != DR_OK)
        return err->rc;
    finish_object(g);
    if (last != NULL && g->now.to == 0)
        return find_untold(w, g, last, err);
    if (g->news)
        return DR_OK;
    while (w->fresh > 0) { /* a line about an anchor alone asks for no other */
        struct object *o = &w->objects[--w->count];
        free(o->name);
        buf_fini(&o->bytes);
        w->fresh--;
    }
    return DR_OK;
}

/* -- one bucket, in its lane -------------------------------------------------------------------------- */

static enum dr_rc put_object(struct side *s, const struct object *o, struct dr_err *err)
{
    DR_FREE char *name = dr_strf("%s%s", s->work->prefix, o->name);
    DR_CLEANUP(buf_fini) struct buf kept = { 0 };
    const struct buf *bytes = &o->bytes;
    if (bytes->len == 0) {
        DR_FREE char *path = dr_strf("%s/%s", s->work->dir, o->name);
        DR_TRY(fs_read_file(path, ANCHOR_OBJECT_MAX, &kept, err));
        bytes = &kept;
    }
    enum dr_rc rc = store_put(s->store, name, bytes->data, bytes->len, err);
    s->put += rc == DR_OK;
    return rc == DR_E_EXISTS ? DR_OK : rc;
}

/* A bucket that is not of a repository yet stays empty: init asks for that. */
static enum dr_rc bring_up(struct side *s, struct dr_err *err)
{
    const struct work *w = s->work;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    uint64_t size = 0;
    DR_TRY(bucket_open(w->wish.config, s->bucket, NULL, &s->store, err));
    DR_TRY(store_head(s->store, NAMES_REPOSITORY, &size, err));
    DR_TRY(store_list(s->store, w->prefix, &names, err));
    text_list_sort(&names);
    for (size_t i = 0; i < w->count; i++) {
        DR_FREE char *name = dr_strf("%s%s", w->prefix, w->objects[i].name);
        if (!text_list_has_sorted(&names, name))
            DR_TRY(put_object(s, &w->objects[i], err));
    }
    return DR_OK;
}

static void visit(void *arg)
{
    struct side *s = arg;
    s->whole = bring_up(s, &s->err) == DR_OK;
}

/* -- all of them -------------------------------------------------------------------------------------- */

static bool is_dark(const struct anchor_wish *w, const struct config_bucket *b)
{
    return w->dark != NULL && b->region != NULL && strcmp(b->region, w->dark) == 0;
}

static enum dr_rc start(struct work *w, struct dr_err *err)
{
    const struct config *c = w->wish.config;
    w->sides = dr_alloc(c->bucket_count + 1, sizeof(w->sides[0]));
    for (size_t i = 0; i < c->bucket_count; i++) {
        if (is_dark(&w->wish, &c->buckets[i]))
            continue;
        struct side *s = &w->sides[w->side_count];
        *s = (struct side){ .work = w, .bucket = &c->buckets[i] };
        DR_TRY(lane_new(1, &s->lane, err));
        w->side_count++;
    }
    for (size_t i = 0; i < w->side_count; i++)
        lane_push(w->sides[i].lane, visit, &w->sides[i]);
    return DR_OK;
}

/* True: one is still in a call, so nothing of the work may be freed. */
static bool finish(struct work *w, struct anchor_report *ret)
{
    const int64_t deadline = clock_boot_ms() + w->wish.wait_ms;
    bool hangs = false;
    for (size_t i = 0; i < w->side_count; i++) {
        struct side *s = &w->sides[i];
        int64_t left = deadline - clock_boot_ms();
        bool idle = lane_wait(s->lane, left > 0 ? (unsigned)left : 0);
        hangs |= !idle;
        if (idle && s->whole)
            text_list_add(&ret->took, s->bucket->name);
        else {
            DR_FREE char *line =
                dr_strf("%s: %s", s->bucket->name, idle ? s->err.msg : "it did not answer in time");
            text_list_add(&ret->lacking, line);
        }
        ret->put += idle ? s->put : 0;
        if (idle && s->store != NULL)
            costs_note(w->wish.config, "audit", s->store);
    }
    return hangs;
}

static json_t *body_of(const struct gathering *g, const struct text_list *took)
{
    json_t *o = json_object(), *list = json_array();
    for (size_t i = 0; i < took->count; i++)
        if (json_array_append_new(list, json_printable(took->items[i])) != 0)
            dr_out_of_memory();
    json_put_text(o, "head", g->now.head);
    json_put_int(o, "records", g->now.to);
    json_put(o, "buckets", list);
    return o;
}

/* At least one bucket has all of it. */
static enum dr_rc keep(const struct work *w, const struct gathering *g,
                       const struct book_place *place, const struct text_list *took,
                       struct dr_err *err)
{
    DR_TRY(fs_make_dirs(w->dir, 0700, err));
    for (size_t i = w->count - w->fresh; i < w->count; i++) {
        const struct object *o = &w->objects[i];
        DR_TRY(fs_replace(w->dir, o->name, o->bytes.data, o->bytes.len, err));
    }
    return book_append(place, "anchor", body_of(g, took), err);
}

static enum dr_rc anchor_all(struct work *w, const struct book_place *place,
                             struct anchor_report *ret, bool *ret_hangs, struct dr_err *err)
{
    DR_CLEANUP(keys_free_ptr) struct keys *key = NULL;
    struct gathering g = { .work = w };
    DR_TRY(keys_open(place->state_dir, true, &key, err));
    g.key = key;
    enum dr_rc rc = gather_all(w, &g, err);
    buf_fini(&g.lines);
    DR_TRY(rc);
    if (w->count == 0)
        return DR_OK; /* no book yet */
    rc = start(w, err);
    *ret_hangs = rc == DR_OK && finish(w, ret);
    DR_TRY(rc);
    bool took = ret->took.count > 0;
    ret->to = took && w->fresh > 0 ? g.now.to : g.after;
    ret->fresh = (size_t)(ret->to - g.after);
    return ret->fresh > 0 || (took && g.untold) ? keep(w, &g, place, &ret->took, err) : DR_OK;
}

enum dr_rc anchor_run(const struct anchor_wish *wish, struct anchor_report *ret, struct dr_err *err)
{
    const char *state_dir = wish->config->state_dir;
    const struct book_place place = {
        .state_dir = state_dir, .site = wish->site, .version = wish->version, .make_key = true
    };
    DR_FREE char *dir = dr_strf("%s/ledger", state_dir);
    DR_CLEANUP(dr_close_fd) int lock = -1;
    struct anchor_report report = { 0 };
    bool hangs = false;
    DR_TRY(fs_make_dirs(dir, 0700, err));
    DR_TRY(book_lock(state_dir, ".anchor", &lock, err));
    DR_TRY(book_add_runs(&place, NULL, NULL, err));
    struct work *w = dr_alloc(1, sizeof(*w));
    w->wish = *wish;
    enum dr_rc rc = anchor_all(w, &place, &report, &hangs, err);
    if (!hangs)
        work_free(w);
    if (rc != DR_OK) {
        anchor_report_fini(&report);
        return rc;
    }
    *ret = report;
    return DR_OK;
}
