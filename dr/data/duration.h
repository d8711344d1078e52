/*
 * duration.h - quantities with their units: durations, sizes, shares.
 *
 * A unit is always written: "30s", "1h30m", "100MiB", "80%". A bare number is the
 * commonest mistake of all, so it has a result of its own.
 */
#ifndef DR_DATA_DURATION_H
#define DR_DATA_DURATION_H

#include "dr/base/base.h"

enum quantity {
    QUANTITY_OK,
    QUANTITY_NO_UNIT, /* a number without a unit: "30 what?" */
    QUANTITY_BAD,     /* anything else */
};

/* "500ms" "30s" "15m" "1h30m" "7d": whole numbers, units falling, each at most once.
 * In milliseconds; more than 10 years is QUANTITY_BAD. */
enum quantity duration_parse(const char *text, int64_t *ret_ms);

/* "100MiB" "1GB" "512B": whole numbers; K M G T as powers of 1000 (kB, MB ...) or 1024 (KiB, MiB ...). */
enum quantity size_parse(const char *text, uint64_t *ret_bytes);

/* "80%" or "2.5%", 0 to 100, as a fraction of 1. */
enum quantity percent_parse(const char *text, double *ret_share);

enum { DURATION_TEXT_MAX = 48 };

/* The exact form that duration_parse() reads: "1m30s", "250ms", "0s". Returns out. */
char *duration_print(int64_t ms, char out[DURATION_TEXT_MAX]);

/* For people, two units at most: "0.4s" "58s" "12m 13s" "3h 02m" "2d 4h". Returns out. */
char *duration_tell(int64_t ms, char out[DURATION_TEXT_MAX]);

#endif
