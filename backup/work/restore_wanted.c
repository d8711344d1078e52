/*
 * Bits, set in one pass in path order. The directories above the record at hand are kept with their
 * numbers, so that they can be set when something below them turns out to be wanted.
 */
#include "backup/work/restore_wanted.h"

#include <string.h>
#include <xxhash.h>

#include "backup/format/path.h"
#include "dr/base/mem.h"

struct above { /* a directory on the way to the record at hand */
    size_t index, len;
};

struct moved {
    char *from, *to; /* owned */
    size_t order;
};

struct wanted {
    const struct restore_filter *filter;
    bool all; /* no filter */
    uint8_t *bits;
    size_t bits_cap; /* bytes */
    size_t seen;     /* records */
    struct above *above;
    size_t above_count, above_cap;
    struct buf path; /* of the last directory; scratch as well */
    struct moved *moved;
    size_t moved_count, moved_cap;
    XXH64_hash_t *linked; /* of what links name; sorted in the end */
    size_t linked_count, linked_cap;
    uint64_t count, bytes, links;
    bool saw_path;
};

struct wanted *wanted_new(const struct restore_filter *filter)
{
    struct wanted *w = dr_alloc(1, sizeof(*w));
    w->filter = filter;
    w->all = filter->path == NULL && filter->include == NULL && filter->exclude == NULL;
    return w;
}

void wanted_free(struct wanted *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->moved_count; i++) {
        free(w->moved[i].from);
        free(w->moved[i].to);
    }
    free(w->moved);
    free(w->bits);
    free(w->linked);
    free(w->above);
    buf_fini(&w->path);
    free(w);
}

/* The path itself decides, and each directory above it: what is below an excluded directory is
 * excluded, what is below an included one is included. */
static bool passes(struct wanted *w, const char *path, size_t len, bool is_directory)
{
    const struct restore_filter *f = w->filter;
    if (f->path != NULL && !path_is_within(path, f->path))
        return false;
    bool included = f->include == NULL;
    DR_FREE char *part = dr_memdup(path, len);
    for (size_t end = 1; end <= len; end++) {
        if (end < len && path[end] != '/')
            continue;
        part[end] = '\0';
        bool directory = end < len || is_directory;
        if (f->exclude != NULL && exclude_match(f->exclude, part, directory))
            return false;
        included = included || exclude_match(f->include, part, directory);
        part[end] = end < len ? '/' : '\0';
    }
    return included;
}

static bool test(const struct wanted *w, size_t index)
{
    return (w->bits[index / 8] >> (index % 8) & 1) != 0;
}

static void set(struct wanted *w, size_t index)
{
    if (!test(w, index))
        w->count++;
    w->bits[index / 8] |= (uint8_t)(1U << (index % 8));
}

static void note_linked(struct wanted *w, const char *path)
{
    if (w->linked_count == w->linked_cap) {
        w->linked_cap = w->linked_cap == 0 ? 64 : 2 * w->linked_cap;
        w->linked = dr_realloc(w->linked, w->linked_cap, sizeof(w->linked[0]));
    }
    w->linked[w->linked_count++] = XXH3_64bits(path, strlen(path));
}

static int by_hash(const void *left, const void *right)
{
    const XXH64_hash_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

bool wanted_is_linked(const struct wanted *w, const char *path)
{
    XXH64_hash_t hash = XXH3_64bits(path, strlen(path));
    return w->linked_count > 0 &&
           bsearch(&hash, w->linked, w->linked_count, sizeof(hash), by_hash) != NULL;
}

static void note_link(struct wanted *w, const struct toc_record *rec)
{
    if (passes(w, rec->link, strlen(rec->link), false))
        return;
    if (w->moved_count == w->moved_cap) {
        w->moved_cap = w->moved_cap == 0 ? 16 : 2 * w->moved_cap;
        w->moved = dr_realloc(w->moved, w->moved_cap, sizeof(w->moved[0]));
    }
    w->moved[w->moved_count] = (struct moved){ .from = dr_strdup(rec->link),
                                               .to = dr_strdup(rec->path),
                                               .order = w->moved_count };
    w->moved_count++;
}

/* Directories that rec does not lie in are behind us. */
static void climb(struct wanted *w, const struct toc_record *rec)
{
    while (w->above_count > 0) {
        size_t len = w->above[w->above_count - 1].len;
        bool inside = len == 0 || (rec->path_len > len && rec->path[len] == '/' &&
                                   memcmp(rec->path, w->path.data, len) == 0);
        if (inside)
            return;
        w->above_count--;
    }
}

static void descend(struct wanted *w, const struct toc_record *rec, size_t index)
{
    if (w->above_count == w->above_cap) {
        w->above_cap = w->above_cap == 0 ? 64 : 2 * w->above_cap;
        w->above = dr_realloc(w->above, w->above_cap, sizeof(w->above[0]));
    }
    w->above[w->above_count++] = (struct above){ index, rec->path_len };
    buf_clear(&w->path);
    buf_add(&w->path, rec->path, rec->path_len);
    buf_adds(&w->path, "");
}

void wanted_add(struct wanted *w, const struct toc_record *rec)
{
    size_t index = w->seen++;
    bool in = w->all;
    if (!w->all) {
        if (index / 8 >= w->bits_cap) {
            size_t cap = w->bits_cap == 0 ? 4096 : 2 * w->bits_cap;
            w->bits = dr_realloc(w->bits, cap, 1);
            memset(w->bits + w->bits_cap, 0, cap - w->bits_cap);
            w->bits_cap = cap;
        }
        climb(w, rec);
        in = passes(w, rec->path, rec->path_len, rec->type == '5');
        w->saw_path =
            w->saw_path || (w->filter->path != NULL && strcmp(rec->path, w->filter->path) == 0);
        for (size_t i = w->above_count; in && i-- > 0 && !test(w, w->above[i].index);)
            set(w, w->above[i].index);
        if (in)
            set(w, index);
        if (rec->type == '5')
            descend(w, rec, index);
    } else {
        w->count++;
    }
    if (!in)
        return;
    w->bytes += rec->type == '0' ? rec->size : 0;
    w->links += rec->type == '1';
    if (rec->type == '1' && w->filter->know_links)
        note_linked(w, rec->link);
    if (rec->type == '1' && !w->all)
        note_link(w, rec);
}

static int by_from(const void *left, const void *right)
{
    const struct moved *a = left, *b = right;
    int order = strcmp(a->from, b->from);
    if (order != 0)
        return order;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Of several links to one outside the first in path order becomes the file. */
void wanted_seal(struct wanted *w)
{
    if (w->linked_count > 0)
        qsort(w->linked, w->linked_count, sizeof(w->linked[0]), by_hash);
    if (w->moved_count > 0)
        qsort(w->moved, w->moved_count, sizeof(w->moved[0]), by_from);
    size_t kept = 0;
    for (size_t i = 0; i < w->moved_count; i++) {
        if (kept > 0 && strcmp(w->moved[kept - 1].from, w->moved[i].from) == 0) {
            free(w->moved[i].from);
            free(w->moved[i].to);
            continue;
        }
        w->moved[kept++] = w->moved[i];
    }
    w->moved_count = kept;
}

bool wanted_has(const struct wanted *w, size_t index)
{
    DR_ASSERT(w->all || index < w->seen);
    return w->all || test(w, index);
}

size_t wanted_seen(const struct wanted *w)
{
    return w->seen;
}

uint64_t wanted_count(const struct wanted *w)
{
    return w->count;
}

uint64_t wanted_bytes(const struct wanted *w)
{
    return w->bytes;
}

uint64_t wanted_links(const struct wanted *w)
{
    return w->links;
}

bool wanted_saw_path(const struct wanted *w)
{
    return w->filter->path == NULL || w->saw_path;
}

bool wanted_moves(const struct wanted *w)
{
    return w->moved_count > 0;
}

static const char *moved_to(const struct wanted *w, const char *from)
{
    size_t low = 0, high = w->moved_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(w->moved[middle].from, from);
        if (order == 0)
            return w->moved[middle].to;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *wanted_place(const struct wanted *w, size_t index, const struct toc_record *rec)
{
    return wanted_has(w, index) ? rec->path : moved_to(w, rec->path);
}

const char *wanted_first(const struct wanted *w, const char *link)
{
    const char *to = moved_to(w, link);
    return to != NULL ? to : link;
}
