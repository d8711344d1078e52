/*
 * restore_wanted.h - which entries of a snapshot a restore is about.
 *
 *     w = wanted_new(&filter);
 *     wanted_add(w, rec)          for each record, in path order, once
 *     wanted_seal(w)
 *     wanted_has(w, i)            is record i wanted? one bit each; without a filter no memory at all
 *
 * Wanted is what lies at or below the path, is included, and is not excluded; and, so that it has a
 * place, each directory above it. A hard link whose first name is not wanted becomes the file
 * itself: wanted_place() says where the content of a record goes.
 */
#ifndef BACKUP_WORK_RESTORE_WANTED_H
#define BACKUP_WORK_RESTORE_WANTED_H

#include "backup/format/toc.h"
#include "backup/work/exclude.h"

struct restore_filter {
    const char *path;              /* below the source's root, no slash at the ends; or NULL */
    const struct exclude *include; /* or NULL: everything */
    const struct exclude *exclude; /* or NULL: nothing */
    bool know_links;               /* remember what has further names: 8 bytes each */
};

struct wanted;

/* filter: borrowed until wanted_free(). */
struct wanted *wanted_new(const struct restore_filter *filter) DR_MUST_USE;
void wanted_free(struct wanted *w);

void wanted_add(struct wanted *w, const struct toc_record *rec);
void wanted_seal(struct wanted *w);

bool wanted_has(const struct wanted *w, size_t index);
size_t wanted_seen(const struct wanted *w); /* records */
uint64_t wanted_count(const struct wanted *w);
uint64_t wanted_bytes(const struct wanted *w); /* of files */
uint64_t wanted_links(const struct wanted *w); /* hard links */
bool wanted_saw_path(const struct wanted *w);  /* the filter's path is in the snapshot */

/* Is there a hard link to this path? Known when the filter asked for it. */
bool wanted_is_linked(const struct wanted *w, const char *path);

/* Some first name is not wanted. */
bool wanted_moves(const struct wanted *w);

/* Where the content of record index goes: its own path, that of the first wanted link to it, or NULL. */
const char *wanted_place(const struct wanted *w, size_t index, const struct toc_record *rec);

/* The path at which the first name of a link is now. */
const char *wanted_first(const struct wanted *w, const char *link);

#endif
