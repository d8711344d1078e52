/*
 * pick.h - a few lines out of a long ledger, without reading all of it as evidence.
 *
 * A year of a busy host is some hundred thousand lines, and to check each signature takes seconds; whoever asks at
 * every turn of a daemon, or at the end of a failover, which findings are open wants a dozen of them. So the files are scanned for
 * lines of these types, and only these are checked: form, digest, signature, and that the key is one of the book's. Their
 * place in the chain is not; `drctl audit verify` does that.
 *
 *     static bool take(void *arg, const struct book_record *r) { ...; return true; }
 *     DR_TRY(book_pick(state_dir, "finding", from_ns, take, &list, err));
 */
#ifndef DR_AUDIT_PICK_H
#define DR_AUDIT_PICK_H

#include "dr/audit/book.h"

/*
 * Lines from from_ns on whose type begins so, in the order of the book. The incomplete last line of a writer that died
 * is none. DR_E_CORRUPT: one of them is not what was written; those before it were given. No book: DR_OK, and no call.
 */
enum dr_rc book_pick(const char *state_dir, const char *type, int64_t from_ns, book_fn *fn,
                     void *arg, struct dr_err *err) DR_MUST_USE;

/* The same as [{type, time, body}]. The caller drops ret. */
enum dr_rc book_pick_json(const char *state_dir, const char *type, int64_t from_ns, json_t **ret,
                          struct dr_err *err) DR_MUST_USE;

#endif
