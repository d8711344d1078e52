/*
 * Restore: a snapshot becomes a directory. Here is what may be done to which target, and in what
 * order it becomes durable; the work itself is in restore_pass.h.
 *
 *     target is       absent or empty     ours, unfinished     anything else
 *     (plain)         made                carried on           refused
 *     delta           made                made exact           made exact, once confirmed
 *     swap            made                made beside, verified, exchanged (restore_swap.h)
 *
 * The mark says "unfinished", durably, before the first change; all passes; with verify everything
 * is read back; one syncfs(), and only then the mark says "finished".
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "backup/work/measure.h"
#include "backup/work/restore_delta.h"
#include "backup/work/restore_local.h"
#include "backup/work/restore_mark.h"
#include "backup/work/restore_pass.h"
#include "backup/work/restore_swap.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

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
        dr_fail(err, DR_E_REFUSED, "target '%s' holds an unfinished restore of '%s'%s%s%s%s",
                t->path, m->snapshot, m->path != NULL ? ", path " : "",
                m->path != NULL ? m->path : "", m->how != NULL ? ", " : "",
                m->how != NULL ? m->how : "");
        return dr_hint(err, "Finish that one, or remove the directory.");
    }
    dr_fail(err, DR_E_REFUSED, "target '%s' is not empty", t->path);
    return dr_hint(err,
                   "Choose a directory that is empty or does not exist; or --delta makes this "
                   "one exactly the snapshot, --swap restores beside it and exchanges the two.");
}

static bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool is_ours(const struct restore_mark *m, const char *id, const struct restore_asked *asked)
{
    return m->state == MARK_UNFINISHED && m->of_this_dir && strcmp(m->snapshot, id) == 0 &&
           same_text(m->path, asked->path) && same_text(m->how, asked->how);
}

/* Mark it and make it. resuming and trusting as place_new() takes them. */
static enum dr_rc prepare(const struct restore_target *t, const struct restore_mark *m,
                          const char *id, const struct restore_asked *asked, struct dr_err *err)
{
    if (is_ours(m, id, asked) && t->exists)
        return DR_OK; /* the old mark stays: it tells whether the machine was started since */
    enum dr_rc rc = fs_make_dirs(t->parent, 0755, err);
    if (rc == DR_OK)
        rc = restore_mark_write(t, MARK_UNFINISHED, id, asked, err);
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
    return restore_mark_write(t, MARK_UNFINISHED, id, asked, err);
}

static void tell_warnings(struct restore *r)
{
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    place_take_lost(r->place, &r->lost);
    place_tell(&r->lost, &lines);
    size_t healed = r->warned.count + reader_healed(r->reader);
    for (size_t i = 0; i < lines.count; i++)
        pass_warn(r, lines.items[i]);
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
    return pass_check(r, err);
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
                               const char *id, const struct restore_asked *asked, int *lock,
                               struct dr_err *err)
{
    DR_TRY(prepare(t, m, id, asked, err));
    return hold(t, lock, err);
}

/* -- what may be done ---------------------------------------------------------------------- */

struct job { /* one restore into one directory */
    struct restore r;
    struct restore_target t;
    struct restore_mark m;
    struct restore_asked asked;
    char *only, *how;         /* of asked, owned */
    struct text_list surplus; /* of a delta */
    int lock;
    bool resuming, delta;
};

static void job_fini(struct job *j)
{
    pass_fini(&j->r);
    restore_target_fini(&j->t);
    restore_mark_fini(&j->m);
    text_list_fini(&j->surplus);
    dr_close_fd(&j->lock);
    free(j->only);
    free(j->how);
}

/* What the mark remembers of the wish. The caller frees. */
static char *how_of(const struct restore_options *o)
{
    if (o->delta)
        return dr_strdup(HOW_DELTA);
    if (o->include == NULL && o->exclude == NULL)
        return NULL;
    return dr_strf("patterns %016" PRIx64 " %016" PRIx64,
                   o->include != NULL ? exclude_hash(o->include) : 0,
                   o->exclude != NULL ? exclude_hash(o->exclude) : 0);
}

static enum dr_rc check_options(const struct restore_options *o, struct dr_err *err)
{
    bool part = o->path != NULL || o->include != NULL || o->exclude != NULL;
    if (o->delta && o->swap)
        return dr_fail(err, DR_E_USAGE, "either --delta or --swap");
    if (part && (o->delta || o->swap))
        return dr_fail(err, DR_E_USAGE, "%s takes the whole snapshot, not a part of it",
                       o->delta ? "--delta" : "--swap");
    return DR_OK;
}

/* Nobody writes over what is not ours, and whoever asks for that sees first what goes. */
static enum dr_rc confirm(struct job *j, struct dr_err *err)
{
    const struct restore_options *o = j->r.options;
    DR_TRY(delta_surplus(j->r.reader, j->t.path, &j->surplus, err));
    for (size_t i = 0; o->name != NULL && i < j->surplus.count && i < RESTORE_NAMES_MAX; i++)
        o->name(o->arg, "remove", j->surplus.items[i]);
    if (o->dry_run || (j->m.state != MARK_NONE && j->m.of_this_dir) ||
        (o->confirm != NULL && o->confirm(o->arg, &j->surplus)))
        return DR_OK;
    dr_fail(err, DR_E_REFUSED,
            "target '%s' is not a restore of ours; %zu entr%s in it would be removed, others "
            "changed",
            j->t.path, j->surplus.count, j->surplus.count == 1 ? "y" : "ies");
    return dr_hint(err, "--dry-run says what would be done; with --yes it is.");
}

static enum dr_rc remove_surplus(struct job *j, struct dr_err *err)
{
    for (size_t i = 0; i < j->surplus.count; i++) {
        DR_TRY(place_remove(j->r.place, j->surplus.items[i], err));
        j->r.result->removed++;
        DR_TRY(pass_tell(&j->r, false, err));
    }
    return DR_OK;
}

/* Everything is on the medium; now it is read back from there. */
static enum dr_rc verify(struct job *j, struct dr_err *err)
{
    struct restore *r = &j->r;
    r->doing = RESTORE_CHECK;
    r->compare = true;
    r->progress.doing = "verifying";
    local_free(r->local);
    r->local = NULL;
    DR_TRY(pass_all(r, err));
    if (r->result->differ == 0)
        return DR_OK;
    dr_fail(err, DR_E_CORRUPT, "%" PRIu64 " entries of '%s' are not what was written",
            r->result->differ, j->t.path);
    return dr_hint(err, "Distrust that disk. The directory stays marked as unfinished.");
}

static enum dr_rc write_all(struct job *j, struct dr_err *err)
{
    struct restore *r = &j->r;
    if (j->delta) {
        place_leave_open(r->place);
        DR_TRY(remove_surplus(j, err));
    }
    DR_TRY(pass_all(r, err));
    DR_TRY(place_sync(r->place, err));
    place_take_lost(r->place, &r->lost);
    uint64_t entries = r->progress.entries;
    if (r->options->verify)
        DR_TRY(verify(j, err));
    r->result->entries = entries;
    return DR_OK;
}

static enum dr_rc count_all(struct job *j, struct dr_err *err)
{
    struct restore *r = &j->r;
    r->doing = RESTORE_COUNT;
    r->result->removed = j->surplus.count;
    if (j->resuming)
        DR_TRY(place_new(j->t.path, true, j->m.same_boot && !j->delta, &r->place, err));
    DR_TRY(pass_all(r, err));
    r->result->entries = r->progress.entries_total;
    return DR_OK;
}

/* What is there, and may it be done? */
static enum dr_rc find_and_check(struct job *j, struct dr_err *err)
{
    struct restore *r = &j->r;
    DR_TRY(find_target(r->options->to, &j->t, &j->m, &j->lock, err));
    j->resuming = j->t.exists && !j->t.empty;
    j->delta = r->options->delta && j->resuming;
    if (j->resuming && !j->delta && !is_ours(&j->m, r->snapshot->id, &j->asked))
        return refuse_target(&j->t, &j->m, r->snapshot->id, err);
    r->compare = j->delta;
    r->filter.know_links = j->delta || r->options->verify;
    DR_TRY(check(r, err));
    return j->delta ? confirm(j, err) : DR_OK;
}

static enum dr_rc run(struct job *j, struct dr_err *err)
{
    struct restore *r = &j->r;
    const char *id = r->snapshot->id;
    DR_TRY(find_and_check(j, err));
    if (r->options->dry_run)
        return count_all(j, err);
    DR_TRY(prepare_held(&j->t, &j->m, id, &j->asked, &j->lock, err));
    if (!j->delta)
        DR_TRY(restore_journal_open(&j->t, !j->resuming, &r->journal, err));
    bool trusting = j->resuming && !j->delta && j->m.same_boot;
    DR_TRY(place_new(j->t.path, j->resuming, trusting, &r->place, err));
    if (write_all(j, err) != DR_OK)
        return dr_context(err, "snapshot '%s' into '%s'", id, j->t.path);
    DR_TRY(restore_mark_write(&j->t, MARK_FINISHED, id, &j->asked, err));
    restore_journal_remove(&j->t);
    tell_warnings(r);
    return DR_OK;
}

/* For the next forecast. */
static void note_throughput(const struct job *j, int64_t took_ms)
{
    const struct snapshot_info *info = j->r.snapshot;
    const struct measure m = { info->source, info->id, j->r.result->written, took_ms };
    if (!j->r.options->dry_run && !j->delta && m.bytes > 0 && !repo_is_planted(j->r.repo))
        measure_add(repo_config(j->r.repo)->state_dir, &m);
}

enum dr_rc restore_run(struct repo *repo, const struct snapshot_info *snapshot,
                       const struct restore_options *options, const struct work_hooks *hooks,
                       struct restore_result *ret, struct dr_err *err)
{
    DR_ASSERT(options->to != NULL);
    DR_TRY(check_options(options, err));
    if (options->swap)
        return restore_swap(repo, snapshot, options, hooks, ret, err);
    struct restore_result result = { 0 };
    DR_CLEANUP(job_fini)
    struct job j = { .r = { .repo = repo,
                            .snapshot = snapshot,
                            .options = options,
                            .filter = { .include = options->include, .exclude = options->exclude },
                            .owners = { .is_root = geteuid() == 0 },
                            .journal = { .fd = -1 },
                            .hooks = hooks,
                            .result = &result,
                            .progress = { .doing = "restoring" } },
                     .only = plain_path(options->path),
                     .how = how_of(options),
                     .lock = -1 };
    j.asked = (struct restore_asked){ j.only, j.how };
    j.r.filter.path = j.only;
    int64_t start_ms = clock_boot_ms();
    DR_TRY(run(&j, err));
    note_throughput(&j, clock_boot_ms() - start_ms);
    *ret = result;
    return DR_OK;
}
