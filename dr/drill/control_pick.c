/*
 * Controls about the choice of the snapshot: which is the newest, and whose word is believed.
 *
 * The older snapshot is found as a thief or a broken replication would have it found: the buckets stop showing
 * what is newer, and backup.pick takes the next.
 */
#include <string.h>

#include "backup/format/names.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/drill/control_work.h"

/* -- what is old ----------------------------------------------------------------------------- */

enum { OLDER_MAX = 100 };

/* Was that snapshot still being taken when the drill's sentinel was there already? Backups go on during a drill, so it
 * may hold the very same one, and would be no fault. */
static bool may_hold_it(const struct control_job *j, const struct control_answer *a)
{
    int64_t planted_ns = 0, taken_ns = 0;
    return j->place->planted != NULL && time_parse(j->place->planted, &planted_ns) &&
           time_parse(control_fact(a, "taken_at"), &taken_ns) && taken_ns >= planted_ns;
}

/* backup.pick, while no bucket shows a snapshot of the source that is as new as the drill's. */
static enum dr_rc pick_older(struct control_job *j, struct control_answer *ret, struct dr_err *err)
{
    char prefix[NAMES_MAX], name[NAMES_MAX];
    names_snapshots_of(j->place->source, prefix);
    names_of(NAMES_SNAPSHOTS, j->place->snapshot, name);
    const struct plant plant = { .kind = PLANT_HIDE, .name = name, .at = strlen(prefix) };
    for (int i = 0; i < OLDER_MAX; i++) {
        DR_TRY(job_pick(j, NULL, &plant, ret, err));
        const char *id = control_output(ret, "id");
        if (ret->outcome.verdict != STEP_PASS || id[0] == '\0' || !may_hold_it(j, ret) ||
            strcmp(id, j->place->snapshot) == 0)
            return DR_OK;
        names_of(NAMES_SNAPSHOTS, id, name);
        control_answer_fini(ret);
        *ret = (struct control_answer){ 0 };
    }
    return dr_fail(err, DR_E_STEP, "of %d snapshots none is older than the drill's sentinel",
                   OLDER_MAX);
}

/* Restore the sentinel of that snapshot, and ask the drill what it thinks of it. */
static enum dr_rc judge_sentinel(struct control_job *j, const char *id, struct dr_err *err)
{
    const struct control_place *p = j->place;
    const struct config_source *source = config_source(p->config, p->source);
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    DR_FREE char *found = NULL;
    DR_ASSERT(source != NULL && source->sentinel != NULL); /* else it is not possible */
    const struct plant part = { .kind = PLANT_PART, .only = source->sentinel };
    DR_TRY(job_restore(j, "apply", id, &part, &a, err));
    if (control_failed_as(&a, DR_E_NOTFOUND))
        return job_cannot(j, "the older snapshot %s has no sentinel to be mistaken", id);
    if (a.outcome.verdict != STEP_PASS)
        return job_missed(j, "it could not be planted: %s cannot be restored: %s", id,
                          a.outcome.why);
    enum control_sentinel word = p->sentinel(p->arg, j->to, a.outcome.outputs, &found);
    const char *what = found != NULL ? found : "";
    if (word == CONTROL_FRESH)
        return job_missed(j, "%s was restored, and its sentinel is taken for the one of the drill",
                          id);
    if (word != CONTROL_OTHER)
        return job_missed(j, "%s was restored, and whose sentinel it holds cannot be told: %s", id,
                          what);
    return job_caught(j, "%s is refused: its sentinel is not the one of the drill, but '%s'", id,
                      what);
}

enum dr_rc control_stale_snapshot(struct control_job *j, struct dr_err *err)
{
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    DR_TRY(pick_older(j, &a, err));
    const char *id = control_output(&a, "id");
    if (control_met(&a) == 0)
        return job_missed(j, "backup.pick ended before anybody came upon the fault: %s",
                          a.outcome.why);
    if (control_failed_as(&a, DR_E_NOTFOUND))
        return job_caught(j, "%s", a.outcome.why);
    if (a.outcome.verdict != STEP_PASS || id[0] == '\0')
        return job_missed(j, "backup.pick neither picked nor refused: %s", a.outcome.why);
    if (strcmp(id, j->place->snapshot) == 0)
        return job_missed(j, "backup.pick picked %s, which no bucket shows", id);
    return judge_sentinel(j, id, err);
}

enum dr_rc control_yesterdays_sentinel(struct control_job *j, struct dr_err *err)
{
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    DR_TRY(pick_older(j, &a, err));
    const char *id = control_output(&a, "id");
    if (control_failed_as(&a, DR_E_NOTFOUND))
        return job_cannot(j, "there is no older snapshot of '%s'", j->place->source);
    if (a.outcome.verdict != STEP_PASS || id[0] == '\0' || strcmp(id, j->place->snapshot) == 0)
        return job_missed(j, "it could not be planted: no older snapshot is found: %s",
                          a.outcome.why);
    return judge_sentinel(j, id, err);
}

/* -- what is forged -------------------------------------------------------------------------- */

/* A restore that names it is refused, too. */
static enum dr_rc restore_is_refused(struct control_job *j, const char *id,
                                     const struct plant *plant, struct dr_err *err)
{
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    DR_TRY(job_restore(j, "apply", id, plant, &a, err));
    if (!control_failed_as(&a, DR_E_CORRUPT) && !control_failed_as(&a, DR_E_REFUSED))
        return job_missed(j, "the restore of %s was to be refused: %s", id, a.outcome.why);
    if (control_met(&a) == 0)
        return job_missed(j, "the restore ended before anybody came upon the fault: %s",
                          a.outcome.why);
    if (strstr(a.outcome.why, id) == NULL)
        return job_missed(j, "the restore does not name %s: %s", id, a.outcome.why);
    return job_caught(j, "%s", a.outcome.why);
}

/* The forged one must not be picked; genuine: another must be. */
static enum dr_rc must_not_be_picked(struct control_job *j, enum control_forgery how, bool genuine,
                                     struct dr_err *err)
{
    DR_CLEANUP(plant_fini) struct plant plant = { .kind = PLANT_NONE };
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    char forged[SNAPSHOT_ID_MAX];
    bool found = false;
    DR_TRY(job_forge(j, how, &plant, forged, &found, err));
    if (!found)
        return job_cannot(j, "the object of the snapshot is too large for a request");
    DR_TRY(job_pick(j, NULL, &plant, &a, err));
    const char *id = control_output(&a, "id");
    if (control_met(&a) == 0)
        return job_missed(j, "backup.pick ended before anybody came upon the fault: %s",
                          a.outcome.why);
    if (strcmp(id, forged) == 0)
        return job_missed(j, "backup.pick picked %s: %s", forged, a.outcome.why);
    if (genuine && (a.outcome.verdict != STEP_PASS || strcmp(id, j->place->snapshot) < 0))
        return job_missed(j, "backup.pick was to pick %s, or a newer one: %s", j->place->snapshot,
                          a.outcome.why);
    if (a.outcome.verdict != STEP_PASS && !control_failed_as(&a, DR_E_NOTFOUND))
        return job_missed(j, "backup.pick neither picked nor refused: %s", a.outcome.why);
    return restore_is_refused(j, forged, &plant, err);
}

enum dr_rc control_forged_signature(struct control_job *j, struct dr_err *err)
{
    return must_not_be_picked(j, FORGERY_TEXT, false, err);
}

enum dr_rc control_strangers_key(struct control_job *j, struct dr_err *err)
{
    return must_not_be_picked(j, FORGERY_KEY, false, err);
}

enum dr_rc control_stranger_writer(struct control_job *j, struct dr_err *err)
{
    return must_not_be_picked(j, FORGERY_STRANGER, true, err);
}

/*
 * The drill's own snapshot plays the one of a fenced writer: rightly signed, and the newest by every clock. What is
 * planted is that its successor had been promoted before, with a snapshot of the next epoch; from then on the
 * drill's must not be chosen any more.
 */
enum dr_rc control_fenced_writer(struct control_job *j, struct dr_err *err)
{
    DR_CLEANUP(plant_fini) struct plant plant = { .kind = PLANT_NONE };
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    char successor[SNAPSHOT_ID_MAX];
    bool found = false;
    DR_TRY(job_forge(j, FORGERY_SUCCESSOR, &plant, successor, &found, err));
    if (!found)
        return job_cannot(j, "this host has no key that '%s' trusts, so it cannot be its successor",
                          j->place->source);
    DR_TRY(job_pick(j, NULL, &plant, &a, err));
    if (control_met(&a) == 0)
        return job_missed(j, "backup.pick ended before anybody came upon the fault: %s",
                          a.outcome.why);
    if (a.outcome.verdict != STEP_PASS || strcmp(control_output(&a, "id"), successor) != 0)
        return job_missed(j, "backup.pick was to pick %s, of the later epoch: %s", successor,
                          a.outcome.why);
    return job_caught(j, "%s is picked, of the later epoch, and not %s, which is newer", successor,
                      j->place->snapshot);
}
