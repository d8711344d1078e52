/*
 * csv.h - a report as rows for a spreadsheet: every value of the JSON form, in long form.
 *
 *     section,item,member,value
 *     report,,run,D-118
 *     recovery_time,,lo_ms,598100
 *     steps,restore,state,done
 *     drill.controls,expired_key,caught,false
 *     runs,R-121,recovery.lo_ms,1779000
 *
 * RFC 4180: lines end in CR LF, and a field with a comma, a quote or a line break is quoted. A text that a spreadsheet would
 * take for a formula gets an apostrophe in front; control bytes are made visible. null is an empty field. Sections and
 * members are sorted by name, items stay in their order, so the same report gives the same bytes.
 */
#ifndef DR_PROOF_CSV_H
#define DR_PROOF_CSV_H

#include "dr/base/buf.h"
#include "dr/data/json.h"

/* Of a run or of a period. */
void report_csv(const json_t *report, struct buf *out);

#endif
