/*
 * Workers. For a small file: open, fstat, list of attributes, one read, fstat, close. The second
 * fstat is compared with the scan: equal means that nothing happened since, so nothing was torn.
 */
#include "backup/work/backup_read.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "backup/work/backup_data.h"
#include "backup/work/backup_packs.h"
#include "backup/work/merge_rule.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum {
    SETTLE_AFTER = 4, /* items that a worker has read */
    RAW_SIZE = PIECE_SIZE + LARGE_SIZE,
};

const char worker_replaced[] = "was replaced while it was read";

struct worker *worker_new(const struct worker_options *o)
{
    struct worker *w = dr_alloc(1, sizeof *w);
    w->o = *o;
    if (o->root >= 0)
        w->opener = scan_opener_new(o->root);
    w->codec = codec_new(CODEC_LEVEL);
    w->hash = hash_new();
    return w;
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    scan_opener_free(w->opener);
    codec_free(w->codec);
    hash_free(w->hash);
    entry_fini(&w->entry);
    buf_fini(&w->raw);
    free(w);
}

/* -- comparing with the scan --------------------------------------------------------------- */

bool worker_same_file(const struct scan_stat *a, const struct scan_stat *b)
{
    return a->dev == b->dev && a->ino == b->ino && (a->mode & S_IFMT) == (b->mode & S_IFMT);
}

bool worker_same_stat(const struct scan_stat *a, const struct scan_stat *b)
{
    return a->size == b->size && a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns &&
           a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns;
}

void worker_set_extra(const struct worker *w, const struct scan_stat *st, struct prev_extra *ret)
{
    ret->dev = st->dev;
    ret->ino = st->ino;
    ret->ctime_s = st->ctime_s;
    ret->ctime_ns = st->ctime_ns;
    ret->flags |= EXTRA_KNOWN | (merge_is_racy(st, w->o.start_ns) ? EXTRA_RACY : 0);
}

static void drop(struct item *it, struct item_entry *e, const char *why)
{
    item_warn(it, item_path(it, e), why);
    e->drop = ITEM_DROPPED;
}

const char *worker_open_fault(void)
{
    return errno == ELOOP || errno == ENOTDIR ? worker_replaced : strerrordesc_np(errno);
}

/* -- one entry ----------------------------------------------------------------------------- */

/* What goes into the record: as in the head. */
static void note(struct worker *w, struct item *it, struct item_entry *e, uint64_t offset)
{
    const struct head *h = &w->entry.head;
    e->found = (struct toc_record){
        .type = h->type,
        .mode = h->mode,
        .uid = h->uid,
        .gid = h->gid,
        .mtime_s = h->mtime_s,
        .mtime_ns = h->mtime_ns,
        .major = h->major,
        .minor = h->minor,
        .size = h->type == '0' ? h->size : 0,
        .offset = offset,
        .piece = (uint32_t)it->piece_count,
    };
}

static void write_head(struct worker *w, struct item *it, struct item_entry *e)
{
    struct head *h = &w->entry.head;
    size_t offset = w->raw.len;
    if (w->entry.lost)
        item_warn(it, item_path(it, e), w->entry.why);
    if (e->link > 0) {
        h->type = '1';
        h->link = item_link(it, e);
        h->size = h->data = 0;
        h->sparse = false;
        h->extent_count = 0;
        h->major = h->minor = 0;
    }
    note(w, it, e, offset);
    head_write(&w->raw, h);
    e->extra.head = XXH3_64bits(w->raw.data + offset, w->raw.len - offset);
    e->extra.flags = EXTRA_HEAD;
    if (h->type == '2')
        e->text = item_add_text(it, h->link);
}

static void read_data(struct worker *w, struct item *it, struct item_entry *e, struct data *d)
{
    size_t len = (size_t)w->entry.head.data;
    char *out = buf_reserve(&w->raw, len + BLOCK_SIZE);
    data_read(d, out, len);
    w->raw.len += len;
    hash_start(w->hash);
    hash_add(w->hash, out, len);
    hash_end(w->hash, e->extra.digest);
    e->extra.flags |= EXTRA_DIGEST;
    buf_add(&it->digests, e->extra.digest, DIGEST_SIZE);
    head_pad(&w->raw);
    it->bytes += len - d->missing;
}

static void tell_change(struct worker *w, struct item *it, struct item_entry *e,
                        const struct data *d)
{
    struct stat st;
    struct scan_stat now;
    bool same = fstat(d->fd, &st) == 0;
    if (same) {
        scan_stat_set(&now, &st);
        same = worker_same_stat(&now, &e->st);
    }
    if (d->missing > 0) {
        DR_FREE char *what = data_fault(d);
        item_warn(it, item_path(it, e), what);
    } else if (!same) {
        item_warn(it, item_path(it, e), "changed while it was read");
    } else {
        worker_set_extra(w, &now, &e->extra);
    }
}

/* Open and still what the scan saw? -1: no, and e is dropped. */
static int open_file(struct worker *w, struct item *it, struct item_entry *e, struct scan_stat *ret)
{
    DR_CLEANUP(dr_close_fd) int fd = scan_opener_file(w->opener, item_path(it, e), false);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        drop(it, e, worker_open_fault());
        return -1;
    }
    scan_stat_set(ret, &st);
    if (!worker_same_file(ret, &e->st)) {
        drop(it, e, worker_replaced);
        return -1;
    }
    return dr_take_fd(&fd);
}

static void read_file(struct worker *w, struct item *it, struct item_entry *e)
{
    struct scan_stat now;
    DR_CLEANUP(dr_close_fd) int fd = open_file(w, it, e, &now);
    if (fd < 0)
        return;
    uint64_t most =
        e->map != NULL ? e->map->size : e->st.size; /* what came since comes next time */
    now.size = now.size < most ? now.size : most;
    struct backup_place at = { .dir = -1, .name = "", .path = item_path(it, e), .fd = fd };
    if (e->map != NULL && e->map->extents != NULL) {
        now.size = most;
        at.extents = e->map->extents;
        at.extent_count = e->map->count;
    }
    bool read = entry_read(&w->entry, &at, &now);
    DR_ASSERT(read); /* only links can fail */
    write_head(w, it, e);
    struct data d = { .fd = fd, .head = &w->entry.head };
    if (e->link == 0)
        read_data(w, it, e, &d);
    tell_change(w, it, e, &d);
}

/* A directory stays whatever happens to it: what it holds may have been read already. */
static void read_directory(struct worker *w, struct item *it, struct item_entry *e)
{
    struct stat st;
    struct scan_stat now = e->st;
    const char *path = item_path(it, e), *why = NULL;
    struct backup_place at = { .dir = -1, .name = "", .path = path };
    DR_CLEANUP(dr_close_fd) int fd = scan_opener_file(w->opener, path, true);
    if (fd < 0 && errno == EACCES)
        at.dir = scan_opener_parent(w->opener, path, &at.name); /* attributes may be had by name */
    else if (fd < 0)
        why = worker_open_fault();
    if (fd >= 0 && fstat(fd, &st) == 0)
        scan_stat_set(&now, &st);
    if (!worker_same_file(&now, &e->st)) {
        dr_close_fd(&fd);
        now = e->st;
        why = worker_replaced;
    }
    at.fd = fd;
    bool read = entry_read(&w->entry, &at, &now);
    DR_ASSERT(read);
    if (why != NULL)
        item_warn(it, path, why);
    write_head(w, it, e);
    if (why == NULL)
        worker_set_extra(w, &now, &e->extra);
}

/* Symbolic links, devices, FIFOs: looked at by name, never opened. */
static void read_special(struct worker *w, struct item *it, struct item_entry *e)
{
    struct stat st;
    struct scan_stat now;
    struct backup_place at = { .path = item_path(it, e), .fd = -1 };
    at.dir = scan_opener_parent(w->opener, at.path, &at.name);
    if (at.dir < 0 || fstatat(at.dir, at.name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        drop(it, e, worker_open_fault());
        return;
    }
    scan_stat_set(&now, &st);
    if (!worker_same_file(&now, &e->st)) {
        drop(it, e, worker_replaced);
        return;
    }
    if (!entry_read(&w->entry, &at, &now)) {
        drop(it, e, strerrordesc_np(errno));
        return;
    }
    write_head(w, it, e);
    worker_set_extra(w, &now, &e->extra);
}

void worker_entry(struct worker *w, struct item *it, uint32_t i)
{
    DR_ASSERT(i < it->entry_count && w->opener != NULL && w->raw.len % BLOCK_SIZE == 0);
    struct item_entry *e = &it->entries[i];
    if (S_ISREG(e->st.mode))
        read_file(w, it, e);
    else if (S_ISDIR(e->st.mode))
        read_directory(w, it, e);
    else
        read_special(w, it, e);
}

/* -- pieces -------------------------------------------------------------------------------- */

static void add_piece(struct worker *w, struct item *it, const void *raw, size_t len)
{
    struct item_piece *p = item_add_piece(it);
    p->first = w->first;
    p->raw_len = len;
    p->digests = w->digests;
    p->digest_count = (it->digests.len - w->digests) / DIGEST_SIZE;
    hash_start(w->hash);
    hash_add(w->hash, raw, len);
    hash_end(w->hash, p->id);
    if (packs_know(w->o.packs, p->id, p->digest_count > 0))
        return;
    codec_pack(w->codec, raw, len, &it->frames);
    p->frame_len = it->frames.len - p->frame;
}

void worker_end_piece(struct worker *w, struct item *it)
{
    if (w->raw.len > 0)
        add_piece(w, it, w->raw.data, w->raw.len);
    buf_clear(&w->raw);
    w->digests = it->digests.len;
}

/*
 * A run that goes on takes its memory now, at once: then it needs as much after the hundredth item as
 * after the millionth, and pages are touched for the first time once only. A short run does without.
 */
static void settle(struct worker *w, struct item *it)
{
    if (w->items < SETTLE_AFTER && ++w->items == SETTLE_AFTER)
        memset(buf_reserve(&w->raw, RAW_SIZE), 0, RAW_SIZE);
    if (w->items == SETTLE_AFTER && !it->settled)
        item_settle(it);
}

void worker_read(struct worker *w, struct item *it)
{
    buf_clear(&w->raw);
    settle(w, it);
    w->digests = 0;
    for (uint32_t i = 0; i < it->entry_count; i++) {
        if (w->raw.len == 0)
            w->first = i;
        if (it->entries[i].drop == ITEM_KEPT)
            worker_entry(w, it, i);
        if (w->raw.len >= PIECE_SIZE)
            worker_end_piece(w, it);
    }
    worker_end_piece(w, it);
}

void worker_pack(struct worker *w, struct item *it)
{
    w->first = 0;
    w->digests = 0;
    add_piece(w, it, it->data, it->data_len);
}
