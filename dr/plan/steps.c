/*
 * steps.c - the sixteen keys of a step, and the seven of a check.
 */
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/duration.h"
#include "dr/plan/reading.h"

enum { CHECKS_MAX = 100, WAIT_SLACK_MS = 30000 };

static const char *const step_keys[] = { "id",       "use",    "with",    "title",
                                         "needs",    "when",   "timeout", "retry",
                                         "check",    "verify", "undo",    "on_error",
                                         "for_each", "batch",  "drill",   "point_of_no_return",
                                         NULL };
static const char *const check_keys[] = {
    "id", "use", "with", "when", "timeout", "on_error", NULL
};
static const char *const on_errors[] = { "hold", "next_standby", "rollback", "continue", NULL };

/* ---- checks ------------------------------------------------------------------------------------ */

static void not_a_check(struct reading *r, struct yaml_node *use, const struct step_type *type,
                        const char *key)
{
    if (step_is_effect(type))
        say(r, use, "not-a-check", "'%s' changes things; '%s' takes checks only", type->name, key);
    else
        say(r, use, "not-a-check", "'%s' is not a check; '%s' takes checks only", type->name, key);
    char sibling[96];
    snprintf(sibling, sizeof(sibling), "%s.check", type->name);
    if (step_type_find(sibling) != NULL)
        diag_hint(r->d, "did you mean '%s'?", sibling);
    else
        diag_hint(r->d, "checks are types like http.check, exec.check: drctl plan types");
}

static const struct step_type *read_type(struct reading *r, struct yaml_node *use)
{
    DR_FREE char *name = NULL;
    if (!read_word(r, use, "use", &name))
        return NULL;
    const struct step_type *type = step_type_find(name);
    if (type != NULL)
        return type;
    say(r, use, "unknown-type", "no step type '%s'", name);
    size_t count;
    const struct step_type *all = step_type_all(&count);
    DR_FREE const char **words = dr_alloc(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        words[i] = all[i].name;
    if (!hint_near(r, name, words))
        diag_hint(r->d, "drctl plan types lists them");
    return NULL;
}

static bool read_check_rest(struct reading *r, struct yaml_node *node, const struct scope *scope,
                            struct plan_check *c)
{
    struct yaml_node *v;
    if ((v = value_of(node, "when")) != NULL)
        c->when = read_condition(r, v, "when", scope);
    c->timeout_ms = c->call.type->timeout_ms;
    if ((v = value_of(node, "timeout")) != NULL)
        c->timeout_given = read_duration(r, v, &c->timeout_ms);
    size_t choice = PLAN_HOLD;
    static const char *const words[] = { "hold", "continue", NULL };
    if ((v = value_of(node, "on_error")) != NULL)
        c->on_error_given = read_choice(r, v, "on_error", words, &choice);
    c->on_error = choice == 1 ? PLAN_CONTINUE : PLAN_HOLD;
    return true;
}

bool read_check(struct reading *r, struct yaml_node *node, const char *key, bool id,
                const struct scope *scope, struct plan_check *ret)
{
    char what[64];
    if (!is_kind(r, node, YAML_MAP, key))
        return false;
    known_keys(r, node, "a check", check_keys);
    ret->at = place_of(node);
    snprintf(what, sizeof(what), "a check of '%s'", key);
    bool good = !id || need_key(r, node, what, "id");
    struct yaml_node *v = value_of(node, "id");
    if (v != NULL)
        (void)read_name(r, v, "id", &ret->id); /* without an id the check is still read */
    if (!need_key(r, node, what, "use") || (v = value_of(node, "use")) == NULL)
        return false;
    const struct step_type *type = read_type(r, v);
    if (type == NULL)
        return false;
    if (type->class != STEP_CHECK) {
        not_a_check(r, v, type, key);
        return false;
    }
    ret->call.type = type;
    ret->call.at = place_of(v);
    size_t first_ref = r->ref_count;
    struct yaml_node *with = yaml_get(node, "with", NULL);
    if (with == NULL || !with->reported)
        read_arguments(r, with, v, &ret->call, scope);
    read_check_rest(r, node, scope, ret);
    for (size_t i = first_ref; i < r->ref_count; i++) {
        ret->uses_target |= ref_is(r->refs[i].name, "target");
        ret->uses_item |= ref_is(r->refs[i].name, "item");
    }
    return good;
}

static void check_check_ids(struct reading *r, const struct yaml_node *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct yaml_node *id = value_of(list->items[i], "id");
        for (size_t k = 0; id != NULL && k < i; k++) {
            struct yaml_node *other = yaml_get(list->items[k], "id", NULL);
            if (other == NULL || other->kind != YAML_SCALAR || id->kind != YAML_SCALAR ||
                strcmp(other->text, id->text) != 0)
                continue;
            say(r, id, "duplicate-id", "check '%s' is already defined", id->text);
            diag_hint(r->d, "first on line %d", other->line);
            break;
        }
    }
}

void read_checks(struct reading *r, struct yaml_node *node, const char *key,
                 const struct scope *scope, struct plan_check **ret, size_t *ret_count)
{
    if (node->reported)
        return;
    bool ids = scope->where == REF_PREFLIGHT || scope->where == REF_INVARIANT;
    bool one = node->kind == YAML_MAP && scope->where == REF_VERIFY;
    if (!one && !is_kind(r, node, YAML_LIST, key))
        return;
    size_t count = one ? 1 : node->count;
    if (count > CHECKS_MAX) {
        say(r, node, "list", "'%s' has more than %d checks", key, CHECKS_MAX);
        return;
    }
    *ret = dr_alloc(count + 1, sizeof(**ret));
    for (size_t i = 0; i < count; i++) {
        struct yaml_node *item = one ? node : node->items[i];
        struct plan_check *c = &(*ret)[*ret_count];
        if (item->reported)
            continue;
        if (read_check(r, item, key, ids, scope, c))
            (*ret_count)++;
        else
            plan_check_fini(c);
    }
    if (!one)
        check_check_ids(r, node);
}

/* ---- the parts of a step ----------------------------------------------------------------------- */

/* for_each: [5%, 25%, 100%]: ${item} is a percentage, not a text. */
static void type_items(struct plan_value *list, enum arg_type type, struct scope *scope)
{
    scope->item_type = type;
    for (size_t i = 0; i < list->count; i++) {
        struct plan_value *item = list->items[i];
        const char *text = json_string_value(item->fixed);
        double share = 0;
        int64_t ms = 0;
        enum quantity good =
            type == ARG_PERCENT ? percent_parse(text, &share) : duration_parse(text, &ms);
        DR_ASSERT(good == QUANTITY_OK);
        json_decref(item->fixed);
        item->fixed = type == ARG_PERCENT ? json_real(share) : json_integer(ms);
        item->type = type;
    }
}

static void read_for_each(struct reading *r, struct yaml_node *node, struct plan_step *s,
                          struct scope *scope)
{
    struct yaml_node *v = value_of(node, "for_each");
    if (v == NULL)
        return;
    scope->where = REF_EACH;
    s->for_each = read_value(r, v, ARG_LIST, "for_each", scope);
    scope->item = true;
    scope->item_type = ARG_TEXT;
    bool shares = s->for_each != NULL && s->for_each->kind == PLAN_ITEMS && s->for_each->count > 0;
    bool durations = shares;
    for (size_t i = 0; (shares || durations) && i < s->for_each->count; i++) {
        const char *text = json_string_value(s->for_each->items[i]->fixed);
        double share;
        int64_t ms;
        shares = shares && text != NULL && percent_parse(text, &share) == QUANTITY_OK;
        durations = durations && text != NULL && duration_parse(text, &ms) == QUANTITY_OK;
    }
    if (shares || durations)
        type_items(s->for_each, shares ? ARG_PERCENT : ARG_DURATION, scope);
}

static struct plan_value *read_batch_size(struct reading *r, struct yaml_node *v,
                                          const struct scope *scope)
{
    bool count = v->kind == YAML_SCALAR && v->len > 0 && strspn(v->text, "0123456789") == v->len;
    if (count)
        return read_value(r, v, ARG_INTEGER, "size", scope);
    enum arg_type type = ARG_PERCENT;
    size_t len = v->kind == YAML_SCALAR ? v->len : 0;
    if (len > 3 && strncmp(v->text, "${", 2) == 0 && v->text[len - 1] == '}') {
        DR_FREE char *name = dr_memdup(v->text + 2, len - 3);
        enum arg_type got;
        if (plan_name_type(r->p, name, &got) && got == ARG_INTEGER)
            type = ARG_INTEGER;
    }
    return read_value(r, v, type, "size", scope);
}

static void read_batch(struct reading *r, struct yaml_node *node, size_t index,
                       const struct scope *scope)
{
    static const char *const keys[] = { "size", "delay", "healthy", NULL };
    struct plan_step *s = &r->p->steps[index];
    struct yaml_node *key = NULL, *v;
    struct yaml_node *batch = yaml_get(node, "batch", &key);
    if (batch == NULL || batch->reported)
        return;
    s->batch_given = true;
    if (yaml_get(node, "for_each", NULL) == NULL) {
        say(r, key, "batch-alone", "batch without for_each");
        diag_hint(r->d, "say what to go through: for_each: ${hosts.list}");
        return;
    }
    if (!is_kind(r, batch, YAML_MAP, "batch"))
        return;
    known_keys(r, batch, "'batch'", keys);
    if ((v = value_of(batch, "size")) != NULL)
        s->batch_size = read_batch_size(r, v, scope);
    if ((v = value_of(batch, "delay")) != NULL)
        s->batch_delay = read_value(r, v, ARG_DURATION, "delay", scope);
    if ((v = value_of(batch, "healthy")) != NULL)
        s->batch_healthy = read_value(r, v, ARG_PERCENT, "healthy", scope);
}

static void read_own_check(struct reading *r, struct yaml_node *node, struct plan_step *s,
                           struct scope *scope)
{
    s->check_source = s->call.type->has_check ? PLAN_CHECK_OWN : PLAN_CHECK_NONE;
    struct yaml_node *v = value_of(node, "check");
    if (v == NULL)
        return;
    if (!step_changes(s)) {
        say(r, v, "not-an-effect", "'%s' changes nothing: there is nothing to check for",
            s->call.type->name);
        return;
    }
    scope->where = REF_CHECK;
    if (v->kind == YAML_SCALAR && strcmp(v->text, "repeatable") == 0) {
        s->check_source = PLAN_CHECK_REPEATABLE;
    } else if (v->kind == YAML_SCALAR) {
        say(r, v, "choice", "check '%s' is not known", v->text);
        diag_hint(r->d, "check: {use: exec.check, ...}, or check: repeatable");
    } else {
        s->check_source = PLAN_CHECK_GIVEN;
        s->check = dr_alloc(1, sizeof(*s->check));
        (void)read_check(r, v, "check", false, scope, s->check); /* an error: no plan comes back */
    }
}

static void read_undo(struct reading *r, struct yaml_node *node, struct plan_step *s,
                      struct scope *scope)
{
    static const char *const keys[] = { "use", "with", NULL };
    s->undo_source = s->call.type->has_undo ? PLAN_UNDO_OWN : PLAN_UNDO_NOT;
    struct yaml_node *v = value_of(node, "undo"), *use;
    if (v == NULL) /* a mistake in it is no missing undo */
        s->undo_source = yaml_get(node, "undo", NULL) != NULL ? PLAN_UNDO_NONE : s->undo_source;
    if (v == NULL)
        return;
    s->undo_source = PLAN_UNDO_NONE;
    if (!step_changes(s)) {
        say(r, v, "not-an-effect", "'%s' changes nothing: there is nothing to undo",
            s->call.type->name);
        return;
    }
    if (v->kind == YAML_SCALAR && strcmp(v->text, "none") == 0)
        return;
    if (v->kind == YAML_SCALAR) {
        say(r, v, "choice", "undo '%s' is not known", v->text);
        diag_hint(r->d, "undo: {use: ..., with: ...}, or undo: none if leaving it does no harm");
        return;
    }
    if (!is_kind(r, v, YAML_MAP, "undo"))
        return;
    known_keys(r, v, "'undo'", keys);
    if (!need_key(r, v, "'undo'", "use") || (use = value_of(v, "use")) == NULL)
        return;
    scope->where = REF_UNDO;
    s->undo = dr_alloc(1, sizeof(*s->undo));
    s->undo->type = read_type(r, use);
    s->undo->at = place_of(use);
    s->undo_source = PLAN_UNDO_GIVEN;
    struct yaml_node *with = yaml_get(v, "with", NULL);
    if (s->undo->type == NULL || (with != NULL && with->reported))
        return;
    read_arguments(r, with, use, s->undo, scope);
    if (s->undo->type->class == STEP_CHECK || s->undo->type->class == STEP_PERSON)
        say(r, use, "not-an-effect", "'%s' takes nothing back", s->undo->type->name);
}

/* drill: {with: ...} replaces the arguments that it names: required ones may be missing. */
static void read_drill_with(struct reading *r, struct yaml_node *v, struct plan_step *s,
                            struct scope *scope)
{
    static const char *const keys[] = { "with", NULL };
    known_keys(r, v, "'drill'", keys);
    struct yaml_node *with = value_of(v, "with");
    if (with == NULL || !is_kind(r, with, YAML_MAP, "with"))
        return;
    scope->where = REF_DRILL;
    s->drill = DRILL_RUN;
    s->drill_with = dr_alloc(1, sizeof(*s->drill_with));
    s->drill_with->type = s->call.type;
    s->drill_with->at = place_of(with);
    read_given_arguments(r, with, s->drill_with, scope);
}

static void read_drill(struct reading *r, struct yaml_node *node, struct plan_step *s,
                       struct scope *scope)
{
    static const char *const words[] = { "run", "isolated", "simulate", "skip", NULL };
    s->drill = s->call.type->drill;
    struct yaml_node *v = value_of(node, "drill");
    if (v == NULL)
        return;
    if (v->kind == YAML_MAP) {
        read_drill_with(r, v, s, scope);
        return;
    }
    size_t choice;
    if (!read_choice(r, v, "drill", words, &choice))
        return;
    if (choice == DRILL_ISOLATED && s->call.type->drill != DRILL_ISOLATED) {
        say(r, v, "isolated", "'%s' has no scratch place of its own", s->call.type->name);
        diag_hint(r->d, "drill: simulate");
        return;
    }
    s->drill = (enum step_drill)choice;
}

static int64_t default_timeout(const struct plan_step *s)
{
    if (strcmp(s->call.type->name, "wait") != 0)
        return s->call.type->timeout_ms;
    for (size_t i = 0; i < s->call.arg_count; i++)
        if (s->call.values[i]->fixed != NULL)
            return json_integer_value(s->call.values[i]->fixed) + WAIT_SLACK_MS;
    return 0;
}

static void read_attempts(struct reading *r, struct yaml_node *node, size_t index)
{
    struct plan_step *s = &r->p->steps[index];
    struct step_places *at = &r->places[index];
    struct yaml_node *v, *key = NULL;
    s->timeout_ms = default_timeout(s);
    if ((v = value_of(node, "timeout")) != NULL && read_duration(r, v, &s->timeout_ms))
        at->timeout = place_of(v);
    int64_t retry = 0;
    v = yaml_get(node, "retry", &key);
    if (v != NULL && !v->reported && read_count(r, v, "retry", &retry) && retry > 0) {
        at->retry_key = place_of(key);
        if (s->call.type->class == STEP_CHECK) {
            say(r, key, "retry-check", "retry on a check: it is asked until it passes anyway");
            diag_hint(r->d, "give it a longer timeout");
        }
    }
    s->retry = (int)(retry > 100 ? 100 : retry);
    size_t choice = s->call.type->class == STEP_PERSON ? PLAN_ROLLBACK : PLAN_HOLD;
    v = value_of(node, "on_error");
    if (v != NULL && read_choice(r, v, "on_error", on_errors, &choice))
        at->on_error = place_of(v);
    s->on_error = (enum plan_on_error)choice;
}

static void read_words(struct reading *r, struct yaml_node *node, size_t index, struct scope *scope)
{
    struct plan_step *s = &r->p->steps[index];
    struct yaml_node *v;
    scope->where = REF_TITLE;
    if ((v = value_of(node, "title")) != NULL)
        s->title = read_value(r, v, ARG_TEXT, "title", scope);
    struct yaml_node *key = NULL;
    v = yaml_get(node, "point_of_no_return", &key);
    if (v == NULL)
        return;
    if (r->p->no_return != PLAN_NO_STEP) {
        say(r, key, "ponr-twice", "a second point of no return; '%s' is the first",
            r->p->steps[r->p->no_return].id == NULL ? "?" : r->p->steps[r->p->no_return].id);
        diag_hint(r->d, "a plan has one: from there on it only goes forward");
        return;
    }
    r->p->no_return = index;
    if (!v->reported)
        s->point_of_no_return = read_value(r, v, ARG_TEXT, "point_of_no_return", scope);
}

static void read_use(struct reading *r, struct yaml_node *node, size_t index)
{
    struct plan_step *s = &r->p->steps[index];
    struct yaml_node *use = value_of(node, "use");
    if (use != NULL)
        s->call.type = read_type(r, use);
    if (s->call.type == NULL)
        r->shaky = true;
}

void read_step_head(struct reading *r, struct yaml_node *node, size_t index)
{
    static const char *const reserved[] = { "failed", "active",  "target",     "item",  "run",
                                            "plan",   "regions", "objectives", "secret" };
    struct plan_step *s = &r->p->steps[index];
    r->places[index].node = node;
    s->at = place_of(node);
    if (node->reported || !is_kind(r, node, YAML_MAP, "steps")) {
        r->shaky = true;
        return;
    }
    struct yaml_node *v = value_of(node, "id");
    if (!need_key(r, node, "a step", "id") || v == NULL || !read_name(r, v, "id", &s->id)) {
        r->shaky = true;
    } else {
        bool taken = plan_find_param(r->p, s->id) != NULL;
        for (size_t i = 0; i < DR_ARRAY_LEN(reserved); i++)
            taken |= strcmp(s->id, reserved[i]) == 0;
        size_t first = plan_find_step(r->p, s->id);
        if (taken) {
            say(r, v, "reserved", "'%s' is already the name of something else", s->id);
            diag_hint(r->d, "ids are used in ${%s.OUTPUT}: choose another word", s->id);
        } else if (first != index) {
            say(r, v, "duplicate-id", "step '%s' is already defined", s->id);
            diag_hint(r->d, "first on line %d", r->p->steps[first].at.line);
        }
        r->shaky = r->shaky || v->reported;
    }
    (void)need_key(r, node, "a step", "use"); /* read_use() sees it too */
    read_use(r, node, index);
}

void read_step(struct reading *r, size_t index)
{
    struct plan_step *s = &r->p->steps[index];
    struct yaml_node *node = r->places[index].node, *v;
    if (node->kind != YAML_MAP || node->reported)
        return;
    known_keys(r, node, "a step", step_keys);
    struct scope scope = { .where = REF_WITH, .step = index };
    read_for_each(r, node, s, &scope);
    scope.where = REF_EACH;
    read_batch(r, node, index, &scope);
    scope.where = REF_WHEN;
    if ((v = value_of(node, "when")) != NULL)
        s->when = read_condition(r, v, "when", &scope);
    read_words(r, node, index, &scope);
    if (s->call.type == NULL)
        return;
    scope.where = REF_WITH;
    struct yaml_node *use = yaml_get(node, "use", NULL);
    struct yaml_node *with = yaml_get(node, "with", NULL);
    s->call.at = place_of(use);
    if (with == NULL || !with->reported)
        read_arguments(r, with, use, &s->call, &scope);
    read_attempts(r, node, index);
    read_own_check(r, node, s, &scope);
    scope.where = REF_VERIFY;
    if ((v = value_of(node, "verify")) != NULL)
        read_checks(r, v, "verify", &scope, &s->verify, &s->verify_count);
    read_undo(r, node, s, &scope);
    read_drill(r, node, s, &scope);
}
