/*
 * The table of a drill, from the script alone. A check is judged by what stands above it, so the kind of a
 * step is looked up before that of the checks, and never the other way round: a check changes nothing that
 * another one could miss.
 */
#include "dr/run/drill.h"

#include "dr/base/mem.h"

void drill_table_fini(struct drill_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->rows[i].why);
    free(t->rows);
    *t = (struct drill_table){ 0 };
}

bool script_is_above(const struct script *s, size_t k, size_t i)
{
    bool *above = dr_alloc(s->step_count + 1, sizeof(*above));
    above[i] = true;
    for (size_t at = i + 1; at > 0; at--)
        for (size_t n = 0; above[at - 1] && n < s->steps[at - 1].need_count; n++)
            above[s->steps[at - 1].needs[n]] = true;
    bool is = k != i && above[k];
    free(above);
    return is;
}

/* By the step itself; what stands above a check comes on top of it. */
static enum step_how own_how(const struct script_step *st, bool dry)
{
    static const enum step_how hows[] = { [DRILL_RUN] = HOW_RUN,
                                          [DRILL_ISOLATED] = HOW_ISOLATED,
                                          [DRILL_SIMULATE] = HOW_SIMULATE,
                                          [DRILL_SKIP] = HOW_SKIP };
    if (dry)
        return step_is_effect(st->type) || st->class == STEP_PERSON ? HOW_SIMULATE : HOW_RUN;
    if (st->drill_with != NULL)
        return HOW_WITH;
    return hows[st->drill];
}

bool script_is_pretended(const struct script *s, size_t k, bool dry)
{
    const struct script_step *st = &s->steps[k];
    enum step_how how = own_how(st, dry);
    bool told = how == HOW_SIMULATE || how == HOW_SKIP;
    if (dry)
        return told && step_is_effect(st->type);
    return told &&
           (st->class == STEP_PROMOTE || st->class == STEP_TRAFFIC || st->class == STEP_DATA);
}

/* The step whose absence a check would see: the nearest above it. False: none. */
static bool find_pretended(const struct script *s, size_t i, bool dry, size_t *ret)
{
    for (size_t k = i; k > 0; k--) {
        if (!script_is_pretended(s, k - 1, dry) || !script_is_above(s, k - 1, i))
            continue;
        *ret = k - 1;
        return true;
    }
    return false;
}

enum step_how script_step_how(const struct script *s, size_t i, bool dry)
{
    enum step_how how = own_how(&s->steps[i], dry);
    size_t k = 0;
    if (how == HOW_RUN && s->steps[i].class == STEP_CHECK && find_pretended(s, i, dry, &k))
        return HOW_NOT_MEASURED;
    return how;
}

static char *why_of(const struct script *s, size_t i, enum step_how how, bool dry)
{
    const struct script_step *st = &s->steps[i];
    size_t k = 0;
    switch (how) {
    case HOW_WITH:
        return dr_strf("for real, with a drill's own %s",
                       st->drill_names != NULL ? st->drill_names : "arguments");
    case HOW_ISOLATED:
        return dr_strdup("for real, below the scratch directory");
    case HOW_SIMULATE:
        return dr_strdup(st->class == STEP_PERSON ? "nobody is asked"
                         : dry                    ? "a dry run changes nothing"
                                                  : "it would change production");
    case HOW_SKIP:
        return dr_strdup("the plan leaves it out of a drill");
    case HOW_NOT_MEASURED:
        DR_ASSERT(find_pretended(s, i, dry, &k));
        return dr_strf("it comes after '%s', which is %s", s->steps[k].id,
                       own_how(&s->steps[k], dry) == HOW_SKIP ? "left out" : "only simulated");
    default:
        return dr_strdup("as in earnest");
    }
}

void script_drill_table(const struct script *s, bool dry, struct drill_table *ret)
{
    DR_ASSERT(ret->count == 0);
    ret->rows = dr_alloc(s->step_count + 1, sizeof(*ret->rows));
    ret->count = s->step_count;
    for (size_t i = 0; i < s->step_count; i++) {
        enum step_how how = script_step_how(s, i, dry);
        ret->rows[i] =
            (struct drill_row){ .step = s->steps[i].id, .how = how, .why = why_of(s, i, how, dry) };
    }
}
