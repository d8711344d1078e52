/*
 * reading.h - what the files of this room share while one plan is read. Not for other rooms.
 *
 * Reading goes in four passes over one tree: ids and types of all steps (read.c), everything with its
 * types (steps.c, value.c, names.c), order (order.c), and what must go together (lint.c, warn.c).
 * Each pass reports and goes on; a node that was reported is passed over by all later ones, so that
 * one mistake gives one message. Rules about the whole plan are asked only when each step has
 * an id, a type and needs that exist: else they would report what follows from a mistake.
 */
#ifndef DR_PLAN_READING_H
#define DR_PLAN_READING_H

#include "dr/data/yaml.h"
#include "dr/plan/plan.h"

enum { PLAN_STEPS_MAX = 500 };

/* Where a reference stands. */
enum ref_where {
    REF_WITH,
    REF_CHECK,
    REF_VERIFY,
    REF_UNDO,
    REF_DRILL,
    REF_EACH,
    REF_TITLE, /* and point_of_no_return: words only */
    REF_WHEN,
    REF_PREFLIGHT,
    REF_INVARIANT,
    REF_TRIGGER,
};

struct scope {
    enum ref_where where;
    size_t step; /* PLAN_NO_STEP outside of steps */
    bool item;   /* ${item} is known here */
    enum arg_type item_type;
    const char *arg; /* of the type: the argument that is read; or NULL */
    bool fence;      /* an argument of a fence or of its methods */
};

struct ref {
    char *name; /* owned */
    struct plan_place at;
    struct scope scope;
};

/* Where the keys of a step stand, for rules that speak about them. {0,0}: not given. */
struct step_places {
    struct plan_place retry_key, on_error, batch_key, timeout;
    struct yaml_node *node, *needs;
};

struct reading {
    struct plan *p;
    struct diag *d;
    const struct plan_world *world; /* or NULL */
    struct ref *refs;
    size_t ref_count, ref_cap;
    struct step_places *places; /* one for each step */
    struct plan_place rto_at, rpo_at, objective_at, mode_at;
    bool shaky; /* a step has no id, no type or no needs: no rules about the whole plan */
};

/* ---- block.c: the plain parts ------------------------------------------------------------------ */

struct plan_place place_of(const struct yaml_node *node);
void say(struct reading *r, struct yaml_node *node, const char *code, const char *fmt, ...)
    DR_PRINTF(4, 5);
bool hint_near(struct reading *r, const char *word, const char *const *words);
bool is_kind(struct reading *r, struct yaml_node *node, enum yaml_kind kind, const char *key);

/* Report the keys of map that are not among known ("a step has no key 'x'"). */
void known_keys(struct reading *r, const struct yaml_node *map, const char *what,
                const char *const *known);

/* The value of a key, when it is there and not reported. */
struct yaml_node *value_of(const struct yaml_node *map, const char *key);

/* Report that map lacks key, unless it is there (reported or not). */
bool need_key(struct reading *r, struct yaml_node *map, const char *what, const char *key);

/* Scalars without references; false after a report. */
bool read_word(struct reading *r, struct yaml_node *node, const char *key, char **ret);
bool read_name(struct reading *r, struct yaml_node *node, const char *key, char **ret);
bool read_duration(struct reading *r, struct yaml_node *node, int64_t *ret_ms);
bool read_count(struct reading *r, struct yaml_node *node, const char *key, int64_t *ret);
bool read_choice(struct reading *r, struct yaml_node *node, const char *key,
                 const char *const *words, size_t *ret);

/* ---- value.c: arguments ------------------------------------------------------------------------ */

/* Literal text as typed JSON; NULL after a report at node. choices may be NULL. */
json_t *read_literal(struct reading *r, struct yaml_node *node, enum arg_type type,
                     const char *key);

/* A value of the type, references allowed; NULL after a report. */
struct plan_value *read_value(struct reading *r, struct yaml_node *node, enum arg_type type,
                              const char *key, const struct scope *scope);

/* use and with of map into call; call->type stays NULL after a report about use.
 * place: where missing arguments are reported when there is no with. */
/* The same for a block that names only some: nothing is missing. */
void read_given_arguments(struct reading *r, struct yaml_node *with, struct plan_call *call,
                          const struct scope *scope);
void read_arguments(struct reading *r, struct yaml_node *with, struct yaml_node *use,
                    struct plan_call *call, const struct scope *scope);

/* ---- names.c: what a name means ---------------------------------------------------------------- */

/* The type of name where scope is; false after a report at the place. */
bool name_type(struct reading *r, const char *name, struct plan_place at, const struct scope *scope,
               enum arg_type *ret);
void remember_ref(struct reading *r, const char *name, struct plan_place at,
                  const struct scope *scope);
bool is_name(const char *text);

/* A condition over the names of the plan; NULL after a report. */
struct expr *read_condition(struct reading *r, struct yaml_node *node, const char *key,
                            const struct scope *scope);
enum expr_kind expr_kind_of(enum arg_type type);

/* All references stand where their value is certain (chapter 4). After order_steps(). */
void check_refs(struct reading *r);

/* Does the reference mean the target (itself, a field of it, or the output of region.pick)? */
bool ref_is_target(const struct reading *r, const struct ref *ref);
/* The index of the step whose output it is, or PLAN_NO_STEP. */
size_t ref_step(const struct plan *p, const char *name);
bool ref_is(const char *name, const char *first);

/* ---- steps.c ------------------------------------------------------------------------------------ */

/* First id and use of all steps, then the rest of each. */
void read_step_head(struct reading *r, struct yaml_node *node, size_t index);
void read_step(struct reading *r, size_t index);
/* A list of checks: with ids in preflight and invariants; verify takes a single one too. */
void read_checks(struct reading *r, struct yaml_node *node, const char *key,
                 const struct scope *scope, struct plan_check **ret, size_t *ret_count);
bool read_check(struct reading *r, struct yaml_node *node, const char *key, bool id,
                const struct scope *scope, struct plan_check *ret);

/* ---- order.c, lint.c, warn.c ----------------------------------------------------------------- */

void order_steps(struct reading *r);
void find_belonging(struct reading *r);
void lint_plan(struct reading *r);
void lint_world(struct reading *r);
void warn_plan(struct reading *r);

bool step_changes(const struct plan_step *s);

/* A region or host that the configuration knows; without one: anything. */
void check_region(struct reading *r, struct yaml_node *node, const char *name);

/* ---- model.c ------------------------------------------------------------------------------------ */

void plan_value_free(struct plan_value *v);
void plan_call_fini(struct plan_call *c);
void plan_check_fini(struct plan_check *c);

#endif
