/*
 * Restore: a snapshot becomes a directory.
 *
 *     check   every record of the table of contents, before anything is touched
 *     fill    segment by segment: its directories (mode 0700), then its files, symbolic links and
 *             special files, by many threads (restore_fill.h)
 *     link    hard links, whose first names are all there by then
 *     close   attributes of directories, the deepest first
 *     sync    one syncfs(), and only then the mark says "finished"
 *
 * Symbolic links are made with their piece and not at the end: nothing is ever reached through
 * one (restore_place.h), so their time does not matter, and each piece is read once.
 *
 * With a path or patterns: only what they mean, and the directories above it; a hard link whose
 * first name is elsewhere becomes the file (restore_wanted.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/format/path.h"
#include "backup/work/reader.h"
#include "backup/work/restore_fill.h"
#include "backup/work/restore_mark.h"
#include "backup/work/restore_place.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { PROGRESS_MS = 100, TOLD_MAX = 1000 };

struct restore {
    struct repo *repo;
    const struct snapshot_info *snapshot;
    const struct restore_options *options;
    struct reader *reader;
    struct place *place;
    struct restore_filter filter;
    struct wanted *wanted;
    struct owners owners;
    struct restore_journal journal;
    const struct work_hooks *hooks;
    struct restore_result *result;
    struct work_progress progress;
    int64_t told_ms;
    struct place_lost lost;
    struct text_list not_made; /* devices that could not be made */
    struct text_list warned;   /* told already */
};

static void restore_fini(struct restore *r)
{
    reader_close(r->reader);
    place_free(r->place);
    wanted_free(r->wanted);
    owners_fini(&r->owners);
    restore_journal_close(&r->journal);
    place_lost_fini(&r->lost);
    text_list_fini(&r->not_made);
    text_list_fini(&r->warned);
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

/* The threads do not know what the others have told. */
static void warn_once(struct restore *r, const char *line)
{
    if (r->warned.count >= TOLD_MAX || text_list_has(&r->warned, line))
        return;
    text_list_add(&r->warned, line);
    if (r->hooks != NULL && r->hooks->warning != NULL)
        r->hooks->warning(r->hooks->arg, line);
}

static enum dr_rc name_entry(const struct toc_record *rec, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf name = { 0 };
    text_add_printable(&name, rec->path, rec->path_len);
    return dr_context(err, "restoring '%s'", name.data != NULL ? name.data : "");
}

/* -- check --------------------------------------------------------------------------------- */

/* The reader refuses what could do harm; we find out what is wanted. */
static enum dr_rc check_all(struct restore *r, struct dr_err *err)
{
    r->wanted = wanted_new(&r->filter);
    for (size_t i = 0; i < reader_segment_count(r->reader); i++) {
        const struct segment *s = NULL;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        for (size_t k = 0; k < s->count; k++)
            wanted_add(r->wanted, &s->records[k]);
    }
    wanted_seal(r->wanted);
    r->progress.entries_total = wanted_count(r->wanted);
    r->progress.bytes_total = wanted_bytes(r->wanted);
    if (!wanted_saw_path(r->wanted)) {
        dr_fail(err, DR_E_NOTFOUND, "snapshot '%s' holds no '%s'", r->snapshot->id, r->filter.path);
        return dr_hint(err, "Paths are below the source's root, without a slash in front.");
    }
    if (r->progress.entries_total > 0)
        return DR_OK;
    dr_fail(err, DR_E_NOTFOUND, "nothing in snapshot '%s' is what was asked for", r->snapshot->id);
    return dr_hint(err, "See 'drctl ls'.");
}

/* -- fill ---------------------------------------------------------------------------------- */

static enum dr_rc make_dirs(struct restore *r, const struct segment *s, size_t base,
                            struct dr_err *err)
{
    for (size_t k = 0; k < s->count; k++) {
        if (s->records[k].type == '5' && wanted_has(r->wanted, base + k))
            DR_TRY(place_dir(r->place, s->records[k].path, err));
    }
    return DR_OK;
}

static enum dr_rc make_all_dirs(struct restore *r, struct dr_err *err)
{
    size_t base = 0;
    for (size_t i = 0; i < reader_segment_count(r->reader); i++) {
        const struct segment *s = NULL;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        DR_TRY(make_dirs(r, s, base, err));
        base += s->count;
    }
    return DR_OK;
}

/* What came of an item, in the order of the items. */
static enum dr_rc item_done(void *arg, const struct restore_item *item, struct dr_err *err)
{
    struct restore *r = arg;
    size_t files = item->last; /* of a large file */
    r->result->bytes += item->last ? item->size : 0;
    for (size_t i = 0; i < item->count; i++) {
        files += item->entries[i].rec.type == '0';
        r->result->bytes += item->entries[i].rec.type == '0' ? item->entries[i].rec.size : 0;
    }
    r->result->files += files;
    r->result->written += item->written;
    r->result->fetched += item->fetched;
    r->result->kept += item->kept;
    r->progress.entries += item->count + item->last;
    r->progress.bytes += item->bytes;
    for (size_t i = 0; i < item->warnings.count; i++)
        warn_once(r, item->warnings.items[i]);
    for (size_t i = 0; i < item->not_made.count; i++)
        text_list_add(&r->not_made, item->not_made.items[i]);
    return tell_progress(r, false, err);
}

static enum dr_rc fill_all(struct restore *r, struct dr_err *err)
{
    const struct fill_options options = { .repo = r->repo,
                                          .snapshot = r->snapshot,
                                          .reader = r->reader,
                                          .place = r->place,
                                          .owners = &r->owners,
                                          .wanted = r->wanted,
                                          .journal = &r->journal,
                                          .threads = r->options->threads < RESTORE_THREADS_MAX
                                                         ? r->options->threads
                                                         : RESTORE_THREADS_MAX,
                                          .done = item_done,
                                          .lost = &r->lost,
                                          .arg = r };
    DR_CLEANUP(fill_free_ptr) struct fill *f = NULL;
    /* A file may go to where a later link is. */
    if (wanted_moves(r->wanted))
        DR_TRY(make_all_dirs(r, err));
    DR_TRY(fill_new(&options, &f, err));
    size_t base = 0;
    for (size_t i = 0; i < reader_segment_count(r->reader); i++) {
        const struct segment *s = NULL;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        if (!wanted_moves(r->wanted))
            DR_TRY(make_dirs(r, s, base, err));
        DR_TRY(fill_segment(f, s, base, err));
        base += s->count;
    }
    return fill_finish(f, err);
}

/* -- links and directories ----------------------------------------------------------------- */

static enum dr_rc link_one(struct restore *r, const struct toc_record *rec, struct dr_err *err)
{
    const char *first = wanted_first(r->wanted, rec->link);
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

static enum dr_rc link_all(struct restore *r, struct dr_err *err)
{
    size_t base = 0;
    for (size_t i = 0; wanted_links(r->wanted) > 0 && i < reader_segment_count(r->reader); i++) {
        const struct segment *s = NULL;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        for (size_t k = 0; k < s->count; k++) {
            if (s->records[k].type == '1' && wanted_has(r->wanted, base + k))
                DR_TRY(link_one(r, &s->records[k], err));
        }
        base += s->count;
        DR_TRY(tell_progress(r, false, err));
    }
    return DR_OK;
}

static enum dr_rc close_dir(struct restore *r, const struct segment *s,
                            const struct toc_record *rec, struct dr_err *err)
{
    const struct restore_entry e = { .rec = *rec,
                                     .to = rec->path,
                                     .uid = owners_user(&r->owners, rec->uid),
                                     .gid = owners_group(&r->owners, rec->gid) };
    DR_CLEANUP(head_fini) struct head h = { 0 };
    DR_FREE struct place_xattr *xattrs = NULL;
    const uint8_t *data = NULL;
    DR_TRY(reader_head(r->reader, s, rec, &h, &data, err));
    const struct place_entry p = restore_attributes(&e, &h, &xattrs);
    r->progress.entries++;
    return place_dir_end(r->place, &p, err);
}

/* From the last record to the first. */
static enum dr_rc close_dirs(struct restore *r, size_t records, struct dr_err *err)
{
    size_t base = records;
    for (size_t i = reader_segment_count(r->reader); i-- > 0;) {
        const struct segment *s = NULL;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        base -= s->count;
        for (size_t k = s->count; k-- > 0;) {
            const struct toc_record *rec = &s->records[k];
            if (rec->type == '5' && wanted_has(r->wanted, base + k) &&
                close_dir(r, s, rec, err) != DR_OK)
                return name_entry(rec, err);
        }
        DR_TRY(tell_progress(r, false, err));
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
    DR_TRY(fill_all(r, err));
    DR_TRY(link_all(r, err));
    DR_TRY(close_dirs(r, wanted_seen(r->wanted), err));
    DR_TRY(place_sync(r->place, err));
    return tell_progress(r, true, err);
}

static void tell_warnings(struct restore *r)
{
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    place_take_lost(r->place, &r->lost);
    place_tell(&r->lost, &lines);
    size_t healed = r->warned.count + reader_healed(r->reader);
    for (size_t i = 0; i < lines.count; i++)
        warn_once(r, lines.items[i]);
    r->result->warnings = lines.count + healed;
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
static enum dr_rc check(struct restore *r, struct dr_err *err)
{
    DR_TRY(reader_open(r->repo, r->snapshot, r->hooks, &r->reader, err));
    r->owners.names = reader_snapshot(r->reader)->owners;
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
    struct restore r = { .repo = repo,
                         .snapshot = snapshot,
                         .options = options,
                         .owners = { .is_root = geteuid() == 0 },
                         .journal = { .fd = -1 },
                         .hooks = hooks,
                         .result = &result };
    DR_CLEANUP(restore_target_fini) struct restore_target t = { 0 };
    DR_CLEANUP(restore_mark_fini) struct restore_mark m = { 0 };
    DR_FREE char *only = plain_path(options->path);
    r.filter.path = only;
    r.progress.doing = "restoring";
    DR_CLEANUP(dr_close_fd) int lock = -1;
    DR_TRY(find_target(options->to, &t, &m, &lock, err));
    bool resuming = t.exists && !t.empty;
    if (resuming && !is_ours(&m, snapshot->id, only))
        return refuse_target(&t, &m, snapshot->id, err);
    DR_TRY(check(&r, err));
    DR_TRY(prepare_held(&t, &m, snapshot->id, only, &lock, err));
    DR_TRY(restore_journal_open(&t, !resuming, &r.journal, err));
    DR_TRY(place_new(t.path, resuming, resuming && m.same_boot, &r.place, err));
    if (run_passes(&r, err) != DR_OK)
        return dr_context(err, "snapshot '%s' into '%s'", snapshot->id, t.path);
    DR_TRY(restore_mark_write(&t, MARK_FINISHED, snapshot->id, only, err));
    restore_journal_remove(&t);
    result.entries = r.progress.entries;
    tell_warnings(&r);
    *ret = result;
    return DR_OK;
}
