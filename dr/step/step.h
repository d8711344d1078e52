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
 *                                                 of a drill also "plant": a fault (plant.h); else refused;
 *                                                 "meant": the plan has it change things in a drill, too
 *               "dark":["us-east-1"],             regions this step must not connect to
 *               "config":"/abs/path/dr.yaml", "timeout_ms":30000}
 *     events   {"event":"log","text":"..."}
 *              {"event":"progress","done":N,"total":N,"unit":"bytes|tries","text":"..."}
 *              {"event":"former","value":{...}}   journalled with the intent (from check) or at once
 *              {"event":"output","name":"path","value":...}
 *              {"event":"result","verdict":"pass|fail|unknown","why":"...","proof":"lease_expired",
 *               "evidence":{...}, "refused":N}    exactly one, last; refused: connects to dark regions
 *
 * Verdicts: of a check (or of "is it in place?"): pass = yes, fail = no, unknown. Of apply and
 * undo: pass = done, fail = not done and nothing begun or all taken back, unknown = cannot
 * tell. A process that ends without a result, or breaks the protocol, is unknown.
 *
 * Over a connection ("drctl step --remote", started by ssh at a site) the same lines are spoken, but
 * the step announces itself first, and gets its request only then. A runner that never saw the
 * announcement has sent nothing, so nothing was begun: that is proved, not guessed. Standard input
 * stays open for as long as the runner lives, and its end is the end of the step (watch.h).
 *
 *     <-  {"event":"ready","v":1,"host":"eu-db-1","version":"0.1.0"}
 *     ->  the request, one line; its "config" is not used: each host has a configuration of its own
 *     <-  events, as above
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

/* Was it sent here from another host? Then `at` is this host, however others reach it. */
bool step_is_here(const struct step_call *call);

/* The request as it came, for whoever sends it on. */
const json_t *step_request(const struct step_call *call);

/* Events. */
void step_log(struct step_call *call, const char *fmt, ...) DR_PRINTF(2, 3);
void step_progress(struct step_call *call, int64_t done, int64_t total, const char *unit);
void step_keep(struct step_call *call, json_t *former);                    /* taken over */
void step_output(struct step_call *call, const char *name, json_t *value); /* taken over */

/* An event of another process, as it is (borrowed). */
void step_pass_on(struct step_call *call, const json_t *event);

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

/* How "drctl step" was started. A zeroed struct: by the engine of this host. */
struct step_options {
    bool remote;         /* over a connection, as told above */
    const char *version; /* of this program; NULL: not told */
    const char *config;  /* remote: the configuration of this host; or NULL */
    /* Does this step belong elsewhere? Then it is done there, and true comes back with the verdict.
     * Not asked with remote. Or NULL. */
    bool (*elsewhere)(struct step_call *call, enum step_verdict *ret);
};

/* The exit code behind a result that is unknown because the time was over: what the step left in its
 * process group is still at it, and whoever started the step ends the group. */
enum { STEP_EXIT_LATE = 75 };

/*
 * The body of "drctl step": read one request from fd 0, let the provider do it, write events to
 * fd 1. Returns the exit code (0 or STEP_EXIT_LATE whenever a result was written). providers: ends with a NULL type.
 * A check that fails is polled by the ENGINE, not here: a provider answers once, now.
 */
int step_main(const struct provider *const *providers, size_t count,
              const struct step_options *options);

#endif
