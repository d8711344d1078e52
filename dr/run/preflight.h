/*
 * preflight.h - the questions before a run, asked without beginning one.
 *
 * The same engine asks the same checks of the same standbys as in the first state of a run (ask.c), and tells
 * its answers as the records that a run would have written: `preflight` for each check, `standby` for each
 * region, `go` for the whole (JOURNAL.md). But there is no journal, no lease and no id: nothing is begun, nothing is
 * written, and a run that is under way is not disturbed.
 */
#ifndef DR_RUN_PREFLIGHT_H
#define DR_RUN_PREFLIGHT_H

#include "dr/run/begin.h"
#include "dr/run/engine.h"

struct preflight_wish {
    const struct config *config;
    const struct script *script;
    const struct run_begin *begin; /* mode, by, failed, active, to, params; the rest may be NULL */
    struct engine_view view;       /* record: each record as it comes, the start first */
};

/* ret_begins: a run would go on from here; else it would be held. DR_E_REFUSED: the plan breaks a rule of
 * guard.h. */
enum dr_rc preflight_run(const struct preflight_wish *wish, bool *ret_begins, struct dr_err *err)
    DR_MUST_USE;

#endif
