/*
 * Reading a directory. The listing comes in large pieces into memory that is used again. What
 * patterns leave out is dropped before anybody looks at it, so that a mount that answers nobody can be
 * excluded. A directory that is not the one its parent showed is told, not read.
 */
#include "backup/work/scan_dir.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "backup/format/limits.h"
#include "backup/work/scan_open.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { LISTING_SIZE = 64 << 10, TOO_LONG = ENAMETOOLONG };

static const char replaced[] = "was replaced while it was read";
static const char tag_name[] = "CACHEDIR.TAG";
static const char tag_text[] = "Signature: 8a477f597d28d172789f06886806bc55";

void scan_reader_init(struct scan_reader *r, const struct scan_options *options, int root,
                      dev_t root_dev)
{
    *r = (struct scan_reader){ .options = options,
                               .opener = scan_opener_new(root),
                               .root_dev = root_dev };
    r->listing = dr_alloc(1, LISTING_SIZE);
    scan_names_init(&r->names, options->state_dir);
}

void scan_reader_fini(struct scan_reader *r)
{
    scan_opener_free(r->opener);
    free(r->listing);
    buf_fini(&r->path);
    scan_names_fini(&r->names);
}

struct scan_dir *scan_dir_new(struct scan_dir *up, const char *name, const struct scan_stat *st)
{
    struct scan_dir *d = dr_alloc(1, sizeof *d);
    d->task.dir = d;
    d->up = up;
    d->name = name;
    d->dev = st->dev;
    d->ino = st->ino;
    if (up != NULL) {
        d->depth = up->depth + 1;
        d->path_len = up->path_len + (up->path_len > 0) + strlen(name);
    }
    return d;
}

void scan_dir_free(struct scan_dir *d)
{
    while (d != NULL) { /* what is below d goes to the front of the line */
        struct scan_dir *after = d->sibling;
        for (struct scan_batch *b = d->first, *next; b != NULL; b = next) {
            next = b->next;
            if (b->first_sub != NULL) {
                b->last_sub->sibling = after;
                after = b->first_sub;
            }
            free(b);
        }
        scan_name_list_fini(&d->names);
        free(d->failed);
        free(d);
        d = after;
    }
}

struct scan_batch *scan_dir_cut(struct scan_dir *d)
{
    size_t count = d->left < SCAN_BATCH ? d->left : SCAN_BATCH;
    DR_ASSERT(count > 0);
    struct scan_batch *b = malloc(sizeof *b + count * sizeof b->st[0]);
    if (b == NULL)
        b = dr_alloc(1, sizeof *b + count * sizeof b->st[0]); /* ends the process, with its words */
    *b = (struct scan_batch){ .task = { .dir = d, .batch = b }, .names = d->rest, .count = count };
    d->left -= count;
    for (size_t i = 0; i < count && d->left > 0; i++)
        d->rest += strlen(d->rest) + 1;
    if (d->last == NULL)
        d->first = b;
    else
        d->last->next = b;
    d->last = b;
    return b;
}

/* -- names --------------------------------------------------------------------------------- */

static void set_path(struct scan_reader *r, const struct scan_dir *d)
{
    buf_clear(&r->path);
    char *at = buf_reserve(&r->path, d->path_len + 1) + d->path_len;
    r->path.len = d->path_len;
    *at = '\0';
    for (; d->up != NULL; d = d->up) {
        size_t len = strlen(d->name);
        at -= len;
        memcpy(at, d->name, len);
        if (d->up->path_len > 0)
            *--at = '/';
    }
    DR_ASSERT(at == r->path.data);
}

/* Do the patterns leave out this name of the directory at hand? */
static bool is_excluded(struct scan_reader *r, const char *name, bool is_directory)
{
    if (r->options->exclude == NULL)
        return false;
    size_t len = r->path.len;
    if (len > 0)
        buf_addc(&r->path, '/');
    buf_adds(&r->path, name);
    bool excluded = exclude_match(r->options->exclude, r->path.data, is_directory);
    r->path.len = len;
    r->path.data[len] = '\0';
    return excluded;
}

/* NULL, or why the listing ends here. ret_tag: is there something named as a tag of caches? */
static const char *read_names(struct scan_reader *r, int fd, bool *ret_tag)
{
    ssize_t got;
    *ret_tag = false;
    scan_names_clear(&r->names);
    while ((got = sys.getdents64(fd, r->listing, LISTING_SIZE)) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *e = (const void *)(r->listing + at);
            const char *name = e->d_name;
            at += e->d_reclen;
            if (e->d_type == DT_SOCK ||
                (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'))))
                continue;
            if (e->d_type != DT_UNKNOWN && is_excluded(r, name, e->d_type == DT_DIR))
                continue;
            *ret_tag = *ret_tag || strcmp(name, tag_name) == 0;
            scan_names_add(&r->names, name);
        }
    }
    return got == 0 ? NULL : strerrordesc_np(errno);
}

/* -- caches -------------------------------------------------------------------------------- */

static bool has_tag(int dir)
{
    char text[sizeof tag_text - 1];
    size_t len = 0;
    DR_CLEANUP(dr_close_fd)
    int fd = sys.openat(dir, tag_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
    while (fd >= 0 && len < sizeof text) {
        ssize_t got = sys.read(fd, text + len, sizeof text - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        len += (size_t)got;
    }
    return fd >= 0 && memcmp(text, tag_text, sizeof text) == 0;
}

/* -- stat ---------------------------------------------------------------------------------- */

void scan_stat_set(struct scan_stat *st, const struct stat *from)
{
    *st = (struct scan_stat){
        .dev = from->st_dev,
        .rdev = from->st_rdev,
        .ino = from->st_ino,
        .size = (uint64_t)from->st_size,
        .blocks = (uint64_t)from->st_blocks,
        .mtime_s = from->st_mtim.tv_sec,
        .ctime_s = from->st_ctim.tv_sec,
        .mtime_ns = (uint32_t)from->st_mtim.tv_nsec,
        .ctime_ns = (uint32_t)from->st_ctim.tv_nsec,
        .mode = from->st_mode,
        .uid = from->st_uid,
        .gid = from->st_gid,
        .nlink = (uint32_t)from->st_nlink,
    };
}

static void add_sub(struct scan_batch *b, const char *name, const struct scan_stat *st)
{
    struct scan_dir *sub = scan_dir_new(b->task.dir, name, st);
    if (b->last_sub == NULL)
        b->first_sub = sub;
    else
        b->last_sub->sibling = sub;
    b->last_sub = sub;
}

/* Is a child with a name of this length within the limits of the format? */
static bool is_within_limits(const struct scan_dir *d, size_t name_len)
{
    return name_len <= PATH_PART_MAX && d->depth < PATH_DEPTH_MAX &&
           d->path_len + (d->path_len > 0) + name_len <= PATH_LEN_MAX;
}

/* Everything about the entries of b but who they are; dir: open, the right one. */
static void stat_all(struct scan_reader *r, struct scan_batch *b, int dir)
{
    const char *name = b->names;
    for (size_t i = 0; i < b->count; i++) {
        struct scan_stat *st = &b->st[i];
        struct stat got;
        size_t len = strlen(name);
        *st = (struct scan_stat){ .mode = 0 };
        if (!is_within_limits(b->task.dir, len))
            st->nlink = TOO_LONG;
        else if (sys.fstatat(dir, name, &got, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
            st->nlink = (uint32_t)errno;
        else if (!S_ISSOCK(got.st_mode) && !is_excluded(r, name, S_ISDIR(got.st_mode)))
            scan_stat_set(st, &got);
        if (S_ISDIR(st->mode) && (!r->options->one_file_system || st->dev == r->root_dev))
            add_sub(b, name, st);
        name += len + 1;
    }
}

/* The directory, by its path. -1: *ret_problem says why. */
static int open_dir(struct scan_reader *r, const struct scan_dir *d, const char **ret_problem)
{
    struct stat st;
    set_path(r, d);
    DR_CLEANUP(dr_close_fd) int fd = scan_opener_directory(r->opener, r->path.data, r->path.len);
    if (fd < 0 || fstat(fd, &st) != 0)
        *ret_problem = errno == ENOTDIR || errno == ELOOP ? replaced : strerrordesc_np(errno);
    else if (st.st_dev != d->dev || st.st_ino != d->ino)
        *ret_problem = replaced;
    else
        return dr_take_fd(&fd);
    return -1;
}

void scan_reader_list(struct scan_reader *r, struct scan_dir *d)
{
    DR_CLEANUP(dr_close_fd) int fd = open_dir(r, d, &d->problem);
    if (fd < 0)
        return;
    bool tag;
    struct dr_err err = { 0 };
    d->problem = read_names(r, fd, &tag);
    if (tag && r->options->exclude_caches && has_tag(fd)) { /* only that stays */
        scan_names_clear(&r->names);
        scan_names_add(&r->names, tag_name);
    }
    if (scan_names_settle(&r->names, &d->names, &err) != DR_OK) {
        d->failed = dr_alloc(1, sizeof *d->failed);
        *d->failed = err;
    }
    d->rest = d->names.data;
    d->left = d->names.count;
    if (d->left > 0)
        stat_all(r, scan_dir_cut(d), fd);
}

void scan_reader_stat(struct scan_reader *r, struct scan_batch *b)
{
    DR_CLEANUP(dr_close_fd) int fd = open_dir(r, b->task.dir, &b->problem);
    if (fd >= 0)
        stat_all(r, b, fd);
    else
        b->count = 0;
}
