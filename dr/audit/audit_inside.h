/*
 * audit_inside.h - what the files of an audit share: the index of the ledger, and how a finding is told.
 *
 * The ledger is read month by month into an index of digests, by number; anchors, one at a time, and journals are then held against the index,
 * so memory is one month and fifty bytes a line. A line that could not be read leaves a gap: it was a finding
 * already. Signatures come last, since an anchor by the key that a line names has signed the line's bytes, too: only lines that no such
 * anchor holds are looked at by themselves.
 */
#ifndef DR_AUDIT_AUDIT_INSIDE_H
#define DR_AUDIT_AUDIT_INSIDE_H

#include "dr/audit/audit.h"
#include "dr/journal/journal.h"

struct audit_line {
    uint8_t digest[HASH_SIZE];   /* of the whole line */
    uint8_t hash[HASH_SIZE / 2]; /* as much of its hash as an anchor's name has */
    bool known;                  /* else: a gap */
    bool is_signed, anchored;
    bool vouched;             /* an anchor signed by its key holds these very bytes */
    unsigned key, file, line; /* key: index in signers; file: in files */
};

struct audit_run { /* a line about a run; there should be one */
    char *id;      /* owned */
    int64_t records;
    char head[HASH_HEX_SIZE];
    size_t at; /* index of its line */
    bool seen; /* its journal is there */
};

struct audit_mark { /* a line that says: up to here in the buckets */
    int64_t to;
    size_t at;
};

struct audit {
    char *dir;             /* owned */
    struct text_list keys; /* believed */
    size_t *used;          /* lines that each of them signed */
    struct hash *hash;     /* owned */
    json_t *findings;
    size_t more;
    enum audit_grade worst;
    bool settled;

    struct text_list files;   /* "ledger/2026-11.jsonl" ... */
    struct text_list signers; /* keys that lines name */
    struct audit_line *lines;
    size_t count, cap, unsigned_count;
    char id[BOOK_ID_SIZE], head[HASH_HEX_SIZE];
    struct audit_run *runs;
    size_t run_count;
    struct audit_mark *marks;
    size_t mark_count;

    size_t journals, records; /* read */
    size_t objects;           /* anchors of DIR */
    size_t compared;          /* anchors that were right, wherever they lie ... */
    int64_t (*ranges)[2];     /* ... and the first and last line of each, when a child keeps them */
    bool keep_ranges;
    int64_t to; /* the last line in any anchor */
    json_t *buckets;
};

/* file NULL: DIR as a whole; line 0: the file as a whole. */
void audit_find(struct audit *a, enum audit_grade grade, const char *file, size_t line,
                const char *fmt, ...) DR_PRINTF(5, 6);

/* Is the key one of those believed? A line that it signed is counted for it (line 0: no line). A finding when not. */
bool audit_believes(struct audit *a, const char *key, const char *file, size_t line);

/* "ledger/2026-11.jsonl:12". The caller frees. */
char *audit_place(const struct audit *a, size_t at) DR_MUST_USE;

struct audit_file {
    char *name; /* as it is told; owned */
    struct buf bytes;
};
struct audit_files {
    struct audit_file *items;
    size_t count;
};
void audit_files_fini(struct audit_files *f);

/* Names in DIR/PATH, sorted, without those that begin with a dot; none when it is not there. */
void audit_list(const struct audit *a, const char *path, struct text_list *ret);

/* What there is to read, at one moment: nothing that is written later is looked at. */
struct audit_plan {
    struct text_list months;  /* "2026-11.jsonl" */
    off_t *sizes;             /* of each; owned */
    struct text_list anchors; /* "anchors/BOOK/NAME" */
};
void audit_plan_make(struct audit *a, struct audit_plan *ret);
void audit_plan_fini(struct audit_plan *p);

/* Append DIR/NAME; a finding (unknown) when it cannot be read. */
bool audit_load(struct audit *a, const char *name, size_t limit, struct audit_files *ret);

void audit_book(struct audit *a, const struct audit_plan *plan);
void audit_journals(struct audit *a);
/* Of the lines that no anchor vouches for. */
void audit_signatures(struct audit *a);
/* One object, wherever it lies: `file` names it. False: it was a finding. */
bool audit_anchor(struct audit *a, const char *file, const struct buf *object);
void audit_anchors(struct audit *a, const struct audit_plan *plan);
/* What is known when an anchor of these lines was found to be right. */
void audit_anchored(struct audit *a, int64_t from, int64_t to);

#endif
