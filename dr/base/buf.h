/*
 * buf.h - bytes that grow.
 *
 * A zeroed struct is an empty buffer. There is always a NUL behind the last byte
 * once something was added, so data may be read as text when it holds no NUL.
 * Growth ends the process when memory ends (mem.h): give input a limit first.
 *
 *     DR_CLEANUP(buf_fini) struct buf b = { 0 };
 *     buf_addf(&b, "%d packs", count);
 */
#ifndef DR_BASE_BUF_H
#define DR_BASE_BUF_H

#include "dr/base/base.h"

struct buf {
    char *data; /* owned; NULL while nothing was added */
    size_t len;
    size_t cap;
};

void buf_fini(struct buf *b);

/* Forget the content, keep the memory. */
void buf_clear(struct buf *b);

/* Make room for more bytes; returns where they go. buf->len is not changed. */
char *buf_reserve(struct buf *b, size_t more);

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *text);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) DR_PRINTF(2, 3);

/* Give the bytes away as a string (never NULL); the buffer is empty afterwards. The caller frees. */
char *buf_take(struct buf *b) DR_MUST_USE;

#endif
