/*
 * query.h - questions to the ledger and the journals, by SQLite.
 *
 *     struct query *q = NULL;
 *     DR_TRY(query_open(dir, &q, err));
 *     DR_TRY(query_sql(q, "SELECT source, max(ended) FROM backups GROUP BY source", show, arg, err));
 *     if (query_broken(q) != NULL) ... tell: the answer comes from what stands before the break
 *     query_close(q);
 *
 * The database is made anew from the files each time, in memory: it can hold nothing that the files do not, nothing has to be kept in
 * step, and losing it loses nothing. A year of a busy host is some ten thousand lines, read and checked in a second or two.
 *
 *     book      n, time, time_ns, type, run, plan, source, exit, key, file, line, body (JSON)
 *     journal   run, n, time, time_ns, type, step, state, body (JSON)
 *     runs backups restores verifies prunes repairs findings anchors      views of book by type, with the fields of its body
 *     (findings: each as it was opened, with its newest owner and due date, and closed, closed_by and reason)
 *
 * A person's SQL may read and nothing else: every other thing (a write, ATTACH, PRAGMA, a second statement) is refused, and a
 * question that takes longer than QUERY_MS is ended; no value in it grows beyond QUERY_VALUE_MAX.
 */
#ifndef DR_AUDIT_QUERY_H
#define DR_AUDIT_QUERY_H

#include "dr/base/err.h"
#include "dr/data/json.h"

enum { QUERY_MS = 60 * 1000, QUERY_SQL_MAX = 64 << 10, QUERY_VALUE_MAX = 16 << 20 };

struct query;

/* dir: a STATE_DIR, or a copy of what is the audit's. A ledger or journal that is broken is read up to the break. */
enum dr_rc query_open(const char *dir, struct query **ret, struct dr_err *err) DR_MUST_USE;
void query_close(struct query *q);
DR_DEFINE_CLEANUP(struct query, query_close)

/* Why not all could be read; NULL: all was. Borrowed. */
const struct dr_err *query_broken(const struct query *q);

/* names and values of one row; values is a list. Borrowed for the call. */
struct query_row {
    size_t count;
    const char *const *names;
    const json_t *values;
};
typedef void query_fn(void *arg, const struct query_row *row);

/* NULL, 0: all. limit: the newest so many. In the order of the book. */
struct query_filter {
    const char *type, *run, *plan, *source;
    int64_t since_ns, until_ns; /* until_ns 0: no end */
    int64_t limit;
};

/* Rows of n, time, type, run, plan, source, exit, body (text). */
enum dr_rc query_lines(struct query *q, const struct query_filter *f, query_fn *fn, void *arg,
                       struct dr_err *err) DR_MUST_USE;

/* DR_E_USAGE: it is no SQL, or not one SELECT. DR_E_REFUSED: it wants more than to read. DR_E_TIMEOUT. */
enum dr_rc query_sql(struct query *q, const char *sql, query_fn *fn, void *arg, struct dr_err *err)
    DR_MUST_USE;

#endif
