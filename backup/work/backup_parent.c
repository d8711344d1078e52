/*
 * The parent by its name. Ids end in the time at which reading began, so the newest names are the newest
 * snapshots by this host's own clock; where that is wrong an older one is compared with, and more is read.
 */
#include "backup/work/backup_parent.h"

#include <stdlib.h>
#include <string.h>

#include "dr/base/mem.h"

enum { TRIES = 4, TIME_LEN = 24 }; /* "-20261121t031140z-1f3a9c" */

void parent_fini(struct parent *p)
{
    snapshot_info_fini(&p->info);
    text_list_fini(&p->packs);
    p->found = false;
}

static const char *time_of(const char *name)
{
    size_t len = strlen(name);
    return len > TIME_LEN ? name + len - TIME_LEN : name;
}

static int by_time(const void *left, const void *right)
{
    return strcmp(time_of(*(char *const *)right), time_of(*(char *const *)left));
}

/* "snapshots/SOURCE" as it begins the name of each snapshot of the source. The caller frees. */
static char *prefix_of(const char *source)
{
    static const uint8_t nonce[NONCE_SIZE];
    char id[NAMES_ID_MAX];
    names_make_id(&(struct names_id){ .source = source, .nonce = nonce }, id);
    id[strlen(id) - TIME_LEN] = '\0';
    return dr_strf(NAMES_SNAPSHOTS "%s", id);
}

struct search {
    struct repo *repo;
    const char *source, *writer;
    struct text_list *lists; /* of each bucket, sorted */
    struct text_list names;  /* of this source, in any; the newest first */
};

static void search_fini(struct search *s)
{
    for (size_t i = 0; i < repo_bucket_count(s->repo); i++)
        text_list_fini(&s->lists[i]);
    free(s->lists);
    text_list_fini(&s->names);
}

/* A bucket that cannot be listed is passed over. */
static void list_names(struct search *s)
{
    DR_FREE char *prefix = prefix_of(s->source);
    size_t len = strlen(prefix);
    for (size_t i = 0; i < repo_bucket_count(s->repo); i++) {
        struct store *store = repo_bucket(s->repo, i)->store;
        struct dr_err ignored = { .rc = DR_OK };
        if (store == NULL || store_list(store, NAMES_SNAPSHOTS, &s->lists[i], &ignored) != DR_OK)
            continue;
        text_list_sort(&s->lists[i]);
        for (size_t k = 0; k < s->lists[i].count; k++) {
            const char *name = s->lists[i].items[k];
            if (text_starts(name, prefix) && strlen(name) == len + TIME_LEN &&
                !text_list_has(&s->names, name))
                text_list_add(&s->names, name);
        }
    }
    if (s->names.count > 1)
        qsort(s->names.items, s->names.count, sizeof(s->names.items[0]), by_time);
}

/* The object from the first bucket that has it right. */
static bool load(struct search *s, const char *name, struct snapshot *ret)
{
    for (size_t i = 0; i < repo_bucket_count(s->repo); i++) {
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        struct dr_err ignored = { .rc = DR_OK };
        if (!text_list_has_sorted(&s->lists[i], name))
            continue;
        if (store_get_all(repo_bucket(s->repo, i)->store, name, SNAPSHOT_SIZE_MAX, &object,
                          &ignored) == DR_OK &&
            repo_judge(s->repo, name, &object, ret, &ignored) == DR_OK)
            return true;
    }
    return false;
}

/* Names tell no more than seconds. */
static bool same_second(const char *a, const char *b)
{
    enum { HASH_LEN = 7 };
    return strncmp(time_of(a), time_of(b), TIME_LEN - HASH_LEN) == 0;
}

static void describe(const struct snapshot *from, struct parent *ret)
{
    memcpy(ret->info.id, from->id, sizeof(ret->info.id));
    ret->info.state = SNAPSHOT_GOOD;
    snapshot_info_fill(&ret->info, from);
    for (size_t i = 0; i < from->packs.lines.count && from->packs.depth == 0; i++)
        text_list_add(&ret->packs, from->packs.lines.items[i]);
    ret->found = true;
}

static void take(const struct search *s, const char *name, const struct snapshot *from,
                 struct parent *ret)
{
    parent_fini(ret);
    describe(from, ret);
    for (size_t i = 0; i < repo_bucket_count(s->repo); i++)
        if (text_list_has_sorted(&s->lists[i], name))
            text_list_add(&ret->info.buckets, repo_bucket(s->repo, i)->config->name);
}

static bool is_ours(const struct search *s, const struct snapshot *snapshot)
{
    return strcmp(snapshot->writer, s->writer) == 0 && strcmp(snapshot->source, s->source) == 0;
}

bool parent_recall(struct repo *repo, const struct known *known, const char *source,
                   const char *writer, struct parent *ret)
{
    const struct search s = { .source = source, .writer = writer };
    struct snapshot found = { 0 };
    struct dr_err ignored = { .rc = DR_OK };
    char name[NAMES_MAX];
    *ret = (struct parent){ .found = false };
    if (known->snapshot[0] == '\0')
        return false;
    names_of(NAMES_SNAPSHOTS, known->snapshot, name);
    if (repo_judge(repo, name, &known->object, &found, &ignored) != DR_OK)
        return false;
    if (is_ours(&s, &found))
        describe(&found, ret);
    snapshot_fini(&found);
    return ret->found;
}

/* All objects of all buckets; a snapshot that cannot be loaded is no parent. */
static enum dr_rc search_all(const struct search *s, struct parent *ret, struct dr_err *err)
{
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { .count = 0 };
    DR_TRY(repo_snapshots(s->repo, s->source, &list, err));
    for (size_t i = list.count; i > 0 && !ret->found; i--) {
        struct snapshot_info *info = &list.items[i - 1];
        struct snapshot snapshot;
        struct dr_err ignored;
        if (info->state != SNAPSHOT_GOOD ||
            repo_load(s->repo, info->id, NULL, NULL, &snapshot, &ignored) != DR_OK)
            continue;
        ret->found = is_ours(s, &snapshot);
        snapshot_fini(&snapshot);
        if (ret->found) {
            ret->info = *info;
            *info = (struct snapshot_info){ .source = NULL };
        }
    }
    return DR_OK;
}

enum dr_rc parent_find(struct repo *repo, struct buckets *b, const char *source, const char *writer,
                       struct parent *ret, struct dr_err *err)
{
    DR_CLEANUP(search_fini)
    struct search s = { .repo = repo, .source = source, .writer = writer };
    s.lists = dr_alloc(repo_bucket_count(repo) + 1, sizeof(s.lists[0]));
    *ret = (struct parent){ .found = false };
    list_names(&s);
    for (size_t i = 0; i < s.names.count && (ret->found || i < TRIES); i++) {
        struct snapshot found = { 0 };
        const char *name = s.names.items[i];
        if (ret->found && !same_second(name, ret->info.id))
            break;
        if (buckets_knows_expired(b, name + strlen(NAMES_SNAPSHOTS)) || !load(&s, name, &found))
            continue;
        if (is_ours(&s, &found) && (!ret->found || found.end_ns > ret->info.end_ns))
            take(&s, name, &found, ret);
        snapshot_fini(&found);
    }
    if (ret->found || s.names.count == 0)
        return DR_OK;
    return search_all(&s, ret, err);
}
