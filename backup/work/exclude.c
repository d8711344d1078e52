/*
 * Patterns of gitignore(5). A line is compiled to segments (what lies between slashes), a segment to
 * tokens; "**" is a segment of its own. Matching runs on two levels, path against segments and name against
 * tokens, each with one place to come back to, the last star: going back further can never help, because
 * a star takes whatever an earlier one would have given up. So no pattern takes exponential time.
 *
 * What git's own matcher can never match (an open bracket, a backslash at the end, an empty part) matches
 * nothing here as well: the entry is saved.
 */
#include "backup/work/exclude.h"

#include <ctype.h>
#include <string.h>
#include <xxhash.h>

#include "dr/base/buf.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"

enum token_kind { TOKEN_BYTE, TOKEN_ANY, TOKEN_CLASS, TOKEN_STAR };

struct token {
    uint8_t kind;
    uint8_t byte;
    uint32_t class; /* in pattern->classes */
};

struct class {
    uint8_t bits[32];
};

struct segment {
    bool deep;        /* "**": any number of parts, at least min */
    unsigned min;     /* 0 or 1 */
    size_t at, count; /* in pattern->tokens */
};

struct pattern {
    bool keep;     /* '!' */
    bool dir_only; /* '/' at the end */
    bool anchored; /* has a '/': matched with paths, else with names */
    struct token *tokens;
    struct class *classes;
    struct segment *segments;
    size_t token_count, class_count, segment_count;
};

struct exclude {
    struct pattern *patterns;
    size_t count, cap;
    XXH3_state_t *hash;
};

struct exclude *exclude_new(void)
{
    struct exclude *x = dr_alloc(1, sizeof *x);
    x->hash = XXH3_createState();
    DR_ASSERT(x->hash != NULL);
    (void)XXH3_64bits_reset(x->hash); /* cannot fail */
    return x;
}

static void pattern_fini(struct pattern *p)
{
    free(p->tokens);
    free(p->classes);
    free(p->segments);
}

void exclude_free(struct exclude *x)
{
    if (x == NULL)
        return;
    for (size_t i = 0; i < x->count; i++)
        pattern_fini(&x->patterns[i]);
    free(x->patterns);
    (void)XXH3_freeState(x->hash); /* always XXH_OK */
    free(x);
}

/* -- compiling ----------------------------------------------------------------------------- */

struct compiler {
    const char *at; /* rest of the line */
    struct pattern *p;
};

static void set_bit(struct class *c, unsigned byte)
{
    c->bits[byte / 8] |= (uint8_t)(1U << byte % 8);
}

static bool has_bit(const struct class *c, unsigned char byte)
{
    return (c->bits[byte / 8] >> byte % 8 & 1) != 0;
}

/* Bytes of a [:name:]; name has len bytes. False: there is none of that name. */
static bool add_named(struct class *c, const char *name, size_t len)
{
    static const struct {
        const char *name;
        int (*is)(int);
    } known[] = {
        { "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl },
        { "digit", isdigit }, { "graph", isgraph }, { "lower", islower }, { "print", isprint },
        { "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(known); i++) {
        if (strlen(known[i].name) != len || memcmp(known[i].name, name, len) != 0)
            continue;
        for (unsigned byte = 0; byte < 128; byte++)
            if (known[i].is((int)byte) != 0)
                set_bit(c, byte);
        return true;
    }
    return false;
}

/* One byte of a class, which may be escaped. 0: the line ends. */
static unsigned char class_byte(const char **at)
{
    if (**at == '\\')
        ++*at;
    return (unsigned char)*(*at)++;
}

/* [:name:] at *at, which is behind its '['. Returns 1 when taken, 0 when it is none, -1 when it is wrong. */
static int take_named(struct class *c, const char **at)
{
    if (**at != ':')
        return 0;
    const char *name = *at + 1;
    const char *end = strchr(name, ']');
    if (end == NULL)
        return -1;
    if (end == name || end[-1] != ':')
        return 0;
    *at = end + 1;
    return add_named(c, name, (size_t)(end - 1 - name)) ? 1 : -1;
}

/* A bracket; k->at is behind its '['. False: it never ends, or it is wrong. */
static bool compile_class(struct compiler *k, struct class *c)
{
    const char *at = k->at;
    bool negated = *at == '!' || *at == '^';
    at += negated;
    unsigned char before = 0; /* what a range could begin with */
    do {
        bool range = *at == '-' && before != 0 && at[1] != '\0' && at[1] != ']';
        int named = *at == '[' ? (at++, take_named(c, &at)) : -2;
        if (named == -1)
            return false;
        if (named == 1) {
            before = 0;
            continue;
        }
        at += range;
        unsigned char byte = named == 0 ? '[' : class_byte(&at);
        if (byte == 0)
            return false;
        for (unsigned b = range ? before : byte; b <= byte; b++)
            set_bit(c, b);
        before = range ? 0 : byte;
    } while (*at != ']');
    for (size_t i = 0; negated && i < sizeof c->bits; i++)
        c->bits[i] = (uint8_t)~c->bits[i];
    k->at = at + 1;
    return true;
}

static bool add_token(struct compiler *k, enum token_kind kind, char byte)
{
    struct pattern *p = k->p;
    struct token *t = &p->tokens[p->token_count];
    *t = (struct token){ .kind = (uint8_t)kind, .byte = (uint8_t)byte };
    if (kind == TOKEN_STAR && p->segments[p->segment_count - 1].count > 0 &&
        t[-1].kind == TOKEN_STAR)
        return true; /* two are one */
    if (kind == TOKEN_CLASS) {
        t->class = (uint32_t)p->class_count++;
        p->classes = dr_realloc(p->classes, p->class_count, sizeof *p->classes);
        p->classes[t->class] = (struct class){ .bits = { 0 } };
        if (!compile_class(k, &p->classes[t->class]))
            return false;
    }
    p->token_count++;
    p->segments[p->segment_count - 1].count++;
    return true;
}

static struct segment *add_segment(struct pattern *p)
{
    p->segments = dr_realloc(p->segments, p->segment_count + 1, sizeof *p->segments);
    struct segment *s = &p->segments[p->segment_count++];
    *s = (struct segment){ .at = p->token_count };
    return s;
}

/* Up to the next slash or the end. False: this can match nothing. */
static bool compile_segment(struct compiler *k)
{
    size_t stars = strspn(k->at, "*");
    const char *behind = k->at + stars;
    bool escaped = behind[0] == '\\' && behind[1] == '/';
    struct segment *s = add_segment(k->p);
    if (k->p->anchored && stars >= 2 && (*behind == '\0' || *behind == '/' || escaped)) {
        s->deep = true;
        s->min = *behind != '/'; /* a/ ** /b holds a/b, but a/ ** holds no a */
        k->at = behind + escaped;
        return true;
    }
    bool good = true;
    while (good && *k->at != '\0' && *k->at != '/' && !(k->at[0] == '\\' && k->at[1] == '/')) {
        char c = *k->at++;
        if (c == '*')
            good = add_token(k, TOKEN_STAR, c);
        else if (c == '?')
            good = add_token(k, TOKEN_ANY, c);
        else if (c == '[')
            good = add_token(k, TOKEN_CLASS, c);
        else if (c == '\\')
            good = *k->at != '\0' && add_token(k, TOKEN_BYTE, *k->at++);
        else
            good = add_token(k, TOKEN_BYTE, c);
    }
    k->at += k->at[0] == '\\';
    return good && k->p->segments[k->p->segment_count - 1].count > 0;
}

/* line: without '!' and without the last '/'. False: it can match nothing. */
static bool compile(struct pattern *p, const char *line)
{
    struct compiler k = { .at = line, .p = p };
    p->tokens = dr_alloc(strlen(line) + 1, sizeof *p->tokens);
    p->anchored = strchr(line, '/') != NULL;
    k.at += *line == '/';
    if (!compile_segment(&k))
        return false;
    while (*k.at == '/') {
        k.at++;
        if (!compile_segment(&k))
            return false;
    }
    DR_ASSERT(*k.at == '\0');
    return true;
}

/* Length of the line without the blanks at its end, unless they are escaped. */
static size_t trimmed_length(const char *line, size_t len)
{
    size_t keep = 0;
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '\\' && i + 1 < len)
            keep = ++i + 1;
        else if (line[i] != ' ')
            keep = i + 1;
    }
    return keep;
}

static enum dr_rc add_line(struct exclude *x, const char *line, size_t len, struct dr_err *err)
{
    if (len > EXCLUDE_PATTERN_SIZE_MAX)
        return dr_fail(err, DR_E_CONFIG, "a pattern of %zu bytes; at most %d are possible", len,
                       (int)EXCLUDE_PATTERN_SIZE_MAX);
    if (memchr(line, '\0', len) != NULL || memchr(line, '\n', len) != NULL)
        return dr_fail(err, DR_E_CONFIG, "a pattern is one line of text");
    if (len == 0 || line[0] == '#')
        return DR_OK;
    len = trimmed_length(line, len);
    (void)XXH3_64bits_update(x->hash, line, len); /* fails for no state only */
    (void)XXH3_64bits_update(x->hash, "\n", 1);
    struct pattern p = { .keep = line[0] == '!' };
    line += p.keep;
    len -= p.keep;
    p.dir_only = len > 0 && line[len - 1] == '/';
    DR_FREE char *text = dr_memdup(line, len - p.dir_only);
    if (!compile(&p, text)) {
        pattern_fini(&p);
        return DR_OK;
    }
    if (x->count == EXCLUDE_PATTERNS_MAX) {
        pattern_fini(&p);
        return dr_fail(err, DR_E_CONFIG, "more than %d patterns", (int)EXCLUDE_PATTERNS_MAX);
    }
    if (x->count == x->cap) {
        x->cap = x->cap == 0 ? 16 : x->cap * 2;
        x->patterns = dr_realloc(x->patterns, x->cap, sizeof *x->patterns);
    }
    x->patterns[x->count++] = p;
    return DR_OK;
}

enum dr_rc exclude_add(struct exclude *x, const char *pattern, struct dr_err *err)
{
    return add_line(x, pattern, strlen(pattern), err);
}

enum dr_rc exclude_add_file(struct exclude *x, const char *file, struct dr_err *err)
{
    static const char bom[] = "\xef\xbb\xbf";
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_TRY(fs_read_file(file, EXCLUDE_FILE_SIZE_MAX, &text, err));
    buf_add(&text, "", 0);
    const char *at = text.data, *end = text.data + text.len;
    if (text.len >= 3 && memcmp(at, bom, 3) == 0)
        at += 3;
    for (unsigned number = 1; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((stop == NULL ? end : stop) - at);
        size_t shown = len > 0 && stop != NULL && at[len - 1] == '\r' ? len - 1 : len;
        if (add_line(x, at, shown, err) != DR_OK)
            return dr_context(err, "%s:%u", file, number);
        at += len + 1;
    }
    return DR_OK;
}

/* -- matching ------------------------------------------------------------------------------ */

static bool match_byte(const struct pattern *p, const struct token *t, char c)
{
    if (t->kind == TOKEN_BYTE)
        return t->byte == (uint8_t)c;
    return t->kind == TOKEN_ANY || has_bit(&p->classes[t->class], (unsigned char)c);
}

static bool match_name(const struct pattern *p, const struct segment *s, const char *name,
                       size_t len)
{
    const struct token *t = p->tokens + s->at, *end = t + s->count;
    const struct token *star = NULL; /* the last one; back is where it ends for now */
    size_t at = 0, back = 0;
    while (at < len || t < end) {
        if (t < end && t->kind == TOKEN_STAR) {
            star = t++;
            back = at;
        } else if (t < end && at < len && match_byte(p, t, name[at])) {
            t++;
            at++;
        } else if (star != NULL && back < len) {
            at = ++back;
            t = star + 1;
        } else {
            return false;
        }
    }
    return true;
}

static const char *part_end(const char *part)
{
    return strchrnul(part, '/');
}

static const char *next_part(const char *part)
{
    const char *end = part_end(part);
    return end + (*end == '/');
}

static bool match_path(const struct pattern *p, const char *path)
{
    const struct segment *s = p->segments, *end = s + p->segment_count;
    const struct segment *deep = NULL; /* the last one; back is where it ends for now */
    const char *at = path, *back = path;
    while (*at != '\0' || s < end) {
        if (s < end && s->deep && (s->min == 0 || *at != '\0')) {
            at = s->min == 0 ? at : next_part(at);
            back = at;
            deep = s++;
        } else if (s < end && !s->deep && *at != '\0' &&
                   match_name(p, s, at, (size_t)(part_end(at) - at))) {
            s++;
            at = next_part(at);
        } else if (deep != NULL && *back != '\0') {
            at = back = next_part(back);
            s = deep + 1;
        } else {
            return false;
        }
    }
    return true;
}

bool exclude_match(const struct exclude *x, const char *path, bool is_directory)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t len = strlen(name);
    for (size_t i = x->count; i-- > 0;) {
        const struct pattern *p = &x->patterns[i];
        if (p->dir_only && !is_directory)
            continue;
        if (p->anchored ? match_path(p, path) : match_name(p, p->segments, name, len))
            return !p->keep;
    }
    return false;
}

uint64_t exclude_hash(const struct exclude *x)
{
    return XXH3_64bits_digest(x->hash);
}
