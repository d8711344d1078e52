/*
 * control_ask.h - one request of a control to the real child, and all that it answered.
 *
 *     struct control_ask ask = { .type = "backup.pick", .verb = "apply", .with = with, .plant = &plant };
 *     DR_TRY(control_ask(place, &ask, &answer, err));
 *
 * The child is the one that a run starts ("PROGRAM step"), with the same deadline, the same dark region, and
 * `drill: true`. Beside the outcome the lines that it logged are kept: a restore that healed itself passes, and says
 * only there what it healed. While it runs, place.stop is asked every CONTROL_STOP_MS.
 */
#ifndef DR_DRILL_CONTROL_ASK_H
#define DR_DRILL_CONTROL_ASK_H

#include "backup/store/plant.h"
#include "dr/drill/control.h"
#include "dr/step/child.h"

enum { CONTROL_STOP_MS = 100, CONTROL_TIMEOUT_MS = 600000, CONTROL_LOG_MAX = 200 };

struct control_ask {
    const char *type, *verb;
    json_t *with;              /* an object; taken over */
    const struct plant *plant; /* borrowed; NULL: none */
};

/* A zeroed struct is empty. */
struct control_answer {
    struct step_outcome outcome;
    struct text_list log;
};
void control_answer_fini(struct control_answer *a);

/* DR_OK: it ended, however. DR_E_CANCELLED: stopped. The caller finis ret. */
enum dr_rc control_ask(const struct control_place *p, struct control_ask *ask,
                       struct control_answer *ret, struct dr_err *err) DR_MUST_USE;

/* A text of its outputs or its evidence; "" where there is none. Borrowed. */
const char *control_output(const struct control_answer *a, const char *name);
const char *control_fact(const struct control_answer *a, const char *name);

/* How often the fault was met there. */
int64_t control_met(const struct control_answer *a);

/* Did it fail, and with that kind of error? */
bool control_failed_as(const struct control_answer *a, enum dr_rc rc);

#endif
