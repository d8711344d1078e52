/*
 * restore.c - backup.restore and data.check: bring a snapshot back, and compare.
 *
 * The restore goes to an absent or empty directory at the target (never at the operator's host)
 * and is marked until it is complete; so "is it in place?" is the mark's answer, a second attempt
 * goes on where the first one died, and the undo removes only what carries our mark. In a drill it goes below
 * the scratch directory, and nowhere else (isolated.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "backup/work/writer_epoch.h"
#include "dr/base/mem.h"
#include "dr/base/pool.h"
#include "dr/data/time.h"
#include "plugins/isolated.h"
#include "plugins/planted.h"
#include "plugins/providers.h"
#include "plugins/vault.h"

/* The target directory at a site that may be touched. */
static enum dr_rc open_target(struct vault *v, struct step_call *call, const char **ret_to,
                              struct dr_err *err)
{
    const struct config_site *at = NULL;
    const char *to = step_text(call, "to", "");
    DR_TRY(stage_need_config(&v->p, call, err));
    DR_TRY(stage_at(&v->p, step_text(call, "at", NULL), &at, err));
    if (to[0] != '/')
        return dr_fail(err, DR_E_CONFIG, "'to' must be an absolute path, not '%s'", to);
    if (isolated_is(call))
        DR_TRY(isolated_want_below(call, to, err));
    *ret_to = to;
    return DR_OK;
}

static void put_outputs(struct vault *v, const struct snapshot_info *info, const char *to)
{
    char text[TIME_TEXT_MAX];
    step_output(v->p.call, "path", json_string(to));
    step_output(v->p.call, "bytes", json_integer((json_int_t)info->bytes));
    step_output(v->p.call, "recovery_point", json_string(time_print(info->start_ns, text)));
    vault_put_sentinel(v, info->source, to);
    vault_put_evidence(v, info);
    vault_put_place(v, info);
}

/* Whoever brought the data back in earnest is the writer from now on (writer_epoch.h). */
static enum dr_rc become_writer(struct vault *v, const struct snapshot_info *info,
                                struct dr_err *err)
{
    const json_t *run = step_run(v->p.call);
    if (json_is_true(json_object_get(run, "drill")))
        return DR_OK;
    int64_t epoch = json_integer_value(json_object_get(run, "epoch"));
    epoch = epoch > info->epoch ? epoch : info->epoch + 1;
    return writer_epoch_raise(repo_config(v->repo), info->source, epoch, err);
}

static enum step_verdict restore_check(struct step_call *call)
{
    DR_CLEANUP(vault_fini) struct vault v = { 0 };
    DR_CLEANUP(snapshot_info_fini) struct snapshot_info info = { 0 };
    struct dr_err err = { 0 };
    const char *to = NULL, *id = step_text(call, "snapshot", "");
    if (open_target(&v, call, &to, &err) != DR_OK)
        return stage_cannot_tell(&v.p, &err);
    int done = restore_is_done(to, id, &err);
    if (done < 0)
        return stage_cannot_tell(&v.p, &err);
    if (done == 0)
        return stage_says(&v.p, STEP_FAIL, "'%s' is no finished restore of %s", to, id);
    /* Already in place: its outputs are needed by the steps below all the same. */
    if (vault_find(&v, id, &info, &err) != DR_OK || become_writer(&v, &info, &err) != DR_OK)
        return stage_cannot_tell(&v.p, &err);
    put_outputs(&v, &info, to);
    return stage_says(&v.p, STEP_PASS, "%s is restored at '%s'", id, to);
}

/* A restore that failed over a planted fault: is the file that it was about there, whole by its size? */
static void put_left(struct vault *v, const char *to)
{
    struct stat st;
    if (v->plant.only == NULL)
        return;
    DR_FREE char *path = dr_strf("%s/%s", to, v->plant.only);
    bool left = lstat(path, &st) == 0 && S_ISREG(st.st_mode);
    json_put(v->p.evidence, "left", left ? json_integer((json_int_t)st.st_size) : json_null());
}

/* What was begun carries our mark: the check tells how far it came, the undo removes it. */
static enum step_verdict restore_failed(struct vault *v, const char *to, struct dr_err *err)
{
    put_left(v, to);
    dr_context(err, "'%s'", to);
    return err->rc == DR_E_CANCELLED ? stage_says(&v->p, STEP_UNKNOWN, "%s", err->msg)
                                     : stage_fails(&v->p, err);
}

static enum step_verdict restore_apply(struct step_call *call)
{
    DR_CLEANUP(vault_fini) struct vault v = { 0 };
    DR_CLEANUP(snapshot_info_fini) struct snapshot_info info = { 0 };
    struct restore_options options = { .threads = pool_processors() };
    struct restore_result result = { 0 };
    struct dr_err err = { 0 };
    if (open_target(&v, call, &options.to, &err) != DR_OK ||
        vault_find(&v, step_text(call, "snapshot", ""), &info, &err) != DR_OK)
        return stage_fails(&v.p, &err);
    options.path = v.plant.only;
    if (json_object_size(step_former(call)) == 0) {
        json_t *former = json_object();
        json_put_text(former, "to", options.to);
        json_put_text(former, "snapshot", info.id);
        step_keep(call, former);
    }
    struct work_hooks hooks = vault_hooks(&v);
    if (restore_run(v.repo, &info, &options, &hooks, &result, &err) != DR_OK)
        return restore_failed(&v, options.to, &err);
    if (become_writer(&v, &info, &err) != DR_OK ||
        (planted_spoils(&v.plant) && planted_tamper(&v.plant, options.to, &err) != DR_OK))
        return stage_fails(&v.p, &err);
    put_outputs(&v, &info, options.to);
    json_put_int(v.p.evidence, "warnings", (int64_t)result.warnings);
    return stage_says(
        &v.p, STEP_PASS, "%s: %" PRIu64 " files, %" PRIu64 " bytes restored at '%s'%s", info.id,
        result.files, result.bytes, options.to, result.warnings ? ", with warnings" : "");
}

static enum step_verdict restore_undo_step(struct step_call *call)
{
    DR_CLEANUP(vault_fini) struct vault v = { 0 };
    struct dr_err err = { 0 };
    const char *to = NULL;
    const char *kept = json_string_value(json_object_get(step_former(call), "snapshot"));
    if (open_target(&v, call, &to, &err) != DR_OK)
        return stage_cannot(&v.p, &err);
    const char *id = kept ? kept : step_text(call, "snapshot", "");
    enum dr_rc rc = restore_undo(to, id, &err);
    if (isolated_is(call) && (rc == DR_OK || rc == DR_E_NOTFOUND))
        isolated_leave(call);
    if (rc != DR_OK)
        return err.rc == DR_E_NOTFOUND ? stage_says(&v.p, STEP_PASS, "nothing at '%s'", to)
                                       : stage_cannot(&v.p, &err);
    return stage_says(&v.p, STEP_PASS, "the restore at '%s' is removed", to);
}

/* -- data.check ------------------------------------------------------------------------------- */

/* Hooks that keep the first warning: what a person reads beside the count. */
struct first {
    struct work_hooks to;
    char *line; /* owned, or NULL */
};

static void first_fini(struct first *f)
{
    free(f->line);
}

static bool first_progress(void *arg, const struct work_progress *p)
{
    const struct first *f = arg;
    return f->to.progress == NULL || f->to.progress(f->to.arg, p);
}

static void first_warning(void *arg, const char *line)
{
    struct first *f = arg;
    if (f->line == NULL)
        f->line = dr_strdup(line);
    if (f->to.warning != NULL)
        f->to.warning(f->to.arg, line);
}

static enum step_verdict data_check(struct step_call *call)
{
    DR_CLEANUP(vault_fini) struct vault v = { 0 };
    DR_CLEANUP(snapshot_info_fini) struct snapshot_info info = { 0 };
    struct compare_result result = { 0 };
    struct dr_err err = { 0 };
    const struct config_site *at = NULL;
    const char *path = step_text(call, "path", "");
    if (stage_need_config(&v.p, call, &err) != DR_OK ||
        stage_at(&v.p, step_text(call, "at", NULL), &at, &err) != DR_OK ||
        vault_find(&v, step_text(call, "against", ""), &info, &err) != DR_OK)
        return stage_cannot_tell(&v.p, &err);
    /* A live tree is reached through a link: it is the tree that is compared. */
    DR_FREE char *tree = realpath(path, NULL);
    if (!tree)
        return stage_says(&v.p, STEP_FAIL, "'%s': %s", path, strerrordesc_np(errno));
    DR_CLEANUP(first_fini) struct first first = { .to = vault_hooks(&v) };
    struct work_hooks hooks = { first_progress, first_warning, &first };
    const struct compare_wish wish = { .dir = tree, .path = v.plant.only };
    if (compare_run(v.repo, &info, &wish, &hooks, &result, &err) != DR_OK)
        return stage_cannot_tell(&v.p, &err);
    vault_put_evidence(&v, &info);
    vault_put_sentinel(&v, info.source, tree);
    json_put_int(v.p.evidence, "compared", (int64_t)result.files);
    json_put_int(v.p.evidence, "differ", (int64_t)result.differ);
    if (result.differ > 0)
        return stage_says(&v.p, STEP_FAIL, "'%s' differs from %s in %" PRIu64 " entr%s, first: %s",
                          path, info.id, result.differ, result.differ == 1 ? "y" : "ies",
                          first.line != NULL ? first.line : "not told");
    return stage_says(&v.p, STEP_PASS, "'%s' is %s: %" PRIu64 " files, %" PRIu64 " bytes equal",
                      path, info.id, result.files, result.bytes);
}

const struct provider provider_backup_restore = { .type = "backup.restore",
                                                  .check = restore_check,
                                                  .apply = restore_apply,
                                                  .undo = restore_undo_step };
const struct provider provider_data_check = { .type = "data.check", .check = data_check };
