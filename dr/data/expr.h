/*
 * expr.h - conditions with three answers: "errors < 5% and p99 < 2", "how.answer == 'selective'".
 *
 * The grammar is chapter 4 of the plan language. A condition is compiled once, its kinds are checked
 * against what the names are known to be, and then it is evaluated as often as wanted: no loops, so
 * time is linear in its length. Values that are not there (a missing metric, NaN, a division by
 * zero, an overflow) are unknown, and unknown is neither yes nor no:
 *
 *     unknown and false = false        unknown or true = true        all else: unknown
 *
 * Names stand bare and mean what the caller says they mean.
 */
#ifndef DR_DATA_EXPR_H
#define DR_DATA_EXPR_H

#include "dr/base/base.h"

enum { EXPR_BYTES_MAX = 1000, EXPR_LEVELS_MAX = 32 };

enum expr_kind {
    EXPR_ANY, /* not known before the run; fits everything */
    EXPR_TRUTH,
    EXPR_NUMBER, /* integer, number, percent: one kind */
    EXPR_DURATION,
    EXPR_SIZE,
    EXPR_TIME,
    EXPR_TEXT,
    EXPR_LIST,
};

enum expr_truth { EXPR_FALSE, EXPR_TRUE, EXPR_UNKNOWN };

/* A value while it is computed. known false: unknown, of that kind. */
struct expr_value {
    enum expr_kind kind;
    bool known;
    bool truth;
    double number;           /* a plain number, milliseconds, bytes, seconds since 1970 */
    const char *text;        /* borrowed until the evaluation ends */
    const char *const *list; /* borrowed; count items */
    size_t count;
};

struct expr; /* compiled */

/* What is wrong with a text, and where. */
struct expr_mistake {
    size_t offset; /* of the wrong word, in bytes */
    char what[160];
    char hint[160]; /* "" when there is none */
};

/*
 * Compile text. kind_of says what a name is; false: there is none, and it has filled what and hint
 * of m (the place is set here). The result is a condition: it must be a yes or no.
 * NULL when it is wrong: m tells. The caller frees.
 */
struct expr *expr_compile(const char *text,
                          bool (*kind_of)(void *arg, const char *name, enum expr_kind *ret,
                                          struct expr_mistake *m),
                          void *arg, struct expr_mistake *m) DR_MUST_USE;
void expr_free(struct expr *e);
DR_DEFINE_CLEANUP(struct expr, expr_free)

/* The text it was compiled from; borrowed. */
const char *expr_text(const struct expr *e);

/* The names in it, each once, in order; borrowed. NULL behind the last. */
const char *const *expr_names(const struct expr *e);

/* now_ns: for age(). value_of leaves *ret as it is (unknown) when it does not know. */
enum expr_truth expr_eval(const struct expr *e,
                          void (*value_of)(void *arg, const char *name, struct expr_value *ret),
                          void *arg, int64_t now_ns);

#endif
