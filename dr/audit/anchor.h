/*
 * anchor.h - the ledger's lines in the buckets, where its host cannot change them any more.
 *
 *     STATE_DIR/ledger ──lines since the last anchor──> one signed object ──┬──> ledger/us/3f9c.../000000041-000000056-...  us
 *                                                                           ├──> the same                                  eu
 *                                                                           └──> STATE_DIR/anchors/3f9c.../ (once one took it)
 *
 * An anchor is an object of the lines themselves, so the buckets hold the whole ledger, each by itself: one that was away gets
 * what it lacks the next time, and `repair` copies it from bucket to bucket as well. It is written once and never changed; where a
 * bucket locks what it gets, not even the host's own credentials remove it. So whoever cuts the tail of the book, or
 * writes it anew with the host's own key, is found by any anchor that is newer than the cut.
 *
 * LEDGER.md is the norm for the object. Only lines that are of another type than `anchor` are worth a new one.
 */
#ifndef DR_AUDIT_ANCHOR_H
#define DR_AUDIT_ANCHOR_H

#include "backup/format/names.h"
#include "dr/audit/book.h"
#include "dr/config/config.h"

enum {
    ANCHOR_LINES_MAX = 2000, /* of one object ... */
    ANCHOR_BYTES_MAX = 4 << 20,
    ANCHOR_OBJECT_MAX = ANCHOR_BYTES_MAX + BOOK_LINE_MAX + 4096,
    ANCHOR_RUN_MS = 10 * 1000, /* what the end of a run waits for buckets */
    ANCHOR_WAIT_MS = 60 * 1000,
};

/* -- one object ------------------------------------------------------------------------------------ */

struct anchor {
    int64_t from, to; /* numbers of its lines */
    char book[BOOK_ID_SIZE], head[HASH_HEX_SIZE], writer[KEYS_TEXT_MAX];
    const char *lines; /* of the object's bytes */
    size_t len;
};

/* "000000041-000000056-<32 digits of the head>". The caller frees. */
char *anchor_name(int64_t from, int64_t to, const char *head) DR_MUST_USE;
bool anchor_is_name(const char *name, int64_t *ret_from, int64_t *ret_to);

/* Pure. Form, name (its last part), signature by the key that it names. DR_E_CORRUPT else. Its lines are not
 * looked at. */
enum dr_rc anchor_read(const char *name, const struct buf *object, struct anchor *ret,
                       struct dr_err *err) DR_MUST_USE;

/* Append the object of these lines (whole ones) to out. */
void anchor_print(const struct anchor *a, const char *site, const struct keys *signer,
                  struct buf *out);

/* -- all of them ------------------------------------------------------------------------------------ */

struct anchor_wish {
    const struct config *config;
    const char *site, *version;
    const char *dark; /* region whose buckets are left alone, or NULL */
    int64_t wait_ms;  /* for all buckets together */
};

struct anchor_report {
    int64_t to;                     /* the last line that stands in a bucket now; 0: none */
    size_t fresh;                   /* lines that were in none before */
    size_t put;                     /* objects, over all buckets */
    struct text_list took, lacking; /* names of buckets that have all; "eu: why" of others */
};
void anchor_report_fini(struct anchor_report *r);

/*
 * Lines for runs that ended without one (book_add_runs), then everything into every bucket. DR_OK also when no bucket took
 * it: see the report. DR_E_CORRUPT: the book is broken, and no bucket was asked. DR_E_BUSY: another process
 * does it. A bucket that hangs is left to the end of the process.
 */
enum dr_rc anchor_run(const struct anchor_wish *w, struct anchor_report *ret, struct dr_err *err)
    DR_MUST_USE;

#endif
