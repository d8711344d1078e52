/*
 * html.h - a report as one page for an auditor: no script, nothing from elsewhere, inline SVG.
 *
 * The page is made of the JSON form of a report (report.h) and of nothing else, so the same report gives the
 * same bytes, on any machine and in any locale. It says first what came out, in words, and then everything
 * that the words rest on: figures as intervals with their method, plots, steps, people, guards, findings,
 * and how a stranger checks it. What the report does not know stands as "not measured" or "not on record".
 *
 * It follows the reader's light or dark, prints black on white, and is readable on 360 pixels: tables become
 * cards there. Colour is never the only sign. All text of the report is escaped (html_text.h).
 */
#ifndef DR_PROOF_HTML_H
#define DR_PROOF_HTML_H

#include "dr/base/buf.h"
#include "dr/data/json.h"

/* report: of kind "run" or "period"; without a kind it is a run. */
void report_html(const json_t *report, struct buf *out);

#endif
