/*
 * The mark of a restore, and the two calls of work.h that live from it alone: is it done, and
 * take it back. A mark that cannot be read is no mark: then nothing is removed and nothing is
 * written over.
 */
#include "backup/work/restore_mark.h"

#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "backup/work/restore_journal.h"
#include "backup/work/work.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/data/json.h"

enum { MARK_LIMIT = 64 << 10, BOOT_LIMIT = 64, BIRTH_MAX = 64 };

void restore_target_fini(struct restore_target *t)
{
    free(t->path);
    free(t->parent);
    free(t->name);
    *t = (struct restore_target){ 0 };
}

void restore_mark_fini(struct restore_mark *m)
{
    free(m->snapshot);
    free(m->path);
    free(m->how);
    *m = (struct restore_mark){ 0 };
}

static char *mark_name(const struct restore_target *t)
{
    return dr_strf(".%s.drctl-restore", t->name);
}

/* -- the target ---------------------------------------------------------------------------- */

static enum dr_rc look_inside(struct restore_target *t, struct dr_err *err)
{
    struct stat st;
    if (lstat(t->path, &st) < 0)
        return errno == ENOENT ? DR_OK
                               : dr_fail_sys(err, errno, "cannot look at target '%s'", t->path);
    if (!S_ISDIR(st.st_mode)) {
        dr_fail(err, DR_E_REFUSED, "target '%s' is not a directory", t->path);
        return dr_hint(err, "Choose a directory that is empty or does not exist.");
    }
    t->exists = true;
    DIR *d = opendir(t->path);
    if (d == NULL && errno == EACCES)
        return DR_OK; /* shut, perhaps by a restore of ours: its mark will tell */
    if (d == NULL)
        return dr_fail_sys(err, errno, "cannot list target '%s'", t->path);
    t->empty = true;
    const struct dirent *e;
    while (t->empty && (e = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe): own stream */
        t->empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(d);
    return DR_OK;
}

/* The part above the last name, which may have to be made by the restore. */
static char *split(char *path, const char **ret_name)
{
    for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
        path[len - 1] = '\0';
    char *slash = strrchr(path, '/');
    *ret_name = slash != NULL ? slash + 1 : path;
    if (slash == NULL)
        return dr_strdup(".");
    return slash == path ? dr_strdup("/") : dr_memdup(path, (size_t)(slash - path));
}

enum dr_rc restore_target_find(const char *to, struct restore_target *ret, struct dr_err *err)
{
    DR_ASSERT(to != NULL && ret != NULL);
    DR_CLEANUP(restore_target_fini) struct restore_target t = { 0 };
    char real[PATH_MAX];
    DR_FREE char *given = dr_strdup(realpath(to, real) != NULL ? real : to);
    const char *name = NULL;
    DR_FREE char *above = split(given, &name);
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        dr_fail(err, DR_E_REFUSED, "'%s' cannot be the target of a restore", to);
        return dr_hint(err, "Choose a directory that is empty or does not exist.");
    }
    t.name = dr_strdup(name);
    t.parent = dr_strdup(realpath(above, real) != NULL ? real : above);
    t.path = dr_strf("%s/%s", strcmp(t.parent, "/") == 0 ? "" : t.parent, t.name);
    DR_TRY(look_inside(&t, err));
    *ret = t;
    t = (struct restore_target){ 0 };
    return DR_OK;
}

enum dr_rc restore_target_lock(const struct restore_target *t, int *ret_fd, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = sys_open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0 && errno == EACCES)
        return DR_OK; /* restored shut, by this very user: it is opened up later */
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open target '%s'", t->path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        dr_fail(err, DR_E_BUSY, "target '%s' is being restored by another process", t->path);
        return dr_hint(err, "Wait for that one, or choose another directory.");
    }
    *ret_fd = dr_take_fd(&fd); /* a file system without locks: then nobody is kept out */
    return DR_OK;
}

/* What no other directory has: inode and time of birth. Empty when it is not there. */
static void birth_of(const char *path, char out[BIRTH_MAX])
{
    struct statx sx;
    out[0] = '\0';
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &sx) < 0)
        return;
    bool known = (sx.stx_mask & STATX_BTIME) != 0;
    snprintf(out, BIRTH_MAX, "%llu.%lld.%u", (unsigned long long)sx.stx_ino,
             known ? (long long)sx.stx_btime.tv_sec : 0, known ? sx.stx_btime.tv_nsec : 0);
}

/* -- the mark ------------------------------------------------------------------------------ */

void restore_boot_id(struct buf *out)
{
    struct dr_err unknown = { 0 };
    buf_clear(out);
    if (fs_read_file("/proc/sys/kernel/random/boot_id", BOOT_LIMIT, out, &unknown) != DR_OK)
        buf_clear(out); /* no boot is the same: slower, never wrong */
    while (out->len > 0 && out->data[out->len - 1] == '\n')
        out->data[--out->len] = '\0';
    buf_adds(out, "");
}

static enum dr_rc mark_parse(const struct restore_target *t, const struct buf *bytes,
                             struct restore_mark *ret, struct dr_err *err)
{
    DR_JSON json_t *root = NULL;
    DR_TRY(json_read("the mark of the restore", bytes->data, bytes->len, &root, err));
    const char *snapshot = NULL, *state = NULL, *birth = NULL, *boot = NULL;
    DR_TRY(json_get_text(root, "snapshot", &snapshot, err));
    DR_TRY(json_get_text(root, "state", &state, err));
    DR_TRY(json_get_text(root, "birth", &birth, err));
    DR_TRY(json_get_text(root, "boot", &boot, err));
    const json_t *path = json_object_get(root, "path"), *how = json_object_get(root, "how");

    char now[BIRTH_MAX];
    DR_CLEANUP(buf_fini) struct buf boot_now = { 0 };
    birth_of(t->path, now);
    restore_boot_id(&boot_now);
    ret->state = strcmp(state, "finished") == 0 ? MARK_FINISHED : MARK_UNFINISHED;
    ret->snapshot = dr_strdup(snapshot);
    ret->path = json_is_string(path) ? dr_strdup(json_string_value(path)) : NULL;
    ret->how = json_is_string(how) ? dr_strdup(json_string_value(how)) : NULL;
    ret->same_boot = boot_now.len > 0 && strcmp(boot, boot_now.data) == 0;
    ret->of_this_dir = now[0] != '\0' && strcmp(now, birth) == 0;
    ret->before_birth = birth[0] == '\0';
    return DR_OK;
}

enum dr_rc restore_mark_read(const struct restore_target *t, struct restore_mark *ret,
                             struct dr_err *err)
{
    *ret = (struct restore_mark){ 0 };
    DR_FREE char *name = mark_name(t);
    DR_FREE char *path = dr_strf("%s/%s", t->parent, name);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    enum dr_rc rc = fs_read_file(path, MARK_LIMIT, &bytes, err);
    if (rc == DR_E_NOTFOUND)
        return DR_OK;
    DR_TRY(rc);
    rc = mark_parse(t, &bytes, ret, err);
    return rc == DR_OK ? DR_OK : dr_context(err, "'%s'", path);
}

enum dr_rc restore_mark_write(const struct restore_target *t, enum mark_state state,
                              const char *snapshot, const struct restore_asked *asked,
                              struct dr_err *err)
{
    DR_ASSERT(state == MARK_UNFINISHED || state == MARK_FINISHED);
    char birth[BIRTH_MAX];
    DR_CLEANUP(buf_fini) struct buf boot = { 0 };
    birth_of(t->path, birth);
    restore_boot_id(&boot);
    DR_JSON json_t *root = json_object();
    json_put_int(root, "drctl_restore", 1);
    json_put_text(root, "snapshot", snapshot);
    json_put_text(root, "state", state == MARK_FINISHED ? "finished" : "unfinished");
    json_put_text(root, "birth", birth);
    json_put_text(root, "boot", boot.data);
    if (asked->path != NULL)
        json_put(root, "path", json_printable(asked->path));
    if (asked->how != NULL)
        json_put_text(root, "how", asked->how);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    json_add_canonical(&text, root);
    buf_addc(&text, '\n');
    DR_FREE char *name = mark_name(t);
    return fs_replace(t->parent, name, text.data, text.len, err);
}

enum dr_rc restore_mark_remove(const struct restore_target *t, struct dr_err *err)
{
    DR_FREE char *name = mark_name(t);
    DR_FREE char *path = dr_strf("%s/%s", t->parent, name);
    if (sys_unlink(path) < 0 && errno != ENOENT)
        return dr_fail_sys(err, errno, "cannot remove '%s'", path);
    return fs_sync_dir(t->parent, err);
}

/* -- is it done, and take it back ---------------------------------------------------------- */

int restore_is_done(const char *to, const char *snapshot_id, struct dr_err *err)
{
    DR_CLEANUP(restore_target_fini) struct restore_target t = { 0 };
    DR_CLEANUP(restore_mark_fini) struct restore_mark m = { 0 };
    if (restore_target_find(to, &t, err) != DR_OK || restore_mark_read(&t, &m, err) != DR_OK)
        return -1;
    /* A part of the snapshot, one path or what patterns let through, is no restore of it. */
    bool whole = m.path == NULL && (m.how == NULL || strcmp(m.how, HOW_DELTA) == 0);
    return m.state == MARK_FINISHED && m.of_this_dir && whole &&
           strcmp(m.snapshot, snapshot_id) == 0;
}

/* An ordinary user cannot empty a directory that was restored read-only. What stays shut makes
 * the removal fail, and that tells. */
static void open_up(const char *path)
{
    DR_FREE char *top = dr_strdup(path);
    char *const roots[] = { top, NULL };
    FTS *walk = geteuid() == 0 ? NULL : fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    const FTSENT *e;
    while (walk != NULL && (e = fts_read(walk)) != NULL) {
        if (e->fts_info == FTS_D)
            (void)sys.fchmodat(AT_FDCWD, e->fts_accpath, 0700, 0); /* see above */
    }
    if (walk != NULL)
        fts_close(walk);
}

enum dr_rc restore_undo(const char *to, const char *snapshot_id, struct dr_err *err)
{
    DR_CLEANUP(restore_target_fini) struct restore_target t = { 0 };
    DR_CLEANUP(restore_mark_fini) struct restore_mark m = { 0 };
    DR_TRY(restore_target_find(to, &t, err));
    DR_TRY(restore_mark_read(&t, &m, err));
    if (!t.exists)
        return m.state == MARK_NONE ? DR_OK : restore_mark_remove(&t, err);
    bool ours = m.state != MARK_NONE && strcmp(m.snapshot, snapshot_id) == 0 &&
                (m.of_this_dir || (m.before_birth && t.empty));
    if (!ours) {
        dr_fail(err, DR_E_REFUSED, "'%s' is not a restore of snapshot '%s'", t.path, snapshot_id);
        return dr_hint(err, "Nothing was removed. Look at the directory and remove it by hand.");
    }
    /* From here on it is no finished restore any more, whenever we die. */
    const struct restore_asked asked = { m.path, m.how };
    DR_TRY(restore_mark_write(&t, MARK_UNFINISHED, snapshot_id, &asked, err));
    open_up(t.path);
    DR_TRY(fs_remove_tree(t.path, err));
    restore_journal_remove(&t);
    DR_TRY(fs_sync_dir(t.parent, err));
    return restore_mark_remove(&t, err);
}
