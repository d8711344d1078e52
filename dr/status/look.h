/*
 * look.h - one bucket, asked: what lies in it, as far as a view needs it.
 *
 * The answer is one JSON object, so that it can come from another process:
 *
 *     repository            its id; absent: why and hint say what is wrong, and empty, that it
 *                           is only this that is missing
 *     snapshots, bytes      how many it holds, and the bytes of its packs
 *     days                  SOURCE -> DAY -> how many
 *     oldest                SOURCE -> when its oldest one began
 *     proofs                SOURCE -> when one of its snapshots was proved last
 *     newest                SOURCE -> the newest that are whole signed objects, newest first:
 *                             id kind class epoch start_ns end_ns bytes files proved_ns missing[]
 *                           missing: packs that are not in this bucket; too_many: not all are named
 *     refused               SOURCE -> why the newest objects are not believed
 *     rows                  status/SITE.json -> the object
 *     run                   the newest run whose records lie here: id plan mode state started_at from
 *
 * Of each source LOOK_LEAST objects are read, and up to LOOK_MOST until one is complete: a view must not cost a
 * request for each snapshot there is. Times and sources of the others are those of their names.
 */
#ifndef DR_STATUS_LOOK_H
#define DR_STATUS_LOOK_H

#include "dr/config/config.h"
#include "dr/data/json.h"

enum { LOOK_LEAST = 4, LOOK_MOST = 12, LOOK_MISSING = 200, LOOK_ROWS = 64, LOOK_RECORDS = 16 };

/* Never fails: what is wrong stands in the answer. A new reference. */
json_t *look_bucket(const struct config *c, size_t index) DR_MUST_USE;

/* "app-20261121t031140z-1f3a9c": when it began, and the length of its source. False: not such an id. */
bool look_read_id(const char *id, size_t *ret_source_len, int64_t *ret_start_ns);

#endif
