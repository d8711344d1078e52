/*
 * resolve.c - values at run time: references filled by a lookup, and everything told to people.
 *
 * Substitution is done once; what came in is never looked at for references again.
 */
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/plan/reading.h"

/* ---- typed JSON as text ------------------------------------------------------------------------ */

static char *tell_number(double number, const char *unit)
{
    char text[64];
    snprintf(text, sizeof(text), "%.6f", number);
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '0')
        text[--len] = '\0';
    if (len > 0 && text[len - 1] == '.')
        text[--len] = '\0';
    return dr_strf("%s%s", text, unit);
}

/* "1.5GiB": units of 1024, one digit behind the point, rounded down. */
static char *tell_size(int64_t bytes)
{
    static const char *const units[] = { "TiB", "GiB", "MiB", "KiB" };
    for (size_t i = 0; i < DR_ARRAY_LEN(units); i++) {
        int64_t unit = INT64_C(1) << (10 * (4 - (int)i));
        int64_t tenths = (int64_t)((double)bytes * 10 / (double)unit);
        if (bytes >= unit)
            return tell_number((double)tenths / 10, units[i]);
    }
    return dr_strf("%" PRId64 "B", bytes);
}

static char *tell_integer(int64_t number, enum arg_type type)
{
    char text[DURATION_TEXT_MAX];
    if (type == ARG_DURATION && number >= 0)
        return dr_strdup(duration_print(number, text));
    if (type == ARG_SIZE && number >= 0)
        return tell_size(number);
    return dr_strf("%" PRId64, number);
}

static char *tell_list(const json_t *list)
{
    struct buf b = { 0 };
    buf_adds(&b, "");
    for (size_t i = 0; i < json_array_size(list); i++) {
        DR_FREE char *item = plan_json_tell(json_array_get(list, i), ARG_TEXT);
        buf_addf(&b, "%s%s", i > 0 ? ", " : "", item);
    }
    return buf_take(&b);
}

char *plan_json_tell(const json_t *value, enum arg_type type)
{
    if (json_is_string(value))
        return dr_strdup(json_string_value(value));
    if (json_is_array(value))
        return tell_list(value);
    if (json_is_boolean(value))
        return dr_strdup(json_is_true(value) ? "true" : "false");
    if (json_is_integer(value) && type != ARG_PERCENT)
        return tell_integer(json_integer_value(value), type);
    if (json_is_number(value) && type == ARG_PERCENT)
        return tell_number(json_number_value(value) * 100, "%");
    if (json_is_number(value))
        return tell_number(json_number_value(value), "");
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    DR_FREE char *owned = text;
    return dr_strdup(owned == NULL ? "null" : owned);
}

/* ---- filling ----------------------------------------------------------------------------------- */

static bool json_fits(const json_t *value, enum arg_type type)
{
    switch (type) {
    case ARG_INTEGER:
    case ARG_DURATION:
    case ARG_SIZE:
        return json_is_integer(value);
    case ARG_NUMBER:
    case ARG_PERCENT:
        return json_is_number(value);
    case ARG_BOOLEAN:
        return json_is_boolean(value);
    case ARG_LIST:
    case ARG_ARGV:
        return json_is_array(value);
    case ARG_SECRET:
        return json_is_object(value);
    default:
        return json_is_string(value) || json_is_number(value) || json_is_boolean(value);
    }
}

static enum dr_rc fill_ref(const struct plan_part *part, const struct plan_lookup *look,
                           json_t **ret, struct dr_err *err)
{
    if (part->type == ARG_SECRET) {
        json_t *secret = json_object();
        json_put_text(secret, "secret", part->text + strlen("secret."));
        *ret = secret;
        return DR_OK;
    }
    json_t *value = look->value(look->arg, part->text);
    if (value == NULL)
        return dr_fail(err, DR_E_UNKNOWN, "'%s' is not known", part->text);
    if (json_fits(value, part->type)) {
        *ret = value;
        return DR_OK;
    }
    json_decref(value);
    return dr_fail(err, DR_E_CONFIG, "'%s' is not a %s", part->text, step_arg_word(part->type));
}

/* A text argument takes other types as people read them. */
static json_t *as_type(json_t *value, enum arg_type from, enum arg_type to)
{
    bool textual = to == ARG_TEXT || to == ARG_NAME || to == ARG_REGION || to == ARG_SNAPSHOT ||
                   to == ARG_TIME;
    if (to == ARG_NUMBER && json_is_integer(value)) {
        json_t *real = json_real((double)json_integer_value(value));
        json_decref(value);
        return real;
    }
    if (!textual || json_is_string(value))
        return value;
    DR_FREE char *text = plan_json_tell(value, from);
    json_decref(value);
    return json_string(text);
}

static enum dr_rc fill_scalar(const struct plan_value *v, const struct plan_lookup *look,
                              json_t **ret, struct dr_err *err)
{
    if (v->fixed != NULL) {
        *ret = json_incref(v->fixed);
        return DR_OK;
    }
    if (v->part_count == 1) {
        json_t *value = NULL;
        DR_TRY(fill_ref(&v->parts[0], look, &value, err));
        *ret = as_type(value, v->parts[0].type, v->type);
        return DR_OK;
    }
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    for (size_t i = 0; i < v->part_count; i++) {
        const struct plan_part *part = &v->parts[i];
        DR_JSON json_t *value = NULL;
        if (!part->ref) {
            buf_adds(&b, part->text);
            continue;
        }
        DR_TRY(fill_ref(part, look, &value, err));
        DR_FREE char *text = plan_json_tell(value, part->type);
        buf_adds(&b, text);
    }
    *ret = json_string(b.data);
    return *ret != NULL ? DR_OK : dr_fail(err, DR_E_CONFIG, "a value is not UTF-8");
}

static enum dr_rc fill_use(const struct plan_call *c, const struct plan_lookup *look, json_t **ret,
                           struct dr_err *err)
{
    json_t *with = NULL;
    DR_TRY(plan_call_resolve(c, NULL, look, &with, err));
    *ret = json_object();
    json_put_text(*ret, "use", c->type->name);
    json_put(*ret, "with", with);
    return DR_OK;
}

static enum dr_rc fill_each(const struct plan_value *v, size_t i, const struct plan_lookup *look,
                            json_t **ret, struct dr_err *err)
{
    if (v->kind == PLAN_METHODS)
        return fill_use(&v->calls[i], look, ret, err);
    return plan_value_resolve(v->items[i], look, ret, err);
}

enum dr_rc plan_value_resolve(const struct plan_value *v, const struct plan_lookup *look,
                              json_t **ret, struct dr_err *err)
{
    if (v->kind == PLAN_SCALAR)
        return fill_scalar(v, look, ret, err);
    if (v->kind == PLAN_CALL)
        return fill_use(&v->calls[0], look, ret, err);
    DR_JSON json_t *all = v->kind == PLAN_MAP ? json_object() : json_array();
    for (size_t i = 0; i < v->count; i++) {
        json_t *item = NULL;
        DR_TRY(fill_each(v, i, look, &item, err));
        if (v->kind == PLAN_MAP)
            json_put(all, v->names[i], item);
        else
            json_array_append_new(all, item);
    }
    *ret = DR_TAKE(all);
    return DR_OK;
}

static const struct plan_value *replacement(const struct plan_call *extra, const char *name)
{
    for (size_t i = 0; extra != NULL && i < extra->arg_count; i++)
        if (strcmp(extra->args[i]->name, name) == 0)
            return extra->values[i];
    return NULL;
}

enum dr_rc plan_call_resolve(const struct plan_call *c, const struct plan_call *extra,
                             const struct plan_lookup *look, json_t **ret, struct dr_err *err)
{
    DR_JSON json_t *with = json_object();
    for (const struct step_arg *arg = c->type->args; arg->name != NULL; arg++) {
        const struct plan_value *v = replacement(extra, arg->name);
        if (v == NULL)
            v = replacement(c, arg->name);
        json_t *value = NULL;
        if (v == NULL)
            continue;
        if (plan_value_resolve(v, look, &value, err) != DR_OK)
            return dr_context(err, "'%s' of %s", arg->name, c->type->name);
        json_put(with, arg->name, value);
    }
    *ret = DR_TAKE(with);
    return DR_OK;
}

/* ---- telling ----------------------------------------------------------------------------------- */

static void tell_scalar(const struct plan_value *v, const struct plan_lookup *look, struct buf *out)
{
    if (v->fixed != NULL) {
        DR_FREE char *text = plan_json_tell(v->fixed, v->type);
        buf_adds(out, text);
        return;
    }
    for (size_t i = 0; i < v->part_count; i++) {
        const struct plan_part *part = &v->parts[i];
        struct dr_err err;
        DR_JSON json_t *value = NULL;
        if (!part->ref)
            buf_adds(out, part->text);
        else if (look == NULL || part->type == ARG_SECRET ||
                 fill_ref(part, look, &value, &err) != DR_OK)
            buf_addf(out, "${%s}", part->text);
        else {
            DR_FREE char *text = plan_json_tell(value, part->type);
            buf_adds(out, text);
        }
    }
}

static void tell_value(const struct plan_value *v, const struct plan_lookup *look, struct buf *out)
{
    if (v->kind == PLAN_SCALAR) {
        tell_scalar(v, look, out);
        return;
    }
    for (size_t i = 0; i < v->count; i++) {
        buf_adds(out, i == 0 ? "" : v->type == ARG_ARGV ? " " : ", ");
        if (v->calls != NULL) {
            buf_adds(out, v->calls[i].type->name);
            continue;
        }
        if (v->names != NULL)
            buf_addf(out, "%s=", v->names[i]);
        tell_scalar(v->items[i], look, out);
    }
}

char *plan_value_tell(const struct plan_value *v, const struct plan_lookup *look)
{
    struct buf out = { 0 };
    buf_adds(&out, "");
    tell_value(v, look, &out);
    return buf_take(&out);
}

/* "Restore snapshot ${snapshot} at ${at}": here ${ } names an argument. What is not given is left out,
 * with the small word before it, when it stands at the end. */
static char *tell_sentence(const struct plan_step *s, const struct plan_lookup *look)
{
    struct buf out = { 0 };
    buf_adds(&out, "");
    const char *p = s->call.type->sentence;
    while (*p != '\0') {
        const char *end = strncmp(p, "${", 2) == 0 ? strchr(p, '}') : NULL;
        if (end == NULL) {
            buf_addc(&out, *p++);
            continue;
        }
        DR_FREE char *name = dr_memdup(p + 2, (size_t)(end - p - 2));
        const struct plan_value *v = replacement(&s->call, name);
        if (v == NULL && strcmp(name, "region") == 0)
            v = replacement(&s->call, "host");
        if (v == NULL && strcmp(name, "to") == 0)
            v = replacement(&s->call, "server");
        if (v != NULL)
            tell_value(v, look, &out);
        else
            buf_adds(&out, "its place");
        p = end + 1;
    }
    return buf_take(&out);
}

char *plan_step_title(const struct plan_step *s, const struct plan_lookup *look)
{
    return s->title != NULL ? plan_value_tell(s->title, look) : tell_sentence(s, look);
}

/* ---- conditions -------------------------------------------------------------------------------- */

struct asked {
    const struct plan *p;
    const struct plan_lookup *look;
    json_t *kept; /* array: values stay alive as long as the evaluation borrows from them */
    const char ***lists;
    size_t list_count;
};

static void as_list(struct asked *a, const json_t *value, struct expr_value *ret)
{
    size_t count = json_array_size(value);
    const char **items = dr_alloc(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(value, i));
        items[i] = text == NULL ? "" : text;
    }
    a->lists = dr_realloc(a->lists, a->list_count + 1, sizeof(char **));
    a->lists[a->list_count++] = items;
    ret->list = items;
    ret->count = count;
}

static void answer(void *arg, const char *name, struct expr_value *ret)
{
    struct asked *a = arg;
    enum arg_type type;
    json_t *value = a->look->value(a->look->arg, name);
    if (value == NULL)
        return;
    json_array_append_new(a->kept, value);
    if (!plan_name_type(a->p, name, &type))
        return;
    int64_t ns;
    ret->kind = expr_kind_of(type);
    ret->known = true;
    if (json_is_array(value) && ret->kind == EXPR_LIST)
        as_list(a, value, ret);
    else if (json_is_string(value) && ret->kind == EXPR_TIME &&
             time_parse(json_string_value(value), &ns))
        ret->number = (double)ns / 1e9;
    else if (json_is_string(value) && ret->kind == EXPR_TEXT)
        ret->text = json_string_value(value);
    else if (json_is_boolean(value) && ret->kind == EXPR_TRUTH)
        ret->truth = json_is_true(value);
    else if (json_is_number(value) &&
             (ret->kind == EXPR_NUMBER || ret->kind == EXPR_DURATION || ret->kind == EXPR_SIZE))
        ret->number = json_number_value(value);
    else
        ret->known = false;
}

enum expr_truth plan_when(const struct plan *p, const struct expr *when,
                          const struct plan_lookup *look)
{
    if (when == NULL)
        return EXPR_TRUE;
    struct asked a = { .p = p, .look = look, .kept = json_array() };
    enum expr_truth truth = expr_eval(when, answer, &a, look->now_ns);
    for (size_t i = 0; i < a.list_count; i++)
        free(a.lists[i]);
    free(a.lists);
    json_decref(a.kept);
    return truth;
}

/* ---- params ------------------------------------------------------------------------------------- */

static bool matches(const char *pattern, const char *text)
{
    DR_FREE char *whole = dr_strf("^(%s)$", pattern);
    regex_t regex;
    if (regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool good = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return good;
}

/* The text as a node of no file, so that literals are read by the one function that does it. */
static json_t *read_text(const struct plan_param *param, const char *text, struct dr_err *err)
{
    DR_CLEANUP(diag_fini) struct diag d = { .file = param->name };
    struct reading r = { .d = &d };
    DR_FREE char *copy = dr_strdup(text);
    struct yaml_node node = {
        .kind = YAML_SCALAR, .line = 1, .col = 1, .plain = true, .text = copy, .len = strlen(copy)
    };
    bool letters =
        param->type == ARG_TEXT || param->type == ARG_REGION || param->type == ARG_SNAPSHOT;
    node.plain = !letters; /* --set flag=true means the letters */
    json_t *value = read_literal(&r, &node, param->type, param->name);
    if (value == NULL && d.count > 0)
        (void)dr_fail(err, DR_E_USAGE, "param '%s': %s", param->name, d.items[0].what);
    else if (value == NULL)
        (void)dr_fail(err, DR_E_USAGE, "param '%s' cannot be '%s'", param->name, text);
    if (value == NULL && d.count > 0 && d.items[0].hint != NULL)
        (void)dr_hint(err, "%s", d.items[0].hint);
    return value;
}

static json_t *read_items(const char *text)
{
    json_t *list = json_array();
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        DR_FREE char *item = dr_memdup(text, len);
        json_array_append_new(list, json_printable(item));
        text += len + (text[len] == ',');
    }
    return list;
}

enum dr_rc plan_param_read(const struct plan_param *param, const char *text, json_t **ret,
                           struct dr_err *err)
{
    if (!text_is_utf8(text, strlen(text)))
        return dr_fail(err, DR_E_USAGE, "param '%s' is not UTF-8", param->name);
    if (param->match != NULL && !matches(param->match, text)) {
        dr_fail(err, DR_E_USAGE, "param '%s': '%s' does not match %s", param->name, text,
                param->match);
        return param->about == NULL ? err->rc : dr_hint(err, "%s: %s", param->name, param->about);
    }
    bool listed = param->value_count == 0;
    DR_CLEANUP(buf_fini) struct buf all = { 0 };
    for (size_t i = 0; i < param->value_count; i++) {
        listed |= strcmp(param->values[i], text) == 0;
        buf_addf(&all, "%s%s", i > 0 ? ", " : "", param->values[i]);
    }
    if (!listed)
        return dr_fail(err, DR_E_USAGE, "param '%s': '%s' is none of %s", param->name, text,
                       all.data);
    json_t *value = param->type == ARG_LIST ? read_items(text) : read_text(param, text, err);
    if (value == NULL)
        return err->rc;
    *ret = value;
    return DR_OK;
}

/* ---- what an engine can run --------------------------------------------------------------------- */

static char *unsupported_call(const char *who, const char *id, const struct plan_call *c,
                              bool (*runs)(void *arg, const char *type), void *arg)
{
    if (c == NULL || c->type == NULL || runs(arg, c->type->name))
        return NULL;
    return dr_strf("%s '%s' uses %s, which this drctl cannot run yet", who, id, c->type->name);
}

static char *unsupported_checks(const char *who, const struct plan_check *checks, size_t count,
                                bool (*runs)(void *arg, const char *type), void *arg)
{
    char *what = NULL;
    for (size_t i = 0; what == NULL && i < count; i++)
        what = unsupported_call(who, checks[i].id == NULL ? "?" : checks[i].id, &checks[i].call,
                                runs, arg);
    return what;
}

char *plan_unsupported(const struct plan *p, bool (*runs)(void *arg, const char *type), void *arg)
{
    char *what = unsupported_checks("preflight", p->preflight, p->preflight_count, runs, arg);
    if (what == NULL)
        what = unsupported_checks("invariant", p->invariants, p->invariant_count, runs, arg);
    for (size_t i = 0; what == NULL && i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];
        what = unsupported_call("step", s->id, &s->call, runs, arg);
        if (what == NULL && s->for_each != NULL && !runs(arg, "for_each"))
            what = dr_strf("step '%s' uses for_each, which this drctl cannot run yet", s->id);
        if (what == NULL && s->check != NULL)
            what = unsupported_call("the check of", s->id, &s->check->call, runs, arg);
        for (size_t k = 0; what == NULL && k < s->verify_count; k++)
            what = unsupported_call("verify of", s->id, &s->verify[k].call, runs, arg);
        if (what == NULL)
            what = unsupported_call("undo of", s->id, s->undo, runs, arg);
    }
    return what;
}
