/*
 * types.c - the table of step types, shown to people and to scripts.
 */
#include <stdio.h>
#include <string.h>

#include "dr/data/duration.h"
#include "dr/plan/reading.h"

static const char *timeout_text(const struct step_type *t, char out[DURATION_TEXT_MAX])
{
    return t->timeout_ms > 0 ? duration_print(t->timeout_ms, out) : "none";
}

static const char *own_text(const struct step_type *t)
{
    return t->has_check && t->has_undo ? "check, undo"
           : t->has_check              ? "check"
           : t->has_undo               ? "undo"
                                       : "-";
}

void plan_print_types(struct buf *out)
{
    size_t count, methods;
    const struct step_type *all = step_type_all(&count);
    const struct step_type *ways = step_method_all(&methods);
    buf_addf(out, "%-18s %-8s %-12s %s\n", "TYPE", "CLASS", "BRINGS", "WHAT IT DOES");
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "%-18s %-8s %-12s %s\n", all[i].name, step_class_word(all[i].class),
                 own_text(&all[i]), all[i].sentence);
    buf_adds(out, "\nWays to fence, under methods of fence:\n");
    for (size_t i = 0; i < methods; i++)
        buf_addf(out, "%-18s %-8s %-12s %s\n", ways[i].name, "", "", ways[i].sentence);
    buf_adds(out, "\ndrctl plan types TYPE shows arguments and outputs.\n");
}

void plan_print_type(const struct step_type *type, struct buf *out)
{
    char time[DURATION_TEXT_MAX];
    buf_addf(out, "%s  (%s)  %s\n", type->name, step_class_word(type->class), type->sentence);
    buf_addf(out, "  timeout of one attempt %s; in a drill: %s; brings its own: %s\n",
             timeout_text(type, time), step_drill_word(type->drill), own_text(type));
    for (const struct step_arg *a = type->args; a->name != NULL; a++) {
        buf_addf(out, "%s  %-16s %-11s%s  %s", a == type->args ? "arguments\n" : "", a->name,
                 step_arg_word(a->type), a->required ? "required" : "        ", a->about);
        for (size_t i = 0; a->choices != NULL && a->choices[i] != NULL; i++)
            buf_addf(out, "%s%s", i == 0 ? " (" : " | ", a->choices[i]);
        buf_adds(out, a->choices != NULL ? ")\n" : "\n");
    }
    for (const struct step_output *o = type->outputs; o->name != NULL; o++)
        buf_addf(out, "%s  %-16s %-11s          %s\n", o == type->outputs ? "outputs\n" : "",
                 o->name, step_arg_word(o->type), o->about);
}

static json_t *args_json(const struct step_type *type)
{
    json_t *list = json_array();
    for (const struct step_arg *a = type->args; a->name != NULL; a++) {
        json_t *one = json_object();
        json_put_text(one, "name", a->name);
        json_put_text(one, "type", step_arg_word(a->type));
        json_put(one, "required", json_boolean(a->required));
        json_put_text(one, "about", a->about);
        if (a->choices != NULL) {
            json_t *choices = json_array();
            for (size_t i = 0; a->choices[i] != NULL; i++)
                json_array_append_new(choices, json_string(a->choices[i]));
            json_put(one, "choices", choices);
        }
        json_array_append_new(list, one);
    }
    return list;
}

json_t *plan_type_json(const struct step_type *type)
{
    json_t *root = json_object(), *outputs = json_array();
    for (const struct step_output *o = type->outputs; o->name != NULL; o++) {
        json_t *one = json_object();
        json_put_text(one, "name", o->name);
        json_put_text(one, "type", step_arg_word(o->type));
        json_put_text(one, "about", o->about);
        json_array_append_new(outputs, one);
    }
    json_put_text(root, "type", type->name);
    json_put_text(root, "class", step_class_word(type->class));
    json_put_text(root, "sentence", type->sentence);
    json_put_int(root, "timeout_ms", type->timeout_ms);
    json_put_text(root, "drill", step_drill_word(type->drill));
    json_put(root, "has_check", json_boolean(type->has_check));
    json_put(root, "has_undo", json_boolean(type->has_undo));
    json_put(root, "arguments", args_json(type));
    json_put(root, "outputs", outputs);
    return root;
}
