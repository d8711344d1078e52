/*
 * Numbers and runs of bytes. The one rule: whatever is read was checked against what is left,
 * and every failure says in which object and at which byte.
 */
#include "backup/format/wire.h"

#include <string.h>

enum { VARINT_BYTES = 10 };

enum dr_rc wire_bad(const struct wire *w, struct dr_err *err, const char *why)
{
    return dr_fail(err, DR_E_CORRUPT, "%s: %s at byte %zu", w->what, why, w->at);
}

enum dr_rc wire_take(struct wire *w, size_t len, const uint8_t **ret, struct dr_err *err)
{
    if (len > wire_left(w))
        return wire_bad(w, err, "truncated");
    *ret = w->data + w->at;
    w->at += len;
    return DR_OK;
}

enum dr_rc wire_u8(struct wire *w, uint8_t *ret, struct dr_err *err)
{
    const uint8_t *p = w->data;
    DR_TRY(wire_take(w, 1, &p, err));
    *ret = *p;
    return DR_OK;
}

enum dr_rc wire_u32(struct wire *w, uint32_t *ret, struct dr_err *err)
{
    const uint8_t *p = w->data;
    DR_TRY(wire_take(w, 4, &p, err));
    *ret = wire_get_u32(p);
    return DR_OK;
}

enum dr_rc wire_magic(struct wire *w, const char magic[4], struct dr_err *err)
{
    const uint8_t *p = w->data;
    DR_TRY(wire_take(w, 4, &p, err));
    if (memcmp(p, magic, 4) != 0)
        return wire_bad(w, err, "unknown magic");
    return DR_OK;
}

enum dr_rc wire_varint(struct wire *w, uint64_t most, uint64_t *ret, struct dr_err *err)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < VARINT_BYTES; i++) {
        if (w->at == w->len)
            return wire_bad(w, err, "truncated number");
        uint8_t byte = w->data[w->at++];
        if (i == VARINT_BYTES - 1 && byte > 1)
            return wire_bad(w, err, "number too large");
        n |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        if (byte == 0 && i > 0)
            return wire_bad(w, err, "number longer than needed");
        if (n > most)
            return wire_bad(w, err, "number beyond its limit");
        *ret = n;
        return DR_OK;
    }
    return wire_bad(w, err, "number too long");
}

enum dr_rc wire_svarint(struct wire *w, int64_t *ret, struct dr_err *err)
{
    uint64_t n;
    DR_TRY(wire_varint(w, UINT64_MAX, &n, err));
    *ret = (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
    return DR_OK;
}

void wire_add_varint(struct buf *out, uint64_t n)
{
    uint8_t bytes[VARINT_BYTES];
    size_t len = 0;
    while (n >= 0x80) {
        bytes[len++] = (uint8_t)(n | 0x80);
        n >>= 7;
    }
    bytes[len++] = (uint8_t)n;
    buf_add(out, bytes, len);
}

void wire_add_svarint(struct buf *out, int64_t n)
{
    wire_add_varint(out, ((uint64_t)n << 1) ^ (uint64_t)(n >> 63));
}

void wire_add_u32(struct buf *out, uint32_t n)
{
    uint8_t bytes[4] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24) };
    buf_add(out, bytes, sizeof bytes);
}
