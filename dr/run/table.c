/*
 * The states of steps and runs and what may follow what, as tables: a change that no row allows is a
 * broken journal, or a bug of ours.
 */
#include "dr/run/table.h"

#include <string.h>

static const char *const run_names[RUN_PHASES] = {
    [RUN_NONE] = "none",           [RUN_PREFLIGHT] = "preflight", [RUN_RUNNING] = "running",
    [RUN_HELD] = "held",           [RUN_UNDOING] = "undoing",     [RUN_CLEANING] = "cleaning",
    [RUN_RECOVERED] = "recovered", [RUN_FAILED] = "failed",       [RUN_UNDONE] = "undone",
    [RUN_ABORTED] = "aborted",
};

static const char *const step_names[STEP_ATS] = {
    [AT_PENDING] = "pending",     [AT_WAITING] = "waiting", [AT_RUNNING] = "running",
    [AT_CHECKING] = "checking",   [AT_DONE] = "done",       [AT_FAILED] = "failed",
    [AT_TOLERATED] = "tolerated", [AT_UNKNOWN] = "unknown", [AT_SKIPPED] = "skipped",
    [AT_UNDOING] = "undoing",     [AT_UNDONE] = "undone",
};

static const char *const word_names[] = {
    [ON_NONE] = "none",         [ON_CONTINUE] = "continue", [ON_NEXT_STANDBY] = "next_standby",
    [ON_ROLLBACK] = "rollback", [ON_HOLD] = "hold",
};

static const char *const how_names[STEP_HOWS] = {
    [HOW_RUN] = "run",           [HOW_WITH] = "with", [HOW_ISOLATED] = "isolated",
    [HOW_SIMULATE] = "simulate", [HOW_SKIP] = "skip", [HOW_NOT_MEASURED] = "not measured",
};

#define BIT(x) (1U << (x))

static const unsigned run_table[RUN_PHASES] = {
    [RUN_NONE] = BIT(RUN_PREFLIGHT),
    [RUN_PREFLIGHT] =
        BIT(RUN_RUNNING) | BIT(RUN_HELD) | BIT(RUN_UNDOING) | BIT(RUN_CLEANING) | BIT(RUN_ABORTED),
    [RUN_RUNNING] = BIT(RUN_PREFLIGHT) | BIT(RUN_HELD) | BIT(RUN_UNDOING) | BIT(RUN_CLEANING) |
                    BIT(RUN_RECOVERED) | BIT(RUN_FAILED) | BIT(RUN_ABORTED),
    [RUN_HELD] = BIT(RUN_RUNNING) | BIT(RUN_UNDOING) | BIT(RUN_CLEANING) | BIT(RUN_ABORTED) |
                 BIT(RUN_PREFLIGHT),
    [RUN_UNDOING] =
        BIT(RUN_PREFLIGHT) | BIT(RUN_UNDONE) | BIT(RUN_HELD) | BIT(RUN_CLEANING) | BIT(RUN_ABORTED),
    [RUN_CLEANING] = BIT(RUN_RECOVERED) | BIT(RUN_FAILED) | BIT(RUN_UNDONE) | BIT(RUN_ABORTED),
};

static const unsigned step_table[STEP_ATS] = {
    [AT_PENDING] = BIT(AT_WAITING) | BIT(AT_RUNNING) | BIT(AT_CHECKING) | BIT(AT_SKIPPED) |
                   BIT(AT_DONE) | BIT(AT_UNKNOWN) | BIT(AT_UNDOING) | BIT(AT_FAILED),
    [AT_WAITING] = BIT(AT_DONE) | BIT(AT_FAILED) | BIT(AT_SKIPPED) | BIT(AT_PENDING),
    [AT_RUNNING] = BIT(AT_DONE) | BIT(AT_FAILED) | BIT(AT_TOLERATED) | BIT(AT_CHECKING) |
                   BIT(AT_UNKNOWN) | BIT(AT_UNDOING) | BIT(AT_SKIPPED) | BIT(AT_PENDING),
    [AT_CHECKING] = BIT(AT_DONE) | BIT(AT_RUNNING) | BIT(AT_FAILED) | BIT(AT_TOLERATED) |
                    BIT(AT_UNKNOWN) | BIT(AT_UNDOING) | BIT(AT_PENDING),
    [AT_DONE] = BIT(AT_UNDOING) | BIT(AT_PENDING) | BIT(AT_UNDONE),
    [AT_FAILED] = BIT(AT_PENDING) | BIT(AT_TOLERATED) | BIT(AT_SKIPPED) | BIT(AT_DONE) |
                  BIT(AT_UNDOING) | BIT(AT_UNDONE),
    [AT_TOLERATED] = BIT(AT_UNDOING) | BIT(AT_PENDING) | BIT(AT_UNDONE),
    [AT_UNKNOWN] = BIT(AT_CHECKING) | BIT(AT_PENDING) | BIT(AT_SKIPPED) | BIT(AT_DONE) |
                   BIT(AT_UNDOING) | BIT(AT_UNDONE),
    [AT_SKIPPED] = BIT(AT_PENDING) | BIT(AT_UNDOING) | BIT(AT_UNDONE),
    [AT_UNDOING] = BIT(AT_UNDONE) | BIT(AT_UNKNOWN) | BIT(AT_SKIPPED),
    [AT_UNDONE] = BIT(AT_PENDING) | BIT(AT_WAITING) | BIT(AT_RUNNING) | BIT(AT_CHECKING) |
                  BIT(AT_SKIPPED) | BIT(AT_DONE) | BIT(AT_UNKNOWN) | BIT(AT_FAILED),
};

const char *run_phase_name(enum run_phase phase)
{
    DR_ASSERT(phase < RUN_PHASES);
    return run_names[phase];
}

const char *step_at_name(enum step_at at)
{
    DR_ASSERT(at < STEP_ATS);
    return step_names[at];
}

const char *on_error_name(enum on_error word)
{
    DR_ASSERT(word <= ON_HOLD);
    return word_names[word];
}

const char *step_how_word(enum step_how how)
{
    DR_ASSERT(how < STEP_HOWS);
    return how_names[how];
}

static int find(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; name != NULL && i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return (int)i;
    return -1;
}

bool run_phase_read(const char *name, enum run_phase *ret)
{
    int i = find(name, run_names, RUN_PHASES);
    if (i >= 0)
        *ret = (enum run_phase)i;
    return i >= 0;
}

bool step_at_read(const char *name, enum step_at *ret)
{
    int i = find(name, step_names, STEP_ATS);
    if (i >= 0)
        *ret = (enum step_at)i;
    return i >= 0;
}

bool on_error_read(const char *name, enum on_error *ret)
{
    int i = find(name, word_names, DR_ARRAY_LEN(word_names));
    if (i >= 0)
        *ret = (enum on_error)i;
    return i >= 0;
}

bool step_how_read(const char *name, enum step_how *ret)
{
    int i = find(name, how_names, STEP_HOWS);
    if (i >= 0)
        *ret = (enum step_how)i;
    return i >= 0;
}

bool run_may(enum run_phase from, enum run_phase to)
{
    return from == to || (run_table[from] & BIT(to)) != 0;
}

bool step_may(enum step_at from, enum step_at to)
{
    return from == to || (step_table[from] & BIT(to)) != 0;
}
