/*
 * The rules of the merge. Each is one condition a line, so that a test can turn each of them over.
 */
#include "backup/work/merge_rule.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "backup/format/head.h"

enum { HEAD_BLOCKS = 3 }; /* pax header, its records, ustar header */

char merge_type(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return '0';
    case S_IFLNK:
        return '2';
    case S_IFCHR:
        return '3';
    case S_IFBLK:
        return '4';
    case S_IFDIR:
        return '5';
    case S_IFIFO:
        return '6';
    default:
        return '\0';
    }
}

static bool same_record(const struct toc_record *old, const struct scan_stat *now,
                        const char *link_to)
{
    if (old->type != (link_to != NULL ? '1' : merge_type(now->mode)))
        return false;
    if (old->mode != (now->mode & 07777) || old->uid != now->uid || old->gid != now->gid ||
        old->mtime_s != now->mtime_s || old->mtime_ns != now->mtime_ns)
        return false;
    switch (old->type) {
    case '0':
        return old->size == now->size;
    case '1':
        return strcmp(old->link, link_to) == 0;
    case '3':
    case '4':
        return old->major == major(now->rdev) && old->minor == minor(now->rdev);
    default:
        return true;
    }
}

enum merge_trust merge_trust(const struct toc_record *old, const struct prev_extra *extra,
                             const struct scan_stat *now, const char *link_to, bool read_all)
{
    if (!same_record(old, now, link_to))
        return MERGE_CHANGED;
    if ((extra->flags & EXTRA_KNOWN) == 0)
        return MERGE_CHECK;
    if (extra->dev != now->dev || extra->ino != now->ino || extra->ctime_s != now->ctime_s ||
        extra->ctime_ns != now->ctime_ns)
        return MERGE_CHANGED;
    return read_all || (extra->flags & EXTRA_RACY) != 0 ? MERGE_CHECK : MERGE_SAME;
}

bool merge_is_racy(const struct scan_stat *now, int64_t start_ns)
{
    int64_t margin = now->ctime_ns == 0 ? MERGE_RACY_SECONDS_NS : MERGE_RACY_NS;
    int64_t limit = start_ns - margin;
    int64_t second = limit / 1000000000, rest = limit % 1000000000;
    return now->ctime_s > second || (now->ctime_s == second && now->ctime_ns >= rest);
}

uint64_t merge_entry_bytes(const struct toc_record *r)
{
    bool pax = r->mtime_ns != 0 || r->path_len > 100 || r->uid > 2097151 || r->gid > 2097151;
    uint64_t head = (pax ? HEAD_BLOCKS : 1) * (uint64_t)BLOCK_SIZE;
    return head + (r->type == '0' ? head_padded(r->size) : 0);
}

enum merge_recut merge_recuts(const struct merge_range *r)
{
    uint64_t percent = r->full ? MERGE_DEAD_PERCENT_FULL : MERGE_DEAD_PERCENT_MUST;
    uint64_t bytes = r->full ? MERGE_NEW_BYTES : MERGE_NEW_BYTES_MUST;
    if (r->links || r->avoided || r->dead * 100 > r->raw * percent || r->new_bytes > bytes ||
        (r->raw == 0 && r->new_bytes > 0) || r->entries > MERGE_RANGE_ENTRIES)
        return MERGE_MUST;
    if (r->dead * 100 > r->raw * MERGE_DEAD_PERCENT || r->new_bytes > MERGE_NEW_BYTES)
        return MERGE_MAY;
    return MERGE_STAYS;
}

bool merge_folds(uint64_t raw, uint64_t dead, bool full)
{
    return full ? dead * 2 > raw : dead * 100 > raw * MERGE_DEAD_PERCENT_MUST;
}

bool merge_affords(struct merge_purse *p, uint64_t bytes)
{
    if (p->spent + bytes > p->changed / MERGE_SHARE)
        return false;
    p->spent += bytes;
    return true;
}

bool merge_joins(const struct merge_segment *s)
{
    return s->before >= MERGE_SEGMENT_SMALL && s->entries < MERGE_SEGMENT_SMALL;
}

bool merge_rewrites(const struct merge_segment *s)
{
    return s->type_changed || s->reborn || s->blocked || s->first_gone || merge_joins(s) ||
           s->entries > MERGE_SEGMENT_ENTRIES || s->names > MERGE_SEGMENT_NAMES ||
           s->rows > MERGE_SEGMENT_ROWS ||
           (s->removed > MERGE_REMOVED_MIN && s->removed > s->entries / 2);
}
