/*
 * file.h - the place "file": one small file per key, exchanged under a lock.
 *
 * Keys become file names ('/' is written as '%2F'), so that a key can never leave the directory.
 * The lock is flock(2) on a file of its own that is never replaced; the record itself is
 * replaced atomically and durably, so that a reader needs no lock and a death leaves the old
 * record or the new one.
 */
#ifndef DR_LEASE_FILE_H
#define DR_LEASE_FILE_H

#include "dr/lease/lease.h"

/* A key that was never written: an empty record, epoch 0, nonce "". The caller finis ret. */
enum dr_rc lease_file_read(const char *dir, const char *key, struct lease_record *ret,
                           struct dr_err *err) DR_MUST_USE;

/* Write r when the record there still carries the nonce 'seen'; DR_E_TRANSIENT when it does not. */
enum dr_rc lease_file_swap(const char *dir, const char *seen, const struct lease_record *r,
                           struct dr_err *err) DR_MUST_USE;

/* Every key that has a record, sorted. */
enum dr_rc lease_file_keys(const char *dir, struct text_list *ret, struct dr_err *err) DR_MUST_USE;

#endif
