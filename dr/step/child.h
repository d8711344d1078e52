/*
 * child.h - the engine's side of a step: a process with a deadline that cannot surprise us.
 *
 * The child gets its request on standard input (a memory file, so that a child that does not read
 * cannot stop us), a process group of its own, and a signal when its parent dies. Its
 * lines are checked against the protocol of step.h. However it ends, exactly one outcome comes:
 *
 *     result line, then end             the verdict it gave
 *     end without a result, a signal,
 *     a line that is none, too much
 *     output                            unknown, doubt: the step may have done anything
 *     deadline, child_stop()            SIGTERM to the group, after the grace SIGKILL; unknown, doubt
 *
 * Bounds: one line 1 MiB, all of standard output 16 MiB, of standard error the last 4 KiB are
 * kept as the step's last words. Everything runs on the caller's libuv loop; nothing blocks.
 */
#ifndef DR_STEP_CHILD_H
#define DR_STEP_CHILD_H

#include <uv.h>

#include "dr/step/step.h"

enum {
    CHILD_LINE_MAX = 1 << 20,
    CHILD_OUTPUT_MAX = 16 << 20,
    CHILD_TAIL_MAX = 4096,
    CHILD_GRACE_MS = 5000,
};

/* How one request ended. A zeroed struct is empty. */
struct step_outcome {
    enum step_verdict verdict;
    bool doubt;       /* no word from the step itself */
    char *why;        /* one sentence; owned, never NULL once filled */
    char *proof;      /* owned, or NULL */
    json_t *outputs;  /* object, or NULL */
    json_t *former;   /* object, or NULL */
    json_t *evidence; /* or NULL */
    char *tail;       /* last words on standard error; owned, or NULL */
    int64_t refused;  /* connects to a dark region that did not happen */
    int64_t dur_ms;
};
void step_outcome_fini(struct step_outcome *o);

/* Callbacks, on the loop. event: progress and log lines as they come (borrowed). done: once, last. */
struct step_hooks {
    void (*event)(void *arg, const json_t *event);         /* or NULL */
    void (*done)(void *arg, struct step_outcome *outcome); /* may move fields out */
    void *arg;
};

struct child_options {
    const char *const *argv; /* ends with NULL; argv[0] is an absolute path */
    const json_t *request;   /* copied */
    int64_t timeout_ms;      /* > 0 */
    int64_t grace_ms;        /* between SIGTERM and SIGKILL; 0: CHILD_GRACE_MS */
    bool speaks_for_group;   /* our own "step" verb: at our death it ends its whole group */
};

struct child;

/* Start it. After DR_OK done() will come; after a failure nothing began. */
enum dr_rc child_start(uv_loop_t *loop, const struct child_options *options,
                       const struct step_hooks *hooks, struct child **ret, struct dr_err *err)
    DR_MUST_USE;

/* End it before its deadline; done() comes later, with why in it. hard: SIGKILL at once. */
void child_stop(struct child *c, const char *why, bool hard);

#endif
