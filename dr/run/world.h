/*
 * world.h - everything the engine cannot do by itself: start steps, wait, reach buckets, ask the prober.
 *
 * The real one (world.c) is libuv, children, stores and a lease; tests bring one in which every
 * verdict is scripted and time moves when nothing else is left to do. All callbacks come from turn().
 */
#ifndef DR_RUN_WORLD_H
#define DR_RUN_WORLD_H

#include "dr/journal/journal.h"
#include "dr/step/child.h"

struct world;

struct world_ops {
    /* Start one request of step.h. hooks->done() comes later from turn(), exactly once. */
    enum dr_rc (*start)(struct world *w, const json_t *request, int64_t timeout_ms,
                        const struct step_hooks *hooks, void **ret_job, struct dr_err *err);
    void (*stop)(struct world *w, void *job, const char *why, bool hard);

    /* Call fn once, ms from now; the handle is gone after that, or after cancel(). */
    void *(*after)(struct world *w, int64_t ms, void (*fn)(void *arg), void *arg);
    void (*cancel)(struct world *w, void *timer);

    /* Let events come until at least one was delivered; false: nothing is left that could come. */
    bool (*turn)(struct world *w);

    /* Store one journal record outside the failed region: DR_OK when at least one bucket has it. */
    enum dr_rc (*put)(struct world *w, const char *name, const void *data, size_t len,
                      struct dr_err *err);

    /* The prober's facts since a mark (health_facts_json), NULL: there is no prober. since: a
     * wall time, 0: none. ret_back: the service is seen to be back. */
    json_t *(*health)(struct world *w, const json_t *since, bool *ret_back);
    int64_t (*health_wait_ms)(struct world *w); /* how long recovery may take to be seen */

    /* How long the run's lease may be believed in; <= 0: lost. */
    int64_t (*lease_left_ms)(struct world *w);

    /* Is the region shut out by some lease? */
    bool (*is_fenced)(struct world *w, const char *region);

    /* Words of people to this run, oldest first; NULL: none. The caller drops them. */
    json_t *(*hear)(struct world *w);

    double (*random)(struct world *w); /* [0, 1) */
};

struct world {
    const struct world_ops *ops;
};

#endif
