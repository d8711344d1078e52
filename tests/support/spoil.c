/*
 * Spoiling objects: every length, then every bit of every byte.
 */
#include "tests/support/spoil.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dr/base/mem.h"

/* Copies of exact size on the heap, so that a read beyond the end is seen by ASan. */
bool spoil_try(spoil_accepts *fn, void *arg, const void *data, size_t len)
{
    char *copy = dr_alloc(len > 0 ? len : 1, 1);
    memcpy(copy, data, len);
    bool ok = fn(arg, copy, len);
    free(copy);
    return ok;
}

/* Each bit of each byte changed, each length cut; returns how many were accepted. */
unsigned spoil_all(spoil_accepts *fn, void *arg, const struct buf *object)
{
    unsigned accepted = 0;
    assert_true(spoil_try(fn, arg, object->data, object->len));
    for (size_t len = 0; len < object->len; len++)
        accepted += spoil_try(fn, arg, object->data, len);
    for (size_t i = 0; i < object->len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            object->data[i] = (char)(object->data[i] ^ (1 << bit));
            accepted += spoil_try(fn, arg, object->data, object->len);
            object->data[i] = (char)(object->data[i] ^ (1 << bit));
        }
    return accepted;
}
