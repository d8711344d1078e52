/*
 * drill_ask.h - one request to a step's real child, outside of the plan, and its outcome.
 *
 *     const struct drill_ask ask = { .config = c, .run = "D-7", .type = "drill.clean", .verb = "apply",
 *                                    .with = with, .timeout_ms = 60000 };
 *     DR_TRY(drill_ask(&ask, &outcome, err));       outcome.verdict, .why, .outputs, .evidence
 *     step_outcome_fini(&outcome);
 *
 * What a drill does beside the steps (plant, look, clean) goes the same way as they do: "drctl step" in a
 * process of its own with a deadline, sent over ssh where `at` is another host, shut off from
 * the dark region when one is named. It is waited for here; nothing else happens meanwhile.
 */
#ifndef DR_DRILL_DRILL_ASK_H
#define DR_DRILL_DRILL_ASK_H

#include "dr/config/config.h"
#include "dr/data/json.h"
#include "dr/step/child.h"

struct drill_ask {
    const struct config *config;
    const char *run; /* "D-7"; NULL: before it has an id */
    const char *type, *verb;
    const json_t *with; /* an object; {"secret": NAME} is filled in; borrowed */
    const char *dark;   /* a region not to be connected to; NULL: all is light */
    int64_t timeout_ms;
};

/* DR_OK: there is an outcome (which may be unknown). The caller finis ret. */
enum dr_rc drill_ask(const struct drill_ask *ask, struct step_outcome *ret, struct dr_err *err)
    DR_MUST_USE;

/* The name of the site that `at` (a site or a region) stands for; of NULL and "": of this host. "": not
 * known, which is this host as well. The caller frees. */
char *drill_site(const struct config *c, const char *at) DR_MUST_USE;

/* Whose file system it is: the name of a site that is another host's, reached by ssh; else drill_site() of this
 * host. Two sites that are both here are one. The caller frees. */
char *drill_host_site(const struct config *c, const char *at) DR_MUST_USE;

#endif
