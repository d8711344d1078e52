/*
 * findings.h - what became of each finding: when it was opened, seen again, given to somebody, closed.
 *
 *     reports of runs ── what each found, and what it looked at ──┐
 *     ledgers of all hosts ── found, owned, closed, signed ───────┴── by time ──> the register
 *
 * Pure. A finding is the same as long as its id is (report_work.h: plan, drill or not, kind, subject), so all hosts
 * mean the same by it, and what they say of it is put into one order by time: the last word holds.
 *
 *     a run finds it                          it is open; if it was open before, it was seen again, and its date
 *                                             stays the one that it had: telling a thing twice gives nobody more time
 *     a held run of the same plan and kind    it is closed by that run. One that did not look (another fault was drawn, the
 *     looked, and no longer has it            step was not reached) says nothing, and it stays open. Nothing is closed
 *                                             because time went by
 *     a person owns or closes it              (drctl findings) the newest owner and date hold; closed stays closed
 *                                             until a later run finds the thing again, which opens it anew
 *
 * What is missing now (an overdue drill, a source without proof) is computed when it is asked for and is no event;
 * what people say of it is kept under its id ("said").
 */
#ifndef DR_PROOF_FINDINGS_H
#define DR_PROOF_FINDINGS_H

#include "dr/data/json.h"

struct findings_facts { /* all borrowed; a list may be NULL: empty */
    const json_t *runs; /* reports of report_make(); broken and dry ones are passed over */
    const json_t *book; /* [{type, time, body}] of ledgers, in any order */
    int64_t end_ns;     /* what happened then or later is not counted */
};

/*
 * The register, in the order in which things were opened. A new reference. Each is
 *
 *     {id, kind, subject, severity, text, plan, drill, run, last_run, seen, opened, owner, due,
 *      owned_at, said: bool, closed: null or {at, by, reason, after_ms}}
 *
 * run opened it, last_run told it last, seen: by so many runs. said: people spoke of it and no run or ledger told it.
 * owned_at: when a person said so last.
 */
json_t *findings_register(const struct findings_facts *f) DR_MUST_USE;

/* Of a register; NULL: none. Borrowed. */
json_t *findings_get(const json_t *list, const char *id);
bool findings_is_open(const json_t *one);

/*
 * What the end of a run adds to the ledger, as [{type, body}]: `finding` for each that is not open yet,
 * `finding_closed` for each that the run looked for and no longer has, and last `findings`, which tells all that it
 * found and that all of it stands there. Empty when it does. known: the register without this run.
 */
json_t *findings_lines(const json_t *known, const json_t *book, const json_t *report) DR_MUST_USE;

/*
 * What all ledgers say of findings that this one opened, and it has not heard yet, as [{type, body}] for it: with `at`, when
 * it was said. So what is told from the own ledger alone (an overdue one, dr/status) ends when somebody closes it elsewhere.
 */
json_t *findings_heard(const json_t *own, const json_t *all) DR_MUST_USE;

/* Is what the run found in the ledger, all of it? */
bool findings_are_told(const json_t *book, const char *run);

/* Did the run look at what this finding is about, so that its silence is an answer? */
bool findings_looked(const json_t *report, const json_t *one);

/*
 * For a list or a page: `state` ("open" or "closed"), `overdue` and `overdue_days` (null: no date), `age_days` (null:
 * nobody knows since when), as of a time.
 */
void findings_judge(json_t *one, int64_t as_of_ns);

/* A new list: overdue ones first, then critical ones, then by date, age and id. */
json_t *findings_sorted(const json_t *list) DR_MUST_USE;

/*
 * The finding that a person means: by its id, or by the beginning of it that no other has; capitals and the
 * "F-" do not matter. NULL: none, or several; ret_near gets the ids that it may have been.
 */
struct text_list;
json_t *findings_find(const json_t *list, const char *word, struct text_list *ret_near);

#endif
