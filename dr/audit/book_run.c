/*
 * book_run.c - from the journal of a run that is over to its line in the book.
 *
 * A state stands in any record as `run` (JOURNAL.md); the last one counts. What a report tells of the run is not repeated: the line
 * proves which journal is meant, and the journal says the rest.
 */
#include <string.h>

#include "dr/audit/book.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static const char *state_of(const struct journal_records *all)
{
    const char *state = NULL;
    for (size_t i = 0; i < all->count; i++) {
        const char *now = text_of(all->items[i].body, "run");
        state = now != NULL ? now : state;
    }
    return state;
}

bool book_run_counts(const struct journal_records *all)
{
    static const char *const final[] = { "recovered", "failed", "undone", "aborted" };
    const char *state = state_of(all);
    bool over = false;
    for (size_t i = 0; i < DR_ARRAY_LEN(final) && state != NULL; i++)
        over = over || strcmp(state, final[i]) == 0;
    return over && all->count > 0 && !json_is_true(json_object_get(all->items[0].body, "dry"));
}

static json_t *body_of(const char *run, const struct journal_records *all)
{
    char at[TIME_TEXT_MAX];
    const struct journal_record *first = &all->items[0];
    const struct journal_record *last = &all->items[all->count - 1];
    const char *plan = text_of(json_object_get(first->body, "plan"), "name");
    json_t *o = json_object();
    json_put_text(o, "id", run);
    json_put(o, "drill", json_boolean(json_is_true(json_object_get(first->body, "drill"))));
    json_put(o, "plan", plan != NULL ? json_printable(plan) : json_null());
    json_put_text(o, "state", state_of(all));
    json_put_int(o, "records", (int64_t)all->count);
    json_put_text(o, "head", last->hash);
    json_put_text(o, "began", time_print(first->wall_ns, at));
    json_put_text(o, "ended", time_print(last->wall_ns, at));
    return o;
}

/* -- runs that have a line ------------------------------------------------------------------------- */

/*
 * STATE_DIR/ledger/.runs remembers which runs have one: {"head", "n", "runs": {ID: true}}, all of those up to record n. Without it, or
 * when record n is another one, all of the ledger is read, so it may be lost. A false one would give a run no line, or two: both
 * are found by an audit.
 */
static const char runs_name[] = ".runs";

enum { RUNS_FILE_MAX = 8 << 20 };

struct known {
    json_t *runs; /* {run: true} */
    int64_t n;
    char head[HASH_HEX_SIZE];
};

static void known_fini(struct known *k)
{
    json_decref(k->runs);
}

static void read_known(const char *state_dir, struct known *ret)
{
    DR_FREE char *path = dr_strf("%s/ledger/%s", state_dir, runs_name);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_JSON json_t *o = NULL;
    struct dr_err ignored = { 0 };
    if (fs_read_file(path, RUNS_FILE_MAX, &bytes, &ignored) != DR_OK ||
        json_read(path, bytes.data, bytes.len, &o, &ignored) != DR_OK)
        return; /* all is read */
    const char *head = text_of(o, "head");
    json_t *runs = json_object_get(o, "runs");
    if (head == NULL || strlen(head) != HASH_HEX_SIZE - 1 || !json_is_object(runs))
        return;
    ret->n = json_integer_value(json_object_get(o, "n"));
    memcpy(ret->head, head, sizeof(ret->head));
    json_decref(ret->runs);
    ret->runs = json_incref(runs);
}

static void write_known(const char *state_dir, const struct known *k)
{
    DR_FREE char *dir = dr_strf("%s/ledger", state_dir);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    struct dr_err ignored = { 0 };
    DR_JSON json_t *o = json_object();
    json_put_text(o, "head", k->head);
    json_put_int(o, "n", k->n);
    json_put(o, "runs", json_incref(k->runs));
    json_add_canonical(&bytes, o);
    if (fs_replace(dir, runs_name, bytes.data, bytes.len, &ignored) != DR_OK)
        return; /* it may be lost */
}

/* A run ends once: a journal that has another end by now was tampered with, and gets no second line. */
static bool note_run(void *arg, const struct book_record *r)
{
    struct known *k = arg;
    const char *id = text_of(r->body, "id");
    if (strcmp(r->type, "run") == 0 && id != NULL)
        json_put(k->runs, id, json_true());
    k->n = r->n;
    memcpy(k->head, r->hash, sizeof(k->head));
    return true;
}

static enum dr_rc find_known(const char *state_dir, struct known *ret, struct dr_err *err)
{
    struct dr_err stale = { 0 };
    struct known k = { .runs = json_object() };
    read_known(state_dir, &k);
    int64_t before = k.n;
    enum dr_rc rc = book_after(state_dir, k.n, k.head, note_run, &k, &stale);
    if (rc != DR_OK) {
        known_fini(&k);
        k = (struct known){ .runs = json_object() };
        before = 0;
        rc = book_each(state_dir, 0, INT64_MAX, note_run, &k, err);
    }
    *ret = k;
    if (rc == DR_OK && k.n > before)
        write_known(state_dir, &k);
    return rc;
}

/* -- lines for the others ---------------------------------------------------------------------------- */

static enum dr_rc add_one(const struct book_place *p, const json_t *known, const char *run,
                          size_t *added, struct dr_err *err)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    struct dr_err ignored = { 0 };
    if (json_object_get(known, run) != NULL ||
        journal_load(p->state_dir, run, &all, &ignored) != DR_OK || !book_run_counts(&all))
        return DR_OK;
    (*added)++;
    return book_append(p, "run", body_of(run, &all), err);
}

enum dr_rc book_add_runs(const struct book_place *p, const char *run, size_t *ret_added,
                         struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    DR_CLEANUP(known_fini) struct known known = { 0 };
    size_t added = 0;
    enum dr_rc rc = find_known(p->state_dir, &known, err);
    /* A book that is broken further back goes on: that this run ended is worth a line. */
    if (run != NULL)
        text_list_add(&runs, run);
    else if (rc == DR_OK)
        rc = journal_runs(p->state_dir, &runs, err);
    if (rc != DR_OK && run == NULL)
        return rc;
    for (size_t i = 0; i < runs.count; i++)
        DR_TRY(add_one(p, known.runs, runs.items[i], &added, err));
    if (ret_added != NULL)
        *ret_added = added;
    return DR_OK;
}
