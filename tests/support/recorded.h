/*
 * recorded.h - a run written down by hand becomes a journal, byte for byte the same each time.
 *
 *     # a comment
 *     0      start    {"id":"R-1","mode":"failover", ...}
 *     0.010  impact   {"health":{"at":[-4, -3, null, null], "ms":20}}
 *     12.5   outcome  {"step":"fence","state":"done", ...
 *                      "proof":"lease_expired"}
 *     !wall 3600              the wall clock jumps forward by an hour
 *     !boot other 9000        another boot: its id, and its boot time at second 0 of the script
 *
 * The first column is seconds after 2026-11-21T03:16:00Z, which is 1000 s after boot "boot-1". Lines
 * that begin with a blank go on with the body above. A "health" with "at" is written out as the
 * prober's facts: last_good, first_bad, last_bad, first_good in seconds of the script (null:
 * unknown); "ms" each answer took, "times" (3), "stale" (false), "gap_ms" (0), "passes" (3); "samples"
 * stay as they are.
 */
#ifndef TESTS_SUPPORT_RECORDED_H
#define TESTS_SUPPORT_RECORDED_H

#include "dr/journal/journal.h"

/* The bytes of the journal. A mistake in the script ends the test. */
void recorded_bytes(const char *script, struct buf *out);

/* The same, read back through journal_parse(). */
void recorded_run(const char *script, struct journal_records *ret);

#endif
