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
 * A driver may be able to do more; what it has not is done from the above by store.c, or refused in
 * words (DR_E_CONFIG: the configuration asks this bucket for what it cannot do):
 *
 *   read_tagged, swap   compare-and-set of one small object that changes: leases, nothing else
 *   lock_until          nobody removes the object before that time, we included
 *
 * All calls block, and any number of threads may call at once. Errors name the bucket and the
 * object. DR_E_TRANSIENT and DR_E_TIMEOUT may be repeated.
 */
#ifndef BACKUP_STORE_STORE_H
#define BACKUP_STORE_STORE_H

#include <stdatomic.h>

#include "dr/base/buf.h"
#include "dr/base/err.h"
#include "dr/base/text.h"

struct gate;
struct store;

enum { STORE_TAG_MAX = 160, STORE_SWAP_MAX = 64 << 10 };

/* Names with sizes. A zeroed struct is an empty list. */
struct store_entry {
    char *name; /* owned */
    uint64_t size;
};

struct store_entries {
    struct store_entry *items; /* owned */
    size_t count;
    size_t cap;
};

void store_entries_add(struct store_entries *e, const char *name, uint64_t size); /* copied */
void store_entries_fini(struct store_entries *e);

/* Bytes in memory that are a file without a name, too. Nobody writes to it any more. */
struct store_file {
    int fd; /* borrowed; -1: there is none */
    const void *data;
    size_t len;
};

/* What the store was seen to be able to do. */
struct store_abilities {
    bool conditional_put;    /* the store itself refuses a second put of a name */
    bool conditional_swap;   /* read_tagged and swap: it may hold a lease */
    bool versioning;         /* what is overwritten or removed is still there */
    bool object_lock;        /* lock_until, and puts with a retention */
    int64_t clock_offset_ms; /* its clock minus ours */
};

/* The last rows may be NULL. */
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

    enum dr_rc (*put_file)(struct store *s, const char *name, const struct store_file *file,
                           struct dr_err *err);
    enum dr_rc (*get_all)(struct store *s, const char *name, size_t limit, struct buf *out,
                          struct dr_err *err);
    enum dr_rc (*remove_many)(struct store *s, const struct text_list *names, struct dr_err *err);
    enum dr_rc (*list_sizes)(struct store *s, const char *prefix, struct store_entries *ret,
                             struct dr_err *err);
    enum dr_rc (*list_some)(struct store *s, const char *prefix, struct text_list *ret,
                            bool *ret_more, struct dr_err *err);
    enum dr_rc (*read_tagged)(struct store *s, const char *name, struct buf *out,
                              char tag[STORE_TAG_MAX], struct dr_err *err);
    enum dr_rc (*swap)(struct store *s, const char *name, const char *seen_tag, const void *data,
                       size_t len, struct dr_err *err);
    enum dr_rc (*lock_until)(struct store *s, const char *name, int64_t until_ns,
                             struct dr_err *err);
    enum dr_rc (*abilities)(struct store *s, struct store_abilities *ret, struct dr_err *err);
};

/* How fast a bucket may be written: a driver asks before each slice of a put. */
struct store_pace {
    size_t slice;
    enum dr_rc (*take)(void *arg, size_t bytes, struct dr_err *err);
    void *arg;
};

/* What was asked of a bucket since it was opened: requests, and bytes of objects. */
struct store_counts {
    uint64_t gets, puts, heads, lists, removes, bytes_in, bytes_out, retries;
};

enum store_counter {
    STORE_GETS,
    STORE_PUTS,
    STORE_HEADS,
    STORE_LISTS,
    STORE_REMOVES,
    STORE_BYTES_IN,
    STORE_BYTES_OUT,
    STORE_RETRIES,
    STORE_COUNTERS,
};

/* Drivers embed this first in their own struct, and begin and end it by store_init/store_fini. */
struct store {
    const struct store_ops *ops;
    char *name;                    /* of the configuration: "eu"; owned */
    char *region;                  /* owned */
    char *url;                     /* owned */
    const struct store_pace *pace; /* borrowed; NULL: as fast as it goes */
    struct store *inner;           /* of a wrapper: cancelled with it; or NULL */
    unsigned parallel;             /* 0 is 1 */
    bool counts_itself; /* one call may be several requests: the driver says store_count() */
    atomic_bool cancelled;
    atomic_uint_fast64_t counters[STORE_COUNTERS];
};

/* By whose right: all borrowed for the call of store_open(). */
struct store_credentials {
    const char *kind;                                    /* "keys" "environment" "profile"
                                                            "container" "instance"; NULL: the usual chain */
    const char *access_key, *secret_key, *session_token; /* kind keys; the token may be NULL */
    const char *profile;                                 /* kind profile; NULL: "default" */
};

struct store_options {
    const char *name, *region, *url;             /* region may be NULL */
    const struct store_credentials *credentials; /* or NULL */
    const char *ca;                              /* file of trusted certificates, or NULL */
    int64_t lock_ms;       /* > 0: what is put cannot be removed for so long */
    const char *lock_mode; /* "compliance" (NULL too) or "governance" */
    struct gate *gate;     /* of dr/net; must outlive the store; or NULL */
    const char *memory;    /* directory where addresses of endpoints are remembered, or NULL */
};

/*
 * Open the bucket at the url; its scheme picks the driver:
 *
 *   file:///DIR    a directory, which must exist
 *   s3://BUCKET    a bucket of an S3 store (s3.h)
 *
 * Other schemes are DR_E_CONFIG. Nothing is created. The caller closes it.
 */
enum dr_rc store_open(const struct store_options *o, struct store **ret, struct dr_err *err)
    DR_MUST_USE;

/* The same for whoever has but three words. region may be NULL. */
enum dr_rc store_open_url(const char *name, const char *region, const char *url, struct store **ret,
                          struct dr_err *err) DR_MUST_USE;
void store_close(struct store *s); /* NULL is fine */
DR_DEFINE_CLEANUP(struct store, store_close)

/* The calls; each checks the name first. */
enum dr_rc store_get(struct store *s, const char *name, uint64_t offset, size_t len, void *out,
                     struct dr_err *err) DR_MUST_USE;
enum dr_rc store_put(struct store *s, const char *name, const void *data, size_t len,
                     struct dr_err *err) DR_MUST_USE;

/*
 * As store_put(); the driver may make the file itself the object, so the caller reads its bytes no more
 * once it is put. After a failure nobody knows what of the file is on the medium: put the bytes.
 */
enum dr_rc store_put_file(struct store *s, const char *name, const struct store_file *file,
                          struct dr_err *err) DR_MUST_USE;
enum dr_rc store_head(struct store *s, const char *name, uint64_t *ret_size, struct dr_err *err)
    DR_MUST_USE;
enum dr_rc store_list(struct store *s, const char *prefix, struct text_list *ret,
                      struct dr_err *err) DR_MUST_USE;
enum dr_rc store_remove(struct store *s, const char *name, struct dr_err *err) DR_MUST_USE;

/* Append a whole object of at most limit bytes (larger: DR_E_CORRUPT). Without the driver's help: a
 * head and a get. */
enum dr_rc store_get_all(struct store *s, const char *name, size_t limit, struct buf *out,
                         struct dr_err *err) DR_MUST_USE;

/* Remove all of them; after a failure some are gone. Without the driver's help: one by one. */
enum dr_rc store_remove_many(struct store *s, const struct text_list *names, struct dr_err *err)
    DR_MUST_USE;

/* store_list() with the sizes. Without the driver's help: one head for each. */
enum dr_rc store_list_sizes(struct store *s, const char *prefix, struct store_entries *ret,
                            struct dr_err *err) DR_MUST_USE;

/* The first names under a prefix, as many as one request gives, and whether there are more behind the
 * last. Without the driver's help: all. */
enum dr_rc store_list_some(struct store *s, const char *prefix, struct text_list *ret,
                           bool *ret_more, struct dr_err *err) DR_MUST_USE;

/*
 * An object that changes (of at most STORE_SWAP_MAX bytes), and a tag of this very content: the
 * same bytes may have the same tag again, so whoever counts changes puts a nonce into them. Nothing
 * there: DR_OK, tag "", out as it was; else the content is appended.
 */
enum dr_rc store_read_tagged(struct store *s, const char *name, struct buf *out,
                             char tag[STORE_TAG_MAX], struct dr_err *err) DR_MUST_USE;

/*
 * Put data there, durably, if the tag is still seen_tag ("": nothing is there); else DR_E_BUSY.
 * After DR_E_TRANSIENT or DR_E_TIMEOUT nobody knows: read, and look for the own nonce. Never
 * remove such an object: with it goes the memory of what was granted.
 */
enum dr_rc store_swap(struct store *s, const char *name, const char *seen_tag, const void *data,
                      size_t len, struct dr_err *err) DR_MUST_USE;

/* Extend the retention of an object up to that wall time; it is never shortened. */
enum dr_rc store_lock_until(struct store *s, const char *name, int64_t until_ns, struct dr_err *err)
    DR_MUST_USE;

/* Asks the store where it has to (an S3 bucket: some requests, once). */
enum dr_rc store_abilities(struct store *s, struct store_abilities *ret, struct dr_err *err)
    DR_MUST_USE;

/* Calls under way end soon, with DR_E_CANCELLED where they waited for a network, and so do all that
 * come: before a close, when nobody wants their outcome any more. */
void store_cancel(struct store *s);

void store_counts(const struct store *s, struct store_counts *ret);

/* How many calls at once do it good: 1 for puts into a directory, more where each call waits for
 * a network. */
unsigned store_parallel(const struct store *s);

/* -- for drivers ----------------------------------------------------------------------------- */

void store_init(struct store *s, const struct store_ops *ops, const struct store_options *o);
void store_fini(struct store *s);
void store_count(struct store *s, enum store_counter what, uint64_t n);

#endif
