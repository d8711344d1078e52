/*
 * dir.h - the driver for a bucket that is a directory: "file:///DIR".
 *
 * An object NAME is the regular file DIR/NAME. It is written to DIR/.put-XXXX, synced, and
 * renamed without replacing, so that a reader sees all of it or nothing, and what lists is
 * durable. A file without a name on the same file system is synced and linked instead, which copies nothing. Names that begin with a dot are no objects: a leftover of a dead writer never lists,
 * and the next writer removes it (a living writer holds an flock on its file).
 *
 * A swap does the same with replacing, under an flock on DIR/.swap-lock: hosts that share the file
 * system share the lock only where the file system says so (NFS does, 9p may not).
 */
#ifndef BACKUP_STORE_DIR_H
#define BACKUP_STORE_DIR_H

#include "backup/store/store.h"

/*
 * Open the directory of the url "file:///DIR", which must exist. Certificates, credentials and
 * locks mean nothing here. Errors come with a hint. The caller closes with store_close().
 */
enum dr_rc dir_open(const struct store_options *o, struct store **ret, struct dr_err *err)
    DR_MUST_USE;

#endif
