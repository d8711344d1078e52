/*
 * spied.h - three buckets, one run, and a look at each of its calls.
 *
 * The stores are wrapped: a test sees each call before it is made, and may do what another
 * process would do at that moment, make it fail, or hold it back. Packs have a number, and the
 * same number always means the same bytes, so that a fact speaks of "pack 3" in any bucket. Calls
 * assert that they did what they were asked for, but for those that return a dr_rc.
 */
#ifndef TESTS_SUPPORT_SPIED_H
#define TESTS_SUPPORT_SPIED_H

#include "backup/format/names.h"
#include "backup/work/backup_buckets.h"
#include "backup/work/repo.h"

enum { SPIED_BUCKETS = 3, SPIED_PACK_BYTES = 3000 };

extern const char *const spied_names[SPIED_BUCKETS];

/* A wrapped store and the number of its bucket. */
struct spy {
    struct store base;
    struct store *inner;
    int number;
};

/* Made anew by each set-up. before and after_put are called by whichever thread makes the call. */
extern struct spied {
    char dir[64];
    struct config *config;
    struct repo *repo;
    struct buckets *buckets;
    struct pack_names avoid; /* what the last commit said */
    struct dr_err err;
    /* Before each call; what it returns is the call's failure. */
    enum dr_rc (*before)(struct spy *s, const char *op, const char *name, struct dr_err *err);
    /* Likewise after a put that went well. */
    enum dr_rc (*after_put)(struct spy *s, const char *name, struct dr_err *err);
    struct buf traces[SPIED_BUCKETS]; /* "put packs/..;list gc/;": read them between calls only */
} spied;

/* Around each fact, as cmocka wants them. */
int spied_set_up(void **state);
int spied_tear_down(void **state);

/* Begin the run: with these options, or with no thread. */
void spied_begin(const struct buckets_options *o);
void spied_begin_inline(void);

/* The store of a bucket without its wrapping. */
struct store *spied_inner(int bucket);

/* Pack number n: the same bytes each time. The caller drops it. */
struct spooled *spied_make_pack(unsigned n);

/* "packs/AB/..." of pack n, and its last part alone. Valid until the next call. */
const char *spied_pack_name(unsigned n);
const char *spied_hex_of_pack(unsigned n);

/* Give pack n to the run. */
enum dr_rc spied_put_pack(unsigned n);

/* Commit a snapshot of packs from .. to - 1. Its object's bytes do not matter here. */
enum dr_rc spied_commit(const char *id, unsigned from, unsigned to);

/* Is there an object of that name? The name comes in two parts. */
bool spied_has(int bucket, const char *prefix, const char *rest);

/* The snapshot and its packs are there, and the packs are right. */
void spied_assert_holds(int bucket, const char *id, unsigned from, unsigned to);

/* What the run reports: how many copies, and does it say of this bucket that? */
size_t spied_copies(void);
bool spied_is_missing(const char *bucket, const char *why);

#endif
