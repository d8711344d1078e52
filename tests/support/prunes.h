/*
 * prunes.h - a site with one real backup, and prunes of it.
 *
 * For tests of prune: old snapshots are forged with a time of long ago, the young one is a real
 * backup of now. What the last prune said is kept, so that a fact can ask it. Every call asserts
 * that it did what it was asked for, but for prunes_try().
 */
#ifndef TESTS_SUPPORT_PRUNES_H
#define TESTS_SUPPORT_PRUNES_H

#include "backup/work/prune.h"
#include "tests/support/site.h"

#define PRUNES_DAY_NS (INT64_C(86400) * 1000000000)

/* Made anew by each set-up. */
extern struct prunes {
    struct site site;
    char young[SNAPSHOT_ID_MAX]; /* a real backup of now */
    struct prune_result result;  /* of the last prune */
    struct dr_err err;
} prunes;

/* Around each fact, as cmocka wants them. */
int prunes_set_up(void **state);
int prunes_tear_down(void **state);

/* A snapshot of its own content, taken so many days ago. */
void prunes_forge_old(double days, char id[SNAPSHOT_ID_MAX]);

/* A prune of now, without any grace. */
struct prune_options prunes_options(void);

/* Open the repository and prune it: with any outcome, or DR_OK only. */
enum dr_rc prunes_try(const struct prune_options *o);
void prunes_must(const struct prune_options *o);

/* What a bucket holds: objects below a prefix, a snapshot, any object. */
size_t prunes_count(int bucket, const char *prefix);
bool prunes_has_snapshot(int bucket, const char *id);
bool prunes_is_there(int bucket, const char *name);

/* One bucket as a store, past the repository; the caller closes it. */
struct store *prunes_open_bucket(int bucket);
void prunes_put(int bucket, const char *name, const void *data, size_t len);

/* A pack that nothing names; its name is in name. */
void prunes_put_garbage(int bucket, const char *text, char name[NAMES_MAX]);

/* pending/ID that names this pack. owner: taken over, or NULL. */
void prunes_put_pending(int bucket, const char *id, const char *pack_name, json_t *owner);

/* What is visible is complete in each bucket alone, and its data are right; copies in all buckets
 * together are no fewer than that. */
void prunes_assert_whole(size_t at_least);

/* The name of every object of each bucket, and whether prune remembers anything. */
void prunes_picture(struct buf *out);

#endif
