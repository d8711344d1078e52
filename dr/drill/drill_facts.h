/*
 * drill_facts.h - the arguments of a plan's steps before the run has begun, as far as they can be known.
 *
 * What a later step needs from an earlier one (${restore.path}) is not known yet: such a name stands for
 * DRILL_LATER, so that the other arguments can be looked at; whoever takes a value asks
 * drill_is_later() first.
 */
#ifndef DR_DRILL_DRILL_FACTS_H
#define DR_DRILL_DRILL_FACTS_H

#include "dr/drill/production.h"

#define DRILL_LATER "(known only in the run)"

/* The arguments `with` of a step, with this target (NULL: --to, else the first region that is not
 * given up). The caller drops ret. */
enum dr_rc drill_resolve(const struct production_place *p, const void *with, const char *target,
                         json_t **ret, struct dr_err *err) DR_MUST_USE;

/* Is the value, or any part of it, known only in the run? */
bool drill_is_later(const json_t *value);

/* The sources that the plan brings back, once each: those of its backup.pick steps, or all of the
 * configuration when one of them picks from any. ret is added to. */
void drill_sources(const struct production_place *p, struct text_list *ret);

/* Does a pick of this source want snapshots that were proved? */
bool drill_wants_proof(const struct production_place *p, const char *source);

#endif
