/*
 * memstore.h - a bucket in memory, with everything that a store may be able to do.
 *
 * The same promises as a directory or S3, no disk and no network; what is behind it is a struct
 * memory, which a test may look into and change (memory.h). It counts like every store.
 */
#ifndef TESTS_SUPPORT_MEMSTORE_H
#define TESTS_SUPPORT_MEMSTORE_H

#include "tests/support/memory.h"

/* m is borrowed and outlives the store. The caller closes with store_close(). */
struct store *memstore_new(struct memory *m, const char *name, const char *region) DR_MUST_USE;

#endif
