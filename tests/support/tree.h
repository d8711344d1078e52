/*
 * tree.h - a tree of odd things, and the exact comparison of two trees.
 *
 * Whatever makes a backup stumble is in tree_make_odd(): names of any bytes, paths longer than
 * PATH_MAX, holes, hard links to everything, times before 1970, attributes, ACLs. As root also
 * devices, foreign owners, capabilities. Contents come from a fixed seed. The comparison sees types,
 * modes, owners, times, sizes, contents, holes' zeros, link texts, devices, attributes and who is
 * linked to whom; nothing else.
 */
#ifndef TESTS_SUPPORT_TREE_H
#define TESTS_SUPPORT_TREE_H

#include "dr/base/buf.h"

enum tree_size {
    TREE_SMALL, /* about 30 entries, one large file: for sweeps */
    TREE_ODD,   /* everything that stock tools can restore */
    TREE_DEEP,  /* the same, and paths longer than PATH_MAX, which GNU tar cannot make */
};

/* dir: empty directory. Fails the test when something cannot be made. */
void tree_make(const char *dir, enum tree_size size);

/* count files of about each bytes in some directories below dir: for several bundles and segments. */
void tree_make_many(const char *dir, unsigned count, unsigned each);

/*
 * Number of differences between a and b; a line for each of the first hundred in out.
 */
unsigned tree_diff(const char *a, const char *b, struct buf *out);

/* A new directory below $TMPDIR or /tmp. The caller frees the name. */
char *tree_temp(void) DR_MUST_USE;

/* Remove a tree made here, whatever its modes and depth. */
void tree_remove(const char *dir);

/* Write one file of size bytes that do not compress, the same for the same seed. */
void tree_write(int dir, const char *name, uint64_t seed, size_t size);

#endif
