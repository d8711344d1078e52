/*
 * Restore: a snapshot becomes a directory.
 *
 *     check   every record of the table of contents, before anything is touched
 *     make    the directories (mode 0700), in path order
 *     fill    segment by segment: the pieces of small entries in the order of the packs, then
 *             large files, then the hard links, whose first names are there by then
 *     close   attributes of directories, the deepest first
 *     sync    one syncfs(), and only then the mark says "finished"
 *
 * Symbolic links are made with their piece and not at the end: nothing is ever reached through
 * one (restore_place.h), so their time does not matter, and each piece is read once.
 *
 * Owners: as root, by name when the snapshot has a name for the number and this host knows the
 * name, else by number. With a path: only what is at or below it, and the directories above it;
 * a hard link whose first name is elsewhere becomes the file.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backup/format/path.h"
#include "backup/work/reader.h"
#include "backup/work/restore_mark.h"
#include "backup/work/restore_place.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { PROGRESS_MS = 100, NAME_BUF = 16 << 10 };

struct owner_map { /* number of the snapshot -> number here */
    uint32_t from, to;
};

struct restore {
    struct reader *reader;
    struct place *place;
    const char *only; /* path, or NULL for all */
    const struct work_hooks *hooks;
    struct restore_result *result;
    struct work_progress progress;
    int64_t told_ms;
    bool is_root;
    struct owner_map *users, *groups; /* owned */
    size_t user_count, group_count;
    struct text_list moved_from,
        moved_to;              /* first names outside of 'only', and who gets the file */
    struct text_list not_made; /* devices that could not be made */
};

static void restore_fini(struct restore *r)
{
    reader_close(r->reader);
    place_free(r->place);
    free(r->users);
    free(r->groups);
    text_list_fini(&r->moved_from);
    text_list_fini(&r->moved_to);
    text_list_fini(&r->not_made);
}

static enum dr_rc tell_progress(struct restore *r, bool now, struct dr_err *err)
{
    int64_t ms = clock_boot_ms();
    if (r->hooks == NULL || r->hooks->progress == NULL || (!now && ms - r->told_ms < PROGRESS_MS))
        return DR_OK;
    r->told_ms = ms;
    if (r->hooks->progress(r->hooks->arg, &r->progress))
        return DR_OK;
    dr_fail(err, DR_E_CANCELLED, "the restore was stopped");
    return dr_hint(err, "Run the same command again: it goes on where it was.");
}

/* -- owners -------------------------------------------------------------------------------- */

static uint32_t here(const char *table, uint32_t number, const json_t *owners)
{
    char key[16], space[NAME_BUF];
    snprintf(key, sizeof(key), "%u", number);
    const char *name = json_string_value(json_object_get(json_object_get(owners, table), key));
    if (name == NULL)
        return number;
    if (strcmp(table, "users") == 0) {
        struct passwd pw, *found = NULL;
        if (getpwnam_r(name, &pw, space, sizeof(space), &found) == 0 && found != NULL)
            return found->pw_uid;
    } else {
        struct group gr, *found = NULL;
        if (getgrnam_r(name, &gr, space, sizeof(space), &found) == 0 && found != NULL)
            return found->gr_gid;
    }
    return number;
}

/* Few owners own many files: a short list, searched from the front. */
static uint32_t map_owner(struct restore *r, const char *table, uint32_t number)
{
    bool user = strcmp(table, "users") == 0;
    struct owner_map **map = user ? &r->users : &r->groups;
    size_t *count = user ? &r->user_count : &r->group_count;
    for (size_t i = 0; i < *count; i++) {
        if ((*map)[i].from == number)
            return (*map)[i].to;
    }
    uint32_t to = r->is_root ? here(table, number, reader_snapshot(r->reader)->owners) : number;
    *map = dr_realloc(*map, *count + 1, sizeof(**map));
    (*map)[(*count)++] = (struct owner_map){ .from = number, .to = to };
    return to;
}

static struct place_entry entry_of(struct restore *r, const struct toc_record *rec)
{
    return (struct place_entry){
        .path = rec->path,
        .mode = rec->mode,
        .uid = map_owner(r, "users", rec->uid),
        .gid = map_owner(r, "groups", rec->gid),
        .mtime = { .tv_sec = rec->mtime_s, .tv_nsec = (long)rec->mtime_ns },
    };
}

/* What only the head knows. xattrs: room for those of the head, borrowed by the entry. */
static void add_head(struct place_entry *e, const struct head *h, struct place_xattr **xattrs)
{
    e->acl_access = h->acl_access;
    e->acl_default = h->acl_default;
    if (h->xattr_count == 0)
        return;
    *xattrs = dr_alloc(h->xattr_count, sizeof(**xattrs));
    for (size_t i = 0; i < h->xattr_count; i++)
        (*xattrs)[i] =
            (struct place_xattr){ h->xattrs[i].name, h->xattrs[i].value, h->xattrs[i].len };
    e->xattrs = *xattrs;
    e->xattr_count = h->xattr_count;
}

/* -- what is wanted ------------------------------------------------------------------------ */

static bool wanted(const struct restore *r, const struct toc_record *rec)
{
    if (r->only == NULL || path_is_within(rec->path, r->only))
        return true;
    return rec->type == '5' && path_is_within(r->only, rec->path);
}

/* Where the content of rec goes: its own path, or that of the first wanted link to it, or NULL. */
static const char *goes_to(const struct restore *r, const struct toc_record *rec)
{
    if (wanted(r, rec))
        return rec->path;
    for (size_t i = 0; i < r->moved_from.count; i++) {
        if (strcmp(r->moved_from.items[i], rec->path) == 0)
            return r->moved_to.items[i];
    }
    return NULL;
}

static void note_link(struct restore *r, const struct toc_record *rec)
{
    if (r->only == NULL || path_is_within(rec->link, r->only) ||
        text_list_has(&r->moved_from, rec->link))
        return;
    text_list_add(&r->moved_from, rec->link);
    text_list_add(&r->moved_to, rec->path);
}

/* Pass 1: the reader refuses what could do harm; we count what will be made. */
static enum dr_rc check_all(struct restore *r, struct dr_err *err)
{
    for (size_t i = 0; i < reader_segment_count(r->reader); i++) {
        const struct segment *s = NULL;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        for (size_t k = 0; k < s->count; k++) {
            const struct toc_record *rec = &s->records[k];
            if (!wanted(r, rec))
                continue;
            r->progress.entries_total++;
            r->progress.bytes_total += rec->type == '0' ? rec->size : 0;
            if (rec->type == '1')
                note_link(r, rec);
        }
    }
    if (r->progress.entries_total > 0)
        return DR_OK;
    dr_fail(err, DR_E_NOTFOUND, "the snapshot has no '%s'", r->only != NULL ? r->only : "");
    return dr_hint(err, "See 'drctl ls'.");
}

/* check_all() counts the directories above a path as well: it has to be there itself. */
static enum dr_rc check_path(struct restore *r, struct dr_err *err)
{
    for (size_t i = 0; r->only != NULL && i < reader_segment_count(r->reader); i++) {
        const struct segment *s = NULL;
        if (!reader_segment_has(r->reader, i, r->only))
            continue;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        for (size_t k = 0; k < s->count; k++) {
            if (strcmp(s->records[k].path, r->only) == 0)
                return DR_OK;
        }
    }
    if (r->only == NULL)
        return DR_OK;
    dr_fail(err, DR_E_NOTFOUND, "snapshot '%s' holds no '%s'", reader_snapshot(r->reader)->id,
            r->only);
    return dr_hint(err, "Paths are below the source's root, without a slash in front.");
}

static enum dr_rc make_dirs(struct restore *r, struct dr_err *err)
{
    for (size_t i = 0; i < reader_segment_count(r->reader); i++) {
        const struct segment *s = NULL;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        for (size_t k = 0; k < s->count; k++) {
            if (s->records[k].type == '5' && wanted(r, &s->records[k]))
                DR_TRY(place_dir(r->place, s->records[k].path, err));
        }
    }
    return DR_OK;
}

/* -- files --------------------------------------------------------------------------------- */

struct writer { /* puts the data of one file to where its extents lie */
    int fd;
    const struct head *head;
    size_t extent;
    uint64_t in_extent; /* bytes of it that are written */
    uint64_t at;        /* of a file without extents */
    struct restore *restore;
};

static enum dr_rc write_at(int fd, const uint8_t *data, size_t len, uint64_t offset,
                           struct dr_err *err)
{
    while (len > 0) {
        ssize_t n = sys.pwrite(fd, data, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            dr_fail_sys(err, errno, "cannot write");
            return errno == ENOSPC || errno == EDQUOT
                       ? dr_hint(err,
                                 "Free space there and run the same command again: it goes on.")
                       : err->rc;
        }
        data += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return DR_OK;
}

static enum dr_rc write_data(void *arg, const uint8_t *data, size_t len, struct dr_err *err)
{
    struct writer *w = arg;
    w->restore->progress.bytes += len;
    if (!w->head->sparse) {
        DR_TRY(write_at(w->fd, data, len, w->at, err));
        w->at += len;
        return tell_progress(w->restore, false, err);
    }
    while (len > 0) {
        if (w->extent == w->head->extent_count)
            return dr_fail(err, DR_E_CORRUPT, "a sparse file has more data than its map");
        const struct head_extent *e = &w->head->extents[w->extent];
        uint64_t room = e->len - w->in_extent;
        size_t part = room < len ? (size_t)room : len;
        DR_TRY(write_at(w->fd, data, part, e->offset + w->in_extent, err));
        data += part;
        len -= part;
        w->in_extent += part;
        if (w->in_extent == e->len) {
            w->extent++;
            w->in_extent = 0;
        }
    }
    return tell_progress(w->restore, false, err);
}

static enum dr_rc place_regular(struct restore *r, const struct reader_file *file,
                                const struct place_entry *e, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = -1;
    DR_TRY(place_file_begin(r->place, e, &fd, err));
    struct writer w = { .fd = fd, .head = file->head, .restore = r };
    enum dr_rc rc = reader_data(r->reader, file, write_data, &w, err);
    if (rc == DR_OK)
        rc = place_file_end(r->place, e, fd, file->record->size, err);
    if (rc == DR_OK && sys.close(dr_take_fd(&fd)) < 0)
        rc = dr_fail_sys(err, errno, "cannot close");
    return rc;
}

/* One entry that has its head in a piece: everything but directories and hard links. */
static enum dr_rc place_entry_of(struct restore *r, const struct segment *s,
                                 const struct toc_record *rec, const char *to, struct dr_err *err)
{
    struct place_entry e = entry_of(r, rec);
    e.path = to;
    r->progress.entries++;
    if (rec->type == '0' && place_is_whole(r->place, &e, rec->size)) {
        r->progress.bytes += rec->size;
        r->result->files++;
        r->result->bytes += rec->size;
        return DR_OK;
    }
    DR_CLEANUP(head_fini) struct head h = { 0 };
    DR_FREE struct place_xattr *xattrs = NULL;
    struct reader_file file = { .segment = s, .record = rec, .head = &h };
    DR_TRY(reader_head(r->reader, s, rec, &h, &file.data, err));
    add_head(&e, &h, &xattrs);
    if (rec->type == '0') {
        r->result->files++;
        r->result->bytes += rec->size;
        return place_regular(r, &file, &e, err);
    }
    if (rec->type == '2')
        return place_symlink(r->place, &e, h.link, err);
    if (rec->type == '6')
        return place_special(r->place, &e, S_IFIFO, 0, err);
    uint64_t lost = place_lost_devices(r->place);
    mode_t type = rec->type == '3' ? S_IFCHR : S_IFBLK;
    DR_TRY(place_special(r->place, &e, type, makedev(h.major, h.minor), err));
    if (place_lost_devices(r->place) > lost)
        text_list_add(&r->not_made, rec->path);
    return DR_OK;
}

static enum dr_rc name_entry(const struct toc_record *rec, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf name = { 0 };
    text_add_printable(&name, rec->path, rec->path_len);
    return dr_context(err, "restoring '%s'", name.data != NULL ? name.data : "");
}

/* -- segments ------------------------------------------------------------------------------ */

struct job { /* an entry and where its first piece lies */
    const struct toc_record *rec;
    const char *to;
    struct fetch_piece place;
};

/* Large files behind small ones; each in the order of packs, places, and offsets in a piece. */
static int by_place(const void *left, const void *right)
{
    const struct job *a = left, *b = right;
    if ((a->rec->nhead > 0) != (b->rec->nhead > 0))
        return a->rec->nhead > 0 ? 1 : -1;
    int order = memcmp(a->place.pack, b->place.pack, HASH_SIZE);
    if (order != 0)
        return order;
    if (a->place.offset != b->place.offset)
        return a->place.offset < b->place.offset ? -1 : 1;
    if (a->rec->offset != b->rec->offset)
        return a->rec->offset < b->rec->offset ? -1 : 1;
    return 0;
}

static size_t gather_jobs(const struct restore *r, const struct segment *s, struct job *jobs)
{
    size_t count = 0;
    for (size_t k = 0; k < s->count; k++) {
        const struct toc_record *rec = &s->records[k];
        const char *to = rec->type == '5' || rec->type == '1' ? NULL : goes_to(r, rec);
        if (to != NULL)
            jobs[count++] = (struct job){ rec, to, reader_place(s, rec->piece) };
    }
    if (count > 0)
        qsort(jobs, count, sizeof(jobs[0]), by_place);
    return count;
}

static enum dr_rc fill_segment(struct restore *r, const struct segment *s, struct dr_err *err)
{
    DR_FREE struct job *jobs = dr_alloc(s->count + 1, sizeof(*jobs));
    DR_CLEANUP(dr_free_ptr)
    const struct fetch_piece **plan = dr_alloc(s->count + 1, sizeof(void *));
    size_t count = gather_jobs(r, s, jobs), planned = 0;
    for (size_t i = 0; i < count && jobs[i].rec->nhead == 0; i++) {
        if (i == 0 || jobs[i].rec->piece != jobs[i - 1].rec->piece)
            plan[planned++] = &jobs[i].place;
    }
    fetch_plan(reader_fetch(r->reader), plan, planned);
    enum dr_rc rc = DR_OK;
    for (size_t i = 0; i < count && rc == DR_OK; i++) {
        rc = place_entry_of(r, s, jobs[i].rec, jobs[i].to, err);
        if (rc != DR_OK && rc != DR_E_CANCELLED)
            rc = name_entry(jobs[i].rec, err);
        if (rc == DR_OK)
            rc = tell_progress(r, false, err);
    }
    fetch_plan(reader_fetch(r->reader), NULL, 0);
    return rc;
}

static enum dr_rc link_one(struct restore *r, const struct toc_record *rec, struct dr_err *err)
{
    const char *first = rec->link;
    for (size_t i = 0; i < r->moved_from.count; i++) {
        if (strcmp(r->moved_from.items[i], rec->link) == 0)
            first = r->moved_to.items[i];
    }
    r->progress.entries++;
    if (strcmp(first, rec->path) == 0)
        return DR_OK; /* it became the file */
    if (text_list_has(&r->not_made, rec->link)) {
        place_lose_device(r->place, rec->path);
        return DR_OK;
    }
    if (place_hardlink(r->place, rec->path, first, err) == DR_OK)
        return DR_OK;
    return name_entry(rec, err);
}

/* Pass 3. */
static enum dr_rc fill_all(struct restore *r, struct dr_err *err)
{
    for (size_t i = 0; i < reader_segment_count(r->reader); i++) {
        const struct segment *s = NULL;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        DR_TRY(fill_segment(r, s, err));
        for (size_t k = 0; k < s->count; k++) {
            if (s->records[k].type == '1' && wanted(r, &s->records[k]))
                DR_TRY(link_one(r, &s->records[k], err));
        }
    }
    return DR_OK;
}

static enum dr_rc close_dir(struct restore *r, const struct segment *s,
                            const struct toc_record *rec, struct dr_err *err)
{
    struct place_entry e = entry_of(r, rec);
    DR_CLEANUP(head_fini) struct head h = { 0 };
    DR_FREE struct place_xattr *xattrs = NULL;
    const uint8_t *data = NULL;
    DR_TRY(reader_head(r->reader, s, rec, &h, &data, err));
    add_head(&e, &h, &xattrs);
    r->progress.entries++;
    return place_dir_end(r->place, &e, err);
}

/* Pass 4, from the last record to the first. */
static enum dr_rc close_dirs(struct restore *r, struct dr_err *err)
{
    for (size_t i = reader_segment_count(r->reader); i-- > 0;) {
        const struct segment *s = NULL;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        for (size_t k = s->count; k-- > 0;) {
            const struct toc_record *rec = &s->records[k];
            if (rec->type == '5' && wanted(r, rec) && close_dir(r, s, rec, err) != DR_OK)
                return name_entry(rec, err);
        }
    }
    return DR_OK;
}

/* -- the target ---------------------------------------------------------------------------- */

static enum dr_rc refuse_target(const struct restore_target *t, const struct restore_mark *m,
                                const char *id, struct dr_err *err)
{
    bool ours = m->state != MARK_NONE && m->of_this_dir;
    if (ours && m->state == MARK_FINISHED && strcmp(m->snapshot, id) == 0) {
        dr_fail(err, DR_E_REFUSED, "target '%s' is a finished restore of this snapshot", t->path);
        return dr_hint(err, "Remove it, or choose another directory.");
    }
    if (ours && m->state == MARK_UNFINISHED) {
        dr_fail(err, DR_E_REFUSED, "target '%s' holds an unfinished restore of '%s'%s%s", t->path,
                m->snapshot, m->path != NULL ? ", path " : "", m->path != NULL ? m->path : "");
        return dr_hint(err, "Finish that one, or remove the directory.");
    }
    dr_fail(err, DR_E_REFUSED, "target '%s' is not empty", t->path);
    return dr_hint(err, "Choose a directory that is empty or does not exist.");
}

static bool is_ours(const struct restore_mark *m, const char *id, const char *only)
{
    return m->state == MARK_UNFINISHED && m->of_this_dir && strcmp(m->snapshot, id) == 0 &&
           (m->path == NULL) == (only == NULL) && (only == NULL || strcmp(m->path, only) == 0);
}

/* Mark it and make it. resuming and trusting as place_new() takes them. */
static enum dr_rc prepare(const struct restore_target *t, const struct restore_mark *m,
                          const char *id, const char *only, struct dr_err *err)
{
    if (is_ours(m, id, only) && t->exists)
        return DR_OK; /* the old mark stays: it tells whether the machine was started since */
    enum dr_rc rc = fs_make_dirs(t->parent, 0755, err);
    if (rc == DR_OK)
        rc = restore_mark_write(t, MARK_UNFINISHED, id, only, err);
    if (rc != DR_OK) {
        if (err->sys == EACCES || err->sys == EROFS)
            dr_hint(err,
                    "This user must be able to write in '%s': what is being restored is "
                    "marked there, beside it.",
                    t->parent);
        return dr_context(err, "target '%s'", t->path);
    }
    if (t->exists)
        return DR_OK;
    if (sys.mkdirat(AT_FDCWD, t->path, 0700) < 0)
        return dr_fail_sys(err, errno, "cannot make target '%s'", t->path);
    DR_TRY(fs_sync_dir(t->parent, err));
    return restore_mark_write(t, MARK_UNFINISHED, id, only, err);
}

static enum dr_rc run_passes(struct restore *r, struct dr_err *err)
{
    DR_TRY(make_dirs(r, err));
    DR_TRY(fill_all(r, err));
    DR_TRY(close_dirs(r, err));
    DR_TRY(place_sync(r->place, err));
    return tell_progress(r, true, err);
}

static void tell_warnings(struct restore *r)
{
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    place_tell(r->place, &lines);
    for (size_t i = 0; i < lines.count; i++) {
        if (r->hooks != NULL && r->hooks->warning != NULL)
            r->hooks->warning(r->hooks->arg, lines.items[i]);
    }
    r->result->warnings = lines.count + reader_healed(r->reader);
}

/* "/a/b/" is the snapshot's "a/b"; the root is everything. NULL: no path was given. The caller
 * frees. */
static char *plain_path(const char *path)
{
    if (path == NULL)
        return NULL;
    const char *from = path + strspn(path, "/");
    size_t len = strlen(from);
    while (len > 0 && from[len - 1] == '/')
        len--;
    return len > 0 ? dr_memdup(from, len) : NULL;
}

/* Everything that can refuse, before anything is touched. */
static enum dr_rc check(struct restore *r, struct repo *repo, const struct snapshot_info *snapshot,
                        struct dr_err *err)
{
    DR_TRY(reader_open(repo, snapshot, r->hooks, &r->reader, err));
    DR_TRY(check_path(r, err));
    return check_all(r, err);
}

static enum dr_rc hold(const struct restore_target *t, int *lock, struct dr_err *err)
{
    return *lock >= 0 ? DR_OK : restore_target_lock(t, lock, err);
}

/* What is there is held before its mark is read, and what is made as soon as it is there. */
static enum dr_rc find_target(const char *to, struct restore_target *t, struct restore_mark *m,
                              int *lock, struct dr_err *err)
{
    DR_TRY(restore_target_find(to, t, err));
    if (t->exists)
        DR_TRY(hold(t, lock, err));
    return restore_mark_read(t, m, err);
}

static enum dr_rc prepare_held(const struct restore_target *t, const struct restore_mark *m,
                               const char *id, const char *only, int *lock, struct dr_err *err)
{
    DR_TRY(prepare(t, m, id, only, err));
    return hold(t, lock, err);
}

enum dr_rc restore_run(struct repo *repo, const struct snapshot_info *snapshot,
                       const struct restore_options *options, const struct work_hooks *hooks,
                       struct restore_result *ret, struct dr_err *err)
{
    DR_ASSERT(options->to != NULL);
    struct restore_result result = { 0 };
    DR_CLEANUP(restore_fini)
    struct restore r = { .hooks = hooks, .result = &result, .is_root = geteuid() == 0 };
    DR_CLEANUP(restore_target_fini) struct restore_target t = { 0 };
    DR_CLEANUP(restore_mark_fini) struct restore_mark m = { 0 };
    DR_FREE char *only = plain_path(options->path);
    r.only = only;
    r.progress.doing = "restoring";
    DR_CLEANUP(dr_close_fd) int lock = -1;
    DR_TRY(find_target(options->to, &t, &m, &lock, err));
    bool resuming = t.exists && !t.empty;
    if (resuming && !is_ours(&m, snapshot->id, only))
        return refuse_target(&t, &m, snapshot->id, err);
    DR_TRY(check(&r, repo, snapshot, err));
    DR_TRY(prepare_held(&t, &m, snapshot->id, only, &lock, err));
    DR_TRY(place_new(t.path, resuming, resuming && m.same_boot, &r.place, err));
    if (run_passes(&r, err) != DR_OK)
        return dr_context(err, "snapshot '%s' into '%s'", snapshot->id, t.path);
    DR_TRY(restore_mark_write(&t, MARK_FINISHED, snapshot->id, only, err));
    result.entries = r.progress.entries;
    tell_warnings(&r);
    *ret = result;
    return DR_OK;
}
