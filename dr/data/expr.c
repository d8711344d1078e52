/*
 * expr.c - conditions: read by descent, kept as a list in postfix order, computed on a small stack.
 *
 * Descent is bounded by EXPR_LEVELS_MAX. Kinds are computed while reading, so that a comparison of
 * unlike things is found before the run, at the operator that does it.
 */
#include "dr/data/expr.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/duration.h"

enum op {
    OP_LITERAL,
    OP_NAME,
    OP_AND,
    OP_OR,
    OP_NOT,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_NEG,
    OP_COUNT,
    OP_AGE,
};

enum token { T_END, T_WORD, T_QUANTITY, T_TEXT, T_MARK, T_BAD };

struct node {
    enum op op;
    enum expr_kind kind;
    char *text; /* name or text literal; owned */
    bool truth;
    double number;
    size_t offset, len; /* in the source */
};

struct expr {
    char *text;
    struct node *nodes;
    size_t count, cap;
    const char **names; /* owned array of borrowed words */
    size_t name_count;
};

struct reading {
    struct expr *e;
    const char *at;   /* behind the token */
    enum token token; /* the next one, not taken yet */
    size_t offset, len;
    int level;
    bool wrong;
    bool (*kind_of)(void *, const char *, enum expr_kind *, struct expr_mistake *);
    void *arg;
    struct expr_mistake *m;
};

static enum expr_kind read_or(struct reading *r);

/* ---- mistakes ------------------------------------------------------------------------------- */

static void mistake(struct reading *r, size_t offset, const char *hint, const char *fmt, ...)
    DR_PRINTF(4, 5);
static void mistake(struct reading *r, size_t offset, const char *hint, const char *fmt, ...)
{
    if (r->wrong)
        return;
    r->wrong = true;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->m->what, sizeof(r->m->what), fmt, ap);
    va_end(ap);
    snprintf(r->m->hint, sizeof(r->m->hint), "%s", hint);
    r->m->offset = offset;
}

static const char *kind_word(enum expr_kind kind)
{
    static const char *const words[] = {
        [EXPR_ANY] = "a value",         [EXPR_TRUTH] = "a yes or no", [EXPR_NUMBER] = "a number",
        [EXPR_DURATION] = "a duration", [EXPR_SIZE] = "a size",       [EXPR_TIME] = "a time",
        [EXPR_TEXT] = "a text",         [EXPR_LIST] = "a list",
    };
    return words[kind];
}

/* ---- tokens --------------------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t mark_len(const char *p)
{
    static const char *const two[] = { "==", "!=", "<=", ">=", "&&", "||", "${" };
    for (size_t i = 0; i < DR_ARRAY_LEN(two); i++)
        if (strncmp(p, two[i], 2) == 0)
            return 2;
    size_t len = 1;
    while (((unsigned char)p[len] & 0xc0) == 0x80) /* the rest of one letter */
        len++;
    return len;
}

static void next(struct reading *r)
{
    const char *p = r->at;
    while (*p == ' ' || *p == '\n')
        p++;
    const char *start = p;
    if (*p == '\0') {
        r->token = T_END;
    } else if (is_letter(*p)) {
        r->token = T_WORD;
        while (is_letter(*p) || is_digit(*p) || (*p == '.' && is_letter(p[1])))
            p++;
    } else if (is_digit(*p)) {
        r->token = T_QUANTITY;
        while (is_digit(*p) || is_letter(*p) || (*p == '.' && is_digit(p[1])))
            p++;
        p += *p == '%';
    } else if (*p == '\'') {
        const char *end = strchr(p + 1, '\'');
        r->token = end != NULL ? T_TEXT : T_BAD;
        p = end != NULL ? end + 1 : p + 1;
    } else {
        r->token = T_MARK;
        p += mark_len(p);
    }
    r->offset = (size_t)(start - r->e->text);
    r->len = (size_t)(p - start);
    r->at = p;
}

static bool is_token(const struct reading *r, enum token token, const char *text)
{
    return r->token == token && strlen(text) == r->len &&
           memcmp(r->e->text + r->offset, text, r->len) == 0;
}

static bool take(struct reading *r, enum token token, const char *text)
{
    if (!is_token(r, token, text))
        return false;
    next(r);
    return true;
}

static void refuse_reference(struct reading *r)
{
    const char *name = r->e->text + r->offset + 2;
    char hint[120] = "names stand bare";
    const char *end = strchr(name, '}');
    if (end != NULL)
        snprintf(hint, sizeof(hint), "names stand bare: %.*s", (int)(end - name), name);
    mistake(r, r->offset, hint, "no ${ } in an expression");
}

static void refuse_token(struct reading *r)
{
    static const char *const habits[][2] = {
        { "=", "write == to compare" }, { "&&", "write and" },    { "||", "write or" },
        { "!", "write not" },           { "\"", "write 'text'" },
    };
    const char *hint = "";
    if (is_token(r, T_MARK, "${")) {
        refuse_reference(r);
        return;
    }
    for (size_t i = 0; i < DR_ARRAY_LEN(habits); i++)
        if (is_token(r, T_MARK, habits[i][0]))
            hint = habits[i][1];
    if (r->token == T_END)
        mistake(r, r->offset, "", "the expression ends too early");
    else if (r->token == T_BAD)
        mistake(r, r->offset, "write 'text'", "a text without its second quote");
    else
        mistake(r, r->offset, hint, "'%.*s' is out of place here", (int)r->len,
                r->e->text + r->offset);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static struct node *add(struct reading *r, enum op op, enum expr_kind kind, size_t offset)
{
    struct expr *e = r->e;
    if (e->count == e->cap) {
        e->cap = e->cap == 0 ? 8 : e->cap * 2;
        e->nodes = dr_realloc(e->nodes, e->cap, sizeof(*e->nodes));
    }
    struct node *n = &e->nodes[e->count++];
    *n = (struct node){ .op = op, .kind = kind, .offset = offset };
    return n;
}

static enum expr_kind read_quantity(struct reading *r)
{
    DR_FREE char *text = dr_memdup(r->e->text + r->offset, r->len);
    size_t offset = r->offset, len = r->len;
    enum expr_kind kind = EXPR_NUMBER;
    double number = 0;
    int64_t ms = 0;
    uint64_t bytes = 0;
    char *end = NULL;
    bool plain = strspn(text, "0123456789.%") == len;
    if (plain) {
        number = strtod(text, &end);
        if (strcmp(end, "%") == 0)
            number /= 100;
        else if (*end != '\0')
            mistake(r, offset, "", "'%s' is not a number", text);
    } else if (duration_parse(text, &ms) == QUANTITY_OK) {
        kind = EXPR_DURATION;
        number = (double)ms;
    } else if (size_parse(text, &bytes) == QUANTITY_OK) {
        kind = EXPR_SIZE;
        number = (double)bytes;
    } else {
        mistake(r, offset, "examples: 42, 1.5, 5%, 30s, 100MiB", "'%s' is not a quantity", text);
    }
    next(r);
    struct node *n = add(r, OP_LITERAL, kind, offset);
    n->number = number;
    n->len = len;
    return kind;
}

static void remember_name(struct expr *e, const char *name)
{
    for (size_t i = 0; i < e->name_count; i++)
        if (strcmp(e->names[i], name) == 0)
            return;
    e->names = dr_realloc(e->names, e->name_count + 2, sizeof(*e->names));
    e->names[e->name_count++] = name;
}

static enum expr_kind read_function(struct reading *r, enum op op, size_t offset)
{
    next(r); /* the bracket */
    enum expr_kind inner = read_or(r);
    enum expr_kind want = op == OP_COUNT ? EXPR_LIST : EXPR_TIME;
    if (inner != want && inner != EXPR_ANY)
        mistake(r, offset, "", "%s takes %s, not %s", op == OP_COUNT ? "count" : "age",
                kind_word(want), kind_word(inner));
    if (!take(r, T_MARK, ")"))
        refuse_token(r);
    enum expr_kind kind = op == OP_COUNT ? EXPR_NUMBER : EXPR_DURATION;
    add(r, op, kind, offset);
    return kind;
}

static enum expr_kind read_word(struct reading *r)
{
    static const char *const reserved[] = { "and", "or", "not", "in" };
    size_t offset = r->offset;
    DR_FREE char *word = dr_memdup(r->e->text + offset, r->len);
    for (size_t i = 0; i < DR_ARRAY_LEN(reserved); i++)
        if (strcmp(word, reserved[i]) == 0)
            refuse_token(r);
    next(r);
    bool truth = strcmp(word, "true") == 0;
    if (truth || strcmp(word, "false") == 0) {
        add(r, OP_LITERAL, EXPR_TRUTH, offset)->truth = truth;
        return EXPR_TRUTH;
    }
    bool call = is_token(r, T_MARK, "(");
    if (call && strcmp(word, "count") == 0)
        return read_function(r, OP_COUNT, offset);
    if (call && strcmp(word, "age") == 0)
        return read_function(r, OP_AGE, offset);
    if (call)
        mistake(r, offset, "there are count(LIST) and age(TIME)", "no function '%s'", word);
    enum expr_kind kind = EXPR_ANY;
    struct expr_mistake m = { 0 };
    if (!r->wrong && !r->kind_of(r->arg, word, &kind, &m))
        mistake(r, offset, m.hint, "%s", m.what);
    struct node *n = add(r, OP_NAME, kind, offset);
    n->text = DR_TAKE(word);
    return kind;
}

static enum expr_kind read_text(struct reading *r)
{
    struct node *n = add(r, OP_LITERAL, EXPR_TEXT, r->offset);
    n->text = dr_memdup(r->e->text + r->offset + 1, r->len - 2);
    next(r);
    return EXPR_TEXT;
}

static enum expr_kind read_atom(struct reading *r)
{
    size_t offset = r->offset;
    if (r->wrong)
        return EXPR_ANY;
    if (r->token == T_WORD)
        return read_word(r);
    if (r->token == T_QUANTITY)
        return read_quantity(r);
    if (r->token == T_TEXT)
        return read_text(r);
    if (++r->level > EXPR_LEVELS_MAX)
        mistake(r, offset, "", "more than %d levels", EXPR_LEVELS_MAX);
    enum expr_kind kind = EXPR_ANY;
    if (r->wrong) {
        kind = EXPR_ANY;
    } else if (take(r, T_MARK, "-")) {
        kind = read_atom(r);
        if (kind != EXPR_NUMBER && kind != EXPR_DURATION && kind != EXPR_SIZE && kind != EXPR_ANY)
            mistake(r, offset, "", "cannot take the negative of %s", kind_word(kind));
        add(r, OP_NEG, kind, offset);
    } else if (take(r, T_MARK, "(")) {
        kind = read_or(r);
        if (!r->wrong && !take(r, T_MARK, ")"))
            refuse_token(r);
    } else {
        refuse_token(r);
    }
    r->level--;
    return kind;
}

/* ---- kinds of results ------------------------------------------------------------------------ */

static bool is_amount(enum expr_kind kind)
{
    return kind == EXPR_DURATION || kind == EXPR_SIZE;
}

/* The kind of a op b, or false when that has no meaning. */
static bool product_kind(enum op op, enum expr_kind a, enum expr_kind b, enum expr_kind *ret)
{
    *ret = EXPR_ANY;
    if (a == EXPR_ANY || b == EXPR_ANY)
        return true;
    if ((a == EXPR_NUMBER || is_amount(a)) && b == EXPR_NUMBER)
        *ret = a;
    else if (op == OP_MUL && a == EXPR_NUMBER && is_amount(b))
        *ret = b;
    else if (op == OP_DIV && is_amount(a) && a == b)
        *ret = EXPR_NUMBER;
    else
        return false;
    return true;
}

static bool sum_kind(enum op op, enum expr_kind a, enum expr_kind b, enum expr_kind *ret)
{
    *ret = EXPR_ANY;
    if (a == EXPR_ANY || b == EXPR_ANY)
        return true;
    if (a == b && (a == EXPR_NUMBER || is_amount(a)))
        *ret = a;
    else if (a == EXPR_TIME && b == EXPR_DURATION)
        *ret = EXPR_TIME;
    else if (op == OP_SUB && a == EXPR_TIME && b == EXPR_TIME)
        *ret = EXPR_DURATION;
    else
        return false;
    return true;
}

static enum expr_kind read_term(struct reading *r)
{
    enum expr_kind left = read_atom(r);
    while (!r->wrong && (is_token(r, T_MARK, "*") || is_token(r, T_MARK, "/"))) {
        enum op op = is_token(r, T_MARK, "*") ? OP_MUL : OP_DIV;
        size_t offset = r->offset;
        next(r);
        enum expr_kind right = read_atom(r);
        enum expr_kind kind;
        if (!product_kind(op, left, right, &kind))
            mistake(r, offset, "", "cannot %s %s %s %s", op == OP_MUL ? "multiply" : "divide",
                    kind_word(left), op == OP_MUL ? "with" : "by", kind_word(right));
        add(r, op, kind, offset);
        left = kind;
    }
    return left;
}

static enum expr_kind read_sum(struct reading *r)
{
    enum expr_kind left = read_term(r);
    while (!r->wrong && (is_token(r, T_MARK, "+") || is_token(r, T_MARK, "-"))) {
        enum op op = is_token(r, T_MARK, "+") ? OP_ADD : OP_SUB;
        size_t offset = r->offset;
        next(r);
        enum expr_kind right = read_term(r);
        enum expr_kind kind;
        if (!sum_kind(op, left, right, &kind))
            mistake(r, offset, "", "cannot %s %s and %s", op == OP_ADD ? "add" : "subtract",
                    kind_word(left), kind_word(right));
        add(r, op, kind, offset);
        left = kind;
    }
    return left;
}

static bool take_comparison(struct reading *r, enum op *ret)
{
    static const struct {
        const char *text;
        enum op op;
    } marks[] = { { "==", OP_EQ }, { "!=", OP_NE }, { "<", OP_LT },
                  { "<=", OP_LE }, { ">", OP_GT },  { ">=", OP_GE } };
    for (size_t i = 0; i < DR_ARRAY_LEN(marks); i++) {
        if (take(r, T_MARK, marks[i].text)) {
            *ret = marks[i].op;
            return true;
        }
    }
    *ret = OP_IN;
    return take(r, T_WORD, "in");
}

/* "5m > 90": the number, if it stands there as written, gets the unit it lacks. */
static void refuse_comparison(struct reading *r, size_t offset, const struct node *left,
                              const struct node *right)
{
    const struct node *number = left->kind == EXPR_NUMBER ? left : right;
    const struct node *other = number == left ? right : left;
    char hint[80] = "";
    bool literal = number->kind == EXPR_NUMBER && number->op == OP_LITERAL;
    if (literal && other->kind == EXPR_DURATION)
        snprintf(hint, sizeof(hint), "a duration is written with its unit: %.*ss",
                 (int)(number->len > 20 ? 20 : number->len), r->e->text + number->offset);
    else if (literal && other->kind == EXPR_SIZE)
        snprintf(hint, sizeof(hint), "a size is written with its unit: %.*sMiB",
                 (int)(number->len > 20 ? 20 : number->len), r->e->text + number->offset);
    mistake(r, offset, hint, "cannot compare %s with %s", kind_word(left->kind),
            kind_word(right->kind));
}

static enum expr_kind read_comparison(struct reading *r)
{
    enum expr_kind left = read_sum(r);
    size_t left_node = r->e->count - (r->e->count > 0);
    size_t offset = r->offset;
    enum op op;
    if (r->wrong || !take_comparison(r, &op))
        return left;
    enum expr_kind right = read_sum(r);
    if (r->wrong)
        return EXPR_TRUTH;
    const struct node *a = &r->e->nodes[left_node], *b = &r->e->nodes[r->e->count - 1];
    bool ordered = op != OP_EQ && op != OP_NE && op != OP_IN;
    if (op == OP_IN) {
        if ((right != EXPR_LIST && right != EXPR_ANY) || (left != EXPR_TEXT && left != EXPR_ANY))
            mistake(r, offset, "", "'in' takes a text and a list, not %s and %s", kind_word(left),
                    kind_word(right));
    } else if (left != right && left != EXPR_ANY && right != EXPR_ANY) {
        refuse_comparison(r, offset, a, b);
    } else if (left == EXPR_LIST || right == EXPR_LIST) {
        mistake(r, offset, "write in, or count(LIST)", "lists cannot be compared");
    } else if (ordered && (left == EXPR_TEXT || left == EXPR_TRUTH)) {
        mistake(r, offset, "only == and != compare them", "%s is neither more nor less",
                kind_word(left));
    }
    add(r, op, EXPR_TRUTH, offset);
    if (!r->wrong && take_comparison(r, &op))
        mistake(r, r->offset, "write a < b and b < c", "two comparisons in a row");
    return EXPR_TRUTH;
}

static void want_truth(struct reading *r, enum expr_kind kind, size_t offset)
{
    if (kind != EXPR_TRUTH && kind != EXPR_ANY)
        mistake(r, offset, "compare it with something", "a yes or no is wanted here, not %s",
                kind_word(kind));
}

static enum expr_kind read_not(struct reading *r)
{
    size_t nots = 0, offset = r->offset;
    while (take(r, T_WORD, "not"))
        nots++;
    size_t inner = r->offset;
    enum expr_kind kind = read_comparison(r);
    if (nots == 0)
        return kind;
    want_truth(r, kind, inner);
    if (nots % 2 == 1)
        add(r, OP_NOT, EXPR_TRUTH, offset);
    return EXPR_TRUTH;
}

static enum expr_kind read_and(struct reading *r)
{
    size_t start = r->offset;
    enum expr_kind left = read_not(r);
    while (!r->wrong && is_token(r, T_WORD, "and")) {
        size_t offset = r->offset;
        want_truth(r, left, start);
        next(r);
        size_t right = r->offset;
        want_truth(r, read_not(r), right);
        add(r, OP_AND, EXPR_TRUTH, offset);
        left = EXPR_TRUTH;
    }
    return left;
}

static enum expr_kind read_or(struct reading *r)
{
    if (++r->level > EXPR_LEVELS_MAX)
        mistake(r, r->offset, "", "more than %d levels", EXPR_LEVELS_MAX);
    size_t start = r->offset;
    enum expr_kind left = r->wrong ? EXPR_ANY : read_and(r);
    while (!r->wrong && is_token(r, T_WORD, "or")) {
        size_t offset = r->offset;
        want_truth(r, left, start);
        next(r);
        size_t right = r->offset;
        want_truth(r, read_and(r), right);
        add(r, OP_OR, EXPR_TRUTH, offset);
        left = EXPR_TRUTH;
    }
    r->level--;
    return left;
}

/* ---- the outside ----------------------------------------------------------------------------- */

void expr_free(struct expr *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < e->count; i++)
        free(e->nodes[i].text);
    free(e->nodes);
    free(e->names);
    free(e->text);
    free(e);
}

struct expr *expr_compile(const char *text,
                          bool (*kind_of)(void *arg, const char *name, enum expr_kind *ret,
                                          struct expr_mistake *m),
                          void *arg, struct expr_mistake *m)
{
    DR_CLEANUP(expr_free_ptr) struct expr *e = dr_alloc(1, sizeof(*e));
    e->text = dr_strdup(text);
    *m = (struct expr_mistake){ 0 };
    struct reading r = { .e = e, .at = e->text, .kind_of = kind_of, .arg = arg, .m = m };
    if (strlen(text) > EXPR_BYTES_MAX) {
        mistake(&r, 0, "", "more than %d bytes in one expression", EXPR_BYTES_MAX);
        return NULL;
    }
    next(&r);
    size_t start = r.offset;
    enum expr_kind kind = read_or(&r);
    if (!r.wrong && r.token != T_END)
        refuse_token(&r);
    if (!r.wrong)
        want_truth(&r, kind, start);
    if (r.wrong)
        return NULL;
    e->names = dr_alloc(1, sizeof(*e->names));
    for (size_t i = 0; i < e->count; i++)
        if (e->nodes[i].op == OP_NAME)
            remember_name(e, e->nodes[i].text);
    e->names[e->name_count] = NULL;
    return DR_TAKE(e);
}

const char *expr_text(const struct expr *e)
{
    return e->text;
}

const char *const *expr_names(const struct expr *e)
{
    return e->names;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static struct expr_value truth_value(bool known, bool truth)
{
    return (struct expr_value){ .kind = EXPR_TRUTH, .known = known, .truth = truth };
}

static struct expr_value both(enum op op, const struct expr_value *a, const struct expr_value *b)
{
    bool settles = op == OP_OR; /* true settles an or, false an and */
    if ((a->known && a->truth == settles) || (b->known && b->truth == settles))
        return truth_value(true, settles);
    return truth_value(a->known && b->known, !settles);
}

static struct expr_value compare(enum op op, const struct expr_value *a, const struct expr_value *b)
{
    if (!a->known || !b->known || a->kind != b->kind || a->kind == EXPR_LIST)
        return truth_value(false, false);
    int order;
    if (a->kind == EXPR_TEXT)
        order = strcmp(a->text, b->text);
    else if (a->kind == EXPR_TRUTH)
        order = (int)a->truth - (int)b->truth;
    else
        order = a->number < b->number ? -1 : a->number > b->number;
    bool result = op == OP_EQ   ? order == 0
                  : op == OP_NE ? order != 0
                  : op == OP_LT ? order < 0
                  : op == OP_LE ? order <= 0
                  : op == OP_GT ? order > 0
                                : order >= 0;
    return truth_value(true, result);
}

static struct expr_value is_in(const struct expr_value *a, const struct expr_value *b)
{
    if (!a->known || !b->known || a->kind != EXPR_TEXT || b->kind != EXPR_LIST)
        return truth_value(false, false);
    bool found = false;
    for (size_t i = 0; i < b->count; i++)
        found |= strcmp(a->text, b->list[i]) == 0;
    return truth_value(true, found);
}

static struct expr_value compute(enum op op, const struct expr_value *a, const struct expr_value *b)
{
    struct expr_value v = { .known = a->known && b->known };
    bool fits = op == OP_ADD || op == OP_SUB ? sum_kind(op, a->kind, b->kind, &v.kind)
                                             : product_kind(op, a->kind, b->kind, &v.kind);
    double x = a->number, y = b->number;
    if (a->kind == EXPR_TIME && b->kind == EXPR_DURATION)
        y /= 1000;
    v.number = op == OP_ADD ? x + y : op == OP_SUB ? x - y : op == OP_MUL ? x * y : x / y;
    if (a->kind == EXPR_TIME && b->kind == EXPR_TIME)
        v.number *= 1000;
    v.known = v.known && fits && isfinite(v.number);
    return v;
}

static struct expr_value one(enum op op, const struct expr_value *a, int64_t now_ns)
{
    struct expr_value v = *a;
    switch (op) {
    case OP_NOT:
        return truth_value(a->known && a->kind == EXPR_TRUTH, !a->truth);
    case OP_NEG:
        v.number = -a->number;
        return v;
    case OP_COUNT:
        v = (struct expr_value){ EXPR_NUMBER, a->known && a->kind == EXPR_LIST,
                                 .number = (double)a->count };
        return v;
    default:
        v = (struct expr_value){ EXPR_DURATION, a->known && a->kind == EXPR_TIME,
                                 .number = (double)now_ns / 1e6 - a->number * 1000 };
        return v;
    }
}

static struct expr_value two(enum op op, const struct expr_value *a, const struct expr_value *b)
{
    if (op == OP_AND || op == OP_OR)
        return both(op, a, b);
    if (op == OP_IN)
        return is_in(a, b);
    return op < OP_IN ? compare(op, a, b) : compute(op, a, b);
}

static struct expr_value leaf(const struct node *n,
                              void (*value_of)(void *, const char *, struct expr_value *),
                              void *arg)
{
    struct expr_value v = { .kind = n->kind, .known = n->op == OP_LITERAL };
    if (n->op == OP_LITERAL) {
        v.truth = n->truth;
        v.number = n->number;
        v.text = n->text;
        return v;
    }
    value_of(arg, n->text, &v);
    bool number = v.kind != EXPR_TEXT && v.kind != EXPR_LIST && v.kind != EXPR_TRUTH;
    if (v.kind == EXPR_ANY || (number && !isfinite(v.number)))
        v.known = false;
    return v;
}

enum expr_truth expr_eval(const struct expr *e,
                          void (*value_of)(void *arg, const char *name, struct expr_value *ret),
                          void *arg, int64_t now_ns)
{
    DR_FREE struct expr_value *stack = dr_alloc(e->count, sizeof(*stack));
    size_t depth = 0;
    for (size_t i = 0; i < e->count; i++) {
        const struct node *n = &e->nodes[i];
        if (n->op == OP_LITERAL || n->op == OP_NAME) {
            stack[depth++] = leaf(n, value_of, arg);
            continue;
        }
        if (n->op == OP_NOT || n->op >= OP_NEG) {
            DR_ASSERT(depth >= 1);
            stack[depth - 1] = one(n->op, &stack[depth - 1], now_ns);
            continue;
        }
        DR_ASSERT(depth >= 2);
        stack[depth - 2] = two(n->op, &stack[depth - 2], &stack[depth - 1]);
        depth--;
    }
    DR_ASSERT(depth == 1);
    const struct expr_value *v = &stack[0];
    if (!v->known || v->kind != EXPR_TRUTH)
        return EXPR_UNKNOWN;
    return v->truth ? EXPR_TRUE : EXPR_FALSE;
}
