/*
 * spoil.h - an object with each bit changed and cut at each length.
 *
 * The same in each run: no randomness. The parser under test gets a copy of exact size on the
 * heap, so that ASan sees a read beyond its end.
 */
#ifndef TESTS_SUPPORT_SPOIL_H
#define TESTS_SUPPORT_SPOIL_H

#include "dr/base/buf.h"

/* Is this object accepted? */
typedef bool spoil_accepts(void *arg, const void *data, size_t len);

/* Ask once, with a copy of these bytes. */
bool spoil_try(spoil_accepts *fn, void *arg, const void *data, size_t len);

/* The whole object must be accepted; returns how many of its spoiled forms were as well. */
unsigned spoil_all(spoil_accepts *fn, void *arg, const struct buf *object);

#endif
