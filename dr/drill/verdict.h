/*
 * verdict.h - did the drill pass? A pure function of its journal.
 *
 *     every step passed (what was simulated or not measured is listed and counts for nothing)
 *     every fault that could be planted was caught
 *     the restored data hold exactly the planted sentinel
 *     nothing is left of what was made
 *     production is as before, field by field
 *     credentials that are declared for drills cannot write (drill_rights.h)
 *
 * What is not on record was not looked at, and so is not proved: a drill without a `production` record
 * after its end failed, whatever else it says. Objectives are the report's business
 * (dr/proof/report.h); they change the exit code, not this verdict.
 */
#ifndef DR_DRILL_VERDICT_H
#define DR_DRILL_VERDICT_H

#include "dr/journal/journal.h"

struct drill_verdict { /* a zeroed struct is empty */
    bool passed;
    struct text_list whys; /* one clause for each thing that speaks against it */
    size_t planted, caught;
    struct text_list missed;    /* titles of faults that nothing noticed */
    struct text_list leftovers; /* what is still there */
};
void drill_verdict_fini(struct drill_verdict *v);

void drill_judge(const struct journal_records *all, struct drill_verdict *ret);

/* Caught of planted, in percent, rounded down; -1: nothing was planted. */
int drill_power(const struct drill_verdict *v);

#endif
