/*
 * run.h - a run as a whole: its id, its lease, its journal, its engine; begun or taken up again.
 */
#ifndef DR_RUN_RUN_H
#define DR_RUN_RUN_H

#include "dr/run/begin.h"
#include "dr/run/engine.h"
#include "dr/run/real.h"

struct run {
    const struct config *config; /* borrowed */
    struct script *script;       /* owned */
    struct journal *journal;     /* owned */
    struct world *world;         /* owned; has the lease */
    struct engine *engine;       /* owned */
    char id[RUN_ID_MAX];
    char *from; /* "buckets eu, ap": where the journal came from; NULL: it was here; owned */
    char *note; /* that the plan's file differs now; or NULL; owned */
    int64_t lease_waited_ms; /* for the lease of a runner that is gone */
};

void run_close(struct run *r);
DR_DEFINE_CLEANUP(struct run, run_close)

/*
 * Begin: the run's lease, an id, the journal with start, lease and impact. `begin` has everything but
 * id, host and config_path. A run in earnest takes the lease from a drill, which is told to stop; a drill takes it
 * from nobody. script is taken over in every case. DR_E_BUSY: another run is not over yet, whether somebody runs it
 * or not. DR_E_REFUSED: the plan breaks a rule of guard.h. In both cases nothing is begun.
 */
enum dr_rc run_begin(const struct config *c, struct script *script, struct run_begin *begin,
                     const struct engine_options *options, struct run **ret, struct dr_err *err)
    DR_MUST_USE;

/*
 * Take up a run: the lease with the next epoch, its journal, the plan as journalled. A journal that is
 * not here, or that another host may have continued, is completed from the buckets outside the
 * failed region; accept_missing (or NULL) names those that a person goes on without. DR_E_CORRUPT, DR_E_HELD:
 * nothing was done. The engine still has to be told how to go on: engine_resume(), or engine_hear(). A drill that
 * was at work when its runner died is cleaning now: its steps do not go on.
 */
enum dr_rc run_take_up(const struct config *c, const char *id, const struct engine_options *options,
                       const struct text_list *accept_missing, struct run **ret, struct dr_err *err)
    DR_MUST_USE;

/* Runs that only the buckets know; those of the region dark (or NULL) are not asked. */
void run_list_outside(const struct config *c, const char *dark, struct text_list *ret);

/* Where a run stands, by its journal here or in the readable buckets; false: cannot be told. */
bool run_peek(const struct config *c, const char *id, struct run_state *ret);

/* The region that serves by the record of the last run, else the first. The caller frees. NULL: none. */
char *run_active_region(const struct config *c, const char *const *regions, size_t count);

/* The oldest drill here that is not over, else the newest one that only the buckets know; NULL: none. The caller
 * frees. */
char *run_open_drill(const struct config *c);

/* The newest run in earnest that is not over; NULL: none. The caller frees. */
char *run_newest_open(const struct config *c);

/* Who types: $DRCTL_OPERATOR, $SUDO_USER, or the name of the user. The caller frees. */
char *run_operator(void);
char *run_host(void);

#endif
