/*
 * The catalogue and what is the same for all of its rows. Each row is a fault that has cost somebody a
 * recovery: bytes that rotted, a backup that was older than believed, a key that had ended, a disk that was
 * too small.
 */
#include "dr/drill/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/drill/control_work.h"

/* -- where it is possible -------------------------------------------------------------------- */

static size_t buckets_outside(const struct control_place *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->config->bucket_count; i++) {
        const char *region = p->config->buckets[i].region;
        bool dark = p->failed != NULL && region != NULL && strcmp(region, p->failed) == 0;
        count += !dark;
    }
    return count;
}

static bool anywhere(const struct control_place *p, char **ret_why_not)
{
    (void)p;
    (void)ret_why_not;
    return true;
}

static bool with_two_buckets(const struct control_place *p, char **ret_why_not)
{
    if (buckets_outside(p) >= 2)
        return true;
    *ret_why_not = dr_strf("it takes two buckets outside of %s to heal from one another",
                           p->failed != NULL ? p->failed : "the failed region");
    return false;
}

static bool with_a_bucket_in_the_dark(const struct control_place *p, char **ret_why_not)
{
    if (p->failed != NULL && buckets_outside(p) < p->config->bucket_count)
        return true;
    *ret_why_not =
        dr_strf("there is no bucket in %s", p->failed != NULL ? p->failed : "a failed region");
    return false;
}

static bool with_a_sentinel(const struct control_place *p, char **ret_why_not)
{
    const struct config_source *s = config_source(p->config, p->source);
    if (s != NULL && s->sentinel != NULL && p->sentinel != NULL)
        return true;
    *ret_why_not = dr_strf("source '%s' has no sentinel that could tell", p->source);
    return false;
}

/* -- the catalogue --------------------------------------------------------------------------- */

#define ROW(id, name_, title_, plants_, expects_, possible_)          \
    static const struct control row_##id = { .name = (name_),         \
                                             .title = (title_),       \
                                             .plants = (plants_),     \
                                             .expects = (expects_),   \
                                             .possible = (possible_), \
                                             .run = control_##id }

ROW(flipped_byte, "flipped-byte", "a flipped byte in every bucket",
    "one byte of a pack is wrong in every bucket",
    "the restore fails, names the object, and leaves no wrong file under its name", anywhere);
ROW(flipped_one, "flipped-one", "a flipped byte in one bucket",
    "one byte of a pack is wrong in one bucket",
    "the restore takes another bucket, says so, and the file is right", with_two_buckets);
ROW(missing_object, "missing-object", "a missing object", "a needed pack is in no bucket",
    "the restore fails and names the object", anywhere);
ROW(truncated_object, "truncated-object", "a truncated object",
    "a needed pack is cut short in every bucket", "the restore fails and names the object",
    anywhere);
ROW(stale_snapshot, "stale-snapshot", "a stale backup",
    "the buckets show no snapshot as new as the one just made",
    "no snapshot is picked, or the sentinel of the picked one is seen to be another",
    with_a_sentinel);
ROW(wrong_region, "wrong-region", "the wrong region",
    "the restore is pointed at the bucket of the failed region", "refused before a byte is read",
    with_a_bucket_in_the_dark);
ROW(forged_signature, "forged-signature", "a forged snapshot",
    "the snapshot says something else than what was signed",
    "it is not picked, and a restore of it is refused", anywhere);
ROW(strangers_key, "strangers-key", "a snapshot signed by a stranger",
    "the snapshot is signed by a key of nobody", "it is not picked, and a restore of it is refused",
    anywhere);
ROW(stranger_writer, "stranger-writer", "a newer snapshot of a stranger",
    "a newer snapshot of a higher epoch lies there, by an unknown writer",
    "the right one is picked all the same, and a restore of the other is refused", anywhere);
ROW(expired_credential, "expired-credential", "an expired key",
    "the token of every bucket has expired",
    "the restore fails, says so, and does not go on asking", anywhere);
ROW(yesterdays_sentinel, "yesterdays-sentinel", "yesterday's sentinel",
    "an older snapshot is restored", "the sentinel in it is seen to be another", with_a_sentinel);
ROW(full_disk, "full-disk", "a full disk", "the disk of the restore is full",
    "the restore fails, says so, and leaves nothing that is marked as finished", anywhere);
ROW(tampered_tree, "tampered-tree", "a tampered file",
    "one byte of a restored file is changed, its times are kept", "data.check names the file",
    anywhere);

ROW(lost_file, "lost-file", "a lost file", "a file is gone after it was restored",
    "data.check names the file", anywhere);

ROW(stalled_bucket, "stalled-bucket", "a bucket that stops in the middle",
    "a needed pack stops coming in the middle, in every bucket",
    "the restore fails in time, says so, and leaves nothing that is marked as finished", anywhere);

ROW(fenced_writer, "fenced-writer", "a newer snapshot of a fenced writer",
    "a successor was promoted, and the newest snapshot is of the writer before it, rightly signed",
    "that of the successor is picked, and not the newer one", anywhere);

static const struct control *const catalogue[] = {
    &row_flipped_byte,    &row_flipped_one,        &row_missing_object,      &row_truncated_object,
    &row_stale_snapshot,  &row_wrong_region,       &row_forged_signature,    &row_strangers_key,
    &row_stranger_writer, &row_expired_credential, &row_yesterdays_sentinel, &row_full_disk,
    &row_tampered_tree,   &row_lost_file,          &row_stalled_bucket,      &row_fenced_writer,
};

_Static_assert(DR_ARRAY_LEN(catalogue) <= CONTROLS_MAX, "a draw has room for the whole catalogue");

const struct control *const *control_all(size_t *ret_count)
{
    *ret_count = DR_ARRAY_LEN(catalogue);
    return catalogue;
}

const struct control *control_find(const char *name)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(catalogue); i++)
        if (strcmp(catalogue[i]->name, name) == 0)
            return catalogue[i];
    return NULL;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next_number(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

size_t controls_draw(uint64_t seed, size_t want, const struct control **ret)
{
    size_t count = DR_ARRAY_LEN(catalogue);
    for (size_t i = 0; i < count; i++)
        ret[i] = catalogue[i];
    for (size_t i = count - 1; i > 0; i--) {
        size_t k = (size_t)(next_number(&seed) % (i + 1));
        const struct control *swap = ret[i];
        ret[i] = ret[k];
        ret[k] = swap;
    }
    return want == 0 || want > count ? count : want;
}

/* -- how it ends ----------------------------------------------------------------------------- */

static enum dr_rc end(struct control_job *j, bool planted, bool caught, const char *fmt, va_list ap)
    DR_PRINTF(4, 0);

static enum dr_rc end(struct control_job *j, bool planted, bool caught, const char *fmt, va_list ap)
{
    char why[2 * DR_ERR_MSG_MAX];
    (void)vsnprintf(why, sizeof(why), fmt, ap);
    free(j->result->why);
    j->result->planted = planted;
    j->result->caught = caught;
    j->result->why = dr_strdup(why);
    return DR_OK;
}

enum dr_rc job_caught(struct control_job *j, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum dr_rc rc = end(j, true, true, fmt, ap);
    va_end(ap);
    return rc;
}

enum dr_rc job_missed(struct control_job *j, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum dr_rc rc = end(j, true, false, fmt, ap);
    va_end(ap);
    return rc;
}

enum dr_rc job_cannot(struct control_job *j, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum dr_rc rc = end(j, false, false, fmt, ap);
    va_end(ap);
    return rc;
}

/* -- steps ----------------------------------------------------------------------------------- */

static void put_at(json_t *with, const struct control_place *p)
{
    if (p->at != NULL)
        json_put_text(with, "at", p->at);
}

enum dr_rc job_restore(struct control_job *j, const char *verb, const char *snapshot,
                       const struct plant *plant, struct control_answer *ret, struct dr_err *err)
{
    struct control_ask ask = {
        .type = "backup.restore", .verb = verb, .with = json_object(), .plant = plant
    };
    put_at(ask.with, j->place);
    json_put_text(ask.with, "snapshot", snapshot);
    json_put_text(ask.with, "to", j->to);
    if (strcmp(verb, "apply") == 0) {
        free(j->restored);
        j->restored = dr_strdup(snapshot);
    }
    return control_ask(j->place, &ask, ret, err);
}

enum dr_rc job_pick(struct control_job *j, const char *bucket, const struct plant *plant,
                    struct control_answer *ret, struct dr_err *err)
{
    struct control_ask ask = {
        .type = "backup.pick", .verb = "apply", .with = json_object(), .plant = plant
    };
    json_put_text(ask.with, "source", j->place->source);
    if (bucket != NULL)
        json_put_text(ask.with, "bucket", bucket);
    return control_ask(j->place, &ask, ret, err);
}

enum dr_rc job_compare(struct control_job *j, const struct plant *plant, struct control_answer *ret,
                       struct dr_err *err)
{
    struct control_ask ask = {
        .type = "data.check", .verb = "check", .with = json_object(), .plant = plant
    };
    put_at(ask.with, j->place);
    json_put_text(ask.with, "path", j->to);
    json_put_text(ask.with, "against", j->place->snapshot);
    return control_ask(j->place, &ask, ret, err);
}

/* -- one control ----------------------------------------------------------------------------- */

static void job_fini(struct control_job *j)
{
    free(j->to);
    free(j->restored);
    free(j->victim.path);
    free(j->victim.object);
}

/* What it restored goes, by the step's own undo. What stays is told, and the drill's clean-up finds it. */
static enum dr_rc take_away(struct control_job *j, struct dr_err *err)
{
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    if (j->restored == NULL)
        return DR_OK;
    DR_FREE char *id = DR_TAKE(j->restored);
    DR_TRY(job_restore(j, "undo", id, NULL, &a, err));
    if (a.outcome.verdict == STEP_PASS || j->result->why == NULL)
        return DR_OK;
    char *why =
        dr_strf("%s; '%s' could not be taken away: %s", j->result->why, j->to, a.outcome.why);
    free(j->result->why);
    j->result->why = why;
    return DR_OK;
}

void control_result_fini(struct control_result *r)
{
    free(r->why);
    *r = (struct control_result){ 0 };
}

enum dr_rc control_run(const struct control *c, const struct control_place *p,
                       struct control_result *ret, struct dr_err *err)
{
    DR_ASSERT(p->config != NULL && p->source != NULL && p->snapshot != NULL);
    DR_ASSERT(p->scratch != NULL && p->scratch[0] == '/');
    struct control_result result = { 0 };
    DR_CLEANUP(job_fini) struct control_job j = { .control = c, .place = p, .result = &result };
    int64_t began_ms = clock_boot_ms();
    j.to = dr_strf("%s/%s", p->scratch, c->name);
    if (c->possible(p, &result.why)) {
        enum dr_rc rc = c->run(&j, err);
        struct dr_err later = { 0 };
        enum dr_rc away = rc == DR_E_CANCELLED ? DR_OK : take_away(&j, &later);
        if (rc == DR_OK && away != DR_OK) {
            *err = later;
            rc = away;
        }
        if (rc != DR_OK) {
            control_result_fini(&result);
            return rc;
        }
    }
    DR_ASSERT(result.why != NULL);
    result.dur_ms = clock_boot_ms() - began_ms;
    *ret = result;
    return DR_OK;
}
