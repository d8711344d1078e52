/*
 * backup_entry.h - everything about one entry of the source that its head must say.
 *
 * entry_read() fills a struct head from an open file (or, for what cannot be opened, from its name
 * in an open directory): stat, extended attributes, ACLs, the text of a link, the map of a sparse
 * file. All memory belongs to the struct backup_entry and is used again for the next one. What
 * cannot be read besides the stat is told by entry->lost and left out.
 */
#ifndef BACKUP_WORK_BACKUP_ENTRY_H
#define BACKUP_WORK_BACKUP_ENTRY_H

#include "backup/format/head.h"
#include "backup/work/scan.h"
#include "dr/base/text.h"

struct backup_entry {
    struct head head;
    bool lost; /* an attribute could not be read: why says which */
    char why[128];
    /* private: memory that is used again */
    struct buf link, access, fallback, names, values;
    struct head_xattr *xattrs;
    size_t xattr_cap;
    struct head_extent *extents;
    size_t extent_cap;
};

struct backup_place { /* where the entry lies */
    int dir;          /* open directory, or -1 */
    const char *name; /* in it; "" is the directory itself */
    const char *path; /* below the source's root; borrowed until the next read */
    int fd;           /* the entry itself, open for reading, or -1; without both: the stat alone */
    const struct head_extent *extents; /* where its data are, when that was looked up before */
    size_t extent_count;
};

/* False (errno set) when the link's text cannot be read. */
bool entry_read(struct backup_entry *e, const struct backup_place *at, const struct scan_stat *st);
void entry_fini(struct backup_entry *e);

#endif
