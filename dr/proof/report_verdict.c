/*
 * report_verdict.c - a drill's word on itself, held against its own records.
 *
 * The verdict is written by the program that held the drill. A report that only copied it would believe the one that is
 * to be judged: so "passed" stands only where nothing else on record speaks against it. The other way round
 * it is taken as it is: what a drill says against itself needs no second witness.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/ledger_work.h"
#include "dr/proof/report_work.h"

/* text is taken over. */
static void against(json_t *list, char *text)
{
    json_array_append_new(list, json_printable(text));
    free(text);
}

static void doubt_steps(json_t *list, const struct timeline *t)
{
    static const char *const bad[] = { "failed", "unknown", "tolerated" };
    for (size_t i = 0; i < t->step_count; i++)
        for (size_t k = 0; k < DR_ARRAY_LEN(bad); k++)
            if (strcmp(ledger_state(t, t->steps[i].id), bad[k]) == 0)
                against(list, dr_strf("step %s is %s", t->steps[i].id, bad[k]));
    const struct journal_record *clean = ledger_record(t, "cleaning");
    const char *then = clean != NULL ? body_text(clean->body, "then") : NULL;
    if (then == NULL || strcmp(then, "recovered") != 0)
        against(list, dr_strf("its steps came to: %s", then != NULL ? then : "no end on record"));
}

static void doubt_state(json_t *list, const struct timeline *t)
{
    const char *state = report_last(t, t->records->count, "run");
    if (ledger_record(t, "end") != NULL && (state == NULL || strcmp(state, "recovered") != 0))
        against(list, dr_strf("it ended: %s", state != NULL ? state : "not on record"));
}

static void doubt_things(json_t *list, const json_t *drill)
{
    const json_t *power = json_object_get(drill, "power");
    int64_t planted = body_int(power, "planted", 0), caught = body_int(power, "caught", 0);
    const json_t *equal = json_object_get(json_object_get(drill, "production"), "equal");
    size_t left = json_array_size(json_object_get(drill, "leftovers")), i;
    const json_t *one;
    if (caught < planted)
        against(list,
                dr_strf("%" PRId64 " of %" PRId64 " planted faults were caught", caught, planted));
    json_array_foreach(json_object_get(drill, "sentinels"), i, one)
    {
        const json_t *ok = json_object_get(one, "ok");
        if (!json_is_true(ok))
            against(list, dr_strf("the sentinel of %s was %s", body_told(one, "source"),
                                  json_is_false(ok) ? "not found" : "not looked for"));
    }
    if (!json_is_true(equal))
        against(list,
                dr_strf("production is %s",
                        json_is_false(equal) ? "not as before" : "not known to be as before"));
    json_array_foreach(json_object_get(drill, "credentials"), i, one)
    {
        if (strcmp(report_word(one, "writes"), "accepted") == 0)
            against(list, dr_strf("the drill credentials of %s %s can write",
                                  body_told(one, "what"), body_told(one, "name")));
    }
    if (left > 0)
        against(list, dr_strf("%zu thing%s left behind", left, left == 1 ? " is" : "s are"));
}

/* The newest one, unless another one did not pass. */
static const json_t *verdict_of(const struct timeline *t)
{
    const json_t *body = NULL;
    for (size_t i = 0; i < t->records->count; i++)
        if (report_is(&t->records->items[i], "verdict") &&
            (body == NULL || body_is(body, "passed")))
            body = t->records->items[i].body;
    return body;
}

void report_drill_verdict(json_t *drill, const struct timeline *t)
{
    const json_t *body = verdict_of(t);
    const json_t *told = json_object_get(body, "whys");
    json_t *whys = json_is_array(told) ? json_deep_copy(told) : json_array();
    bool passed = body_is(body, "passed");
    size_t own = json_array_size(whys);
    if (passed) {
        doubt_steps(whys, t);
        doubt_state(whys, t);
        doubt_things(whys, drill);
    }
    if (passed && json_array_size(whys) > 0) {
        if (own == 0)
            json_array_insert_new(whys, 0,
                                  json_string("its verdict says passed, and its records do not"));
        json_put(drill, "passed", json_false());
    } else {
        report_copy(drill, "passed", body, "passed");
    }
    json_put(drill, "died", json_boolean(body_is(body, "died")));
    json_put(drill, "why", whys);
}
