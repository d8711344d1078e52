/*
 * spill.h - memory that grows with the source, kept in a mapped file instead of on the heap.
 *
 * The file has no name and lies below STATE_DIR/spool. Its pages are page cache: the kernel may write
 * them out when memory is short. Space is allocated before it is mapped, so a full disk is an error
 * here and not a signal later.
 */
#ifndef BACKUP_WORK_SPILL_H
#define BACKUP_WORK_SPILL_H

#include "dr/base/err.h"

struct spill {
    int fd; /* -1: nothing yet */
    uint8_t *data;
    size_t len; /* bytes that may be used; new ones are zero */
};

void spill_init(struct spill *s);
void spill_fini(struct spill *s);

/* At least len bytes; data may move. */
enum dr_rc spill_grow(struct spill *s, const char *state_dir, size_t len, struct dr_err *err)
    DR_MUST_USE;

#endif
