/*
 * backup_stream.h - what was decided, in path order, becomes pieces, segments, recipe and packs.
 *
 *   scan ──> merge or plain loop ──stream_*()──> ring of items ──workers──> done, in order ──> packs, records
 *                planning thread                 read, hash, compress          planning thread
 *
 * All calls are made by one thread, which plans ahead of the workers by a ring of items (pool.h). When the
 * ring is full it finishes the oldest item itself: frame into the pack, row and records into the
 * segment. So pieces, segments and recipe are the same with any number of threads; with none
 * everything happens in the call that asks for it.
 *
 * Memory: the ring, WINDOWS windows of large files, the segment at hand with those whose items are in the ring,
 * and some twenty bytes for each run of the recipe. It does not depend on the number of entries.
 *
 * Cut rules look at the scan's metadata only, never at content. Segments and ranges end by themselves.
 */
#ifndef BACKUP_WORK_BACKUP_STREAM_H
#define BACKUP_WORK_BACKUP_STREAM_H

#include "backup/format/snapshot.h"
#include "backup/work/backup_owners.h"
#include "backup/work/backup_packs.h"
#include "backup/work/scan.h"

struct stream;
struct prev_writer;

struct stream_options {
    uint64_t seed;             /* of the repository: steers the cuts */
    struct packs *packs;       /* borrowed; its before_seal() is set */
    const char *state_dir;     /* borrowed: its spool holds what grows with the source */
    int root;                  /* open root of the source, borrowed; -1 for stream_add_stdin() */
    unsigned threads;          /* 0: none */
    int64_t start_ns;          /* of the run, wall clock: what changed since is racy */
    struct owners *owners;     /* borrowed; told each owner of a record */
    struct prev_writer *cache; /* borrowed, or NULL: told each segment */
    void (*warning)(void *arg, const char *path, const char *what);
    bool (*progress)(void *arg, uint64_t bytes); /* so many more were read; false cancels */
    void *arg;
};

struct stream_entry {
    const struct scan_entry *entry;
    const char *link_to; /* first name of its inode: it becomes a hard link; or NULL */
    bool stored;         /* the snapshot before has this path: links that stay may lead to it */
};

struct stream_totals {
    uint64_t entries, files, bytes; /* in the snapshot */
    uint64_t read;                  /* bytes of data that were read */
    uint64_t dropped;               /* entries that went away while they were read */
    uint64_t
        lost_names; /* of them, stored ones with several names: such a stream fails (DR_E_BUSY) */
};

/* Threads are started here. The caller frees *ret. */
enum dr_rc stream_new(const struct stream_options *options, struct stream **ret, struct dr_err *err)
    DR_MUST_USE;
void stream_free(struct stream *s);
DR_DEFINE_CLEANUP(struct stream, stream_free)

/* The next entry in path order: it is read and goes into the range at hand. */
enum dr_rc stream_add(struct stream *s, const struct stream_entry *e, struct dr_err *err)
    DR_MUST_USE;

/* End what is open; nothing open: nothing happens. */
enum dr_rc stream_end_range(struct stream *s, struct dr_err *err) DR_MUST_USE;
enum dr_rc stream_end_segment(struct stream *s, struct dr_err *err) DR_MUST_USE;

/* Descriptor 0 to its end as one file of that name below a root of its own. */
enum dr_rc stream_add_stdin(struct stream *s, const char *name, struct dr_err *err) DR_MUST_USE;

/* Sets toc, recipe, removed, packs and stored of ret, which the caller owns. Add nothing after. */
enum dr_rc stream_finish(struct stream *s, struct snapshot *ret, struct dr_err *err) DR_MUST_USE;

/* Complete after stream_finish(). */
const struct stream_totals *stream_totals(const struct stream *s);

#endif
