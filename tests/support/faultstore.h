/*
 * faultstore.h - a bucket that misbehaves on purpose, around one that does not.
 *
 * It has the shape of every store, so whatever works on a bucket can be run on it. It counts
 * each call, and fails, cuts short or falsifies those that a test picked:
 *
 *     struct store *s = faultstore_new(inner);       owns inner from now on
 *     faultstore_fail(s, FAULTSTORE_GET, 3, DR_E_IO);  the third get from now on fails
 *     faultstore_flip(s, "packs/", 100);             gets of such names have byte 100 changed
 *
 * What inner cannot do it cannot do either. A swap and a lock count as PUT, a tagged read as GET, a removal of
 * many as one REMOVE.
 */
#ifndef TESTS_SUPPORT_FAULTSTORE_H
#define TESTS_SUPPORT_FAULTSTORE_H

#include "backup/store/store.h"

enum faultstore_op {
    FAULTSTORE_GET,
    FAULTSTORE_PUT,
    FAULTSTORE_HEAD,
    FAULTSTORE_LIST,
    FAULTSTORE_REMOVE,
    FAULTSTORE_ANY, /* for faultstore_fail(): whichever comes */
    FAULTSTORE_OPS = FAULTSTORE_ANY,
};

/* The wrapper owns inner and closes it. */
struct store *faultstore_new(struct store *inner) DR_MUST_USE;

/* The nth call of op from now on (1 is the next) fails with rc; _from: and all after it. */
void faultstore_fail(struct store *s, enum faultstore_op op, unsigned nth, enum dr_rc rc);
void faultstore_fail_from(struct store *s, enum faultstore_op op, unsigned nth, enum dr_rc rc);

/* Each get of an object whose name starts with prefix has the byte at offset changed. prefix is
 * borrowed; NULL ends it. */
void faultstore_flip(struct store *s, const char *prefix, uint64_t offset);

unsigned faultstore_calls(const struct store *s, enum faultstore_op op);
uint64_t faultstore_bytes_got(const struct store *s);
uint64_t faultstore_bytes_put(const struct store *s);

#endif
