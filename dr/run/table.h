/*
 * table.h - the states of a run and of a step, and which event leads where (LANGUAGE chapter 13).
 *
 * The two tables are data: the engine asks them before each record, and a record that would make a
 * move that is not in them is a bug of ours (DR_ASSERT). Names are those of the journal.
 */
#ifndef DR_RUN_TABLE_H
#define DR_RUN_TABLE_H

#include "dr/base/base.h"

enum run_phase {
    RUN_NONE, /* nothing on record yet */
    RUN_PREFLIGHT,
    RUN_RUNNING,
    RUN_HELD,
    RUN_UNDOING,
    RUN_CLEANING,
    RUN_RECOVERED, /* from here on: final */
    RUN_FAILED,
    RUN_UNDONE,
    RUN_ABORTED,
    RUN_PHASES,
};

enum step_at {
    AT_PENDING,
    AT_WAITING,
    AT_RUNNING,
    AT_CHECKING,
    AT_DONE,
    AT_FAILED,
    AT_TOLERATED,
    AT_UNKNOWN,
    AT_SKIPPED,
    AT_UNDOING,
    AT_UNDONE,
    STEP_ATS,
};

/* What on_error says; the greater is the more careful one. */
enum on_error { ON_NONE, ON_CONTINUE, ON_NEXT_STANDBY, ON_ROLLBACK, ON_HOLD };

/* What becomes of a step in a drill or a dry run (LANGUAGE chapter 9). A step of a run in earnest is HOW_RUN. */
enum step_how {
    HOW_RUN,          /* exactly as in earnest */
    HOW_WITH,         /* for real, on arguments of its own */
    HOW_ISOLATED,     /* for real, below the run's scratch directory */
    HOW_SIMULATE,     /* read and validated, nothing is changed; its outputs are marked */
    HOW_SKIP,         /* not at all */
    HOW_NOT_MEASURED, /* a check that would look at what was only simulated */
    STEP_HOWS,
};

static inline bool run_is_final(enum run_phase phase)
{
    return phase >= RUN_RECOVERED;
}

/* No step goes forward any more: final, or a drill that only has to clean up. */
static inline bool run_is_past(enum run_phase phase)
{
    return phase >= RUN_CLEANING;
}

const char *run_phase_name(enum run_phase phase);
const char *step_at_name(enum step_at at);
const char *on_error_name(enum on_error word);
const char *step_how_word(enum step_how how);

/* False when there is no such word. */
bool run_phase_read(const char *name, enum run_phase *ret);
bool step_at_read(const char *name, enum step_at *ret);
bool on_error_read(const char *name, enum on_error *ret);
bool step_how_read(const char *name, enum step_how *ret);

/* May a run, or a step, go from one state to another in one record? Staying is always allowed. */
bool run_may(enum run_phase from, enum run_phase to);
bool step_may(enum step_at from, enum step_at to);

#endif
