/*
 * backup_walk.h - every entry of a source, in path order, each opened without following anything.
 *
 *     walk_new()    opens the root
 *     walk_next()   gives the next entry (the root first) until *ret_more is false
 *     walk_free()
 *
 * Only one directory level's names are held per depth. Files come open for reading. What cannot
 * be read is told to the caller's warning function and passed over; a directory that cannot be
 * opened still comes as an entry. Sockets are counted and passed over.
 */
#ifndef BACKUP_WORK_BACKUP_WALK_H
#define BACKUP_WORK_BACKUP_WALK_H

#include "backup/work/backup_entry.h"
#include "dr/base/err.h"

struct walk;

struct walk_options {
    const char *root;                /* absolute path of a directory */
    const struct text_list *exclude; /* patterns (fnmatch): with '/' for paths, else for names */
    void (*warning)(void *arg, const char *path, const char *what);
    void *arg;
};

enum dr_rc walk_new(const struct walk_options *options, struct walk **ret, struct dr_err *err)
    DR_MUST_USE;
void walk_free(struct walk *w);
DR_DEFINE_CLEANUP(struct walk, walk_free)

/* The entry is borrowed until the next call, its descriptor too. */
enum dr_rc walk_next(struct walk *w, struct backup_entry **ret, bool *ret_more, struct dr_err *err)
    DR_MUST_USE;

/* Did the file of this entry change since walk_next() gave it? */
bool walk_has_changed(const struct walk *w, const struct backup_entry *e);

#endif
