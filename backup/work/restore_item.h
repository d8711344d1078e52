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

enum { RESTORE_ITEM_ENTRIES = 1024, RESTORE_NAMES_MAX = 20 };

enum restore_doing {
    RESTORE_WRITE, /* make what is not there */
    RESTORE_CHECK, /* name what is not there, or another */
    RESTORE_COUNT, /* say what writing would fetch and write; nothing is fetched for it */
};

struct restore_entry {
    struct toc_record rec; /* its texts are the item's */
    const char *to;        /* where it goes; likewise */
    uid_t uid;             /* on this host */
    gid_t gid;
    size_t first; /* its pieces begin here: one, or heads and chunks of a large file */
    bool skip;    /* nothing is left to do */
    bool alone;   /* the snapshot has no further name of it */
    bool anew;    /* of a large file that is there: no part of it is of use */
};

struct restore_large { /* a file that more than one item writes */
    struct restore_entry entry;
    struct head head; /* owned */
    struct buf text;  /* owned; of the entry */
    int fd;           /* owned; -1: nothing is there to be compared */
    bool compare;     /* chunks that are there already are not written */
    bool same_head;   /* and so is all else: nothing to set unless a chunk is written */
    uint64_t changed; /* chunks that were not there, by the items that came back */
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
    size_t changed;   /* entries (of an item of chunks: chunks) that were not, or were others */
    struct text_list changed_names; /* of them, the first RESTORE_NAMES_MAX */
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
    const struct place *place;       /* NULL: counting, and there is nothing yet */
    enum restore_doing doing;
    bool compare;  /* what is there is held against the snapshot, byte by byte */
    bool contents; /* checking: only of contents, not of owners, modes, times, attributes */
};
struct restore_worker *restore_worker_new(const struct restore_worker_options *options) DR_MUST_USE;
void restore_worker_free(struct restore_worker *w);

/* Do it; the outcome is in the item. */
void restore_item_work(struct restore_worker *w, struct restore_item *item);

/* Where the data of a file go on: a hole is stepped over. */
struct restore_spot {
    const struct head *head;
    uint64_t at;   /* of a file without extents */
    size_t extent; /* of a sparse file ... */
    uint64_t done; /* ... and bytes of it that are behind us */
};
struct restore_spot restore_spot_of(const struct head *h, uint64_t data);
/* The next run of at most len bytes: where it lies and how long it is. */
enum dr_rc restore_spot_next(struct restore_spot *s, size_t len, uint64_t *ret_at, size_t *ret_len,
                             struct dr_err *err) DR_MUST_USE;

/* Is the head of a large file made of these pieces the one that is there? */
struct local;
bool restore_same_head(struct local *l, struct place *p, const struct restore_entry *e,
                       const struct fetch_piece *head);

/* The attributes of an entry as place_*() want them; h: its head, or NULL. xattrs: room made for the
 * head's, freed by the caller after use. */
struct place_entry restore_attributes(const struct restore_entry *e, const struct head *h,
                                      struct place_xattr **ret_xattrs);

#endif
