/*
 * Two growing maps: slots of fixed size, open addressing, and texts. Space is allocated before it
 * is mapped, since a full disk would otherwise end the process by a signal.
 */
#include "backup/work/backup_links.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/work/spool.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { SLOTS_START = 256, TEXTS_START = 64 << 10 };

struct slot {
    uint64_t dev, ino, size;
    int64_t mtime_s;
    uint32_t mtime_ns, type;
    uint64_t path; /* offset in the texts; 0: free */
};

struct map { /* a mapped file without a name */
    int fd;
    uint8_t *data;
    size_t len;
};

struct links {
    const char *state_dir;
    struct map slots, texts;
    size_t count, cap;
    uint64_t text_len;
};

static void map_close(struct map *m)
{
    if (m->data != NULL)
        (void)munmap(m->data, m->len); /* its own mapping: cannot fail */
    dr_close_fd(&m->fd);
    *m = (struct map){ .fd = -1 };
}

static enum dr_rc map_grow(const char *dir, struct map *m, size_t len, struct dr_err *err)
{
    if (m->fd < 0)
        DR_TRY(spool_file(dir, &m->fd, err));
    int rc = posix_fallocate(m->fd, 0, (off_t)len);
    if (rc != 0)
        return dr_fail_sys(err, rc, "cannot make room for hard links in '%s/spool'", dir);
    void *at = m->data == NULL ? mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0)
                               : mremap(m->data, m->len, len, MREMAP_MAYMOVE);
    if (at == MAP_FAILED)
        return dr_fail_sys(err, errno, "cannot map the table of hard links");
    m->data = at;
    m->len = len;
    return DR_OK;
}

struct links *links_new(const char *state_dir)
{
    struct links *l = dr_alloc(1, sizeof *l);
    l->state_dir = state_dir;
    l->slots.fd = l->texts.fd = -1;
    l->text_len = 1; /* no text begins at 0 */
    return l;
}

void links_free(struct links *l)
{
    if (l == NULL)
        return;
    map_close(&l->slots);
    map_close(&l->texts);
    free(l);
}

static struct slot *find(const struct map *m, size_t cap, uint64_t dev, uint64_t ino)
{
    struct slot *slots = (struct slot *)(void *)m->data;
    size_t i = (size_t)(ino * 0x9E3779B97F4A7C15u >> 20 ^ dev) & (cap - 1);
    while (slots[i].path != 0 && (slots[i].ino != ino || slots[i].dev != dev))
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static enum dr_rc grow(struct links *l, struct dr_err *err)
{
    size_t cap = l->cap == 0 ? SLOTS_START : l->cap * 2;
    struct map wider = { .fd = -1 };
    enum dr_rc rc = map_grow(l->state_dir, &wider, cap * sizeof(struct slot), err);
    if (rc != DR_OK) {
        map_close(&wider);
        return rc;
    }
    const struct slot *old = (const struct slot *)(const void *)l->slots.data;
    for (size_t i = 0; i < l->cap; i++)
        if (old[i].path != 0)
            *find(&wider, cap, old[i].dev, old[i].ino) = old[i];
    map_close(&l->slots);
    l->slots = wider;
    l->cap = cap;
    return DR_OK;
}

static enum dr_rc keep_text(struct links *l, const struct scan_entry *e, uint64_t *ret,
                            struct dr_err *err)
{
    size_t need = l->text_len + e->path_len + 1;
    if (need > l->texts.len) {
        size_t len = l->texts.len == 0 ? TEXTS_START : l->texts.len * 2;
        DR_TRY(map_grow(l->state_dir, &l->texts, len > need ? len : need, err));
    }
    DR_ASSERT(l->texts.data != NULL);
    memcpy(l->texts.data + l->text_len, e->path, e->path_len + 1);
    *ret = l->text_len;
    l->text_len = need;
    return DR_OK;
}

enum dr_rc links_first(struct links *l, const struct scan_entry *e, const char **ret,
                       struct dr_err *err)
{
    const struct scan_stat *st = &e->st;
    if (S_ISDIR(st->mode) || st->nlink < 2) {
        *ret = NULL;
        return DR_OK;
    }
    if (l->count * 2 >= l->cap)
        DR_TRY(grow(l, err));
    struct slot *slot = find(&l->slots, l->cap, st->dev, st->ino);
    if (slot->path != 0) {
        bool same = slot->type == (st->mode & S_IFMT) && slot->size == st->size &&
                    slot->mtime_s == st->mtime_s && slot->mtime_ns == st->mtime_ns;
        *ret = same ? (const char *)l->texts.data + slot->path : NULL;
        return DR_OK;
    }
    struct slot made = { .dev = st->dev,
                         .ino = st->ino,
                         .size = st->size,
                         .mtime_s = st->mtime_s,
                         .mtime_ns = st->mtime_ns,
                         .type = st->mode & S_IFMT };
    DR_TRY(keep_text(l, e, &made.path, err));
    *slot = made;
    l->count++;
    *ret = NULL;
    return DR_OK;
}
