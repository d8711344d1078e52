/*
 * begin.h - the first record of a run: everything that a later runner must know without asking.
 */
#ifndef DR_RUN_BEGIN_H
#define DR_RUN_BEGIN_H

#include "dr/run/script.h"

/* Of a drill the id is D-N, and scratch the directory below which isolated steps work, the same at each site; a
 * run that is neither drill nor dry lists no `drill` with its steps. */
struct run_begin {
    const char *id, *mode; /* failover switchover failback rollback run */
    const char *by, *host, *config_path;
    const char *failed, *active, *to; /* or NULL */
    const char *file;                 /* the plan's path as it was given */
    const char *since;                /* when it broke, a person's word; or NULL */
    const char *scratch; /* run_begin() puts the id behind it; NULL: STATE_DIR/scratch */
    const char *seed;    /* of the planted faults, decimal; or NULL */
    bool dry, drill, remote;
    const json_t *params; /* {name: value}; or NULL */
    const json_t
        *findings; /* whose they are, and until when; NULL: run_begin() asks the configuration */
};

/* The body of the `start` record. The caller gives it to journal_append(). */
json_t *run_begin_body(const struct script *s, const struct run_begin *b) DR_MUST_USE;

#endif
