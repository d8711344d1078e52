/*
 * backup_item.h - what goes round in the ring: entries to be read, or bytes to be packed.
 *
 *            stream_item()          item_add_entry()            stream_give()
 *     free ─────────────────> item ─────────────────> item ─────────────────> ring
 *      ^                                                                        │ work(): some worker
 *      └────────────────────────── done(): the planning thread, in order <──────┘
 *
 * An item has two functions. work() runs in any worker, sees the item and its worker only. done()
 * runs in the thread that plans, in the order of stream_give(), and puts the result into packs,
 * rows and records. Items and their buffers are used again and again: no allocation in the steady state.
 *
 * worker_read() and item_done() are those of the usual item: entries become pieces of one kind. Others
 * (comparing with what is stored, a mark that ends a segment) set their own.
 */
#ifndef BACKUP_WORK_BACKUP_ITEM_H
#define BACKUP_WORK_BACKUP_ITEM_H

#include "backup/format/head.h"
#include "backup/work/backup_draft.h"
#include "backup/work/scan.h"

struct stream;
struct worker; /* backup_read.h */

enum item_drop {
    ITEM_KEPT,
    ITEM_DROPPED, /* it is gone, became something else, or cannot be read */
    ITEM_SKIPPED, /* told to: the name it links to was dropped */
};

struct item_map { /* of a file that was looked at before: so much of it, and where its data are */
    struct head_extent *extents; /* owned; NULL: not sparse */
    size_t count;
    uint64_t size;
};

struct item_entry {
    /* what the plan says */
    size_t path, link;    /* offsets in strings; link 0: not a hard link */
    struct scan_stat st;  /* as scanned; size: so much is read at most */
    uint32_t record;      /* its number in the segment */
    struct item_map *map; /* owned: extents that were looked up before; or NULL */
    /* what reading found */
    struct toc_record found; /* metadata, size, offset; piece: number in the item; no path */
    size_t text;             /* offset in strings: of a symbolic link; or 0 */
    struct prev_extra extra;
    enum item_drop drop;
    bool stored; /* stream_entry */
};

struct item_piece { /* a piece made by work(), compressed unless it is known already */
    uint8_t id[DIGEST_SIZE];
    size_t raw_len;
    size_t frame, frame_len;      /* in frames; length 0: known */
    size_t digests, digest_count; /* offset in digests, number */
    uint32_t first;               /* entry */
};

struct item {
    void (*work)(struct worker *w, struct item *it);
    enum dr_rc (*done)(struct stream *s, struct item *it, struct dr_err *err);
    enum frame_kind kind;  /* of the pieces */
    struct draft *segment; /* where rows and records go */
    uint32_t place;        /* of the rows, draft_place() */
    /* entries to be read */
    struct item_entry *entries;
    size_t entry_count, entry_cap;
    struct buf strings;
    /* or bytes to be packed as one piece: in strings, or in a window that others share */
    const void *data;
    size_t data_len;
    struct window *window; /* or NULL */
    uint32_t record;       /* whose bytes: a large file */
    /* result */
    struct item_piece *pieces;
    size_t piece_count, piece_cap;
    struct buf frames, digests;
    struct buf warnings; /* path NUL what NUL, one behind another */
    uint64_t bytes;      /* of data that were read */
    /* of other kinds of items */
    void *arg;
    void (*drop_arg)(void *arg); /* or NULL: called when the item is recycled */
    struct item *next;           /* while it is free */
    bool settled;                /* its memory has the size for good */
};

/* Append an entry to be read. path and link_to (NULL: none) are copied. */
struct item_entry *item_add_entry(struct item *it, const struct scan_entry *e, const char *link_to);

/* A warning that comes out in order, from the planning thread. */
void item_warn(struct item *it, const char *path, const char *what);

static inline const char *item_path(const struct item *it, const struct item_entry *e)
{
    return it->strings.data + e->path;
}

static inline const char *item_link(const struct item *it, const struct item_entry *e)
{
    return e->link > 0 ? it->strings.data + e->link : NULL;
}

/* A text behind the others; its offset. The addresses of all texts may change. */
size_t item_add_text(struct item *it, const char *text);

/* The next piece; its frame begins at the end of frames. */
struct item_piece *item_add_piece(struct item *it);

/* Bring its buffers to the size that the largest usual item needs. The addresses of all change. */
void item_settle(struct item *it);

void item_clear_result(struct item *it); /* as before work() */
void item_clear(struct item *it);        /* for use again */
void item_free(struct item *it);
void item_map_free(struct item_map *map);

#endif
