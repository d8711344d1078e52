/*
 * backup_links.h - the first name of each inode that has several.
 *
 * A hash table by (device, inode) and the names behind it, in files without a name below STATE_DIR/spool
 * that are mapped: a tree full of hard links costs disk and page cache, not memory. Small tables stay in
 * their first page. Names come in path order, so the first one asked for is the first one.
 */
#ifndef BACKUP_WORK_BACKUP_LINKS_H
#define BACKUP_WORK_BACKUP_LINKS_H

#include "backup/work/scan.h"

struct links;

/* state_dir: borrowed. Files are made when the first inode with several names comes. */
struct links *links_new(const char *state_dir) DR_MUST_USE;
void links_free(struct links *l);
DR_DEFINE_CLEANUP(struct links, links_free)

/*
 * The first name of this entry's inode (valid until the next call), or NULL when this is it: from now
 * on it is. An inode whose type, size or times are others than those of the first name was
 * used again: no link. Directories have none.
 */
enum dr_rc links_first(struct links *l, const struct scan_entry *e, const char **ret,
                       struct dr_err *err) DR_MUST_USE;

#endif
