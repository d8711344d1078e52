/*
 * book.h - the ledger of a host: one signed, hash-chained line for each thing that ended there.
 *
 *     STATE_DIR/ledger/2026-11.jsonl   the lines of a month; LEDGER.md is the norm for their bytes
 *     STATE_DIR/ledger/keys.pub        public keys that signed them, one a line
 *
 * Journals tell one run each and are chained in themselves only: a whole journal may go, or its end. The book
 * names each run that is over with the hash of its last record, beside every backup, verify, prune, repair and restore, so
 * that what is missing can be seen. Its chain goes on from month to month. Anchors (anchor.h) put it into the buckets.
 *
 *     struct book_place place = { .state_dir = c->state_dir, .site = "us", .version = DRCTL_VERSION };
 *     json_t *body = json_object(); ...
 *     if (book_append(&place, "prune", body, &err) != DR_OK)
 *         ... warn: the work itself is done all the same
 *
 * Any number of processes of one host append, each waiting for a lock for BOOK_WAIT_MS at most. A line is true
 * once it is synced; an incomplete last line was never acknowledged and the next append cuts it off. Only the tail is read to
 * append. A tail that is not ours (DR_E_CORRUPT) is never written behind.
 *
 * The key is the one of the host's snapshots and rows of status. A host without a key writes lines that are not signed, and
 * audit.h tells of them.
 *
 * To read:
 *
 *     static bool count(void *arg, const struct book_record *r) { ...; return true; }
 *     DR_TRY(book_each(state_dir, from_ns, to_ns, count, &counter, err));
 */
#ifndef DR_AUDIT_BOOK_H
#define DR_AUDIT_BOOK_H

#include "backup/format/keys.h"
#include "dr/base/hash.h"
#include "dr/data/json.h"

enum {
    BOOK_LINE_MAX = 64 << 10,
    BOOK_FILE_MAX = 256 << 20,
    BOOK_WAIT_MS = 10 * 1000, /* for whoever writes just now */
    BOOK_ID_SIZE = 17,
    BOOK_TIME_LEN = 30, /* "2026-11-21T03:11:40.123456789Z" */
};

/* Whose book. All borrowed. */
struct book_place {
    const char *state_dir;
    const char *site, *version; /* stand in its first line; NULL: null */
    bool make_key;              /* where there is none yet */
};

/* One line. file, line and text tell where it stands ("ledger/2026-11.jsonl", 1 ...); book_each() sets them. */
struct book_record {
    int64_t n; /* 1, 2, 3 ... over all months */
    int64_t wall_ns, boot_ns;
    char *type;
    json_t *body;
    char prev[HASH_HEX_SIZE], hash[HASH_HEX_SIZE];
    char key[KEYS_TEXT_MAX]; /* "": it is not signed */
    const char *file;
    size_t line;
    const char *text; /* as it stands there, with its newline */
    size_t text_len;
};
void book_record_fini(struct book_record *r);

/* -- writing -------------------------------------------------------------------------------------- */

/*
 * One more line, durable on DR_OK. body is taken over in every case, and real numbers in it become text as in
 * a journal. Afterwards, or when it failed, or the process died at any point, the book holds all lines
 * that were acknowledged, and this one or not. DR_E_BUSY: somebody held the lock too long.
 */
enum dr_rc book_append(const struct book_place *p, const char *type, json_t *body,
                       struct dr_err *err) DR_MUST_USE;

/* -- reading -------------------------------------------------------------------------------------- */

/* The record is borrowed for the call. False: enough. */
typedef bool book_fn(void *arg, const struct book_record *r);

/*
 * Every line whose time lies in [from_ns, to_ns), in the order of the book. Of each month that is read form, digest and
 * chain of all lines are checked first, and the signature of the last line of every stretch by one key (of keys.pub): its
 * digest is over all lines before it, so it vouches for what they say. (That each line's own signature is whole as well is audit.h's
 * business.) Months that ended before from_ns are not read; so only from_ns 0 proves the beginning. DR_E_CORRUPT names file and
 * line of the first that is broken; those before it were given. No book yet: DR_OK, and no call.
 */
enum dr_rc book_each(const char *state_dir, int64_t from_ns, int64_t to_ns, book_fn *fn, void *arg,
                     struct dr_err *err) DR_MUST_USE;

/*
 * The lines behind record n, which is known to have a hash that begins with these digits (n 0: from the beginning). Only the month of
 * that record and later ones are read, and in it nothing before the record; so it costs the same in each year. DR_E_CORRUPT
 * also when that record is another one now, or is not there any more.
 */
enum dr_rc book_after(const char *state_dir, int64_t n, const char *hash, book_fn *fn, void *arg,
                      struct dr_err *err) DR_MUST_USE;

/* -- runs ----------------------------------------------------------------------------------------- */

struct journal_records;

/* Is the run over (its last state is a final one), and not a dry one? Only such runs stand in the book. */
bool book_run_counts(const struct journal_records *all);

/* Lines for runs that are over and have none: this run, or all (run NULL). Journals that cannot be read are passed over.
 * ret_added may be NULL. */
enum dr_rc book_add_runs(const struct book_place *p, const char *run, size_t *ret_added,
                         struct dr_err *err) DR_MUST_USE;

/* -- parts, for this room -------------------------------------------------------------------------- */

/* The line (with its newline) of a record with this content; fills r->hash, and r->key by the signer (or NULL). */
void book_print(struct book_record *r, const struct keys *signer, struct buf *out);

/* A piece of a line. at NULL: null stands there. */
struct book_text {
    const char *at;
    size_t len;
};
bool book_text_is(struct book_text t, const char *text);

/* A line taken apart; all of it is borrowed from the line. parts, one behind the other: the bytes that were hashed and signed. */
struct book_line {
    int64_t n, boot_ns;
    struct book_text text, body, key, sig, time, type; /* time: BOOK_TIME_LEN, sorts as time does */
    char prev[HASH_HEX_SIZE], hash[HASH_HEX_SIZE];
    struct book_text parts[3];
};

/*
 * Form and digest of one line (len: with the newline), at a few hundred MB a second: neither is its body read nor its
 * signature looked at. h is used for the time of the call. DR_E_CORRUPT else.
 */
enum dr_rc book_split(struct hash *h, const char *line, size_t len, struct book_line *ret,
                      struct dr_err *err) DR_MUST_USE;

/* Does it follow, in number and digest, a line with this number and hash (0, NULL: none)? */
enum dr_rc book_line_follows(const struct book_line *l, int64_t n, const char *hash,
                             struct dr_err *err) DR_MUST_USE;

/* Is a line that names a key signed by it? err tells what is wrong. Whose key it is is not looked at. */
bool book_line_is_signed(const struct book_line *l, struct dr_err *err);

/* The key that it names; "" when it is not signed. */
void book_line_key(const struct book_line *l, char ret[KEYS_TEXT_MAX]);

/* Append the bytes that were hashed and signed. */
void book_line_content(const struct book_line *l, struct buf *out);

/* Its body is read as well: DR_E_CORRUPT when that is no JSON object. The caller finis ret; its text is the line's. */
enum dr_rc book_parse(const struct book_line *l, struct book_record *ret, struct dr_err *err)
    DR_MUST_USE;

/* All of it, of one line by itself: split, its signature by the key it names, parsed. */
enum dr_rc book_read_line(const char *line, size_t len, struct book_record *ret, struct dr_err *err)
    DR_MUST_USE;

/* The bytes of a record that are to be hashed and signed. */
void book_add_content(const struct book_record *r, struct buf *out);

/* Names of the months in DIR/ledger, oldest first. No directory: none. */
enum dr_rc book_months(const char *dir, struct text_list *ret, struct dr_err *err) DR_MUST_USE;
bool book_is_month(const char *name);             /* "2026-11.jsonl" */
char *book_month_of(int64_t wall_ns) DR_MUST_USE; /* the caller frees */

/* Public keys of DIR/ledger/keys.pub, as they stand there. No file: none. */
enum dr_rc book_keys(const char *dir, struct text_list *ret, struct dr_err *err) DR_MUST_USE;

/* Wait for the lock DIR/ledger/NAME. Closing gives it back. */
enum dr_rc book_lock(const char *dir, const char *name, int *ret_fd, struct dr_err *err)
    DR_MUST_USE;

/* The id of the book in DIR, by its first line, of which nothing more is read; "" when there is none. Returns out. */
char *book_own(const char *dir, char out[BOOK_ID_SIZE]);

/* The first 16 digits of the hash of record 1: which book it is. Returns out. */
char *book_id(const char *first_hash, char out[BOOK_ID_SIZE]);

#endif
