/*
 * wire.h - small numbers and byte runs, written to a buffer and read back with every byte checked.
 *
 * The reader is a cursor on borrowed bytes. Nothing in them is believed: each call checks what is
 * left, and a failure is DR_E_CORRUPT naming the object (what) and the offset.
 *
 *     struct wire w = wire_of("segment 3", data, len);
 *     DR_TRY(wire_varint(&w, LIMIT, &count, err));
 */
#ifndef BACKUP_FORMAT_WIRE_H
#define BACKUP_FORMAT_WIRE_H

#include "dr/base/buf.h"
#include "dr/base/err.h"

struct wire {
    const char *what;    /* borrowed: named in errors */
    const uint8_t *data; /* borrowed */
    size_t len;
    size_t at;
};

static inline struct wire wire_of(const char *what, const void *data, size_t len)
{
    return (struct wire){ .what = what, .data = data, .len = len };
}

static inline size_t wire_left(const struct wire *w)
{
    return w->len - w->at;
}

/* Unsigned LEB128, shortest form only; more than most is an error as well. */
enum dr_rc wire_varint(struct wire *w, uint64_t most, uint64_t *ret, struct dr_err *err)
    DR_MUST_USE;
enum dr_rc wire_svarint(struct wire *w, int64_t *ret, struct dr_err *err) DR_MUST_USE;
enum dr_rc wire_u8(struct wire *w, uint8_t *ret, struct dr_err *err) DR_MUST_USE;
enum dr_rc wire_u32(struct wire *w, uint32_t *ret, struct dr_err *err) DR_MUST_USE;

/* The next len bytes, borrowed from the data. */
enum dr_rc wire_take(struct wire *w, size_t len, const uint8_t **ret, struct dr_err *err)
    DR_MUST_USE;

/* The next bytes must be these four. */
enum dr_rc wire_magic(struct wire *w, const char magic[4], struct dr_err *err) DR_MUST_USE;

/* DR_E_CORRUPT "WHAT: ... at byte N". */
enum dr_rc wire_bad(const struct wire *w, struct dr_err *err, const char *why) DR_COLD;

void wire_add_varint(struct buf *out, uint64_t n);
void wire_add_svarint(struct buf *out, int64_t n);
void wire_add_u32(struct buf *out, uint32_t n);

static inline uint32_t wire_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

#endif
