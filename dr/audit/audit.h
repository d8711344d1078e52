/*
 * audit.h - is the evidence whole? Journals, ledger and anchors held against each other, from files alone.
 *
 *     DIR/runs/R-1/journal.jsonl ... each chain by itself
 *          ▲ its last record's hash
 *     DIR/ledger/2026-11.jsonl ..... one chain over all months, signed by keys of DIR/ledger/keys.pub
 *          ▲ its lines, signed, as they were when a bucket took them
 *     DIR/anchors/BOOK/...           (and, when asked, the same objects in the buckets themselves)
 *
 * DIR is a STATE_DIR or what audit_export() made of one; neither a configuration nor a network nor a key that is secret is needed.
 * Nothing is changed. What is found is named by file and line, in one of three grades:
 *
 *     broken    a changed byte, a record dropped, added or moved, a tail that is cut, a month or a journal that
 *               is missing, a stranger's signature
 *     unknown   what nobody can tell from these files: nothing is anchored, no key is known, a line is not signed and in
 *               no anchor, a run that is over has no line
 *     note      how it should be, or harmless: a run that is not over, the unfinished last line of a writer that died
 *
 * What cannot be seen: lines behind the newest anchor, cut together with whatever names them. And whoever has the host's key and
 * every file may write a new ledger: then only the buckets know (audit_ask()), or an auditor who kept the key and the
 * head of last month.
 *
 *     struct audit *a = audit_new(dir, NULL);
 *     DR_TRY(audit_read(a, err));
 *     audit_ask(a, config, site, AUDIT_ASK_MS);     if wanted
 *     json_t *found = audit_result(a);              the caller drops
 *     enum audit_grade worst = audit_worst(a);
 *     audit_free(a);
 */
#ifndef DR_AUDIT_AUDIT_H
#define DR_AUDIT_AUDIT_H

#include "dr/audit/anchor.h"

enum {
    AUDIT_FINDINGS_MAX = 200, /* more are counted */
    AUDIT_ASK_MS = 60 * 1000, /* for each bucket, when nobody says how long */
};

enum audit_grade { AUDIT_NOTE, AUDIT_UNKNOWN, AUDIT_BROKEN };

struct audit;

/* keys: the only ones believed, whatever keys.pub says; NULL: those of keys.pub. Both are copied. */
struct audit *audit_new(const char *dir, const struct text_list *keys) DR_MUST_USE;
void audit_free(struct audit *a);
DR_DEFINE_CLEANUP(struct audit, audit_free)

/* All files. What is wrong with them is a finding; an error is only that DIR is no directory. */
enum dr_rc audit_read(struct audit *a, struct dr_err *err) DR_MUST_USE;

/*
 * The anchors of the buckets, after audit_read(): each bucket by a process of its own, all at once, none longer than wait_ms. One
 * that cannot be asked, or not to its end, is a finding (unknown). The newest anchors are read first; of those that are not
 * read in that time the names are compared with the ledger. The caller has no threads.
 */
void audit_ask(struct audit *a, const struct config *c, const char *site, int64_t wait_ms);

/*
 * {"dir", "findings": [{"grade", "file", "line" or null, "text"}], "more": findings left out,
 *  "runs": {"journals", "records"},
 *  "ledger": {"book" or null, "records", "months", "head" or null, "unsigned", "keys": [{"key", "records"}]},
 *  "anchors": {"objects", "to", "newer": lines behind them},
 *  "buckets": [{"name", "objects", "read"}]}      null: it did not answer
 * A new reference. audit_worst(): AUDIT_NOTE when all is whole.
 */
json_t *audit_result(struct audit *a) DR_MUST_USE;
enum audit_grade audit_worst(struct audit *a);

/* Copy what audit_read() reads out of a STATE_DIR into `to`, which is made, or empty. ret_files may be NULL. */
enum dr_rc audit_export(const char *state_dir, const char *to, size_t *ret_files,
                        struct dr_err *err) DR_MUST_USE;

#endif
