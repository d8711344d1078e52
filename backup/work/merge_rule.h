/*
 * merge_rule.h - what an incremental snapshot decides, as functions of numbers alone.
 *
 * merge_trust()     is an entry what the snapshot before says of it?
 * merge_is_racy()   might it change after this run has read it, without a trace in its times?
 * merge_recuts()    is the bundle of a range written afresh?
 * merge_folds()     is an overlay written afresh?
 * merge_affords()   is there something left for what need not be done now?
 * merge_rewrites()  is a whole segment written afresh? merge_joins(): and the next one with it?
 *
 * No function here reads a file, a clock or a bucket. The reasons:
 *
 * A changed entry goes into an overlay, and its old copy stays in its bundle as dead bytes. To write a bundle
 * afresh, all that lives in it is read again although nothing happened to it. A full snapshot reads
 * everything anyway and does so when a tenth is dead. An incremental one keeps house from a quarter on as far
 * as its purse goes, a small share of what it has to read for its changes, so that it costs what has
 * changed and no more; it must when three quarters are dead: a byte read for three that go. The same
 * holds for overlays, of which a segment may have many: the smallest are folded first. A tar stream that is extracted from
 * front to end must give the right tree although it holds dead copies: the newest copy of a path comes
 * last, so it wins, if both can lie at that path one after the other. They cannot when the type
 * changed, or when one is a directory's content and the other no directory: then everything
 * that may hold a dead copy, the segment, is written afresh. Removed paths whose dead copies are still
 * in the stream are listed, and removed after extraction; a path that lives again must not be.
 */
#ifndef BACKUP_WORK_MERGE_RULE_H
#define BACKUP_WORK_MERGE_RULE_H

#include "backup/format/toc.h"
#include "backup/work/prev_extra.h"
#include "backup/work/scan.h"

enum {
    MERGE_DEAD_PERCENT = 25,        /* of a bundle: above, it may be written afresh */
    MERGE_DEAD_PERCENT_MUST = 75,   /* above, it must */
    MERGE_DEAD_PERCENT_FULL = 10,   /* above, it must in a full snapshot */
    MERGE_SHARE = 32,               /* a purse holds one part in so many of what has changed */
    MERGE_BUNDLE_SMALL = 256 << 10, /* of live bytes: cut with its neighbour in a full one */
    MERGE_OVERLAYS = 8,             /* of a segment: above, they may be folded, and are in a full */
    MERGE_OVERLAYS_MAX = 64,        /* above, a quarter of them is folded */
    MERGE_OVERLAY_SIZE = 1 << 20,   /* an overlay is cut here */
    MERGE_NEW_BYTES = 1 << 20,      /* new in one range: above, it may be cut afresh with them */
    MERGE_NEW_BYTES_MUST = 8 << 20, /* above, it must: several times what the bundle holds */
    MERGE_RANGE_ENTRIES = 4096,     /* above, it must: its entries */
    MERGE_SEGMENT_ENTRIES = 6144,   /* a segment with more is written afresh, and cut */
    MERGE_SEGMENT_NAMES = 16 << 20, /* likewise: bytes of its paths */
    MERGE_SEGMENT_ROWS = 1 << 18,   /* likewise: rows of its piece table */
    MERGE_SEGMENT_SMALL = 512,      /* one with fewer is joined with the next */
    MERGE_REMOVED_MIN = 64,         /* removed paths that a segment of any size may have */
    MERGE_RACY_NS = 50 * 1000 * 1000, /* the kernel's clock of files ticks every 1 to 10 ms */
};
#define MERGE_RACY_SECONDS_NS INT64_C(2100000000) /* file systems with whole (even) seconds */

enum merge_trust {
    MERGE_SAME,    /* believed without a look into it */
    MERGE_CHECK,   /* the same metadata, but the content must be read to tell */
    MERGE_CHANGED, /* another entry than before */
};

/* Type as in tar; '\0' for what is never stored. */
char merge_type(uint32_t mode);

/*
 * link_to: the first name of its inode in this scan, or NULL. read_all: nothing is believed (full).
 */
enum merge_trust merge_trust(const struct toc_record *old, const struct prev_extra *extra,
                             const struct scan_stat *now, const char *link_to, bool read_all);

/* start_ns: wall clock before anything was read. A change time in the future (the clock was set
 * back) is racy, too: the next change may get the very same one. */
bool merge_is_racy(const struct scan_stat *now, int64_t start_ns);

/* About the bytes of a small entry in its piece: head, with a pax header when there must be one, and data. */
uint64_t merge_entry_bytes(const struct toc_record *r);

struct merge_range {
    uint64_t raw, dead; /* of its bundle: bytes, and dead ones, this run's included */
    uint64_t new_bytes; /* of changed and new small entries */
    size_t entries;     /* that live now */
    bool links;   /* a changed or new entry with several names, or a link that changed or went */
    bool avoided; /* a piece of it lies in a pack that is to be left */
    bool full;    /* the kind of this snapshot */
};

enum merge_recut { MERGE_STAYS, MERGE_MAY, MERGE_MUST };
enum merge_recut merge_recuts(const struct merge_range *r);

bool merge_folds(uint64_t raw, uint64_t dead, bool full);

struct merge_purse {  /* of one run */
    uint64_t changed; /* bytes of files that are read because they changed or are new */
    uint64_t spent;   /* read for what may be done */
};

/* Reading so many bytes is within the purse; they are taken out of it. */
bool merge_affords(struct merge_purse *p, uint64_t bytes);

struct merge_segment {
    bool type_changed; /* a path has another type than before */
    bool reborn;       /* a path lives that was removed earlier */
    bool blocked;      /* a removed path lies below what is no directory */
    bool first_gone;   /* its first path: later ones would count to the segment before */
    size_t names;      /* bytes of the paths that live now */
    size_t rows;       /* of its piece table */
    size_t entries;    /* that live now */
    size_t before;     /* that lived in the snapshot before */
    size_t removed;    /* paths with dead copies in it */
};
bool merge_rewrites(const struct merge_segment *s);

/* So much smaller than before that it is joined with the next one. */
bool merge_joins(const struct merge_segment *s);

#endif
