/*
 * prev_file.h - the bytes of the local cache, known to its writer and its reader only.
 *
 *     footer    u64 offset of the trailer | u64 its length | u64 XXH3 of it | u32 version | "DPC1"
 *     trailer   bytes repository | bytes snapshot | varint excludes | varint root dev | varint ino
 *               varint n | n x { varint offset | varint length of the segment, of its base
 *               | varint extras | varint XXH3 of all three | bytes line }
 *               bytes removed paths
 *
 * Numbers and bytes are those of wire.h. It is no part of the format of snapshots: it is never
 * stored in a bucket, and a version that does not know it reads everything once.
 */
#ifndef BACKUP_WORK_PREV_FILE_H
#define BACKUP_WORK_PREV_FILE_H

#include "dr/base/base.h"

enum { PREV_FOOTER = 32, PREV_VERSION = 2, PREV_TRAILER_MAX = 1 << 30 };

#define PREV_MAGIC  "DPC1"
#define PREV_FOLDER "toc"

#endif
