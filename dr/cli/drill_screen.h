/*
 * drill_screen.h - what a drill tells beside the run's own screen: lines out of the records of the run.
 *
 *     DRILL    primary_region_failure, plan 3f9c21     production is not touched; us-east-1 is DARK for this run
 *     DIFFERS  isolated      restore, protect
 *              simulate      go, fence, lb
 *     PLANTED  fresh sentinel 8c41 in config-db, then a backup; 5 faults: flipped byte, ...
 *     CAUGHT   4 of 5:  flipped byte (restore took bucket ap), ...
 *              MISSED: expired key: preflight did not notice
 *     CLEANED  scratch removed; nothing left; production digest before and after: equal
 *     CONNECTIONS to us-east-1: 2 refused, both ntp
 *
 *     FAILED   drill power 80 %, wanted 100 %
 *
 * Nothing is told with --json: there the records themselves are the output.
 */
#ifndef DR_CLI_DRILL_SCREEN_H
#define DR_CLI_DRILL_SCREEN_H

#include "dr/cli/run_screen.h"
#include "dr/drill/verdict.h"

void drill_tell_start(const struct run_screen *s, const struct script *script, const char *failed);

/* planted: the body of that record. */
void drill_tell_planted(const struct run_screen *s, const json_t *planted);

/* From the records so far: one part of them each. */
void drill_tell_looked(const struct run_screen *s, const struct journal_records *all);
void drill_tell_caught(const struct run_screen *s, const struct journal_records *all);
void drill_tell_cleaned(const struct run_screen *s, const struct journal_records *all,
                        const struct drill_verdict *v);
void drill_tell_verdict(const struct run_screen *s, const json_t *report,
                        const struct drill_verdict *v);

#endif
