/*
 * restore_local.h - an entry that is there already, as the bytes a snapshot would hold of it.
 *
 * The head of an entry is made from its metadata in one way only, so an entry of a tree can be written
 * down again, and what comes out is held against the snapshot: the SHA-256 of a whole piece, when all
 * of its entries are there, or the bytes of the piece. Equal bytes are an equal entry, with its
 * data, mode, owner, times, attributes and access lists, and nothing had to be fetched to know it.
 */
#ifndef BACKUP_WORK_RESTORE_LOCAL_H
#define BACKUP_WORK_RESTORE_LOCAL_H

#include "backup/work/restore_item.h"

struct local;

/* drop: what is read comes from the medium, not from memory. */
struct local *local_new(bool drop) DR_MUST_USE;
void local_free(struct local *l);

/*
 * Append head, data and padding of the entry at e->to; of a large file the head only. False when it
 * is not there, or is plainly another: by type, size, mode, owner or time.
 */
bool local_entry(struct local *l, struct place *p, const struct restore_entry *e, struct buf *out);

/* The head that was written last; valid until the next. */
const struct head *local_head(const struct local *l);

/* Are the bytes of fd at these places, padded with zeros to raw bytes, those of this digest? at: in
 * the data of the file, whose head is h. */
struct local_range {
    const struct head *head;
    uint64_t at, raw;
    const uint8_t *id;
};
bool local_has_range(struct local *l, int fd, const struct local_range *range);

#endif
