/*
 * ledger.h - how long recovery took and how much data was lost: read from a journal, never typed in.
 *
 * Both are intervals, because nobody sees the moment itself. The service broke after the last pass
 * of its probe and not later than the first fail; it was back after the last fail and not
 * later than the first of N passes in a row:
 *
 *      last_good   first_bad ............ last_bad   first_good
 *     -----|-----------|--------------------|-----------|-----> time
 *                      |<------- lo ------->|
 *          |<------------------- hi ------------------->|
 *
 * A probe takes time itself; each mark counts with that end of it which makes the interval wider.
 * `--since` is a person's word in place of (last_good, first_bad]. When traffic was moved by
 * DNS and no step saw that resolvers follow, the TTL is added to hi. In a drill nothing broke: its
 * clock runs from its word to its last step, and hi is absent when a step was not done in earnest,
 * unless a record `assumed` says how long such steps took in an earlier run.
 *
 * Data loss runs from the last write that the restored data hold (the sentinel's time) to the
 * moment it broke. Without a sentinel all that is known is that the last write lies between
 * the snapshot's start and its end.
 *
 * An end that no fact supports is absent, not zero: has_lo and has_hi say so, and `why`
 * says what is missing. An objective is met only if hi is within it, missed only if lo is beyond it.
 *
 * Pure over the records (dr/journal/JOURNAL.md, "What the ledger reads").
 */
#ifndef DR_PROOF_LEDGER_H
#define DR_PROOF_LEDGER_H

#include "dr/proof/timeline.h"

enum verdict {
    VERDICT_NONE, /* there is no objective */
    VERDICT_MET,
    VERDICT_MISSED,
    VERDICT_OPEN,         /* not determinable */
    VERDICT_NOT_MEASURED, /* neither end is known */
};

struct ledger_figure {
    bool has_lo, has_hi;
    int64_t lo_ms, hi_ms;
    char *method;         /* from what to what, as a sentence; owned; NULL when not measured */
    int64_t objective_ms; /* -1: none */
    enum verdict verdict;
    char *why; /* of VERDICT_OPEN and VERDICT_NOT_MEASURED; owned, else NULL */
};

struct ledger_point { /* a moment that lies in (from, to]; wall time, for people */
    bool has_from, has_to;
    int64_t from_ns, to_ns;
};

struct ledger {
    struct ledger_figure recovery, loss;
    struct ledger_point broke, back;
    char *broke_method; /* owned; NULL when nobody knows */
    bool has_sentinel;
    int64_t sentinel_ns; /* the oldest, when several sources were restored */
    bool has_phases;
    int64_t phase_ms[PHASE_COUNT]; /* they add up to whole_ms */
    int64_t whole_ms;              /* from the earliest moment it broke to the latest it was back */
    bool whole_ends;        /* false: not known to be back; the whole ends with the journal */
    struct text_list notes; /* what a reader of the figures must know */
};

/* records: not empty, the first is a `start`. */
void ledger_init(struct ledger *ledger, const struct timeline *timeline);
void ledger_fini(struct ledger *ledger);

/* Met, missed, or open, by arithmetic alone. objective_ms -1: VERDICT_NONE. */
enum verdict ledger_judge(const struct ledger_figure *figure);

/* "none" "met" "missed" "not determinable" "not measured" */
const char *verdict_name(enum verdict verdict);

#endif
