/*
 * report.h - one run, told from its journal: who, what, how long, how much was lost, with the evidence.
 *
 * The JSON form is the source (report_make); text is rendered from it and from nothing else, so
 * both say the same. It is pure over the records: the same journal gives the same bytes, on
 * any machine, at any time. What no record says is null in JSON and "not on record" or "not
 * measured" in text; no field is filled by default.
 *
 * conf/report.schema.json is the norm for the members. Beside plain identity ("schema", "kind", "run", ...):
 *
 *     scenario        {plan, title, mode, failed, active, to, sha256}
 *     objectives      {fixed_at, rto_ms, rpo_ms, sha256}   null: none; sha256: over both and the plan
 *     clock           {max_error_ms, joins, jump_ms}
 *     impact          {from, to, method}                 when it broke: in (from, to]
 *     recovered       {from, to}
 *     recovery_time   {lo_ms, hi_ms, method, objective_ms, verdict, why}
 *     data_loss       the same, and sentinel (time)
 *     phases          {whole_ms, ends_recovered, list: [{phase, ms}]}
 *     samples         [{at_ms, ok, ms}]: the prober's window round the impact; null: not on record
 *     standbys        [{region, ready, why, result: taken | given up | not ready | not tried}]
 *     steps           [{id, use, class, title, phase, state, attempts, began, ms, verdict, why,
 *                       deviations: [text], drill, skipped_by, not_measured, refused}]
 *     drill           null, or {seed, scratch, differs, power, controls, sentinels, production, cleaned,
 *                       leftovers, refused, segregated}
 *     findings        [{id, kind, subject, severity, text, owner, due}]
 *     approvals fencing integrity restored preflight invariants undone left to_do notes
 *     evidence        {records, head, object, torn_bytes, remote}
 *     verify          [what to type]
 */
#ifndef DR_PROOF_REPORT_H
#define DR_PROOF_REPORT_H

#include "dr/proof/ledger.h"

enum { REPORT_SCHEMA = 2 };

/*
 * records: verified, as journal_parse() gives them; DR_E_CORRUPT when the first is no `start`.
 * torn_bytes: what stood behind the last whole record. The caller drops ret.
 */
enum dr_rc report_make(const struct journal_records *records, size_t torn_bytes, json_t **ret,
                       struct dr_err *err) DR_MUST_USE;

/* The whole report for people, plain text of at most 100 columns where names allow it. */
void report_text(const json_t *report, struct buf *out);

/*
 * The last words of a run on the screen:
 *
 *     RECOVERED  us-east-1 -> eu-west-1          run R-31, 14 steps, 1 standby tried in vain
 *       RTO  29m 40s +-1s   objective 30m  MET      detect 4m12 decide 1m26 ...
 *       RPO  3m 49s +-1s    objective 1h   MET      last write kept: sentinel 03:07:51
 *       TO DO  ...
 */
void report_recovered_block(const json_t *report, struct buf *out);

/* Is there an objective that is not proved met? (exit code 4) */
bool report_falls_short(const json_t *report);

#endif
