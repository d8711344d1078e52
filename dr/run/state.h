/*
 * state.h - where a run stands: a pure function of its journal.
 *
 * state_apply() takes one record after another; the engine applies each record it has just
 * appended by the same function, so a resumed run and one that never died are in the same state.
 * What is not in here (children, timers, half-asked checks) is lost at a death on purpose.
 */
#ifndef DR_RUN_STATE_H
#define DR_RUN_STATE_H

#include "dr/journal/journal.h"
#include "dr/run/table.h"

struct state_step {
    char *id;
    char *use;
    char *class;
    char *title;
    bool effect, ponr, target;
    enum step_at at;
    int round;         /* 1, 2 ...; grows when the step is to be done again */
    int attempt;       /* of this round, so far */
    int used;          /* attempts that count against retry */
    bool open;         /* an intent (or begin) without an outcome */
    bool ours;         /* an intent is on record and not undone: going back has to take it back */
    int64_t intent_n;  /* record of the first such intent */
    bool already;      /* in place before us */
    bool by_hand;      /* done at a person's word */
    bool by_person;    /* skipped at a person's word */
    bool left;         /* not undone, at a person's word */
    enum step_how how; /* what a drill or a dry run makes of it */
    bool not_measured; /* a check that would have looked at what was only simulated */
    bool simulated;    /* its outcome changed nothing */
    bool isolated;     /* its outcome lies below the scratch directory */
    enum on_error decision; /* of a failure that is not acted on yet */
    int undo_attempt;
    json_t *with, *former, *outputs; /* of this round; NULL: none */
    char *why;
    int64_t since_boot_ns; /* of the record of its present state */
    int64_t dur_ms;
    int approvals;
    struct text_list agreed; /* who agreed to go on without this fence */
};

struct state_standby {
    char *region;
    bool ready;
    char *why;
};

struct run_state {
    char *id, *mode, *by, *host, *failed, *active, *to, *plan, *title, *text, *file, *sha;
    char *scratch, *seed; /* of a drill, or NULL */
    char *then;           /* of a drill that is cleaning: the state it would have; or NULL */
    bool dry, drill, remote;
    bool died; /* a drill that somebody else had to clean up: it was not carried through */
    enum run_phase phase;
    bool back;     /* going back, also while held */
    char *back_to; /* of `runs undo --to`, or NULL */
    char *target;  /* or NULL */
    char *why;     /* of the last change of the phase */
    char *held_at;
    int64_t epoch;
    int64_t preflight_ns; /* wall time at which it was done; 0: not yet */
    bool has_impact, has_recovered;
    json_t *start;   /* body of the first record */
    json_t *impact;  /* body */
    json_t *refused; /* {step or check: refused connects to the dark region}; NULL: none */
    struct text_list excluded, approvers;
    struct state_standby *standbys;
    size_t standby_count;
    struct {
        bool open;
        char *region;
    } rewind;
    struct state_step *steps;
    size_t step_count;
    int64_t last_n, started_ns;
    size_t rounds; /* standbys tried in vain */
};

void run_state_fini(struct run_state *s);

/* Take one record in. Records of a type or with fields that are not known change nothing. */
void state_apply(struct run_state *s, const struct journal_record *r);

/* All of them. */
void state_replay(struct run_state *s, const struct journal_records *all);

/* NULL when there is none of that id. */
struct state_step *state_step_of(const struct run_state *s, const char *id);

/* Is the point of no return behind us? */
bool state_past_ponr(const struct run_state *s);

/* Settled: nothing more is to be done for it while the run goes forward. */
static inline bool state_settled(const struct state_step *st)
{
    return st->at == AT_DONE || st->at == AT_SKIPPED || st->at == AT_TOLERATED;
}

#endif
