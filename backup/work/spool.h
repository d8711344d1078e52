/*
 * spool.h - unnamed files below STATE_DIR/spool: what is on its way to the buckets, off the heap.
 *
 *     spool_open()      a new file without a name; nobody else can open it, and it goes with us
 *     spool_append()    bytes at its end; the SHA-256 of all of them runs along
 *     spool_seal()      its bytes, mapped read-only, under the name of their digest
 *     spooled_ref()     one more holder, from any thread
 *     spooled_drop()    one less; the last frees the space
 *
 * A pack passes through here instead of anonymous memory, so that several may wait for a slow
 * bucket at the price of page cache. A process that dies leaves nothing behind: the file has no
 * name (O_TMPFILE; where the file system lacks that, a name for the blink of an eye, swept by the next).
 *
 * Appending cannot fail: the first error is kept, further bytes are dropped, and spool_seal() reports
 * it. spool_error() looks at it earlier. A full disk is DR_E_NOSPACE and names the directory.
 */
#ifndef BACKUP_WORK_SPOOL_H
#define BACKUP_WORK_SPOOL_H

#include "backup/format/limits.h"
#include "dr/base/err.h"

struct spool;

struct spooled { /* a sealed pack; read-only for all its holders */
    uint8_t name[DIGEST_SIZE];
    const uint8_t *data; /* mapped there */
    void *mapping;
    size_t len;
    int fd;           /* the file itself, for store_put_file() */
    unsigned holders; /* atomic */
};

/* state_dir: the spool directory in it is made if need be, for the owner only. */
enum dr_rc spool_open(const char *state_dir, struct spool **ret, struct dr_err *err) DR_MUST_USE;
void spool_free(struct spool *s);
DR_DEFINE_CLEANUP(struct spool, spool_free)

/* A descriptor of a new unnamed file in the spool directory, for mapped tables. */
enum dr_rc spool_file(const char *state_dir, int *ret_fd, struct dr_err *err) DR_MUST_USE;

void spool_append(struct spool *s, const void *data, size_t len);
uint64_t spool_size(const struct spool *s);
enum dr_rc spool_error(const struct spool *s, struct dr_err *err) DR_MUST_USE;

/* The spool is used up, also on failure (free it). The caller drops what it gets. */
enum dr_rc spool_seal(struct spool *s, struct spooled **ret, struct dr_err *err) DR_MUST_USE;

struct spooled *spooled_ref(struct spooled *p);
void spooled_drop(struct spooled *p); /* NULL is fine */
DR_DEFINE_CLEANUP(struct spooled, spooled_drop)

#endif
