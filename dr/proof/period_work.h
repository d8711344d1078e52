/*
 * period_work.h - what the files of the report over a time share: period.c, period_runs.c, period_backups.c,
 * period_findings.c, period_clauses.c, period_text.c.
 *
 * Each part makes its members from the facts and from what was made before it, in the order of period_make(). Facts come
 * from journals and ledgers, so any member may be missing or of another type: then there is less, and never a guess.
 */
#ifndef DR_PROOF_PERIOD_WORK_H
#define DR_PROOF_PERIOD_WORK_H

#include "dr/proof/period.h"
#include "dr/proof/report_work.h"

static const int64_t PERIOD_MS = 1000000;
static const int64_t PERIOD_DAY_NS = 86400000000000;

/* Moments that the facts reach: the end of the period, or now. */
static inline int64_t period_end_ns(const struct period_facts *f)
{
    return f->as_of_ns < f->to_ns ? f->as_of_ns : f->to_ns;
}

/* A time of a member; false: absent, or no time. */
bool period_time(const json_t *object, const char *key, int64_t *ret_ns);

/* Names of plans: '-' and '_' are equal. */
bool period_same_plan(const char *a, const char *b);

/* -- period_runs.c: of a report of a run ------------------------------------------------------- */

const char *period_plan_of(const json_t *run); /* "" when it does not say */
bool period_is_drill(const json_t *run);
bool period_is_dry(const json_t *run);
bool period_is_broken(const json_t *run);

/* To its end, whatever came of it: a drill that was held, a run that recovered or failed. */
bool period_is_held(const json_t *run);

/* When it began, and whether that lies before the end of the facts; in the period. */
bool period_began(const struct period_facts *f, const json_t *run, int64_t *ret_ns);
bool period_has(const struct period_facts *f, const json_t *run);

/* "passed" "failed" "no verdict" "met" "missed" ... */
const char *period_verdict(const json_t *run);

json_t *period_plans(const struct period_facts *f) DR_MUST_USE;
json_t *period_rows(const struct period_facts *f) DR_MUST_USE;
json_t *period_drills(const struct period_facts *f, const json_t *plans) DR_MUST_USE;
json_t *period_forecast(const struct period_facts *f) DR_MUST_USE;
void period_put_means(json_t *to, const struct period_facts *f);

/* -- period_backups.c -------------------------------------------------------------------------- */

json_t *period_sources(const struct period_facts *f) DR_MUST_USE;
json_t *period_buckets(const struct period_facts *f) DR_MUST_USE;

/* -- of what was made before: the period as it stands ------------------------------------------ */

/* The open ones; ret_closed: those that were closed in the period. Both new references. */
json_t *period_findings(const struct period_facts *f, const json_t *period, json_t **ret_closed)
    DR_MUST_USE;
json_t *period_clauses(const struct period_facts *f, const json_t *period) DR_MUST_USE;

#endif
