/*
 * merge_parts.h - one segment of the snapshot before, side by side with the scan of the same paths.
 *
 *     old records   a   b   c       e   f              parts   a    same
 *     scan          a   b'      d   e                          b'   changed
 *                                                              c    gone
 *                                                              d    new
 *                                                              e    same
 *                                                              f    gone
 *
 * A part is a path that is in one of them or in both. A segment answers for all paths from its first
 * one to the first of the next. Memory: PARTS_MAX parts; the caller takes what is there when they
 * are full, and goes on.
 */
#ifndef BACKUP_WORK_MERGE_PARTS_H
#define BACKUP_WORK_MERGE_PARTS_H

#include "backup/work/backup_links.h"
#include "backup/work/merge_rule.h"
#include "backup/work/prev.h"

enum { PARTS_MAX = 16384, PARTS_NAMES_MAX = 8 << 20, PART_NEW = INT32_MAX };

enum part_verdict {
    PART_SAME,      /* what is stored stays */
    PART_READ,      /* changed: read and stored anew */
    PART_NEW_ENTRY, /* likewise, and not there before */
    PART_GONE,
    PART_CHECK, /* looks the same: read, and then one of the first two */
};

struct part {
    struct scan_entry now; /* PART_GONE: only path and path_len */
    const char *link_to;   /* first name of its inode when this is another, or NULL */
    uint32_t old;          /* record, or PART_NEW */
    uint32_t range;        /* of the old segment */
    enum part_verdict verdict;
    size_t path_at, link_at; /* private: in names, while these may move; 0: set already */
};

struct parts_options {
    struct scan *scan;
    struct links *links; /* asked for each entry with several names, in path order */
    bool read_all;       /* nothing is believed unread */
};

struct parts {
    struct parts_options o;
    struct part *items; /* in path order */
    size_t count;
    size_t live; /* all but PART_GONE */
    /* private */
    const struct scan_entry *next; /* of the scan; NULL: asked, and there is none */
    bool asked;
    size_t cap, old, range;
    struct buf names; /* of new entries, and first names of inodes */
};

void parts_fini(struct parts *p);

/* A segment begins. */
void parts_start(struct parts *p);

/*
 * All that is left of segment s, or of the scan before end (NULL: no end), or as much as fits: then
 * *ret_more is true, and the next call goes on behind it. The parts of the call before are gone; paths
 * live as long as s.
 */
enum dr_rc parts_fill(struct parts *p, const struct prev_segment *s, const char *end,
                      bool *ret_more, struct dr_err *err) DR_MUST_USE;

static inline bool part_lives(const struct part *p)
{
    return p->verdict != PART_GONE;
}

/* As it would be stored now: '0' to '6'. */
static inline char part_type(const struct part *p)
{
    return p->link_to != NULL ? '1' : merge_type(p->now.st.mode);
}

#endif
