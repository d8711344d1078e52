/*
 * Controls about bytes. Most are one sentence: a restore over this fault must fail in that way, at that
 * object, and leave nothing that looks whole; so they are rows for one judge.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/drill/control_work.h"

/* A failure that is looked for. */
struct expected {
    enum dr_rc rc;
    const char *says;  /* stands in the words: the object, the reason; or NULL */
    bool met;          /* somebody came upon the fault, at most this often: */
    int64_t met_max;   /* 0: any */
    bool nothing_left; /* the victim is not there under its name */
    bool not_finished; /* asked afterwards, the step says that no restore is in place */
};

/* A file of one piece is there whole or not at all; of a large one a part may lie there, and the mark says so. */
static bool is_left(const struct control_job *j, const struct control_answer *a)
{
    return j->victim.small && json_is_integer(json_object_get(a->outcome.evidence, "left"));
}

/* Why this answer is not the failure that was to come; NULL: it is. The caller frees. */
static char *other_than(const struct control_job *j, const struct expected *x,
                        const struct control_answer *a)
{
    const char *why = a->outcome.why;
    int64_t met = control_met(a);
    if (a->outcome.verdict == STEP_PASS)
        return dr_strf("it passed: %s", why);
    if (x->met && met == 0)
        return dr_strf("it ended before anybody came upon the fault: %s", why);
    if (!control_failed_as(a, x->rc))
        return dr_strf("it did not fail as '%s', but as '%s': %s", dr_rc_name(x->rc),
                       control_fact(a, "error"), why);
    if (x->says != NULL && strstr(why, x->says) == NULL)
        return dr_strf("it failed without a word of '%s': %s", x->says, why);
    if (x->met_max > 0 && met > x->met_max)
        return dr_strf("it asked %" PRId64 " times although the answer was final: %s", met, why);
    if (x->nothing_left && is_left(j, a))
        return dr_strf("it failed, but '%s' is there under its name: %s", j->victim.path, why);
    return NULL;
}

static enum dr_rc restore_must_fail(struct control_job *j, const struct plant *plant,
                                    const struct expected *x, struct dr_err *err)
{
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    DR_CLEANUP(control_answer_fini) struct control_answer after = { 0 };
    DR_TRY(job_restore(j, "apply", j->place->snapshot, plant, &a, err));
    DR_FREE char *other = other_than(j, x, &a);
    if (other != NULL)
        return job_missed(j, "the restore was to fail: %s", other);
    if (x->not_finished) {
        DR_TRY(job_restore(j, "check", j->place->snapshot, NULL, &after, err));
        if (after.outcome.verdict != STEP_FAIL)
            return job_missed(j, "the restore failed, and afterwards is not called unfinished: %s",
                              after.outcome.why);
    }
    return job_caught(j, "%s", a.outcome.why);
}

/* -- a pack that is wrong everywhere --------------------------------------------------------- */

static enum dr_rc spoil_everywhere(struct control_job *j, enum plant_kind kind, struct dr_err *err)
{
    bool found = false;
    DR_TRY(job_victim(j, &found, err));
    if (!found)
        return job_cannot(j, "the snapshot has no file with bytes");
    const struct plant plant = {
        .kind = kind, .name = j->victim.object, .at = j->victim.offset, .only = j->victim.path
    };
    const struct expected x = { .rc = DR_E_CORRUPT,
                                .says = j->victim.object,
                                .met = true,
                                .nothing_left = true,
                                .not_finished = true };
    return restore_must_fail(j, &plant, &x, err);
}

enum dr_rc control_flipped_byte(struct control_job *j, struct dr_err *err)
{
    return spoil_everywhere(j, PLANT_FLIP, err);
}

enum dr_rc control_missing_object(struct control_job *j, struct dr_err *err)
{
    return spoil_everywhere(j, PLANT_MISSING, err);
}

enum dr_rc control_truncated_object(struct control_job *j, struct dr_err *err)
{
    return spoil_everywhere(j, PLANT_TRUNCATE, err);
}

/* The answer begins, and does not end: the time that ran out is said, and nobody waits for ever. */
enum dr_rc control_stalled_bucket(struct control_job *j, struct dr_err *err)
{
    enum { ASKS_PER_BUCKET = 16 };
    bool found = false;
    DR_TRY(job_victim(j, &found, err));
    if (!found)
        return job_cannot(j, "the snapshot has no file with bytes");
    const struct plant plant = { .kind = PLANT_STALL,
                                 .name = j->victim.object,
                                 .only = j->victim.path };
    const struct expected x = { .rc = DR_E_TIMEOUT,
                                .says = j->victim.object,
                                .met = true,
                                .met_max =
                                    ASKS_PER_BUCKET * (int64_t)j->place->config->bucket_count,
                                .nothing_left = true,
                                .not_finished = true };
    return restore_must_fail(j, &plant, &x, err);
}

/* -- a pack that is wrong in one bucket ------------------------------------------------------ */

/* The first line with that text, or NULL. */
static const char *logged(const struct control_answer *a, const char *text)
{
    for (size_t i = 0; i < a->log.count; i++)
        if (strstr(a->log.items[i], text) != NULL)
            return a->log.items[i];
    return NULL;
}

/* One restore over it, into an empty place. */
static enum dr_rc heal(struct control_job *j, bool again, struct control_answer *ret,
                       struct dr_err *err)
{
    const struct plant plant = { .kind = PLANT_FLIP_ONE,
                                 .name = j->victim.object,
                                 .at = j->victim.offset,
                                 .only = j->victim.path };
    DR_CLEANUP(control_answer_fini) struct control_answer gone = { 0 };
    if (again)
        DR_TRY(job_restore(j, "undo", j->place->snapshot, NULL, &gone, err));
    control_answer_fini(ret);
    return job_restore(j, "apply", j->place->snapshot, &plant, ret, err);
}

/*
 * Behind a network two buckets race where the first is slow, and nobody looks at the bytes of the one that comes
 * second: then the fault was met, and healed without anybody who could tell. So it is tried again.
 */
enum dr_rc control_flipped_one(struct control_job *j, struct dr_err *err)
{
    enum { TRIES = 3 };
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    DR_CLEANUP(control_answer_fini) struct control_answer after = { 0 };
    const char *told = NULL;
    bool found = false;
    DR_TRY(job_victim(j, &found, err));
    if (!found)
        return job_cannot(j, "the snapshot has no file with bytes");
    if (j->victim.in_buckets < 2)
        return job_cannot(j, "only one bucket that may be read shows the snapshot");
    const struct plant part = { .kind = PLANT_PART, .only = j->victim.path };
    for (unsigned i = 0; i < TRIES && told == NULL; i++) {
        DR_TRY(heal(j, i > 0, &a, err));
        if (a.outcome.verdict != STEP_PASS)
            return job_missed(j, "the restore was to take another bucket, and failed: %s",
                              a.outcome.why);
        if (control_met(&a) == 0)
            return job_missed(j, "the restore ended before anybody came upon the fault: %s",
                              a.outcome.why);
        told = logged(&a, j->victim.object);
    }
    if (told == NULL)
        return job_missed(j, "the restore passed without a word of '%s': %s", j->victim.object,
                          a.outcome.why);
    DR_TRY(job_compare(j, &part, &after, err));
    if (after.outcome.verdict != STEP_PASS)
        return job_missed(j, "the restore passed, and data.check does not: %s", after.outcome.why);
    return job_caught(j, "healed: %s", told);
}

/* -- a place that must not be touched, a key that has ended ---------------------------------- */

enum dr_rc control_wrong_region(struct control_job *j, struct dr_err *err)
{
    const struct control_place *p = j->place;
    const struct config_bucket *dark = NULL;
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    for (size_t i = 0; i < p->config->bucket_count && dark == NULL; i++) {
        const char *region = p->config->buckets[i].region;
        if (region != NULL && strcmp(region, p->failed) == 0)
            dark = &p->config->buckets[i];
    }
    DR_ASSERT(dark != NULL); /* else it is not possible */
    const struct expected x = { .rc = DR_E_REFUSED };
    const struct plant plant = { .kind = PLANT_BUCKET, .bucket = dark->name };
    DR_TRY(job_pick(j, dark->name, NULL, &a, err));
    DR_FREE char *other = other_than(j, &x, &a);
    if (other != NULL)
        return job_missed(j, "backup.pick of bucket '%s' was to be refused: %s", dark->name, other);
    return restore_must_fail(j, &plant, &x, err);
}

enum dr_rc control_expired_credential(struct control_job *j, struct dr_err *err)
{
    enum { ASKS_PER_BUCKET = 4 };
    const struct plant plant = { .kind = PLANT_EXPIRED };
    const struct expected x = { .rc = DR_E_DENIED,
                                .says = "ExpiredToken",
                                .met = true,
                                .met_max =
                                    ASKS_PER_BUCKET * (int64_t)j->place->config->bucket_count };
    return restore_must_fail(j, &plant, &x, err);
}

/* -- the disk -------------------------------------------------------------------------------- */

enum dr_rc control_full_disk(struct control_job *j, struct dr_err *err)
{
    bool found = false;
    DR_TRY(job_victim(j, &found, err));
    if (!found)
        return job_cannot(j, "the snapshot has no file with bytes");
    const struct plant plant = { .kind = PLANT_FULL_DISK, .name = j->to, .only = j->victim.path };
    const struct expected x = { .rc = DR_E_NOSPACE, .met = true, .not_finished = true };
    return restore_must_fail(j, &plant, &x, err);
}

/* Whole when it was restored, and another one afterwards: data.check has to name it. */
static enum dr_rc spoil_the_tree(struct control_job *j, enum plant_kind kind, struct dr_err *err)
{
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    DR_CLEANUP(control_answer_fini) struct control_answer after = { 0 };
    bool found = false;
    DR_TRY(job_victim(j, &found, err));
    if (!found)
        return job_cannot(j, "the snapshot has no file with bytes");
    const struct plant plant = { .kind = kind, .only = j->victim.path };
    const struct plant part = { .kind = PLANT_PART, .only = j->victim.path };
    DR_TRY(job_restore(j, "apply", j->place->snapshot, &plant, &a, err));
    if (a.outcome.verdict != STEP_PASS || control_met(&a) == 0)
        return job_missed(j, "it could not be planted: the restore before it did not pass: %s",
                          a.outcome.why);
    DR_TRY(job_compare(j, &part, &after, err));
    const json_t *differ = json_object_get(after.outcome.evidence, "differ");
    if (after.outcome.verdict != STEP_FAIL || json_integer_value(differ) == 0)
        return job_missed(j, "data.check did not notice: %s", after.outcome.why);
    if (strstr(after.outcome.why, j->victim.path) == NULL)
        return job_missed(j, "data.check does not name '%s': %s", j->victim.path,
                          after.outcome.why);
    return job_caught(j, "%s", after.outcome.why);
}

enum dr_rc control_tampered_tree(struct control_job *j, struct dr_err *err)
{
    return spoil_the_tree(j, PLANT_TAMPER, err);
}

enum dr_rc control_lost_file(struct control_job *j, struct dr_err *err)
{
    return spoil_the_tree(j, PLANT_LOSE, err);
}
