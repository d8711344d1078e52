/*
 * Sorting names. A name's key is the eight bytes behind what all names of a run begin with, as a number:
 * names like file-000123 differ there, and strcmp() is asked only where keys are equal. Runs are
 * merged by a heap of their first names. A listing of a directory that changes may show a name twice;
 * the order of a snapshot allows it once.
 */
#include "backup/work/scan_names.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "backup/work/spool.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum {
    RUN_SIZE = 1 << 20, /* bytes of names and keys in memory */
    RUNS_MAX = 1 << 16,
    TEXT_MAX = 1 << 30, /* bytes of names in memory, without a spool */
    WRITE_SIZE = 64 << 10,
};

struct scan_name {
    uint64_t key;    /* bytes behind what all names begin with, big-endian */
    uint32_t offset; /* in the text */
    uint32_t len;
};

struct scan_run {
    uint64_t at, end; /* in the file */
};

struct source { /* a run that is being merged */
    const char *name, *end;
};

struct sink { /* where sorted names go */
    int fd;
    struct buf text;  /* not written yet */
    struct buf last;  /* name that came last */
    size_t count;     /* names */
    uint64_t written; /* bytes */
};

void scan_names_init(struct scan_names *n, const char *state_dir)
{
    *n = (struct scan_names){ .state_dir = state_dir, .fd = -1 };
}

void scan_names_clear(struct scan_names *n)
{
    dr_close_fd(&n->fd);
    buf_clear(&n->text);
    n->count = n->run_count = 0;
    n->runs_size = 0;
    n->failed.rc = DR_OK;
}

void scan_names_fini(struct scan_names *n)
{
    scan_names_clear(n);
    buf_fini(&n->text);
    free(n->keys);
    free(n->runs);
}

void scan_name_list_fini(struct scan_name_list *list)
{
    if (list->mapped)
        (void)munmap(list->data, list->size); /* fails for what is no mapping only */
    else
        free(list->data);
    *list = (struct scan_name_list){ .data = NULL };
}

static int by_key(const void *pa, const void *pb, void *arg)
{
    const struct scan_name *a = pa, *b = pb;
    const char *text = arg;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return strcmp(text + a->offset, text + b->offset);
}

static size_t common_prefix(const struct scan_names *n)
{
    const char *first = n->text.data;
    size_t common = n->keys[0].len;
    for (size_t i = 1; i < n->count && common > 0; i++) {
        const char *name = n->text.data + n->keys[i].offset;
        size_t same = 0;
        while (same < common && name[same] == first[same])
            same++;
        common = same;
    }
    return common;
}

static void sort(struct scan_names *n)
{
    size_t skip = common_prefix(n);
    for (size_t i = 0; i < n->count; i++) {
        struct scan_name *k = &n->keys[i];
        size_t len = k->len - skip;
        k->key = 0;
        memcpy(&k->key, n->text.data + k->offset + skip, len < 8 ? len : 8);
        k->key = htobe64(k->key);
    }
    qsort_r(n->keys, n->count, sizeof *n->keys, by_key, n->text.data);
}

/* -- where they go ------------------------------------------------------------------------- */

static enum dr_rc flush(struct sink *s, struct dr_err *err)
{
    DR_TRY(fs_write_all(s->fd, "the spool", s->text.data, s->text.len, err));
    s->written += s->text.len;
    buf_clear(&s->text);
    return DR_OK;
}

/* name_size: with its NUL. A name that came already is dropped. */
static enum dr_rc put(struct sink *s, const char *name, size_t name_size, struct dr_err *err)
{
    if (s->last.data != NULL && s->last.len == name_size &&
        memcmp(s->last.data, name, name_size) == 0)
        return DR_OK;
    buf_clear(&s->last);
    buf_add(&s->last, name, name_size);
    buf_add(&s->text, name, name_size);
    s->count++;
    return s->text.len >= WRITE_SIZE ? flush(s, err) : DR_OK;
}

static void sink_fini(struct sink *s)
{
    buf_fini(&s->text);
    buf_fini(&s->last);
}

/* -- runs ---------------------------------------------------------------------------------- */

static enum dr_rc write_run(struct scan_names *n, struct dr_err *err)
{
    if (n->fd < 0)
        DR_TRY(spool_file(n->state_dir, &n->fd, err));
    if (n->run_count == RUNS_MAX)
        return dr_fail(err, DR_E_NOMEM, "a directory holds too many names");
    sort(n);
    DR_CLEANUP(sink_fini) struct sink s = { .fd = n->fd };
    for (size_t i = 0; i < n->count; i++)
        DR_TRY(put(&s, n->text.data + n->keys[i].offset, n->keys[i].len + 1, err));
    DR_TRY(flush(&s, err));
    n->runs = dr_realloc(n->runs, n->run_count + 1, sizeof *n->runs);
    n->runs[n->run_count++] =
        (struct scan_run){ .at = n->runs_size, .end = n->runs_size + s.written };
    n->runs_size += s.written;
    buf_clear(&n->text);
    n->count = 0;
    return DR_OK;
}

void scan_names_add(struct scan_names *n, const char *name)
{
    if (n->failed.rc != DR_OK)
        return;
    if (n->count == n->cap) {
        n->cap = n->cap == 0 ? 256 : n->cap * 2;
        n->keys = dr_realloc(n->keys, n->cap, sizeof *n->keys);
    }
    size_t len = strlen(name);
    n->keys[n->count++] =
        (struct scan_name){ .offset = (uint32_t)n->text.len, .len = (uint32_t)len };
    buf_add(&n->text, name, len + 1);
    size_t size = n->text.len + n->count * sizeof *n->keys;
    if (n->text.len > TEXT_MAX)
        (void)dr_fail(&n->failed, DR_E_NOMEM, "a directory holds too many names"); /* kept */
    else if (n->state_dir != NULL && size >= RUN_SIZE)
        (void)write_run(n, &n->failed); /* kept */
}

/* The source at i goes down to its place. */
static void sift(struct source *heap, size_t count, size_t i)
{
    for (;;) {
        size_t least = i, child = 2 * i + 1;
        if (child < count && strcmp(heap[child].name, heap[least].name) < 0)
            least = child;
        if (child + 1 < count && strcmp(heap[child + 1].name, heap[least].name) < 0)
            least = child + 1;
        if (least == i)
            return;
        struct source moved = heap[i];
        heap[i] = heap[least];
        heap[least] = moved;
        i = least;
    }
}

static enum dr_rc merge(const struct scan_names *n, const char *text, struct sink *s,
                        struct dr_err *err)
{
    size_t count = n->run_count;
    DR_FREE struct source *heap = dr_alloc(count, sizeof *heap);
    for (size_t i = 0; i < count; i++)
        heap[i] = (struct source){ .name = text + n->runs[i].at, .end = text + n->runs[i].end };
    for (size_t i = count; i-- > 0;)
        sift(heap, count, i);
    while (count > 0) {
        size_t size = strlen(heap->name) + 1;
        DR_TRY(put(s, heap->name, size, err));
        heap->name += size;
        if (heap->name == heap->end)
            heap[0] = heap[--count];
        sift(heap, count, 0);
    }
    return flush(s, err);
}

static enum dr_rc map(int fd, uint64_t size, char **ret, struct dr_err *err)
{
    void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return dr_fail_sys(err, errno, "cannot map a file of the spool");
    *ret = data;
    return DR_OK;
}

static enum dr_rc settle_runs(struct scan_names *n, struct scan_name_list *ret, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = -1;
    DR_CLEANUP(scan_name_list_fini)
    struct scan_name_list runs = { .size = n->runs_size, .mapped = true };
    DR_TRY(spool_file(n->state_dir, &fd, err));
    DR_CLEANUP(sink_fini) struct sink s = { .fd = fd };
    enum dr_rc rc = map(n->fd, runs.size, &runs.data, err);
    runs.mapped = rc == DR_OK;
    DR_TRY(rc);
    DR_TRY(merge(n, runs.data, &s, err));
    char *data = NULL;
    DR_TRY(map(fd, s.written, &data, err));
    *ret = (struct scan_name_list){
        .data = data, .size = s.written, .count = s.count, .mapped = true
    };
    return DR_OK;
}

static enum dr_rc settle(struct scan_names *n, struct scan_name_list *ret, struct dr_err *err)
{
    *ret = (struct scan_name_list){ .data = NULL };
    if (n->failed.rc != DR_OK) {
        *err = n->failed;
        return err->rc;
    }
    if (n->run_count > 0) {
        if (n->count > 0)
            DR_TRY(write_run(n, err));
        return settle_runs(n, ret, err);
    }
    if (n->count == 0)
        return DR_OK;
    sort(n);
    char *data = dr_alloc(1, n->text.len);
    size_t size = 0, count = 0;
    const char *last = NULL;
    for (size_t i = 0; i < n->count; i++) {
        const struct scan_name *k = &n->keys[i];
        const char *name = n->text.data + k->offset;
        if (last != NULL && strcmp(last, name) == 0)
            continue;
        last = memcpy(data + size, name, k->len + 1);
        size += k->len + 1;
        count++;
    }
    *ret = (struct scan_name_list){ .data = data, .size = size, .count = count };
    return DR_OK;
}

enum dr_rc scan_names_settle(struct scan_names *n, struct scan_name_list *ret, struct dr_err *err)
{
    enum dr_rc rc = settle(n, ret, err);
    scan_names_clear(n);
    return rc;
}
