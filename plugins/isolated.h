/*
 * isolated.h - data steps of a drill: the same work, in a place of its own.
 *
 * The engine marks a request with run.isolated, and names the run's scratch directory in run.scratch. What such a step
 * writes lies below it, at the site where it works: a restore goes where the engine has turned it to, and a
 * backup into a repository of its own, with its own memory, so that neither a bucket of production nor what
 * this host knows about its snapshots is changed by a drill.
 *
 *     SCRATCH/STEP/bucket    one directory as a bucket      SCRATCH/STEP/state    its state_dir
 */
#ifndef PLUGINS_ISOLATED_H
#define PLUGINS_ISOLATED_H

#include "plugins/vault.h"

/* The place of an isolated backup. A zeroed struct is empty. Must outlive the vault that was opened with it. */
struct isolated {
    char *dir;             /* SCRATCH/STEP; owned */
    char *url, *state_dir; /* owned */
    struct config config;  /* that of the host, with one bucket: a copy that owns nothing */
    struct config_bucket bucket;
    struct config_source source;
};
void isolated_fini(struct isolated *i);

/* Is this a step of a drill that may write below the scratch directory only? */
bool isolated_is(const struct step_call *call);

/* DR_E_REFUSED: the path is not below it. */
enum dr_rc isolated_want_below(const struct step_call *call, const char *path, struct dr_err *err)
    DR_MUST_USE;

/*
 * The repository for an isolated backup of from, made when it is not there; v->repo. What is read is the tree that an
 * isolated restore made, without the source's hooks, when there is one (run.restored); else the source itself,
 * as each backup does. DR_E_NOTFOUND without make: nothing was begun.
 */
enum dr_rc isolated_open(struct isolated *i, struct vault *v, const struct config_source *from,
                         bool make, struct dr_err *err) DR_MUST_USE;

/* Take away what the step made, and the scratch directory when it was the last. */
enum dr_rc isolated_remove(const struct step_call *call, struct dr_err *err) DR_MUST_USE;
void isolated_leave(const struct step_call *call); /* the scratch directory, if it is empty */

#endif
