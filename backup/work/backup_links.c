/*
 * Two growing maps: slots of fixed size, open addressing, and texts.
 */
#include "backup/work/backup_links.h"

#include <string.h>
#include <sys/stat.h>

#include "backup/work/spill.h"
#include "dr/base/mem.h"

enum { SLOTS_START = 256 };

struct slot {
    uint64_t dev, ino, size;
    int64_t mtime_s;
    uint32_t mtime_ns, type;
    uint64_t path; /* offset in the texts; 0: free */
};

struct links {
    const char *state_dir;
    struct spill slots, texts;
    size_t count, cap;
    uint64_t text_len;
};

struct links *links_new(const char *state_dir)
{
    struct links *l = dr_alloc(1, sizeof *l);
    l->state_dir = state_dir;
    spill_init(&l->slots);
    spill_init(&l->texts);
    l->text_len = 1; /* no text begins at 0 */
    return l;
}

void links_free(struct links *l)
{
    if (l == NULL)
        return;
    spill_fini(&l->slots);
    spill_fini(&l->texts);
    free(l);
}

static struct slot *find(const struct spill *m, size_t cap, uint64_t dev, uint64_t ino)
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
    struct spill wider;
    spill_init(&wider);
    enum dr_rc rc = spill_grow(&wider, l->state_dir, cap * sizeof(struct slot), err);
    if (rc != DR_OK) {
        spill_fini(&wider);
        return rc;
    }
    const struct slot *old = (const struct slot *)(const void *)l->slots.data;
    for (size_t i = 0; i < l->cap; i++)
        if (old[i].path != 0)
            *find(&wider, cap, old[i].dev, old[i].ino) = old[i];
    spill_fini(&l->slots);
    l->slots = wider;
    l->cap = cap;
    return DR_OK;
}

static enum dr_rc keep_text(struct links *l, const struct scan_entry *e, uint64_t *ret,
                            struct dr_err *err)
{
    size_t need = l->text_len + e->path_len + 1;
    DR_TRY(spill_grow(&l->texts, l->state_dir, need, err));
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
