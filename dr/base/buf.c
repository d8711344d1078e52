/*
 * buf.c - growing byte buffers.
 *
 * One byte more than is used is always there and is NUL, so that what was gathered can be handed
 * to whoever wants a C string. Room doubles, so that appending costs the same however long it gets.
 */
#include "dr/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

char *buf_reserve(struct buf *b, size_t more)
{
    DR_ASSERT(more < SIZE_MAX / 2 - b->len);
    size_t need = b->len + more + 1;
    if (need > b->cap) {
        size_t cap = b->cap < 64 ? 64 : b->cap;
        while (cap < need)
            cap *= 2;
        b->data = dr_realloc(b->data, cap, 1);
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    DR_ASSERT(data != NULL || len == 0);
    char *at = buf_reserve(b, len);
    if (len > 0)
        memcpy(at, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    DR_ASSERT(len >= 0);
    char *at = buf_reserve(b, (size_t)len);
    vsnprintf(at, (size_t)len + 1, fmt, again);
    va_end(again);
    b->len += (size_t)len;
}

char *buf_take(struct buf *b)
{
    if (b->data == NULL)
        return dr_strdup("");
    char *text = DR_TAKE(b->data);
    *b = (struct buf){ 0 };
    return text;
}
