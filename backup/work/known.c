/*
 * Memory in small files. Each is sealed or signed, so that a torn one counts as none.
 */
#include "backup/work/known.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/format/snapshot.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

#define SOURCE_FILE "source-"
#define OBJECT_FILE "object-"
#define GC_FILE     "gc-"

/* -- files --------------------------------------------------------------------------------- */

/* Never synced: what a power loss tears is seen to be torn. Each process writes beside the file under a name
 * of its own. What cannot be written is asked for again. */
static void keep(const char *folder, const char *name, const struct buf *bytes)
{
    struct dr_err ignored = { .rc = DR_OK };
    DR_FREE char *path = dr_strf("%s/%s", folder, name);
    DR_FREE char *temp = dr_strf("%s/.%d-%s", folder, (int)getpid(), name);
    if (fs_make_dirs(folder, 0700, &ignored) != DR_OK)
        return;
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    bool whole = fs_write_all(fd, temp, bytes->data, bytes->len, &ignored) == DR_OK &&
                 sys.close(dr_take_fd(&fd)) == 0;
    if (!whole || sys_rename(temp, path) < 0)
        (void)sys_unlink(temp); /* or it stays, and is written over one day */
}

static bool recall(const char *folder, const char *name, size_t limit, struct buf *ret)
{
    struct dr_err ignored = { .rc = DR_OK };
    DR_FREE char *path = dr_strf("%s/%s", folder, name);
    buf_clear(ret);
    return fs_read_file(path, limit, ret, &ignored) == DR_OK && ret->len > 0;
}

static bool recall_sealed(const char *folder, const char *name, const char *format, json_t **ret)
{
    struct dr_err ignored = { .rc = DR_OK };
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    return recall(folder, name, KNOWN_FILE_MAX, &bytes) &&
           sealed_parse(name, format, bytes.data, bytes.len, ret, &ignored) == DR_OK;
}

static void keep_sealed(const char *folder, const char *name, const char *format, json_t *body)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    sealed_encode(body, format, &bytes);
    if (bytes.len <= KNOWN_FILE_MAX)
        keep(folder, name, &bytes);
}

static void forget(const char *folder, const char *name)
{
    DR_FREE char *path = dr_strf("%s/%s", folder, name);
    (void)sys_unlink(path); /* not there is as good */
}

/* Names that begin so, without that; sorted. */
static void names_in(const char *folder, const char *prefix, struct text_list *ret)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (;;) {
        const struct dirent *e = readdir(dir); /* NOLINT(concurrency-mt-unsafe): own stream */
        if (e == NULL)
            break;
        if (text_starts(e->d_name, prefix))
            text_list_add(ret, e->d_name + strlen(prefix));
    }
    closedir(dir);
    text_list_sort(ret);
}

static bool get_text(const json_t *o, const char *key, const char **ret)
{
    *ret = json_string_value(json_object_get(o, key));
    return *ret != NULL;
}

/* -- which repository ---------------------------------------------------------------------- */

static char *base_folder(const char *state_dir)
{
    return dr_strf("%s/known", state_dir);
}

static char *bucket_file(const struct config_bucket *b)
{
    return dr_strf("bucket-%s", b->name);
}

bool known_repository(const char *state_dir, const struct config_bucket *b, struct repository *ret)
{
    struct dr_err ignored = { .rc = DR_OK };
    DR_JSON json_t *body = NULL;
    const char *url, *object;
    if (state_dir == NULL || b->url == NULL)
        return false;
    DR_FREE char *folder = base_folder(state_dir);
    DR_FREE char *name = bucket_file(b);
    return recall_sealed(folder, name, "drctl-known-bucket", &body) &&
           get_text(body, "url", &url) && strcmp(url, b->url) == 0 &&
           get_text(body, "object", &object) &&
           repository_parse(name, object, strlen(object), ret, &ignored) == DR_OK;
}

void known_keep_repository(const char *state_dir, const struct config_bucket *b,
                           const struct repository *r)
{
    struct repository had;
    if (state_dir == NULL || b->url == NULL ||
        (known_repository(state_dir, b, &had) && strcmp(had.id, r->id) == 0))
        return;
    DR_FREE char *folder = base_folder(state_dir);
    DR_FREE char *name = bucket_file(b);
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_JSON json_t *body = json_object();
    repository_encode(r, &object);
    json_put_text(body, "object", object.data);
    json_put_text(body, "url", b->url);
    keep_sealed(folder, name, "drctl-known-bucket", body);
}

void known_forget_repository(const char *state_dir, const struct config_bucket *b)
{
    if (state_dir == NULL)
        return;
    DR_FREE char *folder = base_folder(state_dir);
    DR_FREE char *name = bucket_file(b);
    forget(folder, name);
}

char *known_folder(const char *state_dir, const char *repository)
{
    return state_dir != NULL ? dr_strf("%s/known/%s", state_dir, repository) : NULL;
}

/* -- one source ---------------------------------------------------------------------------- */

static void row_fini(struct known_bucket *row)
{
    free(row->name);
    free(row->url);
}

void known_fini(struct known *k)
{
    for (size_t i = 0; i < k->count; i++)
        row_fini(&k->buckets[i]);
    free(k->buckets);
    buf_fini(&k->object);
    *k = (struct known){ .count = 0 };
}

void known_set(struct known *k, const struct known_bucket *row)
{
    size_t i = 0;
    struct known_bucket copy = *row;
    copy.name = dr_strdup(row->name);
    copy.url = dr_strdup(row->url);
    while (i < k->count && strcmp(k->buckets[i].name, row->name) != 0)
        i++;
    if (i < k->count) {
        row_fini(&k->buckets[i]);
    } else {
        k->buckets = dr_realloc(k->buckets, k->count + 1, sizeof(k->buckets[0]));
        k->count++;
    }
    k->buckets[i] = copy;
}

const struct known_bucket *known_bucket(const struct known *k, const struct config_bucket *b)
{
    for (size_t i = 0; i < k->count; i++)
        if (strcmp(k->buckets[i].name, b->name) == 0)
            return strcmp(k->buckets[i].url, b->url) == 0 ? &k->buckets[i] : NULL;
    return NULL;
}

static bool copy_id(const char *id, char ret[NAMES_ID_MAX])
{
    if (!names_is_id(id))
        return false;
    (void)snprintf(ret, NAMES_ID_MAX, "%s", id); /* fits: it is an id */
    return true;
}

static void take_row(struct known *k, const json_t *o)
{
    struct known_bucket row = { .bytes = 0 };
    const char *name, *url, *id;
    struct dr_err ignored = { .rc = DR_OK };
    int64_t bytes = 0;
    if (!get_text(o, "name", &name) || !get_text(o, "url", &url) || !get_text(o, "snapshot", &id) ||
        !copy_id(id, row.snapshot) || json_get_int(o, "bytes", &bytes, &ignored) != DR_OK ||
        bytes < 0 || json_get_int(o, "epoch", &row.epoch, &ignored) != DR_OK)
        return;
    DR_FREE char *own_name = dr_strdup(name);
    DR_FREE char *own_url = dr_strdup(url);
    row.name = own_name;
    row.url = own_url;
    row.bytes = (uint64_t)bytes;
    known_set(k, &row);
}

static void read_rows(const char *folder, const char *file, struct known *ret)
{
    DR_JSON json_t *body = NULL;
    const char *id;
    if (!recall_sealed(folder, file, "drctl-known-source", &body))
        return;
    const json_t *rows = json_object_get(body, "buckets");
    for (size_t i = 0; i < json_array_size(rows); i++)
        take_row(ret, json_array_get(rows, i));
    if (!get_text(body, "snapshot", &id) || !copy_id(id, ret->snapshot))
        ret->snapshot[0] = '\0';
}

/* without: the row of this bucket is left out; or NULL. */
static void write_rows(const char *folder, const char *file, const struct known *k,
                       const char *without)
{
    DR_JSON json_t *body = json_object();
    json_t *rows = json_array();
    for (size_t i = 0; i < k->count; i++) {
        const struct known_bucket *b = &k->buckets[i];
        if (without != NULL && strcmp(b->name, without) == 0)
            continue;
        json_t *o = json_object();
        json_put_text(o, "name", b->name);
        json_put_text(o, "url", b->url);
        json_put_text(o, "snapshot", b->snapshot);
        json_put_int(o, "bytes", (int64_t)b->bytes);
        json_put_int(o, "epoch", b->epoch);
        DR_ASSERT(json_array_append_new(rows, o) == 0);
    }
    json_put(body, "buckets", rows);
    json_put_text(body, "snapshot", k->snapshot);
    keep_sealed(folder, file, "drctl-known-source", body);
}

void known_read(const struct known_place *at, struct known *ret)
{
    if (at->state_dir == NULL)
        return;
    DR_FREE char *folder = known_folder(at->state_dir, at->repository);
    DR_FREE char *rows = dr_strf(SOURCE_FILE "%s", at->source);
    DR_FREE char *object = dr_strf(OBJECT_FILE "%s", at->source);
    read_rows(folder, rows, ret);
    if (ret->snapshot[0] == '\0' || !recall(folder, object, SNAPSHOT_SIZE_MAX, &ret->object))
        ret->snapshot[0] = '\0';
}

/* The object first: rows that name another one are seen to. */
void known_write(const struct known_place *at, const struct known *k)
{
    if (at->state_dir == NULL)
        return;
    DR_FREE char *folder = known_folder(at->state_dir, at->repository);
    DR_FREE char *rows = dr_strf(SOURCE_FILE "%s", at->source);
    DR_FREE char *object = dr_strf(OBJECT_FILE "%s", at->source);
    keep(folder, object, &k->object);
    write_rows(folder, rows, k, NULL);
}

/* -- gc lists ------------------------------------------------------------------------------ */

static char *gc_file(const char *name)
{
    return dr_strf(GC_FILE "%s", name + strlen(NAMES_GC));
}

/* A name with a folder in it is none of ours. */
static bool is_plain(const char *name)
{
    return text_starts(name, NAMES_GC) && strchr(name + strlen(NAMES_GC), '/') == NULL;
}

bool known_gc_get(const char *folder, const char *name, struct buf *ret)
{
    if (folder == NULL || !is_plain(name))
        return false;
    DR_FREE char *file = gc_file(name);
    return recall(folder, file, SEALED_SIZE_MAX, ret);
}

void known_gc_keep(const char *folder, const char *name, const struct buf *object)
{
    if (folder == NULL || !is_plain(name))
        return;
    DR_FREE char *file = gc_file(name);
    keep(folder, file, object);
}

void known_gc_names(const char *folder, struct text_list *ret)
{
    DR_CLEANUP(text_list_fini) struct text_list files = { 0 };
    if (folder == NULL)
        return;
    names_in(folder, GC_FILE, &files);
    for (size_t i = 0; i < files.count; i++) {
        DR_FREE char *name = dr_strf(NAMES_GC "%s", files.items[i]);
        text_list_add(ret, name);
    }
}

void known_readmit(const char *folder, const char *bucket)
{
    DR_CLEANUP(text_list_fini) struct text_list sources = { 0 };
    if (folder == NULL)
        return;
    names_in(folder, SOURCE_FILE, &sources);
    for (size_t i = 0; i < sources.count; i++) {
        DR_CLEANUP(known_fini) struct known k = { .count = 0 };
        DR_FREE char *file = dr_strf(SOURCE_FILE "%s", sources.items[i]);
        read_rows(folder, file, &k);
        write_rows(folder, file, &k, bucket);
    }
}

void known_gc_forget(const char *folder, const struct text_list *listed)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    known_gc_names(folder, &names);
    for (size_t i = 0; i < names.count; i++) {
        if (text_list_has(listed, names.items[i]))
            continue;
        DR_FREE char *file = gc_file(names.items[i]);
        forget(folder, file);
    }
}
