/*
 * exclude.h - patterns of what a backup leaves out, as in gitignore(5), compiled.
 *
 *     struct exclude *x = exclude_new();
 *     DR_TRY(exclude_add(x, "*.tmp", err));
 *     exclude_match(x, "var/cache/a.tmp", false)     true
 *
 * A pattern line:
 *
 *     name          that name in any directory       *   any bytes but '/'
 *     a/b   /name   from the source's root           ?   one byte but '/'
 *     name/         directories only                 [a-z] [!a-z] [[:digit:]]   one byte of (not of) these, never '/'
 *     !name         not left out after all           **  between slashes: any number of directories
 *     # text        a comment                        \   the next byte as it is
 *
 * Blanks at the end of a line go unless escaped. Of all patterns that match, the last one decides. A
 * directory that is left out is not entered, so nothing below it can come back. Bytes count, not characters.
 * The work of a match is bounded by the length of pattern and path, multiplied.
 */
#ifndef BACKUP_WORK_EXCLUDE_H
#define BACKUP_WORK_EXCLUDE_H

#include "dr/base/err.h"

enum {
    EXCLUDE_PATTERNS_MAX = 100000,
    EXCLUDE_PATTERN_SIZE_MAX = 4096, /* bytes of one line */
    EXCLUDE_FILE_SIZE_MAX = 16 << 20,
};

struct exclude;

struct exclude *exclude_new(void) DR_MUST_USE;
void exclude_free(struct exclude *x);
DR_DEFINE_CLEANUP(struct exclude, exclude_free)

/* One pattern line. Comments and empty lines are accepted and match nothing. */
enum dr_rc exclude_add(struct exclude *x, const char *pattern, struct dr_err *err) DR_MUST_USE;

/* All lines of a file. Errors name the file and the line. */
enum dr_rc exclude_add_file(struct exclude *x, const char *file, struct dr_err *err) DR_MUST_USE;

/*
 * Is the entry left out? path: below the source's root; what lies above it was asked about before and
 * was not left out. Safe from many threads at once.
 */
bool exclude_match(const struct exclude *x, const char *path, bool is_directory);

/* XXH3 over all patterns in order: two sets that differ have different hashes. */
uint64_t exclude_hash(const struct exclude *x);

#endif
