/*
 * restore_write.h - bytes into a restored file.
 *
 * A restore writes much and reads none of it again. Written the usual way all of it would lie in the
 * page cache until the last sync: fresh memory for each page, and the medium idle meanwhile. So
 * large runs are written past the cache (RWF_DONTCACHE, Linux 6.14): the medium begins at once, and the
 * memory is used again for the next run. Where the kernel or the file system cannot, they are
 * written as ever and the medium is told to begin (sync_file_range).
 *
 *     struct writer w = { 0 };                          one for each thread
 *     writer_put(&w, fd, bytes, len, offset, err);      all of them; any number of times
 *     writer_begin(&w, fd, from, len);                  the medium may have this run now
 *
 * Neither makes anything durable: that is place_sync().
 */
#ifndef BACKUP_WORK_RESTORE_WRITE_H
#define BACKUP_WORK_RESTORE_WRITE_H

#include "dr/base/err.h"

/* Smaller runs are left to the cache: they are read first, and each would be a write of its own. */
enum { WRITER_PAST_CACHE = 65536 };

struct writer {
    bool refused; /* there is no way past the cache here */
};

enum dr_rc writer_put(struct writer *w, int fd, const void *data, size_t len, uint64_t offset,
                      struct dr_err *err) DR_MUST_USE;

/* len 0: to the end of the file. Advice alone: errors of the medium come from the sync. */
void writer_begin(const struct writer *w, int fd, uint64_t from, uint64_t len);

#endif
