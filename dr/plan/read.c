/*
 * read.c - the ten keys of a plan, and the order of the passes.
 */
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/plan/reading.h"

enum { NAMES_MAX = 100 };

static const char *const plan_keys[] = { "plan",   "title",   "regions",   "objectives",
                                         "params", "trigger", "preflight", "invariants",
                                         "notify", "steps",   NULL };

/* ---- regions, objectives, notify ---------------------------------------------------------------- */

static void read_regions(struct reading *r, struct yaml_node *node)
{
    struct plan *p = r->p;
    if (!is_kind(r, node, YAML_LIST, "regions"))
        return;
    if (node->count == 0 || node->count > NAMES_MAX) {
        say(r, node, "list", "'regions' has %zu items, 1 to %d are possible", node->count,
            NAMES_MAX);
        return;
    }
    p->regions = dr_alloc(node->count, sizeof(char *));
    for (size_t i = 0; i < node->count; i++) {
        struct yaml_node *item = node->items[i];
        char *name = NULL;
        if (item->reported || !read_word(r, item, "regions", &name))
            continue;
        p->regions[p->region_count++] = name;
        for (size_t k = 0; k + 1 < p->region_count; k++)
            if (strcmp(p->regions[k], name) == 0 && !item->reported)
                say(r, item, "duplicate-region", "region '%s' is given twice", name);
        if (!item->reported)
            check_region(r, item, name);
    }
}

static void read_objectives(struct reading *r, struct yaml_node *node)
{
    static const char *const keys[] = { "rto", "rpo", NULL };
    if (!is_kind(r, node, YAML_MAP, "objectives"))
        return;
    known_keys(r, node, "'objectives'", keys);
    struct yaml_node *rto = value_of(node, "rto"), *rpo = value_of(node, "rpo");
    if (rto != NULL && read_duration(r, rto, &r->p->rto_ms))
        r->rto_at = place_of(rto);
    if (rpo != NULL && read_duration(r, rpo, &r->p->rpo_ms))
        r->rpo_at = place_of(rpo);
    if (node->count > 0)
        r->objective_at = place_of(node->items[0]);
}

static void read_notify(struct reading *r, struct yaml_node *node)
{
    struct plan *p = r->p;
    if (!is_kind(r, node, YAML_LIST, "notify"))
        return;
    if (node->count > NAMES_MAX) {
        say(r, node, "list", "'notify' has more than %d items", NAMES_MAX);
        return;
    }
    p->notify = dr_alloc(node->count + 1, sizeof(char *));
    for (size_t i = 0; i < node->count; i++)
        if (!node->items[i]->reported &&
            read_word(r, node->items[i], "notify", &p->notify[p->notify_count]))
            p->notify_count++;
}

/* ---- params ------------------------------------------------------------------------------------- */

static bool read_param_type(struct reading *r, struct yaml_node *node, enum arg_type *ret)
{
    static const char *const words[] = { "string",  "text",     "name",     "integer", "number",
                                         "boolean", "duration", "size",     "percent", "time",
                                         "region",  "host",     "snapshot", "list",    NULL };
    static const enum arg_type types[] = { ARG_TEXT,     ARG_TEXT,    ARG_NAME,     ARG_INTEGER,
                                           ARG_NUMBER,   ARG_BOOLEAN, ARG_DURATION, ARG_SIZE,
                                           ARG_PERCENT,  ARG_TIME,    ARG_REGION,   ARG_REGION,
                                           ARG_SNAPSHOT, ARG_LIST };
    size_t at;
    if (!read_choice(r, node, "type", words, &at))
        return false;
    *ret = types[at];
    return true;
}

static void read_default(struct reading *r, struct yaml_node *node, struct plan_param *param)
{
    if (param->type != ARG_LIST) {
        param->fallback = read_literal(r, node, param->type, "default");
        return;
    }
    if (!is_kind(r, node, YAML_LIST, "default"))
        return;
    param->fallback = json_array();
    for (size_t i = 0; i < node->count; i++) {
        json_t *item =
            node->items[i]->reported ? NULL : read_literal(r, node->items[i], ARG_TEXT, "default");
        if (item != NULL)
            json_array_append_new(param->fallback, item);
    }
}

static void read_match(struct reading *r, struct yaml_node *node, struct plan_param *param)
{
    if (!read_word(r, node, "match", &param->match))
        return;
    regex_t regex;
    int rc = regcomp(&regex, param->match, REG_EXTENDED | REG_NOSUB);
    if (rc == 0) {
        regfree(&regex);
        return;
    }
    char why[128];
    regerror(rc, &regex, why, sizeof(why));
    say(r, node, "match", "'%s' is not a pattern: %s", param->match, why);
    free(param->match);
    param->match = NULL;
}

static void read_values(struct reading *r, struct yaml_node *node, struct plan_param *param)
{
    if (!is_kind(r, node, YAML_LIST, "values"))
        return;
    if (node->count == 0 || node->count > NAMES_MAX) {
        say(r, node, "list", "'values' has %zu items, 1 to %d are possible", node->count,
            NAMES_MAX);
        return;
    }
    param->values = dr_alloc(node->count, sizeof(char *));
    for (size_t i = 0; i < node->count; i++) {
        struct yaml_node *item = node->items[i];
        json_t *good = item->reported || param->type == ARG_LIST
                           ? NULL
                           : read_literal(r, item, param->type, "values");
        if (good != NULL)
            param->values[param->value_count++] = dr_strdup(item->text);
        json_decref(good);
    }
}

static void check_default(struct reading *r, struct yaml_node *node, const struct plan_param *param)
{
    if (node == NULL || node->reported || node->kind != YAML_SCALAR || param->fallback == NULL)
        return;
    DR_JSON json_t *value = NULL;
    struct dr_err err;
    if (plan_param_read(param, node->text, &value, &err) != DR_OK)
        say(r, node, "default", "%s", err.msg);
}

static void read_param(struct reading *r, struct yaml_node *key, struct yaml_node *node,
                       struct plan_param *param)
{
    static const char *const keys[] = { "type", "default", "match", "values", "about", NULL };
    struct yaml_node *v;
    param->at = place_of(key);
    param->type = ARG_TEXT;
    if (!read_name(r, key, "params", &param->name) || node->reported ||
        !is_kind(r, node, YAML_MAP, param->name))
        return;
    known_keys(r, node, "a param", keys);
    if (!need_key(r, node, "a param", "type"))
        return;
    v = value_of(node, "type");
    if (v == NULL || !read_param_type(r, v, &param->type))
        return;
    if ((v = value_of(node, "about")) != NULL)
        (void)read_word(r, v, "about", &param->about); /* reported where it is wrong */
    if ((v = value_of(node, "match")) != NULL)
        read_match(r, v, param);
    if ((v = value_of(node, "values")) != NULL)
        read_values(r, v, param);
    if ((v = value_of(node, "default")) != NULL)
        read_default(r, v, param);
    check_default(r, v, param);
}

static void read_params(struct reading *r, struct yaml_node *node)
{
    static const char *const reserved[] = { "failed", "active",  "target",     "item",  "run",
                                            "plan",   "regions", "objectives", "secret" };
    if (!is_kind(r, node, YAML_MAP, "params"))
        return;
    r->p->params = dr_alloc(node->count + 1, sizeof(*r->p->params));
    r->p->param_count = node->count;
    for (size_t i = 0; i < node->count; i++) {
        for (size_t k = 0; k < DR_ARRAY_LEN(reserved); k++)
            if (!node->keys[i]->reported && strcmp(node->keys[i]->text, reserved[k]) == 0)
                say(r, node->keys[i], "reserved", "'%s' is already the name of something else",
                    node->keys[i]->text);
        if (!node->keys[i]->reported)
            read_param(r, node->keys[i], node->items[i], &r->p->params[i]);
    }
}

/* ---- trigger ------------------------------------------------------------------------------------ */

static void read_trigger(struct reading *r, struct yaml_node *node)
{
    static const char *const keys[] = { "mode", "failing", "for", "cooldown", "max_per_day", NULL };
    static const char *const modes[] = { "ask", "auto", NULL };
    struct plan_trigger *t = &r->p->trigger;
    struct scope scope = { .where = REF_TRIGGER, .step = PLAN_NO_STEP };
    struct yaml_node *v, *key = NULL;
    if (!is_kind(r, node, YAML_MAP, "trigger"))
        return;
    known_keys(r, node, "'trigger'", keys);
    size_t mode = 0;
    if (need_key(r, node, "'trigger'", "mode") && (v = value_of(node, "mode")) != NULL &&
        read_choice(r, v, "mode", modes, &mode))
        t->mode = mode == 0 ? PLAN_TRIGGER_ASK : PLAN_TRIGGER_AUTO;
    if (need_key(r, node, "'trigger'", "failing") && (v = value_of(node, "failing")) != NULL)
        read_checks(r, v, "failing", &scope, &t->failing, &t->failing_count);
    if (need_key(r, node, "'trigger'", "for") && (v = value_of(node, "for")) != NULL)
        (void)read_duration(r, v, &t->for_ms); /* reported where it is wrong */
    if ((v = value_of(node, "cooldown")) != NULL)
        (void)read_duration(r, v, &t->cooldown_ms);
    int64_t most = 1;
    if ((v = value_of(node, "max_per_day")) != NULL)
        (void)read_count(r, v, "max_per_day", &most);
    t->max_per_day = (int)most;
    (void)yaml_get(node, "mode", &key);
    if (t->mode == PLAN_TRIGGER_AUTO && yaml_get(node, "cooldown", NULL) == NULL) {
        diag_error(r->d, key->line, key->col, "auto-cooldown", "mode: auto needs a cooldown");
        diag_hint(r->d, "cooldown: 1h");
    }
    if (key != NULL)
        r->mode_at = place_of(key);
}

/* ---- steps -------------------------------------------------------------------------------------- */

static void read_heads(struct reading *r, struct yaml_node *node)
{
    struct plan *p = r->p;
    if (!is_kind(r, node, YAML_LIST, "steps"))
        return;
    if (node->count == 0 || node->count > PLAN_STEPS_MAX) {
        say(r, node, "list", "'steps' has %zu items, 1 to %d are possible", node->count,
            PLAN_STEPS_MAX);
        return;
    }
    p->steps = dr_alloc(node->count, sizeof(*p->steps));
    r->places = dr_alloc(node->count, sizeof(*r->places));
    for (size_t i = 0; i < node->count; i++) {
        p->step_count = i + 1;
        read_step_head(r, node->items[i], i);
        const struct step_type *type = p->steps[i].call.type;
        if (type == NULL || strcmp(type->name, "region.pick") != 0)
            continue;
        if (p->pick == PLAN_NO_STEP) {
            p->pick = i;
            continue;
        }
        say(r, yaml_get(node->items[i], "use", NULL), "pick-twice", "a second region.pick");
        diag_hint(r->d, "one is enough: the next standby is tried by on_error: next_standby");
    }
}

static void read_keys(struct reading *r, struct yaml_node *root)
{
    struct plan *p = r->p;
    struct yaml_node *v;
    known_keys(r, root, "a plan", plan_keys);
    if (need_key(r, root, "a plan", "plan") && (v = value_of(root, "plan")) != NULL)
        (void)read_name(r, v, "plan", &p->name); /* reported where it is wrong, as all below */
    if ((v = value_of(root, "title")) != NULL)
        (void)read_word(r, v, "title", &p->title);
    if ((v = value_of(root, "regions")) != NULL)
        read_regions(r, v);
    if ((v = value_of(root, "objectives")) != NULL)
        read_objectives(r, v);
    if ((v = value_of(root, "params")) != NULL)
        read_params(r, v);
    if ((v = value_of(root, "notify")) != NULL)
        read_notify(r, v);
    if (need_key(r, root, "a plan", "steps") && (v = value_of(root, "steps")) != NULL)
        read_heads(r, v);
    if ((v = value_of(root, "trigger")) != NULL)
        read_trigger(r, v);
    struct scope scope = { .where = REF_PREFLIGHT, .step = PLAN_NO_STEP };
    if ((v = value_of(root, "preflight")) != NULL)
        read_checks(r, v, "preflight", &scope, &p->preflight, &p->preflight_count);
    scope.where = REF_INVARIANT;
    if ((v = value_of(root, "invariants")) != NULL)
        read_checks(r, v, "invariants", &scope, &p->invariants, &p->invariant_count);
    for (size_t i = 0; i < p->step_count; i++)
        read_step(r, i);
}

static void read_plan(struct reading *r, struct yaml_node *root, size_t before)
{
    read_keys(r, root);
    order_steps(r);
    find_belonging(r);
    if (!r->shaky) {
        check_refs(r);
        lint_plan(r);
    }
    if (r->world != NULL)
        lint_world(r);
    if (r->d->errors == before)
        warn_plan(r);
}

struct plan *plan_read(const char *file, const char *bytes, size_t len,
                       const struct plan_world *world, struct diag *d)
{
    size_t before = d->errors;
    const char *outer = d->file;
    d->file = file;
    DR_CLEANUP(yaml_doc_free_ptr) struct yaml_doc *doc = yaml_parse(bytes, len, d);
    struct yaml_node *root = doc == NULL ? NULL : yaml_root(doc);
    DR_CLEANUP(plan_free_ptr) struct plan *p = dr_alloc(1, sizeof(*p));
    p->file = dr_strdup(file);
    p->rto_ms = p->rpo_ms = -1;
    p->pick = p->no_return = PLAN_NO_STEP;
    uint8_t hash[HASH_SIZE];
    hash_bytes(bytes, len, hash);
    hex_encode(hash, sizeof(hash), p->hash);
    if (root != NULL && root->kind != YAML_MAP) {
        diag_error(d, root->line, root->col, "type", "a plan is a block of keys");
        diag_hint(d, "begin with plan: NAME");
    } else if (root != NULL) {
        struct reading r = { .p = p, .d = d, .world = world };
        read_plan(&r, root, before);
        for (size_t i = 0; i < r.ref_count; i++)
            free(r.refs[i].name);
        free(r.refs);
        free(r.places);
    }
    d->file = outer;
    return d->errors == before ? DR_TAKE(p) : NULL;
}
