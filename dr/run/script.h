/*
 * script.h - a plan as the engine needs it: steps with their needs, types, checks, undo and words.
 *
 * It is drawn from the plan's model once, at the start of a run or from the journalled text at its
 * resume, and never changes. Arguments and conditions stay opaque: the script's ops
 * turn them into values when the facts are known.
 */
#ifndef DR_RUN_SCRIPT_H
#define DR_RUN_SCRIPT_H

#include "dr/config/config.h"
#include "dr/data/diag.h"
#include "dr/data/json.h"
#include "dr/run/table.h"
#include "dr/step/type.h"

/* The facts that names stand for: "failed" -> "us-east-1", "target.address", "snapshot.id"; borrowed
 * JSON objects, one level: {"failed":"us-east-1", "snapshot":{"id":...}, "target":{"":"eu","address":..}}. */
struct script_facts {
    const json_t *values;
};

enum script_truth { SCRIPT_NO, SCRIPT_YES, SCRIPT_UNKNOWN };

struct script;

struct script_ops {
    /* Arguments with everything put in, those of extra (or NULL) instead of with's; DR_E_CONFIG when a
     * name has no value. Taken over by the caller. */
    enum dr_rc (*resolve)(const struct script *s, const void *with, const void *extra,
                          const struct script_facts *facts, json_t **ret, struct dr_err *err);
    enum script_truth (*truth)(const struct script *s, const void *when,
                               const struct script_facts *facts);
    /* A text with names in it (the point of no return), a step's title; never NULL. The caller frees. */
    char *(*text)(const struct script *s, const void *text, const struct script_facts *facts);
    char *(*title)(const struct script *s, size_t step, const struct script_facts *facts);
    void (*free)(struct script *s);
};

struct script_check {
    const char *id; /* or NULL */
    const struct step_type *type;
    const void *with;
    const void *when; /* NULL: always */
    int64_t timeout_ms;
    enum on_error on_error; /* ON_NONE: by mode (preflight) */
    bool target;            /* mentions target */
};

enum script_undo { UNDO_OF_TYPE, UNDO_GIVEN, UNDO_HARMLESS, UNDO_IMPOSSIBLE };

struct script_step {
    const char *id;
    const struct step_type *type;
    enum step_class class; /* the type's, or the one that its arguments say (exec with effect) */
    const void *with;
    const void *when;    /* NULL: always */
    const size_t *needs; /* indices, all smaller than its own */
    size_t need_count;
    int64_t timeout_ms;
    int retry;
    bool repeatable;                  /* check: repeatable */
    bool own_check;                   /* the type's own answers */
    const struct script_check *check; /* given by the plan, or NULL */
    const struct script_check *verify;
    size_t verify_count;
    enum script_undo undo;
    const struct step_type *undo_type;
    const void *undo_with;
    enum on_error on_error;
    bool ponr;
    const void *ponr_text;
    bool target; /* belongs to the target */
    enum step_drill drill;
    const void *drill_with;  /* arguments that a drill replaces; or NULL */
    const char *drill_names; /* theirs, for people: "name, to"; or NULL */
};

struct script {
    const struct script_ops *ops;
    const char *name, *title;
    const char *sha256; /* of the text */
    const char *text;   /* the file as it was read */
    const char *file;   /* its name as it was given, or NULL */
    const char *const *regions;
    size_t region_count;
    int64_t rto_ms, rpo_ms; /* -1: none */
    const struct script_check *preflight;
    size_t preflight_count;
    const struct script_check *invariants;
    size_t invariant_count;
    const struct script_step *steps;
    size_t step_count;
    void *owner; /* of the ops */
};

static inline void script_free(struct script *s)
{
    if (s != NULL)
        s->ops->free(s);
}
DR_DEFINE_CLEANUP(struct script, script_free)

#endif
