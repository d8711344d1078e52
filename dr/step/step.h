/*
 * step.h - one step at work: the contract between the engine and whatever does it.
 *
 * A step is a process. The engine writes one line of JSON (the request) to its standard
 * input and closes it; the step writes lines of JSON (events) to its standard output and ends.
 * Standard error is kept as its last words. Built-in types run as "drctl step", by the same
 * protocol; an executable plugin is driven the same way.
 *
 *     request  {"v":1, "verb":"check|apply|undo|verify|describe", "type":"haproxy", "step":"lb",
 *               "key":"R-31/lb/-/1",              idempotency key: the same for each attempt of a round
 *               "with":{...},                     arguments, typed as type.h says
 *               "former":{...},                   what an earlier check or apply told to keep (undo)
 *               "run":{"id","mode","drill","by","epoch","started","failed","active","target"},
 *               "dark":["us-east-1"],             regions this step must not connect to
 *               "config":"/abs/path/dr.yaml", "timeout_ms":30000}
 *     events   {"event":"log","text":"..."}
 *              {"event":"progress","done":N,"total":N,"unit":"bytes|tries","text":"..."}
 *              {"event":"former","value":{...}}   journalled with the intent (from check) or at once
 *              {"event":"output","name":"path","value":...}
 *              {"event":"result","verdict":"pass|fail|unknown","why":"...","proof":"lease_expired",
 *               "evidence":{...}}                 exactly one, last
 *
 * Verdicts: of a check (or of "is it in place?"): pass = yes, fail = no, unknown. Of apply and
 * undo: pass = done, fail = not done and nothing begun or all taken back, unknown = cannot
 * tell. A process that ends without a result, or breaks the protocol, is unknown.
 *
 * A provider is the in-binary side of it: functions that get a struct step_call.
 */
#ifndef DR_STEP_STEP_H
#define DR_STEP_STEP_H

#include "dr/base/err.h"
#include "dr/data/json.h"

enum step_verdict { STEP_PASS, STEP_FAIL, STEP_UNKNOWN };

struct step_call; /* one request, and the way back for its events */

/* What the request says. All borrowed until the call ends. */
const char *step_verb(const struct step_call *call);
const char *step_key(const struct step_call *call);
const json_t *step_with(const struct step_call *call);   /* an object */
const json_t *step_former(const struct step_call *call); /* an object; empty if none */
const json_t *step_run(const struct step_call *call);
const char *step_config(const struct step_call *call);  /* path of the configuration */
int64_t step_deadline_ms(const struct step_call *call); /* on clock_boot_ms() */

/* Arguments with their defaults; required ones were checked by the plan's reader. */
const char *step_text(const struct step_call *call, const char *name, const char *fallback);
int64_t step_int(const struct step_call *call, const char *name, int64_t fallback);
double step_real(const struct step_call *call, const char *name, double fallback);
bool step_is_dark(const struct step_call *call, const char *region);

/* Events. */
void step_log(struct step_call *call, const char *fmt, ...) DR_PRINTF(2, 3);
void step_progress(struct step_call *call, int64_t done, int64_t total, const char *unit);
void step_keep(struct step_call *call, json_t *former);                    /* taken over */
void step_output(struct step_call *call, const char *name, json_t *value); /* taken over */

/* Say why in one sentence for people; returns the verdict: return step_says(call, STEP_FAIL, "..."). */
enum step_verdict step_says(struct step_call *call, enum step_verdict verdict, const char *fmt, ...)
    DR_PRINTF(3, 4);

/* The failure in err as a verdict: STEP_FAIL for what certainly did nothing, STEP_UNKNOWN for
 * DR_E_TRANSIENT, DR_E_TIMEOUT and DR_E_UNKNOWN. */
enum step_verdict step_says_err(struct step_call *call, const struct dr_err *err);

/* A fence's typed proof ("lease_expired" "write_refused" "power_off" "network_isolated" "operator"). */
void step_proof(struct step_call *call, const char *kind);

/* Facts behind the verdict, for the journal (taken over). */
void step_evidence(struct step_call *call, json_t *evidence);

/* One built-in type at work. NULL functions: the type has no such verb. */
struct provider {
    const char *type;
    enum step_verdict (*check)(struct step_call *call); /* the check itself, or "is it in place?" */
    enum step_verdict (*apply)(struct step_call *call);
    enum step_verdict (*undo)(struct step_call *call);
};

/*
 * The body of "drctl step": read one request from fd 0, let the provider do it, write events to
 * fd 1. Returns the exit code (0 whenever a result was written). providers: ends with a NULL type.
 * A check that fails is polled by the ENGINE, not here: a provider answers once, now.
 */
int step_main(const struct provider *const *providers, size_t count);

#endif
