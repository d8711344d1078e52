/*
 * prev_extra.h - what this host knows of an entry beside its record in the table of contents.
 *
 * Kept in the local cache only: other hosts and restored trees have other inodes, and shared segments
 * must not differ by them. Without these words an entry counts as unknown and is read again.
 */
#ifndef BACKUP_WORK_PREV_EXTRA_H
#define BACKUP_WORK_PREV_EXTRA_H

#include "backup/format/limits.h"

enum {
    EXTRA_KNOWN = 1, /* device, inode and change time are those of what was stored */
    EXTRA_RACY =
        2, /* it was changed so shortly before it was read that it may change again unseen */
    EXTRA_DIGEST = 4, /* digest is set: of a small file's data, holes left out */
    EXTRA_HEAD = 8,   /* head is set */
};

struct prev_extra { /* in the cache as in memory: little-endian, no gaps */
    uint64_t dev, ino;
    int64_t ctime_s;
    uint32_t ctime_ns;
    uint32_t flags;
    uint64_t head; /* XXH3 of the bytes of the entry's head, which has attributes and ACLs */
    uint8_t digest[DIGEST_SIZE];
};

#endif
