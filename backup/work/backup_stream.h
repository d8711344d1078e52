/*
 * backup_stream.h - entries in path order become pieces, segments, recipe and packs.
 *
 *     stream_new()      options: where packs go, the seed of the cuts
 *     stream_feed()     each entry, in path order, the root first
 *     stream_finish()   the lists of the snapshot object
 *     stream_free()
 *
 * Entries gather in a range until its bundle is cut; ranges gather in a segment; closed segments
 * wait until the pack that holds their newest piece is sealed, and go into it. Held in memory: one range,
 * one large file's window, one pack, its waiting segments, and a line for each segment.
 */
#ifndef BACKUP_WORK_BACKUP_STREAM_H
#define BACKUP_WORK_BACKUP_STREAM_H

#include "backup/format/snapshot.h"
#include "backup/work/backup_entry.h"
#include "backup/work/backup_packs.h"

struct stream;

struct stream_options {
    uint64_t seed;                               /* of the repository */
    struct packs *packs;                         /* borrowed */
    bool (*progress)(void *arg, uint64_t bytes); /* so many more were read; false cancels */
    void *arg;
};

struct stream_entry {
    const struct backup_entry *entry; /* type '0': fd open; head.data bytes are read from it */
    const char *link_to;              /* path of the first name of the same inode, or NULL */
};

struct stream_fed {
    uint64_t missing; /* bytes that could not be read: zeros stand for them */
    int error;        /* errno of that, or 0: the file was shorter */
};

struct stream *stream_new(const struct stream_options *options) DR_MUST_USE;
void stream_free(struct stream *s);
DR_DEFINE_CLEANUP(struct stream, stream_free)

enum dr_rc stream_feed(struct stream *s, const struct stream_entry *e, struct stream_fed *ret,
                       struct dr_err *err) DR_MUST_USE;

/* Sets toc, recipe, removed, packs and stored of ret, which the caller owns. Feed nothing after. */
enum dr_rc stream_finish(struct stream *s, struct snapshot *ret, struct dr_err *err) DR_MUST_USE;

#endif
