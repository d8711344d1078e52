/*
 * objectives.c - rto and rpo: a duration for each plan that the user named.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"

/* A plan's name as the plan itself writes it: '-' and '_' are equal here. */
static char *plan_name(const char *text)
{
    char *name = dr_strdup(text);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '-')
            *p = '_';
    return name;
}

static void add_objective(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                          struct config_objective **list, size_t *count)
{
    int64_t ms = 0;
    if (!reader_is_name(r, key, "a plan's name") || !reader_is(r, value, YAML_SCALAR, key->text) ||
        !reader_duration(r, value, &ms))
        return;
    char *plan = plan_name(key->text);
    for (size_t i = 0; i < *count; i++)
        if (strcmp((*list)[i].plan, plan) == 0) {
            reader_error(r, key, "duplicate-key", "'%s' is given twice in this block", key->text);
            diag_hint(r->d, "first given on line %d; '-' and '_' are equal here",
                      (*list)[i].at.line);
            free(plan);
            return;
        }
    *list = dr_realloc(*list, *count + 1, sizeof(**list));
    (*list)[(*count)++] = (struct config_objective){ plan, ms, { key->line, key->col } };
}

void config_read_rto(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config *c = out;
    if (reader_is(r, value, YAML_MAP, key->text))
        for (size_t i = 0; i < value->count; i++)
            add_objective(r, value->keys[i], value->items[i], &c->rto, &c->rto_count);
}

void config_read_rpo(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config *c = out;
    if (reader_is(r, value, YAML_MAP, key->text))
        for (size_t i = 0; i < value->count; i++)
            add_objective(r, value->keys[i], value->items[i], &c->rpo, &c->rpo_count);
}

static void fini_objectives(struct config_objective *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].plan);
    free(list);
}

void config_fini_rto(void *out)
{
    struct config *c = out;
    fini_objectives(c->rto, c->rto_count);
}

void config_fini_rpo(void *out)
{
    struct config *c = out;
    fini_objectives(c->rpo, c->rpo_count);
}
