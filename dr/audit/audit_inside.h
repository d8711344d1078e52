/*
 * audit_inside.h - what the files of an audit share: the index of the ledger, and how a finding is told.
 *
 * The ledger is read once into an index of digests, by number; anchors and journals are then held against the index, so memory
 * is about a hundred bytes a line, however long the lines are. A line that could not be read leaves a gap: it was a finding
 * already.
 */
#ifndef DR_AUDIT_AUDIT_INSIDE_H
#define DR_AUDIT_AUDIT_INSIDE_H

#include "dr/audit/audit.h"
#include "dr/journal/journal.h"

struct audit_line {
    uint8_t digest[HASH_SIZE]; /* of the whole line */
    bool known;                /* else: a gap */
    bool is_signed, anchored;
    unsigned file, line; /* file: index in files */
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
    bool seen;
};

struct audit {
    char *dir;             /* owned */
    struct text_list keys; /* believed */
    size_t *used;          /* lines that each of them signed */
    json_t *findings;
    size_t more;
    enum audit_grade worst;
    bool settled;

    struct text_list files; /* "ledger/2026-11.jsonl" ... */
    struct audit_line *lines;
    size_t count, cap, unsigned_count;
    char id[BOOK_ID_SIZE], head[HASH_HEX_SIZE];
    struct audit_run *runs;
    size_t run_count;
    struct audit_mark *marks;
    size_t mark_count;

    size_t journals, records; /* read */
    size_t objects;           /* anchors of DIR */
    int64_t to;               /* the last line in any anchor */
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

/* Append DIR/NAME; a finding (unknown) when it cannot be read. */
bool audit_load(struct audit *a, const char *name, size_t limit, struct audit_files *ret);

void audit_book(struct audit *a, const struct audit_files *months);
void audit_journals(struct audit *a);
/* One object, wherever it lies: `file` names it. False: it was a finding. */
bool audit_anchor(struct audit *a, const char *file, const struct buf *object);
void audit_anchors(struct audit *a, const struct audit_files *objects);

#endif
