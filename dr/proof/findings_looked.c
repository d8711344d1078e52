/*
 * findings_looked.c - is the silence of a run an answer?
 *
 * A drill draws some faults out of many and may end before half of its steps. If it does not tell a finding of an earlier
 * one, that is good news only when it looked there. Where a run cannot have looked (a thing that another run left
 * lying about), a person has to say that it is done.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/findings.h"
#include "dr/proof/period_work.h"

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

static const json_t *named(const json_t *list, const char *key, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one) if (is(report_word(one, key), name)) return one;
    return NULL;
}

static bool looked_control(const json_t *report, const char *subject)
{
    const json_t *drill = json_object_get(report, "drill");
    if (is(subject, "none") || is(subject, "unanswered"))
        return json_is_object(json_object_get(drill, "power"));
    const json_t *one = named(report_list(drill, "controls"), "name", subject);
    return body_is(one, "planted") && json_is_boolean(json_object_get(one, "caught"));
}

static bool looked_sentinel(const json_t *report, const char *subject)
{
    const json_t *list = report_list(json_object_get(report, "drill"), "sentinels");
    return json_is_boolean(json_object_get(named(list, "source", subject), "ok"));
}

static bool looked_production(const json_t *report, const char *subject)
{
    const json_t *production = json_object_get(json_object_get(report, "drill"), "production");
    (void)subject; /* all of it is compared, or nothing */
    return json_is_boolean(json_object_get(production, "equal"));
}

/* Refused at each host that tried. What is configured no more is an answer as well; what was not tried is none. */
/* "WHAT NAME": was it tried? */
static bool looked_credentials(const json_t *report, const char *subject)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(json_object_get(report, "drill"), "credentials"), i, one)
    {
        DR_FREE char *name = dr_strf("%s %s", report_word(one, "what"), report_word(one, "name"));
        if (is(name, subject))
            return true;
    }
    return false;
}

/* A step that the plan no longer has is an answer as well. */
static bool looked_step(const json_t *report, const char *subject)
{
    const json_t *step = named(report_list(report, "steps"), "id", subject);
    const char *state = report_word(step, "state");
    return step == NULL || !(is(state, "pending") || is(state, "skipped") || is(state, "undone"));
}

static bool looked_objective(const json_t *report, const char *subject)
{
    const char *verdict = report_word(json_object_get(report, subject), "verdict");
    return is(verdict, "met") || is(verdict, "none");
}

static bool looked_fence(const json_t *report, const char *subject)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(report, "fencing"), i, one)
    {
        const char *region = report_has(one, "region") ? "region" : "step";
        if (is(report_word(one, region), subject) && report_has(one, "proof"))
            return true;
    }
    return false;
}

/* "CHECK REGION", or the check alone. */
static bool looked_preflight(const json_t *report, const char *subject)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(report, "preflight"), i, one)
    {
        const char *region = report_word(one, "region");
        DR_FREE char *name =
            dr_strf("%s%s%s", report_word(one, "check"), region[0] != '\0' ? " " : "", region);
        if (is(name, subject) && is(report_word(one, "verdict"), "pass"))
            return true;
    }
    return false;
}

/* What lies about goes when somebody takes it away: the run itself, later, or a person who says so. */
static bool looked_leftover(const json_t *report, const char *subject)
{
    const json_t *list = report_list(json_object_get(report, "drill"), "cleaned");
    return body_is(named(list, "name", subject), "ok");
}

/* The subject is the region that was dark, or a step. */
static bool looked_refused(const json_t *report, const char *subject)
{
    return is(report_word(report, "failed"), subject) ||
           named(report_list(report, "steps"), "id", subject) != NULL;
}

static bool looked_segregation(const json_t *report, const char *subject)
{
    (void)subject;
    return body_is(json_object_get(json_object_get(report, "drill"), "segregated"), "segregated");
}

bool findings_looked(const json_t *report, const json_t *one)
{
    static const struct {
        const char *kind;
        bool (*looked)(const json_t *report, const char *subject);
    } kinds[] = {
        { "control", looked_control },
        { "sentinel", looked_sentinel },
        { "production", looked_production },
        { "credentials", looked_credentials },
        { "step", looked_step },
        { "skipped", looked_step },
        { "not measured", looked_step },
        { "objective", looked_objective },
        { "fence", looked_fence },
        { "preflight", looked_preflight },
        { "leftover", looked_leftover },
        { "refused", looked_refused },
        { "segregation", looked_segregation },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds); i++)
        if (is(report_word(one, "kind"), kinds[i].kind))
            return kinds[i].looked(report, report_word(one, "subject"));
    return true;
}
