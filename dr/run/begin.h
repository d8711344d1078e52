/*
 * begin.h - the first record of a run: everything that a later runner must know without asking.
 */
#ifndef DR_RUN_BEGIN_H
#define DR_RUN_BEGIN_H

#include "dr/run/script.h"

struct run_begin {
    const char *id, *mode; /* failover switchover failback rollback run */
    const char *by, *host, *config_path;
    const char *failed, *active, *to; /* or NULL */
    const char *file;                 /* the plan's path as it was given */
    const char *since;                /* when it broke, a person's word; or NULL */
    bool dry, remote;
    const json_t *params; /* {name: value}; or NULL */
};

/* The body of the `start` record. The caller gives it to journal_append(). */
json_t *run_begin_body(const struct script *s, const struct run_begin *b) DR_MUST_USE;

#endif
