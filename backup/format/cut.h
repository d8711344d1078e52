/*
 * cut.h - where a writer cuts: bundles by the hash of paths, large files by their content.
 *
 * Bundles: after an entry, weighted by its size in the tar stream, so that bundles have about
 * equal bytes whatever the sizes of files; never by content, so that a changed file moves no cut.
 * Large files: FastCDC (Xia et al. 2016), normalised, 256 KiB / 1 MiB / 4 MiB, beginning afresh at the
 * first byte of each file. Readers need none of this.
 */
#ifndef BACKUP_FORMAT_CUT_H
#define BACKUP_FORMAT_CUT_H

#include "dr/base/base.h"

enum {
    CUT_BUNDLE_MIN = 512 << 10,
    CUT_BUNDLE_TARGET = 1 << 20,
    CUT_BUNDLE_MAX = 2 << 20,
    CUT_CHUNK_MIN = 256 << 10,
    CUT_CHUNK_TARGET = 1 << 20,
    CUT_CHUNK_MAX = 4 << 20,
};

/* Does the bundle end after this entry? filled: bytes in it, this entry included; entry: this one's
 * (512 + data rounded up: by metadata alone). */
bool cut_bundle(uint64_t seed, const char *path, uint64_t filled, uint64_t entry);

/* Length of the first chunk of data, of which len bytes are here: all that is left, or at least
 * CUT_CHUNK_MAX. */
size_t cut_chunk(const uint8_t *data, size_t len);

#endif
