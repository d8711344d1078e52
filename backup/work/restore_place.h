/*
 * restore_place.h - puts entries into the target, and nowhere else.
 *
 * The names come out of a snapshot, which may have been made to harm: each directory is opened
 * below the target with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), and the last part of a
 * name is one that the caller checked (place_check_path) and is never followed. What goes wrong
 * with an attribute that an ordinary user cannot set (owner, device, set-id bit, trusted and
 * security attributes) is counted, not fatal: place_take_lost() gives the count away, and
 * place_tell() makes one line of each kind.
 *
 * Order of a file: bytes, owner, attributes, mode, capability, times. Directories are made with
 * mode 0700 and get their attributes last, deepest first.
 *
 * A new tree is shut (its root has mode 0700, no inherited access list, and belongs to this
 * process) until it is whole. Nobody else can look in, so a file that is to belong to this
 * process gets its mode when it is born, and what is right already is not set again.
 *
 * One place per thread: place_share() makes another view of the same target, which must go first.
 */
#ifndef BACKUP_WORK_RESTORE_PLACE_H
#define BACKUP_WORK_RESTORE_PLACE_H

#include <sys/stat.h>
#include <time.h>

#include "dr/base/err.h"
#include "dr/base/text.h"

struct place;

struct place_xattr {
    const char *name; /* "user.x", "security.capability" */
    const void *value;
    size_t len;
};

/* What an entry looks like beside its bytes. Borrowed for each call. */
struct place_entry {
    const char *path; /* below the target, no slash in front; "" is the target itself */
    mode_t mode;      /* permission bits, set-id bits and sticky */
    uid_t uid;
    gid_t gid;
    struct timespec mtime;
    const char *acl_access;  /* text, or NULL */
    const char *acl_default; /* likewise; directories */
    const struct place_xattr *xattrs;
    size_t xattr_count;
};

/* Attributes that could not be kept: how often, and the first. Zeroed: none. */
enum place_kind {
    PLACE_OWNER,
    PLACE_SETID,
    PLACE_DEVICE,
    PLACE_XATTR,
    PLACE_ACL,
    PLACE_KINDS,
};

struct place_lost {
    struct {
        uint64_t count;
        char *example; /* owned */
        int why;
    } of[PLACE_KINDS];
};

/* dir_path: exists. resuming: entries of an earlier attempt may be there. trusting: what the
 * times of files there say is true (same boot). The caller frees. */
enum dr_rc place_new(const char *dir_path, bool resuming, bool trusting, struct place **ret,
                     struct dr_err *err) DR_MUST_USE;
struct place *place_share(const struct place *p) DR_MUST_USE;
void place_free(struct place *p);
DR_DEFINE_CLEANUP(struct place, place_free)

/* Nothing is shut: entries are put among others, into directories that have their modes. */
void place_leave_open(struct place *p);
int place_root(const struct place *p); /* descriptor of the target, borrowed */

/* A path of a snapshot: relative, no empty, "." or ".." part, no part over 255 bytes. The empty
 * path is the root itself and fine. DR_E_REFUSED names it. */
enum dr_rc place_check_path(const char *path, size_t len, struct dr_err *err) DR_MUST_USE;

/* Make a directory (mode 0700 for now); its parent exists. */
enum dr_rc place_dir(struct place *p, const char *path, struct dr_err *err) DR_MUST_USE;

/* Is the file there already, whole, by an earlier attempt? trusted: it is known to be on the medium,
 * whichever start of the machine it was written in. */
bool place_is_whole(struct place *p, const struct place_entry *e, uint64_t size, bool trusted);

/* The open directory that holds path, and the name in it (of the root: itself and ""), borrowed until
 * the next call. False when there is no such directory. */
bool place_find(struct place *p, const char *path, int *ret_dir, const char **ret_name);

/* An existing regular file, open for reading, or for writing as well; -1 when there is none, or it may
 * not be opened so. ret: its stat. */
struct stat;
int place_reopen(struct place *p, const char *path, bool writing, struct stat *ret);

/* Are both names of the same file? */
bool place_is_same(struct place *p, const char *path, const char *first);

/* Remove what is there, a directory with all below it. */
enum dr_rc place_remove(struct place *p, const char *path, struct dr_err *err) DR_MUST_USE;

/* A new empty file, open for writing; ret_fd is the caller's. Then bytes by sys.pwrite(), then: */
enum dr_rc place_file_begin(struct place *p, const struct place_entry *e, int *ret_fd,
                            struct dr_err *err) DR_MUST_USE;
/* Set the attributes, and the size unless it is NULL: the bytes reach to the end. The descriptor
 * is the caller's to close. */
enum dr_rc place_file_end(struct place *p, const struct place_entry *e, int fd,
                          const uint64_t *size, struct dr_err *err) DR_MUST_USE;

enum dr_rc place_symlink(struct place *p, const struct place_entry *e, const char *target,
                         struct dr_err *err) DR_MUST_USE;
/* type: S_IFIFO, S_IFCHR or S_IFBLK. */
enum dr_rc place_special(struct place *p, const struct place_entry *e, mode_t type, dev_t dev,
                         struct dr_err *err) DR_MUST_USE;
/* first: path of an entry that was placed before. */
enum dr_rc place_hardlink(struct place *p, const char *path, const char *first, struct dr_err *err)
    DR_MUST_USE;
/* Devices that could not be made so far; and one more: a further name of such a device. */
uint64_t place_lost_devices(const struct place *p);
void place_lose_device(struct place *p, const char *path);

/* Move what was lost so far behind what ret has already. */
void place_take_lost(struct place *p, struct place_lost *ret);
void place_add_lost(struct place_lost *to, struct place_lost *from);
void place_lost_fini(struct place_lost *l);
enum dr_rc place_dir_end(struct place *p, const struct place_entry *e, struct dr_err *err)
    DR_MUST_USE;

/* Everything is on the medium. */
enum dr_rc place_sync(struct place *p, struct dr_err *err) DR_MUST_USE;

/* One line for each kind of attribute that could not be kept; appended to ret. */
void place_tell(const struct place_lost *lost, struct text_list *ret);

#endif
