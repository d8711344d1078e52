/*
 * audit_runs.c - each journal's chain, and its end against what the ledger says of it.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/audit/audit_inside.h"
#include "dr/base/mem.h"

struct chain {
    int64_t n;
    char hash[HASH_HEX_SIZE];
    bool sure, whole;
};

static void take_record(struct audit *a, struct chain *c, const char *file, size_t line,
                        const struct journal_record *r)
{
    const char *before = c->n == 0 ? "" : c->hash;
    bool first = c->n == 0 && strspn(r->prev, "0") == HASH_HEX_SIZE - 1;
    if (r->n != c->n + 1) {
        audit_find(a, AUDIT_BROKEN, file, line,
                   "record %" PRId64 " stands where %" PRId64
                   " should be: records are missing, or out of order",
                   r->n, c->n + 1);
        c->whole = false;
    } else if (c->sure && !first && strcmp(r->prev, before) != 0) {
        audit_find(a, AUDIT_BROKEN, file, line,
                   "record %" PRId64 " does not follow the one before it", r->n);
        c->whole = false;
    }
    c->n = r->n;
    c->sure = true;
    memcpy(c->hash, r->hash, sizeof(c->hash));
}

/* True: its chain is whole. An unfinished last line is the parser's to judge. */
static bool check_chain(struct audit *a, const struct audit_file *f)
{
    struct chain c = { .sure = true, .whole = true };
    size_t at = 0;
    for (size_t line = 1; at < f->bytes.len; line++) {
        const char *start = f->bytes.data + at;
        const char *end = memchr(start, '\n', f->bytes.len - at);
        struct journal_record r = { 0 };
        struct dr_err err = { 0 };
        if (end == NULL)
            break;
        at += (size_t)(end - start) + 1;
        if (journal_read_one(start, (size_t)(end - start) + 1, &r, &err) == DR_OK) {
            take_record(a, &c, f->name, line, &r);
            a->records++;
        } else {
            audit_find(a, AUDIT_BROKEN, f->name, line, "record %" PRId64 " is changed: %s", c.n + 1,
                       err.msg);
            c.n++;
            c.sure = c.whole = false;
        }
        journal_record_fini(&r);
    }
    return c.whole;
}

/* The lines about a run: marked as seen, and counted. */
static size_t see_run(const struct audit *a, const char *id)
{
    size_t count = 0;
    for (size_t i = 0; i < a->run_count; i++)
        if (strcmp(a->runs[i].id, id) == 0) {
            a->runs[i].seen = true;
            count++;
        }
    return count;
}

static void compare(struct audit *a, const char *file, const struct journal_records *all,
                    const struct audit_run *said)
{
    DR_FREE char *place = audit_place(a, said->at);
    int64_t have = (int64_t)all->count;
    if (have < said->records)
        audit_find(a, AUDIT_BROKEN, file, 0,
                   "it has %" PRId64 " records, and %s says %" PRId64 ": its end is cut", have,
                   place, said->records);
    else if (said->records < 1 || strcmp(all->items[said->records - 1].hash, said->head) != 0)
        audit_find(a, AUDIT_BROKEN, file, (size_t)said->records,
                   "its record %" PRId64 " is not the one that %s names", said->records, place);
    else if (have > said->records)
        audit_find(a, AUDIT_BROKEN, file, (size_t)said->records + 1,
                   "records were added after the run had ended (%s)", place);
}

static void check_end(struct audit *a, const struct audit_file *f, const char *id)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    struct dr_err err = { 0 };
    size_t whole = 0;
    if (journal_parse(f->bytes.data != NULL ? f->bytes.data : "", f->bytes.len, &all, &whole,
                      &err) != DR_OK) {
        audit_find(a, AUDIT_BROKEN, f->name, 0, "%s", err.msg);
        return;
    }
    size_t said = see_run(a, id);
    if (whole < f->bytes.len && said > 0)
        audit_find(a, AUDIT_BROKEN, f->name, all.count + 1,
                   "there is an unfinished line behind the end of the run");
    else if (whole < f->bytes.len)
        audit_find(a, AUDIT_NOTE, f->name, all.count + 1,
                   "an unfinished last line: its runner died");
    for (size_t i = 0; i < a->run_count; i++)
        if (strcmp(a->runs[i].id, id) == 0)
            compare(a, f->name, &all, &a->runs[i]);
    if (said > 0)
        return;
    if (book_run_counts(&all))
        audit_find(a, AUDIT_UNKNOWN, f->name, 0,
                   "the run is over, and the ledger has no line about it: drctl audit anchor "
                   "writes it");
    else if (all.count > 0 && !json_is_true(json_object_get(all.items[0].body, "dry")))
        audit_find(a, AUDIT_NOTE, f->name, 0,
                   "the run is not over: whether its end is whole cannot be told yet");
}

void audit_journals(struct audit *a)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    struct dr_err err = { 0 };
    if (journal_runs(a->dir, &runs, &err) != DR_OK)
        audit_find(a, AUDIT_UNKNOWN, "runs", 0, "%s", err.msg);
    for (size_t i = 0; i < runs.count; i++) {
        DR_FREE char *name = dr_strf("runs/%s/journal.jsonl", runs.items[i]);
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        DR_CLEANUP(audit_files_fini) struct audit_files files = { 0 };
        DR_FREE char *dir = dr_strf("runs/%s", runs.items[i]);
        audit_list(a, dir, &names);
        if (!text_list_has(&names, "journal.jsonl"))
            continue; /* its runner died before there was one; if not, it is missing */
        (void)see_run(a, runs.items[i]); /* how many does not matter here */
        if (!audit_load(a, name, JOURNAL_FILE_MAX, &files))
            continue;
        a->journals++;
        if (check_chain(a, &files.items[0]))
            check_end(a, &files.items[0], runs.items[i]);
    }
    for (size_t i = 0; i < a->run_count; i++) {
        DR_FREE char *name = dr_strf("runs/%s/journal.jsonl", a->runs[i].id);
        DR_FREE char *place = audit_place(a, a->runs[i].at);
        if (!a->runs[i].seen)
            audit_find(a, AUDIT_BROKEN, name, 0, "the journal is missing: %s names it", place);
    }
}
