/*
 * backup_check.h - do entries that look the same hold what is stored of them?
 *
 * Asked of every entry by a full snapshot, of all when the local cache was lost, and of the few that are racy. Each
 * entry is read by the stream's workers and compared by the cheapest way there is:
 *
 *     large file                  its head by the ids of the head's pieces, its data by the record's digest
 *     head and digest known       these (prev_extra.h)
 *     piece without dead copies   all its entries are read, and the bytes have the piece's id
 *     else                        the piece is fetched from a bucket, and the bytes compared
 *
 * Nothing is stored or compressed. Afterwards no part has the verdict PART_CHECK: equal ones
 * are PART_SAME, and their extras are those of now.
 */
#ifndef BACKUP_WORK_BACKUP_CHECK_H
#define BACKUP_WORK_BACKUP_CHECK_H

#include "backup/work/backup_stream.h"
#include "backup/work/merge_parts.h"

/* extras of s are brought up to date. */
enum dr_rc stream_check(struct stream *stream, struct prev *prev, const struct prev_segment *s,
                        struct parts *parts, struct dr_err *err) DR_MUST_USE;

#endif
