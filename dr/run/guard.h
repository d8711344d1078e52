/*
 * guard.h - what no plan and no provider may do: the rules about writers.
 *
 * A promotion makes a writer. Where another region may still write, it begins only behind a fence
 * that is done with a typed proof, or that a person answers for by name. The reader of plans
 * refuses what can be seen in the text; a literal `at`, a fence that failed under
 * `continue`, or one that its `when` skipped can only be seen when failed and active are known.
 */
#ifndef DR_RUN_GUARD_H
#define DR_RUN_GUARD_H

#include "dr/run/begin.h"
#include "dr/run/engine.h"

/* Before the first record: DR_E_REFUSED when a promotion elsewhere has no fence ordered before it. */
enum dr_rc guard_plan(const struct script *s, const struct run_begin *b, struct dr_err *err)
    DR_MUST_USE;

/* Right before the intent of step i: NULL, or why it must not begin. The caller frees. */
char *guard_step(const struct engine *e, size_t i);

/* Is this one of the proofs that a fence may give? NULL is none. */
bool guard_is_proof(const char *proof);

/* The region that a fence shuts out, by its resolved arguments; NULL: they name none. Borrowed. */
const char *guard_fenced_region(const struct engine *e, const json_t *with);

/* How many people have to agree to go on without a fence: as many as the plan's largest approval. */
int64_t guard_people(const struct engine *e);

#endif
