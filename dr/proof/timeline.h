/*
 * timeline.h - the records of a run on one line of time, and what the time was spent on.
 *
 * Wall clocks jump; boot clocks do not, but each belongs to one boot of one machine. So
 * records of one boot lie as far apart as their boot times say. Where the runner changed (a
 * `resume` with another boot_id) the two pieces are joined by wall time, and the join is counted,
 * so that a report can say so. Position 0 is the first record; what happened before is negative.
 *
 * Phases cut the time between two positions without a hole and without an overlap:
 *
 *     detect | decide | fence | activate | restore | switch | effective | verify  (and put-back)
 *
 * Before the first record it is detect; then the phase of the step that is at work, of several
 * the uppermost in the plan; when none is, of one that failed and waits for a decision; else of
 * the step that comes next, for it is that one which waited. Steps being undone are put-back.
 *
 * Pure: nothing is read but the records, and they must outlive the timeline.
 */
#ifndef DR_PROOF_TIMELINE_H
#define DR_PROOF_TIMELINE_H

#include "dr/journal/journal.h"
#include "dr/run/health.h"

enum phase {
    PHASE_DETECT,
    PHASE_DECIDE,
    PHASE_FENCE,
    PHASE_ACTIVATE,
    PHASE_RESTORE,
    PHASE_SWITCH,
    PHASE_EFFECTIVE,
    PHASE_VERIFY,
    PHASE_PUT_BACK,
    PHASE_COUNT,
};

struct timeline_step {            /* one of the plan, in file order */
    const char *id, *use, *class; /* borrowed from the journal's `start` */
    enum phase phase;
};

struct timeline {
    const struct journal_records *records;
    int64_t *at_ns;    /* of each record */
    const char **boot; /* of each record: borrowed; "" when the journal does not say */
    size_t
        settled; /* records up to a drill's `cleaning`, else all: what is undone later is clean-up */
    int64_t joins;   /* places where two boots meet */
    int64_t jump_ns; /* the largest step of the wall clock against the boot clock, signed */
    struct timeline_step *steps;
    size_t step_count;
};

/* records: not empty. */
void timeline_init(struct timeline *t, const struct journal_records *records);
void timeline_fini(struct timeline *t);

/* Where a mark lies. ret_by_wall is set to true when only wall clocks could tell; else untouched. */
int64_t timeline_at(const struct timeline *t, const struct health_mark *mark, bool *ret_by_wall);

/* NULL when the plan has no such step. */
const struct timeline_step *timeline_step(const struct timeline *t, const char *id);

/* Nanoseconds from one position to another, by phase; they add up to to_ns - from_ns. */
void timeline_phases(const struct timeline *t, int64_t from_ns, int64_t to_ns,
                     int64_t ret_ns[PHASE_COUNT]);

/* "detect" ... "verify", "put-back" */
const char *phase_name(enum phase phase);

/* Members of a body that are absent, or of another type, read as NULL and as the fallback. */
const char *body_text(const json_t *body, const char *key);
const char *body_told(const json_t *body, const char *key); /* "not on record" instead of NULL */
int64_t body_int(const json_t *body, const char *key, int64_t fallback);
static inline bool body_is(const json_t *body, const char *key)
{
    return json_is_true(json_object_get(body, key));
}

#endif
