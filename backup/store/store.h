/*
 * store.h - a bucket: named, write-once objects in one flat space.
 *
 * Every driver (a directory, S3, a program on a pipe) is one struct store_ops; faults,
 * counting and delay are wrappers of the same shape. Names are relative paths of
 * [a-z0-9._/-], at most 200 bytes, never starting with '/' or '.', no empty and no dot part. What a driver promises:
 *
 *   put     all or nothing, and durable once DR_OK came back. An object that exists is
 *           never changed: DR_E_EXISTS.
 *   get     len bytes from offset, exactly; less is DR_E_CORRUPT ("truncated"). Missing
 *           objects are DR_E_NOTFOUND.
 *   list    every name under a prefix, in bytewise order; consistent: what was put before is there.
 *   remove  DR_OK also when nothing was there.
 *
 * Errors name the bucket and the object. DR_E_TRANSIENT and DR_E_TIMEOUT may be repeated.
 */
#ifndef BACKUP_STORE_STORE_H
#define BACKUP_STORE_STORE_H

#include "dr/base/buf.h"
#include "dr/base/err.h"
#include "dr/base/text.h"

struct store;

struct store_ops {
    enum dr_rc (*get)(struct store *s, const char *name, uint64_t offset, size_t len, void *out,
                      struct dr_err *err);
    enum dr_rc (*put)(struct store *s, const char *name, const void *data, size_t len,
                      struct dr_err *err);
    enum dr_rc (*head)(struct store *s, const char *name, uint64_t *ret_size, struct dr_err *err);
    enum dr_rc (*list)(struct store *s, const char *prefix, struct text_list *ret,
                       struct dr_err *err);
    enum dr_rc (*remove)(struct store *s, const char *name, struct dr_err *err);
    void (*close)(struct store *s);
};

/* How fast a bucket may be written: a driver asks before each slice of a put. */
struct store_pace {
    size_t slice;
    enum dr_rc (*take)(void *arg, size_t bytes, struct dr_err *err);
    void *arg;
};

/* Drivers embed this first in their own struct. */
struct store {
    const struct store_ops *ops;
    char *name;                    /* of the configuration: "eu"; owned */
    char *region;                  /* owned */
    char *url;                     /* owned */
    const struct store_pace *pace; /* borrowed; NULL: as fast as it goes */
};

/*
 * Open the bucket at url. "file:///DIR" is a directory, which must exist and hold a repository or
 * be empty; other schemes are DR_E_CONFIG. The caller closes it.
 */
enum dr_rc store_open(const char *name, const char *region, const char *url, struct store **ret,
                      struct dr_err *err) DR_MUST_USE;
void store_close(struct store *s); /* NULL is fine */
DR_DEFINE_CLEANUP(struct store, store_close)

/* The calls; each checks the name first. */
enum dr_rc store_get(struct store *s, const char *name, uint64_t offset, size_t len, void *out,
                     struct dr_err *err) DR_MUST_USE;
enum dr_rc store_put(struct store *s, const char *name, const void *data, size_t len,
                     struct dr_err *err) DR_MUST_USE;
enum dr_rc store_head(struct store *s, const char *name, uint64_t *ret_size, struct dr_err *err)
    DR_MUST_USE;
enum dr_rc store_list(struct store *s, const char *prefix, struct text_list *ret,
                      struct dr_err *err) DR_MUST_USE;
enum dr_rc store_remove(struct store *s, const char *name, struct dr_err *err) DR_MUST_USE;

/* Append a whole object of at most limit bytes (larger: DR_E_CORRUPT). */
enum dr_rc store_get_all(struct store *s, const char *name, size_t limit, struct buf *out,
                         struct dr_err *err) DR_MUST_USE;

#endif
