/*
 * inside.h - what the files of the engine share among themselves; nobody else includes it.
 *
 *     engine.c     records, facts, requests, the loop, the end
 *     hear.c       words of people
 *     round.c      one step forward: check, intent, apply, verify, outcome
 *     own.c        steps that the engine does itself: region.pick, wait
 *     simulate.c   what a drill and a dry run do otherwise
 *     clean.c      the end of a drill: cleaning, notes, the last record
 *     approve.c    questions to people
 *     ask.c        preflight and invariants: checks that are asked once, side by side
 *     preflight.c  preflight alone, without a run
 *     back.c       undo, fall-through, decisions after a failure
 *     resume.c     from a journal to a running engine
 *
 * A job is what is under way for one step right now. It is not part of the state: whatever a
 * death takes away with it is asked again.
 */
#ifndef DR_RUN_INSIDE_H
#define DR_RUN_INSIDE_H

#include "dr/run/engine.h"

enum doing {
    DO_NOTHING,
    DO_OWN_CHECK,  /* asking "is it in place?" */
    DO_INVARIANTS, /* waiting for the invariants before an intent */
    DO_APPLY,
    DO_VERIFY,
    DO_POLL,  /* a check step */
    DO_PAUSE, /* between two attempts, or two undos */
    DO_UNDO,
    DO_WAIT,
};

struct job {
    struct engine *e;
    size_t i; /* of the step */
    enum doing doing;
    void *process; /* of the world, NULL: none */
    void *timer;
    json_t *with; /* resolved */
    int64_t began_ms, deadline_ms;
    size_t verify_at;
    int64_t passes, tries;
    bool settle;     /* the own check only settles whether a point of no return was passed */
    char *why;       /* of the attempt so far; owned */
    char *answer;    /* the last one of a check that was one, and no timeout; owned */
    int64_t refused; /* connects to the dark region, since the last record */
    char *proof;     /* owned */
    json_t *evidence, *outputs;
};

/* One check asked once, aside from the steps. */
struct ask {
    struct engine *e;
    const struct script_check *check;
    const char *region; /* of a standby, or NULL; borrowed from the script */
    void *process;
    bool asked, answered;
    enum step_verdict verdict;
    char *why;
    int64_t answered_ms;
    int64_t passes;
    int64_t refused;
};

struct engine {
    const struct script *script;
    struct journal *journal;
    struct world *world;
    struct engine_options o;
    struct run_state state;
    struct job *jobs; /* one a step */
    struct ask *preflight;
    size_t preflight_count;
    struct ask *invariants; /* one each */
    char *near;  /* the last effect that was done: the invariants are asked after it; owned */
    size_t sent; /* records known to be outside */
    struct dr_err failure; /* the journal failed: everything stops */
    bool lost, leave, told_wait;
    bool went;   /* engine_go() was called */
    bool cleans; /* engine_clean() is at it */
    bool yields; /* a run in earnest wants the place of this drill */
    int interrupts;
    void *ear; /* timer */
    void *health_timer;
    int64_t health_until_ms;
};

/* -- engine.c ---------------------------------------------------------------------------------- */

/* Append a record (body taken over), apply it, show it, send it outside if possible. */
void commit(struct engine *e, const char *type, json_t *body);

/* The same for an intent: false when it is not durable outside, or not at all. */
bool commit_intent(struct engine *e, const char *type, json_t *body);

json_t *body_of(const struct engine *e, const char *step, enum step_at at);
void body_run(json_t *body, enum run_phase phase);

/* A request of step.h; with is borrowed. */
json_t *request_of(const struct engine *e, const char *verb, const struct step_type *type,
                   const char *step, const json_t *with);

/* The facts as if target were this region (NULL: as they are). The caller drops. */
json_t *facts_for(const struct engine *e, const char *target);

enum dr_rc resolve(const struct engine *e, const void *with, const char *target, json_t **ret,
                   struct dr_err *err);

/* The arguments of a step as a drill makes them. */
enum dr_rc resolve_step(const struct engine *e, size_t i, json_t **ret, struct dr_err *err);

bool broken(const struct engine *e);
enum dr_rc engine_broken(const struct engine *e,
                         struct dr_err *err); /* in words; DR_OK: it is not */
void hear_words(struct engine *e);
void stop_all(struct engine *e, const char *why, bool hard);
bool is_active(const struct job *j);
size_t active_jobs(const struct engine *e);
void job_end(struct job *j);
void hold(struct engine *e, const char *at, const char *why);
const char *verdict_word(enum step_verdict verdict);
struct state_step *state_at(const struct engine *e, size_t i);

/* -- hear.c ------------------------------------------------------------------------------------ */
bool has_role(const struct engine *e, const char *who, const char *role);

/* -- round.c ----------------------------------------------------------------------------------- */
bool start_steps(struct engine *e); /* true: something changed */
void go_on_after_invariants(struct engine *e);
const struct script_step *step_of(const struct job *j);
struct state_step *at_of(const struct job *j);
bool is_over(struct job *j); /* the run has ended under it: nothing more is written */
json_t *outcome_body(struct job *j, enum step_at at, const char *verdict, const char *why);
/* The step's title with what is known now put in ("Send traffic to eu-west-1"). */
void put_title(const struct engine *e, size_t i, json_t *b);
void finish_done(struct job *j, const char *why);
int64_t with_ms(const json_t *with, const char *name, int64_t fallback);

/* -- own.c ------------------------------------------------------------------------------------- */
void pick_region(struct job *j);
void begin_wait(struct job *j);

/* -- simulate.c -------------------------------------------------------------------------------- */

/* A step that is left out or not measured is settled without its arguments; true: it was. */
bool leave_out(struct engine *e, size_t i);

/* A step that is only told; true: it is settled by that. */
bool simulate(struct job *j);

/* Is the step done for real, but not on what the plan names? Then the plan's own words about production (check,
 * verify, undo) are not for it: only the type itself can answer. */
bool is_elsewhere_done(const struct engine *e, size_t i);
enum script_undo undo_of(const struct engine *e, size_t i);

/* Turn the arguments of an isolated step to the scratch directory. */
void isolate(const struct engine *e, size_t i, json_t *with);
void put_isolated(const struct engine *e, size_t i, json_t *run); /* what a request says about it */
/* ... and whether the plan has it change something outside of the scratch directory, in a drill too */
void put_meant(const struct engine *e, size_t i, const struct step_type *type, json_t *run);

/* -- clean.c ----------------------------------------------------------------------------------- */
void drill_stops(struct engine *e, enum run_phase then, const char *why);
bool clean_advance(struct engine *e);

/* -- approve.c --------------------------------------------------------------------------------- */
void begin_approval(struct job *j);
void approve_by_operator(struct engine *e, const struct state_step *st); /* with --yes */
void step_answered(struct engine *e, const json_t *words);

/* -- ask.c ------------------------------------------------------------------------------------- */
bool preflight_advance(struct engine *e);
void preflight_begin(struct engine *e);
enum script_truth invariants_hold(struct engine *e, const char *near); /* UNKNOWN: wait */
enum script_truth invariants_after(struct engine *e);
size_t active_asks(const struct engine *e);
void ask_end(struct ask *a);
bool is_candidate(const struct engine *e, const char *region);

/* -- preflight.c ------------------------------------------------------------------------------- */

/* A record that is applied and shown, and kept nowhere: of an engine without a journal. body taken over. */
void apply_unkept(struct engine *e, const char *type, json_t *body);

/* -- back.c ------------------------------------------------------------------------------------ */

/* Put state, decision and what follows for the run into the body of a failure. */
void add_failure(struct engine *e, size_t i, json_t *body, enum step_at at);
bool is_decided(const struct engine *e);               /* a failure waits to be acted on */
bool act_on_failures(struct engine *e);                /* true: something changed */
void give_up_target(struct engine *e, const char *by); /* the next standby, at a person's word */
bool back_advance(struct engine *e);
bool take_back_newest(struct engine *e, bool only_target); /* false: nothing is ours any more */
bool rewind_advance(struct engine *e);

#endif
