/*
 * value.c - arguments of step types: scalars with references, lists, blocks, checks, ways to fence.
 *
 * A scalar that is one reference keeps its type, which is compared with what the argument takes; within
 * longer text it will be printed. Literals become typed JSON at once.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/plan/reading.h"

enum { LIST_MAX = 1000 };

/* Types that travel as text: each takes what another gives. */
static bool is_textual(enum arg_type type)
{
    return type == ARG_TEXT || type == ARG_NAME || type == ARG_TIME || type == ARG_REGION ||
           type == ARG_SNAPSHOT;
}

static bool is_list(enum arg_type type)
{
    return type == ARG_LIST || type == ARG_ARGV;
}

static bool fits(enum arg_type want, enum arg_type got)
{
    if (want == got || (is_textual(want) && is_textual(got)) || (is_list(want) && is_list(got)))
        return true;
    if (want == ARG_NUMBER)
        return got == ARG_INTEGER;
    return want == ARG_TEXT && !is_list(got) && got != ARG_SECRET;
}

/* ---- literals ---------------------------------------------------------------------------------- */

static json_t *literal_duration(struct reading *r, struct yaml_node *node)
{
    int64_t ms = 0;
    return read_duration(r, node, &ms) ? json_integer(ms) : NULL;
}

static json_t *literal_size(struct reading *r, struct yaml_node *node)
{
    uint64_t bytes = 0;
    switch (size_parse(node->text, &bytes)) {
    case QUANTITY_OK:
        return json_integer((json_int_t)bytes);
    case QUANTITY_NO_UNIT:
        say(r, node, "no-unit", "%s what?", node->text);
        diag_hint(r->d, "write a unit: %sMiB, %sGB", node->text, node->text);
        return NULL;
    default:
        say(r, node, "size", "'%s' is not a size", node->text);
        diag_hint(r->d, "examples: 100MiB, 1GB");
        return NULL;
    }
}

static json_t *literal_percent(struct reading *r, struct yaml_node *node)
{
    double share = 0;
    switch (percent_parse(node->text, &share)) {
    case QUANTITY_OK:
        return json_real(share);
    case QUANTITY_NO_UNIT:
        say(r, node, "no-unit", "'%s' is not a percentage", node->text);
        diag_hint(r->d, "write %s%%", node->text);
        return NULL;
    default:
        say(r, node, "percent", "'%s' is not a percentage", node->text);
        diag_hint(r->d, "examples: 80%%, 2.5%%");
        return NULL;
    }
}

static json_t *literal_number(struct reading *r, struct yaml_node *node, enum arg_type type,
                              const char *key)
{
    const char *t = node->text;
    int64_t count = 0;
    if (type == ARG_INTEGER)
        return read_count(r, node, key, &count) ? json_integer(count) : NULL;
    char *end = NULL;
    bool shape = node->plain && strspn(t, "0123456789.") == node->len && node->len > 0 &&
                 node->len <= 18 && t[0] != '.' && t[node->len - 1] != '.' &&
                 !(t[0] == '0' && node->len > 1 && t[1] != '.');
    double number = shape ? strtod(t, &end) : 0;
    if (shape && *end == '\0')
        return json_real(number);
    say(r, node, "number", "'%s' takes a number, not '%s'", key, t);
    diag_hint(r->d, "examples: 0, 42, 1.5");
    return NULL;
}

static json_t *literal_boolean(struct reading *r, struct yaml_node *node, const char *key)
{
    if (node->plain && strcmp(node->text, "true") == 0)
        return json_true();
    if (node->plain && strcmp(node->text, "false") == 0)
        return json_false();
    say(r, node, "boolean", "'%s' takes true or false, not '%s'", key, node->text);
    return NULL;
}

static json_t *literal_text(struct reading *r, struct yaml_node *node, enum arg_type type,
                            const char *key)
{
    DR_FREE char *text = NULL;
    int64_t ns = 0;
    if (type == ARG_NAME ? !read_name(r, node, key, &text) : !read_word(r, node, key, &text))
        return NULL;
    if (type == ARG_TIME && !time_parse(text, &ns)) {
        say(r, node, "time", "'%s' is not a time with its zone", text);
        diag_hint(r->d, "example: 2026-11-20T22:00:00Z");
        return NULL;
    }
    if (type == ARG_REGION && text[0] == '\0') {
        say(r, node, "empty", "'%s' is empty", key);
        return NULL;
    }
    if (type == ARG_REGION)
        check_region(r, node, text);
    return json_string(text);
}

json_t *read_literal(struct reading *r, struct yaml_node *node, enum arg_type type, const char *key)
{
    if (!is_kind(r, node, YAML_SCALAR, key))
        return NULL;
    switch (type) {
    case ARG_DURATION:
        return literal_duration(r, node);
    case ARG_SIZE:
        return literal_size(r, node);
    case ARG_PERCENT:
        return literal_percent(r, node);
    case ARG_INTEGER:
    case ARG_NUMBER:
        return literal_number(r, node, type, key);
    case ARG_BOOLEAN:
        return literal_boolean(r, node, key);
    default:
        return literal_text(r, node, type, key);
    }
}

/* ---- scalars with references ------------------------------------------------------------------- */

static struct plan_part *add_part(struct plan_value *v, const char *text, size_t len, bool ref)
{
    v->parts = dr_realloc(v->parts, v->part_count + 1, sizeof(*v->parts));
    struct plan_part *part = &v->parts[v->part_count++];
    *part = (struct plan_part){ .text = dr_memdup(text, len), .ref = ref };
    return part;
}

/* "${" at text[at]: the name in it becomes a part. Returns what lies behind '}', 0 after a report. */
static size_t take_ref(struct reading *r, struct yaml_node *node, size_t at, struct plan_value *v,
                       const struct scope *scope)
{
    const char *start = node->text + at + 2;
    const char *end = strchr(start, '}');
    struct plan_place place = { node->line, yaml_col_at(node, at) };
    if (end == NULL) {
        diag_error(r->d, place.line, place.col, "reference", "'${' without '}'");
        diag_hint(r->d, "write ${NAME}, or $${ for the letters themselves");
        return 0;
    }
    size_t len = (size_t)(end - start);
    struct plan_part *part = add_part(v, start, len, true);
    bool name = len > 0 && strspn(part->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789_.-") == len;
    if (!name || strchr(".-0123456789", part->text[0]) != NULL) {
        diag_error(r->d, place.line, place.col, "ref-expr", "${%s}: only a name can stand here",
                   part->text);
        diag_hint(r->d, "expressions belong in when, pass and fail");
        return 0;
    }
    part->at = place;
    if (!name_type(r, part->text, place, scope, &part->type))
        return 0;
    remember_ref(r, part->text, place, scope);
    return at + 2 + len + 1;
}

/* Cut the text of node into parts; false after a report. */
static bool cut(struct reading *r, struct yaml_node *node, struct plan_value *v,
                const struct scope *scope)
{
    DR_CLEANUP(buf_fini) struct buf letters = { 0 };
    size_t at = 0;
    bool good = true;
    while (at < node->len) {
        if (strncmp(node->text + at, "$${", 3) == 0) {
            buf_adds(&letters, "${");
            at += 3;
        } else if (strncmp(node->text + at, "${", 2) == 0) {
            if (letters.len > 0)
                add_part(v, letters.data, letters.len, false);
            buf_clear(&letters);
            size_t behind = take_ref(r, node, at, v, scope);
            good = good && behind != 0;
            const char *end = strchr(node->text + at, '}');
            at = behind != 0 ? behind : end == NULL ? node->len : (size_t)(end - node->text) + 1;
        } else {
            buf_addc(&letters, node->text[at++]);
        }
    }
    if (letters.len > 0 || v->part_count == 0)
        add_part(v, letters.data == NULL ? "" : letters.data, letters.len, false);
    if (!good)
        node->reported = true;
    return good;
}

static bool check_parts(struct reading *r, struct yaml_node *node, struct plan_value *v,
                        const char *key)
{
    const struct plan_part *first = &v->parts[0];
    if (v->part_count == 1) {
        if (fits(v->type, first->type))
            return true;
        if (first->type == ARG_SECRET) {
            say(r, node, "secret", "'%s' does not take a secret", key);
            diag_hint(r->d, "secrets go only where the type says so: drctl plan types TYPE");
            return false;
        }
        bool list = v->type == ARG_LIST || v->type == ARG_ARGV;
        say(r, node, "type", "'%s' takes a %s, but ${%s} is a %s", key, step_arg_word(v->type),
            first->text, step_arg_word(first->type));
        if (list)
            diag_hint(r->d, "write [\"${%s}\"]", first->text);
        return false;
    }
    if (!is_textual(v->type)) {
        say(r, node, "type", "'%s' takes a %s: a reference must stand alone", key,
            step_arg_word(v->type));
        return false;
    }
    for (size_t i = 0; i < v->part_count; i++) {
        const struct plan_part *part = &v->parts[i];
        if (!part->ref || (!is_list(part->type) && part->type != ARG_SECRET))
            continue;
        diag_error(r->d, part->at.line, part->at.col, "type",
                   "${%s} is a %s: it cannot stand inside text", part->text,
                   step_arg_word(part->type));
        node->reported = true;
        return false;
    }
    return true;
}

static bool read_scalar(struct reading *r, struct yaml_node *node, struct plan_value *v,
                        const char *key, const struct scope *scope)
{
    if (strlen(node->text) != node->len) {
        say(r, node, "text", "'%s' holds a zero byte", key);
        return false;
    }
    if (!cut(r, node, v, scope))
        return false;
    if (v->part_count > 1 || v->parts[0].ref)
        return check_parts(r, node, v, key);
    if (strcmp(v->parts[0].text, node->text) == 0)
        v->fixed = read_literal(r, node, v->type, key);
    else if (is_textual(v->type)) /* with $${ in it */
        v->fixed = json_string(v->parts[0].text);
    else
        say(r, node, "type", "'%s' takes a %s", key, step_arg_word(v->type));
    return v->fixed != NULL;
}

/* ---- lists, blocks, checks, methods ------------------------------------------------------------ */

static bool looks_secret(const char *name)
{
    static const char *const words[] = { "password", "passwd", "secret",
                                         "token",    "apikey", "api_key" };
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        if (strcasestr(name, words[i]) != NULL)
            return true;
    return false;
}

static bool plain_secret(struct reading *r, struct yaml_node *node)
{
    say(r, node, "plain-secret", "a secret in plain text");
    diag_hint(r->d, "write ${secret.NAME} and define NAME under secrets in the configuration");
    return false;
}

static bool read_secret(struct reading *r, struct yaml_node *node, struct plan_value *v,
                        const struct scope *scope)
{
    if (node->kind != YAML_SCALAR || strncmp(node->text, "${secret.", 9) != 0)
        return plain_secret(r, node);
    if (!cut(r, node, v, scope))
        return false;
    return (v->part_count == 1 && v->parts[0].type == ARG_SECRET) || plain_secret(r, node);
}

static bool refuse_command_line(struct reading *r, struct yaml_node *node)
{
    DR_CLEANUP(buf_fini) struct buf words = { 0 };
    const char *p = node->text;
    while (*p != '\0') {
        size_t len = strcspn(p, " \n");
        if (len > 0)
            buf_addf(&words, "%s%.*s", words.len > 0 ? ", " : "", (int)len, p);
        p += len + (p[len] != '\0');
    }
    say(r, node, "shell", "a command line as text: there is no shell");
    diag_hint(r->d, "write a list: [%s]", words.len > 0 ? words.data : "");
    return false;
}

static bool read_list(struct reading *r, struct yaml_node *node, struct plan_value *v,
                      const char *key, const struct scope *scope)
{
    bool alone = node->kind == YAML_SCALAR && strncmp(node->text, "${", 2) == 0 &&
                 node->text[node->len - 1] == '}' && strchr(node->text, '}')[1] == '\0';
    if (alone)
        return cut(r, node, v, scope) && check_parts(r, node, v, key);
    if (node->kind == YAML_SCALAR && v->type == ARG_ARGV)
        return refuse_command_line(r, node);
    if (!is_kind(r, node, YAML_LIST, key))
        return false;
    if (node->count > LIST_MAX || (node->count == 0 && v->type == ARG_ARGV)) {
        say(r, node, "list", node->count == 0 ? "'%s' is empty" : "'%s' has too many items", key);
        return false;
    }
    v->kind = PLAN_ITEMS;
    v->items = dr_alloc(node->count + 1, sizeof(struct plan_value *));
    bool good = true;
    for (size_t i = 0; i < node->count; i++) {
        if (node->items[i]->reported) {
            good = false;
            continue;
        }
        struct plan_value *item = read_value(r, node->items[i], ARG_TEXT, key, scope);
        good = good && item != NULL;
        if (item != NULL)
            v->items[v->count++] = item;
    }
    return good;
}

static bool read_map(struct reading *r, struct yaml_node *node, struct plan_value *v,
                     const char *key, const struct scope *scope)
{
    if (!is_kind(r, node, YAML_MAP, key))
        return false;
    v->kind = PLAN_MAP;
    v->items = dr_alloc(node->count + 1, sizeof(struct plan_value *));
    v->names = dr_alloc(node->count + 1, sizeof(char *));
    bool good = true;
    for (size_t i = 0; i < node->count; i++) {
        struct yaml_node *value = node->items[i];
        const char *name = node->keys[i]->text;
        bool secret = value->kind == YAML_SCALAR && strncmp(value->text, "${secret.", 9) == 0;
        if (value->reported || (looks_secret(name) && value->kind == YAML_SCALAR &&
                                strncmp(value->text, "${", 2) != 0 && !plain_secret(r, value))) {
            good = false;
            continue;
        }
        struct plan_value *item = read_value(r, value, secret ? ARG_SECRET : ARG_TEXT, name, scope);
        good = good && item != NULL;
        if (item != NULL) {
            v->names[v->count] = dr_strdup(name);
            v->items[v->count++] = item;
        }
    }
    return good;
}

static bool read_method(struct reading *r, struct yaml_node *node, struct plan_call *call,
                        const struct scope *scope)
{
    static const char *const keys[] = { "use", "with", NULL };
    if (!is_kind(r, node, YAML_MAP, "methods"))
        return false;
    known_keys(r, node, "a way to fence", keys);
    if (!need_key(r, node, "a way to fence", "use"))
        return false;
    struct yaml_node *use = value_of(node, "use");
    DR_FREE char *name = NULL;
    if (use == NULL || !read_word(r, use, "use", &name))
        return false;
    call->type = step_method_find(name);
    call->at = place_of(use);
    if (call->type != NULL) {
        read_arguments(r, yaml_get(node, "with", NULL), use, call, scope);
        return true;
    }
    if (strcmp(name, "fence.ssh") == 0) {
        say(r, use, "ssh-fence",
            "stopping a unit over ssh proves nothing: a dead link looks the same");
        diag_hint(r->d, "use fence.lease, fence.iam, fence.firewall or fence.ipmi");
        return false;
    }
    say(r, use, "unknown-type", "no way to fence '%s'", name);
    size_t count;
    const struct step_type *all = step_method_all(&count);
    const char *words[16] = { NULL };
    for (size_t i = 0; i < count && i < DR_ARRAY_LEN(words) - 1; i++)
        words[i] = all[i].name;
    if (!hint_near(r, name, words))
        diag_hint(r->d, "use fence.lease, fence.iam, fence.firewall or fence.ipmi");
    return false;
}

static bool read_methods(struct reading *r, struct yaml_node *node, struct plan_value *v,
                         const struct scope *scope)
{
    if (!is_kind(r, node, YAML_LIST, "methods"))
        return false;
    if (node->count == 0 || node->count > 16) {
        say(r, node, "list", "'methods' has %zu items, 1 to 16 are possible", node->count);
        return false;
    }
    v->kind = PLAN_METHODS;
    v->calls = dr_alloc(node->count, sizeof(*v->calls));
    bool good = true;
    for (size_t i = 0; i < node->count; i++) {
        struct plan_call *call = &v->calls[v->count++];
        good = !node->items[i]->reported && read_method(r, node->items[i], call, scope) && good;
    }
    return good;
}

static bool read_inner_check(struct reading *r, struct yaml_node *node, struct plan_value *v,
                             const char *key, const struct scope *scope)
{
    struct scope inner = *scope;
    inner.item = true;
    inner.item_type = ARG_TEXT;
    struct plan_check check = { 0 };
    bool good = read_check(r, node, key, false, &inner, &check);
    v->kind = PLAN_CALL;
    v->calls = dr_alloc(1, sizeof(*v->calls));
    v->calls[v->count++] = check.call;
    check.call = (struct plan_call){ 0 };
    plan_check_fini(&check);
    return good;
}

struct plan_value *read_value(struct reading *r, struct yaml_node *node, enum arg_type type,
                              const char *key, const struct scope *scope)
{
    struct plan_value *v = dr_alloc(1, sizeof(*v));
    v->type = type;
    v->at = place_of(node);
    bool good = false;
    if (node->reported)
        good = false;
    else if (type == ARG_SECRET)
        good = read_secret(r, node, v, scope);
    else if (type == ARG_LIST || type == ARG_ARGV)
        good = read_list(r, node, v, key, scope);
    else if (type == ARG_MAP)
        good = read_map(r, node, v, key, scope);
    else if (type == ARG_METHODS)
        good = read_methods(r, node, v, scope);
    else if (type == ARG_CHECK)
        good = read_inner_check(r, node, v, key, scope);
    else if (type == ARG_EXPR) /* compiled by read_arguments(): it needs the metrics */
        good = is_kind(r, node, YAML_SCALAR, key) && (v->fixed = json_string(node->text)) != NULL;
    else
        good = is_kind(r, node, YAML_SCALAR, key) && read_scalar(r, node, v, key, scope);
    if (good)
        return v;
    plan_value_free(v);
    return NULL;
}

/* ---- all arguments of a call ------------------------------------------------------------------- */

static bool metric_kind(void *arg, const char *name, enum expr_kind *ret, struct expr_mistake *m)
{
    const struct yaml_node *metrics = arg;
    *ret = EXPR_NUMBER;
    if (metrics == NULL || metrics->kind != YAML_MAP || yaml_get(metrics, name, NULL) != NULL)
        return true;
    snprintf(m->what, sizeof(m->what), "no metric '%s'", name);
    const char *words[32] = { NULL };
    for (size_t i = 0; i < metrics->count && i < DR_ARRAY_LEN(words) - 1; i++)
        words[i] = metrics->keys[i]->text;
    size_t count = 0;
    while (words[count] != NULL)
        count++;
    const char *near = text_nearest(name, words, count);
    if (near != NULL)
        snprintf(m->hint, sizeof(m->hint), "did you mean '%s'?", near);
    return false;
}

static void check_expression(struct reading *r, struct yaml_node *with, struct yaml_node *node)
{
    struct expr_mistake m;
    DR_CLEANUP(expr_free_ptr)
    struct expr *e = expr_compile(node->text, metric_kind, yaml_get(with, "metrics", NULL), &m);
    if (e != NULL)
        return;
    diag_error(r->d, node->line, yaml_col_at(node, m.offset), "expression", "%s", m.what);
    if (m.hint[0] != '\0')
        diag_hint(r->d, "%s", m.hint);
    node->reported = true;
}

static void check_choice(struct reading *r, struct yaml_node *node, const struct step_arg *arg,
                         const struct plan_value *v)
{
    size_t at;
    if (arg->choices != NULL && v->fixed != NULL)
        (void)read_choice(r, node, arg->name, arg->choices, &at); /* reported where it is wrong */
}

static void read_argument(struct reading *r, struct yaml_node *with, const struct step_arg *arg,
                          struct plan_call *call, const struct scope *scope)
{
    struct yaml_node *node = value_of(with, arg->name);
    if (node == NULL)
        return;
    struct scope inner = *scope;
    inner.arg = arg->name;
    inner.fence = inner.fence || call->type->class == STEP_FENCE;
    struct plan_value *v = read_value(r, node, arg->type, arg->name, &inner);
    if (v == NULL)
        return;
    check_choice(r, node, arg, v);
    if (arg->type == ARG_EXPR)
        check_expression(r, with, node);
    call->args = dr_realloc(call->args, call->arg_count + 1, sizeof(struct step_arg *));
    call->values = dr_realloc(call->values, call->arg_count + 1, sizeof(struct plan_value *));
    call->args[call->arg_count] = arg;
    call->values[call->arg_count++] = v;
}

static void missing_argument(struct reading *r, struct yaml_node *at, const struct plan_call *call,
                             const char *what)
{
    diag_error(r->d, at->line, at->col, "missing-arg", "'%s' needs %s", call->type->name, what);
}

/* A fence and its lifting name one of two things. */
static void check_region_or_host(struct reading *r, struct yaml_node *with, struct yaml_node *at,
                                 const struct plan_call *call)
{
    if (strcmp(call->type->name, "fence") != 0 && strcmp(call->type->name, "fence.lift") != 0)
        return;
    bool region = with != NULL && yaml_get(with, "region", NULL) != NULL;
    bool host = with != NULL && yaml_get(with, "host", NULL) != NULL;
    if (!region && !host)
        missing_argument(r, at, call, "'region' or 'host'");
    else if (region && host)
        diag_error(r->d, at->line, at->col, "either", "'%s' takes 'region' or 'host', not both",
                   call->type->name);
}

void read_given_arguments(struct reading *r, struct yaml_node *with, struct plan_call *call,
                          const struct scope *scope)
{
    const char *known[32] = { NULL };
    size_t count = 0;
    for (const struct step_arg *arg = call->type->args; arg->name != NULL; arg++) {
        DR_ASSERT(count + 1 < DR_ARRAY_LEN(known));
        known[count++] = arg->name;
    }
    char what[80];
    snprintf(what, sizeof(what), "'%s'", call->type->name);
    known_keys(r, with, what, known);
    for (const struct step_arg *arg = call->type->args; arg->name != NULL; arg++)
        read_argument(r, with, arg, call, scope);
}

void read_arguments(struct reading *r, struct yaml_node *with, struct yaml_node *use,
                    struct plan_call *call, const struct scope *scope)
{
    if (with != NULL && !is_kind(r, with, YAML_MAP, "with"))
        return;
    struct yaml_node *at = with != NULL ? with : use;
    for (const struct step_arg *arg = call->type->args; arg->name != NULL; arg++) {
        DR_FREE char *quoted = dr_strf("'%s'", arg->name);
        if (arg->required && (with == NULL || yaml_get(with, arg->name, NULL) == NULL))
            missing_argument(r, at, call, quoted);
    }
    check_region_or_host(r, with, at, call);
    if (with != NULL)
        read_given_arguments(r, with, call, scope);
}
