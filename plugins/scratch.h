/*
 * scratch.h - the place where a drill restores, and its removal without touching anything else.
 *
 *     PARENT/D-7            the scratch directory of drill D-7: a real directory of exactly this name
 *     PARENT/D-7/...        whatever the isolated steps and the negative controls made
 *
 * What lies in there came out of a snapshot: names, links and modes that nobody here chose. So the
 * removal
 *
 *   - takes only a directory whose name is the run's id, and not a link of that name;
 *   - walks by descriptors, each opened with openat2(BENEATH, NO_SYMLINKS, NO_XDEV): a link is
 *     removed as a link, and a mount inside is not entered: it stays, and is told;
 *   - bears any depth;
 *   - gives itself the right to list and to empty a directory that was restored without it;
 *   - goes on after an entry that cannot be removed, so that as little as possible is left, and fails
 *     with the first of them.
 *
 * A directory that is not there is removed already. Whoever dies in the middle does it again.
 */
#ifndef PLUGINS_SCRATCH_H
#define PLUGINS_SCRATCH_H

#include "dr/base/err.h"

enum { SCRATCH_DEPTH_MAX = 128 }; /* levels held open at once; a deeper tree is brought up first */

/* "D-" and digits: the id of a drill. */
bool scratch_is_run(const char *run);

/*
 * Remove dir, which must be PARENT/RUN. DR_E_REFUSED: it is not a directory of that name, or
 * something is mounted in it. Others: the first entry that could not be removed.
 */
enum dr_rc scratch_remove(const char *dir, const char *run, struct dr_err *err) DR_MUST_USE;

#endif
