/*
 * drill_facts.c - names and what they stand for, before the first record.
 */
#include "dr/drill/drill_facts.h"

#include <string.h>

#include "dr/base/mem.h"

/* {"": name, "address": ..., FIELD: ...}, as the engine has it in the run. */
static json_t *region_facts(const struct config *c, const char *region)
{
    json_t *o = json_object();
    const struct config_site *site = config_site(c, region);
    json_put(o, "", json_printable(region));
    if (site == NULL)
        return o;
    if (site->address != NULL)
        json_put(o, "address", json_printable(site->address));
    if (site->host != NULL)
        json_put(o, "host", json_printable(site->host));
    for (size_t i = 0; i < site->field_count; i++)
        json_put(o, site->fields[i].name, json_printable(site->fields[i].value));
    return o;
}

static const char *first_standby(const struct production_place *p)
{
    if (p->to != NULL)
        return p->to;
    for (size_t i = 0; i < p->script->region_count; i++)
        if (p->failed == NULL || strcmp(p->script->regions[i], p->failed) != 0)
            return p->script->regions[i];
    return NULL;
}

/* Outputs of a step that has not run. Only texts can be told from real ones later. */
static json_t *outputs_to_come(const struct step_type *type)
{
    json_t *o = json_object();
    for (const struct step_output *out = type->outputs; out != NULL && out->name != NULL; out++)
        if (out->type == ARG_TEXT || out->type == ARG_NAME || out->type == ARG_SNAPSHOT)
            json_put_text(o, out->name, DRILL_LATER);
    return o;
}

static json_t *run_facts(const struct production_place *p)
{
    json_t *o = json_object();
    json_put_text(o, "id", p->run != NULL ? p->run : DRILL_LATER);
    json_put_text(o, "scratch", DRILL_LATER);
    json_put_text(o, "by", "person");
    json_put(o, "drill", json_true());
    json_put_int(o, "epoch", 0);
    return o;
}

static json_t *facts_of(const struct production_place *p, const char *target)
{
    json_t *o = json_object();
    json_t *plan = json_object(), *all = json_array(), *regions = json_object();
    for (size_t i = 0; i < p->script->step_count; i++)
        json_put(o, p->script->steps[i].id, outputs_to_come(p->script->steps[i].type));
    DR_JSON json_t *params = p->params != NULL ? json_deep_copy(p->params) : json_object();
    (void)json_object_update(o, params); /* fails only without memory */
    if (p->failed != NULL)
        json_put(o, "failed", region_facts(p->config, p->failed));
    const char *active = p->failed != NULL             ? p->failed
                         : p->script->region_count > 0 ? p->script->regions[0]
                                                       : NULL;
    if (active != NULL)
        json_put(o, "active", region_facts(p->config, active));
    const char *chosen = target != NULL ? target : first_standby(p);
    if (chosen != NULL)
        json_put(o, "target", region_facts(p->config, chosen));
    for (size_t i = 0; i < p->script->region_count; i++)
        json_array_append_new(all, json_printable(p->script->regions[i]));
    json_put(regions, "all", all);
    json_put(o, "regions", regions);
    json_put_text(plan, "name", p->script->name);
    json_put(o, "plan", plan);
    json_put(o, "run", run_facts(p));
    return o;
}

enum dr_rc drill_resolve(const struct production_place *p, const void *with, const char *target,
                         json_t **ret, struct dr_err *err)
{
    DR_JSON json_t *values = facts_of(p, target);
    const struct script_facts facts = { .values = values };
    return p->script->ops->resolve(p->script, with, NULL, &facts, ret, err);
}

bool drill_is_later(const json_t *value)
{
    if (value == NULL)
        return false;
    DR_JSON json_t *within = json_array();
    json_array_append_new(within, json_deep_copy(value));
    DR_FREE char *dump = json_dumps(within, JSON_COMPACT);
    return dump == NULL || strstr(dump, DRILL_LATER) != NULL;
}

/* -- sources ----------------------------------------------------------------------------------- */

static void add_once(struct text_list *list, const char *name)
{
    if (!text_list_has(list, name))
        text_list_add(list, name);
}

void drill_sources(const struct production_place *p, struct text_list *ret)
{
    for (size_t i = 0; i < p->script->step_count; i++) {
        DR_JSON json_t *with = NULL;
        struct dr_err err = { 0 };
        if (strcmp(p->script->steps[i].type->name, "backup.pick") != 0)
            continue;
        const char *source = NULL;
        if (drill_resolve(p, p->script->steps[i].with, NULL, &with, &err) == DR_OK)
            source = json_string_value(json_object_get(with, "source"));
        for (size_t k = 0; source == NULL && k < p->config->source_count; k++)
            add_once(ret, p->config->sources[k].name);
        if (source != NULL)
            add_once(ret, source);
    }
}

bool drill_wants_proof(const struct production_place *p, const char *source)
{
    for (size_t i = 0; i < p->script->step_count; i++) {
        DR_JSON json_t *with = NULL;
        struct dr_err err = { 0 };
        if (strcmp(p->script->steps[i].type->name, "backup.pick") != 0 ||
            drill_resolve(p, p->script->steps[i].with, NULL, &with, &err) != DR_OK)
            continue;
        const char *from = json_string_value(json_object_get(with, "source"));
        if (json_object_get(with, "verified_within") != NULL &&
            (from == NULL || strcmp(from, source) == 0))
            return true;
    }
    return false;
}
