/*
 * file.h - the place "file": one small file per key, exchanged under a lock.
 *
 * Keys become file names ('/' is written as '%2F'), so that a key can never leave the directory (path
 * of the place). The lock is flock(2) on a file of its own that is never replaced; the record itself is
 * replaced atomically and durably, so that a reader needs no lock and a death leaves the old
 * record or the new one.
 */
#ifndef DR_LEASE_FILE_H
#define DR_LEASE_FILE_H

#include "dr/lease/record.h"

extern const struct lease_driver lease_file;

#endif
