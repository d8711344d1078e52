/*
 * drill_rights.h - the proof that what a drill reads by cannot write.
 *
 *     made         {what: "object", at, name: "eu/rehearsal-1f3a9c..."}     before, for each bucket that is tried
 *     drill.rights, by a real child and the drill's own credentials         plugins/drill_rights.c
 *     credentials  {items: [...]}                                           what came of it, JOURNAL.md
 *     cleaned      of what was refused: it never came to be                 what was accepted goes with the rest
 *
 * It is tried on this host and, where the target is another one, there, since each host has a configuration (and so
 * credentials) of its own. It comes behind the last step, so it takes no time from what is measured.
 *
 * Credentials that can write fail the drill (verdict.h): production is read field by field at its end, but the
 * fields are those that the plan names; what else such a drill could have changed is not bounded by anything.
 */
#ifndef DR_DRILL_DRILL_RIGHTS_H
#define DR_DRILL_DRILL_RIGHTS_H

#include "dr/run/run.h"

/* In RUN_CLEANING. Fails only where the journal does: what cannot be tried is on record as that. */
enum dr_rc drill_rights(struct run *r, struct dr_err *err) DR_MUST_USE;

/* Take one such object away: a thing {what: "object", at, name: "BUCKET/OBJECT"}. ret_why: the caller frees. */
bool drill_rights_remove(const struct config *c, const char *run, const json_t *thing,
                         char **ret_why);

#endif
