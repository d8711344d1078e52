/*
 * scan.h - every entry of a source, in path order, as the file system tells it: names and stat.
 *
 *     scan_new()    opens the root
 *     scan_next()   the next entry (the root first); NULL at the end
 *     scan_free()
 *
 * A few threads list and stat directories ahead of the caller; the sequence is that of one thread:
 *
 *      waiting       being read       read, in the window of SCAN_WINDOW entries      given out
 *     [x] [w] [v]  ──>  [u] [t]  ──>  s  r  q  p  o  n  m  l  k  ... d  c  b  ──scan_next()──> a
 *     path order        helpers       names and struct scan_stat                    one at a time
 *
 * A helper takes the waiting directory that comes first; scan_next() takes the one that it needs when no
 * helper has begun it. Memory does not grow with the tree: the names of a directory that has very many
 * lie in a file of the spool (scan_names.h). No descriptor is held for a level: a directory is opened from the
 * root by its path, in steps when that is longer than PATH_MAX, without following a link, and must
 * be the one that was seen in its parent.
 *
 * What cannot be read is told to warning(), from within scan_next(), in path order, and passed
 * over; a directory whose content cannot be read still comes as an entry. Sockets are passed over in
 * silence.
 */
#ifndef BACKUP_WORK_SCAN_H
#define BACKUP_WORK_SCAN_H

#include <sys/types.h>

#include "backup/work/exclude.h"
#include "dr/base/err.h"

enum {
    SCAN_WINDOW = 16384, /* entries that were read and are not given out: no helper reads further */
    SCAN_BATCH = 1024,   /* entries of a directory that are read in one go */
    SCAN_THREADS_MAX = 16, /* helpers */
};

struct scan_stat {
    dev_t dev, rdev; /* rdev: of a device */
    ino_t ino;
    uint64_t size, blocks; /* blocks: of 512 bytes */
    int64_t mtime_s, ctime_s;
    uint32_t mtime_ns, ctime_ns;
    uint32_t mode; /* with the type (S_IFMT) */
    uint32_t uid, gid, nlink;
};

struct scan_entry {
    const char *path; /* below the root, which is ""; borrowed until the next call */
    size_t path_len;
    struct scan_stat st;
};

struct scan_options {
    const char *root;              /* absolute path of a directory */
    const struct exclude *exclude; /* borrowed until scan_free(); or NULL */
    const char *state_dir; /* long directories are sorted in its spool, borrowed; NULL: in memory */
    bool one_file_system;  /* a directory on another device than the root comes empty */
    bool exclude_caches;   /* with a valid CACHEDIR.TAG only the directory and the tag come */
    unsigned threads;      /* helpers; 0: all is done in scan_next(), in this thread */
    void (*warning)(void *arg, const char *path, const char *what); /* path: "." for the root */
    void *arg;
};

struct stat;
struct scan;

/* Threads are started here. The caller frees *ret. */
enum dr_rc scan_new(const struct scan_options *options, struct scan **ret, struct dr_err *err)
    DR_MUST_USE;
void scan_free(struct scan *s);
DR_DEFINE_CLEANUP(struct scan, scan_free)

/* The next entry, borrowed until the next call; NULL at the end. It fails only for want of room in the spool. */
enum dr_rc scan_next(struct scan *s, const struct scan_entry **ret, struct dr_err *err) DR_MUST_USE;

/* Descriptor of the root, borrowed: for scan_opener_new() (scan_open.h). */
int scan_root(const struct scan *s);

/* The same words from a stat(2) of one's own, to compare with. */
void scan_stat_set(struct scan_stat *st, const struct stat *from);

#endif
