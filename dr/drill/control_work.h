/*
 * control_work.h - what the files of the controls share.
 *
 *     control.c        the catalogue, the draw, and one control from its begin to its clean-up
 *     control_find.c   what to spoil: one file of the snapshot, with the place of its bytes; a forged object
 *     control_data.c   controls about bytes: a restore must fail, or heal, or data.check must notice
 *     control_pick.c   controls about the choice: what is old, forged or a stranger's must not be taken
 *     control_ask.c    one request to the real child
 *
 * A control ends by saying one of three things of its job, each with a sentence:
 *
 *     return job_caught(j, "%s", why);       it was met, and refused for the right reason
 *     return job_missed(j, "...");           anything else that happened
 *     return job_cannot(j, "...");           there is nothing here to plant it in; does not count
 *
 * What a step said goes into the sentence; nothing is decided by it, but by verdict, kind of error and
 * facts. The exception is the name of an object or file: a failure that does not say where is half a failure, so the
 * name is looked for in the words that people get to read.
 */
#ifndef DR_DRILL_CONTROL_WORK_H
#define DR_DRILL_CONTROL_WORK_H

#include "backup/work/work.h"
#include "dr/drill/control_ask.h"

/* One file of the snapshot that all that is spoiled is about. */
struct control_victim {
    char *path;        /* below the source's root; owned */
    char *object;      /* the pack that holds it; owned */
    uint64_t offset;   /* a byte about the middle of its piece, in the pack, that matters */
    bool small;        /* its bytes lie in one piece: it is there whole or not at all */
    size_t in_buckets; /* of those that are open, that show the snapshot */
};

struct control_job {
    const struct control *control;
    const struct control_place *place;
    char *to;                     /* SCRATCH/NAME; owned */
    char *restored;               /* the id that was restored there last; owned, or NULL: none */
    struct control_victim victim; /* of job_victim() */
    struct control_result *result;
};

/* -- how it ends ----------------------------------------------------------------------------- */

enum dr_rc job_caught(struct control_job *j, const char *fmt, ...) DR_PRINTF(2, 3);
enum dr_rc job_missed(struct control_job *j, const char *fmt, ...) DR_PRINTF(2, 3);
enum dr_rc job_cannot(struct control_job *j, const char *fmt, ...) DR_PRINTF(2, 3);

/* -- steps ----------------------------------------------------------------------------------- */

/* backup.restore VERB of that snapshot to j->to. */
enum dr_rc job_restore(struct control_job *j, const char *verb, const char *snapshot,
                       const struct plant *plant, struct control_answer *ret, struct dr_err *err)
    DR_MUST_USE;

/* backup.pick of the source; bucket: only from there, or NULL. */
enum dr_rc job_pick(struct control_job *j, const char *bucket, const struct plant *plant,
                    struct control_answer *ret, struct dr_err *err) DR_MUST_USE;

/* data.check of j->to against the drill's snapshot. */
enum dr_rc job_compare(struct control_job *j, const struct plant *plant, struct control_answer *ret,
                       struct dr_err *err) DR_MUST_USE;

/* -- what to spoil --------------------------------------------------------------------------- */

/* The buckets outside of the failed region, as this process sees them. The caller closes. */
enum dr_rc control_repo(const struct control_place *p, struct repo **ret, struct dr_err *err)
    DR_MUST_USE;

/* Choose j->victim by the seed. ret_found false: the snapshot has no file with bytes. */
enum dr_rc job_victim(struct control_job *j, bool *ret_found, struct dr_err *err) DR_MUST_USE;

enum control_forgery {
    FORGERY_TEXT,     /* says something else than what was signed */
    FORGERY_KEY,      /* the same, signed by a key of nobody */
    FORGERY_STRANGER, /* another one, newer, of a higher epoch, by a key of nobody */
    FORGERY_SUCCESSOR, /* another one, older, of a higher epoch, by this host's own key, if it is trusted */
};

/*
 * A forged snapshot object, as the plant that puts it into every bucket; id: whose it claims to be. ret_found
 * false: the object does not fit into a request, or nobody here could sign it (FORGERY_SUCCESSOR). The caller finis
 * ret.
 */
enum dr_rc job_forge(struct control_job *j, enum control_forgery how, struct plant *ret,
                     char id[SNAPSHOT_ID_MAX], bool *ret_found, struct dr_err *err) DR_MUST_USE;

/* -- the controls ---------------------------------------------------------------------------- */

enum dr_rc control_flipped_byte(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_flipped_one(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_missing_object(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_truncated_object(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_wrong_region(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_expired_credential(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_full_disk(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_tampered_tree(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_stale_snapshot(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_yesterdays_sentinel(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_forged_signature(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_strangers_key(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_stalled_bucket(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_lost_file(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_fenced_writer(struct control_job *j, struct dr_err *err) DR_MUST_USE;
enum dr_rc control_stranger_writer(struct control_job *j, struct dr_err *err) DR_MUST_USE;

#endif
