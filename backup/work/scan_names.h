/*
 * scan_names.h - the names of one directory, sorted by bytes, in memory that does not grow with them.
 *
 *     scan_names_add()      one after another, in any order
 *     scan_names_settle()   all of them, sorted, each once; then it is empty again
 *
 * Up to RUN_SIZE bytes everything is in memory. More become sorted runs in a file without a name below
 * STATE_DIR/spool, which are merged into a second one; that is mapped. So a directory of millions of
 * names costs page cache.
 *
 *     names ──> run (memory) ──sort──> run, run, run (file) ──merge──> "a\0b\0c\0..." (file, mapped)
 *
 * Adding cannot fail: the first error is kept, and scan_names_settle() reports it.
 */
#ifndef BACKUP_WORK_SCAN_NAMES_H
#define BACKUP_WORK_SCAN_NAMES_H

#include "dr/base/buf.h"
#include "dr/base/err.h"

struct scan_name; /* private */
struct scan_run;  /* private */

struct scan_names {
    const char *state_dir; /* NULL: everything in memory */
    struct buf text;       /* names of the run at hand */
    struct scan_name *keys;
    size_t count, cap;
    int fd; /* of runs, or -1 */
    struct scan_run *runs;
    size_t run_count;
    uint64_t runs_size;
    struct dr_err failed; /* rc not DR_OK: the first error */
};

struct scan_name_list { /* a zeroed struct is an empty list */
    char *data;         /* names with their NUL, one behind another */
    size_t size;        /* of data, in bytes */
    size_t count;
    bool mapped; /* else on the heap */
};

void scan_names_init(struct scan_names *n, const char *state_dir);
void scan_names_fini(struct scan_names *n);

/* Forget all names, keep the memory. */
void scan_names_clear(struct scan_names *n);

void scan_names_add(struct scan_names *n, const char *name);

/* ret: the caller calls scan_name_list_fini(). On failure it is empty. */
enum dr_rc scan_names_settle(struct scan_names *n, struct scan_name_list *ret, struct dr_err *err)
    DR_MUST_USE;
void scan_name_list_fini(struct scan_name_list *list);

#endif
