/*
 * The first record of a run: everything that resume needs to know of plan, configuration and
 * people, so that no later step has to read a file that may have changed meanwhile.
 */
#include "dr/run/begin.h"

#include "dr/run/drill.h"
#include "dr/run/health.h"

static const char *const class_names[] = {
    [STEP_CHECK] = "check",     [STEP_NONE] = "none",     [STEP_PERSON] = "person",
    [STEP_FENCE] = "fence",     [STEP_DATA] = "data",     [STEP_PROMOTE] = "promote",
    [STEP_TRAFFIC] = "traffic", [STEP_CHANGE] = "change",
};

static void put(json_t *o, const char *key, const char *text)
{
    json_put(o, key, text != NULL ? json_printable(text) : json_null());
}

static json_t *steps_of(const struct script *s, const struct run_begin *b)
{
    DR_JSON json_t *nothing = json_object();
    struct script_facts facts = { .values = nothing };
    json_t *steps = json_array();
    for (size_t i = 0; i < s->step_count; i++) {
        const struct script_step *st = &s->steps[i];
        json_t *o = json_object();
        DR_FREE char *title = s->ops->title(s, i, &facts);
        put(o, "id", st->id);
        put(o, "use", st->type->name);
        put(o, "class", class_names[st->class]);
        put(o, "title", title);
        json_put(o, "effect", json_boolean(step_is_effect(st->type)));
        json_put(o, "ponr", json_boolean(st->ponr));
        json_put(o, "target", json_boolean(st->target));
        if (b->drill || b->dry)
            put(o, "drill", step_how_word(script_step_how(s, i, b->dry)));
        json_array_append_new(steps, o);
    }
    return steps;
}

json_t *run_begin_body(const struct script *s, const struct run_begin *b)
{
    json_t *o = json_object();
    json_t *regions = json_array();
    json_t *plan = json_object();
    json_t *objectives = json_object();
    for (size_t i = 0; i < s->region_count; i++)
        json_array_append_new(regions, json_printable(s->regions[i]));
    put(plan, "name", s->name);
    put(plan, "title", s->title);
    put(plan, "sha256", s->sha256);
    put(plan, "file", b->file);
    put(plan, "text", s->text);
    json_put_int(objectives, "rto_ms", s->rto_ms);
    json_put_int(objectives, "rpo_ms", s->rpo_ms);
    put(o, "id", b->id);
    put(o, "mode", b->mode);
    put(o, "by", b->by);
    put(o, "host", b->host);
    put(o, "boot_id", health_boot_id());
    if (health_clock_error_ms() >= 0)
        json_put_int(o, "clock_error_ms", health_clock_error_ms());
    put(o, "version", "1");
    put(o, "config", b->config_path);
    put(o, "failed", b->failed);
    put(o, "active", b->active);
    put(o, "to", b->to);
    json_put(o, "drill", json_boolean(b->drill));
    if (b->drill) {
        put(o, "scratch", b->scratch);
        put(o, "seed", b->seed);
    }
    json_put(o, "dry", json_boolean(b->dry));
    json_put(o, "remote", json_boolean(b->remote));
    json_put(o, "regions", regions);
    json_put(o, "objectives", objectives);
    if (b->findings != NULL)
        json_put(o, "findings", json_deep_copy(b->findings));
    json_put(o, "params", b->params != NULL ? json_deep_copy(b->params) : json_object());
    json_put(o, "plan", plan);
    json_put(o, "steps", steps_of(s, b));
    put(o, "run", "preflight");
    return o;
}
