/*
 * solo.h - one source, one bucket, and backups of it.
 *
 *     DIR/source   DIR/us   DIR/state   DIR/dr.yaml   DIR/target
 *
 * For tests of the pipeline: each fact makes its own one, so that it can run in a loop or in
 * a child. Calls assert that they did what they were asked for, but for solo_backup().
 */
#ifndef TESTS_SUPPORT_SOLO_H
#define TESTS_SUPPORT_SOLO_H

#include "backup/work/work.h"

struct solo {
    char *dir, *source, *target; /* target does not exist yet */
    struct config *config;
    struct repo *repo;
    struct dr_err err;
    struct text_list warnings;   /* of the last backup ... */
    struct backup_result result; /* ... and what it did */
};

/* Everything new and empty, with an open repository. */
void solo_init(struct solo *w);
void solo_fini(struct solo *w);

/* Read the configuration and open the repository once more, in a child. */
void solo_open(struct solo *w);

/* A full backup: with this wish and any outcome, or in one thread and done. */
enum dr_rc solo_backup(struct solo *w, struct backup_wish wish);
void solo_must_backup(struct solo *w);

/* The newest snapshot comes back at target; the second asks that it is what the source is. */
void solo_must_restore(struct solo *w);
void solo_expect_restored(struct solo *w);

/* A file of the source: this text, or so many bytes of noise. */
void solo_put(const struct solo *w, const char *name, const char *text);
void solo_put_large(const struct solo *w, const char *name, size_t size);

#endif
