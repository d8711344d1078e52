/*
 * diag.h - what is wrong with a file that a person wrote: all of it, with places.
 *
 * A reader of configuration or of a plan collects findings here and goes on, so that
 * all mistakes are told in one go, in file order:
 *
 *     FILE:LINE:COL: error: what [code]
 *         hint: what to type instead
 *
 * One mistake gives one message: a reader that has reported a node does not report
 * what follows from it.
 */
#ifndef DR_DATA_DIAG_H
#define DR_DATA_DIAG_H

#include "dr/base/buf.h"

enum diag_severity { DIAG_ERROR, DIAG_WARNING };

enum { DIAG_MAX = 1000 };

struct diag_item {
    enum diag_severity severity;
    int line, col; /* 1-based */
    char *file;    /* owned */
    char *what;    /* owned */
    const char *code;
    char *hint; /* owned, or NULL */
};

/* A zeroed struct is an empty collection. */
struct diag {
    struct diag_item *items; /* owned */
    size_t count;
    size_t cap;
    size_t errors;
    size_t dropped;   /* findings beyond DIAG_MAX: counted, not kept */
    const char *file; /* borrowed: put into each new item */
};

void diag_fini(struct diag *d);

/* Report; code is a literal. A hint may follow with diag_hint() for the item just added. */
void diag_error(struct diag *d, int line, int col, const char *code, const char *fmt, ...)
    DR_PRINTF(5, 6);
void diag_warning(struct diag *d, int line, int col, const char *code, const char *fmt, ...)
    DR_PRINTF(5, 6);
void diag_hint(struct diag *d, const char *fmt, ...) DR_PRINTF(2, 3);

/* Into file order: by file (in order of appearance), line, column; else as they were found. */
void diag_sort(struct diag *d);

/* Sort into file order and print everything. */
void diag_print(struct diag *d, struct buf *out);

#endif
