/*
 * drill_screen.h - what a drill tells beside the run's own screen: lines out of the records of the run.
 *
 *     DRILL    primary_region_failure, plan 3f9c21     production is not touched; us-east-1 is DARK for this run
 *     DIFFERS  isolated      restore, protect (below /var/lib/drctl/scratch)
 *              simulate      go, fence, lb
 *     PLANTED  fresh sentinel 8c41 in config-db, then a backup; 5 faults: a flipped byte, ...
 *     READ BY  own credentials, which cannot write: bucket eu, haproxy; the usual rights: bucket us
 *     CAUGHT   4 of 5
 *              a flipped byte: the restore took it from bucket ap
 *              MISSED: an expired key: the restore was to fail, and did not
 *                it had to be so: the restore fails, says so, and does not go on asking
 *     CLEANED  2 scratch places removed; nothing left; production before and after: equal
 *     CONNECTIONS to us-east-1: 2 refused, by healthy (2)    -> finding F-98d9b48e
 *
 *     FAILED   drill power 80 %, wanted 100 %
 *              RTO  9m 58s to 12m 20s, objective 30m   MET
 *                   up to 2m 22s of it as in R-31: what is not done in a drill (fence, lb)
 *              RPO  41.0s to 41.1s, objective 1h   MET
 *       next: make sure that 'an expired key' is noticed, then   drctl drill primary_region_failure
 *
 * Nothing is told with --json: there the records themselves are the output.
 */
#ifndef DR_CLI_DRILL_SCREEN_H
#define DR_CLI_DRILL_SCREEN_H

#include "dr/cli/run_screen.h"
#include "dr/drill/verdict.h"

/* scratch: below which isolated steps work. */
void drill_tell_start(const struct run_screen *s, const struct script *script, const char *failed,
                      const char *scratch);

/* planted: the body of that record. */
void drill_tell_planted(const struct run_screen *s, const json_t *planted);

/* From the records so far: one part of them each. */
void drill_tell_looked(const struct run_screen *s, const struct journal_records *all);
void drill_tell_rights(const struct run_screen *s, const struct journal_records *all);
void drill_tell_caught(const struct run_screen *s, const struct journal_records *all);
void drill_tell_cleaned(const struct run_screen *s, const struct journal_records *all,
                        const struct drill_verdict *v);
void drill_tell_verdict(const struct run_screen *s, const json_t *report,
                        const struct drill_verdict *v);

#endif
