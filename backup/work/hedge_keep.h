/*
 * hedge_keep.h - how fast buckets answer, kept from one process to the next.
 *
 * Whether and when to ask a second bucket is learnt from the last reads (hedge.h), and a restore of a few
 * files is over before it has learnt anything. So the samples go into STATE_DIR/memo/latency at the
 * close of a repository that has read, and are taken up at the next one:
 *
 *     latency1 BUCKET-XXXXXXXX CLASS ms ms ms ...     the oldest first, HEDGE_SAMPLES at most
 *
 * XXXXXXXX are the first digits of the digest of the bucket's url: another place under an old name is learnt
 * anew. Lines that cannot be read are passed over, and the file may be lost: then 8 reads later it is known
 * again. Failures are not kept: whether a bucket is dead is asked of the bucket.
 */
#ifndef BACKUP_WORK_HEDGE_KEEP_H
#define BACKUP_WORK_HEDGE_KEEP_H

#include "backup/work/repo.h"

/* Take up what is known, and write it down at the close. Failures are nobody's. */
void hedge_keep(struct repo *r);

/* The two halves: text of all samples, and samples from a text. config: the buckets, in the order of h. */
void hedge_keep_print(struct hedge *h, const struct config *config, struct buf *out);
void hedge_keep_parse(struct hedge *h, const struct config *config, const char *text, size_t len);

#endif
