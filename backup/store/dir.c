/*
 * A bucket in a directory. One object is one file, born under a hidden name and renamed into
 * place once its bytes are on the medium; rename without replacing makes "an object that exists
 * is never changed" a promise of the kernel rather than of ours.
 *
 * A put that finds the object there syncs its directory before it says so: the writer before us
 * may have died between its rename and its sync.
 */
#include "backup/store/dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

#define TEMP_PREFIX ".put-"
#define SWAP_LOCK   ".swap-lock"
enum { TEMP_NAME_SIZE = sizeof(TEMP_PREFIX) + 32, FOLDER_LEN_MAX = 200, TEMP_TRIES = 8 };

struct dir {
    struct store base;
    int fd;
    atomic_bool swept; /* leftovers of dead writers are gone */
    atomic_bool apart; /* files of elsewhere cannot be linked here */
};

/* The cause decides what the operator can do about it. */
static enum dr_rc fail_at(const struct store *s, const char *name, int errnum, const char *what,
                          struct dr_err *err)
{
    dr_fail_sys(err, errnum, "bucket '%s': %s object '%s'", s->name, what, name);
    if (errnum == EROFS || errnum == EACCES || errnum == EPERM)
        return dr_hint(err, "Give this user access to %s, or mount it read-write.",
                       s->url + strlen("file://"));
    if (errnum == ENOSPC || errnum == EDQUOT)
        return dr_hint(err, "Free space on the file system of %s, then run it again.",
                       s->url + strlen("file://"));
    return err->rc;
}

/* Nothing inside a bucket is reached through a symbolic link. */
static int open_below(const struct dir *d, const char *path, uint64_t flags)
{
    struct open_how how = { .flags = flags | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    int fd;
    do
        fd = sys.openat2(d->fd, path, &how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd;
}

static enum dr_rc open_object(const struct dir *d, const char *name, int *ret_fd,
                              uint64_t *ret_size, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = open_below(d, name, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return fail_at(&d->base, name, errno == ENOTDIR ? ENOENT : errno, "cannot open", err);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_at(&d->base, name, errno, "cannot look at", err);
    if (!S_ISREG(st.st_mode))
        return fail_at(&d->base, name, ENOENT, "cannot open", err);
    *ret_fd = dr_take_fd(&fd);
    *ret_size = (uint64_t)st.st_size;
    return DR_OK;
}

static enum dr_rc dir_get(struct store *s, const char *name, uint64_t offset, size_t len, void *out,
                          struct dr_err *err)
{
    const struct dir *d = (const struct dir *)s;
    DR_CLEANUP(dr_close_fd) int fd = -1;
    uint64_t size = 0;
    DR_TRY(open_object(d, name, &fd, &size, err));
    if (offset > size || len > size - offset)
        return dr_fail(err, DR_E_CORRUPT,
                       "bucket '%s': object '%s' is truncated: it has %llu bytes, %llu are needed",
                       s->name, name, (unsigned long long)size, (unsigned long long)offset + len);
    enum dr_rc rc = fs_pread_all(fd, name, out, len, (off_t)offset, err);
    return rc == DR_OK ? DR_OK : dr_context(err, "bucket '%s'", s->name);
}

static enum dr_rc dir_get_all(struct store *s, const char *name, size_t limit, struct buf *out,
                              struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = -1;
    uint64_t size = 0;
    DR_TRY(open_object((const struct dir *)s, name, &fd, &size, err));
    if (size > limit)
        return dr_fail(err, DR_E_CORRUPT,
                       "bucket '%s': object '%s' is larger than any of its kind (%llu bytes)",
                       s->name, name, (unsigned long long)size);
    char *at = buf_reserve(out, (size_t)size);
    if (size > 0 && fs_pread_all(fd, name, at, (size_t)size, 0, err) != DR_OK)
        return dr_context(err, "bucket '%s'", s->name);
    out->len += (size_t)size;
    out->data[out->len] = '\0';
    return DR_OK;
}

static enum dr_rc dir_head(struct store *s, const char *name, uint64_t *ret_size,
                           struct dr_err *err)
{
    const struct dir *d = (const struct dir *)s;
    DR_CLEANUP(dr_close_fd) int fd = open_below(d, name, O_PATH);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail_at(s, name, errno == ENOTDIR ? ENOENT : errno, "cannot look at", err);
    if (!S_ISREG(st.st_mode))
        return fail_at(s, name, ENOENT, "cannot look at", err);
    *ret_size = (uint64_t)st.st_size;
    return DR_OK;
}

/* Opened by the table, so that faults reach it; the stream has a descriptor of its own. */
static DIR *open_list(const struct dir *d, const char *folder)
{
    DR_CLEANUP(dr_close_fd) int fd = open_below(d, folder, O_RDONLY | O_DIRECTORY);
    int own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *list = own < 0 ? NULL : fdopendir(own);
    if (list == NULL && own >= 0)
        close(own); /* not through the table: it did not open it */
    return list;
}

/* -- put ----------------------------------------------------------------------------------- */

/* Files of dead writers: nobody holds their lock. What cannot be removed does no harm. */
static void sweep_leftovers(struct dir *d)
{
    DIR *list = open_list(d, ".");
    if (list == NULL)
        return;
    const struct dirent *e;
    while ((e = readdir(list)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        if (!text_starts(e->d_name, TEMP_PREFIX))
            continue;
        DR_CLEANUP(dr_close_fd) int temp = open_below(d, e->d_name, O_RDONLY | O_NONBLOCK);
        if (temp >= 0 && flock(temp, LOCK_EX | LOCK_NB) == 0)
            (void)sys.unlinkat(d->fd, e->d_name, 0); /* the next writer tries again */
    }
    closedir(list);
    d->swept = true;
}

/* A new hidden file, locked. Between its birth and its lock another process may sweep it away:
 * then it has no name any more, and we take the next. */
static int make_temp(const struct dir *d, char name[TEMP_NAME_SIZE])
{
    for (int try = 0; try < TEMP_TRIES; try++) {
        uint8_t noise[12];
        char hex[2 * sizeof(noise) + 1];
        random_bytes(noise, sizeof(noise));
        snprintf(name, TEMP_NAME_SIZE, TEMP_PREFIX "%s", hex_encode(noise, sizeof(noise), hex));
        DR_CLEANUP(dr_close_fd)
        int fd =
            sys.openat(d->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
        if (fd < 0)
            return -1;
        struct stat st;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink == 1)
            return dr_take_fd(&fd);
        (void)sys.unlinkat(d->fd, name, 0); /* swept by the next writer, if it is still there */
    }
    errno = EAGAIN;
    return -1;
}

/* Make each missing folder of the name. */
static enum dr_rc make_folders(const struct dir *d, const char *name, struct dr_err *err)
{
    DR_FREE char *path = dr_strdup(name);
    for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (sys.mkdirat(d->fd, path, 0750) < 0 && errno != EEXIST)
            return fail_at(&d->base, name, errno, "cannot make the folder of", err);
        *slash = '/';
    }
    return DR_OK;
}

/* All folders above the name, up to the bucket: one of them may be the work of a writer that died
 * before it could sync it. */
static enum dr_rc sync_folders(const struct dir *d, const char *name, struct dr_err *err)
{
    DR_FREE char *path = dr_strdup(name);
    for (;;) {
        char *slash = strrchr(path, '/');
        if (slash != NULL)
            *slash = '\0';
        DR_CLEANUP(dr_close_fd)
        int fd = open_below(d, slash != NULL ? path : ".", O_RDONLY | O_DIRECTORY);
        if (fd < 0 || sys.fsync(fd) < 0)
            return fail_at(&d->base, name, errno, "cannot sync the folder of", err);
        if (slash == NULL)
            return DR_OK;
    }
}

typedef int move_fn(const struct dir *d, const char *temp, const char *name);

/* File systems without RENAME_NOREPLACE know hard links, which never replace either. */
static int move_in(const struct dir *d, const char *temp, const char *name)
{
    if (sys.renameat2(d->fd, temp, d->fd, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (sys.linkat(d->fd, temp, d->fd, name, 0) < 0)
        return -1;
    (void)sys.unlinkat(d->fd, temp, 0); /* a second name of a good object: swept later */
    return 0;
}

/* For objects that change. */
static int replace(const struct dir *d, const char *temp, const char *name)
{
    return sys.renameat2(d->fd, temp, d->fd, name, 0);
}

/* The bytes of an object, not faster than the bucket's pace. */
static enum dr_rc write_bytes(const struct dir *d, int fd, const char *name, const void *data,
                              size_t len, struct dr_err *err)
{
    const struct store_pace *pace = d->base.pace;
    for (size_t at = 0, n; at < len; at += n) {
        n = pace != NULL && len - at > pace->slice ? pace->slice : len - at;
        if (pace != NULL)
            DR_TRY(pace->take(pace->arg, n, err));
        if (fs_write_all(fd, name, (const char *)data + at, n, err) != DR_OK)
            return fail_at(&d->base, name, err->sys, "cannot write", err);
    }
    return DR_OK;
}

static enum dr_rc write_and_move(const struct dir *d, const char *name, const void *data,
                                 size_t len, move_fn *move, struct dr_err *err)
{
    char temp[TEMP_NAME_SIZE];
    DR_CLEANUP(dr_close_fd) int fd = make_temp(d, temp);
    if (fd < 0)
        return fail_at(&d->base, name, errno, "cannot create", err);
    enum dr_rc rc = write_bytes(d, fd, name, data, len, err);
    if (rc == DR_OK && sys.fsync(fd) < 0)
        rc = fail_at(&d->base, name, errno, "cannot sync", err);
    if (rc == DR_OK && move(d, temp, name) < 0)
        rc = fail_at(&d->base, name, errno, "cannot put", err);
    if (rc != DR_OK)
        (void)sys.unlinkat(d->fd, temp, 0); /* the next writer sweeps it as well */
    return rc;
}

/* Would a file that is born in the folder be like this one? Not where folders hand on their group or
 * their access list, nor on another file system. */
static bool is_native(const struct dir *d, const char *name, int fd)
{
    DR_FREE char *path = dr_strdup(name);
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
    DR_CLEANUP(dr_close_fd)
    int folder = open_below(d, slash != NULL ? path : ".", O_RDONLY | O_DIRECTORY);
    struct stat in, st;
    return folder >= 0 && fstat(folder, &in) == 0 && fstat(fd, &st) == 0 &&
           in.st_dev == st.st_dev && (in.st_mode & S_ISGID) == 0 && st.st_gid == getegid() &&
           fgetxattr(folder, "system.posix_acl_default", NULL, 0) < 0 &&
           fgetxattr(fd, "system.posix_acl_access", NULL, 0) < 0;
}

/*
 * The file without a name gets one: its bytes are not written twice. They are on the medium before it has
 * the name, as with a copy. *ret_taken: false when it cannot be had, and has to be copied.
 */
static enum dr_rc take_file(struct dir *d, const char *name, int fd, bool *ret_taken,
                            struct dr_err *err)
{
    char self[32];
    *ret_taken = false;
    if (d->apart || !is_native(d, name, fd)) {
        d->apart = true;
        return DR_OK;
    }
    if (sys.fsync(fd) < 0)
        return fail_at(&d->base, name, errno, "cannot sync", err);
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd); /* AT_EMPTY_PATH would need privileges */
    if (sys.linkat(AT_FDCWD, self, d->fd, name, AT_SYMLINK_FOLLOW) < 0) {
        if (errno == EEXIST)
            return fail_at(&d->base, name, errno, "cannot put", err);
        d->apart = true; /* a mount between them, a quota, no /proc */
        return DR_OK;
    }
    *ret_taken = true;
    if (sys.fsync(fd) < 0) /* that it has a name */
        return fail_at(&d->base, name, errno, "cannot sync", err);
    return DR_OK;
}

static enum dr_rc make_object(struct dir *d, const char *name, const struct store_file *file,
                              struct dr_err *err)
{
    bool taken = false;
    DR_TRY(make_folders(d, name, err));
    if (file->fd >= 0 && d->base.pace == NULL)
        DR_TRY(take_file(d, name, file->fd, &taken, err));
    return taken ? DR_OK : write_and_move(d, name, file->data, file->len, move_in, err);
}

static enum dr_rc dir_put_file(struct store *s, const char *name, const struct store_file *file,
                               struct dr_err *err)
{
    struct dir *d = (struct dir *)s;
    if (!d->swept)
        sweep_leftovers(d);
    struct stat st;
    enum dr_rc rc = DR_OK;
    if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        rc = fail_at(s, name, EEXIST, "cannot put", err);
    } else {
        rc = make_object(d, name, file, err);
    }
    if (rc != DR_OK && rc != DR_E_EXISTS)
        return rc;
    struct dr_err unsynced = { 0 };
    if (sync_folders(d, name, &unsynced) == DR_OK)
        return rc;
    *err = unsynced;
    return err->rc;
}

static enum dr_rc dir_put(struct store *s, const char *name, const void *data, size_t len,
                          struct dr_err *err)
{
    return dir_put_file(s, name, &(struct store_file){ .fd = -1, .data = data, .len = len }, err);
}

static enum dr_rc dir_remove(struct store *s, const char *name, struct dr_err *err)
{
    const struct dir *d = (const struct dir *)s;
    if (sys.unlinkat(d->fd, name, 0) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return DR_OK;
        return fail_at(s, name, errno, "cannot remove", err);
    }
    return sync_folders(d, name, err);
}

/* -- swap ---------------------------------------------------------------------------------- */

/* All who swap in this bucket, one at a time; closing gives it back. The file stays: removing it
 * would let two hold two files of one name. */
static int lock_swaps(const struct dir *d)
{
    DR_CLEANUP(dr_close_fd)
    int fd = sys.openat(d->fd, SWAP_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    int rc = fd < 0 ? -1 : 0;
    while (rc == 0 && (rc = flock(fd, LOCK_EX)) < 0 && errno == EINTR)
        rc = 0;
    return rc < 0 ? -1 : dr_take_fd(&fd);
}

static enum dr_rc dir_read_tagged(struct store *s, const char *name, struct buf *out,
                                  char tag[STORE_TAG_MAX], struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = -1;
    uint64_t size = 0;
    enum dr_rc rc = open_object((const struct dir *)s, name, &fd, &size, err);
    tag[0] = '\0';
    if (rc == DR_E_NOTFOUND)
        return DR_OK;
    DR_TRY(rc);
    if (size > STORE_SWAP_MAX)
        return dr_fail(err, DR_E_CORRUPT, "bucket '%s': object '%s' is too large to change",
                       s->name, name);
    char *at = buf_reserve(out, (size_t)size);
    if (fs_pread_all(fd, name, at, (size_t)size, 0, err) != DR_OK)
        return dr_context(err, "bucket '%s'", s->name);
    uint8_t digest[HASH_SIZE];
    hash_bytes(at, (size_t)size, digest);
    hex_encode(digest, sizeof(digest), tag);
    out->len += (size_t)size;
    out->data[out->len] = '\0';
    return DR_OK;
}

static enum dr_rc dir_swap(struct store *s, const char *name, const char *seen_tag,
                           const void *data, size_t len, struct dr_err *err)
{
    const struct dir *d = (const struct dir *)s;
    DR_CLEANUP(buf_fini) struct buf now = { 0 };
    char tag[STORE_TAG_MAX];
    DR_CLEANUP(dr_close_fd) int lock = lock_swaps(d);
    if (lock < 0)
        return fail_at(s, name, errno, "cannot lock", err);
    DR_TRY(dir_read_tagged(s, name, &now, tag, err));
    if (strcmp(tag, seen_tag) != 0)
        return dr_fail(err, DR_E_BUSY, "bucket '%s': object '%s' was changed by another", s->name,
                       name);
    DR_TRY(make_folders(d, name, err));
    DR_TRY(write_and_move(d, name, data, len, replace, err));
    return sync_folders(d, name, err);
}

/* -- list ---------------------------------------------------------------------------------- */

/* Could anything below folder begin with prefix? */
static bool leads_to(const char *folder, const char *prefix)
{
    size_t len = strlen(folder), want = strlen(prefix);
    return strncmp(folder, prefix, len < want ? len : want) == 0;
}

/* What lies behind it would be missing from the list without a word. */
static enum dr_rc fail_link(const struct dir *d, const char *path, const char *prefix,
                            struct dr_err *err)
{
    dr_fail(err, DR_E_REFUSED, "bucket '%s': cannot list '%s': '%.*s' is a symbolic link",
            d->base.name, prefix, (int)strlen(path) - 1, path);
    return dr_hint(err, "Put the directory itself there, or mount it: no link is followed.");
}

/* One folder: objects go to ret, folders to todo (with a slash at the end). */
static enum dr_rc list_folder(const struct dir *d, const char *folder, const char *prefix,
                              struct text_list *todo, struct text_list *ret, struct dr_err *err)
{
    DIR *list = open_list(d, folder[0] != '\0' ? folder : ".");
    if (list == NULL && errno == ENOENT && folder[0] != '\0')
        return DR_OK;
    if (list == NULL) {
        dr_fail_sys(err, errno, "bucket '%s': cannot list '%s'", d->base.name, folder);
        if (err->rc == DR_E_DENIED)
            return dr_hint(err, "Give this user access to all of %s.",
                           d->base.url + strlen("file://"));
        return err->rc;
    }
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(list); /* NOLINT(concurrency-mt-unsafe): own stream */
        if (e == NULL)
            break;
        struct stat st;
        if (e->d_name[0] == '.' || fstatat(dirfd(list), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        bool folds = S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode);
        DR_FREE char *path = dr_strf("%s%s%s", folder, e->d_name, folds ? "/" : "");
        if (S_ISLNK(st.st_mode) && prefix[0] != '\0' && text_starts(prefix, path)) {
            closedir(list);
            return fail_link(d, path, prefix, err);
        }
        if (S_ISDIR(st.st_mode) && strlen(path) < FOLDER_LEN_MAX && leads_to(path, prefix))
            text_list_add(todo, path);
        else if (S_ISREG(st.st_mode) && text_starts(path, prefix))
            text_list_add(ret, path);
    }
    int why = errno;
    closedir(list);
    if (why != 0)
        return dr_fail_sys(err, why, "bucket '%s': cannot list '%s'", d->base.name, folder);
    return DR_OK;
}

static enum dr_rc dir_list(struct store *s, const char *prefix, struct text_list *ret,
                           struct dr_err *err)
{
    const struct dir *d = (const struct dir *)s;
    DR_CLEANUP(text_list_fini) struct text_list todo = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list found = { 0 };
    text_list_add(&todo, "");
    for (size_t i = 0; i < todo.count; i++)
        DR_TRY(list_folder(d, todo.items[i], prefix, &todo, &found, err));
    text_list_sort(&found);
    for (size_t i = 0; i < found.count; i++)
        text_list_add(ret, found.items[i]);
    return DR_OK;
}

/* -- life ---------------------------------------------------------------------------------- */

static void dir_close(struct store *s)
{
    struct dir *d = (struct dir *)s;
    dr_close_fd(&d->fd);
    store_fini(s);
    free(d);
}

static const struct store_ops dir_ops = {
    .get = dir_get,
    .get_all = dir_get_all,
    .put = dir_put,
    .put_file = dir_put_file,
    .head = dir_head,
    .list = dir_list,
    .remove = dir_remove,
    .read_tagged = dir_read_tagged,
    .swap = dir_swap,
    .close = dir_close,
};

enum dr_rc dir_open(const struct store_options *o, struct store **ret, struct dr_err *err)
{
    const char *path = o->url + strlen("file://");
    DR_CLEANUP(dr_close_fd) int fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0) {
        dr_fail_sys(err, errno, "bucket '%s': cannot open directory '%s'", o->name, path);
        if (err->rc == DR_E_NOTFOUND)
            return dr_hint(err, "Create or mount the directory %s, or correct its url.", path);
        return err->rc;
    }
    struct dir *d = dr_alloc(1, sizeof(*d));
    store_init(&d->base, &dir_ops, o);
    d->fd = dr_take_fd(&fd);
    *ret = &d->base;
    return DR_OK;
}
