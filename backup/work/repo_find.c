/*
 * The snapshot that is meant. All objects of all buckets would tell; the newest one mostly tells enough:
 *
 *     LIST snapshots/SOURCE-    names, newest first: they end in the time when reading began
 *     LIST epochs/SOURCE/       the highest epoch that anybody has written under
 *     GET  the newest           signed by whom we trust, and under that very epoch; also those of its second
 *     LIST gc/                  and GET those that are young enough to expire it
 *     LIST packs/               one page: what lies within it must be there
 *
 * An older epoch than the highest is that of a writer who was fenced; then, and whenever anything is not as it
 * should be, all is read (repo_snapshots) and the answer is that. Packs behind the first page are
 * believed to be in a bucket that shows the snapshot, as the protocol promises; a restore checks each.
 */
#include <stdlib.h>
#include <string.h>

#include "backup/work/known.h"
#include "backup/work/repo_inside.h"
#include "dr/base/mem.h"
#include "dr/data/json.h"

enum { TRIES = 4, SECOND_LEN = 16 }; /* "20261121t031140z" */

static const int64_t CLOCKS_NS = 3600LL * 1000000000LL; /* between a pruner and a writer */

struct place { /* one bucket */
    struct store *store;
    bool listed;
    struct text_list names; /* of snapshots of the source, sorted */
    bool has_gc;
    struct text_list gc; /* names of its gc lists */
};

struct gc_list { /* the same in all buckets that have it */
    char *name;  /* owned */
    struct text_list expired;
};

struct quick {
    struct repo *repo;
    const char *source;
    struct place *places; /* owned; one for each bucket */
    size_t count;
    struct text_list names; /* of all, the newest first */
    int64_t epoch;          /* the highest on record */
    char *known;            /* what this host has read of the repository before (known.h); owned */
    struct gc_list *lists;  /* owned */
    size_t list_count;
};

struct candidate {
    struct snapshot snapshot;
    struct buf object;
    struct text_list told, buckets;
    const struct snapshot *than; /* one that ended earlier is not wanted; NULL: any is */
    bool good;
};

static void candidate_fini(struct candidate *c)
{
    if (c->good)
        snapshot_fini(&c->snapshot);
    buf_fini(&c->object);
    text_list_fini(&c->told);
    text_list_fini(&c->buckets);
    *c = (struct candidate){ .good = false };
}

static void quick_fini(struct quick *q)
{
    for (size_t i = 0; i < q->count; i++) {
        text_list_fini(&q->places[i].names);
        text_list_fini(&q->places[i].gc);
    }
    for (size_t i = 0; i < q->list_count; i++) {
        free(q->lists[i].name);
        text_list_fini(&q->lists[i].expired);
    }
    free(q->lists);
    free(q->known);
    free(q->places);
    text_list_fini(&q->names);
}

static const char *id_of(const char *name)
{
    return name + strlen(NAMES_SNAPSHOTS);
}

/* -- names --------------------------------------------------------------------------------- */

/* Those of "app-b" begin like those of "app". */
static bool is_of_source(const char *name, const char *prefix)
{
    const char *time = names_time_of(name);
    return time != NULL && (size_t)(time - name) == strlen(prefix);
}

static enum dr_rc read_epochs(struct quick *q, const struct place *p, struct dr_err *err)
{
    char prefix[NAMES_MAX];
    DR_CLEANUP(text_list_fini) struct text_list marks = { 0 };
    DR_TRY(store_list(p->store, names_epochs_of(q->source, prefix), &marks, err));
    for (size_t i = 0; i < marks.count; i++) {
        int64_t epoch = names_parse_epoch(marks.items[i]);
        q->epoch = epoch > q->epoch ? epoch : q->epoch;
    }
    return DR_OK;
}

static enum dr_rc list_place(struct quick *q, struct place *p, struct dr_err *err)
{
    char prefix[NAMES_MAX];
    DR_CLEANUP(text_list_fini) struct text_list found = { 0 };
    names_snapshots_of(q->source, prefix);
    DR_TRY(store_list(p->store, prefix, &found, err));
    DR_TRY(read_epochs(q, p, err));
    for (size_t i = 0; i < found.count; i++)
        if (is_of_source(found.items[i], prefix))
            text_list_add(&p->names, found.items[i]);
    text_list_sort(&p->names);
    p->listed = true;
    return DR_OK;
}

static int newest_first(const void *left, const void *right)
{
    return strcmp(*(char *const *)right, *(char *const *)left);
}

static void begin(struct quick *q)
{
    q->count = repo_bucket_count(q->repo);
    q->places = dr_alloc(q->count + 1, sizeof(q->places[0]));
    q->known = known_folder(repo_config(q->repo)->state_dir, repo_repository(q->repo)->id);
    for (size_t i = 0; i < q->count; i++)
        q->places[i].store = repo_bucket(q->repo, i)->store;
}

/* False: no bucket can be listed. */
static bool list_all(struct quick *q)
{
    bool any = false;
    for (size_t i = 0; i < q->count; i++) {
        struct repo_bucket *b = repo_bucket(q->repo, i);
        struct place *p = &q->places[i];
        if (b->store == NULL || list_place(q, p, &b->error) != DR_OK)
            continue;
        any = true;
        for (size_t k = 0; k < p->names.count; k++)
            text_list_add(&q->names, p->names.items[k]);
    }
    if (q->names.count > 1)
        qsort(q->names.items, q->names.count, sizeof(q->names.items[0]), newest_first);
    size_t kept = 0;
    for (size_t i = 0; i < q->names.count; i++) {
        if (kept > 0 && strcmp(q->names.items[kept - 1], q->names.items[i]) == 0)
            free(q->names.items[i]);
        else
            q->names.items[kept++] = q->names.items[i];
    }
    q->names.count = kept;
    return any;
}

/* -- expiry -------------------------------------------------------------------------------- */

/* gc lists are called by the time when they were made. One that was clearly made before the snapshot was
 * begun cannot name it; of one that has no time nobody knows. */
static bool may_name(const char *gc, int64_t start_ns)
{
    char *end = NULL;
    const char *digits = gc + strlen(NAMES_GC);
    long long made_ns = strtoll(digits, &end, 10);
    return end == digits || *end != '-' || made_ns > INT64_MAX - CLOCKS_NS ||
           made_ns + CLOCKS_NS >= start_ns;
}

static bool take_gc(struct quick *q, const char *name, const struct buf *object)
{
    DR_JSON json_t *body = NULL;
    struct dr_err ignored = { 0 };
    if (sealed_parse(name, "drctl-gc", object->data, object->len, &body, &ignored) != DR_OK)
        return false;
    q->lists = dr_realloc(q->lists, q->list_count + 1, sizeof(q->lists[0]));
    struct gc_list *l = &q->lists[q->list_count++];
    *l = (struct gc_list){ .name = dr_strdup(name) };
    const json_t *ids = json_object_get(body, "snapshots");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        if (id != NULL)
            text_list_add(&l->expired, id);
    }
    return true;
}

/* From memory, or out of this bucket. NULL: it cannot be read, and hides nothing, here as in repo_list.c. */
static const struct gc_list *get_gc(struct quick *q, const struct place *p, const char *name)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct dr_err ignored = { 0 };
    for (size_t i = 0; i < q->list_count; i++)
        if (strcmp(q->lists[i].name, name) == 0)
            return &q->lists[i];
    bool have = known_gc_get(q->known, name, &object) && take_gc(q, name, &object);
    buf_clear(&object);
    if (!have)
        have = store_get_all(p->store, name, SEALED_SIZE_MAX, &object, &ignored) == DR_OK &&
               take_gc(q, name, &object);
    return have ? &q->lists[q->list_count - 1] : NULL;
}

static bool is_expired(struct quick *q, struct place *p, const struct snapshot *s)
{
    struct dr_err ignored = { 0 };
    if (!p->has_gc && store_list(p->store, NAMES_GC, &p->gc, &ignored) != DR_OK)
        return false;
    p->has_gc = true;
    for (size_t i = 0; i < p->gc.count; i++) {
        const struct gc_list *l =
            may_name(p->gc.items[i], s->start_ns) ? get_gc(q, p, p->gc.items[i]) : NULL;
        if (l != NULL && text_list_has(&l->expired, s->id))
            return true;
    }
    return false;
}

/* -- one object ---------------------------------------------------------------------------- */

static bool is_later(const struct snapshot *a, const struct snapshot *b)
{
    return a->end_ns != b->end_ns ? a->end_ns > b->end_ns : strcmp(a->id, b->id) > 0;
}

/* A fenced writer, or a mark that is missing: then only all of them can tell. */
static bool is_plain(const struct quick *q, const struct snapshot *s)
{
    return strcmp(s->source, q->source) == 0 && s->epoch == q->epoch;
}

/* Out of one bucket: judged, and in no E there. */
static enum dr_rc look_in(struct quick *q, struct place *p, const char *name, struct candidate *c,
                          struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct snapshot s = { 0 };
    if (!text_list_has_sorted(&p->names, name))
        return dr_fail(err, DR_E_NOTFOUND, "bucket '%s': there is no object '%s'", p->store->name,
                       name);
    DR_TRY(store_get_all(p->store, name, SNAPSHOT_SIZE_MAX, &object, err));
    if (repo_judge(q->repo, name, &object, &s, err) != DR_OK)
        return dr_context(err, "bucket '%s'", p->store->name);
    bool behind = c->than != NULL && is_plain(q, &s) && !is_later(&s, c->than);
    bool expired = behind || is_expired(q, p, &s); /* then nobody cares */
    if (!expired)
        text_list_add(&c->buckets, p->store->name);
    if (expired || c->good) {
        snapshot_fini(&s);
        return DR_OK;
    }
    c->snapshot = s;
    c->object = object;
    object = (struct buf){ 0 };
    c->good = true;
    return DR_OK;
}

/* ret is zeroed, but for than. */
static void look_at(struct quick *q, const char *name, struct candidate *ret)
{
    for (size_t i = 0; i < q->count; i++) {
        struct dr_err why = { 0 };
        if (q->places[i].listed && look_in(q, &q->places[i], name, ret, &why) != DR_OK)
            text_list_add(&ret->told, why.msg);
    }
}

/* -- packs --------------------------------------------------------------------------------- */

/* What of the packs is not seen in this bucket is left. */
static void strike(const struct place *p, const struct candidate *c, struct text_list *left)
{
    DR_CLEANUP(text_list_fini) struct text_list page = { 0 };
    struct dr_err ignored = { 0 };
    bool more = false;
    size_t kept = 0;
    if (!p->listed || left->count == 0 ||
        store_list_some(p->store, NAMES_PACKS, &page, &more, &ignored) != DR_OK)
        return;
    const char *last = more && page.count > 0 ? page.items[page.count - 1] : "";
    bool shows = text_list_has(&c->buckets, p->store->name);
    for (size_t i = 0; i < left->count; i++) {
        bool behind = more && strcmp(left->items[i], last) > 0;
        if (behind ? shows : text_list_has_sorted(&page, left->items[i]))
            free(left->items[i]);
        else
            left->items[kept++] = left->items[i];
    }
    left->count = kept;
}

static bool is_complete(struct quick *q, const struct candidate *c)
{
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list left = { 0 };
    struct dr_err ignored = { 0 };
    if (list_expand(&c->snapshot.packs, repo_list_frame, q->repo, &packs, &ignored) != DR_OK)
        return false;
    for (size_t i = 0; i < packs.count; i++) {
        DR_FREE char *name = dr_strf(NAMES_PACKS "%.2s/%s", packs.items[i], packs.items[i]);
        text_list_add(&left, name);
    }
    for (size_t i = 0; i < q->count; i++)
        strike(&q->places[i], c, &left);
    return left.count == 0;
}

/* -- the newest ---------------------------------------------------------------------------- */

/* The later one of the two. False: not sure. */
static bool weigh(struct quick *q, size_t at, struct candidate *best)
{
    DR_CLEANUP(candidate_fini) struct candidate other = { .than = &best->snapshot };
    look_at(q, q->names.items[at], &other);
    if (!other.good)
        return true;
    if (!is_plain(q, &other.snapshot))
        return false;
    struct candidate swap = *best;
    *best = other;
    best->than = NULL;
    other = swap;
    return true;
}

static bool same_second(const char *a, const char *b)
{
    return strncmp(names_time_of(a), names_time_of(b), SECOND_LEN) == 0;
}

/* All that were begun in the same second, which is what names tell; and their neighbour, unless it had
 * ended before the best of them was begun. */
static bool weigh_all(struct quick *q, size_t first, struct candidate *best)
{
    size_t at = first + 1;
    for (; at < q->names.count && same_second(q->names.items[first], q->names.items[at]); at++)
        if (at - first > TRIES || !weigh(q, at, best))
            return false;
    const char *parent = best->snapshot.parent;
    for (size_t i = first; i <= at && i < q->names.count && parent != NULL; i++)
        if (strcmp(parent, id_of(q->names.items[i])) == 0)
            return true;
    return at >= q->names.count || weigh(q, at, best);
}

/* False: not sure. */
static bool find_newest(struct quick *q, struct candidate *ret)
{
    if (!list_all(q))
        return false;
    for (size_t i = 0; i < q->names.count && i < TRIES; i++) {
        look_at(q, q->names.items[i], ret);
        if (ret->good)
            return is_plain(q, &ret->snapshot) && weigh_all(q, i, ret) && is_complete(q, ret);
        candidate_fini(ret);
    }
    return false;
}

/* The whole id: nothing needs to be listed but what could speak against it. */
static bool find_that(struct quick *q, const char *id, struct candidate *ret)
{
    char name[NAMES_MAX];
    const char *source = q->source;
    names_of(NAMES_SNAPSHOTS, id, name);
    for (size_t i = 0; i < q->count; i++) {
        q->places[i].listed = q->places[i].store != NULL;
        text_list_add(&q->places[i].names, name);
    }
    look_at(q, name, ret);
    if (!ret->good)
        return false;
    q->source = ret->snapshot.source;
    for (size_t i = 0; i < q->count; i++) {
        struct dr_err ignored = { 0 };
        if (q->places[i].listed && read_epochs(q, &q->places[i], &ignored) != DR_OK)
            q->places[i].listed = false;
    }
    return (source == NULL || strcmp(source, q->source) == 0) && is_plain(q, &ret->snapshot) &&
           is_complete(q, ret);
}

/* id NULL: the newest of the source. False: not sure. */
static bool find_quickly(struct repo *r, const char *id, const char *source,
                         struct snapshot_info *ret)
{
    DR_CLEANUP(quick_fini) struct quick q = { .repo = r, .source = source };
    DR_CLEANUP(candidate_fini) struct candidate c = { .good = false };
    begin(&q);
    if (!(id != NULL ? find_that(&q, id, &c) : find_newest(&q, &c)))
        return false;
    *ret = (struct snapshot_info){ .state = SNAPSHOT_GOOD };
    memcpy(ret->id, c.snapshot.id, sizeof(ret->id));
    snapshot_info_fill(ret, &c.snapshot);
    ret->buckets = c.buckets;
    c.buckets = (struct text_list){ 0 };
    repo_keep(r, ret->id, &c.object, &c.told);
    return true;
}

/* -- choosing ------------------------------------------------------------------------------ */

static const char *const state_words[] = {
    [SNAPSHOT_GOOD] = "good", [SNAPSHOT_INCOMPLETE] = "incomplete", [SNAPSHOT_REFUSED] = "refused"
};

static enum dr_rc find_none(const struct snapshot_list *list, const char *what, struct dr_err *err)
{
    if (list->count == 0) {
        dr_fail(err, DR_E_NOTFOUND, "there is no snapshot in the buckets that can be read");
        return dr_hint(err, "Take one with 'drctl backup'.");
    }
    const struct snapshot_info *last = &list->items[list->count - 1];
    if (strcmp(what, "latest") != 0) {
        dr_fail(err, DR_E_NOTFOUND, "no snapshot '%.100s' in the buckets that can be read", what);
        return dr_hint(err, "The newest of %zu is '%s'; see 'drctl snapshots'.", list->count,
                       last->id);
    }
    dr_fail(err, DR_E_NOTFOUND,
            "no snapshot '%s' that can be restored; the newest of %zu is '%s': %s%s%.300s", what,
            list->count, last->id, state_words[last->state], last->why != NULL ? ", " : "",
            last->why != NULL ? last->why : "");
    return dr_hint(err, "See 'drctl snapshots'.");
}

/* The only one whose id begins so; the whole id always counts. */
static enum dr_rc find_named(const struct snapshot_list *list, const char *what, size_t *ret,
                             struct dr_err *err)
{
    size_t hits = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].id, what) == 0) {
            *ret = i;
            return DR_OK;
        }
        if (text_starts(list->items[i].id, what)) {
            *ret = i;
            hits++;
        }
    }
    if (hits == 1)
        return DR_OK;
    if (hits > 1) {
        dr_fail(err, DR_E_USAGE, "'%s' is the beginning of %zu snapshots", what, hits);
        return dr_hint(err, "Write more of it, or all: '%s'.", list->items[*ret].id);
    }
    return find_none(list, what, err);
}

enum dr_rc repo_find(struct repo *r, const char *what, const char *source,
                     struct snapshot_info *ret, struct dr_err *err)
{
    const struct config *c = repo_config(r);
    bool latest = strcmp(what, "latest") == 0;
    if (latest && source == NULL && c->source_count > 1) {
        dr_fail(err, DR_E_USAGE, "'latest' of which source?");
        return dr_hint(err, "Add --source NAME.");
    }
    if (latest && source == NULL && c->source_count == 1)
        source = c->sources[0].name;
    bool whole = !latest && names_is_id(what) && names_time_of(what) != NULL;
    if ((whole || (latest && source != NULL)) && find_quickly(r, whole ? what : NULL, source, ret))
        return DR_OK;
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    DR_TRY(repo_snapshots(r, source, &list, err));
    size_t at = list.count;
    if (latest) {
        while (at > 0 && list.items[at - 1].state != SNAPSHOT_GOOD)
            at--;
        if (at == 0)
            return find_none(&list, what, err);
        at--;
    } else {
        DR_TRY(find_named(&list, what, &at, err));
    }
    *ret = list.items[at];
    list.items[at] = (struct snapshot_info){ 0 };
    return DR_OK;
}
