/*
 * drill.h - a drill as a whole: what is planted before, looked at after, taken away, and proved.
 *
 *     production_read()        what could be changed, before                     production.h
 *     drill_plant()            a fresh sentinel in each source, then a backup of it; the light is still on
 *     run_begin(drill)         the region is dark from here on                   dr/run
 *     drill_open()             records: production before, planted, made
 *     engine_go()              the plan, by the same code as in earnest          -> cleaning
 *     drill_look()             is the planted sentinel in what was restored, and no other?
 *     drill_rights()           can what it reads by write?  drill_rights.h
 *     drill_control()          each negative control: is the fault caught?      control.h
 *     drill_clean()            undo what was really done, remove the scratch directories
 *     drill_prove()            production after, field by field
 *     drill_close()            the verdict, from the records alone (verdict.h); the end of the run
 *
 * Every finding is a record of the run before anything is told about it, so the report of a drill and
 * the screen cannot disagree, and a drill whose runner died is cleaned by whoever comes next from
 * those records (drill_clean() and on; what was not looked at stays not looked at, and the drill failed).
 *
 * The manifest of what has to go is made of the `made` records and of the intents of isolated steps: both
 * are durable before the thing comes to be, so nothing can be left that is on no record.
 *
 * All of them stop with DR_E_BUSY when a run in earnest wants the place: the clean-up waits for the next.
 */
#ifndef DR_DRILL_DRILL_H
#define DR_DRILL_DRILL_H

#include "dr/drill/control.h"
#include "dr/drill/production.h"
#include "dr/drill/verdict.h"
#include "dr/run/run.h"

enum {
    DRILL_TREE_MS = 60 * 1000,       /* to read one sentinel */
    DRILL_CLEAN_MS = 15 * 60 * 1000, /* to remove one scratch directory */
};

/* Faults to plant. */
struct drill_faults {
    const struct control *controls[CONTROLS_MAX];
    size_t count;
    uint64_t seed;
};

/*
 * Plant. ret: {"sentinels": [...], "controls": [...], "seed"}: the body of `planted`, which the caller drops.
 * Fails when a source cannot be marked or backed up: then there is nothing to drill with.
 */
enum dr_rc drill_plant(const struct production_place *p, const struct drill_faults *faults,
                       json_t **ret, struct dr_err *err) DR_MUST_USE;

/* Records before the first step. before, planted: borrowed. */
enum dr_rc drill_open(struct run *r, const json_t *before, const json_t *planted,
                      struct dr_err *err) DR_MUST_USE;

/*
 * How long the steps that are only simulated here took in the last run in earnest of this plan: the
 * record `assumed` {ms, from, what}. Without such a run: nothing. Before the first step or in RUN_CLEANING.
 */
enum dr_rc drill_assume(struct run *r, struct dr_err *err) DR_MUST_USE;

/* In RUN_CLEANING, one after another. */
enum dr_rc drill_look(struct run *r, struct dr_err *err) DR_MUST_USE;
enum dr_rc drill_control(struct run *r, const struct drill_faults *faults, struct dr_err *err)
    DR_MUST_USE;
enum dr_rc drill_clean(struct run *r, struct dr_err *err) DR_MUST_USE;
enum dr_rc drill_prove(struct run *r, struct dr_err *err) DR_MUST_USE;

/* died: its runner was gone, so it cannot pass. ret may be NULL. The caller finis it. */
enum dr_rc drill_close(struct run *r, bool died, struct drill_verdict *ret, struct dr_err *err)
    DR_MUST_USE;

/* A drill that died, from the taking up to its end. DR_E_BUSY: its runner lives, or another run is under way. */
enum dr_rc drill_bury(const struct config *c, const char *id, const struct engine_options *options,
                      struct drill_verdict *ret, struct dr_err *err) DR_MUST_USE;

/*
 * What drills that are over left behind (a site was away when they were cleaned up) and no later one took
 * away: [{"what","at","name","of"}], by the journals here and the newest in the buckets. drill_left_add() is the
 * pure half: the records of one more drill, oldest first. A drill takes them over before its first step
 * (drill_adopt(), by drill_open()). drill_remove(): gone, or why not; the caller frees ret_why.
 */
json_t *drill_left(const struct config *c) DR_MUST_USE;
void drill_left_add(json_t *list, const char *run, const char *host,
                    const struct journal_records *all);
enum dr_rc drill_adopt(struct run *r, struct dr_err *err) DR_MUST_USE;
bool drill_remove(const struct config *c, const char *run, const json_t *thing, char **ret_why);

/* Of the journal: what there is to remove, [{"what","at","name"}], each once. Pure. The caller drops. */
json_t *drill_manifest(const struct config *c, const struct journal_records *all) DR_MUST_USE;

/* Which of the planted sentinels a snapshot belongs to, by its id; NULL: none. Pure, borrowed. */
const json_t *drill_planted_of(const json_t *sentinels, const char *snapshot);

/* Is what was found what was planted? found: outputs of drill.tree {"time","nonce"}, snapshot: the id that was
 * restored. ret_wanted, ret_found: words for people; the caller frees. Pure. */
bool drill_is_planted(const json_t *planted, const json_t *found, const char *snapshot,
                      char **ret_wanted, char **ret_found);

#endif
