/*
 * Writing the cache. Its file has one fixed name until it is complete, so that what a dead run left is
 * used again and never piles up; a lock on it keeps a second run of the same source away. The
 * lock is on the file, not on the name: after locking we look whether the name still means
 * this file, since the holder before may have made it the cache meanwhile.
 */
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include "backup/work/prev.h"
#include "backup/work/prev_file.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { WRITE_SIZE = 1 << 20 };

struct block {
    uint64_t offset, raw_len, base_len, extras, sum;
};

struct prev_writer {
    char *path, *temp; /* owned */
    int fd;
    uint64_t at; /* bytes given so far */
    struct buf pending, removed, lines;
    struct block *blocks;
    size_t block_count, block_cap, line_count;
    struct dr_err failed; /* the first failure to write */
    bool is_cache;        /* renamed: the temporary name is no longer ours */
};

static bool lock_file(struct prev_writer *w)
{
    struct stat mine, named;
    w->fd = sys_open(w->temp, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return w->fd >= 0 && flock(w->fd, LOCK_EX | LOCK_NB) == 0 && fstat(w->fd, &mine) == 0 &&
           stat(w->temp, &named) == 0 && mine.st_ino == named.st_ino &&
           mine.st_dev == named.st_dev && S_ISREG(mine.st_mode) && sys.ftruncate(w->fd, 0) == 0;
}

struct prev_writer *prev_writer_new(const char *state_dir, const char *source)
{
    struct dr_err ignored;
    DR_FREE char *folder = dr_strf("%s/" PREV_FOLDER, state_dir);
    if (fs_make_dirs(folder, 0700, &ignored) != DR_OK)
        return NULL;
    struct prev_writer *w = dr_alloc(1, sizeof *w);
    w->path = dr_strf("%s/%s", folder, source);
    w->temp = dr_strf("%s/.%s.new", folder, source);
    if (lock_file(w))
        return w;
    w->is_cache = true; /* the name is another's: leave it alone */
    prev_writer_free(w);
    return NULL;
}

void prev_writer_free(struct prev_writer *w)
{
    if (w == NULL)
        return;
    if (!w->is_cache)
        (void)sys_unlink(w->temp); /* what stays is used again by the next run */
    dr_close_fd(&w->fd);
    free(w->path);
    free(w->temp);
    free(w->blocks);
    buf_fini(&w->pending);
    buf_fini(&w->removed);
    buf_fini(&w->lines);
    free(w);
}

static void flush(struct prev_writer *w)
{
    enum dr_rc rc = w->failed.rc;
    if (rc == DR_OK && w->pending.len > 0)
        rc = fs_write_all(w->fd, w->temp, w->pending.data, w->pending.len, &w->failed);
    DR_ASSERT(rc == w->failed.rc);
    buf_clear(&w->pending);
}

static void add(struct prev_writer *w, const void *data, size_t len)
{
    if (len > 0)
        buf_add(&w->pending, data, len);
    w->at += len;
    if (w->pending.len >= WRITE_SIZE)
        flush(w);
}

void prev_writer_segment(struct prev_writer *w, const struct buf *raw, const struct buf *base,
                         const struct prev_extra *extras, size_t count)
{
    if (w == NULL)
        return;
    if (w->block_count == w->block_cap) {
        w->block_cap = w->block_cap == 0 ? 64 : w->block_cap * 2;
        w->blocks = dr_realloc(w->blocks, w->block_cap, sizeof *w->blocks);
    }
    size_t bytes = count * sizeof *extras;
    struct block *b = &w->blocks[w->block_count++];
    *b = (struct block){
        .offset = w->at, .raw_len = raw->len, .base_len = base->len, .extras = count
    };
    b->sum = XXH3_64bits(raw->data, raw->len);
    b->sum = XXH3_64bits_withSeed(base->data, base->len, b->sum);
    b->sum = XXH3_64bits_withSeed(extras, bytes, b->sum);
    add(w, raw->data, raw->len);
    add(w, base->data, base->len);
    add(w, extras, bytes);
}

void prev_writer_line(struct prev_writer *w, const char *line)
{
    if (w == NULL)
        return;
    buf_add(&w->lines, line, strlen(line) + 1);
    w->line_count++;
}

void prev_writer_removed(struct prev_writer *w, const struct buf *paths)
{
    if (w == NULL)
        return;
    buf_clear(&w->removed);
    if (paths->len > 0)
        buf_add(&w->removed, paths->data, paths->len);
}

static void add_bytes(struct buf *out, const char *data, size_t len)
{
    wire_add_varint(out, len);
    if (len > 0)
        buf_add(out, data, len);
}

static void make_trailer(const struct prev_writer *w, const struct prev_identity *id,
                         struct buf *out)
{
    const char *line = w->lines.data;
    add_bytes(out, id->repository, strlen(id->repository));
    add_bytes(out, id->snapshot, strlen(id->snapshot));
    wire_add_varint(out, id->excludes);
    wire_add_varint(out, id->root_dev);
    wire_add_varint(out, id->root_ino);
    wire_add_varint(out, w->block_count);
    for (size_t i = 0; i < w->block_count; i++) {
        const struct block *b = &w->blocks[i];
        wire_add_varint(out, b->offset);
        wire_add_varint(out, b->raw_len);
        wire_add_varint(out, b->base_len);
        wire_add_varint(out, b->extras);
        wire_add_varint(out, b->sum);
        add_bytes(out, line, strlen(line));
        line += strlen(line) + 1;
    }
    add_bytes(out, w->removed.data, w->removed.len);
}

static void add_u64(struct buf *out, uint64_t n)
{
    wire_add_u32(out, (uint32_t)n);
    wire_add_u32(out, (uint32_t)(n >> 32));
}

enum dr_rc prev_writer_commit(struct prev_writer *w, const struct prev_identity *identity,
                              struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf trailer = { 0 };
    DR_CLEANUP(buf_fini) struct buf footer = { 0 };
    if (w == NULL)
        return DR_OK;
    DR_ASSERT(w->line_count == w->block_count && !w->is_cache);
    make_trailer(w, identity, &trailer);
    add_u64(&footer, w->at);
    add_u64(&footer, trailer.len);
    add_u64(&footer, XXH3_64bits(trailer.data, trailer.len));
    wire_add_u32(&footer, PREV_VERSION);
    buf_adds(&footer, PREV_MAGIC);
    add(w, trailer.data, trailer.len);
    add(w, footer.data, footer.len);
    flush(w);
    if (w->failed.rc != DR_OK) {
        *err = w->failed;
        return err->rc;
    }
    if (sys_rename(w->temp, w->path) != 0)
        return dr_fail_sys(err, errno, "cannot replace '%s'", w->path);
    w->is_cache = true;
    return DR_OK;
}
