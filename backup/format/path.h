/*
 * path.h - paths of a snapshot: any bytes but NUL, in one order for everything.
 *
 * A path is relative to the source's root, without '.' or '..' or empty parts; the root itself is
 * the empty path. The order is component by component: '/' sorts below every byte, so a directory
 * is followed at once by what it contains. Never strcmp, never the locale.
 */
#ifndef BACKUP_FORMAT_PATH_H
#define BACKUP_FORMAT_PATH_H

#include "dr/base/buf.h"

/* Below, equal or above zero, in path order. */
int path_compare(const char *a, const char *b);

/* Is it a path within the limits? The root (empty) is one. len: without NUL. */
bool path_is_valid(const char *path, size_t len);

/* Is path equal to dir or below it? The root holds everything. */
bool path_is_within(const char *path, const char *dir);

/* "/" and the path with every byte outside [A-Za-z0-9._/-] as %XX, as in lines of lists. */
void path_add_encoded(struct buf *out, const char *path);

/* The reverse. False when it is not such a text or no valid path. */
bool path_decode(const char *text, struct buf *out);

#endif
