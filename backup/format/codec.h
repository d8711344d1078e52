/*
 * codec.h - raw bytes to one zstd frame and back.
 *
 * Frames carry the content size and a checksum, never need a window above 8 MiB, and are read
 * within these bounds only. What does not compress (samples tell) is stored as a frame of raw
 * blocks, at the cost of a copy. One codec per thread; it keeps its memory between calls.
 */
#ifndef BACKUP_FORMAT_CODEC_H
#define BACKUP_FORMAT_CODEC_H

#include "backup/format/limits.h"
#include "dr/base/buf.h"
#include "dr/base/err.h"

enum { CODEC_LEVEL = 3 };

struct codec;

struct codec *codec_new(int level) DR_MUST_USE;
void codec_free(struct codec *c);
DR_DEFINE_CLEANUP(struct codec, codec_free)

/* Append one frame of raw[len] to out. len > 0. */
void codec_pack(struct codec *c, const void *raw, size_t len, struct buf *out);

/*
 * frame[len] must be exactly one frame of raw_len bytes, and the SHA-256 of these must be id.
 * Appends them to out; on failure out is as before. raw_max: PIECE_RAW_MAX or SEGMENT_RAW_MAX.
 * what: named in errors; all are DR_E_CORRUPT.
 */
struct codec_frame {
    const void *data;
    size_t len;
    uint64_t raw_len, raw_max;
    const uint8_t *id; /* DIGEST_SIZE bytes */
};
enum dr_rc codec_open(struct codec *c, const char *what, const struct codec_frame *frame,
                      struct buf *out, struct dr_err *err) DR_MUST_USE;

#endif
