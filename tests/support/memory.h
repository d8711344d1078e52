/*
 * memory.h - objects in memory: what lies below the store in memory and the HTTP server of the tests.
 *
 * A struct memory is one bucket's content, shared by any number of stores and threads. A test may
 * look into it, empty it, or roll it back, past every driver:
 *
 *     struct memory *m = memory_new();
 *     struct store *s = memstore_new(m, "eu", "eu-west-1");     see memstore.h
 *     struct memory *old = memory_copy(m);
 *     ...
 *     memory_become(m, old);                                    the bucket is what it was
 *
 * The tag of an object is made of its bytes: the same bytes have the same tag again, as in S3.
 */
#ifndef TESTS_SUPPORT_MEMORY_H
#define TESTS_SUPPORT_MEMORY_H

#include "backup/store/store.h"

enum { MEMORY_TAG_SIZE = 33 };

struct memory *memory_new(void) DR_MUST_USE;
void memory_free(struct memory *m);

struct memory *memory_copy(struct memory *m) DR_MUST_USE;
void memory_become(struct memory *m, struct memory *other); /* other stays as it is */
void memory_empty(struct memory *m);

/* On which condition a put happens. */
enum memory_if {
    MEMORY_ALWAYS,
    MEMORY_ABSENT, /* nothing is there, else DR_E_EXISTS */
    MEMORY_TAGGED, /* the tag is that one, else DR_E_BUSY */
};

/* DR_E_DENIED: what is there is locked, and the bytes are others. */
enum dr_rc memory_put(struct memory *m, const char *name, const void *data, size_t len,
                      enum memory_if when, const char *tag);

/* Append bytes from..to of the object, as far as it goes; tag and ret_size may be NULL. False: there is none. */
bool memory_get_part(struct memory *m, const char *name, uint64_t from, uint64_t to,
                     struct buf *out, char tag[MEMORY_TAG_SIZE], uint64_t *ret_size);

/* The same with all of it. */
bool memory_get(struct memory *m, const char *name, struct buf *out, char tag[MEMORY_TAG_SIZE]);
bool memory_head(struct memory *m, const char *name, uint64_t *ret_size, char tag[MEMORY_TAG_SIZE]);

/* DR_OK also when nothing was there; DR_E_DENIED while it is locked. */
enum dr_rc memory_remove(struct memory *m, const char *name);

/* Nobody removes it before that time of the wall clock. False: there is none. */
bool memory_lock(struct memory *m, const char *name, int64_t until_ns);

/* At most limit names with the prefix that sort after that one ("": all). True: there are more. */
bool memory_list(struct memory *m, const char *prefix, const char *after, size_t limit,
                 struct store_entries *ret);

/* Change one byte of an object, as a bad disk would. Asserts that it is there. */
void memory_flip(struct memory *m, const char *name, size_t at);

#endif
