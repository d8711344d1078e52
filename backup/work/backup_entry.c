/*
 * Metadata. Attributes are read on the open descriptor where there is one, and else through
 * /proc/self/fd/DIR/NAME, which follows no link in the last part. ACLs are asked for only when the list
 * of attributes shows that there are any: one cheap call for most files.
 */
#include "backup/work/backup_entry.h"

#include <acl/libacl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backup/format/limits.h"
#include "backup/work/merge_rule.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { XATTR_LIST = 64 << 10, XATTR_VALUE = 64 << 10, PROC_PATH_MAX = 512, SPARSE_FROM = 64 << 10 };
static const char acl_access[] = "system.posix_acl_access";
static const char acl_default[] = "system.posix_acl_default";

void entry_fini(struct backup_entry *e)
{
    buf_fini(&e->link);
    buf_fini(&e->access);
    buf_fini(&e->fallback);
    buf_fini(&e->names);
    buf_fini(&e->values);
    free(e->xattrs);
    free(e->extents);
    *e = (struct backup_entry){ .lost = false };
}

static void lose(struct backup_entry *e, const char *what)
{
    e->lost = true;
    (void)snprintf(e->why, sizeof e->why, "%.60s: %s", what,
                   strerrordesc_np(errno)); /* cut is fine */
}

static ssize_t list_names(const struct backup_place *at, const char *proc, struct buf *names)
{
    char *p = buf_reserve(names, XATTR_LIST);
    return at->fd >= 0 ? flistxattr(at->fd, p, XATTR_LIST) : llistxattr(proc, p, XATTR_LIST);
}

static ssize_t get_value(const struct backup_place *at, const char *proc, const char *name,
                         struct buf *values)
{
    char *p = buf_reserve(values, XATTR_VALUE);
    return at->fd >= 0 ? fgetxattr(at->fd, name, p, XATTR_VALUE)
                       : lgetxattr(proc, name, p, XATTR_VALUE);
}

/* Numeric text joined by ','; NULL when it cannot be had. */
static const char *acl_text(const struct backup_place *at, const char *proc, acl_type_t type,
                            struct buf *out)
{
    acl_t acl =
        type == ACL_TYPE_ACCESS && at->fd >= 0 ? acl_get_fd(at->fd) : acl_get_file(proc, type);
    if (acl == NULL)
        return NULL;
    char *text = acl_to_any_text(acl, NULL, ',', TEXT_NUMERIC_IDS);
    (void)acl_free(acl); /* cannot fail on what acl_get gave */
    if (text == NULL)
        return NULL;
    buf_clear(out);
    buf_adds(out, text);
    (void)acl_free(text);
    return out->data;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct head_xattr *)a)->name, ((const struct head_xattr *)b)->name);
}

/* One attribute. Values are kept as offsets until all are there, since the buffer may move. */
static void add_xattr(struct backup_entry *e, const struct backup_place *at, const char *proc,
                      const char *name)
{
    ssize_t len = get_value(at, proc, name, &e->values);
    if (len < 0) {
        if (errno != ENODATA)
            lose(e, name);
        return;
    }
    if (e->values.len + (size_t)len > HEAD_RECORDS_MAX / 2) {
        errno = E2BIG;
        lose(e, name);
        return;
    }
    if (e->head.xattr_count == e->xattr_cap) {
        e->xattr_cap = e->xattr_cap == 0 ? 16 : e->xattr_cap * 2;
        e->xattrs = dr_realloc(e->xattrs, e->xattr_cap, sizeof *e->xattrs);
    }
    e->xattrs[e->head.xattr_count++] = (struct head_xattr){ .name = name, .len = (size_t)len };
    e->values.len += (size_t)len;
}

static void read_acls(struct backup_entry *e, const struct backup_place *at, const char *proc,
                      const char *name)
{
    bool access = strcmp(name, acl_access) == 0;
    const char *text = acl_text(at, proc, access ? ACL_TYPE_ACCESS : ACL_TYPE_DEFAULT,
                                access ? &e->access : &e->fallback);
    if (text == NULL)
        lose(e, name);
    else if (access)
        e->head.acl_access = text;
    else
        e->head.acl_default = text;
}

static void read_xattrs(struct backup_entry *e, const struct backup_place *at)
{
    char proc[PROC_PATH_MAX];
    int len = at->fd >= 0 ? snprintf(proc, sizeof proc, "/proc/self/fd/%d", at->fd)
                          : snprintf(proc, sizeof proc, "/proc/self/fd/%d/%s", at->dir, at->name);
    DR_ASSERT(len > 0 && (size_t)len < sizeof proc);
    buf_clear(&e->names);
    buf_clear(&e->values);
    ssize_t total = list_names(at, proc, &e->names);
    if (total < 0 && errno != ENOTSUP)
        lose(e, "list of attributes");
    for (ssize_t i = 0; i < total;) {
        const char *name = e->names.data + i;
        i += (ssize_t)strlen(name) + 1;
        if (strcmp(name, acl_access) == 0 || strcmp(name, acl_default) == 0)
            read_acls(e, at, proc, name);
        else
            add_xattr(e, at, proc, name);
    }
    const char *value = e->values.data;
    for (size_t i = 0; i < e->head.xattr_count; i++) {
        e->xattrs[i].value = value;
        value += e->xattrs[i].len;
    }
    if (e->head.xattr_count > 1)
        qsort(e->xattrs, e->head.xattr_count, sizeof *e->xattrs, by_name);
    e->head.xattrs = e->xattrs;
}

static bool add_extent(struct backup_entry *e, uint64_t offset, uint64_t len)
{
    struct head *h = &e->head;
    if (h->extent_count == HEAD_EXTENTS_MAX)
        return false;
    if (h->extent_count == e->extent_cap) {
        e->extent_cap = e->extent_cap == 0 ? 16 : e->extent_cap * 2;
        e->extents = dr_realloc(e->extents, e->extent_cap, sizeof *e->extents);
    }
    e->extents[h->extent_count++] = (struct head_extent){ offset, len };
    h->data += len;
    return true;
}

/* All extents of data. False: not sparse after all, no holes to be seen, or too many. */
static bool find_extents(struct backup_entry *e, const struct backup_place *at)
{
    off_t size = (off_t)e->head.size, offset = 0; /* what lies behind came after the scan */
    e->head.data = 0;
    while (offset < size) {
        off_t from = lseek(at->fd, offset, SEEK_DATA);
        if (from < 0 && errno != ENXIO)
            return false;
        if (from < 0 || from >= size)
            break; /* the rest is a hole */
        off_t end = lseek(at->fd, from, SEEK_HOLE);
        if (end < 0)
            return false;
        end = end > size ? size : end;
        if (!add_extent(e, (uint64_t)from, (uint64_t)(end - from)))
            return false;
        offset = end;
    }
    if (e->head.data == e->head.size)
        return false;
    size_t count = e->head.extent_count;
    if (count > 0 && e->extents[count - 1].offset + e->extents[count - 1].len == e->head.size)
        return true;
    return add_extent(e, e->head.size, 0);
}

static void use_extents(struct backup_entry *e, const struct backup_place *at)
{
    struct head *h = &e->head;
    h->sparse = true;
    h->extents = at->extents;
    h->extent_count = at->extent_count;
    h->data = 0;
    for (size_t i = 0; i < at->extent_count; i++)
        h->data += at->extents[i].len;
}

static void read_data_map(struct backup_entry *e, const struct backup_place *at,
                          const struct scan_stat *st)
{
    struct head *h = &e->head;
    h->size = h->data = st->size;
    bool holes = st->blocks * BLOCK_SIZE < h->size;
    if (at->extents != NULL) {
        use_extents(e, at);
        return;
    }
    if (at->fd < 0 || h->size == 0 || (!holes && h->size < SPARSE_FROM))
        return;
    if (find_extents(e, at)) {
        h->sparse = true;
        h->extents = e->extents;
    } else {
        h->extent_count = 0;
        h->data = h->size;
    }
}

static bool read_link(struct backup_entry *e, const struct backup_place *at)
{
    buf_clear(&e->link);
    char *p = buf_reserve(&e->link, PATH_LEN_MAX);
    ssize_t len = readlinkat(at->dir, at->name, p, PATH_LEN_MAX);
    if (len <= 0)
        return false;
    e->link.len = (size_t)len;
    p[len] = '\0';
    e->head.link = p;
    return true;
}

bool entry_read(struct backup_entry *e, const struct backup_place *at, const struct scan_stat *st)
{
    DR_ASSERT(!S_ISSOCK(st->mode));
    e->head = (struct head){
        .type = merge_type(st->mode),
        .path = at->path,
        .mode = st->mode & 07777,
        .uid = st->uid,
        .gid = st->gid,
        .mtime_s = st->mtime_s,
        .mtime_ns = st->mtime_ns,
    };
    e->lost = false;
    if (e->head.type == '3' || e->head.type == '4') {
        e->head.major = major(st->rdev);
        e->head.minor = minor(st->rdev);
    }
    if (e->head.type == '0')
        read_data_map(e, at, st);
    if (e->head.type == '2' && !read_link(e, at))
        return false;
    if (at->fd >= 0 || at->dir >= 0)
        read_xattrs(e, at);
    return true;
}
