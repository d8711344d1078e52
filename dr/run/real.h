/*
 * real.h - the world as it is: children on libuv, buckets, the prober's files, and the run's lease.
 *
 * A keeper's thread renews the lease; when it is lost the engine is told and stops everything. Records go
 * to the buckets outside the failed region side by side (mirror.h); those in it are never opened.
 */
#ifndef DR_RUN_REAL_H
#define DR_RUN_REAL_H

#include <uv.h>

#include "dr/config/config.h"
#include "dr/lease/keeper.h"
#include "dr/run/world.h"

struct real_options {
    const struct config *config; /* borrowed for the world's life */
    const char *run;             /* its id */
    const char *failed;          /* region not to be touched, or NULL */
    struct keeper *keeper;       /* taken over: freed at the end; NULL: no lease (dry run) */
    void (*lost)(void *arg);     /* the lease is gone */
    void *arg;
};

struct world *real_world_new(const struct real_options *options) DR_MUST_USE;

/* Releases the lease. NULL is fine. */
void real_world_free(struct world *w);

/* For whoever reads a terminal on the same loop. */
uv_loop_t *real_world_loop(struct world *w);

/* Who is told when the lease is gone; the engine is made after the world. */
void real_world_on_loss(struct world *w, void (*lost)(void *arg), void *arg);

/* Can a step of this type run here: built in, or an executable in $DRCTL_PLUGINS? arg is unused. */
bool real_world_runs(void *arg, const char *type);

/* The prober's facts for a start (since NULL) as journalled; NULL: no probe is configured. */
json_t *real_health_at_start(const struct config *c);

#endif
