/*
 * Entries into the target. All attributes are set through descriptors (or /proc/self/fd/N where
 * the kernel has no other way), so that a name that somebody swaps meanwhile is never followed; the
 * one descriptor of a directory that was used last stays open, since entries come in the order of
 * their paths.
 *
 * Making a file is 20 to 30 microseconds in the kernel, of which each change of the inode after its
 * birth is two: so the owner is set only when it is another, and the mode only when it was not
 * given at birth.
 */
#include "backup/work/restore_place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { PART_LEN_MAX = 255, HOP_LEN_MAX = 3500, PROC_PATH_MAX = 320, UNKNOWN_MODE = 0177777 };

static const char *const lost_words[PLACE_KINDS] = {
    [PLACE_OWNER] = "owner or group not kept",
    [PLACE_SETID] = "set-user-id or set-group-id bit not kept",
    [PLACE_DEVICE] = "device not made",
    [PLACE_XATTR] = "extended attribute not kept",
    [PLACE_ACL] = "access list not kept",
};

struct open_dir {
    char *path; /* owned; NULL: nothing is open */
    size_t len;
    int fd;
};

struct place {
    char *target; /* for messages; owned */
    int root;
    bool resuming, trusting, is_root;
    bool shut;     /* nobody looks in, and what is born here belongs to this process */
    bool open;     /* by place_leave_open() */
    bool is_share; /* root is another's */
    mode_t umask;  /* of this process */
    uid_t uid;     /* likewise */
    gid_t gid;
    struct open_dir last;  /* where the entry goes */
    struct open_dir first; /* where the first name of a hard link is */
    struct place_lost lost;
};

enum dr_rc place_new(const char *dir_path, bool resuming, bool trusting, struct place **ret,
                     struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = sys_open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0 && errno == EACCES && resuming && sys.fchmodat(AT_FDCWD, dir_path, 0700, 0) == 0)
        fd = sys_open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open target '%s'", dir_path);
    struct place *p = dr_alloc(1, sizeof(*p));
    p->target = dr_strdup(dir_path);
    p->root = dr_take_fd(&fd);
    p->last.fd = p->first.fd = -1;
    p->resuming = resuming;
    p->trusting = trusting;
    p->uid = geteuid();
    p->gid = getegid();
    p->is_root = p->uid == 0;
    p->umask = umask(0);
    umask(p->umask); /* before any thread is made: there is no other way to ask */
    *ret = p;
    return DR_OK;
}

struct place *place_share(const struct place *p)
{
    struct place *other = dr_alloc(1, sizeof(*other));
    *other = *p;
    other->target = dr_strdup(p->target);
    other->is_share = true;
    other->last = other->first = (struct open_dir){ .fd = -1 };
    other->lost = (struct place_lost){ 0 };
    return other;
}

void place_leave_open(struct place *p)
{
    p->open = true;
    p->shut = false;
}

int place_root(const struct place *p)
{
    return p->root;
}

static void close_dir(struct open_dir *d)
{
    dr_close_fd(&d->fd);
    free(d->path);
    d->path = NULL;
}

void place_free(struct place *p)
{
    if (p == NULL)
        return;
    close_dir(&p->last);
    close_dir(&p->first);
    if (!p->is_share)
        dr_close_fd(&p->root);
    place_lost_fini(&p->lost);
    free(p->target);
    free(p);
}

static enum dr_rc fail_path(const struct place *p, const char *path, int errnum, const char *what,
                            struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf name = { 0 };
    text_add_printable(&name, path, strlen(path));
    dr_fail_sys(err, errnum, "%s '%s/%s'", what, p->target, name.len > 0 ? name.data : "");
    if (errnum == ENOSPC || errnum == EDQUOT)
        return dr_hint(err, "Free space there and run the same command again: it goes on.");
    if (errnum == ELOOP || errnum == EXDEV || errnum == ENOTDIR)
        err->rc = DR_E_REFUSED;
    return err->rc;
}

/* -- what is lost -------------------------------------------------------------------------- */

static void lose(struct place *p, enum place_kind kind, const char *path, int why)
{
    if (p->lost.of[kind].count++ == 0) {
        p->lost.of[kind].example = dr_strdup(path);
        p->lost.of[kind].why = why;
    }
}

void place_lost_fini(struct place_lost *l)
{
    for (int i = 0; i < PLACE_KINDS; i++)
        free(l->of[i].example);
    *l = (struct place_lost){ 0 };
}

void place_add_lost(struct place_lost *to, struct place_lost *from)
{
    for (int i = 0; i < PLACE_KINDS; i++) {
        if (to->of[i].count == 0) {
            to->of[i] = from->of[i];
            from->of[i].example = NULL;
        } else {
            to->of[i].count += from->of[i].count;
        }
    }
    place_lost_fini(from);
}

void place_take_lost(struct place *p, struct place_lost *ret)
{
    place_add_lost(ret, &p->lost);
}

void place_tell(const struct place_lost *lost, struct text_list *ret)
{
    for (int i = 0; i < PLACE_KINDS; i++) {
        if (lost->of[i].count == 0)
            continue;
        char why[128] = "";
        const char *text = strerror_r(lost->of[i].why, why, sizeof(why));
        const char *example = lost->of[i].example;
        DR_CLEANUP(buf_fini) struct buf line = { 0 };
        buf_adds(&line, "'");
        text_add_printable(&line, example, strlen(example));
        buf_adds(&line, "'");
        if (lost->of[i].count > 1)
            buf_addf(&line, " and %llu more", (unsigned long long)lost->of[i].count - 1);
        buf_addf(&line, ": %s: %s%s", lost_words[i], text,
                 geteuid() == 0 ? "" : " (an ordinary user restores)");
        text_list_add(ret, line.data);
    }
}

enum dr_rc place_check_path(const char *path, size_t len, struct dr_err *err)
{
    const char *bad = NULL;
    if (len > 0 && path[0] == '/')
        bad = "is absolute";
    if (memchr(path, '\0', len) != NULL)
        bad = "holds a NUL byte";
    for (size_t from = 0; bad == NULL && from < len;) {
        const char *slash = memchr(path + from, '/', len - from);
        size_t part = slash != NULL ? (size_t)(slash - path) - from : len - from;
        bool dot = part == 1 && path[from] == '.';
        bool dots = part == 2 && path[from] == '.' && path[from + 1] == '.';
        if (part == 0 || part > PART_LEN_MAX || (slash != NULL && from + part + 1 == len))
            bad = "has an empty or too long part";
        else if (dot || dots)
            bad = "leads out of its directory";
        from += part + 1;
    }
    if (bad == NULL)
        return DR_OK;
    DR_CLEANUP(buf_fini) struct buf name = { 0 };
    text_add_printable(&name, path, len < 256 ? len : 256);
    return dr_fail(err, DR_E_REFUSED, "the snapshot holds a path that %s: '%s'", bad, name.data);
}

/* -- directories --------------------------------------------------------------------------- */

static int hop(int from, const char *path)
{
    struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    int fd;
    do
        fd = sys.openat2(from, path, &how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd;
}

/* The kernel takes at most PATH_MAX bytes at once; a tree may be deeper. */
static int walk_down(int from, const char *path, size_t len)
{
    DR_CLEANUP(dr_close_fd) int fd = -1;
    size_t at = 0;
    while (at < len || fd < 0) {
        size_t step = len - at;
        if (step > HOP_LEN_MAX) {
            step = HOP_LEN_MAX;
            while (step > 0 && path[at + step] != '/')
                step--;
        }
        char part[HOP_LEN_MAX + 1];
        memcpy(part, path + at, step);
        part[step] = '\0';
        int next = hop(fd >= 0 ? fd : from, step > 0 ? part : ".");
        if (next < 0)
            return -1;
        dr_close_fd(&fd);
        fd = next;
        at += step + 1;
    }
    return dr_take_fd(&fd);
}

/* Split path into its directory, opened and kept in slot, and its last part. */
static enum dr_rc open_above(struct place *p, struct open_dir *slot, const char *path,
                             const char **ret_name, struct dr_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    *ret_name = slash != NULL ? slash + 1 : path;
    if (slot->path != NULL && slot->len == len && memcmp(slot->path, path, len) == 0)
        return DR_OK;
    int fd;
    bool below = slot->path != NULL && slot->len > 0 && len > slot->len &&
                 memcmp(slot->path, path, slot->len) == 0 && path[slot->len] == '/';
    if (below)
        fd = walk_down(slot->fd, path + slot->len + 1, len - slot->len - 1);
    else
        fd = walk_down(p->root, path, len);
    if (fd < 0)
        return fail_path(p, path, errno, "cannot open the directory of", err);
    close_dir(slot);
    slot->path = dr_memdup(path, len);
    slot->len = len;
    slot->fd = fd;
    return DR_OK;
}

/* What an earlier attempt left under this name. */
static void clear_way(struct place *p, const char *name)
{
    if (p->resuming)
        (void)sys.unlinkat(p->last.fd, name, 0); /* if it is still there, making it fails */
}

/* An earlier attempt may have closed the target itself, and a directory that somebody made for us
 * may hand its group and its access list down. Who cannot change that restores all the same. */
static enum dr_rc open_root(struct place *p, struct dr_err *err)
{
    if (p->open)
        return DR_OK;
    bool done = sys.fchmod(p->root, 0700) == 0;
    if (!done && p->resuming)
        return dr_fail_sys(err, errno, "cannot open up target '%s'", p->target);
    bool alone = sys.fremovexattr(p->root, "system.posix_acl_default") == 0 || errno == ENODATA ||
                 errno == ENOTSUP;
    struct stat st;
    p->shut = done && alone && fstat(p->root, &st) == 0 && st.st_uid == p->uid &&
              st.st_gid == p->gid && (st.st_mode & 07777) == 0700;
    return DR_OK;
}

enum dr_rc place_dir(struct place *p, const char *path, struct dr_err *err)
{
    if (path[0] == '\0')
        return open_root(p, err);
    const char *name = NULL;
    DR_TRY(open_above(p, &p->last, path, &name, err));
    if (sys.mkdirat(p->last.fd, name, 0700) == 0)
        return DR_OK;
    struct stat st;
    if (errno == EEXIST && p->open && fstatat(p->last.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISDIR(st.st_mode)) {
        clear_way(p, name);
        if (sys.mkdirat(p->last.fd, name, 0700) == 0)
            return DR_OK;
    }
    bool there = errno == EEXIST && p->resuming &&
                 fstatat(p->last.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    if (!there)
        return fail_path(p, path, errno, "cannot make directory", err);
    /* An earlier attempt may have closed it already. */
    bool shut = (st.st_mode & 0700) != 0700 && !(p->open && p->is_root);
    if (shut && sys.fchmodat(p->last.fd, name, 0700, 0) < 0)
        return fail_path(p, path, errno, "cannot open up directory", err);
    return DR_OK;
}

/* -- attributes ---------------------------------------------------------------------------- */

/* Is it the medium that failed (fatal), or a right or an ability that is missing (told)? */
static bool is_refusal(int errnum)
{
    return errnum == EPERM || errnum == EACCES || errnum == ENOTSUP || errnum == EINVAL;
}

/* Returns by ret whether the entry now belongs to whom it should. */
static enum dr_rc set_owner(struct place *p, const struct place_entry *e, int fd, const char *name,
                            bool *ret_kept, struct dr_err *err)
{
    struct stat st;
    int flags = name[0] == '\0' ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
    *ret_kept = p->shut && e->uid == p->uid && e->gid == p->gid;
    if (!*ret_kept && !p->shut)
        *ret_kept =
            fstatat(fd, name, &st, flags) == 0 && st.st_uid == e->uid && st.st_gid == e->gid;
    if (*ret_kept)
        return DR_OK;
    *ret_kept = sys.fchownat(fd, name, e->uid, e->gid, flags) == 0;
    if (*ret_kept)
        return DR_OK;
    if (!is_refusal(errno))
        return fail_path(p, e->path, errno, "cannot set the owner of", err);
    lose(p, PLACE_OWNER, e->path, errno);
    (void)sys.fchownat(fd, name, (uid_t)-1, e->gid, flags); /* the group at least */
    return DR_OK;
}

static bool is_privileged(const char *name)
{
    return text_starts(name, "trusted.") || text_starts(name, "security.");
}

/* privileged: which half. User attributes come before the mode takes the right to write them,
 * capabilities after the last change of owner. */
static enum dr_rc set_xattrs(struct place *p, const struct place_entry *e, const char *proc,
                             bool privileged, struct dr_err *err)
{
    /* A descriptor's name in /proc is a link to be followed, a name below one is not. */
    bool by_name = strchr(proc + strlen("/proc/self/fd/"), '/') != NULL;
    for (size_t i = 0; i < e->xattr_count; i++) {
        const struct place_xattr *x = &e->xattrs[i];
        if (is_privileged(x->name) != privileged)
            continue;
        if (privileged && !p->is_root) {
            lose(p, PLACE_XATTR, e->path, EPERM);
            continue;
        }
        int r = by_name ? sys.lsetxattr(proc, x->name, x->value, x->len, 0)
                        : sys.setxattr(proc, x->name, x->value, x->len, 0);
        if (r == 0)
            continue;
        if (!is_refusal(errno))
            return fail_path(p, e->path, errno, "cannot set an attribute of", err);
        lose(p, PLACE_XATTR, e->path, errno);
    }
    return DR_OK;
}

static enum dr_rc set_acl(struct place *p, const struct place_entry *e, const char *proc,
                          acl_type_t type, struct dr_err *err)
{
    const char *text = type == ACL_TYPE_ACCESS ? e->acl_access : e->acl_default;
    if (text == NULL)
        return DR_OK;
    acl_t acl = acl_from_text(text);
    int failed = acl == NULL || acl_set_file(proc, type, acl) < 0;
    int why = errno;
    if (acl != NULL)
        acl_free(acl);
    if (failed && !is_refusal(why))
        return fail_path(p, e->path, why, "cannot set the access list of", err);
    if (failed)
        lose(p, PLACE_ACL, e->path, why);
    return DR_OK;
}

/* What is there among others may have attributes that it is not to have. What cannot be removed stays. */
static void strip(struct place *p, const struct place_entry *e, int fd)
{
    enum { LIST = 64 << 10 };
    DR_FREE char *names = dr_alloc(LIST, 1);
    ssize_t total = flistxattr(fd, names, LIST);
    for (ssize_t at = 0; at < total; at += (ssize_t)strlen(names + at) + 1) {
        const char *name = names + at;
        bool keep = (strcmp(name, "system.posix_acl_access") == 0 && e->acl_access != NULL) ||
                    (strcmp(name, "system.posix_acl_default") == 0 && e->acl_default != NULL) ||
                    (is_privileged(name) && !p->is_root);
        for (size_t i = 0; i < e->xattr_count && !keep; i++)
            keep = strcmp(name, e->xattrs[i].name) == 0;
        if (!keep)
            (void)sys.fremovexattr(fd, name); /* see above */
    }
}

/* What only few entries have, and what needs the name of the descriptor. */
static enum dr_rc set_extras(struct place *p, const struct place_entry *e, int fd, bool privileged,
                             struct dr_err *err)
{
    if (p->open && !privileged)
        strip(p, e, fd);
    if (e->xattr_count == 0 && e->acl_access == NULL && e->acl_default == NULL)
        return DR_OK;
    char proc[PROC_PATH_MAX];
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    if (privileged) {
        DR_TRY(set_acl(p, e, proc, ACL_TYPE_ACCESS, err));
        DR_TRY(set_acl(p, e, proc, ACL_TYPE_DEFAULT, err));
    }
    return set_xattrs(p, e, proc, privileged, err);
}

/* May an entry be born with its mode? When nothing has to be done before that is set. */
static bool born_ready(const struct place *p, const struct place_entry *e)
{
    return p->shut && e->uid == p->uid && e->gid == p->gid && e->xattr_count == 0 &&
           e->acl_access == NULL && (e->mode & (07000 | p->umask)) == 0;
}

/* All but the bytes, of what fd is: a file or a directory. mode_now: what it has, or UNKNOWN_MODE. */
static enum dr_rc set_attributes(struct place *p, const struct place_entry *e, int fd,
                                 mode_t mode_now, struct dr_err *err)
{
    bool kept = false;
    DR_TRY(set_owner(p, e, fd, "", &kept, err));
    DR_TRY(set_extras(p, e, fd, false, err));
    mode_t mode = e->mode & 07777;
    if ((mode & (S_ISUID | S_ISGID)) != 0 && (!p->is_root || !kept)) {
        lose(p, PLACE_SETID, e->path, EPERM);
        mode &= ~(mode_t)(S_ISUID | S_ISGID);
    }
    if (mode != mode_now && sys.fchmod(fd, mode) < 0)
        return fail_path(p, e->path, errno, "cannot set the mode of", err);
    DR_TRY(set_extras(p, e, fd, true, err));
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, e->mtime };
    if (sys.futimens(fd, times) < 0)
        return fail_path(p, e->path, errno, "cannot set the time of", err);
    return DR_OK;
}

/* -- entries ------------------------------------------------------------------------------- */

bool place_is_whole(struct place *p, const struct place_entry *e, uint64_t size, bool trusted)
{
    if (!p->trusting && !(p->resuming && trusted))
        return false;
    struct dr_err absent = { 0 };
    const char *name = NULL;
    struct stat st;
    if (open_above(p, &p->last, e->path, &name, &absent) != DR_OK ||
        fstatat(p->last.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return S_ISREG(st.st_mode) && (uint64_t)st.st_size == size &&
           st.st_mtim.tv_sec == e->mtime.tv_sec && st.st_mtim.tv_nsec == e->mtime.tv_nsec;
}

bool place_find(struct place *p, const char *path, int *ret_dir, const char **ret_name)
{
    struct dr_err absent = { 0 };
    if (open_above(p, &p->last, path, ret_name, &absent) != DR_OK)
        return false;
    *ret_dir = p->last.fd;
    return true;
}

int place_reopen(struct place *p, const char *path, bool writing, struct stat *ret)
{
    int dir = -1;
    const char *name = NULL;
    if (!place_find(p, path, &dir, &name))
        return -1;
    int flags = (writing ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    DR_CLEANUP(dr_close_fd) int fd = sys.openat(dir, name, flags, 0);
    if (fd < 0 || fstat(fd, ret) < 0 || !S_ISREG(ret->st_mode))
        return -1;
    return dr_take_fd(&fd);
}

bool place_is_same(struct place *p, const char *path, const char *first)
{
    struct dr_err absent = { 0 };
    const char *name = NULL, *first_name = NULL;
    struct stat a, b;
    return open_above(p, &p->first, first, &first_name, &absent) == DR_OK &&
           open_above(p, &p->last, path, &name, &absent) == DR_OK &&
           fstatat(p->last.fd, name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(p->first.fd, first_name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

enum dr_rc place_remove(struct place *p, const char *path, struct dr_err *err)
{
    const char *name = NULL;
    DR_TRY(open_above(p, &p->last, path, &name, err));
    DR_FREE char *proc = dr_strf("/proc/self/fd/%d/%s", p->last.fd, name);
    if (fs_remove_tree(proc, err) == DR_OK)
        return DR_OK;
    return fail_path(p, path, err->sys, "cannot remove", err);
}

enum dr_rc place_file_begin(struct place *p, const struct place_entry *e, int *ret_fd,
                            struct dr_err *err)
{
    const char *name = NULL;
    DR_TRY(open_above(p, &p->last, e->path, &name, err));
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    mode_t mode = born_ready(p, e) ? e->mode & 0777 : 0600;
    int fd = sys.openat(p->last.fd, name, flags, mode);
    if (fd < 0 && errno == EEXIST && p->resuming) {
        clear_way(p, name);
        fd = sys.openat(p->last.fd, name, flags, mode);
    }
    if (fd < 0)
        return fail_path(p, e->path, errno, "cannot create", err);
    *ret_fd = fd;
    return DR_OK;
}

enum dr_rc place_file_end(struct place *p, const struct place_entry *e, int fd,
                          const uint64_t *size, struct dr_err *err)
{
    /* A hole at the end has no bytes that would make the file long enough. */
    if (size != NULL && sys.ftruncate(fd, (off_t)*size) < 0)
        return fail_path(p, e->path, errno, "cannot set the size of", err);
    return set_attributes(p, e, fd, born_ready(p, e) ? e->mode & 0777 : UNKNOWN_MODE, err);
}

/* Attributes of what has no descriptor: symlinks, and special files, which must not be opened. */
static enum dr_rc set_by_name(struct place *p, const struct place_entry *e, const char *name,
                              bool has_mode, struct dr_err *err)
{
    char proc[PROC_PATH_MAX];
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d/%s", p->last.fd, name);
    bool kept = false;
    DR_TRY(set_owner(p, e, p->last.fd, name, &kept, err));
    DR_TRY(set_xattrs(p, e, proc, false, err));
    if (has_mode && sys.fchmodat(p->last.fd, name, e->mode & 01777, 0) < 0)
        return fail_path(p, e->path, errno, "cannot set the mode of", err);
    if (has_mode)
        DR_TRY(set_acl(p, e, proc, ACL_TYPE_ACCESS, err));
    DR_TRY(set_xattrs(p, e, proc, true, err));
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, e->mtime };
    if (sys.utimensat(p->last.fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_path(p, e->path, errno, "cannot set the time of", err);
    return DR_OK;
}

enum dr_rc place_symlink(struct place *p, const struct place_entry *e, const char *target,
                         struct dr_err *err)
{
    const char *name = NULL;
    DR_TRY(open_above(p, &p->last, e->path, &name, err));
    clear_way(p, name);
    if (sys.symlinkat(target, p->last.fd, name) < 0)
        return fail_path(p, e->path, errno, "cannot make symbolic link", err);
    return set_by_name(p, e, name, false, err);
}

enum dr_rc place_special(struct place *p, const struct place_entry *e, mode_t type, dev_t dev,
                         struct dr_err *err)
{
    DR_ASSERT(type == S_IFIFO || type == S_IFCHR || type == S_IFBLK);
    if (type != S_IFIFO && !p->is_root) {
        lose(p, PLACE_DEVICE, e->path, EPERM);
        return DR_OK;
    }
    const char *name = NULL;
    DR_TRY(open_above(p, &p->last, e->path, &name, err));
    clear_way(p, name);
    if (sys.mknodat(p->last.fd, name, type | 0600, dev) < 0) {
        if (type == S_IFIFO || errno != EPERM)
            return fail_path(p, e->path, errno, "cannot make special file", err);
        lose(p, PLACE_DEVICE, e->path, errno); /* a container's root may not */
        return DR_OK;
    }
    return set_by_name(p, e, name, true, err);
}

enum dr_rc place_hardlink(struct place *p, const char *path, const char *first, struct dr_err *err)
{
    const char *name = NULL, *first_name = NULL;
    DR_TRY(open_above(p, &p->first, first, &first_name, err));
    DR_TRY(open_above(p, &p->last, path, &name, err));
    if (p->resuming && place_is_same(p, path, first))
        return DR_OK;
    clear_way(p, name);
    if (sys.linkat(p->first.fd, first_name, p->last.fd, name, 0) < 0) {
        bool wrong =
            errno == EPERM || errno == ENOENT; /* a directory, or no entry of this restore */
        fail_path(p, path, errno, "cannot make hard link", err);
        err->rc = wrong ? DR_E_REFUSED : err->rc;
        return err->rc;
    }
    return DR_OK;
}

uint64_t place_lost_devices(const struct place *p)
{
    return p->lost.of[PLACE_DEVICE].count;
}

void place_lose_device(struct place *p, const char *path)
{
    lose(p, PLACE_DEVICE, path, EPERM);
}

enum dr_rc place_dir_end(struct place *p, const struct place_entry *e, struct dr_err *err)
{
    if (e->path[0] == '\0')
        return set_attributes(p, e, p->root, UNKNOWN_MODE, err);
    const char *name = NULL;
    DR_TRY(open_above(p, &p->last, e->path, &name, err));
    DR_CLEANUP(dr_close_fd)
    int fd = sys.openat(p->last.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return fail_path(p, e->path, errno, "cannot open directory", err);
    return set_attributes(p, e, fd, p->shut ? 0700 : UNKNOWN_MODE, err);
}

enum dr_rc place_sync(struct place *p, struct dr_err *err)
{
    if (sys.syncfs(p->root) < 0)
        return dr_fail_sys(err, errno, "cannot bring '%s' to the medium", p->target);
    return DR_OK;
}
