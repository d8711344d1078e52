/*
 * site.h - a source, two directory buckets and their configuration, in a fresh directory.
 *
 *     TOP/src   TOP/us   TOP/eu   TOP/state   TOP/dr.yaml
 *
 * For tests of the backup engine: everything goes through the calls of repo.h and work.h, and
 * the buckets lie open as files, so that a test can damage them like a disk would.
 */
#ifndef TESTS_SUPPORT_SITE_H
#define TESTS_SUPPORT_SITE_H

#include "backup/work/work.h"

enum { SITE_BUCKETS = 2 };

struct site {
    char *top, *src, *target;   /* target does not exist yet */
    char *bucket[SITE_BUCKETS]; /* directories of "us" and "eu" */
    struct config *config;
    struct text_list warnings; /* of all jobs run with hooks */
    struct work_hooks hooks;
};

extern const char *const site_bucket_names[SITE_BUCKETS];

/* From here on nothing waits for the medium: a sweep makes each call, fsync too, fail or be the
 * last, and does not need the disk for it. */
void site_without_waiting(void);

void site_make(struct site *s);

/* The same with buckets elsewhere: their urls (NULL: the directory), and ", key: value" for both. What looks into
 * directories (site_objects(), site_damage()) is of no use then. */
void site_make_at(struct site *s, const char *us, const char *eu, const char *more);
void site_drop(struct site *s); /* with everything that was in it, even read-only directories */

/* A file below the source; missing directories are made. */
void site_write(const struct site *s, const char *path, const void *data, size_t len);

/* Thirty entries: small and large files, a hard link, symbolic links, a hole, a FIFO. */
void site_fill(const struct site *s);

struct repo *site_open(const struct site *s); /* asserts; the caller closes */

/* init and one full backup of source "app"; the caller finishes it. */
void site_backup(struct site *s, struct snapshot_info *ret);

/* Restore the latest snapshot into target. */
enum dr_rc site_restore(struct site *s, struct restore_result *ret, struct dr_err *err);

/* Remove target and its mark. */
void site_clear_target(const struct site *s);

/* Is target what src is: names, types, modes, owners, times, links, content? Asserts. */
void site_assert_restored(const struct site *s);

/* Does a warning hold both texts? */
bool site_warned(const struct site *s, const char *a, const char *b);

enum site_damage { SITE_FLIP, SITE_TRUNCATE, SITE_DELETE, SITE_DAMAGES };

/* Damage the object file BUCKET/name at this byte. */
void site_damage_at(const struct site *s, int bucket, const char *name, enum site_damage how,
                    uint64_t offset);

/* The same at about the given share (0 to 100) of its length. */
void site_damage(const struct site *s, int bucket, const char *name, enum site_damage how,
                 int percent);

/* Names of the objects in a bucket below prefix. */
void site_objects(const struct site *s, int bucket, const char *prefix, struct text_list *ret);

#endif
