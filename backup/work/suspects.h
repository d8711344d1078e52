/*
 * suspects.h - objects of which somebody read bytes that were not right, remembered on this host.
 *
 *     suspects_add(state_dir, &list)      verify, restore: what they met
 *     suspects_read(state_dir, &list)     repair: where to look a second time
 *     suspects_drop(state_dir, &list)     repair: what it has looked at
 *
 * One line an object, "BUCKET NAME", in STATE_DIR/suspects, at most SUSPECTS_MAX. It is a hint and no
 * verdict: an object may have been wrong on the way only, so nothing is ever done because of it but to look. Hence
 * a file that is damaged or gone is as good as an empty one, and not being able to write it is no failure.
 */
#ifndef BACKUP_WORK_SUSPECTS_H
#define BACKUP_WORK_SUSPECTS_H

#include "dr/base/text.h"

enum { SUSPECTS_MAX = 10000 };

void suspects_read(const char *state_dir, struct text_list *ret);
void suspects_add(const char *state_dir, const struct text_list *lines);
void suspects_drop(const char *state_dir, const struct text_list *lines);

/* "BUCKET NAME". The caller frees. */
char *suspects_line(const char *bucket, const char *object) DR_MUST_USE;

#endif
