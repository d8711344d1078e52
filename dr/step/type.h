/*
 * type.h - what a plan may say: the step types, their arguments and outputs, as data.
 *
 * The table is the single source for the plan's reader and lint ("drctl plan types"),
 * for the engine (which class, which default) and for the child process that does
 * the work. It holds every type of the language; whether a type can run here is
 * another question, answered by the providers' table (plugins/plugins.h).
 */
#ifndef DR_STEP_TYPE_H
#define DR_STEP_TYPE_H

#include "dr/base/base.h"

enum step_class {
    STEP_CHECK,  /* changes nothing; answers pass, fail, unknown */
    STEP_NONE,   /* changes nothing; gives outputs */
    STEP_PERSON, /* waits for people */
    STEP_FENCE,  /* from here on: effects */
    STEP_DATA,
    STEP_PROMOTE,
    STEP_TRAFFIC,
    STEP_CHANGE,
};

/* How an argument is written, and in brackets how it travels to the step as JSON. */
enum arg_type {
    ARG_TEXT,     /* any scalar (string) */
    ARG_NAME,     /* a name (string) */
    ARG_INTEGER,  /* (integer) */
    ARG_NUMBER,   /* (real) */
    ARG_BOOLEAN,  /* (boolean) */
    ARG_DURATION, /* (integer, milliseconds) */
    ARG_SIZE,     /* (integer, bytes) */
    ARG_PERCENT,  /* (real, 0 to 1) */
    ARG_TIME,     /* (string, RFC 3339) */
    ARG_REGION,   /* region or host of sites: (string, its name) */
    ARG_SNAPSHOT, /* (string, the id) */
    ARG_LIST,     /* list of text (array of strings) */
    ARG_ARGV,     /* list of text: a command, no shell (array of strings) */
    ARG_SECRET,   /* only ${secret.NAME} (string; by descriptor, never journalled) */
    ARG_EXPR,     /* an expression of chapter 4 (string) */
    ARG_METHODS,  /* fence: list of {use, with} (array of {"use","with"}) */
    ARG_CHECK,    /* one check {use, with} (object) */
    ARG_MAP,      /* name -> text (object of strings) */
};

struct step_arg {
    const char *name;
    enum arg_type type;
    bool required;
    const char *const *choices; /* NULL-terminated, or NULL */
    const char *about;
};

struct step_output {
    const char *name;
    enum arg_type type;
    const char *about;
};

enum step_drill { DRILL_RUN, DRILL_ISOLATED, DRILL_SIMULATE, DRILL_SKIP };

struct step_type {
    const char *name;
    enum step_class class;
    const struct step_arg *args; /* ends with a NULL name */
    const struct step_output *outputs;
    int64_t timeout_ms; /* default of one attempt */
    enum step_drill drill;
    bool has_check;       /* brings its own "is it in place?" */
    bool has_undo;        /* brings its own undo */
    const char *sentence; /* default title, ${arg} allowed: "Send traffic of ${backend} to ${to}" */
};

/* NULL when there is none. */
const struct step_type *step_type_find(const char *name);

/* A way to fence: what stands under methods of a fence ("fence.lease"). NULL when there is none. */
const struct step_type *step_method_find(const char *name);
const struct step_type *step_method_all(size_t *ret_count);

/* How an argument is written, for people: "duration", "list of text". */
const char *step_arg_word(enum arg_type type);
const char *step_class_word(enum step_class class);
const char *step_drill_word(enum step_drill drill);

/* All of them, by name; the count in ret_count. */
const struct step_type *step_type_all(size_t *ret_count);

/* NULL when the type has no such argument. */
const struct step_arg *step_type_arg(const struct step_type *type, const char *name);

/* Everything from STEP_FENCE on changes the world. */
static inline bool step_is_effect(const struct step_type *type)
{
    return type->class >= STEP_FENCE;
}

#endif
