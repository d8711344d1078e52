/*
 * model.h - a recovery plan, read and checked: what the engine executes and paper shows.
 *
 * Everything is resolved as far as it can be before the run: needs are indices, step types are
 * pointers into the table of type.h, conditions are compiled, literal values have their
 * JSON form. What waits for the run are references (${snapshot.id}): they stand in values as parts
 * and are looked up by the engine through a struct plan_lookup.
 *
 * A struct plan is owned as a whole by whoever read it (plan.h) and never changes.
 */
#ifndef DR_PLAN_MODEL_H
#define DR_PLAN_MODEL_H

#include "dr/data/expr.h"
#include "dr/data/json.h"
#include "dr/step/type.h"

struct plan_place {
    int line, col;
};

/* ---- values ---------------------------------------------------------------------------------- */

/* A piece of a scalar: letters, or the name of a reference without "${" and "}". */
struct plan_part {
    char *text;
    bool ref;
    enum arg_type type; /* ref: what the name stands for */
    struct plan_place at;
};

enum plan_value_kind {
    PLAN_SCALAR,  /* parts; fixed when none of them is a reference */
    PLAN_ITEMS,   /* a list: items */
    PLAN_MAP,     /* names and items */
    PLAN_METHODS, /* calls: the ways to fence, in order */
    PLAN_CALL,    /* calls[0]: a check */
};

struct plan_value {
    enum plan_value_kind kind;
    enum arg_type type; /* how it is to be understood; of a list: its items */
    struct plan_place at;
    json_t *fixed; /* scalar without references: its typed JSON; else NULL */
    struct plan_part *parts;
    size_t part_count;
    char **names; /* PLAN_MAP */
    struct plan_value **items;
    struct plan_call *calls;
    size_t count; /* of names, items or calls */
};

/* A step type with arguments: of a step, of a check, of an undo, of one way to fence. */
struct plan_call {
    const struct step_type *type;
    const struct step_arg **args; /* arg_count; only those that are given */
    struct plan_value **values;   /* one for each of args */
    size_t arg_count;
    struct plan_place at; /* of the type's name */
};

/* ---- checks and steps ------------------------------------------------------------------------ */

enum plan_on_error { PLAN_HOLD, PLAN_NEXT_STANDBY, PLAN_ROLLBACK, PLAN_CONTINUE };

/* A check of preflight, invariants, failing, check or verify. */
struct plan_check {
    char *id; /* NULL outside of preflight, invariants and failing */
    struct plan_call call;
    struct expr *when;   /* or NULL */
    int64_t timeout_ms;  /* of its polling */
    bool timeout_given;  /* else it is the type's; a verify polls within the step's timeout */
    bool on_error_given; /* else the default of the mode (chapter 7) */
    enum plan_on_error on_error;
    bool uses_target; /* preflight: asked of each standby */
    bool uses_item;   /* verify: asked of each member of a batch */
    struct plan_place at;
};

/* Who can tell whether the effect is in place. */
enum plan_check_source {
    PLAN_CHECK_NONE,       /* nobody */
    PLAN_CHECK_OWN,        /* the type's own "check" verb */
    PLAN_CHECK_REPEATABLE, /* check: repeatable: in doubt it answers "not done" */
    PLAN_CHECK_GIVEN,      /* the check of the plan */
};

enum plan_undo_source {
    PLAN_UNDO_NOT,   /* cannot be undone (only from the point of no return on) */
    PLAN_UNDO_NONE,  /* undo: none: leaving it does no harm */
    PLAN_UNDO_OWN,   /* the type's own "undo" verb */
    PLAN_UNDO_GIVEN, /* applying another call */
};

struct plan_step {
    char *id;
    struct plan_call call;
    struct plan_value *title; /* NULL: the type's sentence; see plan_step_title() */
    size_t *needs;            /* indices of steps above, rising; default: all above */
    size_t need_count;
    bool needs_given;
    struct expr *when;  /* or NULL */
    int64_t timeout_ms; /* of one attempt; 0: none (an approval) */
    int retry;          /* further attempts */
    enum plan_check_source check_source;
    struct plan_check *check; /* PLAN_CHECK_GIVEN */
    struct plan_check *verify;
    size_t verify_count;
    enum plan_undo_source undo_source;
    struct plan_call *undo; /* PLAN_UNDO_GIVEN */
    enum plan_on_error on_error;
    struct plan_value *for_each; /* or NULL */
    bool batch_given;
    struct plan_value *batch_size;    /* integer: members, real: a share; NULL: 1 */
    struct plan_value *batch_delay;   /* NULL: 0s */
    struct plan_value *batch_healthy; /* NULL: 100% */
    enum step_drill drill;
    struct plan_call *drill_with;          /* arguments that a drill replaces; or NULL */
    struct plan_value *point_of_no_return; /* or NULL */
    bool uses_target;                      /* mentions target itself */
    bool belongs_to_target; /* is undone and done again when the next standby is tried */
    struct plan_place at;
};

/* ---- the plan -------------------------------------------------------------------------------- */

struct plan_param {
    char *name;
    enum arg_type type;
    json_t *fallback; /* typed JSON; NULL: the operator must give it */
    char *match;      /* POSIX ERE for the whole string; or NULL */
    char **values;    /* the only ones allowed, as written; or NULL */
    size_t value_count;
    char *about; /* or NULL */
    struct plan_place at;
};

enum plan_trigger_mode { PLAN_TRIGGER_NONE, PLAN_TRIGGER_ASK, PLAN_TRIGGER_AUTO };

struct plan_trigger {
    enum plan_trigger_mode mode;
    struct plan_check *failing;
    size_t failing_count;
    int64_t for_ms, cooldown_ms; /* cooldown 0: none */
    int max_per_day;
};

struct plan {
    char *name;
    char *title;    /* or NULL */
    char *file;     /* as it was given */
    char hash[65];  /* SHA-256 of the file's bytes; its first 6 digits are what screens show */
    char **regions; /* best first; empty: the configuration's */
    size_t region_count;
    int64_t rto_ms, rpo_ms; /* -1: not given here: the configuration's */
    struct plan_param *params;
    size_t param_count;
    struct plan_trigger trigger;
    struct plan_check *preflight;
    size_t preflight_count;
    struct plan_check *invariants;
    size_t invariant_count;
    char **notify;
    size_t notify_count;
    struct plan_step *steps;
    size_t step_count;
    bool *after;      /* step_count x step_count; see plan_is_after() */
    bool uses_failed; /* somewhere a value or condition mentions failed */
    bool uses_target;
    size_t pick;      /* the step of region.pick, or PLAN_NO_STEP */
    size_t no_return; /* the step with the point of no return, or PLAN_NO_STEP */
};

#define PLAN_NO_STEP SIZE_MAX

/* The index of the step, or PLAN_NO_STEP. */
size_t plan_find_step(const struct plan *p, const char *id);
const struct plan_param *plan_find_param(const struct plan *p, const char *name);

/* Does step b wait for step a, directly or further up? */
static inline bool plan_is_after(const struct plan *p, size_t a, size_t b)
{
    return p->after[b * p->step_count + a];
}

/* The class of a call, as with.effect of exec says; not only that of its type. */
enum step_class plan_class(const struct plan_call *call);

/* ---- values at run time ------------------------------------------------------------------------ */

/*
 * How the engine answers for a name: "ticket" "failed" "target" "target.address" "snapshot.id" "item"
 * "run.epoch" "regions.all" "objectives.rto". The JSON is typed as type.h says (durations are integers
 * of milliseconds, percents reals ...). A new reference; NULL: not known.
 * "secret.NAME" is never asked: it becomes {"secret": "NAME"}, for the engine to fill at the
 * very last moment and never to journal.
 */
struct plan_lookup {
    json_t *(*value)(void *arg, const char *name);
    void *arg;
    int64_t now_ns; /* for age() */
};

/* The value with all references filled. DR_E_UNKNOWN names the first that is not known; DR_E_CONFIG: what
 * came does not fit the type. The caller drops ret. */
enum dr_rc plan_value_resolve(const struct plan_value *v, const struct plan_lookup *look,
                              json_t **ret, struct dr_err *err) DR_MUST_USE;

/* All arguments of a call: the object that becomes "with" of the request. A check or method inside
 * becomes {"use": TYPE, "with": {...}}. extra (or NULL) replaces arguments: drill_with. */
enum dr_rc plan_call_resolve(const struct plan_call *c, const struct plan_call *extra,
                             const struct plan_lookup *look, json_t **ret, struct dr_err *err)
    DR_MUST_USE;

/* A value as people read it; what is not known yet stays as "${name}". The caller frees. */
char *plan_value_tell(const struct plan_value *v, const struct plan_lookup *look) DR_MUST_USE;

/* The step's title, or its type's sentence with the arguments in it. The caller frees. */
char *plan_step_title(const struct plan_step *s, const struct plan_lookup *look) DR_MUST_USE;

/* look may be NULL in the two above: nothing is known yet. */

/* A typed JSON value as text: "1m30s", "1.5GiB", "25%", "a, b". The caller frees. */
char *plan_json_tell(const json_t *value, enum arg_type type) DR_MUST_USE;

/* The condition of a step or check (NULL is true), with the same lookup. */
enum expr_truth plan_when(const struct plan *p, const struct expr *when,
                          const struct plan_lookup *look);

/* What a name stands for: its type; false when the plan knows no such name. */
bool plan_name_type(const struct plan *p, const char *name, enum arg_type *ret);

/* --set name=value: the value as typed JSON, checked by match and values. The caller drops ret. */
enum dr_rc plan_param_read(const struct plan_param *param, const char *text, json_t **ret,
                           struct dr_err *err) DR_MUST_USE;

#endif
