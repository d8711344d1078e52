/*
 * backup.c - backup.pick, backup.check, backup.now: which snapshot, is there one, make one.
 *
 * Buckets of dark regions are not opened. The pick is the newest snapshot of the source that
 * is signed, complete in the buckets that are open, and, when the plan asks for it, proved within
 * a time (its data were read and right) or visible in one named bucket. Whatever newer was passed
 * over is named with the reason, because each of them is data that the operator gives up.
 * Ages count from the end of the snapshot; the recovery point is its begin, since what
 * was written while it was read may be missing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/work/hooks.h"
#include "backup/work/writer_epoch.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "plugins/isolated.h"
#include "plugins/providers.h"
#include "plugins/vault.h"

enum {
    TOLD_MAX = 5,
    NOW_PATIENCE_MS =
        60 * 60 *
        1000, /* for another backup of the source; the step's own deadline is mostly shorter */
};

static int64_t age_ms(const struct snapshot_info *info)
{
    int64_t age = (clock_wall_ns() - info->end_ns) / 1000000;
    return age > 0 ? age : 0;
}

/* Why this one is not to be taken; NULL when it may be. */
static char *against(const struct vault *v, const struct snapshot_info *info)
{
    char within[DURATION_TEXT_MAX];
    int64_t proved_ms = step_int(v->p.call, "verified_within", -1);
    const char *bucket = step_text(v->p.call, "bucket", NULL);
    if (info->state == SNAPSHOT_REFUSED)
        return dr_strf("refused: %s", info->why ? info->why : "not trusted");
    if (info->state == SNAPSHOT_INCOMPLETE)
        return dr_strf("incomplete: %s", info->why ? info->why : "objects are missing");
    if (bucket && !text_list_has(&info->buckets, bucket))
        return dr_strf("not in bucket %s", bucket);
    if (proved_ms < 0)
        return NULL;
    duration_print(proved_ms, within);
    if (info->proved_ns == 0)
        return dr_strf("never proved, wanted within %s", within);
    if (clock_wall_ns() - info->proved_ns > proved_ms * 1000000)
        return dr_strf("not proved within %s", within);
    return NULL;
}

struct passed { /* snapshots that were not taken */
    struct vault *v;
    struct buf *whys;
    size_t told;
};

static void pass_over(struct passed *passed, const struct snapshot_info *info, const char *why)
{
    if (passed->told++ >= TOLD_MAX)
        return;
    step_log(passed->v->p.call, "passed over %s: %s", info->id, why);
    buf_addf(passed->whys, "%s%s: %s", passed->whys->len ? "; " : "", info->id, why);
}

/*
 * The newest that nothing speaks against, or NULL; why the others were passed over goes to the log
 * and to 'whys'. Refused ones come first: the times in them cannot be trusted, so whether one
 * would be the newest cannot be told, and it is named in any case.
 */
static const struct snapshot_info *newest(struct vault *v, const struct snapshot_list *list,
                                          struct buf *whys)
{
    struct passed passed = { .v = v, .whys = whys };
    for (int refused = 1; refused >= 0; refused--) {
        for (size_t i = list->count; i-- > 0;) {
            const struct snapshot_info *info = &list->items[i];
            if ((info->state == SNAPSHOT_REFUSED) != (refused != 0))
                continue;
            DR_FREE char *why = against(v, info);
            if (!why)
                return info;
            pass_over(&passed, info, why);
        }
    }
    return NULL;
}

/* The list and the pick, or the reason in err. */
static enum dr_rc pick(struct vault *v, struct snapshot_list *list,
                       const struct snapshot_info **ret, struct dr_err *err)
{
    const char *source = step_text(v->p.call, "source", NULL);
    const char *bucket = step_text(v->p.call, "bucket", NULL);
    if (json_object_get(step_with(v->p.call), "host"))
        return dr_fail(err, DR_E_CONFIG, "'host' is not built in: name the host's source");
    const struct config_bucket *named = bucket ? config_bucket(v->p.config, bucket) : NULL;
    if (source && !config_source(v->p.config, source))
        return dr_fail(err, DR_E_CONFIG, "'%s' is no source of the configuration", source);
    if (bucket && !named)
        return dr_fail(err, DR_E_CONFIG, "'%s' is no bucket of the configuration", bucket);
    if (named && step_is_dark(v->p.call, named->region))
        return dr_fail(err, DR_E_REFUSED, "refused: %s is dark", named->region);
    DR_TRY(vault_open_repo(v, err));
    DR_TRY(repo_snapshots(v->repo, source, list, err));
    DR_CLEANUP(buf_fini) struct buf whys = { 0 };
    *ret = newest(v, list, &whys);
    if (whys.len > 0)
        json_put(v->p.evidence, "passed_over", json_printable(whys.data));
    const char *whose = source ? source : "any source";
    if (!*ret && whys.len > 0)
        return dr_fail(err, DR_E_NOTFOUND, "no snapshot of '%s' may be used: %s", whose, whys.data);
    if (!*ret)
        return dr_fail(err, DR_E_NOTFOUND, "there is no snapshot of '%s' in the open buckets",
                       whose);
    int64_t max_ms = step_int(v->p.call, "max_age", -1);
    char age[DURATION_TEXT_MAX], max[DURATION_TEXT_MAX];
    if (max_ms >= 0 && age_ms(*ret) > max_ms)
        return dr_fail(err, DR_E_NOTFOUND, "the newest, %s, is %s old, wanted at most %s%s%s",
                       (*ret)->id, duration_tell(age_ms(*ret), age), duration_print(max_ms, max),
                       whys.len ? "; " : "", whys.len ? whys.data : "");
    return DR_OK;
}

static char *tell(const struct snapshot_info *info, char out[DR_ERR_MSG_MAX])
{
    char age[DURATION_TEXT_MAX], proved[DURATION_TEXT_MAX];
    int64_t proved_ms = (clock_wall_ns() - info->proved_ns) / 1000000;
    DR_FREE char *buckets = text_list_join(&info->buckets, ", ");
    snprintf(out, DR_ERR_MSG_MAX, "%s, %s old, in %s, %s%s", info->id,
             duration_tell(age_ms(info), age), buckets,
             info->proved_ns ? "proved " : "never proved",
             info->proved_ns ? duration_tell(proved_ms, proved) : "");
    if (info->proved_ns)
        strncat(out, " ago", DR_ERR_MSG_MAX - strlen(out) - 1);
    return out;
}

static enum step_verdict backup_pick(struct step_call *call)
{
    DR_CLEANUP(vault_fini) struct vault v = { 0 };
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    const struct snapshot_info *info = NULL;
    struct dr_err err = { 0 };
    char why[DR_ERR_MSG_MAX], text[TIME_TEXT_MAX];
    if (stage_need_config(&v.p, call, &err) != DR_OK || pick(&v, &list, &info, &err) != DR_OK)
        return stage_cannot(&v.p, &err);
    DR_ASSERT(info != NULL);
    step_output(call, "id", json_string(info->id));
    step_output(call, "age", json_integer(age_ms(info)));
    step_output(call, "recovery_point", json_string(time_print(info->start_ns, text)));
    vault_put_evidence(&v, info);
    return stage_says(&v.p, STEP_PASS, "%s", tell(info, why));
}

static enum step_verdict backup_check(struct step_call *call)
{
    DR_CLEANUP(vault_fini) struct vault v = { 0 };
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    const struct snapshot_info *info = NULL;
    struct dr_err err = { 0 };
    char why[DR_ERR_MSG_MAX];
    if (stage_need_config(&v.p, call, &err) != DR_OK || pick(&v, &list, &info, &err) != DR_OK)
        return err.rc == DR_E_NOTFOUND ? stage_cannot(&v.p, &err) : stage_cannot_tell(&v.p, &err);
    DR_ASSERT(info != NULL);
    vault_put_evidence(&v, info);
    return stage_says(&v.p, STEP_PASS, "%s", tell(info, why));
}

/* -- backup.now ------------------------------------------------------------------------------- */

/* What later issues bring is refused, not ignored: a hold that is not kept is a lie. */
static enum dr_rc open_now(struct vault *v, struct step_call *call, struct isolated *iso, bool make,
                           const struct config_source **ret, struct dr_err *err)
{
    const char *name = step_text(call, "source", "");
    const struct config_site *at = NULL;
    DR_TRY(stage_need_config(&v->p, call, err));
    DR_TRY(stage_at(&v->p, step_text(call, "at", NULL), &at, err));
    if (strcmp(step_text(call, "kind", "full"), "full") != 0)
        return dr_fail(err, DR_E_CONFIG, "this drctl takes full backups only");
    if (json_object_get(step_with(call), "hold"))
        return dr_fail(err, DR_E_CONFIG, "this drctl cannot hold a snapshot for a time");
    *ret = config_source(v->p.config, name);
    if (!*ret)
        return dr_fail(err, DR_E_CONFIG, "'%s' is no source of the configuration", name);
    if (!isolated_is(call))
        return vault_open_repo(v, err);
    DR_TRY(isolated_open(iso, v, *ret, make, err));
    *ret = &iso->source;
    return DR_OK;
}

/* When this round began: the first look keeps it, and later ones find it there. */
static int64_t began_ns(struct step_call *call)
{
    const json_t *kept = json_object_get(step_former(call), "began_ns");
    if (kept)
        return json_integer_value(kept);
    json_t *former = json_object();
    int64_t now = clock_wall_ns();
    json_put_int(former, "began_ns", now);
    step_keep(call, former);
    return now;
}

static void put_now(struct vault *v, const char *id, uint64_t stored, int64_t start_ns)
{
    char text[TIME_TEXT_MAX];
    step_output(v->p.call, "id", json_string(id));
    step_output(v->p.call, "bytes", json_integer((json_int_t)stored));
    step_output(v->p.call, "recovery_point", json_string(time_print(start_ns, text)));
}

/* In place: a good snapshot of the source that was begun in this round, by whichever attempt. */
static enum step_verdict now_check(struct step_call *call)
{
    DR_CLEANUP(isolated_fini) struct isolated iso = { 0 };
    DR_CLEANUP(vault_fini) struct vault v = { 0 };
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    const struct config_source *source = NULL;
    struct dr_err err = { 0 };
    int64_t since_ns = began_ns(call);
    if (open_now(&v, call, &iso, false, &source, &err) != DR_OK)
        return err.rc == DR_E_NOTFOUND && isolated_is(call)
                   ? stage_says(&v.p, STEP_FAIL, "%s", err.msg)
                   : stage_cannot_tell(&v.p, &err);
    DR_ASSERT(source != NULL);
    if (repo_snapshots(v.repo, source->name, &list, &err) != DR_OK)
        return stage_cannot_tell(&v.p, &err);
    for (size_t i = list.count; i-- > 0;) {
        const struct snapshot_info *info = &list.items[i];
        if (info->state != SNAPSHOT_GOOD || info->start_ns < since_ns)
            continue;
        put_now(&v, info->id, info->stored, info->start_ns);
        return stage_says(&v.p, STEP_PASS, "%s was taken in this round", info->id);
    }
    return stage_says(&v.p, STEP_FAIL, "no snapshot of %s was taken in this round", source->name);
}

static enum step_verdict now_apply(struct step_call *call)
{
    DR_CLEANUP(isolated_fini) struct isolated iso = { 0 };
    DR_CLEANUP(vault_fini) struct vault v = { 0 };
    DR_CLEANUP(backup_result_fini) struct backup_result result = { 0 };
    const struct config_source *source = NULL;
    struct dr_err err = { 0 };
    if (open_now(&v, call, &iso, true, &source, &err) != DR_OK)
        return stage_says(&v.p, STEP_FAIL, "%s", err.msg);
    (void)began_ns(call); /* kept for the checks to come */
    struct work_hooks hooks = vault_hooks(&v);
    int64_t run = json_integer_value(json_object_get(step_run(call), "epoch"));
    int64_t own = writer_epoch(repo_config(v.repo), source->name);
    int64_t epoch = run > own ? run : own;
    if (writer_epoch_raise(repo_config(v.repo), source->name, epoch, &err) != DR_OK)
        return stage_cannot(&v.p, &err);
    const struct backup_wish wish = {
        .source = source, .kind = "full", .epoch = epoch, .patience_ms = NOW_PATIENCE_MS
    };
    if (hooks_backup(v.repo, &wish, &hooks, &result, &err) != DR_OK)
        return stage_cannot(&v.p, &err);
    json_put_text(v.p.evidence, "id", result.id);
    json_put_int(v.p.evidence, "bytes", (int64_t)result.bytes);
    json_put_int(v.p.evidence, "copies", (int64_t)result.copies);
    json_put_int(v.p.evidence, "wanted", (int64_t)result.wanted);
    DR_FREE char *missing = text_list_join(&result.missing, "; ");
    DR_FREE char *lacking = text_list_join(&result.lacking, ", ");
    if (lacking[0] != '\0')
        json_put_text(v.p.evidence, "required_missing", lacking);
    if (result.copies == 0)
        return stage_says(&v.p, STEP_FAIL, "no bucket holds the snapshot: %s", missing);
    put_now(&v, result.id, result.stored, result.start_ns);
    return stage_says(&v.p, STEP_PASS, "%s: %" PRIu64 " files in %zu buckets%s%s", result.id,
                      result.files, result.copies, missing[0] ? ", without " : "", missing);
}

/* Snapshots are never taken back: one more does no harm, and retention removes it in its time. A drill's repository
 * goes as a whole. */
static enum step_verdict now_undo(struct step_call *call)
{
    struct dr_err err = { 0 };
    if (isolated_is(call) && isolated_remove(call, &err) != DR_OK)
        return step_says_err(call, &err);
    if (isolated_is(call))
        return step_says(call, STEP_PASS, "the drill's own repository is removed");
    return step_says(call, STEP_PASS, "a snapshot stays: it does no harm");
}

const struct provider provider_backup_pick = { .type = "backup.pick", .apply = backup_pick };
const struct provider provider_backup_check = { .type = "backup.check", .check = backup_check };
const struct provider provider_backup_now = {
    .type = "backup.now", .check = now_check, .apply = now_apply, .undo = now_undo
};
