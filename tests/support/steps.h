/*
 * steps.h - a provider at work, as the engine sees it: a process, one request, lines of events.
 *
 *     struct tried t = step_try(&provider_haproxy, "apply", with, &ask);
 *     assert_int_equal(t.verdict, STEP_PASS);
 *     tried_fini(&t);
 *
 * The process is a fork of the test that runs step_main(), so the protocol is the real one and
 * a provider that crashes fails the test.
 */
#ifndef TESTS_SUPPORT_STEPS_H
#define TESTS_SUPPORT_STEPS_H

#include "dr/step/step.h"

/* The rest of a request; a zeroed struct is fine. Borrowed. */
struct step_ask {
    const char *config;   /* path, or NULL */
    const char *dark;     /* one region, or NULL */
    const json_t *former; /* or NULL */
    const char *target;   /* of the run */
    int64_t timeout_ms;   /* 0: 20 s */
    bool drill;           /* the run is one */
    const char *scratch;  /* of an isolated step of a drill, or NULL */
    const char *restored; /* the tree that an isolated restore above made, or NULL */
    const json_t *plant;  /* of the run, or NULL */
    bool may_die;         /* the process may end without a result: unknown, and died */
};

struct tried {
    enum step_verdict verdict;
    char why[1024];
    char proof[64];
    char log[4096];  /* lines of log events */
    size_t progress; /* events of it */
    int64_t refused; /* connects to a dark region, by the result */
    bool died;
    json_t *outputs;  /* an object */
    json_t *former;   /* what was kept, or NULL */
    json_t *evidence; /* or NULL */
};

/* with: arguments, a reference that is taken over. Ends the test when no result came. */
struct tried step_try(const struct provider *provider, const char *verb, json_t *with,
                      const struct step_ask *ask);
void tried_fini(struct tried *t);

/* A text of outputs or evidence, "" when absent. */
const char *tried_text(const json_t *object, const char *name);
int64_t tried_int(const json_t *object, const char *name);

#endif
