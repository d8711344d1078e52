/*
 * Odd trees. Everything is made relative to open directories, so that paths may be longer than
 * PATH_MAX; the comparison walks the same way.
 */
#include "tests/support/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#include "dr/base/mem.h"

enum {
    DEEP_LEVELS = 22, /* beyond PATH_MAX */
    LONG_LEVELS = 15,
    DEEP_NAME = 200,
    BIG_SIZE = 9 << 20,
    DIFF_LINES = 100,
    NAMES_MAX_HERE = 65536,
    PIECE = 256 << 10,
    LIST_MAX = 64 << 10,
};

static void must(int rc, const char *what)
{
    if (rc < 0)
        fail_msg("%s: %s", what, strerrordesc_np(errno));
}

char *tree_temp(void)
{
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    char *path = dr_strf("%s/drctl-test-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

static int open_dir(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    must(fd, name);
    return fd;
}

/* -- making -------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void write_random(int fd, uint64_t seed, size_t size)
{
    uint64_t block[512];
    while (size > 0) {
        for (size_t i = 0; i < DR_ARRAY_LEN(block); i++)
            block[i] = next_random(&seed);
        size_t n = size < sizeof block ? size : sizeof block;
        assert_int_equal(write(fd, block, n), n);
        size -= n;
    }
}

void tree_write(int dir, const char *name, uint64_t seed, size_t size)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must(fd, name);
    write_random(fd, seed, size);
    must(close(fd), name);
}

static void write_text(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must(fd, name);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    must(close(fd), name);
}

/* size: of the file; then pairs of offset and length of data, ended by a negative offset. */
static void write_sparse(int dir, const char *name, off_t size, ...)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    must(fd, name);
    must(ftruncate(fd, size), name);
    va_list pairs;
    va_start(pairs, size);
    for (;;) {
        long offset = va_arg(pairs, long);
        if (offset < 0)
            break;
        long len = va_arg(pairs, long);
        must(lseek(fd, offset, SEEK_SET) < 0 ? -1 : 0, name);
        write_random(fd, (uint64_t)offset, (size_t)len);
    }
    va_end(pairs);
    must(close(fd), name);
}

static void set_time(int dir, const char *name, int64_t s, long ns)
{
    struct timespec times[2] = { { .tv_sec = s, .tv_nsec = ns }, { .tv_sec = s, .tv_nsec = ns } };
    must(utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW), name);
}

static void make_names(int d)
{
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    write_text(d, longest, "long");
    write_text(d, "new\nline", "nl");
    write_text(d, "invalid\xff\xfe", "inv");
    write_text(d, "\xc3\xbctf-\xc3\xa9", "utf");
    write_text(d, "decomposed-e\xcc\x81", "nfd");
    write_text(d, "-dash", "d");
    write_text(d, " spaces ", "s");
    write_text(d, "tab\t\\b\"q'$`*?[", "q");
    write_text(d, "=eq=1", "e");
    write_text(d, "...", "dots");
    must(symlinkat("invalid\xff\xfe", d, "to\xff"), "symlink");
    must(mkdirat(d, "a", 0755), "a");
    write_text(d, "a.b", "between a and a/b by strcmp");
    int a = open_dir(d, "a");
    write_text(a, "b", "in a");
    must(close(a), "a");
}

static void make_deep(int d, unsigned levels)
{
    char part[DEEP_NAME + 1];
    memset(part, 'd', DEEP_NAME);
    part[DEEP_NAME] = '\0';
    int at = dup(d);
    for (unsigned i = 0; i < levels; i++) {
        must(mkdirat(at, part, 0755), "deep");
        int below = open_dir(at, part);
        must(close(at), "deep");
        at = below;
    }
    write_text(at, "leaf", "at the end of a long path");
    must(close(at), "deep");
}

static void make_links(int d)
{
    must(mkdirat(d, "links", 0755), "links");
    int l = open_dir(d, "links");
    char target[301];
    memset(target, 'x', 300);
    target[300] = '\0';
    write_text(l, "file", "hello");
    must(linkat(l, "file", d, "z-hard", 0), "hard");
    must(linkat(l, "file", l, "hard", 0), "hard");
    must(symlinkat("../links/file", l, "sym"), "sym");
    must(linkat(l, "sym", l, "sym-hard", 0), "hard link to a symbolic link");
    must(symlinkat(target, l, "long-sym"), "long");
    must(mkfifoat(l, "fifo", 0640), "fifo");
    must(linkat(l, "fifo", l, "fifo-hard", 0), "hard link to a fifo");
    tree_write(l, "big", 1, 700000);
    must(linkat(l, "big", l, "big-hard", 0), "hard link to a large file");
    must(linkat(l, "big", d, "0-big-first", 0), "hard link to a large file");
    set_time(l, "sym", 978310861, 111000000);
    must(close(l), "links");
}

static void make_sizes(int d)
{
    write_text(d, "empty", "");
    tree_write(d, "large-1", 2, (256 << 10) - 1);
    tree_write(d, "large", 3, 256 << 10);
    tree_write(d, "large+1", 4, (256 << 10) + 1);
    tree_write(d, "512", 5, 512);
    tree_write(d, "many-chunks", 6, BIG_SIZE + 333);
    tree_write(d, "same-chunks", 6, BIG_SIZE + 333);
    tree_write(d, "longer", 6, BIG_SIZE + 100000);
    write_sparse(d, "hole-start", 2 << 20, (long)((2 << 20) - 4096), 4096L, -1L);
    write_sparse(d, "hole-end", 3 << 20, 0L, 4096L, -1L);
    write_sparse(d, "hole-middle", 1 << 20, 0L, 4096L, (long)(1 << 20) - 4096, 4096L, -1L);
    write_sparse(d, "hole-both", 10 << 20, 1L << 20, 4096L, 5L << 20, 8192L, -1L);
    write_sparse(d, "hole-all", 5 << 20, -1L);
    write_sparse(d, "hole-odd", (1 << 20) + 333, (long)(1 << 20) - 4096, 4429L, -1L);
    write_sparse(d, "hole-large", 30L << 20, 4L << 20, 3L << 20, 20L << 20, 1L << 20, -1L);
    write_sparse(d, "hole-huge", 1L << 40, 1L << 39, 4096L, (1L << 40) - 4096, 4096L, -1L);
}

static void make_extents(int d)
{
    int fd = openat(d, "hole-many", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    must(fd, "hole-many");
    must(ftruncate(fd, 64 << 20), "hole-many");
    for (off_t i = 0; i < 1010; i++)
        assert_int_equal(pwrite(fd, "x", 1, i << 15), 1);
    must(close(fd), "hole-many");
}

static void make_times(int d)
{
    static const struct {
        const char *name;
        int64_t s;
        long ns;
    } times[] = {
        { "time-1950", -625776833, 250000000 },   { "time-minus-1", -1, 0 },
        { "time-minus-fraction", -1, 999999999 }, { "time-0", 0, 0 },
        { "time-2300", 10413792000, 0 },          { "time-ns", 1580608922, 123456789 },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(times); i++) {
        write_text(d, times[i].name, "t");
        set_time(d, times[i].name, times[i].s, times[i].ns);
    }
}

static void set_xattr(int dir, const char *name, const char *key, const void *value, size_t len)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    must(fd, name);
    must(fsetxattr(fd, key, value, len, 0), key);
    must(close(fd), name);
}

static void make_attributes(int d)
{
    static const char binary[] = { 0, (char)0xff, '\n', '=', 0 };
    write_text(d, "xattrs", "x");
    set_xattr(d, "xattrs", "user.k", "v", 1);
    set_xattr(d, "xattrs", "user.binary", binary, sizeof binary);
    set_xattr(d, "xattrs", "user.empty", "", 0);
    set_xattr(d, "xattrs", "user.eq=100%", "e", 1);
    must(mkdirat(d, "acl-dir", 0755), "acl-dir");
    set_xattr(d, "acl-dir", "user.dir", "dd", 2);
    write_text(d, "acl-file", "a");
    acl_t acl = acl_from_text("u::rw-,u:1234:rwx,g::r--,g:5678:r--,m::rwx,o::---");
    acl_t fallback = acl_from_text("u::rwx,u:4321:rwx,g::r-x,m::rwx,o::---");
    int file = openat(d, "acl-file", O_RDONLY | O_CLOEXEC), dir = open_dir(d, "acl-dir");
    DR_FREE char *path = dr_strf("/proc/self/fd/%d", dir);
    must(file, "acl-file");
    must(acl_set_fd(file, acl), "acl_set_fd");
    must(acl_set_file(path, ACL_TYPE_DEFAULT, fallback), "default acl");
    must(close(file), "acl-file");
    must(close(dir), "acl-dir");
    acl_free(acl);
    acl_free(fallback);
}

static void make_modes(int d)
{
    write_text(d, "set-ids", "s");
    must(fchmodat(d, "set-ids", 06755, 0), "set-ids");
    must(mkdirat(d, "sticky", 0755), "sticky");
    must(fchmodat(d, "sticky", 01777, 0), "sticky");
    must(mkdirat(d, "read-only", 0755), "read-only");
    int r = open_dir(d, "read-only");
    write_text(r, "within", "w");
    must(close(r), "read-only");
    must(fchmodat(d, "read-only", 0555, 0), "read-only");
    must(mkdirat(d, "nothing-in-it", 0700), "empty");
}

static void make_for_root(int d)
{
    static const uint8_t capability[] = { 1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0,
                                          0, 0, 0, 0, 0, 0,    0, 0, 0, 0 };
    must(mknodat(d, "null", S_IFCHR | 0666, makedev(1, 3)), "null");
    must(mknodat(d, "block", S_IFBLK | 0660, makedev(259, 1048575)), "block");
    write_text(d, "mode-000", "0");
    must(fchmodat(d, "mode-000", 0, 0), "mode-000");
    write_text(d, "owner", "o");
    must(fchownat(d, "owner", 4000000000u, 3000000, 0), "owner");
    write_text(d, "capability", "c");
    set_xattr(d, "capability", "security.capability", capability, sizeof capability);
    write_text(d, "trusted", "t");
    set_xattr(d, "trusted", "trusted.t", "tt", 2);
    DR_FREE char *sym = dr_strf("/proc/self/fd/%d/links/sym", d);
    must(lsetxattr(sym, "trusted.sym", "lv", 2, 0), "attribute of a link");
    must(fchownat(d, "links/sym", 77, 88, AT_SYMLINK_NOFOLLOW), "owner of a link");
    set_time(d, "links/sym", 978310861, 111000000);
}

void tree_make(const char *path, enum tree_size size)
{
    int d = open_dir(AT_FDCWD, path);
    if (size == TREE_SMALL) {
        for (unsigned i = 0; i < 20; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "file-%02u", i);
            tree_write(d, name, i, (size_t)i * 100);
        }
        make_times(d);
        write_text(d, "a", "a");
        must(linkat(d, "a", d, "b", 0), "b");
        must(symlinkat("a", d, "s"), "s");
        tree_write(d, "large", 99, 600000);
    } else {
        make_names(d);
        make_deep(d, size == TREE_DEEP ? DEEP_LEVELS : LONG_LEVELS);
        make_links(d);
        make_sizes(d);
        make_extents(d);
        make_times(d);
        make_attributes(d);
        make_modes(d);
        if (geteuid() == 0)
            make_for_root(d);
    }
    set_time(d, ".", 1431000000, 555555555);
    must(close(d), path);
}

void tree_make_many(const char *path, unsigned count, unsigned each)
{
    int d = open_dir(AT_FDCWD, path);
    int sub = -1;
    for (unsigned i = 0; i < count; i++) {
        char name[32];
        if (i % 100 == 0) {
            (void)snprintf(name, sizeof name, "dir-%05u", i / 100);
            must(mkdirat(d, name, 0755), name);
            if (sub >= 0)
                must(close(sub), name);
            sub = open_dir(d, name);
        }
        (void)snprintf(name, sizeof name, "file-%08u", i * 2654435761u % 100000000);
        tree_write(sub, name, i, each + i % 7);
    }
    if (sub >= 0)
        must(close(sub), path);
    must(close(d), path);
}

/* -- comparing ----------------------------------------------------------------------------- */

struct inode {
    dev_t dev[2];
    ino_t ino[2];
};

struct diff {
    struct buf *out;
    unsigned count;
    struct buf path;
    struct inode *inodes; /* of entries with links, in the order of the walk */
    size_t inode_count;
};

static void differ(struct diff *d, const char *what)
{
    if (d->count++ < DIFF_LINES)
        buf_addf(d->out, "%.120s: %s\n", d->path.len > 0 ? d->path.data : ".", what);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list_dir(int fd, char ***ret)
{
    DIR *dir = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    assert_non_null(dir);
    char **names = dr_alloc(NAMES_MAX_HERE, sizeof *names);
    size_t count = 0;
    const struct dirent *e;
    rewinddir(dir);
    while ((e = readdir(dir)) != NULL) /* NOLINT(concurrency-mt-unsafe): own stream */
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            assert_true(count < NAMES_MAX_HERE);
            names[count++] = dr_strdup(e->d_name);
        }
    must(closedir(dir), "closedir");
    qsort(names, count, sizeof *names, by_name);
    *ret = names;
    return count;
}

/* All data extents of one file read the same in the other. */
static void compare_data(struct diff *d, int a, int b, off_t size)
{
    char *x = dr_alloc(2, PIECE), *y = x + PIECE;
    off_t at = 0;
    bool same = true;
    while (same && at < size) {
        off_t from = lseek(a, at, SEEK_DATA);
        if (from < 0)
            break;
        off_t end = lseek(a, from, SEEK_HOLE);
        for (off_t i = from; same && i < end;) {
            size_t n = end - i < PIECE ? (size_t)(end - i) : PIECE;
            same = pread(a, x, n, i) == (ssize_t)n && pread(b, y, n, i) == (ssize_t)n &&
                   memcmp(x, y, n) == 0;
            i += (off_t)n;
        }
        at = end;
    }
    if (!same)
        differ(d, "content");
    free(x);
}

static int open_file(int dir, const char *name)
{
    return openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static void compare_files(struct diff *d, const int dirs[2], const char *name, off_t size)
{
    int a = open_file(dirs[0], name), b = open_file(dirs[1], name);
    if (a < 0 || b < 0) {
        differ(d, "cannot be opened");
    } else {
        compare_data(d, a, b, size);
        compare_data(d, b, a, size);
    }
    if (a >= 0)
        must(close(a), name);
    if (b >= 0)
        must(close(b), name);
}

/* All attributes as one sorted text. */
static void list_xattrs(int dir, const char *name, struct buf *out)
{
    DR_FREE char *proc = dr_strf("/proc/self/fd/%d/%s", dir, name);
    DR_FREE char *list = dr_alloc(1, LIST_MAX);
    DR_FREE char *value = dr_alloc(1, LIST_MAX);
    char *names[256];
    size_t count = 0;
    ssize_t len = llistxattr(proc, list, LIST_MAX);
    for (ssize_t i = 0; i < len && count < 256; i += (ssize_t)strlen(list + i) + 1)
        names[count++] = list + i;
    if (count > 1)
        qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        ssize_t n = lgetxattr(proc, names[i], value, LIST_MAX);
        buf_addf(out, "%s=%zd:", names[i], n);
        buf_add(out, value, n > 0 ? (size_t)n : 0);
    }
}

static void compare_xattrs(struct diff *d, const int dirs[2], const char *name)
{
    DR_CLEANUP(buf_fini) struct buf a = { 0 }, b = { 0 };
    list_xattrs(dirs[0], name, &a);
    list_xattrs(dirs[1], name, &b);
    if (a.len != b.len || (a.len > 0 && memcmp(a.data, b.data, a.len) != 0))
        differ(d, "attributes");
}

/* Names of one inode in one tree must be names of one inode in the other. */
static void compare_links(struct diff *d, const struct stat st[2])
{
    if (S_ISDIR(st[0].st_mode) || (st[0].st_nlink < 2 && st[1].st_nlink < 2))
        return;
    for (size_t i = 0; i < d->inode_count; i++) {
        const struct inode *n = &d->inodes[i];
        bool a = n->dev[0] == st[0].st_dev && n->ino[0] == st[0].st_ino;
        bool b = n->dev[1] == st[1].st_dev && n->ino[1] == st[1].st_ino;
        if (a != b)
            differ(d, "hard links");
        if (a || b)
            return;
    }
    d->inodes = dr_realloc(d->inodes, d->inode_count + 1, sizeof *d->inodes);
    d->inodes[d->inode_count++] =
        (struct inode){ { st[0].st_dev, st[1].st_dev }, { st[0].st_ino, st[1].st_ino } };
}

static void compare_stat(struct diff *d, const struct stat st[2])
{
    const struct stat *a = &st[0], *b = &st[1];
    if (a->st_mode != b->st_mode)
        differ(d, "mode");
    if (geteuid() == 0 && (a->st_uid != b->st_uid || a->st_gid != b->st_gid))
        differ(d, "owner");
    if (a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
        differ(d, "time");
    if ((S_ISREG(a->st_mode) || S_ISLNK(a->st_mode)) && a->st_size != b->st_size)
        differ(d, "size");
    if ((S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode)) && a->st_rdev != b->st_rdev)
        differ(d, "device");
    compare_links(d, st);
}

static void compare_text(struct diff *d, const int dirs[2], const char *name)
{
    char a[4096], b[4096];
    ssize_t n = readlinkat(dirs[0], name, a, sizeof a), m = readlinkat(dirs[1], name, b, sizeof b);
    if (n != m || n < 0 || memcmp(a, b, (size_t)n) != 0)
        differ(d, "text of the link");
}

static void compare_dirs(struct diff *d, const int dirs[2], unsigned depth);

static void compare_entry(struct diff *d, const int dirs[2], const char *name, unsigned depth)
{
    struct stat st[2];
    size_t len = d->path.len;
    buf_addf(&d->path, "/%s", name);
    if (fstatat(dirs[0], name, &st[0], AT_SYMLINK_NOFOLLOW) != 0)
        differ(d, "only in the second");
    else if (fstatat(dirs[1], name, &st[1], AT_SYMLINK_NOFOLLOW) != 0)
        differ(d, "only in the first");
    else if ((st[0].st_mode & S_IFMT) != (st[1].st_mode & S_IFMT))
        differ(d, "type");
    else {
        compare_stat(d, st);
        compare_xattrs(d, dirs, name);
        if (S_ISREG(st[0].st_mode) && st[0].st_size == st[1].st_size &&
            (geteuid() == 0 || (st[0].st_mode & S_IRUSR)))
            compare_files(d, dirs, name, st[0].st_size);
        if (S_ISLNK(st[0].st_mode))
            compare_text(d, dirs, name);
        if (S_ISDIR(st[0].st_mode)) {
            int below[2] = { open_dir(dirs[0], name), open_dir(dirs[1], name) };
            compare_dirs(d, below, depth + 1);
            must(close(below[0]), name);
            must(close(below[1]), name);
        }
    }
    d->path.len = len;
}

/* Recursion is bounded by the depth of trees made here. */
static void compare_dirs(struct diff *d, const int dirs[2], unsigned depth)
{
    char **names[2];
    size_t count[2] = { list_dir(dirs[0], &names[0]), list_dir(dirs[1], &names[1]) };
    size_t at[2] = { 0, 0 };
    assert_true(depth < 100);
    while (at[0] < count[0] || at[1] < count[1]) {
        int order = at[0] == count[0]   ? 1
                    : at[1] == count[1] ? -1
                                        : strcmp(names[0][at[0]], names[1][at[1]]);
        compare_entry(d, dirs, order <= 0 ? names[0][at[0]] : names[1][at[1]], depth);
        at[0] += order <= 0;
        at[1] += order >= 0;
    }
    for (unsigned i = 0; i < 2; i++) {
        for (size_t k = 0; k < count[i]; k++)
            free(names[i][k]);
        free(names[i]);
    }
}

unsigned tree_diff(const char *a, const char *b, struct buf *out)
{
    struct diff d = { .out = out };
    int dirs[2] = { open_dir(AT_FDCWD, a), open_dir(AT_FDCWD, b) };
    struct stat st[2];
    must(fstat(dirs[0], &st[0]), a);
    must(fstat(dirs[1], &st[1]), b);
    compare_stat(&d, st);
    compare_xattrs(&d, dirs, ".");
    compare_dirs(&d, dirs, 0);
    must(close(dirs[0]), a);
    must(close(dirs[1]), b);
    free(d.inodes);
    buf_fini(&d.path);
    return d.count;
}

/* -- removing ------------------------------------------------------------------------------ */

static void remove_below(int dir, unsigned depth)
{
    char **names;
    size_t count = list_dir(dir, &names);
    assert_true(depth < 200);
    for (size_t i = 0; i < count; i++) {
        struct stat st;
        must(fstatat(dir, names[i], &st, AT_SYMLINK_NOFOLLOW), names[i]);
        if (S_ISDIR(st.st_mode)) {
            must(fchmodat(dir, names[i], 0700, 0), names[i]);
            int below = open_dir(dir, names[i]);
            remove_below(below, depth + 1);
            must(close(below), names[i]);
        }
        must(unlinkat(dir, names[i], S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0), names[i]);
        free(names[i]);
    }
    free(names);
}

void tree_remove(const char *path)
{
    must(chmod(path, 0700), path);
    int dir = open_dir(AT_FDCWD, path);
    remove_below(dir, 0);
    must(close(dir), path);
    must(rmdir(path), path);
}
