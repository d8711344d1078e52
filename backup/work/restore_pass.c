/*
 * The passes. Symbolic links are made with their piece and not at the end: nothing is ever reached
 * through one (restore_place.h), so their time does not matter, and each piece is read once.
 */
#include "backup/work/restore_pass.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/work/reader.h"
#include "backup/work/restore_local.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { PROGRESS_MS = 100, TOLD_MAX = 1000 };

void pass_fini(struct restore *r)
{
    reader_close(r->reader);
    place_free(r->place);
    wanted_free(r->wanted);
    owners_fini(&r->owners);
    restore_journal_close(&r->journal);
    place_lost_fini(&r->lost);
    text_list_fini(&r->not_made);
    text_list_fini(&r->warned);
    local_free(r->local);
}

enum dr_rc pass_tell(struct restore *r, bool now, struct dr_err *err)
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
void pass_warn(struct restore *r, const char *line)
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
enum dr_rc pass_check(struct restore *r, struct dr_err *err)
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

/* The threads are to know that the tree is shut (restore_place.h), so that comes before them. */
static enum dr_rc make_root(struct restore *r, struct dr_err *err)
{
    const struct segment *s = NULL;
    DR_TRY(reader_segment(r->reader, 0, &s, err));
    bool first = s->count > 0 && s->records[0].type == '5' && s->records[0].path_len == 0;
    return first && wanted_has(r->wanted, 0) ? place_dir(r->place, "", err) : DR_OK;
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

/* Something is not as it should be (verify), or is about to be made so (dry run). */
static void name_changed(struct restore *r, const char *path)
{
    const char *what = r->doing == RESTORE_CHECK ? "differs" : "write";
    if (r->doing == RESTORE_CHECK)
        r->result->differ++;
    else
        r->result->changed++;
    if (r->doing != RESTORE_WRITE && r->options->name != NULL && r->named++ < RESTORE_NAMES_MAX)
        r->options->name(r->options->arg, what, path);
}

/* What came of an item, in the order of the items. */
static enum dr_rc item_done(void *arg, const struct restore_item *item, struct dr_err *err)
{
    struct restore *r = arg;
    uint64_t files = item->last, bytes = item->last ? item->size : 0; /* of a large file */
    for (size_t i = 0; i < item->count; i++) {
        files += item->entries[i].rec.type == '0';
        bytes += item->entries[i].rec.type == '0' ? item->entries[i].rec.size : 0;
    }
    for (size_t i = 0; i < item->changed; i++)
        name_changed(r, i < item->changed_names.count ? item->changed_names.items[i] : "");
    if (r->doing != RESTORE_CHECK) {
        r->result->files += files;
        r->result->bytes += bytes;
        r->result->written += item->written;
        r->result->fetched += item->fetched;
        r->result->kept += item->kept;
    }
    r->progress.entries += item->count + item->last;
    r->progress.bytes += item->bytes;
    for (size_t i = 0; i < item->warnings.count; i++)
        pass_warn(r, item->warnings.items[i]);
    for (size_t i = 0; i < item->not_made.count; i++)
        text_list_add(&r->not_made, item->not_made.items[i]);
    return pass_tell(r, false, err);
}

static bool has_lost(const struct place_lost *l)
{
    uint64_t count = 0;
    for (int i = 0; i < PLACE_KINDS; i++)
        count += l->of[i].count;
    return count > 0;
}

static enum dr_rc fill_segments(struct restore *r, struct fill *f, bool dirs, struct dr_err *err)
{
    size_t base = 0;
    for (size_t i = 0; i < reader_segment_count(r->reader); i++) {
        const struct segment *s = NULL;
        DR_TRY(reader_segment(r->reader, i, &s, err));
        if (dirs)
            DR_TRY(make_dirs(r, s, base, err));
        DR_TRY(fill_segment(f, s, base, err));
        base += s->count;
    }
    return DR_OK;
}

/* Each asks for a part of a pack and waits for it. */
static unsigned threads_for(const struct restore *r)
{
    unsigned n = r->options->threads;
    for (size_t i = 0; n > 0 && i < repo_bucket_count(r->repo); i++) {
        const struct store *s = repo_bucket(r->repo, i)->store;
        if (s != NULL && store_parallel(s) > 1)
            return RESTORE_THREADS_FAR;
    }
    return n < RESTORE_THREADS_MAX ? n : RESTORE_THREADS_MAX;
}

static enum dr_rc fill_all(struct restore *r, struct dr_err *err)
{
    bool incomplete = geteuid() != 0 || has_lost(&r->lost);
    bool writing = r->doing == RESTORE_WRITE;
    const struct fill_options options = { .repo = r->repo,
                                          .snapshot = r->snapshot,
                                          .reader = r->reader,
                                          .place = r->place,
                                          .owners = &r->owners,
                                          .wanted = r->wanted,
                                          .journal =
                                              r->journal.fd >= 0 && writing ? &r->journal : NULL,
                                          .threads = threads_for(r),
                                          .doing = r->doing,
                                          .compare = r->compare,
                                          .contents = incomplete,
                                          .done = item_done,
                                          .lost = &r->lost,
                                          .arg = r };
    DR_CLEANUP(fill_free_ptr) struct fill *f = NULL;
    /* A file may go to where a later link is. */
    bool moves = wanted_moves(r->wanted);
    if (moves && writing)
        DR_TRY(make_all_dirs(r, err));
    if (writing && !moves)
        DR_TRY(make_root(r, err));
    DR_TRY(fill_new(&options, &f, err));
    DR_TRY(fill_segments(r, f, writing && !moves, err));
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
        if (r->doing == RESTORE_WRITE)
            place_lose_device(r->place, rec->path);
        return DR_OK;
    }
    bool same = r->compare && place_is_same(r->place, rec->path, first);
    r->result->kept += same && r->doing != RESTORE_CHECK;
    if (!same && (r->compare || r->doing != RESTORE_WRITE))
        name_changed(r, rec->path);
    if (same || r->doing != RESTORE_WRITE)
        return DR_OK;
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
        DR_TRY(pass_tell(r, false, err));
    }
    return DR_OK;
}

/* Is it there with all its attributes? end: behind its head in the piece. */
static enum dr_rc has_dir(struct restore *r, const struct segment *s, const struct restore_entry *e,
                          const uint8_t *end, bool *ret, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf there = { 0 };
    const struct buf *piece = NULL;
    *ret = false;
    if (r->local == NULL || !local_entry(r->local, r->place, e, &there))
        return DR_OK;
    DR_TRY(reader_piece(r->reader, s, e->rec.piece, &piece, err));
    const uint8_t *from = (const uint8_t *)piece->data + e->rec.offset;
    *ret = there.len == (size_t)(end - from) && memcmp(from, there.data, there.len) == 0;
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
    bool there = false;
    DR_TRY(has_dir(r, s, &e, data, &there, err));
    if (there) {
        r->result->kept += r->doing != RESTORE_CHECK;
        return DR_OK;
    }
    if (r->doing == RESTORE_CHECK && (geteuid() != 0 || has_lost(&r->lost)))
        return DR_OK; /* it is there, or its files were not */
    if (r->compare || r->doing != RESTORE_WRITE)
        name_changed(r, rec->path);
    return r->doing == RESTORE_WRITE ? place_dir_end(r->place, &p, err) : DR_OK;
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
        DR_TRY(pass_tell(r, false, err));
    }
    return DR_OK;
}

enum dr_rc pass_all(struct restore *r, struct dr_err *err)
{
    r->named = 0;
    r->progress.entries = r->progress.bytes = 0;
    if (r->compare && r->local == NULL)
        r->local = local_new(r->doing == RESTORE_CHECK);
    DR_TRY(fill_all(r, err));
    if (r->place != NULL) {
        DR_TRY(link_all(r, err));
        DR_TRY(close_dirs(r, wanted_seen(r->wanted), err));
    }
    return pass_tell(r, true, err);
}
