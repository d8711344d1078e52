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

static inline bool run_is_final(enum run_phase phase)
{
    return phase >= RUN_RECOVERED;
}

const char *run_phase_name(enum run_phase phase);
const char *step_at_name(enum step_at at);
const char *on_error_name(enum on_error word);

/* False when there is no such word. */
bool run_phase_read(const char *name, enum run_phase *ret);
bool step_at_read(const char *name, enum step_at *ret);
bool on_error_read(const char *name, enum on_error *ret);

/* May a run, or a step, go from one state to another in one record? Staying is always allowed. */
bool run_may(enum run_phase from, enum run_phase to);
bool step_may(enum step_at from, enum step_at to);

#endif
