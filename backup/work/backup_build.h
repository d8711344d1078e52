/*
 * backup_build.h - the inside of a stream, for the files that make it up.
 *
 *   backup_stream.c   entries, ranges, segments            backup_large.c   large files, standard input
 *   backup_ring.c     the ring of items, what is done with results; closed segments
 *   backup_keep.c     what stays of the snapshot before    backup_check.c   is it still the same?
 *
 * A stream has at most one segment open, in it at most one range. Entries that are to be read gather in
 * open items, one for each kind of piece; stream_read() adds an entry to one, stream_end_item() gives
 * it to the ring. Everything that depends on results happens in done(): it runs in order,
 * so a mark that is given after all items of a segment finds them done.
 */
#ifndef BACKUP_WORK_BACKUP_BUILD_H
#define BACKUP_WORK_BACKUP_BUILD_H

#include "backup/work/backup_base.h"
#include "backup/work/backup_item.h"
#include "backup/work/backup_read.h"
#include "backup/work/backup_stream.h"
#include "backup/work/spill.h"
#include "dr/base/pool.h"
#include "dr/base/text.h"

enum {
    RANGE_ENTRIES = 4096,    /* a range ends here at the latest */
    RANGE_PATHS = 4 << 20,   /* likewise: bytes of its paths */
    RANGE_ROWS = 4096,       /* likewise: pieces of its large files */
    SEGMENT_ENTRIES = 2048,  /* a segment is closed at the first range end from here on */
    SEGMENT_PATHS = 8 << 20, /* likewise: bytes of its paths */
    SEGMENT_ROWS = 65536,    /* likewise: pieces of large files */
    TOGETHER_MAX = 1024, /* entries of a piece of directories, of links; the worker cuts by bytes */
    WINDOW_SIZE = 8 << 20,   /* of a large file, shared by its chunks */
    WINDOWS = 3,             /* at once: one being filled, others being packed */
    RING_SPARE = 3,          /* slots of the ring beside one for each thread */
    WAITING_MAX = 8 << 20,   /* bytes of closed segments: then the pack is sealed for them */
    WAITING_SEGMENTS = 4096, /* likewise their number */
    DROPPED_MAX = 4096,      /* first names of hard links that went away while they were read */
};

struct waiting { /* a closed segment, until the pack of its newest piece is sealed; or a kept one */
    struct toc_writer *toc;    /* owned; NULL: kept, place and raw are known */
    struct prev_extra *extras; /* owned: for the cache */
    struct buf raw;            /* of a kept one; for the cache */
    struct segment_base base;  /* of what may become a patch; of a kept patch */
    bool patched;              /* the frame is a patch of base */
    struct packs_place place;
    size_t entries;
    char *first;             /* owned */
    size_t frame, frame_len; /* set by ring_wait_segment(): where its frame waits; 0: kept */
};
void waiting_fini(struct waiting *w);

struct window { /* bytes of a large file; those who use it are counted by the planning thread */
    uint8_t *data;
    size_t users;
};

struct stream {
    struct stream_options o;
    struct lists *lists;
    struct pool *pool;
    struct worker *worker; /* of the planning thread: segments, work that is done again */
    struct worker *reader; /* likewise: the large file at hand */
    struct item **items;   /* all of them: owned */
    size_t item_count, item_cap;
    struct item *free_items;
    struct window windows[WINDOWS];
    struct draft *segment; /* open, or NULL */
    bool range_open;
    uint32_t range; /* its number */
    size_t range_records, range_paths, range_rows, segment_rows;
    uint64_t filled;                                     /* of the range's bundle, by metadata */
    struct item *bundle, *links, *overlay, *directories; /* open, or NULL */
    struct waiting *waiting;
    size_t waiting_count, waiting_cap, waiting_bytes;
    struct spill frames; /* of waiting segments */
    struct buf frame;    /* the one at hand */
    struct text_list dropped;
    struct buf removed, vanished; /* paths, each ended by NUL: see backup_keep.c */
    struct stream_totals totals;
};

/* -- planning ------------------------------------------------------------------------------ */

/* The open segment, made when there is none. */
struct draft *stream_segment(struct stream *s);

/* A record of the entry in the open segment; what reading finds comes later. Its number. */
uint32_t stream_record(struct stream *s, const struct stream_entry *e);

/* The entry goes into the open item at *open; NULL: a new one of that kind. The place is that of
 * its rows (backup_draft.h). */
struct stream_where {
    struct item **open;
    enum frame_kind kind;
    uint32_t place;
};
struct item_entry *stream_read(struct stream *s, const struct stream_where *where,
                               const struct stream_entry *e, uint32_t record);
enum dr_rc stream_end_item(struct stream *s, struct item **open, struct dr_err *err) DR_MUST_USE;

/*
 * A file that is large by the scan: head and chunks to that place. Or it turned out to be small (few
 * data, or shorter by now): then nothing is done, and *ret_small, else NULL, tells what to read of it; it
 * belongs into the item_entry.
 */
enum dr_rc stream_large(struct stream *s, uint32_t place, const struct stream_entry *e,
                        uint32_t record, struct item_map **ret_small, struct dr_err *err)
    DR_MUST_USE;

/* Does the range end after this entry? size: in the tar stream, by metadata alone; 0: not in the bundle. */
bool stream_range_ends(struct stream *s, const char *path, uint64_t size);

/* At the end of a range: does the segment end with it? Never that of a continued one, whose limits were
 * looked at before. */
bool stream_segment_is_full(const struct stream *s);

/* In a continued segment: an entry of that path went away while it was read, and an old copy may be
 * left in the stream. All of these join the removed paths. */
void stream_vanished(struct stream *s, const char *path);
void stream_join_removed(struct stream *s);

/* -- the ring ------------------------------------------------------------------------------ */

enum dr_rc ring_start(struct stream *s, struct dr_err *err) DR_MUST_USE;
void ring_stop(struct stream *s);

/* A fresh item. */
struct item *ring_item(struct stream *s);

/* Give it; when the ring is full, older items are finished first. */
enum dr_rc ring_give(struct stream *s, struct item *it, struct dr_err *err) DR_MUST_USE;

/* Finish the oldest item (waits for it). There must be one. */
enum dr_rc ring_finish_one(struct stream *s, struct dr_err *err) DR_MUST_USE;
enum dr_rc ring_finish_all(struct stream *s, struct dr_err *err) DR_MUST_USE;

/* done() of items with entries: rows and records. */
enum dr_rc ring_entries_done(struct stream *s, struct item *it, struct dr_err *err) DR_MUST_USE;

/* done() of items with bytes: a row, and their record's piece, heads and chunks. */
enum dr_rc ring_bytes_done(struct stream *s, struct item *it, struct dr_err *err) DR_MUST_USE;

/* All pieces of an item into packs and rows. *ret_row: of the first one. */
enum dr_rc ring_add_pieces(struct stream *s, struct item *it, uint32_t *ret_row, struct dr_err *err)
    DR_MUST_USE;

/* Entry e of the item to its record; row: of the item's first piece. */
void ring_fill_record(struct stream *s, struct item *it, const struct item_entry *e, uint32_t row);

void ring_tell_warnings(struct stream *s, const struct item *it);

/* work() of marks. */
void ring_nothing(struct worker *w, struct item *it);

/* A warning in its turn. */
enum dr_rc ring_warn(struct stream *s, const char *path, const char *what, struct dr_err *err)
    DR_MUST_USE;

/* An entry went away: links to it must not be stored. */
enum dr_rc ring_note_dropped(struct stream *s, const char *path, const struct scan_stat *st,
                             bool stored, struct dr_err *err) DR_MUST_USE;

/* In a done(): this segment comes next. Takes over what w owns. */
enum dr_rc ring_wait_segment(struct stream *s, struct waiting *w, struct dr_err *err) DR_MUST_USE;

/* before_seal() of the packs: waiting segments go into the pack at hand. */
void ring_before_seal(void *arg);

#endif
