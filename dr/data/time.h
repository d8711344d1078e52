/*
 * time.h - points in time as RFC 3339 text. Local time is never read nor written.
 */
#ifndef DR_DATA_TIME_H
#define DR_DATA_TIME_H

#include "dr/base/base.h"

enum { TIME_TEXT_MAX = 40 };

/* RFC 3339 with a zone ("2026-11-21T03:11:40Z", "...40.5+01:00"); false when it is not. */
bool time_parse(const char *text, int64_t *ret_ns);

/* "2026-11-21T03:11:40.123456789Z": always nine digits, so that text sorts as time does. Returns out. */
char *time_print(int64_t ns, char out[TIME_TEXT_MAX]);

/* "2026-11-21T03:11:40Z", whole seconds, rounded down. Returns out. */
char *time_print_s(int64_t ns, char out[TIME_TEXT_MAX]);

/* "03:11:40" in UTC, for screens that show the date elsewhere. Returns out. */
char *time_tell(int64_t ns, char out[TIME_TEXT_MAX]);

#endif
