/*
 * drill.h - what a drill does with each step of a plan: a drill is the same plan and the same code.
 *
 * The table is a pure function of the script: it is shown before anything begins, it stands in the
 * first record of the run, and the engine follows that record. Rules (LANGUAGE chapter 9):
 *
 *     the plan's `drill`, else the type's     run, isolated, simulate, skip, or other arguments
 *     a check below a promote, traffic or     "not measured": it would look at production, which was
 *     data step that is simulated or skipped  not changed; unless it has arguments of its own in a drill
 *     a dry run                               each effect and each question to people is simulated, and
 *                                             each check below an effect is not measured
 *
 *     DR_CLEANUP(drill_table_fini) struct drill_table t = { 0 };
 *     script_drill_table(script, false, &t);
 */
#ifndef DR_RUN_DRILL_H
#define DR_RUN_DRILL_H

#include "dr/run/script.h"

struct drill_row {
    const char *step; /* its id; borrowed from the script */
    enum step_how how;
    char *why; /* one clause for people: "it comes after 'lb', which is only simulated"; owned */
};

struct drill_table {        /* a zeroed struct is empty */
    struct drill_row *rows; /* one a step, in the order of the plan */
    size_t count;
};
void drill_table_fini(struct drill_table *t);

void script_drill_table(const struct script *s, bool dry, struct drill_table *ret);

/* What becomes of one step. */
enum step_how script_step_how(const struct script *s, size_t i, bool dry);

/* Would a check below this step look at something that is not there, as the step is only told? */
bool script_is_pretended(const struct script *s, size_t k, bool dry);

/* Is step k surely settled before step i begins? */
bool script_is_above(const struct script *s, size_t k, size_t i);

#endif
