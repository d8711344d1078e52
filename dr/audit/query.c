/*
 * query.c - the files as tables, and the fence around a person's SQL.
 *
 * While the tables are filled nobody is asked; then the authorizer is set, for good: it knows four things that may be done,
 * all of them reading, and SQLite asks it when a statement is prepared, views included.
 */
#include "dr/audit/query.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <string.h>

#include "dr/audit/book.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"

enum { STEPS_BETWEEN_LOOKS = 10000 };

static const char schema[] =
    "CREATE TABLE book(n INTEGER PRIMARY KEY, time TEXT, time_ns INTEGER, type TEXT, run TEXT,"
    " plan TEXT, source TEXT, exit INTEGER, key TEXT, file TEXT, line INTEGER, body TEXT);"
    "CREATE TABLE journal(run TEXT, n INTEGER, time TEXT, time_ns INTEGER, type TEXT, step TEXT,"
    " state TEXT, body TEXT, PRIMARY KEY(run, n)) WITHOUT ROWID;"
    "CREATE INDEX book_type ON book(type);"
    "CREATE VIEW runs AS SELECT n, time, run AS id, plan, json_extract(body,'$.drill') AS drill,"
    " json_extract(body,'$.state') AS state, json_extract(body,'$.began') AS began,"
    " json_extract(body,'$.ended') AS ended, json_extract(body,'$.records') AS records,"
    " json_extract(body,'$.head') AS head FROM book WHERE type='run';"
    "CREATE VIEW backups AS SELECT n, time, source, json_extract(body,'$.kind') AS kind,"
    " json_extract(body,'$.snapshot') AS snapshot, json_extract(body,'$.began') AS began,"
    " json_extract(body,'$.ended') AS ended, exit, json_extract(body,'$.why') AS why,"
    " json_extract(body,'$.bytes_read') AS bytes_read,"
    " json_extract(body,'$.bytes_stored') AS bytes_stored,"
    " json_extract(body,'$.buckets') AS buckets FROM book WHERE type='backup';"
    "CREATE VIEW restores AS SELECT n, time, source, json_extract(body,'$.snapshot') AS snapshot,"
    " json_extract(body,'$.bytes') AS bytes, json_extract(body,'$.dur_ms') AS dur_ms, exit"
    " FROM book WHERE type='restore';"
    "CREATE VIEW verifies AS SELECT n, time, source, json_extract(body,'$.snapshot') AS snapshot,"
    " json_extract(body,'$.bucket') AS bucket, json_extract(body,'$.began') AS began,"
    " json_extract(body,'$.ended') AS ended, exit, json_extract(body,'$.bytes') AS bytes,"
    " json_extract(body,'$.depth') AS depth FROM book WHERE type='verify';"
    "CREATE VIEW prunes AS SELECT n, time, json_extract(body,'$.began') AS began,"
    " json_extract(body,'$.ended') AS ended, exit, json_extract(body,'$.why') AS why"
    " FROM book WHERE type='prune';"
    "CREATE VIEW repairs AS SELECT n, time, json_extract(body,'$.began') AS began,"
    " json_extract(body,'$.ended') AS ended, exit, json_extract(body,'$.why') AS why"
    " FROM book WHERE type='repair';"
    "CREATE VIEW findings AS SELECT n, time, json_extract(body,'$.id') AS id,"
    " json_extract(body,'$.opened') AS opened, run, plan,"
    " json_extract(body,'$.kind') AS kind, json_extract(body,'$.severity') AS severity,"
    " json_extract(body,'$.text') AS text,"
    " coalesce((SELECT json_extract(o.body,'$.owner') FROM book o WHERE o.type='finding_owned'"
    "  AND o.n > book.n AND json_extract(o.body,'$.id') = json_extract(book.body,'$.id')"
    "  ORDER BY o.n DESC LIMIT 1), json_extract(body,'$.owner')) AS owner,"
    " coalesce((SELECT json_extract(o.body,'$.due') FROM book o WHERE o.type='finding_owned'"
    "  AND o.n > book.n AND json_extract(o.body,'$.id') = json_extract(book.body,'$.id')"
    "  AND json_extract(o.body,'$.due') IS NOT NULL"
    "  ORDER BY o.n DESC LIMIT 1), json_extract(body,'$.due')) AS due,"
    " (SELECT min(c.time) FROM book c WHERE c.type='finding_closed' AND c.n > book.n AND"
    "  json_extract(c.body,'$.id') = json_extract(book.body,'$.id')) AS closed,"
    " (SELECT json_extract(c.body,'$.by') FROM book c WHERE c.type='finding_closed' AND"
    "  c.n > book.n AND json_extract(c.body,'$.id') = json_extract(book.body,'$.id')"
    "  ORDER BY c.n LIMIT 1) AS closed_by,"
    " (SELECT json_extract(c.body,'$.reason') FROM book c WHERE c.type='finding_closed' AND"
    "  c.n > book.n AND json_extract(c.body,'$.id') = json_extract(book.body,'$.id')"
    "  ORDER BY c.n LIMIT 1) AS reason"
    " FROM book WHERE type='finding';"
    "CREATE VIEW anchors AS SELECT n, time, json_extract(body,'$.records') AS records,"
    " json_extract(body,'$.head') AS head, json_extract(body,'$.buckets') AS buckets"
    " FROM book WHERE type='anchor';";

struct query {
    sqlite3 *db;
    struct dr_err broken; /* rc DR_OK: nothing was */
    int64_t deadline_ms;
};

void query_close(struct query *q)
{
    if (q == NULL)
        return;
    sqlite3_close(q->db);
    free(q);
}

const struct dr_err *query_broken(const struct query *q)
{
    return q->broken.rc != DR_OK ? &q->broken : NULL;
}

static enum dr_rc fail(struct query *q, struct dr_err *err)
{
    return dr_fail(err, DR_E_IO, "SQLite: %s", sqlite3_errmsg(q->db));
}

/* -- filling -------------------------------------------------------------------------------------- */

static void drop_statement(sqlite3_stmt **s)
{
    sqlite3_finalize(*s);
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    if (text != NULL)                                               /* what is not bound is NULL */
        (void)sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT); /* the step tells */
}

struct filling {
    struct query *q;
    sqlite3_stmt *insert;
    int rc;
};

static void put(struct filling *f)
{
    int rc = sqlite3_step(f->insert);
    f->rc = rc == SQLITE_DONE ? f->rc : rc;
    (void)sqlite3_reset(f->insert);          /* says again what the step said */
    (void)sqlite3_clear_bindings(f->insert); /* never fails */
}

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static bool put_line(void *arg, const struct book_record *r)
{
    struct filling *f = arg;
    char time[TIME_TEXT_MAX];
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    const json_t *exit = json_object_get(r->body, "exit");
    const char *run = text_of(r->body, strcmp(r->type, "run") == 0 ? "id" : "run");
    json_add_canonical(&body, r->body);
    (void)sqlite3_bind_int64(f->insert, 1, r->n); /* an index that is there */
    bind_text(f->insert, 2, time_print(r->wall_ns, time));
    (void)sqlite3_bind_int64(f->insert, 3, r->wall_ns); /* likewise */
    bind_text(f->insert, 4, r->type);
    bind_text(f->insert, 5, run);
    bind_text(f->insert, 6, text_of(r->body, "plan"));
    bind_text(f->insert, 7, text_of(r->body, "source"));
    if (json_is_integer(exit))
        (void)sqlite3_bind_int64(f->insert, 8, json_integer_value(exit)); /* likewise */
    bind_text(f->insert, 9, r->key[0] != '\0' ? r->key : NULL);
    bind_text(f->insert, 10, r->file);
    (void)sqlite3_bind_int64(f->insert, 11, (sqlite3_int64)r->line); /* likewise */
    bind_text(f->insert, 12, body.data);
    put(f);
    return f->rc == SQLITE_OK;
}

static void put_record(struct filling *f, const char *run, const struct journal_record *r)
{
    char time[TIME_TEXT_MAX];
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    json_add_canonical(&body, r->body);
    bind_text(f->insert, 1, run);
    (void)sqlite3_bind_int64(f->insert, 2, r->n); /* an index that is there */
    bind_text(f->insert, 3, time_print(r->wall_ns, time));
    (void)sqlite3_bind_int64(f->insert, 4, r->wall_ns); /* likewise */
    bind_text(f->insert, 5, r->type);
    bind_text(f->insert, 6, text_of(r->body, "step"));
    bind_text(f->insert, 7, text_of(r->body, "state"));
    bind_text(f->insert, 8, body.data);
    put(f);
}

static enum dr_rc fill_book(struct query *q, const char *dir, struct dr_err *err)
{
    DR_CLEANUP(drop_statement) sqlite3_stmt *insert = NULL;
    if (sqlite3_prepare_v2(q->db, "INSERT INTO book VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", -1, &insert,
                           NULL) != SQLITE_OK)
        return fail(q, err);
    struct filling f = { .q = q, .insert = insert };
    enum dr_rc rc = book_each(dir, 0, INT64_MAX, put_line, &f, &q->broken);
    if (rc != DR_OK && rc != DR_E_CORRUPT) {
        *err = q->broken;
        return rc;
    }
    return f.rc == SQLITE_OK ? DR_OK : fail(q, err);
}

static enum dr_rc fill_journals(struct query *q, const char *dir, struct dr_err *err)
{
    DR_CLEANUP(drop_statement) sqlite3_stmt *insert = NULL;
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    if (sqlite3_prepare_v2(q->db, "INSERT INTO journal VALUES(?,?,?,?,?,?,?,?)", -1, &insert,
                           NULL) != SQLITE_OK)
        return fail(q, err);
    struct filling f = { .q = q, .insert = insert };
    DR_TRY(journal_runs(dir, &runs, err));
    for (size_t i = 0; i < runs.count; i++) {
        DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
        struct dr_err why = { 0 };
        enum dr_rc rc = journal_load(dir, runs.items[i], &all, &why);
        if (rc != DR_OK && rc != DR_E_NOTFOUND)
            q->broken = why;
        for (size_t k = 0; k < all.count; k++)
            put_record(&f, runs.items[i], &all.items[k]);
    }
    return f.rc == SQLITE_OK ? DR_OK : fail(q, err);
}

/* -- the fence ------------------------------------------------------------------------------------ */

/* NOLINTNEXTLINE(readability-function-size): SQLite says what it gives */
static int may(void *arg, int action, const char *a, const char *b, const char *c, const char *d)
{
    (void)arg, (void)a, (void)b, (void)c, (void)d;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

static int is_late(void *arg)
{
    const struct query *q = arg;
    return clock_boot_ms() > q->deadline_ms;
}

static enum dr_rc make(struct query *q, const char *dir, struct dr_err *err)
{
    if (sqlite3_open_v2(":memory:", &q->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
        SQLITE_OK)
        return dr_fail(err, DR_E_NOMEM, "SQLite cannot make a database in memory");
    if (sqlite3_exec(q->db, schema, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(q->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return fail(q, err);
    DR_TRY(fill_book(q, dir, err));
    DR_TRY(fill_journals(q, dir, err));
    if (sqlite3_exec(q->db, "COMMIT; PRAGMA query_only = 1", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_db_config(q->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
        sqlite3_set_authorizer(q->db, may, NULL) != SQLITE_OK)
        return fail(q, err);
    (void)sqlite3_limit(q->db, SQLITE_LIMIT_LENGTH, QUERY_VALUE_MAX); /* says what it was */
    (void)sqlite3_limit(q->db, SQLITE_LIMIT_ATTACHED, 0);             /* likewise */
    sqlite3_progress_handler(q->db, STEPS_BETWEEN_LOOKS, is_late, q);
    return DR_OK;
}

enum dr_rc query_open(const char *dir, struct query **ret, struct dr_err *err)
{
    DR_CLEANUP(query_close_ptr) struct query *q = dr_alloc(1, sizeof(*q));
    q->deadline_ms = INT64_MAX;
    DR_TRY(make(q, dir, err));
    *ret = DR_TAKE(q);
    return DR_OK;
}

/* -- asking --------------------------------------------------------------------------------------- */

static json_t *value_of(sqlite3_stmt *s, int at)
{
    switch (sqlite3_column_type(s, at)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(s, at));
    case SQLITE_FLOAT:
        return json_real(sqlite3_column_double(s, at));
    case SQLITE_NULL:
        return json_null();
    default:
        return json_printable((const char *)sqlite3_column_text(s, at));
    }
}

static enum dr_rc give_rows(struct query *q, sqlite3_stmt *s, query_fn *fn, void *arg,
                            struct dr_err *err)
{
    size_t count = (size_t)sqlite3_column_count(s);
    DR_FREE const char **names = dr_alloc(count + 1, sizeof(names[0]));
    for (size_t i = 0; i < count; i++)
        names[i] = sqlite3_column_name(s, (int)i);
    q->deadline_ms = clock_boot_ms() + QUERY_MS;
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        DR_JSON json_t *values = json_array();
        for (size_t i = 0; i < count; i++) {
            json_t *value = value_of(s, (int)i);
            if (value == NULL || json_array_append_new(values, value) != 0)
                dr_out_of_memory();
        }
        const struct query_row row = { .count = count, .names = names, .values = values };
        fn(arg, &row);
    }
    q->deadline_ms = INT64_MAX;
    if (rc == SQLITE_INTERRUPT)
        return dr_fail(err, DR_E_TIMEOUT, "the question takes longer than %d s", QUERY_MS / 1000);
    return rc == SQLITE_DONE ? DR_OK : dr_fail(err, DR_E_USAGE, "%s", sqlite3_errmsg(q->db));
}

enum dr_rc query_lines(struct query *q, const struct query_filter *f, query_fn *fn, void *arg,
                       struct dr_err *err)
{
    static const char sql[] =
        "SELECT * FROM (SELECT n, time, type, run, plan, source, exit, body FROM book WHERE"
        " (?1 IS NULL OR type = ?1) AND (?2 IS NULL OR run = ?2) AND (?3 IS NULL OR plan = ?3)"
        " AND (?4 IS NULL OR source = ?4) AND time_ns >= ?5 AND (?6 = 0 OR time_ns < ?6)"
        " ORDER BY n DESC LIMIT ?7) ORDER BY n";
    DR_CLEANUP(drop_statement) sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(q->db, sql, -1, &s, NULL) != SQLITE_OK)
        return fail(q, err);
    bind_text(s, 1, f->type);
    bind_text(s, 2, f->run);
    bind_text(s, 3, f->plan);
    bind_text(s, 4, f->source);
    (void)sqlite3_bind_int64(s, 5, f->since_ns);                  /* indexes that are there */
    (void)sqlite3_bind_int64(s, 6, f->until_ns);                  /* likewise */
    (void)sqlite3_bind_int64(s, 7, f->limit > 0 ? f->limit : -1); /* likewise */
    return give_rows(q, s, fn, arg, err);
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n;")] == '\0';
}

enum dr_rc query_sql(struct query *q, const char *sql, query_fn *fn, void *arg, struct dr_err *err)
{
    DR_CLEANUP(drop_statement) sqlite3_stmt *s = NULL;
    const char *rest = NULL;
    if (strlen(sql) > QUERY_SQL_MAX)
        return dr_fail(err, DR_E_USAGE, "a question of more than %d bytes", QUERY_SQL_MAX);
    int rc = sqlite3_prepare_v2(q->db, sql, -1, &s, &rest);
    if (rc == SQLITE_AUTH) {
        (void)dr_fail(err, DR_E_REFUSED, "only reading is allowed: %s", sqlite3_errmsg(q->db));
        return dr_hint(err, "One SELECT over book, journal and the views of them.");
    }
    if (rc != SQLITE_OK)
        return dr_fail(err, DR_E_USAGE, "%s", sqlite3_errmsg(q->db));
    if (s == NULL || !is_blank(rest) || sqlite3_stmt_readonly(s) == 0)
        return dr_fail(err, DR_E_USAGE, "it is not one SELECT");
    return give_rows(q, s, fn, arg, err);
}
