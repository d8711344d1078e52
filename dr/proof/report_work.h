/*
 * report_work.h - what the files of the report share: report.c, report_steps.c, report_drill.c,
 * report_findings.c, report_samples.c, report_shown.c, report_verdict.c, report_text.c, report_text_drill.c,
 * report_screen.c, and the report over a time (period*.c), which shares the words.
 *
 * Making JSON: members are copied out of bodies as they are, null when they are absent, so that
 * nothing is invented on the way. Rendering text: the readers below never fail, since what
 * they read was made here.
 */
#ifndef DR_PROOF_REPORT_WORK_H
#define DR_PROOF_REPORT_WORK_H

#include "dr/data/duration.h"
#include "dr/proof/report.h"

/* Copy a member, whatever its type; null when it is absent. */
void report_copy(json_t *to, const char *key, const json_t *from, const char *from_key);

/* Text or null; a time or null. */
void report_put_text(json_t *to, const char *key, const char *text);
void report_put_time(json_t *to, const char *key, bool known, int64_t ns);

/* Has the record this type? Does it speak of this step? */
bool report_is(const struct journal_record *r, const char *type);
bool report_of(const struct journal_record *r, const char *step);

/* The newest value of a body's member among the records before `end`; NULL: none has it. */
const char *report_last(const struct timeline *t, size_t end, const char *key);

/* report_steps.c: what the run did, step by step, and what came of its people and guards. */
json_t *report_steps(const struct timeline *t) DR_MUST_USE;
json_t *report_approvals(const struct timeline *t) DR_MUST_USE;
json_t *report_fencing(const struct timeline *t) DR_MUST_USE;
json_t *report_integrity(const struct timeline *t) DR_MUST_USE;
json_t *report_invariants(const struct timeline *t) DR_MUST_USE;

/* What was brought back, from where to where; the evidence of an apart place hangs on it. */
json_t *report_restored(const struct timeline *t) DR_MUST_USE;

/* report_drill.c: null unless the run is a drill. {known, segregated, text}: where restored data came to. */
json_t *report_drill(const struct timeline *t, const json_t *restored) DR_MUST_USE;
json_t *report_segregated(const json_t *restored) DR_MUST_USE;

/* report_verdict.c: adds what the drill says of itself, as far as the rest of its report agrees. */
void report_drill_verdict(json_t *drill, const struct timeline *t);

/* report_samples.c: what the prober saw round the impact; null when it is not on record. */
json_t *report_samples(const struct timeline *t, const struct ledger *ledger) DR_MUST_USE;

/* report_findings.c: from the report as it stands. rule: `findings` of the start, whose they are and how long
 * after the end they are due; NULL or null: nobody said. */
json_t *report_findings(const json_t *report, const json_t *rule) DR_MUST_USE;

/*
 * One finding, without owner and date. id: "F-" and 8 digits of the digest of scope, kind and subject. The scope of
 * what a run finds is its plan and whether it is a drill, so that the next one tells the same id; of what is
 * missing, since when.
 */
enum { REPORT_FINDING_ID_SIZE = 16 };
void report_finding_id(const char *scope, const char *kind, const char *subject,
                       char out[REPORT_FINDING_ID_SIZE]);
char *report_finding_scope(const char *plan, bool drill) DR_MUST_USE; /* the caller frees */
json_t *report_finding(const char *scope, const char *kind, const char *subject,
                       const char *severity, const char *text) DR_MUST_USE;

/* `due` of a finding: so long after from_ns; null when either is not known (0). */
void report_put_due(json_t *finding, int64_t from_ns, int64_t due_ms);

/* Readers for text: "" and empty lists when absent or null. */
const char *report_word(const json_t *object, const char *key);
const json_t *report_list(const json_t *object, const char *key);

bool report_has(const json_t *object, const char *key); /* there, and not null */

/* report_shown.c: the same report, with all of its texts made printable (text.h): what text is rendered from. */
json_t *report_shown(const json_t *report) DR_MUST_USE;

/* The head of a line, and one empty line, never two. */
void report_add_title(struct buf *out, const char *word);
void report_add_blank(struct buf *out);

/* "2026-11-21T03:16:00.020Z", or "not on record". */
void report_add_time(struct buf *out, const char *text);

/*
 * report_text_drill.c: steps of drill.differs that were treated alike, for the same reason, are told together. The item
 * that speaks for those behind it, too: "go, fence, lb" into ret_steps; false: another one before speaks for it.
 */
bool report_differs_alike(const json_t *differs, size_t at, struct buf *ret_steps);

/*
 * A cause in few letters (0: all of them): paths by their last part, digests by their first digits, between
 * words of the middle "..". The report has it whole.
 */
void report_add_gist(struct buf *out, const char *why, size_t letters);

/* "up to 2m 22s of it as in R-31: what is not done in a drill (fence, lb)"; assumed: {ms, from, what}. */
void report_add_assumed(struct buf *out, const json_t *assumed);

/* What only a drill has; findings, and how to verify, of any run. */
void report_text_drill(struct buf *out, const json_t *report);
void report_text_findings(struct buf *out, const json_t *findings);
void report_text_closed(struct buf *out, const json_t *closed);

/* Text of what report_shown() made. */
void report_add(struct buf *out, const char *text);
void report_add_upper(struct buf *out, const char *word);

/* "14.4s to 15.6s" "at least 14.4s" "not measured"; "1m" "none"; "MET", nothing without objective. */
void report_add_interval(struct buf *out, const json_t *figure);
void report_add_objective(struct buf *out, const json_t *object, const char *key);
void report_add_verdict(struct buf *out, const json_t *figure);

/* "RECOVERED", "DRY RUN" */
void report_add_state(struct buf *out, const json_t *report);

/* "us-east-1 -> eu-west-1" */
void report_add_way(struct buf *out, const json_t *report);

/* Drop blanks at the end, add a newline. */
void report_end_line(struct buf *out);

/* A duration as one end of an interval: rounded down for lo, up for hi. Returns out. */
char *report_tell_ms(int64_t ms, bool up, char out[DURATION_TEXT_MAX]);

#endif
