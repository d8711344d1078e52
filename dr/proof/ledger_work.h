/*
 * ledger_work.h - what the parts of the ledger share: ledger.c, ledger_drill.c and loss.c, nobody else.
 *
 * A moment is when something happened, known to lie in (from, to]; each side may be missing. It
 * is kept twice: on the axis of the run (durations) and on the wall (against times that
 * other machines wrote). For a person's word or a record of the journal both sides are equal.
 */
#ifndef DR_PROOF_LEDGER_WORK_H
#define DR_PROOF_LEDGER_WORK_H

#include "dr/proof/ledger.h"

struct moment {
    bool has_from, has_to;
    int64_t from_at, to_at;     /* on the axis */
    int64_t from_wall, to_wall; /* on the wall */
};

struct work {
    const struct timeline *t;
    struct ledger *ledger;
    bool planned;   /* no region was lost: a switchover, a failback, a plain run */
    bool said;      /* when it broke is a person's word */
    bool has_facts; /* the prober's facts: of the end if they are on record, else of the start */
    bool has_end;   /* they are of the end */
    struct health_facts facts;
    struct moment broke, back;
    char *missing;      /* why `broke` is not whole; owned */
    char *missing_back; /* why `back` is not whole; owned */
    char *back_method;  /* owned */
    int64_t ttl_ms;
};

/* Verdict and reason of a figure whose ends and objective stand; missing: what an absent end lacks. */
void ledger_settle(struct ledger_figure *figure, const char *missing);

/* text is taken over; the same note is kept once. */
void ledger_note(struct ledger *ledger, char *text);

/* The newest record of a type, or NULL. */
const struct journal_record *ledger_record(const struct timeline *t, const char *type);

/* The state of a step after the last record, of a drill before its clean-up; "pending" when none speaks of it. */
const char *ledger_state(const struct timeline *t, const char *step);

/* Nanoseconds that are not negative, rounded down and up. */
int64_t ledger_floor_ms(int64_t ns);
int64_t ledger_ceil_ms(int64_t ns);

/* ledger_drill.c: when a drill broke it, when it was back, and the first figure. */
void ledger_drill(struct work *w);

/* loss.c: the second figure. */
void ledger_loss(struct work *w);

#endif
