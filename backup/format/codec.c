/*
 * zstd within bounds. A frame that was read is believed only after its header (size, window, no
 * dictionary), its checksum and the SHA-256 of its content are all as expected.
 */
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_getFrameHeader: what a frame claims, before decoding */
#include "backup/format/codec.h"

#include <string.h>
#include <xxhash.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum {
    SAMPLE_SIZE = 8 << 10,  /* of a piece, taken three times */
    SAMPLE_FROM = 64 << 10, /* smaller pieces are simply compressed */
    RAW_BLOCK = 128 << 10,
    RAW_FRAME_MAX = 8 << 20, /* its window is its size */
};

struct codec {
    ZSTD_CCtx *pack, *probe;
    ZSTD_DCtx *open;
    struct hash *hash;
    char scratch[2 * SAMPLE_SIZE];
};

/* Compressing into room enough fails for one reason only. */
static void check(size_t rc)
{
    if (ZSTD_isError(rc) && ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation)
        dr_out_of_memory();
    DR_ASSERT(!ZSTD_isError(rc));
}

static void set(size_t rc)
{
    DR_ASSERT(!ZSTD_isError(rc));
}

struct codec *codec_new(int level)
{
    struct codec *c = dr_alloc(1, sizeof *c);
    c->pack = ZSTD_createCCtx();
    c->probe = ZSTD_createCCtx();
    c->open = ZSTD_createDCtx();
    c->hash = hash_new();
    if (c->pack == NULL || c->probe == NULL || c->open == NULL)
        dr_out_of_memory();
    set(ZSTD_CCtx_setParameter(c->pack, ZSTD_c_compressionLevel, level));
    set(ZSTD_CCtx_setParameter(c->pack, ZSTD_c_checksumFlag, 1));
    set(ZSTD_CCtx_setParameter(c->pack, ZSTD_c_contentSizeFlag, 1));
    if (level > 15) /* from there on zstd would like windows above the limit */
        set(ZSTD_CCtx_setParameter(c->pack, ZSTD_c_windowLog, WINDOW_LOG_MAX));
    set(ZSTD_CCtx_setParameter(c->probe, ZSTD_c_compressionLevel, 1));
    set(ZSTD_DCtx_setParameter(c->open, ZSTD_d_windowLogMax, WINDOW_LOG_MAX));
    return c;
}

void codec_free(struct codec *c)
{
    if (c == NULL)
        return;
    ZSTD_freeCCtx(c->pack);
    ZSTD_freeCCtx(c->probe);
    ZSTD_freeDCtx(c->open);
    hash_free(c->hash);
    free(c);
}

/* Three samples at level 1: less than 3 % won means that the rest is not worth trying. */
static bool is_dense(struct codec *c, const char *raw, size_t len)
{
    if (len < SAMPLE_FROM || len > RAW_FRAME_MAX)
        return false;
    size_t places[] = { 0, len / 2, len - SAMPLE_SIZE };
    size_t total = 0;
    for (size_t i = 0; i < DR_ARRAY_LEN(places); i++) {
        size_t n =
            ZSTD_compress2(c->probe, c->scratch, sizeof c->scratch, raw + places[i], SAMPLE_SIZE);
        check(n);
        total += n;
    }
    return total > DR_ARRAY_LEN(places) * SAMPLE_SIZE * 97 / 100;
}

static char *put_le(char *p, uint64_t n, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *p++ = (char)(n >> (8 * i));
    return p;
}

/* RFC 8878, 3.1.1: single segment, content size of 4 bytes, checksum; then blocks of type raw. */
static void pack_raw(const char *raw, size_t len, struct buf *out)
{
    size_t blocks = (len + RAW_BLOCK - 1) / RAW_BLOCK;
    char *start = buf_reserve(out, len + 3 * blocks + 13), *p = start;
    p = put_le(p, ZSTD_MAGICNUMBER, 4);
    p = put_le(p, 0xa4, 1);
    p = put_le(p, len, 4);
    for (size_t at = 0; at < len; at += RAW_BLOCK) {
        size_t n = len - at < RAW_BLOCK ? len - at : RAW_BLOCK;
        bool last = at + n == len;
        p = put_le(p, (uint64_t)n << 3 | (last ? 1 : 0), 3);
        memcpy(p, raw + at, n);
        p += n;
    }
    p = put_le(p, XXH64(raw, len, 0) & UINT32_MAX, 4);
    out->len += (size_t)(p - start);
}

void codec_pack(struct codec *c, const void *raw, size_t len, struct buf *out)
{
    DR_ASSERT(len > 0);
    if (is_dense(c, raw, len)) {
        pack_raw(raw, len, out);
        return;
    }
    size_t bound = ZSTD_compressBound(len);
    char *p = buf_reserve(out, bound);
    size_t n = ZSTD_compress2(c->pack, p, bound, raw, len);
    check(n);
    out->len += n;
}

static const char *header_fault(const struct codec_frame *f)
{
    ZSTD_frameHeader h;
    if (f->raw_len > f->raw_max || f->len > f->raw_len + FRAME_SLACK)
        return "frame larger than the limit";
    if (ZSTD_getFrameHeader(&h, f->data, f->len) != 0 || h.frameType != ZSTD_frame)
        return "not a zstd frame";
    if (h.frameContentSize != f->raw_len)
        return "frame of another size than its row says";
    if (h.windowSize > (1ULL << WINDOW_LOG_MAX))
        return "window larger than the limit";
    if (h.dictID != 0 || !h.checksumFlag)
        return "frame without checksum or with a dictionary";
    size_t whole = ZSTD_findFrameCompressedSize(f->data, f->len);
    if (ZSTD_isError(whole) || whole != f->len)
        return "frame truncated or followed by other bytes";
    return NULL;
}

enum dr_rc codec_open(struct codec *c, const char *what, const struct codec_frame *f,
                      struct buf *out, struct dr_err *err)
{
    const char *fault = header_fault(f);
    if (fault != NULL)
        return dr_fail(err, DR_E_CORRUPT, "%s: %s", what, fault);
    char *p = buf_reserve(out, (size_t)f->raw_len + 1);
    size_t n = ZSTD_decompressDCtx(c->open, p, (size_t)f->raw_len, f->data, f->len);
    if (ZSTD_isError(n))
        return dr_fail(err, DR_E_CORRUPT, "%s: %s", what, ZSTD_getErrorName(n));
    uint8_t id[DIGEST_SIZE];
    hash_start(c->hash);
    hash_add(c->hash, p, n);
    hash_end(c->hash, id);
    if (n != f->raw_len || memcmp(id, f->id, DIGEST_SIZE) != 0)
        return dr_fail(err, DR_E_CORRUPT, "%s: its SHA-256 is not what it should be", what);
    out->len += n;
    return DR_OK;
}
