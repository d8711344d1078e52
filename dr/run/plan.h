/*
 * plan.h - from a plan's file, or from its text in a journal, to a script for the engine.
 */
#ifndef DR_RUN_PLAN_H
#define DR_RUN_PLAN_H

#include "dr/plan/plan.h"
#include "dr/run/script.h"

/*
 * The plan is taken over and freed with the script. text: the bytes it was read from, copied.
 * Regions, and objectives that the plan does not give, are the configuration's (NULL: none).
 */
struct script *script_of_plan(struct plan *p, const char *text, const struct config *c) DR_MUST_USE;

/* --set NAME=VALUE: {name: typed value} of all params, with defaults. DR_E_USAGE says which is wrong or
 * missing. The caller drops ret. */
enum dr_rc script_params(const struct plan *p, const struct text_list *sets, json_t **ret,
                         struct dr_err *err) DR_MUST_USE;

/* The same without those that have no value yet. */
enum dr_rc script_params_so_far(const struct plan *p, const struct text_list *sets, json_t **ret,
                                struct dr_err *err) DR_MUST_USE;

#endif
