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

static void check_place(struct audit *a, const struct book_record *r, bool first)
{
    DR_FREE char *month = book_month_of(r->wall_ns);
    int order = strcmp(month, r->file + strlen("ledger/"));
    if (order > 0 || (order < 0 && first))
        audit_find(a, AUDIT_BROKEN, r->file, r->line, "a record of %.7s does not belong here",
                   month);
}

static void take_line(struct audit *a, struct chain *c, const struct book_record *r)
{
    struct dr_err err = { 0 };
    if (r->n != c->n + 1)
        audit_find(a, AUDIT_BROKEN, r->file, r->line,
                   "record %" PRId64 " stands where %" PRId64
                   " should be: records are missing, or out of order",
                   r->n, c->n + 1);
    else if ((c->sure || r->n == 1) && book_follows(r, c->n, c->hash, &err) != DR_OK)
        audit_find(a, AUDIT_BROKEN, r->file, r->line, "%s", err.msg);
    c->n = r->n;
    c->sure = true;
    memcpy(c->hash, r->hash, sizeof(c->hash));
    if (r->n > (int64_t)a->count + GAP_MAX)
        return; /* a forged number: it was a finding */
    struct audit_line *l = line_at(a, (size_t)r->n - 1);
    *l = (struct audit_line){ .known = true,
                              .is_signed = r->key[0] != '\0',
                              .file = (unsigned)a->files.count - 1,
                              .line = (unsigned)r->line };
    hash_bytes(r->text, r->text_len, l->digest);
    if (l->is_signed)
        (void)audit_believes(a, r->key, r->file, r->line); /* a finding if not */
    else
        a->unsigned_count++;
    if (r->n == 1)
        book_id(r->hash, a->id);
    memcpy(a->head, r->hash, sizeof(a->head));
    if (strcmp(r->type, "run") == 0)
        note_run(a, r);
    else if (strcmp(r->type, "anchor") == 0)
        note_mark(a, r);
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
    size_t at = 0, line = 1;
    text_list_add(&a->files, f->name);
    for (; at < f->bytes.len; line++) {
        const char *start = f->bytes.data + at;
        const char *end = memchr(start, '\n', f->bytes.len - at);
        struct dr_err err = { 0 };
        DR_CLEANUP(book_record_fini) struct book_record r = { 0 };
        if (end == NULL)
            break;
        size_t len = (size_t)(end - start) + 1;
        at += len;
        if (book_read_line(start, len, &r, &err) != DR_OK) {
            audit_find(a, AUDIT_BROKEN, f->name, line, "record %" PRId64 " is changed: %s",
                       c->n + 1, err.msg);
            c->n++;
            c->sure = false;
            continue;
        }
        r.file = f->name;
        r.line = line;
        r.text = start;
        r.text_len = len;
        check_place(a, &r, line == 1);
        take_line(a, c, &r);
    }
    check_tail(a, f, at, line, last);
}

void audit_book(struct audit *a, const struct audit_files *months)
{
    struct chain c = { .sure = true };
    for (size_t i = 0; i < months->count; i++)
        check_month(a, &c, &months->items[i], i + 1 == months->count);
}
