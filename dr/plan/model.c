/*
 * model.c - a plan's memory, and finding things in it.
 */
#include "dr/plan/model.h"

#include <string.h>

#include "dr/plan/reading.h"

void plan_value_free(struct plan_value *v)
{
    if (v == NULL)
        return;
    json_decref(v->fixed);
    for (size_t i = 0; i < v->part_count; i++)
        free(v->parts[i].text);
    for (size_t i = 0; i < v->count; i++) {
        if (v->names != NULL)
            free(v->names[i]);
        if (v->items != NULL)
            plan_value_free(v->items[i]);
        if (v->calls != NULL)
            plan_call_fini(&v->calls[i]);
    }
    free(v->parts);
    free(v->names);
    free(v->items);
    free(v->calls);
    free(v);
}

void plan_call_fini(struct plan_call *c)
{
    for (size_t i = 0; i < c->arg_count; i++)
        plan_value_free(c->values[i]);
    free(c->values);
    free(c->args);
    *c = (struct plan_call){ 0 };
}

void plan_check_fini(struct plan_check *c)
{
    free(c->id);
    expr_free(c->when);
    plan_call_fini(&c->call);
    *c = (struct plan_check){ 0 };
}

static void checks_free(struct plan_check *checks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        plan_check_fini(&checks[i]);
    free(checks);
}

static void words_free(char **words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(words[i]);
    free(words);
}

static void call_free(struct plan_call *c)
{
    if (c != NULL)
        plan_call_fini(c);
    free(c);
}

static void step_fini(struct plan_step *s)
{
    free(s->id);
    plan_call_fini(&s->call);
    plan_value_free(s->title);
    free(s->needs);
    expr_free(s->when);
    checks_free(s->check, s->check == NULL ? 0 : 1);
    checks_free(s->verify, s->verify_count);
    call_free(s->undo);
    plan_value_free(s->for_each);
    plan_value_free(s->batch_size);
    plan_value_free(s->batch_delay);
    plan_value_free(s->batch_healthy);
    call_free(s->drill_with);
    plan_value_free(s->point_of_no_return);
}

static void param_fini(struct plan_param *param)
{
    free(param->name);
    json_decref(param->fallback);
    free(param->match);
    words_free(param->values, param->value_count);
    free(param->about);
}

void plan_free(struct plan *p)
{
    if (p == NULL)
        return;
    free(p->name);
    free(p->title);
    free(p->file);
    words_free(p->regions, p->region_count);
    for (size_t i = 0; i < p->param_count; i++)
        param_fini(&p->params[i]);
    free(p->params);
    checks_free(p->trigger.failing, p->trigger.failing_count);
    checks_free(p->preflight, p->preflight_count);
    checks_free(p->invariants, p->invariant_count);
    words_free(p->notify, p->notify_count);
    for (size_t i = 0; i < p->step_count; i++)
        step_fini(&p->steps[i]);
    free(p->steps);
    free(p->after);
    free(p);
}

size_t plan_find_step(const struct plan *p, const char *id)
{
    for (size_t i = 0; i < p->step_count; i++)
        if (p->steps[i].id != NULL && strcmp(p->steps[i].id, id) == 0)
            return i;
    return PLAN_NO_STEP;
}

const struct plan_param *plan_find_param(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->param_count; i++)
        if (p->params[i].name != NULL && strcmp(p->params[i].name, name) == 0)
            return &p->params[i];
    return NULL;
}

enum step_class plan_class(const struct plan_call *call)
{
    static const struct {
        const char *word;
        enum step_class class;
    } effects[] = { { "none", STEP_NONE },
                    { "data", STEP_DATA },
                    { "promote", STEP_PROMOTE },
                    { "traffic", STEP_TRAFFIC },
                    { "change", STEP_CHANGE } };
    for (size_t i = 0; i < call->arg_count; i++) {
        if (strcmp(call->args[i]->name, "effect") != 0 || call->values[i]->fixed == NULL)
            continue;
        const char *word = json_string_value(call->values[i]->fixed);
        for (size_t k = 0; word != NULL && k < DR_ARRAY_LEN(effects); k++)
            if (strcmp(word, effects[k].word) == 0)
                return effects[k].class;
    }
    return call->type->class;
}

bool step_changes(const struct plan_step *s)
{
    return plan_class(&s->call) >= STEP_FENCE;
}
