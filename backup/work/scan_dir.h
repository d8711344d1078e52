/*
 * scan_dir.h - one directory of a source: its names sorted, its entries in batches (inside scan).
 *
 * A directory is read in one go when it is small; a long one is listed whole, and its entries are
 * looked at in batches, which several readers may share:
 *
 *     struct scan_dir    names: "a\0b\0c\0..." sorted by bytes
 *        first ─> struct scan_batch ─next─> struct scan_batch      SCAN_BATCH entries each, in name order
 *                    first_sub ─> struct scan_dir ─sibling─> ...   directories among them, to be read next
 *
 * Nothing here locks. A reader (one for each thread, with its own memory) writes what it was given and
 * nothing else; scan_ahead.h says whose turn it is. Names and batches do not move once they are there.
 */
#ifndef BACKUP_WORK_SCAN_DIR_H
#define BACKUP_WORK_SCAN_DIR_H

#include "backup/work/scan.h"
#include "backup/work/scan_names.h"
#include "dr/base/buf.h"

struct scan_dir;
struct scan_batch;

struct scan_task { /* a place in the order of what is to be read (scan_ahead.h) */
    struct scan_task *prev, *next;
    struct scan_dir *dir;
    struct scan_batch *batch; /* or NULL: the directory's own */
    bool taken;
};

struct scan_dir {
    struct scan_task task;
    struct scan_dir *up;      /* lives longer; NULL: the root */
    struct scan_dir *sibling; /* next in the batch of the directory above */
    const char *name;         /* lies in up->names */
    size_t path_len;
    unsigned depth;
    dev_t dev; /* as seen from above */
    ino_t ino;
    bool listed;                     /* what follows is known */
    const char *problem;             /* why its content or some of it is missing; or NULL */
    struct dr_err *failed;           /* owned; not NULL: the scan cannot go on */
    struct scan_name_list names;     /* owned */
    const char *rest;                /* first name that is in no batch yet */
    size_t left;                     /* so many are in none */
    struct scan_batch *first, *last; /* not yet given out; owned */
};

struct scan_batch {
    struct scan_task task;
    struct scan_batch *next;
    struct scan_dir *first_sub, *last_sub; /* owned until they are entered */
    const char *names;                     /* of the first entry, in the directory's names */
    const char *problem;                   /* nothing of it could be read; or NULL */
    size_t count;
    bool done;
    struct scan_stat st[]; /* mode 0: not an entry; nlink is then an errno to be told, or 0 */
};

struct scan_reader { /* memory of a thread that reads */
    const struct scan_options *options;
    struct scan_opener *opener;
    dev_t root_dev;
    char *listing;   /* buffer of getdents64() */
    struct buf path; /* of the directory at hand */
    struct scan_names names;
};

/* The caller calls scan_reader_fini(). options are borrowed. */
void scan_reader_init(struct scan_reader *r, const struct scan_options *options, int root,
                      dev_t root_dev);
void scan_reader_fini(struct scan_reader *r);

/* A directory to be read; name and up are borrowed. The caller frees it with scan_dir_free(). */
struct scan_dir *scan_dir_new(struct scan_dir *up, const char *name, const struct scan_stat *st);

/* With everything below it. */
void scan_dir_free(struct scan_dir *d);

/* Take the next entries into a new last batch; their stat is not read yet. */
struct scan_batch *scan_dir_cut(struct scan_dir *d);

/* Names, and the first batch (none when the directory is empty or cannot be read). Sets all but listed. */
void scan_reader_list(struct scan_reader *r, struct scan_dir *d);

/* Fill a batch that scan_dir_cut() made. Sets all but done. */
void scan_reader_stat(struct scan_reader *r, struct scan_batch *b);

#endif
