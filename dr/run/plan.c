/*
 * plan.c - the plan's model behind the engine's script: calls are resolved, conditions evaluated.
 */
#include "dr/run/plan.h"

#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"

struct plan_script {
    struct script script;
    struct plan *plan;
    char *text;
    struct script_check *checks; /* preflight, then invariants */
    struct script_step *steps;
    struct text_list regions;
};

/* -- names -------------------------------------------------------------------------------------- */

/* "target" is the name itself, "target.address" a member of what the facts say about it. */
static json_t *lookup(void *arg, const char *name)
{
    const struct script_facts *facts = arg;
    const char *dot = strchr(name, '.');
    if (dot == NULL) {
        json_t *value = json_object_get(facts->values, name);
        json_t *self = json_object_get(value, "");
        return json_incref(self != NULL ? self : value);
    }
    DR_FREE char *head = dr_memdup(name, (size_t)(dot - name));
    return json_incref(json_object_get(json_object_get(facts->values, head), dot + 1));
}

static struct plan_lookup look_at(const struct script_facts *facts)
{
    struct plan_lookup look = { .value = lookup, .now_ns = clock_wall_ns() };
    memcpy(&look.arg, &facts, sizeof(look.arg)); /* lookup() takes it back as const */
    return look;
}

static void free_const(const void *p)
{
    void *q = NULL;
    memcpy(&q, &p, sizeof(q));
    free(q);
}

static enum dr_rc resolve(const struct script *s, const void *with, const void *extra,
                          const struct script_facts *facts, json_t **ret, struct dr_err *err)
{
    (void)s;
    struct plan_lookup look = look_at(facts);
    return plan_call_resolve(with, extra, &look, ret, err);
}

static enum script_truth truth(const struct script *s, const void *when,
                               const struct script_facts *facts)
{
    const struct plan_script *ps = (const struct plan_script *)s;
    struct plan_lookup look = look_at(facts);
    switch (plan_when(ps->plan, when, &look)) {
    case EXPR_TRUE:
        return SCRIPT_YES;
    case EXPR_FALSE:
        return SCRIPT_NO;
    default:
        return SCRIPT_UNKNOWN;
    }
}

/* Titles come as steps, the point of no return as a value: both are told by the step itself. */
static char *step_text(const struct script *s, const void *text, const struct script_facts *facts)
{
    (void)s;
    struct plan_lookup look = look_at(facts);
    return plan_value_tell(text, &look);
}

static char *step_title(const struct script *s, size_t i, const struct script_facts *facts)
{
    const struct plan_script *ps = (const struct plan_script *)s;
    struct plan_lookup look = look_at(facts);
    return plan_step_title(&ps->plan->steps[i], &look);
}

static void script_release(struct script *s)
{
    struct plan_script *ps = (struct plan_script *)s;
    for (size_t i = 0; i < s->step_count; i++) {
        free_const(s->steps[i].check);
        free_const(s->steps[i].verify);
        free_const(s->steps[i].drill_names);
    }
    free_const(s->regions);
    text_list_fini(&ps->regions);
    free(ps->checks);
    free(ps->steps);
    free(ps->text);
    plan_free(ps->plan);
    free(ps);
}

static const struct script_ops plan_ops = { .resolve = resolve,
                                            .truth = truth,
                                            .text = step_text,
                                            .title = step_title,
                                            .free = script_release };

/* -- shapes ------------------------------------------------------------------------------------- */

static enum on_error word_of(enum plan_on_error word)
{
    static const enum on_error words[] = { [PLAN_HOLD] = ON_HOLD,
                                           [PLAN_NEXT_STANDBY] = ON_NEXT_STANDBY,
                                           [PLAN_ROLLBACK] = ON_ROLLBACK,
                                           [PLAN_CONTINUE] = ON_CONTINUE };
    return words[word];
}

static struct script_check check_of(const struct plan_check *c)
{
    return (struct script_check){ .id = c->id,
                                  .type = c->call.type,
                                  .with = &c->call,
                                  .when = c->when,
                                  .timeout_ms = c->timeout_ms,
                                  .on_error = c->on_error_given ? word_of(c->on_error) : ON_NONE,
                                  .target = c->uses_target };
}

static void fill_undo(const struct plan_step *p, struct script_step *s)
{
    static const enum script_undo kinds[] = { [PLAN_UNDO_NOT] = UNDO_IMPOSSIBLE,
                                              [PLAN_UNDO_NONE] = UNDO_HARMLESS,
                                              [PLAN_UNDO_OWN] = UNDO_OF_TYPE,
                                              [PLAN_UNDO_GIVEN] = UNDO_GIVEN };
    s->undo = kinds[p->undo_source];
    if (p->undo_source == PLAN_UNDO_GIVEN) {
        s->undo_type = p->undo->type;
        s->undo_with = p->undo;
    }
}

/* The arguments that a drill replaces, by name. The caller frees; NULL: none. */
static char *names_of(const struct plan_call *call)
{
    struct buf names = { 0 };
    for (size_t i = 0; call != NULL && i < call->arg_count; i++)
        buf_addf(&names, "%s%s", i > 0 ? ", " : "", call->args[i]->name);
    return names.len > 0 ? buf_take(&names) : NULL;
}

static void fill_step(const struct plan_step *p, struct script_step *s)
{
    struct script_check *verify = dr_alloc(p->verify_count + 1, sizeof(*verify));
    for (size_t i = 0; i < p->verify_count; i++) {
        verify[i] = check_of(&p->verify[i]);
        if (!p->verify[i].timeout_given)
            verify[i].timeout_ms = p->timeout_ms;
    }
    *s = (struct script_step){
        .id = p->id,
        .type = p->call.type,
        .class = plan_class(&p->call),
        .with = &p->call,
        .when = p->when,
        .needs = p->needs,
        .need_count = p->need_count,
        .timeout_ms = p->timeout_ms,
        .retry = p->retry,
        .repeatable = p->check_source == PLAN_CHECK_REPEATABLE,
        .own_check = p->check_source == PLAN_CHECK_OWN,
        .verify = verify,
        .verify_count = p->verify_count,
        .on_error = word_of(p->on_error),
        .ponr = p->point_of_no_return != NULL,
        .ponr_text = p->point_of_no_return,
        /* The pick itself is done again, though it does not mention what it gives. */
        .target = p->belongs_to_target || strcmp(p->call.type->name, "region.pick") == 0,
        .drill = p->drill,
        .drill_with = p->drill_with,
        .drill_names = names_of(p->drill_with),
    };
    if (p->check_source == PLAN_CHECK_GIVEN) {
        struct script_check *check = dr_alloc(1, sizeof(*check));
        *check = check_of(p->check);
        s->check = check;
    }
    fill_undo(p, s);
}

static void fill_checks(struct plan_script *ps)
{
    const struct plan *p = ps->plan;
    struct script_check *all = dr_alloc(p->preflight_count + p->invariant_count + 1, sizeof(*all));
    for (size_t i = 0; i < p->preflight_count; i++)
        all[i] = check_of(&p->preflight[i]);
    for (size_t i = 0; i < p->invariant_count; i++)
        all[p->preflight_count + i] = check_of(&p->invariants[i]);
    ps->checks = all;
    ps->script.preflight = all;
    ps->script.preflight_count = p->preflight_count;
    ps->script.invariants = all + p->preflight_count;
    ps->script.invariant_count = p->invariant_count;
}

static void fill_regions(struct plan_script *ps, const struct config *c)
{
    const struct plan *p = ps->plan;
    for (size_t i = 0; i < p->region_count; i++)
        text_list_add(&ps->regions, p->regions[i]);
    for (size_t i = 0; p->region_count == 0 && c != NULL && i < c->regions.count; i++)
        text_list_add(&ps->regions, c->regions.items[i]);
    const char **names = dr_alloc(ps->regions.count + 1, sizeof(*names));
    for (size_t i = 0; i < ps->regions.count; i++)
        names[i] = ps->regions.items[i];
    ps->script.regions = names;
    ps->script.region_count = ps->regions.count;
}

struct script *script_of_plan(struct plan *p, const char *text, const struct config *c)
{
    struct plan_script *ps = dr_alloc(1, sizeof(*ps));
    struct script *s = &ps->script;
    ps->plan = p;
    ps->text = dr_strdup(text);
    ps->steps = dr_alloc(p->step_count + 1, sizeof(*ps->steps));
    for (size_t i = 0; i < p->step_count; i++)
        fill_step(&p->steps[i], &ps->steps[i]);
    s->ops = &plan_ops;
    s->name = p->name;
    s->title = p->title;
    s->sha256 = p->hash;
    s->text = ps->text;
    s->file = p->file;
    s->rto_ms = p->rto_ms >= 0 || c == NULL ? p->rto_ms : config_rto_ms(c, p->name);
    s->rpo_ms = p->rpo_ms >= 0 || c == NULL ? p->rpo_ms : config_rpo_ms(c, p->name);
    s->steps = ps->steps;
    s->step_count = p->step_count;
    fill_checks(ps);
    fill_regions(ps, c);
    return s;
}

/* -- params ------------------------------------------------------------------------------------- */

static enum dr_rc set_one(const struct plan *p, const char *set, json_t *values, struct dr_err *err)
{
    const char *equals = strchr(set, '=');
    if (equals == NULL)
        return dr_fail(err, DR_E_USAGE, "--set %s: wanted NAME=VALUE", set);
    DR_FREE char *name = dr_memdup(set, (size_t)(equals - set));
    const struct plan_param *param = plan_find_param(p, name);
    if (param == NULL)
        return dr_fail(err, DR_E_USAGE, "plan '%s' has no param '%s'", p->name, name);
    if (json_object_get(values, name) != NULL)
        return dr_fail(err, DR_E_USAGE, "--set %s is given twice", name);
    json_t *value = NULL;
    DR_TRY(plan_param_read(param, equals + 1, &value, err));
    json_put(values, name, value);
    return DR_OK;
}

enum dr_rc script_params_so_far(const struct plan *p, const struct text_list *sets, json_t **ret,
                                struct dr_err *err)
{
    DR_JSON json_t *values = json_object();
    for (size_t i = 0; i < sets->count; i++)
        DR_TRY(set_one(p, sets->items[i], values, err));
    for (size_t i = 0; i < p->param_count; i++) {
        const struct plan_param *param = &p->params[i];
        if (param->fallback != NULL && json_object_get(values, param->name) == NULL)
            json_put(values, param->name, json_incref(param->fallback));
    }
    *ret = json_incref(values);
    return DR_OK;
}

enum dr_rc script_params(const struct plan *p, const struct text_list *sets, json_t **ret,
                         struct dr_err *err)
{
    DR_JSON json_t *values = NULL;
    DR_TRY(script_params_so_far(p, sets, &values, err));
    for (size_t i = 0; i < p->param_count; i++) {
        const struct plan_param *param = &p->params[i];
        if (json_object_get(values, param->name) != NULL)
            continue;
        (void)dr_fail(err, DR_E_USAGE, "plan '%s' needs param '%s'%s%s", p->name, param->name,
                      param->about != NULL ? ": " : "", param->about != NULL ? param->about : "");
        return dr_hint(err, "Add --set %s=VALUE.", param->name);
    }
    *ret = json_incref(values);
    return DR_OK;
}
