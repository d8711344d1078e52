/*
 * restore_item.h - a part of a restore that one thread does by itself.
 *
 *     item of entries     some hundred entries whose pieces lie near each other in a pack:
 *                         one ranged read, then each piece unpacked once, its files written
 *     item of chunks      a run of chunks of one large file, written to where they belong
 *
 * The planner (restore.c) fills an item with copies of all that the work needs, gives it to the pool
 * and gets it back with what came of it. An item is never shared; the large file whose chunks it
 * holds belongs to the planner, which ends it after its last item came back, and is only read here.
 */
#ifndef BACKUP_WORK_RESTORE_ITEM_H
#define BACKUP_WORK_RESTORE_ITEM_H

#include "backup/work/reader.h"
#include "backup/work/restore_place.h"

enum { RESTORE_ITEM_ENTRIES = 1024 };

struct restore_entry {
    struct toc_record rec; /* its texts are the item's */
    const char *to;        /* where it goes; likewise */
    uid_t uid;             /* on this host */
    gid_t gid;
    size_t first; /* its pieces begin here: one, or heads and chunks of a large file */
    bool skip;    /* nothing is left to do */
};

struct restore_large { /* a file that more than one item writes */
    struct restore_entry entry;
    struct head head; /* owned */
    struct buf text;  /* owned; of the entry */
    int fd;           /* owned */
};

struct restore_item {
    size_t number; /* in the order of the plan */
    bool trusted;  /* an earlier attempt finished it: what the time of a file says is true */
    struct restore_entry *entries; /* owned */
    size_t count, cap;
    struct fetch_piece *pieces; /* owned */
    size_t piece_count, piece_cap;
    struct buf text; /* paths and links */
    /* an item of chunks: */
    struct restore_large *large; /* NULL: of entries */
    uint64_t at;                 /* of the first chunk, in the data */
    bool last;                   /* of its file */
    /* what came of it: */
    enum dr_rc rc;
    struct dr_err err;
    uint64_t size;    /* of the file, when it is the last item of one */
    uint64_t bytes;   /* of content that is in place now */
    uint64_t written; /* of these, by this attempt */
    uint64_t fetched; /* from buckets */
    size_t kept;      /* entries that were there already */
    struct place_lost lost;
    struct text_list not_made; /* devices */
    struct text_list warnings;
};

/* Empty it for use again; the memory stays. */
void restore_item_clear(struct restore_item *item);
void restore_item_fini(struct restore_item *item);

void restore_large_free(struct restore_large *l);

/* What a thread needs; place and buckets are shared views of those given. */
struct restore_worker;
struct restore_worker_options {
    struct repo *repo;
    const struct text_list *buckets; /* asked first */
    const struct place *place;
};
struct restore_worker *restore_worker_new(const struct restore_worker_options *options) DR_MUST_USE;
void restore_worker_free(struct restore_worker *w);

/* Do it; the outcome is in the item. */
void restore_item_work(struct restore_worker *w, struct restore_item *item);

/* The attributes of an entry as place_*() want them; h: its head, or NULL. xattrs: room made for the
 * head's, freed by the caller after use. */
struct place_entry restore_attributes(const struct restore_entry *e, const struct head *h,
                                      struct place_xattr **ret_xattrs);

#endif
