/*
 * The index: opening, looking up, and merging in what a run has added. How it is made anew is in
 * chunk_index_build.c.
 */
#include "backup/work/chunk_index.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

#define INDEX_DIR  "index"
#define INDEX_NAME "chunks"
#define INDEX_TEMP ".chunks.tmp"

enum { REPOSITORY_ROOM = 40, WRITE_SIZE = 64 << 10, GUESSES_MAX = 6, NEAR = 8 };

struct header {
    char magic[8];
    char repository[REPOSITORY_ROOM];
    uint64_t rows;
    uint32_t packs, zero;
    uint64_t body_sum;
    uint8_t zeros[48];
    uint64_t sum; /* of what is before it */
};
static const char magic[8] = "DTCI1";

struct chunk_index {
    char *state_dir; /* owned */
    char repository[REPOSITORY_ROOM];
    void *data; /* mapped; NULL: an empty index */
    size_t size;
    uint8_t (*packs)[DIGEST_SIZE]; /* in data */
    const struct chunk_row *rows;  /* likewise */
    uint32_t pack_count;
    size_t count;
};

/* -- opening ------------------------------------------------------------------------------- */

void chunk_index_close(struct chunk_index *x)
{
    if (x == NULL)
        return;
    if (x->data != NULL)
        (void)munmap(x->data, x->size); /* of our own mapping: cannot fail */
    free(x->state_dir);
    free(x);
}

struct chunk_index *chunk_index_new(const char *state_dir, const char *repository)
{
    struct chunk_index *x = dr_alloc(1, sizeof *x);
    DR_ASSERT(strlen(repository) < REPOSITORY_ROOM);
    x->state_dir = dr_strdup(state_dir);
    memcpy(x->repository, repository, strlen(repository) + 1);
    return x;
}

/* Is all of it what we wrote, for this repository? */
static enum dr_rc check(struct chunk_index *x, const char *path, struct dr_err *err)
{
    const struct header *h = x->data;
    if (x->size < sizeof *h || memcmp(h->magic, magic, sizeof magic) != 0 ||
        le64toh(h->sum) != XXH3_64bits(h, offsetof(struct header, sum)))
        return dr_fail(err, DR_E_CORRUPT, "'%s' is not an index of pieces", path);
    if (memcmp(h->repository, x->repository, sizeof h->repository) != 0)
        return dr_fail(err, DR_E_CORRUPT, "'%s' is of another repository", path);
    uint64_t rows = le64toh(h->rows), left = x->size - sizeof *h;
    uint32_t packs = le32toh(h->packs);
    if (rows > left / sizeof(struct chunk_row) ||
        left != rows * sizeof(struct chunk_row) + (uint64_t)packs * DIGEST_SIZE ||
        le64toh(h->body_sum) != XXH3_64bits((const char *)x->data + sizeof *h, left))
        return dr_fail(err, DR_E_CORRUPT, "'%s' is damaged", path);
    x->packs = (void *)((char *)x->data + sizeof *h);
    x->rows = (const void *)(x->packs + packs);
    x->pack_count = packs;
    x->count = rows;
    return DR_OK;
}

enum dr_rc chunk_index_open(const char *state_dir, const char *repository, struct chunk_index **ret,
                            struct dr_err *err)
{
    DR_CLEANUP(chunk_index_close_ptr)
    struct chunk_index *x = chunk_index_new(state_dir, repository);
    DR_FREE char *path = dr_strf("%s/" INDEX_DIR "/" INDEX_NAME, state_dir);
    DR_CLEANUP(dr_close_fd) int fd = sys_open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return dr_fail(err, DR_E_CORRUPT, "'%s' is not an index of pieces", path);
    /* Never written in place, so the mapping cannot become shorter under us. */
    x->size = (size_t)st.st_size;
    x->data = mmap(NULL, x->size, PROT_READ, MAP_SHARED, fd, 0);
    if (x->data == MAP_FAILED) {
        x->data = NULL;
        return dr_fail_sys(err, errno, "cannot map '%s'", path);
    }
    DR_TRY(check(x, path, err));
    *ret = DR_TAKE(x);
    return DR_OK;
}

const uint8_t *chunk_index_pack(const struct chunk_index *x, uint32_t pack)
{
    DR_ASSERT(pack < x->pack_count);
    return x->packs[pack];
}

uint32_t chunk_index_packs(const struct chunk_index *x)
{
    return x->pack_count;
}

size_t chunk_index_count(const struct chunk_index *x)
{
    return x->count;
}

size_t chunk_index_bytes(const struct chunk_index *x)
{
    return x->size;
}

/* -- looking up ---------------------------------------------------------------------------- */

/* The upper bits of a key, as a number that orders like the key. */
static uint64_t number_of(const uint8_t *key)
{
    uint64_t n;
    memcpy(&n, key, sizeof n);
    return be64toh(n);
}

/* Where between lo and hi the key would be if the rows were spread evenly. */
static size_t guess(const struct chunk_row *rows, size_t lo, size_t hi, uint64_t want)
{
    uint64_t first = number_of(rows[lo].key), last = number_of(rows[hi].key);
    if (want <= first || last == first)
        return lo;
    if (want >= last)
        return hi;
    __extension__ typedef unsigned __int128 wide;
    return lo + (size_t)((wide)(want - first) * (hi - lo) / (last - first));
}

bool chunk_index_find(const struct chunk_index *x, const uint8_t id[DIGEST_SIZE],
                      struct chunk_place *ret)
{
    uint64_t want = number_of(id);
    size_t lo = 0, hi = x->count; /* [lo, hi) may hold it */
    for (unsigned tries = 0; lo < hi; tries++) {
        /* Rows that are not spread evenly could make guesses useless: then by halves. */
        bool near = hi - lo <= NEAR || tries >= GUESSES_MAX;
        size_t at = near ? lo + (hi - lo) / 2 : guess(x->rows, lo, hi - 1, want);
        int order = memcmp(x->rows[at].key, id, CHUNK_KEY_SIZE);
        if (order == 0) {
            *ret = chunk_row_place(&x->rows[at]);
            return ret->pack < x->pack_count;
        }
        if (order < 0)
            lo = at + 1;
        else
            hi = at;
    }
    return false;
}

/* -- merging ------------------------------------------------------------------------------- */

struct merge {
    const struct chunk_index *old; /* as it is on disk now */
    const struct chunk_index_news *news;
    const struct chunk_row *rows; /* of the news, sorted */
    size_t count;
    uint32_t *old_numbers, *new_numbers; /* numbers in the result; PACK_NAMES_NONE: unused */
    uint32_t packs;
    uint64_t total;
    int fd; /* of the result, in the second pass */
    const char *path;
    uint8_t *buffer;
    size_t filled;
    XXH3_state_t *sum;
    struct dr_err *err;
};

static enum dr_rc flush(struct merge *m)
{
    enum dr_rc rc = fs_write_all(m->fd, m->path, m->buffer, m->filled, m->err);
    m->filled = 0;
    return rc;
}

static enum dr_rc write_bytes(struct merge *m, const void *data, size_t len)
{
    (void)XXH3_64bits_update(m->sum, data, len); /* fails for NULL only */
    if (m->filled + len > WRITE_SIZE)
        DR_TRY(flush(m));
    memcpy(m->buffer + m->filled, data, len);
    m->filled += len;
    return DR_OK;
}

/* First pass: which packs are used, and how many rows there are. */
static enum dr_rc count_row(struct merge *m, const struct chunk_row *row, uint32_t *number)
{
    (void)row;
    m->total++;
    *number = 0; /* used; numbered when all are known */
    return DR_OK;
}

static enum dr_rc write_row(struct merge *m, const struct chunk_row *row, uint32_t *number)
{
    struct chunk_row changed = *row;
    changed.pack = htole32(*number);
    return write_bytes(m, &changed, sizeof changed);
}

static bool is_dropped(const struct merge *m, uint32_t pack)
{
    return pack >= m->old->pack_count ||
           (m->news->without != NULL &&
            pack_names_find(m->news->without, m->old->packs[pack]) != PACK_NAMES_NONE);
}

/* All rows of the result, ascending. Of two with the same key the newer one counts. */
static enum dr_rc each_row(struct merge *m,
                           enum dr_rc (*fn)(struct merge *m, const struct chunk_row *row,
                                            uint32_t *number))
{
    size_t o = 0, n = 0;
    while (o < m->old->count || n < m->count) {
        int order = o == m->old->count ? 1
                    : n == m->count    ? -1
                                    : memcmp(m->old->rows[o].key, m->rows[n].key, CHUNK_KEY_SIZE);
        if (order >= 0) {
            DR_TRY(fn(m, &m->rows[n], &m->new_numbers[le32toh(m->rows[n].pack)]));
            n++;
            o += order == 0;
            continue;
        }
        const struct chunk_row *row = &m->old->rows[o++];
        uint32_t pack = le32toh(row->pack);
        if (!is_dropped(m, pack))
            DR_TRY(fn(m, row, &m->old_numbers[pack]));
    }
    return DR_OK;
}

static uint32_t *unused_numbers(uint32_t count)
{
    uint32_t *numbers = dr_alloc((size_t)count + 1, sizeof *numbers);
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = PACK_NAMES_NONE;
    return numbers;
}

static void number_packs(struct merge *m)
{
    for (uint32_t i = 0; i < m->old->pack_count; i++)
        if (m->old_numbers[i] != PACK_NAMES_NONE)
            m->old_numbers[i] = m->packs++;
    for (uint32_t i = 0; i < m->news->names->count; i++)
        if (m->new_numbers[i] != PACK_NAMES_NONE)
            m->new_numbers[i] = m->packs++;
}

static enum dr_rc write_names(struct merge *m)
{
    for (uint32_t i = 0; i < m->old->pack_count; i++)
        if (m->old_numbers[i] != PACK_NAMES_NONE)
            DR_TRY(write_bytes(m, m->old->packs[i], DIGEST_SIZE));
    for (uint32_t i = 0; i < m->news->names->count; i++)
        if (m->new_numbers[i] != PACK_NAMES_NONE)
            DR_TRY(write_bytes(m, pack_names_of(m->news->names, i), DIGEST_SIZE));
    return DR_OK;
}

/* The header last, since it has the sum of the rest; until then its place is a hole. */
static enum dr_rc write_header(struct merge *m)
{
    struct header h = { .rows = htole64(m->total),
                        .packs = htole32(m->packs),
                        .body_sum = htole64(XXH3_64bits_digest(m->sum)) };
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.repository, m->old->repository, sizeof h.repository);
    h.sum = htole64(XXH3_64bits(&h, offsetof(struct header, sum)));
    for (size_t at = 0; at < sizeof h;) {
        ssize_t n = sys.pwrite(m->fd, (const char *)&h + at, sizeof h - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dr_fail_sys(m->err, errno, "cannot write '%s'", m->path);
        at += (size_t)n;
    }
    return DR_OK;
}

static enum dr_rc write_file(struct merge *m)
{
    static const struct header none;
    (void)sys_unlink(m->path); /* of a run that died */
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(m->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return dr_fail_sys(m->err, errno, "cannot create '%s'", m->path);
    m->fd = fd;
    memcpy(m->buffer, &none, sizeof none);
    m->filled = sizeof none;
    DR_TRY(write_names(m));
    DR_TRY(each_row(m, write_row));
    DR_TRY(flush(m));
    DR_TRY(write_header(m));
    if (sys.fsync(fd) < 0 || sys.close(dr_take_fd(&fd)) < 0)
        return dr_fail_sys(m->err, errno, "cannot sync '%s'", m->path);
    return DR_OK;
}

static void merge_fini(struct merge *m)
{
    free(m->old_numbers);
    free(m->new_numbers);
    free(m->buffer);
    (void)XXH3_freeState(m->sum); /* never fails */
}

static enum dr_rc replace(const char *dir, struct merge *m)
{
    DR_FREE char *path = dr_strf("%s/" INDEX_NAME, dir);
    DR_FREE char *temp = dr_strf("%s/" INDEX_TEMP, dir);
    m->path = temp;
    m->buffer = dr_alloc(WRITE_SIZE, 1);
    m->sum = XXH3_createState();
    DR_ASSERT(m->sum != NULL);
    (void)XXH3_64bits_reset(m->sum); /* fails for NULL only */
    enum dr_rc rc = write_file(m);
    if (rc == DR_OK && sys_rename(temp, path) < 0)
        rc = dr_fail_sys(m->err, errno, "cannot rename '%s'", temp);
    if (rc != DR_OK) {
        (void)sys_unlink(temp); /* the next writer removes it as well */
        return rc;
    }
    return fs_sync_dir(dir, m->err);
}

/* Two passes over the rows: the names of the packs come before them, and only the first pass tells which
 * are still used. */
static enum dr_rc merge_into(const struct chunk_index *old, const struct chunk_index_news *news,
                             const char *dir, struct dr_err *err)
{
    DR_CLEANUP(merge_fini)
    struct merge m = { .old = old, .news = news, .count = chunk_table_count(news->table) };
    m.err = err;
    m.rows = chunk_table_sort(news->table);
    m.old_numbers = unused_numbers(old->pack_count);
    m.new_numbers = unused_numbers(news->names->count);
    DR_TRY(each_row(&m, count_row));
    number_packs(&m);
    return replace(dir, &m);
}

static bool has_news(const struct chunk_index *x, const struct chunk_index_news *news)
{
    if (chunk_table_count(news->table) > 0)
        return true;
    for (uint32_t i = 0; news->without != NULL && i < x->pack_count; i++)
        if (pack_names_find(news->without, x->packs[i]) != PACK_NAMES_NONE)
            return true;
    return false;
}

enum dr_rc chunk_index_merge(const struct chunk_index *x, const struct chunk_index_news *news,
                             struct dr_err *err)
{
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *now = NULL;
    if (!has_news(x, news))
        return DR_OK;
    DR_FREE char *dir = dr_strf("%s/" INDEX_DIR, x->state_dir);
    DR_TRY(fs_make_dirs(dir, 0700, err));
    DR_CLEANUP(dr_close_fd) int lock = sys_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (lock < 0 || flock(lock, LOCK_EX) < 0) /* another run merges: it is through soon */
        return dr_fail_sys(err, errno, "cannot lock '%s'", dir);
    enum dr_rc rc = chunk_index_open(x->state_dir, x->repository, &now, err);
    if (rc == DR_E_NOTFOUND || rc == DR_E_CORRUPT)
        now = chunk_index_new(x->state_dir, x->repository);
    else if (rc != DR_OK)
        return rc;
    return merge_into(now, news, dir, err);
}
