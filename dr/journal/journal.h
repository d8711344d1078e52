/*
 * journal.h - append-only truth about one run: hash-chained JSON lines, each durable before it counts.
 *
 * JOURNAL.md beside this file is the norm for what the records say; here they are only
 * kept. Reading is a pure function of bytes (journal_parse), so that reports and tests need no
 * directory. A journal opened for writing is locked (a second writer gets DR_E_BUSY) and loses an
 * incomplete last line; a broken chain is DR_E_CORRUPT and nothing is changed.
 *
 *     struct journal *j;
 *     DR_TRY(journal_create(state_dir, "R-1", &j, err));
 *     DR_TRY(journal_append(j, "start", body, err));      takes body over; durable on DR_OK
 */
#ifndef DR_JOURNAL_JOURNAL_H
#define DR_JOURNAL_JOURNAL_H

#include "dr/base/hash.h"
#include "dr/base/text.h"
#include "dr/data/json.h"

enum { JOURNAL_RECORD_MAX = 4 << 20, JOURNAL_FILE_MAX = 256 << 20, RUN_ID_MAX = 32 };

struct journal_record {
    int64_t n;
    int64_t wall_ns;
    int64_t boot_ns;
    char *type;   /* owned */
    json_t *body; /* owned reference */
    char prev[HASH_HEX_SIZE];
    char hash[HASH_HEX_SIZE];
};

struct journal_records { /* a zeroed struct is empty */
    struct journal_record *items;
    size_t count, cap;
};
void journal_record_fini(struct journal_record *r);
void journal_records_fini(struct journal_records *r);
void journal_records_add(struct journal_records *all, struct journal_record *r); /* moved in */

/*
 * Parse and verify the chain. ret_whole: length of the whole lines; what follows is one incomplete
 * last line. DR_E_CORRUPT names the record. Records are added to ret, which the caller finis.
 */
enum dr_rc journal_parse(const char *bytes, size_t len, struct journal_records *ret,
                         size_t *ret_whole, struct dr_err *err) DR_MUST_USE;

/* One record by itself: its content fits its digest; what it follows is not looked at. len: with the
 * newline. DR_E_CORRUPT else. The caller finis ret. */
enum dr_rc journal_read_one(const char *line, size_t len, struct journal_record *ret,
                            struct dr_err *err) DR_MUST_USE;

/* The line (with its newline) of a record with this content; fills r->hash. */
void journal_print(struct journal_record *r, struct buf *out);

/* Real numbers do not stand in a journal: a deep copy with {"$real":"..."} in their place, and back. */
json_t *journal_pack(const json_t *value) DR_MUST_USE;
json_t *journal_unpack(const json_t *value) DR_MUST_USE;

/* -- one run's file --------------------------------------------------------------------------- */

struct journal;

/* Make STATE_DIR/runs/RUN/ and its journal; DR_E_EXISTS when the run is there already. */
enum dr_rc journal_create(const char *state_dir, const char *run, struct journal **ret,
                          struct dr_err *err) DR_MUST_USE;

/* Open for writing: lock, verify, cut an incomplete tail. */
enum dr_rc journal_open(const char *state_dir, const char *run, struct journal **ret,
                        struct dr_err *err) DR_MUST_USE;
void journal_close(struct journal *j);
DR_DEFINE_CLEANUP(struct journal, journal_close)

/* Durable on DR_OK. After a failure the journal takes no more records (its tail is in doubt): open
 * it again. body is taken over in every case. */
enum dr_rc journal_append(struct journal *j, const char *type, json_t *body, struct dr_err *err)
    DR_MUST_USE;

/*
 * Records of this run that were found elsewhere: those that are here must be the same, the others are
 * appended, durably. DR_E_CORRUPT: here and there differ, and nothing was written.
 */
enum dr_rc journal_extend(struct journal *j, const struct journal_records *all, struct dr_err *err)
    DR_MUST_USE;

/* Everything on record, the newest last. Borrowed until the next append. */
const struct journal_records *journal_all(const struct journal *j);

/* Read without a lock (an incomplete tail is ignored). The caller finis ret. */
enum dr_rc journal_load(const char *state_dir, const char *run, struct journal_records *ret,
                        struct dr_err *err) DR_MUST_USE;

/* Is somebody writing it at this moment? */
bool journal_is_live(const char *state_dir, const char *run);

/* Ids of all runs: dry runs ("T-1"), then runs in earnest and drills by their common number, oldest first ("R-1",
 * "D-2", "R-10"). No directory yet: empty. */
enum dr_rc journal_runs(const char *state_dir, struct text_list *ret, struct dr_err *err)
    DR_MUST_USE;

/* "runs/r-1/000007-<hash>": the object's name in a bucket. The caller frees. */
char *journal_object(const char *run, const struct journal_record *r) DR_MUST_USE;

/* Put words for the living runner of a run: JSON {"verb":...} (taken over). */
enum dr_rc journal_tell(const char *state_dir, const char *run, json_t *words, struct dr_err *err)
    DR_MUST_USE;

/* The oldest waiting words, removed from the inbox; NULL in ret: none. The caller drops it. */
enum dr_rc journal_hear(const char *state_dir, const char *run, json_t **ret, struct dr_err *err)
    DR_MUST_USE;

#endif
