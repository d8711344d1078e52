/*
 * Compare: is a tree what the snapshot holds? Names, types, sizes, link texts and every byte;
 * not owners, modes and times, which a running service changes rightly. The snapshot is read in
 * its order and each entry looked up in the tree; then the tree is walked for what the snapshot
 * does not have.
 */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <xxhash.h>

#include "backup/work/reader.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { TOLD_MAX = 20, PART = 256 << 10, PROGRESS_MS = 100 };

struct compare {
    struct reader *reader;
    const struct work_hooks *hooks;
    struct compare_result result;
    const char *dir;
    int root;
    XXH128_hash_t *known; /* owned; of the paths of the snapshot, in its order, then sorted */
    size_t known_count, known_cap;
    struct work_progress progress;
    int64_t told_ms;
    char *part; /* owned; PART bytes of the file in the tree */
};

static void compare_fini(struct compare *c)
{
    reader_close(c->reader);
    dr_close_fd(&c->root);
    free(c->known);
    free(c->part);
}

static void differs(struct compare *c, const char *path, const char *how)
{
    c->result.differ++;
    if (c->result.differ > TOLD_MAX || c->hooks == NULL || c->hooks->warning == NULL)
        return;
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    buf_adds(&line, "'");
    text_add_printable(&line, path, strlen(path));
    buf_addf(&line, "' %s", how);
    c->hooks->warning(c->hooks->arg, line.data);
}

static int open_in(const struct compare *c, const char *path, uint64_t flags)
{
    struct open_how how = { .flags = flags | O_CLOEXEC | O_NOFOLLOW,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    return sys.openat2(c->root, path[0] != '\0' ? path : ".", &how);
}

/* -- bytes --------------------------------------------------------------------------------- */

struct against { /* the file in the tree that the data of the snapshot are held against */
    struct compare *compare;
    int fd;
    const struct head *head;
    size_t extent;
    uint64_t in_extent, at;
    bool same;
};

/* Are these the bytes there? A short read is a difference. */
static enum dr_rc hold(struct against *a, const uint8_t *data, size_t len, uint64_t at,
                       struct dr_err *err)
{
    char *part = a->compare->part;
    while (len > 0 && a->same) {
        ssize_t n = sys.pread(a->fd, part, len < PART ? len : PART, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dr_fail_sys(err, errno, "cannot read a file of '%s'", a->compare->dir);
        a->same = n > 0 && memcmp(part, data, (size_t)n) == 0;
        data += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return DR_OK;
}

/* A hole is zeros, whether the tree has a hole there or not. */
static enum dr_rc hold_zeros(struct against *a, uint64_t from, uint64_t upto, struct dr_err *err)
{
    static const uint8_t zeros[PART];
    while (from < upto && a->same) {
        off_t next = lseek(a->fd, (off_t)from, SEEK_DATA);
        if (next < 0 && errno == ENXIO)
            return DR_OK; /* nothing but hole up to the end */
        if (next > 0 && (uint64_t)next > from)
            from = (uint64_t)next;
        if (from >= upto)
            return DR_OK;
        uint64_t left = upto - from;
        size_t len = left < PART ? (size_t)left : PART;
        DR_TRY(hold(a, zeros, len, from, err));
        from += len;
    }
    return DR_OK;
}

static enum dr_rc hold_data(void *arg, const uint8_t *data, size_t len, struct dr_err *err)
{
    struct against *a = arg;
    while (len > 0) {
        size_t part = len;
        uint64_t at = a->at;
        if (a->head->sparse) {
            if (a->extent == a->head->extent_count)
                return dr_fail(err, DR_E_CORRUPT, "a sparse file has more data than its map");
            const struct head_extent *e = &a->head->extents[a->extent];
            at = e->offset + a->in_extent;
            DR_TRY(hold_zeros(a, a->at, at, err));
            part = e->len - a->in_extent < len ? (size_t)(e->len - a->in_extent) : len;
            a->in_extent += part;
            if (a->in_extent == e->len) {
                a->extent++;
                a->in_extent = 0;
            }
        }
        DR_TRY(hold(a, data, part, at, err));
        a->at = at + part;
        data += part;
        len -= part;
    }
    return DR_OK;
}

static enum dr_rc compare_file(struct compare *c, const struct segment *s,
                               const struct toc_record *rec, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = open_in(c, rec->path, O_RDONLY | O_NONBLOCK);
    if (fd < 0) {
        differs(c, rec->path, "cannot be opened");
        return DR_OK;
    }
    DR_CLEANUP(head_fini) struct head h = { 0 };
    struct reader_file file = { .segment = s, .record = rec, .head = &h };
    DR_TRY(reader_head(c->reader, s, rec, &h, &file.data, err));
    struct against a = { .compare = c, .fd = fd, .head = &h, .same = true };
    DR_TRY(reader_data(c->reader, &file, hold_data, &a, err));
    DR_TRY(hold_zeros(&a, a.at, rec->size, err));
    if (!a.same)
        differs(c, rec->path, "has other content");
    c->result.files++;
    c->result.bytes += rec->size;
    return DR_OK;
}

/* -- entries ------------------------------------------------------------------------------- */

static mode_t type_of(char type)
{
    switch (type) {
    case '2':
        return S_IFLNK;
    case '3':
        return S_IFCHR;
    case '4':
        return S_IFBLK;
    case '5':
        return S_IFDIR;
    case '6':
        return S_IFIFO;
    default:
        return S_IFREG;
    }
}

static void know(struct compare *c, const struct toc_record *rec)
{
    if (c->known_count == c->known_cap) {
        c->known_cap = c->known_cap == 0 ? 1024 : 2 * c->known_cap;
        c->known = dr_realloc(c->known, c->known_cap, sizeof(c->known[0]));
    }
    c->known[c->known_count++] = XXH3_128bits(rec->path, rec->path_len);
}

static void compare_link(struct compare *c, int fd, const struct toc_record *rec)
{
    DR_FREE char *text = dr_alloc(PATH_LEN_MAX + 1, 1);
    ssize_t n = readlinkat(fd, "", text, PATH_LEN_MAX);
    if (n < 0 || (size_t)n != strlen(rec->link) || memcmp(text, rec->link, (size_t)n) != 0)
        differs(c, rec->path, "points elsewhere");
}

/* A hard link is the same inode as its first name. */
static void compare_hardlink(struct compare *c, const struct stat *st, const struct toc_record *rec)
{
    DR_CLEANUP(dr_close_fd) int first = open_in(c, rec->link, O_PATH);
    struct stat other;
    if (first < 0 || fstat(first, &other) < 0 || other.st_ino != st->st_ino ||
        other.st_dev != st->st_dev)
        differs(c, rec->path, "is no longer the same file as its other name");
}

static enum dr_rc compare_entry(void *arg, const struct segment *s, const struct toc_record *rec,
                                struct dr_err *err)
{
    struct compare *c = arg;
    know(c, rec);
    c->progress.entries++;
    c->progress.bytes = c->result.bytes;
    int64_t now = clock_boot_ms();
    if (c->hooks != NULL && c->hooks->progress != NULL && now - c->told_ms >= PROGRESS_MS) {
        c->told_ms = now;
        if (!c->hooks->progress(c->hooks->arg, &c->progress))
            return dr_fail(err, DR_E_CANCELLED, "the comparison was stopped");
    }
    DR_CLEANUP(dr_close_fd) int fd = open_in(c, rec->path, O_PATH);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        differs(c, rec->path, "is missing");
        return DR_OK;
    }
    if (rec->type == '1') {
        compare_hardlink(c, &st, rec);
        return DR_OK;
    }
    if ((st.st_mode & S_IFMT) != type_of(rec->type)) {
        differs(c, rec->path, "is of another type");
    } else if (rec->type == '2') {
        compare_link(c, fd, rec);
    } else if ((rec->type == '3' || rec->type == '4') &&
               st.st_rdev != makedev(rec->major, rec->minor)) {
        differs(c, rec->path, "is another device");
    } else if (rec->type == '0' && (uint64_t)st.st_size != rec->size) {
        differs(c, rec->path, "has another size");
    } else if (rec->type == '0') {
        return compare_file(c, s, rec, err);
    }
    return DR_OK;
}

/* -- surplus ------------------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
    return XXH128_cmp(a, b);
}

static enum dr_rc find_surplus(struct compare *c, struct dr_err *err)
{
    if (c->known_count > 0)
        qsort(c->known, c->known_count, sizeof(c->known[0]), by_hash);
    DR_FREE char *top = dr_strdup(c->dir);
    char *const roots[] = { top, NULL };
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    if (walk == NULL)
        return dr_fail_sys(err, errno, "cannot walk '%s'", c->dir);
    size_t skip = strlen(c->dir) + 1;
    const FTSENT *e;
    errno = 0;
    while ((e = fts_read(walk)) != NULL) {
        struct stat st;
        if (e->fts_level == 0 || e->fts_info == FTS_DP)
            continue;
        const char *path = e->fts_path + skip;
        XXH128_hash_t hash = XXH3_128bits(path, strlen(path));
        if (c->known_count > 0 &&
            bsearch(&hash, c->known, c->known_count, sizeof(hash), by_hash) != NULL)
            continue;
        /* A socket is in no snapshot and no difference. */
        if (fstatat(c->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode))
            continue;
        differs(c, path, "is not in the snapshot");
    }
    int why = errno;
    fts_close(walk);
    return why == 0 ? DR_OK : dr_fail_sys(err, why, "cannot walk '%s'", c->dir);
}

enum dr_rc compare_run(struct repo *r, const struct snapshot_info *snapshot,
                       const struct compare_wish *wish, const struct work_hooks *hooks,
                       struct compare_result *ret, struct dr_err *err)
{
    DR_FREE char *plain = dr_strdup(wish->dir);
    for (size_t len = strlen(plain); len > 1 && plain[len - 1] == '/'; len--)
        plain[len - 1] = '\0';
    DR_CLEANUP(compare_fini) struct compare c = { .hooks = hooks, .dir = plain };
    c.part = dr_alloc(PART, 1);
    c.progress = (struct work_progress){ .doing = "comparing",
                                         .bytes_total = snapshot->bytes,
                                         .entries_total = snapshot->entries };
    c.root = sys_open(plain, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (c.root < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", plain);
    DR_TRY(reader_open(r, snapshot, hooks, &c.reader, err));
    DR_TRY(reader_each(c.reader, wish->path, compare_entry, &c, err));
    if (wish->path != NULL && c.known_count == 0)
        return dr_fail(err, DR_E_NOTFOUND, "snapshot '%s' has no '%s'", snapshot->id, wish->path);
    if (wish->path == NULL)
        DR_TRY(find_surplus(&c, err));
    if (c.hooks != NULL && c.hooks->warning != NULL && c.result.differ > TOLD_MAX) {
        DR_FREE char *line =
            dr_strf("and %llu more differences", (unsigned long long)c.result.differ - TOLD_MAX);
        c.hooks->warning(c.hooks->arg, line);
    }
    *ret = c.result;
    return DR_OK;
}
