/*
 * run_plan.h - from the word PLAN on the command line to a plan that fits the configuration.
 */
#ifndef DR_CLI_RUN_PLAN_H
#define DR_CLI_RUN_PLAN_H

#include "dr/cli/cli.h"
#include "dr/plan/plan.h"

/*
 * The plan is found as plan.h says, and its text comes back for the journal. Findings are told on standard
 * error. NULL after an error was told, with its exit code. The caller frees both.
 */
struct plan *run_plan_load(struct cli *cli, const struct config *c, const char *word,
                           char **ret_text, int *ret_exit);

/* `drctl plan run PLAN ...` (dr/cli/failover.c). */
int cli_plan_run(struct cli *cli);

#endif
