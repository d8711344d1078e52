/*
 * Reading what is there. The numbers of owners are those of the snapshot when what is there belongs to
 * whom it should; an ordinary user could not change that, so there it does not count.
 */
#include "backup/work/restore_local.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backup/work/backup_entry.h"
#include "backup/work/scan.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { PART = 1 << 20 };

struct local {
    struct backup_entry entry;
    struct hash *hash;
    struct buf part;
    bool drop, is_root;
};

struct local *local_new(bool drop)
{
    struct local *l = dr_alloc(1, sizeof(*l));
    l->hash = hash_new();
    l->drop = drop;
    l->is_root = geteuid() == 0;
    return l;
}

void local_free(struct local *l)
{
    if (l == NULL)
        return;
    entry_fini(&l->entry);
    hash_free(l->hash);
    buf_fini(&l->part);
    free(l);
}

static mode_t type_of(char type)
{
    static const mode_t types[] = { ['0'] = S_IFREG, ['2'] = S_IFLNK, ['3'] = S_IFCHR,
                                    ['4'] = S_IFBLK, ['5'] = S_IFDIR, ['6'] = S_IFIFO };
    return types[(unsigned char)type];
}

static bool looks_right(const struct local *l, const struct restore_entry *e, const struct stat *st)
{
    const struct toc_record *rec = &e->rec;
    mode_t mode = rec->mode;
    if (!l->is_root) /* nothing that we could set */
        mode &= ~(mode_t)(S_ISUID | S_ISGID);
    bool owner = !l->is_root || (st->st_uid == e->uid && st->st_gid == e->gid);
    bool same_mode = rec->type == '2' || (st->st_mode & 07777) == mode;
    bool time = st->st_mtim.tv_sec == rec->mtime_s && st->st_mtim.tv_nsec == (long)rec->mtime_ns;
    bool size = rec->type != '0' || (uint64_t)st->st_size == rec->size;
    return (st->st_mode & S_IFMT) == type_of(rec->type) && owner && same_mode && time && size;
}

static bool read_part(int fd, char *out, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t n = sys.pread(fd, out, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        out += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return true;
}

static bool add_data(const struct head *h, int fd, struct buf *out)
{
    if (h->data > PIECE_RAW_MAX)
        return false;
    char *at = buf_reserve(out, (size_t)head_padded(h->data));
    if (!h->sparse && !read_part(fd, at, (size_t)h->data, 0))
        return false;
    for (size_t i = 0; h->sparse && i < h->extent_count; i++) {
        if (!read_part(fd, at, (size_t)h->extents[i].len, h->extents[i].offset))
            return false;
        at += h->extents[i].len;
    }
    out->len += (size_t)h->data;
    head_pad(out);
    return true;
}

static bool write_down(struct local *l, const struct backup_place *at, const struct stat *st,
                       const struct restore_entry *e, struct buf *out)
{
    struct scan_stat plain;
    scan_stat_set(&plain, st);
    if (!entry_read(&l->entry, at, &plain) || l->entry.lost)
        return false;
    struct head *h = &l->entry.head;
    h->mode = e->rec.mode;
    h->uid = e->rec.uid;
    h->gid = e->rec.gid;
    head_write(out, h);
    return h->type != '0' || e->rec.nhead > 0 || h->data == 0 || add_data(h, at->fd, out);
}

bool local_entry(struct local *l, struct place *p, const struct restore_entry *e, struct buf *out)
{
    struct backup_place at = { .path = e->rec.path, .fd = -1 };
    struct stat st;
    if (strcmp(e->to, e->rec.path) != 0 || !place_find(p, e->to, &at.dir, &at.name) ||
        fstatat(at.dir, at.name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ||
        !looks_right(l, e, &st))
        return false;
    DR_CLEANUP(dr_close_fd) int fd = -1;
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
        const char *name = at.name[0] != '\0' ? at.name : ".";
        fd = sys.openat(at.dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
        if (fd < 0 || fstat(fd, &st) < 0 || !looks_right(l, e, &st))
            return false;
        at.fd = fd;
    }
    if (l->drop && S_ISREG(st.st_mode))
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* else it is read from memory */
    size_t before = out->len;
    if (write_down(l, &at, &st, e, out))
        return true;
    out->len = before;
    return false;
}

const struct head *local_head(const struct local *l)
{
    return &l->entry.head;
}

bool local_has_range(struct local *l, int fd, const struct local_range *range)
{
    static const char zeros[BLOCK_SIZE];
    uint8_t digest[HASH_SIZE];
    uint64_t at = range->at, end = at + range->raw;
    uint64_t data_end = end < range->head->data ? end : range->head->data;
    struct restore_spot s = restore_spot_of(range->head, at);
    hash_start(l->hash);
    buf_clear(&l->part);
    char *part = buf_reserve(&l->part, PART);
    while (at < data_end) {
        uint64_t where = 0;
        size_t len = data_end - at < PART ? (size_t)(data_end - at) : PART;
        struct dr_err none = { 0 };
        if (restore_spot_next(&s, len, &where, &len, &none) != DR_OK ||
            !read_part(fd, part, len, where))
            return false;
        hash_add(l->hash, part, len);
        at += len;
    }
    if (end - at >= BLOCK_SIZE)
        return false; /* more than padding */
    hash_add(l->hash, zeros, (size_t)(end - at));
    hash_end(l->hash, digest);
    return memcmp(digest, range->id, HASH_SIZE) == 0;
}
