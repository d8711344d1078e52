/*
 * engine.h - carries out a plan: one thread, a table of states, a journal, and a world of effects.
 *
 * The engine decides only from the state that its journal gives (state.h); what it decided becomes
 * a record first and an act afterwards. So it may die at any line: engine_resume() goes on
 * from the records alone. Rounds of a step, undo, fall-through, approvals and preflight are
 * those of LANGUAGE chapters 5, 6, 7 and 13.
 *
 *     engine_new(...)  with a journal that holds nothing but start, lease, impact: a new run
 *                      with a journal that holds more: a run to be resumed
 *                      with none: its preflight can be asked, and nothing is kept (preflight.h)
 *     engine_go()      until the run is final, held, or lost
 *
 * A drill is carried out by the same code. It does not end by itself: when its steps are settled (or failed, were
 * undone, aborted) it is `cleaning`, and whoever owns it puts down what he looked at, has taken
 * back what was really done, and ends it:
 *
 *     engine_go()        DR_OK in RUN_CLEANING
 *     engine_note()      records of the owner: what was planted, made, found
 *     engine_clean()     the undo of everything that was really done, newest first
 *     engine_end_drill() the last record
 *
 * Running effects go on under the run's lease: none starts with less than the kill grace left, and all
 * are stopped when the belief ends; so an effect never outlives the lease, though its own timeout
 * may be longer than one HOLD.
 */
#ifndef DR_RUN_ENGINE_H
#define DR_RUN_ENGINE_H

#include "dr/run/script.h"
#include "dr/run/state.h"
#include "dr/run/world.h"

enum {
    ENGINE_PARALLEL_MAX = 8,
    ENGINE_UNDO_TRIES = 3,
    ENGINE_INVARIANT_FRESH_MS = 5000,
    ENGINE_PREFLIGHT_FRESH_MS = 30 * 60 * 1000,
    ENGINE_CHECK_EVERY_MS = 5000,
    ENGINE_OWN_CHECK_MS = 30000,
    ENGINE_LEASE_RESERVE_MS = 500,
};

/* What the engine tells while it works; NULL functions are not called. */
struct engine_view {
    void (*record)(void *arg, const struct journal_record *r);       /* after it was applied */
    void (*event)(void *arg, const char *step, const json_t *event); /* progress, log */
    /* The run waits for an answer to this step, or is held (step NULL): a person at the terminal
     * may now be asked; words go through engine_hear(). */
    void (*waits)(void *arg, const char *step);
    void *arg;
};

struct engine_options {
    const struct config *config; /* sites, people; may be NULL in tests */
    const char *config_path;     /* for the steps */
    const char *operator;        /* who runs this process */
    json_t *start;               /* without a journal: the body of the first record (preflight.h) */
    bool approve_as_operator;    /* --yes: the operator's own role answers approvals */
    bool stay_when_held; /* somebody is there to decide: engine_go() goes on waiting for words */
    struct engine_view view;
};

struct engine;

struct engine *engine_new(const struct script *script, struct journal *journal, struct world *world,
                          const struct engine_options *options) DR_MUST_USE;
void engine_free(struct engine *e);
DR_DEFINE_CLEANUP(struct engine, engine_free)

const struct run_state *engine_state(const struct engine *e);

/* Who is shown what happens from now on; stay: somebody is there to decide when it is held. */
void engine_set_view(struct engine *e, const struct engine_view *view, bool stay);

/* Go on from a death or a hold (LANGUAGE 6). Call before engine_go(). */
enum dr_rc engine_resume(struct engine *e, const char *by, const char *host, bool forward,
                         struct dr_err *err) DR_MUST_USE;

/*
 * Words of a person: {"verb":"approve","step","by","via","choice"} {"verb":"reject",...,"reason"}
 * {"verb":"skip","step","by","reason","by_hand"} {"verb":"undo","by","to","reason"}
 * {"verb":"abort","by","reason","give_way"} {"verb":"resume","by"}; give_way true: a run in earnest needs the
 * place of this drill.
 * {"verb":"next","by"}: give the standby up. DR_E_REFUSED says why they cannot be followed.
 */
enum dr_rc engine_hear(struct engine *e, const json_t *words, struct dr_err *err) DR_MUST_USE;

/* Ctrl-C: first hold after the running steps, then kill them and hold. */
void engine_interrupt(struct engine *e);

/* The lease is lost: everything stops now, nothing more is written. */
void engine_lose(struct engine *e);

/*
 * Run until there is nothing more to do. DR_OK: final or held (see the state). DR_E_REFUSED: the lease
 * was lost. Others: the journal could not be written; the run can be resumed.
 */
enum dr_rc engine_go(struct engine *e, struct dr_err *err) DR_MUST_USE;

/* -- drills -------------------------------------------------------------------------------------- */

/*
 * A record of whoever owns the drill; it changes no step and no state of the run, so body (taken over in every
 * case) has neither `state` nor `run`. In RUN_CLEANING, and before the first engine_go(). DR_E_REFUSED: not now,
 * or the lease is lost.
 */
enum dr_rc engine_note(struct engine *e, const char *type, json_t *body, struct dr_err *err)
    DR_MUST_USE;

/*
 * In RUN_CLEANING: what was really done (isolated steps, `drill: with`) is taken back, newest first, by the
 * undo of its type. What cannot be is left behind, on record (state_step.left): nothing holds
 * here. May be called again. Returns as engine_go() does.
 */
enum dr_rc engine_clean(struct engine *e, struct dr_err *err) DR_MUST_USE;

/* The last record of a drill in RUN_CLEANING: recovered, or failed. */
enum dr_rc engine_end_drill(struct engine *e, bool passed, const char *why, struct dr_err *err)
    DR_MUST_USE;

/* A drill whose runner is gone goes no further: whatever state it is in, it is cleaning (then: aborted). */
enum dr_rc engine_drop_drill(struct engine *e, const char *by, const char *why, struct dr_err *err)
    DR_MUST_USE;

/* Does a run in earnest want the lease of this drill, or has it taken it? Then stop, close the run and leave the
 * clean-up to the next. Listens, so ask it between two long works. */
bool engine_yields(struct engine *e);

/* The facts that names stand for, now. The caller drops. */
json_t *engine_facts(const struct engine *e);

#endif
