/*
 * audit_book.c - the ledger's own chain, over all months.
 *
 * After a break reading goes on with the next line that is whole by itself, so that one flipped byte is one finding and whatever
 * else is wrong is found as well.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/audit/audit_inside.h"
#include "dr/base/mem.h"

enum { GAP_MAX = 1 << 20 };

struct chain {
    int64_t n; /* of the line before */
    char hash[HASH_HEX_SIZE];
    bool sure; /* the line before was whole: its hash counts */
};

struct place {
    const char *file;
    size_t line;
};

static struct audit_line *line_at(struct audit *a, size_t at)
{
    if (at >= a->cap) {
        size_t cap = at + 1 > 2 * a->cap ? at + 64 : 2 * a->cap;
        a->lines = dr_realloc(a->lines, cap, sizeof(a->lines[0]));
        memset(a->lines + a->cap, 0, (cap - a->cap) * sizeof(a->lines[0]));
        a->cap = cap;
    }
    if (at >= a->count)
        a->count = at + 1;
    return &a->lines[at];
}

static int64_t number_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void note_run(struct audit *a, const struct book_record *r)
{
    const char *id = json_string_value(json_object_get(r->body, "id"));
    const char *head = json_string_value(json_object_get(r->body, "head"));
    if (id == NULL || head == NULL || strlen(head) != HASH_HEX_SIZE - 1)
        return;
    a->runs = dr_realloc(a->runs, a->run_count + 1, sizeof(a->runs[0]));
    struct audit_run *to = &a->runs[a->run_count++];
    *to = (struct audit_run){ .id = dr_strdup(id) };
    to->records = number_of(r->body, "records");
    to->at = (size_t)r->n - 1;
    memcpy(to->head, head, HASH_HEX_SIZE);
}

static void note_mark(struct audit *a, const struct book_record *r)
{
    const struct audit_mark m = { .to = number_of(r->body, "records"), .at = (size_t)r->n - 1 };
    a->marks = dr_realloc(a->marks, a->mark_count + 1, sizeof(m));
    a->marks[a->mark_count++] = m;
}

/* What only two types of line say is all that is read of bodies. */
static void take_body(struct audit *a, const struct place *at, const struct book_line *l)
{
    DR_CLEANUP(book_record_fini) struct book_record r = { 0 };
    struct dr_err err = { 0 };
    bool is_run = book_text_is(l->type, "run");
    if (!is_run && !book_text_is(l->type, "anchor"))
        return;
    if (book_parse(l, &r, &err) != DR_OK)
        audit_find(a, AUDIT_BROKEN, at->file, at->line, "%s", err.msg);
    else if (is_run)
        note_run(a, &r);
    else
        note_mark(a, &r);
}

static void check_place(struct audit *a, const struct place *at, const struct book_line *l)
{
    enum { MONTH = 7 }; /* "2026-11" */
    int order = memcmp(l->time.at, at->file + strlen("ledger/"), MONTH);
    if (order > 0 || (order < 0 && at->line == 1))
        audit_find(a, AUDIT_BROKEN, at->file, at->line, "a record of %.7s does not belong here",
                   l->time.at);
}

static unsigned signer_of(struct audit *a, const char *key)
{
    size_t i = 0;
    while (i < a->signers.count && strcmp(a->signers.items[i], key) != 0)
        i++;
    if (i == a->signers.count)
        text_list_add(&a->signers, key);
    return (unsigned)i;
}

static void take_key(struct audit *a, const struct place *at, const struct book_line *from,
                     struct audit_line *to)
{
    char key[KEYS_TEXT_MAX];
    to->is_signed = from->key.at != NULL;
    if (!to->is_signed) {
        a->unsigned_count++;
        return;
    }
    book_line_key(from, key);
    to->key = signer_of(a, key);
    (void)audit_believes(a, key, at->file, at->line); /* a finding if not */
}

static void take_line(struct audit *a, struct chain *c, const struct place *at,
                      const struct book_line *l)
{
    struct dr_err err = { 0 };
    if (l->n != c->n + 1)
        audit_find(a, AUDIT_BROKEN, at->file, at->line,
                   "record %" PRId64 " stands where %" PRId64
                   " should be: records are missing, or out of order",
                   l->n, c->n + 1);
    else if ((c->sure || l->n == 1) && book_line_follows(l, c->n, c->hash, &err) != DR_OK)
        audit_find(a, AUDIT_BROKEN, at->file, at->line, "%s", err.msg);
    c->n = l->n;
    c->sure = true;
    memcpy(c->hash, l->hash, sizeof(c->hash));
    if (l->n > (int64_t)a->count + GAP_MAX)
        return; /* a forged number: it was a finding */
    struct audit_line *to = line_at(a, (size_t)l->n - 1);
    *to = (struct audit_line){ .known = true,
                               .file = (unsigned)a->files.count - 1,
                               .line = (unsigned)at->line };
    hash_start(a->hash);
    hash_add(a->hash, l->text.at, l->text.len);
    hash_end(a->hash, to->digest);
    if (!hex_decode(l->hash, sizeof(to->hash) * 2, to->hash, sizeof(to->hash)))
        to->known = false; /* book_split() saw that it is one */
    take_key(a, at, l, to);
    if (l->n == 1)
        book_id(l->hash, a->id);
    memcpy(a->head, l->hash, sizeof(a->head));
    take_body(a, at, l);
}

/* What has no newline. Only in the last month it may be the beginning of a line whose writer died. */
static void check_tail(struct audit *a, const struct audit_file *f, size_t at, size_t line,
                       bool last)
{
    struct dr_err err = { 0 };
    size_t len = f->bytes.len - at;
    if (len == 0)
        return;
    DR_CLEANUP(book_record_fini) struct book_record r = { 0 };
    DR_FREE char *copy = dr_memdup(f->bytes.data + at, len);
    copy[len - 1] = '\n';
    bool whole = book_read_line(copy, len, &r, &err) == DR_OK;
    if (whole || !last)
        audit_find(a, AUDIT_BROKEN, f->name, line, "the end of the file is damaged");
    else
        audit_find(a, AUDIT_NOTE, f->name, line,
                   "an unfinished last line: its writer died, and nobody was told that it is true");
}

static void check_month(struct audit *a, struct chain *c, const struct audit_file *f, bool last)
{
    struct place place = { .file = f->name, .line = 1 };
    size_t at = 0;
    text_list_add(&a->files, f->name);
    for (; at < f->bytes.len; place.line++) {
        const char *start = f->bytes.data + at;
        const char *end = memchr(start, '\n', f->bytes.len - at);
        struct dr_err err = { 0 };
        struct book_line l = { 0 };
        if (end == NULL)
            break;
        size_t len = (size_t)(end - start) + 1;
        at += len;
        if (book_split(a->hash, start, len, &l, &err) != DR_OK) {
            audit_find(a, AUDIT_BROKEN, f->name, place.line, "record %" PRId64 " is changed: %s",
                       c->n + 1, err.msg);
            c->n++;
            c->sure = false;
            continue;
        }
        check_place(a, &place, &l);
        take_line(a, c, &place, &l);
    }
    check_tail(a, f, at, place.line, last);
}

/* Of that size at most: what stands behind came later. False: it was a finding. */
static bool load_month(struct audit *a, const struct audit_plan *plan, size_t i,
                       struct audit_files *ret)
{
    DR_FREE char *name = dr_strf("ledger/%s", plan->months.items[i]);
    if (!audit_load(a, name, BOOK_FILE_MAX, ret))
        return false;
    struct buf *bytes = &ret->items[0].bytes;
    if (bytes->len > (size_t)plan->sizes[i])
        bytes->len = (size_t)plan->sizes[i];
    return true;
}

void audit_book(struct audit *a, const struct audit_plan *plan)
{
    struct chain c = { .sure = true };
    for (size_t i = 0; i < plan->months.count; i++) {
        DR_CLEANUP(audit_files_fini) struct audit_files one = { 0 };
        if (load_month(a, plan, i, &one))
            check_month(a, &c, &one.items[0], i + 1 == plan->months.count);
    }
}

/* -- signatures ----------------------------------------------------------------------------------- */

static bool is_open(const struct audit_line *l, size_t file)
{
    return l->known && l->file == file && l->is_signed && !l->vouched;
}

/* Again, now that it is known which lines nobody has vouched for. */
static void check_signatures(struct audit *a, size_t file)
{
    DR_CLEANUP(audit_files_fini) struct audit_files one = { 0 };
    if (!audit_load(a, a->files.items[file], BOOK_FILE_MAX, &one))
        return;
    const struct buf *bytes = &one.items[0].bytes;
    const char *end = NULL;
    size_t line = 1;
    for (size_t at = 0; at < bytes->len; line++, at = (size_t)(end - bytes->data) + 1) {
        const char *start = bytes->data + at;
        struct book_line l = { 0 };
        struct dr_err err = { 0 };
        end = memchr(start, '\n', bytes->len - at);
        if (end == NULL)
            break;
        if (book_split(a->hash, start, (size_t)(end - start) + 1, &l, &err) != DR_OK ||
            l.n > (int64_t)a->count)
            continue; /* a finding already, or newer than what is looked at */
        const struct audit_line *known = &a->lines[l.n - 1];
        if (known->line == line && is_open(known, file) && !book_line_is_signed(&l, &err))
            audit_find(a, AUDIT_BROKEN, a->files.items[file], line,
                       "record %" PRId64 " is changed: %s", l.n, err.msg);
    }
}

void audit_signatures(struct audit *a)
{
    DR_FREE bool *open = dr_alloc(a->files.count + 1, sizeof(open[0]));
    for (size_t i = 0; i < a->count; i++)
        open[a->lines[i].file] |= is_open(&a->lines[i], a->lines[i].file);
    for (size_t i = 0; i < a->files.count; i++)
        if (open[i])
            check_signatures(a, i);
}
